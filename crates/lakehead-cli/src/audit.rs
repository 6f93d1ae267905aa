//! `lakehead audit`: `{account}/pipelines/v1/pipelines/{id}/audit` of the API.

use std::time::Duration;

use clap::Args;
use serde::Deserialize;

use crate::api::Api;
use crate::error::printable;
use crate::resource_ids::PIPELINE;
use crate::table::table;
use crate::{Error, Said};

/// An audit reads everything a pipeline has made; whoever waits too long interrupts it.
const TIMEOUT: Duration = Duration::from_secs(24 * 60 * 60);
/// Exit status: something is not as the ledger says.
const DIFFERS: u8 = 1;
/// Exit status: nothing is known to differ, and not everything could be looked at.
pub(crate) const NOT_LOOKED: u8 = 2;

/// The pipeline to be audited.
#[derive(Debug, Args)]
pub struct Audited {
    /// The pipeline or legacy pipeline, by id or exact name.
    #[arg(value_name = "PIPELINE")]
    pipeline: String,
    /// Print what the API answers, as JSON.
    #[arg(long)]
    json: bool,
}

#[derive(Deserialize)]
struct Answer {
    pipeline: Named,
    balanced: bool,
    statements: Vec<Statement>,
    past: Past,
    differences: Vec<Difference>,
    difference_count: u64,
    unread: Vec<String>,
    unread_count: u64,
}

#[derive(Deserialize)]
struct Named {
    id: String,
    name: String,
    version: u64,
}

#[derive(Deserialize)]
struct Statement {
    statement: u64,
    stream: Option<Stream>,
    committing: bool,
    ledger: Ledger,
    in_flight_found: u64,
    recount: Recount,
}

#[derive(Deserialize)]
struct Stream {
    id: String,
    name: Option<String>,
}

#[derive(Deserialize)]
struct Past {
    ledger: Ledger,
    recount: Recount,
}

#[derive(Deserialize)]
struct Ledger {
    accepted: u64,
    delivered: u64,
    filtered: u64,
    dead_lettered: u64,
    lost: u64,
    in_flight: u64,
}

#[derive(Deserialize)]
struct Recount {
    commits: u64,
    files_recorded: u64,
    files_found: u64,
    rows_recorded: u64,
    rows_found: u64,
    bytes_recorded: u64,
    bytes_found: u64,
    dead_letters_recorded: u64,
    dead_letters_found: u64,
    unlisted: Ledger,
}

#[derive(Deserialize)]
struct Difference {
    kind: String,
    text: String,
}

pub(crate) async fn execute(audited: Audited, api: &Api) -> Result<Said, Error> {
    let id = PIPELINE.resolve(api, &audited.pipeline).await?;
    let text = api.get_text_within(&["pipelines", "v1", "pipelines", &id, "audit"], TIMEOUT).await?;
    let answer: Answer = serde_json::from_str(&text)
        .map_err(|e| Error::new(format!("the API answered with something that is not an audit: {e}")))?;
    let code = match answer.difference_count {
        0 if answer.balanced => 0,
        0 => NOT_LOOKED,
        _ => DIFFERS,
    };
    let out = if audited.json { format!("{text}\n") } else { answer.report() };
    Ok(Said { out, code, ..Said::default() })
}

impl Answer {
    fn report(&self) -> String {
        let Named { id, name, version } = &self.pipeline;
        let mut out = format!("Pipeline {name} ({id}), version {version}\n\n");
        out.push_str(&self.ledgers());
        out.push('\n');
        out.push_str(&self.recounts());
        out.push('\n');
        for s in self.statements.iter().filter(|s| s.committing) {
            out.push_str(&format!(
                "Statement {} is committing; that commit was not looked at.\n",
                s.statement
            ));
        }
        let unlisted: u64 = self
            .statements
            .iter()
            .map(|s| &s.recount)
            .chain([&self.past.recount])
            .map(|r| r.unlisted.accepted)
            .sum();
        if unlisted > 0 {
            out.push_str(&format!(
                "{unlisted} records were committed before the journal of commits begins; their files were not looked at.\n"
            ));
        }
        for text in &self.unread {
            out.push_str(&format!("not looked at: {text}\n"));
        }
        for Difference { kind, text } in &self.differences {
            out.push_str(&format!("{kind}: {text}\n"));
        }
        out.push_str(&self.verdict());
        printable(&out)
    }

    /// The ledger as the pipeline keeps it.
    fn ledgers(&self) -> String {
        let row = |name: String, stream: String, l: &Ledger| {
            let [accepted, delivered, filtered] =
                [l.accepted, l.delivered, l.filtered].map(|n| n.to_string());
            let [dead_lettered, lost, in_flight] =
                [l.dead_lettered, l.lost, l.in_flight].map(|n| n.to_string());
            [name, stream, accepted, delivered, filtered, dead_lettered, lost, in_flight]
        };
        let mut rows: Vec<_> = self
            .statements
            .iter()
            .map(|s| {
                row(
                    s.statement.to_string(),
                    s.stream.as_ref().map_or("-".to_owned(), Stream::called),
                    &s.ledger,
                )
            })
            .collect();
        if self.past.ledger.accepted > 0 {
            rows.push(row("past".into(), "-".into(), &self.past.ledger));
        }
        let head =
            ["STATEMENT", "STREAM", "ACCEPTED", "DELIVERED", "FILTERED", "DEAD LETTERS", "LOST", "IN FLIGHT"];
        table(head, &rows)
    }

    /// What was found of what was recorded.
    fn recounts(&self) -> String {
        let of = |found: u64, recorded: u64| match found == recorded {
            true => found.to_string(),
            false => format!("{found} of {recorded}"),
        };
        let row = |name: String, r: &Recount, in_flight: String| {
            [
                name,
                r.commits.to_string(),
                of(r.files_found, r.files_recorded),
                of(r.rows_found, r.rows_recorded),
                of(r.bytes_found, r.bytes_recorded),
                of(r.dead_letters_found, r.dead_letters_recorded),
                in_flight,
            ]
        };
        let mut rows: Vec<_> = self
            .statements
            .iter()
            .map(|s| row(s.statement.to_string(), &s.recount, of(s.in_flight_found, s.ledger.in_flight)))
            .collect();
        if self.past.recount.commits > 0 {
            rows.push(row("past".into(), &self.past.recount, "-".into()));
        }
        let head = ["RECOUNTED", "COMMITS", "FILES", "ROWS", "BYTES", "DEAD LETTERS", "IN FLIGHT"];
        table(head, &rows)
    }

    fn verdict(&self) -> String {
        let more = |count: u64, told: usize| count.saturating_sub(told as u64);
        let mut text = match self.difference_count {
            0 if self.balanced => "Everything agrees.\n".to_owned(),
            0 => "Nothing differs of what could be looked at.\n".to_owned(),
            1 => "1 difference.\n".to_owned(),
            n => format!("{n} differences.\n"),
        };
        let untold = more(self.difference_count, self.differences.len());
        if untold > 0 {
            text.push_str(&format!("{untold} of them are not shown.\n"));
        }
        if self.unread_count > 0 {
            text.push_str(&format!("{} files could not be looked at.\n", self.unread_count));
        }
        text
    }
}

impl Stream {
    fn called(&self) -> String {
        self.name.clone().unwrap_or_else(|| self.id.clone())
    }
}
