//! What this node says of itself: whether it is a candidate, that it is not down, and when it had better be silent.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use super::machine::Members;
use super::message::Message;
use super::record::{Record, Standing};
use super::{Event, Name, TIMES};

/// After the first answer of a member, others have so long to answer as well before this node joins.
const JOIN_AFTER_FIRST: Duration = Duration::from_millis(150);
/// Members that are asked what became of this node, beside those that watch over it.
const ASKED_AT_RANDOM: usize = 2;

/// A reunion is told again after this time, when all who come back have done so.
const REUNION_SETTLES: Duration = Duration::from_millis(250);
/// Who is said to be on this node too is asked no more often,
const RIVAL_ASKED_EVERY: Duration = Duration::from_millis(100);
/// and believed for so long after an answer.
const RIVAL_BELIEVED_FOR: Duration = Duration::from_secs(3);

/// This node was not awake, and asks what has become of its addresses.
#[derive(Debug)]
pub(super) struct Relearning {
    missing: BTreeSet<Name>,
    answers: usize,
    since: Instant,
    pub(super) until: Instant,
    is_second: bool,
}

/// With whom last, when it is told again, and whether others have come back since it was told.
#[derive(Debug)]
pub(super) struct Reunion {
    with: Name,
    pub(super) at: Instant,
    goes_on: bool,
}

impl Members {
    /// Brings what is said of this node in line with how it is.
    pub(super) fn review(&mut self, now: Instant) {
        let own = &mut self.state.own;
        let has_joined = own.is_joining && self.join_until.is_some_and(|until| until <= now);
        own.is_joining &= !has_joined;
        if own.damped_until.is_some_and(|until| until <= now) {
            own.damped_until = None;
        }
        if own.duplicate_of.is_some() && self.duplicate_until <= now {
            own.duplicate_of = None;
        }
        let standing = if own.record.standing == Standing::Left {
            Standing::Left
        } else if own.is_joining || !own.is_ready || own.duplicate_of.is_some() {
            Standing::Waiting
        } else if own.is_leaving {
            Standing::Leaving
        } else if own.damped_until.is_some() {
            Standing::Damped
        } else {
            Standing::Alive
        };
        if own.record.standing != standing {
            self.say(now, |record| record.standing = standing);
        }
        if has_joined {
            // What others told of may not be there any more.
            self.raise_alarm(now);
        }
        if self.forgive_at <= now {
            self.forgive_at = now + TIMES.forgiveness;
            if self.state.own.record.failures > 0 {
                self.say(now, |record| record.failures -= 1);
            }
        }
    }

    /// A new word of this node about itself.
    pub(super) fn say(&mut self, now: Instant, change: impl FnOnce(&mut Record)) {
        let record = &mut self.state.own.record;
        let before = record.standing;
        record.incarnation += 1;
        change(record);
        let record = record.clone();
        self.count_own(before != Standing::Alive && record.standing == Standing::Alive);
        let name = self.options.name.clone();
        self.spread(&name);
        self.broadcast(Message::Records(vec![record]), None, now);
    }

    /// What others say of this node.
    pub(super) fn hear_of_self(&mut self, heard: &Record, by: Option<Name>, now: Instant) {
        let own = &self.state.own;
        if heard.address != own.record.address {
            return self.hear_of_rival(heard, false, now);
        }
        let own = &mut self.state.own;
        if heard.generation < own.record.generation {
            // The start before this one.
            return;
        }
        if own.is_joining && heard.failures > own.record.failures {
            // Others remember what became of earlier starts.
            own.record.failures = heard.failures;
            self.damp(now);
        }
        let own = &mut self.state.own;
        if heard.generation > own.record.generation {
            // The clock went back between two starts.
            own.record.generation = heard.generation + 1;
            own.record.failures = heard.failures;
            self.forgive_at = now + TIMES.forgiveness;
            return self.say(now, |_| {});
        }
        if heard.order() > own.record.order() && own.record.standing != Standing::Left {
            self.refute(heard, by, now);
        }
    }

    fn refute(&mut self, accusation: &Record, by: Option<Name>, now: Instant) {
        let own = &mut self.state.own;
        own.record.incarnation = accusation.incarnation;
        own.record.failures = own.record.failures.max(accusation.failures);
        self.forgive_at = now + TIMES.forgiveness;
        self.state.counters.refuted += 1;
        if !self.is_with_most() {
            self.damp(now);
        }
        self.say(now, |_| {});
        let by = by.unwrap_or_else(|| self.options.name.clone());
        self.tell(Event::Refuted { by: by.clone() });
        self.reunited = Some(by);
    }

    /// This node was taken for dead, or took others for dead. That is told after whatever became of the candidates, and
    /// again as long as others come back: until all have, this node may take addresses for its own that are not. And once more
    /// after the last, for those that heard of this node later than it heard of them.
    pub(super) fn tell_of_reunion(&mut self, now: Instant) {
        let news = self.reunited.take();
        let Some(reunion) = &mut self.reunion else {
            let Some(with) = news else { return };
            self.reunion = Some(Reunion { with: with.clone(), at: now + REUNION_SETTLES, goes_on: false });
            return self.tell(Event::Reunited { with });
        };
        if let Some(with) = news {
            reunion.with = with;
            reunion.goes_on = true;
        }
        if now < reunion.at {
            return;
        }
        let with = reunion.with.clone();
        reunion.at = now + REUNION_SETTLES;
        if !std::mem::take(&mut reunion.goes_on) {
            self.reunion = None;
        }
        self.tell(Event::Reunited { with });
    }

    /// Whether most members have been there all the time: then it is not this node that is unreliable. Of two halves
    /// it is the one with the first name.
    fn is_with_most(&self) -> bool {
        if self.was_asleep {
            return false;
        }
        let all = self.state.members.iter().filter(|(_, member)| member.record.standing != Standing::Left);
        let (here, gone): (Vec<_>, Vec<_>) = all.partition(|(_, member)| member.is_up());
        let (ours, theirs) = (here.len() + 1, gone.len());
        let first_gone = gone.iter().map(|(name, _)| *name).min();
        let first_here = here.iter().map(|(name, _)| *name).chain([&self.options.name]).min();
        ours > theirs
            || ours == theirs && first_gone.is_none_or(|gone| first_here.is_some_and(|here| here < gone))
    }

    /// The more often it failed, the longer it waits.
    fn damp(&mut self, now: Instant) {
        let failures = usize::from(self.state.own.record.failures);
        let last = TIMES.readmission.len() - 1;
        let wait = Duration::from_secs(TIMES.readmission[failures.min(last)]);
        if !wait.is_zero() {
            self.state.own.damped_until = Some(now + wait);
        }
    }

    /// Another speaker on this node, as somebody says. It is believed as long as it says so itself when it is asked.
    pub(super) fn hear_of_rival(&mut self, rival: &Record, is_proven: bool, now: Instant) {
        let own = &mut self.state.own;
        let is_before = (rival.generation, rival.address) < (own.record.generation, own.record.address);
        if !rival.standing.is_up() {
            // Gone, if it was there at all. This start comes after it.
            if rival.generation >= own.record.generation {
                own.record.generation = rival.generation + 1;
            }
            return;
        }
        if !is_proven {
            if self.rival_asked_at.is_none_or(|at| at + RIVAL_ASKED_EVERY <= now) {
                self.rival_asked_at = Some(now);
                self.ping_address(rival.address, now);
            }
            return;
        }
        if is_before {
            own.duplicate_of = Some(rival.address);
            self.duplicate_until = now + RIVAL_BELIEVED_FOR;
        }
        self.tell_duplicate(rival.name.clone(), rival.address);
    }

    /// Whether the other one is there still.
    pub(super) fn look_for_rival(&mut self, now: Instant) {
        if let Some(address) = self.state.own.duplicate_of {
            self.ping_address(address, now);
        }
    }

    /// Once for each address.
    pub(super) fn tell_duplicate(&mut self, name: Name, address: SocketAddr) {
        self.state.counters.duplicates += 1;
        if self.duplicates.len() < super::LIMITS.foreign && self.duplicates.insert((name.clone(), address)) {
            self.tell(Event::Duplicate { name, address });
        }
    }

    /// Someone has answered, so there are others.
    pub(super) fn is_joined_by(&mut self, now: Instant) {
        if self.state.own.is_joining {
            let soon = now + JOIN_AFTER_FIRST;
            self.join_until = Some(self.join_until.map_or(soon, |until| until.min(soon)));
        }
    }

    /// Takes account of time in which nothing was done here. Nobody else is to blame for that silence.
    pub(super) fn wake(&mut self, slip: Duration, now: Instant) {
        self.heard_anybody += slip;
        self.inquiries.values_mut().for_each(|inquiry| inquiry.forgive(slip));
        self.errands.iter_mut().for_each(|errand| errand.until += slip);
        self.watched.values_mut().for_each(|watched| watched.forgive(slip));
        self.was_away(slip, now);
    }

    /// Also if the clock stood still, so that no time has passed here.
    pub(super) fn was_away(&mut self, slip: Duration, now: Instant) {
        let own = self.options.detection;
        if slip >= own.interval / 2 {
            self.state.counters.slips += 1;
            self.state.counters.worst_slip = self.state.counters.worst_slip.max(slip);
            self.tell(Event::Slipped { by: slip });
        }
        if slip >= own.time() {
            self.watched.values_mut().for_each(|watched| watched.begin_anew(now));
            self.was_asleep = true;
            self.probed = None;
            self.relearn(false, now);
        }
    }

    fn relearn(&mut self, is_second: bool, now: Instant) {
        let mut asked: BTreeSet<Name> = self.watchers.keys().cloned().collect();
        asked.extend(self.some_up(ASKED_AT_RANDOM, |_, _| true));
        asked.retain(|name| self.state.members.get(name).is_some_and(super::Member::is_up));
        if asked.is_empty() {
            return self.end_relearning();
        }
        for name in &asked {
            self.ping(name, now);
        }
        // One that is alone is called rarely, so its gate may be open for that long after it fell asleep.
        let time = if is_second { TIMES.reunion.max(self.inquiry_time()) } else { self.inquiry_time() };
        self.relearning =
            Some(Relearning { missing: asked, answers: 0, since: now, until: now + time, is_second });
    }

    /// A member has told what it knows of this node, and if that was bad news it is dealt with already. What it knows of others
    /// has to be known as well: addresses of this node may be those of one that came meanwhile.
    pub(super) fn relearned_from(&mut self, name: &Name, is_same: bool) {
        let Some(relearning) = &mut self.relearning else { return };
        relearning.answers += usize::from(relearning.missing.contains(name));
        if is_same {
            relearning.missing.remove(name);
        } else if relearning.missing.contains(name) {
            return self.send(&name.clone(), &Message::Want);
        }
        if relearning.missing.is_empty() {
            self.end_relearning();
        }
    }

    /// Its table has come, or a part of it: whether that was all is asked.
    pub(super) fn relearned_more_from(&mut self, name: &Name, now: Instant) {
        if self.relearning.as_ref().is_some_and(|relearning| relearning.missing.contains(name)) {
            self.ping(name, now);
        }
    }

    pub(super) fn see_to_relearning(&mut self, now: Instant) {
        let Some(relearning) = &self.relearning else { return };
        if now < relearning.until {
            return;
        }
        // With no answer at all a second time there is nobody who could have taken anything over, or this node is cut off.
        if relearning.answers == 0 && !relearning.is_second {
            return self.relearn(true, now);
        }
        let is_alone = relearning.answers == 0 && self.heard_anybody < relearning.since;
        self.end_relearning();
        if is_alone {
            self.is_cut_off(now);
        }
    }

    fn end_relearning(&mut self) {
        self.relearning = None;
        if !std::mem::take(&mut self.was_asleep) {
            return;
        }
        // Those that fell silent meanwhile may have had nobody else to miss them.
        self.raise_alarm(self.now);
        if self.state.own.record.standing == Standing::Alive {
            // Whoever took anything over meanwhile need not be there any more to be heard of.
            self.reunited = Some(self.options.name.clone());
        }
    }
}
