//! What the control plane asks of the rest of the server.

use std::fmt;

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

/// One INSERT: the names of what it reads and writes, as the resources spell them.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "said above")]
pub struct StatementRef {
    pub stream: String,
    pub sink: String,
}

/// Why SQL cannot run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SqlRefusal {
    /// For people.
    pub message: String,
    /// Both from 1.
    pub line_column: Option<(u64, u64)>,
}

impl fmt::Display for SqlRefusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line_column {
            Some((line, column)) => write!(f, "{} (line {line}, column {column})", self.message),
            None => f.write_str(&self.message),
        }
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

/// The ledger of a pipeline, in records: `accepted = delivered + filtered + dead_lettered + in flight`.
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
}
