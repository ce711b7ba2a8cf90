//! What routers are told of addresses, and of whose.

use std::net::IpAddr;

use ferrolb::lab::routers::{Kind, Path, RemoteAsn, Router};
use ferrolb::lab::{Lab, Options};
use serde_json::{Value, json};

use super::{
    OTHER, OWN, address, addresses, advertisement, configuration, has_sessions, has_ways, host, options_with,
    peer, times_established,
};
use crate::site::{Site, eventually, service_path, stays};

const ALL: [Kind; 4] = [Kind::Frr, Kind::Bird, Kind::GoBgp, Kind::ExaBgp];
/// FRR is external, BIRD internal; GoBGP and ExaBGP are external and have no kernel.
const ROUTERS: [(&str, Kind, u32, &str); 4] = [
    ("router", Kind::Frr, OTHER, "10.10.0.1"),
    ("router-2", Kind::Bird, OWN, "10.10.0.3"),
    ("router-3", Kind::GoBgp, 64_503, "10.10.0.4"),
    ("router-4", Kind::ExaBgp, 64_504, "10.10.0.5"),
];

fn start(lab: &Lab, number: usize) -> Router {
    let (member, kind, asn, _) = ROUTERS[number];
    let last = u8::try_from(number + 1).unwrap();
    let mut configuration = configuration(asn, last, &addresses(true), RemoteAsn::Is(OWN));
    // ExaBGP hears nobody otherwise, and speakers do not either.
    configuration.neighbours.iter_mut().for_each(|it| it.is_passive = kind == Kind::ExaBgp);
    lab.start_router(member, kind, configuration).unwrap()
}

/// With a session from each node to each router, and a pool whose addresses nobody advertises yet.
pub(super) fn site(options: Options, count: usize) -> (Site, Vec<Router>) {
    let site = Site::up(Options { routers: count, ..options });
    let routers: Vec<_> = (0..count).map(|number| start(&site.lab, number)).collect();
    for (name, _, asn, address) in &ROUTERS[..count] {
        let spec = json!({"peerASN": asn, "peerAddress": address, "connectTime": "1s"});
        peer(&site, name, &[], &spec);
    }
    site.pool("pool", &["198.51.100.0/24"]);
    (site, routers)
}

/// The one path that a router has of each node, all with the same attributes.
pub(super) fn told(router: &Router, prefix: &str, wanted: impl Fn(&Path) -> bool) {
    let nodes = addresses(true);
    let mut paths = Vec::new();
    let what = format!("{prefix} on {}", router.member());
    eventually(&what, || {
        paths = router.paths(prefix).unwrap();
        // Others' routes that a router passes on are not asked for.
        paths.retain(|path| path.from.is_some_and(|from| nodes.contains(&from)));
        paths.len() == nodes.len() && paths.iter().all(&wanted)
    });
}

fn texts(all: &[&str]) -> Vec<String> {
    all.iter().map(|it| (*it).to_owned()).collect()
}

/// 62, 63, 64, 46: communities of both kinds, preference, aggregation; changed while no session is disturbed.
#[test]
fn what_is_said_of_an_address_is_what_was_asked_for() {
    let Some(options) = options_with(&ALL) else { return };
    let (site, routers) = site(options, ALL.len());
    let spec = |preference: u32, communities: &[&str], length: u8| json!({"localPref": preference, "communities": communities, "aggregationLength": length});
    advertisement(&site, "all", &spec(300, &["65535:65282", "large:64500:1:2", "1:2"], 32));
    let service = site.service("web", &json!({}))[0];
    for router in &routers {
        has_sessions(router, &addresses(true));
        let is_internal = router.configuration().asn == OWN;
        told(router, &host(service), |path| {
            path.communities == texts(&["1:2", "65535:65282"])
                && path.large_communities == texts(&["64500:1:2"])
                && path.med.is_none()
                && path.as_path == if is_internal { vec![] } else { vec![OWN] }
                && (!is_internal || path.local_preference == Some(300))
        });
    }
    for router in &routers[..2] {
        has_ways(router, &host(service), &addresses(true));
    }
    // They change in place.
    let times = times_established(&routers[0]);
    advertisement(&site, "all", &spec(50, &["3:4"], 24));
    for router in &routers {
        told(router, "198.51.100.0/24", |path| path.communities == texts(&["3:4"]));
        eventually("the other is gone", || router.paths(&host(service)).unwrap().is_empty());
    }
    // What two say of one prefix is united.
    advertisement(&site, "more", &json!({"localPref": 50, "communities": ["5:6"], "aggregationLength": 24}));
    for router in &routers {
        told(router, "198.51.100.0/24", |path| path.communities == texts(&["3:4", "5:6"]));
    }
    // Everything again for whoever asks, and nothing else.
    for router in &routers {
        for node in addresses(true) {
            router.refresh(&node.to_string()).unwrap();
        }
        told(router, "198.51.100.0/24", |path| path.communities == texts(&["3:4", "5:6"]));
    }
    site.delete(&service_path("web"));
    for router in &routers {
        eventually("it is withdrawn", || router.paths("198.51.100.0/24").unwrap().is_empty());
    }
    assert_eq!(times_established(&routers[0]), times, "no session was disturbed");
}

/// 50, 76 to 81, 84 to 90: which peers, which nodes, which Services.
#[test]
fn an_address_is_told_to_whom_by_whom_it_was_asked_for() {
    let Some(options) = options_with(&[Kind::Frr, Kind::Bird]) else { return };
    let (site, routers) = site(options, 2);
    let [frr, bird] = &routers[..] else { unreachable!() };
    let hostname = |node: &str| json!([{"matchLabels": {"kubernetes.io/hostname": node}}]);
    let labelled = |name: &str, value: &str, spec: &Value| {
        site.waiting_service(name, &json!({"labels": {"tier": value}}), spec);
        let mut found = Vec::new();
        eventually("an address", || {
            found = site.addresses(name);
            !found.is_empty()
        });
        host(found[0])
    };
    let nowhere = |router: &Router, prefix: &str| {
        eventually("nobody tells it", || router.paths(prefix).unwrap().is_empty());
        stays("nobody tells it", || router.paths(prefix).unwrap().is_empty());
    };
    let first = labelled("first", "a", &json!({}));
    let second = labelled("second", "b", &json!({}));
    let one = |node: usize| [address(node, true)];
    // One Service to one peer from one node, the other to the other from another.
    let spec = |peer: &str, node: &str, tier: &str| {
        json!({
            "peers": [peer], "nodeSelectors": hostname(node),
            "serviceSelectors": [{"matchLabels": {"tier": tier}}],
        })
    };
    advertisement(&site, "a", &spec("router", "node-1", "a"));
    advertisement(&site, "b", &spec("router-2", "node-2", "b"));
    has_ways(frr, &first, &one(1));
    has_ways(bird, &second, &one(2));
    nowhere(frr, &second);
    nowhere(bird, &first);
    // Labels of Services and of nodes move it.
    site.patch(&service_path("first"), &json!({"metadata": {"labels": {"tier": "b"}}}));
    has_ways(bird, &first, &one(2));
    nowhere(frr, &first);
    let mut moved = spec("router-2", "node-2", "b");
    moved["nodeSelectors"] = json!([{"matchLabels": {"edge": "yes"}}]);
    advertisement(&site, "b", &moved);
    nowhere(bird, &first);
    site.label_node("node-3", "edge", Some("yes"));
    has_ways(bird, &first, &one(3));
    site.label_node("node-3", "edge", None);
    nowhere(bird, &first);
    // Each peer hears what was said for it.
    site.delete(&crate::site::resource_path("BGPAdvertisement", "a"));
    advertisement(&site, "b", &json!({"peers": ["router"], "communities": ["1:1"]}));
    advertisement(&site, "c", &json!({"peers": ["router-2"], "communities": ["2:2"]}));
    told(frr, &first, |path| path.communities == texts(&["1:1"]));
    told(bird, &first, |path| path.communities == texts(&["2:2"]));
    // Only where there is somebody to answer.
    let local = json!({"externalTrafficPolicy": "Local"});
    let local = labelled("local", "c", &local);
    has_ways(frr, &local, &addresses(true));
    site.lab.set_backend("2", false).unwrap();
    has_ways(frr, &local, &[address(1, true), address(3, true)]);
    site.lab.set_backend("2", true).unwrap();
    has_ways(frr, &local, &addresses(true));
}

/// 49, 52, 65, 82: a node without network, an address of two Services, routes of neighbours, a router that nobody asked for.
#[test]
fn nodes_tell_what_is_theirs_and_take_nothing() {
    let Some(options) = options_with(&[Kind::Frr]) else { return };
    let (site, mut routers) = site(options, 1);
    let mut router = routers.remove(0);
    let mut configuration = router.configuration().clone();
    configuration.own.push(ferrolb::lab::routers::Own {
        prefix: "203.0.113.0/24".to_owned(),
        attributes: ferrolb::lab::routers::Attributes::default(),
    });
    router.reconfigure(configuration).unwrap();
    advertisement(&site, "all", &json!({}));
    let shared = json!({"annotations": {"metallb.io/allow-shared-ip": "key", "metallb.io/loadBalancerIPs": "198.51.100.7"}});
    for (name, port) in [("one", 80), ("two", 8080)] {
        site.waiting_service(name, &shared, &json!({"ports": [{"port": port, "targetPort": 80}]}));
    }
    let prefix = "198.51.100.7/32";
    has_ways(&router, prefix, &addresses(true));
    assert_eq!(router.paths(prefix).unwrap().len(), 3);
    site.delete(&service_path("one"));
    stays("the other one's", || router.paths(prefix).unwrap().len() == 3);
    let set_network = |is_unavailable: &str| {
        let condition = json!({"type": "NetworkUnavailable", "status": is_unavailable});
        site.patch("/api/v1/nodes/node-1/status", &json!({"status": {"conditions": [condition]}}));
    };
    set_network("True");
    has_ways(&router, prefix, &[address(2, true), address(3, true)]);
    set_network("False");
    has_ways(&router, prefix, &addresses(true));
    for node in ["node-1", "node-2", "node-3"] {
        let routes = site.run(node, "ip", &["route"]);
        assert!(!routes.contains("203.0.113."), "{routes}");
    }
    // Node 3 is not to have a session any more, however often the router calls.
    let asn = router.configuration().asn;
    peer(&site, "router", &["node-1", "node-2"], &json!({"peerASN": asn, "peerAddress": "10.10.0.1"}));
    has_ways(&router, prefix, &[address(1, true), address(2, true)]);
    let third: IpAddr = address(3, true);
    stays("no session", || !router.neighbour(&third.to_string()).unwrap().is_established);
}
