//! Encryption of secrets at rest.
//!
//! ```text
//!   sealed = nonce (24 random bytes) ‖ XChaCha20-Poly1305(key, nonce, text, associated data = place of the record)
//! ```
//! The place is authenticated, so that one sink's credentials cannot be moved to another by editing the database.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use chacha20poly1305::aead::{Aead, KeyInit, Payload};
use chacha20poly1305::{Key, XChaCha20Poly1305, XNonce};
use lakehead_disk::Disk;
use lakehead_model::Random;

use crate::{Error, ErrorKind, hex, private_file};

const KEY_BYTES: usize = 32;
const NONCE_BYTES: usize = 24;

pub(crate) struct Vault {
    cipher: XChaCha20Poly1305,
    random: Arc<dyn Random>,
}

impl fmt::Debug for Vault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Vault(***)")
    }
}

impl Vault {
    /// With the key of `dir/secret.key`, made when it does not exist and `may_create` says that nothing is sealed yet.
    pub(crate) fn open(
        dir: &Path,
        disk: &dyn Disk,
        random: Arc<dyn Random>,
        may_create: bool,
    ) -> Result<Vault, Error> {
        let path = dir.join("secret.key");
        if !may_create && let Err(e) = disk.open(&path) {
            return Err(Error::io(&path, "open the key of the stored credentials (restore it)", e));
        }
        let text = private_file::read_or_create(disk, dir, "secret.key", || {
            let mut key = [0; KEY_BYTES];
            random.fill(&mut key);
            hex::text(&key)
        })?;
        let key = parse_key(&text).ok_or_else(|| {
            let text = format!("{}: is not a key of 64 hex digits; restore it", path.display());
            Error::new(ErrorKind::Corrupt, text)
        })?;
        Ok(Vault { cipher: XChaCha20Poly1305::new(Key::from_slice(&key)), random })
    }

    pub(crate) fn seal(&self, place: &str, text: &[u8]) -> Result<Vec<u8>, Error> {
        let mut nonce = [0; NONCE_BYTES];
        self.random.fill(&mut nonce);
        let payload = Payload { msg: text, aad: place.as_bytes() };
        let sealed = self
            .cipher
            .encrypt(XNonce::from_slice(&nonce), payload)
            .map_err(|_| Error::new(ErrorKind::Storage, format!("{place}: cannot encrypt")))?;
        Ok([&nonce[..], &sealed].concat())
    }

    pub(crate) fn open_sealed(&self, place: &str, sealed: &[u8]) -> Result<Vec<u8>, Error> {
        let damaged = || {
            let text = format!("{place}: cannot be decrypted; secret.key is not the one it was written with");
            Error::new(ErrorKind::Corrupt, text)
        };
        let (nonce, text) = sealed.split_at_checked(NONCE_BYTES).ok_or_else(damaged)?;
        let payload = Payload { msg: text, aad: place.as_bytes() };
        self.cipher.decrypt(XNonce::from_slice(nonce), payload).map_err(|_| damaged())
    }
}

fn parse_key(text: &str) -> Option<[u8; KEY_BYTES]> {
    hex::parse(text)?.try_into().ok()
}
