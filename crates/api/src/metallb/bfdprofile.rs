use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

resource! {
    /// BFDProfile is a set of timers with which BFD watches the path to a BGP peer, so that a broken path
    /// is noticed long before the BGP hold time ends.
    BFDProfile: "metallb.io" / "v1beta1", "bfdprofiles", NamespaceResourceScope,
    spec: BFDProfileSpec, status: BFDProfileStatus
}

/// The timers and modes of the sessions that use the profile.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct BFDProfileSpec {
    /// Shortest interval, in milliseconds, at which we are willing to receive packets. 300 if not given.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "i32", range(min = 10, max = 60000))]
    pub receive_interval: Option<u32>,

    /// Shortest interval, in milliseconds, at which we want to send packets. 300 if not given.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "i32", range(min = 10, max = 60000))]
    pub transmit_interval: Option<u32>,

    /// How many packets in a row may be lost before the path counts as broken. 3 if not given.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "i32", range(min = 2, max = 255))]
    pub detect_multiplier: Option<u32>,

    /// Interval, in milliseconds, between echo packets. 50 if not given.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "i32", range(min = 10, max = 60000))]
    pub echo_interval: Option<u32>,

    /// Whether to send echo packets, which the peer loops back. Not possible over more than one hop.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub echo_mode: Option<bool>,

    /// Whether to wait for the peer to start the session instead of starting it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub passive_mode: Option<bool>,

    /// Lowest time-to-live that packets of a session over several hops may arrive with. 254 if not given.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "i32", range(min = 1, max = 254))]
    pub minimum_ttl: Option<u32>,
}

/// BFDProfile has no status of its own.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct BFDProfileStatus {}
