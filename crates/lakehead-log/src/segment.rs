//! A segment file as readers and the writer share it.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use lakehead_disk::{Disk, File};
use parking_lot::{Mutex, RwLock, RwLockReadGuard};

use crate::frame::FrameHeader;
use crate::index::{Lost, SegmentIndex};
use crate::keys::KeyEntry;
use crate::settings::Settings;

#[derive(Debug)]
pub(crate) struct Segment {
    pub(crate) id: u64,
    pub(crate) path: PathBuf,
    /// Where the synced frames end. Changes together with the index, under its lock.
    end: AtomicU32,
    index: RwLock<SegmentIndex>,
    pub(crate) size_bytes: AtomicU64,
    /// The keys of its appends; until it is sealed.
    keys: Mutex<Vec<KeyEntry>>,
    /// Whether nothing behind the end is worth keeping.
    unused_behind: bool,
}

impl Segment {
    pub(crate) fn new(id: u64, path: PathBuf, data_start: u32, size_bytes: u64) -> Self {
        Segment {
            id,
            path,
            end: AtomicU32::new(data_start),
            index: RwLock::default(),
            size_bytes: AtomicU64::new(size_bytes),
            keys: Mutex::default(),
            unused_behind: true,
        }
    }

    /// A segment found at the start.
    pub(crate) fn filled(
        mut self,
        index: SegmentIndex,
        keys: Vec<KeyEntry>,
        end: u32,
        unused_behind: bool,
    ) -> Self {
        self.unused_behind = unused_behind;
        *self.keys.lock() = keys;
        *self.index.write() = index;
        self.end.store(end, Ordering::Release);
        self
    }

    pub(crate) fn end(&self) -> u32 {
        self.end.load(Ordering::Acquire)
    }

    pub(crate) fn index(&self) -> RwLockReadGuard<'_, SegmentIndex> {
        self.index.read()
    }

    /// Shows synced frames to readers.
    pub(crate) fn publish<'a>(&self, frames: impl Iterator<Item = &'a FrameHeader>, end: u32) {
        let mut index = self.index.write();
        frames.for_each(|frame| index.add(frame));
        self.end.store(end, Ordering::Release);
    }

    /// Notes the keys of synced frames.
    pub(crate) fn note_keys(&self, entries: &[KeyEntry]) {
        self.keys.lock().extend_from_slice(entries);
    }

    /// The keys noted, which are forgotten here.
    pub(crate) fn take_keys(&self) -> Vec<KeyEntry> {
        std::mem::take(&mut self.keys.lock())
    }

    pub(crate) fn unused_behind(&self) -> bool {
        self.unused_behind
    }

    /// Notes positions that can not be read.
    pub(crate) fn lose(&self, lost: Lost) {
        self.index.write().lose(lost);
    }

    /// The file, for reading: a handle of its own, as the writer's may go past the page cache.
    pub(crate) fn open(&self, disk: &dyn Disk) -> io::Result<Arc<dyn File>> {
        disk.open(&self.path)
    }
}

pub(crate) fn segment_path(dir: &Path, id: u64) -> PathBuf {
    dir.join(format!("{id:020}.seg"))
}

pub(crate) fn index_path(dir: &Path, id: u64) -> PathBuf {
    dir.join(format!("{id:020}.idx"))
}

pub(crate) fn keys_path(dir: &Path, id: u64) -> PathBuf {
    dir.join(format!("{id:020}.keys"))
}

/// The content of an index file or a file with keys; `None` if there is none.
pub(crate) fn read_aid(settings: &Settings, disk: &dyn Disk, path: &Path) -> io::Result<Option<Vec<u8>>> {
    let file = match disk.open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    // An index takes at most about a segment's header a partition, and 16 bytes for 64 KiB; a key less than its append: larger
    // files are not ours.
    let size = file.size_bytes()?.min(settings.segment_bytes.max(64 << 20)) as usize;
    let mut bytes = vec![0; size];
    let read = file.read_at(&mut bytes, 0)?;
    bytes.truncate(read);
    Ok(Some(bytes))
}

/// The id in `<20 digits>.<extension>`.
pub(crate) fn id_in_name(name: &str, extension: &str) -> Option<u64> {
    let digits = name.strip_suffix(extension)?.strip_suffix('.')?;
    let canonical = digits.len() == 20 && digits.bytes().all(|b| b.is_ascii_digit());
    canonical.then(|| digits.parse().ok()).flatten().filter(|&id| id > 0 && id < u64::MAX)
}
