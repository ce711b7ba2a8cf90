use proptest::prelude::*;
use serde_json::{Value, json};

use super::{Described, v2, v3};
use crate::builtin;
use crate::resource::{ResourceType, Subresource, Verb};

fn pools() -> ResourceType {
    ResourceType {
        group: "net.example.com".to_owned(),
        version: "v1beta1".to_owned(),
        kind: "Pool".to_owned(),
        plural: "pools".to_owned(),
        singular: "pool".to_owned(),
        short_names: vec![],
        categories: vec![],
        is_namespaced: true,
        verbs: Verb::ALL.to_vec(),
        storage_version: Some("v1".to_owned()),
        subresources: vec![Subresource {
            name: "status".to_owned(),
            kind: None,
            verbs: Verb::STATUS.to_vec(),
        }],
    }
}

fn built_in(plural: &str) -> ResourceType {
    builtin::all().into_iter().find(|it| it.plural == plural).unwrap()
}

fn pool_schema() -> Value {
    json!({
        "type": "object",
        "description": "A pool of numbers.",
        "required": ["spec"],
        "properties": {
            "apiVersion": {"type": "string", "description": "Own words."},
            "kind": {"type": "string"},
            "metadata": {"type": "object"},
            "spec": {
                "type": "object",
                "description": "What is wanted.",
                "required": ["ranges", "note"],
                "x-kubernetes-validations": [{"rule": "true"}],
                "properties": {
                    "ranges": {"type": "array", "items": {"type": "string", "format": "cidr"}, "x-kubernetes-list-type": "set"},
                    "note": {"type": "object", "nullable": true, "properties": {"a": {"type": "string"}}},
                    "mode": {"type": "string", "enum": ["Fast", "Slow"]},
                    "port": {"x-kubernetes-int-or-string": true, "anyOf": [{"type": "integer"}, {"type": "string"}]},
                    "extra": {"type": "object", "x-kubernetes-preserve-unknown-fields": true, "properties": {"a": {"type": "string"}}},
                    "limits": {"type": "object", "additionalProperties": {"type": "integer"}},
                    "template": {"type": "object", "x-kubernetes-embedded-resource": true, "properties": {"data": {"type": "string"}}},
                },
            },
        },
    })
}

fn pool_document() -> Value {
    let (resource, schema) = (pools(), pool_schema());
    let mut documents = v3::documents(&[Described { resource: &resource, schema: Some(&schema) }]);
    documents.remove("apis/net.example.com/v1beta1").unwrap()
}

#[test]
fn definitions_are_named_as_clients_know_them() {
    let schema = json!({});
    for (group, version, kind, is_custom, name) in [
        ("metallb.io", "v1beta1", "IPAddressPool", true, "io.metallb.v1beta1.IPAddressPool"),
        ("gateway.networking.k8s.io", "v1", "Gateway", true, "io.k8s.networking.gateway.v1.Gateway"),
        ("", "v1", "Service", false, "io.k8s.api.core.v1.Service"),
        ("apps", "v1", "Deployment", false, "io.k8s.api.apps.v1.Deployment"),
        ("rbac.authorization.k8s.io", "v1", "Role", false, "io.k8s.api.rbac.v1.Role"),
        (
            "apiextensions.k8s.io",
            "v1",
            "CustomResourceDefinition",
            false,
            "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.CustomResourceDefinition",
        ),
    ] {
        let resource =
            ResourceType { group: group.into(), version: version.into(), kind: kind.into(), ..pools() };
        let described = Described { resource: &resource, schema: is_custom.then_some(&schema) };
        assert_eq!(described.definition_name(), name);
    }
}

#[test]
fn the_index_has_an_address_for_each_version_that_changes_with_its_content() {
    let (service, pool, schema) = (built_in("services"), pools(), pool_schema());
    let index = |schema: &Value| {
        let documents = v3::documents(&[
            Described { resource: &service, schema: None },
            Described { resource: &pool, schema: Some(schema) },
        ]);
        let texts: Vec<(&str, String)> =
            documents.iter().map(|(path, document)| (&**path, document.to_string())).collect();
        v3::index(texts.iter().map(|(path, text)| (*path, &**text)))
    };
    let address =
        |index: &Value, path: &str| index["paths"][path]["serverRelativeURL"].as_str().unwrap().to_owned();
    let (one, same, other) = (index(&schema), index(&schema), index(&json!({"type": "object"})));
    assert!(address(&one, "api/v1").starts_with("/openapi/v3/api/v1?hash="));
    assert_eq!(one, same);
    assert_eq!(address(&one, "api/v1"), address(&other, "api/v1"));
    let custom = "apis/net.example.com/v1beta1";
    assert_ne!(address(&one, custom), address(&other, custom));
}

#[test]
fn a_custom_kind_keeps_its_schema_and_gains_what_every_object_has() {
    let document = pool_document();
    let schemas = &document["components"]["schemas"];
    let pool = &schemas["com.example.net.v1beta1.Pool"];
    let object_meta = "#/components/schemas/io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta";
    let spec = &pool["properties"]["spec"]["properties"];
    for (what, is, should) in [
        ("description", &pool["description"], json!("A pool of numbers.")),
        ("own description", &pool["properties"]["apiVersion"]["description"], json!("Own words.")),
        ("given description", &pool["properties"]["kind"]["description"], json!("The kind of the object.")),
        ("metadata", &pool["properties"]["metadata"]["allOf"][0]["$ref"], json!(object_meta)),
        ("required", &pool["required"], json!(["spec"])),
        (
            "kind",
            &pool["x-kubernetes-group-version-kind"],
            json!([{"group": "net.example.com", "version": "v1beta1", "kind": "Pool"}]),
        ),
        ("extension", &spec["ranges"]["x-kubernetes-list-type"], json!("set")),
        ("rules", &pool["properties"]["spec"]["x-kubernetes-validations"], json!([{"rule": "true"}])),
        ("union", &spec["port"]["x-kubernetes-int-or-string"], json!(true)),
        ("embedded", &spec["template"]["properties"]["metadata"]["allOf"][0]["$ref"], json!(object_meta)),
        ("embedded field", &spec["template"]["properties"]["data"]["type"], json!("string")),
        (
            "items of the list",
            &schemas["com.example.net.v1beta1.PoolList"]["properties"]["items"]["items"]["$ref"],
            json!("#/components/schemas/com.example.net.v1beta1.Pool"),
        ),
    ] {
        assert_eq!(is, &should, "{what}");
    }
}

#[test]
fn every_reference_leads_somewhere() {
    let (kinds, schema, pool) = (builtin::all(), pool_schema(), pools());
    let mut served: Vec<Described> =
        kinds.iter().map(|resource| Described { resource, schema: None }).collect();
    served.push(Described { resource: &pool, schema: Some(&schema) });
    for (path, document) in v3::documents(&served) {
        let mut operations = std::collections::BTreeSet::new();
        walk(&document, &mut |object| {
            if let Some(target) = object.get("$ref").and_then(Value::as_str) {
                assert!(document.pointer(&target[1..]).is_some(), "{path}: {target}");
            }
            if let Some(id) = object.get("operationId") {
                assert!(operations.insert(id.to_string()), "{path}: {id} twice");
            }
        });
    }
}

fn walk(value: &Value, see: &mut impl FnMut(&serde_json::Map<String, Value>)) {
    match value {
        Value::Object(object) => {
            see(object);
            object.values().for_each(|value| walk(value, see));
        }
        Value::Array(items) => items.iter().for_each(|value| walk(value, see)),
        _ => {}
    }
}

#[test]
fn paths_say_what_can_be_done() {
    let document = pool_document();
    let root = "/apis/net.example.com/v1beta1";
    let one = format!("{root}/namespaces/{{namespace}}/pools/{{name}}");
    for (path, method, action, id) in [
        (format!("{root}/pools"), "get", "list", "listNetExampleComV1beta1PoolForAllNamespaces"),
        (
            format!("{root}/namespaces/{{namespace}}/pools"),
            "get",
            "list",
            "listNetExampleComV1beta1NamespacedPool",
        ),
        (
            format!("{root}/namespaces/{{namespace}}/pools"),
            "post",
            "post",
            "createNetExampleComV1beta1NamespacedPool",
        ),
        (
            format!("{root}/namespaces/{{namespace}}/pools"),
            "delete",
            "deletecollection",
            "deleteNetExampleComV1beta1CollectionNamespacedPool",
        ),
        (one.clone(), "get", "get", "readNetExampleComV1beta1NamespacedPool"),
        (one.clone(), "put", "put", "replaceNetExampleComV1beta1NamespacedPool"),
        (one.clone(), "delete", "delete", "deleteNetExampleComV1beta1NamespacedPool"),
        (one.clone(), "patch", "patch", "patchNetExampleComV1beta1NamespacedPool"),
        (format!("{one}/status"), "patch", "patch", "patchNetExampleComV1beta1NamespacedPoolStatus"),
    ] {
        let operation = &document["paths"][&path][method];
        assert_eq!(operation["x-kubernetes-action"], action, "{method} {path}");
        assert_eq!(operation["operationId"], id, "{method} {path}");
        assert_eq!(operation["x-kubernetes-group-version-kind"]["kind"], "Pool", "{method} {path}");
    }
    let patch = &document["paths"][&one]["patch"];
    let names: Vec<&Value> = patch["parameters"].as_array().unwrap().iter().map(|it| &it["name"]).collect();
    assert_eq!(names, ["dryRun", "fieldManager", "fieldValidation", "force"]);
    let types: Vec<&String> = patch["requestBody"]["content"].as_object().unwrap().keys().collect();
    assert_eq!(
        types,
        ["application/apply-patch+yaml", "application/json-patch+json", "application/merge-patch+json"]
    );
    assert!(document["paths"][format!("{one}/status")].get("post").is_none());
}

#[test]
fn a_built_in_kind_is_described_by_its_type() {
    let (service, review) = (built_in("services"), built_in("selfsubjectaccessreviews"));
    let documents = v3::documents(&[
        Described { resource: &service, schema: None },
        Described { resource: &review, schema: None },
    ]);
    let schemas = &documents["api/v1"]["components"]["schemas"];
    let service = &schemas["io.k8s.api.core.v1.Service"]["properties"];
    assert_eq!(service["spec"]["$ref"], "#/components/schemas/io.k8s.api.ServiceSpec");
    assert_eq!(
        service["metadata"]["allOf"][0]["$ref"].as_str().unwrap().rsplit('.').next(),
        Some("ObjectMeta")
    );
    let ports = &schemas["io.k8s.api.ServiceSpec"]["properties"]["ports"];
    assert_eq!(ports["x-kubernetes-patch-merge-key"], "port");
    assert_eq!(documents["api/v1"]["info"]["title"], "Kubernetes");
    let paths = documents["apis/authorization.k8s.io/v1"]["paths"].as_object().unwrap();
    let methods: Vec<&str> =
        paths.values().flat_map(|item| item.as_object().unwrap().keys()).map(String::as_str).collect();
    assert_eq!((paths.len(), methods), (1, vec!["post"]));
}

/// A message of the wire format: each field's number and what it holds.
#[derive(Debug, Default)]
struct Decoded<'a>(Vec<(u64, &'a [u8])>);

impl<'a> Decoded<'a> {
    /// `None` if the bytes are no message of texts, messages and flags.
    fn parse(mut bytes: &'a [u8]) -> Option<Decoded<'a>> {
        let mut fields = Vec::new();
        while !bytes.is_empty() {
            let key = varint(&mut bytes)?;
            let length = if key & 7 == 2 { usize::try_from(varint(&mut bytes)?).ok()? } else { 1 };
            assert!(key & 7 == 2 || bytes.first()? < &2, "neither delimited nor a flag");
            let (content, rest) = bytes.split_at_checked(length)?;
            fields.push((key >> 3, content));
            bytes = rest;
        }
        Some(Decoded(fields))
    }

    fn all(&self, field: u64) -> impl Iterator<Item = &'a [u8]> {
        self.0.iter().filter(move |(number, _)| *number == field).map(|(_, bytes)| *bytes)
    }

    fn text(&self, field: u64) -> &'a str {
        std::str::from_utf8(self.all(field).next().unwrap_or_default()).unwrap()
    }

    fn message(&self, field: u64) -> Decoded<'a> {
        Decoded::parse(self.all(field).next().unwrap_or_default()).unwrap()
    }

    /// The value of this name in a field of named values.
    fn named(&self, field: u64, name: &str) -> Option<Decoded<'a>> {
        self.all(field).filter_map(Decoded::parse).find(|it| it.text(1) == name).map(|it| it.message(2))
    }

    fn names(&self, field: u64) -> Vec<&'a str> {
        self.all(field).filter_map(Decoded::parse).map(|it| it.text(1)).collect()
    }

    fn property(&self, name: &str) -> Decoded<'a> {
        self.message(25).named(1, name).unwrap()
    }

    fn value_type(&self) -> &'a str {
        self.message(22).text(1)
    }

    fn extension(&self, field: u64, name: &str) -> Option<Value> {
        self.named(field, name).map(|any| serde_json::from_str(any.text(2)).unwrap())
    }
}

fn varint(bytes: &mut &[u8]) -> Option<u64> {
    let mut number = 0;
    for shift in (0..64).step_by(7) {
        let (&byte, rest) = bytes.split_first()?;
        *bytes = rest;
        number |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return Some(number);
        }
    }
    None
}

fn pool_bytes() -> Vec<u8> {
    let (pool, service, schema) = (pools(), built_in("services"), pool_schema());
    v2::encode(&v2::document(&[
        Described { resource: &service, schema: None },
        Described { resource: &pool, schema: Some(&schema) },
    ]))
}

#[test]
fn version_two_defines_custom_kinds() {
    let bytes = pool_bytes();
    let document = Decoded::parse(&bytes).unwrap();
    assert_eq!(document.text(1), "2.0");
    assert_eq!(document.message(2).text(1), "Kubernetes");
    let definitions = document.message(9);
    let pool = definitions.named(1, "com.example.net.v1beta1.Pool").unwrap();
    assert_eq!((pool.value_type(), pool.text(4), pool.text(19)), ("object", "A pool of numbers.", "spec"));
    assert_eq!(
        pool.extension(31, "x-kubernetes-group-version-kind").unwrap(),
        json!([{"group": "net.example.com", "version": "v1beta1", "kind": "Pool"}])
    );
    let metadata = pool.property("metadata");
    assert_eq!(metadata.text(1), "#/definitions/io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta");
    let spec = pool.property("spec");
    assert_eq!(spec.all(19).collect::<Vec<_>>(), [b"ranges"], "a required field that may be null");
    assert_eq!(spec.extension(31, "x-kubernetes-validations"), None);
    for (field, value_type, properties) in [
        ("ranges", "array", 0),
        ("note", "", 0),
        ("mode", "string", 0),
        ("port", "", 0),
        ("extra", "", 0),
        ("limits", "object", 0),
        ("template", "object", 4),
    ] {
        let schema = spec.property(field);
        let count = schema.message(25).all(1).count();
        assert_eq!((schema.value_type(), count), (value_type, properties), "{field}");
    }
    let item = spec.property("ranges").message(23).message(1);
    assert_eq!((item.value_type(), item.text(2)), ("string", "cidr"));
    assert_eq!(spec.property("limits").message(21).message(1).value_type(), "integer");
    let modes: Vec<&str> =
        spec.property("mode").all(20).map(|any| Decoded::parse(any).unwrap().text(2)).collect();
    assert_eq!(modes, ["\"Fast\"", "\"Slow\""]);
    let list = definitions.named(1, "com.example.net.v1beta1.PoolList").unwrap();
    let items = list.property("items").message(23).message(1);
    assert_eq!(items.text(1), "#/definitions/com.example.net.v1beta1.Pool");
}

#[test]
fn version_two_says_how_to_patch_and_defines_built_in_kinds() {
    let bytes = pool_bytes();
    let document = Decoded::parse(&bytes).unwrap();
    for (path, group, kind) in [
        ("/api/v1/namespaces/{namespace}/services/{name}", "", "Service"),
        ("/apis/net.example.com/v1beta1/namespaces/{namespace}/pools/{name}", "net.example.com", "Pool"),
    ] {
        let patch = document.message(8).named(2, path).unwrap().message(8);
        let patched = patch.extension(13, "x-kubernetes-group-version-kind").unwrap();
        assert_eq!((&patched["group"], &patched["kind"]), (&json!(group), &json!(kind)));
        let parameters: Vec<&str> = patch
            .all(8)
            .map(|it| Decoded::parse(it).unwrap().message(1).message(2).message(3).text(4))
            .collect();
        assert_eq!(parameters, ["dryRun", "fieldManager", "fieldValidation", "force"]);
    }
    let port = document.message(9).named(1, "io.k8s.api.ServicePort").unwrap().property("port");
    assert_eq!((port.value_type(), port.text(2)), ("integer", "int32"));
}

/// Words that mean something in a schema, with values that do or do not fit.
fn any_schema() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        "object|array|string|integer|null|\\PC{0,4}".prop_map(Value::from),
        Just(json!("#/components/schemas/io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta")),
        Just(json!("#/components/schemas/nothing")),
    ];
    let keyword = "type|properties|items|additionalProperties|required|enum|description|format|nullable|allOf|\\$ref\
                   |metadata|apiVersion|x-kubernetes-(preserve-unknown-fields|embedded-resource|int-or-string)|\\PC{0,3}";
    leaf.prop_recursive(5, 48, 5, move |inner| {
        prop_oneof![
            1 => prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            3 => prop::collection::vec((keyword, inner), 0..5)
                .prop_map(|fields| fields.into_iter().collect::<Value>()),
        ]
    })
}

/// What a reader of version 2 gives up on.
fn assert_readable(schema: &Decoded, names: &[&str]) {
    if let Some(target) = schema.text(1).strip_prefix("#/definitions/") {
        assert!(names.contains(&target), "{target}");
        return;
    }
    let value_type = schema.value_type();
    assert!(["", "object", "array", "string", "integer", "number", "boolean"].contains(&value_type));
    assert_eq!(value_type == "array", schema.all(23).count() == 1);
    assert!(schema.all(25).count() == 0 || value_type == "object");
    for property in schema.message(25).all(1) {
        assert_readable(&Decoded::parse(property).unwrap().message(2), names);
    }
    for nested in [21, 23].into_iter().flat_map(|field| schema.all(field)) {
        assert_readable(&Decoded::parse(nested).unwrap().message(1), names);
    }
}

proptest! {
    #[test]
    fn whatever_the_schema_the_documents_are_readable(schema in any_schema()) {
        let resource = pools();
        let served = [Described { resource: &resource, schema: Some(&schema) }];
        v3::documents(&served);
        let bytes = v2::encode(&v2::document(&served));
        let definitions = Decoded::parse(&bytes).unwrap().message(9);
        let names = definitions.names(1);
        prop_assert!(names.contains(&"com.example.net.v1beta1.Pool"));
        for name in &names {
            assert_readable(&definitions.named(1, name).unwrap(), &names);
        }
    }
}
