//! What the control plane asks of the rest of the server.

use std::fmt;

use arrow::datatypes::SchemaRef;
use lakehead_model::PipelineId;
use lakehead_model::resource::{Sink, Stream};

/// Knows whether SQL can run. May take seconds of CPU and must end: it is given text from the network.
pub trait SqlCompiler: Send + Sync {
    /// The INSERTs of `sql`, in its order, if all of it can run over these streams and sinks.
    ///
    /// # Errors
    /// What is wrong, for the person who wrote the SQL.
    fn check(&self, sql: &str, streams: &[Stream], sinks: &[Sink]) -> Result<Vec<StatementRef>, SqlRefusal>;
}

/// One INSERT.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StatementRef {
    /// The name of what it reads, as the resource spells it.
    pub stream: String,
    /// The name of what it writes, as the resource spells it.
    pub sink: String,
    /// What it writes.
    pub columns: SchemaRef,
    /// What is done to the rows on the way, in order.
    pub steps: Vec<StepRef>,
}

/// One step on the way from a stream to a sink.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StepRef {
    /// In a word: `filter`, `project`, `unnest`.
    pub kind: &'static str,
    /// For people.
    pub description: String,
}

/// Why SQL cannot run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SqlRefusal {
    /// For people.
    pub message: String,
    /// Where in the text, if it is one place.
    pub place: Option<SqlPlace>,
}

/// A place in the text of the SQL.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SqlPlace {
    /// From 1.
    pub line: u64,
    /// From 1, in characters.
    pub column: u64,
    /// What stands there.
    pub text: String,
}

/// As much of the offending text as a message repeats.
const TEXT_CHARS_MAX: usize = 60;

impl SqlRefusal {
    /// A refusal of the SQL as a whole.
    pub fn new(message: impl Into<String>) -> Self {
        SqlRefusal { message: message.into(), place: None }
    }
}

impl fmt::Display for SqlRefusal {
    /// The message, what stands at the place if the message does not name it already, and the place.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        let Some(SqlPlace { line, column, text }) = &self.place else { return Ok(()) };
        let named = self.message.contains(text.trim());
        let text: Vec<&str> = text.split_whitespace().collect();
        let text: String = text.join(" ").chars().take(TEXT_CHARS_MAX).collect();
        if !named && !text.is_empty() {
            write!(f, ", at `{text}`")?;
        }
        write!(f, " (line {line}, column {column})")
    }
}

/// Knows how pipelines are doing.
pub trait PipelineStatuses: Send + Sync {
    /// As of now. A pipeline the runtime has not seen yet is `Initializing`.
    fn status(&self, id: PipelineId) -> PipelineStatus;
}

impl<F: Fn(PipelineId) -> PipelineStatus + Send + Sync> PipelineStatuses for F {
    fn status(&self, id: PipelineId) -> PipelineStatus {
        self(id)
    }
}

/// How a pipeline is doing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PipelineStatus {
    /// In a word.
    pub state: PipelineState,
    /// Why it failed; for people, without secrets.
    pub failure_reason: Option<String>,
    /// What it has done; `None` while unknown.
    pub counters: Option<Counters>,
    /// The version of its SQL that runs; `None` before it has started.
    pub running_version: Option<u64>,
}

/// In a word.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum PipelineState {
    /// Not started yet.
    #[default]
    Initializing,
    /// Records flow, or would if there were any.
    Running,
    /// It keeps trying; the reason says what to mend.
    Failed,
}

impl PipelineState {
    /// The word in the API. Clients branch on `failed` alone.
    pub fn name(self) -> &'static str {
        match self {
            PipelineState::Initializing => "initializing",
            PipelineState::Running => "running",
            PipelineState::Failed => "failed",
        }
    }
}

/// The ledger of a pipeline, in records: `accepted = delivered + filtered + dead_lettered + lost + in_flight`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counters {
    /// In the log from where the pipeline began to read.
    pub accepted: u64,
    /// In the sink.
    pub delivered: u64,
    /// Left out by the SQL.
    pub filtered: u64,
    /// Kept apart, with the reason.
    pub dead_lettered: u64,
    /// Lost by the disk before the sink had them.
    pub lost: u64,
    /// Not handled yet.
    pub in_flight: u64,
}

#[cfg(test)]
mod tests;
