//! The three resources as the server keeps them. How clients write them is read in `lakehead-server`'s `api`.

use serde::{Deserialize, Serialize};

use crate::{PipelineId, Schema, Secret, SinkId, StreamId, Timestamp};

/// A durable queue of records.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Stream {
    pub id: StreamId,
    pub name: String,
    /// Counts changes, from 1.
    pub version: u64,
    pub http: Http,
    pub worker_binding: WorkerBinding,
    pub format: JsonFormat,
    /// `None`: unstructured, one column `value` of type json.
    pub schema: Option<Schema>,
    pub created_at: Timestamp,
    pub modified_at: Timestamp,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Http {
    pub enabled: bool,
    pub authentication: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cors: Option<Cors>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Default)]
pub struct Cors {
    pub origins: Vec<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WorkerBinding {
    pub enabled: bool,
}

/// How JSON is written: by producers into a stream, by a sink into files.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Default)]
pub struct JsonFormat {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decimal_encoding: Option<DecimalEncoding>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timestamp_format: Option<TimestampFormat>,
    #[serde(default)]
    pub unstructured: bool,
    /// Sinks only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub compression: Option<JsonCompression>,
}

/// Default: number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Default)]
#[serde(rename_all = "snake_case")]
pub enum DecimalEncoding {
    #[default]
    Number,
    String,
    /// Base64 of the 16-byte big-endian two's complement integer.
    Bytes,
}

/// Default: RFC 3339.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Default)]
#[serde(rename_all = "snake_case")]
pub enum TimestampFormat {
    #[default]
    Rfc3339,
    UnixMillis,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Default)]
#[serde(rename_all = "snake_case")]
pub enum JsonCompression {
    #[default]
    Uncompressed,
    Gzip,
    /// A zlib stream (RFC 1950), as HTTP understands `deflate`. Legacy pipelines only.
    Deflate,
}

/// A destination. Secrets of its configuration live apart from it, in the metadata store.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Sink {
    pub id: SinkId,
    pub name: String,
    pub version: u64,
    pub config: SinkConfig,
    pub format: SinkFormat,
    /// As given; columns come from the query.
    pub schema: Option<serde_json::Value>,
    pub created_at: Timestamp,
    pub modified_at: Timestamp,
}

/// Where a sink writes to. On disk the two are told apart by `table_name`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum SinkConfig {
    /// Type `r2_data_catalog`, also spelled `basin_catalog`.
    Table(TableConfig),
    /// Type `r2`.
    Files(FilesConfig),
}

impl SinkConfig {
    pub fn account_id(&self) -> &str {
        match self {
            SinkConfig::Table(table) => &table.account_id,
            SinkConfig::Files(files) => &files.account_id,
        }
    }

    pub fn bucket(&self) -> &str {
        match self {
            SinkConfig::Table(table) => &table.bucket,
            SinkConfig::Files(files) => &files.bucket,
        }
    }
}

/// Configuration of a sink of type `r2_data_catalog`: rows of a table in the catalog of a bucket.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TableConfig {
    pub account_id: String,
    pub bucket: String,
    /// Default: `default`.
    pub namespace: String,
    pub table_name: String,
    #[serde(default)]
    pub rolling_policy: RollingPolicy,
    #[serde(default, skip_serializing_if = "TableExtensions::is_default")]
    pub extensions: TableExtensions,
}

/// What Cloudflare's sinks do not do.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TableExtensions {
    /// A table that was there before the sink may be written.
    #[serde(default)]
    pub existing_table: bool,
    /// Columns that the table lacks are added to it, nullable.
    #[serde(default)]
    pub add_columns: bool,
    /// Partition fields of a table that is made, such as `bucket(16, user_id)`. `None`: `day(__ingest_ts)`. Empty: none.
    #[serde(default)]
    pub partition_by: Option<Vec<String>>,
    /// Sort order of a table that is made, such as `at desc`.
    #[serde(default)]
    pub sort_by: Vec<String>,
}

impl TableExtensions {
    /// Whether none is used.
    pub fn is_default(&self) -> bool {
        *self == TableExtensions::default()
    }
}

impl TableConfig {
    /// How the files of the table are made, but for their folders, which the table decides.
    pub fn files(&self) -> FilesConfig {
        FilesConfig {
            account_id: self.account_id.clone(),
            bucket: self.bucket.clone(),
            path: String::new(),
            time_pattern: None,
            file_naming: FileNaming::default(),
            rolling_policy: self.rolling_policy.clone(),
            jurisdiction: None,
        }
    }
}

/// Configuration of a sink of type `r2`: files in a bucket.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FilesConfig {
    pub account_id: String,
    pub bucket: String,
    /// Prefix of every object; no slash at either end, may be empty.
    #[serde(default)]
    pub path: String,
    /// strftime, by ingest time in UTC. `None` when the user gave none: [`DEFAULT_TIME_PATTERN`] applies. Empty: no partitions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub time_pattern: Option<String>,
    #[serde(default)]
    pub file_naming: FileNaming,
    #[serde(default)]
    pub rolling_policy: RollingPolicy,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub jurisdiction: Option<String>,
}

/// The documented default of `partitioning.time_pattern`.
pub const DEFAULT_TIME_PATTERN: &str = "year=%Y/month=%m/day=%d";

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Default)]
pub struct FileNaming {
    /// Joined to the name with `-`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prefix: Option<String>,
    /// Replaces the extension.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub suffix: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub strategy: Option<NamingStrategy>,
}

/// Default: `uuid_v7`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Default)]
#[serde(rename_all = "snake_case")]
pub enum NamingStrategy {
    /// `00012-000`: a counter of the sink, then the writer.
    Serial,
    /// Random (version 4).
    Uuid,
    #[default]
    UuidV7,
    Ulid,
}

/// When a file is finished: at the first of size, age, inactivity, and the bounds of a legacy pipeline. Absent: no such bound,
/// except that the age defaults to 300 seconds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Default)]
pub struct RollingPolicy {
    /// Bytes really produced, compressed. 0 means no bound.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file_size_bytes: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub interval_seconds: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub inactivity_seconds: Option<u64>,
    /// Bounds of a legacy pipeline.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub batch: Option<BatchHints>,
}

/// When a legacy pipeline finishes a file: at the first bound, approximately.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct BatchHints {
    /// Before compression.
    pub bytes_max: u64,
    pub age_milliseconds_max: u64,
    pub rows_max: u64,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum SinkFormat {
    Json(JsonFormat),
    Parquet(ParquetFormat),
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Default)]
pub struct ParquetFormat {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub compression: Option<ParquetCompression>,
    /// Encoded bytes of a row group. Absent or 0: 128 MiB.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub row_group_bytes: Option<u64>,
}

/// Default: zstd. `lz4` writes LZ4_RAW, the one every reader understands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Default)]
#[serde(rename_all = "snake_case")]
pub enum ParquetCompression {
    Uncompressed,
    Snappy,
    Gzip,
    #[default]
    Zstd,
    Lz4,
}

/// SQL that moves records from streams to sinks.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Pipeline {
    pub id: PipelineId,
    pub name: String,
    pub version: u64,
    pub sql: String,
    /// The resources the SQL names, with the versions they had.
    pub tables: Vec<TableRef>,
    pub created_at: Timestamp,
    pub modified_at: Timestamp,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TableRef {
    #[serde(flatten)]
    pub table: Table,
    pub name: String,
    pub version: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", content = "id", rename_all = "snake_case")]
pub enum Table {
    Stream(StreamId),
    Sink(SinkId),
}

/// What a sink writes with. Kept apart from its [`Sink`], encrypted; no answer of the API ever holds one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Credentials {
    /// For files.
    Keys(KeyPair),
    /// For a table: a token of its catalog.
    Token(Secret),
}

/// An S3 key pair.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyPair {
    pub access_key_id: Secret,
    pub secret_access_key: Secret,
}

/// A place for objects. Its name maps, in the server's configuration, to a local folder or to an S3 bucket.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bucket {
    pub name: String,
    /// `locationHint` of its creation; repeated, without effect.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub location: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub storage_class: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub jurisdiction: Option<String>,
    /// As long as there is a catalog in it, active or not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub catalog: Option<BucketCatalog>,
    pub created_at: Timestamp,
}

/// The table catalog of a bucket, as the management API switches it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BucketCatalog {
    /// 32 hex digits.
    pub id: String,
    pub is_active: bool,
    /// Whether a token for its maintenance was given.
    pub has_credential: bool,
    #[serde(default)]
    pub maintenance: Maintenance,
}

/// What is done to the tables of a catalog without being asked.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Maintenance {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub compaction: Option<Compaction>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub snapshot_expiration: Option<SnapshotExpiration>,
}

/// Small data files become larger ones.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Compaction {
    pub enabled: bool,
    /// 64, 128, 256 or 512.
    pub target_size_mb: u32,
}

/// Old snapshots go.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SnapshotExpiration {
    pub enabled: bool,
    pub max_age_seconds: u64,
    /// This many stay whatever their age.
    pub snapshots_min: u64,
}
