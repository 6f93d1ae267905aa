use std::collections::{BTreeMap, HashMap};

use arrow::array::{ArrayRef, Int64Array, RecordBatch, TimestampMicrosecondArray};
use arrow::datatypes::{DataType, Field, Schema as ArrowSchema};
use lakehead_disk::SystemDisk;
use lakehead_model::random::SeededRandom;
use lakehead_model::resource::{Compaction, Maintenance, ParquetFormat, SnapshotExpiration};
use lakehead_model::{PipelineId, Position, StreamId};
use lakehead_sink::LoneFile;
use lakehead_table::{
    Commit, Committer, Extensions, NamespaceIdent, NewFile, Target, Uuid, Wanted, Writer, table_columns,
};

use super::*;
use crate::catalog::{CatalogParts, EmbeddedCatalogs};
use crate::control::MaintenancePatch;
use crate::control::tests::{World, world};
use crate::storage::Storage;

/// A server without a network, with a bucket `lake` whose catalog is on, and a table in it.
struct Server {
    world: World,
    keeper: Keeper,
    catalog: Arc<dyn Catalog>,
    table: TableIdent,
}

fn settings() -> config::Tables {
    config::Tables {
        snapshots_max: 4,
        manifests_max: 10,
        readers_grace_seconds: 0,
        ..config::Tables::default()
    }
}

fn server(settings: config::Tables) -> Server {
    let world = world();
    let new = crate::control::NewBucket { name: "lake".to_owned(), ..Default::default() };
    world.control.create_bucket(new).expect("a bucket");
    world.control.enable_catalog("lake").expect("a catalog");
    let random: Arc<dyn Random> = Arc::new(SeededRandom::new(3));
    let clock: Arc<dyn Clock> = world.clock.clone();
    let storage = Arc::new(Storage::new(world.dir.path().join("buckets"), BTreeMap::new()));
    let embedded = Arc::new(EmbeddedCatalogs::new(CatalogParts {
        store: Arc::clone(&world.store),
        storage: Arc::clone(&storage),
        clock: Arc::clone(&clock),
        random: Arc::clone(&random),
        disk: Arc::new(SystemDisk),
    }));
    let catalogs = Arc::new(Catalogs::new(
        &BTreeMap::new(),
        embedded.by_name(),
        storage,
        Arc::clone(&clock),
        Arc::clone(&random),
    ));
    let catalog = catalogs.of("lake", None).expect("the catalog");
    let parts = Parts {
        control: Arc::clone(&world.control),
        store: Arc::clone(&world.store),
        catalogs,
        clock,
        random,
        disk: Arc::new(SystemDisk),
        uploads: Uploads::default(),
        metrics: Metrics::default(),
        data_dir: world.dir.path().to_owned(),
        settings,
    };
    let table = TableIdent::new(NamespaceIdent::new("shop".to_owned()), "orders".to_owned());
    Server { keeper: Keeper::new(parts, Arc::default()), world, catalog, table }
}

impl Server {
    /// Commits a file of a few rows for each number, as a flow does.
    async fn commit(&self, numbers: std::ops::Range<u64>) {
        let columns = ArrowSchema::new(vec![Field::new("id", DataType::Int64, false)]);
        let columns = table_columns(&columns).unwrap();
        let (properties, extensions) = (HashMap::new(), Extensions::default());
        let wanted = Wanted {
            table: &self.table,
            columns: &columns,
            sink: "0123",
            known: None,
            properties: &properties,
            extensions: &extensions,
        };
        let mut target = Target::open(&*self.catalog, &wanted).await.unwrap();
        let place = self.keeper.parts.catalogs.storage("lake", &target.loaded).unwrap().bucket;
        let files = BucketFiles::open(&place, &self.keeper.seams).unwrap();
        let mut publishers = Publishers::new();
        let staging = self.keeper.staging(place, &files, &mut publishers).await.unwrap();
        let parts = &self.keeper.parts;
        let committer = Committer::new(
            Arc::clone(&self.catalog),
            self.table.clone(),
            files.clone(),
            Arc::clone(&parts.clock),
            Arc::clone(&parts.random),
        );
        for n in numbers {
            let time = parts.clock.now();
            let pattern = time.to_utc().format(&target.partitions.time_pattern().unwrap()).to_string();
            let folder: Arc<str> = pattern.into();
            target.partitions.by_time(&folder, time);
            let partition = target.partitions.value(&folder).unwrap();
            let first = i64::try_from(n * 3).unwrap();
            let arrays: Vec<ArrayRef> = vec![
                Arc::new(Int64Array::from_iter_values(first..first + 3)),
                Arc::new(TimestampMicrosecondArray::from(vec![time.0; 3]).with_timezone("+00:00")),
            ];
            let batch = RecordBatch::try_new(target.columns.clone(), arrays).unwrap();
            let key = format!("{}/{folder}/{n:032x}.parquet", target.data_key(&files).unwrap());
            let format = ParquetFormat::default();
            let mut file = LoneFile::create(&staging.seams, &staging.dir, key, &format, &batch).unwrap();
            file.write(&batch).unwrap();
            let staged = file.finish().unwrap();
            staging.publisher.publish(std::slice::from_ref(&staged)).await.unwrap();
            let new = NewFile { key: staged.key.clone(), size_bytes: staged.size_bytes, partition };
            let commit = Commit {
                id: Uuid::from_u128(n.into()),
                writer: Writer {
                    pipeline: PipelineId::random(&SeededRandom::new(7)),
                    version: 1,
                    statement: 0,
                    stream: StreamId::random(&SeededRandom::new(9)),
                },
                table: target.uuid(),
                believed: (n > 0).then_some(Position(n)),
                until: Position(n + 1),
                files: &[new],
                spec_id: target.partitions.spec_id(),
                summary: &properties,
            };
            committer.commit(&commit).await.unwrap();
            staging.publisher.discard(&[staged]).await.unwrap();
            self.world.clock.advance(Duration::from_secs(1));
        }
    }

    /// The number of snapshots, and a figure of the newest one's summary.
    async fn figures(&self) -> (usize, String, String) {
        let metadata = self.catalog.load_table(&self.table).await.unwrap().unwrap().metadata;
        let summary = &metadata.current_snapshot().unwrap().summary().additional_properties;
        let figure = |name: &str| summary[name].clone();
        (metadata.snapshots().len(), figure("total-records"), figure("total-data-files"))
    }

    /// Data files in the bucket.
    fn data_files(&self) -> usize {
        fn count(folder: &std::path::Path) -> usize {
            let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
            let parquet = |path: &PathBuf| path.extension().is_some_and(|ending| ending == "parquet");
            entries.map(|path| if path.is_dir() { count(&path) } else { usize::from(parquet(&path)) }).sum()
        }
        count(&self.world.dir.path().join("buckets/lake"))
    }
}

#[tokio::test]
async fn without_a_word_from_anybody_snapshots_stay_few_and_manifests_are_merged() {
    let server = server(settings());
    server.commit(0..12).await;
    server.keeper.round().await;
    // The twelve, and the one that merged their manifests: all but four are gone.
    assert_eq!(server.figures().await, (4, "36".to_owned(), "12".to_owned()));
    let metrics = &server.keeper.parts.metrics;
    assert_eq!((metrics.upkeep_rounds.get(), metrics.upkeep_manifests.get()), (1, 12));
    assert_eq!(metrics.upkeep_snapshots.get(), 9);
    assert_eq!(metrics.upkeep_deleted_files.with_label_values(&["expired"]).get(), 9);
    // Files of data are neither compacted nor deleted.
    assert_eq!(server.data_files(), 12);
    // The flow's position is in the table yet.
    let metadata = server.catalog.load_table(&server.table).await.unwrap().unwrap().metadata;
    assert!(metadata.properties().keys().any(|key| key.starts_with("lakehead.watermark.")));
    server.commit(12..14).await;
    assert_eq!(server.figures().await.1, "42");
}

#[tokio::test]
async fn compaction_begins_when_it_is_switched_on_for_the_bucket() {
    let server = server(config::Tables { manifests_max: 1000, ..settings() });
    server.commit(0..9).await;
    server.keeper.round().await;
    assert_eq!(server.data_files(), 9);
    let patch = MaintenancePatch { compaction: Some((Some(true), Some(64))), snapshot_expiration: None };
    server.world.control.patch_maintenance("lake", &patch).unwrap();
    server.keeper.round().await;
    let metrics = &server.keeper.parts.metrics;
    assert_eq!(metrics.upkeep_compacted_files.get(), 9);
    let (_, rows, files) = server.figures().await;
    assert_eq!((rows.as_str(), files.as_str()), ("27", "1"));
    // The old files go with the last snapshot that has them.
    server.commit(9..18).await;
    server.keeper.round().await;
    server.keeper.round().await;
    assert!(server.data_files() < 18, "{}", server.data_files());
    assert_eq!(metrics.upkeep_failures.with_label_values(&["compact files"]).get(), 0);
    assert_eq!(server.figures().await.1, "54");
}

#[tokio::test]
async fn a_catalog_that_is_switched_off_is_left_alone() {
    let server = server(settings());
    server.commit(0..12).await;
    server.world.control.disable_catalog("lake").unwrap();
    server.keeper.round().await;
    assert_eq!(server.keeper.parts.metrics.upkeep_snapshots.get(), 0);
    server.world.control.enable_catalog("lake").unwrap();
    server.keeper.round().await;
    assert_eq!(server.keeper.parts.metrics.upkeep_snapshots.get(), 9);
}

#[tokio::test]
async fn it_ends_when_the_server_stops() {
    let server = server(config::Tables { upkeep_interval_seconds: 3600, ..settings() });
    let (stop, stopped) = watch::channel(false);
    let running = tokio::spawn(run(server.keeper.parts.clone(), stopped));
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert!(!running.is_finished());
    stop.send(true).unwrap();
    tokio::time::timeout(Duration::from_secs(10), running).await.expect("in time").unwrap();
}

#[test]
fn settings_follow_what_was_said() {
    let tables = config::Tables::default();
    let of = |maintenance: &Maintenance| settings::of(&tables, maintenance);
    let unsaid = of(&Maintenance::default());
    assert_eq!((unsaid.retention.snapshots_max, unsaid.retention.age_milliseconds_max), (100, None));
    assert_eq!((unsaid.compacting, unsaid.retention.snapshots_min), (None, 1));
    assert_eq!(unsaid.orphans.unwrap().grace, Duration::from_secs(3 * 24 * 3600));
    let expiration = |enabled| Maintenance {
        snapshot_expiration: Some(SnapshotExpiration { enabled, max_age_seconds: 60, snapshots_min: 5 }),
        compaction: Some(Compaction { enabled, target_size_mb: 256 }),
    };
    let on = of(&expiration(true));
    assert_eq!((on.retention.snapshots_max, on.retention.age_milliseconds_max), (1000, Some(60_000)));
    assert_eq!((on.retention.snapshots_min, on.compacting.unwrap().target_bytes), (5, 256 << 20));
    let off = of(&expiration(false));
    assert_eq!((off.retention.snapshots_max, off.retention.age_milliseconds_max), (1000, None));
    assert_eq!(off.compacting, None);
    let none = config::Tables { orphans_after_seconds: 0, ..config::Tables::default() };
    assert_eq!(settings::of(&none, &Maintenance::default()).orphans, None);
}
