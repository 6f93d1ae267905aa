//! The store as the rest of the program sees it: typed resources above [`Records`].

use std::path::Path;
use std::sync::Arc;

use lakehead_disk::Disk;
use lakehead_model::resource::{Bucket, Credentials, KeyPair, Pipeline, Sink, Stream};
use lakehead_model::{LegacyPipeline, PipelineId, Random, Secret, SinkId, StreamId};
use parking_lot::{Mutex, RwLock};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use tokio::sync::watch;

use crate::records::{Expect, Record, Records, Space, Write};
use crate::tokens::Tokens;
use crate::vault::Vault;
use crate::{Catalog, Error, ErrorKind, SqliteRecords};

/// One step of a change of the catalog. Putting replaces what has the same id.
#[derive(Debug, Clone)]
pub enum Change {
    /// Makes or replaces a stream.
    PutStream(Stream),
    /// Removes a stream; pipelines that read it are the caller's to remove.
    DeleteStream(StreamId),
    /// Makes or replaces a sink and its credentials.
    PutSink {
        /// The sink.
        sink: Sink,
        /// Stored encrypted; `None` removes stored ones.
        credentials: Option<Credentials>,
    },
    /// Removes a sink and its credentials.
    DeleteSink(SinkId),
    /// Makes or replaces a pipeline. One of a higher version makes the version before a past one.
    PutPipeline(Pipeline),
    /// Removes a pipeline; its flows stay until the runtime has stopped it and calls [`Store::delete_flows`].
    DeletePipeline(PipelineId),
    /// Makes or replaces a legacy pipeline.
    PutLegacy {
        /// The pipeline.
        pipeline: LegacyPipeline,
        /// Stored encrypted; `None` leaves stored ones as they are.
        credentials: Option<Credentials>,
    },
    /// Removes a legacy pipeline and its credentials; its flow stays as after [`Change::DeletePipeline`].
    DeleteLegacy(PipelineId),
    /// Makes or replaces a bucket.
    PutBucket(Bucket),
    /// Removes a bucket's record.
    DeleteBucket(String),
}

/// The metadata store.
#[derive(Debug)]
pub struct Store {
    pub(crate) records: Arc<dyn Records>,
    pub(crate) vault: Vault,
    pub(crate) tokens: Tokens,
    catalog: RwLock<Arc<Catalog>>,
    /// Held over a change, so that catalogs are published in the order of their revisions.
    changing: Mutex<()>,
    revision: watch::Sender<u64>,
}

const RESOURCES: [Space; 5] = [Space::Stream, Space::Sink, Space::Pipeline, Space::Legacy, Space::Bucket];

impl Store {
    /// Opens the store in `dir`, or makes it.
    ///
    /// # Errors
    /// `Busy` if another process has it open; `Corrupt` with the file and the remedy; `Storage`.
    pub fn open(dir: &Path, disk: &dyn Disk, random: Arc<dyn Random>) -> Result<Store, Error> {
        disk.create_dir_all(dir).map_err(|e| Error::io(dir, "make the data directory", e))?;
        let path = dir.join("meta.sqlite");
        // Made here so that nobody else may read it; an empty file is an empty database.
        match disk.create(&path) {
            Err(e) if e.kind() != std::io::ErrorKind::AlreadyExists => {
                return Err(Error::io(&path, "make", e));
            }
            _ => {}
        }
        let records = Arc::new(SqliteRecords::open(&path)?);
        disk.sync_dir(dir).map_err(|e| Error::io(dir, "sync", e))?;
        let (_, sealed) = records.list(&[Space::Credentials, Space::Token], "")?;
        let vault = Vault::open(dir, disk, Arc::clone(&random), sealed.is_empty())?;
        let tokens = Tokens::open(&*records, &vault, random)?;
        Store::over(records, vault, tokens)
    }

    pub(crate) fn over(records: Arc<dyn Records>, vault: Vault, tokens: Tokens) -> Result<Store, Error> {
        let (revision, found) = records.list(&RESOURCES, "")?;
        let mut catalog = Catalog { revision, ..Catalog::default() };
        for (space, record) in &found {
            catalog.apply(&match space {
                Space::Stream => Change::PutStream(parse(*space, record)?),
                Space::Sink => Change::PutSink { sink: parse(*space, record)?, credentials: None },
                Space::Pipeline => Change::PutPipeline(parse(*space, record)?),
                Space::Legacy => Change::PutLegacy { pipeline: parse(*space, record)?, credentials: None },
                Space::Bucket => Change::PutBucket(parse(*space, record)?),
                Space::Credentials
                | Space::Flow
                | Space::Journal
                | Space::JournalHead
                | Space::Retired
                | Space::Token
                | Space::Version
                | Space::Namespace
                | Space::Table
                | Space::TableAnswer
                | Space::TablePurge
                | Space::TableMaintenance => continue,
            });
        }
        Ok(Store {
            records,
            vault,
            tokens,
            catalog: RwLock::new(Arc::new(catalog)),
            changing: Mutex::new(()),
            revision: watch::Sender::new(revision),
        })
    }

    /// All resources as they are now.
    pub fn catalog(&self) -> Arc<Catalog> {
        Arc::clone(&self.catalog.read())
    }

    /// Wakes when the catalog has changed; the value is its revision. [`Store::catalog`] is then at least that new.
    pub fn watch(&self) -> watch::Receiver<u64> {
        self.revision.subscribe()
    }

    /// Does all of `changes` or none, if the catalog still has revision `at_revision`. Durable when it returns the new
    /// revision; watchers are woken.
    ///
    /// # Errors
    /// `Conflict` if the catalog has changed since, `Storage`.
    pub fn change(&self, at_revision: u64, changes: &[Change]) -> Result<u64, Error> {
        let mut writes = Vec::with_capacity(changes.len() + 1);
        for change in changes {
            self.writes_of(change, &mut writes)?;
        }
        let _changing = self.changing.lock();
        let revision = self.records.write(Some(at_revision), &writes)?;
        let mut catalog = Catalog::clone(&self.catalog());
        catalog.revision = revision;
        for change in changes {
            catalog.apply(change);
        }
        *self.catalog.write() = Arc::new(catalog);
        self.revision.send_replace(revision);
        Ok(revision)
    }

    fn writes_of(&self, change: &Change, writes: &mut Vec<Write>) -> Result<(), Error> {
        let mut write = |space, key: String, value| {
            writes.push(Write { space, key, expect: Expect::Any, value });
        };
        match change {
            Change::PutStream(s) => write(Space::Stream, s.id.to_string(), Some(json(s)?)),
            Change::DeleteStream(id) => write(Space::Stream, id.to_string(), None),
            Change::PutSink { sink, credentials } => {
                write(Space::Sink, sink.id.to_string(), Some(json(sink)?));
                let sealed = credentials.as_ref().map(|c| self.seal(&place(sink.id), c)).transpose()?;
                write(Space::Credentials, sink.id.to_string(), sealed);
            }
            Change::DeleteSink(id) => {
                write(Space::Sink, id.to_string(), None);
                write(Space::Credentials, id.to_string(), None);
            }
            Change::PutPipeline(p) => {
                write(Space::Pipeline, p.id.to_string(), Some(json(p)?));
                self.keep_version(p, &mut write)?;
            }
            Change::DeletePipeline(id) => {
                write(Space::Pipeline, id.to_string(), None);
                self.drop_versions(*id, &mut write)?;
            }
            Change::PutLegacy { pipeline, credentials } => {
                write(Space::Legacy, pipeline.id.to_string(), Some(json(pipeline)?));
                let sink = pipeline.sink_id();
                if let Some(credentials) = credentials {
                    self.keep_former(pipeline, &mut write)?;
                    write(Space::Credentials, sink.to_string(), Some(self.seal(&place(sink), credentials)?));
                }
            }
            Change::DeleteLegacy(id) => {
                write(Space::Legacy, id.to_string(), None);
                write(Space::Credentials, SinkId(id.0).to_string(), None);
                for (space, record) in
                    self.records.list(&[Space::Credentials], &former_key(SinkId(id.0), ""))?.1
                {
                    write(space, record.key, None);
                }
            }
            Change::PutBucket(b) => write(Space::Bucket, b.name.clone(), Some(json(b)?)),
            Change::DeleteBucket(name) => write(Space::Bucket, name.clone(), None),
        }
        Ok(())
    }

    /// The credentials of a sink, or of the sink of a legacy pipeline.
    ///
    /// # Errors
    /// `Corrupt` if they cannot be decrypted, `Storage`.
    pub fn sink_credentials(&self, sink: SinkId) -> Result<Option<Credentials>, Error> {
        self.credentials_at(&sink.to_string())
    }

    /// The credentials with which the sink of a legacy pipeline wrote to `bucket` before it was changed to write elsewhere: what
    /// was decided to be written there is still written there.
    ///
    /// # Errors
    /// `Corrupt` if they cannot be decrypted, `Storage`.
    pub fn former_credentials(&self, sink: SinkId, bucket: &str) -> Result<Option<Credentials>, Error> {
        self.credentials_at(&former_key(sink, bucket))
    }

    fn credentials_at(&self, key: &str) -> Result<Option<Credentials>, Error> {
        let Some(record) = self.records.get(Space::Credentials, key)? else {
            return Ok(None);
        };
        let place = place(key);
        let text = self.vault.open_sealed(&place, &record.value)?;
        let damaged = |_| Error::new(ErrorKind::Corrupt, format!("{place}: holds no credentials"));
        let plain: PlainCredentials = serde_json::from_slice(&text).map_err(damaged)?;
        Ok(Some(match plain {
            PlainCredentials::Keys(access_key_id, secret_access_key) => {
                Credentials::Keys(KeyPair { access_key_id, secret_access_key })
            }
            PlainCredentials::Token { token } => Credentials::Token(token),
        }))
    }

    /// Keeps the credentials of the bucket that the pipeline is about to leave.
    fn keep_former(
        &self,
        next: &LegacyPipeline,
        write: &mut impl FnMut(Space, String, Option<Vec<u8>>),
    ) -> Result<(), Error> {
        let catalog = self.catalog();
        let Some(old) = catalog.legacy.get(&next.id).filter(|old| old.resource.bucket != next.bucket) else {
            return Ok(());
        };
        if let Some(credentials) = self.sink_credentials(next.sink_id())? {
            let key = former_key(next.sink_id(), &old.resource.bucket);
            let sealed = self.seal(&place(&key), &credentials)?;
            write(Space::Credentials, key, Some(sealed));
        }
        Ok(())
    }

    fn seal(&self, place: &str, credentials: &Credentials) -> Result<Vec<u8>, Error> {
        let plain = match credentials {
            Credentials::Keys(KeyPair { access_key_id, secret_access_key }) => {
                json(&(access_key_id.reveal(), secret_access_key.reveal()))?
            }
            Credentials::Token(token) => json(&serde_json::json!({ "token": token.reveal() }))?,
        };
        self.vault.seal(place, &plain)
    }
}

/// Credentials as they are before they are encrypted: `["key id", "key"]` or `{"token": "…"}`.
#[derive(Deserialize)]
#[serde(untagged)]
enum PlainCredentials {
    Keys(Secret, Secret),
    Token { token: Secret },
}

/// What sealed credentials are bound to: their key.
fn place(key: impl std::fmt::Display) -> String {
    format!("{}/{key}", Space::Credentials.name())
}

fn former_key(sink: SinkId, bucket: &str) -> String {
    format!("{sink}@{bucket}")
}

pub(crate) fn json<T: Serialize>(value: &T) -> Result<Vec<u8>, Error> {
    serde_json::to_vec(value)
        .map_err(|e| Error::new(ErrorKind::Storage, format!("cannot write a record as JSON: {e}")))
}

pub(crate) fn parse<T: DeserializeOwned>(space: Space, record: &Record) -> Result<T, Error> {
    serde_json::from_slice(&record.value).map_err(|e| {
        let text = format!("record {}/{} cannot be read: {e}; restore a backup", space.name(), record.key);
        Error::new(ErrorKind::Corrupt, text)
    })
}
