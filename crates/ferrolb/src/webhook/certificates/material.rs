//! An authority and a certificate that it signed: whether they will do, and how they are made.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use apiserver::auth::certificate;
use rcgen::string::PrintableString;
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, DnValue, ExtendedKeyUsagePurpose, IsCa,
    Issuer, KeyPair, KeyUsagePurpose, SanType,
};
use rustls::RootCertStore;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::ServerCertVerifier;
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, ServerName, UnixTime};

use crate::serving::identity::certified;

const DAY: Duration = Duration::from_secs(24 * 60 * 60);
const AUTHORITY_TIME: Duration = Duration::from_secs(10 * 365 * 24 * 60 * 60);
const CERTIFICATE_TIME: Duration = Duration::from_secs(365 * 24 * 60 * 60);
/// What ends sooner than this is made anew.
const RENEWAL_TIME: Duration = Duration::from_secs(90 * 24 * 60 * 60);
/// Clocks differ.
const HEAD_START: Duration = Duration::from_secs(60 * 60);

/// As MetalLB names its own, whose certificates may go on being used and renewed.
const AUTHORITY_NAME: &str = "cert";
const ORGANIZATION: &str = "metallb";

/// All in PEM.
#[derive(Clone, Default, PartialEq, Eq)]
pub(super) struct Material {
    pub(super) authority: Vec<u8>,
    pub(super) authority_key: Vec<u8>,
    pub(super) certificate: Vec<u8>,
    pub(super) key: Vec<u8>,
}

#[derive(Debug, thiserror::Error)]
pub(super) enum MakeError {
    #[error(transparent)]
    Rcgen(#[from] rcgen::Error),
    #[error("the key of the authority is of no kind that can sign")]
    Key,
}

impl Material {
    pub(super) fn make(server_name: &str, now: SystemTime) -> Result<Material, MakeError> {
        let params = authority_params(now)?;
        let key = KeyPair::generate()?;
        let (authority, authority_key) = (params.self_signed(&key)?.pem(), key.serialize_pem());
        let (certificate, key) = issue(server_name, now, &Issuer::new(params, key))?;
        Ok(Material {
            authority: authority.into(),
            authority_key: authority_key.into(),
            certificate: certificate.into(),
            key: key.into(),
        })
    }

    /// What has to take its place; nothing if it will do for a good while.
    pub(super) fn renewed(&self, server_name: &str, now: SystemTime) -> Result<Option<Material>, MakeError> {
        let then = now + RENEWAL_TIME;
        if !self.has_authority_until(then) {
            return Material::make(server_name, now).map(Some);
        }
        if self.has_certificate_until(server_name, then) {
            return Ok(None);
        }
        // An authority that API servers know already is worth keeping, but not at any price.
        if let Ok(kept) = self.with_new_certificate(server_name, now)
            && kept.has_certificate_until(server_name, then)
        {
            return Ok(Some(kept));
        }
        Material::make(server_name, now).map(Some)
    }

    fn with_new_certificate(&self, server_name: &str, now: SystemTime) -> Result<Material, MakeError> {
        let issuer = Issuer::new(authority_params(now)?, signing_key(&self.authority_key)?);
        let (certificate, key) = issue(server_name, now, &issuer)?;
        Ok(Material { certificate: certificate.into(), key: key.into(), ..self.clone() })
    }

    fn has_authority_until(&self, then: SystemTime) -> bool {
        let is_long_enough = || {
            let der = CertificateDer::from_pem_slice(&self.authority).ok()?;
            let end_secs = u64::try_from(certificate::read(&der)?.not_after_secs).ok()?;
            Some(UNIX_EPOCH + Duration::from_secs(end_secs) > then)
        };
        certified(&self.authority, &self.authority_key).is_ok() && is_long_enough() == Some(true)
    }

    /// Whether an API server that trusts the authority would believe it then.
    fn has_certificate_until(&self, server_name: &str, then: SystemTime) -> bool {
        let believed = || {
            let chain = certified(&self.certificate, &self.key).ok()?.cert;
            let mut roots = RootCertStore::empty();
            roots.add(CertificateDer::from_pem_slice(&self.authority).ok()?).ok()?;
            let provider = Arc::new(ring::default_provider());
            let verifier =
                WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider).build().ok()?;
            let name = ServerName::try_from(server_name.to_owned()).ok()?;
            let then = UnixTime::since_unix_epoch(then.duration_since(UNIX_EPOCH).ok()?);
            let (first, others) = chain.split_first()?;
            verifier.verify_server_cert(first, others, &name, &[], then).ok()
        };
        believed().is_some()
    }
}

/// It has no alternative name. By that MetalLB's own controller, if somebody goes back to it, knows that it must make its
/// own: it would take this authority for good, and could not read the key.
fn authority_params(now: SystemTime) -> Result<CertificateParams, MakeError> {
    let mut params = params(now, AUTHORITY_TIME)?;
    for (kind, text) in [(DnType::OrganizationName, ORGANIZATION), (DnType::CommonName, AUTHORITY_NAME)] {
        params.distinguished_name.push(kind, DnValue::PrintableString(PrintableString::try_from(text)?));
    }
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature, KeyUsagePurpose::KeyCertSign];
    Ok(params)
}

fn issue(
    server_name: &str,
    now: SystemTime,
    issuer: &Issuer<'_, KeyPair>,
) -> Result<(String, String), MakeError> {
    let mut params = params(now, CERTIFICATE_TIME)?;
    params.distinguished_name.push(DnType::CommonName, server_name);
    params.subject_alt_names = vec![SanType::DnsName(server_name.try_into()?)];
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    let key = KeyPair::generate()?;
    Ok((params.signed_by(&key, issuer)?.pem(), key.serialize_pem()))
}

fn params(now: SystemTime, time: Duration) -> Result<CertificateParams, MakeError> {
    let since_epoch = now.duration_since(UNIX_EPOCH).unwrap_or(DAY);
    let epoch = rcgen::date_time_ymd(1970, 1, 1);
    let mut params = CertificateParams::default();
    params.not_before = epoch + since_epoch.saturating_sub(HEAD_START);
    params.not_after = epoch + since_epoch + time;
    params.distinguished_name = DistinguishedName::new();
    Ok(params)
}

/// Keys that MetalLB made are RSA keys in a form of their own.
fn signing_key(pem: &[u8]) -> Result<KeyPair, MakeError> {
    let key = PrivateKeyDer::from_pem_slice(pem).map_err(|_| MakeError::Key)?;
    let pkcs8 = match &key {
        PrivateKeyDer::Pkcs8(key) => key.secret_pkcs8_der().to_vec(),
        PrivateKeyDer::Pkcs1(key) => wrapped(key.secret_pkcs1_der()),
        _ => return Err(MakeError::Key),
    };
    Ok(KeyPair::try_from(&PrivatePkcs8KeyDer::from(pkcs8))?)
}

/// PKCS#1 in PKCS#8 (RFC 5208 5): version 0, rsaEncryption with no parameters, the key as octets.
fn wrapped(pkcs1: &[u8]) -> Vec<u8> {
    const HEAD: [u8; 18] = [
        0x02, 0x01, 0x00, // version
        0x30, 0x0d, 0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01, 0x05, 0x00,
    ];
    let inner = [&HEAD[..], &element(0x04, pkcs1)].concat();
    element(0x30, &inner)
}

fn element(tag: u8, content: &[u8]) -> Vec<u8> {
    let length = content.len().to_be_bytes();
    let digits = &length[length.iter().take_while(|byte| **byte == 0).count()..];
    let head = match content.len() {
        short @ 0..=0x7f => vec![tag, u8::try_from(short).unwrap_or_default()],
        _ => [&[tag, 0x80 | u8::try_from(digits.len()).unwrap_or_default()][..], digits].concat(),
    };
    [&head[..], content].concat()
}

/// Keys are secret.
impl std::fmt::Debug for Material {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Material").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
