//! The way in from the network: who asks, in whose name, and whether they may.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::extract::State;
use axum::http::request::Parts;
use axum::response::Response;

use super::{Server, respond, timestamp_secs};
use crate::auth::authorize::Decision;
use crate::auth::impersonate::{self, Way};
use crate::auth::{Attributes, ClientCertificate, Identity};
use crate::status::Refusal;

pub(super) async fn answer(State(server): State<Arc<Server>>, request: axum::extract::Request) -> Response {
    server.admitted(request).await.unwrap_or_else(|refusal| respond::refusal(&refusal))
}

impl Server {
    async fn admitted(&self, request: axum::extract::Request) -> Result<Response, Refusal> {
        let (mut parts, body) = request.into_parts();
        let wanted = Attributes::of(&parts.method, parts.uri.path(), &query(&parts));
        let user = self.user_of(&parts, &wanted).await?;
        let decision = self.access.decide(&user, &wanted).await;
        if !decision.is_allowed {
            return Err(wanted.forbidden(&user.name, &decision.reason));
        }
        parts.extensions.insert(user);
        self.answer(axum::extract::Request::from_parts(parts, body)).await
    }

    /// Whoever asks, or in whose name it may ask.
    async fn user_of(&self, parts: &Parts, wanted: &Attributes) -> Result<Identity, Refusal> {
        let certificate = parts.extensions.get::<ClientCertificate>();
        let authenticated =
            self.access.authenticator.authenticate(&parts.headers, certificate, timestamp_secs()).await;
        let user = authenticated.map_err(|_| Refusal::unauthorized())?;
        let mut refused = None;
        for Way { user: other, needs } in impersonate::ways(&parts.headers, wanted)? {
            match self.first_refused(&user, &needs).await {
                None => return Ok(other),
                Some(why) => drop(refused.get_or_insert(why)),
            }
        }
        refused.map_or(Ok(user), Err)
    }

    async fn first_refused(&self, user: &Identity, needs: &[Attributes]) -> Option<Refusal> {
        for need in needs {
            let Decision { is_allowed, reason } = self.access.decide(user, need).await;
            if !is_allowed {
                return Some(need.forbidden(&user.name, &reason));
            }
        }
        None
    }
}

fn query(parts: &Parts) -> BTreeMap<String, String> {
    form_urlencoded::parse(parts.uri.query().unwrap_or_default().as_bytes()).into_owned().collect()
}
