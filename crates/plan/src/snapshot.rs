//! The part of a cluster that decisions look at, as plain values. `api::ingest` fills them.

use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::selector::Labels;

/// `namespace/name`. Many remember the same one, so a clone of it takes little room.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct ServiceKey {
    pub namespace: Arc<str>,
    pub name: Arc<str>,
}

/// What is read of a Service, and nothing else of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Service {
    pub key: ServiceKey,
    pub labels: Labels,
    pub annotations: BTreeMap<String, String>,
    pub service_type: ServiceType,
    pub load_balancer_class: Option<String>,
    pub load_balancer_ip: String,
    /// `spec.clusterIPs`, or the single `spec.clusterIP` where the list is absent. As written, not parsed.
    pub cluster_ips: Vec<String>,
    /// `spec.clusterIP` as written; only messages print it.
    pub cluster_ip: String,
    pub ip_family_policy: IpFamilyPolicy,
    /// The first entry of `spec.ipFamilies`.
    pub primary_family: Option<IpFamily>,
    pub ports: Vec<ServicePort>,
    /// `externalTrafficPolicy: Local`.
    pub local_traffic_only: bool,
    pub selector: Labels,
    /// `status.loadBalancer.ingress`, in order: the only memory of what was assigned.
    pub ingress: Vec<Ingress>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum ServiceType {
    LoadBalancer,
    /// Any other type, by its name.
    Other(String),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum IpFamilyPolicy {
    #[default]
    SingleStack,
    PreferDualStack,
    RequireDualStack,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum IpFamily {
    V4,
    V6,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct ServicePort {
    /// As in the Service: `TCP`, `UDP`, `SCTP`.
    pub protocol: String,
    pub port: i32,
}

/// One entry of `status.loadBalancer.ingress`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ingress {
    /// As written; an entry may have only a hostname.
    pub ip: Option<String>,
    pub hostname: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Node {
    pub name: String,
    pub labels: Labels,
    /// Condition `NetworkUnavailable` is `True`.
    pub network_unavailable: bool,
    /// Somebody wants it to announce nothing.
    #[serde(default)]
    pub is_draining: bool,
}

/// Where a Service can be served, by all its EndpointSlices together.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Serving {
    pub anywhere: bool,
    /// How many endpoints can serve on which nodes. No node is there without any.
    pub nodes: BTreeMap<String, u32>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Namespace {
    pub name: String,
    pub labels: Labels,
}

impl IpFamily {
    pub fn of(address: IpAddr) -> IpFamily {
        match address {
            IpAddr::V4(_) => IpFamily::V4,
            IpAddr::V6(_) => IpFamily::V6,
        }
    }
}

impl Serving {
    /// What one more EndpointSlice adds.
    pub fn add(&mut self, other: &Serving) {
        self.anywhere |= other.anywhere;
        for (node, &endpoints) in &other.nodes {
            self.add_endpoints(node, endpoints);
        }
    }

    pub fn add_endpoints(&mut self, node: &str, endpoints: u32) {
        match self.nodes.get_mut(node) {
            Some(known) => *known = known.saturating_add(endpoints),
            None => drop(self.nodes.insert(node.to_owned(), endpoints)),
        }
    }
}

impl ServiceKey {
    pub fn new(namespace: &str, name: &str) -> ServiceKey {
        ServiceKey { namespace: namespace.into(), name: name.into() }
    }
}

impl fmt::Display for ServiceKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

impl fmt::Display for ServicePort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.protocol, self.port)
    }
}
