//! What every walk over typed values shares: picking what a value is, and identifying a list's items.

use super::path::{Scalar as Key, Step};
use super::print::{self, Numbers};
use crate::types::{Atom, Identity, ListOf, MapOf, Scalar, Typed};
use serde_json::{Map, Value};
use std::fmt;

/// One thing wrong with a value; prints as `.spec.ports: text`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Problem {
    pub(crate) path: String,
    pub(crate) text: String,
}

/// Everything wrong with a value.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Problems(pub(crate) Vec<Problem>);

impl Problems {
    pub(crate) fn add(&mut self, path: &[Step], text: impl Into<String>) {
        if self.0.len() < super::LIMITS.problems {
            let path = path.iter().map(ToString::to_string).collect();
            self.0.push(Problem { path, text: text.into() });
        }
    }

    pub(crate) fn or<T>(self, value: T) -> Result<T, Self> {
        if self.0.is_empty() { Ok(value) } else { Err(self) }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.path.is_empty() { f.write_str(&self.text) } else { write!(f, "{}: {}", self.path, self.text) }
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.as_slice() {
            [single] => single.fmt(f),
            several => {
                f.write_str("errors:")?;
                several.iter().try_for_each(|problem| write!(f, "\n  {problem}"))
            }
        }
    }
}

/// What of a type a value is; all of it where the value does not say.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Choice<'a> {
    scalar: Option<Scalar>,
    list: Option<&'a ListOf>,
    map: Option<&'a MapOf>,
}

/// How a walk goes on.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Shape<'a> {
    Map(&'a MapOf),
    Scalar(Scalar),
    List(&'a ListOf),
    Nothing,
}

impl<'a> Choice<'a> {
    pub(crate) fn of(atom: &'a Atom, value: Option<&Value>) -> Self {
        let all = Self { scalar: atom.scalar, list: atom.list.as_ref(), map: atom.map.as_ref() };
        let none = Self { scalar: None, list: None, map: None };
        match value {
            Some(Value::Object(_)) if all.map.is_some() => Self { map: all.map, ..none },
            Some(Value::Array(_)) if all.list.is_some() => Self { list: all.list, ..none },
            Some(Value::Bool(_) | Value::Number(_) | Value::String(_)) if all.scalar.is_some() => {
                Self { scalar: all.scalar, ..none }
            }
            _ => all,
        }
    }

    /// Of the same type, whether the same part of it was chosen.
    pub(crate) fn same(&self, other: &Self) -> bool {
        self.scalar.is_some() == other.scalar.is_some()
            && self.list.is_some() == other.list.is_some()
            && self.map.is_some() == other.map.is_some()
    }

    pub(crate) fn shape(&self) -> Shape<'a> {
        match (self.map, self.scalar, self.list) {
            (Some(map), _, _) => Shape::Map(map),
            (_, Some(scalar), _) => Shape::Scalar(scalar),
            (_, _, Some(list)) => Shape::List(list),
            _ => Shape::Nothing,
        }
    }
}

/// What to do with two values of one type.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Pairing<'a> {
    One(Shape<'a>),
    /// The values are of different shapes: each has its turn.
    Both(Shape<'a>, Shape<'a>),
}

impl<'a> Pairing<'a> {
    pub(crate) fn of(atom: &'a Atom, left: Option<&Value>, right: Option<&Value>) -> Self {
        let (l, r) = (Choice::of(atom, left), Choice::of(atom, right));
        match (left, right) {
            (_, None) => Self::One(l.shape()),
            (None, _) => Self::One(r.shape()),
            _ if l.same(&r) => Self::One(r.shape()),
            _ => Self::Both(l.shape(), r.shape()),
        }
    }
}

pub(crate) const NO_TYPE: &str = "schema error: invalid atom: inlined";

/// Why a value is no such scalar, if it is none.
pub(crate) fn scalar_problem(
    scalar: Scalar,
    value: Option<&Value>,
    side: &str,
    numbers: Numbers,
) -> Option<String> {
    let value = value.filter(|value| !value.is_null())?;
    let wanted = match scalar {
        Scalar::Numeric if !value.is_number() => {
            let got = print::type_name(value, numbers);
            return Some(format!("{side}expected numeric (int or float), got {got}"));
        }
        Scalar::String if !value.is_string() => {
            let got = print::literal(value, numbers);
            return Some(format!("{side}expected string, got &value.valueUnstructured{{Value:{got}}}"));
        }
        Scalar::Boolean if !value.is_boolean() => "boolean",
        Scalar::Untyped if value.is_array() || value.is_object() => "any scalar",
        _ => return None,
    };
    Some(format!("{side}expected {wanted}, got {}", printed(value, numbers)))
}

/// How a value of the wrong kind stands in a message.
pub(crate) fn printed(value: &Value, numbers: Numbers) -> String {
    format!("&{{{}}}", print::plain(value, numbers))
}

pub(crate) fn as_map(value: Option<&Value>) -> Option<&Map<String, Value>> {
    value.and_then(Value::as_object)
}

pub(crate) fn as_list(value: Option<&Value>) -> Option<&[Value]> {
    value.and_then(Value::as_array).map(Vec::as_slice)
}

/// The step that leads to an item of a list with identities.
pub(crate) fn item_step(typed: Typed<'_>, list: &ListOf, item: &Value) -> Result<Step, String> {
    match &list.identity {
        None => Err("invalid indexing of non-associative list".to_owned()),
        Some(Identity::Keys(keys)) if !keys.is_empty() => keyed_step(typed.at(list.element), keys, item),
        Some(_) => match item {
            Value::Object(_) => {
                Err("associative list without keys has an element that's a map type".to_owned())
            }
            Value::Array(_) => Err("not supported: associative list with lists as elements".to_owned()),
            Value::Null => {
                Err("associative list without keys has an element that's an explicit null".to_owned())
            }
            scalar => Ok(Step::Item(Key(scalar.clone()))),
        },
    }
}

fn keyed_step(element: Typed<'_>, keys: &[String], item: &Value) -> Result<Step, String> {
    let fields = match item {
        Value::Object(fields) => fields,
        Value::Null => return Err("associative list with keys may not have a null element".to_owned()),
        _ => return Err("associative list with keys may not have non-map elements".to_owned()),
    };
    let mut values = Vec::with_capacity(keys.len());
    for key in keys {
        let declared = || match &element.atom().map {
            Some(map) => Ok(map.fields.get(key).and_then(|field| field.default.as_ref())),
            None => Err(format!(
                "couldn't find default value for {key}: associative list may not have non-map types"
            )),
        };
        let value = match fields.get(key) {
            Some(value) => Some(value),
            None => declared()?,
        };
        values.extend(value.map(|value| (key.clone(), Key(value.clone()))));
    }
    if values.is_empty() {
        let keys: Vec<_> = keys.iter().map(|key| crate::schema::text::quote(key)).collect();
        return Err(format!(
            "associative list with keys has an element that omits all key fields [{}] (and doesn't have default \
             values for any key fields)",
            keys.join(" ")
        ));
    }
    values.sort_by(|(left, _), (right, _)| left.cmp(right));
    Ok(Step::Keys(values))
}
