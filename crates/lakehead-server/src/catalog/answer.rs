//! Answers of the protocol, errors among them.

use bytes::Bytes;
use http::{HeaderValue, Response, StatusCode, header};
use http_body_util::Full;
use lakehead_table::embedded::{Refusal, RefusalKind};
use serde_json::{Value, json};

use super::NoCatalog;
use super::route::NoRoute;
use crate::guesses::RETRY_AFTER_SECONDS;
use crate::http::answer::{self, Body};
use crate::startup::EXIT_DISK_FAILED;

/// Messages repeat what was sent, which may be long.
const MESSAGE_BYTES_MAX: usize = 4096;

pub(super) fn json(value: &Value) -> Response<Body> {
    answer::json(StatusCode::OK, value.to_string())
}

pub(super) fn nothing() -> Response<Body> {
    empty(StatusCode::NO_CONTENT)
}

pub(super) fn empty(status: StatusCode) -> Response<Body> {
    let mut response = Response::new(Full::new(Bytes::new()));
    *response.status_mut() = status;
    response
}

pub(super) fn error(status: StatusCode, name: &str, message: impl Into<String>) -> Response<Body> {
    let mut message: String = message.into();
    if message.len() > MESSAGE_BYTES_MAX {
        message.truncate(message.floor_char_boundary(MESSAGE_BYTES_MAX));
        message.push('…');
    }
    let body = json!({ "error": { "message": message, "type": name, "code": status.as_u16() } });
    let mut response = answer::json(status, body.to_string());
    if status == StatusCode::SERVICE_UNAVAILABLE {
        response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
    }
    response
}

pub(super) fn refusal(refusal: &Refusal) -> Response<Body> {
    let status = match refusal.kind {
        RefusalKind::BadRequest => StatusCode::BAD_REQUEST,
        RefusalKind::NoSuchNamespace | RefusalKind::NoSuchTable => StatusCode::NOT_FOUND,
        RefusalKind::AlreadyExists | RefusalKind::NamespaceNotEmpty | RefusalKind::CommitFailed => {
            StatusCode::CONFLICT
        }
        RefusalKind::Unprocessable => StatusCode::UNPROCESSABLE_ENTITY,
        RefusalKind::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
        RefusalKind::Unknown | RefusalKind::Damaged | RefusalKind::Answered => {
            StatusCode::INTERNAL_SERVER_ERROR
        }
        RefusalKind::Sync => {
            tracing::error!(error = refusal.text, "a sync of a table's metadata failed: stopping");
            std::process::exit(EXIT_DISK_FAILED);
        }
    };
    if status.is_server_error() {
        tracing::error!(kind = ?refusal.kind, error = refusal.text, "a request to a catalog failed");
        let text = match refusal.kind {
            RefusalKind::Unknown => "whether the change was made is not known; the server's log says why",
            RefusalKind::Unavailable => {
                "the server cannot do this now and has changed nothing; its log says why"
            }
            _ => "the server cannot do this; its log says why",
        };
        return error(status, refusal.kind.name(), text);
    }
    error(status, refusal.kind.name(), refusal.text.clone())
}

pub(super) fn no_catalog(no: &NoCatalog) -> Response<Body> {
    match no {
        NoCatalog::Off(text) => error(StatusCode::NOT_FOUND, "NoSuchWarehouseException", text.clone()),
        NoCatalog::Unusable(text) => {
            tracing::error!(error = text, "a catalog cannot be opened");
            error(StatusCode::SERVICE_UNAVAILABLE, "ServiceUnavailableException", text.clone())
        }
    }
}

pub(super) fn no_route(no: NoRoute) -> Response<Body> {
    match no {
        NoRoute::NotFound => error(StatusCode::NOT_FOUND, "NotFoundException", "there is no such path"),
        NoRoute::WrongMethod => {
            let text = "the method does not go with this path";
            error(StatusCode::METHOD_NOT_ALLOWED, "BadRequestException", text)
        }
        NoRoute::NotOffered => {
            let text = "the catalog has tables only; `endpoints` of its configuration lists what it does";
            error(StatusCode::NOT_IMPLEMENTED, "UnsupportedOperationException", text)
        }
    }
}

pub(super) fn unauthenticated(text: &str) -> Response<Body> {
    let mut response = error(StatusCode::UNAUTHORIZED, "NotAuthorizedException", text);
    response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    response
}

pub(super) fn forbidden(text: &str) -> Response<Body> {
    error(StatusCode::FORBIDDEN, "ForbiddenException", text)
}

pub(super) fn too_many_guesses() -> Response<Body> {
    let text = "too many wrong credentials came from this address; wait a minute";
    let mut response = error(StatusCode::TOO_MANY_REQUESTS, "TooManyRequestsException", text);
    response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(RETRY_AFTER_SECONDS));
    response
}
