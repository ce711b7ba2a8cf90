//! Where a webhook is, as configurations of admission and of conversion say it.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use crate::schema::{FieldError, names};

const FORM: &str = "; desired format: https://host[/path]";

/// What is wrong with a webhook's address.
pub(crate) fn url_errors(url: &str, place: &str) -> Vec<FieldError> {
    let mut errors = Vec::new();
    let mut invalid = |value: &str, detail: &str| errors.push(FieldError::invalid_text(place, value, detail));
    let (rest, fragment) = url.split_once('#').unwrap_or((url, ""));
    let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
    let is_scheme = |text: &str| {
        text.starts_with(|c: char| c.is_ascii_alphabetic())
            && text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.'))
    };
    let (scheme, rest) = match rest.split_once(':') {
        Some((scheme, rest)) if is_scheme(scheme) => (scheme.to_lowercase(), rest),
        Some(("", _)) => {
            let detail = format!("url must be a valid URL: parse {url:?}: missing protocol scheme{FORM}");
            return vec![FieldError::required(place, &detail)];
        }
        _ => (String::new(), rest),
    };
    let authority = rest.strip_prefix("//").map(|rest| rest.split('/').next().unwrap_or_default());
    let (user, host) = match authority.unwrap_or_default().rsplit_once('@') {
        Some((user, host)) => (Some(user), host),
        None => (None, authority.unwrap_or_default()),
    };
    if scheme != "https" {
        invalid(&scheme, &format!("'https' is the only allowed URL scheme{FORM}"));
    }
    if host.is_empty() {
        invalid(host, &format!("host must be specified{FORM}"));
    }
    if let Some(user) = user {
        invalid(user, "user information is not permitted in the URL");
    }
    if !fragment.is_empty() {
        invalid(fragment, "fragments are not permitted in the URL");
    }
    if !query.is_empty() {
        invalid(query, "query parameters are not permitted in the URL");
    }
    errors
}

/// What is wrong with a reference to a Service; name and namespace are given apart, because the two users of this
/// name them differently.
pub(crate) fn service_errors(
    name: &Value,
    namespace: &Value,
    service: &Value,
    place: &str,
) -> Vec<FieldError> {
    let field = |name: &str| format!("{place}.{name}");
    let mut errors = Vec::new();
    for (value, which) in [(name, "name"), (namespace, "namespace")] {
        if value.as_str().unwrap_or_default().is_empty() {
            errors.push(FieldError::required(field(which), ""));
        }
    }
    let port = service["port"].as_i64().unwrap_or(443);
    if !(1..=65535).contains(&port) {
        let detail = "port is not valid: must be between 1 and 65535, inclusive";
        errors.push(FieldError::invalid(field("port"), &port.into(), detail));
    }
    let path = service["path"].as_str().unwrap_or_default();
    let mut invalid = |detail: &str| errors.push(FieldError::invalid_text(field("path"), path, detail));
    match path {
        "" | "/" => return errors,
        "//" => {
            invalid("segment[0] may not be empty");
            return errors;
        }
        _ if !path.starts_with('/') => invalid("must start with a '/'"),
        _ => {}
    }
    let segments: String = path.chars().skip(1).collect();
    let segments = segments.strip_suffix('/').unwrap_or(&segments);
    for (index, segment) in segments.split('/').enumerate() {
        if segment.is_empty() {
            invalid(&format!("segment[{index}] may not be empty"));
        } else {
            let wrong = names::subdomain(segment).into_iter();
            wrong.for_each(|problem| invalid(&format!("segment[{index}]: {problem}")));
        }
    }
    errors
}

/// Why certificates in PEM, in base64, cannot be trusted to be any; nothing is fine.
pub(crate) fn bundle_problem(bundle: &str) -> Option<String> {
    let unusable = "unable to load root certificates: unable to parse bytes as PEM block";
    if bundle.is_empty() {
        return None;
    }
    let pem = STANDARD.decode(bundle).unwrap_or_default();
    let is_certificate = String::from_utf8_lossy(&pem).contains("-----BEGIN CERTIFICATE-----");
    (!is_certificate).then(|| unusable.to_owned())
}
