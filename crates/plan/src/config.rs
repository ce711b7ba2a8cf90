//! What the custom resources mean, once `api::parse` has read them: typed, checked, and complete.
//!
//! Every value here has passed every rule, so nothing downstream validates again.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;
use std::time::Duration;

use ipnet::IpNet;
pub use protocol::bgp::capability::Role;

use crate::community::Community;
use crate::placement::Wishes;
use crate::selector::{Labels, Selector, any_matches};
use crate::snapshot::IpFamily;

/// The whole configuration. Maps are by resource name, so every walk over them is in name order.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Config {
    pub pools: BTreeMap<String, Pool>,
    pub peers: BTreeMap<String, Peer>,
    pub bfd_profiles: BTreeMap<String, BfdProfile>,
    pub bgp_extras: String,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pool {
    pub name: String,
    /// In the order of `spec.addresses`, which is the order of allocation.
    pub addresses: Vec<AddressEntry>,
    /// Whether addresses are handed out without being asked for by pool or by address.
    pub auto_assign: bool,
    /// Leave out IPv4 addresses that end in 0 or 255.
    pub avoid_buggy_ips: bool,
    /// `None`: open to every Service.
    pub scope: Option<Scope>,
    /// Shared, because one advertisement is often for every pool there is.
    pub l2_advertisements: Vec<Arc<L2Advertisement>>,
    pub bgp_advertisements: Vec<Arc<BgpAdvertisement>>,
}

/// Of which families a pool has addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct PoolFamilies {
    pub has_v4: bool,
    pub has_v6: bool,
}

/// One entry of `spec.addresses`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AddressEntry {
    /// As typed, because that is how people recognise it in a message.
    pub text: String,
    /// The fewest aligned prefixes that cover it, ascending. Never empty, all of one family.
    pub prefixes: Vec<IpNet>,
}

/// Which Services may use a pool, and how eagerly it is chosen (`spec.serviceAllocation`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scope {
    /// Positive: lower is preferred. Zero: after all positive ones.
    pub priority: i64,
    /// `None`: no restriction by namespace. An empty set admits nobody.
    pub namespaces: Option<BTreeSet<String>>,
    /// Empty: no restriction by label.
    pub service_selectors: Vec<Selector>,
}

impl Scope {
    pub fn admits(&self, namespace: &str, labels: &Labels) -> bool {
        self.namespaces.as_ref().is_none_or(|namespaces| namespaces.contains(namespace))
            && any_matches(&self.service_selectors, labels)
    }
}

impl Pool {
    pub fn prefixes(&self) -> impl Iterator<Item = &IpNet> {
        self.addresses.iter().flat_map(|entry| &entry.prefixes)
    }

    pub fn families(&self) -> PoolFamilies {
        PoolFamilies {
            has_v4: self.prefixes().any(|prefix| prefix.addr().is_ipv4()),
            has_v6: self.prefixes().any(|prefix| prefix.addr().is_ipv6()),
        }
    }

    /// Whether a Service may use this pool at all, by its namespace and labels.
    pub fn admits(&self, namespace: &str, labels: &Labels) -> bool {
        self.scope.as_ref().is_none_or(|scope| scope.admits(namespace, labels))
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct L2Advertisement {
    pub name: String,
    /// Names of the nodes that may answer.
    pub nodes: BTreeSet<String>,
    /// Empty: all interfaces.
    pub interfaces: BTreeSet<String>,
    /// Ordered by their text form.
    pub service_selectors: Vec<Selector>,
    /// Summed weights of the matching preferences, for nodes that have any.
    pub preferred_nodes: BTreeMap<String, i64>,
    /// Of its annotations.
    pub wishes: Wishes,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BgpAdvertisement {
    pub name: String,
    pub aggregation_length: u8,
    pub aggregation_length_v6: u8,
    /// Zero: not set.
    pub local_pref: u32,
    pub communities: BTreeSet<Community>,
    pub nodes: BTreeSet<String>,
    /// Names of peers; empty: all.
    pub peers: BTreeSet<String>,
    /// Ordered by their text form.
    pub service_selectors: Vec<Selector>,
    /// Of its annotations.
    pub extras: RouteExtras,
}

/// What else is to be said of routes. By default nothing is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RouteExtras {
    pub med: Option<u32>,
    /// How many more times than once external peers find this side's AS number in the path.
    pub prepended: u8,
    pub next_hop: Option<Ipv4Addr>,
    pub next_hop_v6: Option<Ipv6Addr>,
    /// What each endpoint on the node that can serve counts for.
    pub link_bandwidth_mbps: Option<u32>,
    /// A node that is drained goes on announcing, and asks for other paths to be taken (RFC 8326).
    pub graceful_shutdown: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Peer {
    pub name: String,
    pub my_asn: u32,
    pub remote_asn: RemoteAsn,
    /// Take this AS number's place in OPEN and path, without prepending.
    pub local_asn: Option<u32>,
    pub endpoint: PeerEndpoint,
    pub port: u16,
    pub source_address: Option<IpAddr>,
    /// As configured; `None`: the engine's defaults.
    pub timers: Option<Timers>,
    pub connect_time: Option<Duration>,
    pub router_id: Option<IpAddr>,
    /// Empty: every node.
    pub node_selectors: Vec<Selector>,
    pub password: Password,
    pub bfd_profile: Option<String>,
    pub graceful_restart: bool,
    pub ebgp_multi_hop: bool,
    /// Empty: the default routing table.
    pub vrf: String,
    pub dual_stack: bool,
    /// Of its annotations.
    pub extras: PeerExtras,
}

/// What else is to be done about a peer. By default nothing is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PeerExtras {
    /// Ours, towards this peer (RFC 9234).
    pub role: Option<Role>,
    /// How many hops away the peer is at most: whatever comes from further is not looked at (RFC 5082).
    pub ttl_security_hops: Option<u8>,
    /// A peer that says more routes than this in one address family is shut out.
    pub max_prefixes: Option<u32>,
    pub tcp_ao: Option<TcpAo>,
    /// Wait for the peer to connect.
    pub is_passive: bool,
    /// It is whoever connects from the addresses that begin as this one does.
    pub prefix_length: Option<u8>,
    pub dscp: Option<u8>,
}

/// A key of TCP-AO (RFC 5925), which takes the place of an MD5 password.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TcpAo {
    pub key: Password,
    /// In both directions.
    pub key_id: u8,
    pub algorithm: TcpAoAlgorithm,
}

/// RFC 5926.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum TcpAoAlgorithm {
    #[default]
    HmacSha1,
    Aes128Cmac,
}

impl BgpAdvertisement {
    /// Whether some peer is among those of both.
    pub fn shares_a_peer_with(&self, other: &BgpAdvertisement) -> bool {
        self.peers.is_empty() || other.peers.is_empty() || !self.peers.is_disjoint(&other.peers)
    }

    /// Two advertisements may ask for different local preferences as long as no route of a pool is covered by both.
    pub fn local_preference_goes_with(&self, other: &BgpAdvertisement, families: PoolFamilies) -> bool {
        let same_length = families.has_v4 && self.aggregation_length == other.aggregation_length
            || families.has_v6 && self.aggregation_length_v6 == other.aggregation_length_v6;
        self.local_pref == other.local_pref
            || !same_length
            || !self.shares_a_peer_with(other)
            || self.nodes.is_disjoint(&other.nodes)
    }
}

impl Peer {
    pub fn selects(&self, node: &Labels) -> bool {
        any_matches(&self.node_selectors, node)
    }

    /// Whether routes of a family are told to it.
    pub fn speaks(&self, family: IpFamily) -> bool {
        match self.endpoint {
            PeerEndpoint::Address(address) => self.dual_stack || IpFamily::of(address) == family,
            PeerEndpoint::Interface(_) => true,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RemoteAsn {
    Number(u32),
    /// Whatever the peer says, as long as it equals ours.
    Internal,
    /// Whatever the peer says, as long as it differs from ours.
    External,
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum PeerEndpoint {
    Address(IpAddr),
    /// Unnumbered: whoever answers on this interface.
    Interface(String),
}

/// Zero and zero means no timers at all, which is not the same as not configured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timers {
    pub hold: Duration,
    pub keepalive: Duration,
}

/// Where a session's MD5 password comes from.
#[derive(Clone, PartialEq, Eq)]
pub enum Password {
    None,
    Literal(String),
    Secret {
        reference: SecretReference,
        /// `None` when it is passed on by reference and never read.
        value: Option<String>,
    },
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SecretReference {
    pub name: String,
    pub namespace: String,
}

/// A password never reaches a log, whoever prints the configuration.
impl std::fmt::Debug for Password {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Password::None => f.write_str("None"),
            Password::Literal(_) => f.write_str("Literal(<retracted>)"),
            Password::Secret { reference, .. } => {
                write!(f, "Secret({}/{})", reference.namespace, reference.name)
            }
        }
    }
}

/// Absent values are the engine's defaults and stay distinguishable from configured ones.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BfdProfile {
    pub name: String,
    pub receive_interval_ms: Option<u32>,
    pub transmit_interval_ms: Option<u32>,
    pub detect_multiplier: Option<u8>,
    pub echo_interval_ms: Option<u32>,
    pub echo_mode: bool,
    pub passive_mode: bool,
    pub minimum_ttl: Option<u8>,
}
