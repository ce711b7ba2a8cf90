//! What a connection is encrypted with, and what a client's certificate is worth.
//!
//! A client may show any certificate: one that is not ours is refused in the answer to a request, which says why, and
//! not while connecting, which would not.

use std::sync::{Arc, PoisonError, RwLock};

use rustls::client::danger::HandshakeSignatureValid;
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::server::{ClientHello, ResolvesServerCert, WebPkiClientVerifier};
use rustls::sign::CertifiedKey;
use rustls::{DigitallySignedStruct, DistinguishedName, RootCertStore, ServerConfig, SignatureScheme};

use super::authority::{self, Authority, Pair, ServerNames};
use super::files::FileError;
use crate::auth::ClientCertificate;

/// What cannot be served with.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    #[error(transparent)]
    File(#[from] FileError),
    #[error("certificates in the data directory cannot be used: {0}")]
    Rustls(#[from] rustls::Error),
    #[error("certificates in the data directory cannot be used: {0}")]
    Pem(#[from] rustls::pki_types::pem::Error),
    #[error("certificates in the data directory cannot be used: {0}")]
    Verifier(#[from] rustls::server::VerifierBuilderError),
}

/// What a server encrypts with, and whom it trusts.
#[derive(Debug, Clone)]
pub struct Tls {
    pub(super) config: Arc<ServerConfig>,
    clients: Arc<dyn ClientCertVerifier>,
}

impl Tls {
    pub fn new(authority: Arc<Authority>, names: ServerNames) -> Result<Tls, TlsError> {
        let provider = Arc::new(ring::default_provider());
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(authority.certificate().as_bytes())?)?;
        let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider));
        let clients = verifier.allow_unauthenticated().build()?;
        let certificate = ServingCertificate::new(authority, names, Arc::clone(&provider))?;
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_client_cert_verifier(Arc::new(AnyClient(Arc::clone(&clients))))
            .with_cert_resolver(Arc::new(certificate));
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Ok(Tls { config: Arc::new(config), clients })
    }

    /// What the certificates that a client showed are worth; `None` if it showed none.
    pub(super) fn judge(&self, shown: Option<&[CertificateDer<'_>]>) -> Option<ClientCertificate> {
        let (first, others) = shown?.split_first()?;
        let verified = self.clients.verify_client_cert(first, others, UnixTime::now());
        Some(match verified {
            Ok(_) => ClientCertificate::trusted(first),
            Err(_) => ClientCertificate::Untrusted,
        })
    }
}

/// The server's certificate, replaced when its end is near.
#[derive(Debug)]
struct ServingCertificate {
    authority: Arc<Authority>,
    names: ServerNames,
    provider: Arc<CryptoProvider>,
    current: RwLock<(Arc<CertifiedKey>, i64)>,
}

impl ServingCertificate {
    fn new(
        authority: Arc<Authority>,
        names: ServerNames,
        provider: Arc<CryptoProvider>,
    ) -> Result<ServingCertificate, TlsError> {
        let current = RwLock::new(certified(&authority.server(&names)?, &provider)?);
        Ok(ServingCertificate { authority, names, provider, current })
    }

    fn renew(&self) -> Result<(), TlsError> {
        let mut current = self.current.write().unwrap_or_else(PoisonError::into_inner);
        if authority::needs_renewal(current.1) {
            *current = certified(&self.authority.server(&self.names)?, &self.provider)?;
        }
        Ok(())
    }
}

impl ResolvesServerCert for ServingCertificate {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let current = || self.current.read().unwrap_or_else(PoisonError::into_inner).clone();
        if authority::needs_renewal(current().1)
            && let Err(error) = self.renew()
        {
            tracing::warn!("the server's certificate ends soon and cannot be renewed: {error}");
        }
        Some(current().0)
    }
}

fn certified(pair: &Pair, provider: &CryptoProvider) -> Result<(Arc<CertifiedKey>, i64), TlsError> {
    let certificate = CertificateDer::from_pem_slice(pair.certificate.as_bytes())?;
    let key = PrivateKeyDer::from_pem_slice(pair.key.as_bytes())?;
    let not_after_secs = authority::fields(&pair.certificate).map_or(0, |fields| fields.not_after_secs);
    Ok((Arc::new(CertifiedKey::from_der(vec![certificate], key, provider)?), not_after_secs))
}

/// Lets every client in that has the key of the certificate that it shows.
#[derive(Debug)]
struct AnyClient(Arc<dyn ClientCertVerifier>);

impl ClientCertVerifier for AnyClient {
    fn offer_client_auth(&self) -> bool {
        true
    }

    fn client_auth_mandatory(&self) -> bool {
        false
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        self.0.root_hint_subjects()
    }

    fn verify_client_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: UnixTime,
    ) -> Result<ClientCertVerified, rustls::Error> {
        Ok(ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.0.verify_tls12_signature(message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.0.verify_tls13_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.supported_verify_schemes()
    }
}
