//! The points at which a commit may be cut off.

use super::memory_records::Fault;
use super::*;

#[tokio::test]
async fn a_store_that_refuses_leaves_no_file() {
    let (world, _, current) = World::with_table().await;
    let files = world.files();
    world.records.fail_next(Fault::Full);
    refused(world.commit(vec![], vec![set("k", "v")]).await, RefusalKind::Unavailable, "NotApplied");
    world.records.fail_next(Fault::Full);
    refused(world.catalog.create(&table("s"), request(), None).await, RefusalKind::Unavailable, "NotApplied");
    assert_eq!(world.files(), files);
    let now = world.catalog.table(&table("t")).await.unwrap();
    assert_eq!(now.metadata_location, current.metadata_location);
}

#[tokio::test]
async fn after_a_lost_answer_the_table_is_whole_whatever_happened() {
    for (fault, applied) in [(Fault::LostBefore, false), (Fault::LostAfter, true)] {
        let (world, t, current) = World::with_table().await;
        let (requirements, updates) = append(&current.metadata, 5, world.now_ms());
        world.records.fail_next(fault);
        let lost = world.commit(requirements.clone(), updates.clone()).await;
        refused(lost, RefusalKind::Unknown, "Unknown");
        // The file stays: the record may refer to it.
        assert_eq!(world.files().len(), 2);
        let world = world.restarted();
        let now = world.catalog.table(&t).await.unwrap().metadata;
        assert_eq!(now.current_snapshot_id() == Some(5), applied);
        // Sent again all the same, it is applied once or is a conflict.
        match world.commit(requirements, updates).await {
            Ok(_) => assert!(!applied),
            Err(refusal) => assert!(applied && refusal.kind == RefusalKind::CommitFailed, "{refusal}"),
        }
        assert_eq!(world.catalog.table(&t).await.unwrap().metadata.snapshots().len(), 1);
    }
}

#[tokio::test]
async fn a_file_that_was_written_before_a_crash_is_nobodys() {
    let (world, t, current) = World::with_table().await;
    // As a process leaves it that ends between the file and the record.
    let (requirements, updates) = append(&current.metadata, 5, world.now_ms());
    let evolved =
        crate::embedded::evolution::apply(&current.metadata, None, &updates, world.now_ms()).unwrap();
    world.catalog.metadata.write(&Arc::new(evolved.metadata), 1).await.unwrap();
    assert_eq!(world.files().len(), 2);
    let world = world.restarted();
    assert_eq!(world.catalog.table(&t).await.unwrap().metadata, current.metadata);
    let done = world.commit(requirements, updates).await.unwrap();
    assert!(done.metadata_location.contains("/metadata/00001-"), "{}", done.metadata_location);
}

#[tokio::test]
async fn a_record_that_changes_in_between_is_looked_at_again() {
    let (world, t, current) = World::with_table().await;
    let records = world.records.clone();
    let toucher = tokio::spawn(async move {
        for _ in 0..50 {
            records.touch(RecordKind::Table);
            tokio::task::yield_now().await;
        }
    });
    for i in 0..20 {
        world.commit(vec![], vec![set(&format!("k{i}"), "v")]).await.unwrap();
    }
    toucher.await.unwrap();
    let now = world.catalog.table(&t).await.unwrap().metadata;
    assert_eq!(now.properties().len(), current.metadata.properties().len() + 20);
    assert_eq!(world.files().len(), 21, "tries that lost have taken their files away");
}

#[tokio::test]
async fn a_metadata_file_that_is_gone_is_said_and_nothing_is_made_of_it() {
    let (world, t, current) = World::with_table().await;
    let key = world.catalog.files().key(&current.metadata_location).unwrap();
    std::fs::remove_file(world.folder.path().join(key)).unwrap();
    let world = world.restarted();
    refused(world.catalog.table(&t).await, RefusalKind::Damaged, "is gone");
    refused(world.commit(vec![], vec![set("k", "v")]).await, RefusalKind::Damaged, "is gone");
    world.catalog.drop_table(&t, true, None).await.unwrap();
}
