//! Metadata files of tables: named, written, read, and kept parsed.
//!
//! ```text
//!   {table location}/metadata/00012-0197….metadata.json       or .gz.metadata.json, as the table's properties say
//! ```
//! A file is never changed, so what was parsed of it stays right for as long as it is kept.
//!
//! **Memory:** [`CACHE_BYTES_MAX`] of metadata, measured as JSON; parsed it takes about twice that.

use std::collections::HashMap;
use std::io::{Read, Write};
use std::sync::Arc;

use bytes::Bytes;
use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;
use iceberg::spec::TableMetadata;
use lakehead_model::Random;
use lakehead_sink::BucketFiles;
use parking_lot::Mutex;
use uuid::Uuid;

use super::refusal::{Refusal, RefusalKind};

/// Metadata kept parsed, over all tables of all catalogs that share a cache.
pub const CACHE_BYTES_MAX: usize = 64 << 20;
/// The largest metadata that is read or written. At about 800 bytes a snapshot this is some 80,000 snapshots.
pub const METADATA_BYTES_MAX: usize = 64 << 20;
/// The property that says how metadata files are compressed.
const CODEC: &str = "write.metadata.compression-codec";

/// Parsed metadata, by file. Clones share it.
#[derive(Debug, Clone, Default)]
pub struct MetadataCache {
    kept: Arc<Mutex<Kept>>,
}

#[derive(Debug, Default)]
struct Kept {
    /// Location → metadata, its bytes as JSON, when it was used last.
    by_location: HashMap<String, (Arc<TableMetadata>, usize, u64)>,
    bytes: usize,
    uses: u64,
}

impl MetadataCache {
    fn get(&self, location: &str) -> Option<Arc<TableMetadata>> {
        let mut kept = self.kept.lock();
        kept.uses += 1;
        let now = kept.uses;
        let (metadata, _, used) = kept.by_location.get_mut(location)?;
        *used = now;
        Some(Arc::clone(metadata))
    }

    fn put(&self, location: &str, metadata: &Arc<TableMetadata>, bytes: usize) {
        let mut kept = self.kept.lock();
        kept.remove(location);
        kept.uses += 1;
        let entry = (Arc::clone(metadata), bytes, kept.uses);
        kept.bytes += bytes;
        kept.by_location.insert(location.to_owned(), entry);
        while kept.bytes > CACHE_BYTES_MAX {
            let oldest = kept.by_location.iter().min_by_key(|(_, (_, _, used))| *used);
            let Some(location) = oldest.map(|(location, _)| location.clone()) else { break };
            kept.remove(&location);
        }
    }

    pub(super) fn forget(&self, location: &str) {
        self.kept.lock().remove(location);
    }
}

impl Kept {
    fn remove(&mut self, location: &str) {
        if let Some((_, bytes, _)) = self.by_location.remove(location) {
            self.bytes -= bytes;
        }
    }
}

/// The metadata files of one bucket.
#[derive(Debug, Clone)]
pub(super) struct MetadataFiles {
    pub(super) files: BucketFiles,
    pub(super) cache: MetadataCache,
    pub(super) random: Arc<dyn Random>,
}

impl MetadataFiles {
    /// What a file that the catalog refers to holds.
    pub(super) async fn read(&self, location: &str) -> Result<Arc<TableMetadata>, Refusal> {
        if let Some(metadata) = self.cache.get(location) {
            return Ok(metadata);
        }
        let damaged =
            |what: &str| Refusal::new(RefusalKind::Damaged, format!("metadata file {location}: {what}"));
        let key = self.files.key(location).ok_or_else(|| damaged("is not in the bucket"))?;
        let content = self.files.get(key).await?.ok_or_else(|| damaged("is gone"))?;
        let (metadata, bytes) = parse(&content).map_err(|e| damaged(&e))?;
        let metadata = Arc::new(metadata);
        self.cache.put(location, &metadata, bytes);
        Ok(metadata)
    }

    /// Writes metadata into a new file, the `number`th of its table, and returns where. Nobody knows the file yet.
    pub(super) async fn write(&self, metadata: &Arc<TableMetadata>, number: u64) -> Result<String, Refusal> {
        let json = serde_json::to_vec(&**metadata)
            .map_err(|e| Refusal::bad(format!("the table's metadata cannot be written: {e}")))?;
        let bytes = json.len();
        if bytes > METADATA_BYTES_MAX {
            let text = format!(
                "the table's metadata has {bytes} bytes, the limit is {METADATA_BYTES_MAX}; expire snapshots"
            );
            return Err(Refusal::bad(text));
        }
        let (content, suffix) = match is_gzip(metadata)? {
            true => (gzip(&json)?, ".gz"),
            false => (json, ""),
        };
        let id = random_uuid(&*self.random);
        let location = format!("{}/metadata/{number:05}-{id}{suffix}.metadata.json", metadata.location());
        let key = self.files.key(&location).ok_or_else(|| {
            let text =
                format!("the table's location {:?} is not below {}", metadata.location(), self.files.root());
            Refusal::bad(text)
        })?;
        self.files.put(key, Bytes::from(content)).await?;
        self.cache.put(&location, metadata, bytes);
        Ok(location)
    }

    /// Removes a file that nobody knows, or nobody needs. A failure leaves it to the removal of orphans.
    pub(super) async fn remove(&self, location: &str) {
        self.cache.forget(location);
        let Some(key) = self.files.key(location) else { return };
        if let Err(error) = self.files.delete(key).await {
            tracing::warn!(location, %error, "a metadata file that is not needed could not be removed");
        }
    }
}

/// A random UUID (version 4).
pub(super) fn random_uuid(random: &dyn Random) -> Uuid {
    let mut bytes = random.u128().to_be_bytes();
    bytes[6] = (bytes[6] & 0x0F) | 0x40;
    bytes[8] = (bytes[8] & 0x3F) | 0x80;
    Uuid::from_bytes(bytes)
}

/// Metadata and its size as JSON.
pub(super) fn parse(content: &[u8]) -> Result<(TableMetadata, usize), String> {
    let limit = format!("has more than {METADATA_BYTES_MAX} bytes, which is the limit");
    let read =
        |json: &[u8]| serde_json::from_slice(json).map_err(|e| format!("is not metadata of a table: {e}"));
    if content.len() > METADATA_BYTES_MAX {
        return Err(limit);
    }
    if !content.starts_with(&[0x1F, 0x8B]) {
        return Ok((read(content)?, content.len()));
    }
    let mut json = Vec::new();
    let inflated = GzDecoder::new(content).take(METADATA_BYTES_MAX as u64 + 1).read_to_end(&mut json);
    match inflated {
        Ok(bytes) if bytes > METADATA_BYTES_MAX => Err(limit),
        Ok(bytes) => Ok((read(&json)?, bytes)),
        Err(e) => Err(format!("cannot be inflated: {e}")),
    }
}

fn is_gzip(metadata: &TableMetadata) -> Result<bool, Refusal> {
    match metadata.properties().get(CODEC).map(|codec| codec.to_ascii_lowercase()).as_deref() {
        None | Some("" | "none" | "uncompressed") => Ok(false),
        Some("gzip") => Ok(true),
        Some(other) => {
            Err(Refusal::bad(format!("{CODEC}: {other:?} is unknown; one of none, gzip is needed")))
        }
    }
}

fn gzip(json: &[u8]) -> Result<Vec<u8>, Refusal> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    let done = encoder.write_all(json).and_then(|()| encoder.finish());
    done.map_err(|e| Refusal::new(RefusalKind::Unavailable, format!("metadata cannot be compressed: {e}")))
}
