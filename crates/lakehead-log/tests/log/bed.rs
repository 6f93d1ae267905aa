//! What the tests share: a log with small segments, and records that say what they are.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use lakehead_disk::sim::SimDisk;
use lakehead_log::{
    Append, AppendError, AppendKey, Frame, LocalLog, Outcome, Records, RecoveryReport, Seams, Settings,
};
use lakehead_model::{Partition, Position, StreamId};

pub(crate) fn partition(n: u128) -> Partition {
    Partition::first(StreamId(n))
}

/// A body of `count` records of `bytes` each, as a JSON array would hold them: `[aaa,aaa]`. The content depends on `seed`.
pub(crate) fn body(seed: u64, count: usize, bytes: usize) -> (Bytes, Records) {
    let mut text = vec![b'['];
    let mut ranges = Vec::new();
    for i in 0..count {
        if i > 0 {
            text.push(b',');
        }
        let start = text.len() as u32;
        let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ i as u64;
        text.extend((0..bytes).map(|_| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            b'a' + (state >> 59) as u8 % 26
        }));
        ranges.push((start, text.len() as u32));
    }
    text.push(b']');
    (text.into(), ranges.into())
}

pub(crate) fn append(n: u128, seed: u64, count: usize, bytes: usize) -> Append {
    let (body, records) = body(seed, count, bytes);
    Append { partition: partition(n), body, records, key: None }
}

/// Appends and waits.
pub(crate) fn store(log: &LocalLog, append: Append) -> Result<std::ops::Range<Position>, AppendError> {
    submit(log, append).map(|appended| appended.positions)
}

/// Appends and waits.
pub(crate) fn submit(log: &LocalLog, append: Append) -> Outcome {
    log.submit(append)?.blocking_recv().expect("the writer answers")
}

/// The append as a producer repeats it: under a key.
pub(crate) fn keyed(key: u128, append: Append) -> Append {
    Append { key: Some(AppendKey(key)), ..append }
}

/// The records of a frame, with their positions.
pub(crate) fn records(frame: &Frame) -> Vec<(u64, Bytes)> {
    let at = |(i, (start, end)): (usize, (u32, u32))| {
        (frame.first.0 + i as u64, frame.body.slice(start as usize..end as usize))
    };
    frame.records.iter().enumerate().map(at).collect()
}

/// Everything a partition holds, read in pieces of `max_bytes`.
pub(crate) fn read_all(log: &LocalLog, n: u128, max_bytes: usize) -> Vec<(u64, Bytes)> {
    let mut reader = log.reader(partition(n), log.oldest(partition(n)));
    let mut all = Vec::new();
    loop {
        let batch = reader.read(max_bytes).expect("reads");
        if batch.frames.is_empty() && batch.lost.is_empty() {
            return all;
        }
        all.extend(batch.frames.iter().flat_map(records));
    }
}

/// The records of a body, as [`read_all`] returns them, from `first` on.
pub(crate) fn expected(first: u64, append: &Append) -> Vec<(u64, Bytes)> {
    let at = |(i, (start, end)): (usize, (u32, u32))| {
        (first + i as u64, append.body.slice(start as usize..end as usize))
    };
    append.records.iter().enumerate().map(at).collect()
}

pub(crate) struct Bed {
    pub(crate) settings: Settings,
    pub(crate) seams: Seams,
    _dir: tempfile::TempDir,
}

impl Bed {
    /// A log with segments of `segment_kib` on the machine's disk.
    pub(crate) fn new(segment_kib: u64) -> Bed {
        let dir = tempfile::tempdir().expect("a scratch directory");
        let seams = Seams::system(|fatal| panic!("{fatal}"));
        let settings = Settings {
            segment_bytes: segment_kib << 10,
            quota_bytes: 1 << 30,
            free_bytes_min: 0,
            retention: Duration::from_secs(3600),
            ..Settings::new(dir.path().join("log"))
        };
        Bed { settings, seams, _dir: dir }
    }

    pub(crate) fn open(&self) -> (LocalLog, RecoveryReport) {
        LocalLog::open(self.settings.clone(), self.seams.clone()).expect("the log opens")
    }
}

/// A log on a simulated disk, and how often it said that it must stop.
pub(crate) struct SimBed {
    pub(crate) disk: SimDisk,
    pub(crate) settings: Settings,
    pub(crate) seams: Seams,
    pub(crate) fatals: Arc<AtomicU64>,
}

impl SimBed {
    pub(crate) fn new(disk: SimDisk, segment_kib: u64) -> SimBed {
        let fatals = Arc::new(AtomicU64::new(0));
        let count = fatals.clone();
        let seams = Seams {
            disk: Arc::new(disk.clone()),
            ..Seams::system(move |_| {
                count.fetch_add(1, Ordering::Relaxed);
            })
        };
        let settings = Settings {
            segment_bytes: segment_kib << 10,
            quota_bytes: (segment_kib << 10) * 64,
            recent_bytes_max: 0,
            free_bytes_min: 0,
            ..Settings::new("/sim/log")
        };
        SimBed { disk, settings, seams, fatals }
    }

    /// The same log on another disk.
    pub(crate) fn on(&self, disk: SimDisk) -> SimBed {
        SimBed { settings: self.settings.clone(), ..SimBed::new(disk, self.settings.segment_bytes >> 10) }
    }

    pub(crate) fn open(&self) -> (LocalLog, RecoveryReport) {
        LocalLog::open(self.settings.clone(), self.seams.clone()).expect("the log opens")
    }
}
