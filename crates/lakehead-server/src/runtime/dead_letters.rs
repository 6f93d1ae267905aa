//! Records that do not fit, kept as they came: one NDJSON file for each commit that has any.
//!
//! ```text
//!   dead_letters/{pipeline id}/{statement}/{first position:020}-{next position:020}.v{pipeline version}.ndjson
//!   {"stream":"clicks","position":17,"pipeline":"copy","ingest_time":"…Z","stage":"decode","reason":"type_mismatch",
//!    "path":"a.b","detail":"…","record":"{…}"}
//! ```
//! `record` is the text of the record, byte for byte. The file is written beside its place as `.staging`, synced before the
//! commit's intent is recorded, and renamed in publishing: like the sink's files, it exists exactly if its range is committed.
//!
//! **Bound:** lines go to disk in pieces of 256 KiB; a commit is asked for when a file reaches [`FILE_BYTES_MAX`].

use std::fmt;
use std::io::{self, IoSlice};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use lakehead_decode::Reject;
use lakehead_disk::{Disk, File};
use lakehead_meta::{FlowKey, MadeLetters};
use lakehead_model::{Position, Timestamp};
use serde::{Deserialize, Serialize};

pub(super) const FILE_BYTES_MAX: u64 = 64 << 20;
const PIECE_BYTES: usize = 256 << 10;
const STAGED: &str = "current.staging";

/// A finished file, named in the intent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct StagedLetters {
    name: String,
    pub(super) count: u64,
}

impl StagedLetters {
    pub(super) fn made(&self) -> MadeLetters {
        MadeLetters { name: self.name.clone(), records: self.count }
    }
}

/// Where the dead letters of a flow are.
pub(crate) fn letters_folder(data_dir: &Path, key: FlowKey) -> PathBuf {
    data_dir.join("dead_letters").join(key.pipeline.to_string()).join(key.statement.to_string())
}

/// The version and the first position of a file of dead letters; `None` if the name is not one.
pub(crate) fn letters_of_name(name: &str) -> Option<(u64, Position)> {
    let (positions, version) = name.strip_suffix(".ndjson")?.split_once(".v")?;
    let (first, next) = positions.split_once('-')?;
    next.parse::<u64>().ok()?;
    Some((version.parse().ok()?, Position(first.parse().ok()?)))
}

/// Why a record was kept apart.
#[derive(Debug, Clone, Copy)]
pub(super) struct Cause<'a> {
    /// `decode` or `transform`.
    pub(super) stage: &'static str,
    pub(super) reason: &'static str,
    pub(super) path: &'a str,
    pub(super) detail: &'a str,
}

impl<'a> From<&'a Reject> for Cause<'a> {
    fn from(reject: &'a Reject) -> Self {
        Cause { stage: "decode", reason: reject.reason.as_str(), path: &reject.path, detail: &reject.detail }
    }
}

/// Where a flow's records come from and go through, by name.
#[derive(Debug, Default)]
pub(super) struct Route {
    pub(super) stream: String,
    pub(super) pipeline: String,
}

#[derive(Serialize)]
struct Line<'a> {
    stream: &'a str,
    position: Position,
    pipeline: &'a str,
    ingest_time: String,
    stage: &'a str,
    reason: &'a str,
    path: &'a str,
    detail: &'a str,
    record: &'a str,
}

/// What the disk refused.
#[derive(Debug)]
pub(super) enum LetterError {
    Io(io::Error),
    /// Nothing may be assumed about what was written.
    Sync(io::Error),
}

impl fmt::Display for LetterError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            LetterError::Io(e) => e.fmt(f),
            LetterError::Sync(e) => write!(f, "sync: {e}"),
        }
    }
}

impl From<io::Error> for LetterError {
    fn from(e: io::Error) -> Self {
        LetterError::Io(e)
    }
}

impl From<serde_json::Error> for LetterError {
    fn from(e: serde_json::Error) -> Self {
        LetterError::Io(e.into())
    }
}

/// The dead letters of one flow.
#[derive(Debug)]
pub(super) struct DeadLetters {
    dir: PathBuf,
    /// Of the pipeline: what a statement reads may change with it, so positions alone do not tell files apart.
    version: u64,
    route: Route,
    disk: Arc<dyn Disk>,
    open: Option<Arc<dyn File>>,
    written: u64,
    piece: Vec<u8>,
    count: u64,
}

impl DeadLetters {
    pub(super) fn new(
        data_dir: &Path,
        key: FlowKey,
        version: u64,
        route: Route,
        disk: Arc<dyn Disk>,
    ) -> Self {
        DeadLetters {
            dir: letters_folder(data_dir, key),
            version,
            route,
            disk,
            open: None,
            written: 0,
            piece: Vec::new(),
            count: 0,
        }
    }

    pub(super) fn is_full(&self) -> bool {
        self.written + self.piece.len() as u64 >= FILE_BYTES_MAX
    }

    /// Drops what was not committed, here and on disk.
    pub(super) fn reset(&mut self) -> Result<(), LetterError> {
        self.open = None;
        self.written = 0;
        self.count = 0;
        self.piece.clear();
        match self.disk.remove(&self.dir.join(STAGED)) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => Err(e.into()),
            _ => Ok(()),
        }
    }

    pub(super) fn add(
        &mut self,
        position: Position,
        ingest_time: Timestamp,
        cause: Cause<'_>,
        record: &[u8],
    ) -> Result<(), LetterError> {
        let record = String::from_utf8_lossy(record);
        let Cause { stage, reason, path, detail } = cause;
        let line = Line {
            stream: &self.route.stream,
            position,
            pipeline: &self.route.pipeline,
            ingest_time: ingest_time.to_rfc3339(),
            stage,
            reason,
            path,
            detail,
            record: &record,
        };
        serde_json::to_writer(&mut self.piece, &line)?;
        self.piece.push(b'\n');
        self.count += 1;
        if self.piece.len() >= PIECE_BYTES { self.write_piece() } else { Ok(()) }
    }

    fn write_piece(&mut self) -> Result<(), LetterError> {
        let file = match &self.open {
            Some(file) => file,
            None => {
                self.disk.create_dir_all(&self.dir)?;
                self.open.insert(self.disk.create(&self.dir.join(STAGED))?)
            }
        };
        file.write_at(&[IoSlice::new(&self.piece)], self.written)?;
        self.written += self.piece.len() as u64;
        self.piece.clear();
        Ok(())
    }

    /// Finishes and syncs the file of `[first, next)`; `None` if there is nothing to keep.
    pub(super) fn prepare(
        &mut self,
        first: Position,
        next: Position,
    ) -> Result<Option<StagedLetters>, LetterError> {
        if self.count == 0 {
            return Ok(None);
        }
        if !self.piece.is_empty() {
            self.write_piece()?;
        }
        if let Some(file) = &self.open {
            file.sync_data().map_err(LetterError::Sync)?;
        }
        self.disk.sync_dir(&self.dir).map_err(LetterError::Sync)?;
        let name = format!("{:020}-{:020}.v{}.ndjson", first.0, next.0, self.version);
        Ok(Some(StagedLetters { name, count: self.count }))
    }

    /// Gives the file its name. May be repeated.
    pub(super) fn publish(&self, staged: &StagedLetters) -> Result<(), LetterError> {
        let place = self.dir.join(&staged.name);
        match self.disk.rename(&self.dir.join(STAGED), &place) {
            Ok(()) => {}
            // Published before the crash that brings us here again.
            Err(e) if e.kind() == io::ErrorKind::NotFound && self.disk.open(&place).is_ok() => {}
            Err(e) => return Err(e.into()),
        }
        self.disk.sync_dir(&self.dir).map_err(LetterError::Sync)
    }
}

#[cfg(test)]
mod tests;
