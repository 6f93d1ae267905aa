//! One Parquet file that is no flow's: rows of a table's small files, put together.
//!
//! It takes the same way as a flow's files: staged on local disk, then published whole by a [`Publisher`](crate::Publisher).
//! **Bounds:** a row group in memory, encoded.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::array::RecordBatch;
use lakehead_disk::Disk;
use lakehead_model::resource::{ParquetFormat, SinkFormat};

use crate::encode::Encoder;
use crate::staged::{Output, STAGED_SUFFIX, remove};
use crate::{Error, Seams, StagedFile};

/// A file being written. Its methods block.
#[derive(Debug)]
pub struct LoneFile {
    encoder: Encoder,
    disk: Arc<dyn Disk>,
    dir: PathBuf,
    staged: String,
    key: String,
    rows: u64,
}

impl LoneFile {
    /// Begins a file that will be published as `key`. `first`: its first rows, which decide how columns are encoded; they are not
    /// written.
    ///
    /// # Errors
    /// [`ErrorKind::Encode`](crate::ErrorKind::Encode), [`ErrorKind::Staging`](crate::ErrorKind::Staging).
    pub fn create(
        seams: &Seams,
        staging_dir: &Path,
        key: String,
        format: &ParquetFormat,
        first: &RecordBatch,
    ) -> Result<LoneFile, Error> {
        let disk = seams.disk.clone();
        disk.create_dir_all(staging_dir).map_err(|e| Error::staging("create", staging_dir, e))?;
        let staged = format!("lone.{:032x}{STAGED_SUFFIX}", seams.random.u128());
        let output = Output::create(&*disk, staging_dir, &staged)?;
        let dir = staging_dir.to_owned();
        let encoder = match Encoder::new(output, &SinkFormat::Parquet(format.clone()), &[], first) {
            Ok(encoder) => encoder,
            Err(e) => {
                remove(&*disk, &dir.join(&staged))?;
                return Err(e);
            }
        };
        Ok(LoneFile { encoder, disk, dir, staged, key, rows: 0 })
    }

    /// Adds rows.
    ///
    /// # Errors
    /// As of [`LoneFile::create`]; then only [`LoneFile::abandon`] may follow.
    pub fn write(&mut self, rows: &RecordBatch) -> Result<(), Error> {
        self.encoder.write(rows)?;
        self.rows += rows.num_rows() as u64;
        Ok(())
    }

    /// Finishes the file and makes it durable.
    ///
    /// # Errors
    /// As of [`LoneFile::write`]; [`ErrorKind::Sync`](crate::ErrorKind::Sync): the process must stop.
    pub fn finish(self) -> Result<StagedFile, Error> {
        let LoneFile { encoder, disk, dir, staged, key, rows } = self;
        let done = encoder.finish().and_then(|output| {
            output.sync()?;
            disk.sync_dir(&dir).map_err(|e| Error::sync(&dir, e))?;
            Ok((output.written_bytes(), output.crc32c()))
        });
        match done {
            Ok((size_bytes, crc32c)) => Ok(StagedFile { key, staged, size_bytes, rows, crc32c }),
            Err(e) => {
                // The first error says more.
                let _ = remove(&*disk, &dir.join(&staged));
                Err(e)
            }
        }
    }

    /// Gives it up and removes what is staged.
    ///
    /// # Errors
    /// [`ErrorKind::Staging`](crate::ErrorKind::Staging); [`clean_staging`](crate::clean_staging) will.
    pub fn abandon(self) -> Result<(), Error> {
        let LoneFile { encoder, disk, dir, staged, .. } = self;
        drop(encoder);
        remove(&*disk, &dir.join(&staged))
    }
}
