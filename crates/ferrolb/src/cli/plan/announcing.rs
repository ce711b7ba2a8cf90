//! Which node answers for which address, and why the others do not: what all speakers together would do.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use api::parse::{Objects, Role, View, parse};
use api::placement;
use plan::Config;
use plan::announce::{Alive, Cluster, Everywhere, Leaders, Name, Nearest, Options, Refusal, bgp, everywhere};
use plan::placement::Placement;
use plan::snapshot::{Node, Service, ServiceKey, ServiceType, Serving};
use protocol::l2::Interfaces;
use serde::{Serialize, Serializer};

use super::PlanArgs;
use super::telling::{self, Route};
use crate::cli::output::counted;

const LAYER2: &str = "layer2";
const BGP: &str = "bgp";

#[derive(Debug, Default, Serialize)]
pub(super) struct Announcing<'a> {
    /// In the order of the Services. `None` without any node: then nobody asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) announcements: Option<Vec<Announced<'a>>>,
    /// By name.
    pub(super) nodes: BTreeMap<Name, OfNode<'a>>,
    /// For each Service.
    #[serde(skip)]
    pub(super) owners: Vec<Option<Name>>,
}

/// What nodes say of one Service, and which nodes say so.
pub(super) type Reasons<'a> = BTreeMap<String, Vec<&'a str>>;

/// One address at the node that answers for it.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Announced<'a> {
    #[serde(serialize_with = "as_text")]
    pub(super) service: &'a ServiceKey,
    pub(super) ip: IpAddr,
    pub(super) protocol: &'static str,
    pub(super) node: Name,
    /// Of layer 2. None: on all of them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) interfaces: Option<BTreeSet<String>>,
    /// Of BGP: who is told.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) peers: Option<Vec<Name>>,
}

#[derive(Debug, Default, Serialize)]
pub(super) struct OfNode<'a> {
    l2: Vec<Answered<'a>>,
    /// By peer.
    pub(super) bgp: BTreeMap<Name, Vec<Route<'a>>>,
    pub(super) refusals: Vec<Refused<'a>>,
}

/// One address that a node answers for.
#[derive(Debug, Serialize)]
struct Answered<'a> {
    #[serde(serialize_with = "as_text")]
    service: &'a ServiceKey,
    ip: IpAddr,
    interfaces: BTreeSet<String>,
}

/// One address that a node does not announce, or a Service without any.
#[derive(Debug, Serialize)]
pub(super) struct Refused<'a> {
    #[serde(serialize_with = "as_text")]
    pub(super) service: &'a ServiceKey,
    /// Empty without an address.
    ip: String,
    pub(super) protocol: &'static str,
    reason: &'static str,
    #[serde(rename = "message", serialize_with = "as_text")]
    pub(super) refusal: Why,
}

#[derive(Debug, Clone)]
pub(super) enum Why {
    Layer2(Refusal),
    Bgp(Arc<bgp::Refusal>),
}

impl Why {
    fn protocol(&self) -> &'static str {
        match self {
            Why::Layer2(_) => LAYER2,
            Why::Bgp(_) => BGP,
        }
    }

    fn reason(&self) -> &'static str {
        match self {
            Why::Layer2(refusal) => refusal.reason(),
            Why::Bgp(refusal) => refusal.reason(),
        }
    }

    /// Whether the pool is not meant to be announced in this way at all.
    pub(super) fn is_of_pool(&self) -> bool {
        match self {
            Why::Layer2(refusal) => {
                matches!(refusal, Refusal::NoMatchingAdvertisement { nearest: Nearest::None { .. } })
            }
            Why::Bgp(refusal) => matches!(**refusal, bgp::Refusal::NoAdvertisement { .. }),
        }
    }
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Why::Layer2(refusal) => refusal.fmt(f),
            Why::Bgp(refusal) => refusal.fmt(f),
        }
    }
}

impl<'a> Announcing<'a> {
    /// `services` as they read once their addresses are written.
    pub(super) fn of(
        args: &PlanArgs,
        objects: &Objects,
        services: &'a [Service],
        serving: &HashMap<ServiceKey, Serving>,
    ) -> Announcing<'a> {
        let nodes: BTreeMap<String, Node> =
            objects.nodes.iter().map(|node| (node.name.clone(), node.clone())).collect();
        let alive = alive(args, &nodes);
        let Configurations { config, own, problems } = configurations(args, objects);
        let options = Options {
            ignore_exclude_label: args.ignore_exclude_lb,
            load_balancer_class: super::allocation_options(&args.lb_class).load_balancer_class,
        };
        let cluster = Cluster::new(Arc::new(config), Arc::new(nodes), alive, options);
        let cluster = cluster.with_leaders(Arc::new(leaders_of(&cluster, services, serving)));
        let mut announcing = Announcing {
            announcements: (!cluster.nodes().is_empty()).then(Vec::new),
            nodes: cluster.names().map(|name| (name.clone(), OfNode::default())).collect(),
            owners: Vec::new(),
        };
        let nowhere = Serving::default();
        for service in services {
            let serving = serving.get(&service.key).unwrap_or(&nowhere);
            let decided = everywhere(&cluster, service, serving);
            announcing.add(service, decided, &problems);
        }
        if !(objects.bgp_advertisements.is_empty() && objects.peers.is_empty()) {
            telling::add(&mut announcing, &cluster, &own, &problems, services, serving);
        }
        announcing
    }

    /// Leaves out what other nodes do, and what other peers are told. Empty: nothing.
    pub(super) fn keep(&mut self, nodes: &BTreeSet<String>, peers: &BTreeSet<String>) {
        let wants_node = |node: &str| nodes.is_empty() || nodes.contains(node);
        let wants_peer = |peer: &Name| peers.is_empty() || peers.contains(&**peer);
        self.nodes.retain(|node, _| wants_node(node));
        for of_node in self.nodes.values_mut() {
            of_node.bgp.retain(|peer, _| wants_peer(peer));
        }
        for announced in self.announcements.iter_mut().flatten() {
            announced.peers.iter_mut().for_each(|told| told.retain(wants_peer));
        }
        if let Some(announcements) = &mut self.announcements {
            let is_told = |told: &Option<Vec<Name>>| {
                peers.is_empty() || told.as_ref().is_none_or(|told| !told.is_empty())
            };
            announcements.retain(|it| wants_node(&it.node) && is_told(&it.peers));
        }
    }

    /// Who answers, by the name of the Service.
    pub(super) fn owners(&self) -> BTreeMap<String, Name> {
        let announced = self.announcements.iter().flatten().filter(|it| it.protocol == LAYER2);
        announced.map(|it| (it.service.to_string(), it.node.clone())).collect()
    }

    /// For each Service that some node does not answer for by layer 2, by its name, why.
    pub(super) fn reasons(&self) -> BTreeMap<String, Reasons<'_>> {
        self.reasons_where(|why| matches!(why, Why::Layer2(_)))
    }

    /// The same of those that are not told of by BGP.
    pub(super) fn reasons_of_bgp(&self) -> BTreeMap<String, Reasons<'_>> {
        self.reasons_where(|why| matches!(why, Why::Bgp(_)))
    }

    fn reasons_where(&self, is_wanted: fn(&Why) -> bool) -> BTreeMap<String, Reasons<'_>> {
        let mut reasons: BTreeMap<String, Reasons<'_>> = BTreeMap::new();
        for (node, of_node) in &self.nodes {
            for refused in of_node.refusals.iter().filter(|it| is_wanted(&it.refusal)) {
                let of_service = reasons.entry(refused.service.to_string()).or_default();
                let why = refused.refusal.to_string().replace('\n', "; ");
                let nodes: &mut Vec<&str> = of_service.entry(why).or_default();
                if nodes.last() != Some(&&**node) {
                    nodes.push(node);
                }
            }
        }
        reasons
    }

    /// `problems`: of each node that has no configuration, why.
    fn add(&mut self, service: &'a Service, decided: Everywhere, problems: &BTreeMap<String, String>) {
        let (key, mut owner) = (&service.key, None);
        for (node, outcome) in decided.layer2 {
            let of_node = self.nodes.entry(node.clone()).or_default();
            let outcome = match problems.get(&*node) {
                Some(problem) => Err(Refusal::NoConfiguration { problem: problem.clone() }),
                None => outcome,
            };
            match outcome {
                Ok(layer2) => {
                    for (ip, interfaces) in layer2.addresses {
                        let interfaces = names(interfaces);
                        of_node.l2.push(Answered { service: key, ip, interfaces: interfaces.clone() });
                        let node = node.clone();
                        self.announcements.get_or_insert_default().push(Announced {
                            service: key,
                            ip,
                            protocol: LAYER2,
                            node,
                            interfaces: Some(interfaces),
                            peers: None,
                        });
                    }
                    owner = Some(node);
                }
                // Nobody expects a Service of another type to be announced.
                Err(_) if service.service_type != ServiceType::LoadBalancer => {}
                Err(refusal) => of_node.refuse(key, &decided.addresses, &Why::Layer2(refusal)),
            }
        }
        self.owners.push(owner);
    }
}

impl<'a> OfNode<'a> {
    /// For each address, or for the Service if it has none.
    pub(super) fn refuse(&mut self, service: &'a ServiceKey, addresses: &[IpAddr], why: &Why) {
        let refused = |ip: String| {
            let (protocol, reason, refusal) = (why.protocol(), why.reason(), why.clone());
            Refused { service, ip, protocol, reason, refusal }
        };
        match addresses {
            [] => self.refusals.push(refused(String::new())),
            ips => self.refusals.extend(ips.iter().map(|ip| refused(ip.to_string()))),
        }
    }

    /// The Services that it tells peers of.
    pub(super) fn told(&self) -> impl Iterator<Item = &'a ServiceKey> {
        self.bgp.values().flatten().flat_map(|route| route.services.iter().copied())
    }
}

/// Nodes are named only where they differ.
pub(super) fn one_line(reasons: &Reasons<'_>) -> String {
    if let (1, Some(why)) = (reasons.len(), reasons.keys().next()) {
        return why.clone();
    }
    let each = reasons.iter().map(|(why, nodes)| format!("{}: {why}", shortened(nodes)));
    each.collect::<Vec<_>>().join("; ")
}

/// The first few names of a list.
pub(super) fn shortened(names: &[&str]) -> String {
    const NAMED: usize = 3;
    match names.len().saturating_sub(NAMED) {
        0 => names.join(", "),
        more => format!("{} and {more} more", names[..NAMED].join(", ")),
    }
}

/// None for all, as in the status.
fn names(interfaces: Interfaces) -> BTreeSet<String> {
    match interfaces {
        Interfaces::All => BTreeSet::new(),
        Interfaces::These(names) => Arc::unwrap_or_clone(names),
    }
}

/// Nodes that come first by annotations. Who had which address before is not known here.
fn leaders_of(cluster: &Cluster, services: &[Service], serving: &HashMap<ServiceKey, Serving>) -> Leaders {
    let mut placements: BTreeMap<IpAddr, Placement> = BTreeMap::new();
    let mut spreadable = BTreeMap::new();
    let by_name: BTreeMap<&ServiceKey, &Service> = services.iter().map(|it| (&it.key, it)).collect();
    for (key, service) in by_name {
        let (wishes, _) = placement::of_service(&service.annotations);
        let Some((address, placement)) = plan::announce::placement(cluster, service, &wishes) else {
            continue;
        };
        let nodes = serving.get(key).filter(|_| placement.balanced);
        if let Some(nodes) = nodes.and_then(|it| plan::announce::spreadable(cluster, service, it)) {
            spreadable.entry(address).or_insert(nodes);
        }
        let of_address = placements.entry(address).or_default();
        *of_address = std::mem::take(of_address).and(placement);
    }
    plan::placement::leaders(&placements, &spreadable, |_| None)
}

fn alive(args: &PlanArgs, nodes: &BTreeMap<String, Node>) -> Alive {
    let Some(speakers) = &args.speakers else { return Alive::Everyone };
    let named = speakers.iter().map(|name| name.trim()).filter(|name| !name.is_empty());
    let speakers: BTreeSet<String> = named.map(str::to_owned).collect();
    for name in speakers.iter().filter(|name| !nodes.contains_key(*name)) {
        eprintln!("warning: --speakers {name}: there is no Node of this name in the input");
    }
    Alive::These(speakers)
}

/// To be said of manifests, where what is missing may have been forgotten.
pub(super) fn note_what_is_missing(
    objects: &Objects,
    services: &[Service],
    serving: &HashMap<ServiceKey, Serving>,
) {
    if objects.nodes.is_empty() {
        if !objects.l2_advertisements.is_empty() {
            eprintln!("note: there is no Node in the input, so nobody answers for an address");
        }
        return;
    }
    let with_address = services.iter().filter(|service| !service.ingress.is_empty()).count();
    if with_address > 0 && serving.is_empty() {
        let services = counted(with_address, "Service");
        eprintln!(
            "note: there is no EndpointSlice in the input, so no endpoint can serve, and nobody answers for {services}"
        );
    }
}

/// What the speakers go by, and what is wrong with it for those that could not accept it.
///
/// A speaker sees the peers and BGP advertisements of its own node only, so one node may have a configuration
/// where another has none. What concerns layer 2 is the same on all that have one.
fn configurations(args: &PlanArgs, objects: &Objects) -> Configurations {
    let view = View {
        // Who keeps Secrets out of the manifests has them in the cluster.
        secret_passthrough: objects.secrets.is_empty(),
        ..View::everything(&args.namespace)
    };
    let parsed = parse(objects.clone(), &view);
    if parsed.problems.is_empty() {
        return Configurations { config: parsed.config, ..Configurations::default() };
    }
    let mut all = Configurations::default();
    for node in &objects.nodes {
        let role = Role::Speaker { node: node.name.clone() };
        match parse(objects.clone(), &View { role, ..view.clone() }).accepted() {
            Ok(accepted) => drop(all.own.insert(node.name.clone(), Arc::new(accepted))),
            Err(of_node) => {
                let problem = of_node.first().map(ToString::to_string);
                all.problems.insert(node.name.clone(), problem.unwrap_or_default());
            }
        }
    }
    if let Some(last) = all.own.values().next_back() {
        all.config = Config::clone(last);
    }
    all
}

#[derive(Debug, Default)]
struct Configurations {
    /// What concerns all nodes.
    config: Config,
    /// By the names of nodes, where they are not the same.
    own: BTreeMap<String, Arc<Config>>,
    /// Of nodes without any, why.
    problems: BTreeMap<String, String>,
}

pub(super) fn as_text<S: Serializer>(value: &impl ToString, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&value.to_string())
}
