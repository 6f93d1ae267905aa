//! The control plane's questions, answered by the parts that know.

use std::sync::Arc;

use axum::Router;
use lakehead_meta::Identity;
use lakehead_model::resource::{Sink, Stream};
use lakehead_model::{Clock, PipelineId, StreamId};
use lakehead_transform::{Refusal, StepSummary};

use crate::access::Access;
use crate::api::{self, Api};
use crate::audit::{self, Audits};
use crate::control::{
    BucketStore, Control, Error, LocalBuckets, Object, ObjectEntry, Parts, SqlCompiler, SqlPlace, SqlRefusal,
    StatementRef, StepRef, Usage,
};
use crate::preview::Previews;
use crate::runtime::Statuses;
use crate::runtime::turnstile::Turnstile;
use crate::sources::source;
use crate::storage::Storage;

/// SQL texts that are compiled at one time for the API: each may take seconds of a core.
const PLANNING_AT_ONCE: usize = 2;

pub(crate) fn control(
    audited: audit::Parts,
    statuses: Arc<Statuses>,
    clock: Arc<dyn Clock>,
    identity: &Identity,
    table_roll_interval_seconds_min: u64,
) -> Arc<Control> {
    let planning = Arc::new(Turnstile::new(PLANNING_AT_ONCE));
    let audit::Parts { store, log, storage, random, .. } = &audited;
    let (store, log, storage, random) =
        (Arc::clone(store), log.clone(), Arc::clone(storage), Arc::clone(random));
    Arc::new(Control::new(Parts {
        store,
        auditor: Arc::new(Audits::new(audited)),
        previewer: Arc::new(Previews::new(log, Arc::clone(&clock), Arc::clone(&planning))),
        account_id: identity.account_id().to_owned(),
        sql: Arc::new(Sql { planning }),
        clock,
        random,
        buckets: Arc::new(Folders { storage }),
        statuses: Arc::new(move |id: PipelineId| statuses.of(id)),
        table_roll_interval_seconds_min,
    }))
}

pub(crate) fn api(control: Arc<Control>, access: Arc<Access>, base_url: &str) -> Router {
    let base_url = base_url.to_owned();
    api::router(Api {
        control,
        access,
        endpoint: Arc::new(move |stream: StreamId| format!("{base_url}/ingest/{stream}")),
    })
}

/// Compiles SQL to see whether it can run.
struct Sql {
    planning: Arc<Turnstile>,
}

impl SqlCompiler for Sql {
    fn check(&self, sql: &str, streams: &[Stream], sinks: &[Sink]) -> Result<Vec<StatementRef>, SqlRefusal> {
        let sources: Vec<_> = streams.iter().map(source).collect();
        let sinks: Vec<_> = sinks.iter().map(|s| s.name.clone()).collect();
        let _turn = self.planning.enter();
        let statements = lakehead_transform::compile(sql, &sources, &sinks).map_err(refusal)?;
        let step = |step: &StepSummary| StepRef { kind: step.kind, description: step.description.clone() };
        let described = statements.into_iter().map(|statement| StatementRef {
            columns: Arc::clone(statement.program.output_schema()),
            steps: statement.program.steps().iter().map(step).collect(),
            stream: statement.stream,
            sink: statement.sink,
        });
        Ok(described.collect())
    }
}

/// The compiler's refusal in the words of the control plane.
pub(crate) fn refusal(refusal: Refusal) -> SqlRefusal {
    let place = refusal.place.map(|p| SqlPlace { line: p.line, column: p.column, text: p.text });
    SqlRefusal { message: refusal.message, place }
}

/// Buckets of the API: folders, wherever the configuration puts them. A bucket in an S3 store belongs to that store: it is
/// neither made nor emptied here.
struct Folders {
    storage: Arc<Storage>,
}

impl Folders {
    fn local(&self, bucket: &str) -> Option<LocalBuckets> {
        self.storage.folder(bucket).map(LocalBuckets::one)
    }

    fn elsewhere<T>(bucket: &str) -> Result<T, Error> {
        Err(Error::NotHere(format!("bucket `{bucket}` is in an S3 store; use that store's own tools")))
    }
}

impl BucketStore for Folders {
    fn configured(&self) -> Vec<String> {
        self.storage.configured().map(str::to_owned).collect()
    }

    fn usage(&self, bucket: &str) -> Result<Option<Usage>, Error> {
        self.local(bucket).map_or(Ok(None), |folder| folder.usage(bucket))
    }

    fn create(&self, bucket: &str) -> Result<(), Error> {
        self.local(bucket).map_or(Ok(()), |folder| folder.create(bucket))
    }

    fn is_empty(&self, bucket: &str) -> Result<bool, Error> {
        self.local(bucket).map_or_else(|| Self::elsewhere(bucket), |folder| folder.is_empty(bucket))
    }

    fn delete_if_empty(&self, bucket: &str) -> Result<(), Error> {
        self.local(bucket).map_or_else(|| Self::elsewhere(bucket), |folder| folder.delete_if_empty(bucket))
    }

    fn list_objects(
        &self,
        bucket: &str,
        prefix: &str,
        after: Option<&str>,
        keys_max: usize,
    ) -> Result<Vec<ObjectEntry>, Error> {
        let Some(folder) = self.local(bucket) else { return Self::elsewhere(bucket) };
        folder.list_objects(bucket, prefix, after, keys_max)
    }

    fn get_object(&self, bucket: &str, key: &str) -> Result<Object, Error> {
        self.local(bucket).map_or_else(|| Self::elsewhere(bucket), |folder| folder.get_object(bucket, key))
    }
}
