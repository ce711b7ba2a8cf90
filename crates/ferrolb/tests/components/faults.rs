//! A bad way to the API server: what a client meets when the server, the network or somebody else is in trouble.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use axum::Router;
use bytes::Bytes;
use futures_util::StreamExt;
use http::{Method, Request, Response, StatusCode};
use http_body_util::BodyExt;
use kube::Client;
use kube::client::Body;
use tower::{BoxError, ServiceExt};

/// What goes wrong from now on. Everything may at once.
#[derive(Debug, Default)]
pub(crate) struct Faults {
    /// There is no server.
    pub(crate) is_away: AtomicBool,
    /// Every write is answered with this code, if it is not zero.
    pub(crate) writes_fail_with: AtomicUsize,
    /// The first try to write each thing meets a change by somebody else.
    pub(crate) first_tries_conflict: AtomicBool,
    pub(crate) delay_ms: AtomicU64,
    /// Watches end after so many bytes, in the middle of an event, if it is not zero.
    pub(crate) watches_end_after_bytes: AtomicUsize,
    /// Watches are told that their history is gone.
    pub(crate) history_is_gone: AtomicBool,
    /// Each piece of a watch comes twice.
    pub(crate) watches_stutter: AtomicBool,
    pub(crate) writes: AtomicUsize,
    /// Method and path of each write, in order.
    pub(crate) written: std::sync::Mutex<Vec<String>>,
    conflicted: std::sync::Mutex<std::collections::HashSet<String>>,
}

/// A client that reaches the server by this way.
pub(crate) fn client(router: &Router, faults: &Arc<Faults>) -> Client {
    let (router, faults) = (router.clone(), Arc::clone(faults));
    let service = tower::service_fn(move |request| call(router.clone(), Arc::clone(&faults), request));
    Client::new(service, "default")
}

async fn call(
    router: Router,
    faults: Arc<Faults>,
    request: Request<Body>,
) -> Result<Response<axum::body::Body>, BoxError> {
    let delay = faults.delay_ms.load(Ordering::Relaxed);
    if delay > 0 {
        tokio::time::sleep(Duration::from_millis(delay)).await;
    }
    if faults.is_away.load(Ordering::Relaxed) {
        return Err("connection refused".into());
    }
    let is_watch = request.uri().query().is_some_and(|query| query.contains("watch=true"));
    if is_watch && faults.history_is_gone.load(Ordering::Relaxed) {
        return Ok(refusal(410, "Expired", "too old resource version"));
    }
    let path = request.uri().path().to_owned();
    if *request.method() != Method::GET {
        faults.writes.fetch_add(1, Ordering::Relaxed);
        faults.written.lock().unwrap().push(format!("{} {path}", request.method()));
        let code = faults.writes_fail_with.load(Ordering::Relaxed);
        if code > 0 {
            return Ok(refusal(u16::try_from(code)?, "InternalError", "no"));
        }
        let is_first = || faults.conflicted.lock().unwrap().insert(path.clone());
        if *request.method() == Method::PUT
            && faults.first_tries_conflict.load(Ordering::Relaxed)
            && is_first()
        {
            return Ok(refusal(409, "Conflict", "the object has been modified"));
        }
    }
    let request = request.map(axum::body::Body::new);
    let response = router.oneshot(request).await.unwrap_or_else(|never: Infallible| match never {});
    if !is_watch || response.status() != StatusCode::OK {
        return Ok(response);
    }
    let (parts, body) = response.into_parts();
    let limit = faults.watches_end_after_bytes.load(Ordering::Relaxed);
    let left = if limit == 0 { usize::MAX } else { limit };
    let stutters = faults.watches_stutter.load(Ordering::Relaxed);
    let until_away = async move {
        while !faults.is_away.load(Ordering::Relaxed) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    let pieces = Box::pin(body.into_data_stream().take_until(until_away));
    let pieces = futures_util::stream::unfold((pieces, left), move |(mut pieces, left)| async move {
        if left == 0 {
            return None;
        }
        let piece: Bytes = pieces.next().await?.ok()?;
        let sent = piece.slice(..piece.len().min(left));
        let left = left - sent.len();
        let sent = if stutters { [sent.clone(), sent].concat().into() } else { sent };
        Some((Ok::<Bytes, Infallible>(sent), (pieces, left)))
    });
    Ok(Response::from_parts(parts, axum::body::Body::from_stream(pieces)))
}

fn refusal(code: u16, reason: &str, message: &str) -> Response<axum::body::Body> {
    let status = serde_json::json!({
        "kind": "Status", "apiVersion": "v1", "status": "Failure",
        "code": code, "reason": reason, "message": message,
    });
    let body =
        axum::body::Body::new(http_body_util::Full::from(status.to_string()).map_err(|never| match never {}));
    let mut response = Response::new(body);
    *response.status_mut() = StatusCode::from_u16(code).unwrap();
    response
}
