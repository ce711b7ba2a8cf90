//! Pods, and templates of pods: containers that can be run, and what of a pod may still be changed.

use super::{list_at, text_at};
use crate::schema::{FieldError, names};
use serde_json::{Value, json};

const PROTOCOLS: [&str; 3] = ["SCTP", "TCP", "UDP"];
const PULL_POLICIES: [&str; 3] = ["Always", "IfNotPresent", "Never"];
const RESTART_POLICIES: [&str; 3] = ["Always", "OnFailure", "Never"];
const DNS_POLICIES: [&str; 4] = ["ClusterFirst", "ClusterFirstWithHostNet", "Default", "None"];
const UNCHANGEABLE: &str = "pod updates may not change fields other than `spec.containers[*].image`,\
    `spec.initContainers[*].image`,`spec.activeDeadlineSeconds`,`spec.tolerations` (only additions to existing \
    tolerations),`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)";

/// What is wrong with a Pod, apart from its metadata.
pub fn errors(object: &Value, old: Option<&Value>) -> Vec<FieldError> {
    match old {
        None => spec_errors(object.pointer("/spec").unwrap_or(&Value::Null), "spec", &RESTART_POLICIES),
        Some(old) => change_errors(&object["spec"], &old["spec"]),
    }
}

/// What is wrong with the spec of a pod at `place`.
pub(super) fn spec_errors(spec: &Value, place: &str, restart_policies: &[&str]) -> Vec<FieldError> {
    let mut errors = Vec::new();
    let mut taken = Vec::new();
    let volumes: Vec<&str> = list_at(spec, "/volumes").iter().map(|it| text_at(it, "/name")).collect();
    errors.extend(volume_errors(&volumes, place));
    if list_at(spec, "/containers").is_empty() {
        errors.push(FieldError::required(format!("{place}.containers"), ""));
    }
    for list in ["containers", "initContainers"] {
        for (index, container) in list_at(spec, &format!("/{list}")).iter().enumerate() {
            let place = format!("{place}.{list}[{index}]");
            let name = text_at(container, "/name");
            if !name.is_empty() && taken.contains(&name) {
                errors.push(FieldError::duplicate(format!("{place}.name"), &json!(name)));
            }
            taken.push(name);
            errors.extend(container_errors(container, &place));
        }
    }
    errors.extend(choice(spec, "restartPolicy", place, restart_policies));
    errors.extend(choice(spec, "dnsPolicy", place, &DNS_POLICIES));
    for field in ["nodeName", "serviceAccountName"] {
        let name = text_at(spec, &format!("/{field}"));
        if !name.is_empty() {
            errors.extend(invalid(&format!("{place}.{field}"), name, &names::subdomain(name)));
        }
    }
    errors
}

fn volume_errors(volumes: &[&str], place: &str) -> Vec<FieldError> {
    let mut errors = Vec::new();
    for (index, name) in volumes.iter().enumerate() {
        let field = format!("{place}.volumes[{index}].name");
        if name.is_empty() {
            errors.push(FieldError::required(field, ""));
        } else if volumes[..index].contains(name) {
            errors.push(FieldError::duplicate(field, &json!(name)));
        } else {
            errors.extend(invalid(&field, name, &names::label(name)));
        }
    }
    errors
}

fn container_errors(container: &Value, place: &str) -> Vec<FieldError> {
    let mut errors = Vec::new();
    let (name, image) = (text_at(container, "/name"), text_at(container, "/image"));
    let field = format!("{place}.image");
    if image.is_empty() {
        errors.push(FieldError::required(field, ""));
    } else if image.trim() != image {
        let detail = "must not have leading or trailing whitespace";
        errors.push(FieldError::invalid_text(field, image, detail));
    }
    let field = format!("{place}.name");
    match name {
        "" => errors.push(FieldError::required(field, "")),
        _ => errors.extend(invalid(&field, name, &names::label(name))),
    }
    errors.extend(choice(container, "imagePullPolicy", place, &PULL_POLICIES));
    errors.extend(choice(container, "terminationMessagePolicy", place, &["FallbackToLogsOnError", "File"]));
    let mut names_of_ports = Vec::new();
    for (index, port) in list_at(container, "/ports").iter().enumerate() {
        let place = format!("{place}.ports[{index}]");
        let name = text_at(port, "/name");
        if !name.is_empty() && names_of_ports.contains(&name) {
            errors.push(FieldError::duplicate(format!("{place}.name"), &json!(name)));
        }
        names_of_ports.push(name);
        errors.extend(port_errors(port, &place));
    }
    for (index, variable) in list_at(container, "/env").iter().enumerate() {
        if text_at(variable, "/name").is_empty() {
            errors.push(FieldError::required(format!("{place}.env[{index}].name"), ""));
        }
    }
    errors
}

fn port_errors(port: &Value, place: &str) -> Vec<FieldError> {
    let mut errors = Vec::new();
    let detail = "must be between 1 and 65535, inclusive";
    for (field, is_needed) in [("containerPort", true), ("hostPort", false)] {
        let path = format!("{place}.{field}");
        match port[field].as_i64().unwrap_or_default() {
            0 if is_needed => errors.push(FieldError::required(path, "")),
            0..=65535 => {}
            number => errors.push(FieldError::invalid_printed(path, &number.to_string(), detail)),
        }
    }
    errors.extend(choice(port, "protocol", place, &PROTOCOLS));
    errors
}

/// A field that must be one of a few words.
fn choice(object: &Value, field: &str, place: &str, words: &[&str]) -> Option<FieldError> {
    let (word, path) = (text_at(object, &format!("/{field}")), format!("{place}.{field}"));
    match word {
        "" => Some(FieldError::required(path, "")),
        _ if words.contains(&word) => None,
        _ => {
            let words: Vec<String> = words.iter().map(|&word| word.to_owned()).collect();
            Some(FieldError::not_supported(path, &json!(word), &words))
        }
    }
}

fn invalid(field: &str, value: &str, problems: &[String]) -> Vec<FieldError> {
    problems.iter().map(|problem| FieldError::invalid_text(field, value, problem)).collect()
}

/// What is wrong with how the spec of a pod changed.
fn change_errors(spec: &Value, old: &Value) -> Vec<FieldError> {
    let mut errors = Vec::new();
    for list in ["containers", "initContainers"] {
        let (now, before) = (list_at(spec, &format!("/{list}")), list_at(old, &format!("/{list}")));
        if now.len() != before.len() {
            let detail = "pod updates may not add or remove containers";
            errors.push(FieldError::forbidden(format!("spec.{list}"), detail));
            return errors;
        }
        for (index, container) in now.iter().enumerate() {
            if text_at(container, "/image").is_empty() {
                errors.push(FieldError::required(format!("spec.{list}[{index}].image"), ""));
            }
        }
    }
    errors.extend(deadline_error(spec, old));
    errors.extend(toleration_error(spec, old));
    if errors.is_empty() && with_changeable_of(spec, old) != *old {
        errors.push(FieldError::forbidden("spec", UNCHANGEABLE));
    }
    errors
}

/// A deadline can be set, and come nearer.
fn deadline_error(spec: &Value, old: &Value) -> Option<FieldError> {
    let field = "activeDeadlineSeconds";
    let (now, before) = (spec[field].as_i64(), old[field].as_i64());
    let path = format!("spec.{field}");
    match (now, before) {
        (Some(now), Some(before)) if now > before => {
            let detail = format!("must be less than or equal to previous value `{before}`");
            Some(FieldError::invalid_printed(path, &now.to_string(), &detail))
        }
        (None, Some(_)) => Some(FieldError::invalid_printed(
            path,
            "null",
            "must not update from a positive integer to nil value",
        )),
        _ => None,
    }
}

/// Tolerations can be added, and last longer or shorter.
fn toleration_error(spec: &Value, old: &Value) -> Option<FieldError> {
    let timeless = |toleration: &Value| {
        let mut fields = toleration.as_object().cloned().unwrap_or_default();
        fields.shift_remove("tolerationSeconds");
        fields
    };
    let now: Vec<_> = list_at(spec, "/tolerations").iter().map(timeless).collect();
    let is_missing = list_at(old, "/tolerations").iter().any(|before| !now.contains(&timeless(before)));
    let detail = "existing toleration can not be modified except its tolerationSeconds";
    is_missing.then(|| FieldError::forbidden("spec.tolerations", detail))
}

/// The spec with everything that may change as it was before.
fn with_changeable_of(spec: &Value, old: &Value) -> Value {
    let mut spec = spec.clone();
    for list in ["containers", "initContainers"] {
        let Some(containers) = spec.get_mut(list).and_then(Value::as_array_mut) else { continue };
        for (container, before) in containers.iter_mut().zip(list_at(old, &format!("/{list}"))) {
            container["image"] = before["image"].clone();
        }
    }
    let grace = "terminationGracePeriodSeconds";
    let may_set_grace = spec[grace] == 1 && old[grace].as_i64().is_some_and(|secs| secs < 0);
    let fields = ["activeDeadlineSeconds", "tolerations", "schedulingGates"];
    for field in fields.into_iter().chain(may_set_grace.then_some(grace)) {
        super::set(&mut spec, field, old.get(field).cloned());
    }
    spec
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pod(container: &Value) -> Value {
        json!({"spec": {
            "restartPolicy": "Always", "dnsPolicy": "ClusterFirst", "containers": [container],
            "tolerations": [{"key": "k", "tolerationSeconds": 1}],
        }})
    }

    fn container() -> Value {
        json!({"name": "c", "image": "i", "imagePullPolicy": "Always", "terminationMessagePolicy": "File"})
    }

    #[test]
    fn containers_can_be_run() {
        assert_eq!(errors(&pod(&container()), None), []);
        for (field, value, expected) in [
            ("name", json!(""), "spec.containers[0].name: Required value"),
            ("image", json!(""), "spec.containers[0].image: Required value"),
            (
                "image",
                json!(" i"),
                r#"spec.containers[0].image: Invalid value: " i": must not have leading or trailing whitespace"#,
            ),
            (
                "imagePullPolicy",
                json!("x"),
                r#"spec.containers[0].imagePullPolicy: Unsupported value: "x": supported values: "Always", "IfNotPresent", "Never""#,
            ),
            (
                "ports",
                json!([{"protocol": "TCP"}]),
                "spec.containers[0].ports[0].containerPort: Required value",
            ),
            (
                "ports",
                json!([{"containerPort": 70000, "protocol": "TCP"}]),
                "spec.containers[0].ports[0].containerPort: Invalid value: 70000: must be between 1 and 65535, inclusive",
            ),
        ] {
            let mut container = container();
            container[field] = value;
            let texts: Vec<String> = errors(&pod(&container), None).iter().map(ToString::to_string).collect();
            assert_eq!(texts, [expected]);
        }
    }

    #[test]
    fn little_of_a_pod_can_change() {
        let old = pod(&container());
        for (pointer, value, expected) in [
            ("/spec/containers/0/image", json!("j"), None),
            ("/spec/tolerations/0/tolerationSeconds", json!(2), None),
            ("/spec/tolerations/0/key", json!("l"), Some("spec.tolerations")),
            ("/spec/containers/0/name", json!("d"), Some("spec")),
            ("/spec/containers", json!([]), Some("spec.containers")),
        ] {
            let mut new = old.clone();
            *new.pointer_mut(pointer).unwrap() = value;
            let fields: Vec<String> = errors(&new, Some(&old)).into_iter().map(|it| it.field).collect();
            assert_eq!(fields, expected.into_iter().collect::<Vec<_>>(), "{pointer}");
        }
    }
}
