//! Holds a value against a JSON Schema, as far as the document uses the language: a keyword that is not known here fails the
//! test that met it. (A validator from a library would pull in features that make everything else be built twice.)

use lakehead_model::Timestamp;
use serde_json::Value;

/// What is wrong, or nothing.
pub(super) fn faults(schema: &Value, value: &Value, schemas: &Value) -> Vec<String> {
    let mut found = Vec::new();
    Check { schemas }.check(schema, value, "", &mut found);
    found
}

struct Check<'a> {
    schemas: &'a Value,
}

impl Check<'_> {
    fn check(&self, schema: &Value, value: &Value, at: &str, found: &mut Vec<String>) {
        let Value::Object(keywords) = schema else { panic!("not a schema: {schema}") };
        let mut fault = |text: String| found.push(format!("{at}: {text}"));
        for (keyword, argument) in keywords {
            match keyword.as_str() {
                "$ref" => {
                    let name = argument.as_str().and_then(|r| r.strip_prefix("#/components/schemas/"));
                    self.check(&self.schemas[name.expect("a reference")], value, at, found);
                    return;
                }
                "type" if !is_of_type(argument, value) => fault(format!("{value} is not of type {argument}")),
                "enum" if !argument.as_array().expect("a list").contains(value) => {
                    fault(format!("{value} is not among {argument}"));
                }
                "const" if argument != value => fault(format!("{value} is not {argument}")),
                "minimum" if value.as_f64().is_some_and(|value| Some(value) < argument.as_f64()) => {
                    fault(format!("{value} is below {argument}"))
                }
                "maximum" if value.as_f64() > argument.as_f64() => {
                    fault(format!("{value} is above {argument}"))
                }
                "maxItems" if value.as_array().map(|a| a.len() as u64) > argument.as_u64() => {
                    fault(format!("{value} has too many items"));
                }
                "pattern" => {
                    assert_eq!(argument, "^[0-9a-f]{32}$", "an unknown pattern");
                    if value.as_str().is_some_and(|t| t.parse::<lakehead_model::StreamId>().is_err()) {
                        fault(format!("{value} is not an id"));
                    }
                }
                "format" if argument == "date-time" => {
                    if value.as_str().is_some_and(|t| Timestamp::from_rfc3339(t).is_none()) {
                        fault(format!("{value} is not a time"));
                    }
                }
                "format" if argument == "uri" => {
                    if value.as_str().is_some_and(|t| t.parse::<http::Uri>().is_err()) {
                        fault(format!("{value} is not a URI"));
                    }
                }
                "type"
                | "enum"
                | "const"
                | "minimum"
                | "maximum"
                | "maxItems"
                | "additionalProperties"
                | "required"
                | "properties"
                | "items"
                | "oneOf"
                | "anyOf" => {}
                other => panic!("the keyword {other} is not known"),
            }
        }
        self.check_parts(schema, value, at, found);
    }

    fn check_parts(&self, schema: &Value, value: &Value, at: &str, found: &mut Vec<String>) {
        let passes = |s: &Value| faults(s, value, self.schemas).is_empty();
        if let Some(choices) = schema["oneOf"].as_array()
            && choices.iter().filter(|s| passes(s)).count() != 1
        {
            found.push(format!("{at}: {value} is not exactly one of the choices"));
        }
        if let Some(choices) = schema["anyOf"].as_array()
            && !choices.iter().any(passes)
        {
            found.push(format!("{at}: {value} is none of the choices"));
        }
        if let (Some(items), Some(all)) = (schema.get("items"), value.as_array()) {
            for (i, item) in all.iter().enumerate() {
                self.check(items, item, &format!("{at}[{i}]"), found);
            }
        }
        let Value::Object(fields) = value else { return };
        for name in schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str) {
            if !fields.contains_key(name) {
                found.push(format!("{at}: {name} is missing"));
            }
        }
        for (name, field) in fields {
            let at = format!("{at}.{name}");
            match (schema["properties"].get(name), schema.get("additionalProperties")) {
                (Some(of), _) => self.check(of, field, &at, found),
                (None, Some(Value::Bool(false))) => found.push(format!("{at}: is not described")),
                (None, Some(of @ Value::Object(_))) => self.check(of, field, &at, found),
                _ => {}
            }
        }
    }
}

fn is_of_type(types: &Value, value: &Value) -> bool {
    let is = |name: &str| match name {
        "null" => value.is_null(),
        "boolean" => value.is_boolean(),
        "string" => value.is_string(),
        "number" => value.is_number(),
        // A number without a fraction is an integer however it is written.
        "integer" => value.as_f64().is_some_and(|n| n.fract() == 0.0),
        "array" => value.is_array(),
        "object" => value.is_object(),
        other => panic!("the type {other} is not known"),
    };
    match types {
        Value::String(name) => is(name),
        Value::Array(names) => names.iter().filter_map(Value::as_str).any(is),
        other => panic!("not a type: {other}"),
    }
}

#[test]
fn a_fault_of_every_kind_is_found() {
    use serde_json::json;
    let schemas = json!({ "Id": { "type": "string", "pattern": "^[0-9a-f]{32}$" } });
    let object = json!({
        "type": "object", "required": ["id"], "additionalProperties": false,
        "properties": {
            "id": { "$ref": "#/components/schemas/Id" }, "n": { "type": ["integer", "null"], "minimum": 1, "maximum": 9 },
            "word": { "enum": ["a"] }, "at": { "format": "date-time" }, "list": { "items": { "const": true } },
            "one": { "oneOf": [{ "type": "string" }, { "enum": ["x"] }] }, "any": { "anyOf": [{ "type": "null" }] },
        },
    });
    let id = "0".repeat(32);
    for good in [
        json!({ "id": id }),
        json!({ "id": id, "n": 1.0, "word": "a", "list": [true], "one": "y", "any": null }),
    ] {
        assert_eq!(faults(&object, &good, &schemas), Vec::<String>::new());
    }
    for bad in [
        json!([]),
        json!({}),
        json!({ "id": "x" }),
        json!({ "id": id, "other": 1 }),
        json!({ "id": id, "n": 0 }),
        json!({ "id": id, "n": 10 }),
        json!({ "id": id, "n": 1.5 }),
        json!({ "id": id, "word": "b" }),
        json!({ "id": id, "at": "noon" }),
        json!({ "id": id, "list": [true, false] }),
        json!({ "id": id, "one": "x" }),
        json!({ "id": id, "any": 1 }),
    ] {
        assert!(!faults(&object, &bad, &schemas).is_empty(), "{bad}");
    }
}
