//! All resources as of one revision.

use std::collections::BTreeMap;
use std::sync::Arc;

use lakehead_model::resource::{Bucket, Pipeline, Sink, Stream, Table};
use lakehead_model::{LegacyPipeline, PipelineId, SinkId, StreamId};

use crate::Change;

/// A legacy pipeline and the parts it stands for.
#[derive(Debug, PartialEq)]
#[expect(missing_docs, reason = "named after what they hold")]
pub struct Legacy {
    pub resource: LegacyPipeline,
    pub stream: Arc<Stream>,
    pub sink: Arc<Sink>,
    pub pipeline: Arc<Pipeline>,
}

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
    /// By id. Their parts are not among the streams, sinks and pipelines above, but `all_…` have them.
    pub legacy: BTreeMap<PipelineId, Arc<Legacy>>,
    /// By name.
    pub buckets: BTreeMap<String, Arc<Bucket>>,
}

impl Catalog {
    /// All that take records: streams, and those of legacy pipelines.
    pub fn all_streams(&self) -> impl Iterator<Item = &Arc<Stream>> {
        self.streams.values().chain(self.legacy.values().map(|l| &l.stream))
    }

    /// All that write files: sinks, and those of legacy pipelines.
    pub fn all_sinks(&self) -> impl Iterator<Item = &Arc<Sink>> {
        self.sinks.values().chain(self.legacy.values().map(|l| &l.sink))
    }

    /// All that should run: pipelines, and those of legacy pipelines.
    pub fn all_pipelines(&self) -> impl Iterator<Item = &Arc<Pipeline>> {
        self.pipelines.values().chain(self.legacy.values().map(|l| &l.pipeline))
    }

    /// The stream among all of them.
    pub fn any_stream(&self, id: StreamId) -> Option<&Arc<Stream>> {
        self.streams.get(&id).or_else(|| self.legacy.get(&PipelineId(id.0)).map(|l| &l.stream))
    }

    /// The sink among all of them.
    pub fn any_sink(&self, id: SinkId) -> Option<&Arc<Sink>> {
        self.sinks.get(&id).or_else(|| self.legacy.get(&PipelineId(id.0)).map(|l| &l.sink))
    }

    /// The pipeline among all of them.
    pub fn any_pipeline(&self, id: PipelineId) -> Option<&Arc<Pipeline>> {
        self.pipelines.get(&id).or_else(|| self.legacy.get(&id).map(|l| &l.pipeline))
    }

    /// The legacy pipeline of this name.
    pub fn legacy_named(&self, name: &str) -> Option<&Arc<Legacy>> {
        self.legacy.values().find(|l| l.resource.name == name)
    }

    /// All pipelines that read the stream or write the sink, in order of creation.
    pub fn pipelines_using(&self, table: Table) -> Vec<Arc<Pipeline>> {
        let mut using: Vec<_> =
            self.all_pipelines().filter(|p| p.tables.iter().any(|t| t.table == table)).cloned().collect();
        using.sort_by_key(|p| (p.created_at, p.id));
        using
    }

    /// All sinks that write to the bucket, in order of creation.
    pub fn sinks_of_bucket(&self, bucket: &str) -> Vec<Arc<Sink>> {
        let mut sinks: Vec<_> = self.all_sinks().filter(|s| s.config.bucket() == bucket).cloned().collect();
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
            Change::PutLegacy { pipeline, .. } => {
                let legacy = Legacy {
                    stream: Arc::new(pipeline.stream()),
                    sink: Arc::new(pipeline.sink()),
                    pipeline: Arc::new(pipeline.pipeline()),
                    resource: pipeline.clone(),
                };
                self.legacy.insert(pipeline.id, Arc::new(legacy));
            }
            Change::DeleteLegacy(id) => {
                self.legacy.remove(id);
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
