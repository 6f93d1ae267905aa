//! The switch of a bucket's table catalog, and what is to be done to its tables.

use std::sync::Arc;

use lakehead_meta::Change;
use lakehead_model::resource::{Bucket, BucketCatalog, Compaction, Maintenance, SnapshotExpiration};

use super::{Control, Error, Kind};

/// A bucket with the catalog in it.
#[derive(Debug, Clone)]
#[expect(missing_docs, reason = "named after what they hold")]
pub struct CatalogView {
    pub bucket: Arc<Bucket>,
    pub catalog: BucketCatalog,
}

/// A change of [`Maintenance`]: what is absent stays, or gets its default.
#[derive(Debug, Clone, Default)]
#[expect(missing_docs, reason = "as in `Maintenance`")]
pub struct MaintenancePatch {
    pub compaction: Option<(Option<bool>, Option<u32>)>,
    pub snapshot_expiration: Option<(Option<bool>, Option<u64>, Option<u64>)>,
}

/// Cloudflare's default of the size that compaction aims at.
const TARGET_SIZE_MB: u32 = 128;
/// Cloudflare's default of the age from which snapshots go.
const MAX_AGE_SECONDS: u64 = 7 * 24 * 3600;
/// Cloudflare's default of the number of snapshots that stay.
const SNAPSHOTS_MIN: u64 = 100;

impl Control {
    /// The catalog of the bucket, active or not.
    ///
    /// # Errors
    /// `Missing` of the bucket or of its catalog.
    pub fn catalog_of(&self, bucket: &str) -> Result<CatalogView, Error> {
        view(self.bucket(bucket)?)
    }

    /// All catalogs, by bucket.
    pub fn bucket_catalogs(&self) -> Vec<CatalogView> {
        self.buckets("").into_iter().filter_map(|bucket| view(bucket).ok()).collect()
    }

    /// Switches the bucket's catalog on, and makes it if there is none.
    ///
    /// # Errors
    /// `Missing` of the bucket, `Conflict`, `Unavailable`.
    pub fn enable_catalog(&self, bucket: &str) -> Result<CatalogView, Error> {
        let id = format!("{:032x}", self.parts.random.u128());
        self.change_catalog(bucket, |catalog| {
            let made = BucketCatalog {
                id,
                is_active: true,
                has_credential: false,
                maintenance: Maintenance::default(),
            };
            Ok(Some(catalog.map_or(made, |catalog| BucketCatalog { is_active: true, ..catalog })))
        })
    }

    /// Switches it off. Its tables and settings stay.
    ///
    /// # Errors
    /// `Missing` of the bucket or of its catalog, `Conflict`, `Unavailable`.
    pub fn disable_catalog(&self, bucket: &str) -> Result<CatalogView, Error> {
        self.change_catalog(bucket, |catalog| {
            let catalog = catalog.ok_or(Error::Missing(Kind::Catalog))?;
            Ok(Some(BucketCatalog { is_active: false, ..catalog }))
        })
    }

    /// Removes it. With `force` it forgets the tables it has, whose files stay.
    ///
    /// # Errors
    /// As [`Control::disable_catalog`]; `InUse` while a sink writes a table of it, or without `force` while it has tables.
    pub fn delete_catalog(&self, bucket: &str, force: bool) -> Result<(), Error> {
        let is_table = |s: &Arc<lakehead_model::resource::Sink>| {
            matches!(s.config, lakehead_model::resource::SinkConfig::Table(_))
        };
        let mut removed = None;
        let changed = self.change_catalog(bucket, |catalog| {
            let catalog = catalog.ok_or(Error::Missing(Kind::Catalog))?;
            let sinks: Vec<_> = self.catalog().sinks_of_bucket(bucket).into_iter().filter(is_table).collect();
            if !sinks.is_empty() {
                let names: Vec<_> = sinks.iter().map(|s| s.name.as_str()).collect();
                let text = format!("the catalog of bucket {bucket:?} is used by {}", names.join(", "));
                return Err(Error::InUse(format!("{text}; delete these sinks first")));
            }
            let tables = self.count_tables(&catalog.id)?;
            if tables > 0 && !force {
                let text = format!("the catalog of bucket {bucket:?} has {tables} tables; drop them first");
                return Err(Error::InUse(format!("{text}, or say ?force=true to forget them")));
            }
            removed = Some(catalog.id);
            Ok(None)
        });
        match (changed, removed) {
            // Nothing is left to look at: as it should be. The id never comes back, so records that a crash leaves are nobody's.
            (Err(Error::Missing(Kind::Catalog)), Some(id)) => Ok(self.parts.store.forget_catalog(&id)?),
            (other, _) => other.map(|_| ()),
        }
    }

    /// Notes that a good token for its maintenance was given.
    ///
    /// # Errors
    /// As [`Control::disable_catalog`].
    pub fn note_catalog_credential(&self, bucket: &str) -> Result<CatalogView, Error> {
        self.change_catalog(bucket, |catalog| {
            let catalog = catalog.ok_or(Error::Missing(Kind::Catalog))?;
            Ok(Some(BucketCatalog { has_credential: true, ..catalog }))
        })
    }

    /// Changes what is done to its tables.
    ///
    /// # Errors
    /// As [`Control::disable_catalog`].
    pub fn patch_maintenance(&self, bucket: &str, patch: &MaintenancePatch) -> Result<CatalogView, Error> {
        self.change_catalog(bucket, |catalog| {
            let mut catalog = catalog.ok_or(Error::Missing(Kind::Catalog))?;
            catalog.maintenance = patched(catalog.maintenance, patch);
            Ok(Some(catalog))
        })
    }

    fn change_catalog(
        &self,
        bucket: &str,
        change: impl FnOnce(Option<BucketCatalog>) -> Result<Option<BucketCatalog>, Error>,
    ) -> Result<CatalogView, Error> {
        let (_guard, catalog) = self.begin();
        let old = self.bucket(bucket)?;
        let mut next = Bucket::clone(&old);
        next.catalog = change(next.catalog)?;
        if next != *old {
            self.commit(&catalog, &[Change::PutBucket(next.clone())])?;
            tracing::info!(bucket, catalog = ?next.catalog, "catalog changed");
        }
        view(Arc::new(next))
    }
}

/// Settings after a change.
pub(super) fn patched(mut maintenance: Maintenance, patch: &MaintenancePatch) -> Maintenance {
    if let Some((enabled, target_size_mb)) = patch.compaction {
        let old = maintenance.compaction.take();
        let old = old.unwrap_or(Compaction { enabled: false, target_size_mb: TARGET_SIZE_MB });
        maintenance.compaction = Some(Compaction {
            enabled: enabled.unwrap_or(old.enabled),
            target_size_mb: target_size_mb.unwrap_or(old.target_size_mb),
        });
    }
    if let Some((enabled, max_age_seconds, snapshots_min)) = patch.snapshot_expiration {
        let old = maintenance.snapshot_expiration.take().unwrap_or(SnapshotExpiration {
            enabled: false,
            max_age_seconds: MAX_AGE_SECONDS,
            snapshots_min: SNAPSHOTS_MIN,
        });
        maintenance.snapshot_expiration = Some(SnapshotExpiration {
            enabled: enabled.unwrap_or(old.enabled),
            max_age_seconds: max_age_seconds.unwrap_or(old.max_age_seconds),
            snapshots_min: snapshots_min.unwrap_or(old.snapshots_min),
        });
    }
    maintenance
}

fn view(bucket: Arc<Bucket>) -> Result<CatalogView, Error> {
    let catalog = bucket.catalog.clone().ok_or(Error::Missing(Kind::Catalog))?;
    Ok(CatalogView { bucket, catalog })
}
