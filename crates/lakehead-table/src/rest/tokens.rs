//! The token a catalog is asked with: given once, or fetched, kept, and fetched again before it expires.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use lakehead_model::Secret;
use reqwest::header::{HeaderMap, HeaderValue};
use reqwest::{Method, Url};
use tokio::sync::Mutex;
use tokio::time::{Instant, timeout_at};

use super::connection::{Ask, Connection};
use super::settings::{self, ClientCredentials, RestAuth};
use super::verdict::Purpose;
use super::wire::TokenAnswer;
use crate::{CatalogError, CatalogErrorKind};

/// How long before its end a token is not used any more, at most; a quarter of a short one's life.
const MARGIN: Duration = Duration::from_secs(60);

/// A token in use.
pub(super) struct Bearer {
    header: HeaderValue,
    /// By the monotonic clock; `None`: nobody said that it ends.
    renewed_at: Option<Duration>,
    text: Secret,
}

impl fmt::Debug for Bearer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Bearer").field("renewed_at", &self.renewed_at).finish_non_exhaustive()
    }
}

impl Bearer {
    fn new(text: &str, renewed_at: Option<Duration>) -> Result<Arc<Bearer>, CatalogError> {
        let header = settings::sensitive(&format!("Bearer {text}"), "the token")?;
        Ok(Arc::new(Bearer { header, renewed_at, text: Secret::new(text) }))
    }

    pub(super) fn header(&self) -> &HeaderValue {
        &self.header
    }

    pub(super) fn text(&self) -> &Secret {
        &self.text
    }
}

#[derive(Debug)]
pub(super) enum Tokens {
    None,
    Fixed(Arc<Bearer>),
    Fetched(Fetched),
}

#[derive(Debug)]
pub(super) struct Fetched {
    endpoint: Url,
    /// Those of the catalog, if the endpoint is the catalog's own.
    headers: HeaderMap,
    client: ClientCredentials,
    /// Held while one is fetched: who comes meanwhile waits for that one.
    held: Mutex<Option<Arc<Bearer>>>,
}

impl Tokens {
    pub(super) fn new(auth: &RestAuth, base: &Url, headers: &HeaderMap) -> Result<Tokens, CatalogError> {
        Ok(match auth {
            RestAuth::None => Tokens::None,
            RestAuth::Token(token) => Tokens::Fixed(Bearer::new(token.reveal(), None)?),
            RestAuth::ClientCredentials(client) => {
                let endpoint = match &client.server_uri {
                    Some(uri) => settings::address("oauth2_server_uri", uri)?,
                    None => settings::address(
                        "uri",
                        &format!("{base}/v1/oauth/tokens").replacen("//v1", "/v1", 1),
                    )?,
                };
                let is_own = endpoint.origin() == base.origin();
                let headers = if is_own { headers.clone() } else { HeaderMap::new() };
                Tokens::Fetched(Fetched { endpoint, headers, client: client.clone(), held: Mutex::default() })
            }
        })
    }

    /// The token to ask with now.
    ///
    /// # Errors
    /// `Unauthorized`, `Unavailable`, `Refused`: whatever was to be asked was not.
    pub(super) async fn current(
        &self,
        connection: &Connection,
        deadline: Instant,
    ) -> Result<Option<Arc<Bearer>>, CatalogError> {
        match self {
            Tokens::None => Ok(None),
            Tokens::Fixed(bearer) => Ok(Some(Arc::clone(bearer))),
            Tokens::Fetched(fetched) => fetched.current(connection, deadline).await.map(Some),
        }
    }

    /// Forgets a token that was not taken. `false` if there is no other to be had.
    pub(super) async fn forget(&self, spent: &Arc<Bearer>) -> bool {
        let Tokens::Fetched(fetched) = self else { return false };
        let mut held = fetched.held.lock().await;
        if held.as_ref().is_some_and(|held| Arc::ptr_eq(held, spent)) {
            *held = None;
        }
        true
    }

    /// The secrets that no text may repeat.
    pub(super) fn secret(&self) -> Option<&Secret> {
        match self {
            Tokens::Fetched(fetched) => Some(&fetched.client.client_secret),
            Tokens::None | Tokens::Fixed(_) => None,
        }
    }
}

impl Fetched {
    async fn current(&self, connection: &Connection, deadline: Instant) -> Result<Arc<Bearer>, CatalogError> {
        let Ok(mut held) = timeout_at(deadline, self.held.lock()).await else {
            let text = "no token could be fetched in time";
            return Err(CatalogError::new(CatalogErrorKind::Unavailable, text));
        };
        let now = connection.clock().monotonic();
        if let Some(bearer) = held.as_ref().filter(|b| b.renewed_at.is_none_or(|at| now < at)) {
            return Ok(Arc::clone(bearer));
        }
        *held = None;
        let bearer = self.fetch(connection, deadline).await?;
        *held = Some(Arc::clone(&bearer));
        Ok(bearer)
    }

    async fn fetch(&self, connection: &Connection, deadline: Instant) -> Result<Arc<Bearer>, CatalogError> {
        let mut form = Url::parse("form:").map_err(|_| refused("no form can be made"))?;
        {
            let mut pairs = form.query_pairs_mut();
            pairs.append_pair("grant_type", "client_credentials");
            if let Some(id) = &self.client.client_id {
                pairs.append_pair("client_id", id);
            }
            pairs.append_pair("client_secret", self.client.client_secret.reveal());
            if let Some(scope) = self.client.scope() {
                pairs.append_pair("scope", scope);
            }
        }
        let body = form.query().unwrap_or_default().to_owned();
        let ask = Ask {
            method: Method::POST,
            url: self.endpoint.clone(),
            headers: self.headers.clone(),
            body: Some(("application/x-www-form-urlencoded", body)),
            purpose: Purpose::Read,
            what: "get a token",
        };
        let asked_at = connection.clock().monotonic();
        let answer = connection.send(&ask, None, deadline).await.map_err(|failure| {
            let CatalogError { kind, text } = failure.error;
            let kind = match kind {
                CatalogErrorKind::Unavailable => CatalogErrorKind::Unavailable,
                _ => CatalogErrorKind::Unauthorized,
            };
            CatalogError::new(kind, text.replace(self.client.client_secret.reveal(), "***"))
        })?;
        let answer: TokenAnswer = serde_json::from_slice(&answer)
            .map_err(|_| refused("what the token endpoint answered holds no token"))?;
        let life = answer.expires_in_seconds().and_then(|s| Duration::try_from_secs_f64(s).ok());
        let renewed_at = life.map(|life| asked_at.saturating_add(life.saturating_sub(MARGIN.min(life / 4))));
        Bearer::new(&answer.access_token, renewed_at)
    }
}

fn refused(text: &str) -> CatalogError {
    CatalogError::new(CatalogErrorKind::Refused, text)
}
