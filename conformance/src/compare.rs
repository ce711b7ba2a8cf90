//! What differs between two answers, place by place.

use std::fmt;

use serde_json::Value;

use crate::normal::Normal;
use crate::pointer::below;

/// One place at which the answers differ; `None` where there is nothing.
#[derive(Debug, Clone, PartialEq)]
pub struct Difference {
    pub pointer: String,
    pub expected: Option<Value>,
    pub got: Option<Value>,
}

/// Lists of what is served.
const NAMED: [&str; 3] = ["/groups", "/resources", "/subresources"];

pub fn answers(expected: &Normal, got: &Normal) -> Vec<Difference> {
    if expected.code != got.code {
        return refused_otherwise(expected, got);
    }
    let mut differences = Vec::new();
    let [expected, got] = [expected, got].map(|normal| serde_json::to_value(normal).unwrap_or_default());
    values("", Some(&expected), Some(&got), &mut differences);
    differences
}

/// Of a refusal in place of an answer, or the other way round, this is what people need to know.
fn refused_otherwise(expected: &Normal, got: &Normal) -> Vec<Difference> {
    let gist = |normal: &Normal| match &normal.body["message"] {
        Value::Null if normal.body["kind"].is_string() => Some(normal.body["kind"].clone()),
        Value::Null => Some(normal.body.clone()),
        message => Some(message.clone()),
    };
    let codes = [expected, got].map(|normal| Some(normal.code.into()));
    let [expected_code, got_code] = codes;
    vec![
        Difference { pointer: "/code".to_owned(), expected: expected_code, got: got_code },
        Difference { pointer: "/body".to_owned(), expected: gist(expected), got: gist(got) },
    ]
}

fn values(pointer: &str, expected: Option<&Value>, got: Option<&Value>, found: &mut Vec<Difference>) {
    match (expected, got) {
        (Some(Value::Object(left)), Some(Value::Object(right))) => {
            for (key, value) in left {
                values(&below(pointer, key), Some(value), right.get(key), found);
            }
            for (key, value) in right.iter().filter(|(key, _)| !left.contains_key(*key)) {
                values(&below(pointer, key), None, Some(value), found);
            }
        }
        (Some(Value::Array(left)), Some(Value::Array(right)))
            if NAMED.iter().any(|list| pointer.ends_with(list))
                && left.iter().chain(right).all(|item| !name(item).is_empty()) =>
        {
            named_items(pointer, left, right, found);
        }
        (Some(Value::Array(left)), Some(Value::Array(right))) => {
            for index in 0..left.len().max(right.len()) {
                values(&below(pointer, &index.to_string()), left.get(index), right.get(index), found);
            }
        }
        (left, right) if left == right => {}
        (left, right) => found.push(Difference {
            pointer: pointer.to_owned(),
            expected: left.cloned(),
            got: right.cloned(),
        }),
    }
}

fn name(item: &Value) -> &str {
    let name = item["name"].as_str().or(item["resource"].as_str()).or(item["subresource"].as_str());
    name.unwrap_or_default()
}

/// What is served is compared by name, so that one more of it does not move all others.
fn named_items(pointer: &str, left: &[Value], right: &[Value], found: &mut Vec<Difference>) {
    let place = |item: &Value| below(pointer, &format!("name={}", name(item)));
    for item in left {
        let other = right.iter().find(|other| name(other) == name(item));
        values(&place(item), Some(item), other, found);
    }
    for item in right.iter().filter(|item| !left.iter().any(|other| name(other) == name(item))) {
        values(&place(item), None, Some(item), found);
    }
}

impl fmt::Display for Difference {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let show = |side: &Option<Value>| match side {
            None => "nothing".to_owned(),
            Some(value) => shortened(&value.to_string()),
        };
        write!(formatter, "{}: expected {}, got {}", self.pointer, show(&self.expected), show(&self.got))
    }
}

fn shortened(text: &str) -> String {
    const MOST: usize = 700;
    match text.char_indices().nth(MOST) {
        Some((end, _)) => format!("{}… ({} bytes)", &text[..end], text.len()),
        None => text.to_owned(),
    }
}
