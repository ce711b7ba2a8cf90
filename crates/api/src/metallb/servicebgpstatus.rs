use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

resource! {
    /// ServiceBGPStatus tells which BGP peers a node announces the addresses of a Service to. Each node
    /// writes its own and removes it when it announces to nobody.
    ServiceBGPStatus: "metallb.io" / "v1beta1", "servicebgpstatuses", NamespaceResourceScope,
    spec: ServiceBGPStatusSpec, status: ServiceBGPStatusStatus
}

/// Which Service this is about, known from the moment the object exists.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct ServiceBGPStatusSpec {
    /// Name of the Service.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub service_name: Option<String>,

    /// Namespace of the Service.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub service_namespace: Option<String>,
}

/// Who announces the Service, and to whom.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct ServiceBGPStatusStatus {
    /// Name of the node that announces.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-kubernetes-validations" = crate::schema::immutable()))]
    pub node: Option<String>,

    /// Name of the Service that is announced.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-kubernetes-validations" = crate::schema::immutable()))]
    pub service_name: Option<String>,

    /// Namespace of the Service that is announced.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-kubernetes-validations" = crate::schema::immutable()))]
    pub service_namespace: Option<String>,

    /// Names of the BGPPeers that the Service is configured to be announced to, in order. Says nothing
    /// about whether their sessions are up; nodes does.
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "crate::null::as_default")]
    pub peers: Vec<String>,

    /// What is really announced, for each node and each of its peers.
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "crate::null::as_default")]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub nodes: Vec<AdvertisingNode>,
}

/// What one node announces.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(extend("required" = ["name"]))]
pub struct AdvertisingNode {
    /// Name of the node.
    #[serde(deserialize_with = "crate::null::as_default")]
    pub name: String,

    /// The peers that the node is configured to announce the Service to.
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "crate::null::as_default")]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub peers: Vec<AdvertisingPeer>,
}

/// What one node announces to one peer.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(extend("required" = ["name"]))]
pub struct AdvertisingPeer {
    /// Name of the BGPPeer.
    #[serde(deserialize_with = "crate::null::as_default")]
    pub name: String,

    /// Address of the peer, or the interface behind which it was found.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,

    /// Whether the peer has been sent the routes of the Service and they still stand.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub advertised: Option<bool>,

    /// State of the BGP session, for example Established.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub session_state: Option<String>,

    /// Why the peer has no routes of the Service, if it has none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}
