//! Streams.

use std::sync::Arc;

use lakehead_meta::{Catalog, Change};
use lakehead_model::resource::{Http, JsonFormat, Pipeline, Stream, Table, WorkerBinding};
use lakehead_model::{Schema, StreamId};

use super::{Control, Deleted, Error, Filter, Kind, check_new, cors, invalid, name_matches, parse_id};

/// A stream to be made. What is absent gets the default: HTTP on with authentication, the binding on, unstructured.
#[derive(Debug, Clone)]
#[expect(missing_docs, reason = "as in `Stream`")]
pub struct NewStream {
    pub name: String,
    pub http: Option<Http>,
    pub worker_binding: Option<WorkerBinding>,
    pub format: JsonFormat,
    pub schema: Option<Schema>,
}

/// A change of a stream: each given object replaces the old one whole.
#[derive(Debug, Clone, Default)]
#[expect(missing_docs, reason = "as in `Stream`")]
pub struct StreamPatch {
    pub http: Option<Http>,
    pub worker_binding: Option<WorkerBinding>,
    /// These three cannot change; given, they must say what is already so.
    pub name: Option<String>,
    pub schema: Option<Option<Schema>>,
    pub format: Option<JsonFormat>,
}

impl Control {
    /// Makes a stream.
    ///
    /// # Errors
    /// `Invalid`, `Exists`, `TooMany`, `Unavailable`.
    pub fn create_stream(&self, new: NewStream) -> Result<Arc<Stream>, Error> {
        let http = new.http.unwrap_or(Http { enabled: true, authentication: true, cors: None });
        cors::check("http.cors.origins", http.cors.as_ref())?;
        let (_guard, catalog) = self.begin();
        check_new(Kind::Stream, &new.name, catalog.streams.values().map(|s| s.name.as_str()))?;
        let now = self.parts.clock.now();
        let stream = Stream {
            id: StreamId::random(&*self.parts.random),
            name: new.name,
            version: 1,
            http,
            worker_binding: new.worker_binding.unwrap_or(WorkerBinding { enabled: true }),
            format: JsonFormat { unstructured: new.schema.is_none(), ..new.format },
            schema: new.schema,
            created_at: now,
            modified_at: now,
        };
        self.commit(&catalog, &[Change::PutStream(stream.clone())])?;
        tracing::info!(stream = %stream.id, name = stream.name, "stream created");
        Ok(Arc::new(stream))
    }

    /// The stream with this id.
    ///
    /// # Errors
    /// `Missing`.
    pub fn stream(&self, id: &str) -> Result<Arc<Stream>, Error> {
        find(&self.catalog(), id)
    }

    /// Streams that match, in order of creation.
    pub fn streams(&self, filter: &Filter) -> Vec<Arc<Stream>> {
        let catalog = self.catalog();
        let used = |s: &Stream| used_by(&catalog, filter, Table::Stream(s.id));
        let mut found: Vec<_> =
            catalog.streams.values().filter(|s| name_matches(filter, &s.name) && used(s)).cloned().collect();
        found.sort_by_key(|s| (s.created_at, s.id));
        found
    }

    /// Changes `http` and `worker_binding`. A patch that changes nothing leaves the version as it is.
    ///
    /// # Errors
    /// `Missing`, `Invalid` (also for what cannot be changed), `Conflict`, `Unavailable`.
    pub fn patch_stream(&self, id: &str, patch: StreamPatch) -> Result<Arc<Stream>, Error> {
        let (_guard, catalog) = self.begin();
        let old = find(&catalog, id)?;
        check_fixed(&old, &patch)?;
        if let Some(http) = &patch.http {
            cors::check("http.cors.origins", http.cors.as_ref())?;
        }
        let mut stream = Stream::clone(&old);
        stream.http = patch.http.unwrap_or(stream.http);
        stream.worker_binding = patch.worker_binding.unwrap_or(stream.worker_binding);
        if stream == *old {
            return Ok(old);
        }
        stream.version += 1;
        stream.modified_at = self.parts.clock.now();
        self.commit(&catalog, &[Change::PutStream(stream.clone())])?;
        tracing::info!(stream = %stream.id, name = stream.name, version = stream.version, "stream changed");
        Ok(Arc::new(stream))
    }

    /// Deletes a stream, what is buffered in it, and the pipelines that read it.
    ///
    /// # Errors
    /// `Missing`, `Conflict`, `Unavailable`.
    pub fn delete_stream(&self, id: &str) -> Result<Deleted, Error> {
        let (_guard, catalog) = self.begin();
        let stream = find(&catalog, id)?;
        let pipelines = catalog.pipelines_using(Table::Stream(stream.id));
        let deleted = self.delete_with(&catalog, Change::DeleteStream(stream.id), &pipelines)?;
        tracing::info!(stream = %stream.id, name = stream.name, ?deleted.pipelines, "stream deleted");
        Ok(deleted)
    }

    pub(super) fn delete_with(
        &self,
        catalog: &Catalog,
        change: Change,
        pipelines: &[Arc<Pipeline>],
    ) -> Result<Deleted, Error> {
        let mut changes: Vec<_> = pipelines.iter().map(|p| Change::DeletePipeline(p.id)).collect();
        changes.push(change);
        self.commit(catalog, &changes)?;
        Ok(Deleted { pipelines: pipelines.iter().map(|p| p.name.clone()).collect() })
    }
}

fn find(catalog: &Catalog, id: &str) -> Result<Arc<Stream>, Error> {
    let id: StreamId = parse_id(Kind::Stream, id)?;
    catalog.streams.get(&id).cloned().ok_or(Error::Missing(Kind::Stream))
}

/// Whether the filter's pipeline, if it has one, uses the table.
pub(super) fn used_by(catalog: &Catalog, filter: &Filter, table: Table) -> bool {
    let Some(id) = &filter.pipeline_id else { return true };
    let pipeline = id.parse().ok().and_then(|id| catalog.pipelines.get(&id));
    pipeline.is_some_and(|p| p.tables.iter().any(|t| t.table == table))
}

fn check_fixed(old: &Stream, patch: &StreamPatch) -> Result<(), Error> {
    let fixed = |field| invalid(field, "cannot be changed after creation; make another stream");
    if patch.name.as_ref().is_some_and(|name| *name != old.name) {
        return Err(fixed("name"));
    }
    if patch.schema.as_ref().is_some_and(|schema| *schema != old.schema) {
        return Err(fixed("schema"));
    }
    let same =
        |f: &JsonFormat| JsonFormat { unstructured: old.format.unstructured, ..f.clone() } == old.format;
    if patch.format.as_ref().is_some_and(|format| !same(format)) {
        return Err(fixed("format"));
    }
    Ok(())
}
