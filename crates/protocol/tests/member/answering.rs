//! What a node makes of what its machine says: whom it takes for the owner of an address, what it answers for and announces.

use std::collections::BTreeSet;
use std::rc::Rc;
use std::time::Duration;

use protocol::Machine;
use protocol::member::Input;

use super::checks::Invariant;
use super::clock::{NEVER, Time};
use super::speaker::Claim;
use super::world::{Happening, World};

/// Who loses an address to a candidate goes on answering until it hears it, or for so long.
pub(crate) const YIELD: Duration = Duration::from_millis(500);
/// An address is announced so often.
const ROUNDS: u32 = 3;
const ROUND: Duration = Duration::from_millis(1100);
const HEIRS: usize = 3;

impl World {
    /// Who owns what is computed anew, if the candidates are others than before.
    pub(crate) fn reconsider(&mut self, who: usize) {
        let speaker = &mut self.speakers[who];
        if speaker.frozen_until > self.now {
            speaker.reconsider_at = speaker.frozen_until;
            let at = speaker.frozen_until;
            return self.at(at, Happening::Reconsider { who });
        }
        speaker.reconsider_at = NEVER;
        let Some(members) = &speaker.members else { return };
        let view = match self.election.view(members.state().candidates()) {
            Ok(view) => view,
            Err(name) => {
                let text = format!("{who} takes {name:?} for a candidate, which nobody is");
                return self.violated(Invariant::Stability, text);
            }
        };
        if view == speaker.view {
            return;
        }
        let before = std::mem::replace(&mut speaker.view, view.clone());
        self.check_removals(who, &before, &view);
        let owners = self.election.owners(&view);
        let previous = self.speakers[who].owners.replace(Rc::clone(&owners));
        let own = Some(self.speakers[who].number);
        let gained: Vec<usize> = (0..owners.len()).filter(|address| owners[*address] == own).collect();
        let (mut taken, mut has_lost) = (Vec::new(), false);
        for address in gained {
            if self.speakers[who].claims[address] != Claim::Owned {
                self.claim(who, address, Claim::Owned);
                taken.push(address);
            }
        }
        for address in 0..previous.map_or(0, |previous| previous.len()) {
            if owners[address] != own && self.speakers[who].claims[address] == Claim::Owned {
                let was_heard =
                    self.speakers[who].heard.get(&address).is_some_and(|at| self.now < *at + ROUND);
                let yielding = Claim::Yielding(self.now + YIELD);
                self.claim(who, address, if was_heard { Claim::None } else { yielding });
                has_lost = true;
            }
        }
        if has_lost {
            self.at(self.now + YIELD, Happening::YieldEnds { who });
        }
        if view.without(&before).next().is_some() {
            // After a heal it has to be in time all the same.
            if self.now >= self.settled_at {
                self.settle_clients(ROUND + Duration::from_millis(100));
            }
            self.settle(YIELD + Duration::from_millis(100));
        }
        self.figures.moves += taken.len();
        self.check_gates(who, &taken);
        self.announce(who, taken);
        let heirs = self.election.heirs(self.speakers[who].number, &owners, &view, HEIRS);
        self.input(who, Input::Heirs(heirs));
    }

    fn claim(&mut self, who: usize, address: usize, claim: Claim) {
        let before = std::mem::replace(&mut self.speakers[who].claims[address], claim);
        let claimants = &mut self.claimants[address];
        match (before, claim) {
            (Claim::None, Claim::Owned | Claim::Yielding(_)) => claimants.push(who),
            (_, Claim::None) => claimants.retain(|claimant| *claimant != who),
            _ => {}
        }
        self.has_changed = true;
        self.history.detail(self.now, format_args!("{who} has address {address}: {claim:?}"));
    }

    pub(crate) fn unclaim_all(&mut self, who: usize) {
        for address in 0..self.setup.addresses {
            if self.speakers[who].claims[address] != Claim::None {
                self.claim(who, address, Claim::None);
            }
        }
    }

    pub(crate) fn announce_all(&mut self, who: usize) {
        let claims = &self.speakers[who].claims;
        let owned = (0..claims.len()).filter(|address| claims[*address] == Claim::Owned).collect();
        self.announce(who, owned);
    }

    fn announce(&mut self, who: usize, addresses: Vec<usize>) {
        if !addresses.is_empty() {
            let (addresses, life) = (addresses.into(), self.speakers[who].life);
            self.at(self.now, Happening::Round { who, life, addresses, left: ROUNDS });
        }
    }

    /// Frames to everybody on the segment, as long as this node owns the addresses.
    pub(crate) fn round(&mut self, who: usize, addresses: &Rc<[usize]>, left: u32) {
        let speaker = &mut self.speakers[who];
        let owned: Rc<[usize]> =
            addresses.iter().copied().filter(|address| speaker.claims[*address] == Claim::Owned).collect();
        if owned.is_empty() || left == 0 {
            return;
        }
        let life = speaker.life;
        if speaker.frozen_until > self.now {
            let at = speaker.frozen_until;
            return self.at(at, Happening::Round { who, life, addresses: owned, left });
        }
        self.at(
            self.now + ROUND,
            Happening::Round { who, life, addresses: Rc::clone(&owned), left: left - 1 },
        );
        if !self.speakers[who].may_send(self.now) {
            return self.speakers[who].unsaid.extend(owned.iter());
        }
        for address in owned.iter() {
            self.speakers[who].unsaid.remove(address);
            let lost = self.figures.lost_at.get(address).copied();
            if let Some((_, lost_at)) = lost.filter(|(loser, _)| *loser != who) {
                self.figures.lost_at.remove(address);
                self.figures.takeovers.push(self.now - lost_at);
            }
        }
        for to in 0..self.speakers.len() {
            if self.network.hears(who, to) {
                let delay = self.random.between(Duration::from_micros(30), Duration::from_micros(300));
                self.at(
                    self.now + delay,
                    Happening::Announcement { to, by: who, addresses: Rc::clone(&owned) },
                );
            }
        }
    }

    /// A client beside this node, and the node itself if it runs.
    pub(crate) fn hear(&mut self, to: usize, by: usize, addresses: &Rc<[usize]>) {
        for address in addresses.iter() {
            self.caches[to][*address] = u16::try_from(by).expect("few nodes");
        }
        if by == to || !self.speakers[to].is_running() {
            return;
        }
        if self.speakers[to].frozen_until > self.now {
            return;
        }
        for address in addresses.iter() {
            match self.speakers[to].claims[*address] {
                Claim::Yielding(_) => self.claim(to, *address, Claim::None),
                // It may have been quicker than the word that it should.
                Claim::Owned => {
                    self.speakers[to].heard.insert(*address, self.now);
                }
                Claim::None => {}
            }
        }
        self.end_if_left_over(to);
    }

    pub(crate) fn end_yields(&mut self, who: usize) {
        for address in 0..self.setup.addresses {
            if matches!(self.speakers[who].claims[address], Claim::Yielding(until) if until <= self.now) {
                self.claim(who, address, Claim::None);
            }
        }
        self.end_if_left_over(who);
    }

    /// Nothing keeps a node that leaves, once others have all that it had.
    fn end_if_left_over(&mut self, who: usize) {
        let speaker = &self.speakers[who];
        if speaker.is_leaving && speaker.ends && speaker.claims.iter().all(|claim| *claim == Claim::None) {
            let life = speaker.life;
            self.at(self.now + Duration::from_millis(5), Happening::Ends { who, life });
        }
    }

    /// Reads off until when layer 2 may send.
    pub(crate) fn see_gate(&mut self, who: usize) {
        let speaker = &mut self.speakers[who];
        let Some(members) = &speaker.members else { return };
        let was_open = speaker.may_send(self.now);
        speaker.gate = members.may_answer_until().map_or(Time::ZERO, |until| speaker.clock.when(until));
        let is_open = speaker.may_send(self.now);
        if is_open && !speaker.gate_watched {
            speaker.gate_watched = true;
            let at = speaker.gate;
            self.at(at, Happening::GateEnds { who });
        }
        if was_open != is_open {
            self.has_changed = true;
            self.history.detail(self.now, format_args!("{who} may answer: {is_open}"));
            let unsaid: BTreeSet<usize> = std::mem::take(&mut self.speakers[who].unsaid);
            if is_open {
                self.announce(who, unsaid.into_iter().collect());
            } else {
                self.speakers[who].unsaid = unsaid;
            }
        }
    }

    pub(crate) fn watch_gate(&mut self, who: usize) {
        let speaker = &mut self.speakers[who];
        speaker.gate_watched = false;
        if speaker.gate > self.now {
            speaker.gate_watched = true;
            let at = speaker.gate;
            self.at(at, Happening::GateEnds { who });
        } else {
            self.has_changed = true;
            self.history.detail(self.now, format_args!("{who} may not answer any more"));
        }
    }
}
