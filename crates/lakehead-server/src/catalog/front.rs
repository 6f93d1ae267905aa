//! From a request below `/catalog` to its answer.

use std::fmt;
use std::sync::Arc;

use axum::body::Body as AnyBody;
use axum::extract::Query;
use bytes::Bytes;
use http::request::Parts;
use http::{Method, Request, Response, StatusCode};
use lakehead_table::embedded::Attempt;
use sha2::{Digest, Sha256};

use super::calls::Asked;
use super::route::{BASE, Call, Route, route};
use super::{EmbeddedCatalogs, answer, auth, body, commits, oauth};
use crate::access::{Access, Peer};
use crate::http::answer::Body;

/// Speaks the protocol.
pub struct CatalogFront {
    catalogs: Arc<EmbeddedCatalogs>,
    access: Arc<Access>,
}

impl fmt::Debug for CatalogFront {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CatalogFront").finish_non_exhaustive()
    }
}

impl CatalogFront {
    pub fn new(catalogs: Arc<EmbeddedCatalogs>, access: Arc<Access>) -> Self {
        CatalogFront { catalogs, access }
    }

    /// Whether a request with this path is for a catalog.
    pub fn is_for(path: &str) -> bool {
        path.strip_prefix(BASE).is_some_and(|rest| rest.starts_with('/'))
    }

    /// Answers a request.
    pub async fn handle(&self, request: Request<AnyBody>, peer: Peer) -> Response<Body> {
        let (parts, body) = request.into_parts();
        let route = match route(&parts.method, parts.uri.path()) {
            Ok(route) => route,
            Err(no) => return answer::no_route(no),
        };
        if let Some((account, _)) = &route.base
            && account != self.access.identity().account_id()
        {
            let text = "the account in the path is not this server's";
            return answer::error(StatusCode::NOT_FOUND, "NoSuchWarehouseException", text);
        }
        self.routed(route, parts, body, peer).await.unwrap_or_else(|refused| refused)
    }

    async fn routed(
        &self,
        route: Route,
        parts: Parts,
        body: AnyBody,
        peer: Peer,
    ) -> Result<Response<Body>, Response<Body>> {
        if route.call == Call::OauthToken {
            let body = body::read(body).await?;
            return Ok(oauth::token(&self.access, &parts.headers, &body, peer));
        }
        let query: Vec<(String, String)> = match Query::try_from_uri(&parts.uri) {
            Ok(Query(pairs)) => pairs,
            Err(_) => {
                return Err(answer::error(
                    StatusCode::BAD_REQUEST,
                    "BadRequestException",
                    "query: cannot be read",
                ));
            }
        };
        let bucket = match route.call {
            Call::Config => self.warehouse(&route, &query),
            _ => route.prefix,
        };
        let guest = auth::admit(&self.access, &parts.headers, peer, &route.call, &bucket)?;
        if route.call == Call::Config && bucket.is_empty() {
            let text = "warehouse: is missing; {account}_{bucket} or {bucket} is needed";
            return Err(answer::error(StatusCode::BAD_REQUEST, "BadRequestException", text));
        }
        let catalog = self.catalogs.of_bucket(&bucket).map_err(|no| answer::no_catalog(&no))?;
        if route.call == Call::Config {
            return Ok(answer::json(&commits::config(&bucket)));
        }
        let body = body::read(body).await?;
        let attempt = if route.call.is_read() { None } else { attempt(&parts, &body)? };
        let catalogs = Arc::clone(&self.catalogs);
        let asked = Asked { catalogs, catalog, bucket, guest, query, headers: parts.headers, body, attempt };
        if route.call.is_read() {
            return Ok(asked.answer(route.call).await);
        }
        // On its own, so that it ends even if the client goes away.
        match tokio::spawn(async move { asked.answer(route.call).await }).await {
            Ok(response) => Ok(response),
            Err(error) => {
                tracing::error!(%error, "a change of a catalog stopped");
                let text = "whether the change was made is not known; the server's log says why";
                Err(answer::error(StatusCode::INTERNAL_SERVER_ERROR, "CommitStateUnknownException", text))
            }
        }
    }

    /// The bucket that a client means: `{account}_{bucket}`, `{bucket}`, or the one in the path.
    fn warehouse(&self, route: &Route, query: &[(String, String)]) -> String {
        let named = query.iter().rev().find(|(name, _)| name == "warehouse").map(|(_, value)| value.as_str());
        let in_path = route.base.as_ref().map(|(_, bucket)| bucket.as_str());
        let named = named.filter(|name| !name.is_empty()).or(in_path).unwrap_or_default();
        let account = self.access.identity().account_id();
        let bucket = named.strip_prefix(account).and_then(|rest| rest.strip_prefix('_'));
        bucket.unwrap_or(named).to_owned()
    }
}

/// The `Idempotency-Key` of a change, if it has one, with what tells the request from others.
fn attempt(parts: &Parts, body: &Bytes) -> Result<Option<Attempt>, Response<Body>> {
    let mut keys = parts.headers.get_all("idempotency-key").iter();
    let (key, more) = (keys.next(), keys.next());
    let Some(key) = key else { return Ok(None) };
    let key = key.to_str().ok().filter(|text| text.len() == 36 && more.is_none());
    let Some(key) = key.and_then(|text| text.parse().ok()) else {
        let text = "Idempotency-Key: is no UUID, 36 characters long, that stands there once";
        return Err(answer::error(StatusCode::BAD_REQUEST, "BadRequestException", text));
    };
    let mut hash = Sha256::new();
    let target = parts.uri.path_and_query().map_or("/", |target| target.as_str());
    let method: &Method = &parts.method;
    for part in [method.as_str().as_bytes(), target.as_bytes(), body] {
        hash.update(part.len().to_le_bytes());
        hash.update(part);
    }
    let request = hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
    Ok(Some(Attempt { key, request }))
}
