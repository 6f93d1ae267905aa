//! A disk that writes down what is done to it, and can fail or die at any call. It syncs nothing: a process that dies loses
//! nothing that the system holds, and a lost power supply is not what it plays.

use std::io::{self, IoSlice};
use std::path::Path;
use std::sync::Arc;

use lakehead_disk::{Disk, File, Lock, SystemDisk};
use parking_lot::Mutex;

/// What happens at the call with the chosen number (counted over all calls that change something).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// The process dies before the call: it and everything later fails.
    DieBefore,
    /// The process dies after the call.
    DieAfter,
    /// The call fails once; the process lives.
    FailOnce,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Links {
    Work,
    /// The staging folder lies on another file system; links within one work.
    CrossDevices,
    /// There are none.
    Unsupported,
}

#[derive(Debug)]
pub(crate) struct Script {
    at: usize,
    fault: Fault,
    links: Links,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    calls: usize,
    dead: bool,
    trace: Vec<String>,
}

#[derive(Debug)]
pub(crate) struct FaultyDisk(Arc<Script>);

#[derive(Debug)]
struct FaultyFile {
    name: String,
    file: Arc<dyn File>,
    script: Arc<Script>,
}

impl FaultyDisk {
    pub(crate) fn new(at: usize, fault: Fault, links: Links) -> Arc<FaultyDisk> {
        Arc::new(FaultyDisk(Arc::new(Script { at, fault, links, state: Mutex::default() })))
    }

    pub(crate) fn tracing() -> Arc<FaultyDisk> {
        FaultyDisk::new(usize::MAX, Fault::FailOnce, Links::Work)
    }

    pub(crate) fn calls(&self) -> usize {
        self.0.state.lock().calls
    }

    pub(crate) fn trace(&self) -> Vec<String> {
        self.0.state.lock().trace.clone()
    }
}

impl Script {
    fn call<T>(&self, what: String, work: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
        let mut state = self.state.lock();
        if state.dead {
            return Err(io::Error::other("the process is dead"));
        }
        state.trace.push(what);
        let number = state.calls;
        state.calls += 1;
        if number != self.at {
            return work();
        }
        match self.fault {
            Fault::FailOnce => Err(io::Error::other("this call fails")),
            Fault::DieBefore => {
                state.dead = true;
                Err(io::Error::other("died before"))
            }
            Fault::DieAfter => {
                state.dead = true;
                let _ = work();
                Err(io::Error::other("died after"))
            }
        }
    }

    fn look<T>(&self, work: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
        match self.state.lock().dead {
            true => Err(io::Error::other("the process is dead")),
            false => work(),
        }
    }
}

fn name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

impl Disk for FaultyDisk {
    fn create_dir_all(&self, path: &Path) -> io::Result<()> {
        self.0.call(format!("mkdir {}", name(path)), || SystemDisk.create_dir_all(path))
    }

    fn create(&self, path: &Path) -> io::Result<Arc<dyn File>> {
        let file = self.0.call(format!("create {}", name(path)), || SystemDisk.create(path))?;
        Ok(Arc::new(FaultyFile { name: name(path), file, script: self.0.clone() }))
    }

    fn open(&self, path: &Path) -> io::Result<Arc<dyn File>> {
        let file = self.0.look(|| SystemDisk.open(path))?;
        Ok(Arc::new(FaultyFile { name: name(path), file, script: self.0.clone() }))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.0.call(format!("rename {} {}", name(from), name(to)), || SystemDisk.rename(from, to))
    }

    fn link(&self, from: &Path, to: &Path) -> io::Result<()> {
        match self.0.links {
            Links::Unsupported => return Err(io::ErrorKind::Unsupported.into()),
            Links::CrossDevices if from.parent() != to.parent() => {
                return Err(io::ErrorKind::CrossesDevices.into());
            }
            _ => {}
        }
        self.0.call(format!("link {} {}", name(from), name(to)), || SystemDisk.link(from, to))
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.0.call(format!("remove {}", name(path)), || SystemDisk.remove(path))
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<String>> {
        self.0.look(|| SystemDisk.list(dir))
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        self.0.call(format!("syncdir {}", name(dir)), || SystemDisk.list(dir).map(drop))
    }

    fn free_bytes(&self, dir: &Path) -> io::Result<u64> {
        SystemDisk.free_bytes(dir)
    }

    fn lock(&self, path: &Path) -> io::Result<Box<dyn Lock>> {
        SystemDisk.lock(path)
    }
}

impl File for FaultyFile {
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        self.script.look(|| self.file.read_at(buf, offset))
    }

    fn write_at(&self, parts: &[IoSlice<'_>], offset: u64) -> io::Result<()> {
        self.script.call(format!("write {}", self.name), || self.file.write_at(parts, offset))
    }

    fn sync_data(&self) -> io::Result<()> {
        self.script.call(format!("sync {}", self.name), || Ok(()))
    }

    fn size_bytes(&self) -> io::Result<u64> {
        self.script.look(|| self.file.size_bytes())
    }

    fn truncate(&self, size_bytes: u64) -> io::Result<()> {
        self.file.truncate(size_bytes)
    }

    fn fill_with_zeros(&self, size_bytes: u64) -> io::Result<()> {
        self.file.fill_with_zeros(size_bytes)
    }

    fn write_past_cache(&self) -> bool {
        self.file.write_past_cache()
    }

    fn drop_cached(&self) {
        self.file.drop_cached();
    }
}
