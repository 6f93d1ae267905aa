//! Why the embedded catalog does not do what it was asked, by the names that the REST protocol gives to errors.

use std::fmt;

use super::records::{RecordsError, RecordsErrorKind};
use crate::{CatalogError, CatalogErrorKind};

/// What a caller can do about a [`Refusal`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RefusalKind {
    /// The request cannot work as it is; the text begins with the field.
    BadRequest,
    /// There is no such namespace.
    NoSuchNamespace,
    /// There is no such table.
    NoSuchTable,
    /// The name is taken.
    AlreadyExists,
    /// The namespace holds tables or other namespaces.
    NamespaceNotEmpty,
    /// A requirement does not hold any more; nothing was applied.
    CommitFailed,
    /// The request contradicts itself.
    Unprocessable,
    /// A request with the same key was answered already: give that answer.
    Answered,
    /// It cannot be done now; nothing was applied.
    Unavailable,
    /// What is stored cannot be read; a person has to look. Nothing was applied.
    Damaged,
    /// It may have been applied or not.
    Unknown,
    /// A file system sync failed: the process must stop.
    Sync,
}

impl RefusalKind {
    /// The name of the error in the REST protocol.
    pub fn name(self) -> &'static str {
        match self {
            RefusalKind::BadRequest => "BadRequestException",
            RefusalKind::NoSuchNamespace => "NoSuchNamespaceException",
            RefusalKind::NoSuchTable => "NoSuchTableException",
            RefusalKind::AlreadyExists => "AlreadyExistsException",
            RefusalKind::NamespaceNotEmpty => "NamespaceNotEmptyException",
            RefusalKind::CommitFailed => "CommitFailedException",
            RefusalKind::Unprocessable => "UnprocessableEntityException",
            RefusalKind::Unavailable => "ServiceUnavailableException",
            RefusalKind::Unknown => "CommitStateUnknownException",
            RefusalKind::Damaged | RefusalKind::Answered | RefusalKind::Sync => "ServerErrorException",
        }
    }

    /// The kind that has this name, for answers that were kept.
    pub(super) fn named(name: &str) -> Option<RefusalKind> {
        const KEPT: [RefusalKind; 7] = [
            RefusalKind::BadRequest,
            RefusalKind::NoSuchNamespace,
            RefusalKind::NoSuchTable,
            RefusalKind::AlreadyExists,
            RefusalKind::NamespaceNotEmpty,
            RefusalKind::CommitFailed,
            RefusalKind::Unprocessable,
        ];
        KEPT.into_iter().find(|kind| kind.name() == name)
    }
}

/// A refusal, with a text for people. Never holds a secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// What to do about it.
    pub kind: RefusalKind,
    /// What happened.
    pub text: String,
}

impl Refusal {
    /// A refusal of a kind.
    pub fn new(kind: RefusalKind, text: impl Into<String>) -> Self {
        Refusal { kind, text: text.into() }
    }

    /// The request cannot work as it is.
    pub fn bad(text: impl Into<String>) -> Self {
        Refusal::new(RefusalKind::BadRequest, text)
    }

    pub(super) fn conflict(text: impl Into<String>) -> Self {
        Refusal::new(RefusalKind::CommitFailed, text)
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl std::error::Error for Refusal {}

impl From<RecordsError> for Refusal {
    fn from(error: RecordsError) -> Self {
        let kind = match error.kind {
            // Reads know no conflict, and writes handle it where they are made.
            RecordsErrorKind::Conflict => RefusalKind::CommitFailed,
            RecordsErrorKind::NotApplied => RefusalKind::Unavailable,
            RecordsErrorKind::Unknown => RefusalKind::Unknown,
        };
        Refusal { kind, text: error.text }
    }
}

impl From<lakehead_sink::Error> for Refusal {
    /// A file could not be read or written, before anything was applied.
    fn from(error: lakehead_sink::Error) -> Self {
        let kind = match error.kind() {
            lakehead_sink::ErrorKind::Sync => RefusalKind::Sync,
            _ => RefusalKind::Unavailable,
        };
        Refusal { kind, text: error.to_string() }
    }
}

impl From<Refusal> for CatalogError {
    fn from(refusal: Refusal) -> Self {
        let kind = match refusal.kind {
            RefusalKind::NoSuchNamespace | RefusalKind::NoSuchTable => CatalogErrorKind::NotFound,
            RefusalKind::AlreadyExists => CatalogErrorKind::AlreadyExists,
            RefusalKind::CommitFailed => CatalogErrorKind::Conflict,
            RefusalKind::BadRequest
            | RefusalKind::NamespaceNotEmpty
            | RefusalKind::Unprocessable
            | RefusalKind::Answered
            | RefusalKind::Damaged => CatalogErrorKind::Refused,
            RefusalKind::Unavailable => CatalogErrorKind::Unavailable,
            RefusalKind::Unknown => CatalogErrorKind::Unknown,
            RefusalKind::Sync => CatalogErrorKind::Sync,
        };
        CatalogError { kind, text: refusal.text }
    }
}
