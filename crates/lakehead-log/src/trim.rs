//! Which segments may go. Always from the oldest on, so that what is kept has no holes.
//!
//! A segment may go when it is sealed and for every partition in it one of these holds:
//! - the partition was forgotten;
//! - all its pipelines have committed past it, and it is older than the retention, or the log is above its high-water mark or
//!   finds no room on the disk for its next segment;
//! - it has no pipelines, and the segment is older than the retention.
//!
//! The newest segment never goes: its header holds the tails. One partition whose pipelines stand still holds everything
//! behind it, up to the quota.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use lakehead_model::Timestamp;

use crate::segment::Segment;
use crate::shared::Shared;

impl Shared {
    /// Disk space in use, prepared segments included.
    pub(crate) fn size_bytes(&self) -> u64 {
        let segments = self.segments.read();
        let used: u64 = segments.values().map(|s| s.size_bytes.load(Ordering::Relaxed)).sum();
        used + self.keeper.spare_bytes()
    }
}

/// The segments to remove now, oldest first; at most as many as are needed to get below the high-water mark, unless they
/// are old enough to go anyway. Where the disk has no room, as many as the next segments need.
pub(crate) fn due(shared: &Shared, now: Timestamp) -> Vec<Arc<Segment>> {
    let settings = &shared.settings;
    let high_water_bytes = (settings.quota_bytes as f64 * settings.high_water) as u64;
    let mut used = shared.size_bytes();
    let segments = shared.segments.read();
    let newest = segments.keys().next_back().copied();
    let mut lacking =
        if shared.keeper.blocked() { shared.keeper.lacking(settings.spare_segments) } else { 0 };
    let mut due = Vec::new();
    for (id, segment) in segments.iter() {
        let pressed = used + settings.segment_bytes > high_water_bytes || lacking > 0;
        if Some(*id) == newest || !may_go(shared, segment, now, pressed) {
            break;
        }
        used -= segment.size_bytes.load(Ordering::Relaxed);
        lacking = lacking.saturating_sub(1);
        due.push(segment.clone());
    }
    due
}

fn may_go(shared: &Shared, segment: &Segment, now: Timestamp, pressed: bool) -> bool {
    let index = segment.index();
    let age = index.last_time().map(|last| now.saturating_duration_since(last));
    let old = age.is_none_or(|age| age >= shared.settings.retention);
    index.extents.iter().all(|(partition, extent)| match shared.partitions.get(*partition) {
        None => true,
        Some(state) if state.forgotten() => true,
        Some(state) if state.has_readers() => state.committed() >= extent.end && (old || pressed),
        Some(_) => old,
    })
}
