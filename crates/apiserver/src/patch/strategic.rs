//! Strategic merge patch: a merge patch that knows which lists are maps and which are sets.
//! What it knows comes from the table of built-in kinds; custom resources have no such patch.

mod lists;

use super::PatchError;
use crate::apply::Types;
use crate::apply::print::{self, Numbers};
use crate::schema::text;
use crate::types::{PatchRule, TypeId, Typed};
use serde_json::{Map, Value};
use std::collections::HashSet;

pub(super) const DIRECTIVE: &str = "$patch";
const RETAIN_KEYS: &str = "$retainKeys";
const DELETE_FROM: &str = "$deleteFromPrimitiveList";
const ELEMENT_ORDER: &str = "$setElementOrder";

/// Lays a patch over an object of a built-in kind.
pub fn strategic(object: &Value, patch: &Value, types: &Types) -> Result<Value, PatchError> {
    let patch = match patch {
        Value::Object(patch) => patch.clone(),
        Value::Null => Map::new(),
        other => {
            let got = super::merge::json_type(other);
            return Err(PatchError::BadRequest(format!(
                "json: cannot unmarshal {got} into Go value of type map[string]interface {{}}"
            )));
        }
    };
    let object = object.as_object().cloned().unwrap_or_default();
    merge_map(object, patch, types.root()).map(Value::Object)
}

/// What a directive of the wrong form is called.
pub(super) fn bad_form(of: &str) -> PatchError {
    PatchError::BadRequest(format!("invalid patch format of {of}"))
}

pub(super) fn wrong_type(expected: &Value, got: &Value) -> PatchError {
    let (expected, got) = (
        print::type_name(expected, Numbers::Integers),
        match got {
            Value::Null => "%!s(<nil>)",
            got => print::type_name(got, Numbers::Integers),
        },
    );
    PatchError::Internal(format!("expected a {expected}, but received a {got}"))
}

pub(super) fn no_merge_key(item: &Map<String, Value>, key: &str) -> PatchError {
    let item = print::plain_map(item, Numbers::Integers);
    PatchError::Internal(format!("map: {item} does not contain declared merge key: {key}"))
}

pub(super) fn unknown_directive(directive: &Value, patch: &Map<String, Value>) -> PatchError {
    let directive = match directive {
        Value::String(text) => text.clone(),
        other => {
            let (name, value) =
                (print::type_name(other, Numbers::Integers), print::plain(other, Numbers::Integers));
            if other.is_null() { "%!s(<nil>)".to_owned() } else { format!("%!s({name}={value})") }
        }
    };
    let patch = print::plain_map(patch, Numbers::Integers);
    PatchError::Internal(format!("unknown patch type: {directive} in map: {patch}"))
}

/// A field of a struct, and how a patch treats it.
fn lookup<'a>(typed: Typed<'a>, name: &str) -> Result<(Typed<'a>, &'a PatchRule), PatchError> {
    let atom = typed.atom();
    let no_struct = |what: &str| {
        PatchError::Internal(format!(
            "merging an object in json but data type is not struct, instead is: {what}"
        ))
    };
    let Some(map) = &atom.map else {
        return Err(no_struct(if atom.list.is_some() { "slice" } else { "string" }));
    };
    if map.name.is_none() {
        return Err(no_struct("map"));
    }
    let struct_name = map.go_name();
    let same = |known: &&String| known.eq_ignore_ascii_case(name);
    let known = if map.fields.contains_key(name) {
        Some(name)
    } else {
        map.fields.keys().find(same).map(String::as_str)
    };
    match known.and_then(|known| map.fields.get(known)) {
        Some(field) => Ok((typed.at(field.type_id), &field.patch)),
        None => Err(PatchError::Internal(format!(
            "unable to find api field in struct {struct_name} for the json field {}",
            text::quote(name)
        ))),
    }
}

/// The type of a list's items, and how a patch treats the list.
fn lookup_list<'a>(typed: Typed<'a>, name: &str) -> Result<(Typed<'a>, &'a PatchRule), PatchError> {
    let (field, rule) = lookup(typed, name)?;
    match &field.atom().list {
        Some(list) if list.element != TypeId::NONE => Ok((field.at(list.element), rule)),
        _ => Err(PatchError::Internal("expected slice or array type, but got: struct".to_owned())),
    }
}

pub(super) fn merge_map(
    mut original: Map<String, Value>,
    mut patch: Map<String, Value>,
    typed: Typed<'_>,
) -> Result<Map<String, Value>, PatchError> {
    if let Some(directive) = patch.get(DIRECTIVE) {
        return match directive.as_str() {
            Some("replace") => {
                patch.shift_remove(DIRECTIVE);
                Ok(patch)
            }
            Some("delete") => Ok(Map::new()),
            _ => Err(unknown_directive(directive, &patch)),
        };
    }
    retain_keys(&mut original, &mut patch)?;
    order_lists(&mut original, &mut patch, typed)?;
    let gone: HashSet<String> =
        patch.iter().filter(|(_, change)| change.is_null()).map(|(name, _)| plain_name(name)).collect();
    if !gone.is_empty() {
        original.retain(|name, _| !gone.contains(name));
    }
    for (name, change) in patch {
        if change.is_null() {
            continue;
        }
        match name.strip_prefix(DELETE_FROM) {
            Some(rest) => {
                let Some(list) = rest.strip_prefix('/') else { return Err(bad_form("primitive list")) };
                delete_from(&mut original, list, change, typed)?;
            }
            None => merge_field(&mut original, name, change, typed)?,
        }
    }
    Ok(original)
}

/// The field that a parallel list is about.
fn plain_name(name: &str) -> String {
    name.strip_prefix(DELETE_FROM).and_then(|rest| rest.strip_prefix('/')).unwrap_or(name).to_owned()
}

fn merge_field(
    original: &mut Map<String, Value>,
    name: String,
    change: Value,
    typed: Typed<'_>,
) -> Result<(), PatchError> {
    let merged = match (original.get_mut(&name).map(Value::take), change) {
        (Some(Value::Object(fields)), Value::Object(changes)) => {
            let (inner, rule) = lookup(typed, &name)?;
            Some(Value::Object(if rule.replace { changes } else { merge_map(fields, changes, inner)? }))
        }
        (Some(Value::Array(items)), Value::Array(changes)) => {
            let (element, rule) = lookup_list(typed, &name)?;
            let changes = if rule.merge {
                lists::merge_list(items, changes, element, rule.key.as_deref(), false)?
            } else {
                changes
            };
            Some(Value::Array(changes))
        }
        (_, mut change) => {
            discard_nulls(&mut change);
            without_directives(change)
        }
    };
    match merged {
        Some(value) => _ = original.insert(name, value),
        None => _ = original.shift_remove(&name),
    }
    Ok(())
}

/// `$deleteFromPrimitiveList/name: [..]`.
fn delete_from(
    original: &mut Map<String, Value>,
    name: &str,
    change: Value,
    typed: Typed<'_>,
) -> Result<(), PatchError> {
    if let (Some(Value::Array(items)), Value::Array(changes)) = (original.get_mut(name), change) {
        let (element, rule) = lookup_list(typed, name)?;
        *items = lists::merge_list(std::mem::take(items), changes, element, rule.key.as_deref(), true)?;
    }
    Ok(())
}

/// `$retainKeys: [..]`: all other fields go.
fn retain_keys(original: &mut Map<String, Value>, patch: &mut Map<String, Value>) -> Result<(), PatchError> {
    let Some(keys) = patch.shift_remove(RETAIN_KEYS) else { return Ok(()) };
    let Value::Array(keys) = keys else { return Err(bad_form("retainKeys")) };
    let keys: HashSet<&str> = keys.iter().filter_map(Value::as_str).collect();
    for (name, change) in patch.iter() {
        let directive = name.starts_with(DELETE_FROM) || name.starts_with(ELEMENT_ORDER);
        if !change.is_null() && !directive && !keys.contains(name.as_str()) {
            return Err(bad_form("retainKeys"));
        }
    }
    original.retain(|name, _| keys.contains(name.as_str()));
    Ok(())
}

/// `$setElementOrder/name: [..]`: merges the lists that come with an order.
fn order_lists(
    original: &mut Map<String, Value>,
    patch: &mut Map<String, Value>,
    typed: Typed<'_>,
) -> Result<(), PatchError> {
    let directives: Vec<String> =
        patch.keys().filter(|name| name.starts_with(ELEMENT_ORDER)).cloned().collect();
    for directive in directives {
        let order = patch.shift_remove(&directive).unwrap_or_default();
        let empty = Value::Array(Vec::new());
        let Value::Array(order) = order else { return Err(wrong_type(&empty, &order)) };
        let Some(name) = directive.strip_prefix(ELEMENT_ORDER).and_then(|rest| rest.strip_prefix('/')) else {
            return Err(bad_form("setElementOrder list"));
        };
        let list = |value: Option<&Value>| match value {
            None => Ok(None),
            Some(Value::Array(items)) => Ok(Some(items.clone())),
            Some(other) => Err(wrong_type(&empty, other)),
        };
        let (items, changes) = (list(original.get(name))?, list(patch.get(name))?);
        let (element, rule) = lookup_list(typed, name)?;
        if let Some(ordered) = lists::merge_ordered(items, changes, &order, element, rule)? {
            original.insert(name.to_owned(), Value::Array(ordered));
            patch.shift_remove(name);
        }
    }
    Ok(())
}

/// What a patch says about something that is not there yet; nothing if it only gives directives.
pub(super) fn without_directives(value: Value) -> Option<Value> {
    match value {
        Value::Object(fields) => {
            if fields.contains_key(DIRECTIVE) {
                return None;
            }
            let kept =
                fields.into_iter().filter_map(|(name, value)| Some((name, without_directives(value)?)));
            Some(Value::Object(kept.collect()))
        }
        Value::Array(items) => Some(Value::Array(items.into_iter().filter_map(without_directives).collect())),
        scalar => Some(scalar),
    }
}

fn discard_nulls(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            fields.retain(|_, value| !value.is_null());
            fields.values_mut().for_each(discard_nulls);
        }
        Value::Array(items) => items.iter_mut().for_each(discard_nulls),
        _ => {}
    }
}
