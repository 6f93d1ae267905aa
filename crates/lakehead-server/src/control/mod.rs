//! The rules above the metadata store: what may be made, changed and deleted. No HTTP.
//!
//! ```text
//!   api ──NewStream, NewSink, sql──► Control ──Change, at revision──► Store ──watch──► runtime
//!                                      │ asks: SqlCompiler (is this SQL right?), Previewer (what would it make?), Auditor (has it?),
//!                                      └       BucketStore (is it empty?), PipelineStatuses (does it run?)
//! ```
//!
//! **Invariant:** every pipeline in the store refers to a stream and a sink that exist, and every sink to a bucket that
//! exists. Deleting a stream or a sink therefore deletes the pipelines that use it, in the same change, and reports them;
//! a bucket that a sink uses cannot be deleted.
//! **Order:** one mutation at a time; each is one change of the store at the revision it was decided on.

mod audit;
pub mod buckets;
mod catalogs;
mod cors;
mod edits;
mod error;
mod legacy;
mod listing;
mod local_buckets;
mod pipelines;
mod preview;
mod seams;
mod sink_columns;
pub mod sink_rules;
mod sinks;
mod streams;
mod tables;
mod tokens;

#[cfg(test)]
pub(crate) mod tests;

use std::fmt;
use std::sync::Arc;

use lakehead_meta::{Catalog, Change, Store};
use lakehead_model::{Clock, Invalid, Random, limits, name};
use parking_lot::{Mutex, MutexGuard};

pub use audit::{Audit, Auditor, Difference, DifferenceKind, PastAudit, Recount, StatementAudit};
pub use buckets::{BucketStore, LocalBuckets, NewBucket, Object, Usage};
pub use catalogs::{CatalogView, MaintenancePatch};
pub use edits::{Edit, SpanView, VersionState, VersionView};
pub use error::{Error, Kind};
pub use legacy::LegacySettings;
pub use listing::ObjectEntry;
pub use pipelines::{PipelineView, TableView};
pub use preview::{
    GivenRecords, PositionsRead, Preview, PreviewWanted, Previewer, RecordRejected, StatementPreview, Stopped,
};
pub use seams::{
    Counters, PipelineState, PipelineStatus, PipelineStatuses, SqlCompiler, SqlPlace, SqlRefusal,
    StatementRef, StepRef,
};
pub use sinks::NewSink;
pub use streams::{NewStream, StreamPatch};

/// What [`Control`] works with.
#[derive(Clone)]
pub struct Parts {
    /// Where resources are kept.
    pub store: Arc<Store>,
    /// The one account of this server.
    pub account_id: String,
    /// For `created_at` and `modified_at`.
    pub clock: Arc<dyn Clock>,
    /// For ids.
    pub random: Arc<dyn Random>,
    /// Checks SQL.
    pub sql: Arc<dyn SqlCompiler>,
    /// Where objects are.
    pub buckets: Arc<dyn BucketStore>,
    /// How pipelines are doing.
    pub statuses: Arc<dyn PipelineStatuses>,
    /// Shows what SQL would make.
    pub previewer: Arc<dyn Previewer>,
    /// Recounts what pipelines have made.
    pub auditor: Arc<dyn Auditor>,
    /// Shortest roll interval of a table that the operator allows.
    pub table_roll_interval_seconds_min: u64,
}

/// The control plane. Its methods block on the disk: call them where blocking is allowed.
pub struct Control {
    parts: Parts,
    changing: Mutex<()>,
}

impl fmt::Debug for Control {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Control").field("account_id", &self.parts.account_id).finish_non_exhaustive()
    }
}

/// What a list is narrowed by.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    /// Part of the name, compared without case.
    pub name: Option<String>,
    /// Id of a pipeline that uses the stream or sink. Any text; an unknown id matches nothing.
    pub pipeline_id: Option<String>,
}

/// A deleted stream or sink, and the pipelines that went with it.
#[derive(Debug, Clone, Default)]
pub struct Deleted {
    /// Names, in order of creation.
    pub pipelines: Vec<String>,
}

impl Control {
    /// A control plane over `parts`.
    pub fn new(parts: Parts) -> Self {
        Control { parts, changing: Mutex::new(()) }
    }

    /// The id of the one account.
    pub fn account_id(&self) -> &str {
        &self.parts.account_id
    }

    /// All resources as they are now.
    pub fn catalog(&self) -> Arc<Catalog> {
        self.parts.store.catalog()
    }

    /// The right to change something, and what it would change.
    fn begin(&self) -> (MutexGuard<'_, ()>, Arc<Catalog>) {
        let guard = self.changing.lock();
        (guard, self.catalog())
    }

    fn commit(&self, seen: &Catalog, changes: &[Change]) -> Result<(), Error> {
        self.parts.store.change(seen.revision, changes).map(|_| ()).map_err(Error::from)
    }
}

/// Checks a new name: its letters, that it is free among `taken` (compared without case, as SQL does), and that the
/// account may have one more.
fn check_new<'a>(
    kind: Kind,
    wanted: &str,
    taken: impl ExactSizeIterator<Item = &'a str>,
) -> Result<(), Error> {
    name::check("name", wanted)?;
    let count = taken.len();
    for name in taken {
        if name.eq_ignore_ascii_case(wanted) {
            return Err(Error::Exists { kind, name: name.to_owned() });
        }
    }
    if count >= limits::RESOURCES_MAX {
        return Err(Error::TooMany { kind, max: limits::RESOURCES_MAX });
    }
    Ok(())
}

fn name_matches(filter: &Filter, name: &str) -> bool {
    filter.name.as_deref().is_none_or(|part| name.to_lowercase().contains(&part.to_lowercase()))
}

/// Ids outside the store are arbitrary text; what is not an id names nothing.
fn parse_id<T: std::str::FromStr>(kind: Kind, text: &str) -> Result<T, Error> {
    text.parse().map_err(|_| Error::Missing(kind))
}

fn invalid(field: &str, reason: impl Into<String>) -> Error {
    Error::Invalid(Invalid::new(field, reason))
}
