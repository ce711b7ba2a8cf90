//! Group, names, versions: everything in a specification around the schemas.

use std::collections::HashSet;

use serde_json::Value;

use super::lifted::Part;
use super::{columns, conversion, list, printed, schema, text};
use crate::schema::{FieldError, names, text as print};

/// The parts of a specification that stand once for all versions, where they are alike in all.
pub(super) struct Parts<'a> {
    pub(super) schema: Part<'a>,
    pub(super) subresources: Part<'a>,
    pub(super) columns: Part<'a>,
    pub(super) selectable: Part<'a>,
}

impl<'a> Parts<'a> {
    pub(super) fn of(spec: &'a Value) -> Parts<'a> {
        Parts {
            schema: Part::of(spec, "schema"),
            subresources: Part::of(spec, "subresources"),
            columns: Part::of(spec, "additionalPrinterColumns"),
            selectable: Part::of(spec, "selectableFields"),
        }
    }

    fn has_status(&self, version: usize) -> bool {
        self.subresources.for_version(version).is_some_and(|parts| parts["status"].is_object())
    }
}

pub(super) fn validate(definition: &Value, old: Option<&Value>) -> Vec<FieldError> {
    let spec = &definition["spec"];
    let versions = list(&spec["versions"]);
    let parts = Parts::of(spec);
    let mut errors = group_and_scope(spec);
    for index in 0..versions.len() {
        let is_there = parts.schema.for_version(index).is_some_and(|it| it["openAPIV3Schema"].is_object());
        if !is_there {
            errors.push(FieldError::required(format!("spec.versions[{index}].schema.openAPIV3Schema"), ""));
        }
    }
    // In the older form the first version's name stands by itself too.
    if let Some(first) = versions.first().map(|version| text(&version["name"])) {
        let wrong = names::label_1035(first);
        if !wrong.is_empty() {
            errors.push(FieldError::invalid_text("spec.version", first, &wrong.join(",")));
        }
    }
    for (index, version) in versions.iter().enumerate() {
        errors.extend(version_errors(&parts, index, version));
    }
    errors.extend(of_all_versions(spec, &parts));
    let names = &spec["names"];
    for field in ["plural", "singular", "kind", "listKind"] {
        if text(&names[field]).is_empty() {
            errors.push(FieldError::required(format!("spec.names.{field}"), ""));
        }
    }
    errors.extend(name_errors(names, "spec.names"));
    if let Some(schema) = parts.schema.of_all {
        let any_status = (0..versions.len()).any(|index| parts.has_status(index));
        errors.extend(schema::validate(schema, "spec.validation", any_status));
    }
    if let Some(subresources) = parts.subresources.of_all {
        errors.extend(columns::subresource_errors(subresources, "spec.subresources"));
    }
    errors.extend(columns::column_errors(parts.columns.of_all, "spec.additionalPrinterColumns"));
    if let Some(fields) = parts.selectable.of_all {
        let place = "spec.selectableFields";
        match parts.schema.of_all {
            None => {
                let detail = "may only be set when validations.schema is included";
                errors.push(FieldError::invalid_text(place, "", detail));
            }
            Some(schema) => {
                errors.extend(columns::selectable_errors(fields, &schema["openAPIV3Schema"], place));
            }
        }
    }
    errors.extend(conversion::validate(&spec["conversion"], old));
    errors
}

fn group_and_scope(spec: &Value) -> Vec<FieldError> {
    let mut errors = Vec::new();
    let group = text(&spec["group"]);
    let wrong = names::subdomain(group);
    if group.is_empty() {
        errors.push(FieldError::required("spec.group", ""));
    } else if !wrong.is_empty() {
        errors.push(FieldError::invalid_text("spec.group", group, &wrong.join(",")));
    } else if !group.contains('.') {
        errors.push(FieldError::invalid_text(
            "spec.group",
            group,
            "should be a domain with at least one dot",
        ));
    }
    match text(&spec["scope"]) {
        "" => errors.push(FieldError::required("spec.scope", "")),
        "Cluster" | "Namespaced" => {}
        _ => {
            let supported = ["Cluster", "Namespaced"].map(str::to_owned);
            errors.push(FieldError::not_supported("spec.scope", &spec["scope"], &supported));
        }
    }
    errors
}

fn version_errors(parts: &Parts<'_>, index: usize, version: &Value) -> Vec<FieldError> {
    let place = format!("spec.versions[{index}]");
    let mut errors = Vec::new();
    let name = text(&version["name"]);
    let wrong = names::label_1035(name);
    if !wrong.is_empty() {
        errors.push(FieldError::invalid_text(format!("{place}.name"), name, &wrong.join(",")));
    }
    errors.extend(deprecation_errors(version, &format!("{place}.deprecationWarning")));
    let schema = parts.schema.of_version(index);
    if let Some(schema) = schema {
        errors.extend(schema::validate(schema, &format!("{place}.schema"), parts.has_status(index)));
    }
    if let Some(subresources) = parts.subresources.of_version(index) {
        errors.extend(columns::subresource_errors(subresources, &format!("{place}.subresources")));
    }
    let own_columns = parts.columns.of_version(index);
    errors.extend(columns::column_errors(own_columns, &format!("{place}.additionalPrinterColumns")));
    if let Some(fields) = parts.selectable.of_version(index) {
        let place = format!("{place}.selectableFields");
        match schema.map(|schema| &schema["openAPIV3Schema"]).filter(|schema| schema.is_object()) {
            None => {
                let detail = "may only be set when `version.schema.openAPIV3Schema` is not included";
                errors.push(FieldError::invalid_text(place, "", detail));
            }
            Some(schema) => errors.extend(columns::selectable_errors(fields, schema, &place)),
        }
    }
    errors
}

fn deprecation_errors(version: &Value, place: &str) -> Vec<FieldError> {
    let Some(warning) = version["deprecationWarning"].as_str() else { return Vec::new() };
    let invalid = |detail: &str| FieldError::invalid_text(place, warning, detail);
    if version["deprecated"] != true {
        return vec![invalid("can only be set for deprecated versions")];
    }
    let mut errors = Vec::new();
    if warning.len() > 256 {
        errors.push(invalid("must be <= 256 characters long"));
    }
    if warning.is_empty() {
        errors.push(invalid("must not be an empty string"));
    }
    if let Some((index, _)) = warning.char_indices().find(|(_, c)| !print::is_printable(*c)) {
        let what = "must only contain printable UTF-8 characters; non-printable character found at index";
        errors.push(invalid(&format!("{what} {index}")));
    }
    errors
}

/// What must hold of the versions together.
fn of_all_versions(spec: &Value, parts: &Parts<'_>) -> Vec<FieldError> {
    let versions = list(&spec["versions"]);
    let mut errors = Vec::new();
    let mut invalid = |detail: &str| {
        errors.push(FieldError::invalid_printed("spec.versions", &printed::versions(spec, parts), detail));
    };
    let mut seen = HashSet::new();
    if !versions.iter().all(|version| seen.insert(text(&version["name"]))) {
        invalid("must contain unique version names");
    }
    if versions.iter().filter(|version| version["storage"] == true).count() != 1 {
        invalid("must have exactly one version marked as storage version");
    }
    errors
}

/// What is wrong with the form of names, be they asked for or accepted.
pub(super) fn name_errors(names: &Value, place: &str) -> Vec<FieldError> {
    let mut errors = Vec::new();
    for field in ["plural", "singular"] {
        errors.extend(label_error(text(&names[field]), &format!("{place}.{field}")));
    }
    for field in ["kind", "listKind"] {
        let name = text(&names[field]);
        let wrong = names::label_1035(&name.to_lowercase());
        if !name.is_empty() && !wrong.is_empty() {
            let detail = format!("may have mixed case, but should otherwise match: {}", wrong.join(","));
            errors.push(FieldError::invalid_text(format!("{place}.{field}"), name, &detail));
        }
    }
    errors.extend(all_labels(&names["shortNames"], &format!("{place}.shortNames")));
    let kind = text(&names["kind"]);
    if !kind.is_empty() && names["kind"] == names["listKind"] {
        let detail = "kind and listKind may not be the same";
        errors.push(FieldError::invalid_text(format!("{place}.listKind"), kind, detail));
    }
    errors.extend(all_labels(&names["categories"], &format!("{place}.categories")));
    errors
}

fn all_labels(names: &Value, place: &str) -> Vec<FieldError> {
    let names = list(names).iter().enumerate();
    names
        .filter_map(|(index, name)| {
            let wrong = names::label_1035(text(name));
            let field = || format!("{place}[{index}]");
            (!wrong.is_empty()).then(|| FieldError::invalid_text(field(), text(name), &wrong.join(",")))
        })
        .collect()
}

fn label_error(name: &str, place: &str) -> Option<FieldError> {
    let wrong = names::label_1035(name);
    (!name.is_empty() && !wrong.is_empty()).then(|| FieldError::invalid_text(place, name, &wrong.join(",")))
}
