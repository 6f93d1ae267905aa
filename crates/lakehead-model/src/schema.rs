//! The schema language of streams: what a record must look like, as users write it and as the API returns it.

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::{Map, Value, json};

use crate::Invalid;
use crate::limits::{SCHEMA_DEPTH_MAX, SCHEMA_FIELDS_MAX};

/// The columns of a structured stream. Names are unique at their level, compared without case.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Schema {
    pub fields: Vec<Field>,
    /// `true` when the system derived the schema; carried through unchanged.
    pub inferred: Option<bool>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Field {
    pub name: String,
    pub field_type: FieldType,
    pub required: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FieldType {
    Bool,
    Int32,
    Int64,
    Uint32,
    Uint64,
    Float32,
    Float64,
    /// `precision` 1 to 38 digits, of which `scale` (0 to `precision`) stand behind the point.
    Decimal128 {
        precision: u8,
        scale: u8,
    },
    String,
    /// Base64 text in JSON. The API says `binary`, wrangler's wizard `bytes`; the answer repeats what was given.
    Binary {
        spelling: BinarySpelling,
    },
    Timestamp {
        unit: TimeUnit,
    },
    /// Any JSON value, kept as its text.
    Json,
    Struct(Vec<Field>),
    /// The element; its name defaults to `item`.
    List(Box<Field>),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BinarySpelling {
    Binary,
    Bytes,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TimeUnit {
    Second,
    Millisecond,
    Microsecond,
    Nanosecond,
}

const TYPES: &str = "bool, int32, int64, uint32, uint64, float32, float64, decimal128, string, binary, timestamp, json, \
                     struct or list";

/// The kind of a JSON value, for messages.
pub fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "an array",
        Value::Object(_) => "an object",
    }
}

impl Schema {
    /// Reads the API's `{"fields": [...], "inferred"?}`. `format` and unknown keys are ignored, as clients of several ages
    /// send them.
    ///
    /// # Errors
    /// [`Invalid`] with a path below the schema (`fields[2].items.type`).
    pub fn from_json(value: &Value) -> Result<Schema, Invalid> {
        let object = value.as_object().ok_or_else(|| {
            Invalid::new("", format!("is {}; an object with `fields` is needed", kind(value)))
        })?;
        let inferred = match object.get("inferred") {
            None | Some(Value::Null) => None,
            Some(Value::Bool(b)) => Some(*b),
            Some(other) => {
                return Err(Invalid::new(
                    "inferred",
                    format!("is {}; true, false or null is needed", kind(other)),
                ));
            }
        };
        let mut count = 0;
        let fields = fields_from_json(object.get("fields"), "fields", 1, &mut count)?;
        Ok(Schema { fields, inferred })
    }

    pub fn to_json(&self) -> Value {
        let mut out = json!({ "fields": self.fields.iter().map(Field::to_json).collect::<Vec<_>>() });
        if let Some(inferred) = self.inferred {
            out["inferred"] = Value::Bool(inferred);
        }
        out
    }
}

fn fields_from_json(
    value: Option<&Value>,
    at: &str,
    depth: usize,
    count: &mut usize,
) -> Result<Vec<Field>, Invalid> {
    let list = match value {
        Some(Value::Array(list)) => list,
        None => return Err(Invalid::new(at, "is missing; a list of fields is needed")),
        Some(other) => {
            return Err(Invalid::new(at, format!("is {}; a list of fields is needed", kind(other))));
        }
    };
    if list.is_empty() {
        return Err(Invalid::new(at, "is empty; at least one field is needed"));
    }
    let mut seen = std::collections::BTreeMap::new();
    let mut fields = Vec::with_capacity(list.len());
    for (i, item) in list.iter().enumerate() {
        let at = format!("{at}[{i}]");
        let field = Field::from_json(item, None, depth, count).map_err(|e| e.within(&at))?;
        if let Some(first) = seen.insert(field.name.to_lowercase(), i) {
            return Err(Invalid::new(
                format!("{at}.name"),
                format!(
                    "{:?} is already the name of field {first}; names are compared without case",
                    field.name
                ),
            ));
        }
        fields.push(field);
    }
    Ok(fields)
}

impl Field {
    fn from_json(
        value: &Value,
        default_name: Option<&str>,
        depth: usize,
        count: &mut usize,
    ) -> Result<Field, Invalid> {
        *count += 1;
        if *count > SCHEMA_FIELDS_MAX {
            return Err(Invalid::new(
                "",
                format!("is one field too many; a schema may hold {SCHEMA_FIELDS_MAX}"),
            ));
        }
        if depth > SCHEMA_DEPTH_MAX {
            return Err(Invalid::new(
                "",
                format!("is nested too deep; the limit is {SCHEMA_DEPTH_MAX} levels"),
            ));
        }
        let object = value.as_object().ok_or_else(|| {
            Invalid::new("", format!("is {}; an object with `name` and `type` is needed", kind(value)))
        })?;
        let name = match (object.get("name"), default_name) {
            (Some(Value::String(name)), _) => name.clone(),
            (None | Some(Value::Null), Some(default)) => default.to_owned(),
            (None | Some(Value::Null), None) => {
                return Err(Invalid::new("name", "is missing; a string is needed"));
            }
            (Some(other), _) => {
                return Err(Invalid::new("name", format!("is {}; a string is needed", kind(other))));
            }
        };
        if name.is_empty() || name.len() > 255 || name.chars().any(char::is_control) {
            return Err(Invalid::new("name", "must have 1 to 255 bytes and no control characters"));
        }
        if name.eq_ignore_ascii_case("__ingest_ts") {
            return Err(Invalid::new("name", "`__ingest_ts` is reserved for the ingest time"));
        }
        let required = match object.get("required") {
            None | Some(Value::Null) => false,
            Some(Value::Bool(b)) => *b,
            Some(other) => {
                return Err(Invalid::new("required", format!("is {}; true or false is needed", kind(other))));
            }
        };
        let field_type = FieldType::from_json(object, depth, count)?;
        Ok(Field { name, field_type, required })
    }

    pub fn to_json(&self) -> Value {
        let mut out = json!({ "name": self.name, "type": self.field_type.name(), "required": self.required });
        match &self.field_type {
            FieldType::Decimal128 { precision, scale } => {
                out["precision"] = (*precision).into();
                out["scale"] = (*scale).into();
            }
            FieldType::Timestamp { unit } => out["unit"] = unit.name().into(),
            FieldType::Struct(fields) => out["fields"] = fields.iter().map(Field::to_json).collect(),
            FieldType::List(item) => out["items"] = item.to_json(),
            _ => {}
        }
        out["sql_name"] = self.field_type.sql_name().into();
        out
    }
}

impl FieldType {
    fn from_json(object: &Map<String, Value>, depth: usize, count: &mut usize) -> Result<FieldType, Invalid> {
        let name = match object.get("type") {
            Some(Value::String(name)) => name.as_str(),
            None => return Err(Invalid::new("type", format!("is missing; one of {TYPES} is needed"))),
            Some(other) => {
                return Err(Invalid::new("type", format!("is {}; one of {TYPES} is needed", kind(other))));
            }
        };
        Ok(match name {
            "bool" => FieldType::Bool,
            "int32" => FieldType::Int32,
            "int64" => FieldType::Int64,
            "uint32" => FieldType::Uint32,
            "uint64" => FieldType::Uint64,
            "float32" | "f32" => FieldType::Float32,
            "float64" | "f64" => FieldType::Float64,
            "decimal128" => {
                let precision = digits(object.get("precision"), "precision", 1, 38)?;
                let scale = match object.get("scale") {
                    None | Some(Value::Null) => 0,
                    given => digits(given, "scale", 0, precision)?,
                };
                FieldType::Decimal128 { precision, scale }
            }
            "string" | "utf8" => FieldType::String,
            "binary" => FieldType::Binary { spelling: BinarySpelling::Binary },
            "bytes" => FieldType::Binary { spelling: BinarySpelling::Bytes },
            "timestamp" => FieldType::Timestamp { unit: TimeUnit::from_json(object.get("unit"))? },
            "json" => FieldType::Json,
            "struct" => {
                FieldType::Struct(fields_from_json(object.get("fields"), "fields", depth + 1, count)?)
            }
            "list" => match object.get("items") {
                None => {
                    return Err(Invalid::new("items", "is missing; the type of a list's elements is needed"));
                }
                Some(items) => {
                    let item = Field::from_json(items, Some("item"), depth + 1, count)
                        .map_err(|e| e.within("items"))?;
                    FieldType::List(Box::new(item))
                }
            },
            other => {
                return Err(Invalid::new("type", format!("{other:?} is unknown; one of {TYPES} is needed")));
            }
        })
    }

    /// The name in the API.
    pub fn name(&self) -> &'static str {
        match self {
            FieldType::Bool => "bool",
            FieldType::Int32 => "int32",
            FieldType::Int64 => "int64",
            FieldType::Uint32 => "uint32",
            FieldType::Uint64 => "uint64",
            FieldType::Float32 => "float32",
            FieldType::Float64 => "float64",
            FieldType::Decimal128 { .. } => "decimal128",
            FieldType::String => "string",
            FieldType::Binary { spelling: BinarySpelling::Binary } => "binary",
            FieldType::Binary { spelling: BinarySpelling::Bytes } => "bytes",
            FieldType::Timestamp { .. } => "timestamp",
            FieldType::Json => "json",
            FieldType::Struct(_) => "struct",
            FieldType::List(_) => "list",
        }
    }

    /// The name in SQL, as the API's read-only `sql_name`.
    pub fn sql_name(&self) -> String {
        match self {
            FieldType::Bool => "BOOLEAN".into(),
            FieldType::Int32 => "INTEGER".into(),
            FieldType::Int64 => "BIGINT".into(),
            FieldType::Uint32 => "INTEGER UNSIGNED".into(),
            FieldType::Uint64 => "BIGINT UNSIGNED".into(),
            FieldType::Float32 => "FLOAT".into(),
            FieldType::Float64 => "DOUBLE".into(),
            FieldType::Decimal128 { precision, scale } => format!("DECIMAL({precision}, {scale})"),
            FieldType::String => "TEXT".into(),
            FieldType::Binary { .. } => "BINARY".into(),
            FieldType::Timestamp { unit } => format!("TIMESTAMP({})", unit.digits()),
            FieldType::Json => "JSON".into(),
            FieldType::Struct(fields) => {
                let inner: Vec<_> =
                    fields.iter().map(|f| format!("{} {}", f.name, f.field_type.sql_name())).collect();
                format!("STRUCT <{}>", inner.join(", "))
            }
            FieldType::List(item) => format!("{}[]", item.field_type.sql_name()),
        }
    }
}

fn digits(value: Option<&Value>, field: &str, min: u8, max: u8) -> Result<u8, Invalid> {
    let needed = format!("an integer from {min} to {max} is needed");
    match value {
        None | Some(Value::Null) => Err(Invalid::new(field, format!("is missing; {needed}"))),
        Some(Value::Number(n)) => match n.as_u64().and_then(|n| u8::try_from(n).ok()) {
            Some(n) if (min..=max).contains(&n) => Ok(n),
            _ => Err(Invalid::new(field, format!("is {n}; {needed}"))),
        },
        Some(other) => Err(Invalid::new(field, format!("is {}; {needed}", kind(other)))),
    }
}

impl TimeUnit {
    fn from_json(value: Option<&Value>) -> Result<TimeUnit, Invalid> {
        const UNITS: &str = "second, millisecond, microsecond or nanosecond is needed";
        match value {
            None | Some(Value::Null) => Ok(TimeUnit::Millisecond),
            Some(Value::String(text)) => Ok(match text.as_str() {
                "second" | "s" => TimeUnit::Second,
                "millisecond" | "ms" => TimeUnit::Millisecond,
                "microsecond" | "us" | "µs" => TimeUnit::Microsecond,
                "nanosecond" | "ns" => TimeUnit::Nanosecond,
                other => return Err(Invalid::new("unit", format!("{other:?} is unknown; {UNITS}"))),
            }),
            Some(other) => Err(Invalid::new("unit", format!("is {}; {UNITS}", kind(other)))),
        }
    }

    pub fn name(self) -> &'static str {
        match self {
            TimeUnit::Second => "second",
            TimeUnit::Millisecond => "millisecond",
            TimeUnit::Microsecond => "microsecond",
            TimeUnit::Nanosecond => "nanosecond",
        }
    }

    fn digits(self) -> u8 {
        match self {
            TimeUnit::Second => 0,
            TimeUnit::Millisecond => 3,
            TimeUnit::Microsecond => 6,
            TimeUnit::Nanosecond => 9,
        }
    }
}

impl Serialize for Schema {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        self.to_json().serialize(s)
    }
}

impl<'de> Deserialize<'de> for Schema {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        Schema::from_json(&Value::deserialize(d)?).map_err(serde::de::Error::custom)
    }
}
