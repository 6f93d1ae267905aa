//! SQL made to hurt: each text is compiled, and what is accepted is run, in a process of its own, because the end of a stack
//! or of the memory cannot be caught inside one.
//!
//! The test starts its own program again with the name of a case in [`CASE`]. The case prints what became of the text; the test
//! looks at the exit code, the verdict and the CPU time.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on should stop there")]

use std::fmt::Write as _;
use std::process::Command;
use std::sync::Arc;

use arrow::array::{ArrayRef, BooleanArray, Int64Array, RecordBatch, StringArray};
use lakehead_model::Timestamp;
use lakehead_transform::{Source, compile};

const CASE: &str = "LAKEHEAD_ABUSE_CASE";
/// For planning one text. Builds for tests are not fast.
const CPU_SECONDS_MAX: f64 = if cfg!(debug_assertions) { 30.0 } else { 2.0 };

#[derive(Debug, Clone, Copy, PartialEq)]
enum Verdict {
    /// Compiled, and run.
    Runs,
    Refused,
    /// Compiled; a run ends in an error.
    Fails,
}

fn batch() -> RecordBatch {
    let id: ArrayRef = Arc::new(Int64Array::from(vec![1, 2, 3]));
    let s: ArrayRef = Arc::new(StringArray::from(vec!["paid", "open", "x"]));
    let b: ArrayRef = Arc::new(BooleanArray::from(vec![true, false, true]));
    RecordBatch::try_from_iter([("id", id), ("s", s), ("b", b)]).unwrap()
}

fn select(expression: &str) -> String {
    format!("INSERT INTO out SELECT {expression} AS x FROM t")
}

fn filter(condition: &str) -> String {
    format!("INSERT INTO out SELECT id FROM t WHERE {condition}")
}

/// `levels` CTEs, each of which computes `double` of the `x` below.
fn doubling(levels: usize, first: &str, double: &str, last: &str) -> String {
    let mut sql = format!("INSERT INTO out WITH c0 AS (SELECT {first} AS x FROM t)");
    for level in 1..=levels {
        write!(sql, ", c{level} AS (SELECT {double} AS x FROM c{})", level - 1).unwrap();
    }
    format!("{sql} {} FROM c{levels}{}", "SELECT x", last)
}

fn nested(open: &str, inner: &str, close: &str, times: usize) -> String {
    format!("{}{inner}{}", open.repeat(times), close.repeat(times))
}

fn joined(count: usize, by: &str, item: impl Fn(usize) -> String) -> String {
    (0..count).map(item).collect::<Vec<_>>().join(by)
}

fn chains() -> Vec<(&'static str, String, Verdict)> {
    use Verdict::*;
    vec![
        ("plus_2000", select(&joined(2_000, "+", |_| "1".into())), Refused),
        ("plus_250", select(&joined(250, "+", |_| "id".into())), Runs),
        ("concat_250", select(&joined(250, "||", |_| "s".into())), Runs),
        ("concat_in_pairs", select(&nested("(s||", "s", ")", 20)), Runs),
        ("or_5000", filter(&joined(5_000, " OR ", |i| format!("id={i}"))), Refused),
        ("or_250", filter(&joined(250, " OR ", |i| format!("id={i}"))), Runs),
        ("and_250", filter(&joined(250, " AND ", |i| format!("id<>{}", i + 10))), Runs),
        ("like_250", filter(&joined(250, " OR ", |i| format!("s LIKE '%{i}%a%'"))), Runs),
        ("not_4000", filter(&format!("{} b", "NOT ".repeat(4_000))), Refused),
        ("not_30", filter(&format!("{} b", "NOT ".repeat(30))), Runs),
        ("minus_4000", select(&format!("{}id", "- ".repeat(4_000))), Refused),
        ("casts_2000", select(&format!("id{}", "::TEXT::INT".repeat(1_000))), Refused),
        ("casts_100", select(&format!("id{}", "::TEXT::INT".repeat(100))), Runs),
        (
            "struct_casts_60",
            select(&format!("struct(1){}", "::STRUCT<a INT>::STRUCT<b TEXT>".repeat(60))),
            Runs,
        ),
        ("subscripts_5000", select(&format!("id{}", "[1]".repeat(5_000))), Refused),
        ("slices_5000", select(&format!("[id]{}", "[1:1]".repeat(5_000))), Refused),
        ("dots_10000", select(&format!("id{}", ".a".repeat(10_000))), Refused),
        ("is_null_5000", select(&format!("id{}", " IS NULL".repeat(5_000))), Refused),
        ("arrows_5000", select(&format!("s{}", "->'a'".repeat(5_000))), Refused),
        ("arrows_20", select(&format!("s{}", "->'a'".repeat(20))), Runs),
        ("arrows_100", select(&format!("s{}", "->'a'".repeat(100))), Refused),
        ("between_2000", filter(&"id BETWEEN 1 AND 2 = ".repeat(2_000)), Refused),
        ("wrong_at_the_bottom", select(&format!("'a' + 1{}", " + 1".repeat(240))), Refused),
    ]
}

fn nests() -> Vec<(&'static str, String, Verdict)> {
    use Verdict::*;
    let types = |open: &str, close: &str, times| {
        select(&format!("CAST(NULL AS {})", nested(open, "INT", close, times)))
    };
    vec![
        ("parens_500", select(&nested("(", "1", ")", 500)), Refused),
        ("parens_20000", select(&nested("(", "1", ")", 20_000)), Refused),
        ("parens_20", select(&nested("(", "id", ")", 20)), Runs),
        ("case_nest_1000", select(&nested("CASE WHEN b THEN ", "1", " ELSE 2 END", 1_000)), Refused),
        ("case_nest_20", select(&nested("CASE WHEN b THEN 0 ELSE ", "1", " END", 20)), Runs),
        (
            "case_nest_both_20",
            select(&nested("CASE WHEN id > 1 AND s LIKE 'a%' THEN id WHEN b THEN ", "1", " ELSE id END", 20)),
            Runs,
        ),
        ("coalesce_nest_25", select(&nested("coalesce(id, ", "1", ", id)", 25)), Refused),
        ("nullif_nest_25", select(&nested("nullif(", "id", ", 7)", 25)), Refused),
        ("nvl2_nest_25", select(&nested("nvl2(id, ", "1", ", id)", 25)), Refused),
        ("coalesce_nest_9", select(&nested("coalesce(id, ", "1", ", id)", 9)), Runs),
        ("between_nest_30", filter(&nested("(", "b", " BETWEEN false AND true)", 30)), Refused),
        ("in_nest_30", filter(&nested("(", "b", " IN (true, false))", 30)), Refused),
        ("calls_2000", select(&nested("upper(", "s", ")", 2_000)), Refused),
        ("calls_25", select(&nested("upper(", "s", ")", 25)), Runs),
        ("lists_500", select(&nested("[", "1", "]", 500)), Refused),
        ("lists_30", select(&nested("[", "1", "]", 30)), Refused),
        ("lists_20", select(&nested("[", "id", "]", 20)), Runs),
        ("structs_8", select(&nested("struct(", "id", ", id)", 8)), Runs),
        (
            "subqueries_1000",
            nested("SELECT x FROM (", &select("id"), ") q", 1_000).replace("INSERT INTO out ", ""),
            Refused,
        ),
        (
            "subqueries_in_from_1000",
            format!("INSERT INTO out {}", nested("SELECT x FROM (", "SELECT id AS x FROM t", ") q", 1_000)),
            Refused,
        ),
        (
            "subqueries_in_from_15",
            format!("INSERT INTO out {}", nested("SELECT x FROM (", "SELECT id AS x FROM t", ") q", 15)),
            Runs,
        ),
        (
            "ctes_in_ctes_1000",
            format!(
                "INSERT INTO out {}",
                nested("WITH a AS (", "SELECT id FROM t", ") SELECT id FROM a", 1_000)
            ),
            Refused,
        ),
        ("type_brackets_10000", select(&format!("CAST(NULL AS INT{})", "[]".repeat(10_000))), Refused),
        ("type_arrays_10000", types("ARRAY<", ">", 9_000), Refused),
        ("type_structs_5000", types("STRUCT<a ", ">", 5_000), Refused),
        ("type_structs_20", types("STRUCT<a ", " >", 20), Runs),
        ("comments_20000", select(&nested("/*", "", "*/", 15_000)), Refused),
        ("trims_2000", select(&nested("trim(", "s", ")", 2_000)), Refused),
        ("casts_in_words_wrong", select(&nested("CAST(", "id FROM", " AS INT)", 25)), Refused),
        ("casts_in_words_2000", select(&nested("CAST(", "id", " AS INT)", 2_000)), Refused),
    ]
}

fn doublings() -> Vec<(&'static str, String, Verdict)> {
    use Verdict::*;
    vec![
        ("double_text", doubling(40, "s", "x||x", ""), Fails),
        ("double_text_filtered", doubling(40, "s", "x||x", " WHERE x <> ''"), Fails),
        ("double_constant_text", doubling(40, "'x'", "x||x", ""), Fails),
        ("double_number", doubling(40, "id", "x+x", ""), Runs),
        ("double_number_filtered", doubling(40, "id", "x+x", " WHERE x > 5 AND x < 0"), Runs),
        ("double_number_until_it_overflows", doubling(70, "id", "x+x", ""), Fails),
        ("double_struct", doubling(40, "id", "struct(x,x)", ""), Refused),
        ("double_list", doubling(40, "id", "make_array(x,x)", ""), Refused),
        ("double_list_in_place", doubling(40, "[id]", "array_concat(x,x)", ""), Fails),
        ("double_json", doubling(40, "s", "concat('[',x,',',x,']')", ""), Fails),
        ("double_case", doubling(40, "id", "CASE WHEN x > 1 THEN x ELSE x + x END", " WHERE x > 0"), Runs),
        ("double_by_unnest", doubling(40, "id", "UNNEST([x,x])", ""), Fails),
        ("same_names", doubling(40, "id", "x", " WHERE x = 1"), Runs),
        ("ctes_1000", doubling(1_000, "id", "x", " WHERE x = 1"), Runs),
        (
            "deep_levels",
            doubling(
                60,
                "id",
                &joined(60, "+", |i| if i == 0 { "x".into() } else { "1".into() }),
                " WHERE x > 1",
            ),
            Runs,
        ),
    ]
}

fn widths() -> Vec<(&'static str, String, Verdict)> {
    use Verdict::*;
    let columns = |count, of: &dyn Fn(usize) -> String| {
        format!("INSERT INTO out SELECT {} FROM t", joined(count, ",", |i| format!("{} AS c{i}", of(i))))
    };
    vec![
        (
            "in_list_as_long_as_the_text",
            filter(&format!("id IN ({})", joined(32_000, ",", |i| (i % 10).to_string()))),
            Refused,
        ),
        ("in_list_9000", filter(&format!("id IN ({})", joined(9_000, ",", |i| i.to_string()))), Runs),
        (
            "in_list_of_texts",
            filter(&format!("s NOT IN ({})", joined(6_000, ",", |i| format!("'{i}'")))),
            Runs,
        ),
        (
            "in_list_of_columns",
            filter(&format!("id IN ({})", joined(2_000, ",", |i| format!("id+{i}")))),
            Runs,
        ),
        ("identifier_64k", filter(&format!("{} = 1", "x".repeat(64_000))), Refused),
        ("identifier_255", filter(&format!("{} = 1", "x".repeat(255))), Refused),
        (
            "case_branches_1000",
            select(&format!("CASE {} ELSE 0 END", joined(1_000, " ", |i| format!("WHEN id = {i} THEN {i}")))),
            Runs,
        ),
        (
            "case_branches_of_calls",
            select(&format!(
                "CASE {} END",
                joined(900, " ", |i| format!("WHEN upper(s) = '{i}' THEN lower(s)"))
            )),
            Runs,
        ),
        ("select_1000", columns(1_000, &|i| format!("id+{i}")), Runs),
        ("select_1000_calls", columns(1_000, &|_| "upper(s)".into()), Runs),
        ("select_3000", columns(3_000, &|_| "id".into()), Refused),
        ("arguments_9000", select(&format!("concat({})", joined(9_000, ",", |_| "s".into()))), Runs),
        (
            "arguments_of_coalesce",
            select(&format!("coalesce({})", joined(5_000, ",", |_| "id".into()))),
            Runs,
        ),
        (
            "arguments_of_greatest",
            select(&format!("greatest({})", joined(5_000, ",", |_| "id".into()))),
            Runs,
        ),
        ("list_of_9000", select(&format!("[{}]", joined(9_000, ",", |i| i.to_string()))), Refused),
        ("struct_of_3000", select(&format!("struct({})", joined(3_000, ",", |_| "id".into()))), Runs),
        ("struct_of_9000", select(&format!("struct({})", joined(9_000, ",", |_| "id".into()))), Refused),
        ("pattern_60000", filter(&format!("s LIKE '{}'", "%a_".repeat(20_000))), Refused),
        ("similar_60000", filter(&format!("s SIMILAR TO '{}'", "(a|b)*".repeat(10_000))), Refused),
        ("statements_20", joined(20, ";", |_| columns(150, &|i| format!("id*{i}"))), Runs),
        (
            "unknown_function_last",
            columns(1_500, &|i| if i == 1_499 { "lenght(s)".into() } else { "length(s)".into() }),
            Refused,
        ),
        (
            "wrong_type_last",
            select(&format!("concat({}, 'a' + 1)", joined(4_000, ",", |_| "upper(s)".into()))),
            Refused,
        ),
        ("stars", format!("INSERT INTO out SELECT {} FROM t", joined(5_000, ",", |_| "*".into())), Refused),
    ]
}

fn cases() -> Vec<(&'static str, String, Verdict)> {
    [chains(), nests(), doublings(), widths()].concat()
}

/// Seconds of CPU that this process has used, where the system tells.
fn cpu_seconds() -> Option<f64> {
    let stat = std::fs::read_to_string("/proc/self/stat").ok()?;
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    // User and system time, in hundredths of a second.
    Some((fields.get(11)?.parse::<f64>().ok()? + fields.get(12)?.parse::<f64>().ok()?) / 100.0)
}

/// In the process of a case: prints the verdict, the CPU time of planning, and what was said.
fn child(name: &str) {
    let (_, sql, _) = cases().into_iter().find(|(n, _, _)| *n == name).unwrap();
    let source = Source { name: "t".into(), schema: batch().schema() };
    let before = cpu_seconds().unwrap_or_default();
    let compiled = compile(&sql, &[source], &["out".into()]);
    let seconds = cpu_seconds().unwrap_or_default() - before;
    let statements = match compiled {
        Ok(statements) => statements,
        Err(refused) => {
            println!(
                "\nverdict Refused {seconds:.2} {} @ {:?}",
                refused.message,
                refused.place.map(|p| (p.line, p.column))
            );
            return;
        }
    };
    // The stacks of an ordinary thread and of a pipeline's.
    let mut said = String::new();
    for stack_bytes in [2 << 20, 8 << 20] {
        let thread = std::thread::Builder::new().stack_size(stack_bytes);
        said = std::thread::scope(|scope| {
            let run = || {
                let results = statements.iter().map(|statement| {
                    let input = batch().project(&statement.projection).unwrap();
                    statement.program.run(&input, Timestamp(0)).map(|out| out.rows.num_rows())
                });
                match results.collect::<Result<Vec<_>, _>>() {
                    Ok(rows) => format!("Runs {seconds:.2} rows {rows:?}"),
                    Err(e) => format!("Fails {seconds:.2} {:?} {e}", e.failure),
                }
            };
            thread.spawn_scoped(scope, run).unwrap().join().unwrap()
        });
    }
    println!("\nverdict {said}");
}

#[test]
fn every_text_leaves_the_process_alive_within_its_time() {
    if let Ok(case) = std::env::var(CASE) {
        return child(&case);
    }
    let program = std::env::current_exe().unwrap();
    let mut wrong = Vec::new();
    for (name, sql, expected) in cases() {
        let this = "every_text_leaves_the_process_alive_within_its_time";
        // Memory in KiB and CPU in seconds: a case that finds a hole must not take the machine with it.
        let limited = r#"ulimit -v 3000000 2>/dev/null; ulimit -t 20; exec "$0" "$@""#;
        let output = Command::new("sh")
            .args(["-c", limited])
            .arg(&program)
            .args([this, "--exact", "--nocapture"])
            .env(CASE, name)
            .output()
            .unwrap();
        let printed = String::from_utf8_lossy(&output.stdout).into_owned();
        let verdict = printed.lines().find_map(|l| l.strip_prefix("verdict ")).unwrap_or("died").to_owned();
        println!("{name} ({} bytes): {}", sql.len(), verdict.chars().take(180).collect::<String>());
        let seconds: f64 = verdict.split(' ').nth(1).and_then(|s| s.parse().ok()).unwrap_or(f64::INFINITY);
        let is_expected = verdict.starts_with(&format!("{expected:?} "));
        if !output.status.success() || !is_expected || seconds > CPU_SECONDS_MAX {
            let stderr =
                String::from_utf8_lossy(&output.stderr).lines().take(4).collect::<Vec<_>>().join(" / ");
            wrong.push(format!("{name}: {} {verdict}, expected {expected:?}\n  {stderr}", output.status));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
