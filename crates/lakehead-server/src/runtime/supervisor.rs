//! Keeps the feeds running of each pipeline that should exist.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use lakehead_disk::Disk;
use lakehead_log::LocalLog;
use lakehead_meta::{Catalog, FlowKey, Store};
use lakehead_model::resource::Pipeline;
use lakehead_model::{Clock, Partition, PipelineId, Position, Random, SinkId, StreamId};
use lakehead_sink::{MemoryBudget, Uploads};
use tokio::runtime::Handle;
use tokio::sync::watch;

use super::apart::Apart;
use super::feed::{Feed, FeedTask};
use super::flow::{FlowError, Order, Shared};
use super::plan::Plan;
use super::progress::Progress;
use super::status::Statuses;
use super::turnstile::Turnstile;
use crate::catalogs::Catalogs;
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
/// Threads of feeds decode and encode with little recursion.
const STACK_BYTES: usize = 8 << 20;

/// What the runtime is made of.
pub struct Runtime {
    pub store: Arc<Store>,
    pub log: LocalLog,
    pub storage: Arc<Storage>,
    pub catalogs: Arc<Catalogs>,
    pub memory: Arc<MemoryBudget>,
    pub uploads: Uploads,
    pub metrics: Metrics,
    pub clock: Arc<dyn Clock>,
    pub random: Arc<dyn Random>,
    pub disk: Arc<dyn Disk>,
    pub data_dir: std::path::PathBuf,
    pub async_runtime: Handle,
}

/// A feed's thread.
struct Running {
    flows: Vec<FlowKey>,
    stream: StreamId,
    /// Of each flow, with the version it was started with.
    sinks: Vec<(SinkId, u64)>,
    /// Of the pipeline.
    version: u64,
    is_ending: bool,
    order: watch::Sender<Order>,
    thread: JoinHandle<()>,
}

impl Running {
    fn pipeline(&self) -> Option<PipelineId> {
        self.flows.first().map(|key| key.pipeline)
    }

    /// Whether it is still what should run.
    fn is_current(&self, catalog: &Catalog) -> bool {
        let pipeline = self.pipeline().and_then(|id| catalog.any_pipeline(id));
        pipeline.is_some_and(|pipeline| self.is_ending || self.version == pipeline.version)
            && catalog.any_stream(self.stream).is_some()
            && self
                .sinks
                .iter()
                .all(|(id, version)| catalog.any_sink(*id).is_some_and(|s| s.version == *version))
    }
}

/// Starts and stops feeds as the catalog changes.
pub struct Supervisor {
    shared: Arc<Shared>,
    running: Vec<Running>,
    /// Feeds told to finish, because their pipeline was deleted, or it or a sink has changed. The latter are started again.
    leaving: Vec<Running>,
    /// How many flows each pipeline has when it is whole.
    flows: BTreeMap<PipelineId, usize>,
}

impl Supervisor {
    pub fn new(runtime: Runtime, statuses: Arc<Statuses>) -> Self {
        Supervisor {
            shared: Arc::new(Shared::new(runtime, statuses)),
            running: Vec::new(),
            leaving: Vec::new(),
            flows: BTreeMap::new(),
        }
    }

    /// Follows the catalog until `stop` turns true, then lets the flows finish. Runs on a thread of its own.
    pub fn run(mut self, mut stop: watch::Receiver<bool>) {
        let mut changes = self.shared.store.watch();
        let handle = self.shared.async_runtime.clone();
        self.sweep(&self.shared.store.catalog());
        self.shared.remember(&self.shared.store.catalog());
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
            self.leaving.retain(|running| !running.thread.is_finished());
            self.follow(&catalog);
            self.purge(&catalog);
            let running = &self.running;
            let is_entered = |p: &Pipeline| running.iter().any(|r| r.pipeline() == Some(p.id));
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
        // A feed that has ended by itself is started anew, with the others that its pipeline lacks.
        self.running.retain(|running| !running.thread.is_finished());
        let outdated = self.running.iter().filter(|running| !running.is_current(catalog));
        // With one of its feeds a whole pipeline is started again.
        let mut again: BTreeSet<_> = outdated.filter_map(Running::pipeline).collect();
        again.extend(self.shared.apart.rejoin(self.shared.clock.monotonic()));
        self.dismiss(|pipeline| again.contains(&pipeline));
        for pipeline in catalog.all_pipelines() {
            if self.leaving.iter().any(|r| r.pipeline() == Some(pipeline.id)) || self.is_whole(pipeline.id) {
                continue;
            }
            if let Err(FlowError { reason, is_fatal, .. }) = self.start(catalog, pipeline) {
                if is_fatal {
                    fail_stop(&pipeline.name, &reason);
                }
                // Tried again every second; said once.
                if self.shared.statuses.of(pipeline.id).failure_reason.as_ref() != Some(&reason) {
                    tracing::error!(pipeline = %pipeline.name, %reason, "a pipeline cannot start");
                }
                self.shared.statuses.failed(FlowKey { pipeline: pipeline.id, statement: 0 }, reason);
            }
        }
    }

    /// Whether all feeds of the pipeline run.
    fn is_whole(&self, pipeline: PipelineId) -> bool {
        let running = self.running.iter().filter(|r| r.pipeline() == Some(pipeline));
        let flows: usize = running.map(|r| r.flows.len()).sum();
        flows > 0 && self.flows.get(&pipeline) == Some(&flows)
    }

    /// Lets the feeds of pipelines commit and end.
    fn dismiss(&mut self, which: impl Fn(PipelineId) -> bool) {
        let (gone, stay) = std::mem::take(&mut self.running)
            .into_iter()
            .partition(|r: &Running| r.pipeline().is_some_and(&which));
        self.running = stay;
        for running in gone {
            let _ = running.order.send(Order::Finish);
            self.leaving.push(running);
        }
    }

    /// Removes what is left of pipelines that were deleted when nobody was there to do it: after a stop, or a start that failed.
    fn sweep(&self, catalog: &Catalog) {
        let stored = self.shared.store.flow_keys().unwrap_or_else(|error| {
            tracing::warn!(%error, "records of deleted pipelines were not looked for");
            Vec::new()
        });
        let gone: BTreeSet<_> =
            stored.iter().map(|key| key.pipeline).filter(|p| catalog.any_pipeline(*p).is_none()).collect();
        for pipeline in gone {
            let flows: Vec<_> = stored.iter().filter(|key| key.pipeline == pipeline).copied().collect();
            self.remove(pipeline, &flows);
        }
    }

    /// Starts what the pipeline lacks.
    fn start(&mut self, catalog: &Catalog, pipeline: &Pipeline) -> Result<(), FlowError> {
        let of_pipeline = self.running.iter().filter(|r| r.pipeline() == Some(pipeline.id));
        let runs: BTreeSet<FlowKey> = of_pipeline.flat_map(|r| r.flows.iter().copied()).collect();
        let Some(Plan { version, is_ending, feeds }) = self.shared.plan(catalog, pipeline, &runs)? else {
            return Ok(());
        };
        self.flows.insert(pipeline.id, feeds.iter().map(|feed| feed.flows.len()).sum());
        self.shared.statuses.runs(pipeline.id, version);
        for feed in feeds.into_iter().filter(|feed| feed.flows.iter().all(|task| !runs.contains(&task.key))) {
            let (order, orders) = watch::channel(Order::Run);
            let (flows, stream) = (feed.flows.iter().map(|task| task.key).collect(), feed.stream.id);
            let sinks = feed.flows.iter().map(|task| (task.sink.id, task.sink.version)).collect();
            let shared = Arc::clone(&self.shared);
            let name = format!("feed-{}", pipeline.name);
            let body = move || keep_running(&shared, &feed, &orders);
            let thread = std::thread::Builder::new().name(name).stack_size(STACK_BYTES).spawn(body);
            let thread = thread.map_err(|e| FlowError::new(format!("no thread: {e}")))?;
            self.running.push(Running { flows, stream, sinks, version, is_ending, order, thread });
        }
        Ok(())
    }

    /// Removes what is left of pipelines that are gone and of which nothing runs any more.
    fn purge(&mut self, catalog: &Catalog) {
        let entered = self.shared.progress.all().into_iter().map(|(key, _)| key.pipeline);
        let known: BTreeSet<_> = entered.chain(self.flows.keys().copied()).collect();
        for pipeline in known.into_iter().filter(|id| catalog.any_pipeline(*id).is_none()) {
            if self.running.iter().chain(&self.leaving).any(|r| r.pipeline() == Some(pipeline)) {
                continue;
            }
            match self.shared.store.flows(pipeline) {
                Err(error) => tracing::error!(%error, %pipeline, "a deleted pipeline's record stays"),
                Ok(flows) => {
                    let entered = self.shared.progress.all().into_iter().map(|(key, _)| key);
                    let entered = entered.filter(|key| key.pipeline == pipeline);
                    let keys: BTreeSet<_> = flows.iter().map(|(key, _)| *key).chain(entered).collect();
                    self.remove(pipeline, &keys.into_iter().collect::<Vec<_>>());
                    self.flows.remove(&pipeline);
                }
            }
        }
    }

    /// Removes what the flows of a deleted pipeline kept, but for their dead letters.
    fn remove(&self, pipeline: PipelineId, flows: &[FlowKey]) {
        self.shared.leave(flows);
        self.shared.statuses.forget_pipeline(pipeline);
        self.shared.apart.forget(pipeline);
        self.shared.progress.forget(pipeline);
        if let Err(error) = self.shared.store.delete_flows(pipeline) {
            tracing::error!(%error, %pipeline, "a deleted pipeline's record stays");
        }
    }

    fn finish_all(mut self) {
        let mut all = std::mem::take(&mut self.running);
        all.append(&mut self.leaving);
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

impl Shared {
    pub(super) fn new(runtime: Runtime, statuses: Arc<Statuses>) -> Self {
        let turns = std::thread::available_parallelism().map_or(1, usize::from);
        Shared {
            progress: Arc::new(Progress::new(runtime.log.clone())),
            turnstile: Turnstile::new(turns),
            statuses,
            apart: Apart::default(),
            store: runtime.store,
            log: runtime.log,
            storage: runtime.storage,
            catalogs: runtime.catalogs,
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
        }
    }

    /// Makes the log keep what stored flows need, before their pipelines start: they may fail to.
    pub(super) fn remember(&self, catalog: &Catalog) {
        for pipeline in catalog.all_pipelines() {
            let flows = self.retire(pipeline.id).and_then(|()| Ok(self.store.flows(pipeline.id)?));
            match flows {
                Err(FlowError { reason, .. }) => {
                    tracing::error!(pipeline = %pipeline.name, reason, "a pipeline's flows cannot be read");
                }
                Ok(flows) => {
                    for (key, record) in flows {
                        if let Some(stream) = record.state.stream {
                            self.progress.enter(key, Partition::first(stream), record.state);
                        }
                    }
                }
            }
        }
    }

    /// Takes note that the feed of `task` failed. Whether it is to end, for its flows to be planned anew: one flow that fails
    /// beside others runs apart from then on.
    pub(super) fn note_failure(&self, task: &FeedTask, error: &FlowError) -> bool {
        let FlowError { reason, culprit, .. } = error;
        let pipeline = task.flows.first().map_or("", |flow| flow.pipeline.as_str());
        tracing::error!(pipeline, flow = culprit.map(|key| key.to_string()), %reason, "a flow failed and begins again");
        for key in task.flows.iter().map(|flow| flow.key) {
            if culprit.is_none_or(|culprit| culprit == key) {
                self.apart.is_unwell(key);
                self.statuses.failed(key, reason.clone());
            }
        }
        let (Some(culprit), 2..) = (*culprit, task.flows.len()) else { return false };
        self.apart.set(culprit);
        true
    }
}

/// As with the log: what the disk was asked to keep may be gone, and asking again proves nothing.
fn fail_stop(pipeline: &str, reason: &str) -> ! {
    tracing::error!(pipeline, %reason, "fsync_failed");
    std::process::exit(EXIT_DISK_FAILED)
}

/// The life of a feed's thread: begin, run, and begin again after a failure. One flow that fails beside others ends the feed: it
/// runs apart from then on.
fn keep_running(shared: &Shared, task: &FeedTask, orders: &watch::Receiver<Order>) {
    let keys = || task.flows.iter().map(|flow| flow.key);
    let pipeline = task.flows.first().map_or("", |flow| flow.pipeline.as_str());
    let mut pause = RETRY_FIRST;
    let mut reached = Position::ZERO;
    loop {
        let outcome = Feed::begin(shared, task, orders).and_then(|feed| {
            keys().for_each(|key| shared.statuses.running(key));
            feed.run()
        });
        let Err(error) = outcome else { return };
        let reason = &error.reason;
        if error.is_fatal {
            fail_stop(pipeline, reason);
        }
        if *orders.borrow() != Order::Run {
            tracing::warn!(pipeline, %reason, "a flow ended without committing; the log keeps what is missing");
            return;
        }
        if shared.note_failure(task, &error) {
            return;
        }
        // A flow that got ahead since it last failed is not stuck: it starts over with short pauses.
        let stored = |key| shared.store.flow(key).ok().flatten().map(|record| record.state.committed);
        let now = keys().filter_map(stored).min().unwrap_or(reached);
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
