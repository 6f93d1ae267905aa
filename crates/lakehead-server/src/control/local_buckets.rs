//! Buckets as folders of one root.
//!
//! ```text
//!   root/my-bucket/year=2026/month=11/…parquet      key = the path below the bucket's folder
//! ```
//!
//! **Invariant:** a key is walked folder by folder from the bucket's own, each opened relative to the one before and never
//! through a symbolic link, so no key leads outside, whatever the folders hold and whoever renames them meanwhile.
//! **Bounds:** a walk for emptiness stops at the first file; folders are at most [`DEPTH_MAX`] deep.

use std::fs::{self, File};
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, Mode, OFlags, openat};
use rustix::io::Errno;

use super::{BucketStore, Error, Kind, Object, ObjectEntry, Usage, listing};

/// Parts of a key; S3 allows 1,024 bytes of key.
const DEPTH_MAX: usize = 512;
/// Bytes of a key, as in S3.
const KEY_BYTES_MAX: usize = 1024;
/// Files and folders that are counted before the answer is "too many to tell".
const ENTRIES_MAX: usize = 100_000;

/// Buckets as folders of one root.
#[derive(Debug, Clone)]
pub struct LocalBuckets {
    place: Place,
}

#[derive(Debug, Clone)]
enum Place {
    /// Each bucket a folder of its name.
    Below(PathBuf),
    /// Every bucket this folder.
    At(PathBuf),
}

impl LocalBuckets {
    /// Folders below `root`, which is made when the first bucket is.
    pub fn new(root: impl Into<PathBuf>) -> Self {
        LocalBuckets { place: Place::Below(root.into()) }
    }

    /// The one bucket that is `folder`, whatever its name.
    pub fn one(folder: impl Into<PathBuf>) -> Self {
        LocalBuckets { place: Place::At(folder.into()) }
    }

    /// The folder of a bucket whose name has been checked.
    pub fn folder(&self, bucket: &str) -> PathBuf {
        match &self.place {
            Place::Below(root) => root.join(bucket),
            Place::At(folder) => folder.clone(),
        }
    }
}

impl BucketStore for LocalBuckets {
    fn create(&self, bucket: &str) -> Result<(), Error> {
        let folder = self.folder(bucket);
        fs::create_dir_all(&folder).map_err(|e| unavailable("make", &folder, &e))
    }

    fn is_empty(&self, bucket: &str) -> Result<bool, Error> {
        let folder = self.folder(bucket);
        holds_no_file(&folder, 0).map_err(|e| unavailable("list", &folder, &e))
    }

    fn delete_if_empty(&self, bucket: &str) -> Result<(), Error> {
        if !self.is_empty(bucket)? {
            return Err(Error::NotEmpty(bucket.to_owned()));
        }
        let folder = self.folder(bucket);
        match remove_folders(&folder) {
            Err(e) if e.kind() == io::ErrorKind::DirectoryNotEmpty => Err(Error::NotEmpty(bucket.to_owned())),
            other => other.map_err(|e| unavailable("remove", &folder, &e)),
        }
    }

    fn get_object(&self, bucket: &str, key: &str) -> Result<Object, Error> {
        let missing = || Error::Missing(Kind::Object);
        let parts = parts_of_key(key).ok_or_else(missing)?;
        let (name, folders) = parts.split_last().ok_or_else(missing)?;
        let open = || -> Result<OwnedFd, Errno> {
            let folder_flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            let mut at = openat(CWD, self.folder(bucket), folder_flags, Mode::empty())?;
            for folder in folders {
                at = openat(&at, *folder, folder_flags, Mode::empty())?;
            }
            // Without NONBLOCK, opening a named pipe somebody put there would hang.
            let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
            openat(&at, *name, flags, Mode::empty())
        };
        let file = match open() {
            Ok(fd) => File::from(fd),
            Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP | Errno::NAMETOOLONG | Errno::NXIO) => {
                return Err(missing());
            }
            Err(e) => return Err(unavailable("open an object in", &self.folder(bucket), &e.into())),
        };
        let metadata = file.metadata().map_err(|e| unavailable("read", &self.folder(bucket), &e))?;
        if !metadata.is_file() {
            return Err(missing());
        }
        Ok(Object { size_bytes: metadata.len(), bytes: Box::new(file) })
    }

    fn list_objects(
        &self,
        bucket: &str,
        prefix: &str,
        after: Option<&str>,
        keys_max: usize,
    ) -> Result<Vec<ObjectEntry>, Error> {
        let folder = self.folder(bucket);
        listing::list(&folder, prefix, after, keys_max).map_err(|e| unavailable("list", &folder, &e))
    }

    fn usage(&self, bucket: &str) -> Result<Option<Usage>, Error> {
        let folder = self.folder(bucket);
        let (mut usage, mut left) = (Usage::default(), ENTRIES_MAX);
        match add_up(&folder, 0, &mut usage, &mut left) {
            Ok(()) => Ok((left > 0).then_some(usage)),
            Err(e) => Err(unavailable("list", &folder, &e)),
        }
    }
}

/// The folders and the file name of a key; `None` if it can name no file below a folder.
fn parts_of_key(key: &str) -> Option<Vec<&str>> {
    if key.len() > KEY_BYTES_MAX || key.contains('\0') {
        return None;
    }
    let parts: Vec<_> = key.split('/').collect();
    let plain = parts.iter().all(|p| !matches!(*p, "" | "." | ".."));
    (plain && parts.len() <= DEPTH_MAX).then_some(parts)
}

/// Adds the files below `folder` to `usage`, until `left` entries have been looked at.
fn add_up(folder: &Path, depth: usize, usage: &mut Usage, left: &mut usize) -> io::Result<()> {
    let entries = match fs::read_dir(folder) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(()),
        other => other?,
    };
    for entry in entries {
        let entry = entry?;
        *left = left.saturating_sub(1);
        if *left == 0 || depth >= DEPTH_MAX {
            return Ok(());
        }
        // Does not follow links. A file may go while it is being counted: then it is not there.
        match entry.metadata() {
            Ok(m) if m.is_dir() => add_up(&entry.path(), depth + 1, usage, left)?,
            Ok(m) => {
                usage.objects += 1;
                usage.size_bytes += m.len();
            }
            Err(e) if e.kind() == io::ErrorKind::NotFound => {}
            Err(e) => return Err(e),
        }
    }
    Ok(())
}

fn holds_no_file(folder: &Path, depth: usize) -> io::Result<bool> {
    let entries = match fs::read_dir(folder) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(true),
        other => other?,
    };
    for entry in entries {
        let entry = entry?;
        // `file_type` does not follow links: a link counts as an object.
        if !entry.file_type()?.is_dir() || depth >= DEPTH_MAX || !holds_no_file(&entry.path(), depth + 1)? {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Removes folders only, innermost first: a file that appears meanwhile makes it stop.
fn remove_folders(folder: &Path) -> io::Result<()> {
    let entries = match fs::read_dir(folder) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(()),
        other => other?,
    };
    for entry in entries {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            remove_folders(&entry.path())?;
        }
    }
    fs::remove_dir(folder)
}

fn unavailable(doing: &str, folder: &Path, error: &io::Error) -> Error {
    Error::Unavailable(format!("cannot {doing} {}: {error}", folder.display()))
}
