//! Which flows run apart from the others of their pipeline: those that failed while the others did well, or lag far behind them.
//!
//! Flows of a stream share one reader as long as they keep step. A sink that cannot be written must not hold up the sinks beside
//! it, so its flow gets a reader of its own until it has caught up and has been well for [`REJOIN_AFTER`].

use std::collections::BTreeMap;
use std::time::Duration;

use lakehead_meta::FlowKey;
use lakehead_model::PipelineId;
use parking_lot::Mutex;

/// Coming together again makes every flow of the pipeline commit, which makes small files; so not too often.
pub(super) const REJOIN_AFTER: Duration = Duration::from_secs(30);

#[derive(Debug, Default)]
pub(super) struct Apart {
    /// Since when each has been well and caught up, by the monotonic clock.
    flows: Mutex<BTreeMap<FlowKey, Option<Duration>>>,
}

impl Apart {
    /// From now on the flow runs alone.
    pub(super) fn set(&self, key: FlowKey) {
        self.flows.lock().insert(key, None);
    }

    pub(super) fn contains(&self, key: FlowKey) -> bool {
        self.flows.lock().contains_key(&key)
    }

    /// The flow has read all there is.
    pub(super) fn is_well(&self, key: FlowKey, now: Duration) {
        if let Some(since) = self.flows.lock().get_mut(&key) {
            since.get_or_insert(now);
        }
    }

    /// The flow failed again.
    pub(super) fn is_unwell(&self, key: FlowKey) {
        if let Some(since) = self.flows.lock().get_mut(&key) {
            *since = None;
        }
    }

    /// Takes out the flows that may share a reader again, and names their pipelines.
    pub(super) fn rejoin(&self, now: Duration) -> Vec<PipelineId> {
        let mut rejoining = Vec::new();
        self.flows.lock().retain(|key, since| {
            let stays = since.is_none_or(|since| now.saturating_sub(since) < REJOIN_AFTER);
            if !stays {
                rejoining.push(key.pipeline);
            }
            stays
        });
        rejoining
    }

    /// The pipeline's flows are others now, or none.
    pub(super) fn forget(&self, pipeline: PipelineId) {
        self.flows.lock().retain(|key, _| key.pipeline != pipeline);
    }
}

#[cfg(test)]
mod tests;
