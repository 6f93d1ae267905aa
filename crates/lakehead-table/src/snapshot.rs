//! A new snapshot of a table: its manifests, its summary, and the change of the table's metadata that makes it current.

use std::collections::HashMap;

use iceberg::spec::{
    DataFile, MAIN_BRANCH, ManifestContentType, ManifestFile, Operation, Snapshot, SnapshotReference,
    SnapshotRetention, SnapshotSummaryCollector, Summary, TableMetadata,
};
use iceberg::{TableRequirement, TableUpdate};
use lakehead_model::{Random, Timestamp};
use uuid::Uuid;

use crate::manifests::{Attempt, TableFiles};
use crate::{CatalogError, CatalogErrorKind};

/// The files that a change takes out of a table and puts into it.
#[derive(Debug, Default)]
pub(crate) struct FileChange {
    pub(crate) added: Vec<DataFile>,
    pub(crate) removed: Vec<DataFile>,
}

/// A change that is ready to be committed.
#[derive(Debug)]
pub(crate) struct Draft {
    /// Makes the snapshot current.
    pub(crate) updates: Vec<TableUpdate>,
    /// Same table, same parent.
    pub(crate) requirements: Vec<TableRequirement>,
    /// Keys of the manifests and the list, which nobody needs if the change is refused for certain.
    pub(crate) written: Vec<String>,
}

/// What a draft is made with.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Tools<'a> {
    pub(crate) files: &'a TableFiles,
    pub(crate) random: &'a dyn Random,
    pub(crate) now: Timestamp,
}

/// Entries that are new have the sequence number that their snapshot gets.
const SEQUENCE_OF_THE_SNAPSHOT: i64 = -1;

/// Totals of a snapshot's summary, with the keys that count what is added and what is removed.
const TOTALS: [(&str, &str, &str); 6] = [
    ("total-records", "added-records", "deleted-records"),
    ("total-data-files", "added-data-files", "deleted-data-files"),
    ("total-files-size", "added-files-size", "removed-files-size"),
    ("total-delete-files", "added-delete-files", "removed-delete-files"),
    ("total-position-deletes", "added-position-deletes", "removed-position-deletes"),
    ("total-equality-deletes", "added-equality-deletes", "removed-equality-deletes"),
];

/// Adds files to the table as it is. Without files the snapshot only carries `summary`.
///
/// # Errors
/// As of the bucket; `Refused` if the table's metadata cannot be read.
pub(crate) async fn append(
    tools: Tools<'_>,
    base: &TableMetadata,
    added: Vec<DataFile>,
    summary: HashMap<String, String>,
) -> Result<Draft, CatalogError> {
    let id = new_id(base, tools.random);
    let mut attempt = Attempt::new(tools.files, uuid(tools.random));
    let mut manifests = match base.current_snapshot() {
        Some(snapshot) => tools.files.list_of(base, snapshot).await?,
        None => Vec::new(),
    };
    // A manifest none of whose files is alive was needed by the snapshot that removed them, and by no later one.
    manifests.retain(|manifest| manifest.has_added_files() || manifest.has_existing_files());
    if !added.is_empty() {
        let (schema, spec) = (base.current_schema().clone(), base.default_partition_spec());
        let made = attempt.manifest(base, id, schema, spec, |writer| {
            added.iter().try_for_each(|file| writer.add_file(file.clone(), SEQUENCE_OF_THE_SNAPSHOT))
        });
        manifests.push(made.await?);
    }
    let change = FileChange { added, removed: Vec::new() };
    draft(tools, base, id, attempt, manifests, (Operation::Append, &change, summary)).await
}

/// The change that makes a snapshot of `manifests` current.
pub(crate) async fn draft(
    tools: Tools<'_>,
    base: &TableMetadata,
    id: i64,
    mut attempt: Attempt<'_>,
    manifests: Vec<ManifestFile>,
    (operation, change, extra): (Operation, &FileChange, HashMap<String, String>),
) -> Result<Draft, CatalogError> {
    let added_rows = manifests
        .iter()
        .filter(|m| m.content == ManifestContentType::Data && m.first_row_id.is_none())
        .map(|m| m.added_rows_count.unwrap_or(0) + m.existing_rows_count.unwrap_or(0))
        .sum::<u64>();
    let summary = Summary { operation, additional_properties: summary_of(base, change, extra) };
    let (list, next_row_id) = attempt.list(base, id, manifests).await?;
    // Time goes on in a table, whatever the clock does: metadata older than the last is refused.
    let timestamp_ms = tools.now.as_millis().max(base.last_updated_ms());
    let builder = Snapshot::builder()
        .with_snapshot_id(id)
        .with_parent_snapshot_id(base.current_snapshot_id())
        .with_sequence_number(base.next_sequence_number())
        .with_timestamp_ms(timestamp_ms)
        .with_manifest_list(list)
        .with_schema_id(base.current_schema_id())
        .with_summary(summary);
    let snapshot = match next_row_id {
        Some(next) => builder
            .with_row_range(base.next_row_id(), next.saturating_sub(base.next_row_id()).max(added_rows))
            .build(),
        None => builder.build(),
    };
    // A branch keeps its own retention.
    let retention = match base.snapshot_for_ref(MAIN_BRANCH) {
        Some(_) => retention_of_main(base),
        None => SnapshotRetention::branch(None, None, None),
    };
    Ok(Draft {
        updates: vec![
            TableUpdate::AddSnapshot { snapshot },
            TableUpdate::SetSnapshotRef {
                ref_name: MAIN_BRANCH.to_owned(),
                reference: SnapshotReference::new(id, retention),
            },
        ],
        requirements: vec![
            TableRequirement::UuidMatch { uuid: base.uuid() },
            TableRequirement::RefSnapshotIdMatch {
                r#ref: MAIN_BRANCH.to_owned(),
                snapshot_id: base.current_snapshot_id(),
            },
        ],
        written: attempt.into_written(),
    })
}

/// An id that no snapshot of the table has.
pub(crate) fn new_id(base: &TableMetadata, random: &dyn Random) -> i64 {
    loop {
        let id = (random.u64() >> 1).cast_signed();
        if id != 0 && base.snapshot_by_id(id).is_none() {
            return id;
        }
    }
}

pub(crate) fn uuid(random: &dyn Random) -> Uuid {
    uuid::Builder::from_random_bytes(random.u128().to_be_bytes()).into_uuid()
}

/// The retention of the main branch. The library shows a table's references only in its serialized form.
fn retention_of_main(base: &TableMetadata) -> SnapshotRetention {
    let main = serde_json::to_value(base)
        .ok()
        .and_then(|mut table| Some(table.get_mut("refs")?.get_mut(MAIN_BRANCH)?.take()));
    let reference = main.and_then(|main| serde_json::from_value::<SnapshotReference>(main).ok());
    reference.map_or(SnapshotRetention::branch(None, None, None), |reference| reference.retention)
}

/// What a change counts, the totals after it, and `extra`, which cannot take the place of a count.
fn summary_of(
    base: &TableMetadata,
    change: &FileChange,
    extra: HashMap<String, String>,
) -> HashMap<String, String> {
    let mut collector = SnapshotSummaryCollector::default();
    for file in &change.added {
        collector.add_file(file, base.current_schema().clone(), base.default_partition_spec().clone());
    }
    for file in &change.removed {
        collector.remove_file(file, base.current_schema().clone(), base.default_partition_spec().clone());
    }
    let mut summary = extra;
    summary.extend(collector.build());
    let before = base.current_snapshot().map(|snapshot| &snapshot.summary().additional_properties);
    let number = |map: &HashMap<String, String>, key: &str| map.get(key).and_then(|n| n.parse::<u64>().ok());
    for (total, added, removed) in TOTALS {
        // A predecessor without the total leaves it unknown.
        let Some(was) = before.map_or(Some(0), |before| number(before, total)) else { continue };
        let now = was + number(&summary, added).unwrap_or(0);
        let now = now.saturating_sub(number(&summary, removed).unwrap_or(0));
        summary.insert(total.to_owned(), now.to_string());
    }
    summary
}

impl From<lakehead_sink::Error> for CatalogError {
    fn from(e: lakehead_sink::Error) -> Self {
        use lakehead_sink::ErrorKind as Kind;
        let kind = match e.kind() {
            Kind::Sync => CatalogErrorKind::Sync,
            Kind::Refused | Kind::Settings => CatalogErrorKind::Unauthorized,
            Kind::Conflict | Kind::Missing | Kind::Encode => CatalogErrorKind::Refused,
            Kind::Staging | Kind::OpenFiles | Kind::Unavailable => CatalogErrorKind::Unavailable,
        };
        CatalogError::new(kind, e.to_string())
    }
}
