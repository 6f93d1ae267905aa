//! Tokens on the wire: fields as Cloudflare names those of its tokens, with permissions and streams in the place of policies.

use axum::Extension;
use axum::extract::State;
use lakehead_meta::NewToken;
use lakehead_model::{Invalid, Permissions, StreamId, Timestamp, Token};
use serde_json::{Value, json};

use super::Api;
use super::body::{JsonBody, Object};
use super::envelope::{Answer, done, ok, page};
use super::path::PathParts;
use super::query::Params;
use crate::access::Caller;

/// The only answer with the value in it.
pub(super) async fn create(State(api): State<Api>, body: JsonBody) -> Answer {
    let new = new_token(&body.root())?;
    let (token, value) = api.run(move |c| c.create_token(new)).await?;
    let mut out = to_json(&token, false);
    out["value"] = value.reveal().into();
    ok(out)
}

pub(super) async fn list(State(api): State<Api>, params: Params) -> Answer {
    page(params.page()?, &api.control.tokens(), |(token, expired)| to_json(token, *expired))
}

pub(super) async fn read(State(api): State<Api>, mut path: PathParts) -> Answer {
    let (token, expired) = api.control.token(&path.take(0))?;
    ok(to_json(&token, expired))
}

pub(super) async fn delete(State(api): State<Api>, mut path: PathParts) -> Answer {
    let id = path.take(0);
    api.run(move |c| c.revoke_token(&id)).await?;
    done(Vec::new())
}

/// What the caller's own token is worth.
pub(super) async fn verify(State(api): State<Api>, Extension(caller): Extension<Caller>) -> Answer {
    let (id, expires_on) = match caller {
        Caller::Holder(token) => (token.id.to_string(), token.expires_at.map(Timestamp::to_rfc3339)),
        _ => (api.access.identity().account_id().to_owned(), None),
    };
    let mut out = json!({ "id": id, "status": "active" });
    if let Some(expires_on) = expires_on {
        out["expires_on"] = expires_on.into();
    }
    ok(out)
}

fn to_json(token: &Token, expired: bool) -> Value {
    let time = |at: Option<Timestamp>| at.map(Timestamp::to_rfc3339);
    json!({
        "id": token.id,
        "name": token.name,
        "status": if expired { "expired" } else { "active" },
        "permissions": token.permissions,
        "streams": token.streams,
        "issued_on": token.created_at.to_rfc3339(),
        "modified_on": token.created_at.to_rfc3339(),
        "expires_on": time(token.expires_at),
        "last_used_on": time(token.last_used_at),
    })
}

fn new_token(body: &Object<'_>) -> Result<NewToken, Invalid> {
    let name = body.needed_text("name")?.to_owned();
    let words = body
        .texts("permissions")?
        .ok_or_else(|| body.refuse("permissions", "is missing; a list of read, write, send is needed"))?;
    let streams = body.texts("streams")?.map(|ids| stream_ids(body, &ids)).transpose()?;
    Ok(NewToken {
        name,
        permissions: Permissions::from_words("permissions", words.iter().map(String::as_str))?,
        streams,
        bucket: None,
        expires_at: body.text("expires_on")?.map(|text| expiry(body, text)).transpose()?,
    })
}

fn stream_ids(body: &Object<'_>, ids: &[String]) -> Result<Vec<StreamId>, Invalid> {
    let id = |(i, text): (usize, &String)| {
        text.parse().map_err(|_| body.refuse(&format!("streams[{i}]"), "is not an id of 32 hex digits"))
    };
    ids.iter().enumerate().map(id).collect()
}

fn expiry(body: &Object<'_>, text: &str) -> Result<Timestamp, Invalid> {
    Timestamp::from_rfc3339(text)
        .ok_or_else(|| body.refuse("expires_on", "is not a time; `2027-01-31T00:00:00Z` would be one"))
}
