//! Every function with arguments that nobody expects: it may refuse or fail, but it must not panic.

use std::sync::Arc;

use arrow::array::{
    ArrayRef, BinaryArray, BooleanArray, Float64Array, Int64Array, ListArray, RecordBatch, StringArray,
    TimestampMicrosecondArray,
};
use arrow::datatypes::{Field, Int64Type, Schema};

use super::super::Registry;
use super::run;
use crate::{Source, compile};

const LONGEST: &str = "äöü€🚀\u{0}\u{202e}'\"\\%_,.é";

/// A row for each hostile value; the columns are as long as the longest list.
fn batch() -> RecordBatch {
    let integers = [
        None,
        Some(0),
        Some(1),
        Some(-1),
        Some(2),
        Some(1 << 31),
        Some(-(1 << 31)),
        Some(1 << 40),
        Some(i64::MAX),
        Some(i64::MIN),
        Some(i64::MAX - 1),
        Some(17),
    ];
    let floats = [
        None,
        Some(f64::NAN),
        Some(f64::INFINITY),
        Some(f64::NEG_INFINITY),
        Some(0.0),
        Some(-0.0),
        Some(f64::MAX),
        Some(f64::MIN_POSITIVE),
        Some(-1e308),
        Some(0.5),
        Some(-2.5),
        Some(9.3e18),
    ];
    let texts = [
        None,
        Some(""),
        Some(" "),
        Some(LONGEST),
        Some("a"),
        Some("{\"a\":"),
        Some("hex"),
        Some("%Q%999999f%"),
        Some("2023-13-45"),
        Some("\u{0}"),
        Some("NaN"),
        Some("9223372036854775808"),
    ];
    let bytes: Vec<Option<&[u8]>> = texts
        .iter()
        .enumerate()
        .map(|(n, t)| if n == 7 { Some(&b"\xff\xfe"[..]) } else { t.map(str::as_bytes) })
        .collect();
    let lists = (0..12).map(|n| match n {
        0 => None,
        1 => Some(vec![]),
        2 => Some(vec![None]),
        3 => Some(vec![Some(i64::MIN), None, Some(i64::MAX)]),
        n => Some((0..n).map(Some).collect()),
    });
    let columns: Vec<(&str, ArrayRef)> = vec![
        ("i", Arc::new(Int64Array::from(integers.to_vec()))),
        ("d", Arc::new(Float64Array::from(floats.to_vec()))),
        ("s", Arc::new(StringArray::from(texts.to_vec()))),
        ("y", Arc::new(BinaryArray::from_opt_vec(bytes))),
        (
            "b",
            Arc::new(BooleanArray::from((0..12).map(|n| (n > 0).then_some(n % 2 == 0)).collect::<Vec<_>>())),
        ),
        ("t", Arc::new(TimestampMicrosecondArray::from(integers.to_vec()))),
        ("l", Arc::new(ListArray::from_iter_primitive::<Int64Type, _, _>(lists))),
    ];
    let fields = columns.iter().map(|(name, array)| Field::new(*name, array.data_type().clone(), true));
    let schema = Arc::new(Schema::new(fields.collect::<Vec<_>>()));
    RecordBatch::try_new(schema, columns.into_iter().map(|(_, array)| array).collect()).unwrap()
}

/// Arguments of one call: columns, and constants that reach the ways through the functions that are made for them.
const ARGUMENTS: [&str; 12] = [
    "i",
    "d",
    "s",
    "y",
    "t",
    "l",
    "NULL",
    "'x'",
    "-9223372036854775807",
    "'NaN'::DOUBLE",
    "INTERVAL '1 month'",
    "''",
];

/// Literals that a function wants beside its value.
fn wanted(name: &str) -> &'static [&'static str] {
    match name {
        "arrow_cast" | "arrow_try_cast" => &[
            "{}, 'Int8'",
            "{}, 'UInt64'",
            "{}, 'Float32'",
            "{}, 'Boolean'",
            "{}, 'Utf8'",
            "{}, 'LargeUtf8'",
            "{}, 'Binary'",
            "{}, 'Date32'",
            "{}, 'Date64'",
            "{}, 'Time64(Nanosecond)'",
            "{}, 'Duration(Second)'",
            "{}, 'Timestamp(Nanosecond, None)'",
            "{}, 'Timestamp(Second, Some(\"+01:00\"))'",
            "{}, 'Interval(MonthDayNano)'",
            "{}, 'Decimal128(38, 10)'",
            "{}, 'List(Int8)'",
            "{}, 'LargeList(Utf8)'",
        ],
        "digest" => &["{}, 'md5'", "{}, 'sha256'", "{}, 'blake2s'", "{}, 'blake2b'", "{}, 'blake3'"],
        "encode" | "decode" => &["{}, 'hex'", "{}, 'base64'"],
        "date_part" => {
            &["'year', {}", "'week', {}", "'nanosecond', {}", "'epoch', {}", "'doy', {}", "'dow', {}"]
        }
        "date_trunc" => &["'year', {}", "'week', {}", "'quarter', {}", "'microsecond', {}", "'second', {}"],
        "date_bin" => &[
            "INTERVAL '1 nanosecond', {}",
            "INTERVAL '7 months', {}",
            "INTERVAL '0 seconds', {}",
            "INTERVAL '1 day', {}, t",
            "INTERVAL '-1 month', {}, t",
            "INTERVAL '1 century', {}, TIMESTAMP '1677-09-22T00:00:00'",
        ],
        "array_fill" => &["{}, [2]", "{}, [i]", "{}, [9223372036854775807]", "{}, []", "{}, [-1]"],
        "to_char" => &["{}, '%c %+ %s %f %Z'", "{}, s"],
        "extract_json" | "extract_json_string" => &["{}, '$..*'", "{}, '$[?@.a > 1]'", "{}, '$[-1:]'"],
        "regexp_like" => &["{}, '^(.*)$', 'ims'", "{}, ''", "{}, '\\p{Greek}', 'RU'"],
        "regexp_match" => &["{}, '(.)(x)?'", "{}, ''"],
        "regexp_replace" => &["{}, '', '\\9$0\\0', 'g'", "{}, '(.)', s, 'g'", "{}, '.', '\\'"],
        "generate_series" | "range" => {
            &["i, i, i", "t, t, INTERVAL '1 day'", "i, {}, 1", "{}, t, INTERVAL '-1 month'"]
        }
        "array_sort" => &["l, 'DESC', 'NULLS LAST'", "l, {}", "l, 'ASC', {}"],
        "overlay" | "substr" => &["s, s, i, i", "s, i, {}"],
        "extract" | "get_field" => &["named_struct('a', {}), 'a'"],
        "array_resize" | "array_slice" => &["l, i, {}", "l, i, i, i"],
        "array_replace_n" => &["l, i, {}, i", "l, i, i, {}"],
        _ => &[],
    }
}

/// Where three arguments of all kinds are worth their time.
fn takes_three(name: &str) -> bool {
    name.starts_with("array_")
        || name.starts_with("json_")
        || matches!(
            name,
            "lpad"
                | "rpad"
                | "replace"
                | "split_part"
                | "substr"
                | "substr_index"
                | "translate"
                | "overlay"
                | "range"
                | "generate_series"
                | "string_to_array"
                | "make_date"
                | "nvl2"
                | "concat_ws"
                | "to_timestamp"
                | "struct"
                | "make_array"
                | "coalesce"
                | "greatest"
                | "date_bin"
        )
}

/// All calls of `name` with up to three arguments, and with more of one kind.
fn calls(name: &str) -> Vec<String> {
    let mut calls = vec![format!("{name}()")];
    for wanted in wanted(name) {
        calls.extend(ARGUMENTS.iter().map(|a| format!("{name}({})", wanted.replace("{}", a))));
    }
    for a in ARGUMENTS {
        calls.push(format!("{name}({a})"));
        calls.push(format!("{name}({a}, {a}, {a}, {a})"));
        for b in ARGUMENTS {
            calls.push(format!("{name}({a}, {b})"));
        }
        for b in ["i", "s", "l", "NULL", "'x'"].iter().filter(|_| takes_three(name)) {
            for c in ["i", "s", "l", "NULL", "-9223372036854775807", "'x'", "INTERVAL '1 day'"] {
                calls.push(format!("{name}({a}, {b}, {c})"));
            }
        }
    }
    calls
}

#[test]
fn no_function_panics_whatever_its_arguments_are() {
    let batch = batch();
    let source = Source { name: "t".into(), schema: batch.schema() };
    let sinks = ["out".to_owned()];
    let (mut failed, mut ran) = (Vec::new(), 0);
    for name in Registry::get().functions() {
        let mut of_name = 0;
        for call in calls(&name) {
            let sql = format!("INSERT INTO out SELECT {call} AS x FROM t");
            let fault = match compile(&sql, std::slice::from_ref(&source), &sinks) {
                Ok(mut statements) => {
                    let statement = statements.remove(0);
                    of_name += 1;
                    let whole = run(&statement, &batch).err();
                    // One row at a time too: a row that fails hides those behind it.
                    let each =
                        (0..batch.num_rows()).filter_map(|row| run(&statement, &batch.slice(row, 1)).err());
                    each.chain(whole).map(|e| e.message).find(|m| is_fault(m))
                }
                Err(refusal) => Some(refusal.message).filter(|m| m.contains("made the planner fail")),
            };
            failed.extend(fault.map(|m| format!("{call}: {}", m.lines().next().unwrap_or_default())));
        }
        assert!(of_name > 0, "no call of {name} was accepted");
        ran += of_name;
    }
    failed.dedup_by_key(|f| f.split('(').next().map(str::to_owned));
    assert!(failed.is_empty(), "{} functions:\n{}", failed.len(), failed.join("\n"));
    assert!(ran > 2_000, "{ran}");
}

/// What a panic becomes, and what a library says of its own faults.
fn is_fault(message: &str) -> bool {
    message.contains("failed on these arguments") || message.contains("nternal error")
}
