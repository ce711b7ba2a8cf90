use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Evpn, Neighbor};
use crate::LabelSelector;

resource! {
    /// FRRConfiguration is a piece of BGP configuration for some nodes. What a node runs is the sum of all
    /// pieces that select it; pieces that contradict each other are refused.
    FRRConfiguration: "frrk8s.metallb.io" / "v1beta1", "frrconfigurations", NamespaceResourceScope,
    spec: FRRConfigurationSpec, status: FRRConfigurationStatus
}

/// The configuration, and the nodes it is for.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct FRRConfigurationSpec {
    /// Routers and BFD profiles.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bgp: Option<Bgp>,

    /// Additional configuration in the language of FRR. Prefer the fields of bgp: how much of this takes
    /// effect is not promised.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub raw: Option<RawConfig>,

    /// Nodes that the configuration is for. An empty selector means every node.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub node_selector: Option<LabelSelector>,
}

/// Routers and BFD profiles.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Bgp {
    /// The BGP routers, one for each VRF.
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "crate::null::as_default")]
    #[schemars(length(max = 50))]
    pub routers: Vec<Router>,

    /// BFD profiles that the neighbors of this object can refer to.
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "crate::null::as_default")]
    pub bfd_profiles: Vec<BFDProfile>,
}

/// Additional configuration in the language of FRR.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct RawConfig {
    /// Place of this text among those of other objects. Lower numbers come first.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "crate::schema::Integer")]
    pub priority: Option<i64>,

    /// The text of the configuration.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub raw_config: Option<String>,
}

/// A BGP router in one VRF.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(extend("required" = ["asn"]))]
pub struct Router {
    /// AS number of the router.
    #[serde(deserialize_with = "crate::null::as_default")]
    #[schemars(with = "i64", range(min = 0, max = 4294967295_i64))]
    pub asn: u32,

    /// BGP router identifier, in the form of an IPv4 address.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,

    /// Name of the VRF. None means the default one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub vrf: Option<String>,

    /// The routers to open sessions with.
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "crate::null::as_default")]
    pub neighbors: Vec<Neighbor>,

    /// Prefixes that this router originates. A neighbor is told those that its toAdvertise allows.
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "crate::null::as_default")]
    pub prefixes: Vec<String>,

    /// Other VRFs whose routes are taken over into this one.
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "crate::null::as_default")]
    pub imports: Vec<Import>,

    /// Ethernet VPN settings of this router.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub evpn: Option<Evpn>,
}

/// A VRF whose routes are taken over.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Import {
    /// Name of the VRF. The default one is called default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub vrf: Option<String>,
}

/// Timers and modes of the BFD sessions that use the profile.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(extend("required" = ["name"]))]
pub struct BFDProfile {
    /// The name that neighbors refer to.
    #[serde(deserialize_with = "crate::null::as_default")]
    pub name: String,

    /// Shortest interval, in milliseconds, at which we are willing to receive packets. 300 if not given.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "i32", range(min = 10, max = 60000))]
    pub receive_interval: Option<u32>,

    /// Shortest interval, in milliseconds, at which we want to send packets. 300 if not given.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "i32", range(min = 10, max = 60000))]
    pub transmit_interval: Option<u32>,

    /// How many packets in a row may be lost before the path counts as broken. 3 if not given.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "i32", range(min = 2, max = 255))]
    pub detect_multiplier: Option<u32>,

    /// Interval, in milliseconds, between echo packets. 50 if not given.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "i32", range(min = 10, max = 60000))]
    pub echo_interval: Option<u32>,

    /// Whether to send echo packets, which the peer loops back. Not possible over more than one hop.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub echo_mode: Option<bool>,

    /// Whether to wait for the peer to start the session instead of starting it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub passive_mode: Option<bool>,

    /// Lowest time-to-live that packets of a session over several hops may arrive with. 254 if not given.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "i32", range(min = 1, max = 254))]
    pub minimum_ttl: Option<u32>,
}

/// FRRConfiguration has no status of its own. See FRRNodeState for what became of it on a node.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct FRRConfigurationStatus {}
