//! Measures who announces what, and prints one line of JSON per figure:
//! `cargo run --release -p plan --example bench_announce`.

use std::collections::{BTreeMap, BTreeSet};
use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};

use plan::Config;
use plan::announce::{Alive, Cluster, Options, bgp, everywhere, on_node};
use plan::config::{AddressEntry, BgpAdvertisement, L2Advertisement, Pool, RouteExtras};
use plan::placement::Wishes;
use plan::selector::{Labels, Operator, Requirement, Selector};
use plan::snapshot::{Ingress, IpFamilyPolicy, Node, Service, ServiceKey, ServiceType, Serving};

/// What has a target.
const LIMITS_MS: [(&str, f64); 6] = [
    ("announce_everywhere_both_protocols/10000x100", 200.0),
    ("announce_everywhere/10000x100", 200.0),
    ("announce_everywhere_1000_pools/10000x100", 200.0),
    ("announce_one_endpoint_change", 1.0),
    ("announce_one_node_change/10000x100", 200.0),
    ("announce_one_node_fails/10000x100", 200.0),
];
const SERVICES: usize = 10_000;
const NODES: usize = 100;
/// The best of these counts: what disturbs comes from outside.
const RUNS: usize = 5;

fn main() {
    let services: Vec<Service> = (0..SERVICES).map(service).collect();
    let serving =
        Serving { anywhere: true, nodes: (0..NODES).step_by(7).map(|at| (node_name(at), 1)).collect() };
    let one_pool = cluster(vec![pool("pool", "10.0.0.0/8", vec![advertisement("all", &[])])]);
    let decide_all = |cluster: &Cluster| {
        let owners = services.iter().filter(|it| everywhere(cluster, it, &serving).owner().is_some());
        assert_eq!(owners.count(), SERVICES, "every Service has an owner");
    };
    report("announce_everywhere/10000x100", best(|| decide_all(&one_pool)));
    let many = cluster(many_pools());
    report("announce_everywhere_1000_pools/10000x100", best(|| decide_all(&many)));
    let mut by_both = pool("pool", "10.0.0.0/8", vec![advertisement("all", &[])]);
    by_both.bgp_advertisements =
        vec![Arc::new(bgp_advertisement("all", 32)), Arc::new(bgp_advertisement("wide", 24))];
    let by_both = cluster(vec![by_both]);
    let decide_both = || {
        decide_all(&by_both);
        for service in &services {
            black_box(bgp::everywhere(&by_both, service, &serving));
        }
    };
    report("announce_everywhere_both_protocols/10000x100", best(decide_both));

    let own_decisions = |cluster: &Cluster| {
        for service in &services {
            black_box(on_node(cluster, service, &serving, "node-042"));
            let _ = black_box(bgp::on_node(cluster, service, &serving, "node-042"));
        }
    };
    report("announce_one_endpoint_change", best(|| own_decisions(&many)) / SERVICES as u32);
    let (config, nodes) = (many.config(), many.nodes());
    let anew = || Cluster::new(config.clone(), nodes.clone(), Alive::Everyone, Options::default());
    let all: BTreeSet<String> = (0..NODES).map(node_name).collect();
    let fails = || {
        let mut alive = all.clone();
        alive.remove("node-007");
        many.with_alive(Alive::These(alive))
    };
    report("announce_one_node_change/10000x100", best(|| own_decisions(&anew())));
    report("announce_one_node_fails/10000x100", best(|| own_decisions(&fails())));
    report("announce_cluster_one_node_fails", best(|| drop(black_box(fails()))));
    report("announce_cluster_1000_pools_3000_advertisements", best(|| drop(black_box(anew()))));
}

fn best(work: impl Fn()) -> Duration {
    let timed = |_| {
        let start = Instant::now();
        work();
        start.elapsed()
    };
    (0..RUNS).map(timed).min().unwrap_or_default()
}

fn report(name: &str, taken: Duration) {
    let milliseconds = taken.as_secs_f64() * 1000.0;
    match LIMITS_MS.iter().find(|(limited, _)| *limited == name) {
        Some((_, limit)) => {
            println!(r#"{{"bench":"{name}","milliseconds":{milliseconds:.4},"limit_milliseconds":{limit}}}"#);
        }
        None => println!(r#"{{"bench":"{name}","milliseconds":{milliseconds:.4}}}"#),
    }
}

fn cluster(pools: Vec<Pool>) -> Cluster {
    let pools = pools.into_iter().map(|pool| (pool.name.clone(), pool)).collect();
    let nodes = (0..NODES).map(|index| {
        let name = node_name(index);
        (
            name.clone(),
            Node { name, labels: Labels::default(), network_unavailable: false, is_draining: false },
        )
    });
    let config = Config { pools, ..Config::default() };
    Cluster::new(Arc::new(config), Arc::new(nodes.collect()), Alive::Everyone, Options::default())
}

/// Each with three advertisements of its own: for some Services, with a preference, and for all.
fn many_pools() -> Vec<Pool> {
    let of_pool = |index: usize| {
        let of_applications = Operator::Equals(format!("application-{}", index % 10));
        let requirement = Requirement { key: "app".to_owned(), operator: of_applications };
        let mut selective = advertisement("selective", &[]);
        selective.service_selectors = vec![Selector::new(vec![requirement])];
        let preferring = advertisement("preferring", &[index % NODES, (index + 1) % NODES]);
        let prefix = format!("10.{}.{}.0/24", index / 256, index % 256);
        pool(&format!("pool-{index:04}"), &prefix, vec![advertisement("all", &[]), preferring, selective])
    };
    (0..1000).map(of_pool).collect()
}

fn pool(name: &str, prefix: &str, advertisements: Vec<L2Advertisement>) -> Pool {
    let prefixes = vec![prefix.parse().expect("a prefix of this file")];
    Pool {
        name: name.to_owned(),
        addresses: vec![AddressEntry { text: prefix.to_owned(), prefixes }],
        auto_assign: true,
        avoid_buggy_ips: false,
        scope: None,
        l2_advertisements: advertisements.into_iter().map(Arc::new).collect(),
        bgp_advertisements: Vec::new(),
    }
}

fn advertisement(name: &str, preferred: &[usize]) -> L2Advertisement {
    L2Advertisement {
        name: name.to_owned(),
        nodes: (0..NODES).map(node_name).collect(),
        interfaces: BTreeSet::from(["eth0".to_owned()]),
        service_selectors: Vec::new(),
        preferred_nodes: preferred.iter().map(|&index| (node_name(index), 50)).collect(),
        wishes: Wishes::default(),
    }
}

fn bgp_advertisement(name: &str, aggregation_length: u8) -> BgpAdvertisement {
    BgpAdvertisement {
        name: name.to_owned(),
        aggregation_length,
        aggregation_length_v6: 128,
        local_pref: 0,
        communities: BTreeSet::new(),
        nodes: (0..NODES).map(node_name).collect(),
        peers: BTreeSet::new(),
        service_selectors: Vec::new(),
        extras: RouteExtras::default(),
    }
}

fn node_name(index: usize) -> String {
    format!("node-{index:03}")
}

fn service(index: usize) -> Service {
    let address = format!("10.{}.{}.{}", index % 1000 / 256, index % 1000 % 256, index / 1000 + 1);
    Service {
        key: ServiceKey::new("default", &format!("service-{index:06}")),
        labels: Labels::from([("app".to_owned(), format!("application-{}", index % 20))]),
        annotations: BTreeMap::new(),
        service_type: ServiceType::LoadBalancer,
        load_balancer_class: None,
        load_balancer_ip: String::new(),
        cluster_ips: Vec::new(),
        cluster_ip: String::new(),
        ip_family_policy: IpFamilyPolicy::SingleStack,
        primary_family: None,
        ports: Vec::new(),
        local_traffic_only: index.is_multiple_of(3),
        selector: Labels::default(),
        ingress: vec![Ingress { ip: Some(address), hostname: None }],
    }
}
