use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::LabelSelector;

resource! {
    /// L2Advertisement makes the addresses of pools reachable on the local network: for each address one
    /// node answers ARP and NDP requests, and another takes over when that node fails.
    L2Advertisement: "metallb.io" / "v1beta1", "l2advertisements", NamespaceResourceScope,
    spec: L2AdvertisementSpec, status: L2AdvertisementStatus
}

/// Which addresses are announced, from which nodes and interfaces.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct L2AdvertisementSpec {
    /// Pools, by name, whose addresses are announced. With neither names nor selectors, every pool is.
    #[serde(
        rename = "ipAddressPools",
        skip_serializing_if = "Vec::is_empty",
        deserialize_with = "crate::null::as_default"
    )]
    pub ip_address_pools: Vec<String>,

    /// Pools, by label, whose addresses are announced. They add to the pools given by name.
    #[serde(
        rename = "ipAddressPoolSelectors",
        skip_serializing_if = "Vec::is_empty",
        deserialize_with = "crate::null::as_default"
    )]
    pub ip_address_pool_selectors: Vec<LabelSelector>,

    /// Nodes that may announce. It is enough that one of the selectors matches; no selectors means every
    /// node.
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "crate::null::as_default")]
    pub node_selectors: Vec<LabelSelector>,

    /// Network interfaces to announce from, by name. None means all of them. A node announces from those
    /// of them that it has.
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "crate::null::as_default")]
    pub interfaces: Vec<String>,

    /// Services, by label, whose addresses are announced. None means all of them. Cannot be combined with
    /// sharing one address among several Services.
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "crate::null::as_default")]
    pub service_selectors: Vec<LabelSelector>,

    /// Which of the eligible nodes should rather announce. The node with the highest sum of weights
    /// wins; it is a preference, so another node takes over when that one cannot.
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "crate::null::as_default")]
    pub preferred_node_selectors: Vec<PreferredNodeSelector>,
}

/// A preference for some nodes, and how much it counts.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(extend("required" = ["preference", "weight"]))]
pub struct PreferredNodeSelector {
    /// What is added to the score of each node that the preference matches.
    #[serde(deserialize_with = "crate::null::as_default")]
    #[schemars(range(min = 1, max = 100))]
    pub weight: i32,

    /// The preferred nodes, by label. An empty selector matches every node.
    #[serde(deserialize_with = "crate::null::as_default")]
    pub preference: LabelSelector,
}

/// L2Advertisement has no status of its own.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct L2AdvertisementStatus {}
