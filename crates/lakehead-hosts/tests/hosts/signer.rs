//! Signs requests the way a client does, written from the protocol's description and not from the product's code.

use chrono::DateTime;
use ring::{digest, hmac};

use crate::harness::{ACCESS_KEY_ID, SECRET_ACCESS_KEY};

pub(crate) const OF_NOTHING: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

/// What a client puts into one request.
#[derive(Clone)]
pub(crate) struct Signer {
    pub(crate) access_key_id: String,
    pub(crate) secret: String,
    /// Microseconds since 1970.
    pub(crate) at: i64,
}

impl Signer {
    pub(crate) fn at(at: i64) -> Self {
        Signer { access_key_id: ACCESS_KEY_ID.to_owned(), secret: SECRET_ACCESS_KEY.to_owned(), at }
    }

    /// The headers to add. `path` and `query` must be encoded as the canonical request wants them.
    pub(crate) fn headers(&self, method: &str, host: &str, path: &str, query: &str) -> Vec<(String, String)> {
        let time = DateTime::from_timestamp_micros(self.at).unwrap().format("%Y%m%dT%H%M%SZ").to_string();
        let date = &time[..8];
        let scope = format!("{date}/auto/s3/aws4_request");
        let canonical = format!(
            "{method}\n{path}\n{query}\nhost:{host}\nx-amz-content-sha256:{OF_NOTHING}\nx-amz-date:{time}\n\n\
             host;x-amz-content-sha256;x-amz-date\n{OF_NOTHING}"
        );
        let hash = hex(digest::digest(&digest::SHA256, canonical.as_bytes()).as_ref());
        let text = format!("AWS4-HMAC-SHA256\n{time}\n{scope}\n{hash}");
        let mut key = format!("AWS4{}", self.secret).into_bytes();
        for part in [date, "auto", "s3", "aws4_request"] {
            key = sign(&key, part);
        }
        let signature = hex(&sign(&key, &text));
        let credential = format!("{}/{scope}", self.access_key_id);
        let authorization = format!(
            "AWS4-HMAC-SHA256 Credential={credential}, SignedHeaders=host;x-amz-content-sha256;x-amz-date, Signature={signature}"
        );
        [("x-amz-content-sha256", OF_NOTHING), ("x-amz-date", &time), ("authorization", &authorization)]
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .to_vec()
    }
}

fn sign(key: &[u8], text: &str) -> Vec<u8> {
    hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), text.as_bytes()).as_ref().to_vec()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}
