//! Pipelines of the legacy product: one object, named instead of numbered, that may be changed while it runs.

use std::sync::Arc;

use lakehead_meta::{Change, Legacy};
use lakehead_model::resource::{BatchHints, Credentials, JsonCompression, SinkConfig};
use lakehead_model::{Invalid, LegacyHttp, LegacyPipeline, PipelineId, limits, name};

use super::{Control, Error, Kind, cors, invalid};

/// Everything of a legacy pipeline that may be changed.
#[derive(Debug, Clone)]
#[expect(missing_docs, reason = "as in `LegacyPipeline`")]
pub struct LegacySettings {
    pub http: Option<LegacyHttp>,
    pub binding: bool,
    pub bucket: String,
    pub prefix: String,
    pub compression: JsonCompression,
    pub batch: BatchHints,
    pub shards: Option<u64>,
    /// For buckets that need a key pair. `None` keeps those that are stored.
    pub credentials: Option<Credentials>,
}

impl Control {
    /// Makes a legacy pipeline, and its bucket if there is none of that name.
    ///
    /// # Errors
    /// `Invalid`, `Exists`, `TooMany`, `Conflict`, `Unavailable`.
    pub fn create_legacy(&self, name: &str, settings: LegacySettings) -> Result<Arc<Legacy>, Error> {
        name::check_legacy("name", name)?;
        let (_guard, catalog) = self.begin();
        let taken = catalog.legacy.values().find(|l| l.resource.name.eq_ignore_ascii_case(name));
        if let Some(taken) = taken {
            return Err(Error::Exists { kind: Kind::Pipeline, name: taken.resource.name.clone() });
        }
        if catalog.legacy.len() >= limits::RESOURCES_MAX {
            return Err(Error::TooMany { kind: Kind::Pipeline, max: limits::RESOURCES_MAX });
        }
        let now = self.parts.clock.now();
        let blank = LegacyPipeline {
            id: PipelineId::random(&*self.parts.random),
            name: name.to_owned(),
            version: 1,
            http: None,
            binding: false,
            bucket: String::new(),
            prefix: String::new(),
            compression: JsonCompression::default(),
            batch: settings.batch,
            shards: None,
            created_at: now,
            modified_at: now,
        };
        self.put_legacy(&catalog, blank, settings)
    }

    /// Replaces the settings; id, name and endpoint stay. What was accepted before is written as the old settings or as the
    /// new ones say, once.
    ///
    /// # Errors
    /// `Missing`, `Invalid`, `Conflict`, `Unavailable`.
    pub fn update_legacy(&self, name: &str, settings: LegacySettings) -> Result<Arc<Legacy>, Error> {
        let (_guard, catalog) = self.begin();
        let old = &catalog.legacy_named(name).ok_or(Error::Missing(Kind::Pipeline))?.resource;
        let next =
            LegacyPipeline { version: old.version + 1, modified_at: self.parts.clock.now(), ..old.clone() };
        self.put_legacy(&catalog, next, settings)
    }

    fn put_legacy(
        &self,
        catalog: &lakehead_meta::Catalog,
        base: LegacyPipeline,
        settings: LegacySettings,
    ) -> Result<Arc<Legacy>, Error> {
        let LegacySettings { http, binding, bucket, prefix, compression, batch, shards, credentials } =
            settings;
        let pipeline = LegacyPipeline { http, binding, bucket, prefix, compression, batch, shards, ..base };
        check(&pipeline)?;
        let mut changes: Vec<_> = self.bucket_for(catalog, &pipeline.bucket, None)?.into_iter().collect();
        let id = pipeline.id;
        tracing::info!(pipeline = %id, name = pipeline.name, version = pipeline.version, "legacy pipeline stored");
        changes.push(Change::PutLegacy { pipeline, credentials });
        self.commit(catalog, &changes)?;
        self.catalog().legacy.get(&id).cloned().ok_or(Error::Missing(Kind::Pipeline))
    }

    /// The legacy pipeline of this name.
    ///
    /// # Errors
    /// `Missing`.
    pub fn legacy(&self, name: &str) -> Result<Arc<Legacy>, Error> {
        self.catalog().legacy_named(name).cloned().ok_or(Error::Missing(Kind::Pipeline))
    }

    /// Legacy pipelines whose names begin with `prefix`, in order of creation.
    pub fn legacy_pipelines(&self, prefix: &str) -> Vec<Arc<Legacy>> {
        let catalog = self.catalog();
        let mut found: Vec<_> =
            catalog.legacy.values().filter(|l| l.resource.name.starts_with(prefix)).cloned().collect();
        found.sort_by_key(|l| (l.resource.created_at, l.resource.id));
        found
    }

    /// Deletes a legacy pipeline with what is buffered in it. Files already written stay.
    ///
    /// # Errors
    /// `Missing`, `Conflict`, `Unavailable`.
    pub fn delete_legacy(&self, name: &str) -> Result<(), Error> {
        let (_guard, catalog) = self.begin();
        let id = catalog.legacy_named(name).ok_or(Error::Missing(Kind::Pipeline))?.resource.id;
        self.commit(&catalog, &[Change::DeleteLegacy(id)])?;
        tracing::info!(pipeline = %id, name, "legacy pipeline deleted");
        Ok(())
    }
}

fn check(pipeline: &LegacyPipeline) -> Result<(), Error> {
    if pipeline.http.is_none() && !pipeline.binding {
        return Err(invalid("source", "is empty; a source of type http or binding is needed"));
    }
    if let Some(http) = &pipeline.http {
        cors::check("source.cors.origins", http.cors.as_ref())?;
    }
    name::check_bucket("destination.path.bucket", &pipeline.bucket)?;
    let batch = &pipeline.batch;
    within("destination.batch.max_bytes", batch.bytes_max, &limits::BATCH_BYTES)?;
    within("destination.batch.max_rows", batch.rows_max, &limits::BATCH_ROWS)?;
    let age = &limits::BATCH_AGE_MILLISECONDS;
    if !age.contains(&batch.age_milliseconds_max) {
        let reason = "is out of range; from 0.25 to 300 seconds are possible";
        return Err(invalid("destination.batch.max_duration_s", reason));
    }
    let sink = pipeline.sink();
    let SinkConfig::Files(files) = &sink.config else { return Ok(()) };
    super::sink_rules::check(files, &sink.format).map_err(|refusal| match refusal.field.as_str() {
        "config.path" => Error::Invalid(Invalid::new("destination.path.prefix", refusal.reason)),
        _ => Error::Invalid(refusal),
    })
}

fn within(field: &str, n: u64, range: &std::ops::RangeInclusive<u64>) -> Result<(), Error> {
    match range.contains(&n) {
        true => Ok(()),
        false => {
            let reason = format!("is {n}; from {} to {} is possible", range.start(), range.end());
            Err(invalid(field, reason))
        }
    }
}
