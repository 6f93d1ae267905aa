//! Who is calling. One administrator: the token as `Authorization: Bearer …`, or as `X-Auth-Key` beside any `X-Auth-Email`.

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, StatusCode};

use super::{Api, ApiError};
use crate::access::{bearer, only};

/// What the headers say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Caller {
    Admin,
    /// A credential, but not this server's.
    Stranger,
    /// No credential, or none that can be read.
    Nobody,
}

fn caller(api: &Api, headers: &HeaderMap) -> Caller {
    let shown = if headers.contains_key("authorization") {
        only(headers, "authorization").and_then(bearer)
    } else {
        only(headers, "x-auth-email").and(only(headers, "x-auth-key"))
    };
    match shown {
        None | Some([]) => Caller::Nobody,
        Some(token) if api.identity.is_admin(token) => Caller::Admin,
        Some(_) => Caller::Stranger,
    }
}

/// Lets the administrator through to the one account; the answer to everybody else is the same whatever they asked for.
pub(super) async fn in_account(State(api): State<Api>, request: Request, next: Next) -> Response {
    match caller(&api, request.headers()) {
        Caller::Nobody => ApiError::unauthenticated().into_response(),
        Caller::Stranger => ApiError::forbidden().into_response(),
        Caller::Admin if account_of(request.uri().path()) != Some(api.identity.account_id()) => {
            ApiError::forbidden().into_response()
        }
        Caller::Admin => next.run(request).await,
    }
}

/// For what is not in an account. Its refusals have codes of their own, from which wrangler makes a plain message.
pub(super) async fn of_caller(State(api): State<Api>, request: Request, next: Next) -> Response {
    let path = request.uri().path();
    let (status, code, message) = match caller(&api, request.headers()) {
        Caller::Admin => return next.run(request).await,
        _ if path.ends_with("/tokens/verify") => (StatusCode::UNAUTHORIZED, 1000, "Invalid API Token"),
        _ if path.ends_with("/graphql") => (StatusCode::FORBIDDEN, 10000, "Authentication error"),
        _ => (StatusCode::FORBIDDEN, 9109, "Invalid access token"),
    };
    ApiError::new(status, code, message).into_response()
}

fn account_of(path: &str) -> Option<&str> {
    let (_, below) = path.split_once("/accounts/")?;
    below.split('/').next()
}
