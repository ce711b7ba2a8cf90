//! Why a Service has no address: values for programs, and the one place where their texts are.
//!
//! People and tools search for these texts, so they are the ones that this field's users know.

use std::net::IpAddr;

use super::request::Families;
use crate::quote::{quoted, quoted_list};
use crate::snapshot::{ServiceKey, ServicePort};

/// Why a Service was left without an address, or why its request could not be followed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    #[error("the address pools are not known yet")]
    PoolsNotLoaded,
    #[error("{}", other_class(.wanted.as_deref(), .ours.as_deref()))]
    OtherClass { wanted: Option<String>, ours: Option<String> },
    #[error("a Service of type {0} gets no load-balancer address")]
    NotLoadBalancer(String),
    #[error("there is no address pool to allocate from")]
    NoPools,
    #[error("the Service has no cluster IP, which decides the address family")]
    NoClusterIps,
    #[error("Service requires dual stack but not enough clusterips [{}]", .cluster_ips.join(" "))]
    NotEnoughClusterIps { cluster_ips: Vec<String> },
    #[error("Failed to retrieve ClusterIPs IPFamily for {} {cluster_ip}: {source}", quoted_list(.cluster_ips))]
    ClusterFamily { cluster_ips: Vec<String>, cluster_ip: String, source: FamilyError },
    /// The Service keeps what it holds until the request can be read.
    #[error("invalid requested loadbalancer IPs: {0}")]
    Request(#[source] RequestError),
    #[error("Failed to allocate IP for {}: {source}", quoted(&.service.to_string()))]
    Allocation { service: ServiceKey, source: Box<AllocationError> },
}

impl Refusal {
    /// The reason of the warning that tells a Service's owner; `None` where there is nothing to be warned of.
    pub fn event_reason(&self) -> Option<&'static str> {
        match self {
            Refusal::NotEnoughClusterIps { .. } => Some("not enough clusterips"),
            Refusal::ClusterFamily { .. } => Some("noclusterIPsIPFamily"),
            Refusal::Request(_) => Some("LoadBalancerFailed"),
            Refusal::Allocation { .. } => Some("AllocationFailed"),
            Refusal::PoolsNotLoaded
            | Refusal::OtherClass { .. }
            | Refusal::NotLoadBalancer(_)
            | Refusal::NoPools
            | Refusal::NoClusterIps => None,
        }
    }
}

fn other_class(wanted: Option<&str>, ours: Option<&str>) -> String {
    let named = |class: Option<&str>| {
        class.map_or("no load-balancer class".to_owned(), |class| format!("class {}", quoted(class)))
    };
    format!("the Service asks for {}, and {} is handled here", named(wanted), named(ours))
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AllocationError {
    #[error("no available IPs")]
    NothingAvailable,
    #[error("no available IPs in pool {pool}")]
    PoolExhausted { pool: String },
    #[error("no available IPs in pool {pool} for {families} IPFamily")]
    FamiliesUnavailable { pool: String, families: Families },
    #[error("unknown pool {}", quoted(.pool))]
    UnknownPool { pool: String },
    /// `None` is an address that the pool could not supply.
    #[error("{} is not allowed in config", list(.addresses))]
    NotAllowed { addresses: Vec<Option<IpAddr>> },
    #[error("pool {pool} not compatible for ip assignment")]
    OutOfScope { pool: String },
    #[error("more than two addresses {}", list(&some(.addresses)))]
    MoreThanTwo { addresses: Vec<IpAddr> },
    #[error("{} {} has the same family", quoted(&.first.to_string()), quoted(&.second.to_string()))]
    SameFamily { first: IpAddr, second: IpAddr },
    /// Also how it looks when the address is simply taken.
    #[error("can't change sharing key for {}, address also in use by {}",
        quoted(&.service.to_string()), holders(.others, *.more))]
    InUse {
        service: ServiceKey,
        address: IpAddr,
        /// The first few, in name order.
        others: Vec<ServiceKey>,
        /// How many there are beyond those.
        more: usize,
    },
    #[error("port {port} is already in use on {}", quoted(&.address.to_string()))]
    PortInUse { address: IpAddr, port: ServicePort },
    #[error("IP for wrong family assigned alloc {held} service family {wanted}")]
    HoldsOtherFamily { held: Families, wanted: Families },
    #[error("requested loadBalancer IP(s) {} does not match the ipFamily of the service", list(&some(.addresses)))]
    RequestOfOtherFamily { addresses: Vec<IpAddr> },
    #[error("requested loadBalancer IP(s) {} is not compatible with requested address pool {pool}",
        list(&some(.addresses)))]
    RequestOutsidePool { addresses: Vec<IpAddr>, pool: String },
    #[error(transparent)]
    Request(#[from] RequestError),
    #[error(transparent)]
    Family(#[from] FamilyError),
}

/// What is wrong with the addresses that a Service asks for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RequestError {
    #[error("service can not have both metallb.io/loadBalancerIPs and svc.Spec.LoadBalancerIP")]
    Both,
    #[error("invalid metallb.io/loadBalancerIPs: {}", quoted(.0))]
    Annotation(String),
    #[error("invalid spec.loadBalancerIP {}", quoted(.0))]
    Spec(String),
    #[error(transparent)]
    Family(#[from] FamilyError),
}

/// Why a list of addresses is neither one address nor one of each family. Addresses are kept as written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FamilyError {
    #[error("IPFamilyForAddresses: Invalid address {}", quoted_list(.0))]
    Invalid(Vec<String>),
    #[error("IPFamilyForAddresses: same address family {}", quoted_list(.0))]
    Same(Vec<String>),
    #[error("IPFamilyForAddresses: invalid ips length {} {}", .0.len(), quoted_list(.0))]
    Length(Vec<String>),
}

/// An address in a message; one that is missing has its own text.
pub(super) fn text(address: &Option<IpAddr>) -> String {
    address.map_or_else(|| "<nil>".to_owned(), |address| address.to_string())
}

fn list(addresses: &[Option<IpAddr>]) -> String {
    quoted_list(addresses.iter().map(text))
}

fn some(addresses: &[IpAddr]) -> Vec<Option<IpAddr>> {
    addresses.iter().copied().map(Some).collect()
}

fn holders(others: &[ServiceKey], more: usize) -> String {
    let mut text = others.iter().map(ServiceKey::to_string).collect::<Vec<_>>().join(",");
    if more > 0 {
        text.push_str(&format!(" and {more} more"));
    }
    text
}
