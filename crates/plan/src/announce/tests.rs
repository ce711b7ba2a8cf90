//! The rules as tables; the properties that hold whatever happens; what both are built from.

mod bgp;
mod elections;
mod properties;
mod refusals;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use protocol::bgp::prefix::Prefix;

use super::*;
use crate::config::{AddressEntry, Config, L2Advertisement, Pool, PoolFamilies};
use crate::placement::Wishes;
use crate::selector::{Labels, Operator, Requirement, Selector};
use crate::snapshot::{Ingress, IpFamilyPolicy, Node, ServiceKey};

fn set(names: &[&str]) -> BTreeSet<String> {
    names.iter().map(|&name| name.to_owned()).collect()
}

fn labels(labels: &[(&str, &str)]) -> Labels {
    let labels = labels.iter().map(|&(key, value)| (key.to_owned(), value.to_owned()));
    labels.collect::<BTreeMap<_, _>>().into()
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
        wishes: Wishes::default(),
    }
}

fn node(name: &str) -> Node {
    Node { name: name.to_owned(), labels: Labels::default(), network_unavailable: false, is_draining: false }
}

fn service(addresses: &[&str]) -> Service {
    let entry = |address: &&str| Ingress { ip: Some((*address).to_owned()), hostname: None };
    Service {
        key: ServiceKey::new("default", "web"),
        labels: Labels::default(),
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
        selector: Labels::default(),
        ingress: addresses.iter().map(entry).collect(),
    }
}

fn serving(nodes: &[&str]) -> Serving {
    let nodes: BTreeMap<String, u32> = nodes.iter().map(|&name| (name.to_owned(), 1)).collect();
    Serving { anywhere: !nodes.is_empty(), nodes }
}

/// A Service that is `app=<app>`.
fn application(app: &str, addresses: &[&str]) -> Service {
    Service { labels: labels(&[("app", app)]), ..service(addresses) }
}

fn local(service: Service) -> Service {
    Service { local_traffic_only: true, ..service }
}

fn selector(app: &str) -> Selector {
    let operator = Operator::Equals(app.to_owned());
    Selector::new(vec![Requirement { key: "app".to_owned(), operator }])
}

impl L2Advertisement {
    fn on(self, interfaces: &[&str]) -> L2Advertisement {
        L2Advertisement { interfaces: set(interfaces), ..self }
    }

    fn for_applications(self, apps: &[&str]) -> L2Advertisement {
        L2Advertisement { service_selectors: apps.iter().map(|app| selector(app)).collect(), ..self }
    }

    fn preferring(self, weights: &[(&str, i64)]) -> L2Advertisement {
        let preferred_nodes = weights.iter().map(|&(node, weight)| (node.to_owned(), weight)).collect();
        L2Advertisement { preferred_nodes, ..self }
    }
}

/// Nodes of which all have a speaker, one pool `10.20.30.0/24` and `fd00:20::/120`, and its advertisements.
fn one_pool(nodes: &[&str], advertisements: Vec<L2Advertisement>) -> Cluster {
    let pools = vec![pool("p", &["10.20.30.0/24", "fd00:20::/120"], advertisements)];
    cluster(pools, nodes.iter().map(|name| node(name)).collect(), Alive::These(set(nodes)))
}

fn cluster(pools: Vec<Pool>, nodes: Vec<Node>, alive: Alive) -> Cluster {
    let pools = pools.into_iter().map(|pool| (pool.name.clone(), pool)).collect();
    let nodes = nodes.into_iter().map(|node| (node.name.clone(), node)).collect();
    let config = Config { pools, ..Config::default() };
    Cluster::new(Arc::new(config), Arc::new(nodes), alive, Options::default())
}

/// The reason on each node; empty: it announces.
fn reasons(cluster: &Cluster, service: &Service, serving: &Serving, nodes: &[&str]) -> Vec<&'static str> {
    let decide = |node: &&str| on_node(cluster, service, serving, node).layer2;
    nodes.iter().map(|node| decide(node).err().map_or("", |refusal| refusal.reason())).collect()
}

fn owner(cluster: &Cluster, service: &Service, serving: &Serving) -> Option<String> {
    everywhere(cluster, service, serving).owner().map(ToString::to_string)
}
