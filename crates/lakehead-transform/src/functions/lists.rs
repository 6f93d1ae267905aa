//! Lists, where the documentation says something else than DataFusion does.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, Int64Array, ListArray, UInt32Array, UInt64Array};
use arrow::buffer::{NullBuffer, OffsetBuffer};
use arrow::compute::{cast, take};
use arrow::datatypes::{DataType, Field, Int64Type};
use datafusion_common::{Result, exec_err, plan_err};
use datafusion_expr::{ScalarFunctionArgs, ScalarUDF, Signature, Volatility};

use super::own::{Own, by_rows};

pub(super) fn functions() -> Vec<Arc<ScalarUDF>> {
    let empty = Own::new(
        "empty",
        Signature::array(Volatility::Immutable),
        |_| Ok(DataType::Int64),
        |args| by_rows(args, empty),
    );
    let cardinality = Own::new(
        "cardinality",
        Signature::array(Volatility::Immutable),
        |_| Ok(DataType::UInt64),
        |args| by_rows(args, cardinality),
    );
    let trim_array = Own::new(
        "trim_array",
        Signature::array_and_index(Volatility::Immutable),
        |arguments| Ok(arguments[0].clone()),
        |args| by_rows(args, trim_array),
    );
    let array_fill = Own::new(
        "array_fill",
        Signature::any(2, Volatility::Immutable),
        |arguments| {
            dimensions(&arguments[1])?;
            Ok(DataType::List(Arc::new(Field::new_list_field(arguments[0].clone(), true))))
        },
        |args| by_rows(args, array_fill),
    );
    let empty = empty.aliases(&["array_empty", "list_empty"]);
    [empty, cardinality, trim_array, array_fill].into_iter().map(|own| Arc::new(own.udf())).collect()
}

/// The elements of a list; of a list of lists, those of the inner ones, which may have different lengths.
fn cardinality(_: &ScalarFunctionArgs, arrays: &[ArrayRef]) -> Result<ArrayRef> {
    let array = &arrays[0];
    let answer = |row: usize| if array.is_valid(row) { elements(array, row).map(Some) } else { Ok(None) };
    Ok(Arc::new((0..array.len()).map(answer).collect::<Result<UInt64Array>>()?))
}

/// The depth is that of the type.
fn elements(array: &ArrayRef, row: usize) -> Result<u64> {
    let inner = match array.data_type() {
        DataType::List(_) => array.as_list::<i32>().value(row),
        DataType::LargeList(_) => array.as_list::<i64>().value(row),
        DataType::FixedSizeList(..) => array.as_fixed_size_list().value(row),
        other => return exec_err!("{other} is not a list"),
    };
    match inner.data_type() {
        DataType::List(_) | DataType::LargeList(_) | DataType::FixedSizeList(..) => {
            (0..inner.len()).filter(|row| inner.is_valid(*row)).map(|row| elements(&inner, row)).sum()
        }
        _ => Ok(inner.len() as u64),
    }
}

/// A list without its last elements.
fn trim_array(_: &ScalarFunctionArgs, arrays: &[ArrayRef]) -> Result<ArrayRef> {
    let DataType::List(field) = arrays[0].data_type() else {
        return exec_err!("{} is not a list", arrays[0].data_type());
    };
    let (lists, counts) = (arrays[0].as_list::<i32>(), cast(&arrays[1], &DataType::Int64)?);
    let counts = counts.as_primitive::<Int64Type>();
    let nulls = NullBuffer::union(lists.nulls(), counts.nulls());
    let (mut indices, mut lengths) = (Vec::new(), Vec::with_capacity(lists.len()));
    for row in 0..lists.len() {
        if nulls.as_ref().is_some_and(|nulls| nulls.is_null(row)) {
            lengths.push(0);
            continue;
        }
        let Ok(away) = usize::try_from(counts.value(row)) else {
            return exec_err!(
                "trim_array takes {} elements away; it cannot be less than none",
                counts.value(row)
            );
        };
        let kept = usize::try_from(lists.value_length(row)).unwrap_or_default().saturating_sub(away);
        let start = u32::try_from(lists.value_offsets()[row]).unwrap_or_default();
        indices.extend((start..).take(kept));
        lengths.push(kept);
    }
    let values = take(lists.values(), &UInt32Array::from(indices), None)?;
    Ok(Arc::new(ListArray::try_new(Arc::clone(field), OffsetBuffer::from_lengths(lengths), values, nulls)?))
}

/// A list of as many copies of a value as the one element of the second argument says.
fn array_fill(_: &ScalarFunctionArgs, arrays: &[ArrayRef]) -> Result<ArrayRef> {
    let counts = fill_counts(&arrays[1])?;
    let lengths = counts.iter().map(|count| usize::try_from(count.unwrap_or(0)).unwrap_or(usize::MAX));
    let lengths: Vec<usize> = lengths.collect();
    let rows = (0u32..).zip(&lengths).flat_map(|(row, length)| std::iter::repeat_n(row, *length));
    let values = take(&arrays[0], &UInt32Array::from_iter_values(rows), None)?;
    let field = Arc::new(Field::new_list_field(arrays[0].data_type().clone(), true));
    let nulls = NullBuffer::from_iter(counts.iter().map(Option::is_some));
    Ok(Arc::new(ListArray::try_new(field, OffsetBuffer::from_lengths(lengths), values, Some(nulls))?))
}

/// How long the list of each row becomes; NULL where no dimension is given.
pub(super) fn fill_counts(dimensions: &ArrayRef) -> Result<Vec<Option<u64>>> {
    let dimensions = cast(dimensions, &self::dimensions(dimensions.data_type())?)?;
    let dimensions = dimensions.as_list::<i32>();
    let count = |row: usize| {
        if dimensions.is_null(row) {
            return Ok(None);
        }
        let given = dimensions.value(row);
        match given.as_primitive::<Int64Type>() {
            one if one.len() == 1 && one.is_null(0) => Ok(None),
            one if one.len() == 1 && one.value(0) >= 0 => Ok(Some(one.value(0).unsigned_abs())),
            one if one.len() == 1 => exec_err!("array_fill cannot make {} elements", one.value(0)),
            several => exec_err!("array_fill makes lists of one dimension, {} are given", several.len()),
        }
    };
    (0..dimensions.len()).map(count).collect()
}

/// The type that the dimensions are read as.
fn dimensions(given: &DataType) -> Result<DataType> {
    let is_list_of_integers = match given {
        DataType::List(item) | DataType::LargeList(item) | DataType::FixedSizeList(item, _) => {
            item.data_type().is_integer() || item.data_type().is_null()
        }
        DataType::Null => true,
        _ => false,
    };
    if !is_list_of_integers {
        return plan_err!("array_fill needs its length as a list of one integer, such as [3], not {given}");
    }
    Ok(DataType::List(Arc::new(Field::new_list_field(DataType::Int64, true))))
}

/// 1 for a list without elements, 0 for others.
fn empty(_: &ScalarFunctionArgs, arrays: &[ArrayRef]) -> Result<ArrayRef> {
    let array = &arrays[0];
    let length = |row: usize| match array.data_type() {
        DataType::List(_) => Ok(array.as_list::<i32>().value_length(row).into()),
        DataType::LargeList(_) => Ok(array.as_list::<i64>().value_length(row)),
        DataType::FixedSizeList(_, length) => Ok(i64::from(*length)),
        other => exec_err!("{other} is not a list"),
    };
    let answer = |row: usize| match array.is_valid(row) {
        true => length(row).map(|length| Some(i64::from(length == 0))),
        false => Ok(None),
    };
    Ok(Arc::new((0..array.len()).map(answer).collect::<Result<Int64Array>>()?))
}
