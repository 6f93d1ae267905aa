use std::collections::BTreeMap;

use iceberg::spec::{DataFile, ManifestContentType, ManifestStatus, Operation};

use super::catalog::Fault;
use super::lake::{Lake, keep, merge_at};
use crate::manifests::TableFiles;
use crate::upkeep::{Merging, UpkeepSettings};

/// Path, partition, snapshot, sequence number and file sequence number of every file, and the number of manifests.
async fn entries(lake: &Lake) -> (BTreeMap<String, (DataFile, [Option<i64>; 3])>, usize) {
    let metadata = lake.metadata().await;
    let files = TableFiles::of(&metadata, lake.bucket.clone()).unwrap();
    let manifests = files.list_of(&metadata, metadata.current_snapshot().unwrap()).await.unwrap();
    let mut found = BTreeMap::new();
    for file in &manifests {
        assert_eq!(file.content, ManifestContentType::Data);
        let manifest = files.manifest(file).await.unwrap();
        for entry in manifest.entries() {
            assert_ne!(entry.status, ManifestStatus::Deleted);
            let numbers = [entry.snapshot_id, entry.sequence_number, entry.file_sequence_number];
            found.insert(entry.file_path().to_owned(), (entry.data_file.clone(), numbers));
        }
    }
    (found, manifests.len())
}

#[tokio::test]
async fn merged_manifests_say_of_each_file_what_the_small_ones_said() {
    let lake = Lake::new().await;
    let rows = lake.append_many(12).await;
    let (before, manifests) = entries(&lake).await;
    assert_eq!(manifests, 12);
    assert!(lake.run_well(&merge_at(13)).await.is_empty());
    assert_eq!(lake.run_well(&merge_at(12)).await.manifests_merged, 12);
    let (after, manifests) = entries(&lake).await;
    assert_eq!((manifests, after), (1, before));
    assert_eq!(lake.rows().await, rows);
    let metadata = lake.metadata().await;
    let summary = metadata.current_snapshot().unwrap().summary();
    assert_eq!(summary.operation, Operation::Replace);
    let figure = |key: &str| summary.additional_properties.get(key).map(String::as_str);
    assert_eq!((figure("total-records"), figure("total-data-files")), (Some("36"), Some("12")));
    // Again, with what came since.
    let more = lake.append_many(12).await;
    assert_eq!(lake.run_well(&merge_at(12)).await.manifests_merged, 13);
    assert_eq!(lake.rows().await, rows.union(&more).copied().collect());
}

#[tokio::test]
async fn merged_manifests_are_cut_at_the_target_and_sorted_by_partition() {
    let lake = Lake::new().await;
    lake.append_many(16).await;
    let metadata = lake.metadata().await;
    let files = TableFiles::of(&metadata, lake.bucket.clone()).unwrap();
    let length =
        files.list_of(&metadata, metadata.current_snapshot().unwrap()).await.unwrap()[0].manifest_length;
    let target_bytes = u64::try_from(length).unwrap() * 8;
    // Everything counts as medium by this target, so that nothing is merged; by one that is large enough, all of it.
    let merging = |target_bytes| UpkeepSettings {
        merging: Some(Merging { manifests_max: 16, target_bytes }),
        ..merge_at(16)
    };
    assert!(lake.run_well(&merging(target_bytes)).await.is_empty());
    let target_bytes = target_bytes * 4;
    assert_eq!(lake.run_well(&merging(target_bytes + 32 * 256)).await.manifests_merged, 16);
    let metadata = lake.metadata().await;
    let files = TableFiles::of(&metadata, lake.bucket.clone()).unwrap();
    let manifests = files.list_of(&metadata, metadata.current_snapshot().unwrap()).await.unwrap();
    let mut days = Vec::new();
    for manifest in &manifests {
        let manifest = files.manifest(manifest).await.unwrap();
        days.extend(manifest.entries().iter().map(|entry| format!("{:?}", entry.data_file.partition())));
    }
    assert!(days.is_sorted(), "{days:?}");
}

#[tokio::test]
async fn appends_in_between_are_kept_and_the_work_is_not_done_twice() {
    let lake = Lake::new().await;
    let mut rows = lake.append_many(10).await;
    for _ in 0..3 {
        let (more, file) = lake.file(3, 0).await;
        let (change, _) = lake.draft(file).await;
        rows.extend(more);
        *lake.catalog.between.lock() = Some(Box::new(move |catalog| {
            catalog.apply(&change).unwrap();
        }));
        lake.catalog.fail_next(Fault::Conflict);
        let report = lake.run_well(&merge_at(10)).await;
        assert!(report.manifests_merged >= 10, "{report:?}");
        assert_eq!(lake.rows().await, rows);
        rows.extend(lake.append_many(10).await);
    }
    // What the refused attempts wrote is gone.
    let unneeded: Vec<_> =
        lake.keys().difference(&lake.needed().await).filter(|key| !key.ends_with(".json")).cloned().collect();
    assert!(unneeded.is_empty(), "{unneeded:?}");
}

#[tokio::test]
async fn manifests_that_somebody_else_has_merged_are_left_to_them() {
    let lake = Lake::new().await;
    let rows = lake.append_many(10).await;
    // The other one is a second upkeep, which comes first.
    let (other, settings) = (lake.of(), merge_at(10));
    let upkeep = crate::upkeep::Upkeep::new(
        std::sync::Arc::new(lakehead_model::SystemRandom),
        std::sync::Arc::default(),
    );
    let now = lake.now();
    *lake.catalog.between.lock() = Some(Box::new(move |_| {
        let run = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(upkeep.run_once(&other, &settings, now)).unwrap()
        });
        assert_eq!(run.join().unwrap().manifests_merged, 10);
    }));
    assert_eq!(lake.run_well(&merge_at(10)).await.manifests_merged, 0);
    assert_eq!(lake.rows().await, rows);
    assert_eq!(entries(&lake).await.1, 1);
}

#[tokio::test]
async fn a_lost_answer_leaves_the_table_readable_whether_or_not_it_was_applied() {
    for fault in [Fault::LostAfter, Fault::LostBefore, Fault::Late] {
        let lake = Lake::new().await;
        let rows = lake.append_many(10).await;
        lake.catalog.fail_next(fault);
        let report = lake.run(&merge_at(10)).await;
        assert_eq!(report.failures.is_empty(), fault == Fault::LostAfter, "{fault:?}");
        assert_eq!(lake.rows().await, rows, "{fault:?}");
        lake.catalog.land();
        assert_eq!(lake.rows().await, rows, "{fault:?}");
        lake.run_well(&merge_at(10)).await;
        lake.run_well(&keep(1)).await;
        assert_eq!((lake.rows().await, entries(&lake).await.1), (rows, 1), "{fault:?}");
    }
}
