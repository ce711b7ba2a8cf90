//! What a configuration of webhooks is completed with, and what it must be.

use std::collections::HashSet;

use serde_json::{Value, json};

use super::client_config;
use super::configuration::{list, text};
use super::expression::Expression;
use crate::schema::{FieldError, names, text as print};

const CONDITIONS_MAX: i64 = 64;
const OPERATIONS: [&str; 5] = ["*", "CONNECT", "CREATE", "DELETE", "UPDATE"];

/// Fills in what a client may leave out.
pub fn complete(configuration: &mut Value, is_mutating: bool) {
    let Some(webhooks) = configuration.get_mut("webhooks").and_then(Value::as_array_mut) else { return };
    for webhook in webhooks.iter_mut().filter(|webhook| webhook.is_object()) {
        let mut default = |field: &str, value: Value| {
            if webhook[field].is_null() {
                webhook[field] = value;
            }
        };
        default("failurePolicy", "Fail".into());
        default("matchPolicy", "Equivalent".into());
        default("namespaceSelector", json!({}));
        default("objectSelector", json!({}));
        default("timeoutSeconds", 10.into());
        if is_mutating {
            default("reinvocationPolicy", "Never".into());
        }
        let service = webhook.pointer_mut("/clientConfig/service");
        if let Some(service) = service.filter(|service| service.is_object() && service["port"].is_null()) {
            service["port"] = 443.into();
        }
        let rules = webhook.get_mut("rules").and_then(Value::as_array_mut).into_iter().flatten();
        for rule in rules.filter(|rule| rule.is_object()) {
            if rule["scope"].is_null() {
                rule["scope"] = "*".into();
            }
        }
    }
}

/// What is wrong with a configuration that was completed; `old` is the one before an update.
pub fn validate(configuration: &Value, old: Option<&Value>) -> Vec<FieldError> {
    let mut errors = Vec::new();
    let mut seen = HashSet::new();
    for (index, webhook) in list(&configuration["webhooks"]).iter().enumerate() {
        let place = format!("webhooks[{index}]");
        errors.extend(webhook_errors(webhook, &place));
        errors.extend(version_errors(webhook, &format!("{place}.admissionReviewVersions"), old));
        let name = text(&webhook["name"]);
        if !name.is_empty() && !seen.insert(name) {
            errors.push(FieldError::duplicate(format!("{place}.name"), &webhook["name"]));
        }
    }
    errors
}

fn webhook_errors(webhook: &Value, place: &str) -> Vec<FieldError> {
    let field = |name: &str| format!("{place}.{name}");
    let mut errors = Vec::new();
    errors.extend(name_error(text(&webhook["name"]), &field("name")));
    for (index, rule) in list(&webhook["rules"]).iter().enumerate() {
        errors.extend(rule_errors(rule, &format!("{place}.rules[{index}]")));
    }
    errors.extend(one_of(webhook, "failurePolicy", &["Fail", "Ignore"], place));
    errors.extend(one_of(webhook, "matchPolicy", &["Equivalent", "Exact"], place));
    if webhook["sideEffects"].is_null() {
        let detail = "must specify one of None, NoneOnDryRun";
        errors.push(FieldError::required(field("sideEffects"), detail));
    }
    errors.extend(one_of(webhook, "sideEffects", &["None", "NoneOnDryRun"], place));
    let timeout = &webhook["timeoutSeconds"];
    if timeout.as_i64().is_some_and(|timeout| !(1..=30).contains(&timeout)) {
        let detail = "the timeout value must be between 1 and 30 seconds";
        errors.push(FieldError::invalid(field("timeoutSeconds"), timeout, detail));
    }
    for name in ["namespaceSelector", "objectSelector"] {
        errors.extend(selector_errors(&webhook[name], &field(name)));
    }
    errors.extend(one_of(webhook, "reinvocationPolicy", &["IfNeeded", "Never"], place));
    errors.extend(client_errors(&webhook["clientConfig"], &field("clientConfig")));
    errors.extend(condition_errors(&webhook["matchConditions"], &field("matchConditions")));
    errors
}

fn client_errors(client: &Value, place: &str) -> Vec<FieldError> {
    match (client["url"].as_str(), client["service"].is_object()) {
        (Some(url), false) => client_config::url_errors(url, &format!("{place}.url")),
        (None, true) => {
            let service = &client["service"];
            // Name and namespace change places in these errors.
            let (name, namespace) = (&service["namespace"], &service["name"]);
            client_config::service_errors(name, namespace, service, &format!("{place}.service"))
        }
        _ => vec![FieldError::required(place, "exactly one of url or service is required")],
    }
}

fn name_error(name: &str, place: &str) -> Option<FieldError> {
    if name.is_empty() {
        return Some(FieldError::required(place, ""));
    }
    let wrong = names::subdomain(name);
    if !wrong.is_empty() {
        return Some(FieldError::invalid_text(place, name, &wrong.join(",")));
    }
    let detail = "should be a domain with at least three segments separated by dots";
    (name.split('.').count() < 3).then(|| FieldError::invalid_text(place, name, detail))
}

fn one_of(webhook: &Value, field: &str, supported: &[&str], place: &str) -> Option<FieldError> {
    let value = webhook[field].as_str()?;
    let supported: Vec<String> = supported.iter().map(|&text| text.to_owned()).collect();
    (!supported.iter().any(|it| it == value))
        .then(|| FieldError::not_supported(format!("{place}.{field}"), &webhook[field], &supported))
}

fn rule_errors(rule: &Value, place: &str) -> Vec<FieldError> {
    let mut errors = Vec::new();
    let field = |name: &str| format!("{place}.{name}");
    let alone = |name: &str, what: &str| {
        let values = list(&rule[name]);
        let detail = format!("if '*' is present, must not specify other {what}");
        let is_crowded = values.len() > 1 && values.iter().any(|value| value == "*");
        is_crowded.then(|| FieldError::invalid_printed(field(name), &print::json(&rule[name]), &detail))
    };
    let required = |name: &str| list(&rule[name]).is_empty().then(|| FieldError::required(field(name), ""));
    errors.extend(required("operations"));
    errors.extend(alone("operations", "operations"));
    for (index, operation) in list(&rule["operations"]).iter().enumerate() {
        if !OPERATIONS.contains(&text(operation)) {
            let field = field(&format!("operations[{index}]"));
            errors.push(FieldError::not_supported(field, operation, &OPERATIONS.map(str::to_owned)));
        }
    }
    errors.extend(required("apiGroups"));
    errors.extend(alone("apiGroups", "API groups"));
    errors.extend(required("apiVersions"));
    errors.extend(alone("apiVersions", "API versions"));
    for (index, version) in list(&rule["apiVersions"]).iter().enumerate() {
        if text(version).is_empty() {
            errors.push(FieldError::required(field(&format!("apiVersions[{index}]")), ""));
        }
    }
    errors.extend(resource_errors(&rule["resources"], &field("resources")));
    errors.extend(one_of(rule, "scope", &["*", "Cluster", "Namespaced"], place));
    errors
}

fn resource_errors(resources: &Value, place: &str) -> Vec<FieldError> {
    let mut errors = Vec::new();
    let all = list(resources);
    if all.is_empty() {
        errors.push(FieldError::required(place, ""));
    }
    let (mut parts_of, mut part_of_all) = (HashSet::new(), HashSet::new());
    let mut has_whole = false;
    for (index, resource) in all.iter().map(text).enumerate() {
        let field = format!("{place}[{index}]");
        if resource.is_empty() {
            errors.push(FieldError::required(field, ""));
            continue;
        }
        let Some((whole, part)) = resource.split_once('/') else {
            has_whole = resource != "*";
            continue;
        };
        for (is_there, pattern) in [
            (parts_of.contains(whole), format!("{whole}/*")),
            (part_of_all.contains(part), format!("*/{part}")),
        ] {
            if is_there {
                let detail = format!("if '{pattern}' is present, must not specify {resource}");
                errors.push(FieldError::invalid_text(&field, resource, &detail));
            }
        }
        if part == "*" {
            parts_of.insert(whole);
        }
        if whole == "*" {
            part_of_all.insert(part);
        }
    }
    let mut invalid = |detail: &str| {
        errors.push(FieldError::invalid_printed(place, &print::json(resources), detail));
    };
    if all.len() > 1 && all.iter().any(|resource| resource == "*/*") {
        invalid("if '*/*' is present, must not specify other resources");
    }
    if has_whole && all.iter().any(|resource| resource == "*") {
        invalid("if '*' is present, must not specify other resources without subresources");
    }
    errors
}

fn selector_errors(selector: &Value, place: &str) -> Vec<FieldError> {
    let mut errors = Vec::new();
    let labels = format!("{place}.matchLabels");
    for (key, value) in selector["matchLabels"].as_object().into_iter().flatten() {
        let wrong = names::qualified_name(key).into_iter();
        errors.extend(wrong.map(|problem| FieldError::invalid_text(&labels, key, &problem)));
        let wrong = names::label_value(text(value)).into_iter();
        errors.extend(wrong.map(|problem| FieldError::invalid_text(&labels, text(value), &problem)));
    }
    for (index, expression) in list(&selector["matchExpressions"]).iter().enumerate() {
        let field = |name: &str| format!("{place}.matchExpressions[{index}].{name}");
        let values = list(&expression["values"]);
        match text(&expression["operator"]) {
            "In" | "NotIn" if values.is_empty() => {
                let detail = "must be specified when `operator` is 'In' or 'NotIn'";
                errors.push(FieldError::required(field("values"), detail));
            }
            "Exists" | "DoesNotExist" if !values.is_empty() => {
                let detail = "may not be specified when `operator` is 'Exists' or 'DoesNotExist'";
                errors.push(FieldError::forbidden(field("values"), detail));
            }
            "In" | "NotIn" | "Exists" | "DoesNotExist" => {}
            other => {
                errors.push(FieldError::invalid_text(
                    field("operator"),
                    other,
                    "not a valid selector operator",
                ));
            }
        }
        let key = text(&expression["key"]);
        let wrong = names::qualified_name(key).into_iter();
        errors.extend(wrong.map(|problem| FieldError::invalid_text(field("key"), key, &problem)));
        for (index, value) in values.iter().enumerate() {
            let field = field(&format!("values[{index}]"));
            let wrong = names::label_value(text(value)).into_iter();
            errors.extend(wrong.map(|problem| FieldError::invalid_text(&field, text(value), &problem)));
        }
    }
    errors
}

fn condition_errors(conditions: &Value, place: &str) -> Vec<FieldError> {
    let mut errors = Vec::new();
    let mut seen = HashSet::new();
    let count = list(conditions).len();
    if i64::try_from(count).is_ok_and(|count| count > CONDITIONS_MAX) {
        errors.push(FieldError::too_many(place, count, CONDITIONS_MAX));
    }
    for (index, condition) in list(conditions).iter().enumerate() {
        let field = |name: &str| format!("{place}[{index}].{name}");
        let (name, expression) = (text(&condition["name"]), text(&condition["expression"]).trim());
        if expression.is_empty() {
            errors.push(FieldError::required(field("expression"), ""));
        } else if let Err(problem) = Expression::compile(expression) {
            errors.push(FieldError::invalid_text(field("expression"), expression, &problem.0));
        }
        if name.is_empty() {
            errors.push(FieldError::required(field("name"), ""));
        }
        let wrong = if name.is_empty() { Vec::new() } else { names::qualified_name(name) };
        errors.extend(wrong.iter().map(|problem| FieldError::invalid_text(field("name"), name, problem)));
        if !name.is_empty() && !seen.insert(name) {
            errors.push(FieldError::duplicate(field("name"), &condition["name"]));
        }
    }
    errors
}

fn version_errors(webhook: &Value, place: &str, old: Option<&Value>) -> Vec<FieldError> {
    let versions = &webhook["admissionReviewVersions"];
    if list(versions).is_empty() {
        return vec![FieldError::required(place, "must specify one of v1, v1beta1")];
    }
    let is_known = |version: &Value| matches!(text(version), "v1" | "v1beta1");
    let mut errors = Vec::new();
    let mut seen = HashSet::new();
    for (index, version) in list(versions).iter().enumerate() {
        let field = format!("{place}[{index}]");
        if !seen.insert(text(version)) {
            errors.push(FieldError::invalid(field, version, "duplicate version"));
            continue;
        }
        let wrong = names::label_1035(text(version)).into_iter();
        errors.extend(wrong.map(|problem| FieldError::invalid(&field, version, &problem)));
    }
    let was_unknown = old.is_some_and(|old| {
        let known = |webhook: &Value| list(&webhook["admissionReviewVersions"]).iter().any(is_known);
        !list(&old["webhooks"]).iter().all(known)
    });
    if !list(versions).iter().any(is_known) && !was_unknown {
        let detail = "must include at least one of v1, v1beta1";
        errors.push(FieldError::invalid_printed(place, &print::json(versions), detail));
    }
    errors
}
