//! The certificates of the webhooks: kept in a Secret, renewed before their end, made known to API servers.
//!
//! Several replicas may do this at once. Who writes the Secret first wins; the others find that out by a conflict, read
//! it again and use what the winner wrote.

mod inject;
mod material;

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::StatusCode;
use k8s_openapi::api::admissionregistration::v1::ValidatingWebhookConfiguration;
use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::core::PartialObjectMeta;
use kube::{Api, Client, Resource};
use serde_json::{Value, json};
use tokio::sync::{Notify, mpsc};
use tokio::time::timeout;

use super::Options;
use crate::backoff::delay;
use crate::call::{self, Failure};
use crate::serving::{Identity, IdentityError};
use crate::watch::{Only, follow};
use inject::{CONFIGURATION, DEFINITION, Target};
use material::Material;

const CHECK_EVERY: Duration = Duration::from_secs(12 * 60 * 60);
const RETRY_MIN: Duration = Duration::from_millis(500);
const RETRY_MAX: Duration = Duration::from_secs(60);
/// After something was written, so that two who disagree do not do so as fast as they can.
const BREATH: Duration = Duration::from_millis(200);
/// As MetalLB calls itself, so that its fields stay its own.
const FIELD_MANAGER: &str = "MetalLB";

/// Looks after certificates.
pub(super) struct Keeper {
    client: Client,
    namespace: String,
    secret_name: String,
    /// What API servers call the webhook.
    server_name: String,
    identity: Arc<Identity>,
    /// What the identity is made of.
    in_use: Option<Material>,
    changed: Arc<Notify>,
}

/// Why certificates are not as they should be.
#[derive(Debug, thiserror::Error)]
enum KeepError {
    #[error("{what}: {failure}")]
    Api { what: String, failure: Failure },
    #[error("certificates cannot be made: {0}")]
    Making(#[from] material::MakeError),
    #[error("certificates cannot be used: {0}")]
    Using(#[from] IdentityError),
}

/// What one look came to.
#[derive(Debug, PartialEq, Eq)]
enum Look {
    /// Everything was as it should be.
    Found,
    /// It is now.
    Mended,
    /// Something that must be there is not, and will be looked at when it comes.
    Waits,
}

impl Keeper {
    pub(super) fn new(client: Client, options: &Options, identity: Arc<Identity>) -> Keeper {
        Keeper {
            client,
            namespace: options.namespace.clone(),
            secret_name: options.secret_name.clone(),
            server_name: format!("{}.{}.svc", options.service_name, options.namespace),
            identity,
            in_use: None,
            changed: Arc::default(),
        }
    }

    /// For ever.
    pub(super) async fn keep(mut self) {
        let watches = self.watches();
        tokio::select! {
            () = watches => {}
            () = self.look_again_and_again() => {}
        }
    }

    async fn look_again_and_again(&mut self) {
        let (mut failures, mut last) = (0, String::new());
        loop {
            let wait = match self.look().await {
                Ok(look) => {
                    failures = 0;
                    last.clear();
                    if look == Look::Mended {
                        tokio::time::sleep(BREATH).await;
                    }
                    CHECK_EVERY
                }
                Err(error) => {
                    failures += 1;
                    let text = error.to_string();
                    if last != text {
                        tracing::warn!("the webhook's certificates: {text}");
                        last = text;
                    }
                    delay(failures, RETRY_MIN, RETRY_MAX)
                }
            };
            // Neither of the two ends matters: both are reasons to look.
            let _ = timeout(wait, self.changed.notified()).await;
        }
    }

    /// Brings everything to what it should be.
    async fn look(&mut self) -> Result<Look, KeepError> {
        let path = format!("/api/v1/namespaces/{}/secrets/{}", self.namespace, self.secret_name);
        let what = || format!("Secret {}/{}", self.namespace, self.secret_name);
        let api = |failure| KeepError::Api { what: what(), failure };
        let mut secret: Value = call::get(&self.client, &path).await.map_err(api)?;
        let mut look = Look::Found;
        let found = material_in(&secret);
        let material = match found.as_ref().map(|found| found.renewed(&self.server_name, SystemTime::now())) {
            Some(Ok(None)) => found.unwrap_or_default(),
            renewed => {
                let made = match renewed {
                    Some(renewed) => renewed?.unwrap_or_default(),
                    None => Material::make(&self.server_name, SystemTime::now())?,
                };
                put_into(&mut secret, &made);
                let path = format!("{path}?fieldManager={FIELD_MANAGER}");
                match call::put::<Value>(&self.client, &path, &secret).await {
                    Ok(_) => tracing::info!("{}: certificates for {} were made", what(), self.server_name),
                    Err(failure) if failure.is(StatusCode::CONFLICT) => {
                        // Somebody else was first. What they wrote is as good.
                        self.changed.notify_one();
                        return Ok(Look::Mended);
                    }
                    Err(failure) => return Err(api(failure)),
                }
                look = Look::Mended;
                made
            }
        };
        if self.in_use.as_ref() != Some(&material) {
            self.identity.replace(&material.certificate, &material.key)?;
            tracing::info!("the webhook shows the certificate of {}", what());
        }
        let authority = material.authority.clone();
        self.in_use = Some(material);
        for target in [CONFIGURATION, DEFINITION] {
            match self.inject(target, &authority).await? {
                Look::Found => {}
                Look::Mended => look = Look::Mended,
                Look::Waits if look == Look::Found => look = Look::Waits,
                Look::Waits => {}
            }
        }
        Ok(look)
    }

    /// Makes the authority known where API servers look for it.
    async fn inject(&self, target: Target, authority: &[u8]) -> Result<Look, KeepError> {
        let api = |failure| KeepError::Api { what: target.to_string(), failure };
        let mut object: Value = match call::get(&self.client, &target.path()).await {
            Ok(object) => object,
            Err(failure) if failure.is(StatusCode::NOT_FOUND) => {
                tracing::debug!("{target} is not there yet");
                return Ok(Look::Waits);
            }
            Err(failure) => return Err(api(failure)),
        };
        if !target.set_authority(&mut object, &STANDARD.encode(authority)) {
            return Ok(Look::Found);
        }
        let path = format!("{}?fieldManager={FIELD_MANAGER}", target.path());
        match call::put::<Value>(&self.client, &path, &object).await {
            Ok(_) => tracing::info!("{target} names the webhook's authority"),
            // It has changed meanwhile, so it is looked at again.
            Err(failure) if failure.is(StatusCode::CONFLICT) || failure.is(StatusCode::NOT_FOUND) => {
                self.changed.notify_one();
            }
            Err(failure) => return Err(api(failure)),
        }
        Ok(Look::Mended)
    }

    /// Tells of every change of what is looked after.
    fn watches(&self) -> impl Future<Output = ()> + use<> {
        let secrets: Api<PartialObjectMeta<Secret>> = Api::namespaced(self.client.clone(), &self.namespace);
        let configurations: Api<PartialObjectMeta<ValidatingWebhookConfiguration>> =
            Api::all(self.client.clone());
        let definitions: Api<PartialObjectMeta<CustomResourceDefinition>> = Api::all(self.client.clone());
        let secret = watch(secrets, self.secret_name.clone(), Arc::clone(&self.changed));
        let configuration = watch(configurations, CONFIGURATION.name.to_owned(), Arc::clone(&self.changed));
        let definition = watch(definitions, DEFINITION.name.to_owned(), Arc::clone(&self.changed));
        async move {
            tokio::join!(secret, configuration, definition);
        }
    }
}

/// Of the object only the metadata is read: a definition is long.
async fn watch<K>(api: Api<PartialObjectMeta<K>>, name: String, changed: Arc<Notify>)
where
    K: Resource<DynamicType = ()> + Clone + std::fmt::Debug + Send + Sync + 'static,
{
    let (told, mut changes) = mpsc::channel(16);
    let watching = follow(api, Only::named(&name), |_| Some(()), told, |change| change);
    let telling = async {
        while changes.recv().await.is_some() {
            changed.notify_one();
        }
    };
    tokio::join!(watching, telling);
}

fn material_in(secret: &Value) -> Option<Material> {
    let read =
        |key: &str| STANDARD.decode(secret["data"][key].as_str()?).ok().filter(|bytes| !bytes.is_empty());
    Some(Material {
        authority: read("ca.crt")?,
        authority_key: read("ca.key")?,
        certificate: read("tls.crt")?,
        key: read("tls.key")?,
    })
}

/// Whatever else is in the Secret stays.
fn put_into(secret: &mut Value, material: &Material) {
    if !secret["data"].is_object() {
        secret["data"] = json!({});
    }
    for (key, bytes) in [
        ("ca.crt", &material.authority),
        ("ca.key", &material.authority_key),
        ("tls.crt", &material.certificate),
        ("tls.key", &material.key),
    ] {
        secret["data"][key] = STANDARD.encode(bytes).into();
    }
}
