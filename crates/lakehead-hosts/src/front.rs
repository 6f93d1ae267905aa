//! Which played host a request is for.

use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;

use http::{HeaderMap, Request, Response, StatusCode, Uri, header};
use hyper::body::Incoming;
use lakehead_model::{Clock, Random};

use crate::account::Account;
use crate::answer::{self, Body};
use crate::names::{Part, part};
use crate::oauth::OAuth;
use crate::s3;

/// What answers requests for all other hosts: the server's own front. The address is the client's.
pub type Through = Arc<
    dyn Fn(Request<Incoming>, SocketAddr) -> Pin<Box<dyn Future<Output = Response<Body>> + Send>>
        + Send
        + Sync,
>;

/// The played hosts.
pub struct Front {
    account: Arc<dyn Account>,
    clock: Arc<dyn Clock>,
    random: Arc<dyn Random>,
    oauth: OAuth,
    through: Through,
}

impl Front {
    /// `random` must be good enough for secrets: nobody may guess a page's number.
    pub fn new(
        account: Arc<dyn Account>,
        clock: Arc<dyn Clock>,
        random: Arc<dyn Random>,
        through: Through,
    ) -> Self {
        let oauth = OAuth::new(Arc::clone(&account), Arc::clone(&clock), Arc::clone(&random));
        Front { account, clock, random, oauth, through }
    }

    /// Answers one request that came over TLS.
    pub async fn handle(&self, request: Request<Incoming>, peer: SocketAddr) -> Response<Body> {
        let Some(host) = only_host(request.headers(), request.uri()) else {
            return answer::text(
                StatusCode::BAD_REQUEST,
                "Host: one header with the name of the host is needed\n",
            );
        };
        match part(host, self.account.account_id()) {
            Part::OAuth => self.oauth.handle(request, peer).await,
            Part::S3 { bucket } => self.s3(request, bucket).await,
            Part::Other => (self.through)(request, peer).await,
        }
    }

    /// What is asked lies in the head: bodies are not read.
    async fn s3(&self, request: Request<Incoming>, bucket: Option<String>) -> Response<Body> {
        let (head, _) = request.into_parts();
        let (account, now) = (Arc::clone(&self.account), self.clock.now());
        let request_id = format!("{:016X}", self.random.u64());
        let answered = tokio::task::spawn_blocking(move || {
            s3::answer(&head, bucket.as_deref(), &*account, now, &request_id)
        });
        answered.await.unwrap_or_else(|error| {
            tracing::error!(%error, "an S3 request was not answered");
            answer::text(StatusCode::INTERNAL_SERVER_ERROR, "internal error\n")
        })
    }
}

/// The one host a request names. Nothing if it names none, or two.
fn only_host<'r>(headers: &'r HeaderMap, uri: &Uri) -> Option<&'r str> {
    let mut hosts = headers.get_all(header::HOST).iter();
    let host = hosts.next()?.to_str().ok()?;
    let agrees = uri.authority().is_none_or(|authority| authority.as_str().eq_ignore_ascii_case(host));
    (hosts.next().is_none() && agrees && !host.is_empty()).then_some(host)
}
