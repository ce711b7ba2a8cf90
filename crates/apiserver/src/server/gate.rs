//! The way in from the network: who asks, in whose name, and whether they may.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::extract::State;
use axum::http::request::Parts;
use axum::response::Response;

use super::{Server, respond, timestamp_secs};
use crate::auth::authorize::Decision;
use crate::auth::{Attributes, ClientCertificate, Identity};
use crate::status::Refusal;

pub(super) async fn answer(State(server): State<Arc<Server>>, request: axum::extract::Request) -> Response {
    server.admitted(request).await.unwrap_or_else(|refusal| respond::refusal(&refusal))
}

impl Server {
    async fn admitted(&self, request: axum::extract::Request) -> Result<Response, Refusal> {
        let (mut parts, body) = request.into_parts();
        let user = self.user_of(&parts).await?;
        let wanted = Attributes::of(&parts.method, parts.uri.path(), &query(&parts));
        let decision = self.access.decide(&user, &wanted);
        if !decision.is_allowed {
            return Err(wanted.forbidden(&user.name, &decision.reason));
        }
        parts.extensions.insert(user);
        self.answer(axum::extract::Request::from_parts(parts, body)).await
    }

    /// Whoever asks, or in whose name it may ask.
    async fn user_of(&self, parts: &Parts) -> Result<Identity, Refusal> {
        let certificate = parts.extensions.get::<ClientCertificate>();
        let authenticated =
            self.access.authenticator.authenticate(&parts.headers, certificate, timestamp_secs()).await;
        let user = authenticated.map_err(|_| Refusal::unauthorized())?;
        let Some(wanted) = crate::auth::impersonate::wanted(&parts.headers)? else { return Ok(user) };
        for attributes in &wanted.needs {
            let Decision { is_allowed, reason } = self.access.decide(&user, attributes);
            if !is_allowed {
                return Err(attributes.forbidden(&user.name, &reason));
            }
        }
        Ok(wanted.user)
    }
}

fn query(parts: &Parts) -> BTreeMap<String, String> {
    form_urlencoded::parse(parts.uri.query().unwrap_or_default().as_bytes()).into_owned().collect()
}
