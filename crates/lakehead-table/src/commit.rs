//! The commit of a flow's files into a table: rows and watermark in one step, once.
//!
//! ```text
//!   load ─► verdict on that metadata ─► Append: manifest, list, commit ──► applied
//!    ▲            │                                  │
//!    │            ├─► Done: the rows are in          ├─ Conflict: somebody was first ────────┐
//!    │            └─► Stop: a person has to look     └─ Unknown: the answer was lost ────────┤
//!    └───────────────────────────────── reload and decide, never send again blindly ◄────────┘
//! ```
//! A request whose answer was lost may still land later. That is harmless: it asserts the snapshot it was made onto, so if it lands
//! first, the next attempt meets a conflict, loads, and finds the watermark.
//!
//! Source of the algorithm's duties: Iceberg REST protocol, "Commit updates to a table", and its `CommitStateUnknownException`.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use iceberg::spec::{DataFile, TableMetadata};
use iceberg::{TableIdent, TableRequirement, TableUpdate};
use lakehead_model::{Clock, Position, Random};
use lakehead_sink::BucketFiles;
use parquet::arrow::parquet_to_arrow_schema;
use parquet::file::metadata::ParquetMetaData;
use serde_json::Value;
use uuid::Uuid;

use crate::columns::drift;
use crate::data_file::{data_file, footer};
use crate::manifests::TableFiles;
use crate::partitions::value_of;
use crate::snapshot::{Draft, Tools, append};
use crate::target::gone;
use crate::watermark::{Verdict, Writer};
use crate::{Catalog, CatalogError, CatalogErrorKind, TableChange};

/// Attempts of one call while others commit in between.
const ATTEMPTS: u32 = 10;
/// Longest pause between two; it doubles from a 40th of that, and a random part of it is taken.
const PAUSE_MAX: Duration = Duration::from_secs(2);

/// A published Parquet file.
#[derive(Debug, Clone, PartialEq)]
pub struct NewFile {
    /// Its key in the bucket.
    pub key: String,
    /// Its length.
    pub size_bytes: u64,
    /// Its value under the partition spec of the commit, from [`Partitions::value`](crate::Partitions::value).
    pub partition: Value,
}

/// What a commit adds.
#[derive(Debug, Clone)]
pub struct Commit<'a> {
    /// Its identity, made when it was decided and kept with it.
    pub id: Uuid,
    /// Whose rows.
    pub writer: Writer,
    /// The table that was opened.
    pub table: Uuid,
    /// Up to where the last commit went; `None` if there was none.
    pub believed: Option<Position>,
    /// The first position that is not covered.
    pub until: Position,
    /// Published, durable files; none moves the watermark alone.
    pub files: &'a [NewFile],
    /// The partition spec of their partition values.
    pub spec_id: i32,
    /// More for the summary of the snapshot.
    pub summary: &'a HashMap<String, String>,
}

/// Why there was no commit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CommitError {
    /// Now it cannot be done, or it is not known whether it was. Call again with the same commit, later.
    Later(CatalogError),
    /// The table no longer takes files like these, and it is certain that it never will have taken them: forget them and write the
    /// rows anew, once what the text says is put right.
    Unfit(String),
    /// A person has to look; calling again with the same commit is harmless.
    Stop(String),
}

/// An attempt that was refused.
#[derive(Debug)]
struct Refused {
    /// The snapshot that it was made onto.
    parent: Option<i64>,
    /// Keys of what it put into the bucket.
    written: Vec<String>,
}

/// Commits into one table.
#[derive(Debug, Clone)]
pub struct Committer {
    catalog: Arc<dyn Catalog>,
    table: TableIdent,
    bucket: BucketFiles,
    clock: Arc<dyn Clock>,
    random: Arc<dyn Random>,
}

impl Committer {
    /// `bucket`: where the table's files are.
    pub fn new(
        catalog: Arc<dyn Catalog>,
        table: TableIdent,
        bucket: BucketFiles,
        clock: Arc<dyn Clock>,
        random: Arc<dyn Random>,
    ) -> Self {
        Committer { catalog, table, bucket, clock, random }
    }

    /// Adds the files and moves the watermark, in one step, unless that has happened already.
    ///
    /// # Errors
    /// [`CommitError`] says what to do.
    pub async fn commit(&self, commit: &Commit<'_>) -> Result<(), CommitError> {
        let mut pause = PAUSE_MAX / 40;
        let mut last = None;
        let mut footers = Vec::new();
        let mut refused = Vec::new();
        for _ in 0..ATTEMPTS {
            let base = self.load().await?;
            match commit.writer.verdict(&base, commit.table, commit.believed, (commit.id, commit.until)) {
                Verdict::Done => return Ok(()),
                Verdict::Stop(text) => return Err(CommitError::Stop(format!("{}: {text}", self.table))),
                Verdict::Append => {}
            }
            refused = self.discard(refused, &base).await;
            if footers.len() < commit.files.len() {
                footers = self.footers(commit.files).await.map_err(CommitError::Later)?;
            }
            if let Some(text) = misfit(&base, commit, &footers).map_err(CommitError::Later)? {
                return Err(self.give_up(&base, text).await);
            }
            let files = TableFiles::of(&base, self.bucket.clone()).map_err(CommitError::Later)?;
            let draft = self.draft(&files, &base, commit, &footers).await.map_err(CommitError::Later)?;
            let Draft { updates, requirements, written } = draft;
            match self.send(updates, requirements).await {
                Ok(()) => return Ok(()),
                Err(e) => match e.kind {
                    CatalogErrorKind::Conflict => {
                        refused.push(Refused { parent: base.current_snapshot_id(), written });
                        last = Some(e);
                    }
                    // Before the next attempt the table is looked at, which settles what has become of this one.
                    CatalogErrorKind::Unknown => last = Some(e),
                    _ => return Err(CommitError::Later(e)),
                },
            }
            let micros = u64::try_from(pause.as_micros()).unwrap_or(u64::MAX).max(1);
            tokio::time::sleep(Duration::from_micros(self.random.u64() % micros)).await;
            pause = (pause * 2).min(PAUSE_MAX);
        }
        let last = last.map_or_else(String::new, |e| format!(": {e}"));
        let text = format!("{ATTEMPTS} attempts to commit into table {} have failed{last}", self.table);
        Err(CommitError::Later(CatalogError::new(CatalogErrorKind::Unavailable, text)))
    }

    async fn load(&self) -> Result<Arc<TableMetadata>, CommitError> {
        match self.catalog.load_table(&self.table).await {
            Ok(Some(loaded)) => Ok(loaded.metadata),
            Ok(None) => Err(CommitError::Stop(gone(&self.table))),
            Err(e) => Err(CommitError::Later(e)),
        }
    }

    async fn footers(&self, files: &[NewFile]) -> Result<Vec<ParquetMetaData>, CatalogError> {
        let mut footers = Vec::with_capacity(files.len());
        for file in files {
            footers.push(footer(&self.bucket, &file.key, file.size_bytes).await?);
        }
        Ok(footers)
    }

    async fn draft(
        &self,
        files: &TableFiles,
        base: &TableMetadata,
        commit: &Commit<'_>,
        footers: &[ParquetMetaData],
    ) -> Result<Draft, CatalogError> {
        let mut added: Vec<DataFile> = Vec::with_capacity(commit.files.len());
        for (file, footer) in commit.files.iter().zip(footers) {
            let partition = (commit.spec_id, value_of(base, commit.spec_id, &file.partition)?);
            let uri = self.bucket.uri(&file.key);
            added.push(data_file(uri, file.size_bytes, footer, base.current_schema(), partition)?);
        }
        let (key, value) = (commit.writer.key(), commit.writer.value(commit.until, commit.id));
        let mut summary = commit.summary.clone();
        summary.insert(key.clone(), value.clone());
        let tools = Tools { files, random: &*self.random, now: self.clock.now() };
        let mut draft = append(tools, base, added, summary).await?;
        draft.updates.push(TableUpdate::SetProperties { updates: HashMap::from([(key, value)]) });
        let outdated = commit.writer.outdated(base);
        if !outdated.is_empty() {
            draft.updates.push(TableUpdate::RemoveProperties { removals: outdated });
        }
        Ok(draft)
    }

    async fn send(
        &self,
        updates: Vec<TableUpdate>,
        requirements: Vec<TableRequirement>,
    ) -> Result<(), CatalogError> {
        let change = TableChange { table: self.table.clone(), requirements, updates };
        self.catalog.commit(change).await.map(|_| ())
    }

    /// Removes what refused attempts have put into the bucket, as far as it is certain that they can never be applied: the table,
    /// which does not have the commit, has gone on from the snapshot that they assert. A refusal alone does not say so, because
    /// something in between may have sent the request twice.
    async fn discard(&self, refused: Vec<Refused>, base: &TableMetadata) -> Vec<Refused> {
        let (stay, gone): (Vec<_>, Vec<_>) =
            refused.into_iter().partition(|r| r.parent == base.current_snapshot_id());
        for key in gone.into_iter().flat_map(|r| r.written) {
            // What cannot be removed now is an orphan, and goes with them.
            if let Err(e) = self.bucket.delete(&key).await {
                tracing::debug!(key, error = %e, "a manifest of a refused commit stays");
            }
        }
        stay
    }

    /// Makes sure that no attempt whose answer was lost can add the files later, by moving the table on: such a request asserts
    /// the snapshot it was made onto.
    async fn give_up(&self, base: &TableMetadata, text: String) -> CommitError {
        let files = match TableFiles::of(base, self.bucket.clone()) {
            Ok(files) => files,
            Err(e) => return CommitError::Later(e),
        };
        let tools = Tools { files: &files, random: &*self.random, now: self.clock.now() };
        let fence = HashMap::from([("lakehead.fence".to_owned(), text.clone())]);
        let sent = match append(tools, base, Vec::new(), fence).await {
            Ok(draft) => self.send(draft.updates, draft.requirements).await,
            Err(e) => Err(e),
        };
        match sent {
            Ok(()) => CommitError::Unfit(text),
            Err(e) => CommitError::Later(e),
        }
    }
}

/// Why the files cannot be of this table any more.
fn misfit(
    base: &TableMetadata,
    commit: &Commit<'_>,
    footers: &[ParquetMetaData],
) -> Result<Option<String>, CatalogError> {
    if !commit.files.is_empty() && base.default_partition_spec_id() != commit.spec_id {
        return Ok(Some("the partitions of the table were changed while files were written".into()));
    }
    for footer in footers {
        let file = footer.file_metadata();
        let written = parquet_to_arrow_schema(file.schema_descr(), file.key_value_metadata());
        let written = written
            .map_err(|e| CatalogError::new(CatalogErrorKind::Refused, format!("a written file: {e}")))?;
        if let Some(text) = drift(base.current_schema(), &written) {
            return Ok(Some(text));
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests;
