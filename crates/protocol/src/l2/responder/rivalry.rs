//! An address that a fellow has too, because it decides by something else than this node, and that is left to it.
//!
//! Nobody falls silent because of what was said in the past: the fellow has to answer. And whoever fell silent looks again.

use std::net::IpAddr;
use std::time::{Duration, Instant};

use super::{Announced, Event, Output, Phase, Responder};
use crate::l2::schedule::{Later, Scope};
use crate::l2::{MacAddress, TIMES};

#[derive(Debug)]
pub(super) struct Rivalry {
    /// Until the next look, if the fellow answers this time.
    pause: Duration,
}

impl Responder {
    pub(super) fn give_way(&mut self, address: IpAddr, now: Instant) {
        let Some(announced) = self.addresses.get_mut(&address).filter(|it| it.is_ours()) else { return };
        announced.rivalry.get_or_insert(Rivalry { pause: TIMES.first_look });
        announced.phase = Phase::Doubted { probes: 0 };
        self.schedule.forget(address);
        self.schedule.later(address, Later::Round, now);
    }

    /// Asks once more whether a fellow has it. If none has answered until now, none has.
    pub(super) fn doubt(&mut self, address: IpAddr, probes: u8, now: Instant) -> u32 {
        if probes == TIMES.probes {
            self.claim(address, now);
            return 0;
        }
        if let Some(announced) = self.addresses.get_mut(&address) {
            announced.phase = Phase::Doubted { probes: probes + 1 };
        }
        self.schedule.later(address, Later::Round, now + TIMES.probe);
        self.send_on(address, Scope::Everywhere, super::rounds::probe)
    }

    /// While it was asked for, or doubted, another station turned out to have it.
    pub(super) fn taken(&mut self, address: IpAddr, interface: u32, station: MacAddress, now: Instant) {
        let fellow = self.fellows.contains(&station);
        let Some(announced) = self.addresses.get_mut(&address) else { return };
        announced.phase = Phase::Refused;
        let pause = announced.rivalry.as_mut().map_or(TIMES.retry, Rivalry::lengthen);
        self.schedule.later(address, Later::Round, now + pause);
        self.outputs.push_back(Output::Event(Event::ClaimRefused { address, interface, station, fellow }));
    }
}

impl Rivalry {
    /// The pause that was due.
    fn lengthen(&mut self) -> Duration {
        let longer = (self.pause * 2).min(TIMES.last_look);
        std::mem::replace(&mut self.pause, longer)
    }
}

impl Announced {
    /// Whether what fellows say decides.
    pub(super) fn heeds_fellows(&self) -> bool {
        self.rivalry.is_some()
    }
}
