//! What the control plane knows of the tables in the catalogs of buckets: their names, and what is to be done to each.
//!
//! The catalogs themselves make, change and drop tables; here their records are looked at.

use lakehead_meta::records::Space;
use lakehead_model::resource::Maintenance;
use lakehead_table::embedded::TableRecord;
use lakehead_table::embedded::records::{namespace_key, parse_key, table_key};

use super::catalogs::patched;
use super::{Control, Error, Kind, MaintenancePatch};

/// Levels of a namespace, outermost first.
pub type Levels = Vec<String>;

impl Control {
    /// All namespaces of the bucket's catalog, those above before those below.
    ///
    /// # Errors
    /// `Missing` of the bucket or of its catalog, `Unavailable`.
    pub fn namespaces_of(&self, bucket: &str) -> Result<Vec<Levels>, Error> {
        let id = self.catalog_of(bucket)?.catalog.id;
        let found = self.parts.store.catalog_records(Space::Namespace, &format!("{id}:"))?;
        let levels = |key: &str| parse_key(key.split_once(':')?.1).map(|(levels, _)| levels);
        Ok(found.iter().filter_map(|record| levels(&record.key)).collect())
    }

    /// The names of the tables of a namespace.
    ///
    /// # Errors
    /// As [`Control::namespaces_of`]; `Missing` of the namespace.
    pub fn tables_of(&self, bucket: &str, namespace: &[String]) -> Result<Vec<String>, Error> {
        let id = self.catalog_of(bucket)?.catalog.id;
        let key = format!("{id}:{}", namespace_key(namespace));
        self.parts.store.catalog_record(Space::Namespace, &key)?.ok_or(Error::Missing(Kind::Namespace))?;
        let found = self.parts.store.catalog_records(Space::Table, &key)?;
        let name = |key: &str| match parse_key(key.split_once(':')?.1)? {
            (levels, name) if levels.len() == namespace.len() => name,
            _ => None,
        };
        Ok(found.iter().filter_map(|record| name(&record.key)).collect())
    }

    /// Whether the bucket's catalog has a table of this name. A bucket without a catalog has none.
    ///
    /// # Errors
    /// `Unavailable`.
    pub fn table_exists(&self, bucket: &str, namespace: &[String], table: &str) -> Result<bool, Error> {
        match self.table_id(bucket, namespace, table) {
            Ok(_) => Ok(true),
            Err(Error::Missing(_)) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// The number of tables in a catalog.
    pub(super) fn count_tables(&self, catalog_id: &str) -> Result<usize, Error> {
        Ok(self.parts.store.catalog_records(Space::Table, &format!("{catalog_id}:"))?.len())
    }

    /// Catalog and uuid of a table.
    fn table_id(&self, bucket: &str, namespace: &[String], table: &str) -> Result<(String, String), Error> {
        let id = self.catalog_of(bucket)?.catalog.id;
        let key = format!("{id}:{}", table_key(namespace, table));
        let record =
            self.parts.store.catalog_record(Space::Table, &key)?.ok_or(Error::Missing(Kind::Table))?;
        let table: TableRecord = serde_json::from_slice(&record.value)
            .map_err(|e| Error::Unavailable(format!("record table/{key} cannot be read: {e}")))?;
        Ok((id, table.uuid.to_string()))
    }

    /// What is to be done to a table: what was set for it, and the catalog's settings where nothing was.
    ///
    /// # Errors
    /// As [`Control::namespaces_of`]; `Missing` of the table.
    pub fn table_maintenance(
        &self,
        bucket: &str,
        namespace: &[String],
        table: &str,
    ) -> Result<Maintenance, Error> {
        let (id, uuid) = self.table_id(bucket, namespace, table)?;
        let own = self.parts.store.table_maintenance(&id, &uuid)?.unwrap_or_default();
        let of_catalog = self.catalog_of(bucket)?.catalog.maintenance;
        Ok(Maintenance {
            compaction: own.compaction.or(of_catalog.compaction),
            snapshot_expiration: own.snapshot_expiration.or(of_catalog.snapshot_expiration),
        })
    }

    /// Changes what is to be done to a table. What is given in part is completed by what holds for the table now.
    ///
    /// # Errors
    /// As [`Control::table_maintenance`].
    pub fn patch_table_maintenance(
        &self,
        bucket: &str,
        namespace: &[String],
        table: &str,
        patch: &MaintenancePatch,
    ) -> Result<Maintenance, Error> {
        let (_guard, _) = self.begin();
        let (id, uuid) = self.table_id(bucket, namespace, table)?;
        let now = self.table_maintenance(bucket, namespace, table)?;
        let next = patched(now.clone(), patch);
        let own = self.parts.store.table_maintenance(&id, &uuid)?.unwrap_or_default();
        let kept = Maintenance {
            compaction: if patch.compaction.is_some() { next.compaction.clone() } else { own.compaction },
            snapshot_expiration: match patch.snapshot_expiration {
                Some(_) => next.snapshot_expiration.clone(),
                None => own.snapshot_expiration,
            },
        };
        self.parts.store.set_table_maintenance(&id, &uuid, &kept)?;
        tracing::info!(bucket, ?namespace, table, maintenance = ?kept, "maintenance of a table changed");
        Ok(next)
    }
}
