//! Everything at once, again and again: churn, faults, controllers that are killed. Then all must be well.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use http::Method;
use serde_json::{Value, json};

use crate::cluster::{Cluster, NAMESPACE, SERVICES, addresses_of, pools, wait};
use crate::faults::{self, Faults};

/// A generator that gives the same numbers for the same seed.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % limit
    }
}

/// Rounds, each of which ends with a kill. `FERROLB_CHAOS_ROUNDS` asks for more.
const ROUNDS: u64 = 100;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_moves_and_nobody_shares_whatever_happens() {
    let rounds = std::env::var("FERROLB_CHAOS_ROUNDS").ok().and_then(|it| it.parse().ok()).unwrap_or(ROUNDS);
    let seed = std::env::var("FERROLB_CHAOS_SEED").ok().and_then(|it| it.parse().ok()).unwrap_or(7);
    let mut random = Random(seed);
    let cluster = Cluster::new().await;
    cluster.pool("pool", &["192.0.2.0/24"]).await;
    // What each Service, by its uid, was seen to have.
    let mut had: BTreeMap<String, String> = BTreeMap::new();
    for round in 0..rounds {
        let faults = Arc::new(Faults::default());
        let controller = cluster.start_with(&faults::client(&cluster.router, &faults));
        let until = tokio::time::Instant::now() + Duration::from_millis(random.below(150));
        while tokio::time::Instant::now() < until {
            churn(&cluster, &mut random, &faults).await;
        }
        controller.kill();
        remember(&cluster, &mut had, round).await;
        // The next one need not wait until the Lease is over.
        let lease = format!("/apis/coordination.k8s.io/v1/namespaces/{NAMESPACE}/leases/ferrolb-controller");
        cluster.call(Method::DELETE, &lease, &Value::Null).await;
    }
    let controller = cluster.start();
    let held = cluster.all_have_one().await;
    remember(&cluster, &mut had, rounds).await;
    let count = async || cluster.get(&format!("{}/pool", pools())).await["status"]["assignedIPv4"].clone();
    wait("the pool is counted", async || {
        let is = count().await;
        if is == held.len() { Ok(()) } else { Err(format!("{is} of {}", held.len())) }
    })
    .await;
    println!(
        "{rounds} rounds; {} Services had an address at some time, {} at the end",
        had.len(),
        held.len()
    );
    controller.stop().await;
}

/// One thing that a user, or bad luck, does.
async fn churn(cluster: &Cluster, random: &mut Random, faults: &Faults) {
    let name = format!("s{}", random.below(60));
    let path = format!("{SERVICES}/{name}");
    match random.below(20) {
        0..=8 => {
            let service = json!({
                "apiVersion": "v1", "kind": "Service", "metadata": {"name": name},
                "spec": {"type": "LoadBalancer", "ports": [{"port": 80}]},
            });
            cluster.call(Method::POST, SERVICES, &service).await;
        }
        9..=11 => {
            cluster.call(Method::DELETE, &path, &Value::Null).await;
        }
        12..=14 => {
            let labels = json!({"metadata": {"labels": {"number": random.below(9).to_string()}}});
            cluster.call(Method::PATCH, &path, &labels).await;
        }
        15 => faults.is_away.store(random.below(2) == 0, Relaxed),
        16 => faults
            .writes_fail_with
            .store([0, 0, 500, 503][usize::try_from(random.below(4)).unwrap()], Relaxed),
        17 => faults.first_tries_conflict.store(random.below(2) == 0, Relaxed),
        18 => {
            let bytes = [0, 700, 5000][usize::try_from(random.below(3)).unwrap()];
            faults.watches_end_after_bytes.store(bytes, Relaxed);
        }
        _ => faults.delay_ms.store(random.below(8), Relaxed),
    }
    tokio::time::sleep(Duration::from_millis(random.below(3))).await;
}

/// No two have the same address, and nobody has another one than before.
async fn remember(cluster: &Cluster, had: &mut BTreeMap<String, String>, round: u64) {
    let list = cluster.get(SERVICES).await;
    let mut holders: BTreeMap<String, String> = BTreeMap::new();
    for service in list["items"].as_array().unwrap() {
        let address = addresses_of(service).join(",");
        if address.is_empty() {
            continue;
        }
        let name = service["metadata"]["name"].as_str().unwrap().to_owned();
        let uid = service["metadata"]["uid"].as_str().unwrap().to_owned();
        let other = holders.insert(address.clone(), name.clone());
        assert_eq!(other, None, "round {round}: {name} has {address} too");
        let before = had.insert(uid, address.clone());
        assert!(before.is_none_or(|before| before == address), "round {round}: {name} moved to {address}");
    }
}
