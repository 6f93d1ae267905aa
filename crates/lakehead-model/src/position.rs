//! Places in the log.
//!
//! ```text
//!   partition:  | trimmed …… | 17 | 18 | 19 | 20 |  ← records, dense
//!                            ^trim point         ^tail: the first unwritten position
//! ```

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::StreamId;

/// One ordered sequence of records: a stream's partition. The embedded log has one partition a stream, index 0.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub struct Partition {
    pub stream: StreamId,
    pub index: u32,
}

impl Partition {
    pub fn first(stream: StreamId) -> Self {
        Partition { stream, index: 0 }
    }
}

/// The place of a record in its partition: dense, from 0. Ranges are half-open.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Position(pub u64);

impl Position {
    pub const ZERO: Position = Position(0);

    pub fn plus(self, records: u64) -> Position {
        Position(self.0 + records)
    }

    /// Records from `earlier` up to here; 0 if `earlier` lies behind.
    pub fn since(self, earlier: Position) -> u64 {
        self.0.saturating_sub(earlier.0)
    }
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl fmt::Debug for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}
