//! Values as rules see them, and the functions that convert between their types.

use super::format::{self, Format, TextFormat};
use super::node::{Additional, Node, Type};
use chrono::{DateTime, FixedOffset, TimeDelta, Timelike};
use kube_cel::KubeCelExt;
use kube_cel::cel::extractors::This;
use kube_cel::cel::objects::{Key, Map};
use kube_cel::cel::{Context, ExecutionError, Value as CelValue};
use serde_json::Value;
use std::collections::HashMap;
use std::sync::Arc;

/// The types that rules can compare `type(…)` with.
const TYPES: [&str; 9] = ["int", "uint", "double", "bool", "string", "bytes", "list", "map", "null_type"];

/// All functions of rules, and the names of types.
pub(super) fn context() -> Context<'static> {
    let mut context = Context::default().with_all();
    context.add_function("dyn", |This(value): This<CelValue>| -> Converted { Ok(value) });
    context.add_function("type", |This(value): This<CelValue>| Arc::new(type_name(&value).to_owned()));
    context.add_function("duration", |This(value): This<CelValue>| to_duration(value));
    context.add_function("timestamp", |This(value): This<CelValue>| to_timestamp(value));
    context.add_function("int", |This(value): This<CelValue>| to_int(value));
    context.add_function("uint", |This(value): This<CelValue>| to_uint(value));
    context.add_function("bool", |This(value): This<CelValue>| to_bool(value));
    // The library's own lose the upper half of large durations.
    context.add_function("getHours", |This(value): This<CelValue>| {
        time_unit(&value, TimeDelta::num_hours, DateTime::hour)
    });
    context.add_function("getMinutes", |This(value): This<CelValue>| {
        time_unit(&value, TimeDelta::num_minutes, DateTime::minute)
    });
    context.add_function("getSeconds", |This(value): This<CelValue>| {
        time_unit(&value, TimeDelta::num_seconds, DateTime::second)
    });
    context.add_function("getMilliseconds", |This(value): This<CelValue>| {
        time_unit(&value, TimeDelta::num_milliseconds, DateTime::timestamp_subsec_millis)
    });
    for name in TYPES {
        context.add_variable_from_value(name, CelValue::String(Arc::new(name.to_owned())));
    }
    context
}

type Converted = Result<CelValue, ExecutionError>;

fn type_name(value: &CelValue) -> &'static str {
    match value {
        CelValue::List(_) => "list",
        CelValue::Map(_) => "map",
        CelValue::Int(_) => "int",
        CelValue::UInt(_) => "uint",
        CelValue::Float(_) => "double",
        CelValue::String(_) => "string",
        CelValue::Bytes(_) => "bytes",
        CelValue::Bool(_) => "bool",
        CelValue::Duration(_) => "google.protobuf.Duration",
        CelValue::Timestamp(_) => "google.protobuf.Timestamp",
        CelValue::Null => "null_type",
        CelValue::Function(..) | CelValue::Opaque(_) => "type",
    }
}

fn to_duration(value: CelValue) -> Converted {
    match &value {
        CelValue::Duration(_) => Ok(value),
        CelValue::String(text) => match format::parse_unit_duration(text) {
            Some(nanos) => Ok(CelValue::Duration(TimeDelta::nanoseconds(nanos))),
            None => Err(inconvertible("string", "google.protobuf.Duration")),
        },
        _ => Err(ExecutionError::NoSuchOverload),
    }
}

fn to_timestamp(value: CelValue) -> Converted {
    match &value {
        CelValue::Timestamp(_) => Ok(value),
        CelValue::String(text) => match DateTime::parse_from_rfc3339(text) {
            Ok(time) => Ok(CelValue::Timestamp(time)),
            Err(_) => Err(inconvertible("string", "google.protobuf.Timestamp")),
        },
        CelValue::Int(seconds) => match DateTime::from_timestamp(*seconds, 0) {
            Some(time) => Ok(CelValue::Timestamp(time.fixed_offset())),
            None => Err(ExecutionError::function_error("timestamp", "timestamp overflow")),
        },
        _ => Err(ExecutionError::NoSuchOverload),
    }
}

fn to_int(value: CelValue) -> Converted {
    const I64_END: f64 = 9_223_372_036_854_775_808.0;
    let overflow = || ExecutionError::function_error("int", "integer overflow");
    match value {
        CelValue::Int(_) => Ok(value),
        CelValue::UInt(number) => i64::try_from(number).map(CelValue::Int).map_err(|_| overflow()),
        CelValue::Float(number) if number > -I64_END && number < I64_END => Ok(CelValue::Int(number as i64)),
        CelValue::Float(_) => Err(overflow()),
        CelValue::String(text) => text.parse().map(CelValue::Int).map_err(|_| inconvertible("string", "int")),
        CelValue::Timestamp(time) => Ok(CelValue::Int(time.timestamp())),
        CelValue::Duration(duration) => duration.num_nanoseconds().map(CelValue::Int).ok_or_else(overflow),
        _ => Err(ExecutionError::NoSuchOverload),
    }
}

fn to_uint(value: CelValue) -> Converted {
    const U64_END: f64 = 18_446_744_073_709_551_616.0;
    let overflow = || ExecutionError::function_error("uint", "unsigned integer overflow");
    match value {
        CelValue::UInt(_) => Ok(value),
        CelValue::Int(number) => u64::try_from(number).map(CelValue::UInt).map_err(|_| overflow()),
        CelValue::Float(number) if (0.0..U64_END).contains(&number) => Ok(CelValue::UInt(number as u64)),
        CelValue::Float(_) => Err(overflow()),
        CelValue::String(text) if text.starts_with('+') => Err(inconvertible("string", "uint")),
        CelValue::String(text) => {
            text.parse().map(CelValue::UInt).map_err(|_| inconvertible("string", "uint"))
        }
        _ => Err(ExecutionError::NoSuchOverload),
    }
}

fn time_unit(
    value: &CelValue,
    of_duration: fn(&TimeDelta) -> i64,
    of_timestamp: fn(&DateTime<FixedOffset>) -> u32,
) -> Converted {
    match value {
        CelValue::Duration(duration) => Ok(CelValue::Int(of_duration(duration))),
        CelValue::Timestamp(time) => Ok(CelValue::Int(of_timestamp(time).into())),
        _ => Err(ExecutionError::NoSuchOverload),
    }
}

fn to_bool(value: CelValue) -> Converted {
    match &value {
        CelValue::Bool(_) => Ok(value),
        CelValue::String(text) => match text.as_str() {
            "1" | "t" | "T" | "true" | "TRUE" | "True" => Ok(CelValue::Bool(true)),
            "0" | "f" | "F" | "false" | "FALSE" | "False" => Ok(CelValue::Bool(false)),
            _ => Err(inconvertible("string", "bool")),
        },
        _ => Err(ExecutionError::NoSuchOverload),
    }
}

fn inconvertible(from: &str, to: &str) -> ExecutionError {
    ExecutionError::function_error(to, format!("type conversion error from '{from}' to '{to}'"))
}

/// What Go calls the type of a value that it knows nothing else of.
pub(crate) fn go_type(value: &Value) -> &'static str {
    match value {
        Value::Null => "<nil>",
        Value::Bool(_) => "bool",
        Value::Number(number) if number.is_i64() => "int64",
        Value::Number(_) => "float64",
        Value::String(_) => "string",
        Value::Array(_) => "[]interface {}",
        Value::Object(_) => "map[string]interface {}",
    }
}

/// Why a value cannot be `self` for the rules of its schema: it has another type, but was like that before.
pub(super) fn mistyped(value: &Value, node: &Node) -> Option<String> {
    if value.is_null() {
        return None;
    }
    let actual = go_type(value);
    if node.int_or_string {
        let detail = "invalid data, expected XIntOrString value to be either a string or integer";
        return (!matches!(actual, "int64" | "string")).then(|| detail.to_owned());
    }
    let scalar = |expected| Some(format!("invalid data, expected {expected}, got {actual}"));
    match (node.types.first()?, actual) {
        (Type::Object, "map[string]interface {}") | (Type::Array, "[]interface {}") => None,
        (Type::Object, _) => {
            Some("invalid data, expected a map for the provided schema with type=object".to_owned())
        }
        (Type::Array, _) => {
            Some("invalid data, expected an array for the provided schema with type=array".to_owned())
        }
        (Type::String, "string") | (Type::Boolean, "bool") | (Type::Integer, "int64") => None,
        (Type::Number, "int64" | "float64") => None,
        (Type::String, _) => scalar("string"),
        (Type::Boolean, _) => scalar("bool"),
        (Type::Integer, _) => scalar("int"),
        (Type::Number, _) => scalar("float"),
    }
}

/// A value with the fields that its schema declares, under the names that rules use.
pub(super) fn to_cel(value: &Value, node: &Node, resource_root: bool) -> CelValue {
    match value {
        Value::Object(object) => {
            let resource = resource_root || node.embedded_resource;
            let mut map = HashMap::new();
            if resource {
                for name in ["apiVersion", "kind"] {
                    map.extend(present(object, name).map(|value| (key(name), untyped(value))));
                }
                let metadata = object.get("metadata").and_then(Value::as_object);
                map.extend(metadata.map(|metadata| {
                    let names = ["name", "generateName"].into_iter();
                    let known = names.filter_map(|name| Some((key(name), untyped(present(metadata, name)?))));
                    (key("metadata"), map_value(known.collect()))
                }));
            }
            for (name, property) in node.properties.iter() {
                let handled = resource && matches!(name, "apiVersion" | "kind" | "metadata");
                if let (Some(value), Some(escaped), false) =
                    (present(object, name), super::cel::escape(name), handled)
                {
                    map.insert(key(&escaped), to_cel(value, property, false));
                }
            }
            if !resource && node.properties.is_empty() {
                let entry = |value| match &node.additional {
                    Some(Additional::Schema(entry)) => to_cel(value, entry, false),
                    _ => untyped(value),
                };
                map.extend(object.iter().map(|(name, value)| (key(name), entry(value))));
            }
            map_value(map)
        }
        Value::Array(items) => {
            let item =
                |item| node.items.as_deref().map_or_else(|| untyped(item), |node| to_cel(item, node, false));
            CelValue::List(Arc::new(items.iter().map(item).collect()))
        }
        Value::String(text) if !node.int_or_string => {
            let format = node.format.as_ref().and_then(Format::text);
            format.and_then(|format| formatted(text, format)).unwrap_or_else(|| untyped(value))
        }
        Value::Number(number) if node.has_type(Type::Number) => {
            CelValue::Float(number.as_f64().unwrap_or_default())
        }
        _ => untyped(value),
    }
}

/// To rules, a field that is `null` is one that is not there.
fn present<'a>(object: &'a serde_json::Map<String, Value>, name: &str) -> Option<&'a Value> {
    object.get(name).filter(|value| !value.is_null())
}

/// Texts of some formats are values of their own in rules.
fn formatted(text: &str, format: TextFormat) -> Option<CelValue> {
    match format {
        TextFormat::Duration => {
            Some(CelValue::Duration(TimeDelta::nanoseconds(format::parse_duration_nanos(text)?)))
        }
        TextFormat::Date => {
            let midnight = DateTime::parse_from_rfc3339(&format!("{text}T00:00:00Z"));
            midnight.ok().map(CelValue::Timestamp)
        }
        TextFormat::DateTime => DateTime::parse_from_rfc3339(text).ok().map(CelValue::Timestamp),
        _ => None,
    }
}

fn untyped(value: &Value) -> CelValue {
    match value {
        Value::Null => CelValue::Null,
        Value::Bool(flag) => CelValue::Bool(*flag),
        Value::Number(number) => match number.as_i64() {
            Some(integer) => CelValue::Int(integer),
            None => CelValue::Float(number.as_f64().unwrap_or_default()),
        },
        Value::String(text) => CelValue::String(Arc::new(text.clone())),
        Value::Array(items) => CelValue::List(Arc::new(items.iter().map(untyped).collect())),
        Value::Object(object) => {
            map_value(object.iter().map(|(name, value)| (key(name), untyped(value))).collect())
        }
    }
}

fn map_value(map: HashMap<Key, CelValue>) -> CelValue {
    CelValue::Map(Map { map: Arc::new(map) })
}

fn key(name: &str) -> Key {
    Key::String(Arc::new(name.to_owned()))
}
