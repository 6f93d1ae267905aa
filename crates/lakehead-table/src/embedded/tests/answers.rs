use super::*;

fn attempt(key: u128, request: &str) -> Attempt {
    Attempt { key: Uuid::from_u128(key), request: request.to_owned() }
}

#[tokio::test]
async fn a_request_that_comes_again_finds_its_answer_after_a_restart_too() {
    let (world, t, current) = World::with_table().await;
    let once = attempt(1, "append");
    assert_eq!(world.catalog.answered(&once).await.unwrap(), None);
    let (requirements, updates) = append(&current.metadata, 5, world.now_ms());
    let done =
        world.catalog.commit_table(change(requirements.clone(), updates.clone()), Some(&once)).await.unwrap();
    let world = world.restarted();
    let expected = Answer::Table {
        table: t.clone(),
        uuid: current.metadata.uuid(),
        metadata_location: done.metadata_location.clone(),
    };
    assert_eq!(world.catalog.answered(&once).await.unwrap(), Some(expected));
    let shown =
        world.catalog.answered_table(&t, current.metadata.uuid(), &done.metadata_location).await.unwrap();
    assert_eq!(shown.metadata, done.metadata);
    // Even where nobody looked first, it is not done twice.
    let second = world.catalog.commit_table(change(vec![], vec![set("k", "v")]), Some(&once)).await;
    refused(second, RefusalKind::Answered, "already");
    assert!(!world.catalog.table(&t).await.unwrap().metadata.properties().contains_key("k"));
    refused(world.catalog.answered(&attempt(1, "another")).await, RefusalKind::BadRequest, "another request");
}

#[tokio::test]
async fn refusals_are_kept_and_lost_answers_are_not() {
    let (world, ..) = World::with_table().await;
    let refusal = Refusal::new(RefusalKind::CommitFailed, "no");
    world.catalog.note_refusal(&attempt(1, "a"), &refusal).await;
    let kept = world.catalog.answered(&attempt(1, "a")).await.unwrap();
    let Some(Answer::Refused { name, text }) = kept else { panic!("{kept:?}") };
    assert_eq!(EmbeddedCatalog::kept_refusal(&name, &text), refusal);
    for kind in [RefusalKind::Unknown, RefusalKind::Unavailable, RefusalKind::Damaged] {
        world.catalog.note_refusal(&attempt(2, "a"), &Refusal::new(kind, "no")).await;
        assert_eq!(world.catalog.answered(&attempt(2, "a")).await.unwrap(), None);
    }
}

#[tokio::test]
async fn answers_go_after_their_time() {
    let (world, ..) = World::with_table().await;
    let commit = |key| {
        let (catalog, attempt) = (Arc::clone(&world.catalog), attempt(key, "a"));
        async move { catalog.commit_table(change(vec![], vec![set("k", &key.to_string())]), Some(&attempt)).await }
    };
    for key in 0..10 {
        commit(key).await.unwrap();
    }
    world.clock.advance(std::time::Duration::from_secs(LIFETIME_SECONDS + 1));
    assert_eq!(world.catalog.answered(&attempt(3, "a")).await.unwrap(), None);
    commit(3).await.unwrap();
    assert!(world.catalog.answered(&attempt(3, "a")).await.unwrap().is_some());
    assert_eq!(world.records.count(RecordKind::Answer), 1);
}
