//! Small objects of a bucket, read and written whole: the metadata of tables, beside the files that a
//! [`Publisher`](crate::Publisher) puts there.
//!
//! ```text
//!   local   write `.{random}.part` beside it, sync, link to the name, remove the other name, sync the folders
//!   S3      PUT, tried again until its outcome is known
//! ```
//! **Invariant:** an object is visible whole or not at all, and durable when [`BucketFiles::put`] returns.
//! **Bounds:** an object that is put or got is in memory whole; a call is tried for about a minute.

mod local;
mod objects;

use std::fmt;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use lakehead_model::Timestamp;

use self::local::LocalFiles;
use self::objects::ObjectFiles;
use crate::{Bucket, Error, Seams, Store};

/// What a listing says of an object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListedFile {
    /// Its name below the root.
    pub key: String,
    /// Its length.
    pub size_bytes: u64,
    /// When it was last written, by the store's clock.
    pub modified: Timestamp,
}

/// The objects of one bucket. Cheap to clone.
#[derive(Clone)]
pub struct BucketFiles {
    root: Arc<str>,
    target: Target,
}

#[derive(Clone)]
enum Target {
    Local(Arc<LocalFiles>),
    Objects(Arc<ObjectFiles>),
}

impl fmt::Debug for BucketFiles {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BucketFiles").field("root", &self.root).finish_non_exhaustive()
    }
}

impl BucketFiles {
    /// Opens the bucket without asking it anything.
    ///
    /// # Errors
    /// [`ErrorKind::Settings`](crate::ErrorKind::Settings) for an unusable endpoint or folder.
    pub fn open(bucket: &Bucket, seams: &Seams) -> Result<BucketFiles, Error> {
        match bucket {
            Bucket::Local { root } => {
                let (root, uri) = local::root(root)?;
                Ok(BucketFiles {
                    root: uri.into(),
                    target: Target::Local(Arc::new(LocalFiles::new(root, seams))),
                })
            }
            Bucket::S3(bucket) => {
                let root = format!("s3://{}", bucket.bucket);
                Ok(BucketFiles::of_store(root, Arc::new(bucket.client()?), seams))
            }
        }
    }

    /// Like [`BucketFiles::open`], for an object store that is open already. `root`: the URI that stands for it.
    pub fn of_store(root: String, store: Arc<dyn Store>, seams: &Seams) -> BucketFiles {
        let objects = ObjectFiles::new(store, seams.random.clone());
        BucketFiles { root: root.into(), target: Target::Objects(Arc::new(objects)) }
    }

    /// The URI of the bucket without a slash at the end: `s3://name`, `file:///folder`.
    pub fn root(&self) -> &str {
        &self.root
    }

    /// The URI of an object.
    pub fn uri(&self, key: &str) -> String {
        format!("{}/{key}", self.root)
    }

    /// The key of a URI in this bucket; `None` for one outside. `s3a://` is read as `s3://`, and a path without a scheme or with
    /// one slash as `file://`.
    pub fn key<'a>(&self, uri: &'a str) -> Option<&'a str> {
        let below = |root: &str, uri: &'a str| uri.strip_prefix(root)?.strip_prefix('/');
        if let Some(folder) = self.root.strip_prefix("file://") {
            let path = uri.strip_prefix("file://").or_else(|| uri.strip_prefix("file:")).unwrap_or(uri);
            return below(folder, path).filter(|key| is_plain(key));
        }
        let (name, rest) = (self.root.strip_prefix("s3://")?, uri.split_once("://")?);
        matches!(rest.0, "s3" | "s3a" | "s3n").then_some(())?;
        below(name, rest.1).filter(|key| is_plain(key))
    }

    /// The folder of a bucket that is kept on local disk.
    pub fn folder(&self) -> Option<PathBuf> {
        match &self.target {
            Target::Local(local) => Some(local.root().to_owned()),
            Target::Objects(_) => None,
        }
    }

    /// The object's content; `None` if there is none of that name.
    ///
    /// # Errors
    /// [`ErrorKind::Unavailable`](crate::ErrorKind::Unavailable), [`ErrorKind::Refused`](crate::ErrorKind::Refused).
    pub async fn get(&self, key: &str) -> Result<Option<Bytes>, Error> {
        match &self.target {
            Target::Local(local) => local.get(key).await,
            Target::Objects(objects) => objects.get(key).await,
        }
    }

    /// The bytes of `range`, which must lie within the object; `None` if there is none of that name.
    ///
    /// # Errors
    /// As [`BucketFiles::get`].
    pub async fn get_range(&self, key: &str, range: Range<u64>) -> Result<Option<Bytes>, Error> {
        match &self.target {
            Target::Local(local) => local.get_range(key, range).await,
            Target::Objects(objects) => objects.get_range(key, range).await,
        }
    }

    /// The object's length in bytes; `None` if there is none of that name.
    ///
    /// # Errors
    /// As [`BucketFiles::get`].
    pub async fn size(&self, key: &str) -> Result<Option<u64>, Error> {
        match &self.target {
            Target::Local(local) => local.size(key).await,
            Target::Objects(objects) => objects.size(key).await,
        }
    }

    /// Makes an object. Its name must be one that nobody else uses (made of a random number): where an answer was lost, the same
    /// bytes are put again.
    ///
    /// # Errors
    /// As [`BucketFiles::get`]; [`ErrorKind::Conflict`](crate::ErrorKind::Conflict) where a local folder has another file of that
    /// name; [`ErrorKind::Sync`](crate::ErrorKind::Sync): the process must stop.
    pub async fn put(&self, key: &str, content: Bytes) -> Result<(), Error> {
        match &self.target {
            Target::Local(local) => local.put(key, content).await,
            Target::Objects(objects) => objects.put(key, content).await,
        }
    }

    /// Removes an object; one that is gone already is fine.
    ///
    /// # Errors
    /// As [`BucketFiles::get`].
    pub async fn delete(&self, key: &str) -> Result<(), Error> {
        match &self.target {
            Target::Local(local) => local.delete(key).await,
            Target::Objects(objects) => objects.delete(key).await,
        }
    }

    /// All objects whose keys begin with `prefix`, which ends with a slash. All of the listing is in memory: about 200 bytes an
    /// object.
    ///
    /// # Errors
    /// As [`BucketFiles::get`].
    pub async fn list(&self, prefix: &str) -> Result<Vec<ListedFile>, Error> {
        match &self.target {
            Target::Local(local) => local.list(prefix).await,
            Target::Objects(objects) => objects.list(prefix).await,
        }
    }
}

/// Whether a key stays below its root.
fn is_plain(key: &str) -> bool {
    !key.is_empty() && key.split('/').all(|part| !matches!(part, "" | "." | ".."))
}

#[cfg(test)]
mod tests;
