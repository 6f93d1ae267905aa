//! Rows of an old file as rows of the table as it is now: columns are found by their ids, whatever they are called and wherever they
//! stand.
//!
//! ```text
//!   file                     table                     row
//!   1 id     int             1 id      long            promoted
//!   2 name   string          3 place   struct          id 3 was called "at"
//!   3 at     struct<4 lat>     4 lat   double          promoted
//!                              5 lon   double          NULL: added later
//!                            (2 is dropped)            left out
//! ```
//! Source: Iceberg table spec, "Column Projection" and "Schema Evolution".

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, ListArray, MapArray, RecordBatch, StructArray, new_null_array};
use arrow::compute::{CastOptions, cast_with_options};
use arrow::datatypes::{DataType, Field, FieldRef, Fields, Schema, SchemaRef};
use iceberg::arrow::schema_to_arrow_schema;
use iceberg::spec::{NestedFieldRef, Type};

use crate::CatalogError;
use crate::columns::FIELD_ID;
use crate::manifests::refused;

/// The columns of the table's files as they are written now, with their ids.
///
/// # Errors
/// `Refused` for a table with a column that is filled with a default where a file lacks it, or with a type that there is no form for.
pub(super) fn columns(schema: &iceberg::spec::Schema) -> Result<SchemaRef, CatalogError> {
    if schema.as_struct().fields().iter().any(has_default) {
        return Err(refused("a column has a default for files that lack it".to_owned()));
    }
    let columns =
        schema_to_arrow_schema(schema).map_err(|e| refused(format!("a column has no form: {e}")))?;
    Ok(Arc::new(columns))
}

fn has_default(field: &NestedFieldRef) -> bool {
    field.initial_default.is_some()
        || match field.field_type.as_ref() {
            Type::Primitive(_) => false,
            Type::Struct(of) => of.fields().iter().any(has_default),
            Type::List(of) => has_default(&of.element_field),
            Type::Map(of) => has_default(&of.key_field) || has_default(&of.value_field),
        }
}

pub(super) fn id(field: &Field) -> Option<i32> {
    field.metadata().get(FIELD_ID)?.parse().ok()
}

/// Which of a file's columns the table has, by index.
///
/// # Errors
/// `Refused` for a file without ids.
pub(super) fn wanted(file: &Schema, table: &Schema) -> Result<Vec<usize>, CatalogError> {
    if file.fields().iter().any(|field| id(field).is_none()) {
        return Err(refused("its columns have no field ids".to_owned()));
    }
    let wanted =
        file.fields().iter().enumerate().filter(|(_, field)| find(table.fields(), id(field)).is_some());
    Ok(wanted.map(|(index, _)| index).collect())
}

fn find(fields: &Fields, wanted: Option<i32>) -> Option<(usize, &FieldRef)> {
    fields.iter().enumerate().find(|(_, field)| wanted.is_some() && id(field) == wanted)
}

/// The rows of a file with columns of `file`, as the table has them.
///
/// # Errors
/// `Refused` where the file cannot be read as the table's schema says.
pub(super) fn project(
    rows: &RecordBatch,
    file: &Fields,
    table: &SchemaRef,
) -> Result<RecordBatch, CatalogError> {
    let columns = children(rows.columns(), file, table.fields(), rows.num_rows())?;
    let options = arrow::array::RecordBatchOptions::new().with_row_count(Some(rows.num_rows()));
    RecordBatch::try_new_with_options(table.clone(), columns, &options)
        .map_err(|e| refused(format!("its rows are not of the table: {e}")))
}

fn children(
    arrays: &[ArrayRef],
    from: &Fields,
    to: &Fields,
    rows: usize,
) -> Result<Vec<ArrayRef>, CatalogError> {
    let child = |to: &FieldRef| match find(from, id(to)) {
        Some((index, from)) => adapt(&arrays[index], from, to),
        None if to.is_nullable() => Ok(new_null_array(to.data_type(), rows)),
        None => Err(refused(format!("it lacks column {:?}, which the table requires", to.name()))),
    };
    to.iter().map(child).collect()
}

fn adapt(array: &ArrayRef, from: &Field, to: &Field) -> Result<ArrayRef, CatalogError> {
    let invalid = |e: arrow::error::ArrowError| refused(format!("its column {:?}: {e}", to.name()));
    match (from.data_type(), to.data_type()) {
        (DataType::Struct(had), DataType::Struct(has)) => {
            let of = downcast::<StructArray>(array, to)?;
            let fields = children(of.columns(), had, has, of.len())?;
            let of = StructArray::try_new_with_length(has.clone(), fields, of.nulls().cloned(), of.len());
            Ok(Arc::new(of.map_err(invalid)?))
        }
        (DataType::List(had), DataType::List(has)) => {
            let of = downcast::<ListArray>(array, to)?;
            let items = adapt(of.values(), had, has)?;
            let of = ListArray::try_new(has.clone(), of.offsets().clone(), items, of.nulls().cloned());
            Ok(Arc::new(of.map_err(invalid)?))
        }
        (DataType::Map(had, _), DataType::Map(has, sorted)) => {
            let of = downcast::<MapArray>(array, to)?;
            let (DataType::Struct(had), DataType::Struct(has_pair)) = (had.data_type(), has.data_type())
            else {
                return Err(mismatch(from, to));
            };
            let pairs = children(of.entries().columns(), had, has_pair, of.entries().len())?;
            let pairs = StructArray::try_new(has_pair.clone(), pairs, None).map_err(invalid)?;
            let of =
                MapArray::try_new(has.clone(), of.offsets().clone(), pairs, of.nulls().cloned(), *sorted);
            Ok(Arc::new(of.map_err(invalid)?))
        }
        (had, has) if had == has => Ok(array.clone()),
        (had, has) if is_promotion(had, has) => {
            cast_with_options(array, has, &CastOptions { safe: false, ..CastOptions::default() })
                .map_err(invalid)
        }
        _ => Err(mismatch(from, to)),
    }
}

fn downcast<'a, T: 'static>(array: &'a ArrayRef, to: &Field) -> Result<&'a T, CatalogError> {
    let of = array.as_any().downcast_ref::<T>();
    of.ok_or_else(|| refused(format!("its column {:?} is not what its footer says", to.name())))
}

fn mismatch(from: &Field, to: &Field) -> CatalogError {
    let (had, has) = (from.data_type(), to.data_type());
    refused(format!("its column {:?} is {had} and cannot be read as {has}", to.name()))
}

/// Whether a table may have changed a column of the one type into the other, or both are one type of the table.
fn is_promotion(had: &DataType, has: &DataType) -> bool {
    match (had, has) {
        (DataType::Int32, DataType::Int64)
        | (DataType::Float32, DataType::Float64)
        | (DataType::Binary | DataType::LargeBinary | DataType::BinaryView, DataType::Binary)
        | (DataType::Binary | DataType::LargeBinary | DataType::BinaryView, DataType::LargeBinary)
        | (DataType::LargeUtf8 | DataType::Utf8View, DataType::Utf8) => true,
        (DataType::Decimal128(p, s), DataType::Decimal128(wide, same)) => s == same && p <= wide,
        // UTC under two names; never a time of a zone as one without.
        (DataType::Timestamp(a, Some(_)), DataType::Timestamp(b, Some(_))) => a == b,
        _ => false,
    }
}
