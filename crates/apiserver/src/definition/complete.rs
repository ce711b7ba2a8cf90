//! Defaults, and the part of the status that follows from the specification.

use serde_json::{Value, json};

use super::{list, names, text};

/// Fills in what a client may leave out.
pub fn complete(definition: &mut Value) {
    let spec = &mut definition["spec"];
    if !spec.is_object() {
        return;
    }
    let kind = text(&spec["names"]["kind"]).to_owned();
    if let Some(names) = spec["names"].as_object_mut() {
        let is_empty = |value: Option<&Value>| value.is_none_or(|value| text(value).is_empty());
        if is_empty(names.get("singular")) && !kind.is_empty() {
            names.insert("singular".to_owned(), kind.to_lowercase().into());
        }
        if is_empty(names.get("listKind")) && !kind.is_empty() {
            names.insert("listKind".to_owned(), format!("{kind}List").into());
        }
    }
    if spec["conversion"].is_null() {
        spec["conversion"] = json!({"strategy": "None"});
    }
    let service = spec["conversion"].pointer_mut("/webhook/clientConfig/service");
    if let Some(service) = service.filter(|service| service.is_object() && service["port"].is_null()) {
        service["port"] = 443.into();
    }
    let stored = definition.pointer("/status/storedVersions").is_none_or(|stored| list(stored).is_empty());
    if stored
        && definition["status"].is_object()
        && let Some(version) = storage_version(definition)
    {
        definition["status"]["storedVersions"] = json!([version]);
    }
}

/// A new definition's status is what is known before anybody has looked at its names.
pub fn prepare(definition: &mut Value) {
    let stored = storage_version(definition).map_or(Value::Null, |version| json!([version]));
    definition["status"] =
        json!({"acceptedNames": names::nobody(), "conditions": null, "storedVersions": stored});
}

/// The status stays as it was, but for a storage version that is new.
pub fn prepare_update(definition: &mut Value, old: &Value) {
    let mut status = old["status"].clone();
    if let Some(version) = storage_version(definition) {
        let stored = list(&status["storedVersions"]);
        if !stored.iter().any(|stored| *stored == version) {
            let mut stored = stored.to_vec();
            stored.push(version.into());
            status["storedVersions"] = stored.into();
        }
    }
    definition["status"] = status;
}

fn storage_version(definition: &Value) -> Option<String> {
    let stored = list(&definition["spec"]["versions"]).iter().find(|version| version["storage"] == true)?;
    Some(text(&stored["name"]).to_owned())
}
