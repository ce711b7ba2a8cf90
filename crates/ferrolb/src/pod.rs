//! Pods, as far as they are read: also the one that a component runs in, which what it makes goes with.

use std::borrow::Cow;

use anyhow::Context;
use k8s_openapi::api::core::v1;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};
use kube::{Client, Resource};
use serde::Deserialize;
use serde_json::Value;

use crate::call;

/// The whole of it has a thousand fields.
#[derive(Debug, Clone, Default, Deserialize)]
pub(crate) struct Pod {
    #[serde(default)]
    pub(crate) metadata: ObjectMeta,
    pub(crate) spec: Option<Spec>,
    pub(crate) status: Option<Status>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Spec {
    pub(crate) node_name: Option<String>,
}

#[derive(Debug, Clone, Default, Deserialize)]
pub(crate) struct Status {
    pub(crate) phase: Option<String>,
    #[serde(rename = "podIP")]
    pub(crate) pod_ip: Option<String>,
    #[serde(rename = "podIPs")]
    pub(crate) pod_ips: Option<Vec<v1::PodIP>>,
}

pub(crate) async fn owner(client: &Client, namespace: &str, name: &str) -> anyhow::Result<OwnerReference> {
    let path = format!("/api/v1/namespaces/{namespace}/pods/{name}");
    let pod: Value =
        call::get(client, &path).await.with_context(|| format!("reading the own Pod {namespace}/{name}"))?;
    let uid = pod["metadata"]["uid"].as_str().unwrap_or_default().to_owned();
    let (api_version, kind) = ("v1".to_owned(), "Pod".to_owned());
    Ok(OwnerReference { api_version, kind, name: name.to_owned(), uid, ..OwnerReference::default() })
}

impl Resource for Pod {
    type DynamicType = ();
    type Scope = <v1::Pod as Resource>::Scope;

    fn kind((): &()) -> Cow<'_, str> {
        v1::Pod::kind(&())
    }

    fn group((): &()) -> Cow<'_, str> {
        v1::Pod::group(&())
    }

    fn version((): &()) -> Cow<'_, str> {
        v1::Pod::version(&())
    }

    fn plural((): &()) -> Cow<'_, str> {
        v1::Pod::plural(&())
    }

    fn meta(&self) -> &ObjectMeta {
        &self.metadata
    }

    fn meta_mut(&mut self) -> &mut ObjectMeta {
        &mut self.metadata
    }
}
