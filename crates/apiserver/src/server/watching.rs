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
use super::filter::Filter;
use super::list::{Below, Item};
use super::list_options::{ListOptions, WatchOptions};
use super::raw::Raw;
use super::request::Asked;
use super::{LIMITS, Server, objects, respond};
use crate::codec::Shape;
use crate::status::Refusal;
use crate::store::{Entry, Event, RangeRequest, StoreError, Watch};

/// One client's watch.
struct Watching {
    asked: Asked,
    caller: Caller,
    filter: Filter,
    watch: Watch,
    ends: Instant,
    has_bookmarks: bool,
    next_bookmark: Instant,
    /// What is there when the watch begins, as far as it was not sent yet.
    initial: std::vec::IntoIter<Item>,
    /// The revision to be named in the bookmark behind that.
    initial_end: Option<u64>,
    /// Objects are shown as they are stored, so that one line can be for many watchers.
    is_plain: bool,
    has_sent_columns: bool,
    is_over: bool,
}

/// An object that is one of a watcher's.
enum Selected<'a> {
    Raw(Raw<'a>),
    Made(Value),
}

/// What an event is to a watcher.
#[derive(Debug, Clone, Copy)]
enum Kind {
    Added,
    Modified,
    Deleted,
}

const BOOKMARKS: Duration = Duration::from_secs(60);

impl Server {
    pub(super) async fn watch(&self, asked: Asked) -> Result<Response, Refusal> {
        let options = WatchOptions::of(&asked)?;
        let filter = Filter::of(&asked)?;
        asked.check_stream()?;
        let sends_initial = options.sends_initial.unwrap_or(options.since.is_none());
        let (mut initial, mut since) = (Vec::new(), options.since);
        if sends_initial {
            let at_least = options.since.unwrap_or_default();
            let everything = ListOptions { limit: None, exact: None, at_least, after: None };
            let selection = self.select(&asked, &filter, everything).await?;
            (initial, since) = (selection.items, Some(selection.revision));
        }
        let since = match since {
            Some(since) => since,
            None => self.newest_revision().await?,
        };
        let watch = self.store.watch(&Below::of(&asked, &filter).prefix, since).await?;
        let now = Instant::now();
        let timeout = options.timeout_secs.map_or(LIMITS.watch_time, Duration::from_secs);
        let is_table = matches!(asked.answer.shape, Shape::Table(_));
        let has_end = sends_initial && options.has_bookmarks;
        let watching = Watching {
            caller: self.caller.clone(),
            filter,
            watch,
            ends: now + timeout.min(LIMITS.watch_time),
            has_bookmarks: options.has_bookmarks && !is_table,
            next_bookmark: now + BOOKMARKS,
            initial: initial.into_iter(),
            initial_end: has_end.then_some(since),
            is_plain: asked.answer.shape == Shape::Object,
            has_sent_columns: false,
            is_over: false,
            asked,
        };
        let warnings = respond::deprecation(&watching.asked);
        let lines = stream::unfold(watching, |mut watching| async move {
            let bytes = watching.next().await?;
            Some((Ok::<Bytes, std::convert::Infallible>(bytes), watching))
        });
        Ok(respond::stream(&warnings, Body::from_stream(lines)))
    }

    pub(super) async fn newest_revision(&self) -> Result<u64, StoreError> {
        // No key is below this, so nothing is counted.
        let nothing = RangeRequest { prefix: "\0", limit: Some(0), ..RangeRequest::default() };
        Ok(self.store.range(nothing).await?.revision)
    }
}

impl Watching {
    /// The next lines; nothing when the watch is over.
    async fn next(&mut self) -> Option<Bytes> {
        if let Some(lines) = self.initial_lines() {
            return Some(lines);
        }
        while !self.is_over {
            let until = if self.has_bookmarks { self.ends.min(self.next_bookmark) } else { self.ends };
            match timeout_at(until, self.events()).await {
                Ok(Ok(events)) => {
                    let lines = self.lines_of(&events).await;
                    if !lines.is_empty() {
                        return Some(lines);
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

    /// The next events of the store; none if there will be no more because what is served has changed. Then the client
    /// has to come again.
    async fn events(&mut self) -> Result<Vec<Arc<Event>>, StoreError> {
        if self.asked.served.custom.is_none() {
            return self.watch.next().await;
        }
        let served = Arc::clone(&self.asked.served);
        let next = {
            let (next, retired) = (pin!(self.watch.next()), pin!(served.retired()));
            match select(next, retired).await {
                Either::Left((events, _)) => Some(events),
                Either::Right(_) => None,
            }
        };
        next.unwrap_or_else(|| {
            self.is_over = true;
            self.watch.fetch()
        })
    }

    /// Some of what was there when the watch began, and that this is all of it.
    fn initial_lines(&mut self) -> Option<Bytes> {
        let mut lines = Vec::new();
        while lines.len() < LIMITS.body_chunk_bytes
            && let Some(item) = self.initial.next()
        {
            if self.is_plain
                && let Item::Stored(entry) = &item
                && let Some(raw) = Raw::of(entry, &self.asked.served)
            {
                raw_line(&mut lines, Kind::Added, raw);
                continue;
            }
            match item.read(&self.asked.served) {
                Ok(object) => lines.extend(self.shown(Kind::Added, &object)),
                Err(refusal) => {
                    self.is_over = true;
                    self.initial = Vec::new().into_iter();
                    lines.extend(line("ERROR", &refusal.to_json()));
                }
            }
        }
        if self.initial.len() == 0
            && !self.is_over
            && let Some(revision) = self.initial_end.take()
        {
            if matches!(self.asked.answer.shape, Shape::Table(_)) {
                // A bookmark has no rows, and its like as a table there is none.
                self.is_over = true;
            } else {
                lines.extend(bookmark(&self.asked, revision, true));
            }
        }
        (!lines.is_empty()).then(|| lines.into())
    }

    async fn lines_of(&mut self, events: &[Arc<Event>]) -> Bytes {
        let mut lines = Vec::new();
        for event in events {
            match self.line_of(event).await {
                // One event, as most come, is not copied for each who watches.
                Ok(Some(line)) if events.len() == 1 => return line,
                Ok(line) => lines.extend_from_slice(&line.unwrap_or_default()),
                Err(refusal) => {
                    self.is_over = true;
                    lines.extend(line("ERROR", &refusal.to_json()));
                    break;
                }
            }
        }
        lines.into()
    }

    /// What the event is to this watcher: an object may come into its selection, or leave it.
    async fn line_of(&mut self, event: &Event) -> Result<Option<Bytes>, Refusal> {
        let served = Arc::clone(&self.asked.served);
        let now = self.selected(event.current.as_ref(), &served).await?;
        let before = self.selected(event.previous.as_ref(), &served).await?;
        let (kind, selected) = match (before, now) {
            (None, Some(now)) => (Kind::Added, now),
            (Some(_), Some(now)) => (Kind::Modified, now),
            (Some(before), None) => (Kind::Deleted, before),
            (None, None) => return Ok(None),
        };
        Ok(Some(match selected {
            Selected::Raw(raw) => event.form(kind.number_in(served.id), |event| {
                let mut line = Vec::with_capacity(raw.len_about() + 64);
                raw_line(&mut line, kind, raw.at(event.revision));
                line.into()
            }),
            Selected::Made(mut object) => {
                object["metadata"]["resourceVersion"] = event.revision.to_string().into();
                self.shown(kind, &object)
            }
        }))
    }

    /// The object of an entry, if it is one of this watcher's.
    async fn selected<'a>(
        &self,
        entry: Option<&'a Entry>,
        served: &'a super::catalog::Served,
    ) -> Result<Option<Selected<'a>>, Refusal> {
        let Some(entry) = entry else { return Ok(None) };
        if self.is_plain
            && let Some(raw) = Raw::of(entry, served)
        {
            let is_selected = self.filter.is_empty() || self.filter.admits_raw(&entry.value);
            return Ok(is_selected.then_some(Selected::Raw(raw)));
        }
        let object = vec![objects::of_entry(entry, served)?];
        let object = self.caller.shown_in_version(served, object).await?.pop();
        Ok(object.filter(|object| self.filter.admits(object)).map(Selected::Made))
    }

    fn shown(&mut self, kind: Kind, object: &Value) -> Bytes {
        let mut shown = respond::shown(&self.asked, object);
        if matches!(self.asked.answer.shape, Shape::Table(_))
            && std::mem::replace(&mut self.has_sent_columns, true)
        {
            // Which columns there are is said once.
            shown["columnDefinitions"] = Value::Null;
        }
        line(kind.text(), &shown)
    }
}

impl Kind {
    fn text(self) -> &'static str {
        match self {
            Kind::Added => "ADDED",
            Kind::Modified => "MODIFIED",
            Kind::Deleted => "DELETED",
        }
    }

    /// What an event's form is called that shows it like this in this version.
    fn number_in(self, served: u64) -> u64 {
        served * 3 + self as u64
    }
}

fn raw_line(bytes: &mut Vec<u8>, kind: Kind, raw: Raw<'_>) {
    bytes.extend_from_slice(b"{\"type\":\"");
    bytes.extend_from_slice(kind.text().as_bytes());
    bytes.extend_from_slice(b"\",\"object\":");
    raw.write(bytes);
    bytes.extend_from_slice(b"}\n");
}

fn line(kind: &str, object: &Value) -> Bytes {
    let mut text = json!({"type": kind, "object": object}).to_string();
    text.push('\n');
    text.into()
}

/// Tells how far the watcher has seen, by an object of the kind that has nothing else.
fn bookmark(asked: &Asked, revision: u64, ends_initial_events: bool) -> Bytes {
    let resource = &asked.served.resource;
    let mut metadata = json!({"resourceVersion": revision.to_string()});
    if ends_initial_events {
        metadata["annotations"] = json!({"k8s.io/initial-events-end": "true"});
    }
    let mut object =
        json!({"kind": resource.kind, "apiVersion": resource.api_version(), "metadata": metadata});
    asked.served.types.normalise(&mut object);
    line("BOOKMARK", &respond::shown(asked, &object))
}
