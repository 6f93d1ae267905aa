//! Calls of the management API: Cloudflare's envelope, `{"success", "errors": [{"code", "message"}], "result"}`.

use std::error::Error as _;
use std::net::IpAddr;
use std::time::Duration;

use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderValue, RETRY_AFTER};
use reqwest::{Client, Method, Response, StatusCode, Url, redirect};
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

use crate::Error;
use crate::endpoint::Endpoint;
use crate::error::Place;

/// Longest answer that is read: some ten times a page of the longest resources.
const ANSWER_BYTES_MAX: usize = 16 << 20;
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Of most calls, from their start to the last byte of the answer.
const CALL_TIMEOUT: Duration = Duration::from_secs(30);
/// What lists are asked for.
const PER_PAGE: usize = 100;
/// More pages than any list of this API has; ends a list that would never end.
const PAGES_MAX: usize = 1000;

/// The API of one account of one server.
#[derive(Debug)]
pub(crate) struct Api {
    client: Client,
    endpoint: Endpoint,
    /// `…/client/v4/accounts/{account}`
    account_url: Url,
}

/// Why a call brought nothing.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The API answered that it does not exist.
    NotFound(Error),
    /// Every other answer that is a refusal, and no answer because nobody listens: nothing was done.
    Refused(Error),
    /// The call may have been carried out.
    Unknown(Error),
}

impl From<Failure> for Error {
    fn from(failure: Failure) -> Error {
        match failure {
            Failure::NotFound(error) | Failure::Refused(error) | Failure::Unknown(error) => error,
        }
    }
}

#[derive(Deserialize)]
struct Envelope<'a> {
    success: bool,
    #[serde(default)]
    errors: Vec<Reason>,
    #[serde(default, borrow)]
    result: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Reason {
    code: i64,
    message: String,
    #[serde(default)]
    source: Option<Source>,
}

/// Where in the request the fault is: Cloudflare's `pointer`, and for SQL a place in its text.
#[derive(Deserialize)]
struct Source {
    line: Option<usize>,
    column: Option<usize>,
    #[serde(default)]
    text: String,
}

impl Source {
    fn place(&self) -> Option<Place> {
        let first_line = self.text.lines().next().unwrap_or_default();
        Some(Place { line: self.line?, column: self.column?, length: first_line.chars().count() })
    }
}

impl Api {
    pub(crate) fn new(endpoint: Endpoint) -> Result<Api, Error> {
        let wrong_url =
            || Error::new(format!("`{}` is not the http(s) address of an API", endpoint.base_url));
        let mut account_url = Url::parse(&endpoint.base_url).map_err(|_| wrong_url())?;
        if !matches!(account_url.scheme(), "http" | "https") {
            return Err(wrong_url());
        }
        account_url
            .path_segments_mut()
            .map_err(|()| wrong_url())?
            .pop_if_empty()
            .extend(["accounts", &endpoint.account]);
        let mut bearer =
            HeaderValue::from_str(&format!("Bearer {}", endpoint.token.reveal())).map_err(|_| {
                Error::new(format!("the token in {} holds what no HTTP header can hold", endpoint.source))
            })?;
        bearer.set_sensitive(true);
        let mut client = Client::builder()
            .default_headers(HeaderMap::from_iter([(AUTHORIZATION, bearer)]))
            .user_agent(concat!("lakehead/", env!("CARGO_PKG_VERSION")))
            .redirect(redirect::Policy::none())
            .connect_timeout(CONNECT_TIMEOUT);
        if is_loopback(&account_url) {
            // No proxy reaches this machine's own addresses.
            client = client.no_proxy();
        }
        let client = client.build().map_err(|e| Error::new(format!("cannot make an HTTP client: {e}")))?;
        Ok(Api { client, endpoint, account_url })
    }

    pub(crate) async fn get(&self, path: &[&str], query: &[(&str, &str)]) -> Result<Value, Failure> {
        self.value(&self.call(Method::GET, path, query, None, CALL_TIMEOUT).await?)
    }

    /// The text of the result of a call that may take long, byte for byte.
    pub(crate) async fn get_text_within(&self, path: &[&str], timeout: Duration) -> Result<String, Failure> {
        self.call(Method::GET, path, &[], None, timeout).await
    }

    pub(crate) async fn post(&self, path: &[&str], body: &Value) -> Result<Value, Failure> {
        self.value(&self.post_text(path, body.to_string()).await?)
    }

    /// The text of the result of a JSON text, byte for byte.
    pub(crate) async fn post_text(&self, path: &[&str], body: String) -> Result<String, Failure> {
        self.call(Method::POST, path, &[], Some(body), CALL_TIMEOUT).await
    }

    pub(crate) async fn delete(&self, path: &[&str]) -> Result<Value, Failure> {
        self.value(&self.call(Method::DELETE, path, &[], None, CALL_TIMEOUT).await?)
    }

    fn value(&self, result: &str) -> Result<Value, Failure> {
        serde_json::from_str(result).map_err(|_| Failure::Unknown(self.not_this_api(StatusCode::OK)))
    }

    /// All items of a list, in the API's order. Asks until a page is empty, as every client does.
    pub(crate) async fn list(&self, path: &[&str], query: &[(&str, &str)]) -> Result<Vec<Value>, Failure> {
        let mut items = Vec::new();
        for page in 1..=PAGES_MAX {
            let (page, per_page) = (page.to_string(), PER_PAGE.to_string());
            let query = [&[("page", page.as_str()), ("per_page", &per_page)], query].concat();
            match self.get(path, &query).await? {
                Value::Array(more) if more.is_empty() => return Ok(items),
                Value::Array(more) => items.extend(more),
                _ => return Err(Failure::Refused(self.not_this_api(StatusCode::OK))),
            }
        }
        let text = format!("the server's list has no end: page {PAGES_MAX} is not empty");
        Err(Failure::Refused(Error::new(text)))
    }

    async fn call(
        &self,
        method: Method,
        path: &[&str],
        query: &[(&str, &str)],
        body: Option<String>,
        timeout: Duration,
    ) -> Result<String, Failure> {
        let mut url = self.account_url.clone();
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.extend(path);
        }
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        let mut request = self.client.request(method, url).timeout(timeout);
        if let Some(body) = body {
            request = request.header(CONTENT_TYPE, "application/json").body(body);
        }
        let response = request.send().await.map_err(|e| self.unanswered(&e, timeout))?;
        let (status, retry_after) = (response.status(), response.headers().get(RETRY_AFTER).cloned());
        let body = self.read(response, timeout).await?;
        let Ok(envelope) = serde_json::from_slice::<Envelope<'_>>(&body) else {
            return Err(refusal(status, self.not_this_api(status)));
        };
        if envelope.success && status.is_success() {
            return Ok(envelope.result.map_or("null", RawValue::get).to_owned());
        }
        let mut text = reasons(status, &envelope.errors);
        if matches!(status, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN) {
            text = format!("the token in {} was refused: {text}", self.endpoint.source);
        }
        if let Some(seconds) = retry_after.as_ref().and_then(|value| value.to_str().ok()) {
            text.push_str(&format!("; try again in {seconds} seconds"));
        }
        let place = envelope.errors.first().and_then(|e| e.source.as_ref()?.place());
        Err(refusal(status, Error::new(text).at(place)))
    }

    async fn read(&self, mut response: Response, timeout: Duration) -> Result<Vec<u8>, Failure> {
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(|e| self.unanswered(&e, timeout))? {
            if body.len() + chunk.len() > ANSWER_BYTES_MAX {
                let text = format!(
                    "the answer of {} is longer than {ANSWER_BYTES_MAX} bytes",
                    self.endpoint.base_url
                );
                return Err(Failure::Unknown(Error::new(text)));
            }
            body.extend_from_slice(&chunk);
        }
        Ok(body)
    }

    fn unanswered(&self, error: &reqwest::Error, timeout: Duration) -> Failure {
        let base_url = &self.endpoint.base_url;
        if error.is_connect() {
            let text = format!(
                "cannot reach the server at {base_url} ({}); is it running? `lakehead serve` starts it",
                deepest(error)
            );
            return Failure::Refused(Error::new(text));
        }
        let text = if error.is_timeout() {
            format!("the server at {base_url} did not answer within {} seconds", timeout.as_secs())
        } else {
            format!("the server at {base_url} did not answer to the end ({})", deepest(error))
        };
        Failure::Unknown(Error::new(text))
    }

    fn not_this_api(&self, status: StatusCode) -> Error {
        Error::new(format!(
            "{} answered {} and not as this API does; is the address right?",
            self.endpoint.base_url,
            status.as_u16()
        ))
    }
}

/// What a status leaves open.
fn refusal(status: StatusCode, error: Error) -> Failure {
    match status {
        StatusCode::NOT_FOUND => Failure::NotFound(error),
        status if status.is_client_error() => Failure::Refused(error),
        _ => Failure::Unknown(error),
    }
}

/// `message [code: N]` of each error, as wrangler prints them.
fn reasons(status: StatusCode, errors: &[Reason]) -> String {
    if errors.is_empty() {
        return format!("the server answered {} and gave no reason", status.as_u16());
    }
    let each: Vec<_> = errors.iter().map(|e| format!("{} [code: {}]", e.message, e.code)).collect();
    each.join("\n")
}

/// The first cause: the libraries' own words say less. An address is not in it.
fn deepest(error: &reqwest::Error) -> String {
    let mut cause: &dyn std::error::Error = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    if error.source().is_none() { "no reason given".to_owned() } else { cause.to_string() }
}

fn is_loopback(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']);
    host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}
