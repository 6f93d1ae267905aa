//! The thread behind the writer: prepares segments ahead, seals full ones, trims what nobody needs.
//!
//! ```text
//!   prepare   prepare.tmp ─► zeros, synced ─► rename to <id>.seg ─► sync_dir ─► spare        (or rename a trimmed one)
//!   seal      <id>.keys, if there are any, then <id>.idx, each: tmp ─► sync ─► rename ─► sync_dir;
//!             give back an unused end of the segment
//!   trim      floor: oldest = id + 1, synced ─► remove <id>.seg, <id>.idx; <id>.keys when enough younger keys came,
//!             or with a neighbour's when there are many such files
//! ```
//! A crash in between leaves: a `.tmp`, removed at the next start; a spare that was never used, used then; a segment without
//! index, read then; segments below the floor, removed then.
//!
//! No room for another segment (quota, or the file system is full) is a state, not an error: what is prepared gets used up,
//! then appends are refused; preparing is tried again every second and after every trim.

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use lakehead_disk::File;
use lakehead_model::Timestamp;
use parking_lot::{Condvar, Mutex, MutexGuard};

use crate::floor::Floor;
use crate::header::PAGE;
use crate::keys;
use crate::segment::{Segment, index_path, keys_path, read_aid, segment_path};
use crate::shared::Shared;
use crate::trim;

/// A segment that leaves at least this part of itself unused gives it back; one that leaves less stays fit for use again.
const GIVE_BACK: u64 = 8;
/// Files with keys of segments that are no more.
const OLD_KEY_FILES_MAX: usize = 64;
const RETRY: Duration = Duration::from_secs(1);
pub(crate) const PREPARE_NAME: &str = "prepare.tmp";

/// A segment file that is named, durable, and holds no frames.
#[derive(Debug, Clone)]
pub(crate) struct Spare {
    pub(crate) id: u64,
    pub(crate) path: PathBuf,
    pub(crate) file: Arc<dyn File>,
    pub(crate) size_bytes: u64,
}

#[derive(Debug)]
struct State {
    spares: VecDeque<Spare>,
    /// Bytes of spares that the writer took and that are not among the segments yet.
    taken_bytes: u64,
    next_id: u64,
    /// Why no further segment can be prepared at the moment.
    blocked: Option<String>,
    to_seal: VecDeque<Arc<Segment>>,
    /// Ends the thread when all is sealed.
    finish: bool,
    /// Ends the thread at once.
    stopped: bool,
    kicked: bool,
    /// Counts finished rounds, for those who wait for one.
    rounds: u64,
}

/// The part of the keeper that others talk to.
#[derive(Debug)]
pub(crate) struct Keeper {
    state: Mutex<State>,
    /// Something for the keeper to do.
    work: Condvar,
    /// Something the keeper did.
    done: Condvar,
}

impl Keeper {
    pub(crate) fn new(spares: VecDeque<Spare>, next_id: u64, to_seal: VecDeque<Arc<Segment>>) -> Self {
        let state = State {
            spares,
            taken_bytes: 0,
            next_id,
            blocked: None,
            to_seal,
            finish: false,
            stopped: false,
            kicked: false,
            rounds: 0,
        };
        Keeper { state: Mutex::new(state), work: Condvar::new(), done: Condvar::new() }
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        let mut state = self.state.lock();
        change(&mut state);
        state.kicked = true;
        drop(state);
        self.work.notify_all();
        self.done.notify_all();
    }

    pub(crate) fn seal(&self, segment: Arc<Segment>) {
        self.change(|state| state.to_seal.push_back(segment));
    }

    /// Looks for something to trim or prepare soon.
    pub(crate) fn kick(&self) {
        self.change(|_| {});
    }

    /// Ends the thread once everything waiting is sealed.
    pub(crate) fn finish(&self) {
        self.change(|state| state.finish = true);
    }

    /// Ends the thread without touching the disk again.
    pub(crate) fn stop(&self) {
        self.change(|state| state.stopped = true);
    }

    /// The next prepared segment; waits while one is being prepared. `None` when there is no room for one.
    pub(crate) fn take_spare(&self) -> Option<Spare> {
        let mut state = self.state.lock();
        loop {
            if state.stopped {
                return None;
            }
            if let Some(spare) = state.spares.pop_front() {
                state.taken_bytes += spare.size_bytes;
                state.kicked = true;
                self.work.notify_all();
                return Some(spare);
            }
            if state.blocked.is_some() {
                return None;
            }
            self.done.wait(&mut state);
        }
    }

    /// The spare that was taken is among the segments now.
    pub(crate) fn settle(&self, spare: &Spare) {
        self.state.lock().taken_bytes -= spare.size_bytes;
    }

    /// Whether there is neither a prepared segment nor room for one.
    pub(crate) fn blocked(&self) -> bool {
        let state = self.state.lock();
        state.blocked.is_some() && state.spares.is_empty()
    }

    pub(crate) fn spare_bytes(&self) -> u64 {
        let state = self.state.lock();
        state.spares.iter().map(|s| s.size_bytes).sum::<u64>() + state.taken_bytes
    }

    pub(crate) fn spares(&self) -> usize {
        self.state.lock().spares.len()
    }

    /// Spares that are missing to `wanted`.
    pub(crate) fn lacking(&self, wanted: usize) -> usize {
        wanted.saturating_sub(self.state.lock().spares.len())
    }

    /// Waits until the keeper has gone once through all its work from now on.
    pub(crate) fn wait_for_round(&self) {
        let mut state = self.state.lock();
        let wanted = state.rounds + 2;
        while state.rounds < wanted && !state.stopped && !state.finish {
            state.kicked = true;
            self.work.notify_all();
            self.done.wait(&mut state);
        }
    }
}

/// What the keeper's thread owns.
pub(crate) struct KeeperThread {
    pub(crate) shared: Arc<Shared>,
    pub(crate) floor: Floor,
    /// How many keys are in the file of which segment.
    pub(crate) key_files: BTreeMap<u64, usize>,
    /// Wall time when the log was opened, and the monotonic clock then: ages are measured from here, so that a jump of
    /// the wall clock trims nothing.
    pub(crate) opened_at: Timestamp,
    pub(crate) opened: Duration,
}

impl KeeperThread {
    pub(crate) fn run(mut self) {
        loop {
            let mut state = self.shared.keeper.state.lock();
            if state.stopped {
                return;
            }
            state.kicked = false;
            let next = state.to_seal.pop_front();
            let finish = state.finish;
            drop(state);
            let done = match next {
                Some(segment) => self.seal(&segment),
                None if finish => return,
                None => self.trim_and_prepare(),
            };
            if let Err((path, operation, error)) = done {
                self.shared.fail(&path, operation, error);
                return;
            }
            let mut state = self.shared.keeper.state.lock();
            if state.to_seal.is_empty() {
                state.rounds += 1;
                self.shared.keeper.done.notify_all();
                if !state.kicked && !state.finish && !state.stopped {
                    self.shared.keeper.work.wait_for(&mut state, RETRY);
                }
            }
        }
    }

    pub(crate) fn now(&self) -> Timestamp {
        let elapsed = self.shared.seams.clock.monotonic().saturating_sub(self.opened);
        Timestamp(self.opened_at.0.saturating_add(i64::try_from(elapsed.as_micros()).unwrap_or(i64::MAX)))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.shared.keeper.state.lock()
    }

    fn trim_and_prepare(&mut self) -> Result<(), Failed> {
        loop {
            for segment in trim::due(&self.shared, self.now()) {
                self.trim(segment)?;
            }
            let mut state = self.shared.keeper.state.lock();
            if state.spares.len() >= self.shared.settings.spare_segments {
                state.blocked = None;
                return Ok(());
            }
            drop(state);
            let blocked = self.prepare()?;
            let mut state = self.shared.keeper.state.lock();
            if state.blocked.is_none()
                && let Some(reason) = &blocked
            {
                tracing::warn!(reason, "log_full");
            }
            let stop = blocked.is_some() || state.stopped || state.finish;
            state.blocked = blocked;
            drop(state);
            self.shared.keeper.done.notify_all();
            if stop {
                return Ok(());
            }
        }
    }

    /// Prepares a segment; the reason if there is no room for one.
    fn prepare(&self) -> Result<Option<String>, Failed> {
        let (settings, disk) = (&self.shared.settings, &self.shared.seams.disk);
        let wanted = settings.segment_bytes;
        let used = self.shared.size_bytes();
        if used + wanted > settings.quota_bytes {
            return Ok(Some(format!("{used} bytes are used; the quota is {}", settings.quota_bytes)));
        }
        match disk.free_bytes(&settings.dir) {
            Ok(free) if free < wanted + settings.free_bytes_min => {
                let keep = settings.free_bytes_min;
                return Ok(Some(format!(
                    "{free} bytes are free on the disk; {wanted} and {keep} in reserve are needed"
                )));
            }
            Ok(_) => {}
            Err(error) => return Ok(Some(format!("free space of {}: {error}", settings.dir.display()))),
        }
        let id = self.state().next_id;
        let (temporary, path) = (settings.dir.join(PREPARE_NAME), segment_path(&settings.dir, id));
        let file = match disk.create(&temporary).and_then(|file| file.fill_with_zeros(wanted).map(|()| file))
        {
            Ok(file) => file,
            Err(error) => {
                let _ = disk.remove(&temporary);
                return if is_fatal(&error) {
                    Err((temporary, "prepare", error))
                } else {
                    Ok(Some(format!("preparing {}: {error}", temporary.display())))
                };
            }
        };
        if let Err(error) = disk.rename(&temporary, &path) {
            let _ = disk.remove(&temporary);
            return Ok(Some(format!("naming {}: {error}", path.display())));
        }
        self.state().next_id = id + 1;
        disk.sync_dir(&settings.dir).map_err(|error| (settings.dir.clone(), "sync_dir", error))?;
        self.state().spares.push_back(Spare { id, path, file, size_bytes: wanted });
        Ok(None)
    }

    /// Writes the index file of a segment that is not written to any more, and gives back what it does not use.
    fn seal(&mut self, segment: &Segment) -> Result<(), Failed> {
        self.write_aids(segment)?;
        let used = u64::from(segment.end()).next_multiple_of(PAGE);
        let size = segment.size_bytes.load(Ordering::Relaxed);
        if segment.unused_behind()
            && size.saturating_sub(used) >= self.shared.settings.segment_bytes / GIVE_BACK
        {
            match segment.open(&*self.shared.seams.disk).and_then(|file| file.truncate(used)) {
                Ok(()) => segment.size_bytes.store(used, Ordering::Relaxed),
                Err(error) => tracing::warn!(path = %segment.path.display(), %error, "log_segment_not_cut"),
            }
        }
        Ok(())
    }

    /// Writes what makes it unnecessary to read the segment at the next start: the keys before the index, which counts them.
    fn write_aids(&mut self, segment: &Segment) -> Result<(), Failed> {
        if !self.write_keys(segment)? {
            return Ok(());
        }
        let bytes = segment.index().encode(self.shared.log_id, segment.id, segment.end());
        self.write_aid(&index_path(&self.shared.settings.dir, segment.id), &bytes).map(|_| ())
    }

    /// `false` if they could not be written; they are kept then, for the moment at which the segment is trimmed.
    fn write_keys(&mut self, segment: &Segment) -> Result<bool, Failed> {
        let entries = segment.take_keys();
        if entries.is_empty() {
            return Ok(true);
        }
        let bytes = keys::encode(&entries, self.shared.log_id, segment.id);
        if !self.write_aid(&keys_path(&self.shared.settings.dir, segment.id), &bytes)? {
            segment.note_keys(&entries);
            return Ok(false);
        }
        self.key_files.insert(segment.id, entries.len());
        Ok(true)
    }

    /// `false` if it could not be written. Without the file the next start reads the segment instead: worth a warning, not a
    /// stop.
    fn write_aid(&self, path: &Path, bytes: &[u8]) -> Result<bool, Failed> {
        let (settings, disk) = (&self.shared.settings, &self.shared.seams.disk);
        let mut temporary = path.as_os_str().to_owned();
        temporary.push(".tmp");
        let temporary = PathBuf::from(temporary);
        let not_written = |error: io::Error| {
            let _ = disk.remove(&temporary);
            tracing::warn!(path = %path.display(), %error, "log_index_not_written");
            Ok(false)
        };
        let _ = disk.remove(&temporary);
        let written = disk.create(&temporary).and_then(|file| {
            file.write_at(&[io::IoSlice::new(bytes)], 0)?;
            Ok(file)
        });
        let file = match written {
            Ok(file) => file,
            Err(error) => return not_written(error),
        };
        match file.sync_data() {
            Err(error) if is_fatal(&error) => return Err((temporary, "sync", error)),
            Err(error) => return not_written(error),
            Ok(()) => {}
        }
        if let Err(error) = disk.rename(&temporary, path) {
            return not_written(error);
        }
        disk.sync_dir(&settings.dir).map_err(|error| (settings.dir.clone(), "sync_dir", error))?;
        Ok(true)
    }

    /// Removes the files of trimmed segments whose keys have been displaced by younger ones, and keeps the others few.
    fn tidy_old_keys(&mut self) -> Result<(), Failed> {
        let (settings, disk) = (&self.shared.settings, &self.shared.seams.disk);
        let segments = self.shared.segments.read();
        let mut younger = 0;
        let mut surplus = Vec::new();
        for (id, count) in self.key_files.iter().rev() {
            if younger >= settings.keys_max && !segments.contains_key(id) {
                surplus.push(*id);
            }
            younger += count;
        }
        drop(segments);
        for id in surplus {
            self.key_files.remove(&id);
            let _ = disk.remove(&keys_path(&settings.dir, id));
        }
        self.merge_old_keys()
    }

    /// Where there are too many files of trimmed segments, the two neighbours with the fewest keys become one. A crash before the
    /// older is removed leaves its keys twice, which changes nothing.
    fn merge_old_keys(&mut self) -> Result<(), Failed> {
        let segments = self.shared.segments.read();
        let old: Vec<_> = self
            .key_files
            .iter()
            .map(|(id, n)| (*id, *n))
            .filter(|(id, _)| !segments.contains_key(id))
            .collect();
        drop(segments);
        if old.len() <= OLD_KEY_FILES_MAX {
            return Ok(());
        }
        let Some(&[(older, _), (newer, _)]) =
            old.array_windows::<2>().min_by_key(|[(_, older), (_, newer)]| older + newer)
        else {
            return Ok(());
        };
        let (settings, disk, log_id) = (&self.shared.settings, &self.shared.seams.disk, self.shared.log_id);
        let read = |id| {
            let bytes = read_aid(settings, &**disk, &keys_path(&settings.dir, id)).ok().flatten();
            bytes.and_then(|bytes| keys::decode(&bytes, log_id, id))
        };
        let (Some(mut both), Some(newer_keys)) = (read(older), read(newer)) else { return Ok(()) };
        both.extend(newer_keys);
        let (from, to) = (keys_path(&settings.dir, older), keys_path(&settings.dir, newer));
        if self.write_aid(&to, &keys::encode(&both, log_id, newer))? {
            let _ = self.shared.seams.disk.remove(&from);
            self.key_files.remove(&older);
            self.key_files.insert(newer, both.len());
        }
        Ok(())
    }

    /// Removes the oldest segment, or makes it the next spare.
    fn trim(&mut self, segment: Arc<Segment>) -> Result<(), Failed> {
        // Where the disk has no room even for these, making room goes first.
        self.write_keys(&segment)?;
        let (settings, disk) = (&self.shared.settings, &self.shared.seams.disk);
        self.floor.raise(segment.id + 1).map_err(|error| (settings.dir.clone(), "sync", error))?;
        self.shared.segments.write().remove(&segment.id);
        for (partition, extent) in &segment.index().extents {
            if let Some(state) = self.shared.partitions.get(*partition) {
                state.raise_oldest(extent.end);
            }
        }
        let _ = disk.remove(&index_path(&settings.dir, segment.id));
        self.tidy_old_keys()?;
        let (settings, disk) = (&self.shared.settings, &self.shared.seams.disk);
        let recycle = Arc::strong_count(&segment) == 1
            && segment.size_bytes.load(Ordering::Relaxed) == settings.segment_bytes
            && self.state().spares.len() < settings.spare_segments;
        if recycle {
            let id = self.state().next_id;
            let path = segment_path(&settings.dir, id);
            if let Ok(file) = disk.open(&segment.path)
                && disk.rename(&segment.path, &path).is_ok()
            {
                self.state().next_id = id + 1;
                disk.sync_dir(&settings.dir).map_err(|error| (settings.dir.clone(), "sync_dir", error))?;
                let spare = Spare { id, path, file, size_bytes: settings.segment_bytes };
                self.state().spares.push_back(spare);
                self.shared.keeper.done.notify_all();
                return Ok(());
            }
        }
        if let Err(error) = disk.remove(&segment.path) {
            tracing::warn!(path = %segment.path.display(), %error, "log_segment_not_removed");
        }
        Ok(())
    }
}

type Failed = (PathBuf, &'static str, io::Error);

/// Whether an error says that the disk is broken, and not that it is full or a name is taken.
fn is_fatal(error: &io::Error) -> bool {
    !matches!(
        error.kind(),
        io::ErrorKind::StorageFull
            | io::ErrorKind::QuotaExceeded
            | io::ErrorKind::AlreadyExists
            | io::ErrorKind::PermissionDenied
            | io::ErrorKind::FileTooLarge
    )
}
