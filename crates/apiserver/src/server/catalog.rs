//! What is served right now: the built-in kinds, and those that definitions in the store add.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};

use serde_json::Value;

use super::converting::Converter;
use super::scale::ScalePaths;
use crate::apply::{OneVersion, Types, Versions};
use crate::builtin;
use crate::conversion::Convert;
use crate::definition;
use crate::resource::{ResourceType, Subresource, Verb, compare_versions};
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
    pub(super) schema: Option<Arc<Schema>>,
    /// The text of `schema`, for clients.
    pub(super) described: Option<Value>,
    /// What a custom resource has beside its version.
    pub(super) custom: Option<Arc<Custom>>,
    /// Where the number of its replicas is, if it can be scaled.
    pub(super) scale: Option<ScalePaths>,
    /// Fields of a custom resource that can be selected by, beside its name.
    pub(super) selectable: Vec<String>,
    pub(super) types: Types,
    pub(super) columns: Vec<Column>,
    pub(super) deprecation: Option<String>,
}

/// What all versions of a custom kind have in common.
#[derive(Debug)]
pub(super) struct Custom {
    /// The name of the definition.
    pub(super) name: String,
    /// The definition's revision.
    pub(super) revision: u64,
    /// Its objects are being removed, and there must be no new ones.
    pub(super) is_terminating: bool,
    pub(super) converter: Converter,
    /// All versions, also those that are only stored.
    pub(super) versions: Vec<Version>,
    /// Watchers of what is served no longer wait for this.
    retired: Arc<tokio::sync::watch::Sender<bool>>,
}

/// One version of a custom kind.
#[derive(Debug)]
pub(super) struct Version {
    pub(super) api_version: String,
    pub(super) schema: Arc<Schema>,
    pub(super) types: Types,
    served: bool,
}

impl Versions for Custom {
    fn types(&self, api_version: &str) -> Option<&Types> {
        self.version(api_version).map(|version| &version.types)
    }

    fn convert(&self, object: &Value, api_version: &str) -> Option<Value> {
        self.version(api_version)?;
        // A webhook cannot be asked here; then fields are taken to be called the same in all versions.
        let rewritten = || {
            let mut object = object.clone();
            object["apiVersion"] = api_version.into();
            Ok(object)
        };
        self.converted_here(object, api_version).unwrap_or_else(rewritten).ok()
    }
}

impl Custom {
    pub(super) fn version(&self, api_version: &str) -> Option<&Version> {
        self.versions.iter().find(|version| version.api_version == api_version)
    }
}

/// The kinds of one moment, by group, version and plural.
pub(super) type Kinds = BTreeMap<(String, String, String), Arc<Served>>;

/// Programs' own conversions, by group and kind.
pub type Conversions = BTreeMap<(String, String), Arc<dyn Convert>>;

#[derive(Debug)]
pub(super) struct Catalog {
    kinds: RwLock<Arc<Kinds>>,
    conversions: Conversions,
}

/// Why a definition adds no kind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Unusable(pub(super) String);

impl Catalog {
    pub(super) fn new(conversions: Conversions) -> Catalog {
        let built_in = builtin::all().into_iter().map(|resource| {
            let key = (resource.group.clone(), resource.version.clone(), resource.plural.clone());
            (key, Arc::new(Served::built_in(resource)))
        });
        Catalog { kinds: RwLock::new(Arc::new(built_in.collect())), conversions }
    }

    pub(super) fn snapshot(&self) -> Arc<Kinds> {
        Arc::clone(&self.kinds.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Serves what this definition defines, in place of what it defined before.
    pub(super) fn define(&self, definition: &Value, revision: u64) -> Result<(), Unusable> {
        let added = served_versions(definition, revision, &self.conversions)?;
        self.change(|kinds| {
            remove_defined_by(kinds, definition["metadata"]["name"].as_str().unwrap_or_default());
            for served in added {
                let resource = &served.resource;
                let key = (resource.group.clone(), resource.version.clone(), resource.plural.clone());
                kinds.insert(key, Arc::new(served));
            }
        });
        Ok(())
    }

    /// Serves no longer what the definition of this name defined.
    pub(super) fn forget(&self, name: &str) {
        self.change(|kinds| remove_defined_by(kinds, name));
    }

    /// The revisions of the definitions that are served, by name.
    pub(super) fn served_revisions(&self) -> BTreeMap<String, u64> {
        let kinds = self.snapshot();
        let custom = kinds.values().filter_map(|served| served.custom.as_ref());
        custom.map(|custom| (custom.name.clone(), custom.revision)).collect()
    }

    fn change(&self, change: impl FnOnce(&mut Kinds)) {
        let mut kinds = self.kinds.write().unwrap_or_else(PoisonError::into_inner);
        change(Arc::make_mut(&mut kinds));
    }
}

fn remove_defined_by(kinds: &mut Kinds, name: &str) {
    kinds.retain(|_, served| {
        let custom = served.custom.as_ref().filter(|custom| custom.name == name);
        if let Some(custom) = custom {
            custom.retired.send_replace(true);
        }
        custom.is_none()
    });
}

const ENDPOINTS_ARE_DEPRECATED: &str =
    "v1 Endpoints is deprecated in v1.33+; use discovery.k8s.io/v1 EndpointSlice";

impl Served {
    fn built_in(resource: ResourceType) -> Served {
        let types = Types::of_built_in(&resource.api_version(), &resource.kind);
        let deprecated = (resource.plural == "endpoints").then_some(ENDPOINTS_ARE_DEPRECATED);
        Served {
            api_version: resource.api_version(),
            storage_api_version: resource.api_version(),
            schema: None,
            described: None,
            custom: None,
            scale: resource
                .subresources
                .iter()
                .any(|part| part.name == "scale")
                .then(ScalePaths::of_built_in),
            selectable: Vec::new(),
            types: types.unwrap_or_else(Types::of_unknown_kind),
            columns: Vec::new(),
            deprecation: deprecated.map(str::to_owned),
            resource,
        }
    }

    pub(super) fn has_status(&self) -> bool {
        self.resource.subresources.iter().any(|part| part.name == "status")
    }

    /// Below which the objects of the kind are stored, whichever version they are asked for in.
    pub(super) fn prefix(&self) -> String {
        prefix_of(&self.resource.group, &self.resource.plural)
    }

    /// The versions that fields of its objects may be owned in.
    pub(super) fn versions(&self) -> &dyn Versions {
        match &self.custom {
            Some(custom) => &**custom,
            None => &OneVersion,
        }
    }

    /// Resolves when this version is no longer served as it is here: its definition has changed or is gone.
    pub(super) async fn retired(&self) {
        let Some(custom) = &self.custom else { return std::future::pending().await };
        let mut retired = custom.retired.subscribe();
        // It cannot fail while `custom` is there.
        let _ = retired.wait_for(|retired| *retired).await;
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

/// Everything that a definition serves, with names that were accepted.
fn served_versions(
    definition: &Value,
    revision: u64,
    conversions: &Conversions,
) -> Result<Vec<Served>, Unusable> {
    let spec = &definition["spec"];
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let group = text(&spec["group"]);
    let storage_api_version = format!("{group}/{}", stored_version(spec).unwrap_or_default());
    let mut versions = Vec::new();
    for version in list(&spec["versions"]) {
        versions.push(Version::of(&group, version)?);
    }
    let kind = (group.clone(), text(&definition["status"]["acceptedNames"]["kind"]));
    let inside = conversions.get(&kind).cloned();
    let custom = Arc::new(Custom {
        name: text(&definition["metadata"]["name"]),
        revision,
        converter: Converter::of(&spec["conversion"], inside),
        is_terminating: definition::is_terminating(definition),
        versions,
        retired: Arc::new(tokio::sync::watch::Sender::new(false)),
    });
    let each = list(&spec["versions"]).iter().zip(&custom.versions).filter(|(_, version)| version.served);
    each.map(|(version, compiled)| {
        let resource = resource_type(definition, version);
        let deprecation =
            (version["deprecated"] == true).then(|| deprecation(definition, version, &resource));
        let selectable = list(&version["selectableFields"]).iter().map(|field| text(&field["jsonPath"]));
        Ok(Served {
            api_version: resource.api_version(),
            storage_api_version: storage_api_version.clone(),
            types: compiled.types.clone(),
            schema: Some(Arc::clone(&compiled.schema)),
            described: Some(version["schema"]["openAPIV3Schema"].clone()),
            selectable: selectable.map(|path| path.trim_start_matches('.').to_owned()).collect(),
            custom: Some(Arc::clone(&custom)),
            scale: ScalePaths::of_definition(&version["subresources"]["scale"]),
            columns: columns(version)?,
            deprecation,
            resource,
        })
    })
    .collect()
}

impl Version {
    fn of(group: &str, version: &Value) -> Result<Version, Unusable> {
        let name = version["name"].as_str().unwrap_or_default();
        let schema = &version["schema"]["openAPIV3Schema"];
        let compiled = Schema::parse(schema).map_err(|error| unusable(version, &error))?;
        Ok(Version {
            api_version: format!("{group}/{name}"),
            schema: Arc::new(compiled),
            types: Types::of_custom_resource(Some(schema)),
            served: version["served"] == true,
        })
    }
}

fn unusable(version: &Value, reason: &dyn std::fmt::Display) -> Unusable {
    Unusable(format!("spec.versions[{}]: {reason}", version["name"].as_str().unwrap_or_default()))
}

fn columns(version: &Value) -> Result<Vec<Column>, Unusable> {
    let columns = list(&version["additionalPrinterColumns"]).iter().map(Column::of_definition);
    let columns: Vec<Column> =
        columns.collect::<Result<_, _>>().map_err(|error| unusable(version, &error))?;
    Ok(if columns.is_empty() { vec![Column::age()] } else { columns })
}

fn resource_type(definition: &Value, version: &Value) -> ResourceType {
    let (spec, names) = (&definition["spec"], &definition["status"]["acceptedNames"]);
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let texts = |value: &Value| list(value).iter().map(text).collect::<Vec<String>>();
    let part = |name: &str, kind| Subresource { name: name.to_owned(), kind, verbs: Verb::STATUS.to_vec() };
    let mut subresources = Vec::new();
    if version["subresources"]["status"].is_object() {
        subresources.push(part("status", None));
    }
    if version["subresources"]["scale"].is_object() {
        let kind = ["autoscaling", "v1", "Scale"].map(str::to_owned);
        subresources.push(part("scale", Some(kind.into())));
    }
    ResourceType {
        group: text(&spec["group"]),
        version: text(&version["name"]),
        kind: text(&names["kind"]),
        plural: text(&names["plural"]),
        singular: text(&names["singular"]),
        short_names: texts(&names["shortNames"]),
        categories: texts(&names["categories"]),
        is_namespaced: spec["scope"] == "Namespaced",
        verbs: Verb::ALL.to_vec(),
        subresources,
        storage_version: stored_version(spec),
    }
}

/// What clients of a deprecated version are told, if the definition has no words of its own for it.
fn deprecation(definition: &Value, version: &Value, resource: &ResourceType) -> String {
    if let Some(text) = version["deprecationWarning"].as_str() {
        return text.to_owned();
    }
    let ResourceType { group, kind, .. } = resource;
    let others = list(&definition["spec"]["versions"]).iter();
    let others = others.filter(|other| other["served"] == true && other["deprecated"] != true);
    let newer = others.filter_map(|other| other["name"].as_str());
    let newer = newer.filter(|name| compare_versions(name, &resource.version).is_lt());
    match newer.min_by(|a, b| compare_versions(a, b)) {
        None => format!("{} {kind} is deprecated", resource.api_version()),
        Some(best) => format!("{} {kind} is deprecated; use {group}/{best} {kind}", resource.api_version()),
    }
}

fn stored_version(spec: &Value) -> Option<String> {
    let stored = list(&spec["versions"]).iter().find(|version| version["storage"] == true)?;
    stored["name"].as_str().map(str::to_owned)
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map(Vec::as_slice).unwrap_or_default()
}
