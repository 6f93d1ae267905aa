use std::fmt::Write;

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

fn stored(argument: &str) -> String {
    String::from_utf8(records(Some(argument)).expect("records")).expect("text")
}

fn refused(argument: &str) -> String {
    match records(Some(argument)) {
        Err(Fault::Refused(reason)) => reason,
        other => panic!("{argument}: {other:?}"),
    }
}

#[test]
fn arrays_are_unwrapped_at_every_level_and_all_else_is_kept_byte_for_byte() {
    for (wire, json) in [
        ("[[]]", "[]"),
        ("[[{}]]", "[{}]"),
        (
            r#"[[{"a":1,"b":-1.50e+3,"c":true,"d":null,"e":"x"}]]"#,
            r#"[{"a":1,"b":-1.50e+3,"c":true,"d":null,"e":"x"}]"#,
        ),
        (r#"[[{"a":[[1,[[]],[[[[2]]]]]]}]]"#, r#"[{"a":[1,[],[[2]]]}]"#),
        (
            r#"[[{"\"]}[":"\\\"],[[","ü":"\u00fc\ud800"},5,"text"]]"#,
            r#"[{"\"]}[":"\\\"],[[","ü":"\u00fc\ud800"},5,"text"]"#,
        ),
        (" [ [ { \"a\" : [ [ 1 , 2 ] ] , \"b\" : 3 } , { } ] ] ".trim(), r#"[{"a":[1,2],"b":3},{}]"#),
    ] {
        assert_eq!(stored(wire), json, "{wire}");
    }
}

#[test]
fn undefined_is_left_out_of_objects_and_null_in_arrays() {
    for (wire, json) in [
        (r#"[[{"a":["undefined"]}]]"#, "[{}]"),
        (r#"[[{"a":["undefined"],"b":1}]]"#, r#"[{"b":1}]"#),
        (r#"[[{"a":1,"b":["undefined"]}]]"#, r#"[{"a":1}]"#),
        (r#"[[{"a":1,"b":["undefined"],"c":["undefined"],"d":{"e":["undefined"]}}]]"#, r#"[{"a":1,"d":{}}]"#),
        (r#"[[{"a":[[["undefined"],1]]},["undefined"]]]"#, r#"[{"a":[null,1]},null]"#),
    ] {
        assert_eq!(stored(wire), json, "{wire}");
    }
}

#[test]
fn dates_bigints_bytes_and_their_like_become_what_the_table_says() {
    for (wire, json) in [
        (r#"["date",1767323045678]"#, r#""2026-01-02T03:04:05.678Z""#),
        (r#"["date",0]"#, r#""1970-01-01T00:00:00.000Z""#),
        (r#"["date",-1]"#, r#""1969-12-31T23:59:59.999Z""#),
        (r#"["date",-62167219200000]"#, r#""0000-01-01T00:00:00.000Z""#),
        (r#"["date",-62167219200001]"#, r#""-000001-12-31T23:59:59.999Z""#),
        (r#"["date",253402300800000]"#, r#""+010000-01-01T00:00:00.000Z""#),
        (r#"["date",1.9]"#, r#""1970-01-01T00:00:00.001Z""#),
        (r#"["date",null]"#, "null"),
        (r#"["date",8640000000000001]"#, "null"),
        (r#"["bigint","0"]"#, "0"),
        (r#"["bigint","-123456789012345678901234567890"]"#, "-123456789012345678901234567890"),
        (r#"["bytes",""]"#, r#""""#),
        (r#"["bytes","AQ"]"#, r#""AQ==""#),
        (r#"["bytes","AQI"]"#, r#""AQI=""#),
        (r#"["bytes","AQID","Float32Array"]"#, r#""AQID""#),
        (r#"["inf"]"#, "null"),
        (r#"["-inf"]"#, "null"),
        (r#"["nan"]"#, "null"),
        (r#"["url","https://a.example/\"x"]"#, r#""https://a.example/\"x""#),
    ] {
        assert_eq!(
            stored(&format!(r#"[[{{"v":{wire},"w":1}}]]"#)),
            format!(r#"[{{"v":{json},"w":1}}]"#),
            "{wire}"
        );
    }
}

#[test]
fn what_is_not_data_is_refused_by_its_kind() {
    for (wire, kind) in [
        (r#"["error","TypeError","x",null,{"a":[[["undefined"]]]}]"#, "an error"),
        (r#"["export",-1]"#, "a function or an RPC stub"),
        (r#"["promise",-1]"#, "a function or an RPC stub"),
        (r#"["pipeline",0,["send"],[5]]"#, "a function or an RPC stub"),
        (r#"["headers",[["a","b"]]]"#, "a request, a response or a part of one"),
        (r#"["readable",1]"#, "a stream of bytes"),
    ] {
        assert_eq!(
            refused(&format!(r#"[[{{"v":{wire}}}]]"#)),
            format!("the records hold {kind}; a record is made of JSON values")
        );
    }
    assert_eq!(
        refused(r#"[[{"v":["date",8640000000000000]}]]"#),
        "the records hold a date more than 262,000 years away"
    );
}

#[test]
fn an_argument_that_is_no_array_is_named_by_its_kind() {
    for (wire, kind) in [
        ("{}", "an object"),
        (r#""[]""#, "a string"),
        ("5", "a number"),
        ("-5", "a number"),
        ("true", "a boolean"),
        ("false", "a boolean"),
        ("null", "null"),
        (r#"["undefined"]"#, "undefined"),
        (r#"["nan"]"#, "a number"),
        (r#"["date",1]"#, "a date"),
        (r#"["bigint","1"]"#, "a bigint"),
        (r#"["bytes",""]"#, "bytes"),
        (r#"["url","a:"]"#, "a URL"),
        (r#"["export",-1]"#, "a function or an RPC stub"),
    ] {
        assert_eq!(refused(wire), format!("send() was given {kind}; it takes an array of records"));
    }
    assert_eq!(records(None), records(Some(r#"["undefined"]"#)));
}

#[test]
fn special_values_that_the_protocol_does_not_have_are_faults_of_the_protocol() {
    for wire in [
        "[]",
        "[5]",
        "[null]",
        "[{}]",
        r#"["unheard-of"]"#,
        r#"["undefined",1]"#,
        r#"["date"]"#,
        r#"["date","1"]"#,
        r#"["date",true]"#,
        r#"["date",1,2]"#,
        r#"["bigint",1]"#,
        r#"["bigint",""]"#,
        r#"["bigint","-"]"#,
        r#"["bigint","01"]"#,
        r#"["bigint","1.0"]"#,
        r#"["bigint","1\u0030"]"#,
        r#"["bytes",1]"#,
        r#"["bytes","A"]"#,
        r#"["bytes","A==="]"#,
        r#"["bytes","A\"Q"]"#,
        r#"["url",5]"#,
        r#"["\u0064ate",1]"#,
        r#"["error","a","b","c",{},6]"#,
    ] {
        assert_eq!(records(Some(&format!(r#"[[{{"v":{wire}}}]]"#))), Err(BAD_VALUE), "{wire}");
        assert_eq!(records(Some(wire)), Err(BAD_VALUE), "{wire} as the argument");
    }
    for wire in ["[[],[]]", "[[1],2]", r#"[[{"a":[[1],[2]]}]]"#, r#"[[{"a":[[],5]}]]"#] {
        assert_eq!(records(Some(wire)), Err(BAD_VALUE), "{wire}");
    }
}

#[test]
fn nesting_ends_where_that_of_records_ends() {
    let nested = |levels: usize| format!("[[{}1{}]]", r#"{"a":"#.repeat(levels), "}".repeat(levels));
    assert_eq!(stored(&nested(JSON_DEPTH_MAX)).len(), nested(JSON_DEPTH_MAX).len() - 2);
    assert_eq!(
        refused(&nested(JSON_DEPTH_MAX + 1)),
        "the records nest deeper than 64 levels, which is the limit"
    );
    let arrays = |levels: usize| format!("[[{{\"a\":{}{}}}]]", "[[".repeat(levels), "]]".repeat(levels));
    assert_eq!(stored(&arrays(JSON_DEPTH_MAX - 1)).len(), 8 + 2 * (JSON_DEPTH_MAX - 1));
    assert_eq!(
        refused(&arrays(JSON_DEPTH_MAX)),
        "the records nest deeper than 64 levels, which is the limit"
    );
    assert!(records(Some(&arrays(1_000_000))).is_err());
}

/// What the reference implementation sends for a JSON value.
fn on_the_wire(value: &Value, out: &mut String) {
    match value {
        Value::Array(all) => {
            out.push_str("[[");
            for (i, element) in all.iter().enumerate() {
                out.push_str(if i == 0 { "" } else { "," });
                on_the_wire(element, out);
            }
            out.push_str("]]");
        }
        Value::Object(all) => {
            out.push('{');
            for (i, (key, element)) in all.iter().enumerate() {
                let _ = write!(out, "{}{}:", if i == 0 { "" } else { "," }, json!(key));
                on_the_wire(element, out);
            }
            out.push('}');
        }
        scalar => out.push_str(&scalar.to_string()),
    }
}

fn any_json() -> impl Strategy<Value = Value> {
    let scalar = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        (-1e300..1e300_f64).prop_map(Value::from),
        ".*".prop_map(Value::from),
        r#"["\\\[\]{},:]*"#.prop_map(Value::from),
    ];
    scalar.prop_recursive(5, 60, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            prop::collection::vec((r#"[a-c"\\\[{]*"#, inner), 0..6)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn any_json_arrives_as_it_was(records_sent in prop::collection::vec(any_json(), 0..6)) {
        let sent = Value::from(records_sent);
        let mut wire = String::new();
        on_the_wire(&sent, &mut wire);
        prop_assert_eq!(stored(&wire), sent.to_string());
    }

    #[test]
    fn any_valid_json_is_stored_as_valid_json_or_refused(argument in any_json()) {
        if let Ok(stored) = records(Some(&argument.to_string())) {
            prop_assert!(serde_json::from_slice::<Value>(&stored).is_ok_and(|v| v.is_array()));
        }
    }

    #[test]
    fn texts_of_the_protocols_own_parts_are_stored_as_valid_json_or_refused(
        parts in prop::collection::vec(
            prop::sample::select(vec!["[", "]", "[[", "]]", "{", "}", "\"a\":", "\"date\"", "1", ",", "\"undefined\"", "\"\\\"\"", " "]), 0..24,
        ),
    ) {
        let text = parts.concat();
        let trimmed = text.trim();
        // The session gives it valid JSON only; on anything else it must still end without a panic.
        let outcome = records(Some(trimmed));
        if let (Ok(stored), Ok(_)) = (outcome, serde_json::from_str::<serde::de::IgnoredAny>(trimmed)) {
            prop_assert!(serde_json::from_slice::<Value>(&stored).is_ok_and(|v| v.is_array()), "{}", trimmed);
        }
    }

    #[test]
    fn any_text_ends_without_a_panic(text in ".*") {
        let _ = records(Some(&text));
    }
}
