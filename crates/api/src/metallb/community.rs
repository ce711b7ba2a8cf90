use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

resource! {
    /// Community gives names to BGP communities, which a BGPAdvertisement can use in place of the numbers.
    Community: "metallb.io" / "v1beta1", "communities", NamespaceResourceScope,
    spec: CommunitySpec, status: CommunityStatus
}

/// The names and what they stand for.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct CommunitySpec {
    /// The aliases. A name may be defined only once among all Community objects.
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "crate::null::as_default")]
    pub communities: Vec<CommunityAlias>,
}

/// A name for a community.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct CommunityAlias {
    /// The name that a BGPAdvertisement refers to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,

    /// The community: 65000:100, or large:65000:100:200 for a large one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub value: Option<String>,
}

/// Community has no status of its own.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct CommunityStatus {}
