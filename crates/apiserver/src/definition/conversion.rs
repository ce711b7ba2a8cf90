//! How objects get from one version to another, as a definition says it.

use std::collections::HashSet;

use serde_json::Value;

use super::{is_established, list, text};
use crate::admission::client_config;
use crate::schema::{FieldError, names, text as print};

const PLACE: &str = "spec.conversion";

/// What is wrong with `spec.conversion`; `old` is the definition before an update.
pub(super) fn validate(conversion: &Value, old: Option<&Value>) -> Vec<FieldError> {
    if !conversion.is_object() {
        return Vec::new();
    }
    let field = |name: &str| format!("{PLACE}.{name}");
    let mut errors = Vec::new();
    let strategy = text(&conversion["strategy"]);
    match strategy {
        "" => errors.push(FieldError::required(field("strategy"), "")),
        "None" | "Webhook" => {}
        _ => {
            let supported = ["None", "Webhook"].map(str::to_owned);
            errors.push(FieldError::not_supported(field("strategy"), &conversion["strategy"], &supported));
        }
    }
    let (client, versions) =
        (&conversion["webhook"]["clientConfig"], &conversion["webhook"]["conversionReviewVersions"]);
    if strategy != "Webhook" {
        let detail = "should not be set when strategy is not set to Webhook";
        if client.is_object() {
            errors.push(FieldError::forbidden(field("webhookClientConfig"), detail));
        }
        if !list(versions).is_empty() {
            errors.push(FieldError::forbidden(field("conversionReviewVersions"), detail));
        }
        return errors;
    }
    if client.is_object() {
        errors.extend(client_errors(client, &field("webhookClientConfig"), old));
    } else {
        let detail = "required when strategy is set to Webhook";
        errors.push(FieldError::required(field("webhookClientConfig"), detail));
    }
    errors.extend(version_errors(versions, &field("conversionReviewVersions"), old));
    errors
}

fn client_errors(client: &Value, place: &str, old: Option<&Value>) -> Vec<FieldError> {
    let mut errors = match (client["url"].as_str(), client["service"].as_object()) {
        (Some(url), None) => client_config::url_errors(url, &format!("{place}.url")),
        // Name and namespace change places in these errors.
        (None, Some(_)) => {
            let service = &client["service"];
            let (name, namespace) = (&service["namespace"], &service["name"]);
            client_config::service_errors(name, namespace, service, &format!("{place}.service"))
        }
        _ => vec![FieldError::required(place, "exactly one of url or service is required")],
    };
    let bundle = text(&client["caBundle"]);
    let was =
        |old: &Value| text(&old["spec"]["conversion"]["webhook"]["clientConfig"]["caBundle"]).to_owned();
    let must_be_sound =
        old.is_some_and(|old| is_established(old) && client_config::bundle_problem(&was(old)).is_none());
    if must_be_sound && let Some(problem) = client_config::bundle_problem(bundle) {
        errors.push(FieldError::invalid_text(format!("{place}.caBundle"), bundle, &problem));
    }
    errors
}

fn version_errors(versions: &Value, place: &str, old: Option<&Value>) -> Vec<FieldError> {
    if list(versions).is_empty() {
        return vec![FieldError::required(place, "")];
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
        let wrong = names::label_1035(text(version));
        errors.extend(wrong.iter().map(|problem| FieldError::invalid(&field, version, problem)));
    }
    let before = old.map(|old| list(&old["spec"]["conversion"]["webhook"]["conversionReviewVersions"]));
    let was_unknown = before.is_some_and(|before| !before.is_empty() && !before.iter().any(is_known));
    if !list(versions).iter().any(is_known) && !was_unknown {
        let detail = "must include at least one of v1, v1beta1";
        errors.push(FieldError::invalid_printed(place, &print::json(versions), detail));
    }
    errors
}
