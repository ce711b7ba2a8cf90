//! What is received does.

use std::time::Instant;

use super::agree::{Refusal, agree};
use super::connection::{Agreement, Connection, Stage, Up};
use super::ending::Ending;
use super::machine::Session;
use super::next_hop::next_hops;
use super::received::Received;
use super::refresh::Refreshes;
use super::{ConnectionId, Event, Origin, Output, Phase};
use crate::bgp::attribute::Handling;
use crate::bgp::capability::Family;
use crate::bgp::notification::{Notification, STATE_MACHINE, cease};
use crate::bgp::open::Open;
use crate::bgp::rib_out::Speaking;
use crate::bgp::update::{Form, Update};
use crate::bgp::{Frame, Kind, Message, RibOut, RouteRefresh, frame, write};

impl Session {
    pub(super) fn received(&mut self, id: ConnectionId, bytes: &[u8], now: Instant) {
        let Some(connection) = self.connection_mut(id) else { return };
        if connection.talk().is_none() {
            return;
        }
        let stream = connection.take_stream(bytes);
        let mut done = 0;
        // Whatever ends the connection ends this too.
        while let Some(connection) = self.connection_mut(id) {
            match frame(&stream[done..], connection.longest()) {
                Ok(Some(frame)) => {
                    done += frame.bytes;
                    self.message(id, frame, now);
                }
                Ok(None) => return connection.keep(stream, done),
                Err(notification) => self.end(id, Ending::Said(notification.into()), now),
            }
        }
    }

    fn message(&mut self, id: ConnectionId, frame: Frame<'_>, now: Instant) {
        self.state.received.count(type_code(frame.kind));
        let Some(connection) = self.connection(id) else { return };
        let phase = connection.phase();
        if !is_expected(frame.kind, phase) {
            // RFC 6608: the subcodes are numbered by state, and the type goes along.
            let subcode = match phase {
                Phase::OpenSent => 1,
                Phase::OpenConfirm => 2,
                _ => 3,
            };
            let error = Notification::with(STATE_MACHINE, subcode, [type_code(frame.kind)]);
            return self.end(id, Ending::Said(error.into()), now);
        }
        let read = match connection.form() {
            Some(form) => Message::read(frame, form),
            None => Message::read(frame, &Form::default()),
        };
        match read {
            Ok(Message::Open(open)) => self.open_received(id, open, now),
            Ok(Message::KeepAlive) => {
                if let Some(connection) = self.connection_mut(id) {
                    connection.heard(now);
                }
                if phase == Phase::OpenConfirm {
                    self.establish(id, now);
                }
            }
            Ok(Message::Update(update)) => self.update_received(id, &update, now),
            Ok(Message::RouteRefresh(refresh)) => self.refresh_received(id, refresh, now),
            Ok(Message::Notification(notification)) => self.end(id, Ending::Heard(notification), now),
            Err(notification) => {
                self.state.mistakes.resets += u64::from(phase == Phase::Established);
                self.end(id, Ending::Said(notification.into()), now);
            }
        }
    }

    fn open_received(&mut self, id: ConnectionId, theirs: Open, now: Instant) {
        let Some(talk) = self.connection(id).and_then(Connection::talk) else { return };
        let agreed = match agree(&self.settings, &talk.ours, &theirs) {
            Ok(agreed) => agreed,
            Err(refusal) => return self.end(id, Ending::Said(refusal), now),
        };
        if !self.survives(id, &theirs, now) {
            let collision = Refusal::cease(cease::CONNECTION_COLLISION, "there is a better connection");
            return self.end(id, Ending::Said(collision), now);
        }
        let Some(at) = self.connections.iter().position(|connection| connection.id == id) else { return };
        let mut connection = self.connections.remove(at);
        if let Stage::OpenSent(talk) = connection.stage {
            connection.stage = Stage::OpenConfirm(talk, Box::new(Agreement { theirs, agreed }));
        }
        connection.heard(now);
        self.connections.push(connection);
        self.send(id, write::keep_alive());
        self.plan_keepalive(id, now);
        self.show_connection();
    }

    /// Of two connections the one goes on that was made by the side with the higher router id, or else AS number (RFC 4271, 6.8;
    /// RFC 6286, 2.3). Both sides know both as soon as one of them has said OPEN, and so decide alike. Ends the others.
    fn survives(&mut self, id: ConnectionId, theirs: &Open, now: Instant) -> bool {
        let we_are_higher =
            (self.settings.router_id, self.settings.local_as) > (theirs.router_id, theirs.autonomous_system);
        let winner = if we_are_higher { Origin::Ours } else { Origin::Theirs };
        for other in self.ids().into_iter().filter(|other| *other != id) {
            let Some(connection) = self.connection(other) else { continue };
            let ending = match connection.phase() {
                Phase::Established => {
                    let restart =
                        connection.agreement().and_then(|agreement| agreement.agreed.graceful_restart);
                    if restart.is_none() {
                        return false;
                    }
                    // Whoever restarts has lost the old one without a word (RFC 4724, 5).
                    Ending::Silent("the neighbour has connected anew".to_owned())
                }
                Phase::OpenSent | Phase::OpenConfirm if id.origin != winner => return false,
                Phase::OpenSent | Phase::OpenConfirm => collision(),
                _ => Ending::Silent("the neighbour has connected".to_owned()),
            };
            self.end(other, ending, now);
        }
        true
    }

    fn establish(&mut self, id: ConnectionId, now: Instant) {
        for other in self.ids().into_iter().filter(|other| *other != id) {
            self.end(other, collision(), now);
        }
        let Some(mut connection) = self.connections.pop() else { return };
        let (most, routes) = (self.settings.max_prefixes, self.routes.clone());
        if let Stage::OpenConfirm(talk, agreement) = connection.stage {
            let agreed = &agreement.agreed;
            let mut rib = RibOut::new(Speaking {
                form: agreed.form.clone(),
                local_as: talk.ours.autonomous_system,
                next_hops: next_hops(&talk.ends, &agreed.form),
                role: agreed.role,
                has_enhanced_refresh: agreed.has_enhanced_refresh,
            });
            routes.into_iter().for_each(|routes| rib.want(routes));
            self.outputs.push_back(Output::Event(Event::Established {
                remote_as: agreed.remote_as,
                is_external: agreed.form.is_external,
                hold_secs: agreed.hold_secs,
                families: agreed.form.families.iter().copied().collect(),
            }));
            let up = Up { since: now, rib, received: Received::new(most), refreshes: Refreshes::default() };
            connection.stage = Stage::Established(talk, agreement, Box::new(up));
            connection.heard(now);
        }
        self.connections.push(connection);
        self.retry.never();
        self.state.established += 1;
        self.show_connection();
    }

    fn update_received(&mut self, id: ConnectionId, update: &Update<'_>, now: Instant) {
        let mistakes = &mut self.state.mistakes;
        let count = |handling| update.flaws.iter().filter(|flaw| flaw.handling == handling).count() as u64;
        mistakes.discarded_attributes += count(Handling::Discard);
        mistakes.treated_as_withdrawn += u64::from(count(Handling::TreatAsWithdraw) > 0);
        mistakes.disabled_families += u64::from(update.disabled.is_some());
        let Some(connection) = self.connection_mut(id) else { return };
        connection.heard(now);
        let Some(up) = connection.up_mut() else { return };
        if let Err(too_many) = up.received.take(update) {
            self.end_too_many(id, too_many, now);
        }
    }

    fn refresh_received(&mut self, id: ConnectionId, refresh: Option<RouteRefresh>, now: Instant) {
        let Some(connection) = self.connection_mut(id) else { return };
        let is_agreed = |family| connection.form().is_some_and(|form: &Form| form.families.contains(&family));
        let is_enhanced = connection.agreement().is_some_and(|it| it.agreed.has_enhanced_refresh);
        match refresh {
            Some(RouteRefresh::Request(family)) if is_agreed(family) => {
                if let Some(up) = connection.up_mut()
                    && up.refreshes.ask(family, now)
                {
                    up.rib.refresh(family);
                }
            }
            Some(RouteRefresh::Begin(family)) if is_agreed(family) && is_enhanced => {
                if let Some(up) = connection.up_mut() {
                    up.received.begin(family);
                }
            }
            Some(RouteRefresh::End(family)) if is_agreed(family) && is_enhanced => {}
            // RFC 2918, 4.
            _ => self.state.mistakes.ignored_refreshes += 1,
        }
    }

    /// What was told before and not counted.
    pub(super) fn ask_again(&mut self, id: ConnectionId, family: Family) {
        self.send(id, write::route_refresh(RouteRefresh::Request(family)));
    }
}

fn collision() -> Ending {
    Ending::Said(Refusal::cease(cease::CONNECTION_COLLISION, "there is a better connection"))
}

fn is_expected(kind: Kind, phase: Phase) -> bool {
    match kind {
        Kind::Notification => true,
        Kind::Open => phase == Phase::OpenSent,
        Kind::KeepAlive => phase >= Phase::OpenConfirm,
        Kind::Update | Kind::RouteRefresh => phase == Phase::Established,
    }
}

/// As it stands in a header.
fn type_code(kind: Kind) -> u8 {
    match kind {
        Kind::Open => 1,
        Kind::Update => 2,
        Kind::Notification => 3,
        Kind::KeepAlive => 4,
        Kind::RouteRefresh => 5,
    }
}
