//! Which part of the server a request is for.

use axum::Router;
use bytes::Bytes;
use http::{Request, Response, StatusCode, Version, header};
use http_body_util::Either;
use hyper::body::Incoming;
use lakehead_log::LocalLog;
use tokio::sync::watch;
use tower_service::Service;

use crate::access::Peer;
use crate::api;
use crate::binding;
use crate::catalog::CatalogFront;
use crate::http::answer::{self, Body};
use crate::ingest::Ingest;
use crate::metrics::Metrics;

pub struct Front {
    pub(crate) ingest: Ingest,
    api: Router,
    catalog: CatalogFront,
    log: LocalLog,
    metrics: Metrics,
    draining: watch::Receiver<bool>,
    openapi: Bytes,
}

impl Front {
    pub fn new(
        ingest: Ingest,
        api: Router,
        catalog: CatalogFront,
        log: LocalLog,
        metrics: Metrics,
        draining: watch::Receiver<bool>,
    ) -> Self {
        let openapi = api::openapi::document().to_string().into();
        Front { ingest, api, catalog, log, metrics, draining, openapi }
    }

    pub async fn handle(
        &self,
        mut request: Request<Incoming>,
        peer: Peer,
    ) -> Response<Either<Body, axum::body::Body>> {
        if let Err(message) = check_head(&request) {
            return answer::error(StatusCode::BAD_REQUEST, 10400, message).map(Either::Left);
        }
        let host = request.headers().get(header::HOST).and_then(|h| h.to_str().ok()).or(request.uri().host());
        if let Some(target) = self.ingest.target(request.uri().path(), host) {
            let target = target.to_owned();
            return self.ingest.handle(&target, request, peer).await.map(Either::Left);
        }
        match request.uri().path() {
            path if binding::is_for(path) => binding::begin(request).map(Either::Left),
            "/healthz" | "/health" => answer::text(StatusCode::OK, "ok\n").map(Either::Left),
            "/openapi.json" => answer::json(StatusCode::OK, self.openapi.clone()).map(Either::Left),
            "/readyz" => self.ready().map(Either::Left),
            "/metrics" => answer::text(StatusCode::OK, self.metrics()).map(Either::Left),
            path if CatalogFront::is_for(path) => {
                self.catalog.handle(request.map(axum::body::Body::new), peer).await.map(Either::Left)
            }
            _ => {
                request.extensions_mut().insert(peer);
                match self.api.clone().call(request).await {
                    Ok(response) => response.map(Either::Right),
                    Err(never) => match never {},
                }
            }
        }
    }

    fn ready(&self) -> Response<Body> {
        if *self.draining.borrow() {
            return answer::text(StatusCode::SERVICE_UNAVAILABLE, "stopping\n");
        }
        if self.log.stats().full {
            return answer::text(StatusCode::SERVICE_UNAVAILABLE, "the log is full\n");
        }
        answer::text(StatusCode::OK, "ready\n")
    }

    fn metrics(&self) -> String {
        let stats = self.log.stats();
        let gauge = |n: u64| i64::try_from(n).unwrap_or(i64::MAX);
        self.metrics.log_size_bytes.set(gauge(stats.size_bytes));
        self.metrics.log_quota_bytes.set(gauge(stats.quota_bytes));
        self.metrics.log_free_bytes.set(gauge(stats.free_bytes));
        self.metrics.log_segments.set(gauge(stats.segments));
        self.metrics.log_corrupt_records.set(gauge(stats.corrupt_records));
        self.metrics.render()
    }
}

/// What another reader of the same bytes might understand in another way (RFC 9112 §3.2, §6.1): hyper lets it pass.
fn check_head<B>(request: &Request<B>) -> Result<(), &'static str> {
    let headers = request.headers();
    if request.version() == Version::HTTP_11 && headers.get_all(header::HOST).iter().count() != 1 {
        return Err("Host: one header with the name of the host is needed");
    }
    let mut codings = headers.get_all(header::TRANSFER_ENCODING).iter();
    match (codings.next(), codings.next()) {
        (None, _) => Ok(()),
        (Some(one), None) if one.as_bytes().eq_ignore_ascii_case(b"chunked") => Ok(()),
        _ => Err("Transfer-Encoding: only `chunked`, once, is understood"),
    }
}
