//! What the API says about a pipeline's health.

use std::collections::HashMap;

use lakehead_meta::FlowKey;
use lakehead_model::PipelineId;
use parking_lot::RwLock;

use crate::control::{Counters, PipelineState, PipelineStatus};

/// The state of every flow, as last reported by it.
#[derive(Debug, Default)]
pub struct Statuses {
    flows: RwLock<HashMap<FlowKey, PipelineStatus>>,
    counters: RwLock<HashMap<PipelineId, Counters>>,
    /// The version of the SQL that runs.
    versions: RwLock<HashMap<PipelineId, u64>>,
}

impl Statuses {
    /// A pipeline is as well as its worst flow; one that no flow has reported for is initializing.
    pub fn of(&self, pipeline: PipelineId) -> PipelineStatus {
        let flows = self.flows.read();
        let of_pipeline = flows.iter().filter(|(key, _)| key.pipeline == pipeline).map(|(_, s)| s);
        let worst = of_pipeline.max_by_key(|s| match s.state {
            PipelineState::Running => 0,
            PipelineState::Initializing => 1,
            PipelineState::Failed => 2,
        });
        PipelineStatus {
            counters: self.counters(pipeline),
            running_version: self.versions.read().get(&pipeline).copied(),
            ..worst.cloned().unwrap_or_default()
        }
    }

    pub(super) fn runs(&self, pipeline: PipelineId, version: u64) {
        self.versions.write().insert(pipeline, version);
    }

    /// The pipeline's ledger, as of about a second ago.
    fn counters(&self, pipeline: PipelineId) -> Option<Counters> {
        self.counters.read().get(&pipeline).copied()
    }

    pub(super) fn count(&self, all: HashMap<PipelineId, Counters>) {
        *self.counters.write() = all;
    }

    pub(super) fn running(&self, key: FlowKey) {
        self.flows
            .write()
            .insert(key, PipelineStatus { state: PipelineState::Running, ..PipelineStatus::default() });
    }

    pub(super) fn failed(&self, key: FlowKey, reason: String) {
        let status = PipelineStatus {
            state: PipelineState::Failed,
            failure_reason: Some(reason),
            ..PipelineStatus::default()
        };
        self.flows.write().insert(key, status);
    }

    pub(super) fn forget(&self, key: FlowKey) {
        self.flows.write().remove(&key);
    }

    /// The pipeline is gone.
    pub(super) fn forget_pipeline(&self, pipeline: PipelineId) {
        self.flows.write().retain(|key, _| key.pipeline != pipeline);
        self.versions.write().remove(&pipeline);
    }

    /// Flows that have failed.
    pub fn is_failing(&self, pipeline: PipelineId) -> bool {
        self.of(pipeline).state == PipelineState::Failed
    }
}
