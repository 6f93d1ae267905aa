//! Arguments that can never work are refused when the pipeline is made, not once per record.

use std::sync::Arc;

use arrow::array::{RecordBatch, RecordBatchOptions};
use arrow::datatypes::{DataType, Schema};
use datafusion_common::{DFSchema, Result, ScalarValue, plan_err};
use datafusion_expr::execution_props::ExecutionProps;
use datafusion_expr::expr::ScalarFunction;
use datafusion_expr::{Expr, ExprSchemable};
use datafusion_physical_expr::create_physical_expr;

/// Refuses a call whose arguments the planner would turn into something that nobody means: lists into their text.
pub(super) fn check_types(function: &ScalarFunction, schema: &DFSchema) -> Result<()> {
    let name = function.func.name();
    let text = matches!(
        name,
        "reverse"
            | "translate"
            | "find_in_set"
            | "regexp_like"
            | "regexp_match"
            | "regexp_replace"
            | "extract_json"
            | "extract_json_string"
    );
    let moment = name.starts_with("to_timestamp");
    if !text && !moment {
        return Ok(());
    }
    for arg in &function.args {
        let given = arg.get_type(schema)?;
        if given.is_nested() || (moment && given == DataType::Boolean) {
            return plan_err!("`{name}` does not take a value of type {given}");
        }
        if name.starts_with("extract_json") && !given.is_string() && !given.is_null() {
            return plan_err!("`{name}` takes JSON or text, not {given}");
        }
    }
    Ok(())
}

/// Tries a call whose literal argument names a unit, an algorithm or a format on a value of its own.
pub(super) fn check_literals(function: &ScalarFunction, schema: &DFSchema) -> Result<()> {
    let (value_at, literal_at) = match function.func.name() {
        "digest" | "encode" | "decode" | "to_char" => (0, 1),
        "date_part" | "date_trunc" => (1, 0),
        _ => return Ok(()),
    };
    let (Some(value), Some(Expr::Literal(..))) = (function.args.get(value_at), function.args.get(literal_at))
    else {
        return Ok(());
    };
    // Without the schema (what the simplifier makes) the type may be unknown: then the run will tell.
    let Ok(sample) = value.get_type(schema).and_then(|given| ScalarValue::new_default(&given)) else {
        return Ok(());
    };
    let mut args = function.args.clone();
    args[value_at] = Expr::Literal(sample, None);
    let call = Expr::ScalarFunction(ScalarFunction::new_udf(Arc::clone(&function.func), args));
    let one_row = RecordBatchOptions::new().with_row_count(Some(1));
    let batch = RecordBatch::try_new_with_options(Arc::new(Schema::empty()), Vec::new(), &one_row)?;
    create_physical_expr(&call, &DFSchema::empty(), &ExecutionProps::new())?.evaluate(&batch)?;
    Ok(())
}
