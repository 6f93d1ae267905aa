//! Small files that only the owner may read, made once: written aside, synced, renamed, directory synced. A crash leaves
//! either no file (and a stray `.new` that the next start replaces) or the whole one.

use std::io::IoSlice;
use std::path::Path;

use lakehead_disk::Disk;

use crate::{Error, ErrorKind};

/// Files longer than this were not written here.
const SIZE_BYTES_MAX: u64 = 4096;

/// The text of `dir/name` without trailing line ends; makes it from `first` when it does not exist.
pub(crate) fn read_or_create(
    disk: &dyn Disk,
    dir: &Path,
    name: &str,
    first: impl FnOnce() -> String,
) -> Result<String, Error> {
    let path = dir.join(name);
    match disk.open(&path) {
        Ok(file) => {
            let size = file.size_bytes().map_err(|e| Error::io(&path, "read", e))?;
            if size > SIZE_BYTES_MAX {
                let text = format!("{}: has {size} bytes; the limit is {SIZE_BYTES_MAX}", path.display());
                return Err(Error::new(ErrorKind::Corrupt, text));
            }
            let mut bytes = vec![0; usize::try_from(size).unwrap_or(0)];
            let read = file.read_at(&mut bytes, 0).map_err(|e| Error::io(&path, "read", e))?;
            bytes.truncate(read);
            let text = String::from_utf8(bytes)
                .map_err(|_| Error::new(ErrorKind::Corrupt, format!("{}: is not text", path.display())))?;
            Ok(text.trim_end().to_owned())
        }
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => {
            let text = first();
            create(disk, dir, name, &text).map_err(|e| Error::io(&path, "make", e))?;
            Ok(text)
        }
        Err(e) => Err(Error::io(&path, "open", e)),
    }
}

fn create(disk: &dyn Disk, dir: &Path, name: &str, text: &str) -> std::io::Result<()> {
    let aside = dir.join(format!("{name}.new"));
    match disk.remove(&aside) {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => return Err(e),
        _ => {}
    }
    let file = disk.create(&aside)?;
    file.write_at(&[IoSlice::new(text.as_bytes()), IoSlice::new(b"\n")], 0)?;
    file.sync_data()?;
    disk.rename(&aside, &dir.join(name))?;
    disk.sync_dir(dir)
}
