use iceberg::spec::{NestedField, PrimitiveType, Schema, Type};
use lakehead_model::{PipelineId, StreamId};

use super::*;
use crate::played::{Fate, Scene, at};

fn writer() -> Writer {
    Writer { pipeline: PipelineId(7), version: 2, statement: 0, stream: StreamId(9) }
}

impl Scene {
    /// Commits as a flow does: the same commit again while it can be done later.
    async fn commit(&self, files: &[NewFile], believed: Option<u64>, until: u64) -> Result<(), CommitError> {
        let mut tries = 0;
        loop {
            let done = self.commit_once(files, believed, until).await;
            tries += 1;
            if !matches!(done, Err(CommitError::Later(_))) || tries == 20 {
                return done;
            }
        }
    }

    async fn commit_once(
        &self,
        files: &[NewFile],
        believed: Option<u64>,
        until: u64,
    ) -> Result<(), CommitError> {
        let commit = Commit {
            id: Uuid::from_u128(until.into()),
            writer: writer(),
            table: self.target.uuid(),
            believed: believed.map(at),
            until: at(until),
            files,
            spec_id: self.target.partitions.spec_id(),
            summary: &HashMap::new(),
        };
        self.committer().commit(&commit).await
    }
}

#[tokio::test(start_paused = true)]
async fn whatever_becomes_of_the_answers_each_file_is_in_the_table_once() {
    use Fate::*;
    let fates = [Applied, AppliedUnheard, LostUnheard, AppliedLate, BeatenToIt, Unavailable];
    for first in fates {
        for second in fates {
            for third in fates {
                let mut scene = Scene::new().await;
                let (one, two) = (scene.file(0..3).await, scene.file(3..5).await);
                scene.catalog.fates([first, second, third]);
                scene.commit(std::slice::from_ref(&one), None, 3).await.unwrap();
                scene.commit(std::slice::from_ref(&two), Some(3), 5).await.unwrap();
                let mut expected = vec![one.key, two.key];
                expected.sort();
                assert_eq!(scene.live_files().await, expected, "{first:?} {second:?} {third:?}");
                let metadata = scene.metadata().await;
                let said = &metadata.properties()["lakehead.watermark.00000000000000000000000000000007.2.0"];
                assert!(said.contains("\"position\":5"), "{said}");
                let summary = &metadata.current_snapshot().unwrap().summary().additional_properties;
                assert_eq!((&*summary["total-records"], &*summary["total-data-files"]), ("5", "2"));
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_lost_answer_is_found_out_after_others_have_committed_and_the_snapshot_has_expired() {
    let mut scene = Scene::new().await;
    let file = scene.file(0..3).await;
    scene.catalog.fates([Fate::AppliedUnheard]);
    // The first look after the lost answer fails as well: the flow begins again much later.
    scene.commit(std::slice::from_ref(&file), None, 3).await.unwrap();
    let ours = scene.metadata().await.current_snapshot_id().unwrap();
    let table = scene.table.clone();
    let base = scene.metadata().await;
    let foreign = crate::spec::Snapshot::builder()
        .with_snapshot_id(4711)
        .with_parent_snapshot_id(Some(ours))
        .with_sequence_number(base.next_sequence_number())
        .with_timestamp_ms(base.last_updated_ms())
        .with_manifest_list(base.current_snapshot().unwrap().manifest_list().to_owned())
        .with_summary(base.current_snapshot().unwrap().summary().clone())
        .build();
    scene.catalog.meddle(&table, |builder| builder.set_branch_snapshot(foreign, "main"));
    scene.catalog.meddle(&table, |builder| Ok(builder.remove_snapshots(&[ours])));
    let before = scene.catalog.commits();
    scene.commit(std::slice::from_ref(&file), None, 3).await.unwrap();
    assert_eq!(scene.catalog.commits(), before, "nothing was sent again");
    assert_eq!(scene.live_files().await, [file.key]);
}

#[tokio::test(start_paused = true)]
async fn the_watermark_is_found_in_the_summary_of_an_ancestor_when_the_property_is_gone() {
    let mut scene = Scene::new().await;
    let (one, two) = (scene.file(0..3).await, scene.file(3..5).await);
    scene.commit(std::slice::from_ref(&one), None, 3).await.unwrap();
    let key = writer().key();
    scene.catalog.meddle(&scene.table.clone(), |builder| builder.remove_properties(&[key]));
    scene.commit(std::slice::from_ref(&one), None, 3).await.unwrap();
    scene.commit(std::slice::from_ref(&two), Some(3), 5).await.unwrap();
    assert_eq!(scene.live_files().await.len(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_table_that_says_something_else_than_the_flow_believes_is_left_alone() {
    let mut scene = Scene::new().await;
    let (one, two) = (scene.file(0..3).await, scene.file(3..9).await);
    scene.commit(std::slice::from_ref(&one), None, 3).await.unwrap();
    for (believed, until) in [(None, 2), (None, 5), (Some(1), 5), (Some(4), 9)] {
        let stopped = scene.commit(std::slice::from_ref(&two), believed, until).await.unwrap_err();
        assert!(matches!(&stopped, CommitError::Stop(text) if text.contains("position 3")), "{stopped:?}");
    }
    assert_eq!(scene.live_files().await, [one.key]);
}

#[tokio::test(start_paused = true)]
async fn a_table_that_was_dropped_or_made_again_gets_nothing() {
    let mut scene = Scene::new().await;
    let (one, two) = (scene.file(0..3).await, scene.file(3..9).await);
    scene.commit(std::slice::from_ref(&one), None, 3).await.unwrap();
    scene.catalog.drop_table(&scene.table);
    let gone = scene.commit(std::slice::from_ref(&two), Some(3), 9).await.unwrap_err();
    assert!(matches!(&gone, CommitError::Stop(text) if text.contains("is gone")), "{gone:?}");
    let other = crate::played::target(&scene.catalog, &scene.table, None, &Default::default()).await.unwrap();
    let another = scene.commit(std::slice::from_ref(&two), Some(3), 9).await.unwrap_err();
    assert!(
        matches!(&another, CommitError::Stop(text) if text.contains(&other.uuid().to_string())),
        "{another:?}"
    );
    assert!(scene.live_files().await.is_empty());
}

#[tokio::test(start_paused = true)]
async fn endless_conflicts_end_in_later_and_leave_nothing_behind() {
    let mut scene = Scene::new().await;
    let (first, file) = (scene.file(0..3).await, scene.file(3..5).await);
    scene.commit(std::slice::from_ref(&first), None, 3).await.unwrap();
    let before = scene.bucket.list("t/metadata/").await.unwrap().len();
    scene.catalog.fates([Fate::BeatenToIt; 10]);
    let later = scene.commit_once(std::slice::from_ref(&file), Some(3), 5).await.unwrap_err();
    assert!(matches!(&later, CommitError::Later(e) if e.text.contains("10 attempts")), "{later:?}");
    let left = scene.bucket.list("t/metadata/").await.unwrap();
    assert_eq!(left.len(), before + 2, "the manifest and the list of the last attempt: {left:?}");
    scene.commit(std::slice::from_ref(&file), Some(3), 5).await.unwrap();
    let mut expected = vec![first.key, file.key];
    expected.sort();
    assert_eq!(scene.live_files().await, expected);
}

#[tokio::test(start_paused = true)]
async fn a_refusal_of_what_was_applied_deletes_nothing_of_it() {
    let mut scene = Scene::new().await;
    let file = scene.file(0..3).await;
    scene.catalog.fates([Fate::AppliedAndRefused]);
    scene.commit(std::slice::from_ref(&file), None, 3).await.unwrap();
    assert_eq!(scene.live_files().await, [file.key]);
    // Refused, and applied when something in between sends it again.
    let mut scene = Scene::new().await;
    let file = scene.file(0..3).await;
    scene.catalog.fates([Fate::RefusedAndAppliedLate]);
    scene.commit(std::slice::from_ref(&file), None, 3).await.unwrap();
    assert_eq!(scene.live_files().await, [file.key]);
}

#[tokio::test(start_paused = true)]
async fn another_commit_that_ends_at_the_same_position_is_not_taken_for_ours() {
    let mut scene = Scene::new().await;
    let (ours, theirs) = (scene.file(0..3).await, scene.file(10..13).await);
    scene.commit(std::slice::from_ref(&theirs), None, 3).await.unwrap();
    let commit = Commit {
        id: Uuid::from_u128(4711),
        writer: writer(),
        table: scene.target.uuid(),
        believed: None,
        until: at(3),
        files: std::slice::from_ref(&ours),
        spec_id: scene.target.partitions.spec_id(),
        summary: &HashMap::new(),
    };
    let stopped = scene.committer().commit(&commit).await.unwrap_err();
    assert!(matches!(&stopped, CommitError::Stop(text) if text.contains("another server")), "{stopped:?}");
    assert_eq!(scene.live_files().await, [theirs.key]);
}

#[tokio::test(start_paused = true)]
async fn files_that_the_table_no_longer_takes_are_given_up_for_good() {
    let mut scene = Scene::new().await;
    let file = scene.file(0..3).await;
    // An attempt is still on its way when the column goes.
    scene.catalog.fates([Fate::AppliedLate]);
    let table = scene.table.clone();
    let schema = Schema::builder()
        .with_fields(vec![
            Arc::new(NestedField::required(1, "id", Type::Primitive(PrimitiveType::Long))),
            Arc::new(NestedField::required(3, "__ingest_ts", Type::Primitive(PrimitiveType::Timestamptz))),
        ])
        .build()
        .unwrap();
    let committer = scene.committer();
    let commit = Commit {
        id: Uuid::from_u128(3),
        writer: writer(),
        table: scene.target.uuid(),
        believed: None,
        until: at(3),
        files: std::slice::from_ref(&file),
        spec_id: scene.target.partitions.spec_id(),
        summary: &HashMap::new(),
    };
    let catalog = scene.catalog.clone();
    let (given_up, ()) = tokio::join!(committer.commit(&commit), async move {
        // Between the first attempt, whose answer is lost, and the second.
        while catalog.commits() == 0 {
            tokio::task::yield_now().await;
        }
        catalog.meddle(&table, |builder| builder.add_current_schema(schema));
    });
    let text = match given_up.unwrap_err() {
        CommitError::Unfit(text) => text,
        other => panic!("{other:?}"),
    };
    assert!(text.contains("\"name\" was dropped"), "{text}");
    assert!(scene.live_files().await.is_empty(), "the attempt under way was fenced off");
    assert_eq!(scene.metadata().await.properties().get(&writer().key()), None);
}

#[tokio::test(start_paused = true)]
async fn a_commit_without_files_moves_the_watermark_alone() {
    let scene = Scene::new().await;
    scene.commit(&[], None, 3).await.unwrap();
    scene.commit(&[], Some(3), 4).await.unwrap();
    assert!(scene.live_files().await.is_empty());
    assert!(scene.metadata().await.properties()[&writer().key()].contains("\"position\":4"));
}

#[tokio::test(start_paused = true)]
async fn watermarks_of_versions_past_go_with_the_first_commit_of_the_next() {
    let mut scene = Scene::new().await;
    let one = scene.file(0..3).await;
    let old = Writer { version: 1, ..writer() }.key();
    let other = Writer { pipeline: PipelineId(8), version: 1, ..writer() }.key();
    let set = HashMap::from([(old.clone(), "{}".to_owned()), (other.clone(), "{}".to_owned())]);
    scene.catalog.meddle(&scene.table.clone(), |builder| builder.set_properties(set));
    scene.commit(std::slice::from_ref(&one), None, 3).await.unwrap();
    let properties = scene.metadata().await.properties().clone();
    assert!(!properties.contains_key(&old) && properties.contains_key(&other));
    let later = Writer { version: 3, ..writer() }.key();
    let set = HashMap::from([(later, "{}".to_owned())]);
    scene.catalog.meddle(&scene.table.clone(), |builder| builder.set_properties(set));
    let stopped = scene.commit(std::slice::from_ref(&one), Some(3), 9).await.unwrap_err();
    assert!(matches!(&stopped, CommitError::Stop(text) if text.contains("later version")), "{stopped:?}");
}
