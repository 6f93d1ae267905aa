//! The seam to a catalog of Iceberg tables: what Lakehead asks of the embedded one and of any other that speaks REST.
//!
//! ```text
//!   load ──► TableMetadata ──► requirements + updates ──► commit ──► the new metadata, or why not
//!                                                            │
//!              Conflict: somebody else was first, nothing was applied ──► load again
//!              Unknown:  the answer was lost ──► load and look whether it was applied; never send again, never delete
//! ```

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use iceberg::spec::{Schema, SortOrder, TableMetadata, UnboundPartitionSpec};
use iceberg::{NamespaceIdent, TableIdent, TableRequirement, TableUpdate};

/// A table to be made.
#[derive(Debug, Clone)]
pub struct NewTable {
    /// Field ids may be given anew by the catalog: read them from the answer.
    pub schema: Schema,
    /// `None`: not partitioned.
    pub partition_spec: Option<UnboundPartitionSpec>,
    /// `None`: not sorted.
    pub sort_order: Option<SortOrder>,
    /// Properties of the table.
    pub properties: HashMap<String, String>,
}

/// A table as the catalog has it.
#[derive(Debug, Clone)]
pub struct LoadedTable {
    /// Its metadata as of the answer.
    pub metadata: Arc<TableMetadata>,
    /// Where that is kept; some catalogs do not say.
    pub metadata_location: Option<String>,
    /// What the catalog says of reaching its files: endpoint, region, credentials. Holds secrets.
    pub config: FileAccess,
}

/// Properties such as `s3.access-key-id`, as the REST protocol names them. `Debug` shows the names alone.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct FileAccess(pub HashMap<String, String>);

impl fmt::Debug for FileAccess {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

/// A change of one table: applied whole if all requirements hold, or not at all.
#[derive(Debug, Clone)]
pub struct TableChange {
    /// The table.
    pub table: TableIdent,
    /// What must hold of its newest metadata.
    pub requirements: Vec<TableRequirement>,
    /// What is to be done, in order.
    pub updates: Vec<TableUpdate>,
}

/// What a caller does about a [`CatalogError`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum CatalogErrorKind {
    /// There is no such table, namespace or warehouse.
    NotFound,
    /// The name is taken.
    AlreadyExists,
    /// A requirement does not hold any more. Nothing was applied: load again.
    Conflict,
    /// The catalog will not do that. Nothing was applied; asking again cannot help before a person has changed something.
    Refused,
    /// Credentials are missing, wrong or have no such right. Nothing was applied.
    Unauthorized,
    /// The catalog cannot do it now. Nothing was applied: try later.
    Unavailable,
    /// It may have been applied or not, or may be still: load and look.
    Unknown,
    /// A file system sync failed: the process must stop.
    Sync,
}

/// A failure, with a text for people. Never holds a secret.
#[derive(Clone, PartialEq, Eq)]
pub struct CatalogError {
    /// What to do about it.
    pub kind: CatalogErrorKind,
    /// What happened.
    pub text: String,
}

impl CatalogError {
    /// An error of a kind.
    pub fn new(kind: CatalogErrorKind, text: impl Into<String>) -> Self {
        CatalogError { kind, text: text.into() }
    }
}

impl fmt::Display for CatalogError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Debug for CatalogError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}: {}", self.kind, self.text)
    }
}

impl std::error::Error for CatalogError {}

/// A catalog of one bucket's tables. Implementations hold deadlines for every call, so that each ends.
#[async_trait]
pub trait Catalog: Send + Sync + fmt::Debug {
    /// Makes the namespace, and those above it, if they are not there.
    async fn ensure_namespace(&self, namespace: &NamespaceIdent) -> Result<(), CatalogError>;

    /// The namespaces directly below `parent`, or at the top.
    async fn namespaces(&self, parent: Option<&NamespaceIdent>) -> Result<Vec<NamespaceIdent>, CatalogError>;

    /// The tables of a namespace.
    async fn tables(&self, namespace: &NamespaceIdent) -> Result<Vec<TableIdent>, CatalogError>;

    /// Makes a table. `AlreadyExists`, `NotFound` of the namespace; after `Unknown`, load.
    async fn create_table(&self, table: &TableIdent, new: NewTable) -> Result<LoadedTable, CatalogError>;

    /// The table as of now; `None` if there is none of that name.
    async fn load_table(&self, table: &TableIdent) -> Result<Option<LoadedTable>, CatalogError>;

    /// Applies a change if its requirements hold, in one step. The table as it is then; its `config` may be empty.
    async fn commit(&self, change: TableChange) -> Result<LoadedTable, CatalogError>;
}
