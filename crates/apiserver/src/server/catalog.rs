//! What is served right now: the built-in kinds, and those that definitions in the store add.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};

use serde_json::Value;

use crate::apply::Types;
use crate::builtin;
use crate::resource::{ResourceType, Subresource, Verb};
use crate::schema::Schema;
use crate::table::Column;

/// One version of one kind, with everything that is needed to serve it.
#[derive(Debug)]
pub(super) struct Served {
    pub(super) resource: ResourceType,
    pub(super) api_version: String,
    /// The `apiVersion` that objects are stored with.
    pub(super) storage_api_version: String,
    /// Of a custom resource.
    pub(super) schema: Option<Schema>,
    /// The text of `schema`, for clients.
    pub(super) described: Option<Value>,
    pub(super) types: Types,
    pub(super) columns: Vec<Column>,
    pub(super) deprecation: Option<String>,
}

/// The kinds of one moment, by group, version and plural.
pub(super) type Kinds = BTreeMap<(String, String, String), Arc<Served>>;

#[derive(Debug)]
pub(super) struct Catalog {
    kinds: RwLock<Arc<Kinds>>,
}

/// Why a definition adds no kind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Unusable(pub(super) String);

impl Default for Catalog {
    fn default() -> Catalog {
        let built_in = builtin::all().into_iter().map(|resource| {
            let key = (resource.group.clone(), resource.version.clone(), resource.plural.clone());
            (key, Arc::new(Served::built_in(resource)))
        });
        Catalog { kinds: RwLock::new(Arc::new(built_in.collect())) }
    }
}

impl Catalog {
    pub(super) fn snapshot(&self) -> Arc<Kinds> {
        Arc::clone(&self.kinds.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Serves what this definition defines, in place of what it defined before.
    pub(super) fn define(&self, definition: &Value) -> Result<(), Unusable> {
        let added = served_versions(definition)?;
        self.change(|kinds| {
            remove_defined_by(kinds, definition);
            for served in added {
                let resource = &served.resource;
                let key = (resource.group.clone(), resource.version.clone(), resource.plural.clone());
                kinds.insert(key, Arc::new(served));
            }
        });
        Ok(())
    }

    /// Whether this definition could be served.
    pub(super) fn check(definition: &Value) -> Result<(), Unusable> {
        served_versions(definition).map(drop)
    }

    /// Serves no longer what this definition defined, and says what that was.
    pub(super) fn forget(&self, definition: &Value) -> Vec<Arc<Served>> {
        let before = self.snapshot();
        self.change(|kinds| remove_defined_by(kinds, definition));
        let now = self.snapshot();
        before
            .iter()
            .filter(|(key, _)| !now.contains_key(*key))
            .map(|(_, served)| Arc::clone(served))
            .collect()
    }

    fn change(&self, change: impl FnOnce(&mut Kinds)) {
        let mut kinds = self.kinds.write().unwrap_or_else(PoisonError::into_inner);
        change(Arc::make_mut(&mut kinds));
    }
}

fn remove_defined_by(kinds: &mut Kinds, definition: &Value) {
    let (group, plural) = (&definition["spec"]["group"], &definition["spec"]["names"]["plural"]);
    kinds.retain(|(of_group, _, of_plural), served| {
        served.schema.is_none() || *group != of_group.as_str() || *plural != of_plural.as_str()
    });
}

impl Served {
    fn built_in(resource: ResourceType) -> Served {
        let types = Types::of_built_in(&resource.api_version(), &resource.kind);
        Served {
            api_version: resource.api_version(),
            storage_api_version: resource.api_version(),
            schema: None,
            described: None,
            types: types.unwrap_or_else(Types::of_unknown_kind),
            columns: vec![Column::age()],
            deprecation: None,
            resource,
        }
    }

    pub(super) fn has_status(&self) -> bool {
        self.resource.subresources.iter().any(|part| part.name == "status")
    }

    /// Whether `metadata.generation` counts the changes of what was asked for.
    pub(super) fn has_generation(&self) -> bool {
        self.schema.is_some()
            || matches!(self.resource.group.as_str(), "apps" | "batch" | "networking.k8s.io" | "policy")
            || matches!(self.resource.plural.as_str(), "endpointslices" | "customresourcedefinitions")
            || self.resource.plural.ends_with("webhookconfigurations")
    }

    /// Below which the objects of the kind are stored, whichever version they are asked for in.
    pub(super) fn prefix(&self) -> String {
        prefix_of(&self.resource.group, &self.resource.plural)
    }

    pub(super) fn key(&self, namespace: Option<&str>, name: &str) -> String {
        format!("{}{}/{name}", self.prefix(), namespace.unwrap_or_default())
    }
}

/// See [`Served::prefix`].
pub(crate) fn prefix_of(group: &str, plural: &str) -> String {
    // One event, whichever of the two groups it is read through.
    let group = if group.is_empty() || plural == "events" { "core" } else { group };
    format!("/objects/{group}/{plural}/")
}

/// Under which an object is stored; one that is in no namespace has an empty one.
pub(crate) fn key_of(group: &str, plural: &str, namespace: &str, name: &str) -> String {
    format!("{}{namespace}/{name}", prefix_of(group, plural))
}

fn served_versions(definition: &Value) -> Result<Vec<Served>, Unusable> {
    let spec = &definition["spec"];
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let texts = |value: &Value| value.as_array().into_iter().flatten().map(text).collect::<Vec<String>>();
    let versions = spec["versions"].as_array().map(Vec::as_slice).unwrap_or_default();
    let stored = versions.iter().find(|version| version["storage"] == true);
    let stored_name = text(&stored.unwrap_or(&Value::Null)["name"]);
    let storage_api_version = format!("{}/{stored_name}", text(&spec["group"]));
    let mut served = Vec::new();
    for version in versions.iter().filter(|version| version["served"] == true) {
        let schema = &version["schema"]["openAPIV3Schema"];
        let unusable =
            |reason: String| Unusable(format!("spec.versions[{}]: {reason}", text(&version["name"])));
        let compiled = Schema::parse(schema).map_err(|error| unusable(error.to_string()))?;
        let mut columns = Vec::new();
        for column in version["additionalPrinterColumns"].as_array().into_iter().flatten() {
            columns.push(Column::of_definition(column).map_err(|error| unusable(error.to_string()))?);
        }
        if columns.is_empty() {
            columns.push(Column::age());
        }
        let part =
            |name: &str, kind| Subresource { name: name.to_owned(), kind, verbs: Verb::STATUS.to_vec() };
        let mut subresources = Vec::new();
        if version["subresources"]["status"].is_object() {
            subresources.push(part("status", None));
        }
        let resource = ResourceType {
            group: text(&spec["group"]),
            version: text(&version["name"]),
            kind: text(&spec["names"]["kind"]),
            plural: text(&spec["names"]["plural"]),
            singular: text(&spec["names"]["singular"]),
            short_names: texts(&spec["names"]["shortNames"]),
            categories: texts(&spec["names"]["categories"]),
            is_namespaced: spec["scope"] == "Namespaced",
            verbs: Verb::ALL.to_vec(),
            subresources,
        };
        let deprecation = (version["deprecated"] == true).then(|| {
            let default = format!("{} {} is deprecated", resource.api_version(), resource.kind);
            version["deprecationWarning"].as_str().map_or(default, str::to_owned)
        });
        served.push(Served {
            api_version: resource.api_version(),
            storage_api_version: storage_api_version.clone(),
            types: Types::of_custom_resource(Some(schema)),
            schema: Some(compiled),
            described: Some(schema.clone()),
            columns,
            deprecation,
            resource,
        });
    }
    Ok(served)
}
