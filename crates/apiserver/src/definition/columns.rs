//! Printer columns, selectable fields and subresources: paths into the objects of a definition.

use std::collections::HashSet;

use serde_json::Value;

use super::{list, text};
use crate::schema::FieldError;

const COLUMN_TYPES: [&str; 5] = ["boolean", "date", "integer", "number", "string"];
const COLUMN_FORMATS: [&str; 8] =
    ["byte", "date", "date-time", "double", "float", "int32", "int64", "password"];
/// Fields of one version that may be selected by.
const SELECTABLE_FIELDS_MAX: i64 = 8;

pub(super) fn column_errors(columns: Option<&Value>, place: &str) -> Vec<FieldError> {
    let mut errors = Vec::new();
    for (index, column) in columns.map(list).unwrap_or_default().iter().enumerate() {
        let place = format!("{place}[{index}]");
        if text(&column["name"]).is_empty() {
            errors.push(FieldError::required(format!("{place}.name"), ""));
        }
        let types = format!("must be one of {}", COLUMN_TYPES.join(","));
        match text(&column["type"]) {
            "" => errors.push(FieldError::required(format!("{place}.type"), &types)),
            known if COLUMN_TYPES.contains(&known) => {}
            other => errors.push(FieldError::invalid_text(format!("{place}.type"), other, &types)),
        }
        let format = text(&column["format"]);
        if !format.is_empty() && !COLUMN_FORMATS.contains(&format) {
            let detail = format!("must be one of {}", COLUMN_FORMATS.join(","));
            errors.push(FieldError::invalid_text(format!("{place}.format"), format, &detail));
        }
        errors.extend(path_error(text(&column["jsonPath"]), &format!("{place}.JSONPath"), &[]));
    }
    errors
}

pub(super) fn subresource_errors(subresources: &Value, place: &str) -> Vec<FieldError> {
    let scale = &subresources["scale"];
    if !scale.is_object() {
        return Vec::new();
    }
    let mut errors = Vec::new();
    for (field, below) in [("specReplicasPath", ".spec."), ("statusReplicasPath", ".status.")] {
        errors.extend(path_error(text(&scale[field]), &format!("{place}.scale.{field}"), &[below]));
    }
    let selector = text(&scale["labelSelectorPath"]);
    if !selector.is_empty() {
        let place = format!("{place}.scale.labelSelectorPath");
        errors.extend(path_error(selector, &place, &[".spec.", ".status."]));
    }
    errors
}

/// A path in the notation with dots, below one of these fields.
fn path_error(path: &str, place: &str, below: &[&str]) -> Option<FieldError> {
    if path.is_empty() {
        return Some(FieldError::required(place, ""));
    }
    if !path.starts_with('.') {
        return Some(FieldError::invalid_text(place, path, "must be a simple json path starting with ."));
    }
    let detail = match below {
        [single] => format!("should be a json path under {}", single.trim_end_matches('.')),
        _ => "should be a json path under either .spec or .status".to_owned(),
    };
    let is_below = below.is_empty() || below.iter().any(|below| path.starts_with(below));
    (!is_below).then(|| FieldError::invalid_text(place, path, &detail))
}

pub(super) fn selectable_errors(fields: &Value, schema: &Value, place: &str) -> Vec<FieldError> {
    let mut errors = Vec::new();
    let mut seen = HashSet::new();
    for (index, field) in list(fields).iter().enumerate() {
        let (place, path) = (format!("{place}[{index}].jsonPath"), text(&field["jsonPath"]));
        if path.is_empty() {
            errors.push(FieldError::required(place, ""));
            continue;
        }
        let (names, found) = match follow(path, schema) {
            Ok(found) => found,
            Err(problem) => {
                let detail = format!("is an invalid path: {problem}");
                errors.push(FieldError::invalid_text(place, path, &detail));
                continue;
            }
        };
        if names.first().is_some_and(|name| name == "metadata") {
            errors.push(FieldError::invalid_text(&place, path, "must not point to fields in metadata"));
        }
        if !matches!(text(&found["type"]), "string" | "boolean" | "integer") {
            let detail = "must point to a field of type string, boolean or integer. Enum string fields and strings \
                          with formats are allowed.";
            errors.push(FieldError::invalid_text(&place, path, detail));
        }
        if !seen.insert(names) {
            errors.push(FieldError::duplicate(place, &field["jsonPath"]));
        }
    }
    if seen.len() as i64 > SELECTABLE_FIELDS_MAX {
        errors.push(FieldError::too_many(place, seen.len(), SELECTABLE_FIELDS_MAX));
    }
    errors
}

/// The names along a path, and the schema at its end.
fn follow<'a>(path: &str, schema: &'a Value) -> Result<(Vec<String>, &'a Value), String> {
    if path.contains('[') {
        return Err("array notation is not allowed".to_owned());
    }
    let Some(rest) = path.strip_prefix('.') else {
        return Err(format!("expected [ or . but got: {}", path.split('.').next().unwrap_or_default()));
    };
    let (mut names, mut here) = (Vec::new(), schema);
    for name in rest.split('.') {
        if name.is_empty() {
            return Err("unexpected end of JSON path".to_owned());
        }
        here = match (&here["properties"], &here["additionalProperties"]) {
            (Value::Object(properties), _) if !properties.is_empty() => {
                properties.get(name).ok_or("does not refer to a valid field")?
            }
            (_, entry @ Value::Object(_)) => entry,
            _ => return Err("does not refer to a valid field".to_owned()),
        };
        names.push(name.to_owned());
    }
    Ok((names, here))
}
