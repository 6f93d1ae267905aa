//! Sinks on the wire.

use axum::extract::State;
use lakehead_model::resource::{
    Credentials, DEFAULT_TIME_PATTERN, FileNaming, FilesConfig, JsonCompression, JsonFormat, KeyPair,
    NamingStrategy, ParquetCompression, ParquetFormat, RollingPolicy, Sink, SinkConfig, SinkFormat,
    TableConfig, TableExtensions,
};
use lakehead_model::{Invalid, Schema, limits};
use serde_json::{Value, json};

use super::Api;
use super::body::{JsonBody, Object};
use super::envelope::{Answer, done, ok, page};
use super::path::PathParts;
use super::query::Params;
use super::streams::{json_format, json_format_to_json, report};
use crate::control::NewSink;

/// Of a table whose sink names none.
const NAMESPACE_DEFAULT: &str = "default";
/// What a row group holds when nobody says otherwise.
const ROW_GROUP_BYTES_DEFAULT: u64 = 128 << 20;

pub(super) async fn create(State(api): State<Api>, body: JsonBody) -> Answer {
    let new = new_sink(&body.root())?;
    let sink = api.run(move |c| c.create_sink(new)).await?;
    ok(to_json(&sink))
}

pub(super) async fn list(State(api): State<Api>, params: Params) -> Answer {
    page(params.page()?, &api.control.sinks(&params.filter()), |s| to_json(s))
}

pub(super) async fn read(State(api): State<Api>, mut path: PathParts) -> Answer {
    ok(to_json(&*api.control.sink(&path.take(0))?))
}

/// Not Cloudflare's: there a sink cannot be changed.
pub(super) async fn patch(State(api): State<Api>, mut path: PathParts, body: JsonBody) -> Answer {
    let (id, credentials) = (path.take(0), other_credentials(&body.root())?);
    let sink = api.run(move |c| c.replace_credentials(&id, credentials)).await?;
    ok(to_json(&sink))
}

pub(super) async fn delete(State(api): State<Api>, mut path: PathParts) -> Answer {
    let id = path.take(0);
    let deleted = api.run(move |c| c.delete_sink(&id)).await?;
    done(report(&deleted))
}

/// The public shape: settings that were not given show what applies; credentials have no field.
fn to_json(sink: &Sink) -> Value {
    json!({
        "id": sink.id,
        "name": sink.name,
        "type": sink_type_name(&sink.config),
        "version": sink.version,
        "format": format_to_json(&sink.format),
        "schema": sink.schema,
        "config": match &sink.config {
            SinkConfig::Files(files) => files_to_json(files),
            SinkConfig::Table(table) => table_to_json(table),
        },
        "created_at": sink.created_at.to_rfc3339(),
        "modified_at": sink.modified_at.to_rfc3339(),
    })
}

fn sink_type_name(config: &SinkConfig) -> &'static str {
    match config {
        SinkConfig::Files(_) => "r2",
        SinkConfig::Table(_) => "r2_data_catalog",
    }
}

fn table_to_json(config: &TableConfig) -> Value {
    let policy = &config.rolling_policy;
    let mut out = json!({
        "account_id": config.account_id,
        "bucket": config.bucket,
        "namespace": config.namespace,
        "table_name": config.table_name,
        "rolling_policy": policy,
    });
    out["rolling_policy"]["interval_seconds"] =
        policy.interval_seconds.unwrap_or(limits::ROLL_INTERVAL_SECONDS_DEFAULT).into();
    // Clients of Cloudflare's see what they know.
    let extensions = &config.extensions;
    if !extensions.is_default() {
        out["existing_table"] = extensions.existing_table.into();
        out["add_columns"] = extensions.add_columns.into();
        out["partition_by"] = json!(extensions.partition_by);
        out["sort_by"] = json!(extensions.sort_by);
    }
    out
}

fn files_to_json(config: &FilesConfig) -> Value {
    let policy = &config.rolling_policy;
    let mut out = json!({
        "account_id": config.account_id,
        "bucket": config.bucket,
        "path": config.path,
        "partitioning": { "time_pattern": config.time_pattern.as_deref().unwrap_or(DEFAULT_TIME_PATTERN) },
        "file_naming": config.file_naming,
        "rolling_policy": policy,
    });
    out["file_naming"]["strategy"] = json!(config.file_naming.strategy.unwrap_or_default());
    out["rolling_policy"]["interval_seconds"] =
        policy.interval_seconds.unwrap_or(limits::ROLL_INTERVAL_SECONDS_DEFAULT).into();
    if let Some(jurisdiction) = &config.jurisdiction {
        out["jurisdiction"] = jurisdiction.as_str().into();
    }
    out
}

fn format_to_json(format: &SinkFormat) -> Value {
    match format {
        SinkFormat::Json(format) => {
            let mut out = json_format_to_json(format);
            out["compression"] = json!(format.compression.unwrap_or_default());
            out
        }
        SinkFormat::Parquet(parquet) => json!({
            "type": "parquet",
            "compression": parquet.compression.unwrap_or_default(),
            "row_group_bytes":
                parquet.row_group_bytes.filter(|n| *n > 0).unwrap_or(ROW_GROUP_BYTES_DEFAULT),
        }),
    }
}

#[derive(Clone, Copy, PartialEq)]
enum SinkType {
    Files,
    Table,
}

fn new_sink(body: &Object<'_>) -> Result<NewSink, Invalid> {
    let name = body.needed_text("name")?.to_owned();
    body.needed_text("type")?;
    let sink_type = body.choice(
        "type",
        &[("r2", SinkType::Files), ("r2_data_catalog", SinkType::Table), ("basin_catalog", SinkType::Table)],
    )?;
    let config = match (body.object("config")?, sink_type) {
        (Some(config), _) => config,
        // Cloudflare's own example of a sink is this short.
        (None, Some(SinkType::Files) | None) => return short_sink(body, name),
        (None, Some(SinkType::Table)) => {
            let reason = "is missing; an object with `bucket`, `table_name` and `token` is needed";
            return Err(body.refuse("config", reason));
        }
    };
    Ok(NewSink {
        name,
        credentials: match sink_type {
            Some(SinkType::Table) => Some(Credentials::Token(config.needed_secret("token")?)),
            _ => config.object("credentials")?.map(|o| credentials(&o)).transpose()?,
        },
        config: match sink_type {
            Some(SinkType::Table) => SinkConfig::Table(table_config(&config)?),
            _ => SinkConfig::Files(files_config(&config)?),
        },
        format: format_or_default(body)?,
        schema: sink_schema(body)?,
    })
}

/// A sink of files of which nothing but the name is said: they go into a bucket of that name, as buckets are spelled.
fn short_sink(body: &Object<'_>, name: String) -> Result<NewSink, Invalid> {
    let bucket = name.to_lowercase().replace('_', "-");
    if lakehead_model::name::check_bucket("", &bucket).is_err() {
        let reason =
            format!("is missing, and {name:?} cannot name a bucket; an object with `bucket` is needed");
        return Err(body.refuse("config", reason));
    }
    let config = serde_json::Map::from_iter([("bucket".to_owned(), bucket.into())]);
    Ok(NewSink {
        name,
        credentials: None,
        config: SinkConfig::Files(files_config(&Object::new("config", &config))?),
        format: format_or_default(body)?,
        schema: sink_schema(body)?,
    })
}

fn format_or_default(body: &Object<'_>) -> Result<SinkFormat, Invalid> {
    body.object("format")?.map_or(Ok(SinkFormat::Parquet(ParquetFormat::default())), |o| sink_format(&o))
}

pub(super) fn credentials(object: &Object<'_>) -> Result<Credentials, Invalid> {
    Ok(Credentials::Keys(KeyPair {
        access_key_id: object.needed_secret("access_key_id")?,
        secret_access_key: object.needed_secret("secret_access_key")?,
    }))
}

/// What a sink is to be given; a key pair or a token.
fn other_credentials(body: &Object<'_>) -> Result<Credentials, Invalid> {
    let fixed = |object: &Object<'_>, keys: &[&str]| match keys.iter().find(|key| object.has(key)) {
        None => Ok(()),
        Some(key) => {
            let reason = "cannot be changed; `config.credentials` can, or `config.token` of a table";
            Err(object.refuse(key, reason))
        }
    };
    fixed(body, &["name", "type", "format", "schema"])?;
    let Some(config) = body.object("config")? else {
        let reason = "is missing; an object with `credentials`, or `token` for a table, is needed";
        return Err(body.refuse("config", reason));
    };
    fixed(
        &config,
        &[
            "account_id",
            "bucket",
            "path",
            "partitioning",
            "file_naming",
            "rolling_policy",
            "jurisdiction",
            "namespace",
            "table_name",
        ],
    )?;
    match config.object("credentials")? {
        Some(keys) => credentials(&keys),
        None => Ok(Credentials::Token(config.needed_secret("token")?)),
    }
}

fn files_config(config: &Object<'_>) -> Result<FilesConfig, Invalid> {
    let owned = |text: Option<&str>| text.map(str::to_owned);
    let partitioning = config.object("partitioning")?;
    let naming = config.object("file_naming")?;
    Ok(FilesConfig {
        account_id: config.text("account_id")?.unwrap_or_default().to_owned(),
        bucket: config.needed_text("bucket")?.to_owned(),
        path: without_last_slash(config.text("path")?.unwrap_or_default()),
        time_pattern: match partitioning {
            None => None,
            Some(p) => p.text("time_pattern")?.map(without_last_slash),
        },
        file_naming: match naming {
            None => FileNaming::default(),
            Some(n) => FileNaming {
                prefix: owned(n.text("prefix")?),
                suffix: owned(n.text("suffix")?),
                strategy: strategy(&n)?,
            },
        },
        rolling_policy: rolling_policy(config)?,
        jurisdiction: owned(config.text("jurisdiction")?),
    })
}

fn table_config(config: &Object<'_>) -> Result<TableConfig, Invalid> {
    Ok(TableConfig {
        account_id: config.text("account_id")?.unwrap_or_default().to_owned(),
        bucket: config.needed_text("bucket")?.to_owned(),
        namespace: config.text("namespace")?.unwrap_or(NAMESPACE_DEFAULT).to_owned(),
        table_name: config.needed_text("table_name")?.to_owned(),
        rolling_policy: rolling_policy(config)?,
        extensions: TableExtensions {
            existing_table: config.flag("existing_table")?.unwrap_or_default(),
            add_columns: config.flag("add_columns")?.unwrap_or_default(),
            partition_by: config.texts("partition_by")?,
            sort_by: config.texts("sort_by")?.unwrap_or_default(),
        },
    })
}

fn rolling_policy(config: &Object<'_>) -> Result<RollingPolicy, Invalid> {
    let Some(policy) = config.object("rolling_policy")? else { return Ok(RollingPolicy::default()) };
    Ok(RollingPolicy {
        file_size_bytes: policy.count("file_size_bytes")?,
        interval_seconds: policy.count("interval_seconds")?,
        inactivity_seconds: policy.count("inactivity_seconds")?,
        batch: None,
    })
}

/// `events/` means the folder `events`.
fn without_last_slash(path: &str) -> String {
    path.strip_suffix('/').unwrap_or(path).to_owned()
}

fn strategy(naming: &Object<'_>) -> Result<Option<NamingStrategy>, Invalid> {
    use NamingStrategy::{Serial, Ulid, Uuid, UuidV7};
    naming.choice("strategy", &[("serial", Serial), ("uuid", Uuid), ("uuid_v7", UuidV7), ("ulid", Ulid)])
}

#[derive(Clone, Copy)]
enum FileType {
    Json,
    Parquet,
}

fn sink_format(object: &Object<'_>) -> Result<SinkFormat, Invalid> {
    use ParquetCompression::{Gzip, Lz4, Snappy, Uncompressed, Zstd};
    object.needed_text("type")?;
    match object.choice("type", &[("parquet", FileType::Parquet), ("json", FileType::Json)])? {
        Some(FileType::Json) => Ok(SinkFormat::Json(JsonFormat {
            compression: object.choice(
                "compression",
                &[("uncompressed", JsonCompression::Uncompressed), ("gzip", JsonCompression::Gzip)],
            )?,
            ..json_format(object)?
        })),
        Some(FileType::Parquet) | None => Ok(SinkFormat::Parquet(ParquetFormat {
            compression: object.choice(
                "compression",
                &[
                    ("uncompressed", Uncompressed),
                    ("snappy", Snappy),
                    ("gzip", Gzip),
                    ("zstd", Zstd),
                    ("lz4", Lz4),
                ],
            )?,
            row_group_bytes: object.count("row_group_bytes")?,
        })),
    }
}

/// Kept as given. One with fields must at least be a schema; `{"fields": []}` is what some clients send for none.
fn sink_schema(body: &Object<'_>) -> Result<Option<Value>, Invalid> {
    let (Some(schema), Some(value)) = (body.object("schema")?, body.value("schema")) else {
        return Ok(None);
    };
    match schema.value("fields") {
        None => {}
        Some(Value::Array(fields)) if fields.is_empty() => {}
        Some(_) => {
            Schema::from_json(value).map_err(|e| e.within(&body.at("schema")))?;
        }
    }
    Ok(Some(value.clone()))
}
