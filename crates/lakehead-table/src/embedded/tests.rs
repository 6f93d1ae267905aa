//! The rules of the catalog, over a folder and records in memory that can be made to fail.

mod answers;
mod commits;
mod evolution;
mod faults;
mod locations;
mod memory_records;
mod namespaces;
mod races;
mod staged;

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use iceberg::spec::{
    self, NestedField, Operation, PrimitiveType, Schema, Snapshot, SnapshotReference, SnapshotRetention,
    Summary, Transform, Type, UnboundPartitionSpec,
};
use iceberg::{NamespaceIdent, TableIdent, TableRequirement, TableUpdate};
use lakehead_disk::SystemDisk;
use lakehead_model::clock::ManualClock;
use lakehead_model::random::SeededRandom;
use lakehead_model::{Clock, Timestamp};
use lakehead_sink::{Bucket, BucketFiles, Seams};
use tempfile::TempDir;

use self::memory_records::MemoryRecords;
use super::*;
use crate::TableChange;

/// 2026-01-01, so that the machine's clock, which `iceberg` reads, is later.
const START: Timestamp = Timestamp(1_767_225_600_000_000);

struct World {
    folder: TempDir,
    records: MemoryRecords,
    clock: Arc<ManualClock>,
    random: Arc<SeededRandom>,
    catalog: Arc<EmbeddedCatalog>,
}

fn world() -> World {
    let (folder, records) = (TempDir::new().unwrap(), MemoryRecords::default());
    let (clock, random) = (Arc::new(ManualClock::starting_at(START)), Arc::new(SeededRandom::new(1)));
    let catalog = open(folder.path(), &records, &clock, &random);
    World { folder, records, clock, random, catalog }
}

fn open(
    folder: &Path,
    records: &MemoryRecords,
    clock: &Arc<ManualClock>,
    random: &Arc<SeededRandom>,
) -> Arc<EmbeddedCatalog> {
    let (clock, random): (Arc<dyn Clock>, Arc<dyn Random>) = (clock.clone(), random.clone());
    let seams = Seams::new(clock.clone(), random.clone(), Arc::new(SystemDisk));
    let bucket = Bucket::Local { root: folder.to_owned() };
    Arc::new(EmbeddedCatalog::new(EmbeddedParts {
        catalog_id: "c1".to_owned(),
        files: BucketFiles::open(&bucket, &seams).unwrap(),
        records: Arc::new(records.clone()),
        cache: MetadataCache::default(),
        clock,
        random,
    }))
}

impl World {
    /// The process has ended and another one has started.
    fn restarted(mut self) -> World {
        self.catalog = open(self.folder.path(), &self.records, &self.clock, &self.random);
        self
    }

    /// A world with a table `n.t` in it.
    async fn with_table() -> (World, TableIdent, CurrentTable) {
        let world = world();
        world.catalog.create_namespace(&namespace(&["n"]), BTreeMap::new(), None).await.unwrap();
        let current = world.catalog.create(&table("t"), request(), None).await.unwrap();
        (world, table("t"), current)
    }

    async fn commit(
        &self,
        requirements: Vec<TableRequirement>,
        updates: Vec<TableUpdate>,
    ) -> Result<CurrentTable, Refusal> {
        self.catalog.commit_table(change(requirements, updates), None).await
    }

    /// Files in the bucket, by key.
    fn files(&self) -> Vec<String> {
        let (mut found, mut folders) = (Vec::new(), vec![self.folder.path().to_owned()]);
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder).unwrap().map(Result::unwrap) {
                match entry.file_type().unwrap().is_dir() {
                    true => folders.push(entry.path()),
                    false => {
                        let path = entry.path();
                        found.push(
                            path.strip_prefix(self.folder.path()).unwrap().to_str().unwrap().to_owned(),
                        );
                    }
                }
            }
        }
        found.sort();
        found
    }

    fn now_ms(&self) -> i64 {
        self.clock.now().as_millis()
    }
}

use std::collections::BTreeMap;

fn namespace(levels: &[&str]) -> NamespaceIdent {
    NamespaceIdent::from_strs(levels).unwrap()
}

fn table(name: &str) -> TableIdent {
    TableIdent::new(namespace(&["n"]), name.to_owned())
}

fn schema() -> Schema {
    let field = |id, name: &str, kind| NestedField::optional(id, name, Type::Primitive(kind)).into();
    let fields = [field(7, "a", PrimitiveType::Long), field(9, "at", PrimitiveType::Timestamptz)];
    Schema::builder().with_fields(fields).build().unwrap()
}

fn request() -> NewTableRequest {
    let spec = UnboundPartitionSpec::builder().add_partition_field(9, "day", Transform::Day).unwrap().build();
    NewTableRequest {
        schema: schema(),
        partition_spec: Some(spec),
        sort_order: None,
        properties: HashMap::new(),
        location: None,
    }
}

fn change(requirements: Vec<TableRequirement>, updates: Vec<TableUpdate>) -> TableChange {
    TableChange { table: table("t"), requirements, updates }
}

fn set(key: &str, value: &str) -> TableUpdate {
    TableUpdate::SetProperties { updates: HashMap::from([(key.to_owned(), value.to_owned())]) }
}

fn snapshot(id: i64, parent: Option<i64>, sequence: i64, at_ms: i64) -> Snapshot {
    let summary = Summary { operation: Operation::Append, additional_properties: HashMap::new() };
    Snapshot::builder()
        .with_snapshot_id(id)
        .with_parent_snapshot_id(parent)
        .with_sequence_number(sequence)
        .with_timestamp_ms(at_ms)
        .with_manifest_list(format!("file:///nowhere/{id}.avro"))
        .with_summary(summary)
        .with_schema_id(0)
        .build()
}

fn main_ref(id: i64) -> TableUpdate {
    let retention = SnapshotRetention::Branch {
        min_snapshots_to_keep: None,
        max_snapshot_age_ms: None,
        max_ref_age_ms: None,
    };
    let reference = SnapshotReference { snapshot_id: id, retention };
    TableUpdate::SetSnapshotRef { ref_name: "main".to_owned(), reference }
}

/// An append as writers make it: what must hold, and the updates.
fn append(base: &TableMetadata, id: i64, at_ms: i64) -> (Vec<TableRequirement>, Vec<TableUpdate>) {
    let parent = base.current_snapshot_id();
    let requirements = vec![
        TableRequirement::UuidMatch { uuid: base.uuid() },
        TableRequirement::RefSnapshotIdMatch { r#ref: "main".to_owned(), snapshot_id: parent },
    ];
    let snapshot = snapshot(id, parent, base.next_sequence_number(), at_ms);
    (requirements, vec![TableUpdate::AddSnapshot { snapshot }, main_ref(id)])
}

#[track_caller]
fn refused<T: std::fmt::Debug>(result: Result<T, Refusal>, kind: RefusalKind, text: &str) {
    let refusal = result.expect_err("a refusal");
    assert_eq!(refusal.kind, kind, "{refusal}");
    assert!(refusal.text.contains(text), "{:?} does not hold {text:?}", refusal.text);
}
