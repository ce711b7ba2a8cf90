//! Tokens of service accounts: what they say, and whether that still holds.

use std::sync::Arc;

use serde_json::{Value, json};

use super::identity::{Identity, service_account_name, service_account_of};
use super::jwt::{Signer, claimed_issuer};
use crate::server::key_of;
use crate::store::Store;

/// The issuer that tokens in Secrets name.
pub const LEGACY_ISSUER: &str = "kubernetes/serviceaccount";
const EXTRA: &str = "authentication.kubernetes.io";
/// As a real server says it.
const WRONG_SIGNATURE: &str = "go-jose/go-jose: error in cryptographic primitive";
/// Clocks differ.
const LEEWAY_SECS: i64 = 60;

/// Issues tokens, and says whose a token is.
#[derive(Debug)]
pub struct ServiceAccountTokens {
    pub signer: Arc<Signer>,
    pub issuer: String,
    /// Whom tokens are for that name nobody else.
    pub audiences: Vec<String>,
    pub store: Arc<dyn Store>,
}

/// Whose a token is, and for whom.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Authenticated {
    pub user: Identity,
    pub audiences: Vec<String>,
}

/// The object that a token ends with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bound {
    /// As the claim is called: `pod`, `secret` or `node`.
    pub claim: &'static str,
    pub name: String,
    pub uid: String,
}

/// What a token is issued for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grant<'a> {
    pub namespace: &'a str,
    pub name: &'a str,
    pub uid: &'a str,
    pub audiences: &'a [String],
    pub bound: &'a [Bound],
    pub lifetime_secs: i64,
    /// When a client that still uses the token should have fetched another one.
    pub warn_after_secs: Option<i64>,
    /// Names this token.
    pub id: &'a str,
}

impl ServiceAccountTokens {
    /// A token that is valid from now on; `None` if it cannot be signed.
    pub fn issue(&self, grant: &Grant<'_>, now_secs: i64) -> Option<String> {
        let mut private = json!({
            "namespace": grant.namespace, "serviceaccount": {"name": grant.name, "uid": grant.uid},
        });
        for bound in grant.bound {
            private[bound.claim] = json!({"name": bound.name});
            if !bound.uid.is_empty() {
                private[bound.claim]["uid"] = bound.uid.as_str().into();
            }
        }
        if let Some(secs) = grant.warn_after_secs {
            private["warnafter"] = now_secs.saturating_add(secs).into();
        }
        self.signer.sign(&json!({
            "aud": grant.audiences, "exp": now_secs.saturating_add(grant.lifetime_secs), "iat": now_secs,
            "iss": self.issuer, "jti": grant.id, "kubernetes.io": private, "nbf": now_secs,
            "sub": service_account_name(grant.namespace, grant.name),
        }))
    }

    /// A token for a Secret: valid as long as the Secret and the account are there.
    pub fn issue_legacy(&self, namespace: &str, name: &str, uid: &str, secret: &str) -> Option<String> {
        self.signer.sign(&json!({
            "iss": LEGACY_ISSUER,
            "kubernetes.io/serviceaccount/namespace": namespace,
            "kubernetes.io/serviceaccount/secret.name": secret,
            "kubernetes.io/serviceaccount/service-account.name": name,
            "kubernetes.io/serviceaccount/service-account.uid": uid,
            "sub": service_account_name(namespace, name),
        }))
    }

    /// Whose the token is; `None` if it is none of ours, an error if it is and does not hold.
    pub async fn authenticate(
        &self,
        token: &str,
        audiences: &[String],
        now_secs: i64,
    ) -> Result<Option<Authenticated>, String> {
        let is_legacy = match claimed_issuer(token) {
            Some(issuer) if issuer == self.issuer => false,
            Some(issuer) if issuer == LEGACY_ISSUER => true,
            _ => return Ok(None),
        };
        let claims = self.signer.verified(token).ok_or(WRONG_SIGNATURE)?;
        let mut intended = texts(&claims["aud"]);
        if intended.is_empty() {
            intended.clone_from(&self.audiences);
        }
        let common: Vec<String> = intended.iter().filter(|it| audiences.contains(it)).cloned().collect();
        if common.is_empty() {
            return Err(format!(
                "token audiences {} is invalid for the target audiences {}",
                quoted(&intended),
                quoted(audiences)
            ));
        }
        let user = if is_legacy {
            self.legacy_user(&claims, token).await?
        } else {
            self.bound_user(&claims, now_secs).await?
        };
        Ok(Some(Authenticated { user, audiences: common }))
    }

    async fn bound_user(&self, claims: &Value, now_secs: i64) -> Result<Identity, String> {
        check_times(claims, now_secs)?;
        let private = &claims["kubernetes.io"];
        let (namespace, account) = (text(&private["namespace"]), &private["serviceaccount"]);
        let (name, uid) = (text(&account["name"]), text(&account["uid"]));
        let missing = || format!("serviceaccounts {name:?} not found");
        let living = self.read("serviceaccounts", namespace, name).await.ok_or_else(missing)?;
        let living_uid = text(&living["metadata"]["uid"]);
        if living_uid != uid {
            return Err(format!("service account UID ({living_uid}) does not match claim ({uid})"));
        }
        if was_deleted(&living, now_secs) {
            return Err(format!("service account {namespace}/{name} has been deleted"));
        }
        let mut user = Identity::service_account(namespace, name, uid);
        let id = text(&claims["jti"]);
        if !id.is_empty() {
            user.extra.insert(format!("{EXTRA}/credential-id"), vec![format!("JTI={id}")]);
        }
        let has_pod = private["pod"].is_object();
        for (claim, plural, owner) in
            [("secret", "secrets", namespace), ("pod", "pods", namespace), ("node", "nodes", "")]
        {
            let bound = &private[claim];
            if !bound.is_object() {
                continue;
            }
            // The node of a pod is only told on.
            if claim != "node" || !has_pod {
                self.check_bound(plural, owner, bound, claim, now_secs).await?;
            }
            if claim != "secret" {
                for field in ["name", "uid"] {
                    let value = text(&bound[field]);
                    if !value.is_empty() {
                        user.extra.insert(format!("{EXTRA}/{claim}-{field}"), vec![value.to_owned()]);
                    }
                }
            }
        }
        Ok(user)
    }

    async fn check_bound(
        &self,
        plural: &str,
        namespace: &str,
        bound: &Value,
        claim: &str,
        now_secs: i64,
    ) -> Result<(), String> {
        let invalidated = || "service account token has been invalidated".to_owned();
        let living = self.read(plural, namespace, text(&bound["name"])).await.ok_or_else(invalidated)?;
        let (living_uid, uid) = (text(&living["metadata"]["uid"]), text(&bound["uid"]));
        if living_uid != uid {
            return Err(format!(
                "{claim} UID ({living_uid}) does not match service account {claim} ref claim ({uid})"
            ));
        }
        if was_deleted(&living, now_secs) { Err(invalidated()) } else { Ok(()) }
    }

    async fn legacy_user(&self, claims: &Value, token: &str) -> Result<Identity, String> {
        let claim = |name: &str| text(&claims[&format!("kubernetes.io/serviceaccount/{name}")]);
        let (namespace, secret) = (claim("namespace"), claim("secret.name"));
        let (name, uid) = (claim("service-account.name"), claim("service-account.uid"));
        if service_account_of(text(&claims["sub"])) != Some((namespace, name)) {
            return Err("sub claim is invalid".to_owned());
        }
        let kept = self.read("secrets", namespace, secret).await;
        let kept = kept.filter(|it| it["metadata"]["deletionTimestamp"].is_null());
        let kept = kept.ok_or("Token has been invalidated")?;
        if decoded(text(&kept["data"]["token"])).as_deref() != Some(token.as_bytes()) {
            return Err("Token does not match server's copy".to_owned());
        }
        let missing = || format!("serviceaccounts {name:?} not found");
        let living = self.read("serviceaccounts", namespace, name).await.ok_or_else(missing)?;
        if !living["metadata"]["deletionTimestamp"].is_null() {
            return Err(format!("ServiceAccount {namespace}/{name} has been deleted"));
        }
        let living_uid = text(&living["metadata"]["uid"]);
        if living_uid != uid {
            return Err(format!("ServiceAccount UID ({living_uid}) does not match claim ({uid})"));
        }
        Ok(Identity::service_account(namespace, name, uid))
    }

    /// An object of the core group.
    pub async fn read(&self, plural: &str, namespace: &str, name: &str) -> Option<Value> {
        let entry = self.store.get(&key_of("", plural, namespace, name)).await.ok()??;
        serde_json::from_slice(&entry.value).ok()
    }
}

fn check_times(claims: &Value, now_secs: i64) -> Result<(), String> {
    let at = |name: &str| claims[name].as_i64();
    if at("nbf").is_some_and(|from| now_secs.saturating_add(LEEWAY_SECS) < from) {
        return Err("service account token is not valid yet".to_owned());
    }
    if at("exp").is_none_or(|until| now_secs.saturating_sub(LEEWAY_SECS) > until) {
        return Err("service account token has expired".to_owned());
    }
    if at("iat").is_some_and(|from| now_secs.saturating_add(LEEWAY_SECS) < from) {
        return Err("service account token is issued in the future".to_owned());
    }
    Ok(())
}

fn was_deleted(object: &Value, now_secs: i64) -> bool {
    let deleted = object["metadata"]["deletionTimestamp"].as_str();
    let deleted = deleted.and_then(|text| chrono::DateTime::parse_from_rfc3339(text).ok());
    deleted.is_some_and(|at| at.timestamp() < now_secs - LEEWAY_SECS)
}

fn decoded(base64: &str) -> Option<Vec<u8>> {
    use base64::Engine;
    base64::engine::general_purpose::STANDARD.decode(base64).ok()
}

fn texts(value: &Value) -> Vec<String> {
    match value {
        Value::String(one) => vec![one.clone()],
        other => {
            other.as_array().into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect()
        }
    }
}

/// As messages print a list: `["a" "b"]`.
fn quoted(texts: &[String]) -> String {
    let texts: Vec<String> = texts.iter().map(|text| format!("{text:?}")).collect();
    format!("[{}]", texts.join(" "))
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}
