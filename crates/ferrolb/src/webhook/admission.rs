//! Admission: a review comes in, the lists that it takes to judge it are read, the verdict goes out.

use std::sync::Arc;
use std::time::Duration;

use api::admit::{Kind, List, Review, Verdict, World, judge, judge_alone};
use axum::body::Body;
use axum::extract::State;
use axum::response::Response;
use http::{Request, StatusCode, header};
use kube::Client;
use serde_json::Value;
use tokio::time::{Instant, timeout_at};

use super::ANSWER_TIME;
use super::body::{self, REVIEW_BYTES, json};
use crate::call;
use crate::serving::refusal;

/// What is left of the caller's patience when the lists have been read.
const JUDGING_TIME: Duration = Duration::from_secs(1);

pub(super) struct Judge {
    client: Client,
    namespace: String,
}

impl Judge {
    pub(super) fn new(client: Client, namespace: &str) -> Judge {
        Judge { client, namespace: namespace.to_owned() }
    }

    async fn judge(&self, review: Review) -> (Review, Verdict) {
        let question = &review.question;
        if let Some(verdict) = judge_alone(question, &self.namespace) {
            return (review, verdict);
        }
        let deadline = Instant::now() + ANSWER_TIME - JUDGING_TIME;
        let mut world = World::new(&self.namespace);
        for &list in question.lists() {
            let read = timeout_at(deadline, self.read(list)).await;
            match read.unwrap_or_else(|_| Err("the API server did not answer in time".to_owned())) {
                Ok(objects) => drop(world.lists.insert(list, objects)),
                Err(error) => {
                    let verdict = question.denied_for_want_of(list, &error);
                    return (review, verdict);
                }
            }
        }
        let question = review.question.clone();
        let judged = tokio::task::spawn_blocking(move || judge(&question, &world)).await;
        let verdict = judged.unwrap_or_else(|error| Verdict::denied(error.to_string()));
        (review, verdict)
    }

    /// As it is now, and not as somebody remembers it.
    async fn read(&self, list: List) -> Result<Vec<Value>, String> {
        let (group, version) = list.api_version();
        let root =
            if group.is_empty() { format!("/api/{version}") } else { format!("/apis/{group}/{version}") };
        let place = if list.is_of_one_namespace() {
            format!("/namespaces/{}", self.namespace)
        } else {
            String::new()
        };
        let path = format!("{root}{place}/{}", list.plural());
        call::list(&self.client, &path).await.map_err(|failure| failure.message)
    }
}

pub(super) async fn answer(kind: Kind, State(judge): State<Arc<Judge>>, request: Request<Body>) -> Response {
    let (parts, body) = request.into_parts();
    let media =
        parts.headers.get(header::CONTENT_TYPE).and_then(|media| media.to_str().ok()).unwrap_or_default();
    if media.split(';').next().unwrap_or_default().trim() != "application/json" {
        let text = format!("contentType={media}, expected application/json");
        return refusal(StatusCode::BAD_REQUEST, &text);
    }
    let read = body::with_json(&parts.headers, body, REVIEW_BYTES, move |value| {
        let review = Review::read(value).map_err(|error| error.to_string())?;
        review.check_is_about(kind).map_err(|error| error.to_string())?;
        Ok(review)
    });
    match read.await {
        Ok(review) => {
            let (review, verdict) = judge.judge(review).await;
            if !verdict.allowed {
                let (kind, name) = (kind.name(), &review.question.object["metadata"]["name"]);
                tracing::info!(%kind, %name, "denied: {}", verdict.message);
            }
            json(&review.answer(&verdict))
        }
        Err(refusal) => {
            tracing::warn!(path = kind.path(), code = refusal.status().as_u16(), "no review came in");
            refusal
        }
    }
}
