//! Which catalog a bucket's tables are in: the one that the configuration names, or else the one that is built in.
//!
//! **Bounds:** one client for each bucket and token, [`OPEN_MAX`] at most; the one opened first goes first.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use lakehead_model::{Clock, Random, Secret};
use lakehead_table::{Catalog, LoadedTable, LocalFiles, RestCatalog, TableStorage, storage_of};
use parking_lot::Mutex;

use crate::config;
use crate::runtime::Catalogs;
use crate::storage::Storage;

/// Clients that are kept; one more than there can be sinks.
const OPEN_MAX: usize = lakehead_model::limits::RESOURCES_MAX + 1;

/// The catalogs of all buckets.
pub struct CatalogChoice {
    configured: BTreeMap<String, config::Catalog>,
    embedded: Arc<dyn Catalogs>,
    storage: Arc<Storage>,
    clock: Arc<dyn Clock>,
    random: Arc<dyn Random>,
    open: Mutex<Vec<Open>>,
}

/// A client in use.
struct Open {
    bucket: String,
    token: Option<Secret>,
    catalog: Arc<dyn Catalog>,
}

impl fmt::Debug for CatalogChoice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CatalogChoice").field("configured", &self.configured).finish_non_exhaustive()
    }
}

impl CatalogChoice {
    /// `buckets`: as configured. `embedded`: asked for every bucket that has no catalog configured.
    pub fn new(
        buckets: &BTreeMap<String, config::Bucket>,
        embedded: Arc<dyn Catalogs>,
        storage: Arc<Storage>,
        clock: Arc<dyn Clock>,
        random: Arc<dyn Random>,
    ) -> Self {
        let configured = buckets
            .iter()
            .filter_map(|(name, bucket)| Some((name.clone(), bucket.catalog.clone()?)))
            .collect();
        CatalogChoice { configured, embedded, storage, clock, random, open: Mutex::default() }
    }
}

impl Catalogs for CatalogChoice {
    /// Nothing is asked yet. Credentials of the configuration win over the token of the sink.
    fn of(&self, bucket: &str, token: Option<Secret>) -> Result<Arc<dyn Catalog>, String> {
        let Some(configured) = self.configured.get(bucket) else { return self.embedded.of(bucket, token) };
        let mut open = self.open.lock();
        if let Some(found) = open.iter().find(|o| o.bucket == bucket && o.token == token) {
            return Ok(Arc::clone(&found.catalog));
        }
        let settings = configured.settings(token.as_ref());
        let catalog = RestCatalog::new(&settings, Arc::clone(&self.clock), Arc::clone(&self.random))
            .map_err(|e| format!("the catalog of bucket `{bucket}` cannot be used: {e}"))?;
        let catalog: Arc<dyn Catalog> = Arc::new(catalog);
        if open.len() >= OPEN_MAX {
            open.remove(0);
        }
        open.push(Open { bucket: bucket.to_owned(), token, catalog: Arc::clone(&catalog) });
        Ok(catalog)
    }

    fn storage(&self, bucket: &str, table: &LoadedTable) -> Result<TableStorage, String> {
        if !self.configured.contains_key(bucket) {
            return self.embedded.storage(bucket, table);
        }
        let place = self.storage.locate_for_table(bucket)?;
        storage_of(table, &place, LocalFiles::Refused, self.clock.now()).map_err(|e| e.to_string())
    }
}

#[cfg(test)]
mod tests;
