//! What the log knows of each partition while it runs.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};

use lakehead_model::{Partition, Position, Timestamp};
use parking_lot::RwLock;
use tokio::sync::watch;

use crate::header::Standing;

#[derive(Debug)]
pub(crate) struct PartitionState {
    pub(crate) partition: Partition,
    /// The position the next append gets. Only the writer changes it; ahead of `tail` by the group being written.
    next: AtomicU64,
    /// Everything before it is synced and can be read.
    tail: watch::Sender<Position>,
    oldest: AtomicU64,
    committed: AtomicU64,
    last_time: AtomicI64,
    has_readers: AtomicBool,
    forgotten: AtomicBool,
}

impl PartitionState {
    fn new(standing: Standing) -> Self {
        PartitionState {
            partition: standing.partition,
            next: AtomicU64::new(standing.tail.0),
            tail: watch::Sender::new(standing.tail),
            oldest: AtomicU64::new(standing.oldest.0),
            committed: AtomicU64::new(0),
            last_time: AtomicI64::new(standing.last_time.0),
            has_readers: AtomicBool::new(true),
            forgotten: AtomicBool::new(standing.forgotten),
        }
    }

    pub(crate) fn standing(&self) -> Standing {
        Standing {
            partition: self.partition,
            forgotten: self.forgotten(),
            tail: self.tail(),
            oldest: self.oldest(),
            last_time: Timestamp(self.last_time.load(Ordering::Relaxed)),
        }
    }

    pub(crate) fn tail(&self) -> Position {
        *self.tail.borrow()
    }

    pub(crate) fn watch(&self) -> watch::Receiver<Position> {
        self.tail.subscribe()
    }

    pub(crate) fn next(&self) -> Position {
        Position(self.next.load(Ordering::Relaxed))
    }

    /// Gives out the positions up to `end`. For the writer.
    pub(crate) fn assign(&self, end: Position) {
        self.next.store(end.0, Ordering::Relaxed);
    }

    /// The ingest time for records that arrive `now`: never before the partition's last one.
    pub(crate) fn ingest_time(&self, now: Timestamp) -> Timestamp {
        Timestamp(self.last_time.fetch_max(now.0, Ordering::Relaxed).max(now.0))
    }

    /// Shows everything before `tail` to readers and wakes those who wait for it.
    pub(crate) fn publish(&self, tail: Position) {
        self.tail.send_replace(tail);
    }

    pub(crate) fn oldest(&self) -> Position {
        Position(self.oldest.load(Ordering::Acquire))
    }

    pub(crate) fn raise_oldest(&self, to: Position) {
        self.oldest.fetch_max(to.0, Ordering::AcqRel);
    }

    pub(crate) fn committed(&self) -> Position {
        Position(self.committed.load(Ordering::Acquire))
    }

    pub(crate) fn commit(&self, to: Position) {
        self.committed.fetch_max(to.0, Ordering::AcqRel);
    }

    pub(crate) fn has_readers(&self) -> bool {
        self.has_readers.load(Ordering::Acquire)
    }

    pub(crate) fn set_readers(&self, some: bool) {
        self.has_readers.store(some, Ordering::Release);
    }

    pub(crate) fn forgotten(&self) -> bool {
        self.forgotten.load(Ordering::Acquire)
    }

    pub(crate) fn set_forgotten(&self, forgotten: bool) {
        self.forgotten.store(forgotten, Ordering::Release);
    }
}

/// All partitions that were ever appended to, waited for or spoken of. Bounded by what fits a segment's header.
#[derive(Debug)]
pub(crate) struct Partitions {
    map: RwLock<HashMap<Partition, Arc<PartitionState>>>,
    count_max: usize,
}

impl Partitions {
    pub(crate) fn new(standings: impl IntoIterator<Item = Standing>, count_max: usize) -> Self {
        let map = standings.into_iter().map(|s| (s.partition, Arc::new(PartitionState::new(s)))).collect();
        Partitions { map: RwLock::new(map), count_max }
    }

    pub(crate) fn get(&self, partition: Partition) -> Option<Arc<PartitionState>> {
        self.map.read().get(&partition).cloned()
    }

    /// The state of a partition, made if it is new; `None` when there are too many.
    pub(crate) fn get_or_add(&self, partition: Partition) -> Option<Arc<PartitionState>> {
        if let Some(state) = self.get(partition) {
            return Some(state);
        }
        let mut map = self.map.write();
        if map.len() >= self.count_max && !map.contains_key(&partition) {
            return None;
        }
        let state = map.entry(partition).or_insert_with(|| {
            Arc::new(PartitionState::new(Standing {
                partition,
                forgotten: false,
                tail: Position::ZERO,
                oldest: Position::ZERO,
                last_time: Timestamp(i64::MIN),
            }))
        });
        Some(state.clone())
    }

    pub(crate) fn all(&self) -> Vec<Arc<PartitionState>> {
        let mut all: Vec<_> = self.map.read().values().cloned().collect();
        all.sort_by_key(|s| s.partition);
        all
    }
}
