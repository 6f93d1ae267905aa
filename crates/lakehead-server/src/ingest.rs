//! Records in: `POST` of a JSON array or of NDJSON lines to a stream.
//!
//! ```text
//!   stream? ─► method ─► may send? ─► room? ─► body (limit, minimum rate) ─► inflate ─► frame ─► log.append ─► 200
//! ```
//!
//! **Invariants:** nothing is inflated or read for whoever may not send. A 200 leaves only after the log has synced the whole
//! request; every other answer means that nothing of it was kept, except [`Refusal::Unknown`] and a connection that breaks before
//! any answer: then the same request may be sent again under its `Idempotency-Key`, and is stored once.

mod binding;
mod body;
mod cors;
pub mod endpoints;
pub(crate) mod idempotency;
pub mod inflate;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, header};
use hyper::body::Incoming;
use lakehead_decode::{BodyError, frame_array, frame_lines};
use lakehead_hosts::names::{PIPELINES_DOMAIN, STREAMS_DOMAIN};
use lakehead_log::{Append, AppendError, AppendKey, LocalLog};
use lakehead_model::limits::REQUEST_BYTES_MAX;
use lakehead_model::{Clock, StreamId};
use prometheus::IntCounter;
use tokio::sync::watch;

pub(crate) use self::binding::Sender;
use self::body::{BodyBudget, ReadError};
pub(crate) use self::body::{Pace, Room};
use self::endpoints::{Endpoint, Endpoints};
use self::inflate::{Encoding, InflateError};
use crate::access::{self, Access, Denied, Peer};
use crate::http::answer::{self, Body};
use crate::http::plain::PlainHead;
use crate::metrics::Metrics;

/// How long a request waits for the disk.
const ACK_WAIT_MAX: Duration = Duration::from_secs(10);

/// What the ingest side needs. Shared by all connections.
pub struct Ingest {
    log: LocalLog,
    endpoints: Endpoints,
    access: Arc<Access>,
    budget: BodyBudget,
    clock: Arc<dyn Clock>,
    metrics: Metrics,
    /// Requests answered with 200.
    accepted: IntCounter,
    draining: watch::Receiver<bool>,
    /// Each `.` and a domain, lower case: the configured one, and Cloudflare's own.
    domain_suffixes: [String; 3],
}

/// Whether a web page is behind a request, and whether the stream lets it in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Page {
    None,
    LetIn,
    NotLetIn,
}

/// Why a request was not accepted. Each has one status and one code; see [`Refusal::answer`].
#[derive(Debug)]
pub(crate) enum Refusal {
    NoSuchStream,
    NoSuchBinding,
    Method,
    /// A web page that the stream does not let in.
    Origin,
    NotAuthenticated,
    Forbidden,
    TooManyGuesses,
    Draining,
    Encoding,
    TooLarge(String),
    Malformed(String),
    NotRecords(String),
    TooSlow,
    Disconnected,
    /// Too many bytes wait for the disk, or for their turn to be read: try again at once.
    Backlogged,
    /// The disk quota is used up: try again when pipelines have caught up.
    Full,
    Stopping,
    /// What stands in the `Idempotency-Key` header is none.
    Key(String),
    /// Other records are stored under the key.
    KeyTaken,
    /// The disk did not answer in time; whether the records are kept is not known.
    Unknown,
}

/// A request that is stored.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Stored {
    /// Its records.
    pub(crate) committed: usize,
    /// It had been before it came, under the same `Idempotency-Key`.
    pub(crate) is_repeat: bool,
}

impl Ingest {
    #[expect(clippy::too_many_arguments, reason = "the one place where its parts are put together")]
    pub fn new(
        log: LocalLog,
        endpoints: Endpoints,
        access: Arc<Access>,
        in_flight_bytes_max: usize,
        domain: &str,
        clock: Arc<dyn Clock>,
        metrics: Metrics,
        draining: watch::Receiver<bool>,
    ) -> Self {
        let domain_suffixes =
            [domain, STREAMS_DOMAIN, PIPELINES_DOMAIN].map(|d| format!(".{}", d.to_ascii_lowercase()));
        let budget = BodyBudget::new(in_flight_bytes_max);
        let accepted = metrics.ingest_requests.with_label_values(&[StatusCode::OK.as_str()]);
        Ingest { log, endpoints, access, budget, clock, metrics, accepted, draining, domain_suffixes }
    }

    /// The stream that a request is for, if it is an ingest request: by host `{id}.{domain}`,
    /// where the domain may be Cloudflare's, or by path `/ingest/{id}`.
    /// The text is not checked.
    pub fn target<'r>(&self, path: &'r str, host: Option<&'r str>) -> Option<&'r str> {
        if let Some(rest) = path.strip_prefix("/ingest/") {
            return Some(rest.strip_suffix('/').unwrap_or(rest));
        }
        let host = host?;
        let host = host.rsplit_once(':').map_or(host, |(host, _)| host);
        self.domain_suffixes.iter().find_map(|wanted| {
            let (id, suffix) = host.split_at_checked(host.len().checked_sub(wanted.len())?)?;
            suffix.eq_ignore_ascii_case(wanted).then_some(id)
        })
    }

    /// Answers one request for the stream `target`.
    pub async fn handle(&self, target: &str, request: Request<Incoming>, peer: Peer) -> Response<Body> {
        let began = self.clock.monotonic();
        let endpoint = self.endpoint(target);
        if !request.headers().contains_key(header::ORIGIN) {
            return self.answer(began, self.accept(endpoint, request, Page::None, peer).await);
        }
        let allowed = cors::allowed(endpoint.as_deref(), request.headers());
        if request.method() == Method::OPTIONS {
            return cors::preflight(allowed);
        }
        let page = match &allowed {
            None if !cors::is_same_origin(request.headers()) => Page::NotLetIn,
            _ => Page::LetIn,
        };
        cors::named(self.answer(began, self.accept(endpoint, request, page, peer).await), allowed)
    }

    fn answer(&self, began: Duration, outcome: Result<Stored, Refusal>) -> Response<Body> {
        match outcome {
            Ok(stored) => {
                self.note_accepted(began);
                let mut response = answer::json(StatusCode::OK, acknowledgement(stored.committed));
                if stored.is_repeat {
                    response.headers_mut().insert(idempotency::REPLAYED, idempotency::TRUE);
                }
                response
            }
            Err(refusal) => {
                let response = refusal.answer();
                self.metrics.ingest_requests.with_label_values(&[response.status().as_str()]).inc();
                response
            }
        }
    }

    fn note_accepted(&self, began: Duration) {
        self.metrics.ingest_ack_seconds.observe((self.clock.monotonic() - began).as_secs_f64());
        self.accepted.inc();
    }

    async fn accept(
        &self,
        endpoint: Option<Arc<Endpoint>>,
        request: Request<Incoming>,
        page: Page,
        peer: Peer,
    ) -> Result<Stored, Refusal> {
        if request.method() != Method::POST {
            return Err(Refusal::Method);
        }
        let endpoint =
            self.admit(endpoint, access::only(request.headers(), header::AUTHORIZATION), page, peer)?;
        let shape = Shape::of(request.headers())?;
        let key = idempotency::of(request.headers())?;
        let (_room, received) =
            self.budget.read(request.into_body(), shape.encoding, self.clock.as_ref()).await?;
        self.append(&endpoint, shape, key, received).await
    }

    /// Lets a request in. A stream that does not exist refuses like one that wants a token, so that nobody without a token
    /// learns which it is.
    fn admit(
        &self,
        endpoint: Option<Arc<Endpoint>>,
        authorization: Option<&[u8]>,
        page: Page,
        peer: Peer,
    ) -> Result<Arc<Endpoint>, Refusal> {
        let is_open = endpoint.as_ref().is_some_and(|e| !e.http.authentication);
        let stream = endpoint.as_ref().map(|e| e.partition.stream);
        if !is_open {
            self.access.may_send(authorization, peer, stream)?;
        } else if page == Page::NotLetIn {
            // Whoever shows a token is no page that was sent here by somebody else's.
            self.access.may_send(authorization, peer, stream).map_err(|_| Refusal::Origin)?;
        }
        if *self.draining.borrow() {
            return Err(Refusal::Draining);
        }
        endpoint.ok_or(Refusal::NoSuchStream)
    }

    fn endpoint(&self, target: &str) -> Option<Arc<Endpoint>> {
        let id: StreamId = target.parse().ok()?;
        self.endpoints.get(id).filter(|e| e.http.enabled)
    }

    async fn append(
        &self,
        endpoint: &Endpoint,
        shape: Shape,
        key: Option<AppendKey>,
        received: Bytes,
    ) -> Result<Stored, Refusal> {
        let body = match shape.encoding {
            Encoding::Identity => received,
            encoding => Bytes::from(encoding.inflate(&received, REQUEST_BYTES_MAX)?),
        };
        let mut bounds = Vec::new();
        let framed =
            if shape.lines { frame_lines(&body, &mut bounds) } else { frame_array(&body, &mut bounds) };
        framed.map_err(|e| Refusal::of_body(&e, &body))?;
        let (records, bytes) = (bounds.len(), body.len());
        if records == 0 {
            return Ok(Stored { committed: 0, is_repeat: false });
        }
        let append = Append { partition: endpoint.partition, body, records: bounds.into(), key };
        let appended = tokio::time::timeout(ACK_WAIT_MAX, self.log.append(append));
        let is_repeat = appended.await.map_err(|_| Refusal::Unknown)??.is_repeat;
        if !is_repeat {
            endpoint.records.inc_by(records as u64);
            endpoint.bytes.inc_by(bytes as u64);
        }
        Ok(Stored { committed: records, is_repeat })
    }
}

/// A plain request that is admitted and whose body is to come.
pub(crate) struct PlainRequest {
    endpoint: Arc<Endpoint>,
    shape: Shape,
    key: Option<AppendKey>,
    began: Duration,
}

/// The same steps as [`Ingest::handle`], for a connection that reads its bodies itself.
impl Ingest {
    pub(crate) fn begin_plain(&self, head: &PlainHead<'_>, peer: Peer) -> Result<PlainRequest, Refusal> {
        let began = self.clock.monotonic();
        let endpoint = self.endpoint(self.target(head.path, Some(head.host)).unwrap_or_default());
        let endpoint = self.admit(endpoint, head.authorization, Page::None, peer)?;
        let shape = Shape { encoding: Encoding::Identity, lines: is_lines(head.content_type) };
        let key = head.idempotency_key.map(idempotency::parse).transpose()?;
        Ok(PlainRequest { endpoint, shape, key, began })
    }

    pub(crate) async fn room(&self, length: usize) -> Result<Room, Refusal> {
        Ok(self.budget.room(Some(length), Encoding::Identity).await?)
    }

    pub(crate) fn pace(&self) -> Pace<'_> {
        Pace::new(self.clock.as_ref())
    }

    pub(crate) fn refuse(&self, refusal: Refusal) -> Response<Body> {
        self.answer(Duration::ZERO, Err(refusal))
    }

    pub(crate) async fn finish_plain(&self, request: PlainRequest, body: Bytes) -> Result<Stored, Refusal> {
        let stored = self.append(&request.endpoint, request.shape, request.key, body).await?;
        self.note_accepted(request.began);
        Ok(stored)
    }
}

/// How the body is written, from the head of the request.
#[derive(Debug, Clone, Copy)]
struct Shape {
    encoding: Encoding,
    /// NDJSON instead of an array. The content type matters for nothing else: clients send JSON under any.
    lines: bool,
}

impl Shape {
    fn of(headers: &HeaderMap) -> Result<Shape, Refusal> {
        let mut encodings = headers.get_all(header::CONTENT_ENCODING).iter();
        let encoding = match (encodings.next(), encodings.next()) {
            (None, _) => Some(Encoding::Identity),
            (Some(one), None) => one.to_str().ok().and_then(|value| Encoding::parse(Some(value))),
            _ => None,
        };
        let content_type =
            headers.get(header::CONTENT_TYPE).and_then(|v| v.to_str().ok()).unwrap_or_default();
        Ok(Shape { encoding: encoding.ok_or(Refusal::Encoding)?, lines: is_lines(content_type) })
    }
}

fn is_lines(content_type: &str) -> bool {
    let essence = content_type.split(';').next().unwrap_or_default().trim();
    ["application/x-ndjson", "application/ndjson"].iter().any(|t| essence.eq_ignore_ascii_case(t))
}

/// The body of a 200.
pub(crate) fn acknowledgement(committed: usize) -> String {
    format!("{{\"success\":true,\"result\":{{\"committed\":{committed}}}}}")
}

/// Every refusal there is: status, code, message or an example of it.
pub(crate) fn refusals() -> Vec<(StatusCode, u32, String)> {
    let example = "what is wrong, and where".to_owned();
    let all = [
        Refusal::NoSuchStream,
        Refusal::Method,
        Refusal::Origin,
        Refusal::NotAuthenticated,
        Refusal::Forbidden,
        Refusal::TooManyGuesses,
        Refusal::Draining,
        Refusal::Encoding,
        Refusal::TooLarge(example.clone()),
        Refusal::Malformed(example.clone()),
        Refusal::NotRecords(example),
        Refusal::TooSlow,
        Refusal::Disconnected,
        Refusal::Backlogged,
        Refusal::Full,
        Refusal::Stopping,
        Refusal::Key("Idempotency-Key has 0 characters; 1 to 255 are right".to_owned()),
        Refusal::KeyTaken,
        Refusal::Unknown,
    ];
    all.iter().map(Refusal::parts).map(|(status, code, message)| (status, code, message.to_owned())).collect()
}

impl Refusal {
    /// Codes: 1003 is Cloudflare's for malformed JSON, 100, 1016 and 10000 are its API's; the others are ours.
    fn parts(&self) -> (StatusCode, u32, &str) {
        match self {
            Refusal::NoSuchStream => {
                (StatusCode::NOT_FOUND, 1016, "stream does not exist or does not accept HTTP")
            }
            Refusal::NoSuchBinding => {
                (StatusCode::NOT_FOUND, 1016, "stream does not exist or its Worker binding is disabled")
            }
            Refusal::Method => (StatusCode::METHOD_NOT_ALLOWED, 10405, "records are sent with POST"),
            Refusal::NotAuthenticated => {
                (StatusCode::UNAUTHORIZED, 10000, "a bearer token that may send to this stream is needed")
            }
            Refusal::Origin => {
                (StatusCode::FORBIDDEN, 10403, "web pages of this origin may not send to this stream")
            }
            Refusal::Forbidden => (StatusCode::FORBIDDEN, 100, "the token may not send to this stream"),
            Refusal::TooManyGuesses => (
                StatusCode::TOO_MANY_REQUESTS,
                10429,
                "too many wrong credentials came from this address; wait a minute",
            ),
            Refusal::Draining => (StatusCode::SERVICE_UNAVAILABLE, 10503, "the server is stopping"),
            Refusal::Encoding => (
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                10415,
                "the content encoding is not supported; one of gzip, zstd, br, deflate is",
            ),
            Refusal::TooLarge(text) => (StatusCode::PAYLOAD_TOO_LARGE, 10413, text.as_str()),
            Refusal::Malformed(text) => (StatusCode::BAD_REQUEST, 1003, text.as_str()),
            Refusal::NotRecords(text) => (StatusCode::BAD_REQUEST, 1004, text.as_str()),
            Refusal::TooSlow => (StatusCode::REQUEST_TIMEOUT, 10408, "the body arrived too slowly"),
            Refusal::Disconnected => (StatusCode::BAD_REQUEST, 10400, "the body ended early"),
            Refusal::Backlogged => (StatusCode::TOO_MANY_REQUESTS, 10430, "too much is under way; try again"),
            Refusal::Full => (
                StatusCode::SERVICE_UNAVAILABLE,
                10507,
                "the log has reached its disk quota; try again when pipelines have caught up",
            ),
            Refusal::Stopping => {
                (StatusCode::SERVICE_UNAVAILABLE, 10503, "the log is closed; the server is stopping")
            }
            Refusal::Key(text) => (StatusCode::BAD_REQUEST, 10401, text.as_str()),
            Refusal::KeyTaken => (
                StatusCode::UNPROCESSABLE_ENTITY,
                10422,
                "other records were stored under this Idempotency-Key; a new request needs a new key",
            ),
            Refusal::Unknown => (
                StatusCode::SERVICE_UNAVAILABLE,
                10504,
                "the disk is slow, and whether the records are stored is not known; with an Idempotency-Key the same \
                 request can be sent again and is stored once",
            ),
        }
    }

    fn answer(&self) -> Response<Body> {
        let (status, code, message) = self.parts();
        let mut response = answer::error(status, code, message);
        let headers = response.headers_mut();
        let retry_seconds = match self {
            Refusal::Backlogged | Refusal::TooManyGuesses => Some("1"),
            Refusal::Full | Refusal::Draining | Refusal::Stopping | Refusal::Unknown => Some("10"),
            _ => None,
        };
        if let Some(seconds) = retry_seconds {
            headers.insert(header::RETRY_AFTER, HeaderValue::from_static(seconds));
        }
        if matches!(self, Refusal::Method) {
            headers.insert(header::ALLOW, HeaderValue::from_static("POST"));
        }
        if matches!(self, Refusal::NotAuthenticated) {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        if matches!(self, Refusal::TooSlow | Refusal::Disconnected | Refusal::TooLarge(_)) {
            // The rest of the body is not read, so nothing else can follow on this connection.
            headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
        response
    }
}

impl From<Denied> for Refusal {
    fn from(denied: Denied) -> Self {
        match denied {
            Denied::Unknown => Refusal::NotAuthenticated,
            Denied::Forbidden => Refusal::Forbidden,
            Denied::TooManyGuesses => Refusal::TooManyGuesses,
        }
    }
}

impl From<ReadError> for Refusal {
    fn from(e: ReadError) -> Self {
        match e {
            ReadError::TooLarge { limit } => Refusal::TooLarge(format!(
                "the body has more than {limit} bytes, which is the limit of a request"
            )),
            ReadError::TooSlow => Refusal::TooSlow,
            ReadError::Disconnected => Refusal::Disconnected,
            ReadError::NoRoom => Refusal::Backlogged,
        }
    }
}

impl From<InflateError> for Refusal {
    fn from(e: InflateError) -> Self {
        match e {
            InflateError::TooLarge { .. } => Refusal::TooLarge(e.to_string()),
            InflateError::Malformed(_) => Refusal::Malformed(e.to_string()),
        }
    }
}

impl Refusal {
    fn of_body(e: &BodyError, body: &[u8]) -> Self {
        use lakehead_decode::BodyErrorKind as Kind;
        match e.kind {
            // What does not begin as an array may not be JSON at all; only then it is malformed.
            Kind::NotAnArray if serde_json::from_slice::<serde::de::IgnoredAny>(body).is_err() => {
                Refusal::Malformed(e.to_string())
            }
            Kind::RecordTooLarge { .. } => Refusal::TooLarge(e.to_string()),
            Kind::NotAnArray | Kind::NotAnObject { .. } => Refusal::NotRecords(e.to_string()),
            _ => Refusal::Malformed(e.to_string()),
        }
    }
}

impl From<AppendError> for Refusal {
    fn from(e: AppendError) -> Self {
        match e {
            AppendError::Full => Refusal::Full,
            AppendError::Backlogged => Refusal::Backlogged,
            AppendError::KeyTaken => Refusal::KeyTaken,
            AppendError::TooLarge => Refusal::TooLarge("the body does not fit a segment of the log".into()),
            _ => Refusal::Stopping,
        }
    }
}
