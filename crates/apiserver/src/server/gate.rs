//! The ways in. From the network: who asks, in whose name, whether they may, and when it is their turn. From inside the
//! process: whoever asks may do everything and waits for nobody, and everything else holds for it too.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use axum::body::{Body, HttpBody};
use axum::extract::{Request, State};
use axum::http::request::Parts;
use axum::response::Response;
use bytes::{Bytes, BytesMut};
use futures_util::StreamExt;
use tokio::time::{Instant, timeout_at};

use super::limits::{LIMITS, Reached};
use super::metrics::Gauges;
use super::traffic::{self, Counted};
use super::{Server, request, respond, timestamp_secs};
use crate::auth::authorize::Decision;
use crate::auth::impersonate::{self, Way};
use crate::auth::{Attributes, ClientCertificate, Identity};
use crate::status::{Reason, Refusal};
use crate::store::RangeRequest;

type Query = BTreeMap<String, String>;

/// Where a request comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Origin {
    Network,
    Process,
}

pub(super) async fn answer(State(server): State<Arc<Server>>, request: Request) -> Response {
    server.counted(request, Origin::Network).await
}

/// Answers somebody in the same process.
pub(super) async fn answer_inside(State(server): State<Arc<Server>>, request: Request) -> Response {
    server.counted(request, Origin::Process).await
}

impl Server {
    async fn counted(self: Arc<Server>, request: Request, origin: Origin) -> Response {
        let arrived = Instant::now();
        let (parts, body) = request.into_parts();
        let query = request::query(&parts);
        let accept = respond::accepted(&parts.headers);
        let wanted = Attributes::of(&parts.method, parts.uri.path(), &query);
        let is_served = self.is_served(&wanted);
        let entered = self.traffic.entered(&wanted);
        let answered = self.admitted(parts, body, &wanted, &query, origin).await;
        let response = answered.unwrap_or_else(|refusal| respond::refusal(&refusal, &accept));
        self.traffic.metrics.count(&wanted, is_served, response.status().as_u16(), arrived.elapsed());
        traffic::guarded(response, entered)
    }

    async fn admitted(
        self: &Arc<Server>,
        mut parts: Parts,
        body: Body,
        wanted: &Attributes,
        query: &Query,
        origin: Origin,
    ) -> Result<Response, Refusal> {
        let deadline = Instant::now() + LIMITS.request_time;
        if parts.uri.path_and_query().is_some_and(|it| it.as_str().len() > LIMITS.url_bytes) {
            Reached::UrlBytes.count();
            let message = format!("the request URI is too long: limit is {}", LIMITS.url_bytes);
            return Err(Refusal::new(414, Reason::None, message));
        }
        // Inside the process a caller can say who it is; without that, it is the admin.
        let user = match (origin, parts.extensions.get::<Identity>()) {
            (Origin::Network, _) => self.allowed(&parts, wanted).await?,
            (Origin::Process, given) => given.cloned().unwrap_or_else(Identity::admin),
        };
        if !wanted.is_resource && wanted.path == "/metrics" {
            return self.metrics().await;
        }
        if origin == Origin::Process || user.is_trusted() {
            let body = received(body).await?;
            parts.extensions.insert(user);
            return self.within(deadline, Request::from_parts(parts, body), ()).await;
        }
        self.in_turn(parts, body, user, traffic::is_heavy(wanted, query), deadline, wanted.verb == "watch")
            .await
    }

    /// Who asks from the network, if it may.
    async fn allowed(&self, parts: &Parts, wanted: &Attributes) -> Result<Identity, Refusal> {
        let user = self.user_of(parts, wanted).await?;
        let decision = self.access.admit(&user, wanted).await;
        if decision.is_allowed { Ok(user) } else { Err(wanted.forbidden(&user.name, &decision.reason)) }
    }

    /// Answers a user who shares this server with others.
    async fn in_turn(
        self: &Arc<Server>,
        mut parts: Parts,
        body: Body,
        user: Identity,
        is_heavy: bool,
        deadline: Instant,
        is_watch: bool,
    ) -> Result<Response, Refusal> {
        let full = |reached: Reached| {
            reached.count();
            Ok(traffic::too_many())
        };
        let (traffic, name) = (&self.traffic, user.name.clone());
        // Before the seat: whoever sends slowly keeps nobody waiting.
        let body = {
            let Some(_sending) = traffic.bodies.below(&name, LIMITS.bodies_per_user) else {
                return full(Reached::BodiesPerUser);
            };
            received(body).await?
        };
        let watch = is_watch.then(|| traffic.watches.below(&name, LIMITS.watches_per_user));
        if let Some(None) = watch {
            return full(Reached::WatchesPerUser);
        }
        let request = (!is_watch).then(|| Counted::below(&traffic.untrusted, LIMITS.requests));
        if let Some(None) = request {
            return full(Reached::Requests);
        }
        let Ok(seat) = traffic.seats(is_heavy).take(&name).await else { return Ok(traffic::too_many()) };
        parts.extensions.insert(user);
        let answered = self.within(deadline, Request::from_parts(parts, body), seat).await;
        Ok(traffic::guarded(answered?, (watch, request)))
    }

    async fn within(
        self: &Arc<Server>,
        deadline: Instant,
        request: Request,
        held: impl Send + 'static,
    ) -> Result<Response, Refusal> {
        timeout_at(deadline, self.work_on(request, held))
            .await
            .unwrap_or_else(|_| Err(too_late(Reached::RequestTime)))
    }

    /// Whether the names in a request are those of something there is.
    fn is_served(&self, wanted: &Attributes) -> bool {
        let key = (wanted.group.clone(), wanted.version.clone(), wanted.resource.clone());
        let parts = |name: &str| {
            self.catalog.snapshot().get(&key).is_some_and(|served| {
                name.is_empty() || served.resource.subresources.iter().any(|part| part.name == name)
            })
        };
        wanted.is_resource && parts(&wanted.subresource)
    }

    async fn metrics(&self) -> Result<Response, Refusal> {
        let range = self.store.range(RangeRequest { limit: Some(0), ..RangeRequest::default() }).await?;
        let traffic = &self.traffic;
        let pool = |name, seats: &super::seats::Seats| {
            let (taken, waiting) = seats.counts();
            (name, taken, waiting)
        };
        let gauges = Gauges {
            reading: traffic.reading.load(Ordering::Relaxed),
            writing: traffic.writing.load(Ordering::Relaxed),
            watches: traffic.watching.load(Ordering::Relaxed),
            pools: vec![pool("light", &traffic.light), pool("heavy", &traffic.heavy)],
            revision: range.revision,
            objects: range.remaining,
        };
        let body = Body::from(traffic.metrics.text(&gauges));
        Ok(respond::respond(body, 200, "text/plain; version=0.0.4; charset=utf-8", &[]))
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

/// The whole body, so that working on it does not wait for the client.
async fn received(body: Body) -> Result<Body, Refusal> {
    let by = Instant::now() + LIMITS.body_time;
    match timeout_at(by, read(body)).await {
        Ok(Ok(Some(bytes))) => Ok(Body::from(bytes)),
        // There is probably nobody left to read this.
        Ok(Err(error)) => Err(Refusal::bad_request(format!("the body is not complete: {error}"))),
        Ok(Ok(None)) => {
            Reached::BodyBytes.count();
            let message = format!("Request entity too large: limit is {}", LIMITS.body_bytes);
            Err(Refusal::new(413, Reason::RequestEntityTooLarge, message))
        }
        Err(_) => Err(too_late(Reached::BodyTime)),
    }
}

/// Nothing if it is too long, an error if it breaks off.
async fn read(body: Body) -> Result<Option<Bytes>, axum::Error> {
    let mut chunks = body.into_data_stream();
    let (mut kept, mut length) = (BytesMut::new(), 0);
    while let Some(chunk) = chunks.next().await {
        let chunk = chunk?;
        length += chunk.len();
        if length > LIMITS.drained_bytes {
            return Ok(None);
        } else if length > LIMITS.body_bytes {
            kept = BytesMut::new();
        } else if chunks.is_end_stream() && kept.is_empty() {
            return Ok(Some(chunk));
        } else {
            kept.extend_from_slice(&chunk);
        }
    }
    Ok((length <= LIMITS.body_bytes).then(|| kept.freeze()))
}

fn too_late(reached: Reached) -> Refusal {
    reached.count();
    let message = "Timeout: request did not complete within the allotted timeout";
    Refusal::new(504, Reason::Timeout, message)
}
