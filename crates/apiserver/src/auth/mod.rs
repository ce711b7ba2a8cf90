//! Who asks, and whether they may: authentication, authorization, and the tokens and certificates for both.
//!
//! A [`Security`] belongs to a server. What it decides about a request is decided from the request and from objects in
//! the store; nothing here answers a request or writes an object.

pub mod attributes;
pub mod authenticate;
pub mod authorize;
pub mod certificate;
pub mod identity;
pub mod impersonate;
pub mod jwt;
pub mod rbac;
pub mod service_account;
pub mod static_tokens;

pub use attributes::Attributes;
pub use authenticate::{Authenticator, ClientCertificate, Unauthorized};
pub use authorize::{Decision, Mode};
pub use identity::{COMPONENTS, Identity, MASTERS};
pub use jwt::{KeyError, Signer};
pub use service_account::ServiceAccountTokens;
pub use static_tokens::{StaticTokens, TokenFileError};

use std::sync::Arc;

/// Whom the tokens of service accounts name as their issuer, if nothing else is said.
pub const ISSUER: &str = "https://kubernetes.default.svc.cluster.local";

/// How a server tells its users apart, and what it lets them do.
#[derive(Debug, Clone)]
pub struct Security {
    pub mode: Mode,
    pub static_tokens: StaticTokens,
    /// Of service account tokens. Without one, a key is made that is gone with the process.
    pub signer: Option<Arc<Signer>>,
    pub issuer: String,
    /// In PEM; what clients inside a cluster trust.
    pub authority: Option<String>,
}

impl Default for Security {
    fn default() -> Security {
        Security {
            mode: Mode::default(),
            static_tokens: StaticTokens::default(),
            signer: None,
            issuer: ISSUER.to_owned(),
            authority: None,
        }
    }
}

/// A token that nobody guesses: 256 bits, in hexadecimal.
pub fn random_token() -> Result<String, KeyError> {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes).map_err(|_| KeyError::NoRandomNumbers)?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}
