//! What patches do, and what they are refused for.

use super::*;
use crate::apply::Types;
use serde_json::{Value, json};

#[test]
fn json_patches_do_what_kubernetes_does_with_them() {
    let object = json!({"a": {"b": [1, 2, 3], "c": null}, "d/e": "x"});
    for (operations, expected) in [
        (
            json!([{"op": "add", "path": "/a/b/1", "value": 9}]),
            Some(json!({"a": {"b": [1, 9, 2, 3], "c": null}, "d/e": "x"})),
        ),
        (
            json!([{"op": "add", "path": "/a/b/-", "value": 9}]),
            Some(json!({"a": {"b": [1, 2, 3, 9], "c": null}, "d/e": "x"})),
        ),
        (
            json!([{"op": "replace", "path": "/a/new", "value": 1}]),
            Some(json!({"a": {"b": [1, 2, 3], "c": null, "new": 1}, "d/e": "x"})),
        ),
        (
            json!([{"op": "remove", "path": "/a/b/-1"}, {"op": "remove", "path": "/d~1e"}]),
            Some(json!({"a": {"b": [1, 2], "c": null}})),
        ),
        (
            json!([{"op": "move", "from": "/a/b/0", "path": "/f"}]),
            Some(json!({"a": {"b": [2, 3], "c": null}, "d/e": "x", "f": 1})),
        ),
        (
            json!([{"op": "copy", "from": "/nothing", "path": "/f"}]),
            Some(json!({"a": {"b": [1, 2, 3], "c": null}, "d/e": "x", "f": null})),
        ),
        (
            json!([{"op": "test", "path": "/a/c"}, {"op": "test", "path": "/a/b", "value": [1, 2, 3]}]),
            Some(object.clone()),
        ),
        (json!(null), Some(object.clone())),
        (json!([{"op": "test", "path": "/a/b/0", "value": 2}]), None),
        (json!([{"op": "remove", "path": "/nothing"}]), None),
        (json!([{"op": "replace", "path": "/a/b/3", "value": 1}]), None),
        (json!([{"op": "add", "path": "/a/b/5", "value": 1}]), None),
        (json!([{"op": "add", "path": "/x/y", "value": 1}]), None),
        (json!([{"op": "add", "path": "", "value": 1}]), None),
        (json!([{"op": "increase", "path": "/a"}]), None),
        (json!([{"path": "/a"}]), None),
    ] {
        match (json(&object, &operations), expected) {
            (Ok(patched), Some(expected)) => assert_eq!(patched, expected, "{operations}"),
            (Err(error), None) => {
                assert_eq!(error.code(), 422, "{operations}");
                assert_eq!(error.reason(), "Invalid");
                assert_eq!(
                    error.to_string(),
                    "the server rejected our request due to an error in our request"
                );
            }
            (outcome, expected) => panic!("{operations}: {outcome:?}, not {expected:?}"),
        }
    }
}

#[test]
fn json_patches_are_limited() {
    let operation = json!({"op": "add", "path": "/a", "value": {}});
    let many = Value::Array(vec![operation; LIMITS.operations + 1]);
    let error = json(&json!({}), &many).expect_err("too many");
    assert_eq!((error.code(), error.reason()), (413, "RequestEntityTooLarge"));
    assert_eq!(
        error.to_string(),
        "Request entity too large: The allowed maximum operations in a JSON patch is 10000, got 10001"
    );
    let doubling = json!({"op": "copy", "from": "/a", "path": "/a/-"});
    let error = json(&json!({"a": [1]}), &Value::Array(vec![doubling; 200])).expect_err("too much");
    assert_eq!(error.code(), 422);
    let error = json(&json!({}), &json!({})).expect_err("no list");
    assert_eq!(
        error.to_string(),
        "error decoding patch: json: cannot unmarshal object into Go value of type []handlers.jsonPatchOp"
    );
    let unknown = json!([{"op": "test", "path": "/a"}, {"op": "test", "path": "/a", "extra": 1}]);
    assert_eq!(json_unknown_fields(&unknown), [r#"json patch unknown field "[1].extra""#]);
}

#[test]
fn merge_patches_remove_by_null_and_replace_lists() {
    for (object, patch, expected) in [
        (json!({"a": 1, "b": {"c": 2}}), json!({"a": null, "b": {"d": 3}}), json!({"b": {"c": 2, "d": 3}})),
        (json!({"a": [1, 2]}), json!({"a": [3]}), json!({"a": [3]})),
        (json!({"a": "x"}), json!({"a": {"b": null, "c": 1}}), json!({"a": {"c": 1}})),
        (json!({}), json!({"a": [{"b": null}, null]}), json!({"a": [{}, null]})),
    ] {
        assert_eq!(merge(&object, &patch), Ok(expected), "{patch}");
    }
    let error = merge(&json!({}), &json!([])).expect_err("no object");
    assert_eq!((error.code(), error.reason()), (400, "BadRequest"));
    assert_eq!(merge(&json!({}), &json!(null)), Err(PatchError::BadRequest("Invalid JSON Patch".to_owned())));
}

fn service() -> Types {
    Types::of_built_in("v1", "Service").expect("a built-in kind")
}

#[test]
fn strategic_patches_merge_lists_by_their_keys() {
    let object = json!({
        "metadata": {"finalizers": ["a", "b"]},
        "spec": {"ports": [{"port": 80, "name": "web"}, {"port": 443}], "externalIPs": ["1.1.1.1"]},
    });
    for (patch, expected) in [
        (
            json!({"spec": {"ports": [{"port": 53}, {"port": 443, "name": "tls"}]}}),
            json!([{"port": 53}, {"port": 80, "name": "web"}, {"port": 443, "name": "tls"}]),
        ),
        (json!({"spec": {"ports": [{"port": 80, "$patch": "delete"}]}}), json!([{"port": 443}])),
        (json!({"spec": {"ports": [{"port": 1}, {"$patch": "replace"}]}}), json!([{"port": 1}])),
        (
            json!({"spec": {"$setElementOrder/ports": [{"port": 443}, {"port": 80}]}}),
            json!([{"port": 443}, {"port": 80, "name": "web"}]),
        ),
        (json!({"spec": {"$retainKeys": ["type"]}}), json!(null)),
        (json!({"spec": {"$patch": "replace", "type": "x"}}), json!(null)),
        (json!({"spec": {"ports": null}}), json!(null)),
    ] {
        let patched = strategic(&object, &patch, &service()).expect("it fits");
        assert_eq!(patched["spec"]["ports"], expected, "{patch}");
    }
    for (patch, finalizers) in [
        (json!({"metadata": {"finalizers": ["c", "a"]}}), json!(["c", "a", "b"])),
        (json!({"metadata": {"$deleteFromPrimitiveList/finalizers": ["a"]}}), json!(["b"])),
        (json!({"spec": {"externalIPs": ["2.2.2.2"]}}), json!(["a", "b"])),
    ] {
        let patched = strategic(&object, &patch, &service()).expect("it fits");
        assert_eq!(patched["metadata"]["finalizers"], finalizers, "{patch}");
    }
}

#[test]
fn strategic_patches_are_refused_in_the_servers_words() {
    let object =
        json!({"metadata": {"labels": {"a": "b"}}, "spec": {"ports": [{"port": 80}], "selector": {"a": {}}}});
    for (patch, code, text) in [
        (
            json!({"spec": {"ports": [{"name": "x"}]}}),
            500,
            "map: map[name:x] does not contain declared merge key: port",
        ),
        (
            json!({"spec": {"$patch": "sing", "type": "x"}}),
            500,
            "unknown patch type: sing in map: map[$patch:sing type:x]",
        ),
        (
            json!({"spec": {"$retainKeys": ["type"], "clusterIP": "x"}}),
            400,
            "invalid patch format of retainKeys",
        ),
        (
            json!({"spec": {"$setElementOrder/ports": [{"port": 1}], "ports": [{"port": 2}]}}),
            500,
            "The order in patch list:\n[map[port:2]]\n doesn't match $setElementOrder list:\n[map[port:1]]\n",
        ),
        (
            json!({"spec": {"selector": {"a": {}}}}),
            500,
            "merging an object in json but data type is not struct, instead is: map",
        ),
        (json!([]), 400, "json: cannot unmarshal array into Go value of type map[string]interface {}"),
    ] {
        let error = strategic(&object, &patch, &service()).expect_err("it does not fit");
        assert_eq!((error.code(), error.detail()), (code, text), "{patch}");
    }
    let unknown = strategic(&json!({"spec": {"x": {}}}), &json!({"spec": {"x": {}}}), &service());
    assert_eq!(
        unknown.expect_err("no such field").detail(),
        "unable to find api field in struct ServiceSpec for the json field \"x\""
    );
}
