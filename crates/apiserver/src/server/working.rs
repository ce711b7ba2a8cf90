//! A request is worked on apart from whoever waits for its answer: a change that has begun is made to its end, and a
//! panic is an answer like others.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use axum::extract::Request;
use axum::http::Method;
use axum::response::Response;
use futures_util::FutureExt;

use super::Server;
use crate::status::{Reason, Refusal};

/// For the whole process, as metrics are.
static PANICS: AtomicU64 = AtomicU64::new(0);

impl Server {
    /// Answers a request. What is held is let go when the work on it is over, which may be after the client is gone.
    pub(super) async fn work_on(
        self: &Arc<Server>,
        request: Request,
        held: impl Send + 'static,
    ) -> Result<Response, Refusal> {
        let is_read = matches!(*request.method(), Method::GET | Method::HEAD | Method::OPTIONS);
        let server = Arc::clone(self);
        let work = async move {
            let _held = held;
            let what = format!("{} {}", request.method(), request.uri().path());
            // What is shared is behind locks, whose users leave it whole between two statements that can panic.
            AssertUnwindSafe(server.answer(request)).catch_unwind().await.unwrap_or_else(|_| {
                PANICS.fetch_add(1, Ordering::Relaxed);
                tracing::error!("a request caused a panic: {what}");
                let message = "This request caused apiserver to panic. Look in the logs for details.";
                Err(Refusal::new(500, Reason::InternalError, message))
            })
        };
        if is_read {
            return work.await;
        }
        // A future that is dropped between a reservation and its commit would undo the one and not the other.
        tokio::spawn(work).await.unwrap_or_else(|error| Err(Refusal::internal(&error.to_string())))
    }
}

/// How many requests caused a panic since the process began.
pub(super) fn panics() -> u64 {
    PANICS.load(Ordering::Relaxed)
}
