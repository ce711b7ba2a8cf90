//! What each peer of each node is told by BGP, and of which Services nobody is: what all speakers together would do.

use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;
use std::sync::Arc;

use plan::Config;
use plan::announce::bgp::{self, Advertised, Refusal};
use plan::announce::{Alive, Cluster, Name};
use plan::community::Community;
use plan::range::parse_address;
use plan::router::Routing;
use plan::selector::Labels;
use plan::snapshot::{Service, ServiceKey, ServiceType, Serving};
use protocol::bgp::capability::Family;
use protocol::bgp::prefix::Prefix;
use protocol::bgp::route::Policy;
use serde::{Serialize, Serializer};

use super::announcing::{Announced, Announcing, OfNode, Why, as_text};

/// One route that a peer is told. What is not told is left out.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Route<'a> {
    #[serde(serialize_with = "as_text")]
    pub(super) prefix: Prefix,
    /// Those that have it.
    #[serde(serialize_with = "as_texts")]
    pub(super) services: Vec<&'a ServiceKey>,
    #[serde(flatten)]
    pub(super) attributes: Attributes,
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Attributes {
    /// Told to peers of our own AS alone, who are told 100 if it is not given.
    #[serde(skip_serializing_if = "Option::is_none")]
    local_pref: Option<u32>,
    /// As in a BGPAdvertisement.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    communities: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    med: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    prepend: Option<u8>,
    /// The node's own if it is not given.
    #[serde(skip_serializing_if = "Option::is_none")]
    next_hop: Option<IpAddr>,
    #[serde(skip_serializing_if = "Option::is_none")]
    link_bandwidth_mbps: Option<u64>,
}

/// Adds what every node tells. `own`: configurations of nodes where they differ; `problems`: why a node has none.
pub(super) fn add<'a>(
    announcing: &mut Announcing<'a>,
    cluster: &Cluster,
    own: &BTreeMap<String, Arc<Config>>,
    problems: &BTreeMap<String, String>,
    services: &'a [Service],
    serving: &HashMap<ServiceKey, Serving>,
) {
    let names: Vec<Name> = cluster.names().cloned().collect();
    for name in names {
        let own = own.get(&*name).map(|config| cluster.with_config(Arc::clone(config)));
        let refusal = why_silent(cluster, &name, problems);
        let mut node = Telling::of(own.as_ref().unwrap_or(cluster), &name, refusal.is_some());
        for service in services {
            node.decide(service, serving.get(&service.key), refusal.as_ref());
        }
        node.add_to(announcing);
    }
}

/// Why a node tells nothing at all.
fn why_silent(cluster: &Cluster, node: &str, problems: &BTreeMap<String, String>) -> Option<Arc<Refusal>> {
    if let Some(problem) = problems.get(node) {
        return Some(Arc::new(plan::announce::Refusal::NoConfiguration { problem: problem.clone() }.into()));
    }
    match cluster.alive() {
        Alive::These(alive) if !alive.contains(node) => Some(Arc::new(Refusal::NotAlive)),
        _ => None,
    }
}

/// One node.
struct Telling<'a, 'c> {
    cluster: &'c Cluster,
    node: Name,
    routing: Routing,
    told: Vec<Decided<'a, Arc<[Advertised]>>>,
    refused: Vec<Decided<'a, Why>>,
}

/// About one Service.
struct Decided<'a, T> {
    service: &'a ServiceKey,
    addresses: Vec<IpAddr>,
    what: T,
}

impl<'a, 'c> Telling<'a, 'c> {
    fn of(cluster: &'c Cluster, node: &Name, is_silent: bool) -> Telling<'a, 'c> {
        let mut routing = Routing::default();
        if !is_silent {
            let unknown = Labels::default();
            let labels = cluster.nodes().get(&**node).map_or(&unknown, |it| &it.labels);
            for conflict in routing.set_peers(&cluster.config().peers, labels) {
                eprintln!("warning: on node {node} {conflict}");
            }
        }
        Telling { cluster, node: node.clone(), routing, told: Vec::new(), refused: Vec::new() }
    }

    fn decide(&mut self, service: &'a Service, serving: Option<&Serving>, silent: Option<&Arc<Refusal>>) {
        // Nobody expects a Service of another type to be announced.
        if service.service_type != ServiceType::LoadBalancer {
            return;
        }
        let nowhere = Serving::default();
        let outcome = match silent {
            Some(refusal) => Err(Arc::clone(refusal)),
            None => bgp::on_node(self.cluster, service, serving.unwrap_or(&nowhere), &self.node).1,
        };
        let parsed = service.ingress.iter().filter_map(|it| parse_address(it.ip.as_deref()?));
        let addresses: Vec<IpAddr> = parsed.collect();
        match outcome {
            Ok(advertised) => {
                self.routing.set(&service.key, &advertised);
                self.told.push(Decided { service: &service.key, addresses, what: advertised });
            }
            Err(refusal) => {
                self.refused.push(Decided { service: &service.key, addresses, what: Why::Bgp(refusal) });
            }
        }
    }

    fn add_to(mut self, announcing: &mut Announcing<'a>) {
        let mut by_prefix: BTreeMap<Prefix, Vec<(&'a ServiceKey, &Advertised)>> = BTreeMap::new();
        for Decided { service, addresses, what: advertised } in &self.told {
            if let Some(refusal) = self.routing.refusal(service) {
                let (addresses, what) = (addresses.clone(), Why::Bgp(Arc::new(refusal)));
                self.refused.push(Decided { service, addresses, what });
                continue;
            }
            for it in &**advertised {
                by_prefix.entry(it.prefix).or_default().push((service, it));
            }
            let peers = self.routing.peers_of(service);
            let announcements = announcing.announcements.get_or_insert_default();
            announcements.extend(addresses.iter().map(|&ip| Announced {
                service,
                ip,
                protocol: "bgp",
                node: self.node.clone(),
                interfaces: None,
                peers: Some(peers.clone()),
            }));
        }
        let of_node: &mut OfNode<'a> = announcing.nodes.entry(self.node.clone()).or_default();
        for Decided { service, addresses, what } in &self.refused {
            of_node.refuse(service, addresses, what);
        }
        let config = self.routing.config();
        for neighbour in config.routers.values().flat_map(|router| router.neighbours.values()) {
            let peer = &neighbour.settings.name;
            let route = |(prefix, policy): &(Prefix, Arc<Policy>)| {
                let having = by_prefix.get(prefix).map(Vec::as_slice).unwrap_or_default();
                let mut services: Vec<&ServiceKey> =
                    having.iter().filter(|(_, it)| it.peers.contains(peer)).map(|(key, _)| *key).collect();
                services.dedup();
                Route { prefix: *prefix, services, attributes: Attributes::of(*prefix, policy) }
            };
            of_node.bgp.insert(peer.as_str().into(), neighbour.routes.iter().map(route).collect());
        }
    }
}

impl Attributes {
    fn of(prefix: Prefix, policy: &Policy) -> Attributes {
        let legacy = policy.communities.iter();
        let legacy = legacy.map(|it| Community::Legacy((it >> 16) as u16, *it as u16).to_string());
        let large = policy.large_communities.iter();
        let large = large
            .map(|&[global, first, second]| format!("large:{}", Community::Large(global, first, second)));
        let next_hop = match prefix.family() {
            Family::IPV4_UNICAST => policy.next_hop.map(IpAddr::V4),
            _ => policy.next_hop_v6.map(IpAddr::V6),
        };
        Attributes {
            local_pref: policy.local_preference,
            communities: legacy.chain(large).collect(),
            med: policy.med,
            prepend: Some(policy.prepended).filter(|&times| times > 0),
            next_hop,
            link_bandwidth_mbps: policy.extended_communities.first().map(mbps),
        }
    }

    /// In one line; a dash if there are none.
    pub(super) fn line(&self) -> String {
        let mut parts = Vec::new();
        parts.extend(self.local_pref.map(|it| format!("local preference {it}")));
        parts.extend(Some(self.communities.join(" ")).filter(|it| !it.is_empty()));
        parts.extend(self.med.map(|it| format!("MED {it}")));
        parts.extend(self.prepend.map(|it| format!("prepended {it} times")));
        parts.extend(self.next_hop.map(|it| format!("via {it}")));
        parts.extend(self.link_bandwidth_mbps.map(|it| format!("{it} Mbit/s")));
        if parts.is_empty() { "-".to_owned() } else { parts.join(", ") }
    }
}

/// Of the extended community for link bandwidth, the only one that there is: bytes a second.
fn mbps(community: &[u8; 8]) -> u64 {
    let [_, _, _, _, bytes @ ..] = *community;
    (f64::from(f32::from_be_bytes(bytes)) / 125_000.0).round() as u64
}

fn as_texts<S: Serializer>(services: &[&ServiceKey], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(services.iter().map(ToString::to_string))
}
