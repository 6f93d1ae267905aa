//! What a query may be made of. Whatever is not listed here is refused before anything is planned, with its place.

mod expressions;

use datafusion_sql::sqlparser::ast::{
    Distinct, Expr, Function, FunctionArg, FunctionArgExpr, FunctionArguments, GroupByExpr, Ident, Query,
    Select, SelectFlavor, SelectItem, SelectItemQualifiedWildcardKind, SetExpr, SetOperator, Spanned,
    TableAlias, TableFactor, TableWithJoins,
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
