//! Signature version 4 of a request whose body is empty or ignored (Amazon S3 API Reference, "Authenticating Requests: Using
//! the Authorization Header").
//!
//! ```text
//!   method, path, query, signed headers, hash of the body ─► canonical request ─► SHA-256 ┐
//!   x-amz-date, date/region/s3/aws4_request ──────────────────────────────────────────────┴► text to sign
//!   secret ─HMAC─ date ─HMAC─ region ─HMAC─ s3 ─HMAC─ aws4_request ─► key;   HMAC(key, text) = signature?
//! ```
//!
//! Any region will do: R2 calls its own `auto`, and clients have their own ideas. Signatures are compared in constant time.

use chrono::NaiveDateTime;
use http::request::Parts;
use http::{HeaderMap, HeaderName, header};
use lakehead_model::{Secret, Timestamp};
use ring::{digest, hmac};

use super::S3Error;
use crate::percent;

const ALGORITHM: &str = "AWS4-HMAC-SHA256";
const SKEW_SECONDS_MAX: u64 = 15 * 60;
const AMZ_DATE: HeaderName = HeaderName::from_static("x-amz-date");
const CONTENT_SHA256: HeaderName = HeaderName::from_static("x-amz-content-sha256");
const UNSIGNED: &str = "UNSIGNED-PAYLOAD";

/// The access key id of a request that was signed with its secret.
pub(crate) fn verify(
    head: &Parts,
    now: Timestamp,
    secret_of: impl FnOnce(&str) -> Result<Option<Secret>, String>,
) -> Result<String, S3Error> {
    let authorization = Authorization::read(head)?;
    let payload = payload_hash(&head.headers)?;
    let secret = secret_of(authorization.access_key_id).map_err(S3Error::Internal)?;
    let secret = secret.ok_or(S3Error::InvalidAccessKeyId)?;
    if !authorization.at.is_near(now) {
        return Err(S3Error::RequestTimeTooSkewed);
    }
    let request = canonical_request(head, &authorization, payload)?;
    let text = text_to_sign(&authorization, &request);
    let key = signing_key(&secret, &authorization);
    hmac::verify(&key, text.as_bytes(), &authorization.signature)
        .map_err(|_| S3Error::SignatureDoesNotMatch)?;
    Ok(authorization.access_key_id.to_owned())
}

/// What the header says.
struct Authorization<'r> {
    access_key_id: &'r str,
    /// `YYYYMMDD`
    date: &'r str,
    region: &'r str,
    /// `date/region/s3/aws4_request`
    scope: &'r str,
    /// Lower case, sorted, joined by `;`.
    signed_headers: &'r str,
    signature: Vec<u8>,
    at: Moment<'r>,
}

impl<'r> Authorization<'r> {
    fn read(head: &'r Parts) -> Result<Self, S3Error> {
        use S3Error::AuthorizationHeaderMalformed as Malformed;
        let query = head.uri.query().unwrap_or_default();
        if query.split('&').any(|pair| pair.starts_with("X-Amz-Signature=")) {
            return Err(S3Error::NotImplemented("X-Amz-Signature, a signature in the query".to_owned()));
        }
        let Some(text) = once(&head.headers, &header::AUTHORIZATION)? else {
            return Err(S3Error::AccessDenied("The request is not signed."));
        };
        let fields = text
            .strip_prefix(ALGORITHM)
            .filter(|rest| rest.starts_with(' '))
            .ok_or(Malformed("must begin with AWS4-HMAC-SHA256"))?;
        let (mut credential, mut signed_headers, mut signature) = (None, None, None);
        for field in fields.split(',') {
            match field.trim().split_once('=') {
                Some(("Credential", value)) => credential = Some(value),
                Some(("SignedHeaders", value)) => signed_headers = Some(value),
                Some(("Signature", value)) => signature = Some(value),
                _ => return Err(Malformed("has a field that is not known")),
            }
        }
        let credential = credential.ok_or(Malformed("has no Credential"))?;
        let (access_key_id, scope) =
            credential.split_once('/').ok_or(Malformed("has a Credential without a scope"))?;
        let parts: Vec<_> = scope.split('/').collect();
        let [date, region, "s3", "aws4_request"] = *parts else {
            return Err(Malformed("has a Credential that is not KEY/DATE/REGION/s3/aws4_request"));
        };
        let signature = signature.and_then(percent::from_hex).ok_or(Malformed("has no Signature in hex"))?;
        let at = once(&head.headers, &AMZ_DATE)?.ok_or(S3Error::AccessDenied("x-amz-date is missing."))?;
        let at = Moment::read(at).ok_or(S3Error::AccessDenied("x-amz-date is not YYYYMMDDTHHMMSSZ."))?;
        if !at.text.starts_with(date) || date.len() != 8 {
            return Err(Malformed("has a Credential of another date than x-amz-date"));
        }
        let signed_headers = signed_headers.ok_or(Malformed("has no SignedHeaders"))?;
        Ok(Authorization { access_key_id, date, region, scope, signed_headers, signature, at })
    }
}

/// `x-amz-date`.
struct Moment<'r> {
    text: &'r str,
    at: Timestamp,
}

impl<'r> Moment<'r> {
    fn read(text: &'r str) -> Option<Self> {
        let at = NaiveDateTime::parse_from_str(text, "%Y%m%dT%H%M%SZ").ok()?;
        (text.len() == 16).then(|| Moment { text, at: Timestamp(at.and_utc().timestamp_micros()) })
    }

    fn is_near(&self, now: Timestamp) -> bool {
        self.at.0.abs_diff(now.0) <= SKEW_SECONDS_MAX * 1_000_000
    }
}

/// The value of a header that may come once.
fn once<'r>(headers: &'r HeaderMap, name: &HeaderName) -> Result<Option<&'r str>, S3Error> {
    let mut values = headers.get_all(name).iter();
    match (values.next(), values.next()) {
        (None, _) => Ok(None),
        (Some(value), None) => value
            .to_str()
            .map(Some)
            .map_err(|_| S3Error::AccessDenied("A header of the signature is not text.")),
        _ => Err(S3Error::AccessDenied("A header of the signature is there twice.")),
    }
}

/// What the client says of its body, which may say only that there is none, or nothing.
fn payload_hash(headers: &HeaderMap) -> Result<&str, S3Error> {
    let hash =
        once(headers, &CONTENT_SHA256)?.ok_or(S3Error::AccessDenied("x-amz-content-sha256 is missing."))?;
    let of_nothing = percent::to_hex(digest::digest(&digest::SHA256, b"").as_ref());
    (hash == UNSIGNED || hash == of_nothing).then_some(hash).ok_or(S3Error::ContentSha256Mismatch)
}

fn canonical_request(
    head: &Parts,
    authorization: &Authorization<'_>,
    payload: &str,
) -> Result<Vec<u8>, S3Error> {
    let path = percent::decode(head.uri.path()).ok_or(S3Error::InvalidUri)?;
    let query =
        percent::parameters(head.uri.query().unwrap_or_default(), false).ok_or(S3Error::InvalidUri)?;
    let mut query: Vec<_> = query
        .iter()
        .map(|(name, value)| {
            let encoded = |text: &str| percent::encode(text.as_bytes(), false);
            (encoded(name), encoded(value))
        })
        .collect();
    query.sort();
    let query: Vec<_> = query.iter().map(|(name, value)| format!("{name}={value}")).collect();
    let mut text =
        format!("{}\n{}\n{}\n", head.method, percent::encode(&path, true), query.join("&")).into_bytes();
    append_headers(&mut text, &head.headers, authorization.signed_headers)?;
    text.extend_from_slice(format!("\n{}\n{payload}", authorization.signed_headers).as_bytes());
    Ok(text)
}

/// The signed headers, one a line. All that S3 gives a meaning must be among them.
fn append_headers(text: &mut Vec<u8>, headers: &HeaderMap, signed: &str) -> Result<(), S3Error> {
    let names: Vec<_> = signed.split(';').collect();
    let is_signed = |name: &HeaderName| names.contains(&name.as_str());
    let must_be_signed = |name: &HeaderName| *name == header::HOST || name.as_str().starts_with("x-amz-");
    if headers.keys().any(|name| must_be_signed(name) && !is_signed(name)) {
        return Err(S3Error::AccessDenied("There were headers in the request which were not signed."));
    }
    for name in names {
        text.extend_from_slice(name.as_bytes());
        text.push(b':');
        for (i, value) in headers.get_all(name).iter().enumerate() {
            if i > 0 {
                text.push(b',');
            }
            let words = value.as_bytes().split(|b| *b == b' ').filter(|word| !word.is_empty());
            text.extend_from_slice(&words.collect::<Vec<_>>().join(&b' '));
        }
        text.push(b'\n');
    }
    Ok(())
}

fn text_to_sign(authorization: &Authorization<'_>, canonical_request: &[u8]) -> String {
    let hash = percent::to_hex(digest::digest(&digest::SHA256, canonical_request).as_ref());
    format!("{ALGORITHM}\n{}\n{}\n{hash}", authorization.at.text, authorization.scope)
}

fn signing_key(secret: &Secret, authorization: &Authorization<'_>) -> hmac::Key {
    let first = format!("AWS4{}", secret.reveal());
    [authorization.date, authorization.region, "s3", "aws4_request"]
        .iter()
        .fold(hmac::Key::new(hmac::HMAC_SHA256, first.as_bytes()), |key, part| {
            hmac::Key::new(hmac::HMAC_SHA256, hmac::sign(&key, part.as_bytes()).as_ref())
        })
}

#[cfg(test)]
mod tests;
