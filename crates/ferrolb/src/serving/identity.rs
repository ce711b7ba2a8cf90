//! The certificate that a server shows. It can be replaced while the server runs.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rcgen::{CertificateParams, DnType, KeyPair, SanType};
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use tokio::sync::watch;

/// How often files are looked at. Kubernetes takes a minute to bring them anyway.
const RELOAD_EVERY: Duration = Duration::from_secs(10);
/// More than any certificate with its chain.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// A certificate with its key, or none yet: then every handshake fails.
#[derive(Debug, Default)]
pub struct Identity(watch::Sender<Option<Arc<CertifiedKey>>>);

/// Why something is no certificate with its key.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    #[error("{}: {error}", path.display())]
    File { path: PathBuf, error: std::io::Error },
    #[error("no certificate in PEM: {0}")]
    Certificate(rustls::pki_types::pem::Error),
    #[error("no private key in PEM: {0}")]
    Key(rustls::pki_types::pem::Error),
    #[error("certificate and key cannot be used: {0}")]
    Pair(#[from] rustls::Error),
    #[error("no certificate can be made: {0}")]
    Making(#[from] rcgen::Error),
}

impl Identity {
    pub fn empty() -> Arc<Identity> {
        Arc::default()
    }

    /// A certificate for `localhost` that nobody has reason to trust.
    pub fn self_signed() -> Result<Arc<Identity>, IdentityError> {
        let mut params = CertificateParams::default();
        params.distinguished_name = rcgen::DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, "localhost");
        params.subject_alt_names =
            vec![SanType::DnsName("localhost".try_into()?), SanType::IpAddress([127, 0, 0, 1].into())];
        let key = KeyPair::generate()?;
        let certificate = params.self_signed(&key)?.pem();
        let identity = Identity::empty();
        identity.replace(certificate.as_bytes(), key.serialize_pem().as_bytes())?;
        Ok(identity)
    }

    /// What `tls.crt` and `tls.key` of a directory say.
    pub fn from_directory(directory: &Path) -> Result<Arc<Identity>, IdentityError> {
        let identity = Identity::empty();
        let Files { certificate, key } = Files::read(directory)?;
        identity.replace(&certificate, &key)?;
        Ok(identity)
    }

    /// From now on the server is this one. An unusable pair changes nothing.
    pub fn replace(&self, certificate: &[u8], key: &[u8]) -> Result<(), IdentityError> {
        let certified = certified(certificate, key)?;
        self.0.send_replace(Some(Arc::new(certified)));
        Ok(())
    }

    /// Ready when there is a certificate.
    pub async fn known(&self) {
        // The other end is in `self`, so it cannot be gone.
        let _ = self.0.subscribe().wait_for(Option::is_some).await;
    }

    /// Becomes what the files of a directory say whenever they change, for ever.
    pub async fn follow_directory(&self, directory: &Path) {
        let mut last: Option<Result<Files, String>> = None;
        let mut timer = tokio::time::interval(RELOAD_EVERY);
        loop {
            timer.tick().await;
            let found = Files::read(directory).map_err(|error| error.to_string());
            if last.as_ref() == Some(&found) {
                continue;
            }
            let outcome = match &found {
                Ok(files) => self.replace(&files.certificate, &files.key).map_err(|error| error.to_string()),
                Err(error) => Err(error.clone()),
            };
            match outcome {
                Ok(()) => tracing::info!("the certificate of {} is in use", directory.display()),
                Err(error) => {
                    tracing::warn!("no new certificate from {}: {error}", directory.display());
                }
            }
            last = Some(found);
        }
    }

    fn current(&self) -> Option<Arc<CertifiedKey>> {
        self.0.borrow().clone()
    }
}

impl ResolvesServerCert for Identity {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        self.current()
    }
}

/// A chain with its key, which must belong together.
pub(crate) fn certified(certificate: &[u8], key: &[u8]) -> Result<CertifiedKey, IdentityError> {
    let chain: Vec<CertificateDer<'static>> = CertificateDer::pem_slice_iter(certificate)
        .collect::<Result<_, _>>()
        .map_err(IdentityError::Certificate)?;
    if chain.is_empty() {
        return Err(IdentityError::Certificate(rustls::pki_types::pem::Error::NoItemsFound));
    }
    let key = PrivateKeyDer::from_pem_slice(key).map_err(IdentityError::Key)?;
    Ok(CertifiedKey::from_der(chain, key, &ring::default_provider())?)
}

/// What two files hold.
#[derive(PartialEq)]
struct Files {
    certificate: Vec<u8>,
    key: Vec<u8>,
}

impl Files {
    fn read(directory: &Path) -> Result<Files, IdentityError> {
        let read = |name: &str| {
            let path = directory.join(name);
            let failed = |error| IdentityError::File { path: path.clone(), error };
            let length = std::fs::metadata(&path).map_err(failed)?.len();
            if length > FILE_BYTES_MAX {
                return Err(failed(std::io::Error::other("too large for a certificate")));
            }
            std::fs::read(&path).map_err(failed)
        };
        Ok(Files { certificate: read("tls.crt")?, key: read("tls.key")? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn made(name: &str) -> (String, String) {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        (params.self_signed(&key).unwrap().pem(), key.serialize_pem())
    }

    fn shown(identity: &Identity) -> Option<CertificateDer<'static>> {
        identity.current().map(|certified| certified.cert[0].clone())
    }

    fn der(pem: &str) -> Option<CertificateDer<'static>> {
        Some(CertificateDer::from_pem_slice(pem.as_bytes()).unwrap())
    }

    #[test]
    fn what_does_not_belong_together_changes_nothing() {
        let identity = Identity::self_signed().unwrap();
        let before = shown(&identity);
        let (certificate, key) = made("a");
        let other = made("b").1;
        for (certificate, key) in
            [("", &*key), (&*certificate, ""), (&*certificate, &*other), (&*key, &*certificate)]
        {
            assert!(identity.replace(certificate.as_bytes(), key.as_bytes()).is_err());
            assert_eq!(shown(&identity), before);
        }
        identity.replace(certificate.as_bytes(), key.as_bytes()).unwrap();
        assert_eq!(shown(&identity), der(&certificate));
    }

    #[tokio::test(start_paused = true)]
    async fn files_are_followed() {
        let directory = std::env::temp_dir().join(format!("ferrolb-identity-{}", std::process::id()));
        std::fs::create_dir_all(&directory).unwrap();
        assert!(Identity::from_directory(&directory).unwrap_err().to_string().contains("tls.crt"));
        let identity = Identity::empty();
        let following = Arc::clone(&identity);
        let followed = directory.clone();
        let task = tokio::spawn(async move { following.follow_directory(&followed).await });
        let write = |(certificate, key): &(String, String)| {
            std::fs::write(directory.join("tls.key"), key).unwrap();
            std::fs::write(directory.join("tls.crt"), certificate).unwrap();
        };
        // Time stands still but for these pauses, so each is one look at the files.
        let pause = RELOAD_EVERY + Duration::from_millis(1);
        let (first, second) = (made("a"), made("b"));
        assert!(shown(&identity).is_none());
        write(&first);
        tokio::time::sleep(pause).await;
        assert_eq!(shown(&identity), der(&first.0));
        write(&("rubbish".to_owned(), second.1.clone()));
        tokio::time::sleep(pause).await;
        assert_eq!(shown(&identity), der(&first.0));
        write(&second);
        tokio::time::sleep(pause).await;
        assert_eq!(shown(&identity), der(&second.0));
        assert_eq!(shown(&Identity::from_directory(&directory).unwrap()), der(&second.0));
        task.abort();
        std::fs::remove_dir_all(&directory).unwrap();
    }
}
