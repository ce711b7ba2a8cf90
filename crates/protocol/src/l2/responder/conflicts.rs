//! What is done when somebody else claims or wants an address.

use std::net::IpAddr;
use std::time::Instant;

use super::{Event, Output, Phase, Responder};
use crate::l2::{MacAddress, TIMES};

/// What is remembered of those who would have one address too. There are very many addresses that nobody else would.
#[derive(Debug, Default)]
pub(super) struct Conflicts(Option<Box<Rivals>>);

#[derive(Debug, Default)]
struct Rivals {
    claims: Told,
    wishes: Told,
    defended: Option<Instant>,
    /// Against whom the next round is. It does not take place if that turns out to be a fellow.
    next: Option<MacAddress>,
    /// When a fellow claimed it last.
    fellow_heard: Option<Instant>,
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
            announced.conflicts.rivals().fellow_heard = Some(now);
        }
        announced.counters.count_conflict();
        let rivals = announced.conflicts.rivals();
        if rivals.claims.is_news(station, now) {
            self.outputs.push_back(Output::Event(Event::Conflict { address, interface, station, fellow }));
        }
        let is_due = rivals.defended.is_none_or(|last| last + TIMES.defence <= now);
        if !fellow && is_due {
            rivals.defended = Some(now);
            if self.schedule.no_later(address, now + TIMES.forbearance) {
                rivals.next = Some(station);
            }
        }
    }

    /// Somebody asked whether `address`, which is ours, is free.
    pub(super) fn wanted_by(&mut self, address: IpAddr, interface: u32, station: MacAddress, now: Instant) {
        let Some(announced) = self.addresses.get_mut(&address) else { return };
        if announced.conflicts.rivals().wishes.is_news(station, now) {
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
    fn rivals(&mut self) -> &mut Rivals {
        self.0.get_or_insert_default()
    }

    pub(super) fn take_rival(&mut self) -> Option<MacAddress> {
        self.0.as_mut()?.next.take()
    }

    pub(super) fn fellow_heard(&self) -> Option<Instant> {
        self.0.as_ref()?.fellow_heard
    }

    pub(super) fn forget_claims(&mut self) {
        if let Some(rivals) = &mut self.0 {
            rivals.claims = Told::default();
        }
    }

    pub(super) fn forget_fellow(&mut self) {
        if let Some(rivals) = &mut self.0 {
            rivals.fellow_heard = None;
        }
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
