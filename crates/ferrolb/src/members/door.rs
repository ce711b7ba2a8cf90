//! When layer 2 may speak, and what has to be decided first: it waits at its gate for a decision that was made after this node
//! was away.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Instant;

use plan::announce::Alive;
use protocol::member::Name;

use super::Candidates;
use crate::layer2::Gate;

#[derive(Debug)]
pub(super) struct Door {
    gate: Arc<Gate>,
    is_open: bool,
    /// Numbers what is told of candidates.
    turn: u64,
    /// The last turn in which there was somebody new.
    newcomer_in: u64,
    known: Option<BTreeSet<Name>>,
}

impl Door {
    pub(super) fn new(gate: Arc<Gate>) -> Door {
        gate.set(None);
        Door { gate, is_open: false, turn: 0, newcomer_in: 0, known: None }
    }

    /// To be called after all that may have changed something. What is to be told, if it is anything new.
    pub(super) fn follow(
        &mut self,
        may_answer_until: Option<Instant>,
        candidates: impl FnOnce() -> Option<BTreeSet<Name>>,
        may_have_changed: bool,
    ) -> Option<Candidates> {
        let was_away = may_answer_until.is_some() && !self.is_open;
        let told = if was_away || may_have_changed { self.tell(candidates(), was_away) } else { None };
        // Before it is open again.
        if was_away && let Some(told) = &told {
            self.gate.need(told.turn);
        }
        // Without anything to decide by nobody would decide.
        self.is_open = may_answer_until.is_some() && (self.is_open || told.is_some());
        self.gate.set(may_answer_until.filter(|_| self.is_open));
        told
    }

    fn tell(&mut self, candidates: Option<BTreeSet<Name>>, was_away: bool) -> Option<Candidates> {
        let now = candidates?;
        if self.known.as_ref() == Some(&now) && !was_away {
            return None;
        }
        self.turn += 1;
        if self.known.as_ref().is_none_or(|known| !now.is_subset(known)) {
            self.newcomer_in = self.turn;
        }
        let alive = Alive::These(now.iter().map(ToString::to_string).collect());
        self.known = Some(now);
        Some(Candidates { alive, turn: self.turn, was_away })
    }

    /// Whether what was planned in that turn can still be done. Somebody who came later may be the next of an address.
    pub(super) fn is_current(&self, turn: u64) -> bool {
        turn >= self.newcomer_in && self.gate.is_open()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn names(names: &str) -> Option<BTreeSet<Name>> {
        Some(names.split_whitespace().map(Name::from).collect())
    }

    fn told(names: &[&str], turn: u64, was_away: bool) -> Option<Candidates> {
        let alive = Alive::These(names.iter().map(|&name| name.to_owned()).collect());
        Some(Candidates { alive, turn, was_away })
    }

    #[test]
    fn what_was_decided_before_a_node_was_away_opens_nothing() {
        let gate = Arc::new(Gate::default());
        let mut door = Door::new(Arc::clone(&gate));
        let later = Some(Instant::now() + Duration::from_secs(60));
        assert!(!gate.is_open(), "nobody is known yet");
        assert_eq!(door.follow(later, || None, true), None);
        assert!(!gate.is_open(), "nobody is known yet");
        assert_eq!(door.follow(later, || names("a b"), false), told(&["a", "b"], 1, true));
        assert!(!gate.is_open(), "nothing is decided yet");
        gate.is_decided(1);
        assert!(gate.is_open());
        assert_eq!(door.follow(later, || names("a b"), true), None, "nothing new");
        assert_eq!(door.follow(later, || names("a"), true), told(&["a"], 2, false));
        assert!(gate.is_open(), "while it stays nothing is waited for");
        assert_eq!(door.follow(None, || names("a"), true), None);
        assert!(!gate.is_open());
        gate.is_decided(2);
        assert_eq!(door.follow(later, || names("a"), false), told(&["a"], 3, true));
        assert!(!gate.is_open(), "decided before");
        gate.is_decided(3);
        assert!(gate.is_open());
    }

    #[test]
    fn a_plan_is_good_until_somebody_new_is_there() {
        let mut door = Door::new(Arc::default());
        let later = Some(Instant::now() + Duration::from_secs(60));
        door.follow(later, || names("a b c"), true);
        door.gate.is_decided(1);
        assert!(door.is_current(1) && !door.is_current(0));
        door.follow(later, || names("a b"), true);
        assert!(door.is_current(1), "one less");
        door.follow(later, || names("a b d"), true);
        assert!(!door.is_current(1) && !door.is_current(2) && door.is_current(3), "one more");
        door.follow(None, || names("a b d"), true);
        assert!(!door.is_current(3), "not allowed to answer");
    }
}
