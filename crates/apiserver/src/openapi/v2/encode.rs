//! The JSON of OpenAPI 2 as gnostic's protobuf. Only what [`super::document`] writes is known here.

use serde_json::Value;

use super::super::protobuf::Message;

/// The document that clients get who ask for [`super::CONTENT_TYPE`].
pub fn encode(document: &Value) -> Vec<u8> {
    let mut message = Message::default();
    texts(document, &[(1, "swagger")], &mut message);
    let mut info = Message::default();
    texts(&document["info"], &[(1, "title"), (2, "version")], &mut info);
    message.message(2, &info);
    message.message(8, &map(&document["paths"], 2, path_item));
    message.message(9, &map(&document["definitions"], 1, schema));
    message.into_bytes()
}

fn schema(schema: &Value) -> Message {
    let mut message = Message::default();
    texts(schema, &[(1, "$ref"), (2, "format"), (4, "description")], &mut message);
    for name in list(&schema["required"]).iter().filter_map(Value::as_str) {
        message.text(19, name);
    }
    for value in list(&schema["enum"]) {
        message.message(20, &any(value));
    }
    let mut values = Message::default();
    match &schema["additionalProperties"] {
        Value::Null => {}
        Value::Bool(allowed) => values.flag(2, *allowed),
        of => values.message(1, &self::schema(of)),
    }
    if !schema["additionalProperties"].is_null() {
        message.message(21, &values);
    }
    if let Some(name) = schema["type"].as_str() {
        let mut kind = Message::default();
        kind.text(1, name);
        message.message(22, &kind);
    }
    if schema["items"].is_object() {
        let mut items = Message::default();
        items.message(1, &self::schema(&schema["items"]));
        message.message(23, &items);
    }
    if schema["properties"].is_object() {
        message.message(25, &map(&schema["properties"], 1, self::schema));
    }
    extensions(schema, 31, &mut message);
    message
}

fn path_item(item: &Value) -> Message {
    let mut message = Message::default();
    message.message(8, &operation(&item["patch"]));
    for parameter in list(&item["parameters"]) {
        message.message(9, &self::parameter(parameter));
    }
    message
}

fn operation(operation: &Value) -> Message {
    let mut message = Message::default();
    texts(operation, &[(5, "operationId")], &mut message);
    for media in list(&operation["consumes"]).iter().filter_map(Value::as_str) {
        message.text(7, media);
    }
    for parameter in list(&operation["parameters"]) {
        message.message(8, &self::parameter(parameter));
    }
    message.message(9, &map(&operation["responses"], 1, response));
    extensions(operation, 13, &mut message);
    message
}

fn response(response: &Value) -> Message {
    let (mut content, mut message) = (Message::default(), Message::default());
    texts(response, &[(1, "description")], &mut content);
    message.message(1, &content);
    message
}

/// Neither a reference nor in the body.
fn parameter(parameter: &Value) -> Message {
    let mut content = Message::default();
    let place = if parameter["in"] == "path" {
        content.flag(1, true);
        texts(parameter, &[(2, "in"), (3, "description"), (4, "name"), (5, "type")], &mut content);
        4
    } else {
        texts(parameter, &[(2, "in"), (3, "description"), (4, "name"), (6, "type")], &mut content);
        3
    };
    [place, 2, 1].into_iter().fold(content, |inner, field| {
        let mut outer = Message::default();
        outer.message(field, &inner);
        outer
    })
}

fn extensions(of: &Value, field: u64, message: &mut Message) {
    let extensions = of.as_object().into_iter().flatten().filter(|(keyword, _)| keyword.starts_with("x-"));
    for (keyword, value) in extensions {
        message.message(field, &named(keyword, &any(value)));
    }
}

fn texts(of: &Value, fields: &[(u64, &str)], message: &mut Message) {
    for (field, name) in fields {
        if let Some(text) = of[*name].as_str() {
            message.text(*field, text);
        }
    }
}

/// A message of its own for a map, which is a list of names with values in this field.
fn map(of: &Value, field: u64, encode: impl Fn(&Value) -> Message) -> Message {
    let mut message = Message::default();
    for (name, value) in of.as_object().into_iter().flatten() {
        message.message(field, &named(name, &encode(value)));
    }
    message
}

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

fn list(value: &Value) -> &[Value] {
    value.as_array().map(Vec::as_slice).unwrap_or_default()
}
