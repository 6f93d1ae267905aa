//! Tokens: who besides the administrator may do what.

use std::sync::Arc;

use lakehead_meta::NewToken;
use lakehead_model::{Secret, Token, TokenId, token};

use super::{Control, Error, Kind, invalid, parse_id};

impl Control {
    /// Makes a token. Its value is in this answer and nowhere else.
    ///
    /// # Errors
    /// `Invalid`, `TooMany`, `Unavailable`.
    pub fn create_token(&self, new: NewToken) -> Result<(Arc<Token>, Secret), Error> {
        token::check_name("name", &new.name)?;
        let now = self.parts.clock.now();
        if new.expires_at.is_some_and(|at| at <= now) {
            return Err(invalid("expires_on", "lies in the past"));
        }
        if let Some(streams) = &new.streams {
            token::check_streams("streams", streams)?;
            let catalog = self.catalog();
            if let Some(i) = streams.iter().position(|id| catalog.any_stream(*id).is_none()) {
                let reason = "is the id of no stream and of no legacy pipeline";
                return Err(invalid(&format!("streams[{i}]"), reason));
            }
        }
        let (token, value) = self.parts.store.create_token(new, now)?;
        tracing::info!(token = %token.id, name = token.name, permissions = %token.permissions, "token created");
        Ok((token, value))
    }

    /// All tokens, in order of creation, and whether each has expired.
    pub fn tokens(&self) -> Vec<(Arc<Token>, bool)> {
        let now = self.parts.clock.now();
        self.parts.store.tokens().into_iter().map(|t| (Arc::clone(&t), t.is_expired(now))).collect()
    }

    /// The token with this id, and whether it has expired.
    ///
    /// # Errors
    /// `Missing`.
    pub fn token(&self, id: &str) -> Result<(Arc<Token>, bool), Error> {
        let id: TokenId = parse_id(Kind::Token, id)?;
        let token = self.parts.store.token(id).ok_or(Error::Missing(Kind::Token))?;
        let expired = token.is_expired(self.parts.clock.now());
        Ok((token, expired))
    }

    /// Takes a token back; the next request that shows it is refused.
    ///
    /// # Errors
    /// `Missing`, `Unavailable`.
    pub fn revoke_token(&self, id: &str) -> Result<(), Error> {
        let id: TokenId = parse_id(Kind::Token, id)?;
        if !self.parts.store.revoke_token(id)? {
            return Err(Error::Missing(Kind::Token));
        }
        tracing::info!(token = %id, "token revoked");
        Ok(())
    }
}
