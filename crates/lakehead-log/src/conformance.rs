//! What every [`Log`] must do, as functions that panic where one does not. For the tests of implementations.
//!
//! Each takes a function that opens a log: the first call begins an empty one, later calls open the same again.

use bytes::Bytes;
use lakehead_model::{Partition, Position, StreamId};

use crate::{Append, AppendError, AppendKey, ErrorKind, Log, Records};

type Open<'a> = &'a dyn Fn() -> Box<dyn Log>;
type Check = fn(Open<'_>);

/// Every check, by name.
pub const CHECKS: &[(&str, Check)] = &[
    ("appends get dense positions and are read back", appends_get_dense_positions_and_are_read_back),
    ("partitions count for themselves", partitions_count_for_themselves),
    ("a read from inside a frame yields the whole frame", a_read_from_inside_a_frame_yields_the_whole_frame),
    ("reads are bounded and give at least one frame", reads_are_bounded_and_give_at_least_one_frame),
    ("the tail is followed", the_tail_is_followed),
    ("records and positions survive closing and opening", records_and_positions_survive_closing_and_opening),
    ("an append that comes again is stored once", an_append_that_comes_again_is_stored_once),
    ("a closed log refuses appends", a_closed_log_refuses_appends),
    ("ranges that do not fit are refused", ranges_that_do_not_fit_are_refused),
    ("what is not committed is not trimmed", what_is_not_committed_is_not_trimmed),
    ("a forgotten partition is not listed", a_forgotten_partition_is_not_listed),
];

fn partition(n: u128) -> Partition {
    Partition { stream: StreamId(n), index: 0 }
}

/// `count` records of three bytes that depend on `seed`, with a byte between them.
fn append(n: u128, seed: u8, count: u32) -> Append {
    let body: Vec<u8> = (0..count).flat_map(|i| [seed, i as u8, b'x', b',']).collect();
    let records: Records = (0..count).map(|i| (4 * i, 4 * i + 3)).collect();
    Append { partition: partition(n), body: Bytes::from(body), records, key: None }
}

fn store(log: &dyn Log, append: Append) -> Result<(u64, u64), AppendError> {
    let range = log.submit(append)?.blocking_recv().expect("a log answers every append")?.positions;
    Ok((range.start.0, range.end.0))
}

/// Every record from `from` on, checked to be dense.
fn read_from(log: &dyn Log, n: u128, from: u64) -> Vec<Bytes> {
    let mut next = Position(from);
    let mut all = Vec::new();
    loop {
        let frames = log.read(partition(n), next, 10).expect("reads");
        if frames.is_empty() {
            return all;
        }
        for frame in frames {
            assert_eq!(frame.first, next, "dense");
            assert_eq!(frame.partition, partition(n));
            all.extend(
                frame.records.iter().map(|(start, end)| frame.body.slice(start as usize..end as usize)),
            );
            next = frame.end();
        }
    }
}

fn appends_get_dense_positions_and_are_read_back(open: Open<'_>) {
    let log = open();
    assert_eq!(log.tail(partition(1)), Position(0));
    assert_eq!(store(&*log, append(1, 7, 3)), Ok((0, 3)));
    assert_eq!(store(&*log, append(1, 8, 2)), Ok((3, 5)));
    assert_eq!(log.tail(partition(1)), Position(5));
    let read = read_from(&*log, 1, 0);
    assert_eq!(read, [&[7, 0, b'x'][..], &[7, 1, b'x'], &[7, 2, b'x'], &[8, 0, b'x'], &[8, 1, b'x']]);
}

fn partitions_count_for_themselves(open: Open<'_>) {
    let log = open();
    let waiting: Vec<_> = (0..30).map(|i| log.submit(append(i % 3, i as u8, 2)).expect("queued")).collect();
    for (i, answer) in waiting.into_iter().enumerate() {
        let range = answer.blocking_recv().expect("answered").expect("stored").positions;
        let first = 2 * (i as u64 / 3);
        assert_eq!((range.start.0, range.end.0), (first, first + 2), "append {i}");
    }
    for n in 0..3 {
        let seeds: Vec<u8> = read_from(&*log, n, 0).iter().map(|record| record[0]).collect();
        let expected: Vec<u8> = (0..30).filter(|i| u128::from(i % 3) == n).flat_map(|i| [i, i]).collect();
        assert_eq!(seeds, expected);
    }
}

fn a_read_from_inside_a_frame_yields_the_whole_frame(open: Open<'_>) {
    let log = open();
    store(&*log, append(1, 1, 5)).expect("stored");
    let frames = log.read(partition(1), Position(3), 1000).expect("reads");
    assert_eq!((frames.len(), frames[0].first, frames[0].end()), (1, Position(0), Position(5)));
}

fn reads_are_bounded_and_give_at_least_one_frame(open: Open<'_>) {
    let log = open();
    for seed in 0..10 {
        store(&*log, append(1, seed, 5)).expect("stored");
    }
    assert_eq!(log.read(partition(1), Position(0), 0).expect("reads").len(), 1);
    assert_eq!(log.read(partition(1), Position(0), 21).expect("reads").len(), 2);
    assert!(log.read(partition(1), Position(50), 1000).expect("reads").is_empty());
    assert!(log.read(partition(2), Position(0), 1000).expect("reads").is_empty());
}

fn the_tail_is_followed(open: Open<'_>) {
    let log = open();
    let mut tail = log.watch_tail(partition(1)).expect("room for a partition");
    assert_eq!(*tail.borrow_and_update(), Position(0));
    store(&*log, append(1, 1, 4)).expect("stored");
    assert!(tail.has_changed().expect("the log is open"));
    assert_eq!(*tail.borrow_and_update(), Position(4));
}

fn records_and_positions_survive_closing_and_opening(open: Open<'_>) {
    for round in 0..4_u64 {
        let log = open();
        assert_eq!(log.tail(partition(1)), Position(3 * round));
        assert_eq!(store(&*log, append(1, round as u8, 3)), Ok((3 * round, 3 * round + 3)));
        let seeds: Vec<u8> = read_from(&*log, 1, 0).iter().map(|record| record[0]).collect();
        let expected: Vec<u8> = (0..=round as u8).flat_map(|i| [i, i, i]).collect();
        assert_eq!(seeds, expected);
        log.close();
    }
}

fn an_append_that_comes_again_is_stored_once(open: Open<'_>) {
    let keyed = |n, key, seed| Append { key: Some(AppendKey(key)), ..append(n, seed, 3) };
    let submit = |log: &dyn Log, append| match log.submit(append) {
        Ok(answer) => answer.blocking_recv().expect("answered"),
        Err(error) => Err(error),
    };
    let log = open();
    // Two at once: one is stored, both are told where.
    let waiting: Vec<_> = (0..2).map(|_| log.submit(keyed(1, 7, 1)).expect("queued")).collect();
    let mut repeats = Vec::new();
    for answer in waiting {
        let appended = answer.blocking_recv().expect("answered").expect("stored");
        assert_eq!(appended.positions, Position(0)..Position(3));
        repeats.push(appended.is_repeat);
    }
    repeats.sort_unstable();
    assert_eq!(repeats, [false, true]);
    assert_eq!(submit(&*log, keyed(1, 7, 2)), Err(AppendError::KeyTaken), "other records");
    let other = submit(&*log, keyed(2, 7, 1)).expect("stored");
    assert!(!other.is_repeat, "another partition");
    log.close();
    drop(log);
    let log = open();
    let again = submit(&*log, keyed(1, 7, 1)).expect("known");
    assert_eq!((again.positions, again.is_repeat), (Position(0)..Position(3), true));
    assert_eq!(log.tail(partition(1)), Position(3));
}

fn a_closed_log_refuses_appends(open: Open<'_>) {
    let log = open();
    store(&*log, append(1, 1, 1)).expect("stored");
    log.close();
    log.close();
    assert_eq!(store(&*log, append(1, 1, 1)), Err(AppendError::Closed));
    assert_eq!(read_from(&*log, 1, 0).len(), 1);
}

fn ranges_that_do_not_fit_are_refused(open: Open<'_>) {
    let log = open();
    for ranges in [vec![], vec![(0, 5)], vec![(2, 1)], vec![(0, 2), (1, 3)]] {
        let body = Bytes::from_static(b"abcd");
        let append = Append { partition: partition(1), body, records: Records::new(ranges), key: None };
        assert_eq!(store(&*log, append), Err(AppendError::Invalid));
    }
    assert_eq!(log.tail(partition(1)), Position(0));
}

fn what_is_not_committed_is_not_trimmed(open: Open<'_>) {
    let log = open();
    for seed in 0..10 {
        store(&*log, append(1, seed, 5)).expect("stored");
    }
    log.trim(partition(1), Position(20));
    let oldest = log.oldest(partition(1)).0;
    assert!(oldest <= 20);
    assert_eq!(read_from(&*log, 1, oldest).len() as u64, 50 - oldest);
    if oldest > 0 {
        let error = log.read(partition(1), Position(0), 1).expect_err("trimmed");
        assert_eq!(error.kind, ErrorKind::Trimmed);
    }
    assert_eq!(log.tail(partition(1)), Position(50));
}

fn a_forgotten_partition_is_not_listed(open: Open<'_>) {
    let log = open();
    store(&*log, append(1, 1, 2)).expect("stored");
    store(&*log, append(2, 1, 3)).expect("stored");
    assert_eq!(
        log.partitions(),
        [(partition(1), Position(0)..Position(2)), (partition(2), Position(0)..Position(3))]
    );
    log.set_readers(partition(2), true);
    log.forget(partition(1));
    assert_eq!(log.partitions(), [(partition(2), Position(0)..Position(3))]);
}
