//! Writing events: bounded, in parallel, and never in the way of what they tell about.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use http::StatusCode;
use k8s_openapi::jiff::Timestamp;
use kube::Client;
use serde_json::{Value, json};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use super::correlate::{About, Correlator, Entry, News, Place};
use crate::call::{self, Failure};

/// Events that wait for each writer. More are dropped and counted.
const WAITING: usize = 16_384;
/// How often an event is tried while the server is in trouble, and how long between.
const TRIES: u32 = 12;
/// How long an end waits for events.
const FINISH: Duration = Duration::from_secs(2);
const BETWEEN_TRIES: Duration = Duration::from_secs(2);

/// Where events are handed in.
#[derive(Debug)]
pub(crate) struct Recorder {
    writers: Vec<mpsc::Sender<News>>,
    tasks: JoinSet<()>,
    dropped: AtomicU64,
}

impl Recorder {
    /// Its writers end with it.
    ///
    /// What is said of one object is written by one of them, in order.
    pub(crate) fn new(client: &Client, component: &'static str, writers: usize) -> Recorder {
        let mut tasks = JoinSet::new();
        let start = |_| {
            let (sender, receiver) = mpsc::channel(WAITING);
            let writer = Writer { client: client.clone(), component, correlator: Correlator::default() };
            tasks.spawn(writer.run(receiver));
            sender
        };
        let writers = (0..writers).map(start).collect();
        Recorder { writers, tasks, dropped: AtomicU64::default() }
    }

    /// Waits a little for what was handed in to be written.
    pub(crate) async fn finish(self) {
        let Recorder { writers, mut tasks, .. } = self;
        drop(writers);
        let all = async { while tasks.join_next().await.is_some() {} };
        if tokio::time::timeout(FINISH, all).await.is_err() {
            tracing::warn!("some events were not written when this ended");
        }
    }

    pub(crate) fn record(&self, news: News) {
        let mut hasher = DefaultHasher::new();
        (&news.about.namespace, &news.about.name).hash(&mut hasher);
        let writer = usize::try_from(hasher.finish() % self.writers.len() as u64).unwrap_or_default();
        if self.writers[writer].try_send(news).is_err() {
            let dropped = self.dropped.fetch_add(1, Ordering::Relaxed) + 1;
            if dropped.is_power_of_two() {
                tracing::warn!(dropped, "events come faster than they can be written, and are dropped");
            }
        }
    }
}

struct Writer {
    client: Client,
    component: &'static str,
    correlator: Correlator,
}

impl Writer {
    async fn run(mut self, mut news: mpsc::Receiver<News>) {
        while let Some(news) = news.recv().await {
            let Some((place, entry)) = self.correlator.correlate(&news, Instant::now()) else { continue };
            // The same for all tries: one of them may have arrived although its answer did not.
            let name = new_name(&news.about);
            for attempt in 1..=TRIES {
                match self.write(&news, &place, &entry, &name).await {
                    Ok(()) => break,
                    Err(failure) if failure.is_of_server() && attempt < TRIES => {
                        let wait = failure.retry_after.unwrap_or(BETWEEN_TRIES);
                        tokio::time::sleep(wait.min(BETWEEN_TRIES * TRIES)).await;
                    }
                    // A namespace that is going takes no more events, and that is no news.
                    Err(failure) => {
                        tracing::debug!(reason = news.reason, error = %failure, "an event is not written");
                        break;
                    }
                }
            }
        }
    }

    async fn write(
        &mut self,
        news: &News,
        place: &Place,
        entry: &Entry,
        new_name: &str,
    ) -> Result<(), Failure> {
        let (message, count) = match entry {
            Entry::New { message } => (message, 1),
            Entry::Again { name, message, count } => {
                let path = format!("{}/{name}", events_of(&news.about));
                let body = json!({"count": count, "lastTimestamp": now(), "message": message});
                match call::patch::<Value>(&self.client, &path, call::MERGE_PATCH, &body).await {
                    Ok(_) => {
                        self.correlator.written(place, name.clone(), *count);
                        return Ok(());
                    }
                    // Events are forgotten after a while.
                    Err(failure) if failure.is(StatusCode::NOT_FOUND) => (message, *count),
                    Err(failure) => return Err(failure),
                }
            }
        };
        self.create(news, new_name, message, count).await?;
        self.correlator.written(place, new_name.to_owned(), count);
        Ok(())
    }

    async fn create(&self, news: &News, name: &str, message: &str, count: u32) -> Result<(), Failure> {
        let (about, now) = (&news.about, now());
        let event = json!({
            "apiVersion": "v1",
            "kind": "Event",
            "metadata": {"name": name, "namespace": namespace(about)},
            "involvedObject": {
                "apiVersion": about.api_version,
                "kind": about.kind,
                "namespace": about.namespace,
                "name": about.name,
                "uid": about.uid,
                "resourceVersion": about.resource_version,
            },
            "type": if news.is_warning { "Warning" } else { "Normal" },
            "reason": news.reason,
            "message": message,
            "source": {"component": self.component},
            "reportingComponent": self.component,
            "firstTimestamp": now,
            "lastTimestamp": now,
            "count": count,
        });
        match call::post::<Value>(&self.client, &events_of(about), &event).await {
            // An earlier try had arrived.
            Err(failure) if failure.is(StatusCode::CONFLICT) => Ok(()),
            answer => answer.map(drop),
        }
    }
}

fn new_name(about: &About) -> String {
    let nanos = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos();
    format!("{}.{nanos:x}", about.name)
}

fn events_of(about: &About) -> String {
    format!("/api/v1/namespaces/{}/events", namespace(about))
}

/// Events about what has no namespace are kept in the default one.
fn namespace(about: &About) -> &str {
    if about.namespace.is_empty() { "default" } else { &about.namespace }
}

fn now() -> String {
    api::time_text(Timestamp::now())
}
