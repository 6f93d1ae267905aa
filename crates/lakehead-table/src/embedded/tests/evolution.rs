use std::time::Duration;

use serde_json::json;

use super::*;

/// Each update as it comes over the wire, on a table that has a snapshot 5.
#[tokio::test]
async fn every_update_of_the_protocol_is_applied() {
    let (world, _, current) = World::with_table().await;
    let (requirements, updates) = append(&current.metadata, 5, world.now_ms());
    world.commit(requirements, updates).await.unwrap();
    let schema = json!({ "type": "struct", "schema-id": 1, "fields": [
        { "id": 1, "name": "a", "type": "long", "required": false },
        { "id": 2, "name": "at", "type": "timestamptz", "required": false },
        { "id": 3, "name": "b", "type": "string", "required": false },
    ] });
    let file = json!({ "snapshot-id": 5, "statistics-path": "file:///s", "file-size-in-bytes": 1 });
    let mut statistics = file.clone();
    statistics["file-footer-size-in-bytes"] = json!(1);
    statistics["blob-metadata"] = json!([]);
    let spec =
        json!({ "spec-id": 1, "fields": [{ "source-id": 1, "name": "a_bucket", "transform": "bucket[4]" }] });
    let order = json!({ "order-id": 1, "fields": [
        { "source-id": 1, "transform": "identity", "direction": "asc", "null-order": "nulls-first" },
    ] });
    let mut done = Vec::new();
    for update in [
        json!({ "action": "assign-uuid", "uuid": current.metadata.uuid() }),
        json!({ "action": "upgrade-format-version", "format-version": 2 }),
        json!({ "action": "add-schema", "schema": schema, "last-column-id": 3 }),
        json!({ "action": "set-current-schema", "schema-id": 1 }),
        json!({ "action": "set-current-schema", "schema-id": 0 }),
        json!({ "action": "remove-schemas", "schema-ids": [1] }),
        json!({ "action": "add-spec", "spec": spec }),
        json!({ "action": "set-default-spec", "spec-id": 1 }),
        json!({ "action": "set-default-spec", "spec-id": 0 }),
        json!({ "action": "remove-partition-specs", "spec-ids": [1] }),
        json!({ "action": "add-sort-order", "sort-order": order }),
        json!({ "action": "set-default-sort-order", "sort-order-id": 1 }),
        json!({ "action": "set-snapshot-ref", "ref-name": "tag", "type": "tag", "snapshot-id": 5, "max-ref-age-ms": 9 }),
        json!({ "action": "remove-snapshot-ref", "ref-name": "tag" }),
        json!({ "action": "set-properties", "updates": { "k": "v" } }),
        json!({ "action": "remove-properties", "removals": ["k"] }),
        json!({ "action": "set-location", "location": current.metadata.location() }),
        json!({ "action": "set-statistics", "snapshot-id": 5, "statistics": statistics }),
        json!({ "action": "remove-statistics", "snapshot-id": 5 }),
        json!({ "action": "set-partition-statistics", "partition-statistics": file }),
        json!({ "action": "remove-partition-statistics", "snapshot-id": 5 }),
        json!({ "action": "add-encryption-key", "encryption-key": { "key-id": "1", "encrypted-key-metadata": "aGk=" } }),
        json!({ "action": "remove-encryption-key", "key-id": "1" }),
        json!({ "action": "remove-snapshots", "snapshot-ids": [5] }),
    ] {
        let parsed = wire::update("updates[0]", &update).unwrap();
        let committed = world.commit(vec![], vec![parsed]).await;
        let metadata = committed.unwrap_or_else(|e| panic!("{update}: {e}")).metadata;
        done.push(update["action"].clone());
        match done.len() {
            4 => assert_eq!((metadata.current_schema_id(), metadata.last_column_id()), (1, 3)),
            6 => assert!(metadata.schema_by_id(1).is_none()),
            8 => assert_eq!(metadata.default_partition_spec_id(), 1),
            10 => assert!(metadata.partition_spec_by_id(1).is_none()),
            12 => assert_eq!(metadata.default_sort_order_id(), 1),
            13 => assert_eq!(metadata.snapshot_for_ref("tag").unwrap().snapshot_id(), 5),
            14 => assert!(metadata.snapshot_for_ref("tag").is_none()),
            15 => assert_eq!(metadata.properties()["k"], "v"),
            16 => assert!(!metadata.properties().contains_key("k")),
            18 => assert_eq!(metadata.statistics_for_snapshot(5).unwrap().statistics_path, "file:///s"),
            19 => assert!(metadata.statistics_for_snapshot(5).is_none()),
            20 => assert!(metadata.partition_statistics_for_snapshot(5).is_some()),
            21 => assert!(metadata.partition_statistics_for_snapshot(5).is_none()),
            24 => assert!(metadata.current_snapshot().is_none() && metadata.snapshots().len() == 0),
            _ => {}
        }
    }
}

#[test]
fn what_is_unknown_is_named() {
    let update = wire::update("updates[3]", &json!({ "action": "enable-row-lineage" }));
    refused(update, RefusalKind::BadRequest, "updates[3].action: \"enable-row-lineage\" is not supported");
    let requirement = wire::requirement("requirements[0]", &json!({ "type": "assert-nothing" }));
    refused(requirement, RefusalKind::BadRequest, "requirements[0].type: \"assert-nothing\"");
    refused(wire::update("updates[0]", &json!({})), RefusalKind::BadRequest, "updates[0].action: is missing");
    let update = wire::update("updates[0]", &json!({ "action": "set-default-spec" }));
    refused(update, RefusalKind::BadRequest, "updates[0] (set-default-spec): missing field `spec-id`");
}

#[tokio::test]
async fn what_the_format_forbids_is_refused_with_its_place() {
    let (world, ..) = World::with_table().await;
    use TableUpdate as U;
    for (update, text) in [
        (U::SetCurrentSchema { schema_id: 9 }, "updates[1]: Cannot set current schema to unknown"),
        (U::SetDefaultSpec { spec_id: -1 }, "no spec has been added"),
        (main_ref(77), "unknown snapshot"),
        (U::UpgradeFormatVersion { format_version: spec::FormatVersion::V1 }, "Cannot downgrade"),
        (U::AssignUuid { uuid: Uuid::nil() }, "updates[1].uuid: the table has the uuid"),
        (U::RemoveSchemas { schema_ids: vec![0] }, "Cannot remove current schema"),
    ] {
        refused(world.commit(vec![], vec![set("k", "v"), update]).await, RefusalKind::BadRequest, text);
    }
    assert!(!world.catalog.table(&table("t")).await.unwrap().metadata.properties().contains_key("k"));
}

#[tokio::test]
async fn a_sequence_number_that_was_given_out_is_a_conflict() {
    let (world, _, current) = World::with_table().await;
    let (requirements, updates) = append(&current.metadata, 5, world.now_ms());
    world.commit(requirements, updates).await.unwrap();
    let snapshot = snapshot(6, Some(5), 1, world.now_ms());
    let stale = world.commit(vec![], vec![TableUpdate::AddSnapshot { snapshot }]).await;
    refused(stale, RefusalKind::CommitFailed, "sequence-number: is 1, the table is at 1 already");
}

#[tokio::test]
async fn a_clock_that_was_wrong_for_a_while_closes_no_table() {
    let (world, _, current) = World::with_table().await;
    // The clock of the machine jumps ahead by a day; a commit is made; it is set right again.
    world.clock.advance(Duration::from_secs(86_400));
    let wrong_ms = world.now_ms();
    let (requirements, updates) = append(&current.metadata, 5, wrong_ms);
    let base = world.commit(requirements, updates).await.unwrap().metadata;
    assert_eq!(base.last_updated_ms(), wrong_ms);
    let mut right = world;
    right.clock = Arc::new(ManualClock::starting_at(START));
    let world = right.restarted();
    let (requirements, updates) = append(&base, 6, world.now_ms());
    let base = world.commit(requirements, updates).await.unwrap().metadata;
    assert_eq!(base.last_updated_ms(), world.now_ms());
    let times: Vec<_> = base.history().iter().map(|entry| entry.timestamp_ms).collect();
    assert_eq!(times, [world.now_ms(), world.now_ms()]);
    world.commit(vec![], vec![set("k", "v")]).await.unwrap();
    // A client whose clock is a day ahead, then one whose clock is a day late.
    let (requirements, updates) = append(&base, 7, world.now_ms() + 86_400_000);
    let base = world.commit(requirements, updates).await.unwrap().metadata;
    assert_eq!(base.snapshot_by_id(7).unwrap().timestamp_ms(), world.now_ms());
    let (requirements, updates) = append(&base, 8, world.now_ms() - 86_400_000);
    let base = world.commit(requirements, updates).await.unwrap().metadata;
    assert_eq!(base.snapshot_by_id(8).unwrap().timestamp_ms(), world.now_ms());
    assert_eq!(base.history().len(), 4);
}
