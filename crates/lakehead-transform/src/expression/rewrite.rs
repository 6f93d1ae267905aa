//! What is done to an expression between planning and execution: casts that lose nothing, constants that do not wrap around,
//! and bounds on what the simplifier makes of it.

use crate::walk::{rewrite_up, walk};
use arrow::datatypes::{DataType, TimeUnit};
use datafusion_common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion_common::{DFSchemaRef, DataFusionError, ScalarValue, plan_err};
use datafusion_expr::{BinaryExpr, Cast, Expr, ExprSchemable, Operator, TryCast};
use datafusion_optimizer::simplify_expressions::ExprSimplifier;

use crate::data_type::{is_json, sql_name};
use crate::json_text::{check_json, json_text};
use crate::struct_cast::{cast_struct, kept_cast};

/// A whole number that becomes a TIMESTAMP counts seconds, as in PostgreSQL.
pub(super) fn seconds(expr: Expr, schema: &DFSchemaRef) -> Result<Expr, DataFusionError> {
    let rewritten = rewrite_up(expr, &mut |expr| match expr {
        Expr::Cast(Cast { expr: inner, field })
            if matches!(field.data_type(), DataType::Timestamp(TimeUnit::Microsecond, None))
                && inner.get_type(schema.as_ref())?.is_integer() =>
        {
            let seconds = Expr::Cast(Cast::new(inner, DataType::Timestamp(TimeUnit::Second, None)));
            Ok(Transformed::yes(Expr::Cast(Cast { expr: Box::new(seconds), field })))
        }
        other => Ok(Transformed::no(other)),
    })?;
    Ok(rewritten.data)
}

/// A cast to JSON checks the text, and marks the column; one to a STRUCT loses no field.
pub(super) fn strict_casts(expr: Expr, schema: &DFSchemaRef) -> Result<Expr, DataFusionError> {
    let rewritten = rewrite_up(expr, &mut |expr| match expr {
        Expr::Cast(Cast { expr: inner, field }) if is_json(&field) => {
            let (_, from) = inner.to_field(schema.as_ref())?;
            if is_json(&from) {
                return Ok(Transformed::yes(*inner));
            }
            let data_type = from.data_type();
            if data_type.is_nested() {
                return plan_err!("{} cannot be cast to JSON", sql_name(data_type));
            }
            if let Expr::Literal(value, _) = inner.as_ref()
                && let Some(Some(text)) = value.try_as_str()
            {
                check_json(text)?;
            }
            let text = Expr::Cast(Cast::new(inner, DataType::Utf8));
            Ok(Transformed::yes(json_text().call(vec![text])))
        }
        Expr::Cast(Cast { expr: inner, field }) => {
            let from = inner.get_type(schema.as_ref())?;
            match cast_struct(&from, field.data_type())? {
                Some(function) => Ok(Transformed::yes(function.call(vec![*inner]))),
                None => Ok(Transformed::no(Expr::Cast(Cast { expr: inner, field }))),
            }
        }
        other => Ok(Transformed::no(other)),
    })?;
    Ok(rewritten.data)
}

fn compares(op: Operator) -> bool {
    matches!(
        op,
        Operator::Eq
            | Operator::NotEq
            | Operator::Lt
            | Operator::LtEq
            | Operator::Gt
            | Operator::GtEq
            | Operator::IsDistinctFrom
            | Operator::IsNotDistinctFrom
    )
}

/// Moments of different units are compared in the finer one.
pub(super) fn finer_moments(expr: Expr, schema: &DFSchemaRef) -> Result<Expr, DataFusionError> {
    let unit = |expr: &Expr| match expr.get_type(schema.as_ref()) {
        Ok(DataType::Timestamp(unit, None)) => Some(unit),
        _ => None,
    };
    let rewritten = rewrite_up(expr, &mut |expr| match expr {
        Expr::BinaryExpr(BinaryExpr { mut left, op, mut right }) if compares(op) => {
            if let (Some(a), Some(b)) = (unit(&left), unit(&right))
                && a != b
            {
                let (coarser, wanted) = if a < b { (&mut left, b) } else { (&mut right, a) };
                let inner = std::mem::replace(coarser, Box::new(Expr::Literal(ScalarValue::Null, None)));
                **coarser = Expr::Cast(Cast::new(inner, DataType::Timestamp(wanted, None)));
            }
            Ok(Transformed::yes(Expr::BinaryExpr(BinaryExpr { left, op, right })))
        }
        other => Ok(Transformed::no(other)),
    })?;
    Ok(rewritten.data)
}

/// Hides casts that fail or lose something from the simplifier, which would cast the constant they are compared with instead.
pub(super) fn kept_casts(expr: Expr, schema: &DFSchemaRef) -> Result<Expr, DataFusionError> {
    let is_kept = |inner: &Expr, to: &DataType| {
        let Ok(from) = inner.get_type(schema.as_ref()) else { return false };
        let loses = match (&from, to) {
            (DataType::Timestamp(a, _), DataType::Timestamp(b, _)) => a != b,
            (from, to) if from.is_integer() && to.is_integer() => {
                from.primitive_width() >= to.primitive_width() && from != to
                    || from.is_signed_integer() != to.is_signed_integer()
            }
            _ => false,
        };
        loses && !inner.column_refs().is_empty()
    };
    let rewritten = rewrite_up(expr, &mut |expr| match expr {
        Expr::Cast(Cast { expr: inner, field }) if is_kept(&inner, field.data_type()) => {
            Ok(Transformed::yes(kept_cast(field.data_type(), false).call(vec![*inner])))
        }
        Expr::TryCast(TryCast { expr: inner, field }) if is_kept(&inner, field.data_type()) => {
            Ok(Transformed::yes(kept_cast(field.data_type(), true).call(vec![*inner])))
        }
        other => Ok(Transformed::no(other)),
    })?;
    Ok(rewritten.data)
}

/// Computes sums, differences and products of whole constants, which fail where the simplifier would wrap them around.
pub(super) fn checked_constants(expr: Expr, simplifier: &ExprSimplifier) -> Result<Expr, DataFusionError> {
    let is_constant = |e: &Expr| e.column_refs().is_empty() && !e.is_volatile();
    let rewritten = rewrite_up(expr, &mut |expr| match expr {
        Expr::BinaryExpr(BinaryExpr { left, op, right })
            if matches!(op, Operator::Plus | Operator::Minus | Operator::Multiply)
                && is_constant(&left)
                && is_constant(&right) =>
        {
            let (left, right) = (simplifier.simplify(*left)?, simplifier.simplify(*right)?);
            let value = match (&left, &right) {
                (Expr::Literal(a, _), Expr::Literal(b, _))
                    if a.data_type().is_integer() && a.data_type() == b.data_type() =>
                {
                    match op {
                        Operator::Plus => a.add_checked(b)?,
                        Operator::Minus => a.sub_checked(b)?,
                        _ => a.mul_checked(b)?,
                    }
                }
                _ => {
                    let same = BinaryExpr { left: Box::new(left), op, right: Box::new(right) };
                    return Ok(Transformed::yes(Expr::BinaryExpr(same)));
                }
            };
            Ok(Transformed::yes(Expr::Literal(value, None)))
        }
        other => Ok(Transformed::no(other)),
    })?;
    Ok(rewritten.data)
}

/// The simplifier writes some expressions out in terms of others, with parts of them several times: nested in each other, they
/// would double with each level. Refuses what would become too large.
pub(super) fn check_written_out(expr: &Expr, schema: &DFSchemaRef) -> Result<(), DataFusionError> {
    /// Of expressions.
    const SIZE_MAX: u64 = 20_000;
    if written_out(expr, schema)? > SIZE_MAX {
        return plan_err!("coalesce, nvl, CASE, IN or BETWEEN are nested in each other too often");
    }
    Ok(())
}

fn all_written_out<'e>(
    exprs: impl IntoIterator<Item = &'e Expr>,
    schema: &DFSchemaRef,
) -> Result<u64, DataFusionError> {
    exprs.into_iter().try_fold(0_u64, |sum, expr| Ok(sum.saturating_add(written_out(expr, schema)?)))
}

fn written_out(expr: &Expr, schema: &DFSchemaRef) -> Result<u64, DataFusionError> {
    const DOUBLED: &[&str] = &["coalesce", "nvl", "ifnull", "nvl2", "nullif"];
    let size = match expr {
        Expr::ScalarFunction(call) if DOUBLED.contains(&call.func.name()) => {
            all_written_out(&call.args, schema)?.saturating_mul(2)
        }
        Expr::Between(between) => {
            let bounds = all_written_out([between.low.as_ref(), between.high.as_ref()], schema)?;
            written_out(&between.expr, schema)?.saturating_mul(2).saturating_add(bounds)
        }
        Expr::InList(list) if list.list.len() <= 3 => {
            let times = list.list.len() as u64;
            written_out(&list.expr, schema)?
                .saturating_mul(times)
                .saturating_add(all_written_out(&list.list, schema)?)
        }
        Expr::Case(case) => {
            let whens = all_written_out(case.when_then_expr.iter().map(|(when, _)| when.as_ref()), schema)?;
            let thens = all_written_out(case.when_then_expr.iter().map(|(_, then)| then.as_ref()), schema)?;
            let rest = all_written_out(case.expr.iter().chain(&case.else_expr).map(AsRef::as_ref), schema)?;
            let first =
                case.when_then_expr.first().map(|(_, then)| then.get_type(schema.as_ref())).transpose()?;
            let times = if first == Some(DataType::Boolean) { 3 } else { 1 };
            whens.saturating_mul(times).saturating_add(thens).saturating_add(rest)
        }
        other => {
            let mut sum = 0_u64;
            other.apply_children(|child| {
                sum = sum.saturating_add(written_out(child, schema)?);
                Ok(TreeNodeRecursion::Continue)
            })?;
            sum
        }
    };
    Ok(size.saturating_add(1))
}

/// The second wall behind `grammar`: kinds of expressions that are known to depend on a row alone.
pub(super) fn check_listed(expr: &Expr) -> Result<(), DataFusionError> {
    let mut refused = None;
    walk(expr, &mut |e| {
        let listed = matches!(
            e,
            Expr::Alias(_)
                | Expr::Column(_)
                | Expr::Literal(..)
                | Expr::BinaryExpr(_)
                | Expr::Like(_)
                | Expr::SimilarTo(_)
                | Expr::Not(_)
                | Expr::IsNotNull(_)
                | Expr::IsNull(_)
                | Expr::IsTrue(_)
                | Expr::IsFalse(_)
                | Expr::IsUnknown(_)
                | Expr::IsNotTrue(_)
                | Expr::IsNotFalse(_)
                | Expr::IsNotUnknown(_)
                | Expr::Negative(_)
                | Expr::Between(_)
                | Expr::Case(_)
                | Expr::Cast(_)
                | Expr::TryCast(_)
                | Expr::ScalarFunction(_)
                | Expr::InList(_)
        );
        if !listed {
            refused = Some(e.variant_name().to_owned());
        }
        Ok(if listed { TreeNodeRecursion::Continue } else { TreeNodeRecursion::Stop })
    })?;
    match refused {
        Some(kind) => {
            Err(DataFusionError::Plan(format!("this kind of expression is not supported ({kind})")))
        }
        None => Ok(()),
    }
}
