use serde_json::json;

use super::*;

/// The commit that ends a staged creation, as clients make it of what was staged: `last` says ids as -1, else as themselves.
fn ending(staged: &TableMetadata, last: bool) -> TableChange {
    let json = serde_json::to_value(staged).unwrap();
    let id = |of: &str| if last { json!(-1) } else { json[of].clone() };
    let updates = [
        json!({ "action": "assign-uuid", "uuid": staged.uuid() }),
        json!({ "action": "upgrade-format-version", "format-version": json["format-version"] }),
        json!({ "action": "add-schema", "schema": json["schemas"][0], "last-column-id": 2 }),
        json!({ "action": "set-current-schema", "schema-id": id("current-schema-id") }),
        json!({ "action": "add-spec", "spec": json["partition-specs"][0] }),
        json!({ "action": "set-default-spec", "spec-id": id("default-spec-id") }),
        json!({ "action": "add-sort-order", "sort-order": json["sort-orders"][0] }),
        json!({ "action": "set-default-sort-order", "sort-order-id": id("default-sort-order-id") }),
        json!({ "action": "set-location", "location": staged.location() }),
        json!({ "action": "set-properties", "updates": { "k": "v" } }),
    ];
    let updates = updates.iter().map(|update| wire::update("u", update).unwrap()).collect();
    TableChange { table: table("s"), requirements: vec![TableRequirement::NotExist], updates }
}

#[tokio::test]
async fn a_staged_table_is_nowhere_until_it_is_committed_and_keeps_its_ids() {
    for (version, last) in [("1", true), ("2", false), ("2", true), ("3", true)] {
        let (world, ..) = World::with_table().await;
        let mut request = request();
        request.properties.insert("format-version".to_owned(), version.to_owned());
        let order = json!({ "order-id": 3, "fields": [
            { "source-id": 7, "transform": "identity", "direction": "asc", "null-order": "nulls-first" },
        ] });
        request.sort_order = Some(serde_json::from_value(order).unwrap());
        let files = world.files();
        let staged = world.catalog.stage(&table("s"), request).await.unwrap();
        assert_eq!(world.files(), files);
        let folder = world.catalog.files().key(staged.location()).unwrap().to_owned();
        assert!(world.folder.path().join(folder).join("metadata").is_dir(), "writers find it");
        refused(world.catalog.table(&table("s")).await, RefusalKind::NoSuchTable, "n.s");
        let made = world.catalog.commit_table(ending(&staged, last), None).await.unwrap().metadata;
        assert_eq!((made.uuid(), made.location()), (staged.uuid(), staged.location()));
        assert_eq!(made.current_schema(), staged.current_schema());
        assert_eq!(made.default_partition_spec(), staged.default_partition_spec());
        assert_eq!(made.default_sort_order(), staged.default_sort_order());
        assert_eq!((made.format_version(), made.last_partition_id()), (staged.format_version(), 1000));
        assert_eq!((made.schemas_iter().len(), made.partition_specs_iter().len()), (1, 1));
        assert_eq!(made.properties().len(), 3, "k and the defaults: {:?}", made.properties());
        let again = world.catalog.commit_table(ending(&staged, last), None).await;
        refused(again, RefusalKind::CommitFailed, "already exists");
    }
}

#[tokio::test]
async fn a_table_can_be_made_of_updates_alone_and_with_its_first_snapshot() {
    let (world, ..) = World::with_table().await;
    let updates = vec![
        TableUpdate::AddSchema { schema: schema() },
        TableUpdate::SetCurrentSchema { schema_id: -1 },
        TableUpdate::AddSnapshot { snapshot: snapshot(5, None, 1, world.now_ms()) },
        main_ref(5),
    ];
    let requirements = vec![TableRequirement::NotExist];
    let made = TableChange { table: table("s"), requirements: requirements.clone(), updates };
    let made = world.catalog.commit_table(made, None).await.unwrap().metadata;
    assert_eq!(
        (made.current_snapshot_id(), made.default_partition_spec().is_unpartitioned()),
        (Some(5), true)
    );
    assert!(made.location().contains(&format!("/n/s-{}", made.uuid())), "{}", made.location());
    let nothing = TableChange { table: table("x"), requirements, updates: vec![set("k", "v")] };
    refused(world.catalog.commit_table(nothing, None).await, RefusalKind::BadRequest, "add-schema");
}
