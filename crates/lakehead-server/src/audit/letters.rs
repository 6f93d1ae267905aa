//! The files of dead letters: which there are, and which there should be.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::io;
use std::path::Path;

use lakehead_disk::Disk;
use lakehead_meta::{Entry, FlowKey, FlowRecord, Head};
use lakehead_model::{PipelineId, Position};

use super::DifferenceKind as Kind;
use super::findings::Findings;
use crate::control::Error;
use crate::runtime::{letters_folder, letters_of_name, letters_under_way};

/// Read at once.
const PIECE_BYTES: usize = 256 << 10;

/// The names in the folders of a pipeline's dead letters.
pub(super) struct Listings(BTreeMap<u32, Vec<String>>);

impl Listings {
    pub(super) fn read(
        disk: &dyn Disk,
        data_dir: &Path,
        pipeline: PipelineId,
        statements: impl Iterator<Item = u32>,
    ) -> Result<Listings, Error> {
        let mut listings = BTreeMap::new();
        for statement in statements.collect::<BTreeSet<_>>() {
            let folder = letters_folder(data_dir, FlowKey { pipeline, statement });
            let names = match disk.list(&folder) {
                Err(e) if e.kind() == io::ErrorKind::NotFound => Vec::new(),
                listed => listed.map_err(|e| cannot_read(&folder, &e))?,
            };
            listings.insert(statement, names);
        }
        Ok(Listings(listings))
    }

    /// Files that no commit made, of the time that the journal reaches back to.
    pub(super) fn check(&self, statement: u32, known: &Known, findings: &mut Findings) {
        for name in self.0.get(&statement).into_iter().flatten() {
            // What is not named like dead letters is somebody else's.
            let Some((version, first)) = letters_of_name(name) else { continue };
            if (version, first) >= known.since && !known.names.contains(name) {
                let text = format!("the dead letters {name} of statement {statement} belong to no commit");
                findings.differ(Kind::DeadLettersExtra, statement, first, text);
            }
        }
    }
}

/// The files that a statement should have.
pub(super) struct Known {
    names: HashSet<String>,
    /// The version and position from which on every file is known.
    since: (u64, Position),
}

impl Known {
    pub(super) fn new(head: &Head, flow: Option<&FlowRecord>) -> Result<Self, Error> {
        let mut names = HashSet::new();
        if let Some(intent) = flow.and_then(|flow| flow.intent.as_deref()) {
            let letters = letters_under_way(intent).map_err(Error::Unavailable)?;
            names.extend(letters.map(|letters| letters.name));
        }
        Ok(Known { names, since: (head.before.version, head.before.until) })
    }

    pub(super) fn add(&mut self, entry: &Entry) {
        self.names.extend(entry.made.letters.iter().map(|letters| letters.name.clone()));
    }
}

/// The lines of a file; `None` if it is not there.
pub(super) fn lines(disk: &dyn Disk, path: &Path) -> Result<Option<u64>, Error> {
    let file = match disk.open(path) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
        opened => opened.map_err(|e| cannot_read(path, &e))?,
    };
    let mut piece = vec![0; PIECE_BYTES];
    let (mut lines, mut at) = (0, 0);
    loop {
        let read = file.read_at(&mut piece, at).map_err(|e| cannot_read(path, &e))?;
        lines += piece[..read].iter().filter(|byte| **byte == b'\n').count() as u64;
        at += read as u64;
        if read < piece.len() {
            return Ok(Some(lines));
        }
    }
}

fn cannot_read(path: &Path, e: &io::Error) -> Error {
    Error::Unavailable(format!("audit: cannot read {}: {e}", path.display()))
}
