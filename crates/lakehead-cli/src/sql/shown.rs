//! A preview for a person: for each statement its schema, a table of rows, counts, and why records were rejected.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::Error;
use crate::error::printable;
use crate::table::{bounded, shortened, table};

#[derive(Deserialize)]
struct Preview<'a> {
    #[serde(borrow)]
    statements: Vec<Statement<'a>>,
}

/// One statement in the API's words.
#[derive(Deserialize)]
struct Statement<'a> {
    stream: String,
    sink: Option<String>,
    schema: Schema,
    #[serde(borrow)]
    rows: Vec<&'a RawValue>,
    rows_made: u64,
    read: Read,
    counts: Counts,
    rejects: Vec<Rejected>,
    truncated_by: Option<String>,
}

#[derive(Deserialize)]
struct Schema {
    fields: Vec<Field>,
}

#[derive(Deserialize)]
struct Field {
    name: String,
    r#type: String,
    sql_name: Option<String>,
    required: bool,
}

#[derive(Deserialize)]
struct Read {
    from: u64,
    to: u64,
    lost: u64,
}

#[derive(Deserialize)]
struct Counts {
    read: u64,
    kept: u64,
    filtered: u64,
    rejected: u64,
}

#[derive(Deserialize)]
struct Rejected {
    position: u64,
    stage: String,
    reason: String,
    path: String,
    detail: String,
}

/// Characters of a reject's reason.
const DETAIL_CHARS_MAX: usize = 300;

/// `answer`: what the API says, as JSON. Lines of the table of rows have at most `width` characters.
pub(super) fn preview(answer: &str, width: usize) -> Result<String, Error> {
    let preview: Preview<'_> = serde_json::from_str(answer)
        .map_err(|e| Error::new(format!("the server's answer is not a preview ({e})")))?;
    let shown: Vec<_> = preview.statements.iter().map(|statement| of_statement(statement, width)).collect();
    Ok(shown.join("\n"))
}

fn of_statement(statement: &Statement<'_>, width: usize) -> String {
    let mut text = match &statement.sink {
        Some(sink) => format!("{} → {}\n\n", printable(&statement.stream), printable(sink)),
        None => format!("{}\n\n", printable(&statement.stream)),
    };
    let fields = &statement.schema.fields;
    let described = |f: &Field| {
        let required = if f.required { "yes" } else { "no" };
        [f.name.clone(), f.sql_name.clone().unwrap_or_else(|| f.r#type.clone()), required.to_owned()]
    };
    text.push_str(&table(["column", "type", "required"], &fields.iter().map(described).collect::<Vec<_>>()));
    if !statement.rows.is_empty() {
        text.push('\n');
        text.push_str(&rows(statement, width));
    }
    text.push('\n');
    text.push_str(&counts(statement));
    if !statement.rejects.is_empty() {
        let told = |r: &Rejected| {
            let detail = shortened(&r.detail, DETAIL_CHARS_MAX);
            [r.position.to_string(), r.stage.clone(), r.reason.clone(), r.path.clone(), detail]
        };
        text.push('\n');
        let rejects: Vec<_> = statement.rejects.iter().map(told).collect();
        text.push_str(&table(["position", "stage", "reason", "path", "detail"], &rejects));
        let more = statement.counts.rejected.saturating_sub(statement.rejects.len() as u64);
        if more > 0 {
            text.push_str(&format!("and {more} more\n"));
        }
    }
    text
}

/// Values as they stand in JSON, so that text and numbers can be told apart.
fn rows(statement: &Statement<'_>, width: usize) -> String {
    let names: Vec<String> = statement.schema.fields.iter().map(|f| f.name.clone()).collect();
    let cells = |row: &&RawValue| match serde_json::from_str::<BTreeMap<String, &RawValue>>(row.get()) {
        Ok(values) => {
            names.iter().map(|name| values.get(name).map_or("", |v| v.get()).to_owned()).collect::<Vec<_>>()
        }
        // A row that is no JSON, in a string.
        Err(_) => vec![row.get().to_owned()],
    };
    let lines: Vec<Vec<String>> =
        std::iter::once(names.clone()).chain(statement.rows.iter().map(cells)).collect();
    let (mut text, shown) = bounded(&lines, width);
    if shown < names.len() {
        text.push_str(&format!("columns that do not fit: {}; --json shows them\n", names.len() - shown));
    }
    text
}

fn counts(statement: &Statement<'_>) -> String {
    let Counts { read, kept, filtered, rejected } = statement.counts;
    let Read { from, to, lost } = statement.read;
    let mut text = format!("{read} records read");
    if to > from {
        text.push_str(&format!(", at positions {from} to {}", to - 1));
    }
    text.push_str(&format!(
        ": {kept} kept, {filtered} filtered, {rejected} rejected\n{} of {} rows shown\n",
        statement.rows.len(),
        statement.rows_made
    ));
    if lost > 0 {
        text.push_str(&format!("{lost} records cannot be read any more\n"));
    }
    let bound = statement.truncated_by.as_deref();
    let said = bound.map(|bound| match bound {
        "time" => "The preview took too long and was stopped; there are more records.",
        "read_bytes" => "The records are too large to read them all.",
        "row_bytes" => "The rows are too large to show them all.",
        _ => "The preview is not complete.",
    });
    said.into_iter().for_each(|said| text.extend([said, "\n"]));
    text
}

#[cfg(test)]
mod tests;
