//! The catalog of a bucket's tables, where it is not the one that is built in.

use std::collections::BTreeMap;
use std::path::PathBuf;

use lakehead_model::Secret;
use lakehead_table::{ClientCredentials, REQUEST_SECONDS_DEFAULT, RestAuth, RestSettings};
use serde::{Deserialize, Serialize};

use super::{ConfigError, read_secret};

/// A catalog that speaks the Iceberg REST protocol. Who asks it: `token`, or a client (`client_secret`), or else the token that
/// was given with the sink.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Catalog {
    /// The address below which `/v1/config` is.
    pub uri: String,
    /// Which of the catalog's warehouses.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub warehouse: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub token: Option<Secret>,
    /// A file that holds the token, instead of the token itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub token_file: Option<PathBuf>,
    /// Where a client gets its tokens; `{uri}/v1/oauth/tokens` if absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub oauth2_server_uri: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_secret: Option<Secret>,
    /// A file that holds the client's secret, instead of the secret itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_secret_file: Option<PathBuf>,
    /// What a client asks for; `catalog` if absent and the catalog itself gives the tokens.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scope: Option<String>,
    /// Sent with every request.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub headers: BTreeMap<String, Secret>,
    /// How long one call may take, with all that is tried again in it.
    pub request_seconds: u64,
}

impl Default for Catalog {
    fn default() -> Self {
        Catalog {
            uri: String::new(),
            warehouse: None,
            token: None,
            token_file: None,
            oauth2_server_uri: None,
            client_id: None,
            client_secret: None,
            client_secret_file: None,
            scope: None,
            headers: BTreeMap::new(),
            request_seconds: REQUEST_SECONDS_DEFAULT,
        }
    }
}

/// Longest time that one call may be given.
const REQUEST_SECONDS_MAX: u64 = 3600;

impl Catalog {
    pub(super) fn finish(&mut self, section: &str) -> Result<(), ConfigError> {
        let refuse = |text: String| Err(ConfigError(text));
        read_secret(section, "token", &mut self.token, self.token_file.as_deref())?;
        read_secret(section, "client_secret", &mut self.client_secret, self.client_secret_file.as_deref())?;
        if self.token.is_some() && self.client_secret.is_some() {
            return refuse(format!(
                "`{section}` has both a token and a client's secret; one of them is needed"
            ));
        }
        for (key, is_given) in [
            ("oauth2_server_uri", self.oauth2_server_uri.is_some()),
            ("client_id", self.client_id.is_some()),
            ("scope", self.scope.is_some()),
        ] {
            if is_given && self.client_secret.is_none() {
                return refuse(format!(
                    "`{section}.{key}` is of use with `client_secret` alone, which is missing"
                ));
            }
        }
        if !(1..=REQUEST_SECONDS_MAX).contains(&self.request_seconds) {
            let given = self.request_seconds;
            let text = format!("is {given}; from 1 to {REQUEST_SECONDS_MAX} are possible");
            return refuse(format!("`{section}.request_seconds` {text}"));
        }
        self.settings(None).check().map_err(|e| ConfigError(format!("`{section}`: {e}")))
    }

    /// How it is asked. `given`: the token that was given with a sink, which counts if nothing is configured.
    pub fn settings(&self, given: Option<&Secret>) -> RestSettings {
        let auth = match (&self.token, &self.client_secret, given) {
            (Some(token), ..) => RestAuth::Token(token.clone()),
            (None, Some(client_secret), _) => RestAuth::ClientCredentials(ClientCredentials {
                server_uri: self.oauth2_server_uri.clone(),
                client_id: self.client_id.clone(),
                client_secret: client_secret.clone(),
                scope: self.scope.clone(),
            }),
            (None, None, Some(token)) if !self.has_authorization() => RestAuth::Token(token.clone()),
            (None, None, _) => RestAuth::None,
        };
        RestSettings {
            uri: self.uri.clone(),
            warehouse: self.warehouse.clone(),
            auth,
            headers: self.headers.iter().map(|(name, value)| (name.clone(), value.clone())).collect(),
            request_seconds: self.request_seconds,
        }
    }

    /// Whether the headers say who asks.
    fn has_authorization(&self) -> bool {
        self.headers.keys().any(|name| name.eq_ignore_ascii_case("authorization"))
    }
}
