//! Figures for `/metrics`.

use std::sync::atomic::Ordering;

use crate::shared::Shared;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stats {
    /// Disk space in use, prepared segments included.
    pub size_bytes: u64,
    pub quota_bytes: u64,
    /// Free space on the log's file system; 0 if it can not be had.
    pub free_bytes: u64,
    /// Segments with records.
    pub segments: u64,
    /// Segments prepared for writing.
    pub spares: u64,
    /// Bytes of appends in memory.
    pub queue_bytes: u64,
    /// Whether appends that do not fit the current segment are refused.
    pub full: bool,
    pub failed: bool,
    /// Records that were acknowledged and can not be read, as far as known.
    pub corrupt_records: u64,
    /// Places where that is so.
    pub corrupt_ranges: u64,
    pub appends: u64,
    pub appended_records: u64,
    /// Bytes of bodies.
    pub appended_bytes: u64,
    /// Syncs of groups.
    pub syncs: u64,
    pub refused_full: u64,
    pub refused_backlogged: u64,
}

impl Stats {
    pub(crate) fn of(shared: &Shared) -> Stats {
        let counters = &shared.counters;
        let get = |n: &std::sync::atomic::AtomicU64| n.load(Ordering::Relaxed);
        Stats {
            size_bytes: shared.size_bytes(),
            quota_bytes: shared.settings.quota_bytes,
            free_bytes: shared.seams.disk.free_bytes(&shared.settings.dir).unwrap_or(0),
            segments: shared.segments.read().len() as u64,
            spares: shared.keeper.spares() as u64,
            queue_bytes: shared.queue.bytes() as u64,
            full: shared.keeper.blocked(),
            failed: shared.failed(),
            corrupt_records: get(&counters.corrupt_records),
            corrupt_ranges: get(&counters.corrupt_ranges),
            appends: get(&counters.appends),
            appended_records: get(&counters.appended_records),
            appended_bytes: get(&counters.appended_bytes),
            syncs: get(&counters.syncs),
            refused_full: get(&counters.refused_full),
            refused_backlogged: get(&counters.refused_backlogged),
        }
    }
}
