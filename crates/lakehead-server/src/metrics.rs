//! What `/metrics` shows, in Prometheus' text format. Names, units and labels are fixed; changing one breaks dashboards.
//!
//! Labels are resource names and short words only, so their number is bounded by the resource limits.

use std::sync::Arc;

use parking_lot::{Mutex, MutexGuard};
use prometheus::{
    Encoder, Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts,
    Registry, TextEncoder,
};

/// Seconds from 100 µs to 10 s.
const LATENCY_BUCKETS: &[f64] =
    &[0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];

/// All metrics of the process. Cheap to clone; clones share their values.
#[derive(Debug, Clone)]
pub struct Metrics {
    registry: Registry,
    /// Held while figures that belong together change, and while a scrape is taken.
    together: Arc<Mutex<()>>,
    /// Ingest requests by answer. `{code}`
    pub ingest_requests: IntCounterVec,
    /// Records acknowledged. `{stream}`
    pub ingest_records: IntCounterVec,
    /// Bytes of bodies acknowledged, after inflation. `{stream}`
    pub ingest_bytes: IntCounterVec,
    /// From the request's head to its acknowledgement.
    pub ingest_ack_seconds: Histogram,
    pub log_fsync_seconds: Histogram,
    pub log_size_bytes: IntGauge,
    pub log_quota_bytes: IntGauge,
    pub log_free_bytes: IntGauge,
    pub log_segments: IntGauge,
    pub log_corrupt_records: IntGauge,
    /// `{stream}`
    pub log_oldest_position: IntGaugeVec,
    /// `{stream}`
    pub log_next_position: IntGaugeVec,
    /// Records of the stream since the pipeline began. `{pipeline}`, like all that follow.
    pub pipeline_accepted: IntGaugeVec,
    /// Committed: in files a reader sees.
    pub pipeline_delivered: IntGaugeVec,
    pub pipeline_filtered: IntGaugeVec,
    pub pipeline_dead_lettered: IntGaugeVec,
    /// Acknowledged and unreadable: the disk lost them.
    pub pipeline_lost: IntGaugeVec,
    /// `{pipeline, reason}`, counted when found; a restart may count one again.
    pub pipeline_rejected: IntCounterVec,
    pub pipeline_in_flight: IntGaugeVec,
    /// accepted − delivered − filtered − dead-lettered − in flight. Anything but 0 is a bug.
    pub ledger_imbalance: IntGaugeVec,
    pub pipeline_oldest_uncommitted_age_seconds: IntGaugeVec,
    /// 1 if the pipeline has failed or retries, else 0.
    pub pipeline_failing: IntGaugeVec,
    /// `{pipeline, sink}`, like all that follow.
    pub sink_files: IntCounterVec,
    pub sink_rows: IntCounterVec,
    pub sink_bytes: IntCounterVec,
    pub sink_commit_seconds: HistogramVec,
    /// `{pipeline, sink, outcome = ok | retried | rejected}`
    pub sink_commits: IntCounterVec,
    /// Looks at all tables.
    pub upkeep_rounds: IntCounter,
    pub upkeep_seconds: Histogram,
    pub upkeep_snapshots: IntCounter,
    pub upkeep_manifests: IntCounter,
    /// Small files that became larger ones, and their bytes.
    pub upkeep_compacted_files: IntCounter,
    pub upkeep_compacted_bytes: IntCounter,
    /// `{reason = expired | orphan}`, like what follows.
    pub upkeep_deleted_files: IntCounterVec,
    pub upkeep_deleted_bytes: IntCounterVec,
    /// `{step}`
    pub upkeep_failures: IntCounterVec,
}

fn opts(name: &str, text: &str) -> Opts {
    Opts::new(format!("lakehead_{name}"), text)
}

struct Builder(Registry);

impl Builder {
    fn add<M: prometheus::core::Collector + Clone + 'static>(&self, metric: prometheus::Result<M>) -> M {
        let metric = metric.expect("names and labels of metrics are constants and well-formed");
        self.0.register(Box::new(metric.clone())).expect("each metric is registered once");
        metric
    }

    fn counters(&self, name: &str, text: &str, labels: &[&str]) -> IntCounterVec {
        self.add(IntCounterVec::new(opts(name, text), labels))
    }

    fn gauges(&self, name: &str, text: &str, labels: &[&str]) -> IntGaugeVec {
        self.add(IntGaugeVec::new(opts(name, text), labels))
    }

    fn gauge(&self, name: &str, text: &str) -> IntGauge {
        self.add(IntGauge::with_opts(opts(name, text)))
    }

    fn counter(&self, name: &str, text: &str) -> IntCounter {
        self.add(IntCounter::with_opts(opts(name, text)))
    }

    fn histogram_opts(name: &str, text: &str) -> HistogramOpts {
        HistogramOpts::new(format!("lakehead_{name}"), text).buckets(LATENCY_BUCKETS.to_vec())
    }

    fn histogram(&self, name: &str, text: &str) -> Histogram {
        self.add(Histogram::with_opts(Self::histogram_opts(name, text)))
    }
}

impl Default for Metrics {
    fn default() -> Self {
        let b = Builder(Registry::new());
        let pipeline = &["pipeline"][..];
        let sink = &["pipeline", "sink"][..];
        let reason = &["reason"][..];
        let build: IntCounterVec = b.counters("build_info", "The version that runs.", &["version"]);
        build.with_label_values(&[env!("CARGO_PKG_VERSION")]).inc();
        Metrics {
            ingest_requests: b.counters(
                "ingest_requests_total",
                "Ingest requests by status code.",
                &["code"],
            ),
            ingest_records: b.counters("ingest_records_total", "Records acknowledged.", &["stream"]),
            ingest_bytes: b.counters(
                "ingest_bytes_total",
                "Body bytes acknowledged, after inflation.",
                &["stream"],
            ),
            ingest_ack_seconds: b
                .histogram("ingest_ack_duration_seconds", "Request head to acknowledgement."),
            log_fsync_seconds: b.histogram("log_fsync_duration_seconds", "Duration of one sync of the log."),
            log_size_bytes: b.gauge("log_size_bytes", "Disk the log uses."),
            log_quota_bytes: b.gauge("log_quota_bytes", "Disk the log may use."),
            log_free_bytes: b.gauge("log_free_bytes", "Free bytes of the log's file system."),
            log_segments: b.gauge("log_segments", "Segment files of the log."),
            log_corrupt_records: b
                .gauge("log_corrupt_records_total", "Records lost to corruption of the disk."),
            log_oldest_position: b.gauges("log_oldest_position", "Oldest record retained.", &["stream"]),
            log_next_position: b.gauges("log_next_position", "First unwritten position.", &["stream"]),
            pipeline_accepted: b.gauges(
                "pipeline_records_in_total",
                "Records acknowledged since the start.",
                pipeline,
            ),
            pipeline_delivered: b.gauges(
                "pipeline_records_out_total",
                "Records visible in the sink.",
                pipeline,
            ),
            pipeline_filtered: b.gauges(
                "pipeline_records_filtered_total",
                "Records the SQL turned away.",
                pipeline,
            ),
            pipeline_dead_lettered: b.gauges(
                "pipeline_records_dead_lettered_total",
                "Dead letters kept.",
                pipeline,
            ),
            pipeline_lost: b.gauges("pipeline_records_lost_total", "Records the disk lost.", pipeline),
            pipeline_rejected: b.counters(
                "pipeline_records_rejected_total",
                "Rejects found, by reason.",
                &["pipeline", "reason"],
            ),
            pipeline_in_flight: b.gauges("pipeline_lag_records", "Records not committed yet.", pipeline),
            ledger_imbalance: b.gauges(
                "ledger_imbalance",
                "Records unaccounted for; 0 unless there is a bug.",
                pipeline,
            ),
            pipeline_oldest_uncommitted_age_seconds: b.gauges(
                "pipeline_oldest_uncommitted_age_seconds",
                "Age of the oldest record not committed yet.",
                pipeline,
            ),
            pipeline_failing: b.gauges(
                "pipeline_failing",
                "1 while the pipeline has failed or retries.",
                pipeline,
            ),
            sink_files: b.counters("sink_files_total", "Files made visible.", sink),
            sink_rows: b.counters("sink_rows_total", "Rows made visible.", sink),
            sink_bytes: b.counters("sink_bytes_total", "Bytes made visible.", sink),
            sink_commit_seconds: b.add(HistogramVec::new(
                Builder::histogram_opts("sink_commit_duration_seconds", "Duration of one commit."),
                sink,
            )),
            sink_commits: b.counters(
                "sink_commit_total",
                "Commits by outcome.",
                &["pipeline", "sink", "outcome"],
            ),
            upkeep_rounds: b.counter("upkeep_rounds_total", "Looks at the tables of all buckets."),
            upkeep_seconds: b.histogram("upkeep_duration_seconds", "Duration of one look at all tables."),
            upkeep_snapshots: b
                .counter("upkeep_snapshots_removed_total", "Snapshots removed from tables' metadata."),
            upkeep_manifests: b.counter("upkeep_manifests_merged_total", "Small manifests merged."),
            upkeep_compacted_files: b
                .counter("upkeep_files_compacted_total", "Small data files that became larger ones."),
            upkeep_compacted_bytes: b.counter(
                "upkeep_bytes_compacted_total",
                "Bytes of the small data files that became larger ones.",
            ),
            upkeep_deleted_files: b.counters(
                "upkeep_files_deleted_total",
                "Files of tables deleted.",
                reason,
            ),
            upkeep_deleted_bytes: b.counters(
                "upkeep_bytes_deleted_total",
                "Bytes of files of tables deleted, where known.",
                reason,
            ),
            upkeep_failures: b.counters(
                "upkeep_failures_total",
                "Steps of upkeep that did not work, and are tried again.",
                &["step"],
            ),
            together: Arc::default(),
            registry: b.0,
        }
    }
}

impl Metrics {
    /// While this is held, no scrape is taken: one that shows half of a ledger would not balance.
    pub fn together(&self) -> MutexGuard<'_, ()> {
        self.together.lock()
    }

    /// Drops every gauge of a stream or a pipeline, so that those that were deleted are not shown for ever. Whoever brings the
    /// gauges up to date calls it first, while no scrape is taken.
    pub fn forget_gauges(&self) {
        for gauges in [
            &self.log_oldest_position,
            &self.log_next_position,
            &self.pipeline_accepted,
            &self.pipeline_delivered,
            &self.pipeline_filtered,
            &self.pipeline_dead_lettered,
            &self.pipeline_lost,
            &self.pipeline_in_flight,
            &self.ledger_imbalance,
            &self.pipeline_oldest_uncommitted_age_seconds,
            &self.pipeline_failing,
        ] {
            gauges.reset();
        }
    }

    /// The text that a scrape gets.
    pub fn render(&self) -> String {
        let _together = self.together();
        let mut text = Vec::new();
        // Writing into a Vec cannot fail, and metrics that cannot be encoded would be a bug of the library.
        let _ = TextEncoder::new().encode(&self.registry.gather(), &mut text);
        String::from_utf8(text).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_scrape_waits_for_figures_that_change_together() {
        let metrics = Metrics::default();
        let guard = metrics.together();
        metrics.pipeline_accepted.with_label_values(&["p"]).set(2);
        let (sender, scraped) = std::sync::mpsc::channel();
        let scraper = metrics.clone();
        std::thread::spawn(move || sender.send(scraper.render()));
        assert!(scraped.recv_timeout(Duration::from_millis(100)).is_err(), "half of a ledger was shown");
        metrics.pipeline_delivered.with_label_values(&["p"]).set(2);
        drop(guard);
        let text = scraped.recv_timeout(Duration::from_secs(10)).unwrap();
        assert!(text.contains("lakehead_pipeline_records_in_total{pipeline=\"p\"} 2"), "{text}");
        assert!(text.contains("lakehead_pipeline_records_out_total{pipeline=\"p\"} 2"), "{text}");
    }
}
