//! Lists: many objects as of one revision, page by page.

use axum::body::Body;
use axum::response::Response;
use bytes::Bytes;
use futures_util::stream;
use serde_json::{Value, json};

use super::catalog::Served;
use super::filter::Filter;
use super::list_options::{ListOptions, Token};
use super::raw::Raw;
use super::request::Asked;
use super::{LIMITS, Server, objects, respond};
use crate::status::{Reason, Refusal};
use crate::store::{Entry, RangeRequest, StoreError};

/// The objects of a list, and the metadata of the list itself.
#[derive(Debug)]
pub(super) struct List {
    pub(super) items: Vec<Value>,
    pub(super) metadata: Value,
}

/// The same, of which only those objects were read that are not shown as they are stored.
#[derive(Debug)]
pub(super) struct Selection {
    pub(super) items: Vec<Item>,
    pub(super) revision: u64,
    metadata: Value,
}

/// An object that is shown.
#[derive(Debug)]
pub(super) enum Item {
    Stored(Entry),
    Made(Value),
}

/// Objects looked at together for a short page of those that are selected.
const FILTERED_PAGE: usize = 500;
const TOO_OLD_TO_CONTINUE: &str = "The provided continue parameter is too old to display a consistent list result. \
    You can start a new list without the continue parameter, or use the continue token in this response to retrieve the \
    remainder of the results. Continuing with the provided token results in an inconsistent list - objects that were \
    created, modified, or deleted between the time the first chunk was returned and now may show up in the list.";
const TOO_OLD: &str = "The resourceVersion for the provided list is too old.";

impl Server {
    pub(super) async fn answer_list(&self, asked: &Asked) -> Result<Response, Refusal> {
        let options = ListOptions::of(asked)?;
        let selection = self.select(asked, &Filter::of(asked)?, options).await?;
        if respond::is_plain(asked) {
            return Ok(respond::text(asked, selection.into_body(asked)));
        }
        Ok(respond::list(asked, &selection.read(&asked.served)?))
    }

    pub(super) async fn list(&self, asked: &Asked) -> Result<List, Refusal> {
        let options = ListOptions::of(asked)?;
        self.select(asked, &Filter::of(asked)?, options).await?.read(&asked.served)
    }

    pub(super) async fn select(
        &self,
        asked: &Asked,
        filter: &Filter,
        options: ListOptions,
    ) -> Result<Selection, Refusal> {
        let below = Below::of(asked, filter);
        let base = asked.served.prefix();
        let mut items: Vec<Item> = Vec::new();
        let mut revision = options.exact;
        let is_continued = options.after.is_some();
        let mut after = options.after.map(|after| base.clone() + &after);
        loop {
            let missing = options.limit.map_or(LIMITS.list_page, |limit| limit - items.len());
            // Of few that are selected among many, each would otherwise be looked for by itself.
            let missing = if filter.is_empty() { missing } else { missing.max(FILTERED_PAGE) };
            let limit = Some(if below.is_one { 1 } else { missing.min(LIMITS.list_page) });
            let request = RangeRequest { prefix: &below.prefix, after: after.as_deref(), limit, revision };
            let range = self.store.range(request).await;
            let mut range = range.map_err(|error| unreadable(error, is_continued))?;
            if range.revision < options.at_least {
                let (requested, newest) = (options.at_least, range.revision);
                return Err(StoreError::Future { requested, newest }.into());
            }
            if below.is_one {
                range.entries.retain(|entry| *entry.key == *below.prefix);
                range.remaining = 0;
            }
            revision = Some(range.revision);
            after = range.entries.last().map(|entry| entry.key.to_string());
            self.pick(asked, filter, range.entries, &mut items).await?;
            let is_full = options.limit.is_some_and(|limit| items.len() >= limit);
            let mut metadata = json!({"resourceVersion": range.revision.to_string()});
            if is_full {
                items.truncate(options.limit.unwrap_or(usize::MAX));
                let last = items.last().map(|item| item.key(&asked.served));
                if range.remaining > 0 || last != after {
                    let after = last.as_deref().and_then(|key| key.strip_prefix(&base)).unwrap_or_default();
                    metadata["continue"] = Token { revision, after: after.to_owned() }.write().into();
                    if filter.is_empty() {
                        metadata["remainingItemCount"] = range.remaining.into();
                    }
                }
            }
            if is_full || range.remaining == 0 {
                return Ok(Selection { items, revision: range.revision, metadata });
            }
        }
    }

    /// Adds those of the entries that are selected.
    async fn pick(
        &self,
        asked: &Asked,
        filter: &Filter,
        entries: Vec<Entry>,
        items: &mut Vec<Item>,
    ) -> Result<(), Refusal> {
        let mut places = Vec::new();
        let mut read = Vec::new();
        for entry in entries {
            if Raw::of(&entry, &asked.served).is_some() {
                if filter.is_empty() || filter.admits_raw(&entry.value) {
                    items.push(Item::Stored(entry));
                }
                continue;
            }
            places.push(items.len());
            read.push(objects::of_entry(&entry, &asked.served)?);
            items.push(Item::Stored(entry));
        }
        if read.is_empty() {
            return Ok(());
        }
        // A webhook that converts is asked for all of them at once.
        let shown = self.caller.shown_in_version(&asked.served, read).await?;
        let mut others = Vec::new();
        for (place, object) in places.into_iter().zip(shown) {
            let is_selected = filter.is_empty() || filter.admits(&object);
            items[place] = Item::Made(object);
            if !is_selected {
                others.push(place);
            }
        }
        let mut place = 0;
        let mut others = others.into_iter().peekable();
        items.retain(|_| {
            let is_other = others.next_if_eq(&place).is_some();
            place += 1;
            !is_other
        });
        Ok(())
    }
}

impl Selection {
    pub(super) fn read(self, served: &Served) -> Result<List, Refusal> {
        let items = self.items.into_iter().map(|item| item.read(served));
        Ok(List { items: items.collect::<Result<Vec<Value>, Refusal>>()?, metadata: self.metadata })
    }

    /// The list as JSON, written piece by piece while it is sent if it is long.
    fn into_body(self, asked: &Asked) -> Body {
        let served = asked.served.clone();
        let mut metadata = self.metadata;
        respond::complete_list_metadata(&served, &mut metadata);
        let is_short = self.items.len() <= 1
            || self.items.iter().map(|item| item.len_about(&served)).sum::<usize>()
                <= LIMITS.body_chunk_bytes;
        let mut bytes = format!(
            "{{\"kind\":{},\"apiVersion\":{},\"metadata\":{metadata},\"items\":[",
            Value::from(served.resource.list_kind()),
            Value::from(served.api_version.as_str()),
        )
        .into_bytes();
        let mut items = self.items.into_iter();
        let mut is_first = true;
        let mut piece = move || {
            let mut bytes = std::mem::take(&mut bytes);
            if items.len() == 0 && !is_first {
                return None;
            }
            bytes.reserve(LIMITS.body_chunk_bytes);
            for item in items.by_ref() {
                bytes.extend_from_slice(if std::mem::take(&mut is_first) { b"" } else { b"," });
                item.write_in_list(&mut bytes, &served);
                if bytes.len() >= LIMITS.body_chunk_bytes && !is_short {
                    break;
                }
            }
            is_first = false;
            if items.len() == 0 {
                bytes.extend_from_slice(b"]}\n");
            }
            Some(Bytes::from(bytes))
        };
        if is_short {
            return Body::from(piece().unwrap_or_default());
        }
        Body::from_stream(stream::iter(std::iter::from_fn(piece).map(Ok::<Bytes, std::convert::Infallible>)))
    }
}

impl Item {
    pub(super) fn read(self, served: &Served) -> Result<Value, Refusal> {
        match self {
            Item::Stored(entry) => objects::of_entry(&entry, served),
            Item::Made(object) => Ok(object),
        }
    }

    fn key(&self, served: &Served) -> String {
        match self {
            Item::Stored(entry) => entry.key.to_string(),
            Item::Made(object) => {
                let metadata = &object["metadata"];
                served.key(metadata["namespace"].as_str(), metadata["name"].as_str().unwrap_or_default())
            }
        }
    }

    fn len_about(&self, served: &Served) -> usize {
        match self {
            Item::Stored(entry) => Raw::of(entry, served).map_or(0, Raw::len_about),
            // Few are, and their lengths are not known.
            Item::Made(_) => LIMITS.body_chunk_bytes,
        }
    }

    /// Only custom resources say in a list what they are.
    fn write_in_list(self, bytes: &mut Vec<u8>, served: &Served) {
        let is_bare = served.custom.is_none();
        match self {
            Item::Stored(entry) => {
                if let Some(raw) = Raw::of(&entry, served) {
                    if is_bare { raw.bare() } else { raw }.write(bytes);
                }
            }
            Item::Made(mut object) => {
                if is_bare {
                    respond::strip_kind(&mut object);
                }
                // Neither writing to memory nor printing JSON fails.
                let _ = serde_json::to_writer(bytes, &object);
            }
        }
    }
}

/// Below which keys the objects are that a list or watch may be about.
pub(super) struct Below {
    pub(super) prefix: String,
    /// The prefix is the key of the only object that can be selected.
    is_one: bool,
}

impl Below {
    pub(super) fn of(asked: &Asked, filter: &Filter) -> Below {
        let namespace = asked.namespace.as_deref().or_else(|| filter.required("metadata.namespace"));
        let namespace = if asked.served.resource.is_namespaced { namespace } else { Some("") };
        let prefix = asked.served.prefix();
        match (namespace, filter.required("metadata.name")) {
            (None, _) => Below { prefix, is_one: false },
            (Some(namespace), None) => Below { prefix: format!("{prefix}{namespace}/"), is_one: false },
            (Some(namespace), Some(name)) => {
                Below { prefix: asked.served.key(Some(namespace), name), is_one: true }
            }
        }
    }
}

fn unreadable(error: StoreError, is_continued: bool) -> Refusal {
    match error {
        StoreError::Expired { .. } if is_continued => Refusal::new(410, Reason::Expired, TOO_OLD_TO_CONTINUE),
        StoreError::Expired { .. } => Refusal::new(410, Reason::Expired, TOO_OLD),
        other => other.into(),
    }
}
