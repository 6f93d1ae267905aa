//! What the catalogs of tables keep: namespaces, tables, answers to requests with a key, deletions under way, and settings of
//! tables. All keys begin with the id of their catalog and a colon; what values hold is the catalogs' own but for the settings.
//!
//! Nothing of it is in memory, and none is part of the revision.

use lakehead_model::resource::Maintenance;

use crate::records::{Expect, Record, Space, Write};
use crate::resources::{json, parse};
use crate::{Error, Store};

/// The families of records that belong to catalogs.
const SPACES: [Space; 5] =
    [Space::Namespace, Space::Table, Space::TableAnswer, Space::TablePurge, Space::TableMaintenance];

impl Store {
    /// A record of a catalog.
    ///
    /// # Errors
    /// `Corrupt`, `Storage`.
    pub fn catalog_record(&self, space: Space, key: &str) -> Result<Option<Record>, Error> {
        debug_assert!(SPACES.contains(&space), "{space:?} is not the catalogs'");
        self.records.get(space, key)
    }

    /// The records of catalogs whose keys begin with `prefix`, by key, as of one moment.
    ///
    /// # Errors
    /// `Corrupt`, `Storage`.
    pub fn catalog_records(&self, space: Space, prefix: &str) -> Result<Vec<Record>, Error> {
        debug_assert!(SPACES.contains(&space), "{space:?} is not the catalogs'");
        Ok(self.records.list(&[space], prefix)?.1.into_iter().map(|(_, record)| record).collect())
    }

    /// Writes records of catalogs, all or none. Durable when it returns.
    ///
    /// # Errors
    /// `Conflict` if a precondition does not hold, `Full`, `Storage`.
    pub fn write_catalog_records(&self, writes: &[Write]) -> Result<(), Error> {
        debug_assert!(writes.iter().all(|write| SPACES.contains(&write.space)), "{writes:?}");
        self.records.write(None, writes).map(|_| ())
    }

    /// Forgets all that a catalog has kept. Files of its tables stay.
    ///
    /// # Errors
    /// `Storage`, `Full`.
    pub fn forget_catalog(&self, catalog_id: &str) -> Result<(), Error> {
        let found = self.records.list(&SPACES, &format!("{catalog_id}:"))?.1;
        let remove = |(space, record): (Space, Record)| Write {
            space,
            key: record.key,
            expect: Expect::Any,
            value: None,
        };
        let writes: Vec<_> = found.into_iter().map(remove).collect();
        if writes.is_empty() { Ok(()) } else { self.write_catalog_records(&writes) }
    }

    /// What is to be done to one table without being asked, if something of its own was set. `table`: its uuid.
    ///
    /// # Errors
    /// `Corrupt`, `Storage`.
    pub fn table_maintenance(&self, catalog_id: &str, table: &str) -> Result<Option<Maintenance>, Error> {
        let record = self.records.get(Space::TableMaintenance, &format!("{catalog_id}:{table}"))?;
        record.map(|record| parse(Space::TableMaintenance, &record)).transpose()
    }

    /// Sets it.
    ///
    /// # Errors
    /// `Storage`, `Full`.
    pub fn set_table_maintenance(
        &self,
        catalog_id: &str,
        table: &str,
        maintenance: &Maintenance,
    ) -> Result<(), Error> {
        let (space, key) = (Space::TableMaintenance, format!("{catalog_id}:{table}"));
        self.write_catalog_records(&[Write {
            space,
            key,
            expect: Expect::Any,
            value: Some(json(maintenance)?),
        }])
    }
}

#[cfg(test)]
mod tests;
