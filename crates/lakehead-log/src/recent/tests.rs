use bytes::Bytes;
use lakehead_model::{StreamId, Timestamp};

use super::*;
use crate::records::Records;

fn frame(n: u128, first: u64, count: u64, body_bytes: usize) -> Frame {
    Frame {
        partition: Partition::first(StreamId(n)),
        first: Position(first),
        ingest_time: Timestamp(0),
        body: Bytes::from(vec![0; body_bytes]),
        records: Records::new(vec![(0, 0); count as usize]),
    }
}

fn firsts(recent: &Recent, n: u128, from: u64, max_bytes: usize) -> Vec<u64> {
    let frames = recent.get(Partition::first(StreamId(n)), Position(from), max_bytes);
    frames.iter().map(|f| f.first.0).collect()
}

#[test]
fn frames_come_from_the_one_that_holds_the_position_until_the_bytes_are_reached() {
    let recent = Recent::new(1 << 20);
    recent.keep(
        [frame(1, 10, 5, 100), frame(2, 0, 1, 100), frame(1, 15, 1, 100), frame(1, 16, 4, 100)].into_iter(),
    );
    assert_eq!(firsts(&recent, 1, 10, 1000), [10, 15, 16]);
    assert_eq!(firsts(&recent, 1, 14, 1000), [10, 15, 16]);
    assert_eq!(firsts(&recent, 1, 14, 100), [10]);
    assert_eq!(firsts(&recent, 1, 14, 101), [10, 15]);
    assert_eq!(firsts(&recent, 1, 15, 0), [15]);
    assert!(firsts(&recent, 1, 9, 1000).is_empty(), "before what is kept");
    assert!(firsts(&recent, 1, 20, 1000).is_empty(), "behind what is kept");
    assert!(firsts(&recent, 3, 0, 1000).is_empty());
}

#[test]
fn the_oldest_frames_of_all_partitions_go_first_and_the_bound_holds() {
    let recent = Recent::new(5 * (1000 + 8 + 128));
    for i in 0..20 {
        recent.keep(std::iter::once(frame(u128::from(i % 3), i / 3, 1, 1000)));
        assert!(recent.state.lock().bytes <= recent.bytes_max);
    }
    assert_eq!(firsts(&recent, 0, 5, 9000), [5, 6]);
    assert_eq!(firsts(&recent, 1, 5, 9000), [5, 6]);
    assert_eq!(firsts(&recent, 2, 5, 9000), [5]);
    assert!(firsts(&recent, 0, 4, 9000).is_empty());
    recent.keep(std::iter::once(frame(9, 0, 1, 10_000)));
    assert!(recent.state.lock().frames.is_empty(), "a frame larger than the bound is not kept");
    assert_eq!(recent.state.lock().bytes, 0);
}
