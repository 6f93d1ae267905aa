//! Reading a segment that has no index: which frames are whole, what is damage, and what is a torn tail.
//!
//! ```text
//!   | frame | frame |  bad  | frame of a later group …      bad: was synced before that group began. Damage: lost, reported.
//!   | frame | frame |  bad  | frame of the same group | 0   bad: torn, nobody was told it is safe. Dropped.
//!   | frame | frame |  bad  | 0 0 0 …                       the same
//! ```
//! Where the end is known (the next segment's header, or an index file, says it), everything before it was synced, and all
//! that is bad is damage. Where the tails at the end are known too, the records lost are exactly those between what was
//! found and these tails; otherwise each gap in the positions is what was lost in front of it.
//!
//! Total: every turn of the loop moves forward, over any bytes.

use std::collections::HashMap;
use std::io;
use std::ops::Range;
use std::sync::Arc;

use lakehead_disk::File;
use lakehead_model::{Partition, Position, Timestamp};

use crate::frame::FrameHeader;
use crate::header::Standing;
use crate::index::{Lost, SegmentIndex};
use crate::keys::KeyEntry;
use crate::window::Window;

const AHEAD_BYTES: usize = 1 << 20;
/// Every record takes at least this many bytes of a frame.
const RECORD_BYTES_MIN: u64 = 2;

/// Where every partition stands after what was read so far.
#[derive(Debug, Clone, Default)]
pub(crate) struct Standings(pub(crate) HashMap<Partition, Standing>);

impl Standings {
    pub(crate) fn of(standings: &[Standing]) -> Self {
        Standings(standings.iter().map(|s| (s.partition, *s)).collect())
    }

    pub(crate) fn tail(&self, partition: Partition) -> Position {
        self.0.get(&partition).map_or(Position::ZERO, |s| s.tail)
    }

    pub(crate) fn raise(&mut self, partition: Partition, tail: Position, time: Option<Timestamp>) {
        let standing = self.0.entry(partition).or_insert(Standing {
            partition,
            forgotten: false,
            tail,
            oldest: Position::ZERO,
            last_time: Timestamp(i64::MIN),
        });
        standing.tail = standing.tail.max(tail);
        standing.last_time = standing.last_time.max(time.unwrap_or(standing.last_time));
    }

    /// Takes over what an index says was in its segment.
    pub(crate) fn add(&mut self, index: &SegmentIndex) {
        for (partition, extent) in &index.extents {
            self.raise(*partition, extent.end, Some(extent.last_time));
        }
        for lost in &index.lost {
            self.raise(lost.partition, lost.positions.end, None);
        }
    }
}

/// A segment to read, and what is known about it from elsewhere.
#[derive(Debug)]
pub(crate) struct Task<'a> {
    pub(crate) file: Arc<dyn File>,
    pub(crate) log_id: u64,
    pub(crate) segment: u64,
    pub(crate) data_start: u32,
    pub(crate) known_end: Option<u32>,
    /// Where the partitions stood at the end.
    pub(crate) known_tails: Option<&'a Standings>,
}

#[derive(Debug, Default)]
pub(crate) struct Scanned {
    pub(crate) index: SegmentIndex,
    pub(crate) keys: Vec<KeyEntry>,
    pub(crate) end: u32,
    pub(crate) damaged: Vec<Range<u32>>,
    pub(crate) frames: u64,
    pub(crate) torn: u64,
    /// Whether everything behind the end is zeros: nothing was cut off there.
    pub(crate) zeros_behind: bool,
}

/// Something that is not a whole frame where one should begin.
struct Suspect {
    at: u32,
    end: u32,
    header: Option<FrameHeader>,
}

struct Scan<'a> {
    task: &'a Task<'a>,
    standings: &'a mut Standings,
    out: Scanned,
    suspects: Vec<Suspect>,
    /// Bytes of damage whose header could not be read either.
    unnamed_bytes: u64,
}

/// Reads the segment; `standings` go from those at its start to those at its end.
pub(crate) fn scan(task: &Task<'_>, standings: &mut Standings) -> io::Result<Scanned> {
    let out = Scanned { end: task.data_start, ..Scanned::default() };
    let mut scan = Scan { task, standings, out, suspects: Vec::new(), unnamed_bytes: 0 };
    scan.walk()?;
    scan.finish();
    scan.out.zeros_behind = scan.zeros_behind()?;
    Ok(scan.out)
}

impl Scan<'_> {
    fn walk(&mut self) -> io::Result<()> {
        let limit = self.task.known_end.unwrap_or(crate::settings::SEGMENT_BYTES_MAX as u32);
        let mut window = Window::new(self.task.file.clone(), self.task.log_id, self.task.segment);
        let mut at = self.task.data_start;
        while at < limit {
            let Some(header) = window.header(at, limit, AHEAD_BYTES)? else {
                let found = window.resync(at, limit)?;
                let end = found.as_ref().map_or(limit, |header| header.offset);
                self.suspects.push(Suspect { at, end, header: None });
                at = end;
                continue;
            };
            self.confirm(header.group);
            let end = at + header.frame_bytes() as u32;
            let payload = window.payload(&header, limit, AHEAD_BYTES)?;
            let whole = header.frame(&payload).is_some();
            if !(whole && self.accept(&header)) {
                self.suspects.push(Suspect { at, end, header: (!whole).then_some(header) });
            } else if let Some(keys) = header.read_keys(&payload) {
                self.out.keys.extend(keys);
            }
            at = end;
        }
        Ok(())
    }

    fn zeros_behind(&self) -> io::Result<bool> {
        let mut buf = vec![0; AHEAD_BYTES];
        let mut at = u64::from(self.out.end);
        loop {
            let read = self.task.file.read_at(&mut buf, at)?;
            if !buf[..read].iter().all(|&b| b == 0) {
                return Ok(false);
            }
            if read < buf.len() {
                return Ok(true);
            }
            at += read as u64;
        }
    }

    /// Everything before `synced` was whole once: what is suspect there is damage.
    fn confirm(&mut self, synced: u32) {
        let count = self.suspects.iter().take_while(|suspect| suspect.at < synced).count();
        for suspect in self.suspects.drain(..count).collect::<Vec<_>>() {
            self.out.end = self.out.end.max(suspect.end);
            self.out.damaged.push(suspect.at..suspect.end);
            match suspect.header {
                Some(header) if header.end() <= self.known_tail(header.partition) => {
                    self.lose(header.partition, header.end(), true);
                }
                Some(_) => {}
                None => self.unnamed_bytes += u64::from(suspect.end - suspect.at),
            }
        }
    }

    fn known_tail(&self, partition: Partition) -> Position {
        self.task.known_tails.map_or(Position(u64::MAX), |tails| tails.tail(partition))
    }

    /// Takes a whole frame in, unless its positions contradict what is known.
    fn accept(&mut self, header: &FrameHeader) -> bool {
        let tail = self.standings.tail(header.partition);
        if header.first < tail || header.end() > self.known_tail(header.partition) {
            return false;
        }
        self.lose(header.partition, header.first, true);
        self.standings.raise(header.partition, header.end(), Some(header.ingest_time));
        self.out.index.add(header);
        self.out.frames += 1;
        self.out.end = header.offset + header.frame_bytes() as u32;
        true
    }

    /// Notes that the positions from the tail up to `to` are lost.
    fn lose(&mut self, partition: Partition, to: Position, certain: bool) {
        let tail = self.standings.tail(partition);
        if tail < to {
            self.out.index.lose(Lost { partition, positions: tail..to, certain });
            self.standings.raise(partition, to, None);
        }
    }

    fn finish(&mut self) {
        if let Some(end) = self.task.known_end {
            self.confirm(end);
            self.out.end = end;
        }
        let end = self.out.end;
        self.out.torn = self.suspects.iter().filter(|s| s.header.is_some() || s.at < end).count() as u64;
        if let Some(tails) = self.task.known_tails {
            for standing in tails.0.values() {
                self.lose(standing.partition, standing.tail, true);
            }
            return;
        }
        // Damage that no later frame gives a name to may have held records of any partition. Positions are never given out
        // twice, so every partition skips as many as can have been there.
        let unnamed = self.unnamed_bytes;
        if unnamed > 0 {
            let partitions: Vec<Partition> = self.standings.0.keys().copied().collect();
            for partition in partitions {
                let to = self.standings.tail(partition).plus(unnamed / RECORD_BYTES_MIN);
                self.lose(partition, to, false);
            }
        }
    }
}

#[cfg(test)]
mod tests;
