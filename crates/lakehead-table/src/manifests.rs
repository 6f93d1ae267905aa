//! Manifests and manifest lists of one table, in its bucket.
//!
//! ```text
//!   {location}/metadata/{commit uuid}-m{n}.avro            manifest: data files with their statistics
//!   {location}/metadata/snap-{snapshot}-1-{commit uuid}.avro   list of a snapshot's manifests
//! ```
//! Names hold a random number, so nothing is ever overwritten, and what an attempt wrote in vain belongs to nobody else.
//! **Bounds:** a manifest or a list is in memory whole.

use bytes::Bytes;
use iceberg::io::FileIO;
use iceberg::spec::{
    FormatVersion, Manifest, ManifestContentType, ManifestFile, ManifestList, ManifestListWriter,
    ManifestWriter, ManifestWriterBuilder, PartitionSpec, SchemaRef, Snapshot, TableMetadata,
};
use lakehead_sink::BucketFiles;
use uuid::Uuid;

use crate::{CatalogError, CatalogErrorKind};

/// The places of a table's files in its bucket.
#[derive(Debug, Clone)]
pub(crate) struct TableFiles {
    pub(crate) bucket: BucketFiles,
    /// Key of the folder of metadata, without a slash at the end.
    pub(crate) metadata_key: String,
    /// Key of the folder of data files, without a slash at the end.
    pub(crate) data_key: String,
}

impl TableFiles {
    /// Where `metadata` says that its files are: `write.metadata.path` and `write.data.path`, or folders of its location.
    ///
    /// # Errors
    /// `Refused` if that is not in the bucket.
    pub(crate) fn of(metadata: &TableMetadata, bucket: BucketFiles) -> Result<TableFiles, CatalogError> {
        let location = metadata.location().trim_end_matches('/');
        let folder = |property: &str, name: &str| {
            let uri = match metadata.properties().get(property) {
                Some(uri) => uri.trim_end_matches('/').to_owned(),
                None => format!("{location}/{name}"),
            };
            let key = bucket.key(&uri).map(str::to_owned);
            key.ok_or_else(|| outside(&uri, &bucket))
        };
        Ok(TableFiles {
            metadata_key: folder("write.metadata.path", "metadata")?,
            data_key: folder("write.data.path", "data")?,
            bucket,
        })
    }

    pub(crate) async fn read(&self, uri: &str) -> Result<Bytes, CatalogError> {
        let key = self.bucket.key(uri).ok_or_else(|| outside(uri, &self.bucket))?;
        let content = self.bucket.get(key).await?;
        content.ok_or_else(|| refused(format!("{uri} is gone; the table's metadata names it")))
    }

    /// The key of a URI in the table's own folders.
    pub(crate) fn own_key<'u>(&self, uri: &'u str) -> Option<&'u str> {
        let below =
            |key: &str, folder: &str| key.strip_prefix(folder).is_some_and(|rest| rest.starts_with('/'));
        let key = self.bucket.key(uri)?;
        (below(key, &self.data_key) || below(key, &self.metadata_key)).then_some(key)
    }

    /// Whether a file that the table named once is there yet.
    pub(crate) async fn is_there(&self, uri: &str) -> Result<bool, CatalogError> {
        let key = self.bucket.key(uri).ok_or_else(|| outside(uri, &self.bucket))?;
        Ok(self.bucket.size(key).await?.is_some())
    }

    /// The manifests of a snapshot.
    pub(crate) async fn list_of(
        &self,
        metadata: &TableMetadata,
        snapshot: &Snapshot,
    ) -> Result<Vec<ManifestFile>, CatalogError> {
        let content = self.read(snapshot.manifest_list()).await?;
        let list = ManifestList::parse_with_version(&content, metadata.format_version());
        let list = list.map_err(|e| unreadable(snapshot.manifest_list(), &e))?;
        Ok(list.consume_entries().into_iter().collect())
    }

    /// The entries of a manifest, with what they take over from its place in the list.
    pub(crate) async fn manifest(&self, file: &ManifestFile) -> Result<Manifest, CatalogError> {
        let content = self.read(&file.manifest_path).await?;
        // The library reads through its own seam to files, which adds what entries inherit.
        let memory = FileIO::new_with_memory();
        let place = format!("memory:///{}", Uuid::new_v4());
        let write = async {
            memory.new_output(&place)?.write(content).await?;
            let here = ManifestFile { manifest_path: place.clone(), ..file.clone() };
            here.load_manifest(&memory).await
        };
        write.await.map_err(|e| unreadable(&file.manifest_path, &e))
    }
}

/// What a change of a table puts into its folder of metadata, by one attempt.
#[derive(Debug)]
pub(crate) struct Attempt<'a> {
    files: &'a TableFiles,
    commit: Uuid,
    memory: FileIO,
    manifests: usize,
    /// Keys put so far.
    written: Vec<String>,
}

impl<'a> Attempt<'a> {
    pub(crate) fn new(files: &'a TableFiles, commit: Uuid) -> Self {
        Attempt { files, commit, memory: FileIO::new_with_memory(), manifests: 0, written: Vec::new() }
    }

    /// Keys of what was put. Only after a definite refusal may they be removed.
    pub(crate) fn into_written(self) -> Vec<String> {
        self.written
    }

    /// Writes a manifest of data files, whose entries `fill` adds.
    pub(crate) async fn manifest(
        &mut self,
        metadata: &TableMetadata,
        snapshot_id: i64,
        schema: SchemaRef,
        spec: &PartitionSpec,
        fill: impl FnOnce(&mut ManifestWriter) -> iceberg::Result<()>,
    ) -> Result<ManifestFile, CatalogError> {
        let name = format!("{}-m{}.avro", self.commit, self.manifests);
        self.manifests += 1;
        let place = format!("memory:///{name}");
        let write = async {
            let output = self.memory.new_output(&place)?;
            let builder = ManifestWriterBuilder::new(output, Some(snapshot_id), schema, spec.clone());
            let mut writer = match metadata.format_version() {
                FormatVersion::V1 => builder.build_v1(),
                FormatVersion::V2 => builder.build_v2_data(),
                FormatVersion::V3 => builder.build_v3_data(),
            };
            fill(&mut writer)?;
            writer.write_manifest_file().await
        };
        let mut manifest = write.await.map_err(|e| refused(format!("cannot write a manifest: {e}")))?;
        debug_assert_eq!(manifest.content, ManifestContentType::Data);
        manifest.manifest_path = self.put(&place, &name).await?;
        Ok(manifest)
    }

    /// Writes the list of a snapshot's manifests; returns its URI, and the next row id of a table that has them.
    pub(crate) async fn list(
        &mut self,
        metadata: &TableMetadata,
        snapshot_id: i64,
        manifests: Vec<ManifestFile>,
    ) -> Result<(String, Option<u64>), CatalogError> {
        let name = format!("snap-{snapshot_id}-1-{}.avro", self.commit);
        let place = format!("memory:///{name}");
        let (parent, sequence) = (metadata.current_snapshot_id(), metadata.next_sequence_number());
        let write = async {
            let output = self.memory.new_output(&place)?.writer().await?;
            let mut writer = match metadata.format_version() {
                FormatVersion::V1 => ManifestListWriter::v1(output, snapshot_id, parent),
                FormatVersion::V2 => ManifestListWriter::v2(output, snapshot_id, parent, sequence),
                FormatVersion::V3 => ManifestListWriter::v3(
                    output,
                    snapshot_id,
                    parent,
                    sequence,
                    Some(metadata.next_row_id()),
                ),
            };
            writer.add_manifests(manifests.into_iter())?;
            let next_row_id = writer.next_row_id();
            writer.close().await?;
            Ok::<_, iceberg::Error>(next_row_id)
        };
        let next_row_id = write.await.map_err(|e| refused(format!("cannot write a manifest list: {e}")))?;
        Ok((self.put(&place, &name).await?, next_row_id))
    }

    /// From memory into the bucket.
    async fn put(&mut self, place: &str, name: &str) -> Result<String, CatalogError> {
        let read = async { self.memory.new_input(place)?.read().await };
        let content = read.await.map_err(|e| refused(format!("cannot write {name}: {e}")))?;
        let forgotten = self.memory.delete(place).await;
        forgotten.map_err(|e| refused(format!("cannot write {name}: {e}")))?;
        let key = format!("{}/{name}", self.files.metadata_key);
        self.written.push(key.clone());
        self.files.bucket.put(&key, content).await?;
        Ok(self.files.bucket.uri(&key))
    }
}

pub(crate) fn refused(text: String) -> CatalogError {
    CatalogError::new(CatalogErrorKind::Refused, text)
}

fn unreadable(uri: &str, e: &iceberg::Error) -> CatalogError {
    refused(format!("{uri} cannot be read: {e}"))
}

fn outside(uri: &str, bucket: &BucketFiles) -> CatalogError {
    refused(format!("{uri} is not in the bucket of the table, {}", bucket.root()))
}
