//! How connections end, and what comes after.

use std::time::Instant;

use super::agree::{Refusal, Withheld};
use super::connection::{Connection, Stage};
use super::machine::Session;
use super::received::TooMany;
use super::{By, ConnectionId, Event, LastError, Output, Phase, Stop};
use crate::bgp::notification::{CEASE, Notification, cease};
use crate::bgp::write;

#[derive(Debug)]
pub(super) enum Ending {
    /// This side says why.
    Said(Refusal),
    /// The other side has.
    Heard(Notification),
    /// There is nobody any more to say it to.
    Gone(String),
    /// It is closed without a word.
    Silent(String),
}

impl Session {
    pub(super) fn end(&mut self, id: ConnectionId, ending: Ending, now: Instant) {
        let Some(at) = self.connections.iter().position(|connection| connection.id == id) else { return };
        let is_met = self.connections[at].talk().is_some();
        match &ending {
            Ending::Said(refusal) if is_met => self.send(id, write::notification(&refusal.notification)),
            _ => {}
        }
        if !matches!(ending, Ending::Gone(_)) {
            self.outputs.push_back(Output::Close { connection: id });
        }
        let connection = self.connections.remove(at);
        self.plan_next(&connection, &ending, now);
        self.report(&connection, ending, now);
        self.show_connection();
    }

    pub(super) fn end_all(&mut self, refusal: &Refusal, now: Instant) {
        for id in self.ids() {
            self.end(id, Ending::Said(refusal.clone()), now);
        }
    }

    /// Nothing gets through to where the routes lead, so they are of no use meanwhile (RFC 9384, 3).
    pub(super) fn end_by_bfd(&mut self, now: Instant) {
        for id in self.ids() {
            let down = self.for_good(id, Notification::new(CEASE, cease::BFD_DOWN));
            self.end(id, Ending::Said(down.into()), now);
        }
    }

    /// Cease 6/1, with what there may be of what (RFC 4486, 4).
    pub(super) fn end_too_many(&mut self, id: ConnectionId, too_many: TooMany, now: Instant) {
        let TooMany { family, most } = too_many;
        let mut data = family.afi.to_be_bytes().to_vec();
        data.push(family.safi);
        data.extend_from_slice(&most.to_be_bytes());
        let refusal = Refusal {
            notification: Notification::with(CEASE, cease::MAXIMUM_PREFIXES, data),
            why: Some(format!("it tells more than {most} prefixes of {family}")),
        };
        self.end(id, Ending::Said(refusal), now);
        if !self.is_stopped {
            self.retry.after_too_many_prefixes(now);
        }
    }

    pub(super) fn stop(&mut self, stop: &Stop, now: Instant) {
        self.is_stopped = true;
        self.retry.never();
        for id in self.ids() {
            let ending = self.parting(id, stop);
            self.end(id, ending, now);
        }
    }

    pub(super) fn start(&mut self, now: Instant) {
        if std::mem::replace(&mut self.is_stopped, false) {
            self.withheld = Withheld::default();
            self.retry.at_once(now);
        }
    }

    /// The last word on a connection.
    fn parting(&self, id: ConnectionId, stop: &Stop) -> Ending {
        let connection = self.connection(id);
        let agreed = connection.and_then(Connection::agreement).map(|agreement| &agreement.agreed);
        let restart = agreed.and_then(|agreed| agreed.graceful_restart);
        let shutdown = |text: &str| Notification::cease(cease::ADMINISTRATIVE_SHUTDOWN, text);
        let notification = match stop {
            Stop::AdministrativeShutdown { text } | Stop::GoingAway { text } => shutdown(text),
            Stop::Deconfigured => Notification::new(CEASE, cease::PEER_DECONFIGURED),
            // A NOTIFICATION would have the routes forgotten (RFC 4724, 4.2).
            Stop::Restarting if restart.is_some() => {
                return Ending::Silent("the speaker restarts".to_owned());
            }
            Stop::Restarting => shutdown("the speaker restarts"),
        };
        Ending::Said(self.for_good(id, notification).into())
    }

    /// That routes are not to be kept until there is a new session has to be said where a NOTIFICATION alone does not mean it
    /// (RFC 8538, 3.1).
    fn for_good(&self, id: ConnectionId, notification: Notification) -> Notification {
        let agreed = self.connection(id).and_then(Connection::agreement).map(|agreement| &agreement.agreed);
        let restart = agreed.and_then(|agreed| agreed.graceful_restart);
        match restart.is_some_and(|restart| restart.after_notification) {
            true => Notification::hard_reset(&notification),
            false => notification,
        }
    }

    fn plan_next(&mut self, connection: &Connection, ending: &Ending, now: Instant) {
        if self.is_stopped {
            return;
        }
        if let (Ending::Heard(notification), true) = (ending, connection.phase() <= Phase::OpenConfirm)
            && self.withheld.learn(notification, &self.settings)
        {
            return self.retry.at_once(now);
        }
        match (&connection.stage, ending) {
            (_, Ending::Said(refusal)) if is_administrative(&refusal.notification) => self.retry.at_once(now),
            (Stage::Established(.., up), _) => {
                let is_error = match ending {
                    Ending::Said(_) => true,
                    Ending::Heard(notification) => !is_collision_notification(notification),
                    Ending::Gone(_) | Ending::Silent(_) => false,
                };
                let lived = now.saturating_duration_since(up.since);
                self.retry.after_loss(lived, is_error, now);
            }
            // Whatever others do that connect, this side's own next attempt is made when it is due.
            _ if self.is_under_way() || self.retry.at.is_some() => {}
            (Stage::Connecting { since, .. }, _) => self.retry.after_failure(*since, now),
            _ => self.retry.after_failure(now, now),
        }
    }

    fn report(&mut self, connection: &Connection, ending: Ending, now: Instant) {
        let is_met = connection.talk().is_some();
        let was_collision = is_collision(&ending);
        let error = match ending {
            Ending::Said(Refusal { notification, why }) => {
                let text =
                    why.map_or_else(|| notification.to_string(), |why| format!("{notification}: {why}"));
                LastError { at: now, by: By::Us, text }
            }
            Ending::Heard(notification) => {
                LastError { at: now, by: By::Them, text: notification.to_string() }
            }
            Ending::Gone(text) | Ending::Silent(text) => LastError { at: now, by: By::Nobody, text },
        };
        if !is_met {
            if !self.is_under_way() && !self.is_stopped {
                self.state.last_failure = Some((now, error.text));
            }
            return;
        }
        if let Some(up) = connection.up() {
            self.state.lost += 1;
            let after = now.saturating_duration_since(up.since);
            self.outputs.push_back(Output::Event(Event::Lost { error: error.clone(), after }));
        } else if was_collision {
            return;
        } else {
            self.outputs.push_back(Output::Event(Event::Refused { error: error.clone() }));
        }
        self.state.last_error = Some(error);
    }
}

fn is_collision(ending: &Ending) -> bool {
    match ending {
        Ending::Said(refusal) => is_collision_notification(&refusal.notification),
        Ending::Heard(notification) => is_collision_notification(notification),
        Ending::Gone(_) | Ending::Silent(_) => false,
    }
}

fn is_collision_notification(notification: &Notification) -> bool {
    (notification.code, notification.subcode) == (CEASE, cease::CONNECTION_COLLISION)
}

/// Somebody here wants it, and wants a new session at once.
fn is_administrative(notification: &Notification) -> bool {
    let it = notification.inner();
    it.code == CEASE
        && [
            cease::ADMINISTRATIVE_SHUTDOWN,
            cease::PEER_DECONFIGURED,
            cease::ADMINISTRATIVE_RESET,
            cease::OTHER_CONFIGURATION_CHANGE,
        ]
        .contains(&it.subcode)
}
