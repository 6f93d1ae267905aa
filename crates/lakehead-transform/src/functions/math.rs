//! Numbers, where the documentation says something else than DataFusion does.

use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, Int64Array};
use arrow::compute::binary;
use arrow::datatypes::{DataType, Float32Type, Float64Type, Int64Type};
use datafusion_common::{Result, exec_err};
use datafusion_expr::{ScalarFunctionArgs, ScalarUDF, Signature, Volatility};

use super::own::{Own, by_rows};

pub(super) fn functions() -> Vec<Arc<ScalarUDF>> {
    let floats = Signature::uniform(1, vec![DataType::Float64, DataType::Float32], Volatility::Immutable);
    let signum = Own::new("signum", floats, |types| Ok(types[0].clone()), |args| by_rows(args, signum));
    let factorial =
        Own::exact("factorial", &[DataType::Int64], |_| Ok(DataType::Int64), |args| by_rows(args, factorial));
    let doubles = [DataType::Float64, DataType::Float64];
    let atan2 = Own::exact("atan2", &doubles, |_| Ok(DataType::Float64), |args| by_rows(args, atan2));
    vec![Arc::new(signum.udf()), Arc::new(factorial.udf()), Arc::new(atan2.udf())]
}

/// −1 for what is negative, 1 for zero and what is positive, NaN for NaN.
fn signum(_: &ScalarFunctionArgs, arrays: &[ArrayRef]) -> Result<ArrayRef> {
    Ok(match arrays[0].as_primitive_opt::<Float32Type>() {
        Some(floats) => Arc::new(floats.unary::<_, Float32Type>(|v| if v == 0.0 { 1.0 } else { v.signum() })),
        None => {
            let doubles = arrays[0].as_primitive::<Float64Type>();
            Arc::new(doubles.unary::<_, Float64Type>(|v| if v == 0.0 { 1.0 } else { v.signum() }))
        }
    })
}

/// In double precision: DataFusion takes single for integers.
fn atan2(_: &ScalarFunctionArgs, arrays: &[ArrayRef]) -> Result<ArrayRef> {
    let (y, x) = (arrays[0].as_primitive::<Float64Type>(), arrays[1].as_primitive::<Float64Type>());
    Ok(Arc::new(binary::<_, _, _, Float64Type>(y, x, f64::atan2)?))
}

/// 1 for whatever is below 2.
fn factorial(_: &ScalarFunctionArgs, arrays: &[ArrayRef]) -> Result<ArrayRef> {
    /// 21! is more than an Int64 holds.
    const LARGEST: i64 = 20;
    let numbers = arrays[0].as_primitive::<Int64Type>();
    let products: Int64Array = numbers.try_unary(|n| match n {
        n if n > LARGEST => {
            exec_err!("factorial({n}) is more than a BIGINT holds; {LARGEST} is the largest argument")
        }
        n => Ok((2..=n).product()),
    })?;
    Ok(Arc::new(products))
}
