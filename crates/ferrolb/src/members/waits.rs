//! What waits for the fence: this node for its own Lease, and taking over for those of others.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

use protocol::member::{Name, Standing, State, Verdict};
use tokio::sync::watch;

#[derive(Debug)]
pub(super) struct Waits {
    /// Nodes that are down and may still answer, which is why they are taken for candidates.
    pub(super) needed: BTreeMap<Name, Verdict>,
    asked: watch::Sender<BTreeSet<Name>>,
    pub(super) lease_until: Option<Instant>,
    /// Apart from the Lease.
    pub(super) is_ready: bool,
    /// As the machine was told.
    was_ready: bool,
}

impl Waits {
    pub(super) fn new(asked: watch::Sender<BTreeSet<Name>>) -> Waits {
        Waits { needed: BTreeMap::new(), asked, lease_until: None, is_ready: false, was_ready: false }
    }

    pub(super) fn begin(&mut self, name: Name, verdict: Verdict) {
        tracing::warn!(node = %name, "a node is down; before it is taken over from its Lease has to be over");
        self.needed.insert(name, verdict);
        self.ask();
    }

    /// It cannot answer any more. Nothing if nobody waits for that.
    pub(super) fn end(&mut self, name: &Name) -> Option<Verdict> {
        let verdict = self.needed.remove(name);
        self.ask();
        verdict
    }

    /// Forgets those that are back. Of them, those that have begun anew or have ended by themselves do not answer for what was
    /// theirs.
    pub(super) fn look_at(&mut self, state: &State) -> Vec<(Name, Verdict)> {
        let before = self.needed.len();
        let mut over = Vec::new();
        self.needed.retain(|name, verdict| {
            let Some(member) = state.members.get(name) else { return true };
            match member.record.standing {
                Standing::Down => true,
                _ if !member.is_heard => true,
                Standing::Alive => false,
                _ => {
                    over.push((name.clone(), verdict.clone()));
                    false
                }
            }
        });
        if self.needed.len() != before {
            self.ask();
        }
        over
    }

    fn ask(&self) {
        self.asked.send_replace(self.needed.keys().cloned().collect());
    }

    /// Whether this node is ready now, if that is news.
    pub(super) fn turn(&mut self, now: Instant) -> Option<bool> {
        let is_ready = self.is_ready && self.lease_until.is_some_and(|until| now < until);
        (std::mem::replace(&mut self.was_ready, is_ready) != is_ready).then_some(is_ready)
    }

    /// When the Lease ends, unless it is renewed.
    pub(super) fn deadline(&self, now: Instant) -> Option<Instant> {
        self.lease_until.filter(|until| now < *until)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn verdict() -> Verdict {
        Verdict { by: None, silence: Duration::ZERO, inquiry: Duration::ZERO }
    }

    #[test]
    fn a_node_is_ready_while_it_has_its_lease() {
        let now = Instant::now();
        let mut waits = Waits::new(watch::Sender::default());
        waits.is_ready = true;
        assert_eq!(waits.turn(now), None);
        waits.lease_until = Some(now + Duration::from_secs(1));
        assert_eq!((waits.turn(now), waits.turn(now)), (Some(true), None));
        let end = waits.deadline(now).unwrap();
        assert_eq!((waits.turn(end), waits.deadline(end)), (Some(false), None));
    }

    #[test]
    fn who_is_waited_for_is_asked_for_until_it_is_fenced() {
        let (asked, seen) = watch::channel(BTreeSet::new());
        let mut waits = Waits::new(asked);
        waits.begin("a".into(), verdict());
        waits.begin("b".into(), verdict());
        assert_eq!(*seen.borrow(), ["a".into(), "b".into()].into());
        assert_eq!(waits.end(&"a".into()), Some(verdict()));
        assert_eq!(waits.end(&"a".into()), None);
        assert_eq!(*seen.borrow(), ["b".into()].into());
    }
}
