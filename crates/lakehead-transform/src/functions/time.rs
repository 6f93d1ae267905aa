//! The moment of the run, and numbers as moments.

use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray};
use arrow::datatypes::{DataType, Int64Type, TimeUnit, TimestampNanosecondType};
use datafusion_common::{Result, ScalarValue};
use datafusion_expr::{ColumnarValue, ScalarFunctionArgs, ScalarUDF, Signature, Volatility};

use super::budget;
use super::own::{Own, by_rows};

const DAY_MICROSECONDS: i64 = 86_400_000_000;

pub(super) fn functions() -> Vec<Arc<ScalarUDF>> {
    // Volatile, so that planning does not make a constant of it.
    let moment = || Signature::nullary(Volatility::Volatile);
    let now = Own::new("now", moment(), |_| Ok(microseconds()), now).aliases(&["current_timestamp"]);
    let today = Own::new("current_date", moment(), |_| Ok(DataType::Date32), today).aliases(&["today"]);
    let from_unixtime = Own::exact(
        "from_unixtime",
        &[DataType::Int64],
        |_| Ok(nanoseconds()),
        |args| by_rows(args, from_unixtime),
    );
    vec![Arc::new(now.udf()), Arc::new(today.udf()), Arc::new(from_unixtime.udf())]
}

fn microseconds() -> DataType {
    DataType::Timestamp(TimeUnit::Microsecond, None)
}

fn nanoseconds() -> DataType {
    DataType::Timestamp(TimeUnit::Nanosecond, None)
}

fn now(_: &ScalarFunctionArgs) -> Result<ColumnarValue> {
    let now = budget::now().as_micros();
    Ok(ColumnarValue::Scalar(ScalarValue::TimestampMicrosecond(Some(now), None)))
}

fn today(_: &ScalarFunctionArgs) -> Result<ColumnarValue> {
    let days = budget::now().as_micros().div_euclid(DAY_MICROSECONDS);
    Ok(ColumnarValue::Scalar(ScalarValue::Date32(i32::try_from(days).ok())))
}

/// Nanoseconds, as documented; DataFusion takes seconds.
fn from_unixtime(_: &ScalarFunctionArgs, arrays: &[ArrayRef]) -> Result<ArrayRef> {
    Ok(Arc::new(arrays[0].as_primitive::<Int64Type>().reinterpret_cast::<TimestampNanosecondType>()))
}
