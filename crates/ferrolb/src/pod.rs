//! The Pod that a component runs in, which what it makes goes with.

use anyhow::Context;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use kube::Client;
use serde_json::Value;

use crate::call;

pub(crate) async fn owner(client: &Client, namespace: &str, name: &str) -> anyhow::Result<OwnerReference> {
    let path = format!("/api/v1/namespaces/{namespace}/pods/{name}");
    let pod: Value =
        call::get(client, &path).await.with_context(|| format!("reading the own Pod {namespace}/{name}"))?;
    let uid = pod["metadata"]["uid"].as_str().unwrap_or_default().to_owned();
    let (api_version, kind) = ("v1".to_owned(), "Pod".to_owned());
    Ok(OwnerReference { api_version, kind, name: name.to_owned(), uid, ..OwnerReference::default() })
}
