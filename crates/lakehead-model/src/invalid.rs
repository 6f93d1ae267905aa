//! A refusal of user input.

use std::fmt;

/// Why a value given by a user cannot work. `field` is the path in the request body (`config.rolling_policy.interval_seconds`);
/// `reason` names the kind of value received and what would be right. Never holds a secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Invalid {
    pub field: String,
    pub reason: String,
}

impl Invalid {
    pub fn new(field: impl Into<String>, reason: impl Into<String>) -> Self {
        Invalid { field: field.into(), reason: reason.into() }
    }

    /// The same refusal one level further out: `items` inside `schema.fields[2]` becomes `schema.fields[2].items`.
    pub fn within(mut self, parent: &str) -> Self {
        self.field = match (parent.is_empty(), self.field.is_empty()) {
            (true, _) => self.field,
            (_, true) => parent.to_owned(),
            _ if self.field.starts_with('[') => format!("{parent}{}", self.field),
            _ => format!("{parent}.{}", self.field),
        };
        self
    }
}

impl fmt::Display for Invalid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.field.is_empty() {
            f.write_str(&self.reason)
        } else {
            write!(f, "{}: {}", self.field, self.reason)
        }
    }
}

impl std::error::Error for Invalid {}
