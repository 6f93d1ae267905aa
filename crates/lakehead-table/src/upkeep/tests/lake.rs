//! A table of numbers in a local folder, and everything that can be known of it.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::time::Duration;

use arrow::array::{ArrayRef, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray};
use arrow::datatypes::{DataType, Field, Schema as ArrowSchema};
use async_trait::async_trait;
use bytes::Bytes;
use iceberg::TableIdent;
use iceberg::io::FileIO;
use iceberg::spec::{
    DataContentType, DataFile, DataFileBuilder, DataFileFormat, Literal, ManifestContentType, ManifestEntry,
    ManifestWriter, ManifestWriterBuilder, Operation, Struct, TableMetadata,
};
use lakehead_model::{Random, SystemClock, SystemRandom, Timestamp};
use lakehead_sink::{Bucket, BucketFiles, Publisher, Seams, Uploads};
use parking_lot::Mutex;
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use parquet::file::properties::WriterProperties;

use super::catalog::MemoryCatalog;
use super::disk::FaultyDisk;
use crate::columns::{day_of_ingest, fit, schema_of, table_columns};
use crate::data_file::{data_file, footer};
use crate::manifests::{Attempt, TableFiles};
use crate::snapshot::{FileChange, Tools, append, draft};
use crate::upkeep::{
    Claims, Compacting, Merging, Orphans, Retention, Staging, Unresolved, Upkeep, UpkeepReport,
    UpkeepSettings, UpkeepTable,
};
use crate::{Catalog, CatalogError, NewTable, TableChange};

const DAY_MICROS: i64 = 24 * 3_600_000_000;
/// Where the clock stands at the beginning, before the machine's.
const DAYS_BEHIND: i64 = 40;

#[derive(Debug, Default)]
pub(super) struct TestClaims(pub(super) Mutex<Unresolved>);

#[async_trait]
impl Claims for TestClaims {
    async fn unresolved(&self, _: &TableIdent) -> Result<Unresolved, CatalogError> {
        Ok(self.0.lock().clone())
    }
}

#[derive(Debug)]
pub(super) struct Lake {
    pub(super) dir: tempfile::TempDir,
    pub(super) disk: Arc<FaultyDisk>,
    pub(super) bucket: BucketFiles,
    pub(super) catalog: Arc<MemoryCatalog>,
    pub(super) table: TableIdent,
    pub(super) claims: Arc<TestClaims>,
    pub(super) upkeep: Upkeep,
    pub(super) staging: Staging,
    /// Of staged files.
    pub(super) staged: tempfile::TempDir,
    pub(super) stop: Arc<AtomicBool>,
    /// By how much the clock is ahead of the machine's, in seconds.
    pub(super) passed_seconds: Arc<AtomicI64>,
    next_row: AtomicI64,
}

/// Nothing is due unless a test says so.
pub(super) fn nothing() -> UpkeepSettings {
    UpkeepSettings {
        retention: Retention {
            age_milliseconds_max: None,
            snapshots_min: 1,
            snapshots_max: usize::MAX,
            snapshots_together: 1,
        },
        readers_grace: Duration::ZERO,
        merging: None,
        compacting: None,
        orphans: None,
    }
}

pub(super) fn keep(snapshots: usize) -> UpkeepSettings {
    let retention = Retention { snapshots_max: snapshots, ..nothing().retention };
    UpkeepSettings { retention, ..nothing() }
}

pub(super) fn merge_at(manifests_max: usize) -> UpkeepSettings {
    UpkeepSettings { merging: Some(Merging { manifests_max, ..Merging::default() }), ..nothing() }
}

/// Files of 64 MiB.
pub(super) fn compact() -> UpkeepSettings {
    UpkeepSettings { compacting: Some(Compacting { target_bytes: 64 << 20 }), ..nothing() }
}

/// Orphans older than an hour, at once.
pub(super) fn orphans() -> UpkeepSettings {
    let orphans = Orphans { grace: Duration::from_secs(3600), every: Duration::ZERO };
    UpkeepSettings { orphans: Some(orphans), ..nothing() }
}

impl Lake {
    pub(super) async fn new() -> Lake {
        let dir = tempfile::tempdir().unwrap();
        let disk = Arc::new(FaultyDisk::default());
        let random: Arc<dyn Random> = Arc::new(SystemRandom);
        let seams = Seams::new(Arc::new(SystemClock::default()), random.clone(), disk.clone());
        let bucket = BucketFiles::open(&Bucket::Local { root: dir.path().to_owned() }, &seams).unwrap();
        let staged = tempfile::tempdir().unwrap();
        let place = Bucket::Local { root: dir.path().to_owned() };
        let uploads = Uploads::default();
        let publisher = Publisher::new(place, staged.path().to_owned(), &seams, uploads).await.unwrap();
        let staging = Staging { publisher: Arc::new(publisher), dir: staged.path().to_owned(), seams };
        let stop = Arc::new(AtomicBool::new(false));
        // Metadata is not taken from the future, so that tests play in the past.
        let passed_seconds = Arc::new(AtomicI64::new(-DAYS_BEHIND * 24 * 3600));
        let lake = Lake {
            catalog: Arc::new(MemoryCatalog::new(passed_seconds.clone())),
            table: TableIdent::from_strs(["shop", "orders"]).unwrap(),
            claims: Arc::default(),
            upkeep: Upkeep::new(random, stop.clone()),
            stop,
            staging,
            staged,
            passed_seconds,
            next_row: AtomicI64::new(0),
            dir,
            disk,
            bucket,
        };
        lake.make(&lake.table, "tables/orders").await;
        lake
    }

    pub(super) async fn make(&self, table: &TableIdent, key: &str) {
        let columns = columns();
        let schema = schema_of(&columns).unwrap();
        let new = NewTable {
            partition_spec: Some(day_of_ingest(&schema).unwrap()),
            schema,
            sort_order: None,
            properties: HashMap::from([
                ("test.location".to_owned(), self.bucket.uri(key)),
                ("lakehead.watermark".to_owned(), "17".to_owned()),
            ]),
        };
        self.catalog.create_table(table, new).await.unwrap();
    }

    pub(super) async fn metadata(&self) -> Arc<TableMetadata> {
        self.catalog.load_table(&self.table).await.unwrap().unwrap().metadata
    }

    pub(super) fn now(&self) -> Timestamp {
        use lakehead_model::Clock;
        let passed = self.passed_seconds.load(Ordering::SeqCst) * 1_000_000;
        Timestamp(SystemClock::default().now().0 + passed)
    }

    pub(super) fn of(&self) -> UpkeepTable {
        UpkeepTable {
            catalog: self.catalog.clone(),
            table: self.table.clone(),
            bucket: self.bucket.clone(),
            claims: self.claims.clone(),
            staging: Some(self.staging.clone()),
        }
    }

    pub(super) async fn run(&self, settings: &UpkeepSettings) -> UpkeepReport {
        self.upkeep.run_once(&self.of(), settings, self.now()).await.unwrap()
    }

    /// Like [`Lake::run`]; nothing may fail.
    pub(super) async fn run_well(&self, settings: &UpkeepSettings) -> UpkeepReport {
        let report = self.run(settings).await;
        assert!(report.failures.is_empty(), "{:?}", report.failures);
        report
    }

    /// Writes a Parquet file of `rows` new rows of a day, as a flow does, and returns its rows and entry.
    pub(super) async fn file(&self, rows: i64, day: i64) -> (BTreeSet<i64>, DataFile) {
        let first = self.next_row.fetch_add(rows, Ordering::SeqCst);
        let metadata = self.metadata().await;
        let schema = fit(metadata.current_schema(), &columns()).unwrap();
        let ids: Vec<i64> = (first..first + rows).collect();
        let names: Vec<Option<String>> =
            ids.iter().map(|id| (id % 3 > 0).then(|| format!("n{id}"))).collect();
        let times: Vec<i64> = ids.iter().map(|id| day * DAY_MICROS + id).collect();
        let arrays: Vec<ArrayRef> = vec![
            Arc::new(Int64Array::from(ids.clone())),
            Arc::new(StringArray::from(names)),
            Arc::new(TimestampMicrosecondArray::from(times).with_timezone("+00:00")),
        ];
        let batch = RecordBatch::try_new(schema.clone(), arrays).unwrap();
        let mut content = Vec::new();
        let mut writer = ArrowWriter::try_new(&mut content, schema, None).unwrap();
        writer.write(&batch).unwrap();
        writer.close().unwrap();
        let name = format!("{:032x}", SystemRandom.u128());
        let key = format!("tables/orders/data/__ingest_ts_day={day}/{name}.parquet");
        let size = content.len() as u64;
        self.bucket.put(&key, Bytes::from(content)).await.unwrap();
        let entry = self.entry(&metadata, &key, size, Some(day)).await;
        (ids.into_iter().collect(), entry)
    }

    pub(super) async fn entry(
        &self,
        metadata: &TableMetadata,
        key: &str,
        size: u64,
        day: Option<i64>,
    ) -> DataFile {
        let footer = footer(&self.bucket, key, size).await.unwrap();
        let partition = Struct::from_iter(day.map(|day| Some(Literal::int(i32::try_from(day).unwrap()))));
        let spec = metadata.default_partition_spec_id();
        data_file(self.bucket.uri(key), size, &footer, metadata.current_schema(), (spec, partition)).unwrap()
    }

    /// The change that appends a file to the table as it is, and the keys written for it.
    pub(super) async fn draft(&self, file: DataFile) -> (TableChange, Vec<String>) {
        let metadata = self.metadata().await;
        let files = TableFiles::of(&metadata, self.bucket.clone()).unwrap();
        let tools = Tools { files: &files, random: &SystemRandom, now: self.now() };
        let draft = append(tools, &metadata, vec![file], HashMap::new()).await.unwrap();
        let change = TableChange {
            table: self.table.clone(),
            requirements: draft.requirements,
            updates: draft.updates,
        };
        (change, draft.written)
    }

    /// Puts a Parquet file with these rows, whose columns have ids, and appends it.
    pub(super) async fn append_batch(&self, batch: &RecordBatch, day: i64, row_group_rows: Option<usize>) {
        let metadata = self.metadata().await;
        let mut content = Vec::new();
        let properties = WriterProperties::builder().set_max_row_group_row_count(row_group_rows).build();
        let mut writer = ArrowWriter::try_new(&mut content, batch.schema(), Some(properties)).unwrap();
        writer.write(batch).unwrap();
        writer.close().unwrap();
        let key = format!("tables/orders/data/__ingest_ts_day={day}/{:032x}.parquet", SystemRandom.u128());
        let size = content.len() as u64;
        self.bucket.put(&key, Bytes::from(content)).await.unwrap();
        let entry = self.entry(&metadata, &key, size, Some(day)).await;
        let (change, _) = self.draft(entry).await;
        self.catalog.apply(&change).unwrap();
    }

    /// Key, entry and rows of each file of the newest snapshot, in the order of keys.
    pub(super) async fn content(&self) -> Vec<(String, ManifestEntry, Vec<RecordBatch>)> {
        let metadata = self.metadata().await;
        let files = TableFiles::of(&metadata, self.bucket.clone()).unwrap();
        let mut content = Vec::new();
        for manifest in files.list_of(&metadata, metadata.current_snapshot().unwrap()).await.unwrap() {
            let manifest = files.manifest(&manifest).await.unwrap();
            if manifest.metadata().content() != &ManifestContentType::Data {
                continue;
            }
            for entry in manifest.entries().iter().filter(|entry| entry.is_alive()) {
                let bytes = Bytes::from(std::fs::read(self.path(entry.file_path())).unwrap());
                assert_eq!(bytes.len() as u64, entry.file_size_in_bytes());
                let reader = ParquetRecordBatchReaderBuilder::try_new(bytes).unwrap().build().unwrap();
                let key = self.bucket.key(entry.file_path()).unwrap().to_owned();
                content.push((key, entry.as_ref().clone(), reader.map(Result::unwrap).collect()));
            }
        }
        content.sort_by(|(a, ..), (b, ..)| a.cmp(b));
        content
    }

    /// Appends `rows` rows of a day and returns them.
    pub(super) async fn append(&self, rows: i64, day: i64) -> BTreeSet<i64> {
        let (rows, file) = self.file(rows, day).await;
        let (change, _) = self.draft(file).await;
        self.catalog.apply(&change).unwrap();
        rows
    }

    /// Appends `files` files of three rows each, one commit each.
    pub(super) async fn append_many(&self, files: i64) -> BTreeSet<i64> {
        let mut rows = BTreeSet::new();
        for n in 0..files {
            rows.extend(self.append(3, n % 2).await);
        }
        rows
    }

    /// Every file that the snapshot needs, by kind.
    async fn reached(&self, metadata: &TableMetadata, id: i64) -> (Vec<String>, Vec<String>) {
        let files = TableFiles::of(metadata, self.bucket.clone()).unwrap();
        let snapshot = metadata.snapshot_by_id(id).unwrap();
        let mut names = vec![snapshot.manifest_list().to_owned()];
        let mut data = Vec::new();
        for manifest in files.list_of(metadata, snapshot).await.unwrap() {
            names.push(manifest.manifest_path.clone());
            let manifest = files.manifest(&manifest).await.unwrap();
            let alive = manifest.entries().iter().filter(|entry| entry.is_alive());
            data.extend(alive.map(|entry| entry.file_path().to_owned()));
        }
        (names, data)
    }

    /// How often each row can be read in a snapshot; every file it names must be there.
    pub(super) async fn rows_of(&self, id: i64) -> BTreeMap<i64, usize> {
        let metadata = self.metadata().await;
        let (names, data) = self.reached(&metadata, id).await;
        for uri in names {
            assert!(self.path(&uri).exists(), "snapshot {id} needs {uri}");
        }
        let mut rows = BTreeMap::new();
        for uri in data {
            let content =
                std::fs::read(self.path(&uri)).unwrap_or_else(|e| panic!("snapshot {id}: {uri}: {e}"));
            let reader =
                ParquetRecordBatchReaderBuilder::try_new(Bytes::from(content)).unwrap().build().unwrap();
            for batch in reader {
                let batch = batch.unwrap();
                let ids = batch.column(0).as_any().downcast_ref::<Int64Array>().unwrap().clone();
                for id in ids.values() {
                    *rows.entry(*id).or_insert(0) += 1;
                }
            }
        }
        rows
    }

    /// The rows of the newest snapshot, each of which must be there once; all other snapshots must be readable as well.
    pub(super) async fn rows(&self) -> BTreeSet<i64> {
        let metadata = self.metadata().await;
        assert_eq!(metadata.properties().get("lakehead.watermark").map(String::as_str), Some("17"));
        for snapshot in metadata.snapshots() {
            self.rows_of(snapshot.snapshot_id()).await;
        }
        let Some(current) = metadata.current_snapshot_id() else { return BTreeSet::new() };
        let rows = self.rows_of(current).await;
        assert!(rows.values().all(|times| *times == 1), "rows are there more than once: {rows:?}");
        rows.into_keys().collect()
    }

    pub(super) fn path(&self, uri: &str) -> PathBuf {
        PathBuf::from(uri.strip_prefix("file://").unwrap())
    }

    /// Keys of all files in the bucket.
    pub(super) fn keys(&self) -> BTreeSet<String> {
        fn walk(folder: &std::path::Path, found: &mut Vec<PathBuf>) {
            for entry in std::fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() { walk(&path, found) } else { found.push(path) }
            }
        }
        let mut found = Vec::new();
        walk(self.dir.path(), &mut found);
        found
            .iter()
            .map(|path| path.strip_prefix(self.dir.path()).unwrap().to_str().unwrap().to_owned())
            .collect()
    }

    /// Keys of files that any snapshot, or the catalog, needs.
    pub(super) async fn needed(&self) -> BTreeSet<String> {
        let loaded = self.catalog.load_table(&self.table).await.unwrap().unwrap();
        let metadata = loaded.metadata;
        let mut uris: Vec<String> =
            metadata.metadata_log().iter().map(|log| log.metadata_file.clone()).collect();
        uris.extend(loaded.metadata_location);
        for snapshot in metadata.snapshots() {
            let (names, data) = self.reached(&metadata, snapshot.snapshot_id()).await;
            uris.extend(names.into_iter().chain(data));
        }
        uris.iter().map(|uri| self.bucket.key(uri).unwrap().to_owned()).collect()
    }

    /// Makes all files four days old but those of `young`.
    pub(super) fn age(&self, young: &HashSet<String>) {
        for key in self.keys().iter().filter(|key| !young.contains(*key)) {
            self.age_of(key, 4 * 24 * 3600);
        }
    }

    pub(super) fn age_of(&self, key: &str, seconds: u64) {
        let file = std::fs::File::options().write(true).open(self.dir.path().join(key)).unwrap();
        let modified = file.metadata().unwrap().modified().unwrap();
        file.set_modified(modified - Duration::from_secs(seconds)).unwrap();
    }

    /// The clock is the machine's, and so that of files.
    pub(super) fn now_is_now(&self) {
        self.passed_seconds.store(0, Ordering::SeqCst);
    }

    pub(super) fn pass(&self, seconds: i64) {
        self.passed_seconds.fetch_add(seconds, Ordering::SeqCst);
    }
}

fn columns() -> ArrowSchema {
    table_columns(&ArrowSchema::new(vec![
        Field::new("id", DataType::Int64, false),
        Field::new("name", DataType::Utf8, true),
    ]))
    .unwrap()
}

/// Snapshots that no flow makes.
impl Lake {
    /// A snapshot that has an equality delete file for a day.
    pub(super) async fn deletion_in(&self, day: i64) -> TableChange {
        let key =
            format!("tables/orders/data/__ingest_ts_day={day}/{:032x}-deletes.parquet", SystemRandom.u128());
        self.bucket.put(&key, Bytes::from_static(b"deletes")).await.unwrap();
        let mut builder = DataFileBuilder::default();
        builder
            .content(DataContentType::EqualityDeletes)
            .file_path(self.bucket.uri(&key))
            .file_format(DataFileFormat::Parquet)
            .partition(Struct::from_iter([Some(Literal::int(i32::try_from(day).unwrap()))]))
            .partition_spec_id(0)
            .record_count(1)
            .file_size_in_bytes(7)
            .equality_ids(Some(vec![1]));
        let file = builder.build().unwrap();
        self.snapshot_with(move |writer| writer.add_file(file, -1), ManifestContentType::Deletes).await
    }

    pub(super) async fn delete_in(&self, day: i64) {
        let change = self.deletion_in(day).await;
        self.catalog.apply(&change).unwrap();
    }

    /// Appends an entry for a file that is there already, with a wrong number of rows.
    pub(super) async fn lying_draft(&self, file: &DataFile, rows: u64) -> TableChange {
        let mut builder = DataFileBuilder::default();
        builder
            .content(DataContentType::Data)
            .file_path(file.file_path().to_owned())
            .file_format(DataFileFormat::Parquet)
            .partition(file.partition().clone())
            .partition_spec_id(0)
            .record_count(rows)
            .file_size_in_bytes(file.file_size_in_bytes());
        let file = builder.build().unwrap();
        self.snapshot_with(move |writer| writer.add_file(file, -1), ManifestContentType::Data).await
    }

    async fn snapshot_with(
        &self,
        fill: impl FnOnce(&mut ManifestWriter) -> iceberg::Result<()>,
        content: ManifestContentType,
    ) -> TableChange {
        let metadata = self.metadata().await;
        let files = TableFiles::of(&metadata, self.bucket.clone()).unwrap();
        let id = crate::snapshot::new_id(&metadata, &SystemRandom);
        let attempt = Attempt::new(&files, crate::snapshot::uuid(&SystemRandom));
        let mut manifests = files.list_of(&metadata, metadata.current_snapshot().unwrap()).await.unwrap();
        let memory = FileIO::new_with_memory();
        let place = format!("memory:///{:032x}.avro", SystemRandom.u128());
        let builder = ManifestWriterBuilder::new(
            memory.new_output(&place).unwrap(),
            Some(id),
            metadata.current_schema().clone(),
            metadata.default_partition_spec().as_ref().clone(),
        );
        let mut writer = match content {
            ManifestContentType::Data => builder.build_v2_data(),
            ManifestContentType::Deletes => builder.build_v2_deletes(),
        };
        fill(&mut writer).unwrap();
        let mut manifest = writer.write_manifest_file().await.unwrap();
        let bytes = memory.new_input(&place).unwrap().read().await.unwrap();
        let key = format!("tables/orders/metadata/{:032x}.avro", SystemRandom.u128());
        self.bucket.put(&key, bytes).await.unwrap();
        manifest.manifest_path = self.bucket.uri(&key);
        manifests.push(manifest);
        let tools = Tools { files: &files, random: &SystemRandom, now: self.now() };
        let change = FileChange::default();
        let content = (Operation::Overwrite, &change, HashMap::new());
        let draft = draft(tools, &metadata, id, attempt, manifests, content).await.unwrap();
        TableChange { table: self.table.clone(), requirements: draft.requirements, updates: draft.updates }
    }
}
