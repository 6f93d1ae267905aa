//! Where a catalog is and who asks it.

use lakehead_model::Secret;
use reqwest::Url;
use reqwest::header::{AUTHORIZATION, HeaderMap, HeaderName, HeaderValue};

use super::tokens::Tokens;
use crate::{CatalogError, CatalogErrorKind};

/// Where a catalog is and who asks it. `Debug` shows no secret.
#[derive(Debug, Clone)]
pub struct RestSettings {
    /// The address below which `/v1/config` is.
    pub uri: String,
    /// Which of the catalog's warehouses; some catalogs have one alone.
    pub warehouse: Option<String>,
    /// Who asks.
    pub auth: RestAuth,
    /// Sent with every request to the catalog, but not to a token endpoint elsewhere. They may hold secrets.
    pub headers: Vec<(String, Secret)>,
    /// How long one call of [`Catalog`](crate::Catalog) may take, with all that is tried again in it.
    pub request_seconds: u64,
}

impl RestSettings {
    /// Whether they can work, as far as can be told without asking anybody.
    ///
    /// # Errors
    /// `Refused`, naming the setting.
    pub fn check(&self) -> Result<(), CatalogError> {
        let base = address("uri", &self.uri)?;
        let headers = headers(&self.headers, &self.auth)?;
        Tokens::new(&self.auth, &base, &headers).map(|_| ())
    }
}

/// What [`RestSettings::request_seconds`] is where nobody said.
pub const REQUEST_SECONDS_DEFAULT: u64 = 60;

/// Who asks a catalog.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RestAuth {
    /// Anybody.
    None,
    /// The holder of a token that does not change.
    Token(Secret),
    /// A client that is given tokens (RFC 6749, section 4.4).
    ClientCredentials(ClientCredentials),
}

/// An OAuth2 client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientCredentials {
    /// Where tokens are given; `None`: the catalog's own `{uri}/v1/oauth/tokens`.
    pub server_uri: Option<String>,
    /// Some catalogs take a secret alone.
    pub client_id: Option<String>,
    /// Goes to the token endpoint and nowhere else.
    pub client_secret: Secret,
    /// `None`: `catalog` for the catalog's own endpoint, as other clients have it, and none elsewhere.
    pub scope: Option<String>,
}

impl ClientCredentials {
    pub(super) fn scope(&self) -> Option<&str> {
        let own = if self.server_uri.is_none() { Some("catalog") } else { None };
        self.scope.as_deref().or(own)
    }
}

/// An address that can be asked: http(s), with a host, without a user, a query or a fragment. No slash at its end.
pub(super) fn address(field: &str, text: &str) -> Result<Url, CatalogError> {
    let refused = |what: &str| CatalogError::new(CatalogErrorKind::Refused, format!("`{field}` {what}"));
    let url = Url::parse(text.trim_end_matches('/')).map_err(|_| refused("is not a URL"))?;
    if !matches!(url.scheme(), "http" | "https") || !url.has_host() {
        return Err(refused("must be http:// or https:// and a host"));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(refused("has a user in it; credentials have settings of their own"));
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err(refused("has a query or a fragment"));
    }
    Ok(url)
}

/// The extra headers, none of which is shown.
pub(super) fn headers(given: &[(String, Secret)], auth: &RestAuth) -> Result<HeaderMap, CatalogError> {
    let refused = |text: String| CatalogError::new(CatalogErrorKind::Refused, text);
    let mut headers = HeaderMap::new();
    for (name, value) in given {
        let parsed: HeaderName =
            name.parse().map_err(|_| refused(format!("`headers`: {name:?} is not the name of a header")))?;
        if parsed == AUTHORIZATION && *auth != RestAuth::None {
            let text =
                "`headers` has an authorization beside a token or client credentials; one of them is needed";
            return Err(refused(text.to_owned()));
        }
        headers.append(parsed, sensitive(value.reveal(), &format!("`headers.{name}`"))?);
    }
    Ok(headers)
}

/// A header's value that no log shows.
pub(super) fn sensitive(value: &str, field: &str) -> Result<HeaderValue, CatalogError> {
    let mut value = HeaderValue::from_str(value).map_err(|_| {
        CatalogError::new(CatalogErrorKind::Refused, format!("{field} holds what no HTTP header can hold"))
    })?;
    value.set_sensitive(true);
    Ok(value)
}
