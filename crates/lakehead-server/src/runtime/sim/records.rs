//! The records of the simulation and what must become of each: the oracle. A record follows from its id alone, and its fate
//! from its id and the version of the SQL that handles it.

use bytes::Bytes;
use lakehead_log::{Append, Records};
use lakehead_model::resource::{
    FileNaming, FilesConfig, Http, JsonCompression, JsonFormat, NamingStrategy, ParquetCompression,
    ParquetFormat, Pipeline, RollingPolicy, Sink, SinkConfig, SinkFormat, Stream, Table, TableRef,
    WorkerBinding,
};
use lakehead_model::{Partition, PipelineId, Schema, SinkId, StreamId, Timestamp};
use serde_json::{Value, json};

pub(super) const PIPELINE: PipelineId = PipelineId(0x77);
pub(super) const BUCKET: &str = "lake";
/// With a schema; two statements read it.
pub(super) const EVENTS: usize = 0;
/// Without; one statement copies it.
pub(super) const OTHER: usize = 1;
pub(super) const STREAMS: [&str; 2] = ["events", "other"];
pub(super) const SINKS: [&str; 3] = ["raw", "copy", "picked"];
/// The stream that each statement reads.
pub(super) const READS: [usize; 3] = [EVENTS, OTHER, EVENTS];

pub(super) fn stream_id(stream: usize) -> StreamId {
    StreamId(0x100 + stream as u128)
}

pub(super) fn partition(stream: usize) -> Partition {
    Partition::first(stream_id(stream))
}

/// What becomes of a record in a statement.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Fate {
    Row(Value),
    Filtered,
    /// A dead letter, of this stage.
    Letter(&'static str),
}

/// The splitmix64 step: well mixed numbers from small ones.
pub(super) fn mix(seed: u64) -> u64 {
    let mut z = seed.wrapping_add(0x9E37_79B9_7F4A_7C15);
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

/// Numbers drawn from a seed.
pub(super) struct Draw(pub(super) u64);

impl Draw {
    /// From 0 up to, and without, `end`.
    pub(super) fn below(&mut self, end: u64) -> u64 {
        self.0 = mix(self.0);
        self.0 % end
    }
}

fn pad(id: u64) -> String {
    let length = match mix(id) % 40 {
        0 => 3000,
        n => n * 5,
    };
    let letter = |i: u64| char::from(b'a' + (mix(id ^ i << 32) % 26) as u8);
    (0..length).map(letter).collect()
}

/// The number of a record; `None`: something else stands there.
fn number(id: u64) -> Option<i64> {
    match id {
        _ if id % 11 == 5 => None,
        _ if id % 7 == 3 => Some(0),
        _ => Some(1 + (id % 9) as i64),
    }
}

/// The record as a producer sends it.
pub(super) fn record(stream: usize, id: u64) -> String {
    match (stream, number(id)) {
        (OTHER, _) => format!(r#"{{"id": {id},"note":"{}"}}"#, pad(id)),
        (_, Some(n)) => format!(r#"{{"id":{id}, "n":{n},"pad":"{}"}}"#, pad(id)),
        (_, None) => format!(r#"{{"id":{id},"n":"many","pad":"{}"}}"#, pad(id)),
    }
}

pub(super) fn append(stream: usize, ids: &[u64]) -> Append {
    let mut body = vec![b'['];
    let mut ranges = Vec::new();
    for (i, id) in ids.iter().enumerate() {
        if i > 0 {
            body.push(b',');
        }
        let start = body.len() as u32;
        body.extend_from_slice(record(stream, *id).as_bytes());
        ranges.push((start, body.len() as u32));
    }
    body.push(b']');
    Append { partition: partition(stream), body: Bytes::from(body), records: Records::new(ranges), key: None }
}

/// Whether version `version` has the statement.
pub(super) fn has_statement(version: u64, statement: usize) -> bool {
    statement < 2 || version % 4 != 3
}

fn modulus(version: u64) -> u64 {
    2 + version % 3
}

pub(super) fn fate(statement: usize, version: u64, id: u64) -> Fate {
    let n = match (statement, number(id)) {
        (1, _) => return Fate::Row(json!({"id": id, "note": pad(id)})),
        (_, None) => return Fate::Letter("decode"),
        (_, Some(n)) => n,
    };
    match statement {
        0 => Fate::Row(json!({"id": id, "n": n, "pad": pad(id), "v": version})),
        _ if id.is_multiple_of(modulus(version)) => Fate::Filtered,
        _ if n == 0 => Fate::Letter("transform"),
        _ => Fate::Row(json!({"id": id, "share": 100 / n, "v": version})),
    }
}

fn sql(version: u64) -> String {
    let mut sql = format!(
        "INSERT INTO raw SELECT id, n, pad, {version} AS v FROM events;\nINSERT INTO copy SELECT * FROM other;\n"
    );
    if has_statement(version, 2) {
        let m = modulus(version);
        sql += &format!(
            "INSERT INTO picked SELECT id, 100 / n AS share, {version} AS v FROM events WHERE id % {m} <> 0;\n"
        );
    }
    sql
}

pub(super) fn pipeline(version: u64) -> Pipeline {
    let streams = (0..2).map(|i| (Table::Stream(stream_id(i)), STREAMS[i]));
    let sinks = (0..3).map(|i| (Table::Sink(SinkId(0x200 + i as u128)), SINKS[i]));
    let named = |(table, name): (Table, &str)| TableRef { table, name: name.to_owned(), version: 1 };
    Pipeline {
        id: PIPELINE,
        name: "flow".to_owned(),
        version,
        sql: sql(version),
        tables: streams.chain(sinks).map(named).collect(),
        created_at: Timestamp(0),
        modified_at: Timestamp(0),
    }
}

pub(super) fn stream(index: usize) -> Stream {
    let schema = json!({"fields": [
        {"name": "id", "type": "int64", "required": true},
        {"name": "n", "type": "int32"},
        {"name": "pad", "type": "string"},
    ]});
    Stream {
        id: stream_id(index),
        name: STREAMS[index].to_owned(),
        version: 1,
        http: Http { enabled: true, authentication: false, cors: None },
        worker_binding: WorkerBinding { enabled: false },
        format: JsonFormat { unstructured: index == OTHER, ..JsonFormat::default() },
        schema: (index == EVENTS).then(|| Schema::from_json(&schema).unwrap()),
        created_at: Timestamp(0),
        modified_at: Timestamp(0),
    }
}

/// A sink as `seed` wants it.
pub(super) fn sink(index: usize, seed: u64) -> Sink {
    let drawn = mix(seed ^ (index as u64 + 1) << 40);
    let json = |compression| {
        SinkFormat::Json(JsonFormat {
            unstructured: index == 1,
            compression: Some(compression),
            ..JsonFormat::default()
        })
    };
    let format = match (index, drawn % 4) {
        (_, 0) => json(JsonCompression::Gzip),
        (0 | 2, 1) => {
            SinkFormat::Parquet(ParquetFormat {
                row_group_bytes: Some(4096),
                // To begin with the default takes more time than all the rest.
                compression: Some(ParquetCompression::Snappy),
            })
        }
        _ => json(JsonCompression::Uncompressed),
    };
    let strategies =
        [NamingStrategy::UuidV7, NamingStrategy::Ulid, NamingStrategy::Serial, NamingStrategy::Uuid];
    let patterns = [None, Some("hour=%H"), Some(""), Some("m=%M")];
    let files = FilesConfig {
        account_id: "a".to_owned(),
        bucket: BUCKET.to_owned(),
        path: SINKS[index].to_owned(),
        time_pattern: patterns[(drawn >> 8) as usize % 4].map(str::to_owned),
        file_naming: FileNaming {
            strategy: Some(strategies[(drawn >> 16) as usize % 4]),
            ..FileNaming::default()
        },
        rolling_policy: RollingPolicy {
            file_size_bytes: [None, Some(3000), Some(20_000)][(drawn >> 24) as usize % 3],
            interval_seconds: Some(60),
            inactivity_seconds: [None, Some(20)][(drawn >> 32) as usize % 2],
            batch: None,
        },
        jurisdiction: None,
    };
    Sink {
        id: SinkId(0x200 + index as u128),
        name: SINKS[index].to_owned(),
        version: 1,
        config: SinkConfig::Files(files),
        format,
        schema: None,
        created_at: Timestamp(0),
        modified_at: Timestamp(0),
    }
}
