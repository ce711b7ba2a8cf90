//! Defaults must be what the schema that they stand in would accept.

use serde_json::Value;

use super::schema::is_true;
use crate::schema::{FieldError, Schema, text as print};

/// What is wrong with the defaults of a structural schema.
pub(super) fn validate(schema: &Value, place: &str) -> Vec<FieldError> {
    let mut errors = Vec::new();
    visit(schema, place, true, &mut errors);
    errors
}

fn visit(schema: &Value, place: &str, is_resource: bool, errors: &mut Vec<FieldError>) {
    let default = &schema["default"];
    if !default.is_null() {
        errors.extend(default_errors(schema, default, &format!("{place}.default")));
    }
    if schema["items"].is_object() {
        visit(&schema["items"], &format!("{place}.items"), false, errors);
    }
    for (name, property) in schema["properties"].as_object().into_iter().flatten() {
        // What every object has is judged as such wherever objects are.
        if !(is_resource && matches!(name.as_str(), "metadata" | "apiVersion" | "kind")) {
            let is_resource = is_true(&property["x-kubernetes-embedded-resource"]);
            visit(property, &format!("{place}.properties[{name}]"), is_resource, errors);
        }
    }
}

fn default_errors(schema: &Value, default: &Value, place: &str) -> Vec<FieldError> {
    // A schema that does not parse says so itself.
    let Ok(schema) = Schema::parse_part(schema) else { return Vec::new() };
    let mut errors = Vec::new();
    let mut pruned = default.clone();
    if default.is_object() || default.is_array() {
        schema.drop_unknown(&mut pruned);
        if pruned != *default {
            let shown = print::json(default);
            errors.push(FieldError::invalid_printed(place, &shown, "must not have unknown fields"));
        }
    }
    errors.extend(schema.judge_value(default).into_iter().map(|error| error.below(place)));
    errors
}
