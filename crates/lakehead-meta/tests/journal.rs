//! The journal of commits: one entry a commit, in its transaction; bounded; kept through edits and gone with the pipeline.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on should stop there")]

use std::path::Path;

use lakehead_disk::SystemDisk;
use lakehead_meta::records::{Expect, Record, Records, Space, Write};
use lakehead_meta::{
    ErrorKind, FlowKey, FlowState, Made, MadeFile, MadeLetters, SqliteRecords, Store, Totals,
};
use lakehead_model::limits::JOURNAL_ENTRIES_MAX;
use lakehead_model::random::SeededRandom;
use lakehead_model::{PipelineId, Position, SinkId, StreamId};

const PIPELINE: PipelineId = PipelineId(3);
const KEY: FlowKey = FlowKey { pipeline: PIPELINE, statement: 0 };

fn open(dir: &Path) -> Store {
    Store::open(dir, &SystemDisk, std::sync::Arc::new(SeededRandom::new(1))).unwrap()
}

/// A flow of version `version` that has handled `[10, committed)` of a stream, every fifth record filtered.
fn state(version: u64, committed: u64) -> FlowState {
    let filtered = (committed - 10) / 5;
    let delivered = committed - 10 - filtered;
    FlowState {
        version,
        stream: Some(StreamId(7)),
        start: Position(10),
        committed: Position(committed),
        delivered,
        filtered,
        rows: 2 * delivered,
        files: (committed - 10) / 10,
        file_bytes: 100 * (committed - 10),
        ..FlowState::default()
    }
}

fn made(name: &str) -> Made {
    Made {
        table: None,
        sink: Some(SinkId(4)),
        bucket: Some("lake".into()),
        files: vec![MadeFile { key: name.into(), size_bytes: 1000, rows: 16, crc32c: 0xFFFF_FFFF }],
        letters: Some(MadeLetters { name: format!("{name}.ndjson"), records: 2 }),
    }
}

fn began(dir: &Path) -> Store {
    let store = open(dir);
    store.create_flows(&[(KEY, state(1, 10))]).unwrap();
    store
}

fn sum(parts: &[Totals]) -> Totals {
    let mut sum = Totals::default();
    parts.iter().for_each(|part| sum.join(part));
    sum
}

fn totals(state: &FlowState) -> Totals {
    let mut totals = Totals::default();
    totals.add(state);
    totals
}

#[test]
fn a_commit_and_its_entry_are_one() {
    let dir = tempfile::tempdir().unwrap();
    let store = began(dir.path());
    assert!(store.ledger(PIPELINE).unwrap().heads.is_empty());
    store.record_commit_of(KEY, Position(10), &state(1, 20), &made("a")).unwrap();
    let refused = store.record_commit_of(KEY, Position(10), &state(1, 30), &made("b")).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Conflict);
    store.record_commit(KEY, Position(20), &state(1, 40)).unwrap();
    store.record_commit(KEY, Position(40), &state(1, 40)).unwrap();
    drop(store);

    let store = open(dir.path());
    let ledger = store.ledger(PIPELINE).unwrap();
    let head = &ledger.heads[&0];
    assert_eq!((head.first, head.next, head.before.totals), (0, 2, Totals::default()), "none for no move");
    let [first, second] = [0, 1].map(|n| store.journal_entry(KEY, n).unwrap().unwrap());
    assert_eq!((first.from, first.until, &first.made), (Position(10), Position(20), &made("a")));
    assert_eq!((second.from, second.until, &second.made), (Position(20), Position(40), &Made::default()));
    assert_eq!((second.version, second.stream), (1, Some(StreamId(7))));
    assert_eq!((first.totals.filtered, first.totals.rows, second.totals.rows), (2, 16, 32));
    assert_eq!(sum(&[first.totals, second.totals]), totals(&ledger.flows[0].1.state));
    assert_eq!(store.journal_entry(KEY, 2).unwrap(), None);
}

/// Changes the value of a record while no store is open.
fn alter(dir: &Path, space: Space, key: &str, change: impl Fn(&mut serde_json::Value)) {
    let records = SqliteRecords::open(&dir.join("meta.sqlite")).unwrap();
    let Record { value, .. } = records.get(space, key).unwrap().unwrap();
    let mut value: serde_json::Value = serde_json::from_slice(&value).unwrap();
    change(&mut value);
    let value = Some(serde_json::to_vec(&value).unwrap());
    records.write(None, &[Write { space, key: key.into(), expect: Expect::Any, value }]).unwrap();
}

#[test]
fn the_oldest_entry_goes_when_there_are_too_many_and_leaves_its_sums() {
    let dir = tempfile::tempdir().unwrap();
    let store = began(dir.path());
    store.record_commit_of(KEY, Position(10), &state(1, 20), &made("a")).unwrap();
    store.record_commit_of(KEY, Position(20), &state(1, 30), &made("b")).unwrap();
    drop(store);
    // As if all entries but the first two had been made and lost.
    alter(dir.path(), Space::JournalHead, &KEY.to_string(), |head| head["next"] = JOURNAL_ENTRIES_MAX.into());
    let store = open(dir.path());
    store.record_commit(KEY, Position(30), &state(1, 40)).unwrap();
    let ledger = store.ledger(PIPELINE).unwrap();
    let head = &ledger.heads[&0];
    assert_eq!((head.first, head.next), (1, JOURNAL_ENTRIES_MAX + 1));
    assert_eq!(store.journal_entry(KEY, 0).unwrap(), None);
    let before = head.before;
    assert_eq!((before.version, before.from, before.until), (1, Position(10), Position(20)));
    let kept = [1, JOURNAL_ENTRIES_MAX].map(|n| store.journal_entry(KEY, n).unwrap().unwrap().totals);
    assert_eq!(sum(&[before.totals, kept[0], kept[1]]), totals(&state(1, 40)));
}

#[test]
fn entries_stay_through_an_edit_and_the_sums_of_both_sides_agree() {
    let dir = tempfile::tempdir().unwrap();
    let store = began(dir.path());
    store.record_commit_of(KEY, Position(10), &state(1, 20), &made("a")).unwrap();
    let next = FlowState {
        version: 2,
        stream: Some(StreamId(7)),
        start: Position(20),
        committed: Position(20),
        ..FlowState::default()
    };
    store.cut_over(PIPELINE, &[(KEY, next)]).unwrap();
    let after = FlowState { committed: Position(25), dead_lettered: 5, ..next };
    store.record_commit_of(KEY, Position(20), &after, &made("b")).unwrap();
    let ledger = store.ledger(PIPELINE).unwrap();
    assert_eq!(ledger.retired.journaled, ledger.retired.totals);
    let entries = [0, 1].map(|n| store.journal_entry(KEY, n).unwrap().unwrap());
    assert_eq!(entries.each_ref().map(|e| e.version), [1, 2]);
    assert_eq!((entries[0].totals, entries[1].totals), (ledger.retired.journaled, totals(&after)));
    drop(store);

    // The entry of the past version goes: its sums stay apart from those of the next one.
    alter(dir.path(), Space::JournalHead, &KEY.to_string(), |head| head["next"] = JOURNAL_ENTRIES_MAX.into());
    let store = open(dir.path());
    let until = |at: u64| FlowState { committed: Position(at), dead_lettered: at - 20, ..next };
    store.record_commit(KEY, Position(25), &until(30)).unwrap();
    store.record_commit(KEY, Position(30), &until(35)).unwrap();
    let head = store.ledger(PIPELINE).unwrap().heads.remove(&0).unwrap();
    assert_eq!((head.past, head.before.version), (entries[0].totals, 2));
    assert_eq!(head.before.totals, entries[1].totals);
}

#[test]
fn a_flow_given_up_leaves_its_entries_and_the_dead_letters_that_stay() {
    let dir = tempfile::tempdir().unwrap();
    let store = began(dir.path());
    store.record_commit_of(KEY, Position(10), &state(1, 20), &made("a")).unwrap();
    let letters = MadeLetters { name: "under way".into(), records: 3 };
    store.retire_flows(PIPELINE, &[(KEY, Some(letters.clone()))]).unwrap();
    let ledger = store.ledger(PIPELINE).unwrap();
    assert!(ledger.flows.is_empty());
    assert_eq!(ledger.retired.journaled, totals(&state(1, 20)));
    let last = store.journal_entry(KEY, 1).unwrap().unwrap();
    assert_eq!((last.from, last.until, last.totals), (Position(20), Position(20), Totals::default()));
    assert_eq!(last.made.letters, Some(letters));
}

#[test]
fn a_flow_that_committed_before_there_were_journals_goes_on_with_the_sums_it_had() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    // A version before: flows with commits, and no journals.
    store.create_flows(&[(KEY, state(1, 50))]).unwrap();
    let other = FlowKey { statement: 1, ..KEY };
    store.create_flows(&[(other, state(1, 60))]).unwrap();
    store.record_commit(KEY, Position(50), &state(1, 60)).unwrap();
    let ledger = store.ledger(PIPELINE).unwrap();
    let head = &ledger.heads[&0];
    assert_eq!((head.before.totals, head.before.until), (totals(&state(1, 50)), Position(50)));
    assert!(!ledger.heads.contains_key(&1));
    store.cut_over(PIPELINE, &[]).unwrap();
    let retired = store.ledger(PIPELINE).unwrap().retired;
    assert_eq!(retired.journaled, totals(&state(1, 60)), "the other's commits are in no journal");
    assert_eq!(retired.totals.accepted, 100);
}

#[test]
fn a_deleted_pipeline_leaves_no_entry_and_others_keep_theirs() {
    let dir = tempfile::tempdir().unwrap();
    let store = began(dir.path());
    let other = FlowKey { pipeline: PipelineId(4), statement: 0 };
    store.create_flows(&[(other, state(1, 10))]).unwrap();
    for key in [KEY, other] {
        store.record_commit_of(key, Position(10), &state(1, 20), &made("a")).unwrap();
        store.record_commit(key, Position(20), &state(1, 30)).unwrap();
    }
    store.delete_flows(PIPELINE).unwrap();
    drop(store);
    let records = SqliteRecords::open(&dir.path().join("meta.sqlite")).unwrap();
    let (_, left) = records.list(&[Space::Journal, Space::JournalHead, Space::Flow], "").unwrap();
    assert!(left.iter().all(|(_, record)| record.key.starts_with(&other.to_string())), "{left:?}");
    assert_eq!(left.len(), 4);
}
