use std::time::Duration;

use bytes::Bytes;
use lakehead_log::{Append, AppendError, ErrorKind, LocalLog, Records};
use lakehead_model::Position;

use crate::bed::{Bed, append, expected, partition, read_all, records, store};

#[test]
fn an_append_is_read_back_with_its_positions_and_record_bounds() {
    let bed = Bed::new(256);
    let (log, report) = bed.open();
    assert_eq!(report.segments, 0);
    let first = append(1, 7, 3, 100);
    assert_eq!(store(&log, first.clone()), Ok(Position(0)..Position(3)));
    assert_eq!(log.tail(partition(1)), Position(3));
    assert_eq!(log.tail(partition(2)), Position(0));
    let frames = log.read(partition(1), Position(0), 1 << 20).unwrap();
    assert_eq!(frames.len(), 1);
    assert_eq!(frames[0].body, first.body);
    assert_eq!(frames[0].records, first.records);
    assert_eq!(records(&frames[0]), expected(0, &first));
    assert!(log.read(partition(1), Position(3), 1 << 20).unwrap().is_empty());
    assert!(log.read(partition(2), Position(0), 1 << 20).unwrap().is_empty());
}

#[test]
fn appends_that_wait_together_become_dense_positions_and_one_ingest_time() {
    let bed = Bed::new(1024);
    let (log, _) = bed.open();
    let appends: Vec<Append> = (0..64).map(|i| append(i % 3, i as u64, 1 + i as usize % 4, 50)).collect();
    let waiting: Vec<_> = appends.iter().map(|a| log.submit(a.clone()).unwrap()).collect();
    let ranges: Vec<_> = waiting.into_iter().map(|w| w.blocking_recv().unwrap().unwrap().positions).collect();
    for n in 0..3 {
        let mut all = Vec::new();
        for (append, range) in appends.iter().zip(&ranges).filter(|(a, _)| a.partition == partition(n)) {
            assert_eq!(range.start.0, all.len() as u64);
            all.extend(expected(range.start.0, append));
        }
        assert_eq!(read_all(&log, n, 1), all);
        assert_eq!(read_all(&log, n, 1 << 20), all);
    }
    assert!(log.stats().syncs < 64, "64 appends took {} syncs", log.stats().syncs);
}

#[test]
fn what_was_stored_is_there_after_closing_and_opening_across_many_segments() {
    let bed = Bed::new(128);
    let mut all = vec![Vec::new(); 3];
    for round in 0..3 {
        let (log, report) = bed.open();
        assert_eq!(report.lost, vec![]);
        assert_eq!(report.segments_read, 0, "sealed segments are not read again");
        for i in 0..60_u64 {
            let n = i % 3;
            let append = append(u128::from(n), round * 100 + i, 1 + i as usize % 5, 10 + 37 * i as usize);
            let range = store(&log, append.clone()).unwrap();
            assert_eq!(range.start.0, all[n as usize].len() as u64);
            all[n as usize].extend(expected(range.start.0, &append));
        }
        for n in 0..3 {
            assert_eq!(read_all(&log, n, 5000), all[n as usize]);
        }
        log.close();
    }
    let (log, report) = bed.open();
    assert!(report.segments > 3, "{report:?}");
    for n in 0..3 {
        assert_eq!(read_all(&log, n, 5000), all[n as usize]);
        assert_eq!(log.tail(partition(n)).0, all[n as usize].len() as u64);
        assert_eq!(log.oldest(partition(n)), Position(0));
    }
}

#[test]
fn a_log_that_was_not_closed_is_read_again_and_goes_on() {
    let bed = Bed::new(256);
    let (log, _) = bed.open();
    let first = append(1, 1, 2, 3000);
    store(&log, first.clone()).unwrap();
    log.tidy();
    // What a killed process leaves: the same files, without the seal that closing writes.
    let copy = Bed::new(256);
    std::fs::create_dir_all(&copy.settings.dir).unwrap();
    for entry in std::fs::read_dir(&bed.settings.dir).unwrap() {
        let entry = entry.unwrap();
        std::fs::copy(entry.path(), copy.settings.dir.join(entry.file_name())).unwrap();
    }
    let (log, report) = copy.open();
    assert_eq!((report.segments, report.segments_read, report.frames_read, report.torn_frames), (1, 1, 1, 0));
    assert_eq!(read_all(&log, 1, 1), expected(0, &first));
    let second = append(1, 2, 1, 10);
    assert_eq!(store(&log, second.clone()), Ok(Position(2)..Position(3)));
    let both: Vec<_> = expected(0, &first).into_iter().chain(expected(2, &second)).collect();
    assert_eq!(read_all(&log, 1, 1), both);
}

#[test]
fn reading_from_inside_a_frame_yields_the_whole_frame() {
    let bed = Bed::new(256);
    let (log, _) = bed.open();
    store(&log, append(1, 1, 5, 10)).unwrap();
    store(&log, append(1, 2, 5, 10)).unwrap();
    let frames = log.read(partition(1), Position(7), 1 << 20).unwrap();
    assert_eq!(frames.iter().map(|f| (f.first.0, f.end().0)).collect::<Vec<_>>(), [(5, 10)]);
}

#[test]
fn a_second_open_of_the_same_directory_is_refused() {
    let bed = Bed::new(256);
    let (_log, _) = bed.open();
    let refused = LocalLog::open(bed.settings.clone(), bed.seams.clone()).unwrap_err();
    assert_eq!(refused.kind, ErrorKind::Locked);
    assert!(refused.to_string().contains("lock"), "{refused}");
}

#[test]
fn record_ranges_that_do_not_fit_the_body_are_refused() {
    let bed = Bed::new(256);
    let (log, _) = bed.open();
    for ranges in [vec![], vec![(0, 5)], vec![(2, 1)], vec![(0, 2), (1, 3)]] {
        let append = Append {
            partition: partition(1),
            body: Bytes::from_static(b"abcd"),
            records: Records::new(ranges),
            key: None,
        };
        assert_eq!(store(&log, append), Err(AppendError::Invalid));
    }
    assert_eq!(log.tail(partition(1)), Position(0));
}

#[test]
fn a_body_larger_than_a_segment_is_refused_and_the_largest_that_fits_is_stored() {
    let bed = Bed::new(256);
    let (log, _) = bed.open();
    assert_eq!(store(&log, append(1, 1, 1, 256 << 10)), Err(AppendError::TooLarge));
    let large = append(1, 1, 1, 150 << 10);
    for first in 0..4 {
        assert_eq!(store(&log, large.clone()), Ok(Position(first)..Position(first + 1)));
    }
    assert_eq!(read_all(&log, 1, 1).len(), 4);
}

#[test]
fn a_closed_log_refuses_appends_and_still_reads() {
    let bed = Bed::new(256);
    let (log, _) = bed.open();
    let first = append(1, 1, 2, 30);
    store(&log, first.clone()).unwrap();
    log.close();
    assert_eq!(store(&log, first.clone()), Err(AppendError::Closed));
    assert_eq!(read_all(&log, 1, 1), expected(0, &first));
    let (log, _) = bed.open();
    assert_eq!(log.tail(partition(1)), Position(2));
}

#[tokio::test]
async fn whoever_follows_the_tail_is_woken_by_an_append() {
    let bed = Bed::new(256);
    let (log, _) = bed.open();
    let mut tail = log.watch_tail(partition(1)).unwrap();
    assert_eq!(*tail.borrow_and_update(), Position(0));
    let append = log.append(append(1, 1, 2, 10));
    tokio::time::timeout(Duration::from_secs(10), tail.changed()).await.unwrap().unwrap();
    assert_eq!(*tail.borrow(), Position(2));
    assert_eq!(append.await.map(|appended| appended.positions), Ok(Position(0)..Position(2)));
    tokio::task::spawn_blocking(move || log.close()).await.unwrap();
}

#[test]
fn what_is_read_from_memory_and_what_is_read_from_the_disk_are_the_same() {
    let mut bed = Bed::new(1024);
    let all: Vec<Append> = (0..200)
        .map(|i| append(i % 3, i as u64, 1 + i as usize % 7, [20, 900, 20_000][i as usize % 3]))
        .collect();
    let mut expected_by_stream = vec![Vec::new(); 3];
    for recent_bytes_max in [0, 60_000, 32 << 20] {
        bed.settings.dir = bed.settings.dir.with_file_name(format!("log-{recent_bytes_max}"));
        bed.settings.recent_bytes_max = recent_bytes_max;
        let (log, _) = bed.open();
        let waiting: Vec<_> = all.iter().map(|a| log.submit(a.clone()).unwrap()).collect();
        for answer in waiting {
            answer.blocking_recv().unwrap().unwrap();
        }
        for n in 0..3 {
            let read = read_all(&log, n, 30_000);
            if recent_bytes_max == 0 {
                expected_by_stream[n as usize] = read;
            } else {
                assert_eq!(read, expected_by_stream[n as usize], "{recent_bytes_max} bytes in memory");
            }
            let tail = log.tail(partition(n));
            let mut reader = log.reader(partition(n), Position(tail.0 - 1));
            let batch = reader.read(1).unwrap();
            assert_eq!((batch.frames.len(), batch.frames[0].end(), reader.position()), (1, tail, tail));
        }
    }
}
