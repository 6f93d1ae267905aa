//! Opening: from whatever the directory holds to a log that goes on, or to a refusal that names file and remedy.
//!
//! 1. Lock the directory and sync its names; look at every file ([`crate::survey`]); the chain of segments must be whole.
//! 2. The newest segment may end in a torn group. It is synced, dropped from the cache and read back from the disk, so that
//!    nothing is shown to readers that a power cut could still take away.
//! 3. A segment with an index file is taken at its word; any other is read ([`crate::scan`]).
//! 4. Every segment is sealed from now on; the next append begins a new one. What a torn group left behind can so never come
//!    back.
//!
//! Opening writes nothing but the floor of a new log, and removes only what a crash left over (`*.tmp`, segments below the
//! floor): opening again finds the same.

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use lakehead_disk::{Disk, Lock};
use lakehead_model::{Partition, Position, Timestamp};

use crate::error::{Error, ErrorKind};
use crate::floor::Floor;
use crate::header::partitions_max;
use crate::index::{Lost, SegmentIndex};
use crate::keeper::{Keeper, Spare};
use crate::keys::{self, KeyEntry, Keys};
use crate::partition::Partitions;
use crate::scan::{Standings, Task, scan};
use crate::segment::{Segment, index_path, keys_path, read_aid};
use crate::settings::{Seams, Settings};
use crate::survey::{Head, LOCK_NAME, Survey, corrupt, survey};

/// How far the clock may be behind the last record before that is worth a note.
const CLOCK_BEHIND_MAX: Duration = Duration::from_secs(3600);

/// What opening found.
#[derive(Debug, Clone, Default)]
pub struct RecoveryReport {
    /// Segments with records.
    pub segments: u64,
    /// Of these, the ones without an index, which had to be read.
    pub segments_read: u64,
    pub frames_read: u64,
    /// Frames of a group that was cut off before its sync; nobody was told they were safe.
    pub torn_frames: u64,
    /// Records that were stored and can not be read any more.
    pub lost: Vec<Lost>,
    /// Where the files are damaged: byte ranges.
    pub damaged: Vec<(PathBuf, Range<u32>)>,
    /// Everything else worth a line in the log.
    pub notes: Vec<String>,
    pub duration: Duration,
}

impl RecoveryReport {
    /// Records that were stored and can not be read any more.
    pub fn lost_records(&self) -> u64 {
        let certain = self.lost.iter().filter(|lost| lost.certain);
        certain.map(|lost| lost.positions.end.since(lost.positions.start)).sum()
    }
}

pub(crate) struct Recovered {
    pub(crate) lock: Box<dyn Lock>,
    pub(crate) floor: Floor,
    pub(crate) segments: BTreeMap<u64, Arc<Segment>>,
    pub(crate) partitions: Partitions,
    pub(crate) keys: Keys,
    /// How many keys are in which file.
    pub(crate) key_files: BTreeMap<u64, usize>,
    pub(crate) keeper: Keeper,
    pub(crate) previous: (u64, u32),
    pub(crate) report: RecoveryReport,
}

pub(crate) fn recover(settings: &Settings, seams: &Seams) -> Result<Recovered, Error> {
    let began = seams.clock.monotonic();
    let lock = lock(settings, &*seams.disk)?;
    let Survey { floor, heads, unused, keys_ids, id_max, notes, .. } = survey(settings, seams)?;
    let mut report = RecoveryReport { segments: heads.len() as u64, notes, ..RecoveryReport::default() };
    let (mut keys, mut key_files) = old_keys(settings, seams, &floor, &heads, &keys_ids, &mut report)?;
    let mut segments = BTreeMap::new();
    let mut to_seal = VecDeque::new();
    let mut standings = Standings::default();
    let mut previous = (0, 0);
    for (i, head) in heads.iter().enumerate() {
        if let Some(header) = &head.header {
            enter(head, &Standings::of(&header.standings), i == 0, &mut standings, &mut report)?;
        }
        let loaded = load(settings, seams, &floor, head, heads.get(i + 1), &mut standings, &mut report)?;
        previous = (head.id, loaded.end);
        loaded.keys.iter().for_each(|entry| keys.add(*entry));
        if loaded.sealed && !loaded.keys.is_empty() {
            key_files.insert(head.id, loaded.keys.len());
        }
        let unsealed_keys = if loaded.sealed { Vec::new() } else { loaded.keys };
        let segment = Segment::new(head.id, head.path.clone(), head.data_start, head.size_bytes).filled(
            loaded.index,
            unsealed_keys,
            loaded.end,
            loaded.unused_behind,
        );
        let segment = Arc::new(segment);
        if !loaded.sealed {
            to_seal.push_back(segment.clone());
        }
        segments.insert(head.id, segment);
    }
    set_oldest(&segments, &mut standings);
    report.notes.extend(ahead_of_clock(&standings, seams.clock.now()));
    let (spares, next_id) = reuse(settings, seams, unused, id_max)?;
    let keeper = Keeper::new(spares, next_id, to_seal);
    let partitions = Partitions::new(standings.0.into_values(), partitions_max(settings.segment_bytes));
    report.duration = seams.clock.monotonic().saturating_sub(began);
    for note in &report.notes {
        tracing::warn!(note, "log_recovery_note");
    }
    Ok(Recovered { lock, floor, segments, partitions, keys, key_files, keeper, previous, report })
}

fn lock(settings: &Settings, disk: &dyn Disk) -> Result<Box<dyn Lock>, Error> {
    let dir = &settings.dir;
    disk.create_dir_all(dir).map_err(|e| Error::io(format!("making {}", dir.display()), e))?;
    if let Some(parent) = dir.parent().filter(|parent| !parent.as_os_str().is_empty()) {
        disk.sync_dir(parent).map_err(|e| Error::io(format!("syncing {}", parent.display()), e))?;
    }
    let path = dir.join(LOCK_NAME);
    let lock = disk.lock(&path).map_err(|error| match error.kind() {
        io::ErrorKind::WouldBlock => {
            Error::new(ErrorKind::Locked, format!("{}: another process has the log open", path.display()))
        }
        _ => Error::io(format!("locking {}", path.display()), error),
    })?;
    // A process that was killed leaves names that a power cut could still take back.
    disk.sync_dir(dir).map_err(|e| Error::io(format!("syncing {}", dir.display()), e))?;
    Ok(lock)
}

/// Compares what a segment's header says with what was found before it, and goes on from the header.
fn enter(
    head: &Head,
    header: &Standings,
    oldest: bool,
    standings: &mut Standings,
    report: &mut RecoveryReport,
) -> Result<(), Error> {
    for standing in header.0.values() {
        let found = standings.tail(standing.partition);
        if found > standing.tail {
            let what = format!(
                "stream {} stands at {} in its header and at {found} in the segments before it",
                standing.partition.stream, standing.tail
            );
            return Err(corrupt(&head.path, what, "put the right files back"));
        }
        if !oldest && found < standing.tail {
            let positions = found..standing.tail;
            report.lost.push(Lost { partition: standing.partition, positions, certain: true });
        }
        standings.0.insert(standing.partition, *standing);
    }
    Ok(())
}

struct Loaded {
    index: SegmentIndex,
    keys: Vec<KeyEntry>,
    end: u32,
    /// Whether a valid index file exists.
    sealed: bool,
    unused_behind: bool,
}

fn load(
    settings: &Settings,
    seams: &Seams,
    floor: &Floor,
    head: &Head,
    next: Option<&Head>,
    standings: &mut Standings,
    report: &mut RecoveryReport,
) -> Result<Loaded, Error> {
    let io = |error| Error::io(format!("reading {}", head.path.display()), error);
    let sealed = read_index(settings, &*seams.disk, floor.log_id, head.id).map_err(io)?;
    if let Some((index, end)) = &sealed
        && u64::from(*end) <= head.size_bytes
        && let Some(keys) = keys_of(settings, seams, floor, head.id, index).map_err(io)?
    {
        standings.add(index);
        report.lost.extend(index.lost.iter().cloned());
        return Ok(Loaded { index: index.clone(), keys, end: *end, sealed: true, unused_behind: false });
    }
    // Where it ended and where the partitions stood then, from the next segment or from an index of more than is there.
    let next_header = next.and_then(|next| next.header.as_ref());
    let (known_end, known_tails) = match (&sealed, next_header) {
        (_, Some(header)) => (Some(header.previous_end), Some(Standings::of(&header.standings))),
        (Some((index, end)), None) => {
            let mut tails = standings.clone();
            tails.add(index);
            (Some(*end), Some(tails))
        }
        (None, None) => (None, None),
    };
    if known_end.is_none() {
        head.file.sync_data().map_err(io)?;
        head.file.drop_cached();
    }
    let task = Task {
        file: head.file.clone(),
        log_id: floor.log_id,
        segment: head.id,
        data_start: head.data_start,
        known_end,
        known_tails: known_tails.as_ref(),
    };
    let scanned = scan(&task, standings).map_err(io)?;
    report.segments_read += 1;
    report.frames_read += scanned.frames;
    report.torn_frames += scanned.torn;
    report.lost.extend(scanned.index.lost.iter().cloned());
    report.damaged.extend(scanned.damaged.into_iter().map(|range| (head.path.clone(), range)));
    Ok(Loaded {
        index: scanned.index,
        keys: scanned.keys,
        end: scanned.end,
        sealed: false,
        unused_behind: scanned.zeros_behind,
    })
}

fn read_index(
    settings: &Settings,
    disk: &dyn Disk,
    log_id: u64,
    id: u64,
) -> io::Result<Option<(SegmentIndex, u32)>> {
    let bytes = read_aid(settings, disk, &index_path(&settings.dir, id))?;
    Ok(bytes.and_then(|bytes| SegmentIndex::decode(&bytes, log_id, id)))
}

/// The keys of a segment with an index; `None` if they cannot be had without reading the segment.
fn keys_of(
    settings: &Settings,
    seams: &Seams,
    floor: &Floor,
    id: u64,
    index: &SegmentIndex,
) -> io::Result<Option<Vec<KeyEntry>>> {
    if index.keys == 0 {
        return Ok(Some(Vec::new()));
    }
    let bytes = read_aid(settings, &*seams.disk, &keys_path(&settings.dir, id))?;
    let found = bytes.and_then(|bytes| keys::decode(&bytes, floor.log_id, id));
    Ok(found.filter(|found| found.len() == index.keys as usize))
}

/// The keys of segments that were trimmed, and how many are in which file. Files of segments that are missing otherwise go:
/// their records are lost, and an append that comes again is to be stored.
fn old_keys(
    settings: &Settings,
    seams: &Seams,
    floor: &Floor,
    heads: &[Head],
    ids: &[u64],
    report: &mut RecoveryReport,
) -> Result<(Keys, BTreeMap<u64, usize>), Error> {
    let (mut keys, mut files) = (Keys::new(settings.keys_max), BTreeMap::new());
    for &id in ids.iter().filter(|id| heads.iter().all(|head| head.id != **id)) {
        let path = keys_path(&settings.dir, id);
        let io = |error| Error::io(format!("reading {}", path.display()), error);
        let bytes = read_aid(settings, &*seams.disk, &path).map_err(io)?;
        match bytes.and_then(|bytes| keys::decode(&bytes, floor.log_id, id)).filter(|_| id < floor.oldest) {
            Some(entries) => {
                files.insert(id, entries.len());
                entries.into_iter().for_each(|entry| keys.add(entry));
            }
            None => {
                report.notes.push(format!("{}: its keys are forgotten", path.display()));
                let removed = seams.disk.remove(&path);
                removed.map_err(|e| Error::io(format!("removing {}", path.display()), e))?;
            }
        }
    }
    Ok((keys, files))
}

/// Says so if records came at times that the clock has not reached: times never go back, so later records get the same.
fn ahead_of_clock(standings: &Standings, now: Timestamp) -> Option<String> {
    let last = standings.0.values().map(|standing| standing.last_time).max()?;
    let ahead = last.saturating_duration_since(now);
    (ahead > CLOCK_BEHIND_MAX).then(|| {
        format!(
            "the last record came at {}, and the clock says {}: records get that time until the clock has passed it",
            last.to_rfc3339(),
            now.to_rfc3339()
        )
    })
}

/// The oldest position kept of each partition: its first record in any segment, or the tail.
fn set_oldest(segments: &BTreeMap<u64, Arc<Segment>>, standings: &mut Standings) {
    let mut firsts: BTreeMap<Partition, Position> = BTreeMap::new();
    for segment in segments.values() {
        let index = segment.index();
        for (partition, extent) in &index.extents {
            firsts.entry(*partition).or_insert(extent.first);
        }
        for lost in &index.lost {
            let first = firsts.entry(lost.partition).or_insert(lost.positions.start);
            *first = (*first).min(lost.positions.start);
        }
    }
    for standing in standings.0.values_mut() {
        let first = firsts.get(&standing.partition).copied().unwrap_or(standing.tail);
        standing.oldest = standing.oldest.max(first);
    }
}

/// Files that were prepared and never used are the first spares, if they have the right size.
fn reuse(
    settings: &Settings,
    seams: &Seams,
    unused: VecDeque<Head>,
    id_max: u64,
) -> Result<(VecDeque<Spare>, u64), Error> {
    let mut spares = VecDeque::new();
    for head in unused {
        if head.size_bytes == settings.segment_bytes {
            let Head { id, path, file, size_bytes, .. } = head;
            spares.push_back(Spare { id, path, file, size_bytes });
        } else {
            seams
                .disk
                .remove(&head.path)
                .map_err(|e| Error::io(format!("removing {}", head.path.display()), e))?;
        }
    }
    Ok((spares, id_max + 1))
}
