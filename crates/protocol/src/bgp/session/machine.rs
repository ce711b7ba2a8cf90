//! What every input does, and what time does.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::agree::{Refusal, Withheld, agree, our_open};
use super::connection::{Connection, Stage};
use super::ending::Ending;
use super::next_hop::{next_hops, why_none};
use super::retry::Retry;
use super::{Addresses, ConnectionId, Ends, Input, LostBy, Origin, Output, Phase, Settings, State};
use crate::bgp::notification::{self, HOLD_TIMER_EXPIRED, Notification, SEND_HOLD_TIMER_EXPIRED, cease};
use crate::bgp::open::Open;
use crate::bgp::rib_out::HeldBack;
use crate::bgp::route::Routes;
use crate::bgp::{HEADER_BYTES, RibOut, write};

/// Of routes nothing more is written while so much has not left.
const PENDING_BYTES: usize = 256 << 10;
/// Messages are handed over together up to about this.
const TOGETHER_BYTES: usize = 16 << 10;
/// Where nothing says how long a neighbour waits for one that has restarted.
const RESTARTED_SECS: u16 = 120;

/// The session with one neighbour.
#[derive(Debug)]
pub struct Session {
    pub(super) settings: Settings,
    /// `None`: nobody has said what is to be told.
    pub(super) routes: Option<Arc<Routes>>,
    /// One that is or may become the session's; for a while two, until it is clear which. Three if somebody comes while there is
    /// a session.
    pub(super) connections: Vec<Connection>,
    last_number: u32,
    pub(super) retry: Retry,
    pub(super) is_stopped: bool,
    pub(super) withheld: Withheld,
    /// The neighbour is told that this process is new, until it has heard everything.
    restarted_until: Option<Instant>,
    pub(super) outputs: VecDeque<Output>,
    pub(super) state: State,
    /// When anything was last said to this machine.
    now: Instant,
}

impl Session {
    /// Wants to be up at once. `seed` is for all that is random.
    pub fn new(settings: Settings, seed: u64, now: Instant) -> Session {
        let restart_secs = settings.graceful_restart.map_or(RESTARTED_SECS, |restart| restart.secs);
        let restarted_until = now + Duration::from_secs(restart_secs.into());
        Session {
            retry: Retry::new(seed, settings.connect_retry, now),
            restarted_until: settings.has_restarted.then_some(restarted_until),
            routes: None,
            connections: Vec::new(),
            last_number: 0,
            is_stopped: false,
            withheld: Withheld::default(),
            outputs: VecDeque::new(),
            state: State::new(now),
            settings,
            now,
        }
    }

    pub fn handle(&mut self, input: Input<'_>, now: Instant) {
        self.now = now;
        match input {
            Input::Settings(settings) => self.configure(*settings, now),
            Input::Routes(routes) => self.want(routes),
            Input::Connected { connection, ends } => self.connected(connection, ends, now),
            Input::Failed { connection, why } | Input::Closed { connection, why } => {
                self.end(connection, Ending::Gone(why), now);
            }
            Input::Received { connection, bytes } => self.received(connection, bytes, now),
            Input::Written { connection, bytes } => {
                if let Some(connection) = self.connection_mut(connection) {
                    connection.written(bytes, now);
                }
            }
            Input::Addresses(addresses) => self.set_addresses(addresses),
            Input::Stop(stop) => self.stop(&stop, now),
            Input::Start => self.start(now),
            Input::Reset { text } => {
                let reset = Notification::cease(cease::ADMINISTRATIVE_RESET, &text);
                self.end_all(&Refusal::from(reset), now);
                self.withheld = Withheld::default();
                if !self.is_stopped {
                    self.retry.at_once(now);
                }
            }
            Input::Lost { by: LostBy::Bfd } => self.end_by_bfd(now),
            Input::Lost { by: LostBy::Transport } => {
                let why = "the way to it is another one";
                self.end_all(&Refusal::cease(cease::OTHER_CONFIGURATION_CHANGE, why), now);
                if !self.is_stopped {
                    self.retry.at_once(now);
                }
            }
        }
        self.show(now);
    }

    /// To be called at or after [`deadline`](Self::deadline), when all that had arrived by then was given.
    pub fn handle_timeout(&mut self, now: Instant) {
        self.now = now;
        for id in self.ids() {
            self.pass_time(id, now);
        }
        if self.retry.held_until.is_some_and(|until| until <= now) {
            self.retry.held_until = None;
        }
        if self.retry.at.is_some_and(|at| at <= now) {
            self.retry.at = None;
            self.connect(now);
        }
        self.show(now);
    }

    pub fn deadline(&self) -> Option<Instant> {
        let connections = self.connections.iter().filter_map(Connection::deadline);
        connections.chain(self.retry.at).chain(self.retry.held_until).min()
    }

    /// The next output. Routes come after all else, and only while what was sent before leaves.
    pub fn poll(&mut self) -> Option<Output> {
        self.outputs.pop_front().or_else(|| self.tell_routes())
    }

    pub fn state(&self) -> &State {
        &self.state
    }

    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// What the neighbour was told, while there is a session.
    pub fn rib_out(&self) -> Option<&RibOut> {
        self.connections.iter().find_map(Connection::up).map(|up| &up.rib)
    }

    pub(super) fn ids(&self) -> Vec<ConnectionId> {
        self.connections.iter().map(|connection| connection.id).collect()
    }

    pub(super) fn connection(&self, id: ConnectionId) -> Option<&Connection> {
        self.connections.iter().find(|connection| connection.id == id)
    }

    pub(super) fn connection_mut(&mut self, id: ConnectionId) -> Option<&mut Connection> {
        self.connections.iter_mut().find(|connection| connection.id == id)
    }

    /// Of the connection that has come furthest.
    pub(super) fn phase(&self, now: Instant) -> Phase {
        let resting = if self.is_stopped || self.retry.is_held(now) { Phase::Idle } else { Phase::Active };
        self.connections.iter().map(Connection::phase).max().unwrap_or(resting)
    }

    /// What this side says of itself now.
    pub(super) fn open(&self, now: Instant) -> Open {
        let has_restarted = self.restarted_until.is_some_and(|until| until > now);
        our_open(&self.settings, &self.withheld, has_restarted)
    }

    /// One whole message, other than of routes.
    pub(super) fn send(&mut self, id: ConnectionId, bytes: Vec<u8>) {
        self.state.sent.count(bytes[HEADER_BYTES - 1]);
        let now = self.now;
        if let Some(connection) = self.connection_mut(id) {
            connection.sent(bytes.len(), now);
        }
        self.outputs.push_back(Output::Send { connection: id, bytes });
    }

    /// Whether there is a connection that plans the next attempt when it ends. One of theirs over which nothing was heard yet
    /// keeps nobody from another.
    pub(super) fn is_under_way(&self) -> bool {
        self.connections.iter().any(|connection| {
            connection.id.origin == Origin::Ours || connection.phase() >= Phase::OpenConfirm
        })
    }

    fn connect(&mut self, now: Instant) {
        if self.is_stopped || self.settings.is_passive || self.is_under_way() {
            return;
        }
        self.last_number = self.last_number.wrapping_add(1);
        let id = ConnectionId { origin: Origin::Ours, number: self.last_number };
        self.connections.push(Connection::connecting(id, now, self.retry.bound()));
        self.outputs.push_back(Output::Connect { connection: id });
    }

    fn connected(&mut self, id: ConnectionId, ends: Ends, now: Instant) {
        match id.origin {
            Origin::Ours => {
                let is_wanted = self.connection(id).is_some_and(|it| it.phase() == Phase::Connect);
                if !is_wanted {
                    return;
                }
                self.connections.retain(|connection| connection.id != id);
            }
            Origin::Theirs if self.connection(id).is_some() => return,
            Origin::Theirs if self.is_stopped || self.retry.is_held(now) => {
                // RFC 4486, 4.
                let rejected = Notification::new(notification::CEASE, cease::CONNECTION_REJECTED);
                self.send(id, write::notification(&rejected));
                self.outputs.push_back(Output::Close { connection: id });
                return;
            }
            Origin::Theirs => self.make_room(now),
        }
        let ours = self.open(now);
        let bytes = write::open(&ours);
        self.connections.push(Connection::open_sent(id, ends, ours, now));
        self.send(id, bytes);
        self.show_connection();
    }

    /// For one more of theirs.
    fn make_room(&mut self, now: Instant) {
        let is_theirs = |connection: &&Connection| {
            connection.id.origin == Origin::Theirs && connection.phase() < Phase::Established
        };
        // Whoever connects once more has given up what it began before.
        if let Some(older) = self.connections.iter().find(is_theirs).map(|connection| connection.id) {
            self.end(
                older,
                Ending::Said(Refusal::cease(cease::CONNECTION_COLLISION, "it connects anew")),
                now,
            );
        }
        // Or has forgotten the session: then this makes its system say so, as does whatever else is on its way.
        let is_quiet = |it: &&Connection| it.phase() == Phase::Established && it.pending == 0;
        let established = self.connections.iter().find(is_quiet);
        if let Some(id) = established.map(|connection| connection.id) {
            self.send(id, write::keep_alive());
        }
    }

    fn pass_time(&mut self, id: ConnectionId, now: Instant) {
        let is_due = |at: Option<Instant>| at.is_some_and(|at| at <= now);
        let Some(connection) = self.connection(id) else { return };
        if let Stage::Connecting { until, .. } = connection.stage {
            if until <= now {
                self.end(id, Ending::Silent("there is no answer".to_owned()), now);
            }
            return;
        }
        if is_due(connection.hold_at) {
            let expired = Notification::new(HOLD_TIMER_EXPIRED, 0);
            return self.end(id, Ending::Said(expired.into()), now);
        }
        if is_due(connection.stuck_at) {
            let expired = Notification::new(SEND_HOLD_TIMER_EXPIRED, 0);
            return self.end(id, Ending::Said(expired.into()), now);
        }
        if is_due(connection.keepalive_at) {
            self.send(id, write::keep_alive());
            self.plan_keepalive(id, now);
        }
        if let Some(up) = self.connection_mut(id).and_then(Connection::up_mut) {
            up.refreshes.take_due(now).into_iter().for_each(|family| up.rib.refresh(family));
        }
    }

    pub(super) fn plan_keepalive(&mut self, id: ConnectionId, now: Instant) {
        let hold_secs =
            self.connection(id).and_then(Connection::agreement).map_or(0, |it| it.agreed.hold_secs);
        let at = self.settings.keepalive(hold_secs).map(|interval| now + self.retry.jittered(interval));
        if let Some(connection) = self.connection_mut(id) {
            connection.keepalive_at = at;
        }
    }

    fn configure(&mut self, settings: Settings, now: Instant) {
        let old = std::mem::replace(&mut self.settings, settings);
        if old == self.settings {
            return;
        }
        let open = |settings| our_open(settings, &Withheld::default(), false);
        if open(&old) != open(&self.settings) {
            self.withheld = Withheld::default();
        }
        if old.connect_retry != self.settings.connect_retry {
            self.retry.set_interval(self.settings.connect_retry, now);
        }
        for id in self.ids() {
            if self.must_end(id, &old, now) {
                let change = Refusal::cease(cease::OTHER_CONFIGURATION_CHANGE, "its settings are others now");
                self.end(id, Ending::Said(change), now);
            } else {
                self.adapt(id, now);
            }
        }
        if self.connections.is_empty() && !self.is_stopped {
            // What failed before need not fail now.
            self.retry.at_once(now);
        }
    }

    /// Whether a connection is of no use under other settings.
    fn must_end(&self, id: ConnectionId, old: &Settings, now: Instant) -> bool {
        let Some(connection) = self.connection(id) else { return false };
        let new = &self.settings;
        let Some(talk) = connection.talk() else { return new.is_passive };
        if (old.local_as, old.router_id) != (new.local_as, new.router_id) {
            return true;
        }
        let ours = self.open(now);
        match connection.agreement() {
            Some(agreement) => match agree(new, &ours, &agreement.theirs) {
                Ok(agreed) => !agreed.is_as_good_as(&agreement.agreed),
                Err(_) => true,
            },
            None => ours != talk.ours,
        }
    }

    /// An established session takes over what is no matter of agreement.
    fn adapt(&mut self, id: ConnectionId, now: Instant) {
        self.plan_keepalive(id, now);
        let most = self.settings.max_prefixes;
        let Some(connection) = self.connection_mut(id) else { return };
        let Some(agreement) = connection.agreement() else {
            return;
        };
        let can_ask = agreement.agreed.has_route_refresh;
        let families = agreement.agreed.form.families.clone();
        let Some(up) = connection.up_mut() else { return };
        match up.received.set_most(most) {
            Ok(true) if can_ask => families.into_iter().for_each(|family| self.ask_again(id, family)),
            Ok(_) => {}
            Err(too_many) => self.end_too_many(id, too_many, now),
        }
    }

    fn want(&mut self, routes: Arc<Routes>) {
        if let Some(up) = self.connections.iter_mut().find_map(Connection::up_mut) {
            up.rib.want(Arc::clone(&routes));
        }
        self.routes = Some(routes);
        self.show_held_back();
    }

    fn set_addresses(&mut self, addresses: Addresses) {
        for connection in &mut self.connections {
            let Some(talk) = connection.talk_mut() else { continue };
            talk.ends.addresses = addresses;
            let ends = talk.ends;
            let next_hops = connection.form().map(|form| next_hops(&ends, form));
            if let (Some(up), Some(next_hops)) = (connection.up_mut(), next_hops) {
                up.rib.set_next_hops(next_hops);
            }
        }
        if let Some(ends) = &mut self.state.ends {
            ends.addresses = addresses;
        }
        self.show_held_back();
    }

    fn tell_routes(&mut self) -> Option<Output> {
        let now = self.now;
        let connection = self.connections.iter_mut().find(|it| it.phase() == Phase::Established)?;
        if connection.pending >= PENDING_BYTES {
            return None;
        }
        let id = connection.id;
        let up = connection.up_mut()?;
        let mut bytes = Vec::new();
        while bytes.len() < TOGETHER_BYTES
            && let Some(message) = up.rib.poll()
        {
            self.state.sent.count(message[HEADER_BYTES - 1]);
            if bytes.is_empty() {
                bytes = message;
            } else {
                bytes.extend_from_slice(&message);
            }
        }
        if bytes.is_empty() {
            if self.routes.is_some() {
                self.restarted_until = None;
            }
            return None;
        }
        connection.sent(bytes.len(), now);
        self.show_told();
        Some(Output::Send { connection: id, bytes })
    }

    /// What changes often.
    fn show(&mut self, now: Instant) {
        let phase = self.phase(now);
        if phase != self.state.phase {
            (self.state.phase, self.state.since) = (phase, now);
        }
        self.state.next_attempt = self.retry.at.filter(|_| !self.is_stopped && !self.settings.is_passive);
        self.show_told();
    }

    fn show_told(&mut self) {
        let connection = self.connections.iter().max_by_key(|connection| connection.phase());
        self.state.pending_bytes = connection.map_or(0, |connection| connection.pending);
        let up = connection.and_then(|connection| connection.up().zip(connection.form()));
        self.state.told =
            up.map_or(0, |(up, form)| form.families.iter().map(|it| up.rib.told_count(*it)).sum());
    }

    pub(super) fn show_held_back(&mut self) {
        let Some(rib) = self.rib_out() else {
            self.state.held_back.clear();
            return;
        };
        let text = |family, why, count| match why {
            HeldBack::NoNextHop => format!("{count} routes: {}", why_none(family)),
            why => format!("{count} routes: {why}"),
        };
        let all = rib.held_back().map(|(family, why, count)| (family, text(family, why, count)));
        self.state.held_back = all.collect();
    }

    /// What changes when a connection comes, gets on or goes.
    pub(super) fn show_connection(&mut self) {
        let connection = self.connections.iter().max_by_key(|connection| connection.phase());
        let talk = connection.and_then(Connection::talk);
        let agreement = connection.and_then(Connection::agreement);
        self.state.ends = talk.map(|talk| talk.ends);
        self.state.local = talk.map(|talk| talk.ours.clone());
        self.state.remote = agreement.map(|agreement| agreement.theirs.clone());
        self.state.agreed = agreement.map(|agreement| agreement.agreed.clone());
        self.show_held_back();
    }
}
