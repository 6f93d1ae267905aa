//! A column, opened once for a batch, so that writing a value is a match and no downcast.

use arrow::array::cast::AsArray;
use arrow::array::types::{
    Date32Type, Decimal128Type, Float32Type, Float64Type, Int32Type, Int64Type, TimestampMicrosecondType,
    TimestampMillisecondType, TimestampNanosecondType, TimestampSecondType, UInt32Type, UInt64Type,
};
use arrow::array::{
    Array, ArrayRef, BinaryArray, BooleanArray, Decimal128Array, StringArray, StringViewArray,
    new_empty_array,
};
use arrow::buffer::{NullBuffer, OffsetBuffer, ScalarBuffer};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field, FieldRef, Schema, TimeUnit};
use arrow::util::display::{ArrayFormatter, FormatOptions};
use lakehead_model::Invalid;
use lakehead_model::resource::{DecimalEncoding, TimestampFormat};

use super::text;
use crate::{Error, ErrorKind};

/// How values with several spellings are written.
#[derive(Debug, Clone, Copy)]
pub(super) struct Style {
    pub(super) decimals: DecimalEncoding,
    pub(super) timestamps: TimestampFormat,
}

/// Whether a text column holds JSON.
pub(super) fn is_json(field: &Field) -> bool {
    field.metadata().get("lakehead.type").is_some_and(|t| t == "json")
}

pub(crate) fn check_columns(schema: &Schema) -> Result<(), Invalid> {
    for field in schema.fields() {
        Column::new(field, &new_empty_array(field.data_type())).map_err(|_| {
            Invalid::new(field.name(), format!("is {}, which JSON cannot hold", field.data_type()))
        })?;
    }
    Ok(())
}

/// Columns with their names: the members of a JSON object.
#[derive(Debug)]
pub(super) struct Object {
    /// `{"a":` for the first, `,"b":` for the others.
    members: Vec<(Vec<u8>, Column)>,
}

impl Object {
    pub(super) fn new(fields: &[FieldRef], columns: &[ArrayRef]) -> Result<Object, Error> {
        let members = fields.iter().zip(columns).enumerate().map(|(i, (field, array))| {
            let mut key = vec![if i == 0 { b'{' } else { b',' }];
            text::string(&mut key, field.name());
            key.push(b':');
            Ok((key, Column::new(field, array)?))
        });
        Ok(Object { members: members.collect::<Result<_, Error>>()? })
    }

    pub(super) fn write(&self, out: &mut Vec<u8>, row: usize, style: Style) {
        if self.members.is_empty() {
            out.push(b'{');
        }
        for (key, column) in &self.members {
            out.extend_from_slice(key);
            column.write(out, row, style);
        }
        out.push(b'}');
    }
}

#[derive(Debug)]
pub(super) struct Column {
    nulls: Option<NullBuffer>,
    values: Values,
}

#[derive(Debug)]
enum Values {
    Null,
    Bool(BooleanArray),
    Int32(ScalarBuffer<i32>),
    Int64(ScalarBuffer<i64>),
    UInt32(ScalarBuffer<u32>),
    UInt64(ScalarBuffer<u64>),
    Float32(ScalarBuffer<f32>),
    Float64(ScalarBuffer<f64>),
    Decimal(Decimal128Array, i8),
    Text(StringArray),
    /// No value of the batch has anything to escape.
    PlainText(StringArray),
    TextView(StringViewArray),
    Json(StringArray),
    /// No value of the batch has a line break.
    PlainJson(StringArray),
    JsonView(StringViewArray),
    Binary(BinaryArray),
    Date(ScalarBuffer<i32>),
    Timestamp(ScalarBuffer<i64>, TimeUnit),
    Struct(Object),
    List(OffsetBuffer<i32>, Box<Column>),
    Map(OffsetBuffer<i32>, StringArray, Box<Column>),
    /// Written as Arrow prints it, in quotes.
    Printed(ArrayRef),
}

impl Column {
    pub(super) fn new(field: &Field, array: &ArrayRef) -> Result<Column, Error> {
        let values = match array.data_type() {
            DataType::Null => Values::Null,
            DataType::Boolean => Values::Bool(array.as_boolean().clone()),
            DataType::Int8 | DataType::Int16 | DataType::UInt8 | DataType::UInt16 => {
                return Column::converted(field, array, &DataType::Int32);
            }
            DataType::Int32 => Values::Int32(array.as_primitive::<Int32Type>().values().clone()),
            DataType::Int64 => Values::Int64(array.as_primitive::<Int64Type>().values().clone()),
            DataType::UInt32 => Values::UInt32(array.as_primitive::<UInt32Type>().values().clone()),
            DataType::UInt64 => Values::UInt64(array.as_primitive::<UInt64Type>().values().clone()),
            DataType::Float16 => return Column::converted(field, array, &DataType::Float32),
            DataType::Float32 => Values::Float32(array.as_primitive::<Float32Type>().values().clone()),
            DataType::Float64 => Values::Float64(array.as_primitive::<Float64Type>().values().clone()),
            DataType::Decimal32(p, s) | DataType::Decimal64(p, s) => {
                return Column::converted(field, array, &DataType::Decimal128(*p, *s));
            }
            DataType::Decimal128(_, scale) => {
                Values::Decimal(array.as_primitive::<Decimal128Type>().clone(), *scale)
            }
            DataType::Utf8 if is_json(field) => json_values(array.as_string()),
            DataType::Utf8 => text_values(array.as_string()),
            DataType::Utf8View if is_json(field) => Values::JsonView(array.as_string_view().clone()),
            DataType::Utf8View => Values::TextView(array.as_string_view().clone()),
            DataType::LargeUtf8 => return Column::converted(field, array, &DataType::Utf8View),
            DataType::Binary => Values::Binary(array.as_binary().clone()),
            DataType::LargeBinary | DataType::BinaryView | DataType::FixedSizeBinary(_) => {
                return Column::converted(field, array, &DataType::Binary);
            }
            DataType::Date32 => Values::Date(array.as_primitive::<Date32Type>().values().clone()),
            DataType::Timestamp(unit, _) => Values::Timestamp(timestamps(array, *unit), *unit),
            DataType::Struct(fields) => Values::Struct(Object::new(fields, array.as_struct().columns())?),
            DataType::List(item) => {
                let list = array.as_list::<i32>();
                Values::List(list.offsets().clone(), Box::new(Column::new(item, list.values())?))
            }
            DataType::LargeList(item)
            | DataType::FixedSizeList(item, _)
            | DataType::ListView(item)
            | DataType::LargeListView(item) => {
                return Column::converted(field, array, &DataType::List(item.clone()));
            }
            DataType::Map(..) => return Column::map(field, array),
            DataType::Dictionary(_, values) => return Column::converted(field, array, values),
            DataType::RunEndEncoded(_, values) => {
                return Column::converted(field, array, values.data_type());
            }
            DataType::Union(..) => return Err(unwritable(field, "no JSON form")),
            _ => Values::Printed(array.clone()),
        };
        Ok(Column { nulls: array.nulls().cloned(), values })
    }

    /// The same column as another type of Arrow with the same JSON.
    fn converted(field: &Field, array: &ArrayRef, to: &DataType) -> Result<Column, Error> {
        let array = cast(array, to).map_err(|e| unwritable(field, &e.to_string()))?;
        Column::new(field, &array)
    }

    fn map(field: &Field, array: &ArrayRef) -> Result<Column, Error> {
        let map = array.as_map();
        let keys = cast(map.keys(), &DataType::Utf8).map_err(|e| unwritable(field, &format!("keys: {e}")))?;
        let (_, value_field) = map.entries_fields();
        let values = Column::new(value_field, map.values())?;
        Ok(Column {
            nulls: array.nulls().cloned(),
            values: Values::Map(map.offsets().clone(), keys.as_string().clone(), Box::new(values)),
        })
    }

    #[inline]
    pub(super) fn write(&self, out: &mut Vec<u8>, row: usize, style: Style) {
        if self.nulls.as_ref().is_some_and(|nulls| nulls.is_null(row)) {
            out.extend_from_slice(b"null");
            return;
        }
        match &self.values {
            Values::Null => out.extend_from_slice(b"null"),
            Values::Bool(v) => out.extend_from_slice(if v.value(row) { b"true" } else { b"false" }),
            Values::Int32(v) => text::integer(out, v[row]),
            Values::Int64(v) => text::integer(out, v[row]),
            Values::UInt32(v) => text::integer(out, v[row]),
            Values::UInt64(v) => text::integer(out, v[row]),
            Values::Float32(v) => text::float(out, v[row]),
            Values::Float64(v) => text::float(out, v[row]),
            Values::Decimal(v, scale) => text::decimal(out, v.value(row), *scale, style.decimals),
            Values::Text(v) => text::string(out, v.value(row)),
            Values::PlainText(v) => text::plain_string(out, v.value(row)),
            Values::TextView(v) => text::string(out, v.value(row)),
            Values::Json(v) => text::json(out, v.value(row)),
            Values::PlainJson(v) => text::plain_json(out, v.value(row)),
            Values::JsonView(v) => text::json(out, v.value(row)),
            Values::Binary(v) => text::binary(out, v.value(row)),
            Values::Date(v) => text::quoted(out, |out| text::date(out, i64::from(v[row]))),
            Values::Timestamp(v, unit) => text::timestamp(out, v[row], *unit, style.timestamps),
            Values::Struct(object) => object.write(out, row, style),
            Values::List(offsets, item) => write_list(out, offsets, item, row, style),
            Values::Map(offsets, keys, values) => {
                out.push(b'{');
                let (start, end) = bounds(offsets, row);
                for i in start..end {
                    if i > start {
                        out.push(b',');
                    }
                    text::string(out, keys.value(i));
                    out.push(b':');
                    values.write(out, i, style);
                }
                out.push(b'}');
            }
            Values::Printed(array) => printed(out, array.as_ref(), row),
        }
    }
}

/// One look at all bytes of the batch saves a look at each value.
fn text_values(array: &StringArray) -> Values {
    match text::any_special(bytes_of(array)) {
        true => Values::Text(array.clone()),
        false => Values::PlainText(array.clone()),
    }
}

fn json_values(array: &StringArray) -> Values {
    match memchr::memchr2(b'\n', b'\r', bytes_of(array)) {
        Some(_) => Values::Json(array.clone()),
        None => Values::PlainJson(array.clone()),
    }
}

/// The bytes of all values, one behind the other; those of null rows too.
fn bytes_of(array: &StringArray) -> &[u8] {
    let bounds = array.value_offsets();
    let bound = |at: Option<&i32>| at.map_or(0, |o| o.cast_unsigned() as usize);
    &array.value_data()[bound(bounds.first())..bound(bounds.last())]
}

fn write_list(out: &mut Vec<u8>, offsets: &OffsetBuffer<i32>, item: &Column, row: usize, style: Style) {
    out.push(b'[');
    let (start, end) = bounds(offsets, row);
    for i in start..end {
        if i > start {
            out.push(b',');
        }
        item.write(out, i, style);
    }
    out.push(b']');
}

/// Offsets of Arrow lists are never negative.
fn bounds(offsets: &OffsetBuffer<i32>, row: usize) -> (usize, usize) {
    (offsets[row].cast_unsigned() as usize, offsets[row + 1].cast_unsigned() as usize)
}

fn timestamps(array: &ArrayRef, unit: TimeUnit) -> ScalarBuffer<i64> {
    match unit {
        TimeUnit::Second => array.as_primitive::<TimestampSecondType>().values().clone(),
        TimeUnit::Millisecond => array.as_primitive::<TimestampMillisecondType>().values().clone(),
        TimeUnit::Microsecond => array.as_primitive::<TimestampMicrosecondType>().values().clone(),
        TimeUnit::Nanosecond => array.as_primitive::<TimestampNanosecondType>().values().clone(),
    }
}

/// Rare types: times, durations, intervals, wide decimals. A value that Arrow cannot print is null.
fn printed(out: &mut Vec<u8>, array: &dyn Array, row: usize) {
    let options = FormatOptions::new().with_display_error(false);
    let printed = ArrayFormatter::try_new(array, &options).and_then(|f| f.value(row).try_to_string());
    match printed {
        Ok(printed) => text::string(out, &printed),
        Err(_) => out.extend_from_slice(b"null"),
    }
}

fn unwritable(field: &Field, why: &str) -> Error {
    Error::new(
        ErrorKind::Encode,
        format!("column {:?} of type {} cannot be written as JSON: {why}", field.name(), field.data_type()),
    )
}
