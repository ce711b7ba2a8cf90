//! Measures what becomes of a change until it is known what each peer is to be told, and prints one line of JSON per figure:
//! `cargo run --release -p plan --example bench_routing`.

use std::collections::{BTreeMap, BTreeSet};
use std::hint::black_box;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use plan::announce::bgp::{Advertised, Peers};
use plan::config::{Password, Peer, PeerEndpoint, PeerExtras, RemoteAsn};
use plan::router::Routing;
use plan::selector::Labels;
use plan::snapshot::ServiceKey;
use protocol::bgp::prefix::Prefix;
use protocol::bgp::route::Policy;

/// What has a target.
const LIMITS_MS: [(&str, f64); 4] = [
    ("routing_start/10000x4", 100.0),
    ("routing_one_change/10000x4", 1.0),
    ("routing_one_change_apart/10000x4", 1.0),
    ("routing_one_change_aggregated/10000x4", 1.0),
];
const SERVICES: u32 = 10_000;
/// The best of these counts: what disturbs comes from outside.
const RUNS: u32 = 20;

fn main() {
    start_and_change("", 4, &|index| route(index, 32, &Peers::All));
    start_and_change("_apart", 4, &|index| route(index, 32, &only(index)));
    start_and_change("_aggregated", 4, &|index| route(index, 8, &Peers::All));
    start_and_change("", 200, &|index| route(index, 32, &Peers::All));
    start_and_change("_merged", 4, &|index| {
        let mut second = route(index, 32, &Peers::All);
        second.advertisement = "second".into();
        second.policy = Arc::new(Policy { communities: vec![2], ..Policy::default() });
        second
    });
}

/// Every Service has a route of its own, and one of the kind that is measured.
fn start_and_change(kind: &str, peers: u8, second: &dyn Fn(u32) -> Advertised) {
    let peers: BTreeMap<String, Peer> = (0..peers).map(|at| (peer_name(at), peer(at))).collect();
    let wanted: Vec<(ServiceKey, Arc<[Advertised]>)> = (0..SERVICES)
        .map(|index| (service(index), [route(index, 32, &Peers::All), second(index)].into()))
        .collect();
    let (mut routing, mut taken) = (Routing::default(), Duration::MAX);
    for _ in 0..3 {
        let start = Instant::now();
        routing = Routing::default();
        routing.set_peers(&peers, &Labels::default());
        for (service, advertised) in &wanted {
            routing.set(service, advertised);
        }
        black_box(routing.config());
        taken = taken.min(start.elapsed());
    }
    report(&format!("routing_start{kind}/{SERVICES}x{}", peers.len()), taken);
    let mut taken = Duration::MAX;
    for run in 0..RUNS {
        let (service, advertised) = &wanted[(run / 2 * 499) as usize];
        let start = Instant::now();
        if run % 2 == 0 {
            routing.remove(service);
        } else {
            routing.set(service, advertised);
        }
        black_box(routing.config());
        taken = taken.min(start.elapsed());
    }
    report(&format!("routing_one_change{kind}/{SERVICES}x{}", peers.len()), taken);
}

fn route(index: u32, length: u8, peers: &Peers) -> Advertised {
    let address = IpAddr::V4(Ipv4Addr::from_bits(u32::from_be_bytes([10, 0, 0, 0]) + index));
    Advertised {
        prefix: Prefix::new(address, length).expect("a length of this file"),
        peers: peers.clone(),
        policy: Arc::new(Policy { communities: vec![1], ..Policy::default() }),
        bandwidth_mbps: None,
        advertisement: "first".into(),
    }
}

fn only(index: u32) -> Peers {
    Peers::These(Arc::new(BTreeSet::from([peer_name((index % 4) as u8)])))
}

fn service(index: u32) -> ServiceKey {
    ServiceKey::new("default", &format!("service-{index:06}"))
}

fn peer_name(at: u8) -> String {
    format!("peer-{at:03}")
}

fn peer(at: u8) -> Peer {
    Peer {
        name: peer_name(at),
        my_asn: 64512,
        remote_asn: RemoteAsn::Number(64513),
        local_asn: None,
        endpoint: PeerEndpoint::Address([192, 0, 2, at].into()),
        port: 179,
        source_address: None,
        timers: None,
        connect_time: None,
        router_id: None,
        node_selectors: Vec::new(),
        password: Password::None,
        bfd_profile: None,
        graceful_restart: false,
        ebgp_multi_hop: false,
        vrf: String::new(),
        dual_stack: false,
        extras: PeerExtras::default(),
    }
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
