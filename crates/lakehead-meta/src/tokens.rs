//! The tokens of the account: made, shown, revoked.
//!
//! ```text
//!   value, shown once      lh_<32 hex: the id, public>_<48 hex: 192 random bits>
//!   kept                   record token/<id>: the token, and SHA-256 of the whole value, encrypted
//! ```
//!
//! The hash is encrypted because it is itself a secret: by Cloudflare's rule it is, as lower-case hex, the secret access key
//! that goes with the token's id as access key id (docs: "R2, Authentication").
//!
//! **Showing** a token looks it up by the id in it and compares hashes in constant time; nothing of it touches the disk.
//! **Revoking** is on disk before it returns, and the next request that shows the token finds nothing.
//! **Last use** is noted in memory and written by [`Store::save_uses`], which the server calls every [`USES_SAVED_EVERY`]
//! and when it stops; a crash loses what was noted since.
//! **Memory:** all tokens, at most [`TOKENS_MAX`] of some 2 KiB.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use lakehead_model::limits::TOKENS_MAX;
use lakehead_model::{Permissions, Random, Secret, StreamId, Timestamp, Token, TokenId};
use parking_lot::{Mutex, RwLock};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use crate::hex;
use crate::identity::{TOKEN_PREFIX, random_hex};
use crate::records::{Expect, Records, Space, Write};
use crate::resources::{json, parse};
use crate::vault::Vault;
use crate::{Error, ErrorKind, Store};

/// How often [`Store::save_uses`] is to be called: a token that is used all the time costs one write in this time.
pub const USES_SAVED_EVERY: Duration = Duration::from_secs(60);

/// Stands for "never used" where a last use is a number.
const NEVER: i64 = i64::MIN;

/// What its maker says of a token. The rules for the parts are in [`lakehead_model::token`] and are checked by the caller.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "as in `Token`")]
pub struct NewToken {
    pub name: String,
    pub permissions: Permissions,
    pub streams: Option<Vec<StreamId>>,
    pub bucket: Option<String>,
    pub expires_at: Option<Timestamp>,
}

#[derive(Serialize, Deserialize)]
struct Stored {
    token: Token,
    /// The sealed hash as hex.
    sealed_sha256: String,
}

/// A token in memory.
struct Kept {
    /// Its last use as it was when the store was opened.
    token: Arc<Token>,
    sha256: [u8; 32],
    /// The hash as it stands on disk.
    sealed_sha256: String,
    /// Microseconds as in [`Timestamp`], or [`NEVER`].
    used: AtomicI64,
    /// The same, as it stands on disk.
    saved: AtomicI64,
}

impl Kept {
    fn new(token: Token, sha256: [u8; 32], sealed_sha256: String) -> Self {
        let used = token.last_used_at.map_or(NEVER, |at| at.0);
        Kept { token: Arc::new(token), sha256, sealed_sha256, used: used.into(), saved: used.into() }
    }

    fn with_use(&self, used: i64) -> Arc<Token> {
        let last_used_at = (used != NEVER).then_some(Timestamp(used));
        if self.token.last_used_at == last_used_at {
            return Arc::clone(&self.token);
        }
        Arc::new(Token { last_used_at, ..Token::clone(&self.token) })
    }

    fn as_it_is(&self) -> Arc<Token> {
        self.with_use(self.used.load(Ordering::Relaxed))
    }
}

/// The part of the [`Store`] that keeps tokens.
pub(crate) struct Tokens {
    random: Arc<dyn Random>,
    /// Locked for a look or an insertion, never over a disk access.
    by_id: RwLock<HashMap<TokenId, Arc<Kept>>>,
    /// Held over a change on disk and in memory, so that nothing is saved about a token that was just revoked.
    changing: Mutex<()>,
}

impl fmt::Debug for Tokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Tokens({})", self.by_id.read().len())
    }
}

impl Tokens {
    pub(crate) fn open(
        records: &dyn Records,
        vault: &Vault,
        random: Arc<dyn Random>,
    ) -> Result<Tokens, Error> {
        let mut by_id = HashMap::new();
        for (space, record) in records.list(&[Space::Token], "")?.1 {
            let Stored { token, sealed_sha256 } = parse(space, &record)?;
            let damaged = || {
                let text = format!("record {}: holds no hash; restore a backup", place(token.id));
                Error::new(ErrorKind::Corrupt, text)
            };
            let sealed = hex::parse(&sealed_sha256).ok_or_else(damaged)?;
            let sha256 = vault.open_sealed(&place(token.id), &sealed)?;
            let sha256 = sha256.try_into().map_err(|_| damaged())?;
            by_id.insert(token.id, Arc::new(Kept::new(token, sha256, sealed_sha256)));
        }
        Ok(Tokens { random, by_id: RwLock::new(by_id), changing: Mutex::new(()) })
    }

    fn get(&self, id: TokenId) -> Option<Arc<Kept>> {
        self.by_id.read().get(&id).cloned()
    }
}

impl Store {
    /// Makes a token. Durable and of effect when it returns the token and its value, which nobody can ever read again.
    ///
    /// # Errors
    /// `Limit` if there are [`TOKENS_MAX`] already that have not expired, `Storage`, `Full`.
    pub fn create_token(&self, new: NewToken, now: Timestamp) -> Result<(Arc<Token>, Secret), Error> {
        let tokens = &self.tokens;
        let _changing = tokens.changing.lock();
        if tokens.by_id.read().len() >= TOKENS_MAX {
            self.drop_expired(now)?;
        }
        if tokens.by_id.read().len() >= TOKENS_MAX {
            let text = format!("there are {TOKENS_MAX} tokens already, which is the limit; revoke one");
            return Err(Error::new(ErrorKind::Limit, text));
        }
        let NewToken { name, permissions, streams, bucket, expires_at } = new;
        let id = TokenId::random(&*tokens.random);
        let token =
            Token { id, name, permissions, streams, bucket, created_at: now, expires_at, last_used_at: None };
        let value = format!("{TOKEN_PREFIX}{id}_{}", random_hex(&*tokens.random));
        let sha256: [u8; 32] = Sha256::digest(&value).into();
        let sealed_sha256 = hex::text(&self.vault.seal(&place(id), &sha256)?);
        let kept = Arc::new(Kept::new(token, sha256, sealed_sha256));
        self.records.write(None, &[write_of(&kept.token, &kept.sealed_sha256, Expect::Absent)?])?;
        tokens.by_id.write().insert(id, Arc::clone(&kept));
        Ok((Arc::clone(&kept.token), Secret::new(value)))
    }

    /// Makes room: expired tokens let nobody in. `changing` is held.
    fn drop_expired(&self, now: Timestamp) -> Result<(), Error> {
        let expired: Vec<_> = {
            let by_id = self.tokens.by_id.read();
            by_id.values().filter(|kept| kept.token.is_expired(now)).map(|kept| kept.token.id).collect()
        };
        let write = |id: &TokenId| Write {
            space: Space::Token,
            key: id.to_string(),
            expect: Expect::Any,
            value: None,
        };
        self.records.write(None, &expired.iter().map(write).collect::<Vec<_>>())?;
        let mut by_id = self.tokens.by_id.write();
        for id in expired {
            by_id.remove(&id);
        }
        Ok(())
    }

    /// All tokens, expired ones included, in order of creation.
    pub fn tokens(&self) -> Vec<Arc<Token>> {
        let mut all: Vec<_> = self.tokens.by_id.read().values().map(|kept| kept.as_it_is()).collect();
        all.sort_by_key(|token| (token.created_at, token.id));
        all
    }

    /// The token, expired or not.
    pub fn token(&self, id: TokenId) -> Option<Arc<Token>> {
        self.tokens.get(id).map(|kept| kept.as_it_is())
    }

    /// Removes a token. When it returns `true` that is durable, and nobody is let in with it any more. `false`: there is none.
    ///
    /// # Errors
    /// `Storage`, `Full`: the token is still good.
    pub fn revoke_token(&self, id: TokenId) -> Result<bool, Error> {
        let _changing = self.tokens.changing.lock();
        if self.tokens.get(id).is_none() {
            return Ok(false);
        }
        let write = Write { space: Space::Token, key: id.to_string(), expect: Expect::Any, value: None };
        self.records.write(None, &[write])?;
        self.tokens.by_id.write().remove(&id);
        Ok(true)
    }

    /// The token whose value was shown. The caller, who has the clock, asks it whether it is expired and what it may do.
    /// Its `last_used_at` may be old; [`Store::token`] has the newest.
    ///
    /// Never touches the disk. A value of another form, of an unknown id, and of a known id with a wrong secret take the same
    /// steps (hash, look-up, comparison in constant time); whether an id exists is no secret.
    pub fn token_shown(&self, value: &[u8]) -> Option<Arc<Token>> {
        let shown: [u8; 32] = Sha256::digest(value).into();
        let kept = self.tokens.get(id_in(value).unwrap_or(TokenId(0)));
        let expected = kept.as_ref().map_or(&[0; 32], |kept| &kept.sha256);
        let same = bool::from(shown.ct_eq(expected));
        kept.filter(|_| same).map(|kept| Arc::clone(&kept.token))
    }

    /// The secret access key of an access key id, by Cloudflare's rule: SHA-256 of the value of the token with that id, as
    /// lower-case hex. Whether that token is expired and what it may do, [`Store::token`] says.
    pub fn token_secret_key(&self, access_key_id: &str) -> Option<Secret> {
        let kept = self.tokens.get(access_key_id.parse().ok()?)?;
        Some(Secret::new(hex::text(&kept.sha256)))
    }

    /// Notes that the token let somebody in. In memory at once, on disk with the next [`Store::save_uses`]. Cheap: may be
    /// called for every request. A token revoked meanwhile is ignored; an earlier moment than noted changes nothing.
    pub fn note_use(&self, id: TokenId, now: Timestamp) {
        if let Some(kept) = self.tokens.by_id.read().get(&id) {
            kept.used.fetch_max(now.0, Ordering::Relaxed);
        }
    }

    /// Writes the uses that were noted since the last call, in one transaction; none, no write. To be called every
    /// [`USES_SAVED_EVERY`] and at the end: a crash loses the uses noted since.
    ///
    /// # Errors
    /// `Storage`, `Full`: the next call writes them again.
    pub fn save_uses(&self) -> Result<(), Error> {
        let _changing = self.tokens.changing.lock();
        let unsaved: Vec<_> = {
            let by_id = self.tokens.by_id.read();
            let all = by_id.values().map(|kept| (Arc::clone(kept), kept.used.load(Ordering::Relaxed)));
            all.filter(|(kept, used)| *used != kept.saved.load(Ordering::Relaxed)).collect()
        };
        if unsaved.is_empty() {
            return Ok(());
        }
        let writes = unsaved
            .iter()
            .map(|(kept, used)| write_of(&kept.with_use(*used), &kept.sealed_sha256, Expect::Any))
            .collect::<Result<Vec<_>, _>>()?;
        self.records.write(None, &writes)?;
        for (kept, used) in unsaved {
            kept.saved.store(used, Ordering::Relaxed);
        }
        Ok(())
    }
}

fn write_of(token: &Token, sealed_sha256: &str, expect: Expect) -> Result<Write, Error> {
    let stored = Stored { token: token.clone(), sealed_sha256: sealed_sha256.to_owned() };
    Ok(Write { space: Space::Token, key: token.id.to_string(), expect, value: Some(json(&stored)?) })
}

/// The id in a value that was shown, whatever follows it.
fn id_in(value: &[u8]) -> Option<TokenId> {
    let id = value.strip_prefix(TOKEN_PREFIX.as_bytes())?.get(..32)?;
    std::str::from_utf8(id).ok()?.parse().ok()
}

/// What a sealed hash is bound to.
fn place(id: TokenId) -> String {
    format!("{}/{id}", Space::Token.name())
}
