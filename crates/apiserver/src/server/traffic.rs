//! Requests from the network while they are here: received, given a seat, worked on, counted.
//!
//! Whoever is trusted is never kept waiting. Of all others nobody gets more than its share, and all of them together
//! leave room for those who are trusted.

use std::collections::HashMap;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use axum::body::{Body, HttpBody};
use axum::http::{HeaderValue, header};
use axum::response::Response;
use bytes::Bytes;
use http_body::{Frame, SizeHint};

use super::limits::{LIMITS, Reached};
use super::metrics::Metrics;
use super::respond;
use super::seats::Seats;
use crate::auth::Attributes;

/// A list of at most so many objects is like a get.
const SHORT_LIST: usize = 500;

#[derive(Debug)]
pub(super) struct Traffic {
    pub(super) metrics: Metrics,
    pub(super) light: Arc<Seats>,
    pub(super) heavy: Arc<Seats>,
    pub(super) reading: Arc<AtomicUsize>,
    pub(super) writing: Arc<AtomicUsize>,
    pub(super) watching: Arc<AtomicUsize>,
    pub(super) untrusted: Arc<AtomicUsize>,
    pub(super) watches: Arc<PerUser>,
    pub(super) bodies: Arc<PerUser>,
}

/// How many of something each user has.
#[derive(Debug, Default)]
pub(super) struct PerUser(Mutex<HashMap<String, usize>>);

/// One of what is counted, no longer when it is dropped.
#[derive(Debug)]
pub(super) struct Counted(Arc<AtomicUsize>);

#[derive(Debug)]
pub(super) struct CountedOf {
    counts: Arc<PerUser>,
    user: String,
}

impl Default for Traffic {
    fn default() -> Traffic {
        let processors = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        let heavy = LIMITS.heavy.for_processors(processors);
        Traffic {
            metrics: Metrics::default(),
            light: Seats::new(LIMITS.light, Reached::SeatsLight),
            heavy: Seats::new(heavy, Reached::SeatsHeavy),
            reading: Arc::default(),
            writing: Arc::default(),
            watching: Arc::default(),
            untrusted: Arc::default(),
            watches: Arc::default(),
            bodies: Arc::default(),
        }
    }
}

impl Traffic {
    pub(super) fn seats(&self, is_heavy: bool) -> &Arc<Seats> {
        if is_heavy { &self.heavy } else { &self.light }
    }

    /// Counts a request for as long as its answer is not sent.
    pub(super) fn entered(&self, wanted: &Attributes) -> Counted {
        Counted::new(match wanted.verb.as_str() {
            "watch" => &self.watching,
            "get" | "list" | "head" | "options" => &self.reading,
            _ => &self.writing,
        })
    }
}

impl Counted {
    pub(super) fn new(count: &Arc<AtomicUsize>) -> Counted {
        count.fetch_add(1, Ordering::Relaxed);
        Counted(Arc::clone(count))
    }

    /// Unless there are so many already.
    pub(super) fn below(count: &Arc<AtomicUsize>, limit: usize) -> Option<Counted> {
        let more = |count: usize| (count < limit).then_some(count + 1);
        count.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more).ok()?;
        Some(Counted(Arc::clone(count)))
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl PerUser {
    /// Unless the user has so many already.
    pub(super) fn below(self: &Arc<PerUser>, user: &str, limit: usize) -> Option<CountedOf> {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let count = counts.entry(user.to_owned()).or_default();
        if *count >= limit {
            return None;
        }
        *count += 1;
        Some(CountedOf { counts: Arc::clone(self), user: user.to_owned() })
    }
}

impl Drop for CountedOf {
    fn drop(&mut self) {
        let mut counts = self.counts.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = counts.get_mut(&self.user) {
            *count -= 1;
            if *count == 0 {
                counts.remove(&self.user);
            }
        }
    }
}

/// Whether a request reads a whole collection: its work grows with what is stored.
pub(super) fn is_heavy(wanted: &Attributes, query: &std::collections::BTreeMap<String, String>) -> bool {
    let has = |name: &str| query.get(name).is_some_and(|value| !value.is_empty());
    let is_filtered = has("labelSelector") || has("fieldSelector");
    let is_short = query
        .get("limit")
        .and_then(|limit| limit.parse::<usize>().ok())
        .is_some_and(|limit| (1..=SHORT_LIST).contains(&limit) && !is_filtered);
    match wanted.verb.as_str() {
        "list" | "deletecollection" => wanted.is_resource && !is_short,
        // It begins with all there is, unless it continues another one.
        "watch" => {
            let since = query.get("resourceVersion").map_or("", String::as_str);
            matches!(since, "" | "0") || query.get("sendInitialEvents").is_some_and(|value| value == "true")
        }
        _ => false,
    }
}

/// 429, in the words of a real server.
pub(super) fn too_many() -> Response {
    let body = Body::from("Too many requests, please try again later.\n");
    let mut response = respond::respond(body, 429, "text/plain; charset=utf-8", &[]);
    response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
    response.headers_mut().insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}

/// Keeps something until the whole answer is sent, or the client is gone.
pub(super) fn guarded<G: Send + Unpin + 'static>(response: Response, guard: G) -> Response {
    response.map(|body| Body::new(Guarded { body, _guard: guard }))
}

struct Guarded<G> {
    body: Body,
    _guard: G,
}

impl<G: Unpin> HttpBody for Guarded<G> {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
