//! What differs between two objects of one type, field by field.

use super::path::{self, Step};
use super::print::Numbers;
use super::set::FieldSet;
use super::typed::{NO_TYPE, Pairing, Problems, Shape, as_list, as_map, item_step, scalar_problem};
use crate::types::{ListOf, MapOf, Typed};
use serde_json::{Map, Value};
use std::collections::BTreeMap;

/// No field is in two of the sets.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Comparison {
    pub(crate) removed: FieldSet,
    pub(crate) modified: FieldSet,
    pub(crate) added: FieldSet,
}

impl Comparison {
    /// Leaves out fields, and what is inside them.
    pub(crate) fn without(self, fields: &FieldSet) -> Self {
        Self {
            removed: self.removed.recursive_difference(fields),
            modified: self.modified.recursive_difference(fields),
            added: self.added.recursive_difference(fields),
        }
    }
}

pub(crate) fn compare(typed: Typed<'_>, old: &Value, new: &Value) -> Result<Comparison, Problems> {
    let mut comparer =
        Comparer { path: Vec::new(), found: Comparison::default(), problems: Problems::default() };
    comparer.pair(typed, Some(old), Some(new));
    comparer.problems.or(comparer.found)
}

struct Comparer {
    path: Vec<Step>,
    found: Comparison,
    problems: Problems,
}

/// Two values of which at most one is absent.
type Side<'v> = Option<&'v Value>;

impl Comparer {
    fn pair(&mut self, typed: Typed<'_>, old: Side<'_>, new: Side<'_>) {
        let leaf = match Pairing::of(typed.atom(), old, new) {
            Pairing::One(shape) => self.shape(typed, shape, old, new),
            Pairing::Both(of_old, of_new) => {
                self.shape(typed, of_old, old, new);
                self.shape(typed, of_new, old, new)
            }
        };
        if !leaf {
            match (old, new) {
                (None, _) => self.found.added.insert(&self.path),
                (_, None) => self.found.removed.insert(&self.path),
                _ => {}
            }
        }
    }

    /// Whether the values were compared as a whole.
    fn shape(&mut self, typed: Typed<'_>, shape: Shape<'_>, old: Side<'_>, new: Side<'_>) -> bool {
        match shape {
            Shape::Map(map) => {
                let (l, r) = (as_map(old), as_map(new));
                if map.atomic || (l.is_none_or(Map::is_empty) && r.is_none_or(Map::is_empty)) {
                    return self.leaf(old, new);
                }
                self.maps(typed, map, l, r);
            }
            Shape::List(list) => {
                let (l, r) = (as_list(old).unwrap_or_default(), as_list(new).unwrap_or_default());
                if list.identity.is_none() || (l.is_empty() && r.is_empty()) {
                    return self.leaf(old, new);
                }
                self.lists(typed, list, l, r);
            }
            Shape::Scalar(scalar) => {
                let problems = (
                    scalar_problem(scalar, old, "lhs: ", Numbers::Integers),
                    scalar_problem(scalar, new, "rhs: ", Numbers::Integers),
                );
                if let (Some(l), Some(r)) = problems {
                    self.problems.add(&self.path, l);
                    self.problems.add(&self.path, r);
                    return false;
                }
                return self.leaf(old, new);
            }
            Shape::Nothing => self.problems.add(&self.path, NO_TYPE),
        }
        false
    }

    fn leaf(&mut self, old: Side<'_>, new: Side<'_>) -> bool {
        match (old, new) {
            (None, _) => self.found.added.insert(&self.path),
            (_, None) => self.found.removed.insert(&self.path),
            (Some(old), Some(new)) if !path::equal(old, new) => self.found.modified.insert(&self.path),
            _ => {}
        }
        true
    }

    fn step(&mut self, step: Step, typed: Typed<'_>, old: Side<'_>, new: Side<'_>) {
        self.path.push(step);
        self.pair(typed, old, new);
        self.path.pop();
    }

    fn maps(
        &mut self,
        typed: Typed<'_>,
        map: &MapOf,
        old: Option<&Map<String, Value>>,
        new: Option<&Map<String, Value>>,
    ) {
        for (name, value) in old.into_iter().flatten() {
            let other = new.and_then(|new| new.get(name));
            self.step(Step::field(name), typed.at(map.field(name)), Some(value), other);
        }
        for (name, value) in new.into_iter().flatten() {
            if old.is_none_or(|old| !old.contains_key(name)) {
                self.step(Step::field(name), typed.at(map.field(name)), None, Some(value));
            }
        }
    }

    fn lists(&mut self, typed: Typed<'_>, list: &ListOf, old: &[Value], new: &[Value]) {
        let mut items: BTreeMap<Step, (Vec<&Value>, Vec<&Value>)> = BTreeMap::new();
        for (index, item) in old.iter().enumerate() {
            if let Some(step) = self.item(typed, list, index, item) {
                items.entry(step).or_default().0.push(item);
            }
        }
        for (index, item) in new.iter().enumerate() {
            if let Some(step) = self.item(typed, list, index, item) {
                items.entry(step).or_default().1.push(item);
            }
        }
        let element = typed.at(list.element);
        for (step, (old, new)) in items {
            self.items(step, element, &old, &new);
        }
    }

    fn item(&mut self, typed: Typed<'_>, list: &ListOf, index: usize, item: &Value) -> Option<Step> {
        match item_step(typed, list, item) {
            Ok(step) => Some(step),
            Err(text) => {
                self.problems.add(&self.path, format!("element {index}: {text}"));
                None
            }
        }
    }

    /// Items that are there twice are compared as a whole, and only their presence counts.
    fn items(&mut self, step: Step, element: Typed<'_>, old: &[&Value], new: &[&Value]) {
        let mut here = self.path.clone();
        here.push(step.clone());
        match (old.len(), new.len()) {
            (0 | 1, 0 | 1) => self.step(step, element, old.first().copied(), new.first().copied()),
            (0 | 1, _) => {
                if let Some(old) = old.first() {
                    self.step(step, element, Some(old), None);
                }
                self.found.added.insert(&here);
            }
            (_, 0 | 1) => {
                if let Some(new) = new.first() {
                    self.step(step, element, None, Some(new));
                }
                self.found.removed.insert(&here);
            }
            (before, after) => {
                let same = before == after && old.iter().zip(new).all(|(old, new)| path::equal(old, new));
                if !same {
                    self.found.modified.insert(&here);
                }
            }
        }
    }
}
