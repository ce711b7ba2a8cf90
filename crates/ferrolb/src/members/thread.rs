//! The thread: hears other speakers, hands what they say to the machine, and does what the machine says. Nothing else is to
//! hold it up, because its silence is what others take for the death of this node.

use std::collections::{BTreeSet, VecDeque};
use std::io;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::{Duration, Instant};

use protocol::Machine;
use protocol::member::{Event, Input, Key, Members, Name, Output, Verdict};
use rustix::event::epoll;
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::{mpsc, watch};

use super::clocks::Clocks;
use super::door::Door;
use super::herald::{Herald, Plan, Taken};
use super::metrics::Figures;
use super::port::Port;
use super::view::View;
use super::waits::Waits;
use super::{Gone, LIMITS, News};
use crate::own_thread::{self, Next, Told};
use crate::speaker::Wire;
use crate::sys;

const EVENTS: usize = 8;
/// Above what everything else on the node has, where nothing better is permitted.
const NICENESS: i32 = -10;
/// How often it is shown what is known, without anything that happened,
const SHOW: Duration = Duration::from_secs(1);
/// and how soon after something did.
const SHOW_SOON: Duration = Duration::from_millis(50);
/// While news wait for a reader that is late.
const TELL_AGAIN: Duration = Duration::from_millis(5);

const KEY_COMMANDS: u64 = 1;
const KEY_PORT: u64 = 2;

#[derive(Debug)]
pub(super) enum Command {
    Tell(Input),
    Plan(Plan),
    /// This node may answer until then, as far as its Lease goes.
    Lease(Instant),
    /// A node that is down cannot answer any more.
    Fenced(Name),
}

pub(super) type Running = own_thread::Running<Command>;
pub(super) type Teller = own_thread::Teller<Command>;

/// What the thread is made of.
pub(super) struct Parts {
    pub(super) members: Members,
    pub(super) address: SocketAddr,
    pub(super) key: Key,
    pub(super) detection: protocol::member::Detection,
    pub(super) wire: Arc<dyn Wire>,
    pub(super) news: mpsc::Sender<News>,
    pub(super) view: watch::Sender<Arc<View>>,
    pub(super) figures: Arc<Figures>,
    /// Who is to be fenced off, if nobody is taken over from before.
    pub(super) fence: Option<watch::Sender<BTreeSet<Name>>>,
}

/// The socket is opened here, so that it fails where somebody sees it.
pub(super) fn start(parts: Parts) -> io::Result<Running> {
    own_thread::start("members", |told| Thread::new(parts, told), Thread::run)
}

struct Thread {
    poll: OwnedFd,
    port: Port,
    told: Told<Command>,
    members: Members,
    door: Door,
    herald: Herald,
    outbox: Outbox,
    view: watch::Sender<Arc<View>>,
    show_at: Instant,
    key: Key,
    detection: protocol::member::Detection,
    /// Where something came from that nobody here can read.
    foreign: VecDeque<(SocketAddr, Instant)>,
    figures: Arc<Figures>,
    clocks: Clocks,
    has_ended: bool,
    /// Who had which address is known anew, and not told yet.
    has_notes: bool,
    /// With a fence only.
    waits: Option<Waits>,
    may_have_changed: bool,
}

impl Thread {
    fn new(parts: Parts, told: Told<Command>) -> io::Result<Thread> {
        let poll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        let key = epoll::EventData::new_u64(KEY_COMMANDS);
        epoll::add(&poll, told.descriptor(), key, epoll::EventFlags::IN)?;
        let port = Port::open(parts.address, &poll, KEY_PORT)?;
        Ok(Thread {
            poll,
            port,
            told,
            door: Door::new(parts.wire.gate()),
            herald: Herald::new(parts.wire),
            key: parts.key,
            detection: parts.detection,
            members: parts.members,
            outbox: Outbox { news: parts.news, waiting: VecDeque::new() },
            view: parts.view,
            show_at: Instant::now(),
            foreign: VecDeque::new(),
            figures: parts.figures,
            clocks: Clocks::default(),
            has_ended: false,
            has_notes: false,
            waits: parts.fence.map(Waits::new),
            may_have_changed: false,
        })
    }

    fn run(mut self) {
        run_soon();
        let mut events = Vec::with_capacity(EVENTS);
        let mut now = Instant::now();
        loop {
            self.ask_for_lease(now);
            self.follow(now);
            if self.has_ended {
                return;
            }
            let until = self.deadline(now);
            let time = until.saturating_duration_since(Instant::now());
            if let Err(error) = own_thread::wait(&self.poll, time, &mut events) {
                tracing::error!(%error, "nobody watches over members any more: it cannot be waited");
                return;
            }
            now = Instant::now();
            if let Some(late) = now.checked_duration_since(until) {
                self.figures.woke(late);
            }
            if let Some(slept) = self.clocks.slept() {
                tracing::warn!(seconds = slept.as_secs_f64(), "this machine slept");
                self.members.handle(Input::Slept(slept), now);
            }
            events.clear();
            // All that waits is heard before anybody is taken for silent.
            let members = &mut self.members;
            self.port.receive(|from, bytes| members.receive(from, bytes, now));
            if !self.take_commands(now) {
                return;
            }
            self.port.open_again(&self.poll, now);
            if self.members.deadline().is_some_and(|deadline| deadline <= now) {
                self.members.handle_timeout(now);
            }
        }
    }

    fn deadline(&self, now: Instant) -> Instant {
        let again = (!self.outbox.waiting.is_empty()).then(|| now + TELL_AGAIN);
        let lease = self.waits.as_ref().and_then(|waits| waits.deadline(now));
        let others = [self.members.deadline(), self.port.deadline(), again, lease];
        others.into_iter().flatten().fold(self.show_at, Instant::min)
    }

    /// Says whether anybody is left who could tell anything.
    fn take_commands(&mut self, now: Instant) -> bool {
        self.told.begin();
        loop {
            match self.told.next() {
                Next::Command(Command::Plan(plan)) => self.herald.prepare(plan),
                Next::Command(Command::Lease(until)) => {
                    if let Some(waits) = &mut self.waits {
                        waits.lease_until = Some(until);
                    }
                }
                Next::Command(Command::Fenced(name)) => {
                    let waited = self.waits.as_mut().and_then(|waits| waits.end(&name));
                    if let Some(verdict) = waited {
                        self.take_over(name, Some(verdict), now);
                        self.may_have_changed = true;
                    }
                }
                Next::Command(Command::Tell(input)) => {
                    if let Input::Key(key) = &input {
                        self.key = key.clone();
                    }
                    self.has_ended |= input == Input::Left;
                    match (input, &mut self.waits) {
                        (Input::Ready(is_ready), Some(waits)) => waits.is_ready = is_ready,
                        (input, _) => self.members.handle(input, now),
                    }
                }
                Next::Nothing => return true,
                Next::End => return false,
            }
        }
    }

    /// Without its Lease a node is no candidate.
    fn ask_for_lease(&mut self, now: Instant) {
        if let Some(is_ready) = self.waits.as_mut().and_then(|waits| waits.turn(now)) {
            self.members.handle(Input::Ready(is_ready), now);
        }
    }

    /// Does what the machine wants done, and brings everybody to what it knows.
    fn follow(&mut self, now: Instant) {
        let mut has_changed = false;
        while let Some(output) = self.members.poll() {
            match output {
                Output::Send { to, bytes } => {
                    if let Err(error) = self.port.send(to, &bytes, now) {
                        tracing::trace!(%to, %error, "a datagram was not sent");
                        self.figures.not_sent();
                    }
                }
                Output::Event(event) => {
                    has_changed = true;
                    self.take_event(event, now);
                }
            }
        }
        has_changed |= std::mem::take(&mut self.may_have_changed);
        for (name, verdict) in
            self.waits.as_mut().map(|waits| waits.look_at(self.members.state())).unwrap_or_default()
        {
            has_changed = true;
            self.take_over(name, Some(verdict), now);
        }
        let (members, waits) = (&self.members, &self.waits);
        let candidates = || {
            let state = members.state();
            let mut candidates = state.candidates().clone();
            candidates.extend(waits.iter().flat_map(|waits| waits.needed.keys().cloned()));
            (!state.own.is_joining).then_some(candidates)
        };
        let may_answer_until = match waits {
            Some(waits) => {
                members.may_answer_until().zip(waits.lease_until).map(|(one, other)| one.min(other))
            }
            None => members.may_answer_until(),
        };
        let told = self.door.follow(may_answer_until.filter(|until| *until > now), candidates, has_changed);
        if let Some(told) = told {
            has_changed = true;
            self.outbox.push(News::Candidates(told));
        }
        // Each tells them all, so those that wait are enough.
        if self.outbox.waiting.is_empty() && std::mem::take(&mut self.has_notes) {
            let notes = self.members.state().notes.iter();
            let owners = notes.filter_map(|(address, note)| Some((*address, note.owner.clone()?)));
            self.outbox.push(News::Owners(owners.collect()));
        }
        self.outbox.flush();
        if has_changed {
            self.show_at = self.show_at.min(now + SHOW_SOON);
        }
        if self.show_at <= now {
            self.show_at = now + SHOW;
            self.show(now);
        }
    }

    fn take_event(&mut self, event: Event, now: Instant) {
        match event {
            Event::Down { name, verdict } => match &mut self.waits {
                // A new start of a speaker says that the one before is over.
                Some(waits) if verdict.by.as_ref() != Some(&name) => waits.begin(name, verdict),
                _ => self.take_over(name, Some(verdict), now),
            },
            Event::Leaving { name } => self.take_over(name, None, now),
            Event::Candidates => {}
            Event::Notes => self.has_notes = true,
            Event::Reunited { with } => {
                tracing::info!(%with, "one of two was taken for dead and was not: what is answered for is announced again");
                self.outbox.push(News::Reunited { with });
            }
            Event::Suspected { name } => tracing::debug!(node = %name, "silent; others are asked"),
            Event::Cleared { name } => tracing::debug!(node = %name, "others hear it"),
            Event::Refuted { by } => {
                tracing::warn!(%by, "this node was taken for dead, and has said that it is not");
            }
            Event::Slipped { by } => {
                tracing::info!(seconds = by.as_secs_f64(), "this node was not awake for a while");
            }
            Event::Isolated(is_isolated) => {
                match is_isolated {
                    true => tracing::warn!("no other speaker is heard any more"),
                    false => tracing::info!("other speakers are heard again"),
                }
                self.outbox.push(News::Isolated(is_isolated));
            }
            Event::ForeignKey { from } => {
                tracing::warn!(%from, "somebody there has another secret, or none: it is not listened to");
                if self.foreign.len() >= LIMITS.shown_foreign {
                    self.foreign.pop_front();
                }
                self.foreign.push_back((from, now));
            }
            Event::Duplicate { name, address } => {
                tracing::error!(node = %name, %address, "a second speaker says that it is on this node; it is not believed");
                self.outbox.push(News::Duplicate { name, address });
            }
        }
    }

    /// The first frame is what everybody waits for.
    fn take_over(&mut self, name: Name, verdict: Option<Verdict>, now: Instant) {
        let is_current = self.door.is_current(self.herald.planned_in());
        let taken = if is_current { self.herald.take_over(&name, now) } else { Taken::default() };
        let Taken { addresses, first_frame_after } = taken;
        match &verdict {
            Some(verdict) => {
                self.figures.went_down(verdict, first_frame_after);
                tracing::warn!(
                    node = %name,
                    by = verdict.by.as_deref(),
                    silence_ms = verdict.silence.as_millis(),
                    inquiry_ms = verdict.inquiry.as_millis(),
                    addresses = addresses.len(),
                    "a node is down"
                );
            }
            None => tracing::info!(node = %name, addresses = addresses.len(), "a node leaves"),
        }
        self.outbox.push(News::Gone(Gone { name, verdict, addresses, first_frame_after }));
    }

    fn show(&mut self, now: Instant) {
        let state = self.members.show().clone();
        let may_answer = self.members.may_answer_until().is_some_and(|until| until > now);
        let foreign = self.foreign.iter().copied().collect();
        let (at, key, detection) = (now, self.key.id(), self.detection);
        self.view.send_replace(Arc::new(View { at, state, may_answer, foreign, key, detection }));
    }
}

/// In front of all others where that is permitted, because a thread that waits for the processor is a node that is silent.
fn run_soon() {
    let Err(refused) = sys::run_first() else { return };
    if let Err(error) = rustix::process::setpriority_process(None, NICENESS) {
        tracing::debug!(%refused, %error, "members are watched over at normal priority");
    }
}

/// News for a reader that may be late.
#[derive(Debug)]
struct Outbox {
    news: mpsc::Sender<News>,
    waiting: VecDeque<News>,
}

impl Outbox {
    fn push(&mut self, news: News) {
        if let (Some(News::Candidates(last)), News::Candidates(newer)) = (self.waiting.back_mut(), &news) {
            let was_away = last.was_away || newer.was_away;
            *last = newer.clone();
            last.was_away = was_away;
            return;
        }
        if self.waiting.len() >= LIMITS.news && !matches!(news, News::Candidates(_) | News::Gone(_)) {
            return tracing::error!("nobody hears what becomes of members: {news:?}");
        }
        self.waiting.push_back(news);
    }

    fn flush(&mut self) {
        while let Some(news) = self.waiting.pop_front() {
            match self.news.try_send(news) {
                Ok(()) => {}
                Err(TrySendError::Full(news)) => return self.waiting.push_front(news),
                Err(TrySendError::Closed(_)) => return self.waiting.clear(),
            }
        }
    }
}
