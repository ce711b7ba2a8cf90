//! A client that follows ConfigMaps, and resumes where it was cut off.

use std::collections::BTreeMap;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::BoxStream;
use serde_json::Value;
use tokio::time::{Instant, timeout_at};

use crate::api::{Api, Unanswered, revision};

const PATH: &str = "/api/v1/namespaces/default/configmaps";

#[derive(Default)]
pub(crate) struct Watcher {
    /// Name and version of everything there is, as far as it was told.
    known: BTreeMap<String, u64>,
    seen: u64,
    pub(crate) resumed: u64,
    pub(crate) expired: u64,
}

impl Watcher {
    /// Follows until the server is gone.
    pub(crate) async fn run(mut self, api: Api) -> Watcher {
        // Unanswered is how it ends, and that is looked at with the next server.
        let _ = self.follow(&api).await;
        self
    }

    async fn follow(&mut self, api: &Api) -> Result<(), Unanswered> {
        let mut events = self.begin(api).await?;
        while let Some(event) = events.next().await {
            self.take(&event);
        }
        Ok(())
    }

    /// After a restart: what it knows becomes what is there.
    pub(crate) async fn catch_up(&mut self, api: &Api, list: &Value) {
        assert!(self.seen <= revision(list), "an event was seen of revision {}: {list}", self.seen);
        let there = names_and_versions(list);
        let mut events = self.begin(api).await.expect("the server is there");
        let deadline = Instant::now() + Duration::from_secs(20);
        while self.known != there {
            let event = timeout_at(deadline, events.next()).await.unwrap_or_else(|_| {
                panic!("it knows\n{:?}\nand there is\n{there:?}", self.known);
            });
            self.take(&event.expect("the watch goes on"));
        }
    }

    /// Resumes, or begins again with a list if it is told that this cannot be.
    async fn begin(&mut self, api: &Api) -> Result<BoxStream<'static, Value>, Unanswered> {
        if self.seen > 0 {
            match api.watch(&format!("{PATH}?watch=1&resourceVersion={}", self.seen)).await? {
                Ok(mut events) => {
                    // It is told at once, as the first event, or not at all.
                    let first = timeout_at(Instant::now() + Duration::from_millis(50), events.next()).await;
                    match first {
                        Ok(Some(event)) if event["type"] == "ERROR" => {
                            assert_eq!(event["object"]["code"], 410, "{event}");
                        }
                        Ok(Some(event)) => {
                            self.take(&event);
                            self.resumed += 1;
                            return Ok(events);
                        }
                        Ok(None) => return Err(Unanswered),
                        Err(_) => {
                            self.resumed += 1;
                            return Ok(events);
                        }
                    }
                }
                Err(code) => assert_eq!(code, 410),
            }
            self.expired += 1;
        }
        let (code, list) = api.get(PATH).await?;
        assert_eq!(code, 200, "{list}");
        (self.known, self.seen) = (names_and_versions(&list), revision(&list));
        let path = format!("{PATH}?watch=1&resourceVersion={}", self.seen);
        Ok(api.watch(&path).await?.unwrap_or_else(|code| panic!("refused with {code}")))
    }

    fn take(&mut self, event: &Value) {
        let object = &event["object"];
        assert_ne!(event["type"], "ERROR", "{event}");
        let (name, version) = (name(object), revision(object));
        assert!(version > self.seen, "seen up to {}: {event}", self.seen);
        self.seen = version;
        let before = match event["type"].as_str() {
            Some("DELETED") => self.known.remove(&name),
            _ => self.known.insert(name, version),
        };
        assert_eq!(before.is_none(), event["type"] == "ADDED", "{event}");
    }
}

fn name(object: &Value) -> String {
    object["metadata"]["name"].as_str().expect("it has a name").to_owned()
}

fn names_and_versions(list: &Value) -> BTreeMap<String, u64> {
    list["items"].as_array().into_iter().flatten().map(|item| (name(item), revision(item))).collect()
}
