//! An object store in memory that fails, hangs or loses answers at any call, and checks what it is asked.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::ops::Range;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::BoxStream;
use lakehead_sink::LeftUploads;
use object_store::memory::InMemory;
use object_store::multipart::{MultipartStore, PartId};
use object_store::path::Path;
use object_store::{
    CopyOptions, Error, GetOptions, GetResult, ListResult, MultipartId, MultipartUpload, ObjectMeta,
    ObjectStore, PutMode, PutMultipartOptions, PutOptions, PutPayload, PutResult, Result,
};
use parking_lot::Mutex;
use tokio::sync::Notify;

/// Tries of a publisher in these tests before it gives up.
pub(crate) const TRIES: u32 = 5;

/// What happens at the chosen calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// 503: nothing was done.
    FailBefore,
    /// Done, and the answer is a 500.
    FailAfter,
    /// No answer, ever; nothing was done.
    HangBefore,
    /// Done; no answer, ever.
    HangAfter,
    /// 409: another request for this key is under way.
    Conflict,
    /// 403.
    Deny,
    /// 404.
    NoBucket,
    /// The process dies before the call; later calls hang as well.
    DieBefore,
    /// The process dies after the call.
    DieAfter,
}

/// How the store treats `If-None-Match: *`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Conditions {
    Honoured,
    Ignored,
    /// 501.
    Refused,
}

pub(crate) struct FaultyStore {
    pub(crate) inner: Arc<InMemory>,
    conditions: Conditions,
    state: Mutex<State>,
    pub(crate) died: Notify,
}

#[derive(Clone)]
struct Upload {
    key: String,
    parts: BTreeMap<usize, Bytes>,
}

#[derive(Default)]
struct State {
    armed: bool,
    faults: BTreeSet<usize>,
    fault: Option<Fault>,
    calls: usize,
    dead: bool,
    trace: Vec<String>,
    /// The parts of uploads that are neither completed nor aborted.
    uploads: BTreeMap<MultipartId, Upload>,
    /// How often aborting an upload failed.
    failed_aborts: BTreeMap<MultipartId, u32>,
}

impl fmt::Debug for FaultyStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("FaultyStore")
    }
}

impl fmt::Display for FaultyStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("FaultyStore")
    }
}

fn broken(what: &str) -> Error {
    Error::Generic { store: "faulty", source: what.to_owned().into() }
}

fn no_such_upload(id: &str) -> Error {
    Error::NotFound { path: id.to_owned(), source: "404 NoSuchUpload".into() }
}

impl FaultyStore {
    pub(crate) fn new(inner: Arc<InMemory>, conditions: Conditions) -> Arc<FaultyStore> {
        Arc::new(FaultyStore { inner, conditions, state: Mutex::default(), died: Notify::new() })
    }

    /// From now on, calls are counted from 0 and those in `faults` go wrong.
    pub(crate) fn arm(&self, faults: impl IntoIterator<Item = usize>, fault: Fault) {
        let mut state = self.state.lock();
        state.armed = true;
        state.faults = faults.into_iter().collect();
        state.fault = Some(fault);
        state.calls = 0;
        state.trace.clear();
    }

    pub(crate) fn calls(&self) -> usize {
        self.state.lock().calls
    }

    pub(crate) fn trace(&self) -> Vec<String> {
        self.state.lock().trace.clone()
    }

    /// Uploads that were started and neither completed nor aborted, though the client did not try to abort them [`TRIES`] times:
    /// what the store does not let it abort is left to the bucket's own clean-up.
    pub(crate) fn forgotten_uploads(&self) -> usize {
        let state = self.state.lock();
        let given_up =
            |id: &&MultipartId| state.failed_aborts.get(*id).is_some_and(|failed| *failed >= TRIES);
        state.uploads.len() - state.uploads.keys().filter(given_up).count()
    }

    /// Uploads that are neither completed nor aborted.
    pub(crate) fn open_uploads(&self) -> usize {
        self.state.lock().uploads.len()
    }

    /// Keeps the open uploads of the store's earlier life.
    pub(crate) fn inherit(&self, earlier: &FaultyStore) {
        let (mut state, earlier) = (self.state.lock(), earlier.state.lock());
        state.uploads = earlier.uploads.clone();
        state.failed_aborts = earlier.failed_aborts.clone();
    }

    async fn call<T>(&self, what: &str, work: impl Future<Output = Result<T>>) -> Result<T> {
        let fault = {
            let mut state = self.state.lock();
            let number = state.calls;
            state.calls += 1;
            state.trace.push(what.to_owned());
            if state.dead {
                Some(Fault::HangBefore)
            } else {
                state.fault.filter(|_| state.armed && state.faults.contains(&number))
            }
        };
        match fault {
            None => work.await,
            Some(Fault::FailBefore) => Err(broken("503 slow down")),
            Some(Fault::FailAfter) => {
                work.await?;
                Err(broken("500 internal error"))
            }
            Some(Fault::HangBefore) => std::future::pending().await,
            Some(Fault::HangAfter) => {
                work.await?;
                std::future::pending().await
            }
            Some(Fault::Conflict) => {
                Err(Error::AlreadyExists { path: what.to_owned(), source: "409 conflict".into() })
            }
            Some(Fault::Deny) => {
                Err(Error::PermissionDenied { path: what.to_owned(), source: "403 forbidden".into() })
            }
            Some(Fault::NoBucket) => {
                Err(Error::NotFound { path: what.to_owned(), source: "404 NoSuchBucket".into() })
            }
            Some(fault @ (Fault::DieBefore | Fault::DieAfter)) => {
                self.state.lock().dead = true;
                if fault == Fault::DieAfter {
                    let _ = work.await;
                }
                self.died.notify_one();
                std::future::pending().await
            }
        }
    }
}

#[async_trait]
impl ObjectStore for FaultyStore {
    async fn put_opts(&self, at: &Path, payload: PutPayload, mut options: PutOptions) -> Result<PutResult> {
        if options.mode == PutMode::Create {
            match self.conditions {
                Conditions::Honoured => {}
                Conditions::Ignored => options.mode = PutMode::Overwrite,
                Conditions::Refused => return Err(broken("501 not implemented")),
            }
        }
        self.call(&format!("put {at}"), self.inner.put_opts(at, payload, options)).await
    }

    async fn put_multipart_opts(&self, _: &Path, _: PutMultipartOptions) -> Result<Box<dyn MultipartUpload>> {
        panic!("uploads are made by id, so that they can be aborted after a crash")
    }

    async fn get_opts(&self, at: &Path, options: GetOptions) -> Result<GetResult> {
        let what = if options.head { "head" } else { "get" };
        self.call(&format!("{what} {at}"), self.inner.get_opts(at, options)).await
    }

    async fn get_ranges(&self, at: &Path, ranges: &[Range<u64>]) -> Result<Vec<Bytes>> {
        self.call(&format!("get {at}"), self.inner.get_ranges(at, ranges)).await
    }

    fn delete_stream(&self, locations: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        self.inner.delete_stream(locations)
    }

    fn list(&self, _: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        panic!("nothing may depend on a listing")
    }

    async fn list_with_delimiter(&self, _: Option<&Path>) -> Result<ListResult> {
        panic!("nothing may depend on a listing")
    }

    async fn copy_opts(&self, _: &Path, _: &Path, _: CopyOptions) -> Result<()> {
        panic!("nothing is copied")
    }
}

#[async_trait]
impl MultipartStore for FaultyStore {
    async fn create_multipart(&self, at: &Path) -> Result<MultipartId> {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        let create = async {
            let id = format!("upload-{}", NEXT.fetch_add(1, Ordering::Relaxed));
            let upload = Upload { key: at.to_string(), parts: BTreeMap::new() };
            self.state.lock().uploads.insert(id.clone(), upload);
            Ok(id)
        };
        self.call(&format!("create {at}"), create).await
    }

    async fn put_part(&self, at: &Path, id: &MultipartId, index: usize, data: PutPayload) -> Result<PartId> {
        let put = async {
            let mut state = self.state.lock();
            let upload = state.uploads.get_mut(id).ok_or_else(|| no_such_upload(id))?;
            upload.parts.insert(index, data.into());
            Ok(PartId { content_id: index.to_string() })
        };
        self.call(&format!("part {index} {at}"), put).await
    }

    async fn complete_multipart(&self, at: &Path, id: &MultipartId, ids: Vec<PartId>) -> Result<PutResult> {
        let complete = async {
            let parts = self.state.lock().uploads.remove(id).ok_or_else(|| no_such_upload(id))?.parts;
            let named: Vec<_> = ids.iter().map(|id| id.content_id.clone()).collect();
            assert_eq!(named, (0..parts.len()).map(|i| i.to_string()).collect::<Vec<_>>());
            let sizes: Vec<usize> = parts.values().map(Bytes::len).collect();
            let (last, others) = sizes.split_last().expect("an upload has parts");
            assert!(others.iter().all(|s| *s == others[0] && last <= s), "unequal parts: {sizes:?}");
            let whole = parts.into_values().flatten().collect::<Vec<u8>>();
            self.inner.put_opts(at, whole.into(), PutOptions::default()).await
        };
        self.call(&format!("complete {at}"), complete).await
    }

    async fn abort_multipart(&self, at: &Path, id: &MultipartId) -> Result<()> {
        let abort = async {
            match self.state.lock().uploads.remove(id) {
                Some(_) => Ok(()),
                None => Err(no_such_upload(id)),
            }
        };
        let aborted = self.call(&format!("abort {at}"), abort).await;
        if aborted.is_err() {
            *self.state.lock().failed_aborts.entry(id.clone()).or_default() += 1;
        }
        aborted
    }
}

impl LeftUploads for FaultyStore {
    fn of<'a>(&'a self, key: &'a str) -> Pin<Box<dyn Future<Output = Result<Vec<MultipartId>>> + Send + 'a>> {
        let list = async move {
            let state = self.state.lock();
            Ok(state
                .uploads
                .iter()
                .filter(|(_, upload)| upload.key == key)
                .map(|(id, _)| id.clone())
                .collect())
        };
        let what = format!("uploads {key}");
        Box::pin(async move { self.call(&what, list).await })
    }
}
