//! Who may do what. One token exists, the administrator's: it may do everything.

use http::{HeaderMap, header};
use lakehead_meta::Identity;

/// The check of tokens.
#[derive(Debug)]
pub struct Access {
    identity: Identity,
}

impl Access {
    pub fn new(identity: Identity) -> Self {
        Access { identity }
    }

    /// Whether a request with these headers may send records.
    pub fn may_send(&self, headers: &HeaderMap) -> bool {
        bearer(headers).is_some_and(|token| self.identity.is_admin(token.as_bytes()))
    }
}

/// The token of the one `Authorization: Bearer …` header. The scheme's case does not matter (RFC 9110 §11.1).
pub fn bearer(headers: &HeaderMap) -> Option<&str> {
    let mut all = headers.get_all(header::AUTHORIZATION).iter();
    let (Some(one), None) = (all.next(), all.next()) else { return None };
    let (scheme, token) = one.to_str().ok()?.split_once(' ')?;
    let token = token.trim();
    (scheme.eq_ignore_ascii_case("bearer") && !token.is_empty()).then_some(token)
}
