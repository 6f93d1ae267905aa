//! Objects in a local folder.

use std::io::{ErrorKind as Io, IoSlice};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::UNIX_EPOCH;

use bytes::Bytes;
use lakehead_disk::Disk;
use lakehead_model::{Random, Timestamp};

use super::{ListedFile, is_plain};
use crate::publish::blocking;
use crate::staged::{STAGED_SUFFIX, read_exact};
use crate::{Error, ErrorKind, Seams};

#[derive(Debug, Clone)]
pub(super) struct LocalFiles {
    root: PathBuf,
    disk: Arc<dyn Disk>,
    random: Arc<dyn Random>,
}

/// The folder as an absolute path, and its URI.
pub(super) fn root(folder: &Path) -> Result<(PathBuf, String), Error> {
    let refused =
        |what: &str| Error::new(ErrorKind::Settings, format!("the folder {} {what}", folder.display()));
    let absolute = std::path::absolute(folder).map_err(|_| refused("cannot be made absolute"))?;
    let text = absolute.to_str().ok_or_else(|| refused("has a name that is not UTF-8"))?;
    let uri = format!("file://{}", text.trim_end_matches('/'));
    Ok((absolute, uri))
}

impl LocalFiles {
    pub(super) fn new(root: PathBuf, seams: &Seams) -> Self {
        LocalFiles { root, disk: seams.disk.clone(), random: seams.random.clone() }
    }

    pub(super) fn root(&self) -> &Path {
        &self.root
    }

    fn path(&self, key: &str) -> Result<PathBuf, Error> {
        if !is_plain(key) {
            return Err(Error::new(ErrorKind::Settings, format!("{key:?} is not the key of an object")));
        }
        Ok(self.root.join(key))
    }

    pub(super) async fn get(&self, key: &str) -> Result<Option<Bytes>, Error> {
        self.read(key, None).await
    }

    pub(super) async fn get_range(&self, key: &str, range: Range<u64>) -> Result<Option<Bytes>, Error> {
        self.read(key, Some(range)).await
    }

    async fn read(&self, key: &str, range: Option<Range<u64>>) -> Result<Option<Bytes>, Error> {
        let (path, disk) = (self.path(key)?, self.disk.clone());
        blocking(move || {
            let file = match disk.open(&path) {
                Ok(file) => file,
                Err(e) if e.kind() == Io::NotFound => return Ok(None),
                Err(e) => return Err(failed("open", &path, e)),
            };
            let range = match range {
                Some(range) => range,
                None => 0..file.size_bytes().map_err(|e| failed("read", &path, e))?,
            };
            let length = usize::try_from(range.end.saturating_sub(range.start)).unwrap_or(usize::MAX);
            let mut content = vec![0; length];
            read_exact(&*file, &path, &mut content, range.start)?;
            Ok(Some(content.into()))
        })
        .await
    }

    pub(super) async fn size(&self, key: &str) -> Result<Option<u64>, Error> {
        let (path, disk) = (self.path(key)?, self.disk.clone());
        blocking(move || match disk.open(&path).and_then(|file| file.size_bytes()) {
            Ok(size) => Ok(Some(size)),
            Err(e) if e.kind() == Io::NotFound => Ok(None),
            Err(e) => Err(failed("open", &path, e)),
        })
        .await
    }

    pub(super) async fn put(&self, key: &str, content: Bytes) -> Result<(), Error> {
        let (path, this) = (self.path(key)?, self.clone());
        blocking(move || this.place(&path, &content)).await
    }

    fn place(&self, path: &Path, content: &[u8]) -> Result<(), Error> {
        let folder = path.parent().unwrap_or(&self.root);
        self.create_folder(folder)?;
        let hidden = folder.join(format!(".{:032x}{STAGED_SUFFIX}", self.random.u128()));
        let file = self.disk.create(&hidden).map_err(|e| failed("create", &hidden, e))?;
        let written = file.write_at(&[IoSlice::new(content)], 0).map_err(|e| failed("write", &hidden, e));
        let placed = written.and_then(|()| {
            self.disk.let_everybody_read(&hidden).map_err(|e| failed("let everybody read", &hidden, e))?;
            file.sync_data().map_err(|e| Error::sync(&hidden, e))?;
            match self.disk.link(&hidden, path) {
                Ok(()) => Ok(()),
                Err(e) if e.kind() == Io::AlreadyExists => {
                    let text = format!("{} is there already; it was not overwritten", path.display());
                    Err(Error::new(ErrorKind::Conflict, text))
                }
                // No hard links here: the name is ours alone, so nothing can be replaced.
                Err(_) => self.disk.rename(&hidden, path).map_err(|e| failed("rename", &hidden, e)),
            }
        });
        match self.disk.remove(&hidden) {
            Err(e) if e.kind() != Io::NotFound && placed.is_ok() => return Err(failed("remove", &hidden, e)),
            _ => {}
        }
        placed?;
        self.disk.sync_dir(folder).map_err(|e| Error::sync(folder, e))
    }

    /// Makes a folder whose name lasts, with those above it up to the root and the one that holds the root.
    fn create_folder(&self, folder: &Path) -> Result<(), Error> {
        if folder.is_dir() {
            return Ok(());
        }
        self.disk.create_dir_all(folder).map_err(|e| failed("create", folder, e))?;
        for above in folder.ancestors().skip(1) {
            self.disk.sync_dir(above).map_err(|e| Error::sync(above, e))?;
            if !above.starts_with(&self.root) {
                break;
            }
        }
        Ok(())
    }

    pub(super) async fn delete(&self, key: &str) -> Result<(), Error> {
        let (path, disk) = (self.path(key)?, self.disk.clone());
        blocking(move || match disk.remove(&path) {
            Err(e) if e.kind() != Io::NotFound => Err(failed("remove", &path, e)),
            _ => Ok(()),
        })
        .await
    }

    pub(super) async fn list(&self, prefix: &str) -> Result<Vec<ListedFile>, Error> {
        let (folder, prefix) =
            (self.path(prefix.trim_end_matches('/'))?, prefix.trim_end_matches('/').to_owned());
        blocking(move || {
            let mut found = Vec::new();
            walk(&folder, &prefix, &mut found)?;
            Ok(found)
        })
        .await
    }
}

/// Files below `folder`, without the hidden ones, which are being made.
fn walk(folder: &Path, prefix: &str, found: &mut Vec<ListedFile>) -> Result<(), Error> {
    let entries = match std::fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(e) if e.kind() == Io::NotFound => return Ok(()),
        Err(e) => return Err(failed("list", folder, e)),
    };
    for entry in entries {
        let entry = entry.map_err(|e| failed("list", folder, e))?;
        let name = entry.file_name();
        let Some(name) = name.to_str().filter(|name| !name.starts_with('.')) else { continue };
        let key = format!("{prefix}/{name}");
        let metadata = match entry.metadata() {
            Ok(metadata) => metadata,
            Err(e) if e.kind() == Io::NotFound => continue,
            Err(e) => return Err(failed("look at", &entry.path(), e)),
        };
        if metadata.is_dir() {
            walk(&entry.path(), &key, found)?;
        } else if metadata.is_file() {
            let modified = metadata.modified().ok().and_then(|at| at.duration_since(UNIX_EPOCH).ok());
            let micros = modified.and_then(|at| i64::try_from(at.as_micros()).ok()).unwrap_or(0);
            let modified = Timestamp(micros);
            found.push(ListedFile { key, size_bytes: metadata.len(), modified });
        }
    }
    Ok(())
}

fn failed(what: &str, path: &Path, e: std::io::Error) -> Error {
    let kind = match e.kind() {
        Io::PermissionDenied | Io::ReadOnlyFilesystem | Io::NotADirectory => ErrorKind::Refused,
        _ => ErrorKind::Unavailable,
    };
    Error::caused(kind, format!("cannot {what} {}", path.display()), e)
}
