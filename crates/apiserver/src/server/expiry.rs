//! What is only kept for a while: events go after an hour.
//!
//! There is one timer, for the event that goes first. Where there are no events nothing is done.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Weak};

use tokio::time::{Duration, Instant, timeout_at};

use super::catalog::prefix_of;
use super::{Server, ServerError};
use crate::kinds::event::KEPT_SECS;
use crate::store::{Commit, Entry, RangeRequest, Require, StoreError, Watch, Write};

const KEPT: Duration = Duration::from_secs(KEPT_SECS);
/// After the store could not be asked, it is tried again.
const RETRY: Duration = Duration::from_secs(5);
/// In one commit. Others wait for their turn meanwhile.
const AT_ONCE: usize = 100;

/// When which event goes. An event that is written again stays longer.
#[derive(Debug, Default)]
struct Schedule {
    by_time: BTreeSet<(Instant, Arc<str>)>,
    by_key: HashMap<Arc<str>, (Instant, u64)>,
}

impl Schedule {
    fn note(&mut self, entry: &Entry, at: Instant) {
        self.forget(&entry.key);
        self.by_time.insert((at, Arc::clone(&entry.key)));
        self.by_key.insert(Arc::clone(&entry.key), (at, entry.mod_revision));
    }

    fn forget(&mut self, key: &Arc<str>) {
        if let Some((at, _)) = self.by_key.remove(key) {
            self.by_time.remove(&(at, Arc::clone(key)));
        }
    }

    fn next(&self) -> Option<Instant> {
        self.by_time.first().map(|(at, _)| *at)
    }

    /// What is to go by now, in the state that it was noted in.
    fn due(&self, now: Instant) -> Vec<(Arc<str>, u64)> {
        let due = self.by_time.iter().take_while(|(at, _)| *at <= now).take(AT_ONCE);
        due.filter_map(|(_, key)| Some((Arc::clone(key), self.by_key.get(key)?.1))).collect()
    }
}

impl Server {
    /// Removes events when their time is over, until the server is gone.
    pub(super) async fn expire_events(self: &Arc<Server>) -> Result<(), ServerError> {
        let begun = self.begin_expiry().await?;
        tokio::spawn(expire(Arc::downgrade(self), begun));
        Ok(())
    }

    /// All events there are, each with the time that is left to it, and a watch from then on.
    async fn begin_expiry(&self) -> Result<(Schedule, Watch), StoreError> {
        let prefix = prefix_of("", "events");
        let range = self.store.range(RangeRequest { prefix: &prefix, ..RangeRequest::default() }).await?;
        let watch = self.store.watch(&prefix, range.revision).await?;
        let mut schedule = Schedule::default();
        let now = Instant::now();
        for entry in &range.entries {
            schedule.note(entry, now + left(entry));
        }
        Ok((schedule, watch))
    }

    /// Removes what is due and has not been written since.
    async fn remove_due(&self, schedule: &mut Schedule) -> Result<(), StoreError> {
        for (key, revision) in schedule.due(Instant::now()) {
            let commit = Commit::one(Arc::clone(&key), Require::ModRevision(revision), Write::Delete);
            match self.store.commit(commit).await {
                // Written or deleted in the meantime: the watch tells.
                Ok(_) | Err(StoreError::Conflict(_)) => schedule.forget(&key),
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

/// How long an event of the store still has: an hour from when it was created, as far as it says so.
fn left(entry: &Entry) -> Duration {
    let event: serde_json::Value = serde_json::from_slice(&entry.value).unwrap_or_default();
    let created = event["metadata"]["creationTimestamp"].as_str();
    let created = created.and_then(|text| chrono::DateTime::parse_from_rfc3339(text).ok());
    let age = created.map_or(0, |created| super::timestamp_secs() - created.timestamp());
    KEPT.saturating_sub(Duration::from_secs(u64::try_from(age).unwrap_or_default()))
}

async fn expire(server: Weak<Server>, (mut schedule, mut watch): (Schedule, Watch)) {
    loop {
        let events = match schedule.next() {
            Some(at) => timeout_at(at, watch.next()).await.ok(),
            None => Some(watch.next().await),
        };
        let Some(server) = server.upgrade() else { return };
        let outcome = match events {
            None => server.remove_due(&mut schedule).await,
            Some(Ok(events)) => {
                for event in &events {
                    match &event.current {
                        Some(entry) => schedule.note(entry, Instant::now() + KEPT),
                        None => schedule.forget(&event.key),
                    }
                }
                Ok(())
            }
            Some(Err(error)) => Err(error),
        };
        match outcome {
            Ok(()) => continue,
            Err(StoreError::Closed) => return,
            Err(error) => tracing::warn!("events are not removed in time: {error}"),
        }
        let weak = Arc::downgrade(&server);
        drop(server);
        tokio::time::sleep(RETRY).await;
        let Some(server) = weak.upgrade() else { return };
        if let Ok(begun) = server.begin_expiry().await {
            (schedule, watch) = begun;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use serde_json::json;

    use super::*;
    use crate::store::{MemoryStore, Store};

    fn event(created: &str) -> Write {
        let event = json!({"apiVersion": "v1", "kind": "Event", "metadata": {"creationTimestamp": created}});
        Write::Put(event.to_string().into())
    }

    #[tokio::test(start_paused = true)]
    async fn an_event_goes_after_its_time_and_not_before() {
        let store: Arc<dyn Store> = Arc::new(MemoryStore::new());
        let prefix = prefix_of("", "events");
        let (old, new) = (format!("{prefix}a/old"), format!("{prefix}a/new"));
        let put =
            |key: &str, created: &str| Commit::one(Arc::<str>::from(key), Require::Nothing, event(created));
        store.commit(put(&old, "2020-01-01T00:00:00Z")).await.unwrap();
        let server = Server::open(Arc::clone(&store)).await.unwrap();
        let mut watch = store.watch(&prefix, 1).await.unwrap();
        while store.get(&old).await.unwrap().is_some() {
            watch.next().await.unwrap();
        }

        store.commit(put(&new, "2020-01-01T00:00:00Z")).await.unwrap();
        let written = Instant::now();
        while store.get(&new).await.unwrap().is_some() {
            watch.next().await.unwrap();
        }
        // The clock of this test moves only when nothing else is left to do.
        assert!(written.elapsed() >= KEPT, "{:?}", written.elapsed());
        assert!(written.elapsed() < KEPT + RETRY, "{:?}", written.elapsed());
        drop(server);
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_written_again_stays_longer() {
        let entry = |revision| Entry {
            key: "k".into(),
            value: bytes::Bytes::new(),
            create_revision: 1,
            mod_revision: revision,
        };
        let (mut schedule, now) = (Schedule::default(), Instant::now());
        schedule.note(&entry(1), now);
        assert_eq!(schedule.due(now), [("k".into(), 1)]);
        schedule.note(&entry(2), now + KEPT);
        assert_eq!(schedule.due(now), []);
        assert_eq!(schedule.next(), Some(now + KEPT));
        assert_eq!(schedule.due(now + KEPT), [("k".into(), 2)]);
        schedule.forget(&"k".into());
        assert_eq!(schedule.next(), None);
    }
}
