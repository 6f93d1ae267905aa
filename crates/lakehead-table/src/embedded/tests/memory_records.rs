//! Records in memory, with failures that are asked for.

use std::collections::BTreeMap;
use std::sync::Arc;

use parking_lot::Mutex;

use crate::embedded::records::{
    CatalogRecords, Expected, RecordKind, RecordWrite, RecordsError, RecordsErrorKind, StoredRecord,
};

/// What happens to the next write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    /// It is not done, and says so.
    Full,
    /// It is not done, and nobody knows.
    LostBefore,
    /// It is done, and nobody knows.
    LostAfter,
}

#[derive(Debug, Default)]
struct State {
    records: BTreeMap<(RecordKind, String), StoredRecord>,
    fault: Option<Fault>,
}

/// Clones share the records.
#[derive(Debug, Clone, Default)]
pub(super) struct MemoryRecords(Arc<Mutex<State>>);

impl MemoryRecords {
    pub(super) fn fail_next(&self, fault: Fault) {
        self.0.lock().fault = Some(fault);
    }

    pub(super) fn count(&self, kind: RecordKind) -> usize {
        self.0.lock().records.keys().filter(|(k, _)| *k == kind).count()
    }

    /// As somebody else's change would: another version, the same value.
    pub(super) fn touch(&self, kind: RecordKind) {
        for (_, record) in self.0.lock().records.iter_mut().filter(|((k, _), _)| *k == kind) {
            record.version += 1;
        }
    }
}

fn failed(kind: RecordsErrorKind) -> RecordsError {
    RecordsError { kind, text: format!("{kind:?}") }
}

impl CatalogRecords for MemoryRecords {
    fn get(&self, kind: RecordKind, key: &str) -> Result<Option<StoredRecord>, RecordsError> {
        Ok(self.0.lock().records.get(&(kind, key.to_owned())).cloned())
    }

    fn list(&self, kind: RecordKind, prefix: &str) -> Result<Vec<StoredRecord>, RecordsError> {
        let state = self.0.lock();
        let found = state.records.iter().filter(|((k, key), _)| *k == kind && key.starts_with(prefix));
        Ok(found.map(|(_, record)| record.clone()).collect())
    }

    fn write(&self, writes: &[RecordWrite]) -> Result<(), RecordsError> {
        let mut state = self.0.lock();
        let fault = state.fault.take();
        match fault {
            Some(Fault::Full) => return Err(failed(RecordsErrorKind::NotApplied)),
            Some(Fault::LostBefore) => return Err(failed(RecordsErrorKind::Unknown)),
            _ => {}
        }
        for write in writes {
            let version = state.records.get(&(write.kind, write.key.clone())).map(|record| record.version);
            let holds = match write.expected {
                Expected::Absent => version.is_none(),
                Expected::Version(expected) => version == Some(expected),
                Expected::Any => true,
            };
            if !holds {
                return Err(failed(RecordsErrorKind::Conflict));
            }
        }
        for write in writes {
            let at = (write.kind, write.key.clone());
            let version = state.records.get(&at).map_or(0, |record| record.version) + 1;
            match &write.value {
                Some(value) => {
                    let record = StoredRecord { key: write.key.clone(), version, value: value.clone() };
                    state.records.insert(at, record);
                }
                None => {
                    state.records.remove(&at);
                }
            }
        }
        match fault {
            Some(Fault::LostAfter) => Err(failed(RecordsErrorKind::Unknown)),
            _ => Ok(()),
        }
    }
}
