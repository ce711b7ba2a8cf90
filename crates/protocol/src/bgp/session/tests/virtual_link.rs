//! Two machines and what lies between them: connections that carry bytes in pieces of any size, late, and break at any moment.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::desk::ends;
use crate::bgp::capability::Family;
use crate::bgp::prefix::Prefix;
use crate::bgp::route::{Policy, Routes};
use crate::bgp::session::{ConnectionId, Input, Origin, Output, Phase, Session, Settings};
use crate::bgp::update::Form;
use crate::bgp::{EXTENDED_MESSAGE_BYTES, Message, frame};
use crate::random::Random;

/// What came in, and was told by whoever is there: prefix to MED.
type Heard = BTreeMap<Prefix, Option<u32>>;

#[derive(Default)]
struct Wire {
    /// As each side calls it; nothing before it has come about and after it is gone.
    ids: [Option<ConnectionId>; 2],
    is_open: bool,
    /// Nothing gets through any more.
    is_cut: bool,
    /// On the way to each side.
    under_way: [VecDeque<u8>; 2],
    /// Each side has closed it: what it had said still arrives.
    is_closed_by: [bool; 2],
    unread: [Vec<u8>; 2],
    heard: [Heard; 2],
}

struct Side {
    session: Session,
    accepted: u32,
    wanted: Heard,
    /// Connections that bytes may be sent over.
    live: BTreeSet<ConnectionId>,
}

pub(super) struct Link {
    sides: [Side; 2],
    wires: Vec<Wire>,
    pub(super) now: Instant,
    random: Random,
}

impl Link {
    pub(super) fn new(settings: [Settings; 2], seed: u64) -> Link {
        let now = Instant::now();
        let mut random = Random::new(seed);
        let sides = settings.map(|settings| {
            let mut session = Session::new(settings, random.draw(), now);
            session.handle(Input::Routes(Arc::default()), now);
            Side { session, accepted: 0, wanted: Heard::new(), live: BTreeSet::new() }
        });
        Link { sides, wires: Vec::new(), now, random }
    }

    pub(super) fn phases(&self) -> [Phase; 2] {
        [0, 1].map(|side| self.sides[side].session.state().phase)
    }

    /// Some routes for one side.
    pub(super) fn change_routes(&mut self) {
        let side = self.random.below(2);
        let mut wanted = Heard::new();
        for _ in 0..self.random.below(40) {
            let number = self.random.below(64) as u8;
            let (address, length) = match number % 2 {
                0 => (IpAddr::from([10, 1, side as u8, number]), 32),
                _ => (IpAddr::from([0x2001, 0xdb8, 1, 0, 0, 0, side as u16, number.into()]), 128),
            };
            let med = self.random.below(3) as u32;
            wanted.insert(Prefix::new(address, length).unwrap(), Some(med));
        }
        let route = |(prefix, med): (&Prefix, &Option<u32>)| {
            (*prefix, Arc::new(Policy { med: *med, ..Policy::default() }))
        };
        let routes = Routes::new(wanted.iter().map(route).collect());
        self.sides[side].wanted = wanted;
        self.give(side, Input::Routes(Arc::new(routes)));
    }

    /// Breaks one connection, if there is one: both notice, or nobody.
    pub(super) fn disturb(&mut self, may_cut: bool) {
        if self.wires.is_empty() {
            return;
        }
        let at = self.random.below(self.wires.len());
        if may_cut && self.random.below(4) == 0 {
            self.wires[at].is_cut = true;
            return;
        }
        let wire = self.wires.remove(at);
        for (side, id) in wire.ids.into_iter().enumerate() {
            let Some(connection) = id else { continue };
            self.sides[side].live.remove(&connection);
            let why = "reset".to_owned();
            let input = match wire.is_open {
                true => Input::Closed { connection, why },
                false => Input::Failed { connection, why },
            };
            self.give(side, input);
        }
    }

    pub(super) fn poke(&mut self, input: Input<'_>) {
        let side = self.random.below(2);
        self.give(side, input);
    }

    /// One thing that is under way arrives, or time passes. Says whether anything was under way.
    pub(super) fn step(&mut self) -> bool {
        self.now += Duration::from_micros(self.random.below(300) as u64);
        self.pass_deadlines();
        let all: Vec<(usize, usize)> = (0..self.wires.len())
            .flat_map(|wire| [(wire, 0), (wire, 1)])
            .filter(|it| self.can_move(*it))
            .collect();
        if all.is_empty() {
            let next = self.sides.iter().filter_map(|side| side.session.deadline()).min();
            self.now = next.map_or(self.now + Duration::from_secs(1), |next| next.max(self.now));
            self.pass_deadlines();
            return false;
        }
        let (wire, side) = all[self.random.below(all.len())];
        self.move_on(wire, side);
        self.wires.retain(|wire| wire.ids != [None, None]);
        true
    }

    /// Nothing is broken any more, and both have told all that they want to.
    pub(super) fn is_settled(&self) -> bool {
        let [left, right] = &self.sides;
        let wire = self.wires.iter().find(|wire| wire.ids.iter().all(Option::is_some) && !wire.is_cut);
        self.phases() == [Phase::Established; 2]
            && self.wires.len() == 1
            && wire.is_some_and(|wire| wire.heard[0] == right.wanted && wire.heard[1] == left.wanted)
    }

    pub(super) fn told(&self) -> [usize; 2] {
        [0, 1].map(|side| self.sides[side].session.state().told)
    }

    pub(super) fn wanted(&self) -> [usize; 2] {
        [0, 1].map(|side| self.sides[side].wanted.len())
    }

    fn can_move(&self, (wire, side): (usize, usize)) -> bool {
        let wire = &self.wires[wire];
        match wire.is_open {
            // Towards the one who waits.
            false => !wire.is_cut && wire.ids[side].is_none(),
            true => {
                let has_news = !wire.under_way[side].is_empty() || wire.is_closed_by[1 - side];
                !wire.is_cut && wire.ids[side].is_some() && has_news
            }
        }
    }

    fn move_on(&mut self, at: usize, side: usize) {
        let wire = &mut self.wires[at];
        if !wire.is_open {
            return self.come_about(at, side);
        }
        let Some(connection) = wire.ids[side] else { return };
        let waiting = wire.under_way[side].len();
        if waiting == 0 {
            wire.ids[side] = None;
            self.sides[side].live.remove(&connection);
            return self.give(side, Input::Closed { connection, why: "closed".to_owned() });
        }
        let most = if self.random.below(3) == 0 { waiting } else { waiting.min(40) };
        let count = 1 + self.random.below(most);
        let bytes: Vec<u8> = wire.under_way[side].drain(..count).collect();
        wire.hear(side, &bytes);
        if let Some(connection) = wire.ids[1 - side] {
            self.give(1 - side, Input::Written { connection, bytes: count });
        }
        self.give(side, Input::Received { connection, bytes: &bytes });
    }

    fn come_about(&mut self, at: usize, side: usize) {
        self.sides[side].accepted += 1;
        let connection = ConnectionId { origin: Origin::Theirs, number: self.sides[side].accepted };
        let wire = &mut self.wires[at];
        wire.is_open = true;
        wire.ids[side] = Some(connection);
        let other = wire.ids[1 - side];
        let first = self.random.below(2);
        for turn in [first, 1 - first] {
            let id = if turn == 0 { Some(connection) } else { other };
            let of = if turn == 0 { side } else { 1 - side };
            // It may have been given up meanwhile.
            let Some(connection) = id.filter(|id| self.wires.iter().any(|wire| wire.ids[of] == Some(*id)))
            else {
                continue;
            };
            self.sides[of].live.insert(connection);
            self.give(of, Input::Connected { connection, ends: ends() });
        }
    }

    fn pass_deadlines(&mut self) {
        for side in 0..2 {
            let session = &mut self.sides[side].session;
            if session.deadline().is_some_and(|deadline| deadline <= self.now) {
                session.handle_timeout(self.now);
                let next = session.deadline();
                assert!(next.is_none_or(|next| next > self.now), "time stands still");
                self.drain(side);
            }
        }
    }

    fn give(&mut self, side: usize, input: Input<'_>) {
        self.sides[side].session.handle(input, self.now);
        self.drain(side);
    }

    fn drain(&mut self, side: usize) {
        while let Some(output) = self.sides[side].session.poll() {
            match output {
                Output::Connect { connection } => {
                    let mut wire = Wire::default();
                    wire.ids[side] = Some(connection);
                    self.wires.push(wire);
                }
                Output::Send { connection, bytes } => {
                    assert!(self.sides[side].live.contains(&connection), "sent over what is closed");
                    let wire = self.wires.iter_mut().find(|wire| wire.ids[side] == Some(connection));
                    wire.expect("a wire").under_way[1 - side].extend(bytes);
                }
                Output::Close { connection } => {
                    let was_live = self.sides[side].live.remove(&connection);
                    let wire = self.wires.iter_mut().find(|wire| wire.ids[side] == Some(connection));
                    let wire = wire.expect("a wire");
                    assert_eq!(was_live, wire.is_open, "closed twice");
                    wire.ids[side] = None;
                    wire.is_closed_by[side] = true;
                    wire.under_way[side].clear();
                }
                Output::Event(_) => {}
            }
        }
        // Whoever had not been answered yet is never answered.
        self.wires.retain(|wire| wire.ids != [None, None]);
    }
}

impl Wire {
    fn hear(&mut self, side: usize, bytes: &[u8]) {
        let unread = &mut self.unread[side];
        unread.extend_from_slice(bytes);
        let form = Form {
            has_four_octets: true,
            has_long_messages: true,
            families: [Family::IPV4_UNICAST, Family::IPV6_UNICAST].into(),
            ..Form::default()
        };
        while let Some(frame) = frame(unread, EXTENDED_MESSAGE_BYTES).unwrap() {
            let done = frame.bytes;
            if let Message::Update(update) = Message::read(frame, &form).unwrap() {
                for (_, paths) in &update.withdrawn {
                    for path in paths.iter() {
                        self.heard[side].remove(&path.prefix);
                    }
                }
                for path in update.announced.iter().flat_map(|announced| announced.paths.iter()) {
                    self.heard[side].insert(path.prefix, update.attributes.med);
                }
            }
            unread.drain(..done);
        }
    }
}
