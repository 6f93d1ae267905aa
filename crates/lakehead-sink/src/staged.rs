//! Files that are written in full on local disk before anything appears in the bucket.
//!
//! ```text
//!   staging folder                          bucket
//!     <flow>.<32 hex>.part   ── publish ──►   analytics/year=2025/…/<name>.parquet
//!     <flow>.<32 hex>.upload                  (S3 only: the id of a multipart upload under way)
//! ```
//! **Invariant:** a staged file named by a [`StagedFile`] is complete and synced. What a crash leaves besides is removed by
//! [`clean_staging`] at the next start.

use std::io::{self, IoSlice, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use lakehead_disk::{Disk, File};
use serde::{Deserialize, Serialize};

use crate::{Error, ErrorKind};

/// The ending of staged files; no reader's glob matches it.
pub(crate) const STAGED_SUFFIX: &str = ".part";
/// The ending of the notes that hold the id of a multipart upload.
pub(crate) const UPLOAD_SUFFIX: &str = ".upload";

/// A finished file that waits to be published. What the intent in the metadata store holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StagedFile {
    /// Its final name in the bucket.
    pub key: String,
    /// Its name in the staging folder.
    pub staged: String,
    pub size_bytes: u64,
    pub rows: u64,
    /// CRC-32C of the content.
    pub crc32c: u32,
}

/// The way of a file's bytes to disk: append only, counted and checksummed.
#[derive(Debug)]
pub(crate) struct Output {
    path: PathBuf,
    file: Arc<dyn File>,
    written: u64,
    crc: u32,
}

impl Output {
    pub(crate) fn create(disk: &dyn Disk, dir: &Path, name: &str) -> Result<Output, Error> {
        let path = dir.join(name);
        let file = disk.create(&path).map_err(|e| Error::staging("create", &path, e))?;
        Ok(Output { path, file, written: 0, crc: 0 })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn written_bytes(&self) -> u64 {
        self.written
    }

    pub(crate) fn crc32c(&self) -> u32 {
        self.crc
    }

    pub(crate) fn sync(&self) -> Result<(), Error> {
        self.file.sync_data().map_err(|e| Error::sync(&self.path, e))
    }
}

impl Write for Output {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file.write_at(&[IoSlice::new(bytes)], self.written)?;
        self.crc = crc32c::crc32c_append(self.crc, bytes);
        self.written += bytes.len() as u64;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Removes every staged file and upload note in `dir` that does not belong to a file in `keep` (the intents that wait in the
/// metadata store). Call it at start, after the intents were published and before the first writer is made. Returns how many
/// files it removed. A folder that is not there is made.
///
/// # Errors
/// [`ErrorKind::Staging`].
pub fn clean_staging(disk: &dyn Disk, dir: &Path, keep: &[StagedFile]) -> Result<usize, Error> {
    disk.create_dir_all(dir).map_err(|e| Error::staging("create", dir, e))?;
    let names = disk.list(dir).map_err(|e| Error::staging("list", dir, e))?;
    let mut removed = 0;
    for name in names {
        let Some(stem) = name.strip_suffix(STAGED_SUFFIX).or_else(|| name.strip_suffix(UPLOAD_SUFFIX)) else {
            continue;
        };
        if keep.iter().any(|k| k.staged.strip_suffix(STAGED_SUFFIX) == Some(stem)) {
            continue;
        }
        remove(disk, &dir.join(&name))?;
        removed += 1;
    }
    Ok(removed)
}

/// Removes a file; one that is gone already is fine.
pub(crate) fn remove(disk: &dyn Disk, path: &Path) -> Result<(), Error> {
    match disk.remove(path) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => Err(Error::staging("remove", path, e)),
        _ => Ok(()),
    }
}

/// Reads `buf.len()` bytes of `file` from `offset`.
pub(crate) fn read_exact(file: &dyn File, path: &Path, buf: &mut [u8], offset: u64) -> Result<(), Error> {
    let read = file.read_at(buf, offset).map_err(|e| Error::staging("read", path, e))?;
    if read < buf.len() {
        return Err(Error::new(
            ErrorKind::Staging,
            format!(
                "{} ends at byte {}; {} more are needed",
                path.display(),
                offset + read as u64,
                buf.len() - read
            ),
        ));
    }
    Ok(())
}

/// CRC-32C of the first `size_bytes` of a file, read in steps of 1 MiB.
pub(crate) fn checksum(file: &dyn File, path: &Path, size_bytes: u64) -> Result<u32, Error> {
    const STEP: usize = 1 << 20;
    let mut buf = vec![0; STEP];
    let (mut crc, mut at) = (0, 0);
    while at < size_bytes {
        let n = usize::try_from(size_bytes - at).unwrap_or(STEP).min(STEP);
        read_exact(file, path, &mut buf[..n], at)?;
        crc = crc32c::crc32c_append(crc, &buf[..n]);
        at += n as u64;
    }
    Ok(crc)
}
