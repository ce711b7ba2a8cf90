//! What a speaker knows of others, for whoever asks.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use axum::extract::State as Held;
use axum::response::Response;
use axum::routing::get;
use http::StatusCode;
use plan::announce::Alive;
use protocol::member::{Detection, Member, Record, Standing, State, Watching};
use serde_json::{Value, json};
use tokio::sync::watch;

use crate::serving::refusal;

/// As it was at a moment.
#[derive(Debug)]
pub(super) struct View {
    pub(super) at: Instant,
    pub(super) state: State,
    pub(super) may_answer: bool,
    pub(super) foreign: Vec<(SocketAddr, Instant)>,
    /// Of the key in use, by which it can be told from others.
    pub(super) key: [u8; 4],
    pub(super) detection: Detection,
}

/// Where it can be looked at, before and while a speaker runs.
#[derive(Debug, Clone)]
pub struct Seen(pub(super) Shown);

#[derive(Debug, Clone)]
pub(super) enum Shown {
    /// Nobody watches over anybody.
    Fixed(Alive),
    Watched(watch::Receiver<Arc<View>>),
    NotYet,
}

impl Seen {
    /// As it is served.
    pub fn json(&self) -> Value {
        match &self.0 {
            Shown::NotYet => json!({"membership": "starting"}),
            Shown::Fixed(Alive::Everyone) => json!({"membership": "off"}),
            Shown::Fixed(Alive::These(nodes)) => json!({"membership": "fixed", "nodes": nodes}),
            Shown::Watched(view) => view.borrow().json(Instant::now()),
        }
    }
}

/// `/members`, for this machine alone.
pub fn router(seen: watch::Receiver<Seen>) -> Router {
    Router::new().route("/members", get(answer)).with_state(seen)
}

async fn answer(Held(seen): Held<watch::Receiver<Seen>>) -> Response {
    let text = format!("{:#}\n", seen.borrow().json());
    let mut response = refusal(StatusCode::OK, "");
    *response.body_mut() = text.into();
    response.headers_mut().insert("content-type", http::HeaderValue::from_static("application/json"));
    response
}

impl View {
    fn json(&self, now: Instant) -> Value {
        let own = &self.state.own;
        let mut value = json!({
            "membership": "watched",
            "secondsOld": seconds(now.saturating_duration_since(self.at)),
            "own": self.record(&own.record),
            "detection": {"intervalMs": millis(self.detection.interval), "multiplier": self.detection.multiplier},
            "mayAnswer": self.may_answer,
            "isReady": own.is_ready,
            "isJoining": own.is_joining,
            "isLeaving": own.is_leaving,
            "isIsolated": own.is_isolated,
            "isRelearning": own.is_relearning,
            "dampedForSeconds": own.damped_until.map(|until| seconds(until.saturating_duration_since(self.at))),
            "duplicateAt": own.duplicate_of.map(|address| address.to_string()),
            "watchedBy": own.watchers.iter().map(watching).collect::<Vec<_>>(),
            "members": self.state.members.values().map(|member| self.member(member)).collect::<Vec<_>>(),
        });
        let foreign = |(from, at): &(SocketAddr, Instant)| json!({"from": from.to_string(), "secondsAgo": seconds(now.saturating_duration_since(*at))});
        value["otherSecrets"] = self.foreign.iter().map(foreign).collect();
        value["counters"] = self.counters();
        value
    }

    fn record(&self, record: &Record) -> Value {
        json!({
            "node": &*record.name,
            "address": record.address.to_string(),
            "state": name(record.standing),
            "generation": record.generation,
            "incarnation": record.incarnation,
            "failures": record.failures,
            "hasNewestSecret": record.key == self.key,
        })
    }

    fn member(&self, member: &Member) -> Value {
        let mut value = self.record(&member.record);
        let ago = |at: Instant| seconds(self.at.saturating_duration_since(at));
        value["isHeard"] = member.is_heard.into();
        value["lastHeardSeconds"] = member.last_heard.map(ago).into();
        value["sinceSeconds"] = ago(member.since).into();
        value["watching"] = member.watching.as_ref().map(watching).into();
        value
    }

    fn counters(&self) -> Value {
        let counters = &self.state.counters;
        let dropped: serde_json::Map<String, Value> =
            dropped(counters).into_iter().map(|(reason, count)| (reason.to_owned(), count.into())).collect();
        json!({
            "sent": counters.sent,
            "received": counters.received,
            "dropped": dropped,
            "suspicions": counters.suspicions,
            "cleared": counters.cleared,
            "verdicts": counters.verdicts,
            "refuted": counters.refuted,
            "duplicates": counters.duplicates,
            "slips": counters.slips,
            "worstSlipMs": millis(counters.worst_slip),
        })
    }
}

/// Datagrams that were not used, by the label of a metric.
pub(super) fn dropped(counters: &protocol::member::Counters) -> [(&'static str, u64); 7] {
    let dropped = &counters.dropped;
    [
        ("otherSecret", dropped.foreign_key),
        ("forged", dropped.forged),
        ("replayed", dropped.replayed),
        ("malformed", dropped.malformed),
        ("tooLong", dropped.too_long),
        ("tooMany", dropped.too_many),
        ("unasked", dropped.unasked),
    ]
}

pub(super) const STANDINGS: [Standing; 6] =
    [Standing::Waiting, Standing::Damped, Standing::Alive, Standing::Leaving, Standing::Left, Standing::Down];

pub(super) fn name(standing: Standing) -> &'static str {
    match standing {
        Standing::Waiting => "waiting",
        Standing::Damped => "damped",
        Standing::Alive => "alive",
        Standing::Leaving => "leaving",
        Standing::Left => "left",
        Standing::Down => "down",
    }
}

fn watching(watching: &Watching) -> Value {
    json!({
        "node": &*watching.name,
        "isUp": watching.is_up,
        "intervalMs": millis(watching.interval),
        "multiplier": watching.multiplier,
        "received": watching.received,
        "lost": watching.lost,
        "loss": loss(watching),
    })
}

/// Of all beats.
pub(super) fn loss(watching: &Watching) -> f64 {
    let all = watching.received + watching.lost;
    if all == 0 { 0.0 } else { watching.lost as f64 / all as f64 }
}

fn millis(time: Duration) -> f64 {
    time.as_micros() as f64 / 1000.0
}

fn seconds(time: Duration) -> f64 {
    time.as_millis() as f64 / 1000.0
}
