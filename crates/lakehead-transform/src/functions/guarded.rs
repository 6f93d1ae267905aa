//! Every call, wrapped: looked at before it runs, weighed after.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use arrow::datatypes::{DataType, FieldRef};
use datafusion_common::{DataFusionError, Result, ScalarValue, exec_err};
use datafusion_expr::interval_arithmetic::Interval;
use datafusion_expr::simplify::{ExprSimplifyResult, SimplifyContext};
use datafusion_expr::{
    ColumnarValue, Expr, ExpressionPlacement, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl,
    Signature, StructFieldMapping,
};

use super::growth::{self, Growth};
use super::{budget, rewrite};

/// Calls that the simplifier turns into other expressions, or that only hand out what their arguments hold. It knows them by
/// their implementations, so they stay as they are.
const UNWRAPPED: [&str; 8] =
    ["arrow_cast", "arrow_try_cast", "arrow_typeof", "coalesce", "get_field", "nullif", "nvl", "nvl2"];

/// A function, guarded. To the planner it is the function itself.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Guarded {
    inner: Arc<ScalarUDF>,
    growth: Growth,
}

/// `function` in its guard, unless it has one or needs none.
pub(super) fn wrap(function: &Arc<ScalarUDF>) -> Arc<ScalarUDF> {
    if function.inner().is::<Guarded>() || UNWRAPPED.contains(&function.name()) {
        return Arc::clone(function);
    }
    let growth = Growth::of(function.name());
    Arc::new(ScalarUDF::new_from_impl(Guarded { inner: Arc::clone(function), growth }))
}

/// The function inside its guard.
pub(super) fn unwrap(function: &Arc<ScalarUDF>) -> &Arc<ScalarUDF> {
    function.inner().downcast_ref::<Guarded>().map_or(function, |guarded| &guarded.inner)
}

impl ScalarUDFImpl for Guarded {
    fn name(&self) -> &str {
        self.inner.name()
    }

    fn aliases(&self) -> &[String] {
        self.inner.aliases()
    }

    fn schema_name(&self, args: &[Expr]) -> Result<String> {
        self.inner.schema_name(args)
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

    fn short_circuits(&self) -> bool {
        self.inner.short_circuits()
    }

    fn conditional_arguments<'a>(&self, args: &'a [Expr]) -> Option<(Vec<&'a Expr>, Vec<&'a Expr>)> {
        self.inner.conditional_arguments(args)
    }

    fn evaluate_bounds(&self, inputs: &[&Interval]) -> Result<Interval> {
        self.inner.evaluate_bounds(inputs)
    }

    fn struct_field_mapping(&self, literals: &[Option<ScalarValue>]) -> Option<StructFieldMapping> {
        self.inner.struct_field_mapping(literals)
    }

    fn placement(&self, args: &[ExpressionPlacement]) -> ExpressionPlacement {
        self.inner.placement(args)
    }

    /// What the function becomes is guarded in turn.
    fn simplify(&self, args: Vec<Expr>, info: &SimplifyContext) -> Result<ExprSimplifyResult> {
        Ok(match self.inner.simplify(args, info)? {
            ExprSimplifyResult::Simplified(expr) => {
                ExprSimplifyResult::Simplified(rewrite::wrap_calls(expr)?)
            }
            original => original,
        })
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let name = self.inner.name();
        budget::check_time()?;
        let rows = args.number_rows;
        // A panic in a function is a fault of ours or of a library's. It must cost the row, not the process.
        let guarded = AssertUnwindSafe(|| {
            self.growth.check(name, &args)?;
            self.inner.invoke_with_args(args)
        });
        let output = match catch_unwind(guarded) {
            Ok(Err(DataFusionError::Internal(text))) => {
                return exec_err!(
                    "`{name}` does not take these arguments: {}",
                    text.lines().next().unwrap_or_default()
                );
            }
            Ok(output) => output?,
            Err(_) => return exec_err!("`{name}` failed on these arguments"),
        };
        let (output, bytes) = match output {
            // Some functions answer a constant NULL with one row, whatever the other arguments are.
            ColumnarValue::Array(array) if array.len() == 1 && rows != 1 => (
                ColumnarValue::Scalar(ScalarValue::try_from_array(&array, 0)?),
                growth::array_bytes(array.as_ref()),
            ),
            ColumnarValue::Array(array) => {
                let bytes = growth::array_bytes(array.as_ref());
                (ColumnarValue::Array(array), bytes)
            }
            ColumnarValue::Scalar(value) => {
                let bytes = growth::scalar_bytes(&value);
                (ColumnarValue::Scalar(value), bytes)
            }
        };
        budget::charge(name, bytes)?;
        Ok(output)
    }
}
