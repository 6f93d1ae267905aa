//! What an audit has found so far.

use lakehead_model::Position;

use super::DifferenceKind;
use crate::control::Difference;

/// Differences, and things not looked at, that are told one by one; the rest is counted.
const TOLD_MAX: usize = 100;

#[derive(Debug, Default)]
pub(super) struct Findings {
    pub(super) differences: Vec<Difference>,
    pub(super) differences_count: u64,
    pub(super) unread: Vec<String>,
    pub(super) unread_count: u64,
}

impl Findings {
    pub(super) fn differ(
        &mut self,
        kind: DifferenceKind,
        statement: impl Into<Option<u32>>,
        at: impl Into<Option<Position>>,
        text: String,
    ) {
        self.differences_count += 1;
        if self.differences.len() < TOLD_MAX {
            let (statement, at) = (statement.into(), at.into());
            self.differences.push(Difference { kind, statement, at, text });
        }
    }

    /// Something could not be looked at.
    pub(super) fn unread(&mut self, text: String) {
        self.unread_count += 1;
        if self.unread.len() < TOLD_MAX && !self.unread.contains(&text) {
            self.unread.push(text);
        }
    }
}
