//! Records from Workers: the far end of a Pipelines binding.
//!
//! ```text
//!   env.STREAM.send([…])                    (a Worker's code)
//!          ▼
//!   Miniflare, `remoteProxyConnectionString`: http://server/binding/{stream_id}[/{token}]
//!          ▼  WebSocket
//!      socket ──► capnweb ──► values ──► ingest ──► log
//!       frames     calls      JSON       the path of every record; the call resolves after the sync
//! ```
//!
//! Miniflare lets no header through to the WebSocket and drops user and password of the URL; path and query arrive as they are
//! written. That is why the token of a stream with authentication stands in the path. It has one URL for all bindings of a
//! Worker and adds `MF-Binding=NAME` to its query: `?NAME={stream_id}&OTHER={stream_id}` says which stream is which binding's;
//! without such a parameter it is the one in the path.
//!
//! Whether a stream takes records is said inside the session, not with a status: of a refused handshake a Worker learns only
//! that it failed, of an aborted session it learns the reason.
//!
//! **Invariants:** of whoever may not send, no frame is read. No web page gets in: rules about origins do not hold for
//! WebSockets, so a handshake with an origin is refused.

mod capnweb;
mod elements;
mod socket;
mod values;

use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, Version, header};
use hyper::body::Incoming;
use hyper::upgrade::OnUpgrade;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;

pub(crate) use self::socket::serve;
use crate::http::answer::{self, Body};

const PATH: &str = "/binding/";

/// Whether a request for this path is for a binding.
pub(crate) fn is_for(path: &str) -> bool {
    path.starts_with(PATH)
}

/// A session whose handshake is answered. It travels in the answer's extensions to the connection, which becomes its socket.
#[derive(Clone)]
pub(crate) struct Begun {
    upgrade: OnUpgrade,
    /// As in the path; not checked.
    stream: String,
    /// As the `Authorization` header of a request would have it.
    authorization: Option<String>,
}

/// Answers a handshake: 101, and [`Begun`] in the extensions; or why it is none.
pub(crate) fn begin(mut request: Request<Incoming>) -> Response<Body> {
    if request.headers().contains_key(header::ORIGIN) {
        let message = "a binding is for Workers; web pages POST to the stream's endpoint";
        return refused(StatusCode::FORBIDDEN, 10403, message);
    }
    let Some(key) = websocket_key(&request) else {
        let message = "a binding is a WebSocket of version 13: set its URL as `remoteProxyConnectionString` of Miniflare";
        let mut response = refused(StatusCode::UPGRADE_REQUIRED, 10426, message);
        response.headers_mut().insert(header::UPGRADE, HeaderValue::from_static("websocket"));
        response.headers_mut().insert(header::SEC_WEBSOCKET_VERSION, HeaderValue::from_static("13"));
        return response;
    };
    let (stream, token) = stream_and_token(request.uri().path(), request.uri().query().unwrap_or_default());
    let stream = stream.to_owned();
    let authorization = (!token.is_empty()).then(|| format!("Bearer {token}"));
    let upgrade = hyper::upgrade::on(&mut request);
    let mut response = Response::new(Body::default());
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    let headers = response.headers_mut();
    headers.insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
    headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
    headers.insert(header::SEC_WEBSOCKET_ACCEPT, key);
    response.extensions_mut().insert(Begun { upgrade, stream, authorization });
    response
}

/// A body that the request may have is not read, so nothing else can follow on this connection.
fn refused(status: StatusCode, code: u32, message: &str) -> Response<Body> {
    let mut response = answer::error(status, code, message);
    response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    response
}

/// What a URL says; the token may be empty. Neither needs escapes in a URL, so none are undone.
fn stream_and_token<'r>(path: &'r str, query: &'r str) -> (&'r str, &'r str) {
    let path = path.strip_prefix(PATH).unwrap_or_default();
    let (stream, token) = path.split_once('/').unwrap_or((path, ""));
    let parameter =
        |name| query.split('&').filter_map(|p| p.split_once('=')).find(|(n, _)| *n == name).map(|(_, v)| v);
    (parameter("MF-Binding").and_then(parameter).unwrap_or(stream), token)
}

/// The answer to the key of a WebSocket handshake (RFC 6455 §4.2.1), if the request is one.
fn websocket_key<B>(request: &Request<B>) -> Option<HeaderValue> {
    let headers = request.headers();
    let handshake = request.method() == Method::GET
        && request.version() == Version::HTTP_11
        && has_token(headers, header::UPGRADE, "websocket")
        && has_token(headers, header::CONNECTION, "upgrade")
        && headers.get(header::SEC_WEBSOCKET_VERSION).is_some_and(|v| v == "13");
    let key = headers.get(header::SEC_WEBSOCKET_KEY).filter(|key| handshake && key.len() == 24)?;
    HeaderValue::try_from(derive_accept_key(key.as_bytes())).ok()
}

fn has_token(headers: &HeaderMap, name: header::HeaderName, token: &str) -> bool {
    let values = headers.get_all(name).into_iter().filter_map(|v| v.to_str().ok());
    values.flat_map(|v| v.split(',')).any(|t| t.trim().eq_ignore_ascii_case(token))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_stream_is_that_of_the_binding_s_name_or_that_of_the_path() {
        for (path, query, expected) in [
            ("/binding/s1", "", ("s1", "")),
            ("/binding/s1/", "MF-Binding=A", ("s1", "")),
            ("/binding/s1/a-token", "MF-Binding=A", ("s1", "a-token")),
            ("/binding/s1/a/token", "", ("s1", "a/token")),
            ("/binding/-/a-token", "A=s2&B=s3&MF-Binding=B", ("s3", "a-token")),
            ("/binding/-", "A=s2&MF-Binding=C", ("-", "")),
            ("/binding/s1", "A=s2", ("s1", "")),
            ("/binding/", "&=&MF-Binding", ("", "")),
        ] {
            assert_eq!(stream_and_token(path, query), expected, "{path} {query}");
        }
    }
    fn handshake(headers: &[(&str, &str)]) -> Request<()> {
        let mut request = Request::new(());
        for (name, value) in headers {
            let name: header::HeaderName = name.parse().unwrap();
            request.headers_mut().append(name, value.parse().unwrap());
        }
        request
    }

    const KEY: (&str, &str) = ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ==");
    const VERSION: (&str, &str) = ("sec-websocket-version", "13");
    const UPGRADE: (&str, &str) = ("upgrade", "websocket");
    const CONNECTION: (&str, &str) = ("connection", "upgrade");

    /// The key and its answer are the example of RFC 6455 §1.3.
    #[test]
    fn a_handshake_is_answered_however_its_headers_are_written() {
        for (connection, upgrade) in
            [("Upgrade", "websocket"), ("keep-alive, Upgrade", "WebSocket"), ("UPGRADE", "h2c,websocket")]
        {
            let request = handshake(&[("connection", connection), ("upgrade", upgrade), KEY, VERSION]);
            assert_eq!(websocket_key(&request).unwrap(), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
        }
    }

    #[test]
    fn what_lacks_a_part_of_a_handshake_is_none() {
        for headers in [
            &[UPGRADE, KEY, VERSION][..],
            &[CONNECTION, KEY, VERSION],
            &[CONNECTION, UPGRADE, VERSION],
            &[CONNECTION, UPGRADE, KEY],
            &[CONNECTION, UPGRADE, KEY, ("sec-websocket-version", "8")],
            &[CONNECTION, UPGRADE, ("sec-websocket-key", "short"), VERSION],
            &[("connection", "keep-alive"), UPGRADE, KEY, VERSION],
            &[CONNECTION, ("upgrade", "h2c"), KEY, VERSION],
        ] {
            assert_eq!(websocket_key(&handshake(headers)), None, "{headers:?}");
        }
        let mut post = handshake(&[CONNECTION, UPGRADE, KEY, VERSION]);
        *post.method_mut() = Method::POST;
        assert_eq!(websocket_key(&post), None);
        let mut old = handshake(&[CONNECTION, UPGRADE, KEY, VERSION]);
        *old.version_mut() = Version::HTTP_10;
        assert_eq!(websocket_key(&old), None);
    }
}
