//! Where a file's bytes come from: a folder or an object store.

use std::fmt;
use std::future::Future;
use std::io::{self, ErrorKind as Io};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use lakehead_disk::{Disk, File};
use lakehead_model::Random;
use object_store::path::Path as Key;
use object_store::{Error as StoreError, ObjectStoreExt};

use super::LOCAL_PIECE_BYTES;
use crate::publish::retry::{Backoff, Step};
use crate::publish::{Store, Uploads};
use crate::{Error, ErrorKind};

/// Who asks what a file holds can ask again later; nothing depends on it.
const TRIES_MAX: u32 = 4;

pub(super) enum Source {
    Local { root: PathBuf, disk: Arc<dyn Disk> },
    Objects { store: Arc<dyn Store>, random: Arc<dyn Random>, uploads: Uploads },
}

impl fmt::Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Source::Local { root, .. } => f.debug_tuple("Local").field(root).finish(),
            Source::Objects { store, .. } => f.debug_tuple("Objects").field(store).finish(),
        }
    }
}

/// A file that is there.
pub(super) struct Opened {
    key: String,
    pub(super) size_bytes: u64,
    place: Place,
}

enum Place {
    Local(PathBuf, Arc<dyn File>),
    Object(Key),
}

impl Source {
    pub(super) fn local(root: PathBuf, disk: Arc<dyn Disk>) -> Self {
        Source::Local { root, disk }
    }

    pub(super) fn objects(store: Arc<dyn Store>, random: Arc<dyn Random>, uploads: Uploads) -> Self {
        Source::Objects { store, random, uploads }
    }

    pub(super) fn piece_bytes(&self) -> u64 {
        match self {
            Source::Local { .. } => LOCAL_PIECE_BYTES,
            Source::Objects { uploads, .. } => uploads.limits.part_bytes,
        }
    }

    pub(super) async fn open(&self, key: &str) -> Result<Option<Opened>, Error> {
        let opened = |size_bytes, place| Opened { key: key.to_owned(), size_bytes, place };
        match self {
            Source::Local { root, disk } => {
                let path = root.join(key);
                let file = match disk.open(&path) {
                    Ok(file) => file,
                    Err(e) if matches!(e.kind(), Io::NotFound | Io::NotADirectory) => return Ok(None),
                    Err(e) => return Err(failed("open", &path, e)),
                };
                let size_bytes = file.size_bytes().map_err(|e| failed("read", &path, e))?;
                Ok(Some(opened(size_bytes, Place::Local(path, file))))
            }
            Source::Objects { store, .. } => {
                let place = Key::parse(key)
                    .map_err(|e| Error::caused(ErrorKind::Settings, format!("{key:?} cannot be a key"), e))?;
                let head = self.persist("look at", key, 0, || store.head(&place)).await?;
                Ok(head.map(|meta| opened(meta.size, Place::Object(place))))
            }
        }
    }

    /// The bytes of a range within the file; `None` if it has gone. One that became shorter is found to be so: the rest is
    /// read as if it were not there.
    pub(super) async fn read(&self, file: &Opened, range: Range<u64>) -> Result<Option<Bytes>, Error> {
        match (&file.place, self) {
            (Place::Object(key), Source::Objects { store, uploads, .. }) => {
                let _slot = uploads.slot().await?;
                let bytes = range.end - range.start;
                self.persist("read", &file.key, bytes, || store.get_range(key, range.clone())).await
            }
            (Place::Local(path, local), _) => {
                let bytes = usize::try_from(range.end - range.start).unwrap_or(usize::MAX);
                let mut piece = vec![0; bytes];
                let read = local.read_at(&mut piece, range.start).map_err(|e| failed("read", path, e))?;
                piece.truncate(read);
                Ok(Some(piece.into()))
            }
            (Place::Object(_), Source::Local { .. }) => Ok(None),
        }
    }

    /// Asks a store until it answers or the tries are used up; `None`: there is no such object.
    async fn persist<T, F: Future<Output = object_store::Result<T>>>(
        &self,
        what: &'static str,
        key: &str,
        bytes: u64,
        call: impl Fn() -> F,
    ) -> Result<Option<T>, Error> {
        let Source::Objects { random, uploads, .. } = self else { return Ok(None) };
        let mut backoff = Backoff::new(Arc::clone(random), uploads.limits.tries.min(TRIES_MAX));
        let deadline = Duration::from_secs(uploads.limits.call_seconds + bytes / (256 << 10));
        loop {
            let step = match tokio::time::timeout(deadline, call()).await {
                Ok(Ok(answer)) => return Ok(Some(answer)),
                Ok(Err(StoreError::NotFound { .. })) => return Ok(None),
                Ok(Err(e)) => Step::from_store(what, key, e),
                Err(_) => Step::deadline(what, key, deadline),
            };
            match step {
                Step::Again(_) if backoff.wait().await => {}
                Step::Again(e) | Step::Stop(e) => return Err(e),
            }
        }
    }
}

pub(super) fn left_half_way(key: &str) -> Error {
    Error::new(ErrorKind::Unavailable, format!("{key:?} was not read to its end: nobody waits for it"))
}

fn failed(what: &str, path: &Path, e: io::Error) -> Error {
    let kind = match e.kind() {
        Io::PermissionDenied => ErrorKind::Refused,
        _ => ErrorKind::Unavailable,
    };
    Error::caused(kind, format!("cannot {what} {}", path.display()), e)
}
