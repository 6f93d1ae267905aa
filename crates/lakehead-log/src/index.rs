//! What a segment holds of each partition, and where: kept in memory for every segment, and beside a sealed segment in a
//! file `<id>.idx`, so that opening the log need not read the segment.
//!
//! Sparse: one entry for every [`ENTRY_BYTES`] of a partition's own frames, or [`ENTRY_SPAN`] of the segment. In memory an
//! entry takes 16 bytes: at worst 16 B per 64 KiB of log, plus 16 B per partition and 4 MiB; 25 MiB for a log of 100 GiB with
//! one partition. Readers hop from an entry to the frame they want by the frames' headers.
//!
//! ```text
//!   0  magic u32       16  log id u64         36  extents u32      then for each extent: partition, entries u32, first, end,
//!   4  CRC32C u32      24  segment id u64     40  lost u32         last time, (first, offset u32)…
//!   8  version u32     32  end of frames u32  44  keys u32         then for each lost range: partition, certain u32, first, end
//!  12  zero u32
//! ```
//! The file is an aid and nothing more: without a valid one the segment is read instead, with the same outcome.

use std::collections::BTreeMap;
use std::ops::Range;

use lakehead_model::{Partition, Position, Timestamp};

use crate::codec::{Fields, put_partition, put_timestamp, put_u32, put_u64};
use crate::frame::{FrameHeader, crc};

const MAGIC: u32 = u32::from_le_bytes(*b"LhIx");
const VERSION: u32 = 1;
const ENTRY_BYTES: u64 = 64 << 10;
const ENTRY_SPAN: u32 = 4 << 20;

/// A frame's place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) first: Position,
    pub(crate) offset: u32,
}

/// What a segment holds of one partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Extent {
    pub(crate) first: Position,
    pub(crate) end: Position,
    pub(crate) last_time: Timestamp,
    /// Ascending; the first is the partition's first frame.
    pub(crate) entries: Vec<Entry>,
    /// Bytes of own frames since the last entry.
    since: u64,
}

/// Positions that were written and can not be read any more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lost {
    pub partition: Partition,
    pub positions: Range<Position>,
    /// `false`: positions that may never have been given out, skipped because the damage hid how many were.
    pub certain: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct SegmentIndex {
    pub(crate) extents: BTreeMap<Partition, Extent>,
    pub(crate) lost: Vec<Lost>,
    /// Appends that came with a key; the keys stand in a file of their own.
    pub(crate) keys: u32,
}

impl SegmentIndex {
    /// Takes note of a frame. Frames come in the order of their offsets.
    pub(crate) fn add(&mut self, frame: &FrameHeader) {
        let entry = Entry { first: frame.first, offset: frame.offset };
        let extent = self.extents.entry(frame.partition).or_insert_with(|| Extent {
            first: frame.first,
            end: frame.first,
            last_time: frame.ingest_time,
            entries: vec![entry],
            since: 0,
        });
        let last = extent.entries.last().map_or(0, |e| e.offset);
        if extent.since >= ENTRY_BYTES || frame.offset - last >= ENTRY_SPAN {
            extent.entries.push(entry);
            extent.since = 0;
        }
        extent.since += frame.frame_bytes();
        extent.end = frame.end();
        extent.last_time = extent.last_time.max(frame.ingest_time);
        self.keys += frame.keys;
    }

    /// The place of a frame of `partition` at or before `position`, the nearest one known; `None` if all the partition has
    /// here lies before `position`.
    pub(crate) fn seek(&self, partition: Partition, position: Position) -> Option<Entry> {
        let extent = self.extents.get(&partition)?;
        if extent.end <= position {
            return None;
        }
        let behind = extent.entries.partition_point(|e| e.first <= position);
        extent.entries.get(behind.saturating_sub(1)).copied()
    }

    /// What of `lost` is not known to be lost here.
    pub(crate) fn not_lost_yet(&self, lost: Vec<Lost>) -> Vec<Lost> {
        let outside = |lost: Lost, known: &Range<Position>| {
            let Range { start, end } = lost.positions;
            let parts = [start..end.min(known.start), start.max(known.end)..end];
            parts
                .into_iter()
                .filter(|part| part.start < part.end)
                .map(move |positions| Lost { positions, ..lost.clone() })
        };
        let lost = lost.into_iter().filter(|l| l.positions.start < l.positions.end).collect();
        self.lost.iter().fold(lost, |news: Vec<Lost>, known| {
            let cut = |new: Lost| match new.partition == known.partition {
                true => outside(new, &known.positions).collect(),
                false => vec![new],
            };
            news.into_iter().flat_map(cut).collect()
        })
    }

    /// Notes that positions are lost.
    pub(crate) fn lose(&mut self, lost: Lost) {
        let news = self.not_lost_yet(vec![lost]);
        self.lost.extend(news);
    }

    /// When the youngest record came.
    pub(crate) fn last_time(&self) -> Option<Timestamp> {
        self.extents.values().map(|e| e.last_time).max()
    }

    pub(crate) fn encode(&self, log_id: u64, segment: u64, end: u32) -> Vec<u8> {
        let mut out = Vec::new();
        for n in [MAGIC, 0, VERSION, 0] {
            put_u32(&mut out, n);
        }
        put_u64(&mut out, log_id);
        put_u64(&mut out, segment);
        for n in [end, self.extents.len() as u32, self.lost.len() as u32, self.keys] {
            put_u32(&mut out, n);
        }
        for (partition, extent) in &self.extents {
            put_partition(&mut out, *partition);
            put_u32(&mut out, extent.entries.len() as u32);
            put_u64(&mut out, extent.first.0);
            put_u64(&mut out, extent.end.0);
            put_timestamp(&mut out, extent.last_time);
            for entry in &extent.entries {
                put_u64(&mut out, entry.first.0);
                put_u32(&mut out, entry.offset);
            }
        }
        for lost in &self.lost {
            put_partition(&mut out, lost.partition);
            put_u32(&mut out, u32::from(lost.certain));
            put_u64(&mut out, lost.positions.start.0);
            put_u64(&mut out, lost.positions.end.0);
        }
        let crc = crc(0, &out[8..]);
        out[4..8].copy_from_slice(&crc.to_le_bytes());
        out
    }

    /// The index and the end of the frames; `None` for anything but a whole index file of this segment of this log.
    pub(crate) fn decode(bytes: &[u8], log_id: u64, segment: u64) -> Option<(SegmentIndex, u32)> {
        let mut fields = Fields(bytes);
        if fields.u32()? != MAGIC || fields.u32()? != crc(0, bytes.get(8..)?) || fields.u32()? != VERSION {
            return None;
        }
        fields.u32()?;
        if fields.u64()? != log_id || fields.u64()? != segment {
            return None;
        }
        let (end, extents, lost, keys) = (fields.u32()?, fields.u32()?, fields.u32()?, fields.u32()?);
        let mut index = SegmentIndex { keys, ..SegmentIndex::default() };
        for _ in 0..extents {
            let partition = fields.partition()?;
            let count = fields.u32()?;
            let (first, extent_end) = (fields.position()?, fields.position()?);
            let last_time = fields.timestamp()?;
            let mut entries = Vec::new();
            for _ in 0..count {
                entries.push(Entry { first: fields.position()?, offset: fields.u32()? });
            }
            let extent = Extent { first, end: extent_end, last_time, entries, since: 0 };
            index.extents.insert(partition, extent);
        }
        for _ in 0..lost {
            let partition = fields.partition()?;
            let certain = fields.u32()? != 0;
            let positions = fields.position()?..fields.position()?;
            index.lost.push(Lost { partition, positions, certain });
        }
        Some((index, end))
    }
}

#[cfg(test)]
mod tests;
