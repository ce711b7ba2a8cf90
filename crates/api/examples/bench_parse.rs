//! Times `api::parse` on a thousand pools, peers and advertisements. Prints one JSON object a line.

use std::time::Instant;

use api::metallb::{BGPAdvertisement, BGPPeer, IPAddressPool};
use api::parse::{Objects, View, parse};
use plan::snapshot::Node;
use serde_json::{Value, json};

const COUNT: usize = 1000;
const RUNS: usize = 5;

fn main() {
    let view = View::everything("metallb-system");
    for (name, nodes) in [("parse/1000-of-each", 0), ("parse/1000-of-each-on-1000-nodes", 1000)] {
        let objects = objects(nodes);
        let mut best = f64::INFINITY;
        for _ in 0..RUNS {
            let input = objects.clone();
            let started = Instant::now();
            let parsed = parse(input, &view);
            best = best.min(started.elapsed().as_secs_f64() * 1000.0);
            assert_eq!(parsed.problems, [], "what is timed must be valid");
            assert_eq!(parsed.config.pools.len(), COUNT);
        }
        println!("{}", json!({"bench": name, "milliseconds": best, "limit_milliseconds": 200}));
    }
}

fn objects(nodes: usize) -> Objects {
    let resource = |kind: &str, index: usize, spec: Value| json!({"kind": kind, "metadata": {"name": format!("{kind}-{index:04}").to_lowercase()}, "spec": spec});
    let read = "the bench writes what it reads";
    let mut objects = Objects::default();
    for index in 0..COUNT {
        let (high, low) = (index / 256, index % 256);
        let pool = json!({"addresses": [format!("10.{high}.{low}.0/24"), format!("172.16.{high}.{low}-172.16.{high}.{low}")]});
        let peer = json!({"myASN": 64512, "peerASN": 64513, "peerAddress": format!("10.200.{high}.{low}"), "holdTime": "9s"});
        let advertisement =
            json!({"ipAddressPools": [format!("ipaddresspool-{index:04}")], "communities": ["64512:100"]});
        let pool: IPAddressPool = serde_json::from_value(resource("IPAddressPool", index, pool)).expect(read);
        let peer: BGPPeer = serde_json::from_value(resource("BGPPeer", index, peer)).expect(read);
        let advertisement: BGPAdvertisement =
            serde_json::from_value(resource("BGPAdvertisement", index, advertisement)).expect(read);
        objects.pools.push(pool);
        objects.peers.push(peer);
        objects.bgp_advertisements.push(advertisement);
    }
    let labels = [("zone".to_owned(), "a".to_owned())];
    objects.nodes = (0..nodes)
        .map(|index| Node {
            name: format!("node-{index}"),
            labels: labels.clone().into(),
            network_unavailable: false,
            is_draining: false,
        })
        .collect();
    objects
}
