//! Addresses that outlive their Services.

use http::Method;
use serde_json::json;

use crate::cluster::{Cluster, NAMESPACE, SERVICES, wait};

fn ledger() -> String {
    format!("/api/v1/namespaces/{NAMESPACE}/configmaps/ferrolb-reservations")
}

async fn has_entry(cluster: &Cluster, key: &str, part: &str) {
    wait(&format!("{key} is kept with {part}"), async || {
        let is = cluster.get(&ledger()).await["data"][key].as_str().unwrap_or_default().to_owned();
        if is.contains(part) { Ok(()) } else { Err(is) }
    })
    .await;
}

#[tokio::test]
async fn an_address_is_kept_for_a_name_and_given_back_to_it() {
    let cluster = Cluster::new().await;
    cluster.pool("pool", &["192.0.2.0/30"]).await;
    let controller = cluster.start();
    cluster.service_with("kept", json!({"ferrolb.io/retain": "forever"})).await;
    cluster.has("kept", &["192.0.2.0"]).await;
    cluster.service("other").await;
    cluster.has("other", &["192.0.2.1"]).await;
    has_entry(&cluster, "default.kept", r#""addresses":["192.0.2.0"]"#).await;
    cluster.delete(&format!("{SERVICES}/kept")).await;
    cluster.service("next").await;
    cluster.has("next", &["192.0.2.2"]).await;

    // Also by a controller that was not there when it went.
    controller.stop().await;
    let controller = cluster.start();
    cluster.service("last").await;
    cluster.has("last", &["192.0.2.3"]).await;
    cluster.service("kept").await;
    cluster.has("kept", &["192.0.2.0"]).await;
    cluster.has_event("kept", "IPAllocated", r#"Assigned IP ["192.0.2.0"]"#).await;
    wait("nothing is kept any more", async || {
        let data = cluster.get(&ledger()).await["data"].clone();
        if data["default.kept"].is_null() { Ok(()) } else { Err(data.to_string()) }
    })
    .await;
    controller.stop().await;
}

#[tokio::test]
async fn what_is_kept_is_released_by_its_entry_or_its_end() {
    let cluster = Cluster::new().await;
    cluster.pool("pool", &["192.0.2.0/31"]).await;
    let controller = cluster.start();
    cluster.service_with("a", json!({"ferrolb.io/retain": "72h"})).await;
    cluster.has("a", &["192.0.2.0"]).await;
    cluster.service_with("b", json!({"ferrolb.io/retain": "1s"})).await;
    cluster.has("b", &["192.0.2.1"]).await;
    cluster.delete(&format!("{SERVICES}/a")).await;
    has_entry(&cluster, "default.a", "\"until\":").await;
    cluster.service("c").await;
    cluster
        .has_event("c", "AllocationFailed", r#"Failed to allocate IP for "default/c": no available IPs"#)
        .await;
    let release = json!({"data": {"default.a": null}});
    let (code, answer) = cluster.call(Method::PATCH, &ledger(), &release).await;
    assert_eq!(code, 200, "{answer}");
    cluster.has("c", &["192.0.2.0"]).await;

    cluster.delete(&format!("{SERVICES}/b")).await;
    cluster.service("d").await;
    cluster.has("d", &["192.0.2.1"]).await;
    controller.stop().await;
}

#[tokio::test]
async fn a_service_that_goes_while_nobody_looks_keeps_its_address() {
    let cluster = Cluster::new().await;
    cluster.pool("pool", &["192.0.2.0/31"]).await;
    let controller = cluster.start();
    cluster.service_with("a", json!({"ferrolb.io/retain": "72h"})).await;
    cluster.has("a", &["192.0.2.0"]).await;
    has_entry(&cluster, "default.a", "192.0.2.0").await;
    controller.stop().await;
    cluster.delete(&format!("{SERVICES}/a")).await;
    let controller = cluster.start();
    has_entry(&cluster, "default.a", "\"until\":").await;
    cluster.service("b").await;
    cluster.has("b", &["192.0.2.1"]).await;
    controller.stop().await;
}
