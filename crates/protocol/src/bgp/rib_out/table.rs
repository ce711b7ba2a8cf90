//! How far a neighbour has been told of the routes of one family.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::super::attribute::Outgoing;
use super::super::prefix::{Path, Prefix};

#[derive(Debug, Default)]
pub(super) struct Table {
    /// Prefixes that the neighbour knows and is to forget.
    withdrawn: BTreeSet<Prefix>,
    /// Prefixes that it does not know, or not so.
    announced: BTreeMap<Arc<Outgoing>, BTreeSet<Prefix>>,
    /// What it knows of those that are due; the others among them it does not know.
    before: BTreeMap<Prefix, Before>,
    pub(super) phase: Phase,
    /// The neighbour wants all of it once more.
    pub(super) is_asked_for: bool,
    pub(super) told_count: usize,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    /// The first time, and its end is not told.
    #[default]
    First,
    Told,
    /// Once more, because the neighbour has asked, and its end is not told.
    Again,
}

#[derive(Debug)]
struct Before {
    told: Arc<Outgoing>,
    /// The neighbour wants to hear it even if it is still the same.
    is_asked_for: bool,
}

impl Table {
    /// What is to be told of a prefix is not what it was until now.
    pub(super) fn change(&mut self, prefix: Prefix, was: Option<Arc<Outgoing>>, is: Option<Arc<Outgoing>>) {
        let before = if self.take_due(prefix, was.as_ref()) {
            self.before.remove(&prefix)
        } else {
            was.map(|told| Before { told, is_asked_for: false })
        };
        // It was to change and has changed back: the neighbour knows it like that.
        let is_known = match (&before, &is) {
            (Some(before), Some(is)) => !before.is_asked_for && before.told == *is,
            (before, is) => before.is_none() && is.is_none(),
        };
        if is_known {
            return;
        }
        if let Some(before) = before {
            self.before.insert(prefix, before);
        }
        match is {
            Some(outgoing) => self.announced.entry(outgoing).or_default().insert(prefix),
            None => self.withdrawn.insert(prefix),
        };
    }

    /// Whether it is to be told what the neighbour does not know.
    pub(super) fn is_due(&self, prefix: Prefix, outgoing: Option<&Arc<Outgoing>>) -> bool {
        match outgoing {
            Some(outgoing) => self.announced.get(outgoing).is_some_and(|prefixes| prefixes.contains(&prefix)),
            None => self.withdrawn.contains(&prefix),
        }
    }

    fn take_due(&mut self, prefix: Prefix, outgoing: Option<&Arc<Outgoing>>) -> bool {
        let Some(outgoing) = outgoing else { return self.withdrawn.remove(&prefix) };
        let Some(prefixes) = self.announced.get_mut(outgoing) else { return false };
        let was_due = prefixes.remove(&prefix);
        if prefixes.is_empty() {
            self.announced.remove(outgoing);
        }
        was_due
    }

    pub(super) fn told_of(&self, prefix: Prefix) -> Option<Arc<Outgoing>> {
        self.before.get(&prefix).map(|before| Arc::clone(&before.told))
    }

    /// What the neighbour knows of the prefixes that are due.
    pub(super) fn told_of_due(&self) -> impl Iterator<Item = (Prefix, Arc<Outgoing>)> {
        self.before.iter().map(|(prefix, before)| (*prefix, Arc::clone(&before.told)))
    }

    pub(super) fn next_announced(&self) -> Option<Arc<Outgoing>> {
        self.announced.keys().next().cloned()
    }

    /// Those of [`next_announced`](Self::next_announced) that fit into so many bytes. They count as told.
    pub(super) fn take_announced(&mut self, room: usize, id: Option<u32>) -> Vec<Path> {
        let Some(mut group) = self.announced.first_entry() else { return Vec::new() };
        let paths = take_fitting(group.get_mut(), room, id);
        if group.get().is_empty() {
            group.remove();
        }
        let known = paths.iter().filter(|path| self.before.remove(&path.prefix).is_some()).count();
        self.told_count += paths.len() - known;
        paths
    }

    pub(super) fn take_withdrawn(&mut self, room: usize, id: Option<u32>) -> Option<Vec<Path>> {
        let paths = take_fitting(&mut self.withdrawn, room, id);
        for path in &paths {
            self.before.remove(&path.prefix);
        }
        self.told_count -= paths.len();
        (!paths.is_empty()).then_some(paths)
    }

    pub(super) fn is_idle(&self) -> bool {
        self.phase == Phase::Told
            && !self.is_asked_for
            && self.withdrawn.is_empty()
            && self.announced.is_empty()
    }

    /// Not before the end of the first table was told, nor while another is going on (RFC 7313, 4).
    pub(super) fn is_refresh_due(&self) -> bool {
        self.is_asked_for && self.phase == Phase::Told
    }

    /// All that the neighbour knows is due once more. It comes in order, so the maps are filled at once.
    pub(super) fn begin_refresh(&mut self, told: Vec<(Prefix, Arc<Outgoing>)>) {
        (self.phase, self.is_asked_for) = (Phase::Again, false);
        let mut due: BTreeMap<Arc<Outgoing>, Vec<Prefix>> = BTreeMap::new();
        for (prefix, told) in &told {
            if !self.before.contains_key(prefix) {
                due.entry(Arc::clone(told)).or_default().push(*prefix);
            }
        }
        for (outgoing, prefixes) in due {
            self.announced.entry(outgoing).or_default().append(&mut prefixes.into_iter().collect());
        }
        let asked_for = |(prefix, told)| (prefix, Before { told, is_asked_for: true });
        self.before.append(&mut told.into_iter().map(asked_for).collect());
    }
}

fn take_fitting(prefixes: &mut BTreeSet<Prefix>, room: usize, id: Option<u32>) -> Vec<Path> {
    let mut paths = Vec::new();
    let mut bytes = 0;
    while let Some(prefix) = prefixes.first() {
        let path = Path { id, prefix: *prefix };
        bytes += path.bytes();
        if bytes > room {
            break;
        }
        prefixes.pop_first();
        paths.push(path);
    }
    paths
}
