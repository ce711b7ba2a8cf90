//! Objects inside objects: `x-kubernetes-embedded-resource`.

use super::error::FieldError;
use super::node::{Additional, Node};
use super::path::Path;
use super::{metadata, names};
use serde_json::{Map, Value};

/// Checks the version, kind and metadata of every embedded object.
pub(super) fn check(node: &Node, value: &Value) -> Vec<FieldError> {
    let mut errors = Vec::new();
    visit(node, &Path::Root, value, &mut errors);
    errors
}

fn visit(node: &Node, path: &Path<'_>, value: &Value, errors: &mut Vec<FieldError>) {
    match value {
        Value::Object(object) => {
            if node.embedded_resource {
                errors.extend(check_resource(path, object));
            }
            if let Some(Additional::Schema(entry)) = &node.additional {
                for (name, value) in object {
                    visit(entry, &Path::Entry(path, name), value, errors);
                }
            }
            for (name, property) in node.properties.iter() {
                if let Some(value) = object.get(name) {
                    visit(property, &Path::Property(path, name), value, errors);
                }
            }
        }
        Value::Array(items) => {
            if let Some(item_node) = &node.items {
                for (index, item) in items.iter().enumerate() {
                    visit(item_node, &Path::Index(path, index), item, errors);
                }
            }
        }
        _ => {}
    }
}

fn check_resource(path: &Path<'_>, object: &Map<String, Value>) -> Vec<FieldError> {
    let field = |name| Path::Property(path, name).as_field();
    let mut errors = Vec::new();
    for name in ["apiVersion", "kind"] {
        let problem = match object.get(name) {
            None => {
                errors.push(FieldError::required(field(name), ""));
                continue;
            }
            Some(Value::String(text)) if text.is_empty() => Some("must not be empty".to_owned()),
            Some(Value::String(text)) if name == "apiVersion" => metadata::version_of(text)
                .is_none()
                .then(|| format!("unexpected GroupVersion string: {text}")),
            Some(Value::String(text)) => {
                let problems = names::label_1035(&text.to_lowercase());
                (!problems.is_empty()).then(|| {
                    format!("may have mixed case, but should otherwise match: {}", problems.join(","))
                })
            }
            Some(_) => Some("must be a string".to_owned()),
        };
        let value = object.get(name).unwrap_or(&Value::Null);
        errors.extend(problem.map(|problem| FieldError::invalid(field(name), value, &problem)));
    }
    if let Some(embedded) = object.get("metadata") {
        match metadata::decode_error(embedded) {
            Some(problem) => errors.push(FieldError::invalid(field("metadata"), embedded, &problem)),
            None => errors.extend(metadata::validate_embedded(Some(embedded), &field("metadata"))),
        }
    }
    errors
}
