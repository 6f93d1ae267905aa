use std::collections::BTreeSet;
use std::sync::atomic::Ordering;

use arrow::array::{Array, Int64Array, TimestampMicrosecondArray};
use arrow::record_batch::RecordBatch;
use iceberg::spec::{ManifestContentType, ManifestStatus, Operation};

use super::catalog::Fault;
use super::lake::{Lake, compact, keep, merge_at, orphans};
use crate::manifests::TableFiles;
use crate::upkeep::{Compacting, UpkeepSettings};

fn ids(batches: &[RecordBatch]) -> Vec<i64> {
    let of = |batch: &RecordBatch| {
        batch.column(0).as_any().downcast_ref::<Int64Array>().unwrap().values().to_vec()
    };
    batches.iter().flat_map(of).collect()
}

/// Files that nobody needs, metadata files aside, and those that no listing shows.
async fn unneeded(lake: &Lake) -> Vec<String> {
    let needed = lake.needed().await;
    let is_meant = |key: &String| !key.ends_with(".json") && !key.contains("/.");
    lake.keys().into_iter().filter(|key| !needed.contains(key) && is_meant(key)).collect()
}

#[tokio::test]
async fn small_files_of_a_day_become_one_with_the_same_rows_in_their_order() {
    let lake = Lake::new().await;
    let mut rows = BTreeSet::new();
    for _ in 0..9 {
        rows.extend(lake.append(5, 3).await);
    }
    rows.extend(lake.append(5, 4).await);
    let sequence = lake.metadata().await.last_sequence_number();
    let report = lake.run_well(&compact()).await.compacted;
    assert_eq!((report.files_before, report.files_after, report.rows), (9, 1, 45));
    assert_eq!(lake.rows().await, rows);

    let content = lake.content().await;
    assert_eq!(content.len(), 2);
    let (key, entry, batches) = &content[0];
    let name = key.strip_prefix("tables/orders/data/__ingest_ts_day=3/").unwrap();
    assert!(name.starts_with("compacted-") && name.ends_with(".parquet"), "{name}");
    assert_eq!(ids(batches), (0..45).collect::<Vec<_>>());
    assert_eq!(entry.status, ManifestStatus::Added);
    // That of the base: whoever deletes rows meanwhile means these as well.
    assert_eq!(entry.sequence_number, Some(sequence));
    let times = |batch: &RecordBatch| {
        batch.column(2).as_any().downcast_ref::<TimestampMicrosecondArray>().unwrap().values().to_vec()
    };
    assert!(batches.iter().flat_map(times).is_sorted());
    // Statistics that readers prune by.
    let file = entry.data_file();
    assert_eq!((file.record_count(), file.value_counts()[&1], file.null_value_counts()[&2]), (45, 45, 15));
    assert_eq!(file.lower_bounds()[&1].to_string(), "0");
    assert_eq!(file.upper_bounds()[&1].to_string(), "44");

    let metadata = lake.metadata().await;
    let summary = metadata.current_snapshot().unwrap().summary();
    assert_eq!(summary.operation, Operation::Replace);
    for (figure, value) in [
        ("added-data-files", "1"),
        ("deleted-data-files", "9"),
        ("added-records", "45"),
        ("deleted-records", "45"),
        ("total-data-files", "2"),
        ("total-records", "50"),
    ] {
        assert_eq!(summary.additional_properties.get(figure).map(String::as_str), Some(value), "{figure}");
    }
    assert!(std::fs::read_dir(lake.staged.path()).unwrap().next().is_none());
    assert!(lake.run_well(&compact()).await.is_empty());
}

#[tokio::test]
async fn old_files_stay_as_long_as_snapshots_have_them() {
    let lake = Lake::new().await;
    for _ in 0..10 {
        lake.append(4, 0).await;
    }
    let before = lake.keys();
    let old: Vec<_> = lake.metadata().await.snapshots().map(|s| s.snapshot_id()).collect();
    assert_eq!(lake.run_well(&compact()).await.compacted.files_before, 10);
    assert!(before.is_subset(&lake.keys()));
    for id in old {
        lake.rows_of(id).await;
    }
    assert_eq!(lake.run_well(&keep(2)).await.swept.files, 9);
    // The last snapshot before the compaction still needs the old files.
    assert_eq!(lake.content().await.len(), 1);
    assert_eq!(lake.keys().iter().filter(|key| key.ends_with(".parquet")).count(), 11);
    let report = lake.run_well(&keep(1)).await;
    assert!(report.swept.files >= 21, "{report:?}");
    assert_eq!(lake.keys().iter().filter(|key| key.ends_with(".parquet")).count(), 1);
    assert_eq!(lake.rows().await.len(), 40);
    assert!(unneeded(&lake).await.is_empty());
}

#[tokio::test]
async fn few_or_large_files_stay_until_their_day_is_over() {
    let lake = Lake::new().await;
    // Days of today and tomorrow, to which rows may come yet.
    let today = lake.now().0 / (24 * 3_600_000_000);
    for _ in 0..7 {
        lake.append(4, today + 1).await;
    }
    assert!(lake.run_well(&compact()).await.is_empty());
    lake.append(4, 0).await;
    lake.append(4, 0).await;
    lake.pass(3601);
    // Two are enough in a day that is over.
    assert_eq!(lake.run_well(&compact()).await.compacted.files_before, 2);
    // Larger than three quarters of the target: as they should be.
    let lake = Lake::new().await;
    for _ in 0..9 {
        lake.append(4, 0).await;
    }
    let size = lake.content().await[0].1.file_size_in_bytes();
    let target = |target_bytes| UpkeepSettings { compacting: Some(Compacting { target_bytes }), ..compact() };
    assert!(lake.run_well(&target(size)).await.is_empty());
    lake.pass(3601);
    let report = lake.run_well(&target(size * 3 + 100)).await.compacted;
    assert_eq!((report.files_before, report.files_after), (9, 3));
    assert_eq!(lake.rows().await.len(), 36);
}

#[tokio::test]
async fn appends_and_merged_manifests_in_between_do_not_stop_it() {
    let lake = Lake::new().await;
    for _ in 0..9 {
        lake.append(4, 0).await;
    }
    let (_, file) = lake.file(4, 0).await;
    let (change, _) = lake.draft(file).await;
    let upkeep = crate::upkeep::Upkeep::new(
        std::sync::Arc::new(lakehead_model::SystemRandom),
        std::sync::Arc::default(),
    );
    let (of, now) = (lake.of(), lake.now());
    *lake.catalog.between.lock() = Some(Box::new(move |catalog| {
        catalog.apply(&change).unwrap();
        let run = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(upkeep.run_once(&of, &merge_at(5), now)).unwrap()
        });
        assert_eq!(run.join().unwrap().manifests_merged, 10);
    }));
    assert_eq!(lake.run_well(&compact()).await.compacted.files_before, 9);
    assert_eq!(lake.rows().await, (0..40).collect());
    assert!(unneeded(&lake).await.is_empty(), "{:?}", unneeded(&lake).await);
}

#[tokio::test]
async fn a_file_that_somebody_else_took_out_ends_the_group_and_its_new_file_goes() {
    let lake = Lake::new().await;
    for _ in 0..9 {
        lake.append(4, 0).await;
    }
    let upkeep = crate::upkeep::Upkeep::new(
        std::sync::Arc::new(lakehead_model::SystemRandom),
        std::sync::Arc::default(),
    );
    let (of, now) = (lake.of(), lake.now());
    *lake.catalog.between.lock() = Some(Box::new(move |_| {
        let run = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(upkeep.run_once(&of, &compact(), now)).unwrap()
        });
        assert_eq!(run.join().unwrap().compacted.files_before, 9);
    }));
    assert_eq!(lake.run_well(&compact()).await.compacted.files_before, 0);
    assert_eq!(lake.rows().await, (0..36).collect());
    assert!(unneeded(&lake).await.is_empty(), "{:?}", unneeded(&lake).await);
}

#[tokio::test]
async fn after_a_lost_answer_the_new_file_stays_until_the_search_for_orphans() {
    for fault in [Fault::LostAfter, Fault::LostBefore, Fault::Late, Fault::Refused] {
        let lake = Lake::new().await;
        for _ in 0..8 {
            lake.append(4, 0).await;
        }
        lake.catalog.fail_next(fault);
        let report = lake.run(&compact()).await;
        let applied = fault == Fault::LostAfter;
        assert_eq!(report.failures.is_empty(), applied, "{fault:?}: {report:?}");
        assert_eq!(report.compacted.files_before, if applied { 8 } else { 0 });
        let made = lake.keys().into_iter().filter(|key| key.contains("/compacted-")).count();
        assert_eq!(made, usize::from(fault != Fault::Refused), "{fault:?}");
        lake.catalog.land();
        assert_eq!(lake.rows().await, (0..32).collect(), "{fault:?}");
        assert_eq!(
            lake.content().await.len(),
            if fault == Fault::LostBefore || fault == Fault::Refused { 8 } else { 1 }
        );
        lake.pass(3601);
        lake.run_well(&compact()).await;
        lake.age(&Default::default());
        lake.now_is_now();
        lake.run_well(&orphans()).await;
        assert_eq!(lake.rows().await, (0..32).collect(), "{fault:?}");
        assert_eq!(lake.content().await.len(), 1);
        assert!(unneeded(&lake).await.is_empty());
    }
}

#[tokio::test]
async fn partitions_with_delete_files_are_left_alone() {
    let lake = Lake::new().await;
    for _ in 0..9 {
        lake.append(4, 0).await;
        lake.append(4, 1).await;
    }
    lake.delete_in(0).await;
    let report = lake.run_well(&compact()).await.compacted;
    assert_eq!((report.files_before, report.files_after), (9, 1));
    let kept: BTreeSet<_> = lake.content().await.into_iter().map(|(key, ..)| key).collect();
    assert_eq!(kept.iter().filter(|key| key.contains("day=0/")).count(), 9);
    // One that comes while files are written anew has the same effect.
    let lake = Lake::new().await;
    for _ in 0..9 {
        lake.append(4, 0).await;
    }
    let change = lake.deletion_in(0).await;
    *lake.catalog.between.lock() = Some(Box::new(move |catalog| {
        catalog.apply(&change).unwrap();
    }));
    assert_eq!(lake.run_well(&compact()).await.compacted.files_before, 0);
    assert!(!lake.keys().iter().any(|key| key.contains("/compacted-")));
    let metadata = lake.metadata().await;
    let files = TableFiles::of(&metadata, lake.bucket.clone()).unwrap();
    let manifests = files.list_of(&metadata, metadata.current_snapshot().unwrap()).await.unwrap();
    assert!(manifests.iter().any(|manifest| manifest.content == ManifestContentType::Deletes));
}

#[tokio::test]
async fn a_disk_that_fails_anywhere_leaves_the_rows_and_no_file_of_no_use() {
    for calls in (0..400).step_by(3) {
        let lake = Lake::new().await;
        for _ in 0..8 {
            lake.append(2, 0).await;
        }
        lake.disk.calls_left.store(calls, Ordering::SeqCst);
        let report = lake.run(&compact()).await;
        let over = lake.disk.calls_left.swap(-1, Ordering::SeqCst) >= 0;
        assert_eq!(lake.rows().await, (0..16).collect(), "after {calls} calls: {report:?}");
        if over {
            assert!(calls > 30 && report.compacted.files_before == 8, "{report:?}");
            return;
        }
        // What could not even be deleted goes as an orphan.
        lake.age(&Default::default());
        lake.now_is_now();
        lake.run_well(&orphans()).await;
        assert_eq!(unneeded(&lake).await, Vec::<String>::new(), "after {calls} calls: {report:?}");
        assert_eq!(lake.run_well(&compact()).await.compacted.files_before + report.compacted.files_before, 8);
    }
    panic!("400 calls are not enough");
}

#[tokio::test]
async fn a_call_that_must_end_gives_up_what_it_has_begun() {
    let lake = Lake::new().await;
    for _ in 0..8 {
        lake.append(4, 0).await;
    }
    let before = lake.keys();
    lake.stop.store(true, Ordering::Relaxed);
    lake.run(&compact()).await;
    assert_eq!(lake.keys(), before);
    assert!(std::fs::read_dir(lake.staged.path()).unwrap().next().is_none());
}

#[tokio::test]
async fn a_file_with_other_rows_than_its_entry_says_is_not_touched() {
    let lake = Lake::new().await;
    for _ in 0..8 {
        lake.append(4, 0).await;
    }
    let content = lake.content().await;
    let (key, entry, _) = &content[7];
    let change = lake.lying_draft(entry.data_file(), 5).await;
    lake.catalog.apply(&change).unwrap();
    let report = lake.run(&compact()).await;
    assert_eq!(report.compacted.files_before, 0);
    assert!(report.failures[0].1.text.contains("holds 4 rows where the manifest says 5"), "{report:?}");
    assert!(lake.keys().contains(key) && !lake.keys().iter().any(|key| key.contains("/compacted-")));
}
