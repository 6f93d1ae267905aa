//! Which small files become one.
//!
//! ```text
//!   files of a partition, in the order of their rows:  ▂▂▂▂▂▂▂▂▂▂▂▂ ▅ ▂▂▂▂▂▂▂▂ █ ▂▂▂
//!                                                      └── eight or more neighbours of one size ──► one file
//! ```
//! Sizes are those below a 64th, an eighth and three quarters of the target; the smallest are done first. So a row is written anew
//! about three times however fast files come. A partition whose last row is more than an hour old gets no more of them: there, two
//! files are enough.
//! **Bounds:** 20,000 small files are looked at in one round; each is a few KiB.

use std::collections::HashSet;
use std::sync::Arc;

use iceberg::spec::{
    DataContentType, DataFileFormat, Datum, ManifestContentType, ManifestEntry, ManifestFile,
    PrimitiveLiteral, Struct, TableMetadata,
};
use lakehead_model::Timestamp;

use crate::CatalogError;
use crate::columns::INGEST_TIME;
use crate::manifests::TableFiles;
use crate::upkeep::merge::compare;

/// Neighbours that are worth a file.
pub(crate) const FILES_MIN: usize = 8;
const SMALL_FILES_MAX: usize = 20_000;
const CLOSED_AFTER_MICROS: i64 = 3_600_000_000;

/// A small file of the table.
#[derive(Debug, Clone)]
pub(super) struct Small {
    pub(super) entry: Arc<ManifestEntry>,
    /// The earliest and latest time of its rows, if the manifest says.
    times: Option<(i64, i64)>,
}

impl Small {
    pub(super) fn size_bytes(&self) -> u64 {
        self.entry.file_size_in_bytes()
    }

    fn order(&self) -> (i64, i64, &str) {
        let first = self.times.map_or(i64::MIN, |(first, _)| first);
        (first, self.entry.sequence_number().unwrap_or(0), self.entry.file_path())
    }
}

/// Files that become one, in the order of their rows.
#[derive(Debug, Clone)]
pub(super) struct Group {
    pub(super) partition: Struct,
    pub(super) files: Vec<Small>,
}

/// The groups of the newest snapshot that are worth it, whose files come to about `bytes_max` or fewer, at least one.
///
/// # Errors
/// As of the bucket.
pub(super) async fn choose(
    files: &TableFiles,
    table: &TableMetadata,
    manifests: &[ManifestFile],
    target_bytes: u64,
    (now, bytes_max): (Timestamp, u64),
) -> Result<Vec<Group>, CatalogError> {
    let Some(with_deletes) = with_deletes(files, table, manifests).await? else { return Ok(Vec::new()) };
    let mut small = small_files(files, table, manifests, target_bytes).await?;
    small.retain(|file| !with_deletes.contains(file.entry.data_file.partition()));
    small.sort_by(|a, b| {
        let partitions = compare(a.entry.data_file.partition(), b.entry.data_file.partition());
        partitions.then_with(|| a.order().cmp(&b.order()))
    });
    let mut groups = Vec::new();
    // The newest partitions first: there readers look, and there files come.
    let of_partition = |a: &Small, b: &Small| a.entry.data_file.partition() == b.entry.data_file.partition();
    for files in small.chunk_by(of_partition).rev() {
        groups.extend(of(files, target_bytes, is_closed(files, now)));
    }
    let mut left = bytes_max;
    groups.truncate(
        groups
            .iter()
            .take_while(|group| {
                let fits = left > 0;
                left = left.saturating_sub(group.files.iter().map(Small::size_bytes).sum());
                fits
            })
            .count(),
    );
    Ok(groups)
}

/// Partitions that delete files apply to; `None` if any file may be meant.
pub(super) async fn with_deletes(
    files: &TableFiles,
    table: &TableMetadata,
    manifests: &[ManifestFile],
) -> Result<Option<HashSet<Struct>>, CatalogError> {
    let mut found = HashSet::new();
    for file in manifests.iter().filter(|m| m.content == ManifestContentType::Deletes) {
        if !file.has_added_files() && !file.has_existing_files() {
            continue;
        }
        // Of another spec: its partitions cannot be compared with those of the files here.
        if file.partition_spec_id != table.default_partition_spec_id() {
            return Ok(None);
        }
        let manifest = files.manifest(file).await?;
        let alive = manifest.entries().iter().filter(|entry| entry.is_alive());
        found.extend(alive.map(|entry| entry.data_file.partition().clone()));
    }
    Ok(Some(found))
}

async fn small_files(
    files: &TableFiles,
    table: &TableMetadata,
    manifests: &[ManifestFile],
    target_bytes: u64,
) -> Result<Vec<Small>, CatalogError> {
    let spec = table.default_partition_spec_id();
    let time = table.current_schema().field_id_by_name(INGEST_TIME);
    let mut found = Vec::new();
    // The newest manifests are at the end of the list.
    for file in manifests.iter().rev() {
        if file.content != ManifestContentType::Data || file.partition_spec_id != spec {
            continue;
        }
        let (entries, _) = files.manifest(file).await?.into_parts();
        for entry in entries.into_iter().filter(|entry| entry.is_alive()) {
            let file = &entry.data_file;
            let is_small = file.file_size_in_bytes() < target_bytes / 4 * 3;
            let is_plain = file.content_type() == DataContentType::Data
                && file.file_format() == DataFileFormat::Parquet
                && file.key_metadata().is_none();
            if is_small && is_plain {
                let bound = |bounds: &std::collections::HashMap<i32, Datum>| micros(bounds.get(&time?)?);
                let times = bound(file.lower_bounds()).zip(bound(file.upper_bounds()));
                found.push(Small { times, entry });
            }
        }
        if found.len() >= SMALL_FILES_MAX {
            break;
        }
    }
    Ok(found)
}

fn micros(bound: &Datum) -> Option<i64> {
    match bound.literal() {
        PrimitiveLiteral::Long(micros) => Some(*micros),
        _ => None,
    }
}

fn is_closed(files: &[Small], now: Timestamp) -> bool {
    let mut last = files.iter().map(|file| file.times.map(|(_, last)| last));
    let last = last.try_fold(i64::MIN, |latest, last| Some(latest.max(last?)));
    last.is_some_and(|last| last < now.0.saturating_sub(CLOSED_AFTER_MICROS))
}

/// The groups among the small files of a partition, which are in order.
fn of(files: &[Small], target_bytes: u64, closed: bool) -> Vec<Group> {
    let limits: &[u64] = match closed {
        true => &[target_bytes / 4 * 3],
        false => &[target_bytes / 64, target_bytes / 8, target_bytes / 4 * 3],
    };
    for limit in limits {
        let mut groups = Vec::new();
        let of_size = |file: &Small| file.size_bytes() < *limit;
        for run in
            files.chunk_by(|a, b| of_size(a) == of_size(b)).filter(|run| run.first().is_some_and(of_size))
        {
            let mut run = run;
            while !run.is_empty() {
                let (group, rest) = run.split_at(fitting(run, target_bytes));
                run = rest;
                let bytes: u64 = group.iter().map(Small::size_bytes).sum();
                let full = bytes >= target_bytes / 4 * 3;
                if group.len() > 1 && (closed || full || group.len() >= FILES_MIN) {
                    let partition = group[0].entry.data_file.partition().clone();
                    groups.push(Group { partition, files: group.to_vec() });
                }
            }
        }
        if !groups.is_empty() {
            return groups;
        }
    }
    Vec::new()
}

/// How many of the first files come to the target at most; at least one.
fn fitting(files: &[Small], target_bytes: u64) -> usize {
    let mut bytes = 0_u64;
    let fitting = files.iter().take_while(|file| {
        bytes = bytes.saturating_add(file.size_bytes());
        bytes <= target_bytes
    });
    fitting.count().max(1)
}
