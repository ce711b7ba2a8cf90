//! A BGP neighbor of a router, and what is exchanged with it.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::SecretReference;
use crate::duration::GoDuration;

/// A router to open a session with.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Neighbor {
    /// AS number that the neighbor is expected to use. Give either this or dynamicASN.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "i64", range(min = 0, max = 4294967295_i64))]
    pub asn: Option<u32>,

    /// Takes the AS number of the neighbor from the neighbor itself: internal expects that of the router,
    /// external any other. Give either this or asn.
    #[serde(rename = "dynamicASN", skip_serializing_if = "Option::is_none")]
    #[schemars(extend("enum" = ["internal", "external"]))]
    pub dynamic_asn: Option<String>,

    /// AS number to present to this neighbor instead of that of the router. The neighbor sees only this
    /// number. Not possible when the neighbor is in the AS of the router.
    #[serde(rename = "localASN", skip_serializing_if = "Option::is_none")]
    #[schemars(with = "i64", range(min = 1, max = 4294967295_i64))]
    pub local_asn: Option<u32>,

    /// Address, or name of an interface, that our side of the session connects from.
    #[serde(rename = "sourceaddress", skip_serializing_if = "Option::is_none")]
    pub source_address: Option<String>,

    /// Address of the neighbor. Give either this or interface.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,

    /// Name of the network interface behind which the neighbor is found without configuring its address
    /// (unnumbered BGP). Give either this or address.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub interface: Option<String>,

    /// TCP port of the neighbor. 179 if not given.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "crate::schema::Integer", range(min = 0, max = 16384))]
    pub port: Option<u16>,

    /// Password of the session (TCP MD5 signature), in clear text. Give either this or passwordSecret.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub password: Option<String>,

    /// The Secret that holds the password of the session, of type kubernetes.io/basic-auth, under
    /// the key password. It must be in the namespace that FerroLB runs in.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub password_secret: Option<SecretReference>,

    /// For how long the session survives without a message from the neighbor: 0s, which means for ever, or
    /// at least 3s. Give it together with keepaliveTime, or neither; 180s if not given.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "GoDuration")]
    pub hold_time: Option<GoDuration>,

    /// How often to send a sign of life. At most the hold time; 60s if not given.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "GoDuration")]
    pub keepalive_time: Option<GoDuration>,

    /// How long to wait between attempts to connect, in whole seconds from 1s to 65535s. 60s if not given.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "GoDuration", extend("x-kubernetes-validations" = crate::schema::connect_time_rules()))]
    pub connect_time: Option<GoDuration>,

    /// Whether the neighbor may be more than one hop away.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ebgp_multi_hop: Option<bool>,

    /// Name of the BFD profile with which the path to the neighbor is watched. It must be defined in
    /// this object. None means no BFD.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bfd_profile: Option<String>,

    /// Asks the neighbor to keep its routes while our side restarts. A change takes effect when the
    /// session is next established.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub enable_graceful_restart: Option<bool>,

    /// What the neighbor is told.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub to_advertise: Option<Advertise>,

    /// What is accepted from the neighbor. Nothing, unless allowed here.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub to_receive: Option<Receive>,

    /// Deprecated and without effect. See dualStackAddressFamily.
    #[serde(rename = "disableMP", skip_serializing_if = "Option::is_none")]
    #[schemars(extend("default" = false))]
    pub disable_mp: Option<bool>,

    /// Whether to exchange IPv4 and IPv6 routes over this one session. Otherwise the session carries only
    /// the family of its own addresses.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("default" = false))]
    pub dual_stack_address_family: Option<bool>,

    /// What kinds of routes the session carries: unicast, evpn or both.
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "crate::null::as_default")]
    #[schemars(length(max = 2), extend("default" = ["unicast"]))]
    pub address_families: Vec<AddressFamily>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum AddressFamily {
    Unicast,
    Evpn,
}

/// What the neighbor is told.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Advertise {
    /// The prefixes that the neighbor is told.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub allowed: Option<AllowedOutPrefixes>,

    /// Addresses to name as the next hop instead of our own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_hop: Option<NextHop>,

    /// LOCAL_PREF attributes of some of the prefixes.
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "crate::null::as_default")]
    pub with_local_pref: Vec<LocalPrefPrefixes>,

    /// Communities of some of the prefixes.
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "crate::null::as_default")]
    pub with_community: Vec<CommunityPrefixes>,
}

/// The prefixes that the neighbor is told.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct AllowedOutPrefixes {
    /// The prefixes, which must be among those of the router. Ignored when the mode is all.
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "crate::null::as_default")]
    pub prefixes: Vec<String>,

    /// Whether only the prefixes listed here are told (filtered), or all prefixes of the router (all).
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("default" = "filtered"))]
    pub mode: Option<AllowMode>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum AllowMode {
    All,
    #[default]
    Filtered,
}

/// Addresses to name as the next hop instead of our own.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct NextHop {
    /// Next hop of IPv4 routes.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("format" = "ipv4"))]
    pub ipv4: Option<String>,

    /// Next hop of IPv6 routes.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("format" = "ipv6"))]
    pub ipv6: Option<String>,
}

/// A LOCAL_PREF attribute, and the prefixes that carry it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct LocalPrefPrefixes {
    /// The prefixes, which must be among those that the neighbor is told.
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "crate::null::as_default")]
    #[schemars(length(min = 1))]
    pub prefixes: Vec<String>,

    /// The value. A higher one is preferred.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "i32")]
    pub local_pref: Option<u32>,
}

/// A community, and the prefixes that carry it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct CommunityPrefixes {
    /// The prefixes, which must be among those that the neighbor is told.
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "crate::null::as_default")]
    #[schemars(length(min = 1))]
    pub prefixes: Vec<String>,

    /// The community: 65000:100, or large:65000:100:200 for a large one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub community: Option<String>,
}

/// What is accepted from the neighbor.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Receive {
    /// The prefixes that are accepted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub allowed: Option<AllowedInPrefixes>,
}

/// The prefixes that are accepted.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct AllowedInPrefixes {
    /// The accepted prefixes. Ignored when the mode is all.
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "crate::null::as_default")]
    pub prefixes: Vec<PrefixSelector>,

    /// Whether only the prefixes selected here are accepted (filtered), or everything (all).
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("default" = "filtered"))]
    pub mode: Option<AllowMode>,
}

/// Selects a prefix and, with ge or le, the longer prefixes inside it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct PrefixSelector {
    /// The prefix. With neither ge nor le, only exactly this one is selected.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("format" = "cidr"))]
    pub prefix: Option<String>,

    /// Greatest length of the prefixes selected.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "i32", range(min = 1, max = 128))]
    pub le: Option<u32>,

    /// Least length of the prefixes selected.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "i32", range(min = 1, max = 128))]
    pub ge: Option<u32>,
}
