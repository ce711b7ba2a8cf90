//! The thread: waits for whatever comes first, hands it to the machine, and does what the machine says.

mod fellows;
mod interfaces;

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::time::{Duration, Instant};

use protocol::Machine;
use protocol::l2::{self, AddressCounters, DropReason, Event, Input, Output, Responder};
use rustix::event::epoll;
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::{mpsc, watch};

use super::links::Known;
use super::ports::Ports;
use super::{Change, Claim, Counters, Gate, Links, News, Options};
use crate::netlink::{Changes, Route};
use crate::own_thread::{self, Next, Told};
use fellows::Fellows;

/// Events of the poll that are looked at in one go.
const EVENTS: usize = 64;
/// Above what everything else on the node has, where that is permitted.
const NICENESS: i32 = -10;
/// Everything is listed anew so often, though every change is told.
const LISTING: Duration = Duration::from_secs(10);
/// An interface that fell silent without a word is looked at again.
const SECOND_LOOK: Duration = Duration::from_millis(100);

const KEY_COMMANDS: u64 = 1;
const KEY_CHANGES: u64 = 2;

#[derive(Debug)]
pub(super) enum Command {
    Apply(Vec<(Change, Option<Arc<AddressCounters>>)>),
    News(mpsc::Sender<News>),
    /// Answered when all that was told before is done.
    #[cfg(test)]
    Settle(std::sync::mpsc::Sender<()>),
}

pub(super) type Running = own_thread::Running<Command>;

/// The sockets that every node needs are opened here, so that it fails where somebody sees it.
pub(super) fn start(
    options: Options,
    counters: &Counters,
    links: watch::Sender<Arc<Links>>,
    gate: Arc<Gate>,
) -> io::Result<Running> {
    let make = |told| Thread::new(options, counters, (links, gate), told);
    own_thread::start("layer2", make, Thread::run)
}

struct Thread {
    options: Options,
    totals: Arc<l2::Counters>,
    told: Told<Command>,
    route: Route,
    changes: Changes,
    ports: Ports,
    responder: Responder,
    known: Known,
    /// Interfaces as the responder knows them.
    shown: BTreeMap<u32, l2::Interface>,
    links: watch::Sender<Arc<Links>>,
    gate: Arc<Gate>,
    published: Arc<Links>,
    fellows: Fellows,
    news: Option<mpsc::Sender<News>>,
    list_at: Instant,
    /// Whether the kernel's filters lag behind what is announced.
    addresses_changed: bool,
}

impl Thread {
    fn new(
        options: Options,
        counters: &Counters,
        (links, gate): (watch::Sender<Arc<Links>>, Arc<Gate>),
        told: Told<Command>,
    ) -> io::Result<Thread> {
        let now = Instant::now();
        let poll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        let changes = Changes::open()?;
        for (descriptor, key) in [(told.descriptor(), KEY_COMMANDS), (changes.as_fd(), KEY_CHANGES)] {
            epoll::add(&poll, descriptor, epoll::EventData::new_u64(key), epoll::EventFlags::IN)?;
        }
        let mut seed = [0; 8];
        getrandom::fill(&mut seed).map_err(io::Error::other)?;
        let machine = l2::Options { refresh: options.refresh, seed: u64::from_ne_bytes(seed) };
        let mut thread = Thread {
            responder: Responder::new(machine, counters.totals(), now),
            options,
            totals: counters.totals(),
            told,
            route: Route::open()?,
            changes,
            ports: Ports::new(poll),
            known: Known::default(),
            shown: BTreeMap::new(),
            links,
            gate,
            published: Arc::default(),
            fellows: Fellows::default(),
            news: None,
            list_at: now + LISTING,
            addresses_changed: false,
        };
        thread.known = Known::list(&mut thread.route)?;
        thread.follow_links(&BTreeSet::new(), now);
        Ok(thread)
    }

    fn run(mut self) {
        if let Err(error) = rustix::process::setpriority_process(None, NICENESS) {
            tracing::debug!(%error, "layer 2 runs at normal priority");
        }
        let mut events = Vec::with_capacity(EVENTS);
        loop {
            self.flush();
            if let Err(error) = self.wait(&mut events) {
                tracing::error!(%error, "layer 2 ends: it cannot wait");
                return;
            }
            let now = Instant::now();
            for event in events.drain(..) {
                match event.data.u64() {
                    KEY_COMMANDS => {
                        // What was prepared before is not to pass a gate that is opened by what comes now.
                        self.flush();
                        if !self.take_commands(now) {
                            return;
                        }
                    }
                    KEY_CHANGES => self.take_changes(now),
                    key => self.take_frames(key, now),
                }
            }
            if self.list_at <= now {
                self.list(now);
            }
            if self.responder.deadline().is_some_and(|deadline| deadline <= now) {
                self.responder.handle_timeout(now);
            }
        }
    }

    fn wait(&self, events: &mut Vec<epoll::Event>) -> io::Result<()> {
        let until = self.responder.deadline().map_or(self.list_at, |deadline| deadline.min(self.list_at));
        let time = until.saturating_duration_since(Instant::now());
        // Whole milliseconds, so that what is due soon is done in one go.
        let millis = time.as_micros().div_ceil(1000) as u64;
        own_thread::wait(self.ports.poll(), Duration::from_millis(millis), events)
    }

    /// Says whether anybody is left who could tell anything.
    fn take_commands(&mut self, now: Instant) -> bool {
        self.told.begin();
        loop {
            match self.told.next() {
                Next::Command(Command::Apply(changes)) => {
                    changes.into_iter().for_each(|(change, counters)| self.apply(change, counters, now));
                }
                Next::Command(Command::News(sender)) => self.news = Some(sender),
                #[cfg(test)]
                Next::Command(Command::Settle(done)) => {
                    self.flush();
                    let _ = done.send(());
                }
                Next::Nothing => return true,
                Next::End => return false,
            }
        }
    }

    fn apply(&mut self, change: Change, counters: Option<Arc<AddressCounters>>, now: Instant) {
        let input = match change {
            Change::Announce { address, interfaces, claim } => {
                let probe = self.options.probe_before_claim && claim == Claim::Fresh;
                Input::Announce { address, interfaces, probe, counters: counters.unwrap_or_default() }
            }
            Change::Withdraw { address } => Input::Withdraw(address),
            Change::Yield { address, within } => Input::Yield { address, until: now + within },
            Change::Again => Input::Again,
            Change::GiveWay { address } => Input::GiveWay(address),
            Change::AnnounceAgain { addresses } => {
                for address in addresses {
                    self.responder.handle(Input::AnnounceAgain(address), now);
                }
                return;
            }
            Change::Fellows { stations, addresses } => {
                let stations = self.fellows.set(stations, addresses, &mut self.route);
                return self.responder.handle(Input::Fellows(stations), now);
            }
            Change::Decided(decision) => return self.gate.is_decided(decision),
        };
        self.addresses_changed = true;
        self.responder.handle(input, now);
    }

    fn take_frames(&mut self, key: u64, now: Instant) {
        let Some((index, protocol)) = Ports::of_key(key) else { return };
        let responder = &mut self.responder;
        let received = self.ports.receive(index, protocol, |frame| responder.receive(index, frame, now));
        if let Err(error) = received {
            tracing::debug!(index, %error, "nothing more is heard of an interface");
            self.forget(index, now);
            self.list_at = self.list_at.min(now + SECOND_LOOK);
        }
    }

    /// Does what the machine wants done. What is announced is heard of before anybody is told that it is.
    fn flush(&mut self) {
        self.follow_addresses();
        while let Some(output) = self.responder.poll() {
            match output {
                // Asked for each frame: between two of them the process may have been stopped for any time.
                Output::Send { .. } if !self.gate.is_open() => {
                    self.totals.count_drops(DropReason::GateClosed, 1);
                }
                Output::Send { interface, frame } => {
                    if let Err(error) = self.ports.send(interface, &frame) {
                        tracing::trace!(interface, %error, "a frame was not sent");
                        self.totals.count_drops(DropReason::SendFailed, 1);
                    }
                }
                Output::Join { interface, group } => self.ports.join(interface, group),
                Output::Leave { interface, group } => self.ports.leave(interface, group),
                Output::Event(event) => {
                    // The machine has withdrawn it by itself.
                    self.addresses_changed |= matches!(event, Event::Yielded { .. });
                    self.tell(&event);
                }
            }
        }
        self.follow_addresses();
    }

    fn follow_addresses(&mut self) {
        if std::mem::take(&mut self.addresses_changed) {
            self.ports.listen_for(&self.responder.addresses().collect::<Vec<_>>());
        }
    }

    fn tell(&mut self, event: &Event) {
        let news = self.news(event);
        let Some(sender) = &self.news else { return };
        match sender.try_send(news) {
            Ok(()) => {}
            Err(TrySendError::Full(_)) => self.totals.count_drops(DropReason::NewsFull, 1),
            Err(TrySendError::Closed(_)) => self.news = None,
        }
    }

    fn news(&mut self, event: &Event) -> News {
        let name = |index| self.shown.get(&index).map_or_else(|| index.to_string(), |it| it.name.clone());
        match *event {
            Event::Conflict { address, interface, station, fellow } => {
                let interface = name(interface);
                let fellow = fellow || self.is_fellow_after_all(station);
                let fellow_address = self.fellows.address_of(station);
                News::Conflict { address, interface, station, fellow, fellow_address }
            }
            Event::Wanted { address, interface, station } => {
                News::Wanted { address, interface: name(interface), station }
            }
            Event::ClaimRefused { address, interface, station, fellow } => {
                let interface = name(interface);
                let fellow_address = self.fellows.address_of(station);
                News::ClaimRefused { address, interface, station, fellow, fellow_address }
            }
            Event::Claimed { address } => News::Claimed { address },
            Event::TooMany { address } => News::TooMany { address },
            Event::Yielded { address, heard } => News::Yielded { address, heard },
        }
    }
}
