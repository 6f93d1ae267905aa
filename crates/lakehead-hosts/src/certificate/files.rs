//! The files: read whole, written aside, synced, renamed. A crash leaves the old content or the new.

use std::io::{ErrorKind as Io, IoSlice};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use lakehead_disk::{Disk, Lock};

use crate::Error;

pub(super) const CA_PEM: &str = "ca.pem";
pub(super) const CA_KEY: &str = "ca.key";
pub(super) const TLS_PEM: &str = "tls.pem";
pub(super) const TLS_KEY: &str = "tls.key";
const LOCK: &str = "lock";
/// Longer files were not written here.
const SIZE_BYTES_MAX: u64 = 64 << 10;

#[derive(Debug)]
pub(super) struct Files {
    disk: Arc<dyn Disk>,
    folder: PathBuf,
}

impl Files {
    /// Makes the folder if need be.
    pub(super) fn new(disk: Arc<dyn Disk>, folder: PathBuf) -> Result<Self, Error> {
        disk.create_dir_all(&folder).map_err(|e| Error::io(&folder, "make the folder", &e))?;
        Ok(Files { disk, folder })
    }

    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// For as long as files are compared and made.
    pub(super) fn lock(&self) -> Result<Box<dyn Lock>, Error> {
        let path = self.path(LOCK);
        self.disk.lock(&path).map_err(|e| match e.kind() {
            Io::WouldBlock => Error::io(&path, "make certificates while another process does; try again", &e),
            _ => Error::io(&path, "lock", &e),
        })
    }

    /// Nothing if there is no such file.
    pub(super) fn read(&self, name: &str) -> Result<Option<String>, Error> {
        let path = self.path(name);
        let file = match self.disk.open(&path) {
            Ok(file) => file,
            Err(e) if e.kind() == Io::NotFound => return Ok(None),
            Err(e) => return Err(Error::io(&path, "open", &e)),
        };
        let size = file.size_bytes().map_err(|e| Error::io(&path, "read", &e))?;
        if size > SIZE_BYTES_MAX {
            return Err(Error::corrupt(&path, format!("has {size} bytes; the limit is {SIZE_BYTES_MAX}")));
        }
        let mut bytes = vec![0; usize::try_from(size).unwrap_or(0)];
        let read = file.read_at(&mut bytes, 0).map_err(|e| Error::io(&path, "read", &e))?;
        bytes.truncate(read);
        String::from_utf8(bytes).map(Some).map_err(|_| Error::corrupt(&path, "is not text"))
    }

    /// Puts the text into the place of the file. Only its owner may read it, unless it is `public`.
    pub(super) fn write(&self, name: &str, text: &str, public: bool) -> Result<(), Error> {
        let path = self.path(name);
        self.put(&path, text, public).map_err(|e| Error::io(&path, "write", &e))
    }

    fn put(&self, path: &Path, text: &str, public: bool) -> std::io::Result<()> {
        let aside = path.with_added_extension("new");
        match self.disk.remove(&aside) {
            Err(e) if e.kind() != Io::NotFound => return Err(e),
            _ => {}
        }
        let file = self.disk.create(&aside)?;
        if public {
            self.disk.let_everybody_read(&aside)?;
        }
        file.write_at(&[IoSlice::new(text.as_bytes())], 0)?;
        file.sync_data()?;
        self.disk.rename(&aside, path)?;
        self.disk.sync_dir(&self.folder)
    }
}
