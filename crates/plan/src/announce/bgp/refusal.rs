//! Why a node tells no peer about the addresses of a Service: values for programs, and the one place of their texts.

use protocol::bgp::prefix::Prefix;

use crate::announce::Name;
use crate::quote::quoted;
use crate::snapshot::ServiceKey;

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// For the same reason it would not be announced in any other way.
    #[error(transparent)]
    Common(#[from] crate::announce::Refusal),
    #[error("no BGPAdvertisement is for pool {}", quoted(.pool))]
    NoAdvertisement { pool: Name },
    #[error(
        "no BGPAdvertisement for pool {} is for this node: spec.nodeSelectors of {} do not select it",
        quoted(.pool), quoted(.nearest)
    )]
    NoAdvertisementForNode { pool: Name, nearest: Name },
    #[error("no BGPAdvertisement is for this Service on this node: spec.serviceSelectors of {} do not select it",
        quoted(.nearest))]
    NoMatchingAdvertisement { nearest: Name },
    #[error("BGPAdvertisements {} and {} are for this Service on this node and differ in {difference}",
        quoted(.first), quoted(.second))]
    Conflict { first: Name, second: Name, difference: Difference },
    #[error("this node is not known")]
    UnknownNode,
    #[error("no live speaker is known on this node")]
    NotAlive,
    #[error("the condition NetworkUnavailable of this node is true")]
    NetworkUnavailable,
    #[error("this node has the label {label}")]
    NodeExcluded { label: &'static str },
    #[error("this node is drained, by its annotation {annotation}")]
    NodeDraining { annotation: &'static str },
    #[error("no endpoint of the Service on this node can serve, and spec.externalTrafficPolicy is Local")]
    NoLocalEndpoint,
    #[error("no endpoint of the Service can serve")]
    NoEndpoint,
    #[error("{prefix} would have {count} communities, and a route has at most {}", super::COMMUNITIES_MAX)]
    TooManyCommunities { prefix: Prefix, count: usize },
    /// Two Services have one prefix, and only one of them can have its way; so none has.
    #[error("{prefix} is {other}'s too, and BGPAdvertisements {} and {} differ in {difference}",
        quoted(.ours), quoted(.theirs))]
    ConflictOfServices { prefix: Prefix, other: ServiceKey, ours: Name, theirs: Name, difference: Difference },
}

/// What cannot be said of one route in two ways.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Difference {
    #[error("spec.localPref, which is {0} and {1}")]
    LocalPreference(u32, u32),
    #[error("the next hop that their annotations ask for")]
    NextHop,
}

impl Refusal {
    /// The word that logs and tools know this by. Several refusals share one.
    pub fn reason(&self) -> &'static str {
        match self {
            Refusal::Common(refusal) => refusal.reason(),
            Refusal::NoAdvertisement { .. }
            | Refusal::NoAdvertisementForNode { .. }
            | Refusal::UnknownNode
            | Refusal::NotAlive
            | Refusal::NodeDraining { .. } => "notOwner",
            Refusal::NoMatchingAdvertisement { .. } => "noMatchingAdvertisement",
            Refusal::Conflict { .. } | Refusal::ConflictOfServices { .. } => "conflictingAdvertisements",
            Refusal::NetworkUnavailable => "nodeNetworkUnavailable",
            Refusal::NodeExcluded { .. } => "nodeLabeledExcludeBalancers",
            Refusal::NoLocalEndpoint => "noLocalEndpoints",
            Refusal::NoEndpoint => "noEndpoints",
            Refusal::TooManyCommunities { .. } => "tooManyCommunities",
        }
    }
}
