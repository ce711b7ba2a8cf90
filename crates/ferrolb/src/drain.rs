//! Taking a node out of service, by an annotation that every speaker sees, and seeing that nothing is announced from it any
//! more.

use std::time::{Duration, Instant};

use kube::Client;
use plan::announce::DRAIN_ANNOTATION;
use serde_json::{Value, json};

use crate::call::{self, Failure};

const STATUSES: &str = "/apis/metallb.io/v1beta1/servicel2statuses";
const LOOK_EVERY: Duration = Duration::from_millis(250);

/// Says that a node is to announce nothing, or that it may again.
pub(crate) async fn set(client: &Client, node: &str, is_draining: bool) -> Result<(), Failure> {
    let value = is_draining.then_some("true");
    let body = json!({"metadata": {"annotations": {DRAIN_ANNOTATION: value}}});
    call::patch::<Value>(client, &path(node), call::MERGE_PATCH, &body).await.map(drop)
}

/// Waits until nothing is announced from there, and tells each time what still is. Says what was left in the end.
pub(crate) async fn wait(
    client: &Client,
    node: &str,
    patience: Duration,
    mut tell: impl FnMut(&[String]),
) -> Result<Vec<String>, Failure> {
    let until = Instant::now() + patience;
    loop {
        let left = announced_from(client, node).await?;
        if left.is_empty() || Instant::now() >= until {
            return Ok(left);
        }
        tell(&left);
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

/// The Services that statuses say are announced from a node.
async fn announced_from(client: &Client, node: &str) -> Result<Vec<String>, Failure> {
    let all = call::list(client, STATUSES).await?;
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let of_node = all.iter().map(|it| &it["status"]).filter(|status| status["node"] == node);
    let mut names: Vec<String> = of_node
        .map(|status| format!("{}/{}", text(&status["serviceNamespace"]), text(&status["serviceName"])))
        .collect();
    names.sort();
    names.dedup();
    Ok(names)
}

fn path(node: &str) -> String {
    let name: String = form_urlencoded::byte_serialize(node.as_bytes()).collect();
    format!("/api/v1/nodes/{name}?fieldManager=ferrolb-drain")
}
