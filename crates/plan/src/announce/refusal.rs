//! Why a node does not announce the addresses of a Service: values for programs, and the one place of their texts.

use std::fmt;
use std::net::IpAddr;

use super::Name;
use crate::quote::quoted;

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The speaker of the node never had a configuration that it could accept.
    #[error("configuration error: {problem}")]
    NoConfiguration { problem: String },
    #[error("a Service of type {service_type} has no load-balancer address")]
    NotLoadBalancer { service_type: String },
    #[error("the Service asks for {}, and {} is handled here", class(.wanted), class(.ours))]
    OtherClass { wanted: Option<String>, ours: Option<String> },
    #[error("the Service has no address yet")]
    NoAddress,
    #[error("the status of the Service has {}, which is not an IP address", quoted(.text))]
    InvalidAddress { text: String },
    #[error("no single address pool has all of {}", list(.addresses))]
    NotInAnyPool { addresses: Vec<IpAddr> },
    #[error("no endpoint of the Service can serve")]
    NoServingEndpoint,
    #[error("the Service shares its address, which excludes advertisements with service selectors like {}",
        quoted(.advertisement))]
    SharedAddressWithServiceSelector { advertisement: Name },
    #[error("no L2Advertisement is for this Service on this node: {nearest}")]
    NoMatchingAdvertisement { nearest: Nearest },
    #[error("no live speaker is known on this node")]
    NotAlive,
    #[error("this node is not known")]
    UnknownNode,
    #[error("the condition NetworkUnavailable of this node is true")]
    NetworkUnavailable,
    #[error("this node has the label {label}")]
    NodeExcluded { label: &'static str },
    #[error("this node is drained, by its annotation {annotation}")]
    NodeDraining { annotation: &'static str },
    #[error("no endpoint of the Service on this node can serve, and externalTrafficPolicy is Local")]
    NoLocalEndpoint,
    /// `rank`: how many nodes come before this one. The next to take over has 1.
    #[error("node {owner} answers; this one is number {} in the order of succession", .rank + 1)]
    NotElected { owner: Name, rank: usize },
}

/// What comes closest to an advertisement that would do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Nearest {
    None { pool: Name },
    OfOtherServices { advertisement: Name },
    OfOtherNodes { advertisement: Name },
}

impl Refusal {
    /// The word that logs and tools know this by. Several refusals share one.
    pub fn reason(&self) -> &'static str {
        match self {
            Refusal::NoConfiguration { .. } => "configurationError",
            Refusal::NotLoadBalancer { .. } => "notLoadBalancer",
            Refusal::OtherClass { .. } => "otherClass",
            Refusal::NoAddress => "noIPAllocated",
            Refusal::InvalidAddress { .. } => "invalidIP",
            Refusal::NotInAnyPool { .. } => "ipNotAllowed",
            Refusal::SharedAddressWithServiceSelector { .. } => "sharedIPWithServiceSelector",
            Refusal::NoMatchingAdvertisement { .. } => "noMatchingAdvertisement",
            Refusal::NoServingEndpoint
            | Refusal::NotAlive
            | Refusal::UnknownNode
            | Refusal::NetworkUnavailable
            | Refusal::NodeExcluded { .. }
            | Refusal::NodeDraining { .. }
            | Refusal::NoLocalEndpoint
            | Refusal::NotElected { .. } => "notOwner",
        }
    }
}

impl fmt::Display for Nearest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Nearest::None { pool } => write!(f, "there is none for pool {}", quoted(pool)),
            Nearest::OfOtherServices { advertisement } => {
                write!(f, "{} does not select the Service", quoted(advertisement))
            }
            Nearest::OfOtherNodes { advertisement } => {
                write!(f, "{} does not select the node", quoted(advertisement))
            }
        }
    }
}

fn class(class: &Option<String>) -> String {
    class.as_ref().map_or("no load-balancer class".to_owned(), |class| format!("class {}", quoted(class)))
}

fn list(addresses: &[IpAddr]) -> String {
    addresses.iter().map(IpAddr::to_string).collect::<Vec<_>>().join(", ")
}
