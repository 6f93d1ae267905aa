//! Iceberg tables: what is written of them, how a commit into one carries its position, the catalog that is built in, the
//! client of any other, and the upkeep that nobody else does on one machine.
//!
//! **Invariant:** nothing here knows HTTP handlers, SQL, the log or the metadata store.

mod catalog;
pub mod embedded;

pub use catalog::{Catalog, CatalogError, CatalogErrorKind, FileAccess, LoadedTable, NewTable, TableChange};
/// Types of the table format that stand in public signatures.
pub use iceberg::{NamespaceIdent, TableIdent, TableRequirement, TableUpdate, spec};
