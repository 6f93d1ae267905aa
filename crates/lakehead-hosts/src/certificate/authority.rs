//! Making certificates.

use std::time::Duration;

use lakehead_model::{Random, Timestamp};
use rcgen::{
    BasicConstraints, CertificateParams, CidrSubnet, DistinguishedName, DnType, Error,
    ExtendedKeyUsagePurpose, GeneralSubtree, IsCa, Issuer, KeyPair, KeyUsagePurpose, NameConstraints,
    SerialNumber, date_time_ymd,
};

use super::DAY_SECONDS;
use crate::names::{certificate_names, permitted_domains};

/// Before now: clocks of clients may be a little behind.
const BACKDATED_DAYS: u64 = 1;
const CA_DAYS: u64 = 3652;
/// With the day before, 397: browsers refuse more than 398.
const LEAF_DAYS: u64 = 396;

/// A certificate and its key, as text.
pub(super) struct Pem {
    pub(super) certificate: String,
    pub(super) key: String,
}

/// A key that signs certificates of the played hosts.
pub(super) struct Authority {
    account_id: String,
    key: KeyPair,
}

impl Authority {
    /// A new one.
    pub(super) fn new(account_id: &str, now: Timestamp, random: &dyn Random) -> Result<(Self, Pem), Error> {
        let authority = Authority { account_id: account_id.to_owned(), key: KeyPair::generate()? };
        let mut params = authority.params();
        set_validity(&mut params, now, CA_DAYS);
        params.serial_number = Some(serial_number(random));
        let certificate = params.self_signed(&authority.key)?.pem();
        let key = authority.key.serialize_pem();
        Ok((authority, Pem { certificate, key }))
    }

    pub(super) fn from_key(account_id: &str, key: &str) -> Result<Self, Error> {
        Ok(Authority { account_id: account_id.to_owned(), key: KeyPair::from_pem(key)? })
    }

    /// A new certificate for the listener, with a key of its own; it ends no later than `ca_ends`.
    pub(super) fn leaf(&self, now: Timestamp, ca_ends: Timestamp, random: &dyn Random) -> Result<Pem, Error> {
        let mut params = CertificateParams::new(certificate_names(&self.account_id))?;
        params.distinguished_name = named("Lakehead");
        params.is_ca = IsCa::ExplicitNoCa;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        params.use_authority_key_identifier_extension = true;
        params.serial_number = Some(serial_number(random));
        set_validity(&mut params, now, LEAF_DAYS);
        params.not_after = params.not_after.min(date_time_ymd(1970, 1, 1) + since_1970(ca_ends));
        let key = KeyPair::generate()?;
        let certificate = params.signed_by(&key, &Issuer::new(self.params(), &self.key))?.pem();
        Ok(Pem { certificate, key: key.serialize_pem() })
    }

    /// What the authority's certificate says, apart from its dates and its number.
    fn params(&self) -> CertificateParams {
        let mut params = CertificateParams::default();
        params.distinguished_name = named(&format!("Lakehead hosts {}", self.account_id));
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        params.name_constraints = Some(NameConstraints {
            permitted_subtrees: permitted_domains(&self.account_id)
                .into_iter()
                .map(GeneralSubtree::DnsName)
                .collect(),
            // A kind of name that is not mentioned is not constrained.
            excluded_subtrees: vec![
                GeneralSubtree::IpAddress(CidrSubnet::V4([0; 4], [0; 4])),
                GeneralSubtree::IpAddress(CidrSubnet::V6([0; 16], [0; 16])),
            ],
        });
        params
    }
}

fn named(name: &str) -> DistinguishedName {
    let mut names = DistinguishedName::new();
    names.push(DnType::CommonName, name);
    names
}

fn set_validity(params: &mut CertificateParams, now: Timestamp, days: u64) {
    let now = since_1970(now);
    let origin = date_time_ymd(1970, 1, 1);
    params.not_before = origin + now.saturating_sub(Duration::from_secs(BACKDATED_DAYS * DAY_SECONDS));
    params.not_after = origin + now + Duration::from_secs(days * DAY_SECONDS);
}

/// 127 random bits: positive, and unique.
fn serial_number(random: &dyn Random) -> SerialNumber {
    SerialNumber::from_slice(&(random.u128() >> 1 | 1 << 126).to_be_bytes())
}

/// Since 1970, in seconds: certificates are no finer. Earlier moments clamp to it, moments beyond the year 9999, the last that
/// certificates can name, to the year 9000.
fn since_1970(at: Timestamp) -> Duration {
    let seconds = u64::try_from(at.as_micros() / 1_000_000).unwrap_or(0);
    Duration::from_secs(seconds.min(221_845_392_000))
}
