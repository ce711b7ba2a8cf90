//! What is done when somebody else claims or wants an address.

use std::net::IpAddr;
use std::time::Instant;

use super::{Event, Output, Phase, Responder};
use crate::l2::{MacAddress, TIMES};

/// What is remembered of those who would have one address too.
#[derive(Debug, Default)]
pub(super) struct Conflicts {
    claims: Told,
    wishes: Told,
    defended: Option<Instant>,
    /// Against whom the next round is. It does not take place if that turns out to be a fellow.
    pub(super) rival: Option<MacAddress>,
    /// When a fellow claimed it last.
    pub(super) fellow_heard: Option<Instant>,
}

/// Of whom was told last, and when.
#[derive(Debug, Default)]
struct Told(Option<(MacAddress, Instant)>);

impl Responder {
    /// A frame says that `address` is `station`'s. What the address was announced on has been looked at.
    pub(super) fn claimed_by(&mut self, address: IpAddr, interface: u32, station: MacAddress, now: Instant) {
        let fellow = self.fellows.contains(&station);
        let Some(announced) = self.addresses.get_mut(&address) else { return };
        match announced.phase {
            Phase::Ours { .. } => {}
            Phase::Yielding => return self.yielded(address, true),
            Phase::Doubted { .. } if !fellow => return,
            Phase::Asking { .. } if fellow && !announced.heeds_fellows() => return,
            Phase::Doubted { .. } | Phase::Asking { .. } => {
                return self.taken(address, interface, station, now);
            }
            Phase::Refused => return,
        }
        if fellow {
            announced.conflicts.fellow_heard = Some(now);
        }
        announced.counters.count_conflict();
        if announced.conflicts.claims.is_news(station, now) {
            self.outputs.push_back(Output::Event(Event::Conflict { address, interface, station, fellow }));
        }
        let is_due = announced.conflicts.defended.is_none_or(|last| last + TIMES.defence <= now);
        if !fellow && is_due {
            announced.conflicts.defended = Some(now);
            if self.schedule.no_later(address, now + TIMES.forbearance) {
                announced.conflicts.rival = Some(station);
            }
        }
    }

    /// Somebody asked whether `address`, which is ours, is free.
    pub(super) fn wanted_by(&mut self, address: IpAddr, interface: u32, station: MacAddress, now: Instant) {
        let Some(announced) = self.addresses.get_mut(&address) else { return };
        if announced.conflicts.wishes.is_news(station, now) {
            self.outputs.push_back(Output::Event(Event::Wanted { address, interface, station }));
        }
    }

    /// While it is asked for, somebody else asks for it too. What fellow speakers say is about to change: it is the
    /// election's decision that is being followed here.
    pub(super) fn also_wanted_by(
        &mut self,
        address: IpAddr,
        interface: u32,
        station: MacAddress,
        now: Instant,
    ) {
        let is_asked_for =
            self.addresses.get(&address).is_some_and(|it| matches!(it.phase, Phase::Asking { .. }));
        if is_asked_for && !self.fellows.contains(&station) {
            self.taken(address, interface, station, now);
        }
    }
}

impl Conflicts {
    pub(super) fn forget_claims(&mut self) {
        self.claims = Told::default();
    }
}

impl Told {
    fn is_news(&mut self, station: MacAddress, now: Instant) -> bool {
        let is_news = self.0.is_none_or(|(before, when)| {
            let pause = if before == station { TIMES.same_news } else { TIMES.other_news };
            when + pause <= now
        });
        if is_news {
            self.0 = Some((station, now));
        }
        is_news
    }
}
