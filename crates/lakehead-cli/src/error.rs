//! What goes wrong, for a person to read.

use std::fmt;

/// Why a command failed. Never holds a secret, nor anything that would move a terminal's cursor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Error {
    text: String,
    place: Option<Place>,
}

/// A place in the SQL that was sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Place {
    /// From 1.
    pub(crate) line: usize,
    /// From 1, in characters.
    pub(crate) column: usize,
    /// Characters there that are meant; 0 if that is not known.
    pub(crate) length: usize,
}

impl Error {
    pub(crate) fn new(text: impl AsRef<str>) -> Self {
        Error { text: printable(text.as_ref()), place: None }
    }

    pub(crate) fn at(self, place: Option<Place>) -> Self {
        Error { place, ..self }
    }

    /// What the server blames in the SQL.
    pub(crate) fn place(&self) -> Option<&Place> {
        self.place.as_ref()
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl std::error::Error for Error {}

/// The text with every control character but the line end written out: a server, or whoever named a token, does not get to
/// write to a terminal.
pub(crate) fn printable(text: &str) -> String {
    let mut printable = String::with_capacity(text.len());
    for c in text.chars() {
        if c.is_control() && c != '\n' { printable.extend(c.escape_default()) } else { printable.push(c) }
    }
    printable
}
