use super::*;

#[tokio::test]
async fn a_table_is_made_with_fresh_ids_and_the_properties_that_keep_its_metadata_few() {
    let (world, t, current) = World::with_table().await;
    let metadata = &current.metadata;
    let ids: Vec<_> = metadata.current_schema().as_struct().fields().iter().map(|f| f.id).collect();
    assert_eq!((ids, metadata.default_partition_spec().fields()[0].source_id), (vec![1, 2], 2));
    assert_eq!(metadata.format_version(), spec::FormatVersion::V2);
    assert_eq!(metadata.last_updated_ms(), world.now_ms());
    for (key, value) in DEFAULT_PROPERTIES {
        assert_eq!(metadata.properties()[key], value);
    }
    let uuid = metadata.uuid();
    let location = world.catalog.files().uri(&format!("__r2_data_catalog/n/t-{uuid}"));
    assert_eq!(metadata.location(), location);
    assert!(current.metadata_location.starts_with(&format!("{location}/metadata/00000-")));
    let loaded = world.catalog.table(&t).await.unwrap();
    assert_eq!((loaded.metadata, &loaded.metadata_location), (current.metadata, &current.metadata_location));
    let again = world.catalog.create(&t, request(), None).await;
    refused(again, RefusalKind::AlreadyExists, "n.t");
    let nowhere = TableIdent::new(namespace(&["x"]), "t".to_owned());
    refused(world.catalog.create(&nowhere, request(), None).await, RefusalKind::NoSuchNamespace, "x");
    assert_eq!(world.files().len(), 1, "{:?}", world.files());
}

#[tokio::test]
async fn the_version_of_the_format_is_obeyed_and_reserved_properties_are_not_kept() {
    let (world, ..) = World::with_table().await;
    for (asked, version) in [("1", spec::FormatVersion::V1), ("3", spec::FormatVersion::V3)] {
        let mut request = request();
        request.properties.insert("format-version".to_owned(), asked.to_owned());
        request.properties.insert("current-snapshot-id".to_owned(), "7".to_owned());
        let made = world.catalog.create(&table(asked), request, None).await.unwrap().metadata;
        assert_eq!((made.format_version(), made.properties().len()), (version, 2), "{:?}", made.properties());
    }
    let mut request = request();
    request.properties.insert("format-version".to_owned(), "4".to_owned());
    let refusal = world.catalog.create(&table("x"), request, None).await;
    refused(refusal, RefusalKind::BadRequest, "properties.format-version: is \"4\"");
    let upgraded = world.commit(vec![], vec![set("format-version", "3")]).await.unwrap().metadata;
    assert_eq!(upgraded.format_version(), spec::FormatVersion::V3);
    assert!(!upgraded.properties().contains_key("format-version"));
}

#[tokio::test]
async fn every_requirement_holds_or_is_a_conflict() {
    let (world, _, current) = World::with_table().await;
    let (requirements, updates) = append(&current.metadata, 5, world.now_ms());
    let base = world.commit(requirements, updates).await.unwrap().metadata;
    let main = |snapshot_id| TableRequirement::RefSnapshotIdMatch { r#ref: "main".to_owned(), snapshot_id };
    let branch = TableRequirement::RefSnapshotIdMatch { r#ref: "branch".to_owned(), snapshot_id: None };
    let other = random_uuid();
    use TableRequirement as R;
    for (holds, fails) in [
        (R::UuidMatch { uuid: base.uuid() }, R::UuidMatch { uuid: other }),
        (main(Some(5)), main(Some(4))),
        (branch, main(None)),
        (
            R::LastAssignedFieldIdMatch { last_assigned_field_id: 2 },
            R::LastAssignedFieldIdMatch { last_assigned_field_id: 1 },
        ),
        (R::CurrentSchemaIdMatch { current_schema_id: 0 }, R::CurrentSchemaIdMatch { current_schema_id: 1 }),
        (
            R::LastAssignedPartitionIdMatch { last_assigned_partition_id: 1000 },
            R::LastAssignedPartitionIdMatch { last_assigned_partition_id: 999 },
        ),
        (R::DefaultSpecIdMatch { default_spec_id: 0 }, R::DefaultSpecIdMatch { default_spec_id: 1 }),
        (
            R::DefaultSortOrderIdMatch { default_sort_order_id: 0 },
            R::DefaultSortOrderIdMatch { default_sort_order_id: 1 },
        ),
        (main(Some(5)), R::NotExist),
    ] {
        world.commit(vec![holds], vec![set("k", "v")]).await.unwrap();
        let files = world.files();
        let refusal = world.commit(vec![main(Some(5)), fails], vec![set("k", "w")]).await;
        refused(refusal, RefusalKind::CommitFailed, "requirements[1] of n.t");
        assert_eq!(world.files(), files, "what was refused has left nothing");
    }
    assert_eq!(world.catalog.table(&table("t")).await.unwrap().metadata.properties()["k"], "v");
    let absent = TableChange { table: table("x"), ..change(vec![], vec![set("k", "v")]) };
    refused(world.catalog.commit_table(absent, None).await, RefusalKind::NoSuchTable, "n.x");
}

fn random_uuid() -> Uuid {
    metadata_files::random_uuid(&SeededRandom::new(99))
}

#[tokio::test]
async fn several_tables_change_together_or_not_at_all() {
    let (world, ..) = World::with_table().await;
    world.catalog.create(&table("u"), request(), None).await.unwrap();
    let both = |requirements: Vec<TableRequirement>, value: &str| {
        let second = TableChange { table: table("u"), requirements, updates: vec![set("k", value)] };
        vec![change(vec![], vec![set("k", value)]), second]
    };
    world.catalog.commit_all(both(vec![], "1"), None).await.unwrap();
    let files = world.files();
    let fails = TableRequirement::DefaultSpecIdMatch { default_spec_id: 9 };
    refused(world.catalog.commit_all(both(vec![fails], "2"), None).await, RefusalKind::CommitFailed, "n.u");
    for t in ["t", "u"] {
        assert_eq!(world.catalog.table(&table(t)).await.unwrap().metadata.properties()["k"], "1");
    }
    assert_eq!(world.files(), files);
    let twice = vec![change(vec![], vec![]), change(vec![], vec![])];
    refused(world.catalog.commit_all(twice, None).await, RefusalKind::BadRequest, "twice");
}

#[tokio::test]
async fn old_metadata_files_go_as_the_table_says() {
    let (world, ..) = World::with_table().await;
    world.commit(vec![], vec![set("write.metadata.previous-versions-max", "3")]).await.unwrap();
    for i in 0..20 {
        world.clock.advance(std::time::Duration::from_secs(2));
        world.commit(vec![], vec![set("k", &i.to_string())]).await.unwrap();
    }
    // The newest, the three of its log, and one that its writer may still remove himself.
    assert_eq!(world.files().len(), 5, "{:?}", world.files());
    let log = world.catalog.table(&table("t")).await.unwrap().metadata.metadata_log().len();
    assert_eq!(log, 3);
    world.commit(vec![], vec![set("write.metadata.delete-after-commit.enabled", "false")]).await.unwrap();
    for i in 0..5 {
        world.clock.advance(std::time::Duration::from_secs(2));
        world.commit(vec![], vec![set("k", &i.to_string())]).await.unwrap();
    }
    assert_eq!(world.files().len(), 10, "{:?}", world.files());
}

#[tokio::test]
async fn metadata_is_compressed_as_the_table_says() {
    let (world, t, _) = World::with_table().await;
    let packed = world.commit(vec![], vec![set("write.metadata.compression-codec", "gzip")]).await.unwrap();
    assert!(packed.metadata_location.ends_with(".gz.metadata.json"), "{}", packed.metadata_location);
    let world = world.restarted();
    assert_eq!(world.catalog.table(&t).await.unwrap().metadata, packed.metadata);
    let refusal = world.commit(vec![], vec![set("write.metadata.compression-codec", "lz4")]).await;
    refused(refusal, RefusalKind::BadRequest, "write.metadata.compression-codec");
}

#[tokio::test]
async fn a_commit_that_changes_nothing_writes_nothing() {
    let (world, _, current) = World::with_table().await;
    let same = world.commit(vec![], vec![TableUpdate::SetCurrentSchema { schema_id: 0 }]).await.unwrap();
    assert_eq!(same.metadata_location, current.metadata_location);
    assert_eq!(world.files().len(), 1);
}
