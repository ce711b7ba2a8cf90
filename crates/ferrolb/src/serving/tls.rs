//! The options `--tls-min-version`, `--tls-cipher-suites` and `--tls-curve-preferences`.
//!
//! Everything that MetalLB accepts is accepted. What this program's TLS does not have is not offered, and
//! [`TlsOptions::notices`] says so.

use std::sync::Arc;

use plan::quote::quoted;
use rustls::crypto::ring::{self, kx_group};
use rustls::crypto::{CryptoProvider, SupportedKxGroup};
use rustls::server::ResolvesServerCert;
use rustls::{CipherSuite, ServerConfig, SupportedCipherSuite, SupportedProtocolVersion, version};

/// What a server offers its clients.
#[derive(Debug, Clone, Default)]
pub struct TlsOptions {
    /// Whether TLS 1.2 is offered besides TLS 1.3.
    has_tls12: bool,
    /// Suites of TLS 1.2, if not all of them.
    suites: Option<Vec<CipherSuite>>,
    /// In order of preference, if it is not the usual one.
    groups: Option<Vec<&'static dyn SupportedKxGroup>>,
    notices: Vec<String>,
}

/// What is wrong with the options.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum TlsError {
    #[error("parsing tls-cipher-suites: Cipher suite {0} not supported or doesn't exist")]
    UnknownSuite(String),
    #[error("parsing tls-curve-preferences: {0}")]
    Curve(#[from] CurveError),
    #[error("parsing tls-min-version: unknown tls version {}", quoted(.0))]
    UnknownVersion(String),
    #[error("cipher suites cannot be configured with TLS 1.3")]
    SuitesOfTls13,
    #[error("TLS cannot be served: {0}")]
    Rustls(#[from] rustls::Error),
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CurveError {
    #[error("invalid curve preference {}: must be a numeric CurveID (0-65535)", quoted(.0))]
    NotANumber(String),
    #[error("curve preference {0} is out of range (must be 1-65535)")]
    OutOfRange(u16),
    #[error("duplicate curve preference {0}")]
    Duplicate(u16),
    #[error("curve preference {0} is not supported by the current Go version")]
    Unknown(u16),
}

/// The suites of TLS 1.2 and older that MetalLB knows by name, and those of TLS 1.3, which cannot be chosen.
const SUITES: [(&str, Option<CipherSuite>); 27] = {
    use CipherSuite as S;
    [
        ("TLS_AES_128_GCM_SHA256", Some(S::TLS13_AES_128_GCM_SHA256)),
        ("TLS_AES_256_GCM_SHA384", Some(S::TLS13_AES_256_GCM_SHA384)),
        ("TLS_CHACHA20_POLY1305_SHA256", Some(S::TLS13_CHACHA20_POLY1305_SHA256)),
        ("TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256", Some(S::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256)),
        ("TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384", Some(S::TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384)),
        ("TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256", Some(S::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256)),
        ("TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384", Some(S::TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384)),
        ("TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305", Some(S::TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256)),
        ("TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305", Some(S::TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256)),
        ("TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256", Some(S::TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256)),
        (
            "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256",
            Some(S::TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256),
        ),
        // Nobody should use these.
        ("TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA", None),
        ("TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA256", None),
        ("TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA", None),
        ("TLS_ECDHE_ECDSA_WITH_RC4_128_SHA", None),
        ("TLS_ECDHE_RSA_WITH_3DES_EDE_CBC_SHA", None),
        ("TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA", None),
        ("TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA256", None),
        ("TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA", None),
        ("TLS_ECDHE_RSA_WITH_RC4_128_SHA", None),
        ("TLS_RSA_WITH_3DES_EDE_CBC_SHA", None),
        ("TLS_RSA_WITH_AES_128_CBC_SHA", None),
        ("TLS_RSA_WITH_AES_128_CBC_SHA256", None),
        ("TLS_RSA_WITH_AES_128_GCM_SHA256", None),
        ("TLS_RSA_WITH_AES_256_CBC_SHA", None),
        ("TLS_RSA_WITH_AES_256_GCM_SHA384", None),
        ("TLS_RSA_WITH_RC4_128_SHA", None),
    ]
};

/// Elliptic curves and the like by their numbers; `None` where this program's TLS has it not.
fn group(id: u16) -> Option<Option<&'static dyn SupportedKxGroup>> {
    match id {
        23 => Some(Some(kx_group::SECP256R1)),
        24 => Some(Some(kx_group::SECP384R1)),
        29 => Some(Some(kx_group::X25519)),
        25 | 4588 => Some(None),
        _ => None,
    }
}

impl TlsOptions {
    /// Reads the three options as they are given; empty ones say nothing.
    pub fn parse(
        cipher_suites: &str,
        curve_preferences: &str,
        min_version: &str,
    ) -> Result<TlsOptions, TlsError> {
        let mut options = TlsOptions::default();
        options.read_suites(cipher_suites)?;
        options.read_curves(curve_preferences)?;
        options.read_version(min_version)?;
        if !cipher_suites.is_empty() && !options.has_tls12 {
            return Err(TlsError::SuitesOfTls13);
        }
        if options.suites.as_ref().is_some_and(Vec::is_empty) {
            options.has_tls12 = false;
            options.note("none of the tls-cipher-suites is offered, so neither is TLS 1.2");
        }
        Ok(options)
    }

    /// What is accepted and does not take effect, for the log.
    pub fn notices(&self) -> &[String] {
        &self.notices
    }

    /// Offers what the options say.
    pub fn server_config(
        &self,
        identity: Arc<dyn ResolvesServerCert>,
        has_http2: bool,
    ) -> Result<Arc<ServerConfig>, TlsError> {
        let mut provider: CryptoProvider = ring::default_provider();
        if let Some(suites) = &self.suites {
            let is_wanted = |suite: &SupportedCipherSuite| {
                matches!(suite, SupportedCipherSuite::Tls13(_)) || suites.contains(&suite.suite())
            };
            provider.cipher_suites.retain(is_wanted);
        }
        if let Some(groups) = &self.groups {
            provider.kx_groups.clone_from(groups);
        }
        const NEW: &[&SupportedProtocolVersion] = &[&version::TLS13];
        const BOTH: &[&SupportedProtocolVersion] = &[&version::TLS13, &version::TLS12];
        let versions = if self.has_tls12 { BOTH } else { NEW };
        let mut config = ServerConfig::builder_with_provider(Arc::new(provider))
            .with_protocol_versions(versions)?
            .with_no_client_auth()
            .with_cert_resolver(identity);
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        if has_http2 {
            config.alpn_protocols.insert(0, b"h2".to_vec());
        }
        Ok(Arc::new(config))
    }

    fn read_suites(&mut self, list: &str) -> Result<(), TlsError> {
        if list.is_empty() {
            return Ok(());
        }
        let mut suites = Vec::new();
        for name in list.split(',').map(str::trim) {
            match SUITES.iter().find(|(known, _)| *known == name) {
                Some((_, Some(suite))) => suites.push(*suite),
                Some((_, None)) => self.note(&format!("cipher suite {name} is insecure and is not offered")),
                None => return Err(TlsError::UnknownSuite(name.to_owned())),
            }
        }
        let is_of_tls13 = |suite: &CipherSuite| {
            ring::ALL_CIPHER_SUITES
                .iter()
                .any(|it| it.suite() == *suite && matches!(it, SupportedCipherSuite::Tls13(_)))
        };
        suites.retain(|suite| !is_of_tls13(suite));
        self.suites = Some(suites);
        Ok(())
    }

    fn read_curves(&mut self, list: &str) -> Result<(), CurveError> {
        if list.is_empty() {
            return Ok(());
        }
        let number = |text: &str| {
            let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
            text.parse::<u16>().ok().filter(|_| digits).ok_or_else(|| CurveError::NotANumber(text.to_owned()))
        };
        let ids = list.split(',').map(|text| number(text.trim())).collect::<Result<Vec<u16>, _>>()?;
        let mut groups = Vec::new();
        for (index, &id) in ids.iter().enumerate() {
            if id == 0 {
                return Err(CurveError::OutOfRange(id));
            }
            if ids[..index].contains(&id) {
                return Err(CurveError::Duplicate(id));
            }
            match group(id).ok_or(CurveError::Unknown(id))? {
                Some(group) => groups.push(group),
                None => self.note(&format!("curve {id} is not offered")),
            }
        }
        if groups.is_empty() {
            self.note("none of the tls-curve-preferences is offered: the usual ones are (29, 23, 24)");
        } else {
            self.groups = Some(groups);
        }
        Ok(())
    }

    fn read_version(&mut self, name: &str) -> Result<(), TlsError> {
        match name {
            "" | "VersionTLS13" => {}
            "VersionTLS12" => self.has_tls12 = true,
            "VersionTLS10" | "VersionTLS11" => {
                self.has_tls12 = true;
                self.note("TLS before 1.2 is not offered");
            }
            _ => return Err(TlsError::UnknownVersion(name.to_owned())),
        }
        Ok(())
    }

    fn note(&mut self, notice: &str) {
        self.notices.push(notice.to_owned());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(suites: &str, curves: &str, version: &str) -> Result<Vec<String>, String> {
        let options = TlsOptions::parse(suites, curves, version).map_err(|error| error.to_string())?;
        let identity = super::super::Identity::empty();
        options.server_config(identity, false).map_err(|error| error.to_string())?;
        Ok(options.notices)
    }

    #[test]
    fn what_metallb_refuses_is_refused_in_its_words() {
        for (suites, curves, version, text) in [
            (
                "",
                "X25519",
                "",
                "parsing tls-curve-preferences: invalid curve preference \"X25519\": must be a numeric CurveID (0-65535)",
            ),
            (
                "",
                "99999",
                "",
                "parsing tls-curve-preferences: invalid curve preference \"99999\": must be a numeric CurveID (0-65535)",
            ),
            (
                "",
                "-1",
                "",
                "parsing tls-curve-preferences: invalid curve preference \"-1\": must be a numeric CurveID (0-65535)",
            ),
            (
                "",
                "+1",
                "",
                "parsing tls-curve-preferences: invalid curve preference \"+1\": must be a numeric CurveID (0-65535)",
            ),
            (
                "",
                "29,",
                "",
                "parsing tls-curve-preferences: invalid curve preference \"\": must be a numeric CurveID (0-65535)",
            ),
            (
                "",
                "0",
                "",
                "parsing tls-curve-preferences: curve preference 0 is out of range (must be 1-65535)",
            ),
            ("", "29, 29", "", "parsing tls-curve-preferences: duplicate curve preference 29"),
            (
                "",
                "1",
                "",
                "parsing tls-curve-preferences: curve preference 1 is not supported by the current Go version",
            ),
            ("", "", "VersionTLS99", "parsing tls-min-version: unknown tls version \"VersionTLS99\""),
            (
                "TLS_NO",
                "",
                "VersionTLS12",
                "parsing tls-cipher-suites: Cipher suite TLS_NO not supported or doesn't exist",
            ),
            ("TLS_AES_128_GCM_SHA256", "", "", "cipher suites cannot be configured with TLS 1.3"),
            (
                "TLS_RSA_WITH_RC4_128_SHA",
                "",
                "VersionTLS13",
                "cipher suites cannot be configured with TLS 1.3",
            ),
        ] {
            assert_eq!(parse(suites, curves, version), Err(text.to_owned()), "{suites} {curves} {version}");
        }
    }

    #[test]
    fn what_is_not_offered_is_said() {
        for (suites, curves, version, notices) in [
            ("", "", "", &[][..]),
            ("", " 29, 23,24", "VersionTLS13", &[]),
            ("TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256, TLS_AES_128_GCM_SHA256", "29", "VersionTLS12", &[]),
            ("", "23,24,25,29,4588", "", &["curve 25 is not offered", "curve 4588 is not offered"]),
            (
                "",
                "25",
                "",
                &[
                    "curve 25 is not offered",
                    "none of the tls-curve-preferences is offered: the usual ones are (29, 23, 24)",
                ],
            ),
            ("", "", "VersionTLS10", &["TLS before 1.2 is not offered"]),
            (
                "TLS_RSA_WITH_RC4_128_SHA",
                "",
                "VersionTLS11",
                &[
                    "cipher suite TLS_RSA_WITH_RC4_128_SHA is insecure and is not offered",
                    "TLS before 1.2 is not offered",
                    "none of the tls-cipher-suites is offered, so neither is TLS 1.2",
                ],
            ),
        ] {
            assert_eq!(parse(suites, curves, version).unwrap(), notices, "{suites} {curves} {version}");
        }
    }
}
