//! Where objects live: ordered keys with opaque values, one revision for everything, snapshot reads,
//! and a bounded history from which watches are served. It never looks into a value.
//!
//! [`Store`] is the whole interface. [`MemoryStore`] keeps everything in memory; [`DiskStore`] has the
//! same memory in front of a file and acknowledges a commit only when it is durable. Reads and watches
//! are answered by the same code for both, so an engine is only a way to make a commit last.
//!
//! Every change has a revision of its own, also inside a commit that changes several keys. A watcher
//! resumes by saying the last revision that it has seen; if two events shared one, a watcher cut off
//! between them would lose the second. The price is that a read at an old revision may see part of
//! such a commit; a read at the current revision never does.
//!
//! The history is in memory and starts empty: after a restart, watches resume from the revision that
//! the store was closed with, and older ones are [`StoreError::Expired`].

mod cache;
mod disk;
mod dump;
mod error;
mod history;
mod memory;
mod watch;

#[cfg(test)]
mod tests;

pub use disk::{DiskStore, Opened};
pub use dump::{Checked, Exported, Imported, Incomplete, check, export, import};
pub use error::{Conflict, DumpError, OpenError, StoreError};
pub use memory::MemoryStore;
pub use watch::Watch;

use bytes::Bytes;
use std::fmt;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};

/// Everything in the store that could grow is bounded here, except what it is there to keep.
pub const LIMITS: Limits = Limits {
    key_bytes: 1 << 10,
    value_bytes: 3 << 20,
    commit_changes: 1_000,
    commit_bytes: 16 << 20,
    history_events: 100_000,
    history_bytes: 128 << 20,
    event_forms: 2,
    watchers: 10_000,
    watch_batch_events: 256,
    waiting_commits: 256,
    group_commits: 256,
    group_bytes: 16 << 20,
    file_cache_bytes: 16 << 20,
    retry_pause_ms: 200,
    reported_problems: 100,
};

/// See [`LIMITS`].
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Length of a key; a longer one is refused.
    pub key_bytes: usize,
    /// Length of a value; a longer one is refused.
    pub value_bytes: usize,
    /// Changes in one commit; a commit with more is refused.
    pub commit_changes: usize,
    /// Keys and values of one commit; a longer one is refused.
    pub commit_bytes: usize,
    /// Events kept for reads and watches from the past.
    pub history_events: usize,
    /// What those events may hold: key, value, previous value, and the forms of it that may be kept.
    pub history_bytes: usize,
    /// Forms of an event, ready to be sent, that are kept with it; further ones are made for each who asks.
    pub event_forms: usize,
    /// Watches at one time; a further one is refused.
    pub watchers: usize,
    /// Events that a watcher is given at once. What it has not fetched waits in the history, which all
    /// share; a watcher that the history has passed is cut off.
    pub watch_batch_events: usize,
    /// Commits that wait for the disk; the sender of a further one waits to hand it over.
    pub waiting_commits: usize,
    /// Commits made durable by one synchronisation of the disk.
    pub group_commits: usize,
    /// Bytes made durable by one synchronisation, reached before the last of its commits is added.
    pub group_bytes: usize,
    /// What the file's own cache may hold. Small, because everything is in memory already.
    pub file_cache_bytes: usize,
    /// After a failed write the disk is left alone this long; commits fail at once meanwhile.
    pub retry_pause_ms: u64,
    /// Problems listed by a check or an export; the rest is counted.
    pub reported_problems: usize,
}

/// What [`Store`] answers with.
pub type Answer<'a, T> = Pin<Box<dyn Future<Output = Result<T, StoreError>> + Send + 'a>>;

/// An engine. All answers are futures, so one that has to ask another machine fits as well.
pub trait Store: fmt::Debug + Send + Sync {
    /// The entry of a key as it is now.
    fn get<'a>(&'a self, key: &'a str) -> Answer<'a, Option<Entry>>;

    /// The entries below a prefix, in the order of their keys, as of one revision.
    fn range<'a>(&'a self, request: RangeRequest<'a>) -> Answer<'a, Range>;

    /// Makes all changes or none. The answer comes when they will survive whatever the engine survives.
    /// A commit whose answer is not waited for may still be made.
    fn commit(&self, commit: Commit) -> Answer<'_, Committed>;

    /// Every event below a prefix after a revision, each once and in order.
    fn watch<'a>(&'a self, prefix: &'a str, since: u64) -> Answer<'a, Watch>;
}

/// A key with its value, and the revisions that created it and last changed it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    pub key: Arc<str>,
    pub value: Bytes,
    pub create_revision: u64,
    pub mod_revision: u64,
}

/// What to read. The default is everything, now.
#[derive(Debug, Clone, Copy, Default)]
pub struct RangeRequest<'a> {
    pub prefix: &'a str,
    /// Only keys behind this one: the last key of the page before.
    pub after: Option<&'a str>,
    /// At most so many entries.
    pub limit: Option<usize>,
    /// As of this revision: that of the page before.
    pub revision: Option<u64>,
}

/// A page of entries.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Range {
    /// The revision that the entries are as of.
    pub revision: u64,
    pub entries: Vec<Entry>,
    /// How many entries the limit has cut off.
    pub remaining: usize,
}

/// Changes to be made together.
#[derive(Debug, Clone, Default)]
pub struct Commit {
    pub changes: Vec<Change>,
}

/// A change of one key. A commit names a key once.
#[derive(Debug, Clone)]
pub struct Change {
    pub key: Arc<str>,
    pub require: Require,
    pub write: Write,
}

/// What must be true of a key for the commit to be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Require {
    Nothing,
    Absent,
    ModRevision(u64),
}

/// What happens to a key.
#[derive(Debug, Clone)]
pub enum Write {
    Put(Bytes),
    /// Without effect, and without an event, if the key is absent.
    Delete,
    /// The key is only required to be as stated.
    Keep,
}

/// A commit that was made.
#[derive(Debug, Clone)]
pub struct Committed {
    /// The store's revision after the commit.
    pub revision: u64,
    /// An event for each change that had an effect, in the order of the changes.
    pub events: Vec<Arc<Event>>,
}

/// A change of a key as watchers see it.
#[derive(Debug)]
pub struct Event {
    pub revision: u64,
    pub key: Arc<str>,
    /// The entry after the change; none if it was deleted.
    pub current: Option<Entry>,
    /// The entry before the change; none if it was created.
    pub previous: Option<Entry>,
    forms: Mutex<Vec<(u64, Bytes)>>,
}

impl Commit {
    pub fn one(key: impl Into<Arc<str>>, require: Require, write: Write) -> Self {
        Self { changes: vec![Change { key: key.into(), require, write }] }
    }

    pub fn put(key: impl Into<Arc<str>>, require: Require, value: impl Into<Bytes>) -> Self {
        Self::one(key, require, Write::Put(value.into()))
    }

    pub fn delete(key: impl Into<Arc<str>>, require: Require) -> Self {
        Self::one(key, require, Write::Delete)
    }
}

impl Event {
    /// A form of this event that is ready to be sent, made by whoever asks first and shared by all who
    /// ask for the same one later. What the numbers of forms mean is the callers' business.
    pub fn form(&self, number: u64, make: impl FnOnce(&Self) -> Bytes) -> Bytes {
        let mut forms = self.forms.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, form)) = forms.iter().find(|(other, _)| *other == number) {
            return form.clone();
        }
        let form = make(self);
        if forms.len() < LIMITS.event_forms {
            forms.push((number, form.clone()));
        }
        form
    }

    fn new(revision: u64, key: Arc<str>, current: Option<Entry>, previous: Option<Entry>) -> Self {
        Self { revision, key, current, previous, forms: Mutex::default() }
    }

    /// What the event counts for in the history.
    fn cost_bytes(&self) -> usize {
        let length = |entry: &Option<Entry>| entry.as_ref().map_or(0, |entry| entry.value.len());
        let (current, previous) = (length(&self.current), length(&self.previous));
        self.key.len() + current + previous + LIMITS.event_forms * current.max(previous)
    }
}

impl PartialEq for Event {
    fn eq(&self, other: &Self) -> bool {
        (self.revision, &self.key, &self.current, &self.previous)
            == (other.revision, &other.key, &other.current, &other.previous)
    }
}
