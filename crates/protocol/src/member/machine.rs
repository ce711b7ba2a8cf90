//! The machine: what comes in goes to whoever knows what to do with it.

use std::collections::{BTreeMap, BTreeSet, HashSet, VecDeque};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use super::alarm::Alarm;
use super::beat::{Watched, Watcher};
use super::inquiry::{Errand, Inquiry};
use super::message::{Greeting, Message};
use super::notes::Notes;
use super::own::{Relearning, Reunion};
use super::record::{Record, Standing};
use super::seal::{Refused, Seal};
use super::table::{Counters, Own, Source, State};
use super::{Event, Input, Isolated, LIMITS, Name, Options, Output, TIMES, Verdict};
use crate::Machine;
use crate::random::Random;

/// Whoever was asked answers within this time, or never.
const PING_FOR: Duration = Duration::from_secs(3);
/// What is over is given up so often.
const TIDY_EVERY: Duration = Duration::from_secs(5);

/// The membership of one speaker. See the module's description.
#[derive(Debug)]
pub struct Members {
    pub(super) options: Options,
    pub(super) seal: Seal,
    pub(super) random: Random,
    pub(super) state: State,
    outputs: VecDeque<Output>,
    pub(super) candidates_changed: bool,
    /// Of the records of all others, whatever the order in which they came.
    pub(super) digest: u64,
    /// Of the call that is going on, or the last one.
    pub(super) now: Instant,
    /// When the next call should have come, as of the last one.
    due: Option<Instant>,
    pub(super) peers: Option<BTreeSet<SocketAddr>>,
    pub(super) heirs: Vec<Name>,
    /// Those that this node watches, and those that watch it.
    pub(super) watched: BTreeMap<Name, Watched>,
    pub(super) watchers: BTreeMap<Name, Watcher>,
    pub(super) refused: BTreeMap<Name, Instant>,
    pub(super) watchers_are_stale: bool,
    pub(super) choose_at: Instant,
    pub(super) inquiries: BTreeMap<Name, Inquiry>,
    pub(super) errands: Vec<Errand>,
    pub(super) alarm: Option<Alarm>,
    /// What was asked and is not answered yet, by its number.
    pub(super) pings: BTreeMap<u32, (Option<Name>, Instant)>,
    /// Who is asked whether it is there, since when, and how often.
    pub(super) probed: Option<(Name, Instant, u32)>,
    pub(super) probe_at: Instant,
    pub(super) reunion_at: Instant,
    pub(super) want_at: Instant,
    tidy_at: Instant,
    /// Whose records are spread, and how often still.
    pub(super) spreading: Vec<(Name, u8)>,
    pub(super) spread_at: Instant,
    /// What is said to all a second time.
    pub(super) again: Vec<(Instant, Message, Option<SocketAddr>)>,
    pub(super) notes: Notes,
    pub(super) heard_anybody: Instant,
    pub(super) join_until: Option<Instant>,
    pub(super) forgive_at: Instant,
    pub(super) relearning: Option<Relearning>,
    pub(super) was_asleep: bool,
    /// Those that failed too often are candidates beside others until then.
    pub(super) damped_count_until: Option<Instant>,
    /// It is no candidate any more since others are, and may answer until it hears them.
    pub(super) yields_until: Option<Instant>,
    /// Somebody with whom this node was just reunited, not told yet.
    pub(super) reunited: Option<Name>,
    pub(super) reunion: Option<Reunion>,
    /// Until then it is believed that another speaker is on this node, and when that one was asked last.
    pub(super) duplicate_until: Instant,
    pub(super) rival_asked_at: Option<Instant>,
    pub(super) duplicates: BTreeSet<(Name, SocketAddr)>,
    foreign: HashSet<SocketAddr>,
}

impl Members {
    pub fn new(options: Options, now: Instant) -> Members {
        let mut random = Random::new(options.seed);
        let seal = Seal::new(options.key.clone(), random.draw().to_be_bytes());
        let record = Record {
            name: options.name.clone(),
            address: options.address,
            generation: options.generation,
            incarnation: 0,
            standing: Standing::Waiting,
            failures: 0,
            key: seal.newest(),
        };
        let own = Own {
            record,
            is_joining: true,
            is_ready: false,
            is_leaving: false,
            damped_until: None,
            duplicate_of: None,
            is_isolated: false,
            is_relearning: false,
            yields: options.isolated == Isolated::Yield,
            watchers: Vec::new(),
        };
        Members {
            options,
            seal,
            random,
            state: State {
                own,
                members: BTreeMap::new(),
                notes: BTreeMap::new(),
                counters: Counters::default(),
                alive: BTreeSet::new(),
                with_damped: BTreeSet::new(),
                counts_damped: true,
            },
            outputs: VecDeque::new(),
            candidates_changed: false,
            digest: 0,
            now,
            due: None,
            peers: None,
            heirs: Vec::new(),
            watched: BTreeMap::new(),
            watchers: BTreeMap::new(),
            refused: BTreeMap::new(),
            watchers_are_stale: false,
            choose_at: now,
            inquiries: BTreeMap::new(),
            errands: Vec::new(),
            alarm: None,
            pings: BTreeMap::new(),
            probed: None,
            probe_at: now,
            reunion_at: now,
            want_at: now,
            tidy_at: now,
            spreading: Vec::new(),
            spread_at: now,
            again: Vec::new(),
            notes: Notes::default(),
            heard_anybody: now,
            join_until: None,
            forgive_at: now + TIMES.forgiveness,
            relearning: None,
            was_asleep: false,
            damped_count_until: None,
            yields_until: None,
            reunited: None,
            reunion: None,
            duplicate_until: now,
            rival_asked_at: None,
            duplicates: BTreeSet::new(),
            foreign: HashSet::new(),
        }
    }

    /// Until then this node may answer for its addresses even if the machine is not called: nobody can have been given them
    /// before. `None`: it is to be silent. A beat that this node sends when it is `due` is in time for every watcher that has
    /// lost all but one before it, and after that comes a whole inquiry.
    pub fn may_answer_until(&self) -> Option<Instant> {
        let own = &self.state.own;
        let may = self.relearning.is_none()
            && (self.state.candidates().contains(&self.options.name)
                || own.record.standing == Standing::Leaving
                || own.record.standing == Standing::Damped && self.yields_until > Some(self.now));
        may.then(|| self.due.unwrap_or(self.now) + self.inquiry_time() * 4 / 5)
    }

    /// As an input, without a copy.
    pub fn receive(&mut self, from: SocketAddr, bytes: &[u8], now: Instant) {
        self.begin(now);
        self.state.counters.received += 1;
        match self.seal.open(bytes, now) {
            Ok((start, message)) => match Message::read(&message) {
                Some(message) => self.take(start, from, message, now),
                None => self.state.counters.dropped.malformed += 1,
            },
            Err(refused) => self.count_refused(refused, from, now),
        }
        self.end(now);
    }

    fn count_refused(&mut self, refused: Refused, from: SocketAddr, now: Instant) {
        let dropped = &mut self.state.counters.dropped;
        match refused {
            Refused::TooLong => dropped.too_long += 1,
            Refused::Malformed => dropped.malformed += 1,
            Refused::Forged => dropped.forged += 1,
            Refused::Replayed | Refused::Own => dropped.replayed += 1,
            Refused::ForeignKey => {
                dropped.foreign_key += 1;
                self.wait_for_key(from, now);
                if self.foreign.len() < LIMITS.foreign && self.foreign.insert(from) {
                    self.tell(Event::ForeignKey { from });
                }
            }
        }
    }

    /// Where others should be somebody is, and has another key. This node must not take itself for the first.
    fn wait_for_key(&mut self, from: SocketAddr, now: Instant) {
        let is_peer = self.peers.as_ref().is_some_and(|peers| peers.contains(&from));
        if is_peer && self.state.own.is_joining && self.state.members.is_empty() {
            self.join_until = Some(now + TIMES.join);
        }
    }

    fn take(&mut self, start: [u8; 8], from: SocketAddr, message: Message, now: Instant) {
        if let Message::Ping(greeting) = message {
            return self.take_greeting(start, greeting, now);
        }
        let identity = self.seal.identity(start).cloned();
        let known = identity.filter(|it| {
            let member = self.state.members.get(&it.name);
            member.is_some_and(|member| member.record.generation == it.generation)
        });
        let Some(identity) = known else {
            // Whoever that is, it may introduce itself. What it says of others counts all the same.
            if self.pings.len() < LIMITS.peers {
                self.ping_address(from, now);
            }
            return self.take_news(message, now);
        };
        let name = identity.name;
        match message {
            Message::Beat(beat) => self.receive_beat(beat, &name, now),
            Message::Want => self.send_table(&name),
            Message::Ask { nonce, about, generation } => {
                self.asked(nonce, (&about, generation), &name, now);
            }
            Message::Answer { nonce, is_heard } => self.answered(nonce, is_heard, &name, now),
            message => {
                let is_of_table = matches!(message, Message::Records(_));
                self.take_news(message, now);
                if is_of_table {
                    self.relearned_more_from(&name, now);
                }
            }
        }
    }

    fn take_greeting(&mut self, start: [u8; 8], greeting: Greeting, now: Instant) {
        let Greeting { is_answer, was_missed, nonce, digest, notes, own, yours } = greeting;
        let name = own.name.clone();
        let asked_at = self.pings.get(&nonce).map(|(_, at)| *at).filter(|_| is_answer);
        if is_answer && self.pings.remove(&nonce).is_none() {
            self.state.counters.dropped.unasked += 1;
            return;
        }
        if name == self.options.name {
            // Somebody else on this node.
            if own.address != self.options.address {
                self.hear_of_rival(&own, is_answer, now);
                if !is_answer {
                    self.pong(nonce, &own);
                }
            }
            return;
        }
        self.seal.is_of(start, &name, own.generation);
        let generation = own.generation;
        // Anything else may be a recording.
        let source = if is_answer { Source::Itself } else { Source::Hearsay };
        self.learn(own.clone(), source, now);
        self.tell_what_was_before(&own);
        let is_current =
            self.state.members.get(&name).is_some_and(|member| member.record.generation == generation);
        if let Some(yours) = yours.filter(|yours| yours.name == self.options.name) {
            self.hear_of_self(&yours, Some(name.clone()), now);
        }
        if is_current && was_missed {
            // It need not be a sign of life: to announce again what is answered for does no harm.
            self.reunited = Some(name.clone());
        }
        if is_answer {
            if is_current {
                self.heard(&name, now);
            }
            // Whatever was asked since then said so.
            if let Some(member) = self.state.members.get_mut(&name) {
                member.missed_at = member.missed_at.filter(|missed| asked_at < Some(*missed));
            }
            self.is_joined_by(now);
            let is_same = digest == self.digest();
            self.relearned_from(&name, is_same);
        } else {
            self.pong(nonce, &own);
            if is_current && self.is_doubtful(&name) && self.pings.len() < LIMITS.peers {
                self.ping(&name, now);
            }
        }
        if is_current {
            self.compare(digest, &name, now);
            self.compare_notes(notes, &name, now);
        }
    }

    fn take_news(&mut self, message: Message, now: Instant) {
        match message {
            Message::Records(records) => {
                for record in records {
                    // Of itself everybody says the truth, and nobody says of another that it is up before it did.
                    self.learn(record, Source::Hearsay, now);
                }
            }
            Message::Verdict { record, by, silence, inquiry } => {
                let verdict = Verdict { by: Some(by), silence, inquiry };
                self.learn(record, Source::Judge(verdict), now);
            }
            Message::Notes(notes) => {
                notes.into_iter().for_each(|(address, note)| self.take_note(address, note));
            }
            _ => {}
        }
    }

    /// First in every call.
    fn begin(&mut self, now: Instant) {
        let slip = self.due.map_or(Duration::ZERO, |due| now.saturating_duration_since(due.max(self.now)));
        self.now = self.now.max(now);
        if slip > self.options.detection.interval / 4 {
            self.wake(slip, now);
        }
    }

    /// Last in every call.
    fn end(&mut self, now: Instant) {
        self.review(now);
        if self.watchers_are_stale && (self.choose_at <= now || self.watchers.is_empty()) {
            self.choose_watchers(now);
        }
        self.state.own.is_relearning = self.relearning.is_some();
        if std::mem::take(&mut self.candidates_changed) {
            self.tell(Event::Candidates);
        }
        self.tell_of_reunion(now);
        self.tell_notes();
        self.due = self.next_deadline().map(|due| due.max(now));
    }

    pub(super) fn tell(&mut self, event: Event) {
        self.outputs.push_back(Output::Event(event));
    }

    pub(super) fn tell_down(&mut self, name: Name, verdict: Verdict) {
        self.inquiries.remove(&name);
        self.raise_alarm(self.now);
        self.tell(Event::Down { name, verdict });
    }

    pub(super) fn send(&mut self, to: &Name, message: &Message) {
        let Some(member) = self.state.members.get(to) else { return };
        let (address, key) = (member.record.address, member.record.key);
        self.send_as(address, key, message);
    }

    /// To one of which nothing is known: under every key that is good.
    pub(super) fn send_at(&mut self, to: SocketAddr, message: &Message) {
        for key in self.seal.held().collect::<Vec<_>>() {
            self.send_as(to, key, message);
        }
    }

    pub(super) fn send_as(&mut self, to: SocketAddr, key: [u8; 4], message: &Message) {
        let bytes = self.seal.seal(key, &message.write());
        self.state.counters.sent += 1;
        self.outputs.push_back(Output::Send { to, bytes });
    }

    fn next_deadline(&self) -> Option<Instant> {
        self.peers.as_ref()?;
        let own = &self.state.own;
        if own.record.standing == Standing::Left {
            return self.again.iter().map(|(at, ..)| *at).min();
        }
        let mut times = vec![self.reunion_at, self.probe_at, self.tidy_at, self.forgive_at];
        times.extend(self.watchers_are_stale.then_some(self.choose_at));
        times.extend(own.damped_until);
        times.extend(self.damped_count_until);
        times.extend(own.duplicate_of.map(|_| self.duplicate_until));
        times.extend(self.reunion.as_ref().map(|reunion| reunion.at));
        times.extend(self.join_until.filter(|_| own.is_joining));
        times.extend(self.watched.values().map(Watched::deadline));
        times.extend(self.watchers.values().map(Watcher::deadline));
        times.extend(self.inquiries.values().map(Inquiry::deadline));
        times.extend(self.alarm.as_ref().map(|alarm| alarm.at));
        times.extend(self.errands.iter().map(|errand| errand.until.min(errand.again_at)));
        times.extend(self.again.iter().map(|(at, ..)| *at));
        let has_news = !self.spreading.is_empty() || self.has_notes_to_tell();
        times.extend(has_news.then_some(self.spread_at));
        times.extend(self.relearning.as_ref().map(|relearning| relearning.until));
        times.into_iter().min()
    }

    fn tidy(&mut self, now: Instant) {
        if now < self.tidy_at {
            return;
        }
        self.tidy_at = now + TIDY_EVERY;
        self.pings.retain(|_, (_, at)| now.duration_since(*at) < PING_FOR);
        self.seal.tidy(now);
        self.forget_gone(now);
        self.watchers_are_stale = true;
    }

    fn set_peers(&mut self, mut peers: BTreeSet<SocketAddr>, now: Instant) {
        peers.remove(&self.options.address);
        while peers.len() > LIMITS.peers {
            peers.pop_last();
            self.state.counters.dropped.too_many += 1;
        }
        if self.peers.is_none() {
            let wait = if peers.is_empty() { Duration::ZERO } else { TIMES.join };
            self.join_until = Some(now + wait);
            self.reunion_at = now;
        }
        self.peers = Some(peers);
    }
}

impl Machine for Members {
    type Input = Input;
    type Output = Output;
    type State = State;

    fn handle(&mut self, input: Input, now: Instant) {
        if let Input::Datagram { from, bytes } = input {
            return self.receive(from, &bytes, now);
        }
        self.begin(now);
        match input {
            Input::Datagram { .. } => {}
            Input::Peers(peers) => self.set_peers(peers, now),
            Input::Key(key) => {
                if self.seal.rotate(key, now) {
                    let newest = self.seal.newest();
                    self.say(now, |record| record.key = newest);
                }
            }
            Input::Ready(is_ready) => self.state.own.is_ready = is_ready,
            Input::Heirs(heirs) => {
                self.heirs = heirs;
                self.watchers_are_stale = true;
            }
            Input::Note { address, owner } => self.note(address, owner),
            Input::Slept(time) => self.was_away(time, now),
            Input::Leave(is_leaving) => self.state.own.is_leaving = is_leaving,
            Input::Left => {
                self.say(now, |record| record.standing = Standing::Left);
                self.end_all_watchers();
            }
        }
        self.end(now);
    }

    fn handle_timeout(&mut self, now: Instant) {
        self.begin(now);
        if self.peers.is_some() && self.state.own.record.standing != Standing::Left {
            self.see_to_relearning(now);
            self.look_for_lost(now);
            self.beat(now);
            self.see_to_inquiries(now);
            self.look_around(now);
            self.probe(now);
        }
        self.see_to_damped(now);
        self.say_again(now);
        self.spread_some(now);
        self.tidy(now);
        self.end(now);
    }

    fn deadline(&self) -> Option<Instant> {
        self.next_deadline()
    }

    fn poll(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// Sessions are those of the last [`Members::show`].
    fn state(&self) -> &State {
        &self.state
    }
}

impl Members {
    /// Brings the sessions in [`State`] up to date, which nobody needs all the time.
    pub fn show(&mut self) -> &State {
        self.show_sessions();
        &self.state
    }
}
