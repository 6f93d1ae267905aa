//! From frames to batches: which records make the next batch, and which record a row came from.

use std::ops::Range;

use arrow::array::RecordBatch;
use lakehead_decode::{Decoder, Reject};
use lakehead_log::Frame;
use lakehead_model::resource::BatchHints;
use lakehead_model::{Position, Timestamp};

use crate::sources::with_ingest_times;

const ROWS_MAX: usize = 16 << 10;
const BYTES_MAX: usize = 2 << 20;

/// Records decoded and not handed on yet.
///
/// **Invariant:** all records of a batch have ingest times of one partition of each sink, so that rows need not carry theirs
/// through the SQL.
pub(super) struct Batch {
    decoder: Decoder,
    reads_ingest_time: bool,
    pieces: Vec<Piece>,
    bytes: usize,
    limits: Limits,
}

/// A batch is handed on when it has this many rows or bytes, whichever comes first.
#[derive(Debug, Clone, Copy)]
struct Limits {
    rows: usize,
    bytes: usize,
}

/// Consecutive records of a frame that are in the batch, but for the rejected ones.
struct Piece {
    frame: Frame,
    first_record: usize,
    next_record: usize,
    rejected: Vec<usize>,
}

/// A record in its frame.
pub(super) struct Origin<'a> {
    pub(super) position: Position,
    pub(super) ingest_time: Timestamp,
    pub(super) record: &'a [u8],
}

impl Batch {
    /// Never larger than a file may become by `hints`.
    pub(super) fn new(decoder: Decoder, reads_ingest_time: bool, hints: Option<BatchHints>) -> Self {
        let least = |max: usize, hint: Option<u64>| {
            hint.map_or(max, |hint| usize::try_from(hint).unwrap_or(max).clamp(1, max))
        };
        let limits = Limits {
            rows: least(ROWS_MAX, hints.map(|h| h.rows_max)),
            bytes: least(BYTES_MAX, hints.map(|h| h.bytes_max)),
        };
        Batch { decoder, reads_ingest_time, pieces: Vec::new(), bytes: 0, limits }
    }

    pub(super) fn rows(&self) -> usize {
        self.decoder.rows()
    }

    /// Nothing was read since the last batch was taken; rejected records count as read.
    pub(super) fn is_empty(&self) -> bool {
        self.pieces.is_empty()
    }

    pub(super) fn is_full(&self) -> bool {
        self.rows() >= self.limits.rows || self.bytes >= self.limits.bytes
    }

    /// Decodes those of `frame`'s records until the batch is full or they end. Returns the index of the next record. Each
    /// reject is given to `on_reject` at once.
    pub(super) fn push<E>(
        &mut self,
        frame: &Frame,
        records: Range<usize>,
        mut on_reject: impl FnMut(Origin<'_>, &Reject) -> Result<(), E>,
    ) -> Result<usize, E> {
        let first_record = records.start;
        let mut piece =
            Piece { frame: frame.clone(), first_record, next_record: first_record, rejected: Vec::new() };
        while piece.next_record < records.end && !self.is_full() {
            let index = piece.next_record;
            let origin = origin(frame, index);
            self.bytes += origin.record.len();
            if let Err(reject) = self.decoder.push_within(&frame.body, frame.records.as_slice()[index]) {
                piece.rejected.push(index);
                on_reject(origin, &reject)?;
            }
            piece.next_record += 1;
        }
        let next = piece.next_record;
        self.pieces.push(piece);
        Ok(next)
    }

    /// The rows so far, leaving the batch empty; and where they came from.
    pub(super) fn take(&mut self) -> (RecordBatch, Origins) {
        self.bytes = 0;
        let (rows, origins) = (self.decoder.finish(), Origins(std::mem::take(&mut self.pieces)));
        if !self.reads_ingest_time {
            return (rows, origins);
        }
        let timed = with_ingest_times(&rows, origins.ingest_times());
        (timed.expect("one ingest time for every record taken"), origins)
    }
}

/// Where the rows of a batch came from.
pub(super) struct Origins(Vec<Piece>);

impl Origins {
    /// The position of the first record, rejected or not.
    pub(super) fn first(&self) -> Position {
        self.0.first().map_or(Position::ZERO, |piece| piece.frame.first.plus(piece.first_record as u64))
    }

    /// One for each row.
    pub(super) fn ingest_times(&self) -> impl Iterator<Item = Timestamp> {
        self.0.iter().flat_map(|piece| {
            let rows = piece.next_record - piece.first_record - piece.rejected.len();
            std::iter::repeat_n(piece.frame.ingest_time, rows)
        })
    }

    /// The record that made row `row`.
    pub(super) fn of(&self, row: usize) -> Option<Origin<'_>> {
        let mut left = row;
        for piece in &self.0 {
            let rows = piece.next_record - piece.first_record - piece.rejected.len();
            if left < rows {
                let mut accepted = (piece.first_record..piece.next_record)
                    .filter(|i| piece.rejected.binary_search(i).is_err());
                return accepted.nth(left).map(|index| origin(&piece.frame, index));
            }
            left -= rows;
        }
        None
    }
}

fn origin(frame: &Frame, index: usize) -> Origin<'_> {
    let (start, end) = frame.records.as_slice()[index];
    Origin {
        position: frame.first.plus(index as u64),
        ingest_time: frame.ingest_time,
        record: &frame.body[start as usize..end as usize],
    }
}
