//! Measures allocation and prints one line of JSON per figure:
//! `cargo run --release -p plan --example bench_allocate`.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use plan::allocate::{Allocator, Options, allocate};
use plan::config::{AddressEntry, Pool};
use plan::selector::Labels;
use plan::snapshot::{IpFamilyPolicy, Service, ServiceKey, ServicePort, ServiceType};

/// What has a target.
const LIMITS_MS: [(&str, f64); 4] = [
    ("allocate/10000", 100.0),
    ("allocate/100000", 1500.0),
    ("allocate_ipv6_slash64/100000", 1500.0),
    ("delete_one_of_100000", 0.1),
];

fn main() {
    for (name, prefix, count) in [
        ("allocate/1000", "10.0.0.0/16", 1_000),
        ("allocate/10000", "10.0.0.0/16", 10_000),
        ("allocate/100000", "10.0.0.0/8", 100_000),
        ("allocate_slash8/1000", "10.0.0.0/8", 1_000),
        ("allocate_slash8/10000", "10.0.0.0/8", 10_000),
        ("allocate_ipv6_slash64/1000", "fd00::/64", 1_000),
        ("allocate_ipv6_slash64/10000", "fd00::/64", 10_000),
        ("allocate_ipv6_slash64/100000", "fd00::/64", 100_000),
    ] {
        whole_cluster(name, &pools([pool("pool", &[prefix.to_owned()])]), &services(count, prefix));
    }
    many_ranges();
    many_pools();
    sharing();
    one_of_many();
    restart();
}

/// A thousand ranges of a hundred addresses each in one pool, and Services for a tenth of them.
fn many_ranges() {
    let ranges: Vec<String> = (0..1000).map(|n| format!("10.{}.{}.0/25", n / 250, n % 250)).collect();
    whole_cluster(
        "allocate_1000_ranges/10000",
        &pools([pool("pool", &ranges)]),
        &services(10_000, "10.0.0.0/8"),
    );
}

/// A thousand pools, nearly all of which are full when the last Services come.
fn many_pools() {
    let pool = |n: u32| pool(&format!("pool-{n:04}"), &[format!("10.{}.{}.0/28", n / 250, n % 250)]);
    whole_cluster("allocate_1000_pools/16000", &pools((0..1000).map(pool)), &services(16_000, "10.0.0.0/8"));
}

fn sharing() {
    let pools = pools([pool("pool", &["10.0.0.0/8".to_owned()])]);
    let sharing = |port: fn(usize) -> usize| -> Vec<Service> {
        let mut services = services(10_000, "10.0.0.0/8");
        for (index, service) in services.iter_mut().enumerate() {
            service.annotations.insert("metallb.io/allow-shared-ip".to_owned(), "key".to_owned());
            service.ports[0].port = i32::try_from(port(index)).unwrap_or(1);
        }
        services
    };
    whole_cluster("allocate_shared_same_port/10000", &pools, &sharing(|_| 80));
    whole_cluster("allocate_shared_distinct_ports/10000", &pools, &sharing(|index| index + 1));
}

fn one_of_many() {
    let services = services(100_000, "10.0.0.0/8");
    let mut allocator = Allocator::new(Options::default());
    allocator.set_pools(pools([pool("pool", &["10.0.0.0/8".to_owned()])]));
    for service in &services {
        allocator.converge(service);
    }
    let deleted: Vec<&ServiceKey> =
        services.iter().step_by(97).take(1_000).map(|service| &service.key).collect();
    let taken = timed(|| assert!(deleted.iter().all(|key| allocator.remove(key)))).0;
    report("delete_one_of_100000", taken / 1_000);
    report(
        "set_pools_with_100000_held",
        timed(|| allocator.set_pools(pools([pool("new", &["10.0.0.0/8".to_owned()])]))).0,
    );
}

/// What a controller does when it starts: all statuses are there, and nothing is to be written.
fn restart() {
    let pools = pools([pool("pool", &["10.0.0.0/8".to_owned()])]);
    let mut services = services(100_000, "10.0.0.0/8");
    let decisions = allocate(&Options::default(), &pools, &services);
    for (service, decision) in services.iter_mut().zip(decisions) {
        decision.write.iter().for_each(|write| write.apply(service));
    }
    let (taken, decisions) = timed(|| allocate(&Options::default(), &pools, &services));
    assert!(decisions.iter().all(|decision| decision.write.is_none()), "a restart writes nothing");
    report("restart/100000", taken);
}

fn whole_cluster(name: &str, pools: &BTreeMap<String, Pool>, services: &[Service]) {
    let (taken, decisions) = timed(|| allocate(&Options::default(), pools, services));
    assert!(decisions.iter().all(|decision| decision.refusal.is_none()), "{name}: everybody gets an address");
    report(name, taken);
}

fn timed<T>(work: impl FnOnce() -> T) -> (Duration, T) {
    let start = Instant::now();
    let result = work();
    (start.elapsed(), result)
}

fn report(name: &str, taken: Duration) {
    let milliseconds = taken.as_secs_f64() * 1000.0;
    match LIMITS_MS.iter().find(|(limited, _)| *limited == name) {
        Some((_, limit)) => {
            println!(r#"{{"bench":"{name}","milliseconds":{milliseconds:.3},"limit_milliseconds":{limit}}}"#);
        }
        None => println!(r#"{{"bench":"{name}","milliseconds":{milliseconds:.3}}}"#),
    }
}

fn pools(pools: impl IntoIterator<Item = Pool>) -> BTreeMap<String, Pool> {
    pools.into_iter().map(|pool| (pool.name.clone(), pool)).collect()
}

fn pool(name: &str, prefixes: &[String]) -> Pool {
    let entry = |text: &String| AddressEntry {
        text: text.clone(),
        prefixes: vec![text.parse().expect("a prefix of this file")],
    };
    Pool {
        name: name.to_owned(),
        addresses: prefixes.iter().map(entry).collect(),
        auto_assign: true,
        avoid_buggy_ips: false,
        scope: None,
        l2_advertisements: Vec::new(),
        bgp_advertisements: Vec::new(),
    }
}

/// Services of the family of `prefix`.
fn services(count: usize, prefix: &str) -> Vec<Service> {
    let cluster_ip = if prefix.contains(':') { "fd99::1" } else { "172.16.0.1" };
    let service = |index: usize| Service {
        key: ServiceKey::new(&format!("namespace-{}", index % 50), &format!("service-{index:06}")),
        labels: Labels::default(),
        annotations: BTreeMap::new(),
        service_type: ServiceType::LoadBalancer,
        load_balancer_class: None,
        load_balancer_ip: String::new(),
        cluster_ips: vec![cluster_ip.to_owned()],
        cluster_ip: cluster_ip.to_owned(),
        ip_family_policy: IpFamilyPolicy::SingleStack,
        primary_family: None,
        ports: vec![ServicePort { protocol: "TCP".to_owned(), port: 80 }],
        local_traffic_only: false,
        selector: Labels::default(),
        ingress: Vec::new(),
    };
    (0..count).map(service).collect()
}
