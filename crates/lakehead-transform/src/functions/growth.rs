//! How large the output of a call will be, and how many steps it takes, as far as its arguments tell before it runs.
//!
//! The answers are never too low. They may be too high for a batch, not for a single row: who is refused a batch tries its
//! halves.

use std::mem::size_of;

use arrow::array::{Array, ArrayRef, AsArray};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Date32Type, Int64Type, IntervalMonthDayNanoType, TimestampNanosecondType};
use datafusion_common::{Result, ScalarValue, exec_err};
use datafusion_expr::{ColumnarValue, ScalarFunctionArgs};

use super::budget;

/// In which way a function makes more than it is given. Most do not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Growth {
    Small,
    /// All arguments, in every row.
    Sum,
    /// All arguments, and the first between each of the others.
    Joined,
    /// The first argument as often as the second says.
    Repeated,
    /// The first argument as often as the one element of the second says.
    Filled,
    /// Characters, as many as the second argument says.
    Padded,
    /// The third argument wherever the second is in the first.
    Replaced,
    /// A list as long as the second argument says.
    Resized,
    /// Steps from here to there.
    Series,
    /// The elements of a list as text, with a separator.
    Printed,
    /// A list whose elements become the third argument.
    Substituted,
    /// As many steps as there are pairs of elements.
    Pairs,
    /// As many steps as there are pairs of characters.
    Distance,
    /// A format, each letter of which may become a word.
    Formatted,
}

/// A letter of a format and its `%` stand for at most this many bytes.
const FORMAT_FACTOR: u64 = 24;
/// A number, or a moment, as text.
const PRINTED_BYTES: u64 = 48;

impl Growth {
    pub(super) fn of(name: &str) -> Growth {
        match name {
            "concat" | "string_concat" | "overlay" | "make_array" | "array_append" | "array_prepend"
            | "array_concat" | "array_union" | "struct" | "named_struct" | "greatest" | "least" => {
                Growth::Sum
            }
            "concat_ws" => Growth::Joined,
            "repeat" | "array_repeat" => Growth::Repeated,
            "array_fill" => Growth::Filled,
            "lpad" | "rpad" => Growth::Padded,
            "replace" => Growth::Replaced,
            "array_resize" => Growth::Resized,
            "range" | "generate_series" => Growth::Series,
            "array_to_string" => Growth::Printed,
            "array_replace" | "array_replace_n" | "array_replace_all" => Growth::Substituted,
            "array_has_all" | "array_has_any" => Growth::Pairs,
            "levenshtein" | "btrim" | "ltrim" | "rtrim" => Growth::Distance,
            "to_char" => Growth::Formatted,
            _ => Growth::Small,
        }
    }

    /// Fails if the call would go beyond what it may take.
    pub(super) fn check(self, name: &str, args: &ScalarFunctionArgs) -> Result<()> {
        let rows = rows(args);
        let all = &args.args;
        let bytes = match (self, all.as_slice()) {
            (Growth::Small, _) => return Ok(()),
            (Growth::Pairs, [a, b, ..]) => return budget::check_steps(name, pairs(a, b, rows, elements)),
            (Growth::Distance, [a, b, ..]) => {
                return budget::check_steps(name, pairs(a, b, rows, text_bytes));
            }
            (Growth::Repeated, [value, count]) => {
                let count = integers(count)?;
                sum(rows, |row| count.get(row).saturating_mul(value_bytes(value, row).max(1)))
            }
            (Growth::Filled, [value, dimensions]) => {
                let counts = super::lists::fill_counts(&dimensions.to_array(rows)?)?;
                let count = |row: usize| counts.get(row).copied().flatten().unwrap_or(0);
                sum(rows, |row| count(row).saturating_mul(value_bytes(value, row).max(1)))
            }
            (Growth::Padded, [text, length, ..]) => {
                let length = integers(length)?;
                let width = if all.iter().all(is_ascii) { 1 } else { 4 };
                sum(rows, |row| if is_null(text, row) { 0 } else { length.get(row).saturating_mul(width) })
            }
            (Growth::Replaced, [text, from, to]) => replaced(name, text, from, to, rows),
            (Growth::Resized, [list, length, fill @ ..]) => {
                let length = integers(length)?;
                let fill = fill.first();
                let width = element_bytes(list.data_type());
                let held = total_bytes(list, rows);
                sum(rows, |row| {
                    length.get(row).saturating_mul(width + fill.map_or(0, |fill| value_bytes(fill, row)))
                })
                .saturating_add(held)
            }
            (Growth::Series, _) => series(all, rows)?,
            (Growth::Printed, [list, between @ ..]) => {
                let leaves = leaves(list, rows);
                let each =
                    between.iter().map(|b| largest_text(b, rows)).fold(PRINTED_BYTES, u64::saturating_add);
                total_bytes(list, rows).saturating_add(leaves.saturating_mul(each))
            }
            (Growth::Substituted, [list, _, to, ..]) => sum(rows, |row| {
                let times = if name == "array_replace" { 1 } else { elements(list, row) };
                times.saturating_mul(value_bytes(to, row))
            })
            .saturating_add(total_bytes(list, rows)),
            (Growth::Formatted, [_, format]) => {
                sum(rows, |row| text_bytes(format, row).saturating_mul(FORMAT_FACTOR))
            }
            (Growth::Joined, [separator, parts @ ..]) => {
                let between = sum(rows, |row| text_bytes(separator, row)).saturating_mul(parts.len() as u64);
                parts.iter().map(|p| total_bytes(p, rows)).fold(between, u64::saturating_add)
            }
            _ => all.iter().map(|a| total_bytes(a, rows)).fold(0, u64::saturating_add),
        };
        budget::check_size(name, bytes)
    }
}

/// Rows of the output: one if all arguments are constants.
fn rows(args: &ScalarFunctionArgs) -> usize {
    let constant = args.args.iter().all(|a| matches!(a, ColumnarValue::Scalar(_)));
    if constant { 1 } else { args.number_rows }
}

fn sum(rows: usize, of: impl Fn(usize) -> u64) -> u64 {
    (0..rows).map(of).fold(0, u64::saturating_add)
}

/// The slice that the array is, without what its buffers hold besides.
pub(super) fn array_bytes(array: &dyn Array) -> u64 {
    let data = array.to_data();
    data.get_slice_memory_size().unwrap_or_else(|_| array.get_array_memory_size()) as u64
}

pub(super) fn scalar_bytes(value: &ScalarValue) -> u64 {
    match value {
        ScalarValue::Utf8(t) | ScalarValue::LargeUtf8(t) | ScalarValue::Utf8View(t) => {
            t.as_ref().map_or(0, |t| t.len() as u64)
        }
        ScalarValue::Binary(b) | ScalarValue::LargeBinary(b) | ScalarValue::BinaryView(b) => {
            b.as_ref().map_or(0, |b| b.len() as u64)
        }
        ScalarValue::List(array) => array_bytes(array.as_ref()),
        ScalarValue::Struct(array) => array_bytes(array.as_ref()),
        other => (other.size() - size_of::<ScalarValue>()).max(16) as u64,
    }
}

/// All rows of an argument, written out.
fn total_bytes(value: &ColumnarValue, rows: usize) -> u64 {
    match value {
        ColumnarValue::Array(array) => array_bytes(array.as_ref()),
        ColumnarValue::Scalar(value) => scalar_bytes(value).saturating_mul(rows as u64),
    }
}

fn is_null(value: &ColumnarValue, row: usize) -> bool {
    match value {
        ColumnarValue::Array(array) => array.is_null(row),
        ColumnarValue::Scalar(value) => value.is_null(),
    }
}

/// The text of a row; empty if it is NULL or no text.
fn text(value: &ColumnarValue, row: usize) -> &str {
    match value {
        ColumnarValue::Scalar(
            ScalarValue::Utf8(t) | ScalarValue::LargeUtf8(t) | ScalarValue::Utf8View(t),
        ) => t.as_deref().unwrap_or_default(),
        ColumnarValue::Array(array) if array.is_valid(row) => match array.data_type() {
            DataType::Utf8 => array.as_string::<i32>().value(row),
            DataType::LargeUtf8 => array.as_string::<i64>().value(row),
            DataType::Utf8View => array.as_string_view().value(row),
            _ => "",
        },
        _ => "",
    }
}

fn text_bytes(value: &ColumnarValue, row: usize) -> u64 {
    text(value, row).len() as u64
}

fn is_text(data_type: &DataType) -> bool {
    matches!(data_type, DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View)
}

fn largest_text(value: &ColumnarValue, rows: usize) -> u64 {
    (0..rows).map(|row| text_bytes(value, row)).max().unwrap_or(0)
}

fn is_ascii(value: &ColumnarValue) -> bool {
    match value {
        ColumnarValue::Scalar(_) => text(value, 0).is_ascii(),
        ColumnarValue::Array(array) => match array.data_type() {
            DataType::Utf8 => array.as_string::<i32>().is_ascii(),
            DataType::LargeUtf8 => array.as_string::<i64>().is_ascii(),
            DataType::Utf8View => array.as_string_view().is_ascii(),
            _ => true,
        },
    }
}

/// The value of one row: exact for texts; for lists and structs, all that they hold.
fn value_bytes(value: &ColumnarValue, row: usize) -> u64 {
    match value {
        ColumnarValue::Scalar(value) => scalar_bytes(value),
        ColumnarValue::Array(_) if is_text(&value.data_type()) => text_bytes(value, row),
        ColumnarValue::Array(array) => match array.data_type().primitive_width() {
            Some(width) => width as u64,
            None => array_bytes(array.slice(row, 1).as_ref()),
        },
    }
}

/// What one more element of a list takes, itself aside.
fn element_bytes(list: DataType) -> u64 {
    match list {
        DataType::List(field) | DataType::LargeList(field) => {
            field.data_type().primitive_width().unwrap_or(16) as u64
        }
        _ => 16,
    }
}

/// Elements of the list of a row.
fn elements(value: &ColumnarValue, row: usize) -> u64 {
    match value {
        ColumnarValue::Scalar(ScalarValue::List(list)) => list.value_length(0).unsigned_abs().into(),
        ColumnarValue::Array(array) if array.is_valid(row) => match array.data_type() {
            DataType::List(_) => array.as_list::<i32>().value_length(row).unsigned_abs().into(),
            DataType::LargeList(_) => array.as_list::<i64>().value_length(row).unsigned_abs(),
            _ => 1,
        },
        _ => 1,
    }
}

/// Elements of the innermost lists of all rows.
fn leaves(value: &ColumnarValue, rows: usize) -> u64 {
    fn of(array: &ArrayRef) -> u64 {
        match array.as_list_opt::<i32>() {
            Some(list) => {
                let offsets = list.value_offsets();
                let (first, last) = (offsets[0] as usize, offsets[list.len()] as usize);
                of(&list.values().slice(first, last - first))
            }
            None => array.len() as u64,
        }
    }
    match value {
        ColumnarValue::Array(array) => of(array),
        ColumnarValue::Scalar(value) => {
            value.to_array().map_or(0, |one| of(&one)).saturating_mul(rows as u64)
        }
    }
}

fn pairs(a: &ColumnarValue, b: &ColumnarValue, rows: usize, of: fn(&ColumnarValue, usize) -> u64) -> u64 {
    sum(rows, |row| of(a, row).saturating_mul(of(b, row)))
}

/// Counts of rows; none for NULL and for what is negative.
enum Counts {
    Same(u64),
    Each(ArrayRef),
}

impl Counts {
    fn get(&self, row: usize) -> u64 {
        match self {
            Counts::Same(count) => *count,
            Counts::Each(array) if array.is_valid(row) => {
                u64::try_from(array.as_primitive::<Int64Type>().value(row)).unwrap_or(0)
            }
            Counts::Each(_) => 0,
        }
    }
}

fn integers(value: &ColumnarValue) -> Result<Counts> {
    Ok(match value {
        ColumnarValue::Array(array) => Counts::Each(cast(array, &DataType::Int64)?),
        ColumnarValue::Scalar(value) => match value.cast_to(&DataType::Int64)? {
            ScalarValue::Int64(Some(count)) => Counts::Same(u64::try_from(count).unwrap_or(0)),
            _ => Counts::Same(0),
        },
    })
}

/// Text with every `from` replaced. Occurrences are only counted if their number matters.
fn replaced(name: &str, value: &ColumnarValue, from: &ColumnarValue, to: &ColumnarValue, rows: usize) -> u64 {
    let most = |row| {
        let length = text_bytes(value, row);
        let occurrences = length / text_bytes(from, row).max(1) + 1;
        length.saturating_add(occurrences.saturating_mul(text_bytes(to, row)))
    };
    let bytes = sum(rows, most);
    if budget::would_fit(name, bytes) {
        return bytes;
    }
    sum(rows, |row| {
        let (value, from) = (text(value, row), text(from, row));
        let occurrences = value.matches(from).count() as u64;
        (value.len() as u64).saturating_add(occurrences.saturating_mul(text_bytes(to, row)))
    })
}

fn series(args: &[ColumnarValue], rows: usize) -> Result<u64> {
    let arrays = args.iter().map(|a| a.to_array(rows)).collect::<Result<Vec<_>>>()?;
    let width = size_of::<i64>() as u64;
    let value = |array: &ArrayRef, row: usize| {
        array.is_valid(row).then(|| array.as_primitive::<Int64Type>().value(row))
    };
    let numbers = |array: &ArrayRef| cast(array, &DataType::Int64);
    match arrays.as_slice() {
        [stop] if stop.data_type().is_integer() => {
            let stop = numbers(stop)?;
            Ok(sum(rows, |row| {
                value(&stop, row).map_or(0, |s| u64::try_from(s).unwrap_or(0)).saturating_mul(width)
            }))
        }
        [start, stop, step @ ..] if start.data_type().is_integer() && stop.data_type().is_integer() => {
            let (start, stop) = (numbers(start)?, numbers(stop)?);
            let step = step.first().map(numbers).transpose()?;
            Ok(sum(rows, |row| {
                let step =
                    step.as_ref().map_or(Some(1), |s| value(s, row)).unwrap_or(0).unsigned_abs().max(1);
                match (value(&start, row), value(&stop, row)) {
                    (Some(start), Some(stop)) => (start.abs_diff(stop) / step + 1).saturating_mul(width),
                    _ => 0,
                }
            }))
        }
        [start, stop, step] => moments(start, stop, step, rows),
        _ => Ok(0),
    }
}

/// Dates or timestamps between two others. A step that goes forth by months and back by days may never arrive: it is no step.
fn moments(start: &ArrayRef, stop: &ArrayRef, step: &ArrayRef, rows: usize) -> Result<u64> {
    const DAY_NANOSECONDS: i128 = 86_400_000_000_000;
    let Some(steps) = step.as_primitive_opt::<IntervalMonthDayNanoType>() else { return Ok(0) };
    let nanoseconds = |array: &ArrayRef, row: usize| -> i128 {
        match array.data_type() {
            _ if array.is_null(row) => 0,
            DataType::Date32 => i128::from(array.as_primitive::<Date32Type>().value(row)) * DAY_NANOSECONDS,
            DataType::Timestamp(..) => {
                array.as_primitive_opt::<TimestampNanosecondType>().map_or(0, |a| i128::from(a.value(row)))
            }
            _ => 0,
        }
    };
    let plain = |array: &ArrayRef| match array.data_type() {
        DataType::Timestamp(_, zone) => {
            cast(array, &DataType::Timestamp(arrow::datatypes::TimeUnit::Nanosecond, zone.clone()))
        }
        DataType::Date64 => cast(array, &DataType::Date32),
        _ => Ok(ArrayRef::clone(array)),
    };
    let (start, stop) = (plain(start)?, plain(stop)?);
    let mut bytes = 0u64;
    for row in 0..rows {
        if step.is_null(row) {
            continue;
        }
        let (months, days, nanos) = IntervalMonthDayNanoType::to_parts(steps.value(row));
        let parts = [i64::from(months), i64::from(days), nanos];
        if parts.iter().any(|p| *p < 0) && parts.iter().any(|p| *p > 0) {
            return exec_err!(
                "the step of a series goes forth and back: its months, days and seconds need one sign"
            );
        }
        let step = i128::from(months.unsigned_abs()) * 28 * DAY_NANOSECONDS
            + i128::from(days.unsigned_abs()) * DAY_NANOSECONDS
            + i128::from(nanos.unsigned_abs());
        if step == 0 {
            continue;
        }
        let count = (nanoseconds(&stop, row) - nanoseconds(&start, row)).unsigned_abs() / step.unsigned_abs();
        bytes = bytes.saturating_add(u64::try_from(count + 1).unwrap_or(u64::MAX).saturating_mul(8));
    }
    Ok(bytes)
}
