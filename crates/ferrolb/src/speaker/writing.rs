//! Writes of statuses: which are begun, and what becomes of those that have ended.

use std::time::Instant;

use tokio::task::{Id, JoinError};

use super::{CONTEST_AFTER, Session};
use crate::pace::Outcome;
use crate::speaker::announcer::Announcer;
use crate::speaker::statuses::Object;
use crate::speaker::write::Done;

impl Session<'_> {
    /// Begins as many steps as may be under way.
    pub(super) fn write(&mut self, now: Instant) {
        // Before anything is decided, nobody knows which statuses are wrong.
        if !self.announcer.is_ready() {
            return;
        }
        for key in self.pace.due(now) {
            self.statuses.look_at(&key);
        }
        let announcer = &self.announcer;
        while self.pace.may_begin(now) {
            let Some((service, step)) = self.statuses.next(|object| is_left_behind(announcer, object)) else {
                break;
            };
            if self.statuses.is_contest(&service, &step) {
                let last = self.contested.insert(service.clone(), now);
                let again_at = last.map(|last| last + CONTEST_AFTER).filter(|at| *at > now);
                if let (Some(again_at), Some(last)) = (again_at, last) {
                    self.contested.insert(service.clone(), last);
                    self.statuses.ended(&service);
                    self.statuses.put_off(&service);
                    self.pace.hold_back(service, again_at);
                    continue;
                }
            }
            self.pace.begun();
            let uid = announcer.uid_of(&service);
            let write = self.writer.clone().take(service.clone(), uid, step);
            self.about.insert(self.writes.spawn(write).id(), service);
        }
    }

    pub(super) fn ended(&mut self, ended: Result<(Id, (Done, Outcome)), JoinError>) {
        let (id, (done, outcome)) = ended.unwrap_or_else(|error| {
            tracing::error!("a write ended by itself: {error}");
            (error.id(), (Done::Unknown, Outcome::ServiceTrouble))
        });
        let Some(service) = self.about.remove(&id) else { return };
        let is_current = self.statuses.ended(&service);
        match done {
            // What was told of its end later than it was written is right.
            Done::Is(_) if !is_current => {}
            Done::Is(object) => self.statuses.observe(*object),
            Done::Gone(key) => self.statuses.forget(&key),
            Done::Unknown => {}
        }
        if self.pace.ended(&service, outcome, Instant::now()) {
            // Not before its time has come.
            self.metrics.of_component.failed();
            self.statuses.put_off(&service);
        }
    }
}

/// Whether nobody is there who would take away an object of another node, so that this one has to.
fn is_left_behind(announcer: &Announcer, object: &Object) -> bool {
    announcer.sees_to_others()
        && !announcer.is_alive(object.announcer())
        && !announcer.is_announced_anywhere(&object.service)
}
