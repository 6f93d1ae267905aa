//! Many at a time, exact.

use super::*;

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn appends_of_many_writers_are_each_applied_once() {
    const WRITERS: i64 = 8;
    const APPENDS: i64 = 10;
    let (world, t, _) = World::with_table().await;
    let world = Arc::new(world);
    let mut writers = tokio::task::JoinSet::new();
    for writer in 0..WRITERS {
        let (world, t) = (Arc::clone(&world), t.clone());
        writers.spawn(async move {
            let mut conflicts = 0;
            for i in 0..APPENDS {
                loop {
                    let base = world.catalog.table(&t).await.unwrap().metadata;
                    let (requirements, updates) = append(&base, 1 + writer * APPENDS + i, world.now_ms());
                    match world.commit(requirements, updates).await {
                        Ok(_) => break,
                        Err(refusal) => assert_eq!(refusal.kind, RefusalKind::CommitFailed, "{refusal}"),
                    }
                    conflicts += 1;
                }
            }
            conflicts
        });
    }
    // Beside them, changes that no append stands in the way of: none of them may fail.
    for i in 0..20 {
        world.commit(vec![], vec![set(&format!("k{i}"), "v")]).await.unwrap();
    }
    let conflicts: i64 = writers.join_all().await.iter().sum();
    assert!(conflicts > 0, "nobody was in anybody's way");
    let metadata = world.catalog.table(&t).await.unwrap().metadata;
    assert_eq!(metadata.snapshots().len(), (WRITERS * APPENDS) as usize);
    assert_eq!(metadata.last_sequence_number(), WRITERS * APPENDS);
    let (mut at, mut ancestors) = (metadata.current_snapshot_id(), 0);
    while let Some(id) = at {
        at = metadata.snapshot_by_id(id).unwrap().parent_snapshot_id();
        ancestors += 1;
    }
    assert_eq!(ancestors, WRITERS * APPENDS, "no append is lost from the chain");
    assert!((0..20).all(|i| metadata.properties().contains_key(&format!("k{i}"))));
    // Losers have taken their files away: each of the 101 that are left has been the table's.
    assert_eq!(world.files().len(), 1 + (WRITERS * APPENDS) as usize + 20);
    world.clock.advance(std::time::Duration::from_secs(2));
    world.commit(vec![], vec![set("k", "v")]).await.unwrap();
    // The newest, the 30 that its log names, and the one that has just left the log.
    assert_eq!(world.files().len(), 32);
    assert_eq!(world.records.count(RecordKind::Table), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn one_of_many_makes_the_table_and_one_drops_it() {
    let (world, ..) = World::with_table().await;
    for _ in 0..5 {
        let mut makers = tokio::task::JoinSet::new();
        for _ in 0..8 {
            let catalog = Arc::clone(&world.catalog);
            makers.spawn(async move { catalog.create(&table("s"), request(), None).await.map(|_| ()) });
        }
        let made = makers.join_all().await;
        assert_eq!(made.iter().filter(|one| one.is_ok()).count(), 1, "{made:?}");
        assert!(made.iter().flat_map(|one| one.as_ref().err()).all(|e| e.kind == RefusalKind::AlreadyExists));
        let mut droppers = tokio::task::JoinSet::new();
        for _ in 0..8 {
            let catalog = Arc::clone(&world.catalog);
            droppers.spawn(async move { catalog.drop_table(&table("s"), false, None).await });
        }
        let dropped = droppers.join_all().await;
        assert_eq!(dropped.iter().filter(|one| one.is_ok()).count(), 1, "{dropped:?}");
    }
    assert_eq!(world.files().len(), 6, "the table, and what the dropped ones have left");
}

/// Transactions over the same tables in different orders wait for each other and never for ever.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn transactions_over_the_same_tables_all_end() {
    let (world, ..) = World::with_table().await;
    let names: Vec<_> = (0..6).map(|i| format!("t{i}")).collect();
    for name in &names {
        world.catalog.create(&table(name), request(), None).await.unwrap();
    }
    let mut tasks = tokio::task::JoinSet::new();
    for task in 0..6 {
        let (catalog, mut names) = (Arc::clone(&world.catalog), names.clone());
        tasks.spawn(async move {
            names.rotate_left(task);
            for i in 0..5 {
                let one = |name: &String| TableChange {
                    table: table(name),
                    requirements: vec![],
                    updates: vec![set(&format!("k{task}-{i}"), "v")],
                };
                catalog.commit_all(names.iter().map(one).collect(), None).await.unwrap();
            }
        });
    }
    tasks.join_all().await;
    for name in &names {
        let properties = world.catalog.table(&table(name)).await.unwrap().metadata.properties().len();
        assert_eq!(properties, 30 + DEFAULT_PROPERTIES.len());
    }
}
