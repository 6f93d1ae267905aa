//! Objects in an object store.

use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::TryStreamExt;
use lakehead_model::{Random, Timestamp};
use object_store::path::Path;
use object_store::{Error as StoreError, ObjectStoreExt};

use super::ListedFile;
use crate::publish::retry::{Backoff, Step};
use crate::{Error, ErrorKind, Store};

const TRIES: u32 = 5;
/// For a call, and one second more for every 256 KiB it moves.
const CALL_SECONDS: u64 = 15;
const LISTING_SECONDS: u64 = 600;

pub(super) struct ObjectFiles {
    store: Arc<dyn Store>,
    random: Arc<dyn Random>,
}

impl ObjectFiles {
    pub(super) fn new(store: Arc<dyn Store>, random: Arc<dyn Random>) -> Self {
        ObjectFiles { store, random }
    }

    pub(super) async fn get(&self, key: &str) -> Result<Option<Bytes>, Error> {
        let path = path(key)?;
        // Of unknown length.
        let seconds = 120;
        found(self.again("get", key, seconds, || async { self.store.get(&path).await?.bytes().await }).await)
    }

    pub(super) async fn get_range(&self, key: &str, range: Range<u64>) -> Result<Option<Bytes>, Error> {
        let path = path(key)?;
        let seconds = seconds(range.end.saturating_sub(range.start));
        found(self.again("get", key, seconds, || self.store.get_range(&path, range.clone())).await)
    }

    pub(super) async fn size(&self, key: &str) -> Result<Option<u64>, Error> {
        let path = path(key)?;
        let head = self.again("look at", key, CALL_SECONDS, || self.store.head(&path)).await;
        Ok(found(head)?.map(|meta| meta.size))
    }

    pub(super) async fn put(&self, key: &str, content: Bytes) -> Result<(), Error> {
        let path = path(key)?;
        let seconds = seconds(content.len() as u64);
        let put = self.again("put", key, seconds, || self.store.put(&path, content.clone().into())).await;
        match put {
            Ok(_) => Ok(()),
            Err(Failed::Missing(e)) => Err(stopped(Step::no_bucket(key, e))),
            Err(Failed::Other(e)) => Err(e),
        }
    }

    pub(super) async fn delete(&self, key: &str) -> Result<(), Error> {
        let path = path(key)?;
        found(self.again("remove", key, CALL_SECONDS, || self.store.delete(&path)).await).map(|_| ())
    }

    pub(super) async fn list(&self, prefix: &str) -> Result<Vec<ListedFile>, Error> {
        let path = path(prefix.trim_end_matches('/'))?;
        let listed = self.again("list", prefix, LISTING_SECONDS, || {
            self.store
                .list(Some(&path))
                .map_ok(|meta| ListedFile {
                    key: meta.location.to_string(),
                    size_bytes: meta.size,
                    modified: Timestamp(meta.last_modified.timestamp_micros()),
                })
                .try_collect()
        });
        Ok(found(listed.await)?.unwrap_or_default())
    }

    /// Calls until there is an answer, a few times. Every call here may be repeated.
    async fn again<T, F: Future<Output = Result<T, StoreError>>>(
        &self,
        what: &str,
        key: &str,
        seconds: u64,
        call: impl Fn() -> F,
    ) -> Result<T, Failed> {
        let deadline = Duration::from_secs(seconds);
        let mut backoff = Backoff::new(self.random.clone(), TRIES);
        loop {
            let step = match tokio::time::timeout(deadline, call()).await {
                Ok(Ok(done)) => return Ok(done),
                Ok(Err(e @ StoreError::NotFound { .. })) => return Err(Failed::Missing(e)),
                Ok(Err(e)) => Step::from_store(what, key, e),
                Err(_) => Step::deadline(what, key, deadline),
            };
            match step {
                Step::Again(_) if backoff.wait().await => {}
                Step::Again(e) | Step::Stop(e) => return Err(Failed::Other(e)),
            }
        }
    }
}

enum Failed {
    Missing(StoreError),
    Other(Error),
}

fn found<T>(result: Result<T, Failed>) -> Result<Option<T>, Error> {
    match result {
        Ok(found) => Ok(Some(found)),
        Err(Failed::Missing(_)) => Ok(None),
        Err(Failed::Other(e)) => Err(e),
    }
}

fn stopped(step: Step) -> Error {
    match step {
        Step::Again(e) | Step::Stop(e) => e,
    }
}

fn seconds(bytes: u64) -> u64 {
    CALL_SECONDS + bytes / (256 << 10)
}

fn path(key: &str) -> Result<Path, Error> {
    Path::parse(key)
        .map_err(|e| Error::caused(ErrorKind::Settings, format!("{key:?} is not the key of an object"), e))
}
