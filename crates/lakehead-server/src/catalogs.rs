//! Which catalog a bucket's tables are in: the one that the configuration names, or else the one that is built in.
//!
//! **Bounds:** one client for each bucket and token, [`OPEN_MAX`] at most; the one opened first goes first.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use lakehead_model::{Clock, Random, Secret};
use lakehead_table::{Catalog, LoadedTable, LocalFiles, RestCatalog, TableStorage, storage_of};
use parking_lot::Mutex;

use crate::config;
use crate::storage::Storage;

/// Clients that are kept; one more than there can be sinks.
const OPEN_MAX: usize = lakehead_model::limits::RESOURCES_MAX + 1;

/// The built-in catalog of a bucket; a text for the pipeline's failure reason if it has none.
pub type Embedded = Arc<dyn Fn(&str) -> Result<Arc<dyn Catalog>, String> + Send + Sync>;

/// The catalogs of all buckets.
pub struct Catalogs {
    configured: BTreeMap<String, config::Catalog>,
    embedded: Embedded,
    storage: Arc<Storage>,
    clock: Arc<dyn Clock>,
    random: Arc<dyn Random>,
    open: Mutex<Vec<Open>>,
}

/// A client in use.
struct Open {
    bucket: String,
    token: Option<Secret>,
    catalog: Arc<dyn Catalog>,
}

impl fmt::Debug for Catalogs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Catalogs").field("configured", &self.configured).finish_non_exhaustive()
    }
}

impl Catalogs {
    /// `buckets`: as configured. `embedded`: asked for every bucket that has no catalog configured.
    pub fn new(
        buckets: &BTreeMap<String, config::Bucket>,
        embedded: Embedded,
        storage: Arc<Storage>,
        clock: Arc<dyn Clock>,
        random: Arc<dyn Random>,
    ) -> Self {
        let configured = buckets
            .iter()
            .filter_map(|(name, bucket)| Some((name.clone(), bucket.catalog.clone()?)))
            .collect();
        Catalogs { configured, embedded, storage, clock, random, open: Mutex::default() }
    }

    /// Those of a server without tables.
    #[cfg(test)]
    pub(crate) fn none(storage: Arc<Storage>, clock: Arc<dyn Clock>, random: Arc<dyn Random>) -> Self {
        let none: Embedded = Arc::new(|_| Err("there are no tables here".to_owned()));
        Catalogs::new(&BTreeMap::new(), none, storage, clock, random)
    }

    /// Whether the bucket's tables are in the catalog that is built in.
    pub fn is_embedded(&self, bucket: &str) -> bool {
        !self.configured.contains_key(bucket)
    }

    /// Whether the bucket's tables may be written now: a built-in catalog can be switched off meanwhile.
    ///
    /// # Errors
    /// As [`Catalogs::of`].
    pub fn check(&self, bucket: &str) -> Result<(), String> {
        if self.is_embedded(bucket) { (self.embedded)(bucket).map(|_| ()) } else { Ok(()) }
    }

    /// Where the files of a table in the bucket's catalog are.
    ///
    /// # Errors
    /// As [`Catalogs::of`].
    pub fn storage(&self, bucket: &str, table: &LoadedTable) -> Result<TableStorage, String> {
        let configured = self.storage.locate_for_table(bucket)?;
        let storage = storage_of(table, &configured, self.local_files(bucket), self.clock.now());
        storage.map_err(|e| e.to_string())
    }

    /// Whether the bucket's catalog may say that files are on this machine.
    pub fn local_files(&self, bucket: &str) -> LocalFiles {
        if self.is_embedded(bucket) { LocalFiles::Allowed } else { LocalFiles::Refused }
    }

    /// The catalog of `bucket`, which is not asked anything yet. `token`: the one that was given with the sink; credentials of the
    /// configuration win over it.
    ///
    /// # Errors
    /// A text for the pipeline's failure reason.
    pub fn of(&self, bucket: &str, token: Option<&Secret>) -> Result<Arc<dyn Catalog>, String> {
        let Some(configured) = self.configured.get(bucket) else { return (self.embedded)(bucket) };
        let mut open = self.open.lock();
        if let Some(found) = open.iter().find(|o| o.bucket == bucket && o.token.as_ref() == token) {
            return Ok(Arc::clone(&found.catalog));
        }
        let settings = configured.settings(token);
        let catalog = RestCatalog::new(&settings, Arc::clone(&self.clock), Arc::clone(&self.random))
            .map_err(|e| format!("the catalog of bucket `{bucket}` cannot be used: {e}"))?;
        let catalog: Arc<dyn Catalog> = Arc::new(catalog);
        if open.len() >= OPEN_MAX {
            open.remove(0);
        }
        open.push(Open { bucket: bucket.to_owned(), token: token.cloned(), catalog: Arc::clone(&catalog) });
        Ok(catalog)
    }
}

#[cfg(test)]
mod tests {
    use lakehead_model::clock::ManualClock;
    use lakehead_model::random::SeededRandom;
    use lakehead_sink::Bucket;
    use lakehead_table::FileAccess;

    use super::*;

    fn catalogs(configured: config::Catalog) -> Catalogs {
        let bucket = config::Bucket {
            endpoint: Some("http://127.0.0.1:2".to_owned()),
            catalog: Some(configured),
            ..config::Bucket::default()
        };
        let buckets = BTreeMap::from([
            ("elsewhere".to_owned(), bucket),
            ("plain".to_owned(), config::Bucket::default()),
        ]);
        let embedded: Embedded = Arc::new(|bucket| Err(format!("the embedded one of {bucket}")));
        let storage = Arc::new(Storage::new("buckets".into(), buckets.clone()));
        Catalogs::new(
            &buckets,
            embedded,
            storage,
            Arc::new(ManualClock::default()),
            Arc::new(SeededRandom::new(1)),
        )
    }

    fn configured() -> config::Catalog {
        config::Catalog { uri: "http://127.0.0.1:1".to_owned(), ..config::Catalog::default() }
    }

    #[test]
    fn a_bucket_without_a_section_has_the_catalog_that_is_built_in() {
        let catalogs = catalogs(configured());
        for bucket in ["plain", "never-heard-of"] {
            assert_eq!(catalogs.of(bucket, None).unwrap_err(), format!("the embedded one of {bucket}"));
            assert_eq!(catalogs.local_files(bucket), LocalFiles::Allowed);
        }
        assert_eq!(catalogs.local_files("elsewhere"), LocalFiles::Refused);
        let shown = format!("{:?}", catalogs.of("elsewhere", None).unwrap());
        assert!(shown.contains("RestCatalog") && shown.contains("http://127.0.0.1:1"), "{shown}");
    }

    #[test]
    fn files_in_another_catalog_go_where_it_says_and_never_into_folders() {
        let catalogs = catalogs(configured());
        let table = |location: &str| {
            LoadedTable {
            metadata: Arc::new(
                serde_json::from_value(serde_json::json!({
                    "format-version": 2, "table-uuid": "9c12d441-03fe-4693-9a96-a0705ddf69c1",
                    "location": location, "last-sequence-number": 0, "last-updated-ms": 0, "last-column-id": 1,
                    "current-schema-id": 0, "schemas": [{"type": "struct", "schema-id": 0, "fields": [
                        {"id": 1, "name": "n", "required": false, "type": "long"}]}],
                    "default-spec-id": 0, "partition-specs": [{"spec-id": 0, "fields": []}],
                    "last-partition-id": 999, "default-sort-order-id": 0,
                    "sort-orders": [{"order-id": 0, "fields": []}], "properties": {},
                }))
                .unwrap(),
            ),
            metadata_location: None,
            config: FileAccess::default(),
        }
        };
        let error = catalogs.storage("elsewhere", &table("s3://lake/t")).unwrap_err();
        assert!(error.contains("no keys to write with"), "{error}");
        let mut vended = table("s3://lake/t");
        for (name, value) in [("s3.access-key-id", "id"), ("s3.secret-access-key", "secret")] {
            vended.config.0.insert(name.to_owned(), value.to_owned());
        }
        let found = catalogs.storage("elsewhere", &vended).unwrap();
        let Bucket::S3(bucket) = found.bucket else { panic!("a folder") };
        assert_eq!((bucket.bucket.as_str(), bucket.endpoint.as_str()), ("lake", "http://127.0.0.1:2"));
        let error = catalogs.storage("elsewhere", &table("file:///etc/t")).unwrap_err();
        assert!(error.contains("no say over files of this machine"), "{error}");
    }

    #[test]
    fn a_client_is_shared_by_those_who_ask_with_the_same_token() {
        let catalogs = catalogs(configured());
        let of = |token: &str| catalogs.of("elsewhere", Some(&Secret::new(token))).unwrap();
        assert!(Arc::ptr_eq(&of("a"), &of("a")));
        assert!(!Arc::ptr_eq(&of("a"), &of("b")));
        assert!(!Arc::ptr_eq(&of("a"), &catalogs.of("elsewhere", None).unwrap()));
        for n in 0..2 * OPEN_MAX {
            of(&n.to_string());
        }
        assert_eq!(catalogs.open.lock().len(), OPEN_MAX);
    }

    #[test]
    fn a_token_that_cannot_be_sent_is_an_error_without_it() {
        let error = catalogs(configured()).of("elsewhere", Some(&Secret::new("can\nary"))).unwrap_err();
        assert!(error.contains("bucket `elsewhere`") && !error.contains("nary"), "{error}");
    }
}
