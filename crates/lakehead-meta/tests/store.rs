//! The metadata store from outside: what is reported as done is there after a reopen, preconditions hold, secrets are sealed.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;

use lakehead_disk::SystemDisk;
use lakehead_meta::records::{Expect, Records, Space, Write};
use lakehead_meta::{Change, ErrorKind, FlowKey, FlowRecord, FlowState, Identity, SqliteRecords, Store};
use lakehead_model::random::SeededRandom;
use lakehead_model::resource::{
    BatchHints, Bucket, Credentials, FileNaming, FilesConfig, Http, JsonCompression, JsonFormat, KeyPair,
    ParquetFormat, Pipeline, RollingPolicy, Sink, SinkConfig, SinkFormat, Stream, Table, TableRef,
    WorkerBinding,
};
use lakehead_model::{LegacyPipeline, PipelineId, Position, Secret, SinkId, StreamId, Timestamp};

const CANARY: &str = "canary-7f3a91";

fn open(dir: &Path) -> Store {
    try_open(dir).expect("the store opens")
}

fn try_open(dir: &Path) -> Result<Store, lakehead_meta::Error> {
    Store::open(dir, &SystemDisk, Arc::new(SeededRandom::new(1)))
}

fn stream(id: u128) -> Stream {
    Stream {
        id: StreamId(id),
        name: format!("stream_{id}"),
        version: 1,
        http: Http { enabled: true, authentication: true, cors: None },
        worker_binding: WorkerBinding { enabled: true },
        format: JsonFormat::default(),
        schema: None,
        created_at: Timestamp(5),
        modified_at: Timestamp(5),
    }
}

fn sink(id: u128) -> Sink {
    Sink {
        id: SinkId(id),
        name: format!("sink_{id}"),
        version: 1,
        config: SinkConfig::Files(FilesConfig {
            account_id: "a".into(),
            bucket: "lake".into(),
            path: String::new(),
            time_pattern: None,
            file_naming: FileNaming::default(),
            rolling_policy: RollingPolicy::default(),
            jurisdiction: None,
        }),
        format: SinkFormat::Parquet(ParquetFormat::default()),
        schema: None,
        created_at: Timestamp(6),
        modified_at: Timestamp(6),
    }
}

fn credentials() -> Credentials {
    Credentials::Keys(KeyPair { access_key_id: Secret::new("key"), secret_access_key: Secret::new(CANARY) })
}

fn pipeline(id: u128) -> Pipeline {
    let table = |table, name: &str| TableRef { table, name: name.into(), version: 1 };
    Pipeline {
        id: PipelineId(id),
        name: format!("pipeline_{id}"),
        version: 1,
        sql: "INSERT INTO sink_2 SELECT * FROM stream_1".into(),
        tables: vec![table(Table::Stream(StreamId(1)), "stream_1"), table(Table::Sink(SinkId(2)), "sink_2")],
        created_at: Timestamp(7),
        modified_at: Timestamp(7),
    }
}

fn bucket(name: &str) -> Bucket {
    Bucket {
        name: name.into(),
        location: None,
        storage_class: None,
        jurisdiction: None,
        catalog: None,
        created_at: Timestamp(4),
    }
}

fn everything() -> Vec<Change> {
    vec![
        Change::PutStream(stream(1)),
        Change::PutSink { sink: sink(2), credentials: Some(credentials()) },
        Change::PutPipeline(pipeline(3)),
        Change::PutBucket(bucket("lake")),
    ]
}

#[test]
fn a_change_is_there_after_a_reopen() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    assert_eq!(store.change(0, &everything()).unwrap(), 1);
    let before = store.catalog();
    drop(store);
    let store = open(dir.path());
    assert_eq!(store.catalog(), before);
    assert_eq!(store.catalog().revision, 1);
    assert_eq!(store.sink_credentials(SinkId(2)).unwrap(), Some(credentials()));
    assert_eq!(store.catalog().pipelines_using(Table::Sink(SinkId(2))).len(), 1);
    assert_eq!(store.catalog().pipelines_using(Table::Sink(SinkId(1))).len(), 0);
    assert_eq!(store.catalog().sinks_of_bucket("lake").len(), 1);
}

#[test]
fn removed_resources_stay_removed_after_a_reopen() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    store.change(0, &everything()).unwrap();
    let all = [
        Change::DeleteStream(StreamId(1)),
        Change::DeleteSink(SinkId(2)),
        Change::DeletePipeline(PipelineId(3)),
        Change::DeleteBucket("lake".into()),
    ];
    assert_eq!(store.change(1, &all).unwrap(), 2);
    drop(store);
    let store = open(dir.path());
    let catalog = store.catalog();
    assert!(catalog.streams.is_empty() && catalog.sinks.is_empty());
    assert!(catalog.pipelines.is_empty() && catalog.buckets.is_empty());
    assert_eq!(store.sink_credentials(SinkId(2)).unwrap(), None);
}

#[test]
fn a_change_at_an_old_revision_is_a_conflict_and_changes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    store.change(0, &[Change::PutStream(stream(1))]).unwrap();
    let refused = store.change(0, &[Change::DeleteStream(StreamId(1))]).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Conflict);
    assert!(store.catalog().streams.contains_key(&StreamId(1)));
    drop(store);
    assert!(open(dir.path()).catalog().streams.contains_key(&StreamId(1)));
}

#[test]
fn watchers_wake_after_the_catalog_is_new() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let mut watch = store.watch();
    assert!(!watch.has_changed().unwrap());
    store.change(0, &[Change::PutStream(stream(1))]).unwrap();
    assert!(watch.has_changed().unwrap());
    assert_eq!(*watch.borrow_and_update(), store.catalog().revision);
}

fn flow() -> (FlowKey, FlowState) {
    let key = FlowKey { pipeline: PipelineId(3), statement: 0 };
    (key, FlowState { committed: Position(10), start: Position(10), ..FlowState::default() })
}

#[test]
fn a_flow_goes_from_intent_to_commit_and_survives_reopens() {
    let dir = tempfile::tempdir().unwrap();
    let (key, state) = flow();
    let store = open(dir.path());
    assert_eq!(store.flow(key).unwrap(), None);
    store.create_flows(&[(key, state)]).unwrap();
    store.record_intent(key, Position(10), b"{\"files\":[]}").unwrap();
    drop(store);

    let store = open(dir.path());
    let intent = Some(b"{\"files\":[]}".to_vec());
    assert_eq!(store.flow(key).unwrap(), Some(FlowRecord { state, intent }));
    let next = FlowState { committed: Position(u64::MAX), delivered: 7, filtered: 2, serial: 1, ..state };
    store.record_commit(key, Position(10), &next).unwrap();
    drop(store);

    let store = open(dir.path());
    assert_eq!(store.flow(key).unwrap(), Some(FlowRecord { state: next, intent: None }));
    assert_eq!(store.flow_keys().unwrap(), [key]);
}

#[test]
fn commits_do_not_wake_the_watchers_of_the_catalog() {
    let dir = tempfile::tempdir().unwrap();
    let (key, state) = flow();
    let store = open(dir.path());
    let watch = store.watch();
    store.create_flows(&[(key, state)]).unwrap();
    store.record_commit(key, Position(10), &FlowState { committed: Position(11), ..state }).unwrap();
    assert!(!watch.has_changed().unwrap());
    store.change(0, &[Change::PutStream(stream(1))]).unwrap();
}

#[test]
fn the_preconditions_of_a_flow_hold() {
    let dir = tempfile::tempdir().unwrap();
    let (key, state) = flow();
    let store = open(dir.path());
    let conflict =
        |r: Result<(), lakehead_meta::Error>| assert_eq!(r.unwrap_err().kind(), ErrorKind::Conflict);
    conflict(store.record_intent(key, Position(10), b"1"));
    conflict(store.record_commit(key, Position(10), &state));
    store.create_flows(&[(key, state)]).unwrap();
    conflict(store.create_flows(&[(key, state)]));
    conflict(store.record_intent(key, Position(9), b"1"));
    store.record_intent(key, Position(10), b"1").unwrap();
    conflict(store.record_intent(key, Position(10), b"2"));
    conflict(store.record_commit(key, Position(11), &state));
    conflict(store.record_commit(key, Position(10), &FlowState { committed: Position(9), ..state }));
    assert_eq!(store.flow(key).unwrap().unwrap().intent, Some(b"1".to_vec()));
    store.record_commit(key, Position(10), &state).unwrap();
    assert_eq!(store.flow(key).unwrap().unwrap().intent, None);
}

#[test]
fn deleting_the_flows_of_a_pipeline_leaves_those_of_others() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let key = |pipeline, statement| FlowKey { pipeline: PipelineId(pipeline), statement };
    for k in [key(1, 0), key(1, 11), key(2, 0)] {
        store.create_flows(&[(k, FlowState::default())]).unwrap();
    }
    store.delete_flows(PipelineId(1)).unwrap();
    store.delete_flows(PipelineId(1)).unwrap();
    assert_eq!(store.flow_keys().unwrap(), [key(2, 0)]);
}

#[test]
fn no_secret_is_on_disk_or_in_debug_output() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    store.change(0, &everything()).unwrap();
    assert!(!format!("{store:?} {:?} {:?}", everything(), store.catalog()).contains(CANARY));
    drop(store);
    let mut files = 0;
    for entry in std::fs::read_dir(dir.path()).unwrap() {
        let bytes = std::fs::read(entry.unwrap().path()).unwrap();
        assert!(!bytes.windows(CANARY.len()).any(|w| w == CANARY.as_bytes()));
        files += 1;
    }
    assert!(files >= 2, "the database and the key were looked at");
}

#[test]
fn credentials_of_one_sink_cannot_be_passed_off_as_those_of_another() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    store.change(0, &everything()).unwrap();
    drop(store);
    let records = SqliteRecords::open(&dir.path().join("meta.sqlite")).unwrap();
    let stolen = records.get(Space::Credentials, &SinkId(2).to_string()).unwrap().unwrap();
    let key = SinkId(9).to_string();
    let write = Write { space: Space::Credentials, key, expect: Expect::Absent, value: Some(stolen.value) };
    records.write(None, &[write]).unwrap();
    drop(records);
    let store = open(dir.path());
    assert_eq!(store.sink_credentials(SinkId(9)).unwrap_err().kind(), ErrorKind::Corrupt);
    assert_eq!(store.sink_credentials(SinkId(2)).unwrap(), Some(credentials()));
}

#[test]
fn a_lost_or_foreign_key_is_reported_not_replaced() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    store.change(0, &everything()).unwrap();
    drop(store);
    let key = dir.path().join("secret.key");
    let saved = std::fs::read(&key).unwrap();
    std::fs::remove_file(&key).unwrap();
    assert!(try_open(dir.path()).unwrap_err().to_string().contains("secret.key"));
    assert!(!key.exists());
    std::fs::write(&key, "00".repeat(32)).unwrap();
    assert_eq!(open(dir.path()).sink_credentials(SinkId(2)).unwrap_err().kind(), ErrorKind::Corrupt);
    std::fs::write(&key, "zz").unwrap();
    assert_eq!(try_open(dir.path()).unwrap_err().kind(), ErrorKind::Corrupt);
    std::fs::write(&key, saved).unwrap();
    assert!(open(dir.path()).sink_credentials(SinkId(2)).unwrap().is_some());
}

#[test]
fn a_second_server_on_the_same_directory_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let _first = open(dir.path());
    assert_eq!(try_open(dir.path()).unwrap_err().kind(), ErrorKind::Busy);
}

#[test]
fn a_flipped_bit_in_a_record_is_detected() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    store.create_flows(&[flow()]).unwrap();
    drop(store);
    let path = dir.path().join("meta.sqlite");
    let mut bytes = std::fs::read(&path).unwrap();
    let needle = b"\"committed\":10";
    let at: Vec<_> = (0..bytes.len()).filter(|&i| bytes[i..].starts_with(needle)).collect();
    assert_eq!(at.len(), 1, "the record stands once in the file");
    bytes[at[0] + needle.len() - 1] ^= 1;
    std::fs::write(&path, bytes).unwrap();
    let error = open(dir.path()).flow(flow().0).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Corrupt, "{error}");
}

#[test]
fn foreign_damaged_and_newer_files_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("meta.sqlite");
    std::fs::write(&path, "this is not a database, whatever its name says".repeat(100)).unwrap();
    assert_eq!(try_open(dir.path()).unwrap_err().kind(), ErrorKind::Corrupt);

    std::fs::remove_file(&path).unwrap();
    rusqlite::Connection::open(&path).unwrap().execute_batch("CREATE TABLE foreign_one (a)").unwrap();
    assert!(try_open(dir.path()).unwrap_err().to_string().contains("not a metadata store"));

    std::fs::remove_file(&path).unwrap();
    drop(open(dir.path()));
    rusqlite::Connection::open(&path).unwrap().execute_batch("PRAGMA user_version = 2").unwrap();
    assert!(try_open(dir.path()).unwrap_err().to_string().contains("format 2"));
}

#[test]
fn an_identity_is_made_once_private_and_recognises_its_token() {
    let dir = tempfile::tempdir().unwrap();
    let first = Identity::open(dir.path(), &SystemDisk, &SeededRandom::new(1)).unwrap();
    let again = Identity::open(dir.path(), &SystemDisk, &SeededRandom::new(2)).unwrap();
    assert_eq!(first.account_id(), again.account_id());
    assert_eq!(first.admin_token(), again.admin_token());
    assert_eq!(first.account_id().len(), 32);
    for file in ["account_id", "admin_token"] {
        let mode = std::fs::metadata(dir.path().join(file)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{file}");
    }
    let token = first.admin_token().reveal();
    assert_eq!(token.len(), 3 + 48);
    assert!(again.is_admin(token.as_bytes()));
    for wrong in ["", &token[1..], &token.to_uppercase(), &format!("{token}x")] {
        assert!(!first.is_admin(wrong.as_bytes()), "{wrong:?}");
    }
    assert!(!format!("{first:?}").contains(token));
}

#[test]
fn the_store_and_its_key_are_private() {
    let dir = tempfile::tempdir().unwrap();
    let _store = open(dir.path());
    let mut files = 0;
    for entry in std::fs::read_dir(dir.path()).unwrap() {
        let entry = entry.unwrap();
        let mode = entry.metadata().unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{:?}", entry.file_name());
        files += 1;
    }
    assert!(files >= 2, "the database and the key were looked at");
}

#[test]
fn an_emptied_identity_file_is_refused_rather_than_trusted() {
    let dir = tempfile::tempdir().unwrap();
    Identity::open(dir.path(), &SystemDisk, &SeededRandom::new(1)).unwrap();
    std::fs::write(dir.path().join("admin_token"), "\n").unwrap();
    let error = Identity::open(dir.path(), &SystemDisk, &SeededRandom::new(1)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Corrupt);
    assert!(error.to_string().contains("admin_token"));
}

#[test]
fn writes_are_all_or_nothing_and_versions_count_replacements() {
    let dir = tempfile::tempdir().unwrap();
    let records = SqliteRecords::open(&dir.path().join("r.sqlite")).unwrap();
    let put = |key: &str, expect| Write {
        space: Space::Bucket,
        key: key.into(),
        expect,
        value: Some(b"v".to_vec()),
    };
    assert_eq!(records.write(Some(0), &[put("a", Expect::Absent)]).unwrap(), 1);
    let second = [put("b", Expect::Absent), put("a", Expect::Version(2))];
    assert_eq!(records.write(Some(1), &second).unwrap_err().kind(), ErrorKind::Conflict);
    assert!(records.get(Space::Bucket, "b").unwrap().is_none());
    assert_eq!(records.write(Some(1), &[put("a", Expect::Version(1)), put("ab", Expect::Any)]).unwrap(), 2);
    assert_eq!(records.get(Space::Bucket, "a").unwrap().unwrap().version, 2);
    let (revision, found) = records.list(&[Space::Sink, Space::Bucket], "a").unwrap();
    assert_eq!(revision, 2);
    assert_eq!(found.iter().map(|(_, r)| r.key.as_str()).collect::<Vec<_>>(), ["a", "ab"]);
    assert_eq!(records.list(&[Space::Bucket], "ab").unwrap().1.len(), 1);
}

#[test]
fn a_legacy_pipeline_keeps_the_credentials_of_the_buckets_it_left() {
    let legacy = |version: u64, bucket: &str| LegacyPipeline {
        id: PipelineId(9),
        name: "clicks".into(),
        version,
        http: None,
        binding: true,
        bucket: bucket.into(),
        prefix: String::new(),
        compression: JsonCompression::Gzip,
        batch: BatchHints { bytes_max: 1_000, age_milliseconds_max: 1_000, rows_max: 100 },
        shards: None,
        created_at: Timestamp(1),
        modified_at: Timestamp(1),
    };
    let keys = |secret: &str| {
        Credentials::Keys(KeyPair {
            access_key_id: Secret::new("key"),
            secret_access_key: Secret::new(secret),
        })
    };
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let put =
        |at, pipeline, credentials| store.change(at, &[Change::PutLegacy { pipeline, credentials }]).unwrap();
    let at = put(0, legacy(1, "aaa"), Some(keys("first")));
    // Without credentials those that are there stay.
    let at = put(at, legacy(2, "aaa"), None);
    let at = put(at, legacy(3, "bbb"), Some(keys("second")));
    let sink = SinkId(9);
    drop(store);
    let store = open(dir.path());
    assert_eq!(store.sink_credentials(sink).unwrap(), Some(keys("second")));
    assert_eq!(store.former_credentials(sink, "aaa").unwrap(), Some(keys("first")));
    assert_eq!(store.former_credentials(sink, "bbb").unwrap(), None);
    store.change(at, &[Change::DeleteLegacy(PipelineId(9))]).unwrap();
    assert_eq!(store.sink_credentials(sink).unwrap(), None);
    assert_eq!(store.former_credentials(sink, "aaa").unwrap(), None);
}
