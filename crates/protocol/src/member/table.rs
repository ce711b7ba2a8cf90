//! Who is known, and telling others.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use super::machine::Members;
use super::message::{Greeting, Message};
use super::record::{Record, Standing};
use super::{Event, LIMITS, Name, Note, TIMES, Verdict};
use crate::random::{mix, mix_bytes};

/// News is spread to so many members,
const SPREAD_TO: usize = 3;
/// so often.
pub(super) const SPREAD_EVERY: Duration = Duration::from_millis(100);
/// More do not fit into two datagrams.
const SPREAD_AT_ONCE: usize = 80;
/// What concerns everybody at once is said twice, because datagrams get lost.
const SAY_AGAIN_AFTER: Duration = Duration::from_millis(20);
/// Whose table differs is asked for it no more often.
const WANT_AFTER: Duration = Duration::from_millis(500);

/// What this speaker knows, for decisions, status and metrics.
#[derive(Debug, Clone)]
pub struct State {
    pub own: Own,
    /// All others.
    pub members: BTreeMap<Name, Member>,
    /// Who had which address last, where that matters.
    pub notes: BTreeMap<IpAddr, Note>,
    pub counters: Counters,
    pub(super) alive: BTreeSet<Name>,
    /// Those that failed too often among them.
    pub(super) with_damped: BTreeSet<Name>,
    /// Which of the two are candidates.
    pub(super) counts_damped: bool,
}

#[derive(Debug, Clone)]
pub struct Own {
    pub record: Record,
    /// Not known yet who else there is.
    pub is_joining: bool,
    /// Whether it could answer for addresses.
    pub is_ready: bool,
    pub is_leaving: bool,
    /// Failed too often, and waits.
    pub damped_until: Option<Instant>,
    /// Another speaker says that it is on this node, and was there first.
    pub duplicate_of: Option<SocketAddr>,
    /// Hears nobody, though there are others.
    pub is_isolated: bool,
    /// Was not awake, and asks what has become of its addresses.
    pub is_relearning: bool,
    /// Stays silent when isolated.
    pub yields: bool,
    /// Who watches over this node.
    pub watchers: Vec<Watching>,
}

#[derive(Debug, Clone)]
pub struct Member {
    pub record: Record,
    /// `false`: this node alone does not hear it, nor anybody else.
    pub is_heard: bool,
    pub last_heard: Option<Instant>,
    /// When its standing last changed, as seen from here.
    pub since: Instant,
    /// When this node took it for dead because it was itself cut off, as long as the other may not have been told so.
    pub(super) missed_at: Option<Instant>,
    /// How it is watched over, if it is from here.
    pub watching: Option<Watching>,
}

/// A session between one that watches and one that is watched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Watching {
    pub name: Name,
    pub is_up: bool,
    pub interval: Duration,
    pub multiplier: u8,
    /// Beats that came, and that did not.
    pub received: u64,
    pub lost: u64,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Counters {
    pub sent: u64,
    pub received: u64,
    pub suspicions: u64,
    pub cleared: u64,
    /// Found by this node.
    pub verdicts: u64,
    pub refuted: u64,
    pub duplicates: u64,
    pub slips: u64,
    pub worst_slip: Duration,
    pub dropped: Dropped,
}

/// Datagrams that were not used, by reason.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Dropped {
    pub foreign_key: u64,
    pub forged: u64,
    pub replayed: u64,
    pub malformed: u64,
    pub too_long: u64,
    /// More members, sessions or questions than there is room for.
    pub too_many: u64,
    /// An answer to nothing that was asked, or of a session that is over.
    pub unasked: u64,
}

impl Member {
    /// Whether it counts as running, as seen from here.
    pub fn is_up(&self) -> bool {
        self.is_heard && self.record.standing.is_up()
    }
}

impl State {
    /// The nodes that addresses may be given to, this one among them if it is one.
    pub fn candidates(&self) -> &BTreeSet<Name> {
        // One that fails often is better than none.
        if self.counts_damped { &self.with_damped } else { &self.alive }
    }
}

/// Where something that is said of a node comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Source {
    Itself,
    /// Somebody who has it from somebody.
    Hearsay,
    /// Whoever has just found it to be down.
    Judge(Verdict),
}

impl Members {
    pub(super) fn set_isolated(&mut self, is_isolated: bool) {
        if std::mem::replace(&mut self.state.own.is_isolated, is_isolated) != is_isolated {
            self.tell(Event::Isolated(is_isolated));
            self.count_own(false);
        }
    }

    /// Takes a record, if it is later than what is known.
    pub(super) fn learn(&mut self, record: Record, source: Source, now: Instant) {
        if record.name == self.options.name {
            let by = match source {
                Source::Judge(verdict) => verdict.by,
                _ => None,
            };
            return self.hear_of_self(&record, by, now);
        }
        let Some(member) = self.state.members.get(&record.name) else { return self.get_to_know(record, now) };
        let known = &member.record;
        if member.is_up() && are_rivals(known, &record) {
            let is_before = record.generation < known.generation;
            // Of one that nobody here has ever heard a recording may have told.
            let is_sure = member.last_heard.is_some() && !self.state.own.is_isolated;
            if !is_before && is_sure {
                self.tell_duplicate(record.name.clone(), record.address);
                // It may have moved without a word.
                self.probe_early(&record.name);
                if let Some(inquiry) = self.inquiries.get_mut(&record.name) {
                    inquiry.successor = Some(record);
                }
                return;
            }
            if is_before && source != Source::Itself {
                return;
            }
        } else if !record.is_later_than(known) {
            return;
        }
        let is_accusation = record.standing == Standing::Down && member.is_up();
        match source {
            Source::Hearsay if is_accusation => {
                // It may be old news from the other side of a partition.
                let silence = member.last_heard.map_or(Duration::ZERO, |heard| now - heard);
                return self.inquire(&record.name.clone(), silence, Some(record), now);
            }
            Source::Judge(_) if is_accusation && self.hears(&record.name, now) => return,
            _ => {}
        }
        self.take_over_record(record, source, now);
    }

    /// A start with an earlier number, at another address, than that of one that is not heard any more. It has to take a later one,
    /// or nobody believes it.
    pub(super) fn tell_what_was_before(&mut self, told: &Record) {
        let Some(member) = self.state.members.get(&told.name).filter(|member| !member.is_heard) else {
            return;
        };
        let before = &member.record;
        if are_rivals(before, told) && told.generation < before.generation {
            let message = Message::Records(vec![before.accused()]);
            self.send_as(told.address, told.key, &message);
        }
    }

    fn get_to_know(&mut self, record: Record, now: Instant) {
        if self.state.members.len() >= LIMITS.members {
            self.state.counters.dropped.too_many += 1;
            return;
        }
        let name = record.name.clone();
        let member =
            Member { record, is_heard: true, last_heard: None, since: now, missed_at: None, watching: None };
        self.meet(&member.record);
        self.digest ^= hash(&member.record);
        self.state.members.insert(name.clone(), member);
        self.count_member(&name);
        self.spread(&name);
        self.ping(&name, now);
    }

    pub(super) fn take_over_record(&mut self, mut record: Record, source: Source, now: Instant) {
        let name = record.name.clone();
        let Some(member) = self.state.members.get_mut(&name) else { return };
        let (was_up, before) = (member.is_up(), member.record.clone());
        if before.standing != record.standing {
            member.since = now;
        }
        let is_new_start = before.generation != record.generation;
        if is_new_start && before.standing != Standing::Left {
            // It cannot know itself how often it failed. To begin anew without having left is a failure too.
            let failures = before.failures.saturating_add(u8::from(before.standing.is_up()));
            record.failures = record.failures.max(failures);
        }
        if is_new_start {
            self.meet(&record);
        }
        let Some(member) = self.state.members.get_mut(&name) else { return };
        self.digest ^= hash(&before) ^ hash(&record);
        member.record = record;
        if is_new_start {
            member.last_heard = None;
            member.is_heard = true;
        }
        let (is_up, standing) = (member.is_up(), member.record.standing);
        let was_waiting = matches!(before.standing, Standing::Waiting | Standing::Damped);
        self.count_member_that(&name, was_up && !is_new_start && was_waiting && standing == Standing::Alive);
        self.spread(&name);
        if is_new_start || !is_up {
            self.forget_sessions(&name);
        }
        if is_new_start {
            // Whatever was asked was about the one before.
            self.inquiries.remove(&name);
            self.end_errands(&name);
        }
        // What a start that is over cannot do any more others are to do at once.
        let was_candidate = was_up && before.standing == Standing::Alive;
        if was_up && standing == Standing::Down {
            let verdict = match source {
                Source::Judge(verdict) => verdict,
                _ => Verdict { by: None, silence: Duration::ZERO, inquiry: Duration::ZERO },
            };
            self.tell_down(name, verdict);
        } else if was_candidate && is_new_start && standing != Standing::Alive {
            let verdict =
                Verdict { by: Some(name.clone()), silence: Duration::ZERO, inquiry: Duration::ZERO };
            self.tell_down(name, verdict);
        } else if was_candidate && standing == Standing::Leaving {
            self.tell(Event::Leaving { name });
        } else if before.standing == Standing::Down && is_up {
            self.refused.remove(&name);
            // Also with a new start: the one before may have gone on answering beside clients that have come back with it.
            self.reunited = Some(name);
        }
    }

    /// One that has said more than that it starts before anything was known of it was somewhere else, among others or alone, and
    /// may have answered for what is answered for here.
    fn meet(&mut self, record: &Record) {
        let own = &self.state.own.record;
        if record.standing.is_up() && record.incarnation > 0 && own.standing == Standing::Alive {
            self.reunited = Some(record.name.clone());
        }
    }

    /// Whether a sign of life of it is wanted.
    pub(super) fn is_doubtful(&self, name: &Name) -> bool {
        let is_up = self.state.members.get(name).is_some_and(Member::is_up);
        let is_asked_for = self.errands.iter().any(|errand| errand.about == *name);
        !is_up || is_asked_for || self.inquiries.contains_key(name)
    }

    /// A sign of life that cannot be a recording: an answer to something that nobody could know before it was asked, or a beat
    /// with the number of this node's end. Whatever else is sealed may have been sent before, to somebody else.
    pub(super) fn heard(&mut self, name: &Name, now: Instant) {
        let Some(member) = self.state.members.get_mut(name) else { return };
        member.last_heard = Some(now);
        self.heard_anybody = now;
        if let Some(watched) = self.watched.get_mut(name) {
            watched.expect_beats(now);
        }
        let was_heard = std::mem::replace(&mut member.is_heard, true);
        if !was_heard && member.record.standing.is_up() {
            self.count_member(name);
            self.reunited = Some(name.clone());
        }
        if self.state.own.is_isolated {
            self.set_isolated(false);
            self.reunited = Some(name.clone());
            self.ping(name, now);
            self.hear_all_again(now);
        }
        self.is_not_cut_off(now);
        self.is_alive_after_all(name);
    }

    /// Whether there is no doubt that it runs.
    pub(super) fn hears(&self, name: &Name, now: Instant) -> bool {
        self.watched.get(name).is_some_and(|watched| watched.is_up_at(now))
    }

    /// Everybody is told of it, a few at a time.
    pub(super) fn spread(&mut self, name: &Name) {
        let members = self.state.members.len() + 1;
        let times = (members.ilog2() + 2) as u8;
        match self.spreading.iter_mut().find(|(spread, _)| spread == name) {
            Some((_, left)) => *left = times,
            None => self.spreading.push((name.clone(), times)),
        }
    }

    pub(super) fn spread_some(&mut self, now: Instant) {
        if now < self.spread_at {
            return;
        }
        self.spread_at = now + SPREAD_EVERY;
        if self.has_notes_to_tell() {
            self.spread_notes();
        }
        if self.spreading.is_empty() {
            return;
        }
        let next = self.spreading.iter().take(SPREAD_AT_ONCE);
        let records = next.filter_map(|(name, _)| self.record_of(name));
        let messages =
            Message::in_portions(records.collect::<Vec<_>>()).into_iter().take(2).collect::<Vec<_>>();
        for name in self.some_up(SPREAD_TO, |_, _| true) {
            for message in &messages {
                self.send(&name, message);
            }
        }
        let told: usize = messages
            .iter()
            .map(|message| match message {
                Message::Records(records) => records.len(),
                _ => 0,
            })
            .sum();
        // The next ones come first next time.
        let mut told: Vec<_> = self.spreading.drain(..told.min(self.spreading.len())).collect();
        told.retain_mut(|(_, left)| {
            *left -= 1;
            *left > 0
        });
        self.spreading.append(&mut told);
    }

    pub(super) fn record_of(&self, name: &Name) -> Option<Record> {
        if *name == self.options.name {
            return Some(self.state.own.record.clone());
        }
        self.state.members.get(name).map(|member| member.record.clone())
    }

    /// Some members that are up, at random.
    pub(super) fn some_up(&mut self, count: usize, fits: impl Fn(&Name, &Member) -> bool) -> Vec<Name> {
        let up = self.state.members.iter().filter(|(name, member)| member.is_up() && fits(name, member));
        let mut names: Vec<Name> = up.map(|(name, _)| name.clone()).collect();
        for at in 0..count.min(names.len()) {
            let other = at + self.random.below(names.len() - at);
            names.swap(at, other);
        }
        names.truncate(count);
        names
    }

    /// To all members at once, and once more a little later.
    pub(super) fn broadcast(&mut self, message: Message, also: Option<SocketAddr>, now: Instant) {
        self.send_to_all(&message, also);
        self.again.push((now + SAY_AGAIN_AFTER, message, also));
    }

    pub(super) fn say_again(&mut self, now: Instant) {
        let due: Vec<_> = self.again.extract_if(.., |(at, ..)| *at <= now).collect();
        for (_, message, also) in due {
            self.send_to_all(&message, also);
        }
    }

    fn send_to_all(&mut self, message: &Message, also: Option<SocketAddr>) {
        let up = self.state.members.iter().filter(|(_, member)| member.record.standing.is_up());
        let names: Vec<Name> = up.map(|(name, _)| name.clone()).collect();
        for name in names {
            self.send(&name, message);
        }
        if let Some(address) = also {
            self.send_at(address, message);
        }
    }

    /// Asks a member whether it is there, and says what is known of it.
    pub(super) fn ping(&mut self, name: &Name, now: Instant) {
        let Some(member) = self.state.members.get(name) else { return };
        let accusation = self.inquiries.get(name).and_then(|inquiry| inquiry.accusation.clone());
        let yours = Some(accusation.unwrap_or_else(|| member.record.clone()));
        let was_missed = member.missed_at.is_some();
        let greeting = Greeting { was_missed, ..self.greeting(Some(name.clone()), yours, now) };
        self.send(name, &Message::Ping(greeting));
    }

    pub(super) fn ping_address(&mut self, address: SocketAddr, now: Instant) {
        let greeting = self.greeting(None, None, now);
        self.send_at(address, &Message::Ping(greeting));
    }

    fn greeting(&mut self, to: Option<Name>, yours: Option<Record>, now: Instant) -> Greeting {
        let nonce = self.random.draw() as u32;
        if self.pings.len() >= LIMITS.peers {
            self.pings.pop_first();
        }
        self.pings.insert(nonce, (to, now));
        let (digest, notes) = (self.digest(), self.notes_digest());
        let own = self.state.own.record.clone();
        Greeting { is_answer: false, was_missed: false, nonce, digest, notes, own, yours }
    }

    pub(super) fn pong(&mut self, nonce: u32, to: &Record) {
        let member = self.state.members.get(&to.name);
        let was_missed = member.is_some_and(|member| member.missed_at.is_some());
        let yours = if to.name == self.options.name {
            Some(self.state.own.record.clone())
        } else {
            member.map(|member| member.record.clone())
        };
        let own = self.state.own.record.clone();
        let (digest, notes) = (self.digest(), self.notes_digest());
        let greeting = Greeting { is_answer: true, was_missed, nonce, digest, notes, own, yours };
        self.send_as(to.address, to.key, &Message::Ping(greeting));
    }

    /// The same for the same records, whoever has them.
    pub(super) fn digest(&self) -> u64 {
        self.digest ^ hash(&self.state.own.record)
    }

    /// Somebody's table differs: both send theirs.
    pub(super) fn compare(&mut self, digest: u64, with: &Name, now: Instant) {
        if digest != self.digest() && self.want_at <= now {
            self.want_at = now + WANT_AFTER;
            self.send(with, &Message::Want);
        }
    }

    pub(super) fn send_table(&mut self, to: &Name) {
        let records = self.state.members.values().map(|member| member.record.clone());
        let records: Vec<Record> = records.chain([self.state.own.record.clone()]).collect();
        for message in Message::in_portions(records) {
            self.send(to, &message);
        }
    }

    /// Looks for members that are down or not heard, and for peers that are no members.
    pub(super) fn look_for_lost(&mut self, now: Instant) {
        if now < self.reunion_at {
            return;
        }
        self.reunion_at = now + self.random.part_of(TIMES.reunion, 75, 100);
        self.look_for_rival(now);
        let is_lost = |member: &Member| !member.is_up() && member.record.standing != Standing::Left;
        let lost = self.state.members.iter().filter(|(_, member)| is_lost(member));
        let (fresh, old): (Vec<_>, Vec<_>) =
            lost.partition(|(_, member)| now.duration_since(member.since) < FRESH);
        // Those that are gone for long are not worth a datagram each time.
        let from = if fresh.is_empty() || self.random.below(40) == 0 { old } else { fresh };
        // All that are up together look for each about once in a second.
        let up = self.state.members.len() + 1 - from.len();
        let count = from.len().div_ceil(LOOKED_FOR_WITHIN * up).min(LOOKED_FOR_AT_ONCE);
        let names: Vec<Name> = (0..count).map(|_| from[self.random.below(from.len())].0.clone()).collect();
        for name in names {
            self.ping(&name, now);
        }
        let known: BTreeSet<SocketAddr> = self
            .state
            .members
            .values()
            .filter(|member| member.is_up())
            .map(|member| member.record.address)
            .collect();
        let strangers = self.peers.iter().flatten();
        let strangers = strangers.filter(|it| !known.contains(it) && **it != self.options.address);
        let strangers: Vec<SocketAddr> = strangers.copied().collect();
        if self.state.own.is_joining {
            for &address in strangers.iter().take(LIMITS.many) {
                self.ping_address(address, now);
            }
        } else if !strangers.is_empty() {
            let address = strangers[self.random.below(strangers.len())];
            self.ping_address(address, now);
        }
    }

    /// It was this node that was cut off, so all others are there as before, until it turns out that they are not.
    fn hear_all_again(&mut self, now: Instant) {
        let lost = self.state.members.iter_mut().filter(|(_, member)| !member.is_heard);
        let lost: Vec<Name> = lost
            .map(|(name, member)| {
                member.is_heard = true;
                member.since = now;
                name.clone()
            })
            .collect();
        for name in lost {
            self.count_member(&name);
            self.ping(&name, now);
        }
        // Nor did they refuse to watch.
        self.refused.clear();
        self.watchers_are_stale = true;
        self.raise_alarm(now);
    }

    pub(super) fn forget_gone(&mut self, now: Instant) {
        let is_over = |member: &Member| {
            !member.record.standing.is_up() && now.duration_since(member.since) >= TIMES.forget
        };
        let over: Vec<(Name, Member)> =
            self.state.members.extract_if(.., |_, member| is_over(member)).collect();
        for (name, member) in over {
            self.digest ^= hash(&member.record);
            self.count_member(&name);
        }
    }
}

/// In so many rounds whoever is lost is looked for,
const LOOKED_FOR_WITHIN: usize = 4;
/// by few datagrams in each.
const LOOKED_FOR_AT_ONCE: usize = 8;
/// One that was lost within this time is likely to come back.
const FRESH: Duration = Duration::from_secs(600);

/// Two speakers that say they are on the same node: then the one that was there first is believed.
fn are_rivals(one: &Record, other: &Record) -> bool {
    one.address != other.address
        && one.generation != other.generation
        && one.standing.is_up()
        && other.standing.is_up()
}

/// Of one record; those of a table are put together by XOR, so that a change costs the same in a table of any size.
pub(super) fn hash(record: &Record) -> u64 {
    let name = mix_bytes(0, record.name.bytes());
    let place = mix(mix(name ^ of_address(record.address.ip())) ^ u64::from(record.address.port()));
    let word =
        u64::from(record.incarnation) << 16 | (record.standing as u64) << 8 | u64::from(record.failures);
    mix(mix(place ^ record.generation) ^ word)
}

/// An address as a number to be mixed.
pub(super) fn of_address(address: IpAddr) -> u64 {
    match address {
        IpAddr::V4(address) => u64::from(address.to_bits()),
        IpAddr::V6(address) => mix((address.to_bits() >> 64) as u64) ^ address.to_bits() as u64,
    }
}
