use std::sync::atomic::{AtomicU64, Ordering};

use lakehead_log::{Append, Seams, Settings};
use lakehead_model::resource::{Http, JsonFormat, WorkerBinding};
use lakehead_model::{Schema, StreamId, SystemClock};
use serde_json::json;

use super::*;
use crate::control::{RecordRejected, StatementPreview};

const FIELDS: &str = r#"[{"name":"n","type":"int64","required":true},{"name":"t","type":"string"}]"#;

/// A log and the streams in it.
struct World {
    dir: tempfile::TempDir,
    log: LocalLog,
    previews: Previews,
    streams: Vec<Stream>,
}

fn stream(id: u128, name: &str, fields: Option<&str>) -> Stream {
    let schema = fields.map(|fields| {
        let fields: serde_json::Value = serde_json::from_str(fields).expect("JSON");
        Schema::from_json(&json!({ "fields": fields })).expect("a schema")
    });
    Stream {
        id: StreamId(id),
        name: name.to_owned(),
        version: 1,
        http: Http { enabled: true, authentication: false, cors: None },
        worker_binding: WorkerBinding { enabled: true },
        format: JsonFormat::default(),
        schema,
        created_at: Timestamp(0),
        modified_at: Timestamp(0),
    }
}

fn world() -> World {
    world_at(Arc::new(SystemClock::default()))
}

fn world_at(clock: Arc<dyn Clock>) -> World {
    let dir = tempfile::tempdir().expect("a folder");
    let settings = Settings {
        segment_bytes: 64 << 10,
        quota_bytes: 64 << 20,
        retention: Duration::ZERO,
        recent_bytes_max: 0,
        ..Settings::new(dir.path().join("log"))
    };
    let (log, _) = LocalLog::open(settings, Seams::system(|fatal| panic!("{fatal:?}"))).expect("a log");
    let previews = Previews::new(log.clone(), clock, Arc::new(Turnstile::new(1)));
    let streams = vec![stream(1, "events", Some(FIELDS)), stream(2, "raw", None)];
    World { dir, log, previews, streams }
}

impl World {
    /// Appends a request of these records to the stream.
    fn send(&self, stream: usize, records: &[&str]) {
        let body = format!("[{}]", records.join(","));
        let mut bounds = Vec::new();
        lakehead_decode::frame_array(body.as_bytes(), &mut bounds).expect("records");
        let partition = Partition::first(self.streams[stream].id);
        let append = Append { partition, records: bounds.into(), body: body.into(), key: None };
        self.log.submit(append).expect("room").blocking_recv().expect("an answer").expect("stored");
    }

    fn ask(&self, wanted: &PreviewWanted) -> Result<Vec<StatementPreview>, Error> {
        self.previews.preview(wanted, &self.streams).map(|preview| preview.statements)
    }

    fn preview(&self, sql: &str) -> StatementPreview {
        self.ask(&wanted(sql)).expect("a preview").remove(0)
    }
}

fn wanted(sql: &str) -> PreviewWanted {
    PreviewWanted { sql: sql.to_owned(), records_max: 1000, rows_max: 100, records: None }
}

fn given(sql: &str, records: &str) -> PreviewWanted {
    let mut bounds = Vec::new();
    lakehead_decode::frame_array(records.as_bytes(), &mut bounds).expect("records");
    let records = Some(GivenRecords { body: Bytes::from(records.to_owned()), bounds });
    PreviewWanted { records, ..wanted(sql) }
}

fn counts(made: &StatementPreview) -> (u64, u64, u64, u64) {
    let read = made.read.records;
    assert_eq!(read, made.kept + made.filtered + made.rejected, "the ledger balances: {made:?}");
    (read, made.kept, made.filtered, made.rejected)
}

fn range(made: &StatementPreview) -> (u64, u64) {
    (made.read.from.0, made.read.to.0)
}

const DIVIDE: &str = "INSERT INTO nowhere SELECT n, 100 / n AS part FROM events WHERE n < 50";

#[test]
fn records_are_kept_filtered_and_rejected_as_a_pipeline_would() {
    let world = world();
    world.send(0, &[r#"{"n":1}"#, r#"{"n":99}"#, r#"{"t":"x"}"#]);
    world.send(0, &[r#"{"n":"x"}"#, r#"{"n":0}"#, r#"{"n":10}"#]);
    let made = world.preview(DIVIDE);
    assert_eq!((made.stream.as_str(), made.sink.as_deref()), ("events", Some("nowhere")));
    assert_eq!(made.columns.fields().iter().map(|f| f.name().as_str()).collect::<Vec<_>>(), ["n", "part"]);
    assert_eq!(made.rows, [r#"{"n":1,"part":100}"#, r#"{"n":10,"part":10}"#]);
    assert_eq!(counts(&made), (6, 2, 1, 3));
    assert_eq!((made.rows_made, range(&made), made.stopped), (2, (0, 6), None));
    let short = |r: &RecordRejected| (r.position.0, r.stage, r.reason, r.path.clone());
    assert_eq!(
        made.rejects.iter().map(short).collect::<Vec<_>>(),
        [
            (2, "decode", "missing_field", "n".to_owned()),
            (3, "decode", "parse_failure", "n".to_owned()),
            (4, "transform", "transform_error", String::new()),
        ]
    );
    assert!(made.rejects[2].detail.contains("zero"), "{:?}", made.rejects[2]);
}

#[test]
fn only_the_last_records_are_read_also_from_within_a_request() {
    let world = world();
    world.send(0, &[r#"{"n":1}"#, r#"{"n":2}"#, r#"{"n":3}"#]);
    world.send(0, &[r#"{"n":4}"#]);
    let sql = "INSERT INTO s SELECT n FROM events";
    let last = |records_max| world.ask(&PreviewWanted { records_max, ..wanted(sql) }).unwrap().remove(0);
    assert_eq!((last(2).rows, range(&last(2))), (vec![r#"{"n":3}"#.into(), r#"{"n":4}"#.into()], (2, 4)));
    assert_eq!((counts(&last(1)), range(&last(1))), ((1, 1, 0, 0), (3, 4)));
    assert_eq!((counts(&last(99)), range(&last(99))), ((4, 4, 0, 0), (0, 4)));
}

#[test]
fn a_stream_without_records_gives_its_schema_and_no_rows() {
    let world = world();
    let made = world.preview(DIVIDE);
    assert_eq!((made.columns.fields().len(), made.rows.len()), (2, 0));
    assert_eq!((counts(&made), range(&made), made.stopped), ((0, 0, 0, 0), (0, 0), None));
}

#[test]
fn given_records_are_read_in_the_place_of_stored_ones() {
    let world = world();
    world.send(0, &[r#"{"n":7}"#]);
    let records = r#"[ {"n":1,"t":"é\n"}, {"n":null}, {"n":0}]"#;
    let sql = "INSERT INTO s SELECT t, 1 / n AS n FROM events";
    let made = world.ask(&given(sql, records)).unwrap().remove(0);
    assert_eq!(made.rows, [r#"{"t":"é\n","n":1}"#]);
    assert_eq!((counts(&made), range(&made)), ((3, 1, 0, 2), (0, 3)));
    assert_eq!((made.rejects[0].position.0, made.rejects[0].reason), (1, "null_value"));
    let none = world.ask(&given(sql, "[]")).unwrap().remove(0);
    assert_eq!((counts(&none), none.columns.fields().len()), ((0, 0, 0, 0), 2));
}

#[test]
fn each_statement_has_its_own_account_of_the_same_records() {
    let world = world();
    world.send(0, &[r#"{"n":1}"#, r#"{"n":2}"#]);
    world.send(1, &[r#"{"a":[1, 2]}"#]);
    let sql = "INSERT INTO a SELECT n FROM events WHERE n > 1; INSERT INTO b SELECT * FROM raw; \
               INSERT INTO c SELECT t FROM events";
    let made = world.ask(&wanted(sql)).unwrap();
    assert_eq!(made.iter().map(counts).collect::<Vec<_>>(), [(2, 1, 1, 0), (1, 1, 0, 0), (2, 2, 0, 0)]);
    assert_eq!(made[0].rows, [r#"{"n":2}"#]);
    assert_eq!(made[1].rows, [r#"{"value":{"a":[1,2]}}"#]);
    assert_eq!(made[2].rows, [r#"{"t":null}"#, r#"{"t":null}"#]);
}

#[test]
fn rows_beyond_those_wanted_are_counted_and_rejects_beyond_twenty_too() {
    let world = world();
    let good: Vec<_> = (1..=700).map(|n| format!(r#"{{"n":{n}}}"#)).collect();
    world.send(0, &good.iter().map(String::as_str).collect::<Vec<_>>());
    world.send(0, &[r#"{"n":0}"#; 300]);
    let sql = "INSERT INTO s SELECT 1000 / n AS m FROM events";
    let made = world.ask(&PreviewWanted { rows_max: 3, ..wanted(sql) }).unwrap().remove(0);
    assert_eq!(counts(&made), (1000, 700, 0, 300));
    assert_eq!((made.rows.len(), made.rows_made, made.stopped), (3, 700, None));
    let positions: Vec<u64> = made.rejects.iter().map(|r| r.position.0).collect();
    assert_eq!(positions, (700..720).collect::<Vec<_>>());
    let none = world.ask(&PreviewWanted { rows_max: 0, ..wanted(sql) }).unwrap().remove(0);
    assert_eq!((none.rows.len(), none.rows_made), (0, 700));
}

#[test]
fn large_rows_are_shown_up_to_a_bound_and_counted_beyond_it() {
    let world = world();
    let record = format!(r#"{{"n":1,"t":"{}"}}"#, "x".repeat(60_000));
    let records = format!("[{}]", vec![record; 100].join(","));
    let made = world.ask(&given("INSERT INTO s SELECT * FROM events", &records)).unwrap().remove(0);
    assert_eq!(counts(&made), (100, 100, 0, 0));
    assert_eq!((made.rows_made, made.stopped), (100, Some(Stopped::RowBytes)));
    let shown: usize = made.rows.iter().map(String::len).sum();
    assert!((ROW_BYTES_MAX..ROW_BYTES_MAX + 8 * 61_000).contains(&shown), "{shown}");
}

#[test]
fn no_more_bytes_are_read_than_may_be() {
    let world = world();
    let record = format!(r#"{{"n":1,"t":"{}"}}"#, "x".repeat(1_000_000));
    let records = format!("[{}]", vec![record; 70].join(","));
    let made = world.ask(&given("INSERT INTO s SELECT n FROM events", &records)).unwrap().remove(0);
    assert_eq!((counts(&made), made.stopped), ((68, 68, 0, 0), Some(Stopped::ReadBytes)));
    assert_eq!(range(&made), (0, 68));
}

/// A second passes with every look at it.
#[derive(Debug, Default)]
struct HastyClock(AtomicU64);

impl Clock for HastyClock {
    fn now(&self) -> Timestamp {
        Timestamp(0)
    }

    fn monotonic(&self) -> Duration {
        Duration::from_secs(self.0.fetch_add(1, Ordering::Relaxed))
    }
}

#[test]
fn when_time_is_up_it_shows_what_it_has() {
    let world = world_at(Arc::new(HastyClock::default()));
    world.send(0, &[r#"{"n":1}"#; 100]);
    let made = world.preview("INSERT INTO s SELECT n FROM events");
    assert_eq!(made.stopped, Some(Stopped::Time));
    assert_eq!((counts(&made), range(&made), made.rows.len()), ((9, 9, 0, 0), (0, 9), 9));
}

#[test]
fn when_time_is_up_between_the_parts_of_a_batch_what_lies_behind_counts_as_not_read() {
    let world = world_at(Arc::new(HastyClock::default()));
    // Nine are read in time; the first part that is done ends the preview.
    let records =
        [r#"{"n":1}"#, "{}", r#"{"n":0}"#, r#"{"n":2}"#, "{}", r#"{"n":3}"#, "{}", "{}", r#"{"n":4}"#];
    world.send(0, &records);
    world.send(0, &["{}"; 20]);
    let made = world.preview("INSERT INTO s SELECT 6 / n AS n FROM events");
    assert_eq!(made.stopped, Some(Stopped::Time));
    assert_eq!((counts(&made), range(&made)), ((2, 1, 0, 1), (0, 2)));
    assert_eq!((made.rows, made.rejects.len()), (vec![r#"{"n":6}"#.to_owned()], 1));
}

#[test]
fn records_that_were_trimmed_are_not_asked_for() {
    let world = world();
    let record = format!(r#"{{"n":1,"t":"{}"}}"#, "x".repeat(30_000));
    for _ in 0..20 {
        world.send(0, &[record.as_str()]);
    }
    let partition = Partition::first(world.streams[0].id);
    world.log.trim(partition, Position(12));
    world.log.tidy();
    let oldest = world.log.oldest(partition).0;
    assert!(oldest > 0, "something was trimmed");
    let made = world.preview("INSERT INTO s SELECT n FROM events");
    assert_eq!((made.read.records, range(&made)), (20 - oldest, (oldest, 20)));
    drop(world.dir);
}

#[test]
fn a_third_preview_at_one_time_is_told_to_come_again() {
    let world = world();
    let turns = (world.previews.running.try_enter(), world.previews.running.try_enter());
    assert!(matches!(world.ask(&wanted(DIVIDE)), Err(Error::Busy(_))));
    drop(turns);
    assert!(world.ask(&wanted(DIVIDE)).is_ok());
}

#[test]
fn sql_that_cannot_run_is_refused() {
    let world = world();
    for sql in ["SELEC 1", "INSERT INTO s SELECT * FROM nope", "INSERT INTO s SELECT nope FROM events"] {
        assert!(matches!(world.ask(&wanted(sql)), Err(Error::Sql(_))), "{sql}");
    }
}

#[test]
fn a_select_stands_alone_and_sees_when_records_came() {
    let world = world();
    let before = SystemClock::default().now();
    world.send(0, &[r#"{"n":1}"#, r#"{"n":"x"}"#, r#"{"n":2}"#]);
    let made = world.preview("SELECT __ingest_ts AS at, n FROM events WHERE __ingest_ts IS NOT NULL");
    assert_eq!((made.sink.as_deref(), counts(&made)), (None, (3, 2, 0, 1)));
    let at = |row: &str| {
        let row: serde_json::Value = serde_json::from_str(row).expect("JSON");
        Timestamp::from_rfc3339(row["at"].as_str().expect("a time")).expect("RFC 3339")
    };
    assert!(made.rows.iter().all(|row| at(row) >= before), "{:?}", made.rows);
    // Given records come now.
    let clock = Arc::new(lakehead_model::clock::ManualClock::starting_at(Timestamp(1_000_000)));
    let made = world_at(clock).ask(&given("SELECT __ingest_ts AS at FROM events", r#"[{"n":1}]"#)).unwrap();
    assert_eq!(made[0].rows, [r#"{"at":"1970-01-01T00:00:01.000000Z"}"#]);
}

#[test]
fn rows_of_unnest_are_more_than_the_records_they_come_from() {
    let world = world();
    world.send(1, &[r#"{"l":[1,2,3]}"#, r#"{"l":[]}"#, r#"{"l":[4]}"#]);
    let world = World {
        streams: vec![stream(2, "raw", Some(r#"[{"name":"l","type":"list","items":{"type":"int64"}}]"#))],
        ..world
    };
    let made = world.preview("SELECT UNNEST(l) AS e FROM raw");
    assert_eq!((counts(&made), made.rows_made), ((3, 2, 1, 0), 4));
    assert_eq!(made.rows, [r#"{"e":1}"#, r#"{"e":2}"#, r#"{"e":3}"#, r#"{"e":4}"#]);
}

#[test]
fn a_refusal_says_where() {
    let world = world();
    let Err(Error::Sql(refusal)) = world.ask(&wanted("SELECT n,\n  nme FROM events")) else {
        panic!("refused")
    };
    let place = refusal.place.expect("a place");
    assert_eq!((place.line, place.column, place.text.as_str()), (2, 3, "nme"));
}
