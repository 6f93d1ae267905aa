//! The account as the played hosts need it: keys for buckets, and what lies in them. See `lakehead-hosts`.
//!
//! A key is a token that may read, bound to its bucket: by Cloudflare's rule the token's id is the access key id, and SHA-256 of
//! its value the secret access key. The value itself is shown to nobody. A key is asked for when a pipeline or a sink is made and
//! lasts a day; the server needs none to write where its configuration says a bucket is.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use http::StatusCode;
use http_body_util::BodyExt;
use lakehead_disk::{Disk, SystemDisk};
use lakehead_hosts::lines::{Lines, hosts_lines};
use lakehead_hosts::{Certificates, KeyPair, ListQuery, ListedObject, Through};
use lakehead_meta::{NewToken, Store};
use lakehead_model::{Clock, Permissions, Secret, SystemClock, SystemRandom, Timestamp, TokenId, limits};

use crate::access::Peer;
use crate::binding;
use crate::config::{Config, ConfigError};
use crate::control::{Control, Error, Kind};
use crate::front::Front;
use crate::http::answer;

const KEY_LIFETIME: Duration = Duration::from_secs(24 * 3600);

/// What stands behind the played hosts.
pub(crate) struct Account {
    pub(crate) control: Arc<Control>,
    pub(crate) store: Arc<Store>,
    pub(crate) clock: Arc<dyn Clock>,
}

impl Account {
    /// The id of a key's token, if that is good for reading.
    fn reader(&self, access_key_id: &str) -> Option<Arc<lakehead_model::Token>> {
        let id: TokenId = access_key_id.parse().ok()?;
        self.store.token(id).filter(|t| t.permissions.read && !t.is_expired(self.clock.now()))
    }
}

impl lakehead_hosts::Account for Account {
    fn account_id(&self) -> &str {
        self.control.account_id()
    }

    fn secret_access_key(&self, access_key_id: &str) -> Result<Option<Secret>, String> {
        Ok(self.reader(access_key_id).and_then(|_| self.store.token_secret_key(access_key_id)))
    }

    fn may_read(&self, access_key_id: &str, bucket: &str) -> Result<bool, String> {
        let Some(token) = self.reader(access_key_id) else { return Ok(false) };
        self.store.note_use(token.id, self.clock.now());
        Ok(token.bucket.as_deref().is_none_or(|only| only == bucket))
    }

    fn bucket_exists(&self, bucket: &str) -> Result<bool, String> {
        match self.control.bucket(bucket) {
            Ok(_) => Ok(true),
            Err(Error::Missing(Kind::Bucket)) => Ok(false),
            Err(error) => Err(error.to_string()),
        }
    }

    fn list_objects(&self, bucket: &str, query: &ListQuery) -> Result<Vec<ListedObject>, String> {
        let found = self.control.objects(bucket, &query.prefix, query.after.as_deref(), query.keys_max);
        let listed = |o: crate::control::ObjectEntry| ListedObject {
            etag: format!("{:x}-{:x}", o.size_bytes, o.modified_at.0),
            key: o.key,
            size_bytes: o.size_bytes,
            modified: o.modified_at,
        };
        found.map(|all| all.into_iter().map(listed).collect()).map_err(|e| e.to_string())
    }

    fn mint_key(&self, bucket: &str, pipeline: &str) -> Result<KeyPair, String> {
        let now = self.clock.now();
        let name: String = format!("key for bucket {bucket}, asked for by wrangler for {pipeline}")
            .chars()
            .filter(|c| !c.is_control())
            .take(limits::TOKEN_NAME_CHARS_MAX)
            .collect();
        let lifetime = i64::try_from(KEY_LIFETIME.as_micros()).unwrap_or(i64::MAX);
        let new = NewToken {
            name,
            permissions: Permissions { read: true, ..Permissions::default() },
            streams: None,
            bucket: Some(bucket.to_owned()),
            expires_at: Some(Timestamp(now.0.saturating_add(lifetime))),
        };
        let (token, _) = self.control.create_token(new).map_err(|e| e.to_string())?;
        let access_key_id = token.id.to_string();
        let secret = self.store.token_secret_key(&access_key_id).ok_or("the key was revoked at once")?;
        Ok(KeyPair { access_key_id, secret_access_key: secret })
    }
}

/// What `lakehead wrangler-hosts` prints: lines for a hosts file, and in comments what clients need besides. Makes the
/// certificates if there are none yet.
///
/// # Errors
/// A text for a person: no listener is configured, no server was ever started on the data folder, or the certificates cannot be
/// made.
pub fn lines(
    config: &Config,
    buckets: &[String],
    stream_ids: &[String],
    pipeline_ids: &[String],
    with_api: bool,
) -> Result<String, ConfigError> {
    let Some(listen) = config.hosts.listen else {
        let text = "`hosts.listen` is not set; `[hosts]` with `listen = \"127.0.0.1:443\"` makes the server play them";
        return Err(ConfigError(text.to_owned()));
    };
    let account_id = crate::environment::account_id(config)?;
    let disk: Arc<dyn Disk> = Arc::new(SystemDisk);
    let (clock, random) = (Arc::new(SystemClock::default()), Arc::new(SystemRandom));
    let certificates = Certificates::open(&config.data_dir, &account_id, disk, clock, random)
        .map_err(|e| ConfigError(format!("hosts: {e}")))?;
    let ca_file = std::path::absolute(certificates.ca_file()).unwrap_or_else(|_| certificates.ca_file());
    Ok(hosts_lines(&Lines {
        address: listen.ip(),
        port: listen.port(),
        account_id: &account_id,
        ca_file: &ca_file,
        buckets,
        pipeline_ids,
        stream_ids,
        with_api,
    }))
}

/// Everything the played hosts do not answer themselves: ingest by host name, and the API.
pub(crate) fn through(front: Arc<Front>) -> Through {
    Arc::new(move |request, peer: SocketAddr| {
        let front = Arc::clone(&front);
        Box::pin(async move {
            if binding::is_for(request.uri().path()) {
                let message = "bindings are served by the main listener, without TLS of its own";
                let refused = answer::error(StatusCode::UPGRADE_REQUIRED, 10426, message);
                return refused.map(|body| body.map_err(Into::into).boxed_unsync());
            }
            let response = front.handle(request, Peer(peer.ip())).await;
            response.map(|body| body.map_err(Into::into).boxed_unsync())
        })
    })
}
