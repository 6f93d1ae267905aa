//! What can go wrong in a sink, by what the caller does about it.

use std::fmt;
use std::io;
use std::path::Path;

/// What a caller does about an [`Error`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ErrorKind {
    /// A staged file could not be made, written or read (disk full, permissions). Abandon the writer; the rows are still in
    /// the log. Try again later.
    Staging,
    /// A sync failed. Nothing may be assumed about what was written: stop the process.
    Sync,
    /// The batch cannot be written in this format. Trying again cannot help.
    Encode,
    /// As many files are open as a writer may have: prepare and publish them first, then write the batch again.
    OpenFiles,
    /// Another object lies under the final name. Nothing was overwritten. A person has to look.
    Conflict,
    /// A staged file is gone and its object is not there: rows may be lost. A person has to look.
    Missing,
    /// The target did not answer, or the outcome stays unknown. Publish the same files again later.
    Unavailable,
    /// The target refuses: credentials, permissions, no such bucket. Publish again when a person has changed that.
    Refused,
    /// A setting is unusable.
    Settings,
}

/// A failure, with a text that names the file, key or setting. Never holds a secret.
pub struct Error {
    kind: ErrorKind,
    text: String,
    source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

impl Error {
    pub(crate) fn new(kind: ErrorKind, text: impl Into<String>) -> Self {
        Error { kind, text: text.into(), source: None }
    }

    pub(crate) fn caused(
        kind: ErrorKind,
        text: impl Into<String>,
        source: impl Into<Box<dyn std::error::Error + Send + Sync>>,
    ) -> Self {
        Error { kind, text: text.into(), source: Some(source.into()) }
    }

    /// A failed call on a staged file.
    pub(crate) fn staging(what: &str, path: &Path, source: io::Error) -> Self {
        Error::caused(ErrorKind::Staging, format!("cannot {what} {}", path.display()), source)
    }

    pub(crate) fn sync(path: &Path, source: io::Error) -> Self {
        Error::caused(ErrorKind::Sync, format!("cannot sync {}", path.display()), source)
    }

    pub fn kind(&self) -> ErrorKind {
        self.kind
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

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}: {self}", self.kind)
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.source.as_deref().map(|s| s as _)
    }
}
