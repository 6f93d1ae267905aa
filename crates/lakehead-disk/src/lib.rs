//! The seam to the file system: everything that must survive a crash is written through a [`Disk`], so that tests can crash
//! it at any call and see what a power cut would leave.
//!
//! What a crash keeps, and all that callers may rely on:
//! - the content of a file up to its last [`File::sync_data`];
//! - names (created, renamed, removed) up to the last [`Disk::sync_dir`] of their directory.
//!
//! Anything newer may be there whole, in part, or not at all.

#[cfg(feature = "sim")]
pub mod sim;
mod system;

use std::fmt;
use std::io::{self, IoSlice};
use std::path::Path;
use std::sync::Arc;

pub use system::SystemDisk;

/// Alignment of writes that go past the page cache.
pub const PAGE_BYTES: usize = 4096;

pub trait Disk: Send + Sync + fmt::Debug + 'static {
    fn create_dir_all(&self, path: &Path) -> io::Result<()>;
    /// Makes a new, empty file that only its owner may read. `AlreadyExists` if the name is taken.
    fn create(&self, path: &Path) -> io::Result<Arc<dyn File>>;
    /// Opens an existing file for reading and writing.
    fn open(&self, path: &Path) -> io::Result<Arc<dyn File>>;
    /// Replaces `to` if it exists, atomically.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;
    /// Gives the file `from` the second name `to`, without ever replacing anything: `AlreadyExists` if `to` is taken,
    /// `CrossesDevices` if it lies on another file system, `Unsupported` where there are no hard links.
    fn link(&self, _from: &Path, _to: &Path) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }
    /// Lets every user of the machine read the file (mode 0644). Does nothing where there are no users.
    fn let_everybody_read(&self, _path: &Path) -> io::Result<()> {
        Ok(())
    }
    fn remove(&self, path: &Path) -> io::Result<()>;
    /// Names of the regular files in a directory, sorted.
    fn list(&self, dir: &Path) -> io::Result<Vec<String>>;
    /// Makes the names in `dir` durable.
    fn sync_dir(&self, dir: &Path) -> io::Result<()>;
    /// Bytes an unprivileged writer can still put on the file system that holds `dir`.
    fn free_bytes(&self, dir: &Path) -> io::Result<u64>;
    /// Takes the exclusive lock `path`; it lasts as long as the returned value and dies with the process.
    /// `WouldBlock` if somebody holds it.
    fn lock(&self, path: &Path) -> io::Result<Box<dyn Lock>>;
}

pub trait File: Send + Sync + fmt::Debug + 'static {
    /// Fills `buf` from `offset`; fewer bytes only at the end of the file.
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize>;
    /// Writes all of `parts`, one behind the other, from `offset`; the file grows as needed.
    fn write_at(&self, parts: &[IoSlice<'_>], offset: u64) -> io::Result<()>;
    /// Makes the content written so far durable. After an error nothing may be assumed about it, ever.
    fn sync_data(&self) -> io::Result<()>;
    fn size_bytes(&self) -> io::Result<u64>;
    fn truncate(&self, size_bytes: u64) -> io::Result<()>;
    /// Makes the file `size_bytes` long, filled with zeros, in a way that later overwriting and syncing changes no metadata.
    /// Durable when it returns. For a file just created.
    fn fill_with_zeros(&self, size_bytes: u64) -> io::Result<()>;
    /// From now on, writes through this handle go past the page cache, which costs less for data that is seldom read back
    /// from it: each [`File::write_at`] must be one part that starts and ends at a multiple of [`PAGE_BYTES`] in memory and in
    /// the file. `false` if that is not to be had; writes then go through the cache as before. What is written is no more
    /// durable than otherwise. Read through another handle.
    fn write_past_cache(&self) -> bool;
    /// Forgets what memory holds of the synced content, so that the next read comes from the disk. A hint: it may do nothing.
    fn drop_cached(&self);
}

/// A held lock. Dropping it gives it back.
pub trait Lock: Send + Sync + fmt::Debug {}
