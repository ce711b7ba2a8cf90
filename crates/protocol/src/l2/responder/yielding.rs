//! An address that becomes somebody else's: it is answered for until whoever has it now is heard, so that there is no
//! moment in which nobody does.

use std::net::IpAddr;
use std::time::Instant;

use super::{Event, Output, Phase, Responder};
use crate::l2::TIMES;
use crate::l2::schedule::Later;

impl Responder {
    pub(super) fn begin_to_yield(&mut self, address: IpAddr, until: Instant, now: Instant) {
        let answered = self.addresses.get_mut(&address).filter(|announced| announced.is_answered_for());
        let Some(announced) = answered else {
            return self.yielded(address, false);
        };
        // Who takes over may have been quicker than the word that it should. It says so once in a round.
        let was_heard = announced.conflicts.fellow_heard().is_some_and(|at| now < at + TIMES.round);
        if was_heard || until <= now {
            return self.yielded(address, was_heard);
        }
        announced.phase = Phase::Yielding;
        self.schedule.forget(address);
        self.schedule.later(address, Later::Round, until);
    }

    pub(super) fn yielded(&mut self, address: IpAddr, heard: bool) {
        self.withdraw(address);
        self.outputs.push_back(Output::Event(Event::Yielded { address, heard }));
    }
}
