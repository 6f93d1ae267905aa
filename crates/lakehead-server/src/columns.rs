//! Columns of a query in the words of the API's schema language, as far as it has them.

use arrow::datatypes::{DataType, Field, TimeUnit};
use lakehead_decode::is_json;
use lakehead_model::schema::{self, BinarySpelling, FieldType};
use serde_json::{Value, json};

/// The column as the API shows fields of a schema. A type that the language does not have stands there as Arrow names it, in
/// lower case (`date32`).
pub(crate) fn to_json(column: &Field) -> Value {
    match described(column) {
        Some(field) => field.to_json(),
        None => {
            json!({ "name": column.name(), "type": type_in_words(column), "required": !column.is_nullable() })
        }
    }
}

/// The type with what belongs to it, for a sentence: `int64`, `timestamp in microseconds`, `list of string`.
pub(crate) fn type_in_words(column: &Field) -> String {
    described(column)
        .map_or_else(|| column.data_type().to_string().to_lowercase(), |field| in_words(&field.field_type))
}

/// Whether two columns hold the same type; names and nullability of the columns themselves, and of elements of lists, do not
/// matter. Text and JSON are two types, a time with a zone is one without.
pub(crate) fn is_same_type(one: &Field, other: &Field) -> bool {
    match (one.data_type(), other.data_type()) {
        (DataType::Timestamp(a, _), DataType::Timestamp(b, _)) => a == b,
        (DataType::List(a), DataType::List(b)) => is_same_type(a, b),
        (DataType::Struct(a), DataType::Struct(b)) => {
            a.len() == b.len() && a.iter().zip(b).all(|(a, b)| a.name() == b.name() && is_same_type(a, b))
        }
        (a, b) => a == b && is_json(one) == is_json(other),
    }
}

fn in_words(field_type: &FieldType) -> String {
    match field_type {
        FieldType::Decimal128 { precision, scale } => format!("decimal128({precision}, {scale})"),
        FieldType::Timestamp { unit } => format!("timestamp in {}s", unit.name()),
        FieldType::List(item) => format!("list of {}", in_words(&item.field_type)),
        FieldType::Struct(fields) => {
            let inner: Vec<_> =
                fields.iter().map(|f| format!("{} {}", f.name, in_words(&f.field_type))).collect();
            format!("struct of {}", inner.join(", "))
        }
        other => other.name().to_owned(),
    }
}

/// The column as a field of a schema; `None` if the language has no such type.
fn described(column: &Field) -> Option<schema::Field> {
    let field_type = match column.data_type() {
        DataType::Boolean => FieldType::Bool,
        DataType::Int32 => FieldType::Int32,
        DataType::Int64 => FieldType::Int64,
        DataType::UInt32 => FieldType::Uint32,
        DataType::UInt64 => FieldType::Uint64,
        DataType::Float32 => FieldType::Float32,
        DataType::Float64 => FieldType::Float64,
        DataType::Decimal128(precision, scale) => {
            FieldType::Decimal128 { precision: *precision, scale: u8::try_from(*scale).ok()? }
        }
        DataType::Utf8 if is_json(column) => FieldType::Json,
        DataType::Utf8 => FieldType::String,
        DataType::Binary => FieldType::Binary { spelling: BinarySpelling::Binary },
        DataType::Timestamp(unit, _) => FieldType::Timestamp { unit: unit_of(*unit) },
        DataType::Struct(fields) => {
            FieldType::Struct(fields.iter().map(|f| described(f)).collect::<Option<_>>()?)
        }
        DataType::List(item) => FieldType::List(Box::new(described(item)?)),
        _ => return None,
    };
    Some(schema::Field { name: column.name().clone(), field_type, required: !column.is_nullable() })
}

fn unit_of(unit: TimeUnit) -> schema::TimeUnit {
    match unit {
        TimeUnit::Second => schema::TimeUnit::Second,
        TimeUnit::Millisecond => schema::TimeUnit::Millisecond,
        TimeUnit::Microsecond => schema::TimeUnit::Microsecond,
        TimeUnit::Nanosecond => schema::TimeUnit::Nanosecond,
    }
}

#[cfg(test)]
mod tests;
