//! The crate's error: a coarse kind to act on, and a text to read.

use std::fmt;
use std::path::Path;

/// What a caller can do about an [`Error`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErrorKind {
    /// A precondition failed: somebody else was faster. Read again and decide anew.
    Conflict,
    /// The disk refused, or the database is not usable. What is on disk now is known only after the store was opened again;
    /// it refuses writes until then.
    Storage,
    /// The disk is full. Nothing was changed; the same call works when there is room again.
    Full,
    /// There are as many as there may be. Nothing was changed.
    Limit,
    /// What is on disk is not what was written. A person must look.
    Corrupt,
    /// Another process holds the store.
    Busy,
}

/// Why the store could not do it. The text never holds a secret.
#[derive(Debug)]
pub struct Error {
    kind: ErrorKind,
    text: String,
    source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

impl Error {
    pub(crate) fn new(kind: ErrorKind, text: impl Into<String>) -> Self {
        Error { kind, text: text.into(), source: None }
    }

    pub(crate) fn io(path: &Path, doing: &str, source: std::io::Error) -> Self {
        let text = format!("{}: cannot {doing}", path.display());
        Error { kind: ErrorKind::Storage, text, source: Some(source.into()) }
    }

    pub(crate) fn sqlite(path: &Path, doing: &str, source: rusqlite::Error) -> Self {
        use rusqlite::ErrorCode as Code;
        let kind = match source.sqlite_error_code() {
            Some(Code::DatabaseBusy | Code::DatabaseLocked) => ErrorKind::Busy,
            Some(Code::DiskFull) => ErrorKind::Full,
            Some(Code::DatabaseCorrupt | Code::NotADatabase) => ErrorKind::Corrupt,
            _ => ErrorKind::Storage,
        };
        Error { kind, text: format!("{}: cannot {doing}", path.display()), source: Some(source.into()) }
    }

    /// What can be done about it.
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.source {
            None => f.write_str(&self.text),
            Some(source) => write!(f, "{}: {source}", self.text),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.source.as_ref().map(|s| &**s as &(dyn std::error::Error + 'static))
    }
}
