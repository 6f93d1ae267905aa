//! Configuration: defaults < TOML file < environment (`LAKEHEAD_*`) < flags. An unknown key is an error.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use lakehead_model::{Secret, limits, name};
use serde::{Deserialize, Serialize};

mod catalog;
#[cfg(test)]
mod tests;

pub use catalog::Catalog;

/// Everything an operator can set. Serializing it shows no secret.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Folder of the log, the metadata, staged files, dead letters, and buckets that are mapped nowhere else.
    pub data_dir: PathBuf,
    /// Address of the one listener: management API, ingest, metrics and health.
    pub listen: SocketAddr,
    /// What clients are told as the address of an ingest endpoint, `http://{listen}` if empty. No slash at the end.
    pub public_url: String,
    /// A request whose host is `{stream_id}.{ingest_domain}` is an ingest request, whatever its path.
    pub ingest_domain: String,
    pub diagnostics: Diagnostics,
    pub log: Log,
    pub ingest: Ingest,
    pub sinks: Sinks,
    pub tables: Tables,
    pub hosts: Hosts,
    /// Where buckets are, by name. A bucket that is not listed is a folder `buckets/{name}` of the data folder.
    pub buckets: BTreeMap<String, Bucket>,
}

impl Default for Config {
    fn default() -> Self {
        Config {
            data_dir: PathBuf::from("lakehead-data"),
            listen: SocketAddr::from(([127, 0, 0, 1], 7070)),
            public_url: String::new(),
            ingest_domain: "ingest.localhost".into(),
            diagnostics: Diagnostics::default(),
            log: Log::default(),
            ingest: Ingest::default(),
            sinks: Sinks::default(),
            tables: Tables::default(),
            hosts: Hosts::default(),
            buckets: BTreeMap::new(),
        }
    }
}

/// What the process says about itself on standard error.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Diagnostics {
    pub format: DiagnosticsFormat,
    /// A level (`info`) or a filter (`info,lakehead_log=debug`).
    pub level: String,
}

impl Default for Diagnostics {
    fn default() -> Self {
        Diagnostics { format: DiagnosticsFormat::Text, level: "info".into() }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DiagnosticsFormat {
    Text,
    Json,
}

/// The durable log.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Log {
    /// Size of a segment file. A larger one is prepared less often; a restart rescans at most one.
    pub segment_bytes: u64,
    /// Disk the log may use. At 90 % delivered segments go early; at 100 % producers are told to wait.
    pub quota_bytes: u64,
    /// How long records are kept after every pipeline has passed them, if the quota allows.
    pub retention_seconds: u64,
    /// `Idempotency-Key`s remembered, over all streams; younger ones displace older ones. About 90 bytes of memory each.
    pub idempotency_keys_max: usize,
    /// Start although the log is damaged, and go on without what cannot be read. For one start, after a refusal that says so.
    pub accept_loss: bool,
}

impl Default for Log {
    fn default() -> Self {
        Log {
            segment_bytes: 64 << 20,
            quota_bytes: 16 << 30,
            retention_seconds: 24 * 3600,
            idempotency_keys_max: 500_000,
            accept_loss: false,
        }
    }
}

/// Bounds of the HTTP front.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Ingest {
    /// Connections held at once; further ones wait to be accepted.
    pub connections_max: usize,
    /// Bodies held in memory at once, received and inflated bytes together; further requests wait, then get 429.
    pub in_flight_bytes_max: usize,
}

impl Default for Ingest {
    fn default() -> Self {
        Ingest { connections_max: 4096, in_flight_bytes_max: 128 << 20 }
    }
}

/// Bounds of the pipelines' writers.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Sinks {
    /// Encoded rows held in memory by all open files together; beyond it row groups are finished early.
    pub buffer_bytes_max: usize,
}

impl Default for Sinks {
    fn default() -> Self {
        Sinks { buffer_bytes_max: 128 << 20 }
    }
}

/// Tables, and the sinks that write them.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Tables {
    /// Shortest roll interval that a sink may have. Each roll is a commit and a snapshot of its table.
    pub roll_interval_seconds_min: u64,
    /// Time between two looks at every table of the catalogs that are built in; 0: there is no upkeep.
    pub upkeep_interval_seconds: u64,
    /// Snapshots of a branch that stay, where nothing was said of them; else ten times as many.
    pub snapshots_max: usize,
    /// Small manifests that a snapshot may have before they are merged.
    pub manifests_max: usize,
    /// How long the files of snapshots that were removed stay, for readers that have begun.
    pub readers_grace_seconds: u64,
    /// From what age on files go that no commit knows; 0: they stay.
    pub orphans_after_seconds: u64,
}

impl Default for Tables {
    fn default() -> Self {
        Tables {
            roll_interval_seconds_min: limits::TABLE_ROLL_INTERVAL_SECONDS_MIN,
            upkeep_interval_seconds: 60,
            snapshots_max: 100,
            manifests_max: 100,
            readers_grace_seconds: 15 * 60,
            orphans_after_seconds: 3 * 24 * 3600,
        }
    }
}

/// The hosts that wrangler contacts by fixed names. See `lakehead wrangler-hosts`.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Hosts {
    /// Address of the TLS listener that plays them; absent, nobody does. wrangler knows port 443 alone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub listen: Option<SocketAddr>,
}

/// Where a bucket is: a folder (`path`), or an S3 endpoint (`endpoint`).
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Bucket {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<PathBuf>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub endpoint: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub region: Option<String>,
    /// Name in the store; the name here if absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bucket: Option<String>,
    /// Absent: the credentials of the sink are used.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub access_key_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub secret_access_key: Option<Secret>,
    /// A file that holds the secret access key, instead of the key itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub secret_access_key_file: Option<PathBuf>,
    /// Who is given these keys by the bucket's catalog when he asks for them, to read and write tables' files with.
    #[serde(skip_serializing_if = "HandOutKeys::is_default")]
    pub hand_out_keys: HandOutKeys,
    /// The catalog of its tables; the one that is built in if absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub catalog: Option<Catalog>,
}

/// Whom the catalog of a bucket gives the bucket's own keys. With them everything in the bucket can be changed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum HandOutKeys {
    /// Nobody: readers bring keys of their own.
    Never,
    /// Whoever has a token with the permission `write`.
    #[default]
    Writers,
    /// Whoever may load a table.
    Everyone,
}

impl HandOutKeys {
    #[expect(clippy::trivially_copy_pass_by_ref, reason = "as serde calls it")]
    fn is_default(&self) -> bool {
        *self == HandOutKeys::default()
    }
}

/// What can be set on the command line, where it wins over everything.
#[derive(Debug, Clone, Default)]
pub struct Flags {
    pub config_file: Option<PathBuf>,
    pub data_dir: Option<PathBuf>,
    pub listen: Option<SocketAddr>,
}

/// The configuration cannot be used; the text says which key of which source, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigError(pub String);

impl std::fmt::Display for ConfigError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for ConfigError {}

#[derive(Clone, Copy)]
enum Kind {
    Text,
    Integer,
    Flag,
}

/// Every environment variable that is read, with the key it sets.
const ENVIRONMENT: &[(&str, &[&str], Kind)] = &[
    ("LAKEHEAD_DATA_DIR", &["data_dir"], Kind::Text),
    ("LAKEHEAD_LISTEN", &["listen"], Kind::Text),
    ("LAKEHEAD_PUBLIC_URL", &["public_url"], Kind::Text),
    ("LAKEHEAD_INGEST_DOMAIN", &["ingest_domain"], Kind::Text),
    ("LAKEHEAD_DIAGNOSTICS__FORMAT", &["diagnostics", "format"], Kind::Text),
    ("LAKEHEAD_DIAGNOSTICS__LEVEL", &["diagnostics", "level"], Kind::Text),
    ("LAKEHEAD_LOG__SEGMENT_BYTES", &["log", "segment_bytes"], Kind::Integer),
    ("LAKEHEAD_LOG__QUOTA_BYTES", &["log", "quota_bytes"], Kind::Integer),
    ("LAKEHEAD_LOG__RETENTION_SECONDS", &["log", "retention_seconds"], Kind::Integer),
    ("LAKEHEAD_LOG__IDEMPOTENCY_KEYS_MAX", &["log", "idempotency_keys_max"], Kind::Integer),
    ("LAKEHEAD_LOG__ACCEPT_LOSS", &["log", "accept_loss"], Kind::Flag),
    ("LAKEHEAD_INGEST__CONNECTIONS_MAX", &["ingest", "connections_max"], Kind::Integer),
    ("LAKEHEAD_INGEST__IN_FLIGHT_BYTES_MAX", &["ingest", "in_flight_bytes_max"], Kind::Integer),
    ("LAKEHEAD_HOSTS__LISTEN", &["hosts", "listen"], Kind::Text),
    ("LAKEHEAD_SINKS__BUFFER_BYTES_MAX", &["sinks", "buffer_bytes_max"], Kind::Integer),
    ("LAKEHEAD_TABLES__ROLL_INTERVAL_SECONDS_MIN", &["tables", "roll_interval_seconds_min"], Kind::Integer),
    ("LAKEHEAD_TABLES__UPKEEP_INTERVAL_SECONDS", &["tables", "upkeep_interval_seconds"], Kind::Integer),
    ("LAKEHEAD_TABLES__SNAPSHOTS_MAX", &["tables", "snapshots_max"], Kind::Integer),
    ("LAKEHEAD_TABLES__MANIFESTS_MAX", &["tables", "manifests_max"], Kind::Integer),
    ("LAKEHEAD_TABLES__READERS_GRACE_SECONDS", &["tables", "readers_grace_seconds"], Kind::Integer),
    ("LAKEHEAD_TABLES__ORPHANS_AFTER_SECONDS", &["tables", "orphans_after_seconds"], Kind::Integer),
];

/// Files of commits that take their time must be older before they pass for forgotten.
const ORPHANS_AFTER_SECONDS_MIN: u64 = 3600;

/// Names the configuration file; it is not a key of it.
const CONFIG_FILE_VARIABLE: &str = "LAKEHEAD_CONFIG";
/// Variables of the same prefix that belong to other programs of the project (where the binary is, where tests cache).
const FOREIGN: &[&str] = &["LAKEHEAD_BIN", "LAKEHEAD_CACHE"];

impl Config {
    /// Reads all sources. `environment` is the process's, given by the caller.
    ///
    /// # Errors
    /// An unreadable file, an unknown key or variable, a value of the wrong kind, or values that cannot work together.
    pub fn load(
        flags: &Flags,
        environment: impl Iterator<Item = (String, String)>,
    ) -> Result<Config, ConfigError> {
        let environment: BTreeMap<_, _> =
            environment.filter(|(name, _)| name.starts_with("LAKEHEAD_")).collect();
        let file =
            flags.config_file.clone().or_else(|| environment.get(CONFIG_FILE_VARIABLE).map(PathBuf::from));
        let mut table = match &file {
            Some(path) => read_file(path)?,
            None => toml::Table::new(),
        };
        for (name, value) in &environment {
            if name == CONFIG_FILE_VARIABLE
                || FOREIGN.contains(&name.as_str())
                || name.starts_with("LAKEHEAD_TEST_")
            {
                continue;
            }
            let Some((_, path, kind)) = ENVIRONMENT.iter().find(|(known, ..)| known == name) else {
                return Err(ConfigError(format!("environment variable `{name}` is not known")));
            };
            set(&mut table, path, variable(name, value, *kind)?)?;
        }
        let mut config: Config = serde_path_to_error::deserialize(table).map_err(|e| {
            let key = e.path().to_string();
            ConfigError(format!("configuration: `{key}`: {}", e.into_inner().message()))
        })?;
        if let Some(data_dir) = &flags.data_dir {
            config.data_dir.clone_from(data_dir);
        }
        if let Some(listen) = flags.listen {
            config.listen = listen;
        }
        config.finish()
    }

    fn finish(mut self) -> Result<Config, ConfigError> {
        let refuse = |text: String| Err(ConfigError(text));
        if self.data_dir.as_os_str().is_empty() {
            return refuse("`data_dir` is empty; a folder is needed".into());
        }
        for (key, value, min) in [
            ("log.segment_bytes", self.log.segment_bytes, 16 << 20),
            ("log.quota_bytes", self.log.quota_bytes, 4 * self.log.segment_bytes),
            ("ingest.connections_max", self.ingest.connections_max as u64, 16),
            ("ingest.in_flight_bytes_max", self.ingest.in_flight_bytes_max as u64, 16 << 20),
            ("sinks.buffer_bytes_max", self.sinks.buffer_bytes_max as u64, 16 << 20),
            ("tables.roll_interval_seconds_min", self.tables.roll_interval_seconds_min, 1),
            ("tables.snapshots_max", self.tables.snapshots_max as u64, 1),
            ("tables.manifests_max", self.tables.manifests_max as u64, 2),
        ] {
            if value < min {
                return refuse(format!("`{key}` is {value}; at least {min} is needed"));
            }
        }
        let orphans = self.tables.orphans_after_seconds;
        if orphans > 0 && orphans < ORPHANS_AFTER_SECONDS_MIN {
            let key = "`tables.orphans_after_seconds`";
            let text = format!("{key} is {orphans}; at least {ORPHANS_AFTER_SECONDS_MIN} is needed, or 0");
            return refuse(text);
        }
        for (bucket, place) in &mut self.buckets {
            name::check_bucket(&format!("buckets.{bucket}"), bucket)
                .map_err(|e| ConfigError(e.to_string()))?;
            place.finish(bucket)?;
        }
        while self.public_url.ends_with('/') {
            self.public_url.pop();
        }
        Ok(self)
    }

    /// Where clients reach the listener that is bound to `bound`.
    pub fn base_url(&self, bound: SocketAddr) -> String {
        if self.public_url.is_empty() { format!("http://{bound}") } else { self.public_url.clone() }
    }
}

impl Bucket {
    fn finish(&mut self, name: &str) -> Result<(), ConfigError> {
        match (&self.path, &self.endpoint) {
            (Some(_), None) | (None, Some(_)) => {}
            _ => return Err(ConfigError(format!("`buckets.{name}` needs either `path` or `endpoint`"))),
        }
        let section = format!("buckets.{name}");
        let file = self.secret_access_key_file.as_deref();
        read_secret(&section, "secret_access_key", &mut self.secret_access_key, file)?;
        if self.access_key_id.is_some() != self.secret_access_key.is_some() {
            let text =
                format!("`buckets.{name}` needs both of `access_key_id` and a secret access key, or neither");
            return Err(ConfigError(text));
        }
        match &mut self.catalog {
            Some(catalog) => catalog.finish(&format!("{section}.catalog")),
            None => Ok(()),
        }
    }
}

/// Takes a secret from the file that `{key}_file` of `section` names, if it does.
fn read_secret(
    section: &str,
    key: &str,
    secret: &mut Option<Secret>,
    file: Option<&Path>,
) -> Result<(), ConfigError> {
    let Some(file) = file else { return Ok(()) };
    if secret.is_some() {
        return Err(ConfigError(format!("`{section}` has both `{key}` and `{key}_file`")));
    }
    let text = std::fs::read_to_string(file)
        .map_err(|e| ConfigError(format!("`{section}.{key}_file` cannot be read: {e}")))?;
    *secret = Some(Secret::new(text.trim_end()));
    Ok(())
}

fn read_file(path: &Path) -> Result<toml::Table, ConfigError> {
    let shown = path.display();
    let text =
        std::fs::read_to_string(path).map_err(|e| ConfigError(format!("cannot read `{shown}`: {e}")))?;
    text.parse().map_err(|e: toml::de::Error| {
        let line = e.span().map_or(1, |span| text[..span.start.min(text.len())].lines().count().max(1));
        ConfigError(format!("`{shown}` line {line}: {}", e.message()))
    })
}

fn variable(name: &str, value: &str, kind: Kind) -> Result<toml::Value, ConfigError> {
    match kind {
        Kind::Text => Ok(toml::Value::String(value.to_owned())),
        Kind::Flag => value
            .parse()
            .map(toml::Value::Boolean)
            .map_err(|_| ConfigError(format!("environment variable `{name}` is neither true nor false"))),
        Kind::Integer => value
            .parse()
            .map(toml::Value::Integer)
            .map_err(|_| ConfigError(format!("environment variable `{name}` is not a whole number"))),
    }
}

fn set(table: &mut toml::Table, path: &[&str], value: toml::Value) -> Result<(), ConfigError> {
    let (last, parents) = path.split_last().expect("every variable names a key");
    let mut at = table;
    for parent in parents {
        at = at
            .entry(*parent)
            .or_insert_with(|| toml::Value::Table(toml::Table::new()))
            .as_table_mut()
            .ok_or_else(|| ConfigError(format!("configuration: `{parent}` is not a section")))?;
    }
    at.insert((*last).to_owned(), value);
    Ok(())
}
