//! From a schema as derived from Rust types to one as `controller-gen` derives it from Go types.
//!
//! The two agree on structure. They differ in how "optional" is said: the derive admits `null`, the
//! Kubernetes API leaves the field out and says nothing.

use serde_json::{Map, Value};

/// A schema and everything below it, in normal form.
pub(super) fn schema(schema: Value) -> Value {
    let Value::Object(mut schema) = schema else {
        return schema;
    };
    take_optional_apart(&mut schema);
    forbid_null(&mut schema);
    schema.remove("title");
    // Every unknown field is pruned by the API server, so this would only reject what is harmless.
    if schema.get("additionalProperties") == Some(&Value::Bool(false)) {
        schema.remove("additionalProperties");
    }
    if let Some(Value::String(description)) = schema.get_mut("description") {
        *description = unwrap_lines(description);
    }
    if let Some(Value::Object(properties)) = schema.get_mut("properties") {
        for property in properties.values_mut() {
            *property = self::schema(property.take());
        }
    }
    drop_defaults_of_required(&mut schema);
    for key in ["items", "additionalProperties"] {
        if let Some(inner) = schema.get_mut(key) {
            *inner = self::schema(inner.take());
        }
    }
    Value::Object(schema)
}

/// `anyOf: [T, null]` becomes `T`. What the field says about itself, such as its description, wins over
/// what its type says.
fn take_optional_apart(schema: &mut Map<String, Value>) {
    let Some(Value::Array(choices)) = schema.remove("anyOf") else {
        return;
    };
    let inner = choices.into_iter().find(|choice| choice["type"] != "null");
    if let Some(Value::Object(inner)) = inner {
        for (key, value) in inner {
            schema.entry(key).or_insert(value);
        }
    }
}

fn forbid_null(schema: &mut Map<String, Value>) {
    if let Some(Value::Array(types)) = schema.get("type") {
        let not_null = types.iter().find(|name| *name != "null").cloned();
        schema.insert("type".to_owned(), not_null.unwrap_or(Value::Null));
    }
    if let Some(Value::Array(values)) = schema.get_mut("enum") {
        values.retain(|value| !value.is_null());
    }
}

/// What a missing required field is read as is not a default that the API server should fill in.
fn drop_defaults_of_required(schema: &mut Map<String, Value>) {
    let required = schema.get("required").and_then(Value::as_array).cloned().unwrap_or_default();
    for name in required.iter().filter_map(Value::as_str) {
        if let Some(Value::Object(property)) = schema.get_mut("properties").and_then(|all| all.get_mut(name))
        {
            property.remove("default");
        }
    }
}

/// Lines of one paragraph are joined, paragraphs stay apart.
fn unwrap_lines(text: &str) -> String {
    let paragraphs = text.trim().split("\n\n");
    paragraphs
        .map(|paragraph| paragraph.split_whitespace().collect::<Vec<_>>().join(" "))
        .collect::<Vec<_>>()
        .join("\n\n")
}
