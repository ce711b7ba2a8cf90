use serde_json::{Value, json};

use super::{pool, world};
use crate::admit::{Kind, Review, Verdict, judge};

fn review(object: &Value) -> Value {
    json!({
        "apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview",
        "request": {
            "uid": "u-1", "operation": "CREATE", "name": "a", "namespace": "metallb-system",
            "kind": {"group": "metallb.io", "version": "v1beta1", "kind": "IPAddressPool"},
            "object": object, "oldObject": null,
        },
    })
}

#[test]
fn an_answer_is_what_a_webhook_of_kubernetes_sends() {
    let allowed = Review::read(review(&pool("a", &["1.1.1.0/24"]))).unwrap();
    let answer = allowed.answer(&judge(&allowed.question, &world(&[])));
    let response = json!({"uid": "u-1", "allowed": true, "status": {"metadata": {}, "code": 200}});
    assert_eq!(
        answer,
        json!({"kind": "AdmissionReview", "apiVersion": "admission.k8s.io/v1", "response": response})
    );

    let denied = Review::read(review(&pool("a", &[]))).unwrap();
    let answer = denied.answer(&judge(&denied.question, &world(&[])));
    let message = "parsing address pool a: pool has no prefixes defined";
    let status = json!({"metadata": {}, "message": message, "reason": "Forbidden", "code": 403});
    assert_eq!(answer["response"], json!({"uid": "u-1", "allowed": false, "status": status}));

    let warned = Verdict { warnings: vec!["w".to_owned()], ..Verdict::allowed() };
    assert_eq!(allowed.answer(&warned)["response"]["warnings"], json!(["w"]));
}

#[test]
fn what_is_no_review_is_told_so() {
    let sound = review(&pool("a", &[]));
    let with = |pointer: &str, value: Value| {
        let mut changed = sound.clone();
        *changed.pointer_mut(pointer).expect("it is there") = value;
        changed
    };
    for (review, text) in [
        (json!(5), "not an AdmissionReview"),
        (json!([]), "not an AdmissionReview"),
        (json!({}), "not an AdmissionReview"),
        (
            with("/apiVersion", json!("v1")),
            "not an AdmissionReview of admission.k8s.io/v1: apiVersion \"v1\"",
        ),
        (with("/kind", json!("Pod")), "kind \"Pod\""),
        (with("/request", Value::Null), "the AdmissionReview has no request"),
        (with("/request", json!("x")), "the AdmissionReview has no request"),
        (with("/request/uid", json!(7)), "has no uid"),
        (with("/request/operation", Value::Null), "has no operation"),
        (with("/request/kind", json!("IPAddressPool")), "has no kind"),
        (
            with("/request/kind/group", json!("apps")),
            "\"IPAddressPool\" of group \"apps\" is not judged here",
        ),
    ] {
        let error = Review::read(review).unwrap_err().to_string();
        assert!(error.contains(text), "{error}");
    }
    let sound = Review::read(sound).unwrap();
    assert_eq!(sound.check_is_about(Kind::IPAddressPool), Ok(()));
    let error = sound.check_is_about(Kind::BGPPeer).unwrap_err().to_string();
    assert_eq!(error, "the request is about IPAddressPool, and what is asked here is about BGPPeer");
}
