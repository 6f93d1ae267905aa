//! Framing at the corners of the grammar, and its limits.

use lakehead_decode::{BodyErrorKind as Kind, frame_array, frame_lines};
use lakehead_model::limits::{JSON_DEPTH_MAX, RECORD_BYTES_MAX};

fn array(body: impl AsRef<[u8]>) -> Result<usize, lakehead_decode::BodyError> {
    let mut bounds = Vec::new();
    frame_array(body.as_ref(), &mut bounds).map(|()| bounds.len())
}

fn lines(body: impl AsRef<[u8]>) -> Result<usize, lakehead_decode::BodyError> {
    let mut bounds = Vec::new();
    frame_lines(body.as_ref(), &mut bounds).map(|()| bounds.len())
}

#[test]
fn arrays_of_objects_are_taken() {
    assert_eq!(array("[]"), Ok(0));
    assert_eq!(array(" [ \r\n\t] \n"), Ok(0));
    assert_eq!(array("[{}]"), Ok(1));
    assert_eq!(array(" [ { } , {\"a\" : [ ] } ] "), Ok(2));
    assert_eq!(array("[{\"\":\"\"},{\"a\":1,\"a\":2}]"), Ok(2));
    let values = [
        "0",
        "-0",
        "1.5",
        "-0.0e-0",
        "1E400",
        "123456789012345678901234567890",
        "true",
        "false",
        "null",
        "\"\"",
        "\"\\u0000\"",
        "\"\\ud800\"",
        "\"\\\"\\\\\\/\\b\\f\\n\\r\\t\"",
        "\"\u{7f}\u{80}é日🌀\"",
        "[]",
        "{}",
        "[[],{}]",
        "[1,[2,[3]]]",
        "\"{[,:]}\"",
    ];
    for value in values {
        assert_eq!(array(format!("[{{\"k\":{value}}},{{\"k\" : [ {value} ]}}]")), Ok(2), "{value}");
    }
}

#[test]
fn what_is_not_json_is_refused_at_its_byte() {
    let values = [
        ("", 0),
        ("01", 1),
        ("-", 1),
        ("+1", 0),
        ("1.", 2),
        (".5", 0),
        ("1e", 2),
        ("1e+", 3),
        ("0x1", 1),
        ("1.e1", 2),
        ("--1", 1),
        ("NaN", 0),
        ("Infinity", 0),
        ("-Infinity", 1),
        ("nul", 0),
        ("True", 0),
        ("truex", 4),
        ("'a'", 0),
        ("undefined", 0),
        ("\"\\x\"", 2),
        ("\"\\u12g4\"", 5),
        ("\"\\u12\"", 5),
        ("\"a\nb\"", 2),
        ("\"\t\"", 1),
        ("\"\0\"", 1),
        ("\"\u{1f}\"", 1),
        ("[1,]", 3),
        ("[,1]", 1),
        ("[1 2]", 3),
        ("{\"a\":1,}", 7),
        ("{a:1}", 1),
        ("{\"a\" 1}", 5),
        ("{\"a\":}", 5),
        ("{1:2}", 1),
        ("[1}", 2),
        ("{\"a\":1]", 6),
        ("1 2", 2),
        ("/*x*/1", 0),
        ("1//x", 1),
        ("\u{feff}1", 0),
        ("\u{a0}1", 0),
        ("\u{c}1", 0),
    ];
    for (value, at) in values {
        let body = format!("[{{\"a\":2}},{{\"k\":{value}}}]");
        let error = array(&body).expect_err(value);
        assert_eq!(
            (error.kind, error.position_bytes, error.record),
            (Kind::Malformed, 14 + at, Some(1)),
            "{body}"
        );
        assert!(
            error.message.contains(&format!("byte {}", 14 + at)) && error.message.contains("record 1"),
            "{error}"
        );
        let line = format!("{{\"a\":2}}\n{{\"k\":{value}}}");
        let error = lines(&line).expect_err(value);
        assert_eq!((error.kind, error.record), (Kind::Malformed, Some(1)), "{line:?}");
    }
}

#[test]
fn bodies_that_end_early_or_go_on_are_refused() {
    let whole = r#"[{"k":"v\n","l":[1.5e3,{"m":null}]},{}]"#;
    for length in 0..whole.len() {
        let error = array(&whole[..length]).unwrap_err();
        assert_eq!(error.kind, Kind::Malformed, "{error}");
        assert!(error.position_bytes <= length);
    }
    for (body, at) in [
        ("[{}]]", 4),
        ("[{}] [{}]", 5),
        ("[{}]x", 4),
        ("[{},]", 4),
        ("[,{}]", 1),
        ("[{} {}]", 4),
        ("[{}}", 3),
    ] {
        let error = array(body).unwrap_err();
        assert_eq!((error.kind, error.position_bytes), (Kind::Malformed, at), "{body}");
    }
    assert!(array("").unwrap_err().message.contains("ends there"));
}

#[test]
fn a_byte_order_mark_is_refused_and_named() {
    let error = array(b"\xEF\xBB\xBF[]").unwrap_err();
    assert_eq!((error.kind, error.position_bytes), (Kind::Malformed, 0));
    assert!(error.message.contains("byte order mark"), "{error}");
}

#[test]
fn bytes_that_are_not_utf8_are_refused_at_the_first() {
    for bad in [&b"\xFF"[..], b"\xC3", b"\xC0\xAF", b"\xED\xA0\x80", b"\xF5\x80\x80\x80", b"\x80"] {
        let body = [b"[{\"k\":\"", bad, b"\"}]"].concat();
        let error = array(&body).unwrap_err();
        assert_eq!((error.kind, error.position_bytes), (Kind::NotUtf8, 7), "{bad:?}");
        assert_eq!(lines(&body[1..body.len() - 1]).unwrap_err().kind, Kind::NotUtf8);
    }
}

#[test]
fn other_values_than_arrays_and_objects_are_told_apart_from_garbage() {
    for body in ["{}", "{\"a\":1}", "1", "\"x\"", "true", "null", " -1"] {
        assert_eq!(array(body).unwrap_err().kind, Kind::NotAnArray, "{body}");
    }
    for body in ["", "x", "]", "(1)", "\u{0}"] {
        assert_eq!(array(body).unwrap_err().kind, Kind::Malformed, "{body}");
    }
    for value in ["1", "[]", "\"x\"", "true", "false", "null", "-1", "[{}]"] {
        let error = array(format!("[{{}},{value}]")).unwrap_err();
        assert_eq!((error.kind, error.position_bytes), (Kind::NotAnObject { record: 1 }, 4), "{value}");
        let error = lines(format!("{{}}\n{value}")).unwrap_err();
        assert_eq!((error.kind, error.position_bytes), (Kind::NotAnObject { record: 1 }, 3), "{value}");
    }
}

fn nested(depth: usize, open: &str, close: &str) -> String {
    format!("{{\"k\":{}{}}}", open.repeat(depth - 1), close.repeat(depth - 1))
}

#[test]
fn nesting_is_limited_and_the_record_is_its_first_level() {
    for (open, close) in [("[", "]"), ("{\"k\":", "}")] {
        let inner = if open == "[" { "" } else { "1" };
        let body = |depth: usize| {
            format!("[{{\"k\":{}{inner}{}}}]", open.repeat(depth - 1), close.repeat(depth - 1))
        };
        assert_eq!(array(body(JSON_DEPTH_MAX)), Ok(1));
        let error = array(body(JSON_DEPTH_MAX + 1)).unwrap_err();
        assert_eq!((error.kind, error.record), (Kind::TooDeep, Some(0)));
        assert!(error.message.contains("64"), "{error}");
    }
    // Depth is not summed up over siblings.
    let record = nested(JSON_DEPTH_MAX, "[", "]");
    assert_eq!(array(format!("[{record},{record}]")), Ok(2));
}

#[test]
fn a_million_brackets_need_neither_stack_nor_time() {
    let bodies =
        ["[".repeat(1_000_000), "{\"a\":".repeat(1_000_000), format!("[{{\"a\":{}", "[".repeat(1_000_000))];
    let small_stack = std::thread::Builder::new().stack_size(128 << 10);
    let thread = small_stack.spawn(move || {
        for body in bodies {
            array(&body).unwrap_err();
            lines(&body).unwrap_err();
            // The decoder's own skipping has no limit and no recursion.
            let mut decoder = lakehead_decode::Decoder::new(None, &[0]);
            decoder.push(body.as_bytes()).unwrap_err();
        }
        let deep = format!("{{\"a\":{}{}}}", "[".repeat(400_000), "]".repeat(400_000));
        lakehead_decode::Decoder::new(None, &[0]).push(deep.as_bytes()).unwrap();
    });
    thread.unwrap().join().unwrap();
}

#[test]
fn a_record_is_limited_in_its_bytes() {
    let record = |bytes: usize| format!("{{\"k\":\"{}\"}}", "x".repeat(bytes - 8));
    assert_eq!(array(format!("[ {} , {{}} ]", record(RECORD_BYTES_MAX))), Ok(2));
    let error = array(format!("[{{}},{}]", record(RECORD_BYTES_MAX + 1))).unwrap_err();
    let kind = Kind::RecordTooLarge { record: 1, bytes: RECORD_BYTES_MAX + 1, limit: RECORD_BYTES_MAX };
    assert_eq!((error.kind, error.position_bytes, error.record), (kind, 4, Some(1)));
    assert!(error.message.contains("1048577") && error.message.contains("1048576"), "{error}");
    assert_eq!(lines(record(RECORD_BYTES_MAX)), Ok(1));
    assert!(matches!(lines(record(RECORD_BYTES_MAX + 1)).unwrap_err().kind, Kind::RecordTooLarge { .. }));
}

#[test]
fn lines_end_in_any_way_and_may_be_blank() {
    assert_eq!(lines(""), Ok(0));
    assert_eq!(lines("\n \r\n\t\n"), Ok(0));
    assert_eq!(lines("{}"), Ok(1));
    assert_eq!(lines("{}\n"), Ok(1));
    assert_eq!(lines("\n{}\r\n\r\n  {\"a\" : 1} \t\r\n\n{}"), Ok(3));
    for (body, at) in [
        ("{} {}", 3),
        ("{},\n{}", 2),
        ("{\n}", 1),
        ("{\"a\":\n1}", 5),
        ("{\"a\":[1\n]}", 7),
        ("{}\nx", 3),
        ("{}\n}", 3),
    ] {
        let error = lines(body).unwrap_err();
        assert_eq!((error.kind, error.position_bytes), (Kind::Malformed, at), "{body:?}");
    }
}

#[test]
fn messages_never_hold_what_the_body_says() {
    for body in [
        "[{\"secret\":secret}]",
        "[{\"secret\":\"secret\" secret}]",
        "[\"secret\"]",
        "[{\"secret\" 1}]",
        "secret",
    ] {
        let error = array(body).unwrap_err();
        assert!(!format!("{error} {error:?}").contains("secret"), "{error:?}");
    }
}

#[test]
fn bounds_start_over_with_every_body() {
    let mut bounds = vec![(7, 9)];
    frame_array(b"[{}]", &mut bounds).unwrap();
    assert_eq!(bounds, [(1, 3)]);
    frame_lines(b" {}\n{\"a\":1}\r\n", &mut bounds).unwrap();
    assert_eq!(bounds, [(1, 3), (4, 11)]);
    frame_array(b"[{},{}x]", &mut bounds).unwrap_err();
    assert_eq!(bounds, [(1, 3), (4, 6)], "the records in front of the fault");
}
