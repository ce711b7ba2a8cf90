use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

resource! {
    /// FRRK8sConfiguration changes settings of the running daemons. Only the object called config in the
    /// namespace that FerroLB runs in has an effect.
    FRRK8sConfiguration: "frrk8s.metallb.io" / "v1beta1", "frrk8sconfigurations", NamespaceResourceScope,
    spec: FRRK8sConfigurationSpec, status: FRRK8sConfigurationStatus
}

/// The settings.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct FRRK8sConfigurationSpec {
    /// How much is logged. Takes effect at once; the command line decides if not given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub log_level: Option<LogLevel>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum LogLevel {
    All,
    Debug,
    Info,
    Warn,
    Error,
    None,
}

/// FRRK8sConfiguration has no status of its own.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct FRRK8sConfigurationStatus {}
