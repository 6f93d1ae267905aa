//! Versions of a pipeline's SQL: what is kept of them, and handing over from one to the next.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on should stop there")]

use lakehead_disk::SystemDisk;
use lakehead_meta::{Change, ErrorKind, FlowKey, FlowState, Span, Store};
use lakehead_model::random::SeededRandom;
use lakehead_model::resource::Pipeline;
use lakehead_model::{PipelineId, Position, StreamId, Timestamp};

const PIPELINE: PipelineId = PipelineId(3);

fn open(dir: &std::path::Path) -> Store {
    Store::open(dir, &SystemDisk, std::sync::Arc::new(SeededRandom::new(1))).unwrap()
}

fn pipeline(version: u64) -> Pipeline {
    Pipeline {
        id: PIPELINE,
        name: "p".into(),
        version,
        sql: format!("version {version}"),
        tables: Vec::new(),
        created_at: Timestamp(1),
        modified_at: Timestamp(i64::try_from(version).unwrap()),
    }
}

fn edit(store: &Store, version: u64) {
    store.change(store.catalog().revision, &[Change::PutPipeline(pipeline(version))]).unwrap();
}

fn key(statement: u32) -> FlowKey {
    FlowKey { pipeline: PIPELINE, statement }
}

fn state(version: u64, stream: u128, start: u64, committed: u64) -> FlowState {
    FlowState {
        version,
        stream: Some(StreamId(stream)),
        start: Position(start),
        committed: Position(committed),
        delivered: committed - start,
        ..FlowState::default()
    }
}

#[test]
fn an_edit_keeps_the_version_before_and_a_hand_over_says_what_it_handled() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    edit(&store, 1);
    assert!(store.past_versions(PIPELINE).unwrap().is_empty());
    let old = [(key(0), state(1, 7, 10, 30)), (key(1), state(1, 7, 10, 30)), (key(2), state(1, 8, 0, 5))];
    store.create_flows(&old).unwrap();
    edit(&store, 2);
    edit(&store, 3);
    store.cut_over(PIPELINE, &[(key(0), state(3, 7, 30, 30)), (key(3), state(3, 9, 0, 0))]).unwrap();
    drop(store);

    let store = open(dir.path());
    let versions = store.past_versions(PIPELINE).unwrap();
    let numbers: Vec<_> = versions.iter().map(|v| (v.version, v.sql.as_str(), v.created_at.0)).collect();
    assert_eq!(numbers, [(1, "version 1", 1), (2, "version 2", 2)]);
    let span =
        |stream, from, until| Span { stream: StreamId(stream), from: Position(from), until: Position(until) };
    assert_eq!(versions[0].spans, [span(7, 10, 30), span(8, 0, 5)]);
    assert!(versions[1].spans.is_empty(), "it never ran");
    let keys: Vec<_> =
        store.flows(PIPELINE).unwrap().into_iter().map(|(key, r)| (key, r.state.version)).collect();
    assert_eq!(keys, [(key(0), 3), (key(3), 3)]);
    let retired = store.retired(PIPELINE).unwrap();
    assert_eq!((retired.totals.accepted, retired.totals.delivered), (45, 45));
    assert_eq!(retired.ends[&StreamId(8)], Position(5));

    store.cut_over(PIPELINE, &[]).unwrap();
    assert_eq!(store.retired(PIPELINE).unwrap().totals.accepted, 45, "nothing came in between");
    store.change(store.catalog().revision, &[Change::DeletePipeline(PIPELINE)]).unwrap();
    store.delete_flows(PIPELINE).unwrap();
    assert!(store.past_versions(PIPELINE).unwrap().is_empty());
    assert_eq!(store.retired(PIPELINE).unwrap().totals.accepted, 0);
}

#[test]
fn flows_that_do_not_stand_at_one_position_cannot_hand_over() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    edit(&store, 1);
    store.create_flows(&[(key(0), state(1, 7, 0, 20)), (key(1), state(1, 7, 0, 10))]).unwrap();
    let refused = |next: &[(FlowKey, FlowState)], text: &str| {
        let error = store.cut_over(PIPELINE, next).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Conflict);
        assert!(error.to_string().contains(text), "{error}");
    };
    refused(&[(key(0), state(2, 7, 20, 20))], "stand at 20 and 10");
    store.record_commit(key(1), Position(10), &state(1, 7, 0, 20)).unwrap();
    refused(&[(key(0), state(2, 7, 19, 19))], "would not begin where");
    refused(&[(key(0), state(2, 7, 21, 21))], "would not begin where");
    store.record_intent(key(1), Position(20), b"{}").unwrap();
    refused(&[(key(0), state(2, 7, 20, 20))], "commit under way");
    store.record_commit(key(1), Position(20), &state(1, 7, 0, 20)).unwrap();
    store.cut_over(PIPELINE, &[(key(0), state(2, 7, 20, 20))]).unwrap();
    assert_eq!(store.flows(PIPELINE).unwrap().len(), 1);
}

#[test]
fn the_oldest_of_very_many_versions_go_but_not_the_one_that_runs() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    edit(&store, 1);
    edit(&store, 2);
    store.create_flows(&[(key(0), state(2, 7, 0, 0))]).unwrap();
    for version in 3..=120 {
        edit(&store, version);
    }
    let kept: Vec<_> = store.past_versions(PIPELINE).unwrap().iter().map(|v| v.version).collect();
    assert!(kept.len() <= 101 && kept.contains(&2) && !kept.contains(&1), "{kept:?}");
    assert_eq!(kept.last(), Some(&119));
}

#[test]
fn a_stream_that_was_left_and_is_read_again_is_not_handled_twice() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    edit(&store, 1);
    store.create_flows(&[(key(0), state(1, 7, 0, 20)), (key(1), state(1, 8, 0, 5))]).unwrap();
    edit(&store, 2);
    store.cut_over(PIPELINE, &[(key(0), state(2, 7, 20, 20))]).unwrap();
    edit(&store, 3);
    let again = |start| {
        store.cut_over(PIPELINE, &[(key(0), state(3, 7, 20, 20)), (key(1), state(3, 8, start, start))])
    };
    assert_eq!(again(0).unwrap_err().kind(), ErrorKind::Conflict);
    again(5).unwrap();
}

#[test]
fn a_flow_that_is_given_up_leaves_its_counts_position_and_serial() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    edit(&store, 1);
    let flow = FlowState { serial: 9, ..state(1, 7, 0, 20) };
    store.create_flows(&[(key(0), flow), (key(1), state(1, 8, 0, 5))]).unwrap();
    store.record_intent(key(0), Position(20), b"{}").unwrap();
    store.retire_flows(PIPELINE, &[(key(0), None)]).unwrap();
    assert_eq!(store.flow(key(0)).unwrap(), None);
    let retired = store.retired(PIPELINE).unwrap();
    assert_eq!((retired.totals.delivered, retired.serial), (20, 9));
    assert_eq!(retired.ends[&StreamId(7)], Position(20));
}
