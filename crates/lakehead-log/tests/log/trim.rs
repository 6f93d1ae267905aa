//! Retention, quota, and who may be trimmed.

use std::sync::Arc;
use std::time::Duration;

use lakehead_disk::sim::{Keep, SimDisk};
use lakehead_log::{AppendError, ErrorKind, LocalLog};
use lakehead_model::clock::ManualClock;
use lakehead_model::{Position, Timestamp};

use crate::bed::{SimBed, append, partition, read_all, store};

const HOUR: Duration = Duration::from_secs(3600);

struct Timed {
    bed: SimBed,
    clock: Arc<ManualClock>,
}

/// Segments of 64 KiB, a quota of `segments` of them, one day of retention, a clock that stands still.
fn timed(segments: u64) -> Timed {
    let clock = Arc::new(ManualClock::starting_at(Timestamp(1_700_000_000_000_000)));
    let mut bed = SimBed::new(SimDisk::new(), 64);
    bed.settings.quota_bytes = segments * (64 << 10);
    bed.settings.retention = 24 * HOUR;
    bed.seams.clock = clock.clone();
    Timed { bed, clock }
}

fn fill(log: &LocalLog, n: u128, appends: u64) {
    for i in 0..appends {
        store(log, append(n, i, 1, 20_000)).expect("stored");
    }
}

/// Appends until the log refuses.
fn fill_up(log: &LocalLog, n: u128) {
    let refused = (0..1000).find_map(|_| store(log, append(n, 0, 1, 20_000)).err());
    assert_eq!(refused, Some(AppendError::Full));
}

#[test]
fn committed_records_stay_for_the_retention_and_go_then() {
    let Timed { bed, clock } = timed(64);
    let (log, _) = bed.open();
    fill(&log, 1, 9);
    log.trim(partition(1), Position(9));
    log.tidy();
    assert_eq!(log.oldest(partition(1)), Position(0));
    clock.advance(23 * HOUR);
    log.tidy();
    assert_eq!(log.oldest(partition(1)), Position(0));
    clock.advance(HOUR);
    log.tidy();
    // Two appends fit a segment; the newest segment never goes.
    assert_eq!(log.oldest(partition(1)), Position(8));
    assert_eq!(read_all(&log, 1, 1).len(), 1);
    let trimmed = log.read(partition(1), Position(3), 1).unwrap_err();
    assert_eq!(trimmed.kind, ErrorKind::Trimmed);
    assert!(trimmed.to_string().contains("position 3") && trimmed.to_string().contains('8'), "{trimmed}");
}

#[test]
fn what_is_not_committed_stays_however_old_it_is() {
    let Timed { bed, clock } = timed(64);
    let (log, _) = bed.open();
    fill(&log, 1, 9);
    log.trim(partition(1), Position(3));
    clock.advance(1000 * HOUR);
    log.tidy();
    assert_eq!(log.oldest(partition(1)), Position(2));
    log.close();
    let (log, _) = bed.open();
    clock.advance(1000 * HOUR);
    log.tidy();
    assert_eq!(log.oldest(partition(1)), Position(2), "a restarted log waits to be told again");
    log.trim(partition(1), Position(9));
    log.tidy();
    assert_eq!(log.oldest(partition(1)), Position(8));
}

#[test]
fn a_partition_without_readers_is_kept_by_age_alone() {
    let Timed { bed, clock } = timed(64);
    let (log, _) = bed.open();
    fill(&log, 1, 9);
    log.set_readers(partition(1), false);
    log.tidy();
    assert_eq!(log.oldest(partition(1)), Position(0));
    clock.advance(24 * HOUR);
    log.tidy();
    assert_eq!(log.oldest(partition(1)), Position(8));
}

#[test]
fn under_pressure_committed_records_go_early_and_others_never() {
    let Timed { bed, .. } = timed(8);
    let (log, _) = bed.open();
    for round in 0..10 {
        fill(&log, 1, 4);
        log.trim(partition(1), Position(4 * round + 4));
        log.tidy();
    }
    assert!(log.oldest(partition(1)) > Position(0), "trimmed under pressure");
    assert!(log.oldest(partition(1)) < Position(38), "but not more than needed");
    let mut stored = 40;
    let refused = loop {
        match store(&log, append(1, stored, 1, 20_000)) {
            Ok(_) => stored += 1,
            Err(error) => break error,
        }
        assert!(stored < 1000);
    };
    assert_eq!(refused, AppendError::Full);
    assert!(log.oldest(partition(1)) <= Position(40));
    assert_eq!(read_all(&log, 1, 1).last().map(|(position, _)| *position), Some(stored - 1));
    assert!(log.stats().size_bytes <= log.stats().quota_bytes, "{:?}", log.stats());
    // Committing makes room, without a restart.
    log.trim(partition(1), Position(stored));
    log.tidy();
    fill(&log, 1, 4);
}

#[test]
fn a_disk_smaller_than_the_quota_is_pressure_too() {
    let bed = SimBed::new(SimDisk::new(), 256);
    bed.disk.set_capacity(6 * (256 << 10) + (64 << 10));
    let (log, _) = bed.open();
    let fill = || (0..1000).find(|&seed| store(&log, append(1, seed, 1, 20_000)).is_err());
    let stored = fill().expect("the disk fills up");
    assert_eq!(log.oldest(partition(1)), Position(0), "nothing that is not committed goes");
    log.trim(partition(1), Position(stored));
    log.tidy();
    let kept = log.tail(partition(1)).since(log.oldest(partition(1)));
    assert!(
        log.oldest(partition(1)) > Position(0) && kept > stored / 4,
        "not more than needed: {kept} of {stored} are kept"
    );
    assert!(fill().expect("it fills up again") > 10);
}

#[test]
fn a_partition_without_readers_keeps_its_retention_under_pressure() {
    let Timed { bed, clock } = timed(6);
    let (log, _) = bed.open();
    log.submit(append(1, 0, 1, 1)).unwrap().blocking_recv().unwrap().unwrap();
    log.set_readers(partition(1), false);
    fill_up(&log, 1);
    assert_eq!(log.oldest(partition(1)), Position(0));
    assert_eq!(store(&log, append(1, 0, 1, 20_000)), Err(AppendError::Full));
    clock.advance(24 * HOUR);
    log.tidy();
    fill(&log, 1, 2);
}

#[test]
fn a_forgotten_partition_holds_nothing_back() {
    let Timed { bed, .. } = timed(8);
    let (log, _) = bed.open();
    fill_up(&log, 1);
    assert_eq!(store(&log, append(2, 0, 1, 20_000)), Err(AppendError::Full));
    log.forget(partition(1));
    log.tidy();
    fill(&log, 2, 4);
    assert!(log.partitions().iter().all(|(p, _)| *p == partition(2)), "{:?}", log.partitions());
}

#[test]
fn positions_go_on_after_everything_else_was_trimmed_and_the_log_was_opened_again() {
    let Timed { bed, clock } = timed(64);
    let (log, _) = bed.open();
    fill(&log, 1, 3);
    fill(&log, 2, 9);
    log.trim(partition(1), Position(3));
    log.trim(partition(2), Position(9));
    clock.advance(24 * HOUR);
    log.tidy();
    assert_eq!(log.oldest(partition(1)), Position(3), "nothing of stream 1 is left");
    assert_eq!(log.tail(partition(1)), Position(3));
    for keep in [Keep::Synced, Keep::Process] {
        let again = bed.on(bed.disk.after_crash(keep));
        let (log, report) = again.open();
        assert_eq!(report.lost, vec![]);
        assert_eq!(log.tail(partition(1)), Position(3));
        assert_eq!(log.oldest(partition(1)), Position(3));
        assert_eq!(store(&log, append(1, 0, 1, 10)), Ok(Position(3)..Position(4)));
    }
}

#[test]
fn trimmed_segments_are_used_again_and_their_old_frames_never_show() {
    let Timed { bed, .. } = timed(6);
    let (log, _) = bed.open();
    for round in 0..30 {
        fill(&log, 1, 2);
        log.trim(partition(1), Position(2 * round + 2));
        log.tidy();
    }
    let names = bed.disk.paths().len();
    assert!(names < 20, "{:?}", bed.disk.paths());
    for keep in [Keep::Synced, Keep::All, Keep::Process] {
        let again = bed.on(bed.disk.after_crash(keep));
        let (log, report) = again.open();
        assert_eq!((report.lost, report.damaged, report.torn_frames), (vec![], vec![], 0), "{keep:?}");
        assert_eq!(log.tail(partition(1)), Position(60));
        assert_eq!(read_all(&log, 1, 1).len() as u64, 60 - log.oldest(partition(1)).0);
    }
}

#[test]
fn a_reader_in_the_middle_of_a_segment_survives_its_being_trimmed() {
    let Timed { bed, .. } = timed(8);
    let (log, _) = bed.open();
    fill(&log, 1, 6);
    let mut reader = log.reader(partition(1), Position(0));
    assert_eq!(reader.read(1).unwrap().frames[0].first, Position(0));
    log.trim(partition(1), Position(6));
    let mut trimmed = false;
    for _ in 0..30 {
        fill(&log, 1, 2);
        log.trim(partition(1), log.tail(partition(1)));
        log.tidy();
        match reader.read(1) {
            Ok(batch) => assert_eq!((batch.frames.len(), batch.lost.len()), (1, 0)),
            Err(error) => {
                assert_eq!(error.kind, ErrorKind::Trimmed);
                trimmed = true;
                break;
            }
        }
    }
    assert!(trimmed, "the reader was overtaken");
    let mut reader = log.reader(partition(1), log.oldest(partition(1)));
    assert_eq!(reader.read(1).unwrap().frames[0].first, log.oldest(partition(1)));
    assert_eq!(log.stats().corrupt_records, 0);
}

#[test]
fn a_segment_that_is_closed_early_gives_back_what_it_does_not_use() {
    let Timed { bed, .. } = timed(64);
    for opening in 1..=10 {
        let (log, _) = bed.open();
        assert_eq!(log.tail(partition(1)), Position(opening - 1));
        fill(&log, 1, 1);
        log.close();
        let stats = log.stats();
        // Header, one append, and two prepared segments.
        assert!(stats.size_bytes <= opening * (32 << 10) + (128 << 10), "{stats:?}");
    }
    let again = bed.on(bed.disk.after_crash(Keep::Synced));
    let (log, report) = again.open();
    assert_eq!((report.segments, report.segments_read, report.lost), (10, 0, vec![]));
    assert_eq!(read_all(&log, 1, 1).len(), 10);
}

#[test]
fn a_segment_that_was_cut_off_by_a_crash_gives_back_zeros_and_keeps_anything_else() {
    for (rubbish, size) in [(0, 64 << 10), (1, 64 << 10)] {
        let Timed { bed, .. } = timed(64);
        let (log, _) = bed.open();
        fill(&log, 1, 1);
        log.tidy();
        let crashed = bed.on(bed.disk.after_crash(Keep::Synced));
        let path = crashed.settings.dir.join(format!("{:020}.seg", 1));
        let mut content = crashed.disk.content(&path);
        assert_eq!(content.len(), size);
        content[50_000] = rubbish;
        crashed.disk.set_content(&path, content);
        let (log, _) = crashed.open();
        log.tidy();
        assert_eq!(crashed.disk.content(&path).len() < size, rubbish == 0, "rubbish {rubbish}");
        assert_eq!(read_all(&log, 1, 1).len(), 1);
    }
}
