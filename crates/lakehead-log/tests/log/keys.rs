//! Appends that come again: through restarts, trims, damage, a full log and displaced keys.

use std::path::PathBuf;
use std::time::Duration;

use lakehead_disk::Disk;
use lakehead_disk::sim::{Keep, SimDisk};
use lakehead_log::{AppendError, LocalLog};
use lakehead_model::Position;

use crate::bed::{SimBed, append, keyed, partition, store, submit};

/// 40 KiB under the key, in one record.
fn large(key: u128) -> lakehead_log::Append {
    keyed(key, append(1, key as u64, 1, 40_000))
}

fn is_repeat(log: &LocalLog, append: lakehead_log::Append) -> bool {
    submit(log, append).expect("answered").is_repeat
}

fn trimming(keys_max: usize) -> SimBed {
    let mut bed = SimBed::new(SimDisk::new(), 256);
    bed.settings.retention = Duration::ZERO;
    bed.settings.keys_max = keys_max;
    bed
}

/// Fills several segments with keyed appends, and has all but the newest segment trimmed.
fn fill_and_trim(log: &LocalLog, keys: std::ops::Range<u128>) {
    for key in keys {
        assert!(!is_repeat(log, large(key)));
    }
    log.trim(partition(1), log.tail(partition(1)));
    log.tidy();
}

fn files(bed: &SimBed, ending: &str) -> Vec<PathBuf> {
    let paths = bed.disk.paths();
    paths.into_iter().filter(|path| path.extension().is_some_and(|e| e == ending)).collect()
}

#[test]
fn keys_outlive_their_segments_and_restarts() {
    let bed = trimming(500_000);
    let (log, _) = bed.open();
    fill_and_trim(&log, 0..40);
    assert!(log.oldest(partition(1)) > Position(20), "most is trimmed");
    assert!((0..40).all(|key| is_repeat(&log, large(key))));
    drop(log);
    for context in ["opened again", "and again"] {
        let (log, _) = bed.open();
        assert!((0..40).all(|key| is_repeat(&log, large(key))), "{context}");
        assert_eq!(log.tail(partition(1)), Position(40), "{context}");
    }
}

#[test]
fn younger_keys_displace_older_ones_and_their_files_go() {
    let bed = trimming(10);
    let (log, _) = bed.open();
    fill_and_trim(&log, 0..60);
    let kept = files(&bed, "keys").len();
    assert!(kept <= 4, "{kept} files with keys, for 10 keys of 6 to a segment");
    drop(log);
    let (log, _) = bed.open();
    assert!((50..60).all(|key| is_repeat(&log, large(key))), "the last ten");
    assert!(!is_repeat(&log, large(49)), "the one before");
}

#[test]
fn the_files_of_segments_that_are_gone_stay_few_and_lose_no_key() {
    let mut bed = trimming(500_000);
    bed.settings.segment_bytes = 64 << 10;
    let (log, _) = bed.open();
    for round in 0..15 {
        fill_and_trim(&log, round * 10..round * 10 + 10);
    }
    let kept = files(&bed, "keys").len();
    assert!((60..=70).contains(&kept), "{kept} files, of 150 segments with a key each");
    drop(log);
    let (log, report) = bed.open();
    assert_eq!(report.notes, Vec::<String>::new());
    assert!((0..150).all(|key| is_repeat(&log, large(key))));
}

#[test]
fn keys_of_a_segment_that_was_full_while_the_disk_was_full_are_written_when_it_is_trimmed() {
    let mut bed = trimming(500_000);
    bed.settings.spare_segments = 1;
    let (log, _) = bed.open();
    (0..5).for_each(|key| assert!(!is_repeat(&log, large(key))));
    log.tidy();
    // Room for what is prepared, and for nothing else.
    let used: usize = bed.disk.paths().iter().map(|path| bed.disk.content(path).len()).sum();
    bed.disk.set_capacity(used as u64);
    let full = (5..100).find(|&key| submit(&log, large(key)) == Err(AppendError::Full)).expect("fills up");
    assert_eq!(files(&bed, "keys"), Vec::<PathBuf>::new(), "there was no room");
    bed.disk.set_capacity(u64::MAX);
    log.tidy();
    fill_and_trim(&log, 100..120);
    assert!(log.oldest(partition(1)) > Position(8), "the first segments are trimmed");
    drop(log);
    let (log, _) = bed.open();
    assert!((0..full).chain(100..120).all(|key| is_repeat(&log, large(key))));
}

#[test]
fn a_key_with_other_records_is_refused_and_stores_nothing() {
    let bed = SimBed::new(SimDisk::new(), 256);
    let (log, _) = bed.open();
    store(&log, keyed(1, append(1, 1, 2, 10))).unwrap();
    for other in [append(1, 2, 2, 10), append(1, 1, 1, 10), append(1, 1, 3, 10)] {
        assert_eq!(submit(&log, keyed(1, other)), Err(AppendError::KeyTaken));
    }
    assert_eq!(log.tail(partition(1)), Position(2));
}

#[test]
fn a_full_log_still_answers_what_is_stored() {
    let mut bed = SimBed::new(SimDisk::new(), 256);
    bed.settings.quota_bytes = 4 * (256 << 10);
    let (log, _) = bed.open();
    let full = (0..100).find(|&key| submit(&log, large(key)) == Err(AppendError::Full)).expect("fills up");
    assert!(is_repeat(&log, large(0)));
    assert_eq!(submit(&log, large(full)), Err(AppendError::Full));
}

#[test]
fn a_lost_or_damaged_file_of_keys_is_made_again_from_its_segment() {
    let bed = SimBed::new(SimDisk::new(), 256);
    let (log, _) = bed.open();
    (0..20).for_each(|key| assert!(!is_repeat(&log, large(key))));
    log.close();
    drop(log);
    let all = files(&bed, "keys");
    assert!(all.len() > 2);
    for damage in [None, Some(40), Some(3)] {
        let disk = bed.disk.after_crash(Keep::All);
        for path in &all {
            match damage {
                None => disk.remove(path).unwrap(),
                Some(at) => {
                    let mut bytes = disk.content(path);
                    bytes[at] ^= 1;
                    disk.set_content(path, bytes);
                }
            }
        }
        let bed = bed.on(disk);
        let (log, report) = bed.open();
        assert_eq!(report.lost, vec![]);
        assert!((0..20).all(|key| is_repeat(&log, large(key))), "{damage:?}");
        log.close();
        assert_eq!(files(&bed, "keys").len(), all.len(), "{damage:?}");
    }
}
