//! From an address to a backend. A node has the address by hand, so no speaker is needed.

use std::collections::BTreeSet;
use std::net::SocketAddr;

use ferrolb::lab::traffic::{Protocol, Questions};
use ferrolb::lab::{Family, Options};
use serde_json::json;

use crate::site::{Site, eventually, options};

/// The kernel of that node answers for an address.
fn hold(site: &Site, node: &str, address: std::net::IpAddr) {
    let address = if address.is_ipv4() { format!("{address}/32") } else { format!("{address}/128") };
    let mut arguments = vec!["addr", "add", &address, "dev", "eth0"];
    arguments.extend(address.contains(':').then_some("nodad"));
    site.run(node, "ip", &arguments);
}

/// The nodes that answer a number of questions.
fn who_answers(site: &Site, to: SocketAddr) -> BTreeSet<String> {
    (0..20).filter_map(|_| site.ask_http("client", to)).collect()
}

#[test]
fn traffic_of_both_protocols_and_families_ends_at_backends() {
    let Some(options) = options() else { return };
    let site = Site::up(Options { family: Family::Dual, has_speakers: false, ..options });
    site.pool("pool", &["10.10.100.0/24", "fd00:10:10::100:0/112"]);
    let ports = json!([
        {"name": "http", "port": 80, "targetPort": "http"},
        {"name": "udp", "port": 80, "targetPort": 7000, "protocol": "UDP"},
    ]);
    let cluster = site.service("cluster", &json!({"ports": ports, "ipFamilyPolicy": "RequireDualStack"}));
    assert_eq!(cluster.len(), 2);
    let local = site.service("local", &json!({"ports": ports, "externalTrafficPolicy": "Local"}));
    for address in cluster.iter().chain(&local) {
        hold(&site, "1", *address);
    }
    // Any backend answers, and sees the node that took the packet unless it is there itself.
    for address in cluster {
        let to = SocketAddr::new(address, 80);
        eventually("all backends answer", || {
            let seen = who_answers(&site, to);
            let nodes: BTreeSet<_> = seen.iter().filter_map(|answer| answer.split(' ').next()).collect();
            nodes == BTreeSet::from(["node=node-1", "node=node-2", "node=node-3"])
        });
        let client = site.lab.member("client").unwrap().addresses();
        let clients: Vec<_> = client.iter().map(|address| format!("client={address}")).collect();
        let others = who_answers(&site, to).into_iter().filter(|it| !it.starts_with("node=node-1"));
        assert!(others.into_iter().all(|answer| !clients.iter().any(|client| answer.ends_with(client))));
        assert!(site.ask_udp("client", to).is_some_and(|answer| answer.ends_with(" hello")));
    }
    // Only the node's own backend answers, and sees who asks.
    let to = SocketAddr::new(local[0], 80);
    eventually("the own backend answers", || site.ask_http("client", to).is_some());
    assert_eq!(who_answers(&site, to), BTreeSet::from(["node=node-1 client=10.10.0.2".to_owned()]));
    assert_eq!(site.ask_udp("client", to).unwrap(), "node-1 hello");
    site.lab.set_backend("1", false).unwrap();
    eventually("nobody is left", || site.ask_http("client", to).is_none());
    site.lab.set_backend("1", true).unwrap();
    eventually("the own backend is back", || site.ask_http("client", to).is_some());
}

#[test]
fn endpoints_say_what_runs_and_traffic_follows() {
    let Some(options) = options() else { return };
    let site = Site::up(Options { has_speakers: false, ..options });
    site.pool("pool", &["10.10.100.0/24"]);
    let [address] = site.service("web", &json!({"ports": [{"port": 80}]}))[..] else { panic!() };
    site.service("pinned", &json!({"ports": [{"port": 80}], "selector": {"app": "web", "node": "node-2"}}));
    hold(&site, "3", address);
    let endpoints = |service: &str| -> Vec<(String, bool)> {
        let slice =
            site.get(&format!("/apis/discovery.k8s.io/v1/namespaces/default/endpointslices/{service}-ipv4"));
        let endpoints = slice["endpoints"].as_array().cloned().unwrap_or_default();
        let of = |it: &serde_json::Value| {
            (it["nodeName"].as_str().unwrap().to_owned(), it["conditions"]["ready"] == true)
        };
        endpoints.iter().map(of).collect()
    };
    eventually("all are ready", || endpoints("web").iter().filter(|(_, is_ready)| *is_ready).count() == 3);
    assert_eq!(endpoints("pinned"), [("node-2".to_owned(), true)]);

    let to = SocketAddr::new(address, 80);
    eventually("backends answer", || site.ask_http("client", to).is_some());
    let traffic = site.lab.traffic("client", Questions::new(to, Protocol::Http)).unwrap();
    site.lab.drain("1").unwrap();
    eventually("the drained node serves nobody", || endpoints("web")[0] == ("node-1".to_owned(), false));
    let node = site.get("/api/v1/nodes/node-1");
    assert_eq!(node["spec"]["unschedulable"], true);
    assert_eq!(node["metadata"]["annotations"]["ferrolb.io/drain"], "true");
    eventually("two answer", || who_answers(&site, to).len() == 2);
    site.lab.undrain("1").unwrap();
    eventually("three answer", || who_answers(&site, to).len() == 3);
    let report = traffic.finish().unwrap();
    assert!(report.answered > 0 && report.asked >= report.answered, "{report:?}");

    site.call(http::Method::DELETE, "/api/v1/namespaces/default/services/web", &serde_json::Value::Null);
    eventually("its endpoints go with it", || endpoints("web").is_empty());
}
