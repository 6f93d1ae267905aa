//! Flipped bits, cut files, missing and swapped files, and files full of anything.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use bytes::Bytes;
use lakehead_disk::Disk;
use lakehead_disk::sim::{Keep, SimDisk};
use lakehead_log::{ErrorKind, LocalLog, RecoveryReport};
use lakehead_model::random::SeededRandom;
use lakehead_model::{Position, Random};
use proptest::prelude::*;

use crate::bed::{SimBed, append, expected, partition, records, store};

const STREAMS: u128 = 3;

/// Rounds of the random tests; `LAKEHEAD_DAMAGE_ROUNDS` asks for more.
fn rounds(default: u64) -> u64 {
    std::env::var("LAKEHEAD_DAMAGE_ROUNDS").ok().and_then(|n| n.parse().ok()).unwrap_or(default)
}

/// A log with several segments and what it holds; one append a frame.
struct Sample {
    bed: SimBed,
    /// By stream: the records.
    records: BTreeMap<u128, Vec<(u64, Bytes)>>,
    /// Every frame in the order it was written: stream, first position, end, body.
    frames: Vec<(u128, u64, u64, Bytes)>,
    /// Where the frames' bodies lie.
    places: Vec<(PathBuf, std::ops::Range<usize>)>,
}

impl Sample {
    fn new(closed: bool) -> Sample {
        let bed = SimBed::new(SimDisk::new(), 64);
        let (log, _) = bed.open();
        let (mut by_stream, mut frames) = (BTreeMap::<u128, Vec<_>>::new(), Vec::new());
        for i in 0..40_u64 {
            let n = u128::from(i * 7 % 5 % 3);
            let append = append(n, i, 1 + i as usize % 4, [30, 700, 5000, 300][(i % 4) as usize]);
            let range = store(&log, append.clone()).expect("works");
            by_stream.entry(n).or_default().extend(expected(range.start.0, &append));
            frames.push((n, range.start.0, range.end.0, append.body));
        }
        let disk = if closed {
            log.close();
            bed.disk.after_crash(Keep::Synced)
        } else {
            log.tidy();
            bed.disk.after_crash(Keep::Process)
        };
        let contents: Vec<_> = disk.paths().into_iter().map(|path| (disk.content(&path), path)).collect();
        let place = |body: &Bytes| {
            let found = contents.iter().find_map(|(content, path)| Some((find(content, body)?, path)));
            let (at, path) = found.expect("every body is in a file");
            (path.clone(), at..at + body.len())
        };
        let places = frames.iter().map(|frame| place(&frame.3)).collect();
        Sample { bed: bed.on(disk), records: by_stream, frames, places }
    }

    fn segments(&self) -> Vec<PathBuf> {
        let mut all = self.bed.disk.paths();
        all.retain(|path| path.extension().is_some_and(|e| e == "seg"));
        all
    }

    /// Segments that hold records.
    fn used(&self) -> Vec<PathBuf> {
        let mut used = self.segments();
        used.retain(|path| self.places.iter().any(|(holder, _)| holder == path));
        used
    }

    /// The frame whose body holds the byte, if any does.
    fn frame_at(&self, path: &PathBuf, byte: usize) -> Option<&(u128, u64, u64, Bytes)> {
        let at = self.places.iter().position(|(holder, range)| holder == path && range.contains(&byte))?;
        self.frames.get(at)
    }

    fn damaged(&self, path: &Path, change: impl FnOnce(&mut Vec<u8>)) -> SimBed {
        let disk = self.bed.disk.after_crash(Keep::Process);
        let mut content = disk.content(path);
        change(&mut content);
        disk.set_content(path, content);
        self.bed.on(disk)
    }
}

fn find(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    let first = *needle.get(1)?;
    (0..haystack.len().saturating_sub(needle.len() - 1))
        .find(|&at| haystack[at + 1] == first && haystack[at..].starts_with(needle))
}

/// What reading everything gave: by stream, the records served and the positions reported lost.
#[derive(Default, Debug)]
struct Outcome {
    served: BTreeMap<u128, Vec<(u64, Bytes)>>,
    lost: BTreeMap<u128, Vec<u64>>,
}

impl Outcome {
    fn lost_records(&self) -> usize {
        self.lost.values().map(Vec::len).sum()
    }
}

/// Reads everything; checks that each position is either served or lost, and that nothing served is wrong.
fn read_and_check(log: &LocalLog, sample: &Sample, context: &str) -> Outcome {
    let mut outcome = Outcome::default();
    for n in 0..STREAMS {
        let mut reader = log.reader(partition(n), log.oldest(partition(n)));
        let mut next = log.oldest(partition(n)).0;
        let (mut served, mut lost) = (Vec::new(), Vec::new());
        loop {
            let batch = reader.read(3000).expect("works");
            if batch.frames.is_empty() && batch.lost.is_empty() {
                break;
            }
            served.extend(batch.frames.iter().flat_map(records));
            lost.extend(batch.lost.iter().flat_map(|r| r.start.0..r.end.0));
        }
        let original = sample.records.get(&n).map_or(&[][..], Vec::as_slice);
        for (position, record) in &served {
            assert_eq!(
                original.get(*position as usize).map(|(_, r)| r),
                Some(record),
                "{context}: {n}/{position}"
            );
        }
        let mut all: Vec<u64> = served.iter().map(|(p, _)| *p).chain(lost.iter().copied()).collect();
        all.sort_unstable();
        for position in all {
            assert_eq!(position, next, "{context}: stream {n}: served or lost, once");
            next += 1;
        }
        assert_eq!(next, log.tail(partition(n)).0, "{context}: stream {n}");
        outcome.served.insert(n, served);
        outcome.lost.insert(n, lost);
    }
    outcome
}

/// Appends go on behind what is there.
fn goes_on(log: &LocalLog, context: &str) {
    for n in 0..STREAMS {
        let tail = log.tail(partition(n));
        let range = store(log, append(n, 9999, 2, 50));
        assert_eq!(range, Ok(tail..tail.plus(2)), "{context}");
        let frames = log.read(partition(n), tail, 1).expect("works");
        assert_eq!(records(&frames[0]), expected(tail.0, &append(n, 9999, 2, 50)), "{context}");
    }
}

fn open(bed: &SimBed, context: &str) -> (LocalLog, RecoveryReport) {
    LocalLog::open(bed.settings.clone(), bed.seams.clone()).unwrap_or_else(|e| panic!("{context}: {e}"))
}

fn flip_bits(closed: bool) {
    let sample = Sample::new(closed);
    let used = sample.used();
    assert!(used.len() >= 3, "{used:?}");
    let random = SeededRandom::new(if closed { 1 } else { 2 });
    let (mut in_frames, mut in_last) = (0, 0);
    for _ in 0..rounds(400) {
        let path = &used[(random.u64() % used.len() as u64) as usize];
        let content = sample.bed.disk.content(path);
        let last = content.iter().rposition(|&b| b != 0).expect("works") as u64;
        let bit = random.u64() % (last * 8);
        let (byte, mask) = ((bit / 8) as usize, 1 << (bit % 8));
        let context = format!("{}: byte {byte}, mask {mask}", path.display());
        let bed = sample.damaged(path, |content| content[byte] ^= mask);
        let (log, _) = open(&bed, &context);
        let outcome = read_and_check(&log, &sample, &context);
        let (newest, newest_end) =
            (path == used.last().expect("works"), sample.frames.last().expect("works"));
        match sample.frame_at(path, byte) {
            // The last frame of a log that was not closed can not be told from a torn one.
            Some(frame) if !closed && newest && frame == newest_end => {
                in_last += 1;
                assert_eq!(log.tail(partition(frame.0)), Position(frame.1), "{context}");
            }
            Some((n, first, end, _)) => {
                in_frames += 1;
                assert_eq!(outcome.lost[n], (*first..*end).collect::<Vec<_>>(), "{context}");
                assert_eq!(outcome.lost_records() as u64, end - first, "{context}: nothing else is lost");
                assert_eq!(log.stats().corrupt_records, end - first, "{context}");
            }
            None => {
                // A frame's head, a segment's header, the tail's padding: at most one frame is gone.
                let gone = |n: &u128| sample.records[n].len() - outcome.served[n].len();
                let gone: usize = sample.records.keys().map(gone).sum();
                assert!(gone <= 4, "{context}: {gone} records are gone");
                if closed || !newest {
                    assert_eq!(log.stats().corrupt_records, gone as u64, "{context}");
                }
            }
        }
        goes_on(&log, &context);
        let tails: Vec<_> = (0..STREAMS).map(|n| log.tail(partition(n))).collect();
        let before = read_lost(&log);
        log.close();
        let (log, _) = open(&bed, &context);
        assert_eq!((0..STREAMS).map(|n| log.tail(partition(n))).collect::<Vec<_>>(), tails, "{context}");
        assert_eq!(read_lost(&log), before, "{context}: the same is lost after opening again");
    }
    assert!(in_frames > 200, "{in_frames} flips hit a body");
    assert!(closed || in_last > 0);
}

/// What every stream reports as lost.
fn read_lost(log: &LocalLog) -> Vec<(u128, u64)> {
    let mut all = Vec::new();
    for n in 0..STREAMS {
        let mut reader = log.reader(partition(n), log.oldest(partition(n)));
        loop {
            let batch = reader.read(1 << 20).expect("works");
            if batch.frames.is_empty() && batch.lost.is_empty() {
                break;
            }
            all.extend(batch.lost.iter().flat_map(|r| r.start.0..r.end.0).map(|position| (n, position)));
        }
    }
    all
}

#[test]
fn a_flipped_bit_in_a_closed_log_loses_exactly_its_frame_and_is_reported() {
    flip_bits(true);
}

#[test]
fn a_flipped_bit_in_a_log_that_was_not_closed_loses_exactly_its_frame_and_is_reported() {
    flip_bits(false);
}

#[test]
fn a_cut_segment_loses_exactly_what_was_cut_off() {
    for closed in [true, false] {
        let sample = Sample::new(closed);
        let used = sample.used();
        let random = SeededRandom::new(3);
        for _ in 0..rounds(150) {
            let path = &used[(random.u64() % used.len() as u64) as usize];
            let size = (random.u64() % (50 << 10)) as usize;
            let context = format!("closed {closed}, {} cut to {size}", path.display());
            let bed = sample.damaged(path, |content| content.truncate(size));
            let newest = path == used.last().unwrap();
            let (log, report) = match LocalLog::open(bed.settings.clone(), bed.seams.clone()) {
                Ok(opened) => opened,
                Err(error) => {
                    // Nothing is left that says that this segment was ever used.
                    assert_eq!(error.kind, ErrorKind::Corrupt, "{context}: {error}");
                    continue;
                }
            };
            let outcome = read_and_check(&log, &sample, &context);
            let served: usize = outcome.served.values().map(Vec::len).sum();
            let all: usize = sample.records.values().map(Vec::len).sum();
            if closed || !newest {
                assert_eq!(report.lost_records(), (all - served) as u64, "{context}: {report:?}");
                assert_eq!(log.stats().corrupt_records, (all - served) as u64, "{context}");
            }
            goes_on(&log, &context);
        }
    }
}

#[test]
fn a_missing_segment_is_refused_by_name_and_counted_exactly_when_the_loss_is_accepted() {
    for closed in [true, false] {
        let sample = Sample::new(closed);
        let used = sample.used();
        // Without its index, nothing says that the newest one existed.
        let detectable = if closed { used.len() } else { used.len() - 1 };
        for path in &used[..detectable] {
            let context = format!("closed {closed}, without {}", path.display());
            let mut bed = sample.bed.on(sample.bed.disk.after_crash(Keep::Process));
            bed.disk.remove(path).unwrap();
            let refused = LocalLog::open(bed.settings.clone(), bed.seams.clone()).expect_err(&context);
            assert_eq!(refused.kind, ErrorKind::Corrupt);
            let text = refused.to_string();
            assert!(
                text.contains(path.to_str().unwrap()) && text.contains("accept_loss"),
                "{context}: {text}"
            );
            bed.settings.accept_loss = true;
            let (log, report) = open(&bed, &context);
            let outcome = read_and_check(&log, &sample, &context);
            let served: usize = outcome.served.values().map(Vec::len).sum();
            let all: usize = sample.records.values().map(Vec::len).sum();
            let tails: usize = (0..STREAMS).map(|n| log.tail(partition(n)).0 as usize).sum();
            assert_eq!(tails, all, "{context}: {report:?}");
            assert!(served < all);
            goes_on(&log, &context);
            log.close();
            bed.settings.accept_loss = false;
            open(&bed, &format!("{context}, opened again"));
        }
    }
}

#[test]
fn swapped_segments_are_refused_by_name() {
    let sample = Sample::new(true);
    let all = sample.segments();
    for (i, a) in all.iter().enumerate() {
        for b in &all[i + 1..] {
            let disk = sample.bed.disk.after_crash(Keep::Process);
            let (in_a, in_b) = (disk.content(a), disk.content(b));
            let unused = !sample.used().contains(a) && !sample.used().contains(b);
            disk.set_content(a, in_b);
            disk.set_content(b, in_a);
            let bed = sample.bed.on(disk);
            match LocalLog::open(bed.settings.clone(), bed.seams.clone()) {
                Ok(_) => assert!(unused, "{} and {} are swapped", a.display(), b.display()),
                Err(error) => {
                    assert_eq!(error.kind, ErrorKind::Corrupt);
                    assert!(error.to_string().contains(".seg"), "{error}");
                }
            }
        }
    }
}

#[test]
fn a_damaged_or_missing_index_or_floor_changes_nothing() {
    let sample = Sample::new(true);
    let random = SeededRandom::new(4);
    let mut aids = sample.bed.disk.paths();
    aids.retain(|path| path.extension().is_none_or(|e| e == "idx"));
    assert!(aids.len() >= 4, "{aids:?}");
    for round in 0..rounds(60) {
        let path = &aids[(random.u64() % aids.len() as u64) as usize];
        let context = format!("{}, round {round}", path.display());
        let bed = match round % 3 {
            0 => sample.damaged(path, |content| {
                let at = random.u64() as usize % content.len();
                content[at] ^= 1 << (random.u64() % 8);
            }),
            1 => sample.damaged(path, |content| content.truncate(random.u64() as usize % content.len())),
            _ => {
                let bed = sample.bed.on(sample.bed.disk.after_crash(Keep::Process));
                bed.disk.remove(path).unwrap();
                bed
            }
        };
        let (log, report) = open(&bed, &context);
        assert_eq!((report.lost.len(), report.damaged.len()), (0, 0), "{context}: {report:?}");
        let outcome = read_and_check(&log, &sample, &context);
        assert_eq!(outcome.served, sample.records, "{context}");
        goes_on(&log, &context);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    /// Any bytes anywhere: opened, or refused with a file's name.
    #[test]
    fn any_content_of_any_file_is_opened_or_refused(
        closed: bool,
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<prop::sample::Index>(), prop::collection::vec(any::<u8>(), 0..300), 0..4_u8), 1..6),
    ) {
        static SAMPLES: LazyLock<[Sample; 2]> = LazyLock::new(|| [Sample::new(false), Sample::new(true)]);
        let sample = &SAMPLES[usize::from(closed)];
        let disk = sample.bed.disk.after_crash(Keep::Process);
        for (file, at, bytes, how) in changes {
            let paths = disk.paths();
            let path = file.get(&paths);
            let mut content = disk.content(path);
            let at = if content.is_empty() { 0 } else { at.index(content.len()) };
            match how {
                0 => content = bytes,
                1 => content.truncate(at),
                2 => { content.splice(at..at, bytes); }
                _ => { let end = content.len().min(at + bytes.len()); content[at..end].copy_from_slice(&bytes[..end - at]); }
            }
            disk.set_content(path, content);
        }
        let bed = sample.bed.on(disk);
        match LocalLog::open(bed.settings.clone(), bed.seams.clone()) {
            Ok((log, _)) => {
                read_and_check(&log, sample, "any bytes");
                goes_on(&log, "any bytes");
            }
            Err(error) => {
                prop_assert_eq!(error.kind, ErrorKind::Corrupt);
                prop_assert!(error.to_string().contains("/sim/log/"));
            }
        }
    }
}
