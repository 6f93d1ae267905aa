//! Why a record was set aside.

use std::fmt;

/// The four reasons, as they are counted and written to dead letters.
///
/// A value of a kind the column takes that cannot be read is a [`Reason::ParseFailure`] (`"12x"` for an integer, a
/// timestamp that is none); one that reads but that the column cannot hold (out of range, more decimals than the scale) is
/// a [`Reason::TypeMismatch`], like a value of the wrong kind. Nothing is clamped or wrapped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Reason {
    /// A required key is absent.
    MissingField,
    /// A required key is null.
    NullValue,
    /// The column cannot hold this kind of value, or this value.
    TypeMismatch,
    /// The right kind of value, but its text cannot be read; or the record is not JSON.
    ParseFailure,
}

impl Reason {
    /// The name in metrics and dead letters.
    pub fn as_str(self) -> &'static str {
        match self {
            Reason::MissingField => "missing_field",
            Reason::NullValue => "null_value",
            Reason::TypeMismatch => "type_mismatch",
            Reason::ParseFailure => "parse_failure",
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The verdict on a record that does not fit. Of several faults, the one whose field stands first in the schema.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reject {
    /// One of four.
    pub reason: Reason,
    /// `a.b`, `items[2].price`; empty for the record itself.
    pub path: String,
    /// The Arrow type expected and the kind of JSON received; of strings and numbers the length, never the value.
    pub detail: String,
}

impl Reject {
    pub(crate) fn new(reason: Reason, detail: String) -> Self {
        Reject { reason, path: String::new(), detail }
    }

    pub(crate) fn not_json(detail: &str) -> Self {
        Reject::new(Reason::ParseFailure, detail.to_owned())
    }

    /// The same verdict seen from one level further out: `name` in front of the path.
    pub(crate) fn within(&mut self, name: &str) {
        if self.path.is_empty() {
            name.clone_into(&mut self.path);
        } else if self.path.starts_with('[') {
            self.path.insert_str(0, name);
        } else {
            self.path = format!("{name}.{}", self.path);
        }
    }

    /// The same verdict seen from the list around it.
    pub(crate) fn within_list(&mut self, index: usize) {
        let separator = if self.path.is_empty() || self.path.starts_with('[') { "" } else { "." };
        self.path = format!("[{index}]{separator}{}", self.path);
    }
}

impl fmt::Display for Reject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.path.is_empty() {
            write!(f, "{}: {}", self.reason, self.detail)
        } else {
            write!(f, "{}: `{}` {}", self.reason, self.path, self.detail)
        }
    }
}

impl std::error::Error for Reject {}

/// What stops the reading of a value.
pub(crate) enum Fault {
    /// The input is not JSON here; nothing behind this place can be trusted.
    Syntax { pos: usize },
    /// The value does not fit its column. Where it ends is for the caller to find.
    Unfit(Reject),
}

/// The place behind a value, or why it was not read.
pub(crate) type Read = Result<usize, Box<Fault>>;

#[cold]
#[inline(never)]
pub(crate) fn syntax(pos: usize) -> Box<Fault> {
    Box::new(Fault::Syntax { pos })
}

#[cold]
#[inline(never)]
pub(crate) fn unfit(reject: Reject) -> Box<Fault> {
    Box::new(Fault::Unfit(reject))
}
