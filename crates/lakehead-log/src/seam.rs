//! The seam: what every log does, whatever keeps its records.

use std::ops::Range;

use lakehead_model::{Partition, Position};
use tokio::sync::{oneshot, watch};

use crate::error::{AppendError, Error};
use crate::frame::Frame;
use crate::log::{Append, LocalLog};
use crate::queue::Outcome;

/// Partitions of records, appended at the tail, read by position, trimmed at the front.
///
/// ```text
///   partition:   | trimmed | kept ………………………… |
///                          ^ oldest              ^ tail: synced, and the position the next record gets
/// ```
/// - An append is stored whole or not at all; its records get consecutive positions; `Ok` means that they are durable.
/// - Positions are dense from 0 and never given out twice, whatever is trimmed and however often the log is opened.
/// - Everything in `[oldest, tail)` is read back as it was appended, in order, or reported as lost.
/// - `trim` is a hint: what is committed may stay; what is not committed stays while the partition has readers.
///
/// [`crate::conformance`] checks an implementation.
pub trait Log: Send + Sync {
    /// Queues an append; the receiver gets its positions once they are durable. Dropping it may take the append back. Never
    /// blocks.
    ///
    /// # Errors
    /// Refusals that are known at once.
    fn submit(&self, append: Append) -> Result<oneshot::Receiver<Outcome>, AppendError>;
    fn tail(&self, partition: Partition) -> Position;
    fn oldest(&self, partition: Partition) -> Position;
    /// Follows the tail. `None` when there are too many partitions.
    fn watch_tail(&self, partition: Partition) -> Option<watch::Receiver<Position>>;
    /// Every partition that is not forgotten, with its oldest position and its tail.
    fn partitions(&self) -> Vec<(Partition, Range<Position>)>;
    /// Frames from the one that holds `from` on, until their bodies reach `max_bytes`, at least one; none at the tail. Blocks.
    ///
    /// # Errors
    /// [`crate::ErrorKind::Trimmed`] below the oldest position; `Io`.
    fn read(&self, partition: Partition, from: Position, max_bytes: usize) -> Result<Vec<Frame>, Error>;
    /// Every reader has committed everything before `to`.
    fn trim(&self, partition: Partition, to: Position);
    /// Whether the partition has readers. Until told, it has.
    fn set_readers(&self, partition: Partition, some: bool);
    /// The partition's records hold nothing back any more. An append brings it back to life, at its old tail while that is
    /// known.
    fn forget(&self, partition: Partition);
    /// Stores what was queued, and refuses everything from now on. Blocks.
    fn close(&self);
}

impl Log for LocalLog {
    fn submit(&self, append: Append) -> Result<oneshot::Receiver<Outcome>, AppendError> {
        LocalLog::submit(self, append)
    }

    fn tail(&self, partition: Partition) -> Position {
        LocalLog::tail(self, partition)
    }

    fn oldest(&self, partition: Partition) -> Position {
        LocalLog::oldest(self, partition)
    }

    fn watch_tail(&self, partition: Partition) -> Option<watch::Receiver<Position>> {
        LocalLog::watch_tail(self, partition)
    }

    fn partitions(&self) -> Vec<(Partition, Range<Position>)> {
        LocalLog::partitions(self)
    }

    fn read(&self, partition: Partition, from: Position, max_bytes: usize) -> Result<Vec<Frame>, Error> {
        LocalLog::read(self, partition, from, max_bytes)
    }

    fn trim(&self, partition: Partition, to: Position) {
        LocalLog::trim(self, partition, to);
    }

    fn set_readers(&self, partition: Partition, some: bool) {
        LocalLog::set_readers(self, partition, some);
    }

    fn forget(&self, partition: Partition) {
        LocalLog::forget(self, partition);
    }

    fn close(&self) {
        LocalLog::close(self);
    }
}
