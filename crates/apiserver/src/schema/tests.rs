#![expect(clippy::needless_pass_by_value, reason = "tables of JSON read better without borrows")]

use super::*;
use serde_json::json;

/// A resource whose `spec` has the given schema.
pub(super) fn schema(spec: Value) -> Schema {
    try_schema(spec).expect("the schema is usable")
}

pub(super) fn try_schema(spec: Value) -> Result<Schema, SchemaError> {
    Schema::parse(&json!({
        "type": "object",
        "properties": {
            "apiVersion": {"type": "string"},
            "kind": {"type": "string"},
            "metadata": {"type": "object"},
            "spec": spec,
            "status": {"type": "object", "properties": {"conditions": conditions()}},
        },
    }))
}

pub(super) fn resource(spec: Value) -> Value {
    json!({"apiVersion": "example.com/v1", "kind": "Router", "metadata": {"name": "a"}, "spec": spec})
}

pub(super) fn texts(errors: &[FieldError]) -> Vec<String> {
    errors.iter().map(ToString::to_string).collect()
}

#[track_caller]
pub(super) fn assert_errors(spec: &Value, object: Value, expected: &[&str]) {
    let errors = schema(spec.clone()).validate(&resource(object.clone()), None);
    assert_eq!(texts(&errors), expected, "{object} against {spec}");
}

#[test]
fn a_default_holds_nothing_that_would_be_pruned() {
    let schema = schema(json!({
        "type": "object",
        "default": {"known": 1, "unknown": 2, "wrong": null},
        "properties": {"known": {"type": "integer"}, "wrong": {"type": "string"}},
    }));
    let mut object = resource(json!(null));
    schema.default(&mut object);
    assert_eq!(object["spec"], json!({"known": 1}));
}

fn conditions() -> Value {
    json!({
        "type": "array",
        "x-kubernetes-list-type": "map",
        "x-kubernetes-list-map-keys": ["type"],
        "items": {
            "type": "object",
            "required": ["type", "status"],
            "properties": {
                "type": {"type": "string", "maxLength": 316},
                "status": {"type": "string", "enum": ["True", "False", "Unknown"]},
                "reason": {"type": "string", "minLength": 1, "pattern": "^[A-Za-z]+$"},
                "lastTransitionTime": {"type": "string", "format": "date-time"},
            },
        },
    })
}

pub(super) fn peer() -> Value {
    json!({
        "type": "object",
        "required": ["myASN"],
        "properties": {
            "myASN": {"type": "integer", "format": "int64", "maximum": 4294967295u32},
            "peerASN": {"type": "integer", "format": "int64", "minimum": 0, "maximum": 4294967295u32},
            "dynamicASN": {"type": "string", "enum": ["internal", "external"]},
            "port": {"type": "integer", "minimum": 1, "maximum": 16384, "default": 179},
            "holdTime": {"type": "string"},
            "interface": {"type": "string", "maxLength": 15},
            "ratio": {"type": "number", "exclusiveMinimum": true, "minimum": 0.5, "multipleOf": 0.5},
            "weights": {"type": "object", "maxProperties": 1, "additionalProperties": {"type": "integer"}},
            "communities": {
                "type": "array", "minItems": 1, "maxItems": 2, "x-kubernetes-list-type": "set",
                "items": {"type": "string", "pattern": "^\\d+:\\d+$"},
            },
            "address": {"type": "string", "format": "ipv4"},
            "target": {"x-kubernetes-int-or-string": true},
            "note": {"type": "string", "nullable": true},
            "enabled": {"type": "boolean"},
        },
    })
}

#[test]
fn values_are_held_to_the_schema_in_the_words_of_the_api_server() {
    for (field, expected) in [
        (
            json!({"peerASN": 4294967296i64}),
            "spec.peerASN: Invalid value: 4294967296: spec.peerASN in body should be less than or equal to 4294967295",
        ),
        (
            json!({"peerASN": -1}),
            "spec.peerASN: Invalid value: -1: spec.peerASN in body should be greater than or equal to 0",
        ),
        (
            json!({"peerASN": "1"}),
            r#"spec.peerASN: Invalid value: "string": spec.peerASN in body must be of type integer: "string""#,
        ),
        (
            json!({"dynamicASN": "foo"}),
            r#"spec.dynamicASN: Unsupported value: "foo": supported values: "internal", "external""#,
        ),
        (
            json!({"holdTime": 90}),
            r#"spec.holdTime: Invalid value: "integer": spec.holdTime in body must be of type string: "integer""#,
        ),
        (
            json!({"holdTime": null}),
            r#"spec.holdTime: Invalid value: "null": spec.holdTime in body must be of type string: "null""#,
        ),
        (json!({"interface": "0123456789abcdef"}), "spec.interface: Too long: may not be more than 15 bytes"),
        (
            json!({"ratio": 0.5}),
            "spec.ratio: Invalid value: 0.5: spec.ratio in body should be greater than 0.5",
        ),
        (
            json!({"ratio": 1.25}),
            "spec.ratio: Invalid value: 1.25: spec.ratio in body should be a multiple of 0.5",
        ),
        (json!({"weights": {"a": 1, "b": 2}}), "spec.weights: Too many: 2: must have at most 1 item"),
        (
            json!({"weights": {"a": "x"}}),
            r#"spec.weights.a: Invalid value: "string": spec.weights.a in body must be of type integer: "string""#,
        ),
        (
            json!({"communities": []}),
            "spec.communities: Invalid value: 0: spec.communities in body should have at least 1 items",
        ),
        (
            json!({"communities": ["1:1", "2:2", "3:3"]}),
            "spec.communities: Too many: 3: must have at most 2 items",
        ),
        (json!({"communities": ["1:1", "1:1"]}), r#"spec.communities[1]: Duplicate value: "1:1""#),
        (
            json!({"communities": ["x"]}),
            r#"spec.communities[0]: Invalid value: "x": spec.communities[0] in body should match '^\d+:\d+$'"#,
        ),
        (
            json!({"address": "1.2.3"}),
            r#"spec.address: Invalid value: "1.2.3": spec.address in body must be of type ipv4: "1.2.3""#,
        ),
        (
            json!({"target": true}),
            r#"spec.target: Invalid value: "boolean": spec.target in body must be of type integer,string: "boolean""#,
        ),
        (
            json!({"enabled": "yes"}),
            r#"spec.enabled: Invalid value: "string": spec.enabled in body must be of type boolean: "string""#,
        ),
    ] {
        let mut object = json!({"myASN": 1});
        object.as_object_mut().unwrap().extend(field.as_object().unwrap().clone());
        assert_errors(&peer(), object, &[expected]);
    }
}

#[test]
fn what_is_valid_is_silent() {
    for field in [
        json!({"peerASN": 64512.0}),
        json!({"note": null}),
        json!({"target": 80}),
        json!({"target": "http"}),
        json!({"ratio": 1.5}),
        json!({"address": "010.0.0.1"}),
        json!({"interface": "ééééééééééééééé"}),
    ] {
        let mut object = json!({"myASN": 1});
        object.as_object_mut().unwrap().extend(field.as_object().unwrap().clone());
        assert_errors(&peer(), object, &[]);
    }
}

#[test]
fn errors_come_in_the_order_of_the_schema() {
    assert_errors(
        &peer(),
        json!({"dynamicASN": "foo", "peerASN": -1, "unknown": 1}),
        &[
            "spec.peerASN: Invalid value: -1: spec.peerASN in body should be greater than or equal to 0",
            r#"spec.dynamicASN: Unsupported value: "foo": supported values: "internal", "external""#,
            "spec.myASN: Required value",
        ],
    );
}

#[test]
fn a_bound_that_the_format_cannot_hold_is_an_error_for_every_number() {
    let spec = json!({"type": "integer", "format": "int32", "maximum": 4294967295u32});
    let bound = r#"<nil>: Invalid value: "": Maximum boundary value must be of type integer with format int32 in spec"#;
    assert_errors(&spec, json!(1), &[bound]);
    assert_errors(
        &spec,
        json!(4294967296i64),
        &[
            r#"<nil>: Invalid value: "": Checked value must be of type integer with format int32 in spec"#,
            bound,
            "spec: Invalid value: 4.294967296e+09: spec in body should be less than or equal to 4.294967295e+09",
        ],
    );
}

#[test]
fn a_list_map_has_each_key_once() {
    let ready = json!({"type": "Ready", "status": "True"});
    let object = json!({"spec": {}, "status": {"conditions": [ready, ready, ready]}});
    let errors = schema(json!({"type": "object"})).validate(&object, None);
    assert_eq!(texts(&errors), [r#"status.conditions[1]: Duplicate value: {"type":"Ready"}"#]);
}

#[test]
fn combinators_name_the_branch_that_came_closest() {
    let spec = json!({
        "type": "object",
        "properties": {"a": {"type": "string"}, "b": {"type": "integer"}},
        "oneOf": [{"required": ["a"]}, {"properties": {"b": {"minimum": 5}}, "required": ["b"]}],
        "not": {"required": ["a", "b"]},
    });
    let none =
        r#"<nil>: Invalid value: "": "spec" must validate one and only one schema (oneOf). Found none valid"#;
    for (object, expected) in [
        (json!({"a": "x"}), vec![]),
        (json!({"b": 7}), vec![]),
        (json!({}), vec![none, "spec.a: Required value"]),
        (
            json!({"b": 1}),
            vec![none, "spec.b: Invalid value: 1: spec.b in body should be greater than or equal to 5"],
        ),
        (
            json!({"a": "x", "b": 7}),
            vec![
                r#"<nil>: Invalid value: "": "spec" must validate one and only one schema (oneOf). Found 2 valid alternatives"#,
                r#"<nil>: Invalid value: "": "spec" must not validate the schema (not)"#,
            ],
        ),
    ] {
        assert_errors(&spec, object, &expected);
    }
    let spec = json!({"type": "string", "allOf": [{"minLength": 2}, {"pattern": "^a"}], "anyOf": [{"format": "ipv4"}]});
    assert_errors(
        &spec,
        json!("b"),
        &[
            r#"<nil>: Invalid value: "": "spec" must validate at least one schema (anyOf)"#,
            r#"spec: Invalid value: "b": spec in body must be of type ipv4: "b""#,
            r#"spec: Invalid value: "b": spec in body should be at least 2 chars long"#,
            r#"spec: Invalid value: "b": spec in body should match '^a'"#,
            r#"<nil>: Invalid value: "": "spec" must validate all the schemas (allOf). None validated"#,
        ],
    );
}

#[test]
fn formats_accept_what_the_api_server_accepts() {
    for (format, accepted, refused) in [
        ("ipv4", vec!["1.2.3.4", "01.2.3.4", "::ffff:1.2.3.4"], vec!["1.2.3", "256.1.1.1", "::1", ""]),
        ("ipv6", vec!["::1", "::ffff:1.2.3.4"], vec!["1.2.3.4", "fe80::1%eth0", "1::2::3"]),
        (
            "cidr",
            vec!["10.0.0.0/8", "::/0", "010.0.0.0/08"],
            vec!["10.0.0.1/33", "10.0.0.0", "::/129", "a/8"],
        ),
        ("mac", vec!["00:11:22:33:44:55", "0011.2233.4455"], vec!["00:11:22:33:44", "00:11-22:33:44:55"]),
        ("date", vec!["2000-02-29"], vec!["1900-02-29", "2020-1-1"]),
        (
            "date-time",
            vec!["2020-01-01T00:00:00Z", "2020-01-01t00:00:00.5+01:00"],
            vec!["2020-01-01T24:00:00Z", "2020-01-01"],
        ),
        ("duration", vec!["1h2m", "-1.5s", "2 days", "0"], vec!["1", "", "x"]),
        ("hostname", vec!["a", "a.b.com", "1a"], vec!["-a", "a_b", "a..b", "a.1"]),
        ("uri", vec!["http://a/b?c", "/x", "a:b"], vec!["x", "", "http://a b", "%zz"]),
        ("email", vec!["a@b", "A <a@b.c>"], vec!["a", "@b", "a@"]),
        (
            "uuid",
            vec!["123e4567-e89b-12d3-a456-426614174000"],
            vec!["123", "-123e4567e89b12d3a456426614174000"],
        ),
        ("uuid4", vec!["123e4567-e89b-42d3-a456-426614174000"], vec!["123e4567-e89b-12d3-a456-426614174000"]),
        ("byte", vec!["YWJj", "YWI="], vec!["a", ""]),
        ("k8s-short-name", vec!["a-b"], vec!["a.b", "A"]),
        ("isbn", vec!["0321751043", "978-0321751041"], vec!["0321751044"]),
        ("creditcard", vec!["4111 1111 1111 1111"], vec!["4111111111111112"]),
        ("no-such-format", vec!["", "anything"], vec![]),
    ] {
        let schema = schema(json!({"type": "string", "format": format}));
        let is_valid = |text: &str| schema.validate(&resource(json!(text)), None).is_empty();
        assert!(accepted.iter().all(|text| is_valid(text)), "{format} {accepted:?}");
        assert!(!refused.iter().any(|text| is_valid(text)), "{format} {refused:?}");
    }
}

#[test]
fn unknown_fields_are_named_and_removed() {
    let schema = schema(json!({
        "type": "object",
        "properties": {
            "routers": {"type": "array", "items": {"type": "object", "properties": {"asn": {"type": "integer"}}}},
            "raw": {"type": "object", "x-kubernetes-preserve-unknown-fields": true},
            "labels": {"type": "object", "additionalProperties": {"type": "string"}},
            "empty": {"type": "object"},
        },
    }));
    let mut object = json!({
        "apiVersion": "example.com/v1", "kind": "Router",
        "metadata": {"name": "a", "foo": 1, "labels": {}, "ownerReferences": [{"name": "b", "bar": 2}]},
        "extra": 1,
        "spec": {"routers": [{"foo": 1, "asn": 2}], "raw": {"any": {"thing": 1}}, "labels": {"a": "b"}, "empty": {"x": {}}, "foo": 1},
    });
    let unknown: Vec<_> = schema.prune(&mut object).iter().map(ToString::to_string).collect();
    assert_eq!(
        unknown,
        [
            r#"unknown field "metadata.foo""#,
            r#"unknown field "metadata.ownerReferences[0].bar""#,
            r#"unknown field "extra""#,
            r#"unknown field "spec.empty.x""#,
            r#"unknown field "spec.foo""#,
            r#"unknown field "spec.routers[0].foo""#,
        ]
    );
    assert_eq!(
        object,
        json!({
            "apiVersion": "example.com/v1", "kind": "Router",
            "metadata": {"name": "a", "ownerReferences": [{"name": "b"}]},
            "spec": {"routers": [{"asn": 2}], "raw": {"any": {"thing": 1}}, "labels": {"a": "b"}, "empty": {}},
        })
    );
}

#[test]
fn defaults_fill_in_what_is_missing_or_wrongly_null() {
    let schema = schema(json!({
        "type": "object",
        "default": {},
        "properties": {
            "port": {"type": "integer", "default": 179},
            "note": {"type": "string", "nullable": true, "default": "x"},
            "name": {"type": "string"},
            "peers": {"type": "array", "items": {"type": "object", "properties": {"up": {"type": "boolean", "default": true}}}},
            "weights": {"type": "object", "additionalProperties": {"type": "integer", "default": 7}},
        },
    }));
    for (given, expected) in [
        (json!(null), json!({"port": 179, "note": "x"})),
        (json!({"port": null, "note": null, "name": null}), json!({"port": 179, "note": null})),
        (
            json!({"peers": [{}, {"up": false}, {"up": null}]}),
            json!({"port": 179, "note": "x", "peers": [{"up": true}, {"up": false}, {"up": true}]}),
        ),
        (
            json!({"weights": {"a": null, "b": 1}}),
            json!({"port": 179, "note": "x", "weights": {"a": 7, "b": 1}}),
        ),
    ] {
        let mut object = resource(given);
        schema.default(&mut object);
        assert_eq!(object["spec"], expected);
    }
}

pub(super) fn with_rules(mut schema: Value, rules: Value) -> Value {
    schema["x-kubernetes-validations"] = rules;
    schema
}

#[test]
fn embedded_objects_must_be_objects_of_some_kind() {
    let spec = json!({"type": "object", "x-kubernetes-embedded-resource": true, "x-kubernetes-preserve-unknown-fields": true});
    assert_errors(&spec, json!({}), &["spec.apiVersion: Required value", "spec.kind: Required value"]);
    assert_errors(&spec, json!({"apiVersion": "v1", "kind": "Pod", "data": 1}), &[]);
    assert_errors(
        &spec,
        json!({"apiVersion": "a/b/c", "kind": "", "metadata": {"name": "a/b"}}),
        &[
            r#"spec.apiVersion: Invalid value: "a/b/c": unexpected GroupVersion string: a/b/c"#,
            r#"spec.kind: Invalid value: "": must not be empty"#,
            r#"spec.metadata.name: Invalid value: "a/b": may not contain '/'"#,
        ],
    );
}

#[test]
fn a_schema_that_cannot_be_used_says_where_and_why() {
    for (spec, expected) in [
        (json!({"type": "text"}), r#"openAPIV3Schema.properties[spec].type: Unsupported value: "text""#),
        (
            json!({"type": "integer", "maximum": "1"}),
            "openAPIV3Schema.properties[spec].maximum: must be a number",
        ),
        (
            json!({"type": "array", "uniqueItems": true}),
            "openAPIV3Schema.properties[spec].uniqueItems: Forbidden: uniqueItems cannot be set to true since the runtime complexity becomes quadratic",
        ),
        (json!({"$ref": "#/a"}), "openAPIV3Schema.properties[spec].$ref: Forbidden: $ref is not supported"),
        (
            json!({"type": "array", "x-kubernetes-list-type": "map"}),
            "openAPIV3Schema.properties[spec].x-kubernetes-list-map-keys: entries must all be names of item properties",
        ),
        (
            with_rules(json!({"type": "string"}), json!([{}])),
            "openAPIV3Schema.properties[spec].x-kubernetes-validations[0]: missing field `rule`",
        ),
        (
            with_rules(json!({"type": "string"}), json!([{"rule": "sefl == 'a'"}])),
            "openAPIV3Schema.properties[spec].x-kubernetes-validations[0]: compilation failed: undeclared reference to 'sefl'",
        ),
        (
            with_rules(json!({"type": "string"}), json!([{"rule": "self.startWith('a')"}])),
            "openAPIV3Schema.properties[spec].x-kubernetes-validations[0]: compilation failed: undeclared reference to 'startWith'",
        ),
        (
            with_rules(
                json!({"type": "object", "properties": {"a": {"type": "string"}}}),
                json!([{"rule": "has(self.b)"}]),
            ),
            "openAPIV3Schema.properties[spec].x-kubernetes-validations[0]: compilation failed: undefined field 'b'",
        ),
        (
            with_rules(json!({"type": "string"}), json!([{"rule": "true", "optionalOldSelf": true}])),
            "openAPIV3Schema.properties[spec].x-kubernetes-validations[0]: optionalOldSelf may not be set if oldSelf is not used in rule",
        ),
        (
            with_rules(json!({"type": "string"}), json!([{"rule": "self == ''", "fieldPath": ".a"}])),
            r#"openAPIV3Schema.properties[spec].x-kubernetes-validations[0]: fieldPath ".a" must be a valid path"#,
        ),
    ] {
        assert_eq!(try_schema(spec).unwrap_err().to_string(), expected);
    }
    let pattern = try_schema(json!({"type": "string", "pattern": "("})).unwrap_err();
    assert!(matches!(pattern.problem, SchemaProblem::Pattern(_)), "{pattern}");
    let syntax = try_schema(with_rules(json!({"type": "string"}), json!([{"rule": "self =="}]))).unwrap_err();
    assert!(matches!(syntax.problem, SchemaProblem::Rule(RuleError::Syntax(_))), "{syntax}");
}

#[test]
fn depth_is_bounded() {
    let mut deep = json!({"type": "string"});
    for _ in 0..=LIMITS.schema_depth {
        deep = json!({"type": "array", "items": deep});
    }
    assert!(matches!(try_schema(deep).unwrap_err().problem, SchemaProblem::TooDeep));
    let mut value = json!(1);
    for _ in 0..=LIMITS.object_depth {
        value = json!([value]);
    }
    let anything = schema(json!({"x-kubernetes-preserve-unknown-fields": true}));
    assert_eq!(
        texts(&anything.validate(&resource(value), None)),
        ["<nil>: Invalid value: nested deeper than 128 levels"]
    );
}

#[test]
fn an_expression_of_any_depth_is_evaluated_or_refused() {
    let nested =
        |depth: usize, open: &str, close: &str| format!("{}true{}", open.repeat(depth), close.repeat(depth));
    for depth in [1, 10, 31, 100, 1000] {
        for rule in [
            nested(depth, "(", ")"),
            nested(depth, "!", ""),
            nested(depth, "[", "]"),
            nested(depth, "[1].all(x, ", ")"),
            nested(depth, "true ? true : ", ""),
            nested(depth, "", " == true"),
            nested(depth, "", " && true"),
            nested(depth, "1 + ", ""),
            nested(depth, "self.", ""),
        ] {
            let spec = json!({"x-kubernetes-preserve-unknown-fields": true});
            if let Ok(schema) = try_schema(with_rules(spec, json!([{"rule": rule}]))) {
                schema.validate(&resource(json!(1)), None);
            }
        }
    }
}

#[test]
fn the_number_of_errors_is_bounded() {
    let schema = schema(json!({"type": "array", "items": {"type": "string"}}));
    let errors = schema.validate(&resource(json!(vec![1; LIMITS.errors + 5])), None);
    assert_eq!(errors.len(), LIMITS.errors + 1);
    assert_eq!(errors[LIMITS.errors].to_string(), "<nil>: Invalid value: 5 more errors are not listed");
}

#[test]
fn a_schema_can_be_shared_between_threads() {
    fn assert_shareable<T: Send + Sync>(_: &T) {}
    assert_shareable(&schema(with_rules(json!({"type": "string"}), json!([{"rule": "self != ''"}]))));
}
