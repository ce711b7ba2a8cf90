//! What makes pods from a template: its selector must find them, and stays what it is.

use super::{pod, text_at};
use crate::schema::FieldError;
use crate::selector::LabelSelector;
use serde_json::{Map, Value};

/// What is wrong with an object of the group `apps`, apart from its metadata.
pub fn errors(object: &Value, old: Option<&Value>, plural: &str) -> Vec<FieldError> {
    let named = match plural {
        "deployments" | "replicasets" => "deployment",
        "daemonsets" => "daemonset",
        "statefulsets" => "statefulset",
        _ => return Vec::new(),
    };
    let spec = &object["spec"];
    let selector = &spec["selector"];
    let mut errors = Vec::new();
    if old.is_some_and(|old| old["spec"]["selector"] != *selector) {
        if plural == "statefulsets" {
            errors.push(FieldError::forbidden("spec", STATEFUL_SET_STAYS));
            return errors;
        }
        errors.push(FieldError::invalid("spec.selector", selector, "field is immutable"));
    }
    let is_empty = |field: &str| {
        let part = &selector[field];
        part.as_object().is_none_or(Map::is_empty) && part.as_array().is_none_or(Vec::is_empty)
    };
    if !selector.is_object() && plural == "daemonsets" {
        // Nothing is said of it: no selector matches no template.
    } else if !selector.is_object() {
        errors.push(FieldError::required("spec.selector", ""));
    } else if is_empty("matchLabels") && is_empty("matchExpressions") {
        let detail = format!("empty selector is invalid for {named}");
        errors.push(FieldError::invalid("spec.selector", selector, &detail));
    }
    let labels = &spec["template"]["metadata"]["labels"];
    let is_found = selector.is_object()
        && LabelSelector::of_object(selector).is_none_or(|it| it.matches(labels.as_object()));
    if !is_found {
        let detail = "`selector` does not match template `labels`";
        errors.push(FieldError::invalid("spec.template.metadata.labels", labels, detail));
    }
    let template = &spec["template"]["spec"];
    let is_same = old.is_some_and(|old| old["spec"]["template"]["spec"] == *template);
    if !is_same {
        errors.extend(pod::spec_errors(template, "spec.template.spec", &["Always"]));
    }
    for field in ["replicas", "minReadySeconds", "revisionHistoryLimit"] {
        if let Some(number) = spec[field].as_i64().filter(|number| *number < 0) {
            let detail = "must be greater than or equal to 0";
            errors.push(FieldError::invalid_printed(format!("spec.{field}"), &number.to_string(), detail));
        }
    }
    errors
}

const STATEFUL_SET_STAYS: &str = "updates to statefulset spec for fields other than 'replicas', 'ordinals', \
    'template', 'updateStrategy', 'revisionHistoryLimit', 'persistentVolumeClaimRetentionPolicy' and \
    'minReadySeconds' are forbidden";

/// What is wrong with a new Job, apart from its metadata.
pub fn job_errors(job: &Value) -> Vec<FieldError> {
    let spec = &job["spec"]["template"]["spec"];
    let place = "spec.template.spec";
    let mut errors = pod::spec_errors(spec, place, &["Always", "OnFailure", "Never"]);
    let policy = text_at(spec, "/restartPolicy");
    if policy == "Always" {
        let supported = ["OnFailure", "Never"].map(ToOwned::to_owned);
        errors.push(FieldError::not_supported(format!("{place}.restartPolicy"), &policy.into(), &supported));
    }
    errors
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn deployment(selector: &Value, labels: &Value) -> Value {
        let container = json!({"name": "c", "image": "i", "imagePullPolicy": "Always", "terminationMessagePolicy": "File"});
        let spec = json!({"restartPolicy": "Always", "dnsPolicy": "Default", "containers": [container]});
        json!({"spec": {"selector": selector, "template": {"metadata": {"labels": labels}, "spec": spec}}})
    }

    #[test]
    fn a_selector_finds_what_the_template_makes() {
        let fits = deployment(&json!({"matchLabels": {"a": "b"}}), &json!({"a": "b"}));
        assert_eq!(errors(&fits, Some(&fits), "deployments"), []);
        for (object, expected) in [
            (
                deployment(&Value::Null, &json!({"a": "b"})),
                r#"spec.template.metadata.labels: Invalid value: {"a":"b"}: `selector` does not match template `labels`"#,
            ),
            (
                deployment(&json!({}), &json!({})),
                "spec.selector: Invalid value: {}: empty selector is invalid for daemonset",
            ),
            (
                deployment(&json!({"matchLabels": {"a": "b"}}), &json!({"a": "c"})),
                r#"spec.template.metadata.labels: Invalid value: {"a":"c"}: `selector` does not match template `labels`"#,
            ),
        ] {
            let texts: Vec<String> =
                errors(&object, None, "daemonsets").iter().map(ToString::to_string).collect();
            assert_eq!(texts, [expected]);
        }
        let other = deployment(&json!({"matchLabels": {"a": "c"}}), &json!({"a": "c"}));
        assert_eq!(
            errors(&other, Some(&fits), "deployments")[0].to_string(),
            r#"spec.selector: Invalid value: {"matchLabels":{"a":"c"}}: field is immutable"#
        );
    }
}
