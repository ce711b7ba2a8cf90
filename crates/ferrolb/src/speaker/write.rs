//! One step towards the right ServiceL2Status, as one or two requests.

use http::StatusCode;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use kube::Client;
use plan::snapshot::ServiceKey;
use serde_json::{Value, json};

use api::metallb::ServiceL2Status;

use super::options::StatusLayout;
use super::statuses::{Object, Step};
use crate::call::{self, Failure};
use crate::pace::Outcome;
use crate::watch::Key;

/// What is known after a step.
#[derive(Debug)]
pub(super) enum Done {
    Is(Box<Object>),
    Gone(Key),
    /// The watch will tell.
    Unknown,
}

#[derive(Clone)]
pub(super) struct Writer {
    pub(super) client: Client,
    pub(super) layout: StatusLayout,
    /// Of objects in FerroLB's namespace.
    pub(super) pod: Option<OwnerReference>,
}

impl Writer {
    /// `uid` is that of the Service, where it is known.
    pub(super) async fn take(self, service: ServiceKey, uid: Option<String>, step: Step) -> (Done, Outcome) {
        let answer = match step {
            Step::Create { key, labels } => {
                let object = json!({
                    "apiVersion": "metallb.io/v1beta1",
                    "kind": "ServiceL2Status",
                    "metadata": {
                        "name": key.1,
                        "namespace": key.0,
                        "labels": labels,
                        "ownerReferences": self.owners(&service, uid),
                    },
                    "spec": {"serviceName": service.name, "serviceNamespace": service.namespace},
                });
                match call::post(&self.client, &collection(&key), &object).await {
                    // It is there already, perhaps without the labels by which it is known.
                    Err(failure) if failure.is(StatusCode::CONFLICT) => {
                        self.patch(&path(&key), &key, &json!({"metadata": {"labels": labels}})).await
                    }
                    answer => answer.map(|object| self.is(object)),
                }
            }
            Step::SetStatus { key, status } => {
                let mut status = json!(status);
                // What is empty is to be emptied.
                for field in ["interfaces", "ips", "conditions"] {
                    if status[field].is_null() {
                        status[field] = json!([]);
                    }
                }
                self.patch(&format!("{}/status", path(&key)), &key, &json!({"status": status})).await
            }
            Step::Clear { key } => {
                let status = json!({"node": null, "interfaces": null, "ips": null, "conditions": null});
                self.patch(&format!("{}/status", path(&key)), &key, &json!({"status": status})).await
            }
            Step::Label { key, labels } => {
                self.patch(&path(&key), &key, &json!({"metadata": {"labels": labels}})).await
            }
            Step::Delete { key } => match call::delete(&self.client, &path(&key)).await {
                Err(failure) if !failure.is(StatusCode::NOT_FOUND) => Err(failure),
                _ => Ok(Done::Gone(key)),
            },
        };
        match answer {
            Ok(done) => (done, Outcome::Fine),
            Err(failure) => {
                tracing::warn!(service = %service, error = %failure, "the ServiceL2Status is not written yet");
                (Done::Unknown, Outcome::from(&failure))
            }
        }
    }

    async fn patch(&self, path: &str, key: &Key, patch: &Value) -> Result<Done, Failure> {
        match call::patch(&self.client, path, call::MERGE_PATCH, patch).await {
            Ok(object) => Ok(self.is(object)),
            Err(failure) if failure.is(StatusCode::NOT_FOUND) => Ok(Done::Gone(key.clone())),
            Err(failure) => Err(failure),
        }
    }

    fn is(&self, object: ServiceL2Status) -> Done {
        Object::read(object, self.layout).map_or(Done::Unknown, |object| Done::Is(Box::new(object)))
    }

    /// An object beside the Service goes with the Service, another one with this Pod.
    fn owners(&self, service: &ServiceKey, uid: Option<String>) -> Vec<OwnerReference> {
        match self.layout {
            StatusLayout::Metallb => self.pod.iter().cloned().collect(),
            StatusLayout::Service => uid
                .map(|uid| OwnerReference {
                    api_version: "v1".to_owned(),
                    kind: "Service".to_owned(),
                    name: service.name.to_string(),
                    uid,
                    ..OwnerReference::default()
                })
                .into_iter()
                .collect(),
        }
    }
}

fn collection(key: &Key) -> String {
    format!("/apis/metallb.io/v1beta1/namespaces/{}/servicel2statuses", key.0)
}

fn path(key: &Key) -> String {
    format!("{}/{}", collection(key), key.1)
}
