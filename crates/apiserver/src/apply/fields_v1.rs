//! `fieldsV1`: field sets as they are written in `metadata.managedFields`.

use super::LIMITS;
use super::path::Step;
use super::set::FieldSet;
use serde_json::{Map, Value};

/// Writes a set down.
pub(crate) fn encode(set: &FieldSet) -> Value {
    Value::Object(contents(set, false))
}

fn contents(set: &FieldSet, is_member: bool) -> Map<String, Value> {
    let mut object = Map::new();
    let mut children = set.children().peekable();
    let mut members = set.members().peekable();
    if is_member && (members.peek().is_some() || children.peek().is_some()) {
        object.insert(".".to_owned(), Value::Object(Map::new()));
    }
    loop {
        let order = match (members.peek(), children.peek()) {
            (None, None) => return object,
            (Some(_), None) => std::cmp::Ordering::Less,
            (None, Some(_)) => std::cmp::Ordering::Greater,
            (Some(member), Some((child, _))) => (*member).cmp(child),
        };
        if order.is_lt() {
            if let Some(member) = members.next() {
                object.insert(member.encode(), Value::Object(Map::new()));
            }
        } else if let Some((step, child)) = children.next() {
            if order.is_eq() {
                members.next();
            }
            object.insert(step.encode(), Value::Object(contents(child, order.is_eq())));
        }
    }
}

/// Reads a set.
pub(crate) fn decode(fields: &Value) -> Result<FieldSet, String> {
    if fields.is_null() {
        return Ok(FieldSet::default());
    }
    Ok(read(fields, 0)?.0.unwrap_or_default())
}

/// What is inside, and whether the field itself belongs to the set.
fn read(fields: &Value, depth: usize) -> Result<(Option<FieldSet>, bool), String> {
    if depth > LIMITS.depth {
        return Err(format!("nested deeper than {} levels", LIMITS.depth));
    }
    let object = match fields {
        Value::Object(object) => object,
        Value::Null => return Ok((None, true)),
        _ => return Err("readObjectCB: expect { or n, but found something else".to_owned()),
    };
    let mut inside: Option<FieldSet> = None;
    let mut is_member = false;
    for (key, value) in object {
        if key == "." {
            is_member = true;
            continue;
        }
        let Some(step) = Step::decode(key)? else { continue };
        let (children, child_is_member) = read(value, depth + 1)?;
        if child_is_member {
            inside.get_or_insert_default().insert_member(step.clone());
        }
        if let Some(children) = children {
            inside.get_or_insert_default().insert_child(step, children);
        }
    }
    let is_member = is_member || inside.is_none();
    Ok((inside, is_member))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_set_reads_back_as_it_was_written() {
        let written = json!({
            "f:metadata": {"f:labels": {".": {}, "f:a": {}}, "f:finalizers": {".": {}, "v:\"x\"": {}}},
            "f:spec": {"f:ports": {"k:{\"port\":80,\"protocol\":\"TCP\"}": {".": {}, "f:port": {}}}},
        });
        let set = decode(&written).expect("it is well-formed");
        let back = encode(&set);
        assert_eq!(decode(&back).as_ref(), Ok(&set));
        assert_eq!(back, written);
        assert!(decode(&json!({"f:a": 1})).is_err());
        assert!(decode(&json!({"a": {}})).is_err());
        assert_eq!(decode(&json!({"x:future": {"f:a": {}}})), Ok(FieldSet::default()));
    }
}
