//! Structural schemas: every field is described outside of `allOf` and its kin, and what is inside only restricts.

use serde_json::Value;

use super::list;
use super::schema::is_true;
use super::text;
use crate::schema::{FieldError, pattern_problem};

#[derive(Clone, Copy, PartialEq, Eq)]
enum Level {
    Root,
    Item,
    Field,
}

const NESTED: [&str; 3] = ["anyOf", "allOf", "oneOf"];

/// Why a schema has no structure at all.
pub(super) fn problem(schema: &Value) -> Option<String> {
    let fields = schema.as_object()?;
    for (keyword, named) in [
        ("id", "id"),
        ("$schema", "schema"),
        ("$ref", "$ref"),
        ("patternProperties", "patternProperties"),
        ("dependencies", "dependencies"),
        ("additionalItems", "additionalItems"),
        ("definitions", "definitions"),
    ] {
        let is_empty = |value: &Value| {
            value.is_null() || value == "" || value.as_object().is_some_and(serde_json::Map::is_empty)
        };
        if fields.get(keyword).is_some_and(|value| !is_empty(value)) {
            return Some(format!("OpenAPIV3Schema '{named}' is not supported"));
        }
    }
    if schema["items"].is_array() {
        return Some("OpenAPIV3Schema 'items' must be a schema, but is an array".to_owned());
    }
    children(schema).find_map(problem)
}

fn children(schema: &Value) -> impl Iterator<Item = &Value> {
    let properties = schema["properties"].as_object().into_iter().flat_map(|properties| properties.values());
    let nested = NESTED.into_iter().flat_map(|keyword| list(&schema[keyword]));
    let single = ["items", "additionalProperties", "not"].into_iter().map(|keyword| &schema[keyword]);
    properties.chain(nested).chain(single)
}

/// Where the schema is not structural; in the order of the texts.
pub(super) fn validate(schema: &Value, place: &str) -> Vec<FieldError> {
    let mut errors = Vec::new();
    invariants(schema, Level::Root, place, &mut errors);
    completeness(schema, Some(schema), place, place, &mut errors);
    errors.sort_by_cached_key(ToString::to_string);
    errors
}

fn invariants(schema: &Value, level: Level, place: &str, errors: &mut Vec<FieldError>) {
    let field = |keyword: &str| format!("{place}.{keyword}");
    let kind = text(&schema["type"]);
    let flag = |keyword: &str| is_true(&schema[keyword]);
    let (int_or_string, embedded, preserves) = (
        flag("x-kubernetes-int-or-string"),
        flag("x-kubernetes-embedded-resource"),
        flag("x-kubernetes-preserve-unknown-fields"),
    );
    if schema["items"].is_object() {
        invariants(&schema["items"], Level::Item, &field("items"), errors);
    } else if kind == "array" {
        errors.push(FieldError::required(field("items"), "must be specified"));
    }
    for (name, property) in schema["properties"].as_object().into_iter().flatten() {
        invariants(property, Level::Field, &field(&format!("properties[{name}]")), errors);
    }
    let additional = &schema["additionalProperties"];
    if !additional.is_null() && level == Level::Root {
        errors.push(FieldError::forbidden(field("additionalProperties"), "must not be used at the root"));
    }
    if additional.is_object() {
        invariants(additional, Level::Field, &field("additionalProperties"), errors);
    }
    for (is_set, keyword) in
        [(preserves, "x-kubernetes-preserve-unknown-fields"), (embedded, "x-kubernetes-embedded-resource")]
    {
        if int_or_string && is_set {
            let detail = "must be false if x-kubernetes-int-or-string is true";
            errors.push(FieldError::invalid(field(keyword), &Value::Bool(true), detail));
        }
    }
    restrictions(schema, is_int_or_string(schema), level, place, errors);
    errors.extend(type_error(kind, level, embedded, int_or_string || preserves, place));
    if embedded && !additional.is_null() {
        let detail = "must not be used if x-kubernetes-embedded-resource is set";
        errors.push(FieldError::forbidden(field("additionalProperties"), detail));
    }
    if level == Level::Root && !matches!(kind, "" | "object") {
        errors.push(FieldError::invalid_text(field("type"), kind, "must be object at the root"));
    }
    metadata(schema, level, embedded, place, errors);
    let is_bare = schema["properties"].as_object().is_none_or(serde_json::Map::is_empty);
    if embedded && !preserves && is_bare {
        let detail = "must not be empty if x-kubernetes-embedded-resource is true without x-kubernetes-preserve-unknown-fields";
        errors.push(FieldError::required(field("properties"), detail));
    }
}

fn type_error(
    kind: &str,
    level: Level,
    embedded: bool,
    may_be_empty: bool,
    place: &str,
) -> Option<FieldError> {
    let field = format!("{place}.type");
    if embedded && kind != "object" {
        let detail = "must be object if x-kubernetes-embedded-resource is true";
        return Some(match kind {
            "" => FieldError::required(field, detail),
            other => FieldError::invalid_text(field, other, detail),
        });
    }
    let detail = match level {
        Level::Root => "must not be empty at the root",
        Level::Item => "must not be empty for specified array items",
        Level::Field => "must not be empty for specified object fields",
    };
    (kind.is_empty() && !may_be_empty).then(|| FieldError::required(field, detail))
}

/// What every object has can be described in few ways only.
fn metadata(schema: &Value, level: Level, embedded: bool, place: &str, errors: &mut Vec<FieldError>) {
    let is_object = level == Level::Root || embedded;
    let properties = &schema["properties"];
    for name in ["kind", "apiVersion"] {
        let property = &properties[name];
        if is_object && property.is_object() && property["type"] != "string" {
            let field = format!("{place}.properties[{name}].type");
            errors.push(FieldError::invalid_text(field, text(&property["type"]), "must be string"));
        }
    }
    let Some(metadata) = properties["metadata"].as_object() else { return };
    let place = format!("{place}.properties[metadata]");
    if is_object && properties["metadata"]["type"] != "object" {
        let kind = text(&properties["metadata"]["type"]);
        errors.push(FieldError::invalid_text(format!("{place}.type"), kind, "must be object"));
    }
    let is_allowed = |(keyword, value): (&String, &Value)| match keyword.as_str() {
        "type" | "default" => true,
        "properties" => value
            .as_object()
            .is_some_and(|names| names.keys().all(|name| matches!(name.as_str(), "name" | "generateName"))),
        _ => matches!(value, Value::Null | Value::Bool(false)) || *value == "",
    };
    if level == Level::Root && !metadata.iter().all(is_allowed) {
        let detail = "must not specify anything other than name and generateName, but metadata is implicitly specified";
        errors.push(FieldError::forbidden(place, detail));
    }
}

/// The branches by which int-or-string is written out, which alone may name types.
fn is_int_or_string(schema: &Value) -> IntOrString {
    let is_pattern = |branches: &Value| {
        let types: Vec<&str> = list(branches)
            .iter()
            .filter(|branch| branch.as_object().is_some_and(|fields| fields.len() == 1))
            .map(|branch| text(&branch["type"]))
            .collect();
        list(branches).len() == 2 && types == ["integer", "string"]
    };
    IntOrString {
        here: is_pattern(&schema["anyOf"]),
        in_first: list(&schema["allOf"]).first().is_some_and(|first| is_pattern(&first["anyOf"])),
    }
}

#[derive(Clone, Copy, Default)]
struct IntOrString {
    here: bool,
    in_first: bool,
}

/// What restricts values, be it beside the structure or inside `allOf` and its kin.
fn restrictions(schema: &Value, skip: IntOrString, level: Level, place: &str, errors: &mut Vec<FieldError>) {
    for keyword in NESTED {
        if keyword == "anyOf" && skip.here {
            continue;
        }
        for (index, branch) in list(&schema[keyword]).iter().enumerate() {
            let here = keyword == "allOf" && index == 0 && skip.in_first;
            let skip = IntOrString { here, in_first: false };
            nested(branch, skip, level, &format!("{place}.{keyword}[{index}]"), errors);
        }
    }
    if schema["not"].is_object() {
        nested(&schema["not"], IntOrString::default(), level, &format!("{place}.not"), errors);
    }
    let pattern = text(&schema["pattern"]);
    if let Some(problem) = pattern_problem(pattern).filter(|_| !pattern.is_empty()) {
        let detail = format!("must be a valid regular expression, but isn't: {problem}");
        errors.push(FieldError::invalid_text(format!("{place}.pattern"), pattern, &detail));
    }
}

fn nested(schema: &Value, skip: IntOrString, level: Level, place: &str, errors: &mut Vec<FieldError>) {
    if !schema.is_object() {
        return;
    }
    restrictions(schema, skip, level, place, errors);
    nested(&schema["items"], IntOrString::default(), level, &format!("{place}.items"), errors);
    for (name, property) in schema["properties"].as_object().into_iter().flatten() {
        let place = format!("{place}.properties[{name}]");
        nested(property, IntOrString::default(), Level::Field, &place, errors);
    }
    for (keyword, must) in [
        ("type", "empty"),
        ("additionalProperties", "undefined"),
        ("default", "undefined"),
        ("title", "empty"),
        ("description", "empty"),
        ("nullable", "false"),
        ("x-kubernetes-preserve-unknown-fields", "false"),
        ("x-kubernetes-embedded-resource", "false"),
        ("x-kubernetes-int-or-string", "false"),
        ("x-kubernetes-list-map-keys", "empty"),
        ("x-kubernetes-list-type", "undefined"),
        ("x-kubernetes-map-type", "undefined"),
        ("x-kubernetes-validations", "empty"),
    ] {
        let value = &schema[keyword];
        let is_unset = match (must, value) {
            (_, Value::Null) => true,
            ("empty", value) => *value == "" || value.as_array().is_some_and(Vec::is_empty),
            ("false", value) => *value == false,
            _ => false,
        };
        if !is_unset {
            let detail = format!("must be {must} to be structural");
            errors.push(FieldError::forbidden(format!("{place}.{keyword}"), &detail));
        }
    }
    if !schema["properties"]["metadata"].is_null() {
        let detail = "must not be specified in a nested context";
        errors.push(FieldError::forbidden(format!("{place}.properties[metadata]"), detail));
    }
}

/// Every field that is restricted must be there in the structure.
fn completeness(
    restricting: &Value,
    structure: Option<&Value>,
    place: &str,
    from: &str,
    errors: &mut Vec<FieldError>,
) {
    let nested = NESTED.into_iter().flat_map(|keyword| {
        let branches = list(&restricting[keyword]).iter().enumerate();
        branches.map(move |(index, branch)| (branch, format!("{from}.{keyword}[{index}]")))
    });
    let not = Some((&restricting["not"], format!("{from}.not"))).filter(|(not, _)| not.is_object());
    for (branch, from) in not.into_iter().chain(nested) {
        nested_completeness(branch, structure, place, &from, errors);
    }
}

fn nested_completeness(
    branch: &Value,
    structure: Option<&Value>,
    place: &str,
    from: &str,
    errors: &mut Vec<FieldError>,
) {
    if !branch.is_object() {
        return;
    }
    let Some(there) = structure.filter(|structure| structure.is_object()) else {
        errors.push(FieldError::required(place, &format!("because it is defined in {from}")));
        return;
    };
    completeness(branch, structure, place, from, errors);
    nested_completeness(
        &branch["items"],
        Some(&there["items"]),
        &format!("{place}.items"),
        &format!("{from}.items"),
        errors,
    );
    for (name, property) in branch["properties"].as_object().into_iter().flatten() {
        let (place, from) = (format!("{place}.properties[{name}]"), format!("{from}.properties[{name}]"));
        nested_completeness(property, Some(&there["properties"][name]), &place, &from, errors);
    }
}
