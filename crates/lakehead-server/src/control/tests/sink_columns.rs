use arrow::datatypes::{DataType, Field, Schema as ArrowSchema, TimeUnit};
use lakehead_model::resource::{JsonFormat, SinkFormat, Stream};
use serde_json::{Value, json};

use super::super::sink_columns::check;
use super::{Error, NewSink, NewStream, World, new_sink, world};

impl World {
    fn structured(&self, name: &str, fields: Value) -> std::sync::Arc<Stream> {
        let new = NewStream {
            name: name.to_owned(),
            http: None,
            worker_binding: None,
            format: JsonFormat::default(),
            schema: Some(lakehead_model::Schema::from_json(&json!({ "fields": fields })).expect("a schema")),
        };
        self.control.create_stream(new).expect("a stream")
    }

    fn sink_with(&self, name: &str, format: SinkFormat, schema: Value) {
        self.control.create_sink(NewSink { format, schema: Some(schema), ..new_sink(name) }).expect("a sink");
    }

    /// What is said of a pipeline into the sink, by the check and by the creation; empty if it can run.
    fn said_of(&self, sink: &str) -> String {
        let sql = format!("INSERT INTO {sink} SELECT * FROM events");
        let said = |refused: Option<Error>| match refused {
            None => String::new(),
            Some(Error::Sql(refusal)) => refusal.to_string(),
            Some(other) => panic!("{other:?}"),
        };
        let checked = said(self.control.validate_sql(&sql).err());
        assert_eq!(said(self.control.create_pipeline(sink, &sql).err()), checked);
        checked
    }
}

fn parquet() -> SinkFormat {
    new_sink("").format
}

#[test]
fn the_columns_of_a_query_must_be_those_of_the_sink() {
    let world = world();
    world.structured(
        "events",
        json!([
            { "name": "id", "type": "int64", "required": true },
            { "name": "at", "type": "timestamp", "unit": "microsecond" },
            { "name": "tags", "type": "list", "items": { "type": "string" } },
        ]),
    );
    let id = json!({ "name": "id", "type": "int64" });
    let at = json!({ "name": "at", "type": "timestamp", "unit": "microsecond" });
    let tags = json!({ "name": "tags", "type": "list", "items": { "name": "element", "type": "string", "required": true } });
    let but = |name: &str, key: &str, value: Value| {
        let mut field = if name == "at" { at.clone() } else { id.clone() };
        field[key] = value;
        field
    };
    let cases = [
        ("same", json!([id, at, tags]), ""),
        ("another_order", json!([tags, id, at]), ""),
        ("more", json!([id, at, tags, { "name": "x", "type": "string" }]), ""),
        (
            "required",
            json!([id, at, tags, { "name": "x", "type": "decimal128", "precision": 5, "scale": 1, "required": true }]),
            "the schema of sink \"required\" requires column \"x\" (decimal128(5, 1)), and the query has no column of that name",
        ),
        (
            "fewer",
            json!([id, at]),
            "column \"tags\" (list of string) is not in the schema of sink \"fewer\", which has \"id\", \"at\"",
        ),
        (
            "capital",
            json!([but("id", "name", json!("ID")), at, tags]),
            "column \"id\" (int64) is not in the schema of sink \"capital\", which has \"ID\", \"at\", \"tags\"; \
             write AS \"ID\", in double quotes, which keep capital letters",
        ),
        (
            "narrow",
            json!([but("id", "type", json!("int32")), at, tags]),
            "column \"id\" is int64, and the schema of sink \"narrow\" has it as int32",
        ),
        (
            "unit",
            json!([id, but("at", "unit", json!("millisecond")), tags]),
            "column \"at\" is timestamp in microseconds, and the schema of sink \"unit\" has it as timestamp in milliseconds",
        ),
    ];
    for (sink, fields, message) in cases {
        world.sink_with(sink, parquet(), json!({ "fields": fields }));
        assert_eq!(world.said_of(sink), message, "{sink}");
    }
}

#[test]
fn a_sink_without_columns_of_its_own_takes_those_of_the_query() {
    let world = world();
    world.structured("events", json!([{ "name": "id", "type": "int64" }]));
    for (sink, schema) in
        [("none", json!({})), ("null", json!({ "fields": null })), ("empty", json!({ "fields": [] }))]
    {
        world.sink_with(sink, parquet(), schema);
        assert_eq!(world.said_of(sink), "", "{sink}");
    }
    world.sink_with("broken", parquet(), json!({ "fields": [{ "name": "id", "type": "int" }] }));
    let said = world.said_of("broken");
    assert!(
        said.starts_with("the schema of sink \"broken\" cannot be read: fields[0].type: \"int\" is unknown"),
        "{said}"
    );
}

#[test]
fn json_and_text_are_two_types() {
    let world = world();
    world.stream("events");
    let json = SinkFormat::Json(JsonFormat::default());
    let value = |kind: &str| json!({ "fields": [{ "name": "value", "type": kind }] });
    world.sink_with("as_json", json.clone(), value("json"));
    world.sink_with("as_text", json, value("string"));
    assert_eq!(world.said_of("as_json"), "");
    assert_eq!(
        world.said_of("as_text"),
        "column \"value\" is json, and the schema of sink \"as_text\" has it as string"
    );
}

#[test]
fn a_column_that_the_format_cannot_hold_is_refused() {
    let world = world();
    let sink = world.sink("files");
    let span = Field::new("span", DataType::Duration(TimeUnit::Second), true);
    let said = check(&ArrowSchema::new(vec![span]), &sink).unwrap_err().to_string();
    assert!(said.starts_with("column \"span\" of sink \"files\" is Duration("), "{said}");
    assert!(said.ends_with("which Parquet cannot hold; CAST it to another type"), "{said}");
    let text = Field::new("text", DataType::Utf8, true);
    assert_eq!(check(&ArrowSchema::new(vec![text]), &sink), Ok(()));
}
