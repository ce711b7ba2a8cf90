use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A query over labels. Everything in it must hold for an object to be selected; an empty selector
/// selects every object.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(extend("x-kubernetes-map-type" = "atomic"))]
pub struct LabelSelector {
    /// Expressions over labels, all of which must hold.
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "crate::null::as_default")]
    #[schemars(extend("x-kubernetes-list-type" = "atomic"))]
    pub match_expressions: Vec<LabelSelectorRequirement>,

    /// Labels that the object must carry with exactly these values.
    #[serde(skip_serializing_if = "BTreeMap::is_empty", deserialize_with = "crate::null::as_default")]
    pub match_labels: BTreeMap<String, String>,
}

/// One expression of a label selector: a label key, an operator, and the values it is compared with.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(extend("required" = ["key", "operator"]))]
pub struct LabelSelectorRequirement {
    /// The label key that is looked at.
    #[serde(deserialize_with = "crate::null::as_default")]
    pub key: String,

    /// How the label is compared with the values: In, NotIn, Exists or DoesNotExist.
    #[serde(deserialize_with = "crate::null::as_default")]
    pub operator: String,

    /// The values to compare with. In and NotIn need at least one, Exists and DoesNotExist take none.
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "crate::null::as_default")]
    #[schemars(extend("x-kubernetes-list-type" = "atomic"))]
    pub values: Vec<String>,
}
