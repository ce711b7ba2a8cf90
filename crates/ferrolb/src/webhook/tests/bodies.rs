//! Whatever is sent, there is an answer.

use axum::Router;
use axum::body::Body;
use http::{Request, StatusCode};
use kube::Client;
use serde_json::{Value, json};
use tower::ServiceExt;

use super::NAMESPACE;
use crate::webhook::router;

const POOL: &str = "/validate-metallb-io-v1beta1-ipaddresspool";
const PEER: &str = "/validate-metallb-io-v1beta2-bgppeer";

/// Webhooks of an API server that refuses everything.
fn webhooks() -> Router {
    let status = json!({
        "apiVersion": "v1", "kind": "Status", "status": "Failure", "code": 403, "reason": "Forbidden", "message": "no",
    });
    let refuses = Router::new().fallback(move || {
        let status = status.clone();
        async move { (StatusCode::FORBIDDEN, status.to_string()) }
    });
    router(Client::new(refuses, "default"), NAMESPACE)
}

async fn post(path: &str, media: &str, body: impl Into<Body>) -> (u16, String) {
    let request = Request::post(path).header("content-type", media).body(body.into()).unwrap();
    let response = webhooks().oneshot(request).await.unwrap();
    let code = response.status().as_u16();
    let body = axum::body::to_bytes(response.into_body(), usize::MAX).await.unwrap();
    (code, String::from_utf8(body.to_vec()).unwrap())
}

fn review(kind: &str, operation: &str, object: &Value) -> String {
    let kind = json!({"group": "metallb.io", "version": "v1beta1", "kind": kind});
    let request =
        json!({"uid": "7", "operation": operation, "kind": kind, "object": object, "oldObject": null});
    json!({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": request}).to_string()
}

#[tokio::test]
async fn what_is_no_review_is_a_bad_request() {
    let json = "application/json";
    let other = review("BGPPeer", "CREATE", &json!({}));
    let deep = "[".repeat(100_000);
    let long = vec![b' '; (7 << 20) + 1];
    for (case, path, media, body, code, text) in [
        ("nothing", POOL, json, Vec::new(), 400, "not JSON"),
        ("no JSON", POOL, json, b"x".to_vec(), 400, "not JSON"),
        ("half", POOL, json, other.as_bytes()[..40].to_vec(), 400, "not JSON"),
        ("deep", POOL, json, deep.into_bytes(), 400, "not JSON"),
        ("no text", POOL, json, vec![0xff, 0xfe], 400, "not JSON"),
        (
            "another media type",
            POOL,
            "text/plain",
            b"{}".to_vec(),
            400,
            "contentType=text/plain, expected application/json",
        ),
        ("no review", POOL, json, b"{}".to_vec(), 400, "not an AdmissionReview"),
        ("a list", POOL, json, b"[]".to_vec(), 400, "not an AdmissionReview"),
        ("another kind", POOL, json, other.clone().into_bytes(), 400, "the request is about BGPPeer"),
        ("too long", POOL, json, long.clone(), 413, "request entity is too large; limit is 7340032 bytes"),
        ("no conversion", "/convert", json, b"{}".to_vec(), 400, "not a ConversionReview"),
        ("another path", "/validate", json, b"{}".to_vec(), 404, ""),
    ] {
        let (found, body) = post(path, media, body).await;
        assert!(found == code && body.contains(text), "{case}: {found} {body}");
    }
    let (code, _) = post("/convert", json, long).await;
    assert_eq!(code, 400, "lists of peers may be longer");
    let get = Request::get(POOL).body(Body::empty()).unwrap();
    assert_eq!(webhooks().oneshot(get).await.unwrap().status(), 405);
    let health = Request::get("/healthz").body(Body::empty()).unwrap();
    assert_eq!(webhooks().oneshot(health).await.unwrap().status(), 200);
}

#[tokio::test]
async fn an_api_server_that_says_nothing_lets_nothing_in() {
    let named = json!({"metadata": {"name": "a", "namespace": NAMESPACE}});
    for (path, review, text) in [
        (POOL, review("IPAddressPool", "CREATE", &named), "no\nfailed to get existing IPAddressPool objects"),
        (PEER, review("BGPPeer", "UPDATE", &named), "failed to get existing BGPPeer objects: no"),
    ] {
        let (code, body) = post(path, "application/json", review).await;
        let answer: Value = serde_json::from_str(&body).unwrap();
        assert_eq!((code, &answer["response"]["allowed"]), (200, &json!(false)));
        assert_eq!(answer["response"]["status"]["message"], text);
    }
    let mut elsewhere = named.clone();
    elsewhere["metadata"]["namespace"] = json!("elsewhere");
    let (_, body) =
        post(POOL, "application/json; charset=utf-8", review("IPAddressPool", "CREATE", &elsewhere)).await;
    assert!(
        body.contains("resource must be created in metallb-system namespace"),
        "it was not even asked: {body}"
    );
}
