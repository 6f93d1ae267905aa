//! A store, files, dead letters and a log that agree, and then each of them altered in one place.

use std::path::PathBuf;

use lakehead_disk::SystemDisk;
use lakehead_log::{Append, Seams, Settings};
use lakehead_meta::records::{Expect, Records, Space, Write};
use lakehead_meta::{FlowState, Made, MadeFile, MadeLetters, SqliteRecords};
use lakehead_model::clock::ManualClock;
use lakehead_model::random::SeededRandom;
use lakehead_model::resource::{Http, JsonFormat, Stream, WorkerBinding};
use lakehead_model::{Partition, PipelineId, Position, StreamId, Timestamp};

use super::*;
use crate::control::DifferenceKind as Kind;

const STREAM: StreamId = StreamId(7);
const KEY: FlowKey = FlowKey { pipeline: PipelineId(3), statement: 0 };

fn stream() -> Stream {
    Stream {
        id: STREAM,
        name: "events".into(),
        version: 1,
        http: Http { enabled: true, authentication: false, cors: None },
        worker_binding: WorkerBinding { enabled: true },
        format: JsonFormat::default(),
        schema: None,
        created_at: Timestamp(0),
        modified_at: Timestamp(0),
    }
}

/// A data folder; `audits` opens it.
struct World {
    dir: tempfile::TempDir,
    runtime: tokio::runtime::Runtime,
    pipeline: Arc<Pipeline>,
}

/// `committed` positions from 0: two records a file of four rows, one filtered, one dead letter, for every four.
fn state(version: u64, start: u64, committed: u64) -> FlowState {
    let fours = (committed - start) / 4;
    FlowState {
        version,
        stream: Some(STREAM),
        start: Position(start),
        committed: Position(committed),
        delivered: 2 * fours,
        filtered: fours,
        dead_lettered: fours,
        rows: 4 * fours,
        files: fours,
        file_bytes: 32 * fours,
        ..FlowState::default()
    }
}

impl World {
    /// Two commits of version 1, then two of version 2, and three records in flight.
    fn new() -> World {
        let world = World {
            dir: tempfile::tempdir().expect("a folder"),
            runtime: tokio::runtime::Builder::new_multi_thread()
                .worker_threads(1)
                .enable_all()
                .build()
                .expect("threads"),
            pipeline: Arc::new(Pipeline {
                id: KEY.pipeline,
                name: "p".into(),
                version: 2,
                sql: String::new(),
                tables: Vec::new(),
                created_at: Timestamp(0),
                modified_at: Timestamp(0),
            }),
        };
        let audits = world.audits();
        let store = &audits.parts.store;
        store.change(0, &[lakehead_meta::Change::PutStream(stream())]).expect("a stream");
        store.create_flows(&[(KEY, state(1, 0, 0))]).expect("a flow");
        world.commit(store, 1, 0, 0);
        world.commit(store, 1, 0, 4);
        store.cut_over(KEY.pipeline, &[(KEY, state(2, 8, 8))]).expect("an edit");
        world.commit(store, 2, 8, 8);
        world.commit(store, 2, 8, 12);
        world.append(&audits.parts.log, 19);
        world
    }

    fn audits(&self) -> Audits {
        let path = self.dir.path();
        let store = Store::open(path, &SystemDisk, Arc::new(SeededRandom::new(1))).expect("a store");
        let settings = Settings {
            segment_bytes: 64 << 10,
            quota_bytes: 64 << 20,
            retention: std::time::Duration::ZERO,
            recent_bytes_max: 0,
            ..Settings::new(path.join("log"))
        };
        let (log, _) = LocalLog::open(settings, Seams::system(|fatal| panic!("{fatal:?}"))).expect("a log");
        let storage = Arc::new(Storage::new(path.join("buckets"), BTreeMap::new()));
        let clock: Arc<dyn Clock> = Arc::new(ManualClock::default());
        let random = Arc::new(SeededRandom::new(3));
        Audits::new(Parts {
            store: Arc::new(store),
            log,
            catalogs: Arc::new(Catalogs::none(Arc::clone(&storage), Arc::clone(&clock), random)),
            clock,
            storage,
            disk: Arc::new(SystemDisk),
            random: Arc::new(SeededRandom::new(2)),
            uploads: Uploads::default(),
            data_dir: path.to_owned(),
            async_runtime: self.runtime.handle().clone(),
        })
    }

    /// A commit of four positions from `at`, with its file and its dead letter.
    fn commit(&self, store: &Store, version: u64, start: u64, at: u64) {
        let content = "{\"n\":1}\n".repeat(4);
        let (file, letters) = (self.file(at), self.letters(version, at));
        for path in [&file, &letters] {
            std::fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
        }
        std::fs::write(&file, &content).expect("a file");
        std::fs::write(&letters, "{\"position\":1}\n").expect("a file");
        let name = |path: &PathBuf| path.file_name().expect("a name").to_string_lossy().into_owned();
        let made = Made {
            table: None,
            sink: None,
            bucket: Some("lake".into()),
            files: vec![MadeFile {
                key: name(&file),
                size_bytes: content.len() as u64,
                rows: 4,
                crc32c: 0xB891_2719,
            }],
            letters: Some(MadeLetters { name: name(&letters), records: 1 }),
        };
        store.record_commit_of(KEY, Position(at), &state(version, start, at + 4), &made).expect("a commit");
    }

    fn file(&self, at: u64) -> PathBuf {
        self.dir.path().join(format!("buckets/lake/{at}.json"))
    }

    fn letters(&self, version: u64, at: u64) -> PathBuf {
        let name = format!("{at:020}-{:020}.v{version}.ndjson", at + 4);
        crate::runtime::letters_folder(self.dir.path(), KEY).join(name)
    }

    fn append(&self, log: &LocalLog, records: usize) {
        let body = format!("[{}]", vec!["{\"n\":1}"; records].join(","));
        let mut bounds = Vec::new();
        lakehead_decode::frame_array(body.as_bytes(), &mut bounds).expect("records");
        let append = Append {
            partition: Partition::first(STREAM),
            records: bounds.into(),
            body: body.into(),
            key: None,
        };
        log.submit(append).expect("room").blocking_recv().expect("an answer").expect("stored");
    }

    fn audit(&self) -> Audit {
        self.audits().audit(&self.pipeline, &|| true).expect("an audit")
    }

    /// Changes a record of the store while nothing runs.
    fn alter(&self, space: Space, key: &str, change: impl Fn(&mut serde_json::Value)) {
        let records = SqliteRecords::open(&self.dir.path().join("meta.sqlite")).expect("a store");
        let record = records.get(space, key).expect("a store").expect("a record");
        let mut value: serde_json::Value = serde_json::from_slice(&record.value).expect("JSON");
        change(&mut value);
        let value = Some(serde_json::to_vec(&value).expect("JSON"));
        records
            .write(None, &[Write { space, key: key.into(), expect: Expect::Any, value }])
            .expect("a write");
    }

    fn alter_entry(&self, number: u64, change: impl Fn(&mut serde_json::Value)) {
        self.alter(Space::Journal, &format!("{KEY}/{number:020}"), change);
    }

    /// The kinds of differences, and that the texts of all hold one of `named`.
    fn differs(&self, kinds: &[Kind], named: &str) {
        let audit = self.audit();
        let found: Vec<_> = audit.differences.iter().map(|d| d.kind).collect();
        assert_eq!(found, kinds, "{:#?}", audit.differences);
        assert_eq!(audit.differences_count, kinds.len() as u64);
        assert!(!audit.is_balanced() && audit.unread.is_empty());
        assert!(audit.differences.iter().any(|d| d.text.contains(named)), "{:#?}", audit.differences);
    }
}

#[test]
fn what_agrees_is_balanced_and_the_figures_are_those_of_the_flows() {
    let world = World::new();
    let audit = world.audit();
    assert!(audit.is_balanced(), "{:#?}", audit.differences);
    let [statement] = audit.statements.as_slice() else { panic!("{:?}", audit.statements) };
    assert_eq!((statement.version, statement.committed, statement.start), (2, Position(16), Position(8)));
    assert_eq!((statement.in_flight, statement.in_flight_found, statement.is_committing), (3, 3, false));
    assert_eq!((statement.totals.accepted, statement.totals.delivered), (8, 4));
    let two = Recount {
        files_rewritten: 0,
        commits: 2,
        unlisted: Totals::default(),
        files_recorded: 2,
        files_found: 2,
        rows_recorded: 8,
        rows_found: 8,
        bytes_recorded: 64,
        bytes_found: 64,
        dead_letters_recorded: 2,
        dead_letters_found: 2,
    };
    assert_eq!((statement.recount, audit.past.recount), (two, two));
    assert_eq!(audit.past.totals.accepted, 8);
    assert_eq!(statement.stream, Some((STREAM, Some("events".to_owned()))));
}

#[test]
fn a_file_that_is_gone_altered_or_cut_is_named() {
    let world = World::new();
    let whole = std::fs::read(world.file(4)).expect("a file");
    std::fs::remove_file(world.file(4)).expect("a file");
    world.differs(&[Kind::FileMissing], "4.json");

    let mut altered = whole.clone();
    altered[9] ^= 1;
    std::fs::write(world.file(4), &altered).expect("a file");
    world.differs(&[Kind::FileContent], "4.json");

    std::fs::write(world.file(4), &whole[..16]).expect("a file");
    world.differs(&[Kind::FileSize, Kind::FileRows], "holds 2 rows, and 4 were written");

    std::fs::write(world.file(4), &whole[..12]).expect("a file");
    world.differs(&[Kind::FileSize, Kind::FileRows], "it ends within line 2");
    std::fs::write(world.file(4), &whole).expect("a file");
    assert!(world.audit().is_balanced());
}

#[test]
fn dead_letters_that_are_gone_too_few_or_too_many_are_named() {
    let world = World::new();
    let path = world.letters(2, 8);
    std::fs::remove_file(&path).expect("a file");
    world.differs(&[Kind::DeadLettersMissing], "00008-");
    std::fs::write(&path, "").expect("a file");
    world.differs(&[Kind::DeadLettersCount], "are 0, and 1 were kept apart");
    std::fs::write(&path, "{}\n").expect("a file");

    std::fs::write(world.letters(2, 20), "{}\n").expect("a file");
    world.differs(&[Kind::DeadLettersExtra], "00020-");
    std::fs::remove_file(world.letters(2, 20)).expect("a file");
    std::fs::write(path.with_file_name("notes.txt"), "of somebody").expect("a file");
    assert!(world.audit().is_balanced());
}

#[test]
fn dead_letters_of_a_commit_under_way_are_no_difference() {
    let world = World::new();
    std::fs::write(world.letters(2, 16), "{}\n").expect("a file");
    let intent = serde_json::json!({
        "next": state(2, 8, 20), "bucket": "lake", "files": [],
        "letters": { "name": world.letters(2, 16).file_name().unwrap().to_str().unwrap(), "count": 1 },
    });
    let audits = world.audits();
    audits.parts.store.record_intent(KEY, Position(16), intent.to_string().as_bytes()).expect("an intent");
    drop(audits);
    let audit = world.audit();
    assert!(audit.is_balanced() && audit.statements[0].is_committing, "{:#?}", audit.differences);
}

#[test]
fn figures_that_do_not_come_to_the_same_are_named() {
    let flow = KEY.to_string();
    let world = World::new();
    world.alter(Space::Flow, &flow, |flow| flow["state"]["delivered"] = 5.into());
    world.differs(&[Kind::JournalSums, Kind::Ledger], "its counts come to 9");

    let world = World::new();
    world.alter(Space::Retired, &KEY.pipeline.to_string(), |retired| retired["totals"]["lost"] = 1.into());
    world.differs(&[Kind::Ledger], "past versions");

    let world = World::new();
    world.alter_entry(3, |entry| entry["totals"]["filtered"] = 3.into());
    world.differs(&[Kind::CommitCounts, Kind::JournalSums], "the commit of 12 to 16 has 4 positions");

    let world = World::new();
    world.alter_entry(0, |entry| entry["totals"]["rows"] = 5.into());
    world.differs(&[Kind::CommitFiles, Kind::JournalSums], "its 1 files have 4 rows");

    let world = World::new();
    world.alter_entry(2, |entry| entry["made"]["letters"] = serde_json::Value::Null);
    world.differs(&[Kind::CommitFiles, Kind::DeadLettersExtra], "has 1 dead letters, and its file 0");
}

#[test]
fn gaps_overlaps_and_files_named_twice_are_named() {
    let world = World::new();
    world.alter_entry(3, |entry| entry["from"] = 13.into());
    world.differs(&[Kind::JournalGap, Kind::CommitCounts], "begins at 13, behind 12");

    let world = World::new();
    world.alter_entry(3, |entry| entry["from"] = 11.into());
    world.differs(&[Kind::JournalOverlap, Kind::CommitCounts], "begins at 11, before 12");

    let world = World::new();
    world.alter_entry(1, |entry| entry["until"] = 9.into());
    world.differs(&[Kind::CommitCounts, Kind::JournalOverlap], "version 1 had handled it up to 9");

    let world = World::new();
    world.alter_entry(3, |entry| entry["made"]["files"][0]["key"] = "8.json".into());
    world.differs(&[Kind::FileTwice], "8.json");

    let world = World::new();
    let records = SqliteRecords::open(&world.dir.path().join("meta.sqlite")).expect("a store");
    let key = format!("{KEY}/{:020}", 2);
    let gone = Write { space: Space::Journal, key, expect: Expect::Any, value: None };
    records.write(None, &[gone]).expect("a write");
    drop(records);
    let kinds = [Kind::JournalGap, Kind::JournalGap, Kind::JournalSums, Kind::DeadLettersExtra];
    world.differs(&kinds, "entry 2 of the journal of statement 0 is not there");
}

#[test]
fn a_log_that_ends_early_or_has_let_go_is_named() {
    let world = World::new();
    std::fs::remove_dir_all(world.dir.path().join("log")).expect("a log");
    world.differs(&[Kind::LogEnd], "ends at 0");

    let world = World::new();
    let audits = world.audits();
    let log = &audits.parts.log;
    // Enough for several segments, of which the first go.
    for _ in 0..200 {
        world.append(log, 400);
    }
    log.trim(Partition::first(STREAM), Position(60_000));
    log.tidy();
    let oldest = log.oldest(Partition::first(STREAM));
    assert!(oldest > Position(16), "nothing was trimmed");
    let audit = audits.audit(&world.pipeline, &|| true).expect("an audit");
    let kinds: Vec<_> = audit.differences.iter().map(|d| (d.kind, d.at)).collect();
    assert_eq!(kinds, [(Kind::LogTrimmed, Some(Position(16)))]);
    let statement = &audit.statements[0];
    assert_eq!((statement.in_flight, statement.in_flight_found), (80_003, 80_019 - oldest.0));
}

#[test]
fn records_that_come_while_an_audit_runs_are_not_looked_at() {
    let world = World::new();
    let audits = world.audits();
    // On a thread of its own: it is asked for within a runtime, where waiting for the log is not allowed.
    let more = || {
        let twice = || (0..2).for_each(|_| world.append(&audits.parts.log, 5));
        std::thread::scope(|scope| scope.spawn(twice).join()).is_ok()
    };
    let audit = audits.audit(&world.pipeline, &more).expect("an audit");
    assert!(audit.is_balanced(), "{:#?}", audit.differences);
    let statement = &audit.statements[0];
    assert_eq!(statement.in_flight, statement.in_flight_found);
}

#[test]
fn a_bucket_that_cannot_be_opened_is_said_and_is_no_difference() {
    let world = World::new();
    world.alter_entry(3, |entry| entry["made"]["bucket"] = "NO BUCKET".into());
    let audit = world.audit();
    assert_eq!((audit.differences_count, audit.unread_count, audit.is_balanced()), (0, 1, false));
    assert!(audit.unread[0].contains("NO BUCKET"), "{:?}", audit.unread);
}

#[test]
fn a_folder_of_an_earlier_version_is_audited_from_its_first_entry_on() {
    let world = World::new();
    // As if the commits up to 12 had been made without a journal.
    {
        let records = SqliteRecords::open(&world.dir.path().join("meta.sqlite")).expect("a store");
        let gone = |number: u64| Write {
            space: Space::Journal,
            key: format!("{KEY}/{number:020}"),
            expect: Expect::Any,
            value: None,
        };
        records.write(None, &[gone(0), gone(1), gone(2)]).expect("a write");
    }
    world.alter(Space::Retired, &KEY.pipeline.to_string(), |retired| {
        retired.as_object_mut().expect("an object").remove("journaled");
    });
    let mut unlisted = Totals::default();
    unlisted.add(&state(2, 8, 12));
    world.alter(Space::JournalHead, &KEY.to_string(), |head| {
        head["first"] = 3.into();
        head["before"] = serde_json::json!({ "version": 2, "from": 8, "until": 12, "totals": unlisted });
    });
    let audit = world.audit();
    assert!(audit.is_balanced(), "{:#?}", audit.differences);
    assert_eq!(audit.statements[0].recount.unlisted, unlisted);
    assert_eq!((audit.statements[0].recount.commits, audit.past.recount.commits), (1, 0));
    assert_eq!(audit.past.recount.unlisted.accepted, 8);
}

#[test]
fn an_audit_ends_when_nobody_waits_and_there_is_one_at_a_time() {
    let world = World::new();
    let audits = world.audits();
    let ended = audits.audit(&world.pipeline, &|| false).expect_err("nobody waits");
    assert!(matches!(ended, Error::Unavailable(_)), "{ended:?}");
    let _turn = audits.running.try_enter();
    let busy = audits.audit(&world.pipeline, &|| true).expect_err("one is running");
    assert!(matches!(busy, Error::Busy(_)), "{busy:?}");
}
