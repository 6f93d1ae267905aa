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
use std::sync::Arc;

use iceberg::spec::{
    FormatVersion, ManifestContentType, ManifestEntry, ManifestFile, PartitionSpec, Struct, TableMetadata,
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
    let Some(snapshot) = table.current_snapshot().filter(|_| table.format_version() == FormatVersion::V2) else {
        return Ok(0);
    };
    let files = TableFiles::of(table, work.bucket.clone())?;
    let chosen = chosen(&files.list_of(table, snapshot).await?, merging);
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
        Replaced::Applied(_) => Ok(chosen.len()),
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
fn chosen(manifests: &[ManifestFile], merging: &Merging) -> Vec<ManifestFile> {
    let length = |manifest: &ManifestFile| u64::try_from(manifest.manifest_length).unwrap_or(0);
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
    for (mut small, medium) in by_spec.into_values() {
        if small.len() < merging.manifests_max.max(2) {
            continue;
        }
        if medium.len() >= (merging.manifests_max / 6).max(2) {
            small.extend(medium);
        }
        let mut left = merging.target_bytes.saturating_mul(3);
        let fits = |manifest: &&&ManifestFile| match left.checked_sub(length(manifest)) {
            Some(rest) => {
                left = rest;
                true
            }
            None => false,
        };
        let chosen: Vec<_> = small.iter().take_while(fits_in(fits)).map(|m| (*m).clone()).collect();
        if chosen.len() > 1 {
            return chosen;
        }
    }
    Vec::new()
}
