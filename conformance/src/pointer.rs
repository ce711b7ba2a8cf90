//! Places in a document: `/a/0/b`, and `/a/type=Ready/b` for the item of a list whose field has that text.

use serde_json::Value;

pub(crate) fn find<'a>(document: &'a Value, pointer: &str) -> Option<&'a Value> {
    segments(pointer).try_fold(document, |value, segment| match value {
        Value::Object(fields) => fields.get(&segment),
        Value::Array(items) => match segment.split_once('=') {
            Some((field, text)) => items.iter().find(|item| item[field] == text),
            None => items.get(segment.parse::<usize>().ok()?),
        },
        _ => None,
    })
}

fn segments(pointer: &str) -> impl Iterator<Item = String> + '_ {
    pointer.split('/').skip(1).map(|segment| segment.replace("~1", "/").replace("~0", "~"))
}

/// One more step down.
pub(crate) fn below(pointer: &str, segment: &str) -> String {
    format!("{pointer}/{}", segment.replace('~', "~0").replace('/', "~1"))
}
