//! Two neighbours on one link that know no address of each other find each other by router advertisements (RFC 4861).
//!
//! One machine for each interface. It never offers itself as a router for anybody's traffic: the lifetime that it tells is
//! zero.

use std::collections::VecDeque;
use std::net::Ipv6Addr;
use std::time::{Duration, Instant};

use crate::l2::MacAddress;
use crate::random::Random;

/// RFC 4861, 4.1 and 4.2.
pub const SOLICITATION: u8 = 133;
pub const ADVERTISEMENT: u8 = 134;

/// What it says goes to all nodes, or to all routers.
pub const ALL_NODES: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1);
pub const ALL_ROUTERS: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 2);

/// The first ones come quickly, because somebody waits for them.
const FIRST: u8 = 3;
const FIRST_EVERY: Duration = Duration::from_secs(1);
const EVERY: Duration = Duration::from_secs(10);
/// Whoever asks is answered, but everybody together no more often.
const ANSWER_EVERY: Duration = Duration::from_millis(500);
/// Another one on the same link is taken for the neighbour if the one before is silent for so long.
const SILENCE: Duration = Duration::from_secs(35);

#[derive(Debug)]
pub struct Beacon {
    random: Random,
    state: State,
    own: Option<MacAddress>,
    /// How many of the first ones are left.
    first: u8,
    send_at: Option<Instant>,
    sent_at: Option<Instant>,
    heard_at: Option<Instant>,
    outputs: VecDeque<Output>,
}

#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct State {
    pub neighbour: Option<Ipv6Addr>,
    pub sent: u64,
    pub received: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Input<'a> {
    /// The interface can be used; what it is on the wire, if it is Ethernet.
    Up(Option<MacAddress>),
    Down,
    /// An ICMPv6 message that was not forwarded: its hop limit was 255, and its checksum right.
    Received {
        from: Ipv6Addr,
        message: &'a [u8],
    },
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Output {
    /// An ICMPv6 message, its checksum left out. To be sent with a hop limit of 255.
    Send { to: Ipv6Addr, message: Vec<u8> },
    /// Another one than before.
    Found(Ipv6Addr),
}

impl Beacon {
    pub fn new(seed: u64) -> Beacon {
        Beacon {
            random: Random::new(seed),
            state: State::default(),
            own: None,
            first: 0,
            send_at: None,
            sent_at: None,
            heard_at: None,
            outputs: VecDeque::new(),
        }
    }

    pub fn handle(&mut self, input: Input<'_>, now: Instant) {
        match input {
            Input::Up(station) => {
                self.own = station;
                self.first = FIRST;
                self.send_at = Some(now);
                // Whoever is there need not wait for its next one either.
                let message = message(SOLICITATION, &[0; 4], self.own);
                self.outputs.push_back(Output::Send { to: ALL_ROUTERS, message });
            }
            Input::Down => {
                self.send_at = None;
                self.state.neighbour = None;
            }
            Input::Received { from, message } => self.receive(from, message, now),
        }
    }

    fn receive(&mut self, from: Ipv6Addr, message: &[u8], now: Instant) {
        if self.send_at.is_none() {
            return;
        }
        match message.first() {
            Some(&SOLICITATION) if message.len() >= 8 => {
                let soon = self.sent_at.map_or(now, |sent| (sent + ANSWER_EVERY).max(now));
                self.send_at = self.send_at.map(|at| at.min(soon));
            }
            Some(&ADVERTISEMENT) if message.len() >= 16 && from.is_unicast_link_local() => {
                self.state.received += 1;
                let is_other = self.state.neighbour.is_some_and(|neighbour| neighbour != from);
                if is_other && self.heard_at.is_some_and(|at| now < at + SILENCE) {
                    return;
                }
                self.heard_at = Some(now);
                if self.state.neighbour.replace(from) != Some(from) {
                    self.outputs.push_back(Output::Found(from));
                }
            }
            _ => {}
        }
    }

    pub fn handle_timeout(&mut self, now: Instant) {
        if self.send_at.is_none_or(|at| at > now) {
            return;
        }
        // Hop limit and flags nothing, lifetime nothing, and no word on timers.
        let message = message(ADVERTISEMENT, &[0; 12], self.own);
        self.outputs.push_back(Output::Send { to: ALL_NODES, message });
        self.state.sent += 1;
        self.sent_at = Some(now);
        let every = if self.first > 1 { FIRST_EVERY } else { EVERY };
        self.first = self.first.saturating_sub(1);
        // RFC 4861, 6.2.4: not all at once.
        self.send_at = Some(now + self.random.part_of(every, 70, 100));
    }

    pub fn deadline(&self) -> Option<Instant> {
        self.send_at
    }

    pub fn poll(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    pub fn state(&self) -> &State {
        &self.state
    }
}

fn message(kind: u8, body: &[u8], station: Option<MacAddress>) -> Vec<u8> {
    let mut message = vec![kind, 0, 0, 0];
    message.extend_from_slice(body);
    if let Some(station) = station {
        // Source link-layer address, in units of eight octets (RFC 4861, 4.6.1).
        message.extend_from_slice(&[1, 1]);
        message.extend_from_slice(&station.0);
    }
    message
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(last: u16) -> Ipv6Addr {
        Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, last)
    }

    /// Hands over what each says to the other, each delayed by nothing.
    fn deliver(from: &mut Beacon, number: u16, to: &mut Beacon, now: Instant) -> Vec<Ipv6Addr> {
        let mut found = Vec::new();
        while let Some(output) = from.poll() {
            match output {
                Output::Send { message, .. } => {
                    to.handle(Input::Received { from: address(number), message: &message }, now);
                }
                Output::Found(neighbour) => found.push(neighbour),
            }
        }
        found
    }

    #[test]
    fn two_find_each_other_at_once_whoever_comes_first() {
        let begin = Instant::now();
        let (mut left, mut right) = (Beacon::new(1), Beacon::new(2));
        left.handle(Input::Up(Some(MacAddress([2, 0, 0, 0, 0, 1]))), begin);
        left.handle_timeout(begin);
        while left.poll().is_some() {}
        // The other one was not there to hear it, and comes a minute later.
        let later = begin + Duration::from_secs(60);
        left.handle_timeout(later);
        right.handle(Input::Up(None), later);
        right.handle_timeout(later);
        assert!(deliver(&mut right, 2, &mut left, later).is_empty());
        // Asked by it, the first answers within half a second.
        let answered = later + ANSWER_EVERY;
        assert!(left.deadline().unwrap() <= answered);
        left.handle_timeout(answered);
        assert_eq!(deliver(&mut left, 1, &mut right, answered), [address(2)]);
        assert_eq!(deliver(&mut right, 2, &mut left, answered), [address(1)]);
        assert_eq!(right.state().neighbour, Some(address(1)));
    }

    #[test]
    fn a_third_one_is_nobody_while_the_second_is_heard() {
        let begin = Instant::now();
        let mut beacon = Beacon::new(1);
        beacon.handle(Input::Up(None), begin);
        let advertisement = [ADVERTISEMENT, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
        let hear = |beacon: &mut Beacon, from: u16, seconds: u64| {
            let now = begin + Duration::from_secs(seconds);
            beacon.handle(Input::Received { from: address(from), message: &advertisement }, now);
            beacon.state().neighbour
        };
        assert_eq!(hear(&mut beacon, 2, 0), Some(address(2)));
        assert_eq!(hear(&mut beacon, 3, 30), Some(address(2)));
        assert_eq!(hear(&mut beacon, 3, 40), Some(address(3)), "silent for too long");
        let global = Input::Received { from: "2001:db8::1".parse().unwrap(), message: &advertisement };
        beacon.handle(global, begin + Duration::from_secs(100));
        assert_eq!(beacon.state().neighbour, Some(address(3)));
        beacon.handle(Input::Received { from: address(4), message: &[134, 0, 0] }, begin);
        beacon.handle(Input::Down, begin);
        assert_eq!((beacon.state().neighbour, beacon.deadline()), (None, None));
    }
}
