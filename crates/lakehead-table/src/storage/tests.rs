use std::path::PathBuf;
use std::sync::Arc;

use iceberg::spec::TableMetadata;
use serde_json::json;

use super::*;
use crate::FileAccess;

const NOW: Timestamp = Timestamp(1_795_338_000_000_000);

fn table(location: &str, config: &[(&str, &str)]) -> LoadedTable {
    let metadata = json!({
        "format-version": 2, "table-uuid": "9c12d441-03fe-4693-9a96-a0705ddf69c1", "location": location,
        "last-sequence-number": 0, "last-updated-ms": 1_795_338_000_000_i64, "last-column-id": 1,
        "current-schema-id": 0,
        "schemas": [{"type": "struct", "schema-id": 0, "fields": [
            {"id": 1, "name": "n", "required": false, "type": "long"}]}],
        "default-spec-id": 0, "partition-specs": [{"spec-id": 0, "fields": []}], "last-partition-id": 999,
        "default-sort-order-id": 0, "sort-orders": [{"order-id": 0, "fields": []}], "properties": {},
    });
    let metadata: TableMetadata = serde_json::from_value(metadata).unwrap();
    let config = config.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
    LoadedTable { metadata: Arc::new(metadata), metadata_location: None, config: FileAccess(config) }
}

fn s3() -> Bucket {
    Bucket::S3(S3Bucket {
        endpoint: "https://store.example.com".into(),
        region: "auto".into(),
        bucket: "lake".into(),
        access_key_id: "static".into(),
        secret: Secret::new("static-secret"),
        session_token: None,
        path_style: true,
        allow_http: true,
    })
}

fn local() -> Bucket {
    Bucket::Local { root: PathBuf::from("/data/lake") }
}

fn bucket(storage: TableStorage) -> S3Bucket {
    match storage.bucket {
        Bucket::S3(bucket) => bucket,
        Bucket::Local { root } => panic!("a folder: {root:?}"),
    }
}

fn refusal(location: &str, config: &[(&str, &str)], configured: &Bucket) -> String {
    let error = storage_of(&table(location, config), configured, LocalFiles::Allowed, NOW).unwrap_err();
    assert_eq!(error.kind, CatalogErrorKind::Refused);
    error.text
}

const VENDED: &[(&str, &str)] = &[
    ("s3.access-key-id", "vended"),
    ("s3.secret-access-key", "vended-secret"),
    ("s3.session-token", "vended-token"),
];

#[test]
fn a_table_in_the_bucket_or_in_another_one_is_reached_with_the_keys_of_the_operator() {
    for (location, name, prefix) in [
        ("s3://lake/ns/t", "lake", "ns/t"),
        ("s3a://lake/ns/t/", "lake", "ns/t"),
        ("s3n://other/t", "other", "t"),
        ("s3://lake", "lake", ""),
    ] {
        let storage = storage_of(&table(location, &[]), &s3(), LocalFiles::Refused, NOW).unwrap();
        assert_eq!((storage.prefix.as_str(), storage.reload_at), (prefix, None), "{location}");
        let bucket = bucket(storage);
        assert_eq!((bucket.bucket.as_str(), bucket.access_key_id.as_str()), (name, "static"));
        assert_eq!(bucket.endpoint, "https://store.example.com");
    }
}

#[test]
fn keys_of_the_catalog_win_with_their_endpoint_and_an_endpoint_alone_does_not() {
    let place = [
        ("s3.endpoint", "https://vended.example.com"),
        ("client.region", "eu"),
        ("s3.path-style-access", "false"),
    ];
    let of = |config: &[(&str, &str)]| {
        bucket(storage_of(&table("s3://lake/t", config), &s3(), LocalFiles::Refused, NOW).unwrap())
    };
    let vended = of(&[VENDED, &place].concat());
    assert_eq!((vended.access_key_id.as_str(), vended.secret.reveal()), ("vended", "vended-secret"));
    assert_eq!(vended.session_token.unwrap().reveal(), "vended-token");
    assert_eq!((vended.endpoint.as_str(), vended.region.as_str()), ("https://vended.example.com", "eu"));
    assert!(!vended.path_style && !vended.allow_http);
    let keys_alone = of(VENDED);
    assert_eq!(
        (keys_alone.endpoint.as_str(), keys_alone.region.as_str()),
        ("https://store.example.com", "auto")
    );
    assert!(keys_alone.path_style);
    let place_alone = of(&place);
    assert_eq!(
        (place_alone.endpoint.as_str(), place_alone.access_key_id.as_str()),
        ("https://store.example.com", "static")
    );
    assert_eq!(of(&[("s3.region", "one"), ("client.region", "two")]).region, "auto");
    assert_eq!(of(&[VENDED, &[("s3.region", "one"), ("client.region", "two")]].concat()).region, "one");
    assert_eq!(of(&VENDED[..1]).access_key_id, "static", "half a key pair is none");
}

#[test]
fn the_keys_of_a_catalog_do_without_a_configured_store_if_they_come_with_an_endpoint() {
    let with_endpoint = [VENDED, &[("s3.endpoint", "https://v.example.com")]].concat();
    let storage = storage_of(&table("s3://x/t", &with_endpoint), &local(), LocalFiles::Refused, NOW).unwrap();
    let found = bucket(storage);
    assert_eq!((found.endpoint.as_str(), found.bucket.as_str()), ("https://v.example.com", "x"));
    let of_region = [VENDED, &[("client.region", "eu-central-1")]].concat();
    let storage = storage_of(&table("s3://x/t", &of_region), &local(), LocalFiles::Refused, NOW).unwrap();
    assert_eq!(bucket(storage).endpoint, "https://s3.eu-central-1.amazonaws.com");
    assert!(refusal("s3://x/t", VENDED, &local()).contains("no endpoint"));
    assert!(refusal("s3://x/t", &[], &local()).contains("gave no keys"));
    let Bucket::S3(keyless) = s3() else { panic!("a folder") };
    let keyless = Bucket::S3(S3Bucket { access_key_id: String::new(), secret: Secret::new(""), ..keyless });
    assert!(refusal("s3://x/t", &[], &keyless).contains("no keys to write with"));
    let storage = storage_of(&table("s3://x/t", VENDED), &keyless, LocalFiles::Refused, NOW).unwrap();
    assert_eq!(bucket(storage).access_key_id, "vended");
}

#[test]
fn credentials_are_asked_for_anew_before_they_end() {
    let reload = |more: &[(&str, &str)]| {
        let config = [VENDED, more].concat();
        let storage = storage_of(&table("s3://lake/t", &config), &s3(), LocalFiles::Refused, NOW).unwrap();
        storage.reload_at.map(|at| (at.as_micros() - NOW.as_micros()) / 1_000_000)
    };
    let end = |seconds: i64| (NOW.as_millis() + seconds * 1000).to_string();
    assert_eq!(reload(&[("s3.session-token-expires-at-ms", &end(3600))]), Some(3300));
    assert_eq!(reload(&[("s3.session-token-expires-at-ms", &end(60))]), Some(30));
    assert_eq!(reload(&[("expiration-time", &end(3600))]), Some(3300));
    assert_eq!(reload(&[("s3.session-token-expires-at-ms", &end(-5))]), Some(0));
    assert_eq!(reload(&[]), Some(600), "nobody said when the session ends");
    assert_eq!(reload(&[("s3.session-token", "")]), None, "keys without a session do not end");
}

#[test]
fn a_folder_is_a_place_for_catalogs_that_may_and_within_the_bucket() {
    for location in ["file:///data/lake/ns/t", "file:/data/lake/ns/t", "/data/lake/ns/t"] {
        let storage = storage_of(&table(location, &[]), &local(), LocalFiles::Allowed, NOW).unwrap();
        assert_eq!(storage.prefix, "ns/t");
        assert!(matches!(storage.bucket, Bucket::Local { root } if root == Path::new("/data/lake")));
        let error = storage_of(&table(location, &[]), &local(), LocalFiles::Refused, NOW).unwrap_err();
        assert!(error.text.contains("no say over files of this machine"), "{error}");
    }
    for outside in ["file:///data/lakes/t", "file:///etc", "file:///data/lake/../x", "lake/t"] {
        refusal(outside, &[], &local());
    }
    assert!(refusal("file:///data/lake/t", &[], &s3()).contains("in an S3 store"));
}

#[test]
fn other_places_are_refused_by_name() {
    for (location, expected) in [
        ("gs://lake/t", "\"gs\""),
        ("abfss://c@a/t", "\"abfss\""),
        ("s3:///t", "names no bucket"),
        ("s3://lake/a//b", "no plain path"),
        ("s3://lake/../b", "no plain path"),
    ] {
        let text = refusal(location, &[], &s3());
        assert!(text.contains(expected) && text.contains(location), "{text}");
    }
}
