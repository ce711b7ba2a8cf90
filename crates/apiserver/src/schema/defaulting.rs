//! Defaults of a schema, and what becomes of `null` where the schema does not allow it.

use super::node::{Additional, Node};
use serde_json::Value;

/// Takes out every `null` of a field that is neither nullable nor has a default to replace it.
pub(super) fn drop_nulls(value: &mut Value, node: &Node) {
    match value {
        Value::Object(object) => {
            object.retain(|name, value| {
                !node
                    .field(name)
                    .is_some_and(|field| value.is_null() && !field.nullable && field.default.is_none())
            });
            for (name, value) in object.iter_mut() {
                if let Some(field) = node.field(name) {
                    drop_nulls(value, field);
                }
            }
        }
        Value::Array(items) => {
            if let Some(item_node) = &node.items {
                items.iter_mut().for_each(|item| drop_nulls(item, item_node));
            }
        }
        _ => {}
    }
}

/// Fills in the defaults of fields that are missing, or `null` without being nullable.
pub(super) fn fill_in(value: &mut Value, node: &Node) {
    match value {
        Value::Object(object) => {
            for (name, property) in node.properties.iter() {
                if let Some(default) = &property.default
                    && object.get(name).is_none_or(|value| value.is_null() && !property.nullable)
                {
                    object.insert(name.to_owned(), default.clone());
                }
            }
            for (name, value) in object.iter_mut() {
                if let Some(property) = node.properties.get(name) {
                    fill_in(value, property);
                } else if let Some(Additional::Schema(entry)) = &node.additional {
                    replace_null(value, entry);
                    fill_in(value, entry);
                }
            }
        }
        Value::Array(items) => {
            if let Some(item_node) = &node.items {
                for item in items {
                    replace_null(item, item_node);
                    fill_in(item, item_node);
                }
            }
        }
        _ => {}
    }
}

fn replace_null(value: &mut Value, node: &Node) {
    if value.is_null()
        && !node.nullable
        && let Some(default) = &node.default
    {
        *value = default.clone();
    }
}
