//! What a server knows of its users, made ready for requests.

use std::sync::Arc;

use super::ServerError;
use crate::auth::authorize::{self, Decision};
use crate::auth::rbac::Roles;
use crate::auth::{Attributes, Authenticator, Identity, Mode, Security, ServiceAccountTokens, Signer};
use crate::store::Store;

#[derive(Debug)]
pub(super) struct Access {
    mode: Mode,
    pub(super) authenticator: Authenticator,
    /// If they are asked.
    pub(super) roles: Option<Roles>,
}

impl Access {
    pub(super) async fn new(security: &Security, store: &Arc<dyn Store>) -> Result<Access, ServerError> {
        let Security { mode, static_tokens, signer, issuer, .. } = security.clone();
        let signer = signer.map_or_else(|| Signer::generate().map(Arc::new), Ok)?;
        let audiences = vec![issuer.clone()];
        let service_accounts = ServiceAccountTokens { signer, issuer, audiences, store: Arc::clone(store) };
        let authenticator = Authenticator { static_tokens, service_accounts };
        let roles = match mode {
            Mode::Rbac => Some(Roles::open(Arc::clone(store)).await?),
            Mode::ComponentsOnly | Mode::AlwaysAllow => None,
        };
        Ok(Access { mode, authenticator, roles })
    }

    pub(super) async fn decide(&self, user: &Identity, wanted: &Attributes) -> Decision {
        match (authorize::without_roles(self.mode, user, wanted), &self.roles) {
            (Some(decision), _) => decision,
            (None, Some(roles)) => roles.decide(user, wanted).await,
            (None, None) => Decision { is_allowed: false, reason: String::new() },
        }
    }
}
