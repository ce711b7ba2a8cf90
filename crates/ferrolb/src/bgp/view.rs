//! What there is to know of sessions, for whoever asks: people, metrics, statuses.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::{Duration, Instant};

use axum::Router;
use axum::extract::State as Held;
use axum::response::Response;
use axum::routing::{get, post};
use http::{StatusCode, Uri};
use protocol::bgp::attribute::Outgoing;
use protocol::bgp::prefix::Prefix;
use protocol::bgp::session::State;
use serde_json::{Value, json};

use super::Neighbour;
use super::peer::{Peer, Shared};
use super::thread::{Command, Teller};
use crate::serving::refusal;

/// The thread answers at its next turn.
const PATIENCE: Duration = Duration::from_secs(2);

/// A neighbour as it was at a moment.
#[derive(Debug, Clone)]
pub struct PeerView {
    pub neighbour: Neighbour,
    pub state: State,
    /// What keeps a session from coming about that the session itself does not know of.
    pub obstacle: Option<String>,
    pub told: Vec<RouteView>,
    pub at: Instant,
}

/// A prefix as a neighbour was told it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RouteView {
    pub prefix: Prefix,
    pub outgoing: Arc<Outgoing>,
}

#[derive(Debug)]
pub(super) struct Question {
    /// Nobody in particular: everybody.
    peer: Option<String>,
    with_routes: bool,
    answer: SyncSender<Vec<PeerView>>,
}

pub(super) struct Answer;

/// Where it can be asked for.
#[derive(Debug, Clone)]
pub struct Seen(Option<Teller>);

impl Question {
    pub(super) fn answer(self, peers: &BTreeMap<Arc<str>, Peer>, seen: impl Fn(&Peer) -> PeerView) {
        let is_meant = |name: &str| self.peer.as_deref().is_none_or(|peer| peer == name);
        let of = |peer: &Peer| {
            let told = if self.with_routes { routes(peer) } else { Vec::new() };
            PeerView { told, ..seen(peer) }
        };
        let views = peers.iter().filter(|(name, _)| is_meant(name)).map(|(_, peer)| of(peer)).collect();
        // Whoever asked may have gone.
        let _ = self.answer.try_send(views);
    }
}

impl Answer {
    pub(super) fn of(peer: &Peer, shared: &Shared, obstacle: Option<String>) -> PeerView {
        PeerView {
            neighbour: peer.neighbour.clone(),
            state: peer.state().clone(),
            obstacle: peer.neighbour.obstacle.clone().or(obstacle).or_else(|| peer.obstacle(shared)),
            told: Vec::new(),
            at: Instant::now(),
        }
    }
}

fn routes(peer: &Peer) -> Vec<RouteView> {
    let Some(rib) = peer.session().rib_out() else { return Vec::new() };
    let mut told: Vec<_> = rib.told().map(|(prefix, outgoing)| RouteView { prefix, outgoing }).collect();
    told.sort_by_key(|route| route.prefix);
    told
}

impl Seen {
    pub(super) fn of(teller: Teller) -> Seen {
        Seen(Some(teller))
    }

    /// Before there is anybody to ask.
    pub fn nobody() -> Seen {
        Seen(None)
    }

    /// Waits for the thread, which is at most one turn away.
    pub fn peers(&self, peer: Option<&str>, with_routes: bool) -> Option<Vec<PeerView>> {
        self.ask(peer, with_routes)?.recv_timeout(PATIENCE).ok()
    }

    fn ask(&self, peer: Option<&str>, with_routes: bool) -> Option<Receiver<Vec<PeerView>>> {
        let (answer, answered) = sync_channel(1);
        let peer = peer.map(str::to_owned);
        self.0.as_ref()?.tell(Command::Ask(Question { peer, with_routes, answer }));
        Some(answered)
    }

    /// Begins one session anew, or all.
    pub fn reset(&self, peer: Option<String>, text: String) {
        if let Some(teller) = &self.0 {
            teller.tell(Command::Reset { peer, text });
        }
    }
}

/// What follows the question mark: `peer=NAME` and `routes=true`.
#[derive(Debug, Default)]
struct Asked {
    peer: Option<String>,
    routes: bool,
}

impl Asked {
    fn of(uri: &Uri) -> Asked {
        let mut asked = Asked::default();
        for (key, value) in uri.query().unwrap_or_default().split('&').filter_map(|it| it.split_once('=')) {
            match key {
                "peer" => asked.peer = Some(value.to_owned()),
                "routes" => asked.routes = value == "true",
                _ => {}
            }
        }
        asked
    }
}

/// `/bgp` and `/bgp/reset`, for whoever runs this.
pub fn router(seen: Seen) -> Router {
    Router::new().route("/bgp", get(answer)).route("/bgp/reset", post(reset)).with_state(seen)
}

async fn answer(Held(seen): Held<Seen>, uri: Uri) -> Response {
    let asked = Asked::of(&uri);
    let views = tokio::task::spawn_blocking(move || seen.peers(asked.peer.as_deref(), asked.routes));
    let Ok(Some(views)) = views.await else {
        return refusal(StatusCode::SERVICE_UNAVAILABLE, "BGP does not run");
    };
    let peers: Vec<Value> = views.iter().map(|view| view.json(asked.routes)).collect();
    let mut response = refusal(StatusCode::OK, "");
    *response.body_mut() = format!("{:#}\n", json!({"peers": peers})).into();
    response.headers_mut().insert("content-type", http::HeaderValue::from_static("application/json"));
    response
}

async fn reset(Held(seen): Held<Seen>, uri: Uri) -> Response {
    seen.reset(Asked::of(&uri).peer, "asked for by the operator".to_owned());
    refusal(StatusCode::OK, "")
}
