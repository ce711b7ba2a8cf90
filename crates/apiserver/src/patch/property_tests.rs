//! What holds of any object and any patch.

use super::*;
use crate::apply::Types;
use proptest::prelude::*;
use serde_json::{Map, Value, json};

fn any_value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        (-3i64..3).prop_map(Value::from),
        "[a-c]{0,2}|delete|replace|merge|/a/0|/spec/ports/-".prop_map(Value::from),
    ];
    let name = "[a-c]|spec|ports|port|metadata|finalizers|op|path|from|value|\\$patch|\\$retainKeys|\
                \\$setElementOrder/ports|\\$deleteFromPrimitiveList/finalizers";
    leaf.prop_recursive(5, 48, 4, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::vec((name, inner), 0..5)
                .prop_map(|fields| Value::Object(fields.into_iter().collect())),
        ]
    })
}

fn object() -> impl Strategy<Value = Value> {
    prop::collection::btree_map("[a-d]", any_value(), 0..5)
        .prop_map(|fields| Value::Object(fields.into_iter().collect::<Map<_, _>>()))
}

fn has_null_in_a_list(value: &Value) -> bool {
    match value {
        Value::Array(items) => items.iter().any(|item| has_null(item) || has_null_in_a_list(item)),
        Value::Object(fields) => fields.values().any(has_null_in_a_list),
        _ => false,
    }
}

fn has_null(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Object(fields) => fields.values().any(has_null),
        _ => false,
    }
}

proptest! {
    #[test]
    fn merging_twice_is_merging_once(object in object(), patch in object()) {
        prop_assume!(!has_null_in_a_list(&patch));
        let once = merge(&object, &patch).expect("both are objects");
        prop_assert_eq!(merge(&once, &patch).expect("both are objects"), once);
    }

    #[test]
    fn an_empty_merge_patch_changes_nothing(object in object()) {
        prop_assert_eq!(merge(&object, &json!({})), Ok(object));
    }

    #[test]
    fn a_merge_patch_without_null_is_in_its_outcome(object in object(), patch in object()) {
        prop_assume!(!has_null(&patch));
        let merged = merge(&object, &patch).expect("both are objects");
        for (name, value) in patch.as_object().into_iter().flatten() {
            prop_assert!(merged.get(name).is_some(), "{name}: {value}");
        }
    }

    #[test]
    fn nothing_panics(object in any_value(), patch in any_value(), operation in "add|remove|replace|move|copy|test", path in "(/(a|b|0|-|-1|~0)){0,3}", from in "(/(a|b|0|-|-1)){0,3}") {
        let _ = merge(&object, &patch);
        let _ = json(&object, &patch);
        let operation = json!({"op": operation, "path": path, "from": from, "value": patch});
        let _ = json(&object, &json!([operation, operation]));
        for (version, kind) in [("v1", "Service"), ("apps/v1", "Deployment")] {
            let types = Types::of_built_in(version, kind).expect("a built-in kind");
            let _ = strategic(&object, &patch, &types);
        }
    }
}
