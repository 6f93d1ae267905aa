//! A group: the appends that one write and one sync make durable, as frames.
//!
//! Appends of one partition become one frame, so a partition occurs at most once in a group. Small bodies are copied
//! together, as the kernel takes one large piece faster than many small ones; large ones are written from where they are.

use std::collections::HashMap;
use std::io::{self, IoSlice};
use std::ops::Range;

use bytes::Bytes;
use lakehead_disk::File;
use lakehead_model::{Partition, Timestamp};

use crate::frame::{ALIGN, Frame, FrameHeader, HEADER_BYTES};
use crate::header::PAGE;
use crate::queue::Pending;
use crate::records::{BoundsWriter, Records, bounds_bytes_max};

/// Bodies up to this size are copied.
const COPY_BYTES_MAX: usize = 16 << 10;

/// The most bytes an append can take as a frame of its own.
pub(crate) fn append_bytes_max(records: usize, body_bytes: usize) -> u64 {
    (HEADER_BYTES + bounds_bytes_max(records) + body_bytes + ALIGN as usize) as u64
}

#[derive(Debug)]
enum Piece {
    Scratch(Range<usize>),
    Body(Bytes),
}

/// The appends of one partition in the group.
#[derive(Debug)]
pub(crate) struct GroupFrame {
    pub(crate) appends: Vec<Pending>,
    pub(crate) header: Option<FrameHeader>,
    /// Where the body lies in the scratch buffer, if all of it was copied there.
    copied_at: Option<usize>,
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
    pieces: Vec<Piece>,
    scratch: Vec<u8>,
}

impl Group {
    /// Takes an append in unless the group could then be larger than `limit`.
    pub(crate) fn add(&mut self, pending: Pending, limit: u64) -> Result<(), Pending> {
        let bytes = append_bytes_max(pending.records.len(), pending.body.len());
        if self.bytes_max + bytes > limit {
            return Err(pending);
        }
        self.bytes_max += bytes;
        self.queue_bytes += pending.bytes();
        let at = *self.by_partition.entry(pending.state.partition).or_insert(self.frames.len());
        if at == self.frames.len() {
            let appends = self.spare.pop().unwrap_or_default();
            self.frames.push(GroupFrame {
                appends,
                header: None,
                copied_at: None,
                body_bytes: 0,
                records: 0,
            });
        }
        let frame = &mut self.frames[at];
        frame.body_bytes += pending.body.len() as u32;
        frame.records += pending.records.len() as u32;
        frame.appends.push(pending);
        Ok(())
    }

    /// Gives out positions and times, and lays the frames out. Returns the offset behind the last frame.
    pub(crate) fn encode(&mut self, place: Place, now: Timestamp) -> u32 {
        self.scratch.clear();
        self.pieces.clear();
        let mut at = place.offset;
        let mut run_start = 0;
        for frame in &mut self.frames {
            let state = &frame.appends[0].state;
            let head_at = self.scratch.len();
            self.scratch.resize(head_at + HEADER_BYTES, 0);
            let mut bounds = BoundsWriter::default();
            for append in &frame.appends {
                bounds.body(&mut self.scratch, &append.records, append.body.len() as u32);
            }
            let bounds_bytes = (self.scratch.len() - head_at - HEADER_BYTES) as u32;
            let mut crc = 0;
            let mut crc_from = head_at + HEADER_BYTES;
            frame.copied_at = Some(self.scratch.len());
            for append in &frame.appends {
                if append.body.len() <= COPY_BYTES_MAX {
                    self.scratch.extend_from_slice(&append.body);
                } else {
                    frame.copied_at = None;
                    let run_end = self.scratch.len();
                    crc = crc32c::crc32c_append(crc, &self.scratch[crc_from..run_end]);
                    crc = crc32c::crc32c_append(crc, &append.body);
                    self.pieces.push(Piece::Scratch(run_start..run_end));
                    self.pieces.push(Piece::Body(append.body.clone()));
                    (crc_from, run_start) = (run_end, run_end);
                }
            }
            let first = state.next();
            let mut header = FrameHeader {
                segment: place.segment,
                offset: at,
                group: place.offset,
                partition: state.partition,
                first,
                count: frame.records,
                ingest_time: state.ingest_time(now),
                bounds_bytes,
                body_bytes: frame.body_bytes,
                payload_crc: 0,
            };
            state.assign(header.end());
            let unpadded = HEADER_BYTES as u64 + u64::from(bounds_bytes) + u64::from(frame.body_bytes);
            let padding = (header.frame_bytes() - unpadded) as usize;
            self.scratch.resize(self.scratch.len() + padding, 0);
            header.payload_crc = crc32c::crc32c_append(crc, &self.scratch[crc_from..]);
            self.scratch[head_at..head_at + HEADER_BYTES].copy_from_slice(&header.encode(place.log_id));
            at += header.frame_bytes() as u32;
            frame.header = Some(header);
        }
        // Whole pages, so that neither this write nor the next has to read one from the disk first.
        let padding = u64::from(at).next_multiple_of(PAGE) - u64::from(at);
        self.scratch.resize(self.scratch.len() + padding as usize, 0);
        self.pieces.push(Piece::Scratch(run_start..self.scratch.len()));
        at
    }

    pub(crate) fn write(&self, file: &dyn File, offset: u32) -> io::Result<()> {
        let parts: Vec<IoSlice<'_>> = self
            .pieces
            .iter()
            .map(|piece| match piece {
                Piece::Scratch(range) => IoSlice::new(&self.scratch[range.clone()]),
                Piece::Body(body) => IoSlice::new(body),
            })
            .collect();
        file.write_at(&parts, u64::from(offset))
    }

    /// The group as frames for readers, without copying a body: appends that were copied together stay together, others are
    /// frames of their own. To be called after the write.
    pub(crate) fn recent(&mut self) -> Vec<Frame> {
        let mut frames = Vec::with_capacity(self.frames.len());
        let capacity = self.scratch.len();
        let scratch = Bytes::from(std::mem::replace(&mut self.scratch, Vec::with_capacity(capacity)));
        for frame in &self.frames {
            let Some(header) = &frame.header else { continue };
            let like = |first, body, records| Frame {
                partition: header.partition,
                first,
                ingest_time: header.ingest_time,
                body,
                records,
            };
            if let Some(at) = frame.copied_at {
                let body = scratch.slice(at..at + frame.body_bytes as usize);
                frames.push(like(header.first, body, joined(&frame.appends)));
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
        self.pieces.clear();
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
