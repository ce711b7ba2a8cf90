use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Points at a Secret.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(extend("x-kubernetes-map-type" = "atomic"))]
pub struct SecretReference {
    /// Name of the Secret.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,

    /// Namespace of the Secret. It is accepted and ignored: the Secret is always looked up in the
    /// namespace that FerroLB runs in.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
}
