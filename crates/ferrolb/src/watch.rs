//! What a cluster says, as a stream of changes: the first complete list, then every change, through outages and lost
//! history alike.
//!
//! Whoever watches says what it reads of an object. The rest is dropped on arrival.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Debug;
use std::time::Duration;

use futures_util::StreamExt;
use kube::runtime::WatchStreamExt;
use kube::runtime::utils::Backoff;
use kube::runtime::watcher::{self, Event};
use kube::{Api, Resource, ResourceExt};
use serde::de::DeserializeOwned;
use tokio::sync::mpsc;

use crate::backoff::delay;

/// Namespace and name.
pub(crate) type Key = (String, String);

#[derive(Debug)]
pub(crate) enum Change<T> {
    Is {
        key: Key,
        value: T,
        /// From a list, not from a watch: it may be older than what is known, where the history was set back.
        is_listed: bool,
    },
    Gone(Key),
    /// All that there is has been told.
    Complete,
}

impl<T> Change<T> {
    pub(crate) fn map<U>(self, other: impl FnOnce(T) -> U) -> Change<U> {
        match self {
            Change::Is { key, value, is_listed } => Change::Is { key, value: other(value), is_listed },
            Change::Gone(key) => Change::Gone(key),
            Change::Complete => Change::Complete,
        }
    }
}

/// The objects of one kind, as last told.
#[derive(Debug)]
pub(crate) struct Known<T> {
    pub(crate) values: BTreeMap<Key, T>,
    is_complete: bool,
}

impl<T> Default for Known<T> {
    fn default() -> Known<T> {
        Known { values: BTreeMap::new(), is_complete: false }
    }
}

impl<T> Known<T> {
    pub(crate) fn is_complete(&self) -> bool {
        self.is_complete
    }

    pub(crate) fn cloned(&self) -> Vec<T>
    where
        T: Clone,
    {
        self.values.values().cloned().collect()
    }

    /// Whether something is different now, as far as `read` tells.
    pub(crate) fn take<R: PartialEq>(&mut self, change: Change<T>, read: impl Fn(&T) -> R) -> bool {
        match change {
            Change::Is { key, value, .. } => {
                let before = self.values.get(&key).map(&read);
                let is_different = before != Some(read(&value));
                self.values.insert(key, value);
                is_different
            }
            Change::Gone(key) => self.values.remove(&key).is_some(),
            Change::Complete => !std::mem::replace(&mut self.is_complete, true),
        }
    }
}

const RETRY_MIN: Duration = Duration::from_millis(200);
const RETRY_MAX: Duration = Duration::from_secs(5);
/// What may only be listed is listed so often.
const RELIST: Duration = Duration::from_secs(15);
/// A watch is begun anew after this, so that a connection which nobody told us has ended is noticed.
const WATCH_SECS: u32 = 120;

/// Failures in a row.
#[derive(Debug, Default)]
struct Retry(u32);

impl Iterator for Retry {
    type Item = Duration;

    fn next(&mut self) -> Option<Duration> {
        self.0 += 1;
        Some(delay(self.0, RETRY_MIN, RETRY_MAX))
    }
}

impl Backoff for Retry {
    fn reset(&mut self) {
        self.0 = 0;
    }
}

/// Watches objects for ever. `read` is what is kept of one; nothing means that it is as good as gone.
pub(crate) async fn follow<K, T, M>(
    api: Api<K>,
    config: watcher::Config,
    read: impl Fn(K) -> Option<T>,
    told: mpsc::Sender<M>,
    message: impl Fn(Change<T>) -> M,
) where
    K: Resource + Clone + DeserializeOwned + Debug + Send + 'static,
    K::DynamicType: Default + Clone,
{
    let what = K::plural(&K::DynamicType::default()).into_owned();
    let config = config.timeout(WATCH_SECS);
    let begin = || Box::pin(watcher::watcher(api.clone(), config.clone()).backoff(Retry::default()));
    let mut events = begin();
    let mut known = BTreeSet::new();
    let mut listed = BTreeSet::new();
    let (mut is_failing, mut is_only_listed) = (false, false);
    while let Some(event) = events.next().await {
        let changes = match event {
            Ok(event) => {
                if std::mem::take(&mut is_failing) {
                    tracing::info!("{what} are watched again");
                }
                changes(event, &read, &mut known, &mut listed)
            }
            Err(error) if is_forbidden(&error) => {
                if !std::mem::replace(&mut is_only_listed, true) {
                    tracing::info!(
                        "{what} may be listed and not watched, so they are listed every {RELIST:?}"
                    );
                }
                tokio::time::sleep(RELIST).await;
                events = begin();
                continue;
            }
            Err(error) => {
                if !std::mem::replace(&mut is_failing, true) {
                    tracing::warn!("{what} cannot be watched, and are taken to be as last seen: {error}");
                }
                continue;
            }
        };
        for change in changes {
            if told.send(message(change)).await.is_err() {
                return;
            }
        }
    }
}

/// Whether watching is not allowed, though listing is.
fn is_forbidden(error: &watcher::Error) -> bool {
    let status = match error {
        watcher::Error::WatchStartFailed(kube::Error::Api(status)) => status,
        watcher::Error::WatchError(status) => status,
        _ => return false,
    };
    status.code == 403
}

fn changes<K: Resource, T>(
    event: Event<K>,
    read: &impl Fn(K) -> Option<T>,
    known: &mut BTreeSet<Key>,
    listed: &mut BTreeSet<Key>,
) -> Vec<Change<T>> {
    match event {
        Event::Init => {
            listed.clear();
            Vec::new()
        }
        Event::InitApply(object) => {
            let key = key_of(&object);
            let Some(value) = read(object) else { return Vec::new() };
            listed.insert(key.clone());
            known.insert(key.clone());
            vec![Change::Is { key, value, is_listed: true }]
        }
        Event::InitDone => {
            let mut changes: Vec<_> = known.difference(listed).cloned().map(Change::Gone).collect();
            *known = std::mem::take(listed);
            changes.push(Change::Complete);
            changes
        }
        Event::Apply(object) => {
            let key = key_of(&object);
            match read(object) {
                Some(value) => {
                    known.insert(key.clone());
                    vec![Change::Is { key, value, is_listed: false }]
                }
                None => gone(key, known),
            }
        }
        Event::Delete(object) => gone(key_of(&object), known),
    }
}

fn gone<T>(key: Key, known: &mut BTreeSet<Key>) -> Vec<Change<T>> {
    if known.remove(&key) { vec![Change::Gone(key)] } else { Vec::new() }
}

fn key_of(object: &impl Resource) -> Key {
    (object.namespace().unwrap_or_default(), object.name_any())
}
