//! One kind of trouble at a time: what was given stays, and what is to be given is given when the trouble is over.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use serde_json::json;

use crate::cluster::{Cluster, Running, SERVICES, pools, wait};
use crate::faults::{self, Faults};

/// A cluster with a pool and a Service that has an address, and a controller on a way that can be made bad.
async fn set_up() -> (Cluster, Arc<Faults>, Running) {
    let cluster = Cluster::new().await;
    cluster.pool("pool", &["192.0.2.0/24"]).await;
    let faults = Arc::new(Faults::default());
    let controller = cluster.start_with(&faults::client(&cluster.router, &faults));
    cluster.service("first").await;
    cluster.has("first", &["192.0.2.0"]).await;
    (cluster, faults, controller)
}

async fn services(cluster: &Cluster, count: usize) {
    for number in 0..count {
        cluster.service(&format!("s{number}")).await;
    }
}

/// Everybody has an address, nobody has another's, and the first has the one it had.
async fn is_well(cluster: &Cluster) {
    let held = cluster.all_have_one().await;
    let different: std::collections::BTreeSet<&String> = held.values().collect();
    assert_eq!(different.len(), held.len(), "{held:?}");
    assert_eq!(held["first"], "192.0.2.0");
}

#[tokio::test]
async fn no_server_for_a_while() {
    let (cluster, faults, controller) = set_up().await;
    faults.is_away.store(true, Relaxed);
    services(&cluster, 20).await;
    cluster.delete(&format!("{SERVICES}/s7")).await;
    tokio::time::sleep(Duration::from_millis(500)).await;
    faults.is_away.store(false, Relaxed);
    is_well(&cluster).await;
    controller.stop().await;
}

#[tokio::test]
async fn every_write_fails_for_a_while() {
    let (cluster, faults, controller) = set_up().await;
    for code in [500, 503, 429, 403] {
        faults.writes_fail_with.store(code, Relaxed);
        services_of(&cluster, code, 20).await;
        let before = faults.writes.load(Relaxed);
        tokio::time::sleep(Duration::from_millis(700)).await;
        let tried = faults.writes.load(Relaxed) - before;
        assert!(tried < 300, "{code}: {tried} tries are a storm");
        faults.writes_fail_with.store(0, Relaxed);
        is_well(&cluster).await;
    }
    controller.stop().await;
}

async fn services_of(cluster: &Cluster, code: usize, count: usize) {
    for number in 0..count {
        cluster.service(&format!("s{code}-{number}")).await;
    }
}

#[tokio::test]
async fn somebody_else_is_always_faster_once() {
    let (cluster, faults, controller) = set_up().await;
    faults.first_tries_conflict.store(true, Relaxed);
    services(&cluster, 20).await;
    is_well(&cluster).await;
    controller.stop().await;
}

#[tokio::test]
async fn a_slow_server() {
    let (cluster, faults, controller) = set_up().await;
    faults.delay_ms.store(400, Relaxed);
    services(&cluster, 60).await;
    cluster.patch(&format!("{SERVICES}/s3"), json!({"metadata": {"labels": {"a": "b"}}})).await;
    is_well(&cluster).await;
    controller.stop().await;
}

#[tokio::test]
async fn watches_that_break_off_in_the_middle_of_an_event() {
    let (cluster, faults, controller) = set_up().await;
    faults.watches_end_after_bytes.store(6000, Relaxed);
    faults.is_away.store(true, Relaxed);
    tokio::time::sleep(Duration::from_millis(50)).await;
    faults.is_away.store(false, Relaxed);
    services(&cluster, 20).await;
    is_well(&cluster).await;
    cluster.delete(&format!("{SERVICES}/s0")).await;
    cluster.service("last").await;
    is_well(&cluster).await;
    controller.stop().await;
}

#[tokio::test]
async fn a_server_that_has_lost_its_history() {
    let (cluster, faults, controller) = set_up().await;
    faults.is_away.store(true, Relaxed);
    services(&cluster, 20).await;
    cluster.delete(&format!("{SERVICES}/s0")).await;
    faults.history_is_gone.store(true, Relaxed);
    faults.is_away.store(false, Relaxed);
    tokio::time::sleep(Duration::from_millis(300)).await;
    faults.history_is_gone.store(false, Relaxed);
    is_well(&cluster).await;
    controller.stop().await;
}

#[tokio::test]
async fn events_that_come_twice() {
    let (cluster, faults, controller) = set_up().await;
    faults.watches_stutter.store(true, Relaxed);
    faults.is_away.store(true, Relaxed);
    tokio::time::sleep(Duration::from_millis(50)).await;
    faults.is_away.store(false, Relaxed);
    services(&cluster, 20).await;
    is_well(&cluster).await;
    let events = cluster.events("s5").await;
    assert_eq!(events.iter().map(|event| event.3).sum::<u64>(), 1, "{events:?}");
    controller.stop().await;
}

#[tokio::test]
async fn a_namespace_that_goes_while_its_services_are_served() {
    let (cluster, _faults, controller) = set_up().await;
    let namespace = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "going"}});
    cluster.post("/api/v1/namespaces", namespace).await;
    for number in 0..20 {
        let service = json!({
            "apiVersion": "v1", "kind": "Service", "metadata": {"name": format!("g{number}")},
            "spec": {"type": "LoadBalancer", "ports": [{"port": 80}]},
        });
        cluster.post("/api/v1/namespaces/going/services", service).await;
    }
    cluster.delete("/api/v1/namespaces/going").await;
    services(&cluster, 10).await;
    is_well(&cluster).await;
    let count = async || cluster.get(&format!("{}/pool", pools())).await["status"]["assignedIPv4"].clone();
    wait("what went holds nothing", async || {
        let is = count().await;
        if is == 11 { Ok(()) } else { Err(is.to_string()) }
    })
    .await;
    controller.stop().await;
}

#[tokio::test]
async fn a_pool_that_shrinks_under_load() {
    let (cluster, _faults, controller) = set_up().await;
    services(&cluster, 20).await;
    let shrunk = json!({"spec": {"addresses": ["192.0.2.0-192.0.2.9", "198.51.100.0/24"]}});
    cluster.patch(&format!("{}/pool", pools()), shrunk).await;
    services_of(&cluster, 1, 20).await;
    let allowed = async || {
        let held = cluster.all_have_one().await;
        held.values().all(|address| {
            let last: u8 = address.rsplit('.').next().unwrap_or_default().parse().unwrap_or_default();
            address.starts_with("198.51.100.") || last < 10
        })
    };
    wait("nobody is outside the pool", async || if allowed().await { Ok(()) } else { Err(String::new()) })
        .await;
    is_well(&cluster).await;
    controller.stop().await;
}
