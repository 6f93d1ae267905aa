//! Who may do what in a catalog: the same tokens as in the API.
//!
//! | caller | answer |
//! |---|---|
//! | the administrator | everything |
//! | a token with `read` | what changes nothing |
//! | a token with `write` | what changes something |
//! | either of them | the configuration |
//! | a token that is bound to a bucket | that bucket alone |
//! | whoever is permitted none of that | 403 |
//! | nobody, a stranger | 401; 429 after too many wrong credentials |

use http::{HeaderMap, Response};

use super::answer;
use super::route::Call;
use crate::access::{Access, Caller, Peer, bearer, only};
use crate::http::answer::Body;

/// Somebody who is let in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Guest {
    /// Whether he may change something.
    pub(super) may_write: bool,
}

/// Who shows the credential of a request, or what to tell him.
pub(super) fn admit(
    access: &Access,
    headers: &HeaderMap,
    peer: Peer,
    call: &Call,
    bucket: &str,
) -> Result<Guest, Response<Body>> {
    let token = match access.caller(only(headers, "authorization").and_then(bearer)) {
        Caller::Admin => return Ok(Guest { may_write: true }),
        Caller::Holder(token) => token,
        Caller::Stranger if !access.may_guess_on(peer) => return Err(answer::too_many_guesses()),
        Caller::Stranger => return Err(answer::unauthenticated("the token is not valid here")),
        Caller::Nobody => {
            return Err(answer::unauthenticated("a token is needed, as `Authorization: Bearer …`"));
        }
    };
    if token.bucket.as_deref().is_some_and(|only| !bucket.is_empty() && only != bucket) {
        return Err(answer::forbidden("the token is for another bucket"));
    }
    let permissions = token.permissions;
    let lacks = match call {
        Call::Config | Call::OauthToken if permissions.read || permissions.write => None,
        Call::Config | Call::OauthToken => Some("`read`"),
        call if call.is_read() => (!permissions.read).then_some("`read`"),
        _ => (!permissions.write).then_some("`write`"),
    };
    match lacks {
        Some(lacks) => Err(answer::forbidden(&format!("the token lacks the permission {lacks}"))),
        None => Ok(Guest { may_write: permissions.write }),
    }
}
