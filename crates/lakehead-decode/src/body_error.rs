//! Why a body was refused as a whole.

use std::fmt;

use lakehead_model::limits::{JSON_DEPTH_MAX, RECORD_BYTES_MAX};

/// What is wrong, as coarse as a caller can act on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BodyErrorKind {
    /// Not JSON.
    Malformed,
    /// The bytes are not UTF-8.
    NotUtf8,
    /// JSON starts well, but is not an array.
    NotAnArray,
    /// An element of the array, or a line, is a JSON value other than an object.
    NotAnObject {
        /// Index of the element or line, blank lines not counted.
        record: usize,
    },
    /// A record nests arrays and objects deeper than [`JSON_DEPTH_MAX`] levels, its own braces counted.
    TooDeep,
    /// A record is longer than [`RECORD_BYTES_MAX`].
    RecordTooLarge {
        /// Index of the record.
        record: usize,
        /// What it has.
        bytes: usize,
        /// What it may have.
        limit: usize,
    },
}

/// The refusal of a body: what, where, and what was expected there. Never holds a value of the body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BodyError {
    /// What is wrong.
    pub kind: BodyErrorKind,
    /// The byte of the body at which the fault shows, from 0; the body's length if it ends too early.
    pub position_bytes: usize,
    /// The record in which the fault shows, from 0; `None` outside of records.
    pub record: Option<usize>,
    /// A sentence for the sender. Holds the position and the record.
    pub message: String,
}

impl BodyError {
    /// `expected` is what would have been right at `pos`.
    #[cold]
    pub(crate) fn expected(
        kind: BodyErrorKind,
        body: &[u8],
        pos: usize,
        record: Option<usize>,
        expected: &'static str,
    ) -> Self {
        let found = if pos >= body.len() { ", but the body ends there" } else { "" };
        let bom = if pos == 0 && body.starts_with(b"\xEF\xBB\xBF") {
            "; the body starts with a byte order mark, which JSON does not have"
        } else {
            ""
        };
        let place = record.map(|r| format!(" (record {r})")).unwrap_or_default();
        let message = format!("expected {expected} at byte {pos}{place}{found}{bom}");
        BodyError { kind, position_bytes: pos, record, message }
    }

    #[cold]
    pub(crate) fn too_deep(pos: usize, record: usize) -> Self {
        BodyError {
            kind: BodyErrorKind::TooDeep,
            position_bytes: pos,
            record: Some(record),
            message: format!(
                "record {record} nests deeper than {JSON_DEPTH_MAX} levels at byte {pos}; the limit is {JSON_DEPTH_MAX}"
            ),
        }
    }

    #[cold]
    pub(crate) fn record_too_large(pos: usize, record: usize, bytes: usize) -> Self {
        let limit = RECORD_BYTES_MAX;
        BodyError {
            kind: BodyErrorKind::RecordTooLarge { record, bytes, limit },
            position_bytes: pos,
            record: Some(record),
            message: format!("record {record} at byte {pos} has {bytes} bytes; the limit is {limit}"),
        }
    }
}

impl fmt::Display for BodyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for BodyError {}
