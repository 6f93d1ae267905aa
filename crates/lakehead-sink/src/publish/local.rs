//! Publishing into a local folder.
//!
//! ```text
//!   same file system:   link(staged, final)                    sync the folders
//!   another one:        copy to <folder>/.<staged>, sync,      link or rename to the final name, sync the folders
//! ```
//! A hard link and not a rename, because a link never replaces what is there, and because the staged file then stays until
//! the commit is recorded: whatever a power cut keeps of the two folders, one of the names is there. The temporary name of a
//! copy starts with a dot and ends in `.part`, so that no reader's glob matches it; the next try replaces it.
//!
//! What a crash leaves: before the link, nothing or a hidden partial copy; after it, the whole file. Both are completed by
//! publishing again.

use std::collections::{BTreeSet, HashSet};
use std::io::{self, ErrorKind as Io, IoSlice};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use lakehead_disk::Disk;
use parking_lot::Mutex;

use super::{Outcome, Published, conflict, missing};
use crate::staged::{checksum, read_exact};
use crate::{Error, ErrorKind, StagedFile};

/// Folders remembered as durable; forgotten all at once beyond that.
const FOLDERS_MAX: usize = 1024;

#[derive(Debug)]
pub(super) struct LocalFolder {
    root: PathBuf,
    staging_dir: PathBuf,
    disk: Arc<dyn Disk>,
    /// Folders below the root whose names are synced, up to the root.
    durable: Mutex<HashSet<PathBuf>>,
}

impl LocalFolder {
    pub(super) fn new(root: PathBuf, staging_dir: PathBuf, disk: Arc<dyn Disk>) -> Result<Self, Error> {
        // The folders that are not there yet, and always the one above the root: their names must last.
        let mut above: Vec<&Path> = Vec::new();
        for folder in root.ancestors().skip(1).filter(|f| !f.as_os_str().is_empty()) {
            above.push(folder);
            if disk.list(folder).is_ok() {
                break;
            }
        }
        disk.create_dir_all(&root).map_err(|e| failed("create", &root, e))?;
        for folder in above.into_iter().rev() {
            disk.sync_dir(folder).map_err(|e| Error::sync(folder, e))?;
        }
        Ok(LocalFolder { root, staging_dir, disk, durable: Mutex::default() })
    }

    pub(super) fn publish(&self, files: &[StagedFile]) -> Result<Published, Error> {
        let mut published = Published::default();
        let mut folders = BTreeSet::new();
        for file in files {
            let target = self.root.join(&file.key);
            published.count(self.place(file, &target)?);
            folders.insert(target.parent().unwrap_or(&self.root).to_owned());
        }
        self.sync(folders)?;
        Ok(published)
    }

    fn place(&self, file: &StagedFile, target: &Path) -> Result<Outcome, Error> {
        let staged = self.staging_dir.join(&file.staged);
        match self.disk.open(&staged).and_then(|f| f.size_bytes()) {
            Ok(size) if size == file.size_bytes => {}
            Ok(size) => {
                let text = format!("{} has {size} bytes; {} were written", staged.display(), file.size_bytes);
                return Err(Error::new(ErrorKind::Staging, text));
            }
            Err(e) if e.kind() == Io::NotFound => {
                return match self.compare(file, target)? {
                    Some(outcome) => Ok(outcome),
                    None => Err(missing(file)),
                };
            }
            Err(e) => return Err(Error::staging("open", &staged, e)),
        }
        // Who may read the bucket is for its folder to say.
        self.disk
            .let_everybody_read(&staged)
            .map_err(|e| Error::staging("let everybody read", &staged, e))?;
        let mut linked = self.disk.link(&staged, target);
        if linked.as_ref().is_err_and(|e| e.kind() == Io::NotFound) {
            let folder = target.parent().unwrap_or(&self.root);
            self.create_folder(folder)?;
            linked = self.disk.link(&staged, target);
        }
        match linked {
            Ok(()) => Ok(Outcome::Placed),
            Err(e) if e.kind() == Io::AlreadyExists => self.found(file, target),
            Err(e) if cannot_link(&e) => self.copy(file, &staged, target),
            Err(e) => Err(failed("link", target, e)),
        }
    }

    /// Copies onto another file system, where links to the staging folder cannot lead.
    fn copy(&self, file: &StagedFile, staged: &Path, target: &Path) -> Result<Outcome, Error> {
        let folder = target.parent().unwrap_or(&self.root);
        let hidden = folder.join(format!(".{}", file.staged));
        match self.disk.remove(&hidden) {
            Err(e) if e.kind() != Io::NotFound => return Err(failed("remove", &hidden, e)),
            _ => {}
        }
        if let Some(outcome) = self.compare(file, target)? {
            return Ok(outcome);
        }
        self.create_folder(folder)?;
        self.copy_content(file, staged, &hidden)?;
        match self.disk.link(&hidden, target) {
            Ok(()) => self.disk.remove(&hidden).map_err(|e| failed("remove", &hidden, e))?,
            Err(e) if e.kind() == Io::AlreadyExists => {
                self.disk.remove(&hidden).map_err(|e| failed("remove", &hidden, e))?;
                return self.found(file, target);
            }
            // No links at all here. Nobody else writes below this name, which was free a moment ago.
            Err(e) if cannot_link(&e) => {
                self.disk.rename(&hidden, target).map_err(|e| failed("rename", &hidden, e))?;
            }
            Err(e) => return Err(failed("link", target, e)),
        }
        Ok(Outcome::Placed)
    }

    fn copy_content(&self, file: &StagedFile, staged: &Path, hidden: &Path) -> Result<(), Error> {
        const STEP: usize = 1 << 20;
        let from = self.disk.open(staged).map_err(|e| Error::staging("open", staged, e))?;
        let to = self.disk.create(hidden).map_err(|e| failed("create", hidden, e))?;
        let mut buf = vec![0; STEP];
        let (mut at, mut crc) = (0, 0);
        while at < file.size_bytes {
            let n = usize::try_from(file.size_bytes - at).unwrap_or(STEP).min(STEP);
            read_exact(&*from, staged, &mut buf[..n], at)?;
            crc = crc32c::crc32c_append(crc, &buf[..n]);
            to.write_at(&[IoSlice::new(&buf[..n])], at).map_err(|e| failed("write", hidden, e))?;
            at += n as u64;
        }
        if crc != file.crc32c {
            let text =
                format!("{} has checksum {crc:08x}; {:08x} was written", staged.display(), file.crc32c);
            return Err(Error::new(ErrorKind::Staging, text));
        }
        self.disk.let_everybody_read(hidden).map_err(|e| failed("let everybody read", hidden, e))?;
        to.sync_data().map_err(|e| Error::sync(hidden, e))
    }

    /// Makes a folder; its name, and those of the folders above it, are not durable yet.
    fn create_folder(&self, folder: &Path) -> Result<(), Error> {
        self.durable.lock().remove(folder);
        self.disk.create_dir_all(folder).map_err(|e| failed("create", folder, e))
    }

    /// The final name is taken: by this file, or by another.
    fn found(&self, file: &StagedFile, target: &Path) -> Result<Outcome, Error> {
        match self.compare(file, target)? {
            Some(outcome) => Ok(outcome),
            // It was there and is gone: somebody takes files away. The next try will tell.
            None => {
                let text = format!("{} appeared and went away", target.display());
                Err(Error::new(ErrorKind::Unavailable, text))
            }
        }
    }

    /// `None` if nothing is there.
    fn compare(&self, file: &StagedFile, target: &Path) -> Result<Option<Outcome>, Error> {
        let there = match self.disk.open(target) {
            Ok(there) => there,
            Err(e) if e.kind() == Io::NotFound => return Ok(None),
            Err(e) => return Err(failed("open", target, e)),
        };
        let size = there.size_bytes().map_err(|e| failed("read", target, e))?;
        if size != file.size_bytes {
            return Err(conflict(file, &format!("{size} bytes, ours has {}", file.size_bytes)));
        }
        if checksum(&*there, target, size)? != file.crc32c {
            return Err(conflict(file, "same size, other content"));
        }
        Ok(Some(Outcome::Found))
    }

    /// Makes the names in `folders` durable, and on first use those of the folders above them, up to the root.
    fn sync(&self, folders: BTreeSet<PathBuf>) -> Result<(), Error> {
        let mut due = BTreeSet::new();
        for folder in &folders {
            let known = self.durable.lock().contains(folder);
            let above = folder.ancestors().take_while(|f| f.starts_with(&self.root));
            due.extend(above.take(if known { 1 } else { usize::MAX }));
        }
        // Below before above.
        for folder in due.into_iter().rev() {
            self.disk.sync_dir(folder).map_err(|e| Error::sync(folder, e))?;
        }
        let mut durable = self.durable.lock();
        if durable.len() >= FOLDERS_MAX {
            durable.clear();
        }
        durable.extend(folders);
        Ok(())
    }
}

/// Whether a copy is the way: another file system, or one without hard links.
fn cannot_link(e: &io::Error) -> bool {
    matches!(e.kind(), Io::CrossesDevices | Io::Unsupported | Io::PermissionDenied | Io::TooManyLinks)
}

fn failed(what: &str, path: &Path, e: io::Error) -> Error {
    let kind = match e.kind() {
        Io::PermissionDenied | Io::ReadOnlyFilesystem | Io::NotADirectory => ErrorKind::Refused,
        _ => ErrorKind::Unavailable,
    };
    Error::caused(kind, format!("cannot {what} {}", path.display()), e)
}
