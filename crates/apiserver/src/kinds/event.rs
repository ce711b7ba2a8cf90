//! Events: one object with two sets of names, `v1` and `events.k8s.io/v1`, and two sets of rules.
//! They are stored as `v1`.

use super::text_at;
use crate::schema::{FieldError, metadata, names};
use serde_json::{Map, Value};

pub const STORED: &str = "v1";
/// Nobody looks at an event for longer.
pub const KEPT_SECS: u64 = 60 * 60;

/// What a field is called in `v1`, and in `events.k8s.io/v1`.
const NAMES: [(&str, &str); 7] = [
    ("involvedObject", "regarding"),
    ("message", "note"),
    ("source", "deprecatedSource"),
    ("firstTimestamp", "deprecatedFirstTimestamp"),
    ("lastTimestamp", "deprecatedLastTimestamp"),
    ("count", "deprecatedCount"),
    ("reportingComponent", "reportingController"),
];
const CHARACTERS_MAX: usize = 128;
const MESSAGE_BYTES_MAX: usize = 1024;

/// Writes an event in the names of one of its versions.
pub fn convert(object: &mut Value, api_version: &str) {
    if object["apiVersion"] == api_version {
        return;
    }
    let is_old = api_version == STORED;
    let Some(fields) = object.as_object_mut() else { return };
    let mut converted = Map::with_capacity(fields.len());
    for (name, value) in std::mem::take(fields) {
        let other = NAMES.iter().find_map(|(old, new)| match is_old {
            true => (*new == name).then_some(*old),
            false => (*old == name).then_some(*new),
        });
        // Left out in one version, empty in the other.
        if !is_old && value == "" && matches!(name.as_str(), "reportingComponent" | "reportingInstance") {
            continue;
        }
        converted.insert(other.map_or(name, ToOwned::to_owned), value);
    }
    converted.insert("apiVersion".to_owned(), api_version.into());
    if is_old {
        for field in ["reportingComponent", "reportingInstance"] {
            converted.entry(field).or_insert_with(|| "".into());
        }
    }
    *fields = converted;
}

/// What is wrong with an event that is written through `group`.
pub fn errors(object: &Value, old: Option<&Value>, group: &str) -> Vec<FieldError> {
    let mut event = object.clone();
    convert(&mut event, STORED);
    let mut errors = match old {
        None if group.is_empty() => metadata::validate_named_by_path(object, true),
        None => metadata::validate(object, true),
        Some(_) if group.is_empty() => Vec::new(),
        Some(old) => metadata::validate_update(object, old),
    };
    errors.extend(common_errors(&event, group));
    if group.is_empty() {
        return errors;
    }
    match old {
        None => errors.extend(strict_errors(&event)),
        Some(old) => {
            let mut old = old.clone();
            convert(&mut old, STORED);
            errors.extend(change_errors(&event, &old));
        }
    }
    errors
}

/// What holds in both groups. An event of the newer kind has an `eventTime`.
fn common_errors(event: &Value, group: &str) -> Vec<FieldError> {
    let (namespace, place) =
        (text_at(event, "/metadata/namespace"), text_at(event, "/involvedObject/namespace"));
    let misplaced = || {
        let detail = "does not match event.namespace";
        FieldError::invalid_text("involvedObject.namespace", place, detail)
    };
    let mut errors = Vec::new();
    if text_at(event, "/eventTime").is_empty() {
        let fits = if place.is_empty() { namespace == "default" } else { namespace == place };
        if !fits {
            errors.push(misplaced());
        }
        return errors;
    }
    if place.is_empty() && !matches!(namespace, "default" | "kube-system") {
        errors.push(misplaced());
    }
    let field = if group.is_empty() { "reportingComponent" } else { "reportingController" };
    let controller = text_at(event, "/reportingComponent");
    if controller.is_empty() {
        errors.push(FieldError::required(field, ""));
    }
    let problems = names::qualified_name(controller).into_iter();
    errors.extend(problems.map(|problem| FieldError::invalid_text(field, controller, &problem)));
    for name in ["reportingInstance", "action", "reason"] {
        let text = text_at(event, &format!("/{name}"));
        if text.is_empty() {
            errors.push(FieldError::required(name, ""));
        }
        errors.extend(too_long(name, text, CHARACTERS_MAX));
    }
    errors.extend(too_long("message", text_at(event, "/message"), MESSAGE_BYTES_MAX));
    errors
}

fn too_long(field: &str, text: &str, most: usize) -> Option<FieldError> {
    let detail = format!("can have at most {most} characters");
    (text.len() > most).then(|| FieldError::invalid_text(field, "", &detail))
}

/// What the newer group asks of a new event.
fn strict_errors(event: &Value) -> Vec<FieldError> {
    let mut errors = series_errors(event);
    if text_at(event, "/eventTime").is_empty() {
        errors.push(FieldError::required("eventTime", ""));
    }
    let kind = text_at(event, "/type");
    if !matches!(kind, "Normal" | "Warning") {
        errors.push(FieldError::invalid_text("type", "", &format!("has invalid value: {kind}")));
    }
    let is_sourced =
        ["component", "host"].iter().any(|it| !text_at(event, &format!("/source/{it}")).is_empty());
    for (field, is_set) in [
        ("firstTimestamp", event["firstTimestamp"].is_string()),
        ("lastTimestamp", event["lastTimestamp"].is_string()),
        ("count", event["count"].as_i64().is_some_and(|count| count != 0)),
        ("source", is_sourced),
    ] {
        if is_set {
            errors.push(FieldError::invalid_text(field, "", "needs to be unset"));
        }
    }
    errors
}

fn series_errors(event: &Value) -> Vec<FieldError> {
    let series = &event["series"];
    let mut errors = Vec::new();
    if series.is_object() && series["count"].as_i64().unwrap_or_default() < 2 {
        errors.push(FieldError::invalid_text("series.count", "", "should be at least 2"));
    }
    if series.is_object() && !series["lastObservedTime"].is_string() {
        errors.push(FieldError::required("series.lastObservedTime", ""));
    }
    errors
}

/// What the newer group lets nobody change.
fn change_errors(event: &Value, old: &Value) -> Vec<FieldError> {
    let mut errors = if event["series"] == old["series"] { Vec::new() } else { series_errors(event) };
    let fields = [
        ("involvedObject", "involvedObject"),
        ("reason", "reason"),
        ("message", "message"),
        ("source", "source"),
        ("firstTimestamp", "firstTimestamp"),
        ("lastTimestamp", "lastTimestamp"),
        ("count", "count"),
        ("reason", "reason"),
        ("type", "type"),
        ("eventTime", "eventTime"),
        ("action", "action"),
        ("related", "related"),
        ("reportingComponent", "reportingController"),
        ("reportingInstance", "reportingInstance"),
    ];
    for (field, shown) in fields {
        if event[field] != old[field] {
            let is_text = old[field].is_string() && event[field].is_null();
            let now = if is_text { Value::from("") } else { event[field].clone() };
            errors.push(FieldError::invalid(shown, &now, "field is immutable"));
        }
    }
    errors
}

/// Who an event is from, as one selects by it.
pub fn source(object: &Value) -> &str {
    match text_at(object, "/source/component") {
        "" => text_at(object, "/reportingComponent"),
        component => component,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn an_event_comes_back_as_it_was() {
        let old = json!({
            "apiVersion": "v1", "metadata": {"name": "a"}, "involvedObject": {"kind": "K"}, "message": "m",
            "source": {"component": "c"}, "firstTimestamp": null, "lastTimestamp": null, "count": 2,
            "reportingComponent": "", "reportingInstance": "",
        });
        let new = json!({
            "apiVersion": "events.k8s.io/v1", "metadata": {"name": "a"}, "regarding": {"kind": "K"}, "note": "m",
            "deprecatedSource": {"component": "c"}, "deprecatedFirstTimestamp": null,
            "deprecatedLastTimestamp": null, "deprecatedCount": 2,
        });
        let mut event = old.clone();
        convert(&mut event, "events.k8s.io/v1");
        assert_eq!(event, new);
        convert(&mut event, STORED);
        assert_eq!(event, old);
    }

    #[test]
    fn each_group_has_its_rules() {
        let place = json!({"name": "a", "namespace": "b"});
        let legacy = |namespace: &str| json!({"apiVersion": "v1", "metadata": place, "involvedObject": {"namespace": namespace}});
        assert_eq!(errors(&legacy("b"), None, ""), []);
        assert_eq!(
            errors(&legacy("c"), None, "")[0].to_string(),
            r#"involvedObject.namespace: Invalid value: "c": does not match event.namespace"#
        );
        let event = json!({
            "apiVersion": "events.k8s.io/v1", "metadata": place, "regarding": {"namespace": "b"}, "type": "Normal",
            "eventTime": "2026-01-01T00:00:00.000000Z", "reportingController": "a.example/b",
            "reportingInstance": "i", "action": "Act", "reason": "R",
        });
        assert_eq!(errors(&event, None, "events.k8s.io"), []);
        let mut wrong = event.clone();
        wrong["type"] = json!("Odd");
        wrong["action"] = json!("");
        wrong["deprecatedCount"] = json!(1);
        let texts: Vec<String> =
            errors(&wrong, None, "events.k8s.io").iter().map(ToString::to_string).collect();
        assert_eq!(
            texts,
            [
                "action: Required value",
                r#"type: Invalid value: "": has invalid value: Odd"#,
                r#"count: Invalid value: "": needs to be unset"#,
            ]
        );
        let mut changed = event.clone();
        changed["note"] = json!("other");
        changed["metadata"]["resourceVersion"] = json!("1");
        let texts: Vec<String> =
            errors(&changed, Some(&event), "events.k8s.io").iter().map(ToString::to_string).collect();
        assert_eq!(texts, [r#"message: Invalid value: "other": field is immutable"#]);
    }
}
