//! `/metrics`, for those whom the API server lets see it.

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::routing::any;
use http::{HeaderMap, Method, StatusCode, Uri, header};
use kube::Client;
use prometheus::{Registry, TextEncoder};

use super::refusal;
use super::reviews::Reviews;

#[derive(Debug)]
struct Metrics {
    registry: Registry,
    reviews: Reviews,
}

/// The metrics of a registry. Every caller is authenticated and authorised through `client`.
pub fn router(registry: Registry, client: Client) -> Router {
    let metrics = Metrics { registry, reviews: Reviews::new(client) };
    Router::new().route("/metrics", any(answer)).with_state(Arc::new(metrics))
}

async fn answer(
    State(metrics): State<Arc<Metrics>>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
) -> Response {
    match metrics.reviews.authenticate(bearer_token(&headers)).await {
        Ok(Some(user)) => {
            let verb = method.as_str().to_lowercase();
            match metrics.reviews.authorize(&user, &verb, uri.path()).await {
                Ok(true) => metrics.text(),
                Ok(false) => {
                    let text = format!("Authorization denied for user {}", user.name);
                    refusal(StatusCode::FORBIDDEN, &text)
                }
                Err(error) => {
                    let text = format!("Authorization for user {} failed", user.name);
                    tracing::warn!("{text}: {error}");
                    refusal(StatusCode::INTERNAL_SERVER_ERROR, &text)
                }
            }
        }
        Ok(None) => refusal(StatusCode::UNAUTHORIZED, "Unauthorized"),
        Err(error) => {
            tracing::warn!("Authentication failed: {error}");
            refusal(StatusCode::INTERNAL_SERVER_ERROR, "Authentication failed")
        }
    }
}

/// Empty if there is none.
fn bearer_token(headers: &HeaderMap) -> &str {
    let value = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok()).unwrap_or_default();
    match value.trim().split_once(' ') {
        Some((scheme, token)) if scheme.eq_ignore_ascii_case("bearer") => token.trim(),
        _ => "",
    }
}

impl Metrics {
    fn text(&self) -> Response {
        let encoded = TextEncoder::new().encode_to_string(&self.registry.gather());
        match encoded {
            Ok(text) => {
                let media = "text/plain; version=0.0.4; charset=utf-8";
                ([(header::CONTENT_TYPE, media)], text).into_response()
            }
            Err(error) => refusal(StatusCode::INTERNAL_SERVER_ERROR, &error.to_string()),
        }
    }
}

#[cfg(test)]
mod tests;
