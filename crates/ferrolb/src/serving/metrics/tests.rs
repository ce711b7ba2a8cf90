use std::sync::atomic::{AtomicUsize, Ordering};

use axum::body::Body;
use http::Request;
use prometheus::IntCounter;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tower::ServiceExt;

use super::super::test_client::ask;
use super::super::{Identity, TlsOptions, serve_tls};
use super::*;

/// An API server that knows the tokens `good` and `poor`, and counts how often it is asked.
fn reviewer(asked: &Arc<AtomicUsize>) -> Client {
    let asked = Arc::clone(asked);
    let answer = move |uri: Uri, body: axum::body::Bytes| {
        asked.fetch_add(1, Ordering::SeqCst);
        let mut review: Value = serde_json::from_slice(&body).unwrap();
        let token = review["spec"]["token"].as_str().unwrap_or_default().to_owned();
        let status = match (uri.path(), token.as_str()) {
            (_, "broken") => None,
            ("/apis/authentication.k8s.io/v1/tokenreviews", "good" | "poor") => {
                Some(json!({"authenticated": true, "user": {"username": token, "uid": "u", "groups": ["g"]}}))
            }
            ("/apis/authentication.k8s.io/v1/tokenreviews", _) => {
                Some(json!({"authenticated": false, "error": "nobody's"}))
            }
            ("/apis/authorization.k8s.io/v1/subjectaccessreviews", _) => {
                let spec = &review["spec"];
                assert_eq!(spec["nonResourceAttributes"], json!({"path": "/metrics", "verb": "get"}));
                assert_eq!((&spec["groups"], &spec["uid"]), (&json!(["g"]), &json!("u")));
                Some(json!({"allowed": spec["user"] == "good"}))
            }
            other => panic!("{other:?}"),
        };
        async move {
            match status {
                Some(status) => {
                    review["status"] = status;
                    (StatusCode::CREATED, review.to_string())
                }
                None => (StatusCode::INTERNAL_SERVER_ERROR, "no".to_owned()),
            }
        }
    };
    Client::new(Router::new().fallback(answer), "default")
}

fn registry() -> Registry {
    let registry = Registry::new();
    let counter = IntCounter::new("metallb_k8s_client_updates_total", "Number of updates.").unwrap();
    registry.register(Box::new(counter)).unwrap();
    registry
}

async fn get(router: &Router, token: Option<&str>) -> (u16, String) {
    let mut request = Request::get("/metrics");
    if let Some(token) = token {
        request = request.header("authorization", token);
    }
    let response = router.clone().oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
    let code = response.status().as_u16();
    let body = axum::body::to_bytes(response.into_body(), usize::MAX).await.unwrap();
    (code, String::from_utf8(body.to_vec()).unwrap())
}

#[tokio::test]
async fn those_who_may_see_it_do() {
    let router = router(registry(), reviewer(&Arc::default()));
    for (token, code, text) in [
        (Some("Bearer good"), 200, "\nmetallb_k8s_client_updates_total 0\n"),
        (Some("bearer  good "), 200, "# HELP metallb_k8s_client_updates_total Number of updates.\n"),
        (Some("Bearer poor"), 403, "Authorization denied for user poor\n"),
        (Some("Bearer nobody"), 401, "Unauthorized\n"),
        (Some("Bearer broken"), 500, "Authentication failed\n"),
        (Some("Basic good"), 401, "Unauthorized\n"),
        (Some("good"), 401, "Unauthorized\n"),
        (None, 401, "Unauthorized\n"),
    ] {
        let (found, body) = get(&router, token).await;
        assert!(found == code && body.contains(text), "{token:?}: {found} {body}");
    }
}

#[tokio::test(start_paused = true)]
async fn the_api_server_is_not_asked_for_every_scrape() {
    use std::time::Duration;
    let asked = Arc::new(AtomicUsize::new(0));
    let router = router(registry(), reviewer(&asked));
    let times = |seconds, token: &'static str, expected| {
        let (router, asked) = (router.clone(), Arc::clone(&asked));
        async move {
            tokio::time::advance(Duration::from_secs(seconds)).await;
            get(&router, Some(token)).await;
            assert_eq!(asked.load(Ordering::SeqCst), expected, "{token} after {seconds} s more");
        }
    };
    times(0, "Bearer good", 2).await;
    times(59, "Bearer good", 2).await;
    times(2, "Bearer good", 3).await; // the token again, not the decision
    times(0, "Bearer poor", 5).await;
    times(29, "Bearer poor", 5).await;
    times(2, "Bearer poor", 6).await; // the decision again, not the token
    times(0, "Bearer nobody", 7).await;
    times(0, "Bearer nobody", 7).await;
}

#[tokio::test]
async fn it_is_served_over_tls_and_the_certificate_may_change() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (stop, stopped) = oneshot::channel::<()>();
    let router = router(registry(), reviewer(&Arc::default()));
    let identity = Identity::self_signed().unwrap();
    let replaced = Arc::clone(&identity);
    let server = tokio::spawn(async move {
        let stopped = async {
            let _ = stopped.await;
        };
        serve_tls(listener, &TlsOptions::default(), &identity, false, router, stopped).await.unwrap();
    });
    let good = [("authorization", "Bearer good")];
    let answer = ask(address, "localhost", "GET", "/metrics", &good, b"").await;
    assert_eq!(answer.protocol.as_deref(), Some(&b"http/1.1"[..]), "though the client offers h2");
    assert!(
        answer.code == 200 && answer.body.contains("metallb_k8s_client_updates_total 0"),
        "{}",
        answer.body
    );

    let key = rcgen::KeyPair::generate().unwrap();
    let other =
        rcgen::CertificateParams::new(vec!["localhost".to_owned()]).unwrap().self_signed(&key).unwrap();
    replaced.replace(other.pem().as_bytes(), key.serialize_pem().as_bytes()).unwrap();
    let elsewhere = ask(address, "localhost", "GET", "/", &good, b"").await;
    assert_eq!(elsewhere.code, 404);
    assert!(elsewhere.certificate == *other.der() && answer.certificate != elsewhere.certificate);
    stop.send(()).unwrap();
    server.await.unwrap();
}
