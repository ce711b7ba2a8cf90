//! Rules in CEL as a definition states them: their form, and that they compile.

use serde_json::{Value, json};

use super::{list, text};
use crate::schema::{FieldError, RuleVerdict, Schema, text as print};

const REASONS: [&str; 4] =
    ["FieldValueDuplicate", "FieldValueForbidden", "FieldValueInvalid", "FieldValueRequired"];

/// What is wrong with the texts of the rules of a schema.
pub(super) fn form_errors(schema: &Value, place: &str) -> Vec<FieldError> {
    let rules = list(&schema["x-kubernetes-validations"]).iter().enumerate();
    rules
        .flat_map(|(index, rule)| form(schema, rule, &format!("{place}.x-kubernetes-validations[{index}]")))
        .collect()
}

fn form(schema: &Value, rule: &Value, place: &str) -> Vec<FieldError> {
    let mut errors = Vec::new();
    let field = |name: &str| format!("{place}.{name}");
    let has_lines = |text: &str| text.contains(['\n', '\r']);
    let (source, message) = (text(&rule["rule"]).trim(), text(&rule["message"]));
    let (expression, path) = (text(&rule["messageExpression"]), text(&rule["fieldPath"]));
    if source.is_empty() {
        errors.push(FieldError::required(field("rule"), "rule is not specified"));
    } else if !message.is_empty() && message.trim().is_empty() {
        errors.push(FieldError::invalid_text(field("message"), message, "must be non-empty if specified"));
    } else if has_lines(message.trim()) {
        errors.push(FieldError::invalid_text(field("message"), message, "must not contain line breaks"));
    } else if has_lines(source) && message.is_empty() {
        let detail = "message must be specified if rule contains line breaks";
        errors.push(FieldError::required(field("message"), detail));
    }
    if !expression.is_empty() && expression.trim().is_empty() {
        let detail = "messageExpression must be non-empty if specified";
        errors.push(FieldError::required(field("messageExpression"), detail));
    }
    if rule["reason"].as_str().is_some_and(|reason| !REASONS.contains(&reason)) {
        errors.push(FieldError::not_supported(field("reason"), &rule["reason"], &REASONS.map(str::to_owned)));
    }
    if !path.is_empty() && path.trim().is_empty() {
        errors.push(FieldError::invalid_text(field("fieldPath"), path, "must be non-empty if specified"));
    }
    if has_lines(path) {
        errors.push(FieldError::invalid_text(field("fieldPath"), path, "must not contain line breaks"));
    }
    if !path.is_empty() && !Schema::has_path(schema, path) {
        errors.push(FieldError::invalid_text(field("fieldPath"), path, "must be a valid path"));
    }
    errors
}

/// What is wrong with the expressions of a schema that is otherwise sound.
pub(super) fn errors(
    schema: &Value,
    place: &str,
    is_resource: bool,
    uncorrelatable: Option<&str>,
) -> Vec<FieldError> {
    let rules = list(&schema["x-kubernetes-validations"]);
    if rules.is_empty() {
        return Vec::new();
    }
    let verdicts = Schema::judge_rules(schema, is_resource);
    let each = rules.iter().zip(verdicts).enumerate();
    each.flat_map(|(index, (rule, verdict))| {
        let place = format!("{place}.x-kubernetes-validations[{index}]");
        rule_errors(rule, &verdict, &place, uncorrelatable)
    })
    .collect()
}

fn rule_errors(
    rule: &Value,
    verdict: &RuleVerdict,
    place: &str,
    uncorrelatable: Option<&str>,
) -> Vec<FieldError> {
    let mut errors = Vec::new();
    let field = |name: &str| format!("{place}.{name}");
    if let Some(problem) = &verdict.rule {
        let detail = problem.located(text(&rule["rule"]), "");
        errors.push(FieldError::invalid_printed(field("rule"), &printed(rule), &detail));
    }
    if let Some(problem) = &verdict.message_expression {
        let detail = problem.located(text(&rule["messageExpression"]), "messageExpression ");
        errors.push(FieldError::invalid_printed(field("messageExpression"), &printed(rule), &detail));
    }
    let optional = &rule["optionalOldSelf"];
    if verdict.uses_old_self {
        if let Some(above) = uncorrelatable {
            let detail =
                format!("oldSelf cannot be used on the uncorrelatable portion of the schema within {above}");
            errors.push(FieldError::invalid_text(field("rule"), text(&rule["rule"]), &detail));
        }
    } else if !optional.is_null() {
        let detail = "may not be set if oldSelf is not used in rule";
        errors.push(FieldError::invalid(field("optionalOldSelf"), optional, detail));
    }
    errors
}

/// A rule as errors show it: every field, under its name in the server's own language.
fn printed(rule: &Value) -> String {
    let fields = [
        ("Rule", json!(text(&rule["rule"]))),
        ("Message", json!(text(&rule["message"]))),
        ("MessageExpression", json!(text(&rule["messageExpression"]))),
        ("Reason", rule["reason"].clone()),
        ("FieldPath", json!(text(&rule["fieldPath"]))),
        ("OptionalOldSelf", rule["optionalOldSelf"].clone()),
    ];
    let texts = fields.map(|(name, value)| format!("\"{name}\":{}", print::json(&value)));
    format!("{{{}}}", texts.join(","))
}
