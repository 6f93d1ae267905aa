//! Staged files into the bucket, each visible whole under its final key or not at all.
//!
//! Publishing is idempotent: after a crash at any line it is called again with the same files. What is in place already is
//! recognised by its size and, where the target gives it, its checksum. Another object under a key is an error that names
//! the key; nothing is ever overwritten.

mod left_uploads;
mod local;
mod multipart;
mod objects;
pub(crate) mod retry;
mod s3;

use std::path::PathBuf;
use std::sync::Arc;

use lakehead_disk::Disk;

use crate::staged::{STAGED_SUFFIX, UPLOAD_SUFFIX, remove};
use crate::{Error, ErrorKind, Seams, StagedFile};

use self::local::LocalFolder;
use self::objects::Objects;

pub use self::left_uploads::LeftUploads;
pub use self::objects::{Store, UploadLimits, Uploads};
pub use self::s3::S3Bucket;

/// Where a bucket's objects are kept.
#[derive(Debug, Clone)]
pub enum Bucket {
    /// A folder, made when it is first used.
    Local {
        root: PathBuf,
    },
    S3(S3Bucket),
}

/// What [`Publisher::publish`] did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Published {
    /// Files put into the bucket by this call.
    pub placed: usize,
    /// Files that were there already, from a call that a crash or a lost answer cut short.
    pub found: usize,
}

impl Published {
    fn count(&mut self, outcome: Outcome) {
        match outcome {
            Outcome::Placed => self.placed += 1,
            Outcome::Found => self.found += 1,
        }
    }
}

/// How one file came to be in its place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Outcome {
    Placed,
    Found,
}

/// Publishes into one bucket. Make one a bucket and share it.
#[derive(Debug)]
pub struct Publisher {
    staging_dir: PathBuf,
    disk: Arc<dyn Disk>,
    target: Target,
}

#[derive(Debug)]
enum Target {
    Local(Arc<LocalFolder>),
    Objects(Arc<Objects>),
}

impl Publisher {
    /// Makes sure that the bucket can be written to: a local folder is made if need be; an object store is asked whether it
    /// honours conditional puts, which it takes a small object at `.lakehead-probe` for.
    ///
    /// # Errors
    /// [`ErrorKind::Unavailable`], [`ErrorKind::Refused`], [`ErrorKind::Settings`], [`ErrorKind::Sync`].
    pub async fn new(
        bucket: Bucket,
        staging_dir: PathBuf,
        seams: &Seams,
        uploads: Uploads,
    ) -> Result<Publisher, Error> {
        match bucket {
            Bucket::Local { root } => {
                let disk = seams.disk.clone();
                let (folders, staging) = (disk.clone(), staging_dir.clone());
                let folder = blocking(move || LocalFolder::new(root, staging, folders)).await?;
                Ok(Publisher { staging_dir, disk, target: Target::Local(Arc::new(folder)) })
            }
            Bucket::S3(bucket) => {
                let client = bucket.client()?;
                let left = bucket.left_uploads(client.clone())?;
                Publisher::into_store(Arc::new(client), Arc::new(left), staging_dir, seams, uploads).await
            }
        }
    }

    /// Like [`Publisher::new`], without asking the bucket anything: for one of which only a folder may be written, with files whose
    /// names nobody else uses. A look goes before every put.
    ///
    /// # Errors
    /// As [`Publisher::new`].
    pub async fn unprobed(
        bucket: Bucket,
        staging_dir: PathBuf,
        seams: &Seams,
        uploads: Uploads,
    ) -> Result<Publisher, Error> {
        let Bucket::S3(bucket) = bucket else {
            return Publisher::new(bucket, staging_dir, seams, uploads).await;
        };
        let client = bucket.client()?;
        let left = Arc::new(bucket.left_uploads(client.clone())?);
        Publisher::of_objects(Arc::new(client), left, staging_dir, seams, uploads, false).await
    }

    /// Like [`Publisher::new`], for an object store that is open already.
    ///
    /// # Errors
    /// [`ErrorKind::Unavailable`], [`ErrorKind::Refused`].
    pub async fn into_store(
        store: Arc<dyn Store>,
        left: Arc<dyn LeftUploads>,
        staging_dir: PathBuf,
        seams: &Seams,
        uploads: Uploads,
    ) -> Result<Publisher, Error> {
        Publisher::of_objects(store, left, staging_dir, seams, uploads, true).await
    }

    async fn of_objects(
        store: Arc<dyn Store>,
        left: Arc<dyn LeftUploads>,
        staging_dir: PathBuf,
        seams: &Seams,
        uploads: Uploads,
        is_probed: bool,
    ) -> Result<Publisher, Error> {
        let objects = Objects::new(store, left, staging_dir.clone(), seams, uploads, is_probed).await?;
        let disk = seams.disk.clone();
        Ok(Publisher { staging_dir, disk, target: Target::Objects(Arc::new(objects)) })
    }

    /// Whether the target refuses by itself to replace an object. Where not, a look goes before every put.
    pub fn honours_conditions(&self) -> bool {
        match &self.target {
            Target::Local(_) => true,
            Target::Objects(objects) => objects.conditional(),
        }
    }

    /// Makes every file visible under its key. Safe to call again with the same files, whatever happened before.
    ///
    /// # Errors
    /// [`ErrorKind::Unavailable`], [`ErrorKind::Refused`]: call it again later. [`ErrorKind::Conflict`],
    /// [`ErrorKind::Missing`], [`ErrorKind::Staging`]: calling it again cannot help before a person looked.
    /// [`ErrorKind::Sync`]: stop the process.
    pub async fn publish(&self, files: &[StagedFile]) -> Result<Published, Error> {
        match &self.target {
            Target::Local(folder) => {
                let (folder, files) = (folder.clone(), files.to_vec());
                blocking(move || folder.publish(&files)).await
            }
            Target::Objects(objects) => objects.publish(files).await,
        }
    }

    /// Removes the staged files of a commit that is recorded.
    ///
    /// # Errors
    /// [`ErrorKind::Staging`] if one could not be removed; [`clean_staging`](crate::clean_staging) will at the next start.
    pub async fn discard(&self, files: &[StagedFile]) -> Result<(), Error> {
        if let Target::Objects(objects) = &self.target {
            objects.forget(files);
        }
        let (disk, dir, files) = (self.disk.clone(), self.staging_dir.clone(), files.to_vec());
        blocking(move || {
            for file in files {
                remove(&*disk, &dir.join(&file.staged))?;
                remove(&*disk, &dir.join(upload_note(&file)))?;
            }
            Ok(())
        })
        .await
    }
}

/// The name of the note that holds the id of the file's multipart upload.
fn upload_note(file: &StagedFile) -> String {
    let stem = file.staged.strip_suffix(STAGED_SUFFIX).unwrap_or(&file.staged);
    format!("{stem}{UPLOAD_SUFFIX}")
}

/// Runs disk work where it may block.
pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Error> + Send + 'static,
) -> Result<T, Error> {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done,
        Err(e) => Err(Error::caused(ErrorKind::Unavailable, "disk work was cut short", e)),
    }
}

fn missing(file: &StagedFile) -> Error {
    Error::new(
        ErrorKind::Missing,
        format!(
            "staged file {} is gone, and {:?} with its {} bytes is not there either",
            file.staged, file.key, file.size_bytes
        ),
    )
}

fn conflict(file: &StagedFile, what: &str) -> Error {
    Error::new(
        ErrorKind::Conflict,
        format!("{:?} is taken by another object ({what}); it was not overwritten", file.key),
    )
}
