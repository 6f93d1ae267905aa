//! The catalogs of buckets, and the Iceberg REST protocol in front of them, below `/catalog`.
//!
//! ```text
//!   request ──route──► call ──auth──► who, and may they? ──► catalog of the bucket ──► answer
//!                                                              └── any refusal ──► {"error": {"message", "type", "code"}}
//! ```
//! `GET /catalog/v1/config?warehouse={account}_{bucket}` says the prefix, which is the bucket's name. The same calls are answered
//! below `/catalog/{account}/{bucket}/v1`, the shape of Cloudflare's catalogs.
//!
//! **Invariants:** a call that changes something ends whether its client waits for it or not; nothing is answered to strangers;
//! the keys of a bucket leave only as `hand_out_keys` of its configuration says.
//! **Bounds:** a body has at most [`body::BYTES_MAX`] bytes and is read after its sender is known.

mod answer;
mod auth;
mod body;
mod calls;
mod commits;
mod front;
mod namespaces;
mod oauth;
mod records;
mod route;
mod storage_access;
mod tables;

#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use lakehead_disk::Disk;
use lakehead_meta::Store;
use lakehead_model::{Clock, Random};
use lakehead_sink::{BucketFiles, Seams};
use lakehead_table::embedded::{EmbeddedCatalog, EmbeddedParts, MetadataCache};
use parking_lot::Mutex;

use crate::storage::Storage;

pub use front::CatalogFront;

/// What [`EmbeddedCatalogs`] work with.
pub struct CatalogParts {
    /// Knows which buckets have a catalog, and keeps their records.
    pub store: Arc<Store>,
    /// Knows where buckets are.
    pub storage: Arc<Storage>,
    /// For the times in metadata.
    pub clock: Arc<dyn Clock>,
    /// For uuids and names of files.
    pub random: Arc<dyn Random>,
    /// For local buckets.
    pub disk: Arc<dyn Disk>,
}

/// The embedded catalogs of all buckets.
pub struct EmbeddedCatalogs {
    parts: CatalogParts,
    cache: MetadataCache,
    /// By the id of the catalog, which a bucket gets anew when its catalog was deleted.
    open: Mutex<HashMap<String, Arc<EmbeddedCatalog>>>,
}

/// Why a bucket has no catalog that could be asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NoCatalog {
    /// There is no such bucket, it has no catalog, or it is switched off; the text says which.
    Off(String),
    /// The configuration of the bucket is unusable.
    Unusable(String),
}

impl fmt::Display for NoCatalog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            NoCatalog::Off(text) | NoCatalog::Unusable(text) => f.write_str(text),
        }
    }
}

impl fmt::Debug for EmbeddedCatalogs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EmbeddedCatalogs").finish_non_exhaustive()
    }
}

impl EmbeddedCatalogs {
    /// The catalogs. None is opened yet.
    pub fn new(parts: CatalogParts) -> Self {
        EmbeddedCatalogs { parts, cache: MetadataCache::default(), open: Mutex::default() }
    }

    /// The catalog of the bucket of this name, if it is switched on.
    ///
    /// # Errors
    /// [`NoCatalog`].
    pub fn of_bucket(&self, bucket: &str) -> Result<Arc<EmbeddedCatalog>, NoCatalog> {
        let catalog = self.parts.store.catalog();
        let found = catalog.buckets.get(bucket).and_then(|bucket| bucket.catalog.as_ref());
        let Some(found) = found.filter(|found| found.is_active) else {
            return Err(NoCatalog::Off(format!(
                "bucket {bucket:?} has no catalog that is switched on; `wrangler r2 bucket catalog enable {bucket}` \
                 or POST …/r2-catalog/{bucket}/enable does that"
            )));
        };
        let mut open = self.open.lock();
        if let Some(catalog) = open.get(&found.id) {
            return Ok(Arc::clone(catalog));
        }
        let place = self.parts.storage.locate(bucket, None).map_err(NoCatalog::Unusable)?;
        let CatalogParts { store, clock, random, disk, .. } = &self.parts;
        let seams = Seams::new(Arc::clone(clock), Arc::clone(random), Arc::clone(disk));
        let files = BucketFiles::open(&place, &seams).map_err(|e| NoCatalog::Unusable(e.to_string()))?;
        let opened = Arc::new(EmbeddedCatalog::new(EmbeddedParts {
            catalog_id: found.id.clone(),
            files,
            records: Arc::new(records::StoreRecords(Arc::clone(store))),
            cache: self.cache.clone(),
            clock: Arc::clone(clock),
            random: Arc::clone(random),
        }));
        open.insert(found.id.clone(), Arc::clone(&opened));
        Ok(opened)
    }

    /// The catalogs as others ask for them.
    pub fn by_name(self: &Arc<Self>) -> crate::catalogs::Embedded {
        let catalogs = Arc::clone(self);
        Arc::new(move |bucket| Ok(catalogs.of_bucket(bucket).map_err(|e| e.to_string())?))
    }

    /// Goes on with deletions that were under way when the server stopped, in all catalogs that are switched on.
    pub async fn resume(&self) {
        let buckets: Vec<String> = self.parts.store.catalog().buckets.keys().cloned().collect();
        for bucket in buckets {
            if let Ok(catalog) = self.of_bucket(&bucket)
                && let Err(error) = catalog.resume_purges().await
            {
                tracing::warn!(bucket, %error, "files of dropped tables are not being deleted");
            }
        }
    }

    fn storage(&self) -> &Storage {
        &self.parts.storage
    }
}
