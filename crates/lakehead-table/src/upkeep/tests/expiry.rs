use std::sync::atomic::Ordering;
use std::time::Duration;

use iceberg::spec::{SnapshotReference, SnapshotRetention};
use iceberg::{TableRequirement, TableUpdate};

use super::catalog::Fault;
use super::lake::{Lake, keep, merge_at, nothing};
use crate::TableChange;
use crate::upkeep::{Retention, Unresolved, UpkeepSettings};

const HOUR: i64 = 3600;

fn reference(lake: &Lake, name: &str, id: i64, retention: SnapshotRetention) -> TableChange {
    TableChange {
        table: lake.table.clone(),
        requirements: vec![],
        updates: vec![TableUpdate::SetSnapshotRef {
            ref_name: name.to_owned(),
            reference: SnapshotReference::new(id, retention),
        }],
    }
}

fn properties(lake: &Lake, of: &[(&str, &str)]) -> TableChange {
    let updates = of.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
    TableChange {
        table: lake.table.clone(),
        requirements: vec![],
        updates: vec![TableUpdate::SetProperties { updates }],
    }
}

/// Snapshots older than `hours` go; at least `min` stay.
fn by_age(hours: u64, min: usize) -> UpkeepSettings {
    let retention = Retention {
        age_milliseconds_max: Some(hours * 3_600_000),
        snapshots_min: min,
        ..nothing().retention
    };
    UpkeepSettings { retention, ..nothing() }
}

async fn snapshots(lake: &Lake) -> usize {
    lake.metadata().await.snapshots().len()
}

#[tokio::test]
async fn only_the_newest_snapshots_stay_and_every_row_is_there() {
    let lake = Lake::new().await;
    let rows = lake.append_many(12).await;
    let before = lake.keys();
    let report = lake.run_well(&keep(4)).await;
    assert_eq!((report.snapshots_removed, snapshots(&lake).await), (8, 4));
    assert_eq!(lake.rows().await, rows);
    // Appends share manifests and files: only the lists of the removed snapshots go.
    assert_eq!(report.swept.files, 8);
    let gone: Vec<_> = before.difference(&lake.keys()).cloned().collect();
    assert!(gone.iter().all(|key| key.contains("/metadata/snap-")), "{gone:?}");
    assert!(lake.run_well(&keep(4)).await.is_empty());
}

#[tokio::test]
async fn what_only_removed_snapshots_reached_goes_with_them() {
    let lake = Lake::new().await;
    let rows = lake.append_many(10).await;
    assert_eq!(lake.run_well(&merge_at(10)).await.manifests_merged, 10);
    let report = lake.run_well(&keep(1)).await;
    assert_eq!(report.snapshots_removed, 10);
    // Ten lists and the ten manifests that were merged.
    assert_eq!(report.swept.files, 20);
    assert_eq!(lake.rows().await, rows);
    let lost: Vec<_> = lake.needed().await.difference(&lake.keys()).cloned().collect();
    assert!(lost.is_empty(), "{lost:?}");
}

#[tokio::test]
async fn readers_get_their_time_before_files_go() {
    let lake = Lake::new().await;
    lake.append_many(6).await;
    let settings = UpkeepSettings { readers_grace: Duration::from_secs(900), ..keep(2) };
    let files = lake.keys().len();
    let report = lake.run_well(&settings).await;
    assert_eq!((report.snapshots_removed, report.swept.files), (4, 0));
    lake.pass(899);
    assert_eq!(lake.run_well(&settings).await.swept.files, 0);
    // The expiry has written one metadata file more.
    assert_eq!(lake.keys().len(), files + 1);
    lake.pass(2);
    assert_eq!(lake.run_well(&settings).await.swept.files, 4);
    lake.rows().await;
}

#[tokio::test]
async fn young_snapshots_and_the_least_number_stay() {
    let lake = Lake::new().await;
    lake.append_many(5).await;
    lake.pass(3 * HOUR);
    lake.append_many(3).await;
    assert!(lake.run_well(&by_age(4, 1)).await.is_empty());
    assert!(lake.run_well(&by_age(2, 8)).await.is_empty());
    assert_eq!(lake.run_well(&by_age(2, 5)).await.snapshots_removed, 3);
    assert_eq!(lake.run_well(&by_age(2, 1)).await.snapshots_removed, 2);
    assert_eq!(snapshots(&lake).await, 3);
    lake.rows().await;
}

#[tokio::test]
async fn the_tables_properties_win_over_the_catalogs_settings() {
    let lake = Lake::new().await;
    lake.append_many(6).await;
    lake.pass(3 * HOUR);
    let hours = |n: i64| (n * 3_600_000).to_string();
    lake.catalog.apply(&properties(&lake, &[("history.expire.max-snapshot-age-ms", &hours(4))])).unwrap();
    assert!(lake.run_well(&by_age(2, 1)).await.is_empty());
    lake.catalog.apply(&properties(&lake, &[("history.expire.max-snapshot-age-ms", &hours(1))])).unwrap();
    lake.catalog.apply(&properties(&lake, &[("history.expire.min-snapshots-to-keep", "4")])).unwrap();
    assert_eq!(lake.run_well(&by_age(2, 1)).await.snapshots_removed, 2);
    // The least number also wins over the bound.
    assert!(lake.run_well(&keep(2)).await.is_empty());
    lake.catalog.apply(&properties(&lake, &[("gc.enabled", "false")])).unwrap();
    lake.catalog.apply(&properties(&lake, &[("history.expire.min-snapshots-to-keep", "1")])).unwrap();
    assert!(lake.run_well(&by_age(2, 1)).await.is_empty());
}

#[tokio::test]
async fn branches_and_tags_keep_what_they_point_at_by_their_own_rules() {
    let lake = Lake::new().await;
    lake.append_many(8).await;
    let metadata = lake.metadata().await;
    let mut ids: Vec<_> = metadata.snapshots().map(|s| (s.sequence_number(), s.snapshot_id())).collect();
    ids.sort_unstable();
    let tag = SnapshotRetention::Tag { max_ref_age_ms: None };
    lake.catalog.apply(&reference(&lake, "release", ids[1].1, tag)).unwrap();
    let branch = SnapshotRetention::branch(Some(2), None, None);
    lake.catalog.apply(&reference(&lake, "audit", ids[4].1, branch)).unwrap();
    lake.pass(3 * HOUR);
    lake.append_many(1).await;
    assert_eq!(lake.run_well(&by_age(2, 1)).await.snapshots_removed, 5);
    let kept: Vec<_> = {
        let metadata = lake.metadata().await;
        let mut kept: Vec<_> = metadata.snapshots().map(|s| s.sequence_number()).collect();
        kept.sort_unstable();
        kept
    };
    assert_eq!(kept, [ids[1].0, ids[3].0, ids[4].0, 9]);
    lake.rows().await;
    assert!(lake.run_well(&by_age(2, 1)).await.is_empty());
}

#[tokio::test]
async fn a_reference_goes_when_its_own_time_is_over_and_main_never() {
    let lake = Lake::new().await;
    lake.append_many(3).await;
    let old = lake.metadata().await.current_snapshot_id().unwrap();
    let short = SnapshotRetention::Tag { max_ref_age_ms: Some(1000) };
    lake.catalog.apply(&reference(&lake, "short", old, short)).unwrap();
    let main = SnapshotRetention::branch(None, None, Some(1));
    lake.append_many(1).await;
    let newest = lake.metadata().await.current_snapshot_id().unwrap();
    lake.catalog.apply(&reference(&lake, "main", newest, main)).unwrap();
    lake.pass(3 * HOUR);
    assert_eq!(lake.run_well(&by_age(2, 1)).await.snapshots_removed, 3);
    let metadata = lake.metadata().await;
    assert!(metadata.snapshot_for_ref("short").is_none());
    assert_eq!(metadata.current_snapshot_id(), Some(newest));
    lake.rows().await;
}

#[tokio::test]
async fn few_snapshots_wait_until_it_is_worth_a_commit() {
    let lake = Lake::new().await;
    lake.append_many(8).await;
    let together = |n: usize, of: UpkeepSettings| UpkeepSettings {
        retention: Retention { snapshots_together: n, ..of.retention },
        ..of
    };
    assert!(lake.run_well(&together(5, keep(4))).await.is_empty());
    assert_eq!(lake.run_well(&together(4, keep(4))).await.snapshots_removed, 4);
    // By age, at the latest when one is a tenth too old.
    lake.pass(2 * HOUR + 60);
    assert!(lake.run_well(&together(9, by_age(2, 1))).await.is_empty());
    lake.pass(HOUR / 4);
    assert_eq!(lake.run_well(&together(9, by_age(2, 1))).await.snapshots_removed, 3);
}

#[tokio::test]
async fn an_append_in_between_makes_the_expiry_look_again() {
    let lake = Lake::new().await;
    lake.append_many(6).await;
    let (_, file) = lake.file(3, 0).await;
    let (change, _) = lake.draft(file).await;
    *lake.catalog.between.lock() = Some(Box::new(move |catalog| {
        catalog.apply(&change).unwrap();
    }));
    // Of seven.
    assert_eq!(lake.run_well(&keep(2)).await.snapshots_removed, 5);
    assert_eq!(lake.rows().await.len(), 21);
}

#[tokio::test]
async fn the_expiry_asserts_the_table_and_every_reference() {
    let lake = Lake::new().await;
    lake.append_many(4).await;
    let old = lake.metadata().await.snapshots().next().unwrap().snapshot_id();
    let tag = SnapshotRetention::Tag { max_ref_age_ms: None };
    lake.catalog.apply(&reference(&lake, "t", old, tag)).unwrap();
    let metadata = lake.metadata().await;
    // Somebody moves the tag to a snapshot that is about to go.
    let other = metadata
        .snapshots()
        .map(|s| s.snapshot_id())
        .find(|id| *id != old && Some(*id) != metadata.current_snapshot_id());
    let moved = reference(&lake, "t", other.unwrap(), SnapshotRetention::Tag { max_ref_age_ms: None });
    assert!(moved.requirements.is_empty() && TableRequirement::NotExist.check(Some(&metadata)).is_err());
    *lake.catalog.between.lock() = Some(Box::new(move |catalog| {
        catalog.apply(&moved).unwrap();
    }));
    assert_eq!(lake.run_well(&keep(1)).await.snapshots_removed, 2);
    let metadata = lake.metadata().await;
    assert_eq!(metadata.snapshot_for_ref("t").map(|s| s.snapshot_id()), other);
    lake.rows().await;
}

#[tokio::test]
async fn after_a_lost_answer_files_go_only_if_the_commit_is_seen_in_the_table() {
    let lake = Lake::new().await;
    lake.append_many(6).await;
    lake.catalog.fail_next(Fault::LostAfter);
    let report = lake.run_well(&keep(2)).await;
    assert_eq!((report.snapshots_removed, report.swept.files), (4, 4));

    lake.append_many(4).await;
    let files = lake.keys();
    for fault in [Fault::LostBefore, Fault::Late, Fault::Refused] {
        lake.catalog.fail_next(fault);
        let report = lake.run(&keep(2)).await;
        assert_eq!(report.failures.len(), 1, "{fault:?}");
        assert_eq!(lake.keys(), files, "{fault:?}");
    }
    // It arrives after all: the snapshots are gone, and their lists are left to the search for orphans.
    lake.catalog.land();
    assert_eq!(snapshots(&lake).await, 2);
    assert!(lake.run_well(&keep(2)).await.is_empty());
    lake.rows().await;
}

#[tokio::test]
async fn nothing_is_deleted_while_a_commit_is_undecided_and_its_files_never() {
    let lake = Lake::new().await;
    lake.append_many(6).await;
    *lake.claims.0.lock() = Unresolved { commit: true, ..Unresolved::default() };
    assert_eq!(lake.run_well(&keep(2)).await.swept.files, 0);
    let list = {
        let needed = lake.needed().await;
        let unneeded = lake.keys().into_iter().filter(|key| key.contains("/snap-") && !needed.contains(key));
        unneeded.collect::<Vec<_>>()
    };
    assert_eq!(list.len(), 4);
    *lake.claims.0.lock() = Unresolved { commit: false, keys: [list[0].clone()].into() };
    assert_eq!(lake.run_well(&keep(2)).await.swept.files, 3);
    assert!(lake.keys().contains(&list[0]));
}

#[tokio::test]
async fn a_sweep_that_fails_goes_on_the_next_time() {
    for calls in 0..60 {
        let lake = Lake::new().await;
        let rows = lake.append_many(5).await;
        lake.run_well(&merge_at(5)).await;
        let wait = UpkeepSettings { readers_grace: Duration::from_secs(60), ..keep(1) };
        assert_eq!(lake.run_well(&wait).await.snapshots_removed, 5);
        lake.pass(61);
        lake.disk.calls_left.store(calls, Ordering::SeqCst);
        let first = lake.run(&wait).await;
        lake.disk.calls_left.store(-1, Ordering::SeqCst);
        let second = lake.run_well(&wait).await;
        assert_eq!(lake.rows().await, rows, "after {calls} calls");
        if first.failures.is_empty() {
            assert!(calls > 10);
            assert_eq!((first.swept.files, second.swept.files), (10, 0));
            return;
        }
        let unneeded: Vec<_> = lake
            .keys()
            .difference(&lake.needed().await)
            .filter(|key| !key.ends_with(".json"))
            .cloned()
            .collect();
        assert!(unneeded.is_empty(), "after {calls} calls: {unneeded:?}");
    }
    panic!("60 calls are not enough");
}

#[tokio::test]
async fn a_table_that_was_made_anew_under_the_name_loses_nothing() {
    let lake = Lake::new().await;
    lake.append_many(4).await;
    let wait = UpkeepSettings { readers_grace: Duration::from_secs(60), ..keep(1) };
    assert_eq!(lake.run_well(&wait).await.snapshots_removed, 3);
    lake.make(&lake.table, "tables/orders").await;
    lake.pass(61);
    let files = lake.keys();
    assert!(lake.run_well(&wait).await.is_empty());
    assert_eq!(lake.keys(), files);
}

#[tokio::test]
async fn a_call_that_must_end_leaves_the_rest_for_later() {
    let lake = Lake::new().await;
    lake.append_many(4).await;
    lake.stop.store(true, Ordering::Relaxed);
    let report = lake.run(&keep(1)).await;
    assert_eq!(report.snapshots_removed, 0);
    lake.stop.store(false, Ordering::Relaxed);
    assert_eq!(lake.run_well(&keep(1)).await.snapshots_removed, 3);
}
