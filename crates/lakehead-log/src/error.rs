//! What can go wrong, by what the caller can do about it.

use std::fmt;
use std::io;
use std::path::PathBuf;

use lakehead_model::{Partition, Position};

/// The log could not be opened or read.
#[derive(Debug)]
pub struct Error {
    pub kind: ErrorKind,
    text: String,
    source: Option<io::Error>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErrorKind {
    /// A setting cannot work; the text names it.
    Invalid,
    /// Another process has the directory open.
    Locked,
    /// Files are missing, swapped or damaged in a way that could hide records; the text names file, place and remedy.
    Corrupt,
    /// The position was trimmed away; the text names it and the oldest one kept.
    Trimmed,
    /// The file system refused an operation.
    Io,
    /// The log was closed or has failed.
    Closed,
}

impl Error {
    pub(crate) fn new(kind: ErrorKind, text: impl Into<String>) -> Self {
        Error { kind, text: text.into(), source: None }
    }

    pub(crate) fn io(what: impl Into<String>, source: io::Error) -> Self {
        Error { kind: ErrorKind::Io, text: what.into(), source: Some(source) }
    }

    pub(crate) fn trimmed(partition: Partition, from: Position, oldest: Position) -> Self {
        Error::new(
            ErrorKind::Trimmed,
            format!(
                "stream {}: position {from} was trimmed; the oldest one kept is {oldest}",
                partition.stream
            ),
        )
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.source {
            Some(source) => write!(f, "{}: {source}", self.text),
            None => f.write_str(&self.text),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.source.as_ref().map(|e| e as _)
    }
}

/// Why an append was not stored. Nothing of it will ever be read, except after [`AppendError::Failed`], which leaves open
/// whether a later start finds it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AppendError {
    /// The quota is used up or the disk is full. Nothing was written; try again when readers have caught up.
    #[error("the log is full")]
    Full,
    /// Too many bytes wait for the disk. Nothing was written; try again soon.
    #[error("too many appends wait for the disk")]
    Backlogged,
    /// The body cannot fit a segment, or there are more partitions than a segment's header holds.
    #[error("the append does not fit a segment")]
    TooLarge,
    /// No records, or record ranges that leave the body or overlap.
    #[error("the record ranges do not fit the body")]
    Invalid,
    /// Another append is stored under the key it came with.
    #[error("other records were stored under this key")]
    KeyTaken,
    #[error("the log is closed")]
    Closed,
    /// A write or sync failed; the process is stopping.
    #[error("the log failed to write")]
    Failed,
}

/// A write or sync that failed. What it was to make durable is unknown from then on, so the log stops for good.
#[derive(Debug)]
pub struct Fatal {
    pub path: PathBuf,
    /// `write`, `sync` or `sync_dir`.
    pub operation: &'static str,
    pub error: io::Error,
}

impl fmt::Display for Fatal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} failed on {}: {}", self.operation, self.path.display(), self.error)
    }
}
