//! Whether a sink can take the columns that a query makes: its format must have a form for each, and if the sink says what
//! its columns are, they must be those.

use arrow::datatypes::{Field, Schema};
use lakehead_decode::arrow_schema;
use lakehead_model::Invalid;
use lakehead_model::resource::{Sink, SinkConfig};
use serde_json::Value;

use super::SqlRefusal;
use crate::columns::{is_same_type, type_in_words};

/// Columns are compared by name, in any order. Whether a required column of the sink is NULL in some row is not known here.
///
/// # Errors
/// A refusal that names the column, what it is and what it would have to be.
pub(super) fn check(columns: &Schema, sink: &Sink) -> Result<(), SqlRefusal> {
    let name = &sink.name;
    lakehead_sink::check_columns(columns, &sink.format).map_err(|Invalid { field, reason }| {
        SqlRefusal::new(format!("column {field:?} of sink {name:?} {reason}; CAST it to another type"))
    })?;
    if let SinkConfig::Table(_) = sink.config {
        lakehead_table::check(columns).map_err(|Invalid { field, reason }| {
            SqlRefusal::new(format!("column {field:?} of sink {name:?} {reason}"))
        })?;
    }
    let Some(wanted) = own_columns(sink)? else { return Ok(()) };
    for column in columns.fields() {
        match wanted.fields().iter().find(|field| field.name() == column.name()) {
            None => return Err(not_there(column, &wanted, name)),
            Some(field) if !is_same_type(column, field) => {
                return Err(SqlRefusal::new(format!(
                    "column {:?} is {}, and the schema of sink {name:?} has it as {}",
                    column.name(),
                    type_in_words(column),
                    type_in_words(field),
                )));
            }
            Some(_) => {}
        }
    }
    let is_made = |field: &Field| columns.fields().iter().any(|column| column.name() == field.name());
    match wanted.fields().iter().find(|field| !field.is_nullable() && !is_made(field)) {
        Some(field) => Err(SqlRefusal::new(format!(
            "the schema of sink {name:?} requires column {:?} ({}), and the query has no column of that name",
            field.name(),
            type_in_words(field),
        ))),
        None => Ok(()),
    }
}

/// What the sink says its columns are. `{"fields": []}` is what some clients send for nothing.
fn own_columns(sink: &Sink) -> Result<Option<Schema>, SqlRefusal> {
    let Some(given) = &sink.schema else { return Ok(None) };
    if matches!(given.get("fields"), None | Some(Value::Null))
        || given["fields"].as_array().is_some_and(Vec::is_empty)
    {
        return Ok(None);
    }
    let schema = lakehead_model::Schema::from_json(given).map_err(|invalid| {
        SqlRefusal::new(format!("the schema of sink {:?} cannot be read: {invalid}", sink.name))
    })?;
    Ok(Some(Schema::clone(&arrow_schema(Some(&schema)))))
}

fn not_there(column: &Field, wanted: &Schema, sink: &str) -> SqlRefusal {
    let names: Vec<_> = wanted.fields().iter().map(|field| format!("{:?}", field.name())).collect();
    let alike = wanted.fields().iter().find(|field| field.name().eq_ignore_ascii_case(column.name()));
    let hint = alike.map_or_else(String::new, |field| {
        format!("; write AS \"{}\", in double quotes, which keep capital letters", field.name())
    });
    SqlRefusal::new(format!(
        "column {:?} ({}) is not in the schema of sink {sink:?}, which has {}{hint}",
        column.name(),
        type_in_words(column),
        names.join(", "),
    ))
}
