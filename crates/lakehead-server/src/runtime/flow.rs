//! One flow: an INSERT with its sink and its committed position. It transforms and writes the batches its feed gives it, and
//! commits (`commit.rs`) when the writer wants to roll.

use std::sync::Arc;
use std::time::Duration;

use arrow::array::RecordBatch;
use lakehead_decode::Reject;
use lakehead_disk::Disk;
use lakehead_log::LocalLog;
use lakehead_meta::{FlowKey, FlowState, Store};
use lakehead_model::resource::{FilesConfig, Sink, Stream, TableConfig};
use lakehead_model::{Clock, Position, Timestamp};
use lakehead_sink::{
    Bucket, FirstRecord, MemoryBudget, OpenFiles, Publisher, Seams as SinkSeams, Uploads, Writer,
    WriterSettings,
};
use lakehead_transform::Statement;
use tokio::runtime::Handle;
use tokio::sync::watch;

use super::apart::Apart;
use super::batch::{Origin, Origins};
use super::commit::{Place, Waiting};
use super::dead_letters::{Cause, DeadLetters, LetterError, Route};
use super::feed::QUIET_COMMIT;
use super::isolate::{Part, isolate, reason};
use super::progress::Progress;
use super::status::Statuses;
use super::table::TableEnd;
use super::turnstile::{Turn, Turnstile};
use crate::catalogs::Catalogs;
use crate::metrics::Metrics;
use crate::storage::{Storage, sink_keys};

/// A bucket that is busy with us for longer than this shows.
pub(super) const SHOWN_AFTER: Duration = Duration::from_secs(15);

/// What a flow waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Slow {
    Bucket,
    Catalog,
}

impl std::fmt::Display for Slow {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Slow::Bucket => "bucket",
            Slow::Catalog => "catalog",
        })
    }
}

/// What all flows share.
pub(super) struct Shared {
    pub(super) store: Arc<Store>,
    pub(super) log: LocalLog,
    pub(super) storage: Arc<Storage>,
    pub(super) catalogs: Arc<Catalogs>,
    pub(super) progress: Arc<Progress>,
    pub(super) statuses: Arc<Statuses>,
    pub(super) apart: Apart,
    pub(super) turnstile: Turnstile,
    pub(super) memory: Arc<MemoryBudget>,
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
    /// The version of the pipeline that the statement is of.
    pub(super) version: u64,
    /// Where the flow stood when this was planned.
    pub(super) committed: Position,
    pub(super) stream: Arc<Stream>,
    pub(super) sink: Arc<Sink>,
    /// How its files are made; of a table, what does not come from the table.
    pub(super) files: FilesConfig,
    /// Set if the sink is a table.
    pub(super) table: Option<TableConfig>,
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
    /// The flow it happened to; `None`: all of the feed.
    pub(super) culprit: Option<FlowKey>,
}

impl FlowError {
    pub(super) fn new(reason: impl Into<String>) -> Self {
        FlowError { reason: reason.into(), is_fatal: false, culprit: None }
    }

    fn fatal_if(is_fatal: bool, reason: String) -> Self {
        FlowError { is_fatal, ..FlowError::new(reason) }
    }

    pub(super) fn of(self, culprit: FlowKey) -> Self {
        FlowError { culprit: Some(culprit), ..self }
    }
}

impl From<lakehead_log::Error> for FlowError {
    fn from(e: lakehead_log::Error) -> Self {
        FlowError::new(format!("log: {e}"))
    }
}

impl From<lakehead_meta::Error> for FlowError {
    fn from(e: lakehead_meta::Error) -> Self {
        FlowError::fatal_if(e.kind() == lakehead_meta::ErrorKind::Storage, format!("metadata: {e}"))
    }
}

impl From<lakehead_sink::Error> for FlowError {
    fn from(e: lakehead_sink::Error) -> Self {
        FlowError::fatal_if(e.kind() == lakehead_sink::ErrorKind::Sync, format!("sink: {e}"))
    }
}

impl From<LetterError> for FlowError {
    fn from(e: LetterError) -> Self {
        FlowError::fatal_if(matches!(e, LetterError::Sync(_)), format!("dead letters: {e}"))
    }
}

pub(super) struct Flow<'a> {
    pub(super) shared: &'a Shared,
    pub(super) task: &'a Task,
    pub(super) order: watch::Receiver<Order>,
    pub(super) writer: Writer,
    pub(super) publisher: Publisher,
    /// Set if the sink is a table.
    pub(super) table: Option<TableEnd>,
    pub(super) letters: DeadLetters,
    /// As recorded in the metadata store.
    pub(super) state: FlowState,
    /// Counts of what was read and is not committed.
    pub(super) filtered: u64,
    pub(super) delivered: u64,
    pub(super) dead_lettered: u64,
    pub(super) lost: u64,
    /// Where it began: what its feed reads before that is not for it.
    pub(super) joins_at: Position,
    /// The sink's partition of the records of the batch being made.
    pub(super) partition: Option<Arc<str>>,
    pub(super) last_commit: Duration,
    /// How long a bucket may take while other flows wait; `None`: as long as it likes.
    pub(super) patience: Option<Duration>,
    /// The columns of the feed's batches that the program reads; `None`: all.
    columns: Option<Vec<usize>>,
}

impl<'a> Flow<'a> {
    /// Begins, or begins again: completes what was decided before, drops what was not.
    pub(super) fn begin(
        shared: &'a Shared,
        task: &'a Task,
        columns: Option<Vec<usize>>,
        tail: Position,
        patience: Option<Duration>,
        order: &watch::Receiver<Order>,
    ) -> Result<Self, FlowError> {
        let staging_dir = shared.staging_dir(task.key);
        let publisher = |place: Place<'_>| {
            let is_table = matches!(place, Place::Of(_));
            let place = match place {
                Place::Of(bucket) => bucket.clone(),
                Place::Named(bucket) => {
                    // A commit may still be under way to a bucket that the sink has been told to leave.
                    let keys = sink_keys(&shared.store, task.sink.id, bucket, bucket != task.files.bucket)?;
                    shared.storage.locate(bucket, keys.as_ref()).map_err(FlowError::new)?
                }
            };
            shared.publisher(task.key, (place, is_table), &staging_dir, patience, order)
        };
        let named = task.table.as_ref().map(|table| shared.named(task.sink.id, table)).transpose()?;
        let route = Route { stream: task.stream.name.clone(), pipeline: task.pipeline.clone() };
        let mut letters =
            DeadLetters::new(&shared.data_dir, task.key, task.version, route, Arc::clone(&shared.disk));
        let mut state = shared.resume(task, named.as_ref(), publisher, &mut letters, patience, order)?;
        state.stream = Some(task.stream.id);
        let opened = named.map(|named| {
            shared.wait(task.key, Waiting { patience, order }, shared.open_table(task, named, &state))
        });
        let (table, files) = opened.transpose()?.map_or((None, task.files.clone()), |(t, f)| (Some(t), f));
        let publisher = publisher(match &table {
            Some(table) => Place::Of(&table.placed().bucket),
            None => Place::Named(&files.bucket),
        })?;
        if state.committed > tail {
            // Reading on from there would pass over the next records of the stream without a word.
            return Err(FlowError::new(format!(
                "the sink has committed position {} and the log ends at {tail}: was an older data folder restored?",
                state.committed
            )));
        }
        lakehead_sink::clean_staging(shared.disk.as_ref(), &staging_dir, &[])?;

        let settings = WriterSettings {
            open_files: table.as_ref().map_or(OpenFiles::BY_TIME, TableEnd::open_files),
            config: files,
            format: task.sink.format.clone(),
            staging_dir,
            flow: task.key.to_string(),
            stream: task.stream.id,
            writer_index: task.key.statement,
            origin: vec![
                ("lakehead.pipeline".into(), task.pipeline.clone()),
                ("lakehead.pipeline_id".into(), task.key.pipeline.to_string()),
                ("lakehead.pipeline_version".into(), task.version.to_string()),
                ("lakehead.statement".into(), task.key.statement.to_string()),
            ],
        };
        let writer =
            Writer::new(settings, shared.sink_seams.clone(), Arc::clone(&shared.memory), state.serial)?;
        Ok(Flow {
            last_commit: shared.clock.monotonic(),
            joins_at: state.committed,
            partition: None,
            patience,
            filtered: 0,
            delivered: 0,
            dead_lettered: 0,
            lost: 0,
            order: order.clone(),
            shared,
            task,
            columns,
            writer,
            publisher,
            table,
            letters,
            state,
        })
    }

    pub(super) fn blame(&self, error: impl Into<FlowError>) -> FlowError {
        error.into().of(self.task.key)
    }

    /// The records from here on, of which the first came at `time`, are of this partition.
    pub(super) fn enter(&mut self, partition: &Arc<str>, time: Timestamp) {
        self.partition = Some(Arc::clone(partition));
        if let Some(table) = &mut self.table {
            table.time = time;
        }
    }

    pub(super) fn wants_commit(&self) -> bool {
        self.writer.must_roll().is_some() || self.letters.is_full()
    }

    /// Whether records up to `cursor` have gone nowhere for a while.
    pub(super) fn is_quietly_behind(&self, cursor: Position) -> bool {
        cursor > self.state.committed
            && self.writer.open_rows() == 0
            && self.shared.clock.monotonic().saturating_sub(self.last_commit) >= QUIET_COMMIT
    }

    /// A record that could not be decoded.
    pub(super) fn reject(&mut self, origin: &Origin<'_>, reject: &Reject) -> Result<(), LetterError> {
        self.dead_lettered += 1;
        let labels = [self.task.pipeline.as_str(), reject.reason.as_str()];
        self.shared.metrics.pipeline_rejected.with_label_values(&labels).inc();
        self.letters.add(origin.position, origin.ingest_time, Cause::from(reject), origin.record)
    }

    /// Transforms and writes a batch of the feed. `turn` is given back when a row takes so long that others should not wait for it.
    pub(super) fn take(
        &mut self,
        rows: &RecordBatch,
        origins: &Origins,
        turn: &mut Option<Turn<'_>>,
    ) -> Result<(), FlowError> {
        if rows.num_rows() == 0 {
            return Ok(());
        }
        let Some(partition) = self.partition.clone() else {
            return Err(FlowError::new("a batch came before its partition was known"));
        };
        let projected = self.columns.as_ref().map(|columns| rows.project(columns)).transpose();
        let projected = projected.map_err(|e| FlowError::new(format!("batch: {e}")))?;
        let times = self.table.as_ref().map(|table| table.times(origins.ingest_times()));
        let program = match &self.table {
            Some(table) => table.program.clone(),
            None => self.task.statement.program.clone(),
        };
        isolate(&program, projected.as_ref().unwrap_or(rows), self.shared.now(), &mut |part| match part {
            Part::Made { first: first_row, taken, made } => {
                self.delivered += made.kept as u64;
                self.filtered += (taken - made.kept) as u64;
                if let Some(row) = made.first {
                    let origin =
                        origins.of(first_row + row).ok_or_else(|| FlowError::new("a row has no record"))?;
                    let first = FirstRecord { position: origin.position, ingest_time: origin.ingest_time };
                    match (&mut self.table, &times) {
                        (Some(table), Some(times)) => {
                            for (folder, rows) in
                                table.rows(&made, &times.slice(first_row, taken), &partition)?
                            {
                                self.writer.write(&rows, &folder, first)?;
                            }
                        }
                        _ => self.writer.write(&made.rows, &partition, first)?,
                    }
                }
                Ok(())
            }
            Part::Slow => {
                *turn = None;
                Ok(())
            }
            Part::Failed { row, error } => {
                let reason = reason(&error);
                let cause = Cause { stage: "transform", reason, path: "", detail: &error.message };
                self.dead_lettered += 1;
                let labels = [self.task.pipeline.as_str(), reason];
                self.shared.metrics.pipeline_rejected.with_label_values(&labels).inc();
                let origin = origins.of(row).ok_or_else(|| FlowError::new("a row has no record"))?;
                Ok(self.letters.add(origin.position, origin.ingest_time, cause, origin.record)?)
            }
        })
    }
}

impl Shared {
    /// Where the flow's files are made.
    pub(super) fn staging_dir(&self, key: FlowKey) -> std::path::PathBuf {
        self.data_dir.join("staging").join(key.pipeline.to_string()).join(key.statement.to_string())
    }

    /// Opens the bucket, unless there is an order to end.
    pub(super) fn publisher(
        &self,
        key: FlowKey,
        (bucket, is_table): (Bucket, bool),
        staging_dir: &std::path::Path,
        patience: Option<Duration>,
        order: &watch::Receiver<Order>,
    ) -> Result<Publisher, FlowError> {
        let (staging_dir, seams, uploads) = (staging_dir.to_owned(), &self.sink_seams, self.uploads.clone());
        let made = async {
            match is_table {
                true => Publisher::unprobed(bucket, staging_dir, seams, uploads).await,
                false => Publisher::new(bucket, staging_dir, seams, uploads).await,
            }
        };
        let made = self.shown(key, (SHOWN_AFTER, Slow::Bucket), made);
        let mut order = order.clone();
        self.async_runtime.block_on(async {
            tokio::select! {
                made = made => Ok(made?),
                e = out_of_patience(patience) => Err(e),
                _ = order.wait_for(|order| *order != Order::Run) => {
                    Err(FlowError::new("told to end while the bucket was being opened"))
                }
            }
        })
    }

    /// Does `work` with a bucket, for as long as that takes. When it takes longer than `limit`, the flow is shown as failed, until it
    /// goes on.
    pub(super) async fn shown<T>(
        &self,
        key: FlowKey,
        (limit, slow): (Duration, Slow),
        work: impl Future<Output = T>,
    ) -> T {
        let mut work = std::pin::pin!(work);
        tokio::select! {
            done = work.as_mut() => return done,
            () = tokio::time::sleep(limit) => {}
        }
        let seconds = limit.as_secs();
        let reason = format!(
            "the {slow} has not done in {seconds} seconds what it was asked to; it is being asked on"
        );
        tracing::warn!(flow = %key, reason, "a {slow} is slow");
        self.statuses.failed(key, reason);
        work.await
    }

    pub(super) fn now(&self) -> Timestamp {
        self.clock.now()
    }
}

/// Ends when the flows beside have waited long enough; never without a limit.
pub(super) async fn out_of_patience(patience: Option<Duration>) -> FlowError {
    let Some(patience) = patience else { return std::future::pending().await };
    tokio::time::sleep(patience).await;
    FlowError::new(format!(
        "the bucket has not answered for {} seconds; this statement goes on apart from the others",
        patience.as_secs()
    ))
}
