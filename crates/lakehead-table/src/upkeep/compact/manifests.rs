//! The manifests with which a table has other files for the same rows.
//!
//! ```text
//!   manifest with files that go      ──►  the others, EXISTING                 (none if no other is left)
//!   all files that go, the new ones  ──►  one manifest: DELETED, and ADDED with the sequence number of the base
//! ```
//! The new files have the sequence number that the newest snapshot had when their rows were read: deletes that others commit
//! meanwhile are newer and apply to them. Source: Iceberg table spec, "Sequence Numbers" and "Snapshots", on replaced data files.

use std::collections::{HashMap, HashSet};

use iceberg::spec::{
    DataFile, ManifestContentType, ManifestEntryRef, ManifestFile, ManifestWriter, PartitionSpecRef,
    TableMetadata,
};

use super::Output;
use crate::CatalogError;
use crate::manifests::{Attempt, TableFiles, refused};
use crate::upkeep::merge::add_existing;

/// What a snapshot needs in order to have `outputs` for the files they were made of.
#[derive(Debug)]
pub(super) struct Swap {
    /// Paths of manifests that go.
    pub(super) replaced: HashSet<String>,
    pub(super) made: Vec<ManifestFile>,
    /// What goes.
    pub(super) removed: Vec<DataFile>,
    pub(super) added: Vec<DataFile>,
    /// Manifests of delete files that are there, by path.
    pub(super) deletes: HashSet<String>,
}

/// Where the files that go are listed.
#[derive(Debug)]
pub(super) struct Found {
    manifests: Vec<(ManifestFile, Vec<ManifestEntryRef>)>,
    deletes: HashSet<String>,
    /// URIs of those that are alive.
    pub(super) alive: HashSet<String>,
}

/// Looks for `paths` in the manifests of the table's newest snapshot.
///
/// # Errors
/// As of the bucket.
pub(super) async fn find(
    files: &TableFiles,
    table: &TableMetadata,
    paths: &HashSet<&str>,
) -> Result<Found, CatalogError> {
    let list = match table.current_snapshot() {
        Some(snapshot) => files.list_of(table, snapshot).await?,
        None => Vec::new(),
    };
    let (data, deletes): (Vec<_>, Vec<_>) =
        list.into_iter().partition(|manifest| manifest.content == ManifestContentType::Data);
    let (mut manifests, mut alive) = (Vec::new(), HashSet::new());
    for manifest in data.into_iter().rev() {
        if alive.len() == paths.len() {
            break;
        }
        let (entries, _) = files.manifest(&manifest).await?.into_parts();
        let entries: Vec<_> = entries.into_iter().filter(|entry| entry.is_alive()).collect();
        let wanted = entries.iter().filter(|entry| paths.contains(entry.file_path()));
        let before = alive.len();
        alive.extend(wanted.map(|entry| entry.file_path().to_owned()));
        if alive.len() > before {
            manifests.push((manifest, entries));
        }
    }
    manifests.reverse();
    let deletes = deletes.into_iter().map(|manifest| manifest.manifest_path).collect();
    Ok(Found { manifests, deletes, alive })
}

/// Writes the manifests that have `outputs` in place of what they were made of, all of which is alive in `found`.
///
/// # Errors
/// As of the bucket.
pub(super) async fn write(
    table: &TableMetadata,
    attempt: &mut Attempt<'_>,
    id: i64,
    found: Found,
    outputs: &[&Output],
    sequence: i64,
) -> Result<Swap, CatalogError> {
    let going: HashSet<&str> = outputs.iter().flat_map(|output| output.paths()).collect();
    let mut swap = Swap {
        replaced: HashSet::new(),
        made: Vec::new(),
        removed: Vec::new(),
        added: outputs.iter().map(|output| output.file.clone()).collect(),
        deletes: found.deletes,
    };
    let mut removed = HashMap::new();
    let spec: &PartitionSpecRef = table.default_partition_spec();
    for (manifest, entries) in found.manifests {
        let (out, stay): (Vec<_>, Vec<_>) =
            entries.into_iter().partition(|entry| going.contains(entry.file_path()));
        if out.is_empty() {
            continue;
        }
        if manifest.partition_spec_id != spec.spec_id() {
            return Err(refused(format!("{} is of another partition spec", manifest.manifest_path)));
        }
        if !stay.is_empty() {
            let fill =
                |writer: &mut ManifestWriter| stay.iter().try_for_each(|entry| add_existing(writer, entry));
            swap.made.push(attempt.manifest(table, id, table.current_schema().clone(), spec, fill).await?);
        }
        swap.replaced.insert(manifest.manifest_path);
        removed.extend(out.into_iter().map(|entry| (entry.file_path().to_owned(), entry)));
    }
    let mut removed: Vec<_> = removed.into_values().collect();
    removed.sort_by(|a, b| a.file_path().cmp(b.file_path()));
    let fill = |writer: &mut ManifestWriter| {
        for entry in &removed {
            let number = entry.sequence_number().unwrap_or(0);
            writer.add_delete_file(entry.data_file.clone(), number, entry.file_sequence_number)?;
        }
        swap.added.iter().try_for_each(|file| writer.add_file(file.clone(), sequence))
    };
    let made = attempt.manifest(table, id, table.current_schema().clone(), spec, fill).await?;
    swap.made.push(made);
    swap.removed = removed.iter().map(|entry| entry.data_file.clone()).collect();
    Ok(swap)
}
