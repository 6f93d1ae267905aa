//! One statement of a preview: records in, counts and some rows out.

use std::sync::Arc;

use arrow::array::RecordBatch;
use lakehead_decode::{Decoder, Reject};
use lakehead_log::Frame;
use lakehead_model::resource::{JsonFormat, SinkFormat, Stream};
use lakehead_model::{Invalid, Position, Timestamp};
use lakehead_transform::{Program, Statement};

use super::{Budget, Halt};
use crate::control::{Error, PositionsRead, RecordRejected, SqlRefusal, StatementPreview, Stopped};
use crate::runtime::isolate::{Part, isolate, reason};
use crate::sources::with_ingest_times;

/// Records decoded before the SQL runs over them.
pub(super) const BATCH_RECORDS: usize = 256;
/// Bytes of records decoded before the SQL runs over them.
const BATCH_BYTES: usize = 1 << 20;
/// Rows rendered at once; how far the bound on bytes may be overshot.
const RENDERED_ROWS: usize = 8;
/// Rejects that are told of.
const REJECTS_SHOWN: usize = 20;

/// A statement under trial.
pub(super) struct Trial {
    program: Program,
    reads_ingest_time: bool,
    decoder: Decoder,
    /// What `now()` means.
    now: Timestamp,
    rows_max: usize,
    row_bytes_left: usize,
    /// Records of the batch, in order.
    batch: Vec<Entry>,
    pub(super) made: StatementPreview,
}

/// A record of the batch: a row of it, or rejected by the decoder.
struct Entry {
    position: Position,
    ingest_time: Timestamp,
    reject: Option<Reject>,
}

impl Trial {
    /// `row_bytes_max` bounds what is shown.
    ///
    /// # Errors
    /// If a column cannot be shown as JSON.
    pub(super) fn new(
        statement: Statement,
        stream: &Stream,
        now: Timestamp,
        rows_max: usize,
        row_bytes_max: usize,
    ) -> Result<Self, SqlRefusal> {
        let columns = Arc::clone(statement.program.output_schema());
        lakehead_sink::check_columns(&columns, &SinkFormat::Json(JsonFormat::default())).map_err(
            |Invalid { field, reason }| {
                SqlRefusal::new(format!("column {field:?} {reason}; CAST it to another type"))
            },
        )?;
        Ok(Trial {
            decoder: Decoder::new(stream.schema.as_ref(), &statement.projection),
            program: statement.program,
            reads_ingest_time: statement.reads_ingest_time,
            now,
            rows_max,
            row_bytes_left: row_bytes_max,
            batch: Vec::new(),
            made: StatementPreview {
                stream: statement.stream,
                sink: Some(statement.sink).filter(|sink| !sink.is_empty()),
                columns,
                rows: Vec::new(),
                rows_made: 0,
                read: PositionsRead::default(),
                kept: 0,
                filtered: 0,
                rejected: 0,
                rejects: Vec::new(),
                stopped: None,
            },
        })
    }

    /// Says where reading begins.
    pub(super) fn begin(&mut self, from: Position) {
        self.made.read = PositionsRead { from, to: from, records: 0 };
    }

    /// Takes the record at `bounds` of the frame.
    pub(super) fn take(
        &mut self,
        frame: &Frame,
        bounds: (u32, u32),
        position: Position,
        budget: &Budget<'_>,
    ) -> Result<(), Halt> {
        let reject = self.decoder.push_within(&frame.body, bounds).err();
        self.batch.push(Entry { position, ingest_time: frame.ingest_time, reject });
        if self.batch.len() >= BATCH_RECORDS || self.decoder.bytes() >= BATCH_BYTES {
            self.settle(budget)?;
        }
        Ok(())
    }

    /// Settles the rest. `ended`: the position behind everything that was to be read, or what kept the preview from it.
    pub(super) fn end(&mut self, ended: Result<Position, Stopped>, budget: &Budget<'_>) -> Result<(), Error> {
        match (ended, self.settle(budget)) {
            (_, Err(Halt::Broken(error))) => return Err(error),
            (Ok(end), Ok(())) => self.made.read.to = end,
            (Err(stopped), _) | (_, Err(Halt::Stopped(stopped))) => self.made.stopped = Some(stopped),
        }
        Ok(())
    }

    /// Runs the SQL over the batch. If time is up on the way, the records behind are as if they had not been read.
    fn settle(&mut self, budget: &Budget<'_>) -> Result<(), Halt> {
        let rows = self.decoder.finish();
        let batch = std::mem::take(&mut self.batch);
        let accepted: Vec<&Entry> = batch.iter().filter(|entry| entry.reject.is_none()).collect();
        let rows = if self.reads_ingest_time {
            with_ingest_times(&rows, accepted.iter().map(|entry| entry.ingest_time))
        } else {
            Ok(rows)
        };
        let rows = rows.map_err(|e| Halt::Broken(Error::Unavailable(format!("preview: {e}"))))?;
        let (made, rows_max, row_bytes_left) = (&mut self.made, self.rows_max, &mut self.row_bytes_left);
        let mut failed = Vec::new();
        let mut done = 0;
        let ran = isolate(&self.program, &rows, self.now, &mut |part| {
            match part {
                Part::Made { taken, made: output, .. } => {
                    done += taken;
                    made.kept += output.kept as u64;
                    made.filtered += (taken - output.kept) as u64;
                    made.rows_made += output.rows.num_rows() as u64;
                    show(&output.rows, rows_max, row_bytes_left, made);
                }
                Part::Slow => {}
                Part::Failed { row, error } => {
                    done += 1;
                    let reason = reason(&error);
                    let position = accepted.get(row).map_or(Position::ZERO, |entry| entry.position);
                    failed.push(RecordRejected {
                        position,
                        stage: "transform",
                        reason,
                        path: String::new(),
                        detail: error.message,
                    });
                }
            }
            if budget.clock.monotonic() >= budget.deadline { Err(Stopped::Time) } else { Ok(()) }
        });
        let unsettled = accepted.get(done).map(|entry| entry.position);
        self.count(&batch, unsettled, failed);
        match unsettled {
            Some(_) => Ok(ran?),
            None => Ok(()),
        }
    }

    /// Counts the records of the batch before `unsettled`.
    fn count(&mut self, batch: &[Entry], unsettled: Option<Position>, failed: Vec<RecordRejected>) {
        let mut rejects = failed;
        let settled = batch.iter().take_while(|entry| unsettled.is_none_or(|first| entry.position < first));
        for entry in settled {
            self.made.read.records += 1;
            self.made.read.to = entry.position.plus(1);
            if let Some(reject) = &entry.reject {
                rejects.push(RecordRejected {
                    position: entry.position,
                    stage: "decode",
                    reason: reject.reason.as_str(),
                    path: reject.path.clone(),
                    detail: reject.detail.clone(),
                });
            }
        }
        self.made.rejected += rejects.len() as u64;
        rejects.sort_by_key(|reject| reject.position);
        let room = REJECTS_SHOWN.saturating_sub(self.made.rejects.len());
        self.made.rejects.extend(rejects.into_iter().take(room));
    }
}

/// Renders as many of the rows as there is room for.
fn show(rows: &RecordBatch, rows_max: usize, bytes_left: &mut usize, made: &mut StatementPreview) {
    let mut next = 0;
    while next < rows.num_rows() && made.rows.len() < rows_max {
        if *bytes_left == 0 {
            made.stopped = Some(Stopped::RowBytes);
            return;
        }
        let count = RENDERED_ROWS.min(rows.num_rows() - next).min(rows_max - made.rows.len());
        // Every column has a form in JSON: that was checked in the beginning.
        let Ok(lines) = lakehead_sink::json_lines(&rows.slice(next, count)) else { return };
        let lines = String::from_utf8_lossy(&lines);
        *bytes_left = bytes_left.saturating_sub(lines.len());
        made.rows.extend(lines.split_terminator('\n').map(str::to_owned));
        next += count;
    }
}
