//! A catalog in memory that does to its callers what real ones do on bad days, and tables to try it on.

use std::collections::{HashMap, VecDeque};
use std::path::Path;
use std::sync::Arc;

use arrow::array::{Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray};
use arrow::datatypes::{DataType, Field, Schema as ArrowSchema};
use async_trait::async_trait;
use iceberg::spec::TableMetadataBuilder;
use iceberg::{NamespaceIdent, TableCreation, TableIdent};
use lakehead_disk::SystemDisk;
use lakehead_model::clock::ManualClock;
use lakehead_model::{Clock, Position, Random, SystemRandom, Timestamp};
use lakehead_sink::{Bucket, BucketFiles, Seams};
use parking_lot::Mutex;
use parquet::arrow::ArrowWriter;

use crate::{
    Catalog, CatalogError, CatalogErrorKind as Kind, Committer, Extensions, FileAccess, LoadedTable, NewFile,
    NewTable, TableChange, Target, Wanted, table_columns,
};

/// What becomes of a commit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fate {
    Applied,
    /// Applied, and the answer is lost.
    AppliedUnheard,
    /// Not applied, and the answer is lost.
    LostUnheard,
    /// Held back, its answer lost, and applied (or refused) when the next commit has come and gone.
    AppliedLate,
    /// Somebody else was first.
    BeatenToIt,
    /// Applied, and answered with a conflict, by something that has sent it twice.
    AppliedAndRefused,
    /// Answered with a conflict, and applied (or refused) when the next commit has come and gone.
    RefusedAndAppliedLate,
    Unavailable,
}

#[derive(Debug, Default)]
struct Held {
    tables: HashMap<TableIdent, Arc<crate::spec::TableMetadata>>,
    late: Vec<TableChange>,
    fates: VecDeque<Fate>,
    commits: usize,
}

#[derive(Debug)]
pub(crate) struct PlayedCatalog {
    root: String,
    held: Mutex<Held>,
}

impl PlayedCatalog {
    pub(crate) fn fates(&self, fates: impl IntoIterator<Item = Fate>) {
        self.held.lock().fates.extend(fates);
    }

    /// Changes a table as another client would.
    pub(crate) fn meddle(
        &self,
        table: &TableIdent,
        change: impl FnOnce(TableMetadataBuilder) -> iceberg::Result<TableMetadataBuilder>,
    ) {
        let mut held = self.held.lock();
        let base = held.tables[table].clone();
        let builder = Arc::unwrap_or_clone(base).into_builder(None);
        let made = change(builder).unwrap().build().unwrap().metadata;
        held.tables.insert(table.clone(), Arc::new(made));
    }

    pub(crate) fn drop_table(&self, table: &TableIdent) {
        self.held.lock().tables.remove(table);
    }

    pub(crate) fn commits(&self) -> usize {
        self.held.lock().commits
    }
}

impl Held {
    fn apply(&mut self, change: &TableChange) -> Result<Arc<crate::spec::TableMetadata>, CatalogError> {
        let missing = || CatalogError::new(Kind::NotFound, "no such table");
        let base = self.tables.get(&change.table).ok_or_else(missing)?;
        for requirement in &change.requirements {
            requirement.check(Some(base)).map_err(|e| CatalogError::new(Kind::Conflict, e.to_string()))?;
        }
        let refused = |e: iceberg::Error| CatalogError::new(Kind::Refused, e.to_string());
        let mut builder = base.as_ref().clone().into_builder(None);
        for update in &change.updates {
            builder = update.clone().apply(builder).map_err(refused)?;
        }
        let made = Arc::new(builder.build().map_err(refused)?.metadata);
        self.tables.insert(change.table.clone(), made.clone());
        Ok(made)
    }
}

impl Held {
    /// Another client's commit, of no rows.
    fn foreign_snapshot(&mut self, table: &TableIdent) {
        let base = self.tables[table].as_ref().clone();
        // A table without rows stays as it is.
        let Some(current) = base.current_snapshot().cloned() else { return };
        let snapshot = crate::spec::Snapshot::builder()
            .with_snapshot_id(1_000 + i64::try_from(base.snapshots().len()).unwrap())
            .with_parent_snapshot_id(base.current_snapshot_id())
            .with_sequence_number(base.next_sequence_number())
            .with_timestamp_ms(base.last_updated_ms())
            .with_manifest_list(current.manifest_list().to_owned())
            .with_summary(current.summary().clone())
            .build();
        let made = base.into_builder(None).set_branch_snapshot(snapshot, "main").unwrap().build().unwrap();
        self.tables.insert(table.clone(), Arc::new(made.metadata));
    }
}

fn loaded(metadata: Arc<crate::spec::TableMetadata>) -> LoadedTable {
    LoadedTable { metadata, metadata_location: None, config: FileAccess::default() }
}

#[async_trait]
impl Catalog for PlayedCatalog {
    async fn ensure_namespace(&self, _: &NamespaceIdent) -> Result<(), CatalogError> {
        Ok(())
    }

    async fn namespaces(&self, _: Option<&NamespaceIdent>) -> Result<Vec<NamespaceIdent>, CatalogError> {
        Ok(Vec::new())
    }

    async fn tables(&self, _: &NamespaceIdent) -> Result<Vec<TableIdent>, CatalogError> {
        Ok(self.held.lock().tables.keys().cloned().collect())
    }

    async fn create_table(&self, table: &TableIdent, new: NewTable) -> Result<LoadedTable, CatalogError> {
        let creation = TableCreation::builder()
            .name(table.name().to_owned())
            .location(format!("{}/{}", self.root, table.name()))
            .schema(new.schema)
            .partition_spec_opt(new.partition_spec)
            .properties(new.properties)
            .build();
        let made = TableMetadataBuilder::from_table_creation(creation).unwrap().build().unwrap().metadata;
        let mut held = self.held.lock();
        if held.tables.contains_key(table) {
            return Err(CatalogError::new(Kind::AlreadyExists, "it exists"));
        }
        held.tables.insert(table.clone(), Arc::new(made.clone()));
        Ok(loaded(Arc::new(made)))
    }

    async fn load_table(&self, table: &TableIdent) -> Result<Option<LoadedTable>, CatalogError> {
        Ok(self.held.lock().tables.get(table).cloned().map(loaded))
    }

    async fn commit(&self, change: TableChange) -> Result<LoadedTable, CatalogError> {
        let mut held = self.held.lock();
        held.commits += 1;
        let late = std::mem::take(&mut held.late);
        let refused = Err(CatalogError::new(Kind::Conflict, "somebody was first"));
        let unheard = Err(CatalogError::new(Kind::Unknown, "the answer was lost"));
        let outcome = match held.fates.pop_front().unwrap_or(Fate::Applied) {
            Fate::Applied => held.apply(&change).map(loaded),
            Fate::AppliedUnheard => {
                let _ = held.apply(&change);
                unheard
            }
            Fate::LostUnheard => unheard,
            Fate::AppliedLate => {
                held.late.push(change);
                unheard
            }
            Fate::BeatenToIt => {
                held.foreign_snapshot(&change.table);
                refused
            }
            Fate::AppliedAndRefused => {
                let _ = held.apply(&change);
                refused
            }
            Fate::RefusedAndAppliedLate => {
                held.late.push(change);
                refused
            }
            Fate::Unavailable => Err(CatalogError::new(Kind::Unavailable, "later")),
        };
        for change in late {
            let _ = held.apply(&change);
        }
        outcome
    }
}

/// A table of two columns in a folder of its own.
pub(crate) struct Scene {
    _dir: tempfile::TempDir,
    pub(crate) bucket: BucketFiles,
    pub(crate) catalog: Arc<PlayedCatalog>,
    pub(crate) table: TableIdent,
    pub(crate) target: Target,
    pub(crate) clock: Arc<ManualClock>,
    pub(crate) random: Arc<dyn Random>,
}

pub(crate) fn columns() -> ArrowSchema {
    let of_query = ArrowSchema::new(vec![
        Field::new("id", DataType::Int64, false),
        Field::new("name", DataType::Utf8, true),
    ]);
    table_columns(&of_query).unwrap()
}

impl Scene {
    pub(crate) async fn new() -> Scene {
        let dir = tempfile::tempdir().unwrap();
        let clock = Arc::new(ManualClock::starting_at(Timestamp(1_790_000_000_000_000)));
        let random: Arc<dyn Random> = Arc::new(SystemRandom);
        let bucket = open(dir.path(), &clock, &random);
        let root = bucket.root().to_owned();
        let catalog = Arc::new(PlayedCatalog { root, held: Mutex::default() });
        let table = TableIdent::from_strs(["ns", "t"]).unwrap();
        let target = target(&catalog, &table, None, &Extensions::default()).await.unwrap();
        Scene { _dir: dir, bucket, catalog, table, target, clock, random }
    }

    pub(crate) fn clock_now(&self) -> Timestamp {
        self.clock.now()
    }

    pub(crate) fn committer(&self) -> Committer {
        Committer::new(
            self.catalog.clone(),
            self.table.clone(),
            self.bucket.clone(),
            self.clock.clone(),
            self.random.clone(),
        )
    }

    /// A published file with rows of these ids, a name for all but every third.
    pub(crate) async fn file(&mut self, ids: std::ops::Range<i64>) -> NewFile {
        let rows = rows(&self.target, ids.clone(), self.clock.now());
        let mut content = Vec::new();
        let mut writer = ArrowWriter::try_new(&mut content, rows.schema(), None).unwrap();
        writer.write(&rows).unwrap();
        writer.close().unwrap();
        let folder: Arc<str> =
            self.clock.now().to_utc().format("__ingest_ts_day=%Y-%m-%d").to_string().into();
        let key = format!(
            "{}/{folder}/{}-{:x}.parquet",
            self.target.data_key(&self.bucket).unwrap(),
            ids.start,
            self.random.u64()
        );
        let size_bytes = content.len() as u64;
        self.bucket.put(&key, content.into()).await.unwrap();
        self.target.partitions.by_time(&folder, self.clock.now());
        NewFile { key, size_bytes, partition: self.target.partitions.value(&folder).unwrap() }
    }

    pub(crate) async fn metadata(&self) -> Arc<crate::spec::TableMetadata> {
        self.catalog.load_table(&self.table).await.unwrap().unwrap().metadata
    }

    /// The data files of the current snapshot, as often as they are there.
    pub(crate) async fn live_files(&self) -> Vec<String> {
        let metadata = self.metadata().await;
        let files = crate::manifests::TableFiles::of(&metadata, self.bucket.clone()).unwrap();
        let mut live = Vec::new();
        if let Some(snapshot) = metadata.current_snapshot() {
            for manifest in files.list_of(&metadata, snapshot).await.unwrap() {
                let manifest = files.manifest(&manifest).await.unwrap();
                let alive = manifest.entries().iter().filter(|entry| entry.is_alive());
                live.extend(alive.map(|entry| self.bucket.key(entry.file_path()).unwrap().to_owned()));
            }
        }
        live.sort();
        live
    }
}

pub(crate) async fn target(
    catalog: &Arc<PlayedCatalog>,
    table: &TableIdent,
    known: Option<uuid::Uuid>,
    extensions: &Extensions,
) -> Result<Target, crate::CommitError> {
    let (columns, properties) = (columns(), HashMap::new());
    let wanted =
        Wanted { table, columns: &columns, sink: "the-sink", known, properties: &properties, extensions };
    Target::open(&**catalog, &wanted).await
}

pub(crate) fn rows(target: &Target, ids: std::ops::Range<i64>, time: Timestamp) -> RecordBatch {
    let names = ids.clone().map(|id| (id % 3 != 0).then(|| format!("name {id}")));
    let times =
        TimestampMicrosecondArray::from_iter_values(ids.clone().map(|_| time.0)).with_timezone("+00:00");
    RecordBatch::try_new(
        target.columns.clone(),
        vec![
            Arc::new(Int64Array::from_iter_values(ids.clone())),
            Arc::new(StringArray::from_iter(names)),
            Arc::new(times),
        ],
    )
    .unwrap()
}

fn open(dir: &Path, clock: &Arc<ManualClock>, random: &Arc<dyn Random>) -> BucketFiles {
    let seams = Seams::new(clock.clone() as Arc<dyn Clock>, random.clone(), Arc::new(SystemDisk));
    BucketFiles::open(&Bucket::Local { root: dir.to_owned() }, &seams).unwrap()
}

/// A position.
pub(crate) fn at(position: u64) -> Position {
    Position(position)
}
