//! Who a request from the network is from: a client certificate, a token, or nobody in particular.

use axum::http::{HeaderMap, header};

use super::certificate;
use super::identity::Identity;
use super::service_account::{Authenticated, ServiceAccountTokens};
use super::static_tokens::StaticTokens;
use ring::digest;

/// What a client showed when it connected, as an extension of its requests.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ClientCertificate {
    /// Signed by our authority for clients.
    Trusted { user: Identity, not_after_secs: i64 },
    /// Of anybody else.
    Untrusted,
}

/// Knows everybody who has a token.
#[derive(Debug)]
pub struct Authenticator {
    pub static_tokens: StaticTokens,
    pub service_accounts: ServiceAccountTokens,
}

/// A client that says who it is, and is not believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unauthorized;

impl ClientCertificate {
    /// What a certificate that our authority signed says of its holder.
    pub fn trusted(der: &[u8]) -> ClientCertificate {
        let Some(fields) = certificate::read(der).filter(|fields| !fields.common_name.is_empty()) else {
            return ClientCertificate::Untrusted;
        };
        let groups = fields.organizations.iter().map(String::as_str);
        let mut user = Identity::new(&fields.common_name, groups);
        let fingerprint: String =
            digest::digest(&digest::SHA256, der).as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
        user.extra.insert(
            "authentication.kubernetes.io/credential-id".to_owned(),
            vec![format!("X509SHA256={fingerprint}")],
        );
        ClientCertificate::Trusted { user: user.authenticated(), not_after_secs: fields.not_after_secs }
    }
}

impl Authenticator {
    /// The user of a request.
    pub async fn authenticate(
        &self,
        headers: &HeaderMap,
        certificate: Option<&ClientCertificate>,
        now_secs: i64,
    ) -> Result<Identity, Unauthorized> {
        let shown = match certificate {
            Some(ClientCertificate::Trusted { user, not_after_secs }) if *not_after_secs >= now_secs => {
                return Ok(user.clone());
            }
            other => other.is_some(),
        };
        if let Some(token) = bearer_token(headers) {
            let user = self.authenticate_token(token, &self.service_accounts.audiences, now_secs).await;
            return user.ok().flatten().map(|it| it.user).ok_or(Unauthorized);
        }
        if shown { Err(Unauthorized) } else { Ok(Identity::anonymous()) }
    }

    /// Whose a token is; `None` if nobody's, an error if it was somebody's.
    pub async fn authenticate_token(
        &self,
        token: &str,
        audiences: &[String],
        now_secs: i64,
    ) -> Result<Option<Authenticated>, String> {
        if let Some(user) = self.static_tokens.get(token) {
            let ours = &self.service_accounts.audiences;
            let common: Vec<String> = ours.iter().filter(|it| audiences.contains(it)).cloned().collect();
            let user = user.clone().authenticated();
            return Ok((!common.is_empty()).then_some(Authenticated { user, audiences: common }));
        }
        let found = self.service_accounts.authenticate(token, audiences, now_secs).await?;
        Ok(found.map(|it| Authenticated { user: it.user.authenticated(), ..it }))
    }
}

/// The token of `Authorization: Bearer TOKEN`.
fn bearer_token(headers: &HeaderMap) -> Option<&str> {
    let mut parts = headers.get(header::AUTHORIZATION)?.to_str().ok()?.trim().split(' ');
    let scheme = parts.next()?;
    parts.next().filter(|token| scheme.eq_ignore_ascii_case("bearer") && !token.is_empty())
}
