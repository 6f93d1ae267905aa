//! Where buckets are: a bucket's name stands for a folder or for an S3 bucket, as the configuration says.

use std::collections::BTreeMap;
use std::path::PathBuf;

use lakehead_meta::Store;
use lakehead_model::resource::{Credentials, KeyPair};
use lakehead_model::{Secret, SinkId, name};
use lakehead_sink::{Bucket, S3Bucket};

use crate::config;

/// The region of a bucket that is configured without one.
const DEFAULT_REGION: &str = "auto";

/// The key pair with which a sink writes to `bucket`: its own; for a bucket that it has been told to leave (`has_left`), the one it
/// had then, if it had another.
///
/// # Errors
/// As [`Store::sink_credentials`].
pub(crate) fn sink_keys(
    store: &Store,
    sink: SinkId,
    bucket: &str,
    has_left: bool,
) -> Result<Option<KeyPair>, lakehead_meta::Error> {
    let key_pair = |given: Option<Credentials>| match given {
        Some(Credentials::Keys(keys)) => Some(keys),
        Some(Credentials::Token(_)) | None => None,
    };
    let former = if has_left { key_pair(store.former_credentials(sink, bucket)?) } else { None };
    match former {
        Some(keys) => Ok(Some(keys)),
        None => Ok(key_pair(store.sink_credentials(sink)?)),
    }
}

/// What a reader needs for reaching a bucket in an S3 store. `Debug` shows no secret.
#[derive(Debug)]
pub(crate) struct S3Access {
    pub(crate) endpoint: String,
    pub(crate) region: String,
    /// Those of the configuration.
    pub(crate) keys: Option<(String, Secret)>,
    pub(crate) hand_out_keys: config::HandOutKeys,
}

/// The map from bucket names to places.
#[derive(Debug)]
pub struct Storage {
    /// Buckets that the configuration does not name are folders in here.
    root: PathBuf,
    mapped: BTreeMap<String, config::Bucket>,
}

impl Storage {
    pub fn new(root: PathBuf, mapped: BTreeMap<String, config::Bucket>) -> Self {
        Storage { root, mapped }
    }

    /// The folder of a bucket that is kept on local disk.
    pub fn folder(&self, bucket: &str) -> Option<PathBuf> {
        match self.mapped.get(bucket) {
            None => Some(self.root.join(bucket)),
            Some(place) => place.path.clone(),
        }
    }

    /// Buckets that the configuration names.
    pub fn configured(&self) -> impl Iterator<Item = &str> {
        self.mapped.keys().map(String::as_str)
    }

    /// How readers reach a bucket in an S3 store; `None` for one in a folder.
    pub(crate) fn s3_access(&self, bucket: &str) -> Option<S3Access> {
        let place = self.mapped.get(bucket)?;
        Some(S3Access {
            endpoint: place.endpoint.clone()?,
            region: place.region.clone().unwrap_or_else(|| DEFAULT_REGION.into()),
            keys: place.access_key_id.clone().zip(place.secret_access_key.clone()),
            hand_out_keys: place.hand_out_keys,
        })
    }

    /// The place of `bucket`. Credentials of the configuration win over those that were given with a sink.
    ///
    /// # Errors
    /// A text for the pipeline's failure reason.
    pub fn locate(&self, bucket: &str, given: Option<&KeyPair>) -> Result<Bucket, String> {
        match self.locate_for_table(bucket)? {
            Bucket::S3(place) if place.access_key_id.is_empty() => {
                let given = given.ok_or_else(|| {
                    format!(
                        "bucket `{bucket}` has no credentials, neither configured nor given with the sink"
                    )
                })?;
                Ok(Bucket::S3(S3Bucket {
                    access_key_id: given.access_key_id.reveal().to_owned(),
                    secret: Secret::new(given.secret_access_key.reveal()),
                    ..place
                }))
            }
            place => Ok(place),
        }
    }

    /// The place of `bucket` with the credentials of the configuration; with empty ones if it has none, because the catalog of a
    /// table may give them.
    ///
    /// # Errors
    /// As [`Storage::locate`].
    pub fn locate_for_table(&self, bucket: &str) -> Result<Bucket, String> {
        name::check_bucket("config.bucket", bucket).map_err(|e| e.to_string())?;
        if let Some(root) = self.folder(bucket) {
            return Ok(Bucket::Local { root });
        }
        let place = &self.mapped[bucket];
        let (access_key_id, secret) = match (&place.access_key_id, &place.secret_access_key) {
            (Some(id), Some(secret)) => (id.clone(), secret.clone()),
            _ => (String::new(), Secret::new("")),
        };
        Ok(Bucket::S3(S3Bucket {
            endpoint: place.endpoint.clone().unwrap_or_default(),
            region: place.region.clone().unwrap_or_else(|| DEFAULT_REGION.into()),
            bucket: place.bucket.clone().unwrap_or_else(|| bucket.to_owned()),
            access_key_id,
            secret,
            session_token: None,
            path_style: true,
            // The operator wrote the endpoint; a store on the same network often has no TLS.
            allow_http: true,
        }))
    }
}
