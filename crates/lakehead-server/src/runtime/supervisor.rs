//! Keeps one flow running for each statement of each pipeline that should exist.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use lakehead_decode::arrow_schema;
use lakehead_disk::Disk;
use lakehead_log::LocalLog;
use lakehead_meta::{Catalog, FlowKey, FlowState, Store};
use lakehead_model::resource::{Pipeline, SinkConfig, Stream, Table};
use lakehead_model::{Clock, Partition, Position, Random, SinkId};
use lakehead_sink::{MemoryBudget, Uploads};
use lakehead_transform::{Source, Statement};
use tokio::runtime::Handle;
use tokio::sync::watch;

use super::flow::{Flow, FlowError, Order, Shared, Task};
use super::progress::Progress;
use super::status::Statuses;
use super::turnstile::Turnstile;
use crate::metrics::Metrics;
use crate::startup::EXIT_DISK_FAILED;
use crate::storage::Storage;

/// Waiting time before a failed flow begins again: doubles from the first to the last.
const RETRY_FIRST: Duration = Duration::from_millis(500);
const RETRY_LAST: Duration = Duration::from_secs(30);
/// How long flows may take to commit what they have read when the server stops.
const FINISH_SECONDS_MAX: u64 = 15;
const REPORT_EVERY: Duration = Duration::from_secs(1);
const REAP_EVERY: Duration = Duration::from_millis(50);
/// Threads of flows decode and encode with little recursion.
const STACK_BYTES: usize = 8 << 20;

/// What the runtime is made of.
pub struct Runtime {
    pub store: Arc<Store>,
    pub log: LocalLog,
    pub storage: Arc<Storage>,
    pub memory: Arc<MemoryBudget>,
    pub uploads: Uploads,
    pub metrics: Metrics,
    pub clock: Arc<dyn Clock>,
    pub random: Arc<dyn Random>,
    pub disk: Arc<dyn Disk>,
    pub data_dir: std::path::PathBuf,
    pub async_runtime: Handle,
}

struct Running {
    /// With the version its flow was started with.
    sink: (SinkId, u64),
    order: watch::Sender<Order>,
    thread: JoinHandle<()>,
}

/// Starts and stops flows as the catalog changes.
pub struct Supervisor {
    shared: Arc<Shared>,
    running: BTreeMap<FlowKey, Running>,
    /// Flows told to finish, because their pipeline was deleted or their sink has changed. The latter are started again.
    leaving: HashMap<FlowKey, Running>,
}

impl Supervisor {
    pub fn new(runtime: Runtime, statuses: Arc<Statuses>) -> Self {
        let turns = std::thread::available_parallelism().map_or(1, usize::from);
        let shared = Shared {
            progress: Arc::new(Progress::new(runtime.log.clone())),
            turnstile: Turnstile::new(turns),
            statuses,
            store: runtime.store,
            log: runtime.log,
            storage: runtime.storage,
            memory: runtime.memory,
            sink_seams: lakehead_sink::Seams::new(
                Arc::clone(&runtime.clock),
                runtime.random,
                Arc::clone(&runtime.disk),
            ),
            uploads: runtime.uploads,
            metrics: runtime.metrics,
            clock: runtime.clock,
            disk: runtime.disk,
            data_dir: runtime.data_dir,
            async_runtime: runtime.async_runtime,
        };
        Supervisor { shared: Arc::new(shared), running: BTreeMap::new(), leaving: HashMap::new() }
    }

    /// Follows the catalog until `stop` turns true, then lets the flows finish. Runs on a thread of its own.
    pub fn run(mut self, mut stop: watch::Receiver<bool>) {
        let mut changes = self.shared.store.watch();
        let handle = self.shared.async_runtime.clone();
        self.sweep(&self.shared.store.catalog());
        loop {
            changes.borrow_and_update();
            // The log's streams first: one that is made in between is then not taken for a deleted one.
            let logged = self.shared.log.partitions();
            let catalog = self.shared.store.catalog();
            for (partition, _) in logged {
                if catalog.any_stream(partition.stream).is_none() {
                    self.shared.log.forget(partition);
                }
            }
            self.reap(&catalog);
            self.follow(&catalog);
            let running = &self.running;
            let is_entered = |p: &Pipeline| running.keys().any(|k| k.pipeline == p.id);
            self.shared.progress.settle(&catalog, is_entered);
            self.shared.report(&catalog);
            let pause = if self.leaving.is_empty() { REPORT_EVERY } else { REAP_EVERY };
            let stopping = handle.block_on(async {
                tokio::select! {
                    _ = stop.wait_for(|on| *on) => true,
                    _ = changes.changed() => false,
                    () = tokio::time::sleep(pause) => false,
                }
            });
            if stopping {
                break;
            }
        }
        self.finish_all();
    }

    fn follow(&mut self, catalog: &Catalog) {
        let is_current = |key: &FlowKey, running: &Running| {
            let (sink, version) = running.sink;
            catalog.any_pipeline(key.pipeline).is_some()
                && catalog.any_sink(sink).is_some_and(|s| s.version == version)
                && !running.thread.is_finished()
        };
        // With one of its flows a whole pipeline is started again.
        let outdated: BTreeSet<_> =
            self.running.iter().filter(|(key, r)| !is_current(key, r)).map(|(key, _)| key.pipeline).collect();
        self.dismiss(|key| outdated.contains(&key.pipeline));
        for pipeline in catalog.all_pipelines() {
            if self.running.keys().chain(self.leaving.keys()).any(|k| k.pipeline == pipeline.id) {
                continue;
            }
            if let Err(FlowError { reason, .. }) = self.start(catalog, pipeline) {
                // Tried again every second; said once.
                if self.shared.statuses.of(pipeline.id).failure_reason.as_ref() != Some(&reason) {
                    tracing::error!(pipeline = %pipeline.name, %reason, "a pipeline cannot start");
                }
                self.shared.statuses.failed(FlowKey { pipeline: pipeline.id, statement: 0 }, reason);
            }
        }
    }

    /// Lets flows commit and end.
    fn dismiss(&mut self, which: impl Fn(&FlowKey) -> bool) {
        let gone: Vec<_> = self.running.keys().filter(|key| which(key)).copied().collect();
        for key in gone {
            if let Some(running) = self.running.remove(&key) {
                let _ = running.order.send(Order::Finish);
                self.leaving.insert(key, running);
            }
        }
    }

    /// Removes what is left of pipelines that were deleted when nobody was there to do it: after a stop, or a start that failed.
    fn sweep(&self, catalog: &Catalog) {
        let stored = self.shared.store.flow_keys().unwrap_or_else(|error| {
            tracing::warn!(%error, "records of deleted pipelines were not looked for");
            Vec::new()
        });
        for key in stored {
            if catalog.any_pipeline(key.pipeline).is_none() && !self.leaving.contains_key(&key) {
                self.remove(key);
            }
        }
    }

    fn start(&mut self, catalog: &Catalog, pipeline: &Pipeline) -> Result<(), FlowError> {
        let tasks = tasks(catalog, pipeline)?;
        // All or none: a pipeline of which one flow runs counts as running.
        for task in &tasks {
            self.enter(task)?;
        }
        for task in tasks {
            let (order, orders) = watch::channel(Order::Run);
            let (key, sink, shared) = (task.key, (task.sink.id, task.sink.version), Arc::clone(&self.shared));
            let name = format!("flow-{}", task.pipeline);
            let body = move || keep_running(&shared, &task, &orders);
            let thread = std::thread::Builder::new().name(name).stack_size(STACK_BYTES).spawn(body);
            let thread = match thread {
                Ok(thread) => thread,
                Err(e) => {
                    self.dismiss(|k| k.pipeline == pipeline.id);
                    return Err(FlowError::new(format!("no thread: {e}")));
                }
            };
            self.running.insert(key, Running { sink, order, thread });
        }
        Ok(())
    }

    /// Creates the flow's record if it is new, at the oldest record the log retains, and makes the log keep what it needs.
    fn enter(&self, task: &Task) -> Result<(), FlowError> {
        let partition = Partition::first(task.stream.id);
        let state = match self.shared.store.flow(task.key)? {
            Some(record) => record.state,
            None => {
                let start = self.shared.log.oldest(partition);
                let state = FlowState { committed: start, start, ..FlowState::default() };
                self.shared.store.create_flow(task.key, &state)?;
                state
            }
        };
        self.shared.progress.enter(task.key, partition, state);
        Ok(())
    }

    /// Takes leave of flows whose thread has ended.
    fn reap(&mut self, catalog: &Catalog) {
        let ended: Vec<_> =
            self.leaving.iter().filter(|(_, r)| r.thread.is_finished()).map(|(key, _)| *key).collect();
        for key in ended {
            self.leaving.remove(&key);
            if catalog.any_pipeline(key.pipeline).is_some() {
                continue;
            }
            self.remove(key);
        }
    }

    /// Removes what the flow of a deleted pipeline kept, but for its dead letters.
    fn remove(&self, key: FlowKey) {
        self.shared.progress.leave(key);
        self.shared.statuses.forget(key);
        if let Err(error) =
            lakehead_sink::clean_staging(self.shared.disk.as_ref(), &self.shared.staging_dir(key), &[])
        {
            tracing::warn!(%error, flow = %key, "staged files of a deleted pipeline stay");
        }
        if !self.leaving.keys().any(|k| k.pipeline == key.pipeline)
            && let Err(error) = self.shared.store.delete_flows(key.pipeline)
        {
            tracing::error!(%error, flow = %key, "a deleted pipeline's record stays");
        }
    }

    fn finish_all(mut self) {
        let all: Vec<_> = std::mem::take(&mut self.running)
            .into_values()
            .chain(self.leaving.drain().map(|(_, r)| r))
            .collect();
        for running in &all {
            let _ = running.order.send(Order::Finish);
        }
        let began = self.shared.clock.monotonic();
        let late = || self.shared.clock.monotonic() - began > Duration::from_secs(FINISH_SECONDS_MAX);
        while !late() && all.iter().any(|r| !r.thread.is_finished()) {
            self.shared.async_runtime.block_on(async { tokio::time::sleep(Duration::from_millis(20)).await });
        }
        for running in all {
            let _ = running.order.send(Order::Abandon);
            let _ = running.thread.join();
        }
    }
}

/// A task for each statement of the pipeline, with the resources it names as they are now.
fn tasks(catalog: &Catalog, pipeline: &Pipeline) -> Result<Vec<Task>, FlowError> {
    let (mut streams, mut sinks) = (Vec::new(), Vec::new());
    for named in &pipeline.tables {
        match named.table {
            Table::Stream(id) => streams.extend(catalog.any_stream(id).cloned()),
            Table::Sink(id) => sinks.extend(catalog.any_sink(id).cloned()),
        }
    }
    let source = |s: &Arc<Stream>| Source { name: s.name.clone(), schema: arrow_schema(s.schema.as_ref()) };
    let sources: Vec<_> = streams.iter().map(source).collect();
    let sink_names: Vec<_> = sinks.iter().map(|s| s.name.clone()).collect();
    let statements = lakehead_transform::compile(&pipeline.sql, &sources, &sink_names)
        .map_err(|e| FlowError::new(e.message))?;
    let missing = |name: &str| FlowError::new(format!("`{name}` does not exist any more"));
    let task = |(index, statement): (usize, Statement)| {
        let stream = streams.iter().find(|s| s.name == statement.stream);
        let sink = sinks.iter().find(|s| s.name == statement.sink);
        let sink = Arc::clone(sink.ok_or_else(|| missing(&statement.sink))?);
        let SinkConfig::Files(files) = sink.config.clone() else {
            return Err(FlowError::new(format!("`{}` is a table, which cannot be written yet", sink.name)));
        };
        Ok(Task {
            key: FlowKey { pipeline: pipeline.id, statement: u32::try_from(index).unwrap_or(u32::MAX) },
            pipeline: pipeline.name.clone(),
            stream: Arc::clone(stream.ok_or_else(|| missing(&statement.stream))?),
            sink,
            files,
            statement,
        })
    };
    statements.into_iter().enumerate().map(task).collect()
}

/// The life of a flow's thread: begin, run, and begin again after a failure.
fn keep_running(shared: &Shared, task: &Task, orders: &watch::Receiver<Order>) {
    let mut pause = RETRY_FIRST;
    let mut reached = Position::ZERO;
    loop {
        let outcome = Flow::begin(shared, task, orders.clone()).and_then(|flow| {
            shared.statuses.running(task.key);
            flow.run()
        });
        let Err(FlowError { reason, is_fatal }) = outcome else { return };
        if is_fatal {
            // As with the log: what the disk was asked to keep may be gone, and asking again proves nothing.
            tracing::error!(flow = %task.key, %reason, "fsync_failed");
            std::process::exit(EXIT_DISK_FAILED);
        }
        if *orders.borrow() != Order::Run {
            tracing::warn!(flow = %task.key, %reason, "a flow ended without committing; the log keeps what is missing");
            return;
        }
        tracing::error!(flow = %task.key, pipeline = %task.pipeline, %reason, "a flow failed and begins again");
        shared.statuses.failed(task.key, reason);
        // A flow that got ahead since it last failed is not stuck: it starts over with short pauses.
        let now = shared.store.flow(task.key).ok().flatten().map_or(reached, |r| r.state.committed);
        pause = if now > reached { RETRY_FIRST } else { (pause * 2).min(RETRY_LAST) };
        reached = now;
        let mut orders = orders.clone();
        shared.async_runtime.block_on(async {
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                _ = orders.wait_for(|order| *order != Order::Run) => {}
            }
        });
        if *orders.borrow() != Order::Run {
            return;
        }
    }
}
