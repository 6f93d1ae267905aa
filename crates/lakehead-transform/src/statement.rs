//! The shape of a pipeline's text: `INSERT INTO sink query {; INSERT INTO sink query} [;]`, within limits.

use datafusion_sql::sqlparser::ast::{
    Ident, Insert as InsertStatement, ObjectName, Query, Spanned, Statement, TableObject,
};
use datafusion_sql::sqlparser::keywords::Keyword;
use datafusion_sql::sqlparser::parser::{Parser, ParserError};
use datafusion_sql::sqlparser::tokenizer::{Location, Token, TokenWithSpan, Tokenizer};
use lakehead_model::limits::SQL_BYTES_MAX;

use crate::Refusal;
use crate::dialect::PipelineDialect;
use crate::suggest::short;
use crate::text::Text;

/// Tokens of a whole text, without white space.
const TOKENS_MAX: usize = 40_000;
/// Nesting that the parser follows (parentheses, subqueries).
const PARSER_DEPTH_MAX: usize = 64;
/// Nesting of forms such as `TRIM(…)`. If the parser fails inside one, it reads it again as a call of a function: twice as much
/// work with every level.
const FORMS_DEPTH_MAX: usize = 8;
const FORMS: &[Keyword] = &[
    Keyword::ARRAY,
    Keyword::CEIL,
    Keyword::CEILING,
    Keyword::CONVERT,
    Keyword::FLOOR,
    Keyword::INTERVAL,
    Keyword::MAP,
    Keyword::OVERLAY,
    Keyword::POSITION,
    Keyword::STRUCT,
    Keyword::SUBSTR,
    Keyword::SUBSTRING,
    Keyword::TRIM,
];
/// Statements of a pipeline.
const STATEMENTS_MAX: usize = 20;
/// Of a name in the SQL.
pub(crate) const IDENTIFIER_BYTES_MAX: usize = 255;

pub(crate) struct Insert {
    /// None for a SELECT that stands alone.
    pub(crate) sink: Option<Ident>,
    pub(crate) query: Box<Query>,
}

/// The statements of a text, and the text for places in it. A SELECT may stand alone if `is_preview`.
pub(crate) fn parse(sql: &str, is_preview: bool) -> Result<(Vec<Insert>, Text<'_>), Refusal> {
    if sql.len() > SQL_BYTES_MAX {
        return Err(Refusal::new(format!("the SQL has {} bytes; the limit is {SQL_BYTES_MAX}", sql.len())));
    }
    let dialect = PipelineDialect::default();
    let tokens = Tokenizer::new(&dialect, sql).tokenize_with_location().map_err(|e| {
        Text::new(sql, &[]).refuse_location(e.location, format!("SQL syntax error: {}", e.message))
    })?;
    let text = Text::new(sql, &tokens);
    check_tokens(&tokens, &text)?;
    check_forms(&tokens, &text)?;
    let statements = Parser::new(&dialect)
        .with_recursion_limit(PARSER_DEPTH_MAX)
        .with_tokens_with_locations(tokens)
        .parse_statements()
        .map_err(|e| syntax_error(&e, &text))?;
    if statements.is_empty() {
        return Err(Refusal::new("the SQL is empty; `INSERT INTO sink SELECT … FROM stream` is needed"));
    }
    if statements.len() > STATEMENTS_MAX {
        return Err(Refusal::new(format!(
            "the SQL has {} statements; the limit is {STATEMENTS_MAX}",
            statements.len()
        )));
    }
    let inserts =
        statements.into_iter().map(|s| statement(s, is_preview, &text)).collect::<Result<_, _>>()?;
    Ok((inserts, text))
}

fn check_tokens(tokens: &[TokenWithSpan], text: &Text<'_>) -> Result<(), Refusal> {
    let mut count = 0;
    for token in tokens {
        if let Token::Word(word) = &token.token
            && word.value.len() > IDENTIFIER_BYTES_MAX
        {
            let message = format!(
                "the name `{}` has {} bytes; the limit is {IDENTIFIER_BYTES_MAX}",
                short(&word.value),
                word.value.len()
            );
            return Err(text.refuse(token.span, message));
        }
        count += usize::from(!matches!(token.token, Token::Whitespace(_)));
        if count > TOKENS_MAX {
            let message = format!("the SQL has more than {TOKENS_MAX} words and signs");
            return Err(text.refuse_at(Some(token.span.start), message));
        }
    }
    Ok(())
}

/// Limits how deep what the parser may read twice is nested.
fn check_forms(tokens: &[TokenWithSpan], text: &Text<'_>) -> Result<(), Refusal> {
    // For each open bracket, whether it belongs to a form.
    let mut open: Vec<bool> = Vec::new();
    let mut depth = 0;
    let mut before: Option<&Token> = None;
    for token in tokens.iter().filter(|t| !matches!(t.token, Token::Whitespace(_))) {
        match &token.token {
            Token::LParen | Token::LBracket => {
                let is_form = matches!(before, Some(Token::Word(w)) if FORMS.contains(&w.keyword));
                open.push(is_form);
                depth += usize::from(is_form);
            }
            Token::RParen | Token::RBracket => depth -= usize::from(open.pop().unwrap_or(false)),
            _ => {}
        }
        if depth > FORMS_DEPTH_MAX {
            let message = format!(
                "the SQL is nested too deep; forms such as TRIM(…) and struct(…) may stand in each other {FORMS_DEPTH_MAX} levels deep"
            );
            return Err(text.refuse_at(Some(token.span.start), message));
        }
        before = Some(&token.token);
    }
    Ok(())
}

fn syntax_error(error: &ParserError, text: &Text<'_>) -> Refusal {
    match error {
        ParserError::RecursionLimitExceeded => {
            let message =
                format!("the SQL is nested too deep; the limit is {PARSER_DEPTH_MAX} levels of the grammar");
            match text.deepest() {
                Some(location) => text.refuse_at(Some(location), message),
                None => Refusal::new(message),
            }
        }
        ParserError::ParserError(message) | ParserError::TokenizerError(message) => {
            let (message, location) = split_location(message);
            let message: String = message.chars().take(300).collect();
            text.refuse_at(location, format!("SQL syntax error: {message}"))
        }
    }
}

/// The parser puts places into its sentences: `… at Line: 1, Column: 8`.
fn split_location(message: &str) -> (&str, Option<Location>) {
    let Some((before, place)) = message.rsplit_once(" at Line: ") else { return (message, None) };
    let location = place.split_once(", Column: ").and_then(|(line, column)| {
        Some(Location { line: line.trim().parse().ok()?, column: column.trim().parse().ok()? })
    });
    if location.is_some() { (before, location) } else { (message, None) }
}

fn statement(statement: Statement, is_preview: bool, text: &Text<'_>) -> Result<Insert, Refusal> {
    match statement {
        Statement::Insert(insert) => of_insert(insert, text),
        Statement::Query(query) if is_preview => Ok(Insert { sink: None, query }),
        other => {
            let written = other.to_string();
            let verb = written.split_whitespace().next().unwrap_or_default().to_uppercase();
            let message = if verb == "SELECT" || verb == "WITH" {
                "`SELECT` alone is not allowed; say where its rows go: `INSERT INTO sink SELECT …`".to_owned()
            } else {
                format!(
                    "`{}` is not allowed; a pipeline holds `INSERT INTO sink SELECT …` statements",
                    short(&verb)
                )
            };
            Err(text.refuse(text.word_before(&verb, other.span()), message))
        }
    }
}

fn of_insert(insert: InsertStatement, text: &Text<'_>) -> Result<Insert, Refusal> {
    let at = insert.insert_token.0.span;
    let TableObject::TableName(name) = &insert.table else {
        return Err(text.refuse(at, "INSERT INTO needs the name of a sink"));
    };
    let sink = single(name).ok_or_else(|| {
        text.refuse(name.span(), "this is not the name of a sink: a sink has a single name, without dots")
    })?;
    if let Some(column) = insert.columns.first() {
        return Err(text.refuse(
            column.span(),
            "a column list after the sink is not supported; name the columns in the SELECT (`expression AS name`)",
        ));
    }
    let plain = insert.into
        && !insert.overwrite
        && !insert.ignore
        && !insert.replace_into
        && !insert.has_table_keyword
        && insert.or.is_none()
        && insert.table_alias.is_none()
        && insert.assignments.is_empty()
        && insert.partitioned.is_none()
        && insert.after_columns.is_empty()
        && insert.on.is_none()
        && insert.returning.is_none()
        && insert.output.is_none()
        && insert.priority.is_none()
        && insert.insert_alias.is_none()
        && insert.settings.is_none()
        && insert.format_clause.is_none()
        && insert.optimizer_hints.is_empty();
    if !plain {
        return Err(text.refuse(
            at,
            "only `INSERT INTO sink SELECT …` is supported, without OVERWRITE, ON CONFLICT, RETURNING or an alias",
        ));
    }
    let query = insert.source.ok_or_else(|| text.refuse(at, "INSERT INTO needs a SELECT"))?;
    Ok(Insert { sink: Some(sink), query })
}

/// A name without dots.
pub(crate) fn single(name: &ObjectName) -> Option<Ident> {
    match name.0.as_slice() {
        [part] => part.as_ident().cloned(),
        _ => None,
    }
}
