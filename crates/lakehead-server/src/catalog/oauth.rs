//! `POST …/oauth/tokens`, for clients that get a token before they use one: what they get is the token they have.
//!
//! | grant | the token is in |
//! |---|---|
//! | `client_credentials` | `client_secret`, or the password of `Authorization: Basic` |
//! | `urn:ietf:params:oauth:grant-type:token-exchange` (a refresh) | `subject_token` |

use axum::extract::Query;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use http::{HeaderMap, HeaderValue, Response, StatusCode, Uri, header};
use serde_json::json;

use super::answer;
use crate::access::{Access, Caller, Peer, only};
use crate::http::answer::{self as plain, Body};

const EXCHANGE: &str = "urn:ietf:params:oauth:grant-type:token-exchange";
/// When a client is to ask again. The token itself lasts as long as it was made for.
const EXPIRES_SECONDS: u64 = 3600;
const ACCESS_TOKEN: &str = "urn:ietf:params:oauth:token-type:access_token";

pub(super) fn token(access: &Access, headers: &HeaderMap, body: &[u8], peer: Peer) -> Response<Body> {
    let Some(form) = form(body) else {
        return refused(StatusCode::BAD_REQUEST, "invalid_request", "the body is not a form");
    };
    let field = |name: &str| form.iter().find(|(key, _)| key == name).map(|(_, value)| value.clone());
    let shown = match field("grant_type").as_deref() {
        Some("client_credentials") => field("client_secret").or_else(|| password(headers)),
        Some(EXCHANGE) => field("subject_token"),
        _ => {
            let text = "grant_type: one of client_credentials, token exchange is needed";
            return refused(StatusCode::BAD_REQUEST, "unsupported_grant_type", text);
        }
    };
    match access.caller(shown.as_deref().map(str::as_bytes)) {
        Caller::Admin | Caller::Holder(_) => {
            let token = json!({
                "access_token": shown.unwrap_or_default(),
                "token_type": "bearer",
                "issued_token_type": ACCESS_TOKEN,
                "expires_in": EXPIRES_SECONDS,
            });
            let mut response = plain::json(StatusCode::OK, token.to_string());
            response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
            response
        }
        Caller::Stranger if !access.may_guess_on(peer) => answer::too_many_guesses(),
        Caller::Stranger | Caller::Nobody => {
            refused(StatusCode::UNAUTHORIZED, "invalid_client", "client_secret: is no token of this server")
        }
    }
}

/// Pairs of a form, which are written like those of a query.
fn form(body: &[u8]) -> Option<Vec<(String, String)>> {
    let uri: Uri = format!("/?{}", std::str::from_utf8(body).ok()?.trim()).parse().ok()?;
    Query::try_from_uri(&uri).ok().map(|Query(pairs)| pairs)
}

fn password(headers: &HeaderMap) -> Option<String> {
    let (scheme, value) = std::str::from_utf8(only(headers, "authorization")?).ok()?.split_once(' ')?;
    let decoded =
        scheme.eq_ignore_ascii_case("basic").then(|| BASE64_STANDARD.decode(value.trim()).ok())??;
    String::from_utf8(decoded).ok()?.split_once(':').map(|(_, password)| password.to_owned())
}

fn refused(status: StatusCode, error: &str, text: &str) -> Response<Body> {
    plain::json(status, json!({ "error": error, "error_description": text }).to_string())
}
