//! Frames: what the log stores, byte for byte.
//!
//! ```text
//!   0  magic u32            24  first position u64       64  bounds bytes u32
//!   4  header CRC32C u32    32  stream u128              68  body bytes u32
//!   8  segment id u64       48  partition index u32      72  payload CRC32C u32
//!  16  own offset u32       52  record count u32         76  keys u32
//!  20  group start u32      56  ingest time i64, µs      80  keys (see `keys.rs`), bounds, body, zeros up to 8 bytes
//! ```
//! Little endian. The header's checksum covers bytes 8 to 80 and starts from the log's random id, so that nothing a client
//! sends can pass for a header; the payload's covers everything from byte 80 to the end of the frame.
//!
//! Segment id and offset make old content of a recycled file unreadable. The group start tells a torn tail from damage: a
//! group is written only when everything before it is synced, so whatever lies before the group start of any valid header
//! was once whole.

use bytes::Bytes;
use lakehead_model::{Partition, Position, StreamId, Timestamp};

use crate::keys::{self, KeyEntry};
use crate::records::{self, Records};

pub(crate) const MAGIC: u32 = u32::from_le_bytes(*b"LhFr");
pub(crate) const HEADER_BYTES: usize = 80;
/// Frames start at multiples of this.
pub(crate) const ALIGN: u32 = 8;
/// Positions stay below this, so that adding a record count cannot overflow.
pub(crate) const POSITION_MAX: u64 = 1 << 62;

/// Some records of a partition, as they came, with the time they came at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    pub partition: Partition,
    /// Position of the first record; the others follow densely.
    pub first: Position,
    pub ingest_time: Timestamp,
    /// Bodies of one or more appends, one behind the other.
    pub body: Bytes,
    /// Where the records lie in `body`.
    pub records: Records,
}

impl Frame {
    /// The position behind the last record.
    pub fn end(&self) -> Position {
        self.first.plus(self.records.len() as u64)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct FrameHeader {
    pub(crate) segment: u64,
    pub(crate) offset: u32,
    pub(crate) group: u32,
    pub(crate) partition: Partition,
    pub(crate) first: Position,
    pub(crate) count: u32,
    pub(crate) ingest_time: Timestamp,
    pub(crate) bounds_bytes: u32,
    pub(crate) body_bytes: u32,
    pub(crate) payload_crc: u32,
    /// Appends in it that came with a key.
    pub(crate) keys: u32,
}

impl FrameHeader {
    /// The position behind the last record.
    pub(crate) fn end(&self) -> Position {
        self.first.plus(u64::from(self.count))
    }

    /// Bytes from the start of the frame to the start of the next.
    pub(crate) fn frame_bytes(&self) -> u64 {
        frame_bytes(self.keys_bytes() + u64::from(self.bounds_bytes) + u64::from(self.body_bytes))
    }

    fn keys_bytes(&self) -> u64 {
        u64::from(self.keys) * keys::ENTRY_BYTES as u64
    }

    pub(crate) fn encode(&self, log_id: u64) -> [u8; HEADER_BYTES] {
        let mut out = [0; HEADER_BYTES];
        let mut put = |at: usize, bytes: &[u8]| out[at..at + bytes.len()].copy_from_slice(bytes);
        put(0, &MAGIC.to_le_bytes());
        put(8, &self.segment.to_le_bytes());
        put(16, &self.offset.to_le_bytes());
        put(20, &self.group.to_le_bytes());
        put(32, &self.partition.stream.0.to_le_bytes());
        put(48, &self.partition.index.to_le_bytes());
        put(52, &self.count.to_le_bytes());
        put(24, &self.first.0.to_le_bytes());
        put(56, &self.ingest_time.0.to_le_bytes());
        put(64, &self.bounds_bytes.to_le_bytes());
        put(68, &self.body_bytes.to_le_bytes());
        put(72, &self.payload_crc.to_le_bytes());
        put(76, &self.keys.to_le_bytes());
        let crc = crc(log_id, &out[8..]);
        out[4..8].copy_from_slice(&crc.to_le_bytes());
        out
    }

    /// Reads the header at the start of `bytes` if it is one of `segment`, at `offset`, and its frame ends by `limit`.
    pub(crate) fn decode(bytes: &[u8], log_id: u64, segment: u64, offset: u32, limit: u32) -> Option<Self> {
        let bytes: &[u8; HEADER_BYTES] = bytes.get(..HEADER_BYTES)?.try_into().ok()?;
        if u32_at(bytes, 0) != MAGIC || u32_at(bytes, 4) != crc(log_id, &bytes[8..]) {
            return None;
        }
        let header = FrameHeader {
            segment: u64_at(bytes, 8),
            offset: u32_at(bytes, 16),
            group: u32_at(bytes, 20),
            partition: Partition {
                stream: StreamId(u128::from(u64_at(bytes, 40)) << 64 | u128::from(u64_at(bytes, 32))),
                index: u32_at(bytes, 48),
            },
            first: Position(u64_at(bytes, 24)),
            count: u32_at(bytes, 52),
            ingest_time: Timestamp(u64_at(bytes, 56).cast_signed()),
            bounds_bytes: u32_at(bytes, 64),
            body_bytes: u32_at(bytes, 68),
            payload_crc: u32_at(bytes, 72),
            keys: u32_at(bytes, 76),
        };
        let fits = u64::from(offset) + header.frame_bytes() <= u64::from(limit);
        (header.segment == segment
            && header.offset == offset
            && header.group <= offset
            && header.count > 0
            && header.first.0 < POSITION_MAX
            && fits)
            .then_some(header)
    }

    /// The frame, if `payload` (everything behind the header, padding included) is what the header's checksum says.
    pub(crate) fn frame(&self, payload: &Bytes) -> Option<Frame> {
        if payload.len() as u64 + HEADER_BYTES as u64 != self.frame_bytes()
            || crc32c::crc32c(payload) != self.payload_crc
        {
            return None;
        }
        let keys_end = self.keys_bytes() as usize;
        let body_at = keys_end + self.bounds_bytes as usize;
        let records = records::read_bounds(payload.get(keys_end..body_at)?, self.count, self.body_bytes)?;
        Some(Frame {
            partition: self.partition,
            first: self.first,
            ingest_time: self.ingest_time,
            body: payload.slice(body_at..body_at + self.body_bytes as usize),
            records,
        })
    }

    /// The keys in the payload of a frame that is whole.
    pub(crate) fn read_keys(&self, payload: &[u8]) -> Option<Vec<KeyEntry>> {
        KeyEntry::read_all(payload.get(..self.keys_bytes() as usize)?)
    }
}

/// Bytes of a frame whose bounds and body take `payload_bytes`.
pub(crate) fn frame_bytes(payload_bytes: u64) -> u64 {
    (HEADER_BYTES as u64 + payload_bytes).next_multiple_of(u64::from(ALIGN))
}

/// CRC32C of `bytes`, started from the log's id.
pub(crate) fn crc(log_id: u64, bytes: &[u8]) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c(&log_id.to_le_bytes()), bytes)
}

fn u32_at(bytes: &[u8; HEADER_BYTES], at: usize) -> u32 {
    u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}

fn u64_at(bytes: &[u8; HEADER_BYTES], at: usize) -> u64 {
    u64::from(u32_at(bytes, at + 4)) << 32 | u64::from(u32_at(bytes, at))
}

#[cfg(test)]
mod tests;
