//! The rules as tables; the properties that hold whatever happens; what both are built from.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::*;
use crate::config::{AddressEntry, Config, L2Advertisement, Pool};
use crate::selector::Labels;
use crate::snapshot::{Ingress, IpFamilyPolicy, Node, ServiceKey};

fn set(names: &[&str]) -> BTreeSet<String> {
    names.iter().map(|&name| name.to_owned()).collect()
}

fn labels(labels: &[(&str, &str)]) -> Labels {
    labels.iter().map(|&(key, value)| (key.to_owned(), value.to_owned())).collect()
}

fn pool(name: &str, prefixes: &[&str], advertisements: Vec<L2Advertisement>) -> Pool {
    let entry =
        |text: &&str| AddressEntry { text: (*text).to_owned(), prefixes: vec![text.parse().unwrap()] };
    Pool {
        name: name.to_owned(),
        addresses: prefixes.iter().map(entry).collect(),
        auto_assign: true,
        avoid_buggy_ips: false,
        scope: None,
        l2_advertisements: advertisements.into_iter().map(Arc::new).collect(),
        bgp_advertisements: Vec::new(),
    }
}

fn advertisement(name: &str, nodes: &[&str]) -> L2Advertisement {
    L2Advertisement {
        name: name.to_owned(),
        nodes: set(nodes),
        interfaces: BTreeSet::new(),
        service_selectors: Vec::new(),
        preferred_nodes: BTreeMap::new(),
    }
}

fn node(name: &str) -> Node {
    Node { name: name.to_owned(), labels: Labels::new(), network_unavailable: false }
}

fn service(addresses: &[&str]) -> Service {
    let entry = |address: &&str| Ingress { ip: Some((*address).to_owned()), hostname: None };
    Service {
        key: ServiceKey { namespace: "default".to_owned(), name: "web".to_owned() },
        labels: Labels::new(),
        annotations: BTreeMap::new(),
        service_type: ServiceType::LoadBalancer,
        load_balancer_class: None,
        load_balancer_ip: String::new(),
        cluster_ips: Vec::new(),
        cluster_ip: String::new(),
        ip_family_policy: IpFamilyPolicy::SingleStack,
        primary_family: None,
        ports: Vec::new(),
        local_traffic_only: false,
        selector: Labels::new(),
        ingress: addresses.iter().map(entry).collect(),
    }
}

fn serving(nodes: &[&str]) -> Serving {
    Serving { anywhere: !nodes.is_empty(), nodes: set(nodes) }
}

fn cluster(pools: Vec<Pool>, nodes: Vec<Node>, alive: Alive) -> Cluster {
    let pools = pools.into_iter().map(|pool| (pool.name.clone(), pool)).collect();
    let nodes = nodes.into_iter().map(|node| (node.name.clone(), node)).collect();
    let config = Config { pools, ..Config::default() };
    Cluster::new(Arc::new(config), Arc::new(nodes), alive, Options::default())
}

/// The reason on each node; empty: it announces.
fn reasons<'a>(cluster: &Cluster, service: &Service, serving: &Serving, nodes: &[&str]) -> Vec<&'a str> {
    let reason =
        |node: &&str| on_node(cluster, service, serving, node).layer2.err().map_or("", |it| it.reason());
    nodes.iter().map(reason).collect()
}

#[test]
fn one_of_two_nodes_answers_for_each_address() {
    let both = ["iris1", "iris2"];
    let pools = vec![pool("p", &["10.20.30.0/24"], vec![advertisement("a", &both)])];
    let cluster = cluster(pools, both.map(node).into(), Alive::These(set(&both)));
    for (address, expected) in [("10.20.30.1", ["notOwner", ""]), ("10.20.30.2", ["", "notOwner"])] {
        let found = reasons(&cluster, &service(&[address]), &serving(&["iris1"]), &both);
        assert_eq!(found, expected, "{address}");
    }
    let found = everywhere(&cluster, &service(&["10.20.30.1"]), &serving(&["iris1"]));
    assert_eq!(found.owner().map(|name| &**name), Some("iris2"));
}

#[test]
fn a_node_that_takes_no_traffic_from_outside_is_no_candidate() {
    let both = ["iris1", "iris2"];
    for (excluded, expected) in [
        (&[][..], ["notOwner", ""]),
        (&["iris2"], ["", "notOwner"]),
        (&["iris1"], ["notOwner", ""]),
        (&["iris1", "iris2"], ["notOwner", "notOwner"]),
    ] {
        let pools = vec![pool("p", &["10.20.30.0/24"], vec![advertisement("a", &both)])];
        let mut nodes = both.map(node);
        for node in nodes.iter_mut().filter(|node| excluded.contains(&node.name.as_str())) {
            node.labels = labels(&[(EXCLUDE_LABEL, "false")]);
        }
        let cluster = cluster(pools, nodes.into(), Alive::Everyone);
        let found = reasons(&cluster, &service(&["10.20.30.1"]), &serving(&["iris1"]), &both);
        assert_eq!(found, expected, "{excluded:?}");
    }
}
