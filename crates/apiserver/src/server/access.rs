//! What a server knows of its users, made ready for requests.

use std::sync::Arc;

use super::ServerError;
use crate::auth::authorize::{self, Decision};
use crate::auth::rbac::{Roles, Rule};
use crate::auth::{Attributes, Authenticator, Identity, Mode, Security, ServiceAccountTokens, Signer};
use crate::store::{Store, StoreError};

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

    /// All that a user may do in a namespace, and what could not be found out.
    pub(super) async fn rules_for(
        &self,
        user: &Identity,
        namespace: &str,
    ) -> Result<(Vec<Rule>, Vec<String>), StoreError> {
        let is_trusted = user.is_trusted() || self.mode == Mode::AlwaysAllow;
        let mut rules = if is_trusted { Rule::everything().to_vec() } else { Vec::new() };
        let Some(roles) = &self.roles else { return Ok((rules, Vec::new())) };
        let (found, errors) = roles.look(|index| index.rules_for(user, namespace)).await?;
        let new: Vec<Rule> = found.into_iter().filter(|rule| !rules.contains(rule)).collect();
        rules.extend(new);
        Ok((rules, errors))
    }

    /// What a role allows; `None` if there is none, or if nobody is asked.
    pub(super) async fn rules_of(
        &self,
        kind: &str,
        namespace: &str,
        name: &str,
    ) -> Result<Option<Vec<Rule>>, StoreError> {
        let Some(roles) = &self.roles else { return Ok(None) };
        roles.look(|index| index.rules_of(kind, namespace, name).ok().map(|rules| rules.to_vec())).await
    }

    /// Whether a request is let in.
    pub(super) async fn admit(&self, user: &Identity, wanted: &Attributes) -> Decision {
        match self.decide(user, wanted).await {
            Decision { is_allowed: false, .. } if authorize::is_public(wanted) => {
                Decision { is_allowed: true, reason: String::new() }
            }
            decision => decision,
        }
    }

    /// Whether a user may do something.
    pub(super) async fn decide(&self, user: &Identity, wanted: &Attributes) -> Decision {
        match (authorize::without_roles(self.mode, user), &self.roles) {
            (Some(decision), _) => decision,
            (None, Some(roles)) => roles.decide(user, wanted).await,
            (None, None) => Decision { is_allowed: false, reason: String::new() },
        }
    }
}
