//! Everything in memory: the entries with their past, the history and the watchers, under one lock.
//! It never waits for anything and never decides whether a commit is durable.

use super::history::History;
use super::watch::Watchers;
use super::{
    Change, Commit, Conflict, Entry, Event, LIMITS, Limits, Range, RangeRequest, Require, StoreError, Write,
};
use bytes::Bytes;
use std::collections::{BTreeMap, HashSet, VecDeque};
use std::ops::Bound;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

#[derive(Debug)]
pub(super) struct Cache {
    state: RwLock<State>,
}

#[derive(Debug)]
pub(super) struct State {
    pub(super) revision: u64,
    pub(super) history: History,
    pub(super) watchers: Watchers,
    pub(super) closed: bool,
    entries: BTreeMap<Arc<str>, Versions>,
}

/// A key's value now, and those that a read at a revision in the history still finds.
#[derive(Debug)]
struct Versions {
    current: Version,
    /// Oldest first.
    older: VecDeque<Version>,
}

#[derive(Debug)]
struct Version {
    create_revision: u64,
    revision: u64,
    /// None if this version is a deletion.
    value: Option<Bytes>,
}

impl Cache {
    pub(super) fn new(limits: &Limits) -> Self {
        Self::with_entries(limits, 0, Vec::new())
    }

    /// A cache with entries loaded from elsewhere and no history.
    pub(super) fn with_entries(limits: &Limits, revision: u64, entries: Vec<Entry>) -> Self {
        let entries = entries.into_iter().map(|entry| {
            let Entry { key, value, create_revision, mod_revision } = entry;
            let current = Version { create_revision, revision: mod_revision, value: Some(value) };
            (key, Versions { current, older: VecDeque::new() })
        });
        Self {
            state: RwLock::new(State {
                revision,
                entries: entries.collect(),
                history: History::new(limits.history_events, limits.history_bytes),
                watchers: Watchers::new(limits.watchers),
                closed: false,
            }),
        }
    }

    pub(super) fn get(&self, key: &str) -> Result<Option<Entry>, StoreError> {
        Ok(self.read().open()?.get(key))
    }

    pub(super) fn range(&self, request: &RangeRequest<'_>) -> Result<Range, StoreError> {
        self.read().open()?.range(request)
    }

    /// Refuses everything from now on and tells the watchers.
    pub(super) fn close(&self) {
        let mut state = self.write();
        state.closed = true;
        state.watchers.wake_all();
    }

    // The state is changed by functions that do not panic half-way, so a poisoned lock has nothing to say.
    pub(super) fn read(&self) -> RwLockReadGuard<'_, State> {
        self.state.read().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn write(&self) -> RwLockWriteGuard<'_, State> {
        self.state.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    pub(super) fn open(&self) -> Result<&Self, StoreError> {
        if self.closed { Err(StoreError::Closed) } else { Ok(self) }
    }

    pub(super) fn get(&self, key: &str) -> Option<Entry> {
        self.entries.get_key_value(key).and_then(|(key, versions)| versions.current.entry(key))
    }

    /// The oldest revision that can be read, and after which a watch can begin.
    pub(super) fn oldest(&self) -> u64 {
        self.revision - self.history.len() as u64
    }

    /// Whether reads and watches can go back to a revision.
    pub(super) fn reachable(&self, requested: u64) -> Result<(), StoreError> {
        let (oldest, newest) = (self.oldest(), self.revision);
        match requested {
            _ if requested < oldest => Err(StoreError::Expired { requested, oldest }),
            _ if requested > newest => Err(StoreError::Future { requested, newest }),
            _ => Ok(()),
        }
    }

    /// The events after a revision that is [`reachable`](Self::reachable).
    pub(super) fn events_after(&self, revision: u64) -> impl Iterator<Item = &Arc<Event>> {
        self.history.after((revision - self.oldest()) as usize)
    }

    /// Makes changes that were staged for the revision after the current one.
    pub(super) fn apply(&mut self, events: &[Arc<Event>]) {
        for event in events {
            self.revision = event.revision;
            self.record(event);
            self.watchers.notify(event);
            self.history.push(Arc::clone(event));
        }
        while let Some(event) = self.history.pop_excess() {
            self.forget_before(&event);
        }
    }

    fn range(&self, request: &RangeRequest<'_>) -> Result<Range, StoreError> {
        let revision = request.revision.unwrap_or(self.revision);
        self.reachable(revision)?;
        let start = match request.after {
            Some(after) if after >= request.prefix => Bound::Excluded(after),
            _ => Bound::Included(request.prefix),
        };
        let mut found = self
            .entries
            .range::<str, _>((start, Bound::Unbounded))
            .take_while(|(key, _)| key.starts_with(request.prefix))
            .filter_map(|(key, versions)| Some((key, versions.at(revision)?)))
            .filter(|(_, version)| version.value.is_some());
        let limit = request.limit.unwrap_or(usize::MAX);
        let entries = found.by_ref().take(limit).filter_map(|(key, version)| version.entry(key)).collect();
        Ok(Range { revision, entries, remaining: found.count() })
    }

    fn record(&mut self, event: &Event) {
        let version = Version {
            create_revision: event.current.as_ref().map_or(0, |entry| entry.create_revision),
            revision: event.revision,
            value: event.current.as_ref().map(|entry| entry.value.clone()),
        };
        if let Some(versions) = self.entries.get_mut(&event.key) {
            let previous = std::mem::replace(&mut versions.current, version);
            versions.older.push_back(previous);
        } else {
            let versions = Versions { current: version, older: VecDeque::new() };
            self.entries.insert(Arc::clone(&event.key), versions);
        }
    }

    /// Drops what only a read before an event's revision would find, now that the event is forgotten.
    fn forget_before(&mut self, event: &Event) {
        let Some(versions) = self.entries.get_mut(&event.key) else { return };
        while versions.older.front().is_some_and(|version| version.ends_by(event.revision)) {
            versions.older.pop_front();
        }
        if versions.older.is_empty() {
            // What is not needed for long should not keep the room it once had.
            versions.older = VecDeque::new();
            if versions.current.value.is_none() && versions.current.revision <= event.revision {
                self.entries.remove(&event.key);
            }
        }
    }
}

impl Versions {
    fn at(&self, revision: u64) -> Option<&Version> {
        if self.current.revision <= revision {
            return Some(&self.current);
        }
        let after = self.older.partition_point(|version| version.revision <= revision);
        after.checked_sub(1).and_then(|index| self.older.get(index))
    }
}

impl Version {
    fn entry(&self, key: &Arc<str>) -> Option<Entry> {
        let value = self.value.clone()?;
        let (create_revision, mod_revision) = (self.create_revision, self.revision);
        Some(Entry { key: Arc::clone(key), value, create_revision, mod_revision })
    }

    /// Whether no read at a revision or a later one needs this version, given that the key changed at
    /// that revision.
    fn ends_by(&self, revision: u64) -> bool {
        self.revision < revision || (self.revision == revision && self.value.is_none())
    }
}

/// Checks a commit's size and form, for which no state is needed.
pub(super) fn admit(commit: &Commit) -> Result<(), StoreError> {
    let within = |what, size, limit| {
        if size > limit { Err(StoreError::TooLarge { what, size, limit }) } else { Ok(()) }
    };
    within("number of changes", commit.changes.len(), LIMITS.commit_changes)?;
    let mut keys = HashSet::new();
    for Change { key, write, .. } in &commit.changes {
        within("key", key.len(), LIMITS.key_bytes)?;
        if let Write::Put(value) = write {
            within("value", value.len(), LIMITS.value_bytes)?;
        }
        if commit.changes.len() > 1 && !keys.insert(key) {
            return Err(StoreError::RepeatedKey(Arc::clone(key)));
        }
    }
    within("commit", commit.size_bytes(), LIMITS.commit_bytes)
}

/// What a commit does, given the entries and the revision that it finds; or what it requires in vain.
pub(super) fn stage(
    commit: Commit,
    mut revision: u64,
    lookup: impl Fn(&str) -> Option<Entry>,
) -> Result<Vec<Arc<Event>>, StoreError> {
    let mut events = Vec::with_capacity(commit.changes.len());
    for Change { key, require, write } in commit.changes {
        let previous = lookup(&key);
        if !require.is_met_by(previous.as_ref()) {
            let conflict = Conflict { key, required: require, found: previous };
            return Err(StoreError::Conflict(Box::new(conflict)));
        }
        let value = match write {
            Write::Put(value) => Some(value),
            Write::Delete if previous.is_some() => None,
            Write::Delete | Write::Keep => continue,
        };
        revision += 1;
        let create_revision = previous.as_ref().map_or(revision, |entry| entry.create_revision);
        let key = previous.as_ref().map_or(key, |entry| Arc::clone(&entry.key));
        let current = value.map(|value| Entry {
            key: Arc::clone(&key),
            value,
            create_revision,
            mod_revision: revision,
        });
        events.push(Arc::new(Event::new(revision, key, current, previous)));
    }
    Ok(events)
}

impl Commit {
    pub(super) fn size_bytes(&self) -> usize {
        let size = |change: &Change| match &change.write {
            Write::Put(value) => change.key.len() + value.len(),
            Write::Delete | Write::Keep => change.key.len(),
        };
        self.changes.iter().map(size).sum()
    }
}

impl Require {
    fn is_met_by(self, found: Option<&Entry>) -> bool {
        match self {
            Self::Nothing => true,
            Self::Absent => found.is_none(),
            Self::ModRevision(revision) => found.is_some_and(|entry| entry.mod_revision == revision),
        }
    }
}
