//! Namespaces: they carry their name as a label, and are active until they are deleted.

use super::{Refusal, accept, set};
use crate::schema::metadata;
use serde_json::{Map, Value, json};

const NAME_LABEL: &str = "kubernetes.io/metadata.name";
const FINALIZER: &str = "kubernetes";

/// Fills in the label of a namespace whose name is known.
pub fn default(object: &mut Value) {
    if object.pointer("/metadata/name").and_then(Value::as_str).is_some_and(|name| !name.is_empty()) {
        add_name_label(object);
    }
}

/// Completes a namespace that is to be created, whose name is known.
pub fn prepare_create(object: &mut Value) -> Result<(), Refusal> {
    add_name_label(object);
    let mut spec = object.get("spec").and_then(Value::as_object).cloned().unwrap_or_default();
    let mut finalizers = spec.get("finalizers").and_then(Value::as_array).cloned().unwrap_or_default();
    if !finalizers.contains(&json!(FINALIZER)) {
        finalizers.push(json!(FINALIZER));
    }
    spec.insert("finalizers".to_owned(), finalizers.into());
    set(object, "spec", Some(spec.into()));
    set(object, "status", Some(json!({"phase": "Active"})));
    accept(metadata::validate_named_by_label(object, false))
}

/// Completes a namespace that is to replace `old`, whose finalizers and status it keeps.
pub fn prepare_update(object: &mut Value, old: &Value) -> Result<(), Refusal> {
    add_name_label(object);
    set(object, "spec", old.get("spec").cloned());
    set(object, "status", old.get("status").cloned());
    let mut errors = metadata::validate_named_by_label(object, false);
    errors.extend(metadata::validate_update(object, old));
    accept(errors)
}

fn add_name_label(object: &mut Value) {
    let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) else { return };
    let Some(name) = metadata.get("name").filter(|name| name.is_string()).cloned() else { return };
    let labels = metadata.entry("labels").or_insert_with(|| Map::new().into());
    if labels.is_null() {
        *labels = Map::new().into();
    }
    set(labels, NAME_LABEL, Some(name));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_namespace_is_active_and_labelled() {
        let mut object = json!({"metadata": {"name": "a"}, "status": {"phase": "Terminating"}});
        prepare_create(&mut object).unwrap();
        let expected = json!({
            "metadata": {"name": "a", "labels": {"kubernetes.io/metadata.name": "a"}},
            "status": {"phase": "Active"},
            "spec": {"finalizers": ["kubernetes"]},
        });
        assert_eq!(object, expected);
    }
}
