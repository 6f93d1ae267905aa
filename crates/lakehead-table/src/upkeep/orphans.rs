//! Files in a table's folders that no commit knows: of attempts that failed, of crashes, of outcomes that stayed unknown.
//!
//! ```text
//!   put a file, list the folders, see the file in the listing      what time it is there, and that the listing shows what is new
//!     ──► ask which commits are undecided                          their files were put after their intent, which is asked for later
//!     ──► load the table, claim all it references                  a commit that landed since the listing is seen
//!     ──► delete what is left and older than the grace period
//! ```
//! **Invariant:** a file goes only if it is older than the grace period by the store's own clock, no undecided commit names it, and
//! metadata loaded after the listing reaches it from nowhere. Anything that cannot be told for certain ends the round with nothing
//! deleted: a listing cut short, a manifest that is missing, a table whose folder holds or is held by this one's.

use std::time::Duration;

use bytes::Bytes;
use lakehead_model::Timestamp;
use lakehead_sink::ListedFile;

use super::unclaimed::{Candidate, Depth, Unclaimed};
use super::{Claims, Freed, Work};
use crate::CatalogError;
use crate::manifests::{TableFiles, refused};

/// Deletes the files of the table that nothing knows and that are older than `grace`.
///
/// # Errors
/// As of the catalog and of the bucket; `Refused` where it cannot be told what belongs to whom. What was deleted by then was not
/// needed.
pub(crate) async fn remove_orphans(
    work: &Work<'_>,
    claims: &dyn Claims,
    grace: Duration,
) -> Result<Freed, CatalogError> {
    let Some(before) = work.catalog.load_table(work.table).await? else { return Ok(Freed::default()) };
    if !super::may_delete(&before.metadata) {
        return Ok(Freed::default());
    }
    let files = TableFiles::of(&before.metadata, work.bucket.clone())?;
    let folders = folders(&files);
    let foreign = foreign(&folders, &others(work).await?)?;
    let (mut listed, there) = listing(work, &files, &folders).await?;
    listed.retain(|file| !foreign.iter().any(|folder| file.key.starts_with(folder)));

    let unresolved = claims.unresolved(work.table).await?;
    if unresolved.commit {
        return Ok(Freed::default());
    }
    let Some(now) = work.catalog.load_table(work.table).await? else { return Ok(Freed::default()) };
    let same = TableFiles::of(&now.metadata, work.bucket.clone())?;
    if now.metadata.uuid() != before.metadata.uuid() || self::folders(&same) != folders {
        return Ok(Freed::default());
    }
    let Some(location) = now.metadata_location.as_deref() else {
        return Err(refused(format!("where {:?} keeps its metadata is not said", work.table)));
    };
    // The earlier of both clocks, less the grace.
    let newest = Timestamp(there.0.min(work.now.0));
    let mut unclaimed = Unclaimed::default();
    for file in listed {
        if newest.saturating_duration_since(file.modified) > grace && !is_hidden(&file.key, &folders) {
            unclaimed.add(Candidate { key: file.key, size_bytes: file.size_bytes });
        }
    }
    unresolved.keys.iter().for_each(|key| unclaimed.claim(key));
    unclaimed.claim("version-hint.text");
    unclaimed.claim_all_of(&files, &now.metadata, Some(location), Depth::Content).await?;
    work.delete(unclaimed.into_files()).await
}

/// Keys of the table's folders, with a slash at the end, none within another.
fn folders(files: &TableFiles) -> Vec<String> {
    let mut folders = vec![format!("{}/", files.data_key), format!("{}/", files.metadata_key)];
    folders.sort();
    folders.dedup_by(|next, first| next.starts_with(first.as_str()));
    folders
}

/// Keys of the folders of all other tables.
async fn others(work: &Work<'_>) -> Result<Vec<String>, CatalogError> {
    let mut folders = Vec::new();
    for table in super::all_tables(work.catalog).await? {
        if table == *work.table {
            continue;
        }
        let Some(loaded) = work.catalog.load_table(&table).await? else { continue };
        folders.extend(work.bucket.key(loaded.metadata.location().trim_end_matches('/')).map(str::to_owned));
        // Elsewhere than in the bucket it can be nobody's neighbour.
        if let Ok(files) = TableFiles::of(&loaded.metadata, work.bucket.clone()) {
            folders.extend([files.data_key, files.metadata_key]);
        }
    }
    Ok(folders)
}

/// Folders of other tables that lie within `own`.
///
/// # Errors
/// `Refused` if another table's folder is one of `own` or holds one: whose files are whose cannot be told.
fn foreign(own: &[String], others: &[String]) -> Result<Vec<String>, CatalogError> {
    let others: Vec<_> = others.iter().map(|key| format!("{}/", key.trim_matches('/'))).collect();
    for folder in own {
        if let Some(other) = others.iter().find(|other| folder.starts_with(other.as_str())) {
            return Err(refused(format!("{folder} lies in {other}, which another table has")));
        }
    }
    Ok(others.into_iter().filter(|other| own.iter().any(|folder| other.starts_with(folder))).collect())
}

/// What lies in the folders, and what time it is in the store.
async fn listing(
    work: &Work<'_>,
    files: &TableFiles,
    folders: &[String],
) -> Result<(Vec<ListedFile>, Timestamp), CatalogError> {
    let probe = format!("{}/{}-clock.tmp", files.metadata_key, crate::snapshot::uuid(work.random));
    work.bucket.put(&probe, Bytes::from_static(b"what time is it")).await?;
    let list = async {
        let mut listed = Vec::new();
        for folder in folders {
            listed.extend(work.bucket.list(folder).await?);
        }
        Ok::<_, CatalogError>(listed)
    };
    let listed = list.await;
    work.bucket.delete(&probe).await?;
    let mut listed = listed?;
    let Some(at) = listed.iter().position(|file| file.key == probe) else {
        return Err(refused(format!("a listing of {} lacks a file that is there", files.metadata_key)));
    };
    let there = listed.swap_remove(at).modified;
    Ok((listed, there))
}

/// What engines keep out of sight (`_temporary`, `.crc`); folders of partitions are not meant, though their columns may be called
/// `_x`.
fn is_hidden(key: &str, folders: &[String]) -> bool {
    let below = folders.iter().find_map(|folder| key.strip_prefix(folder.as_str())).unwrap_or(key);
    below.split('/').any(|part| part.starts_with('.') || (part.starts_with('_') && !part.contains('=')))
}
