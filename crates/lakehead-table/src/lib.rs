//! Iceberg tables: what is written of them, how a commit into one carries its position, the catalog that is built in, the
//! client of any other, and the upkeep that nobody else does on one machine.
//!
//! **Invariant:** nothing here knows HTTP handlers, SQL, the log or the metadata store.

mod catalog;
mod columns;
mod commit;
#[cfg(any(test, feature = "conformance"))]
pub mod conformance;
mod data_file;
pub mod embedded;
mod layout;
mod live;
mod manifests;
mod partitions;
#[cfg(test)]
mod played;
mod rest;
mod snapshot;
mod storage;
mod target;
mod upkeep;
mod watermark;

pub use catalog::{Catalog, CatalogError, CatalogErrorKind, FileAccess, LoadedTable, NewTable, TableChange};
pub use columns::{INGEST_DAY, INGEST_TIME, check, day_of_ingest, fit, schema_of, table_columns};
pub use commit::{Commit, CommitError, Committer, NewFile};
/// Types of the table format that stand in public signatures.
pub use iceberg::{NamespaceIdent, TableIdent, TableRequirement, TableUpdate, spec};
pub use layout::Layout;
pub use live::{LiveFiles, live_files};
pub use partitions::Partitions;
pub use rest::{ClientCredentials, REQUEST_SECONDS_DEFAULT, RestAuth, RestCatalog, RestSettings};
pub use storage::{LocalFiles, TableStorage, storage_of};
pub use target::{Extensions, MADE_BY, Target, Wanted, gone};
pub use upkeep::{
    Claims, Compacted, Compacting, Freed, Merging, Orphans, Retention, Staging, UPKEEP_STEPS, Unresolved,
    Upkeep, UpkeepReport, UpkeepSettings, UpkeepTable, all_tables,
};
pub use uuid::Uuid;
pub use watermark::Writer;
