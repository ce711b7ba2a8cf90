//! Addresses that go back to a better node after a while, and what speakers tell each other of who has which address.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Instant;

use plan::announce::Name;

use super::Session;

/// Since when another node waits for an address of this one.
#[derive(Debug, Default)]
pub(super) struct Failbacks(BTreeMap<IpAddr, (Name, Instant)>);

impl Session<'_> {
    /// When the next address goes back.
    pub(super) fn failback_deadline(&self) -> Option<Instant> {
        let wanted = self.announcer.wanted_back();
        let due = |(address, (_, since)): (&IpAddr, &(Name, Instant))| Some(*since + wanted.get(address)?.1);
        self.failbacks.0.iter().filter_map(due).min()
    }

    /// After decisions: who waits, whose time has come, and what is told of it.
    pub(super) fn see_to_owners(&mut self, now: Instant) {
        for (address, owner) in self.announcer.notes() {
            self.membership.note(address, owner);
        }
        let wanted = self.announcer.wanted_back();
        let waiting = &mut self.failbacks.0;
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
