//! Buckets and their objects on the wire.

use axum::body::Body;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, header};
use lakehead_model::resource::Bucket;
use serde_json::{Value, json};

use super::body::JsonBody;
use super::envelope::{Answer, done, ok};
use super::object_body::ObjectBody;
use super::path::PathParts;
use super::query::Params;
use super::{Api, ApiError};
use crate::control::NewBucket;

/// What R2 calls storage that is neither infrequent nor archived.
const STORAGE_CLASS_DEFAULT: &str = "Standard";

pub(super) async fn create(State(api): State<Api>, headers: HeaderMap, body: JsonBody) -> Answer {
    let root = body.root();
    let owned = |text: Option<&str>| text.map(str::to_owned);
    let new = NewBucket {
        name: root.needed_text("name")?.to_owned(),
        location: owned(root.text("locationHint")?),
        storage_class: owned(root.text("storageClass")?),
        jurisdiction: owned(headers.get("cf-r2-jurisdiction").and_then(|v| v.to_str().ok())),
    };
    let bucket = api.run(move |c| c.create_bucket(new)).await?;
    ok(to_json(&bucket))
}

/// An object with the list in it, unlike all other lists.
pub(super) async fn list(State(api): State<Api>, params: Params) -> Answer {
    let buckets = api.control.buckets(params.text("name_contains").unwrap_or_default());
    ok(json!({ "buckets": buckets.iter().map(|b| to_json(b)).collect::<Vec<_>>() }))
}

pub(super) async fn read(State(api): State<Api>, mut path: PathParts) -> Answer {
    ok(to_json(&*api.control.bucket(&path.take(0))?))
}

pub(super) async fn delete(State(api): State<Api>, mut path: PathParts) -> Answer {
    let name = path.take(0);
    api.run(move |c| c.delete_bucket(&name)).await?;
    done(Vec::new())
}

/// The bytes themselves.
pub(super) async fn object(State(api): State<Api>, mut path: PathParts) -> Result<Response, ApiError> {
    let (bucket, key) = (path.take(0), path.take(1));
    let object = api.run(move |c| c.object(&bucket, &key)).await?;
    let headers = [
        (header::CONTENT_TYPE, "application/octet-stream".to_owned()),
        (header::CONTENT_LENGTH, object.size_bytes.to_string()),
    ];
    Ok((headers, Body::new(ObjectBody::start(object))).into_response())
}

fn to_json(bucket: &Bucket) -> Value {
    let mut out = json!({
        "name": bucket.name,
        "creation_date": bucket.created_at.to_rfc3339(),
        "storage_class": bucket.storage_class.as_deref().unwrap_or(STORAGE_CLASS_DEFAULT),
        "jurisdiction": bucket.jurisdiction.as_deref().unwrap_or("default"),
    });
    out["location"] = bucket.location.as_deref().unwrap_or("local").into();
    out
}
