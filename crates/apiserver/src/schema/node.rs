//! The schema as a tree of plain facts, each field looked up in JSON once.
//! Knows no object; what a node means for one is decided in the modules beside it.

use super::format::Format;
use super::pattern::Pattern;
use super::rules::Rule;
use serde_json::Value;
use std::collections::HashMap;

/// One level of a structural schema.
#[derive(Debug, Default)]
pub(super) struct Node {
    /// The `type`, or the two that `x-kubernetes-int-or-string` stands for; empty when any type will do.
    pub(super) types: Vec<Type>,
    pub(super) int_or_string: bool,
    pub(super) nullable: bool,
    pub(super) format: Option<Format>,
    pub(super) enumeration: Vec<Value>,
    pub(super) number: NumberBounds,
    pub(super) string: StringBounds,
    pub(super) min_items: Option<i64>,
    pub(super) max_items: Option<i64>,
    pub(super) items: Option<Box<Node>>,
    pub(super) min_properties: Option<i64>,
    pub(super) max_properties: Option<i64>,
    pub(super) required: Vec<String>,
    pub(super) properties: Properties,
    pub(super) additional: Option<Additional>,
    /// Never `null`, which counts as no default.
    pub(super) default: Option<Value>,
    pub(super) preserve_unknown_fields: bool,
    pub(super) embedded_resource: bool,
    pub(super) list_type: ListType,
    pub(super) rules: Vec<Rule>,
    /// Whether this node or one below it (combinators aside) has rules.
    pub(super) has_rules: bool,
    pub(super) all_of: Vec<Node>,
    pub(super) any_of: Vec<Node>,
    pub(super) one_of: Vec<Node>,
    pub(super) not: Option<Box<Node>>,
}

impl Node {
    /// The schema of a field by name, whether it is a property or an entry of a map.
    pub(super) fn field(&self, name: &str) -> Option<&Node> {
        self.properties.get(name).or(match &self.additional {
            Some(Additional::Schema(node)) => Some(node),
            _ => None,
        })
    }

    pub(super) fn has_type(&self, wanted: Type) -> bool {
        self.types.contains(&wanted)
    }

    /// The `type` as written in the schema; empty for int-or-string.
    pub(super) fn type_name(&self) -> &'static str {
        match self.types.as_slice() {
            [single] if !self.int_or_string => single.name(),
            _ => "",
        }
    }
}

/// What a schema's `type` can be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Type {
    Object,
    Array,
    String,
    Integer,
    Number,
    Boolean,
}

impl Type {
    pub(super) const ALL: [Self; 6] =
        [Self::Object, Self::Array, Self::String, Self::Integer, Self::Number, Self::Boolean];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Object => "object",
            Self::Array => "array",
            Self::String => "string",
            Self::Integer => "integer",
            Self::Number => "number",
            Self::Boolean => "boolean",
        }
    }
}

/// `minimum` and its kin.
#[derive(Debug, Default)]
pub(super) struct NumberBounds {
    pub(super) minimum: Option<f64>,
    pub(super) exclusive_minimum: bool,
    pub(super) maximum: Option<f64>,
    pub(super) exclusive_maximum: bool,
    pub(super) multiple_of: Option<f64>,
}

/// `minLength` and its kin.
#[derive(Debug, Default)]
pub(super) struct StringBounds {
    pub(super) min_length: Option<i64>,
    pub(super) max_length: Option<i64>,
    pub(super) pattern: Option<Pattern>,
}

/// `additionalProperties`, which a structural schema cannot forbid.
#[derive(Debug)]
pub(super) enum Additional {
    Any,
    Schema(Box<Node>),
}

/// `x-kubernetes-list-type`.
#[derive(Debug, Default)]
pub(super) enum ListType {
    #[default]
    Atomic,
    Set,
    Map(Vec<String>),
}

/// Properties in the order the schema declares them.
#[derive(Debug, Default)]
pub(super) struct Properties {
    declared: Vec<(String, Node)>,
    position: HashMap<String, usize>,
}

impl Properties {
    pub(super) fn insert(&mut self, name: String, node: Node) {
        self.position.insert(name.clone(), self.declared.len());
        self.declared.push((name, node));
    }

    pub(super) fn get(&self, name: &str) -> Option<&Node> {
        let (_, node) = self.declared.get(*self.position.get(name)?)?;
        Some(node)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&str, &Node)> {
        self.declared.iter().map(|(name, node)| (name.as_str(), node))
    }

    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = &mut Node> {
        self.declared.iter_mut().map(|(_, node)| node)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.declared.is_empty()
    }
}
