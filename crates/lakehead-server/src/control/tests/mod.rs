//! The rules of the control plane, over a real store in a scratch directory and a compiler that only splits words.

mod concurrency;
mod deletions;
mod local_buckets;
mod sink_columns;
mod sink_rules;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use lakehead_disk::SystemDisk;
use lakehead_meta::{Identity, Store, Totals};
use lakehead_model::clock::ManualClock;
use lakehead_model::random::SeededRandom;
use lakehead_model::resource::{
    FileNaming, FilesConfig, JsonFormat, ParquetFormat, Pipeline, RollingPolicy, Sink, SinkConfig,
    SinkFormat, Stream,
};
use lakehead_model::{PipelineId, Position, StreamId, Timestamp};
use parking_lot::Mutex;

use super::{
    Audit, BucketStore, Control, Difference, DifferenceKind, Error, GivenRecords, LocalBuckets, NewSink,
    NewStream, Object, ObjectEntry, Parts, PastAudit, PipelineStatus, PositionsRead, Preview, PreviewWanted,
    RecordRejected, Recount, SqlCompiler, SqlPlace, SqlRefusal, StatementAudit, StatementPreview,
    StatementRef, StepRef, Stopped, Usage,
};

/// Understands `INSERT INTO <sink> SELECT * FROM <stream>` and nothing else.
pub(crate) struct WordSplitter;

impl SqlCompiler for WordSplitter {
    fn check(&self, sql: &str, streams: &[Stream], sinks: &[Sink]) -> Result<Vec<StatementRef>, SqlRefusal> {
        let refuse = |message: String, place| Err(SqlRefusal { message, place });
        let mut found = Vec::new();
        for statement in sql.split(';').map(str::trim).filter(|s| !s.is_empty()) {
            let words: Vec<_> = statement.split_whitespace().collect();
            let ["INSERT", "INTO", sink, "SELECT", "*", "FROM", stream] = words[..] else {
                let text = words.first().copied().unwrap_or_default().to_owned();
                let place = SqlPlace { line: 1, column: 1, text };
                return refuse("expected INSERT INTO".to_owned(), Some(place));
            };
            let Some(read) = streams.iter().find(|s| s.name == stream) else {
                return refuse(format!("table {stream:?} not found"), None);
            };
            if !sinks.iter().any(|s| s.name == sink) {
                return refuse(format!("sink {sink:?} not found"), None);
            }
            let columns = lakehead_decode::arrow_schema(read.schema.as_ref());
            let project = StepRef { kind: "project", description: "*".to_owned() };
            found.push(StatementRef {
                stream: stream.to_owned(),
                sink: sink.to_owned(),
                columns,
                steps: vec![project],
            });
        }
        Ok(found)
    }
}

/// Shows as many of the given records as rows as are wanted, or as many empty rows.
fn echo(wanted: &PreviewWanted, streams: &[Stream]) -> Result<Preview, Error> {
    let stream = match &streams {
        [stream, ..] => stream,
        [] => return Err(Error::Sql(SqlRefusal::new("there is no stream"))),
    };
    if wanted.sql == "busy" {
        return Err(Error::Busy("2 previews are running".to_owned()));
    }
    let given = |records: &GivenRecords| {
        let record = |&(start, end): &(u32, u32)| &records.body[start as usize..end as usize];
        records.bounds.iter().map(|b| String::from_utf8_lossy(record(b)).into_owned()).collect()
    };
    let rows: Vec<String> =
        wanted.records.as_ref().map_or_else(|| vec!["{}".to_owned(); wanted.records_max], given);
    let read = rows.len() as u64;
    let made = StatementPreview {
        stream: stream.name.clone(),
        sink: None,
        columns: lakehead_decode::arrow_schema(stream.schema.as_ref()),
        rows: rows.into_iter().take(wanted.rows_max).collect(),
        rows_made: read,
        read: PositionsRead { from: Position(5), to: Position(7 + read), records: read },
        kept: read,
        filtered: 0,
        rejected: 1,
        rejects: vec![RecordRejected {
            position: Position(6),
            stage: "transform",
            reason: "transform_error",
            path: String::new(),
            detail: "divide by zero".to_owned(),
        }],
        stopped: Some(Stopped::Time),
    };
    Ok(Preview { statements: vec![made] })
}

/// What [`found`] could not read.
pub(crate) const AUDIT_UNREAD: &str = "bucket \"lake\": no answer";

/// An audit that found something in every place.
fn found(pipeline: &Arc<Pipeline>, _: &dyn Fn() -> bool) -> Result<Audit, Error> {
    let recount = |unlisted| Recount {
        rows_found: 8,
        unlisted: Totals { accepted: unlisted, ..Totals::default() },
        ..Recount::default()
    };
    let statement = StatementAudit {
        statement: 0,
        version: 1,
        stream: Some((StreamId(7), None)),
        start: Position(5),
        committed: Position(15),
        totals: Totals { accepted: 10, delivered: 10, ..Totals::default() },
        in_flight: 2,
        in_flight_found: 1,
        is_committing: true,
        recount: recount(0),
    };
    let (kind, text) = (DifferenceKind::FileMissing, "a.json is not there".to_owned());
    Ok(Audit {
        pipeline: Arc::clone(pipeline),
        statements: vec![statement],
        past: PastAudit { recount: recount(4), ..PastAudit::default() },
        differences: vec![Difference { kind, statement: Some(0), at: Some(Position(5)), text }],
        differences_count: 1,
        unread: vec![AUDIT_UNREAD.to_owned()],
        unread_count: 7,
    })
}

/// Folders, and one bucket that is there because the configuration says so.
struct Folders(LocalBuckets);

impl BucketStore for Folders {
    fn list_objects(
        &self,
        bucket: &str,
        prefix: &str,
        after: Option<&str>,
        keys_max: usize,
    ) -> Result<Vec<ObjectEntry>, Error> {
        self.0.list_objects(bucket, prefix, after, keys_max)
    }

    fn create(&self, bucket: &str) -> Result<(), Error> {
        self.0.create(bucket)
    }

    fn is_empty(&self, bucket: &str) -> Result<bool, Error> {
        self.0.is_empty(bucket)
    }

    fn delete_if_empty(&self, bucket: &str) -> Result<(), Error> {
        self.0.delete_if_empty(bucket)
    }

    fn get_object(&self, bucket: &str, key: &str) -> Result<Object, Error> {
        self.0.get_object(bucket, key)
    }

    fn configured(&self) -> Vec<String> {
        vec!["configured".to_owned()]
    }

    fn usage(&self, bucket: &str) -> Result<Option<Usage>, Error> {
        self.0.usage(bucket)
    }
}

/// A control plane with everything it needs.
pub(crate) struct World {
    pub(crate) dir: tempfile::TempDir,
    pub(crate) control: Arc<Control>,
    pub(crate) store: Arc<Store>,
    pub(crate) identity: Arc<Identity>,
    pub(crate) clock: Arc<ManualClock>,
    pub(crate) statuses: Arc<Mutex<HashMap<PipelineId, PipelineStatus>>>,
}

pub(crate) fn world() -> World {
    let dir = tempfile::tempdir().expect("a scratch directory");
    let random = Arc::new(SeededRandom::new(7));
    let identity = Identity::open(dir.path(), &SystemDisk, &*random).expect("an identity");
    let store = Arc::new(Store::open(dir.path(), &SystemDisk, random.clone()).expect("a store"));
    let clock = Arc::new(ManualClock::starting_at(Timestamp(1_790_000_000_000_000)));
    let statuses: Arc<Mutex<HashMap<PipelineId, PipelineStatus>>> = Arc::default();
    let seen = Arc::clone(&statuses);
    let control = Control::new(Parts {
        store: Arc::clone(&store),
        account_id: identity.account_id().to_owned(),
        clock: clock.clone(),
        random,
        sql: Arc::new(WordSplitter),
        previewer: Arc::new(echo),
        auditor: Arc::new(found),
        buckets: Arc::new(Folders(LocalBuckets::new(dir.path().join("buckets")))),
        statuses: Arc::new(move |id| seen.lock().get(&id).cloned().unwrap_or_default()),
        table_roll_interval_seconds_min: lakehead_model::limits::TABLE_ROLL_INTERVAL_SECONDS_MIN,
    });
    World { dir, control: Arc::new(control), store, identity: Arc::new(identity), clock, statuses }
}

impl World {
    fn stream(&self, name: &str) -> Arc<Stream> {
        self.clock.advance(Duration::from_secs(1));
        let new = NewStream {
            name: name.to_owned(),
            http: None,
            worker_binding: None,
            format: JsonFormat::default(),
            schema: None,
        };
        self.control.create_stream(new).expect("a stream")
    }

    fn sink(&self, name: &str) -> Arc<Sink> {
        self.clock.advance(Duration::from_secs(1));
        self.control.create_sink(new_sink(name)).expect("a sink")
    }

    fn pipeline(&self, name: &str, stream: &str, sink: &str) -> super::PipelineView {
        self.clock.advance(Duration::from_secs(1));
        let sql = format!("INSERT INTO {sink} SELECT * FROM {stream}");
        self.control.create_pipeline(name, &sql).expect("a pipeline")
    }
}

pub(crate) fn new_sink(name: &str) -> NewSink {
    NewSink {
        name: name.to_owned(),
        config: SinkConfig::Files(config()),
        format: SinkFormat::Parquet(ParquetFormat::default()),
        schema: None,
        credentials: None,
    }
}

fn config() -> FilesConfig {
    FilesConfig {
        account_id: String::new(),
        bucket: "lake".to_owned(),
        path: String::new(),
        time_pattern: None,
        file_naming: FileNaming::default(),
        rolling_policy: RollingPolicy::default(),
        jurisdiction: None,
    }
}
