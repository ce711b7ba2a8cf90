//! Objects as the rows that `kubectl get` prints (`as=Table`).
//!
//! What is shown of an object is data: a [`Column`] is a path into it and a type. No clock is read here; ages are
//! counted from the `now` of the caller.

mod age;
pub mod built_in;
mod json_path;
#[cfg(test)]
mod tests;

pub use age::human_duration;
pub use json_path::{JsonPath, JsonPathError};

use age::Age;
use serde_json::{Value, json};

/// One printed column.
#[derive(Debug, Clone)]
pub struct Column {
    pub name: String,
    /// `string`, `integer`, `number`, `boolean` or `date`.
    pub column_type: String,
    pub format: String,
    pub description: String,
    /// Zero: always shown; else only with `-o wide`.
    pub priority: i64,
    pub path: JsonPath,
}

/// Whether rows carry the whole object, its metadata, or nothing (`includeObject`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum IncludeObject {
    None,
    #[default]
    Metadata,
    Object,
}

impl Column {
    /// A column of a CRD's `additionalPrinterColumns`.
    pub fn of_definition(definition: &Value) -> Result<Column, JsonPathError> {
        let text = |field: &str| definition[field].as_str().unwrap_or_default().to_owned();
        let described = match text("description") {
            empty if empty.is_empty() => {
                format!("Custom resource definition column (in JSONPath format): {}", text("jsonPath"))
            }
            description => description,
        };
        Ok(Column {
            name: text("name"),
            column_type: text("type"),
            format: text("format"),
            description: described,
            priority: definition["priority"].as_i64().unwrap_or(0),
            path: JsonPath::parse(&text("jsonPath"))?,
        })
    }

    /// What a CRD without columns of its own shows beside the name.
    pub fn age() -> Column {
        let description = "How long ago the object was created, by the clock of the server.";
        Column {
            name: "Age".to_owned(),
            column_type: "date".to_owned(),
            format: String::new(),
            description: description.to_owned(),
            priority: 0,
            path: JsonPath::fields(&["metadata", "creationTimestamp"]),
        }
    }

    fn cell(&self, object: &Value, now_secs: i64) -> Value {
        let Some(value) = self.path.first(object) else { return Value::Null };
        match (self.column_type.as_str(), value) {
            (_, Value::Null) => Value::Null,
            ("date", Value::String(text)) => match age::seconds_of(text) {
                Some(then) => human_duration(now_secs - then).into(),
                None => "<invalid>".into(),
            },
            ("date", _) => "<invalid>".into(),
            ("integer" | "number", Value::Number(_))
            | ("boolean", Value::Bool(_))
            | (_, Value::String(_)) => value.clone(),
            ("integer", other) => other.as_f64().map_or(Value::Null, |number| json!(number.trunc())),
            ("string", other) => other.to_string().into(),
            _ => Value::Null,
        }
    }
}

/// The rows of these objects. The name comes first in every table.
pub fn render(
    columns: &[Column],
    objects: &[Value],
    list_metadata: &Value,
    include: IncludeObject,
    now_secs: i64,
) -> Value {
    let name_description = "Name of the object, unique among objects of its kind in its namespace.";
    let mut definitions = vec![json!({
        "name": "Name", "type": "string", "format": "name", "description": name_description, "priority": 0,
    })];
    definitions.extend(columns.iter().map(|column| {
        json!({
            "name": column.name, "type": column.column_type, "format": column.format,
            "description": column.description, "priority": column.priority,
        })
    }));
    let row = |object: &Value| {
        let mut cells = vec![object["metadata"]["name"].clone()];
        cells.extend(columns.iter().map(|column| column.cell(object, now_secs)));
        json!({"cells": cells, "object": shown(object, include)})
    };
    let rows: Vec<Value> = objects.iter().map(row).collect();
    json!({
        "kind": "Table", "apiVersion": "meta.k8s.io/v1", "metadata": list_metadata,
        "columnDefinitions": definitions, "rows": rows,
    })
}

fn shown(object: &Value, include: IncludeObject) -> Value {
    match include {
        IncludeObject::None => Value::Null,
        IncludeObject::Object => object.clone(),
        IncludeObject::Metadata => json!({
            "kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1", "metadata": object["metadata"],
        }),
    }
}
