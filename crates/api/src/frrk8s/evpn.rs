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

    /// The forms `A.B.C.D:MN`, `EF:OPQR` and `GHJK:MN`, of which EF and MN have 16 bits and OPQR and GHJK have
    /// 32; with the wildcard also `*:OPQR`. Each rule passes what an earlier one has refused already, so that
    /// a mistake gets one answer. Matching the whole text keeps the rules cheap: an API server adds up what
    /// they could cost for as many routers, VNIs and targets as an object may have.
    fn grammar(name: &str, wildcard: bool) -> Value {
        const TWO_PARTS: &str = "self.matches('^[^:]*:[^:]*$')";
        const TWO_NUMBERS: &str = "self.matches('^[0-9]+:[0-9]+$')";
        const IPV4: &str = r"((25[0-5]|(2[0-4]|1[0-9]|[1-9])?[0-9])\\.?\\b){4}";
        // A part has at most 19 digits if the other has one, which always fit 64 bits.
        const GLOBAL: &str = "uint(self.split(':')[0])";
        const LOCAL: &str = "uint(self.split(':')[1])";
        const BITS_16: u32 = u16::MAX as u32;
        const BITS_32: u32 = u32::MAX;

        let (global_forms, global_message) = if wildcard {
            (format!(r"\\*|[0-9]+|{IPV4}"), "must be either '*', an IPv4 address, or a number")
        } else {
            (format!("[0-9]+|{IPV4}"), "must be either an IPv4 address or a number")
        };
        let mut rules = vec![
            ("must contain exactly one colon".to_owned(), TWO_PARTS.to_owned()),
            (
                format!("global administrator {global_message}"),
                format!("!{TWO_PARTS} || self.matches('^({global_forms}):')"),
            ),
            (
                "local administrator must be a number".to_owned(),
                format!("!{TWO_PARTS} || self.matches(':[0-9]+$')"),
            ),
            (
                format!("must have format A.B.C.D:MN where MN <= {BITS_16}"),
                format!("!self.matches('^{IPV4}:[0-9]+$') || {LOCAL} <= {BITS_16}u"),
            ),
            (
                format!("must have format GHJK:MN where GHJK <= {BITS_32} and MN <= {BITS_16}"),
                format!(
                    "!{TWO_NUMBERS} || {GLOBAL} <= {BITS_16}u || ({GLOBAL} <= {BITS_32}u && {LOCAL} <= {BITS_16}u)"
                ),
            ),
            (
                format!("must have format EF:OPQR where EF <= {BITS_16} and OPQR <= {BITS_32}"),
                format!("!{TWO_NUMBERS} || {GLOBAL} > {BITS_16}u || {LOCAL} <= {BITS_32}u"),
            ),
        ];
        if wildcard {
            rules.push((
                format!("must have format *:OPQR where OPQR <= {BITS_32}"),
                format!(r"!self.matches('^\\*:[0-9]+$') || {LOCAL} <= {BITS_32}u"),
            ));
        }
        rules
            .into_iter()
            .map(|(message, rule)| json!({ "message": format!("{name} {message}"), "rule": rule }))
            .collect()
    }
}
