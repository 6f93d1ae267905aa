//! Publishing into an object store, broken at every call in every way.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use lakehead_model::Random;
use lakehead_model::random::SeededRandom;
use lakehead_sink::{ErrorKind, Published, Publisher, StagedFile, UploadLimits, Uploads, clean_staging};
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt};

use crate::rows::{Place, at, batch, json};
use crate::store::{Conditions, Fault, FaultyStore, TRIES};

const PART_BYTES: u64 = 1000;

/// Two files of one part, one of exactly two parts and one of more, with their contents.
struct Staged {
    place: Place,
    files: Vec<StagedFile>,
    contents: BTreeMap<String, Vec<u8>>,
}

fn staged() -> Staged {
    let place = Place::new();
    let mut writer = place.writer(place.settings(json()));
    // A line `{"n":10000000}` and its line break are 15 bytes.
    for (i, rows) in [10, 66, 200, 310].into_iter().enumerate() {
        writer.write(&batch(10_000_000..10_000_000 + rows), &format!("p{i}").into(), at(10_000_000)).unwrap();
    }
    let files = writer.prepare().unwrap().files;
    let read = |f: &StagedFile| (f.key.clone(), std::fs::read(place.staging().join(&f.staged)).unwrap());
    let contents = files.iter().map(read).collect();
    Staged { place, files, contents }
}

fn uploads() -> Uploads {
    Uploads::new(UploadLimits { part_bytes: PART_BYTES, parts_in_flight: 2, call_seconds: 60, tries: TRIES })
}

async fn publisher(place: &Place, store: &Arc<FaultyStore>) -> Publisher {
    Publisher::into_store(store.clone(), store.clone(), place.staging(), &place.seams, uploads())
        .await
        .unwrap()
}

async fn assert_complete(staged: &Staged, store: &FaultyStore, when: &str) {
    for (key, content) in &staged.contents {
        let there =
            store.inner.get(&Path::parse(key).unwrap()).await.unwrap_or_else(|e| panic!("{when}: {e}"));
        assert_eq!(there.bytes().await.unwrap(), content.as_slice(), "{when}: {key}");
    }
    let listed = store.inner.list_with_delimiter(Some(&Path::from("web"))).await.unwrap();
    assert_eq!(listed.common_prefixes.len(), staged.files.len(), "{when}");
    assert_eq!(store.forgotten_uploads(), 0, "{when}: an upload was left behind");
}

#[tokio::test(start_paused = true)]
async fn files_go_up_whole_or_in_equal_parts() {
    let staged = staged();
    let store = FaultyStore::new(Arc::default(), Conditions::Honoured);
    let publisher = publisher(&staged.place, &store).await;
    assert!(publisher.honours_conditions());
    store.arm([], Fault::FailBefore);
    assert_eq!(publisher.publish(&staged.files).await.unwrap(), Published { placed: 4, found: 0 });
    assert_complete(&staged, &store, "healthy").await;
    let count = |what: &str| store.trace().iter().filter(|t| t.starts_with(what)).count();
    assert_eq!((count("put "), count("create "), count("part "), count("complete ")), (2, 2, 3 + 5, 2));

    assert_eq!(publisher.publish(&staged.files).await.unwrap(), Published { placed: 0, found: 4 });
    publisher.discard(&staged.files).await.unwrap();
    assert!(staged.place.staged().is_empty(), "{:?}", staged.place.staged());
    assert_eq!(publisher.publish(&staged.files).await.unwrap(), Published { placed: 0, found: 4 });
    assert_eq!(clean_staging(&*staged.place.seams.disk, &staged.place.staging(), &[]).unwrap(), 0);
}

/// Breaks each call once; the publisher must get through by itself.
async fn sweep(fault: Fault, conditions: Conditions) {
    let mut swept = 0;
    for at in 0.. {
        let staged = staged();
        let store = FaultyStore::new(Arc::default(), conditions);
        let publisher = publisher(&staged.place, &store).await;
        store.arm([at], fault);
        let published = publisher.publish(&staged.files).await;
        let when = format!("{fault:?} at call {at}, conditions {conditions:?}: {:?}", store.trace().get(at));
        published.unwrap_or_else(|e| panic!("{when}: {e}"));
        assert_complete(&staged, &store, &when).await;
        if store.calls() <= at {
            break;
        }
        swept += 1;
    }
    assert!(swept > 15, "{swept} calls were broken");
}

#[tokio::test(start_paused = true)]
async fn a_call_that_fails_is_made_again() {
    for conditions in [Conditions::Honoured, Conditions::Ignored, Conditions::Refused] {
        sweep(Fault::FailBefore, conditions).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_call_that_did_its_work_and_answered_with_an_error_is_recognised() {
    for conditions in [Conditions::Honoured, Conditions::Ignored] {
        sweep(Fault::FailAfter, conditions).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_call_without_an_answer_meets_its_deadline() {
    for fault in [Fault::HangBefore, Fault::HangAfter] {
        sweep(fault, Conditions::Honoured).await;
        sweep(fault, Conditions::Ignored).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_409_is_neither_success_nor_failure() {
    sweep(Fault::Conflict, Conditions::Honoured).await;
}

#[tokio::test(start_paused = true)]
async fn a_third_of_all_calls_may_fail() {
    for (seed, fault) in (0..20).flat_map(|seed| [(seed, Fault::FailBefore), (seed, Fault::FailAfter)]) {
        let staged = staged();
        let store = FaultyStore::new(Arc::default(), Conditions::Honoured);
        let publisher = publisher(&staged.place, &store).await;
        let random = SeededRandom::new(seed);
        store.arm((0..10_000).filter(|_| random.u64().is_multiple_of(3)), fault);
        publish_until_done(&publisher, &staged.files).await;
        assert_complete(&staged, &store, &format!("{fault:?}, seed {seed}")).await;
    }
}

/// What made the test above fail once in a while, when it took every upload that was left for a forgotten one.
#[tokio::test(start_paused = true)]
async fn an_upload_that_the_store_will_not_abort_is_given_up_and_the_file_goes_up_all_the_same() {
    let staged = staged();
    let store = FaultyStore::new(Arc::default(), Conditions::Honoured);
    let publisher = publisher(&staged.place, &store).await;
    // A look, a list, the creation, five parts, the completion; a look, the aborts, a list, the aborts of what is on it.
    store.arm((8..=20).filter(|call| ![9, 15].contains(call)), Fault::FailBefore);
    publisher.publish(&staged.files[3..]).await.unwrap();
    let trace = store.trace();
    assert!(trace[8].starts_with("complete ") && trace[15].starts_with("uploads "), "{trace:?}");
    let aborts = [&trace[10..15], &trace[16..21]].concat();
    assert!(aborts.iter().all(|call| call.starts_with("abort ")), "{trace:?}");
    assert_eq!((store.open_uploads(), store.forgotten_uploads()), (1, 0));
    store.arm([], Fault::FailBefore);
    publisher.publish(&staged.files).await.unwrap();
    assert_complete(&staged, &store, "given up").await;
    publisher.discard(&staged.files).await.unwrap();
    assert!(staged.place.staged().is_empty(), "{:?}", staged.place.staged());
}

async fn publish_until_done(publisher: &Publisher, files: &[StagedFile]) {
    let mut failures = Vec::new();
    for _ in 0..20 {
        match publisher.publish(files).await {
            Ok(_) => return,
            Err(e) => {
                assert_eq!(e.kind(), ErrorKind::Unavailable, "{e}");
                failures.push(e);
            }
        }
    }
    panic!("twenty rounds were not enough: {failures:#?}");
}

/// Kills the process at each call and starts another one on the same bucket and disk.
async fn die(fault: Fault, conditions: Conditions) {
    for at in 0.. {
        let staged = staged();
        let inner = Arc::new(InMemory::new());
        let first = FaultyStore::new(inner.clone(), conditions);
        let publisher_1 = publisher(&staged.place, &first).await;
        first.arm([at], fault);
        let done = tokio::select! {
            biased;
            () = first.died.notified() => false,
            published = publisher_1.publish(&staged.files) => published.is_ok(),
        };
        drop(publisher_1);
        // What of the first life's tasks runs on meets a dead store.
        tokio::time::sleep(Duration::from_millis(1)).await;
        let second = FaultyStore::new(inner, conditions);
        second.inherit(&first);
        clean_staging(&*staged.place.seams.disk, &staged.place.staging(), &staged.files).unwrap();
        let publisher_2 = publisher(&staged.place, &second).await;
        let when = format!("{fault:?} at call {at}: {:?}", first.trace().get(at));
        publisher_2.publish(&staged.files).await.unwrap_or_else(|e| panic!("{when}: {e}"));
        assert_complete(&staged, &second, &when).await;
        publisher_2.discard(&staged.files).await.unwrap();
        assert!(staged.place.staged().is_empty(), "{when}: {:?}", staged.place.staged());
        if done {
            assert!(at > 15, "{at} calls were broken");
            break;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn death_at_any_call_is_completed_by_the_next_start() {
    for fault in [Fault::DieBefore, Fault::DieAfter] {
        die(fault, Conditions::Honoured).await;
        die(fault, Conditions::Ignored).await;
    }
}

#[tokio::test(start_paused = true)]
async fn another_object_under_the_key_is_a_conflict_and_stays_as_it_is() {
    for conditions in [Conditions::Honoured, Conditions::Ignored, Conditions::Refused] {
        for victim in [0, 3] {
            for same_size in [false, true] {
                let staged = staged();
                let store = FaultyStore::new(Arc::default(), conditions);
                let publisher = publisher(&staged.place, &store).await;
                let file = &staged.files[victim];
                let size = if same_size { usize::try_from(file.size_bytes).unwrap() } else { 5 };
                let (key, foreign) = (Path::parse(&file.key).unwrap(), vec![b'x'; size]);
                store.inner.put(&key, foreign.clone().into()).await.unwrap();
                let error = publisher.publish(&staged.files).await.unwrap_err();
                assert_eq!(error.kind(), ErrorKind::Conflict, "{error}");
                assert!(error.to_string().contains(&file.key), "{error}");
                assert_eq!(store.inner.get(&key).await.unwrap().bytes().await.unwrap(), foreign);
                assert_eq!(store.forgotten_uploads(), 0);
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_staged_file_that_is_gone_or_damaged_is_an_error_and_never_published() {
    for victim in [0, 3] {
        let staged = staged();
        let store = FaultyStore::new(Arc::default(), Conditions::Honoured);
        let publisher = publisher(&staged.place, &store).await;
        let path = staged.place.staging().join(&staged.files[victim].staged);
        let mut content = std::fs::read(&path).unwrap();
        content[20] ^= 1;
        std::fs::write(&path, &content).unwrap();
        let error = publisher.publish(&staged.files).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Staging, "{error}");
        std::fs::remove_file(&path).unwrap();
        let error = publisher.publish(&staged.files).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Missing, "{error}");
        let key = Path::parse(&staged.files[victim].key).unwrap();
        assert!(store.inner.head(&key).await.is_err(), "nothing was published");
        assert_eq!(store.forgotten_uploads(), 0);
    }
}

#[tokio::test(start_paused = true)]
async fn a_refusal_is_not_tried_again() {
    for (fault, conditions) in [
        (Fault::Deny, Conditions::Honoured),
        (Fault::NoBucket, Conditions::Honoured),
        (Fault::NoBucket, Conditions::Ignored),
    ] {
        let staged = staged();
        let store = FaultyStore::new(Arc::default(), conditions);
        let publisher = publisher(&staged.place, &store).await;
        store.arm(0..1000, fault);
        let error = publisher.publish(&staged.files).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Refused, "{error}");
        assert!(
            store.calls() <= 2 * 2 + 2 * 3,
            "at most a look, a list and a try for each file: {:?}",
            store.trace()
        );
    }
}

#[tokio::test(start_paused = true)]
async fn an_outage_ends_as_unavailable_after_a_bounded_number_of_calls() {
    let staged = staged();
    let store = FaultyStore::new(Arc::default(), Conditions::Honoured);
    let publisher = publisher(&staged.place, &store).await;
    store.arm(0..100_000, Fault::FailBefore);
    let error = publisher.publish(&staged.files).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
    assert!(store.calls() <= 4 * 5, "{}", store.calls());
    store.arm([], Fault::FailBefore);
    publisher.publish(&staged.files).await.unwrap();
    assert_complete(&staged, &store, "after the outage").await;
}

#[tokio::test(start_paused = true)]
async fn the_probe_tells_stores_that_honour_conditions_from_those_that_ignore_or_refuse_them() {
    let place = Place::new();
    for (conditions, expected) in
        [(Conditions::Honoured, true), (Conditions::Ignored, false), (Conditions::Refused, false)]
    {
        for fault in [Fault::FailBefore, Fault::FailAfter, Fault::HangAfter] {
            for at in [usize::MAX, 0, 1] {
                let store = FaultyStore::new(Arc::default(), conditions);
                store.arm([at], fault);
                let publisher = publisher(&place, &store).await;
                assert_eq!(publisher.honours_conditions(), expected, "{conditions:?}, {fault:?} at {at}");
                let left = store.inner.list_with_delimiter(None).await.unwrap().objects;
                assert!(left.is_empty(), "{conditions:?}, {fault:?} at {at}: {left:?}");
            }
        }
    }
}
