//! Reading and writing little-endian fields of the log's own files: segment headers, index files, the floor.

use lakehead_model::{Partition, Position, StreamId, Timestamp};

/// Takes fields off the front of a buffer; `None` when it is short.
pub(crate) struct Fields<'a>(pub(crate) &'a [u8]);

impl Fields<'_> {
    fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (head, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(*head)
    }

    pub(crate) fn u32(&mut self) -> Option<u32> {
        self.take().map(u32::from_le_bytes)
    }

    pub(crate) fn u64(&mut self) -> Option<u64> {
        self.take().map(u64::from_le_bytes)
    }

    pub(crate) fn timestamp(&mut self) -> Option<Timestamp> {
        self.take().map(i64::from_le_bytes).map(Timestamp)
    }

    pub(crate) fn partition(&mut self) -> Option<Partition> {
        let stream = self.take().map(u128::from_le_bytes)?;
        Some(Partition { stream: StreamId(stream), index: self.u32()? })
    }

    /// A position; `None` also when it is out of the range that appends can reach.
    pub(crate) fn position(&mut self) -> Option<Position> {
        self.u64().filter(|&p| p <= 2 * crate::frame::POSITION_MAX).map(Position)
    }
}

pub(crate) fn put_u32(out: &mut Vec<u8>, n: u32) {
    out.extend_from_slice(&n.to_le_bytes());
}

pub(crate) fn put_u64(out: &mut Vec<u8>, n: u64) {
    out.extend_from_slice(&n.to_le_bytes());
}

pub(crate) fn put_timestamp(out: &mut Vec<u8>, at: Timestamp) {
    out.extend_from_slice(&at.0.to_le_bytes());
}

pub(crate) fn put_partition(out: &mut Vec<u8>, partition: Partition) {
    out.extend_from_slice(&partition.stream.0.to_le_bytes());
    put_u32(out, partition.index);
}
