//! Refusals on the wire: the one place that knows their HTTP status and Cloudflare's codes.
//!
//! | code | status | meaning |
//! |---|---|---|
//! | 1000, 1015, 1016 | 404 | no such pipeline, sink, stream: clients branch on these |
//! | 1001 | 400 | the request cannot work; the message begins with the field |
//! | 1003 | 400 | the name is taken (not 409, which the SDKs retry) |
//! | 1004 | 400 | the SQL cannot run |
//! | 1006 | 400 | the account has as many as it may |
//! | 1007 | 400 | something else needs it |
//! | 1008 | 413 | the body is too large |
//! | 1009 | 503 | the server cannot do it now |
//! | 1010 | 400 | another system's to do |
//! | 1011 | 404 | no such token |
//! | 1012 | 400 | a sink is to make a table that is there already |
//! | 1012 | 412 | the pipeline has another version than the request expects |
//! | 100 | 403 | a good token without the permission |
//! | 7000, 10405 | 404, 405 | no such path, not with this method |
//! | 10408 | 408 | the body arrived too slowly |
//! | 10429 | 429 | too many wrong credentials from one address |
//! | 10000 | 401, 403 | no token; another token or account than this server's |
//! | 10004 … 10008 | 409, 400, 404 | buckets and objects, as R2 numbers them |
//! | 40401 … 40403 | 404 | the bucket has no catalog, the catalog no such namespace, no such table |

use axum::response::{IntoResponse, Response};
use http::{HeaderName, HeaderValue, StatusCode, header};
use lakehead_model::Invalid;
use serde_json::{Value, json};

use super::envelope::{coded, write};
use crate::control::{self, Kind, SqlPlace, SqlRefusal};

/// A refusal: status, code and a sentence.
#[derive(Debug)]
pub struct ApiError {
    status: StatusCode,
    code: u32,
    message: String,
    /// Where in the request the fault is, for programs: Cloudflare's `errors[].source`.
    source: Option<Value>,
}

/// Tells the SDKs, which retry 408, 409, 429 and 5xx, whether that can help.
const SHOULD_RETRY: HeaderName = HeaderName::from_static("x-should-retry");

/// Messages repeat what was sent, which may be long.
const MESSAGE_BYTES_MAX: usize = 4096;
/// As much of the text at a place as is repeated.
const SOURCE_CHARS_MAX: usize = 200;

impl ApiError {
    pub(super) fn new(status: StatusCode, code: u32, message: impl Into<String>) -> Self {
        let mut message: String = message.into();
        if message.len() > MESSAGE_BYTES_MAX {
            message.truncate(message.floor_char_boundary(MESSAGE_BYTES_MAX));
            message.push('…');
        }
        ApiError { status, code, message, source: None }
    }

    pub(super) fn too_large(limit: usize) -> Self {
        let message = format!("body: is larger than the limit of {limit} bytes");
        ApiError::new(StatusCode::PAYLOAD_TOO_LARGE, 1008, message)
    }

    pub(super) fn too_slow() -> Self {
        ApiError::new(StatusCode::REQUEST_TIMEOUT, 10408, "body: arrived too slowly")
    }

    /// No credentials, or unreadable ones.
    pub(super) fn unauthenticated() -> Self {
        ApiError::new(StatusCode::UNAUTHORIZED, 10000, "Authentication error")
    }

    /// Credentials that open nothing here.
    pub(super) fn forbidden() -> Self {
        ApiError::new(StatusCode::FORBIDDEN, 10000, "Authentication error")
    }
}

pub(super) async fn no_route() -> ApiError {
    ApiError::new(StatusCode::NOT_FOUND, 7000, "No route for that URI")
}

pub(super) async fn no_method() -> ApiError {
    ApiError::new(StatusCode::METHOD_NOT_ALLOWED, 10405, "Method not allowed for this URI")
}

impl From<Invalid> for ApiError {
    fn from(invalid: Invalid) -> Self {
        ApiError::new(StatusCode::BAD_REQUEST, 1001, invalid.to_string())
    }
}

impl From<control::Error> for ApiError {
    fn from(error: control::Error) -> Self {
        use control::Error;
        let (status, code) = match &error {
            Error::BucketName(_) => (StatusCode::BAD_REQUEST, 10005),
            Error::Invalid(_) => (StatusCode::BAD_REQUEST, 1001),
            Error::Missing(kind) => return missing(*kind),
            Error::Exists { kind: Kind::Bucket, .. } => (StatusCode::CONFLICT, 10004),
            Error::Exists { .. } => (StatusCode::BAD_REQUEST, 1003),
            Error::TooMany { .. } => (StatusCode::BAD_REQUEST, 1006),
            Error::InUse(_) => (StatusCode::BAD_REQUEST, 1007),
            Error::TableExists(_) => (StatusCode::BAD_REQUEST, 1012),
            Error::NotHere(_) => (StatusCode::BAD_REQUEST, 1010),
            Error::NotEmpty(_) => (StatusCode::CONFLICT, 10008),
            Error::Sql(_) => (StatusCode::BAD_REQUEST, 1004),
            // Not 409, which the SDKs repeat.
            Error::Outdated { .. } => (StatusCode::PRECONDITION_FAILED, 1012),
            Error::Conflict | Error::Busy(_) => (StatusCode::SERVICE_UNAVAILABLE, 1009),
            Error::Unavailable(why) => {
                tracing::error!(why, "a management request failed");
                (StatusCode::SERVICE_UNAVAILABLE, 1009)
            }
        };
        let source = match &error {
            Error::Sql(SqlRefusal { place: Some(SqlPlace { line, column, text }), .. }) => {
                let text: String = text.chars().take(SOURCE_CHARS_MAX).collect();
                Some(json!({ "pointer": "/sql", "line": line, "column": column, "text": text }))
            }
            _ => None,
        };
        ApiError { source, ..ApiError::new(status, code, error.to_string()) }
    }
}

fn missing(kind: Kind) -> ApiError {
    let (code, message) = match kind {
        Kind::Pipeline => (1000, "Pipeline does not exist"),
        Kind::Sink => (1015, "Sink does not exist"),
        Kind::Stream => (1016, "Stream does not exist"),
        Kind::Bucket => (10006, "The specified bucket does not exist."),
        Kind::Object => (10007, "The specified key does not exist."),
        Kind::Token => (1011, "Token does not exist"),
        Kind::Namespace => (40402, "The catalog has no such namespace"),
        Kind::Table => (40403, "The catalog has no such table"),
        Kind::Catalog => (40401, "The bucket has no catalog"),
    };
    ApiError::new(StatusCode::NOT_FOUND, code, message)
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let mut error = coded(self.code, &self.message);
        if let Some(source) = self.source {
            error["source"] = source;
        }
        let body = json!({ "success": false, "errors": [error], "messages": [], "result": null });
        let mut response = write(self.status, &body);
        let headers = response.headers_mut();
        match self.status {
            StatusCode::SERVICE_UNAVAILABLE => {
                headers.insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
            }
            StatusCode::TOO_MANY_REQUESTS => {
                let seconds = crate::guesses::RETRY_AFTER_SECONDS;
                headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
                headers.insert(SHOULD_RETRY, HeaderValue::from_static("false"));
            }
            StatusCode::UNAUTHORIZED => {
                headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
            }
            StatusCode::CONFLICT | StatusCode::REQUEST_TIMEOUT => {
                headers.insert(SHOULD_RETRY, HeaderValue::from_static("false"));
            }
            _ => {}
        }
        response
    }
}
