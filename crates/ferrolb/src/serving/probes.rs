//! `/healthz` and `/readyz`, as kubelets ask and people look.

use std::collections::BTreeSet;
use std::fmt::Write;
use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::response::Response;
use http::{StatusCode, Uri};
use plan::quote::quoted;
use tokio::sync::watch;

use super::refusal;

/// A name and whether what it stands for is as it should be, said by whoever knows.
#[derive(Debug, Clone)]
pub struct Check {
    pub name: &'static str,
    pub is_met: watch::Receiver<bool>,
}

impl Check {
    /// That the process is there to answer, which is all that is asked of some.
    pub fn met() -> Check {
        // What was last said stands, though nobody is there any more who could say otherwise.
        Check { name: "readyz", is_met: watch::channel(true).1 }
    }
}

#[derive(Debug)]
struct Checks {
    alive: Vec<Check>,
    ready: Vec<Check>,
}

/// A process that answers is alive. It is ready when all of `ready` is so; `readyz` should be among them.
pub fn router(ready: Vec<Check>) -> Router {
    // What was last said stands, though nobody is there any more who could say otherwise.
    let is_met = watch::channel(true).1;
    let checks = Checks { alive: vec![Check { name: "healthz", is_met }], ready };
    Router::new().fallback(answer).with_state(Arc::new(checks))
}

async fn answer(State(checks): State<Arc<Checks>>, uri: Uri) -> Response {
    let path: Vec<&str> = uri.path().split('/').filter(|part| !part.is_empty()).collect();
    let query = uri.query().unwrap_or_default();
    let of = |name: &str| match name {
        "healthz" => Some(&checks.alive),
        "readyz" => Some(&checks.ready),
        _ => None,
    };
    match path.as_slice() {
        [name] => of(name).map(|checks| all(checks, query)),
        [name, single] => {
            of(name).and_then(|checks| checks.iter().find(|check| check.name == *single)).map(single_check)
        }
        _ => None,
    }
    .unwrap_or_else(|| refusal(StatusCode::NOT_FOUND, "404 page not found"))
}

fn single_check(check: &Check) -> Response {
    if *check.is_met.borrow() {
        text(StatusCode::OK, "ok".to_owned())
    } else {
        refusal(StatusCode::INTERNAL_SERVER_ERROR, "internal server error: not ready")
    }
}

/// The text form that Kubernetes' own components have.
fn all(checks: &[Check], query: &str) -> Response {
    let parameters: Vec<(&str, &str)> =
        query.split('&').map(|pair| pair.split_once('=').unwrap_or((pair, ""))).collect();
    let is_verbose = parameters.iter().any(|(name, _)| *name == "verbose");
    let mut excluded: BTreeSet<&str> =
        parameters.iter().filter(|(name, _)| *name == "exclude").map(|(_, value)| *value).collect();
    let mut sorted: Vec<&Check> = checks.iter().collect();
    sorted.sort_by_key(|check| check.name);
    let (mut lines, mut is_failed) = (String::new(), false);
    for check in sorted {
        let state = if excluded.remove(check.name) {
            "excluded: ok"
        } else if *check.is_met.borrow() {
            "ok"
        } else {
            is_failed = true;
            "failed: reason withheld"
        };
        let sign = if state.starts_with("failed") { '-' } else { '+' };
        let _ = writeln!(lines, "[{sign}]{} {state}", check.name);
    }
    if !excluded.is_empty() {
        let names: Vec<String> = excluded.into_iter().map(quoted).collect();
        let names = names.join(",");
        let _ = writeln!(lines, "warn: some health checks cannot be excluded: no matches for {names}");
    }
    match (is_failed, is_verbose) {
        (true, _) => text(StatusCode::INTERNAL_SERVER_ERROR, lines + "healthz check failed\n"),
        (false, true) => text(StatusCode::OK, lines + "healthz check passed\n"),
        (false, false) => text(StatusCode::OK, "ok".to_owned()),
    }
}

fn text(code: StatusCode, body: String) -> Response {
    let mut response = refusal(code, "");
    *response.body_mut() = body.into();
    response
}

#[cfg(test)]
mod tests {
    use axum::body::Body;
    use http::Request;
    use tower::ServiceExt;

    use super::*;

    async fn get(router: &Router, path: &str) -> (u16, String) {
        let request = Request::get(path).body(Body::empty()).unwrap();
        let response = router.clone().oneshot(request).await.unwrap();
        let code = response.status().as_u16();
        let body = axum::body::to_bytes(response.into_body(), usize::MAX).await.unwrap();
        (code, String::from_utf8(body.to_vec()).unwrap())
    }

    #[tokio::test]
    async fn a_process_is_ready_when_everything_is() {
        let ((flag, is_ready), (webhook, is_served)) = (watch::channel(false), watch::channel(true));
        let router = router(vec![
            Check { name: "webhook", is_met: is_served },
            Check { name: "readyz", is_met: is_ready },
        ]);
        let failed = "[-]readyz failed: reason withheld\n[+]webhook ok\nhealthz check failed\n";
        for (path, code, text) in [
            ("/healthz", 200, "ok"),
            ("/healthz/", 200, "ok"),
            ("/healthz/healthz", 200, "ok"),
            ("/healthz?verbose", 200, "[+]healthz ok\nhealthz check passed\n"),
            ("/readyz", 500, failed),
            ("/readyz?verbose=1", 500, failed),
            ("/readyz/readyz", 500, "internal server error: not ready\n"),
            ("/readyz/webhook", 200, "ok"),
            ("/readyz?exclude=readyz", 200, "ok"),
            (
                "/readyz?exclude=readyz&exclude=x&verbose",
                200,
                "[+]readyz excluded: ok\n[+]webhook ok\nwarn: some health checks cannot be excluded: no matches for \"x\"\nhealthz check passed\n",
            ),
            ("/readyz/x", 404, "404 page not found\n"),
            ("/livez", 404, "404 page not found\n"),
            ("/", 404, "404 page not found\n"),
        ] {
            assert_eq!(get(&router, path).await, (code, text.to_owned()), "{path}");
        }
        flag.send_replace(true);
        assert_eq!(get(&router, "/readyz").await, (200, "ok".to_owned()));
        webhook.send_replace(false);
        assert_eq!(get(&router, "/readyz").await.0, 500);
    }

    #[tokio::test]
    async fn kubelets_ask_without_encryption() {
        use tokio::io::{AsyncReadExt, AsyncWriteExt};
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, mut stopped) = watch::channel(false);
        let is_met = watch::channel(true).1;
        let server = tokio::spawn(async move {
            let router = router(vec![Check { name: "readyz", is_met }]);
            let stopped = async {
                let _ = stopped.wait_for(|is_over| *is_over).await;
            };
            crate::serving::serve_plain(listener, router, stopped).await;
        });
        let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
        stream.write_all(b"GET /readyz HTTP/1.1\r\nhost: a\r\n\r\n").await.unwrap();
        let mut answer = [0; 15];
        stream.read_exact(&mut answer).await.unwrap();
        assert_eq!(&answer, b"HTTP/1.1 200 OK");
        // The connection is kept for the next question, which must not keep the server.
        stop.send_replace(true);
        server.await.unwrap();
        let mut rest = Vec::new();
        stream.read_to_end(&mut rest).await.unwrap();
        assert!(rest.ends_with(b"\r\n\r\nok"));
    }
}
