//! All nodes, the network between them, and the one queue of what happens next.

use std::cmp::{Ordering, Reverse};
use std::collections::{BTreeSet, BinaryHeap, HashMap};
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::{Duration, Instant};

use protocol::Machine;
use protocol::member::{Detection, Event, Input, Isolated, Key, Members, Options, Output};

use super::answering::YIELD;
use super::attacks::OVERHEARD;
use super::checks::Violation;
use super::clock::{Clock, NEVER, Time};
use super::history::History;
use super::network::{Network, Weather};
use super::ownership::Election;
use super::random::Random;
use super::scenario::Fault;
use super::speaker::{QUEUE, Speaker, address_of, name_of};

/// Of IPv4 and UDP.
const HEADERS: u64 = 28;
/// Who has the name of another comes later.
const DOUBLES_AFTER: Duration = Duration::from_secs(4);
/// From the moment something is due until a thread runs that does it.
const LATENCY: [Duration; 2] = [Duration::from_micros(10), Duration::from_micros(400)];

#[derive(Debug, Clone)]
pub(crate) struct Setup {
    pub(crate) seed: u64,
    pub(crate) nodes: usize,
    pub(crate) addresses: usize,
    pub(crate) detection: Detection,
    pub(crate) isolated: Isolated,
    pub(crate) weather: Weather,
    /// A node is told of all others at its start; if not, of a few.
    pub(crate) knows_all: bool,
    /// How many millionths clocks differ from each other at most.
    pub(crate) drift: u64,
    /// Nodes that have the name of the first ones, or another key than all others.
    pub(crate) doubles: usize,
    pub(crate) strangers: usize,
    /// Measure how long the machines take.
    pub(crate) is_timed: bool,
}

pub(crate) enum Happening {
    Start { who: usize, life: u32 },
    Ready { who: usize, life: u32 },
    Arrival { to: SocketAddr, from: SocketAddr, bytes: Rc<[u8]> },
    Turn { who: usize },
    Reconsider { who: usize },
    Round { who: usize, life: u32, addresses: Rc<[usize]>, left: u32 },
    Announcement { to: usize, by: usize, addresses: Rc<[usize]> },
    YieldEnds { who: usize },
    GateEnds { who: usize },
    Ends { who: usize, life: u32 },
    Hiccup { who: usize, longest: Duration, until: Time },
    Woken { who: usize },
    Fault(Fault),
    Look,
}

pub(crate) struct World {
    pub(crate) setup: Setup,
    pub(crate) now: Time,
    pub(crate) speakers: Vec<Speaker>,
    pub(crate) network: Network,
    pub(crate) election: Election,
    /// Who claims each address, whether it may answer or not.
    pub(crate) claimants: Vec<Vec<usize>>,
    /// Whose announcement a client beside each node heard last, for each address.
    pub(crate) caches: Vec<Vec<u16>>,
    pub(crate) history: History,
    pub(crate) random: Random,
    pub(crate) violation: Option<Violation>,
    /// Before that something may be unsettled.
    pub(crate) settled_at: Time,
    /// Before that two may answer, as one gives to the other what it had. Somebody has to.
    pub(crate) moves_settled_at: Time,
    /// Before that clients may have heard two that announced the same at the same time.
    pub(crate) clients_settled_at: Time,
    /// Something about who answers.
    pub(crate) has_changed: bool,
    is_unchecked: bool,
    /// When the network last changed.
    pub(crate) reconnected_at: Time,
    pub(crate) groups: Option<Vec<Option<usize>>>,
    pub(crate) figures: Figures,
    /// What an attacker has heard.
    pub(crate) overheard: Vec<(SocketAddr, SocketAddr, Rc<[u8]>)>,
    pub(crate) is_overheard: bool,
    /// Addresses that two nodes that hear each other both take for theirs, and answer for.
    pub(crate) double_since: HashMap<usize, Time>,
    reach: HashMap<SocketAddr, usize>,
    queue: BinaryHeap<Reverse<Entry>>,
    entries: u64,
}

#[derive(Debug, Default)]
pub(crate) struct Figures {
    /// From the fault until the first frame of a successor, for each address.
    pub(crate) takeovers: Vec<Duration>,
    pub(crate) lost_at: HashMap<usize, (usize, Time)>,
    /// For the longest time two that hear each other both took an address for theirs, and answered.
    pub(crate) longest_double: Duration,
    pub(crate) downs: usize,
    pub(crate) suspicions: usize,
    pub(crate) refuted: usize,
    pub(crate) moves: usize,
}

impl World {
    pub(crate) fn new(setup: Setup) -> World {
        let mut random = Random::new(setup.seed);
        let all = setup.nodes + setup.doubles + setup.strangers;
        let base = Instant::now();
        let mut speakers = Vec::new();
        for number in 0..all {
            let clock = Clock::new(base + random.millis(0, 5_000_000), drift(setup.drift, &mut random));
            let is_double = (setup.nodes..setup.nodes + setup.doubles).contains(&number);
            let of_name = if is_double { number - setup.nodes } else { number };
            let mut speaker = Speaker::new(number, of_name, clock, setup.addresses);
            speaker.key = if number >= setup.nodes + setup.doubles { 1000 } else { 0 };
            speakers.push(speaker);
        }
        let names: Vec<_> = (0..all).map(name_of).collect();
        World {
            now: Time::ZERO,
            network: Network::new(all, setup.weather),
            election: Election::new(&names, setup.addresses),
            claimants: vec![Vec::new(); setup.addresses],
            caches: vec![vec![u16::MAX; setup.addresses]; all],
            history: History::new(all > 20),
            violation: None,
            settled_at: Time::ZERO,
            moves_settled_at: Time::ZERO,
            clients_settled_at: Time::ZERO,
            has_changed: false,
            is_unchecked: false,
            double_since: HashMap::new(),
            reconnected_at: Time::ZERO,
            groups: None,
            figures: Figures::default(),
            overheard: Vec::new(),
            is_overheard: false,
            reach: HashMap::new(),
            queue: BinaryHeap::new(),
            entries: 0,
            speakers,
            random,
            setup,
        }
    }

    pub(crate) fn at(&mut self, at: Time, happening: Happening) {
        self.entries += 1;
        self.queue.push(Reverse(Entry { at: at.max(self.now), number: self.entries, happening }));
    }

    /// Until then, or until something is wrong.
    pub(crate) fn run(&mut self, until: Time) {
        while self.violation.is_none() && self.queue.peek().is_some_and(|Reverse(entry)| entry.at <= until) {
            let Reverse(entry) = self.queue.pop().expect("just seen");
            self.now = entry.at;
            self.happen(entry.happening);
            if std::mem::take(&mut self.has_changed) {
                self.is_unchecked = true;
                self.see_doubles();
            }
            if self.is_unchecked && self.now >= self.settled_at {
                self.is_unchecked = false;
                self.check_answers();
            }
        }
        self.now = self.now.max(until);
    }

    fn happen(&mut self, happening: Happening) {
        match happening {
            Happening::Start { who, life } if self.speakers[who].life == life => self.start(who),
            Happening::Ready { who, life } if self.speakers[who].life == life => self.ready(who, true),
            Happening::Start { .. } | Happening::Ready { .. } => {}
            Happening::Arrival { to, from, bytes } => self.arrive(to, from, bytes),
            Happening::Turn { who } if self.speakers[who].turn_at == self.now => self.turn(who),
            Happening::Turn { .. } => {}
            Happening::Reconsider { who } if self.speakers[who].reconsider_at == self.now => {
                self.reconsider(who);
            }
            Happening::Reconsider { .. } => {}
            Happening::Round { who, life, addresses, left } if self.speakers[who].life == life => {
                self.round(who, &addresses, left);
            }
            Happening::Round { .. } => {}
            Happening::Announcement { to, by, addresses } => self.hear(to, by, &addresses),
            Happening::YieldEnds { who } => self.end_yields(who),
            Happening::GateEnds { who } => self.watch_gate(who),
            Happening::Ends { who, life } if self.speakers[who].life == life => self.end(who),
            Happening::Ends { .. } => {}
            Happening::Hiccup { who, longest, until } => self.hiccup(who, longest, until),
            Happening::Fault(fault) => self.apply(&fault),
            Happening::Woken { who } => self.woken(who),
            Happening::Look => self.look(),
        }
    }

    // ---- a speaker starts and ends ----

    /// The process begins. Until it is said where others are, and that it is ready, it is no candidate.
    fn start(&mut self, who: usize) {
        let reach = self.peers_of(who);
        let key = key(self.speakers[who].key);
        let seed = self.random.draw();
        let speaker = &mut self.speakers[who];
        self.reach.insert(speaker.address, who);
        let options = Options {
            name: speaker.name.clone(),
            address: speaker.address,
            generation: speaker.generation,
            detection: self.setup.detection,
            isolated: self.setup.isolated,
            key,
            seed,
        };
        let now = speaker.clock.read(self.now);
        speaker.members = Some(Members::new(options, now));
        self.history.tell(
            self.now,
            format_args!(
                "{who} starts as {}, generation {}",
                self.speakers[who].name, self.speakers[who].generation
            ),
        );
        self.input(who, Input::Peers(reach));
        if self.speakers[who].life > 0 {
            self.look_up_peers();
        }
        let life = self.speakers[who].life;
        let ready = self.now + self.random.millis(0, 1500);
        self.at(ready, Happening::Ready { who, life });
        self.settle(ready - self.now);
        self.groups = None;
    }

    pub(crate) fn ready(&mut self, who: usize, is_ready: bool) {
        if self.speakers[who].is_running() {
            let bound = self.join_bound();
            self.speakers[who].excused_until = self.now + bound;
            self.settle(bound);
            self.history.tell(self.now, format_args!("{who} ready: {is_ready}"));
            self.speakers[who].is_ready = is_ready;
            self.input(who, Input::Ready(is_ready));
        }
    }

    /// What was planned is done: it says so, and is gone.
    fn end(&mut self, who: usize) {
        if self.speakers[who].is_running() {
            self.history.tell(self.now, format_args!("{who} has left"));
            self.input(who, Input::Left);
            self.stop(who);
        }
    }

    pub(crate) fn stop(&mut self, who: usize) {
        self.unclaim_all(who);
        self.reach.remove(&self.speakers[who].address);
        self.speakers[who].clock.go_on(self.now);
        self.speakers[who].stop();
        self.groups = None;
    }

    /// Everybody is told where the others are now.
    fn look_up_peers(&mut self) {
        for who in 0..self.speakers.len() {
            let reach = self.peers_of(who);
            self.input(who, Input::Peers(reach));
        }
    }

    fn peers_of(&mut self, who: usize) -> BTreeSet<SocketAddr> {
        if self.setup.knows_all {
            return self.speakers.iter().map(|speaker| speaker.address).collect();
        }
        // In a ring of those that run, so that everybody can find everybody.
        let all = self.speakers.len();
        let mut after = (1..all).map(|steps| (who + steps) % all);
        let next = after.find(|other| self.speakers[*other].is_running());
        let others = [next.unwrap_or((who + 1) % all), self.random.below(all)];
        others.iter().map(|other| self.speakers[*other].address).collect()
    }

    // ---- its thread runs ----

    /// Something that does not come over the network. As a driver does, what has arrived is handed over at the next turn.
    pub(crate) fn input(&mut self, who: usize, input: Input) {
        let speaker = &mut self.speakers[who];
        if !speaker.is_awake(self.now) {
            return speaker.inputs.push(input);
        }
        let Some(members) = speaker.members.as_mut() else { return };
        members.handle(input, speaker.clock.read(self.now));
        self.drain(who);
    }

    fn arrive(&mut self, to: SocketAddr, from: SocketAddr, bytes: Rc<[u8]>) {
        let Some(&who) = self.reach.get(&to) else { return };
        let speaker = &mut self.speakers[who];
        if speaker.queue.len() < QUEUE && speaker.is_running() {
            speaker.traffic.datagrams_received += 1;
            speaker.traffic.bytes += bytes.len() as u64 + HEADERS;
            speaker.queue.push_back((from, bytes));
            self.request_turn(who, self.now);
        }
    }

    pub(crate) fn request_turn(&mut self, who: usize, due: Time) {
        let latency = self.random.between(LATENCY[0], LATENCY[1]);
        let speaker = &mut self.speakers[who];
        let at =
            due.max(self.now).max(speaker.asleep_until).max(speaker.frozen_until).saturating_add(latency);
        if at < speaker.turn_at && at != NEVER {
            speaker.turn_at = at;
            self.at(at, Happening::Turn { who });
        }
    }

    fn turn(&mut self, who: usize) {
        self.speakers[who].turn_at = NEVER;
        if !self.speakers[who].is_awake(self.now) {
            return self.request_turn(who, self.now);
        }
        let began = self.setup.is_timed.then(Instant::now);
        let speaker = &mut self.speakers[who];
        let Some(members) = speaker.members.as_mut() else { return };
        let now = speaker.clock.read(self.now);
        if let Some(slept) = speaker.slept.take() {
            members.handle(Input::Slept(slept), now);
        }
        for input in speaker.inputs.drain(..) {
            members.handle(input, now);
        }
        for (from, bytes) in speaker.queue.drain(..) {
            members.handle(Input::Datagram { from, bytes: bytes.to_vec() }, now);
        }
        if members.deadline().is_some_and(|deadline| deadline <= now) {
            members.handle_timeout(now);
        }
        if let Some(began) = began {
            speaker.traffic.busy += began.elapsed();
        }
        self.drain(who);
    }

    /// Takes what the machine has to say, and sees when it wants to be called again.
    fn drain(&mut self, who: usize) {
        let mut has_changed = false;
        while let Some(output) = self.speakers[who].members.as_mut().and_then(Machine::poll) {
            match output {
                Output::Send { to, bytes } => self.send(who, to, &bytes.into()),
                Output::Event(event) => has_changed |= self.told(who, &event),
            }
        }
        self.see_gate(who);
        if has_changed {
            self.reconsider(who);
        }
        let speaker = &self.speakers[who];
        let Some(members) = &speaker.members else { return };
        if let Some(deadline) = members.deadline() {
            let due = speaker.clock.when(deadline);
            self.request_turn(who, due);
        }
    }

    /// Whether what is claimed has to be looked at now.
    fn told(&mut self, who: usize, event: &Event) -> bool {
        match event {
            Event::Candidates => {
                self.history.count(1);
                self.settle_moves(YIELD);
                // Where there are many, some changes are looked at together.
                let latest = Duration::from_millis(if self.history.is_brief() { 15 } else { 3 });
                let at = self.now + self.random.between(Duration::from_micros(200), latest);
                let speaker = &mut self.speakers[who];
                if speaker.reconsider_at == NEVER {
                    speaker.reconsider_at = at;
                    self.at(at, Happening::Reconsider { who });
                }
                return false;
            }
            Event::Suspected { .. } => self.figures.suspicions += 1,
            Event::Refuted { .. } => self.figures.refuted += 1,
            _ => {}
        }
        match event {
            Event::Down { .. } | Event::Isolated(_) => {
                self.history.tell(self.now, format_args!("{who} says {event:?}"));
            }
            _ => self.history.detail(self.now, format_args!("{who} says {event:?}")),
        }
        if let Event::Down { name, .. } = event {
            self.figures.downs += 1;
            self.check_accusation(who, name);
            return true;
        }
        if matches!(event, Event::Reunited { .. }) {
            // What is not owned any more must not be announced again.
            self.reconsider(who);
            self.announce_all(who);
        }
        matches!(event, Event::Leaving { .. })
    }

    fn send(&mut self, who: usize, to: SocketAddr, bytes: &Rc<[u8]>) {
        let speaker = &mut self.speakers[who];
        speaker.traffic.datagrams_sent += 1;
        speaker.traffic.bytes += bytes.len() as u64 + HEADERS;
        speaker.traffic.longest = speaker.traffic.longest.max(bytes.len());
        let from = speaker.address;
        self.history.count(bytes.len() as u64);
        if self.is_overheard && self.overheard.len() < OVERHEARD {
            self.overheard.push((from, to, Rc::clone(bytes)));
        }
        let Some(&receiver) = self.reach.get(&to) else { return };
        for delay in self.network.deliveries(who, receiver, &mut self.random).into_iter().flatten() {
            self.at(self.now + delay, Happening::Arrival { to, from, bytes: Rc::clone(bytes) });
        }
    }

    fn hiccup(&mut self, who: usize, longest: Duration, until: Time) {
        let length = self.random.between(Duration::from_millis(5), longest);
        let speaker = &mut self.speakers[who];
        speaker.asleep_until = speaker.asleep_until.max(self.now + length);
        self.see_gate(who);
        let next = self.now + length + self.random.millis(20, 400);
        if next < until {
            self.at(next, Happening::Hiccup { who, longest, until });
        }
    }
}

/// Any two with the same number are the same.
pub(crate) fn key(number: u32) -> Key {
    let mut bytes = [7; 32];
    bytes[..4].copy_from_slice(&number.to_be_bytes());
    Key::new(bytes)
}

pub(crate) fn first_start(world: &mut World) {
    for who in 0..world.speakers.len() {
        world.speakers[who].address = address_of(who);
        let is_double = (world.setup.nodes..world.setup.nodes + world.setup.doubles).contains(&who);
        let generation = 1_000_000 + world.random.draw() % 1000;
        world.speakers[who].generation = generation + if is_double { 10_000 } else { 0 };
        let at = world.random.millis(0, 300) + if is_double { DOUBLES_AFTER } else { Duration::ZERO };
        world.at(at, Happening::Start { who, life: 0 });
    }
}

fn drift(most: u64, random: &mut Random) -> i64 {
    let most = i64::try_from(most).expect("a small number");
    i64::try_from(random.draw() % (2 * most + 1).unsigned_abs()).expect("a small number") - most
}

struct Entry {
    at: Time,
    number: u64,
    happening: Happening,
}

impl Ord for Entry {
    fn cmp(&self, other: &Entry) -> Ordering {
        (self.at, self.number).cmp(&(other.at, other.number))
    }
}

impl PartialOrd for Entry {
    fn partial_cmp(&self, other: &Entry) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Entry {
    fn eq(&self, other: &Entry) -> bool {
        self.number == other.number
    }
}

impl Eq for Entry {}
