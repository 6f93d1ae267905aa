//! Who this server is: the account's id and the administrator's token, made at the first start.

use std::path::Path;

use lakehead_disk::Disk;
use lakehead_model::{Random, Secret};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use crate::{Error, ErrorKind, hex, private_file};

/// Bytes of randomness in a token.
const TOKEN_RANDOM_BYTES: usize = 24;
/// Lets secret scanners recognise a token.
pub(crate) const TOKEN_PREFIX: &str = "lh_";
/// Shortest token a person may put into the file instead.
const TOKEN_CHARS_MIN: usize = 20;

/// The account and its administrator.
#[derive(Debug, Clone)]
pub struct Identity {
    account_id: String,
    admin_token: Secret,
    token_sha256: [u8; 32],
}

impl Identity {
    /// Reads `account_id` and `admin_token` in `dir`, or makes them (mode 0600).
    ///
    /// # Errors
    /// `Corrupt` if a file holds something else, `Storage`.
    pub fn open(dir: &Path, disk: &dyn Disk, random: &dyn Random) -> Result<Identity, Error> {
        disk.create_dir_all(dir).map_err(|e| Error::io(dir, "make the data directory", e))?;
        let account_id =
            private_file::read_or_create(disk, dir, "account_id", || format!("{:032x}", random.u128()))?;
        let token = private_file::read_or_create(disk, dir, "admin_token", || {
            format!("{TOKEN_PREFIX}{}", random_hex(random))
        })?;
        Identity::new(account_id, Secret::new(token))
            .map_err(|text| Error::new(ErrorKind::Corrupt, format!("{}: {text}", dir.display())))
    }

    /// # Errors
    /// A text that says what the account id or the token must look like.
    pub fn new(account_id: String, admin_token: Secret) -> Result<Identity, String> {
        if account_id.len() != 32 || !account_id.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f')) {
            return Err("account_id: an account id is 32 lower-case hex digits".to_owned());
        }
        let token = admin_token.reveal();
        if token.len() < TOKEN_CHARS_MIN || !token.bytes().all(|b| b.is_ascii_graphic()) {
            return Err(format!(
                "admin_token: a token has at least {TOKEN_CHARS_MIN} visible ASCII characters, without spaces"
            ));
        }
        let token_sha256 = Sha256::digest(token).into();
        Ok(Identity { account_id, admin_token, token_sha256 })
    }

    /// 32 lower-case hex digits.
    pub fn account_id(&self) -> &str {
        &self.account_id
    }

    /// The token, for the command that prints it.
    pub fn admin_token(&self) -> &Secret {
        &self.admin_token
    }

    /// Whether somebody showed the administrator's token. Takes the same time whatever the first differing byte is.
    pub fn is_admin(&self, token: &[u8]) -> bool {
        let shown: [u8; 32] = Sha256::digest(token).into();
        shown.ct_eq(&self.token_sha256).into()
    }
}

/// The secret part of a token, as lower-case hex.
pub(crate) fn random_hex(random: &dyn Random) -> String {
    let mut bytes = [0; TOKEN_RANDOM_BYTES];
    random.fill(&mut bytes);
    hex::text(&bytes)
}
