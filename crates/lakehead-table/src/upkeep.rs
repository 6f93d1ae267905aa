//! What nobody else does to tables on one machine: snapshots expire, manifests are merged, small files become larger ones, and files
//! that no commit knows go.
//!
//! ```text
//!   run_once ─► load the table ─┬─ many small manifests?    merge     one `replace` snapshot
//!                               ├─ many small files?        compact   one `replace` snapshot for each group
//!                               ├─ many or old snapshots?   expire    one commit that removes them from the metadata
//!                               ├─ removed a while ago?     sweep     their files, if the table now reaches them from nowhere
//!                               └─ a day since the last?    orphans   files that no commit knows, after a grace period
//! ```
//! Whether something is due is seen in the metadata and in one list of manifests, so that looking often costs little.
//!
//! **Invariants.** Rows never change. A file is deleted only if it is certain that nobody needs it: see [`expire`] and [`orphans`].
//! After an unknown outcome nothing is deleted. Properties of a table are never touched.
//! **Bounds:** one table at a time for each call; see the parts.

mod compact;
mod expire;
mod merge;
mod orphans;
mod outcome;
mod replace;
mod retention;
mod unclaimed;

use std::collections::{HashMap, HashSet};
use std::ops::AddAssign;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use futures::{StreamExt, stream};
use iceberg::spec::TableMetadata;
use iceberg::{NamespaceIdent, TableIdent};
use lakehead_model::{Random, Timestamp};
use lakehead_sink::BucketFiles;
use parking_lot::Mutex;
use uuid::Uuid;

use self::expire::{Expiry, Removed};
use self::unclaimed::Candidate;
use crate::{Catalog, CatalogError, CatalogErrorKind};

pub use self::compact::{Compacted, Compacting, Staging};
pub use self::merge::Merging;
pub use self::retention::Retention;

/// Small files are looked for at least this often: a partition that gets no more is done with fewer of them.
const COMPACTION_LOOK: Duration = Duration::from_secs(3600);
/// Deletions under way at a time.
const DELETIONS: usize = 8;

/// What is done to a table, and when.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UpkeepSettings {
    /// How long snapshots stay.
    pub retention: Retention,
    /// How long the files of removed snapshots stay, for readers that have begun.
    pub readers_grace: Duration,
    /// `None`: manifests stay as they are.
    pub merging: Option<Merging>,
    /// `None`: small files stay.
    pub compacting: Option<Compacting>,
    /// `None`: files that no commit knows stay.
    pub orphans: Option<Orphans>,
}

/// When files that no commit knows go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Orphans {
    /// Younger ones stay, for they may be of a commit that is under way somewhere.
    pub grace: Duration,
    /// Time between two looks; the first one is a 24th of it after the first call.
    pub every: Duration,
}

/// What commits that are not decided yet may still name.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Unresolved {
    /// Keys of their files.
    pub keys: HashSet<String>,
    /// It is not known whether a commit into this table was applied: nothing of it may be deleted.
    pub commit: bool,
}

/// Who knows of commits that are under way in this process, or that an earlier one has left undecided.
#[async_trait]
pub trait Claims: Send + Sync + std::fmt::Debug {
    /// What is undecided now. A commit whose files are in the bucket and that is not named here must be in the table already, or
    /// never come.
    async fn unresolved(&self, table: &TableIdent) -> Result<Unresolved, CatalogError>;
}

/// A table, and what is needed to change it.
#[derive(Debug, Clone)]
pub struct UpkeepTable {
    /// Where it is listed.
    pub catalog: Arc<dyn Catalog>,
    /// Its name.
    pub table: TableIdent,
    /// Where its files are.
    pub bucket: BucketFiles,
    /// Who writes it.
    pub claims: Arc<dyn Claims>,
    /// `None`: small files stay.
    pub staging: Option<Staging>,
}

/// Files that were deleted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Freed {
    /// Their number.
    pub files: u64,
    /// Bytes of those whose size is known; lists of manifests count as 0.
    pub bytes: u64,
}

impl AddAssign for Freed {
    fn add_assign(&mut self, other: Freed) {
        self.files += other.files;
        self.bytes += other.bytes;
    }
}

/// What one call has done.
#[derive(Debug, Default)]
pub struct UpkeepReport {
    /// Snapshots removed from the metadata.
    pub snapshots_removed: usize,
    /// Files of snapshots that had been removed.
    pub swept: Freed,
    /// Files that no commit knew.
    pub orphans: Freed,
    /// Manifests that became fewer.
    pub manifests_merged: usize,
    /// Small files that became larger ones.
    pub compacted: Compacted,
    /// What did not work, with the step's name. The others went on.
    pub failures: Vec<(&'static str, CatalogError)>,
}

impl UpkeepReport {
    /// Whether there is nothing to say.
    pub fn is_empty(&self) -> bool {
        self.snapshots_removed == 0
            && self.manifests_merged == 0
            && self.compacted == Compacted::default()
            && self.swept == Freed::default()
            && self.orphans == Freed::default()
            && self.failures.is_empty()
    }
}

/// Upkeep of any number of tables. What it remembers is lost with the process: then files that a sweep had yet to delete are found
/// as orphans.
#[derive(Debug)]
pub struct Upkeep {
    random: Arc<dyn Random>,
    stop: Arc<AtomicBool>,
    tables: Mutex<HashMap<Uuid, Memory>>,
    /// Held by the one compaction that is under way.
    compacting: tokio::sync::Mutex<()>,
}

/// What is remembered of a table.
#[derive(Debug, Clone, Default)]
struct Memory {
    /// Removed snapshots whose files are there yet, and when they may go.
    removed: Vec<(Timestamp, Removed)>,
    orphans_due: Option<Timestamp>,
    /// The newest snapshot whose manifests were looked at, and with which settings.
    merged_at: Option<(Option<i64>, Merging)>,
    /// How many files there were when nothing could be compacted, with which settings, and when to look whatever there are.
    compacted_at: Option<(u64, Compacting, Timestamp)>,
}

impl Memory {
    /// Whether small files may have come together since the last look.
    fn may_compact(&self, table: &TableMetadata, settings: &Compacting, now: Timestamp) -> bool {
        self.compacted_at.is_none_or(|(files, tried, until)| {
            let more = data_files(table).is_none_or(|now| now >= files + compact::FILES_MIN as u64);
            more || now >= until || tried != *settings
        })
    }
}

/// The number of data files, if the newest snapshot says.
fn data_files(table: &TableMetadata) -> Option<u64> {
    let summary = &table.current_snapshot()?.summary().additional_properties;
    summary.get("total-data-files")?.parse().ok()
}

impl Upkeep {
    /// `stop`: when it turns true, calls end soon.
    pub fn new(random: Arc<dyn Random>, stop: Arc<AtomicBool>) -> Upkeep {
        Upkeep { random, stop, tables: Mutex::default(), compacting: tokio::sync::Mutex::default() }
    }

    /// Does what is due.
    ///
    /// # Errors
    /// As of the catalog if the table cannot be loaded; [`CatalogErrorKind::Sync`]: the process must stop. Whatever else goes wrong is
    /// in the report.
    pub async fn run_once(
        &self,
        of: &UpkeepTable,
        settings: &UpkeepSettings,
        now: Timestamp,
    ) -> Result<UpkeepReport, CatalogError> {
        let mut report = UpkeepReport::default();
        let Some(loaded) = of.catalog.load_table(&of.table).await? else { return Ok(report) };
        let uuid = loaded.metadata.uuid();
        let mut memory = self.tables.lock().get(&uuid).cloned().unwrap_or_default();
        let work = Work {
            catalog: &*of.catalog,
            table: &of.table,
            bucket: &of.bucket,
            random: &*self.random,
            now,
            unresolved: of.claims.unresolved(&of.table).await?,
            stop: &self.stop,
        };
        let done = self.steps(&work, of, settings, &loaded.metadata, &mut memory, &mut report).await;
        self.tables.lock().insert(uuid, memory);
        done.map(|()| report)
    }

    async fn steps(
        &self,
        work: &Work<'_>,
        of: &UpkeepTable,
        settings: &UpkeepSettings,
        table: &TableMetadata,
        memory: &mut Memory,
        report: &mut UpkeepReport,
    ) -> Result<(), CatalogError> {
        self.rearrange(work, of, settings, table, memory, report).await?;
        let reloaded = match report.is_empty() {
            true => None,
            false => of.catalog.load_table(&of.table).await?.map(|loaded| loaded.metadata),
        };
        let table = reloaded.as_deref().unwrap_or(table);
        if !work.stopping() && may_delete(table) {
            let expired = self.expire(work, table, &settings.retention).await;
            if let Some(removed) = report.note("expire snapshots", expired)? {
                report.snapshots_removed = removed.snapshots.len();
                memory.removed.push((plus(work.now, settings.readers_grace), removed));
            }
        }
        self.sweep(work, memory, report, settings.readers_grace).await?;
        if let Some(orphans) = &settings.orphans {
            let first = plus(work.now, orphans.every / 24);
            // A clock that was ahead for a while must not put it off for as long.
            let due = memory.orphans_due.unwrap_or(first).min(plus(work.now, orphans.every));
            memory.orphans_due = Some(due);
            if due <= work.now && !work.stopping() && !work.unresolved.commit {
                let removed = orphans::remove_orphans(work, &*of.claims, orphans.grace).await;
                memory.orphans_due = Some(plus(work.now, orphans.every));
                report.orphans = report.note("remove orphans", removed)?;
            }
        }
        Ok(())
    }

    /// What makes new snapshots of the same rows.
    async fn rearrange(
        &self,
        work: &Work<'_>,
        of: &UpkeepTable,
        settings: &UpkeepSettings,
        table: &TableMetadata,
        memory: &mut Memory,
        report: &mut UpkeepReport,
    ) -> Result<(), CatalogError> {
        if let (Some(compacting), Some(staging)) = (&settings.compacting, &of.staging)
            && !work.stopping()
            && memory.may_compact(table, compacting, work.now)
        {
            let _one = self.compacting.lock().await;
            let done = compact::compact(work, table, compacting, (staging, &self.stop), report).await;
            let found = report.note("compact", done)?;
            // What could not be read now cannot be read in a minute; what failed for another reason may go well then.
            let hopeless = report.failures.iter().any(|(_, error)| error.kind == CatalogErrorKind::Refused);
            let again = plus(work.now, COMPACTION_LOOK);
            let nothing = (data_files(table).unwrap_or(0), *compacting, again);
            let progress = report.compacted != Compacted::default();
            memory.compacted_at = (!progress && (hopeless || found == Some(0))).then_some(nothing);
        }
        if let Some(merging) = &settings.merging
            && !work.stopping()
            && report.compacted == Compacted::default()
            && memory.merged_at != Some((table.current_snapshot_id(), *merging))
        {
            let merged = merge::merge(work, table, merging).await;
            if merged.is_ok() {
                memory.merged_at = Some((table.current_snapshot_id(), *merging));
            }
            report.manifests_merged = report.note("merge manifests", merged)?;
        }
        Ok(())
    }

    async fn expire(
        &self,
        work: &Work<'_>,
        table: &TableMetadata,
        retention: &Retention,
    ) -> Result<Option<Removed>, CatalogError> {
        match expire::expire(work, table, retention).await? {
            Expiry::Nothing => Ok(None),
            Expiry::Removed(removed) => Ok(Some(removed)),
            // A replaced snapshot of ours or an append came between: once more with the table as it is.
            Expiry::Moved => match work.catalog.load_table(work.table).await? {
                Some(loaded) => Ok(expire::expire(work, &loaded.metadata, retention).await?.removed()),
                None => Ok(None),
            },
        }
    }

    /// Deletes the files of removed snapshots whose time has come, unless it is not known what a commit names.
    async fn sweep(
        &self,
        work: &Work<'_>,
        memory: &mut Memory,
        report: &mut UpkeepReport,
        grace: Duration,
    ) -> Result<(), CatalogError> {
        if work.unresolved.commit {
            return Ok(());
        }
        let latest = plus(work.now, grace);
        let (due, later): (Vec<_>, Vec<_>) = std::mem::take(&mut memory.removed)
            .into_iter()
            .map(|(due, removed)| (due.min(latest), removed))
            .partition(|(due, _)| *due <= work.now);
        memory.removed = later;
        let mut due = due.into_iter();
        while let Some((since, removed)) = due.next() {
            let swept = match work.stopping() {
                true => Err(CatalogError::new(CatalogErrorKind::Unavailable, "the server stops")),
                false => expire::sweep(work, &removed).await,
            };
            match swept {
                Ok(freed) => report.swept += freed,
                Err(error) => {
                    memory.removed.push((since, removed));
                    memory.removed.extend(due);
                    return report.note("delete files", Err(error));
                }
            }
        }
        Ok(())
    }
}

impl UpkeepReport {
    /// The result of a step, or its default and an entry. A failed sync is passed on.
    fn note<T: Default>(
        &mut self,
        step: &'static str,
        done: Result<T, CatalogError>,
    ) -> Result<T, CatalogError> {
        match done {
            Ok(done) => Ok(done),
            Err(error) if error.kind == CatalogErrorKind::Sync => Err(error),
            Err(error) => {
                self.failures.push((step, error));
                Ok(T::default())
            }
        }
    }
}

/// What one round works with.
#[derive(Debug)]
pub(crate) struct Work<'a> {
    catalog: &'a dyn Catalog,
    table: &'a TableIdent,
    bucket: &'a BucketFiles,
    random: &'a dyn Random,
    now: Timestamp,
    /// As of the beginning.
    unresolved: Unresolved,
    stop: &'a AtomicBool,
}

impl Work<'_> {
    fn stopping(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    /// Deletes all of `files`, or as many as can be until the server stops.
    async fn delete(&self, files: Vec<Candidate>) -> Result<Freed, CatalogError> {
        let mut freed = Freed::default();
        let mut deletions = stream::iter(files)
            .take_while(|_| std::future::ready(!self.stopping()))
            .map(async |file| {
                self.bucket.delete(&file.key).await?;
                Ok::<_, lakehead_sink::Error>(file)
            })
            .buffer_unordered(DELETIONS);
        while let Some(deleted) = deletions.next().await {
            let file = deleted?;
            tracing::debug!(table = %self.table, key = file.key, "deleted");
            freed += Freed { files: 1, bytes: file.size_bytes };
        }
        Ok(freed)
    }

    /// Deletes what was written for a commit that was refused for certain. What stays is an orphan.
    async fn forget(&self, keys: &[String]) {
        for key in keys {
            if let Err(error) = self.bucket.delete(key).await {
                tracing::debug!(table = %self.table, key, %error, "a file that nobody needs stays");
            }
        }
    }
}

/// Whether the table says that files of it may be deleted at all.
fn may_delete(table: &TableMetadata) -> bool {
    table.properties().get("gc.enabled").is_none_or(|value| !value.trim().eq_ignore_ascii_case("false"))
}

fn plus(at: Timestamp, more: Duration) -> Timestamp {
    Timestamp(at.0.saturating_add(i64::try_from(more.as_micros()).unwrap_or(i64::MAX)))
}

/// All tables of a catalog, in namespaces of any depth.
///
/// # Errors
/// As of the catalog. A namespace that vanishes meanwhile has no tables.
pub async fn all_tables(catalog: &dyn Catalog) -> Result<Vec<TableIdent>, CatalogError> {
    let (mut found, mut todo): (_, Vec<NamespaceIdent>) = (Vec::new(), catalog.namespaces(None).await?);
    while let Some(namespace) = todo.pop() {
        let there = |e: CatalogError| match e.kind {
            CatalogErrorKind::NotFound => Ok(Vec::new()),
            _ => Err(e),
        };
        found.extend(catalog.tables(&namespace).await.or_else(there)?);
        let there = |e: CatalogError| match e.kind {
            CatalogErrorKind::NotFound => Ok(Vec::new()),
            _ => Err(e),
        };
        todo.extend(catalog.namespaces(Some(&namespace)).await.or_else(there)?);
    }
    Ok(found)
}

#[cfg(test)]
mod tests;
