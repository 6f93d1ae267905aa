//! The calls of the seam, on the simulated disk.

use std::io::{self, IoSlice};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::{Content, Inode, NameChange, SimDisk, State, Synced, gone};
use crate::{Disk, File, Lock, PAGE_BYTES};

#[derive(Debug)]
struct SimFile {
    disk: SimDisk,
    inode: Inode,
    /// Whether writes must be whole pages.
    pages: AtomicBool,
}

#[derive(Debug)]
struct SimLock {
    disk: SimDisk,
    path: PathBuf,
}

impl Lock for SimLock {}

impl Drop for SimLock {
    fn drop(&mut self) {
        self.disk.state().locks.remove(&self.path);
    }
}

impl SimFile {
    fn content<'a>(&self, state: &'a mut State) -> io::Result<&'a mut Content> {
        state.files.get_mut(&self.inode).ok_or_else(|| io::ErrorKind::NotFound.into())
    }
}

impl Disk for SimDisk {
    fn create_dir_all(&self, _path: &Path) -> io::Result<()> {
        if self.crashed() { Err(gone()) } else { Ok(()) }
    }

    fn create(&self, path: &Path) -> io::Result<Arc<dyn File>> {
        let (mut state, last) = self.begin()?;
        if last.is_some() {
            return Err(gone());
        }
        if state.names.contains_key(path) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        let inode = state.add(path.to_owned());
        state.unsynced.push(NameChange::Add(path.to_owned(), inode));
        Ok(Arc::new(SimFile { disk: self.clone(), inode, pages: AtomicBool::new(false) }))
    }

    fn open(&self, path: &Path) -> io::Result<Arc<dyn File>> {
        let state = self.state();
        if state.crashed {
            return Err(gone());
        }
        let inode = *state.names.get(path).ok_or(io::ErrorKind::NotFound)?;
        Ok(Arc::new(SimFile { disk: self.clone(), inode, pages: AtomicBool::new(false) }))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let (mut state, last) = self.begin()?;
        if last.is_some() {
            return Err(gone());
        }
        let inode = state.names.remove(from).ok_or(io::ErrorKind::NotFound)?;
        state.names.insert(to.to_owned(), inode);
        state.unsynced.push(NameChange::Move(from.to_owned(), to.to_owned(), inode));
        Ok(())
    }

    fn link(&self, from: &Path, to: &Path) -> io::Result<()> {
        let (mut state, last) = self.begin()?;
        if last.is_some() {
            return Err(gone());
        }
        let inode = *state.names.get(from).ok_or(io::ErrorKind::NotFound)?;
        if state.names.contains_key(to) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        state.names.insert(to.to_owned(), inode);
        state.unsynced.push(NameChange::Add(to.to_owned(), inode));
        Ok(())
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        if !self.state().names.contains_key(path) && !self.crashed() {
            return Err(io::ErrorKind::NotFound.into());
        }
        let (mut state, last) = self.begin()?;
        if last.is_some() {
            return Err(gone());
        }
        state.names.remove(path);
        state.unsynced.push(NameChange::Remove(path.to_owned()));
        Ok(())
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<String>> {
        let state = self.state();
        if state.crashed {
            return Err(gone());
        }
        let inside = state.names.keys().filter(|path| path.parent() == Some(dir));
        Ok(inside.filter_map(|path| Some(path.file_name()?.to_str()?.to_owned())).collect())
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        self.hold_sync();
        let (mut state, last) = self.begin()?;
        if last.is_some() {
            return Err(gone());
        }
        state.count_sync(Synced::Dir(dir.to_owned()))?;
        let changes = std::mem::take(&mut state.unsynced);
        let (now, later) = changes.into_iter().partition(|change| change.path().parent() == Some(dir));
        state.unsynced = later;
        let now: Vec<NameChange> = now;
        for change in now {
            change.apply(&mut state.synced_names);
        }
        Ok(())
    }

    fn free_bytes(&self, _dir: &Path) -> io::Result<u64> {
        let state = self.state();
        if state.crashed {
            return Err(gone());
        }
        Ok(state.capacity_bytes.map_or(u64::MAX / 2, |capacity| capacity.saturating_sub(state.used_bytes())))
    }

    fn lock(&self, path: &Path) -> io::Result<Box<dyn Lock>> {
        let mut state = self.state();
        if state.crashed {
            return Err(gone());
        }
        if !state.locks.insert(path.to_owned()) {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        drop(state);
        Ok(Box::new(SimLock { disk: self.clone(), path: path.to_owned() }))
    }
}

impl File for SimFile {
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        let mut state = self.disk.state();
        if state.crashed {
            return Err(gone());
        }
        let current = &self.content(&mut state)?.current;
        let start = usize::try_from(offset).unwrap_or(usize::MAX).min(current.len());
        let n = buf.len().min(current.len() - start);
        buf[..n].copy_from_slice(&current[start..start + n]);
        Ok(n)
    }

    fn write_at(&self, parts: &[IoSlice<'_>], offset: u64) -> io::Result<()> {
        let aligned = |part: &IoSlice<'_>| {
            [part.as_ptr() as usize, part.len()].iter().all(|n| n.is_multiple_of(PAGE_BYTES))
        };
        let whole = parts.len() == 1 && parts.iter().all(aligned) && offset.is_multiple_of(PAGE_BYTES as u64);
        if self.pages.load(Ordering::Relaxed) && !whole {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        let (mut state, last) = self.disk.begin()?;
        let bytes: Vec<u8> = parts.iter().flat_map(|part| part.iter().copied()).collect();
        let at = usize::try_from(offset).map_err(|_| io::ErrorKind::FileTooLarge)?;
        if let Some(some) = last {
            self.content(&mut state)?.write(at, &bytes[..some.min(bytes.len())]);
            return Err(gone());
        }
        let grows = (at + bytes.len()).saturating_sub(self.content(&mut state)?.current.len());
        state.room_for(grows as u64)?;
        self.content(&mut state)?.write(at, &bytes);
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        self.disk.hold_sync();
        let (mut state, last) = self.disk.begin()?;
        if last.is_some() {
            return Err(gone());
        }
        let counted = state.count_sync(Synced::File(self.inode));
        let content = self.content(&mut state)?;
        if counted.is_err() {
            content.dirty.clear();
        } else {
            content.sync();
        }
        counted
    }

    fn size_bytes(&self) -> io::Result<u64> {
        let mut state = self.disk.state();
        if state.crashed {
            return Err(gone());
        }
        Ok(self.content(&mut state)?.current.len() as u64)
    }

    fn truncate(&self, size_bytes: u64) -> io::Result<()> {
        let (mut state, last) = self.disk.begin()?;
        if last.is_some() {
            return Err(gone());
        }
        let size = usize::try_from(size_bytes).map_err(|_| io::ErrorKind::FileTooLarge)?;
        self.content(&mut state)?.current.resize(size, 0);
        Ok(())
    }

    fn fill_with_zeros(&self, size_bytes: u64) -> io::Result<()> {
        let (mut state, last) = self.disk.begin()?;
        let size = usize::try_from(size_bytes).map_err(|_| io::ErrorKind::FileTooLarge)?;
        let wanted = if last.is_some() { size / 2 } else { size };
        let content = self.content(&mut state)?;
        let grows = wanted.saturating_sub(content.current.len());
        state.room_for(grows as u64)?;
        let counted = state.count_sync(Synced::File(self.inode));
        let content = self.content(&mut state)?;
        content.write(0, &vec![0; wanted]);
        if last.is_some() {
            return Err(gone());
        }
        match counted {
            Ok(()) => content.sync(),
            Err(_) => content.dirty.clear(),
        }
        counted
    }

    fn write_past_cache(&self) -> bool {
        self.pages.store(true, Ordering::Relaxed);
        true
    }

    fn drop_cached(&self) {
        let mut state = self.disk.state();
        if let Ok(content) = self.content(&mut state) {
            content.drop_cached();
        }
    }
}
