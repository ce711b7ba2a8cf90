//! What is not in MetalLB, as routers see it.

use std::net::{IpAddr, SocketAddr};

use ferrolb::lab::Options;
use ferrolb::lab::routers::{Attributes, Kind, Own, Path, RemoteAsn, Router};
use ferrolb::lab::traffic::{Protocol, Questions};
use serde_json::{Value, json};

use super::routes::{self, told};
use super::{
    OTHER, OWN, address, addresses, advertisement, annotated_peer, configuration, has_sessions, has_ways,
    host, options_with,
};
use crate::site::{DEADLINE, NODES, Site, eventually, resource_path, stays};

/// Of an advertisement, in place of what it had.
fn annotate(site: &Site, name: &str, annotations: &Value) {
    let path = resource_path("BGPAdvertisement", name);
    site.patch(&path, &json!({"metadata": {"annotations": null}}));
    site.patch(&path, &json!({"metadata": {"annotations": annotations}}));
}

fn of_node(paths: &[Path], node: IpAddr) -> Option<&Path> {
    paths.iter().find(|path| path.from == Some(node))
}

#[test]
fn what_advertisements_are_annotated_with_reaches_routers() {
    let Some(options) = options_with(&[Kind::Frr, Kind::Bird]) else { return };
    let (site, routers) = routes::site(Options { remotes: 1, ..options }, 2);
    let [frr, bird] = &routers[..] else { unreachable!() };
    advertisement(&site, "all", &json!({}));
    let service = site.service("web", &json!({}))[0];
    let prefix = host(service);
    annotate(
        &site,
        "all",
        &json!({"ferrolb.io/med": "7", "ferrolb.io/prepend": "2", "ferrolb.io/next-hop": "10.10.0.13"}),
    );
    for (router, as_path) in [(frr, vec![OWN; 3]), (bird, vec![])] {
        told(router, &prefix, |path| {
            (path.med, &path.as_path, &path.next_hops[..]) == (Some(7), &as_path, &[address(3, true)])
        });
        has_ways(router, &prefix, &[address(3, true)]);
    }
    shares_follow_bandwidth(&site, frr, &prefix);
    advertisement(&site, "all", &json!({}));
    annotate(&site, "all", &json!({"ferrolb.io/graceful-shutdown": "true"}));
    traffic_leaves_before_routes_do(&site, &routers, service);
}

/// A node that can do three times as much gets three times as much.
fn shares_follow_bandwidth(site: &Site, frr: &Router, prefix: &str) {
    for (name, nodes, mbps) in [("all", &NODES[..1], "100"), ("more", &NODES[1..], "300")] {
        let values = json!({"key": "kubernetes.io/hostname", "operator": "In", "values": nodes});
        advertisement(site, name, &json!({"nodeSelectors": [{"matchExpressions": [values]}]}));
        annotate(site, name, &json!({"ferrolb.io/link-bandwidth": mbps}));
    }
    eventually("one part of seven, and three of seven twice", || {
        let ways = frr.kernel_route(prefix).unwrap().unwrap_or_default().ways;
        let total: u64 = ways.iter().map(|way| way.weight).sum();
        let sevenths = ways.iter().map(|way| (way.gateway, (way.weight * 7 + total / 2) / total));
        let expected = [1, 3, 3].into_iter().zip(1..).map(|(share, node)| (Some(address(node, true)), share));
        sevenths.eq(expected)
    });
    site.delete(&resource_path("BGPAdvertisement", "more"));
}

/// RFC 8326: whoever is drained is the last choice, and still there for what is under way.
fn traffic_leaves_before_routes_do(site: &Site, routers: &[Router], service: IpAddr) {
    let (prefix, nodes) = (host(service), addresses(true));
    for router in routers {
        told(router, &prefix, |path| path.communities.is_empty());
        has_ways(router, &prefix, &nodes);
    }
    let to = SocketAddr::new(service, 80);
    eventually("an answer", || site.ask_http("remote", to).is_some());
    let traffic = site.lab.traffic("remote", Questions::new(to, Protocol::Http)).unwrap();
    site.lab.drain("node-1").unwrap();
    for router in routers {
        has_ways(router, &prefix, &nodes[1..]);
        let paths = router.paths(&prefix).unwrap();
        let drained = of_node(&paths, nodes[0]).unwrap();
        assert_eq!(drained.communities, ["65535:0"]);
        assert!(of_node(&paths, nodes[1]).unwrap().communities.is_empty());
    }
    site.lab.undrain("node-1").unwrap();
    for router in routers {
        has_ways(router, &prefix, &nodes);
    }
    let report = traffic.finish().unwrap();
    assert!(report.longest_gap_ms < 1_000.0, "{report:?}");
}

/// A role, and packets from the same link alone; a peer that connects, with marked packets; one that tells too much; a role that
/// does not fit.
#[test]
fn what_peers_are_annotated_with_holds() {
    let Some(options) = options_with(&[Kind::Frr]) else { return };
    let speaker_arguments = ["--bgp-listen", "0.0.0.0"].map(str::to_owned).into();
    let site = Site::up(Options { routers: 1, speaker_arguments, ..options });
    let mut all = configuration(OTHER, 1, &addresses(true), RemoteAsn::Is(OWN));
    all.neighbours[0].has_ttl_security = true;
    all.neighbours[0].further = vec!["local-role customer".to_owned()];
    let own = |prefix: &str| Own { prefix: prefix.to_owned(), attributes: Attributes::default() };
    all.own = vec![own("203.0.113.0/25"), own("203.0.113.128/25")];
    let mut router = site.lab.start_router("router", Kind::Frr, all.clone()).unwrap();
    let marked = "src host 10.10.0.12 and tcp port 179 and ip[1] == 0xb8";
    let marked = site.lab.capture("router", "eth0", marked).unwrap();
    for (number, annotations) in [
        (1, json!({"ferrolb.io/ttl-security": "true", "ferrolb.io/role": "provider"})),
        (2, json!({"ferrolb.io/passive": "true", "ferrolb.io/dscp": "46"})),
        (3, json!({"ferrolb.io/max-prefixes": "1"})),
    ] {
        let spec = json!({"peerASN": OTHER, "peerAddress": "10.10.0.1", "connectTime": "1s"});
        let name = format!("peer-{number}");
        annotated_peer(&site, &name, &[NODES[number - 1]], &annotations, &spec);
    }
    has_sessions(&router, &[address(1, true), address(2, true)]);
    let state = |node: usize| router.neighbour(&address(node, true).to_string()).unwrap();
    let says = |node: usize, what: &str| state(node).last_reset.is_some_and(|it| it.contains(what));
    eventually("too many prefixes", || says(3, "Maximum Number of Prefixes Reached"));
    stays("no session", || !state(3).is_established);
    let shown: Value = serde_json::from_str(&router.ask("show bgp neighbors json").unwrap()).unwrap();
    assert_eq!(shown["10.10.0.11"]["remoteRole"], "provider");
    assert_eq!(shown["10.10.0.12"]["portForeign"], 179, "the router has connected");
    assert!(marked.wait_for(|_| true, DEADLINE).is_some());
    // Nobody is the provider of a provider. Whoever hears the other first says so.
    all.neighbours[0].further = vec!["local-role provider".to_owned()];
    router.reconfigure(all).unwrap();
    eventually("it is said", || site.lab.speaker_log("node-1").unwrap().contains("Role Mismatch"));
    stays("no session", || {
        let state = router.neighbour(&address(1, true).to_string()).unwrap();
        !state.is_established && state.times_established == Some(1)
    });
}
