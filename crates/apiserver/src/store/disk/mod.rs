//! The engine on disk: everything in memory, and a file that a single thread keeps up to date.
//!
//! A commit is acknowledged when the file has it durably, and seen by readers and watchers then and not
//! earlier. Commits that wait for the disk are made durable together. redb's pages, transactions and
//! recovery do the work; what is added is proof at every start that the file holds exactly what was
//! acknowledged, and that a file which does not is left as it is.

mod file;
mod record;
mod volume;
mod writer;

pub(super) use file::{Contents, Filler, build, examine};
pub(super) use record::checksum;
pub(super) use volume::FORMAT;

use super::cache::{Cache, admit};
use super::{
    Answer, Commit, Committed, Entry, LIMITS, Limits, OpenError, Range, RangeRequest, Store, StoreError,
    Watch,
};
use std::future::ready;
use std::path::Path;
use std::sync::Arc;
use std::thread::JoinHandle;
use tokio::sync::{mpsc, oneshot};
use writer::{Request, Writer};

/// A store in a file.
#[derive(Debug)]
pub struct DiskStore {
    cache: Arc<Cache>,
    requests: Option<mpsc::Sender<Request>>,
    writer: Option<JoinHandle<()>>,
    opened: Opened,
    #[cfg(test)]
    volume: Arc<volume::Volume>,
}

/// What opening a store found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Opened {
    /// There was no file, so an empty one was made.
    pub created: bool,
    /// The file's bookkeeping of free space was wrong and was made anew; no entry was affected.
    pub repaired: bool,
    pub entries: u64,
    pub revision: u64,
}

impl DiskStore {
    /// Opens a store, or makes an empty one if there is no file. Reads and verifies all of it, so this
    /// takes a while and blocks.
    pub fn open(path: &Path) -> Result<Self, OpenError> {
        Self::open_with_limits(path, &LIMITS)
    }

    pub fn opened(&self) -> Opened {
        self.opened
    }

    pub(super) fn open_with_limits(path: &Path, limits: &Limits) -> Result<Self, OpenError> {
        let file::Loaded { volume, database, totals, entries, created, repaired } = file::load(path)?;
        let opened = Opened { created, repaired, entries: totals.entries, revision: totals.revision };
        let cache = Arc::new(Cache::with_entries(limits, totals.revision, entries));
        let (requests, received) = mpsc::channel(limits.waiting_commits);
        #[cfg(test)]
        let test_volume = Arc::clone(&volume);
        let writer = Writer::new(Arc::clone(&cache), volume, database, totals);
        let writer = std::thread::Builder::new()
            .name("store-writer".into())
            .spawn(move || writer.run(received))
            .map_err(|source| OpenError::Io { path: path.into(), source })?;
        Ok(Self {
            cache,
            requests: Some(requests),
            writer: Some(writer),
            opened,
            #[cfg(test)]
            volume: test_volume,
        })
    }

    async fn hand_over(&self, commit: Commit) -> Result<Committed, StoreError> {
        admit(&commit)?;
        let (answer, answered) = oneshot::channel();
        let requests = self.requests.as_ref().ok_or(StoreError::Closed)?;
        requests.send(Request { commit, answer }).await.map_err(|_| StoreError::Closed)?;
        answered.await.map_err(|_| StoreError::Closed)?
    }
}

impl Store for DiskStore {
    fn get<'a>(&'a self, key: &'a str) -> Answer<'a, Option<Entry>> {
        Box::pin(ready(self.cache.get(key)))
    }

    fn range<'a>(&'a self, request: RangeRequest<'a>) -> Answer<'a, Range> {
        Box::pin(ready(self.cache.range(&request)))
    }

    fn commit(&self, commit: Commit) -> Answer<'_, Committed> {
        Box::pin(self.hand_over(commit))
    }

    fn watch<'a>(&'a self, prefix: &'a str, since: u64) -> Answer<'a, Watch> {
        Box::pin(ready(Watch::new(&self.cache, prefix, since)))
    }
}

impl Drop for DiskStore {
    /// Makes what was handed over durable, and closes the file.
    fn drop(&mut self) {
        self.requests = None;
        if let Some(writer) = self.writer.take() {
            // The writer contains every panic of the database, and has nothing to tell at its end.
            let _ = writer.join();
        }
        self.cache.close();
    }
}

#[cfg(test)]
impl DiskStore {
    /// Makes the disk full beyond a length of the database.
    pub(super) fn limit_room(&self, bytes: u64) {
        self.volume.faults.room.store(bytes, std::sync::atomic::Ordering::Relaxed);
    }

    /// Makes every write fail, or succeed again.
    pub(super) fn break_disk(&self, broken: bool) {
        self.volume.faults.broken.store(broken, std::sync::atomic::Ordering::Relaxed);
    }

    /// Makes one operation of the disk fail after so many that succeed.
    pub(super) fn fail_after(&self, operations: i64) {
        self.volume.faults.countdown.store(operations, std::sync::atomic::Ordering::Relaxed);
    }

    pub(super) fn has_failed(&self) -> bool {
        self.volume.faults.countdown.load(std::sync::atomic::Ordering::Relaxed) < 0
    }

    pub(super) fn file_bytes(&self) -> u64 {
        self.volume.file_bytes()
    }
}
