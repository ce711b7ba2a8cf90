//! Groups that belong to the Kubernetes project are taken only with its approval, or with a word on why without.

use serde_json::Value;

use super::text;
use crate::schema::FieldError;

const ANNOTATION: &str = "api-approved.kubernetes.io";
const SEE: &str = "see https://github.com/kubernetes/enhancements/pull/1111";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Approval {
    Missing,
    Bypassed,
    Approved,
    Invalid,
}

/// Whether the group is the project's own.
pub(super) fn is_protected(group: &str) -> bool {
    ["k8s.io", "kubernetes.io"]
        .into_iter()
        .any(|domain| group.strip_suffix(domain).is_some_and(|sub| sub.is_empty() || sub.ends_with('.')))
}

/// What the annotation says, and the sentence about it.
pub(super) fn approval(definition: &Value) -> (Approval, String) {
    let annotation = annotation(definition);
    let must = format!("protected groups must have approval annotation \"{ANNOTATION}\"");
    let has_host = annotation.split_once("://").is_some_and(|(scheme, rest)| {
        !scheme.is_empty() && !rest.is_empty() && !rest.starts_with('/') && !annotation.contains(' ')
    });
    if annotation.is_empty() {
        (Approval::Missing, format!("{must}, {SEE}"))
    } else if annotation.starts_with("unapproved") {
        (Approval::Bypassed, format!("not approved: {annotation:?}"))
    } else if has_host {
        (Approval::Approved, format!("approved in {annotation}"))
    } else {
        let either = "with either a URL or a reason starting with \"unapproved\"";
        (Approval::Invalid, format!("{must} {either}, {SEE}"))
    }
}

fn annotation(definition: &Value) -> &str {
    text(&definition["metadata"]["annotations"][ANNOTATION])
}

/// The approval is judged when it changes only.
pub(super) fn validate(definition: &Value, old: Option<&Value>) -> Option<FieldError> {
    if !is_protected(text(&definition["spec"]["group"])) {
        return None;
    }
    let (state, sentence) = approval(definition);
    if old.is_some_and(|old| approval(old).0 == state) {
        return None;
    }
    let field = format!("metadata.annotations[{ANNOTATION}]");
    match state {
        Approval::Missing => Some(FieldError::required(field, &sentence)),
        Approval::Invalid => Some(FieldError::invalid_text(field, annotation(definition), &sentence)),
        Approval::Approved | Approval::Bypassed => None,
    }
}

/// Status and reason of the condition that repeats the annotation.
pub(super) fn condition(definition: &Value) -> Option<(&'static str, &'static str, String)> {
    if !is_protected(text(&definition["spec"]["group"])) {
        return None;
    }
    let (state, sentence) = approval(definition);
    Some(match state {
        Approval::Missing => ("False", "MissingAnnotation", sentence),
        Approval::Invalid => ("False", "InvalidAnnotation", sentence),
        Approval::Approved => ("True", "ApprovedAnnotation", sentence),
        Approval::Bypassed => ("False", "UnapprovedAnnotation", sentence),
    })
}
