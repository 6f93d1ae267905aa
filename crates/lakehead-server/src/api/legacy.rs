//! Pipelines of the legacy product on the wire. wrangler 4.39 and later still list, read, change and delete them; earlier ones
//! make them as well. A change sends back what was read, edited: whatever an answer holds must be accepted again.

use axum::extract::State;
use lakehead_model::resource::{BatchHints, Cors, JsonCompression};
use lakehead_model::{Invalid, LegacyHttp, LegacyPipeline};
use serde_json::{Value, json};

use super::Api;
use super::body::{JsonBody, Object};
use super::envelope::{Answer, done, ok, page};
use super::path::PathParts;
use super::query::Params;
use super::sinks::credentials;
use crate::control::LegacySettings;

/// What applies where no hint is given.
const BATCH_DEFAULT: BatchHints =
    BatchHints { bytes_max: 100_000_000, age_milliseconds_max: 300_000, rows_max: 10_000_000 };
const COMPRESSIONS: [(&str, JsonCompression); 3] = [
    ("none", JsonCompression::Uncompressed),
    ("gzip", JsonCompression::Gzip),
    ("deflate", JsonCompression::Deflate),
];

/// Clients read the list from `result` or from `results`.
pub(super) async fn list(State(api): State<Api>, params: Params) -> Answer {
    let found = api.control.legacy_pipelines(params.text("search").unwrap_or_default());
    let listed = page(params.page()?, &found, |l| to_json(&api, &l.resource))?;
    let results = listed.result().clone();
    Ok(listed.with("results", results))
}

pub(super) async fn create(State(api): State<Api>, body: JsonBody) -> Answer {
    let root = body.root();
    let (name, settings) = (root.needed_text("name")?.to_owned(), settings(&root)?);
    let made = api.run(move |c| c.create_legacy(&name, settings)).await?;
    ok(to_json(&api, &made.resource))
}

pub(super) async fn read(State(api): State<Api>, mut path: PathParts) -> Answer {
    ok(to_json(&api, &api.control.legacy(&path.take(0))?.resource))
}

pub(super) async fn update(State(api): State<Api>, mut path: PathParts, body: JsonBody) -> Answer {
    let (name, root) = (path.take(0), body.root());
    // First of all, whether it is there: wrangler asks so, with bodies of its own.
    api.control.legacy(&name)?;
    if root.text("name")?.is_some_and(|given| given != name) {
        return Err(root.refuse("name", "cannot be changed; make another pipeline").into());
    }
    let settings = settings(&root)?;
    let changed = api.run(move |c| c.update_legacy(&name, settings)).await?;
    ok(to_json(&api, &changed.resource))
}

pub(super) async fn delete(State(api): State<Api>, mut path: PathParts) -> Answer {
    let name = path.take(0);
    api.run(move |c| c.delete_legacy(&name)).await?;
    done(Vec::new())
}

fn to_json(api: &Api, pipeline: &LegacyPipeline) -> Value {
    let mut source = Vec::new();
    if let Some(http) = &pipeline.http {
        let mut one = json!({ "type": "http", "format": "json", "authentication": http.authentication });
        if let Some(cors) = &http.cors {
            one["cors"] = json!(cors);
        }
        source.push(one);
    }
    if pipeline.binding {
        source.push(json!({ "type": "binding", "format": "json" }));
    }
    let compression = COMPRESSIONS.iter().find(|(_, c)| *c == pipeline.compression).map(|(name, _)| name);
    let mut path = json!({ "bucket": pipeline.bucket });
    if !pipeline.prefix.is_empty() {
        path["prefix"] = pipeline.prefix.as_str().into();
    }
    let BatchHints { bytes_max, age_milliseconds_max: age, rows_max } = pipeline.batch;
    #[expect(clippy::cast_precision_loss, reason = "at most 300,000")]
    let seconds = if age.is_multiple_of(1000) { json!(age / 1000) } else { json!(age as f64 / 1000.0) };
    json!({
        "id": pipeline.id,
        "name": pipeline.name,
        "version": pipeline.version,
        "endpoint": (api.endpoint)(pipeline.stream_id()),
        "metadata": pipeline.shards.map_or(json!({}), |shards| json!({ "shards": shards })),
        "source": source,
        "transforms": [],
        "destination": {
            "type": "r2",
            "format": "json",
            "compression": { "type": compression },
            "batch": { "max_bytes": bytes_max, "max_duration_s": seconds, "max_rows": rows_max },
            "path": path,
        },
    })
}

fn settings(body: &Object<'_>) -> Result<LegacySettings, Invalid> {
    let (http, binding) = sources(body)?;
    if body.objects("transforms")?.is_some_and(|all| !all.is_empty()) {
        let reason = "are Workers, which this server does not run; a pipeline with SQL reshapes records";
        return Err(body.refuse("transforms", reason));
    }
    let shards = match body.object("metadata")? {
        Some(metadata) => metadata.count("shards")?,
        None => None,
    };
    let missing = |object: &Object<'_>, key| object.refuse(key, "is missing; an object is needed");
    let destination = body.object("destination")?.ok_or_else(|| missing(body, "destination"))?;
    destination.choice("type", &[("r2", ())])?;
    destination.choice("format", &[("json", ())])?;
    let path = destination.object("path")?.ok_or_else(|| missing(&destination, "path"))?;
    for template in ["filepath", "filename"] {
        if path.text(template)?.is_some_and(|t| !t.is_empty()) {
            return Err(path.refuse(template, "templates of keys are not supported; leave it out"));
        }
    }
    let compression = match destination.object("compression")? {
        Some(compression) => compression.choice("type", &COMPRESSIONS)?.unwrap_or(JsonCompression::Gzip),
        None => JsonCompression::Gzip,
    };
    let prefix = path.text("prefix")?.unwrap_or_default();
    Ok(LegacySettings {
        http,
        binding,
        bucket: path.needed_text("bucket")?.to_owned(),
        prefix: prefix.strip_suffix('/').unwrap_or(prefix).to_owned(),
        compression,
        batch: match destination.object("batch")? {
            Some(batch) => hints(&batch)?,
            None => BATCH_DEFAULT,
        },
        shards,
        // The endpoint in it is Cloudflare's; where a bucket is, the server's configuration says.
        credentials: destination.object("credentials")?.map(|o| credentials(&o)).transpose()?,
    })
}

/// Each type of source at most once, in any order.
fn sources(body: &Object<'_>) -> Result<(Option<LegacyHttp>, bool), Invalid> {
    #[derive(Clone, Copy)]
    enum Source {
        Http,
        Binding,
    }
    let (mut http, mut binding) = (None, false);
    for source in body.objects("source")?.unwrap_or_default() {
        source.needed_text("type")?;
        source.choice("format", &[("json", ())])?;
        let known = [("http", Source::Http), ("binding", Source::Binding)];
        let repeated = match source.choice("type", &known)? {
            Some(Source::Http) => http.replace(http_source(&source)?).is_some(),
            _ => std::mem::replace(&mut binding, true),
        };
        if repeated {
            return Err(source.refuse("type", "stands in the list twice"));
        }
    }
    Ok((http, binding))
}

fn http_source(source: &Object<'_>) -> Result<LegacyHttp, Invalid> {
    let origins = match source.object("cors")? {
        Some(cors) => cors.texts("origins")?,
        None => None,
    };
    Ok(LegacyHttp {
        authentication: source.flag("authentication")?.unwrap_or(false),
        // An empty list is how clients take cross-origin access away.
        cors: origins.filter(|o| !o.is_empty()).map(|origins| Cors { origins }),
    })
}

fn hints(batch: &Object<'_>) -> Result<BatchHints, Invalid> {
    Ok(BatchHints {
        bytes_max: batch.count("max_bytes")?.unwrap_or(BATCH_DEFAULT.bytes_max),
        age_milliseconds_max: batch
            .milliseconds("max_duration_s")?
            .unwrap_or(BATCH_DEFAULT.age_milliseconds_max),
        rows_max: batch.count("max_rows")?.unwrap_or(BATCH_DEFAULT.rows_max),
    })
}
