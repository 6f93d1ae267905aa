//! How far a flow's records are in a table, as the table itself says.
//!
//! ```text
//!   property and snapshot summary   lakehead.watermark.{pipeline}.{version}.{statement}
//!   value                           {"v":1,"stream":"…","position":4711,"commit":"…"}
//! ```
//! Both are written by the commit that adds the rows. The property survives the expiry of snapshots and their compaction; the
//! summary is there when somebody has removed the property. `position` is the first one that is not in the table, `commit` the identity of the
//! commit, made with its intent: another one that ends at the same position has other rows.
//!
//! **Invariant:** a commit is made only onto a table that says what the flow believes, so whatever happened to earlier attempts,
//! rows are added once or it stops and says why.

use iceberg::spec::TableMetadata;
use lakehead_model::{PipelineId, Position, StreamId};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

const PREFIX: &str = "lakehead.watermark.";

/// Whose rows a commit adds: an `INSERT` of one version of a pipeline.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "named after what they hold")]
pub struct Writer {
    pub pipeline: PipelineId,
    pub version: u64,
    pub statement: u32,
    /// The stream whose positions it counts.
    pub stream: StreamId,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Stored {
    v: u8,
    stream: String,
    position: u64,
    commit: String,
}

/// What is to be done with a commit, by what the table says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// The table is where the flow believes it is: add the rows.
    Append,
    /// The rows are in it.
    Done,
    /// Neither; a person has to look.
    Stop(String),
}

impl Writer {
    /// The name under which the table keeps the watermark.
    pub(crate) fn key(&self) -> String {
        format!("{PREFIX}{}.{}.{}", self.pipeline, self.version, self.statement)
    }

    pub(crate) fn value(&self, position: Position, commit: Uuid) -> String {
        let stored = Stored {
            v: 1,
            stream: self.stream.to_string(),
            position: position.0,
            commit: commit.to_string(),
        };
        serde_json::to_string(&stored).unwrap_or_default()
    }

    /// Watermarks of earlier versions of the pipeline, which nobody asks for any more.
    pub(crate) fn outdated(&self, base: &TableMetadata) -> Vec<String> {
        let mut keys: Vec<String> =
            self.others(base).filter(|(_, version)| *version < self.version).map(|(k, _)| k).collect();
        keys.sort();
        keys
    }

    /// Keys of this pipeline's watermarks, with their versions.
    fn others<'a>(&self, base: &'a TableMetadata) -> impl Iterator<Item = (String, u64)> + use<'a> {
        let prefix = format!("{PREFIX}{}.", self.pipeline);
        base.properties().keys().filter_map(move |key| {
            let (version, _) = key.strip_prefix(&prefix)?.split_once('.')?;
            Some((key.clone(), version.parse().ok()?))
        })
    }

    /// What to do about `commit`, which adds the rows before `until` to `table`, by the newest metadata of its name. `believed`: up
    /// to where the last commit went.
    pub(crate) fn verdict(
        &self,
        base: &TableMetadata,
        table: Uuid,
        believed: Option<Position>,
        (commit, until): (Uuid, Position),
    ) -> Verdict {
        if table != base.uuid() {
            return Verdict::Stop(format!(
                "the table is not the one that this pipeline wrote: it was {}, now it is {}. Was it dropped and made again? Saving the \
                 pipeline's SQL once more makes it go on with the table as it is",
                table,
                base.uuid()
            ));
        }
        if let Some((key, _)) = self.others(base).find(|(_, version)| *version > self.version) {
            return Verdict::Stop(format!(
                "a later version of this pipeline has written the table ({key}): was an older data folder restored?"
            ));
        }
        let found = match self.find(base) {
            Ok(found) => found,
            Err(text) => return Verdict::Stop(text),
        };
        match (believed, found) {
            (_, Some((found, id))) if found == until && id == commit.to_string() => Verdict::Done,
            (Some(believed), Some((found, _))) if believed == found => Verdict::Append,
            (Some(believed), None) => Verdict::Stop(format!(
                "the table does not say how far it was written; this pipeline has written up to position {believed}. Was it put back, or \
                 its properties {:?} removed?",
                self.key()
            )),
            (believed, Some((found, _))) => {
                let believed = believed.map_or("nothing".to_owned(), |b| format!("up to position {b}"));
                Verdict::Stop(format!(
                    "the table was written up to position {found}, and this server knows of {believed}: does another server with a copy \
                     of the data folder write it, or was an older data folder restored?"
                ))
            }
            (None, None) => Verdict::Append,
        }
    }

    /// The watermark: the property, or else that of the newest ancestor that has one.
    fn find(&self, base: &TableMetadata) -> Result<Option<(Position, String)>, String> {
        let key = self.key();
        let ancestors = std::iter::successors(base.current_snapshot(), |snapshot| {
            snapshot.parent_snapshot_id().and_then(|parent| base.snapshot_by_id(parent))
        });
        let mut said = base
            .properties()
            .get(&key)
            .into_iter()
            .chain(ancestors.filter_map(|snapshot| snapshot.summary().additional_properties.get(&key)));
        let Some(text) = said.next() else { return Ok(None) };
        let stored: Stored = serde_json::from_str(text)
            .map_err(|_| format!("the table's property {key:?} is no watermark: {text:?}"))?;
        if stored.v != 1 {
            return Err(format!("the table's property {key:?} is of a later kind: {text:?}"));
        }
        if stored.stream != self.stream.to_string() {
            return Err(format!(
                "the table's property {key:?} counts stream {}, not {}",
                stored.stream, self.stream
            ));
        }
        Ok(Some((Position(stored.position), stored.commit)))
    }
}

#[cfg(test)]
mod tests;
