//! The objects of a bucket that is a folder, in the order of their keys.

use std::fs;
use std::io;
use std::path::Path;
use std::time::UNIX_EPOCH;

use lakehead_model::Timestamp;

/// One object of a listing.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "named after what they hold")]
pub struct ObjectEntry {
    pub key: String,
    pub size_bytes: u64,
    pub modified_at: Timestamp,
}

/// Files that are looked at before a listing is given up.
const ENTRIES_MAX: usize = 1_000_000;
const DEPTH_MAX: usize = 512;

/// The first `keys_max` objects whose keys begin with `prefix` and follow `after`, by their bytes. Links are not followed, and
/// names that are not UTF-8 are no keys. Only folders that can hold such keys are read.
///
/// **Memory:** the keys found, at most [`ENTRIES_MAX`].
///
/// # Errors
/// Of the file system; `OutOfMemory` when the folder holds more files than may be looked at.
pub(super) fn list(
    root: &Path,
    prefix: &str,
    after: Option<&str>,
    keys_max: usize,
) -> io::Result<Vec<ObjectEntry>> {
    let mut walk = Walk { prefix, after, left: ENTRIES_MAX, found: Vec::new() };
    walk.folder(root, "", 0)?;
    walk.found.sort_by(|a, b| a.key.as_bytes().cmp(b.key.as_bytes()));
    walk.found.truncate(keys_max);
    Ok(walk.found)
}

struct Walk<'a> {
    prefix: &'a str,
    after: Option<&'a str>,
    left: usize,
    found: Vec<ObjectEntry>,
}

impl Walk<'_> {
    fn folder(&mut self, folder: &Path, above: &str, depth: usize) -> io::Result<()> {
        let entries = match fs::read_dir(folder) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(()),
            other => other?,
        };
        for entry in entries {
            let entry = entry?;
            self.left = self.left.checked_sub(1).ok_or(io::ErrorKind::OutOfMemory)?;
            let name = entry.file_name();
            // A file that is being copied into the bucket has a hidden name of this form.
            let is_partial = |name: &str| name.starts_with('.') && name.ends_with(".part");
            let Some(name) = name.to_str().filter(|name| !is_partial(name)) else { continue };
            let metadata = match entry.metadata() {
                Err(e) if e.kind() == io::ErrorKind::NotFound => continue,
                other => other?,
            };
            let key = format!("{above}{name}");
            if metadata.is_dir() {
                let below = format!("{key}/");
                // One is the beginning of the other, or no key in there begins with the prefix.
                let may_match = below.starts_with(self.prefix) || self.prefix.starts_with(&below);
                if may_match && depth < DEPTH_MAX {
                    self.folder(&entry.path(), &below, depth + 1)?;
                }
            } else if metadata.is_file()
                && key.starts_with(self.prefix)
                && self.after.is_none_or(|after| key.as_bytes() > after.as_bytes())
            {
                let age = metadata.modified()?.duration_since(UNIX_EPOCH).unwrap_or_default();
                let modified_at = Timestamp(i64::try_from(age.as_micros()).unwrap_or(i64::MAX));
                self.found.push(ObjectEntry { key, size_bytes: metadata.len(), modified_at });
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_come_in_the_order_of_their_bytes_and_links_are_none() {
        let dir = tempfile::tempdir().unwrap();
        for key in ["a/b/2", "a/b/1", "a-b", "a.b", "z", "a/ü", ".hidden/x"] {
            let path = dir.path().join(key);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, key).unwrap();
        }
        std::os::unix::fs::symlink("/etc", dir.path().join("link")).unwrap();
        let keys = |prefix: &str, after: Option<&str>, max: usize| {
            let found = list(dir.path(), prefix, after, max).unwrap();
            found.into_iter().map(|o| o.key).collect::<Vec<_>>()
        };
        assert_eq!(keys("", None, 100), [".hidden/x", "a-b", "a.b", "a/b/1", "a/b/2", "a/ü", "z"]);
        assert_eq!(keys("a/", None, 100), ["a/b/1", "a/b/2", "a/ü"]);
        assert_eq!(keys("a/b", Some("a/b/1"), 100), ["a/b/2"]);
        assert_eq!(keys("", Some("a.b"), 2), ["a/b/1", "a/b/2"]);
        assert_eq!(keys("none", None, 1), Vec::<String>::new());
        assert_eq!(list(&dir.path().join("missing"), "", None, 1).unwrap(), []);
        assert_eq!(list(dir.path(), "a/b/1", None, 1).unwrap()[0].size_bytes, 5);
    }
}
