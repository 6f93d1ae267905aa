//! The legacy product: one object that takes records over HTTP and writes them into a bucket, without SQL. It is made of the
//! same parts as everything else: each legacy pipeline stands for a stream, a sink and a pipeline of the same id, which only
//! the engine sees.
//!
//! ```text
//!   LegacyPipeline ──► Stream    unstructured, its HTTP settings
//!                 ├──► Pipeline  INSERT INTO sink SELECT * FROM stream
//!                 └──► Sink      [prefix/]event_date=YYYY-MM-DD/hr=HH/<ULID>.json.gz
//! ```

use serde::{Deserialize, Serialize};

use crate::resource::{
    BatchHints, Cors, FileNaming, FilesConfig, Http, JsonCompression, JsonFormat, NamingStrategy, Pipeline,
    RollingPolicy, Sink, SinkConfig, SinkFormat, Stream, Table, TableRef, WorkerBinding,
};
use crate::{PipelineId, SinkId, StreamId, Timestamp};

/// Cloudflare's layout of legacy objects.
const TIME_PATTERN: &str = "event_date=%Y-%m-%d/hr=%H";
/// Begins the names of the parts. No other stream, sink or pipeline can be called so.
const PART_PREFIX: &str = "legacy:";

/// A pipeline of the legacy product. Its credentials live apart from it, in the metadata store.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LegacyPipeline {
    pub id: PipelineId,
    pub name: String,
    /// Counts changes, from 1.
    pub version: u64,
    /// Whether and how it takes records over HTTP.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub http: Option<LegacyHttp>,
    /// Whether Workers may send.
    pub binding: bool,
    pub bucket: String,
    /// Prefix of every object; no slash at either end, may be empty.
    #[serde(default)]
    pub prefix: String,
    pub compression: JsonCompression,
    pub batch: BatchHints,
    /// Repeated, without effect.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shards: Option<u64>,
    pub created_at: Timestamp,
    pub modified_at: Timestamp,
}

/// The HTTP source of a legacy pipeline.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LegacyHttp {
    pub authentication: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cors: Option<Cors>,
}

impl LegacyPipeline {
    /// The id of its stream.
    pub fn stream_id(&self) -> StreamId {
        StreamId(self.id.0)
    }

    /// The id of its sink.
    pub fn sink_id(&self) -> SinkId {
        SinkId(self.id.0)
    }

    fn part_name(&self) -> String {
        format!("{PART_PREFIX}{}", self.name)
    }

    /// What takes its records.
    pub fn stream(&self) -> Stream {
        let http = self.http.clone();
        Stream {
            id: self.stream_id(),
            name: self.part_name(),
            version: self.version,
            http: Http {
                enabled: http.is_some(),
                authentication: http.as_ref().is_some_and(|h| h.authentication),
                cors: http.and_then(|h| h.cors),
            },
            worker_binding: WorkerBinding { enabled: self.binding },
            format: JsonFormat { unstructured: true, ..JsonFormat::default() },
            schema: None,
            created_at: self.created_at,
            modified_at: self.modified_at,
        }
    }

    /// What writes them. `account_id` stays empty: nothing but the API's answers needs it.
    pub fn sink(&self) -> Sink {
        Sink {
            id: self.sink_id(),
            name: self.part_name(),
            version: self.version,
            config: SinkConfig::Files(FilesConfig {
                account_id: String::new(),
                bucket: self.bucket.clone(),
                path: self.prefix.clone(),
                time_pattern: Some(TIME_PATTERN.to_owned()),
                file_naming: FileNaming { strategy: Some(NamingStrategy::Ulid), ..FileNaming::default() },
                rolling_policy: RollingPolicy { batch: Some(self.batch), ..RollingPolicy::default() },
                jurisdiction: None,
            }),
            format: SinkFormat::Json(JsonFormat {
                unstructured: true,
                compression: Some(self.compression),
                ..JsonFormat::default()
            }),
            schema: None,
            created_at: self.created_at,
            modified_at: self.modified_at,
        }
    }

    /// What moves them.
    pub fn pipeline(&self) -> Pipeline {
        let name = self.part_name();
        let table = |table| TableRef { table, name: name.clone(), version: self.version };
        Pipeline {
            id: self.id,
            // Of its SQL, which never changes.
            version: 1,
            sql: format!("INSERT INTO \"{name}\" SELECT * FROM \"{name}\""),
            tables: vec![table(Table::Stream(self.stream_id())), table(Table::Sink(self.sink_id()))],
            created_at: self.created_at,
            modified_at: self.modified_at,
            name,
        }
    }
}

#[cfg(test)]
mod tests;
