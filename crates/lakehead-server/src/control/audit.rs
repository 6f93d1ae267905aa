//! Whether a pipeline's ledger is true. The control plane finds the pipeline; what it made is the [`Auditor`]'s to recount.

use std::sync::Arc;

use lakehead_meta::Totals;
use lakehead_model::resource::Pipeline;
use lakehead_model::{PipelineId, Position, StreamId};

use super::{Control, Error, Kind, parse_id};

/// What an audit found.
#[derive(Debug, Clone)]
pub struct Audit {
    /// The pipeline that was looked at.
    pub pipeline: Arc<Pipeline>,
    /// Its flows, by statement.
    pub statements: Vec<StatementAudit>,
    /// What past versions of its SQL have done.
    pub past: PastAudit,
    /// The first ones.
    pub differences: Vec<Difference>,
    /// All of them.
    pub differences_count: u64,
    /// What could not be looked at, and why: the first ones.
    pub unread: Vec<String>,
    /// All of them.
    pub unread_count: u64,
}

impl Audit {
    /// Everything could be looked at, and all of it agrees.
    pub fn is_balanced(&self) -> bool {
        self.differences_count == 0 && self.unread_count == 0
    }
}

/// One flow.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StatementAudit {
    /// Its index in the SQL.
    pub statement: u32,
    /// The version of the SQL.
    pub version: u64,
    /// What it reads, by id and by name if it is still there.
    pub stream: Option<(StreamId, Option<String>)>,
    /// Where it began.
    pub start: Position,
    /// Before which everything is handled.
    pub committed: Position,
    /// What it has done, as it says itself.
    pub totals: Totals,
    /// Records of its stream that it has not handled.
    pub in_flight: u64,
    /// Of those, the ones that the log has been read to hold, or that were handled while the audit ran.
    pub in_flight_found: u64,
    /// It is just making files visible, which belong to its next commit.
    pub is_committing: bool,
    /// What its journal says, and what there is.
    pub recount: Recount,
}

/// The flows of past versions together.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct PastAudit {
    /// What they have done.
    pub totals: Totals,
    /// What their journals say, and what there is.
    pub recount: Recount,
}

/// Commits that were recounted one by one. What was committed before there was a journal, or so many commits ago that the
/// journal forgot, is in `unlisted` and was not.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[expect(missing_docs, reason = "said above and by their names")]
pub struct Recount {
    pub commits: u64,
    pub unlisted: Totals,
    pub files_recorded: u64,
    pub files_found: u64,
    pub files_rewritten: u64,
    pub rows_recorded: u64,
    pub rows_found: u64,
    pub bytes_recorded: u64,
    pub bytes_found: u64,
    pub dead_letters_recorded: u64,
    pub dead_letters_found: u64,
}

/// One thing that is not as the ledger says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// Of what kind.
    pub kind: DifferenceKind,
    /// The flow, by its statement; `None`: the pipeline as a whole.
    pub statement: Option<u32>,
    /// The first position of the commit, or of the records.
    pub at: Option<Position>,
    /// For people.
    pub text: String,
}

macro_rules! kinds {
    ($($(#[$doc:meta])* $name:ident = $word:literal,)*) => {
        /// What is not as the ledger says.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum DifferenceKind { $($(#[$doc])* $name,)* }

        impl DifferenceKind {
            /// All of them.
            pub const ALL: &[DifferenceKind] = &[$(DifferenceKind::$name,)*];

            /// The word in the API.
            pub fn name(self) -> &'static str {
                match self { $(DifferenceKind::$name => $word,)* }
            }
        }
    };
}

kinds! {
    /// The counts of a flow are not the positions it has passed.
    Ledger = "ledger",
    /// The entries of a journal do not come to what the flow says.
    JournalSums = "journal_sums",
    /// Positions between two commits belong to neither.
    JournalGap = "journal_gap",
    /// Positions belong to two commits.
    JournalOverlap = "journal_overlap",
    /// The counts of a commit are not its positions.
    CommitCounts = "commit_counts",
    /// The files of a commit do not come to what it says.
    CommitFiles = "commit_files",
    /// Two commits name the same file.
    FileTwice = "file_twice",
    /// A file is not there.
    FileMissing = "file_missing",
    /// A file has another size.
    FileSize = "file_size",
    /// A file has other content.
    FileContent = "file_content",
    /// A file holds another number of rows.
    FileRows = "file_rows",
    /// A file of dead letters is not there.
    DeadLettersMissing = "dead_letters_missing",
    /// A file of dead letters holds another number of records.
    DeadLettersCount = "dead_letters_count",
    /// A file of dead letters belongs to no commit.
    DeadLettersExtra = "dead_letters_extra",
    /// Records that no flow has handled have left the log.
    LogTrimmed = "log_trimmed",
    /// Records are in the log and cannot be read any more.
    LogUnreadable = "log_unreadable",
    /// The log has no record at a position before its end.
    LogGap = "log_gap",
    /// The log ends before what was committed.
    LogEnd = "log_end",
}

/// Recounts what a pipeline has made.
pub trait Auditor: Send + Sync {
    /// Reads every file and the log: it may take long. It ends with an error soon after `go_on` has said no.
    ///
    /// # Errors
    /// `Busy`, `Unavailable`.
    fn audit(&self, pipeline: &Arc<Pipeline>, go_on: &dyn Fn() -> bool) -> Result<Audit, Error>;
}

impl<F: Fn(&Arc<Pipeline>, &dyn Fn() -> bool) -> Result<Audit, Error> + Send + Sync> Auditor for F {
    fn audit(&self, pipeline: &Arc<Pipeline>, go_on: &dyn Fn() -> bool) -> Result<Audit, Error> {
        self(pipeline, go_on)
    }
}

impl Control {
    /// Recounts what a pipeline, or a legacy one, has made.
    ///
    /// # Errors
    /// `Missing`, `Busy`, `Unavailable`.
    pub fn audit_pipeline(&self, id: &str, go_on: &dyn Fn() -> bool) -> Result<Audit, Error> {
        let id: PipelineId = parse_id(Kind::Pipeline, id)?;
        let pipeline = self.catalog().any_pipeline(id).cloned().ok_or(Error::Missing(Kind::Pipeline))?;
        self.parts.auditor.audit(&pipeline, go_on)
    }
}
