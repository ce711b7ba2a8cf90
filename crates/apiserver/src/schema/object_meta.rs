//! The fields that `metadata` has, and what it means for one to be of the wrong type.

use super::{text, time};
use serde_json::{Map, Value};

#[derive(Clone, Copy)]
enum Kind {
    Text,
    /// A text whose type has this name.
    Named(&'static str),
    Integer,
    Flag,
    Time,
    TextMap,
    TextList,
    Anything,
    Records(&'static Record),
}

struct Record {
    type_name: &'static str,
    fields: &'static [(&'static str, Kind)],
}

const UID: Kind = Kind::Named("types.UID");

static OBJECT_META: Record = Record {
    type_name: "ObjectMeta",
    fields: &[
        ("annotations", Kind::TextMap),
        ("creationTimestamp", Kind::Time),
        ("deletionGracePeriodSeconds", Kind::Integer),
        ("deletionTimestamp", Kind::Time),
        ("finalizers", Kind::TextList),
        ("generateName", Kind::Text),
        ("generation", Kind::Integer),
        ("labels", Kind::TextMap),
        ("managedFields", Kind::Records(&MANAGED_FIELDS)),
        ("name", Kind::Text),
        ("namespace", Kind::Text),
        ("ownerReferences", Kind::Records(&OWNER_REFERENCE)),
        ("resourceVersion", Kind::Text),
        ("selfLink", Kind::Text),
        ("uid", UID),
    ],
};

static OWNER_REFERENCE: Record = Record {
    type_name: "OwnerReference",
    fields: &[
        ("apiVersion", Kind::Text),
        ("blockOwnerDeletion", Kind::Flag),
        ("controller", Kind::Flag),
        ("kind", Kind::Text),
        ("name", Kind::Text),
        ("uid", UID),
    ],
};

static MANAGED_FIELDS: Record = Record {
    type_name: "ManagedFieldsEntry",
    fields: &[
        ("apiVersion", Kind::Text),
        ("fieldsType", Kind::Text),
        ("fieldsV1", Kind::Anything),
        ("manager", Kind::Text),
        ("operation", Kind::Named("v1.ManagedFieldsOperationType")),
        ("subresource", Kind::Text),
        ("time", Kind::Time),
    ],
};

/// Why `metadata` is not one that any object could have: the first field of a wrong type, in the
/// words of the API server's decoder. Such a request is a bad one, not an invalid object.
pub fn decode_error(metadata: &Value) -> Option<String> {
    match metadata {
        Value::Null => None,
        Value::Object(fields) => OBJECT_META.decode_error(fields, ""),
        other => Some(format!("json: cannot unmarshal {} into Go value of type v1.ObjectMeta", word(other))),
    }
}

/// Removes what `metadata` cannot have and names it; removes, silently, what is empty.
pub(super) fn prune(metadata: &mut Value, path: &str, unknown: &mut Vec<String>) {
    let Some(fields) = metadata.as_object_mut() else {
        return;
    };
    OBJECT_META.prune(fields, path, unknown);
    fields.retain(|name, value| match value {
        Value::Null => false,
        Value::String(text) => !text.is_empty(),
        Value::Array(items) => !items.is_empty(),
        Value::Object(entries) => !entries.is_empty(),
        Value::Number(number) => name != "generation" || number.as_i64() != Some(0),
        Value::Bool(_) => true,
    });
}

impl Record {
    fn kind(&self, name: &str) -> Option<Kind> {
        self.fields.iter().find(|(known, _)| *known == name).map(|(_, kind)| *kind)
    }

    fn decode_error(&self, fields: &Map<String, Value>, parent: &str) -> Option<String> {
        self.fields.iter().find_map(|(name, kind)| {
            let value = fields.get(*name).filter(|value| !value.is_null())?;
            kind.decode_error(value, self.type_name, &format!("{parent}.{name}"))
        })
    }

    fn prune(&self, fields: &mut Map<String, Value>, path: &str, unknown: &mut Vec<String>) {
        fields.retain(|name, _| {
            let known = self.kind(name).is_some();
            if !known {
                unknown.push(format!("{path}.{name}"));
            }
            known
        });
        for (name, value) in fields.iter_mut() {
            match (self.kind(name), value) {
                (Some(Kind::TextMap), Value::Object(entries)) => entries.values_mut().for_each(null_to_empty),
                (Some(Kind::TextList), Value::Array(items)) => items.iter_mut().for_each(null_to_empty),
                (Some(Kind::Records(record)), Value::Array(items)) => {
                    for (index, item) in items.iter_mut().enumerate() {
                        if let Value::Object(fields) = item {
                            record.prune(fields, &format!("{path}.{name}[{index}]"), unknown);
                        }
                    }
                }
                _ => {}
            }
        }
    }
}

/// Among texts, `null` is an empty one.
fn null_to_empty(value: &mut Value) {
    if value.is_null() {
        *value = Value::String(String::new());
    }
}

impl Kind {
    fn decode_error(self, value: &Value, type_name: &str, path: &str) -> Option<String> {
        let wrong = |value: &Value, expected: &str| {
            Some(format!(
                "json: cannot unmarshal {} into Go struct field {type_name}{path} of type {expected}",
                word(value)
            ))
        };
        match (self, value) {
            (Self::Anything, _)
            | (Self::Text | Self::Named(_), Value::String(_))
            | (Self::Flag, Value::Bool(_)) => None,
            (Self::Integer, Value::Number(number)) => {
                // A float counts as what it is printed as, so that 1.0 is a whole number.
                let number = text::json(&Value::Number(number.clone()));
                let fits = number.parse::<i64>().is_ok();
                (!fits).then(|| format!(
                    "json: cannot unmarshal number {number} into Go struct field {type_name}{path} of type int64"
                ))
            }
            (Self::Time, Value::String(time)) => time::error(time),
            (Self::TextMap, Value::Object(entries)) => {
                let stray = entries.values().find(|value| !value.is_string() && !value.is_null())?;
                wrong(stray, "string")
            }
            (Self::TextList, Value::Array(items)) => {
                wrong(items.iter().find(|item| !item.is_string() && !item.is_null())?, "string")
            }
            (Self::Records(record), Value::Array(items)) => items.iter().find_map(|item| match item {
                Value::Object(fields) => record.decode_error(fields, path),
                Value::Null => None,
                other => wrong(other, &format!("v1.{}", record.type_name)),
            }),
            (Self::Text | Self::Time, _) => wrong(value, "string"),
            (Self::Named(type_name), _) => wrong(value, type_name),
            (Self::Integer, _) => wrong(value, "int64"),
            (Self::Flag, _) => wrong(value, "bool"),
            (Self::TextMap, _) => wrong(value, "map[string]string"),
            (Self::TextList, _) => wrong(value, "[]string"),
            (Self::Records(record), _) => wrong(value, &format!("[]v1.{}", record.type_name)),
        }
    }
}

fn word(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "bool",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}
