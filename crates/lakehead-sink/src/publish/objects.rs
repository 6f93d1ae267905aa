//! Publishing into an object store.
//!
//! ```text
//!   up to one part   PUT, with If-None-Match: * where the store honours it       then HEAD: the size
//!   beyond           create upload, parts of equal size (last smaller), complete  then HEAD: the size
//!   not sure         HEAD, and the same size: read it back and compare checksums
//! ```
//! An answer that does not say what happened (5xx, time-out, connection lost, 409, 412) is never taken for either outcome:
//! the next try first looks. Ours is what has our size and content; anything else is a conflict, and stays.
//!
//! Where a store ignores `If-None-Match`, and for multipart uploads, which have no condition here, a look goes before the
//! first try as well. Between that look and the write another writer could slip in; file names are unique, so it would have
//! to be the same file.
//!
//! **Bounds:** parts in memory by the process's [`Uploads`]; every call has a deadline that grows with its bytes.

use std::collections::HashSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use lakehead_disk::Disk;
use lakehead_model::Random;
use object_store::multipart::MultipartStore;
use object_store::path::Path;
use object_store::{Error as StoreError, ObjectStore, ObjectStoreExt, PutMode, PutOptions};
use parking_lot::Mutex;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;

use super::left_uploads::LeftUploads;
use super::retry::{Backoff, Step};
use super::{Outcome, Published, blocking, conflict, missing};
use crate::staged::read_exact;
use crate::{Error, ErrorKind, Seams, StagedFile};

/// What publishing needs of an object store.
pub trait Store: ObjectStore + MultipartStore {}

impl<T: ObjectStore + MultipartStore> Store for T {}

/// Bounds of uploads.
#[derive(Debug, Clone, Copy)]
pub struct UploadLimits {
    /// Files up to this size go in one request, larger ones in parts of this size. S3 wants at least 5 MiB.
    pub part_bytes: u64,
    /// Parts in memory at a time.
    pub parts_in_flight: usize,
    /// Deadline of a call, to which a second is added for every 256 KiB it moves.
    pub call_seconds: u64,
    /// Tries before [`ErrorKind::Unavailable`] is returned.
    pub tries: u32,
}

impl Default for UploadLimits {
    fn default() -> Self {
        UploadLimits { part_bytes: 8 << 20, parts_in_flight: 8, call_seconds: 60, tries: 8 }
    }
}

/// The uploads of a process: at most `part_bytes · parts_in_flight` in memory (64 MiB by default), however many files and
/// buckets there are. Clone it for every publisher.
#[derive(Debug, Clone)]
pub struct Uploads {
    pub(crate) limits: UploadLimits,
    slots: Arc<Semaphore>,
}

impl Default for Uploads {
    fn default() -> Self {
        Uploads::new(UploadLimits::default())
    }
}

impl Uploads {
    pub fn new(limits: UploadLimits) -> Self {
        Uploads { limits, slots: Arc::new(Semaphore::new(limits.parts_in_flight.max(1))) }
    }

    pub(crate) async fn slot(&self) -> Result<OwnedSemaphorePermit, Error> {
        let slot = self.slots.clone().acquire_owned().await;
        slot.map_err(|e| Error::caused(ErrorKind::Unavailable, "uploads are closed", e))
    }
}

#[derive(Debug)]
pub(super) struct Objects {
    pub(super) store: Arc<dyn Store>,
    pub(super) left: Arc<dyn LeftUploads>,
    pub(super) staging_dir: PathBuf,
    pub(super) disk: Arc<dyn Disk>,
    random: Arc<dyn Random>,
    pub(super) uploads: Uploads,
    conditional: bool,
    /// Staged names of files known to be in place, until their commit is recorded: after a failure of one file, the others
    /// need not be looked at again.
    settled: Mutex<HashSet<String>>,
}

impl Objects {
    /// Probes the store if that is wanted: see [`Objects::probe`]. A store that was not probed is taken to honour no conditions.
    pub(super) async fn new(
        store: Arc<dyn Store>,
        left: Arc<dyn LeftUploads>,
        staging_dir: PathBuf,
        seams: &Seams,
        uploads: Uploads,
        is_probed: bool,
    ) -> Result<Objects, Error> {
        let Seams { disk, random, .. } = seams.clone();
        let mut objects = Objects {
            store,
            left,
            staging_dir,
            disk,
            random,
            uploads,
            conditional: false,
            settled: Mutex::default(),
        };
        objects.conditional = is_probed && objects.probe().await?;
        Ok(objects)
    }

    pub(super) fn conditional(&self) -> bool {
        self.conditional
    }

    /// Whether the store honours `If-None-Match: *`: two such puts of one key, and the second must be refused. Some stores
    /// ignore the header, some answer 501.
    async fn probe(&self) -> Result<bool, Error> {
        const KEY: &str = ".lakehead-probe";
        let path = Path::from(KEY);
        let mut backoff = self.backoff();
        loop {
            let create = || self.put(KEY, &path, Bytes::from_static(b"probe"), PutMode::Create);
            let first = create().await;
            let honoured = match first {
                Ok(()) => create().await.map(|()| false),
                Err(e) => Err(e),
            };
            let error = match honoured {
                Ok(honoured) => {
                    // Best effort: one tiny object may stay.
                    let _ = tokio::time::timeout(self.deadline(0), self.store.delete(&path)).await;
                    return Ok(honoured);
                }
                Err(PutError::Taken(_)) => {
                    let _ = tokio::time::timeout(self.deadline(0), self.store.delete(&path)).await;
                    return Ok(true);
                }
                Err(PutError::Step(Step::Stop(e))) => return Err(e),
                Err(PutError::Step(Step::Again(e))) => e,
            };
            // A store without the feature may answer with an error of its own choice.
            if self.put(KEY, &path, Bytes::from_static(b"probe"), PutMode::Overwrite).await.is_ok() {
                let again = create().await;
                let _ = tokio::time::timeout(self.deadline(0), self.store.delete(&path)).await;
                return Ok(matches!(again, Err(PutError::Taken(_))));
            }
            if !backoff.wait().await {
                return Err(error);
            }
        }
    }

    pub(super) async fn publish(self: &Arc<Self>, files: &[StagedFile]) -> Result<Published, Error> {
        let mut tasks = JoinSet::new();
        for file in files {
            let (objects, file) = (self.clone(), file.clone());
            tasks.spawn(async move { objects.place(&file).await });
        }
        let mut published = Published::default();
        let mut failed: Option<Error> = None;
        while let Some(done) = tasks.join_next().await {
            match done {
                Ok(Ok(outcome)) => published.count(outcome),
                Ok(Err(e)) => keep_graver(&mut failed, e),
                Err(e) => {
                    let e = Error::caused(ErrorKind::Unavailable, "an upload was cut short", e);
                    keep_graver(&mut failed, e);
                }
            }
        }
        failed.map_or(Ok(published), Err)
    }

    /// Forgets what it knows of files whose commit is recorded.
    pub(super) fn forget(&self, files: &[StagedFile]) {
        let mut settled = self.settled.lock();
        for file in files {
            settled.remove(&file.staged);
        }
    }

    async fn place(self: &Arc<Self>, file: &StagedFile) -> Result<Outcome, Error> {
        if self.settled.lock().contains(&file.staged) {
            return Ok(Outcome::Found);
        }
        let path = Path::parse(&file.key)
            .map_err(|e| Error::caused(ErrorKind::Settings, format!("{:?} cannot be a key", file.key), e))?;
        let in_parts = file.size_bytes > self.uploads.limits.part_bytes;
        let mut look = in_parts || !self.conditional;
        let mut backoff = self.backoff();
        loop {
            let error = match self.attempt(file, &path, look, in_parts).await {
                Ok(outcome) => {
                    self.settled.lock().insert(file.staged.clone());
                    return Ok(outcome);
                }
                Err(Step::Stop(e)) => return Err(e),
                Err(Step::Again(e)) => e,
            };
            look = true;
            if !backoff.wait().await {
                return Err(error);
            }
        }
    }

    async fn attempt(
        self: &Arc<Self>,
        file: &StagedFile,
        path: &Path,
        look: bool,
        in_parts: bool,
    ) -> Result<Outcome, Step> {
        let staged = self.is_staged(file).await?;
        if look || !staged {
            if self.is_there(file, path).await? {
                if in_parts {
                    self.abort_left(file, path).await?;
                }
                return Ok(Outcome::Found);
            }
            if !staged {
                return Err(Step::Stop(missing(file)));
            }
        }
        if in_parts {
            self.abort_left(file, path).await?;
            let put = self.put_in_parts(file, path).await;
            if matches!(put, Err(Step::Stop(_))) {
                self.abort_noted(file, path).await?;
            }
            put?;
        } else {
            let _slot = self.uploads.slot().await?;
            let (content, crc) = self.read(file, 0, file.size_bytes).await?;
            self.check(file, crc)?;
            let mode = if self.conditional { PutMode::Create } else { PutMode::Overwrite };
            self.put(&file.key, path, content, mode).await.map_err(|e| match e {
                PutError::Taken(e) => Step::Again(e),
                PutError::Step(step) => step,
            })?;
        }
        match self.size(file, path).await? {
            Some(size) if size == file.size_bytes => Ok(Outcome::Placed),
            Some(size) => Err(Step::Stop(conflict(file, &differing(size, file)))),
            None => Err(Step::Again(Error::new(
                ErrorKind::Unavailable,
                format!("{:?} was accepted and is not there", file.key),
            ))),
        }
    }

    /// One PUT of a whole object.
    async fn put(&self, key: &str, path: &Path, content: Bytes, mode: PutMode) -> Result<(), PutError> {
        let deadline = self.deadline(content.len() as u64);
        let options = PutOptions::from(mode);
        match tokio::time::timeout(deadline, self.store.put_opts(path, content.into(), options)).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(e @ (StoreError::AlreadyExists { .. } | StoreError::Precondition { .. }))) => {
                let text = format!("{key:?} is there already");
                Err(PutError::Taken(Error::caused(ErrorKind::Unavailable, text, e)))
            }
            Ok(Err(e @ StoreError::NotFound { .. })) => Err(PutError::Step(Step::no_bucket(key, e))),
            Ok(Err(e)) => Err(PutError::Step(Step::from_store("put", key, e))),
            Err(_) => Err(PutError::Step(Step::deadline("put", key, deadline))),
        }
    }

    /// Whether our object is there. Another one is a conflict.
    async fn is_there(&self, file: &StagedFile, path: &Path) -> Result<bool, Step> {
        match self.size(file, path).await? {
            None => return Ok(false),
            Some(size) if size == file.size_bytes => {}
            Some(size) => return Err(Step::Stop(conflict(file, &differing(size, file)))),
        }
        let (mut crc, mut at) = (0, 0);
        while at < file.size_bytes {
            let end = (at + self.uploads.limits.part_bytes).min(file.size_bytes);
            let _slot = self.uploads.slot().await?;
            let bytes =
                self.persist("read", &file.key, end - at, || self.store.get_range(path, at..end)).await?;
            if bytes.len() as u64 != end - at {
                let text = format!("{:?} gave {} bytes of {}", file.key, bytes.len(), end - at);
                return Err(Step::Again(Error::new(ErrorKind::Unavailable, text)));
            }
            crc = crc32c::crc32c_append(crc, &bytes);
            at = end;
        }
        match crc == file.crc32c {
            true => Ok(true),
            false => Err(Step::Stop(conflict(file, "same size, other content"))),
        }
    }

    async fn size(&self, file: &StagedFile, path: &Path) -> Result<Option<u64>, Step> {
        match self.call("look at", &file.key, 0, self.store.head(path)).await {
            Ok(meta) => Ok(Some(meta.size)),
            Err(CallError::Store(StoreError::NotFound { .. })) => Ok(None),
            Err(e) => Err(e.into_step("look at", &file.key)),
        }
    }

    pub(super) async fn call<T>(
        &self,
        what: &'static str,
        key: &str,
        bytes: u64,
        call: impl Future<Output = object_store::Result<T>>,
    ) -> Result<T, CallError> {
        let deadline = self.deadline(bytes);
        match tokio::time::timeout(deadline, call).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(e)) => Err(CallError::Store(e)),
            Err(_) => Err(CallError::Deadline(Step::deadline(what, key, deadline))),
        }
    }

    /// Makes a call that may be made any number of times, until it is answered or the tries are used up.
    pub(super) async fn persist<T, F: Future<Output = object_store::Result<T>>>(
        &self,
        what: &'static str,
        key: &str,
        bytes: u64,
        call: impl Fn() -> F,
    ) -> Result<T, Step> {
        let mut backoff = self.backoff();
        loop {
            let step = match self.call(what, key, bytes, call()).await {
                Ok(answer) => return Ok(answer),
                Err(e) => e.into_step(what, key),
            };
            match step {
                Step::Again(_) if backoff.wait().await => {}
                step => return Err(step),
            }
        }
    }

    pub(super) fn deadline(&self, bytes: u64) -> Duration {
        Duration::from_secs(self.uploads.limits.call_seconds + bytes / (256 << 10))
    }

    pub(super) fn backoff(&self) -> Backoff {
        Backoff::new(self.random.clone(), self.uploads.limits.tries)
    }

    pub(super) fn check(&self, file: &StagedFile, crc: u32) -> Result<(), Step> {
        if crc == file.crc32c {
            return Ok(());
        }
        let text = format!("{} has checksum {crc:08x}; {:08x} was written", file.staged, file.crc32c);
        Err(Step::Stop(Error::new(ErrorKind::Staging, text)))
    }

    async fn is_staged(&self, file: &StagedFile) -> Result<bool, Error> {
        let (disk, path, wanted) = (self.disk.clone(), self.staging_dir.join(&file.staged), file.size_bytes);
        blocking(move || match disk.open(&path).and_then(|f| f.size_bytes()) {
            Ok(size) if size == wanted => Ok(true),
            Ok(size) => Err(Error::new(
                ErrorKind::Staging,
                format!("{} has {size} bytes; {wanted} were written", path.display()),
            )),
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(false),
            Err(e) => Err(Error::staging("open", &path, e)),
        })
        .await
    }

    /// Bytes of a staged file and their checksum.
    pub(super) async fn read(&self, file: &StagedFile, from: u64, bytes: u64) -> Result<(Bytes, u32), Error> {
        let (disk, path) = (self.disk.clone(), self.staging_dir.join(&file.staged));
        blocking(move || {
            let mut buf = vec![0; usize::try_from(bytes).unwrap_or(usize::MAX)];
            let staged = disk.open(&path).map_err(|e| Error::staging("open", &path, e))?;
            read_exact(&*staged, &path, &mut buf, from)?;
            let crc = crc32c::crc32c(&buf);
            Ok((Bytes::from(buf), crc))
        })
        .await
    }
}

enum PutError {
    /// Something is under the key.
    Taken(Error),
    Step(Step),
}

pub(super) enum CallError {
    Store(StoreError),
    Deadline(Step),
}

impl CallError {
    pub(super) fn into_step(self, what: &str, key: &str) -> Step {
        match self {
            CallError::Store(e) => Step::from_store(what, key, e),
            CallError::Deadline(step) => step,
        }
    }
}

fn differing(size: u64, file: &StagedFile) -> String {
    format!("{size} bytes, ours has {}", file.size_bytes)
}

/// Of several failures, one that needs a person goes before one that passes.
fn keep_graver(kept: &mut Option<Error>, e: Error) {
    let passing = |e: &Error| e.kind() == ErrorKind::Unavailable;
    if kept.as_ref().is_none_or(|k| passing(k) && !passing(&e)) {
        *kept = Some(e);
    }
}
