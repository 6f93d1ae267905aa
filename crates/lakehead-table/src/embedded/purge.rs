//! Deleting the files of a dropped table.
//!
//! What may be deleted: of a table in a folder of its own, which this catalog made and gave to nobody else, everything in it. Of a
//! table in a folder that a client chose, the files that its metadata refers to (data and delete files, manifests, lists,
//! statistics, metadata) as far as they lie below its location; files elsewhere may be others' and stay, as do data files where
//! `gc.enabled` is false.
//!
//! **Crash:** a record says what is to be deleted until it is; [`EmbeddedCatalog::resume_purges`] goes on.

use std::collections::BTreeSet;
use std::sync::Arc;

use iceberg::spec::{Manifest, ManifestList, TableMetadata};
use serde::{Deserialize, Serialize};

use super::names::is_own_folder;
use super::records::{Expected, RecordKind};
use super::refusal::{Refusal, RefusalKind};
use super::{EmbeddedCatalog, TableRecord};

/// What is to be deleted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Purge {
    uuid: uuid::Uuid,
    location: String,
    metadata_location: String,
}

impl Purge {
    pub(super) fn of(record: &TableRecord) -> Purge {
        Purge {
            uuid: record.uuid,
            location: record.location.clone(),
            metadata_location: record.metadata_location.clone(),
        }
    }
}

impl EmbeddedCatalog {
    /// Goes on with the deletions that the last process did not finish.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn resume_purges(self: &Arc<Self>) -> Result<(), Refusal> {
        for record in self.list(RecordKind::Purge, "").await? {
            self.begin_purge(self.parsed(&record.value, &record.key)?);
        }
        Ok(())
    }

    pub(super) fn begin_purge(self: &Arc<Self>, purge: Purge) {
        let catalog = Arc::clone(self);
        tokio::spawn(async move {
            let location = purge.location.clone();
            match catalog.purge(purge).await {
                Ok(files) => tracing::info!(location, files, "the files of a dropped table were deleted"),
                Err(error) => {
                    tracing::warn!(location, %error, "the files of a dropped table stay until the server starts again");
                }
            }
        });
    }

    /// Number of files deleted.
    async fn purge(&self, purge: Purge) -> Result<usize, Refusal> {
        let files = self.files();
        let folder = files.key(&purge.location).unwrap_or_default().to_owned();
        let keys = match is_own_folder(&folder) {
            true => {
                self.files().list(&format!("{folder}/")).await?.into_iter().map(|file| file.key).collect()
            }
            false => self.referenced(&purge, &folder).await?,
        };
        for key in &keys {
            files.delete(key).await?;
        }
        self.metadata.cache.forget(&purge.metadata_location);
        let done = self.record(RecordKind::Purge, &purge.uuid.to_string(), Expected::Any, None);
        self.write(vec![done]).await?;
        Ok(keys.len())
    }

    /// The keys of all files below `folder` that the table refers to, its metadata file last, so that a deletion that was
    /// interrupted can go on.
    async fn referenced(&self, purge: &Purge, folder: &str) -> Result<Vec<String>, Refusal> {
        let metadata = match self.metadata.read(&purge.metadata_location).await {
            Ok(metadata) => metadata,
            // Deleted last: the rest is gone.
            Err(refusal) if refusal.kind == RefusalKind::Damaged => return Ok(Vec::new()),
            Err(refusal) => return Err(refusal),
        };
        let below = format!("{folder}/");
        let key = |uri: &str| self.files().key(uri).filter(|key| key.starts_with(&below)).map(str::to_owned);
        let (mut data, mut manifests, mut lists) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
        for snapshot in metadata.snapshots() {
            lists.extend(key(snapshot.manifest_list()));
            let Some(list) = self.content(snapshot.manifest_list()).await? else { continue };
            let list = ManifestList::parse_with_version(&list, metadata.format_version()).map_err(broken)?;
            manifests.extend(list.entries().iter().map(|manifest| manifest.manifest_path.clone()));
        }
        let keeps_data =
            metadata.properties().get("gc.enabled").is_some_and(|v| v.eq_ignore_ascii_case("false"));
        for manifest in manifests.iter().filter(|_| !keeps_data) {
            let Some(content) = self.content(manifest).await? else { continue };
            let manifest = Manifest::parse_avro(&content).map_err(broken)?;
            data.extend(manifest.entries().iter().filter_map(|entry| key(entry.file_path())));
        }
        let mut keys: Vec<_> = data.into_iter().collect();
        keys.extend(manifests.iter().filter_map(|uri| key(uri)));
        keys.extend(lists);
        keys.extend(other_files(&metadata).iter().filter_map(|uri| key(uri)));
        keys.extend(key(&purge.metadata_location));
        Ok(keys)
    }

    async fn content(&self, uri: &str) -> Result<Option<bytes::Bytes>, Refusal> {
        match self.files().key(uri) {
            Some(key) => Ok(self.files().get(key).await?),
            None => Ok(None),
        }
    }
}

fn other_files(metadata: &TableMetadata) -> Vec<String> {
    let statistics = metadata.statistics_iter().map(|file| file.statistics_path.clone());
    let partitions = metadata.partition_statistics_iter().map(|file| file.statistics_path.clone());
    let logged = metadata.metadata_log().iter().map(|entry| entry.metadata_file.clone());
    statistics.chain(partitions).chain(logged).collect()
}

fn broken(error: iceberg::Error) -> Refusal {
    Refusal::new(RefusalKind::Damaged, format!("a manifest of the table cannot be read: {}", error.message()))
}
