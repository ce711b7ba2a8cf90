//! Having a Service answered for by a certain node, by an annotation that every speaker sees, and seeing that it is.

use std::time::{Duration, Instant};

use api::placement::MOVE_TO;
use http::StatusCode;
use kube::Client;
use plan::snapshot::ServiceKey;
use serde_json::{Value, json};

use crate::call::{self, Failure};

const STATUSES: &str = "/apis/metallb.io/v1beta1/servicel2statuses";
const LOOK_EVERY: Duration = Duration::from_millis(50);

#[derive(Debug, thiserror::Error)]
pub(crate) enum RelocateError {
    #[error("there is no Service {0}")]
    NoService(ServiceKey),
    #[error("there is no Node {0}")]
    NoNode(String),
    #[error("{what}: {failure}")]
    Failed { what: String, failure: Failure },
}

/// Says where a Service is to be answered for; nowhere in particular without a node.
pub(crate) async fn ask(
    client: &Client,
    service: &ServiceKey,
    node: Option<&str>,
) -> Result<(), RelocateError> {
    if let Some(node) = node {
        let found = call::get::<Value>(client, &format!("/api/v1/nodes/{}", encoded(node))).await;
        found.map_err(|failure| match failure.is(StatusCode::NOT_FOUND) {
            true => RelocateError::NoNode(node.to_owned()),
            false => RelocateError::Failed { what: format!("the Node {node}"), failure },
        })?;
    }
    let (namespace, name) = (encoded(&service.namespace), encoded(&service.name));
    let path = format!("/api/v1/namespaces/{namespace}/services/{name}?fieldManager=ferrolb-move");
    let body = json!({"metadata": {"annotations": {MOVE_TO: node}}});
    let patched = call::patch::<Value>(client, &path, call::MERGE_PATCH, &body).await;
    patched.map(drop).map_err(|failure| match failure.is(StatusCode::NOT_FOUND) {
        true => RelocateError::NoService(service.clone()),
        false => RelocateError::Failed { what: format!("the Service {service}"), failure },
    })
}

/// Waits until this node is said to announce a Service, and it alone. Says who is in the end.
pub(crate) async fn wait(
    client: &Client,
    service: &ServiceKey,
    node: &str,
    patience: Duration,
) -> Result<Vec<String>, RelocateError> {
    let until = Instant::now() + patience;
    loop {
        let announcers = announcers(client, service).await?;
        if announcers == [node] || Instant::now() >= until {
            return Ok(announcers);
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

/// Nodes that are said to announce a Service, by name.
pub(crate) async fn announcers(client: &Client, service: &ServiceKey) -> Result<Vec<String>, RelocateError> {
    let (namespace, name) = (encoded(&service.namespace), encoded(&service.name));
    let path = format!(
        "{STATUSES}?labelSelector=metallb.io%2Fservice-name%3D{name}%2Cmetallb.io%2Fservice-namespace%3D{namespace}"
    );
    let all = call::list(client, &path).await.map_err(|failure| RelocateError::Failed {
        what: format!("who announces the Service {service}"),
        failure,
    })?;
    let named = all.iter().filter_map(|it| it["status"]["node"].as_str()).filter(|node| !node.is_empty());
    let mut nodes: Vec<String> = named.map(str::to_owned).collect();
    nodes.sort();
    nodes.dedup();
    Ok(nodes)
}

fn encoded(text: &str) -> String {
    form_urlencoded::byte_serialize(text.as_bytes()).collect()
}
