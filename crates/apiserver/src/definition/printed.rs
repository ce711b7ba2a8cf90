//! The versions of a definition as an error shows them: every field that there could be, under its name in the
//! server's own language.

use serde_json::{Map, Value, json};

use super::spec::Parts;
use super::{list, text};
use crate::schema::text as print;

/// Schemas that are written in full; where there are more, what was sent is shown, so that no error is much longer
/// than what it is about.
const SCHEMAS: usize = 500;

/// Each field of a schema in the order of the type, what it is called in a definition, and how it is written.
const FIELDS: [(&str, &str, Form); 43] = [
    ("ID", "id", Form::Text),
    ("Schema", "$schema", Form::Text),
    ("Ref", "$ref", Form::Own),
    ("Description", "description", Form::Text),
    ("Type", "type", Form::Text),
    ("Nullable", "nullable", Form::Flag),
    ("Format", "format", Form::Text),
    ("Title", "title", Form::Text),
    ("Default", "default", Form::Own),
    ("Maximum", "maximum", Form::Own),
    ("ExclusiveMaximum", "exclusiveMaximum", Form::Flag),
    ("Minimum", "minimum", Form::Own),
    ("ExclusiveMinimum", "exclusiveMinimum", Form::Flag),
    ("MaxLength", "maxLength", Form::Own),
    ("MinLength", "minLength", Form::Own),
    ("Pattern", "pattern", Form::Text),
    ("MaxItems", "maxItems", Form::Own),
    ("MinItems", "minItems", Form::Own),
    ("UniqueItems", "uniqueItems", Form::Flag),
    ("MultipleOf", "multipleOf", Form::Own),
    ("Enum", "enum", Form::Own),
    ("MaxProperties", "maxProperties", Form::Own),
    ("MinProperties", "minProperties", Form::Own),
    ("Required", "required", Form::Own),
    ("Items", "items", Form::SchemaOrSchemas),
    ("AllOf", "allOf", Form::Schemas),
    ("OneOf", "oneOf", Form::Schemas),
    ("AnyOf", "anyOf", Form::Schemas),
    ("Not", "not", Form::Schema),
    ("Properties", "properties", Form::Named),
    ("AdditionalProperties", "additionalProperties", Form::SchemaOrFlag),
    ("PatternProperties", "patternProperties", Form::Named),
    ("Dependencies", "dependencies", Form::Own),
    ("AdditionalItems", "additionalItems", Form::SchemaOrFlag),
    ("Definitions", "definitions", Form::Named),
    ("ExternalDocs", "externalDocs", Form::Documentation),
    ("Example", "example", Form::Own),
    ("XPreserveUnknownFields", "x-kubernetes-preserve-unknown-fields", Form::Own),
    ("XEmbeddedResource", "x-kubernetes-embedded-resource", Form::Flag),
    ("XIntOrString", "x-kubernetes-int-or-string", Form::Flag),
    ("XListMapKeys", "x-kubernetes-list-map-keys", Form::Own),
    ("XListType", "x-kubernetes-list-type", Form::Own),
    ("XMapType", "x-kubernetes-map-type", Form::Own),
];

#[derive(Debug, Clone, Copy)]
enum Form {
    /// As it is in the definition; `null` if it is not there.
    Own,
    /// Empty if it is not there.
    Text,
    Flag,
    Schema,
    Schemas,
    Named,
    SchemaOrFlag,
    SchemaOrSchemas,
    Documentation,
}

pub(super) fn versions(spec: &Value, parts: &Parts<'_>) -> String {
    let Some(versions) = spec["versions"].as_array() else { return "null".to_owned() };
    let mut left = SCHEMAS;
    let one = |(index, version): (usize, &Value)| -> String {
        let nothing = Value::Null;
        let schema = parts.schema.of_version(index).unwrap_or(&nothing);
        let columns = parts.columns.of_version(index).unwrap_or(&nothing);
        let selectable = parts.selectable.of_version(index).unwrap_or(&nothing);
        let version = json!({
            "Name": text(&version["name"]), "Served": version["served"] == true,
            "Storage": version["storage"] == true, "Deprecated": version["deprecated"] == true,
            "DeprecationWarning": version["deprecationWarning"],
            "Schema": validation(schema, &mut left),
            "Subresources": subresources(parts.subresources.of_version(index).unwrap_or(&nothing)),
            "AdditionalPrinterColumns": each(columns, |column| json!({
                "Name": text(&column["name"]), "Type": text(&column["type"]), "Format": text(&column["format"]),
                "Description": text(&column["description"]), "Priority": column["priority"].as_i64().unwrap_or(0),
                "JSONPath": text(&column["jsonPath"]),
            })),
            "SelectableFields": each(selectable, |field| json!({"JSONPath": text(&field["jsonPath"])})),
        });
        in_order(&version)
    };
    let all: Vec<String> = versions.iter().enumerate().map(one).collect();
    format!("[{}]", all.join(","))
}

fn validation(schema: &Value, left: &mut usize) -> Value {
    let Some(schema) = schema.as_object() else { return Value::Null };
    let whole = &schema.get("openAPIV3Schema").cloned().unwrap_or_default();
    json!({"OpenAPIV3Schema": of_schema(whole, left)})
}

fn subresources(parts: &Value) -> Value {
    if !parts.is_object() {
        return Value::Null;
    }
    let scale = &parts["scale"];
    let scale = scale.is_object().then(|| {
        json!({
            "SpecReplicasPath": text(&scale["specReplicasPath"]),
            "StatusReplicasPath": text(&scale["statusReplicasPath"]), "LabelSelectorPath": scale["labelSelectorPath"],
        })
    });
    json!({"Status": parts["status"], "Scale": scale})
}

fn each(values: &Value, print: impl FnMut(&Value) -> Value) -> Value {
    values.as_array().map_or(Value::Null, |values| values.iter().map(print).collect())
}

fn of_schema(schema: &Value, left: &mut usize) -> Value {
    let Some(given) = schema.as_object() else { return Value::Null };
    let Some(fewer) = left.checked_sub(1) else { return schema.clone() };
    *left = fewer;
    let mut printed = Map::with_capacity(FIELDS.len() + 1);
    for (name, field, form) in FIELDS {
        let value = given.get(field).unwrap_or(&Value::Null);
        let value = match form {
            Form::Own => value.clone(),
            Form::Text => text(value).into(),
            Form::Flag => (*value == true).into(),
            Form::Schema => of_schema(value, left),
            Form::Schemas => each(value, |schema| of_schema(schema, left)),
            Form::Named => value.as_object().map_or(Value::Null, |named| {
                let mut named: Vec<_> = named.iter().collect();
                named.sort_by_key(|(name, _)| *name);
                let named = named.into_iter().map(|(name, schema)| (name.clone(), of_schema(schema, left)));
                Value::Object(named.collect())
            }),
            Form::SchemaOrFlag if value.is_null() => Value::Null,
            Form::SchemaOrFlag => {
                json!({"Allows": *value == true || value.is_object(), "Schema": of_schema(value, left)})
            }
            Form::SchemaOrSchemas if value.is_null() => Value::Null,
            Form::SchemaOrSchemas => {
                let many = each(value, |schema| of_schema(schema, left));
                json!({"Schema": of_schema(value, left), "JSONSchemas": many})
            }
            Form::Documentation if value.is_null() => Value::Null,
            Form::Documentation => {
                json!({"Description": text(&value["description"]), "URL": text(&value["url"])})
            }
        };
        printed.insert(name.to_owned(), value);
    }
    let rules = given.get("x-kubernetes-validations").unwrap_or(&Value::Null);
    printed.insert("XValidations".to_owned(), each(rules, rule));
    Value::Object(printed)
}

fn rule(rule: &Value) -> Value {
    json!({
        "Rule": text(&rule["rule"]), "Message": text(&rule["message"]),
        "MessageExpression": text(&rule["messageExpression"]), "Reason": rule["reason"],
        "FieldPath": text(&rule["fieldPath"]), "OptionalOldSelf": rule["optionalOldSelf"],
    })
}

/// Compact JSON with the fields where they are, not by the order of their names.
fn in_order(value: &Value) -> String {
    match value {
        Value::Object(fields) => {
            let fields = fields.iter();
            let texts: Vec<String> =
                fields.map(|(name, value)| format!("{}:{}", print::quote(name), in_order(value))).collect();
            format!("{{{}}}", texts.join(","))
        }
        Value::Array(_) if list(value).iter().any(Value::is_object) => {
            let texts: Vec<String> = list(value).iter().map(in_order).collect();
            format!("[{}]", texts.join(","))
        }
        other => print::json(other),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_field_of_a_schema_is_there_until_there_are_too_many_schemas() {
        let schema = json!({"type": "object", "properties": {"b": {"maximum": 1.5}, "a": {}}});
        let printed = in_order(&of_schema(&schema, &mut 500));
        assert!(printed.starts_with(r#"{"ID":"","Schema":"","Ref":null,"Description":"","Type":"object","#));
        assert!(printed.contains(r#""Properties":{"a":{"ID":"","#) && printed.contains(r#""Maximum":1.5,"#));
        assert!(printed.ends_with(r#""XMapType":null,"XValidations":null}"#), "{printed}");
        let many = json!({"anyOf": vec![json!({}); 2 * SCHEMAS]});
        let written = in_order(&of_schema(&many, &mut 500)).matches("XMapType").count();
        assert_eq!(written, SCHEMAS);
    }
}
