//! What is to run for a pipeline: which flows, of which version of its SQL, sharing which feeds.
//!
//! ```text
//!   flows of the current version  ──────────────────────────────► feeds: one a stream, and one for each flow that runs apart
//!   flows of another version, all at one position of each stream ► handed over in one transaction, then as above
//!   flows of another version, some behind (a crash, a sink that failed) ► feeds of that version, up to where the first one stands
//! ```
//! So every position is handled by exactly one version, and the position at which they change is exact.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use lakehead_meta::{Catalog, FlowKey, FlowRecord, FlowState, PastVersion, Retired};
use lakehead_model::resource::{Pipeline, SinkConfig, Stream, Table, TableRef};
use lakehead_model::{Partition, PipelineId, Position, StreamId};
use lakehead_transform::Statement;

use super::commit::{letters_of, next_state, table_of};
use super::dead_letters::{DeadLetters, Route, StagedLetters};
use super::feed::FeedTask;
use super::flow::{FlowError, Shared, Task};
use crate::sources::source;

/// A flow this many records behind the first one of its stream runs apart until it has caught up.
const STEP_RECORDS_MAX: u64 = 1_000_000;

/// What is to run for a pipeline.
pub(super) struct Plan {
    pub(super) version: u64,
    /// Of a version that is to be followed by another one: the feeds end by themselves.
    pub(super) is_ending: bool,
    pub(super) feeds: Vec<FeedTask>,
}

/// A version of a pipeline's SQL.
struct Edition<'a> {
    pipeline: &'a Pipeline,
    version: u64,
    sql: &'a str,
    tables: &'a [TableRef],
    /// Streams as they were, in case they are gone.
    streams: &'a [Stream],
}

impl<'a> Edition<'a> {
    fn current(pipeline: &'a Pipeline) -> Self {
        Edition {
            pipeline,
            version: pipeline.version,
            sql: &pipeline.sql,
            tables: &pipeline.tables,
            streams: &[],
        }
    }

    fn past(pipeline: &'a Pipeline, past: &'a PastVersion) -> Self {
        Edition {
            pipeline,
            version: past.version,
            sql: &past.sql,
            tables: &past.tables,
            streams: &past.streams,
        }
    }
}

impl Shared {
    /// Says what is to run, having handed over from an earlier version if that has come to its end. The flows it names are
    /// recorded in the store, and the log keeps what they need. `running`: the pipeline's flows that run now; while there are
    /// any nothing is handed over, and `None` says that they must end first.
    pub(super) fn plan(
        &self,
        catalog: &Catalog,
        pipeline: &Pipeline,
        running: &BTreeSet<FlowKey>,
    ) -> Result<Option<Plan>, FlowError> {
        self.retire(pipeline.id)?;
        let stored = self.store.flows(pipeline.id)?;
        let current = Edition::current(pipeline);
        if stored.iter().any(|(_, record)| record.state.version != pipeline.version) {
            if let Some(plan) = self.ending(catalog, pipeline, stored, running)? {
                return Ok(Some(plan));
            }
            if !running.is_empty() {
                return Ok(None);
            }
            return self.hand_over(catalog, &current).map(Some);
        }
        let mut tasks = tasks(catalog, &current)?;
        if stored.is_empty() && running.is_empty() {
            self.store.create_flows(&self.first_states(pipeline.id, &tasks, &[])?)?;
        }
        self.enter(&mut tasks, running)?;
        let feeds = self.feeds(tasks, &BTreeMap::new());
        Ok(Some(Plan { version: pipeline.version, is_ending: false, feeds }))
    }

    /// Feeds that bring the flows of an earlier version to one position of each stream; `None` if they stand there.
    fn ending(
        &self,
        catalog: &Catalog,
        pipeline: &Pipeline,
        stored: Vec<(FlowKey, FlowRecord)>,
        running: &BTreeSet<FlowKey>,
    ) -> Result<Option<Plan>, FlowError> {
        let stored = self.forget_lost_tables(catalog, stored)?;
        if stand_evenly(&stored) {
            return Ok(None);
        }
        let version = stored.iter().map(|(_, record)| record.state.version).min().unwrap_or_default();
        let past = self
            .store
            .past_version(pipeline.id, version)?
            .ok_or_else(|| FlowError::new(format!("version {version}, which must end first, is not kept")))?;
        let in_version = |e: FlowError| {
            let next = pipeline.version;
            let reason =
                format!("version {version}, which must end before version {next} begins: {}", e.reason);
            FlowError { reason, ..e }
        };
        let mut tasks = tasks(catalog, &Edition::past(pipeline, &past)).map_err(in_version)?;
        // A sink or stream that was deleted since takes nothing any more.
        let (kept, orphans): (Vec<_>, Vec<_>) =
            stored.into_iter().partition(|(key, _)| tasks.iter().any(|t| t.key == *key));
        self.give_up(pipeline, version, &orphans)?;
        if stand_evenly(&kept) {
            return Ok(None);
        }
        let mut ends: BTreeMap<StreamId, Position> = BTreeMap::new();
        for (key, record) in &kept {
            let state = record.intent.as_deref().map_or(Ok(record.state), next_state)?;
            for task in tasks.iter().filter(|task| task.key == *key) {
                let end = ends.entry(task.stream.id).or_insert(state.committed);
                *end = (*end).max(state.committed);
            }
        }
        tasks.retain(|task| kept.iter().any(|(key, _)| *key == task.key));
        self.enter(&mut tasks, running)?;
        Ok(Some(Plan { version, is_ending: true, feeds: self.feeds(tasks, &ends) }))
    }

    /// A flow that is to make way for the next version needs no table that is gone, or that was made again: it goes on with the one
    /// of that name, and what it was about to commit it reads again. Saving the SQL once more is how a person says that it may.
    fn forget_lost_tables(
        &self,
        catalog: &Catalog,
        mut stored: Vec<(FlowKey, FlowRecord)>,
    ) -> Result<Vec<(FlowKey, FlowRecord)>, FlowError> {
        for (key, record) in &mut stored {
            let Some((sink, uuid)) = table_of(record)? else { continue };
            let Some(sink) = catalog.any_sink(sink) else { continue };
            if self.table_is_lost(sink, uuid)? {
                self.store.forget_table(*key, record.state.committed)?;
                tracing::warn!(flow = %key, "the table of an earlier version is gone; what was not committed is read again");
                (record.state.table, record.intent) = (None, None);
            }
        }
        Ok(stored)
    }

    /// Takes leave of flows whose stream or sink is gone. What they were about to make visible stays invisible, but for their
    /// dead letters.
    fn give_up(
        &self,
        pipeline: &Pipeline,
        version: u64,
        orphans: &[(FlowKey, FlowRecord)],
    ) -> Result<(), FlowError> {
        if orphans.is_empty() {
            return Ok(());
        }
        let mut given_up = Vec::with_capacity(orphans.len());
        for (key, record) in orphans {
            let staged = record.intent.as_deref().map_or(Ok(None), letters_of)?;
            given_up.push((*key, staged.as_ref().map(StagedLetters::made)));
            if let Some(staged) = staged {
                DeadLetters::new(&self.data_dir, *key, version, Route::default(), Arc::clone(&self.disk))
                    .publish(&staged)?;
            }
        }
        self.store.retire_flows(pipeline.id, &given_up)?;
        let keys: Vec<_> = orphans.iter().map(|(key, _)| *key).collect();
        tracing::warn!(pipeline = %pipeline.name, version, flows = keys.len(), "flows of a deleted sink or stream were given up");
        self.leave(&keys);
        self.retire(pipeline.id)
    }

    /// Forgets flows that are no more.
    pub(super) fn leave(&self, keys: &[FlowKey]) {
        for key in keys {
            self.progress.leave(*key);
            self.statuses.forget(*key);
            let staging_dir = self.staging_dir(*key);
            if let Err(error) = lakehead_sink::clean_staging(self.disk.as_ref(), &staging_dir, &[]) {
                tracing::warn!(%error, flow = %key, "staged files of a flow that has ended stay");
            }
        }
    }

    /// Replaces the flows of an earlier version by those of `next`, which begin where the others end.
    fn hand_over(&self, catalog: &Catalog, next: &Edition<'_>) -> Result<Plan, FlowError> {
        let old = self.store.flows(next.pipeline.id)?;
        let mut tasks = tasks(catalog, next)?;
        let flows = self.first_states(next.pipeline.id, &tasks, &old)?;
        self.store.cut_over(next.pipeline.id, &flows)?;
        self.leave(&old.iter().map(|(key, _)| *key).collect::<Vec<_>>());
        self.apart.forget(next.pipeline.id);
        self.retire(next.pipeline.id)?;
        tracing::info!(
            pipeline = %next.pipeline.name, version = next.version,
            at = flows.first().map_or(0, |(_, state)| state.committed.0), "a new version of the SQL has taken over"
        );
        self.enter(&mut tasks, &BTreeSet::new())?;
        let feeds = self.feeds(tasks, &BTreeMap::new());
        Ok(Plan { version: next.version, is_ending: false, feeds })
    }

    /// Where each flow begins.
    fn first_states(
        &self,
        pipeline: PipelineId,
        tasks: &[Task],
        old: &[(FlowKey, FlowRecord)],
    ) -> Result<Vec<(FlowKey, FlowState)>, FlowError> {
        let retired = self.store.retired(pipeline)?;
        Ok(tasks.iter().map(|task| (task.key, self.first_state(task, old, &retired))).collect())
    }

    /// Where a flow begins: where those before it end, or those of versions past; else at the oldest record the log retains.
    fn first_state(&self, task: &Task, old: &[(FlowKey, FlowRecord)], retired: &Retired) -> FlowState {
        let stream = task.stream.id;
        let before = old.iter().find(|(_, record)| record.state.stream == Some(stream));
        let start = match before {
            Some((_, record)) => record.state.committed,
            None => {
                let oldest = self.log.oldest(Partition::first(stream));
                retired.ends.get(&stream).map_or(oldest, |end| oldest.max(*end))
            }
        };
        let serials = old.iter().map(|(_, record)| record.state.serial);
        FlowState {
            version: task.version,
            stream: Some(stream),
            committed: start,
            start,
            // Numbers of files that earlier flows gave away are not given again.
            serial: serials.fold(retired.serial, u64::max),
            ..FlowState::default()
        }
    }

    /// Makes the log keep what the flows need that do not run yet.
    fn enter(&self, tasks: &mut [Task], running: &BTreeSet<FlowKey>) -> Result<(), FlowError> {
        for task in tasks {
            let record = self
                .store
                .flow(task.key)?
                .ok_or_else(|| FlowError::new(format!("flow {} was not created", task.key)))?;
            let mut state = record.state;
            task.committed = state.committed;
            if running.contains(&task.key) {
                continue;
            }
            if state.stream.is_none() && record.intent.is_none() {
                // A record of old; its first commit would say it too, but may be long in coming.
                state.stream = Some(task.stream.id);
                self.store.record_commit(task.key, state.committed, &state)?;
            }
            self.progress.enter(task.key, Partition::first(task.stream.id), state);
        }
        Ok(())
    }

    /// Puts flows of one stream together, but for those that run apart.
    fn feeds(&self, tasks: Vec<Task>, ends: &BTreeMap<StreamId, Position>) -> Vec<FeedTask> {
        let mut first: BTreeMap<StreamId, Position> = BTreeMap::new();
        for task in &tasks {
            let position = first.entry(task.stream.id).or_insert(task.committed);
            *position = (*position).max(task.committed);
        }
        let mut feeds: Vec<FeedTask> = Vec::new();
        for task in tasks {
            let stream = task.stream.id;
            if first.get(&stream).is_some_and(|first| first.since(task.committed) > STEP_RECORDS_MAX) {
                self.apart.set(task.key);
            }
            let is_apart = self.apart.contains(task.key);
            let shared = feeds.iter_mut().find(|feed| {
                feed.stream.id == stream
                    && !is_apart
                    && feed.flows.iter().all(|f| !self.apart.contains(f.key))
            });
            match shared {
                Some(feed) => feed.flows.push(task),
                None => feeds.push(FeedTask {
                    stream: Arc::clone(&task.stream),
                    until: ends.get(&stream).copied(),
                    flows: vec![task],
                }),
            }
        }
        feeds
    }

    /// Takes what the pipeline's past versions have done into the sums.
    pub(super) fn retire(&self, pipeline: lakehead_model::PipelineId) -> Result<(), FlowError> {
        self.progress.retire(pipeline, self.store.retired(pipeline)?.totals);
        Ok(())
    }
}

/// Whether flows stand at one position of each stream, with nothing under way.
fn stand_evenly(flows: &[(FlowKey, FlowRecord)]) -> bool {
    let mut ends: BTreeMap<StreamId, Position> = BTreeMap::new();
    flows.iter().all(|(_, record)| {
        record.intent.is_none()
            && record.state.stream.is_some_and(|stream| {
                *ends.entry(stream).or_insert(record.state.committed) == record.state.committed
            })
    })
}

/// A task for each statement, with the resources it names as they are now; without those whose stream or sink is gone.
fn tasks(catalog: &Catalog, edition: &Edition<'_>) -> Result<Vec<Task>, FlowError> {
    let pipeline = edition.pipeline;
    let (mut streams, mut sources, mut sinks, mut sink_names) =
        (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for named in edition.tables {
        match named.table {
            Table::Stream(id) => match catalog.any_stream(id) {
                Some(stream) => {
                    sources.push(source(stream));
                    streams.push(Arc::clone(stream));
                }
                None => sources.extend(edition.streams.iter().filter(|s| s.id == id).map(source)),
            },
            Table::Sink(id) => {
                sinks.extend(catalog.any_sink(id).cloned());
                sink_names.push(named.name.clone());
            }
        }
    }
    if streams.is_empty() {
        return Ok(Vec::new());
    }
    let statements = lakehead_transform::compile(edition.sql, &sources, &sink_names)
        .map_err(|e| FlowError::new(e.message))?;
    let mut tasks: Vec<Task> = Vec::new();
    for (index, statement) in statements.into_iter().enumerate() {
        let Statement { stream, sink, .. } = &statement;
        let found = streams.iter().find(|s| s.name == *stream).zip(sinks.iter().find(|s| s.name == *sink));
        let Some((stream, sink)) = found else { continue };
        let (files, table) = match sink.config.clone() {
            SinkConfig::Files(files) => (files, None),
            SinkConfig::Table(table) => (table.files(), Some(table)),
        };
        tasks.push(Task {
            key: FlowKey { pipeline: pipeline.id, statement: u32::try_from(index).unwrap_or(u32::MAX) },
            pipeline: pipeline.name.clone(),
            version: edition.version,
            committed: Position::ZERO,
            stream: Arc::clone(stream),
            sink: Arc::clone(sink),
            files,
            table,
            statement,
        });
    }
    Ok(tasks)
}
