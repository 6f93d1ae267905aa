//! The client against a catalog that answers what a test says.

mod access;
mod answers;
mod played;
#[cfg(feature = "catalog-tests")]
mod real;

use std::collections::HashMap;
use std::sync::Arc;

use iceberg::spec::{NestedField, PrimitiveType, Schema, Type};
use iceberg::{NamespaceIdent, TableIdent, TableRequirement, TableUpdate};
use lakehead_model::clock::ManualClock;
use lakehead_model::random::SeededRandom;
use lakehead_model::{Secret, Timestamp};
use serde_json::{Value, json};

use self::played::{Answer, Asked, Played, error, ok, text};
use super::*;

const SECRET: &str = "canary-of-the-tests";
const UUID: &str = "9c12d441-03fe-4693-9a96-a0705ddf69c1";

fn settings(uri: &str) -> RestSettings {
    RestSettings {
        uri: uri.to_owned(),
        warehouse: Some("w".to_owned()),
        auth: RestAuth::Token(Secret::new(SECRET)),
        headers: Vec::new(),
        request_seconds: 2,
    }
}

fn open(settings: &RestSettings) -> RestCatalog {
    open_at(settings, &Arc::new(ManualClock::starting_at(Timestamp(1_795_338_000_000_000))))
}

fn open_at(settings: &RestSettings, clock: &Arc<ManualClock>) -> RestCatalog {
    let clock: Arc<dyn Clock> = clock.clone();
    RestCatalog::new(settings, clock, Arc::new(SeededRandom::new(1))).unwrap()
}

fn catalog(played: &Played) -> RestCatalog {
    open(&settings(&played.uri))
}

fn namespace() -> NamespaceIdent {
    NamespaceIdent::from_strs(["a", "b"]).unwrap()
}

fn table() -> TableIdent {
    TableIdent::new(namespace(), "t".to_owned())
}

fn metadata() -> Value {
    json!({
        "format-version": 2, "table-uuid": UUID, "location": "s3://lake/a/b/t",
        "last-sequence-number": 0, "last-updated-ms": 1_795_338_000_000_i64, "last-column-id": 1,
        "current-schema-id": 0,
        "schemas": [{"type": "struct", "schema-id": 0, "fields": [
            {"id": 1, "name": "n", "required": false, "type": "long"}]}],
        "default-spec-id": 0, "partition-specs": [{"spec-id": 0, "fields": []}], "last-partition-id": 999,
        "default-sort-order-id": 0, "sort-orders": [{"order-id": 0, "fields": []}], "properties": {},
    })
}

fn loaded() -> Value {
    json!({"metadata-location": "s3://lake/a/b/t/metadata/1.json", "metadata": metadata(), "config": {}})
}

fn change() -> TableChange {
    TableChange {
        table: table(),
        requirements: vec![
            TableRequirement::UuidMatch { uuid: UUID.parse().unwrap() },
            TableRequirement::RefSnapshotIdMatch { r#ref: "main".to_owned(), snapshot_id: None },
        ],
        updates: vec![TableUpdate::SetProperties {
            updates: HashMap::from([("p".to_owned(), "1".to_owned())]),
        }],
    }
}

fn new_table() -> NewTable {
    let field = NestedField::optional(1, "n", Type::Primitive(PrimitiveType::Long));
    NewTable {
        schema: Schema::builder().with_fields([field.into()]).build().unwrap(),
        partition_spec: None,
        sort_order: None,
        properties: HashMap::from([("format-version".to_owned(), "2".to_owned())]),
    }
}

#[tokio::test]
async fn a_table_is_loaded_below_the_prefix_with_the_token_and_a_wish_for_credentials() {
    let played = Played::start(|asked, _| match asked.is_config() {
        true => ok(&json!({"defaults": {}, "overrides": {"prefix": "p"}, "endpoints": ["GET /v1/config"]})),
        false => ok(&loaded()),
    })
    .await;
    let mut settings = settings(&format!("{}/", played.uri));
    settings.headers = vec![("X-Tenant".to_owned(), Secret::new("seven"))];
    let catalog = open(&settings);
    let loaded = catalog.load_table(&table()).await.unwrap().unwrap();
    assert_eq!(loaded.metadata.uuid().to_string(), UUID);
    assert_eq!(loaded.metadata_location.as_deref(), Some("s3://lake/a/b/t/metadata/1.json"));
    catalog.load_table(&table()).await.unwrap().unwrap();
    let asked = played.asked();
    let lines: Vec<_> = asked.iter().map(|a| a.line.as_str()).collect();
    let load = "GET /v1/p/namespaces/a%1Fb/tables/t";
    assert_eq!(lines, ["GET /v1/config?warehouse=w", load, load]);
    for asked in &asked {
        assert_eq!(asked.header("authorization"), Some("Bearer canary-of-the-tests"));
        assert_eq!(asked.header("x-tenant"), Some("seven"));
    }
    assert_eq!(asked[1].header("x-iceberg-access-delegation"), Some("vended-credentials"));
}

#[tokio::test]
async fn what_is_said_of_the_files_is_the_config_and_the_closest_credentials() {
    let played = Played::plain(|_, _| {
        let credential = |prefix: &str, key: &str| {
            json!({"prefix": prefix, "config": {"s3.access-key-id": key, "s3.session-token": SECRET}})
        };
        let mut loaded = loaded();
        loaded["config"] = json!({"s3.region": "eu", "s3.access-key-id": "all", "n": 7, "none": null});
        loaded["storage-credentials"] = json!([
            credential("s3://", "store"), credential("s3://lake/a/b/t", "table"), credential("s3://lake", "bucket"),
            credential("s3://lake/a/b/t2", "another"),
        ]);
        ok(&loaded)
    })
    .await;
    let loaded = catalog(&played).load_table(&table()).await.unwrap().unwrap();
    let expected =
        [("s3.region", "eu"), ("s3.access-key-id", "table"), ("s3.session-token", SECRET), ("n", "7")];
    assert_eq!(loaded.config.0, expected.map(|(k, v)| (k.to_owned(), v.to_owned())).into());
    assert!(!format!("{loaded:?}").contains(SECRET));
}

#[tokio::test]
async fn a_missing_table_is_none_and_a_wrong_address_is_not_a_missing_table() {
    let played = Played::plain(|asked, _| match asked.line.as_str() {
        line if line.contains("gone") => error(404, "NoSuchTableException", "no such table"),
        _ => text(404, "<html>not found</html>"),
    })
    .await;
    let catalog = catalog(&played);
    let gone = TableIdent::new(namespace(), "gone".to_owned());
    assert!(catalog.load_table(&gone).await.unwrap().is_none());
    let error = catalog.load_table(&table()).await.unwrap_err();
    assert_eq!(error.kind, CatalogErrorKind::Refused);
    assert!(error.text.contains("is the address right?"), "{error}");
    assert_eq!(played.asked().iter().filter(|a| a.is_config()).count(), 1);
    let _ = catalog.load_table(&table()).await;
    assert_eq!(played.asked().iter().filter(|a| a.is_config()).count(), 2, "the prefix may be another now");
}

#[tokio::test]
async fn a_table_is_created_and_committed_to_with_bodies_as_the_protocol_has_them() {
    let played = Played::plain(|_, _| ok(&loaded())).await;
    let catalog = catalog(&played);
    catalog.create_table(&table(), new_table()).await.unwrap();
    let committed = catalog.commit(change()).await.unwrap();
    assert_eq!(committed.metadata.uuid().to_string(), UUID);
    assert_eq!(played.lines(), ["POST /v1/namespaces/a%1Fb/tables", "POST /v1/namespaces/a%1Fb/tables/t"]);
    let asked = played.asked();
    assert_eq!(asked[1].header("content-type"), Some("application/json"));
    assert_eq!(asked[1].header("x-iceberg-access-delegation"), Some("vended-credentials"));
    assert_eq!(asked[1].header("idempotency-key"), None);
    assert_eq!(
        asked[1].json(),
        json!({
            "name": "t", "stage-create": false, "properties": {"format-version": "2"},
            "schema": {"type": "struct", "schema-id": 0, "fields": [
                {"id": 1, "name": "n", "required": false, "type": "long"}]},
        })
    );
    assert_eq!(
        asked[2].json(),
        json!({
            "identifier": {"namespace": ["a", "b"], "name": "t"},
            "requirements": [
                {"type": "assert-table-uuid", "uuid": UUID},
                {"type": "assert-ref-snapshot-id", "ref": "main", "snapshot-id": null},
            ],
            "updates": [{"action": "set-properties", "updates": {"p": "1"}}],
        })
    );
}

#[tokio::test]
async fn a_namespace_and_those_above_it_are_made_if_they_are_not_there() {
    let played = Played::plain(|asked, before| match (asked.line.as_str(), before) {
        ("GET /v1/namespaces/a", _) => error(404, "NoSuchNamespaceException", ""),
        ("GET /v1/namespaces/a%1Fb", 0) => error(404, "NoSuchNamespaceException", ""),
        ("GET /v1/namespaces/a%1Fb", _) => ok(&json!({"namespace": ["a", "b"]})),
        // Somebody else was first; then an answer is lost, and the second try finds what the first one made.
        ("POST /v1/namespaces", 0) => error(409, "AlreadyExistsException", ""),
        ("POST /v1/namespaces", 1) => Answer::HangUp,
        ("POST /v1/namespaces", 2) => error(409, "AlreadyExistsException", ""),
        other => panic!("{other:?}"),
    })
    .await;
    let catalog = catalog(&played);
    catalog.ensure_namespace(&namespace()).await.unwrap();
    let bodies: Vec<_> =
        played.asked().iter().filter(|a| a.line.starts_with("POST")).map(Asked::json).collect();
    let inner = json!({"namespace": ["a", "b"], "properties": {}});
    assert_eq!(bodies, [json!({"namespace": ["a"], "properties": {}}), inner.clone(), inner]);
    catalog.ensure_namespace(&namespace()).await.unwrap();
    assert_eq!(played.lines().len(), 6, "what is there is looked at once");
}

#[tokio::test]
async fn lists_are_followed_to_their_last_page() {
    let played = Played::plain(|asked, _| match asked.line.as_str() {
        "GET /v1/namespaces/a%1Fb/tables" => {
            ok(&json!({"identifiers": [{"namespace": ["a", "b"], "name": "t1"}], "next-page-token": "x/ y"}))
        }
        "GET /v1/namespaces/a%1Fb/tables?pageToken=x%2F+y" => {
            ok(&json!({"identifiers": [{"namespace": ["a", "b"], "name": "t2"}], "next-page-token": null}))
        }
        "GET /v1/namespaces?parent=a%1Fb" => {
            ok(&json!({"namespaces": [["a", "b", "c"], ["a", "b"], ["a", "b", "c", "d"]], "next-page-token": ""}))
        }
        "GET /v1/namespaces" => ok(&json!({"namespaces": [["a"], ["z"]]})),
        line => panic!("{line}"),
    })
    .await;
    let catalog = catalog(&played);
    let tables = catalog.tables(&namespace()).await.unwrap();
    assert_eq!(tables.iter().map(TableIdent::name).collect::<Vec<_>>(), ["t1", "t2"]);
    let inner = NamespaceIdent::from_strs(["a", "b", "c"]).unwrap();
    assert_eq!(catalog.namespaces(Some(&namespace())).await.unwrap(), [inner]);
    assert_eq!(catalog.namespaces(None).await.unwrap().len(), 2);
}

#[tokio::test]
async fn a_list_that_does_not_end_is_refused() {
    let same = Played::plain(|_, _| ok(&json!({"namespaces": [["a"]], "next-page-token": "1"}))).await;
    let error = catalog(&same).namespaces(None).await.unwrap_err();
    assert_eq!(error.kind, CatalogErrorKind::Refused, "{error}");
    assert_eq!(same.lines().len(), 2);
}
