//! What clients from the network meet when they ask for too much, and what others notice of it.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::http::{HeaderMap, Request, StatusCode};
use bytes::Bytes;
use futures_util::{FutureExt, StreamExt, stream};
use tower::ServiceExt;

use super::{LIMITS, Options, Server};
use crate::auth::{COMPONENTS, Mode, Security, StaticTokens};
use crate::store::MemoryStore;

const SERVICES: &str = "/api/v1/namespaces/default/services";

async fn server() -> Arc<Server> {
    let users = format!("ours,component,1,\"{COMPONENTS}\"\ngreedy,greedy,2\nmodest,modest,3\n");
    let static_tokens = StaticTokens::parse(&users).unwrap();
    // Nobody but a component may do anything without roles, so everybody may do everything here.
    let security = Security { mode: Mode::AlwaysAllow, static_tokens, ..Security::default() };
    Server::open_with(Arc::new(MemoryStore::new()), Options { security, ..Options::default() }).await.unwrap()
}

fn request(token: &str, uri: &str, body: Body) -> Request<Body> {
    let method = if body_is_empty(&body) { "GET" } else { "POST" };
    let request = Request::builder().method(method).uri(uri).header("content-type", "application/json");
    request.header("authorization", format!("Bearer {token}")).body(body).unwrap()
}

fn body_is_empty(body: &Body) -> bool {
    axum::body::HttpBody::is_end_stream(body)
}

async fn ask(server: &Arc<Server>, request: Request<Body>) -> (StatusCode, HeaderMap, String) {
    let response = server.secured().oneshot(request).await.unwrap();
    let (parts, body) = response.into_parts();
    let bytes = axum::body::to_bytes(body, 1 << 24).await.unwrap();
    (parts.status, parts.headers, String::from_utf8(bytes.to_vec()).unwrap())
}

async fn metric(server: &Arc<Server>, name: &str) -> u64 {
    let (code, _, text) = ask(server, request("ours", "/metrics", Body::empty())).await;
    assert_eq!(code, 200);
    let value = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')).unwrap();
    value.parse().unwrap()
}

/// A body that never ends.
fn endless() -> Body {
    let first = stream::once(async { Ok::<_, Infallible>(Bytes::from_static(b"{")) });
    Body::from_stream(first.chain(stream::pending()))
}

#[tokio::test]
async fn what_is_too_long_is_refused_and_counted() {
    let server = server().await;
    let reached = async |limit: &str| {
        metric(&server, &format!("apiserver_limit_reached_total{{limit=\"{limit}\"}}")).await
    };
    let before = reached("url_bytes").await;
    let (code, ..) =
        ask(&server, request("modest", &format!("/{}", "x".repeat(LIMITS.url_bytes)), Body::empty())).await;
    assert_eq!(code, 414);
    assert!(reached("url_bytes").await > before);
    let before = reached("body_bytes").await;
    let (code, _, text) =
        ask(&server, request("modest", SERVICES, Body::from(vec![b' '; LIMITS.body_bytes + 1]))).await;
    assert!(code == 413 && text.contains("Request entity too large: limit is 3145728"), "{text}");
    assert!(reached("body_bytes").await > before);
}

#[tokio::test]
async fn whoever_asks_inside_the_process_is_held_to_the_limits_and_counted() {
    let server = server().await;
    let inside = async |request: Request<Body>| server.router().oneshot(request).await.unwrap().status();
    for (request, expected) in [
        (request("", SERVICES, Body::empty()), 200),
        (request("", SERVICES, Body::from(vec![b' '; LIMITS.body_bytes + 1])), 413),
        (request("", &format!("/{}", "x".repeat(LIMITS.url_bytes)), Body::empty()), 414),
        (request("", "/metrics", Body::empty()), 200),
    ] {
        assert_eq!(inside(request).await, expected);
    }
    let listed =
        r#"apiserver_request_total{verb="LIST",group="",resource="services",subresource="",code="200"} 1"#;
    let (_, _, text) = ask(&server, request("ours", "/metrics", Body::empty())).await;
    assert!(text.lines().any(|line| line == listed), "{text}");
    let watch = request("", &format!("{SERVICES}?watch=true"), Body::empty());
    let watching = server.router().oneshot(watch).await.unwrap();
    assert_eq!(metric(&server, "apiserver_watches").await, 1);
    drop(watching);
    assert_eq!(metric(&server, "apiserver_watches").await, 0);
}

#[tokio::test(start_paused = true)]
async fn a_body_that_does_not_end_is_given_up_on() {
    let server = server().await;
    let (code, _, text) = ask(&server, request("modest", SERVICES, endless())).await;
    let expected = "Timeout: request did not complete within the allotted timeout";
    assert!(code == 504 && text.contains(expected), "{text}");
}

#[tokio::test]
async fn a_body_that_breaks_off_is_not_taken_for_a_whole_one() {
    let server = server().await;
    let whole = r#"{"metadata": {"name": "a"}}"#;
    let chunks = [Ok(Bytes::from(whole)), Err(std::io::Error::other("gone"))];
    let path = "/api/v1/namespaces/default/configmaps";
    let (code, ..) = ask(&server, request("modest", path, Body::from_stream(stream::iter(chunks)))).await;
    assert_eq!(code, 400);
    assert_eq!(ask(&server, request("modest", &format!("{path}/a"), Body::empty())).await.0, 404);
}

#[tokio::test]
async fn one_user_sends_so_many_bodies_and_no_more() {
    let server = server().await;
    let mut sending = Vec::new();
    for _ in 0..LIMITS.bodies_per_user {
        let mut answer = Box::pin(server.secured().oneshot(request("greedy", SERVICES, endless())));
        assert!(answer.as_mut().now_or_never().is_none());
        sending.push(answer);
    }
    let (code, headers, text) = ask(&server, request("greedy", SERVICES, endless())).await;
    assert_eq!(
        (code, text.as_str()),
        (StatusCode::TOO_MANY_REQUESTS, "Too many requests, please try again later.\n")
    );
    assert_eq!(headers["retry-after"], "1");
    assert_eq!(ask(&server, request("modest", SERVICES, Body::empty())).await.0, 200);
    drop(sending);
    assert_eq!(ask(&server, request("greedy", SERVICES, Body::empty())).await.0, 200);
}

#[tokio::test]
async fn lists_in_a_loop_keep_others_waiting_and_no_component() {
    let server = server().await;
    // All seats for lists are taken, as by lists that go on for long.
    let mut taken = Vec::new();
    let seats = server.traffic.heavy.clone();
    while let Some(Ok(seat)) = seats.take(&format!("user-{}", taken.len())).now_or_never() {
        taken.push(seat);
    }
    let mut waiting = Box::pin(ask(&server, request("modest", SERVICES, Body::empty())));
    assert!(waiting.as_mut().now_or_never().is_none());
    let greedy: Vec<_> = (0..LIMITS.heavy.waiting_per_user)
        .map(|_| {
            let mut asked = Box::pin(ask(&server, request("greedy", SERVICES, Body::empty())));
            assert!(asked.as_mut().now_or_never().is_none());
            asked
        })
        .collect();
    assert_eq!(ask(&server, request("greedy", SERVICES, Body::empty())).await.0, 429);
    for token in ["ours", "greedy"] {
        let one = format!("{SERVICES}/a");
        assert_eq!(
            ask(&server, request(token, &one, Body::empty())).await.0,
            404,
            "a get has a seat of its own"
        );
    }
    assert_eq!(
        ask(&server, request("ours", SERVICES, Body::empty())).await.0,
        200,
        "a component waits for nobody"
    );
    // Nobody here works on them, so they would keep the seat that they get.
    drop(greedy);
    drop(taken);
    assert_eq!(waiting.await.0, 200);
    assert_eq!(seats.counts(), (0, 0));
}

#[tokio::test]
async fn a_watch_is_counted_as_long_as_it_is_open() {
    let server = server().await;
    let uri = format!("{SERVICES}?watch=1");
    let watch = server.secured().oneshot(request("modest", &uri, Body::empty())).await.unwrap();
    assert_eq!(watch.status(), 200);
    assert_eq!(metric(&server, "apiserver_watches").await, 1);
    assert_eq!(server.traffic.heavy.counts(), (0, 0), "it has its seat only while it begins");
    drop(watch);
    assert_eq!(metric(&server, "apiserver_watches").await, 0);
    let name =
        r#"apiserver_request_total{verb="WATCH",group="",resource="services",subresource="",code="200"}"#;
    assert_eq!(metric(&server, name).await, 1);
}

#[tokio::test(start_paused = true)]
async fn nobody_waits_for_a_seat_without_end() {
    let server = server().await;
    let mut taken = Vec::new();
    while let Some(Ok(seat)) = server.traffic.heavy.take(&format!("user-{}", taken.len())).now_or_never() {
        taken.push(seat);
    }
    let began = tokio::time::Instant::now();
    assert_eq!(ask(&server, request("modest", SERVICES, Body::empty())).await.0, 429);
    assert!(
        began.elapsed() >= LIMITS.waiting_time
            && began.elapsed() < LIMITS.waiting_time + Duration::from_secs(1)
    );
}
