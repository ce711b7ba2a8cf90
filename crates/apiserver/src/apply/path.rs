//! One step from a value to a value inside it, and how steps are ordered, printed and written down.

use crate::schema::text;
use serde_json::{Map, Number, Value};
use std::cmp::Ordering;
use std::fmt;

/// One step into an object. The order of the variants is the order in which they are written.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Step {
    /// A field of a struct or an entry of a map.
    Field(String),
    /// The item of a list that has these values in its key fields, in the order of the fields' names.
    Keys(Vec<(String, Scalar)>),
    /// The item of a set that is this value.
    Item(Scalar),
    /// The item of a list at this place; nothing here makes one, but others may have written it.
    Index(i64),
}

/// A value inside a step. Numbers are equal if they are the same number, be they written with a point or not.
#[derive(Debug, Clone)]
pub struct Scalar(pub Value);

impl Scalar {
    /// What was written down is read with numbers that have a point, and conflicts print them so.
    fn read(value: Value) -> Self {
        let float = value.as_i64().and_then(|_| Number::from_f64(value.as_f64()?));
        Self(float.map_or(value, Value::Number))
    }
}

impl Step {
    pub(crate) fn field(name: &str) -> Self {
        Self::Field(name.to_owned())
    }

    /// The text of a key in `fieldsV1`.
    pub(crate) fn encode(&self) -> String {
        match self {
            Self::Field(name) => format!("f:{name}"),
            Self::Keys(keys) => {
                let keys: Map<_, _> =
                    keys.iter().map(|(name, value)| (name.clone(), value.0.clone())).collect();
                format!("k:{}", text::json(&Value::Object(keys)))
            }
            Self::Item(value) => format!("v:{}", text::json(&value.0)),
            Self::Index(index) => format!("i:{index}"),
        }
    }

    /// Reads a key of `fieldsV1`. `Ok(None)` is a kind of step that is not known, to be passed over.
    pub(crate) fn decode(text: &str) -> Result<Option<Self>, String> {
        let bytes = text.as_bytes();
        if bytes.len() < 2 {
            return Err("key must be 2 characters long:".to_owned());
        }
        if bytes[1] != b':' {
            return Err(format!("missing colon: {text}"));
        }
        let rest = text.get(2..).unwrap_or_default();
        Ok(Some(match bytes[0] {
            b'f' => Self::field(rest),
            b'v' => Self::Item(Scalar::read(serde_json::from_str(rest).map_err(|error| error.to_string())?)),
            b'k' => {
                let keys: Map<String, Value> =
                    serde_json::from_str(rest).map_err(|error| error.to_string())?;
                let mut keys: Vec<_> =
                    keys.into_iter().map(|(name, value)| (name, Scalar::read(value))).collect();
                keys.sort_by(|(left, _), (right, _)| left.cmp(right));
                Self::Keys(keys)
            }
            b'i' => Self::Index(rest.parse().map_err(|_| format!("no index: {text}"))?),
            _ => return Ok(None),
        }))
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Field(name) => write!(f, ".{name}"),
            Self::Keys(keys) => {
                f.write_str("[")?;
                for (index, (name, value)) in keys.iter().enumerate() {
                    let separator = if index == 0 { "" } else { "," };
                    write!(f, "{separator}{name}={value}")?;
                }
                f.write_str("]")
            }
            Self::Item(value) => write!(f, "[={value}]"),
            Self::Index(index) => write!(f, "[{index}]"),
        }
    }
}

impl fmt::Display for Scalar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Value::Array(items) => {
                let items: Vec<_> = items.iter().map(|item| Self(item.clone()).to_string()).collect();
                write!(f, "[{}]", items.join(","))
            }
            Value::Object(fields) => {
                for (name, value) in fields {
                    write!(f, "{name}={}", Self(value.clone()))?;
                }
                Ok(())
            }
            scalar => f.write_str(&text::bad_value(scalar)),
        }
    }
}

impl PartialEq for Scalar {
    fn eq(&self, other: &Self) -> bool {
        compare(&self.0, &other.0).is_eq()
    }
}

impl Eq for Scalar {}

impl PartialOrd for Scalar {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Scalar {
    fn cmp(&self, other: &Self) -> Ordering {
        compare(&self.0, &other.0)
    }
}

/// Values that differ in nothing but how a number is written, or in the order of fields, are equal.
pub(crate) fn equal(left: &Value, right: &Value) -> bool {
    match (left, right) {
        (Value::Array(left), Value::Array(right)) => {
            left.len() == right.len() && left.iter().zip(right).all(|(left, right)| equal(left, right))
        }
        (Value::Object(left), Value::Object(right)) => {
            left.len() == right.len()
                && left.iter().all(|(name, left)| right.get(name).is_some_and(|right| equal(left, right)))
        }
        (left, right) => compare(left, right).is_eq(),
    }
}

/// Numbers before texts before truths before lists before maps before null.
fn compare(left: &Value, right: &Value) -> Ordering {
    match (left, right) {
        (Value::Number(left), Value::Number(right)) => compare_numbers(left, right),
        (Value::String(left), Value::String(right)) => left.cmp(right),
        (Value::Bool(left), Value::Bool(right)) => left.cmp(right),
        (Value::Array(left), Value::Array(right)) => {
            let pairs = left.iter().zip(right).map(|(left, right)| compare(left, right));
            pairs.fold(Ordering::Equal, Ordering::then).then(left.len().cmp(&right.len()))
        }
        (Value::Object(left), Value::Object(right)) => {
            let (left, right) = (sorted(left), sorted(right));
            let pairs = left
                .iter()
                .zip(&right)
                .map(|(left, right)| left.0.cmp(right.0).then_with(|| compare(left.1, right.1)));
            pairs.fold(Ordering::Equal, Ordering::then).then(left.len().cmp(&right.len()))
        }
        (left, right) => rank(left).cmp(&rank(right)),
    }
}

fn sorted(map: &Map<String, Value>) -> Vec<(&String, &Value)> {
    let mut entries: Vec<_> = map.iter().collect();
    entries.sort_by_key(|(name, _)| *name);
    entries
}

fn compare_numbers(left: &Number, right: &Number) -> Ordering {
    match (left.as_i64(), right.as_i64()) {
        (Some(left), Some(right)) => left.cmp(&right),
        _ => {
            let (left, right) = (left.as_f64().unwrap_or_default(), right.as_f64().unwrap_or_default());
            left.partial_cmp(&right).unwrap_or(Ordering::Equal)
        }
    }
}

fn rank(value: &Value) -> u8 {
    match value {
        Value::Number(_) => 0,
        Value::String(_) => 1,
        Value::Bool(_) => 2,
        Value::Array(_) => 3,
        Value::Object(_) => 4,
        Value::Null => 5,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn steps_are_printed_and_written_as_others_do() {
        let keys =
            Step::Keys(vec![("port".into(), Scalar(json!(80))), ("protocol".into(), Scalar(json!("TCP")))]);
        for (step, printed, written) in [
            (Step::field("spec"), ".spec", "f:spec"),
            (keys, r#"[port=80,protocol="TCP"]"#, r#"k:{"port":80,"protocol":"TCP"}"#),
            (Step::Item(Scalar(json!("a/b"))), r#"[="a/b"]"#, r#"v:"a/b""#),
            (Step::Index(3), "[3]", "i:3"),
        ] {
            assert_eq!(step.to_string(), printed);
            assert_eq!(step.encode(), written);
            assert_eq!(Step::decode(written), Ok(Some(step)));
        }
        assert_eq!(Step::decode("x:y"), Ok(None));
        for broken in ["", "f", "fa", "v:", "k:[]", "i:x"] {
            assert!(Step::decode(broken).is_err(), "{broken}");
        }
    }

    #[test]
    fn a_number_is_itself_however_it_is_written() {
        assert_eq!(Step::Item(Scalar(json!(1))), Step::Item(Scalar(json!(1.0))));
        let read = Step::decode("v:64512000").ok().flatten().expect("it is well-formed");
        assert_eq!((read.to_string().as_str(), read.encode().as_str()), ("[=6.4512e+07]", "v:64512000"));
        assert!(!equal(&json!({"a": [1]}), &json!({"a": [2]})));
        assert!(equal(&json!({"a": 1, "b": 2.0}), &json!({"b": 2, "a": 1.0})));
    }
}
