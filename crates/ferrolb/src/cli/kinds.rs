//! Our kinds, with their schemas ready to judge objects.

use std::collections::HashMap;

use anyhow::Context;
use apiserver::schema::Schema;
use serde_json::Value;

/// One version of one of our kinds.
#[derive(Debug)]
pub(super) struct KnownKind {
    pub(super) is_namespaced: bool,
    pub(super) deprecation: Option<String>,
    pub(super) schema: Schema,
}

/// By `apiVersion` and `kind`.
#[derive(Debug)]
pub(super) struct KnownKinds(HashMap<(String, String), KnownKind>);

impl KnownKinds {
    pub(super) fn load() -> anyhow::Result<KnownKinds> {
        let mut kinds = HashMap::new();
        for crd in api::crds::all() {
            let text =
                |pointer: &str| crd.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned();
            let (group, kind) = (text("/spec/group"), text("/spec/names/kind"));
            let is_namespaced = text("/spec/scope") == "Namespaced";
            for version in crd.pointer("/spec/versions").and_then(Value::as_array).into_iter().flatten() {
                let name = version["name"].as_str().unwrap_or_default();
                let schema = Schema::parse(&version["schema"]["openAPIV3Schema"])
                    .with_context(|| format!("the schema of {kind} {name}"))?;
                let deprecation = version["deprecationWarning"].as_str().map(str::to_owned);
                let known = KnownKind { is_namespaced, deprecation, schema };
                kinds.insert((format!("{group}/{name}"), kind.clone()), known);
            }
        }
        Ok(KnownKinds(kinds))
    }

    pub(super) fn get(&self, api_version: &str, kind: &str) -> Option<&KnownKind> {
        self.0.get(&(api_version.to_owned(), kind.to_owned()))
    }
}
