use std::os::unix::fs::PermissionsExt;

use lakehead_disk::SystemDisk;
use lakehead_disk::sim::{Keep, SimDisk};
use lakehead_model::clock::ManualClock;
use lakehead_model::random::SeededRandom;
use rcgen::{CertificateParams, Issuer, KeyPair};

use super::*;
use crate::ErrorKind;

const ACCOUNT: &str = "0123456789abcdef0123456789abcdef";
const DAY: Duration = Duration::from_secs(DAY_SECONDS);
/// 2026-11-22T00:00:00Z
const NOW: Timestamp = Timestamp(1_795_305_600_000_000);

struct Machine {
    disk: Arc<dyn Disk>,
    clock: Arc<ManualClock>,
    data_dir: PathBuf,
}

impl Machine {
    fn simulated() -> Self {
        Machine::with_disk(Arc::new(SimDisk::new()))
    }

    fn with_disk(disk: Arc<dyn Disk>) -> Self {
        Machine { disk, clock: Arc::new(ManualClock::starting_at(NOW)), data_dir: PathBuf::from("/data") }
    }

    fn open_for(&self, account_id: &str) -> Result<Certificates, Error> {
        let random = Arc::new(SeededRandom::new(7));
        Certificates::open(&self.data_dir, account_id, Arc::clone(&self.disk), self.clock.clone(), random)
    }

    fn open(&self) -> Result<Certificates, Error> {
        self.open_for(ACCOUNT)
    }

    fn files(&self) -> Files {
        Files::new(Arc::clone(&self.disk), self.data_dir.join("hosts")).unwrap()
    }

    fn text(&self, name: &str) -> String {
        self.files().read(name).unwrap().unwrap()
    }

    fn remove(&self, name: &str) {
        self.disk.remove(&self.files().path(name)).unwrap();
    }

    fn end_of(&self, name: &str) -> Timestamp {
        let certificate = CertificateDer::from_pem_slice(self.text(name).as_bytes()).unwrap();
        validity::ends(&certificate).unwrap()
    }

    /// Whether a client that trusts the authority takes a certificate it signed for this name.
    fn takes(&self, name: &str) -> bool {
        let ca = CertificateDer::from_pem_slice(self.text(files::CA_PEM).as_bytes()).unwrap();
        let key = KeyPair::from_pem(&self.text(files::CA_KEY)).unwrap();
        let mut issuer = CertificateParams::default();
        issuer.distinguished_name.push(rcgen::DnType::CommonName, format!("Lakehead hosts {ACCOUNT}"));
        let leaf_key = KeyPair::generate().unwrap();
        let leaf = CertificateParams::new(vec![name.to_owned()]).unwrap();
        let leaf = leaf.signed_by(&leaf_key, &Issuer::new(issuer, key)).unwrap();
        let mut roots = rustls::RootCertStore::empty();
        roots.add(ca).unwrap();
        let verifier =
            WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::new(default_provider()));
        let at = UnixTime::since_unix_epoch(Duration::from_micros(NOW.0.unsigned_abs()));
        let name = ServerName::try_from(name.to_owned()).unwrap();
        verifier.build().unwrap().verify_server_cert(leaf.der(), &[], &name, &[], at).is_ok()
    }
}

#[test]
fn files_are_made_once_and_only_certificates_are_for_everybody() {
    let folder = tempfile::tempdir().unwrap();
    let mut machine = Machine::with_disk(Arc::new(SystemDisk));
    machine.data_dir = folder.path().to_owned();
    let certificates = machine.open().unwrap();
    assert_eq!(certificates.ca_file(), folder.path().join("hosts/ca.pem"));
    let names = [files::CA_PEM, files::CA_KEY, files::TLS_PEM, files::TLS_KEY];
    let before: Vec<_> = names.iter().map(|name| machine.text(name)).collect();
    for (name, mode) in names.iter().zip([0o644, 0o600, 0o644, 0o600]) {
        let metadata = std::fs::metadata(folder.path().join("hosts").join(name)).unwrap();
        assert_eq!(metadata.permissions().mode() & 0o777, mode, "{name}");
    }
    drop(certificates);
    machine.clock.advance(300 * DAY);
    machine.open().unwrap();
    assert_eq!(names.iter().map(|name| machine.text(name)).collect::<Vec<_>>(), before);
}

#[test]
fn dates_are_those_that_clients_accept() {
    let machine = Machine::simulated();
    machine.open().unwrap();
    assert_eq!(machine.end_of(files::TLS_PEM).saturating_duration_since(NOW), 396 * DAY);
    assert_eq!(machine.end_of(files::CA_PEM).saturating_duration_since(NOW), 3652 * DAY);
}

#[test]
fn a_certificate_with_less_than_thirty_days_is_made_anew_at_the_start_and_while_running() {
    let machine = Machine::simulated();
    let running = machine.open().unwrap();
    let ca = machine.text(files::CA_PEM);
    let first = machine.text(files::TLS_PEM);
    machine.clock.advance(365 * DAY);
    machine.open().unwrap();
    assert_eq!(machine.text(files::TLS_PEM), first, "31 days are enough");
    let in_use = Arc::clone(&running.current.read());
    machine.clock.advance(2 * DAY);
    running.renew().unwrap();
    assert!(machine.text(files::TLS_PEM) != first && machine.text(files::CA_PEM) == ca);
    assert_ne!(running.current.read().cert, in_use.cert, "connections get the new one");
    let second = machine.text(files::TLS_PEM);
    machine.clock.advance(367 * DAY);
    machine.open().unwrap();
    assert_ne!(machine.text(files::TLS_PEM), second);
}

#[test]
fn no_certificate_outlives_the_authority_and_a_new_authority_is_made_at_its_end() {
    let machine = Machine::simulated();
    machine.open().unwrap();
    let ca = machine.text(files::CA_PEM);
    machine.clock.advance(3600 * DAY);
    machine.open().unwrap();
    assert_eq!(machine.text(files::CA_PEM), ca);
    assert_eq!(machine.end_of(files::TLS_PEM), machine.end_of(files::CA_PEM));
    machine.clock.advance(23 * DAY);
    machine.open().unwrap();
    assert_ne!(machine.text(files::CA_PEM), ca);
}

#[test]
fn the_authority_vouches_for_the_played_names_alone() {
    let machine = Machine::simulated();
    machine.open().unwrap();
    let r2 = format!("{ACCOUNT}.r2.cloudflarestorage.com");
    for name in [
        &*r2,
        &format!("bucket.{r2}"),
        "id.pipelines.cloudflare.com",
        "id.ingest.cloudflare.com",
        "api.cloudflare.com",
    ] {
        assert!(machine.takes(name), "{name}");
    }
    for name in [
        "example.com",
        "cloudflare.com",
        "dash.cloudflare.com",
        "cloudflarestorage.com",
        "127.0.0.1",
        "::1",
        "ffffffffffffffffffffffffffffffff.r2.cloudflarestorage.com",
        "evilpipelines.cloudflare.com",
    ] {
        assert!(!machine.takes(name), "{name}");
    }
}

#[test]
fn the_authoritys_key_may_be_kept_elsewhere_until_a_renewal_needs_it() {
    let machine = Machine::simulated();
    machine.open().unwrap();
    machine.remove(files::CA_KEY);
    machine.open().unwrap();
    machine.clock.advance(380 * DAY);
    let error = machine.open().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Corrupt);
    assert!(error.to_string().contains("/data/hosts/ca.key: is missing"), "{error}");
}

#[test]
fn what_does_not_fit_together_is_made_anew_or_named() {
    let machine = Machine::simulated();
    machine.open().unwrap();
    let (leaf, key) = (machine.text(files::TLS_PEM), machine.text(files::TLS_KEY));
    // A crash between the two files.
    machine.files().write(files::TLS_KEY, &KeyPair::generate().unwrap().serialize_pem(), false).unwrap();
    machine.open().unwrap();
    assert_ne!(machine.text(files::TLS_PEM), leaf);
    machine.files().write(files::TLS_KEY, "no key", false).unwrap();
    machine.open().unwrap();
    assert!(machine.text(files::TLS_KEY) != key && machine.text(files::TLS_KEY).contains("PRIVATE KEY"));

    let error = machine.open_for("ffffffffffffffffffffffffffffffff").unwrap_err();
    assert!(
        error.kind() == ErrorKind::Corrupt && error.to_string().contains("/data/hosts removed"),
        "{error}"
    );
    machine.files().write(files::CA_PEM, "no certificate", true).unwrap();
    let error = machine.open().unwrap_err();
    assert!(
        error.kind() == ErrorKind::Corrupt && error.to_string().contains("/data/hosts/ca.pem"),
        "{error}"
    );
}

#[test]
fn two_processes_do_not_make_certificates_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let mut machine = Machine::with_disk(Arc::new(SystemDisk));
    machine.data_dir = folder.path().to_owned();
    let held = machine.files().lock().unwrap();
    let error = machine.open().unwrap_err();
    assert!(error.kind() == ErrorKind::Storage && error.to_string().contains("another process"), "{error}");
    drop(held);
    machine.open().unwrap();
}

#[test]
fn a_crash_at_any_call_leaves_what_the_next_start_can_use() {
    let counted = SimDisk::new();
    Machine::with_disk(Arc::new(counted.clone())).open().unwrap();
    for call in 1..=counted.calls() {
        for seed in 0..3 {
            let disk = SimDisk::new();
            disk.crash_at(call, 20);
            assert!(Machine::with_disk(Arc::new(disk.clone())).open().is_err(), "call {call}");
            let after = disk.after_crash(Keep::Random(seed));
            let machine = Machine::with_disk(Arc::new(after));
            machine.open().unwrap_or_else(|error| panic!("call {call}, seed {seed}: {error}"));
        }
    }
}

#[test]
fn reading_the_end_of_a_certificate_is_total() {
    let machine = Machine::simulated();
    machine.open().unwrap();
    let certificate = CertificateDer::from_pem_slice(machine.text(files::TLS_PEM).as_bytes()).unwrap();
    assert!(validity::ends(&certificate).is_some());
    for length in 0..certificate.len() {
        assert_eq!(validity::ends(&certificate[..length]), None);
        let mut changed = certificate.to_vec();
        changed[length] ^= 0x81;
        let _ = validity::ends(&changed);
    }
}
