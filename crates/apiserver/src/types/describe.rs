//! The types of built-in kinds as OpenAPI schemas, for whoever explains them to clients. What a field is for is not
//! known here, and neither is which fields are required.

use serde_json::{Map, Value, json};

use super::{Field, Form, Identity, MapOf, TypeId, Typed, Types};

/// The schema of a built-in kind in one piece. A schema inside a schema is an object, and nothing more is said.
pub fn schema_of(api_version: &str, kind: &str) -> Option<Value> {
    let types = Types::of_built_in(api_version, kind)?;
    let mut describer = Describer { prefix: None, within: Vec::new(), found: Map::new() };
    let mut schema = describer.schema(types.root());
    name_kind(&mut schema, api_version, kind);
    Some(schema)
}

/// The schemas of a built-in kind and of all structs that it leads to, by name, which refer to each other by this
/// prefix and the name; and the name of the kind's own.
pub fn schemas_of(api_version: &str, kind: &str, prefix: &str) -> Option<(String, Map<String, Value>)> {
    let types = Types::of_built_in(api_version, kind)?;
    let name = types.root().atom().map.as_ref()?.name.clone()?;
    let mut describer = Describer { prefix: Some(prefix), within: Vec::new(), found: Map::new() };
    describer.schema(types.root());
    name_kind(describer.found.get_mut(&name)?, api_version, kind);
    Some((name, describer.found))
}

fn name_kind(schema: &mut Value, api_version: &str, kind: &str) {
    let (group, version) = api_version.split_once('/').unwrap_or(("", api_version));
    let named = json!({"group": group, "kind": kind, "version": version});
    schema["x-kubernetes-group-version-kind"] = json!([named]);
}

struct Describer<'p> {
    /// Where structs are by themselves, what leads to them.
    prefix: Option<&'p str>,
    /// The structs that are being described.
    within: Vec<TypeId>,
    found: Map<String, Value>,
}

impl Describer<'_> {
    fn schema(&mut self, typed: Typed<'_>) -> Value {
        let atom = typed.atom();
        match (atom.form, &atom.list, &atom.map) {
            (Form::String, ..) => json!({"type": "string"}),
            (Form::Bytes, ..) => json!({"type": "string", "format": "byte"}),
            (Form::Bool, ..) => json!({"type": "boolean"}),
            (Form::Int32, ..) => json!({"type": "integer", "format": "int32"}),
            (Form::Int64, ..) => json!({"type": "integer", "format": "int64"}),
            (Form::Double, ..) => json!({"type": "number", "format": "double"}),
            (Form::Time | Form::MicroTime, ..) => json!({"type": "string", "format": "date-time"}),
            (Form::Quantity, ..) => json!({"oneOf": [{"type": "string"}, {"type": "number"}]}),
            (Form::IntOrString, ..) => {
                json!({"format": "int-or-string", "oneOf": [{"type": "integer"}, {"type": "string"}]})
            }
            (Form::Struct, _, Some(map)) => self.structure(typed, map),
            (Form::Map, _, Some(map)) => {
                let mut schema =
                    json!({"type": "object", "additionalProperties": self.schema(typed.at(map.element))});
                if map.atomic {
                    schema["x-kubernetes-map-type"] = "atomic".into();
                }
                schema
            }
            (Form::List | Form::BoxedList, Some(list), _) => {
                let mut schema = json!({"type": "array", "items": self.schema(typed.at(list.element))});
                let kind = match &list.identity {
                    None => "atomic",
                    Some(Identity::Value) => "set",
                    Some(Identity::Keys(keys)) => {
                        schema["x-kubernetes-list-map-keys"] = json!(keys);
                        "map"
                    }
                };
                schema["x-kubernetes-list-type"] = kind.into();
                schema
            }
            (Form::Raw, _, Some(map)) if map.atomic => json!({"type": "object"}),
            _ => json!({}),
        }
    }

    fn structure(&mut self, typed: Typed<'_>, map: &MapOf) -> Value {
        let name = map.name.as_deref().unwrap_or_default();
        let reference = self.prefix.map(|prefix| json!({"$ref": format!("{prefix}{name}")}));
        if self.within.contains(&typed.id) || self.found.contains_key(name) {
            return reference.unwrap_or_else(|| json!({"type": "object"}));
        }
        self.within.push(typed.id);
        let mut fields: Vec<(&String, &Field)> = map.fields.iter().collect();
        fields.sort_by_key(|(name, _)| *name);
        let properties: Map<String, Value> =
            fields.into_iter().map(|(name, field)| (name.clone(), self.property(typed, field))).collect();
        self.within.pop();
        let mut schema = json!({"type": "object"});
        if !properties.is_empty() {
            schema["properties"] = properties.into();
        }
        if map.atomic {
            schema["x-kubernetes-map-type"] = "atomic".into();
        }
        match reference {
            Some(reference) => {
                self.found.insert(name.to_owned(), schema);
                reference
            }
            None => schema,
        }
    }

    fn property(&mut self, typed: Typed<'_>, field: &Field) -> Value {
        let mut schema = self.schema(typed.at(field.type_id));
        let rule = &field.patch;
        let strategy = match (rule.merge, rule.replace) {
            (true, _) => "merge",
            (false, true) => "replace",
            (false, false) => return schema,
        };
        // A reference stands alone; what is said beside it is said of both.
        if schema.get("$ref").is_some() {
            schema = json!({"allOf": [schema]});
        }
        schema["x-kubernetes-patch-strategy"] = strategy.into();
        if let Some(key) = &rule.key {
            schema["x-kubernetes-patch-merge-key"] = key.as_str().into();
        }
        schema
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kind_is_described_in_one_piece_or_in_many() {
        let service = schema_of("v1", "Service").expect("a built-in kind");
        let ports = &service["properties"]["spec"]["properties"]["ports"];
        assert_eq!(ports["x-kubernetes-list-map-keys"], json!(["port", "protocol"]));
        assert_eq!(ports["x-kubernetes-patch-merge-key"], "port");
        assert_eq!(ports["items"]["properties"]["port"], json!({"type": "integer", "format": "int32"}));
        assert_eq!(service["x-kubernetes-group-version-kind"][0]["kind"], "Service");
        let (name, schemas) = schemas_of("v1", "Service", "#/s/").expect("a built-in kind");
        assert_eq!(schemas[&name]["properties"]["spec"], json!({"$ref": "#/s/ServiceSpec"}));
        assert_eq!(
            schemas["ServiceSpec"]["properties"]["ports"]["items"],
            json!({"$ref": "#/s/ServicePort"})
        );
    }

    #[test]
    fn every_reference_leads_somewhere_and_every_description_ends() {
        for kind in crate::builtin::all() {
            let (api_version, kind) = (kind.api_version(), kind.kind);
            assert!(schema_of(&api_version, &kind).is_some(), "{api_version} {kind}");
            let (_, schemas) = schemas_of(&api_version, &kind, "").expect("a built-in kind");
            let mut open: Vec<&Value> = schemas.values().collect();
            while let Some(value) = open.pop() {
                if let Some(name) = value.get("$ref").and_then(Value::as_str) {
                    assert!(schemas.contains_key(name), "{kind}: {name}");
                }
                open.extend(value.as_object().into_iter().flat_map(Map::values));
                open.extend(value.as_array().into_iter().flatten());
            }
        }
    }
}
