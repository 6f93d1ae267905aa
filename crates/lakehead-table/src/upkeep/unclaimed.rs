//! Files that may go, until something turns out to need them.
//!
//! A file is held against references by its **name alone** (what follows the last slash, percent-encoding undone), wherever it
//! lies and however its URI is spelled: `s3://` or `s3a://`, `file:/` or `file:///`, through another host name or encoded twice. Names
//! in tables hold random numbers, so little is kept for nothing; and no spelling makes a file look unneeded.

use std::collections::HashMap;

use iceberg::spec::TableMetadata;

use crate::CatalogError;
use crate::manifests::TableFiles;

/// A file of the bucket that may go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Candidate {
    pub(crate) key: String,
    pub(crate) size_bytes: u64,
}

/// How far references are followed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Depth {
    /// To what the metadata names: its own files, statistics, lists of manifests.
    Lists,
    /// To manifests as well.
    Manifests,
    /// To data files and delete files as well.
    Content,
}

/// Candidates that nothing has claimed yet. **Bounds:** about 200 bytes each.
#[derive(Debug, Default)]
pub(crate) struct Unclaimed {
    by_name: HashMap<String, Vec<Candidate>>,
}

impl Unclaimed {
    pub(crate) fn add(&mut self, candidate: Candidate) {
        let same = self.by_name.entry(name(&candidate.key)).or_default();
        if !same.contains(&candidate) {
            same.push(candidate);
        }
    }

    /// Something needs the file of this URI or key.
    pub(crate) fn claim(&mut self, uri: &str) {
        if !self.is_empty() {
            self.by_name.remove(&name(uri));
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.by_name.is_empty()
    }

    /// What is left, by key.
    pub(crate) fn into_files(self) -> Vec<Candidate> {
        let mut files: Vec<_> = self.by_name.into_values().flatten().collect();
        files.sort_by(|a, b| a.key.cmp(&b.key));
        files
    }

    /// Claims what `table` names, down to `depth`: its metadata files, statistics, manifest lists, manifests, and the files alive in
    /// any of its snapshots. Newest first, for the newest snapshot needs most; ends when nothing is left to claim.
    ///
    /// # Errors
    /// As of the bucket; `Refused` if something that the table names is missing or unreadable. Then nothing may go.
    pub(crate) async fn claim_all_of(
        &mut self,
        files: &TableFiles,
        table: &TableMetadata,
        metadata_location: Option<&str>,
        depth: Depth,
    ) -> Result<(), CatalogError> {
        metadata_files(table, metadata_location).for_each(|uri| self.claim(uri));
        let mut snapshots: Vec<_> = table.snapshots().collect();
        snapshots.sort_by_key(|snapshot| std::cmp::Reverse(snapshot.sequence_number()));
        snapshots.iter().for_each(|snapshot| self.claim(snapshot.manifest_list()));
        let mut seen = std::collections::HashSet::new();
        for snapshot in snapshots {
            if self.is_empty() || depth < Depth::Manifests {
                return Ok(());
            }
            for manifest in files.list_of(table, snapshot).await? {
                if self.is_empty() || !seen.insert(manifest.manifest_path.clone()) {
                    continue;
                }
                self.claim(&manifest.manifest_path);
                if depth < Depth::Content {
                    continue;
                }
                let manifest = files.manifest(&manifest).await?;
                let alive = manifest.entries().iter().filter(|entry| entry.is_alive());
                alive.for_each(|entry| self.claim(entry.file_path()));
            }
        }
        Ok(())
    }
}

/// What metadata names directly, snapshots' lists aside.
fn metadata_files<'a>(table: &'a TableMetadata, location: Option<&'a str>) -> impl Iterator<Item = &'a str> {
    let log = table.metadata_log().iter().map(|entry| entry.metadata_file.as_str());
    let statistics = table.statistics_iter().map(|file| file.statistics_path.as_str());
    let partitions = table.partition_statistics_iter().map(|file| file.statistics_path.as_str());
    log.chain(statistics).chain(partitions).chain(location)
}

/// What follows the last slash, with percent-encoding undone however often it was done.
fn name(uri: &str) -> String {
    let mut name = uri.rsplit('/').next().unwrap_or(uri).to_owned();
    for _ in 0..4 {
        match decoded(&name) {
            Some(plain) => name = plain,
            None => break,
        }
    }
    // An encoded slash is a part of the name in one spelling and none in another.
    name.rsplit('/').next().unwrap_or_default().to_owned()
}

/// `None` if there is nothing to decode.
fn decoded(text: &str) -> Option<String> {
    let bytes = text.as_bytes();
    let (mut plain, mut at, mut changed) = (Vec::with_capacity(bytes.len()), 0, false);
    while at < bytes.len() {
        let code = text.get(at + 1..at + 3).filter(|_| bytes[at] == b'%');
        match code.and_then(|code| u8::from_str_radix(code, 16).ok()) {
            Some(byte) => {
                plain.push(byte);
                changed = true;
                at += 3;
            }
            None => {
                plain.push(bytes[at]);
                at += 1;
            }
        }
    }
    changed.then(|| String::from_utf8_lossy(&plain).into_owned())
}

#[cfg(test)]
mod tests;
