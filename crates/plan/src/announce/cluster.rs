//! What a decision is made in. Made anew when something of it changes, so that a decision only looks up.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::IpAddr;
use std::sync::Arc;

use super::{Name, Refusal, bgp};
use crate::config::{BgpAdvertisement, Config, L2Advertisement, PoolFamilies};
use crate::containment::Containment;
use crate::selector::{Labels, any_matches};
use crate::snapshot::Node;

/// On a node, with any value: it takes no traffic from outside.
pub const EXCLUDE_LABEL: &str = "node.kubernetes.io/exclude-from-external-load-balancers";

/// On a node, with `true`: what it announces goes to others.
pub const DRAIN_ANNOTATION: &str = "ferrolb.io/drain";

/// Which nodes have a speaker that can answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Alive {
    /// Nobody watches over them, so every known node counts.
    Everyone,
    /// By name. One whose Node is not known counts all the same.
    These(BTreeSet<String>),
}

#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Options {
    /// Nodes with [`EXCLUDE_LABEL`] are nodes like all others.
    pub ignore_exclude_label: bool,
    /// The class of the Services that are handled; `None`: those without one.
    pub load_balancer_class: Option<String>,
}

/// Nodes that come first for an address whatever the others score, in their order, by the first address of Services.
/// Those of them that are no candidates are passed over.
pub type Leaders = BTreeMap<IpAddr, Vec<Name>>;

/// The configuration, the nodes, and who is alive. Cheap to clone, and to make anew with another part.
#[derive(Debug, Clone)]
pub struct Cluster {
    config: Arc<Config>,
    nodes: Arc<BTreeMap<String, Node>>,
    alive: Alive,
    options: Options,
    leaders: Arc<Leaders>,
    /// Every node that is known or alive, by name.
    participants: Vec<Participant>,
    pools: Arc<Pools>,
    /// As `pools` numbers them.
    advertisements: Arc<Vec<Advertisement>>,
    /// For each BGP advertisement as `pools` numbers them, and each participant: whether it is for it.
    bgp_allowed: Arc<Vec<Vec<bool>>>,
}

/// What depends on the configuration alone.
#[derive(Debug)]
struct Pools {
    containment: Containment,
    /// As `containment` numbers them.
    pools: Vec<AdvertisedPool>,
    /// Each once, though it may be for many pools.
    advertisements: Vec<Arc<L2Advertisement>>,
    has_wishes: bool,
    bgp_advertisements: Vec<bgp::Advertisement>,
}

/// A node, as far as it does not depend on the Service.
#[derive(Debug, Clone)]
pub(super) struct Participant {
    pub(super) name: Name,
    /// Why it is no candidate for any Service.
    pub(super) refusal: Option<Refusal>,
    pub(super) network_unavailable: bool,
    pub(super) is_excluded: bool,
    pub(super) is_draining: bool,
}

#[derive(Debug, Clone)]
pub(super) struct AdvertisedPool {
    pub(super) name: Name,
    pub(super) families: PoolFamilies,
    /// Positions in the list of all advertisements.
    advertisements: Vec<usize>,
    /// Positions in the list of all BGP advertisements, by their names.
    bgp_advertisements: Vec<usize>,
}

/// An advertisement, with its nodes by their position instead of their name.
#[derive(Debug, Clone)]
pub(super) struct Advertisement {
    pub(super) name: Name,
    pub(super) config: Arc<L2Advertisement>,
    allowed: Vec<bool>,
    /// Empty if it prefers nobody.
    weights: Vec<i64>,
}

impl Cluster {
    pub fn new(
        config: Arc<Config>,
        nodes: Arc<BTreeMap<String, Node>>,
        alive: Alive,
        options: Options,
    ) -> Cluster {
        let pools = Arc::new(Pools::new(&config));
        let participants = participants(&nodes, &alive, &options);
        let advertisements = pools.advertisements_for(&participants);
        let bgp_allowed = pools.bgp_allowed_for(&participants);
        Cluster {
            config,
            nodes,
            alive,
            options,
            leaders: Arc::default(),
            participants,
            pools,
            advertisements,
            bgp_allowed,
        }
    }

    /// The same with others alive.
    pub fn with_alive(&self, alive: Alive) -> Cluster {
        self.with_participants(Arc::clone(&self.nodes), alive)
    }

    /// The same with other nodes.
    pub fn with_nodes(&self, nodes: Arc<BTreeMap<String, Node>>) -> Cluster {
        self.with_participants(nodes, self.alive.clone())
    }

    /// The same with another configuration.
    pub fn with_config(&self, config: Arc<Config>) -> Cluster {
        let (nodes, alive) = (Arc::clone(&self.nodes), self.alive.clone());
        let leaders = Arc::clone(&self.leaders);
        Cluster { leaders, ..Cluster::new(config, nodes, alive, self.options.clone()) }
    }

    /// The same with others who come first.
    pub fn with_leaders(&self, leaders: Arc<Leaders>) -> Cluster {
        Cluster { leaders, ..self.clone() }
    }

    fn with_participants(&self, nodes: Arc<BTreeMap<String, Node>>, alive: Alive) -> Cluster {
        let participants = participants(&nodes, &alive, &self.options);
        let same_names = participants.iter().map(|it| &it.name).eq(self.names());
        let (advertisements, bgp_allowed) = match same_names {
            true => (Arc::clone(&self.advertisements), Arc::clone(&self.bgp_allowed)),
            false => {
                (self.pools.advertisements_for(&participants), self.pools.bgp_allowed_for(&participants))
            }
        };
        Cluster { nodes, alive, participants, advertisements, bgp_allowed, ..self.clone() }
    }

    pub fn config(&self) -> &Arc<Config> {
        &self.config
    }

    pub fn nodes(&self) -> &Arc<BTreeMap<String, Node>> {
        &self.nodes
    }

    pub fn alive(&self) -> &Alive {
        &self.alive
    }

    pub fn options(&self) -> &Options {
        &self.options
    }

    pub fn leaders(&self) -> &Arc<Leaders> {
        &self.leaders
    }

    /// Whether there is a pool that holds all of these addresses.
    pub fn has_pool_around(&self, addresses: &[IpAddr]) -> bool {
        self.pool_around(addresses).is_some()
    }

    /// Every node that is known or alive, by name.
    pub fn names(&self) -> impl Iterator<Item = &Name> {
        self.participants.iter().map(|participant| &participant.name)
    }

    /// Whether any advertisement asks for anything.
    pub(super) fn has_wishes(&self) -> bool {
        self.pools.has_wishes
    }

    pub(super) fn participants(&self) -> &[Participant] {
        &self.participants
    }

    pub(super) fn position(&self, node: &str) -> Option<usize> {
        self.participants.binary_search_by(|it| (*it.name).cmp(node)).ok()
    }

    /// The pool that holds all of these addresses; of several, the first by name.
    pub(super) fn pool_around(&self, addresses: &[IpAddr]) -> Option<&AdvertisedPool> {
        self.pools.containment.around_all(addresses).first().map(|&id| &self.pools.pools[id])
    }

    pub(super) fn leaders_of(&self, address: IpAddr) -> &[Name] {
        self.leaders.get(&address).map(Vec::as_slice).unwrap_or_default()
    }

    pub(super) fn advertisements_of(&self, pool: &AdvertisedPool) -> impl Iterator<Item = &Advertisement> {
        pool.advertisements.iter().map(|&position| &self.advertisements[position])
    }

    /// With their positions in the list of all.
    pub(super) fn bgp_advertisements_of(
        &self,
        pool: &AdvertisedPool,
    ) -> impl Iterator<Item = (usize, &bgp::Advertisement)> {
        pool.bgp_advertisements.iter().map(|&at| (at, &self.pools.bgp_advertisements[at]))
    }

    /// Whether a BGP advertisement is for a node, by the positions of both.
    pub(super) fn bgp_allows(&self, advertisement: usize, node: usize) -> bool {
        self.bgp_allowed[advertisement][node]
    }
}

impl Pools {
    fn new(config: &Config) -> Pools {
        let mut advertisements = Numbered::default();
        let mut bgp_advertisements = Numbered::default();
        let mut pools = Vec::new();
        for pool in config.pools.values() {
            let mut of_bgp: Vec<&Arc<BgpAdvertisement>> = pool.bgp_advertisements.iter().collect();
            of_bgp.sort_by_key(|it| &it.name);
            pools.push(AdvertisedPool {
                name: pool.name.as_str().into(),
                families: pool.families(),
                advertisements: pool.l2_advertisements.iter().map(|it| advertisements.number(it)).collect(),
                bgp_advertisements: of_bgp.into_iter().map(|it| bgp_advertisements.number(it)).collect(),
            });
        }
        let advertisements = advertisements.all;
        let has_wishes = advertisements.iter().any(|it| !it.wishes.is_nothing());
        let containment = Containment::new(config.pools.values());
        let bgp_advertisements = bgp_advertisements.all.iter().map(bgp::Advertisement::new).collect();
        Pools { containment, pools, advertisements, has_wishes, bgp_advertisements }
    }

    fn bgp_allowed_for(&self, participants: &[Participant]) -> Arc<Vec<Vec<bool>>> {
        let of_all = self.bgp_advertisements.iter();
        Arc::new(of_all.map(|it| named(it.nodes(), participants)).collect())
    }

    fn advertisements_for(&self, participants: &[Participant]) -> Arc<Vec<Advertisement>> {
        let of_all = self.advertisements.iter();
        Arc::new(of_all.map(|it| Advertisement::new(Arc::clone(it), participants)).collect())
    }
}

fn participants(nodes: &BTreeMap<String, Node>, alive: &Alive, options: &Options) -> Vec<Participant> {
    let mut names: BTreeSet<&str> = nodes.keys().map(String::as_str).collect();
    if let Alive::These(alive) = alive {
        names.extend(alive.iter().map(String::as_str));
    }
    let is_alive = |name: &str| match alive {
        Alive::Everyone => true,
        Alive::These(alive) => alive.contains(name),
    };
    let participant = |name: &str| {
        let node = nodes.get(name);
        let is_labelled = node.is_some_and(|node| node.labels.contains_key(EXCLUDE_LABEL));
        let mut participant = Participant {
            name: name.into(),
            refusal: None,
            network_unavailable: node.is_some_and(|node| node.network_unavailable),
            is_excluded: is_labelled && !options.ignore_exclude_label,
            is_draining: node.is_some_and(|node| node.is_draining),
        };
        participant.refusal = match &participant {
            _ if !is_alive(name) => Some(Refusal::NotAlive),
            it if it.network_unavailable => Some(Refusal::NetworkUnavailable),
            it if it.is_draining => Some(Refusal::NodeDraining { annotation: DRAIN_ANNOTATION }),
            it if it.is_excluded => Some(Refusal::NodeExcluded { label: EXCLUDE_LABEL }),
            _ => None,
        };
        participant
    };
    names.into_iter().map(participant).collect()
}

/// Which participants are among these names. Both are in the order of names, so one walk finds who is in both.
fn named(names: &BTreeSet<String>, participants: &[Participant]) -> Vec<bool> {
    let mut names = names.iter().map(String::as_str).peekable();
    let is_named = |it: &Participant| {
        while names.next_if(|name| *name < &*it.name).is_some() {}
        names.next_if(|name| *name == &*it.name).is_some()
    };
    participants.iter().map(is_named).collect()
}

/// Shared values, each once, though it may be for many pools.
struct Numbered<T> {
    positions: HashMap<*const T, usize>,
    all: Vec<Arc<T>>,
}

impl<T> Default for Numbered<T> {
    fn default() -> Numbered<T> {
        Numbered { positions: HashMap::new(), all: Vec::new() }
    }
}

impl<T> Numbered<T> {
    fn number(&mut self, value: &Arc<T>) -> usize {
        *self.positions.entry(Arc::as_ptr(value)).or_insert_with(|| {
            self.all.push(Arc::clone(value));
            self.all.len() - 1
        })
    }
}

impl Advertisement {
    fn new(config: Arc<L2Advertisement>, participants: &[Participant]) -> Advertisement {
        let allowed = named(&config.nodes, participants);
        let weight = |it: &Participant| config.preferred_nodes.get(&*it.name).copied().unwrap_or(0);
        let weights = match config.preferred_nodes.is_empty() {
            true => Vec::new(),
            false => participants.iter().map(weight).collect(),
        };
        Advertisement { name: config.name.as_str().into(), config, allowed, weights }
    }

    pub(super) fn matches(&self, service: &Labels) -> bool {
        any_matches(&self.config.service_selectors, service)
    }

    pub(super) fn allows(&self, position: usize) -> bool {
        self.allowed[position]
    }

    pub(super) fn weight(&self, position: usize) -> i64 {
        self.weights.get(position).copied().unwrap_or(0)
    }
}
