//! The caller and the one account: what `wrangler whoami` asks, and what `r2 bucket info` asks besides.

use axum::extract::State;
use axum::response::Response;
use http::StatusCode;
use serde_json::{Value, json};

use super::Api;
use super::body::JsonBody;
use super::envelope::{Answer, ok, page, write};
use super::query::Params;

fn account(api: &Api) -> Value {
    json!({ "id": api.identity.account_id(), "name": "Lakehead", "type": "standard" })
}

pub(super) async fn list(State(api): State<Api>, params: Params) -> Answer {
    page(params.page()?, &[()], |()| account(&api))
}

pub(super) async fn read(State(api): State<Api>) -> Answer {
    ok(account(&api))
}

pub(super) async fn memberships(State(api): State<Api>, params: Params) -> Answer {
    let id = api.identity.account_id();
    page(
        params.page()?,
        &[()],
        |()| json!({ "id": id, "status": "accepted", "account": account(&api), "roles": ["Administrator"] }),
    )
}

pub(super) async fn user(State(api): State<Api>) -> Answer {
    ok(json!({ "id": api.identity.account_id(), "email": "admin@localhost" }))
}

pub(super) async fn verify(State(api): State<Api>) -> Answer {
    ok(json!({ "id": api.identity.account_id(), "status": "active" }))
}

/// GraphQL answers have an envelope of their own. Whatever is asked, there is one account without figures in it.
pub(super) async fn graphql(State(_): State<Api>, _: JsonBody) -> Response {
    let account = json!({ "r2StorageAdaptiveGroups": [], "r2OperationsAdaptiveGroups": [] });
    write(StatusCode::OK, &json!({ "data": { "viewer": { "accounts": [account] } }, "errors": null }))
}
