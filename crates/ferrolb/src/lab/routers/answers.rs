//! What a router of a lab says, whichever program it is.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr};

/// A neighbour, as a router sees it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NeighbourState {
    /// In the router's own words.
    pub state: String,
    pub is_established: bool,
    pub asn: Option<u32>,
    pub router_id: Option<Ipv4Addr>,
    /// What the neighbour offered, of what the router shows; it does so while the session lasts.
    pub capabilities: BTreeSet<Capability>,
    /// For how long the neighbour would have its routes kept.
    pub restart_time_secs: Option<u64>,
    /// As they were agreed.
    pub hold_secs: Option<u64>,
    pub keepalive_secs: Option<u64>,
    /// By kind: `open`, `update`, `keepalive`, `notification`, `refresh`. BIRD does not count them.
    pub received: BTreeMap<&'static str, u64>,
    pub sent: BTreeMap<&'static str, u64>,
    /// Prefixes that it told and that were not refused.
    pub prefixes: u64,
    /// How often the session came to be. Only FRR counts.
    pub times_established: Option<u64>,
    /// Why the last session ended, in the router's own words.
    pub last_reset: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Capability {
    Ipv4,
    Ipv6,
    RouteRefresh,
    EnhancedRefresh,
    FourOctetAsn,
    ExtendedNextHop,
    ExtendedMessage,
    /// The list of families in it may be empty.
    GracefulRestart,
    LongLivedGracefulRestart,
    AddPath,
    Role,
    HostName,
}

/// What a router was told of a prefix, in the order in which it is sorted.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Path {
    /// Who told it; nobody where it is the router's own.
    pub from: Option<IpAddr>,
    /// All that stand in it; of IPv6 the global one first.
    pub next_hops: Vec<IpAddr>,
    pub as_path: Vec<u32>,
    /// `igp`, `egp` or `incomplete`.
    pub origin: String,
    pub med: Option<u32>,
    /// BIRD shows 100 where nothing was told.
    pub local_preference: Option<u32>,
    /// As `65535:0`, whatever name the router has for it; sorted.
    pub communities: Vec<String>,
    pub large_communities: Vec<String>,
    /// In the router's own words.
    pub extended_communities: Vec<String>,
    pub is_best: bool,
    /// Whether it is used, alone or with others. Only FRR tells of those beside the best one, and ExaBGP of none.
    pub is_used: bool,
    /// Whoever told it restarts.
    pub is_stale: bool,
}

/// What a kernel does with a prefix.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct KernelRoute {
    /// Who put it there.
    pub protocol: String,
    pub ways: BTreeSet<Way>,
}

/// One of the equally good ways of a kernel's route.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Way {
    pub gateway: Option<IpAddr>,
    pub interface: String,
    pub weight: u64,
}

impl KernelRoute {
    /// The gateways alone, in their order.
    pub fn gateways(&self) -> Vec<IpAddr> {
        self.ways.iter().filter_map(|way| way.gateway).collect()
    }
}

impl NeighbourState {
    pub fn can(&self, capability: Capability) -> bool {
        self.capabilities.contains(&capability)
    }
}
