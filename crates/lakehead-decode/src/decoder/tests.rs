use arrow_array::cast::AsArray;
use arrow_array::types::Int64Type;
use serde_json::json;

use super::*;

fn schema(fields: serde_json::Value) -> Schema {
    Schema::from_json(&json!({ "fields": fields })).unwrap()
}

#[test]
fn a_decoder_can_move_to_another_thread() {
    fn is_send<T: Send + 'static>() {}
    is_send::<Decoder>();
}

#[test]
fn records_become_rows_and_rejects_leave_none() {
    let schema = schema(json!([
        {"name": "id", "type": "int64", "required": true},
        {"name": "name", "type": "string"},
    ]));
    let mut decoder = Decoder::new(Some(&schema), &[0, 1]);
    decoder.push(br#"{"id":1,"name":"a"}"#).unwrap();
    let reject = decoder.push(br#"{"name":"b"}"#).unwrap_err();
    assert_eq!((reject.reason, reject.path.as_str()), (Reason::MissingField, "id"));
    decoder.push(br#" { "name" : null , "id" : "7", "x":[{}] } "#).unwrap();
    assert_eq!(decoder.rows(), 2);
    let batch = decoder.finish();
    assert_eq!(batch.num_rows(), 2);
    assert_eq!(batch.column(0).as_primitive::<Int64Type>().values(), &[1, 7]);
    assert_eq!(batch.column(1).as_string::<i32>().iter().collect::<Vec<_>>(), [Some("a"), None]);
    assert_eq!(decoder.rows(), 0);
}
