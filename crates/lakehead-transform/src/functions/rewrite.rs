//! What happens to the calls of a plan: unlisted ones are refused, operators that hide a function become one, patterns are
//! compiled, everything else is wrapped in its guard.

use std::sync::Arc;

use crate::walk::{rewrite_up, walk};
use arrow::datatypes::DataType;
use datafusion_common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion_common::{DFSchema, Result, ScalarValue, plan_err};
use datafusion_expr::expr::{Like, ScalarFunction};
use datafusion_expr::expr_rewriter::NamePreserver;
use datafusion_expr::utils::merge_schema;
use datafusion_expr::{
    BinaryExpr, Cast, Expr, ExprSchemable, LogicalPlan, Operator, ScalarUDF, TryCast, not,
};

use super::regex::{self, Pattern};
use super::{Registry, arguments, growth, guarded, json, text};

/// Rewrites every expression of a plan, from the leaves up; columns keep their names.
pub(super) fn each_expression(
    plan: LogicalPlan,
    rewrite: impl Fn(Expr, &DFSchema) -> Result<Transformed<Expr>>,
) -> Result<LogicalPlan> {
    let done = plan.transform_up(|node| {
        let schema = merge_schema(&node.inputs());
        let names = NamePreserver::new(&node);
        let node = node.map_expressions(|expr| {
            let name = names.save(&expr);
            let expr = rewrite_up(expr, &mut |expr| rewrite(expr, &schema))?;
            Ok(expr.update_data(|expr| name.restore(expr)))
        })?;
        if node.transformed { node.map_data(LogicalPlan::recompute_schema) } else { Ok(node) }
    })?;
    Ok(done.data)
}

/// Makes a plan safe to evaluate, constants included: to be called when types are coerced, and again when the optimizer is done.
pub(crate) fn guard(plan: LogicalPlan) -> Result<LogicalPlan> {
    each_expression(plan, replace)
}

/// The guards alone, for what a function becomes when it is simplified.
pub(super) fn wrap_calls(expr: Expr) -> Result<Expr> {
    let wrapped = rewrite_up(expr, &mut |expr| replace(expr, &DFSchema::empty()))?;
    Ok(wrapped.data)
}

/// The largest constant of a plan in bytes. Every row of a batch may get it.
pub(crate) fn largest_constant(plan: &LogicalPlan) -> Result<u64> {
    let mut largest = 0;
    plan.apply(|node| {
        node.apply_expressions(|expr| {
            walk(expr, &mut |expr| {
                if let Expr::Literal(value, _) = expr {
                    largest = largest.max(growth::scalar_bytes(value));
                }
                Ok(TreeNodeRecursion::Continue)
            })
        })
    })?;
    Ok(largest)
}

fn replace(expr: Expr, schema: &DFSchema) -> Result<Transformed<Expr>> {
    match expr {
        Expr::ScalarFunction(function) => call(function, schema),
        Expr::BinaryExpr(BinaryExpr { left, op: Operator::StringConcat, right }) => {
            let concat = BinaryExpr { left, op: Operator::StringConcat, right };
            let returns = Expr::BinaryExpr(concat.clone()).get_type(schema)?;
            Ok(Transformed::yes(scalar(text::concat(returns), vec![*concat.left, *concat.right])))
        }
        Expr::BinaryExpr(BinaryExpr { left, op, right }) => {
            let Some((ignore_case, negated)) = regex_operator(op) else {
                return Ok(Transformed::no(Expr::BinaryExpr(BinaryExpr { left, op, right })));
            };
            let flags = if ignore_case { "i" } else { "" };
            Ok(Transformed::yes(matching(*left, Pattern::Regex, &right, flags, negated)?))
        }
        Expr::SimilarTo(Like { negated, expr, pattern, escape_char, case_insensitive }) => {
            let flags = if case_insensitive { "is" } else { "s" };
            let escape = escape_char.unwrap_or('\\');
            Ok(Transformed::yes(matching(*expr, Pattern::Similar { escape }, &pattern, flags, negated)?))
        }
        Expr::Cast(Cast { ref field, .. }) | Expr::TryCast(TryCast { ref field, .. }) => {
            castable(field.data_type())?;
            Ok(Transformed::no(expr))
        }
        other => Ok(Transformed::no(other)),
    }
}

fn scalar(function: ScalarUDF, args: Vec<Expr>) -> Expr {
    Expr::ScalarFunction(ScalarFunction::new_udf(guarded::wrap(&Arc::new(function)), args))
}

/// Types whose values have a size of the writer's choice would take that much even for NULL.
fn castable(data_type: &DataType) -> Result<()> {
    match data_type {
        DataType::FixedSizeBinary(_) | DataType::FixedSizeList(..) => {
            plan_err!(
                "a cast to {data_type} is not supported: values of a fixed size take it even where they are NULL"
            )
        }
        DataType::List(field) | DataType::LargeList(field) => castable(field.data_type()),
        DataType::Struct(fields) => fields.iter().try_for_each(|f| castable(f.data_type())),
        DataType::Union(..) | DataType::RunEndEncoded(..) | DataType::Dictionary(..) | DataType::Map(..) => {
            plan_err!("a cast to {data_type} is not supported")
        }
        _ => Ok(()),
    }
}

/// Whether case is ignored, and whether the answer is turned around.
fn regex_operator(op: Operator) -> Option<(bool, bool)> {
    match op {
        Operator::RegexMatch => Some((false, false)),
        Operator::RegexIMatch => Some((true, false)),
        Operator::RegexNotMatch => Some((false, true)),
        Operator::RegexNotIMatch => Some((true, true)),
        _ => None,
    }
}

fn matching(value: Expr, kind: Pattern, pattern: &Expr, flags: &str, negated: bool) -> Result<Expr> {
    let Some(pattern) = literal_text(pattern, "a pattern")? else {
        return Ok(Expr::Literal(ScalarValue::Boolean(None), None));
    };
    let matches = scalar(regex::like(kind, &pattern, flags)?, vec![value]);
    Ok(if negated { not(matches) } else { matches })
}

/// The text of a literal; `None` if it is NULL.
fn literal_text(expr: &Expr, what: &str) -> Result<Option<String>> {
    match expr {
        Expr::Literal(value, _) => match value {
            ScalarValue::Utf8(text) | ScalarValue::LargeUtf8(text) | ScalarValue::Utf8View(text) => {
                Ok(text.clone())
            }
            ScalarValue::Null => Ok(None),
            other => plan_err!("{what} must be a text, not {}", other.data_type()),
        },
        Expr::Cast(Cast { expr, .. }) => literal_text(expr, what),
        Expr::Alias(alias) => literal_text(&alias.expr, what),
        _ => plan_err!(
            "{what} must be a literal text: it is compiled when the pipeline is made, not for each row"
        ),
    }
}

/// `date_bin` by months fails on fractions of a second before 1970, so it gets moments without them: no bin begins within a
/// second, unless the origin does.
fn whole_seconds(mut function: ScalarFunction) -> ScalarFunction {
    let is_whole = |expr: &Expr| matches!(expr, Expr::ScalarFunction(f) if f.func.name() == "date_trunc");
    if let [Expr::Literal(ScalarValue::IntervalMonthDayNano(Some(stride)), _), moment, origin @ ..] =
        function.args.as_mut_slice()
        && stride.months != 0
        && origin.iter().all(is_second)
        && !is_whole(moment)
    {
        let second = Expr::Literal(ScalarValue::from("second"), None);
        let inner = std::mem::replace(moment, Expr::Literal(ScalarValue::Null, None));
        let date_trunc = ScalarUDF::clone(&datafusion_functions::datetime::date_trunc());
        *moment = scalar(date_trunc, vec![second, inner]);
    }
    function
}

/// Whether it is a moment without a fraction of a second.
fn is_second(expr: &Expr) -> bool {
    let Expr::Literal(value, _) = expr else { return false };
    match value {
        ScalarValue::TimestampSecond(..) => true,
        ScalarValue::TimestampMillisecond(Some(at), _) => at % 1_000 == 0,
        ScalarValue::TimestampMicrosecond(Some(at), _) => at % 1_000_000 == 0,
        ScalarValue::TimestampNanosecond(Some(at), _) => at % 1_000_000_000 == 0,
        _ => false,
    }
}

fn call(function: ScalarFunction, schema: &DFSchema) -> Result<Transformed<Expr>> {
    let function = match function.func.name() {
        "date_bin" => whole_seconds(function),
        _ => function,
    };
    let name = function.func.name();
    let pattern_of = match name {
        // Compiled already.
        _ if function.args.len() < 2 || is_compiled(guarded::unwrap(&function.func)) => None,
        "regexp_like" | "regexp_match" | "regexp_replace" => Some("a pattern"),
        "extract_json" | "extract_json_string" => Some("a JSONPath"),
        _ => None,
    };
    if let Some(what) = pattern_of {
        return compiled(function, what);
    }
    if name == "arrow_cast" || name == "arrow_try_cast" {
        let wanted = function.args.get(1).map(|t| literal_text(t, "a type")).transpose()?.flatten();
        if let Some(wanted) = wanted.and_then(|t| t.parse::<DataType>().ok()) {
            castable(&wanted)?;
        }
    }
    let Some(listed) = Registry::get().implementation(&function.func) else {
        return plan_err!("the function `{name}` is not supported");
    };
    arguments::check_literals(&function, schema)?;
    let wrapped = guarded::wrap(&listed);
    if Arc::ptr_eq(&wrapped, &function.func) || wrapped == function.func {
        return Ok(Transformed::no(Expr::ScalarFunction(function)));
    }
    Ok(Transformed::yes(Expr::ScalarFunction(ScalarFunction::new_udf(wrapped, function.args))))
}

fn is_compiled(function: &ScalarUDF) -> bool {
    regex::is_compiled(function) || json::is_compiled(function)
}

/// A call whose second argument is a literal pattern or path.
fn compiled(function: ScalarFunction, what: &str) -> Result<Transformed<Expr>> {
    let name = function.func.name().to_owned();
    let returns = match name.as_str() {
        "regexp_like" => DataType::Boolean,
        "regexp_replace" | "extract_json_string" => DataType::Utf8,
        _ => regex::list_of_texts(),
    };
    let null = || Ok(Transformed::yes(Expr::Literal(ScalarValue::try_from(&returns)?, None)));
    let Some(pattern) = literal_text(&function.args[1], what)? else { return null() };
    let flags_at = if name == "regexp_replace" { 3 } else { 2 };
    let flags = match function.args.get(flags_at) {
        Some(flags) => match literal_text(flags, "flags")? {
            Some(flags) => flags,
            None => return null(),
        },
        None => String::new(),
    };
    let mut args = function.args;
    let replacement = (name == "regexp_replace" && args.len() > 2).then(|| args.swap_remove(2));
    let value = args.swap_remove(0);
    let (function, args) = match (name.as_str(), replacement) {
        ("regexp_like", _) => (regex::like(Pattern::Regex, &pattern, &flags)?, vec![value]),
        ("regexp_match", _) => (regex::captures(&pattern, &flags)?, vec![value]),
        ("regexp_replace", Some(replacement)) => {
            (regex::replace(&pattern, &flags)?, vec![value, replacement])
        }
        (name, _) => (json::compile_path(&pattern, name == "extract_json_string")?, vec![value]),
    };
    Ok(Transformed::yes(scalar(function, args)))
}
