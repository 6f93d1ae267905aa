//! A group: the appends that one write and one sync make durable, as frames.
//!
//! ```text
//!            offset of the group                                    its end
//!   page         │                                                  │   page
//!    │ end of the group before │ frame │ frame │ …                  │ 0 0 │
//!    └──────────────────────── one write of whole pages ────────────────┘
//! ```
//! Appends of one partition become one frame, so a partition occurs at most once in a group. Everything is copied into one
//! page-aligned buffer: the write then goes past the page cache, which costs less than filling the cache would. The page that
//! two groups share is written again with the same bytes in front.

use std::collections::HashMap;
use std::io::{self, IoSlice};

use bytes::Bytes;
use lakehead_disk::File;
use lakehead_model::{Partition, Timestamp};

use crate::frame::{ALIGN, Frame, FrameHeader, HEADER_BYTES};
use crate::header::PAGE;
use crate::keys::{ENTRY_BYTES, KeyEntry};
use crate::pages::Pages;
use crate::queue::Pending;
use crate::records::{BoundsWriter, Records, bounds_bytes_max};

/// Bodies above this are kept for readers as they came, and not copied again.
const COPY_BYTES_MAX: usize = 16 << 10;

/// The most bytes an append can take as a frame of its own.
pub(crate) fn append_bytes_max(records: usize, body_bytes: usize) -> u64 {
    (HEADER_BYTES + ENTRY_BYTES + bounds_bytes_max(records) + body_bytes + ALIGN as usize) as u64
}

/// The appends of one partition in the group.
#[derive(Debug)]
pub(crate) struct GroupFrame {
    pub(crate) appends: Vec<Pending>,
    pub(crate) header: Option<FrameHeader>,
    /// Where the body lies in the buffer.
    body_at: usize,
    body_bytes: u32,
    records: u32,
}

/// Where a group goes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Place {
    pub(crate) log_id: u64,
    pub(crate) segment: u64,
    pub(crate) offset: u32,
}

/// Builds one group after the other, and keeps its buffers between them.
#[derive(Debug, Default)]
pub(crate) struct Group {
    pub(crate) frames: Vec<GroupFrame>,
    by_partition: HashMap<Partition, usize>,
    spare: Vec<Vec<Pending>>,
    bytes_max: u64,
    queue_bytes: usize,
    bounds: Vec<u8>,
    /// The keys of its appends, with where they are stored.
    pub(crate) keys: Vec<KeyEntry>,
    keys_text: Vec<u8>,
    /// What is written; between groups, the bytes before the next group in its first page.
    pages: Pages,
    end: usize,
}

impl Group {
    /// A new segment begins, at a page boundary.
    pub(crate) fn begin_segment(&mut self) {
        self.pages.clear();
    }

    /// Takes an append in, or gives it back if the group could then be larger than `limit`.
    pub(crate) fn add(&mut self, pending: Pending, limit: u64) -> Option<Pending> {
        let bytes = append_bytes_max(pending.records.len(), pending.body.len());
        if self.bytes_max + bytes > limit {
            return Some(pending);
        }
        self.bytes_max += bytes;
        self.queue_bytes += pending.bytes();
        let at = *self.by_partition.entry(pending.state.partition).or_insert(self.frames.len());
        if at == self.frames.len() {
            let appends = self.spare.pop().unwrap_or_default();
            self.frames.push(GroupFrame { appends, header: None, body_at: 0, body_bytes: 0, records: 0 });
        }
        let frame = &mut self.frames[at];
        frame.body_bytes += pending.body.len() as u32;
        frame.records += pending.records.len() as u32;
        frame.appends.push(pending);
        None
    }

    /// Gives out positions and times, and lays the frames out. Returns the offset behind the last frame.
    pub(crate) fn encode(&mut self, place: Place, now: Timestamp) -> u32 {
        let mut at = place.offset;
        for frame in &mut self.frames {
            let state = &frame.appends[0].state;
            let first = state.next();
            let keys_before = self.keys.len();
            self.bounds.clear();
            self.keys_text.clear();
            let mut bounds = BoundsWriter::default();
            let mut at_record = first;
            for append in &frame.appends {
                let count = append.records.len() as u32;
                if let Some(keyed) = append.keyed {
                    let entry =
                        KeyEntry { key: keyed.key, first: at_record, count, body_crc: keyed.body_crc };
                    entry.put(&mut self.keys_text);
                    self.keys.push(entry);
                }
                at_record = at_record.plus(u64::from(count));
                bounds.body(&mut self.bounds, &append.records, append.body.len() as u32);
            }
            let mut header = FrameHeader {
                segment: place.segment,
                offset: at,
                group: place.offset,
                partition: state.partition,
                first,
                count: frame.records,
                ingest_time: state.ingest_time(now),
                bounds_bytes: self.bounds.len() as u32,
                body_bytes: frame.body_bytes,
                payload_crc: 0,
                keys: (self.keys.len() - keys_before) as u32,
            };
            state.assign(header.end());
            let head_at = self.pages.len();
            let frame_bytes = header.frame_bytes() as usize;
            self.pages.push_zeros(HEADER_BYTES);
            self.pages.push(&self.keys_text);
            self.pages.push(&self.bounds);
            frame.body_at = self.pages.len();
            for append in &frame.appends {
                self.pages.push(&append.body);
            }
            self.pages.push_zeros(head_at + frame_bytes - self.pages.len());
            header.payload_crc =
                crc32c::crc32c(self.pages.get(head_at + HEADER_BYTES..head_at + frame_bytes));
            self.pages.get_mut(head_at..head_at + HEADER_BYTES).copy_from_slice(&header.encode(place.log_id));
            at += frame_bytes as u32;
            frame.header = Some(header);
        }
        self.end = self.pages.len();
        self.pages.push_zeros(self.end.next_multiple_of(PAGE as usize) - self.end);
        at
    }

    /// Writes the group that was laid out for `offset`.
    pub(crate) fn write(&self, file: &dyn File, offset: u32) -> io::Result<()> {
        let page = u64::from(offset) / PAGE * PAGE;
        file.write_at(&[IoSlice::new(self.pages.get(0..self.pages.len()))], page)
    }

    /// The group as frames for readers: appends of small bodies stay together, others are frames of their own.
    pub(crate) fn recent(&self) -> Vec<Frame> {
        let mut frames = Vec::with_capacity(self.frames.len());
        for frame in &self.frames {
            let Some(header) = &frame.header else { continue };
            let like = |first, body, records| Frame {
                partition: header.partition,
                first,
                ingest_time: header.ingest_time,
                body,
                records,
            };
            if frame.appends.iter().all(|append| append.body.len() <= COPY_BYTES_MAX) {
                let body = self.pages.get(frame.body_at..frame.body_at + frame.body_bytes as usize);
                frames.push(like(header.first, Bytes::copy_from_slice(body), joined(&frame.appends)));
                continue;
            }
            let mut first = header.first;
            for append in &frame.appends {
                frames.push(like(first, append.body.clone(), append.records.clone()));
                first = first.plus(append.records.len() as u64);
            }
        }
        frames
    }

    /// What its appends count in the queue.
    pub(crate) fn queue_bytes(&self) -> usize {
        self.queue_bytes
    }

    /// Empties the group, telling `each` append its frame and how many records stand before it there.
    pub(crate) fn finish(&mut self, mut each: impl FnMut(Pending, &FrameHeader, u64)) {
        for mut frame in self.frames.drain(..) {
            let mut done = 0;
            for append in frame.appends.drain(..) {
                let records = append.records.len() as u64;
                if let Some(header) = &frame.header {
                    each(append, header, done);
                }
                done += records;
            }
            self.spare.push(frame.appends);
        }
        self.by_partition.clear();
        self.keys.clear();
        self.pages.keep_last_page(self.end);
        (self.bytes_max, self.queue_bytes) = (0, 0);
    }
}

/// The records of bodies that stand one behind the other.
fn joined(appends: &[Pending]) -> Records {
    let mut base = 0;
    let shifted = appends.iter().flat_map(|append| {
        let at = base;
        base += append.body.len() as u32;
        append.records.iter().map(move |(start, end)| (at + start, at + end))
    });
    shifted.collect()
}
