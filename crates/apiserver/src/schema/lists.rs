//! `x-kubernetes-list-type`: sets hold each value once, maps each key once.

use super::error::FieldError;
use super::node::{Additional, ListType, Node};
use super::path::Path;
use super::text;
use serde_json::{Map, Value};
use std::collections::HashMap;

/// Every list of the object that holds something twice that it may hold once.
pub(super) fn check(node: &Node, value: &Value) -> Vec<FieldError> {
    let mut errors = Vec::new();
    visit(node, &Path::Root, value, &mut errors);
    errors
}

fn visit(node: &Node, path: &Path<'_>, value: &Value, errors: &mut Vec<FieldError>) {
    match value {
        Value::Array(items) => {
            match &node.list_type {
                ListType::Atomic => {}
                ListType::Set => {
                    let same = |index: &usize| {
                        FieldError::duplicate(Path::Index(path, *index).as_field(), &items[*index])
                    };
                    errors.extend(repeated(items.iter().map(identity)).iter().map(same));
                }
                ListType::Map(keys) => errors.extend(check_map(keys, path, items)),
            }
            if let Some(item_node) = &node.items {
                for (index, item) in items.iter().enumerate() {
                    visit(item_node, &Path::Index(path, index), item, errors);
                }
            }
        }
        Value::Object(object) => {
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
        _ => {}
    }
}

fn check_map(keys: &[String], path: &Path<'_>, items: &[Value]) -> Vec<FieldError> {
    let stray = |item: &Value| !item.is_object() && !item.is_null();
    if let Some(index) = items.iter().position(stray) {
        let detail = "must be an object for an array of list-type map";
        return vec![FieldError::invalid(Path::Index(path, index).as_field(), &items[index], detail)];
    }
    let key_of = |item: &Value| -> Map<String, Value> {
        let value = |key: &String| Some((key.clone(), item.get(key)?.clone()));
        keys.iter().filter_map(value).collect()
    };
    let compounds: Vec<_> = items.iter().map(|item| Value::Object(key_of(item))).collect();
    repeated(compounds.iter().map(identity))
        .into_iter()
        .map(|index| FieldError::duplicate(Path::Index(path, index).as_field(), &compounds[index]))
        .collect()
}

/// The index at which each value that is there more than once is there for the second time.
fn repeated(identities: impl Iterator<Item = String>) -> Vec<usize> {
    let mut times: HashMap<String, usize> = HashMap::new();
    let mut second = Vec::new();
    for (index, identity) in identities.enumerate() {
        let times = times.entry(identity).or_default();
        *times += 1;
        if *times == 2 {
            second.push(index);
        }
    }
    second
}

/// Equal for equal values only; 1 and 1.0 differ.
fn identity(value: &Value) -> String {
    match value {
        Value::Array(_) | Value::Object(_) => text::json(value),
        scalar => scalar.to_string(),
    }
}
