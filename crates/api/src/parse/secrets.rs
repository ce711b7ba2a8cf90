//! Where a peer's password comes from.

use k8s_openapi::api::core::v1::Secret;
use plan::config::{Password, SecretReference};

use super::{Findings, Objects, PeerError, Role, Rule, SecretError, Subject, View, Warning, filled, name_of};
use crate::metallb::BGPPeerSpec;

const BASIC_AUTH: &str = "kubernetes.io/basic-auth";
const KEY: &str = "password";

/// `None` after a problem was found.
pub(super) fn password(
    subject: &Subject,
    spec: &BGPPeerSpec,
    objects: &Objects,
    view: &View,
    findings: &mut Findings,
) -> Option<Password> {
    let mut refuse = |field: &str, error| {
        let rule = Rule::Peer { peer: subject.name.clone(), error };
        findings.refuse(subject, field, rule);
    };
    let literal = filled(spec.password.as_ref());
    let secret = spec.password_secret.as_ref();
    let Some(name) = secret.and_then(|secret| filled(secret.name.as_ref())) else {
        return Some(literal.map_or(Password::None, |text| Password::Literal(text.to_owned())));
    };
    if literal.is_some() {
        let (namespace, peer) = (subject.namespace.clone(), subject.name.clone());
        refuse("spec.passwordSecret", PeerError::BothPasswords { namespace, peer });
        return None;
    }
    let given = secret.and_then(|secret| filled(secret.namespace.as_ref()));
    let reference =
        SecretReference { name: name.to_owned(), namespace: given.unwrap_or(&view.namespace).to_owned() };
    if view.secret_passthrough {
        return Some(Password::Secret { reference, value: None });
    }
    match lookup(subject, name, &objects.secrets, &view.namespace) {
        Ok(value) => {
            if let Some(given) = given.filter(|&given| given != view.namespace) {
                let warning =
                    Warning::SecretNamespace { given: given.to_owned(), used: view.namespace.clone() };
                findings.remark(subject, "spec.passwordSecret.namespace", warning);
            }
            Some(Password::Secret { reference, value: Some(value) })
        }
        Err(error) => {
            refuse("spec.passwordSecret", PeerError::Secret { peer: subject.name.clone(), error });
            None
        }
    }
}

/// The key of TCP-AO, which is kept as a password is.
pub(super) fn tcp_ao_key(
    subject: &Subject,
    name: &str,
    objects: &Objects,
    view: &View,
) -> Result<Password, SecretError> {
    let reference = SecretReference { name: name.to_owned(), namespace: view.namespace.clone() };
    // Admission does not follow references.
    let value = match view.secret_passthrough || view.role == Role::Admission {
        true => None,
        false => Some(lookup(subject, name, &objects.secrets, &view.namespace)?),
    };
    Ok(Password::Secret { reference, value })
}

/// By name alone: a Secret is always looked for in our own namespace.
fn lookup(
    subject: &Subject,
    name: &str,
    secrets: &[Secret],
    own_namespace: &str,
) -> Result<String, SecretError> {
    let Some(secret) = secrets.iter().find(|secret| name_of(&secret.metadata) == name) else {
        return Err(SecretError::Missing {
            namespace: subject.namespace.clone(),
            peer: subject.name.clone(),
        });
    };
    let namespace = filled(secret.metadata.namespace.as_ref()).unwrap_or(own_namespace).to_owned();
    if secret.type_.as_deref() != Some(BASIC_AUTH) {
        return Err(SecretError::Type { namespace, secret: name.to_owned() });
    }
    // A manifest may carry the plain text, which an API server would have encoded on arrival.
    let plain = secret.string_data.as_ref().and_then(|data| data.get(KEY)).cloned();
    let encoded = || secret.data.as_ref().and_then(|data| data.get(KEY));
    plain
        .or_else(|| encoded().map(|bytes| String::from_utf8_lossy(&bytes.0).into_owned()))
        .ok_or(SecretError::NoPassword { namespace, secret: name.to_owned() })
}
