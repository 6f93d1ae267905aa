//! The simulated disk as a process sees it: a layer over [`SimDisk`] that ends with the process, fails single calls, and can be
//! told to lie.
//!
//! It also orders the threads of the log, so that a seed makes the same calls in the same order: the log's keeper waits while an
//! append is under way.

use std::io::{self, IoSlice};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use lakehead_disk::sim::SimDisk;
use lakehead_disk::{Disk, File, Lock};
use parking_lot::{Condvar, Mutex};

/// How a call fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    /// `EIO`.
    Broken,
    /// `ENOSPC`; reads do not fail that way and are passed over.
    Full,
}

/// What the disk says and does not do. No disk may.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Lie {
    #[default]
    None,
    /// Syncs of files whose path contains the word return at once.
    FileSyncs(&'static str),
    /// Syncs of folders whose path contains the word return at once.
    FolderSyncs(&'static str),
}

/// Calls of all processes that can fail, but for syncs, and the one that does.
#[derive(Debug, Default)]
pub(super) struct Faults {
    calls: AtomicU64,
    next: Mutex<Option<(u64, Fault)>>,
    /// The call that failed.
    failed: Mutex<Option<String>>,
}

impl Faults {
    /// Lets one call fail: the first from this number on that can fail so, counted as [`Faults::calls`] does.
    pub(super) fn fail_at(&self, call: u64, fault: Fault) {
        *self.next.lock() = Some((call, fault));
    }

    pub(super) fn calls(&self) -> u64 {
        self.calls.load(Ordering::SeqCst)
    }

    /// What failed, if something has.
    pub(super) fn failed(&self) -> Option<String> {
        self.failed.lock().clone()
    }

    fn call(&self, what: &str, path: &str, writes: bool) -> io::Result<()> {
        let call = self.calls.fetch_add(1, Ordering::SeqCst) + 1;
        let mut next = self.next.lock();
        match *next {
            Some((at, fault)) if call >= at && (writes || fault == Fault::Broken) => {
                *next = None;
                *self.failed.lock() = Some(format!("{what} {path}"));
                Err(match fault {
                    Fault::Broken => io::Error::from_raw_os_error(5),
                    Fault::Full => io::ErrorKind::StorageFull.into(),
                })
            }
            _ => Ok(()),
        }
    }
}

#[derive(Debug, Clone)]
pub(super) struct ProcessDisk {
    disk: SimDisk,
    process: Arc<Process>,
}

#[derive(Debug)]
struct Process {
    /// Every call fails from now on.
    is_over: AtomicBool,
    faults: Arc<Faults>,
    lie: Lie,
    appending: Mutex<bool>,
    appended: Condvar,
}

#[derive(Debug)]
struct ProcessFile {
    file: Arc<dyn File>,
    path: String,
    process: Arc<Process>,
}

impl ProcessDisk {
    pub(super) fn new(disk: SimDisk, faults: Arc<Faults>, lie: Lie) -> Self {
        let process = Process {
            is_over: AtomicBool::new(false),
            faults,
            lie,
            appending: Mutex::new(false),
            appended: Condvar::new(),
        };
        ProcessDisk { disk, process: Arc::new(process) }
    }

    /// The process ends: what it did is with the disk, and it does nothing more.
    pub(super) fn end_process(&self) {
        self.process.is_over.store(true, Ordering::SeqCst);
    }

    /// The power is off, or the process has ended.
    pub(super) fn is_over(&self) -> bool {
        self.process.is_over.load(Ordering::SeqCst) || self.disk.crashed()
    }

    /// Keeps the log's keeper away from the disk while `append` runs.
    pub(super) fn while_appending<T>(&self, append: impl FnOnce() -> T) -> T {
        *self.process.appending.lock() = true;
        let done = append();
        *self.process.appending.lock() = false;
        self.process.appended.notify_all();
        done
    }

    fn file(&self, file: Arc<dyn File>, path: &Path) -> Arc<dyn File> {
        Arc::new(ProcessFile { file, path: path.display().to_string(), process: Arc::clone(&self.process) })
    }
}

impl Process {
    /// Before every call.
    fn enter(&self) -> io::Result<()> {
        /// A keeper that the append itself waits for gets through.
        const PATIENCE: Duration = Duration::from_millis(100);
        if std::thread::current().name() == Some("log-keeper") {
            let mut appending = self.appending.lock();
            if *appending {
                self.appended.wait_for(&mut appending, PATIENCE);
            }
        }
        match self.is_over.load(Ordering::SeqCst) {
            true => Err(io::Error::other("the process is over")),
            false => Ok(()),
        }
    }

    fn call(&self, what: &str, path: &str, writes: bool) -> io::Result<()> {
        self.enter()?;
        self.faults.call(what, path, writes)
    }
}

fn text(path: &Path) -> String {
    path.display().to_string()
}

impl Disk for ProcessDisk {
    fn create_dir_all(&self, path: &Path) -> io::Result<()> {
        self.process.call("create_dir_all", &text(path), true)?;
        self.disk.create_dir_all(path)
    }

    fn create(&self, path: &Path) -> io::Result<Arc<dyn File>> {
        self.process.call("create", &text(path), true)?;
        Ok(self.file(self.disk.create(path)?, path))
    }

    fn open(&self, path: &Path) -> io::Result<Arc<dyn File>> {
        self.process.call("open", &text(path), false)?;
        Ok(self.file(self.disk.open(path)?, path))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.process.call("rename", &text(to), true)?;
        self.disk.rename(from, to)
    }

    fn link(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.process.call("link", &text(to), true)?;
        self.disk.link(from, to)
    }

    fn let_everybody_read(&self, path: &Path) -> io::Result<()> {
        self.process.call("let_everybody_read", &text(path), true)?;
        self.disk.let_everybody_read(path)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.process.call("remove", &text(path), true)?;
        self.disk.remove(path)
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<String>> {
        self.process.call("list", &text(dir), false)?;
        self.disk.list(dir)
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        self.process.enter()?;
        match self.process.lie {
            Lie::FolderSyncs(word) if text(dir).contains(word) => Ok(()),
            _ => self.disk.sync_dir(dir),
        }
    }

    fn free_bytes(&self, dir: &Path) -> io::Result<u64> {
        self.process.enter()?;
        self.disk.free_bytes(dir)
    }

    fn lock(&self, path: &Path) -> io::Result<Box<dyn Lock>> {
        self.process.enter()?;
        self.disk.lock(path)
    }
}

impl File for ProcessFile {
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        self.process.call("read", &self.path, false)?;
        self.file.read_at(buf, offset)
    }

    fn write_at(&self, parts: &[IoSlice<'_>], offset: u64) -> io::Result<()> {
        self.process.call("write", &self.path, true)?;
        self.file.write_at(parts, offset)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.process.enter()?;
        match self.process.lie {
            Lie::FileSyncs(word) if self.path.contains(word) => Ok(()),
            _ => self.file.sync_data(),
        }
    }

    fn size_bytes(&self) -> io::Result<u64> {
        self.process.call("size", &self.path, false)?;
        self.file.size_bytes()
    }

    fn truncate(&self, size_bytes: u64) -> io::Result<()> {
        self.process.call("truncate", &self.path, true)?;
        self.file.truncate(size_bytes)
    }

    fn fill_with_zeros(&self, size_bytes: u64) -> io::Result<()> {
        self.process.call("fill_with_zeros", &self.path, true)?;
        self.file.fill_with_zeros(size_bytes)
    }

    fn write_past_cache(&self) -> bool {
        self.file.write_past_cache()
    }

    fn drop_cached(&self) {
        self.file.drop_cached();
    }
}
