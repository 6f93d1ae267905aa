//! UNNEST: a row of each element of a list, the other columns repeated. A NULL list makes one row with NULL, an empty one
//! none.

use arrow::array::{Array, ArrayRef, AsArray, UInt32Array};
use arrow::compute::take;
use arrow::datatypes::DataType;

use crate::program::{EvaluationError, Failure};

/// Bytes that the rows of a batch may take. Counted before anything is made.
const BYTES_MAX: u64 = 64 << 20;

/// The columns with the list at `list` in rows, and for each row the one it comes from.
pub(crate) fn unnest(
    columns: &[ArrayRef],
    list: usize,
) -> Result<(Vec<ArrayRef>, UInt32Array), EvaluationError> {
    let lists = columns.get(list).and_then(|c| c.as_list_opt::<i32>()).ok_or_else(|| EvaluationError {
        failure: Failure::Expression,
        message: "UNNEST needs a list".into(),
    })?;
    let count = |row: usize| match lists.is_null(row) {
        true => 1,
        false => u64::try_from(lists.value_length(row)).unwrap_or(0),
    };
    let rows = lists.len();
    // Of each row, the bytes that are repeated; and of each element.
    let mut repeated = vec![8_u64; rows];
    for (i, column) in columns.iter().enumerate().filter(|(i, _)| *i != list) {
        debug_assert_ne!(i, list);
        add_bytes(column, &mut repeated);
    }
    let mut elements = vec![0_u64; lists.values().len()];
    add_bytes(lists.values(), &mut elements);
    // Of a slice of a batch, only its own elements.
    let ends = (lists.value_offsets().first(), lists.value_offsets().last());
    let end = |offset: Option<&i32>| offset.and_then(|o| usize::try_from(*o).ok()).unwrap_or(0);
    let own: u64 = elements[end(ends.0)..end(ends.1)].iter().sum();
    let bytes = (0..rows).fold(own, |sum, row| sum.saturating_add(count(row).saturating_mul(repeated[row])));
    if bytes > BYTES_MAX {
        return Err(EvaluationError {
            failure: Failure::Limit,
            message: format!("UNNEST would make rows of {bytes} bytes of a batch; the limit is {BYTES_MAX}"),
        });
    }
    let mut from = Vec::new();
    let mut element: Vec<Option<u32>> = Vec::new();
    for row in 0..rows {
        let row_index = u32::try_from(row).unwrap_or(u32::MAX);
        if lists.is_null(row) {
            from.push(row_index);
            element.push(None);
            continue;
        }
        let start = u32::try_from(lists.value_offsets()[row]).unwrap_or(0);
        let length = u32::try_from(lists.value_length(row)).unwrap_or(0);
        from.extend(std::iter::repeat_n(row_index, length as usize));
        element.extend((start..start + length).map(Some));
    }
    let (from, element) = (UInt32Array::from(from), UInt32Array::from(element));
    let columns = columns.iter().enumerate().map(|(i, column)| match i == list {
        true => take(lists.values(), &element, None),
        false => take(column, &from, None),
    });
    Ok((columns.collect::<Result<_, _>>()?, from))
}

/// Adds to each row's count the bytes of its value.
fn add_bytes(array: &ArrayRef, rows: &mut [u64]) {
    let width = |array: &ArrayRef| array.data_type().primitive_width().map_or(1, |w| w as u64);
    let add_offsets = |offsets: &[i32], rows: &mut [u64]| {
        for (row, ends) in rows.iter_mut().zip(offsets.windows(2)) {
            *row += 4 + u64::try_from(ends[1] - ends[0]).unwrap_or(0);
        }
    };
    match array.data_type() {
        DataType::Utf8 => add_offsets(array.as_string::<i32>().value_offsets(), rows),
        DataType::Binary => add_offsets(array.as_binary::<i32>().value_offsets(), rows),
        DataType::Struct(_) => array.as_struct().columns().iter().for_each(|c| add_bytes(c, rows)),
        DataType::List(_) => {
            let lists = array.as_list::<i32>();
            let mut elements = vec![0_u64; lists.values().len()];
            add_bytes(lists.values(), &mut elements);
            for (row, ends) in rows.iter_mut().zip(lists.value_offsets().windows(2)) {
                let (from, to) =
                    (usize::try_from(ends[0]).unwrap_or(0), usize::try_from(ends[1]).unwrap_or(0));
                *row += 4 + elements[from..to].iter().sum::<u64>();
            }
        }
        other if other.is_primitive() || matches!(other, DataType::Boolean | DataType::Null) => {
            rows.iter_mut().for_each(|row| *row += width(array));
        }
        // Views and other layouts: the whole array for each row, which errs to the safe side only where it is large.
        _ => {
            let each = (array.get_array_memory_size() / array.len().max(1)) as u64;
            rows.iter_mut().for_each(|row| *row += each);
        }
    }
}
