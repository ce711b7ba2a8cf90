//! Fields that the schema does not know: found, named and removed.

use super::node::{Additional, Node};
use super::{LIMITS, metadata};
use serde_json::Value;

/// Removes the unknown fields of an object and returns their paths, metadata's first.
pub(super) fn prune(value: &mut Value, root: &Node) -> Vec<String> {
    let mut unknown = Vec::new();
    if let Some(object_metadata) = value.get_mut("metadata") {
        metadata::prune(object_metadata, "metadata", &mut unknown);
    }
    let mut pruner = Pruner { path: String::new(), unknown: Vec::new(), in_metadata: Vec::new(), depth: 0 };
    pruner.declared(value, root, true);
    pruner.unknown.sort();
    pruner.in_metadata.sort();
    unknown.append(&mut pruner.unknown);
    unknown.append(&mut pruner.in_metadata);
    unknown
}

/// Removes unknown fields below a schema that is not an object's root.
pub(super) fn drop_unknown(value: &mut Value, node: &Node) {
    let mut pruner = Pruner { path: String::new(), unknown: Vec::new(), in_metadata: Vec::new(), depth: 0 };
    pruner.declared(value, node, false);
}

struct Pruner {
    path: String,
    unknown: Vec<String>,
    in_metadata: Vec<String>,
    depth: usize,
}

impl Pruner {
    fn declared(&mut self, value: &mut Value, node: &Node, root: bool) {
        let resource = root || node.embedded_resource;
        match value {
            Value::Object(object) => {
                if node.embedded_resource && !root {
                    self.embedded_metadata(object.get_mut("metadata"));
                }
                let keep = |name: &str| {
                    node.preserve_unknown_fields
                        || node.properties.get(name).is_some()
                        || node.additional.is_some()
                        || resource && is_meta(name)
                };
                let (path, unknown) = (&self.path, &mut self.unknown);
                object.retain(|name, _| {
                    let known = keep(name);
                    if !known {
                        unknown.push(join(path, name));
                    }
                    known
                });
                for (name, value) in object.iter_mut().filter(|(name, _)| !(resource && is_meta(name))) {
                    let length = self.enter_field(name);
                    match (node.properties.get(name), &node.additional) {
                        (Some(property), _) => self.declared(value, property, false),
                        (None, Some(Additional::Schema(entry))) => self.declared(value, entry, false),
                        (None, Some(Additional::Any)) => self.undeclared(value),
                        (None, None) => {}
                    }
                    self.path.truncate(length);
                }
            }
            Value::Array(items) => {
                for (index, item) in items.iter_mut().enumerate() {
                    let length = self.enter_index(index);
                    match &node.items {
                        Some(item_node) if node.preserve_unknown_fields => self.preserved(item, item_node),
                        Some(item_node) => self.declared(item, item_node, false),
                        None if node.preserve_unknown_fields => {}
                        None => self.undeclared(item),
                    }
                    self.path.truncate(length);
                }
            }
            _ => {}
        }
    }

    /// Items of a list that preserves unknown fields preserve theirs.
    fn preserved(&mut self, value: &mut Value, node: &Node) {
        match value {
            Value::Array(items) => {
                for (index, item) in items.iter_mut().enumerate() {
                    let length = self.enter_index(index);
                    if let Some(item_node) = &node.items {
                        self.preserved(item, item_node);
                    }
                    self.path.truncate(length);
                }
            }
            Value::Object(object) => {
                for (name, value) in object.iter_mut() {
                    if let Some(field) =
                        node.field(name).filter(|_| !(node.embedded_resource && is_meta(name)))
                    {
                        let length = self.enter_field(name);
                        self.declared(value, field, false);
                        self.path.truncate(length);
                    }
                }
            }
            _ => {}
        }
    }

    /// Where the schema says nothing, no field is known.
    fn undeclared(&mut self, value: &mut Value) {
        match value {
            Value::Object(object) => {
                self.unknown.extend(object.keys().map(|name| format!("{}.{name}", self.path)));
                object.clear();
            }
            Value::Array(items) if self.depth < LIMITS.object_depth => {
                self.depth += 1;
                for (index, item) in items.iter_mut().enumerate() {
                    let length = self.enter_index(index);
                    self.undeclared(item);
                    self.path.truncate(length);
                }
                self.depth -= 1;
            }
            _ => {}
        }
    }

    fn embedded_metadata(&mut self, object_metadata: Option<&mut Value>) {
        if let Some(object_metadata) = object_metadata {
            let path = join(&self.path, "metadata");
            metadata::prune(object_metadata, &path, &mut self.in_metadata);
        }
    }

    fn enter_field(&mut self, name: &str) -> usize {
        let length = self.path.len();
        if length > 0 {
            self.path.push('.');
        }
        self.path.push_str(name);
        length
    }

    fn enter_index(&mut self, index: usize) -> usize {
        let length = self.path.len();
        self.path.push_str(&format!("[{index}]"));
        length
    }
}

fn join(path: &str, name: &str) -> String {
    if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") }
}

fn is_meta(name: &str) -> bool {
    matches!(name, "apiVersion" | "kind" | "metadata")
}
