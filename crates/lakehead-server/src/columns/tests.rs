use std::sync::Arc;

use arrow::datatypes::{DataType, Field, TimeUnit};
use lakehead_decode::arrow_schema;
use lakehead_model::Schema;
use serde_json::{Value, json};

use super::{is_same_type, to_json, type_in_words};

fn every_type() -> Value {
    json!({ "fields": [
        { "name": "a", "type": "bool" },
        { "name": "b", "type": "int32", "required": true },
        { "name": "c", "type": "int64" },
        { "name": "d", "type": "uint32" },
        { "name": "e", "type": "uint64" },
        { "name": "f", "type": "float32" },
        { "name": "g", "type": "float64" },
        { "name": "h", "type": "decimal128", "precision": 10, "scale": 2 },
        { "name": "i", "type": "string" },
        { "name": "j", "type": "binary" },
        { "name": "k", "type": "timestamp", "unit": "microsecond" },
        { "name": "l", "type": "json" },
        { "name": "m", "type": "list", "items": { "type": "struct", "fields": [
            { "name": "x", "type": "json" }, { "name": "y", "type": "timestamp", "unit": "second", "required": true },
        ] } },
    ] })
}

#[test]
fn every_type_of_the_language_comes_back_as_it_was_given() {
    let schema = Schema::from_json(&every_type()).unwrap();
    let columns = arrow_schema(Some(&schema));
    let shown: Vec<Value> = columns.fields().iter().map(|f| to_json(f)).collect();
    assert_eq!(Value::from(shown), schema.to_json()["fields"]);
    let words: Vec<String> = columns.fields().iter().map(|f| type_in_words(f)).collect();
    assert_eq!(words[7], "decimal128(10, 2)");
    assert_eq!(words[10], "timestamp in microseconds");
    assert_eq!(words[12], "list of struct of x json, y timestamp in seconds");
}

#[test]
fn a_type_the_language_lacks_is_named_as_arrow_names_it() {
    let date = Field::new("day", DataType::Date32, true);
    assert_eq!(to_json(&date), json!({ "name": "day", "type": "date32", "required": false }));
    let list = Field::new("days", DataType::List(Arc::new(date)), false);
    assert!(type_in_words(&list).contains("date32"), "{}", type_in_words(&list));
}

#[test]
fn types_are_compared_without_names_of_elements_and_without_nullability() {
    let schema = Schema::from_json(&every_type()).unwrap();
    let columns = arrow_schema(Some(&schema));
    for (i, one) in columns.fields().iter().enumerate() {
        for (k, other) in columns.fields().iter().enumerate() {
            assert_eq!(is_same_type(one, other), i == k, "{one} {other}");
        }
    }
    let list = |name: &str, nullable| {
        let item = Arc::new(Field::new(name, DataType::Int64, nullable));
        Field::new("l", DataType::List(item), nullable)
    };
    assert!(is_same_type(&list("item", true), &list("element", false)));
    let time = |zone: Option<&str>| {
        Field::new("t", DataType::Timestamp(TimeUnit::Microsecond, zone.map(Into::into)), true)
    };
    assert!(is_same_type(&time(None), &time(Some("+00:00"))));
}
