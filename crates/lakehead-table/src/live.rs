//! Which files a table has, for whoever checks it from outside.

use std::collections::HashMap;

use iceberg::spec::{Operation, TableMetadata};
use lakehead_sink::BucketFiles;

use crate::CatalogError;
use crate::manifests::TableFiles;

/// The data files of a table's newest snapshot.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LiveFiles {
    /// By their keys in the bucket, how often each is there: once, if all is well. One outside the bucket is left out.
    pub times: HashMap<String, u32>,
    /// Whether every commit the table ever had has added files and nothing else, as far as its metadata reaches back to the first.
    pub only_appended: bool,
}

/// Reads the manifests of the newest snapshot, one at a time. In memory: about 200 bytes a file.
///
/// # Errors
/// As of the bucket; `Refused` if a manifest is gone or cannot be read.
pub async fn live_files(metadata: &TableMetadata, bucket: &BucketFiles) -> Result<LiveFiles, CatalogError> {
    let files = TableFiles::of(metadata, bucket.clone())?;
    let mut times = HashMap::new();
    let Some(snapshot) = metadata.current_snapshot() else {
        let only_appended = metadata.history().is_empty() && metadata.snapshots().len() == 0;
        return Ok(LiveFiles { times, only_appended });
    };
    for manifest in files.list_of(metadata, snapshot).await? {
        for entry in files.manifest(&manifest).await?.entries() {
            if entry.is_alive()
                && let Some(key) = bucket.key(entry.file_path())
            {
                *times.entry(key.to_owned()).or_default() += 1;
            }
        }
    }
    let mut only_appended = true;
    let mut next = Some(snapshot);
    while let Some(snapshot) = next {
        only_appended &= snapshot.summary().operation == Operation::Append;
        next = match snapshot.parent_snapshot_id() {
            None => None,
            Some(parent) => {
                let parent = metadata.snapshot_by_id(parent);
                only_appended &= parent.is_some();
                parent
            }
        };
    }
    Ok(LiveFiles { times, only_appended })
}
