//! The certificate authority that clients are told to trust, and the certificate of the listener, in `{data_dir}/hosts/`:
//!
//! ```text
//!   ca.key   0600   may be moved away: until the next renewal nothing needs it
//!   ca.pem   0644   for NODE_EXTRA_CA_CERTS, curl --cacert; 10 years
//!   tls.key  0600
//!   tls.pem  0644   397 days; made anew when 30 are left, or a name is missing
//!   lock            held while files are looked at and made
//! ```
//!
//! **Invariant:** the authority is constrained (RFC 5280, 4.2.1.10, critical) to the names of this account and of the played
//! hosts, to server authentication, and to no further authorities; a leaked `ca.key` forges nothing else.
//!
//! Keys are drawn from the operating system's random source by `ring`, which takes no other; serial numbers come through the
//! seam.

mod authority;
mod files;
mod validity;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use lakehead_disk::Disk;
use lakehead_model::{Clock, Random, Timestamp};
use parking_lot::RwLock;
use rustls::ServerConfig;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::ServerCertVerifier;
use rustls::crypto::CryptoProvider;
use rustls::crypto::ring::default_provider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;

use crate::Error;
use crate::names::certificate_names;
use authority::{Authority, Pem};
use files::Files;

const DAY_SECONDS: u64 = 86_400;
/// A certificate with less than this is made anew.
const RENEW_SECONDS: u64 = 30 * DAY_SECONDS;

/// The certificates of the listener, from files that are made when they are missing.
#[derive(Debug)]
pub struct Certificates {
    files: Files,
    account_id: String,
    clock: Arc<dyn Clock>,
    random: Arc<dyn Random>,
    provider: Arc<CryptoProvider>,
    current: RwLock<Arc<CertifiedKey>>,
}

impl Certificates {
    /// Reads or makes the files in `data_dir/hosts/`.
    ///
    /// # Errors
    /// `Corrupt` if the authority cannot be used and a person must decide, `Storage`, `Certificate`.
    pub fn open(
        data_dir: &Path,
        account_id: &str,
        disk: Arc<dyn Disk>,
        clock: Arc<dyn Clock>,
        random: Arc<dyn Random>,
    ) -> Result<Self, Error> {
        let files = Files::new(disk, data_dir.join("hosts"))?;
        let provider = Arc::new(default_provider());
        let making =
            Making { files: &files, account_id, now: clock.now(), random: &*random, provider: &provider };
        let current = RwLock::new(Arc::new(making.prepared()?));
        Ok(Certificates { account_id: account_id.to_owned(), files, clock, random, provider, current })
    }

    /// Makes what is due; to be called once a day. Connections from now on get the newest certificate.
    ///
    /// # Errors
    /// As [`Certificates::open`]; the certificate in use stays.
    pub fn renew(&self) -> Result<(), Error> {
        let making = Making {
            files: &self.files,
            account_id: &self.account_id,
            now: self.clock.now(),
            random: &*self.random,
            provider: &self.provider,
        };
        let prepared = Arc::new(making.prepared()?);
        *self.current.write() = prepared;
        Ok(())
    }

    /// The file clients must trust.
    pub fn ca_file(&self) -> PathBuf {
        self.files.path(files::CA_PEM)
    }

    /// TLS 1.2 and 1.3 with HTTP/1.1 above it.
    ///
    /// # Errors
    /// `Certificate` if the cryptography in use has no TLS version in common with that.
    pub fn server_config(self: &Arc<Self>) -> Result<Arc<ServerConfig>, Error> {
        let mut config = ServerConfig::builder_with_provider(Arc::clone(&self.provider))
            .with_safe_default_protocol_versions()
            .map_err(Error::certificate)?
            .with_no_client_auth()
            .with_cert_resolver(Arc::clone(self) as Arc<dyn ResolvesServerCert>);
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Arc::new(config))
    }
}

impl ResolvesServerCert for Certificates {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.current.read()))
    }
}

/// One look at the files.
struct Making<'a> {
    files: &'a Files,
    account_id: &'a str,
    now: Timestamp,
    random: &'a dyn Random,
    provider: &'a Arc<CryptoProvider>,
}

impl Making<'_> {
    /// The listener's certificate, made if there is none that will do for another 30 days.
    fn prepared(&self) -> Result<CertifiedKey, Error> {
        let _lock = self.files.lock()?;
        let ca_pem = self.ca_pem()?;
        let ca = CertificateDer::from_pem_slice(ca_pem.as_bytes())
            .map_err(|e| self.unusable(files::CA_PEM, &format!("holds no certificate ({e})")))?;
        if let Some(found) = self.found_leaf(&ca)? {
            return Ok(found);
        }
        let Some(ca_key) = self.files.read(files::CA_KEY)? else {
            return Err(self.unusable(files::CA_KEY, "is missing, and a new tls.pem is due"));
        };
        let ca_ends = validity::ends(&ca)
            .ok_or_else(|| self.unusable(files::CA_PEM, "holds a certificate without an end"))?;
        let authority = Authority::from_key(self.account_id, &ca_key)
            .map_err(|e| self.unusable(files::CA_KEY, &format!("holds no key ({e})")))?;
        let made = authority.leaf(self.now, ca_ends, self.random).map_err(Error::certificate)?;
        let key = self.usable_leaf(&ca, &made).map_err(|e| {
            self.unusable(
                files::CA_PEM,
                &format!("and ca.key do not make a certificate for this account ({e})"),
            )
        })?;
        self.files.write(files::TLS_KEY, &made.key, false)?;
        self.files.write(files::TLS_PEM, &made.certificate, true)?;
        tracing::info!(file = %self.files.path(files::TLS_PEM).display(), "made a certificate for the played hosts");
        Ok(key)
    }

    /// The authority's certificate; a new authority if there is none or it comes to its end.
    fn ca_pem(&self) -> Result<String, Error> {
        if let Some(found) = self.files.read(files::CA_PEM)? {
            let ends =
                CertificateDer::from_pem_slice(found.as_bytes()).ok().and_then(|ca| validity::ends(&ca));
            match ends {
                Some(ends)
                    if ends.saturating_duration_since(self.now) < Duration::from_secs(RENEW_SECONDS) =>
                {
                    let file = self.files.path(files::CA_PEM);
                    tracing::warn!(file = %file.display(), "the certificate authority has come to its end; clients must trust the new one");
                }
                _ => return Ok(found),
            }
        }
        let (_, made) = Authority::new(self.account_id, self.now, self.random).map_err(Error::certificate)?;
        // The key first: a key without a certificate is nothing, and both are made again.
        self.files.write(files::CA_KEY, &made.key, false)?;
        self.files.write(files::CA_PEM, &made.certificate, true)?;
        Ok(made.certificate)
    }

    /// What the files hold, if it will do.
    fn found_leaf(&self, ca: &CertificateDer<'_>) -> Result<Option<CertifiedKey>, Error> {
        let (Some(certificate), Some(key)) =
            (self.files.read(files::TLS_PEM)?, self.files.read(files::TLS_KEY)?)
        else {
            return Ok(None);
        };
        Ok(match self.usable_leaf(ca, &Pem { certificate, key }) {
            Ok(found) => Some(found),
            Err(reason) => {
                tracing::info!(%reason, "the certificate of the played hosts is due");
                None
            }
        })
    }

    /// The pair, if it belongs together and clients that trust `ca` take it for all names, now and in 30 days.
    fn usable_leaf(&self, ca: &CertificateDer<'_>, pem: &Pem) -> Result<CertifiedKey, rustls::Error> {
        let other = |e: rustls::pki_types::pem::Error| rustls::Error::General(e.to_string());
        let leaf = CertificateDer::from_pem_slice(pem.certificate.as_bytes()).map_err(other)?;
        let key = PrivateKeyDer::from_pem_slice(pem.key.as_bytes()).map_err(other)?;
        let mut roots = rustls::RootCertStore::empty();
        roots.add(ca.clone().into_owned())?;
        let verifier =
            WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::clone(self.provider))
                .build()
                .map_err(|e| rustls::Error::General(e.to_string()))?;
        let now_seconds = u64::try_from(self.now.as_micros() / 1_000_000).unwrap_or(0);
        for name in certificate_names(self.account_id) {
            let name = ServerName::try_from(name.replace('*', "any"))
                .map_err(|e| rustls::Error::General(e.to_string()))?;
            for seconds in [now_seconds, now_seconds + RENEW_SECONDS] {
                let at = UnixTime::since_unix_epoch(Duration::from_secs(seconds));
                verifier.verify_server_cert(&leaf, &[], &name, &[], at)?;
            }
        }
        CertifiedKey::from_der(vec![leaf], key, self.provider)
    }

    fn unusable(&self, file: &str, what: &str) -> Error {
        let folder = self.files.folder().display();
        let remedy = format!(
            "{what}; with the folder {folder} removed, a new authority is made, which clients must trust anew"
        );
        Error::corrupt(&self.files.path(file), remedy)
    }
}

#[cfg(test)]
mod tests;
