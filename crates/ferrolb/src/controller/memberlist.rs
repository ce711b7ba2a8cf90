//! The Secret that speakers share: made once, if it is not there, and never changed.

use anyhow::Context;
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};
use http::StatusCode;
use kube::Client;
use serde_json::{Value, json};

use crate::call;

pub(super) async fn make(
    client: &Client,
    namespace: &str,
    name: &str,
    deployment: Option<&str>,
) -> anyhow::Result<()> {
    let secrets = format!("/api/v1/namespaces/{namespace}/secrets");
    let listed: Value = call::get(client, &format!("{secrets}?fieldSelector=metadata.name%3D{name}"))
        .await
        .with_context(|| format!("listing Secret {namespace}/{name}"))?;
    if listed["items"].as_array().is_some_and(|items| !items.is_empty()) {
        return Ok(());
    }
    let owners = match deployment {
        None => json!([]),
        Some(deployment) => {
            let path = format!("/apis/apps/v1/namespaces/{namespace}/deployments/{deployment}");
            let found: Value = call::get(client, &path)
                .await
                .with_context(|| format!("reading Deployment {namespace}/{deployment}"))?;
            json!([{
                "apiVersion": "apps/v1",
                "kind": "Deployment",
                "name": deployment,
                "uid": found["metadata"]["uid"],
            }])
        }
    };
    let mut random = [0; 16];
    getrandom::fill(&mut random)?;
    // Twice: once as the text that is the key, once as the API writes the bytes of a Secret.
    let key = STANDARD.encode(STANDARD_NO_PAD.encode(random));
    let secret = json!({
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": name, "namespace": namespace, "ownerReferences": owners},
        "type": "Opaque",
        "data": {"secretkey": key},
    });
    match call::post::<Value>(client, &secrets, &secret).await {
        Ok(_) => {
            tracing::info!("made Secret {namespace}/{name}, which speakers find each other with");
            Ok(())
        }
        // Another controller has made it.
        Err(failure) if failure.is(StatusCode::CONFLICT) => Ok(()),
        Err(failure) => Err(failure).with_context(|| format!("creating Secret {namespace}/{name}")),
    }
}
