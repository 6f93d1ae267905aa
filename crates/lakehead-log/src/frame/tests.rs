use proptest::prelude::*;

use super::*;

fn header(offset: u32, bounds_bytes: u32, body_bytes: u32) -> FrameHeader {
    FrameHeader {
        segment: 12,
        offset,
        group: offset / 2,
        partition: Partition { stream: StreamId(0x0123_4567_89ab_cdef_0011_2233_4455_6677), index: 3 },
        first: Position(1 << 40),
        count: 17,
        ingest_time: Timestamp(-5),
        bounds_bytes,
        body_bytes,
        payload_crc: 99,
        keys: 0,
    }
}

#[test]
fn the_layout_is_the_one_in_the_picture() {
    let bytes = header(4096, 6, 1000).encode(7);
    assert_eq!(&bytes[..4], b"LhFr");
    assert_eq!(bytes[8..16], 12_u64.to_le_bytes());
    assert_eq!(bytes[16..20], 4096_u32.to_le_bytes());
    assert_eq!(bytes[20..24], 2048_u32.to_le_bytes());
    assert_eq!(bytes[24..32], (1_u64 << 40).to_le_bytes());
    assert_eq!(bytes[32..48], 0x0123_4567_89ab_cdef_0011_2233_4455_6677_u128.to_le_bytes());
    assert_eq!(bytes[48..52], 3_u32.to_le_bytes());
    assert_eq!(bytes[52..56], 17_u32.to_le_bytes());
    assert_eq!(bytes[56..64], (-5_i64).to_le_bytes());
    assert_eq!(bytes[64..68], 6_u32.to_le_bytes());
    assert_eq!(bytes[68..72], 1000_u32.to_le_bytes());
    assert_eq!(bytes[72..76], 99_u32.to_le_bytes());
    assert_eq!(bytes[76..], [0; 4]);
}

#[test]
fn a_header_counts_only_in_its_segment_at_its_offset_in_its_log_and_with_room_for_its_frame() {
    let header = header(4096, 6, 1000);
    let bytes = header.encode(7);
    let end = 4096 + header.frame_bytes() as u32;
    assert_eq!(FrameHeader::decode(&bytes, 7, 12, 4096, end), Some(header));
    assert_eq!(FrameHeader::decode(&bytes, 8, 12, 4096, end), None);
    assert_eq!(FrameHeader::decode(&bytes, 7, 13, 4096, end), None);
    assert_eq!(FrameHeader::decode(&bytes, 7, 12, 4104, end), None);
    assert_eq!(FrameHeader::decode(&bytes, 7, 12, 4096, end - 1), None);
    assert_eq!(FrameHeader::decode(&bytes[..79], 7, 12, 4096, end), None);
}

proptest! {
    #[test]
    fn a_header_is_read_back_as_written(offset: u32, bounds: u32, body: u32, log: u64) {
        let header = header(offset, bounds, body);
        let read = FrameHeader::decode(&header.encode(log), log, 12, offset, u32::MAX);
        let fits = u64::from(offset) + header.frame_bytes() <= u64::from(u32::MAX);
        prop_assert_eq!(read, fits.then_some(header));
    }

    #[test]
    fn a_flipped_bit_anywhere_in_a_header_is_detected(byte in 0..HEADER_BYTES, bit in 0..8_u32) {
        let mut bytes = header(4096, 6, 1000).encode(7);
        bytes[byte] ^= 1 << bit;
        prop_assert_eq!(FrameHeader::decode(&bytes, 7, 12, 4096, u32::MAX), None);
    }

    #[test]
    fn any_payload_is_a_frame_or_refused(payload in prop::collection::vec(any::<u8>(), 0..200), count: u32, bounds: u32, body: u32) {
        let payload = Bytes::from(payload);
        let header = FrameHeader { count, payload_crc: crc32c::crc32c(&payload), ..header(8, bounds, body) };
        if let Some(frame) = header.frame(&payload) {
            prop_assert!(frame.records.fit(frame.body.len()));
            prop_assert_eq!(frame.records.len(), count as usize);
        }
    }
}
