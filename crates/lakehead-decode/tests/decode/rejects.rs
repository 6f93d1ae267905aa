//! What a reject says, and that it leaves nothing behind; duplicate keys; projection.

use arrow_array::Array;
use arrow_array::cast::AsArray;
use lakehead_decode::{Decoder, Reason};
use serde_json::json;

use crate::coercion::schema;
use crate::reference::{self, rows};

fn orders() -> lakehead_model::Schema {
    schema(json!([
        {"name": "id", "type": "int64", "required": true},
        {"name": "note", "type": "string"},
        {"name": "items", "type": "list", "items": {"type": "struct", "required": true, "fields": [
            {"name": "sku", "type": "string", "required": true},
            {"name": "price", "type": "decimal128", "precision": 10, "scale": 2, "required": true},
            {"name": "tags", "type": "list", "items": {"type": "string"}},
            {"name": "more", "type": "json"}]}},
        {"name": "who", "type": "struct", "fields": [
            {"name": "name", "type": "string", "required": true},
            {"name": "at", "type": "struct", "fields": [
                {"name": "seen", "type": "timestamp", "required": true},
                {"name": "raw", "type": "binary"},
                {"name": "ok", "type": "bool"}]}]},
    ]))
}

const WHOLE: &str = r#"{"id":1,"note":"n","items":[{"sku":"a","price":1,"tags":["t","u"],"more":{"k":1}},{"sku":"b","price":"2.5"}],
    "who":{"name":"w","at":{"seen":"2026-01-01","raw":"aGk=","ok":true}}}"#;

/// Broken records: every reason at every depth, in front of, between and behind good parts.
const BROKEN: [(&str, Reason, &str); 22] = [
    (r#"{}"#, Reason::MissingField, "id"),
    (r#"{"id":null}"#, Reason::NullValue, "id"),
    (r#"{"id":true,"note":"x"}"#, Reason::TypeMismatch, "id"),
    (r#"{"note":"x","id":"seven"}"#, Reason::ParseFailure, "id"),
    (r#"{"id":1,"note":5}"#, Reason::TypeMismatch, "note"),
    (r#"{"id":1,"items":{}}"#, Reason::TypeMismatch, "items"),
    (r#"{"id":1,"items":[null]}"#, Reason::NullValue, "items[0]"),
    (r#"{"id":1,"items":[{"sku":"a","price":1},3]}"#, Reason::TypeMismatch, "items[1]"),
    (
        r#"{"id":1,"items":[{"sku":"a","price":1},{"price":1}],"note":"x"}"#,
        Reason::MissingField,
        "items[1].sku",
    ),
    (
        r#"{"id":1,"items":[{"sku":"a","price":1},{"sku":"b","price":"x"},{"sku":"c"}]}"#,
        Reason::ParseFailure,
        "items[1].price",
    ),
    (r#"{"id":1,"items":[{"sku":"a","price":1.001}]}"#, Reason::TypeMismatch, "items[0].price"),
    (r#"{"id":1,"items":[{"sku":"a","price":null}]}"#, Reason::NullValue, "items[0].price"),
    (
        r#"{"id":1,"items":[{"sku":"a","price":1,"tags":["x","y",1]}]}"#,
        Reason::TypeMismatch,
        "items[0].tags[2]",
    ),
    (
        r#"{"id":1,"items":[{"sku":"a","price":1,"tags":["x"]},{"sku":"a","price":1,"tags":"x"}]}"#,
        Reason::TypeMismatch,
        "items[1].tags",
    ),
    (r#"{"id":1,"who":{}}"#, Reason::MissingField, "who.name"),
    (r#"{"id":1,"who":{"name":"x","at":{}}}"#, Reason::MissingField, "who.at.seen"),
    (
        r#"{"id":1,"who":{"name":"x","at":{"raw":"aGk=","ok":true,"seen":"never"}}}"#,
        Reason::ParseFailure,
        "who.at.seen",
    ),
    (r#"{"id":1,"who":{"at":{"seen":1,"raw":"?"},"name":"x"}}"#, Reason::ParseFailure, "who.at.raw"),
    (
        r#"{"id":1,"who":{"name":"x","at":{"seen":1,"ok":0}},"note":"late","items":[]}"#,
        Reason::TypeMismatch,
        "who.at.ok",
    ),
    (r#"[{"id":1}]"#, Reason::TypeMismatch, ""),
    (r#"{"id":1,"note":"x""#, Reason::ParseFailure, ""),
    (r#"{"id":1} x"#, Reason::ParseFailure, ""),
];

#[test]
fn a_reject_says_why_and_where_and_leaves_nothing_of_its_record() {
    let schema = orders();
    let wanted = reference::decode(Some(&schema), WHOLE).unwrap();
    let mut decoder = Decoder::new(Some(&schema), &[0, 1, 2, 3]);
    for (record, reason, path) in BROKEN {
        decoder.push(WHOLE.as_bytes()).unwrap();
        let bytes = decoder.bytes();
        let reject = decoder.push(record.as_bytes()).unwrap_err();
        assert_eq!((reject.reason, reject.path.as_str()), (reason, path), "{record}");
        assert_eq!((decoder.rows(), decoder.bytes()), (1, bytes), "{record}");
        decoder.push(WHOLE.as_bytes()).unwrap();
        let batch = decoder.finish();
        batch.columns().iter().for_each(|c| c.to_data().validate_full().unwrap());
        assert_eq!(rows(&batch), [wanted.clone(), wanted.clone()], "around {record}");
    }
    // All of them in one batch as well.
    for (record, ..) in BROKEN {
        decoder.push(record.as_bytes()).unwrap_err();
        decoder.push(WHOLE.as_bytes()).unwrap();
        decoder.push(record.as_bytes()).unwrap_err();
    }
    let batch = decoder.finish();
    assert_eq!(rows(&batch), vec![wanted; BROKEN.len()]);
}

#[test]
fn a_body_tells_its_rejects_by_index_and_keeps_the_rest() {
    let schema = schema(json!([{"name": "a", "type": "int32", "required": true}]));
    let body = br#"[{"a":1},{"a":"x"},{"a":3},{},{"a":5}]"#;
    let mut bounds = Vec::new();
    lakehead_decode::frame_array(body, &mut bounds).unwrap();
    bounds.push((3, 1));
    bounds.push((0, 4000));
    // Half of a record: what stands behind it in the body does not complete it.
    bounds.push((1, 5));
    let mut decoder = Decoder::new(Some(&schema), &[0]);
    let mut rejected = Vec::new();
    decoder.push_body(body, &bounds, |index, reject| rejected.push((index, reject.reason)));
    assert_eq!(
        rejected,
        [
            (1, Reason::ParseFailure),
            (3, Reason::MissingField),
            (5, Reason::ParseFailure),
            (6, Reason::ParseFailure),
            (7, Reason::ParseFailure),
        ]
    );
    let cells: Vec<_> = rows(&decoder.finish()).concat();
    assert_eq!(cells, [1, 3, 5].map(reference::Cell::Int));
}

#[test]
fn a_body_that_is_not_utf8_rejects_only_the_records_that_are_not() {
    let mut decoder = Decoder::new(None, &[0]);
    let body = b"{\"a\":1}{\"b\":\"\xFF\"}{\"c\":2}";
    let mut rejected = Vec::new();
    decoder
        .push_body(body, &[(0, 7), (7, 16), (16, 23)], |index, reject| rejected.push((index, reject.reason)));
    assert_eq!(rejected, [(1, Reason::ParseFailure)]);
    assert_eq!(decoder.finish().num_rows(), 2);
}

#[test]
fn details_name_type_kind_and_length_but_never_the_value() {
    let schema = schema(json!([
        {"name": "n", "type": "int32"}, {"name": "t", "type": "timestamp", "unit": "millisecond"},
        {"name": "b", "type": "binary"}, {"name": "s", "type": "string"}, {"name": "l", "type": "list", "items": {"type": "bool"}},
    ]));
    let mut decoder = Decoder::new(Some(&schema), &[0, 1, 2, 3, 4]);
    let cases = [
        (r#"{"n":"secret"}"#, "expected Int32, received a string of 6 bytes that cannot be read as one"),
        (r#"{"n":98765432109}"#, "expected Int32, received a number of 11 bytes that is out of its range"),
        (r#"{"n":{"secret":1}}"#, "expected Int32, received an object"),
        (
            r#"{"t":"secret"}"#,
            "expected Timestamp(ms), received a string of 6 bytes that cannot be read as one",
        ),
        (r#"{"b":"secret!"}"#, "expected Binary, received a string of 7 bytes that cannot be read as one"),
        (r#"{"s":987654}"#, "expected Utf8, received a number of 6 bytes"),
        (r#"{"l":"secret"}"#, "expected List, received a string of 6 bytes"),
        (r#"{"l":[true,["secret"]]}"#, "expected Boolean, received an array"),
        (r#"{"l":[true,"secret"]}"#, "expected Boolean, received a string of 6 bytes"),
    ];
    for (record, detail) in cases {
        let reject = decoder.push(record.as_bytes()).unwrap_err();
        assert_eq!(reject.detail, detail, "{record}");
        let shown = format!("{reject} {reject:?}");
        assert!(!shown.contains("secret") && !shown.contains("98765"), "{shown}");
    }
}

#[test]
fn the_last_of_duplicate_keys_counts_at_every_level() {
    let schema = orders();
    let mut decoder = Decoder::new(Some(&schema), &[0, 1, 2, 3]);
    let good = [
        // Value over value, over null, over a fault; null over value; the key written otherwise.
        (r#"{"id":2,"id":1}"#, r#"{"id":1}"#),
        (r#"{"id":null,"id":1}"#, r#"{"id":1}"#),
        (r#"{"id":"x","note":"a","id":{},"id":1,"note":"b"}"#, r#"{"id":1,"note":"b"}"#),
        (r#"{"id":1,"note":"a","note":null}"#, r#"{"id":1}"#),
        (r#"{"id":2,"note":"a","\u0069d":1,"n\u006fte":"b"}"#, r#"{"id":1,"note":"b"}"#),
        (
            r#"{"id":1,"items":[{"sku":"a","price":1,"tags":["x"]}],"items":[{"sku":"b","price":2}]}"#,
            r#"{"id":1,"items":[{"sku":"b","price":2}]}"#,
        ),
        (r#"{"id":1,"items":[{"sku":"a","price":1},{"sku":7}],"items":null}"#, r#"{"id":1}"#),
        (
            r#"{"id":1,"items":[{"sku":"a","sku":"b","price":"x","price":2,"tags":["x"],"tags":[]}]}"#,
            r#"{"id":1,"items":[{"sku":"b","price":2,"tags":[]}]}"#,
        ),
        (
            r#"{"id":1,"who":{"name":"a","at":{"seen":"x"},"at":{"seen":1,"raw":"AAAA","seen":2}},"note":"n"}"#,
            r#"{"id":1,"note":"n","who":{"name":"a","at":{"seen":2,"raw":"AAAA"}}}"#,
        ),
        (r#"{"who":5,"id":1,"who":{"name":"a"}}"#, r#"{"id":1,"who":{"name":"a"}}"#),
    ];
    for (twice, once) in good {
        decoder.push(twice.as_bytes()).unwrap();
        decoder.push(once.as_bytes()).unwrap();
    }
    let batch = decoder.finish();
    batch.columns().iter().for_each(|c| c.to_data().validate_full().unwrap());
    let rows = rows(&batch);
    for (i, (twice, _)) in good.iter().enumerate() {
        assert_eq!(rows[2 * i], rows[2 * i + 1], "{twice}");
    }
    let bad = [
        (r#"{"id":1,"id":null}"#, Reason::NullValue, "id"),
        (r#"{"id":1,"id":"x"}"#, Reason::ParseFailure, "id"),
        (r#"{"id":1,"items":[{"sku":"a","price":1,"price":true}]}"#, Reason::TypeMismatch, "items[0].price"),
        (r#"{"id":1,"who":{"name":"a"},"who":{}}"#, Reason::MissingField, "who.name"),
    ];
    for (record, reason, path) in bad {
        let reject = decoder.push(record.as_bytes()).unwrap_err();
        assert_eq!((reject.reason, reject.path.as_str()), (reason, path), "{record}");
    }
}

#[test]
fn json_text_keeps_duplicate_keys_as_they_came() {
    let schema = schema(json!([{"name": "j", "type": "json"}]));
    let mut decoder = Decoder::new(Some(&schema), &[0]);
    decoder.push(br#"{"j":1,"j":{"a":1, "a":2}}"#).unwrap();
    assert_eq!(rows(&decoder.finish()), [[reference::Cell::Text(r#"{"a":1,"a":2}"#.to_owned())]]);
}

#[test]
fn names_are_case_sensitive_and_compared_unescaped() {
    let schema = schema(
        json!([{"name": "Id", "type": "int32"}, {"name": "näme", "type": "int32"}, {"name": "q\"\\", "type": "int32"}]),
    );
    let mut decoder = Decoder::new(Some(&schema), &[0, 1, 2]);
    decoder.push(br#"{"id":1,"ID":2,"n\u00e4me":3,"q\u0022\\":4}"#).unwrap();
    decoder.push("{\"\\u0049d\":1,\"näme\":5,\"q\\\"\\\\\":6}".as_bytes()).unwrap();
    let int = reference::Cell::Int;
    assert_eq!(
        rows(&decoder.finish()),
        [vec![reference::Cell::Null, int(3), int(4)], vec![int(1), int(5), int(6)],]
    );
}

#[test]
fn a_name_that_looks_like_json_is_not_taken_for_it() {
    let schema = schema(json!([{"name": "a\":1,\"b", "type": "int32"}, {"name": "b", "type": "int32"}]));
    let mut decoder = Decoder::new(Some(&schema), &[0, 1]);
    decoder.push(br#"{"a":1,"b":2,"c":"more than sixteen bytes"}"#).unwrap();
    assert_eq!(rows(&decoder.finish()), [[reference::Cell::Null, reference::Cell::Int(2)]]);
}

#[test]
fn fields_that_are_not_built_are_checked_all_the_same() {
    let schema = orders();
    for projection in [&[][..], &[1], &[0, 3], &[2]] {
        let mut decoder = Decoder::new(Some(&schema), projection);
        for (record, reason, path) in BROKEN {
            let reject = decoder.push(record.as_bytes()).unwrap_err();
            assert_eq!((reject.reason, reject.path.as_str()), (reason, path), "{record}");
        }
        decoder.push(WHOLE.as_bytes()).unwrap();
        let batch = decoder.finish();
        assert_eq!((batch.num_rows(), batch.num_columns()), (1, projection.len()));
        let whole = reference::decode(Some(&schema), WHOLE).unwrap();
        let wanted: Vec<_> = projection.iter().map(|i| whole[*i].clone()).collect();
        assert_eq!(rows(&batch), [wanted]);
        let names: Vec<_> = batch.schema().fields().iter().map(|f| f.name().clone()).collect();
        assert_eq!(names, projection.iter().map(|i| schema.fields[*i].name.clone()).collect::<Vec<_>>());
    }
}

#[test]
fn a_projection_in_any_order_gives_the_order_of_the_schema() {
    let schema = orders();
    let decoder = Decoder::new(Some(&schema), &[3, 0, 3, 99]);
    let names: Vec<_> = decoder.schema().fields().iter().map(|f| f.name().clone()).collect();
    assert_eq!(names, ["id", "who"]);
}

#[test]
fn an_unstructured_stream_takes_every_object_whole_and_compact() {
    let mut decoder = Decoder::new(None, &[0]);
    decoder.push(br#" { "a" : [ 1, "x y" ] , "b":null } "#).unwrap();
    decoder.push(b"{}").unwrap();
    for record in ["[]", "1", "\"x\"", "null", "", " "] {
        decoder.push(record.as_bytes()).unwrap_err();
    }
    let batch = decoder.finish();
    assert!(lakehead_decode::is_json(batch.schema().field(0)));
    assert!(!batch.schema().field(0).is_nullable());
    let text = |s: &str| reference::Cell::Text(s.to_owned());
    assert_eq!(rows(&batch), [[text(r#"{"a":[1,"x y"],"b":null}"#)], [text("{}")]]);
}

#[test]
fn a_list_of_empty_elements_cannot_take_memory_out_of_proportion() {
    let fields: Vec<_> = (0..127).map(|i| json!({"name": format!("f{i}"), "type": "int64"})).collect();
    let wide = json!({"type": "struct", "fields": fields});
    let schema = schema(json!([
        {"name": "id", "type": "int64"},
        {"name": "l", "type": "list", "items": {"type": "list", "items": wide}},
    ]));
    // 128 columns an element: 4 Mi values are 32 Ki elements.
    let most = 32 << 10;
    let record = |lists: usize, elements: usize| {
        let list = format!("[{}]", vec!["{}"; elements].join(","));
        format!("{{\"id\":1,\"l\":[{}]}}", vec![list; lists].join(","))
    };
    for projection in [&[0, 1][..], &[0]] {
        let mut decoder = Decoder::new(Some(&schema), projection);
        for (lists, elements, path) in [(1, most + 1, "l[0]"), (2, most / 2 + 1, "l[1]")] {
            let reject = decoder.push(record(lists, elements).as_bytes()).unwrap_err();
            assert_eq!((reject.reason, reject.path.as_str()), (Reason::TypeMismatch, path));
        }
        decoder.push(record(1, most).as_bytes()).unwrap();
        decoder.push(record(2, most / 2).as_bytes()).unwrap();
        assert_eq!(decoder.finish().num_rows(), 2);
    }
}

#[test]
fn long_lists_of_narrow_elements_are_taken() {
    let schema = schema(json!([{"name": "l", "type": "list", "items": {"type": "int32"}}]));
    let record = format!("{{\"l\":[{}]}}", vec!["1"; 500_000].join(","));
    let mut decoder = Decoder::new(Some(&schema), &[0]);
    for _ in 0..10 {
        decoder.push(record.as_bytes()).unwrap();
    }
    assert_eq!(decoder.finish().num_rows(), 10);
}

#[test]
fn required_children_of_a_null_struct_hold_placeholders_and_no_nulls() {
    let schema = schema(json!([{"name": "s", "type": "struct", "fields": [
        {"name": "a", "type": "int32", "required": true},
        {"name": "b", "type": "struct", "required": true, "fields": [
            {"name": "c", "type": "string", "required": true},
            {"name": "l", "type": "list", "required": true, "items": {"type": "bool", "required": true}}]},
        {"name": "o", "type": "int32"}]}]));
    let mut decoder = Decoder::new(Some(&schema), &[0]);
    decoder.push(br#"{"s":null}"#).unwrap();
    decoder.push(br#"{"s":{"a":1,"b":{"c":"x","l":[true]}}}"#).unwrap();
    decoder.push(b"{}").unwrap();
    let batch = decoder.finish();
    let column = batch.column(0).as_struct();
    column.to_data().validate_full().unwrap();
    assert_eq!(column.null_count(), 2);
    let inner = column.column(1).as_struct();
    let nulls =
        [column.column(0), column.column(1), inner.column(0), inner.column(1)].map(|c| c.null_count());
    assert_eq!((nulls, column.column(2).null_count()), ([0; 4], 3));
    assert!(matches!(rows(&batch)[1][0], reference::Cell::Struct(_)));
}

#[test]
fn a_schema_of_many_fields_fills_what_is_missing() {
    let fields: Vec<_> =
        (0..200).map(|i| json!({"name": format!("f{i}"), "type": "int32", "required": i == 130})).collect();
    let schema = schema(json!(fields));
    let all: Vec<_> = (0..200).collect();
    let mut decoder = Decoder::new(Some(&schema), &all);
    decoder.push(br#"{"f130":7,"f199":9,"f64":1,"f63":2}"#).unwrap();
    assert_eq!(decoder.push(br#"{"f129":7}"#).unwrap_err().path, "f130");
    let row = rows(&decoder.finish()).concat();
    let set: Vec<_> = (0..200).filter(|i| row[*i] != reference::Cell::Null).collect();
    assert_eq!(set, [63, 64, 130, 199]);
}
