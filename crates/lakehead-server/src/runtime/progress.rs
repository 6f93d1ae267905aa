//! How far all flows have committed, and what the log may therefore trim.

use std::collections::HashMap;

use lakehead_log::LocalLog;
use lakehead_meta::{FlowKey, FlowState};
use lakehead_model::{Partition, Timestamp};
use parking_lot::Mutex;

/// One flow's commitment as last recorded.
#[derive(Debug, Clone, Copy)]
pub(super) struct Reached {
    pub(super) partition: Partition,
    pub(super) state: FlowState,
    /// Ingest time of the oldest record read and not committed.
    pub(super) oldest_uncommitted: Option<Timestamp>,
}

/// **Invariant:** a flow is entered with its stored state before anything of its partition may be trimmed on behalf of
/// others, and stays entered while its pipeline exists, running or not.
pub(super) struct Progress {
    log: LocalLog,
    flows: Mutex<HashMap<FlowKey, Reached>>,
}

impl Progress {
    pub(super) fn new(log: LocalLog) -> Self {
        Progress { log, flows: Mutex::default() }
    }

    pub(super) fn enter(&self, key: FlowKey, partition: Partition, state: FlowState) {
        self.log.set_readers(partition, true);
        self.flows.lock().insert(key, Reached { partition, state, oldest_uncommitted: None });
    }

    /// `key` has recorded `state`: the log may let go of what every flow of the partition has passed.
    pub(super) fn committed(&self, key: FlowKey, state: FlowState) {
        let mut flows = self.flows.lock();
        let Some(reached) = flows.get_mut(&key) else { return };
        reached.state = state;
        reached.oldest_uncommitted = None;
        let partition = reached.partition;
        let passed = flows.values().filter(|r| r.partition == partition).map(|r| r.state.committed).min();
        drop(flows);
        if let Some(passed) = passed {
            self.log.trim(partition, passed);
        }
    }

    pub(super) fn reading(&self, key: FlowKey, oldest: Timestamp) {
        if let Some(reached) = self.flows.lock().get_mut(&key) {
            reached.oldest_uncommitted.get_or_insert(oldest);
        }
    }

    /// The pipeline is gone: it holds nothing back any more.
    pub(super) fn leave(&self, key: FlowKey) {
        let mut flows = self.flows.lock();
        let Some(left) = flows.remove(&key) else { return };
        let rest = flows.values().filter(|r| r.partition == left.partition).map(|r| r.state.committed).min();
        drop(flows);
        match rest {
            Some(passed) => self.log.trim(left.partition, passed),
            None => self.log.set_readers(left.partition, false),
        }
    }

    pub(super) fn all(&self) -> Vec<(FlowKey, Reached)> {
        self.flows.lock().iter().map(|(key, reached)| (*key, *reached)).collect()
    }
}
