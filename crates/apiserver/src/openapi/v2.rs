//! OpenAPI 2 as gnostic's `openapi.v2.Document`, the one document of everything that kubectl 1.28 and older ask for.
//!
//! It says what such a kubectl reads and no more: the fields of custom resources, so that it can explain them and
//! refuses unknown ones itself, and how objects are patched, so that it dares a dry run. Built-in kinds have no
//! definition: kubectl then does not check them and makes strategic patches from what it knows of them itself.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value};

use super::operations::{self, FORCE, PATCH_TYPES, Parameter, WRITE};
use super::protobuf::Message;
use super::{COMPONENTS, Described, GROUP_VERSION_KIND, PRESERVE_UNKNOWN, TITLE, VERSION, definitions, meta};
use crate::resource::Verb;

/// What the answer is typed as.
pub const CONTENT_TYPE: &str = "application/com.github.proto-openapi.spec.v2.v1.0+protobuf";

/// `GET /openapi/v2` with the Accept of [`CONTENT_TYPE`].
pub fn document(served: &[Described]) -> Vec<u8> {
    let mut document = Message::default();
    document.text(1, "2.0");
    let mut info = Message::default();
    info.text(1, TITLE);
    info.text(2, VERSION);
    document.message(2, &info);
    document.message(8, &paths(served));
    document.message(9, &all_definitions(served));
    document.into_bytes()
}

fn all_definitions(served: &[Described]) -> Message {
    let mut schemas: BTreeMap<String, Value> = meta::schemas().into_iter().collect();
    for described in served.iter().filter(|described| described.schema.is_some()) {
        schemas.insert(described.definition_name(), definitions::object(described));
        schemas.insert(described.list_definition_name(), definitions::list(described));
    }
    let encoder = Encoder { names: schemas.keys().map(String::as_str).collect() };
    let mut definitions = Message::default();
    for (name, schema) in &schemas {
        definitions.message(1, &named(name, &encoder.schema(schema)));
    }
    definitions
}

/// Translates schemas of version 3 into what clients of version 2 can read.
///
/// A reader gives up on the whole document for one schema that it does not understand, so whatever is not understood
/// becomes a schema that allows anything.
struct Encoder<'a> {
    /// What a reference may lead to.
    names: BTreeSet<&'a str>,
}

impl Encoder<'_> {
    fn schema(&self, schema: &Value) -> Message {
        let mut message = Message::default();
        let Some(schema) = schema.as_object() else { return message };
        if let Some(name) = self.referenced(schema) {
            message.text(1, &format!("#/definitions/{name}"));
        }
        for (field, keyword) in [(2, "format"), (4, "description")] {
            if let Some(text) = schema.get(keyword).and_then(Value::as_str) {
                message.text(field, text);
            }
        }
        if self.referenced(schema).is_none() {
            self.structure(schema, &mut message);
        }
        for (keyword, value) in schema.iter().filter(|(keyword, _)| is_extension(keyword)) {
            message.message(31, &named(keyword, &any(value)));
        }
        message
    }

    /// What the schema refers to, alone or to say more about it.
    fn referenced<'s>(&self, schema: &'s Map<String, Value>) -> Option<&'s str> {
        let target = match schema.get("allOf").and_then(Value::as_array).map(Vec::as_slice) {
            Some([only]) => only.get("$ref"),
            _ => schema.get("$ref"),
        };
        target?.as_str()?.strip_prefix(COMPONENTS).filter(|name| self.names.contains(name))
    }

    fn structure(&self, schema: &Map<String, Value>, message: &mut Message) {
        for value in schema.get("enum").and_then(Value::as_array).into_iter().flatten() {
            message.message(20, &any(value));
        }
        match readable_type(schema) {
            Some("object") => {
                self.object(schema, message);
                message.message(22, &type_item("object"));
            }
            Some("array") => {
                let mut items = Message::default();
                items.message(1, &self.schema(&schema["items"]));
                message.message(23, &items);
                message.message(22, &type_item("array"));
            }
            Some(scalar) => message.message(22, &type_item(scalar)),
            None => {}
        }
    }

    fn object(&self, schema: &Map<String, Value>, message: &mut Message) {
        let empty = Map::new();
        let properties = schema.get("properties").and_then(Value::as_object).unwrap_or(&empty);
        let is_nullable = |name: &str| properties.get(name).is_some_and(|it| it["nullable"] == true);
        for name in schema.get("required").and_then(Value::as_array).into_iter().flatten() {
            // A required null would be reported as missing.
            if let Some(name) = name.as_str().filter(|name| !is_nullable(name)) {
                message.text(19, name);
            }
        }
        if let Some(values) = schema.get("additionalProperties") {
            let mut item = Message::default();
            match values {
                Value::Bool(allowed) => item.flag(2, *allowed),
                values => item.message(1, &self.schema(values)),
            }
            message.message(21, &item);
        }
        if properties.is_empty() {
            return;
        }
        let mut fields = Message::default();
        for (name, schema) in properties {
            fields.message(1, &named(name, &self.schema(schema)));
        }
        message.message(25, &fields);
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

fn paths(served: &[Described]) -> Message {
    let mut paths = Message::default();
    for described in served.iter().filter(|described| described.resource.verbs.contains(&Verb::Patch)) {
        let mut item = Message::default();
        item.message(8, &patch(described));
        item.message(9, &parameter(&path_parameter("name")));
        if described.resource.is_namespaced {
            item.message(9, &parameter(&path_parameter("namespace")));
        }
        paths.message(2, &named(&operations::item_path(described.resource), &item));
    }
    paths
}

fn patch(described: &Described) -> Message {
    let mut operation = Message::default();
    operation.text(5, &operations::patch_id(described.resource));
    for media in PATCH_TYPES {
        operation.text(7, media);
    }
    for known in WRITE.iter().chain(&[FORCE]) {
        operation.message(8, &parameter(&query_parameter(known)));
    }
    operation.message(9, &responses());
    operation.message(13, &named("x-kubernetes-action", &any(&"patch".into())));
    operation.message(13, &named(GROUP_VERSION_KIND, &any(&described.group_version_kind())));
    operation
}

fn responses() -> Message {
    let (mut response, mut value, mut responses) =
        (Message::default(), Message::default(), Message::default());
    response.text(1, "OK");
    value.message(1, &response);
    responses.message(1, &named("200", &value));
    responses
}

/// Neither a reference nor a body.
fn parameter(not_in_body: &Message) -> Message {
    let (mut parameter, mut item) = (Message::default(), Message::default());
    parameter.message(2, not_in_body);
    item.message(1, &parameter);
    item
}

fn query_parameter(parameter: &Parameter) -> Message {
    let (mut query, mut message) = (Message::default(), Message::default());
    query.text(2, "query");
    query.text(3, parameter.description);
    query.text(4, parameter.name);
    query.text(6, parameter.value_type);
    message.message(3, &query);
    message
}

fn path_parameter(name: &str) -> Message {
    let (mut path, mut message) = (Message::default(), Message::default());
    path.flag(1, true);
    path.text(2, "path");
    path.text(4, name);
    path.text(5, "string");
    message.message(4, &path);
    message
}

/// How every map is written: a list of names, each with its value.
fn named(name: &str, value: &Message) -> Message {
    let mut message = Message::default();
    message.text(1, name);
    message.message(2, value);
    message
}

/// Any value is its text in YAML, and JSON is YAML.
fn any(value: &Value) -> Message {
    let mut message = Message::default();
    message.text(2, &value.to_string());
    message
}

fn type_item(name: &str) -> Message {
    let mut message = Message::default();
    message.text(1, name);
    message
}
