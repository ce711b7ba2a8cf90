//! What each node does about each Service, or why it does nothing: (configuration, nodes, who is alive) to decisions.
//!
//! [`on_node`] is what one speaker asks, about one Service at a time; [`everywhere`] is the same for all nodes at once.
//! Both come from the same steps, because every node must come to the same owner without talking.
//!
//! * `cluster` is what a decision is made in, with what is the same for all Services worked out in advance.
//! * `layer2` is the one node that answers for the addresses of a Service; `refusal` is why another one does not.
//! * [`bgp`] is what nodes tell their BGP peers, whatever layer 2 does, and why not.

pub mod bgp;
mod cluster;
mod layer2;
mod refusal;
#[cfg(test)]
mod tests;

use std::net::IpAddr;
use std::sync::Arc;

use protocol::l2::Interfaces;

pub use cluster::{Alive, Cluster, DRAIN_ANNOTATION, EXCLUDE_LABEL, Leaders, Options};
pub use refusal::{Nearest, Refusal};

use crate::placement::{Placement, Spreadable, Wishes};
use crate::range::parse_address;
use crate::snapshot::{Service, ServiceType, Serving};
use layer2::Election;

/// The annotations of a Service that are looked at here.
pub const READ_ANNOTATIONS: [&str; 2] = crate::allocate::SHARING_ANNOTATIONS;

/// As many of the order of succession as have to know each other: who answers, and who watches over it.
pub const HEIRS: usize = 3;

/// Of a node, or of a resource; shared, because a thousand decisions hold the same few.
pub type Name = Arc<str>;

/// What one node does about one Service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Announcement {
    /// The addresses of the Service, in the order of its status. Empty if they are not to be looked at.
    pub addresses: Vec<IpAddr>,
    pub layer2: Result<Layer2, Refusal>,
    /// The first [`HEIRS`] of the order of succession: who answers, who takes over if that one fails, and if both do.
    pub first: Vec<Name>,
    /// Where this node would answer for all the addresses if it were its turn. `None` if it never is.
    pub interfaces: Option<Interfaces>,
}

/// This node answers for these addresses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layer2 {
    /// In the order of the Service's status. The interfaces may be none that the node has.
    pub addresses: Vec<(IpAddr, Interfaces)>,
}

/// What every node does about one Service by layer 2. By BGP: [`bgp::everywhere`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Everywhere {
    pub addresses: Vec<IpAddr>,
    /// All candidates: who answers, then who takes over, and so on.
    pub succession: Vec<Name>,
    /// Every node that is known or alive, by name.
    pub layer2: Vec<(Name, Result<Layer2, Refusal>)>,
}

impl Announcement {
    fn refused(addresses: Vec<IpAddr>, refusal: Refusal) -> Announcement {
        Announcement { addresses, layer2: Err(refusal), first: Vec::new(), interfaces: None }
    }
}

impl Everywhere {
    /// Who answers by layer 2.
    pub fn owner(&self) -> Option<&Name> {
        self.succession.first()
    }
}

/// Cheap: called for a single Service on each of its changes. In one pass: whether this node answers, who would next, and
/// how this node would.
pub fn on_node(cluster: &Cluster, service: &Service, serving: &Serving, node: &str) -> Announcement {
    match addresses(cluster, service) {
        Ok(addresses) => {
            let election = Election::of(cluster, service, serving, &addresses);
            match election.map(|election| election.on_node(node)) {
                Ok(announcement) => announcement,
                Err(refusal) => Announcement::refused(addresses, refusal),
            }
        }
        Err(refusal) => Announcement::refused(Vec::new(), refusal),
    }
}

/// The addresses of a Service and the first `few` of their order of succession, without a look at any node in
/// particular. Nobody if they are not announced.
pub fn first(
    cluster: &Cluster,
    service: &Service,
    serving: &Serving,
    few: usize,
) -> (Vec<IpAddr>, Vec<Name>) {
    let Ok(addresses) = addresses(cluster, service) else { return Default::default() };
    let election = Election::of(cluster, service, serving, &addresses);
    let first = election.map(|election| election.first(few)).unwrap_or_default();
    (addresses, first)
}

/// Who would answer if nobody came first by the wish of anybody.
pub fn natural_owner(cluster: &Cluster, service: &Service, serving: &Serving) -> Option<Name> {
    let addresses = addresses(cluster, service).ok()?;
    let election = Election::of(cluster, service, serving, &addresses).ok()?;
    election.without_leaders().first(1).pop()
}

/// What is asked for the first address of a Service, by itself, which is `wishes`, and by the advertisements for it.
/// Nothing if it has none, or nothing is asked for.
pub fn placement(cluster: &Cluster, service: &Service, wishes: &Wishes) -> Option<(IpAddr, Placement)> {
    if wishes.is_nothing() && !cluster.has_wishes() {
        return None;
    }
    let addresses = addresses(cluster, service).ok()?;
    let of_pool = cluster.advertisements_of(cluster.pool_around(&addresses)?);
    let advertisements = of_pool.filter(|it| it.matches(&service.labels));
    let placement = wishes.within(advertisements.map(|it| &it.config.wishes));
    (!placement.is_nothing()).then_some((addresses[0], placement))
}

/// Where a Service could be answered for, if its address is to be balanced with others.
pub fn spreadable(cluster: &Cluster, service: &Service, serving: &Serving) -> Option<Spreadable> {
    let addresses = addresses(cluster, service).ok()?;
    Some(Election::of(cluster, service, serving, &addresses).ok()?.spreadable())
}

/// As [`on_node`] decides by layer 2 on each node.
pub fn everywhere(cluster: &Cluster, service: &Service, serving: &Serving) -> Everywhere {
    let addresses = match addresses(cluster, service) {
        Ok(addresses) => addresses,
        Err(refusal) => {
            return Everywhere {
                addresses: Vec::new(),
                succession: Vec::new(),
                layer2: for_all(cluster, &Err(refusal)),
            };
        }
    };
    let (succession, layer2) = match Election::of(cluster, service, serving, &addresses) {
        Ok(election) => election.everywhere(),
        Err(refusal) => (Vec::new(), for_all(cluster, &Err(refusal))),
    };
    Everywhere { addresses, succession, layer2 }
}

fn for_all<T: Clone>(cluster: &Cluster, outcome: &T) -> Vec<(Name, T)> {
    cluster.names().map(|node| (node.clone(), outcome.clone())).collect()
}

/// The addresses that a Service has, if it is one to announce addresses for.
fn addresses(cluster: &Cluster, service: &Service) -> Result<Vec<IpAddr>, Refusal> {
    if let ServiceType::Other(name) = &service.service_type {
        return Err(Refusal::NotLoadBalancer { service_type: name.clone() });
    }
    let ours = &cluster.options().load_balancer_class;
    if service.load_balancer_class != *ours {
        return Err(Refusal::OtherClass { wanted: service.load_balancer_class.clone(), ours: ours.clone() });
    }
    if service.ingress.is_empty() {
        return Err(Refusal::NoAddress);
    }
    let parsed = service.ingress.iter().map(|entry| {
        let address = entry.ip.as_deref().and_then(parse_address);
        let text = || entry.ip.as_ref().or(entry.hostname.as_ref()).cloned().unwrap_or_default();
        address.ok_or_else(|| Refusal::InvalidAddress { text: text() })
    });
    parsed.collect()
}
