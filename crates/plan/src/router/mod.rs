//! What the BGP engine of one node is to run: which routers, with which neighbours, and what each of them is told.
//!
//! [`Routing`] is made of peers and of what [`crate::announce`] wants told of each Service, one change at a time; [`RouterConfig`] is the
//! value that comes out, and that other sources of neighbours and routes can make as well. How one route is made of several is `merge`;
//! which Services contradict each other is `judge`; `contributions` keeps both in step with what changes.

mod contributions;
mod judge;
mod merge;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use protocol::bgp::route::Routes;

use crate::announce::Name;
use crate::announce::bgp::{Advertised, Refusal};
use crate::config::{Peer, PeerEndpoint};
use crate::selector::Labels;
use crate::snapshot::ServiceKey;
use contributions::Contributions;
use merge::Listener;

/// By the name of the routing table (VRF); empty: the default one.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RouterConfig {
    pub routers: BTreeMap<String, Router>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Router {
    pub asn: u32,
    /// `None`: one that the node has anyway.
    pub router_id: Option<Ipv4Addr>,
    pub neighbours: BTreeMap<PeerEndpoint, Neighbour>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Neighbour {
    /// Shared, and the same as before as long as nothing of it has changed.
    pub settings: Arc<Peer>,
    /// As well. Only of the address families of the neighbour.
    pub routes: Arc<Routes>,
}

/// A peer that cannot be on this node beside another one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("BGPPeer {peer} is left out: {why} as BGPPeer {other}")]
pub struct PeerConflict {
    pub peer: String,
    pub other: String,
    pub why: PeerClash,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PeerClash {
    #[error("it has the same spec.peerAddress or spec.interface")]
    Endpoint,
    #[error("it has not the same spec.myASN")]
    MyAsn,
    #[error("it has not the same spec.routerID")]
    RouterId,
}

/// The peers of one node, and all that is to be told.
#[derive(Debug, Default)]
pub struct Routing {
    peers: BTreeMap<Name, OnNode>,
    contributions: Contributions,
    /// Services of which it may have changed who is told.
    affected: BTreeSet<ServiceKey>,
}

#[derive(Debug)]
struct OnNode {
    settings: Arc<Peer>,
    listener: Listener,
}

impl Routing {
    /// The peers of a node with these labels. Says which are left out, because they do not go together with one before them by name.
    pub fn set_peers(&mut self, peers: &BTreeMap<String, Peer>, node: &Labels) -> Vec<PeerConflict> {
        let mut before = std::mem::take(&mut self.peers);
        let mut conflicts = Vec::new();
        for peer in peers.values().filter(|peer| peer.selects(node)) {
            if let Some((other, why)) = self.peers.values().find_map(|it| clash(peer, &it.settings)) {
                conflicts.push(PeerConflict { peer: peer.name.clone(), other: other.to_owned(), why });
                continue;
            }
            let on_node = match before.remove(peer.name.as_str()) {
                Some(known) if *known.settings == *peer => known,
                Some(known) => {
                    OnNode { settings: Arc::new(peer.clone()), listener: known.listener.for_peer(peer) }
                }
                None => OnNode { settings: Arc::new(peer.clone()), listener: Listener::of(peer) },
            };
            self.peers.insert(peer.name.as_str().into(), on_node);
        }
        self.affected.extend(self.contributions.services().cloned());
        conflicts
    }

    /// All that is wanted told of a Service from now on.
    pub fn set(&mut self, service: &ServiceKey, advertised: &Arc<[Advertised]>) {
        if self.contributions.set(service, advertised) {
            self.affected.insert(service.clone());
        }
    }

    pub fn remove(&mut self, service: &ServiceKey) {
        if self.contributions.remove(service) {
            self.affected.insert(service.clone());
        }
    }

    /// Why nothing is told of a Service because of others.
    pub fn refusal(&mut self, service: &ServiceKey) -> Option<Refusal> {
        self.settle();
        self.contributions.refusal(service).cloned()
    }

    /// The peers that are told of one of its routes, by name.
    pub fn peers_of(&mut self, service: &ServiceKey) -> Vec<Name> {
        self.settle();
        let told = self.contributions.told_of(service);
        let is_told = |name: &str, it: &OnNode| {
            told.iter().any(|(prefix, peers)| {
                it.listener.hears(*prefix) && peers.iter().any(|peers| peers.contains(name))
            })
        };
        self.peers.iter().filter(|(name, it)| is_told(name, it)).map(|(name, _)| name.clone()).collect()
    }

    /// Services of which [`Routing::peers_of`] or [`Routing::refusal`] may say something else than before.
    pub fn take_affected(&mut self) -> BTreeSet<ServiceKey> {
        self.settle();
        std::mem::take(&mut self.affected)
    }

    /// What a peer is told. The same value as before if nothing of it has changed, and that of others who are told the same.
    pub fn routes(&mut self, peer: &str) -> Option<Arc<Routes>> {
        self.settle();
        let (name, it) = self.peers.get_key_value(peer)?;
        let name = name.clone();
        let routes = self.contributions.routes(&name, &it.listener);
        if let Some(it) = self.peers.get_mut(peer) {
            it.listener.heard(routes.clone(), self.contributions.now());
        }
        Some(routes)
    }

    pub fn config(&mut self) -> RouterConfig {
        let names: Vec<Name> = self.peers.keys().cloned().collect();
        let mut config = RouterConfig::default();
        for name in names {
            let Some(routes) = self.routes(&name) else { continue };
            let settings = Arc::clone(&self.peers[&name].settings);
            let router = config.routers.entry(settings.vrf.clone()).or_insert_with(|| Router {
                asn: settings.my_asn,
                router_id: router_id(&settings),
                neighbours: BTreeMap::new(),
            });
            router.neighbours.insert(settings.endpoint.clone(), Neighbour { settings, routes });
        }
        config
    }

    fn settle(&mut self) {
        self.affected.append(&mut self.contributions.settle());
    }
}

/// The parser refuses such peers, but nodes get other labels at any time.
fn clash<'a>(peer: &Peer, other: &'a Peer) -> Option<(&'a str, PeerClash)> {
    if peer.vrf != other.vrf {
        return None;
    }
    let why = if peer.endpoint == other.endpoint {
        PeerClash::Endpoint
    } else if peer.my_asn != other.my_asn {
        PeerClash::MyAsn
    } else if router_id(peer) != router_id(other) {
        PeerClash::RouterId
    } else {
        return None;
    };
    Some((&other.name, why))
}

/// An IPv6 address cannot be one.
fn router_id(peer: &Peer) -> Option<Ipv4Addr> {
    match peer.router_id? {
        IpAddr::V4(id) => Some(id),
        IpAddr::V6(_) => None,
    }
}
