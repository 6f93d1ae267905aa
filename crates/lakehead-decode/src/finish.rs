//! Columns under construction into Arrow arrays, without copying values.

use std::sync::Arc;

use arrow_array::builder::BooleanBufferBuilder;
use arrow_array::types::{
    ArrowPrimitiveType, Decimal128Type, Float32Type, Float64Type, Int32Type, Int64Type,
    TimestampMicrosecondType, TimestampMillisecondType, TimestampNanosecondType, TimestampSecondType,
    UInt32Type, UInt64Type,
};
use arrow_array::{ArrayRef, BinaryArray, BooleanArray, ListArray, PrimitiveArray, StringArray, StructArray};
use arrow_buffer::{BooleanBuffer, Buffer, NullBuffer, OffsetBuffer, ScalarBuffer};
use arrow_schema::{DataType, Field};
use lakehead_model::schema::TimeUnit;

use crate::column::{Column, Values};
use crate::text::Bytes;

/// The array of a column; the column starts over. `field` is the Arrow field the column was made from.
pub(crate) fn array(column: &mut Column, field: &Field) -> ArrayRef {
    let rows = column.rows();
    let nulls = nulls(column.take_nulls(), rows);
    match &mut column.values {
        Values::Bool(v) => {
            let bits = BooleanBuffer::collect_bool(v.len(), |i| v[i] != 0);
            v.clear();
            Arc::new(BooleanArray::new(bits, nulls))
        }
        Values::Int32(v) => primitive::<Int32Type>(v, nulls),
        Values::Int64(v) => primitive::<Int64Type>(v, nulls),
        Values::Uint32(v) => primitive::<UInt32Type>(v, nulls),
        Values::Uint64(v) => primitive::<UInt64Type>(v, nulls),
        Values::Float32(v) => primitive::<Float32Type>(v, nulls),
        Values::Float64(v) => primitive::<Float64Type>(v, nulls),
        Values::Decimal { values, .. } => {
            let decimals = PrimitiveArray::<Decimal128Type>::new(scalars(values), nulls);
            Arc::new(decimals.with_data_type(field.data_type().clone()))
        }
        Values::Timestamp { values, unit } => match unit {
            TimeUnit::Second => primitive::<TimestampSecondType>(values, nulls),
            TimeUnit::Millisecond => primitive::<TimestampMillisecondType>(values, nulls),
            TimeUnit::Microsecond => primitive::<TimestampMicrosecondType>(values, nulls),
            TimeUnit::Nanosecond => primitive::<TimestampNanosecondType>(values, nulls),
        },
        Values::Text(v) | Values::Json(v) => utf8(v, nulls),
        Values::Binary(v) => {
            let (data, ends) = v.take();
            Arc::new(BinaryArray::new(offsets(ends), Buffer::from_vec(data), nulls))
        }
        Values::Struct(members) => {
            let DataType::Struct(fields) = field.data_type() else {
                unreachable!("a struct column is made from a struct field")
            };
            let children = members.columns().zip(fields).map(|(c, f)| array(c, f)).collect();
            members.truncate(0);
            let built = StructArray::try_new_with_length(fields.clone(), children, nulls, rows);
            Arc::new(
                built.expect("the children have the types of the fields and a row for each of the struct's"),
            )
        }
        Values::List(list) => {
            let DataType::List(item) = field.data_type() else {
                unreachable!("a list column is made from a list field")
            };
            let items = array(&mut list.item, item);
            Arc::new(ListArray::new(item.clone(), offsets(list.take_ends()), items, nulls))
        }
    }
}

pub(crate) fn utf8(values: &mut Bytes, nulls: Option<NullBuffer>) -> ArrayRef {
    let (data, ends) = values.take();
    let built = StringArray::try_new(offsets(ends), Buffer::from_vec(data), nulls);
    Arc::new(built.expect("strings are cut out of valid UTF-8 at ASCII characters"))
}

fn nulls(positions: Vec<u32>, rows: usize) -> Option<NullBuffer> {
    if positions.is_empty() {
        return None;
    }
    let mut bits = BooleanBufferBuilder::new(rows);
    bits.append_n(rows, true);
    for row in positions {
        bits.set_bit(row as usize, false);
    }
    Some(NullBuffer::new(bits.finish()))
}

fn scalars<T: arrow_buffer::ArrowNativeType>(values: &mut Vec<T>) -> ScalarBuffer<T> {
    // The next batch is likely to be as large.
    let next = Vec::with_capacity(values.len());
    ScalarBuffer::from(std::mem::replace(values, next))
}

fn primitive<T: ArrowPrimitiveType>(values: &mut Vec<T::Native>, nulls: Option<NullBuffer>) -> ArrayRef {
    Arc::new(PrimitiveArray::<T>::new(scalars(values), nulls))
}

fn offsets(ends: Vec<i32>) -> OffsetBuffer<i32> {
    OffsetBuffer::new(ScalarBuffer::from(ends))
}
