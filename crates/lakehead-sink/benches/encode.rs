//! CPU seconds for each GB (10^9 bytes) of the JSON that a batch stands for, from Arrow to synced staged files, on one
//! thread: `cargo bench -p lakehead-sink --bench encode [-- FILTER]`. `BATCH_ROWS` sets
//! the rows of a batch (8192). Rows are clickstream of 18 fields and about 700 bytes.
//!
//! CPU time of the thread, user and system; wall time on a shared machine says little.

#![expect(clippy::unwrap_used, reason = "a benchmark that cannot go on should stop there")]

#[path = "encode/clickstream.rs"]
mod clickstream;

use std::sync::Arc;

use arrow::array::RecordBatch;
use lakehead_disk::SystemDisk;
use lakehead_model::resource::{
    FileNaming, FilesConfig, JsonCompression, JsonFormat, ParquetCompression, ParquetFormat, RollingPolicy,
    SinkFormat,
};
use lakehead_model::{Position, StreamId, SystemClock, SystemRandom, Timestamp};
use lakehead_sink::{FirstRecord, OpenFiles, Seams, StagedFile, Writer, WriterSettings};

const FIRST: FirstRecord = FirstRecord { position: Position::ZERO, ingest_time: Timestamp(0) };
const ROWS: usize = 1 << 18;
const BATCH_ROWS_DEFAULT: usize = 8192;

struct Case {
    name: &'static str,
    goal: Option<f64>,
    format: SinkFormat,
    raw: bool,
}

fn main() {
    let filter = std::env::args().skip(1).find(|a| !a.starts_with('-')).unwrap_or_default();
    let batch_rows = std::env::var("BATCH_ROWS").map_or(BATCH_ROWS_DEFAULT, |rows| rows.parse().unwrap());
    let batches: Vec<_> = clickstream::batches(ROWS, batch_rows);
    let dir = tempfile::tempdir().unwrap();
    let plain = SinkFormat::Json(JsonFormat::default());
    let lines = run(dir.path(), &plain, &batches).0;
    let text = std::fs::read(dir.path().join(&lines.staged)).unwrap();
    let raw = clickstream::raw(&text, batch_rows);
    let gigabytes = lines.size_bytes as f64 / 1e9;
    println!(
        "{ROWS} rows, {:.0} MB of JSON, {:.0} bytes a row",
        gigabytes * 1e3,
        gigabytes * 1e9 / ROWS as f64
    );
    println!(
        "{:<24} {:>9} {:>10} {:>6} {:>9} {:>7}",
        "CPU s/GB", "all", "of kernel", "goal", "file MB", "ratio"
    );
    for case in cases().into_iter().filter(|c| c.name.contains(&filter)) {
        let rows = if case.raw { &raw } else { &batches };
        let (file, spent) = (0..7)
            .map(|_| run(dir.path(), &case.format, rows))
            .min_by(|a, b| a.1.all.total_cmp(&b.1.all))
            .unwrap();
        println!(
            "{:<24} {:>9.2} {:>10.2} {:>6} {:>9.1} {:>7.1}",
            case.name,
            spent.all / gigabytes,
            spent.kernel / gigabytes,
            case.goal.map_or_else(String::new, |g| format!("{g:.1}")),
            file.size_bytes as f64 / 1e6,
            gigabytes * 1e9 / file.size_bytes as f64
        );
    }
}

fn cases() -> Vec<Case> {
    let parquet = |name, compression, goal| Case {
        name,
        goal,
        format: SinkFormat::Parquet(ParquetFormat { compression: Some(compression), row_group_bytes: None }),
        raw: false,
    };
    let json = |name, compression, raw, goal| Case {
        name,
        goal: Some(goal),
        format: SinkFormat::Json(JsonFormat {
            compression: Some(compression),
            unstructured: raw,
            ..JsonFormat::default()
        }),
        raw,
    };
    vec![
        parquet("parquet zstd", ParquetCompression::Zstd, Some(2.0)),
        parquet("parquet snappy", ParquetCompression::Snappy, None),
        parquet("parquet lz4", ParquetCompression::Lz4, None),
        parquet("parquet uncompressed", ParquetCompression::Uncompressed, None),
        json("json", JsonCompression::Uncompressed, false, 1.0),
        json("json gzip", JsonCompression::Gzip, false, 3.5),
        json("json unstructured", JsonCompression::Uncompressed, true, 0.2),
        json("json unstructured gzip", JsonCompression::Gzip, true, 3.0),
    ]
}

/// One file, and what it took.
fn run(dir: &std::path::Path, format: &SinkFormat, batches: &[RecordBatch]) -> (StagedFile, Spent) {
    for entry in std::fs::read_dir(dir).unwrap() {
        std::fs::remove_file(entry.unwrap().path()).unwrap();
    }
    let settings = WriterSettings {
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
        format: format.clone(),
        staging_dir: dir.to_owned(),
        flow: "bench".into(),
        stream: StreamId(1),
        writer_index: 0,
        origin: Vec::new(),
    };
    let seams = Seams::new(Arc::new(SystemClock::default()), Arc::new(SystemRandom), Arc::new(SystemDisk));
    let before = Spent::by_now();
    let mut writer = Writer::new(settings, seams, Arc::default(), 0).unwrap();
    for batch in batches {
        writer.write(batch, &"".into(), FIRST).unwrap();
    }
    let mut prepared = writer.prepare().unwrap();
    let after = Spent::by_now();
    let spent = Spent { all: after.all - before.all, kernel: after.kernel - before.kernel };
    (prepared.files.pop().unwrap(), spent)
}

/// CPU seconds of this thread.
struct Spent {
    all: f64,
    /// In steps of 10 ms.
    kernel: f64,
}

impl Spent {
    fn by_now() -> Spent {
        let schedule = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap();
        let all = schedule.split(' ').next().unwrap().parse::<f64>().unwrap() / 1e9;
        let stat = std::fs::read_to_string("/proc/thread-self/stat").unwrap();
        // The 15th field; the 2nd is a name in parentheses.
        let ticks = stat.rsplit(')').next().unwrap().split(' ').nth(13).unwrap().parse::<f64>().unwrap();
        Spent { all, kernel: ticks / 100.0 }
    }
}
