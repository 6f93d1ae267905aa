//! The machine's disk, one of whose next calls fails.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use lakehead_disk::{Disk, File, Lock, SystemDisk};

/// Fails the call after `calls_left` others; negative: none.
#[derive(Debug)]
pub(super) struct FaultyDisk {
    pub(super) calls_left: AtomicI64,
}

impl Default for FaultyDisk {
    fn default() -> Self {
        FaultyDisk { calls_left: AtomicI64::new(-1) }
    }
}

impl FaultyDisk {
    fn call(&self) -> io::Result<()> {
        match self.calls_left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |n| (n >= 0).then(|| n - 1)) {
            Ok(0) => Err(io::Error::other("the disk fails on demand")),
            _ => Ok(()),
        }
    }
}

impl Disk for FaultyDisk {
    fn create_dir_all(&self, path: &Path) -> io::Result<()> {
        SystemDisk.create_dir_all(path)
    }
    fn create(&self, path: &Path) -> io::Result<Arc<dyn File>> {
        self.call()?;
        SystemDisk.create(path)
    }
    fn open(&self, path: &Path) -> io::Result<Arc<dyn File>> {
        self.call()?;
        SystemDisk.open(path)
    }
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        SystemDisk.rename(from, to)
    }
    fn link(&self, from: &Path, to: &Path) -> io::Result<()> {
        SystemDisk.link(from, to)
    }
    fn remove(&self, path: &Path) -> io::Result<()> {
        self.call()?;
        SystemDisk.remove(path)
    }
    fn list(&self, dir: &Path) -> io::Result<Vec<String>> {
        self.call()?;
        SystemDisk.list(dir)
    }
    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        SystemDisk.sync_dir(dir)
    }
    fn free_bytes(&self, dir: &Path) -> io::Result<u64> {
        SystemDisk.free_bytes(dir)
    }
    fn lock(&self, path: &Path) -> io::Result<Box<dyn Lock>> {
        SystemDisk.lock(path)
    }
}
