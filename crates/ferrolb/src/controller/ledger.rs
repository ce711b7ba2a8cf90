//! What is known and what is decided: Services and pools in, writes and events out. No clock, no network.
//!
//! A decision stands from the moment it is made, and whoever decides next sees it. Until it is known to be written it is
//! kept beside the Service, so that a Service which is seen once more without its address keeps the one it was given.

use std::borrow::Cow;
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet, VecDeque};
use std::sync::Arc;

use api::reservation::{Reserved, Retain};
use k8s_openapi::jiff::Timestamp;
use plan::allocate::{Allocator, Counters, Decision, Event, Options, Reservation, Write, sharing_of};
use plan::config::Pool;
use plan::snapshot::{Service, ServiceKey};

use super::service::Seen;

#[derive(Debug, Default)]
pub(super) struct Ledger {
    allocator: Allocator,
    has_pools: bool,
    entries: HashMap<ServiceKey, Entry>,
    /// To be looked at next.
    dirty: BTreeMap<ServiceKey, Cause>,
    /// Could use what somebody else frees.
    waiting: BTreeSet<ServiceKey>,
    /// Decided, and not begun to be written.
    ready: VecDeque<ServiceKey>,
    /// Being written, or held back after a failure.
    busy: HashSet<ServiceKey>,
    load_balancer_class: Option<String>,
    /// What is kept for Services that are gone.
    reserved: BTreeMap<ServiceKey, Kept>,
    /// Services whose addresses are to outlive them.
    retaining: BTreeSet<ServiceKey>,
    reservations_changed: bool,
}

#[derive(Debug)]
struct Kept {
    reserved: Reserved,
    /// The end is not known yet: it counts from when the Service went.
    has_no_end_yet: bool,
    /// It has been seen where it is kept, so that it ends when it is not there any more.
    is_recorded: bool,
}

#[derive(Debug)]
struct Entry {
    seen: Arc<Seen>,
    /// Not known to be written. Boxed, because few have one and it is large.
    pending: Option<Box<Decision>>,
    is_ready: bool,
    /// The version that our own write made, until a list is known to be newer.
    written: Option<u64>,
    /// What was last said of a Service that gets nothing.
    said: Vec<Event>,
}

/// Why a Service is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Cause {
    /// Something became free. What does not help is not news.
    Others,
    /// The Service or the configuration changed.
    Own,
}

/// One Service to write.
#[derive(Debug, Clone)]
pub(super) struct Task {
    pub(super) key: ServiceKey,
    pub(super) seen: Arc<Seen>,
    pub(super) write: Write,
}

/// What to say about a Service.
#[derive(Debug, Clone)]
pub(super) struct Said {
    pub(super) seen: Arc<Seen>,
    pub(super) events: Vec<Event>,
}

/// How a write ended.
#[derive(Debug)]
pub(super) enum Written {
    Done(Arc<Seen>),
    /// Somebody else was faster, and this is how it is now.
    Changed(Arc<Seen>),
    Gone,
    /// It will be tried again.
    Failed,
}

impl Ledger {
    pub(super) fn new(options: Options) -> Ledger {
        let load_balancer_class = options.load_balancer_class.clone();
        Ledger { allocator: Allocator::new(options), load_balancer_class, ..Ledger::default() }
    }

    /// What a list or a watch says. A list is believed even if it is older than what is known, because the history of
    /// a server may be set back; but not if it is older than our own write.
    pub(super) fn observe(&mut self, key: &ServiceKey, seen: Seen, is_listed: bool) {
        match self.entries.get_mut(key) {
            Some(entry) if *entry.seen == seen => return,
            Some(entry) if entry.seen.uid == seen.uid => {
                let is_late = if is_listed {
                    entry.written.is_some() && seen.version <= entry.written
                } else {
                    entry.seen.is_not_older_than(&seen)
                };
                if is_late {
                    return;
                }
                entry.seen = Arc::new(seen);
            }
            other => {
                if other.is_some() {
                    self.forget(key);
                }
                // What was kept for it is given to it as if that had just been decided.
                let kept = self.reserved.remove(key);
                self.reservations_changed |= kept.is_some();
                let kept = kept.filter(|_| seen.service.ingress.is_empty());
                let entry = Entry {
                    seen: Arc::new(seen),
                    pending: kept.map(|kept| Box::new(kept.reserved.reservation.decision())),
                    is_ready: false,
                    written: None,
                    said: Vec::new(),
                };
                self.entries.insert(key.clone(), entry);
            }
        }
        self.note_retaining(key);
        self.dirty.insert(key.clone(), Cause::Own);
    }

    /// A list has been told to its end. The next one is later than all that is written by now.
    pub(super) fn listed(&mut self) {
        self.entries.values_mut().for_each(|entry| entry.written = None);
    }

    /// The Service is gone, and what it held is free.
    pub(super) fn forget(&mut self, key: &ServiceKey) {
        let reserved = self.entries.get(key).and_then(|entry| self.reservation_of(key, entry));
        self.entries.remove(key);
        self.dirty.remove(key);
        self.waiting.remove(key);
        self.retaining.remove(key);
        if let Some(reserved) = reserved {
            self.reservations_changed = true;
            let kept = Kept { reserved, has_no_end_yet: true, is_recorded: false };
            self.reserved.insert(key.clone(), kept);
        } else {
            self.release(key);
        }
    }

    fn release(&mut self, key: &ServiceKey) {
        if self.allocator.remove(key) {
            self.look_at_waiting();
        }
    }

    /// Whoever holds addresses takes them back before anybody is given new ones.
    pub(super) fn set_pools(&mut self, pools: BTreeMap<String, Pool>) {
        self.allocator.set_pools(pools);
        self.has_pools = true;
        let services: Vec<_> = self.entries.values().map(Entry::believed).collect();
        self.allocator.claim_all(services.iter().map(AsRef::as_ref));
        self.claim_reserved();
        self.dirty.extend(self.entries.keys().map(|key| (key.clone(), Cause::Own)));
    }

    /// Looks at all that has changed. What is to be said at once is returned; what is to be written is [`next`].
    ///
    /// [`next`]: Ledger::next
    pub(super) fn decide(&mut self) -> Vec<Said> {
        let mut said = Vec::new();
        while self.has_pools {
            // Those who have something come first: what they give back may be just what others need.
            let mut order: Vec<(ServiceKey, Cause)> = Vec::new();
            self.dirty.retain(|key, cause| {
                let is_idle = !self.busy.contains(key);
                if is_idle {
                    order.push((key.clone(), *cause));
                }
                !is_idle
            });
            if order.is_empty() {
                break;
            }
            order.sort_by_key(|(key, _)| Reverse(self.entries.get(key).map_or(0, Entry::ingress_count)));
            for (key, cause) in order {
                said.extend(self.decide_one(&key, cause));
            }
        }
        said
    }

    fn decide_one(&mut self, key: &ServiceKey, cause: Cause) -> Option<Said> {
        let entry = self.entries.get_mut(key)?;
        let service = &entry.seen.service;
        let mut decision = match entry.pending.take() {
            None => self.allocator.converge(service),
            Some(earlier) => self.allocator.converge_after(*earlier, service),
        };
        if decision.waits {
            self.waiting.insert(key.clone());
        } else {
            self.waiting.remove(key);
        }
        let world_changed = decision.world_changed;
        self.reservations_changed |= self.retaining.contains(key);
        let said = if decision.write.is_some() {
            if !std::mem::replace(&mut entry.is_ready, true) {
                self.ready.push_back(key.clone());
            }
            entry.said.clear();
            entry.pending = Some(Box::new(decision));
            None
        } else {
            let events = std::mem::take(&mut decision.events);
            let is_news = cause == Cause::Own || entry.said != events;
            entry.said.clone_from(&events);
            (is_news && !events.is_empty()).then(|| Said { seen: Arc::clone(&entry.seen), events })
        };
        if world_changed {
            self.look_at_waiting();
        }
        said
    }

    fn look_at_waiting(&mut self) {
        for key in &self.waiting {
            self.dirty.entry(key.clone()).or_insert(Cause::Others);
        }
    }

    /// The Service whose write has waited longest. It is busy until [`written`](Ledger::written) or
    /// [`resume`](Ledger::resume).
    pub(super) fn next(&mut self) -> Option<Task> {
        while let Some(key) = self.ready.pop_front() {
            let Some(entry) = self.entries.get_mut(&key) else { continue };
            entry.is_ready = false;
            let Some(write) = entry.pending.as_ref().and_then(|decision| decision.write.clone()) else {
                continue;
            };
            self.busy.insert(key.clone());
            return Some(Task { seen: Arc::clone(&entry.seen), key, write });
        }
        None
    }

    pub(super) fn has_ready(&self) -> bool {
        !self.ready.is_empty()
    }

    /// How the write of a task ended. What is returned is to be said now that it is true.
    pub(super) fn written(&mut self, task: &Task, outcome: Written) -> Option<Said> {
        if !matches!(outcome, Written::Failed) {
            self.busy.remove(&task.key);
        }
        let entry = self.entries.get_mut(&task.key).filter(|entry| entry.seen.uid == task.seen.uid)?;
        match outcome {
            Written::Done(now) => {
                let decision = entry.pending.take();
                if !entry.seen.is_not_older_than(&now) {
                    entry.seen = Arc::clone(&now);
                }
                entry.written = now.version;
                if decision.as_ref().is_some_and(|decision| decision.waits) {
                    // It has got some of what it wants. The next look says why not all.
                    self.dirty.insert(task.key.clone(), Cause::Own);
                }
                let events = decision.map(|decision| decision.events).unwrap_or_default();
                (!events.is_empty()).then_some(Said { seen: now, events })
            }
            Written::Changed(now) => {
                if entry.seen.uid == now.uid && !entry.seen.is_not_older_than(&now) {
                    entry.seen = now;
                }
                self.dirty.insert(task.key.clone(), Cause::Own);
                None
            }
            Written::Gone => {
                self.forget(&task.key);
                None
            }
            Written::Failed => None,
        }
    }

    /// The Service may be written again.
    pub(super) fn resume(&mut self, key: &ServiceKey) {
        self.busy.remove(key);
        if self.entries.contains_key(key) {
            self.dirty.entry(key.clone()).or_insert(Cause::Others);
        }
    }

    pub(super) fn counters(&self) -> BTreeMap<String, Counters> {
        self.allocator.all_counters()
    }

    pub(super) fn take_changed_pools(&mut self) -> BTreeSet<String> {
        self.allocator.take_changed_pools()
    }
}

/// Addresses that outlive their Services.
impl Ledger {
    /// What is kept, as it stands where it is kept. What stood there and does not any more is given back.
    pub(super) fn set_reserved(&mut self, told: BTreeMap<ServiceKey, Reserved>) {
        let is_over = |(key, kept): (&ServiceKey, &Kept)| {
            (kept.is_recorded && !told.contains_key(key)).then(|| key.clone())
        };
        let over: Vec<ServiceKey> = self.reserved.iter().filter_map(is_over).collect();
        for key in over {
            self.reserved.remove(&key);
            self.release(&key);
        }
        for (key, reserved) in told {
            if let Some(kept) = self.reserved.get_mut(&key) {
                kept.is_recorded = true;
            } else if !self.entries.contains_key(&key) {
                let has_no_end_yet = reserved.until.is_none();
                self.reserved.insert(key, Kept { reserved, has_no_end_yet, is_recorded: true });
            }
        }
        self.claim_reserved();
        self.reservations_changed = true;
    }

    /// All that is to be kept, if it is not what it was when this was last asked. Gives back what is over.
    pub(super) fn reservations(&mut self, now: Timestamp) -> Option<BTreeMap<ServiceKey, Reserved>> {
        let is_over = |(key, kept): (&ServiceKey, &Kept)| {
            kept.reserved.until.is_some_and(|until| until <= now).then(|| key.clone())
        };
        let over: Vec<ServiceKey> = self.reserved.iter().filter_map(is_over).collect();
        for key in over {
            self.reserved.remove(&key);
            self.release(&key);
            self.reservations_changed = true;
        }
        if !std::mem::take(&mut self.reservations_changed) {
            return None;
        }
        for kept in self.reserved.values_mut().filter(|kept| kept.has_no_end_yet) {
            kept.reserved.until = kept.reserved.retain.until(now);
            kept.has_no_end_yet = false;
        }
        let mut all: BTreeMap<ServiceKey, Reserved> =
            self.reserved.iter().map(|(key, kept)| (key.clone(), kept.reserved.clone())).collect();
        for key in &self.retaining {
            let entry = self.entries.get(key);
            all.extend(entry.and_then(|entry| self.reservation_of(key, entry)).map(|it| (key.clone(), it)));
        }
        Some(all)
    }

    /// When the first of them is over.
    pub(super) fn next_end(&self) -> Option<Timestamp> {
        self.reserved.values().filter_map(|kept| kept.reserved.until).min()
    }

    /// Once Services are known, those that came back meanwhile have what was kept for them.
    fn claim_reserved(&mut self) {
        for kept in self.reserved.values() {
            let placeholder = kept.reserved.reservation.placeholder(self.load_balancer_class.as_deref());
            self.allocator.claim(&placeholder);
        }
    }

    fn note_retaining(&mut self, key: &ServiceKey) {
        let retain = self.entries.get(key).and_then(|entry| Retain::of(&entry.seen.service));
        let is_changed = match retain {
            Some(Ok(_)) => {
                self.retaining.insert(key.clone());
                true
            }
            Some(Err(error)) => {
                tracing::warn!(service = %key, "{error}: nothing is kept");
                self.retaining.remove(key)
            }
            None => self.retaining.remove(key),
        };
        self.reservations_changed |= is_changed;
    }

    fn reservation_of(&self, key: &ServiceKey, entry: &Entry) -> Option<Reserved> {
        let service = &entry.seen.service;
        let retain = Retain::of(service)?.ok()?;
        let (addresses, pool) = self.allocator.held(key)?;
        let reservation = Reservation {
            service: key.clone(),
            addresses: addresses.to_vec(),
            pool: pool.to_owned(),
            sharing: sharing_of(service).to_owned(),
            ports: service.ports.clone(),
        };
        Some(Reserved { reservation, retain, until: None })
    }
}

impl Entry {
    /// The Service as it is once all that was decided is written.
    fn believed(&self) -> Cow<'_, Service> {
        let service = &self.seen.service;
        self.pending.as_ref().map_or(Cow::Borrowed(service), |it| Cow::Owned(it.applied_to(service)))
    }

    fn ingress_count(&self) -> usize {
        self.seen.service.ingress.len()
    }
}

#[cfg(test)]
#[path = "ledger_tests.rs"]
mod tests;
