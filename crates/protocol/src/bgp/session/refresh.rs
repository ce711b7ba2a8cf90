//! How often the neighbour may have all told once more.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use crate::bgp::capability::Family;

/// Between the beginnings of two rounds of one family: a neighbour that asks without end gets no more than that.
const PAUSE: Duration = Duration::from_secs(1);

#[derive(Debug, Default)]
pub(super) struct Refreshes {
    begun: BTreeMap<Family, Instant>,
    /// Asked for too soon after the last, however often.
    waiting: BTreeSet<Family>,
}

impl Refreshes {
    /// Whether a round begins now. If it does not, it waits.
    pub(super) fn ask(&mut self, family: Family, now: Instant) -> bool {
        let is_soon = self.begun.get(&family).is_some_and(|at| now < *at + PAUSE);
        if is_soon {
            self.waiting.insert(family);
        } else {
            self.begun.insert(family, now);
        }
        !is_soon
    }

    /// Those that have waited for long enough. They begin now.
    pub(super) fn take_due(&mut self, now: Instant) -> Vec<Family> {
        let due = std::mem::take(&mut self.waiting);
        due.into_iter().filter(|family| self.ask(*family, now)).collect()
    }

    pub(super) fn deadline(&self) -> Option<Instant> {
        self.waiting.iter().filter_map(|family| self.begun.get(family)).map(|at| *at + PAUSE).min()
    }
}
