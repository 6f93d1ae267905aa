//! The records of catalogs in the metadata store.

use std::fmt;
use std::sync::Arc;

use lakehead_meta::records::{Expect, Record, Space, Write};
use lakehead_meta::{Error, ErrorKind, Store};
use lakehead_table::embedded::records::{
    CatalogRecords, Expected, RecordKind, RecordWrite, RecordsError, RecordsErrorKind, StoredRecord,
};

pub(super) struct StoreRecords(pub(super) Arc<Store>);

impl fmt::Debug for StoreRecords {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("StoreRecords")
    }
}

impl CatalogRecords for StoreRecords {
    fn get(&self, kind: RecordKind, key: &str) -> Result<Option<StoredRecord>, RecordsError> {
        Ok(self.0.catalog_record(space(kind), key).map_err(failed)?.map(stored))
    }

    fn list(&self, kind: RecordKind, prefix: &str) -> Result<Vec<StoredRecord>, RecordsError> {
        Ok(self.0.catalog_records(space(kind), prefix).map_err(failed)?.into_iter().map(stored).collect())
    }

    fn write(&self, writes: &[RecordWrite]) -> Result<(), RecordsError> {
        let write = |write: &RecordWrite| Write {
            space: space(write.kind),
            key: write.key.clone(),
            expect: match write.expected {
                Expected::Absent => Expect::Absent,
                Expected::Version(version) => Expect::Version(version),
                Expected::Any => Expect::Any,
            },
            value: write.value.clone(),
        };
        let writes: Vec<_> = writes.iter().map(write).collect();
        self.0.write_catalog_records(&writes).map_err(failed)
    }
}

fn space(kind: RecordKind) -> Space {
    match kind {
        RecordKind::Namespace => Space::Namespace,
        RecordKind::Table => Space::Table,
        RecordKind::Answer => Space::TableAnswer,
        RecordKind::Purge => Space::TablePurge,
        RecordKind::Maintenance => Space::TableMaintenance,
    }
}

fn stored(record: Record) -> StoredRecord {
    StoredRecord { key: record.key, version: record.version, value: record.value }
}

fn failed(error: Error) -> RecordsError {
    let kind = match error.kind() {
        ErrorKind::Conflict => RecordsErrorKind::Conflict,
        ErrorKind::Full | ErrorKind::Limit | ErrorKind::Corrupt | ErrorKind::Busy => {
            RecordsErrorKind::NotApplied
        }
        // A sync failed, or an earlier one: what is on disk is known after the store was opened again.
        ErrorKind::Storage => RecordsErrorKind::Unknown,
    };
    RecordsError { kind, text: error.to_string() }
}
