//! Sets of fields: what a manager owns, what a comparison found.
//! A set knows no object; that a field is in a set says nothing about the fields inside it.

use super::path::Step;
use crate::types::{TypeId, Typed};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

/// A set of fields.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FieldSet {
    members: BTreeSet<Step>,
    children: BTreeMap<Step, FieldSet>,
}

/// The steps from an object to one of its fields; prints as `.spec.ports[port=80].name`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FieldPath(pub Vec<Step>);

impl fmt::Display for FieldPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|step| write!(f, "{step}"))
    }
}

impl FieldSet {
    /// A set of fields named by the fields on the way to them.
    pub fn of(paths: &[&[&str]]) -> Self {
        let mut set = Self::default();
        for path in paths {
            let path: Vec<_> = path.iter().map(|name| Step::field(name)).collect();
            set.insert(&path);
        }
        set
    }

    /// Nobody owns an object as a whole, so an empty path adds nothing.
    pub(crate) fn insert(&mut self, path: &[Step]) {
        match path {
            [] => {}
            [last] => {
                self.members.insert(last.clone());
            }
            [first, rest @ ..] => {
                if let Some(child) = self.children.get_mut(first) {
                    child.insert(rest);
                } else {
                    self.children.entry(first.clone()).or_default().insert(rest);
                }
            }
        }
    }

    pub(crate) fn insert_member(&mut self, step: Step) {
        self.members.insert(step);
    }

    pub(crate) fn insert_child(&mut self, step: Step, child: Self) {
        self.children.insert(step, child);
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.members.is_empty() && self.children.values().all(Self::is_empty)
    }

    /// Whether the field that this path leads to is in the set.
    pub fn contains(&self, path: &FieldPath) -> bool {
        let mut set = self;
        let Some((last, way)) = path.0.split_last() else { return false };
        for step in way {
            match set.children.get(step) {
                Some(child) => set = child,
                None => return false,
            }
        }
        set.members.contains(last)
    }

    pub(crate) fn members(&self) -> impl Iterator<Item = &Step> {
        self.members.iter()
    }

    pub(crate) fn has(&self, step: &Step) -> bool {
        self.members.contains(step)
    }

    pub(crate) fn children(&self) -> impl Iterator<Item = (&Step, &Self)> {
        self.children.iter()
    }

    pub(crate) fn child(&self, step: &Step) -> Option<&Self> {
        self.children.get(step)
    }

    pub(crate) fn union(&self, other: &Self) -> Self {
        let mut result = self.clone();
        result.extend(other);
        result
    }

    fn extend(&mut self, other: &Self) {
        self.members.extend(other.members.iter().cloned());
        for (step, child) in &other.children {
            match self.children.get_mut(step) {
                Some(mine) => mine.extend(child),
                None => {
                    self.children.insert(step.clone(), child.clone());
                }
            }
        }
    }

    pub(crate) fn intersection(&self, other: &Self) -> Self {
        let both = self.children.iter().filter_map(|(step, mine)| {
            let common = mine.intersection(other.children.get(step)?);
            (!common.is_empty()).then(|| (step.clone(), common))
        });
        Self {
            members: self.members.intersection(&other.members).cloned().collect(),
            children: both.collect(),
        }
    }

    /// Fields of this set that are not in the other; a field inside a field of the other stays.
    pub(crate) fn difference(&self, other: &Self) -> Self {
        let children = self.children.iter().filter_map(|(step, mine)| {
            let left = match other.children.get(step) {
                Some(theirs) => Some(mine.difference(theirs)).filter(|left| !left.is_empty())?,
                None => mine.clone(),
            };
            Some((step.clone(), left))
        });
        Self {
            members: self.members.difference(&other.members).cloned().collect(),
            children: children.collect(),
        }
    }

    /// Fields of this set that are neither in the other nor inside a field of the other.
    pub(crate) fn recursive_difference(&self, other: &Self) -> Self {
        let children = self.children.iter().filter(|(step, _)| !other.members.contains(step));
        let children = children.filter_map(|(step, mine)| {
            let left = match other.children.get(step) {
                Some(theirs) => Some(mine.recursive_difference(theirs)).filter(|left| !left.is_empty())?,
                None => mine.clone(),
            };
            Some((step.clone(), left))
        });
        Self {
            members: self.members.difference(&other.members).cloned().collect(),
            children: children.collect(),
        }
    }

    /// The set, and every declared field on the way to one of its fields.
    pub(crate) fn with_declared_parents(&self, typed: Typed<'_>) -> Self {
        let atom = typed.atom();
        let mut members = self.members.clone();
        let mut children = BTreeMap::new();
        for (step, child) in &self.children {
            let type_id = match (step, &atom.map, &atom.list) {
                (Step::Field(name), Some(map), _) => {
                    if map.fields.contains_key(name) {
                        members.insert(step.clone());
                    }
                    map.field(name)
                }
                (Step::Keys(_), _, Some(list)) => list.element,
                _ => TypeId::NONE,
            };
            children.insert(step.clone(), child.with_declared_parents(typed.at(type_id)));
        }
        Self { members, children }
    }

    /// The path of every field of the set, fields before what is inside them.
    pub fn paths(&self) -> Vec<FieldPath> {
        let mut paths = Vec::new();
        self.collect_paths(&mut Vec::new(), &mut paths);
        paths
    }

    fn collect_paths(&self, prefix: &mut Vec<Step>, paths: &mut Vec<FieldPath>) {
        for step in &self.members {
            let mut path = prefix.clone();
            path.push(step.clone());
            paths.push(FieldPath(path));
        }
        for (step, child) in &self.children {
            prefix.push(step.clone());
            child.collect_paths(prefix, paths);
            prefix.pop();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_difference_spares_what_is_inside_unless_it_is_recursive() {
        let set = FieldSet::of(&[&["spec"], &["spec", "type"], &["spec", "ports", "a"], &["status", "b"]]);
        let spec = FieldSet::of(&[&["spec"]]);
        let paths = |set: &FieldSet| set.paths().iter().map(ToString::to_string).collect::<Vec<_>>();
        assert_eq!(paths(&set.difference(&spec)), [".spec.type", ".spec.ports.a", ".status.b"]);
        assert_eq!(paths(&set.recursive_difference(&spec)), [".status.b"]);
        assert_eq!(paths(&set.intersection(&spec)), [".spec"]);
        assert_eq!(set.difference(&set), FieldSet::default());
        assert_eq!(set.union(&spec), set);
    }
}
