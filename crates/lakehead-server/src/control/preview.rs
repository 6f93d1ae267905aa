//! What SQL would make of records, before there is a pipeline. The control plane checks what is asked for; the records are
//! the [`Previewer`]'s to read.

use arrow::datatypes::SchemaRef;
use bytes::Bytes;
use lakehead_model::Position;
use lakehead_model::resource::Stream;

use super::pipelines::check_text;
use super::{Control, Error, invalid};

/// Records one preview reads of each stream.
const RECORDS_MAX: usize = 10_000;
/// Rows one preview shows of each statement.
const ROWS_MAX: usize = 1_000;

/// What is to be shown.
#[derive(Debug, Clone)]
pub struct PreviewWanted {
    /// As of a pipeline, but that its sinks need not exist and a `SELECT` may stand alone.
    pub sql: String,
    /// So many of the last records of each stream are read. 1 to 10,000.
    pub records_max: usize,
    /// So many rows of each statement are shown. 0 to 1,000.
    pub rows_max: usize,
    /// Read instead of what the streams hold.
    pub records: Option<GivenRecords>,
}

/// Records that came with the request.
#[derive(Debug, Clone)]
pub struct GivenRecords {
    /// JSON, framed.
    pub body: Bytes,
    /// Where the records stand in it.
    pub bounds: Vec<(u32, u32)>,
}

/// What the SQL made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Preview {
    /// In the order of the SQL.
    pub statements: Vec<StatementPreview>,
}

/// What one statement made. `read.records = kept + filtered + rejected`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StatementPreview {
    /// The stream it reads.
    pub stream: String,
    /// The sink as it is written, if the SQL has one.
    pub sink: Option<String>,
    /// What it makes.
    pub columns: SchemaRef,
    /// The first rows, as a sink of format JSON would write them, one JSON object each.
    pub rows: Vec<String>,
    /// All rows, those that are not shown included.
    pub rows_made: u64,
    /// What was read.
    pub read: PositionsRead,
    /// Records with at least one row.
    pub kept: u64,
    /// Records that the SQL leaves out.
    pub filtered: u64,
    /// Records that would become dead letters.
    pub rejected: u64,
    /// The first of them.
    pub rejects: Vec<RecordRejected>,
    /// Why not everything that was asked for was read or shown.
    pub stopped: Option<Stopped>,
}

/// Half-open. Of records that came with the request, the place among them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[expect(missing_docs, reason = "said above")]
pub struct PositionsRead {
    pub from: Position,
    pub to: Position,
    /// Fewer than there are positions if some cannot be read any more.
    pub records: u64,
}

/// What the dead letter of a record would say, without the record.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "as in dead letters")]
pub struct RecordRejected {
    pub position: Position,
    pub stage: &'static str,
    pub reason: &'static str,
    pub path: String,
    pub detail: String,
}

/// A bound that a preview has met.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stopped {
    /// It took too long.
    Time,
    /// The records are too large.
    ReadBytes,
    /// The rows are too large.
    RowBytes,
}

impl Stopped {
    /// The word in the API.
    pub fn name(self) -> &'static str {
        match self {
            Stopped::Time => "time",
            Stopped::ReadBytes => "read_bytes",
            Stopped::RowBytes => "row_bytes",
        }
    }
}

/// Runs SQL over records and keeps nothing of it: no position moves, nothing is written.
pub trait Previewer: Send + Sync {
    /// May take seconds, and must end: it is given text from the network.
    ///
    /// # Errors
    /// `Sql`, `Busy`, `Unavailable`.
    fn preview(&self, wanted: &PreviewWanted, streams: &[Stream]) -> Result<Preview, Error>;
}

impl<F: Fn(&PreviewWanted, &[Stream]) -> Result<Preview, Error> + Send + Sync> Previewer for F {
    fn preview(&self, wanted: &PreviewWanted, streams: &[Stream]) -> Result<Preview, Error> {
        self(wanted, streams)
    }
}

impl Control {
    /// Shows what the SQL would make.
    ///
    /// # Errors
    /// `Invalid`, `Sql`, `Busy`, `Unavailable`.
    pub fn preview_sql(&self, wanted: &PreviewWanted) -> Result<Preview, Error> {
        check_text(&wanted.sql)?;
        let within = |field: &str, n: usize, least: usize, most: usize| match n {
            n if (least..=most).contains(&n) => Ok(()),
            n => Err(invalid(field, format!("is {n}; {least} to {most} is needed"))),
        };
        within("records_max", wanted.records_max, 1, RECORDS_MAX)?;
        within("rows_max", wanted.rows_max, 0, ROWS_MAX)?;
        if let Some(given) = wanted.records.as_ref().filter(|given| given.bounds.len() > RECORDS_MAX) {
            let reason = format!("holds {} records; the limit is {RECORDS_MAX}", given.bounds.len());
            return Err(invalid("records", reason));
        }
        let streams: Vec<Stream> = self.catalog().streams.values().map(|s| Stream::clone(s)).collect();
        self.parts.previewer.preview(wanted, &streams)
    }
}
