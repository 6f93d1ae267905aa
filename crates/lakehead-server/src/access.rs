//! Who may do what: the administrator everything, the holder of a token what it permits. What a credential is and where it
//! stands is the caller's to know; nothing here touches the disk.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use http::HeaderMap;
use http::header::AsHeaderName;
use lakehead_meta::{Identity, Store};
use lakehead_model::{Clock, StreamId, Token};

use crate::guesses::Guesses;

/// The address a request came from, among the request's extensions.
#[derive(Debug, Clone, Copy)]
pub struct Peer(pub IpAddr);

impl Peer {
    /// Of a request that has none: all such requests share one.
    pub const UNKNOWN: Peer = Peer(IpAddr::V4(Ipv4Addr::UNSPECIFIED));
}

/// Who shows a credential.
#[derive(Debug, Clone)]
pub enum Caller {
    Admin,
    /// The holder of a token that has not expired.
    Holder(Arc<Token>),
    /// A credential, but none of this server's, or an expired one.
    Stranger,
    /// No credential, or none that can be read.
    Nobody,
}

/// Why somebody may not send records.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Denied {
    /// No credential that is good for anything.
    Unknown,
    /// A good one, that is not for sending, or not to this stream.
    Forbidden,
    /// As `Unknown`, from an address that has tried too many.
    TooManyGuesses,
}

/// The check of credentials.
pub struct Access {
    identity: Arc<Identity>,
    store: Arc<Store>,
    clock: Arc<dyn Clock>,
    guesses: Guesses,
}

impl Access {
    pub fn new(identity: Arc<Identity>, store: Arc<Store>, clock: Arc<dyn Clock>) -> Self {
        Access { identity, store, guesses: Guesses::new(Arc::clone(&clock)), clock }
    }

    /// The one account and its administrator.
    pub fn identity(&self) -> &Identity {
        &self.identity
    }

    /// Who shows `credential`, which was found where credentials stand.
    pub fn caller(&self, credential: Option<&[u8]>) -> Caller {
        let shown = match credential {
            None | Some([]) => return Caller::Nobody,
            Some(shown) => shown,
        };
        if self.identity.is_admin(shown) {
            return Caller::Admin;
        }
        let now = self.clock.now();
        match self.store.token_shown(shown).filter(|token| !token.is_expired(now)) {
            Some(token) => {
                self.store.note_use(token.id, now);
                Caller::Holder(token)
            }
            None => Caller::Stranger,
        }
    }

    /// Notes that `peer` showed a credential that opens nothing. `false`: it has done so too often, and is to be told that
    /// instead. A good credential from the same address is not affected.
    pub fn may_guess_on(&self, peer: Peer) -> bool {
        self.guesses.failed(peer.0)
    }

    /// Whether the request with this `Authorization` header, from `peer`, may send records to `stream`; `None`: to whatever
    /// does not exist.
    ///
    /// # Errors
    /// [`Denied`]. Only who is let in learns whether the stream exists.
    pub fn may_send(
        &self,
        authorization: Option<&[u8]>,
        peer: Peer,
        stream: Option<StreamId>,
    ) -> Result<(), Denied> {
        match self.caller(authorization.and_then(bearer)) {
            Caller::Admin => Ok(()),
            Caller::Holder(token) => {
                let permitted = match stream {
                    Some(stream) => token.may_send_to(stream),
                    None => token.permissions.send && token.streams.is_none(),
                };
                permitted.then_some(()).ok_or(Denied::Forbidden)
            }
            Caller::Stranger if !self.may_guess_on(peer) => Err(Denied::TooManyGuesses),
            Caller::Stranger | Caller::Nobody => Err(Denied::Unknown),
        }
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
