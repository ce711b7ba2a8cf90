//! A client that changes objects of its own and a counter of all, and keeps a record of what it was told.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use http::Method;
use serde_json::{Value, json};

use crate::api::{Api, Unanswered, revision};
use crate::random::Random;

pub(crate) const COUNTER: &str = "/api/v1/namespaces/default/configmaps/chaos-counter";

/// What all clients know together.
#[derive(Default)]
pub(crate) struct Shared {
    /// The newest version that anybody was told.
    pub(crate) newest: AtomicU64,
    /// Which Service has an address, for certain.
    pub(crate) holders: Mutex<BTreeMap<String, String>>,
    pub(crate) increments_acknowledged: AtomicU64,
    pub(crate) increments_unanswered: AtomicU64,
    /// By what was done, how often it was acknowledged.
    pub(crate) acknowledged: Mutex<BTreeMap<&'static str, u64>>,
}

pub(crate) struct Writer {
    pub(crate) owned: Vec<Owned>,
    shared: Arc<Shared>,
    random: Random,
    step: u64,
}

/// An object that only one client writes.
pub(crate) struct Owned {
    pub(crate) name: String,
    pub(crate) is_service: bool,
    /// As it was last acknowledged; nothing if it is not there.
    acknowledged: Option<Value>,
    attempted: Option<Attempt>,
}

/// A change that was not answered: what the object holds if it was made, nothing if it is then gone.
type Attempt = Option<Value>;

impl Writer {
    pub(crate) fn new(number: u64, seed: u64, shared: &Arc<Shared>) -> Writer {
        let owned = (0..8).map(|index| Owned {
            name: format!("chaos-{number}-{index}"),
            is_service: index % 2 == 0,
            acknowledged: None,
            attempted: None,
        });
        let shared = Arc::clone(shared);
        Writer { owned: owned.collect(), shared, random: Random::new(seed.wrapping_add(number)), step: 0 }
    }

    /// Changes one thing after the other until nobody answers.
    pub(crate) async fn run(mut self, api: Api) -> Writer {
        loop {
            self.step += 1;
            let outcome = match self.random.below(8) {
                0 => self.increment(&api).await,
                _ => {
                    let index = self.random.below(self.owned.len() as u64) as usize;
                    self.change(&api, index).await
                }
            };
            if outcome.is_err() {
                return self;
            }
        }
    }

    /// One more, if nobody else was faster.
    async fn increment(&self, api: &Api) -> Result<(), Unanswered> {
        let (code, mut counter) = api.get(COUNTER).await?;
        assert_eq!(code, 200, "{counter}");
        let count = count(&counter);
        counter["data"]["count"] = (count + 1).to_string().into();
        match api.ask(Method::PUT, COUNTER, "application/json", Some(&counter)).await {
            Ok((200, _)) => {
                self.shared.increments_acknowledged.fetch_add(1, Ordering::Relaxed);
            }
            Ok((code, refused)) => assert_eq!(code, 409, "{refused}"),
            Err(Unanswered) => {
                self.shared.increments_unanswered.fetch_add(1, Ordering::Relaxed);
                return Err(Unanswered);
            }
        }
        Ok(())
    }

    async fn change(&mut self, api: &Api, index: usize) -> Result<(), Unanswered> {
        let (choice, owned) = (self.random.below(10), &mut self.owned[index]);
        let (what, method, media, body, content) = owned.change(choice, self.step);
        let path = match method {
            Method::POST => owned.collection().to_owned(),
            _ => format!("{}/{}", owned.collection(), owned.name),
        };
        let query = if what == "apply" { "?fieldManager=applier&force=true" } else { "" };
        let newest = self.shared.newest.load(Ordering::Acquire);
        if let (None, Some(address)) = (&content, owned.address()) {
            self.shared.holders.lock().expect("no panic").remove(&address);
        }
        owned.attempted = Some(content.clone());
        let (code, answer) = api.ask(method, &format!("{path}{query}"), media, body.as_ref()).await?;
        assert!(matches!(code, 200 | 201), "{what} {path}: {answer}");
        owned.attempted = None;
        owned.acknowledged = content.is_some().then_some(answer);
        *self.shared.acknowledged.lock().expect("no panic").entry(what).or_default() += 1;
        if let Some(object) = &owned.acknowledged {
            assert_eq!(Some(owned.content(object)), content.as_ref(), "{what} {path}");
            assert!(revision(object) > newest, "{what} {path}: told {newest} before: {object}");
            self.shared.newest.fetch_max(revision(object), Ordering::AcqRel);
        }
        if let Some(address) = owned.address() {
            let holder = self.shared.holders.lock().expect("no panic").insert(address, owned.name.clone());
            assert!(holder.as_ref().is_none_or(|it| *it == owned.name), "{holder:?} has its address too");
        }
        Ok(())
    }
}

type Change = (&'static str, Method, &'static str, Option<Value>, Attempt);

impl Owned {
    fn collection(&self) -> &'static str {
        match self.is_service {
            true => "/api/v1/namespaces/default/services",
            false => "/api/v1/namespaces/default/configmaps",
        }
    }

    /// What is changed of an object: texts by name.
    fn content<'a>(&self, object: &'a Value) -> &'a Value {
        if self.is_service { &object["spec"]["selector"] } else { &object["data"] }
    }

    fn with_content(&self, mut object: Value, content: &Value) -> Value {
        match self.is_service {
            true => object["spec"]["selector"] = content.clone(),
            false => object["data"] = content.clone(),
        }
        object
    }

    fn address(&self) -> Option<String> {
        let address = self.acknowledged.as_ref()?["spec"]["clusterIP"].as_str()?;
        Some(address.to_owned())
    }

    /// The object without anything in it.
    fn bare(&self) -> Value {
        let kind = if self.is_service { "Service" } else { "ConfigMap" };
        let mut object = json!({"apiVersion": "v1", "kind": kind, "metadata": {"name": self.name}});
        if self.is_service {
            object["spec"] = json!({"type": "NodePort", "ports": [{"port": 80, "protocol": "TCP"}]});
        }
        object
    }

    /// The next change, and what the object will hold after it.
    fn change(&self, choice: u64, step: u64) -> Change {
        let json = "application/json";
        // Long enough that a part of it would show, except where texts have to be short.
        let text = if self.is_service { format!("s{step}") } else { format!("{step} ").repeat(600) };
        let set = |content: &Value, names: &[&str]| {
            let mut content = content.clone();
            for name in names {
                content[*name] = text.as_str().into();
            }
            content
        };
        let old = self.acknowledged.as_ref();
        let empty = json!({});
        let content = old.map_or(&empty, |old| self.content(old)).clone();
        // A Service's selector is one value to those who apply it.
        let applied = set(if self.is_service { &empty } else { &content }, &["applied"]);
        let apply = self.with_content(self.bare(), &json!({"applied": text}));
        let apply = ("apply", Method::PATCH, "application/apply-patch+yaml", Some(apply), Some(applied));
        let Some(old) = old else {
            let content = set(&content, &["first", "last"]);
            let new = self.with_content(self.bare(), &content);
            return if choice < 3 { apply } else { ("create", Method::POST, json, Some(new), Some(content)) };
        };
        let content = set(&content, &["first", "last"]);
        let part = || self.with_content(json!({}), &json!({"first": text, "last": text}));
        match choice {
            0..3 => {
                ("update", Method::PUT, json, Some(self.with_content(old.clone(), &content)), Some(content))
            }
            3..5 => ("merge", Method::PATCH, "application/merge-patch+json", Some(part()), Some(content)),
            5 => {
                let media = "application/strategic-merge-patch+json";
                ("strategic", Method::PATCH, media, Some(part()), Some(content))
            }
            6..8 => apply,
            _ => ("delete", Method::DELETE, json, None, None),
        }
    }

    /// Holds what is there against the record, and believes it from now on.
    pub(crate) fn check(&mut self, there: Option<&Value>) {
        let attempted = self.attempted.take();
        let is_acknowledged = there == self.acknowledged.as_ref();
        let is_attempted = attempted.as_ref().is_some_and(|attempted| match (attempted, there) {
            (None, None) => true,
            (Some(content), Some(there)) => {
                let before = self.acknowledged.as_ref();
                let is_same = before.is_none_or(|it| it["metadata"]["uid"] == there["metadata"]["uid"]);
                let is_newer = before.is_none_or(|it| revision(there) > revision(it));
                self.content(there) == content && is_same && is_newer
            }
            _ => false,
        });
        assert!(
            is_acknowledged || is_attempted,
            "{} is there as\n{there:?}\nacknowledged was\n{:?}\nand tried\n{attempted:?}",
            self.name,
            self.acknowledged
        );
        self.acknowledged = there.cloned();
    }
}

/// What the counter stands at.
pub(crate) fn count(counter: &Value) -> u64 {
    counter["data"]["count"].as_str().and_then(|count| count.parse().ok()).expect("it is a number")
}
