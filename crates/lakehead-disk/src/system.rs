//! The machine's file system.

use std::fs;
use std::io::{self, IoSlice};
use std::os::unix::fs::{FileExt, OpenOptionsExt, PermissionsExt};
use std::path::Path;
use std::sync::Arc;

use rustix::fs::{FlockOperation, OFlags};

use crate::{Disk, File, Lock, PAGE_BYTES};

#[derive(Debug, Default, Clone, Copy)]
pub struct SystemDisk;

#[derive(Debug)]
struct SystemFile(fs::File);

#[derive(Debug)]
struct SystemLock(#[expect(dead_code, reason = "held for its lock")] fs::File);

impl Lock for SystemLock {}

impl Disk for SystemDisk {
    fn create_dir_all(&self, path: &Path) -> io::Result<()> {
        fs::create_dir_all(path)
    }

    fn create(&self, path: &Path) -> io::Result<Arc<dyn File>> {
        let file = fs::OpenOptions::new().read(true).write(true).create_new(true).mode(0o600).open(path)?;
        Ok(Arc::new(SystemFile(file)))
    }

    fn open(&self, path: &Path) -> io::Result<Arc<dyn File>> {
        let file = fs::OpenOptions::new().read(true).write(true).open(path)?;
        Ok(Arc::new(SystemFile(file)))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    fn link(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::hard_link(from, to)
    }

    fn let_everybody_read(&self, path: &Path) -> io::Result<()> {
        fs::set_permissions(path, fs::Permissions::from_mode(0o644))
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        fs::remove_file(path)
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in fs::read_dir(dir)? {
            let entry = entry?;
            if entry.file_type()?.is_file() {
                names.push(entry.file_name().to_string_lossy().into_owned());
            }
        }
        names.sort();
        Ok(names)
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        fs::File::open(dir)?.sync_all()
    }

    fn free_bytes(&self, dir: &Path) -> io::Result<u64> {
        let stat = rustix::fs::statvfs(dir)?;
        Ok(stat.f_bavail.saturating_mul(stat.f_frsize))
    }

    fn lock(&self, path: &Path) -> io::Result<Box<dyn Lock>> {
        let file = fs::OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(path)?;
        rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive)?;
        Ok(Box::new(SystemLock(file)))
    }
}

const FILL_BYTES: usize = 1 << 20;

impl SystemFile {
    /// Switches writing past the page cache on or off; whether that worked.
    fn set_direct(&self, on: bool) -> bool {
        let Ok(flags) = rustix::fs::fcntl_getfl(&self.0) else { return false };
        let wanted = if on { flags | OFlags::DIRECT } else { flags - OFlags::DIRECT };
        rustix::fs::fcntl_setfl(&self.0, wanted).is_ok()
    }

    fn is_direct(&self) -> bool {
        rustix::fs::fcntl_getfl(&self.0).is_ok_and(|flags| flags.contains(OFlags::DIRECT))
    }

    /// Writes zeros without taking them through the page cache, which costs a copy and evicts what is useful. `false`: this
    /// file system does not offer it.
    fn fill_past_the_cache(&self, size_bytes: u64) -> io::Result<bool> {
        if !self.set_direct(true) {
            return Ok(false);
        }
        let buffer = vec![0; FILL_BYTES + PAGE_BYTES];
        let aligned = buffer.as_ptr().align_offset(PAGE_BYTES);
        let filled = match buffer.get(aligned..aligned + FILL_BYTES) {
            Some(zeros) => self.fill_with(zeros, size_bytes),
            None => Err(io::ErrorKind::InvalidInput.into()),
        };
        self.set_direct(false);
        match filled {
            Err(error) if error.kind() == io::ErrorKind::InvalidInput => Ok(false),
            other => other.map(|()| true),
        }
    }

    fn fill_through_the_cache(&self, size_bytes: u64) -> io::Result<()> {
        self.fill_with(&vec![0; FILL_BYTES], size_bytes)
    }

    fn fill_with(&self, zeros: &[u8], size_bytes: u64) -> io::Result<()> {
        let mut at = 0;
        while at < size_bytes {
            let n = usize::try_from(size_bytes - at).unwrap_or(usize::MAX).min(zeros.len());
            self.0.write_all_at(&zeros[..n], at)?;
            at += n as u64;
        }
        Ok(())
    }
}

impl File for SystemFile {
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        let mut done = 0;
        while done < buf.len() {
            match self.0.read_at(&mut buf[done..], offset + done as u64) {
                Ok(0) => break,
                Ok(n) => done += n,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(e),
            }
        }
        Ok(done)
    }

    fn write_at(&self, parts: &[IoSlice<'_>], mut offset: u64) -> io::Result<()> {
        const PARTS_MAX: usize = 1024; // IOV_MAX of Linux
        for group in parts.chunks(PARTS_MAX) {
            let wanted: u64 = group.iter().map(|p| p.len() as u64).sum();
            let written = match rustix::io::pwritev(&self.0, group, offset) {
                // A file system that takes the flag and not the write: through the cache, then.
                Err(rustix::io::Errno::INVAL) if self.is_direct() && self.set_direct(false) => {
                    rustix::io::pwritev(&self.0, group, offset)?
                }
                written => written?,
            } as u64;
            if written < wanted {
                // A short write: the rest goes part by part.
                let mut skip = written;
                let mut at = offset + written;
                for part in group {
                    let len = part.len() as u64;
                    if skip >= len {
                        skip -= len;
                        continue;
                    }
                    let rest = part.get(usize::try_from(skip).unwrap_or(usize::MAX)..).unwrap_or_default();
                    self.0.write_all_at(rest, at)?;
                    at += rest.len() as u64;
                    skip = 0;
                }
            }
            offset += wanted;
        }
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        self.0.sync_data()
    }

    fn size_bytes(&self) -> io::Result<u64> {
        Ok(self.0.metadata()?.len())
    }

    fn truncate(&self, size_bytes: u64) -> io::Result<()> {
        self.0.set_len(size_bytes)
    }

    fn fill_with_zeros(&self, size_bytes: u64) -> io::Result<()> {
        // Space first: a full disk shows before anything is written, and the file lies in one piece.
        match rustix::fs::fallocate(&self.0, rustix::fs::FallocateFlags::empty(), 0, size_bytes) {
            Ok(()) | Err(rustix::io::Errno::OPNOTSUPP) => {}
            Err(errno) => return Err(errno.into()),
        }
        if !(size_bytes.is_multiple_of(PAGE_BYTES as u64) && self.fill_past_the_cache(size_bytes)?) {
            self.fill_through_the_cache(size_bytes)?;
        }
        self.0.sync_all()
    }

    fn write_past_cache(&self) -> bool {
        self.set_direct(true)
    }

    fn drop_cached(&self) {
        // Only a hint, so a file system that does not take it changes nothing.
        let _ = rustix::fs::fadvise(&self.0, 0, None, rustix::fs::Advice::DontNeed);
    }
}
