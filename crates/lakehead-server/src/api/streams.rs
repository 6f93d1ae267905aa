//! Streams on the wire.

use axum::extract::State;
use lakehead_model::resource::{
    Cors, DecimalEncoding, Http, JsonFormat, Stream, TimestampFormat, WorkerBinding,
};
use lakehead_model::{Invalid, Schema};
use serde_json::{Value, json};

use super::Api;
use super::body::{JsonBody, Object};
use super::envelope::{Answer, done, ok, page};
use super::path::PathParts;
use super::query::Params;
use crate::control::{Deleted, NewStream, StreamPatch};

pub(super) async fn create(State(api): State<Api>, body: JsonBody) -> Answer {
    let new = new_stream(&body.root())?;
    let stream = api.run(move |c| c.create_stream(new)).await?;
    ok(to_json(&api, &stream))
}

pub(super) async fn list(State(api): State<Api>, params: Params) -> Answer {
    let streams = api.control.streams(&params.filter());
    page(params.page()?, &streams, |s| to_json(&api, s))
}

pub(super) async fn read(State(api): State<Api>, mut path: PathParts) -> Answer {
    ok(to_json(&api, &*api.control.stream(&path.take(0))?))
}

pub(super) async fn patch(State(api): State<Api>, mut path: PathParts, body: JsonBody) -> Answer {
    let (id, patch) = (path.take(0), stream_patch(&body.root())?);
    let stream = api.run(move |c| c.patch_stream(&id, patch)).await?;
    ok(to_json(&api, &stream))
}

pub(super) async fn delete(State(api): State<Api>, mut path: PathParts) -> Answer {
    let id = path.take(0);
    let deleted = api.run(move |c| c.delete_stream(&id)).await?;
    done(report(&deleted))
}

/// What else a deletion took with it.
pub(super) fn report(deleted: &Deleted) -> Vec<String> {
    deleted.pipelines.iter().map(|name| format!("pipeline {name} was deleted as well")).collect()
}

pub(super) fn to_json(api: &Api, stream: &Stream) -> Value {
    json!({
        "id": stream.id,
        "name": stream.name,
        "version": stream.version,
        "endpoint": (api.endpoint)(stream.id),
        "http": stream.http,
        "worker_binding": stream.worker_binding,
        "format": json_format_to_json(&stream.format),
        "schema": stream.schema,
        "created_at": stream.created_at.to_rfc3339(),
        "modified_at": stream.modified_at.to_rfc3339(),
    })
}

/// A JSON format as it was given, with its type; `unstructured` only where it holds.
pub(super) fn json_format_to_json(format: &JsonFormat) -> Value {
    let mut out = json!(format);
    if let Value::Object(fields) = &mut out {
        fields.insert("type".to_owned(), "json".into());
        if !format.unstructured {
            fields.remove("unstructured");
        }
    }
    out
}

fn new_stream(body: &Object<'_>) -> Result<NewStream, Invalid> {
    Ok(NewStream {
        name: body.needed_text("name")?.to_owned(),
        http: body.object("http")?.map(|o| http(&o)).transpose()?,
        worker_binding: body.object("worker_binding")?.map(|o| worker_binding(&o)).transpose()?,
        format: body.object("format")?.map(|o| format(&o)).transpose()?.unwrap_or_default(),
        schema: schema(body)?,
    })
}

fn stream_patch(body: &Object<'_>) -> Result<StreamPatch, Invalid> {
    Ok(StreamPatch {
        http: body.object("http")?.map(|o| http(&o)).transpose()?,
        worker_binding: body.object("worker_binding")?.map(|o| worker_binding(&o)).transpose()?,
        name: body.text("name")?.map(str::to_owned),
        schema: if body.has("schema") { Some(schema(body)?) } else { None },
        format: body.object("format")?.map(|o| format(&o)).transpose()?,
    })
}

fn http(object: &Object<'_>) -> Result<Http, Invalid> {
    let cors = match object.object("cors")? {
        None => None,
        Some(cors) => cors.texts("origins")?.map(|origins| Cors { origins }),
    };
    Ok(Http {
        enabled: object.needed_flag("enabled")?,
        authentication: object.needed_flag("authentication")?,
        cors,
    })
}

fn worker_binding(object: &Object<'_>) -> Result<WorkerBinding, Invalid> {
    Ok(WorkerBinding { enabled: object.needed_flag("enabled")? })
}

fn format(object: &Object<'_>) -> Result<JsonFormat, Invalid> {
    object.choice("type", &[("json", ())])?;
    json_format(object)
}

/// The settings of JSON that streams and sinks share.
pub(super) fn json_format(object: &Object<'_>) -> Result<JsonFormat, Invalid> {
    use {DecimalEncoding as D, TimestampFormat as T};
    Ok(JsonFormat {
        decimal_encoding: object.choice(
            "decimal_encoding",
            &[("number", D::Number), ("string", D::String), ("bytes", D::Bytes)],
        )?,
        timestamp_format: object
            .choice("timestamp_format", &[("rfc3339", T::Rfc3339), ("unix_millis", T::UnixMillis)])?,
        unstructured: object.flag("unstructured")?.unwrap_or(false),
        compression: None,
    })
}

fn schema(body: &Object<'_>) -> Result<Option<Schema>, Invalid> {
    body.value("schema").map(Schema::from_json).transpose().map_err(|e| e.within(&body.at("schema")))
}
