use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::LabelSelector;

resource! {
    /// BGPAdvertisement makes the addresses of pools reachable by announcing them to BGP peers.
    BGPAdvertisement: "metallb.io" / "v1beta1", "bgpadvertisements", NamespaceResourceScope,
    spec: BGPAdvertisementSpec, status: BGPAdvertisementStatus
}

/// Which addresses are announced, to which peers, with which attributes.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(extend("x-kubernetes-validations" = [json!({
    "message": "serviceSelectors and aggregationLength are mutually exclusive, can only be used together with default aggregationLength (32) and aggregationLengthV6 (128)",
    "rule": "!has(self.serviceSelectors) || self.serviceSelectors.size() == 0 || ((!has(self.aggregationLength) || self.aggregationLength == 32) && (!has(self.aggregationLengthV6) || self.aggregationLengthV6 == 128))",
})]))]
pub struct BGPAdvertisementSpec {
    /// Prefix length under which IPv4 addresses are announced. 32 announces every address by itself;
    /// a smaller number combines the addresses of a range into one route.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "i32", range(min = 1), extend("default" = 32))]
    pub aggregation_length: Option<i32>,

    /// Prefix length under which IPv6 addresses are announced. 128 announces every address by itself.
    #[serde(rename = "aggregationLengthV6", skip_serializing_if = "Option::is_none")]
    #[schemars(with = "i32", extend("default" = 128))]
    pub aggregation_length_v6: Option<i32>,

    /// The LOCAL_PREF attribute of the routes, which only peers of the same AS are told. A higher number
    /// is preferred.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "i32")]
    pub local_pref: Option<u32>,

    /// Communities to attach to the routes: 65000:100, large:65000:100:200, or the name of an alias
    /// that a Community object defines.
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "crate::null::as_default")]
    pub communities: Vec<String>,

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

    /// Nodes that announce. It is enough that one of the selectors matches; no selectors means every node.
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "crate::null::as_default")]
    pub node_selectors: Vec<LabelSelector>,

    /// BGPPeers, by name, to announce to. None means all of them.
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "crate::null::as_default")]
    pub peers: Vec<String>,

    /// Services, by label, whose addresses are announced. None means all of them. Only possible while
    /// both aggregation lengths have their defaults.
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "crate::null::as_default")]
    pub service_selectors: Vec<LabelSelector>,
}

/// BGPAdvertisement has no status of its own.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct BGPAdvertisementStatus {}
