use std::time::Duration;

use super::*;

#[tokio::test]
async fn tables_of_one_name_never_share_a_folder_and_no_two_tables_overlap() {
    let (world, t, first) = World::with_table().await;
    world.catalog.drop_table(&t, false, None).await.unwrap();
    let second = world.catalog.create(&t, request(), None).await.unwrap();
    assert_ne!(first.metadata.location(), second.metadata.location());
    let within = format!("{}/data", second.metadata.location());
    for (location, text) in [
        (second.metadata.location(), "is used by table n/t"),
        (&within, "is used by table n/t"),
        ("file:///elsewhere", "is not below file://"),
        (&format!("{}/../x", world.catalog.files().root()), "is not below"),
        (world.catalog.files().root(), "is not below"),
    ] {
        let with = NewTableRequest { location: Some(location.to_owned()), ..request() };
        refused(world.catalog.create(&table("u"), with, None).await, RefusalKind::BadRequest, text);
        if location != second.metadata.location() && location != within {
            let moved =
                world.commit(vec![], vec![TableUpdate::SetLocation { location: location.to_owned() }]).await;
            refused(moved, RefusalKind::BadRequest, text);
        }
    }
    let own = NewTableRequest { location: Some(world.catalog.files().uri("mine/u/")), ..request() };
    let made = world.catalog.create(&table("u"), own, None).await.unwrap();
    assert!(made.metadata_location.starts_with(&world.catalog.files().uri("mine/u/metadata/00000-")));
}

#[tokio::test]
async fn a_table_is_renamed_across_namespaces_with_its_files_where_they_are() {
    let (world, t, current) = World::with_table().await;
    let to = TableIdent::new(namespace(&["m", "k"]), "new name".to_owned());
    refused(world.catalog.rename(&t, &to, None).await, RefusalKind::NoSuchNamespace, "m.k");
    world.catalog.create_namespace(&to.namespace, BTreeMap::new(), None).await.unwrap();
    world.catalog.rename(&t, &to, None).await.unwrap();
    refused(world.catalog.rename(&t, &to, None).await, RefusalKind::NoSuchTable, "n.t");
    assert_eq!(world.catalog.table(&to).await.unwrap().metadata_location, current.metadata_location);
    world.catalog.create(&t, request(), None).await.unwrap();
    refused(world.catalog.rename(&t, &to, None).await, RefusalKind::AlreadyExists, "new name");
    let all = Page::default();
    assert_eq!(world.catalog.list_tables(&to.namespace, &all).await.unwrap().items, [to.clone()]);
    assert_eq!(world.catalog.list_tables(&namespace(&["m"]), &all).await.unwrap().items, []);
}

#[tokio::test]
async fn a_dropped_table_can_be_registered_again() {
    let (world, t, _) = World::with_table().await;
    let last = world.commit(vec![], vec![set("k", "v")]).await.unwrap();
    let registration =
        |location: &str, overwrite| Registration { metadata_location: location.to_owned(), overwrite };
    let registered = |registration: Registration| {
        let (catalog, t) = (Arc::clone(&world.catalog), table("again"));
        async move { catalog.register(&t, &registration, None).await }
    };
    let taken = registered(registration(&last.metadata_location, false)).await;
    refused(taken, RefusalKind::BadRequest, "is used by table n/t");
    world.catalog.drop_table(&t, false, None).await.unwrap();
    for (location, text) in [
        ("file:///etc/hostname", "is not below"),
        (&*world.catalog.files().uri("x.metadata.json"), "is not there"),
    ] {
        refused(registered(registration(location, false)).await, RefusalKind::BadRequest, text);
    }
    let back = registered(registration(&last.metadata_location, false)).await.unwrap();
    assert_eq!(back.metadata, last.metadata);
    let again = registered(registration(&last.metadata_location, false)).await;
    refused(again, RefusalKind::AlreadyExists, "n.again");
    registered(registration(&last.metadata_location, true)).await.unwrap();
    let change = TableChange { table: table("again"), ..change(vec![], vec![set("k", "w")]) };
    let next = world.catalog.commit_table(change, None).await.unwrap();
    assert!(next.metadata_location.contains("/metadata/00002-"), "{}", next.metadata_location);
}

#[tokio::test]
async fn a_purge_takes_the_files_and_a_drop_leaves_them() {
    let (world, t, current) = World::with_table().await;
    let folder = world.catalog.files().key(current.metadata.location()).unwrap();
    let data = world.folder.path().join(folder).join("data");
    std::fs::create_dir_all(&data).unwrap();
    std::fs::write(data.join("a.parquet"), "x").unwrap();
    std::fs::write(world.folder.path().join("other.txt"), "x").unwrap();
    let kept = NewTableRequest { location: Some(world.catalog.files().uri("mine/u")), ..request() };
    world.catalog.create(&table("u"), kept, None).await.unwrap();
    std::fs::write(world.folder.path().join("mine/u/somebodys.txt"), "x").unwrap();
    world.catalog.drop_table(&table("u"), false, None).await.unwrap();
    assert_eq!(world.files().len(), 5);
    world.catalog.drop_table(&t, true, None).await.unwrap();
    purged(&world).await;
    let left = world.files();
    assert!(left.iter().all(|key| !key.starts_with("__r2_data_catalog")), "{left:?}");
    assert_eq!(left.len(), 3, "{left:?}");
    // In a folder that a client chose, what the table refers to goes and the rest stays.
    let metadata = left.iter().find(|key| key.ends_with(".metadata.json")).unwrap();
    let metadata_location = world.catalog.files().uri(metadata);
    world.catalog.register(&t, &Registration { metadata_location, overwrite: false }, None).await.unwrap();
    world.catalog.drop_table(&t, true, None).await.unwrap();
    purged(&world).await;
    assert_eq!(world.files(), ["mine/u/somebodys.txt", "other.txt"]);
}

#[tokio::test]
async fn a_purge_that_a_crash_cut_off_is_resumed() {
    let (world, t, current) = World::with_table().await;
    let (record, _) = world.catalog.record_of(&t).await.unwrap().unwrap();
    world.catalog.drop_table(&t, false, None).await.unwrap();
    let purge = world.catalog.json(&purge::Purge::of(&record)).unwrap();
    let id = record.uuid.to_string();
    world
        .records
        .write(&[world.catalog.record(RecordKind::Purge, &id, Expected::Absent, Some(purge))])
        .unwrap();
    let world = world.restarted();
    assert_eq!(world.files().len(), 1, "{}", current.metadata_location);
    world.catalog.resume_purges().await.unwrap();
    purged(&world).await;
    assert!(world.files().is_empty());
}

async fn purged(world: &World) {
    let done = async {
        while world.records.count(RecordKind::Purge) > 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), done).await.expect("the files are deleted");
}
