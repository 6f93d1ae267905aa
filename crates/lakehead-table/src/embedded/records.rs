//! The seam to where the catalog keeps what it knows: versioned records with preconditions, in one store for all catalogs.
//!
//! ```text
//!   kind          key, behind `{catalog}:`       value (JSON)
//!   Namespace     a/b/                           its properties
//!   Table         a/b/name                       uuid, location, metadata file and its number
//!   Answer        the Idempotency-Key            what was answered, and when
//!   Purge         the uuid of a dropped table    what is to be deleted
//!   Maintenance   the uuid of a table            what is done to it without being asked; the server's
//! ```
//! Levels and names stand in keys with everything but letters, digits, `-`, `_` and `.` as `%XX`, so that keys are ASCII and
//! the slash parts them.

use std::fmt;

/// A family of records. Keys are unique in their family.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[expect(missing_docs, reason = "said in the header of the module")]
pub enum RecordKind {
    Namespace,
    Table,
    Answer,
    Purge,
    Maintenance,
}

/// A record and how often it was replaced.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredRecord {
    /// Unique in its family.
    pub key: String,
    /// Another one with every replacement.
    pub version: u64,
    /// JSON.
    pub value: Vec<u8>,
}

/// What must hold for a record for the write to happen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expected {
    /// The key is free.
    Absent,
    /// The record has this version.
    Version(u64),
    /// Whatever is there, or nothing.
    Any,
}

/// One record's part in a write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordWrite {
    /// Its family.
    pub kind: RecordKind,
    /// Its key.
    pub key: String,
    /// Its precondition.
    pub expected: Expected,
    /// The new value; `None` removes the record.
    pub value: Option<Vec<u8>>,
}

/// What is known after a [`RecordsError`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RecordsErrorKind {
    /// A precondition does not hold. Nothing was changed.
    Conflict,
    /// Nothing was changed, or nothing was to be changed.
    NotApplied,
    /// Whether the write was done is not known.
    Unknown,
}

/// A failure of the store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordsError {
    /// What is known now.
    pub kind: RecordsErrorKind,
    /// What happened.
    pub text: String,
}

impl fmt::Display for RecordsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl std::error::Error for RecordsError {}

/// Versioned records with preconditions. Calls block.
pub trait CatalogRecords: Send + Sync + fmt::Debug + 'static {
    /// The record of `key`, if there is one.
    ///
    /// # Errors
    /// `NotApplied`.
    fn get(&self, kind: RecordKind, key: &str) -> Result<Option<StoredRecord>, RecordsError>;

    /// All records of the family whose keys begin with `prefix`, by key, as of one moment.
    ///
    /// # Errors
    /// `NotApplied`.
    fn list(&self, kind: RecordKind, prefix: &str) -> Result<Vec<StoredRecord>, RecordsError>;

    /// Does all of `writes` or none; durable when it returns.
    ///
    /// # Errors
    /// All three kinds.
    fn write(&self, writes: &[RecordWrite]) -> Result<(), RecordsError>;
}

/// The key of a namespace, behind the catalog's prefix.
pub fn namespace_key(levels: &[String]) -> String {
    levels.iter().map(|level| escaped(level) + "/").collect()
}

/// The key of a table, behind the catalog's prefix.
pub fn table_key(levels: &[String], name: &str) -> String {
    namespace_key(levels) + &escaped(name)
}

/// Levels, and the name if the key is a table's; `None` for a key that was not made here.
pub fn parse_key(key: &str) -> Option<(Vec<String>, Option<String>)> {
    let (levels, name) = key.rsplit_once('/')?;
    let levels = levels.split('/').map(percent_decoded).collect::<Option<_>>()?;
    let name = if name.is_empty() { None } else { Some(percent_decoded(name)?) };
    Some((levels, name))
}

fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.') {
            out.push(byte.into());
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}

/// A text with `%XX` as the bytes they stand for; `None` if these are not UTF-8.
pub fn percent_decoded(text: &str) -> Option<String> {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&byte, behind)) = rest.split_first() {
        if byte != b'%' {
            out.push(byte);
            rest = behind;
            continue;
        }
        let (digits, behind) = behind.split_at_checked(2)?;
        let digits = std::str::from_utf8(digits).ok().filter(|d| d.bytes().all(|b| b.is_ascii_hexdigit()))?;
        out.push(u8::from_str_radix(digits, 16).ok()?);
        rest = behind;
    }
    String::from_utf8(out).ok()
}
