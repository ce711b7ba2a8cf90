//! A Service's spec and status as typed values, and what an API server fills in before it looks at anything.

use crate::kinds::{Refusal, set};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Map, Value};

pub(super) const CLUSTER_IP: &str = "ClusterIP";
pub(super) const NODE_PORT: &str = "NodePort";
pub(super) const LOAD_BALANCER: &str = "LoadBalancer";
pub(super) const EXTERNAL_NAME: &str = "ExternalName";
pub(super) const NONE: &str = "None";
pub(super) const LOCAL: &str = "Local";
pub(super) const SINGLE_STACK: &str = "SingleStack";
pub(super) const PREFER_DUAL_STACK: &str = "PreferDualStack";
pub(super) const REQUIRE_DUAL_STACK: &str = "RequireDualStack";
pub(super) const IPV4: &str = "IPv4";
pub(super) const IPV6: &str = "IPv6";

const CLIENT_IP_TIMEOUT_SECS: i32 = 10_800;

/// An empty text, list or number is the same as an absent one; what can be absent and empty is an `Option`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Spec {
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "or_default")]
    pub(super) ports: Vec<Port>,
    #[serde(skip_serializing_if = "Map::is_empty", deserialize_with = "or_default")]
    pub(super) selector: Map<String, Value>,
    #[serde(rename = "clusterIP", skip_serializing_if = "String::is_empty", deserialize_with = "or_default")]
    pub(super) cluster_ip: String,
    #[serde(rename = "clusterIPs", skip_serializing_if = "Vec::is_empty", deserialize_with = "or_default")]
    pub(super) cluster_ips: Vec<String>,
    #[serde(rename = "type", skip_serializing_if = "String::is_empty", deserialize_with = "or_default")]
    pub(super) kind: String,
    #[serde(rename = "externalIPs", skip_serializing_if = "Vec::is_empty", deserialize_with = "or_default")]
    pub(super) external_ips: Vec<String>,
    #[serde(skip_serializing_if = "String::is_empty", deserialize_with = "or_default")]
    pub(super) session_affinity: String,
    #[serde(
        rename = "loadBalancerIP",
        skip_serializing_if = "String::is_empty",
        deserialize_with = "or_default"
    )]
    pub(super) load_balancer_ip: String,
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "or_default")]
    pub(super) load_balancer_source_ranges: Vec<String>,
    #[serde(skip_serializing_if = "String::is_empty", deserialize_with = "or_default")]
    pub(super) external_name: String,
    #[serde(skip_serializing_if = "String::is_empty", deserialize_with = "or_default")]
    pub(super) external_traffic_policy: String,
    #[serde(skip_serializing_if = "is_zero", deserialize_with = "or_default")]
    pub(super) health_check_node_port: i32,
    #[serde(skip_serializing_if = "is_false", deserialize_with = "or_default")]
    pub(super) publish_not_ready_addresses: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) session_affinity_config: Option<SessionAffinityConfig>,
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "or_default")]
    pub(super) ip_families: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) ip_family_policy: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) allocate_load_balancer_node_ports: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) load_balancer_class: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) internal_traffic_policy: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) traffic_distribution: Option<String>,
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Port {
    #[serde(skip_serializing_if = "String::is_empty", deserialize_with = "or_default")]
    pub(super) name: String,
    #[serde(skip_serializing_if = "String::is_empty", deserialize_with = "or_default")]
    pub(super) protocol: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) app_protocol: Option<String>,
    #[serde(deserialize_with = "or_default")]
    pub(super) port: i32,
    #[serde(deserialize_with = "or_default")]
    pub(super) target_port: PortReference,
    #[serde(skip_serializing_if = "is_zero", deserialize_with = "or_default")]
    pub(super) node_port: i32,
}

/// A port by its number or by the name that a container gave it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub(super) enum PortReference {
    Number(i32),
    Name(String),
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct SessionAffinityConfig {
    #[serde(rename = "clientIP", skip_serializing_if = "Option::is_none")]
    pub(super) client_ip: Option<ClientIpConfig>,
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct ClientIpConfig {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) timeout_seconds: Option<i32>,
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Status {
    #[serde(deserialize_with = "or_default")]
    pub(super) load_balancer: LoadBalancer,
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "or_default")]
    pub(super) conditions: Vec<Value>,
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct LoadBalancer {
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "or_default")]
    pub(super) ingress: Vec<Ingress>,
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Ingress {
    #[serde(skip_serializing_if = "String::is_empty", deserialize_with = "or_default")]
    pub(super) ip: String,
    #[serde(skip_serializing_if = "String::is_empty", deserialize_with = "or_default")]
    pub(super) hostname: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) ip_mode: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "or_default")]
    pub(super) ports: Vec<Value>,
}

impl Spec {
    /// The spec of a Service as it stands, with nothing filled in.
    pub(super) fn read(object: &Value) -> Result<Self, Refusal> {
        read(object, "spec")
    }

    /// The same with its defaults.
    pub(super) fn read_defaulted(object: &Value) -> Result<Self, Refusal> {
        let mut spec = Self::read(object)?;
        spec.fill_in();
        Ok(spec)
    }

    pub(super) fn write(&self, object: &mut Value) {
        set(object, "spec", serde_json::to_value(self).ok());
    }

    fn fill_in(&mut self) {
        fill(&mut self.session_affinity, NONE);
        fill(&mut self.kind, CLUSTER_IP);
        self.fill_in_affinity();
        for port in &mut self.ports {
            fill(&mut port.protocol, "TCP");
            if port.target_port.is_empty() {
                port.target_port = PortReference::Number(port.port);
            }
        }
        if self.is_externally_accessible() {
            fill(&mut self.external_traffic_policy, "Cluster");
        }
        if matches!(self.kind.as_str(), CLUSTER_IP | NODE_PORT | LOAD_BALANCER) {
            self.internal_traffic_policy.get_or_insert_with(|| "Cluster".to_owned());
        }
        if self.kind == LOAD_BALANCER {
            self.allocate_load_balancer_node_ports.get_or_insert(true);
        }
    }

    fn fill_in_affinity(&mut self) {
        match self.session_affinity.as_str() {
            NONE => self.session_affinity_config = None,
            "ClientIP" if self.affinity_timeout_secs().is_none() => {
                let client_ip = Some(ClientIpConfig { timeout_seconds: Some(CLIENT_IP_TIMEOUT_SECS) });
                self.session_affinity_config = Some(SessionAffinityConfig { client_ip });
            }
            _ => {}
        }
    }

    fn affinity_timeout_secs(&self) -> Option<i32> {
        self.session_affinity_config.as_ref()?.client_ip.as_ref()?.timeout_seconds
    }

    pub(super) fn has_cluster_ip(&self) -> bool {
        self.kind != EXTERNAL_NAME
    }

    pub(super) fn has_node_ports(&self) -> bool {
        matches!(self.kind.as_str(), NODE_PORT | LOAD_BALANCER)
    }

    /// Whether a port without a node port is given one.
    pub(super) fn allocates_node_ports(&self) -> bool {
        self.has_node_ports()
            && (self.kind == NODE_PORT || self.allocate_load_balancer_node_ports != Some(false))
    }

    pub(super) fn has_health_check(&self) -> bool {
        self.kind == LOAD_BALANCER && self.external_traffic_policy == LOCAL
    }

    pub(super) fn is_externally_accessible(&self) -> bool {
        self.has_node_ports() || (self.kind == CLUSTER_IP && !self.external_ips.is_empty())
    }

    /// No address of its own, by its only cluster IP.
    pub(super) fn is_headless(&self) -> bool {
        self.cluster_ips.len() == 1 && self.cluster_ips[0] == NONE
    }

    /// Nothing says which addresses a headless Service without a selector will have.
    pub(super) fn is_headless_without_selector(&self) -> bool {
        self.cluster_ip == NONE && self.selector.is_empty()
    }

    pub(super) fn policy(&self) -> &str {
        self.ip_family_policy.as_deref().unwrap_or_default()
    }

    pub(super) fn node_ports(&self) -> impl Iterator<Item = i32> + Clone {
        self.ports.iter().map(|port| port.node_port).filter(|port| *port != 0)
    }
}

impl Status {
    pub(super) fn read(object: &Value) -> Result<Self, Refusal> {
        read(object, "status")
    }

    pub(super) fn write(&self, object: &mut Value) {
        set(object, "status", serde_json::to_value(self).ok());
    }

    /// An address that says nothing else is one that nodes may answer for themselves.
    pub(super) fn fill_in(&mut self) {
        for ingress in self.load_balancer.ingress.iter_mut().filter(|ingress| !ingress.ip.is_empty()) {
            ingress.ip_mode.get_or_insert_with(|| "VIP".to_owned());
        }
    }
}

impl Default for PortReference {
    fn default() -> Self {
        Self::Number(0)
    }
}

impl PortReference {
    fn is_empty(&self) -> bool {
        match self {
            Self::Number(number) => *number == 0,
            Self::Name(name) => name.is_empty(),
        }
    }
}

fn read<T: Default + for<'de> Deserialize<'de>>(object: &Value, field: &str) -> Result<T, Refusal> {
    match object.get(field) {
        None | Some(Value::Null) => Ok(T::default()),
        Some(value) => T::deserialize(value).map_err(|error| Refusal::Malformed(format!("{field}: {error}"))),
    }
}

fn or_default<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Default + Deserialize<'de>,
{
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

fn fill(text: &mut String, default: &str) {
    if text.is_empty() {
        default.clone_into(text);
    }
}

fn is_zero(number: &i32) -> bool {
    *number == 0
}

fn is_false(flag: &bool) -> bool {
    !flag
}
