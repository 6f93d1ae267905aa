//! What keeps a call from taking the process with it.

use std::sync::Arc;

use arrow::array::{AsArray, Int64Array, RecordBatch, StringArray};
use arrow::datatypes::{DataType, Field, Int64Type, Schema};
use lakehead_model::Timestamp;

use super::{NOW, check, compiled, rows, run, stream, value};
use crate::{Failure, Source, compile};

/// Calls that would make gigabytes, with arguments that only the rows know: each must fail for its limit, and fast.
#[test]
fn calls_that_would_make_too_much_fail_before_they_do() {
    let groups = format!("regexp_match(repeat(s, i * 10000), '{}.+{}')", "(".repeat(80), ")".repeat(80));
    let calls = [
        "repeat(s, i * 1000000000)",
        "lpad(s, i * 100000000)",
        "rpad(s, i * 100000000, 'äö')",
        "replace(repeat(s, i * 10000), 'e', repeat('x', 10000 * i))",
        "replace(repeat(s, i * 10000), '', repeat('x', 10000 * i))",
        "regexp_replace(repeat(s, i * 10000), 'e', repeat('x', 10000 * i), 'g')",
        "regexp_replace(repeat(s, i * 10000), '.*', repeat('\\1\\0', i * 1000))",
        groups.as_str(),
        "array_repeat(s, i * 100000000)",
        "array_repeat(l, i * 100000000)",
        "array_resize(l, i * 100000000)",
        "array_resize(l, i * 100000000, i)",
        "range(i * 100000000)",
        "range(0, i * 100000000)",
        "generate_series(0, i * 1000000000000, 2)",
        "generate_series(i * 1000000000000, 0, -2)",
        "generate_series(t, t + INTERVAL '1000 days', INTERVAL '1 microsecond')",
        "array_to_string(range(i * 100000), repeat('x', i * 1000))",
        "array_replace_all(array_repeat('x', i * 1000), 'x', repeat('y', i * 100000))",
        "levenshtein(repeat(s, i * 10000), repeat('xyz', i * 10000))",
        "array_has_all(range(i * 100000), range(i * 100000))",
        "rtrim(repeat(s, i * 10000), repeat('xyz', i * 10000))",
        "array_fill(s, [abs(i) * 100000000])",
        "repeat(s, i * 500000) || repeat(s, i * 500000)",
        "concat(repeat(s, i * 500000), repeat(s, i * 500000))",
        "concat_ws(repeat('x', i * 1000000), s, s, s, s, s, s, s, s, s, s, s, s)",
        "to_char(t, repeat('%c', i * 200000))",
        "length(repeat(s, i * 400000)) + length(repeat(s, i * 400001)) + length(repeat(s, i * 400002)) \
         + length(repeat(s, i * 400003)) + length(repeat(s, i * 400004)) + length(repeat(s, i * 400005)) \
         + length(repeat(s, i * 400006)) + length(repeat(s, i * 400007)) + length(repeat(s, i * 400008))",
    ];
    let wrong: Vec<_> =
        calls.iter().map(|call| (call, value(call))).filter(|(_, got)| !got.starts_with("Limit: ")).collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn constants_that_planning_would_make_too_large_are_refused() {
    check(&[
        (
            "repeat('x', 1000000000)",
            "refused: `repeat` would make a constant of 1000000000 bytes; the limit is 65536",
        ),
        ("lpad('x', 2000000000)", "refused: `lpad` would make a constant of…"),
        (
            "CASE WHEN i > 100 THEN repeat('x', 100000) ELSE 'y' END",
            "refused: `repeat` would make a constant…",
        ),
        ("range(1000000000000)", "refused: `range` would make a constant…"),
        ("range(-9223372036854775807, 9223372036854775807)", "refused: `range` would make a constant…"),
        ("array_repeat('x', 9223372036854775807)", "refused: `array_repeat` would make a constant…"),
        ("length(repeat('x', 60000))", "60000"),
    ]);
}

#[test]
fn a_step_that_goes_forth_and_back_ends() {
    let forever = "generate_series(DATE '2023-01-01', DATE '2023-06-01', INTERVAL '1 month -31 days')";
    assert!(value(forever).contains("forth and back"), "{}", value(forever));
    let of_rows = "generate_series(t, t + INTERVAL '1 day', INTERVAL '1 hour -3600 seconds')";
    assert!(
        value(of_rows).contains("Interval argument to generate_series must not be 0"),
        "{}",
        value(of_rows)
    );
}

#[test]
fn a_large_constant_makes_a_large_batch_fail_and_a_small_one_pass() {
    let (source, _) = stream();
    let text = "x".repeat(50_000);
    let sql = format!("INSERT INTO out SELECT CASE WHEN i > 0 THEN '{text}' ELSE 'y' END AS x FROM t");
    let statement = compile(&sql, &[source], &["out".to_owned()]).unwrap().remove(0);
    let of_rows = |rows: usize| {
        let schema = Arc::new(Schema::new(vec![Field::new("i", DataType::Int64, true)]));
        RecordBatch::try_new(schema, vec![Arc::new(Int64Array::from(vec![1; rows]))]).unwrap()
    };
    let failure = statement.program.run(&of_rows(16_384), NOW).unwrap_err();
    assert_eq!(failure.failure, Failure::Limit, "{failure}");
    assert_eq!(statement.program.run(&of_rows(100), NOW).unwrap().kept, 100);
}

#[test]
fn texts_that_double_in_every_step_stop_at_the_limit() {
    let mut sql = String::from("WITH c0 AS (SELECT s AS v FROM t)");
    for n in 1..=40 {
        sql += &format!(", c{n} AS (SELECT v || v AS v FROM c{})", n - 1);
    }
    let failure = rows(&format!("{sql} SELECT v FROM c40"));
    // Planning may write the doubled expression out and refuse its size; else the run must stop.
    let message = failure.unwrap_err();
    assert!(message.starts_with("Limit: ") || message.starts_with("refused: "), "{message}");
}

#[test]
fn patterns_are_literals_and_small_when_compiled() {
    check(&[
        ("regexp_like(s, '(a{1000}){1000}')", "refused: the pattern `(a{1000}){1000}` is too large…"),
        ("regexp_match('x', '(a{1000}){1000}')", "refused: the pattern `(a{1000}){1000}` is too large…"),
        ("s ~ '(((a{100}){100}){100})'", "refused: the pattern…"),
        ("s SIMILAR TO '((a{1000}){1000})'", "refused: the pattern…"),
        ("regexp_like(s, s)", "refused: a pattern must be a literal text…"),
        ("s ~* s", "refused: the pattern of ~* must be a literal…"),
        ("regexp_like(s, 'x', s)", "refused: flags must be a literal text…"),
        ("regexp_like(s, 'x', 'q')", "refused: `q` is not a flag…"),
        ("regexp_match(s, 'x', 'g')", "refused: the flag `g` belongs to regexp_replace…"),
        ("regexp_like(s, '(x')", "refused: `(x` is not a regular expression: unclosed group"),
        ("regexp_like(s, '(?=x)')", "refused: `(?=x)` is not a regular expression: look-around…"),
        ("regexp_like(repeat('a', i * 1000) || 'b', '(a|a)*c')", "false"),
        ("extract_json(j, s)", "refused: a JSONPath must be a literal text…"),
        ("extract_json(j, '$..*..*')", "refused: the JSONPath `$..*..*` searches too much…"),
        ("extract_json(j, '$[*,*][*,*][*,*][*,*]')", "refused: the JSONPath…"),
        ("extract_json(j, '$[?match(@.s, ''x'')]')", "refused: functions in a JSONPath…"),
        ("extract_json(j, 'a.b')", "refused: `a.b` is not a JSONPath…"),
    ]);
}

#[test]
fn a_pattern_with_many_states_is_no_reason_to_refuse_a_short_text() {
    // 1.5 MB of text would take too many steps at once; each row of it does not.
    let (source, _) = stream();
    let sql = "INSERT INTO out SELECT s FROM t WHERE regexp_like(s, '[a-z]{2000}|x')";
    let statement = compile(sql, &[source], &["out".to_owned()]).unwrap().remove(0);
    let schema = Arc::new(Schema::new(vec![Field::new("s", DataType::Utf8, true)]));
    let text = format!("{}x", " ".repeat(50_000));
    let batch =
        RecordBatch::try_new(schema, vec![Arc::new(StringArray::from(vec![text.as_str(); 100]))]).unwrap();
    assert_eq!(statement.program.run(&batch, NOW).unwrap_err().failure, Failure::Limit);
    assert_eq!(statement.program.run(&batch.slice(40, 10), NOW).unwrap().kept, 10);
}

#[test]
fn nested_json_is_walked_without_a_stack() {
    let deep = format!("{}1{}", "[".repeat(30_000), "]".repeat(30_000));
    assert_eq!(value(&format!("json_length('{deep}')")), "1");
    assert_eq!(value(&format!("json_get_int('{{\"a\":{deep},\"b\":7}}', 'b')")), "7");
    assert_eq!(value(&format!("extract_json('{deep}', '$[0]')")), "[]");
}

#[test]
fn now_is_the_moment_of_the_run_and_not_that_of_planning() {
    let statement =
        compiled("SELECT now() AS x, (now() - t)::VARCHAR AS age FROM t WHERE t < now()").unwrap();
    let batch = stream().1.project(&statement.projection).unwrap();
    let at = |seconds: i64| statement.program.run(&batch, Timestamp(seconds * 1_000_000)).unwrap().rows;
    assert_eq!(at(1_700_000_001).num_rows(), 2);
    assert_eq!(at(1_699_999_999).num_rows(), 1);
    let rows = at(1_800_000_000);
    let moments = rows.column(0).as_primitive::<arrow::datatypes::TimestampMicrosecondType>();
    assert!(moments.values().iter().all(|v| *v == 1_800_000_000_000_000), "{moments:?}");
}

#[test]
fn random_values_are_new_for_each_row_and_stay_what_they_are() {
    let (_, batch) = stream();
    for volatile in ["random()", "uuid()"] {
        let sql = format!(
            "WITH x AS (SELECT {volatile} AS r FROM t) SELECT r, r AS r2, {volatile} AS other FROM x"
        );
        let rows = run(&compiled(&sql).unwrap(), &batch).unwrap();
        assert_eq!(rows.column(0), rows.column(1), "{volatile}");
        assert_ne!(rows.column(0), rows.column(2), "{volatile}");
        let values: std::collections::HashSet<_> = super::shown(rows.column(0)).into_iter().collect();
        assert_eq!(values.len(), 3, "{volatile}: {values:?}");
    }
    let sql = "WITH x AS (SELECT random() AS r FROM t) SELECT r FROM x WHERE r >= 0.5";
    let statement = compiled(sql).unwrap();
    for _ in 0..50 {
        let rows = run(&statement, &batch).unwrap();
        let kept = rows.column(0).as_primitive::<arrow::datatypes::Float64Type>();
        assert!(kept.values().iter().all(|r| *r >= 0.5), "{kept:?}");
    }
}

#[test]
fn what_json_get_gives_is_marked_as_json_and_what_a_cast_gives_is_not() {
    let statement =
        compiled("SELECT j -> 'a' AS a, (j -> 's')::TEXT AS s, j ->> 's' AS u, j FROM t").unwrap();
    let schema = statement.program.output_schema();
    let marked = |name: &str| schema.field_with_name(name).unwrap().metadata().get("lakehead.type").cloned();
    assert_eq!(marked("a").as_deref(), Some("json"));
    assert_eq!(marked("j").as_deref(), Some("json"));
    assert_eq!((marked("s"), marked("u")), (None, None));
    let rows = run(&statement, &stream().1).unwrap();
    assert_eq!(rows.schema().field(0).metadata(), schema.field(0).metadata());
}

#[test]
fn operators_give_columns_their_names_as_they_are_written() {
    let name = |sql: &str| compiled(sql).unwrap().program.output_schema().field(0).name().clone();
    assert_eq!(name("SELECT j -> 'a' ->> 'b' FROM t"), "j -> 'a' ->> 'b'");
    assert_eq!(name("SELECT s || 'x' FROM t"), "s || 'x'");
}

#[test]
fn an_estimate_counts_the_slice_and_not_the_buffer_behind_it() {
    let statement = compiled("SELECT concat(s, 'x') AS x FROM t").unwrap();
    let long = "y".repeat(1 << 20);
    let schema = Arc::new(Schema::new(vec![Field::new("s", DataType::Utf8, true)]));
    let texts = StringArray::from(vec![long.as_str(); 100]);
    let batch = RecordBatch::try_new(schema, vec![Arc::new(texts)]).unwrap();
    assert_eq!(statement.program.run(&batch, NOW).unwrap_err().failure, Failure::Limit);
    assert_eq!(statement.program.run(&batch.slice(50, 10), NOW).unwrap().kept, 10);
}

#[test]
fn a_source_of_many_rows_has_each_of_them_computed() {
    let schema = Arc::new(Schema::new(vec![Field::new("n", DataType::Int64, false)]));
    let source = Source { name: "m".into(), schema: Arc::clone(&schema) };
    let sql = "INSERT INTO out SELECT n FROM m WHERE json_get_int('{\"a\":[5,6]}', 'a', n % 2) = 6";
    let statement = compile(sql, &[source], &["out".to_owned()]).unwrap().remove(0);
    let batch = RecordBatch::try_new(schema, vec![Arc::new(Int64Array::from((0..1000).collect::<Vec<_>>()))])
        .unwrap();
    let rows = statement.program.run(&batch, NOW).unwrap().rows;
    assert_eq!(rows.num_rows(), 500);
    assert!(rows.column(0).as_primitive::<Int64Type>().values().iter().all(|n| n % 2 == 1));
}
