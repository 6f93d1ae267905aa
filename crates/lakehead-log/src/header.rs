//! The head of a segment: who it is, what came before it, and where every partition stood when it began.
//!
//! ```text
//!   | copy A | copy B | frames …        both copies are the same, each padded to 4 KiB
//!
//!   0  magic u32             24  segment id u64              48  partitions u32
//!   4  CRC32C u32            32  id of the segment before    52  zero u32
//!   8  version u32               it, 0 if none               56  partitions: stream u128, index u32, flags u32,
//!  12  bytes of a copy u32   40  where that one ended u32        tail u64, oldest u64, last ingest time i64
//!  16  log id u64            44  zero u32
//! ```
//! The header is synced before the first frame behind it is written: no valid header and no valid frame means that the
//! segment was prepared and never used. With the tails, positions go on counting when every older segment is gone; with the
//! end of the segment before, what was once synced there is known to the byte.

use lakehead_model::{Partition, Position, Timestamp};

use crate::codec::{Fields, put_partition, put_timestamp, put_u32, put_u64};
use crate::frame::crc;

const MAGIC: u32 = u32::from_le_bytes(*b"LhSg");
/// 2: frames may hold keys.
pub(crate) const VERSION: u32 = 2;
const FIXED_BYTES: usize = 56;
const ENTRY_BYTES: usize = 48;
const FORGOTTEN: u32 = 1;
/// Headers are padded to this, so that frames start at a page.
pub(crate) const PAGE: u64 = 4096;

/// Where a partition stood when a segment began.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Standing {
    pub(crate) partition: Partition,
    pub(crate) forgotten: bool,
    pub(crate) tail: Position,
    pub(crate) oldest: Position,
    pub(crate) last_time: Timestamp,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SegmentHeader {
    pub(crate) log_id: u64,
    pub(crate) id: u64,
    /// 0: this is the first segment of the log.
    pub(crate) previous: u64,
    pub(crate) previous_end: u32,
    pub(crate) standings: Vec<Standing>,
}

/// What stands where a segment's header should be.
#[derive(Debug)]
pub(crate) enum Found {
    Header {
        header: SegmentHeader,
        copy_bytes: u32,
        /// Whether the first copy is readable, and whether both are.
        first_copy: bool,
        both_copies: bool,
    },
    /// A checksummed header of a format this program does not know.
    NewerVersion(u32),
    Nothing,
}

/// The most partitions whose standings fit the header of a segment: both copies take at most a quarter of it.
pub(crate) fn partitions_max(segment_bytes: u64) -> usize {
    (segment_bytes as usize / 8).saturating_sub(FIXED_BYTES) / ENTRY_BYTES
}

/// Bytes of one copy of a header with `partitions`.
pub(crate) fn copy_bytes(partitions: usize) -> u64 {
    ((FIXED_BYTES + partitions * ENTRY_BYTES) as u64).next_multiple_of(PAGE)
}

impl SegmentHeader {
    /// One copy, padded.
    pub(crate) fn encode(&self) -> Vec<u8> {
        let bytes = copy_bytes(self.standings.len()) as usize;
        let mut out = Vec::with_capacity(bytes);
        put_u32(&mut out, MAGIC);
        put_u32(&mut out, 0);
        put_u32(&mut out, VERSION);
        put_u32(&mut out, bytes as u32);
        put_u64(&mut out, self.log_id);
        put_u64(&mut out, self.id);
        put_u64(&mut out, self.previous);
        put_u32(&mut out, self.previous_end);
        put_u32(&mut out, 0);
        put_u32(&mut out, self.standings.len() as u32);
        put_u32(&mut out, 0);
        for s in &self.standings {
            put_partition(&mut out, s.partition);
            put_u32(&mut out, if s.forgotten { FORGOTTEN } else { 0 });
            put_u64(&mut out, s.tail.0);
            put_u64(&mut out, s.oldest.0);
            put_timestamp(&mut out, s.last_time);
        }
        out.resize(bytes, 0);
        let crc = crc(0, &out[8..]);
        out[4..8].copy_from_slice(&crc.to_le_bytes());
        out
    }

    fn decode_copy(bytes: &[u8]) -> Option<Result<(SegmentHeader, u32), u32>> {
        let mut fields = Fields(bytes);
        let (magic, stored_crc) = (fields.u32()?, fields.u32()?);
        let (version, copy_bytes) = (fields.u32()?, fields.u32()?);
        let copy = bytes.get(..copy_bytes as usize)?;
        if magic != MAGIC || copy.len() < FIXED_BYTES || stored_crc != crc(0, &copy[8..]) {
            return None;
        }
        if !(1..=VERSION).contains(&version) {
            return Some(Err(version));
        }
        let (log_id, id, previous) = (fields.u64()?, fields.u64()?, fields.u64()?);
        let (previous_end, _, count, _) = (fields.u32()?, fields.u32()?, fields.u32()?, fields.u32()?);
        let mut standings = Vec::new();
        for _ in 0..count {
            let partition = fields.partition()?;
            let forgotten = fields.u32()? & FORGOTTEN != 0;
            let (tail, oldest) = (fields.position()?, fields.position()?);
            standings.push(Standing { partition, forgotten, tail, oldest, last_time: fields.timestamp()? });
        }
        Some(Ok((SegmentHeader { log_id, id, previous, previous_end, standings }, copy_bytes)))
    }

    /// Looks for a header, of whatever segment, at the start of a segment file, of which `bytes` are the first. The second
    /// copy is found by trying every page, as an unreadable first copy does not say how long it is.
    pub(crate) fn find(bytes: &[u8]) -> Found {
        let mut newer = None;
        for at in (0..bytes.len()).step_by(PAGE as usize) {
            match SegmentHeader::decode_copy(&bytes[at..]) {
                Some(Ok((header, copy_bytes))) if at == 0 || at == copy_bytes as usize => {
                    let second = bytes.get(copy_bytes as usize..).and_then(SegmentHeader::decode_copy);
                    let both_copies = at == 0 && matches!(second, Some(Ok((other, _))) if other == header);
                    return Found::Header { header, copy_bytes, first_copy: at == 0, both_copies };
                }
                Some(Err(version)) => newer = newer.or(Some(version)),
                _ => {}
            }
        }
        newer.map_or(Found::Nothing, Found::NewerVersion)
    }
}

#[cfg(test)]
mod tests;
