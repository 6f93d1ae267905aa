//! What flows have done, as gauges and as the counters of the API.
//!
//! Of one look: accepted = delivered + filtered + dead-lettered + lost + in flight, because accepted and in flight are both
//! taken from one reading of the log's end. From look to look each figure but what is in flight only rises, through restarts and
//! edits; but an edit that drops a statement takes what that one had in flight out of accepted and in flight: nobody will
//! handle it.

use std::collections::BTreeMap;

use lakehead_meta::Catalog;
use lakehead_model::{Partition, PipelineId};

use super::flow::Shared;
use crate::control::Counters;

impl Shared {
    /// Brings the gauges up to date.
    pub(super) fn report(&self, catalog: &Catalog) {
        let metrics = &self.metrics;
        let _together = metrics.together();
        metrics.forget_gauges();
        let now = self.clock.now();
        for stream in catalog.all_streams() {
            let partition = Partition::first(stream.id);
            metrics
                .log_oldest_position
                .with_label_values(&[&stream.name])
                .set(gauge(self.log.oldest(partition).0));
            metrics
                .log_next_position
                .with_label_values(&[&stream.name])
                .set(gauge(self.log.tail(partition).0));
        }
        let mut sums: BTreeMap<PipelineId, [i64; 7]> = BTreeMap::new();
        for (key, reached) in self.progress.all() {
            let tail = self.log.tail(reached.partition).max(reached.state.committed);
            let s = reached.state;
            let age = reached.oldest_uncommitted.map_or(0, |t| now.saturating_duration_since(t).as_secs());
            let figures = [
                tail.since(s.start),
                s.delivered,
                s.filtered,
                s.dead_lettered,
                s.lost,
                tail.since(s.committed),
                age,
            ];
            let sum = sums.entry(key.pipeline).or_insert_with(|| {
                let past = self.progress.retired(key.pipeline);
                [past.accepted, past.delivered, past.filtered, past.dead_lettered, past.lost, 0, 0].map(gauge)
            });
            for (i, figure) in figures.into_iter().enumerate() {
                sum[i] = if i == 6 { sum[i].max(gauge(figure)) } else { sum[i] + gauge(figure) };
            }
        }
        let counters =
            sums.iter().map(|(id, &[accepted, delivered, filtered, dead_lettered, lost, in_flight, _])| {
                let count = |n: i64| u64::try_from(n).unwrap_or(0);
                let counters = Counters {
                    accepted: count(accepted),
                    delivered: count(delivered),
                    filtered: count(filtered),
                    dead_lettered: count(dead_lettered),
                    lost: count(lost),
                    in_flight: count(in_flight),
                };
                (*id, counters)
            });
        self.statuses.count(counters.collect());
        for (id, [accepted, delivered, filtered, dead_lettered, lost, in_flight, age]) in sums {
            let Some(pipeline) = catalog.any_pipeline(id) else { continue };
            let label = &[pipeline.name.as_str()];
            metrics.pipeline_accepted.with_label_values(label).set(accepted);
            metrics.pipeline_delivered.with_label_values(label).set(delivered);
            metrics.pipeline_filtered.with_label_values(label).set(filtered);
            metrics.pipeline_dead_lettered.with_label_values(label).set(dead_lettered);
            metrics.pipeline_in_flight.with_label_values(label).set(in_flight);
            metrics.pipeline_lost.with_label_values(label).set(lost);
            let imbalance = accepted - delivered - filtered - dead_lettered - lost - in_flight;
            metrics.ledger_imbalance.with_label_values(label).set(imbalance);
            metrics.pipeline_oldest_uncommitted_age_seconds.with_label_values(label).set(age);
        }
        // Also those that never started.
        for pipeline in catalog.all_pipelines() {
            let failing = i64::from(self.statuses.is_failing(pipeline.id));
            metrics.pipeline_failing.with_label_values(&[&pipeline.name]).set(failing);
        }
    }
}

fn gauge(n: u64) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX)
}
