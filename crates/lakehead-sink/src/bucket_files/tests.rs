use std::sync::Arc;

use lakehead_disk::SystemDisk;
use lakehead_model::{SystemClock, SystemRandom};

use super::*;
use crate::{ErrorKind, S3Bucket};

fn seams() -> Seams {
    Seams::new(Arc::new(SystemClock::default()), Arc::new(SystemRandom), Arc::new(SystemDisk))
}

fn local() -> (tempfile::TempDir, BucketFiles) {
    let dir = tempfile::tempdir().unwrap();
    let files = BucketFiles::open(&Bucket::Local { root: dir.path().join("b") }, &seams()).unwrap();
    (dir, files)
}

#[tokio::test]
async fn what_was_put_is_there_whole_and_is_not_overwritten() {
    let (_dir, files) = local();
    files.put("t/metadata/a.json", "hello".into()).await.unwrap();
    assert_eq!(files.get("t/metadata/a.json").await.unwrap().unwrap(), "hello");
    assert_eq!(files.get_range("t/metadata/a.json", 1..3).await.unwrap().unwrap(), "el");
    assert_eq!(files.size("t/metadata/a.json").await.unwrap(), Some(5));
    let again = files.put("t/metadata/a.json", "other".into()).await.unwrap_err();
    assert_eq!(again.kind(), ErrorKind::Conflict);
    assert_eq!(files.get("t/metadata/a.json").await.unwrap().unwrap(), "hello");
}

#[tokio::test]
async fn what_is_not_there_is_none_and_may_be_removed() {
    let (_dir, files) = local();
    assert_eq!(files.get("t/none").await.unwrap(), None);
    assert_eq!(files.get_range("t/none", 0..1).await.unwrap(), None);
    assert_eq!(files.size("t/none").await.unwrap(), None);
    assert_eq!(files.list("t/").await.unwrap(), []);
    files.delete("t/none").await.unwrap();
}

#[tokio::test]
async fn a_listing_shows_files_of_all_folders_below_and_none_that_is_being_made() {
    let (dir, files) = local();
    for key in ["t/a", "t/x/b", "t/x/y/c", "other/d"] {
        files.put(key, "12".into()).await.unwrap();
    }
    std::fs::write(dir.path().join("b/t/.half.part"), "1").unwrap();
    let mut listed = files.list("t/").await.unwrap();
    listed.sort_by(|a, b| a.key.cmp(&b.key));
    assert_eq!(listed.iter().map(|f| f.key.as_str()).collect::<Vec<_>>(), ["t/a", "t/x/b", "t/x/y/c"]);
    assert!(listed.iter().all(|f| f.size_bytes == 2 && f.modified.0 > 1_600_000_000_000_000));
    files.delete("t/x/b").await.unwrap();
    assert_eq!(files.list("t/x/").await.unwrap().len(), 1);
}

#[tokio::test]
async fn no_key_leads_out_of_the_folder() {
    let (_dir, files) = local();
    for key in ["../x", "a/../../x", "/etc/passwd", "a//b", "", "./a"] {
        assert_eq!(files.get(key).await.unwrap_err().kind(), ErrorKind::Settings, "{key}");
        assert!(files.put(key, Bytes::new()).await.is_err(), "{key}");
    }
}

#[test]
fn uris_and_keys_are_each_others() {
    let (dir, files) = local();
    let folder = dir.path().join("b").to_str().unwrap().to_owned();
    assert_eq!(files.uri("t/a"), format!("file://{folder}/t/a"));
    for uri in [format!("file://{folder}/t/a"), format!("file:{folder}/t/a"), format!("{folder}/t/a")] {
        assert_eq!(files.key(&uri), Some("t/a"), "{uri}");
    }
    for outside in ["s3://b/t/a".to_owned(), format!("file://{folder}x/t/a"), format!("file://{folder}/../c")]
    {
        assert_eq!(files.key(&outside), None, "{outside}");
    }
    let bucket = S3Bucket {
        endpoint: "http://127.0.0.1:1".into(),
        region: "auto".into(),
        bucket: "lake".into(),
        access_key_id: "id".into(),
        secret: lakehead_model::Secret::new("s"),
        session_token: None,
        path_style: true,
        allow_http: true,
    };
    let files = BucketFiles::open(&Bucket::S3(bucket), &seams()).unwrap();
    assert_eq!(files.uri("t/a"), "s3://lake/t/a");
    assert_eq!(files.key("s3://lake/t/a"), Some("t/a"));
    assert_eq!(files.key("s3a://lake/t/a"), Some("t/a"));
    for outside in ["s3://lakes/t/a", "s3://lake", "s3://lake/", "file:///lake/t", "gs://lake/t"] {
        assert_eq!(files.key(outside), None, "{outside}");
    }
}
