//! Keys and sizes of what Secrets and ConfigMaps hold.

use crate::schema::FieldError;
use serde_json::{Map, Value};

/// What all values of one object may be long, together.
pub(super) const DATA_BYTES_MAX: i64 = 1 << 20;

const KEY_SENTENCE: &str = "a valid config key must consist of alphanumeric characters, '-', '_' or '.' (e.g. \
     'key.name',  or 'KEY_NAME',  or 'key-name', regex used for validation is '[-._a-zA-Z0-9]+')";
const IMMUTABLE: &str = "field is immutable when `immutable` is set";

/// The entries of a map of the object, none if it is no map.
pub(super) fn entries<'a>(
    object: &'a Value,
    field: &str,
) -> impl Iterator<Item = (&'a str, &'a str)> + use<'a> {
    let entries = object.get(field).and_then(Value::as_object).into_iter().flatten();
    entries.map(|(key, value)| (key.as_str(), value.as_str().unwrap_or_default()))
}

/// What is wrong with a key of `field`.
pub(super) fn errors(field: &str, key: &str) -> Vec<FieldError> {
    let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-._".contains(&byte);
    let rules = [
        (key.len() > 253, "must be no more than 253 characters"),
        (key.is_empty() || !key.bytes().all(is_allowed), KEY_SENTENCE),
        (key == ".", "must not be '.'"),
        (key == "..", "must not be '..'"),
        (key.len() > 2 && key.starts_with(".."), "must not start with '..'"),
    ];
    let broken = rules.into_iter().filter(|(is_broken, _)| *is_broken);
    broken.map(|(_, detail)| FieldError::invalid_text(format!("{field}[{key}]"), key, detail)).collect()
}

/// How many bytes a value in base64 stands for.
pub(super) fn decoded_bytes(base64: &str) -> usize {
    let digits = base64.bytes().filter(|byte| !matches!(byte, b'=' | b'\r' | b'\n')).count();
    digits * 3 / 4
}

/// What is wrong with how an object changed that was declared immutable.
pub(super) fn immutable_errors(object: &Value, old: &Value, fields: &[&str]) -> Vec<FieldError> {
    let is_immutable = |object: &Value| object.get("immutable").and_then(Value::as_bool).unwrap_or_default();
    if !is_immutable(old) {
        return Vec::new();
    }
    let empty = Map::new();
    let map =
        |object: &Value, field: &str| object.get(field).and_then(Value::as_object).unwrap_or(&empty).clone();
    let changed = fields.iter().filter(|field| map(object, field) != map(old, field));
    let dropped = (!is_immutable(object)).then_some(&"immutable");
    dropped.into_iter().chain(changed).map(|field| FieldError::forbidden(*field, IMMUTABLE)).collect()
}
