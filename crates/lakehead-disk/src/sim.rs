//! A disk in memory that can lose power, fail a sync, and run full. For tests.
//!
//! ```text
//!   write ─► current (what reads see; the page cache) ── sync_data ─► synced (what a crash surely keeps)
//!                  └─ dirty: the 512-byte sectors in which the two may differ
//!   create, rename, link, remove ─► names ── sync_dir ─► synced names
//! ```
//! A sync that fails does what kernels do: the sectors count as clean from then on and never reach the disk, reads go on
//! seeing them until they are dropped from the cache, and the next sync reports success.
//!
//! Directories themselves are durable at once.

mod calls;

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

const SECTOR_BYTES: usize = 512;

/// What is left after a crash.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Keep {
    /// What was synced.
    Synced,
    /// Everything that was written.
    All,
    /// What was synced, and of the rest a subset of the sectors and names drawn from this seed.
    Random(u64),
    /// Only the process died: everything is there, and nothing more is synced than before.
    Process,
}

/// A disk in memory. Clones share it.
#[derive(Debug, Clone, Default)]
pub struct SimDisk {
    state: Arc<Mutex<State>>,
    before_sync: Hook,
}

type Callback = Arc<dyn Fn() + Send + Sync>;

#[derive(Clone, Default)]
struct Hook(Arc<Mutex<Option<Callback>>>);

impl std::fmt::Debug for Hook {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Hook")
    }
}

type Inode = u64;

/// What a sync was for.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Synced {
    File(Inode),
    Dir(PathBuf),
}

#[derive(Debug, Clone, Default)]
struct State {
    files: BTreeMap<Inode, Content>,
    names: BTreeMap<PathBuf, Inode>,
    synced_names: BTreeMap<PathBuf, Inode>,
    unsynced: Vec<NameChange>,
    next_inode: Inode,
    locks: BTreeSet<PathBuf>,
    /// Calls that change the disk, so far.
    calls: u64,
    crash_at: Option<(u64, usize)>,
    crashed: bool,
    syncs: u64,
    fail_sync_at: Option<u64>,
    failed_syncs: BTreeSet<Synced>,
    syncs_after_failure: u64,
    capacity_bytes: Option<u64>,
}

#[derive(Debug, Clone, Default)]
struct Content {
    current: Vec<u8>,
    synced: Vec<u8>,
    dirty: BTreeSet<usize>,
}

#[derive(Debug, Clone)]
enum NameChange {
    Add(PathBuf, Inode),
    Move(PathBuf, PathBuf, Inode),
    Remove(PathBuf),
}

impl NameChange {
    fn path(&self) -> &Path {
        match self {
            NameChange::Add(path, _) | NameChange::Move(_, path, _) | NameChange::Remove(path) => path,
        }
    }

    fn apply(&self, names: &mut BTreeMap<PathBuf, Inode>) {
        match self {
            NameChange::Add(path, inode) => {
                names.insert(path.clone(), *inode);
            }
            NameChange::Move(from, to, inode) => {
                if names.get(from) == Some(inode) {
                    names.remove(from);
                }
                names.insert(to.clone(), *inode);
            }
            NameChange::Remove(path) => {
                names.remove(path);
            }
        }
    }
}

impl Content {
    fn write(&mut self, mut at: usize, bytes: &[u8]) {
        if bytes.is_empty() {
            return;
        }
        let end = at + bytes.len();
        if self.current.len() < end {
            self.current.resize(end, 0);
        }
        self.current[at..end].copy_from_slice(bytes);
        at -= at % SECTOR_BYTES;
        self.dirty.extend((at..end).step_by(SECTOR_BYTES).map(|at| at / SECTOR_BYTES));
    }

    fn sync(&mut self) {
        self.synced.resize(self.current.len(), 0);
        for sector in std::mem::take(&mut self.dirty) {
            self.keep(sector);
        }
    }

    /// Brings one sector to the disk.
    fn keep(&mut self, sector: usize) {
        let start = sector * SECTOR_BYTES;
        let end = (start + SECTOR_BYTES).min(self.current.len());
        if start >= end {
            return;
        }
        if self.synced.len() < end {
            self.synced.resize(end, 0);
        }
        self.synced[start..end].copy_from_slice(&self.current[start..end]);
    }

    /// Reads the clean sectors from the disk again.
    fn drop_cached(&mut self) {
        for (sector, bytes) in self.current.chunks_mut(SECTOR_BYTES).enumerate() {
            let start = sector * SECTOR_BYTES;
            if let Some(synced) = self.synced.get(start..start + bytes.len())
                && !self.dirty.contains(&sector)
            {
                bytes.copy_from_slice(synced);
            }
        }
    }

    fn crash(&mut self, keep: Keep, random: &mut SplitMix) {
        match keep {
            Keep::Process => return,
            Keep::Synced => {}
            Keep::All => self.sync(),
            Keep::Random(_) => {
                if random.coin() {
                    self.synced.resize(self.current.len(), 0);
                }
                for sector in std::mem::take(&mut self.dirty) {
                    if random.coin() {
                        self.keep(sector);
                    }
                }
            }
        }
        self.current = self.synced.clone();
        self.dirty.clear();
    }
}

struct SplitMix(u64);

impl SplitMix {
    fn coin(&mut self) -> bool {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (z ^ (z >> 31)) & 1 == 1
    }
}

fn gone() -> io::Error {
    io::Error::other("the power is off")
}

fn eio() -> io::Error {
    io::Error::from_raw_os_error(5)
}

impl SimDisk {
    pub fn new() -> Self {
        SimDisk::default()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Calls so far that changed the disk or synced it.
    pub fn calls(&self) -> u64 {
        self.state().calls
    }

    /// Turns the power off at the given call, counted as [`SimDisk::calls`] does: it has no effect, except that a write still
    /// writes its first `bytes`. It and all later calls fail.
    pub fn crash_at(&self, call: u64, bytes: usize) {
        self.state().crash_at = Some((call, bytes));
    }

    /// Turns the power off now.
    pub fn crash(&self) {
        self.state().crashed = true;
    }

    pub fn crashed(&self) -> bool {
        self.state().crashed
    }

    /// The disk as the next start finds it. This one stays as it is.
    pub fn after_crash(&self, keep: Keep) -> SimDisk {
        let mut state = self.state().clone();
        let mut random = SplitMix(if let Keep::Random(seed) = keep { seed } else { 0 });
        let process = keep == Keep::Process;
        for change in std::mem::take(&mut state.unsynced) {
            let kept = match keep {
                Keep::Synced => false,
                Keep::All => true,
                Keep::Random(_) => random.coin(),
                Keep::Process => {
                    state.unsynced.push(change);
                    continue;
                }
            };
            if kept {
                change.apply(&mut state.synced_names);
            }
        }
        if !process {
            state.names = state.synced_names.clone();
        }
        let linked: BTreeSet<Inode> =
            state.names.values().chain(state.synced_names.values()).copied().collect();
        state.files.retain(|inode, _| linked.contains(inode));
        for content in state.files.values_mut() {
            content.crash(keep, &mut random);
        }
        state.locks.clear();
        state.crashed = false;
        (state.crash_at, state.fail_sync_at) = (None, None);
        (state.calls, state.syncs) = (0, 0);
        SimDisk { state: Arc::new(Mutex::new(state)), before_sync: Hook::default() }
    }

    /// Syncs so far: of files, of directories and of preparing.
    pub fn syncs(&self) -> u64 {
        self.state().syncs
    }

    /// Lets the given sync, counted as [`SimDisk::syncs`] does, fail with `EIO`.
    pub fn fail_sync_at(&self, sync: u64) {
        self.state().fail_sync_at = Some(sync);
    }

    /// The files and directories whose sync has failed.
    pub fn failed_syncs(&self) -> Vec<PathBuf> {
        let state = self.state();
        let name =
            |inode: &Inode| state.names.iter().find(|(_, i)| *i == inode).map(|(path, _)| path.clone());
        let path = |failed: &Synced| match failed {
            Synced::Dir(path) => path.clone(),
            Synced::File(inode) => name(inode).unwrap_or_default(),
        };
        state.failed_syncs.iter().map(path).collect()
    }

    /// Syncs of a file or directory whose sync had failed before: there must be none.
    pub fn syncs_after_failure(&self) -> u64 {
        self.state().syncs_after_failure
    }

    /// The disk is full when its files hold this many bytes.
    pub fn set_capacity(&self, bytes: u64) {
        self.state().capacity_bytes = Some(bytes);
    }

    /// Called before every sync, from the thread that syncs: to hold it up.
    pub fn before_sync(&self, hook: impl Fn() + Send + Sync + 'static) {
        *self.before_sync.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(Arc::new(hook));
    }

    /// Every file, in the order of the names.
    pub fn paths(&self) -> Vec<PathBuf> {
        self.state().names.keys().cloned().collect()
    }

    /// The content of a file, empty if there is none.
    pub fn content(&self, path: &Path) -> Vec<u8> {
        let state = self.state();
        state
            .names
            .get(path)
            .and_then(|inode| state.files.get(inode))
            .map_or(Vec::new(), |c| c.current.clone())
    }

    /// Puts a file there, durably, behind the back of whoever uses the disk.
    pub fn set_content(&self, path: &Path, bytes: Vec<u8>) {
        let mut state = self.state();
        let inode = match state.names.get(path) {
            Some(inode) => *inode,
            None => state.add(path.to_owned()),
        };
        state.synced_names.insert(path.to_owned(), inode);
        let content = Content { current: bytes.clone(), synced: bytes, dirty: BTreeSet::new() };
        state.files.insert(inode, content);
    }

    /// Begins a call that changes the disk. `Err` if the power is off, `Ok(Some(bytes))` if this call is the last one.
    fn begin(&self) -> io::Result<(MutexGuard<'_, State>, Option<usize>)> {
        let mut state = self.state();
        if state.crashed {
            return Err(gone());
        }
        state.calls += 1;
        match state.crash_at {
            Some((call, bytes)) if call == state.calls => {
                state.crashed = true;
                Ok((state, Some(bytes)))
            }
            _ => Ok((state, None)),
        }
    }

    fn hold_sync(&self) {
        let hook = self.before_sync.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some(hook) = hook {
            hook();
        }
    }
}

impl State {
    fn add(&mut self, path: PathBuf) -> Inode {
        self.next_inode += 1;
        self.files.insert(self.next_inode, Content::default());
        self.names.insert(path, self.next_inode);
        self.next_inode
    }

    fn used_bytes(&self) -> u64 {
        self.names.values().filter_map(|i| self.files.get(i)).map(|c| c.current.len() as u64).sum()
    }

    /// Whether a file may grow by `bytes`.
    fn room_for(&self, bytes: u64) -> io::Result<()> {
        match self.capacity_bytes {
            Some(capacity) if self.used_bytes() + bytes > capacity => Err(io::ErrorKind::StorageFull.into()),
            _ => Ok(()),
        }
    }

    /// Counts a sync; fails if it is the one to fail.
    fn count_sync(&mut self, what: Synced) -> io::Result<()> {
        self.syncs += 1;
        if self.failed_syncs.contains(&what) {
            self.syncs_after_failure += 1;
        }
        if self.fail_sync_at == Some(self.syncs) {
            self.failed_syncs.insert(what);
            return Err(eio());
        }
        Ok(())
    }
}
