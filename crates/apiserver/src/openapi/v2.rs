//! OpenAPI 2, the one document of everything that kubectl 1.28 and older ask for.
//!
//! It says what such a kubectl reads and no more: the fields of all kinds, so that it can explain them and refuses
//! unknown ones itself, and how objects are patched, so that it dares a dry run. [`document`] is JSON, and [`encode`]
//! makes of it gnostic's `openapi.v2.Document`, the form without which such a kubectl neither creates nor applies.

mod encode;

pub use encode::encode;

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};

use super::operations::{self, FORCE, PATCH_TYPES, Parameter, WRITE};
use super::{COMPONENTS, Described, GROUP_VERSION_KIND, PRESERVE_UNKNOWN, TITLE, VERSION, definitions, meta};
use crate::resource::Verb;

/// What the encoded document is typed as.
pub const CONTENT_TYPE: &str = "application/com.github.proto-openapi.spec.v2.v1.0+protobuf";

/// `GET /openapi/v2`.
pub fn document(served: &[Described]) -> Value {
    json!({
        "swagger": "2.0",
        "info": {"title": TITLE, "version": VERSION},
        "paths": paths(served),
        "definitions": all_definitions(served),
    })
}

fn all_definitions(served: &[Described]) -> Map<String, Value> {
    let mut schemas: BTreeMap<String, Value> = meta::schemas().into_iter().collect();
    for described in served {
        schemas.extend(definitions::parts(described));
        schemas.insert(described.definition_name(), definitions::object(described));
        schemas.insert(described.list_definition_name(), definitions::list(described));
    }
    let translator = Translator { names: schemas.keys().map(String::as_str).collect() };
    schemas.iter().map(|(name, schema)| (name.clone(), translator.schema(schema))).collect()
}

/// Translates schemas of version 3 into what clients of version 2 can read.
///
/// A reader gives up on the whole document for one schema that it does not understand, so whatever is not understood
/// becomes a schema that allows anything.
struct Translator<'a> {
    /// What a reference may lead to.
    names: BTreeSet<&'a str>,
}

impl Translator<'_> {
    fn schema(&self, schema: &Value) -> Value {
        let mut translated = Map::new();
        let Some(schema) = schema.as_object() else { return translated.into() };
        for keyword in ["description", "format"] {
            if let Some(text) = schema.get(keyword).filter(|text| text.is_string()) {
                translated.insert(keyword.to_owned(), text.clone());
            }
        }
        match self.referenced(schema) {
            Some(name) => drop(translated.insert("$ref".to_owned(), format!("#/definitions/{name}").into())),
            None => self.structure(schema, &mut translated),
        }
        let extensions = schema.iter().filter(|(keyword, _)| is_extension(keyword));
        translated.extend(extensions.map(|(keyword, value)| (keyword.clone(), value.clone())));
        translated.into()
    }

    /// What the schema refers to, alone or to say more about it.
    fn referenced<'s>(&self, schema: &'s Map<String, Value>) -> Option<&'s str> {
        let target = match schema.get("allOf").and_then(Value::as_array).map(Vec::as_slice) {
            Some([only]) => only.get("$ref"),
            _ => schema.get("$ref"),
        };
        target?.as_str()?.strip_prefix(COMPONENTS).filter(|name| self.names.contains(name))
    }

    fn structure(&self, schema: &Map<String, Value>, translated: &mut Map<String, Value>) {
        if let Some(values) = schema.get("enum").filter(|values| values.is_array()) {
            translated.insert("enum".to_owned(), values.clone());
        }
        let Some(known) = readable_type(schema) else { return };
        translated.insert("type".to_owned(), known.into());
        match known {
            "object" => self.object(schema, translated),
            "array" => drop(translated.insert("items".to_owned(), self.schema(&schema["items"]))),
            _ => {}
        }
    }

    fn object(&self, schema: &Map<String, Value>, translated: &mut Map<String, Value>) {
        let empty = Map::new();
        let properties = schema.get("properties").and_then(Value::as_object).unwrap_or(&empty);
        let is_nullable = |name: &str| properties.get(name).is_some_and(|it| it["nullable"] == true);
        let required = schema.get("required").and_then(Value::as_array).into_iter().flatten();
        // A required null would be reported as missing.
        let required: Vec<&str> =
            required.filter_map(Value::as_str).filter(|name| !is_nullable(name)).collect();
        if !required.is_empty() {
            translated.insert("required".to_owned(), json!(required));
        }
        if let Some(values) = schema.get("additionalProperties") {
            let values = if values.is_boolean() { values.clone() } else { self.schema(values) };
            translated.insert("additionalProperties".to_owned(), values);
        }
        if !properties.is_empty() {
            let fields: Map<String, Value> =
                properties.iter().map(|(name, schema)| (name.clone(), self.schema(schema))).collect();
            translated.insert("properties".to_owned(), fields.into());
        }
    }
}

/// The type, if a client that is told it accepts everything that the server accepts.
fn readable_type(schema: &Map<String, Value>) -> Option<&str> {
    let is_set = |keyword: &str| schema.get(keyword) == Some(&Value::Bool(true));
    let is_open = is_set("nullable") || is_set("x-kubernetes-int-or-string");
    match schema.get("type")?.as_str()? {
        _ if is_open => None,
        "object" | "array" if is_set(PRESERVE_UNKNOWN) => None,
        "array" => schema.get("items").filter(|items| items.is_object()).map(|_| "array"),
        known @ ("object" | "string" | "integer" | "number" | "boolean") => Some(known),
        _ => None,
    }
}

/// Rules in CEL are long, and no client of this version knows them.
fn is_extension(keyword: &str) -> bool {
    keyword.starts_with("x-kubernetes-") && keyword != "x-kubernetes-validations"
}

fn paths(served: &[Described]) -> Map<String, Value> {
    let patched = served.iter().filter(|described| described.resource.verbs.contains(&Verb::Patch));
    let path_item = |described: &Described| {
        let mut parameters = vec![path_parameter("name")];
        if described.resource.is_namespaced {
            parameters.push(path_parameter("namespace"));
        }
        json!({"patch": patch(described), "parameters": parameters})
    };
    patched.map(|described| (operations::item_path(described.resource), path_item(described))).collect()
}

fn patch(described: &Described) -> Value {
    json!({
        "operationId": operations::patch_id(described.resource),
        "consumes": PATCH_TYPES,
        "parameters": WRITE.iter().chain(&[FORCE]).map(query_parameter).collect::<Vec<Value>>(),
        "responses": {"200": {"description": "OK"}},
        "x-kubernetes-action": "patch",
        GROUP_VERSION_KIND: described.group_version_kind(),
    })
}

fn query_parameter(parameter: &Parameter) -> Value {
    json!({
        "in": "query", "name": parameter.name, "description": parameter.description, "type": parameter.value_type,
    })
}

fn path_parameter(name: &str) -> Value {
    json!({"in": "path", "name": name, "required": true, "type": "string"})
}
