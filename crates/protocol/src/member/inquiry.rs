//! From silence to a verdict: who misses a node asks others whether they hear it, and looks itself.
//!
//! One answer that somebody hears it ends the inquiry. If nobody does, those who do not hear it either have said so, or at
//! least somebody else was heard: then it is the node that is down. If nobody at all was heard, it is this node that is
//! cut off, or the last one.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use super::machine::Members;
use super::message::Message;
use super::record::{Record, Standing};
use super::table::Source;
use super::{Event, Isolated, LIMITS, Name, TIMES, Verdict};

/// Each is asked so often within an inquiry, because datagrams get lost.
const ATTEMPTS: u32 = 3;
/// Whoever is asked has this part of the time, so that the answer comes in time: percents.
const ERRAND: u32 = 70;
/// Shorter than this and answers would come too late on a busy node.
const SHORTEST: Duration = Duration::from_millis(40);
/// Members that were heard within this time are the best to ask.
const LATELY: Duration = Duration::from_secs(1);
/// Before a node takes itself for cut off it looks for so many others.
const LOOKED_FOR: usize = 8;

#[derive(Debug)]
pub(super) struct Inquiry {
    pub(super) since: Instant,
    silence: Duration,
    pub(super) until: Instant,
    again_at: Instant,
    nonce: u32,
    asked: BTreeSet<Name>,
    denied: BTreeSet<Name>,
    /// What others said of it, if it was not noticed here.
    pub(super) accusation: Option<Record>,
    /// A later start at another address, of which others have told meanwhile.
    pub(super) successor: Option<Record>,
    /// Nobody was heard at all, and many are looked for.
    is_wide: bool,
    /// It would be over, and goes on until somebody is heard, or all were silent for long enough.
    goes_on: bool,
}

/// Somebody wants to know of a member, which is looked for.
#[derive(Debug)]
pub(super) struct Errand {
    asker: Name,
    nonce: u32,
    pub(super) about: Name,
    pub(super) again_at: Instant,
    pub(super) until: Instant,
}

impl Inquiry {
    pub(super) fn deadline(&self) -> Instant {
        self.until.min(self.again_at)
    }

    pub(super) fn forgive(&mut self, slip: Duration) {
        self.since += slip;
        self.until += slip;
        self.again_at += slip;
    }
}

impl Members {
    pub(super) fn inquiry_time(&self) -> Duration {
        (self.options.detection.time() * 2 / 3).clamp(SHORTEST, TIMES.inquiry)
    }

    /// Begins to ask about a member that is up. With an accusation, whether that is true.
    pub(super) fn inquire(
        &mut self,
        name: &Name,
        silence: Duration,
        accusation: Option<Record>,
        now: Instant,
    ) {
        let is_up = self.state.members.get(name).is_some_and(super::Member::is_up);
        if !is_up || self.inquiries.contains_key(name) {
            return;
        }
        if self.inquiries.len() >= LIMITS.inquiries {
            self.state.counters.dropped.too_many += 1;
            return;
        }
        if accusation.is_none() {
            self.state.counters.suspicions += 1;
            self.tell(Event::Suspected { name: name.clone() });
        }
        let time = self.inquiry_time();
        let lately = |_: &Name, member: &super::Member| {
            member.last_heard.is_some_and(|heard| now.duration_since(heard) < LATELY)
        };
        let mut asked: BTreeSet<Name> =
            self.some_up(LIMITS.asked, |it, member| it != name && lately(it, member)).into_iter().collect();
        let missing = LIMITS.asked - asked.len();
        asked.extend(self.some_up(missing, |it, member| it != name && !lately(it, member)));
        let inquiry = Inquiry {
            since: now,
            silence,
            until: now + time,
            again_at: now + time / ATTEMPTS,
            nonce: self.random.draw() as u32,
            asked,
            denied: BTreeSet::new(),
            accusation,
            successor: None,
            is_wide: false,
            goes_on: false,
        };
        self.inquiries.insert(name.clone(), inquiry);
        self.ask(name, now);
    }

    fn ask(&mut self, name: &Name, now: Instant) {
        self.ping(name, now);
        let Some(inquiry) = self.inquiries.get(name) else { return };
        let Some(member) = self.state.members.get(name) else { return };
        let generation = member.record.generation;
        let message = Message::Ask { nonce: inquiry.nonce, about: name.clone(), generation };
        // Those who look for it first answer late, and are looked for themselves where nobody is heard meanwhile.
        let nobody_heard = inquiry.since < now && self.heard_anybody < inquiry.since;
        let is_wide = inquiry.is_wide || nobody_heard;
        let mut asked = inquiry.asked.clone();
        asked.retain(|it| !inquiry.denied.contains(it));
        for asked in asked {
            self.send(&asked, &message);
            if is_wide {
                self.ping(&asked, now);
            }
        }
    }

    /// Somebody wants to know whether a start of a member is heard here.
    pub(super) fn asked(
        &mut self,
        nonce: u32,
        (about, generation): (&Name, u64),
        asker: &Name,
        now: Instant,
    ) {
        let answer = |is_heard| Message::Answer { nonce, is_heard };
        if let Some(known) = self.record_of(about).filter(|known| known.generation != generation) {
            self.send(asker, &answer(false));
            return self.send(asker, &Message::Records(vec![known]));
        }
        let is_up = self.state.members.get(about).is_some_and(super::Member::is_up);
        if *about == self.options.name || self.watched.get(about).is_some_and(|it| it.is_fresh_at(now)) {
            return self.send(asker, &answer(true));
        }
        if !is_up {
            return self.send(asker, &answer(false));
        }
        if self.errands.iter().any(|errand| errand.nonce == nonce && errand.asker == *asker) {
            return;
        }
        if self.errands.len() >= LIMITS.inquiries {
            self.state.counters.dropped.too_many += 1;
            return;
        }
        let time = self.inquiry_time() / 100 * ERRAND;
        self.errands.push(Errand {
            asker: asker.clone(),
            nonce,
            about: about.clone(),
            again_at: now + time / ATTEMPTS,
            until: now + time,
        });
        self.ping(about, now);
    }

    /// Nobody could have said so before it was asked, so it is a sign of life of whoever answers.
    pub(super) fn answered(&mut self, nonce: u32, is_heard: bool, by: &Name, now: Instant) {
        let mut of_nonce = self.inquiries.iter_mut().filter(|(_, inquiry)| inquiry.nonce == nonce);
        let Some((name, inquiry)) = of_nonce.find(|(_, inquiry)| inquiry.asked.contains(by)) else {
            self.state.counters.dropped.unasked += 1;
            return;
        };
        if is_heard {
            let name = name.clone();
            self.clear(&name);
        } else {
            inquiry.denied.insert(by.clone());
        }
        self.heard(by, now);
    }

    /// It was heard here: whatever was asked about it is answered.
    pub(super) fn is_alive_after_all(&mut self, name: &Name) {
        self.clear(name);
        let errands: Vec<Errand> = self.errands.extract_if(.., |errand| errand.about == *name).collect();
        for errand in errands {
            self.send(&errand.asker, &Message::Answer { nonce: errand.nonce, is_heard: true });
        }
    }

    fn clear(&mut self, name: &Name) {
        let Some(inquiry) = self.inquiries.remove(name) else { return };
        if inquiry.accusation.is_none() {
            self.state.counters.cleared += 1;
            self.tell(Event::Cleared { name: name.clone() });
        }
    }

    pub(super) fn see_to_inquiries(&mut self, now: Instant) {
        let again: Vec<Name> = self
            .inquiries
            .iter_mut()
            .filter(|(_, it)| it.again_at <= now && now < it.until)
            .map(|(name, it)| {
                it.again_at = now + it.until.duration_since(it.since) / ATTEMPTS;
                name.clone()
            })
            .collect();
        for name in again {
            self.ask(&name, now);
        }
        let due: Vec<Name> =
            self.inquiries.iter().filter(|(_, it)| it.until <= now).map(|(name, _)| name.clone()).collect();
        for name in due {
            self.judge(&name, now);
        }
        self.run_errands(now);
    }

    fn run_errands(&mut self, now: Instant) {
        let time = self.inquiry_time() / 100 * ERRAND;
        let mut again = Vec::new();
        for errand in self.errands.iter_mut().filter(|it| it.again_at <= now && now < it.until) {
            errand.again_at = now + time / ATTEMPTS;
            again.push(errand.about.clone());
        }
        for about in again {
            self.ping(&about, now);
        }
        let over: Vec<Errand> = self.errands.extract_if(.., |errand| errand.until <= now).collect();
        for errand in over {
            self.send(&errand.asker, &Message::Answer { nonce: errand.nonce, is_heard: false });
        }
    }

    fn judge(&mut self, name: &Name, now: Instant) {
        let (since, is_denied, is_wide) = match self.inquiries.get(name) {
            Some(inquiry) => (inquiry.since, !inquiry.denied.is_empty(), inquiry.is_wide),
            None => return,
        };
        let heard_anybody = self.heard_anybody >= since;
        if is_denied || heard_anybody {
            return self.convict(name, now);
        }
        // Everybody who is up was asked, or many were.
        let up = self.state.members.values().filter(|member| member.is_up()).count();
        let asked = self.inquiries.get(name).map_or(0, |inquiry| inquiry.asked.len());
        if is_wide || asked + 1 >= up {
            return self.is_cut_off_unless_heard(name, now);
        }
        let wide = self.some_up(LOOKED_FOR, |it, _| it != name);
        let time = self.inquiry_time();
        if let Some(inquiry) = self.inquiries.get_mut(name) {
            inquiry.is_wide = true;
            inquiry.asked.extend(wide);
            inquiry.until = now + time;
            inquiry.again_at = now + time / ATTEMPTS;
        }
        self.ask(name, now);
    }

    /// Nobody hears it.
    fn convict(&mut self, name: &Name, now: Instant) {
        let Some(inquiry) = self.inquiries.remove(name) else { return };
        let Some(member) = self.state.members.get(name) else { return };
        if let Some(accusation) = inquiry.accusation {
            if let Some(successor) = inquiry.successor {
                return self.follow(successor, now);
            }
            if accusation.is_later_than(&member.record) {
                self.take_over_record(accusation, Source::Hearsay, now);
            }
            return;
        }
        let record = member.record.accused();
        let verdict = Verdict {
            by: Some(self.options.name.clone()),
            silence: inquiry.silence,
            inquiry: now.duration_since(inquiry.since),
        };
        self.state.counters.verdicts += 1;
        let (silence, time) = (verdict.silence, verdict.inquiry);
        let address = record.address;
        match inquiry.successor {
            Some(successor) => self.follow(successor, now),
            None => self.take_over_record(record.clone(), Source::Judge(verdict), now),
        }
        // Also to the accused itself, which may be able to refute it.
        let by = self.options.name.clone();
        self.broadcast(Message::Verdict { record, by, silence, inquiry: time }, Some(address), now);
    }

    /// Others are silent for less time than it takes to be missed: then it may be they who are busy.
    fn is_cut_off_unless_heard(&mut self, name: &Name, now: Instant) {
        let silent_at = self.heard_anybody + self.options.detection.time();
        let time = self.inquiry_time();
        match self.inquiries.get_mut(name) {
            Some(inquiry) if now < silent_at => {
                inquiry.goes_on = true;
                inquiry.until = silent_at;
                inquiry.again_at = now + time / ATTEMPTS;
                self.ask(name, now);
            }
            _ => self.is_cut_off(now),
        }
    }

    /// Somebody is there, so whoever was silent before is not because of this node.
    pub(super) fn is_not_cut_off(&mut self, now: Instant) {
        for inquiry in self.inquiries.values_mut().filter(|inquiry| inquiry.goes_on) {
            inquiry.until = now;
        }
    }

    /// The start that is down has a successor. Where that is known to all others nothing moves.
    fn follow(&mut self, successor: Record, now: Instant) {
        let name = successor.name.clone();
        self.take_over_record(successor, Source::Hearsay, now);
        self.ping(&name, now);
    }

    /// What others want to know of a start that is over.
    pub(super) fn end_errands(&mut self, name: &Name) {
        let errands: Vec<Errand> = self.errands.extract_if(.., |errand| errand.about == *name).collect();
        for errand in errands {
            self.send(&errand.asker, &Message::Answer { nonce: errand.nonce, is_heard: false });
        }
    }

    /// Nobody is heard.
    pub(super) fn is_cut_off(&mut self, now: Instant) {
        self.inquiries.clear();
        self.set_isolated(true);
        self.call_out(now);
        if self.options.isolated == Isolated::Yield {
            // They may have taken over meanwhile, and are to announce that again where it was not heard.
            for member in self.state.members.values_mut().filter(|member| member.is_up()) {
                member.missed_at = Some(now);
            }
            return;
        }
        let mut lost = Vec::new();
        for (name, member) in self.state.members.iter_mut().filter(|(_, member)| member.is_up()) {
            member.is_heard = false;
            member.missed_at = Some(now);
            member.since = now;
            let silence = member.last_heard.map_or(Duration::ZERO, |heard| now.duration_since(heard));
            lost.push((name.clone(), silence));
        }
        let inquiry = self.inquiry_time();
        for (name, silence) in lost {
            self.forget_sessions(&name);
            self.count_member(&name);
            self.tell_down(name, Verdict { by: None, silence, inquiry });
        }
    }

    /// Somebody who is down or was never heard may be on this side of what this node is cut off by.
    fn call_out(&mut self, now: Instant) {
        let known = self.state.members.iter().filter(|(_, it)| it.record.standing != Standing::Left);
        let names: Vec<Name> = known.map(|(name, _)| name.clone()).take(LIMITS.many).collect();
        for name in names {
            self.ping(&name, now);
        }
    }

    /// Members that nobody watches from here are asked one after the other whether they are there.
    pub(super) fn probe(&mut self, now: Instant) {
        if now < self.probe_at {
            return;
        }
        self.probe_at = now + self.random.part_of(TIMES.ping, 75, 100) / 2;
        if let Some((name, since, attempts)) = self.probed.take() {
            let Some(member) = self.state.members.get(&name).filter(|member| member.is_up()) else { return };
            let silence = now.duration_since(member.last_heard.unwrap_or(member.since));
            if member.last_heard.is_none_or(|heard| heard < since) {
                if attempts >= ATTEMPTS {
                    return self.inquire(&name, silence, None, now);
                }
                self.ping(&name, now);
                self.probed = Some((name, since, attempts + 1));
            }
            // The half of the time in which nothing was to be done.
            return;
        }
        let names = self.some_up(1, |_, _| true);
        if let Some(name) = names.into_iter().next() {
            self.ping(&name, now);
            self.probed = Some((name, now, 1));
        }
        self.is_lonely(now);
    }

    /// Nobody was heard for long, which a node with nobody to watch does not notice otherwise.
    fn is_lonely(&mut self, now: Instant) {
        let patience = match self.options.isolated {
            Isolated::Keep => LATELY * 3,
            Isolated::Yield => self.options.detection.time() * 3,
        };
        if now.duration_since(self.heard_anybody) < patience || self.state.own.is_isolated {
            return;
        }
        let up = self.some_up(1, |_, member| member.record.standing != Standing::Left);
        if let Some(name) = up.first() {
            self.inquire(name, now.duration_since(self.heard_anybody), None, now);
        }
    }

    /// One that says something odd is the next to be asked.
    pub(super) fn probe_early(&mut self, name: &Name) {
        if self.probed.is_none() {
            self.probed = Some((name.clone(), self.now, 0));
        }
    }
}
