use std::collections::{BTreeSet, HashMap, HashSet};

use bytes::Bytes;
use iceberg::{TableIdent, TableUpdate};

use super::lake::{Lake, keep, merge_at, orphans};
use crate::TableChange;
use crate::upkeep::Unresolved;

const STRAY: &str = "tables/orders/data/__ingest_ts_day=0/stray.parquet";

async fn put(lake: &Lake, key: &str) {
    lake.bucket.put(key, Bytes::from_static(b"x")).await.unwrap();
}

/// Makes all files old and returns what a round removes.
async fn removed(lake: &Lake) -> BTreeSet<String> {
    lake.age(&HashSet::new());
    lake.now_is_now();
    let before = lake.keys();
    lake.run_well(&orphans()).await;
    before.difference(&lake.keys()).cloned().collect()
}

#[tokio::test]
async fn old_files_that_nothing_knows_go_and_nothing_else() {
    let lake = Lake::new().await;
    let rows = lake.append_many(6).await;
    lake.run_well(&merge_at(6)).await;
    lake.run_well(&keep(3)).await;
    // An attempt that was never committed, files of a crash, and what other programs leave.
    let (_, file) = lake.file(3, 0).await;
    let (_, written) = lake.draft(file.clone()).await;
    put(&lake, STRAY).await;
    put(&lake, "tables/orders/metadata/version-hint.text").await;
    put(&lake, "tables/orders/data/_temporary/0/x.parquet").await;
    put(&lake, "tables/other/data/x.parquet").await;
    put(&lake, "tables/orders/notes.txt").await;
    put(&lake, "tables/orders2/data/x.parquet").await;
    let mut expected: BTreeSet<_> = written.into_iter().collect();
    expected.insert(lake.bucket.key(file.file_path()).unwrap().to_owned());
    expected.insert(STRAY.to_owned());
    assert_eq!(removed(&lake).await, expected);
    assert_eq!(lake.rows().await, rows);
    assert!(removed(&lake).await.is_empty());
}

#[tokio::test]
async fn young_files_stay_by_the_stores_clock_whatever_ours_says() {
    let lake = Lake::new().await;
    lake.append_many(2).await;
    put(&lake, STRAY).await;
    lake.age_of(STRAY, 3500);
    lake.now_is_now();
    assert_eq!(lake.run_well(&orphans()).await.orphans.files, 0);
    // Our clock is ten days ahead of the store's.
    lake.pass(10 * 24 * 3600);
    assert_eq!(lake.run_well(&orphans()).await.orphans.files, 0);
    // It is ten days behind: then nothing is old.
    lake.pass(-20 * 24 * 3600);
    lake.age_of(STRAY, 3600);
    assert_eq!(lake.run_well(&orphans()).await.orphans.files, 0);
    lake.pass(10 * 24 * 3600);
    assert_eq!(lake.run_well(&orphans()).await.orphans.files, 1);
}

#[tokio::test]
async fn files_of_undecided_commits_stay() {
    let lake = Lake::new().await;
    lake.append_many(2).await;
    put(&lake, STRAY).await;
    *lake.claims.0.lock() = Unresolved { commit: true, ..Unresolved::default() };
    assert!(removed(&lake).await.is_empty());
    *lake.claims.0.lock() = Unresolved { commit: false, keys: HashSet::from([STRAY.to_owned()]) };
    assert!(removed(&lake).await.is_empty());
    *lake.claims.0.lock() = Unresolved::default();
    assert_eq!(removed(&lake).await, BTreeSet::from([STRAY.to_owned()]));
}

#[tokio::test]
async fn a_table_within_the_folders_of_this_one_loses_nothing() {
    let lake = Lake::new().await;
    lake.append_many(2).await;
    let inner = TableIdent::from_strs(["shop", "deep", "inner"]).unwrap();
    lake.make(&inner, "tables/orders/data/inner").await;
    put(&lake, "tables/orders/data/inner/data/x.parquet").await;
    put(&lake, "tables/orders/data/inner/y.parquet").await;
    put(&lake, STRAY).await;
    assert_eq!(removed(&lake).await, BTreeSet::from([STRAY.to_owned()]));
}

#[tokio::test]
async fn a_table_that_lies_in_anothers_folder_is_left_alone() {
    for location in ["tables/orders", "tables", "tables/orders/data"] {
        let lake = Lake::new().await;
        lake.append_many(2).await;
        put(&lake, STRAY).await;
        lake.make(&TableIdent::from_strs(["shop", "outer"]).unwrap(), location).await;
        lake.age(&HashSet::new());
        lake.now_is_now();
        let before = lake.keys();
        let report = lake.run(&orphans()).await;
        assert_eq!(report.failures.len(), 1, "{location}: {report:?}");
        assert_eq!(lake.keys(), before, "{location}");
    }
}

#[tokio::test]
async fn a_missing_manifest_or_a_failing_disk_ends_the_round_with_nothing_deleted() {
    let lake = Lake::new().await;
    lake.append_many(4).await;
    put(&lake, STRAY).await;
    lake.age(&HashSet::new());
    lake.now_is_now();
    let before = lake.keys();
    for calls in 0..200 {
        lake.disk.calls_left.store(calls, std::sync::atomic::Ordering::SeqCst);
        let report = lake.run(&orphans()).await;
        let over = lake.disk.calls_left.swap(-1, std::sync::atomic::Ordering::SeqCst) >= 0;
        // What the probe has left behind is young.
        let gone: Vec<_> = before.difference(&lake.keys()).cloned().collect();
        if over {
            assert!(calls > 10 && gone == [STRAY], "{calls}: {gone:?}");
            break;
        }
        assert!(!report.failures.is_empty() && gone.is_empty(), "{calls}: {report:?} {gone:?}");
    }
    lake.now_is_now();
    put(&lake, STRAY).await;
    lake.age_of(STRAY, 4 * 24 * 3600);
    let manifest = lake.keys().into_iter().find(|key| key.ends_with("-m0.avro")).unwrap();
    std::fs::remove_file(lake.dir.path().join(&manifest)).unwrap();
    let report = lake.run(&orphans()).await;
    assert_eq!(report.failures.len(), 1);
    assert!(report.failures[0].1.text.contains("is gone"), "{report:?}");
    assert!(lake.keys().contains(STRAY));
}

#[tokio::test]
async fn a_table_may_say_that_nothing_is_deleted() {
    let lake = Lake::new().await;
    lake.append_many(2).await;
    put(&lake, STRAY).await;
    let updates = HashMap::from([("gc.enabled".to_owned(), "FALSE".to_owned())]);
    let change = TableChange {
        table: lake.table.clone(),
        requirements: vec![],
        updates: vec![TableUpdate::SetProperties { updates }],
    };
    lake.catalog.apply(&change).unwrap();
    assert!(removed(&lake).await.is_empty());
}
