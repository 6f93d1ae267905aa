//! A catalog in memory that refuses, loses answers and lets others in, on demand.

use std::collections::{HashMap, VecDeque};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use async_trait::async_trait;
use iceberg::spec::{TableMetadata, TableMetadataBuilder};
use iceberg::{NamespaceIdent, TableCreation, TableIdent};
use lakehead_model::{Clock, SystemClock};
use parking_lot::Mutex;

use crate::{Catalog, CatalogError, CatalogErrorKind, FileAccess, LoadedTable, NewTable, TableChange};

/// What happens to the next commit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    /// `Conflict`, without a cause.
    Conflict,
    /// Applied, and the answer lost.
    LostAfter,
    /// Not applied, and that is not known.
    LostBefore,
    /// `Unknown`, and applied when [`MemoryCatalog::land`] is called.
    Late,
    /// `Refused`.
    Refused,
}

type Between = Box<dyn FnOnce(&MemoryCatalog) + Send>;

#[derive(Default)]
pub(super) struct MemoryCatalog {
    /// By how much the clock is ahead of the machine's, in seconds.
    passed_seconds: Arc<AtomicI64>,
    tables: Mutex<HashMap<TableIdent, LoadedTable>>,
    faults: Mutex<VecDeque<Fault>>,
    late: Mutex<Vec<TableChange>>,
    /// Done once, right before the next commit is looked at.
    pub(super) between: Mutex<Option<Between>>,
    pub(super) commits: Mutex<usize>,
}

impl std::fmt::Debug for MemoryCatalog {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("MemoryCatalog")
    }
}

fn error(kind: CatalogErrorKind) -> CatalogError {
    CatalogError::new(kind, format!("{kind:?} on demand"))
}

impl MemoryCatalog {
    pub(super) fn new(passed_seconds: Arc<AtomicI64>) -> Self {
        MemoryCatalog { passed_seconds, ..MemoryCatalog::default() }
    }

    /// The library takes the machine's time where there is no new snapshot.
    fn timed(&self, metadata: &TableMetadata) -> TableMetadata {
        let now =
            SystemClock::default().now().as_millis() + self.passed_seconds.load(Ordering::SeqCst) * 1000;
        let last = metadata.history().last().map_or(now, |entry| entry.timestamp_ms().max(now));
        let mut json = serde_json::to_value(metadata).unwrap();
        json["last-updated-ms"] = last.into();
        serde_json::from_value(json).unwrap()
    }

    pub(super) fn fail_next(&self, fault: Fault) {
        self.faults.lock().push_back(fault);
    }

    pub(super) fn forget_faults(&self) {
        self.faults.lock().clear();
    }

    /// What was lost on the way arrives; it is applied if its requirements hold.
    pub(super) fn land(&self) {
        let late = std::mem::take(&mut *self.late.lock());
        for change in late {
            let _ = self.apply(&change);
        }
    }

    pub(super) fn put(&self, table: &TableIdent, metadata: TableMetadata) {
        let location = store(&metadata);
        let loaded = LoadedTable {
            metadata: Arc::new(metadata),
            metadata_location: Some(location),
            config: FileAccess::default(),
        };
        self.tables.lock().insert(table.clone(), loaded);
    }

    pub(super) fn apply(&self, change: &TableChange) -> Result<LoadedTable, CatalogError> {
        let mut tables = self.tables.lock();
        let old = tables.get(&change.table).ok_or(error(CatalogErrorKind::NotFound))?;
        for requirement in &change.requirements {
            let holds = requirement.check(Some(&old.metadata));
            holds.map_err(|e| CatalogError::new(CatalogErrorKind::Conflict, e.to_string()))?;
        }
        let mut builder = old.metadata.as_ref().clone().into_builder(old.metadata_location.clone());
        for update in &change.updates {
            builder = update.clone().apply(builder).expect("the update can be applied");
        }
        let metadata = self.timed(&builder.build().expect("the metadata is sound").metadata);
        let location = store(&metadata);
        let new = LoadedTable {
            metadata: Arc::new(metadata),
            metadata_location: Some(location),
            config: FileAccess::default(),
        };
        tables.insert(change.table.clone(), new.clone());
        *self.commits.lock() += 1;
        Ok(new)
    }
}

/// Writes a metadata file as a catalog does.
fn store(metadata: &TableMetadata) -> String {
    let uri = format!(
        "{}/metadata/{}.metadata.json",
        metadata.location(),
        uuid::Builder::from_random_bytes(rand()).into_uuid()
    );
    let path = PathBuf::from(uri.strip_prefix("file://").expect("a local table"));
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, serde_json::to_vec(metadata).unwrap()).unwrap();
    uri
}

fn rand() -> [u8; 16] {
    use lakehead_model::Random;
    lakehead_model::SystemRandom.u128().to_be_bytes()
}

#[async_trait]
impl Catalog for MemoryCatalog {
    async fn ensure_namespace(&self, _: &NamespaceIdent) -> Result<(), CatalogError> {
        Ok(())
    }

    async fn namespaces(&self, parent: Option<&NamespaceIdent>) -> Result<Vec<NamespaceIdent>, CatalogError> {
        let depth = parent.map_or(0, |parent| parent.len());
        let tables = self.tables.lock();
        let mut found: Vec<_> = tables
            .keys()
            .filter(|table| table.namespace().len() > depth)
            .filter(|table| parent.is_none_or(|parent| table.namespace()[..depth] == parent[..]))
            .map(|table| NamespaceIdent::from_vec(table.namespace()[..=depth].to_vec()).unwrap())
            .collect();
        found.sort_by_key(|namespace| namespace.to_url_string());
        found.dedup();
        Ok(found)
    }

    async fn tables(&self, namespace: &NamespaceIdent) -> Result<Vec<TableIdent>, CatalogError> {
        Ok(self.tables.lock().keys().filter(|table| table.namespace() == namespace).cloned().collect())
    }

    async fn create_table(&self, table: &TableIdent, new: NewTable) -> Result<LoadedTable, CatalogError> {
        let location = new.properties.get("test.location").expect("tests say where").clone();
        let creation = TableCreation::builder()
            .name(table.name().to_owned())
            .location(location)
            .schema(new.schema)
            .properties(new.properties)
            .partition_spec_opt(new.partition_spec)
            .build();
        let built = TableMetadataBuilder::from_table_creation(creation).unwrap().build().unwrap();
        self.put(table, self.timed(&built.metadata));
        Ok(self.tables.lock()[table].clone())
    }

    async fn load_table(&self, table: &TableIdent) -> Result<Option<LoadedTable>, CatalogError> {
        Ok(self.tables.lock().get(table).cloned())
    }

    async fn commit(&self, change: TableChange) -> Result<LoadedTable, CatalogError> {
        let between = self.between.lock().take();
        if let Some(between) = between {
            between(self);
        }
        let fault = self.faults.lock().pop_front();
        match fault {
            None => self.apply(&change),
            Some(Fault::Conflict) => Err(error(CatalogErrorKind::Conflict)),
            Some(Fault::Refused) => Err(error(CatalogErrorKind::Refused)),
            Some(Fault::LostBefore) => Err(error(CatalogErrorKind::Unknown)),
            Some(Fault::LostAfter) => {
                self.apply(&change)?;
                Err(error(CatalogErrorKind::Unknown))
            }
            Some(Fault::Late) => {
                self.late.lock().push(change);
                Err(error(CatalogErrorKind::Unknown))
            }
        }
    }
}
