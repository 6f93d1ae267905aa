//! Small data files into larger ones.
//!
//! ```text
//!   choose      neighbours of one partition, too small for the target, with no delete files about them
//!   rewrite     their rows in order, as the table's columns are now ──► staged ──► {folder}/compacted-{uuid}.parquet
//!   replace     one snapshot: all of the old files out, the new ones in, if the old ones are all alive yet
//! ```
//! **Invariants.** Rows and their order stay; a file whose number of rows is not what its entry says ends the group. Old files are
//! not deleted: snapshots have them, and expiry takes them. New files are deleted only if their commit was refused for certain.
//! **Bounds:** one compaction at a time in the process, half of a core; memory as in [`rewrite`]. A round takes up to 16 groups and
//! a GiB of small files.

mod choose;
mod manifests;
mod project;
mod rewrite;
mod source;

use std::collections::{HashMap, HashSet};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use iceberg::spec::{DataFile, FormatVersion, TableMetadata};
use lakehead_sink::{Publisher, Seams, StagedFile};
use tokio::runtime::Handle;
use uuid::Uuid;

use self::choose::{Group, choose};
use self::manifests::{find, write};
use self::rewrite::{Input, Job, format};
use super::replace::{Replaced, Replacement, replace};
use super::{UpkeepReport, Work};
use crate::data_file::{data_file, footer};
use crate::manifests::{Attempt, TableFiles, refused};
use crate::snapshot::{FileChange, new_id, uuid};
use crate::{CatalogError, CatalogErrorKind};

pub(crate) use self::choose::FILES_MIN;

/// Small files of one round, in bytes.
const ROUND_BYTES: u64 = 1 << 30;
/// Groups of one round.
const GROUPS_MAX: usize = 16;
/// Times that manifests are written anew because somebody else has changed them.
const TRIES: usize = 4;

/// When small files become larger ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Compacting {
    /// About the size of the files they become.
    pub target_bytes: u64,
}

/// Where new files of a table are made, and how they come into its bucket.
#[derive(Debug, Clone)]
pub struct Staging {
    /// Into the table's bucket, from `dir`.
    pub publisher: Arc<Publisher>,
    /// A folder on local disk. What a crash leaves there nobody needs.
    pub dir: PathBuf,
    /// As those of the publisher.
    pub seams: Seams,
}

/// Files that became fewer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Compacted {
    /// That were small.
    pub files_before: u64,
    /// That they became.
    pub files_after: u64,
    /// Of the small ones.
    pub bytes_before: u64,
    /// Of those that they became.
    pub bytes_after: u64,
    /// Rows that were written anew.
    pub rows: u64,
}

/// A new file in the bucket.
#[derive(Debug)]
struct Output {
    file: DataFile,
    /// Id of its partition spec.
    spec: i32,
    staged: StagedFile,
    group: Group,
}

impl Output {
    /// URIs of the files it was made of.
    fn paths(&self) -> impl Iterator<Item = &str> {
        self.group.files.iter().map(|file| file.entry.file_path())
    }
}

/// Makes larger files of small ones, if enough of them lie together. Returns the number of groups that were found.
///
/// # Errors
/// As of the catalog. What a group fails of is in the report, and the next one is tried.
pub(crate) async fn compact(
    work: &Work<'_>,
    table: &TableMetadata,
    compacting: &Compacting,
    (staging, stop): (&Staging, &Arc<AtomicBool>),
    report: &mut UpkeepReport,
) -> Result<Option<usize>, CatalogError> {
    // Rows of format 3 have ids, which would have to be written along.
    let Some(snapshot) = table.current_snapshot().filter(|_| table.format_version() == FormatVersion::V2)
    else {
        return Ok(Some(0));
    };
    let files = TableFiles::of(table, work.bucket.clone())?;
    let manifests = files.list_of(table, snapshot).await?;
    let limits = (work.now, ROUND_BYTES);
    let mut groups = choose(&files, table, &manifests, compacting.target_bytes, limits).await?;
    groups.truncate(GROUPS_MAX);
    let (mut outputs, found) = (Vec::new(), groups.len());
    for group in groups {
        let made = make(work, table, &files, group, (staging, stop)).await;
        outputs.extend(report.note("compact files", made)?);
        if work.stopping() {
            break;
        }
    }
    let staged: Vec<_> = outputs.iter().map(|output| output.staged.clone()).collect();
    let done = exchange(work, outputs, snapshot.sequence_number(), table.uuid()).await;
    if let Err(error) = staging.publisher.discard(&staged).await {
        tracing::debug!(%error, "staged files stay until the next start");
    }
    report.compacted = done?;
    Ok(Some(found))
}

/// Writes and publishes the file that a group becomes; `None` if it holds no rows.
async fn make(
    work: &Work<'_>,
    table: &TableMetadata,
    files: &TableFiles,
    group: Group,
    (staging, stop): (&Staging, &Arc<AtomicBool>),
) -> Result<Option<Output>, CatalogError> {
    let mut inputs = Vec::with_capacity(group.files.len());
    for small in &group.files {
        let uri = small.entry.file_path();
        let key = work.bucket.key(uri).ok_or_else(|| refused(format!("{uri} is not in the bucket")))?;
        let footer = footer(work.bucket, key, small.size_bytes()).await?;
        inputs.push(Input {
            key: key.to_owned(),
            size_bytes: small.size_bytes(),
            rows: small.entry.record_count(),
            footer: Arc::new(footer),
        });
    }
    // Beside the first of them, in whatever way the writer names folders.
    let first = inputs.first().and_then(|input| input.key.rsplit_once('/')).map(|(folder, _)| folder);
    let own = first.filter(|folder| {
        folder.strip_prefix(&files.data_key).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    });
    let job = Job {
        bucket: work.bucket.clone(),
        columns: project::columns(table.current_schema())?,
        key: format!("{}/compacted-{}.parquet", own.unwrap_or(&files.data_key), uuid(work.random)),
        inputs,
        format: format(table.properties()),
        staging: staging.clone(),
        stop: stop.clone(),
        runtime: Handle::current(),
    };
    let cut_short =
        |e| CatalogError::new(CatalogErrorKind::Unavailable, format!("compaction was cut short: {e}"));
    let Some(staged) = tokio::task::spawn_blocking(|| job.run()).await.map_err(cut_short)?? else {
        return Ok(None);
    };
    match publish(work, table, &group, &staged, staging).await {
        Ok(file) => {
            let spec = table.default_partition_spec_id();
            Ok(Some(Output { file, spec, staged, group }))
        }
        Err(error) => {
            // No commit has named it.
            work.forget(std::slice::from_ref(&staged.key)).await;
            let _ = staging.publisher.discard(&[staged]).await;
            Err(error)
        }
    }
}

async fn publish(
    work: &Work<'_>,
    table: &TableMetadata,
    group: &Group,
    staged: &StagedFile,
    staging: &Staging,
) -> Result<DataFile, CatalogError> {
    staging.publisher.publish(std::slice::from_ref(staged)).await?;
    let footer = footer(work.bucket, &staged.key, staged.size_bytes).await?;
    let partition = (table.default_partition_spec_id(), group.partition.clone());
    let uri = work.bucket.uri(&staged.key);
    let file = data_file(uri, staged.size_bytes, &footer, table.current_schema(), partition)?;
    let rows: u64 = group.files.iter().map(|small| small.entry.record_count()).sum();
    match file.record_count() == rows {
        true => Ok(file),
        false => Err(refused(format!("{} holds {} rows instead of {rows}", staged.key, file.record_count()))),
    }
}

/// Puts `outputs` into the table in place of what they were made of: those of which that is alive yet.
async fn exchange(
    work: &Work<'_>,
    mut outputs: Vec<Output>,
    sequence: i64,
    table_uuid: Uuid,
) -> Result<Compacted, CatalogError> {
    for _ in 0..TRIES {
        if outputs.is_empty() {
            return Ok(Compacted::default());
        }
        match exchange_once(work, &mut outputs, sequence, table_uuid).await {
            Replaced::Applied => return Ok(sum(&outputs)),
            Replaced::Stale => {}
            Replaced::Refused(error) => {
                forget(work, &outputs).await;
                return Err(error);
            }
            Replaced::InDoubt(error) => return Err(error),
        }
    }
    forget(work, &outputs).await;
    Ok(Compacted::default())
}

async fn forget(work: &Work<'_>, outputs: &[Output]) {
    let keys: Vec<_> = outputs.iter().map(|output| output.staged.key.clone()).collect();
    work.forget(&keys).await;
}

/// One attempt. Outputs that have become useless are deleted and taken out.
async fn exchange_once(
    work: &Work<'_>,
    outputs: &mut Vec<Output>,
    sequence: i64,
    table_uuid: Uuid,
) -> Replaced {
    let base = match work.catalog.load_table(work.table).await {
        Ok(Some(loaded)) if loaded.metadata.uuid() == table_uuid => loaded.metadata,
        Ok(_) => return Replaced::Refused(refused("the table is another one by now".to_owned())),
        Err(error) => return Replaced::Refused(error),
    };
    let files = match TableFiles::of(&base, work.bucket.clone()) {
        Ok(files) => files,
        Err(error) => return Replaced::Refused(error),
    };
    let mut attempt = Attempt::new(&files, uuid(work.random));
    let id = new_id(&base, work.random);
    let swap = async {
        let paths: HashSet<&str> = outputs.iter().flat_map(Output::paths).collect();
        let found = find(&files, &base, &paths).await?;
        drop(paths);
        let fits = fit(&base, &files, outputs, &found.alive).await?;
        let (useful, useless): (Vec<_>, Vec<_>) =
            std::mem::take(outputs).into_iter().zip(fits).partition(|(_, fits)| *fits);
        *outputs = useful.into_iter().map(|(output, _)| output).collect();
        let useless: Vec<_> = useless.into_iter().map(|(output, _)| output).collect();
        forget(work, &useless).await;
        match outputs.is_empty() {
            true => Ok(None),
            false => {
                let outputs: Vec<_> = outputs.iter().collect();
                write(&base, &mut attempt, id, found, &outputs, sequence).await.map(Some)
            }
        }
    };
    let swap = match swap.await {
        Ok(Some(swap)) => swap,
        Ok(None) => return Replaced::Stale,
        Err(error) => {
            work.forget(&attempt.into_written()).await;
            return Replaced::Refused(error);
        }
    };
    let replacement = Replacement {
        id,
        table_uuid,
        replaced: swap.replaced,
        made: swap.made,
        change: FileChange { added: swap.added, removed: swap.removed },
        summary: HashMap::new(),
        deletes: Some(swap.deletes),
    };
    let replaced = replace(work, &replacement).await;
    if matches!(replaced, Replaced::Stale | Replaced::Refused(_)) {
        work.forget(&attempt.into_written()).await;
    }
    replaced
}

/// Of each output, whether the table can have it: its partition spec is the default yet, all of the files it was made of are alive,
/// and no delete file has come that may apply to them.
async fn fit(
    base: &TableMetadata,
    files: &TableFiles,
    outputs: &[Output],
    alive: &HashSet<String>,
) -> Result<Vec<bool>, CatalogError> {
    let manifests = match base.current_snapshot() {
        Some(snapshot) => files.list_of(base, snapshot).await?,
        None => Vec::new(),
    };
    let with_deletes = choose::with_deletes(files, base, &manifests).await?;
    let free = |output: &Output| {
        with_deletes.as_ref().is_some_and(|partitions| !partitions.contains(&output.group.partition))
    };
    let spec = base.default_partition_spec_id();
    let whole = |output: &Output| output.paths().all(|path| alive.contains(path));
    Ok(outputs.iter().map(|output| output.spec == spec && free(output) && whole(output)).collect())
}

fn sum(outputs: &[Output]) -> Compacted {
    let mut compacted = Compacted::default();
    for output in outputs {
        compacted.files_before += output.group.files.len() as u64;
        compacted.files_after += 1;
        compacted.bytes_before += output.group.files.iter().map(choose::Small::size_bytes).sum::<u64>();
        compacted.bytes_after += output.file.file_size_in_bytes();
        compacted.rows += output.file.record_count();
    }
    compacted
}
