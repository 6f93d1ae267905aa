use lakehead_disk::SystemDisk;
use lakehead_model::PipelineId;

use super::*;

const CAUSE: Cause<'static> =
    Cause { stage: "decode", reason: "type_mismatch", path: "a.b", detail: "a string" };

fn key() -> FlowKey {
    FlowKey { pipeline: PipelineId(7), statement: 0 }
}

fn letters(root: &std::path::Path) -> DeadLetters {
    let route = Route { stream: "clicks".into(), pipeline: "copy".into() };
    DeadLetters::new(root, key(), 3, route, Arc::new(SystemDisk))
}

fn files(root: &std::path::Path) -> Vec<String> {
    SystemDisk.list(&letters_folder(root, key())).unwrap_or_default()
}

#[test]
fn a_name_that_is_not_of_dead_letters_says_nothing() {
    for name in ["current.staging", "notes.txt", "1-2.ndjson", "1.v3.ndjson", "1-x.v3.ndjson", "1-2.v.ndjson"]
    {
        assert_eq!(letters_of_name(name), None, "{name}");
    }
}

#[test]
fn a_record_is_kept_byte_for_byte_with_its_position_and_reason() {
    let root = tempfile::tempdir().unwrap();
    let mut letters = letters(root.path());
    let record = r#"{"a": {"b" :"x\u00e9\n"}, "z":"é"}"#;
    letters.add(Position(41), Timestamp(0), CAUSE, record.as_bytes()).unwrap();
    let staged = letters.prepare(Position(40), Position(50)).unwrap().unwrap();
    letters.publish(&staged).unwrap();
    letters.publish(&staged).unwrap();
    assert_eq!(files(root.path()), ["00000000000000000040-00000000000000000050.v3.ndjson"]);
    assert_eq!(letters_of_name(&files(root.path())[0]), Some((3, Position(40))));
    assert_eq!(staged.made(), MadeLetters { name: files(root.path()).remove(0), records: 1 });
    let path = letters_folder(root.path(), key()).join(&files(root.path())[0]);
    let line: serde_json::Value =
        serde_json::from_str(std::fs::read_to_string(path).unwrap().trim_end()).unwrap();
    assert_eq!(line["record"], record);
    assert_eq!(
        (&line["position"], &line["reason"], &line["path"]),
        (&41.into(), &"type_mismatch".into(), &"a.b".into())
    );
    assert_eq!(line["ingest_time"], "1970-01-01T00:00:00.000000Z");
}

#[test]
fn what_was_not_committed_leaves_nothing_behind() {
    let root = tempfile::tempdir().unwrap();
    let mut letters = letters(root.path());
    letters.add(Position(1), Timestamp(0), CAUSE, b"{}").unwrap();
    letters.prepare(Position(0), Position(2)).unwrap().unwrap();
    assert_eq!(files(root.path()), [STAGED]);
    letters.reset().unwrap();
    assert!(files(root.path()).is_empty());
    assert!(letters.prepare(Position(0), Position(2)).unwrap().is_none());
}

#[test]
fn publishing_something_that_never_was_is_an_error() {
    let root = tempfile::tempdir().unwrap();
    let letters = letters(root.path());
    assert!(letters.publish(&StagedLetters { name: "x.ndjson".into(), count: 1 }).is_err());
}
