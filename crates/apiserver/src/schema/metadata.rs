//! What must hold for an object's `metadata`, whatever its kind.
//! Knows no schema; what is no ObjectMeta at all is refused by [`decode_error`] before anything else.

use super::error::FieldError;
use super::{names, text};
use serde_json::{Map, Value};
use std::collections::BTreeSet;

pub use super::object_meta::decode_error;
pub(super) use super::object_meta::prune;

#[cfg(test)]
mod tests;

const ANNOTATIONS_BYTES_MAX: usize = 256 << 10;
const MANAGER_BYTES_MAX: usize = 128;
const SUBRESOURCE_BYTES_MAX: usize = 256;
const IMMUTABLE: &str = "field is immutable";

/// The metadata of an object that is to be created, after its name has been generated. What the API server
/// sets itself, whatever the client sent, is not looked at.
pub fn validate(object: &Value, namespaced: bool) -> Vec<FieldError> {
    let metadata = Metadata::of(object.get("metadata"), "metadata");
    let mut errors = metadata.names(names::subdomain_prefix, names::subdomain);
    errors.extend(metadata.namespace(namespaced));
    errors.extend(metadata.common());
    errors
}

/// The same for a namespaced object, or a namespace itself, whose name must be a label.
pub(crate) fn validate_named_by_label(object: &Value, namespaced: bool) -> Vec<FieldError> {
    let metadata = Metadata::of(object.get("metadata"), "metadata");
    let mut errors = metadata.names(names::label_prefix, names::label);
    errors.extend(metadata.namespace(namespaced));
    errors.extend(metadata.common());
    errors
}

/// The same for an object whose name may be any segment of a path: a role or a binding.
pub(crate) fn validate_named_by_path(object: &Value, namespaced: bool) -> Vec<FieldError> {
    let metadata = Metadata::of(object.get("metadata"), "metadata");
    let mut errors = metadata.names(names::path_segment_prefix, names::path_segment);
    errors.extend(metadata.namespace(namespaced));
    errors.extend(metadata.common());
    errors
}

/// What to warn about in the metadata of an object, as it was sent, that is to be created or to replace `old`.
pub fn warnings(object: &Value, old: Option<&Value>) -> Vec<String> {
    let metadata = Metadata::of(object.get("metadata"), "metadata");
    let old = Metadata::of(old.and_then(|old| old.get("metadata")), "metadata");
    metadata.repeated_owners().into_iter().chain(metadata.finalizers_without_domain(&old)).collect()
}

/// Finalizers of built-in kinds, which must be well-known ones or say whose they are.
pub(crate) fn validate_finalizers(object: &Value) -> Vec<FieldError> {
    const KNOWN: [&str; 3] = ["foregroundDeletion", "kubernetes", "orphan"];
    let finalizers = object.pointer("/metadata/finalizers").and_then(Value::as_array);
    let names = finalizers.into_iter().flatten().enumerate();
    let names = names.map(|(index, name)| (index, name.as_str().unwrap_or_default()));
    let stray = names.filter(|(_, name)| !name.contains('/') && !KNOWN.contains(name));
    let detail = "name is neither a standard finalizer name nor is it fully qualified";
    stray
        .map(|(index, name)| FieldError::invalid_text(format!("metadata.finalizers[{index}]"), name, detail))
        .collect()
}

/// The metadata of an object that is to replace `old`, as [`validate`] looks at it.
pub fn validate_update(object: &Value, old: &Value) -> Vec<FieldError> {
    let metadata = Metadata::of(object.get("metadata"), "metadata");
    let old = Metadata::of(old.get("metadata"), "metadata");
    let mut errors = Vec::new();
    if old.get("deletionTimestamp").is_some() {
        errors.extend(metadata.no_new_finalizers(&old));
    }
    if matches!(metadata.text("resourceVersion"), "" | "0") {
        let field = metadata.field("resourceVersion");
        errors.push(FieldError::invalid_printed(field, "0", "must be specified for an update"));
    }
    for name in ["name", "namespace", "uid"] {
        let is_left_out = name == "uid" && metadata.text(name).is_empty();
        if metadata.text(name) != old.text(name) && !is_left_out {
            errors.push(metadata.invalid(name, metadata.text(name), IMMUTABLE));
        }
    }
    for name in ["deletionTimestamp", "deletionGracePeriodSeconds"] {
        if metadata.get(name) != old.get(name) {
            let value = metadata.get(name).unwrap_or(&Value::Null);
            errors.push(FieldError::invalid(metadata.field(name), value, IMMUTABLE));
        }
    }
    errors.extend(metadata.labels());
    errors.extend(metadata.annotations());
    errors.extend(metadata.owner_references());
    errors
}

/// What is looked at whenever an object replaces `old`, before its kind is asked: the same metadata twice, by the
/// rules for new objects and by those for changed ones. What breaks both is said twice.
pub fn validate_replaced(object: &Value, old: &Value, namespaced: bool) -> Vec<FieldError> {
    let mut errors = validate_named_by_path(object, namespaced);
    errors.extend(validate_update(object, old));
    errors
}

/// The metadata of an object inside another one.
pub(super) fn validate_embedded(metadata: Option<&Value>, path: &str) -> Vec<FieldError> {
    let metadata = Metadata::of(metadata, path);
    let mut errors = match metadata.text("name") {
        "" => metadata.generate_name(names::path_segment_prefix),
        _ => metadata.names(names::path_segment_prefix, names::path_segment),
    };
    errors.extend(metadata.namespace(!metadata.text("namespace").is_empty()));
    if metadata.integer("generation") < 0 {
        let generation = metadata.integer("generation").to_string();
        let detail = "must be greater than or equal to 0";
        errors.push(FieldError::invalid_printed(metadata.field("generation"), &generation, detail));
    }
    errors.extend(metadata.common());
    errors.extend(metadata.managed_fields());
    errors
}

struct Metadata<'a> {
    path: &'a str,
    fields: Option<&'a Map<String, Value>>,
}

impl<'a> Metadata<'a> {
    fn of(metadata: Option<&'a Value>, path: &'a str) -> Self {
        Self { path, fields: metadata.and_then(Value::as_object) }
    }

    fn names(&self, prefix: fn(&str) -> Vec<String>, name: fn(&str) -> Vec<String>) -> Vec<FieldError> {
        let mut errors = self.generate_name(prefix);
        match self.text("name") {
            "" => errors.push(FieldError::required(self.field("name"), "name or generateName is required")),
            given => errors.extend(self.all_invalid("name", given, &name(given))),
        }
        errors
    }

    fn generate_name(&self, prefix: fn(&str) -> Vec<String>) -> Vec<FieldError> {
        match self.text("generateName") {
            "" => Vec::new(),
            given => self.all_invalid("generateName", given, &prefix(given)),
        }
    }

    fn namespace(&self, namespaced: bool) -> Vec<FieldError> {
        match self.text("namespace") {
            "" if namespaced => vec![FieldError::required(self.field("namespace"), "")],
            "" => Vec::new(),
            given if namespaced => self.all_invalid("namespace", given, &names::label(given)),
            _ => vec![FieldError::forbidden(self.field("namespace"), "not allowed on this type")],
        }
    }

    fn common(&self) -> Vec<FieldError> {
        let mut errors = self.labels();
        errors.extend(self.annotations());
        errors.extend(self.owner_references());
        errors.extend(self.finalizers());
        errors
    }

    fn labels(&self) -> Vec<FieldError> {
        let labels = self.texts("labels");
        let check = |(key, value): (&str, &str)| {
            let mut errors = self.all_invalid("labels", key, &names::qualified_name(key));
            errors.extend(self.all_invalid("labels", value, &names::label_value(value)));
            errors
        };
        labels.flat_map(check).collect()
    }

    /// The case of an annotation's key does not matter, and all of them share one limit of size.
    fn annotations(&self) -> Vec<FieldError> {
        let check =
            |(key, _)| self.all_invalid("annotations", key, &names::qualified_name(&key.to_lowercase()));
        let mut errors: Vec<_> = self.texts("annotations").flat_map(check).collect();
        let bytes: usize = self.texts("annotations").map(|(key, value)| key.len() + value.len()).sum();
        if bytes > ANNOTATIONS_BYTES_MAX {
            errors.push(FieldError::too_long(self.field("annotations"), ANNOTATIONS_BYTES_MAX as i64));
        }
        errors
    }

    fn owner_references(&self) -> Vec<FieldError> {
        let mut errors = Vec::new();
        let mut controller: Option<String> = None;
        for owner in self.list("ownerReferences") {
            let text = |name: &str| owner.get(name).and_then(Value::as_str).unwrap_or_default();
            let (api_version, kind) = (text("apiVersion"), text("kind"));
            let mut empty = |name: &str, value: &str, detail: &str| {
                errors.push(self.invalid(&format!("ownerReferences.{name}"), value, detail));
            };
            if version_of(api_version).is_none_or(str::is_empty) {
                empty("apiVersion", api_version, "version must not be empty");
            }
            for name in ["kind", "name", "uid"] {
                if text(name).is_empty() {
                    empty(name, "", "must not be empty");
                }
            }
            if api_version == "v1" && kind == "Event" {
                let detail = "/v1, Kind=Event is disallowed from being an owner";
                errors.push(FieldError::invalid_printed(
                    self.field("ownerReferences"),
                    &owner_json(owner),
                    detail,
                ));
            }
            if owner.get("controller") == Some(&Value::Bool(true)) {
                let name = format!("{kind}/{}", text("name"));
                match &controller {
                    None => controller = Some(name),
                    Some(first) => {
                        let owners: Vec<_> = self.list("ownerReferences").iter().map(owner_json).collect();
                        let detail = format!(
                            "Only one reference can have Controller set to true. Found \"true\" in references for \
                             {first} and {name}"
                        );
                        let printed = format!("[{}]", owners.join(","));
                        errors.push(FieldError::invalid_printed(
                            self.field("ownerReferences"),
                            &printed,
                            &detail,
                        ));
                    }
                }
            }
        }
        errors
    }

    fn finalizers(&self) -> Vec<FieldError> {
        let finalizers: Vec<_> = self.list("finalizers").iter().filter_map(Value::as_str).collect();
        let check = |name: &&str| self.all_invalid("finalizers", name, &names::qualified_name(name));
        let mut errors: Vec<_> = finalizers.iter().flat_map(check).collect();
        if ["orphan", "foregroundDeletion"].iter().all(|standard| finalizers.contains(standard)) {
            let detail = "finalizer orphan and foregroundDeletion cannot be both set";
            let printed = text::json(&finalizers.into());
            errors.push(FieldError::invalid_printed(self.field("finalizers"), &printed, detail));
        }
        errors
    }

    fn finalizers_without_domain(&self, old: &Self) -> Vec<String> {
        const STANDARD: [&str; 3] = ["orphan", "foregroundDeletion", "kubernetes"];
        let known = old.list("finalizers");
        let new = self.list("finalizers").iter().filter(|name| !known.contains(name));
        let new: BTreeSet<_> = new.filter_map(Value::as_str).collect();
        let strange = new.into_iter().filter(|name| !name.contains('/') && !STANDARD.contains(name));
        let warning = |name: &str| {
            let with_path = if name.contains('.') { " including a path (/)" } else { "" };
            format!(
                "{}: {}: prefer a domain-qualified finalizer name{with_path} to avoid accidental conflicts with other \
                 finalizer writers",
                self.field("finalizers"),
                text::quote(name)
            )
        };
        strange.map(warning).collect()
    }

    fn repeated_owners(&self) -> Option<String> {
        let owners = self.list("ownerReferences");
        let repeated = (1..owners.len()).filter(|&index| owners[..index].contains(&owners[index]));
        let uids: Vec<_> = repeated.map(|index| owners[index]["uid"].as_str().unwrap_or_default()).collect();
        (!uids.is_empty()).then(|| {
            format!(
                ".metadata.ownerReferences contains duplicate entries; API server dedups owner references in 1.20+, and \
                 may reject such requests as early as 1.24; please fix your requests; duplicate UID(s) observed: {}",
                uids.join(", ")
            )
        })
    }

    fn no_new_finalizers(&self, old: &Self) -> Option<FieldError> {
        let known = old.list("finalizers");
        let mut new: Vec<_> = self
            .list("finalizers")
            .iter()
            .filter(|name| !known.contains(name))
            .filter_map(Value::as_str)
            .collect();
        new.sort_unstable();
        new.dedup();
        if new.is_empty() {
            return None;
        }
        let quoted: Vec<_> = new.into_iter().map(text::quote).collect();
        let detail = format!(
            "no new finalizers can be added if the object is being deleted, found new finalizers []string{{{}}}",
            quoted.join(", ")
        );
        Some(FieldError::forbidden(self.field("finalizers"), &detail))
    }

    fn managed_fields(&self) -> Vec<FieldError> {
        let mut errors = Vec::new();
        for (index, entry) in self.list("managedFields").iter().enumerate() {
            let text = |name: &str| entry.get(name).and_then(Value::as_str).unwrap_or_default();
            let field = |name: &str| self.field(&format!("managedFields[{index}].{name}"));
            if !matches!(text("operation"), "Apply" | "Update") {
                let detail = "must be `Apply` or `Update`";
                errors.push(FieldError::invalid_text(field("operation"), text("operation"), detail));
            }
            if !matches!(text("fieldsType"), "" | "FieldsV1") {
                let detail = "must be `FieldsV1`";
                errors.push(FieldError::invalid_text(field("fieldsType"), text("fieldsType"), detail));
            }
            for (name, max_bytes) in [("manager", MANAGER_BYTES_MAX), ("subresource", SUBRESOURCE_BYTES_MAX)]
            {
                if text(name).len() > max_bytes {
                    errors.push(FieldError::too_long(field(name), max_bytes as i64));
                }
            }
        }
        errors
    }

    fn all_invalid(&self, name: &str, value: &str, problems: &[String]) -> Vec<FieldError> {
        problems.iter().map(|problem| self.invalid(name, value, problem)).collect()
    }

    fn invalid(&self, name: &str, value: &str, detail: &str) -> FieldError {
        FieldError::invalid_text(self.field(name), value, detail)
    }

    fn field(&self, name: &str) -> String {
        format!("{}.{name}", self.path)
    }

    /// A field that is neither missing nor `null`.
    fn get(&self, name: &str) -> Option<&'a Value> {
        self.fields?.get(name).filter(|value| !value.is_null())
    }

    fn text(&self, name: &str) -> &'a str {
        self.get(name).and_then(Value::as_str).unwrap_or_default()
    }

    fn integer(&self, name: &str) -> i64 {
        self.get(name).and_then(Value::as_i64).unwrap_or_default()
    }

    fn list(&self, name: &str) -> &'a [Value] {
        self.get(name).and_then(Value::as_array).map_or(&[], Vec::as_slice)
    }

    fn texts(&self, name: &str) -> impl Iterator<Item = (&'a str, &'a str)> {
        let entries = self.get(name).and_then(Value::as_object).into_iter().flatten();
        entries.filter_map(|(key, value)| Some((key.as_str(), value.as_str()?)))
    }
}

/// The version in `group/version`; nothing if there are more slashes than one.
pub(super) fn version_of(api_version: &str) -> Option<&str> {
    match api_version.split_once('/') {
        None => Some(api_version),
        Some((_, version)) if !version.contains('/') => Some(version),
        Some(_) => None,
    }
}

fn owner_json(owner: &Value) -> String {
    let field = |name: &str, empty: Option<&str>| match owner.get(name).filter(|value| !value.is_null()) {
        Some(value) => Some(format!("\"{name}\":{}", text::json(value))),
        None => empty.map(|empty| format!("\"{name}\":{empty}")),
    };
    let fields = [
        field("apiVersion", Some("\"\"")),
        field("kind", Some("\"\"")),
        field("name", Some("\"\"")),
        field("uid", Some("\"\"")),
        field("controller", None),
        field("blockOwnerDeletion", None),
    ];
    format!("{{{}}}", fields.into_iter().flatten().collect::<Vec<_>>().join(","))
}
