//! What is served, described in OpenAPI: for `kubectl explain`, and for a client that checks before it sends.
//!
//! Nothing here decides what the server accepts. [`v3`] is a document for each group and version; [`v2`] is the one
//! document of everything, without which kubectl 1.28 and older neither creates nor applies.

mod definitions;
mod meta;
mod operations;
mod protobuf;
pub mod v2;
pub mod v3;

#[cfg(test)]
mod tests;

use serde_json::{Value, json};

use crate::resource::ResourceType;

/// A version of a kind, and what is known of its fields.
#[derive(Debug, Clone, Copy)]
pub struct Described<'a> {
    pub resource: &'a ResourceType,
    /// The `openAPIV3Schema` of a custom resource. A built-in kind is described by its type.
    pub schema: Option<&'a Value>,
}

const TITLE: &str = "Kubernetes";
const VERSION: &str = "1.36";
const GROUP_VERSION_KIND: &str = "x-kubernetes-group-version-kind";
const PRESERVE_UNKNOWN: &str = "x-kubernetes-preserve-unknown-fields";
/// Where references of version 3 point to.
const COMPONENTS: &str = "#/components/schemas/";

impl Described<'_> {
    /// Custom kinds are named after their group, read backwards; built-in ones after the Go package that they are
    /// declared in, as clients know them.
    fn definition_name(&self) -> String {
        let ResourceType { group, version, kind, .. } = self.resource;
        if self.schema.is_some() || !is_built_in(group) {
            let reversed: Vec<&str> = group.rsplit('.').collect();
            return format!("{}.{version}.{kind}", reversed.join("."));
        }
        let package = match group.split('.').next().unwrap_or_default() {
            "" => "io.k8s.api.core",
            "apiextensions" => "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions",
            "apiregistration" => "io.k8s.kube-aggregator.pkg.apis.apiregistration",
            label => return format!("io.k8s.api.{label}.{version}.{kind}"),
        };
        format!("{package}.{version}.{kind}")
    }

    fn list_definition_name(&self) -> String {
        format!("{}List", self.definition_name())
    }

    fn group_version_kind(&self) -> Value {
        let ResourceType { group, version, kind, .. } = self.resource;
        json!({"group": group, "version": version, "kind": kind})
    }
}

fn is_built_in(group: &str) -> bool {
    !group.contains('.') || group.ends_with(".k8s.io")
}

fn reference(name: &str) -> Value {
    json!({"$ref": format!("{COMPONENTS}{name}")})
}
