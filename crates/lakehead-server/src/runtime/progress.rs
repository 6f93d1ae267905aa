//! How far all flows have committed, and what the log may therefore trim.

use std::collections::HashMap;

use lakehead_log::LocalLog;
use lakehead_meta::{Catalog, FlowKey, FlowState, Totals};
use lakehead_model::resource::{Pipeline, Table};
use lakehead_model::{Partition, PipelineId, Position, Timestamp};
use parking_lot::Mutex;

/// One flow's commitment as last recorded.
#[derive(Debug, Clone, Copy)]
pub(super) struct Reached {
    pub(super) partition: Partition,
    pub(super) state: FlowState,
    /// Ingest time of the oldest record read and not committed.
    pub(super) oldest_uncommitted: Option<Timestamp>,
}

/// **Invariant:** nothing of a stream is trimmed before every flow of every pipeline that reads it is entered with its stored
/// state; a flow stays entered while its pipeline exists, running or not.
pub(super) struct Progress {
    log: LocalLog,
    flows: Mutex<HashMap<FlowKey, Reached>>,
    /// What the past versions of pipelines have done.
    retired: Mutex<HashMap<PipelineId, Totals>>,
}

impl Progress {
    pub(super) fn new(log: LocalLog) -> Self {
        Progress { log, flows: Mutex::default(), retired: Mutex::default() }
    }

    pub(super) fn enter(&self, key: FlowKey, partition: Partition, state: FlowState) {
        self.flows.lock().insert(key, Reached { partition, state, oldest_uncommitted: None });
    }

    /// `key` has recorded `state`.
    pub(super) fn committed(&self, key: FlowKey, state: FlowState) {
        let mut flows = self.flows.lock();
        let Some(reached) = flows.get_mut(&key) else { return };
        reached.state = state;
        reached.oldest_uncommitted = None;
    }

    /// Tells the log what it may let go of: what every flow of a stream has passed. A stream that a pipeline reads of which
    /// not every flow is entered keeps everything; one that no pipeline reads is kept by age alone.
    pub(super) fn settle(&self, catalog: &Catalog, is_entered: impl Fn(&Pipeline) -> bool) {
        let flows = self.flows.lock();
        for stream in catalog.all_streams().map(|s| s.id) {
            let partition = Partition::first(stream);
            let mut passed = flows.values().filter(|r| r.partition == partition).map(|r| r.state.committed);
            let readers = catalog.pipelines_using(Table::Stream(stream));
            self.log.set_readers(partition, !readers.is_empty() || passed.clone().next().is_some());
            if readers.iter().all(|pipeline| is_entered(pipeline))
                && let Some(first) = passed.next()
            {
                self.log.trim(partition, passed.fold(first, Position::min));
            }
        }
    }

    pub(super) fn reading(&self, key: FlowKey, oldest: Timestamp) {
        if let Some(reached) = self.flows.lock().get_mut(&key) {
            reached.oldest_uncommitted.get_or_insert(oldest);
        }
    }

    pub(super) fn retire(&self, pipeline: PipelineId, totals: Totals) {
        self.retired.lock().insert(pipeline, totals);
    }

    /// The pipeline is gone.
    pub(super) fn forget(&self, pipeline: PipelineId) {
        self.retired.lock().remove(&pipeline);
    }

    pub(super) fn retired(&self, pipeline: PipelineId) -> Totals {
        self.retired.lock().get(&pipeline).copied().unwrap_or_default()
    }

    /// The flow is gone: it holds nothing back any more.
    pub(super) fn leave(&self, key: FlowKey) {
        self.flows.lock().remove(&key);
    }

    pub(super) fn all(&self) -> Vec<(FlowKey, Reached)> {
        self.flows.lock().iter().map(|(key, reached)| (*key, *reached)).collect()
    }
}

#[cfg(test)]
mod tests;
