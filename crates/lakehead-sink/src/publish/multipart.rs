//! Uploads in parts.
//!
//! What a crash leaves: an upload that nobody finishes. Its id stands in a note beside the staged file, and the next try
//! aborts it. Where the id was lost (no answer to the first call, or a power cut before the note was on disk), the next try finds
//! it in the bucket (`left_uploads.rs`); a bucket that does not list uploads keeps it until its own clean-up rule.

use std::io::IoSlice;
use std::sync::Arc;

use object_store::multipart::PartId;
use object_store::path::Path;
use object_store::{Error as StoreError, MultipartId};
use tokio::task::{JoinError, JoinSet};

use super::objects::{CallError, Objects};
use super::retry::Step;
use super::{blocking, upload_note};
use crate::staged::remove;
use crate::{Error, ErrorKind, StagedFile};

/// A part that the store has.
struct Part {
    index: usize,
    id: PartId,
    crc: u32,
    bytes: u64,
}

impl Objects {
    /// A multipart upload from beginning to end. Its parts are as large as each other, the last may be smaller, as some
    /// stores demand.
    pub(super) async fn put_in_parts(self: &Arc<Self>, file: &StagedFile, path: &Path) -> Result<(), Step> {
        let create = self.call("start the upload of", &file.key, 0, self.store.create_multipart(path));
        let id = create.await.map_err(|e| match e {
            CallError::Store(e @ StoreError::NotFound { .. }) => Step::no_bucket(&file.key, e),
            other => other.into_step("start the upload of", &file.key),
        })?;
        self.note_upload(file, id.clone()).await?;
        let part_bytes = part_bytes(self.uploads.limits.part_bytes, file.size_bytes);
        let count = usize::try_from(file.size_bytes.div_ceil(part_bytes)).unwrap_or(usize::MAX);
        let mut tasks = JoinSet::new();
        let mut parts: Vec<Option<(PartId, u32, u64)>> = vec![None; count];
        let take = |done: Result<Result<Part, Step>, JoinError>, parts: &mut Vec<_>| match done {
            Ok(Ok(part)) => {
                parts[part.index] = Some((part.id, part.crc, part.bytes));
                Ok(())
            }
            Ok(Err(step)) => Err(step),
            Err(e) => Err(Step::Again(Error::caused(ErrorKind::Unavailable, "an upload was cut short", e))),
        };
        for index in 0..count {
            let slot = self.uploads.slot().await?;
            while let Some(done) = tasks.try_join_next() {
                take(done, &mut parts)?;
            }
            let (objects, file, path, id) = (self.clone(), file.clone(), path.clone(), id.clone());
            tasks.spawn(async move {
                let _slot = slot;
                objects.put_part(&file, &path, &id, index, part_bytes).await
            });
        }
        while let Some(done) = tasks.join_next().await {
            take(done, &mut parts)?;
        }
        let parts: Vec<_> = parts.into_iter().flatten().collect();
        let crc = parts.iter().fold(0, |crc, (_, part, bytes)| {
            crc32c::crc32c_combine(crc, *part, usize::try_from(*bytes).unwrap_or(usize::MAX))
        });
        self.check(file, crc)?;
        let ids = parts.into_iter().map(|(id, ..)| id).collect();
        let complete =
            self.call("complete", &file.key, 0, self.store.complete_multipart(path, &id, ids)).await;
        complete.map(drop).map_err(|e| e.into_step("complete the upload of", &file.key))
    }

    /// One part, tried again by itself: a part sent twice replaces itself.
    async fn put_part(
        &self,
        file: &StagedFile,
        path: &Path,
        id: &str,
        index: usize,
        part_bytes: u64,
    ) -> Result<Part, Step> {
        let from = index as u64 * part_bytes;
        let bytes = part_bytes.min(file.size_bytes - from);
        let (content, crc) = self.read(file, from, bytes).await?;
        let id = id.to_owned();
        let put = || self.store.put_part(path, &id, index, content.clone().into());
        let id = self.persist("put a part of", &file.key, bytes, put).await?;
        Ok(Part { index, id, crc, bytes })
    }

    /// Writes down the id of an upload that was started.
    async fn note_upload(&self, file: &StagedFile, id: String) -> Result<(), Error> {
        let (disk, path) = (self.disk.clone(), self.staging_dir.join(upload_note(file)));
        blocking(move || {
            let note = disk.create(&path).map_err(|e| Error::staging("create", &path, e))?;
            note.write_at(&[IoSlice::new(id.as_bytes())], 0).map_err(|e| Error::staging("write", &path, e))
        })
        .await
    }

    /// Aborts the upload that an earlier try left, if it noted one; it may be completed or gone.
    pub(super) async fn abort_noted(&self, file: &StagedFile, path: &Path) -> Result<(), Error> {
        const ID_BYTES_MAX: usize = 4096;
        let note = self.staging_dir.join(upload_note(file));
        let (disk, at) = (self.disk.clone(), note.clone());
        let id = blocking(move || {
            let Ok(noted) = disk.open(&at) else { return Ok(None) };
            let mut buf = vec![0; ID_BYTES_MAX];
            let read = noted.read_at(&mut buf, 0).map_err(|e| Error::staging("read", &at, e))?;
            buf.truncate(read);
            Ok(String::from_utf8(buf).ok())
        })
        .await?;
        let Some(id) = id else { return Ok(()) };
        if !id.is_empty() {
            self.abort(file, path, &id).await;
        }
        let disk = self.disk.clone();
        blocking(move || remove(&*disk, &note)).await
    }

    /// Aborts all uploads that earlier tries left, as far as they are known; best effort.
    pub(super) async fn abort_left(&self, file: &StagedFile, path: &Path) -> Result<(), Error> {
        self.abort_noted(file, path).await?;
        let mut backoff = self.backoff();
        loop {
            match tokio::time::timeout(self.deadline(0), self.left.of(&file.key)).await {
                Ok(Ok(ids)) => {
                    for id in ids {
                        self.abort(file, path, &id).await;
                    }
                    return Ok(());
                }
                Ok(Err(StoreError::Generic { .. })) | Err(_) if backoff.wait().await => {}
                // Not every store lists uploads, nor does every key pair allow it.
                Ok(Err(_)) | Err(_) => return Ok(()),
            }
        }
    }

    /// Aborts an upload, which may be completed or gone. Given up after some tries: it waits for the bucket's own clean-up and is in
    /// nobody's way.
    async fn abort(&self, file: &StagedFile, path: &Path, id: &MultipartId) {
        let mut backoff = self.backoff();
        loop {
            match self.call("abort the upload of", &file.key, 0, self.store.abort_multipart(path, id)).await {
                Ok(()) | Err(CallError::Store(StoreError::NotFound { .. })) => return,
                Err(_) if backoff.wait().await => {}
                Err(_) => return,
            }
        }
    }
}

/// The size of a part, so that no file needs more than S3's 10,000 parts.
fn part_bytes(least: u64, file_bytes: u64) -> u64 {
    const PARTS_MAX: u64 = 10_000;
    const STEP: u64 = 1 << 20;
    match file_bytes.div_ceil(PARTS_MAX) {
        needed if needed <= least => least,
        needed => needed.next_multiple_of(STEP),
    }
}
