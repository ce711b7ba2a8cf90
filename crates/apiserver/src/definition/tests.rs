use serde_json::{Value, json};

use super::*;

const NOW: &str = "2026-01-02T03:04:05Z";

/// A definition whose only version has this schema.
fn definition(schema: &Value) -> Value {
    let mut definition = json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {"name": "peers.example.com"},
        "spec": {
            "group": "example.com", "scope": "Namespaced", "names": {"plural": "peers", "kind": "Peer"},
            "versions": [{"name": "v1", "served": true, "storage": true, "schema": {"openAPIV3Schema": schema}}],
        },
    });
    complete(&mut definition);
    prepare(&mut definition);
    definition
}

fn any() -> Value {
    json!({"type": "object", "x-kubernetes-preserve-unknown-fields": true})
}

fn texts(errors: &[FieldError]) -> Vec<String> {
    errors.iter().map(ToString::to_string).collect()
}

/// What is wrong with a definition after such a change of its specification.
fn wrong(change: impl FnOnce(&mut Value)) -> Vec<String> {
    let mut definition = definition(&any());
    change(&mut definition["spec"]);
    prepare(&mut definition);
    texts(&validate(&definition))
}

fn wrong_schema(schema: &Value) -> Vec<String> {
    let definition = definition(schema);
    texts(&validate(&definition))
        .iter()
        .map(|text| text.replace("spec.validation.openAPIV3Schema", "$"))
        .collect()
}

#[test]
fn what_a_client_leaves_out_is_filled_in() {
    let created = definition(&any());
    assert_eq!(
        created["spec"]["names"],
        json!({"plural": "peers", "kind": "Peer", "singular": "peer", "listKind": "PeerList"})
    );
    assert_eq!(created["spec"]["conversion"], json!({"strategy": "None"}));
    assert_eq!(
        created["status"],
        json!({"acceptedNames": {"kind": "", "plural": ""}, "conditions": null, "storedVersions": ["v1"]})
    );
    assert_eq!(texts(&validate(&created)), [""; 0]);
}

#[test]
fn names_and_versions_are_held_to_their_rules() {
    let label = "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an alphabetic \
                 character, and end with an alphanumeric character (e.g. 'my-name',  or 'abc-123', regex used for \
                 validation is '[a-z]([-a-z0-9]*[a-z0-9])?')";
    let name =
        r#"metadata.name: Invalid value: "peers.example.com": must be spec.names.plural+"."+spec.group"#;
    let version = |storage: bool| {
        format!(
            r#"{{"Name":"v1","Served":true,"Storage":{storage},"Deprecated":false,"DeprecationWarning":null,"Schema":null,"Subresources":null,"AdditionalPrinterColumns":null,"SelectableFields":null}}"#
        )
    };
    assert_eq!(
        wrong(|spec| spec["group"] = "x".into()),
        [name, "spec.group: Invalid value: \"x\": should be a domain with at least one dot"]
    );
    assert_eq!(
        wrong(|spec| spec["scope"] = "Foo".into()),
        ["spec.scope: Unsupported value: \"Foo\": supported values: \"Cluster\", \"Namespaced\""]
    );
    assert_eq!(
        wrong(|spec| spec["names"]["shortNames"] = json!(["ok", "N"])),
        [format!("spec.names.shortNames[1]: Invalid value: \"N\": {label}")]
    );
    assert_eq!(
        wrong(|spec| spec["names"]["listKind"] = "Peer".into()),
        ["spec.names.listKind: Invalid value: \"Peer\": kind and listKind may not be the same"]
    );
    assert_eq!(
        wrong(|spec| spec["versions"][0]["storage"] = false.into()),
        [
            format!(
                "spec.versions: Invalid value: [{}]: must have exactly one version marked as storage version",
                version(false)
            ),
            "status.storedVersions: Invalid value: null: must have at least one stored version".to_owned(),
        ]
    );
    assert_eq!(
        wrong(|spec| spec["versions"] = json!([])),
        [
            "spec.versions: Invalid value: []: must have exactly one version marked as storage version",
            "status.storedVersions: Invalid value: null: must have at least one stored version",
        ]
    );
    let twice = format!("[{0},{0}]", version(true));
    assert_eq!(
        wrong(|spec| spec["versions"] = json!([spec["versions"][0], spec["versions"][0]])),
        [
            format!("spec.versions: Invalid value: {twice}: must contain unique version names"),
            format!(
                "spec.versions: Invalid value: {twice}: must have exactly one version marked as storage version"
            ),
            "status.storedVersions: Invalid value: [\"v1\"]: must have the storage version v1".to_owned(),
        ]
    );
    assert_eq!(
        wrong(|spec| drop(spec["versions"][0]["schema"].take())),
        ["spec.versions[0].schema.openAPIV3Schema: Required value"]
    );
    assert_eq!(
        wrong(|spec| spec["preserveUnknownFields"] = true.into()),
        [
            "spec.preserveUnknownFields: Invalid value: true: cannot set to true, set x-kubernetes-preserve-unknown-fields to true in spec.versions[*].schema instead"
        ]
    );
}

#[test]
fn groups_of_the_project_need_its_approval() {
    let protected = |annotation: &str| {
        let mut definition = definition(&any());
        definition["spec"]["group"] = "foo.k8s.io".into();
        definition["metadata"] =
            json!({"name": "peers.foo.k8s.io", "annotations": {"api-approved.kubernetes.io": annotation}});
        definition
    };
    let see = "see https://github.com/kubernetes/enhancements/pull/1111";
    let must = "protected groups must have approval annotation \"api-approved.kubernetes.io\"";
    let field = "metadata.annotations[api-approved.kubernetes.io]";
    for (annotation, expected, condition) in [
        ("", vec![format!("{field}: Required value: {must}, {see}")], "MissingAnnotation"),
        (
            "yes",
            vec![format!(
                "{field}: Invalid value: \"yes\": {must} with either a URL or a reason starting with \"unapproved\", {see}"
            )],
            "InvalidAnnotation",
        ),
        ("unapproved, for tests", vec![], "UnapprovedAnnotation"),
        ("https://example.com/1", vec![], "ApprovedAnnotation"),
    ] {
        let definition = protected(annotation);
        assert_eq!(texts(&validate(&definition)), expected);
        let settled = settle(&definition, &[], NOW).expect("it is new").definition;
        let found = super::condition(&settled, "KubernetesAPIApprovalPolicyConformant");
        assert_eq!(found.expect("the group is protected")["reason"], condition);
        assert_eq!(validate_update(&definition, &definition), []);
    }
}

#[test]
fn schemas_must_be_structural() {
    for (schema, expected) in [
        (
            json!({"type": "object", "properties": {"spec": {"properties": {
                "a": {"type": "array"}, "b": {"type": "string", "default": 5, "pattern": "("},
            }}}}),
            vec![
                "$.properties[spec].properties[a].items: Required value: must be specified",
                "$.properties[spec].properties[b].pattern: Invalid value: \"(\": must be a valid regular expression, but isn't: error parsing regexp: missing closing ): `(`",
                "$.properties[spec].type: Required value: must not be empty for specified object fields",
            ],
        ),
        (
            json!({"type": "array", "items": {}}),
            vec![
                "$.items.type: Required value: must not be empty for specified array items",
                "$.type: Invalid value: \"array\": must be object at the root",
            ],
        ),
        (
            json!({"type": "object", "anyOf": [{"properties": {"x": {"type": "string"}}, "description": "d"}]}),
            vec![
                "$.anyOf[0].description: Forbidden: must be empty to be structural",
                "$.anyOf[0].properties[x].type: Forbidden: must be empty to be structural",
                "$.properties[x]: Required value: because it is defined in $.anyOf[0].properties[x]",
            ],
        ),
        (
            json!({"type": "object", "properties": {
                "metadata": {"type": "object", "properties": {"labels": {"type": "object"}}}, "kind": {"type": "integer"},
            }}),
            vec![
                "$.properties[kind].type: Invalid value: \"integer\": must be string",
                "$.properties[metadata]: Forbidden: must not specify anything other than name and generateName, but metadata is implicitly specified",
            ],
        ),
        (
            json!({"type": "object", "properties": {"p": {
                "x-kubernetes-int-or-string": true, "anyOf": [{"type": "integer"}, {"type": "string"}],
            }}}),
            vec![],
        ),
        (
            json!({"type": "object", "properties": {"p": {"type": "object", "x-kubernetes-embedded-resource": true}}}),
            vec![
                "$.properties[p].properties: Required value: must not be empty if x-kubernetes-embedded-resource is true without x-kubernetes-preserve-unknown-fields",
            ],
        ),
    ] {
        assert_eq!(wrong_schema(&schema), expected, "{schema}");
    }
}

#[test]
fn keywords_and_extensions_must_fit_together() {
    let of = |property: Value| wrong_schema(&json!({"type": "object", "properties": {"p": property}}));
    for (property, expected) in [
        (
            json!({"type": "array", "items": {"type": "object", "properties": {"n": {"type": "string"}}},
                "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["n", "m"]}),
            vec![
                "x-kubernetes-list-map-keys: Invalid value: [\"n\",\"m\"]: entries must all be names of item properties",
                "items.properties[n].default: Required value: this property is in x-kubernetes-list-map-keys, so it must have a default or be a required property",
            ],
        ),
        (
            json!({"type": "array", "items": {"type": "string"}, "x-kubernetes-list-type": "bag"}),
            vec![
                "x-kubernetes-list-type: Unsupported value: \"bag\": supported values: \"atomic\", \"map\", \"set\"",
            ],
        ),
        (
            json!({"type": "string", "x-kubernetes-list-type": "set"}),
            vec!["type: Invalid value: \"string\": must be array if x-kubernetes-list-type is specified"],
        ),
        (
            json!({"type": "array", "uniqueItems": true, "items": {"type": "string"}}),
            vec![
                "uniqueItems: Forbidden: uniqueItems cannot be set to true since the runtime complexity becomes quadratic",
            ],
        ),
        (
            json!({"type": "object", "properties": {"a": {"type": "string"}}, "additionalProperties": {"type": "string"}}),
            vec!["additionalProperties: Forbidden: additionalProperties and properties are mutual exclusive"],
        ),
        (
            json!({"type": "text"}),
            vec![
                "type: Unsupported value: \"text\": supported values: \"array\", \"boolean\", \"integer\", \"number\", \"object\", \"string\"",
            ],
        ),
    ] {
        let expected: Vec<String> = expected.iter().map(|text| format!("$.properties[p].{text}")).collect();
        assert_eq!(of(property.clone()), expected, "{property}");
    }
    assert_eq!(
        of(json!({"type": "object", "$ref": "x"})),
        ["$.properties[p].$ref: Forbidden: $ref is not supported"]
    );
}

#[test]
fn defaults_must_be_valid() {
    let schema = json!({"type": "object", "properties": {"spec": {"type": "object", "properties": {
        "b": {"type": "string", "default": 5},
        "c": {"type": "object", "default": {"x": 1, "y": 2}, "properties": {"x": {"type": "string"}}},
        "d": {"type": "array", "default": [1], "items": {"type": "integer"}},
    }}}});
    assert_eq!(
        wrong_schema(&schema),
        [
            "$.properties[spec].properties[b].default: Invalid value: \"integer\":  in body must be of type string: \"integer\"",
            "$.properties[spec].properties[c].default: Invalid value: {\"x\":1,\"y\":2}: must not have unknown fields",
            "$.properties[spec].properties[c].default.x: Invalid value: \"integer\": x in body must be of type string: \"integer\"",
        ]
    );
}

#[test]
fn rules_must_compile() {
    let of = |rule: Value| {
        wrong_schema(&json!({"type": "object", "properties": {"spec": {
            "type": "object", "x-kubernetes-validations": [rule], "properties": {
                "n": {"type": "integer"}, "s": {"type": "string"},
                "l": {"type": "array", "maxItems": 3, "items": {"type": "string", "maxLength": 3}},
            },
        }}}))
    };
    let compiled = |rule: &str, problem: &str| {
        let shown = text_of(rule);
        format!("rule: Invalid value: {shown}: {problem}")
    };
    for (rule, expected) in [
        (json!({"rule": "self.n > 1"}), None),
        (
            json!({"rule": "self.foo > 1"}),
            Some(compiled(
                "self.foo > 1",
                "compilation failed: ERROR: <input>:1:5: undefined field 'foo'\n | self.foo > 1\n | ....^",
            )),
        ),
        (
            json!({"rule": "has(self.zz)"}),
            Some(compiled(
                "has(self.zz)",
                "compilation failed: ERROR: <input>:1:4: undefined field 'zz'\n | has(self.zz)\n | ...^",
            )),
        ),
        (
            json!({"rule": "bar"}),
            Some(compiled(
                "bar",
                "compilation failed: ERROR: <input>:1:1: undeclared reference to 'bar' (in container '')\n | bar\n | ^",
            )),
        ),
        (
            json!({"rule": "foo(self.n)"}),
            Some(compiled(
                "foo(self.n)",
                "compilation failed: ERROR: <input>:1:4: undeclared reference to 'foo' (in container '')\n | foo(self.n)\n | ...^",
            )),
        ),
        (
            json!({"rule": "self.l.all(x, x.foo == 1)"}),
            Some(compiled(
                "self.l.all(x, x.foo == 1)",
                "compilation failed: ERROR: <input>:1:16: type 'string' does not support field selection\n | self.l.all(x, x.foo == 1)\n | ...............^",
            )),
        ),
        (json!({"rule": "self.n"}), Some(compiled("self.n", "cel expression must evaluate to a bool"))),
        (json!({"rule": "1"}), Some(compiled("1", "cel expression must evaluate to a bool"))),
        (
            json!({"rule": "true", "messageExpression": "self.n"}),
            Some(
                r#"messageExpression: Invalid value: {"Rule":"true","Message":"","MessageExpression":"self.n","Reason":null,"FieldPath":"","OptionalOldSelf":null}: messageExpression must evaluate to a string"#
                    .to_owned(),
            ),
        ),
        (
            json!({"rule": "true", "optionalOldSelf": true}),
            Some("optionalOldSelf: Invalid value: true: may not be set if oldSelf is not used in rule".to_owned()),
        ),
        (json!({"rule": "  "}), Some("rule: Required value: rule is not specified".to_owned())),
        (
            json!({"rule": "true", "message": "a\nb"}),
            Some("message: Invalid value: \"a\\nb\": must not contain line breaks".to_owned()),
        ),
        (
            json!({"rule": "true", "fieldPath": ".zzz"}),
            Some("fieldPath: Invalid value: \".zzz\": must be a valid path".to_owned()),
        ),
        (
            json!({"rule": "true", "reason": "Foo"}),
            Some(
                "reason: Unsupported value: \"Foo\": supported values: \"FieldValueDuplicate\", \"FieldValueForbidden\", \"FieldValueInvalid\", \"FieldValueRequired\""
                    .to_owned(),
            ),
        ),
    ] {
        let expected: Vec<String> = expected
            .iter()
            .map(|text| format!("$.properties[spec].x-kubernetes-validations[0].{text}"))
            .collect();
        assert_eq!(of(rule.clone()), expected, "{rule}");
    }
}

fn text_of(rule: &str) -> String {
    let rule = crate::schema::text::json(&Value::from(rule));
    format!(
        r#"{{"Rule":{rule},"Message":"","MessageExpression":"","Reason":null,"FieldPath":"","OptionalOldSelf":null}}"#
    )
}

#[test]
fn old_values_can_be_asked_for_only_where_they_are_found_again() {
    let schema = json!({"type": "object", "properties": {"l": {"type": "array", "maxItems": 1, "items": {
        "type": "string", "maxLength": 1, "x-kubernetes-validations": [{"rule": "self == oldSelf"}],
    }}}});
    assert_eq!(
        wrong_schema(&schema),
        [
            "$.properties[l].items.x-kubernetes-validations[0].rule: Invalid value: \"self == oldSelf\": oldSelf cannot be used on the uncorrelatable portion of the schema within $.properties[l]"
        ]
    );
}

#[test]
fn what_versions_have_apart_is_judged_apart() {
    let mut two = definition(&any());
    let mut second = two["spec"]["versions"][0].clone();
    second["name"] = "v2".into();
    second["storage"] = false.into();
    second["schema"]["openAPIV3Schema"] = json!({"type": "object", "properties": {"p": {}}});
    second["selectableFields"] = json!([{"jsonPath": ".p"}, {"jsonPath": ".q"}]);
    second["additionalPrinterColumns"] = json!([{"name": "P", "type": "text", "jsonPath": "p"}]);
    if let Some(versions) = two["spec"]["versions"].as_array_mut() {
        versions.push(second);
    }
    assert_eq!(
        texts(&validate(&two)),
        [
            "spec.versions[1].schema.openAPIV3Schema.properties[p].type: Required value: must not be empty for specified object fields",
            "spec.versions[1].additionalPrinterColumns[0].type: Invalid value: \"text\": must be one of boolean,date,integer,number,string",
            "spec.versions[1].additionalPrinterColumns[0].JSONPath: Invalid value: \"p\": must be a simple json path starting with .",
            "spec.versions[1].selectableFields[0].jsonPath: Invalid value: \".p\": must point to a field of type string, boolean or integer. Enum string fields and strings with formats are allowed.",
            "spec.versions[1].selectableFields[1].jsonPath: Invalid value: \".q\": is an invalid path: does not refer to a valid field",
        ]
    );
}

#[test]
fn conversion_needs_a_webhook_exactly_when_it_is_one() {
    let of = |conversion: Value| {
        let errors = wrong(|spec| spec["conversion"] = conversion);
        errors.iter().map(|text| text.replace("spec.conversion.", "")).collect::<Vec<_>>()
    };
    let form = "desired format: https://host[/path]";
    assert_eq!(
        of(json!({"strategy": "Webhook", "webhook": {
            "clientConfig": {"url": "http://u:p@/x?y#z"}, "conversionReviewVersions": ["v7", "v7"],
        }})),
        [
            &format!(
                "webhookClientConfig.url: Invalid value: \"http\": 'https' is the only allowed URL scheme; {form}"
            ),
            &format!("webhookClientConfig.url: Invalid value: \"\": host must be specified; {form}"),
            "webhookClientConfig.url: Invalid value: \"u:p\": user information is not permitted in the URL",
            "webhookClientConfig.url: Invalid value: \"z\": fragments are not permitted in the URL",
            "webhookClientConfig.url: Invalid value: \"y\": query parameters are not permitted in the URL",
            "conversionReviewVersions[1]: Invalid value: \"v7\": duplicate version",
            "conversionReviewVersions: Invalid value: [\"v7\",\"v7\"]: must include at least one of v1, v1beta1",
        ]
    );
    assert_eq!(
        of(json!({"strategy": "Webhook"})),
        [
            "webhookClientConfig: Required value: required when strategy is set to Webhook",
            "conversionReviewVersions: Required value",
        ]
    );
    let should_not = "Forbidden: should not be set when strategy is not set to Webhook";
    assert_eq!(
        of(json!({"strategy": "None", "webhook": {
            "clientConfig": {"url": "https://h"}, "conversionReviewVersions": ["v1"],
        }})),
        [format!("webhookClientConfig: {should_not}"), format!("conversionReviewVersions: {should_not}")]
    );
    assert_eq!(
        of(json!({"strategy": "Foo"})),
        ["strategy: Unsupported value: \"Foo\": supported values: \"None\", \"Webhook\""]
    );
}

#[test]
fn once_served_a_kind_stays_what_it_is() {
    let created = definition(&any());
    let old = settle(&created, &[], NOW).expect("it is new").definition;
    assert!(is_established(&old));
    let mut new = old.clone();
    new["spec"]["scope"] = "Cluster".into();
    new["spec"]["names"]["kind"] = "Other".into();
    new["spec"]["versions"][0]["name"] = "v2".into();
    prepare_update(&mut new, &old);
    assert_eq!(new["status"]["storedVersions"], json!(["v1", "v2"]));
    let gone = "missing from spec.versions; v1 was previously a storage version, and must remain in spec.versions \
                until a storage migration ensures no data remains persisted in v1 and removes v1 from status.storedVersions";
    assert_eq!(
        texts(&validate_update(&new, &old)),
        [
            "spec.scope: Invalid value: \"Cluster\": field is immutable",
            "spec.names.kind: Invalid value: \"Other\": field is immutable",
            &format!("status.storedVersions[0]: Invalid value: \"v1\": {gone}"),
        ]
    );
}

#[test]
fn a_name_belongs_to_who_had_it_first() {
    let first = settle(&definition(&any()), &[], NOW).expect("it is new");
    assert!(first.names_changed && is_established(&first.definition));
    let mut second = definition(&any());
    second["metadata"]["name"] = "others.example.com".into();
    second["spec"]["names"] = json!({
        "plural": "others", "kind": "Peer", "singular": "peer", "listKind": "OtherList", "shortNames": ["peers", "o"],
    });
    let lost = settle(&second, &[&first.definition], NOW).expect("it is new").definition;
    assert_eq!(
        lost["status"]["acceptedNames"],
        json!({"kind": "", "plural": "others", "listKind": "OtherList"})
    );
    let named = condition(&lost, "NamesAccepted").expect("it was looked at");
    assert_eq!(
        (&named["status"], &named["reason"], &named["message"]),
        (&json!("False"), &json!("KindConflict"), &json!("\"Peer\" is already in use"))
    );
    let established = condition(&lost, "Established").expect("it was looked at");
    assert_eq!(
        (&established["reason"], &established["message"]),
        (&json!("NotAccepted"), &json!("not all names are accepted"))
    );
    assert_eq!(settle(&lost, &[&first.definition], NOW), None);
    let won = settle(&lost, &[], NOW).expect("the names are free").definition;
    assert!(is_established(&won));
    assert_eq!(won["status"]["acceptedNames"], second["spec"]["names"]);
    assert_eq!(settle(&won, &[], NOW), None);
}
