//! Tests of the store as its users see it, on both engines; and what only a file can suffer.

mod conformance;
mod crash;
mod damage;
mod dump;
mod full_disk;
mod model;

use super::{
    Commit, Committed, DiskStore, Entry, LIMITS, Limits, MemoryStore, OpenError, RangeRequest, Require,
    Store, StoreError,
};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use tokio::runtime::Runtime;

/// A directory that is gone when the test ends.
struct Scratch(PathBuf);

impl Scratch {
    fn new() -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let name = format!("store-test-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn file(&self) -> PathBuf {
        self.0.join("store")
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Runs a test on both engines.
fn on_each<F: Future<Output = ()>>(limits: &Limits, test: impl Fn(Arc<dyn Store>) -> F) {
    let runtime = Runtime::new().unwrap();
    runtime.block_on(test(Arc::new(MemoryStore::with_limits(limits))));
    let scratch = Scratch::new();
    runtime.block_on(test(Arc::new(DiskStore::open_with_limits(&scratch.file(), limits).unwrap())));
}

async fn put(store: &dyn Store, key: &str, value: &str) -> u64 {
    store.commit(Commit::put(key, Require::Nothing, value.to_owned())).await.unwrap().revision
}

async fn delete(store: &dyn Store, key: &str) -> u64 {
    store.commit(Commit::delete(key, Require::Nothing)).await.unwrap().revision
}

async fn keys(store: &dyn Store, request: RangeRequest<'_>) -> Vec<String> {
    store.range(request).await.unwrap().entries.iter().map(|entry| entry.key.to_string()).collect()
}

async fn everything(store: &dyn Store) -> Vec<Entry> {
    store.range(RangeRequest::default()).await.unwrap().entries
}

/// A store with a few hundred entries of all sizes, closed.
fn filled(scratch: &Scratch) -> Vec<Entry> {
    let store = DiskStore::open(&scratch.file()).unwrap();
    Runtime::new().unwrap().block_on(async {
        for index in 0..60 {
            let value = vec![index as u8; (index * index * 5) % 9_000];
            let commit = Commit::put(format!("/objects/{index:03}"), Require::Nothing, value);
            store.commit(commit).await.unwrap();
        }
        for index in (0..60).step_by(7) {
            delete(&store, &format!("/objects/{index:03}")).await;
        }
        everything(&store).await
    })
}

fn contents(store: &DiskStore) -> Vec<Entry> {
    Runtime::new().unwrap().block_on(everything(store))
}

fn is_expired<T>(result: &Result<T, StoreError>) -> bool {
    matches!(result, Err(StoreError::Expired { .. }))
}

/// Conflicts and all else that a caller must not see here.
fn expect(result: Result<Committed, StoreError>) -> Committed {
    result.unwrap_or_else(|error| panic!("{error}"))
}
