//! Who is calling: a token as `Authorization: Bearer …`, or as `X-Auth-Key` beside any `X-Auth-Email`.
//!
//! | caller | answer |
//! |---|---|
//! | the administrator | everything |
//! | a token with `read` | `GET`, and the questions that are a `POST`: `/graphql`, `…/preview_sql`, whose answer holds records |
//! | a token with `write` | everything else that is not a `GET` |
//! | any good token | who it is: `/user…`, `/accounts`, `/memberships`, `…/tokens/verify` |
//! | whoever is permitted none of that | 403 with code 100 |
//! | nobody, a stranger | 401, 403 with code 10000, the same for every path; 429 after too many wrong credentials |
//!
//! Tokens are made, shown and revoked by the administrator alone.

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, Method, StatusCode};

use super::{Api, ApiError};
use crate::access::{Caller, Peer, bearer, only};

/// Changes nothing, and shows records of streams.
const PREVIEW: &str = "/pipelines/v1/preview_sql";

fn caller(api: &Api, headers: &HeaderMap) -> Caller {
    let shown = if headers.contains_key("authorization") {
        only(headers, "authorization").and_then(bearer)
    } else {
        only(headers, "x-auth-email").and(only(headers, "x-auth-key"))
    };
    api.access.caller(shown)
}

/// Whether the stranger behind this request may try another credential.
fn may_guess_on(api: &Api, request: &Request) -> bool {
    api.access.may_guess_on(request.extensions().get().copied().unwrap_or(Peer::UNKNOWN))
}

/// Lets through whom the table above lets through; the answer to strangers is the same whatever they asked for.
pub(super) async fn in_account(State(api): State<Api>, request: Request, next: Next) -> Response {
    let who = match caller(&api, request.headers()) {
        Caller::Nobody => return ApiError::unauthenticated().into_response(),
        Caller::Stranger if !may_guess_on(&api, &request) => return too_many_guesses(),
        Caller::Stranger => return ApiError::forbidden().into_response(),
        who => who,
    };
    let Some(below) = below_account(request.uri().path(), api.access.identity().account_id()) else {
        return ApiError::forbidden().into_response();
    };
    if let Caller::Holder(token) = &who
        && let Err(needed) = permitted(below, request.method(), token.permissions)
    {
        let message = format!("Forbidden: {needed}");
        return ApiError::new(StatusCode::FORBIDDEN, 100, message).into_response();
    }
    let mut request = request;
    request.extensions_mut().insert(who);
    next.run(request).await
}

/// What is missing, in words.
fn permitted(
    below: &str,
    method: &Method,
    permissions: lakehead_model::Permissions,
) -> Result<(), &'static str> {
    if below == "/tokens/verify" || below.is_empty() {
        return Ok(());
    }
    if below == "/tokens" || below.starts_with("/tokens/") {
        return Err("only the administrator's token can manage tokens");
    }
    if *method == Method::GET || *method == Method::HEAD || below == PREVIEW {
        return permissions.read.then_some(()).ok_or("the token lacks the permission `read`");
    }
    permissions.write.then_some(()).ok_or("the token lacks the permission `write`")
}

fn too_many_guesses() -> Response {
    let message = "too many wrong credentials came from this address; wait a minute";
    ApiError::new(StatusCode::TOO_MANY_REQUESTS, 10429, message).into_response()
}

/// For what is not in an account. Its refusals have codes of their own, from which wrangler makes a plain message.
pub(super) async fn of_caller(State(api): State<Api>, request: Request, next: Next) -> Response {
    let path = request.uri().path();
    let (status, code, message) = match caller(&api, request.headers()) {
        Caller::Holder(token) if path.ends_with("/graphql") && !token.permissions.read => {
            (StatusCode::FORBIDDEN, 100, "Forbidden: the token lacks the permission `read`")
        }
        who @ (Caller::Admin | Caller::Holder(_)) => {
            let mut request = request;
            request.extensions_mut().insert(who);
            return next.run(request).await;
        }
        Caller::Stranger if !may_guess_on(&api, &request) => return too_many_guesses(),
        _ if path.ends_with("/tokens/verify") => (StatusCode::UNAUTHORIZED, 1000, "Invalid API Token"),
        _ if path.ends_with("/graphql") => (StatusCode::FORBIDDEN, 10000, "Authentication error"),
        _ => (StatusCode::FORBIDDEN, 9109, "Invalid access token"),
    };
    ApiError::new(status, code, message).into_response()
}

/// What follows the account in the path, if it is this one.
fn below_account<'p>(path: &'p str, account_id: &str) -> Option<&'p str> {
    let (_, below) = path.split_once("/accounts/")?;
    let rest = below.strip_prefix(account_id)?;
    (rest.is_empty() || rest.starts_with('/')).then(|| rest.strip_suffix('/').unwrap_or(rest))
}
