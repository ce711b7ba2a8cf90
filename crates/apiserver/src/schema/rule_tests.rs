use super::tests::{assert_errors, peer, resource, schema, texts, with_rules};
use super::*;
use serde_json::json;

#[test]
fn rules_say_what_they_were_told_to_say() {
    let text = json!({"type": "string"});
    let object =
        json!({"type": "object", "properties": {"a": {"type": "integer"}, "foo-bar": {"type": "integer"}}});
    for (schema, rule, value, expected) in [
        (
            &text,
            json!({"rule": "self.startsWith('a')"}),
            json!("b"),
            r#"spec: Invalid value: "b": failed rule: self.startsWith('a')"#,
        ),
        (
            &text,
            json!({"rule": "self != 'b'", "message": " no b "}),
            json!("b"),
            r#"spec: Invalid value: "b": no b"#,
        ),
        (
            &text,
            json!({"rule": "self != 'b'", "message": "m", "messageExpression": "'bad ' + self"}),
            json!("b"),
            r#"spec: Invalid value: "b": bad b"#,
        ),
        (
            &text,
            json!({"rule": "self != 'b'", "message": "m", "messageExpression": "'two\\nlines'"}),
            json!("b"),
            r#"spec: Invalid value: "b": m"#,
        ),
        (
            &text,
            json!({"rule": "self != 'b'", "message": "m", "reason": "FieldValueForbidden"}),
            json!("b"),
            "spec: Forbidden: m",
        ),
        (
            &text,
            json!({"rule": "self != 'b'", "message": "m", "reason": "FieldValueRequired"}),
            json!("b"),
            "spec: Required value: m",
        ),
        (
            &text,
            json!({"rule": "self != 'b'", "message": "m", "reason": "FieldValueDuplicate"}),
            json!("b"),
            r#"spec: Duplicate value: "b""#,
        ),
        (
            &text,
            json!({"rule": "duration(self).getSeconds() >= 1", "message": "too short"}),
            json!("500ms"),
            r#"spec: Invalid value: "500ms": too short"#,
        ),
        (
            &text,
            json!({"rule": "duration(self).getSeconds() <= 65535", "message": "too long"}),
            json!("4294967306s"),
            r#"spec: Invalid value: "4294967306s": too long"#,
        ),
        (
            &text,
            json!({"rule": "duration(self).getMilliseconds() % 1000 != 0", "message": "whole"}),
            json!("9223372036s"),
            r#"spec: Invalid value: "9223372036s": whole"#,
        ),
        (
            &text,
            json!({"rule": "uint(self) < 10u", "message": "too much"}),
            json!("18446744073709551616"),
            r#"spec: Invalid value: "string": type conversion error from 'string' to 'uint' evaluating rule: too much"#,
        ),
        (
            &text,
            json!({"rule": "duration(self).getSeconds() >= 1", "message": "too short"}),
            json!("x"),
            r#"spec: Invalid value: "string": type conversion error from 'string' to 'google.protobuf.Duration' evaluating rule: too short"#,
        ),
        (
            &text,
            json!({"rule": "isIP(self) && ip(self).family() == 4"}),
            json!("::1"),
            r#"spec: Invalid value: "::1": failed rule: isIP(self) && ip(self).family() == 4"#,
        ),
        (
            &text,
            json!({"rule": "quantity(self).isLessThan(quantity('1Gi'))"}),
            json!("2Gi"),
            r#"spec: Invalid value: "2Gi": failed rule: quantity(self).isLessThan(quantity('1Gi'))"#,
        ),
        (
            &text,
            json!({"rule": "!format.dns1123Label().validate(self).hasValue()"}),
            json!("A"),
            r#"spec: Invalid value: "A": failed rule: !format.dns1123Label().validate(self).hasValue()"#,
        ),
        (&object, json!({"rule": "self.a > 1", "message": "m"}), json!({"a": 1}), "spec: Invalid value: m"),
        (
            &object,
            json!({"rule": "self.a > 1", "message": "m"}),
            json!({}),
            r#"spec: Invalid value: "object": no such key: a evaluating rule: m"#,
        ),
        (
            &object,
            json!({"rule": "!has(self.foo__dash__bar)", "message": "m", "fieldPath": ".foo-bar"}),
            json!({"foo-bar": 1}),
            "spec.foo-bar: Invalid value: m",
        ),
        (
            &json!({"x-kubernetes-int-or-string": true}),
            json!({"rule": "self > 1"}),
            json!("x"),
            r#"spec: Invalid value: "": 'no such overload': call arguments did not match a supported operator, function or macro signature for rule: self > 1"#,
        ),
        (
            &json!({"x-kubernetes-int-or-string": true}),
            json!({"rule": "type(self) == string"}),
            json!(1),
            r#"spec: Invalid value: 1: failed rule: type(self) == string"#,
        ),
    ] {
        assert_errors(&with_rules(schema.clone(), json!([rule])), value, &[expected]);
    }
}

#[test]
fn rules_wait_until_the_object_has_its_shape() {
    let spec = with_rules(peer(), json!([{"rule": "self.myASN != 1", "message": "not 1"}]));
    assert_errors(&spec, json!({"myASN": 1}), &["spec: Invalid value: not 1"]);
    assert_errors(
        &spec,
        json!({"myASN": 1, "dynamicASN": "foo"}),
        &[
            r#"spec.dynamicASN: Unsupported value: "foo": supported values: "internal", "external""#,
            "<nil>: Invalid value: null: some validation rules were not checked because the object was invalid; correct \
             the existing errors to complete validation",
        ],
    );
    // What breaks a mere bound is still of a shape that rules can rely on.
    assert_errors(
        &spec,
        json!({"myASN": 1, "peerASN": -1}),
        &[
            "spec.peerASN: Invalid value: -1: spec.peerASN in body should be greater than or equal to 0",
            "spec: Invalid value: not 1",
        ],
    );
}

#[test]
fn transition_rules_look_at_the_old_value_and_only_then() {
    let immutable =
        with_rules(json!({"type": "string"}), json!([{"rule": "self == oldSelf", "message": "immutable"}]));
    let optional = with_rules(
        json!({"type": "string"}),
        json!([{"rule": "oldSelf.hasValue() || self == 'first'", "optionalOldSelf": true, "message": "must begin as first"}]),
    );
    for (spec, new, old, expected) in [
        (&immutable, "b", None, None),
        (&immutable, "b", Some("b"), None),
        (&immutable, "b", Some("a"), Some(r#"spec: Invalid value: "b": immutable"#)),
        (&optional, "b", None, Some(r#"spec: Invalid value: "b": must begin as first"#)),
        (&optional, "first", None, None),
        (&optional, "b", Some("a"), None),
    ] {
        let old = old.map(|old| resource(json!(old)));
        let errors = schema(spec.clone()).validate(&resource(json!(new)), old.as_ref());
        assert_eq!(texts(&errors), expected.into_iter().collect::<Vec<_>>(), "{new} after {old:?}");
    }
}

#[test]
fn an_update_is_not_blamed_for_what_it_leaves_alone() {
    let spec = json!({
        "type": "object",
        "properties": {
            "port": {"type": "integer", "maximum": 10},
            "name": with_rules(json!({"type": "string"}), json!([{"rule": "self != 'bad'", "message": "is bad"}])),
            "other": {"type": "string"},
        },
    });
    let schema = schema(spec);
    let old = resource(json!({"port": 11, "name": "bad"}));
    let verdict = schema.judge(&resource(json!({"port": 11, "name": "bad", "other": "new"})), Some(&old));
    assert_eq!(texts(&verdict.errors), Vec::<String>::new());
    assert_eq!(verdict.warnings, [r#"spec.name: Invalid value: "bad": is bad"#]);
    let verdict = schema.judge(&resource(json!({"port": 12, "name": "bad"})), Some(&old));
    assert_eq!(
        texts(&verdict.errors),
        ["spec.port: Invalid value: 12: spec.port in body should be less than or equal to 10"]
    );
}

#[test]
fn items_of_a_list_map_are_compared_with_their_namesakes() {
    let mut object = resource(json!({}));
    let conditions = |reasons: [(&str, &str); 2]| -> Value {
        reasons
            .iter()
            .map(|(name, reason)| json!({"type": name, "status": "True", "reason": reason}))
            .collect()
    };
    let schema = schema(json!({"type": "object"}));
    object["status"] = json!({"conditions": conditions([("A", "9"), ("B", "ok")])});
    let old = object.clone();
    object["status"]["conditions"] = conditions([("B", "8"), ("A", "9")]);
    let expected = "status.conditions[0].reason: Invalid value: \"8\": conditions[0].reason in body should match '^[A-Za-z]+$'";
    assert_eq!(texts(&schema.judge_status(&object, &old).errors), [expected]);
}

#[test]
fn the_number_of_evaluations_is_bounded() {
    let item = with_rules(json!({"type": "integer"}), json!([{"rule": "self >= 0"}]));
    let schema = schema(json!({"type": "array", "items": item}));
    let errors = schema.validate(&resource(json!(vec![0; LIMITS.rule_evaluations + 5])), None);
    let expected = "Invalid value: \"integer\": validation failed due to running out of cost budget, no further validation \
                    rules will be run";
    assert_eq!(errors.iter().map(|error| error.message.as_str()).collect::<Vec<_>>(), [expected]);
}
