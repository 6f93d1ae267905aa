use lakehead_model::StreamId;
use proptest::prelude::*;

use super::*;

fn header(id: u64, partitions: u32) -> SegmentHeader {
    let standing = |i: u32| Standing {
        partition: Partition { stream: StreamId(u128::from(i) << 100), index: i },
        forgotten: i.is_multiple_of(3),
        tail: Position(u64::from(i) << 32),
        oldest: Position(u64::from(i)),
        last_time: Timestamp(i64::from(i) - 5),
    };
    SegmentHeader {
        log_id: 77,
        id,
        previous: id - 1,
        previous_end: 4096,
        standings: (0..partitions).map(standing).collect(),
    }
}

/// Both copies, as they lie in a file.
fn file(header: &SegmentHeader) -> Vec<u8> {
    let copy = header.encode();
    [copy.clone(), copy].concat()
}

fn found(bytes: &[u8]) -> Option<(SegmentHeader, bool, bool)> {
    match SegmentHeader::find(bytes) {
        Found::Header { header, first_copy, both_copies, .. } => Some((header, first_copy, both_copies)),
        _ => None,
    }
}

#[test]
fn a_header_of_any_size_is_found_and_either_copy_will_do() {
    for partitions in [0, 1, 84, 85, 500] {
        let header = header(9, partitions);
        let whole = file(&header);
        assert_eq!(whole.len() as u64, 2 * copy_bytes(partitions as usize));
        assert_eq!(found(&whole), Some((header.clone(), true, true)));
        let mut first_bad = whole.clone();
        first_bad[100] ^= 1;
        assert_eq!(found(&first_bad), Some((header.clone(), false, false)));
        let mut second_bad = whole.clone();
        let half = whole.len() / 2;
        second_bad[half + 100] ^= 1;
        assert_eq!(found(&second_bad), Some((header.clone(), true, false)));
        first_bad[half + 4000] ^= 1;
        assert_eq!(found(&first_bad), None);
    }
}

#[test]
fn the_header_of_a_newer_format_is_named_as_such() {
    let copy = of_version(3);
    assert!(matches!(SegmentHeader::find(&[copy.clone(), copy].concat()), Found::NewerVersion(3)));
}

#[test]
fn the_header_of_an_older_format_is_read() {
    let copy = of_version(1);
    assert_eq!(found(&[copy.clone(), copy].concat()), Some((header(9, 2), true, true)));
}

fn of_version(version: u8) -> Vec<u8> {
    let mut copy = header(9, 2).encode();
    copy[8] = version;
    let crc = crc(0, &copy[8..]);
    copy[4..8].copy_from_slice(&crc.to_le_bytes());
    copy
}

#[test]
fn as_many_partitions_as_are_allowed_leave_three_quarters_for_frames() {
    for segment_bytes in [64 << 10, 1 << 20, 64 << 20] {
        assert!(2 * copy_bytes(partitions_max(segment_bytes)) <= segment_bytes / 4);
        assert!(partitions_max(segment_bytes) > 100);
    }
}

proptest! {
    #[test]
    fn any_bytes_are_a_header_or_not(bytes in prop::collection::vec(any::<u8>(), 0..300), at in prop::sample::select(vec![0_usize, 4096, 8192])) {
        let mut file = file(&header(3, 90));
        let end = file.len().min(at + bytes.len());
        file[at..end].copy_from_slice(&bytes[..end - at]);
        if let Some((found, _, _)) = found(&file) {
            prop_assert_eq!(found, header(3, 90));
        }
    }
}
