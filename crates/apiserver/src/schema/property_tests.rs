use super::tests::{resource, schema, try_schema};
use super::*;
use proptest::prelude::*;
use serde_json::json;

fn any_value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        (-3i64..6).prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        "[ab1:./ -]{0,4}|\\PC{0,3}".prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 24, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::vec(("[a-e]|metadata|kind|spec", inner), 0..4)
                .prop_map(|fields| fields.into_iter().collect::<Value>()),
        ]
    })
}

/// Schemas that make sense, most of the time.
fn any_schema() -> impl Strategy<Value = Value> {
    let bounds = || (prop::option::of(-2i64..4), prop::option::of(-2i64..4));
    let text = (bounds(), prop::option::of(prop_oneof![Just("^a"), Just("\\d"), Just("[a-")]), any_format()).prop_map(
        |((min, max), pattern, format)| json!({"type": "string", "minLength": min, "maxLength": max, "pattern": pattern, "format": format}),
    );
    let number = (prop_oneof![Just("integer"), Just("number")], bounds(), prop::option::of(-1.0..3.0), any_format()).prop_map(
        |(kind, (min, max), multiple, format)| json!({"type": kind, "minimum": min, "maximum": max, "multipleOf": multiple, "format": format}),
    );
    let leaf = prop_oneof![
        4 => text,
        4 => number,
        1 => Just(json!({"type": "boolean", "default": true})),
        1 => Just(json!({"x-kubernetes-int-or-string": true})),
        1 => Just(json!({"x-kubernetes-preserve-unknown-fields": true})),
        1 => any_value().prop_map(|allowed| json!({"enum": [allowed], "nullable": true})),
    ];
    leaf.prop_recursive(3, 16, 4, move |inner| {
        let list = (inner.clone(), bounds(), prop_oneof![Just("atomic"), Just("set"), Just("map")]).prop_map(
            |(items, (min, max), list_type)| {
                json!({
                    "type": "array", "items": items, "minItems": min, "maxItems": max,
                    "x-kubernetes-list-type": list_type, "x-kubernetes-list-map-keys": ["a"],
                })
            },
        );
        let map = (inner.clone(), any_rules()).prop_map(|(entry, rules)| {
            json!({"type": "object", "additionalProperties": entry, "x-kubernetes-validations": rules})
        });
        let properties = prop::collection::vec(("[a-e]", inner.clone()), 1..4);
        let object = (properties, any_rules(), any::<[bool; 4]>(), any_value(), inner).prop_map(
            |(properties, rules, [embedded, preserve, nullable, has_default], default, branch)| {
                let mut schema = json!({
                    "type": "object",
                    "properties": properties.into_iter().collect::<Value>(),
                    "required": ["a"],
                    "x-kubernetes-validations": rules,
                    "x-kubernetes-embedded-resource": embedded,
                    "x-kubernetes-preserve-unknown-fields": preserve,
                    "nullable": nullable,
                    "anyOf": [branch, {"required": ["b"]}],
                });
                if has_default {
                    schema["default"] = default;
                }
                schema
            },
        );
        prop_oneof![list, map, object]
    })
}

fn any_format() -> impl Strategy<Value = Option<&'static str>> {
    let formats = [
        "int32",
        "int64",
        "float",
        "ipv4",
        "ipv6",
        "cidr",
        "mac",
        "duration",
        "date",
        "date-time",
        "hostname",
        "uri",
        "email",
        "uuid4",
        "byte",
        "isbn",
        "creditcard",
    ];
    prop::option::of(prop::sample::select(formats.to_vec()))
}

fn any_rules() -> impl Strategy<Value = Value> {
    let rules = [
        json!([]),
        json!([{"rule": "self == oldSelf"}]),
        json!([{"rule": "size(self) > 1", "message": "m", "reason": "FieldValueDuplicate"}]),
        json!([{"rule": "self.all(k, k != 'a')", "messageExpression": "string(size(self))"}]),
        json!([{"rule": "oldSelf.hasValue()", "optionalOldSelf": true}]),
    ];
    prop::sample::select(rules.to_vec())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn nothing_panics(schema in any_schema(), object in any_value(), old in prop::option::of(any_value())) {
        if let Ok(schema) = try_schema(schema) {
            let object = resource(object);
            let old = old.map(resource);
            let verdict = schema.judge(&object, old.as_ref());
            let message = invalid_message("Router", "example.com", "a", &verdict.errors);
            prop_assert_eq!(message.contains("is invalid:"), !verdict.errors.is_empty());
            schema.judge_status(&object, old.as_ref().unwrap_or(&object));
            metadata::validate(&object, true);
        }
    }

    #[test]
    fn any_json_is_a_schema_or_an_error(schema in any_value(), object in any_value()) {
        if let Ok(schema) = Schema::parse(&schema) {
            schema.validate(&object, Some(&object));
        }
    }

    #[test]
    fn metadata_of_any_shape_is_judged(metadata in any_value(), old in any_value()) {
        let (mut object, old) = (json!({"metadata": metadata}), json!({"metadata": old}));
        metadata::decode_error(&object["metadata"]);
        metadata::validate(&object, true);
        metadata::validate_update(&object, &old);
        schema(json!({"type": "object"})).prune(&mut object);
    }

    #[test]
    fn pruning_leaves_nothing_to_prune(schema in any_schema(), object in any_value()) {
        if let Ok(schema) = try_schema(schema) {
            let mut object = resource(object);
            schema.prune(&mut object);
            let pruned = object.clone();
            prop_assert_eq!(schema.prune(&mut object), []);
            prop_assert_eq!(object, pruned);
        }
    }

    #[test]
    fn defaulting_twice_changes_nothing(schema in any_schema(), object in any_value()) {
        if let Ok(schema) = try_schema(schema) {
            let mut object = resource(object);
            schema.default(&mut object);
            let once = object.clone();
            schema.default(&mut object);
            prop_assert_eq!(object, once);
        }
    }
}
