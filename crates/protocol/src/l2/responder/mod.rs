//! The machine: which addresses are ours on which interfaces, and everything that follows from it.

mod conflicts;
mod receive;
mod rivalry;
mod rounds;
#[cfg(test)]
mod tests;
mod yielding;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::schedule::{Later, Schedule, Scope};
use super::{AddressCounters, Counters, DropReason, Frame, Interfaces, LIMITS, MacAddress, TIMES, ndp};
use crate::Machine;
use crate::random::Random;

use conflicts::Conflicts;
use rivalry::Rivalry;

#[derive(Debug, Clone, Copy)]
pub struct Options {
    /// How often an address to which nothing happened is announced again, about. `None` is never.
    pub refresh: Option<Duration>,
    pub seed: u64,
}

/// What a responder is told. Frames come in through [`Responder::receive`], because they are only lent.
#[derive(Debug)]
pub enum Input {
    /// It appeared, or changed.
    Interface(Interface),
    /// It is gone, or nothing can be answered there any more.
    InterfaceGone(u32),
    /// Also for an address that is announced already. Without a difference nothing is sent.
    Announce {
        address: IpAddr,
        interfaces: Interfaces,
        /// Ask first whether it is free.
        probe: bool,
        counters: Arc<AddressCounters>,
    },
    Withdraw(IpAddr),
    /// It is somebody else's from now on, who may not be heard yet: it is answered for until another station claims it,
    /// or until then, and is withdrawn. [`Event::Yielded`] tells. Nothing is sent unasked meanwhile.
    Yield {
        address: IpAddr,
        until: Instant,
    },
    /// Everything that is announced is announced anew: somebody else may have answered for it, out of our hearing.
    Again,
    /// One address of those, for the same reason.
    AnnounceAgain(IpAddr),
    /// A fellow claims this address too, and it is the fellow's rather than ours. If it still answers when it is asked,
    /// nothing is answered for the address any more, until the fellow does not: [`Event::ClaimRefused`] tells each time
    /// that it does, [`Event::Claimed`] that the address is ours again.
    GiveWay(IpAddr),
    /// Every station that this node is, also on interfaces where nothing is answered.
    Own(BTreeSet<MacAddress>),
    /// The stations of fellow speakers. What they claim is not fought over.
    Fellows(BTreeSet<MacAddress>),
}

/// Something that ARP or neighbour discovery is answered on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Interface {
    pub index: u32,
    pub name: String,
    pub station: MacAddress,
    /// Where advertisements to all come from. Without one they come from the address itself.
    pub link_local: Option<Ipv6Addr>,
    /// Whether it has a carrier. When it gets one, those behind it have to be told.
    pub running: bool,
    pub arp: bool,
    pub ndp: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Output {
    Send {
        interface: u32,
        frame: Frame,
    },
    /// Frames to the group are to be received there.
    Join {
        interface: u32,
        group: Ipv6Addr,
    },
    Leave {
        interface: u32,
        group: Ipv6Addr,
    },
    Event(Event),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// Somebody else says that the address is its own.
    Conflict { address: IpAddr, interface: u32, station: MacAddress, fellow: bool },
    /// Somebody asked whether the address is free, and was told that it is not.
    Wanted { address: IpAddr, interface: u32, station: MacAddress },
    /// It was asked for and is not free. The claim of a fellow counts only where way was given.
    ClaimRefused { address: IpAddr, interface: u32, station: MacAddress, fellow: bool },
    /// It was not free, and now is ours.
    Claimed { address: IpAddr },
    /// There are too many to announce this one.
    TooMany { address: IpAddr },
    /// The answer to [`Input::Yield`], unless the address was announced or withdrawn first: it is not answered for any
    /// more. Whether another station was heard to claim it.
    Yielded { address: IpAddr, heard: bool },
}

#[derive(Debug)]
pub struct Responder {
    interfaces: BTreeMap<u32, Interface>,
    addresses: BTreeMap<IpAddr, Announced>,
    /// How many addresses are heard of by each group.
    groups: BTreeMap<Ipv6Addr, u32>,
    own: BTreeSet<MacAddress>,
    fellows: BTreeSet<MacAddress>,
    schedule: Schedule,
    refresh: Option<Duration>,
    random: Random,
    counters: Arc<Counters>,
    outputs: VecDeque<Output>,
}

#[derive(Debug)]
struct Announced {
    interfaces: Interfaces,
    counters: Arc<AddressCounters>,
    phase: Phase,
    conflicts: Conflicts,
    /// Way is given to a fellow that has it too.
    rivalry: Option<Rivalry>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// Not ours yet. Whoever has it would have answered the probes that are out.
    Asking {
        probes: u8,
        was_refused: bool,
    },
    /// Somebody has it. It is asked for again when its next turn comes.
    Refused,
    Ours {
        repeat_until: Instant,
    },
    /// Ours as long as no fellow answers the probes that are out.
    Doubted {
        probes: u8,
    },
    /// Not ours any more, and answered for until whoever has it now is heard.
    Yielding,
}

impl Responder {
    pub fn new(options: Options, counters: Arc<Counters>, now: Instant) -> Responder {
        Responder {
            interfaces: BTreeMap::new(),
            addresses: BTreeMap::new(),
            groups: BTreeMap::new(),
            own: BTreeSet::new(),
            fellows: BTreeSet::new(),
            schedule: Schedule::new(now),
            refresh: options.refresh,
            random: Random::new(options.seed),
            counters,
            outputs: VecDeque::new(),
        }
    }

    /// What is to be heard of, in order: announced, or asked for.
    pub fn addresses(&self) -> impl Iterator<Item = IpAddr> {
        self.addresses.keys().copied()
    }

    fn interface(&mut self, interface: &Interface, now: Instant) {
        let index = interface.index;
        if self.interfaces.len() >= LIMITS.interfaces && !self.interfaces.contains_key(&index) {
            return self.counters.count_drops(DropReason::Limit, 1);
        }
        let before = self.interfaces.insert(index, interface.clone());
        let receives = |it: &&Interface| it.ndp;
        if interface.ndp && before.as_ref().filter(receives).is_none() {
            let joins = self.groups.keys().map(|&group| Output::Join { interface: index, group });
            self.outputs.extend(joins);
        }
        let is_news = |address: &IpAddr, announced: &Announced| {
            let differs = before.as_ref().is_none_or(|before| {
                !announced.is_on(*address, before)
                    || before.station != interface.station
                    || (interface.running && !before.running)
            });
            differs && announced.is_ours() && announced.is_on(*address, interface)
        };
        for (address, announced) in &mut self.addresses {
            if is_news(address, announced) {
                // Again for a while, because a switch may not forward yet what comes first.
                announced.phase = Phase::Ours { repeat_until: now + TIMES.window };
                announced.conflicts.take_rival();
                self.schedule.at_once(*address, Scope::On(index));
                self.schedule.later(*address, Later::Round, now + TIMES.round);
            }
        }
    }

    fn announce(
        &mut self,
        address: IpAddr,
        interfaces: Interfaces,
        probe: bool,
        counters: Arc<AddressCounters>,
        now: Instant,
    ) {
        let Some(announced) = self.addresses.get_mut(&address) else {
            return self.announce_first(address, interfaces, probe, counters, now);
        };
        let before = std::mem::replace(&mut announced.interfaces, interfaces);
        let is_more = |it: &Interface| announced.interfaces.contain(&it.name) && !before.contain(&it.name);
        let is_new = match announced.phase {
            Phase::Yielding => true,
            Phase::Ours { .. } => self.interfaces.values().any(is_more),
            Phase::Asking { .. } | Phase::Refused | Phase::Doubted { .. } => false,
        };
        if is_new {
            self.claim(address, now);
        }
    }

    fn announce_first(
        &mut self,
        address: IpAddr,
        interfaces: Interfaces,
        probe: bool,
        counters: Arc<AddressCounters>,
        now: Instant,
    ) {
        if self.addresses.len() >= LIMITS.addresses {
            self.counters.count_drops(DropReason::Limit, 1);
            return self.outputs.push_back(Output::Event(Event::TooMany { address }));
        }
        let phase = Phase::Asking { probes: 0, was_refused: false };
        self.addresses.insert(
            address,
            Announced { interfaces, counters, phase, conflicts: Conflicts::default(), rivalry: None },
        );
        self.join(address);
        if probe {
            self.schedule.later(address, Later::Round, now);
        } else {
            self.claim(address, now);
        }
    }

    fn withdraw(&mut self, address: IpAddr) {
        if self.addresses.remove(&address).is_some() {
            self.schedule.forget(address);
            self.leave(address);
        }
    }

    fn announce_again(&mut self, address: IpAddr, now: Instant) {
        // Also one that is doubted: whoever says so has decided meanwhile that it is ours.
        let is_ours = |it: &Announced| matches!(it.phase, Phase::Ours { .. } | Phase::Doubted { .. });
        if self.addresses.get(&address).is_some_and(is_ours) {
            self.claim(address, now);
        }
    }

    fn join(&mut self, address: IpAddr) {
        let IpAddr::V6(address) = address else { return };
        let group = ndp::solicited_node_group(address);
        let users = self.groups.entry(group).or_default();
        *users += 1;
        if *users == 1 {
            let receiving = self.interfaces.values().filter(|interface| interface.ndp);
            self.outputs.extend(receiving.map(|it| Output::Join { interface: it.index, group }));
        }
    }

    fn leave(&mut self, address: IpAddr) {
        let IpAddr::V6(address) = address else { return };
        let group = ndp::solicited_node_group(address);
        let Some(users) = self.groups.get_mut(&group) else { return };
        *users -= 1;
        if *users == 0 {
            self.groups.remove(&group);
            let receiving = self.interfaces.values().filter(|interface| interface.ndp);
            self.outputs.extend(receiving.map(|it| Output::Leave { interface: it.index, group }));
        }
    }

    /// At most as many as are remembered; what is beyond is counted.
    fn stations(&self, mut stations: BTreeSet<MacAddress>) -> BTreeSet<MacAddress> {
        while stations.len() > LIMITS.stations {
            stations.pop_last();
            self.counters.count_drops(DropReason::Limit, 1);
        }
        stations
    }
}

impl Machine for Responder {
    type Input = Input;
    type Output = Output;
    type State = Counters;

    fn handle(&mut self, input: Input, now: Instant) {
        match input {
            Input::Interface(interface) => self.interface(&interface, now),
            Input::InterfaceGone(index) => drop(self.interfaces.remove(&index)),
            Input::Announce { address, interfaces, probe, counters } => {
                self.announce(address, interfaces, probe, counters, now);
            }
            Input::Withdraw(address) => self.withdraw(address),
            Input::Yield { address, until } => self.begin_to_yield(address, until, now),
            Input::Again => {
                let addresses: Vec<IpAddr> = self.addresses.keys().copied().collect();
                addresses.into_iter().for_each(|address| self.announce_again(address, now));
            }
            Input::AnnounceAgain(address) => self.announce_again(address, now),
            Input::GiveWay(address) => self.give_way(address, now),
            Input::Own(stations) => self.own = self.stations(stations),
            Input::Fellows(stations) => self.fellows = self.stations(stations),
        }
        self.send_rounds(now);
    }

    fn handle_timeout(&mut self, now: Instant) {
        self.send_rounds(now);
    }

    fn deadline(&self) -> Option<Instant> {
        self.schedule.deadline()
    }

    fn poll(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    fn state(&self) -> &Counters {
        &self.counters
    }
}

impl Announced {
    fn is_ours(&self) -> bool {
        matches!(self.phase, Phase::Ours { .. })
    }

    fn is_answered_for(&self) -> bool {
        matches!(self.phase, Phase::Ours { .. } | Phase::Doubted { .. } | Phase::Yielding)
    }

    /// Whether this interface speaks the address's protocol, and is one of those that it is announced on.
    fn is_on(&self, address: IpAddr, interface: &Interface) -> bool {
        let speaks = if address.is_ipv4() { interface.arp } else { interface.ndp };
        speaks && self.interfaces.contain(&interface.name)
    }
}
