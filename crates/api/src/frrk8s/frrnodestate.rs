use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

resource! {
    /// FRRNodeState tells what a node made of the FRRConfigurations that select it. It has the name of
    /// the node.
    FRRNodeState: "frrk8s.metallb.io" / "v1beta1", "frrnodestates", ClusterResourceScope,
    spec: FRRNodeStateSpec, status: FRRNodeStateStatus
}

/// FRRNodeState has nothing to configure.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct FRRNodeStateSpec {}

/// What the node made of its configuration.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct FRRNodeStateStatus {
    /// The configuration that the node is running, without its passwords.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub running_config: Option<String>,

    /// Whether the FRRConfigurations could be combined: success, or why not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_conversion_result: Option<String>,

    /// Whether the combined configuration was put to use: success, or why not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_reload_result: Option<String>,
}
