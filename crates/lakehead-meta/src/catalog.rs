//! All resources as of one revision.

use std::collections::BTreeMap;
use std::sync::Arc;

use lakehead_model::resource::{Bucket, Pipeline, Sink, Stream, Table};
use lakehead_model::{PipelineId, SinkId, StreamId};

use crate::Change;

/// All resources as of one revision. Cheap to clone and to look things up in; never changes under its reader.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Catalog {
    /// Rises with every change.
    pub revision: u64,
    /// By id.
    pub streams: BTreeMap<StreamId, Arc<Stream>>,
    /// By id.
    pub sinks: BTreeMap<SinkId, Arc<Sink>>,
    /// By id.
    pub pipelines: BTreeMap<PipelineId, Arc<Pipeline>>,
    /// By name.
    pub buckets: BTreeMap<String, Arc<Bucket>>,
}

impl Catalog {
    /// Pipelines that read the stream or write the sink, in order of creation.
    pub fn pipelines_using(&self, table: Table) -> Vec<Arc<Pipeline>> {
        let mut using: Vec<_> =
            self.pipelines.values().filter(|p| p.tables.iter().any(|t| t.table == table)).cloned().collect();
        using.sort_by_key(|p| (p.created_at, p.id));
        using
    }

    /// Sinks that write to the bucket, in order of creation.
    pub fn sinks_of_bucket(&self, bucket: &str) -> Vec<Arc<Sink>> {
        let mut sinks: Vec<_> = self.sinks.values().filter(|s| s.config.bucket == bucket).cloned().collect();
        sinks.sort_by_key(|s| (s.created_at, s.id));
        sinks
    }

    pub(crate) fn apply(&mut self, change: &Change) {
        match change {
            Change::PutStream(stream) => {
                self.streams.insert(stream.id, Arc::new(stream.clone()));
            }
            Change::DeleteStream(id) => {
                self.streams.remove(id);
            }
            Change::PutSink { sink, .. } => {
                self.sinks.insert(sink.id, Arc::new(sink.clone()));
            }
            Change::DeleteSink(id) => {
                self.sinks.remove(id);
            }
            Change::PutPipeline(pipeline) => {
                self.pipelines.insert(pipeline.id, Arc::new(pipeline.clone()));
            }
            Change::DeletePipeline(id) => {
                self.pipelines.remove(id);
            }
            Change::PutBucket(bucket) => {
                self.buckets.insert(bucket.name.clone(), Arc::new(bucket.clone()));
            }
            Change::DeleteBucket(name) => {
                self.buckets.remove(name);
            }
        }
    }
}
