//! What must hold, whatever happens.

use std::collections::BTreeSet;
use std::fmt;
use std::time::Duration;

use protocol::Machine;
use protocol::member::{Isolated, Name, Standing, TIMES};

use super::clock::{NEVER, Time};
use super::network::STORM;
use super::ownership::View;
use super::speaker::{Claim, Speaker};
use super::world::{Happening, World};

/// Timers fire late, datagrams take time, an owner is computed in a moment.
const SLACK: Duration = Duration::from_millis(60);
/// From waking up until something is done.
const MOMENT: Duration = Duration::from_millis(1);
/// From a word until others act on it.
const TOLD: Duration = Duration::from_millis(20);
/// With datagrams lost on the way, some things are said again before they are heard.
const LOSSES: Duration = Duration::from_secs(1);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Invariant {
    /// At most one of those that hear each other answers for an address.
    Safety,
    /// Somebody does.
    Liveness,
    /// Nobody is taken for dead without a cause.
    Stability,
    /// Those that hear each other know the same.
    Convergence,
    /// Who is asleep may not answer any more when its addresses are taken over.
    Gate,
    /// Clients have heard the one that answers last.
    Clients,
}

#[derive(Debug, Clone)]
pub(crate) struct Violation {
    pub(crate) at: Time,
    pub(crate) invariant: Invariant,
    pub(crate) text: String,
}

/// The bounds within which the invariants hold again.
impl World {
    /// After an owner has fallen silent: found out, asked others, taken over.
    pub(crate) fn failure_bound(&self) -> Duration {
        let detection = self.setup.detection;
        detection.time() + detection.interval + TIMES.inquiry + SLACK + self.allowance()
    }

    /// After nodes hear each other again.
    pub(crate) fn heal_bound(&self) -> Duration {
        Duration::from_secs(1) + self.allowance()
    }

    /// After a node has become ready.
    pub(crate) fn join_bound(&self) -> Duration {
        TIMES.join + Duration::from_secs(1) + self.allowance()
    }

    fn allowance(&self) -> Duration {
        if self.network.weather.lost_per_mille > 0 { LOSSES } else { Duration::ZERO }
    }

    /// Nothing is checked until `bound` has passed; then everything is.
    pub(crate) fn settle(&mut self, bound: Duration) {
        let at = self.now + bound;
        if at > self.settled_at {
            self.settled_at = at;
            self.at(at, Happening::Look);
        }
    }

    /// Others come by their own word, so that nothing has failed.
    pub(crate) fn settle_moves(&mut self, bound: Duration) {
        let is_settled = self.now >= self.settled_at;
        let at = self.now + if is_settled { bound } else { TOLD };
        if at > self.moves_settled_at {
            self.moves_settled_at = at;
            self.at(at, Happening::Look);
        }
    }

    /// Several have become candidates, of which each took what was not its own for a moment: the last word comes a round later.
    pub(crate) fn settle_clients(&mut self, bound: Duration) {
        let at = self.now + bound;
        if at > self.clients_settled_at {
            self.clients_settled_at = at;
            self.at(at, Happening::Look);
        }
    }
}

impl World {
    pub(crate) fn violated(&mut self, invariant: Invariant, text: impl fmt::Display) {
        let text = text.to_string();
        self.history.tell(self.now, format_args!("VIOLATED {invariant:?}: {text}"));
        self.violation.get_or_insert(Violation { at: self.now, invariant, text });
    }

    /// Who is in which group, and whether all of a group hear each other directly.
    pub(crate) fn groups(&mut self) -> Vec<Option<usize>> {
        if self.groups.is_none() {
            let key = |speaker: &Speaker| speaker.is_running().then_some(speaker.key / 1000);
            let keys: Vec<Option<u32>> = self.speakers.iter().map(key).collect();
            self.groups = Some(self.network.groups(&keys));
        }
        self.groups.clone().expect("just made")
    }

    /// Safety and liveness, at any settled moment.
    pub(crate) fn check_answers(&mut self) {
        let groups = self.groups();
        let serving = self.serving_groups(&groups);
        for address in 0..self.setup.addresses {
            let answering: Vec<usize> = self.claimants[address]
                .iter()
                .copied()
                .filter(|who| self.speakers[*who].answers(address, self.now))
                .collect();
            let is_settled = !self.network.has_cuts() && self.now >= self.moves_settled_at;
            for (place, one) in answering.iter().enumerate().filter(|_| is_settled) {
                for other in &answering[place + 1..] {
                    if groups[*one] == groups[*other] && self.network.is_mutual(*one, *other) {
                        return self.violated(
                            Invariant::Safety,
                            format_args!("{one} and {other} answer for address {address}"),
                        );
                    }
                }
            }
            for group in &serving {
                let is_short = |who: &usize| {
                    let speaker = &self.speakers[*who];
                    let is_asleep = self.now < speaker.asleep_until + MOMENT;
                    groups[*who] == Some(*group) && is_asleep && !speaker.is_excusable
                };
                let is_answered = answering.iter().any(|who| groups[*who] == Some(*group));
                // Silent for the moment, and soon awake again: nobody needs to know.
                if !is_answered && !self.claimants[address].iter().any(is_short) {
                    let owner = self.speakers[*group].owners.as_ref().and_then(|owners| owners[address]);
                    return self.violated(
                        Invariant::Liveness,
                        format_args!("nobody in the group of {group} answers for address {address}; it takes {owner:?} for the owner"),
                    );
                }
            }
        }
    }

    /// How long two nodes both answer, settled or not. That one answers until it hears the other is as it should be.
    pub(crate) fn see_doubles(&mut self) {
        if self.history.is_brief() {
            return;
        }
        for address in 0..self.setup.addresses {
            let owns = |who: &&usize| {
                let speaker = &self.speakers[**who];
                speaker.claims[address] == Claim::Owned && speaker.may_send(self.now)
            };
            let owning: Vec<&usize> = self.claimants[address].iter().filter(owns).collect();
            let is_double = owning.iter().enumerate().any(|(place, one)| {
                owning[place + 1..].iter().any(|other| self.network.is_mutual(**one, **other))
            });
            if is_double {
                self.double_since.entry(address).or_insert(self.now);
            } else if let Some(since) = self.double_since.remove(&address) {
                self.figures.longest_double = self.figures.longest_double.max(self.now - since);
            }
        }
    }

    /// Groups with somebody who could answer.
    fn serving_groups(&self, groups: &[Option<usize>]) -> BTreeSet<usize> {
        let mut serving = BTreeSet::new();
        if self.network.has_cuts() {
            return serving;
        }
        for (who, speaker) in self.speakers.iter().enumerate() {
            let Some(group) = groups[who] else { continue };
            let is_there =
                |other: &usize| groups[*other] == Some(group) && self.speakers[*other].is_awake(self.now);
            let is_alone = (0..groups.len()).filter(is_there).nth(1).is_none();
            let may_be_silent = is_alone && self.setup.isolated == Isolated::Yield;
            let is_double = who >= self.setup.nodes;
            if speaker.is_awake(self.now)
                && speaker.is_ready
                && !speaker.is_leaving
                && !may_be_silent
                && !is_double
            {
                serving.insert(group);
            }
        }
        serving
    }

    /// Everything, after a disturbance has been overcome.
    pub(crate) fn look(&mut self) {
        if self.now < self.settled_at {
            return;
        }
        self.check_answers();
        if self.network.has_cuts() || self.now < self.moves_settled_at {
            return;
        }
        self.check_views();
        if self.now >= self.clients_settled_at {
            self.check_clients();
        }
    }

    fn check_views(&mut self) {
        let groups = self.groups();
        let mut known: Vec<Option<(usize, &View)>> = vec![None; groups.len()];
        for who in 0..self.setup.nodes {
            let (Some(group), speaker) = (groups[who], &self.speakers[who]) else { continue };
            let Some(members) = speaker.members.as_ref().filter(|_| speaker.is_awake(self.now)) else {
                continue;
            };
            // Nobody is watched over by one that leaves.
            if speaker.is_leaving || members.state().own.is_isolated && members.state().own.yields {
                continue;
            }
            let candidates = members.state().candidates();
            let view = &speaker.view;
            if speaker.reconsider_at == NEVER && self.election.view(candidates).ok().as_ref() != Some(view) {
                let text = format!("{who} was not told that the candidates are {candidates:?}");
                return self.violated(Invariant::Convergence, text);
            }
            let standing = members.state().own.record.standing;
            let could = speaker.is_ready && !speaker.is_leaving;
            if could && !view.has(speaker.number) && standing != Standing::Damped {
                return self.violated(
                    Invariant::Convergence,
                    format_args!("{who} is ready, and {standing:?}, not a candidate"),
                );
            }
            let wrong = view.numbers().find(|number| !self.is_possible(*number, group, &groups));
            if let Some(wrong) = wrong {
                return self.violated(
                    Invariant::Convergence,
                    format_args!("{who} takes node {wrong} for a candidate"),
                );
            }
            match &known[group] {
                None => known[group] = Some((who, view)),
                Some((other, theirs)) if *theirs != view => {
                    let differ: Vec<u16> = theirs.without(view).chain(view.without(theirs)).collect();
                    let text = format!("{who} and {other} do not agree about {differ:?}");
                    return self.violated(Invariant::Convergence, text);
                }
                Some(_) => {}
            }
        }
    }

    fn is_possible(&self, number: u16, group: usize, groups: &[Option<usize>]) -> bool {
        let who = usize::from(number);
        let speaker = &self.speakers[who];
        let is_there = speaker.is_awake(self.now) || !speaker.is_excusable;
        groups[who] == Some(group) && is_there && speaker.is_ready && !speaker.is_leaving
    }

    fn check_clients(&mut self) {
        for address in 0..self.setup.addresses {
            let answering: Vec<usize> = self.claimants[address]
                .iter()
                .copied()
                .filter(|who| self.speakers[*who].answers(address, self.now))
                .collect();
            for place in 0..self.speakers.len() {
                let heard = usize::from(self.caches[place][address]);
                let mut near = answering.iter().filter(|who| self.network.is_mutual(place, **who));
                let Some(owner) = near.next() else { continue };
                if heard != usize::from(u16::MAX) && heard != *owner && !self.is_gone_unseen(heard) {
                    let text =
                        format!("a client beside {place} takes {heard} for {owner} at address {address}");
                    return self.violated(Invariant::Clients, text);
                }
            }
        }
    }

    /// It fell silent before anybody on the other side of a partition that healed could hear it.
    fn is_gone_unseen(&self, who: usize) -> bool {
        let speaker = &self.speakers[who];
        !speaker.is_awake(self.now) && speaker.gone_at < self.reconnected_at + self.heal_bound()
    }

    /// `who` says that a node is down.
    pub(crate) fn check_accusation(&mut self, who: usize, name: &Name) {
        if !self.election.number(name).is_some_and(|number| self.is_excused(who, number)) {
            self.violated(
                Invariant::Stability,
                format_args!("{who} says without a cause that {name} is down"),
            );
        }
    }

    pub(crate) fn check_removals(&mut self, who: usize, before: &View, after: &View) {
        let speaker = &self.speakers[who];
        let own = speaker.members.as_ref().map(|members| &members.state().own);
        // Nobody answers, and so it takes itself for cut off. That the others are gone it cannot know.
        let is_alone = own.is_some_and(|own| own.is_isolated && own.yields);
        let is_excused = |number: u16| {
            self.is_excused(who, number)
                || self.is_damped(number)
                || is_alone && (0..self.setup.nodes).any(|other| other != who && self.has_cause(other))
        };
        let removed = before.without(after).find(|number| !is_excused(*number));
        if let Some(number) = removed {
            self.violated(
                Invariant::Stability,
                format_args!("{who} takes node {number} for no candidate any more, without a cause"),
            );
        }
    }

    fn is_excused(&self, who: usize, number: u16) -> bool {
        !self.network.is_whole() || self.has_cause(who) || self.has_cause(usize::from(number))
    }

    /// One that failed is a candidate only as long as there is nobody else, and then again.
    fn is_damped(&self, number: u16) -> bool {
        let members = self.speakers[usize::from(number)].members.as_ref();
        members.is_some_and(|members| members.state().own.record.failures > 0)
    }

    /// Whether whatever others think of it may have a reason.
    fn has_cause(&self, who: usize) -> bool {
        let speaker = &self.speakers[who];
        !speaker.is_awake(self.now) && speaker.is_excusable
            || !speaker.is_ready
            || speaker.is_leaving
            || speaker.excused_until > self.now
    }

    /// `who` has taken over addresses. Those that had them and cannot know it must not be able to answer either.
    pub(crate) fn check_gates(&mut self, who: usize, taken: &[usize]) {
        // Where all beats before the last may be lost as well nobody can know how long others have been waiting.
        if self.network.weather.lost_per_mille >= STORM.lost_per_mille {
            return;
        }
        for address in taken {
            let asleep = self.claimants[*address].iter().copied().find(|other| {
                let speaker = &self.speakers[*other];
                !self.speakers[who].view.has(speaker.number)
                    && !speaker.is_leaving
                    && speaker.slept.is_none()
                    && !speaker.is_awake(self.now)
                    && speaker.gate > self.now
            });
            let Some(other) = asleep.filter(|other| self.network.is_mutual(who, *other)) else { continue };
            let left = self.speakers[other].gate.saturating_sub(self.now);
            let text = format!(
                "{who} takes over address {address} from {other}, which could answer for {left:?} more"
            );
            return self.violated(Invariant::Gate, text);
        }
    }
}
