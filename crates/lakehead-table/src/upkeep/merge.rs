//! Many small manifests into few.
//!
//! ```text
//!   every append adds a manifest, and every commit writes the list of all of them anew
//!
//!   small   up to 1/32 of the target    merged when there are `manifests_max` of them
//!   medium  up to 1/2                    merged along when there are a sixth of that
//!   large                                left alone
//! ```
//! So an entry is written about three times in its life, and a list has about `manifests_max` entries, and one more for each half
//! target of manifests. Entries keep their snapshot, sequence number and file sequence number; they are sorted by partition, so that
//! the bounds in the list say something. Manifests of delete files stay as they are.
//! **Bounds:** three targets of manifests at a time, about five times that in memory.

use std::cmp::Ordering;
use std::collections::{BTreeMap, HashMap, HashSet};

use iceberg::spec::{
    FormatVersion, Literal, ManifestContentType, ManifestEntry, ManifestFile, ManifestWriter, PartitionSpec,
    Struct, TableMetadata,
};

use super::Work;
use super::replace::{Replaced, Replacement, replace};
use crate::CatalogError;
use crate::manifests::{Attempt, TableFiles, refused};
use crate::snapshot::{FileChange, new_id, uuid};

/// When manifests are merged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Merging {
    /// Small manifests that a snapshot may have.
    pub manifests_max: usize,
    /// Size of the manifests they become.
    pub target_bytes: u64,
}

impl Default for Merging {
    fn default() -> Self {
        Merging { manifests_max: 100, target_bytes: 8 << 20 }
    }
}

/// Merges small manifests of the newest snapshot, if there are enough. Returns how many became fewer.
///
/// # Errors
/// As of the catalog and of the bucket.
pub(crate) async fn merge(
    work: &Work<'_>,
    table: &TableMetadata,
    merging: &Merging,
) -> Result<usize, CatalogError> {
    // Row ids of format 3 would have to be carried along; format 1 has no sequence numbers.
    let Some(snapshot) = table.current_snapshot().filter(|_| table.format_version() == FormatVersion::V2)
    else {
        return Ok(0);
    };
    let files = TableFiles::of(table, work.bucket.clone())?;
    let chosen = chosen(table, &files.list_of(table, snapshot).await?, merging);
    if chosen.is_empty() {
        return Ok(0);
    }
    let mut attempt = Attempt::new(&files, uuid(work.random));
    let id = new_id(table, work.random);
    let made = match write(table, &files, &mut attempt, id, &chosen, merging).await {
        Ok(made) => made,
        Err(error) => {
            work.forget(&attempt.into_written()).await;
            return Err(error);
        }
    };
    let count = |n: usize| n.to_string();
    let replacement = Replacement {
        id,
        table_uuid: table.uuid(),
        replaced: chosen.iter().map(|manifest| manifest.manifest_path.clone()).collect::<HashSet<_>>(),
        summary: HashMap::from([
            ("manifests-created".to_owned(), count(made.len())),
            ("manifests-replaced".to_owned(), count(chosen.len())),
        ]),
        made,
        change: FileChange::default(),
        deletes: None,
    };
    match replace(work, &replacement).await {
        Replaced::Applied => Ok(chosen.len()),
        Replaced::Stale => {
            work.forget(&attempt.into_written()).await;
            Ok(0)
        }
        Replaced::Refused(error) => {
            work.forget(&attempt.into_written()).await;
            Err(error)
        }
        Replaced::InDoubt(error) => Err(error),
    }
}

/// The manifests of one partition spec that are merged now; empty if there is nothing to do.
fn chosen(table: &TableMetadata, manifests: &[ManifestFile], merging: &Merging) -> Vec<ManifestFile> {
    let mut by_spec = BTreeMap::<i32, (Vec<&ManifestFile>, Vec<&ManifestFile>)>::new();
    for manifest in manifests {
        if manifest.content != ManifestContentType::Data || manifest.key_metadata.is_some() {
            continue;
        }
        let (small, medium) = by_spec.entry(manifest.partition_spec_id).or_default();
        if length(manifest) <= merging.target_bytes / 32 {
            small.push(manifest);
        } else if length(manifest) <= merging.target_bytes / 2 {
            medium.push(manifest);
        }
    }
    for (spec, (mut small, medium)) in by_spec {
        if small.len() < merging.manifests_max.max(2) || spec_of(table, spec).is_none() {
            continue;
        }
        if medium.len() >= (merging.manifests_max / 6).max(2) {
            small.extend(medium);
        }
        let (mut chosen, mut left) = (Vec::new(), merging.target_bytes.saturating_mul(3));
        for manifest in small {
            let Some(rest) = left.checked_sub(length(manifest)) else { break };
            left = rest;
            chosen.push(manifest.clone());
        }
        if chosen.len() > 1 {
            return chosen;
        }
    }
    Vec::new()
}

fn length(manifest: &ManifestFile) -> u64 {
    u64::try_from(manifest.manifest_length).unwrap_or(0)
}

/// The spec, if the columns that it is made of are there yet: without them no manifest can be written by it.
fn spec_of(table: &TableMetadata, id: i32) -> Option<&PartitionSpec> {
    let spec = table.partition_spec_by_id(id)?;
    spec.partition_type(table.current_schema()).is_ok().then_some(&**spec)
}

/// What is alive in `chosen`, in new manifests of about the target's size.
async fn write(
    table: &TableMetadata,
    files: &TableFiles,
    attempt: &mut Attempt<'_>,
    id: i64,
    chosen: &[ManifestFile],
    merging: &Merging,
) -> Result<Vec<ManifestFile>, CatalogError> {
    let spec = chosen.first().and_then(|manifest| spec_of(table, manifest.partition_spec_id));
    let spec = spec.ok_or_else(|| refused("the manifests have no partition spec".to_owned()))?;
    let mut entries = Vec::new();
    for manifest in chosen {
        let (all, _) = files.manifest(manifest).await?.into_parts();
        entries.extend(all.into_iter().filter(|entry| entry.is_alive()));
    }
    entries.sort_by(|a, b| by_partition(a, b));
    let bytes: u64 = chosen.iter().map(length).sum();
    let manifests = bytes.div_ceil(merging.target_bytes.max(1)).max(1);
    let together = entries.len().div_ceil(usize::try_from(manifests).unwrap_or(1)).max(1);
    let mut made = Vec::new();
    for entries in entries.chunks(together) {
        let schema = table.current_schema().clone();
        let written = attempt
            .manifest(table, id, schema, spec, |writer| {
                entries.iter().try_for_each(|entry| add_existing(writer, entry))
            })
            .await?;
        made.push(written);
    }
    Ok(made)
}

/// Adds an entry as one that an earlier snapshot has brought.
pub(super) fn add_existing(writer: &mut ManifestWriter, entry: &ManifestEntry) -> iceberg::Result<()> {
    let (Some(snapshot), Some(sequence)) = (entry.snapshot_id, entry.sequence_number) else {
        let text = format!("the entry of {} has no snapshot or no sequence number", entry.file_path());
        return Err(iceberg::Error::new(iceberg::ErrorKind::DataInvalid, text));
    };
    writer.add_existing_file(entry.data_file.clone(), snapshot, sequence, entry.file_sequence_number)
}

/// By partition, then by age.
fn by_partition(a: &ManifestEntry, b: &ManifestEntry) -> Ordering {
    let values = |entry: &ManifestEntry| entry.data_file.partition().clone();
    compare(&values(a), &values(b))
        .then_with(|| a.sequence_number.cmp(&b.sequence_number))
        .then_with(|| a.file_path().cmp(b.file_path()))
}

/// Compares partitions of one spec field by field; nulls first.
pub(super) fn compare(a: &Struct, b: &Struct) -> Ordering {
    let fields = a.iter().zip(b.iter()).map(|(a, b)| {
        let values = (a.and_then(Literal::as_primitive_literal), b.and_then(Literal::as_primitive_literal));
        values.0.partial_cmp(&values.1).unwrap_or(Ordering::Equal)
    });
    fields.fold(Ordering::Equal, Ordering::then)
}
