//! What a node tells its BGP peers for one Service. No election: every node that may, does.

mod refusal;

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::Arc;

use protocol::bgp::prefix::Prefix;
use protocol::bgp::route::Policy;

pub use refusal::{Difference, Refusal};

use super::cluster::{AdvertisedPool, Participant};
use super::{Cluster, DRAIN_ANNOTATION, EXCLUDE_LABEL, Name};
use crate::community::Community;
use crate::config::{BgpAdvertisement, PoolFamilies};
use crate::snapshot::{Service, Serving};

/// Of one route, of both kinds together. Routers begin to refuse routes somewhere beyond.
pub const COMMUNITIES_MAX: usize = 63;
/// RFC 8326: whoever hears it takes another path if there is one.
const GRACEFUL_SHUTDOWN: u32 = 0xffff_0000;

/// What a node does about one Service, or why nothing. Shared by nodes that do the same.
pub type Outcome = Result<Arc<[Advertised]>, Arc<Refusal>>;

/// The addresses of a Service, and what one node tells of them. Cheap, as [`announce::on_node`](super::on_node) is.
pub fn on_node(
    cluster: &Cluster,
    service: &Service,
    serving: &Serving,
    node: &str,
) -> (Vec<IpAddr>, Outcome) {
    match super::addresses(cluster, service) {
        Ok(addresses) => {
            let question = Question::of(cluster, service, serving, &addresses);
            let outcome = question.and_then(|question| question.on_node(node));
            (addresses, outcome)
        }
        Err(refusal) => (Vec::new(), Err(common(refusal))),
    }
}

/// The same for every node that is known or alive, by name. Whether their speakers are alive is not looked at.
pub fn everywhere(cluster: &Cluster, service: &Service, serving: &Serving) -> Vec<(Name, Outcome)> {
    let addresses = super::addresses(cluster, service).map_err(common);
    let question =
        addresses.as_ref().map_err(Arc::clone).and_then(|it| Question::of(cluster, service, serving, it));
    match question {
        Ok(question) => question.everywhere(),
        Err(refusal) => super::for_all(cluster, &Err(refusal)),
    }
}

/// For the reason for which a Service is not announced in any way.
pub(super) fn common(refusal: super::Refusal) -> Arc<Refusal> {
    Arc::new(refusal.into())
}

/// One route that a Service wants told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Advertised {
    pub prefix: Prefix,
    pub peers: Peers,
    pub policy: Arc<Policy>,
    /// What the endpoints on this node are worth, if that is to be told.
    pub bandwidth_mbps: Option<u64>,
    /// The BGPAdvertisement that asks for it.
    pub advertisement: Name,
}

/// Who is told.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Peers {
    All,
    /// By the names of their BGPPeers, of which some may not exist.
    These(Arc<BTreeSet<String>>),
}

impl Peers {
    pub fn contains(&self, peer: &str) -> bool {
        match self {
            Peers::All => true,
            Peers::These(names) => names.contains(peer),
        }
    }

    pub fn overlap(&self, other: &Peers) -> bool {
        match (self, other) {
            (Peers::These(ours), Peers::These(theirs)) => !ours.is_disjoint(theirs),
            _ => true,
        }
    }
}

/// An advertisement, with what of its routes is the same for all Services.
#[derive(Debug)]
pub(super) struct Advertisement {
    name: Name,
    config: Arc<BgpAdvertisement>,
    peers: Peers,
    policy: Arc<Policy>,
    /// On a node that is drained. Nothing: such a node is silent.
    policy_of_drained: Option<Arc<Policy>>,
}

impl Advertisement {
    pub(super) fn new(config: &Arc<BgpAdvertisement>) -> Advertisement {
        let policy = policy(config);
        let of_drained = config.extras.graceful_shutdown.then(|| {
            let mut communities = policy.communities.clone();
            communities.push(GRACEFUL_SHUTDOWN);
            communities.sort_unstable();
            communities.dedup();
            Arc::new(Policy { communities, local_preference: Some(0), ..policy.clone() })
        });
        let peers = match config.peers.is_empty() {
            true => Peers::All,
            false => Peers::These(Arc::new(config.peers.clone())),
        };
        Advertisement {
            name: config.name.as_str().into(),
            config: Arc::clone(config),
            peers,
            policy: Arc::new(policy),
            policy_of_drained: of_drained,
        }
    }

    pub(super) fn nodes(&self) -> &BTreeSet<String> {
        &self.config.nodes
    }
}

fn policy(config: &BgpAdvertisement) -> Policy {
    let (mut communities, mut large_communities) = (Vec::new(), Vec::new());
    for community in &config.communities {
        match *community {
            Community::Legacy(high, low) => communities.push(u32::from(high) << 16 | u32::from(low)),
            Community::Large(global, first, second) => large_communities.push([global, first, second]),
        }
    }
    communities.sort_unstable();
    large_communities.sort_unstable();
    Policy {
        local_preference: Some(config.local_pref).filter(|&preference| preference != 0),
        communities,
        large_communities,
        extended_communities: Vec::new(),
        med: config.extras.med,
        prepended: config.extras.prepended,
        next_hop: config.extras.next_hop,
        next_hop_v6: config.extras.next_hop_v6,
    }
}

/// One Service that has passed what is the same for every node.
pub(super) struct Question<'a> {
    cluster: &'a Cluster,
    pool: &'a AdvertisedPool,
    /// Those for its pool by name, with their positions, and whether they are for this Service.
    advertisements: Vec<(usize, &'a Advertisement, bool)>,
    addresses: &'a [IpAddr],
    local_traffic_only: bool,
    serving: &'a Serving,
    counts_endpoints: bool,
}

/// All that a decision looks at of a node. Nodes that are equal in it do the same.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Here {
    /// Positions among the advertisements of the question: those for this node and this Service.
    matching: Vec<usize>,
    is_allowed: bool,
    is_known: bool,
    network_unavailable: bool,
    is_excluded: bool,
    is_draining: bool,
    /// Zero where the number is not looked at.
    endpoints: u32,
}

impl<'a> Question<'a> {
    pub(super) fn of(
        cluster: &'a Cluster,
        service: &Service,
        serving: &'a Serving,
        addresses: &'a [IpAddr],
    ) -> Result<Question<'a>, Arc<Refusal>> {
        let Some(pool) = cluster.pool_around(addresses) else {
            return Err(common(super::Refusal::NotInAnyPool { addresses: addresses.to_vec() }));
        };
        let matches =
            |it: &Advertisement| crate::selector::any_matches(&it.config.service_selectors, &service.labels);
        let of_pool = cluster.bgp_advertisements_of(pool);
        let advertisements: Vec<_> = of_pool.map(|(at, it)| (at, it, matches(it))).collect();
        let weighs = |(_, it, is_for): &(usize, &Advertisement, bool)| {
            *is_for && it.config.extras.link_bandwidth_mbps.is_some()
        };
        Ok(Question {
            cluster,
            pool,
            counts_endpoints: service.local_traffic_only || advertisements.iter().any(weighs),
            advertisements,
            addresses,
            local_traffic_only: service.local_traffic_only,
            serving,
        })
    }

    pub(super) fn on_node(&self, node: &str) -> Outcome {
        let mut here = Here::default();
        self.look(node, self.cluster.position(node), &mut here);
        self.decide(&here).map_err(Arc::new)
    }

    pub(super) fn everywhere(&self) -> Vec<(Name, Outcome)> {
        let mut decided: Vec<(Here, Outcome)> = Vec::new();
        let mut here = Here::default();
        let each = self.cluster.participants().iter().enumerate().map(|(position, participant)| {
            self.look(&participant.name, Some(position), &mut here);
            let known = decided.iter().find(|(other, _)| *other == here).map(|(_, outcome)| outcome.clone());
            let outcome = known.unwrap_or_else(|| {
                let outcome = self.decide(&here).map_err(Arc::new);
                decided.push((here.clone(), outcome.clone()));
                outcome
            });
            (participant.name.clone(), outcome)
        });
        each.collect()
    }

    fn look(&self, node: &str, position: Option<usize>, here: &mut Here) {
        here.matching.clear();
        here.is_allowed = false;
        for (index, &(at, advertisement, is_for_service)) in self.advertisements.iter().enumerate() {
            let allows = match position {
                Some(position) => self.cluster.bgp_allows(at, position),
                None => advertisement.nodes().contains(node),
            };
            here.is_allowed |= allows;
            if allows && is_for_service {
                here.matching.push(index);
            }
        }
        let participant: Option<&Participant> = position.map(|at| &self.cluster.participants()[at]);
        here.is_known = participant.is_some();
        here.network_unavailable = participant.is_some_and(|it| it.network_unavailable);
        here.is_excluded = participant.is_some_and(|it| it.is_excluded);
        here.is_draining = participant.is_some_and(|it| it.is_draining);
        here.endpoints = match self.counts_endpoints {
            true => self.serving.nodes.get(node).copied().unwrap_or(0),
            false => 0,
        };
    }

    /// The checks stand in the order in which their reasons take precedence.
    fn decide(&self, here: &Here) -> Result<Arc<[Advertised]>, Refusal> {
        if !here.is_allowed {
            let pool = self.pool.name.clone();
            return Err(match self.advertisements.first() {
                Some((_, nearest, _)) => {
                    Refusal::NoAdvertisementForNode { pool, nearest: nearest.name.clone() }
                }
                None => Refusal::NoAdvertisement { pool },
            });
        }
        let matching: Vec<&Advertisement> =
            here.matching.iter().map(|&index| self.advertisements[index].1).collect();
        if here.matching.is_empty() {
            let nearest = self.advertisements.first().map(|(_, it, _)| it.name.clone()).unwrap_or_default();
            return Err(Refusal::NoMatchingAdvertisement { nearest });
        }
        for (index, first) in matching.iter().enumerate() {
            for second in &matching[index + 1..] {
                if let Some(difference) = difference(&first.config, &second.config, self.pool.families) {
                    let (first, second) = (first.name.clone(), second.name.clone());
                    return Err(Refusal::Conflict { first, second, difference });
                }
            }
        }
        if here.network_unavailable {
            return Err(Refusal::NetworkUnavailable);
        }
        if here.is_excluded {
            return Err(Refusal::NodeExcluded { label: EXCLUDE_LABEL });
        }
        if here.is_draining && !matching.iter().any(|it| it.policy_of_drained.is_some()) {
            return Err(Refusal::NodeDraining { annotation: DRAIN_ANNOTATION });
        }
        if !here.is_known {
            return Err(Refusal::UnknownNode);
        }
        if self.local_traffic_only && here.endpoints == 0 {
            return Err(Refusal::NoLocalEndpoint);
        }
        if !self.serving.anywhere {
            return Err(Refusal::NoEndpoint);
        }
        self.advertised(&matching, here)
    }

    fn advertised(
        &self,
        advertisements: &[&Advertisement],
        here: &Here,
    ) -> Result<Arc<[Advertised]>, Refusal> {
        let mut all: Vec<Advertised> = Vec::with_capacity(self.addresses.len());
        for &address in self.addresses {
            for advertisement in advertisements {
                let policy = match here.is_draining {
                    false => Some(&advertisement.policy),
                    true => advertisement.policy_of_drained.as_ref(),
                };
                let config = &advertisement.config;
                let length = match address {
                    IpAddr::V4(_) => config.aggregation_length,
                    IpAddr::V6(_) => config.aggregation_length_v6,
                };
                let (Some(policy), Some(prefix)) = (policy, Prefix::new(address, length)) else { continue };
                // Under the policy Cluster a node without an endpoint of its own forwards as well as others.
                let worth = |mbps: u32| u64::from(mbps) * u64::from(here.endpoints.max(1));
                let advertised = Advertised {
                    prefix,
                    peers: advertisement.peers.clone(),
                    policy: Arc::clone(policy),
                    bandwidth_mbps: config.extras.link_bandwidth_mbps.map(worth),
                    advertisement: advertisement.name.clone(),
                };
                if !all.iter().any(|earlier| says_the_same(earlier, &advertised)) {
                    all.push(advertised);
                }
            }
        }
        all.sort_by(|a, b| (a.prefix, &a.advertisement).cmp(&(b.prefix, &b.advertisement)));
        match too_many_communities(&all) {
            Some(refusal) => Err(refusal),
            None => Ok(all.into()),
        }
    }
}

fn says_the_same(a: &Advertised, b: &Advertised) -> bool {
    (a.prefix, &a.peers, &a.policy, a.bandwidth_mbps) == (b.prefix, &b.peers, &b.policy, b.bandwidth_mbps)
}

/// What two advertisements for one Service on one node cannot both have.
fn difference(a: &BgpAdvertisement, b: &BgpAdvertisement, families: PoolFamilies) -> Option<Difference> {
    if !a.local_preference_goes_with(b, families) {
        return Some(Difference::LocalPreference(a.local_pref, b.local_pref));
    }
    let differ = |a: Option<IpAddr>, b: Option<IpAddr>| a.is_some() && b.is_some() && a != b;
    let same_length = families.has_v4 && a.aggregation_length == b.aggregation_length;
    let same_length_v6 = families.has_v6 && a.aggregation_length_v6 == b.aggregation_length_v6;
    let v4 = |it: &BgpAdvertisement| it.extras.next_hop.map(IpAddr::V4);
    let v6 = |it: &BgpAdvertisement| it.extras.next_hop_v6.map(IpAddr::V6);
    let is_apart = same_length && differ(v4(a), v4(b)) || same_length_v6 && differ(v6(a), v6(b));
    (is_apart && a.shares_a_peer_with(b)).then_some(Difference::NextHop)
}

/// Ascending by prefix.
fn too_many_communities(all: &[Advertised]) -> Option<Refusal> {
    all.chunk_by(|a, b| a.prefix == b.prefix).find_map(|of_prefix| {
        let said: Vec<_> = of_prefix.iter().map(|it| (&it.peers, &*it.policy)).collect();
        let count = most_communities(&said);
        let prefix = of_prefix[0].prefix;
        (count > COMMUNITIES_MAX).then_some(Refusal::TooManyCommunities { prefix, count })
    })
}

/// How many communities the peer that is told most of them would find on one route.
pub(crate) fn most_communities(said: &[(&Peers, &Policy)]) -> usize {
    let of = |is_told: &dyn Fn(&Peers) -> bool| {
        let (mut legacy, mut large) = (BTreeSet::<u32>::new(), BTreeSet::<[u32; 3]>::new());
        for (_, policy) in said.iter().filter(|(peers, _)| is_told(peers)) {
            legacy.extend(&policy.communities);
            large.extend(&policy.large_communities);
        }
        legacy.len() + large.len()
    };
    let of_all = said.iter().map(|(_, it)| it.communities.len() + it.large_communities.len()).sum();
    if of_all <= COMMUNITIES_MAX {
        return of_all;
    }
    let names = |(peers, _): &(&Peers, &Policy)| match peers {
        Peers::All => None,
        Peers::These(names) => Some(Arc::clone(names)),
    };
    let sets: BTreeSet<Arc<BTreeSet<String>>> = said.iter().filter_map(names).collect();
    let named: BTreeSet<&String> = sets.iter().flat_map(|names| names.iter()).collect();
    let of_named = named.into_iter().map(|name| of(&|peers| peers.contains(name))).max().unwrap_or(0);
    of_named.max(of(&|peers| *peers == Peers::All))
}
