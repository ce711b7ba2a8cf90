//! What an API server decides about single built-in kinds, beyond what holds for every object.
//! Pure functions over JSON; nothing here knows a request, a store or the clock.
//!
//! A kind's `prepare_…` functions complete an object the way it will be stored, and refuse it with the texts of a
//! kube-apiserver 1.36. They judge its metadata too, which must be as it will be stored: the name generated, the
//! namespace and, for an update, the resourceVersion filled in. Where a real API server prints several errors in no
//! order at all, these come in the order of the fields.

pub mod configmap;
pub mod defaults;
pub mod endpoints;
pub mod endpointslice;
pub mod event;
pub mod lease;
pub mod namespace;
pub mod node;
pub mod pod;
pub mod rbac;
pub mod secret;
pub mod service;
pub mod workload;

mod keys;

use crate::schema::FieldError;
use serde_json::Value;
use std::fmt;

/// Why an object is not stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    /// Fields break rules: 422, with a cause for each.
    Invalid(Vec<FieldError>),
    /// The object is not of its kind's type: 400, with what is wrong about it.
    Malformed(String),
    /// Something could not be allocated: 500 with the reason InternalError; its message is
    /// `Internal error occurred: ` and this text.
    Internal(String),
    /// 500 without a reason; this text is the message.
    Unclassified(String),
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Invalid(errors) => {
                let texts: Vec<_> = errors.iter().map(ToString::to_string).collect();
                f.write_str(&texts.join(", "))
            }
            Self::Internal(text) => write!(f, "Internal error occurred: {text}"),
            Self::Malformed(text) | Self::Unclassified(text) => f.write_str(text),
        }
    }
}

impl std::error::Error for Refusal {}

/// What is wrong with an object of a kind that only has rules, apart from its metadata. Its status may be anything.
pub fn errors(group: &str, plural: &str, object: &Value, old: Option<&Value>) -> Vec<FieldError> {
    match (group, plural, old) {
        ("", "nodes", _) => node::errors(object, old),
        ("", "pods", _) => pod::errors(object, old),
        ("", "endpoints", _) => endpoints::errors(object, old),
        ("" | "events.k8s.io", "events", _) => event::errors(object, old, group),
        ("apps", _, _) => workload::errors(object, old, plural),
        ("batch", "jobs", None) => workload::job_errors(object),
        _ => Vec::new(),
    }
}

/// What an object is selected by where the field is none of it, or is left out.
pub fn selected<'a>(object: &'a Value, field: &str) -> Option<&'a str> {
    match (text_at(object, "/apiVersion"), text_at(object, "/kind"), field) {
        ("v1", "Event", "source") => Some(event::source(object)),
        ("v1", "Node", "spec.unschedulable") | ("v1", "Pod", "spec.hostNetwork") => Some("false"),
        _ => None,
    }
}

fn accept(errors: Vec<FieldError>) -> Result<(), Refusal> {
    if errors.is_empty() { Ok(()) } else { Err(Refusal::Invalid(errors)) }
}

/// Sets a field of an object, or removes it; does nothing to what is no object.
fn set(object: &mut Value, field: &str, value: Option<Value>) {
    let Some(fields) = object.as_object_mut() else { return };
    match value {
        Some(value) => drop(fields.insert(field.to_owned(), value)),
        None => drop(fields.shift_remove(field)),
    }
}

/// The text at a pointer, or nothing; an API server does not tell an absent text from an empty one.
fn text_at<'a>(object: &'a Value, pointer: &str) -> &'a str {
    object.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

/// The list at a pointer, or an empty one.
fn list_at<'a>(object: &'a Value, pointer: &str) -> &'a [Value] {
    object.pointer(pointer).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}
