//! ConfigMaps: which keys they may have, and that immutable ones stay what they are.

use super::{Refusal, accept, keys};
use crate::schema::{FieldError, metadata};
use serde_json::Value;

/// What is wrong with a ConfigMap that is to be created, or to replace `old`.
pub fn validate(object: &Value, old: Option<&Value>) -> Result<(), Refusal> {
    let mut errors = match old {
        None => metadata::validate(object, true),
        Some(old) => {
            let mut errors = metadata::validate_update(object, old);
            errors.extend(keys::immutable_errors(object, old, &["data", "binaryData"]));
            errors.extend(metadata::validate(object, true));
            errors
        }
    };
    errors.extend(data_errors(object));
    accept(errors)
}

fn data_errors(object: &Value) -> Vec<FieldError> {
    let mut errors = Vec::new();
    let mut bytes = 0;
    for (key, value) in keys::entries(object, "data") {
        errors.extend(keys::errors("data", key));
        if keys::entries(object, "binaryData").any(|(other, _)| other == key) {
            let detail = "duplicate of key present in binaryData";
            errors.push(FieldError::invalid_text(format!("data[{key}]"), key, detail));
        }
        bytes += value.len();
    }
    for (key, value) in keys::entries(object, "binaryData") {
        errors.extend(keys::errors("binaryData", key));
        bytes += keys::decoded_bytes(value);
    }
    if i64::try_from(bytes).is_ok_and(|bytes| bytes > keys::DATA_BYTES_MAX) {
        errors.push(FieldError::too_long("[]", keys::DATA_BYTES_MAX));
    }
    errors
}
