//! From an expression of the SQL to one of DataFusion: names resolved, types fitted, constants folded. If that fails, the
//! smallest part that fails is found by planning the parts.

use std::ops::ControlFlow;
use std::sync::Arc;

use arrow::datatypes::{DataType, Field, FieldRef, TimeUnit};
use datafusion_common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion_common::{DFSchemaRef, DataFusionError, plan_err};
use datafusion_expr::expr::ScalarFunction;
use datafusion_expr::planner::ContextProvider;
use datafusion_expr::simplify::SimplifyContext;
use datafusion_expr::{BinaryExpr, Cast, Expr, ExprSchemable, LogicalPlan, Operator};
use datafusion_optimizer::simplify_expressions::ExprSimplifier;
use datafusion_sql::planner::{ParserOptions, PlannerContext, SqlToRel};
use datafusion_sql::sqlparser::ast::{self, Function, Visit, Visitor};

use crate::Refusal;
use crate::data_type::{is_json, sql_name};
use crate::executable::{Executable, projection};
use crate::functions;
use crate::grammar::folded;
use crate::json_text::{check_json, json_text};
use crate::names::Names;
use crate::refusal::plain;
use crate::relation::{Relation, Resolver};
use crate::struct_cast::cast_struct;
use crate::suggest::{hint, short};
use crate::text::Text;

/// Parts planned while the one is looked for that makes an expression fail.
const TRIES_MAX: usize = 60;

/// An expression over the columns of a relation.
#[derive(Debug)]
pub(crate) struct Planned {
    pub(crate) expr: Expr,
    pub(crate) field: FieldRef,
    /// Of a column that is given no other: that of the column or field it passes on, or else the expression as it is written.
    pub(crate) name: String,
}

pub(crate) struct Expressions<'a> {
    pub(crate) names: &'a Names,
    pub(crate) text: &'a Text<'a>,
}

impl Expressions<'_> {
    pub(crate) fn plan(&self, sql: &ast::Expr, relation: &Relation) -> Result<Planned, Refusal> {
        let schema = relation.schema(None)?;
        let mut resolved = sql.clone();
        let resolver = Resolver {
            relation,
            text: self.text,
            check_call: &|function| self.check_call(function),
            type_of: &|expr| self.try_plan(expr, &schema).ok().map(|p| p.field.data_type().clone()),
        };
        resolver.resolve(&mut resolved)?;
        let mut planned = self.try_plan(&resolved, &schema).map_err(|e| {
            let mut tries = TRIES_MAX;
            self.blame(&resolved, e, &schema, &mut tries)
        })?;
        if planned.name.is_empty() {
            planned.name = sql.to_string();
        }
        Ok(planned)
    }

    /// The parts of a condition that AND joins.
    pub(crate) fn conditions(&self, sql: &ast::Expr, relation: &Relation) -> Result<Vec<Expr>, Refusal> {
        let planned = self.plan(sql, relation)?;
        match planned.field.data_type() {
            DataType::Boolean => {}
            DataType::Null => {
                // NULL is never true.
                return Ok(vec![datafusion_expr::lit(false)]);
            }
            other => {
                let message = format!("WHERE needs a condition; this is {}, not BOOLEAN", sql_name(other));
                return Err(self.text.refuse_expr(sql, message));
            }
        }
        let mut parts = Vec::new();
        split(planned.expr, &mut parts);
        Ok(parts)
    }

    fn check_call(&self, function: &Function) -> Result<(), Refusal> {
        let Some(name) = crate::statement::single(&function.name) else {
            return Err(Refusal::new("the name of a function has no dots"));
        };
        let wanted = folded(&name);
        if self.names.get_function_meta(&wanted).is_some() {
            return Ok(());
        }
        let mut known = self.names.udf_names();
        known.sort_unstable();
        let near = crate::suggest::nearest(&wanted, &known.iter().map(String::as_str).collect::<Vec<_>>());
        let hint = near.map_or_else(String::new, |near| hint(&wanted, [near]));
        Err(self.text.refuse(name.span, format!("there is no function `{}`{hint}", short(&name.value))))
    }

    fn try_plan(&self, sql: &ast::Expr, schema: &DFSchemaRef) -> Result<Planned, DataFusionError> {
        let options = ParserOptions { map_string_types_to_utf8view: false, ..ParserOptions::new() };
        let expr = SqlToRel::new_with_options(self.names, options).sql_to_expr(
            sql.clone(),
            schema,
            &mut PlannerContext::new(),
        )?;
        check_listed(&expr)?;
        let name = match &expr {
            Expr::Column(column) => column.name.clone(),
            Expr::ScalarFunction(access) => last_field(access).unwrap_or_default(),
            _ => String::new(),
        };
        let is_text = matches!(&expr, Expr::Cast(cast) if !is_json(&cast.field));
        let info = SimplifyContext::builder().with_schema(Arc::clone(schema)).build();
        let simplifier = ExprSimplifier::new(info);
        let expr = strict_casts(seconds(expr, schema)?, schema)?;
        let expr = through(expr, schema, functions::prepare)?;
        let expr = simplifier.coerce(expr, schema)?;
        let expr = through(expr, schema, functions::guard)?;
        let expr = simplifier.simplify(checked_constants(expr, &simplifier)?)?;
        let expr = through(expr, schema, functions::guard)?;
        check_listed(&expr)?;
        // What cannot be executed is refused here, where the place is known.
        Executable::new(schema).expression(expr.clone())?;
        let (_, mut field) = expr.to_field(schema.as_ref())?;
        if is_text && is_json(&field) {
            // `json::VARCHAR` changes nothing but what the column is taken for.
            field = Arc::new(Field::new(field.name(), field.data_type().clone(), field.is_nullable()));
        }
        Ok(Planned { expr, field, name })
    }

    /// Why the expression cannot be planned: the smallest part of it that fails, in plain words.
    fn blame(
        &self,
        sql: &ast::Expr,
        error: DataFusionError,
        schema: &DFSchemaRef,
        tries: &mut usize,
    ) -> Refusal {
        let parts = parts(sql);
        for part in &parts {
            if *tries == 0 {
                break;
            }
            *tries -= 1;
            if let Err(error) = self.try_plan(part, schema) {
                return self.blame(part, error, schema, tries);
            }
        }
        let types = || -> Vec<String> {
            let of = |part: &ast::Expr| self.try_plan(part, schema).map(|p| sql_name(p.field.data_type()));
            parts.iter().map(|p| of(p).unwrap_or_else(|_| "?".into())).collect()
        };
        let message = match sql {
            ast::Expr::BinaryOp { op, .. } if !mentions_value(&error) => match types().as_slice() {
                [left, right] => format!("`{op}` cannot be applied to {left} and {right}"),
                _ => plain(&error),
            },
            ast::Expr::UnaryOp { op, .. } => match types().as_slice() {
                [only] => format!("`{op}` cannot be applied to {only}"),
                _ => plain(&error),
            },
            ast::Expr::Function(function) if is_mismatch(&error) => {
                format!(
                    "`{}` cannot be called with ({})",
                    short(&function.name.to_string()),
                    types().join(", ")
                )
            }
            _ => plain(&error),
        };
        self.text.refuse_expr(sql, message)
    }
}

/// Applies what rewrites plans to an expression.
fn through(
    expr: Expr,
    schema: &DFSchemaRef,
    rewrite: impl Fn(LogicalPlan) -> Result<LogicalPlan, DataFusionError>,
) -> Result<Expr, DataFusionError> {
    match rewrite(projection(vec![expr], schema)?)? {
        LogicalPlan::Projection(mut projection) => match projection.expr.pop() {
            Some(expr) => Ok(expr.unalias()),
            None => plan_err!("the expression is gone"),
        },
        other => plan_err!("{} is not supported", other.display()),
    }
}

/// Whether the error is about the number or the types of arguments.
fn is_mismatch(error: &DataFusionError) -> bool {
    let message = error.to_string();
    [
        "No function matches",
        "does not support zero arguments",
        "expected",
        "expects",
        "coerce",
        "coercion",
        "Candidate functions",
        "argument",
    ]
    .iter()
    .any(|sign| message.contains(sign))
}

/// Whether a constant has no value, rather than a type that does not fit.
fn mentions_value(error: &DataFusionError) -> bool {
    matches!(error.find_root(), DataFusionError::ArrowError(..))
}

/// The name in `get_field(…, 'name')`.
fn last_field(access: &ScalarFunction) -> Option<String> {
    if access.func.name() != "get_field" {
        return None;
    }
    match access.args.last() {
        Some(Expr::Literal(value, _)) => value.try_as_str().flatten().map(str::to_owned),
        _ => None,
    }
}

/// The parts of a condition that AND joins, in their order.
fn split(condition: Expr, parts: &mut Vec<Expr>) {
    match condition {
        Expr::BinaryExpr(both) if both.op == Operator::And => {
            split(*both.left, parts);
            split(*both.right, parts);
        }
        other => parts.push(other),
    }
}

/// A whole number that becomes a TIMESTAMP counts seconds, as in PostgreSQL.
fn seconds(expr: Expr, schema: &DFSchemaRef) -> Result<Expr, DataFusionError> {
    let rewritten = expr.transform_up(|expr| match expr {
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
fn strict_casts(expr: Expr, schema: &DFSchemaRef) -> Result<Expr, DataFusionError> {
    let rewritten = expr.transform_up(|expr| match expr {
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

/// Computes sums, differences and products of whole constants, which fail where the simplifier would wrap them around.
fn checked_constants(expr: Expr, simplifier: &ExprSimplifier) -> Result<Expr, DataFusionError> {
    let is_constant = |e: &Expr| e.column_refs().is_empty() && !e.is_volatile();
    let rewritten = expr.transform_up(|expr| match expr {
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

/// The second wall behind `grammar`: kinds of expressions that are known to depend on a row alone.
fn check_listed(expr: &Expr) -> Result<(), DataFusionError> {
    let mut refused = None;
    expr.apply(|e| {
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
            refused = Some(e.variant_name());
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

/// The expressions directly inside an expression.
fn parts(expr: &ast::Expr) -> Vec<ast::Expr> {
    let mut inside = Inside { depth: 0, parts: Vec::new() };
    let _ = expr.visit(&mut inside);
    inside.parts
}

struct Inside {
    depth: usize,
    parts: Vec<ast::Expr>,
}

impl Visitor for Inside {
    type Break = ();

    fn pre_visit_expr(&mut self, expr: &ast::Expr) -> ControlFlow<()> {
        if self.depth == 1 {
            self.parts.push(expr.clone());
        }
        self.depth += 1;
        ControlFlow::Continue(())
    }

    fn post_visit_expr(&mut self, _: &ast::Expr) -> ControlFlow<()> {
        self.depth -= 1;
        ControlFlow::Continue(())
    }
}
