//! The coercion table, row by row: every column type against every kind of JSON value.

use lakehead_decode::{Decoder, Reason, Reject};
use lakehead_model::Schema;
use serde_json::{Value, json};

use crate::reference::{Cell, rows};

pub(crate) fn schema(fields: Value) -> Schema {
    Schema::from_json(&json!({ "fields": fields })).unwrap()
}

/// What a value becomes in an optional column of a type.
fn put(field_type: &Value, value: &str) -> Result<Cell, Reject> {
    let mut field = field_type.clone();
    field["name"] = json!("c");
    let schema = schema(json!([field]));
    let mut decoder = Decoder::new(Some(&schema), &[0]);
    // Before a value that fits and after one, and as the last bytes of the input and not.
    let mut results = Vec::new();
    for record in
        [format!("{{\"c\":{value}}}"), format!(" {{ \"c\" :\t{value} , \"other\":[1,2,3,4,5,6,7,8,9,10] }} ")]
    {
        let result = decoder.push(record.as_bytes());
        results.push(result.map(|()| {
            let batch = decoder.finish();
            batch.columns()[0].to_data().validate_full().unwrap();
            rows(&batch)[0][0].clone()
        }));
    }
    assert_eq!(results[0], results[1], "{value}");
    // A column that is not built says the same.
    let mut checking = Decoder::new(Some(&schema), &[]);
    let checked = checking.push(format!("{{\"c\":{value}}}").as_bytes());
    assert_eq!(checked.err(), results[0].clone().err(), "{value}");
    results.remove(0)
}

#[track_caller]
fn takes(field_type: Value, cases: &[(&str, Cell)]) {
    for (value, wanted) in cases {
        assert_eq!(put(&field_type, value).as_ref(), Ok(wanted), "{field_type} {value}");
    }
    assert_eq!(put(&field_type, "null"), Ok(Cell::Null));
}

#[track_caller]
fn refuses(field_type: Value, reason: Reason, values: &[&str]) {
    for value in values {
        let reject = put(&field_type, value).expect_err(value);
        assert_eq!((reject.reason, reject.path.as_str()), (reason, "c"), "{field_type} {value}");
        assert!(reject.detail.starts_with("expected "), "{}", reject.detail);
    }
}

use Cell::{Bool, Int};
use Reason::{ParseFailure, TypeMismatch};

fn text(s: &str) -> Cell {
    Cell::Text(s.to_owned())
}

fn f64(x: f64) -> Cell {
    Cell::Float64(x.to_bits())
}

fn f32(x: f32) -> Cell {
    Cell::Float32(x.to_bits())
}

#[test]
fn bool_takes_true_and_false_alone() {
    let t = || json!({"type": "bool"});
    takes(t(), &[("true", Bool(true)), ("false", Bool(false))]);
    refuses(t(), TypeMismatch, &["1", "0", "\"true\"", "\"\"", "{}", "[]", "[true]", "1.5"]);
}

#[test]
fn integers_take_numbers_and_numeric_strings_and_cut_decimals_off() {
    for name in ["int32", "int64", "uint32", "uint64"] {
        let t = || json!({ "type": name });
        takes(
            t(),
            &[
                ("0", Int(0)),
                ("-0", Int(0)),
                ("42", Int(42)),
                ("\"42\"", Int(42)),
                ("5.0", Int(5)),
                ("5.999", Int(5)),
                ("-0.5", Int(0)),
                ("1e3", Int(1000)),
                ("1.5E+2", Int(150)),
                ("12345e-2", Int(123)),
                ("\"5.9\"", Int(5)),
                ("\"1e2\"", Int(100)),
                ("\"+7\"", Int(7)),
                ("\"007\"", Int(7)),
                ("\"\\u0034\\u0032\"", Int(42)),
                ("1e-400", Int(0)),
                ("0e999999999999999999999", Int(0)),
                ("0.00000000000000000000000000000000000000000000000000012e53", Int(12)),
            ],
        );
        refuses(
            t(),
            TypeMismatch,
            &["true", "false", "{}", "[]", "[1]", "1e20", "\"1e20\"", "1e400", "-1e20"],
        );
        refuses(
            t(),
            ParseFailure,
            &[
                "\"\"",
                "\"x\"",
                "\"12x\"",
                "\" 1\"",
                "\"1 \"",
                "\"NaN\"",
                "\"0x10\"",
                "\"1,000\"",
                "\"1_0\"",
                "\"-\"",
                "\"+\"",
                "\"1.\"",
                "\".5\"",
                "\"1e\"",
                "\"--1\"",
                "\"٣\"",
            ],
        );
    }
}

#[test]
fn integers_are_exact_up_to_their_bounds_and_refused_behind() {
    let bounds = [
        ("int32", i128::from(i32::MIN), i128::from(i32::MAX)),
        ("int64", i128::from(i64::MIN), i128::from(i64::MAX)),
        ("uint32", 0, i128::from(u32::MAX)),
        ("uint64", 0, i128::from(u64::MAX)),
    ];
    for (name, min, max) in bounds {
        let t = || json!({ "type": name });
        for value in [min, min + 1, max - 1, max] {
            takes(
                t(),
                &[
                    (&format!("{value}"), Int(value)),
                    (&format!("\"{value}\""), Int(value)),
                    (&format!("{value}.999"), Int(value)),
                    (&format!("{value}0e-1"), Int(value)),
                ],
            );
        }
        for value in [min - 1, max + 1, min * 10 - 1, max * 10] {
            refuses(
                t(),
                TypeMismatch,
                &[&format!("{value}"), &format!("\"{value}\""), &format!("{value}.0")],
            );
        }
    }
    // 2^53 + 1 and its neighbours do not go through floating point.
    takes(
        json!({"type": "int64"}),
        &[
            ("9007199254740993", Int(9_007_199_254_740_993)),
            ("9007199254740993.0", Int(9_007_199_254_740_993)),
            ("-9007199254740993", Int(-9_007_199_254_740_993)),
        ],
    );
    refuses(json!({"type": "uint64"}), TypeMismatch, &["-1", "\"-1\"", "-1.0", "18446744073709551616"]);
    refuses(json!({"type": "int64"}), TypeMismatch, &["9223372036854775808", &"9".repeat(10_000)]);
}

#[test]
fn floats_take_numbers_and_numeric_strings_to_the_nearest() {
    takes(
        json!({"type": "float64"}),
        &[
            ("0", f64(0.0)),
            ("-0", f64(-0.0)),
            ("-0.0", f64(-0.0)),
            ("1", f64(1.0)),
            ("0.1", f64(0.1)),
            ("-12.75", f64(-12.75)),
            ("123456789012345", f64(123_456_789_012_345.0)),
            ("0.30000000000000004", f64(0.300_000_000_000_000_04)),
            ("9007199254740993", f64(9_007_199_254_740_992.0)),
            ("1e308", f64(1e308)),
            ("1e-400", f64(0.0)),
            ("5e-324", f64(5e-324)),
            ("\"2.5\"", f64(2.5)),
            ("\"1e3\"", f64(1000.0)),
            ("\"+1\"", f64(1.0)),
            (&format!("0.{}1", "0".repeat(300)), f64(1e-301)),
        ],
    );
    takes(
        json!({"type": "float32"}),
        &[
            ("0.1", f32(0.1)),
            ("16777217", f32(16_777_216.0)),
            ("-0", f32(-0.0)),
            ("\"3.4028234e38\"", f32(f32::MAX)),
            // Rounded once: through f64 this would be 1.
            ("1.00000005960464477540", f32(1.000_000_1)),
        ],
    );
    for name in ["float32", "float64"] {
        let t = || json!({ "type": name });
        refuses(t(), TypeMismatch, &["true", "{}", "[]", "1e400", "-1e400", "\"1e400\""]);
        refuses(
            t(),
            ParseFailure,
            &["\"NaN\"", "\"inf\"", "\"Infinity\"", "\"\"", "\"1.\"", "\".5\"", "\"1 \"", "\"x\""],
        );
    }
    refuses(json!({"type": "float32"}), TypeMismatch, &["3.5e38"]);
}

#[test]
fn decimals_are_exact_or_refused() {
    let t = || json!({"type": "decimal128", "precision": 5, "scale": 2});
    takes(
        t(),
        &[
            ("0", Int(0)),
            ("1.5", Int(150)),
            ("-1.50", Int(-150)),
            ("999.99", Int(99_999)),
            ("-999.99", Int(-99_999)),
            ("\"1.2300\"", Int(123)),
            ("1e2", Int(10_000)),
            ("12340e-3", Int(1234)),
            ("\"007\"", Int(700)),
        ],
    );
    refuses(
        t(),
        TypeMismatch,
        &["1000", "999.991", "0.001", "12345e-3", "1e5", "true", "{}", "[]", "1e-400"],
    );
    refuses(t(), ParseFailure, &["\"\"", "\"1,5\"", "\"x\"", "\"NaN\""]);
    let widest = || json!({"type": "decimal128", "precision": 38, "scale": 0});
    let most = "9".repeat(38);
    takes(widest(), &[(&most, Int(10_i128.pow(38) - 1)), (&format!("-{most}"), Int(1 - 10_i128.pow(38)))]);
    refuses(
        widest(),
        TypeMismatch,
        &[&format!("1{}", "0".repeat(38)), &"9".repeat(10_000), "1e9999999999999999999"],
    );
    takes(json!({"type": "decimal128", "precision": 38, "scale": 38}), &[("0.1", Int(10_i128.pow(37)))]);
}

#[test]
fn strings_take_strings_alone_with_escapes_resolved() {
    let t = || json!({"type": "string"});
    takes(
        t(),
        &[
            ("\"\"", text("")),
            ("\"plain\"", text("plain")),
            (r#""a\"b\\c\/d\b\f\n\r\t""#, text("a\"b\\c/d\u{8}\u{C}\n\r\t")),
            (r#""\u00e9\u65E5""#, text("é日")),
            (r#""\ud83c\udf00 ok""#, text("🌀 ok")),
            (r#""nul \u0000 kept""#, text("nul \0 kept")),
            ("\"日本語のページ 🌀\"", text("日本語のページ 🌀")),
            ("\"exactly sixteen.\"", text("exactly sixteen.")),
            (
                &format!("\"{}\\n{}\"", "x".repeat(100), "y".repeat(100)),
                text(&format!("{}\n{}", "x".repeat(100), "y".repeat(100))),
            ),
        ],
    );
    refuses(t(), TypeMismatch, &["1", "true", "false", "{}", "[]", "[\"a\"]", "1.5e3"]);
}

#[test]
fn a_lone_surrogate_becomes_the_replacement_character() {
    takes(
        json!({"type": "string"}),
        &[
            (r#""\ud800""#, text("\u{FFFD}")),
            (r#""a\udc00b""#, text("a\u{FFFD}b")),
            (r#""\ud800\ud800""#, text("\u{FFFD}\u{FFFD}")),
            (r#""\udc00\ud83c""#, text("\u{FFFD}\u{FFFD}")),
            (r#""\ud83c\ue000""#, text("\u{FFFD}\u{E000}")),
            (r#""\udbff\udfff\ud800\udc00""#, text("\u{10FFFF}\u{10000}")),
            (r#""\ud83c\n""#, text("\u{FFFD}\n")),
            (r#""\ud83cA""#, text("\u{FFFD}A")),
            (r#""\ud83c\ud83c\udf00""#, text("\u{FFFD}🌀")),
        ],
    );
}

#[test]
fn binary_takes_base64_in_both_alphabets_padded_or_not() {
    let t = || json!({"type": "binary"});
    let bytes = |b: &[u8]| Cell::Bytes(b.to_vec());
    takes(
        t(),
        &[
            ("\"\"", bytes(b"")),
            ("\"aGVsbG8=\"", bytes(b"hello")),
            ("\"aGVsbG8\"", bytes(b"hello")),
            ("\"+/8=\"", bytes(b"\xFB\xFF")),
            ("\"-_8=\"", bytes(b"\xFB\xFF")),
            ("\"-_8\"", bytes(b"\xFB\xFF")),
            (r#""+\/8=""#, bytes(b"\xFB\xFF")),
            ("\"AAA=\"", bytes(b"\0\0")),
        ],
    );
    takes(json!({"type": "bytes"}), &[("\"aGk=\"", bytes(b"hi"))]);
    refuses(
        t(),
        ParseFailure,
        &[
            "\"A\"",
            "\"AB==\"",
            "\"AA=\"",
            "\"AA===\"",
            "\"a_+b\"",
            "\"aG k\"",
            "\"=\"",
            "\"é\"",
            "\"aGVs\\n\"",
        ],
    );
    refuses(t(), TypeMismatch, &["1", "true", "{}", "[]", "[1,2]"]);
}

#[test]
fn timestamps_take_text_in_the_usual_forms() {
    let t = || json!({"type": "timestamp", "unit": "microsecond"});
    const DAY: i128 = 1_767_225_600_000_000; // 2026-01-01
    const HOUR: i128 = 3_600_000_000;
    takes(
        t(),
        &[
            ("\"2026-01-01\"", Int(DAY)),
            ("\"2026-01-01T10:00\"", Int(DAY + 10 * HOUR)),
            ("\"2026-01-01T10:00:00\"", Int(DAY + 10 * HOUR)),
            ("\"2026-01-01 10:00:00\"", Int(DAY + 10 * HOUR)),
            ("\"2026-01-01T10:00:00Z\"", Int(DAY + 10 * HOUR)),
            ("\"2026-01-01t10:00:00z\"", Int(DAY + 10 * HOUR)),
            ("\"2026-01-01T10:00:00.5Z\"", Int(DAY + 10 * HOUR + 500_000)),
            ("\"2026-01-01T10:00:00.123456Z\"", Int(DAY + 10 * HOUR + 123_456)),
            ("\"2026-01-01T10:00:00.123456789Z\"", Int(DAY + 10 * HOUR + 123_456)),
            ("\"2026-01-01T10:00:00+02:00\"", Int(DAY + 8 * HOUR)),
            ("\"2026-01-01T10:00:00-0530\"", Int(DAY + 15 * HOUR + HOUR / 2)),
            ("\"2026-01-01 10:00:00.1+02\"", Int(DAY + 8 * HOUR + 100_000)),
            ("\"2026-01-01T10:00\\u003a00Z\"", Int(DAY + 10 * HOUR)),
            ("\"1969-12-31T23:59:59.999999Z\"", Int(-1)),
            ("\"1969-12-31T23:59:59.9999995Z\"", Int(-1)),
            ("\"2016-12-31T23:59:60Z\"", Int(1_483_228_800_000_000)),
            ("\"2000-02-29\"", Int(951_782_400_000_000)),
            ("\"0000-01-01\"", Int(-62_167_219_200_000_000)),
            ("\"9999-12-31T23:59:59.999999Z\"", Int(253_402_300_799_999_999)),
        ],
    );
    refuses(
        t(),
        ParseFailure,
        &[
            "\"\"",
            "\"now\"",
            "\"2026\"",
            "\"2026-01\"",
            "\"2026-1-1\"",
            "\"20260101\"",
            "\"2026-13-01\"",
            "\"2026-00-01\"",
            "\"2026-01-00\"",
            "\"2026-04-31\"",
            "\"1900-02-29\"",
            "\"2026-02-29T00:00:00Z\"",
            "\"2026-01-01T\"",
            "\"2026-01-01Z\"",
            "\"2026-01-01T24:00:00Z\"",
            "\"2026-01-01T10:60:00Z\"",
            "\"2026-01-01T10:00:61Z\"",
            "\"2026-01-01T10:00:60Z\"",
            "\"2026-01-01T10:00:00.Z\"",
            "\"2026-01-01T10:00:00.1234567890Z\"",
            "\"2026-01-01T10:00:00 Z\"",
            "\"2026-01-01T10:00:00+24:00\"",
            "\"2026-01-01T10:00:00+2:00\"",
            "\"2026-01-01T10:00:00+02:60\"",
            "\"2026-01-01T10:00:00ZZ\"",
            "\" 2026-01-01\"",
            "\"2026-01-01T10:00:00,5Z\"",
            "\"2026/01/01\"",
            "\"1767225600\"",
            "\"+2026-01-01\"",
            "\"2026-01-01T10:0a:00Z\"",
            "\"2026-01-01T1/:00:00Z\"",
            "\"2026-01-01T10:00:0:Z\"",
            "\"Sun Aug 31 00:29:15 +0000 2014\"",
            "\"２026-01-01\"",
        ],
    );
    refuses(t(), TypeMismatch, &["true", "false", "{}", "[]", "9223372036854775808", "1e30"]);
}

#[test]
fn timestamps_take_numbers_in_their_unit_and_cut_what_is_finer() {
    let stamp = "\"2026-01-01T00:00:01.987654321Z\"";
    let cases = [
        ("second", 1_767_225_601),
        ("millisecond", 1_767_225_601_987),
        ("microsecond", 1_767_225_601_987_654),
        ("nanosecond", 1_767_225_601_987_654_321),
    ];
    for (unit, value) in cases {
        takes(
            json!({"type": "timestamp", "unit": unit}),
            &[
                (stamp, Int(value)),
                (&value.to_string(), Int(value)),
                (&format!("{value}.9"), Int(value)),
                ("-1.9", Int(-1)),
                ("1e3", Int(1000)),
            ],
        );
    }
    let nanos = || json!({"type": "timestamp", "unit": "nanosecond"});
    takes(
        nanos(),
        &[
            ("\"2262-04-11T23:47:16.854775807Z\"", Int(i128::from(i64::MAX))),
            ("\"1677-09-21T00:12:43.145224192Z\"", Int(i128::from(i64::MIN))),
        ],
    );
    refuses(
        nanos(),
        TypeMismatch,
        &[
            "\"2262-04-11T23:47:16.854775808Z\"",
            "\"1677-09-21T00:12:43.145224191Z\"",
            "\"9999-12-31\"",
            "\"0000-01-01\"",
        ],
    );
}

#[test]
fn json_takes_everything_as_compact_text() {
    let t = || json!({"type": "json"});
    takes(
        t(),
        &[
            ("true", text("true")),
            ("-1.50e+3", text("-1.50e+3")),
            ("\"a b\"", text("\"a b\"")),
            (r#""\u00e9\/\ud800""#, text(r#""\u00e9\/\ud800""#)),
            ("[]", text("[]")),
            ("{ }", text("{}")),
            ("[ 1 ,\t2\r\n, [ 3 ] ]", text("[1,2,[3]]")),
            (r#"{"b" : 1 , "a":" x : { y ","b":2}"#, text(r#"{"b":1,"a":" x : { y ","b":2}"#)),
            (r#"{"k":[{"x":null},"日本"]}"#, text(r#"{"k":[{"x":null},"日本"]}"#)),
        ],
    );
    let schema = schema(json!([{"name": "c", "type": "json", "required": true}]));
    let mut decoder = Decoder::new(Some(&schema), &[0]);
    assert_eq!(decoder.push(b"{\"c\":null}").unwrap_err().reason, Reason::NullValue);
}

#[test]
fn structs_take_objects_and_lists_take_arrays() {
    let point = || json!({"type": "struct", "fields": [{"name": "x", "type": "int32"}, {"name": "y", "type": "string"}]});
    takes(
        point(),
        &[
            ("{}", Cell::Struct(vec![Cell::Null, Cell::Null])),
            (r#"{"y":"b","x":1}"#, Cell::Struct(vec![Int(1), text("b")])),
            (r#"{"z":[{}],"x":2,"X":3}"#, Cell::Struct(vec![Int(2), Cell::Null])),
        ],
    );
    refuses(point(), TypeMismatch, &["1", "\"{}\"", "true", "[]", "[{}]"]);
    let ints = || json!({"type": "list", "items": {"type": "int64"}});
    takes(
        ints(),
        &[
            ("[]", Cell::List(vec![])),
            ("[ ]", Cell::List(vec![])),
            ("[1, \"2\" ,null,4.0]", Cell::List(vec![Int(1), Int(2), Cell::Null, Int(4)])),
        ],
    );
    refuses(ints(), TypeMismatch, &["1", "\"[]\"", "true", "{}"]);
    let nested = json!({"type": "list", "items": {"type": "list", "items": {"type": "string"}}});
    takes(
        nested,
        &[(
            r#"[[],["a"],null,["b","c"]]"#,
            Cell::List(vec![
                Cell::List(vec![]),
                Cell::List(vec![text("a")]),
                Cell::Null,
                Cell::List(vec![text("b"), text("c")]),
            ]),
        )],
    );
}
