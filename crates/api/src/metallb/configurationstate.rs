use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

resource! {
    /// ConfigurationState tells whether a component of FerroLB could use the configuration it was given,
    /// and if not, why. There is one for the controller and one for the speaker of each node.
    ConfigurationState: "metallb.io" / "v1beta1", "configurationstates", NamespaceResourceScope,
    status: ConfigurationStateStatus
}

/// What the component made of the configuration.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct ConfigurationStateStatus {
    /// Whether the whole configuration is in use (Valid), was refused (Invalid), or has not been looked at
    /// yet (Unknown).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub result: Option<ConfigurationResult>,

    /// Why the configuration was refused. Empty when it was not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error_summary: Option<String>,

    /// The outcome of each step in reading the configuration.
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "crate::null::as_default")]
    #[schemars(
        schema_with = "crate::schema::conditions",
        extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"])
    )]
    pub conditions: Vec<Condition>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum ConfigurationResult {
    Valid,
    Invalid,
    Unknown,
}
