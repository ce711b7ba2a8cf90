//! The engine that keeps everything in memory and nothing beyond.

use super::cache::{Cache, admit, stage};
use super::{
    Answer, Commit, Committed, Entry, LIMITS, Limits, Range, RangeRequest, Store, StoreError, Watch,
};
use std::future::ready;
use std::sync::Arc;

/// A store for tests, labs and everything else that may be gone when the process ends.
#[derive(Debug)]
pub struct MemoryStore {
    cache: Arc<Cache>,
}

impl MemoryStore {
    pub fn new() -> Self {
        Self::with_limits(&LIMITS)
    }

    pub(super) fn with_limits(limits: &Limits) -> Self {
        Self { cache: Arc::new(Cache::new(limits)) }
    }

    fn make(&self, commit: Commit) -> Result<Committed, StoreError> {
        admit(&commit)?;
        let mut state = self.cache.write();
        state.open()?;
        let events = stage(commit, state.revision, |key| state.get(key))?;
        state.apply(&events);
        Ok(Committed { revision: state.revision, events })
    }
}

impl Default for MemoryStore {
    fn default() -> Self {
        Self::new()
    }
}

impl Store for MemoryStore {
    fn get<'a>(&'a self, key: &'a str) -> Answer<'a, Option<Entry>> {
        Box::pin(ready(self.cache.get(key)))
    }

    fn range<'a>(&'a self, request: RangeRequest<'a>) -> Answer<'a, Range> {
        Box::pin(ready(self.cache.range(&request)))
    }

    fn commit(&self, commit: Commit) -> Answer<'_, Committed> {
        Box::pin(ready(self.make(commit)))
    }

    fn watch<'a>(&'a self, prefix: &'a str, since: u64) -> Answer<'a, Watch> {
        Box::pin(ready(Watch::new(&self.cache, prefix, since)))
    }
}

impl Drop for MemoryStore {
    fn drop(&mut self) {
        self.cache.close();
    }
}
