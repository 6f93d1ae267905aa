//! What a query may be made of. Whatever is not listed here is refused before anything is planned, with its place.

use datafusion_sql::sqlparser::ast::{
    AccessExpr, BinaryOperator, CastKind, Distinct, Expr, Function, FunctionArg, FunctionArgExpr,
    FunctionArguments, GroupByExpr, Ident, Query, Select, SelectFlavor, SelectItem,
    SelectItemQualifiedWildcardKind, SetExpr, SetOperator, Spanned, Subscript, TableAlias, TableFactor,
    TableWithJoins, UnaryOperator, Value,
};
use datafusion_sql::sqlparser::keywords::Keyword;
use datafusion_sql::sqlparser::tokenizer::Span;

use crate::Refusal;
use crate::suggest::short;
use crate::text::Text;

/// Nesting of expressions, flat chains of operators included: each link of `a + b + c` is a level.
pub(crate) const EXPRESSION_DEPTH_MAX: usize = 256;
/// Expressions of a text.
const NODES_MAX: usize = 10_000;

const ONE_RECORD: &str =
    "a pipeline handles one record at a time (no joins, aggregates, windows, DISTINCT, ORDER BY or LIMIT)";

/// Functions over many rows, refused as such rather than as unknown.
const AGGREGATES: &[&str] = &[
    "any_value",
    "approx_distinct",
    "approx_median",
    "approx_percentile_cont",
    "approx_percentile_cont_with_weight",
    "array_agg",
    "avg",
    "bit_and",
    "bit_or",
    "bit_xor",
    "bool_and",
    "bool_or",
    "corr",
    "count",
    "covar",
    "covar_pop",
    "covar_samp",
    "every",
    "first_value",
    "grouping",
    "last_value",
    "list",
    "max",
    "mean",
    "median",
    "min",
    "mode",
    "nth_value",
    "percentile_cont",
    "regr_slope",
    "stddev",
    "stddev_pop",
    "stddev_samp",
    "string_agg",
    "sum",
    "var",
    "var_pop",
    "var_samp",
    "var_sample",
    "variance",
];
const WINDOWS: &[&str] = &[
    "cume_dist",
    "dense_rank",
    "hop",
    "lag",
    "lead",
    "ntile",
    "percent_rank",
    "rank",
    "row_number",
    "session",
    "tumble",
];

/// Checks queries, and counts the expressions of all of them.
pub(crate) struct Grammar<'a> {
    text: &'a Text<'a>,
    /// Whether a scalar function has that name, in lower case.
    is_function: &'a dyn Fn(&str) -> bool,
    nodes: usize,
}

impl<'a> Grammar<'a> {
    pub(crate) fn new(text: &'a Text<'a>, is_function: &'a dyn Fn(&str) -> bool) -> Self {
        Grammar { text, is_function, nodes: 0 }
    }

    fn stateful(&self, span: Span, what: &str) -> Refusal {
        self.text.refuse(span, format!("{what} is not supported: {ONE_RECORD}"))
    }

    fn not(&self, span: Span, what: &str) -> Refusal {
        self.text.refuse(span, format!("{what} is not supported"))
    }

    pub(crate) fn query(&mut self, query: &Query) -> Result<(), Refusal> {
        let span = query.span();
        if let Some(with) = &query.with {
            if with.recursive {
                return Err(self.stateful(
                    self.text.keyword(Keyword::RECURSIVE, with.with_token.0.span),
                    "WITH RECURSIVE",
                ));
            }
            for cte in &with.cte_tables {
                self.alias(&cte.alias)?;
                if cte.from.is_some() {
                    return Err(self.not(cte.alias.name.span, "FROM after a CTE"));
                }
                self.query(&cte.query)?;
            }
        }
        match query.body.as_ref() {
            SetExpr::Select(select) => self.select(select)?,
            SetExpr::Query(query) => self.query(query)?,
            SetExpr::SetOperation { op, left, .. } => {
                let (keyword, name) = match op {
                    SetOperator::Union => (Keyword::UNION, "UNION"),
                    SetOperator::Except => (Keyword::EXCEPT, "EXCEPT"),
                    SetOperator::Intersect => (Keyword::INTERSECT, "INTERSECT"),
                    SetOperator::Minus => (Keyword::MINUS, "MINUS"),
                };
                let at = self.text.keyword(keyword, Span::new(left.span().end, left.span().end));
                let advice = if *op == SetOperator::Union { "; write an INSERT for each SELECT" } else { "" };
                return Err(self.text.refuse(at, format!("{name} is not supported{advice}")));
            }
            SetExpr::Values(_) => {
                return Err(self.not(self.text.word_before("VALUES", span), "VALUES"));
            }
            other => return Err(self.not(other.span(), "this kind of query")),
        }
        self.behind_select(query, span)
    }

    /// The clauses that follow the last SELECT.
    fn behind_select(&self, query: &Query, span: Span) -> Result<(), Refusal> {
        let after = Span::new(query.body.span().end, query.body.span().end);
        let at = |keyword| self.text.keyword(keyword, after);
        if query.order_by.is_some() {
            return Err(self.stateful(at(Keyword::ORDER), "ORDER BY"));
        }
        if query.limit_clause.is_some() {
            let (limit, offset) = (at(Keyword::LIMIT), at(Keyword::OFFSET));
            return Err(if limit == after {
                self.stateful(offset, "OFFSET")
            } else {
                self.stateful(limit, "LIMIT")
            });
        }
        if query.fetch.is_some() {
            return Err(self.stateful(at(Keyword::FETCH), "FETCH"));
        }
        if !query.locks.is_empty() || query.for_clause.is_some() {
            return Err(self.not(at(Keyword::FOR), "a FOR clause"));
        }
        if query.settings.is_some() || query.format_clause.is_some() || !query.pipe_operators.is_empty() {
            return Err(self.not(span, "SETTINGS, FORMAT or a pipe"));
        }
        Ok(())
    }

    fn select(&mut self, select: &Select) -> Result<(), Refusal> {
        self.select_clauses(select)?;
        match select.from.as_slice() {
            [] => return Err(self.without_from(select)),
            [from] => self.from(from)?,
            [_, second, ..] => return Err(self.stateful(second.span(), "a join")),
        }
        let mut unnests = 0;
        for item in &select.projection {
            let expr = match item {
                SelectItem::UnnamedExpr(expr) => expr,
                SelectItem::ExprWithAlias { expr, .. } => expr,
                SelectItem::Wildcard(_) => continue,
                SelectItem::QualifiedWildcard(SelectItemQualifiedWildcardKind::ObjectName(_), _) => continue,
                other => return Err(self.not(other.span(), "this item of a SELECT")),
            };
            if let Some(argument) = unnest_argument(expr) {
                unnests += 1;
                if unnests > 1 {
                    return Err(self.text.refuse_expr(
                        expr,
                        "a SELECT may hold one UNNEST; take the other one in a query around it",
                    ));
                }
                if let Some(call) = function(expr) {
                    self.call(call, 1, true)?;
                }
                self.expr(argument, 2)?;
            } else {
                self.expr(expr, 1)?;
            }
        }
        if select.projection.is_empty() {
            return Err(self.text.refuse(select.select_token.0.span, "the SELECT names no column"));
        }
        select.selection.as_ref().map_or(Ok(()), |condition| self.expr(condition, 1))
    }

    fn without_from(&self, select: &Select) -> Refusal {
        // `SELECT a + FROM s` is read as a sum of two columns.
        let start = select.select_token.0.span;
        let from = self.text.keyword(Keyword::FROM, start);
        let inside = |item: &SelectItem| {
            let span = item.span();
            span.start <= from.start && from.end <= span.end
        };
        if from != start && select.projection.iter().any(inside) {
            return self.text.refuse(from, "SQL syntax error: an expression is missing before FROM");
        }
        self.text.refuse(start, "a SELECT without FROM is not supported: name the stream that it reads")
    }

    fn select_clauses(&self, select: &Select) -> Result<(), Refusal> {
        let start = select.select_token.0.span;
        let at = |keyword| self.text.keyword(keyword, start);
        match &select.distinct {
            Some(Distinct::Distinct | Distinct::On(_)) => {
                return Err(self.stateful(at(Keyword::DISTINCT), "DISTINCT"));
            }
            Some(Distinct::All) | None => {}
        }
        match &select.group_by {
            GroupByExpr::Expressions(expressions, modifiers)
                if expressions.is_empty() && modifiers.is_empty() => {}
            _ => return Err(self.stateful(at(Keyword::GROUP), "GROUP BY")),
        }
        if select.having.is_some() {
            return Err(self.stateful(at(Keyword::HAVING), "HAVING"));
        }
        if !select.named_window.is_empty() {
            return Err(self.stateful(at(Keyword::WINDOW), "WINDOW"));
        }
        if select.qualify.is_some() {
            return Err(self.stateful(at(Keyword::QUALIFY), "QUALIFY"));
        }
        if select.into.is_some() {
            return Err(self.text.refuse(
                at(Keyword::INTO),
                "SELECT INTO is not supported; write `INSERT INTO sink SELECT …`",
            ));
        }
        if !select.lateral_views.is_empty() {
            return Err(self.not(at(Keyword::LATERAL), "LATERAL"));
        }
        let plain = select.optimizer_hints.is_empty()
            && select.select_modifiers.is_none()
            && select.top.is_none()
            && select.exclude.is_none()
            && select.prewhere.is_none()
            && select.connect_by.is_empty()
            && select.cluster_by.is_empty()
            && select.distribute_by.is_empty()
            && select.sort_by.is_empty()
            && select.value_table_mode.is_none()
            && select.flavor == SelectFlavor::Standard;
        if plain { Ok(()) } else { Err(self.not(start, "this form of SELECT")) }
    }

    fn from(&mut self, from: &TableWithJoins) -> Result<(), Refusal> {
        if let Some(join) = from.joins.first() {
            let written = join.to_string();
            let word = written.split_whitespace().next().unwrap_or("JOIN");
            let after = Span::new(from.relation.span().end, join.relation.span().end);
            return Err(self.stateful(self.text.word_from(word, after), "a join"));
        }
        self.relation(&from.relation)
    }

    fn relation(&mut self, relation: &TableFactor) -> Result<(), Refusal> {
        match relation {
            TableFactor::Table {
                name,
                alias,
                args,
                with_hints,
                version,
                with_ordinality,
                partitions,
                json_path,
                sample,
                index_hints,
            } => {
                let span = name.span();
                if args.is_some() {
                    return Err(self.text.refuse(span, format!("the table function `{}` is not supported; FROM names a stream, a CTE or a subquery", short(&name.to_string()))));
                }
                if sample.is_some() {
                    return Err(self.not(self.text.keyword(Keyword::TABLESAMPLE, span), "TABLESAMPLE"));
                }
                if !with_hints.is_empty()
                    || version.is_some()
                    || *with_ordinality
                    || !partitions.is_empty()
                    || json_path.is_some()
                    || !index_hints.is_empty()
                {
                    return Err(self.not(span, "what follows the name"));
                }
                alias.as_ref().map_or(Ok(()), |a| self.alias(a))
            }
            TableFactor::Derived { lateral, subquery, alias, sample } => {
                if *lateral {
                    return Err(self.not(subquery.span(), "LATERAL"));
                }
                if sample.is_some() {
                    return Err(
                        self.not(self.text.keyword(Keyword::TABLESAMPLE, subquery.span()), "TABLESAMPLE")
                    );
                }
                alias.as_ref().map_or(Ok(()), |a| self.alias(a))?;
                self.query(subquery)
            }
            TableFactor::UNNEST { .. } => Err(self.text.refuse(
                self.text.word_before("UNNEST", relation.span()),
                "UNNEST in FROM is not supported; write `SELECT UNNEST(list) AS item FROM stream`",
            )),
            TableFactor::NestedJoin { table_with_joins, .. } => self.from(table_with_joins),
            TableFactor::TableFunction { .. } | TableFactor::Function { .. } => {
                Err(self.not(relation.span(), "a table function"))
            }
            other => Err(self.not(other.span(), "this kind of FROM")),
        }
    }

    fn alias(&self, alias: &TableAlias) -> Result<(), Refusal> {
        match alias.columns.first() {
            None => Ok(()),
            Some(column) => Err(self.text.refuse(
                column.name.span,
                "a list of column names after an alias is not supported; name them in the SELECT (`expression AS name`)",
            )),
        }
    }

    fn expr(&mut self, expr: &Expr, depth: usize) -> Result<(), Refusal> {
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
            Expr::Value(_) => Ok(()),
            _ => Err(self
                .text
                .refuse_expr(pattern, format!("the pattern of {operator} must be a literal, such as 'a%'"))),
        }
    }

    /// A call. `is_item` if it is a whole item of a SELECT, where UNNEST may stand.
    fn call(&mut self, function: &Function, depth: usize, is_item: bool) -> Result<(), Refusal> {
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

/// A name as the planner looks it up: in lower case, unless it is quoted.
pub(crate) fn folded(name: &Ident) -> String {
    if name.quote_style.is_some() { name.value.clone() } else { name.value.to_lowercase() }
}

fn function(expr: &Expr) -> Option<&Function> {
    match expr {
        Expr::Function(function) => Some(function),
        Expr::Nested(inner) => function(inner),
        _ => None,
    }
}

/// The list in `UNNEST(list)`, if that is what the expression is.
pub(crate) fn unnest_argument(expr: &Expr) -> Option<&Expr> {
    let function = function(expr)?;
    if !function.name.0.first()?.as_ident()?.value.eq_ignore_ascii_case("unnest")
        || function.name.0.len() != 1
    {
        return None;
    }
    match &function.args {
        FunctionArguments::List(list) => match list.args.as_slice() {
            [FunctionArg::Unnamed(FunctionArgExpr::Expr(argument))] => Some(argument),
            _ => None,
        },
        _ => None,
    }
}
