//! What a cluster says, as a stream of changes: the first complete list, then every change, through outages and lost
//! history alike.
//!
//! Whoever watches says what it reads of an object. The rest is dropped on arrival, object by object, so that a list of
//! ten thousand costs no more memory than what is kept of it.

mod stream;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Debug;
use std::sync::Arc;
use std::time::{Duration, Instant};

use http::StatusCode;
use kube::{Api, Client, Resource};
use serde::de::DeserializeOwned;
use tokio::sync::mpsc;

use crate::backoff::delay;
use crate::call::Failure;
use stream::{Event, Lines, Page};

/// Namespace and name. Many remember the same one.
pub(crate) type Key = (Arc<str>, Arc<str>);

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

/// Which objects of a kind are watched; all, if nothing is said.
#[derive(Debug, Clone, Default)]
pub(crate) struct Only {
    labels: Option<String>,
    fields: Option<String>,
}

impl Only {
    pub(crate) fn labels(selector: &str) -> Only {
        Only { labels: Some(selector.to_owned()), fields: None }
    }

    pub(crate) fn named(name: &str) -> Only {
        Only { labels: None, fields: Some(format!("metadata.name={name}")) }
    }
}

const RETRY_MIN: Duration = Duration::from_millis(200);
const RETRY_MAX: Duration = Duration::from_secs(5);
/// What may only be listed is listed so often.
const RELIST: Duration = Duration::from_secs(15);
/// A watch that lasted so long was one, also if nothing was told.
const LASTED: Duration = Duration::from_secs(1);

/// Watches objects for ever, or until nobody listens. `read` is what is kept of one; nothing means that it is as good as
/// gone.
pub(crate) async fn follow<K, T, M>(
    api: Api<K>,
    only: Only,
    read: impl Fn(K) -> Option<T>,
    told: mpsc::Sender<M>,
    message: impl Fn(Change<T>) -> M,
) where
    K: Resource<DynamicType = ()> + DeserializeOwned + Debug,
{
    let mut follower = Follower {
        path: api.resource_url().to_owned(),
        client: api.into_client(),
        only,
        what: K::plural(&()).into_owned(),
        known: BTreeSet::new(),
        namespace: Arc::default(),
        version: String::new(),
        failures: 0,
        is_only_listed: false,
        read,
        told,
        message,
        kind: std::marker::PhantomData,
    };
    while follower.follow_once().await.is_ok() {}
}

/// Nobody listens any more.
struct Unheard;

/// Why a watch has come to its end.
enum Ended {
    /// As watches do after a while.
    InTime,
    HistoryIsGone,
    Failed(Failure),
}

struct Follower<K, T, M, R, F>
where
    R: Fn(K) -> Option<T>,
    F: Fn(Change<T>) -> M,
{
    client: Client,
    path: String,
    only: Only,
    what: String,
    /// Those that were told of and are not gone.
    known: BTreeSet<Key>,
    /// Of the object that was seen last.
    namespace: Arc<str>,
    version: String,
    /// In a row.
    failures: u32,
    is_only_listed: bool,
    read: R,
    told: mpsc::Sender<M>,
    message: F,
    kind: std::marker::PhantomData<fn(K)>,
}

impl<K, T, M, R, F> Follower<K, T, M, R, F>
where
    K: Resource<DynamicType = ()> + DeserializeOwned + Debug,
    R: Fn(K) -> Option<T>,
    F: Fn(Change<T>) -> M,
{
    /// A list, and watches from there on for as long as their history is known.
    async fn follow_once(&mut self) -> Result<(), Unheard> {
        match self.list().await? {
            Ok(()) => self.succeeded(),
            Err(failure) => {
                self.failed(&failure).await;
                return Ok(());
            }
        }
        loop {
            let begun = Instant::now();
            match self.watch().await? {
                Ended::HistoryIsGone => {
                    if begun.elapsed() < LASTED {
                        // A server that says so at once is not helped by being asked faster.
                        tokio::time::sleep(delay(1, RETRY_MIN, RETRY_MAX)).await;
                    }
                    return Ok(());
                }
                Ended::Failed(failure) if failure.is(StatusCode::FORBIDDEN) => {
                    if !std::mem::replace(&mut self.is_only_listed, true) {
                        let what = &self.what;
                        tracing::info!(
                            "{what} may be listed and not watched, so they are listed every {RELIST:?}"
                        );
                    }
                    tokio::time::sleep(RELIST).await;
                    return Ok(());
                }
                Ended::Failed(failure) => self.failed(&failure).await,
                Ended::InTime if begun.elapsed() >= LASTED => self.succeeded(),
                Ended::InTime => self.failed(&Failure::unanswered("the watch ends at once")).await,
            }
        }
    }

    fn succeeded(&mut self) {
        if std::mem::take(&mut self.failures) > 0 {
            tracing::info!("{} are watched again", self.what);
        }
    }

    async fn failed(&mut self, failure: &Failure) {
        if self.failures == 0 {
            tracing::warn!("{} cannot be watched, and are taken to be as last seen: {failure}", self.what);
        }
        self.failures += 1;
        let wait = delay(self.failures, RETRY_MIN, RETRY_MAX);
        tokio::time::sleep(wait.max(failure.retry_after.unwrap_or_default().min(RETRY_MAX))).await;
    }

    async fn list(&mut self) -> Result<Result<(), Failure>, Unheard> {
        let mut listed = BTreeSet::new();
        let mut next = None;
        loop {
            let page = match Page::get(&self.client, &self.path, &self.only, next.as_deref()).await {
                Ok(page) => page,
                Err(failure) => return Ok(Err(failure)),
            };
            let parts = match page.parts() {
                Ok(parts) => parts,
                Err(failure) => return Ok(Err(failure)),
            };
            for item in &parts.items {
                self.take_listed(item.get(), &mut listed).await?;
            }
            match parts.next {
                Some(token) => next = Some(token),
                None => {
                    self.version = parts.version.into_owned();
                    break;
                }
            }
        }
        for key in self.known.difference(&listed) {
            self.tell(Change::Gone(key.clone())).await?;
        }
        // Made anew, because one that grew in order is half empty.
        self.known = listed.into_iter().collect();
        self.tell(Change::Complete).await?;
        Ok(Ok(()))
    }

    async fn take_listed(&mut self, item: &str, listed: &mut BTreeSet<Key>) -> Result<(), Unheard> {
        let Some(object) = self.parse(item) else {
            // It is there, whatever it is: what was known of it stays.
            let key = stream::key(item).filter(|key| self.known.contains(key));
            listed.extend(key);
            return Ok(());
        };
        let key = self.key_of(&object);
        let Some(value) = (self.read)(object) else { return Ok(()) };
        listed.insert(key.clone());
        self.known.insert(key.clone());
        self.tell(Change::Is { key, value, is_listed: true }).await
    }

    async fn watch(&mut self) -> Result<Ended, Unheard> {
        let mut lines = match Lines::open(&self.client, &self.path, &self.only, &self.version).await {
            Ok(lines) => lines,
            Err(failure) if failure.is(StatusCode::GONE) => return Ok(Ended::HistoryIsGone),
            Err(failure) => return Ok(Ended::Failed(failure)),
        };
        loop {
            let line = match lines.next().await {
                Ok(Some(line)) => line,
                Ok(None) => return Ok(Ended::InTime),
                Err(failure) => return Ok(Ended::Failed(failure)),
            };
            let event = match Event::read(&line) {
                Ok(event) => event,
                Err(failure) if failure.is(StatusCode::GONE) => return Ok(Ended::HistoryIsGone),
                Err(failure) => return Ok(Ended::Failed(failure)),
            };
            self.succeeded();
            if let Some(version) = event.version() {
                self.version = version;
            }
            self.take_event(&event).await?;
        }
    }

    async fn take_event(&mut self, event: &Event<'_>) -> Result<(), Unheard> {
        if event.is_bookmark() {
            return Ok(());
        }
        if event.is_deletion() {
            return match stream::key(event.object()) {
                Some(key) => self.gone(key).await,
                None => Ok(()),
            };
        }
        let Some(object) = self.parse(event.object()) else { return Ok(()) };
        let key = self.key_of(&object);
        match (self.read)(object) {
            Some(value) => {
                self.known.insert(key.clone());
                self.tell(Change::Is { key, value, is_listed: false }).await
            }
            None => self.gone(key).await,
        }
    }

    async fn gone(&mut self, key: Key) -> Result<(), Unheard> {
        if self.known.remove(&key) { self.tell(Change::Gone(key)).await } else { Ok(()) }
    }

    /// Many are in the same namespace, the name of which is kept once.
    fn key_of(&mut self, object: &K) -> Key {
        let metadata = object.meta();
        let namespace = metadata.namespace.as_deref().unwrap_or_default();
        if *self.namespace != *namespace {
            self.namespace = namespace.into();
        }
        (Arc::clone(&self.namespace), metadata.name.as_deref().unwrap_or_default().into())
    }

    fn parse(&self, text: &str) -> Option<K> {
        let unreadable = |error: &api::decode::Error| {
            let (namespace, name) = stream::key(text).unwrap_or_default();
            tracing::error!(
                "{} {namespace}/{name} cannot be read, and is taken to be as last seen: {error}",
                self.what
            );
        };
        api::decode::from_text(text).inspect_err(unreadable).ok()
    }

    async fn tell(&self, change: Change<T>) -> Result<(), Unheard> {
        self.told.send((self.message)(change)).await.map_err(|_| Unheard)
    }
}
