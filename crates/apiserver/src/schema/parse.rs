//! `openAPIV3Schema` to [`Node`], refusing what the API server would refuse in a definition.
//! Everything that can fail about a schema fails here, never while an object is handled.

use super::format::Format;
use super::node::{Additional, ListType, Node, NumberBounds, Properties, StringBounds, Type};
use super::pattern::Pattern;
use super::rules::{Rule, RuleError, RuleVerdict};
use super::{LIMITS, defaulting, prune};
use serde_json::{Map, Value};

/// Why a schema cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("{path}: {problem}")]
pub struct SchemaError {
    /// Where in the schema: `openAPIV3Schema.properties[spec].pattern`.
    pub path: String,
    /// What is wrong there.
    pub problem: SchemaProblem,
}

/// What can be wrong with a schema.
#[derive(Debug, thiserror::Error)]
pub enum SchemaProblem {
    /// The JSON there is of another type.
    #[error("must be {0}")]
    Expected(&'static str),
    /// The text there is none of those that have a meaning.
    #[error("Unsupported value: {0:?}")]
    Unsupported(String),
    /// The construct exists in OpenAPI, but a structural schema must not have it.
    #[error("Forbidden: {0}")]
    Forbidden(&'static str),
    /// A list map without keys, or with keys that its items do not declare.
    #[error("entries must all be names of item properties")]
    ListMapKeys,
    /// The pattern does not compile.
    #[error("invalid pattern: {0}")]
    Pattern(String),
    /// The rule does not compile.
    #[error(transparent)]
    Rule(#[from] RuleError),
    /// The schema nests deeper than [`LIMITS`] allow.
    #[error("nested deeper than {} levels", LIMITS.schema_depth)]
    TooDeep,
}

const FORBIDDEN: [(&str, &str); 6] = [
    ("id", "id is not supported"),
    ("additionalItems", "additionalItems is not supported"),
    ("patternProperties", "patternProperties is not supported"),
    ("definitions", "definitions is not supported"),
    ("dependencies", "dependencies is not supported"),
    ("$ref", "$ref is not supported"),
];

pub(super) fn parse(schema: &Value) -> Result<Node, SchemaError> {
    let place = Place { path: "openAPIV3Schema".to_owned(), depth: 0 };
    let mut root = place.node(schema)?;
    check_rules(&root, &root, true, &place)?;
    prune_defaults(&mut root);
    Ok(root)
}

/// The schema of a part of an object.
pub(super) fn parse_part(schema: &Value) -> Result<Node, SchemaError> {
    let place = Place { path: String::new(), depth: 0 };
    let mut node = place.node(schema)?;
    prune_defaults(&mut node);
    Ok(node)
}

/// Judges the rules of a schema itself; nothing if its structure cannot be read.
pub(super) fn judge_rules(schema: &Value, is_resource: bool) -> Vec<RuleVerdict> {
    let Some(node) = without_rules(schema) else { return Vec::new() };
    let rules = schema["x-kubernetes-validations"].as_array().into_iter().flatten();
    rules.map(|rule| RuleVerdict::of(rule, &node, is_resource)).collect()
}

/// The structure of a schema, if it can be read.
pub(super) fn without_rules(schema: &Value) -> Option<Node> {
    let mut structure = schema.clone();
    drop_rules(&mut structure);
    Place { path: String::new(), depth: 0 }.node(&structure).ok()
}

fn drop_rules(schema: &mut Value) {
    match schema {
        Value::Object(fields) => {
            fields.shift_remove("x-kubernetes-validations");
            fields.values_mut().for_each(drop_rules);
        }
        Value::Array(items) => items.iter_mut().for_each(drop_rules),
        _ => {}
    }
}

/// A default never brings in what would be pruned from an object.
fn prune_defaults(node: &mut Node) {
    if let Some(mut default) = node.default.take() {
        prune::drop_unknown(&mut default, node);
        defaulting::drop_nulls(&mut default, node);
        node.default = Some(default);
    }
    node.properties.iter_mut().for_each(prune_defaults);
    node.items.as_deref_mut().into_iter().for_each(prune_defaults);
    if let Some(Additional::Schema(entry)) = &mut node.additional {
        prune_defaults(entry);
    }
}

/// Rules name fields; this looks each up in the schema the rule's `self` has.
///
/// `rules` and `typed` differ inside `allOf`, whose branches have rules but borrow the types from outside.
fn check_rules(rules: &Node, typed: &Node, resource_root: bool, place: &Place) -> Result<(), SchemaError> {
    for (index, rule) in rules.rules.iter().enumerate() {
        let check = rule.check(typed, resource_root || typed.embedded_resource);
        check.map_err(|error| place.child(&format!("x-kubernetes-validations[{index}]")).error(error))?;
    }
    for (name, property) in rules.properties.iter() {
        if let Some(typed) = typed.properties.get(name) {
            check_rules(property, typed, false, &place.child(&format!("properties[{name}]")))?;
        }
    }
    if let (Some(rules), Some(typed)) = (&rules.items, &typed.items) {
        check_rules(rules, typed, false, &place.child("items"))?;
    }
    if let (Some(Additional::Schema(rules)), Some(Additional::Schema(typed))) =
        (&rules.additional, &typed.additional)
    {
        check_rules(rules, typed, false, &place.child("additionalProperties"))?;
    }
    for (index, branch) in rules.all_of.iter().enumerate() {
        check_rules(branch, typed, resource_root, &place.child(&format!("allOf[{index}]")))?;
    }
    Ok(())
}

/// Where in the schema the parser is.
struct Place {
    path: String,
    depth: usize,
}

impl Place {
    fn child(&self, segment: &str) -> Self {
        Self { path: format!("{}.{segment}", self.path), depth: self.depth + 1 }
    }

    fn error(&self, problem: impl Into<SchemaProblem>) -> SchemaError {
        SchemaError { path: self.path.clone(), problem: problem.into() }
    }

    fn node(&self, schema: &Value) -> Result<Node, SchemaError> {
        let fields = Fields { place: self, map: self.object(schema)? };
        if self.depth > LIMITS.schema_depth {
            return Err(self.error(SchemaProblem::TooDeep));
        }
        fields.refuse_forbidden()?;
        let int_or_string = fields.flag("x-kubernetes-int-or-string")?;
        let types = fields.types(int_or_string)?;
        let mut node = Node {
            format: fields.text("format")?.and_then(|name| Format::of(name, &types)),
            types,
            int_or_string,
            nullable: fields.flag("nullable")?,
            enumeration: fields.list("enum")?.to_vec(),
            number: fields.number_bounds()?,
            string: fields.string_bounds()?,
            min_items: fields.integer("minItems")?,
            max_items: fields.integer("maxItems")?,
            items: fields.child("items")?,
            min_properties: fields.integer("minProperties")?,
            max_properties: fields.integer("maxProperties")?,
            required: fields.texts("required")?,
            properties: fields.properties()?,
            additional: fields.additional()?,
            default: fields.map.get("default").filter(|default| !default.is_null()).cloned(),
            preserve_unknown_fields: fields.flag("x-kubernetes-preserve-unknown-fields")?,
            embedded_resource: fields.flag("x-kubernetes-embedded-resource")?,
            list_type: ListType::Atomic,
            rules: fields.rules()?,
            has_rules: false,
            all_of: fields.children("allOf")?,
            any_of: fields.children("anyOf")?,
            one_of: fields.children("oneOf")?,
            not: fields.child("not")?,
        };
        node.list_type = fields.list_type(&node)?;
        node.has_rules = !node.rules.is_empty()
            || node.items.as_ref().is_some_and(|items| items.has_rules)
            || matches!(&node.additional, Some(Additional::Schema(entry)) if entry.has_rules)
            || node.properties.iter().any(|(_, property)| property.has_rules);
        Ok(node)
    }

    fn object<'v>(&self, value: &'v Value) -> Result<&'v Map<String, Value>, SchemaError> {
        value.as_object().ok_or_else(|| self.error(SchemaProblem::Expected("an object")))
    }
}

/// The keywords of one schema, read by name.
struct Fields<'a> {
    place: &'a Place,
    map: &'a Map<String, Value>,
}

impl<'a> Fields<'a> {
    fn refuse_forbidden(&self) -> Result<(), SchemaError> {
        for (keyword, reason) in FORBIDDEN {
            if self.map.contains_key(keyword) {
                return Err(self.error(keyword, SchemaProblem::Forbidden(reason)));
            }
        }
        if self.flag("uniqueItems")? {
            let reason = "uniqueItems cannot be set to true since the runtime complexity becomes quadratic";
            return Err(self.error("uniqueItems", SchemaProblem::Forbidden(reason)));
        }
        Ok(())
    }

    fn types(&self, int_or_string: bool) -> Result<Vec<Type>, SchemaError> {
        if int_or_string {
            return Ok(vec![Type::Integer, Type::String]);
        }
        let Some(name) = self.text("type")?.filter(|name| !name.is_empty()) else {
            return Ok(Vec::new());
        };
        match Type::ALL.into_iter().find(|known| known.name() == name) {
            Some(known) => Ok(vec![known]),
            None => Err(self.error("type", SchemaProblem::Unsupported(name.to_owned()))),
        }
    }

    fn number_bounds(&self) -> Result<NumberBounds, SchemaError> {
        Ok(NumberBounds {
            minimum: self.number("minimum")?,
            exclusive_minimum: self.flag("exclusiveMinimum")?,
            maximum: self.number("maximum")?,
            exclusive_maximum: self.flag("exclusiveMaximum")?,
            multiple_of: self.number("multipleOf")?,
        })
    }

    fn string_bounds(&self) -> Result<StringBounds, SchemaError> {
        let pattern = self.text("pattern")?.filter(|pattern| !pattern.is_empty());
        let compiled = pattern.map(Pattern::compile).transpose();
        Ok(StringBounds {
            min_length: self.integer("minLength")?,
            max_length: self.integer("maxLength")?,
            pattern: compiled
                .map_err(|error| self.error("pattern", SchemaProblem::Pattern(error.to_string())))?,
        })
    }

    fn properties(&self) -> Result<Properties, SchemaError> {
        let mut properties = Properties::default();
        if let Some(declared) = self.get("properties") {
            for (name, schema) in self.place.child("properties").object(declared)? {
                let node = self.place.child(&format!("properties[{name}]")).node(schema)?;
                properties.insert(name.clone(), node);
            }
        }
        Ok(properties)
    }

    fn additional(&self) -> Result<Option<Additional>, SchemaError> {
        let keyword = "additionalProperties";
        match self.get(keyword) {
            None => Ok(None),
            Some(_)
                if self.get("properties").is_some_and(|p| p.as_object().is_none_or(|p| !p.is_empty())) =>
            {
                let reason = "additionalProperties and properties are mutual exclusive";
                Err(self.error(keyword, SchemaProblem::Forbidden(reason)))
            }
            Some(Value::Bool(true)) => Ok(Some(Additional::Any)),
            // What is not declared is dropped in any case.
            Some(Value::Bool(false)) => Ok(None),
            Some(schema) => Ok(Some(Additional::Schema(Box::new(self.place.child(keyword).node(schema)?)))),
        }
    }

    fn list_type(&self, node: &Node) -> Result<ListType, SchemaError> {
        let keyword = "x-kubernetes-list-type";
        match self.text(keyword)? {
            None | Some("atomic") => Ok(ListType::Atomic),
            Some("set") => Ok(ListType::Set),
            Some("map") => {
                let keyword = "x-kubernetes-list-map-keys";
                let keys = self.texts(keyword)?;
                let item = node.items.as_deref();
                let declared = |key: &String| item.is_some_and(|item| item.properties.get(key).is_some());
                if keys.is_empty() || !keys.iter().all(declared) {
                    return Err(self.error(keyword, SchemaProblem::ListMapKeys));
                }
                Ok(ListType::Map(keys))
            }
            Some(other) => Err(self.error(keyword, SchemaProblem::Unsupported(other.to_owned()))),
        }
    }

    fn rules(&self) -> Result<Vec<Rule>, SchemaError> {
        let keyword = "x-kubernetes-validations";
        let rules = self.list(keyword)?.iter().enumerate();
        rules
            .map(|(index, rule)| {
                Rule::parse(rule).map_err(|error| self.error(&format!("{keyword}[{index}]"), error))
            })
            .collect()
    }

    fn child(&self, keyword: &str) -> Result<Option<Box<Node>>, SchemaError> {
        self.get(keyword).map(|schema| self.place.child(keyword).node(schema).map(Box::new)).transpose()
    }

    fn children(&self, keyword: &str) -> Result<Vec<Node>, SchemaError> {
        let schemas = self.list(keyword)?.iter().enumerate();
        schemas.map(|(index, schema)| self.place.child(&format!("{keyword}[{index}]")).node(schema)).collect()
    }

    fn flag(&self, keyword: &str) -> Result<bool, SchemaError> {
        self.typed(keyword, "true or false", Value::as_bool).map(Option::unwrap_or_default)
    }

    fn number(&self, keyword: &str) -> Result<Option<f64>, SchemaError> {
        self.typed(keyword, "a number", Value::as_f64)
    }

    fn integer(&self, keyword: &str) -> Result<Option<i64>, SchemaError> {
        self.typed(keyword, "an integer", Value::as_i64)
    }

    fn text(&self, keyword: &str) -> Result<Option<&'a str>, SchemaError> {
        self.typed(keyword, "a string", Value::as_str)
    }

    fn list(&self, keyword: &str) -> Result<&'a [Value], SchemaError> {
        let list = self.typed(keyword, "a list", Value::as_array)?;
        Ok(list.map(Vec::as_slice).unwrap_or_default())
    }

    fn texts(&self, keyword: &str) -> Result<Vec<String>, SchemaError> {
        let texts = self.list(keyword)?.iter().map(|text| text.as_str().map(str::to_owned));
        let texts: Option<_> = texts.collect();
        texts.ok_or_else(|| self.error(keyword, SchemaProblem::Expected("a list of strings")))
    }

    fn typed<T>(
        &self,
        keyword: &str,
        expected: &'static str,
        read: impl Fn(&'a Value) -> Option<T>,
    ) -> Result<Option<T>, SchemaError> {
        let Some(value) = self.get(keyword) else {
            return Ok(None);
        };
        read(value).map(Some).ok_or_else(|| self.error(keyword, SchemaProblem::Expected(expected)))
    }

    fn get(&self, keyword: &str) -> Option<&'a Value> {
        self.map.get(keyword).filter(|value| !value.is_null())
    }

    fn error(&self, keyword: &str, problem: impl Into<SchemaProblem>) -> SchemaError {
        self.place.child(keyword).error(problem)
    }
}
