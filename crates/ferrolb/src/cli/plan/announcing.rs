//! Which node answers for which address, and why the others do not: what all speakers together would do.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::IpAddr;
use std::sync::Arc;

use api::parse::{Objects, Role, View, parse};
use api::placement;
use plan::Config;
use plan::announce::{Alive, Cluster, Everywhere, Leaders, Name, Options, Refusal, everywhere};
use plan::placement::Placement;
use plan::snapshot::{Node, Service, ServiceKey, ServiceType, Serving};
use protocol::l2::Interfaces;
use serde::{Serialize, Serializer};

use super::PlanArgs;
use crate::cli::output::counted;

const LAYER2: &str = "layer2";

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
    /// None: on all of them.
    pub(super) interfaces: BTreeSet<String>,
}

#[derive(Debug, Default, Serialize)]
pub(super) struct OfNode<'a> {
    l2: Vec<Answered<'a>>,
    /// By peer. Nothing is announced by BGP yet.
    bgp: BTreeMap<String, Vec<String>>,
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
    protocol: &'static str,
    reason: &'static str,
    #[serde(rename = "message", serialize_with = "as_text")]
    pub(super) refusal: Refusal,
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
        let (config, problems) = configurations(args, objects);
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
        announcing
    }

    /// Who answers, by the name of the Service.
    pub(super) fn owners(&self) -> BTreeMap<String, Name> {
        let announced = self.announcements.iter().flatten();
        announced.map(|it| (it.service.to_string(), it.node.clone())).collect()
    }

    /// For each Service that some node refuses, by its name, why.
    pub(super) fn reasons(&self) -> BTreeMap<String, Reasons<'_>> {
        let mut reasons: BTreeMap<String, Reasons<'_>> = BTreeMap::new();
        for (node, of_node) in &self.nodes {
            for refused in &of_node.refusals {
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
                        let announced = Announced { service: key, ip, protocol: LAYER2, node, interfaces };
                        self.announcements.get_or_insert_default().push(announced);
                    }
                    owner = Some(node);
                }
                // Nobody expects a Service of another type to be announced.
                Err(_) if service.service_type != ServiceType::LoadBalancer => {}
                Err(refusal) => {
                    let refused = |ip: String| {
                        let (refusal, reason) = (refusal.clone(), refusal.reason());
                        Refused { service: key, ip, protocol: LAYER2, reason, refusal }
                    };
                    match decided.addresses.as_slice() {
                        [] => of_node.refusals.push(refused(String::new())),
                        ips => of_node.refusals.extend(ips.iter().map(|ip| refused(ip.to_string()))),
                    }
                }
            }
        }
        self.owners.push(owner);
    }
}

/// Nodes are named only where they differ.
pub(super) fn one_line(reasons: &Reasons<'_>) -> String {
    const NAMED_NODES: usize = 3;
    let named = |nodes: &[&str]| match nodes.len().saturating_sub(NAMED_NODES) {
        0 => nodes.join(", "),
        more => format!("{} and {more} more", nodes[..NAMED_NODES].join(", ")),
    };
    if let (1, Some(why)) = (reasons.len(), reasons.keys().next()) {
        return why.clone();
    }
    let each = reasons.iter().map(|(why, nodes)| format!("{}: {why}", named(nodes)));
    each.collect::<Vec<_>>().join("; ")
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
fn configurations(args: &PlanArgs, objects: &Objects) -> (Config, BTreeMap<String, String>) {
    let view = View {
        // Who keeps Secrets out of the manifests has them in the cluster.
        secret_passthrough: objects.secrets.is_empty(),
        ..View::everything(&args.namespace)
    };
    let parsed = parse(objects.clone(), &view);
    if parsed.problems.is_empty() {
        return (parsed.config, BTreeMap::new());
    }
    let (mut config, mut problems) = (Config::default(), BTreeMap::new());
    for node in &objects.nodes {
        let role = Role::Speaker { node: node.name.clone() };
        match parse(objects.clone(), &View { role, ..view.clone() }).accepted() {
            Ok(accepted) => config = accepted,
            Err(of_node) => {
                let problem = of_node.first().map(ToString::to_string);
                problems.insert(node.name.clone(), problem.unwrap_or_default());
            }
        }
    }
    (config, problems)
}

fn as_text<S: Serializer>(value: &impl ToString, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&value.to_string())
}
