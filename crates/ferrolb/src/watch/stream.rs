//! Lists and watches as they come over the network: pages of objects, and one event on each line.

use std::borrow::Cow;
use std::time::Duration;

use bytes::{Buf, Bytes, BytesMut};
use http::StatusCode;
use http_body_util::BodyExt;
use kube::Client;
use kube::client::Body;
use kube::core::Status;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::{Key, Only};
use crate::call::{self, Failure};

/// A watch is begun anew after this, so that a connection which nobody told us has ended is noticed.
const WATCH_SECS: u64 = 120;
/// How much longer than it was asked for a watch may take to end.
const PATIENCE: Duration = Duration::from_secs(20);
/// Objects in one page.
const PAGE: usize = 250;
/// The longest page, and the longest event.
const PAGE_BYTES: usize = 128 << 20;
const LINE_BYTES: usize = 16 << 20;

/// One page of a list.
pub(super) struct Page(Bytes);

pub(super) struct Parts<'a> {
    pub(super) version: Cow<'a, str>,
    /// Where the next page begins.
    pub(super) next: Option<String>,
    pub(super) items: Vec<&'a RawValue>,
}

#[derive(Deserialize)]
struct List<'a> {
    #[serde(borrow, default)]
    metadata: ListMetadata<'a>,
    #[serde(borrow, default)]
    items: Option<Vec<&'a RawValue>>,
}

#[derive(Default, Deserialize)]
struct ListMetadata<'a> {
    #[serde(borrow, rename = "resourceVersion", default)]
    version: Cow<'a, str>,
    #[serde(rename = "continue", default)]
    next: Option<String>,
}

/// One event of a watch.
#[derive(Deserialize)]
pub(super) struct Event<'a> {
    #[serde(borrow, rename = "type")]
    kind: Cow<'a, str>,
    #[serde(borrow)]
    object: &'a RawValue,
}

/// What every object has.
#[derive(Default, Deserialize)]
struct Named {
    #[serde(default)]
    metadata: NamedMetadata,
}

#[derive(Default, Deserialize)]
struct NamedMetadata {
    #[serde(default)]
    name: String,
    #[serde(default)]
    namespace: String,
    #[serde(rename = "resourceVersion", default)]
    version: String,
}

/// The lines of a watch.
pub(super) struct Lines {
    body: Body,
    buffer: BytesMut,
    /// So many bytes have no end of a line in them.
    searched: usize,
    ends_at: tokio::time::Instant,
}

impl Page {
    /// The first, or the one that begins where another says that the next begins.
    pub(super) async fn get(
        client: &Client,
        path: &str,
        only: &Only,
        from: Option<&str>,
    ) -> Result<Page, Failure> {
        let mut query = format!("limit={PAGE}");
        if let Some(token) = from {
            add(&mut query, "continue", token);
        }
        only.add_to(&mut query);
        call::get_bytes(client, &format!("{path}?{query}"), PAGE_BYTES).await.map(Page)
    }

    pub(super) fn parts(&self) -> Result<Parts<'_>, Failure> {
        let List { metadata, items } = serde_json::from_slice(&self.0).map_err(Failure::unanswered)?;
        let next = metadata.next.filter(|token| !token.is_empty());
        Ok(Parts { version: metadata.version, next, items: items.unwrap_or_default() })
    }
}

impl<'a> Event<'a> {
    /// A line that tells of an error is one.
    pub(super) fn read(line: &'a [u8]) -> Result<Event<'a>, Failure> {
        let event: Event = serde_json::from_slice(line).map_err(Failure::unanswered)?;
        if event.kind != "ERROR" {
            return Ok(event);
        }
        let status: Status = serde_json::from_str(event.object.get()).map_err(Failure::unanswered)?;
        Err(Failure {
            code: StatusCode::from_u16(status.code).ok(),
            reason: status.reason,
            message: status.message,
            retry_after: None,
        })
    }

    pub(super) fn object(&self) -> &'a str {
        self.object.get()
    }

    pub(super) fn is_bookmark(&self) -> bool {
        self.kind == "BOOKMARK"
    }

    pub(super) fn is_deletion(&self) -> bool {
        self.kind == "DELETED"
    }

    /// What a watch that begins after this event asks for.
    pub(super) fn version(&self) -> Option<String> {
        let named: Named = serde_json::from_str(self.object.get()).ok()?;
        Some(named.metadata.version).filter(|version| !version.is_empty())
    }
}

/// Nothing if it is no object.
pub(super) fn key(object: &str) -> Option<Key> {
    let named: Named = serde_json::from_str(object).ok()?;
    let NamedMetadata { namespace, name, .. } = named.metadata;
    (!name.is_empty()).then(|| (namespace.into(), name.into()))
}

impl Lines {
    pub(super) async fn open(
        client: &Client,
        path: &str,
        only: &Only,
        version: &str,
    ) -> Result<Lines, Failure> {
        let mut query = format!("watch=true&allowWatchBookmarks=true&timeoutSeconds={WATCH_SECS}");
        add(&mut query, "resourceVersion", version);
        only.add_to(&mut query);
        let body = call::open(client, &format!("{path}?{query}")).await?;
        let ends_at = tokio::time::Instant::now() + Duration::from_secs(WATCH_SECS) + PATIENCE;
        Ok(Lines { body, buffer: BytesMut::new(), searched: 0, ends_at })
    }

    /// Nothing at the end of the watch.
    pub(super) async fn next(&mut self) -> Result<Option<BytesMut>, Failure> {
        loop {
            if let Some(at) = memchr::memchr(b'\n', &self.buffer[self.searched..]) {
                let line = self.buffer.split_to(self.searched + at);
                self.buffer.advance(1);
                self.searched = 0;
                return Ok(Some(line));
            }
            self.searched = self.buffer.len();
            if self.buffer.len() > LINE_BYTES {
                return Err(Failure::unanswered(format!("an event has more than {LINE_BYTES} bytes")));
            }
            let Ok(frame) = tokio::time::timeout_at(self.ends_at, self.body.frame()).await else {
                return Err(Failure::unanswered("the watch did not end when it should have"));
            };
            match frame {
                Some(frame) => {
                    if let Ok(data) = frame.map_err(Failure::unanswered)?.into_data() {
                        self.buffer.extend_from_slice(&data);
                    }
                }
                None if self.buffer.is_empty() => return Ok(None),
                None => return Err(Failure::unanswered("the watch ended in the middle of an event")),
            }
        }
    }
}

impl Only {
    fn add_to(&self, query: &mut String) {
        for (name, selector) in [("labelSelector", &self.labels), ("fieldSelector", &self.fields)] {
            if let Some(selector) = selector {
                add(query, name, selector);
            }
        }
    }
}

fn add(query: &mut String, name: &str, value: &str) {
    query.push('&');
    query.push_str(name);
    query.push('=');
    query.extend(form_urlencoded::byte_serialize(value.as_bytes()));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_is_read_without_its_objects() {
        let text = br#"{"kind":"List","metadata":{"resourceVersion":"7","continue":"a\u0062c"},"items":[{"a":1}, {}]}"#;
        let page = Page(text.to_vec().into());
        let parts = page.parts().unwrap();
        let items: Vec<&str> = parts.items.iter().map(|item| item.get()).collect();
        assert_eq!(
            (&*parts.version, parts.next.as_deref(), items),
            ("7", Some("abc"), vec![r#"{"a":1}"#, "{}"])
        );
        for text in [r#"{"items":null}"#, "{}", r#"{"metadata":{"continue":""}}"#] {
            let page = Page(text.into());
            let parts = page.parts().unwrap();
            assert!(parts.next.is_none() && parts.items.is_empty(), "{text}");
        }
        assert!(Page("no".into()).parts().is_err());
    }

    #[test]
    fn an_event_is_a_change_or_a_failure() {
        let line =
            br#"{"type":"ADDED","object":{"metadata":{"name":"a","namespace":"b","resourceVersion":"9"}}}"#;
        let event = Event::read(line).unwrap();
        assert_eq!(event.version().as_deref(), Some("9"));
        assert_eq!(key(event.object()), Some(("b".into(), "a".into())));
        assert!(!event.is_bookmark() && !event.is_deletion());
        let line = br#"{"type":"ERROR","object":{"kind":"Status","code":410,"reason":"Expired","message":"too old"}}"#;
        let failure = Event::read(line).err().unwrap();
        assert!(failure.is(StatusCode::GONE), "{failure}");
        assert_eq!(key("{}"), None);
    }

    #[test]
    fn selectors_are_escaped() {
        let mut query = "watch=true".to_owned();
        Only::labels("app=a,b in (c, d)").add_to(&mut query);
        assert_eq!(query, "watch=true&labelSelector=app%3Da%2Cb+in+%28c%2C+d%29");
    }
}
