//! The one thread that writes: takes what waits, writes it as a group, syncs once, answers everybody.
//!
//! ```text
//!   take all that waits ─► fits the segment? ─► positions, one time, frames ─► write ─► fdatasync ─► index ─► tail ─► answers
//!                              │ no
//!                              └─► next prepared segment: header ─► fdatasync        (none to be had: answer Full)
//! ```
//! A crash before the sync returns leaves any part of the group, and nobody was told that it is safe. A group is not begun
//! before the one before it is synced. After a failed write or sync nothing is written again.

use std::collections::{HashSet, VecDeque};
use std::io::{self, IoSlice};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use lakehead_disk::File;

use crate::error::AppendError;
use crate::group::{Group, Place, append_bytes_max};
use crate::header::SegmentHeader;
use crate::keeper::Spare;
use crate::queue::{Appended, Pending};
use crate::segment::Segment;
use crate::shared::Shared;

/// The write or sync that failed; nothing may be written after it.
struct Failure {
    path: PathBuf,
    operation: &'static str,
    error: io::Error,
}

struct Active {
    segment: Arc<Segment>,
    file: Arc<dyn File>,
    /// Where the next group goes.
    at: u32,
    end: u32,
}

impl Active {
    fn room(&self) -> u64 {
        u64::from(self.end - self.at)
    }
}

pub(crate) struct Writer {
    shared: Arc<Shared>,
    active: Option<Active>,
    /// The last segment and where its frames end; 0 before the first.
    previous: (u64, u32),
    backlog: VecDeque<Pending>,
    group: Group,
    /// Keys in the group being made.
    keys: HashSet<u128>,
}

impl Writer {
    pub(crate) fn new(shared: Arc<Shared>, previous: (u64, u32)) -> Self {
        Writer {
            shared,
            active: None,
            previous,
            backlog: VecDeque::new(),
            group: Group::default(),
            keys: HashSet::new(),
        }
    }

    /// Works until the queue is closed and empty, or a write or sync fails.
    pub(crate) fn run(mut self) {
        let mut crowd = 0;
        while self.shared.queue.take(&mut self.backlog, crowd) {
            let waited = self.backlog.len();
            let written = self.commit_group();
            crowd = waited - self.backlog.len();
            if let Err(Failure { path, operation, error }) = written {
                self.shared.fail(&path, operation, error);
                self.fail_all();
                return;
            }
        }
        if let Some(active) = self.active.take() {
            self.shared.keeper.seal(active.segment);
        }
    }

    fn fail_all(&mut self) {
        self.group.finish(|append, _, _| append.finish(Err(AppendError::Failed)));
        self.backlog.drain(..).for_each(|append| append.finish(Err(AppendError::Failed)));
    }

    /// Writes and answers one group from the front of the backlog, or refuses the append at its front.
    fn commit_group(&mut self) -> Result<(), Failure> {
        if self.shared.failed() {
            self.fail_all();
            return Ok(());
        }
        self.settle_front();
        let Some(front) = self.backlog.front() else { return Ok(()) };
        let needed = append_bytes_max(front.records.len(), front.body.len());
        if self.active.as_ref().is_none_or(|active| active.room() < needed) && !self.roll(needed)? {
            if let Some(append) = self.backlog.pop_front() {
                self.shared.queue.release(append.bytes());
                self.shared.counters.refused_full.fetch_add(1, Ordering::Relaxed);
                append.finish(Err(if self.shared.failed() {
                    AppendError::Failed
                } else {
                    AppendError::Full
                }));
            }
            return Ok(());
        }
        self.fill_group(needed);
        let Some(active) = &mut self.active else { return Ok(()) };
        if self.group.frames.is_empty() {
            return Ok(());
        }
        let place = Place { log_id: self.shared.log_id, segment: active.segment.id, offset: active.at };
        let end = self.group.encode(place, self.shared.seams.clock.now());
        let failure = |operation| {
            let path = active.segment.path.clone();
            move |error| Failure { path, operation, error }
        };
        self.group.write(&*active.file, active.at).map_err(failure("write"))?;
        let before = self.shared.seams.clock.monotonic();
        active.file.sync_data().map_err(failure("sync"))?;
        (self.shared.seams.on_sync)(self.shared.seams.clock.monotonic().saturating_sub(before));
        active.at = end;
        self.shared.active_room.store(active.room(), Ordering::Relaxed);
        active.segment.publish(self.group.frames.iter().filter_map(|f| f.header.as_ref()), end);
        self.remember_keys();
        if self.shared.recent.keeps_any() {
            let frames = self.group.recent();
            self.shared.recent.keep(frames.into_iter());
        }
        self.answer();
        Ok(())
    }

    /// Takes from the backlog what fits one write, at least an append of `needed` bytes.
    fn fill_group(&mut self, needed: u64) {
        let room = self.active.as_ref().map_or(0, Active::room);
        let limit = room.min((self.shared.settings.group_bytes_max as u64).max(needed));
        // Those whose key another append of the group has: what they are told depends on it.
        let mut later = Vec::new();
        while let Some(append) = self.backlog.pop_front() {
            let Some(append) = self.unless_settled(append) else { continue };
            if append.keyed.is_some_and(|keyed| self.keys.contains(&keyed.key)) {
                later.push(append);
                continue;
            }
            let key = append.keyed.map(|keyed| keyed.key);
            if let Some(append) = self.group.add(append, limit) {
                self.backlog.push_front(append);
                break;
            }
            self.keys.extend(key);
        }
        self.keys.clear();
        later.into_iter().rev().for_each(|append| self.backlog.push_front(append));
    }

    /// Drops what is settled from the front of the backlog, up to an append that has to be written.
    fn settle_front(&mut self) {
        while let Some(append) = self.backlog.pop_front() {
            if let Some(append) = self.unless_settled(append) {
                self.backlog.push_front(append);
                return;
            }
        }
    }

    /// The append, unless nobody waits for it any more or it is stored already, which is answered here.
    fn unless_settled(&self, append: Pending) -> Option<Pending> {
        let known = append.keyed.and_then(|keyed| self.shared.known(keyed, append.records.len()));
        if known.is_none() && !append.done.is_closed() {
            return Some(append);
        }
        self.shared.queue.release(append.bytes());
        if let Some(outcome) = known {
            append.finish(outcome);
        }
        None
    }

    /// The group is synced: an append that comes again from now on is known.
    fn remember_keys(&self) {
        if let (Some(active), false) = (&self.active, self.group.keys.is_empty()) {
            active.segment.note_keys(&self.group.keys);
            let mut keys = self.shared.keys.lock();
            self.group.keys.iter().for_each(|entry| keys.add(*entry));
        }
    }

    /// Shows the synced group to readers, then answers those who wait for it.
    fn answer(&mut self) {
        let counters = &self.shared.counters;
        let mut appends = 0;
        for frame in &self.group.frames {
            if let (Some(header), Some(append)) = (&frame.header, frame.appends.first()) {
                append.state.publish(header.end());
                appends += frame.appends.len() as u64;
                counters.appended_records.fetch_add(u64::from(header.count), Ordering::Relaxed);
                counters.appended_bytes.fetch_add(u64::from(header.body_bytes), Ordering::Relaxed);
            }
        }
        counters.appends.fetch_add(appends, Ordering::Relaxed);
        counters.syncs.fetch_add(1, Ordering::Relaxed);
        // First the room, then the answers: who is answered may append again at once.
        self.shared.queue.release(self.group.queue_bytes());
        self.group.finish(|append, header, before| {
            let first = header.first.plus(before);
            let end = first.plus(append.records.len() as u64);
            append.finish(Ok(Appended { positions: first..end, is_repeat: false }));
        });
    }

    /// Begins the next prepared segment; `false` if none can be had, or the append is too large for it.
    fn roll(&mut self, needed: u64) -> Result<bool, Failure> {
        let Some(spare) = self.shared.keeper.take_spare() else { return Ok(false) };
        let header = SegmentHeader {
            log_id: self.shared.log_id,
            id: spare.id,
            previous: self.previous.0,
            previous_end: self.active.as_ref().map_or(self.previous.1, |active| active.at),
            standings: self.shared.partitions.all().iter().map(|state| state.standing()).collect(),
        };
        let active = Self::begin(&spare, &header)?;
        self.group.begin_segment();
        let fits = active.room() >= needed;
        self.shared.segments.write().insert(spare.id, active.segment.clone());
        self.shared.keeper.settle(&spare);
        self.shared.active_room.store(active.room(), Ordering::Relaxed);
        self.previous = (spare.id, active.at);
        if let Some(full) = self.active.replace(active) {
            self.shared.keeper.seal(full.segment);
        }
        Ok(fits)
    }

    fn begin(spare: &Spare, header: &SegmentHeader) -> Result<Active, Failure> {
        let failure = |operation| {
            let path = spare.path.clone();
            move |error| Failure { path, operation, error }
        };
        let copy = header.encode();
        spare.file.write_at(&[IoSlice::new(&copy), IoSlice::new(&copy)], 0).map_err(failure("write"))?;
        spare.file.sync_data().map_err(failure("sync"))?;
        let data_start = 2 * copy.len() as u32;
        // Where this is not to be had, writing through the cache does the same.
        let _ = spare.file.write_past_cache();
        let segment = Arc::new(Segment::new(spare.id, spare.path.clone(), data_start, spare.size_bytes));
        Ok(Active { segment, file: spare.file.clone(), at: data_start, end: spare.size_bytes as u32 })
    }
}
