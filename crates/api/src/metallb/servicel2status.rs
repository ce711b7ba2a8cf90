use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

resource! {
    /// ServiceL2Status tells which node answers ARP and NDP requests for the addresses of a Service. It is
    /// written by that node and gone when nobody announces.
    ServiceL2Status: "metallb.io" / "v1beta1", "servicel2statuses", NamespaceResourceScope,
    spec: ServiceL2StatusSpec, status: ServiceL2StatusStatus
}

/// Which Service this is about, known from the moment the object exists.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct ServiceL2StatusSpec {
    /// Name of the Service.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub service_name: Option<String>,

    /// Namespace of the Service.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub service_namespace: Option<String>,
}

/// Who announces the Service, and where.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct ServiceL2StatusStatus {
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

    /// The interfaces that the Service is announced from. None means all of them.
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "crate::null::as_default")]
    pub interfaces: Vec<InterfaceInfo>,

    /// The addresses that this node answers for.
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "crate::null::as_default")]
    pub ips: Vec<String>,

    /// What is wrong with the announcement; AddressConflict if another station has an address of the Service.
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "crate::null::as_default")]
    #[schemars(
        schema_with = "crate::schema::conditions",
        extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"])
    )]
    pub conditions: Vec<Condition>,
}

/// A network interface of the node.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct InterfaceInfo {
    /// Name of the interface.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
}
