//! Against a real catalog. `LAKEHEAD_TEST_CATALOG_URI` names it (`http://127.0.0.1:8181`), `LAKEHEAD_TEST_CATALOG_WAREHOUSE` its
//! warehouse, `LAKEHEAD_TEST_CATALOG_CLIENT_ID` and `LAKEHEAD_TEST_CATALOG_CLIENT_SECRET` an OAuth2 client that may do everything in
//! it. Without them these tests fail: whoever turned the feature on wants them to run.

use lakehead_model::{SystemClock, SystemRandom};
use lakehead_sink::{Bucket, S3Bucket};

use super::*;
use crate::conformance::{CHECKS, Subject};
use crate::{LocalFiles, storage_of};

fn variable(name: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| panic!("{name} is not set"))
}

fn real(client_secret: &str) -> RestCatalog {
    let client = ClientCredentials {
        server_uri: None,
        client_id: Some(variable("LAKEHEAD_TEST_CATALOG_CLIENT_ID")),
        client_secret: Secret::new(client_secret),
        scope: None,
    };
    let settings = RestSettings {
        uri: variable("LAKEHEAD_TEST_CATALOG_URI"),
        warehouse: Some(variable("LAKEHEAD_TEST_CATALOG_WAREHOUSE")),
        auth: RestAuth::ClientCredentials(client),
        headers: Vec::new(),
        request_seconds: 30,
    };
    RestCatalog::new(&settings, Arc::new(SystemClock::default()), Arc::new(SystemRandom)).unwrap()
}

fn subject() -> Subject {
    let catalog = Arc::new(real(&variable("LAKEHEAD_TEST_CATALOG_CLIENT_SECRET")));
    Subject {
        catalog,
        namespace: format!("ns_{:016x}", SystemRandom.u64()),
        is_nested: true,
        gives_existing: true,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn it_does_what_every_catalog_must_do() {
    for (name, check) in CHECKS {
        println!("{name}");
        check(subject()).await;
    }
}

#[tokio::test]
async fn a_wrong_secret_is_unauthorized_and_not_shown() {
    let error = real("not-this-one").namespaces(None).await.unwrap_err();
    assert_eq!(error.kind, CatalogErrorKind::Unauthorized, "{error}");
    assert!(!error.text.contains("not-this-one"), "{error}");
}

#[tokio::test]
async fn files_of_a_table_go_into_the_bucket_that_the_catalog_names() {
    let subject = subject();
    let namespace = NamespaceIdent::new(subject.namespace.clone());
    subject.catalog.ensure_namespace(&namespace).await.unwrap();
    let table = TableIdent::new(namespace, "t".to_owned());
    let made = subject.catalog.create_table(&table, new_table()).await.unwrap();
    println!("{:?} {:?} {:?}", made.metadata.location(), made.metadata_location, made.config);
    let configured = Bucket::S3(S3Bucket {
        endpoint: "http://127.0.0.1:1".to_owned(),
        region: "us-east-1".to_owned(),
        bucket: "configured".to_owned(),
        access_key_id: "id".to_owned(),
        secret: Secret::new(SECRET),
        session_token: None,
        path_style: true,
        allow_http: true,
    });
    let now = SystemClock::default().now();
    let storage = storage_of(&made, &configured, LocalFiles::Refused, now).unwrap();
    let Bucket::S3(bucket) = &storage.bucket else { panic!("{storage:?}") };
    assert_eq!(format!("s3://{}/{}", bucket.bucket, storage.prefix), made.metadata.location());
}
