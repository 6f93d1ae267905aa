//! How the schema language maps to Arrow.
//!
//! | schema | Arrow |
//! |---|---|
//! | bool, int32 … float64 | Boolean, Int32 … Float64 |
//! | decimal128 | Decimal128(precision, scale) |
//! | string | Utf8 |
//! | binary | Binary |
//! | timestamp | Timestamp(unit), no zone, meaning UTC |
//! | json | Utf8 with the field metadata `lakehead.type` = `json` |
//! | struct, list | Struct, List; an element is nullable unless required |

use std::collections::HashMap;
use std::sync::Arc;

use arrow_schema::{DataType, Field, Fields, SchemaRef, TimeUnit};
use lakehead_model::Schema;
use lakehead_model::schema::{self, FieldType};

/// Key of the field metadata that says what a column is beyond its Arrow type.
pub const TYPE_KEY: &str = "lakehead.type";
/// Value under [`TYPE_KEY`] of a column that holds JSON text.
pub const TYPE_JSON: &str = "json";
/// The one column of an unstructured stream.
pub const VALUE_COLUMN: &str = "value";

/// The columns of a stream. `None`, an unstructured stream, has one: [`VALUE_COLUMN`] of type json, required.
pub fn arrow_schema(schema: Option<&Schema>) -> SchemaRef {
    let fields: Fields = match schema {
        Some(schema) => schema.fields.iter().map(arrow_field).collect(),
        None => Fields::from(vec![arrow_field(&value_field())]),
    };
    Arc::new(arrow_schema::Schema::new(fields))
}

/// Whether a column holds JSON text.
pub fn is_json(field: &Field) -> bool {
    field.metadata().get(TYPE_KEY).is_some_and(|t| t == TYPE_JSON)
}

/// The field of an unstructured stream.
pub(crate) fn value_field() -> schema::Field {
    schema::Field { name: VALUE_COLUMN.to_owned(), field_type: FieldType::Json, required: true }
}

/// One column, or one child of a column.
pub fn arrow_field(field: &schema::Field) -> Field {
    let arrow = Field::new(&field.name, arrow_type(&field.field_type), !field.required);
    match field.field_type {
        FieldType::Json => arrow.with_metadata(HashMap::from([(TYPE_KEY.to_owned(), TYPE_JSON.to_owned())])),
        _ => arrow,
    }
}

pub(crate) fn arrow_type(field_type: &FieldType) -> DataType {
    match field_type {
        FieldType::Bool => DataType::Boolean,
        FieldType::Int32 => DataType::Int32,
        FieldType::Int64 => DataType::Int64,
        FieldType::Uint32 => DataType::UInt32,
        FieldType::Uint64 => DataType::UInt64,
        FieldType::Float32 => DataType::Float32,
        FieldType::Float64 => DataType::Float64,
        FieldType::Decimal128 { precision, scale } => {
            DataType::Decimal128(*precision, i8::try_from(*scale).unwrap_or(i8::MAX))
        }
        FieldType::String | FieldType::Json => DataType::Utf8,
        FieldType::Binary { .. } => DataType::Binary,
        FieldType::Timestamp { unit } => DataType::Timestamp(arrow_unit(*unit), None),
        FieldType::Struct(fields) => DataType::Struct(fields.iter().map(arrow_field).collect()),
        FieldType::List(item) => DataType::List(Arc::new(arrow_field(item))),
    }
}

pub(crate) fn arrow_unit(unit: schema::TimeUnit) -> TimeUnit {
    match unit {
        schema::TimeUnit::Second => TimeUnit::Second,
        schema::TimeUnit::Millisecond => TimeUnit::Millisecond,
        schema::TimeUnit::Microsecond => TimeUnit::Microsecond,
        schema::TimeUnit::Nanosecond => TimeUnit::Nanosecond,
    }
}
