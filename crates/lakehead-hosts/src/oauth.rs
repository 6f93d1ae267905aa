//! The page to which wrangler sends the browser for a key of a bucket.
//!
//! ```text
//!   wrangler ─ opens ─► GET /oauth/login?accountId&bucketName&pipelineName ─► a page that asks, with a number of its own
//!   browser ── Allow ─► POST /oauth/login (the number) ─► mint_key ─► 303 http://localhost:8976/?access-key-id&secret-access-key
//!   wrangler ◄───────── which listens there
//! ```
//!
//! Whoever runs programs on this machine can press the button, and is trusted; so is what forwards connections from here.
//!
//! **Invariants:** only for clients on this machine; a number works once, for five minutes, for what its page said; the form
//! must come from the page's own origin (`Origin`, `Sec-Fetch-Site`); no site may frame the page. The secret stands in the
//! `Location` header and nowhere else.

mod page;
mod pending;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use http::header::{self, HeaderName, HeaderValue};
use http::{HeaderMap, Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Limited};
use lakehead_model::limits::NAME_CHARS_MAX;
use lakehead_model::{Clock, Random};
use parking_lot::Mutex;
use tokio::time::timeout;

use crate::account::{Account, KeyPair};
use crate::answer::{self, Body, BoxError};
use crate::names::OAUTH_HOST;
use crate::percent;
use page::Refusal;
use pending::Pending;
pub use pending::{PAGE_SECONDS_MAX, PAGES_MAX};

const PATH: &str = "/oauth/login";
/// Where wrangler waits for the browser, on every machine.
const WRANGLER: &str = "http://localhost:8976/";
const FORM_BYTES_MAX: usize = 4096;
const FORM_SECONDS_MAX: u64 = 10;
const BUCKET_CHARS: std::ops::RangeInclusive<usize> = 3..=63;

/// What a page asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Asked {
    bucket: String,
    pipeline: String,
}

pub(crate) struct OAuth {
    account: Arc<dyn Account>,
    clock: Arc<dyn Clock>,
    random: Arc<dyn Random>,
    pending: Mutex<Pending>,
}

impl OAuth {
    pub(crate) fn new(account: Arc<dyn Account>, clock: Arc<dyn Clock>, random: Arc<dyn Random>) -> Self {
        OAuth { account, clock, random, pending: Mutex::default() }
    }

    pub(crate) async fn handle<B>(&self, request: Request<B>, peer: SocketAddr) -> Response<Body>
    where
        B: hyper::body::Body,
        B::Error: Into<BoxError>,
    {
        let outcome = match (request.uri().path(), request.method()) {
            _ if !peer.ip().to_canonical().is_loopback() => Err(Refusal::NotHere),
            (PATH, &Method::GET) => self.ask(request.uri().query().unwrap_or_default()).await,
            (PATH, &Method::POST) => self.allow(request).await,
            (PATH, _) => Err(Refusal::Method),
            _ => Err(Refusal::NoSuchPage),
        };
        outcome.unwrap_or_else(|refusal| page::refusal(&refusal, &self.number()))
    }

    /// The page that asks.
    async fn ask(&self, query: &str) -> Result<Response<Body>, Refusal> {
        let asked = self.asked(query)?;
        let bucket = asked.bucket.clone();
        if !self.blocking(move |account| account.bucket_exists(&bucket)).await? {
            return Err(Refusal::NoSuchBucket(asked.bucket));
        }
        let number = self.number();
        self.pending.lock().add(number.clone(), asked.clone(), self.clock.monotonic());
        Ok(page::question(&asked, self.account.account_id(), &number, &self.number()))
    }

    /// Reads what wrangler wrote into the address.
    fn asked(&self, query: &str) -> Result<Asked, Refusal> {
        let parameters = percent::parameters(query, true).ok_or(Refusal::Query("the address"))?;
        let one = |name: &'static str| {
            let mut values = parameters.iter().filter(|(n, _)| n == name).map(|(_, value)| value);
            match (values.next(), values.next()) {
                (Some(value), None) => Ok(value.clone()),
                _ => Err(Refusal::Query(name)),
            }
        };
        if one("accountId")? != self.account.account_id() {
            return Err(Refusal::WrongAccount);
        }
        let (bucket, pipeline) = (one("bucketName")?, one("pipelineName")?);
        if !is_bucket_name(&bucket) {
            return Err(Refusal::Query("bucketName"));
        }
        if pipeline.is_empty()
            || pipeline.chars().count() > NAME_CHARS_MAX
            || pipeline.contains(char::is_control)
        {
            return Err(Refusal::Query("pipelineName"));
        }
        Ok(Asked { bucket, pipeline })
    }

    /// The click on the page.
    async fn allow<B>(&self, request: Request<B>) -> Result<Response<Body>, Refusal>
    where
        B: hyper::body::Body,
        B::Error: Into<BoxError>,
    {
        if !is_own_form(request.headers()) {
            return Err(Refusal::OtherOrigin);
        }
        let read = Limited::new(request.into_body(), FORM_BYTES_MAX).collect();
        let form = timeout(Duration::from_secs(FORM_SECONDS_MAX), read).await;
        let form = form.ok().and_then(Result::ok).ok_or(Refusal::Form)?.to_bytes();
        let form = std::str::from_utf8(&form).ok().and_then(|text| percent::parameters(text, true));
        let [(name, number)] = &*form.ok_or(Refusal::Form)? else { return Err(Refusal::Form) };
        if name != page::NUMBER {
            return Err(Refusal::Form);
        }
        let asked = self.pending.lock().take(number, self.clock.monotonic()).ok_or(Refusal::Spent)?;
        let (bucket, pipeline) = (asked.bucket.clone(), asked.pipeline.clone());
        let pair = self.blocking(move |account| account.mint_key(&bucket, &pipeline)).await?;
        tracing::info!(bucket = %asked.bucket, pipeline = %asked.pipeline, access_key_id = %pair.access_key_id, "a key was allowed");
        to_wrangler(&pair)
    }

    async fn blocking<T: Send + 'static>(
        &self,
        call: impl FnOnce(&dyn Account) -> Result<T, String> + Send + 'static,
    ) -> Result<T, Refusal> {
        let account = Arc::clone(&self.account);
        let outcome = tokio::task::spawn_blocking(move || call(&*account)).await;
        outcome.map_err(|error| error.to_string()).flatten().map_err(|error| {
            tracing::error!(%error, "a key for wrangler was not made");
            Refusal::Internal
        })
    }

    fn number(&self) -> String {
        format!("{:032x}", self.random.u128())
    }
}

/// R2's rule for names of buckets.
fn is_bucket_name(name: &str) -> bool {
    BUCKET_CHARS.contains(&name.len())
        && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
        && !name.starts_with('-')
        && !name.ends_with('-')
}

/// Whether a browser says that the form was on a page of the origin it is sent to.
fn is_own_form(headers: &HeaderMap) -> bool {
    const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or(OAUTH_HOST);
    let own = format!("https://{}", host.strip_suffix(":443").unwrap_or(host)).to_ascii_lowercase();
    let origins: Vec<_> = headers.get_all(header::ORIGIN).iter().collect();
    let sites = headers.get_all(SEC_FETCH_SITE);
    // Browsers older than 2023 do not send the site; every browser sends the origin of a form.
    matches!(*origins, [origin] if origin.as_bytes() == own.as_bytes())
        && sites.iter().all(|site| site == HeaderValue::from_static("same-origin"))
}

/// Sends the browser on to wrangler, with the key.
fn to_wrangler(pair: &KeyPair) -> Result<Response<Body>, Refusal> {
    let location = format!(
        "{WRANGLER}?access-key-id={}&secret-access-key={}",
        percent::encode(pair.access_key_id.as_bytes(), false),
        percent::encode(pair.secret_access_key.reveal().as_bytes(), false),
    );
    let mut location = HeaderValue::try_from(location).map_err(|_| Refusal::Internal)?;
    location.set_sensitive(true);
    let mut response = answer::empty(StatusCode::SEE_OTHER);
    let headers = response.headers_mut();
    headers.insert(header::LOCATION, location);
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    Ok(response)
}

#[cfg(test)]
mod tests;
