use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

resource! {
    /// BGPSessionState tells how the BGP session of a node with one of its peers is doing, and the BFD
    /// session that watches the path to it.
    BGPSessionState: "frrk8s.metallb.io" / "v1beta1", "bgpsessionstates", NamespaceResourceScope,
    spec: BGPSessionStateSpec, status: BGPSessionStateStatus
}

/// BGPSessionState has nothing to configure.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct BGPSessionStateSpec {}

/// How the session is doing.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct BGPSessionStateStatus {
    /// State of the BGP session. Established is the one in which routes are exchanged.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bgp_status: Option<String>,

    /// State of the BFD session, or N/A if there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bfd_status: Option<String>,

    /// Name of the node.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub node: Option<String>,

    /// The peer: its address, with dashes for colons if it is an IPv6 address, or the interface behind
    /// which it was found.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub peer: Option<String>,

    /// Name of the VRF that the session runs in. Empty for the default one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub vrf: Option<String>,

    /// When the BGP session last came up or went down.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Time")]
    pub since: Option<Time>,

    /// For how long the BGP session has been up, for a human reader.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub uptime: Option<String>,

    /// Why the BGP session last went down or could not be opened.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_error: Option<String>,

    /// Number of prefixes that the peer has been sent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub prefixes_sent: Option<i64>,
}
