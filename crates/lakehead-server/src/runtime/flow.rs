//! One flow: from its committed position on, read → decode → transform → write, and commit when the writer wants to roll.

use std::sync::Arc;
use std::time::Duration;

use arrow::array::RecordBatch;
use lakehead_decode::Decoder;
use lakehead_disk::Disk;
use lakehead_log::{Frame, LocalLog, Reader};
use lakehead_meta::{FlowKey, FlowState, Store};
use lakehead_model::resource::{Credentials, FilesConfig, Sink, Stream};
use lakehead_model::{Clock, Partition, Position, Timestamp};
use lakehead_sink::{
    Bucket, MemoryBudget, OPEN_FILES_MAX, Publisher, Roll, Seams as SinkSeams, Uploads, Writer,
    WriterSettings,
};
use lakehead_transform::{Failure, Statement};
use tokio::runtime::Handle;
use tokio::sync::watch;

use super::batch::{Batch, Origins};
use super::dead_letters::{Cause, DeadLetters, LetterError};
use super::progress::Progress;
use super::status::Statuses;
use super::turnstile::Turnstile;
use crate::metrics::Metrics;
use crate::storage::Storage;

/// Bytes asked of the log at once.
pub(super) const READ_BYTES: usize = 1 << 20;
/// New records wait this long for company, so that a trickle makes batches and not single rows.
const LINGER: Duration = Duration::from_millis(200);
/// A stretch of which nothing reaches the sink is committed at least this often.
const QUIET_COMMIT: Duration = Duration::from_secs(10);

/// What all flows share.
pub(super) struct Shared {
    pub(super) store: Arc<Store>,
    pub(super) log: LocalLog,
    pub(super) storage: Arc<Storage>,
    pub(super) progress: Arc<Progress>,
    pub(super) statuses: Arc<Statuses>,
    pub(super) turnstile: Turnstile,
    pub(super) memory: Arc<MemoryBudget>,
    /// Shared by all writers, so that the names they give rise across the process.
    pub(super) sink_seams: SinkSeams,
    pub(super) uploads: Uploads,
    pub(super) metrics: Metrics,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) disk: Arc<dyn Disk>,
    pub(super) data_dir: std::path::PathBuf,
    pub(super) async_runtime: Handle,
}

/// What one flow is to do.
pub(super) struct Task {
    pub(super) key: FlowKey,
    pub(super) pipeline: String,
    pub(super) stream: Arc<Stream>,
    pub(super) sink: Arc<Sink>,
    pub(super) files: FilesConfig,
    pub(super) statement: Statement,
}

/// How a flow is told to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Order {
    Run,
    /// Commit what has been read, then end.
    Finish,
    /// End now. What is not committed stays in the log.
    Abandon,
}

/// Why a flow has to begin again. The reason is shown to users as the pipeline's `failure_reason`.
#[derive(Debug)]
pub(super) struct FlowError {
    pub(super) reason: String,
    /// A sync failed, or the metadata store cannot write any more: the process must not go on.
    pub(super) is_fatal: bool,
}

impl FlowError {
    pub(super) fn new(reason: impl Into<String>) -> Self {
        FlowError { reason: reason.into(), is_fatal: false }
    }
}

impl From<lakehead_log::Error> for FlowError {
    fn from(e: lakehead_log::Error) -> Self {
        FlowError::new(format!("log: {e}"))
    }
}

impl From<lakehead_meta::Error> for FlowError {
    fn from(e: lakehead_meta::Error) -> Self {
        FlowError {
            is_fatal: e.kind() == lakehead_meta::ErrorKind::Storage,
            reason: format!("metadata: {e}"),
        }
    }
}

impl From<lakehead_sink::Error> for FlowError {
    fn from(e: lakehead_sink::Error) -> Self {
        FlowError { is_fatal: e.kind() == lakehead_sink::ErrorKind::Sync, reason: format!("sink: {e}") }
    }
}

impl From<LetterError> for FlowError {
    fn from(e: LetterError) -> Self {
        let is_fatal = matches!(e, LetterError::Sync(_));
        FlowError { is_fatal, reason: format!("dead letters: {e}") }
    }
}

pub(super) struct Flow<'a> {
    pub(super) shared: &'a Shared,
    pub(super) task: &'a Task,
    pub(super) order: watch::Receiver<Order>,
    pub(super) writer: Writer,
    pub(super) publisher: Publisher,
    pub(super) letters: DeadLetters,
    /// As recorded in the metadata store.
    pub(super) state: FlowState,
    /// Counts of what was read and is not committed.
    pub(super) filtered: u64,
    pub(super) delivered: u64,
    pub(super) lost: u64,
    /// The next record to read.
    pub(super) cursor: Position,
    pub(super) last_commit: Duration,
    reader: Reader,
    tail: watch::Receiver<Position>,
    batch: Batch,
}

impl<'a> Flow<'a> {
    /// Begins, or begins again: completes what was decided before, drops what was not.
    pub(super) fn begin(
        shared: &'a Shared,
        task: &'a Task,
        order: watch::Receiver<Order>,
    ) -> Result<Self, FlowError> {
        let partition = Partition::first(task.stream.id);
        let key_pair = |given: Option<Credentials>| match given {
            Some(Credentials::Keys(keys)) => Some(keys),
            Some(Credentials::Token(_)) | None => None,
        };
        let own_keys = key_pair(shared.store.sink_credentials(task.sink.id)?);
        let staging_dir = shared.staging_dir(task.key);
        let publisher = |bucket: &str| {
            // A commit may still be under way to a bucket that the sink has been told to leave.
            let former = match bucket == task.files.bucket {
                true => None,
                false => key_pair(shared.store.former_credentials(task.sink.id, bucket)?),
            };
            let keys = former.as_ref().or(own_keys.as_ref());
            let place = shared.storage.locate(bucket, keys).map_err(FlowError::new)?;
            shared.publisher(place, &staging_dir, &order)
        };
        let mut letters =
            DeadLetters::new(&shared.data_dir.join("dead_letters"), task.key, Arc::clone(&shared.disk));
        let state = shared.resume(task, publisher, &mut letters, &order)?;
        let publisher = publisher(&task.files.bucket)?;
        let tail = shared.log.tail(partition);
        if state.committed > tail {
            // Reading on from there would pass over the next records of the stream without a word.
            return Err(FlowError::new(format!(
                "the sink has committed position {} and the log ends at {tail}: was an older data folder restored?",
                state.committed
            )));
        }
        lakehead_sink::clean_staging(shared.disk.as_ref(), &staging_dir, &[])?;

        let settings = WriterSettings {
            config: task.files.clone(),
            format: task.sink.format.clone(),
            staging_dir,
            flow: task.key.to_string(),
            writer_index: task.key.statement,
        };
        let writer =
            Writer::new(settings, shared.sink_seams.clone(), Arc::clone(&shared.memory), state.serial)?;
        let decoder = Decoder::new(task.stream.schema.as_ref(), &task.statement.projection);
        Ok(Flow {
            reader: shared.log.reader(partition, state.committed),
            tail: shared.log.watch_tail(partition).ok_or_else(|| FlowError::new("log: too many streams"))?,
            batch: Batch::new(decoder, task.files.rolling_policy.batch),
            last_commit: shared.clock.monotonic(),
            cursor: state.committed,
            filtered: 0,
            delivered: 0,
            lost: 0,
            shared,
            task,
            order,
            writer,
            publisher,
            letters,
            state,
        })
    }

    /// Works until ordered to end.
    pub(super) fn run(mut self) -> Result<(), FlowError> {
        loop {
            let order = *self.order.borrow();
            match order {
                Order::Run => {}
                Order::Finish => {
                    self.hand_on()?;
                    return self.commit();
                }
                Order::Abandon => return Ok(()),
            }
            let caught_up = {
                let shared = self.shared;
                let _turn = shared.turnstile.enter();
                self.read()?
            };
            // An idle writer gives memory back when others need it.
            self.writer.relieve()?;
            if self.writer.must_roll().is_some() || self.letters.is_full() || self.is_quietly_behind() {
                self.hand_on()?;
                self.commit()?;
            }
            if caught_up {
                self.wait();
            }
        }
    }

    fn is_quietly_behind(&self) -> bool {
        self.cursor > self.state.committed
            && self.writer.open_rows() == 0
            && self.batch.rows() == 0
            && self.shared.clock.monotonic().saturating_sub(self.last_commit) >= QUIET_COMMIT
    }

    /// Takes one helping from the log. Returns whether that was all there is.
    fn read(&mut self) -> Result<bool, FlowError> {
        let read = self.reader.read(READ_BYTES)?;
        if read.frames.is_empty() && read.lost.is_empty() {
            self.hand_on()?;
            return Ok(true);
        }
        for frame in &read.frames {
            self.add(frame)?;
        }
        let lost = read.lost;
        for lost in &lost {
            tracing::error!(flow = %self.task.key, from = %lost.start, to = %lost.end, "records cannot be read any more");
        }
        // A loss before a frame was counted with the frame.
        if let Some(end) = lost.last().map(|lost| lost.end) {
            self.lost += end.since(self.cursor);
            self.cursor = self.cursor.max(end);
        }
        Ok(false)
    }

    fn add(&mut self, frame: &Frame) -> Result<(), FlowError> {
        let partition = self.writer.partition(frame.ingest_time)?;
        if self.batch.partition.as_ref().is_none_or(|current| *current != partition) {
            self.hand_on()?;
            // A read may span more partitions than may be open: here everything before the cursor has been handed on.
            if self.writer.open_files() >= OPEN_FILES_MAX {
                self.commit()?;
            }
        }
        self.shared.progress.reading(self.task.key, frame.ingest_time);
        // What the frames do not cover cannot be read any more. Counted here, before anything behind it can be committed.
        self.lost += frame.first.since(self.cursor);
        self.cursor = self.cursor.max(frame.first);
        // A reader that begins inside a frame gets the whole frame.
        let mut next = usize::try_from(self.cursor.since(frame.first)).unwrap_or(usize::MAX);
        while next < frame.records.len() {
            self.batch.partition = Some(Arc::clone(&partition));
            let (letters, rejected, pipeline) =
                (&mut self.letters, &self.shared.metrics.pipeline_rejected, self.task.pipeline.as_str());
            next = self.batch.push(frame, next, |origin, reject| {
                rejected.with_label_values(&[pipeline, reject.reason.as_str()]).inc();
                letters.add(origin.position, origin.ingest_time, Cause::from(reject), origin.record)
            })?;
            self.cursor = frame.first.plus(next as u64);
            if self.batch.is_full() {
                self.hand_on()?;
                if matches!(self.writer.must_roll(), Some(Roll::Rows | Roll::Size)) {
                    self.commit()?;
                }
            }
        }
        Ok(())
    }

    /// Transforms and writes the batch so far.
    fn hand_on(&mut self) -> Result<(), FlowError> {
        if self.batch.is_empty() {
            return Ok(());
        }
        let partition = self.batch.partition.clone();
        let (rows, origins) = self.batch.take();
        let Some(partition) = partition else { return Ok(()) };
        self.transform(&rows, 0, &origins, &partition)
    }

    /// Runs the SQL over `rows`, the first of which is row `first` of the batch. If a row makes it fail, the halves are tried
    /// apart, until the row stands alone and becomes a dead letter.
    fn transform(
        &mut self,
        rows: &RecordBatch,
        first: usize,
        origins: &Origins,
        partition: &Arc<str>,
    ) -> Result<(), FlowError> {
        let count = rows.num_rows();
        if count == 0 {
            return Ok(());
        }
        match self.task.statement.program.run(rows, self.shared.now()) {
            Ok(out) => {
                self.delivered += out.kept as u64;
                self.filtered += (count - out.kept) as u64;
                if out.kept > 0 {
                    self.writer.write(&out.rows, partition)?;
                }
                Ok(())
            }
            Err(error) if count == 1 => {
                let reason = match error.failure {
                    Failure::Expression => "transform_error",
                    Failure::Limit => "resource_limit",
                };
                self.shared.metrics.pipeline_rejected.with_label_values(&[&self.task.pipeline, reason]).inc();
                let origin = origins.of(first).ok_or_else(|| FlowError::new("a row has no record"))?;
                let cause = Cause { stage: "transform", reason, path: "", detail: &error.message };
                Ok(self.letters.add(origin.position, origin.ingest_time, cause, origin.record)?)
            }
            Err(_) => {
                let half = count / 2;
                self.transform(&rows.slice(0, half), first, origins, partition)?;
                self.transform(&rows.slice(half, count - half), first + half, origins, partition)
            }
        }
    }

    /// Sleeps until there are new records (and a little longer, for their company), a file wants to roll, or an order comes.
    fn wait(&mut self) {
        let deadline = self.writer.next_deadline().unwrap_or(QUIET_COMMIT).min(QUIET_COMMIT);
        let cursor = self.cursor;
        let (tail, order) = (&mut self.tail, &mut self.order);
        self.shared.async_runtime.block_on(async {
            let news = async {
                // An error means that the log is closed; an order to end follows.
                if tail.wait_for(|tail| *tail > cursor).await.is_ok() {
                    tokio::time::sleep(LINGER.min(deadline)).await;
                } else {
                    tokio::time::sleep(LINGER).await;
                }
            };
            tokio::select! {
                () = news => {}
                () = tokio::time::sleep(deadline) => {}
                _ = order.wait_for(|order| *order != Order::Run) => {}
            }
        });
    }
}

impl Shared {
    /// Where the flow's files are made.
    pub(super) fn staging_dir(&self, key: FlowKey) -> std::path::PathBuf {
        self.data_dir.join("staging").join(key.pipeline.to_string()).join(key.statement.to_string())
    }

    /// Opens the bucket, unless there is an order to end.
    fn publisher(
        &self,
        bucket: Bucket,
        staging_dir: &std::path::Path,
        order: &watch::Receiver<Order>,
    ) -> Result<Publisher, FlowError> {
        let made = Publisher::new(bucket, staging_dir.to_owned(), &self.sink_seams, self.uploads.clone());
        let mut order = order.clone();
        self.async_runtime.block_on(async {
            tokio::select! {
                made = made => Ok(made?),
                _ = order.wait_for(|order| *order != Order::Run) => {
                    Err(FlowError::new("told to end while the bucket was being opened"))
                }
            }
        })
    }

    pub(super) fn now(&self) -> Timestamp {
        self.clock.now()
    }
}
