//! What goes wrong, and when.

use std::time::Duration;

use protocol::Machine;
use protocol::member::Input;

use super::attacks::Attack;
use super::clock::{NEVER, Time};
use super::network::Weather;
use super::speaker::address_of;
use super::world::{Happening, World, key};

/// What does not apply at the moment, as the crash of what does not run, does nothing.
#[derive(Debug, Clone)]
pub(crate) enum Fault {
    Crash(usize),
    /// Also of what runs: without a word.
    Restart {
        who: usize,
        how: Restart,
    },
    /// Nothing of the node runs. Its clock goes on.
    Freeze(usize, Duration),
    /// Its thread of membership does not run; layer 2 does.
    Starve(usize, Duration),
    /// Its clock stands still as well.
    Suspend(usize, Duration),
    /// Ends as planned: others take over first.
    Leave(usize),
    Drain(usize, bool),
    Ready(usize, bool),
    Partition(Vec<usize>),
    /// From the first, nothing arrives at the second.
    Cut(usize, usize),
    /// The same, and it is no reason to move anything: others hear both.
    Break(usize, usize),
    Heal,
    Weather(Weather),
    Key(usize, u32),
    /// Threads run late, for at most so long, until then.
    Hiccups(Duration, Time),
    Attack(Attack),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Restart {
    Plain,
    /// The time of day was set back meanwhile.
    Backwards,
    /// At another address.
    Elsewhere,
    /// At the address that another node had.
    InPlaceOf(usize),
}

impl World {
    pub(crate) fn schedule(&mut self, faults: &[(Time, Fault)]) {
        for (at, fault) in faults {
            self.at(*at, Happening::Fault(fault.clone()));
        }
    }

    pub(crate) fn apply(&mut self, fault: &Fault) {
        if !matches!(fault, Fault::Attack(_)) {
            self.history.tell(self.now, format_args!("FAULT {fault:?}"));
        }
        match fault {
            Fault::Crash(who) => self.crash(*who),
            Fault::Restart { who, how } => self.restart(*who, *how),
            Fault::Freeze(who, length) | Fault::Starve(who, length) | Fault::Suspend(who, length) => {
                self.pause(*who, *length, fault);
            }
            Fault::Leave(who) if !self.speakers[*who].is_leaving => self.leave(*who, true),
            Fault::Drain(who, true) if !self.speakers[*who].is_leaving => self.leave(*who, false),
            Fault::Drain(who, false) if self.speakers[*who].is_leaving && !self.speakers[*who].ends => {
                self.stay(*who);
            }
            Fault::Leave(_) | Fault::Drain(..) => {}
            Fault::Ready(who, is_ready) => self.become_ready(*who, *is_ready),
            Fault::Partition(sides) => {
                for who in (0..sides.len()).filter(|who| sides[*who] != 0) {
                    self.lost(who);
                }
                self.forget_clients();
                self.network.partition(sides);
                self.connections_changed();
            }
            Fault::Cut(from, to) => {
                self.network.cut(*from, *to);
                self.connections_changed();
            }
            Fault::Break(from, to) => self.network.break_link(*from, *to),
            Fault::Heal => {
                self.forget_clients();
                self.network.heal();
                self.connections_changed();
            }
            Fault::Weather(weather) => {
                self.settle(self.heal_bound());
                self.network.weather = *weather;
                self.settle(self.heal_bound());
            }
            Fault::Key(who, number) => {
                self.speakers[*who].key = *number;
                self.input(*who, Input::Key(key(*number)));
            }
            Fault::Hiccups(longest, until) => {
                for who in 0..self.speakers.len() {
                    let at = self.now + self.random.millis(0, 300);
                    self.at(at, Happening::Hiccup { who, longest: *longest, until: *until });
                }
            }
            Fault::Attack(attack) => self.attack(attack),
        }
    }

    fn crash(&mut self, who: usize) {
        if !self.speakers[who].is_running() {
            return;
        }
        self.lost(who);
        self.speakers[who].excuse(NEVER);
        self.stop(who);
        self.settle(self.failure_bound());
    }

    /// Others do not hear it any more. How long its addresses are gone is measured from here.
    fn lost(&mut self, who: usize) {
        self.speakers[who].gone_at = self.now;
        for address in 0..self.setup.addresses {
            if self.speakers[who].answers(address, self.now) {
                self.figures.lost_at.insert(address, (who, self.now));
            }
        }
    }

    fn restart(&mut self, who: usize, how: Restart) {
        self.crash(who);
        let later = 1 + self.random.draw() % 100_000;
        let speaker = &mut self.speakers[who];
        speaker.generation = match how {
            Restart::Backwards => speaker.generation.saturating_sub(later),
            _ => speaker.generation + later,
        };
        match how {
            Restart::Elsewhere => {
                let number = 10_000 + usize::try_from(speaker.life).expect("few starts") * 2000 + who;
                speaker.address = address_of(number);
            }
            Restart::InPlaceOf(other) if !self.speakers[other].is_running() => {
                let theirs = self.speakers[other].address;
                self.speakers[other].address = self.speakers[who].address;
                self.speakers[who].address = theirs;
            }
            _ => {}
        }
        self.speakers[who].excused_until = NEVER;
        let life = self.speakers[who].life;
        let at = self.now + self.random.millis(0, 50);
        self.at(at, Happening::Start { who, life });
    }

    fn pause(&mut self, who: usize, length: Duration, how: &Fault) {
        let speaker = &mut self.speakers[who];
        let until = self.now + length;
        if !speaker.is_running() || speaker.asleep_until.max(speaker.frozen_until) > self.now {
            return;
        }
        self.lost(who);
        let speaker = &mut self.speakers[who];
        speaker.asleep_until = until;
        if !matches!(how, Fault::Starve(..)) {
            speaker.frozen_until = until;
        }
        if matches!(how, Fault::Suspend(..)) {
            speaker.clock.stood_still(self.now, until);
            speaker.slept = Some(length);
            speaker.gate += length;
        }
        speaker.is_excusable = length > self.setup.detection.time() / 2;
        let is_excusable = speaker.is_excusable;
        speaker.turn_at = NEVER;
        self.has_changed = true;
        self.request_turn(who, until);
        self.at(until, Happening::Woken { who });
        let over = length + Duration::from_millis(5);
        self.settle(if is_excusable { over.min(self.failure_bound()) } else { over });
    }

    pub(crate) fn woken(&mut self, who: usize) {
        self.has_changed = true;
        // What it was not awake to see it finds out later.
        self.settle(self.failure_bound());
        if std::mem::take(&mut self.speakers[who].is_excusable) {
            let bound = self.heal_bound();
            self.speakers[who].excuse(self.now + bound);
            self.settle(bound);
        }
    }

    fn leave(&mut self, who: usize, ends: bool) {
        if !self.speakers[who].is_running() {
            return;
        }
        self.speakers[who].is_leaving = true;
        self.speakers[who].ends = ends;
        self.input(who, Input::Leave(true));
        if ends {
            let life = self.speakers[who].life;
            self.at(self.now + Duration::from_secs(1), Happening::Ends { who, life });
        }
        self.settle(Duration::from_secs(1) + self.failure_bound());
    }

    fn stay(&mut self, who: usize) {
        self.speakers[who].is_leaving = false;
        let bound = self.heal_bound();
        self.speakers[who].excuse(self.now + bound);
        self.input(who, Input::Leave(false));
        self.settle(bound);
    }

    fn become_ready(&mut self, who: usize, is_ready: bool) {
        let speaker = &mut self.speakers[who];
        if speaker.is_running() && speaker.is_ready != is_ready && speaker.excused_until != NEVER {
            let bound = self.heal_bound();
            self.speakers[who].excuse(self.now + bound);
            self.ready(who, is_ready);
            self.settle(bound);
        }
    }

    /// Where no speaker runs nobody notices that others can be heard again, and what clients know there is old.
    fn forget_clients(&mut self) {
        for who in 0..self.speakers.len() {
            let is_deaf = (0..self.speakers.len()).any(|from| self.network.is_cut(from, who));
            if is_deaf || !self.speakers[who].is_awake(self.now) {
                self.caches[who].fill(u16::MAX);
            }
        }
    }

    fn connections_changed(&mut self) {
        self.reconnected_at = self.now;
        self.groups = None;
        let bound = self.heal_bound();
        for speaker in &mut self.speakers {
            speaker.excuse(self.now + bound);
        }
        self.settle(bound);
    }

    /// Who is a candidate in the view of each node that runs, in words.
    pub(crate) fn views(&self) -> String {
        let mut text = String::new();
        for (who, speaker) in self.speakers.iter().enumerate().take(20) {
            if let Some(members) = &speaker.members {
                let state = members.state();
                let candidates: Vec<u16> = speaker.view.numbers().collect();
                let standing = state.own.record.standing;
                let lost = state.members.values().filter(|member| !member.is_up());
                let lost: Vec<_> = lost.map(|it| (&it.record.name, it.record.standing)).collect();
                text += &format!(
                    "  {who} is {standing:?}, asleep until {:?}, takes {candidates:?} for candidates, misses {lost:?}\n",
                    speaker.asleep_until
                );
            }
        }
        text
    }
}
