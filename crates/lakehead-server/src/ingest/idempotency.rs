//! `Idempotency-Key`: a request that comes again with the key of one that was stored is answered like it, and stored once.
//!
//! A key names a request within its stream; what it is made of is the producer's affair. The log keeps the keys with the
//! records, so they are remembered through crashes, and for as long as [`lakehead_log::Settings::keys_max`] says: until so many
//! younger ones came. The header is that of draft-ietf-httpapi-idempotency-key-header; quotes, if any, are part of the key.

use http::{HeaderMap, HeaderName, HeaderValue};
use lakehead_log::AppendKey;
use sha2::{Digest, Sha256};

use super::Refusal;

pub(super) const HEADER: HeaderName = HeaderName::from_static("idempotency-key");
/// In the answer to a request that was stored before.
pub(crate) const REPLAYED: HeaderName = HeaderName::from_static("idempotent-replayed");
pub(crate) const TRUE: HeaderValue = HeaderValue::from_static("true");
const LENGTH_MAX: usize = 255;

/// The key among the headers.
pub(super) fn of(headers: &HeaderMap) -> Result<Option<AppendKey>, Refusal> {
    let mut values = headers.get_all(HEADER).iter();
    match (values.next(), values.next()) {
        (None, _) => Ok(None),
        (Some(one), None) => parse(one.as_bytes()).map(Some),
        (Some(_), Some(_)) => Err(Refusal::Key("Idempotency-Key came more than once; once is right".into())),
    }
}

/// The key in a header's value.
pub(super) fn parse(value: &[u8]) -> Result<AppendKey, Refusal> {
    let value = value.trim_ascii();
    if value.is_empty() || value.len() > LENGTH_MAX {
        let text = format!("Idempotency-Key has {} characters; 1 to {LENGTH_MAX} are right", value.len());
        return Err(Refusal::Key(text));
    }
    if !value.iter().all(|b| (0x20..0x7F).contains(b)) {
        return Err(Refusal::Key("Idempotency-Key has characters other than printable ASCII".into()));
    }
    let hash: [u8; 32] = Sha256::digest(value).into();
    let (head, _) = hash.split_at(16);
    Ok(AppendKey(head.iter().fold(0, |bits, byte| bits << 8 | u128::from(*byte))))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(values: &[&str]) -> HeaderMap {
        values.iter().map(|v| (HEADER, HeaderValue::from_str(v).unwrap())).collect()
    }

    #[test]
    fn a_key_is_what_stands_in_the_header_without_the_spaces_around_it() {
        let of = |value| of(&headers(&[value])).unwrap().unwrap();
        assert_eq!(of(" a b "), of("a b"));
        assert!(of("a") != of("b") && of("a") != of("\"a\""));
        assert!(super::of(&HeaderMap::new()).unwrap().is_none());
    }

    #[test]
    fn what_is_no_key_is_refused_by_name() {
        let long = "x".repeat(LENGTH_MAX + 1);
        for values in [&[""][..], &["  "], &[&long], &["a\tb"], &["a", "a"]] {
            let refused = of(&headers(values)).unwrap_err();
            assert!(refused.reason().starts_with("Idempotency-Key "), "{values:?}: {}", refused.reason());
        }
        assert!(parse(&[b'a', 0xE4]).is_err());
        assert!(parse("x".repeat(LENGTH_MAX).as_bytes()).is_ok());
    }
}
