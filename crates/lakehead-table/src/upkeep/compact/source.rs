//! Reading a Parquet file of a bucket piece by piece.
//!
//! **Bounds:** files up to 8 MiB are in memory whole; of larger ones, a window of at most 1 MiB of each column, all windows 32 MiB.

use std::collections::HashMap;
use std::io::{self, Read};
use std::sync::Arc;

use bytes::{Buf, Bytes};
use lakehead_sink::BucketFiles;
use parking_lot::Mutex;
use parquet::errors::ParquetError;
use parquet::file::metadata::ParquetMetaData;
use parquet::file::reader::{ChunkReader, Length};
use tokio::runtime::Handle;

const WHOLE_BYTES: u64 = 8 << 20;
const WINDOW_BYTES_MAX: u64 = 1 << 20;
const WINDOWS_BYTES: u64 = 32 << 20;

/// A file, read from a thread that may block.
#[derive(Debug, Clone)]
pub(super) struct Source(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    bucket: BucketFiles,
    key: String,
    size_bytes: u64,
    runtime: Handle,
    window_bytes: u64,
    /// Where columns of row groups begin and end, by their beginning.
    chunks: Vec<(u64, u64)>,
    /// What was read ahead, by chunk; those of one row group.
    windows: Mutex<HashMap<usize, (u64, Bytes)>>,
    /// Windows at a time.
    windows_max: usize,
}

impl Source {
    pub(super) fn new(
        bucket: BucketFiles,
        key: String,
        size_bytes: u64,
        footer: &ParquetMetaData,
        runtime: Handle,
    ) -> Source {
        let mut chunks: Vec<_> = match size_bytes <= WHOLE_BYTES {
            true => vec![(0, size_bytes)],
            false => {
                let groups = footer.row_groups().iter().flat_map(|group| group.columns());
                groups
                    .map(|column| column.byte_range())
                    .map(|(start, length)| (start, start + length))
                    .collect()
            }
        };
        chunks.sort_unstable();
        let columns = footer.file_metadata().schema_descr().num_columns().max(1);
        let window_bytes = match size_bytes <= WHOLE_BYTES {
            true => WHOLE_BYTES,
            false => (WINDOWS_BYTES / columns as u64).clamp(64 << 10, WINDOW_BYTES_MAX),
        };
        Source(Arc::new(Inner {
            bucket,
            key,
            size_bytes,
            runtime,
            window_bytes,
            chunks,
            windows: Mutex::default(),
            windows_max: columns,
        }))
    }
}

impl Inner {
    fn fetch(&self, start: u64, end: u64) -> io::Result<Bytes> {
        let got = self.runtime.block_on(self.bucket.get_range(&self.key, start..end));
        match got.map_err(io::Error::other)? {
            Some(bytes) if bytes.len() as u64 == end - start => Ok(bytes),
            Some(_) => Err(io::ErrorKind::UnexpectedEof.into()),
            None => Err(io::Error::new(
                io::ErrorKind::NotFound,
                format!("{} is gone", self.bucket.uri(&self.key)),
            )),
        }
    }

    /// Some of the bytes from `at` on; none only at the end of the file.
    fn some(&self, at: u64) -> io::Result<Bytes> {
        if at >= self.size_bytes {
            return Ok(Bytes::new());
        }
        let chunk = self.chunks.partition_point(|(start, _)| *start <= at).checked_sub(1);
        let Some((chunk, end)) = chunk.map(|n| (n, self.chunks[n].1)).filter(|(_, end)| at < *end) else {
            return self.fetch(at, (at + 4096).min(self.size_bytes));
        };
        let mut windows = self.windows.lock();
        if let Some((start, bytes)) = windows.get(&chunk)
            && let Some(skip) = at.checked_sub(*start).filter(|skip| *skip < bytes.len() as u64)
        {
            return Ok(bytes.slice(usize::try_from(skip).unwrap_or(0)..));
        }
        let bytes = self.fetch(at, (at + self.window_bytes).min(end).min(self.size_bytes))?;
        if windows.len() >= self.windows_max && !windows.contains_key(&chunk) {
            windows.clear();
        }
        windows.insert(chunk, (at, bytes.clone()));
        Ok(bytes)
    }
}

impl Length for Source {
    fn len(&self) -> u64 {
        self.0.size_bytes
    }
}

impl ChunkReader for Source {
    type T = SourceRead;

    fn get_read(&self, start: u64) -> Result<SourceRead, ParquetError> {
        Ok(SourceRead { source: self.clone(), at: start })
    }

    fn get_bytes(&self, start: u64, length: usize) -> Result<Bytes, ParquetError> {
        let failed = |e: io::Error| ParquetError::External(Box::new(e));
        let some = self.0.some(start).map_err(failed)?;
        if some.len() >= length {
            return Ok(some.slice(..length));
        }
        self.0.fetch(start, start + length as u64).map_err(failed)
    }
}

/// Bytes of a file from some place on.
#[derive(Debug)]
pub(super) struct SourceRead {
    source: Source,
    at: u64,
}

impl Read for SourceRead {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        if buf.is_empty() {
            return Ok(0);
        }
        let mut some = self.source.0.some(self.at)?;
        let length = some.len().min(buf.len());
        some.copy_to_slice(&mut buf[..length]);
        self.at += length as u64;
        Ok(length)
    }
}
