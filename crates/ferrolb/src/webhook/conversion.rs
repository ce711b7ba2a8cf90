//! Conversion: peers come in, and go out in the version that was asked for, all of them or none.

use api::convert::{Version, bgp_peer};
use axum::body::Body;
use axum::response::Response;
use http::Request;
use serde_json::{Value, json};

use super::body::{self, CONVERSION_BYTES, json};

pub(super) async fn answer(request: Request<Body>) -> Response {
    let (parts, body) = request.into_parts();
    match body::with_json(&parts.headers, body, CONVERSION_BYTES, converted).await {
        Ok(review) => json(&review),
        Err(refusal) => {
            tracing::warn!(code = refusal.status().as_u16(), "no conversion review came in");
            refusal
        }
    }
}

/// The review with its answer. The text says why there can be none.
fn converted(mut review: Value) -> Result<Value, String> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let (api_version, kind) = (text(&review["apiVersion"]), text(&review["kind"]));
    if kind != "ConversionReview" || !api_version.starts_with("apiextensions.k8s.io/") {
        return Err(format!("not a ConversionReview: apiVersion {api_version:?}, kind {kind:?}"));
    }
    let request = review.get_mut("request").map(Value::take).unwrap_or_default();
    let Some(objects) = request["objects"].as_array() else {
        return Err("the ConversionReview has no request with objects".to_owned());
    };
    let wanted = text(&request["desiredAPIVersion"]);
    let outcome = Version::from_api_version(&wanted)
        .ok_or_else(|| format!("{wanted:?} is not a version of BGPPeer"))
        .and_then(|version| {
            let convert = |object| bgp_peer(object, version).map_err(|error| error.to_string());
            objects.iter().map(convert).collect::<Result<Vec<Value>, String>>()
        });
    let (objects, result) = match outcome {
        Ok(objects) => (Value::from(objects), json!({"metadata": {}, "status": "Success"})),
        Err(message) => {
            tracing::warn!("peers were not converted: {message}");
            (Value::Null, json!({"metadata": {}, "status": "Failure", "message": message}))
        }
    };
    let response = json!({"uid": request["uid"], "convertedObjects": objects, "result": result});
    Ok(json!({"kind": kind, "apiVersion": api_version, "response": response}))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn review(request: &Value) -> Value {
        json!({"apiVersion": "apiextensions.k8s.io/v1beta1", "kind": "ConversionReview", "request": request})
    }

    fn old(name: &str, hold_time: &str) -> Value {
        json!({
            "apiVersion": "metallb.io/v1beta1", "kind": "BGPPeer", "metadata": {"name": name},
            "spec": {"myASN": 1, "peerASN": 2, "peerAddress": "10.0.0.1", "holdTime": hold_time},
        })
    }

    #[test]
    fn peers_are_converted_in_their_order() {
        let objects = [old("b", "90s"), old("a", "3s")];
        let request = json!({"uid": "u", "desiredAPIVersion": "metallb.io/v1beta2", "objects": objects});
        let answer = converted(review(&request)).unwrap();
        assert_eq!(
            (&answer["apiVersion"], &answer["kind"]),
            (&json!("apiextensions.k8s.io/v1beta1"), &json!("ConversionReview"))
        );
        let response = &answer["response"];
        assert_eq!((&response["uid"], &response["result"]["status"]), (&json!("u"), &json!("Success")));
        let found: Vec<_> = response["convertedObjects"]
            .as_array()
            .unwrap()
            .iter()
            .map(|it| {
                (
                    it["apiVersion"].as_str().unwrap(),
                    it["metadata"]["name"].as_str().unwrap(),
                    it["spec"]["holdTime"].as_str().unwrap(),
                )
            })
            .collect();
        assert_eq!(found, [("metallb.io/v1beta2", "b", "1m30s"), ("metallb.io/v1beta2", "a", "3s")]);
        assert!(answer.get("request").is_none());
    }

    #[test]
    fn one_that_cannot_be_converted_fails_all() {
        for (request, text) in [
            (
                json!({"uid": "u", "desiredAPIVersion": "metallb.io/v1beta2", "objects": [old("a", "3s"), old("bad", "1d")]}),
                "BGPPeer \"bad\": spec.holdTime: time: unknown unit \"d\" in duration \"1d\"",
            ),
            (
                json!({"uid": "u", "desiredAPIVersion": "metallb.io/v1", "objects": []}),
                "\"metallb.io/v1\" is not a version of BGPPeer",
            ),
        ] {
            let response = converted(review(&request)).unwrap()["response"].take();
            let result = json!({"metadata": {}, "status": "Failure", "message": text});
            assert_eq!(response, json!({"uid": "u", "convertedObjects": null, "result": result}));
        }
    }

    #[test]
    fn what_is_no_review_has_no_answer() {
        for body in [
            json!(1),
            json!({}),
            review(&Value::Null),
            review(&json!({})),
            json!({"kind": "ConversionReview", "request": {"objects": []}}),
        ] {
            assert!(converted(body.clone()).is_err(), "{body}");
        }
    }
}
