//! Conditions and stored versions.

use serde_json::{Map, Value, json};

use super::{list, spec, text};
use crate::schema::{FieldError, text as print};

/// What holds a definition until its objects are gone.
pub const CLEANUP_FINALIZER: &str = "customresourcecleanup.apiextensions.k8s.io";

/// The condition of this type.
pub fn condition<'a>(definition: &'a Value, kind: &str) -> Option<&'a Value> {
    list(&definition["status"]["conditions"]).iter().find(|condition| condition["type"] == kind)
}

fn is_true(definition: &Value, kind: &str) -> bool {
    condition(definition, kind).is_some_and(|condition| condition["status"] == "True")
}

/// Whether the definition is served.
pub fn is_established(definition: &Value) -> bool {
    is_true(definition, "Established")
}

/// Whether the objects of the definition are being removed.
pub fn is_terminating(definition: &Value) -> bool {
    is_true(definition, "Terminating")
}

/// Sets a condition; its time changes only with its status.
pub fn set_condition(
    definition: &mut Value,
    kind: &str,
    status: &str,
    reason: &str,
    message: &str,
    now: &str,
) {
    let since = match condition(definition, kind) {
        Some(old) if old["status"] == status => text(&old["lastTransitionTime"]).to_owned(),
        _ => now.to_owned(),
    };
    let new = json!({
        "lastTransitionTime": since, "message": message, "reason": reason, "status": status, "type": kind,
    });
    if !definition["status"].is_object() {
        definition["status"] = Value::Object(Map::new());
    }
    let mut conditions = list(&definition["status"]["conditions"]).to_vec();
    match conditions.iter_mut().find(|condition| condition["type"] == kind) {
        Some(condition) => *condition = new,
        None => conditions.push(new),
    }
    definition["status"]["conditions"] = conditions.into();
}

/// What is wrong with the names and versions in the status.
pub(super) fn validate(definition: &Value) -> Vec<FieldError> {
    let status = &definition["status"];
    let mut errors = spec::name_errors(&status["acceptedNames"], "status.acceptedNames");
    let (field, stored) = ("status.storedVersions", &status["storedVersions"]);
    let versions = list(&definition["spec"]["versions"]);
    if list(stored).is_empty() {
        // Nothing stored prints as an empty list, present or not.
        let printed = if stored.is_null() { "null" } else { "[]" };
        return vec![FieldError::invalid_printed(field, printed, "must have at least one stored version")];
    }
    let mut left: Vec<&Value> = list(stored).iter().collect();
    for version in versions {
        let found = left.iter().position(|stored| **stored == version["name"]);
        if version["storage"] == true && found.is_none() {
            let detail = format!("must have the storage version {}", text(&version["name"]));
            errors.push(FieldError::invalid_printed(field, &print::json(stored), &detail));
        }
        // A version that is there twice is found once.
        found.map(|index| left.remove(index));
    }
    for (index, stored) in list(stored).iter().enumerate() {
        if !versions.iter().any(|version| version["name"] == *stored) {
            let name = text(stored);
            let detail = format!(
                "missing from spec.versions; {name} was previously a storage version, and must remain in spec.versions \
                 until a storage migration ensures no data remains persisted in {name} and removes {name} from \
                 status.storedVersions"
            );
            errors.push(FieldError::invalid_text(format!("{field}[{index}]"), name, &detail));
        }
    }
    errors
}
