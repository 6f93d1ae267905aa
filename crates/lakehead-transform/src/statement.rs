//! The shape of a pipeline's text: `INSERT INTO sink query {; INSERT INTO sink query} [;]`, within limits.

use std::ops::ControlFlow;

use datafusion_sql::sqlparser::ast::{Expr, ObjectName, Query, Statement, TableObject, Visit, Visitor};
use datafusion_sql::sqlparser::dialect::PostgreSqlDialect;
use datafusion_sql::sqlparser::parser::{Parser, ParserError};
use datafusion_sql::sqlparser::tokenizer::Tokenizer;
use lakehead_model::limits::SQL_BYTES_MAX;

use crate::Refusal;

/// Tokens of a whole text.
const TOKENS_MAX: usize = 10_000;
/// Nesting of expressions, flat chains of operators included: each link of `a + b + c` is a level.
const EXPRESSION_DEPTH_MAX: usize = 256;
/// Nesting that the parser follows (parentheses, subqueries).
const PARSER_DEPTH_MAX: usize = 64;
/// Statements of a pipeline.
const STATEMENTS_MAX: usize = 20;

pub(crate) struct Insert {
    pub(crate) sink: String,
    pub(crate) query: Box<Query>,
}

pub(crate) fn parse(sql: &str) -> Result<Vec<Insert>, Refusal> {
    if sql.len() > SQL_BYTES_MAX {
        return Err(Refusal::new(format!("the SQL has {} bytes; the limit is {SQL_BYTES_MAX}", sql.len())));
    }
    let dialect = PostgreSqlDialect {};
    let tokens = Tokenizer::new(&dialect, sql)
        .tokenize_with_location()
        .map_err(|e| Refusal::new(format!("SQL syntax error: {e}")))?;
    if tokens.len() > TOKENS_MAX {
        return Err(Refusal::new(format!("the SQL has {} tokens; the limit is {TOKENS_MAX}", tokens.len())));
    }
    let statements = Parser::new(&dialect)
        .with_recursion_limit(PARSER_DEPTH_MAX)
        .with_tokens_with_locations(tokens)
        .parse_statements()
        .map_err(|e| match e {
            ParserError::RecursionLimitExceeded => {
                Refusal::new(format!("the SQL is nested too deep; the limit is {PARSER_DEPTH_MAX} levels"))
            }
            ParserError::ParserError(text) | ParserError::TokenizerError(text) => {
                Refusal::new(format!("SQL syntax error: {text}"))
            }
        })?;
    if statements.is_empty() {
        return Err(Refusal::new("the SQL is empty; `INSERT INTO sink SELECT … FROM stream` is needed"));
    }
    if statements.len() > STATEMENTS_MAX {
        return Err(Refusal::new(format!(
            "the SQL has {} statements; the limit is {STATEMENTS_MAX}",
            statements.len()
        )));
    }
    statements.into_iter().map(insert).collect()
}

fn insert(statement: Statement) -> Result<Insert, Refusal> {
    let _ = statement.visit(&mut Depth::default()).map_break(Err::<(), _>).break_value().transpose()?;
    let Statement::Insert(insert) = statement else {
        let text = statement.to_string();
        let verb = text.split_whitespace().next().unwrap_or_default();
        return Err(Refusal::new(format!(
            "`{verb}` is not allowed; a pipeline holds `INSERT INTO sink SELECT …` statements"
        )));
    };
    let TableObject::TableName(name) = &insert.table else {
        return Err(Refusal::new("INSERT INTO needs the name of a sink"));
    };
    let sink = single(name).ok_or_else(|| Refusal::new(format!("`{name}` is not the name of a sink")))?;
    if !insert.columns.is_empty() {
        return Err(Refusal::new(
            "a column list after the sink is not supported; name the columns in the SELECT (`expression AS name`)",
        ));
    }
    if insert.on.is_some() || insert.returning.is_some() || insert.overwrite || !insert.assignments.is_empty()
    {
        return Err(Refusal::new(
            "only `INSERT INTO sink SELECT …` is supported; ON CONFLICT, RETURNING and OVERWRITE are not",
        ));
    }
    let query = insert.source.ok_or_else(|| Refusal::new("INSERT INTO needs a SELECT"))?;
    Ok(Insert { sink, query })
}

fn single(name: &ObjectName) -> Option<String> {
    match name.0.as_slice() {
        [part] => part.as_ident().map(|ident| ident.value.clone()),
        _ => None,
    }
}

/// Stops at the first expression nested too deep.
#[derive(Default)]
struct Depth {
    now: usize,
}

impl Visitor for Depth {
    type Break = Refusal;

    fn pre_visit_expr(&mut self, _: &Expr) -> ControlFlow<Refusal> {
        self.now += 1;
        if self.now > EXPRESSION_DEPTH_MAX {
            return ControlFlow::Break(Refusal::new(format!(
                "an expression is nested too deep; the limit is {EXPRESSION_DEPTH_MAX} levels, and each operator of a chain is one"
            )));
        }
        ControlFlow::Continue(())
    }

    fn post_visit_expr(&mut self, _: &Expr) -> ControlFlow<Refusal> {
        self.now -= 1;
        ControlFlow::Continue(())
    }
}
