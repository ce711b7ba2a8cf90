//! What is sent though nobody asked: announcements, their repetitions and refreshes, and probes before a claim.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Instant;

use super::{Announced, Event, Interface, Output, Phase, Responder};
use crate::l2::arp::{self, Operation};
use crate::l2::ndp::{self, Kind, Message};
use crate::l2::schedule::{Later, Scope, Turn};
use crate::l2::{Frame, MacAddress, TIMES};

impl Responder {
    pub(super) fn send_rounds(&mut self, now: Instant) {
        while let Some(turn) = self.schedule.next(now) {
            let frames = self.round(turn, now);
            self.schedule.sent(turn, frames, now);
        }
    }

    /// From now on the address is ours. Everybody is told at once, and again for a while.
    pub(super) fn claim(&mut self, address: IpAddr, now: Instant) {
        let Some(announced) = self.addresses.get_mut(&address) else { return };
        if let Phase::Asking { was_refused: true, .. } = announced.phase {
            self.outputs.push_back(Output::Event(Event::Claimed { address }));
        }
        if !announced.is_ours() {
            // Who claims it from now on claims it anew.
            announced.conflicts.forget_claims();
        }
        announced.phase = Phase::Ours { repeat_until: now + TIMES.window };
        announced.conflicts.take_rival();
        announced.conflicts.forget_fellow();
        self.schedule.at_once(address, Scope::Everywhere);
        self.schedule.later(address, Later::Round, now + TIMES.round);
    }

    /// How many frames that were.
    fn round(&mut self, turn: Turn, now: Instant) -> u32 {
        let address = turn.address;
        let Some(announced) = self.addresses.get_mut(&address) else { return 0 };
        match announced.phase {
            Phase::Refused => {
                announced.phase = Phase::Asking { probes: 0, was_refused: true };
                self.ask(address, now)
            }
            Phase::Asking { probes, .. } if probes == TIMES.probes => {
                self.claim(address, now);
                0
            }
            Phase::Asking { .. } => self.ask(address, now),
            Phase::Doubted { probes } => self.doubt(address, probes, now),
            Phase::Yielding => {
                self.yielded(address, false);
                0
            }
            Phase::Ours { repeat_until } => {
                if turn.later.is_some() {
                    // It has been ours for a while, and no fellow has said otherwise.
                    announced.rivalry.take_if(|_| repeat_until <= now + TIMES.round);
                    let rival = announced.conflicts.take_rival();
                    self.plan_next(address, repeat_until, now);
                    if rival.is_some_and(|rival| self.fellows.contains(&rival)) {
                        return 0;
                    }
                }
                self.send_on(address, turn.scope, unasked)
            }
        }
    }

    fn plan_next(&mut self, address: IpAddr, repeat_until: Instant, now: Instant) {
        let next = now + TIMES.round;
        if next <= repeat_until {
            self.schedule.later(address, Later::Round, next);
        } else if let Some(refresh) = self.refresh {
            self.schedule.later(address, Later::Refresh, now + self.random.part_of(refresh, 80, 120));
        }
    }

    fn ask(&mut self, address: IpAddr, now: Instant) -> u32 {
        if let Some(Announced { phase: Phase::Asking { probes, .. }, .. }) = self.addresses.get_mut(&address)
        {
            *probes += 1;
        }
        self.schedule.later(address, Later::Round, now + TIMES.probe);
        self.send_on(address, Scope::Everywhere, probe)
    }

    pub(super) fn send_on<const N: usize>(
        &mut self,
        address: IpAddr,
        scope: Scope,
        frames: impl Fn(IpAddr, &Interface) -> [Option<Frame>; N],
    ) -> u32 {
        let Some(announced) = self.addresses.get(&address) else { return 0 };
        let mut count = 0;
        for interface in self.interfaces.values() {
            let is_in_scope = scope == Scope::Everywhere || scope == Scope::On(interface.index);
            if !is_in_scope || !announced.is_on(address, interface) {
                continue;
            }
            for frame in frames(address, interface).into_iter().flatten() {
                self.outputs.push_back(Output::Send { interface: interface.index, frame });
                count += 1;
            }
        }
        if announced.is_ours() {
            announced.counters.count_gratuitous(count);
        }
        count.try_into().unwrap_or(u32::MAX)
    }
}

impl Interface {
    /// How an address is announced here. Nothing if its protocol is not spoken.
    pub fn announcement(&self, address: IpAddr) -> impl Iterator<Item = Frame> + use<> {
        let speaks = if address.is_ipv4() { self.arp } else { self.ndp };
        let frames = if speaks { unasked(address, self) } else { [None, None] };
        frames.into_iter().flatten()
    }
}

/// How an address is announced.
fn unasked(address: IpAddr, interface: &Interface) -> [Option<Frame>; 2] {
    match address {
        IpAddr::V4(address) => [Operation::Request, Operation::Reply].map(|operation| {
            Some(arp::Packet::gratuitous(operation, interface.station, address).frame(MacAddress::BROADCAST))
        }),
        IpAddr::V6(address) => [Some(advertise_to_all(address, interface)), None],
    }
}

/// To everybody: whoever had something else in mind is wrong.
pub(super) fn advertise_to_all(address: Ipv6Addr, interface: &Interface) -> Frame {
    let message = Message {
        source: interface.link_local.unwrap_or(address),
        destination: ndp::ALL_NODES,
        kind: Kind::Advertisement { solicited: false, overrides: true },
        target: address,
        station: Some(interface.station),
    };
    message.frame(interface.station, MacAddress::of_group(ndp::ALL_NODES))
}

/// Asks whether somebody has the address (RFC 5227 2.1.1, RFC 4862 5.4.2).
pub(super) fn probe(address: IpAddr, interface: &Interface) -> [Option<Frame>; 1] {
    let frame = match address {
        IpAddr::V4(address) => probe_ipv4(address, interface.station),
        IpAddr::V6(address) => {
            let group = ndp::solicited_node_group(address);
            let message = Message {
                source: Ipv6Addr::UNSPECIFIED,
                destination: group,
                kind: Kind::Solicitation,
                target: address,
                station: None,
            };
            message.frame(interface.station, MacAddress::of_group(group))
        }
    };
    [Some(frame)]
}

fn probe_ipv4(address: Ipv4Addr, station: MacAddress) -> Frame {
    arp::Packet::probe(station, address).frame(MacAddress::BROADCAST)
}
