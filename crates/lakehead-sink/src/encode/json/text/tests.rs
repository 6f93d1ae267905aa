use proptest::prelude::*;
use serde_json::Value;

use super::*;

fn written(write: impl FnOnce(&mut Vec<u8>)) -> String {
    let mut out = Vec::new();
    write(&mut out);
    String::from_utf8(out).unwrap()
}

#[test]
fn strings_are_escaped_where_json_demands_it_and_nowhere_else() {
    assert_eq!(written(|o| string(o, "")), r#""""#);
    assert_eq!(
        written(|o| string(o, "a\"b\\c/d\n\r\t\u{8}\u{c}\u{1}\u{1f}\u{7f}")),
        "\"a\\\"b\\\\c/d\\n\\r\\t\\b\\f\\u0001\\u001f\u{7f}\""
    );
    assert_eq!(written(|o| string(o, "日本 🌀 é")), "\"日本 🌀 é\"");
}

#[test]
fn line_breaks_between_the_tokens_of_raw_json_become_spaces() {
    assert_eq!(written(|o| json(o, "{\n \"a\":\r\n1}")), "{  \"a\":  1}");
    assert_eq!(written(|o| json(o, "{\"a\":\"x\\ny\"}")), "{\"a\":\"x\\ny\"}");
    assert_eq!(written(|o| json(o, "")), "null");
}

#[test]
fn decimals_have_all_their_digits() {
    let number = |v, scale| written(|o| decimal(o, v, scale, DecimalEncoding::Number));
    assert_eq!(number(12345, 2), "123.45");
    assert_eq!(number(-5, 3), "-0.005");
    assert_eq!(number(-5, 1), "-0.5");
    assert_eq!(number(0, 2), "0.00");
    assert_eq!(number(7, 0), "7");
    assert_eq!(number(7, -3), "7000");
    assert_eq!(number(0, -3), "0");
    assert_eq!(number(i128::MIN, 38), "-1.70141183460469231731687303715884105728");
    assert_eq!(written(|o| decimal(o, 150, 2, DecimalEncoding::String)), "\"1.50\"");
    assert_eq!(written(|o| decimal(o, -1, 2, DecimalEncoding::Bytes)), "\"/////////////////////w==\"");
}

#[test]
fn floats_are_the_shortest_text_that_reads_back_the_same() {
    assert_eq!(written(|o| float(o, 0.1f64)), "0.1");
    assert_eq!(written(|o| float(o, 0.1f32)), "0.1");
    assert_eq!(written(|o| float(o, -0.0f64)), "-0.0");
    assert_eq!(written(|o| float(o, f64::NAN)), "null");
    assert_eq!(written(|o| float(o, f32::NEG_INFINITY)), "null");
}

#[test]
fn timestamps_have_as_many_digits_as_their_unit() {
    use TimeUnit::{Microsecond, Millisecond, Nanosecond, Second};
    let rfc = |v, unit| written(|o| timestamp(o, v, unit, TimestampFormat::Rfc3339));
    assert_eq!(rfc(1_754_211_845, Second), "\"2025-08-03T09:04:05Z\"");
    assert_eq!(rfc(1_754_211_845_006, Millisecond), "\"2025-08-03T09:04:05.006Z\"");
    assert_eq!(rfc(1_754_211_845_006_007, Microsecond), "\"2025-08-03T09:04:05.006007Z\"");
    assert_eq!(rfc(1_754_211_845_006_007_008, Nanosecond), "\"2025-08-03T09:04:05.006007008Z\"");
    assert_eq!(rfc(-1, Millisecond), "\"1969-12-31T23:59:59.999Z\"");
    assert_eq!(rfc(-62_167_219_201, Second), "\"-0001-12-31T23:59:59Z\"");
    assert_eq!(rfc(253_402_300_800, Second), "\"+10000-01-01T00:00:00Z\"");
    assert!(rfc(i64::MIN, Second).ends_with("Z\""));
    let millis = |v, unit| written(|o| timestamp(o, v, unit, TimestampFormat::UnixMillis));
    assert_eq!(millis(5, Second), "5000");
    assert_eq!(millis(i64::MAX, Second), "9223372036854775807000");
    assert_eq!(millis(-1, Microsecond), "-1");
    assert_eq!(millis(1_999_999, Nanosecond), "1");
}

proptest! {
    #[test]
    fn any_string_reads_back(text in "\\PC*|[\\x00-\\x7f]{0,40}") {
        let line = written(|o| string(o, &text));
        prop_assert!(!line.contains('\n'));
        prop_assert_eq!(serde_json::from_str::<String>(&line).unwrap(), text);
    }

    #[test]
    fn the_first_special_byte_is_found_wherever_it_is(mut bytes in prop::collection::vec(any::<u8>(), 0..70), at in any::<prop::sample::Index>()) {
        let plain = |b: &u8| *b < 0x20 || *b == b'"' || *b == b'\\';
        prop_assert_eq!(special(&bytes), bytes.iter().position(plain));
        if !bytes.is_empty() {
            for b in &mut bytes {
                *b |= 0x80;
            }
            let at = at.index(bytes.len());
            bytes[at] = b'\\';
            prop_assert_eq!(special(&bytes), Some(at));
        }
    }

    #[test]
    fn any_finite_float_reads_back(bits in any::<u64>()) {
        let v = f64::from_bits(bits);
        prop_assume!(v.is_finite());
        prop_assert_eq!(written(|o| float(o, v)).parse::<f64>().unwrap().to_bits(), bits);
    }

    #[test]
    fn any_decimal_reads_back(v in any::<i128>(), scale in 0i8..38) {
        let text = written(|o| decimal(o, v, scale, DecimalEncoding::Number));
        prop_assert!(serde_json::from_str::<Value>(&text).is_ok());
        prop_assert_eq!(text.rsplit('.').next().unwrap().len() == usize::from(scale.unsigned_abs()), text.contains('.'));
        prop_assert_eq!(text.replace('.', "").parse::<i128>().unwrap(), v);
    }

    #[test]
    fn dates_agree_with_the_calendar_library(days in -700_000i64..2_900_000) {
        let expected = chrono::NaiveDate::from_epoch_days(i32::try_from(days).unwrap()).unwrap();
        prop_assert_eq!(written(|o| date(o, days)), expected.format("%Y-%m-%d").to_string());
    }
}
