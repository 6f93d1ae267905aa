//! Numbers, where the documentation says something else than DataFusion does.

use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, Float64Array, Int64Array};
use arrow::compute::{binary, cast};
use arrow::datatypes::{DataType, FieldRef, Float32Type, Float64Type, Int64Type};
use datafusion_common::{Result, exec_err};
use datafusion_expr::{
    ColumnarValue, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};

use super::own::{Own, by_rows};

pub(super) fn functions() -> Vec<Arc<ScalarUDF>> {
    let floats = Signature::uniform(1, vec![DataType::Float64, DataType::Float32], Volatility::Immutable);
    let signum = Own::new("signum", floats, |types| Ok(types[0].clone()), |args| by_rows(args, signum));
    let factorial =
        Own::exact("factorial", &[DataType::Int64], |_| Ok(DataType::Int64), |args| by_rows(args, factorial));
    let doubles = [DataType::Float64, DataType::Float64];
    let atan2 = Own::exact("atan2", &doubles, |_| Ok(DataType::Float64), |args| by_rows(args, atan2));
    let rounded = [datafusion_functions::math::round(), datafusion_functions::math::trunc()];
    let rounded = rounded.map(|inner| Arc::new(ScalarUDF::new_from_impl(Finite { inner })));
    rounded.into_iter().chain([signum, factorial, atan2].map(|own| Arc::new(own.udf()))).collect()
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

/// `round` and `trunc`: DataFusion multiplies by ten to the power of the places, which can be more than a DOUBLE holds, and makes
/// NaN or infinity of a number.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(super) struct Finite {
    inner: Arc<ScalarUDF>,
}

impl ScalarUDFImpl for Finite {
    fn name(&self) -> &str {
        self.inner.name()
    }

    fn signature(&self) -> &Signature {
        self.inner.signature()
    }

    fn return_type(&self, arguments: &[DataType]) -> Result<DataType> {
        self.inner.return_type(arguments)
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs) -> Result<FieldRef> {
        self.inner.return_field_from_args(args)
    }

    fn coerce_types(&self, arguments: &[DataType]) -> Result<Vec<DataType>> {
        self.inner.coerce_types(arguments)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let given = args.clone();
        let output = self.inner.invoke_with_args(args)?;
        if !output.data_type().is_floating() {
            return Ok(output);
        }
        by_rows(&given, |_, arrays| {
            let made = cast(&output.to_array(arrays[0].len())?, &DataType::Float64)?;
            let from = cast(&arrays[0], &DataType::Float64)?;
            let places = arrays.get(1).map(|places| cast(places, &DataType::Int64)).transpose()?;
            let (made, from) = (made.as_primitive::<Float64Type>(), from.as_primitive::<Float64Type>());
            let mended = made.iter().enumerate().map(|(row, made)| {
                let negative = places.as_ref().is_some_and(|p| p.as_primitive::<Int64Type>().value(row) < 0);
                match made {
                    Some(made) if !made.is_finite() && from.value(row).is_finite() => {
                        Some(if negative { 0.0 } else { from.value(row) })
                    }
                    made => made,
                }
            });
            Ok(cast(&mended.collect::<Float64Array>(), &output.data_type())?)
        })
    }
}
