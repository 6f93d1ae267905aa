//! One request, tried as often as is safe, until a deadline.
//!
//! **Bounds:** an answer is in memory whole, [`ANSWER_BYTES_MAX`] at most; every wait ends at the deadline of the call.

use std::error::Error as _;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use lakehead_model::{Clock, Random};
use reqwest::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderValue, RETRY_AFTER};
use reqwest::{Client, Method, Response, StatusCode, Url, redirect};
use tokio::time::{Instant, timeout};

use super::tokens::Bearer;
use super::verdict::{self, Purpose, Verdict};
use crate::{CatalogError, CatalogErrorKind};

/// Longest answer that is read: metadata of some hundred thousand snapshots.
const ANSWER_BYTES_MAX: usize = 256 << 20;
/// Longest answer of which the text is repeated, and the longest token.
const REASON_BYTES_MAX: usize = 1 << 20;
/// Below that, a connection that was left open may be used again; many servers close them after a minute, and a commit that is
/// sent into a closing connection has an unknown outcome.
const IDLE_SECONDS_MAX: u64 = 15;
const CONNECT_SECONDS_MAX: u64 = 10;
/// A server that asks for more patience than this is asked again sooner.
const RETRY_AFTER_SECONDS_MAX: u64 = 30;
const JITTER_FIRST: Duration = Duration::from_millis(100);
const JITTER_MAX: Duration = Duration::from_secs(5);

/// What every request goes through. Holds no secret.
#[derive(Debug)]
pub(super) struct Connection {
    client: Client,
    clock: Arc<dyn Clock>,
    random: Arc<dyn Random>,
    answer_bytes_max: usize,
}

/// A request.
pub(super) struct Ask<'a> {
    pub(super) method: Method,
    pub(super) url: Url,
    pub(super) headers: HeaderMap,
    /// Its media type and text.
    pub(super) body: Option<(&'static str, String)>,
    pub(super) purpose: Purpose,
    /// "load table `a.b`".
    pub(super) what: &'a str,
}

/// Why a request brought nothing.
pub(super) struct Failure {
    pub(super) error: CatalogError,
    /// The token was not taken: another one may help.
    pub(super) is_token_spent: bool,
}

/// An answer of whatever status.
struct Answer {
    status: StatusCode,
    retry_after: Option<Duration>,
    body: Vec<u8>,
}

/// Why there is no answer.
enum Fault {
    /// The request never left.
    NotSent(String),
    /// It may have arrived.
    Lost(String),
    TooLong,
}

impl Connection {
    pub(super) fn new(
        request_seconds: u64,
        is_local: bool,
        clock: Arc<dyn Clock>,
        random: Arc<dyn Random>,
    ) -> Result<Self, CatalogError> {
        let connect = Duration::from_secs(CONNECT_SECONDS_MAX.min(request_seconds))
            .min(Duration::from_millis(request_seconds.saturating_mul(500)));
        let mut client = Client::builder()
            .user_agent(concat!("lakehead/", env!("CARGO_PKG_VERSION")))
            // Credentials go where the operator said and nowhere else.
            .redirect(redirect::Policy::none())
            .pool_idle_timeout(Duration::from_secs(IDLE_SECONDS_MAX))
            .connect_timeout(connect);
        if is_local {
            // No proxy reaches this machine's own addresses.
            client = client.no_proxy();
        }
        let client = client.build().map_err(|e| {
            CatalogError::new(
                CatalogErrorKind::Refused,
                format!("cannot make an HTTP client: {}", deepest(&e)),
            )
        })?;
        Ok(Connection { client, clock, random, answer_bytes_max: ANSWER_BYTES_MAX })
    }

    #[cfg(test)]
    pub(super) fn limit_answers(&mut self, bytes: usize) {
        self.answer_bytes_max = bytes;
    }

    pub(super) fn clock(&self) -> &dyn Clock {
        &*self.clock
    }

    pub(super) fn random(&self) -> &dyn Random {
        &*self.random
    }

    /// The body of a success.
    pub(super) async fn send(
        &self,
        ask: &Ask<'_>,
        bearer: Option<&Bearer>,
        deadline: Instant,
    ) -> Result<Vec<u8>, Failure> {
        let mut jitter = JITTER_FIRST;
        loop {
            let (verdict, text, status, retry_after) = match self.once(ask, bearer, deadline).await {
                Ok(answer) if answer.status.is_success() => return Ok(answer.body),
                Ok(answer) => {
                    let said = verdict::said(&answer.body);
                    let has_retry_after = answer.retry_after.is_some();
                    let verdict =
                        verdict::of_status(ask.purpose, answer.status, has_retry_after, said.is_some());
                    (verdict, reason(answer.status, said), Some(answer.status), answer.retry_after)
                }
                Err(Fault::NotSent(text)) => {
                    (Verdict { kind: CatalogErrorKind::Unavailable, again: true }, text, None, None)
                }
                Err(Fault::Lost(text)) => (verdict::of_lost(ask.purpose), text, None, None),
                Err(Fault::TooLong) => {
                    let text = format!("the answer is longer than {} bytes", self.answer_bytes_max);
                    (Verdict { kind: verdict::of_unreadable(ask.purpose), again: false }, text, None, None)
                }
            };
            let micros = u64::try_from(jitter.as_micros()).unwrap_or(u64::MAX).max(1);
            let asked_for = retry_after.unwrap_or_default();
            let wait = Duration::from_micros(self.random.u64() % micros)
                .saturating_add(asked_for.min(Duration::from_secs(RETRY_AFTER_SECONDS_MAX)));
            if verdict.again && Instant::now() + wait < deadline {
                tracing::debug!(what = ask.what, text, ?wait, "asking a catalog again");
                tokio::time::sleep(wait).await;
                jitter = (jitter * 2).min(JITTER_MAX);
                continue;
            }
            let host = shown(&ask.url);
            let mut text = format!("cannot {} at {host}: {text}", ask.what);
            if !asked_for.is_zero() {
                text.push_str(&format!("; it asks to wait {} seconds", asked_for.as_secs()));
            }
            let is_token_spent = status.is_some_and(|s| matches!(s.as_u16(), 401 | 419));
            return Err(Failure { error: CatalogError::new(verdict.kind, text), is_token_spent });
        }
    }

    /// One try.
    async fn once(&self, ask: &Ask<'_>, bearer: Option<&Bearer>, deadline: Instant) -> Result<Answer, Fault> {
        let left = deadline.saturating_duration_since(Instant::now());
        // What may be asked again does not wait for one answer all the time there is.
        let patience = match ask.purpose {
            Purpose::Read => left / 2,
            Purpose::Create | Purpose::Commit => left,
        };
        if left.is_zero() {
            return Err(Fault::NotSent("there is no time left".to_owned()));
        }
        let mut request = self
            .client
            .request(ask.method.clone(), ask.url.clone())
            .headers(ask.headers.clone())
            .header(ACCEPT, HeaderValue::from_static("application/json"));
        if let Some(bearer) = bearer {
            request = request.header(AUTHORIZATION, bearer.header());
        }
        if let Some((media_type, body)) = &ask.body {
            request = request.header(CONTENT_TYPE, *media_type).body(body.clone());
        }
        let sent = async {
            let response = request.send().await.map_err(|e| match e.is_connect() || e.is_builder() {
                true => Fault::NotSent(format!("no connection ({})", deepest(&e))),
                false => Fault::Lost(format!("no answer ({})", deepest(&e))),
            })?;
            self.read(response).await
        };
        match timeout(patience, sent).await {
            Ok(answer) => answer,
            Err(_) => Err(Fault::Lost(format!("no answer within {:.1} seconds", patience.as_secs_f32()))),
        }
    }

    async fn read(&self, mut response: Response) -> Result<Answer, Fault> {
        let status = response.status();
        let retry_after = response.headers().get(RETRY_AFTER).and_then(|value| self.patience(value));
        let bytes_max = if status.is_success() { self.answer_bytes_max } else { REASON_BYTES_MAX };
        let mut body = Vec::new();
        loop {
            match response.chunk().await {
                Ok(Some(chunk)) if body.len() + chunk.len() <= bytes_max => body.extend_from_slice(&chunk),
                Ok(Some(_)) if status.is_success() => return Err(Fault::TooLong),
                Ok(Some(_)) => body.clear(),
                Ok(None) => return Ok(Answer { status, retry_after, body }),
                // Of a 404 the body says what is missing; any other refusal is told by its status.
                Err(e) if status.is_success() || status == StatusCode::NOT_FOUND => {
                    return Err(Fault::Lost(format!("the answer was cut short ({})", deepest(&e))));
                }
                Err(_) => return Ok(Answer { status, retry_after, body: Vec::new() }),
            }
        }
    }

    /// `Retry-After`: seconds or a date.
    fn patience(&self, value: &HeaderValue) -> Option<Duration> {
        let text = value.to_str().ok()?.trim();
        if let Ok(seconds) = text.parse() {
            return Some(Duration::from_secs(seconds));
        }
        let moment = chrono::DateTime::parse_from_rfc2822(text).ok()?;
        let micros = moment.timestamp_micros().saturating_sub(self.clock.now().as_micros());
        Some(Duration::from_micros(u64::try_from(micros).unwrap_or(0)))
    }
}

fn reason(status: StatusCode, said: Option<verdict::Said>) -> String {
    let status = status.as_u16();
    match said {
        None => format!("it answered {status}, and not as a catalog does; is the address right?"),
        Some(said) => match (said.error_type.as_str(), said.message.as_str()) {
            ("", "") => format!("it answered {status} and gave no reason"),
            (one, "") | ("", one) => format!("it answered {status}: {one}"),
            (error_type, message) => format!("it answered {status}: {error_type}: {message}"),
        },
    }
}

/// An address for people: scheme, host and port.
pub(super) fn shown(url: &Url) -> String {
    url.origin().ascii_serialization()
}

/// Whether this machine answers there.
pub(super) fn is_loopback(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']);
    host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

/// The first cause: the libraries' own words say less. An address is not in it.
fn deepest(error: &reqwest::Error) -> String {
    let mut cause: &dyn std::error::Error = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    if error.source().is_none() { "no reason given".to_owned() } else { cause.to_string() }
}
