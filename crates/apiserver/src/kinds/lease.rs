//! Leases: a few numbers that must make sense.

use super::{Refusal, accept};
use crate::schema::{FieldError, metadata};
use serde_json::Value;

/// What is wrong with a Lease that is to be created, or to replace `old`.
pub fn validate(object: &Value, old: Option<&Value>) -> Result<(), Refusal> {
    let mut errors = match old {
        None => metadata::validate(object, true),
        Some(old) => metadata::validate_update(object, old),
    };
    for (field, smallest, detail) in [
        ("leaseDurationSeconds", 1, "must be greater than 0"),
        ("leaseTransitions", 0, "must be greater than or equal to 0"),
    ] {
        let number = object.pointer(&format!("/spec/{field}")).and_then(Value::as_i64);
        if let Some(number) = number.filter(|number| *number < smallest) {
            errors.push(FieldError::invalid_printed(format!("spec.{field}"), &number.to_string(), detail));
        }
    }
    accept(errors)
}
