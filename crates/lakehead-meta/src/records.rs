//! The seam to the engine below: versioned records with preconditions.
//!
//! ```text
//!   space      key                    version   value
//!   stream     0000…32 hex            3         JSON
//!   flow       <pipeline>/<statement> 812       JSON
//!                                     ^ 1 at creation, +1 with every replacement
//!   revision 41: +1 with every write that asks for it, whatever the number of records
//! ```
//!
//! An engine promises: [`Records::write`] is all or nothing and durable when it returns; of two writers with the same
//! precondition one gets [`ErrorKind::Conflict`](crate::ErrorKind::Conflict); [`Records::list`] shows one moment.

use crate::{Error, ErrorKind};

/// A family of records. Keys are unique in their space.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[expect(missing_docs, reason = "named after what they hold")]
pub enum Space {
    Stream,
    Sink,
    Pipeline,
    Legacy,
    Bucket,
    Credentials,
    Flow,
    Journal,
    JournalHead,
    Retired,
    Token,
    Version,
    Namespace,
    Table,
    TableAnswer,
    TablePurge,
    TableMaintenance,
}

impl Space {
    /// The name on disk; never changes.
    pub fn name(self) -> &'static str {
        match self {
            Space::Stream => "stream",
            Space::Sink => "sink",
            Space::Pipeline => "pipeline",
            Space::Legacy => "legacy",
            Space::Bucket => "bucket",
            Space::Credentials => "credentials",
            Space::Flow => "flow",
            Space::Journal => "journal",
            Space::JournalHead => "journal_head",
            Space::Retired => "retired",
            Space::Token => "token",
            Space::Version => "version",
            Space::Namespace => "namespace",
            Space::Table => "table",
            Space::TableAnswer => "table_answer",
            Space::TablePurge => "table_purge",
            Space::TableMaintenance => "table_maintenance",
        }
    }
}

/// A value and how often it was replaced.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// Unique in its space; ASCII without control characters.
    pub key: String,
    /// 1 at creation.
    pub version: u64,
    /// Opaque to the engine.
    pub value: Vec<u8>,
}

/// What must hold for a record for the write to happen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expect {
    /// The key is free.
    Absent,
    /// The record has this version.
    Version(u64),
    /// Whatever is there, or nothing.
    Any,
}

/// One record's part in a write.
#[derive(Debug, Clone)]
pub struct Write {
    /// Where the record lives.
    pub space: Space,
    /// Its key.
    pub key: String,
    /// Its precondition.
    pub expect: Expect,
    /// The new value; `None` removes the record.
    pub value: Option<Vec<u8>>,
}

impl Write {
    /// Whether the record's `version`, `None` if there is no record, is what the write expects.
    ///
    /// # Errors
    /// `Conflict` naming both.
    pub(crate) fn check(&self, version: Option<u64>) -> Result<(), Error> {
        let holds = match self.expect {
            Expect::Absent => version.is_none(),
            Expect::Version(expected) => version == Some(expected),
            Expect::Any => true,
        };
        if holds {
            return Ok(());
        }
        let (space, key, expect) = (self.space.name(), &self.key, &self.expect);
        let text = format!("{space}/{key} has version {version:?}, {expect:?} was expected");
        Err(Error::new(ErrorKind::Conflict, text))
    }
}

/// Versioned records with preconditions.
pub trait Records: Send + Sync + std::fmt::Debug + 'static {
    /// The record of `key`, if there is one.
    ///
    /// # Errors
    /// `Corrupt` if its checksum does not match, `Storage`.
    fn get(&self, space: Space, key: &str) -> Result<Option<Record>, Error>;

    /// The revision, and all records of the spaces whose keys start with `prefix`, by space and key, as of one moment.
    ///
    /// # Errors
    /// `Corrupt` if a checksum does not match, `Storage`.
    fn list(&self, spaces: &[Space], prefix: &str) -> Result<(u64, Vec<(Space, Record)>), Error>;

    /// Does all of `writes` or none. With `at_revision` the revision must be that one and rises by one; without, it is
    /// neither looked at nor changed. Returns the revision after the write.
    ///
    /// # Errors
    /// `Conflict` if a precondition does not hold, `Storage`.
    fn write(&self, at_revision: Option<u64>, writes: &[Write]) -> Result<u64, Error>;
}
