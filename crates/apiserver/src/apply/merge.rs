//! One object laid over another, and fields taken out of one.

use super::path::Step;
use super::print::Numbers;
use super::set::FieldSet;
use super::typed::{Choice, NO_TYPE, Pairing, Problems, Shape, as_list, as_map, item_step, scalar_problem};
use crate::types::{ListOf, MapOf, Typed};
use serde_json::{Map, Value};
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// `base` with everything that `over` says. Nothing is removed; a list that `over` orders has its order.
pub(crate) fn merge(typed: Typed<'_>, base: &Value, over: &Value) -> Result<Value, Problems> {
    let mut merger = Merger { path: Vec::new(), problems: Problems::default() };
    let merged = merger.pair(typed, Some(base), Some(over));
    merger.problems.or(merged.unwrap_or(Value::Null))
}

struct Merger {
    path: Vec<Step>,
    problems: Problems,
}

type Side<'v> = Option<&'v Value>;

impl Merger {
    fn pair(&mut self, typed: Typed<'_>, base: Side<'_>, over: Side<'_>) -> Option<Value> {
        match Pairing::of(typed.atom(), base, over) {
            Pairing::One(shape) => self.shape(typed, shape, base, over),
            Pairing::Both(of_base, of_over) => {
                self.shape(typed, of_base, base, over);
                self.shape(typed, of_over, base, over)
            }
        }
    }

    fn shape(&mut self, typed: Typed<'_>, shape: Shape<'_>, base: Side<'_>, over: Side<'_>) -> Option<Value> {
        match shape {
            Shape::Map(map) => {
                let (b, o) = (as_map(base), as_map(over));
                if map.atomic || (b.is_none_or(Map::is_empty) && o.is_none_or(Map::is_empty)) {
                    return over.or(base).cloned();
                }
                self.maps(typed, map, b, o)
            }
            Shape::List(list) => {
                let (b, o) = (as_list(base).unwrap_or_default(), as_list(over).unwrap_or_default());
                if list.identity.is_none() || (b.is_empty() && o.is_empty()) {
                    return over.or(base).cloned();
                }
                let items = Items {
                    of_base: self.index(typed, list, b, true),
                    of_over: self.index(typed, list, o, false),
                };
                let merged = items.merge(|step, base, over| {
                    self.path.push(step.clone());
                    let before = self.problems.0.len();
                    let merged = self.pair(typed.at(list.element), base, over);
                    self.problems.0.truncate(before);
                    self.path.pop();
                    merged
                });
                (!merged.is_empty()).then_some(Value::Array(merged))
            }
            Shape::Scalar(scalar) => {
                let problems = (
                    scalar_problem(scalar, base, "lhs: ", Numbers::Integers),
                    scalar_problem(scalar, over, "rhs: ", Numbers::Integers),
                );
                if let (Some(l), Some(r)) = problems {
                    self.problems.add(&self.path, l);
                    self.problems.add(&self.path, r);
                    return None;
                }
                over.or(base).cloned()
            }
            Shape::Nothing => {
                self.problems.add(&self.path, NO_TYPE);
                None
            }
        }
    }

    fn maps(
        &mut self,
        typed: Typed<'_>,
        map: &MapOf,
        base: Option<&Map<String, Value>>,
        over: Option<&Map<String, Value>>,
    ) -> Option<Value> {
        let mut merged = Map::new();
        let only_over =
            over.into_iter().flatten().filter(|(name, _)| base.is_none_or(|base| !base.contains_key(*name)));
        let names = base.into_iter().flatten().chain(only_over).map(|(name, _)| name);
        for name in names {
            let sides = (base.and_then(|base| base.get(name)), over.and_then(|over| over.get(name)));
            self.path.push(Step::field(name));
            if let Some(value) = self.pair(typed.at(map.field(name)), sides.0, sides.1) {
                merged.insert(name.clone(), value);
            }
            self.path.pop();
        }
        (!merged.is_empty()).then_some(Value::Object(merged))
    }

    fn index<'v>(
        &mut self,
        typed: Typed<'_>,
        list: &ListOf,
        items: &'v [Value],
        duplicates: bool,
    ) -> Indexed<'v> {
        let mut indexed = Indexed::default();
        for (index, item) in items.iter().enumerate() {
            let step = match item_step(typed, list, item) {
                Ok(step) => step,
                Err(text) => {
                    self.problems.add(&self.path, format!("element {index}: {text}"));
                    continue;
                }
            };
            if indexed.by_step.contains_key(&step) {
                if !duplicates {
                    self.problems.add(&self.path, format!("duplicate entries for key {step}"));
                    continue;
                }
                // Of an item that is there twice, neither is merged with.
                indexed.by_step.insert(step.clone(), &Value::Null);
            } else {
                indexed.by_step.insert(step.clone(), item);
            }
            indexed.order.push((step, item));
        }
        indexed
    }
}

/// A list in its order and by identity.
#[derive(Default)]
struct Indexed<'v> {
    order: Vec<(Step, &'v Value)>,
    by_step: BTreeMap<Step, &'v Value>,
}

struct Items<'v> {
    of_base: Indexed<'v>,
    of_over: Indexed<'v>,
}

impl Items<'_> {
    /// Items of both lists in the order of the upper one, with items of the lower one alone between them
    /// where they were.
    fn merge(self, mut pair: impl FnMut(&Step, Side<'_>, Side<'_>) -> Option<Value>) -> Vec<Value> {
        let Self { of_base, of_over } = self;
        let (base, over) = (&of_base.order, &of_over.order);
        let shared = over.iter().map(|(step, _)| step).filter(|step| of_base.by_step.contains_key(*step));
        let mut shared: VecDeque<&Step> = shared.collect();
        let mut next_shared = shared.pop_front();
        let mut done: BTreeSet<&Step> = BTreeSet::new();
        let mut merged = Vec::with_capacity(base.len().max(over.len()));
        let (mut b, mut o) = (0, 0);
        while b < base.len() || o < over.len() {
            if let (Some((step, _)), Some((wanted, _))) = (base.get(b), over.get(o)) {
                if step == wanted {
                    done.insert(step);
                    let sides = (of_base.by_step.get(step).copied(), of_over.by_step.get(step).copied());
                    merged.extend(pair(step, sides.0, sides.1));
                    (b, o) = (b + 1, o + 1);
                    next_shared = shared.pop_front();
                    continue;
                }
                if of_over.by_step.contains_key(step) && next_shared.is_some_and(|next| next != step) {
                    b += 1; // shared, but its turn comes with another item of the upper list
                    continue;
                }
            }
            if let Some((step, item)) = base.get(b) {
                if !of_over.by_step.contains_key(step) {
                    merged.extend(pair(step, Some(item), None));
                    b += 1;
                    continue;
                }
                if done.contains(step) || o == over.len() {
                    b += 1; // merged with the upper list already
                }
            }
            if let Some((step, _)) = over.get(o) {
                done.insert(step);
                let sides = (of_base.by_step.get(step).copied(), of_over.by_step.get(step).copied());
                merged.extend(pair(step, sides.0, sides.1));
                o += 1;
                if next_shared == Some(step) {
                    next_shared = shared.pop_front();
                }
            }
        }
        merged
    }
}

/// A value without some of its fields and items. What loses all it had becomes `null`.
pub(crate) fn remove(typed: Typed<'_>, value: &Value, fields: &FieldSet) -> Value {
    let removed = match (Choice::of(typed.atom(), Some(value)).shape(), value) {
        (Shape::Scalar(_), scalar) => return scalar.clone(),
        (Shape::List(list), Value::Array(items)) if list.identity.is_some() => {
            let items = items.iter().filter_map(|item| remove_item(typed, list, item, fields));
            Some(items.collect::<Vec<_>>()).filter(|items| !items.is_empty()).map(Value::Array)
        }
        (Shape::Map(map), Value::Object(entries)) if !map.atomic => {
            let entries = entries.iter().filter_map(|(name, value)| {
                let step = Step::field(name);
                if fields.has(&step) {
                    return None;
                }
                Some((name.clone(), remove_inside(typed.at(map.field(name)), value, fields, &step)))
            });
            Some(entries.collect::<Map<_, _>>()).filter(|entries| !entries.is_empty()).map(Value::Object)
        }
        _ => None,
    };
    removed.unwrap_or(Value::Null)
}

/// Makes what [`remove`] left as `null` empty again, as a schema need not allow a `null`.
pub(crate) fn empty_for_null(typed: Typed<'_>, before: &Value, after: &mut Value) {
    match (Choice::of(typed.atom(), Some(before)).shape(), before, after) {
        (_, Value::Object(_), after @ Value::Null) => *after = Value::Object(Map::new()),
        (_, Value::Array(_), after @ Value::Null) => *after = Value::Array(Vec::new()),
        (Shape::Map(map), Value::Object(before), Value::Object(after)) => {
            for (name, after) in after {
                if let Some(before) = before.get(name) {
                    empty_for_null(typed.at(map.field(name)), before, after);
                }
            }
        }
        (Shape::List(list), Value::Array(before), Value::Array(after)) if list.identity.is_some() => {
            let step = |item: &Value| item_step(typed, list, item).ok();
            let before: BTreeMap<_, _> = before.iter().filter_map(|item| Some((step(item)?, item))).collect();
            for after in after {
                if let Some(before) = step(after).and_then(|step| before.get(&step)) {
                    empty_for_null(typed.at(list.element), before, after);
                }
            }
        }
        _ => {}
    }
}

/// A `null` that was given for what is now empty stays one.
pub(crate) fn null_where_given(config: &Value, after: &mut Value) {
    let (Value::Object(config), Value::Object(after)) = (config, after) else { return };
    for (name, given) in config {
        match (given, after.get_mut(name)) {
            (Value::Null, Some(after))
                if *after == Value::Object(Map::new()) || *after == Value::Array(Vec::new()) =>
            {
                *after = Value::Null;
            }
            (given, Some(after)) => null_where_given(given, after),
            (_, None) => {}
        }
    }
}

fn remove_item(typed: Typed<'_>, list: &ListOf, item: &Value, fields: &FieldSet) -> Option<Value> {
    let Ok(step) = item_step(typed, list, item) else { return Some(item.clone()) };
    (!fields.has(&step)).then(|| remove_inside(typed.at(list.element), item, fields, &step))
}

fn remove_inside(typed: Typed<'_>, value: &Value, fields: &FieldSet, step: &Step) -> Value {
    match fields.child(step).filter(|child| !child.is_empty()) {
        Some(child) => remove(typed, value, child),
        None => value.clone(),
    }
}
