//! Snapshots that nobody needs any more: out of the metadata, and later their files out of the bucket.
//!
//! ```text
//!   expire   RemoveSnapshots, if the table and all its branches and tags are as they were          ──► Removed
//!     … readers that have begun may finish …
//!   sweep    load the table; what only removed snapshots reached, by the metadata as it is now, goes
//! ```
//! **Invariant:** a file goes only if the commit that took its last snapshot is known to be applied, and the table, loaded after
//! that, reaches it from nowhere. After an unknown outcome nothing goes; what it leaves is collected as [orphans](super::orphans).
//!
//! An append that is under way cannot lose anything by this: it names manifests of the newest snapshot alone, which stays, and files
//! that no snapshot has had.

use std::collections::{HashMap, HashSet};

use iceberg::spec::{ManifestFile, SnapshotRef, TableMetadata};
use iceberg::{TableRequirement, TableUpdate};

use super::outcome::{self, Outcome};
use super::retention::{Expired, Retention, expired, references};
use super::unclaimed::{Candidate, Depth, Unclaimed};
use super::{Freed, Work};
use crate::manifests::TableFiles;
use crate::{CatalogError, CatalogErrorKind, TableChange};

/// Snapshots that are known to be gone from the table, with what else went with them.
#[derive(Debug, Clone)]
pub(crate) struct Removed {
    pub(crate) table_uuid: uuid::Uuid,
    pub(crate) snapshots: Vec<SnapshotRef>,
    /// URIs of statistics files.
    statistics: Vec<String>,
}

/// What became of an expiry.
#[derive(Debug)]
pub(crate) enum Expiry {
    /// Nothing is due, or too little to be worth it.
    Nothing,
    /// A branch has moved meanwhile. Nothing was done.
    Moved,
    /// It is done.
    Removed(Removed),
}

impl Expiry {
    pub(crate) fn removed(self) -> Option<Removed> {
        match self {
            Expiry::Removed(removed) => Some(removed),
            Expiry::Nothing | Expiry::Moved => None,
        }
    }
}

/// Removes snapshots whose time is over.
///
/// # Errors
/// As of the catalog. Nothing has been deleted.
pub(crate) async fn expire(
    work: &Work<'_>,
    table: &TableMetadata,
    retention: &Retention,
) -> Result<Expiry, CatalogError> {
    // Seen at a glance: nothing can be due.
    let few = table.snapshots().len() <= retention.snapshots_max.max(retention.snapshots_min);
    if table.snapshots().len() < 2 || (few && retention.age_milliseconds_max.is_none()) {
        return Ok(Expiry::Nothing);
    }
    let Some(references) = references(table) else { return Ok(Expiry::Nothing) };
    let Some(going) = expired(table, &references, retention, work.now.as_millis()) else {
        return Ok(Expiry::Nothing);
    };
    let ids: HashSet<i64> = going.snapshots.iter().copied().collect();
    let mut requirements = vec![TableRequirement::UuidMatch { uuid: table.uuid() }];
    requirements.extend(references.iter().map(|(name, reference)| TableRequirement::RefSnapshotIdMatch {
        r#ref: name.clone(),
        snapshot_id: Some(reference.snapshot_id),
    }));
    let change = TableChange { table: work.table.clone(), requirements, updates: updates(table, &going) };
    let gone = |now: &TableMetadata| {
        now.uuid() == table.uuid() && ids.iter().all(|id| now.snapshot_by_id(*id).is_none())
    };
    match outcome::commit(work.catalog, change, gone).await {
        Outcome::Applied => Ok(Expiry::Removed(Removed {
            table_uuid: table.uuid(),
            snapshots: table.snapshots().filter(|s| ids.contains(&s.snapshot_id())).cloned().collect(),
            statistics: statistics_of(table, &ids),
        })),
        Outcome::Refused(error) if error.kind == CatalogErrorKind::Conflict => Ok(Expiry::Moved),
        Outcome::Refused(error) | Outcome::InDoubt(error) => Err(error),
    }
}

fn updates(table: &TableMetadata, going: &Expired) -> Vec<TableUpdate> {
    let mut updates: Vec<_> = going
        .references
        .iter()
        .map(|name| TableUpdate::RemoveSnapshotRef { ref_name: name.clone() })
        .collect();
    for id in &going.snapshots {
        if table.statistics_for_snapshot(*id).is_some() {
            updates.push(TableUpdate::RemoveStatistics { snapshot_id: *id });
        }
        if table.partition_statistics_for_snapshot(*id).is_some() {
            updates.push(TableUpdate::RemovePartitionStatistics { snapshot_id: *id });
        }
    }
    if !going.snapshots.is_empty() {
        updates.push(TableUpdate::RemoveSnapshots { snapshot_ids: going.snapshots.clone() });
    }
    updates
}

fn statistics_of(table: &TableMetadata, ids: &HashSet<i64>) -> Vec<String> {
    let of_columns = table.statistics_iter().map(|file| (file.snapshot_id, &file.statistics_path));
    let of_partitions =
        table.partition_statistics_iter().map(|file| (file.snapshot_id, &file.statistics_path));
    of_columns.chain(of_partitions).filter(|(id, _)| ids.contains(id)).map(|(_, path)| path.clone()).collect()
}

/// Deletes the files that only `removed` reached. May be called again after an error.
///
/// # Errors
/// As of the catalog and of the bucket. What was deleted by then was not needed.
pub(crate) async fn sweep(work: &Work<'_>, removed: &Removed) -> Result<Freed, CatalogError> {
    let Some(loaded) = work.catalog.load_table(work.table).await? else { return Ok(Freed::default()) };
    let table = &*loaded.metadata;
    if table.uuid() != removed.table_uuid || !super::may_delete(table) {
        return Ok(Freed::default());
    }
    let files = TableFiles::of(table, work.bucket.clone())?;
    let sweep = Sweep { work, files: &files, table, location: loaded.metadata_location.as_deref() };
    let old: Vec<_> =
        removed.snapshots.iter().filter(|s| table.snapshot_by_id(s.snapshot_id()).is_none()).collect();
    let manifests = sweep.manifests(&old).await?;
    // Those that lead to others go last: after a failure the next sweep finds its way again.
    let content = sweep.content(&manifests).await?;
    let mut freed = work.delete(content).await?;
    freed += work.delete(manifests.into_iter().map(|(candidate, _)| candidate).collect()).await?;
    let lists = sweep.lists(&old, &removed.statistics).await?;
    freed += work.delete(lists).await?;
    Ok(freed)
}

struct Sweep<'a> {
    work: &'a Work<'a>,
    files: &'a TableFiles,
    table: &'a TableMetadata,
    location: Option<&'a str>,
}

impl Sweep<'_> {
    /// Manifests of removed snapshots that no snapshot has any more. Lists and manifests that are gone, deleted by an earlier
    /// sweep, lead nowhere.
    async fn manifests(&self, old: &[&SnapshotRef]) -> Result<Vec<(Candidate, ManifestFile)>, CatalogError> {
        let (mut unclaimed, mut by_key) = (Unclaimed::default(), HashMap::new());
        for snapshot in old {
            if !self.files.is_there(snapshot.manifest_list()).await? {
                continue;
            }
            for manifest in self.files.list_of(self.table, snapshot).await? {
                let size_bytes = u64::try_from(manifest.manifest_length).unwrap_or(0);
                if let Some(key) = self.consider(&mut unclaimed, &manifest.manifest_path, size_bytes) {
                    by_key.insert(key, manifest);
                }
            }
        }
        let mut there = Vec::new();
        for candidate in self.left(unclaimed, Depth::Manifests).await? {
            let Some(manifest) = by_key.remove(&candidate.key) else { continue };
            if self.files.is_there(&manifest.manifest_path).await? {
                there.push((candidate, manifest));
            }
        }
        Ok(there)
    }

    /// Files alive in `manifests` and in no snapshot that the table has.
    async fn content(&self, manifests: &[(Candidate, ManifestFile)]) -> Result<Vec<Candidate>, CatalogError> {
        let mut unclaimed = Unclaimed::default();
        for (_, manifest) in manifests {
            let manifest = self.files.manifest(manifest).await?;
            for entry in manifest.entries().iter().filter(|entry| entry.is_alive()) {
                self.consider(&mut unclaimed, entry.file_path(), entry.file_size_in_bytes());
            }
        }
        self.left(unclaimed, Depth::Content).await
    }

    async fn lists(
        &self,
        old: &[&SnapshotRef],
        statistics: &[String],
    ) -> Result<Vec<Candidate>, CatalogError> {
        let mut unclaimed = Unclaimed::default();
        let lists = old.iter().map(|snapshot| snapshot.manifest_list());
        for uri in lists.chain(statistics.iter().map(String::as_str)) {
            self.consider(&mut unclaimed, uri, 0);
        }
        self.left(unclaimed, Depth::Lists).await
    }

    /// Only what lies in the table's own folders is a candidate: files that were taken in from elsewhere may be somebody else's too.
    fn consider(&self, unclaimed: &mut Unclaimed, uri: &str, size_bytes: u64) -> Option<String> {
        let key = self.files.own_key(uri)?.to_owned();
        unclaimed.add(Candidate { key: key.clone(), size_bytes });
        Some(key)
    }

    async fn left(&self, mut unclaimed: Unclaimed, depth: Depth) -> Result<Vec<Candidate>, CatalogError> {
        self.work.unresolved.keys.iter().for_each(|key| unclaimed.claim(key));
        unclaimed.claim_all_of(self.files, self.table, self.location, depth).await?;
        Ok(unclaimed.into_files())
    }
}
