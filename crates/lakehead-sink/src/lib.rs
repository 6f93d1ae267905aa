//! Rows into files: partition → encode → roll → stage → publish, for JSON lines and Parquet in local folders and S3.
//!
//! A *flow* is one `INSERT` of a pipeline into one sink. It turns a range of positions `[lo, hi)` into files, and a commit
//! covers **exactly** `[lo, hi)` and **all** files open at that time, so that a flow's committed position is one number.
//!
//! ```text
//!   Writer                                                    Publisher             the runtime, in the metadata store
//!   write(batch, partition)  rows → staged files on local disk
//!   must_roll()?             size, age, inactivity, open files
//!   prepare()                all files finished and synced ─────────────────────►  1. store the intent {lo, hi, files}
//!                                                             publish(files)        2.  each file visible, whole
//!                                                                                   3. committed = hi, intent dropped
//!                                                             discard(files)        4.  staged files removed
//! ```
//! What a crash leaves, by where it hits:
//! - before 1 is durable: staged files nobody knows. [`clean_staging`] removes them; the rows are read again from the log.
//! - after 1, during 2: the intent names complete, synced files and their final names. Publish again; what is there already
//!   is recognised by size and checksum, and nothing is ever overwritten.
//! - after 2, before 3: the same; publishing finds everything in place.
//! - after 3: staged files that nobody needs. [`clean_staging`].
//!
//! A table instead of plain files differs in step 2 alone: files go up as they do here, and then one commit of the table names
//! them together with the position. That committer will stand beside [`Publisher`] and take the same [`Prepared`].
//!
//! So each row is visible exactly once, and a file is visible whole or not at all. Nothing depends on listing a bucket.
//!
//! **Bounds.** A writer has at most [`OPEN_FILES_MAX`] files open; all writers of a process hold at most a
//! [`MemoryBudget`] of rows not yet on disk (plus [`JSON_BUFFER_BYTES`] and, gzipped, about 0.4 MiB for each open JSON
//! file); all uploads of a process hold at most [`Uploads`] parts in memory.
//!
//! **Invariant:** nothing here knows HTTP handlers, SQL or the log.

mod bucket_files;
mod encode;
mod error;
mod key;
mod lone;
mod memory;
mod naming;
mod publish;
#[cfg(feature = "read-back")]
pub mod read_back;
mod recount;
mod staged;
mod writer;

pub use bucket_files::{BucketFiles, ListedFile};
pub use encode::{JSON_BUFFER_BYTES, check_columns, json_lines};
pub use error::{Error, ErrorKind};
pub use key::validate;
pub use lone::LoneFile;
pub use memory::{MEMORY_BYTES_DEFAULT, MemoryBudget};
pub use naming::FirstRecord;
pub use publish::{Bucket, LeftUploads, Published, Publisher, S3Bucket, Store, UploadLimits, Uploads};
pub use recount::{Recounted, Recounter};
pub use staged::{StagedFile, clean_staging};
pub use writer::{OPEN_FILES_MAX, Prepared, Roll, Seams, Writer, WriterSettings, Written};
