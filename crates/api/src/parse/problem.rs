//! What can be wrong with a configuration: the resource, the field, the rule; and the text in one place.

use std::fmt;

use plan::community::CommunityError;
use plan::quote::quoted;

use super::addresses::AddressError;
use super::selectors::{Duplicate, SelectorError};
use crate::bgp_extras::AnnotationError;
use crate::placement::PlacementError;

/// The resource that a problem is about.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Subject {
    pub kind: &'static str,
    /// As written in the resource; empty when it does not say.
    pub namespace: String,
    pub name: String,
}

/// One broken rule. `Display` is the message that users and tools know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    pub subject: Subject,
    /// The path of the field inside the resource, for example `spec.nodeSelectors[0]`.
    pub field: String,
    pub rule: Rule,
}

/// Something that is allowed and most likely not meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Remark {
    pub subject: Subject,
    pub field: String,
    pub warning: Warning,
}

impl Problem {
    /// Whether the problem goes away by itself once an object that is named here is created.
    pub fn is_transient(&self) -> bool {
        match &self.rule {
            Rule::Peer {
                error: PeerError::Secret { error, .. } | PeerError::TcpAoSecret { error }, ..
            } => {
                matches!(error, SecretError::Missing { .. })
            }
            Rule::UnknownBfdProfile { .. } => true,
            Rule::AdvertisedCommunity { error, .. } => matches!(error, CommunityError::Format(_)),
            _ => false,
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.rule.fmt(f)
    }
}

impl fmt::Display for Remark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.warning.fmt(f)
    }
}

/// The rules of a configuration. Where two messages are joined, a newline stands between them.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Rule {
    #[error("resource must be created in {0} namespace")]
    Namespace(String),

    #[error(transparent)]
    PeerPair(PeerPairError),
    #[error("parsing bfd profile #{number}: {error}")]
    BfdProfile {
        /// Counted from one, in name order.
        number: usize,
        error: BfdProfileError,
    },
    #[error("found duplicate bfd profile name {0}")]
    DuplicateBfdProfile(String),
    #[error("parsing peer {peer} {error}")]
    Peer { peer: String, error: PeerError },
    #[error("peer {peer} referencing non existing bfd profile {profile}")]
    UnknownBfdProfile { peer: String, profile: String },
    #[error("peer {0} already exists")]
    DuplicatePeer(String),

    #[error("parsing community {}: {error}", quoted(.alias))]
    Community { alias: String, error: CommunityError },
    #[error("duplicate definition of community {}", quoted(.0))]
    DuplicateCommunity(String),

    #[error("parsing address pool {pool}: {error}")]
    Pool { pool: String, error: PoolError },
    #[error("duplicate definition of pool {}", quoted(.0))]
    DuplicatePool(String),
    #[error("CIDR {} in pool {} overlaps with already defined CIDR {}", quoted(.cidr), quoted(.pool), quoted(.earlier))]
    Overlap { cidr: String, pool: String, earlier: String },

    /// Something said twice in a list of an advertisement.
    #[error(transparent)]
    Duplicate(Duplicate),
    /// A selector that is judged as part of the list it stands in.
    #[error("{error}\ninvalid label selector {selector}")]
    Selector { error: SelectorError, selector: String },
    #[error("{error}\ninvalid label selector {selector}\nfailed to parse node selector for {advertisement}")]
    NodeSelector { error: SelectorError, selector: String, advertisement: String },
    #[error(
        "invalid service selector {selector}: {error}\nfailed to parse service selector for {advertisement}"
    )]
    ServiceSelector { error: SelectorError, selector: String, advertisement: String },
    #[error(
        "{error}\ninvalid preferred node selector {selector}\nfailed to parse preferred node selectors for {advertisement}"
    )]
    PreferredNodeSelector { error: SelectorError, selector: String, advertisement: String },
    #[error(transparent)]
    Placement(PlacementError),
    #[error(transparent)]
    Annotation(AnnotationError),
    #[error("{error}\ninvalid community {} in BGP advertisement", quoted(.community))]
    AdvertisedCommunity { error: CommunityError, community: String },
    #[error(transparent)]
    Aggregation(AggregationError),
    #[error(
        "invalid local preference {new}: local preferernce {earlier} was already set for the same type of BGP update. \
         Check existing BGP advertisements with common pools and aggregation lengths"
    )]
    LocalPreference { new: u32, earlier: u32 },
    #[error(
        "pool {pool} has bgpadvertisement {advertisement} which references peer {peer} which has bfd echo enabled, \
         which is not possible"
    )]
    EchoOverIpv6 { pool: String, advertisement: String, peer: String },
}

/// Two peers that cannot be on one node together.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PeerPairError {
    #[error("{error}\ninvalid label selector {selector}")]
    Selector { error: SelectorError, selector: String },
    #[error(
        "peer {new} has RouterID different from {earlier}, in FRR mode peers selecting the same node must all have the \
         same RouterID"
    )]
    RouterId { new: String, earlier: String },
    #[error("peer {0} already exists, FRR mode doesn't support duplicate BGPPeers selecting the same node")]
    Identifier(String),
    #[error(
        "peer {new} has myAsn different from {earlier}, in FRR mode peers selecting the same node must have the same \
         myAsn within the same VRF"
    )]
    MyAsn { new: String, earlier: String },
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BfdProfileError {
    #[error("missing bfd profile name")]
    MissingName,
    #[error("invalid value {value}, must be in {minimum}-{maximum} range\ninvalid {what} value")]
    OutOfRange { what: &'static str, value: i64, minimum: i64, maximum: i64 },
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PeerError {
    #[error("missing local ASN")]
    MissingLocalAsn,
    #[error("missing peer ASN and dynamicASN")]
    MissingPeerAsn,
    #[error("both peer ASN and dynamicASN specified")]
    BothPeerAsns,
    #[error("invalid dynamicASN {0}")]
    DynamicAsn(String),
    #[error("invalid ebgp-multihop parameter set for an ibgp peer")]
    MultiHopIbgp,
    #[error("peer has no Address or Interface specified")]
    NoEndpoint,
    #[error("peer has both Address and Interface specified")]
    BothEndpoints,
    #[error("invalid BGPPeer timers: invalid hold time {}: must be 0 or >=3s", quoted(.0))]
    HoldTime(String),
    #[error("invalid BGPPeer timers: invalid keepaliveTime {}, must be lower than holdTime {}",
        quoted(.keepalive), quoted(.hold))]
    KeepaliveTime { keepalive: String, hold: String },
    #[error("invalid BGPPeer address {}", quoted(.0))]
    Address(String),
    #[error("invalid router ID {}", quoted(.0))]
    RouterId(String),
    #[error("invalid source IP {}", quoted(.0))]
    SourceAddress(String),
    #[error(transparent)]
    Duplicate(Duplicate),
    #[error("{error}\nfailed to convert peer {peer} node selector")]
    NodeSelector { peer: String, error: SelectorError },
    #[error("can not have both password and secret ref set in peer config {}/{}", quoted(.namespace), quoted(.peer))]
    BothPasswords { namespace: String, peer: String },
    #[error("{error}\nfailed to parse peer {peer} password secret")]
    Secret { peer: String, error: SecretError },
    #[error(transparent)]
    Annotation(AnnotationError),
    #[error("{error}\nfailed to read the Secret of its annotation {}", crate::bgp_extras::TCP_AO)]
    TcpAoSecret { error: SecretError },
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SecretError {
    #[error("secret ref not found for peer config {}/{}", quoted(.namespace), quoted(.peer))]
    Missing { namespace: String, peer: String },
    // The space at the end belongs to the message that people match on.
    #[error("secret type mismatch on {}/{}, type \"kubernetes.io/basic-auth\" is expected ", quoted(.namespace), quoted(.secret))]
    Type { namespace: String, secret: String },
    #[error("password not specified in the secret {}/{}", quoted(.namespace), quoted(.secret))]
    NoPassword { namespace: String, secret: String },
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PoolError {
    #[error("missing pool name")]
    MissingName,
    #[error("pool has no prefixes defined")]
    NoAddresses,
    #[error("invalid CIDR {} in pool {}: {error}", quoted(.text), quoted(.pool))]
    Address { text: String, pool: String, error: AddressError },
    #[error(transparent)]
    Duplicate(Duplicate),
    #[error("{error}\ninvalid namespace label selector {selector} in ip pool {pool}")]
    NamespaceSelector { error: SelectorError, selector: String, pool: String },
    #[error("{error}\ninvalid service label selector {selector} in ip pool {pool}")]
    ServiceSelector { error: SelectorError, selector: String, pool: String },
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AggregationError {
    #[error("serviceSelectors and aggregationLength are mutually exclusive, both cannot be set in {0}")]
    WithServiceSelectors(String),
    #[error("serviceSelectors and aggregationLengthV6 are mutually exclusive, both cannot be set in {0}")]
    WithServiceSelectorsV6(String),
    #[error("invalid aggregation length {0} for IPv4")]
    TooLong(i32),
    #[error("invalid aggregation length {0} for IPv6")]
    TooLongV6(i32),
    // The number is the IPv4 length even when it is the IPv6 length that does not fit; people match on the text.
    #[error(
        "invalid aggregation length {length}: prefix {prefix} in this pool is more specific than the aggregation \
         length for addresses {addresses}"
    )]
    PoolMoreSpecific { length: i32, prefix: u8, addresses: String },
}

/// Allowed, but most likely not what was meant.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Warning {
    #[error("is not in namespace {0}, so it is ignored")]
    OtherNamespace(String),
    #[error(
        "pool {0} is selected by no L2Advertisement and no BGPAdvertisement: its addresses are assigned but never announced"
    )]
    PoolNotAdvertised(String),
    #[error("{kind} {name} selects no IPAddressPool: it announces nothing")]
    SelectsNoPool { kind: &'static str, name: String },
    #[error("{kind} {name} selects no node: it announces nothing")]
    SelectsNoNode { kind: &'static str, name: String },
    #[error("IPAddressPool {} does not exist", quoted(.0))]
    UnknownPool(String),
    #[error("BGPPeer {} does not exist", quoted(.0))]
    UnknownPeer(String),
    #[error("BGPAdvertisement {0} is for none of the peers there are: it announces nothing")]
    NoPeer(String),
    #[error("peer {0} selects no node: its session is never established")]
    PeerOnNoNode(String),
    #[error("pool {0} admits no namespace, because its namespaceSelectors match none: no Service can use it")]
    PoolAdmitsNobody(String),
    #[error("negative priority {0} has no meaning: it is taken for no priority")]
    NegativePriority(i64),
    #[error("disable mp is deprecated and has no effect since it's the default behavior now")]
    DisableMp,
    #[error("passwordSecret.namespace {} is ignored: the Secret is looked up in namespace {}", quoted(.given), quoted(.used))]
    SecretNamespace { given: String, used: String },
    #[error("router ID {} is an IPv6 address, which cannot identify a router: the default is used", quoted(.0))]
    Ipv6RouterId(String),
    #[error("BFDProfile {0} is used by no BGPPeer")]
    UnusedBfdProfile(String),
    #[error("annotation {0} means nothing here")]
    UnknownAnnotation(String),
}

impl Warning {
    /// Whether it says that something is not there: true only if everything there is could be read.
    pub fn is_of_absence(&self) -> bool {
        match self {
            Warning::PoolNotAdvertised(_)
            | Warning::SelectsNoPool { .. }
            | Warning::SelectsNoNode { .. }
            | Warning::UnknownPool(_)
            | Warning::UnknownPeer(_)
            | Warning::NoPeer(_)
            | Warning::PeerOnNoNode(_)
            | Warning::PoolAdmitsNobody(_)
            | Warning::UnusedBfdProfile(_) => true,
            Warning::OtherNamespace(_)
            | Warning::NegativePriority(_)
            | Warning::DisableMp
            | Warning::SecretNamespace { .. }
            | Warning::Ipv6RouterId(_)
            | Warning::UnknownAnnotation(_) => false,
        }
    }
}

macro_rules! wraps {
    ($($outer:ident :: $variant:ident ($inner:ty)),+ $(,)?) => {
        $(impl From<$inner> for $outer {
            fn from(error: $inner) -> Self {
                $outer::$variant(error)
            }
        })+
    };
}

wraps!(
    Rule::PeerPair(PeerPairError),
    Rule::Duplicate(Duplicate),
    Rule::Aggregation(AggregationError),
    PeerError::Duplicate(Duplicate),
    PoolError::Duplicate(Duplicate),
);
