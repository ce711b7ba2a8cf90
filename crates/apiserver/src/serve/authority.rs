//! The server's own certificate authority, and what it certifies: the server itself, and its admin.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use chrono::{DateTime, Datelike, Duration, Utc};
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, SanType,
};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;

use super::files::{self, FileError};
use crate::auth::certificate;

const AUTHORITY_DAYS: i64 = 3_650;
const CERTIFICATE_DAYS: i64 = 365;
/// A certificate is made anew when it has no longer than this.
pub(super) const RENEWAL_DAYS: i64 = 30;
const AUTHORITY_NAME: &str = "kubernetes";

/// A certificate with its key, both in PEM.
#[derive(Clone, PartialEq, Eq)]
pub struct Pair {
    pub certificate: String,
    pub key: String,
}

/// Signs certificates with a key that is kept in the data directory.
pub struct Authority {
    directory: PathBuf,
    certificate: String,
    issuer: Issuer<'static, KeyPair>,
}

/// For whom a certificate of the server is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ServerNames {
    pub dns_names: BTreeSet<String>,
    pub addresses: BTreeSet<IpAddr>,
}

impl ServerNames {
    /// The names that clients on this machine and in a cluster call a server by, and the addresses given.
    pub fn usual(addresses: impl IntoIterator<Item = IpAddr>) -> ServerNames {
        let names = [
            "localhost",
            "kubernetes",
            "kubernetes.default",
            "kubernetes.default.svc",
            "kubernetes.default.svc.cluster.local",
        ];
        let mut all: BTreeSet<IpAddr> = addresses.into_iter().filter(|it| !it.is_unspecified()).collect();
        all.extend([IpAddr::from([127, 0, 0, 1]), IpAddr::from(std::net::Ipv6Addr::LOCALHOST)]);
        ServerNames { dns_names: names.map(str::to_owned).into(), addresses: all }
    }
}

impl Authority {
    /// The authority of this directory, made if there is none.
    pub fn open(directory: &Path) -> Result<Authority, FileError> {
        files::make_private_directory(directory)?;
        let (certificate_path, key_path) = (directory.join("ca.crt"), directory.join("ca.key"));
        let mut params = params(AUTHORITY_NAME, &[], AUTHORITY_DAYS);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages =
            vec![KeyUsagePurpose::DigitalSignature, KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let key = match files::read(&key_path)? {
            Some(key) => KeyPair::from_pem(&key).map_err(|error| FileError::unusable(&key_path, error))?,
            None if certificate_path.exists() => {
                return Err(FileError::unusable(&certificate_path, "its key ca.key is missing"));
            }
            None => {
                let key = KeyPair::generate().map_err(|error| FileError::unusable(&key_path, error))?;
                files::write_private(&key_path, &key.serialize_pem())?;
                key
            }
        };
        let certificate = match files::read(&certificate_path)? {
            Some(certificate) if belongs_to(&key, &certificate) => certificate,
            Some(_) => return Err(FileError::unusable(&certificate_path, "ca.key is not its key")),
            None => {
                let made = params.self_signed(&key);
                let made = made.map_err(|error| FileError::unusable(&certificate_path, error))?.pem();
                files::write_private(&certificate_path, &made)?;
                made
            }
        };
        Ok(Authority { directory: directory.into(), certificate, issuer: Issuer::new(params, key) })
    }

    /// In PEM.
    pub fn certificate(&self) -> &str {
        &self.certificate
    }

    /// What the server shows its clients: as it was kept, or a new one if that is for other names or near its end.
    pub fn server(&self, names: &ServerNames) -> Result<Pair, FileError> {
        let is_for_names = |fields: &certificate::Fields| {
            fields.dns_names.iter().cloned().collect::<BTreeSet<_>>() == names.dns_names
                && fields.addresses.iter().copied().collect::<BTreeSet<_>>() == names.addresses
        };
        self.kept("apiserver", is_for_names, || {
            let mut params = params("kube-apiserver", &[], CERTIFICATE_DAYS);
            params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
            for name in &names.dns_names {
                params.subject_alt_names.push(SanType::DnsName(name.as_str().try_into()?));
            }
            params.subject_alt_names.extend(names.addresses.iter().copied().map(SanType::IpAddress));
            self.issue(&params)
        })
    }

    /// With what the admin identifies itself, kept or made.
    pub fn admin(&self) -> Result<Pair, FileError> {
        self.kept("admin", |_| true, || self.issue_client("kubernetes-admin", Some(crate::auth::MASTERS)))
    }

    /// A certificate for a client; its name is the user, its organization the group.
    pub fn client(&self, user: &str, group: Option<&str>) -> Result<Pair, FileError> {
        self.issue_client(user, group).map_err(|error| FileError::unusable(&self.directory, error))
    }

    fn issue_client(&self, user: &str, group: Option<&str>) -> Result<Pair, rcgen::Error> {
        let mut params = params(user, group.as_slice(), CERTIFICATE_DAYS);
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        self.issue(&params)
    }

    fn issue(&self, params: &CertificateParams) -> Result<Pair, rcgen::Error> {
        let key = KeyPair::generate()?;
        let certificate = params.signed_by(&key, &self.issuer)?.pem();
        Ok(Pair { certificate, key: key.serialize_pem() })
    }

    fn kept(
        &self,
        name: &str,
        is_right: impl Fn(&certificate::Fields) -> bool,
        make: impl FnOnce() -> Result<Pair, rcgen::Error>,
    ) -> Result<Pair, FileError> {
        let path = |ending: &str| self.directory.join(format!("{name}.{ending}"));
        if let (Some(certificate), Some(key)) = (files::read(&path("crt"))?, files::read(&path("key"))?)
            && fields(&certificate).is_some_and(|it| is_right(&it) && !needs_renewal(it.not_after_secs))
            && KeyPair::from_pem(&key).is_ok_and(|key| belongs_to(&key, &certificate))
        {
            return Ok(Pair { certificate, key });
        }
        let made = make().map_err(|error| FileError::unusable(&path("crt"), error))?;
        files::write_private(&path("key"), &made.key)?;
        files::write_private(&path("crt"), &made.certificate)?;
        Ok(made)
    }
}

/// Whether a certificate that is valid until then should be made anew.
pub(super) fn needs_renewal(not_after_secs: i64) -> bool {
    Utc::now() + Duration::days(RENEWAL_DAYS)
        > DateTime::from_timestamp(not_after_secs, 0).unwrap_or_default()
}

pub(super) fn fields(certificate: &str) -> Option<certificate::Fields> {
    certificate::read(&CertificateDer::from_pem_slice(certificate.as_bytes()).ok()?)
}

/// Two files were replaced one after the other, so they may be of two pairs.
fn belongs_to(key: &KeyPair, certificate: &str) -> bool {
    let der = CertificateDer::from_pem_slice(certificate.as_bytes());
    let public = key.public_key_raw();
    der.is_ok_and(|der| der.windows(public.len()).any(|window| window == public))
}

fn params(name: &str, organizations: &[&str], days: i64) -> CertificateParams {
    let date = |at: DateTime<Utc>| {
        let month = u8::try_from(at.month()).unwrap_or(1);
        rcgen::date_time_ymd(at.year(), month, u8::try_from(at.day()).unwrap_or(1))
    };
    let mut params = CertificateParams::default();
    // Since yesterday, because clocks differ.
    params.not_before = date(Utc::now() - Duration::days(1));
    params.not_after = date(Utc::now() + Duration::days(days));
    params.distinguished_name = rcgen::DistinguishedName::new();
    for organization in organizations {
        params.distinguished_name.push(DnType::OrganizationName, *organization);
    }
    params.distinguished_name.push(DnType::CommonName, name);
    params.key_usages.push(KeyUsagePurpose::DigitalSignature);
    params.use_authority_key_identifier_extension = true;
    params
}

impl std::fmt::Debug for Pair {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Pair").field("certificate", &self.certificate).finish_non_exhaustive()
    }
}

impl std::fmt::Debug for Authority {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Authority").field("directory", &self.directory).finish_non_exhaustive()
    }
}
