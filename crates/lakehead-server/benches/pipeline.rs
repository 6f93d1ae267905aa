//! What SQL costs: CPU seconds for each GB (10^9 bytes) of JSON on one thread, from records to synced staged zstd Parquet, in
//! batches as the runtime makes them.
//!
//! `cargo bench --workspace --bench pipeline [-- FILTER]`. Cases alternate, so that they meet the same machine; the best round
//! of each counts. The passthrough must stay within 0.1 of the case without a program, and the filter with three columns below
//! the passthrough: decoding leaves out what nobody asks for.

#![expect(clippy::unwrap_used, reason = "a benchmark that cannot go on should stop there")]

#[path = "../../lakehead-decode/benches/clickstream.rs"]
mod clickstream;

use std::path::Path;
use std::sync::Arc;

use lakehead_decode::{Bounds, Decoder, arrow_schema, frame_lines};
use lakehead_disk::SystemDisk;
use lakehead_model::resource::{FileNaming, FilesConfig, ParquetFormat, RollingPolicy, SinkFormat};
use lakehead_model::{Position, Schema, StreamId, SystemClock, SystemRandom, Timestamp};
use lakehead_sink::{FirstRecord, OpenFiles, Seams, Writer, WriterSettings};
use lakehead_transform::{Source, Statement, compile};

const FIRST: FirstRecord = FirstRecord { position: Position::ZERO, ingest_time: Timestamp(0) };
const BYTES: usize = 96_000_000;
const BODY_BYTES: usize = 1 << 20;
const BATCH_ROWS: usize = 16 << 10;
const BATCH_BYTES: usize = 2 << 20;
const ROUNDS: usize = 9;

const CASES: [(&str, Option<&str>); 6] = [
    ("decode and encode alone", None),
    ("passthrough", Some("SELECT * FROM clicks")),
    (
        "filter on one column, three columns",
        Some("SELECT user_id, event_type, price FROM clicks WHERE event_type = 'purchase'"),
    ),
    ("filter that keeps all", Some("SELECT * FROM clicks WHERE user_id IS NOT NULL")),
    ("ingest time beside all", Some("SELECT *, __ingest_ts AS received FROM clicks")),
    (
        "five expressions",
        Some(
            "SELECT upper(country) AS country, user_id % 10 AS bucket, concat(session_id, '-', event_type) AS k, \
             coalesce(price, 0) * 1.19 AS gross, device.os AS os FROM clicks",
        ),
    ),
];

fn main() {
    let filter = std::env::args().skip(1).find(|a| !a.starts_with('-')).unwrap_or_default();
    let schema: Schema = serde_json::from_str(clickstream::SCHEMA).unwrap();
    let bodies = bodies();
    let gigabytes = bodies.iter().map(|(body, _)| body.len()).sum::<usize>() as f64 / 1e9;
    let sources = [Source { name: "clicks".into(), schema: arrow_schema(Some(&schema)) }];
    let dir = tempfile::tempdir().unwrap();
    let statements: Vec<(&str, Option<Statement>)> = CASES
        .iter()
        .filter(|(name, _)| name.contains(&filter))
        .map(|(name, query)| {
            let sql = query.map(|query| format!("INSERT INTO files {query}"));
            let compiled = sql.map(|sql| compile(&sql, &sources, &["files".to_owned()]).unwrap().remove(0));
            (*name, compiled)
        })
        .collect();
    let mut best = vec![f64::INFINITY; statements.len()];
    for round in 0..=ROUNDS {
        for (i, (_, statement)) in statements.iter().enumerate() {
            let spent = run(dir.path(), &schema, &bodies, statement.as_ref()) / gigabytes;
            // The first round warms up.
            if round > 0 {
                best[i] = best[i].min(spent);
            }
        }
    }
    println!("{:<40} {:>9}", "SQL", "CPU s/GB");
    for ((name, _), seconds) in statements.iter().zip(best) {
        println!("{name:<40} {seconds:>9.3}");
    }
}

fn bodies() -> Vec<(Vec<u8>, Vec<Bounds>)> {
    let mut bodies = Vec::new();
    let (mut body, mut left) = (Vec::new(), BYTES);
    for event in clickstream::Clickstream::new(1) {
        body.extend_from_slice(event.as_bytes());
        body.push(b'\n');
        if body.len() >= BODY_BYTES {
            let mut bounds = Vec::new();
            frame_lines(&body, &mut bounds).unwrap();
            left = left.saturating_sub(body.len());
            bodies.push((std::mem::take(&mut body), bounds));
            if left == 0 {
                break;
            }
        }
    }
    bodies
}

/// CPU seconds from the records to the files of one commit.
fn run(dir: &Path, schema: &Schema, bodies: &[(Vec<u8>, Vec<Bounds>)], statement: Option<&Statement>) -> f64 {
    for entry in std::fs::read_dir(dir).unwrap() {
        std::fs::remove_file(entry.unwrap().path()).unwrap();
    }
    let all: Vec<usize> = (0..schema.fields.len()).collect();
    let mut decoder = Decoder::new(Some(schema), statement.map_or(&all, |s| &s.projection));
    let seams = Seams::new(Arc::new(SystemClock::default()), Arc::new(SystemRandom), Arc::new(SystemDisk));
    let before = cpu_seconds();
    let mut writer = Writer::new(settings(dir), seams, Arc::default(), 0).unwrap();
    let mut hand_on = |decoder: &mut Decoder| {
        let batch = decoder.finish();
        let Some(statement) = statement else { return writer.write(&batch, &"".into(), FIRST).unwrap() };
        let batch = if statement.reads_ingest_time { with_ingest_time(&batch) } else { batch };
        let out = statement.program.run(&batch, Timestamp(1_790_000_000_000_000)).unwrap();
        writer.write(&out.rows, &"".into(), FIRST).unwrap();
    };
    for (body, bounds) in bodies {
        for bounds in bounds {
            decoder.push_within(body, *bounds).unwrap();
            if decoder.rows() >= BATCH_ROWS || decoder.bytes() >= BATCH_BYTES {
                hand_on(&mut decoder);
            }
        }
    }
    hand_on(&mut decoder);
    let prepared = writer.prepare().unwrap();
    assert!(prepared.files.iter().any(|file| file.rows > 0), "the case writes nothing");
    cpu_seconds() - before
}

/// As the runtime does it: one time for each row.
fn with_ingest_time(batch: &arrow::array::RecordBatch) -> arrow::array::RecordBatch {
    use arrow::array::{RecordBatch, TimestampMicrosecondArray};
    use arrow::datatypes::{DataType, Field, Schema, TimeUnit};
    let mut fields: Vec<_> = batch.schema_ref().fields().iter().cloned().collect();
    let unit = DataType::Timestamp(TimeUnit::Microsecond, None);
    fields.push(Arc::new(Field::new(lakehead_transform::INGEST_TIME, unit, false)));
    let mut columns = batch.columns().to_vec();
    columns
        .push(Arc::new(TimestampMicrosecondArray::from(vec![1_790_000_000_000_000_i64; batch.num_rows()])));
    RecordBatch::try_new(Arc::new(Schema::new(fields)), columns).unwrap()
}

fn settings(dir: &Path) -> WriterSettings {
    WriterSettings {
        open_files: OpenFiles::BY_TIME,
        config: FilesConfig {
            account_id: String::new(),
            bucket: String::new(),
            path: String::new(),
            time_pattern: None,
            file_naming: FileNaming::default(),
            rolling_policy: RollingPolicy::default(),
            jurisdiction: None,
        },
        format: SinkFormat::Parquet(ParquetFormat::default()),
        staging_dir: dir.to_owned(),
        flow: "bench".into(),
        stream: StreamId(1),
        writer_index: 0,
        origin: Vec::new(),
    }
}

/// CPU seconds of this thread.
fn cpu_seconds() -> f64 {
    let schedule = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap();
    schedule.split(' ').next().unwrap().parse::<f64>().unwrap() / 1e9
}
