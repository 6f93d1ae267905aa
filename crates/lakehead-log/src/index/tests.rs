use lakehead_model::StreamId;
use proptest::prelude::*;

use super::*;

fn partition(n: u128) -> Partition {
    Partition::first(StreamId(n))
}

fn frame(n: u128, first: u64, count: u32, offset: u32, body_bytes: u32) -> FrameHeader {
    FrameHeader {
        segment: 1,
        offset,
        group: offset,
        partition: partition(n),
        first: Position(first),
        count,
        ingest_time: Timestamp(i64::from(offset)),
        bounds_bytes: 0,
        body_bytes,
        payload_crc: 0,
        keys: 0,
    }
}

fn lost(n: u128, positions: Range<u64>) -> Lost {
    Lost {
        partition: partition(n),
        positions: Position(positions.start)..Position(positions.end),
        certain: true,
    }
}

/// A segment of frames of three partitions with the given body sizes.
fn sample(sizes: &[u32]) -> (SegmentIndex, Vec<FrameHeader>) {
    let (mut index, mut frames, mut offset, mut next) = (SegmentIndex::default(), Vec::new(), 8192, [0; 3]);
    for (i, &size) in sizes.iter().enumerate() {
        let n = i * 7 % 5 % 3;
        let frame = frame(n as u128, next[n], 1 + size % 5, offset, size);
        next[n] = frame.end().0;
        offset += frame.frame_bytes() as u32;
        index.add(&frame);
        frames.push(frame);
    }
    (index, frames)
}

#[test]
fn small_frames_share_an_entry_and_the_number_of_entries_is_bounded() {
    let (index, frames) = sample(&[700; 20_000]);
    let bytes: u64 = frames.iter().map(FrameHeader::frame_bytes).sum();
    let entries: usize = index.extents.values().map(|e| e.entries.len()).sum();
    let bound = bytes / ENTRY_BYTES + 3 * (1 + bytes / u64::from(ENTRY_SPAN));
    assert!(entries as u64 <= bound + 3, "{entries} entries, {bound} expected");
}

#[test]
fn a_rare_partition_gets_an_entry_when_the_last_one_lies_far_back() {
    let mut index = SegmentIndex::default();
    index.add(&frame(1, 0, 1, 0, 10));
    index.add(&frame(1, 1, 1, ENTRY_SPAN - 8, 10));
    index.add(&frame(1, 2, 1, ENTRY_SPAN, 10));
    let offsets: Vec<u32> = index.extents[&partition(1)].entries.iter().map(|e| e.offset).collect();
    assert_eq!(offsets, [0, ENTRY_SPAN]);
}

#[test]
fn only_positions_not_known_to_be_lost_are_news() {
    let mut index = SegmentIndex::default();
    let mut news = |lost: Lost| {
        let news = index.not_lost_yet(vec![lost.clone()]);
        index.lose(lost);
        news
    };
    assert_eq!(news(lost(1, 10..20)), [lost(1, 10..20)]);
    assert_eq!(news(lost(1, 12..15)), []);
    assert_eq!(news(lost(1, 20..30)), [lost(1, 20..30)]);
    assert_eq!(news(lost(1, 10..30)), []);
    assert_eq!(news(lost(1, 5..40)), [lost(1, 5..10), lost(1, 30..40)]);
    assert_eq!(news(lost(2, 10..20)), [lost(2, 10..20)]);
    assert_eq!(news(lost(1, 50..50)), []);
}

proptest! {
    #[test]
    fn seeking_finds_a_frame_at_or_before_the_position(sizes in prop::collection::vec(0_u32..200_000, 1..60), pick: prop::sample::Index) {
        let (index, frames) = sample(&sizes);
        let wanted = frames[pick.index(frames.len())];
        let entry = index.seek(wanted.partition, Position(wanted.end().0 - 1)).unwrap();
        prop_assert!(entry.offset <= wanted.offset && entry.first <= wanted.first);
        let between: u64 = frames.iter()
            .filter(|f| f.partition == wanted.partition && f.offset >= entry.offset && f.offset < wanted.offset)
            .map(FrameHeader::frame_bytes).sum();
        prop_assert!(between <= ENTRY_BYTES + 200_100, "{between} bytes to hop");
        let end = index.extents[&wanted.partition].end;
        prop_assert_eq!(index.seek(wanted.partition, end), None);
        prop_assert_eq!(index.seek(partition(9), Position(0)), None);
    }

    #[test]
    fn an_index_file_is_read_back_as_written(sizes in prop::collection::vec(0_u32..200_000, 0..60)) {
        let (mut index, _) = sample(&sizes);
        index.lose(lost(1, 3..9));
        let bytes = index.encode(7, 3, 5000);
        let (read, end) = SegmentIndex::decode(&bytes, 7, 3).unwrap();
        prop_assert_eq!(end, 5000);
        prop_assert_eq!(read.encode(7, 3, 5000), bytes.clone());
        prop_assert!(SegmentIndex::decode(&bytes, 8, 3).is_none(), "of another log");
        prop_assert!(SegmentIndex::decode(&bytes, 7, 4).is_none(), "of another segment");
    }

    #[test]
    fn a_changed_index_file_is_refused(at: prop::sample::Index, bit in 0..8_u32) {
        let mut bytes = sample(&[100; 10]).0.encode(7, 3, 5000);
        let at = at.index(bytes.len());
        bytes[at] ^= 1 << bit;
        prop_assert!(SegmentIndex::decode(&bytes, 7, 3).is_none());
        bytes.truncate(at);
        prop_assert!(SegmentIndex::decode(&bytes, 7, 3).is_none());
    }

    #[test]
    fn any_bytes_are_read_or_refused(mut bytes in prop::collection::vec(any::<u8>(), 0..400), seal: bool) {
        if seal && bytes.len() >= 32 {
            // A right checksum over anything.
            bytes[..4].copy_from_slice(&MAGIC.to_le_bytes());
            bytes[8..12].copy_from_slice(&VERSION.to_le_bytes());
            bytes[16..24].copy_from_slice(&7_u64.to_le_bytes());
            bytes[24..32].copy_from_slice(&3_u64.to_le_bytes());
            let crc = crc(0, &bytes[8..]);
            bytes[4..8].copy_from_slice(&crc.to_le_bytes());
        }
        let _ = SegmentIndex::decode(&bytes, 7, 3);
    }
}
