//! From a query to its levels: one for each SELECT, the innermost first.
//!
//! ```text
//!   INSERT INTO t WITH x AS (SELECT a, UNNEST(b) AS c FROM s) SELECT a FROM x WHERE c > 0
//!                               level 1: reads stream s          level 2: reads level 1
//! ```
//!
//! A query reads one stream through a chain of SELECTs, as there are no joins. Each SELECT is planned by itself over the
//! columns of the one below, so that work and size grow with the text alone, however often a query doubles a column.

use std::collections::HashSet;
use std::sync::Arc;

use arrow::datatypes::{DataType, Field, FieldRef};
use datafusion_expr::Expr;
use datafusion_sql::sqlparser::ast::{
    self, ExcludeSelectItem, Ident, Query, Select, SelectItem, SelectItemQualifiedWildcardKind, SetExpr,
    Spanned, TableFactor, WildcardAdditionalOptions,
};
use datafusion_sql::sqlparser::tokenizer::Span;

use crate::data_type::too_large;
use crate::expression::Expressions;
use crate::grammar::{folded, unnest_argument};
use crate::relation::Relation;
use crate::statement::{IDENTIFIER_BYTES_MAX, single};
use crate::suggest::{hint, short};
use crate::text::Text;
use crate::{INGEST_TIME, Refusal, Source, names};

/// Columns of a SELECT.
const COLUMNS_MAX: usize = 2_000;
/// Items of a SELECT that its summary may show.
const SHOWN_ITEMS_MAX: usize = 100;

/// A SELECT, planned.
#[derive(Debug)]
pub(crate) struct Level {
    /// What it reads.
    pub(crate) input: Relation,
    /// The parts of WHERE that AND joins, in their order.
    pub(crate) conditions: Vec<Expr>,
    pub(crate) items: Vec<Item>,
    /// The item whose list becomes rows.
    pub(crate) unnest: Option<usize>,
    /// The condition and the items as they are written.
    pub(crate) condition_text: String,
    pub(crate) items_text: String,
}

#[derive(Debug)]
pub(crate) struct Item {
    pub(crate) expr: Expr,
    /// Its name and type; of the list, if the item is unnested.
    pub(crate) field: FieldRef,
}

/// What a query makes: of which stream, by which levels, with which columns.
#[derive(Debug, Clone)]
pub(crate) struct Chain {
    pub(crate) stream: String,
    pub(crate) levels: Vec<Arc<Level>>,
    pub(crate) columns: Vec<FieldRef>,
    /// Where the columns are written. Those that a `*` stands for are all there.
    pub(crate) places: Vec<Span>,
}

pub(crate) struct Queries<'a> {
    pub(crate) sources: &'a [Source],
    pub(crate) text: &'a Text<'a>,
    pub(crate) expressions: &'a Expressions<'a>,
}

/// The CTEs in sight, the nearest last.
type Ctes = Vec<(String, Chain)>;

impl Queries<'_> {
    pub(crate) fn plan(&self, query: &Query) -> Result<Chain, Refusal> {
        self.query(query, &mut Vec::new())
    }

    fn query(&self, query: &Query, ctes: &mut Ctes) -> Result<Chain, Refusal> {
        let outer = ctes.len();
        let mut seen = HashSet::new();
        for cte in query.with.iter().flat_map(|w| &w.cte_tables) {
            let name = folded(&cte.alias.name);
            if !seen.insert(name.clone()) {
                let message = format!("two CTEs are named `{}`", short(&name));
                return Err(self.text.refuse(cte.alias.name.span, message));
            }
            let chain = self.query(&cte.query, ctes)?;
            ctes.push((name, chain));
        }
        let chain = match query.body.as_ref() {
            SetExpr::Select(select) => self.select(select, ctes),
            SetExpr::Query(query) => self.query(query, ctes),
            other => Err(self.text.refuse(other.span(), "this kind of query is not supported")),
        };
        ctes.truncate(outer);
        chain
    }

    fn select(&self, select: &Select, ctes: &mut Ctes) -> Result<Chain, Refusal> {
        let [from] = select.from.as_slice() else { return Err(Refusal::new("a SELECT reads one stream")) };
        let (mut chain, input) = self.relation(&from.relation, ctes)?;
        let conditions = match &select.selection {
            Some(condition) => self.expressions.conditions(condition, &input)?,
            None => Vec::new(),
        };
        let mut level = Level {
            input,
            conditions,
            items: Vec::new(),
            unnest: None,
            condition_text: select.selection.as_ref().and_then(|e| self.text.written(e)).unwrap_or_default(),
            items_text: self.items_text(select),
        };
        chain.places.clear();
        for item in &select.projection {
            self.item(item, &mut level)?;
            chain.places.resize(level.items.len(), self.span(item));
            if level.items.len() > COLUMNS_MAX {
                return Err(self
                    .text
                    .refuse(item.span(), format!("a SELECT may have at most {COLUMNS_MAX} columns")));
            }
        }
        if level.items.is_empty() {
            return Err(self.text.refuse(select.select_token.0.span, "the SELECT has no columns"));
        }
        chain.columns = self.columns(&level, &chain.places)?;
        chain.levels.push(Arc::new(level));
        Ok(chain)
    }

    fn span(&self, item: &SelectItem) -> Span {
        match item {
            SelectItem::UnnamedExpr(expr) => self.text.span(expr),
            SelectItem::ExprWithAlias { expr, alias } => self.text.span(expr).union(&alias.span),
            other => other.span(),
        }
    }

    /// The items of a SELECT as they are written, shortened.
    fn items_text(&self, select: &Select) -> String {
        let written = |item: &SelectItem| self.text.place_of(self.span(item)).map(|place| place.text);
        select.projection.iter().take(SHOWN_ITEMS_MAX).filter_map(written).collect::<Vec<_>>().join(", ")
    }

    /// What the level makes. Names must differ, so that what is around it can tell them apart.
    fn columns(&self, level: &Level, places: &[Span]) -> Result<Vec<FieldRef>, Refusal> {
        let mut names = HashSet::new();
        let mut columns = Vec::with_capacity(level.items.len());
        for (i, item) in level.items.iter().enumerate() {
            let name = item.field.name();
            let span = places.get(i).copied().unwrap_or(Span::empty());
            if !names.insert(name.clone()) {
                let message =
                    format!("two columns are named `{}`; give one another name with AS", short(name));
                return Err(self.text.refuse(span, message));
            }
            if let Some(what) = too_large(item.field.data_type()) {
                return Err(self
                    .text
                    .refuse(span, format!("the column `{}` is too large: {what}", short(name))));
            }
            columns.push(match (level.unnest == Some(i), item.field.data_type()) {
                (true, DataType::List(element)) => Arc::new(
                    Field::new(name, element.data_type().clone(), true)
                        .with_metadata(element.metadata().clone()),
                ),
                _ => Arc::clone(&item.field),
            });
        }
        Ok(columns)
    }

    fn relation(&self, factor: &TableFactor, ctes: &mut Ctes) -> Result<(Chain, Relation), Refusal> {
        match factor {
            TableFactor::Table { name, alias, .. } => {
                let written = single(name).ok_or_else(|| {
                    self.text.refuse(
                        name.span(),
                        "this is not the name of a stream: a stream has a single name, without dots",
                    )
                })?;
                let called = alias.as_ref().map_or_else(|| folded(&written), |a| folded(&a.name));
                self.named(&written, called, ctes)
            }
            TableFactor::Derived { subquery, alias, .. } => {
                let chain = self.query(subquery, ctes)?;
                let alias = alias.as_ref().map_or_else(|| "subquery".to_owned(), |a| folded(&a.name));
                let relation = Relation { alias, columns: chain.columns.clone(), hidden: 0 };
                Ok((chain, relation))
            }
            TableFactor::NestedJoin { table_with_joins, .. } => {
                self.relation(&table_with_joins.relation, ctes)
            }
            other => Err(self.text.refuse(other.span(), "this kind of FROM is not supported")),
        }
    }

    /// A CTE in sight, or else a stream.
    fn named(&self, written: &Ident, alias: String, ctes: &Ctes) -> Result<(Chain, Relation), Refusal> {
        let name = folded(written);
        if let Some((_, chain)) = ctes.iter().rev().find(|(cte, _)| *cte == name) {
            let relation = Relation { alias, columns: chain.columns.clone(), hidden: 0 };
            return Ok((chain.clone(), relation));
        }
        let stream = names::find(self.sources, &written.value, |s| s.name.as_str()).ok_or_else(|| {
            let known =
                self.sources.iter().map(|s| s.name.as_str()).chain(ctes.iter().map(|(cte, _)| cte.as_str()));
            let message =
                format!("stream `{}` does not exist{}", short(&written.value), hint(&written.value, known));
            self.text.refuse_name(written, message)
        })?;
        let mut columns: Vec<FieldRef> = stream.schema.fields().iter().cloned().collect();
        columns.push(Arc::new(ingest_time()));
        let chain = Chain {
            stream: stream.name.clone(),
            levels: Vec::new(),
            columns: Vec::new(),
            places: Vec::new(),
        };
        Ok((chain, Relation { alias, columns, hidden: 1 }))
    }

    fn item(&self, item: &SelectItem, level: &mut Level) -> Result<(), Refusal> {
        let (expr, alias) = match item {
            SelectItem::UnnamedExpr(expr) => (expr, None),
            SelectItem::ExprWithAlias { expr, alias } => (expr, Some(alias)),
            SelectItem::Wildcard(options) => return self.wildcard(options, item, level),
            SelectItem::QualifiedWildcard(SelectItemQualifiedWildcardKind::ObjectName(name), options) => {
                if single(name).is_none_or(|name| !level.input.is_called(&name)) {
                    let message = format!(
                        "FROM reads nothing called `{}`; it is called `{}`",
                        short(&name.to_string()),
                        level.input.alias
                    );
                    return Err(self.text.refuse(name.span(), message));
                }
                return self.wildcard(options, item, level);
            }
            other => return Err(self.text.refuse(other.span(), "this item of a SELECT is not supported")),
        };
        let argument = unnest_argument(expr);
        let planned = self.expressions.plan(argument.unwrap_or(expr), &level.input)?;
        let mut name = match alias {
            Some(alias) => folded(alias),
            None => planned.name.clone(),
        };
        if argument.is_some() {
            self.check_list(planned.field.data_type(), expr)?;
            level.unnest = Some(level.items.len());
            if alias.is_none() {
                name = format!("unnest({name})");
            }
        }
        if name.len() > IDENTIFIER_BYTES_MAX {
            let message = format!(
                "a column without a name of its own is named by its expression, which is longer than {IDENTIFIER_BYTES_MAX} bytes here; give it a name with AS"
            );
            return Err(self.text.refuse_expr(expr, message));
        }
        let field = Arc::new(Field::clone(&planned.field).with_name(name));
        level.items.push(Item { expr: planned.expr, field });
        Ok(())
    }

    fn check_list(&self, data_type: &DataType, expr: &ast::Expr) -> Result<(), Refusal> {
        if matches!(data_type, DataType::List(_)) {
            return Ok(());
        }
        let message = format!("UNNEST needs a list; this is {}", crate::data_type::sql_name(data_type));
        Err(self.text.refuse_expr(expr, message))
    }

    fn wildcard(
        &self,
        options: &WildcardAdditionalOptions,
        item: &SelectItem,
        level: &mut Level,
    ) -> Result<(), Refusal> {
        let refused = options.opt_ilike.is_some()
            || options.opt_replace.is_some()
            || options.opt_rename.is_some()
            || options.opt_alias.is_some();
        if refused {
            return Err(self.text.refuse(item.span(), "only EXCEPT and EXCLUDE may follow `*`"));
        }
        let mut left_out: Vec<Ident> = Vec::new();
        if let Some(except) = &options.opt_except {
            left_out.push(except.first_element.clone());
            left_out.extend(except.additional_elements.iter().cloned());
        }
        let excluded = match &options.opt_exclude {
            Some(ExcludeSelectItem::Single(name)) => std::slice::from_ref(name),
            Some(ExcludeSelectItem::Multiple(names)) => names.as_slice(),
            None => &[],
        };
        left_out.extend(excluded.iter().filter_map(single));
        let mut without = HashSet::new();
        for name in &left_out {
            without.insert(level.input.find(name).ok_or_else(|| level.input.unknown(name, self.text))?);
        }
        let shown = level.input.columns.len() - level.input.hidden;
        for index in (0..shown).filter(|i| !without.contains(i)) {
            let field = Arc::clone(&level.input.columns[index]);
            level.items.push(Item { expr: level.input.column(index), field });
        }
        Ok(())
    }
}

/// The column that every stream has besides its own.
pub(crate) fn ingest_time() -> Field {
    Field::new(INGEST_TIME, DataType::Timestamp(arrow::datatypes::TimeUnit::Microsecond, None), false)
}
