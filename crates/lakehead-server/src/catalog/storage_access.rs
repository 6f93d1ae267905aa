//! What readers are told of reaching the files of tables.
//!
//! Of a bucket in a folder, nothing: locations are `file://` paths. Of a bucket in an S3 store, endpoint, region and keys,
//! if the request asks for them (`X-Iceberg-Access-Delegation: vended-credentials`) and `hand_out_keys` of the bucket's
//! configuration lets this caller have them; else nothing. They are the keys the server itself uses: whoever has them can write to the bucket.

use serde_json::{Map, Value, json};

use super::calls::Asked;
use crate::config::HandOutKeys;

/// The two places of the protocol where properties of storage stand.
pub(super) struct FileAccess {
    pub(super) config: Map<String, Value>,
    pub(super) credentials: Vec<Value>,
}

impl Asked {
    /// `asked`: whether the call itself asks for keys.
    pub(super) fn file_access(&self, asked: bool) -> FileAccess {
        let Some(place) = self.catalogs.storage().s3_access(&self.bucket) else {
            return FileAccess { config: Map::new(), credentials: Vec::new() };
        };
        let may_have = match place.hand_out_keys {
            HandOutKeys::Never => false,
            HandOutKeys::Writers => self.guest.may_write,
            HandOutKeys::Everyone => true,
        };
        let Some((id, secret)) = place.keys.filter(|_| may_have && (asked || self.wants_keys())) else {
            // DuckDB takes any of the properties for credentials, and then leaves those of its user aside.
            return FileAccess { config: Map::new(), credentials: Vec::new() };
        };
        let mut config = Map::new();
        let mut put = |key: &str, value: &str| {
            config.insert(key.to_owned(), json!(value));
        };
        // ClickHouse repeats the bucket in its requests if the slash is missing.
        put("s3.endpoint", &format!("{}/", place.endpoint.trim_end_matches('/')));
        put("s3.region", &place.region);
        put("client.region", &place.region);
        put("s3.path-style-access", "true");
        put("s3.access-key-id", &id);
        put("s3.secret-access-key", secret.reveal());
        let prefix = format!("{}/", self.catalog.files().root());
        let credentials = vec![json!({ "prefix": prefix, "config": config })];
        FileAccess { config, credentials }
    }

    fn wants_keys(&self) -> bool {
        let asked = self.headers.get_all("x-iceberg-access-delegation").iter();
        let mut ways = asked.filter_map(|value| value.to_str().ok()).flat_map(|value| value.split(','));
        ways.any(|way| way.trim().eq_ignore_ascii_case("vended-credentials"))
    }
}
