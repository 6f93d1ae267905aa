//! Columns of a query as columns of a table.
//!
//! | Arrow | Iceberg |
//! |---|---|
//! | Boolean, Int8 … Int32, UInt8, UInt16 | boolean, int |
//! | Int64, UInt32 | long |
//! | UInt64 | decimal(20, 0) |
//! | Float16, Float32, Float64 | float, double |
//! | Decimal128(p, s) | decimal(p, s) |
//! | Utf8 (text, and JSON as text), views | string |
//! | Binary, FixedSizeBinary, views | binary |
//! | Date32, Date64 | date |
//! | Time | time |
//! | Timestamp of any unit, which means UTC | timestamptz, in microseconds |
//! | Struct, List | struct, list |
//!
//! `__ingest_ts`, a required timestamptz, is added behind the columns of the query.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::datatypes::{DataType, Field, FieldRef, Schema as ArrowSchema, SchemaRef, TimeUnit};
use iceberg::arrow::{arrow_schema_to_schema_auto_assign_ids, schema_to_arrow_schema};
use iceberg::spec::{NestedFieldRef, PrimitiveType, Schema, Transform, Type, UnboundPartitionSpec};
use lakehead_model::Invalid;

use crate::{CatalogError, CatalogErrorKind};

/// The column that every table has of when a record came.
pub const INGEST_TIME: &str = "__ingest_ts";
/// The partition field made of it.
pub const INGEST_DAY: &str = "__ingest_ts_day";
/// What the library reads and writes ids of fields under.
pub(crate) const FIELD_ID: &str = "PARQUET:field_id";

const UTC: &str = "+00:00";

/// Whether every column of a query has a form in a table.
///
/// # Errors
/// [`Invalid`] that names the column.
pub fn check(columns: &ArrowSchema) -> Result<(), Invalid> {
    table_columns(columns).map(|_| ())
}

/// The columns as a table stores them, with [`INGEST_TIME`] behind them.
///
/// # Errors
/// As [`check`].
pub fn table_columns(columns: &ArrowSchema) -> Result<ArrowSchema, Invalid> {
    if let Some(column) = columns.fields().iter().find(|c| c.name().eq_ignore_ascii_case(INGEST_TIME)) {
        return Err(Invalid::new(
            column.name(),
            "is the column that every table has of itself; leave it out",
        ));
    }
    let mut fields = columns
        .fields()
        .iter()
        .map(|column| {
            let stored = stored(column).map_err(|what| Invalid::new(column.name(), what))?;
            Ok(Arc::new(stored))
        })
        .collect::<Result<Vec<FieldRef>, Invalid>>()?;
    fields.push(Arc::new(Field::new(INGEST_TIME, timestamptz(), false)));
    Ok(ArrowSchema::new(fields))
}

fn timestamptz() -> DataType {
    DataType::Timestamp(TimeUnit::Microsecond, Some(UTC.into()))
}

fn stored(field: &Field) -> Result<Field, String> {
    let data_type = match field.data_type() {
        DataType::Boolean => DataType::Boolean,
        DataType::Int8 | DataType::Int16 | DataType::Int32 | DataType::UInt8 | DataType::UInt16 => {
            DataType::Int32
        }
        DataType::Int64 | DataType::UInt32 => DataType::Int64,
        DataType::UInt64 => DataType::Decimal128(20, 0),
        DataType::Float16 | DataType::Float32 => DataType::Float32,
        DataType::Float64 => DataType::Float64,
        DataType::Decimal128(precision, scale) if *scale >= 0 => DataType::Decimal128(*precision, *scale),
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => DataType::Utf8,
        DataType::Binary | DataType::LargeBinary | DataType::BinaryView | DataType::FixedSizeBinary(_) => {
            DataType::LargeBinary
        }
        DataType::Date32 | DataType::Date64 => DataType::Date32,
        DataType::Time32(_) | DataType::Time64(_) => DataType::Time64(TimeUnit::Microsecond),
        DataType::Timestamp(..) => timestamptz(),
        DataType::Struct(fields) if !fields.is_empty() => {
            DataType::Struct(fields.iter().map(|f| stored(f).map(Arc::new)).collect::<Result<_, _>>()?)
        }
        DataType::List(item) | DataType::LargeList(item) | DataType::FixedSizeList(item, _) => {
            DataType::List(Arc::new(stored(item)?.with_name("element")))
        }
        DataType::Dictionary(_, values) => {
            return stored(&Field::new(field.name(), values.as_ref().clone(), field.is_nullable()));
        }
        other => return Err(format!("is {other}, which a table cannot hold")),
    };
    Ok(Field::new(field.name(), data_type, field.is_nullable()))
}

/// The schema of a new table with these columns, which [`table_columns`] made. Ids are those of a new table, from 1.
///
/// # Errors
/// `Refused` for columns that the library cannot take.
pub fn schema_of(columns: &ArrowSchema) -> Result<Schema, CatalogError> {
    arrow_schema_to_schema_auto_assign_ids(columns)
        .map_err(|e| refused(format!("the columns of the table: {e}")))
}

/// Partitions by the day of [`INGEST_TIME`].
///
/// # Errors
/// `Refused` if the schema has no such column.
pub fn day_of_ingest(schema: &Schema) -> Result<UnboundPartitionSpec, CatalogError> {
    let source = schema.field_id_by_name(INGEST_TIME);
    let source = source.ok_or_else(|| refused(format!("the table has no column {INGEST_TIME}")))?;
    let spec = UnboundPartitionSpec::builder().add_partition_field(source, INGEST_DAY, Transform::Day);
    Ok(spec.map_err(|e| refused(format!("the partitions of the table: {e}")))?.build())
}

/// The columns with which files of `wanted` (from [`table_columns`]) are written into a table of this schema: types and ids of
/// the table's fields, in the order of `wanted`.
///
/// # Errors
/// `Refused`, naming the first column that does not fit: it is missing, has another type, or the table requires one that there is
/// not.
pub fn fit(schema: &Schema, wanted: &ArrowSchema) -> Result<SchemaRef, CatalogError> {
    let of_table = schema_to_arrow_schema(schema)
        .map_err(|e| refused(format!("the table has a column that cannot be written: {e}")))?;
    let mut fields = Vec::with_capacity(wanted.fields().len());
    for column in wanted.fields() {
        let Some((_, there)) = of_table.fields().find(column.name()) else {
            return Err(refused(format!("the table has no column {:?}", column.name())));
        };
        fields.push(Arc::new(fit_field(column, there, column.name())?));
    }
    let is_made = |name: &str| wanted.fields().iter().any(|column| column.name() == name);
    if let Some(field) = schema.as_struct().fields().iter().find(|f| f.required && !is_made(&f.name)) {
        return Err(refused(format!(
            "the table requires column {:?}, which the query does not make",
            field.name
        )));
    }
    Ok(Arc::new(ArrowSchema::new(fields)))
}

/// `there` with what can be written into it, if that is `wanted`.
fn fit_field(wanted: &Field, there: &Field, path: &str) -> Result<Field, CatalogError> {
    if wanted.is_nullable() && !there.is_nullable() {
        return Err(refused(format!("column {path:?} may be NULL in the query, and the table requires it")));
    }
    let mismatch = || {
        let (wanted, there) = (wanted.data_type(), there.data_type());
        refused(format!("column {path:?} is {wanted} in the query and {there} in the table"))
    };
    let data_type = match (wanted.data_type(), there.data_type()) {
        (DataType::Struct(wanted), DataType::Struct(there)) => {
            let mut fields = Vec::with_capacity(wanted.len());
            for field in wanted {
                let path = format!("{path}.{}", field.name());
                let Some((_, there)) = there.find(field.name()) else {
                    return Err(refused(format!("the table has no column {path:?}")));
                };
                fields.push(Arc::new(fit_field(field, there, &path)?));
            }
            if let Some(field) = there.iter().find(|f| !f.is_nullable() && wanted.find(f.name()).is_none()) {
                let path = format!("{path}.{}", field.name());
                return Err(refused(format!(
                    "the table requires column {path:?}, which the query does not make"
                )));
            }
            DataType::Struct(fields.into())
        }
        (DataType::List(wanted), DataType::List(there)) => {
            let item = fit_field(wanted, there, &format!("{path}.element"))?;
            DataType::List(Arc::new(item))
        }
        (one, other) if one == other || widens(one, other) => other.clone(),
        _ => return Err(mismatch()),
    };
    let nullable = there.is_nullable();
    Ok(Field::new(there.name(), data_type, nullable).with_metadata(id_of(there)))
}

/// Whether every value of the one type is one of the other.
fn widens(from: &DataType, to: &DataType) -> bool {
    match (from, to) {
        (DataType::Int32, DataType::Int64 | DataType::Float64) | (DataType::Float32, DataType::Float64) => {
            true
        }
        (DataType::Decimal128(p, s), DataType::Decimal128(wide, same)) => s == same && p <= wide,
        (
            DataType::Timestamp(TimeUnit::Microsecond, Some(_)),
            DataType::Timestamp(TimeUnit::Microsecond, _),
        ) => true,
        (DataType::Binary | DataType::LargeBinary, DataType::Binary | DataType::LargeBinary) => true,
        _ => false,
    }
}

fn id_of(field: &Field) -> HashMap<String, String> {
    let id = field.metadata().get(FIELD_ID);
    id.map(|id| HashMap::from([(FIELD_ID.to_owned(), id.clone())])).unwrap_or_default()
}

/// What makes files with the columns `written`, with their ids, wrong in a table of this schema; `None` if a
/// reader finds every value of theirs.
pub(crate) fn drift(schema: &Schema, written: &ArrowSchema) -> Option<String> {
    let top = schema.as_struct().fields();
    let found = drift_of(top, written.fields().iter().map(AsRef::as_ref));
    found.or_else(|| {
        let is_written = |id: i32| written.fields().iter().any(|field| field_id(field) == Some(id));
        let lacking = top.iter().find(|f| f.required && f.initial_default.is_none() && !is_written(f.id));
        lacking.map(|field| format!("the table now requires column {:?}, which the files lack", field.name))
    })
}

fn field_id(field: &Field) -> Option<i32> {
    field.metadata().get(FIELD_ID)?.parse().ok()
}

fn drift_of<'a>(there: &[NestedFieldRef], written: impl Iterator<Item = &'a Field>) -> Option<String> {
    for field in written {
        let id = field_id(field);
        let Some(now) = there.iter().find(|now| Some(now.id) == id) else {
            return Some(format!("column {:?} was dropped from the table", field.name()));
        };
        if now.name != *field.name() && now.name != "element" {
            return Some(format!("column {:?} is named {:?} in the table by now", field.name(), now.name));
        }
        if now.required && field.is_nullable() {
            return Some(format!("column {:?} is required in the table by now", now.name));
        }
        let fits = match (now.field_type.as_ref(), field.data_type()) {
            (Type::Struct(now), DataType::Struct(fields)) => {
                match drift_of(now.fields(), fields.iter().map(AsRef::as_ref)) {
                    Some(text) => return Some(text),
                    None => true,
                }
            }
            (Type::List(now), DataType::List(item)) => {
                match drift_of(std::slice::from_ref(&now.element_field), std::iter::once(item.as_ref())) {
                    Some(text) => return Some(text),
                    None => true,
                }
            }
            (Type::Primitive(now), written) => reads(now, written),
            _ => false,
        };
        if !fits {
            return Some(format!("column {:?} is {} in the table by now", now.name, now.field_type));
        }
    }
    None
}

/// Whether a column of this type is read as the type that the table has by now.
fn reads(now: &PrimitiveType, written: &DataType) -> bool {
    matches!(
        (now, written),
        (PrimitiveType::Boolean, DataType::Boolean)
            | (PrimitiveType::Int, DataType::Int32)
            | (PrimitiveType::Long, DataType::Int32 | DataType::Int64)
            | (PrimitiveType::Float, DataType::Float32)
            | (PrimitiveType::Double, DataType::Float32 | DataType::Float64)
            | (PrimitiveType::String, DataType::Utf8)
            | (PrimitiveType::Binary, DataType::LargeBinary | DataType::Binary)
            | (PrimitiveType::Date, DataType::Date32)
            | (PrimitiveType::Time, DataType::Time64(TimeUnit::Microsecond))
            | (PrimitiveType::Timestamp, DataType::Timestamp(TimeUnit::Microsecond, None))
            | (PrimitiveType::Timestamptz, DataType::Timestamp(TimeUnit::Microsecond, Some(_)))
            | (PrimitiveType::Fixed(_) | PrimitiveType::Uuid, DataType::FixedSizeBinary(_))
    ) || matches!(
        (now, written),
        (PrimitiveType::Decimal { precision, scale }, DataType::Decimal128(p, s))
            if *precision >= u32::from(*p) && i64::from(*scale) == i64::from(*s)
    )
}

fn refused(text: String) -> CatalogError {
    CatalogError::new(CatalogErrorKind::Refused, text)
}

#[cfg(test)]
mod tests;
