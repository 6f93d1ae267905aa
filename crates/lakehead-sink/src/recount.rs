//! What a file in a bucket really is: its bytes are read and its rows counted, whatever anybody has noted of it.
//!
//! ```text
//!   bucket ── pieces, in order ──► size, CRC-32C
//!                          └─────► rows: line breaks, behind gzip or deflate; of Parquet the footer's row groups, read at last
//! ```
//! What kind of file it is, its first bytes say. Nothing is written, also not to see whether the bucket could be.
//!
//! **Bounds:** one piece ([`LOCAL_PIECE_BYTES`], or one part of the process's [`Uploads`]), one Parquet footer of at most
//! [`FOOTER_BYTES_MAX`]. Every call to a store has a deadline and is tried again as in publishing, but not so often.

mod rows;
mod source;

use std::sync::Arc;

use lakehead_disk::Disk;
use lakehead_model::Random;

use crate::Error;
use crate::publish::{Bucket, Store, Uploads};

use self::rows::{Footer, Rows};
use self::source::Source;

/// Read of a local file at a time.
const LOCAL_PIECE_BYTES: u64 = 1 << 20;
/// Longest Parquet footer that is read; ours are some kilobytes a row group.
const FOOTER_BYTES_MAX: u64 = 64 << 20;

/// What a file is found to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recounted {
    pub size_bytes: u64,
    /// CRC-32C of the content.
    pub crc32c: u32,
    /// How many rows it holds, or why that cannot be said: it is no whole file of a format that this server writes.
    pub rows: Result<u64, String>,
}

/// Reads one bucket.
#[derive(Debug)]
pub struct Recounter {
    source: Source,
}

impl Recounter {
    /// # Errors
    /// [`ErrorKind::Settings`](crate::ErrorKind::Settings).
    pub fn new(
        bucket: Bucket,
        disk: Arc<dyn Disk>,
        random: Arc<dyn Random>,
        uploads: Uploads,
    ) -> Result<Recounter, Error> {
        let source = match bucket {
            Bucket::Local { root } => Source::local(root, disk),
            Bucket::S3(bucket) => Source::objects(Arc::new(bucket.client()?), random, uploads),
        };
        Ok(Recounter { source })
    }

    /// Like [`Recounter::new`], for an object store that is open already.
    pub fn over_store(store: Arc<dyn Store>, random: Arc<dyn Random>, uploads: Uploads) -> Recounter {
        Recounter { source: Source::objects(store, random, uploads) }
    }

    /// Reads a file from its first to its last byte; `None` if it is not there. Between two pieces `go_on` is asked: a file that
    /// was left half-way is an error of kind [`Unavailable`](crate::ErrorKind::Unavailable). Local disks are read on the calling
    /// thread, which should be one that may block.
    ///
    /// # Errors
    /// [`Unavailable`](crate::ErrorKind::Unavailable), [`Refused`](crate::ErrorKind::Refused),
    /// [`Settings`](crate::ErrorKind::Settings).
    pub async fn recount(&self, key: &str, go_on: &dyn Fn() -> bool) -> Result<Option<Recounted>, Error> {
        let Some(file) = self.source.open(key).await? else { return Ok(None) };
        let (mut at, mut crc32c, mut rows) = (0, 0, Rows::default());
        while at < file.size_bytes {
            if !go_on() {
                return Err(source::left_half_way(key));
            }
            let end = file.size_bytes.min(at + self.source.piece_bytes());
            let Some(piece) = self.source.read(&file, at..end).await? else { return Ok(None) };
            crc32c = crc32c::crc32c_append(crc32c, &piece);
            rows.take(&piece);
            at = end;
        }
        let rows = match rows.end() {
            Ok(rows) => Ok(rows),
            Err(rows::Unknown::Broken(why)) => Err(why),
            Err(rows::Unknown::InFooter) => self.rows_in_footer(&file).await?,
        };
        Ok(Some(Recounted { size_bytes: file.size_bytes, crc32c, rows }))
    }

    async fn rows_in_footer(&self, file: &source::Opened) -> Result<Result<u64, String>, Error> {
        let gone = || Err("it went away while it was read".to_owned());
        let Some(tail_at) = file.size_bytes.checked_sub(rows::FOOTER_TAIL_BYTES) else {
            return Ok(Err("it is shorter than any Parquet file".to_owned()));
        };
        let Some(tail) = self.source.read(file, tail_at..file.size_bytes).await? else { return Ok(gone()) };
        let footer = match Footer::of_tail(&tail) {
            Ok(footer) => footer,
            Err(why) => return Ok(Err(why)),
        };
        let Some(begin) = tail_at.checked_sub(footer.bytes) else {
            return Ok(Err(format!("its footer would have {} bytes", footer.bytes)));
        };
        if footer.bytes > FOOTER_BYTES_MAX {
            return Ok(Err(format!("its footer has {} bytes; {FOOTER_BYTES_MAX} are read", footer.bytes)));
        }
        // A footer may be longer than a piece of a store; it is one range of it all the same.
        let Some(metadata) = self.source.read(file, begin..tail_at).await? else { return Ok(gone()) };
        Ok(Footer::rows(&metadata))
    }
}
