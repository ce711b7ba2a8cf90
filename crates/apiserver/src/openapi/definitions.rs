//! The schemas of a kind and of its list, complete with what every object has.

use serde_json::{Map, Value, json};

use super::{COMPONENTS, Described, GROUP_VERSION_KIND, PRESERVE_UNKNOWN, meta, reference};
use crate::types;

/// Before the names of structs of built-in kinds.
const PARTS: &str = "io.k8s.api.";

const EMBEDDED: &str = "x-kubernetes-embedded-resource";
const API_VERSION: &str = "The API group and version that the object is written in.";
const KIND: &str = "The kind of the object.";
const METADATA: &str = "What is known of every object: its name, labels, owner and history.";

/// An object of the kind.
pub(super) fn object(described: &Described) -> Value {
    let mut schema = match described.schema {
        Some(Value::Object(schema)) => schema.clone(),
        Some(_) => any_fields(&described.resource.kind),
        None => match structs(described) {
            Some((name, mut structs)) => match structs.remove(&name) {
                Some(Value::Object(schema)) => schema,
                _ => any_fields(&described.resource.kind),
            },
            None => any_fields(&described.resource.kind),
        },
    };
    complete_embedded(&mut schema);
    add_object_fields(&mut schema);
    schema.insert(GROUP_VERSION_KIND.to_owned(), json!([described.group_version_kind()]));
    Value::Object(schema)
}

/// The structs that objects of a built-in kind consist of.
pub(super) fn parts(described: &Described) -> Vec<(String, Value)> {
    let structs = described.schema.is_none().then(|| structs(described)).flatten();
    let Some((name, structs)) = structs else { return Vec::new() };
    let parts = structs.into_iter().filter(|(part, _)| *part != name);
    parts.map(|(part, schema)| (format!("{PARTS}{part}"), schema)).collect()
}

fn structs(described: &Described) -> Option<(String, Map<String, Value>)> {
    let prefix = format!("{COMPONENTS}{PARTS}");
    types::schemas_of(&described.resource.api_version(), &described.resource.kind, &prefix)
}

/// A list of objects of the kind.
pub(super) fn list(described: &Described) -> Value {
    let resource = described.resource;
    json!({
        "type": "object",
        "description": format!("A list of objects of kind {}.", resource.kind),
        "required": ["items"],
        "properties": {
            "apiVersion": {"type": "string", "description": API_VERSION},
            "kind": {"type": "string", "description": KIND},
            "metadata": {
                "description": "Which moment the list shows, and where it goes on.",
                "allOf": [meta::reference("ListMeta")],
            },
            "items": {
                "type": "array",
                "description": format!("The {}, ordered by namespace and name.", resource.plural),
                "items": reference(&described.definition_name()),
            },
        },
        GROUP_VERSION_KIND: [{
            "group": resource.group, "version": resource.version, "kind": resource.list_kind(),
        }],
    })
}

/// Refuses nothing, so that a client that checks first lets the server decide.
fn any_fields(kind: &str) -> Map<String, Value> {
    let mut schema = Map::new();
    schema.insert("description".to_owned(), format!("An object of kind {kind}.").into());
    schema.insert(PRESERVE_UNKNOWN.to_owned(), true.into());
    schema
}

/// Objects inside objects have the fields of an object too.
fn complete_embedded(schema: &mut Map<String, Value>) {
    for child in children(schema) {
        complete_embedded(child);
        if child.get(EMBEDDED) == Some(&Value::Bool(true)) {
            add_object_fields(child);
        }
    }
}

fn children(schema: &mut Map<String, Value>) -> impl Iterator<Item = &mut Map<String, Value>> {
    schema
        .iter_mut()
        .flat_map(|(keyword, value)| -> Vec<&mut Value> {
            match (keyword.as_str(), value) {
                ("properties", Value::Object(properties)) => properties.values_mut().collect(),
                ("items" | "additionalProperties", value) => vec![value],
                _ => Vec::new(),
            }
        })
        .filter_map(Value::as_object_mut)
}

fn add_object_fields(schema: &mut Map<String, Value>) {
    schema.insert("type".to_owned(), "object".into());
    let properties = schema.entry("properties").or_insert_with(|| json!({}));
    if !properties.is_object() {
        *properties = json!({});
    }
    for (field, text) in [("apiVersion", API_VERSION), ("kind", KIND), ("metadata", METADATA)] {
        let described = properties[field]["description"].as_str().unwrap_or(text).to_owned();
        properties[field] = if field == "metadata" {
            json!({"description": described, "allOf": [meta::reference("ObjectMeta")]})
        } else {
            json!({"description": described, "type": "string"})
        };
    }
}
