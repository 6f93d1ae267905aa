//! Rows, settings and folders for the tests, and readers of what came out.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, Int64Array, RecordBatch};
use arrow::datatypes::Int64Type;
use lakehead_disk::{Disk, SystemDisk};
use lakehead_model::clock::ManualClock;
use lakehead_model::random::SeededRandom;
use lakehead_model::resource::{
    FileNaming, FilesConfig, JsonFormat, ParquetFormat, RollingPolicy, SinkFormat,
};
use lakehead_model::{Position, StreamId, Timestamp};
use lakehead_sink::{FirstRecord, MemoryBudget, OpenFiles, Seams, Writer, WriterSettings};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

/// 2025-08-03T23:59:50Z
pub(crate) const START: Timestamp = Timestamp(1_754_265_590_000_000);

/// The record at `position`.
pub(crate) fn at(position: i64) -> FirstRecord {
    FirstRecord { position: Position(position as u64), ingest_time: START }
}

pub(crate) struct Place {
    pub(crate) dir: tempfile::TempDir,
    pub(crate) clock: Arc<ManualClock>,
    pub(crate) seams: Seams,
}

impl Place {
    pub(crate) fn new() -> Place {
        let clock = Arc::new(ManualClock::starting_at(START));
        let seams = Seams::new(clock.clone(), Arc::new(SeededRandom::new(1)), Arc::new(SystemDisk));
        Place { dir: tempfile::tempdir().unwrap(), clock, seams }
    }

    pub(crate) fn with_disk(&self, disk: Arc<dyn Disk>) -> Seams {
        Seams { disk, ..self.seams.clone() }
    }

    pub(crate) fn staging(&self) -> PathBuf {
        self.dir.path().join("staging")
    }

    pub(crate) fn bucket(&self) -> PathBuf {
        self.dir.path().join("buckets/lake")
    }

    pub(crate) fn settings(&self, format: SinkFormat) -> WriterSettings {
        WriterSettings {
            open_files: OpenFiles::BY_TIME,
            config: config(),
            format,
            staging_dir: self.staging(),
            flow: "pipe/1".into(),
            stream: StreamId(1),
            writer_index: 0,
            origin: Vec::new(),
        }
    }

    pub(crate) fn writer(&self, settings: WriterSettings) -> Writer {
        Writer::new(settings, self.seams.clone(), Arc::new(MemoryBudget::default()), 0).unwrap()
    }

    /// Every file below the bucket: key and content, sorted.
    pub(crate) fn objects(&self) -> Vec<(String, Vec<u8>)> {
        let mut found = Vec::new();
        walk(&self.bucket(), &self.bucket(), &mut found);
        found.sort();
        found
    }

    pub(crate) fn staged(&self) -> Vec<String> {
        SystemDisk.list(&self.staging()).unwrap_or_default()
    }

    /// The numbers in all published files, sorted.
    pub(crate) fn numbers(&self) -> Vec<i64> {
        let mut all: Vec<i64> = self.objects().iter().flat_map(|(key, bytes)| read(key, bytes)).collect();
        all.sort_unstable();
        all
    }
}

fn walk(root: &Path, dir: &Path, found: &mut Vec<(String, Vec<u8>)>) {
    let Ok(entries) = std::fs::read_dir(dir) else { return };
    for entry in entries.map(Result::unwrap) {
        if entry.file_type().unwrap().is_dir() {
            walk(root, &entry.path(), found);
        } else {
            let key = entry.path().strip_prefix(root).unwrap().to_str().unwrap().to_owned();
            found.push((key, std::fs::read(entry.path()).unwrap()));
        }
    }
}

pub(crate) fn config() -> FilesConfig {
    FilesConfig {
        account_id: "a".into(),
        bucket: "lake".into(),
        path: "web".into(),
        time_pattern: None,
        file_naming: FileNaming::default(),
        rolling_policy: RollingPolicy::default(),
        jurisdiction: None,
    }
}

pub(crate) fn parquet() -> SinkFormat {
    SinkFormat::Parquet(ParquetFormat::default())
}

pub(crate) fn json() -> SinkFormat {
    SinkFormat::Json(JsonFormat::default())
}

/// One column `n` of `numbers`.
pub(crate) fn batch(numbers: std::ops::Range<i64>) -> RecordBatch {
    RecordBatch::try_from_iter([("n", Arc::new(Int64Array::from_iter_values(numbers)) as ArrayRef)]).unwrap()
}

pub(crate) fn read(key: &str, bytes: &[u8]) -> Vec<i64> {
    if key.ends_with(".json") {
        let number =
            |line: &str| serde_json::from_str::<serde_json::Value>(line).unwrap()["n"].as_i64().unwrap();
        return std::str::from_utf8(bytes).unwrap().lines().map(number).collect();
    }
    let reader = ParquetRecordBatchReaderBuilder::try_new(bytes::Bytes::copy_from_slice(bytes)).unwrap();
    let batches = reader.build().unwrap().map(Result::unwrap);
    batches.flat_map(|b| b.column(0).as_primitive::<Int64Type>().values().to_vec()).collect()
}
