//! In which order the fields of a patched object are quoted to whoever sent the patch: a real API server reads no more
//! of an object than a patch touches, and writes what it has read by the order of names.

use std::collections::BTreeSet;

use serde_json::Value;

use super::json::unescape;

/// Sorts what a merge patch was merged into.
pub(crate) fn sort_merged(object: &mut Value, patch: &Value) {
    match (object, patch) {
        (Value::Object(fields), Value::Object(changes)) => {
            fields.sort_keys();
            for (name, change) in changes {
                if let Some(field) = fields.get_mut(name) {
                    sort_merged(field, change);
                }
            }
        }
        (Value::Array(items), Value::Array(changes)) => {
            for (item, change) in items.iter_mut().zip(changes) {
                sort_merged(item, change);
            }
        }
        _ => {}
    }
}

/// Sorts what the operations of a JSON patch go through.
pub(crate) fn sort_touched(object: &mut Value, operations: &Value) {
    let operations = operations.as_array().into_iter().flatten();
    let paths = operations.flat_map(|operation| ["path", "from"].map(|name| operation[name].as_str()));
    let mut places = BTreeSet::from([String::new()]);
    for path in paths.flatten() {
        places.extend(path.match_indices('/').map(|(end, _)| path[..end].to_owned()));
    }
    for place in places {
        let mut names = place.split('/').skip(1).map(unescape);
        let found = names.try_fold(&mut *object, |here, name| match here {
            Value::Object(fields) => fields.get_mut(&name),
            Value::Array(items) => name.parse::<usize>().ok().and_then(|at| items.get_mut(at)),
            _ => None,
        });
        if let Some(Value::Object(fields)) = found {
            fields.sort_keys();
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn only_what_is_touched_is_sorted() {
        let object = json!({"b": {"y": {"z": 1, "a": 2}, "x": [{"d": 1, "c": 2}]}, "a": {"n": 1, "m": 2}});
        let mut merged = object.clone();
        sort_merged(&mut merged, &json!({"b": {"x": [{"d": 1, "c": 2}], "gone": {}}}));
        assert_eq!(merged.to_string(), r#"{"a":{"n":1,"m":2},"b":{"x":[{"c":2,"d":1}],"y":{"z":1,"a":2}}}"#);
        let mut touched = object;
        let operations = json!([{"path": "/b/x/0/c"}, {"path": "/gone/on"}, {"from": "/a/n"}]);
        sort_touched(&mut touched, &operations);
        assert_eq!(touched.to_string(), r#"{"a":{"m":2,"n":1},"b":{"x":[{"c":2,"d":1}],"y":{"z":1,"a":2}}}"#);
    }
}
