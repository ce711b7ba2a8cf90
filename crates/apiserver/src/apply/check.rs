//! Whether a value is of its type, and which fields it has.

use super::path::Step;
use super::print::Numbers;
use super::set::FieldSet;
use super::typed::{Choice, NO_TYPE, Problems, Shape, as_list, as_map, item_step, printed, scalar_problem};
use crate::types::{ListOf, MapOf, TypeId, Typed};
use serde_json::{Map, Value};
use std::collections::BTreeSet;

/// Whether items of a list may be the same item twice, as in objects that were stored before anyone looked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Duplicates {
    Allowed,
    Refused,
}

/// Everything about a value that its type does not allow.
pub(crate) fn check(typed: Typed<'_>, value: &Value, duplicates: Duplicates) -> Result<(), Problems> {
    let mut checker = Checker { path: Vec::new(), problems: Problems::default(), duplicates };
    checker.value(typed, value);
    checker.problems.or(())
}

struct Checker {
    path: Vec<Step>,
    problems: Problems,
    duplicates: Duplicates,
}

impl Checker {
    fn value(&mut self, typed: Typed<'_>, value: &Value) {
        match Choice::of(typed.atom(), Some(value)).shape() {
            Shape::Map(map) => match value {
                Value::Object(fields) => self.map(typed, map, fields),
                Value::Null => {}
                _ => self.problem(format!("expected map, got {}", printed(value, self.numbers()))),
            },
            Shape::List(list) => match value {
                Value::Array(items) => self.list(typed, list, items),
                Value::Null => {}
                _ => self.problem(format!("expected list, got {}", printed(value, self.numbers()))),
            },
            Shape::Scalar(scalar) => {
                if let Some(text) = scalar_problem(scalar, Some(value), "", self.numbers()) {
                    self.problem(text);
                }
            }
            Shape::Nothing => self.problem(NO_TYPE.to_owned()),
        }
    }

    /// A configuration is read with numbers of another kind than a stored object.
    fn numbers(&self) -> Numbers {
        match self.duplicates {
            Duplicates::Allowed => Numbers::Integers,
            Duplicates::Refused => Numbers::Floats,
        }
    }

    fn problem(&mut self, text: String) {
        self.problems.add(&self.path, text);
    }

    fn map(&mut self, typed: Typed<'_>, map: &MapOf, fields: &Map<String, Value>) {
        for (name, value) in fields {
            self.path.push(Step::field(name));
            let type_id = map.field(name);
            let known = type_id != TypeId::NONE;
            if known {
                self.value(typed.at(type_id), value);
            } else {
                self.problem("field not declared in schema".to_owned());
            }
            self.path.pop();
            if !known {
                return;
            }
        }
    }

    fn list(&mut self, typed: Typed<'_>, list: &ListOf, items: &[Value]) {
        let mut seen = BTreeSet::new();
        for (index, item) in items.iter().enumerate() {
            let step = if list.identity.is_none() {
                Step::Index(i64::try_from(index).unwrap_or(i64::MAX))
            } else {
                match item_step(typed, list, item) {
                    Ok(step) => step,
                    Err(text) => return self.problem(format!("element {index}: {text}")),
                }
            };
            if list.identity.is_some() && !seen.insert(step.clone()) && self.duplicates == Duplicates::Refused
            {
                self.problem(format!("duplicate entries for key {step}"));
            }
            self.path.push(step);
            self.value(typed.at(list.element), item);
            self.path.pop();
        }
    }
}

/// Every field and every item that a value mentions.
pub(crate) fn field_set(typed: Typed<'_>, value: &Value) -> Result<FieldSet, Problems> {
    let mut collector =
        Collector { path: Vec::new(), set: FieldSet::default(), problems: Problems::default() };
    collector.value(typed, value);
    collector.problems.or(collector.set)
}

struct Collector {
    path: Vec<Step>,
    set: FieldSet,
    problems: Problems,
}

impl Collector {
    fn value(&mut self, typed: Typed<'_>, value: &Value) {
        match Choice::of(typed.atom(), Some(value)).shape() {
            Shape::Map(map) if map.atomic => self.insert(),
            Shape::List(list) if list.identity.is_none() => self.insert(),
            Shape::Map(map) => {
                for (name, value) in as_map(Some(value)).into_iter().flatten() {
                    self.entry(typed, map, name, value);
                }
            }
            Shape::List(list) => self.items(typed, list, as_list(Some(value)).unwrap_or_default()),
            Shape::Scalar(_) => self.insert(),
            Shape::Nothing => self.problems.add(&self.path, NO_TYPE),
        }
    }

    fn insert(&mut self) {
        self.set.insert(&self.path);
    }

    /// A declared struct is not a field of its own unless it is empty.
    fn entry(&mut self, typed: Typed<'_>, map: &MapOf, name: &str, value: &Value) {
        self.path.push(Step::field(name));
        self.value(typed.at(map.field(name)), value);
        let empty = value.is_null() || value.as_object().is_some_and(Map::is_empty);
        if empty || !map.fields.contains_key(name) {
            self.insert();
        }
        self.path.pop();
    }

    /// Of an item that is there twice only its presence counts.
    fn items(&mut self, typed: Typed<'_>, list: &ListOf, items: &[Value]) {
        let steps: Vec<_> = items.iter().map(|item| item_step(typed, list, item).ok()).collect();
        let mut seen = BTreeSet::new();
        let twice: BTreeSet<_> = steps.iter().flatten().filter(|step| !seen.insert(*step)).collect();
        for (step, item) in steps.iter().zip(items) {
            let Some(step) = step else { continue };
            self.path.push(step.clone());
            if !twice.contains(step) {
                self.value(typed.at(list.element), item);
            }
            self.insert();
            self.path.pop();
        }
    }
}
