//! What became of a commit: known to be applied, known not to be, or not known.

use iceberg::spec::TableMetadata;

use crate::{Catalog, CatalogError, CatalogErrorKind, TableChange};

/// What became of a change.
#[derive(Debug)]
pub(crate) enum Outcome {
    /// It is in the table.
    Applied,
    /// It is not, and never will be: what was written for it is nobody's.
    Refused(CatalogError),
    /// Nobody knows; it may be applied later. What was written for it must stay.
    InDoubt(CatalogError),
}

/// Commits. After a lost answer the table is loaded and `is_applied` asked about it; nothing is sent twice.
pub(crate) async fn commit(
    catalog: &dyn Catalog,
    change: TableChange,
    is_applied: impl Fn(&TableMetadata) -> bool,
) -> Outcome {
    let table = change.table.clone();
    let error = match catalog.commit(change).await {
        Ok(_) => return Outcome::Applied,
        Err(error) => error,
    };
    match error.kind {
        CatalogErrorKind::Unknown => match catalog.load_table(&table).await {
            Ok(Some(loaded)) if is_applied(&loaded.metadata) => Outcome::Applied,
            Ok(_) | Err(_) => Outcome::InDoubt(error),
        },
        CatalogErrorKind::Sync => Outcome::InDoubt(error),
        CatalogErrorKind::NotFound
        | CatalogErrorKind::AlreadyExists
        | CatalogErrorKind::Conflict
        | CatalogErrorKind::Refused
        | CatalogErrorKind::Unauthorized
        | CatalogErrorKind::Unavailable => Outcome::Refused(error),
    }
}
