//! Whole values inside messages, printed as the API server prints what it holds in memory.

use crate::schema::text;
use serde_json::{Map, Number, Value};

/// Whether whole numbers were read as integers or, as in apply, as floating point.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Numbers {
    Integers,
    Floats,
}

/// `map[a:1 b:[x y]]`.
pub(crate) fn plain(value: &Value, numbers: Numbers) -> String {
    match value {
        Value::Null => "<nil>".to_owned(),
        Value::Bool(flag) => flag.to_string(),
        Value::Number(number) => self::number(number, numbers),
        Value::String(text) => text.clone(),
        Value::Array(items) => {
            let items: Vec<_> = items.iter().map(|item| plain(item, numbers)).collect();
            format!("[{}]", items.join(" "))
        }
        Value::Object(fields) => plain_map(fields, numbers),
    }
}

/// [`plain`] of a map.
pub(crate) fn plain_map(fields: &Map<String, Value>, numbers: Numbers) -> String {
    let mut fields: Vec<_> =
        fields.iter().map(|(name, field)| format!("{name}:{}", plain(field, numbers))).collect();
    fields.sort();
    format!("map[{}]", fields.join(" "))
}

/// `map[string]interface {}{"a":1, "b":[]interface {}{"x"}}`.
pub(crate) fn literal(value: &Value, numbers: Numbers) -> String {
    match value {
        Value::Null => "interface {}(nil)".to_owned(),
        Value::Bool(flag) => flag.to_string(),
        Value::Number(number) => self::number(number, numbers),
        Value::String(text) => text::quote(text),
        Value::Array(items) => {
            let items: Vec<_> = items.iter().map(|item| literal(item, numbers)).collect();
            format!("[]interface {{}}{{{}}}", items.join(", "))
        }
        Value::Object(fields) => {
            let mut fields: Vec<_> = fields
                .iter()
                .map(|(name, field)| format!("{}:{}", text::quote(name), literal(field, numbers)))
                .collect();
            fields.sort();
            format!("map[string]interface {{}}{{{}}}", fields.join(", "))
        }
    }
}

/// What the value is in memory.
pub(crate) fn type_name(value: &Value, numbers: Numbers) -> &'static str {
    match value {
        Value::Null => "<nil>",
        Value::Bool(_) => "bool",
        Value::Number(number) if numbers == Numbers::Integers && number.is_i64() => "int64",
        Value::Number(_) => "float64",
        Value::String(_) => "string",
        Value::Array(_) => "[]interface {}",
        Value::Object(_) => "map[string]interface {}",
    }
}

fn number(number: &Number, numbers: Numbers) -> String {
    match number.as_i64() {
        Some(integer) if numbers == Numbers::Integers => integer.to_string(),
        _ => text::float(number.as_f64().unwrap_or_default()),
    }
}
