//! Lists that merge: items found by their merge key or by themselves, and put in order.

use super::{DIRECTIVE, merge_map, no_merge_key, unknown_directive, without_directives, wrong_type};
use crate::apply::print::{self, Numbers};
use crate::patch::PatchError;
use crate::types::{PatchRule, Typed};
use serde_json::{Map, Value};
use std::collections::{HashMap, HashSet};

/// Merges a list into another. `delete` takes the items out instead, where they are scalars.
pub(super) fn merge_list(
    original: Vec<Value>,
    patch: Vec<Value>,
    element: Typed<'_>,
    key: Option<&str>,
    delete: bool,
) -> Result<Vec<Value>, PatchError> {
    if original.is_empty() && patch.is_empty() {
        return Ok(original);
    }
    let are_maps = element_kind(&[&original, &patch])?;
    if !are_maps {
        if delete {
            let gone: HashSet<String> = patch.iter().map(Value::to_string).collect();
            return Ok(original.into_iter().filter(|item| !gone.contains(&item.to_string())).collect());
        }
        let mut seen = HashSet::new();
        let both = original.iter().chain(&patch).filter(|item| seen.insert(item.to_string()));
        let merged: Vec<Value> = both.cloned().collect();
        return in_order(merged, &patch, &patch, &original, key, false);
    }
    let Some(key) = key else {
        return Err(no_key());
    };
    let (original, patch) = obey_directives(original, patch, key)?;
    let server_order = original.clone();
    let merged = merge_items(original, &patch, key, element)?;
    in_order(merged, &patch, &patch, &server_order, Some(key), true)
}

/// Merges a list that comes with the order it is to have. Nothing if there is no list at all.
pub(super) fn merge_ordered(
    original: Option<Vec<Value>>,
    patch: Option<Vec<Value>>,
    order: &[Value],
    element: Typed<'_>,
    rule: &PatchRule,
) -> Result<Option<Vec<Value>>, PatchError> {
    let key = rule.key.as_deref();
    check_order(patch.as_deref().unwrap_or_default(), order, key)?;
    let (before, changes) = (original.clone().unwrap_or_default(), patch.clone().unwrap_or_default());
    let merged = match (original, patch) {
        (None, None) => return Ok(None),
        (Some(original), None) => original,
        (None, Some(patch)) => patch.into_iter().filter_map(without_directives).collect(),
        (Some(original), Some(patch)) if rule.merge => merge_list(original, patch, element, key, false)?,
        (Some(_), Some(patch)) => patch,
    };
    let are_maps = element_kind_after(&[&before, &changes], key, &merged)?;
    if are_maps && key.is_none() && !merged.is_empty() {
        return Err(no_key());
    }
    in_order(merged, order, order, &before, key, are_maps).map(Some)
}

fn no_key() -> PatchError {
    PatchError::Internal("cannot merge lists without merge key for struct".to_owned())
}

/// The kind is checked last, as the merge itself has more to say.
fn element_kind_after(lists: &[&[Value]], key: Option<&str>, merged: &[Value]) -> Result<bool, PatchError> {
    if let Some(key) = key {
        for item in merged {
            keyed(item, key)?;
        }
    }
    element_kind(lists)
}

/// Whether the items are maps. They must all be of one kind, and be there.
fn element_kind(lists: &[&[Value]]) -> Result<bool, PatchError> {
    let mut items = lists.iter().copied().flatten();
    let Some(first) = items.next() else {
        return Err(PatchError::Internal("no elements in any of the given slices".to_owned()));
    };
    if first.is_array() {
        return Err(PatchError::Unprocessable("lists of lists are not supported".to_owned()));
    }
    let kind = print::type_name(first, Numbers::Integers);
    if first.is_null() || items.any(|item| print::type_name(item, Numbers::Integers) != kind) {
        let lists: Vec<_> =
            lists.iter().map(|list| print::plain(&Value::Array(list.to_vec()), Numbers::Integers)).collect();
        let lists = lists.join(" ");
        return Err(PatchError::Internal(format!("list element types are not identical: [{lists}]")));
    }
    Ok(first.is_object())
}

fn as_map(item: &Value) -> Result<&Map<String, Value>, PatchError> {
    item.as_object().ok_or_else(|| wrong_type(&Value::Object(Map::new()), item))
}

fn keyed<'v>(item: &'v Value, key: &str) -> Result<&'v Value, PatchError> {
    let item = as_map(item)?;
    item.get(key).ok_or_else(|| no_merge_key(item, key))
}

/// Does what `$patch` says in items of a patch, and leaves the others.
fn obey_directives(
    original: Vec<Value>,
    patch: Vec<Value>,
    key: &str,
) -> Result<(Vec<Value>, Vec<Value>), PatchError> {
    let mut rest = Vec::with_capacity(patch.len());
    let mut gone = HashSet::new();
    let mut replace = false;
    for item in patch {
        let map = as_map(&item)?;
        let Some(directive) = map.get(DIRECTIVE) else {
            rest.push(item);
            continue;
        };
        match directive.as_str() {
            Some("delete") => _ = gone.insert(keyed(&item, key)?.to_string()),
            Some("replace") => replace = true,
            Some("merge") => {
                let text = "merging lists cannot yet be specified in the patch";
                return Err(PatchError::Internal(text.to_owned()));
            }
            _ => return Err(unknown_directive(directive, map)),
        }
    }
    if replace {
        return Ok((rest, Vec::new()));
    }
    let is_gone = |item: &Value| item.get(key).is_some_and(|value| gone.contains(&value.to_string()));
    Ok((original.into_iter().filter(|item| !is_gone(item)).collect(), rest))
}

/// Merges each item of the patch with the first of the same key, or appends it.
fn merge_items(
    mut original: Vec<Value>,
    patch: &[Value],
    key: &str,
    element: Typed<'_>,
) -> Result<Vec<Value>, PatchError> {
    let mut places: HashMap<String, usize> = HashMap::new();
    for (index, item) in original.iter().enumerate() {
        if let Some(value) = item.get(key) {
            places.entry(value.to_string()).or_insert(index);
        }
    }
    for change in patch {
        let value = keyed(change, key)?.to_string();
        match places.get(&value) {
            Some(index) => {
                let item = as_map(&original[*index])?.clone();
                original[*index] = Value::Object(merge_map(item, as_map(change)?.clone(), element)?);
            }
            None => {
                places.insert(value, original.len());
                original.push(change.clone());
            }
        }
    }
    Ok(original)
}

/// Items that the patch names in the patch's order, the others in the server's, interleaved as they were.
fn in_order(
    merged: Vec<Value>,
    named: &[Value],
    patch_order: &[Value],
    server_order: &[Value],
    key: Option<&str>,
    are_maps: bool,
) -> Result<Vec<Value>, PatchError> {
    let identity = |item: &Value| match (are_maps, key) {
        (true, Some(key)) => item.get(key).unwrap_or(&Value::Null).to_string(),
        _ => item.to_string(),
    };
    if let (true, Some(key)) = (are_maps, key) {
        for item in merged.iter().chain(named).chain(patch_order).chain(server_order) {
            keyed(item, key)?;
        }
    }
    let positions = |order: &[Value]| {
        let mut positions = HashMap::new();
        for (index, item) in order.iter().enumerate() {
            positions.entry(identity(item)).or_insert(index);
        }
        positions
    };
    let (by_patch, by_server) = (positions(patch_order), positions(server_order));
    let named: HashSet<String> = named.iter().map(identity).collect();
    let (mut ours, mut theirs): (Vec<_>, Vec<_>) = merged
        .into_iter()
        .map(|item| (identity(&item), item))
        .partition(|(identity, _)| named.contains(identity));
    let place = |positions: &HashMap<String, usize>, identity: &String| {
        positions.get(identity).copied().unwrap_or(usize::MAX)
    };
    ours.sort_by_key(|(identity, _)| place(&by_patch, identity));
    theirs.sort_by_key(|(identity, _)| place(&by_server, identity));
    let mut ordered = Vec::with_capacity(ours.len() + theirs.len());
    let (mut ours, mut theirs) = (ours.into_iter().peekable(), theirs.into_iter().peekable());
    loop {
        let take_theirs = match (theirs.peek(), ours.peek()) {
            (None, None) => return Ok(ordered),
            (Some(_), None) => true,
            (None, Some(_)) => false,
            (Some((their, _)), Some((our, _))) => match (by_server.get(their), by_server.get(our)) {
                (Some(their), Some(our)) => their < our,
                _ => false,
            },
        };
        let next = if take_theirs { theirs.next() } else { ours.next() };
        ordered.extend(next.map(|(_, item)| item));
    }
}

/// The order must name every item of the patch, in the order of the patch.
fn check_order(patch: &[Value], order: &[Value], key: Option<&str>) -> Result<(), PatchError> {
    if patch.is_empty() || order.is_empty() {
        return Ok(());
    }
    let mut left = order.iter();
    for item in patch {
        let directive = match key {
            Some(_) => as_map(item)?.get(DIRECTIVE),
            None => item.get(DIRECTIVE),
        };
        let deletes = key.is_some() && directive.is_some_and(|directive| directive == "delete");
        if deletes || (directive.is_some() && left.len() > 0) {
            continue;
        }
        loop {
            let Some(next) = left.next() else {
                let (patch, order) = (Value::Array(patch.to_vec()), Value::Array(order.to_vec()));
                return Err(PatchError::Internal(format!(
                    "The order in patch list:\n{}\n doesn't match $setElementOrder list:\n{}\n",
                    print::plain(&patch, Numbers::Integers),
                    print::plain(&order, Numbers::Integers)
                )));
            };
            let same = match key {
                Some(key) => keyed(item, key)? == keyed(next, key)?,
                None => item == next,
            };
            if same {
                break;
            }
        }
    }
    Ok(())
}
