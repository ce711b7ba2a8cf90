//! Which old value a new value succeeds, so that what an update leaves alone is not held against it.
//! Lists correlate by their map keys or not at all.

use super::node::{ListType, Node, Type};
use serde_json::Value;
use std::collections::HashMap;

/// A value, the one it replaces, and the schema of both.
#[derive(Debug, Clone, Copy)]
pub(super) struct Correlated<'a> {
    pub(super) new: &'a Value,
    pub(super) old: &'a Value,
    node: &'a Node,
}

impl<'a> Correlated<'a> {
    pub(super) fn new(new: &'a Value, old: &'a Value, node: &'a Node) -> Self {
        Self { new, old, node }
    }

    /// A field that both objects have and the schema knows.
    pub(super) fn field(&self, name: &str) -> Option<Self> {
        let (new, old) = (self.new.as_object()?.get(name)?, self.old.as_object()?.get(name)?);
        Some(Self { new, old, node: self.node.field(name)? })
    }

    /// The old list by its keys, to correlate the new list's items with.
    pub(super) fn items(&self) -> Items<'a> {
        let old = self.old.as_array().map(Vec::as_slice).unwrap_or_default();
        Items { list: Some(*self), by_key: MapList::of(self.node, old) }
    }

    /// Whether nothing changed. What cannot be correlated counts as changed, so a value is never
    /// called equal for its unknown fields.
    pub(super) fn is_unchanged(&self) -> bool {
        match (self.new, self.old) {
            (Value::Array(new), Value::Array(old)) => {
                new.len() == old.len()
                    && match self.node.list_type {
                        ListType::Map(_) => {
                            let items = self.items();
                            (0..new.len())
                                .all(|index| items.get(index).is_some_and(|item| item.is_unchanged()))
                        }
                        _ => new == old,
                    }
            }
            (Value::Object(new), Value::Object(old)) => {
                new.len() == old.len()
                    && new.keys().all(|name| self.field(name).is_some_and(|field| field.is_unchanged()))
            }
            (new, old) => new == old,
        }
    }
}

/// Correlation of a list's items.
#[derive(Debug, Default)]
pub(super) struct Items<'a> {
    list: Option<Correlated<'a>>,
    by_key: MapList<'a>,
}

impl<'a> Items<'a> {
    pub(super) fn get(&self, index: usize) -> Option<Correlated<'a>> {
        let list = self.list?;
        let new = list.new.as_array()?.get(index)?;
        Some(Correlated { new, old: self.by_key.get(new)?, node: list.node.items.as_deref()? })
    }
}

/// A list whose items are found by the values of their keys; empty for lists of another type.
#[derive(Debug, Default)]
pub(super) struct MapList<'a> {
    keys: &'a [String],
    items: HashMap<String, &'a Value>,
}

impl<'a> MapList<'a> {
    pub(super) fn of(node: &'a Node, items: &'a [Value]) -> Self {
        let ListType::Map(keys) = &node.list_type else {
            return Self::default();
        };
        if !node.has_type(Type::Array) {
            return Self::default();
        }
        let mut list = Self { keys, items: HashMap::new() };
        for item in items {
            if let Some(key) = list.key_of(item) {
                list.items.entry(key).or_insert(item);
            }
        }
        list
    }

    pub(super) fn get(&self, item: &Value) -> Option<&'a Value> {
        self.items.get(&self.key_of(item)?).copied()
    }

    /// Nothing for items that lack a key or have one that is no scalar.
    fn key_of(&self, item: &Value) -> Option<String> {
        let item = item.as_object()?;
        let mut composite = String::new();
        for key in self.keys {
            match item.get(key)? {
                Value::Null | Value::Array(_) | Value::Object(_) => return None,
                scalar => composite.push_str(&scalar.to_string()),
            }
            composite.push('\0');
        }
        Some(composite)
    }
}
