use std::path::PathBuf;

use lakehead_model::clock::ManualClock;
use lakehead_model::random::SeededRandom;
use lakehead_sink::Bucket;
use lakehead_table::{FileAccess, spec};
use serde_json::json;

use super::*;

/// The built-in catalogs, which only say that they were asked.
#[derive(Debug)]
struct Embedded;

impl Catalogs for Embedded {
    fn of(&self, bucket: &str, _: Option<Secret>) -> Result<Arc<dyn Catalog>, String> {
        Err(format!("the embedded one of {bucket}"))
    }

    fn storage(&self, bucket: &str, _: &LoadedTable) -> Result<TableStorage, String> {
        Err(format!("the embedded one of {bucket}"))
    }
}

fn choice() -> CatalogChoice {
    let catalog = config::Catalog { uri: "http://127.0.0.1:1".to_owned(), ..config::Catalog::default() };
    let elsewhere = config::Bucket {
        endpoint: Some("http://127.0.0.1:2".to_owned()),
        catalog: Some(catalog),
        ..config::Bucket::default()
    };
    let buckets = BTreeMap::from([("elsewhere".to_owned(), elsewhere)]);
    let storage = Arc::new(Storage::new(PathBuf::from("buckets"), buckets.clone()));
    let (clock, random) = (Arc::new(ManualClock::default()), Arc::new(SeededRandom::new(1)));
    CatalogChoice::new(&buckets, Arc::new(Embedded), storage, clock, random)
}

fn token(text: &str) -> Option<Secret> {
    Some(Secret::new(text))
}

fn table(location: &str, config: &[(&str, &str)]) -> LoadedTable {
    let metadata: spec::TableMetadata = serde_json::from_value(json!({
        "format-version": 2, "table-uuid": "9c12d441-03fe-4693-9a96-a0705ddf69c1", "location": location,
        "last-sequence-number": 0, "last-updated-ms": 0, "last-column-id": 1, "current-schema-id": 0,
        "schemas": [{"type": "struct", "schema-id": 0, "fields": [
            {"id": 1, "name": "n", "required": false, "type": "long"}]}],
        "default-spec-id": 0, "partition-specs": [{"spec-id": 0, "fields": []}], "last-partition-id": 999,
        "default-sort-order-id": 0, "sort-orders": [{"order-id": 0, "fields": []}], "properties": {},
    }))
    .unwrap();
    let config = config.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
    LoadedTable { metadata: Arc::new(metadata), metadata_location: None, config: FileAccess(config) }
}

#[test]
fn a_bucket_without_a_section_has_the_catalog_that_is_built_in() {
    let choice = choice();
    let built_in = "the embedded one of never-heard-of";
    assert_eq!(choice.of("never-heard-of", None).unwrap_err(), built_in);
    assert_eq!(choice.storage("never-heard-of", &table("s3://a/b", &[])).unwrap_err(), built_in);
    let shown = format!("{:?}", choice.of("elsewhere", None).unwrap());
    assert!(shown.contains("RestCatalog") && shown.contains("http://127.0.0.1:1"), "{shown}");
}

#[test]
fn files_in_another_catalog_go_where_it_says_and_never_into_folders() {
    let choice = choice();
    let error = choice.storage("elsewhere", &table("s3://lake/t", &[])).unwrap_err();
    assert!(error.contains("no keys to write with"), "{error}");
    let keys = [("s3.access-key-id", "id"), ("s3.secret-access-key", "secret")];
    let found = choice.storage("elsewhere", &table("s3://lake/t", &keys)).unwrap();
    let Bucket::S3(bucket) = found.bucket else { panic!("a folder") };
    assert_eq!((bucket.bucket.as_str(), bucket.endpoint.as_str()), ("lake", "http://127.0.0.1:2"));
    let error = choice.storage("elsewhere", &table("file:///etc/t", &keys)).unwrap_err();
    assert!(error.contains("no say over files of this machine"), "{error}");
}

#[test]
fn a_client_is_shared_by_those_who_ask_with_the_same_token() {
    let choice = choice();
    let of = |text: &str| choice.of("elsewhere", token(text)).unwrap();
    assert!(Arc::ptr_eq(&of("a"), &of("a")));
    assert!(!Arc::ptr_eq(&of("a"), &of("b")));
    assert!(!Arc::ptr_eq(&of("a"), &choice.of("elsewhere", None).unwrap()));
    for n in 0..2 * OPEN_MAX {
        of(&n.to_string());
    }
    assert_eq!(choice.open.lock().len(), OPEN_MAX);
}

#[test]
fn a_token_that_cannot_be_sent_is_an_error_without_it() {
    let error = choice().of("elsewhere", token("can\nary")).unwrap_err();
    assert!(error.contains("bucket `elsewhere`") && !error.contains("nary"), "{error}");
}
