//! The streams that accept records, as the data plane sees them: read from the metadata when its revision has moved.

use std::collections::HashMap;
use std::sync::Arc;

use lakehead_meta::Store;
use lakehead_model::resource::{Http, Stream};
use lakehead_model::{Partition, StreamId};
use parking_lot::RwLock;
use prometheus::IntCounter;

use crate::metrics::Metrics;

/// One stream's side of ingest.
#[derive(Debug)]
pub struct Endpoint {
    pub partition: Partition,
    pub http: Http,
    /// Whether Worker bindings may send.
    pub worker_binding: bool,
    pub records: IntCounter,
    pub bytes: IntCounter,
}

pub struct Endpoints {
    store: Arc<Store>,
    metrics: Metrics,
    known: RwLock<Known>,
}

#[derive(Default)]
struct Known {
    /// Of the catalog that `by_id` shows; `None` before the first.
    revision: Option<u64>,
    by_id: HashMap<StreamId, Arc<Endpoint>>,
}

impl Endpoints {
    pub fn new(store: Arc<Store>, metrics: Metrics) -> Self {
        Endpoints { store, metrics, known: RwLock::default() }
    }

    /// The endpoint as of now: a change that the management API has answered is seen by the next request.
    pub fn get(&self, id: StreamId) -> Option<Arc<Endpoint>> {
        let catalog = self.store.catalog();
        {
            let known = self.known.read();
            if known.revision == Some(catalog.revision) {
                return known.by_id.get(&id).cloned();
            }
        }
        let mut known = self.known.write();
        known.revision = Some(catalog.revision);
        known.by_id =
            catalog.all_streams().map(|stream| (stream.id, Arc::new(self.endpoint(stream)))).collect();
        known.by_id.get(&id).cloned()
    }

    fn endpoint(&self, stream: &Stream) -> Endpoint {
        Endpoint {
            partition: Partition::first(stream.id),
            http: stream.http.clone(),
            worker_binding: stream.worker_binding.enabled,
            records: self.metrics.ingest_records.with_label_values(&[&stream.name]),
            bytes: self.metrics.ingest_bytes.with_label_values(&[&stream.name]),
        }
    }
}
