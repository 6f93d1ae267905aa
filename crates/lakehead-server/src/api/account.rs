//! The caller and the one account: what `wrangler whoami` asks, and what `r2 bucket info` asks besides.

use axum::extract::State;
use axum::response::Response;
use http::StatusCode;
use serde_json::{Value, json};

use super::body::{JsonBody, Object};
use super::envelope::{Answer, ok, page, write};
use super::query::Params;
use super::{Api, ApiError};

fn account(api: &Api) -> Value {
    json!({ "id": api.control.account_id(), "name": "Lakehead", "type": "standard" })
}

pub(super) async fn list(State(api): State<Api>, params: Params) -> Answer {
    page(params.page()?, &[()], |()| account(&api))
}

pub(super) async fn read(State(api): State<Api>) -> Answer {
    ok(account(&api))
}

pub(super) async fn memberships(State(api): State<Api>, params: Params) -> Answer {
    let id = api.control.account_id();
    page(
        params.page()?,
        &[()],
        |()| json!({ "id": id, "status": "accepted", "account": account(&api), "roles": ["Administrator"] }),
    )
}

pub(super) async fn user(State(api): State<Api>) -> Answer {
    ok(json!({ "id": api.control.account_id(), "email": "admin@localhost" }))
}

/// GraphQL answers have an envelope of their own. The one question that is understood is what a bucket holds, as `wrangler r2
/// bucket info` asks it; whatever else is asked, there is one account without figures in it.
pub(super) async fn graphql(State(api): State<Api>, body: JsonBody) -> Result<Response, ApiError> {
    let bucket = bucket_asked_for(&body.root()).unwrap_or_default();
    let usage =
        if bucket.is_empty() { None } else { api.run(move |c| c.bucket_usage(&bucket)).await.ok().flatten() };
    let groups: Vec<_> = usage
        .iter()
        .map(|u| {
            json!({
                "max": { "objectCount": u.objects, "payloadSize": u.size_bytes, "metadataSize": 0 },
                "dimensions": {},
            })
        })
        .collect();
    let account = json!({ "r2StorageAdaptiveGroups": groups });
    Ok(write(StatusCode::OK, &json!({ "data": { "viewer": { "accounts": [account] } }, "errors": null })))
}

/// `variables.filter.bucketName`; with a jurisdiction before it as `eu_my-bucket`, which no bucket's own name can hold.
fn bucket_asked_for(body: &Object<'_>) -> Option<String> {
    let filter = body.object("variables").ok()??.object("filter").ok()??;
    let name = filter.text("bucketName").ok()??;
    Some(name.rsplit('_').next().unwrap_or(name).to_owned())
}
