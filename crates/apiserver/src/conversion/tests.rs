use serde_json::{Value, json};

use super::*;

fn object(version: &str) -> Value {
    json!({
        "apiVersion": format!("example.com/{version}"), "kind": "Peer",
        "metadata": {"name": "a", "namespace": "n", "uid": "u", "labels": {"x": "y"}, "generation": 3},
        "spec": {"asn": 1},
    })
}

/// What becomes of an answer with this response.
fn answered(response: &Value) -> Result<Vec<Value>, String> {
    let original = object("v1");
    let question = question(&json!(["v7", "v1"]), &[&original], "example.com/v2", "1").expect("v1 is known");
    let review =
        json!({"kind": "ConversionReview", "apiVersion": "apiextensions.k8s.io/v1", "response": response});
    answer(&question, &[&original], review.to_string().as_bytes())
}

fn success(change: impl FnOnce(&mut Value)) -> Value {
    let mut converted = object("v2");
    change(&mut converted);
    json!({"uid": "1", "result": {"status": "Success"}, "convertedObjects": [converted]})
}

#[test]
fn labels_and_annotations_may_change_and_nothing_else_of_the_metadata() {
    let converted = answered(&success(|object| {
        object["metadata"]["generation"] = 9.into();
        object["metadata"]["labels"] = json!({"z": "1"});
        object["spec"] = json!({"as": 1});
    }));
    let mut expected = object("v2");
    expected["metadata"]["labels"] = json!({"z": "1"});
    expected["spec"] = json!({"as": 1});
    assert_eq!(converted, Ok(vec![expected]));
}

#[test]
fn an_answer_that_is_not_to_the_question_is_refused() {
    let webhook = "conversion webhook for example.com/v1, Kind=Peer";
    for (response, expected) in [
        (json!(null), "failed: no response provided"),
        (
            json!({"uid": "2", "result": {"status": "Success"}}),
            "failed: expected response.uid=\"1\", got \"2\"",
        ),
        (json!({"uid": "1", "result": {"status": "Failure", "message": "no"}}), "failed: no"),
        (json!({"uid": "1", "result": {}}), "failed: response.result.status was '', not 'Success'"),
        (json!({"uid": "1", "result": {"status": "Success"}}), "returned 0 objects, expected 1"),
        (
            success(|object| object["apiVersion"] = "example.com/v3".into()),
            "returned invalid object at index 0: invalid groupVersion (expected example.com/v2, received example.com/v3)",
        ),
        (
            success(|object| object["kind"] = "Other".into()),
            "returned invalid object at index 0: invalid kind (expected Peer, received Other)",
        ),
        (
            success(|object| object["metadata"]["name"] = "b".into()),
            "returned invalid object: must have the same name: a != b",
        ),
        (
            success(|object| object["metadata"]["uid"] = "v".into()),
            "returned invalid object: must have the same UID: u != v",
        ),
        (
            success(|object| object["metadata"]["labels"] = json!({"a": 1})),
            "returned invalid metadata: metadata.labels[a] must be a string, but is int64 in converted object",
        ),
        (
            success(|object| object["metadata"]["labels"] = json!([])),
            "returned invalid metadata: invalid metadata.labels of type []interface {} in converted object",
        ),
    ] {
        assert_eq!(answered(&response), Err(format!("{webhook} {expected}")));
    }
}

#[test]
fn a_webhook_that_knows_no_version_of_reviews_is_not_asked() {
    assert_eq!(question(&json!(["v7"]), &[], "example.com/v2", "1"), None);
}
