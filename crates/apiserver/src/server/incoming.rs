//! What of an object that is sent is taken over: first how it is written, then what it may change.

use serde_json::{Value, json};

use super::objects::{Found, Unwritten, count_generation};
use super::request::{Asked, FieldValidation};
use super::{names, timestamp};
use crate::schema::text::quote;
use crate::schema::{FieldError, metadata};
use crate::status::{Reason, Refusal, Target};

const OTHER_NAMESPACE: &str =
    "the namespace of the provided object does not match the namespace sent on the request";

impl Asked {
    /// The object of a body, which must be of the kind and in the place that the path names.
    pub(super) fn decoded(&self, mut object: Value) -> Result<Value, Refusal> {
        let resource = &self.served.resource;
        let Some(fields) = object.as_object_mut() else {
            return Err(Refusal::bad_request("the object provided is unrecognized: it is no JSON object"));
        };
        fields.entry("apiVersion").or_insert_with(|| resource.api_version().into());
        fields.entry("kind").or_insert_with(|| resource.kind.clone().into());
        fields.entry("metadata").or_insert_with(|| json!({}));
        if let Some(error) = metadata::decode_error(&object["metadata"]) {
            return Err(Refusal::bad_request(error));
        }
        let (api_version, kind) = (resource.api_version(), &resource.kind);
        if object["apiVersion"] != api_version.as_str() {
            let given = object["apiVersion"].as_str().unwrap_or_default();
            let message = format!(
                "the API version in the data ({given}) does not match the expected API version ({api_version})"
            );
            let mut refusal = Refusal::bad_request(message);
            if self.served.custom.is_some() {
                let given = given.to_owned();
                refusal.warnings = self.pruned(&mut object, &given)?.into();
            }
            return Err(refusal);
        }
        if object["kind"] != kind.as_str() {
            let given = object["kind"].as_str().unwrap_or_default();
            if self.served.custom.is_some() && !given.is_empty() {
                let name = object["metadata"]["name"].as_str().unwrap_or_default();
                let target = Target { group: &resource.group, resource: "", name };
                let error = FieldError::invalid_text("kind", given, &format!("must be {kind}"));
                return Err(Refusal::invalid(given, target, &[error]));
            }
            let message = format!("the kind in the data ({given}) does not match the expected kind ({kind})");
            return Err(Refusal::bad_request(message));
        }
        let namespace = object["metadata"]["namespace"].as_str().unwrap_or_default();
        if !namespace.is_empty() && Some(namespace) != self.namespace.as_deref() {
            return Err(Refusal::bad_request(OTHER_NAMESPACE));
        }
        if let Some(namespace) = &self.namespace {
            object["metadata"]["namespace"] = namespace.as_str().into();
        }
        self.complete_definition(&mut object);
        Ok(object)
    }

    /// Takes away what the schema of this version does not know; the warnings say what.
    pub(super) fn pruned(&self, object: &mut Value, api_version: &str) -> Result<Vec<String>, Refusal> {
        let mut unknown = self.strict.clone();
        unknown.extend(self.unknown_fields(object, api_version));
        match self.field_validation() {
            FieldValidation::Strict if !unknown.is_empty() => {
                let resource = &self.served.resource;
                let message = format!(
                    "{0} in version {1} cannot be handled as a {0}: strict decoding error: {2}",
                    resource.kind,
                    quote(version_of(api_version)),
                    unknown.join(", ")
                );
                Err(Refusal::bad_request(message))
            }
            _ => Ok(self.warnings_of(&unknown)),
        }
    }

    /// What a client is told that did not ask to be refused.
    pub(super) fn warnings_of(&self, unknown: &[String]) -> Vec<String> {
        let line = |text: &String| text.rsplit("\n  ").next().unwrap_or_default().to_owned();
        match self.field_validation() {
            FieldValidation::Warn => unknown.iter().map(line).collect(),
            FieldValidation::Strict | FieldValidation::Ignore => Vec::new(),
        }
    }

    /// Takes away what a custom resource of this version does not have. What is said to be of a version that there is
    /// not has nothing.
    pub(super) fn unknown_fields(&self, object: &mut Value, api_version: &str) -> Vec<String> {
        let Some(custom) = &self.served.custom else { return Vec::new() };
        let (resource, version) = (&self.served.resource, version_of(api_version));
        // What says that it is something else is let be.
        let is_of_kind = object["kind"] == resource.kind.as_str();
        if !is_of_kind || api_version.split_once('/').is_none_or(|(group, _)| group != resource.group) {
            return Vec::new();
        }
        match custom.versions.iter().find(|it| version_of(&it.api_version) == version) {
            Some(version) => version.schema.prune(object).iter().map(ToString::to_string).collect(),
            None => {
                let fields = object.as_object().into_iter().flatten().map(|(name, _)| name.as_str());
                unknown_at_top(fields.filter(|name| *name != "metadata"))
            }
        }
    }

    /// An object as it was sent, written out: what its kind does not know is gone, what it leaves open is filled in.
    /// The warnings say what was wrong about it.
    pub(super) fn understood(&self, object: &mut Value) -> Result<Vec<String>, Refusal> {
        let warnings = self.pruned(object, &self.served.api_version)?;
        self.defaulted(object)?;
        Ok(warnings)
    }

    /// Fills in what the kind says of fields that are left out.
    pub(super) fn defaulted(&self, object: &mut Value) -> Result<(), Refusal> {
        match &self.served.schema {
            Some(schema) => schema.default(object),
            None => {
                self.served.types.normalise(object);
                self.default_built_in(object)?;
                self.complete_built_in(object);
            }
        }
        drop_repeated_owners(object);
        Ok(())
    }

    /// Whether an object may be meant by this path at all.
    pub(super) fn fits_path(&self, object: &Value) -> Result<(), Refusal> {
        let text = |field: &str| object["metadata"][field].as_str().unwrap_or_default();
        let (name, namespace) = (text("name"), text("namespace"));
        let wanted = self.target().name;
        if !name.is_empty() && name != wanted {
            return Err(Refusal::bad_request(format!(
                "the name of the object ({name}) does not match the name on the URL ({wanted})"
            )));
        }
        if !namespace.is_empty() && Some(namespace) != self.namespace.as_deref() {
            return Err(Refusal::bad_request(OTHER_NAMESPACE));
        }
        Ok(())
    }

    /// Takes away what no client may say of a new object.
    pub(super) fn wipe(&self, object: &mut Value) {
        let Some(metadata) = object["metadata"].as_object_mut() else { return };
        for field in
            ["selfLink", "uid", "creationTimestamp", "deletionTimestamp", "deletionGracePeriodSeconds"]
        {
            metadata.remove(field);
        }
    }

    /// What the server itself says of a new object. The version that a client sent is still there.
    pub(super) fn begin(&self, object: &mut Value) {
        let mut fields = object["metadata"].as_object_mut().map(std::mem::take).unwrap_or_default();
        if let Some(namespace) = &self.namespace {
            fields.insert("namespace".to_owned(), namespace.as_str().into());
        }
        fields.insert("uid".to_owned(), names::uid().into());
        fields.insert("creationTimestamp".to_owned(), timestamp());
        if self.served.has_generation() {
            fields.insert("generation".to_owned(), 1.into());
        }
        object["metadata"] = Value::Object(fields);
    }

    /// What a write cannot change, because it is the server's or belongs to the other endpoint.
    pub(super) fn carried_over(&self, new: &mut Value, old: &Value) {
        if self.is_status() {
            self.keep_all_but_status(new, old);
        } else if self.served.has_status() {
            new["status"] = old["status"].clone();
        }
        let (there, metadata) = (&old["metadata"], &mut new["metadata"]);
        for field in ["creationTimestamp", "generation", "namespace"] {
            metadata[field] = there[field].clone();
        }
        for field in ["uid", "deletionGracePeriodSeconds"] {
            if metadata[field].is_null() || metadata[field] == "" {
                metadata[field] = there[field].clone();
            }
        }
        if !there["deletionTimestamp"].is_null() {
            metadata["deletionTimestamp"] = there["deletionTimestamp"].clone();
        }
        if let Some(fields) = metadata.as_object_mut() {
            fields.remove("selfLink");
        }
        drop_nulls(new);
        drop_nulls(&mut new["metadata"]);
        if self.served.has_generation() && !self.is_status() && self.is_changed(new, old) {
            count_generation(new);
        }
    }

    fn keep_all_but_status(&self, new: &mut Value, old: &Value) {
        let (status, metadata) = (new["status"].take(), new["metadata"].take());
        *new = old.clone();
        new["status"] = status;
        if self.served.schema.is_some() {
            new["metadata"]["managedFields"] = metadata["managedFields"].clone();
            return;
        }
        // Of built-in kinds metadata can be changed through the status.
        let (kept, plural) = (&old["metadata"], self.served.resource.plural.as_str());
        new["metadata"] = metadata;
        if matches!(plural, "pods") {
            new["metadata"]["ownerReferences"] = kept["ownerReferences"].clone();
        }
        if self.served.resource.group == "apps" {
            new["metadata"]["labels"] = kept["labels"].clone();
        }
    }

    /// Whether more differs than metadata and, where that is written apart, the status.
    fn is_changed(&self, new: &Value, old: &Value) -> bool {
        let is_counted = |field: &str| match field {
            "metadata" | "apiVersion" | "kind" => false,
            "status" => self.served.schema.is_some() && !self.served.has_status(),
            _ => true,
        };
        let differs = |a: &Value, b: &Value| {
            let mut fields = a.as_object().into_iter().flatten();
            fields.any(|(field, value)| is_counted(field) && b.get(field) != Some(value))
        };
        differs(new, old) || differs(old, new)
    }

    /// The version that a client says it has seen must be the one that is there.
    pub(super) fn require_version(&self, new: &Value, old: &Found) -> Result<(), Unwritten> {
        let given = new["metadata"]["resourceVersion"].as_str().unwrap_or_default();
        if given.is_empty() || given == "0" {
            return Ok(());
        }
        let version: u64 = given.parse().map_err(|_| {
            let message = format!("strconv.ParseUint: parsing {}: invalid syntax", quote(given));
            Refusal::new(500, Reason::None, message)
        })?;
        if version == old.revision { Ok(()) } else { Err(self.was_changed().into()) }
    }

    /// What the client says of the object, if it says anything, must be so.
    pub(super) fn require_same(&self, wanted: &Value, there: &Value, what: &str) -> Result<(), Refusal> {
        let Some(wanted) = wanted.as_str().filter(|wanted| *there != **wanted) else { return Ok(()) };
        let there = there.as_str().unwrap_or_default();
        let why =
            format!("Precondition failed: {what} in precondition: {wanted}, {what} in object meta: {there}");
        let key = self.registry_key();
        let why = format!(
            "StorageError: invalid object, Code: 4, Key: {key}, ResourceVersion: 0, AdditionalErrorMsg: {why}"
        );
        Err(Refusal::conflict(self.target(), &why))
    }

    /// Where a real API server keeps the object, which some of its messages say.
    fn registry_key(&self) -> String {
        let resource = &self.served.resource;
        let kept = match (&self.served.custom, resource.plural.as_str()) {
            (Some(_), plural) => format!("{}/{plural}", resource.group),
            (None, "services") => "services/specs".to_owned(),
            (None, "endpoints") => "services/endpoints".to_owned(),
            (None, "nodes") => "minions".to_owned(),
            (None, "replicationcontrollers") => "controllers".to_owned(),
            (None, "ingresses") => "ingress".to_owned(),
            (None, "customresourcedefinitions") => format!("{}/{}", resource.group, resource.plural),
            (None, plural) => plural.to_owned(),
        };
        let namespace = self.namespace.as_ref().map(|name| format!("{name}/")).unwrap_or_default();
        format!("/registry/{kept}/{namespace}{}", self.target().name)
    }

    pub(super) fn no_name(&self) -> Refusal {
        let wanted = self.target().name;
        Refusal::bad_request(format!(
            "the name of the object ({wanted} based on URL) was undeterminable: name must be provided"
        ))
    }

    pub(super) fn was_changed(&self) -> Refusal {
        let why =
            "the object has been modified; please apply your changes to the latest version and try again";
        Refusal::conflict(self.target(), why)
    }
}

fn version_of(api_version: &str) -> &str {
    api_version.rsplit('/').next().unwrap_or_default()
}

/// Fields of an object that nothing is known of, beside what it is.
pub(super) fn unknown_at_top<'a>(fields: impl Iterator<Item = &'a str>) -> Vec<String> {
    let mut fields: Vec<&str> = fields.filter(|name| !matches!(*name, "apiVersion" | "kind")).collect();
    fields.sort_unstable();
    fields.into_iter().map(|name| format!("unknown field {}", quote(name))).collect()
}

fn drop_nulls(object: &mut Value) {
    if let Some(fields) = object.as_object_mut() {
        fields.retain(|_, value| !value.is_null());
    }
}

/// An owner that is named twice in the same words is named once.
fn drop_repeated_owners(object: &mut Value) {
    let Some(owners) = object.pointer_mut("/metadata/ownerReferences").and_then(Value::as_array_mut) else {
        return;
    };
    let mut kept: Vec<Value> = Vec::with_capacity(owners.len());
    for owner in owners.drain(..) {
        if !kept.contains(&owner) {
            kept.push(owner);
        }
    }
    *owners = kept;
}
