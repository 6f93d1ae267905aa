//! Against a real S3 store. `LAKEHEAD_TEST_S3_ENDPOINT` names it (`http://127.0.0.1:8333`); `LAKEHEAD_TEST_S3_BUCKET` an existing
//! bucket, `LAKEHEAD_TEST_S3_ACCESS_KEY_ID` and `LAKEHEAD_TEST_S3_SECRET_ACCESS_KEY` who may read and write it. Without them these
//! tests fail: whoever turned the feature on wants them to run.

use lakehead_model::{Random, Secret, SystemRandom};
use lakehead_sink::{Bucket, ErrorKind, Published, Publisher, S3Bucket, UploadLimits, Uploads};
use object_store::ObjectStoreExt;
use object_store::aws::{AmazonS3, AmazonS3Builder};
use object_store::path::Path;

use crate::rows::{Place, at, batch, json, parquet, read};

fn variable(name: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| panic!("{name} is not set"))
}

fn bucket() -> S3Bucket {
    S3Bucket {
        endpoint: variable("LAKEHEAD_TEST_S3_ENDPOINT"),
        region: "us-east-1".into(),
        bucket: variable("LAKEHEAD_TEST_S3_BUCKET"),
        access_key_id: variable("LAKEHEAD_TEST_S3_ACCESS_KEY_ID"),
        secret: Secret::new(variable("LAKEHEAD_TEST_S3_SECRET_ACCESS_KEY")),
        session_token: None,
        path_style: true,
        allow_http: false,
    }
}

/// The same bucket seen without this crate.
fn plain(bucket: &S3Bucket) -> AmazonS3 {
    AmazonS3Builder::new()
        .with_endpoint(&bucket.endpoint)
        .with_allow_http(true)
        .with_region(&bucket.region)
        .with_bucket_name(&bucket.bucket)
        .with_access_key_id(&bucket.access_key_id)
        .with_secret_access_key(bucket.secret.reveal())
        .build()
        .unwrap()
}

/// Parts of 5 MiB, the least S3 takes.
fn uploads() -> Uploads {
    Uploads::new(UploadLimits { part_bytes: 5 << 20, call_seconds: 20, tries: 3, ..UploadLimits::default() })
}

async fn publisher(place: &Place, bucket: S3Bucket) -> Publisher {
    Publisher::new(Bucket::S3(bucket), place.staging(), &place.seams, uploads()).await.unwrap()
}

#[tokio::test]
async fn small_and_large_files_arrive_whole_and_publishing_again_finds_them() {
    let place = Place::new();
    let publisher = publisher(&place, bucket()).await;
    assert!(publisher.honours_conditions());
    for (format, rows) in [(parquet(), 1000), (json(), 1000), (json(), 1_100_000)] {
        let mut settings = place.settings(format);
        settings.config.path = format!("it/{:032x}/a b+é=c", SystemRandom.u128());
        let mut writer = place.writer(settings);
        writer.write(&batch(0..rows), &"year=2025/month=08".into(), at(0)).unwrap();
        let files = writer.prepare().unwrap().files;
        assert_eq!(files[0].size_bytes > 10 << 20, rows > 1000, "one of them goes up in three parts");
        assert_eq!(publisher.publish(&files).await.unwrap(), Published { placed: 1, found: 0 });
        assert_eq!(publisher.publish(&files).await.unwrap(), Published { placed: 0, found: 1 });
        publisher.discard(&files).await.unwrap();
        assert!(place.staged().is_empty());
        assert_eq!(publisher.publish(&files).await.unwrap(), Published { placed: 0, found: 1 });
        let key = Path::parse(&files[0].key).unwrap();
        let there = plain(&bucket()).get(&key).await.unwrap().bytes().await.unwrap();
        assert_eq!(read(&files[0].key, &there), (0..rows).collect::<Vec<_>>());
    }
}

#[tokio::test]
async fn another_object_under_the_key_is_a_conflict_and_stays_as_it_is() {
    let place = Place::new();
    let publisher = publisher(&place, bucket()).await;
    let mut settings = place.settings(json());
    settings.config.path = format!("it/{:032x}", SystemRandom.u128());
    let mut writer = place.writer(settings);
    writer.write(&batch(0..10), &"".into(), at(0)).unwrap();
    let files = writer.prepare().unwrap().files;
    let key = Path::parse(&files[0].key).unwrap();
    let foreign = vec![b'x'; usize::try_from(files[0].size_bytes).unwrap()];
    plain(&bucket()).put(&key, foreign.clone().into()).await.unwrap();
    assert_eq!(publisher.publish(&files).await.unwrap_err().kind(), ErrorKind::Conflict);
    assert_eq!(plain(&bucket()).get(&key).await.unwrap().bytes().await.unwrap(), foreign);
}

#[tokio::test]
async fn a_wrong_secret_is_refused_at_once_and_not_shown() {
    let place = Place::new();
    let bad = S3Bucket { secret: Secret::new("not-this-one"), ..bucket() };
    let made = Publisher::new(Bucket::S3(bad), place.staging(), &place.seams, uploads()).await;
    let error = made.expect_err("the store takes any secret");
    assert_eq!(error.kind(), ErrorKind::Refused, "{error}");
    assert!(!error.to_string().contains("not-this-one"), "{error}");
}

#[tokio::test]
async fn a_store_that_does_not_answer_is_unavailable() {
    let place = Place::new();
    // Nobody listens on the discard port.
    let gone = S3Bucket { endpoint: "http://127.0.0.1:9".into(), ..bucket() };
    let made = Publisher::new(Bucket::S3(gone), place.staging(), &place.seams, uploads()).await;
    assert_eq!(made.err().unwrap().kind(), ErrorKind::Unavailable);
}
