//! Tokens: what a client shows to be let in, and what it may do then.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::limits::{TOKEN_NAME_CHARS_MAX, TOKEN_STREAMS_MAX};
use crate::{Invalid, StreamId, Timestamp, TokenId};

/// What a token may do. As JSON: a list of the words `read`, `write` and `send`, in this order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Permissions {
    /// Look at resources: `GET` of the management API.
    pub read: bool,
    /// Change resources: everything else of the management API.
    pub write: bool,
    /// Send records to streams.
    pub send: bool,
}

impl Permissions {
    /// The permissions that `words` name; a word may come twice.
    ///
    /// # Errors
    /// [`Invalid`] naming `field`, if a word is none of the three or there is no word at all.
    pub fn from_words<'a>(
        field: &str,
        words: impl IntoIterator<Item = &'a str>,
    ) -> Result<Permissions, Invalid> {
        let mut permissions = Permissions::default();
        for word in words {
            match word {
                "read" => permissions.read = true,
                "write" => permissions.write = true,
                "send" => permissions.send = true,
                _ => {
                    let reason = format!("{word:?} is not a permission; there are read, write and send");
                    return Err(Invalid::new(field, reason));
                }
            }
        }
        if permissions == Permissions::default() {
            return Err(Invalid::new(field, "names no permission; there are read, write and send"));
        }
        Ok(permissions)
    }

    /// The words, in the order read, write, send.
    pub fn words(self) -> impl Iterator<Item = &'static str> {
        [("read", self.read), ("write", self.write), ("send", self.send)]
            .into_iter()
            .filter_map(|(word, granted)| granted.then_some(word))
    }
}

impl fmt::Display for Permissions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.words().collect::<Vec<_>>().join(", "))
    }
}

impl Serialize for Permissions {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_seq(self.words())
    }
}

impl<'de> Deserialize<'de> for Permissions {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let words = Vec::<String>::deserialize(d)?;
        Permissions::from_words("permissions", words.iter().map(String::as_str))
            .map_err(serde::de::Error::custom)
    }
}

/// A token as everybody may see it. Its value is known to its holder alone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Token {
    /// Public: part of the value, of lists and of logs.
    pub id: TokenId,
    pub name: String,
    pub permissions: Permissions,
    /// The only streams it may send to; `None`: every one, those made later too. A legacy pipeline is meant by the stream id
    /// of the same number. A stream that was deleted stays in the list and means nothing: its id never comes back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub streams: Option<Vec<StreamId>>,
    /// The only bucket whose objects it may read as an S3 key; `None`: every one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bucket: Option<String>,
    pub created_at: Timestamp,
    /// The first moment at which it is worth nothing; `None`: it lasts until it is revoked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Timestamp>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_used_at: Option<Timestamp>,
}

impl Token {
    pub fn is_expired(&self, now: Timestamp) -> bool {
        self.expires_at.is_some_and(|at| at <= now)
    }

    /// Whether it may send records, and to this stream. Says nothing about its expiry.
    pub fn may_send_to(&self, stream: StreamId) -> bool {
        self.permissions.send && self.streams.as_ref().is_none_or(|streams| streams.contains(&stream))
    }
}

/// Checks a token's name: 1 to 120 characters, none of them a control character. Names need not differ.
///
/// # Errors
/// [`Invalid`] naming `field`.
pub fn check_name(field: &str, name: &str) -> Result<(), Invalid> {
    let chars = name.chars().count();
    if name.trim().is_empty() {
        return Err(Invalid::new(
            field,
            format!("is empty; a name has 1 to {TOKEN_NAME_CHARS_MAX} characters"),
        ));
    }
    if chars > TOKEN_NAME_CHARS_MAX {
        return Err(Invalid::new(
            field,
            format!("has {chars} characters; the limit is {TOKEN_NAME_CHARS_MAX}"),
        ));
    }
    match name.chars().find(|c| c.is_control()) {
        Some(c) => Err(Invalid::new(field, format!("holds {c:?}; control characters are not allowed"))),
        None => Ok(()),
    }
}

/// Checks the list of streams a token is to be bound to: not empty and not too long. Whether they exist is not known here.
///
/// # Errors
/// [`Invalid`] naming `field`.
pub fn check_streams(field: &str, streams: &[StreamId]) -> Result<(), Invalid> {
    match streams.len() {
        0 => Err(Invalid::new(field, "is empty; leave it out to allow every stream")),
        n if n > TOKEN_STREAMS_MAX => {
            Err(Invalid::new(field, format!("names {n} streams; the limit is {TOKEN_STREAMS_MAX}")))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests;
