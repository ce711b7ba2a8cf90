//! The JSON that a webhook is sent: how much of it, for how long, and what is said of what is not JSON.

use std::sync::LazyLock;
use std::time::Duration;

use axum::body::{Body, to_bytes};
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, StatusCode, header};
use serde_json::Value;
use tokio::sync::Semaphore;
use tokio::time::timeout;

use crate::serving::refusal;

/// Two objects of three megabytes each, and what is said of them.
pub(super) const REVIEW_BYTES: usize = 7 << 20;
/// A list of peers in another version.
pub(super) const CONVERSION_BYTES: usize = 32 << 20;
/// Shorter bodies do not have to wait for room.
const SMALL_BYTES: usize = 64 << 10;
/// How long a client may take to send it, the wait for room included.
const BODY_TIME: Duration = Duration::from_secs(10);

/// Room for longer bodies in kibibytes, whoever sends them.
static ROOM: LazyLock<Semaphore> = LazyLock::new(|| Semaphore::new(CONVERSION_BYTES >> 10));

/// What is in the body, handed to `work` where it may take as long as it takes.
pub(super) async fn with_json<T: Send + 'static>(
    headers: &HeaderMap,
    body: Body,
    bytes_max: usize,
    work: impl FnOnce(Value) -> Result<T, String> + Send + 'static,
) -> Result<T, Response> {
    let length = headers.get(header::CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse().ok());
    let length: usize = length.unwrap_or(bytes_max);
    if length > bytes_max {
        return Err(too_large(bytes_max));
    }
    let read = async {
        let kibibytes = u32::try_from(length >> 10).unwrap_or(u32::MAX);
        let _room = if length > SMALL_BYTES { ROOM.acquire_many(kibibytes).await.ok() } else { None };
        let bytes = to_bytes(body, length).await.map_err(|_| too_large(bytes_max))?;
        // A large body is a long text to read, and a panic must not be the end of a connection without a word.
        let worked = tokio::task::spawn_blocking(move || {
            let value = serde_json::from_slice(&bytes).map_err(|error| format!("not JSON: {error}"))?;
            work(value)
        });
        worked.await.map_err(|error| refusal(StatusCode::INTERNAL_SERVER_ERROR, &error.to_string()))
    };
    match timeout(BODY_TIME, read).await {
        Ok(worked) => worked?.map_err(|problem| refusal(StatusCode::BAD_REQUEST, &problem)),
        Err(_) => Err(refusal(StatusCode::REQUEST_TIMEOUT, "the request did not come to its end in time")),
    }
}

pub(super) fn json(value: &Value) -> Response {
    ([(header::CONTENT_TYPE, "application/json")], value.to_string()).into_response()
}

fn too_large(bytes_max: usize) -> Response {
    let text = format!("request entity is too large; limit is {bytes_max} bytes");
    refusal(StatusCode::PAYLOAD_TOO_LARGE, &text)
}
