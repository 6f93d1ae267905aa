//! `->`, `->>` and `?`, and what becomes of a value taken from JSON where SQL wants a number, a text or a boolean.
//!
//! `json_get` gives JSON text, marked as JSON. Around it stands often what says which kind of value is meant: a cast, a
//! comparison, a text function. [`prepare`] puts the function there that reads that kind. It runs before types are coerced,
//! because coercion would see nothing but text.

use std::sync::Arc;

use arrow::datatypes::DataType;
use datafusion_common::tree_node::Transformed;
use datafusion_common::{DFSchema, Result, ScalarValue};
use datafusion_expr::expr::{Between, InList, Like, ScalarFunction};
use datafusion_expr::planner::{ExprPlanner, PlannerResult, RawBinaryExpr};
use datafusion_expr::{Cast, Expr, ExprSchemable, LogicalPlan, ScalarUDF, TryCast};
use datafusion_sql::sqlparser::ast::BinaryOperator;

use super::{JsonFunction, Make};
use crate::functions::arguments::check_types;
use crate::functions::rewrite::each_expression;

/// Plans the operators of JSON.
#[derive(Debug)]
pub(crate) struct JsonPlanner;

impl ExprPlanner for JsonPlanner {
    fn plan_binary_op(&self, expr: RawBinaryExpr, schema: &DFSchema) -> Result<PlannerResult<RawBinaryExpr>> {
        let function = match expr.op {
            BinaryOperator::Arrow => JsonFunction::new("json_get", Make::Json, Some("->")),
            BinaryOperator::LongArrow => JsonFunction::new("json_as_text", Make::Text, Some("->>")),
            BinaryOperator::Question => JsonFunction::new("json_contains", Make::Contains, Some("?")),
            _ => return Ok(PlannerResult::Original(operands(expr, schema)?)),
        };
        Ok(PlannerResult::Planned(call(function.udf(), vec![expr.left, expr.right])))
    }
}

/// Values taken from JSON beside another value: read as what that one is.
fn operands(expr: RawBinaryExpr, schema: &DFSchema) -> Result<RawBinaryExpr> {
    let RawBinaryExpr { op, left, right } = expr;
    let valued = matches!(
        op,
        BinaryOperator::Eq
            | BinaryOperator::NotEq
            | BinaryOperator::Lt
            | BinaryOperator::LtEq
            | BinaryOperator::Gt
            | BinaryOperator::GtEq
            | BinaryOperator::Plus
            | BinaryOperator::Minus
            | BinaryOperator::Multiply
            | BinaryOperator::Divide
            | BinaryOperator::Modulo
    );
    let (left, right) = match (is_json_get(&left), is_json_get(&right)) {
        (false, false) => (left, right),
        (true, false) if calculates(&op) && is_number(&right, schema)? => (as_number(left), right),
        (false, true) if calculates(&op) && is_number(&left, schema)? => (left, as_number(right)),
        (true, false) if valued => (comparable(left, &right, schema)?, right),
        (false, true) if valued => {
            let right = comparable(right, &left, schema)?;
            (left, right)
        }
        // `||`, regular expressions; two values of JSON.
        _ => (as_text(left), as_text(right)),
    };
    Ok(RawBinaryExpr { op, left, right })
}

fn calculates(op: &BinaryOperator) -> bool {
    matches!(
        op,
        BinaryOperator::Plus
            | BinaryOperator::Minus
            | BinaryOperator::Multiply
            | BinaryOperator::Divide
            | BinaryOperator::Modulo
    )
}

fn is_number(expr: &Expr, schema: &DFSchema) -> Result<bool> {
    Ok(expr.get_type(schema)?.is_numeric())
}

fn as_number(expr: Expr) -> Expr {
    read_as(expr, "json_cast_float", Make::CastFloat { lenient: true })
}

/// Gives values taken from JSON the kind that the expression around them means, and makes one walk of a chain of operators.
pub(crate) fn prepare(plan: LogicalPlan) -> Result<LogicalPlan> {
    each_expression(plan, |expr, schema| {
        Ok(match expr {
            Expr::Cast(Cast { expr, field }) if is_json_get(&expr) => {
                let expr = Box::new(cast_source(*expr, field.data_type(), false));
                Transformed::yes(Expr::Cast(Cast { expr, field }))
            }
            Expr::TryCast(TryCast { expr, field }) if is_json_get(&expr) => {
                let expr = Box::new(cast_source(*expr, field.data_type(), true));
                Transformed::yes(Expr::TryCast(TryCast { expr, field }))
            }
            Expr::InList(InList { expr, list, negated }) if is_json_get(&expr) => {
                let expr = match list.first() {
                    Some(first) => Box::new(comparable(*expr, first, schema)?),
                    None => expr,
                };
                Transformed::yes(Expr::InList(InList { expr, list, negated }))
            }
            Expr::Between(Between { expr, negated, low, high }) if is_json_get(&expr) => {
                let expr = Box::new(comparable(*expr, &low, schema)?);
                Transformed::yes(Expr::Between(Between { expr, negated, low, high }))
            }
            Expr::Case(mut case) if case.expr.as_deref().is_some_and(is_json_get) => {
                if let (Some(operand), Some((first, _))) = (case.expr.take(), case.when_then_expr.first()) {
                    case.expr = Some(Box::new(comparable(*operand, first, schema)?));
                }
                Transformed::yes(Expr::Case(case))
            }
            Expr::Like(like) if is_json_get(&like.expr) => Transformed::yes(Expr::Like(text_of(like))),
            Expr::SimilarTo(like) if is_json_get(&like.expr) => {
                Transformed::yes(Expr::SimilarTo(text_of(like)))
            }
            Expr::ScalarFunction(function) => {
                check_types(&function, schema)?;
                arguments(function)
            }
            other => Transformed::no(other),
        })
    })
}

fn call(function: Arc<ScalarUDF>, args: Vec<Expr>) -> Expr {
    Expr::ScalarFunction(ScalarFunction::new_udf(function, args))
}

fn json_function(function: &ScalarFunction) -> Option<&JsonFunction> {
    function.func.inner().downcast_ref::<JsonFunction>()
}

fn is_json_get(expr: &Expr) -> bool {
    matches!(expr, Expr::ScalarFunction(f) if json_function(f).is_some_and(|j| j.make == Make::Json))
}

/// The same place, read in another way.
fn read_as(expr: Expr, name: &'static str, make: Make) -> Expr {
    match expr {
        Expr::ScalarFunction(function) => {
            let operator = json_function(&function).and_then(|json| json.operator);
            call(JsonFunction::new(name, make, operator).udf(), function.args)
        }
        other => other,
    }
}

fn as_text(expr: Expr) -> Expr {
    if is_json_get(&expr) { read_as(expr, "json_as_text", Make::Text) } else { expr }
}

fn text_of(like: Like) -> Like {
    Like { expr: Box::new(as_text(*like.expr)), ..like }
}

/// What a cast to `wanted` casts.
fn cast_source(expr: Expr, wanted: &DataType, lenient: bool) -> Expr {
    match wanted {
        DataType::Boolean => read_as(expr, "json_cast_bool", Make::CastBool { lenient }),
        DataType::Float16 | DataType::Float32 | DataType::Float64 => {
            read_as(expr, "json_cast_float", Make::CastFloat { lenient })
        }
        // Above what an Int64 holds there are numbers that fit.
        DataType::UInt64 => as_text(expr),
        integer if integer.is_integer() => read_as(expr, "json_cast_int", Make::CastInt { lenient }),
        _ => as_text(expr),
    }
}

/// `json_get` as the kind of value that `other` is; NULL where it has another kind.
fn comparable(expr: Expr, other: &Expr, schema: &DFSchema) -> Result<Expr> {
    /// Up to here a DOUBLE holds every integer, and so tells `5` from `5.5` and still every integer from every other.
    const EXACT: u64 = 1 << 53;
    let small = |value: &ScalarValue| {
        matches!(value, ScalarValue::Int64(Some(v)) if v.unsigned_abs() < EXACT)
            || matches!(value, ScalarValue::Int8(_) | ScalarValue::Int16(_) | ScalarValue::Int32(_))
    };
    Ok(match other.get_type(schema)? {
        DataType::Boolean => read_as(expr, "json_cast_bool", Make::CastBool { lenient: true }),
        // A larger constant is most likely an id, which is a whole number in JSON too.
        integer if integer.is_integer() && matches!(other, Expr::Literal(value, _) if !small(value)) => {
            read_as(expr, "json_cast_int", Make::CastInt { lenient: true })
        }
        number if number.is_numeric() => read_as(expr, "json_cast_float", Make::CastFloat { lenient: true }),
        _ => as_text(expr),
    })
}

/// Functions that hand their arguments on as they are: JSON stays JSON.
fn keeps_json(name: &str) -> bool {
    matches!(
        name,
        "coalesce" | "nvl" | "nvl2" | "nullif" | "struct" | "named_struct" | "make_array" | "arrow_typeof"
    ) || name.starts_with("array_")
        || name.starts_with("extract_json")
}

fn arguments(function: ScalarFunction) -> Transformed<Expr> {
    let ScalarFunction { func, mut args } = function;
    // Beside a value that is not JSON, one from JSON is meant as text.
    let is_mixed = matches!(func.name(), "coalesce" | "nvl" | "nullif")
        && args
            .iter()
            .any(|arg| !is_json_get(arg) && !matches!(arg, Expr::Literal(value, _) if value.is_null()));
    let is_sought = func.name().starts_with("array_") && args.first().is_some_and(|list| !is_json_get(list));
    if !args.iter().any(is_json_get) || (keeps_json(func.name()) && !is_mixed && !is_sought) {
        return Transformed::no(call(func, args));
    }
    if func.inner().downcast_ref::<JsonFunction>().is_none() {
        return Transformed::yes(call(func, args.into_iter().map(as_text).collect()));
    }
    // A walk from where another one ends. A part of a path is a value: its quotes would be part of the key.
    let rest = args.split_off(1).into_iter().map(as_text);
    let args = match args.remove(0) {
        Expr::ScalarFunction(inner) if json_function(&inner).is_some_and(|j| j.make == Make::Json) => {
            inner.args.into_iter().chain(rest).collect()
        }
        other => std::iter::once(other).chain(rest).collect(),
    };
    Transformed::yes(call(func, args))
}
