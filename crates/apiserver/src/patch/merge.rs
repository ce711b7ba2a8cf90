//! JSON merge patch, RFC 7386.

use super::PatchError;
use serde_json::{Map, Value};
use std::collections::HashSet;

/// Lays a patch over an object; `null` removes.
pub fn merge(object: &Value, patch: &Value) -> Result<Value, PatchError> {
    let changes = match patch {
        Value::Object(changes) => changes,
        Value::Null => return Err(PatchError::BadRequest("Invalid JSON Patch".to_owned())),
        other => {
            let got = json_type(other);
            return Err(PatchError::BadRequest(format!(
                "error decoding patch: json: cannot unmarshal {got} into Go value of type map[string]interface {{}}"
            )));
        }
    };
    let mut merged = match object {
        Value::Object(fields) => fields.clone(),
        _ => Map::new(),
    };
    merge_map(&mut merged, changes);
    Ok(Value::Object(merged))
}

/// How a decoder names what it found.
pub(super) fn json_type(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "bool",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

fn merge_map(fields: &mut Map<String, Value>, changes: &Map<String, Value>) {
    let gone: HashSet<&str> =
        changes.iter().filter(|(_, change)| change.is_null()).map(|(name, _)| name.as_str()).collect();
    if !gone.is_empty() {
        fields.retain(|name, _| !gone.contains(name.as_str()));
    }
    for (name, change) in changes.iter().filter(|(_, change)| !change.is_null()) {
        match (fields.get_mut(name), change) {
            (Some(Value::Object(inner)), Value::Object(changes)) => merge_map(inner, changes),
            // The one place where `null` inside a list stays; whoever relies on it has seen it elsewhere.
            (Some(Value::Object(_)), Value::Array(_)) => {
                fields.insert(name.clone(), change.clone());
            }
            _ => {
                fields.insert(name.clone(), without_nulls(change));
            }
        }
    }
}

fn without_nulls(value: &Value) -> Value {
    match value {
        Value::Object(fields) => {
            let kept = fields.iter().filter(|(_, value)| !value.is_null());
            Value::Object(kept.map(|(name, value)| (name.clone(), without_nulls(value))).collect())
        }
        Value::Array(items) => Value::Array(items.iter().map(without_nulls).collect()),
        scalar => scalar.clone(),
    }
}
