//! `openAPIV3Schema`: what OpenAPI knows and a definition must not say, and what extensions ask of each other.

use serde_json::{Map, Value};

use super::{defaults, list, rules, structural, text};
use crate::schema::{FieldError, Schema, text as print};

const TYPES: [&str; 6] = ["array", "boolean", "integer", "number", "object", "string"];
/// What the schema of a kind with a status subresource may have at its root, as errors list it.
const AT_ROOT: &str = "[Description Type Format Title Maximum ExclusiveMaximum Minimum ExclusiveMinimum MaxLength \
     MinLength Pattern MaxItems MinItems UniqueItems MultipleOf Required Items Properties ExternalDocs Example \
     XPreserveUnknownFields XValidations]";
/// What it may not have there; all else is unknown or may.
const NOT_AT_ROOT: [&str; 22] = [
    "$ref",
    "$schema",
    "additionalItems",
    "additionalProperties",
    "allOf",
    "anyOf",
    "default",
    "definitions",
    "dependencies",
    "enum",
    "id",
    "maxProperties",
    "minProperties",
    "not",
    "nullable",
    "oneOf",
    "patternProperties",
    "x-kubernetes-embedded-resource",
    "x-kubernetes-int-or-string",
    "x-kubernetes-list-map-keys",
    "x-kubernetes-list-type",
    "x-kubernetes-map-type",
];
const FORBIDDEN: [&str; 6] =
    ["id", "additionalItems", "patternProperties", "definitions", "dependencies", "$ref"];
/// Formats of texts that mean something; dashes in them do not count.
const TEXT_FORMATS: [&str; 26] = [
    "bsonobjectid",
    "uri",
    "email",
    "hostname",
    "ipv4",
    "ipv6",
    "cidr",
    "mac",
    "uuid",
    "uuid3",
    "uuid4",
    "uuid5",
    "isbn",
    "isbn10",
    "isbn13",
    "creditcard",
    "ssn",
    "hexcolor",
    "rgbcolor",
    "byte",
    "password",
    "date",
    "duration",
    "datetime",
    "k8sshortname",
    "k8slongname",
];
const NESTED: [&str; 3] = ["allOf", "oneOf", "anyOf"];

/// Everything that is wrong with the schema of a version, or with the one of all versions.
pub(super) fn validate(validation: &Value, validation_place: &str, has_status: bool) -> Vec<FieldError> {
    let schema = &validation["openAPIV3Schema"];
    let Some(fields) = schema.as_object() else { return Vec::new() };
    let place = format!("{validation_place}.openAPIV3Schema");
    let mut errors = Vec::new();
    if has_status {
        errors.extend(root_error(fields, &place));
    }
    if is_true(&schema["nullable"]) {
        errors
            .push(FieldError::forbidden(format!("{place}.nullable"), "nullable cannot be true at the root"));
    }
    let structure = structural::problem(schema);
    let mut is_sound = false;
    if structure.is_none() {
        let mut found = structural::validate(schema, &place);
        if found.is_empty() {
            found = defaults::validate(schema, &place);
            is_sound = found.is_empty();
        }
        errors.extend(found);
    }
    let mut walk = Walk { schema_errors: Vec::new(), judges_rules: is_sound, rule_errors: Vec::new() };
    walk.visit(schema, &place, &Within { is_root: true, ..Within::default() });
    errors.extend(walk.schema_errors);
    errors.extend(walk.rule_errors);
    if let Some(problem) = structure.filter(|_| errors.is_empty()) {
        errors.push(FieldError::invalid_text(place, "", &problem));
    } else if errors.is_empty()
        && let Err(problem) = Schema::parse(schema)
    {
        let detail = format!("error building validator: {problem}");
        errors.push(FieldError::invalid_text(validation_place, "", &detail));
    }
    errors
}

/// The formats in the schemas of a definition that mean nothing.
pub(super) fn unknown_formats(definition: &Value) -> Vec<String> {
    let parts = super::spec::Parts::of(&definition["spec"]);
    let mut found = Vec::new();
    let versions = list(&definition["spec"]["versions"]);
    let own = (0..versions.len()).filter_map(|index| parts.schema.of_version(index));
    for schema in parts.schema.of_all.into_iter().chain(own) {
        collect_unknown_formats(&schema["openAPIV3Schema"], &mut found);
    }
    found
}

fn collect_unknown_formats(schema: &Value, found: &mut Vec<String>) {
    let Some(fields) = schema.as_object() else { return };
    let format = text(&schema["format"]);
    let is_known = match text(&schema["type"]) {
        "" | "string" => TEXT_FORMATS.contains(&format.replace('-', "").as_str()),
        "integer" => matches!(format, "int32" | "int64"),
        "number" => matches!(format, "float" | "double"),
        _ => false,
    };
    if !format.is_empty() && !is_known {
        found.push(format.to_owned());
    }
    for (keyword, value) in fields {
        match (keyword.as_str(), value) {
            ("properties", Value::Object(properties)) => {
                properties.values().for_each(|schema| collect_unknown_formats(schema, found));
            }
            ("allOf" | "anyOf" | "oneOf", Value::Array(branches)) => {
                branches.iter().for_each(|schema| collect_unknown_formats(schema, found));
            }
            ("items" | "additionalProperties" | "not", schema) => collect_unknown_formats(schema, found),
            _ => {}
        }
    }
}

/// The status is judged by its own part of the schema, so nothing at the root may be about it.
fn root_error(fields: &Map<String, Value>, place: &str) -> Option<FieldError> {
    let kind = fields.get("type").map(text).unwrap_or_default();
    if !matches!(kind, "" | "object") {
        let detail = "only \"object\" is allowed as the type at the root of the schema if the status subresource is enabled";
        return Some(FieldError::invalid_text(format!("{place}.type"), kind, detail));
    }
    let is_set = |keyword: &&str| {
        fields.get(*keyword).is_some_and(|value| !matches!(value, Value::Null | Value::Bool(false)))
    };
    NOT_AT_ROOT.iter().find(|keyword| is_set(keyword))?;
    let detail = format!(
        "only {AT_ROOT} fields are allowed at the root of the schema if the status subresource is enabled"
    );
    Some(FieldError::invalid_printed(place, &print::json(&Value::Object(fields.clone())), &detail))
}

/// What is known of the schemas above one.
#[derive(Clone, Default)]
struct Within {
    is_root: bool,
    /// Inside the schema of some object's apiVersion, kind or metadata.
    is_metadata: bool,
    /// Why there must be no default.
    no_default: Option<String>,
    /// The nearest place above whose parts cannot be told from one update to the next.
    uncorrelatable: Option<String>,
    /// Rules are read along the structure only, not inside `allOf` and its kin.
    is_nested: bool,
}

struct Walk {
    schema_errors: Vec<FieldError>,
    /// Rules are judged only where the structure is sound.
    judges_rules: bool,
    rule_errors: Vec<FieldError>,
}

impl Walk {
    fn visit(&mut self, schema: &Value, place: &str, within: &Within) {
        if !schema.is_object() {
            return;
        }
        let errors_before = self.schema_errors.len();
        self.schema_errors.extend(keyword_errors(schema, place, within));
        self.children(schema, place, within);
        let nested = Within { is_nested: true, ..within.clone() };
        let nested = Within { is_root: false, ..nested };
        self.visit(&schema["not"], &format!("{place}.not"), &nested);
        for keyword in NESTED {
            for (index, branch) in list(&schema[keyword]).iter().enumerate() {
                self.visit(branch, &format!("{place}.{keyword}[{index}]"), &nested);
            }
        }
        let items = Within { is_root: false, ..within.clone() };
        let items = match text(&schema["x-kubernetes-list-type"]) {
            "map" => items,
            _ => items.uncorrelatable_from(place),
        };
        self.visit(&schema["items"], &format!("{place}.items"), &items);
        self.schema_errors.extend(extension_errors(schema, place));
        let found = rules::form_errors(schema, place);
        self.schema_errors.extend(found);
        let is_sound = self.schema_errors.len() == errors_before;
        if is_sound && self.judges_rules && !within.is_nested {
            let is_resource = within.is_root || is_true(&schema["x-kubernetes-embedded-resource"]);
            let found = rules::errors(schema, place, is_resource, within.uncorrelatable.as_deref());
            self.rule_errors.extend(found);
        }
    }

    fn children(&mut self, schema: &Value, place: &str, within: &Within) {
        let below = Within { is_root: false, ..within.clone() };
        if schema["additionalProperties"].is_object() {
            let mut below = below.clone();
            if within.is_metadata {
                below.no_default = Some("inside additionalProperties applying to object metadata".to_owned());
            }
            self.visit(&schema["additionalProperties"], &format!("{place}.additionalProperties"), &below);
        }
        let is_resource = within.is_root || is_true(&schema["x-kubernetes-embedded-resource"]);
        for (name, property) in schema["properties"].as_object().into_iter().flatten() {
            let mut below = below.clone();
            if text(&schema["x-kubernetes-map-type"]) == "atomic" {
                below = below.uncorrelatable_from(place);
            }
            if is_resource && matches!(name.as_str(), "metadata" | "kind" | "apiVersion") {
                below.is_metadata = true;
                if within.is_root {
                    below.no_default = Some(format!("in top-level {name}"));
                }
            }
            self.visit(property, &format!("{place}.properties[{name}]"), &below);
        }
    }
}

impl Within {
    fn uncorrelatable_from(mut self, place: &str) -> Within {
        self.uncorrelatable.get_or_insert_with(|| place.to_owned());
        self
    }
}

/// Keywords of OpenAPI that mean nothing here, or too much.
fn keyword_errors(schema: &Value, place: &str, within: &Within) -> Vec<FieldError> {
    let mut errors = Vec::new();
    let kind = text(&schema["type"]);
    if !kind.is_empty() && !TYPES.contains(&kind) {
        errors.push(FieldError::not_supported(
            format!("{place}.type"),
            &schema["type"],
            &TYPES.map(str::to_owned),
        ));
    }
    let mut forbidden = |keyword: &str, detail: &str| {
        errors.push(FieldError::forbidden(format!("{place}.{keyword}"), detail));
    };
    if let Some(reason) = within.no_default.as_ref().filter(|_| !schema["default"].is_null()) {
        forbidden("default", &format!("must not be set {reason}"));
    }
    for keyword in FORBIDDEN {
        let is_empty =
            |value: &Value| value.is_null() || value == "" || value.as_object().is_some_and(Map::is_empty);
        if !is_empty(&schema[keyword]) {
            forbidden(keyword, &format!("{keyword} is not supported"));
        }
    }
    if kind == "null" {
        forbidden("type", "type cannot be set to null, use nullable as an alternative");
    }
    if schema["items"].is_array() {
        forbidden("items", "items must be a schema object and not an array");
    }
    if within.is_metadata && is_true(&schema["x-kubernetes-embedded-resource"]) {
        forbidden("x-kubernetes-embedded-resource", "must not be used inside of resource meta");
    }
    if is_true(&schema["uniqueItems"]) {
        forbidden(
            "uniqueItems",
            "uniqueItems cannot be set to true since the runtime complexity becomes quadratic",
        );
    }
    let has_properties = schema["properties"].as_object().is_some_and(|properties| !properties.is_empty());
    if has_properties
        && (schema["additionalProperties"].is_object() || schema["additionalProperties"] == false)
    {
        forbidden("additionalProperties", "additionalProperties and properties are mutual exclusive");
    }
    errors
}

/// The extensions of Kubernetes, each with what it asks of the keywords around it.
fn extension_errors(schema: &Value, place: &str) -> Vec<FieldError> {
    let mut errors = Vec::new();
    let preserve = &schema["x-kubernetes-preserve-unknown-fields"];
    if *preserve == false {
        let field = format!("{place}.x-kubernetes-preserve-unknown-fields");
        errors.push(FieldError::invalid(field, preserve, "must be true or undefined"));
    }
    for (keyword, wanted, values) in [
        ("x-kubernetes-map-type", "object", &["atomic", "granular"][..]),
        ("x-kubernetes-list-type", "array", &["atomic", "map", "set"][..]),
    ] {
        let Some(value) = schema[keyword].as_str() else { continue };
        let detail = format!("must be {wanted} if {keyword} is specified");
        match text(&schema["type"]) {
            "" => errors.push(FieldError::required(format!("{place}.type"), &detail)),
            kind if kind != wanted => {
                errors.push(FieldError::invalid_text(format!("{place}.type"), kind, &detail));
            }
            _ if keyword == "x-kubernetes-list-type" && value == "set" => {
                errors.extend(set_error(&schema["items"], place));
            }
            _ => {}
        }
        if !values.contains(&value) {
            let values: Vec<String> = values.iter().map(|&value| value.to_owned()).collect();
            errors.push(FieldError::not_supported(format!("{place}.{keyword}"), &schema[keyword], &values));
        }
    }
    errors.extend(list_map_errors(schema, place));
    errors.extend(key_errors(schema, place));
    errors
}

/// Items of a set are compared as a whole.
fn set_error(items: &Value, place: &str) -> Option<FieldError> {
    let detail = "must be atomic as item of a list with x-kubernetes-list-type=set";
    let list_type = &items["x-kubernetes-list-type"];
    let keyword = match text(&items["type"]) {
        "array" if !list_type.is_null() && *list_type != "atomic" => "x-kubernetes-list-type",
        "object" if items["x-kubernetes-map-type"] != "atomic" => "x-kubernetes-map-type",
        _ => return None,
    };
    // In both cases the error shows the type of the list.
    let shown = if list_type.is_null() { "null".to_owned() } else { print::bad_value(list_type) };
    Some(FieldError::invalid_printed(format!("{place}.items.{keyword}"), &shown, detail))
}

fn list_map_errors(schema: &Value, place: &str) -> Vec<FieldError> {
    let mut errors = Vec::new();
    let keys = &schema["x-kubernetes-list-map-keys"];
    let list_type = &schema["x-kubernetes-list-type"];
    let field = |keyword: &str| format!("{place}.{keyword}");
    if !list(keys).is_empty() && *list_type != "map" {
        let (field, detail) =
            (field("x-kubernetes-list-type"), "must be map if x-kubernetes-list-map-keys is non-empty");
        errors.push(match list_type.as_str() {
            None => FieldError::required(field, detail),
            Some(other) => FieldError::invalid_text(field, other, detail),
        });
    }
    if *list_type != "map" {
        return errors;
    }
    if list(keys).is_empty() {
        let detail = "must not be empty if x-kubernetes-list-type is map";
        errors.push(FieldError::required(field("x-kubernetes-list-map-keys"), detail));
    }
    let items = &schema["items"];
    if items.is_null() {
        let detail = "must have a schema if x-kubernetes-list-type is map";
        errors.push(FieldError::required(field("items"), detail));
    } else if items["type"] != "object" {
        let detail = "must be object if parent array's x-kubernetes-list-type is map";
        errors.push(FieldError::invalid_text(field("items.type"), text(&items["type"]), detail));
    } else {
        for (index, key) in list(keys).iter().enumerate() {
            let keys_error =
                |detail: &str| FieldError::invalid(field("x-kubernetes-list-map-keys"), keys, detail);
            let property = &items["properties"][text(key)];
            if property.is_null() {
                errors.push(keys_error("entries must all be names of item properties"));
            } else if matches!(text(&property["type"]), "array" | "object") {
                let detail = "must be a scalar type if parent array's x-kubernetes-list-type is map";
                let field = field(&format!("items.properties[{}].type", text(key)));
                errors.push(FieldError::invalid_text(field, text(&items["type"]), detail));
            }
            if list(keys)[..index].contains(key) {
                errors.push(keys_error("must not contain duplicate entries"));
            }
        }
    }
    errors
}

/// Keys must be there, and items must not be `null`.
fn key_errors(schema: &Value, place: &str) -> Vec<FieldError> {
    let mut errors = Vec::new();
    let list_type = text(&schema["x-kubernetes-list-type"]);
    let items = &schema["items"];
    if !items.is_object() || !matches!(list_type, "set" | "map") {
        return errors;
    }
    if is_true(&items["nullable"]) {
        let detail = format!("cannot be nullable when x-kubernetes-list-type is {list_type}");
        errors.push(FieldError::forbidden(format!("{place}.items.nullable"), &detail));
    }
    for key in list(&schema["x-kubernetes-list-map-keys"]).iter().filter(|_| list_type == "map") {
        let property = &items["properties"][text(key)];
        let field = |keyword: &str| format!("{place}.items.properties[{}].{keyword}", text(key));
        if property.is_null() {
            continue;
        }
        if !list(&items["required"]).contains(key) && property["default"].is_null() {
            let detail = "this property is in x-kubernetes-list-map-keys, so it must have a default or be a required property";
            errors.push(FieldError::required(field("default"), detail));
        }
        if is_true(&property["nullable"]) {
            let detail = "this property is in x-kubernetes-list-map-keys, so it cannot be nullable";
            errors.push(FieldError::forbidden(field("nullable"), detail));
        }
    }
    errors
}

pub(super) fn is_true(value: &Value) -> bool {
    *value == true
}
