//! Values against the value rules of a schema: types, bounds, enumerations, combinators.
//! Knows neither rules in CEL nor lists' uniqueness; those look at objects that passed here.

use super::correlate::{Correlated, Items};
use super::error::FieldError;
use super::node::{Additional, Node, Type};
use super::number::{self, Finding};
use super::path::Path;
use super::text;
use serde_json::{Map, Value};

/// Checks an object, or with `base` one field of an object whose paths begin there.
pub(super) fn check(
    node: &Node,
    value: &Value,
    correlated: Option<Correlated<'_>>,
    base: Option<&str>,
) -> Vec<FieldError> {
    Checker { base }.tolerant(node, &Path::Root, value, correlated).errors
}

/// What a check found, and how many of its parts passed: the measure by which the most telling
/// branch of `anyOf` and `oneOf` is picked.
#[derive(Debug, Default)]
struct Outcome {
    errors: Vec<FieldError>,
    passed: usize,
}

impl Outcome {
    fn of(error: Option<FieldError>) -> Self {
        Self { errors: error.into_iter().collect(), passed: 0 }
    }

    fn is_valid(&self) -> bool {
        self.errors.is_empty()
    }

    fn merge(&mut self, other: Self) {
        self.errors.extend(other.errors);
        self.passed += other.passed;
    }
}

struct Checker<'a> {
    base: Option<&'a str>,
}

impl Checker<'_> {
    /// Errors in what an update leaves unchanged are forgiven.
    fn tolerant(
        &self,
        node: &Node,
        path: &Path<'_>,
        value: &Value,
        correlated: Option<Correlated<'_>>,
    ) -> Outcome {
        let mut outcome = self.node(node, path, value, correlated.as_ref());
        if !outcome.is_valid() && correlated.is_some_and(|correlated| correlated.is_unchanged()) {
            outcome.errors.clear();
        }
        outcome
    }

    fn node(
        &self,
        node: &Node,
        path: &Path<'_>,
        value: &Value,
        correlated: Option<&Correlated<'_>>,
    ) -> Outcome {
        let mut outcome = Outcome::default();
        if value.is_null() {
            outcome.merge(self.type_of(node, path, value));
            outcome.merge(self.enumeration(node, path, value));
            return outcome;
        }
        if !node.types.is_empty() || node.format.is_some() {
            outcome.merge(self.type_of(node, path, value));
            outcome.passed += 1;
        }
        outcome.merge(self.combinators(node, path, value));
        match value {
            Value::String(string) => {
                outcome.merge(Outcome::of(self.string(node, path, string)));
                outcome.passed += 1;
                if let Some(error) = self.format(node, path, string) {
                    outcome.errors.push(error);
                }
                outcome.passed +=
                    usize::from(node.format.as_ref().is_some_and(|format| format.text().is_some()));
            }
            Value::Number(number) => {
                let findings = number::check(node, number);
                outcome.errors.extend(findings.into_iter().map(|finding| self.number(path, finding)));
                outcome.passed += 2;
            }
            Value::Array(items) => {
                outcome.merge(self.array(node, path, items, correlated));
                outcome.passed += 2;
            }
            Value::Object(_) | Value::Bool(_) | Value::Null => {}
        }
        outcome.merge(self.enumeration(node, path, value));
        outcome.passed += 1;
        if let Value::Object(object) = value {
            outcome.merge(self.object(node, path, object, correlated));
            outcome.passed += 1;
        }
        outcome.passed += 2;
        outcome
    }

    fn type_of(&self, node: &Node, path: &Path<'_>, value: &Value) -> Outcome {
        let mismatch =
            |expected: &str, actual: &str| Outcome::of(Some(self.mismatch(path, expected, actual)));
        let types = || node.types.iter().map(|expected| expected.name()).collect::<Vec<_>>().join(",");
        let (actual, actual_format) = match value {
            Value::Null if node.types.is_empty() || node.nullable => {
                return Outcome { passed: 1, ..Outcome::default() };
            }
            Value::Null => return mismatch(&types(), "null"),
            Value::Bool(_) => (Type::Boolean, ""),
            Value::String(_) => (Type::String, ""),
            Value::Number(number) if number.is_i64() => (Type::Integer, "int64"),
            Value::Number(_) => (Type::Number, "float64"),
            Value::Array(_) => (Type::Array, ""),
            Value::Object(_) => (Type::Object, ""),
        };
        let whole = value.as_f64().is_some_and(number::is_json_integer);
        let fits = node.has_type(actual)
            || actual == Type::Number && whole && node.has_type(Type::Integer)
            || actual == Type::Integer && node.has_type(Type::Number);
        let textual = matches!(actual, Type::String | Type::Array);
        let numeric = node.has_type(Type::Number) || node.has_type(Type::Integer);
        match &node.format {
            Some(format) if !textual && !fits && format.name() != actual_format => {
                mismatch(format.name(), actual_format)
            }
            Some(_) if textual && !numeric => Outcome { passed: 1, ..Outcome::default() },
            _ if !fits => mismatch(&types(), actual.name()),
            _ => Outcome { passed: 1, ..Outcome::default() },
        }
    }

    fn combinators(&self, node: &Node, path: &Path<'_>, value: &Value) -> Outcome {
        let mut outcome = Outcome { passed: 1, ..Outcome::default() };
        let branch = |branch| self.node(branch, path, value, None); // branches forgive nothing
        let quoted = || text::quote(&path.in_body());
        if !node.any_of.is_empty() {
            let (valid, telling) = pick(node.any_of.iter().map(branch), true);
            if valid == 0 {
                let text = format!("{} must validate at least one schema (anyOf)", quoted());
                outcome.errors.push(self.general(&text));
            }
            outcome.merge(telling);
        }
        if !node.one_of.is_empty() {
            let (valid, telling) = pick(node.one_of.iter().map(branch), false);
            if valid != 1 {
                let found = match valid {
                    0 => "Found none valid".to_owned(),
                    several => format!("Found {several} valid alternatives"),
                };
                let text = format!("{} must validate one and only one schema (oneOf). {found}", quoted());
                outcome.errors.push(self.general(&text));
            }
            if valid < 2 {
                outcome.merge(telling);
            }
        }
        let mut valid = 0;
        for each in node.all_of.iter().map(branch) {
            valid += usize::from(each.is_valid());
            outcome.merge(each);
        }
        if valid != node.all_of.len() {
            let none = if valid == 0 { ". None validated" } else { "" };
            outcome
                .errors
                .push(self.general(&format!("{} must validate all the schemas (allOf){none}", quoted())));
        }
        if node.not.as_ref().is_some_and(|not| branch(not).is_valid()) {
            outcome.errors.push(self.general(&format!("{} must not validate the schema (not)", quoted())));
        }
        outcome
    }

    fn string(&self, node: &Node, path: &Path<'_>, string: &str) -> Option<FieldError> {
        let bounds = &node.string;
        let length = || i64::try_from(string.chars().count()).unwrap_or(i64::MAX);
        if let Some(max) = bounds.max_length.filter(|max| length() > *max) {
            return Some(FieldError::too_long(self.field(path), max));
        }
        let detail = match (bounds.min_length.filter(|min| length() < *min), &bounds.pattern) {
            (Some(min), _) => format!("should be at least {min} chars long"),
            (None, Some(pattern)) if !pattern.matches(string) => format!("should match '{}'", pattern.source),
            _ => return None,
        };
        Some(FieldError::invalid_text(
            self.field(path),
            string,
            &format!("{} in body {detail}", path.in_body()),
        ))
    }

    fn format(&self, node: &Node, path: &Path<'_>, string: &str) -> Option<FieldError> {
        let format = node.format.as_ref()?;
        let refused = !format.text()?.accepts(string);
        refused.then(|| self.mismatch(path, format.name(), string))
    }

    fn number(&self, path: &Path<'_>, finding: Finding) -> FieldError {
        match finding {
            Finding::OutOfRange(text) => self.general(&format!("{text}{}", path.in_body())),
            Finding::ShouldBe { actual, text } => {
                let detail = format!("{} in body should be {text}", path.in_body());
                FieldError::invalid_printed(self.field(path), &actual, &detail)
            }
            Finding::FactorNotPositive(factor) => {
                let body = path.in_body();
                let detail = format!("factor MultipleOf declared for {body} must be positive: {factor}");
                FieldError::invalid_printed(self.field(path), &factor, &detail)
            }
        }
    }

    fn array(
        &self,
        node: &Node,
        path: &Path<'_>,
        items: &[Value],
        correlated: Option<&Correlated<'_>>,
    ) -> Outcome {
        let mut outcome = Outcome { passed: 1, ..Outcome::default() };
        if let Some(item_node) = &node.items {
            let old = correlated.map_or_else(Items::default, Correlated::items);
            for (index, item) in items.iter().enumerate() {
                outcome.merge(self.tolerant(item_node, &Path::Index(path, index), item, old.get(index)));
            }
        }
        let count = count(items.len());
        if let Some(min) = node.min_items.filter(|min| count < *min) {
            outcome.errors.push(self.too_few(path, items.len(), &format!("{min} items")));
        }
        if let Some(max) = node.max_items.filter(|max| count > *max) {
            outcome.errors.push(FieldError::too_many(self.field(path), items.len(), max));
        }
        outcome
    }

    fn object(
        &self,
        node: &Node,
        path: &Path<'_>,
        object: &Map<String, Value>,
        correlated: Option<&Correlated<'_>>,
    ) -> Outcome {
        let mut outcome = Outcome::default();
        let count = count(object.len());
        if let Some(min) = node.min_properties.filter(|min| count < *min) {
            outcome.errors.push(self.too_few(path, object.len(), &format!("{min} properties")));
        }
        if let Some(max) = node.max_properties.filter(|max| count > *max) {
            outcome.errors.push(FieldError::too_many(self.field(path), object.len(), max));
        }
        // An object's own version and kind are those asked for, so the old ones say nothing.
        let comparable = |name: &str| !(path.is_root() && matches!(name, "apiVersion" | "kind"));
        let old = |name: &str| correlated.filter(|_| comparable(name))?.field(name);
        if let Some(Additional::Schema(entry)) = &node.additional {
            for (name, value) in object {
                outcome.merge(self.tolerant(entry, &Path::Entry(path, name), value, old(name)));
            }
        }
        for (name, property) in node.properties.iter() {
            if let Some(value) = object.get(name) {
                outcome.merge(self.tolerant(property, &Path::Property(path, name), value, old(name)));
            }
        }
        for name in node.required.iter().filter(|name| !object.contains_key(*name)) {
            outcome.errors.push(FieldError::required(self.field(&Path::Entry(path, name)), ""));
        }
        outcome
    }

    fn enumeration(&self, node: &Node, path: &Path<'_>, value: &Value) -> Outcome {
        if node.enumeration.is_empty() || node.enumeration.iter().any(|allowed| is_enumerated(value, allowed))
        {
            return Outcome::default();
        }
        let print = |allowed: &Value| match allowed {
            Value::String(text) => text.clone(),
            other => text::json(other),
        };
        let allowed: Vec<_> = node.enumeration.iter().map(print).collect();
        Outcome::of(Some(FieldError::not_supported(self.field(path), value, &allowed)))
    }

    fn mismatch(&self, path: &Path<'_>, expected: &str, actual: &str) -> FieldError {
        let detail =
            format!("{} in body must be of type {expected}: {}", path.in_body(), text::quote(actual));
        FieldError::type_invalid(self.field(path), actual, &detail)
    }

    fn too_few(&self, path: &Path<'_>, actual: usize, min: &str) -> FieldError {
        let detail = format!("{} in body should have at least {min}", path.in_body());
        FieldError::invalid_printed(self.field(path), &actual.to_string(), &detail)
    }

    /// Errors of combinators and ranges carry their path in the text only.
    fn general(&self, detail: &str) -> FieldError {
        FieldError::invalid_text(self.field(&Path::Root), "", detail)
    }

    fn field(&self, path: &Path<'_>) -> String {
        let body = path.in_body();
        let body = body.strip_prefix('.').unwrap_or(&body);
        match (self.base, body) {
            (None, "") => Path::Root.as_field(),
            (None, body) => body.to_owned(),
            (Some(base), "") => base.to_owned(),
            (Some(base), body) => format!("{base}.{body}"),
        }
    }
}

/// How many branches are valid (at most one is looked for if `any` will do), and the outcome that
/// tells most: the first valid one, or the invalid one of which most passed.
fn pick(branches: impl Iterator<Item = Outcome>, any: bool) -> (usize, Outcome) {
    let mut valid = 0;
    let mut telling: Option<Outcome> = None;
    for branch in branches {
        let better = match &telling {
            None => true,
            Some(_) if branch.is_valid() => valid == 0,
            Some(best) => valid == 0 && branch.passed > best.passed,
        };
        valid += usize::from(branch.is_valid());
        if better {
            telling = Some(branch);
        }
        if any && valid > 0 {
            break;
        }
    }
    (valid, telling.unwrap_or_default())
}

/// Numbers compare as the type that the enumeration has them in.
fn is_enumerated(value: &Value, allowed: &Value) -> bool {
    match (value, allowed) {
        (Value::Null, _) => false,
        (Value::Number(value), Value::Number(allowed)) => match (value.as_f64(), allowed.as_i64()) {
            (Some(float), Some(integer)) if !value.is_i64() => float.trunc() == integer as f64,
            (float, None) => float == allowed.as_f64(),
            _ => value == allowed,
        },
        (value, allowed) => value == allowed,
    }
}

fn count(length: usize) -> i64 {
    i64::try_from(length).unwrap_or(i64::MAX)
}
