//! Reading a partition in order. A [`Reader`] remembers its segment and offset, so that reading on costs no look-up; it hops
//! over the frames of other partitions by their headers, reads through the page cache, and checks every frame's checksum.
//!
//! What was written a moment ago comes from memory ([`crate::recent`]).
//!
//! What fails its checksum is never served: the reader goes on with the next frame and reports the positions in between.
//! Memory: one buffer of at most [`AHEAD_BYTES`] or one frame.

use std::io;
use std::ops::Range;
use std::sync::Arc;

use lakehead_model::{Partition, Position};

use crate::error::{Error, ErrorKind};
use crate::frame::Frame;
use crate::index::Lost;
use crate::segment::Segment;
use crate::shared::Shared;
use crate::window::Window;

/// Read at once where frames are small and all ours.
const AHEAD_BYTES: usize = 256 << 10;
/// Read at once where frames are small and not all ours.
const HOP_BYTES: usize = 32 << 10;
/// Read at once to look at a header when the frame behind it is large.
const PROBE_BYTES: usize = 4 << 10;

/// What a [`Reader`] found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Batch {
    /// In order. Dense, except for `lost`.
    pub frames: Vec<Frame>,
    /// Positions that were written and can not be read any more, in order, outside the frames.
    pub lost: Vec<Range<Position>>,
}

#[derive(Debug)]
struct Place {
    segment: Arc<Segment>,
    window: Window,
    at: u32,
    /// How much to read when the next header is not there yet: what comes next is most likely like what came last.
    ahead: usize,
}

/// Reads a partition from a position on. Blocking: for a thread that may wait for the disk.
#[derive(Debug)]
pub struct Reader {
    shared: Arc<Shared>,
    partition: Partition,
    next: Position,
    place: Option<Place>,
}

/// The segment was trimmed or recycled under the reader.
struct Gone;

impl Reader {
    pub(crate) fn new(shared: Arc<Shared>, partition: Partition, from: Position) -> Self {
        Reader { shared, partition, next: from, place: None }
    }

    /// The next position to be read.
    pub fn position(&self) -> Position {
        self.next
    }

    pub fn partition(&self) -> Partition {
        self.partition
    }

    /// The next frames, until their bodies reach `max_bytes` or the tail is reached; at least one frame or lost range unless
    /// the reader is at the tail. A first position inside a frame yields the whole frame.
    ///
    /// # Errors
    /// [`ErrorKind::Trimmed`] when the position is not kept any more, [`ErrorKind::Io`] when the file system refuses.
    pub fn read(&mut self, max_bytes: usize) -> Result<Batch, Error> {
        let mut batch = Batch::default();
        let Some(state) = self.shared.partitions.get(self.partition) else { return Ok(batch) };
        let tail = state.tail();
        let mut bytes = 0;
        while self.next < tail && (bytes == 0 || bytes < max_bytes) {
            if self.next < state.oldest() {
                if batch.frames.is_empty() && batch.lost.is_empty() {
                    return Err(Error::trimmed(self.partition, self.next, state.oldest()));
                }
                break;
            }
            let recent = self.shared.recent.get(self.partition, self.next, max_bytes.saturating_sub(bytes));
            if let Some(last) = recent.last() {
                self.next = last.end();
                bytes += recent.iter().map(|frame| frame.body.len()).sum::<usize>().max(1);
                batch.frames.extend(recent);
                continue;
            }
            match self.locate() {
                Ok(true) => {}
                Ok(false) if self.next < state.oldest() => continue,
                Ok(false) => {
                    // No segment holds it and none was trimmed: a recovery noted it as lost behind the last frame.
                    self.lose(&mut batch, tail, None);
                    break;
                }
                Err(error) if error.kind() == io::ErrorKind::NotFound => {
                    self.place = None;
                    continue;
                }
                Err(error) => return Err(self.io(error)),
            }
            match self.walk(&mut batch, &mut bytes, max_bytes) {
                Ok(Ok(())) => {}
                Ok(Err(Gone)) => self.place = None,
                Err(error) => return Err(self.io(error)),
            }
        }
        if self.next >= tail {
            // What comes next is in memory. A file held open would keep its space on the disk when the segment is trimmed.
            self.place = None;
        }
        Ok(batch)
    }

    fn io(&self, error: io::Error) -> Error {
        let path = self.place.as_ref().map_or(&self.shared.settings.dir, |place| &place.segment.path);
        Error::io(format!("reading {}", path.display()), error)
    }

    /// Goes to the segment that holds the next position, and as near to it as the index knows. `false`: none holds it.
    fn locate(&mut self) -> io::Result<bool> {
        let current = self.place.as_ref().map_or(0, |place| place.segment.id);
        if let Some(place) = &mut self.place
            && let Some(entry) = place.segment.index().seek(self.partition, self.next)
        {
            place.at = place.at.max(entry.offset);
            return Ok(true);
        }
        let found = {
            let segments = self.shared.segments.read();
            segments.range(current..).find_map(|(_, segment)| {
                let entry = segment.index().seek(self.partition, self.next)?;
                Some((segment.clone(), entry.offset))
            })
        };
        let Some((segment, at)) = found else { return Ok(false) };
        let file = segment.open(&*self.shared.seams.disk)?;
        let window = Window::new(file, self.shared.log_id, segment.id);
        self.place = Some(Place { segment, window, at, ahead: PROBE_BYTES });
        Ok(true)
    }

    /// Reads frames from the current place up to the end of the segment or `max_bytes`.
    fn walk(
        &mut self,
        batch: &mut Batch,
        bytes: &mut usize,
        max_bytes: usize,
    ) -> io::Result<Result<(), Gone>> {
        let Some(mut place) = self.place.take() else { return Ok(Ok(())) };
        let (limit, held_end) = {
            let index = place.segment.index();
            let held_end = index.extents.get(&self.partition).map_or(self.next, |extent| extent.end);
            (place.segment.end(), held_end)
        };
        while self.next < held_end && (*bytes == 0 || *bytes < max_bytes) {
            if place.at >= limit {
                // The index knows of frames that are not there any more.
                self.lose(batch, held_end, Some(&place.segment));
                break;
            }
            let header = place.window.header(place.at, limit, place.ahead)?;
            let Some(header) = header else {
                if self.gone(&place.segment) {
                    return Ok(Err(Gone));
                }
                let found = place.window.resync(place.at, limit)?;
                place.at = found.map_or(limit, |header| header.offset);
                continue;
            };
            let frame_bytes = header.frame_bytes() as u32;
            if header.partition != self.partition || header.end() <= self.next {
                place.ahead = if frame_bytes as usize <= HOP_BYTES / 4 { HOP_BYTES } else { PROBE_BYTES };
                place.at += frame_bytes;
                continue;
            }
            if header.first > self.next {
                self.lose(batch, header.first, Some(&place.segment));
            }
            let payload = place.window.payload(&header, limit, 0)?;
            match header.frame(&payload) {
                Some(frame) => {
                    *bytes += frame.body.len().max(1);
                    batch.frames.push(frame);
                    self.next = header.end();
                }
                None if self.gone(&place.segment) => return Ok(Err(Gone)),
                None => self.lose(batch, header.end(), Some(&place.segment)),
            }
            place.ahead = if frame_bytes as usize <= AHEAD_BYTES / 4 { AHEAD_BYTES } else { PROBE_BYTES };
            place.at += frame_bytes;
        }
        self.place = Some(place);
        Ok(Ok(()))
    }

    fn gone(&self, segment: &Segment) -> bool {
        !self.shared.segments.read().contains_key(&segment.id)
    }

    /// Reports the positions up to `to` as lost and goes on behind them.
    fn lose(&mut self, batch: &mut Batch, to: Position, segment: Option<&Segment>) {
        let positions = self.next..to;
        if let Some(segment) = segment {
            let lost = Lost { partition: self.partition, positions: positions.clone(), certain: true };
            self.shared.note_lost(segment, lost);
        }
        match batch.lost.last_mut() {
            Some(last) if last.end == positions.start => last.end = positions.end,
            _ => batch.lost.push(positions),
        }
        self.next = to;
    }
}

/// Reads once, by position: a [`Reader`] for one call.
pub(crate) fn read_once(
    shared: &Arc<Shared>,
    partition: Partition,
    from: Position,
    max_bytes: usize,
) -> Result<Vec<Frame>, Error> {
    let mut reader = Reader::new(shared.clone(), partition, from);
    loop {
        let batch = reader.read(max_bytes)?;
        // A lost range alone says nothing to a caller who only wants frames.
        if !batch.frames.is_empty() || batch.lost.is_empty() {
            return Ok(batch.frames);
        }
        if shared.failed() {
            return Err(Error::new(ErrorKind::Closed, "the log has failed"));
        }
    }
}
