//! What the API says about a pipeline's health.

use std::collections::HashMap;

use lakehead_meta::FlowKey;
use lakehead_model::PipelineId;
use parking_lot::RwLock;

use crate::control::Counters;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum State {
    Running,
    Initializing,
    /// It keeps trying; the reason says what to mend.
    Failed,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PipelineStatus {
    pub state: State,
    /// Only with `Failed`.
    pub failure_reason: Option<String>,
}

/// The state of every flow, as last reported by it.
#[derive(Debug, Default)]
pub struct Statuses {
    flows: RwLock<HashMap<FlowKey, PipelineStatus>>,
    counters: RwLock<HashMap<PipelineId, Counters>>,
}

impl Statuses {
    /// A pipeline is as well as its worst flow; one that no flow has reported for is initializing.
    pub fn of(&self, pipeline: PipelineId) -> PipelineStatus {
        let flows = self.flows.read();
        let worst =
            flows.iter().filter(|(key, _)| key.pipeline == pipeline).map(|(_, s)| s).max_by_key(|s| s.state);
        worst.cloned().unwrap_or(PipelineStatus { state: State::Initializing, failure_reason: None })
    }

    /// The pipeline's ledger, as of about a second ago.
    pub fn counters(&self, pipeline: PipelineId) -> Option<Counters> {
        self.counters.read().get(&pipeline).copied()
    }

    pub(super) fn count(&self, all: HashMap<PipelineId, Counters>) {
        *self.counters.write() = all;
    }

    pub(super) fn running(&self, key: FlowKey) {
        self.flows.write().insert(key, PipelineStatus { state: State::Running, failure_reason: None });
    }

    pub(super) fn failed(&self, key: FlowKey, reason: String) {
        self.flows.write().insert(key, PipelineStatus { state: State::Failed, failure_reason: Some(reason) });
    }

    pub(super) fn forget(&self, key: FlowKey) {
        self.flows.write().remove(&key);
    }

    /// Flows that have failed.
    pub fn is_failing(&self, pipeline: PipelineId) -> bool {
        self.of(pipeline).state == State::Failed
    }
}
