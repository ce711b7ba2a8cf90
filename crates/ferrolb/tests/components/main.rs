//! The controller and speakers against the embedded API server, in one process.

mod chaos;
mod cluster;
mod contract;
mod faults;
mod members;
mod nodes;
mod retain;
mod routing;
mod speaker;
mod trouble;

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use cluster::{Cluster, NAMESPACE, SERVICES, pools, wait};
use faults::Faults;
use http::Method;
use serde_json::{Value, json};

#[tokio::test]
async fn a_service_gets_an_address_and_it_is_said() {
    let cluster = Cluster::new().await;
    cluster.pool("pool", &["192.0.2.0/31"]).await;
    let controller = cluster.start();
    cluster.service("a").await;
    cluster.service("b").await;
    cluster.has("a", &["192.0.2.0"]).await;
    cluster.has("b", &["192.0.2.1"]).await;
    cluster.has_event("a", "IPAllocated", r#"Assigned IP ["192.0.2.0"]"#).await;
    let service = cluster.read("a").await;
    assert_eq!(service["metadata"]["annotations"]["metallb.io/ip-allocated-from-pool"], "pool");

    cluster.service("c").await;
    let message = r#"Failed to allocate IP for "default/c": no available IPs"#;
    cluster.has_event("c", "AllocationFailed", message).await;
    let status = async || cluster.get(&format!("{}/pool", pools())).await["status"].clone();
    wait("the pool is counted", async || {
        let is = status().await;
        let wanted = json!({"assignedIPv4": 2, "assignedIPv6": 0, "availableIPv4": 0, "availableIPv6": 0});
        if is == wanted { Ok(()) } else { Err(is.to_string()) }
    })
    .await;

    cluster.delete(&format!("{SERVICES}/a")).await;
    cluster.has("c", &["192.0.2.0"]).await;
    controller.stop().await;
}

#[tokio::test]
async fn nothing_is_written_after_a_restart_with_nothing_to_do() {
    let cluster = Cluster::new().await;
    cluster.pool("pool", &["192.0.2.0/24"]).await;
    let controller = cluster.start();
    for number in 0..50 {
        cluster.service(&format!("s{number}")).await;
    }
    for number in 0..50 {
        let is = async || cluster::addresses_of(&cluster.read(&format!("s{number}")).await);
        wait(
            "it has an address",
            async || {
                if is().await.len() == 1 { Ok(()) } else { Err("none".to_owned()) }
            },
        )
        .await;
    }
    let states = format!("/apis/metallb.io/v1beta1/namespaces/{NAMESPACE}/configurationstates/controller");
    wait("the state is valid", async || {
        let state = cluster.get(&states).await;
        if state["status"]["result"] == "Valid" { Ok(()) } else { Err(state.to_string()) }
    })
    .await;
    let counted = async || cluster.get(&format!("{}/pool", pools())).await["status"]["assignedIPv4"].clone();
    wait("the pool is counted", async || {
        let is = counted().await;
        if is == 50 { Ok(()) } else { Err(is.to_string()) }
    })
    .await;
    controller.stop().await;

    let before: Value = cluster.get(SERVICES).await;
    let pool_before = cluster.get(&format!("{}/pool", pools())).await;
    let faults = Arc::new(Faults::default());
    let controller = cluster.start_with(&faults::client(&cluster.router, &faults));
    cluster.service("last").await;
    cluster.has("last", &["192.0.2.50"]).await;
    let after: Value = cluster.get(SERVICES).await;
    let versions = |list: &Value| -> Vec<(Value, Value)> {
        let of = |it: &Value| (it["metadata"]["name"].clone(), it["metadata"]["resourceVersion"].clone());
        list["items"].as_array().unwrap().iter().map(of).filter(|(name, _)| name != "last").collect()
    };
    assert_eq!(versions(&before), versions(&after));
    wait("the pool is counted", async || {
        let is = counted().await;
        if is == 51 { Ok(()) } else { Err(is.to_string()) }
    })
    .await;
    let of_pools = |it: &&String| it.contains("/ipaddresspools/");
    assert_eq!(faults.written.lock().unwrap().iter().filter(of_pools).count(), 1, "{pool_before}");
    controller.stop().await;
}

#[tokio::test]
async fn a_configuration_that_is_refused_changes_nothing_and_says_why() {
    let cluster = Cluster::new().await;
    cluster.pool("pool", &["192.0.2.0/31"]).await;
    let controller = cluster.start();
    cluster.service("a").await;
    cluster.has("a", &["192.0.2.0"]).await;
    cluster.pool("other", &["192.0.2.1-192.0.2.9"]).await;
    let states = format!("/apis/metallb.io/v1beta1/namespaces/{NAMESPACE}/configurationstates/controller");
    let says = async |result: &str, summary: Value| {
        wait(result, async || {
            let status = &cluster.get(&states).await["status"];
            let is = (status["result"].clone(), status["errorSummary"].clone());
            if is == (json!(result), summary.clone()) { Ok(()) } else { Err(status.to_string()) }
        })
        .await;
    };
    wait("Invalid", async || {
        let status = &cluster.get(&states).await["status"];
        let has_reason = status["errorSummary"]
            .as_str()
            .is_some_and(|it| it.contains("overlaps with already defined CIDR"));
        if status["result"] == "Invalid" && has_reason { Ok(()) } else { Err(status.to_string()) }
    })
    .await;
    cluster.service("b").await;
    cluster.has("b", &["192.0.2.1"]).await;
    cluster.delete(&format!("{}/other", pools())).await;
    says("Valid", Value::Null).await;
    let state = cluster.get(&states).await;
    let managers = state["metadata"]["managedFields"].as_array().unwrap();
    assert!(
        managers.iter().any(|it| it["manager"] == "poolReconciler" && it["subresource"] == "status"),
        "{state}"
    );
    controller.stop().await;
}

#[tokio::test]
async fn the_last_good_pools_outlive_an_outage() {
    let cluster = Cluster::new().await;
    cluster.pool("pool", &["192.0.2.0/24"]).await;
    let faults = Arc::new(Faults::default());
    let controller = cluster.start_with(&faults::client(&cluster.router, &faults));
    cluster.service("a").await;
    cluster.has("a", &["192.0.2.0"]).await;
    cluster.pool("overlapping", &["192.0.2.0/25"]).await;
    cluster.service("b").await;
    cluster.has("b", &["192.0.2.1"]).await;
    // So long that nobody knows any more who decides.
    faults.is_away.store(true, Relaxed);
    tokio::time::sleep(Duration::from_secs(12)).await;
    faults.is_away.store(false, Relaxed);
    cluster.service("c").await;
    cluster.has("c", &["192.0.2.2"]).await;
    controller.stop().await;
}

#[tokio::test]
async fn one_writes_and_the_other_takes_over() {
    let cluster = Cluster::new().await;
    cluster.pool("pool", &["192.0.2.0/24"]).await;
    let first = cluster.start();
    cluster.service("a").await;
    cluster.has("a", &["192.0.2.0"]).await;
    let second = cluster.start();
    cluster.service("b").await;
    cluster.has("b", &["192.0.2.1"]).await;
    first.stop().await;
    cluster.service("c").await;
    cluster.has("c", &["192.0.2.2"]).await;
    let leases = format!("/apis/coordination.k8s.io/v1/namespaces/{NAMESPACE}/leases");
    let lease = cluster.get(&format!("{leases}/ferrolb-controller")).await;
    assert_eq!(lease["spec"]["leaseTransitions"], 1);
    second.stop().await;
}

#[tokio::test]
async fn a_killed_controller_has_done_nothing_by_halves() {
    let cluster = Cluster::new().await;
    cluster.pool("pool", &["192.0.2.0/24"]).await;
    let first = cluster.start();
    cluster.service("a").await;
    cluster.has("a", &["192.0.2.0"]).await;
    first.kill();
    // Nobody gave the Lease back, so it is taken away, to save the test the wait.
    let leases = format!("/apis/coordination.k8s.io/v1/namespaces/{NAMESPACE}/leases");
    cluster.delete(&format!("{leases}/ferrolb-controller")).await;
    let second = cluster.start();
    cluster.patch(&format!("{SERVICES}/a"), json!({"metadata": {"labels": {"new": "label"}}})).await;
    cluster.service("b").await;
    cluster.has("b", &["192.0.2.1"]).await;
    cluster.has("a", &["192.0.2.0"]).await;
    second.stop().await;
}

#[tokio::test]
async fn definitions_may_come_later() {
    let cluster = Cluster::empty().await;
    let controller = cluster.start();
    cluster.service("a").await;
    cluster.install().await;
    cluster.pool("pool", &["192.0.2.0/24"]).await;
    cluster.has("a", &["192.0.2.0"]).await;
    let (code, _) = cluster.call(Method::DELETE, &format!("{}/pool", pools()), &Value::Null).await;
    assert_eq!(code, 200);
    cluster.has("a", &[]).await;
    // They may also go, and come again.
    let definition = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/ipaddresspools.metallb.io";
    cluster.delete(definition).await;
    wait("the definition is gone", async || {
        let (code, _) = cluster.call(Method::GET, definition, &Value::Null).await;
        if code == 404 { Ok(()) } else { Err(code.to_string()) }
    })
    .await;
    let definitions = api::crds::all();
    let again = definitions.iter().find(|it| it["metadata"]["name"] == "ipaddresspools.metallb.io").unwrap();
    cluster.post("/apis/apiextensions.k8s.io/v1/customresourcedefinitions", again.clone()).await;
    cluster.pool("pool", &["198.51.100.0/24"]).await;
    cluster.has("a", &["198.51.100.0"]).await;
    controller.stop().await;
}
