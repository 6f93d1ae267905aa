//! What an expression may be made of.

use datafusion_sql::sqlparser::ast::{
    AccessExpr, BinaryOperator, CastKind, Expr, Function, FunctionArg, FunctionArgExpr, FunctionArguments,
    Spanned, Subscript, UnaryOperator, Value,
};
use datafusion_sql::sqlparser::tokenizer::Span;

use super::{AGGREGATES, EXPRESSION_DEPTH_MAX, Grammar, NODES_MAX, ONE_RECORD, WINDOWS, folded};
use crate::Refusal;
use crate::suggest::short;

/// Fields and subscripts behind one value: `a.b[1].c` has three. Each is planned with all before it.
const ACCESSES_MAX: usize = 32;

/// Of LIKE and its kin. DataFusion compiles it for each batch.
const PATTERN_BYTES_MAX: usize = 1_024;

impl Grammar<'_> {
    pub(super) fn expr(&mut self, expr: &Expr, depth: usize) -> Result<(), Refusal> {
        self.nodes += 1;
        if self.nodes > NODES_MAX {
            return Err(self
                .text
                .refuse_expr(expr, format!("the SQL has more than {NODES_MAX} expressions")));
        }
        if depth > EXPRESSION_DEPTH_MAX {
            return Err(self.text.refuse_expr(expr, format!(
                "an expression is nested too deep; the limit is {EXPRESSION_DEPTH_MAX} levels, and each operator of a chain is one"
            )));
        }
        let down = depth + 1;
        match expr {
            Expr::Identifier(_) | Expr::CompoundIdentifier(_) => Ok(()),
            Expr::Value(value) => self.value(&value.value, value.span),
            Expr::TypedString(typed) => self.value(&typed.value.value, typed.value.span),
            Expr::IsFalse(e)
            | Expr::IsNotFalse(e)
            | Expr::IsTrue(e)
            | Expr::IsNotTrue(e)
            | Expr::IsNull(e)
            | Expr::IsNotNull(e)
            | Expr::IsUnknown(e)
            | Expr::IsNotUnknown(e)
            | Expr::Nested(e) => self.expr(e, down),
            Expr::IsDistinctFrom(a, b) | Expr::IsNotDistinctFrom(a, b) => self.all([a, b], down),
            Expr::Between { expr, low, high, .. } => self.all([expr, low, high], down),
            Expr::InList { expr, list, .. } => {
                self.expr(expr, down)?;
                list.iter().try_for_each(|e| self.expr(e, down))
            }
            Expr::BinaryOp { left, op, right } => {
                self.operator(expr, op)?;
                if matches!(
                    op,
                    BinaryOperator::PGRegexMatch
                        | BinaryOperator::PGRegexIMatch
                        | BinaryOperator::PGRegexNotMatch
                        | BinaryOperator::PGRegexNotIMatch
                ) {
                    self.pattern(right, &op.to_string())?;
                }
                self.all([left, right], down)
            }
            Expr::UnaryOp { op, expr: inner } => match op {
                UnaryOperator::Plus | UnaryOperator::Minus | UnaryOperator::Not => self.expr(inner, down),
                other => Err(self.text.refuse_expr(expr, format!("the operator `{other}` is not supported"))),
            },
            Expr::Like { any: false, expr, pattern, .. } => {
                self.pattern(pattern, "LIKE")?;
                self.all([expr, pattern], down)
            }
            Expr::ILike { any: false, expr, pattern, .. } => {
                self.pattern(pattern, "ILIKE")?;
                self.all([expr, pattern], down)
            }
            Expr::SimilarTo { expr, pattern, .. } => {
                self.pattern(pattern, "SIMILAR TO")?;
                self.all([expr, pattern], down)
            }
            Expr::Cast {
                kind: CastKind::Cast | CastKind::DoubleColon,
                expr: inner,
                array: false,
                format: None,
                ..
            } => self.expr(inner, down),
            Expr::Cast {
                kind: CastKind::TryCast | CastKind::SafeCast,
                expr: inner,
                array: false,
                format: None,
                ..
            } => self.expr(inner, down),
            Expr::Extract { expr, .. } | Expr::Ceil { expr, .. } | Expr::Floor { expr, .. } => {
                self.expr(expr, down)
            }
            Expr::Position { expr, r#in } => self.all([expr, r#in], down),
            Expr::Substring { expr, substring_from, substring_for, .. } => {
                self.expr(expr, down)?;
                substring_from.iter().chain(substring_for).try_for_each(|e| self.expr(e, down))
            }
            Expr::Trim { expr, trim_what, trim_characters, .. } => {
                self.expr(expr, down)?;
                trim_what.iter().try_for_each(|e| self.expr(e, down))?;
                trim_characters.iter().flatten().try_for_each(|e| self.expr(e, down))
            }
            Expr::Overlay { expr, overlay_what, overlay_from, overlay_for } => {
                self.all([expr, overlay_what, overlay_from], down)?;
                overlay_for.iter().try_for_each(|e| self.expr(e, down))
            }
            Expr::AtTimeZone { timestamp, time_zone } => self.all([timestamp, time_zone], down),
            Expr::Case { operand, conditions, else_result, .. } => {
                operand.iter().chain(else_result).try_for_each(|e| self.expr(e, down))?;
                conditions.iter().try_for_each(|c| self.all([&c.condition, &c.result], down))
            }
            Expr::Array(array) => array.elem.iter().try_for_each(|e| self.expr(e, down)),
            Expr::Struct { values, fields } if fields.is_empty() => {
                values.iter().try_for_each(|e| self.expr(e, down))
            }
            Expr::Named { expr, .. } => self.expr(expr, down),
            Expr::Interval(interval) => self.expr(&interval.value, down),
            Expr::CompoundFieldAccess { root, access_chain } => {
                if access_chain.len() > ACCESSES_MAX {
                    let message = format!(
                        "a chain of {} fields and subscripts is too long; the limit is {ACCESSES_MAX}",
                        access_chain.len()
                    );
                    return Err(self.text.refuse_expr(expr, message));
                }
                self.expr(root, down)?;
                access_chain.iter().try_for_each(|access| self.access(expr, access, down))
            }
            Expr::Function(function) => self.call(function, depth, false),
            other => Err(self.refused(other)),
        }
    }

    fn all<const N: usize>(&mut self, exprs: [&Expr; N], depth: usize) -> Result<(), Refusal> {
        exprs.into_iter().try_for_each(|e| self.expr(e, depth))
    }

    fn access(&mut self, whole: &Expr, access: &AccessExpr, depth: usize) -> Result<(), Refusal> {
        match access {
            AccessExpr::Dot(Expr::Identifier(_)) => Ok(()),
            AccessExpr::Subscript(Subscript::Index { index }) => self.expr(index, depth),
            AccessExpr::Subscript(Subscript::Slice {
                lower_bound: Some(low),
                upper_bound: Some(high),
                stride,
            }) => {
                self.all([low, high], depth)?;
                stride.iter().try_for_each(|e| self.expr(e, depth))
            }
            AccessExpr::Subscript(Subscript::Slice { .. }) => {
                Err(self.text.refuse_expr(whole, "a slice needs both ends: `list[1:3]`"))
            }
            AccessExpr::Dot(_) => Err(self.text.refuse_expr(whole, "after the dot, a name is needed")),
        }
    }

    fn value(&self, value: &Value, span: Span) -> Result<(), Refusal> {
        match value {
            Value::Number(..)
            | Value::SingleQuotedString(_)
            | Value::DollarQuotedString(_)
            | Value::EscapedStringLiteral(_)
            | Value::HexStringLiteral(_)
            | Value::Boolean(_)
            | Value::Null => Ok(()),
            Value::Placeholder(_) => Err(self.not(span, "a parameter")),
            _ => Err(self.not(span, "this kind of literal")),
        }
    }

    fn operator(&self, expr: &Expr, op: &BinaryOperator) -> Result<(), Refusal> {
        use BinaryOperator as Op;
        match op {
            Op::Plus
            | Op::Minus
            | Op::Multiply
            | Op::Divide
            | Op::Modulo
            | Op::StringConcat
            | Op::Gt
            | Op::Lt
            | Op::GtEq
            | Op::LtEq
            | Op::Eq
            | Op::NotEq
            | Op::And
            | Op::Or
            | Op::BitwiseOr
            | Op::BitwiseAnd
            | Op::BitwiseXor
            | Op::PGBitwiseXor
            | Op::PGBitwiseShiftLeft
            | Op::PGBitwiseShiftRight
            | Op::PGRegexMatch
            | Op::PGRegexIMatch
            | Op::PGRegexNotMatch
            | Op::PGRegexNotIMatch
            | Op::Arrow
            | Op::LongArrow
            | Op::Question => Ok(()),
            other => Err(self.text.refuse_expr(expr, format!("the operator `{other}` is not supported"))),
        }
    }

    /// A pattern is compiled once, with limits; one that differs from row to row would be compiled for each.
    fn pattern(&self, pattern: &Expr, operator: &str) -> Result<(), Refusal> {
        let mut inner = pattern;
        while let Expr::Nested(expr) = inner {
            inner = expr;
        }
        match inner {
            Expr::Value(value) => {
                let text = value.value.clone().into_string().unwrap_or_default();
                if text.len() > PATTERN_BYTES_MAX {
                    let message =
                        format!("the pattern of {operator} is longer than {PATTERN_BYTES_MAX} bytes");
                    return Err(self.text.refuse_expr(pattern, message));
                }
                Ok(())
            }
            _ => Err(self
                .text
                .refuse_expr(pattern, format!("the pattern of {operator} must be a literal, such as 'a%'"))),
        }
    }

    /// A call. `is_item` if it is a whole item of a SELECT, where UNNEST may stand.
    pub(super) fn call(&mut self, function: &Function, depth: usize, is_item: bool) -> Result<(), Refusal> {
        let at = function.name.span();
        let Some(name) = crate::statement::single(&function.name) else {
            return Err(self.text.refuse(at, "the name of a function has no dots"));
        };
        let known = folded(&name);
        let is_stateful = |names: &[&str]| names.contains(&known.as_str()) && !(self.is_function)(&known);
        if function.over.is_some() || is_stateful(WINDOWS) {
            return Err(self.stateful(at, &format!("the window function `{}`", short(&known))));
        }
        if function.filter.is_some() || !function.within_group.is_empty() || is_stateful(AGGREGATES) {
            return Err(self.stateful(at, &format!("the aggregate `{}`", short(&known))));
        }
        let count = match &function.args {
            FunctionArguments::List(list) => list.args.len(),
            _ => 0,
        };
        if known == "unnest" && count != 1 {
            return Err(self.text.refuse(at, "UNNEST takes one list"));
        }
        if known == "unnest" && !is_item {
            return Err(self.text.refuse(
                at,
                "UNNEST can only be a whole item of a SELECT; take it in a CTE or subquery and go on with the item outside",
            ));
        }
        if function.uses_odbc_syntax
            || function.null_treatment.is_some()
            || function.parameters != FunctionArguments::None
        {
            return Err(self.not(at, "this form of a call"));
        }
        let arguments = match &function.args {
            FunctionArguments::None => return Ok(()),
            FunctionArguments::Subquery(query) => return Err(self.subquery(query.span())),
            FunctionArguments::List(list) => list,
        };
        if arguments.duplicate_treatment.is_some() || !arguments.clauses.is_empty() {
            return Err(self.stateful(at, "DISTINCT or ORDER BY inside a call"));
        }
        if is_item {
            return Ok(());
        }
        arguments.args.iter().try_for_each(|argument| match argument {
            FunctionArg::Unnamed(FunctionArgExpr::Expr(expr)) => self.expr(expr, depth + 1),
            FunctionArg::Unnamed(_) => {
                Err(self.text.refuse(at, format!("`*` is not an argument of `{}`", short(&known))))
            }
            _ => Err(self.text.refuse(at, "arguments are given by position, not by name")),
        })
    }

    fn subquery(&self, span: Span) -> Refusal {
        self.text.refuse(
            span,
            format!(
                "a subquery inside an expression is not supported: {ONE_RECORD}; subqueries may stand in FROM"
            ),
        )
    }

    fn refused(&self, expr: &Expr) -> Refusal {
        match expr {
            Expr::Subquery(query) => self.subquery(query.span()),
            Expr::Exists { subquery, .. } => self.subquery(subquery.span()),
            Expr::InSubquery { .. } => {
                self.text.refuse_expr(expr, format!("IN (SELECT …) is not supported: {ONE_RECORD}"))
            }
            Expr::Like { .. } | Expr::ILike { .. } => {
                self.text.refuse_expr(expr, "LIKE ANY is not supported; join the patterns with OR")
            }
            Expr::AnyOp { .. } | Expr::AllOp { .. } => self.text.refuse_expr(
                expr,
                "ANY and ALL are not supported; `array_has(list, value)` looks into a list",
            ),
            Expr::Tuple(_) => {
                self.text.refuse_expr(expr, "a row of values is not supported; `struct(a, b)` makes a struct")
            }
            Expr::Struct { .. } => self.text.refuse_expr(
                expr,
                "a struct literal has no types; cast it: `CAST(struct(1, 'x') AS STRUCT<a INT, b TEXT>)`",
            ),
            Expr::Prefixed { prefix, .. } => self.not(prefix.span, "this kind of literal"),
            Expr::Wildcard(_) | Expr::QualifiedWildcard(..) => {
                self.text.refuse_expr(expr, "`*` can only be an item of a SELECT")
            }
            other => self.text.refuse_expr(other, "this kind of expression is not supported"),
        }
    }
}
