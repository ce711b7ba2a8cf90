//! Addresses that go back to a better node after a while, and what speakers tell each other of who has which address.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use plan::announce::Name;

use super::Session;

/// Where all speakers start together, those that had addresses which stay with their owner get so much time to.
const SETTLES_AFTER: Duration = Duration::from_secs(5);

/// Since when another node waits for an address of this one.
#[derive(Debug)]
pub(super) struct Failbacks {
    waiting: BTreeMap<IpAddr, (Name, Instant)>,
    settles_at: Option<Instant>,
}

impl Default for Failbacks {
    fn default() -> Failbacks {
        Failbacks { waiting: BTreeMap::new(), settles_at: Some(Instant::now() + SETTLES_AFTER) }
    }
}

impl Session<'_> {
    /// When the next address goes back.
    pub(super) fn failback_deadline(&self) -> Option<Instant> {
        let wanted = self.announcer.wanted_back();
        let due = |(address, (_, since)): (&IpAddr, &(Name, Instant))| Some(*since + wanted.get(address)?.1);
        self.failbacks.waiting.iter().filter_map(due).chain(self.failbacks.settles_at).min()
    }

    /// Before decisions.
    pub(super) fn settle_down(&mut self, now: Instant) {
        if self.failbacks.settles_at.take_if(|at| *at <= now).is_some() {
            self.announcer.has_settled();
        }
    }

    /// After decisions: who waits, whose time has come, and what is told of it.
    pub(super) fn see_to_owners(&mut self, now: Instant) {
        for (address, owner) in self.announcer.notes() {
            self.membership.note(address, owner);
        }
        let wanted = self.announcer.wanted_back();
        let waiting = &mut self.failbacks.waiting;
        waiting.retain(|address, (name, _)| wanted.get(address).is_some_and(|(wants, _)| wants == name));
        for (address, (name, delay)) in wanted {
            let (_, since) = waiting.entry(*address).or_insert_with(|| (name.clone(), now));
            if *since + *delay <= now {
                tracing::info!(%address, to = %name, "goes back");
                self.membership.note(*address, Some(name.clone()));
                // Again in as long a time, if nothing comes of it.
                *since = now;
            }
        }
    }
}
