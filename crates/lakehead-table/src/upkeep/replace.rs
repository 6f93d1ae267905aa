//! A snapshot that holds the same rows in other manifests or other files.
//!
//! ```text
//!   manifests made once ──► load ──► is all that they replace still there? ──► list ──► commit
//!                            ▲               └ no: Stale                                  │
//!                            └───────────────── Conflict: the list goes ◄─────────────────┘
//! ```
//! Appends that come between change nothing about what is replaced, so that only the list of manifests is written again and the
//! time in which somebody else can come between is short.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use iceberg::spec::{ManifestContentType, ManifestFile, Operation};

use super::Work;
use super::outcome::{self, Outcome};
use crate::manifests::{Attempt, TableFiles};
use crate::snapshot::{FileChange, Tools, draft, uuid};
use crate::{CatalogError, CatalogErrorKind, TableChange};

/// Attempts before somebody else is let go first for good.
const TRIES: u32 = 8;

/// A snapshot to be made.
#[derive(Debug)]
pub(crate) struct Replacement {
    /// Its id; `made` name it.
    pub(crate) id: i64,
    pub(crate) table_uuid: uuid::Uuid,
    /// Paths of manifests that it does not have any more. If one of them is not in the table, somebody has changed what this is
    /// about.
    pub(crate) replaced: HashSet<String>,
    /// What it has instead.
    pub(crate) made: Vec<ManifestFile>,
    pub(crate) change: FileChange,
    pub(crate) summary: HashMap<String, String>,
    /// No manifests of delete files may have come but these, by path; `None`: any may.
    pub(crate) deletes: Option<HashSet<String>>,
}

/// What became of it.
#[derive(Debug)]
pub(crate) enum Replaced {
    /// It is the table's.
    Applied,
    /// It is not and never will be, for what it replaces has changed, or others were always first. What was made is nobody's.
    Stale,
    /// It is not and never will be. What was made is nobody's.
    Refused(CatalogError),
    /// Nobody knows. What was made must stay.
    InDoubt(CatalogError),
}

/// Commits `replacement`, again and again while others come between.
pub(crate) async fn replace(work: &Work<'_>, replacement: &Replacement) -> Replaced {
    for tried in 0..TRIES {
        let list = match drafted(work, replacement).await {
            Ok(Some((change, list))) => {
                let id = replacement.id;
                let done =
                    outcome::commit(work.catalog, change, |table| table.snapshot_by_id(id).is_some()).await;
                match done {
                    Outcome::Applied => return Replaced::Applied,
                    Outcome::InDoubt(error) => return Replaced::InDoubt(error),
                    Outcome::Refused(error) if error.kind == CatalogErrorKind::Conflict => list,
                    Outcome::Refused(error) => {
                        work.forget(&list).await;
                        return Replaced::Refused(error);
                    }
                }
            }
            Ok(None) => return Replaced::Stale,
            Err(error) => return Replaced::Refused(error),
        };
        work.forget(&list).await;
        let wait = work.random.u64() % (20 << tried);
        tokio::time::sleep(Duration::from_millis(wait)).await;
    }
    Replaced::Stale
}

/// The change for the table as it is now, and the keys it wrote; `None` if what it replaces is not there any more.
async fn drafted(
    work: &Work<'_>,
    replacement: &Replacement,
) -> Result<Option<(TableChange, Vec<String>)>, CatalogError> {
    let Some(loaded) = work.catalog.load_table(work.table).await? else { return Ok(None) };
    let base = &*loaded.metadata;
    let Some(snapshot) = base.current_snapshot().filter(|_| base.uuid() == replacement.table_uuid) else {
        return Ok(None);
    };
    let files = TableFiles::of(base, work.bucket.clone())?;
    let (gone, mut kept): (Vec<_>, Vec<_>) = files
        .list_of(base, snapshot)
        .await?
        .into_iter()
        .partition(|manifest| replacement.replaced.contains(&manifest.manifest_path));
    let mut deletes = kept.iter().filter(|manifest| manifest.content == ManifestContentType::Deletes);
    let known = replacement.deletes.as_ref();
    let foreign = known.is_some_and(|known| deletes.any(|manifest| !known.contains(&manifest.manifest_path)));
    if gone.len() != replacement.replaced.len() || foreign {
        return Ok(None);
    }
    kept.retain(|manifest| manifest.has_added_files() || manifest.has_existing_files());
    let manifests: Vec<_> = replacement.made.iter().cloned().chain(kept).collect();
    let tools = Tools { files: &files, random: work.random, now: work.now };
    let attempt = Attempt::new(&files, uuid(work.random));
    let content = (Operation::Replace, &replacement.change, replacement.summary.clone());
    let draft = draft(tools, base, replacement.id, attempt, manifests, content).await?;
    let change =
        TableChange { table: work.table.clone(), requirements: draft.requirements, updates: draft.updates };
    Ok(Some((change, draft.written)))
}
