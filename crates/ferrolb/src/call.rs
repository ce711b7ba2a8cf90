//! One request to an API server and its answer, with a limit in time, and with all that a refusal says.

use std::fmt;
use std::time::Duration;

use bytes::Bytes;
use http::header::{CONTENT_TYPE, RETRY_AFTER};
use http::{Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Limited};
use kube::Client;
use kube::client::Body;
use kube::core::Status;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

/// After this nobody knows whether it was done.
const TIMEOUT: Duration = Duration::from_secs(30);
/// The longest answer to a single object.
const ANSWER_BYTES: usize = 8 << 20;

pub(crate) const JSON: &str = "application/json";
pub(crate) const MERGE_PATCH: &str = "application/merge-patch+json";
pub(crate) const APPLY: &str = "application/apply-patch+yaml";

/// Why there is no answer to work with.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) struct Failure {
    /// Nothing if the server did not answer, or not in a way that can be read.
    pub(crate) code: Option<StatusCode>,
    /// As in the status: `NotFound`, `AlreadyExists`, ...
    pub(crate) reason: String,
    pub(crate) message: String,
    /// The server asks to be left alone for so long.
    pub(crate) retry_after: Option<Duration>,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.code {
            Some(code) => write!(f, "{} ({})", self.message, code.as_u16()),
            None => f.write_str(&self.message),
        }
    }
}

impl Failure {
    pub(crate) fn is(&self, code: StatusCode) -> bool {
        self.code == Some(code)
    }

    /// Whether it says something about the server, and nothing about what was asked.
    pub(crate) fn is_of_server(&self) -> bool {
        self.code.is_none_or(|code| matches!(code.as_u16(), 429 | 502 | 503 | 504 | 507))
    }

    pub(crate) fn unanswered(error: impl fmt::Display) -> Failure {
        Failure { code: None, reason: String::new(), message: error.to_string(), retry_after: None }
    }
}

pub(crate) async fn get<T: DeserializeOwned>(client: &Client, path: &str) -> Result<T, Failure> {
    call(client, Method::GET, path, JSON, Vec::new()).await
}

/// Objects in one answer to a list.
const PAGE: usize = 500;

/// All objects of a list, page by page. The path may have a query.
pub(crate) async fn list(client: &Client, path: &str) -> Result<Vec<Value>, Failure> {
    let separator = if path.contains('?') { '&' } else { '?' };
    let first = format!("{path}{separator}limit={PAGE}");
    let (mut next, mut objects) = (first.clone(), Vec::new());
    loop {
        let page: Page = get(client, &next).await?;
        objects.extend(page.items);
        let Some(token) = page.metadata.next.filter(|token| !token.is_empty()) else { return Ok(objects) };
        let token: String = form_urlencoded::byte_serialize(token.as_bytes()).collect();
        next = format!("{first}&continue={token}");
    }
}

#[derive(Deserialize)]
struct Page {
    #[serde(default)]
    metadata: PageMetadata,
    #[serde(default)]
    items: Vec<Value>,
}

#[derive(Default, Deserialize)]
struct PageMetadata {
    #[serde(rename = "continue")]
    next: Option<String>,
}

pub(crate) async fn post<T: DeserializeOwned>(
    client: &Client,
    path: &str,
    body: &Value,
) -> Result<T, Failure> {
    call(client, Method::POST, path, JSON, body.to_string().into_bytes()).await
}

pub(crate) async fn put<T: DeserializeOwned>(
    client: &Client,
    path: &str,
    body: &Value,
) -> Result<T, Failure> {
    call(client, Method::PUT, path, JSON, body.to_string().into_bytes()).await
}

pub(crate) async fn patch<T: DeserializeOwned>(
    client: &Client,
    path: &str,
    content_type: &'static str,
    body: &Value,
) -> Result<T, Failure> {
    call(client, Method::PATCH, path, content_type, body.to_string().into_bytes()).await
}

/// What the server answers with depends on the kind, and is not read.
pub(crate) async fn delete(client: &Client, path: &str) -> Result<(), Failure> {
    call::<serde::de::IgnoredAny>(client, Method::DELETE, path, JSON, Vec::new()).await.map(drop)
}

async fn call<T: DeserializeOwned>(
    client: &Client,
    method: Method,
    path: &str,
    content_type: &'static str,
    body: Vec<u8>,
) -> Result<T, Failure> {
    let answer = async {
        let response = sent(client, method, path, content_type, body).await?;
        let bytes = collected(response.into_body(), ANSWER_BYTES).await?;
        api::decode::from_bytes(&bytes).map_err(Failure::unanswered)
    };
    in_time(answer).await
}

/// An answer that goes on for as long as it likes, once it has begun.
pub(crate) async fn open(client: &Client, path: &str) -> Result<Body, Failure> {
    let answer = sent(client, Method::GET, path, JSON, Vec::new());
    in_time(answer).await.map(Response::into_body)
}

/// An answer as it is, of so many bytes at most.
pub(crate) async fn get_bytes(client: &Client, path: &str, limit: usize) -> Result<Bytes, Failure> {
    in_time(async {
        let response = sent(client, Method::GET, path, JSON, Vec::new()).await?;
        collected(response.into_body(), limit).await
    })
    .await
}

async fn in_time<T>(answer: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    let timed = tokio::time::timeout(TIMEOUT, answer).await;
    timed.unwrap_or_else(|_| Err(Failure::unanswered(format!("no answer in {} s", TIMEOUT.as_secs()))))
}

async fn sent(
    client: &Client,
    method: Method,
    path: &str,
    content_type: &'static str,
    body: Vec<u8>,
) -> Result<Response<Body>, Failure> {
    let request = Request::builder().method(method).uri(path).header(CONTENT_TYPE, content_type);
    let request = request.body(Body::from(body)).map_err(Failure::unanswered)?;
    let response = client.send(request).await.map_err(Failure::unanswered)?;
    if response.status().is_success() { Ok(response) } else { Err(refusal(response).await) }
}

async fn collected(body: Body, limit: usize) -> Result<Bytes, Failure> {
    Ok(Limited::new(body, limit).collect().await.map_err(Failure::unanswered)?.to_bytes())
}

async fn refusal(response: Response<Body>) -> Failure {
    let (parts, body) = response.into_parts();
    let bytes = match collected(body, ANSWER_BYTES).await {
        Ok(bytes) => bytes,
        Err(failure) => return failure,
    };
    // Not every refusal is a status: proxies, and servers in a hurry, answer with text.
    let status: Option<Status> = serde_json::from_slice(&bytes).ok();
    let secs = |header: &http::HeaderValue| header.to_str().ok()?.parse().ok();
    let retry_after = parts.headers.get(RETRY_AFTER).and_then(secs).map(Duration::from_secs);
    let (reason, message) = match status {
        Some(status) if !status.message.is_empty() => (status.reason, status.message),
        _ => (String::new(), String::from_utf8_lossy(&bytes).trim().to_owned()),
    };
    Failure { code: Some(parts.status), reason, message, retry_after }
}
