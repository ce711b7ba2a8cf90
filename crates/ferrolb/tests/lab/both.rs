//! One address by layer 2 and by BGP at once: hosts on the segment ask for it, hosts elsewhere come through a router.

use std::net::{IpAddr, SocketAddr};

use ferrolb::lab::Options;
use ferrolb::lab::routers::Kind;
use ferrolb::lab::traffic::{Protocol, Questions, Report, Traffic};
use serde_json::{Value, json};

use crate::site::{NODES, Site, eventually, options, resource_path};

const EDGE: [&str; 2] = ["node-1", "node-2"];

/// Two nodes are at the edge, and a router knows all three.
fn site() -> Option<(Site, SocketAddr)> {
    let options = options()?;
    if let Err(reason) = Kind::Frr.can_run() {
        eprintln!("skipped: {reason}");
        assert!(std::env::var_os("CI").is_none(), "CI skips nothing: {reason}");
        return None;
    }
    let site = Site::up(Options { router: Some(Kind::Frr), remotes: 1, ..options });
    EDGE.iter().for_each(|node| site.label_node(node, "edge", Some("true")));
    // Of the segment, so that the router can ask for it as any host there.
    site.pool("pool", &["10.10.100.0/28"]);
    // One datagram each: a connection that moves between nodes meets one that has never heard of it.
    let address = site.service("web", &json!({"ports": [{"port": 80, "protocol": "UDP"}]}))[0];
    Some((site, SocketAddr::new(address, 80)))
}

fn by_layer2(site: &Site) {
    site.resource("L2Advertisement", "l2", &json!({}), &json!({"interfaces": ["eth0"]}));
}

fn by_bgp(site: &Site) {
    site.resource("BGPAdvertisement", "bgp", &json!({}), &json!({"aggregationLength": 32}));
    let object = json!({
        "apiVersion": "metallb.io/v1beta2", "kind": "BGPPeer",
        "metadata": {"name": "router", "namespace": "metallb-system"},
        "spec": {
            "myASN": 64_500, "peerASN": 64_501, "peerAddress": "10.10.0.1", "connectTime": "1s",
            "nodeSelectors": [{"matchLabels": {"edge": "true"}}],
        },
    });
    site.post(PEERS, &object);
}

const PEERS: &str = "/apis/metallb.io/v1beta2/namespaces/metallb-system/bgppeers";

fn asking(site: &Site, from: &str, to: SocketAddr) -> Traffic {
    eventually("an answer", || site.ask_udp(from, to).is_some());
    site.lab.traffic(from, Questions::new(to, Protocol::Udp)).unwrap()
}

fn has_no_gap(who: &str, report: &Report) {
    assert_eq!(report.answered, report.asked, "{who}: {report:?}");
}

/// Nodes that the router's kernel has as ways to the address, apart from the segment that it is on.
fn ways(site: &Site, address: IpAddr) -> Vec<String> {
    let shown: Value =
        serde_json::from_str(&site.run("router", "ip", &["-j", "route", "show", &format!("{address}/32")]))
            .unwrap();
    let one = |route: &Value| route["gateway"].as_str().map(str::to_owned);
    let routes = shown.as_array().cloned().unwrap_or_default();
    let mut ways: Vec<String> = routes
        .iter()
        .flat_map(|route| {
            let several = route["nexthops"].as_array().cloned().unwrap_or_default();
            several.iter().filter_map(one).chain(one(route)).collect::<Vec<_>>()
        })
        .collect();
    ways.sort();
    ways
}

fn has_ways(site: &Site, address: IpAddr, nodes: &[&str]) {
    let wanted: Vec<String> =
        nodes.iter().map(|node| site.lab.member(node).unwrap().addresses()[0].to_string()).collect();
    eventually("the router's ways", || ways(site, address) == wanted);
}

#[test]
fn from_one_to_both_to_the_other_without_a_gap() {
    let Some((site, to)) = site() else { return };
    by_layer2(&site);
    site.owner_among("web", &NODES);
    let (near, far) = (asking(&site, "client", to), asking(&site, "remote", to));
    by_bgp(&site);
    has_ways(&site, to.ip(), &EDGE);
    assert!(site.all_who_have(to.ip()).len() == 1, "one node answers on the segment, edge or not");
    // The segment's own hosts have no way any more after this.
    has_no_gap("near", &near.finish().unwrap());
    site.delete(&resource_path("L2Advertisement", "l2"));
    eventually("nobody answers on the segment", || site.all_who_have(to.ip()).is_empty());
    has_no_gap("far", &far.finish().unwrap());
    let log = site.lab.speaker_log(EDGE[0]).unwrap().to_lowercase();
    let is_told = |line: &str| line.contains("bgp") && line.contains("session established");
    assert_eq!(log.lines().filter(|line| is_told(line)).count(), 1, "{log}");
}

#[test]
fn what_becomes_of_one_way_does_not_concern_the_other() {
    let Some((site, to)) = site() else { return };
    by_layer2(&site);
    by_bgp(&site);
    has_ways(&site, to.ip(), &EDGE);
    let owner = site.owner_among("web", &NODES);
    let (near, far) = (asking(&site, "client", to), asking(&site, "remote", to));
    // A session ends, of a node that the client on the segment may have its answers from.
    site.label_node(EDGE[0], "edge", None);
    has_ways(&site, to.ip(), &EDGE[1..]);
    site.label_node(EDGE[0], "edge", Some("true"));
    has_ways(&site, to.ip(), &EDGE);
    has_no_gap("near", &near.finish().unwrap());
    // The speaker that answers on the segment dies: what the router has of other nodes stays.
    let near = asking(&site, "client", to);
    site.lab.kill_speaker(&owner).unwrap();
    let left: Vec<&str> = NODES.into_iter().filter(|node| *node != owner).collect();
    site.owner_among("web", &left);
    let of_others: Vec<&str> = EDGE.into_iter().filter(|node| *node != owner).collect();
    has_ways(&site, to.ip(), &of_others);
    has_no_gap("far", &far.finish().unwrap());
    let near = near.finish().unwrap();
    assert!(near.answered > 0, "{near:?}");
}
