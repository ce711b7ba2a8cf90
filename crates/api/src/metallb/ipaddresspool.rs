use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::LabelSelector;

resource! {
    /// IPAddressPool is a set of addresses that Services of type LoadBalancer can be given. A pool only
    /// hands out addresses; an L2Advertisement or a BGPAdvertisement makes them reachable.
    IPAddressPool: "metallb.io" / "v1beta1", "ipaddresspools", NamespaceResourceScope,
    spec: IPAddressPoolSpec, status: IPAddressPoolStatus
}

/// The addresses of the pool, and who may have them.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(extend("required" = ["addresses"]))]
pub struct IPAddressPoolSpec {
    /// The addresses, as CIDR prefixes (192.0.2.0/24) or ranges from first to last
    /// (192.0.2.10-192.0.2.20). IPv4 and IPv6 may be mixed freely.
    #[serde(deserialize_with = "crate::null::as_default")]
    pub addresses: Vec<String>,

    /// Whether a Service that asks for nothing in particular may be given an address of this pool. When
    /// false, the pool or one of its addresses must be asked for by name.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("default" = true))]
    pub auto_assign: Option<bool>,

    /// Leaves out the IPv4 addresses that end in .0 or .255, which some network equipment refuses to
    /// treat as ordinary addresses.
    #[serde(rename = "avoidBuggyIPs", skip_serializing_if = "Option::is_none")]
    #[schemars(extend("default" = false))]
    pub avoid_buggy_ips: Option<bool>,

    /// Reserves the pool for certain Services and ranks it among the pools that a Service may use.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub service_allocation: Option<ServiceAllocation>,
}

/// Reserves the pool for certain Services and ranks it among the pools that a Service may use.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct ServiceAllocation {
    /// Rank of this pool among those that a Service may use. A lower number is tried first; zero or
    /// no number is tried last.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "crate::schema::Integer")]
    pub priority: Option<i64>,

    /// Namespaces, by name, whose Services may use the pool.
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "crate::null::as_default")]
    pub namespaces: Vec<String>,

    /// Namespaces, by label, whose Services may use the pool. They add to the namespaces given by name.
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "crate::null::as_default")]
    pub namespace_selectors: Vec<LabelSelector>,

    /// Services, by label, that may use the pool. It is enough that one of the selectors matches.
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "crate::null::as_default")]
    pub service_selectors: Vec<LabelSelector>,
}

/// How many addresses of the pool are in use and how many are left.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
#[schemars(extend("required" = ["assignedIPv4", "assignedIPv6", "availableIPv4", "availableIPv6"]))]
pub struct IPAddressPoolStatus {
    /// Number of different IPv4 addresses in use.
    #[serde(rename = "assignedIPv4", deserialize_with = "crate::null::as_default")]
    pub assigned_ipv4: i64,

    /// Number of different IPv6 addresses in use.
    #[serde(rename = "assignedIPv6", deserialize_with = "crate::null::as_default")]
    pub assigned_ipv6: i64,

    /// Number of IPv4 addresses still free.
    #[serde(rename = "availableIPv4", deserialize_with = "crate::null::as_default")]
    pub available_ipv4: i64,

    /// Number of IPv6 addresses still free.
    #[serde(rename = "availableIPv6", deserialize_with = "crate::null::as_default")]
    pub available_ipv6: i64,
}
