//! The loop: waits for whatever comes first, hands it to the machine that it is for, and does what that wants done.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::SocketAddr;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::time::{Duration, Instant};

use protocol::bgp::session::{Event, Stop};
use rustix::event::epoll;

use super::interfaces::Interfaces;
use super::lighthouse::Lighthouse;
use super::listener::{Listeners, Whose};
use super::peer::{Keys, Peer, Shared};
use super::view::{Answer, Question};
use super::{Endpoint, LIMITS, Neighbour, Options, fallback_router_id};
use crate::netlink::{self, Changes, Route};
use crate::own_thread::{self, Next, Told};

/// Events of the poll that are looked at in one go: all there are, because who has spoken is not to be taken for silent.
const EVENTS: usize = 8192;
/// Neighbours are told how it ends, and given so long to take note.
const FAREWELL: Duration = Duration::from_millis(1500);
/// An interface that could not be listened on, and other things that may mend themselves.
const TRY_AGAIN: Duration = Duration::from_secs(5);
/// What begins so long after the start of the process counts as restarted: neighbours may have kept what the one before it
/// said.
const RESTART_SHOWS: Duration = Duration::from_secs(120);
/// With nothing to do.
const IDLE: Duration = Duration::from_secs(60);
/// Above what else runs on the node, where that is permitted.
const NICENESS: i32 = -5;

const KEY_COMMANDS: u64 = 1;
const KEY_CHANGES: u64 = 2;
const KEY_LISTENERS: u64 = 16;
const KEY_LIGHTHOUSES: u64 = 1 << 32;
const KEY_CONNECTIONS: u64 = 1 << 33;

#[derive(Debug)]
pub(super) enum Command {
    Set(Vec<Neighbour>),
    Ask(Question),
    Reset { peer: Option<String>, text: String },
    End(Stop),
}

pub(super) type Running = own_thread::Running<Command>;
pub(super) type Teller = own_thread::Teller<Command>;

/// The sockets that it needs whoever its neighbours are is opened here, so that it fails where somebody sees it.
pub(super) fn start(options: Options) -> io::Result<Running> {
    own_thread::start("bgp", |told| Thread::new(options, told), Thread::run)
}

struct Thread {
    told: Told<Command>,
    route: Route,
    changes: Changes,
    shared: Shared,
    peers: BTreeMap<Arc<str>, Peer>,
    /// Those that were told last: one that has gone and comes back waits for its end.
    wanted: BTreeMap<Arc<str>, Neighbour>,
    listeners: Listeners,
    /// By the name of their interface.
    lighthouses: BTreeMap<String, Lighthouse>,
    started: Instant,
    try_again: Option<Instant>,
    ends_by: Option<Instant>,
}

impl Thread {
    fn new(options: Options, told: Told<Command>) -> io::Result<Thread> {
        let poll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        let changes = Changes::of_all_addresses()?;
        for (descriptor, key) in [(told.descriptor(), KEY_COMMANDS), (changes.as_fd(), KEY_CHANGES)] {
            epoll::add(&poll, descriptor, epoll::EventData::new_u64(key), epoll::EventFlags::IN)?;
        }
        let mut route = Route::open()?;
        let interfaces = Interfaces::list(&mut route)?;
        let mut listeners = Listeners::new(options.listen, KEY_LISTENERS);
        listeners.follow(&BTreeMap::new(), &poll);
        listeners.must_work()?;
        Ok(Thread {
            told,
            route,
            changes,
            shared: Shared {
                poll,
                interfaces,
                fallback_router_id: fallback_router_id(&options.node),
                keys: Keys::starting_at(KEY_CONNECTIONS),
                buffer: vec![0; 1 << 16],
            },
            peers: BTreeMap::new(),
            wanted: BTreeMap::new(),
            listeners,
            lighthouses: BTreeMap::new(),
            started: Instant::now(),
            try_again: None,
            ends_by: None,
        })
    }

    fn run(mut self) {
        if let Err(error) = rustix::process::setpriority_process(None, NICENESS) {
            tracing::debug!(%error, "BGP runs at normal priority");
        }
        let mut events = Vec::with_capacity(EVENTS);
        loop {
            let now = Instant::now();
            self.follow(now);
            if self.ends_by.is_some_and(|by| by <= now || self.peers.is_empty()) {
                return;
            }
            let time = self.deadline(now).saturating_duration_since(Instant::now());
            if let Err(error) = own_thread::wait(&self.shared.poll, time, &mut events) {
                return tracing::error!(%error, "BGP ends: it cannot wait");
            }
            let now = Instant::now();
            for event in events.drain(..) {
                match event.data.u64() {
                    KEY_COMMANDS => {
                        if !self.take_commands(now) && self.ends_by.is_none() {
                            return;
                        }
                    }
                    KEY_CHANGES => self.take_changes(now),
                    key if key > KEY_CONNECTIONS => self.take_bytes(key, now),
                    key if key >= KEY_LIGHTHOUSES => self.take_advertisements(key, now),
                    key => self.take_connections(key, now),
                }
            }
            self.handle_timeout(now);
        }
    }

    fn deadline(&self, now: Instant) -> Instant {
        if self.peers.values().any(|peer| peer.has_more) {
            return now;
        }
        let of_ranges = self.peers.iter().filter(|(name, _)| self.listeners.is_of_range(name));
        let of_ranges = of_ranges.filter_map(|(_, peer)| peer.gives_up_at());
        let of_peers = self.peers.values().filter_map(Peer::deadline).chain(of_ranges);
        let of_lighthouses = self.lighthouses.values().filter_map(Lighthouse::deadline);
        let others = [self.try_again, self.ends_by, self.listeners.deadline()].into_iter().flatten();
        of_peers.chain(of_lighthouses).chain(others).fold(now + IDLE, Instant::min)
    }

    fn handle_timeout(&mut self, now: Instant) {
        for peer in self.peers.values_mut() {
            if peer.deadline().is_some_and(|at| at <= now) || peer.is_going {
                peer.handle_timeout(&mut self.shared, now);
            }
        }
        self.listeners.handle_timeout(&mut self.shared.buffer, &self.shared.poll, now);
        for lighthouse in self.lighthouses.values_mut() {
            lighthouse.handle_timeout(now);
        }
        if self.try_again.is_some_and(|at| at <= now) {
            self.try_again = None;
            self.look_around(now);
        }
    }

    /// Says whether anybody is left who could tell anything.
    fn take_commands(&mut self, now: Instant) -> bool {
        self.told.begin();
        loop {
            match self.told.next() {
                Next::Command(Command::Set(neighbours)) => self.set(neighbours, now),
                Next::Command(Command::Ask(question)) => self.answer(question),
                Next::Command(Command::Reset { peer, text }) => {
                    let is_meant = |name: &str| peer.as_deref().is_none_or(|peer| peer == name);
                    for (_, peer) in self.peers.iter_mut().filter(|(name, _)| is_meant(name)) {
                        peer.reset(text.clone(), now);
                    }
                }
                Next::Command(Command::End(stop)) => {
                    self.ends_by = Some(now + FAREWELL);
                    self.wanted.clear();
                    self.peers.values_mut().for_each(|peer| peer.stop(stop.clone(), now));
                }
                Next::Nothing => return true,
                Next::End => return false,
            }
        }
    }

    fn set(&mut self, neighbours: Vec<Neighbour>, now: Instant) {
        if neighbours.len() > LIMITS.neighbours {
            tracing::error!(
                neighbours = neighbours.len(),
                most = LIMITS.neighbours,
                "too many BGP peers: the last are left out"
            );
        }
        let neighbours = neighbours.into_iter().take(LIMITS.neighbours);
        self.wanted = neighbours.map(|neighbour| (Arc::clone(&neighbour.name), neighbour)).collect();
        for (name, peer) in &mut self.peers {
            let of_range = self.listeners.range_of(name, &self.wanted);
            if peer.is_going {
                // If it is wanted again, it begins when this one has gone.
                continue;
            }
            match self.wanted.get(name).or(of_range.as_ref()) {
                Some(neighbour) if peer.neighbour != *neighbour => peer.change(neighbour.clone(), now),
                Some(_) => {}
                None => {
                    tracing::info!(peer = %name, "BGP peer is not configured any more");
                    peer.stop(Stop::Deconfigured, now);
                }
            }
        }
        self.look_around(now);
    }

    /// Begins what is wanted and not there.
    fn look_around(&mut self, now: Instant) {
        let is_missing = |(name, neighbour): &(&Arc<str>, &Neighbour)| {
            !self.peers.contains_key(*name) && !matches!(neighbour.endpoint, Endpoint::Range(_))
        };
        let missing: Vec<Neighbour> =
            self.wanted.iter().filter(is_missing).map(|(_, it)| it.clone()).collect();
        for neighbour in missing {
            self.begin(neighbour, now);
        }
        self.listeners.follow(&self.wanted, &self.shared.poll);
        if self.listeners.have_failed() {
            self.try_again = Some(now + TRY_AGAIN);
        }
        self.light(now);
    }

    fn begin(&mut self, neighbour: Neighbour, now: Instant) {
        tracing::info!(peer = %neighbour.name, endpoint = %neighbour.endpoint, "BGP peer is configured");
        let has_restarted = now < self.started + RESTART_SHOWS;
        let peer = Peer::new(neighbour, has_restarted, seed(), now, &self.shared);
        self.peers.insert(Arc::clone(&peer.neighbour.name), peer);
    }

    /// Looks for neighbours on the interfaces that some are named by, and on no others.
    fn light(&mut self, now: Instant) {
        let mut wanted = BTreeSet::new();
        for neighbour in self.wanted.values() {
            if let Endpoint::Interface(name) = &neighbour.endpoint {
                wanted.insert(name.clone());
            }
        }
        let interfaces = &self.shared.interfaces;
        self.lighthouses.retain(|name, it| wanted.contains(name) && interfaces.named(name) == Some(it.index));
        for name in wanted {
            let Some(index) = interfaces.named(&name) else { continue };
            // Before it has an address of its own there nothing could be said.
            if self.lighthouses.contains_key(&name) || interfaces.link_local(index).is_none() {
                continue;
            }
            let at = (&self.shared.poll, KEY_LIGHTHOUSES + u64::from(index));
            match Lighthouse::open(index, &name, interfaces.station(index), seed(), at, now) {
                Ok(lighthouse) => {
                    self.lighthouses.insert(name, lighthouse);
                }
                Err(error) => {
                    tracing::warn!(interface = name, %error, "no neighbours are looked for");
                    self.try_again = Some(now + TRY_AGAIN);
                }
            }
        }
    }

    fn take_changes(&mut self, now: Instant) {
        let (interfaces, mut has_changed) = (&mut self.shared.interfaces, false);
        match self.changes.read(&mut |message| has_changed |= interfaces.learn(message)) {
            Ok(netlink::Seen::Everything) => {}
            Ok(netlink::Seen::Overrun) => match Interfaces::list(&mut self.route) {
                Ok(listed) => (self.shared.interfaces, has_changed) = (listed, true),
                Err(error) => tracing::error!(%error, "interfaces cannot be listed"),
            },
            Err(error) => tracing::error!(%error, "changes of interfaces are not heard"),
        }
        if has_changed {
            self.peers.values_mut().for_each(|peer| peer.look_at_addresses(&self.shared, now));
            self.look_around(now);
        }
    }

    fn take_bytes(&mut self, key: u64, now: Instant) {
        let Some((name, connection)) = self.shared.keys.owner(key) else { return };
        if let Some(peer) = self.peers.get_mut(&name) {
            peer.is_ready(connection, &mut self.shared, now);
        }
    }

    fn take_advertisements(&mut self, key: u64, now: Instant) {
        let index = key - KEY_LIGHTHOUSES;
        let lighthouse = self.lighthouses.values_mut().find(|it| u64::from(it.index) == index);
        if let Some(lighthouse) = lighthouse {
            lighthouse.read(now);
        }
    }

    fn take_connections(&mut self, key: u64, now: Instant) {
        for (socket, remote, vrf) in self.listeners.accept(key, &self.shared.poll, now) {
            let at = |peer: &&mut Peer| peer.is_at(remote, &vrf, &self.shared);
            let mut name = self.peers.values_mut().find(at).map(|peer| Arc::clone(&peer.neighbour.name));
            if name.is_none() {
                let of_ranges = self.peers.keys();
                match self.listeners.whose(remote.ip(), &vrf, &self.wanted, of_ranges) {
                    Whose::Neighbour(neighbour) => {
                        name = Some(Arc::clone(&neighbour.name));
                        self.begin(*neighbour, now);
                    }
                    Whose::Nobody(why) => {
                        self.listeners.refuse((socket, remote), why, &self.shared.poll, now);
                        continue;
                    }
                }
            }
            let Some(peer) = name.and_then(|name| self.peers.get_mut(&name)) else { continue };
            if let Err(error) = peer.accept(socket, &mut self.shared, now) {
                tracing::info!(%remote, %error, "BGP connection is lost before it begins");
            }
        }
    }

    /// Does what the machines want done.
    fn follow(&mut self, now: Instant) {
        for (name, lighthouse) in &mut self.lighthouses {
            let Some(found) = lighthouse.follow() else { continue };
            tracing::info!(interface = name, neighbour = %found, "BGP neighbour is found");
        }
        let mut events = Vec::new();
        for (name, peer) in &mut self.peers {
            if let Endpoint::Interface(interface) = &peer.neighbour.endpoint
                && let Some(lighthouse) = self.lighthouses.get(interface)
                && let Some(found) = lighthouse.neighbour()
            {
                let index = lighthouse.index;
                peer.found(index, found.into(), &mut self.shared, now);
            }
            peer.follow(&mut self.shared, now, &mut events);
            events.drain(..).for_each(|event| tell(name, &event));
        }
        self.drop_ended(now);
    }

    /// Who is gone is forgotten, and begins anew if it is wanted again.
    fn drop_ended(&mut self, now: Instant) {
        let (listeners, wanted) = (&self.listeners, &self.wanted);
        let before = self.peers.len();
        self.peers.retain(|name, peer| {
            let is_over = peer.is_going || listeners.is_of_range(name) && peer.has_given_up(now);
            peer.has_connections() || !is_over
        });
        if self.peers.len() < before && self.ends_by.is_none() && !wanted.is_empty() {
            self.look_around(now);
        }
    }

    fn answer(&mut self, question: Question) {
        let seen = |peer: &Peer| Answer::of(peer, &self.shared, self.listeners.obstacle(&peer.neighbour));
        question.answer(&self.peers, seen);
    }
}

/// One line for each turn of a session, because people look for them.
fn tell(peer: &str, event: &Event) {
    match event {
        Event::Established { .. } => tracing::info!(peer, event = "bgpSessionUp", "{event}"),
        Event::Lost { .. } => tracing::warn!(peer, event = "bgpSessionDown", "{event}"),
        Event::Refused { .. } => tracing::warn!(peer, event = "bgpSessionRefused", "{event}"),
    }
}

fn seed() -> u64 {
    let mut seed = [0; 8];
    // What it is for must not be secret: that neighbours do not all do the same at once.
    let _ = getrandom::fill(&mut seed);
    u64::from_ne_bytes(seed)
}

impl std::fmt::Display for Endpoint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Endpoint::Address(address) => write!(f, "{address}"),
            Endpoint::Interface(name) => f.write_str(name),
            Endpoint::Range(range) => write!(f, "{range}"),
        }
    }
}

/// Where a connection is from.
pub(super) type Accepted = (socket2::Socket, SocketAddr, String);
