//! Variable parts of a path. They are arbitrary text: what names nothing is answered with 404 by whoever looks it up.

use std::convert::Infallible;

use axum::extract::{FromRequestParts, RawPathParams};
use http::request::Parts;

/// The variable parts behind the account, decoded, in order. Parts that are not UTF-8 are empty, which names nothing.
#[derive(Debug, Clone)]
pub(super) struct PathParts(Vec<String>);

impl PathParts {
    /// The part with this index; empty if there is none.
    pub(super) fn take(&mut self, index: usize) -> String {
        self.0.get_mut(index).map(std::mem::take).unwrap_or_default()
    }
}

impl<S: Send + Sync> FromRequestParts<S> for PathParts {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Infallible> {
        let found = match RawPathParams::from_request_parts(parts, state).await {
            Ok(params) => {
                params.iter().filter(|(name, _)| *name != "account_id").map(|(_, v)| v.to_owned()).collect()
            }
            Err(_) => Vec::new(),
        };
        Ok(PathParts(found))
    }
}
