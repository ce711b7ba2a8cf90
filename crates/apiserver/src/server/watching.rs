//! Watches: a stream of what happens to the objects of a list.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::response::Response;
use bytes::Bytes;
use futures_util::future::{Either, select};
use futures_util::stream;
use serde_json::{Value, json};
use tokio::time::{Instant, timeout_at};

use super::calling::Caller;
use super::list::{Filter, prefix};
use super::request::Asked;
use super::{LIMITS, Server, objects, respond};
use crate::status::Refusal;
use crate::store::{Entry, Event, Watch};

/// One client's watch.
struct Watching {
    asked: Asked,
    caller: Caller,
    filter: Filter,
    watch: Watch,
    ends: Instant,
    bookmark_every: Option<Duration>,
    next_bookmark: Instant,
    /// Lines that are ready before the first event.
    ready: Vec<Bytes>,
    is_over: bool,
}

const BOOKMARKS: Duration = Duration::from_secs(60);

impl Server {
    pub(super) async fn watch(&self, asked: Asked) -> Result<Response, Refusal> {
        let filter = Filter::of(&asked)?;
        let since = asked.resource_version()?.filter(|&revision| revision > 0);
        let wants_initial = asked.parameter("sendInitialEvents") == Some("true");
        let mut ready = Vec::new();
        let since = match since.filter(|_| !wants_initial) {
            Some(since) => since,
            None => {
                let list = self.list(&asked).await?;
                let added = list.items.iter().map(|object| line("ADDED", &respond::shown(&asked, object)));
                ready.extend(added);
                let revision = list.metadata["resourceVersion"].as_str().and_then(|text| text.parse().ok());
                let revision = revision.unwrap_or(0);
                if wants_initial {
                    ready.push(bookmark(&asked, revision, true));
                }
                revision
            }
        };
        let prefix = prefix(&asked);
        let watch = self.store.watch(&prefix, since).await?;
        let timeout =
            asked.parameter("timeoutSeconds").and_then(|text| text.parse().ok()).map(Duration::from_secs);
        let now = Instant::now();
        ready.reverse();
        let watching = Watching {
            caller: self.caller.clone(),
            filter,
            watch,
            ends: now + timeout.unwrap_or(LIMITS.watch_time).min(LIMITS.watch_time),
            bookmark_every: (asked.parameter("allowWatchBookmarks") == Some("true")).then_some(BOOKMARKS),
            next_bookmark: now + BOOKMARKS,
            ready,
            is_over: false,
            asked,
        };
        let lines = stream::unfold(watching, |mut watching| async move {
            let bytes = watching.next().await?;
            Some((Ok::<Bytes, std::convert::Infallible>(bytes), watching))
        });
        Ok(respond::stream(Body::from_stream(lines)))
    }
}

impl Watching {
    /// The next lines; nothing when the watch is over.
    async fn next(&mut self) -> Option<Bytes> {
        if let Some(line) = self.ready.pop() {
            return Some(line);
        }
        while !self.is_over {
            let until = self.bookmark_every.map_or(self.ends, |_| self.ends.min(self.next_bookmark));
            let served = Arc::clone(&self.asked.served);
            let event = {
                let (next, retired) = (pin!(self.watch.next()), pin!(served.retired()));
                timeout_at(until, select(next, retired)).await.map(|event| match event {
                    Either::Left((events, _)) => Some(events),
                    Either::Right(_) => None,
                })
            };
            // What is served has changed: the watcher gets what there is, and has to come again.
            let event = event.map(|event| {
                event.unwrap_or_else(|| {
                    self.is_over = true;
                    self.watch.fetch()
                })
            });
            match event {
                Ok(Ok(events)) => {
                    let mut lines = Vec::new();
                    for event in &events {
                        match self.line_of(event).await {
                            Ok(line) => lines.extend(line.into_iter().flatten()),
                            Err(refusal) => {
                                self.is_over = true;
                                lines.extend(line("ERROR", &refusal.to_json()));
                                break;
                            }
                        }
                    }
                    if !lines.is_empty() {
                        return Some(lines.into());
                    }
                }
                Ok(Err(error)) => {
                    self.is_over = true;
                    return Some(line("ERROR", &Refusal::from(error).to_json()));
                }
                Err(_) if Instant::now() >= self.ends => self.is_over = true,
                Err(_) => {
                    self.next_bookmark = Instant::now() + BOOKMARKS;
                    return Some(bookmark(&self.asked, self.watch.progress(), false));
                }
            }
        }
        None
    }

    /// What the event is to this watcher: an object may come into its selection, or leave it.
    async fn line_of(&self, event: &Event) -> Result<Option<Bytes>, Refusal> {
        let now = self.admitted(event.current.as_ref()).await?;
        let before = self.admitted(event.previous.as_ref()).await?;
        let (kind, mut object) = match (before, now) {
            (None, Some(now)) => ("ADDED", now),
            (Some(_), Some(now)) => ("MODIFIED", now),
            (Some(before), None) => ("DELETED", before),
            (None, None) => return Ok(None),
        };
        object["metadata"]["resourceVersion"] = event.revision.to_string().into();
        Ok(Some(line(kind, &respond::shown(&self.asked, &object))))
    }

    /// The object of an entry, if it is one of this watcher's.
    async fn admitted(&self, entry: Option<&Entry>) -> Result<Option<Value>, Refusal> {
        let Some(entry) = entry else { return Ok(None) };
        let object = vec![objects::of_entry(entry, &self.asked.served)?];
        let object = self.caller.shown_in_version(&self.asked.served, object).await?.pop();
        Ok(object.filter(|object| self.filter.admits(object)))
    }
}

fn line(kind: &str, object: &Value) -> Bytes {
    let mut text = json!({"type": kind, "object": object}).to_string();
    text.push('\n');
    text.into()
}

/// Tells how far the watcher has seen, without an object.
fn bookmark(asked: &Asked, revision: u64, ends_initial_events: bool) -> Bytes {
    let resource = &asked.served.resource;
    let mut metadata = json!({"resourceVersion": revision.to_string()});
    if ends_initial_events {
        metadata["annotations"] = json!({"k8s.io/initial-events-end": "true"});
    }
    let object = json!({"kind": resource.kind, "apiVersion": resource.api_version(), "metadata": metadata});
    line("BOOKMARK", &respond::shown(asked, &object))
}
