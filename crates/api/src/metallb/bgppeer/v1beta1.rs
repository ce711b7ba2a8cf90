//! The deprecated version.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::duration::GoDuration;

resource! {
    /// BGPPeer is a router outside the cluster that the nodes open BGP sessions to. This version is
    /// deprecated: it cannot express everything that v1beta2 can.
    BGPPeer: "metallb.io" / "v1beta1", "bgppeers", NamespaceResourceScope,
    spec: BGPPeerSpec, status: BGPPeerStatus
}

/// The router, and how to talk to it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(extend("required" = ["myASN", "peerASN", "peerAddress"]))]
pub struct BGPPeerSpec {
    /// AS number that our side of the session uses.
    #[serde(rename = "myASN", deserialize_with = "crate::null::as_default")]
    #[schemars(with = "i64", range(min = 0, max = 4294967295_i64))]
    pub my_asn: u32,

    /// AS number that the peer is expected to use.
    #[serde(rename = "peerASN", deserialize_with = "crate::null::as_default")]
    #[schemars(with = "i64", range(min = 0, max = 4294967295_i64))]
    pub peer_asn: u32,

    /// Address of the peer.
    #[serde(deserialize_with = "crate::null::as_default")]
    pub peer_address: String,

    /// Address that our side of the session connects from.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source_address: Option<String>,

    /// TCP port of the peer.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "crate::schema::Integer", range(min = 0, max = 16384))]
    pub peer_port: Option<u16>,

    /// For how long the session survives without a message from the peer: 0s, which means for ever, or at
    /// least 3s.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "GoDuration")]
    pub hold_time: Option<GoDuration>,

    /// How often to send a sign of life. At most the hold time.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "GoDuration")]
    pub keepalive_time: Option<GoDuration>,

    /// BGP router identifier of our side, in the form of an IPv4 address.
    #[serde(rename = "routerID", skip_serializing_if = "Option::is_none")]
    pub router_id: Option<String>,

    /// Nodes that open a session to this peer. It is enough that one of the selectors matches; no
    /// selectors means every node.
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "crate::null::as_default")]
    pub node_selectors: Vec<NodeSelector>,

    /// Password of the session (TCP MD5 signature), in clear text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub password: Option<String>,

    /// Name of the BFDProfile with which the path to the peer is watched. None means no BFD.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bfd_profile: Option<String>,

    /// Whether the peer may be more than one hop away.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ebgp_multi_hop: Option<bool>,
}

/// A query over the labels of nodes. Everything in it must hold.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct NodeSelector {
    /// Expressions over labels, all of which must hold.
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "crate::null::as_default")]
    pub match_expressions: Vec<MatchExpression>,

    /// Labels that the node must carry with exactly these values.
    #[serde(skip_serializing_if = "BTreeMap::is_empty", deserialize_with = "crate::null::as_default")]
    pub match_labels: BTreeMap<String, String>,
}

/// One expression of a node selector: a label key, an operator, and the values it is compared with.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(extend("required" = ["key", "operator", "values"]))]
pub struct MatchExpression {
    /// The label key that is looked at.
    #[serde(deserialize_with = "crate::null::as_default")]
    pub key: String,

    /// How the label is compared with the values: In, NotIn, Exists or DoesNotExist.
    #[serde(deserialize_with = "crate::null::as_default")]
    pub operator: String,

    /// The values to compare with.
    #[serde(deserialize_with = "crate::null::as_default")]
    #[schemars(length(min = 1))]
    pub values: Vec<String>,
}

/// BGPPeer has no status of its own.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct BGPPeerStatus {}
