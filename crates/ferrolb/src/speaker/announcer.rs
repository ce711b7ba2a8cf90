//! What this node announces: what was seen in, what follows from it out, as differences to what was said before.
//!
//! It knows no clock and no network, so everything that can happen to a speaker is a test without either.

#[path = "placing.rs"]
mod placing;
#[path = "routes.rs"]
mod routes;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use plan::Config;
use plan::announce::{self, Alive, Announcement, Cluster};
use plan::snapshot::{Node, ServiceKey, Serving};
use protocol::l2::Interfaces;

use super::read::{Seen, Slice};
use super::succession::{Prepared, Succession};
use crate::layer2::{Change, Claim};
use crate::watch::Key;
use placing::Placements;
pub(super) use placing::Told;

/// Names of nodes that are kept once. Beyond that some are kept twice.
const NODE_NAMES: usize = 20_000;
pub(super) const LAYER2: &str = "layer2";
/// A node that is to take over is heard within this time, or nobody is answered any more.
const YIELD_WITHIN: Duration = Duration::from_millis(500);

#[derive(Debug)]
pub(super) struct Announcer {
    node: String,
    cluster: Cluster,
    /// Nothing is decided before everything was seen once.
    has_configuration: bool,
    has_members: bool,
    has_all_services: bool,
    has_all_slices: bool,
    has_interfaces: bool,
    services: HashMap<ServiceKey, Known>,
    /// Which Service a slice is of.
    slices: HashMap<Key, ServiceKey>,
    node_names: NodeNames,
    /// Names of the interfaces that there are.
    interfaces: BTreeSet<String>,
    dirty: BTreeSet<ServiceKey>,
    /// Services of which it is to be decided anew what BGP peers are told.
    unrouted: BTreeSet<ServiceKey>,
    /// Who has an address answered for, and where.
    wanted: BTreeMap<IpAddr, Vec<(ServiceKey, Interfaces)>>,
    /// What was told to be answered for.
    told: BTreeMap<IpAddr, Interfaces>,
    /// What is answered for until another node is heard to, and for which Services it was.
    yielding: BTreeMap<IpAddr, Vec<ServiceKey>>,
    succession: Succession,
    placements: Placements,
    /// This node was not there, or not awake: what it loses others have long had.
    was_away: bool,
    /// Begun by plan, before the word on who is alive that it is to be checked by,
    taken_over: BTreeSet<IpAddr>,
    /// and after.
    to_check: BTreeSet<IpAddr>,
}

#[derive(Debug, Default)]
struct Known {
    seen: Option<Arc<Seen>>,
    /// By name. Nearly always one, so a list.
    slices: Vec<(Arc<str>, Slim)>,
    doing: Option<Doing>,
    /// Addresses of which BGP peers are told.
    routed: Option<Box<[IpAddr]>>,
}

/// Where one slice can be served. There may be very many of them, all on the same few nodes.
#[derive(Debug, PartialEq, Eq)]
struct Slim {
    anywhere: bool,
    nodes: Box<[(Arc<str>, u32)]>,
}

/// What this node does about a Service.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Doing {
    /// All addresses of the Service, in its order.
    pub(super) addresses: Arc<[IpAddr]>,
    /// Those that are answered for.
    pub(super) answered: Box<[(IpAddr, Interfaces)]>,
    /// Those for which none of the interfaces is there.
    pub(super) without_interface: Box<[IpAddr]>,
}

/// What follows from a look at everything that has changed.
#[derive(Debug, Default)]
pub(super) struct Effects {
    pub(super) changes: Vec<Change>,
    pub(super) news: Vec<News>,
    pub(super) turned: Vec<Turned>,
    /// Who follows whom, if that has changed.
    pub(super) prepared: Option<Prepared>,
}

/// A Service about which something else is done now than before.
#[derive(Debug)]
pub(super) struct Turned {
    pub(super) service: ServiceKey,
    pub(super) now: Option<Doing>,
}

/// Something that the owner of a Service may want to know.
#[derive(Debug)]
pub(super) struct News {
    pub(super) seen: Arc<Seen>,
    pub(super) is_warning: bool,
    pub(super) reason: &'static str,
    pub(super) message: String,
}

impl Announcer {
    pub(super) fn new(node: &str, options: announce::Options) -> Announcer {
        Announcer {
            node: node.to_owned(),
            cluster: Cluster::new(Arc::default(), Arc::default(), Alive::Everyone, options),
            has_configuration: false,
            has_members: false,
            has_all_services: false,
            has_all_slices: false,
            has_interfaces: false,
            services: HashMap::new(),
            slices: HashMap::new(),
            node_names: NodeNames::default(),
            interfaces: BTreeSet::new(),
            dirty: BTreeSet::new(),
            unrouted: BTreeSet::new(),
            wanted: BTreeMap::new(),
            told: BTreeMap::new(),
            yielding: BTreeMap::new(),
            succession: Succession::default(),
            placements: Placements::default(),
            was_away: false,
            taken_over: BTreeSet::new(),
            to_check: BTreeSet::new(),
        }
    }

    pub(super) fn observe(&mut self, seen: Seen) {
        let key = seen.service.key.clone();
        let known = self.services.entry(key.clone()).or_default();
        let before = known.seen.as_ref();
        let is_same = before.is_some_and(|it| it.service == seen.service && it.asked == seen.asked);
        let seen = known.seen.insert(Arc::new(seen)).clone();
        if !is_same {
            self.observe_wishes(&key, Some(&seen));
            self.mark(key);
        }
    }

    pub(super) fn forget(&mut self, key: &ServiceKey) {
        if let Some(known) = self.services.get_mut(key) {
            known.seen = None;
            self.mark(key.clone());
            self.observe_wishes(key, None);
        }
    }

    pub(super) fn observe_slice(&mut self, key: Key, mut slice: Slice) {
        // What is known already is not kept again.
        if let Some((known, _)) = self.services.get_key_value(&slice.service) {
            slice.service = known.clone();
        }
        if self.slices.get(&key).is_some_and(|before| *before != slice.service) {
            self.forget_slice(&key);
        }
        let known = self.services.entry(slice.service.clone()).or_default();
        let slim = self.node_names.slim(&slice.serving);
        match known.slices.iter_mut().find(|(name, _)| **name == *key.1) {
            Some((_, before)) if *before == slim => return,
            Some((_, before)) => *before = slim,
            None => {
                known.slices.reserve_exact(1);
                known.slices.push((Arc::clone(&key.1), slim));
            }
        }
        self.mark(slice.service.clone());
        self.slices.insert(key, slice.service);
    }

    pub(super) fn forget_slice(&mut self, key: &Key) {
        let Some(service) = self.slices.remove(key) else { return };
        if let Some(known) = self.services.get_mut(&service) {
            known.slices.retain(|(name, _)| **name != *key.1);
            self.mark(service);
        }
    }

    fn mark(&mut self, key: ServiceKey) {
        self.unrouted.insert(key.clone());
        self.dirty.insert(key);
    }

    pub(super) fn has_all_services(&mut self) {
        self.has_all_services = true;
    }

    pub(super) fn has_all_slices(&mut self) {
        self.has_all_slices = true;
    }

    /// A Service that is announced and has no pool in this configuration, which cannot be used because of it.
    pub(super) fn would_lose_its_pool(&self, config: &Arc<Config>) -> Option<&ServiceKey> {
        let cluster = self.cluster.with_config(Arc::clone(config));
        let loses = |known: &Known| {
            let answered = known.doing.as_ref().map(|doing| &*doing.addresses);
            let mut announced = answered.into_iter().chain(known.routed.as_deref());
            announced.any(|addresses| !cluster.has_pool_around(addresses))
        };
        self.services.iter().filter(|(_, known)| loses(known)).map(|(key, _)| key).min()
    }

    pub(super) fn set_config(&mut self, config: Arc<Config>) {
        if *self.cluster.config() != config || !self.has_configuration {
            self.has_configuration = true;
            self.unrouted.extend(self.services.keys().cloned());
            self.look_again_in(self.cluster.with_config(config));
        }
    }

    /// This one, if there is a Node.
    pub(super) fn own_node(&self) -> Option<&Node> {
        self.cluster.nodes().get(&self.node)
    }

    /// What is in use, if anything is.
    pub(super) fn config(&self) -> Option<&Config> {
        self.has_configuration.then_some(self.cluster.config())
    }

    pub(super) fn set_nodes(&mut self, nodes: BTreeMap<String, Node>) {
        if **self.cluster.nodes() != nodes {
            self.unrouted.extend(self.services.keys().cloned());
            self.look_again_in(self.cluster.with_nodes(Arc::new(nodes)));
        }
    }

    pub(super) fn set_alive(&mut self, alive: Alive) {
        self.has_members = true;
        // What is prepared says by which word on who is alive.
        self.succession.plan_again();
        self.to_check.append(&mut self.taken_over);
        self.look_at_absent();
        if *self.cluster.alive() != alive {
            self.look_again_in(self.cluster.with_alive(alive));
        }
    }

    /// Told with who is alive: what is not this node's own any more is answered for by others already.
    pub(super) fn was_away(&mut self) {
        self.was_away = true;
    }

    fn look_again_in(&mut self, cluster: Cluster) {
        self.cluster = cluster;
        self.dirty.extend(self.services.keys().cloned());
    }

    pub(super) fn set_interfaces(&mut self, names: BTreeSet<String>) {
        self.has_interfaces = true;
        if self.interfaces == names {
            return;
        }
        self.interfaces = names;
        let names_some = |doing: &Doing| {
            !doing.without_interface.is_empty()
                || doing.answered.iter().any(|(_, interfaces)| *interfaces != Interfaces::All)
        };
        let concerned =
            self.services.iter().filter(|(_, known)| known.doing.as_ref().is_some_and(names_some));
        self.dirty.extend(concerned.map(|(key, _)| key.clone()));
    }

    /// Whether everything was seen that a decision needs.
    pub(super) fn is_ready(&self) -> bool {
        self.could_answer() && self.has_members
    }

    /// Whether nothing is missing but who else could.
    pub(super) fn could_answer(&self) -> bool {
        self.could_route() && self.has_interfaces
    }

    /// Whether everything was seen that a decision about BGP needs.
    pub(super) fn could_route(&self) -> bool {
        self.has_configuration && self.has_all_services && self.has_all_slices
    }

    /// Decides about all that has changed. `told` says who is said to announce a Service.
    pub(super) fn decide(&mut self, told: &dyn Fn(&ServiceKey) -> Told) -> Effects {
        let mut effects = Effects::default();
        if !self.is_ready() {
            return effects;
        }
        self.place(told);
        let mut touched = std::mem::take(&mut self.to_check);
        for key in std::mem::take(&mut self.dirty) {
            if self.must_wait(&key) {
                self.dirty.insert(key);
            } else {
                self.decide_one(&key, &mut touched, &mut effects);
            }
        }
        effects.changes = touched.into_iter().filter_map(|address| self.tell(address)).collect();
        self.was_away = false;
        effects.prepared = self.succession.prepared();
        effects
    }

    fn decide_one(&mut self, key: &ServiceKey, touched: &mut BTreeSet<IpAddr>, effects: &mut Effects) {
        let Some(known) = self.services.get(key) else { return };
        let (announcement, verdict) = self.judge(known);
        let (doing, why_not) = match verdict {
            Ok(doing) => (Some(doing), ""),
            Err(why_not) => (None, why_not),
        };
        // Another node will answer, so this one does until it hears it.
        let is_succeeded = announcement.as_ref().is_some_and(|it| !it.first.is_empty());
        self.succession.observe(key, announcement.as_ref(), &self.node);
        let before = known.doing.clone();
        let seen = known.seen.clone();
        if seen.is_none() && known.slices.is_empty() {
            self.services.remove(key);
        } else if let Some(known) = self.services.get_mut(key) {
            known.doing.clone_from(&doing);
        }
        effects.news.extend(self.placed(key, announcement.as_ref()));
        if before == doing {
            return;
        }
        for (address, _) in before.iter().flat_map(|before| &before.answered) {
            touched.insert(*address);
            if let Some(services) = self.wanted.get_mut(address) {
                services.retain(|(service, _)| service != key);
            }
            if doing.is_none() && is_succeeded && !self.was_away {
                self.yielding.entry(*address).or_default().push(key.clone());
            }
        }
        for (address, interfaces) in doing.iter().flat_map(|doing| &doing.answered) {
            touched.insert(*address);
            let services = self.wanted.entry(*address).or_default();
            services.reserve_exact(1);
            services.push((key.clone(), interfaces.clone()));
        }
        match &doing {
            Some(doing) => {
                let news = seen.iter().flat_map(|seen| self.news_of(seen, doing, before.as_ref()));
                effects.news.extend(news);
                tracing::info!(event = "serviceAnnounced", service = %key, protocol = LAYER2,
                    ips = ?doing.addresses, "announced");
            }
            None => {
                tracing::info!(event = "serviceWithdrawn", service = %key, protocol = LAYER2, reason = why_not,
                    "not announced any more");
            }
        }
        effects.turned.push(Turned { service: key.clone(), now: doing });
    }

    /// What is to be done about a Service, or the reason why nothing is.
    fn judge(&self, known: &Known) -> (Option<Announcement>, Result<Doing, &'static str>) {
        let Some(seen) = &known.seen else { return (None, Err("serviceDeleted")) };
        let serving = merged(&known.slices);
        let announcement = announce::on_node(&self.cluster, &seen.service, &serving, &self.node);
        let doing = match &announcement.layer2 {
            Ok(layer2) => Ok(self.doing_of(&announcement.addresses, &layer2.addresses)),
            Err(refusal) => Err(refusal.reason()),
        };
        (Some(announcement), doing)
    }

    fn doing_of(&self, addresses: &[IpAddr], layer2: &[(IpAddr, Interfaces)]) -> Doing {
        let (answered, without_interface): (Vec<_>, Vec<_>) =
            layer2.iter().cloned().partition(|(_, interfaces)| self.has_some_of(interfaces));
        let without_interface = without_interface.into_iter().map(|(address, _)| address).collect();
        Doing { addresses: addresses.into(), answered: answered.into(), without_interface }
    }

    fn has_some_of(&self, interfaces: &Interfaces) -> bool {
        match interfaces {
            Interfaces::All => true,
            Interfaces::These(names) => !names.is_disjoint(&self.interfaces),
        }
    }

    fn news_of(&self, seen: &Arc<Seen>, doing: &Doing, before: Option<&Doing>) -> Vec<News> {
        let mut news = Vec::new();
        let lacked = before.map(|before| &*before.without_interface).unwrap_or_default();
        for address in doing.without_interface.iter().filter(|address| !lacked.contains(address)) {
            news.push(News {
                seen: Arc::clone(seen),
                is_warning: true,
                reason: "announceFailed",
                message: format!(
                    "the interfaces specified by LB IP {address:?} doesn't exist in assigned node {:?} with protocol {LAYER2:?}",
                    self.node,
                    address = address.to_string(),
                ),
            });
        }
        if before.is_none_or(|before| before.addresses != doing.addresses) {
            news.push(self.assigned(seen, LAYER2));
        }
        news
    }

    /// That this node announces the Service, as upstream's tools look for it: the newest such event tells the node.
    fn assigned(&self, seen: &Arc<Seen>, protocol: &str) -> News {
        let message = format!("announcing from node {:?} with protocol {protocol:?}", self.node);
        News { seen: Arc::clone(seen), is_warning: false, reason: "nodeAssigned", message }
    }

    /// To be said again after another node has claimed the Service and was wrong.
    pub(super) fn say_again(&self, key: &ServiceKey) -> Option<News> {
        let known = self.services.get(key)?;
        known.doing.as_ref()?;
        known.seen.as_ref().map(|seen| self.assigned(seen, LAYER2))
    }

    /// Something to be said of every Service that has this address answered for.
    pub(super) fn about(&self, address: IpAddr) -> Vec<Arc<Seen>> {
        self.services_of(address).filter_map(|key| self.services.get(key)?.seen.clone()).collect()
    }

    pub(super) fn seen(&self, key: &ServiceKey) -> Option<Arc<Seen>> {
        self.services.get(key)?.seen.clone()
    }

    /// The difference to what was told of an address.
    fn tell(&mut self, address: IpAddr) -> Option<Change> {
        if self.wanted.get(&address).is_some_and(Vec::is_empty) {
            self.wanted.remove(&address);
        }
        let interfaces = self.wanted.get(&address).and_then(|services| {
            services.iter().map(|(_, interfaces)| interfaces.clone()).reduce(Interfaces::union)
        });
        let Some(interfaces) = interfaces else {
            if self.told.remove(&address).is_none() {
                self.yielding.remove(&address);
                return None;
            }
            return Some(match self.yielding.contains_key(&address) {
                true => Change::Yield { address, within: YIELD_WITHIN },
                false => Change::Withdraw { address },
            });
        };
        self.yielding.remove(&address);
        let before = self.told.insert(address, interfaces.clone());
        (before.as_ref() != Some(&interfaces)).then_some(Change::Announce {
            address,
            interfaces,
            claim: Claim::Fresh,
        })
    }

    /// The addresses that this node answers for, each with the Services that have it.
    pub(super) fn owned(&self) -> impl Iterator<Item = (IpAddr, &ServiceKey)> {
        let wanted = self
            .wanted
            .iter()
            .flat_map(|(address, services)| services.iter().map(|(key, _)| (*address, key)));
        let yielding =
            self.yielding.iter().flat_map(|(address, services)| services.iter().map(|key| (*address, key)));
        wanted.chain(yielding)
    }

    /// Another node answers for it now, or should.
    pub(super) fn yielded(&mut self, address: IpAddr) -> bool {
        self.yielding.remove(&address).is_some()
    }

    /// Whether others are to take over what this node answers for, and are not known to have.
    pub(super) fn is_yielding(&self) -> bool {
        !self.yielding.is_empty()
    }

    /// What was prepared is done: these are answered for already. Whether they should be is looked at with the next
    /// word on who is alive.
    pub(super) fn took_over(&mut self, addresses: impl IntoIterator<Item = (IpAddr, Interfaces)>) {
        for (address, interfaces) in addresses {
            self.yielding.remove(&address);
            self.told.insert(address, interfaces);
            self.taken_over.insert(address);
        }
    }

    pub(super) fn services_of(&self, address: IpAddr) -> impl Iterator<Item = &ServiceKey> {
        self.wanted.get(&address).into_iter().flatten().map(|(key, _)| key)
    }

    pub(super) fn doing(&self, key: &ServiceKey) -> Option<&Doing> {
        self.services.get(key)?.doing.as_ref()
    }

    pub(super) fn uid_of(&self, key: &ServiceKey) -> Option<String> {
        self.services.get(key)?.seen.as_ref().map(|seen| seen.uid.to_string())
    }

    /// Whether a node has a speaker, as far as is known.
    pub(super) fn is_alive(&self, node: &str) -> bool {
        match self.cluster.alive() {
            Alive::Everyone => self.cluster.nodes().contains_key(node),
            Alive::These(nodes) => nodes.contains(node),
        }
    }

    /// Whether this node is the one that sees to what nodes have left behind: the first that is alive.
    pub(super) fn sees_to_others(&self) -> bool {
        let first = match self.cluster.alive() {
            Alive::Everyone => self.cluster.nodes().keys().next(),
            Alive::These(nodes) => nodes.first(),
        };
        first.is_some_and(|first| *first == self.node)
    }

    /// Whether any node announces the Service, as far as this one can tell.
    pub(super) fn is_announced_anywhere(&self, key: &ServiceKey) -> bool {
        let Some(known) = self.services.get(key) else { return false };
        let Some(seen) = &known.seen else { return false };
        let serving = merged(&known.slices);
        announce::everywhere(&self.cluster, &seen.service, &serving).owner().is_some()
    }
}

fn merged(slices: &[(Arc<str>, Slim)]) -> Serving {
    let mut all = Serving::default();
    for (_, slim) in slices {
        all.anywhere |= slim.anywhere;
        for (node, endpoints) in &slim.nodes {
            all.add_endpoints(node, *endpoints);
        }
    }
    all
}

/// Names of nodes, each kept once.
#[derive(Debug, Default)]
struct NodeNames(BTreeSet<Arc<str>>);

impl NodeNames {
    fn slim(&mut self, serving: &Serving) -> Slim {
        // Nodes that came and went must not pile up.
        if self.0.len() > NODE_NAMES {
            self.0.clear();
        }
        let nodes = serving.nodes.iter().map(|(name, &endpoints)| (self.shared(name), endpoints)).collect();
        Slim { anywhere: serving.anywhere, nodes }
    }

    fn shared(&mut self, name: &str) -> Arc<str> {
        if let Some(known) = self.0.get(name) {
            return Arc::clone(known);
        }
        let name: Arc<str> = name.into();
        self.0.insert(Arc::clone(&name));
        name
    }
}

#[cfg(test)]
#[path = "announcer_tests.rs"]
mod tests;
