//! The version in which objects are stored.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::duration::GoDuration;
use crate::{LabelSelector, SecretReference};

resource! {
    /// BGPPeer is a router outside the cluster that the nodes open BGP sessions to.
    BGPPeer: "metallb.io" / "v1beta2", "bgppeers", NamespaceResourceScope,
    spec: BGPPeerSpec, status: BGPPeerStatus
}

/// The router, and how to talk to it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(extend("required" = ["myASN"]))]
pub struct BGPPeerSpec {
    /// AS number that our side of the session uses.
    #[serde(rename = "myASN", deserialize_with = "crate::null::as_default")]
    #[schemars(with = "i64", range(min = 0, max = 4294967295_i64))]
    pub my_asn: u32,

    /// AS number that the peer is expected to use. Give either this or dynamicASN.
    #[serde(rename = "peerASN", skip_serializing_if = "Option::is_none")]
    #[schemars(with = "i64", range(min = 0, max = 4294967295_i64))]
    pub peer_asn: Option<u32>,

    /// Takes the AS number of the peer from the peer itself: internal expects our own AS number, external
    /// any other. Give either this or peerASN.
    #[serde(rename = "dynamicASN", skip_serializing_if = "Option::is_none")]
    #[schemars(extend("enum" = ["internal", "external"]))]
    pub dynamic_asn: Option<String>,

    /// AS number to present to this peer instead of myASN. The peer sees only this number. Not possible
    /// when the peer is in our own AS.
    #[serde(rename = "localASN", skip_serializing_if = "Option::is_none")]
    #[schemars(with = "i64", range(min = 1, max = 4294967295_i64))]
    pub local_asn: Option<u32>,

    /// Address of the peer. Give either this or interface.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub peer_address: Option<String>,

    /// Name of the network interface behind which the peer is found without configuring its address
    /// (unnumbered BGP). Give either this or peerAddress.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub interface: Option<String>,

    /// Address that our side of the session connects from.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source_address: Option<String>,

    /// TCP port of the peer.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "crate::schema::Integer", range(min = 1, max = 16384), extend("default" = 179))]
    pub peer_port: Option<u16>,

    /// For how long the session survives without a message from the peer: 0s, which means for ever, or at
    /// least 3s. Defaults to three times the keepalive time if only that is given.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "GoDuration")]
    pub hold_time: Option<GoDuration>,

    /// How often to send a sign of life. At most the hold time; defaults to a third of it if only that
    /// is given.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "GoDuration")]
    pub keepalive_time: Option<GoDuration>,

    /// How long to wait between attempts to connect, in whole seconds from 1s to 65535s.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "GoDuration", extend("x-kubernetes-validations" = crate::schema::connect_time_rules()))]
    pub connect_time: Option<GoDuration>,

    /// BGP router identifier of our side, in the form of an IPv4 address.
    #[serde(rename = "routerID", skip_serializing_if = "Option::is_none")]
    pub router_id: Option<String>,

    /// Nodes that open a session to this peer. It is enough that one of the selectors matches; no
    /// selectors means every node.
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "crate::null::as_default")]
    pub node_selectors: Vec<LabelSelector>,

    /// Password of the session (TCP MD5 signature), in clear text. Give either this or passwordSecret.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub password: Option<String>,

    /// The Secret that holds the password of the session, of type kubernetes.io/basic-auth, under
    /// the key password. It must be in the namespace that FerroLB runs in.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub password_secret: Option<SecretReference>,

    /// Name of the BFDProfile with which the path to the peer is watched. None means no BFD.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bfd_profile: Option<String>,

    /// Asks the peer to keep its routes while our side restarts. Cannot be changed later.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-kubernetes-validations" = [json!({
        "message": "EnableGracefulRestart cannot be changed after creation",
        "rule": "self == oldSelf",
    })]))]
    pub enable_graceful_restart: Option<bool>,

    /// Whether the peer may be more than one hop away.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ebgp_multi_hop: Option<bool>,

    /// Name of the VRF that the session runs in. None means the default one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub vrf: Option<String>,

    /// Deprecated and without effect. See dualStackAddressFamily.
    #[serde(rename = "disableMP", skip_serializing_if = "Option::is_none")]
    #[schemars(extend("default" = false))]
    pub disable_mp: Option<bool>,

    /// Whether to exchange IPv4 and IPv6 routes over this one session. Otherwise the session carries only
    /// the family of its own addresses.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("default" = false))]
    pub dual_stack_address_family: Option<bool>,
}

/// BGPPeer has no status of its own.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct BGPPeerStatus {}
