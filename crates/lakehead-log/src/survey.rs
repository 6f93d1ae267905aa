//! The first look at a log's directory: which files are there, and whether they are what their names say.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use lakehead_disk::File;

use crate::chain;
use crate::error::{Error, ErrorKind};
use crate::floor::{self, Floor};
use crate::header::{Found, PAGE, SegmentHeader};
use crate::segment::{id_in_name, segment_path};
use crate::settings::{Seams, Settings};
use crate::window::Window;

/// The name of the lock file.
pub(crate) const LOCK_NAME: &str = "lock";
/// Ending of files that were put aside; the log never touches them again.
const ASIDE: &str = "aside";

/// A segment file that was used.
#[derive(Debug)]
pub(crate) struct Head {
    pub(crate) id: u64,
    pub(crate) path: PathBuf,
    pub(crate) file: Arc<dyn File>,
    pub(crate) size_bytes: u64,
    /// `None`: both copies are unreadable, and there are frames behind them.
    pub(crate) header: Option<SegmentHeader>,
    pub(crate) data_start: u32,
}

#[derive(Debug)]
pub(crate) struct Survey {
    pub(crate) floor: Floor,
    /// In the order of their ids, chained without holes.
    pub(crate) heads: Vec<Head>,
    /// Prepared and never used, in the order of their ids.
    pub(crate) unused: VecDeque<Head>,
    /// Ids of the index files.
    pub(crate) index_ids: Vec<u64>,
    /// Ids of the files with keys, those of trimmed segments included.
    pub(crate) keys_ids: Vec<u64>,
    pub(crate) id_max: u64,
    pub(crate) notes: Vec<String>,
}

/// A refusal: what is wrong with which file, and what to do.
pub(crate) fn corrupt(path: &Path, what: impl std::fmt::Display, remedy: &str) -> Error {
    Error::new(ErrorKind::Corrupt, format!("{}: {what}; {remedy}", path.display()))
}

pub(crate) const RESTORE: &str =
    "put the right file back, or start once with accept_loss to go on without its records";

pub(crate) fn survey(settings: &Settings, seams: &Seams) -> Result<Survey, Error> {
    let (dir, disk) = (&settings.dir, &*seams.disk);
    let io = |what: &str, path: &Path| {
        let text = format!("{what} {}", path.display());
        move |error| Error::io(text.clone(), error)
    };
    let names = disk.list(dir).map_err(io("listing", dir))?;
    let mut notes = Vec::new();
    let mut ids: Vec<u64> = Vec::new();
    let mut index_ids: Vec<u64> = Vec::new();
    let mut keys_ids: Vec<u64> = Vec::new();
    for name in &names {
        if let Some(id) = id_in_name(name, "seg") {
            ids.push(id);
        } else if let Some(id) = id_in_name(name, "idx") {
            index_ids.push(id);
        } else if let Some(id) = id_in_name(name, "keys") {
            keys_ids.push(id);
        } else if name.ends_with(".tmp") {
            let path = dir.join(name);
            disk.remove(&path).map_err(io("removing", &path))?;
        } else if ![floor::NAME, LOCK_NAME].contains(&name.as_str()) {
            notes.push(format!("{} is not a file of the log", dir.join(name).display()));
        }
    }
    let id_max = ids.last().copied().unwrap_or(0);
    let mut found = Vec::new();
    for id in ids {
        let path = segment_path(dir, id);
        let file = disk.open(&path).map_err(io("opening", &path))?;
        let size_bytes = file.size_bytes().map_err(io("reading", &path))?;
        let header = find_header(&*file, size_bytes).map_err(io("reading", &path))?;
        found.push((Head { id, path, file, size_bytes, header: None, data_start: 0 }, header));
    }
    let floor = open_floor(settings, seams, &names, &found, &mut notes)?;
    let (mut heads, mut unused) = (Vec::new(), VecDeque::new());
    for (head, header) in found {
        if head.id < floor.oldest {
            disk.remove(&head.path).map_err(io("removing", &head.path))?;
            continue;
        }
        match judge(head, header, &floor, settings, &mut notes)? {
            Judged::Used(head) => heads.push(head),
            Judged::Unused(head) => unused.push_back(head),
            Judged::Aside(head) => {
                let aside = head.path.with_extension(ASIDE);
                disk.rename(&head.path, &aside).map_err(io("renaming", &head.path))?;
                notes.push(format!("{} was put aside", aside.display()));
            }
        }
    }
    let mut survey = Survey { floor, heads, unused, index_ids, keys_ids, id_max, notes };
    chain::check(&mut survey, settings, seams)?;
    Ok(survey)
}

/// The header, reading as much as is needed to find either copy.
fn find_header(file: &dyn File, size_bytes: u64) -> std::io::Result<Found> {
    let quarter = (size_bytes / 4).next_multiple_of(PAGE).min(size_bytes);
    let mut wanted = (16 * PAGE).min(size_bytes);
    loop {
        let mut bytes = vec![0; wanted as usize];
        let read = file.read_at(&mut bytes, 0)?;
        bytes.truncate(read);
        match SegmentHeader::find(&bytes) {
            Found::Header { copy_bytes, .. } if u64::from(copy_bytes) * 2 > wanted && wanted < size_bytes => {
                wanted = (u64::from(copy_bytes) * 2).min(size_bytes);
            }
            Found::Nothing if wanted < quarter => wanted = quarter,
            found => return Ok(found),
        }
    }
}

/// The floor on disk, or a new one where that is safe.
fn open_floor(
    settings: &Settings,
    seams: &Seams,
    names: &[String],
    found: &[(Head, Found)],
    notes: &mut Vec<String>,
) -> Result<Floor, Error> {
    let (dir, disk) = (&settings.dir, &*seams.disk);
    let path = dir.join(floor::NAME);
    let exists = names.iter().any(|name| name == floor::NAME);
    let known = if exists {
        Floor::open(disk, dir).map_err(|error| Error::io(format!("reading {}", path.display()), error))?
    } else {
        None
    };
    if let Some(floor) = known {
        return Ok(floor);
    }
    let headers = found.iter().filter_map(|(_, found)| match found {
        Found::Header { header, .. } => Some(header),
        _ => None,
    });
    let (log_id, oldest) = match headers.min_by_key(|header| header.id) {
        Some(header) => {
            notes.push(format!("{} was unreadable or missing and is made anew", path.display()));
            (header.log_id, header.id)
        }
        None if found.is_empty() && !exists => (seams.random.u64(), 1),
        None if settings.accept_loss => (seams.random.u64(), 1),
        None => return Err(corrupt(&path, "the floor and every segment header are unreadable", RESTORE)),
    };
    Floor::create(disk, dir, log_id, oldest)
        .map_err(|error| Error::io(format!("writing {}", path.display()), error))
}

enum Judged {
    Used(Head),
    Unused(Head),
    Aside(Head),
}

fn judge(
    mut head: Head,
    found: Found,
    floor: &Floor,
    settings: &Settings,
    notes: &mut Vec<String>,
) -> Result<Judged, Error> {
    match found {
        Found::NewerVersion(version) => Err(corrupt(
            &head.path,
            format!("it has format version {version}; this program knows {}", crate::header::VERSION),
            "start the program that wrote it",
        )),
        Found::Header { header, copy_bytes, both_copies, .. }
            if header.log_id == floor.log_id && header.id == head.id =>
        {
            if !both_copies {
                notes.push(format!("{}: one copy of the header is unreadable", head.path.display()));
            }
            head.data_start = 2 * copy_bytes;
            head.header = Some(header);
            Ok(Judged::Used(head))
        }
        Found::Header { header, first_copy, .. } => {
            // A recycled file keeps the header of a segment that was trimmed until it is used again.
            if header.log_id == floor.log_id && header.id < floor.oldest {
                return if first_copy { Ok(Judged::Unused(head)) } else { headless(head, floor) };
            }
            let what = if header.log_id == floor.log_id {
                format!("it holds segment {}", header.id)
            } else {
                format!("it is of the log {:016x}; this is {:016x}", header.log_id, floor.log_id)
            };
            if settings.accept_loss {
                Ok(Judged::Aside(head))
            } else {
                Err(corrupt(&head.path, what, RESTORE))
            }
        }
        Found::Nothing => headless(head, floor),
    }
}

/// Without a header a segment was used if there is a frame of it.
fn headless(mut head: Head, floor: &Floor) -> Result<Judged, Error> {
    let io = |error| Error::io(format!("reading {}", head.path.display()), error);
    let mut first = vec![0; (2 * PAGE) as usize];
    let read = head.file.read_at(&mut first, 0).map_err(io)?;
    if first[..read].iter().all(|&b| b == 0) {
        return Ok(Judged::Unused(head));
    }
    let limit = head.size_bytes.min(crate::settings::SEGMENT_BYTES_MAX) as u32;
    let mut window = Window::new(head.file.clone(), floor.log_id, head.id);
    let frames = window.resync(0, limit).map_err(io)?.is_some();
    head.data_start = (2 * PAGE) as u32;
    Ok(if frames { Judged::Used(head) } else { Judged::Unused(head) })
}
