//! `lakehead sql`: `{account}/pipelines/v1/validate_sql` and `…/preview_sql` of the API.

mod blamed;
mod graph;
mod shown;

use std::io::{IsTerminal, Read};
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand, value_parser};
use serde::Serialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};

use crate::api::Api;
use crate::{Error, Said};

/// Longest file that is read: more than the server takes.
const INPUT_BYTES_MAX: u64 = 4 << 20;
/// Characters of a line where the terminal does not say.
const WIDTH_DEFAULT: usize = 120;
/// Narrower is not possible.
const WIDTH_MIN: usize = 20;

/// What can be done with SQL.
#[derive(Debug, Subcommand)]
pub enum SqlCommand {
    /// Run SQL over the last records of its stream and show what it makes; nothing is written.
    Preview {
        /// The SQL.
        #[command(flatten)]
        text: Text,
        /// So many of the last records of the stream are read (1 to 10000).
        #[arg(long, value_name = "N", default_value_t = 1000, value_parser = value_parser!(u64).range(1..=10_000))]
        last: u64,
        /// So many rows are shown (0 to 1000).
        #[arg(long, value_name = "N", default_value_t = 20, value_parser = value_parser!(u64).range(..=1000))]
        rows: u64,
        /// File of records to read in the place of stored ones: JSON objects, one a line, or an array of them.
        #[arg(long, value_name = "FILE")]
        records: Option<PathBuf>,
        /// Print what the API answers, as JSON.
        #[arg(long)]
        json: bool,
    },
    /// Check the SQL of a pipeline against the streams and sinks it names, and show what it does.
    Validate {
        /// The SQL.
        #[command(flatten)]
        text: Text,
        /// Print what the API answers, as JSON.
        #[arg(long)]
        json: bool,
    },
}

/// Where the SQL comes from. Without a flag: from standard input.
#[derive(Debug, Args)]
pub struct Text {
    /// The SQL itself.
    #[arg(long, value_name = "SQL", conflicts_with = "file")]
    sql: Option<String>,
    /// File with the SQL [default: standard input].
    #[arg(long, value_name = "FILE")]
    file: Option<PathBuf>,
}

impl Text {
    fn read(self) -> Result<String, Error> {
        match (self.sql, self.file) {
            (Some(sql), _) => Ok(sql),
            (None, Some(file)) => read_file(&file),
            (None, None) if std::io::stdin().is_terminal() => {
                Err(Error::new("there is no SQL: give it with --sql, in a --file or on standard input"))
            }
            (None, None) => read_all(std::io::stdin().lock(), "standard input"),
        }
    }
}

fn read_file(file: &Path) -> Result<String, Error> {
    let name = format!("`{}`", file.display());
    let opened = std::fs::File::open(file).map_err(|e| Error::new(format!("cannot read {name} ({e})")))?;
    read_all(opened, &name)
}

fn read_all(from: impl Read, name: &str) -> Result<String, Error> {
    let mut bytes = Vec::new();
    let read = from.take(INPUT_BYTES_MAX + 1).read_to_end(&mut bytes);
    read.map_err(|e| Error::new(format!("cannot read {name} ({e})")))?;
    if bytes.len() as u64 > INPUT_BYTES_MAX {
        return Err(Error::new(format!(
            "{name} has more than {INPUT_BYTES_MAX} bytes, which no server takes"
        )));
    }
    String::from_utf8(bytes).map_err(|e| Error::new(format!("{name} is not UTF-8 ({e})")))
}

/// The body of a preview; records as they were written.
#[derive(Serialize)]
struct Wanted<'a> {
    sql: &'a str,
    records_max: u64,
    rows_max: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    records: Option<Vec<&'a RawValue>>,
}

/// `width`: characters of a line of the terminal, if it says.
pub(crate) async fn execute(command: SqlCommand, api: &Api, width: Option<usize>) -> Result<Said, Error> {
    match command {
        SqlCommand::Preview { text, last, rows, records, json } => {
            let sql = text.read()?;
            let given = records.as_deref().map(read_file).transpose()?;
            let given = given.as_deref().zip(records.as_deref());
            let records = given.map(|(text, file)| records_of(text, file)).transpose()?;
            let wanted = Wanted { sql: &sql, records_max: last, rows_max: rows, records };
            let body = serde_json::to_string(&wanted)
                .map_err(|e| Error::new(format!("cannot write the request ({e})")))?;
            let made = api.post_text(&["pipelines", "v1", "preview_sql"], body).await;
            let made = made.map_err(|failure| blamed::with_line(failure.into(), &sql))?;
            let out = match json {
                true => format!("{made}\n"),
                false => shown::preview(&made, width.unwrap_or(WIDTH_DEFAULT).max(WIDTH_MIN))?,
            };
            Ok(Said { out, ..Said::default() })
        }
        SqlCommand::Validate { text, json } => {
            let sql = text.read()?;
            let checked = api.post(&["pipelines", "v1", "validate_sql"], &json!({ "sql": sql })).await;
            let checked: Value = checked.map_err(|failure| blamed::with_line(failure.into(), &sql))?;
            let out = if json { format!("{checked:#}\n") } else { graph::indented(&checked["graph"]) };
            Ok(Said { out, ..Said::default() })
        }
    }
}

/// The values of a file: one a line, or one array. Whether they are records, the server says.
fn records_of<'a>(text: &'a str, file: &Path) -> Result<Vec<&'a RawValue>, Error> {
    let wrong = |at: String, e: serde_json::Error| {
        Error::new(format!("`{}`{at} is not JSON ({e}); one object a line is needed", file.display()))
    };
    if text.trim_start().starts_with('[') {
        return serde_json::from_str(text).map_err(|e| wrong(String::new(), e));
    }
    let lines = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
    lines
        .map(|(i, line)| serde_json::from_str(line).map_err(|e| wrong(format!(" line {}", i + 1), e)))
        .collect()
}
