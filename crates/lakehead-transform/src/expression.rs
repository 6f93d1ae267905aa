//! From an expression of the SQL to one of DataFusion: names resolved, types fitted, constants folded. If that fails, the
//! smallest part that fails is found by planning the parts.

mod rewrite;

use std::ops::ControlFlow;
use std::sync::Arc;

use arrow::datatypes::{DataType, Field, FieldRef};
use datafusion_common::{DFSchemaRef, DataFusionError, plan_err};
use datafusion_expr::expr::ScalarFunction;
use datafusion_expr::planner::ContextProvider;
use datafusion_expr::simplify::SimplifyContext;
use datafusion_expr::{Expr, ExprSchemable, LogicalPlan, Operator};
use datafusion_optimizer::simplify_expressions::ExprSimplifier;
use datafusion_sql::planner::{ParserOptions, PlannerContext, SqlToRel};
use datafusion_sql::sqlparser::ast::{self, Function, Visit, Visitor};

use self::rewrite::{
    check_listed, check_written_out, checked_constants, finer_moments, kept_casts, seconds, strict_casts,
};
use crate::Refusal;
use crate::data_type::{is_json, sql_name};
use crate::executable::{Executable, projection};
use crate::functions;
use crate::grammar::folded;
use crate::names::Names;
use crate::refusal::plain;
use crate::relation::{Relation, Resolver};
use crate::suggest::{hint, short};
use crate::text::Text;

/// Parts planned while the one is looked for that makes an expression fail.
const TRIES_MAX: usize = 60;

/// Types of arguments that a sentence lists.
const TYPES_SHOWN_MAX: usize = 8;

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
    /// The first limit that planning has passed.
    pub(crate) exceeded: &'a dyn Fn() -> Option<String>,
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
        if let Some(limit) = (self.exceeded)() {
            return Err(self.text.refuse_expr(sql, limit));
        }
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
        let expr = simplifier.coerce(finer_moments(expr, schema)?, schema)?;
        let expr = kept_casts(expr, schema)?;
        let expr = through(expr, schema, functions::guard)?;
        check_written_out(&expr, schema)?;
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

    /// Of a chain of operators that fails, `((a + b) + c) + …`, the shortest that does.
    fn lowest<'e>(&self, sql: &'e ast::Expr, schema: &DFSchemaRef, tries: &mut usize) -> &'e ast::Expr {
        let mut chain = vec![sql];
        while let Some(ast::Expr::BinaryOp { left, .. }) = chain.last() {
            chain.push(left);
        }
        // What contains an expression that fails, fails.
        let (mut fails, mut works) = (0, chain.len());
        while fails + 1 < works && *tries > 0 {
            *tries -= 1;
            let middle = fails.midpoint(works);
            match self.try_plan(chain[middle], schema) {
                Ok(_) => works = middle,
                Err(_) => fails = middle,
            }
        }
        chain[fails]
    }

    /// Why the expression cannot be planned: the smallest part of it that fails, in plain words.
    fn blame(
        &self,
        sql: &ast::Expr,
        error: DataFusionError,
        schema: &DFSchemaRef,
        tries: &mut usize,
    ) -> Refusal {
        let sql = self.lowest(sql, schema, tries);
        let error = self.try_plan(sql, schema).err().unwrap_or(error);
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
            _ if own_words(&error).is_some() => own_words(&error).unwrap_or_default(),
            ast::Expr::BinaryOp { op, .. } if is_mismatch(&error) => match types().as_slice() {
                [left, right] => format!("`{op}` cannot be applied to {left} and {right}"),
                _ => plain(&error),
            },
            ast::Expr::UnaryOp { op, .. } => match types().as_slice() {
                [only] => format!("`{op}` cannot be applied to {only}"),
                _ => plain(&error),
            },
            ast::Expr::Function(function) if is_mismatch(&error) => {
                let mut types = types();
                if types.len() > TYPES_SHOWN_MAX {
                    types.truncate(TYPES_SHOWN_MAX);
                    types.push("…".into());
                }
                format!(
                    "`{}` cannot be called with ({})",
                    short(&function.name.to_string()),
                    types.join(", ")
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

/// What a function of ours says of its arguments, without what DataFusion puts around it. Ours quote names like `this`.
fn own_words(error: &DataFusionError) -> Option<String> {
    let message = error.to_string();
    let (_, said) = message.split_once("coercion failed with: ")?;
    let said = said.split(" No function matches").next()?;
    let said = said.strip_prefix("Error during planning: ").unwrap_or(said).trim().trim_end_matches('.');
    said.contains('`').then(|| said.chars().take(300).collect())
}

/// Whether the error is about the number or the types of arguments.
fn is_mismatch(error: &DataFusionError) -> bool {
    const SIGNS: &[&str] = &[
        "No function matches",
        "Candidate functions",
        "does not support zero arguments",
        "coerce",
        "coercion",
        "Cannot infer common",
        "Cannot get result type",
        "Function '",
    ];
    let message = error.to_string();
    SIGNS.iter().any(|sign| message.contains(sign))
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
