//! Which address gets its round of frames next, and how many frames go out in which time.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::time::{Duration, Instant};

use super::LIMITS;

/// Holds each address twice at most: among those that cannot wait, and once for later.
#[derive(Debug)]
pub(super) struct Schedule {
    /// In the order in which they came.
    urgent: BTreeMap<u64, (IpAddr, Scope)>,
    arrivals: u64,
    rounds: BTreeSet<(Instant, IpAddr)>,
    refreshes: BTreeSet<(Instant, IpAddr)>,
    places: BTreeMap<IpAddr, Place>,
    pace: Pace,
    refresh_pace: Pace,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Scope {
    Everywhere,
    /// An interface.
    On(u32),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Later {
    Round,
    /// To which nothing happened: what there is time for.
    Refresh,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Turn {
    pub(super) address: IpAddr,
    pub(super) scope: Scope,
    /// What it was put off as. `None` if it could not wait.
    pub(super) later: Option<Later>,
}

#[derive(Debug, Default)]
struct Place {
    urgent: Option<u64>,
    later: Option<(Later, Instant)>,
}

impl Schedule {
    pub(super) fn new(now: Instant) -> Schedule {
        Schedule {
            urgent: BTreeMap::new(),
            arrivals: 0,
            rounds: BTreeSet::new(),
            refreshes: BTreeSet::new(),
            places: BTreeMap::new(),
            pace: Pace::new(LIMITS.frames_per_second, LIMITS.frames_at_once, now),
            refresh_pace: Pace::new(LIMITS.refreshes_per_second, LIMITS.refreshes_at_once, now),
        }
    }

    pub(super) fn at_once(&mut self, address: IpAddr, scope: Scope) {
        let place = self.places.entry(address).or_default();
        if let Some(entry) = place.urgent.and_then(|arrival| self.urgent.get_mut(&arrival)) {
            if entry.1 != scope {
                entry.1 = Scope::Everywhere;
            }
            return;
        }
        place.urgent = Some(self.arrivals);
        self.urgent.insert(self.arrivals, (address, scope));
        self.arrivals += 1;
    }

    /// In place of what was planned for later.
    pub(super) fn later(&mut self, address: IpAddr, later: Later, when: Instant) {
        let planned = self.places.entry(address).or_default().later.replace((later, when));
        self.remove(address, planned);
        self.queue(later).insert((when, address));
    }

    /// Unless it is planned for an earlier time already.
    pub(super) fn no_later(&mut self, address: IpAddr, when: Instant) {
        let planned = self.places.get(&address).and_then(|place| place.later);
        if planned.is_none_or(|(_, planned)| planned > when) {
            self.later(address, Later::Round, when);
        }
    }

    pub(super) fn forget(&mut self, address: IpAddr) {
        let Some(place) = self.places.remove(&address) else { return };
        if let Some(arrival) = place.urgent {
            self.urgent.remove(&arrival);
        }
        self.remove(address, place.later);
    }

    /// Whose turn it is, if frames may go out now.
    pub(super) fn next(&mut self, now: Instant) -> Option<Turn> {
        if !self.pace.permits(now) {
            return None;
        }
        if let Some((_, (address, scope))) = self.urgent.pop_first() {
            self.places.entry(address).or_default().urgent = None;
            return Some(Turn { address, scope, later: None });
        }
        let later = if self.rounds.first().is_some_and(|&(when, _)| when <= now) {
            Later::Round
        } else if self.refreshes.first().is_some_and(|&(when, _)| when <= now)
            && self.refresh_pace.permits(now)
        {
            Later::Refresh
        } else {
            return None;
        };
        let (_, address) = self.queue(later).pop_first()?;
        self.places.entry(address).or_default().later = None;
        Some(Turn { address, scope: Scope::Everywhere, later: Some(later) })
    }

    pub(super) fn sent(&mut self, turn: Turn, frames: u32, now: Instant) {
        self.pace.take(frames, now);
        if turn.later == Some(Later::Refresh) {
            self.refresh_pace.take(frames, now);
        }
    }

    pub(super) fn deadline(&self) -> Option<Instant> {
        let free = self.pace.free_at();
        let urgent = (!self.urgent.is_empty()).then_some(free);
        let round = self.rounds.first().map(|&(when, _)| when.max(free));
        let refresh =
            self.refreshes.first().map(|&(when, _)| when.max(free).max(self.refresh_pace.free_at()));
        [urgent, round, refresh].into_iter().flatten().min()
    }

    fn queue(&mut self, later: Later) -> &mut BTreeSet<(Instant, IpAddr)> {
        match later {
            Later::Round => &mut self.rounds,
            Later::Refresh => &mut self.refreshes,
        }
    }

    fn remove(&mut self, address: IpAddr, planned: Option<(Later, Instant)>) {
        if let Some((later, when)) = planned {
            self.queue(later).remove(&(when, address));
        }
    }
}

/// So many frames in a second, and so many of them at once after a pause. A round that has begun is finished.
#[derive(Debug)]
struct Pace {
    each: Duration,
    at_once: Duration,
    /// When everything that went out would have, one by one.
    paid_until: Instant,
}

impl Pace {
    fn new(per_second: u32, at_once: u32, now: Instant) -> Pace {
        let each = Duration::from_secs(1) / per_second;
        Pace { each, at_once: each * at_once, paid_until: now }
    }

    fn permits(&self, now: Instant) -> bool {
        self.free_at() <= now
    }

    fn free_at(&self) -> Instant {
        self.paid_until.checked_sub(self.at_once).unwrap_or(self.paid_until)
    }

    fn take(&mut self, frames: u32, now: Instant) {
        self.paid_until = self.paid_until.max(now) + self.each * frames;
    }
}
