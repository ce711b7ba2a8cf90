//! What clusters and their tools rely on, object by object.

use std::sync::Arc;

use ferrolb::controller::Options;
use serde_json::json;

use crate::cluster::{Cluster, NAMESPACE, SERVICES, pools, wait};
use crate::faults::{self, Faults};

#[tokio::test]
async fn an_assignment_is_one_write_and_one_event() {
    let cluster = Cluster::new().await;
    cluster.pool("pool", &["192.0.2.0/24"]).await;
    let faults = Arc::new(Faults::default());
    let controller = cluster.start_with(&faults::client(&cluster.router, &faults));
    for number in 0..30 {
        cluster.service(&format!("s{number}")).await;
    }
    for (name, address) in cluster.all_have_one().await {
        cluster.has_event(&name, "IPAllocated", &format!("Assigned IP [\"{address}\"]")).await;
    }
    controller.stop().await;
    let written = faults.written.lock().unwrap();
    let count = |part: &str| written.iter().filter(|it| it.contains(part)).count();
    assert_eq!((count("/services/"), count("/events")), (30, 30), "{written:#?}");
    assert!(
        written
            .iter()
            .filter(|it| it.contains("/services/"))
            .all(|it| it.starts_with("PUT") && it.ends_with("/status"))
    );
}

#[tokio::test]
async fn what_somebody_edits_is_put_right() {
    let cluster = Cluster::new().await;
    cluster.pool("pool", &["192.0.2.0/24"]).await;
    let controller = cluster.start();
    cluster.service("a").await;
    cluster.has("a", &["192.0.2.0"]).await;

    let foreign = json!({"status": {"loadBalancer": {"ingress": [{"ip": "203.0.113.7"}]}}});
    cluster.patch(&format!("{SERVICES}/a/status"), foreign).await;
    cluster.has("a", &["192.0.2.0"]).await;
    let lowered = json!({"status": {"assignedIPv4": 77}});
    cluster.patch(&format!("{}/pool/status", pools()), lowered).await;
    wait("the pool is counted right", async || {
        let is = cluster.get(&format!("{}/pool", pools())).await["status"]["assignedIPv4"].clone();
        if is == 1 { Ok(()) } else { Err(is.to_string()) }
    })
    .await;
    let state = format!("/apis/metallb.io/v1beta1/namespaces/{NAMESPACE}/configurationstates/controller");
    let is_valid = async || {
        wait("the state is valid", async || {
            let state = cluster.get(&state).await;
            if state["status"]["result"] == "Valid" { Ok(()) } else { Err(state.to_string()) }
        })
        .await;
    };
    is_valid().await;
    cluster.delete(&state).await;
    is_valid().await;
    let labels = &cluster.get(&state).await["metadata"]["labels"];
    assert_eq!(*labels, json!({"metallb.io/component-type": "controller"}));
    controller.stop().await;
}

#[tokio::test]
async fn a_service_that_is_not_ours_any_more_gives_its_address_back() {
    let cluster = Cluster::new().await;
    cluster.pool("pool", &["192.0.2.0/32"]).await;
    let options = Options { load_balancer_class: Some("example.com/ours".to_owned()), ..Options::default() };
    let controller = cluster.start_as(&cluster.client, options);
    let ours = |name: &str| {
        json!({
            "apiVersion": "v1", "kind": "Service", "metadata": {"name": name},
            "spec": {"type": "LoadBalancer", "loadBalancerClass": "example.com/ours", "ports": [{"port": 80}]},
        })
    };
    cluster.service("other").await;
    cluster.post(SERVICES, ours("a")).await;
    cluster.has("a", &["192.0.2.0"]).await;
    cluster.post(SERVICES, ours("b")).await;
    let nothing = r#"Failed to allocate IP for "default/b": no available IPs"#;
    cluster.has_event("b", "AllocationFailed", nothing).await;
    // The class goes with the type.
    cluster
        .patch(&format!("{SERVICES}/a"), json!({"spec": {"type": "ClusterIP", "loadBalancerClass": null}}))
        .await;
    cluster.has("b", &["192.0.2.0"]).await;
    assert_eq!(cluster.events("other").await, []);
    cluster.has("other", &[]).await;
    controller.stop().await;
}

#[tokio::test]
async fn the_secret_of_speakers_is_made_once() {
    let cluster = Cluster::new().await;
    let labels = json!({"app": "metallb"});
    let deployment = json!({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "controller"},
        "spec": {
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": {"containers": [{"name": "c", "image": "i"}]}},
        },
    });
    let deployment =
        cluster.post(&format!("/apis/apps/v1/namespaces/{NAMESPACE}/deployments"), deployment).await;
    let options = || Options {
        memberlist_secret: Some("memberlist".to_owned()),
        deployment: Some("controller".to_owned()),
        ..Options::default()
    };
    let path = format!("/api/v1/namespaces/{NAMESPACE}/secrets/memberlist");
    let mut keys = Vec::new();
    for _ in 0..2 {
        let controller = cluster.start_as(&cluster.client, options());
        wait("the Secret is there", async || {
            let secret = cluster.get(&path).await;
            if secret["kind"] == "Secret" { Ok(()) } else { Err(secret.to_string()) }
        })
        .await;
        let secret = cluster.get(&path).await;
        let owner = &secret["metadata"]["ownerReferences"][0];
        assert_eq!((&owner["kind"], &owner["uid"]), (&json!("Deployment"), &deployment["metadata"]["uid"]));
        keys.push(secret["data"]["secretkey"].as_str().unwrap().to_owned());
        controller.stop().await;
    }
    assert_eq!(keys[0], keys[1]);
    // 22 characters, as the API writes bytes.
    assert_eq!(keys[0].len(), 32);
}

#[tokio::test]
async fn a_deprecated_annotation_is_told_of_when_something_is_written() {
    let cluster = Cluster::new().await;
    cluster.pool("pool", &["192.0.2.0/24"]).await;
    let controller = cluster.start();
    cluster.service_with("a", json!({"metallb.universe.tf/loadBalancerIPs": "192.0.2.9"})).await;
    cluster.has("a", &["192.0.2.9"]).await;
    let message = "Service uses deprecated annotation metallb.universe.tf/loadBalancerIPs";
    cluster.has_event("a", "deprecatedAnnotation", message).await;
    controller.stop().await;
}
