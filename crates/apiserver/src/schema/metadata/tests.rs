use super::*;
use crate::schema::tests::texts;
use serde_json::json;

#[test]
fn metadata_is_held_to_the_rules_for_names() {
    let subdomain = "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must \
                 start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is \
                 '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')";
    let label = "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end \
             with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is \
             '[a-z0-9]([-a-z0-9]*[a-z0-9])?')";
    let key = "name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric \
           character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is \
           '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')";
    let value = "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start \
             and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for validation \
             is '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')";
    for (metadata, expected) in [
        (json!({"name": "a.b", "namespace": "n"}), vec![]),
        (
            json!({"namespace": "n"}),
            vec!["metadata.name: Required value: name or generateName is required".to_owned()],
        ),
        (
            json!({"name": "A_b", "namespace": "n"}),
            vec![format!("metadata.name: Invalid value: \"A_b\": {subdomain}")],
        ),
        (json!({"name": "a", "generateName": "A-", "namespace": "n"}), vec![]),
        (
            json!({"name": "a", "generateName": "_a", "namespace": "n"}),
            vec![format!("metadata.generateName: Invalid value: \"_a\": {subdomain}")],
        ),
        (json!({"name": "a"}), vec!["metadata.namespace: Required value".to_owned()]),
        (
            json!({"name": "a", "namespace": "N"}),
            vec![format!("metadata.namespace: Invalid value: \"N\": {label}")],
        ),
        (
            json!({"name": "a", "namespace": "a.b"}),
            vec!["metadata.namespace: Invalid value: \"a.b\": must not contain dots".to_owned()],
        ),
        (
            json!({"name": "a", "namespace": "n", "labels": {"-a": "a_"}}),
            vec![
                format!("metadata.labels: Invalid value: \"-a\": {key}"),
                format!("metadata.labels: Invalid value: \"a_\": {value}"),
            ],
        ),
        (
            json!({"name": "a", "namespace": "n", "labels": {"A/b": "c"}}),
            vec![format!("metadata.labels: Invalid value: \"A/b\": prefix part {subdomain}")],
        ),
        (json!({"name": "a", "namespace": "n", "annotations": {"A/b": "any thing"}}), vec![]),
        (
            json!({"name": "a", "namespace": "n", "annotations": {"/b": ""}}),
            vec!["metadata.annotations: Invalid value: \"/b\": prefix part must be non-empty".to_owned()],
        ),
        (
            json!({"name": "a", "namespace": "n", "annotations": {"a": "x".repeat(262144)}}),
            vec!["metadata.annotations: Too long: may not be more than 262144 bytes".to_owned()],
        ),
        (
            json!({"name": "a", "namespace": "n", "labels": {"a": "x".repeat(64)}}),
            vec![format!(
                "metadata.labels: Invalid value: \"{}\": must be no more than 63 bytes",
                "x".repeat(64)
            )],
        ),
        (
            json!({"name": "a".repeat(254), "namespace": "n"}),
            vec![format!(
                "metadata.name: Invalid value: \"{}\": must be no more than 253 characters",
                "a".repeat(254)
            )],
        ),
        (
            json!({"name": "a", "namespace": "n", "finalizers": ["a b"]}),
            vec![format!("metadata.finalizers: Invalid value: \"a b\": {key}")],
        ),
        (
            json!({"name": "a", "namespace": "n", "ownerReferences": [{"apiVersion": "v1", "kind": "Node", "name": "x"}]}),
            vec!["metadata.ownerReferences.uid: Invalid value: \"\": must not be empty".to_owned()],
        ),
    ] {
        assert_eq!(texts(&validate(&json!({"metadata": metadata}), true)), expected, "{metadata}");
    }
    let errors = validate(&json!({"metadata": {"name": "a", "namespace": "n"}}), false);
    assert_eq!(texts(&errors), ["metadata.namespace: Forbidden: not allowed on this type"]);
}

#[test]
fn what_the_api_server_sets_itself_is_not_judged() {
    let object = json!({"metadata": {
        "name": "a", "namespace": "n", "generation": -5, "managedFields": [{"operation": "x", "fieldsType": "y"}],
    }});
    assert_eq!(validate(&object, true), []);
    assert_eq!(
        texts(&validate_embedded(object.get("metadata"), "spec.metadata")),
        [
            "spec.metadata.generation: Invalid value: -5: must be greater than or equal to 0",
            "spec.metadata.managedFields[0].operation: Invalid value: \"x\": must be `Apply` or `Update`",
            "spec.metadata.managedFields[0].fieldsType: Invalid value: \"y\": must be `FieldsV1`",
        ]
    );
}

#[test]
fn odd_metadata_earns_warnings() {
    let owner = json!({"apiVersion": "v1", "kind": "Pod", "name": "a", "uid": "u"});
    let object = json!({"metadata": {
        "finalizers": ["b.c", "a", "a", "orphan", "kubernetes", "a.b/c"],
        "ownerReferences": [owner, owner, {"uid": "v"}, owner],
    }});
    let owners = ".metadata.ownerReferences contains duplicate entries; API server dedups owner references in 1.20+, and may \
                  reject such requests as early as 1.24; please fix your requests; duplicate UID(s) observed: u, u";
    let plain = "metadata.finalizers: \"a\": prefer a domain-qualified finalizer name to avoid accidental conflicts with \
                 other finalizer writers";
    let dotted = "metadata.finalizers: \"b.c\": prefer a domain-qualified finalizer name including a path (/) to avoid \
                  accidental conflicts with other finalizer writers";
    assert_eq!(warnings(&object, None), [owners, plain, dotted]);
    let old = json!({"metadata": {"finalizers": ["a"]}});
    assert_eq!(warnings(&object, Some(&old)), [owners, dotted]);
    assert_eq!(warnings(&json!({}), None), [""; 0]);
}

#[test]
fn null_among_texts_is_an_empty_text() {
    let mut object = json!({"labels": {"a": null}, "annotations": {"b": null}, "finalizers": [null]});
    prune(&mut object, "metadata", &mut Vec::new());
    assert_eq!(object, json!({"labels": {"a": ""}, "annotations": {"b": ""}, "finalizers": [""]}));
}

#[test]
fn an_update_must_not_change_whose_metadata_it_is() {
    let old = json!({"name": "a", "uid": "u", "resourceVersion": "1", "generation": 2, "deletionTimestamp": "2026-01-01T00:00:00Z"});
    for (name, value, expected) in [
        ("resourceVersion", json!("1"), None),
        (
            "resourceVersion",
            json!(""),
            Some("metadata.resourceVersion: Invalid value: 0: must be specified for an update"),
        ),
        (
            "resourceVersion",
            json!("0"),
            Some("metadata.resourceVersion: Invalid value: 0: must be specified for an update"),
        ),
        ("name", json!("b"), Some(r#"metadata.name: Invalid value: "b": field is immutable"#)),
        ("uid", json!("v"), Some(r#"metadata.uid: Invalid value: "v": field is immutable"#)),
        ("uid", json!(""), None),
        ("generation", json!(1), None),
        ("creationTimestamp", json!("2026-01-01T00:00:00Z"), None),
        ("managedFields", json!([{}]), None),
        (
            "deletionTimestamp",
            json!(null),
            Some("metadata.deletionTimestamp: Invalid value: null: field is immutable"),
        ),
        (
            "finalizers",
            json!(["a/b"]),
            Some(
                r#"metadata.finalizers: Forbidden: no new finalizers can be added if the object is being deleted, found new finalizers []string{"a/b"}"#,
            ),
        ),
    ] {
        let mut new = old.clone();
        new[name] = value;
        let errors = validate_update(&json!({"metadata": new}), &json!({"metadata": old}));
        assert_eq!(texts(&errors), expected.into_iter().collect::<Vec<_>>(), "{name}");
    }
}

#[test]
fn metadata_of_wrong_types_cannot_be_decoded() {
    for (metadata, expected) in [
        (json!({"name": "a", "labels": {"a": "b"}, "creationTimestamp": null}), None),
        (json!([]), Some("json: cannot unmarshal array into Go value of type v1.ObjectMeta")),
        (
            json!({"name": 1}),
            Some("json: cannot unmarshal number into Go struct field ObjectMeta.name of type string"),
        ),
        (
            json!({"labels": {"a": 1}}),
            Some("json: cannot unmarshal number into Go struct field ObjectMeta.labels of type string"),
        ),
        (
            json!({"labels": "a"}),
            Some(
                "json: cannot unmarshal string into Go struct field ObjectMeta.labels of type map[string]string",
            ),
        ),
        (
            json!({"generation": 1.5}),
            Some(
                "json: cannot unmarshal number 1.5 into Go struct field ObjectMeta.generation of type int64",
            ),
        ),
        (json!({"generation": 1.0, "deletionGracePeriodSeconds": 1e18}), None),
        (
            json!({"generation": 9223372036854775808u64}),
            Some(
                "json: cannot unmarshal number 9223372036854776000 into Go struct field ObjectMeta.generation of \
                 type int64",
            ),
        ),
        (
            json!({"uid": true}),
            Some("json: cannot unmarshal bool into Go struct field ObjectMeta.uid of type types.UID"),
        ),
        (
            json!({"ownerReferences": [{"uid": {}}]}),
            Some(
                "json: cannot unmarshal object into Go struct field OwnerReference.ownerReferences.uid of type \
                 types.UID",
            ),
        ),
        (
            json!({"managedFields": [{"operation": 1}]}),
            Some(
                "json: cannot unmarshal number into Go struct field ManagedFieldsEntry.managedFields.operation of \
                 type v1.ManagedFieldsOperationType",
            ),
        ),
        (
            json!({"creationTimestamp": "2026-13-02T03:04:05Z"}),
            Some("parsing time \"2026-13-02T03:04:05Z\": month out of range"),
        ),
        (
            json!({"ownerReferences": [{"controller": "x"}]}),
            Some(
                "json: cannot unmarshal string into Go struct field OwnerReference.ownerReferences.controller of type bool",
            ),
        ),
    ] {
        assert_eq!(decode_error(&metadata).as_deref(), expected);
    }
}
