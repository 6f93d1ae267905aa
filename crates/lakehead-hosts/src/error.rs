//! The crate's error: a coarse kind to act on, and a text to read.

use std::fmt;
use std::path::Path;

/// What a caller can do about an [`Error`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErrorKind {
    /// The disk refused.
    Storage,
    /// What is on disk is not what was written, or a part of it is gone. A person must look; the text says what helps.
    Corrupt,
    /// A certificate could not be made.
    Certificate,
}

/// Why certificates could not be had. The text never holds a key.
#[derive(Debug)]
pub struct Error {
    kind: ErrorKind,
    text: String,
}

impl Error {
    pub(crate) fn io(path: &Path, doing: &str, source: &std::io::Error) -> Self {
        Error { kind: ErrorKind::Storage, text: format!("{}: cannot {doing}: {source}", path.display()) }
    }

    pub(crate) fn corrupt(path: &Path, what: impl fmt::Display) -> Self {
        Error { kind: ErrorKind::Corrupt, text: format!("{}: {what}", path.display()) }
    }

    pub(crate) fn certificate(what: impl fmt::Display) -> Self {
        Error { kind: ErrorKind::Certificate, text: format!("a certificate cannot be made: {what}") }
    }

    /// What can be done about it.
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl std::error::Error for Error {}
