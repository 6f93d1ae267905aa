//! The catalog that is built in: namespaces and tables of one bucket, by the rules of the Iceberg REST protocol, without HTTP.
//!
//! ```text
//!   change ──► base (record → metadata file, mostly cached) ──► requirements hold? ──► next metadata
//!                 ▲                                                                        │ put as a new file
//!                 │ the record has changed meanwhile: own file removed, begin again        ▼
//!                 └──────────────────────────────────────────────────────  record compared and set ──► done
//! ```
//! **Invariants:** a table is what its record refers to; a metadata file is durable before a record names it, and is never
//! changed. A change of several tables is one write of records. A refusal means that nothing was applied, but for
//! [`RefusalKind::Unknown`].
//! **Crash:** before the write of records it leaves files that nobody refers to; after it the change is done.
//! **Order:** changes of one table one after the other (by [`TABLE_LOCKS`] locks, so that two tables seldom wait for each other);
//! whatever makes, moves or removes names one at a time. Two catalogs of one bucket must not be open in one process.
//! **Memory:** the metadata of tables as [`MetadataCache`] bounds it; nothing grows with a table's history but its metadata.

mod answers;
mod birth;
mod commit;
mod evolution;
mod metadata_files;
mod names;
mod namespaces;
mod purge;
pub mod records;
mod refusal;
mod seam;
mod superseded;
mod tables;
pub mod wire;

#[cfg(test)]
mod tests;

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use iceberg::spec::TableMetadata;
use iceberg::{NamespaceIdent, TableIdent};
use lakehead_model::{Clock, Random};
use lakehead_sink::BucketFiles;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use tokio::sync::{Mutex, MutexGuard};
use uuid::Uuid;

pub use answers::{ANSWERS_MAX, Answer, Attempt, LIFETIME_SECONDS};
pub use birth::DEFAULT_PROPERTIES;
pub use metadata_files::{CACHE_BYTES_MAX, METADATA_BYTES_MAX, MetadataCache};
pub use names::{LEVELS_MAX, NAME_BYTES_MAX, TABLES_FOLDER};
pub use namespaces::PropertyChanges;
use records::{
    CatalogRecords, Expected, RecordKind, RecordWrite, RecordsError, RecordsErrorKind, StoredRecord,
};
pub use refusal::{Refusal, RefusalKind};
pub use tables::{NewTableRequest, Registration};

use answers::KeptAnswers;
use metadata_files::MetadataFiles;
use superseded::Superseded;

/// Locks that the tables of a catalog share.
const TABLE_LOCKS: usize = 256;
/// Tries of a change against others that are faster. Each loses to one that has won.
const TRIES_MAX: usize = 20;

/// What a catalog works with.
#[derive(Debug, Clone)]
pub struct EmbeddedParts {
    /// Tells this catalog's records from those of others: an id that is never given again.
    pub catalog_id: String,
    /// The bucket's objects.
    pub files: BucketFiles,
    /// The store of all catalogs.
    pub records: Arc<dyn CatalogRecords>,
    /// Parsed metadata; shared by all catalogs.
    pub cache: MetadataCache,
    /// For the times in metadata.
    pub clock: Arc<dyn Clock>,
    /// For uuids.
    pub random: Arc<dyn Random>,
}

/// The catalog of one bucket.
#[derive(Debug)]
pub struct EmbeddedCatalog {
    prefix: String,
    metadata: MetadataFiles,
    records: Arc<dyn CatalogRecords>,
    clock: Arc<dyn Clock>,
    answers: KeptAnswers,
    superseded: Superseded,
    /// Held over whatever makes, moves or removes a name. Taken before any lock of a table.
    names: Mutex<()>,
    tables: Vec<Mutex<()>>,
}

/// A table as of a moment.
#[derive(Debug, Clone)]
pub struct CurrentTable {
    /// Its metadata.
    pub metadata: Arc<TableMetadata>,
    /// The file that holds it.
    pub metadata_location: String,
}

/// Part of a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed<T> {
    /// What is on the page.
    pub items: Vec<T>,
    /// What to ask for the next page with; `None`: this is the last one.
    pub next_page_token: Option<String>,
}

/// Which part of a list is wanted.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Page {
    /// `None`: all of it.
    pub size: Option<usize>,
    /// As it came with the page before.
    pub token: Option<String>,
}

/// The record of a table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TableRecord {
    /// Never changes, and is never given to another table.
    pub uuid: Uuid,
    /// The folder of its files.
    pub location: String,
    /// Its newest metadata.
    pub metadata_location: String,
    /// How many metadata files it has had.
    pub number: u64,
}

impl EmbeddedCatalog {
    /// The catalog. Asks nothing of store or bucket.
    pub fn new(parts: EmbeddedParts) -> Self {
        let EmbeddedParts { catalog_id, files, records, cache, clock, random } = parts;
        EmbeddedCatalog {
            prefix: format!("{catalog_id}:"),
            metadata: MetadataFiles { files, cache, random },
            records,
            clock,
            answers: KeptAnswers::default(),
            superseded: Superseded::default(),
            names: Mutex::new(()),
            tables: (0..TABLE_LOCKS).map(|_| Mutex::new(())).collect(),
        }
    }

    /// The bucket's objects.
    pub fn files(&self) -> &BucketFiles {
        &self.metadata.files
    }

    fn now_ms(&self) -> i64 {
        self.clock.now().as_millis()
    }

    /// The locks of tables, in the order that everybody takes them.
    async fn lock_tables(&self, tables: impl IntoIterator<Item = &TableIdent>) -> Vec<MutexGuard<'_, ()>> {
        let index = |table: &TableIdent| {
            let mut hasher = DefaultHasher::new();
            table.hash(&mut hasher);
            hasher.finish() as usize % TABLE_LOCKS
        };
        let mut indices: Vec<_> = tables.into_iter().map(index).collect();
        indices.sort_unstable();
        indices.dedup();
        let mut held = Vec::with_capacity(indices.len());
        for index in indices {
            held.push(self.tables[index].lock().await);
        }
        held
    }

    async fn blocking<T: Send + 'static>(
        &self,
        call: impl FnOnce(&dyn CatalogRecords) -> Result<T, RecordsError> + Send + 'static,
    ) -> Result<T, RecordsError> {
        let records = Arc::clone(&self.records);
        let done = tokio::task::spawn_blocking(move || call(&*records)).await;
        done.unwrap_or_else(|e| Err(RecordsError { kind: RecordsErrorKind::Unknown, text: e.to_string() }))
    }

    async fn get(&self, kind: RecordKind, key: &str) -> Result<Option<StoredRecord>, Refusal> {
        let key = format!("{}{key}", self.prefix);
        Ok(self.blocking(move |records| records.get(kind, &key)).await.map_err(not_applied)?)
    }

    /// Records whose keys, without the catalog's prefix, begin with `prefix`.
    async fn list(&self, kind: RecordKind, prefix: &str) -> Result<Vec<StoredRecord>, Refusal> {
        let prefix = format!("{}{prefix}", self.prefix);
        Ok(self.blocking(move |records| records.list(kind, &prefix)).await.map_err(not_applied)?)
    }

    async fn write(&self, writes: Vec<RecordWrite>) -> Result<(), RecordsError> {
        if writes.is_empty() {
            return Ok(());
        }
        self.blocking(move |records| records.write(&writes)).await
    }

    /// A write that nobody else's change can get in the way of, but for another request with the same key.
    async fn write_alone(&self, writes: Vec<RecordWrite>, attempt: Option<&Attempt>) -> Result<(), Refusal> {
        match self.write(writes).await {
            Err(e) if e.kind == RecordsErrorKind::Conflict => {
                self.check_unanswered(attempt).await?;
                Err(Refusal::new(RefusalKind::Unavailable, e.text))
            }
            other => Ok(other?),
        }
    }

    /// `Answered` if another request with the same key was faster.
    async fn check_unanswered(&self, attempt: Option<&Attempt>) -> Result<(), Refusal> {
        if let Some(attempt) = attempt
            && self.answered(attempt).await?.is_some()
        {
            return Err(Refusal::new(RefusalKind::Answered, "the request was answered already"));
        }
        Ok(())
    }

    fn record(&self, kind: RecordKind, key: &str, expected: Expected, value: Option<Vec<u8>>) -> RecordWrite {
        RecordWrite { kind, key: format!("{}{key}", self.prefix), expected, value }
    }

    fn json<T: Serialize>(&self, value: &T) -> Result<Vec<u8>, Refusal> {
        serde_json::to_vec(value)
            .map_err(|e| Refusal::new(RefusalKind::Unavailable, format!("a record: {e}")))
    }

    fn parsed<T: DeserializeOwned>(&self, value: &[u8], key: &str) -> Result<T, Refusal> {
        serde_json::from_slice(value).map_err(|e| {
            Refusal::new(RefusalKind::Damaged, format!("record {key} cannot be read: {e}; restore a backup"))
        })
    }
}

/// A read changes nothing, whatever went wrong.
fn not_applied(error: RecordsError) -> RecordsError {
    RecordsError { kind: RecordsErrorKind::NotApplied, ..error }
}

fn no_namespace(namespace: &NamespaceIdent) -> Refusal {
    Refusal::new(RefusalKind::NoSuchNamespace, format!("Namespace does not exist: {namespace}"))
}

fn no_table(table: &TableIdent) -> Refusal {
    Refusal::new(RefusalKind::NoSuchTable, format!("Table does not exist: {table}"))
}

fn table_exists(table: &TableIdent) -> Refusal {
    Refusal::new(RefusalKind::AlreadyExists, format!("Table already exists: {table}"))
}

/// The part of a sorted list that a page asks for. `prefix` is what all keys of the list begin with.
fn paged<T>(prefix: &str, all: Vec<(String, T)>, page: &Page) -> Result<Listed<T>, Refusal> {
    let after = page.token.as_deref().unwrap_or_default();
    if !after.is_empty() && !(after.starts_with(prefix) && records::parse_key(after).is_some()) {
        return Err(Refusal::bad("pageToken: did not come with a page of this list"));
    }
    let mut rest = all.into_iter().filter(|(key, _)| after.is_empty() || key.as_str() > after);
    let size = page.size.unwrap_or(usize::MAX).max(1);
    let (mut items, mut last) = (Vec::new(), String::new());
    for (key, item) in rest.by_ref().take(size) {
        last = key;
        items.push(item);
    }
    let next_page_token = rest.next().map(|_| last);
    Ok(Listed { items, next_page_token })
}
