//! What a server knows of its users, made ready for requests.

use std::sync::Arc;

use crate::auth::authorize::{self, Decision};
use crate::auth::{
    Attributes, Authenticator, Identity, KeyError, Mode, Security, ServiceAccountTokens, Signer,
};
use crate::store::Store;

#[derive(Debug)]
pub(super) struct Access {
    pub(super) mode: Mode,
    pub(super) authenticator: Authenticator,
}

impl Access {
    pub(super) fn new(security: &Security, store: &Arc<dyn Store>) -> Result<Access, KeyError> {
        let Security { mode, static_tokens, signer, issuer, .. } = security.clone();
        let signer = signer.map_or_else(|| Signer::generate().map(Arc::new), Ok)?;
        let audiences = vec![issuer.clone()];
        let service_accounts = ServiceAccountTokens { signer, issuer, audiences, store: Arc::clone(store) };
        let authenticator = Authenticator { static_tokens, service_accounts };
        Ok(Access { mode, authenticator })
    }

    pub(super) fn decide(&self, user: &Identity, wanted: &Attributes) -> Decision {
        authorize::without_roles(self.mode, user, wanted)
            .unwrap_or_else(|| Decision { is_allowed: false, reason: String::new() })
    }
}
