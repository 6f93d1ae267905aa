//! Runs SQL over the last records of its streams, or over given ones, and says what it would make of them. Nothing is written
//! and nothing moves: the log is read as a flow reads it, and what is not shown is dropped.
//!
//! ```text
//!   streams that the SQL names ──► frames, read once each ──► a Trial for each statement: decode ► SQL ► counts, some rows
//! ```
//!
//! **Bounds:** [`AT_ONCE`] previews at a time, whoever comes besides is told to come again; one has [`TIME_MAX`], reads
//! [`READ_BYTES_MAX`] of records, and shows [`ROW_BYTES_MAX`] of rows. It holds the frames of one read, a batch of
//! [`trial::BATCH_RECORDS`] records for each statement, and what it shows. A preview that meets a bound says so and what it has.
//!
//! **Invariant:** a preview has a thread of its own with a stack as flows have; a panic in there ends that preview alone.

mod trial;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use lakehead_log::{ErrorKind, Frame, LocalLog};
use lakehead_model::resource::Stream;
use lakehead_model::{Clock, Partition, Position, Timestamp};
use lakehead_transform::Statement;

use self::trial::Trial;
use crate::control::{Error, GivenRecords, Preview, PreviewWanted, Previewer, SqlRefusal, Stopped};
use crate::runtime::turnstile::Turnstile;
use crate::sources::source;
use crate::wiring::refusal;

/// Previews that run at one time.
const AT_ONCE: usize = 2;
/// After which a preview stops reading. Planning and what is under way come on top.
const TIME_MAX: Duration = Duration::from_secs(10);
/// Records read by one preview, of all its streams.
const READ_BYTES_MAX: usize = 64 << 20;
/// Rows shown by one preview, of all its statements.
const ROW_BYTES_MAX: usize = 4 << 20;
/// Bytes asked of the log at once.
const READ_BYTES: usize = 1 << 20;
/// Programs recurse as deep as their expressions are.
const STACK_BYTES: usize = 8 << 20;
/// So often the log may overtake a reader by trimming.
const TRIMS_MAX: usize = 3;

/// Reads the log for previews.
pub(crate) struct Previews {
    log: LocalLog,
    clock: Arc<dyn Clock>,
    /// For everybody who compiles SQL.
    planning: Arc<Turnstile>,
    running: Turnstile,
}

/// Why records are not read to their end.
enum Halt {
    /// A bound; what there is, is shown.
    Stopped(Stopped),
    /// Nothing can be shown.
    Broken(Error),
}

impl From<Stopped> for Halt {
    fn from(stopped: Stopped) -> Self {
        Halt::Stopped(stopped)
    }
}

/// When, and after how much, a preview stops.
struct Budget<'a> {
    clock: &'a dyn Clock,
    /// On the monotonic clock.
    deadline: Duration,
    read_bytes_left: usize,
}

impl Budget<'_> {
    fn check(&self) -> Result<(), Stopped> {
        if self.clock.monotonic() >= self.deadline {
            return Err(Stopped::Time);
        }
        if self.read_bytes_left == 0 {
            return Err(Stopped::ReadBytes);
        }
        Ok(())
    }
}

impl Previews {
    pub(crate) fn new(log: LocalLog, clock: Arc<dyn Clock>, planning: Arc<Turnstile>) -> Self {
        Previews { log, clock, planning, running: Turnstile::new(AT_ONCE) }
    }

    fn run(&self, wanted: &PreviewWanted, streams: &[Stream]) -> Result<Preview, Error> {
        let sources: Vec<_> = streams.iter().map(source).collect();
        let statements = {
            let _turn = self.planning.enter();
            lakehead_transform::compile_preview(&wanted.sql, &sources).map_err(|e| Error::Sql(refusal(e)))?
        };
        let now = self.clock.now();
        let row_bytes_max = ROW_BYTES_MAX / statements.len().max(1);
        let trial = |statement: Statement| {
            let stream = streams.iter().find(|s| s.name == statement.stream);
            let stream = stream.ok_or_else(|| Error::Unavailable("a stream without a name".to_owned()))?;
            let trial =
                Trial::new(statement, stream, now, wanted.rows_max, row_bytes_max).map_err(Error::Sql)?;
            Ok((stream, trial))
        };
        let mut trials = statements.into_iter().map(trial).collect::<Result<Vec<_>, Error>>()?;
        let mut budget = Budget {
            clock: &*self.clock,
            deadline: self.clock.monotonic().saturating_add(TIME_MAX),
            read_bytes_left: READ_BYTES_MAX,
        };
        for stream in streams {
            let mut readers: Vec<_> =
                trials.iter_mut().filter(|(s, _)| s.id == stream.id).map(|(_, trial)| trial).collect();
            if readers.is_empty() {
                continue;
            }
            let ended = match &wanted.records {
                Some(given) => feed_given(given, stream, now, &mut readers, &mut budget),
                None => self.feed_stored(stream, wanted.records_max, &mut readers, &mut budget),
            };
            let ended = match ended {
                Ok(end) => Ok(end),
                Err(Halt::Stopped(stopped)) => Err(stopped),
                Err(Halt::Broken(error)) => return Err(error),
            };
            for trial in readers {
                trial.end(ended, &budget)?;
            }
        }
        Ok(Preview { statements: trials.into_iter().map(|(_, trial)| trial.made).collect() })
    }

    /// Gives the last `records_max` records of the stream to its trials. Returns the position behind them.
    fn feed_stored(
        &self,
        stream: &Stream,
        records_max: usize,
        trials: &mut [&mut Trial],
        budget: &mut Budget<'_>,
    ) -> Result<Position, Halt> {
        let unavailable =
            |e: lakehead_log::Error| Halt::Broken(Error::Unavailable(format!("preview: log: {e}")));
        let partition = Partition::first(stream.id);
        let tail = self.log.tail(partition);
        let oldest = || self.log.oldest(partition);
        let mut cursor = Position(tail.0.saturating_sub(records_max as u64)).max(oldest());
        for trial in trials.iter_mut() {
            trial.begin(cursor);
        }
        let mut reader = self.log.reader(partition, cursor);
        let mut trims = 0;
        while cursor < tail {
            let read = match reader.read(READ_BYTES) {
                Ok(read) => read,
                Err(e) if e.kind == ErrorKind::Trimmed && trims < TRIMS_MAX => {
                    trims += 1;
                    cursor = oldest();
                    reader = self.log.reader(partition, cursor);
                    continue;
                }
                Err(e) => return Err(unavailable(e)),
            };
            if read.frames.is_empty() && read.lost.is_empty() {
                break;
            }
            for frame in &read.frames {
                feed(frame, cursor..tail, trials, budget)?;
                cursor = cursor.max(frame.end());
            }
            cursor = read.lost.last().map_or(cursor, |lost| cursor.max(lost.end));
        }
        Ok(tail)
    }
}

/// Gives the records that came with the request to the trials.
fn feed_given(
    given: &GivenRecords,
    stream: &Stream,
    now: Timestamp,
    trials: &mut [&mut Trial],
    budget: &mut Budget<'_>,
) -> Result<Position, Halt> {
    let frame = Frame {
        partition: Partition::first(stream.id),
        first: Position::ZERO,
        ingest_time: now,
        body: Bytes::clone(&given.body),
        records: given.bounds.clone().into(),
    };
    feed(&frame, Position::ZERO..frame.end(), trials, budget)?;
    Ok(frame.end())
}

/// Gives the records of the frame that lie in `positions` to the trials.
fn feed(
    frame: &Frame,
    positions: std::ops::Range<Position>,
    trials: &mut [&mut Trial],
    budget: &mut Budget<'_>,
) -> Result<(), Halt> {
    let first = usize::try_from(positions.start.since(frame.first)).unwrap_or(usize::MAX);
    for (index, (start, end)) in frame.records.iter().enumerate().skip(first) {
        let position = frame.first.plus(index as u64);
        if position >= positions.end {
            break;
        }
        budget.check()?;
        for trial in trials.iter_mut() {
            trial.take(frame, (start, end), position, budget)?;
        }
        budget.read_bytes_left = budget.read_bytes_left.saturating_sub((end - start) as usize);
    }
    Ok(())
}

impl Previewer for Previews {
    fn preview(&self, wanted: &PreviewWanted, streams: &[Stream]) -> Result<Preview, Error> {
        let _turn = self.running.try_enter().ok_or_else(|| {
            Error::Busy(format!("{AT_ONCE} previews are running, as many as may; try again in a moment"))
        })?;
        std::thread::scope(|scope| {
            let thread = std::thread::Builder::new().name("preview".into()).stack_size(STACK_BYTES);
            match thread.spawn_scoped(scope, || self.run(wanted, streams)).map(|thread| thread.join()) {
                Ok(Ok(result)) => result,
                Ok(Err(_)) => Err(Error::Sql(SqlRefusal::new("the preview failed; please report it"))),
                Err(e) => Err(Error::Unavailable(format!("no thread for a preview: {e}"))),
            }
        })
    }
}

#[cfg(test)]
mod tests;
