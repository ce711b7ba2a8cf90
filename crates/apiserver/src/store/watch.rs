//! Watches. A watcher holds no events: it is woken for the first that it has not fetched, and fetches
//! from the shared history. So there is no seam between past and present, a slow watcher costs nothing,
//! and it is cut off when the history has passed what it should have fetched next.

use super::cache::Cache;
use super::{Event, LIMITS, StoreError};
use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use tokio::sync::Notify;

/// All events below a prefix after a revision.
#[derive(Debug)]
pub struct Watch {
    cache: Arc<Cache>,
    watcher: Arc<Watcher>,
}

/// The watchers by prefix, so that an event wakes only those that it concerns.
#[derive(Debug)]
pub(super) struct Watchers {
    by_prefix: BTreeMap<Arc<str>, BTreeMap<u64, Arc<Watcher>>>,
    count: usize,
    next_id: u64,
    limit: usize,
}

#[derive(Debug)]
pub(super) struct Watcher {
    id: u64,
    prefix: Arc<str>,
    /// The revision of the first event that was not fetched; 0 if there is none. Only looked at and
    /// changed while the cache is locked, so that the lock orders it.
    next_event: AtomicU64,
    wake: Notify,
}

impl Watch {
    pub(super) fn new(cache: &Arc<Cache>, prefix: &str, since: u64) -> Result<Self, StoreError> {
        let mut state = cache.write();
        state.open()?.reachable(since)?;
        let concerned = |event: &&Arc<Event>| event.key.starts_with(prefix);
        let next_event = state.events_after(since).find(concerned).map_or(0, |event| event.revision);
        let watcher = state.watchers.add(prefix, next_event)?;
        drop(state);
        Ok(Self { cache: Arc::clone(cache), watcher })
    }

    /// The next events, at least one; or why there will be none. Nothing is lost if the future is
    /// dropped before it is ready.
    pub async fn next(&mut self) -> Result<Vec<Arc<Event>>, StoreError> {
        loop {
            let events = self.fetch()?;
            if !events.is_empty() {
                return Ok(events);
            }
            self.watcher.wake.notified().await;
        }
    }

    /// What [`next`](Self::next) would answer, empty where it would wait.
    pub fn fetch(&mut self) -> Result<Vec<Arc<Event>>, StoreError> {
        let state = self.cache.read();
        state.open()?;
        let mut events = Vec::new();
        let first = self.watcher.next_event.load(Ordering::Relaxed);
        if first == 0 {
            return Ok(events);
        }
        state.reachable(first - 1)?;
        self.watcher.next_event.store(0, Ordering::Relaxed);
        for event in state.events_after(first - 1) {
            if !event.key.starts_with(&*self.watcher.prefix) {
                continue;
            }
            if events.len() == LIMITS.watch_batch_events {
                self.watcher.next_event.store(event.revision, Ordering::Relaxed);
                break;
            }
            events.push(Arc::clone(event));
        }
        Ok(events)
    }

    /// The revision up to which everything was fetched: what a bookmark may say.
    pub fn progress(&self) -> u64 {
        let state = self.cache.read();
        match self.watcher.next_event.load(Ordering::Relaxed) {
            0 => state.revision,
            next => next - 1,
        }
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.cache.write().watchers.remove(&self.watcher);
    }
}

impl Watchers {
    pub(super) fn new(limit: usize) -> Self {
        Self { by_prefix: BTreeMap::new(), count: 0, next_id: 0, limit }
    }

    /// Wakes the watchers whose prefix the event's key begins with.
    pub(super) fn notify(&self, event: &Event) {
        let key: &str = &event.key;
        let mut bound = Bound::Included(key);
        // Of the prefixes of a key the longest is the greatest, so each step finds one or skips all that
        // differ from the key.
        while let Some((prefix, watchers)) =
            self.by_prefix.range::<str, _>((Bound::Unbounded, bound)).next_back()
        {
            let common = common_prefix(prefix, key);
            if common == prefix.len() {
                watchers.values().for_each(|watcher| watcher.notify(event.revision));
                bound = Bound::Excluded(&key[..common]);
            } else {
                bound = Bound::Included(&key[..common]);
            }
        }
    }

    pub(super) fn wake_all(&self) {
        self.by_prefix.values().flat_map(BTreeMap::values).for_each(|watcher| watcher.wake.notify_one());
    }

    fn add(&mut self, prefix: &str, next_event: u64) -> Result<Arc<Watcher>, StoreError> {
        if self.count >= self.limit {
            return Err(StoreError::TooManyWatches { limit: self.limit });
        }
        let prefix = match self.by_prefix.get_key_value(prefix) {
            Some((prefix, _)) => Arc::clone(prefix),
            None => Arc::from(prefix),
        };
        let watcher = Arc::new(Watcher {
            id: self.next_id,
            prefix: Arc::clone(&prefix),
            next_event: AtomicU64::new(next_event),
            wake: Notify::new(),
        });
        self.count += 1;
        self.next_id += 1;
        self.by_prefix.entry(prefix).or_default().insert(watcher.id, Arc::clone(&watcher));
        Ok(watcher)
    }

    fn remove(&mut self, watcher: &Watcher) {
        let Some(watchers) = self.by_prefix.get_mut(&watcher.prefix) else { return };
        if watchers.remove(&watcher.id).is_some() {
            self.count -= 1;
        }
        if watchers.is_empty() {
            self.by_prefix.remove(&watcher.prefix);
        }
    }
}

impl Watcher {
    fn notify(&self, revision: u64) {
        if self.next_event.load(Ordering::Relaxed) == 0 {
            self.next_event.store(revision, Ordering::Relaxed);
            self.wake.notify_one();
        }
    }
}

/// The length of what two strings begin with alike, in whole characters.
fn common_prefix(left: &str, right: &str) -> usize {
    let alike = left.bytes().zip(right.bytes()).take_while(|(left, right)| left == right).count();
    (0..=alike).rev().find(|&end| right.is_char_boundary(end)).unwrap_or(0)
}
