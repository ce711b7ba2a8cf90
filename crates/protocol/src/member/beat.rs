//! Beats: a node is watched by a few others, to which it sends small datagrams often. They answer rarely.
//!
//! Sessions come up as those of RFC 5880 do, 6.8.6: the states of both ends travel along, and each says back the random number of
//! the other, so that no recording keeps a dead node alive. The watched node chooses who watches it: first its heirs, who
//! have to act on its failure, then whoever chance gives it, so that no node is without.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use super::machine::Members;
use super::message::{Beat, BeatState, Message};
use super::record::Standing;
use super::{Detection, Isolated, LIMITS, Name, Watching};
use crate::random::mix_bytes;

/// A watcher answers once in so many beats,
const ANSWER_EACH: u32 = 10;
/// or more often if the watched node wants to know soon that it is cut off.
const ANSWER_EACH_SOON: u32 = 3;
/// Answers are for a watcher that lives, and for loss: more than this is not needed.
const ANSWER_AT_LEAST: Duration = Duration::from_millis(500);
/// So many attempts to bring a session up are as fast as beats,
const HASTY: u32 = 8;
/// and the others this far apart (RFC 5880, 6.8.3: not less than a second while a session is not up).
const PATIENT: Duration = Duration::from_secs(1);
/// While many come and go, not each of them is reason enough.
const CHOOSE_EVERY: Duration = Duration::from_millis(100);
/// One that only others hear is asked about again after this.
const LOOK_AGAIN_AFTER: Duration = Duration::from_secs(1);
/// Whoever refused to watch, or did not answer, is not asked again for so long.
const ASK_AGAIN_AFTER: Duration = Duration::from_secs(10);

/// A session's end with the one that watches.
#[derive(Debug)]
pub(super) struct Watched {
    state: BeatState,
    mine: u32,
    yours: u32,
    detection: Detection,
    last: Instant,
    /// Without a beat until then it has fallen silent,
    deadline: Instant,
    /// as it has so often in a row,
    silences: u8,
    /// and so others were asked then.
    asked_at: Option<Instant>,
    answer_every: Duration,
    answer_at: Instant,
    answer_sequence: u16,
    sequence: u16,
    received: u64,
    lost: u64,
}

/// A session's end with the one that is watched.
#[derive(Debug)]
pub(super) struct Watcher {
    state: BeatState,
    mine: u32,
    yours: u32,
    sequence: u16,
    attempts: u32,
    next_at: Instant,
    /// What it said it wants at most.
    accepts: Duration,
    last: Instant,
    received: u64,
    answer_sequence: u16,
    lost: u64,
}

/// RFC 5880, 6.8.6, for what was heard while in a state. Without the part about detection, which is not heard.
fn next(state: BeatState, heard: BeatState) -> BeatState {
    match (state, heard) {
        (BeatState::AdminDown, _) => BeatState::AdminDown,
        (_, BeatState::AdminDown) => BeatState::Down,
        (BeatState::Down, BeatState::Down) => BeatState::Init,
        (BeatState::Down | BeatState::Init, BeatState::Init) => BeatState::Up,
        (BeatState::Down, BeatState::Up) => BeatState::Down,
        (BeatState::Init, BeatState::Down) => BeatState::Init,
        (BeatState::Init, BeatState::Up) => BeatState::Up,
        (BeatState::Up, BeatState::Down) => BeatState::Down,
        (BeatState::Up, BeatState::Init | BeatState::Up) => BeatState::Up,
    }
}

impl Watched {
    pub(super) fn is_up_at(&self, now: Instant) -> bool {
        // The deadline is put off when this node was asleep, and that is no sign of life.
        self.state == BeatState::Up && self.silences == 0 && now < self.last + self.detection.time()
    }

    /// So lately that others need not ask the node itself.
    pub(super) fn is_fresh_at(&self, now: Instant) -> bool {
        self.is_up_at(now) && now < self.last + self.detection.interval * 2
    }

    pub(super) fn deadline(&self) -> Instant {
        if self.state == BeatState::Up { self.deadline.min(self.answer_at) } else { self.answer_at }
    }

    /// Time in which nothing could be heard does not count.
    pub(super) fn forgive(&mut self, slip: Duration) {
        self.deadline += slip;
    }

    pub(super) fn begin_anew(&mut self, now: Instant) {
        self.deadline = self.deadline.max(now + self.detection.time());
    }

    /// It was heard otherwise after it had fallen silent: then its beats have to come as well.
    pub(super) fn expect_beats(&mut self, now: Instant) {
        if self.silences == 1 {
            self.deadline = self.deadline.min(now + self.detection.time());
        }
    }

    pub(super) fn watching(&self, name: &Name) -> Watching {
        Watching {
            name: name.clone(),
            is_up: self.state == BeatState::Up,
            interval: self.detection.interval,
            multiplier: self.detection.multiplier,
            received: self.received,
            lost: self.lost,
        }
    }
}

impl Watcher {
    pub(super) fn deadline(&self) -> Instant {
        self.next_at
    }

    pub(super) fn is_up(&self) -> bool {
        self.state == BeatState::Up
    }
}

impl Members {
    pub(super) fn receive_beat(&mut self, beat: Beat, from: &Name, now: Instant) {
        if beat.is_watched {
            self.receive_from_watched(beat, from, now);
        } else {
            self.receive_from_watcher(beat, from, now);
        }
    }

    fn receive_from_watched(&mut self, beat: Beat, from: &Name, now: Instant) {
        let is_new = !self.watched.contains_key(from);
        if is_new && beat.state != BeatState::Down {
            // Of a session that is over here. To say so lets it begin anew.
            if beat.state != BeatState::AdminDown {
                self.refuse(from, beat.mine, BeatState::Down);
            }
            return;
        }
        let is_one_of_many = self.state.members.len() > LIMITS.many;
        let most = if is_one_of_many { LIMITS.watched_of_many } else { LIMITS.watched };
        if is_new && self.watched.len() >= most {
            self.state.counters.dropped.too_many += 1;
            return self.refuse(from, beat.mine, BeatState::AdminDown);
        }
        let mine = self.random.draw() as u32 | 1;
        let watched = self.watched.entry(from.clone()).or_insert(Watched {
            state: BeatState::Down,
            mine,
            yours: 0,
            detection: Detection { interval: beat.interval, multiplier: beat.multiplier.max(1) },
            last: now,
            deadline: now,
            silences: 0,
            asked_at: None,
            answer_every: ANSWER_AT_LEAST,
            answer_at: now,
            answer_sequence: 0,
            sequence: beat.sequence.wrapping_sub(1),
            received: 0,
            lost: 0,
        });
        let is_ours = beat.yours == watched.mine;
        let begins = beat.yours == 0 && matches!(beat.state, BeatState::Down | BeatState::AdminDown);
        if !(is_ours || begins) {
            self.state.counters.dropped.unasked += 1;
            return;
        }
        if beat.state == BeatState::AdminDown {
            self.watched.remove(from);
            return;
        }
        let before = watched.state;
        watched.state = next(before, beat.state);
        watched.yours = beat.mine;
        watched.detection = Detection { interval: beat.interval, multiplier: beat.multiplier.max(1) };
        watched.last = now;
        watched.deadline = now + watched.detection.time();
        watched.silences = 0;
        watched.answer_every = beat.accepts.clamp(beat.interval, beat.interval.max(ANSWER_AT_LEAST));
        let ahead = beat.sequence.wrapping_sub(watched.sequence);
        if ahead > 0 && ahead < 1 << 15 {
            watched.received += 1;
            watched.lost += u64::from(ahead - 1);
            watched.sequence = beat.sequence;
        }
        if watched.state != BeatState::Up || before != BeatState::Up {
            watched.answer_at = now;
        }
        if is_ours {
            self.heard(from, now);
        }
    }

    fn receive_from_watcher(&mut self, beat: Beat, from: &Name, now: Instant) {
        let Some(watcher) = self.watchers.get_mut(from) else {
            self.state.counters.dropped.unasked += 1;
            return;
        };
        if beat.yours != watcher.mine {
            self.state.counters.dropped.unasked += 1;
            return;
        }
        if beat.state == BeatState::AdminDown {
            self.watchers.remove(from);
            self.not_again_soon(from, now);
            self.watchers_are_stale = true;
            return;
        }
        let before = watcher.state;
        watcher.state = next(before, beat.state);
        watcher.yours = if watcher.state == BeatState::Down { 0 } else { beat.mine };
        watcher.accepts = beat.accepts;
        watcher.last = now;
        let ahead = beat.sequence.wrapping_sub(watcher.answer_sequence);
        if ahead > 0 && ahead < 1 << 15 {
            watcher.received += 1;
            watcher.lost += u64::from(ahead - 1);
            watcher.answer_sequence = beat.sequence;
        }
        if watcher.state != before {
            watcher.attempts = 0;
            watcher.next_at = now;
        }
        self.heard(from, now);
    }

    fn refuse(&mut self, to: &Name, yours: u32, state: BeatState) {
        let interval = self.options.detection.interval;
        let beat = Beat {
            state,
            is_watched: false,
            mine: 0,
            yours,
            sequence: 0,
            interval,
            accepts: interval,
            multiplier: 1,
        };
        self.send(to, &Message::Beat(beat));
    }

    /// Beats and answers that are due, and who has fallen silent.
    pub(super) fn beat(&mut self, now: Instant) {
        let due: Vec<Name> =
            self.watchers.iter().filter(|(_, it)| it.next_at <= now).map(|(name, _)| name.clone()).collect();
        for name in due {
            self.beat_to_watcher(&name, now);
        }
        let due: Vec<Name> = self
            .watched
            .iter()
            .filter(|(_, it)| it.deadline() <= now)
            .map(|(name, _)| name.clone())
            .collect();
        for name in due {
            self.see_to_watched(&name, now);
        }
    }

    fn beat_to_watcher(&mut self, name: &Name, now: Instant) {
        let own = self.options.detection;
        let Some(watcher) = self.watchers.get_mut(name) else { return };
        let interval = own.interval.max(watcher.accepts);
        let answers = self.random.part_of(interval, 75, 100);
        let is_late =
            now.duration_since(watcher.last) > answer_after(interval, self.options.isolated) * 3 + PATIENT;
        if is_late {
            // It may be gone. Others see to that; here it is of no use.
            self.end_watcher(name);
            self.not_again_soon(name, now);
            self.watchers_are_stale = true;
            return;
        }
        let is_up = watcher.state == BeatState::Up;
        watcher.attempts += 1;
        watcher.next_at = now + if is_up || watcher.attempts <= HASTY { answers } else { PATIENT };
        watcher.sequence = watcher.sequence.wrapping_add(1);
        let beat = Beat {
            state: watcher.state,
            is_watched: true,
            mine: watcher.mine,
            yours: watcher.yours,
            sequence: watcher.sequence,
            interval,
            accepts: answer_after(interval, self.options.isolated),
            multiplier: own.multiplier,
        };
        self.send(name, &Message::Beat(beat));
        if !is_up {
            // So that it knows who sends these beats.
            self.ping(name, now);
        }
    }

    fn see_to_watched(&mut self, name: &Name, now: Instant) {
        let own = self.options.detection;
        let Some(watched) = self.watched.get_mut(name) else { return };
        let is_silent = watched.deadline <= now;
        if is_silent && watched.state != BeatState::Up {
            // It never came up, and so says nothing.
            self.watched.remove(name);
            return;
        }
        if is_silent {
            let last_heard = self.state.members.get(name).and_then(|member| member.last_heard);
            if watched.silences > 1 && last_heard > watched.asked_at {
                // It is there, and has given up this session.
                self.watched.remove(name);
                return;
            }
            let silence = now.duration_since(last_heard.map_or(watched.last, |it| it.max(watched.last)));
            // Should others hear it all the same, they are asked again later.
            watched.silences = watched.silences.saturating_add(1);
            watched.asked_at = Some(now);
            watched.deadline = now + LOOK_AGAIN_AFTER;
            return self.inquire(name, silence, None, now);
        }
        if watched.answer_at <= now {
            watched.answer_at = now + self.random.part_of(watched.answer_every, 75, 100);
            watched.answer_sequence = watched.answer_sequence.wrapping_add(1);
            let beat = Beat {
                state: watched.state,
                is_watched: false,
                mine: watched.mine,
                yours: watched.yours,
                sequence: watched.answer_sequence,
                interval: watched.detection.interval,
                accepts: own.interval,
                multiplier: own.multiplier,
            };
            self.send(name, &Message::Beat(beat));
        }
    }

    /// Those who shall watch over this node, from among those who can.
    pub(super) fn choose_watchers(&mut self, now: Instant) {
        self.watchers_are_stale = false;
        self.choose_at = now + CHOOSE_EVERY;
        self.refused.retain(|_, until| now < *until);
        let chosen = self.best_watchers();
        let over: Vec<Name> = self.watchers.keys().filter(|name| !chosen.contains(*name)).cloned().collect();
        for name in over {
            self.end_watcher(&name);
        }
        for name in chosen {
            let mine = self.random.draw() as u32 | 1;
            self.watchers.entry(name).or_insert(Watcher {
                state: BeatState::Down,
                mine,
                yours: 0,
                sequence: 0,
                attempts: 0,
                next_at: now,
                accepts: Duration::ZERO,
                last: now,
                received: 0,
                answer_sequence: 0,
                lost: 0,
            });
        }
    }

    fn best_watchers(&self) -> BTreeSet<Name> {
        let many = self.state.members.len() > LIMITS.many;
        let count = if many { LIMITS.watchers_of_many } else { LIMITS.watchers };
        let can = |name: &Name| {
            let member = self.state.members.get(name);
            let stays =
                |member: &super::Member| member.is_up() && member.record.standing != Standing::Leaving;
            member.is_some_and(stays) && !self.refused.contains_key(name)
        };
        let mut chosen: BTreeSet<Name> =
            self.heirs.iter().filter(|name| can(name)).take(count).cloned().collect();
        if chosen.len() < count {
            // As good as at random, and the same each time.
            let lot = |name: &Name| mix_bytes(0, name.bytes().chain(self.options.name.bytes()));
            let mut others: Vec<(u64, &Name)> =
                self.state.members.keys().filter(|name| can(name)).map(|name| (lot(name), name)).collect();
            others.sort_unstable();
            for (_, name) in others {
                if chosen.len() == count {
                    break;
                }
                chosen.insert(name.clone());
            }
        }
        chosen
    }

    fn not_again_soon(&mut self, name: &Name, now: Instant) {
        self.refused.insert(name.clone(), now + ASK_AGAIN_AFTER);
    }

    fn end_watcher(&mut self, name: &Name) {
        let Some(watcher) = self.watchers.remove(name) else { return };
        let own = self.options.detection;
        let beat = Beat {
            state: BeatState::AdminDown,
            is_watched: true,
            mine: watcher.mine,
            yours: watcher.yours,
            sequence: watcher.sequence.wrapping_add(1),
            interval: own.interval,
            accepts: own.interval,
            multiplier: own.multiplier,
        };
        self.send(name, &Message::Beat(beat));
    }

    pub(super) fn end_all_watchers(&mut self) {
        for name in self.watchers.keys().cloned().collect::<Vec<_>>() {
            self.end_watcher(&name);
        }
    }

    /// With a start that is over.
    pub(super) fn forget_sessions(&mut self, name: &Name) {
        self.watched.remove(name);
        self.watchers.remove(name);
    }

    /// For status.
    pub(super) fn show_sessions(&mut self) {
        let name_interval = |name: &Name, watcher: &Watcher| Watching {
            name: name.clone(),
            is_up: watcher.is_up(),
            interval: self.options.detection.interval.max(watcher.accepts),
            multiplier: self.options.detection.multiplier,
            received: watcher.received,
            lost: watcher.lost,
        };
        self.state.own.watchers =
            self.watchers.iter().map(|(name, watcher)| name_interval(name, watcher)).collect();
        for (name, member) in &mut self.state.members {
            member.watching = self.watched.get(name).map(|watched| watched.watching(name));
        }
    }
}

/// Between the answers of a watcher to beats that are so far apart.
fn answer_after(interval: Duration, isolated: Isolated) -> Duration {
    match isolated {
        Isolated::Keep => (interval * ANSWER_EACH).min(ANSWER_AT_LEAST).max(interval),
        Isolated::Yield => interval * ANSWER_EACH_SOON,
    }
}

#[cfg(test)]
mod tests {
    use super::BeatState::{AdminDown, Down, Init, Up};
    use super::next;

    #[test]
    fn states_follow_the_table_of_rfc_5880() {
        for (state, heard, then) in [
            (Down, Down, Init),
            (Down, Init, Up),
            (Down, Up, Down),
            (Down, AdminDown, Down),
            (Init, Down, Init),
            (Init, Init, Up),
            (Init, Up, Up),
            (Init, AdminDown, Down),
            (Up, Down, Down),
            (Up, Init, Up),
            (Up, Up, Up),
            (Up, AdminDown, Down),
            (AdminDown, Up, AdminDown),
        ] {
            assert_eq!(next(state, heard), then, "{state:?} hears {heard:?}");
        }
    }
}
