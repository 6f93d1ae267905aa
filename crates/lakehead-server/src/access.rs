//! Who may do what. One token exists, the administrator's: it may do everything.

use http::HeaderMap;
use http::header::AsHeaderName;
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

    /// Whether a request whose only `Authorization` header is `authorization` may send records.
    pub fn may_send(&self, authorization: Option<&[u8]>) -> bool {
        authorization.and_then(bearer).is_some_and(|token| self.identity.is_admin(token))
    }
}

/// The header's value if it came exactly once: which of two a proxy in between looked at cannot be known.
pub fn only(headers: &HeaderMap, name: impl AsHeaderName) -> Option<&[u8]> {
    let mut all = headers.get_all(name).iter();
    match (all.next(), all.next()) {
        (Some(one), None) => Some(one.as_bytes()),
        _ => None,
    }
}

/// The token of `Bearer …`. The scheme's case does not matter (RFC 9110 §11.1).
pub fn bearer(authorization: &[u8]) -> Option<&[u8]> {
    let (scheme, rest) = authorization.split_at_checked("Bearer".len())?;
    let token = rest.trim_ascii();
    (scheme.eq_ignore_ascii_case(b"bearer") && rest.first() == Some(&b' ') && !token.is_empty())
        .then_some(token)
}
