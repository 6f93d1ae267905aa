//! What the handle, the writer, the keeper and the readers of one log share.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use parking_lot::{Mutex, RwLock};

use crate::error::{AppendError, Fatal};
use crate::index::Lost;
use crate::keeper::Keeper;
use crate::keys::{Keys, Known};
use crate::partition::Partitions;
use crate::queue::{Appended, Keyed, Outcome, Queue};
use crate::recent::Recent;
use crate::segment::Segment;
use crate::settings::{Seams, Settings};

#[derive(Debug, Default)]
pub(crate) struct Counters {
    pub(crate) corrupt_records: AtomicU64,
    pub(crate) corrupt_ranges: AtomicU64,
    pub(crate) appends: AtomicU64,
    pub(crate) appended_records: AtomicU64,
    pub(crate) appended_bytes: AtomicU64,
    pub(crate) syncs: AtomicU64,
    pub(crate) refused_full: AtomicU64,
    pub(crate) refused_backlogged: AtomicU64,
}

#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) settings: Settings,
    pub(crate) seams: Seams,
    pub(crate) log_id: u64,
    pub(crate) queue: Queue,
    pub(crate) partitions: Partitions,
    pub(crate) recent: Recent,
    /// Every segment that holds or may get frames, by id; the last one is written to, unless it was found at the start.
    pub(crate) segments: RwLock<BTreeMap<u64, Arc<Segment>>>,
    /// The writer adds keys once their appends are synced.
    pub(crate) keys: Mutex<Keys>,
    pub(crate) keeper: Keeper,
    pub(crate) counters: Counters,
    /// Bytes that still fit the segment being written; 0 when there is none.
    pub(crate) active_room: AtomicU64,
    pub(crate) partitions_max: usize,
    failed: AtomicBool,
}

impl Shared {
    pub(crate) fn new(
        settings: Settings,
        seams: Seams,
        log_id: u64,
        partitions: Partitions,
        segments: BTreeMap<u64, Arc<Segment>>,
        keys: Keys,
        keeper: Keeper,
    ) -> Self {
        let partitions_max = crate::header::partitions_max(settings.segment_bytes);
        let queue = Queue::new(settings.queue_bytes_max);
        let recent = Recent::new(settings.recent_bytes_max);
        Shared {
            settings,
            seams,
            log_id,
            queue,
            partitions,
            recent,
            segments: RwLock::new(segments),
            keys: Mutex::new(keys),
            keeper,
            counters: Counters::default(),
            active_room: AtomicU64::new(0),
            partitions_max,
            failed: AtomicBool::new(false),
        }
    }

    /// What to answer an append of `count` records if its key is known.
    pub(crate) fn known(&self, keyed: Keyed, count: usize) -> Option<Outcome> {
        match self.keys.lock().look_up(keyed.key, count, keyed.body_crc) {
            Known::Nothing => None,
            Known::Stored(positions) => Some(Ok(Appended { positions, is_repeat: true })),
            Known::Other => Some(Err(AppendError::KeyTaken)),
        }
    }

    pub(crate) fn failed(&self) -> bool {
        self.failed.load(Ordering::Acquire)
    }

    /// Stops the log for good: nothing is acknowledged, written or synced after this. Tells the server, once.
    pub(crate) fn fail(&self, path: &Path, operation: &'static str, error: io::Error) {
        let first = !self.failed.swap(true, Ordering::AcqRel);
        self.queue.fail();
        self.keeper.stop();
        if first {
            let fatal = Fatal { path: path.to_owned(), operation, error };
            tracing::error!(path = %fatal.path.display(), operation, error = %fatal.error, "fsync_failed");
            (self.seams.on_fatal)(&fatal);
        }
    }

    /// Notes, once, that positions can not be read any more.
    pub(crate) fn note_lost(&self, segment: &Segment, lost: Lost) {
        // Recovery may have noted it with the segment it was in; readers note it where they meet the gap.
        let news = self.segments.read().values().fold(vec![lost], |news, s| s.index().not_lost_yet(news));
        for lost in news {
            segment.lose(lost.clone());
            self.count_lost(&lost);
            tracing::error!(
                segment = %segment.path.display(), stream = %lost.partition.stream,
                first = lost.positions.start.0, end = lost.positions.end.0, "log_corrupt_records"
            );
        }
    }

    pub(crate) fn count_lost(&self, lost: &Lost) {
        self.counters.corrupt_ranges.fetch_add(1, Ordering::Relaxed);
        if lost.certain {
            let records = lost.positions.end.since(lost.positions.start);
            self.counters.corrupt_records.fetch_add(records, Ordering::Relaxed);
        }
    }
}
