//! A field set written under another schema, put in the terms of today's.
//! What has become one field is owned as one field.

use super::path::Step;
use super::set::FieldSet;
use super::typed::{Choice, Shape};
use crate::types::{TypeId, Typed};

pub(crate) fn reconcile(typed: Typed<'_>, set: &FieldSet) -> FieldSet {
    let mut walk = Walk { path: Vec::new(), whole: FieldSet::default() };
    walk.node(typed, Some(set), false);
    set.recursive_difference(&walk.whole).union(&walk.whole)
}

struct Walk {
    path: Vec<Step>,
    /// Fields that are atomic now but were not when the set was written.
    whole: FieldSet,
}

impl Walk {
    fn node(&mut self, typed: Typed<'_>, set: Option<&FieldSet>, is_leaf: bool) {
        match Choice::of(typed.atom(), None).shape() {
            Shape::List(list) => {
                if !is_leaf && list.identity.is_none() {
                    self.whole.insert(&self.path);
                } else {
                    self.inside(set, |_| Some(typed.at(list.element)));
                }
            }
            Shape::Map(map) if map.untyped => {}
            Shape::Map(map) => {
                if !is_leaf && map.atomic {
                    if set.is_some_and(|set| !set.is_empty()) {
                        self.whole.insert(&self.path);
                    }
                } else {
                    self.inside(set, |step| {
                        let type_id = match step {
                            Step::Field(name) => map.field(name),
                            _ => map.element,
                        };
                        (type_id != TypeId::NONE).then(|| typed.at(type_id))
                    });
                }
            }
            Shape::Scalar(_) | Shape::Nothing => {}
        }
    }

    fn inside<'a>(&mut self, set: Option<&FieldSet>, type_of: impl Fn(&Step) -> Option<Typed<'a>>) {
        let Some(set) = set else { return };
        let children = set.children().filter(|(step, _)| !set.has(step)).map(|(step, _)| (step, false));
        for (step, is_member) in children.chain(set.members().map(|step| (step, true))) {
            let Some(typed) = type_of(step) else { continue };
            let child = set.child(step);
            self.path.push(step.clone());
            self.node(typed, child, is_member && child.is_none());
            self.path.pop();
        }
    }
}
