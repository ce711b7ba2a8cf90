//! What goes because something else has gone: what a namespace holds goes with it, and what is owned goes with its
//! owner, before it, or is let go.
//!
//! [`Index`] follows the store and says what is to be looked at; what is then done is in `collecting`.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Weak};
use std::time::Duration;

use memchr::memmem;
use serde_json::Value;
use tokio::time::timeout;

use super::Server;
use super::deleting::{FOREGROUND, ORPHAN};
use crate::store::{Entry, Event, RangeRequest, StoreError, Watch};

pub(super) const OBJECTS: &str = "/objects/";
const NAMESPACES: &str = "/objects/core/namespaces//";
/// After something could not be done, it is tried again.
const RETRY: Duration = Duration::from_secs(5);

/// Something that is to be looked at.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Work {
    /// An object with owners: it may have lost them.
    Dependent(Arc<str>),
    /// An owner that goes when its dependents have gone.
    Foreground(Arc<str>),
    /// An owner that goes when its dependents no longer name it.
    Orphan(Arc<str>),
    /// A namespace that goes when it is empty.
    Namespace(String),
}

/// Who owns what, as far as the store has been followed.
#[derive(Debug, Default)]
pub(super) struct Index {
    /// The keys of what an object owns, by its uid.
    dependents: HashMap<String, BTreeSet<Arc<str>>>,
    /// The uids of an object's owners, by its key.
    owners: HashMap<Arc<str>, Vec<String>>,
    /// Owners that wait for their dependents: their keys, by uid.
    waiting: HashMap<String, Arc<str>>,
    /// Namespaces that are to go.
    ending: BTreeSet<String>,
}

/// The part of a key between the slashes: group, plural, namespace (or nothing) and name.
pub(super) fn parts(key: &str) -> Option<[&str; 4]> {
    let mut parts = key.strip_prefix(OBJECTS)?.splitn(4, '/');
    Some([parts.next()?, parts.next()?, parts.next()?, parts.next()?])
}

impl Index {
    /// Takes note of what is in the store, and says what is to be looked at because of it.
    pub(super) fn note(
        &mut self,
        key: &Arc<str>,
        current: Option<&Entry>,
        previous: Option<&Entry>,
    ) -> Vec<Work> {
        let mut work = Vec::new();
        let has = |entry: &Entry, field: &str| memmem::find(&entry.value, field.as_bytes()).is_some();
        let is_owned = current.is_some_and(|entry| has(entry, "\"ownerReferences\""));
        let is_going = current.is_some_and(|entry| has(entry, "\"deletionTimestamp\""));
        if is_owned || is_going {
            let object = current.map(read).unwrap_or_default();
            self.own(key, owners_of(&object), &mut work);
            if is_going {
                self.end(key, &object, &mut work);
            }
        } else {
            self.own(key, Vec::new(), &mut work);
        }
        if current.is_none() {
            self.gone(key, previous, &mut work);
        }
        work
    }

    /// What an object owns.
    pub(super) fn dependents_of(&self, uid: &str) -> Vec<Arc<str>> {
        self.dependents.get(uid).into_iter().flatten().cloned().collect()
    }

    fn own(&mut self, key: &Arc<str>, owners: Vec<String>, work: &mut Vec<Work>) {
        let before = self.owners.remove(key).unwrap_or_default();
        for uid in &before {
            if let Some(keys) = self.dependents.get_mut(uid) {
                keys.remove(key);
            }
            if self.dependents.get(uid).is_some_and(BTreeSet::is_empty) {
                self.dependents.remove(uid);
            }
            work.extend(self.waiting.get(uid).cloned().map(Work::Foreground));
        }
        if owners.is_empty() {
            return;
        }
        for uid in &owners {
            self.dependents.entry(uid.clone()).or_default().insert(Arc::clone(key));
        }
        self.owners.insert(Arc::clone(key), owners);
        work.push(Work::Dependent(Arc::clone(key)));
    }

    /// An object that is to go, and may have to wait for others.
    fn end(&mut self, key: &Arc<str>, object: &Value, work: &mut Vec<Work>) {
        let metadata = &object["metadata"];
        if !metadata["deletionTimestamp"].is_string() {
            return;
        }
        let is_held_by = |name: &str| {
            metadata["finalizers"].as_array().into_iter().flatten().any(|finalizer| finalizer == name)
        };
        if let Some(name) = key.strip_prefix(NAMESPACES) {
            self.ending.insert(name.to_owned());
            work.push(Work::Namespace(name.to_owned()));
        }
        if is_held_by(ORPHAN) {
            work.push(Work::Orphan(Arc::clone(key)));
        }
        if is_held_by(FOREGROUND) {
            let uid = metadata["uid"].as_str().unwrap_or_default();
            self.waiting.insert(uid.to_owned(), Arc::clone(key));
            work.push(Work::Foreground(Arc::clone(key)));
            // They may go now, although their owner is still there.
            work.extend(self.dependents_of(uid).into_iter().map(Work::Dependent));
        }
    }

    fn gone(&mut self, key: &Arc<str>, previous: Option<&Entry>, work: &mut Vec<Work>) {
        if let Some(name) = key.strip_prefix(NAMESPACES) {
            self.ending.remove(name);
        }
        if let Some([_, _, namespace, _]) = parts(key)
            && self.ending.contains(namespace)
        {
            work.push(Work::Namespace(namespace.to_owned()));
        }
        if self.dependents.is_empty() && self.waiting.is_empty() {
            return;
        }
        let object = previous.map(read).unwrap_or_default();
        let uid = object["metadata"]["uid"].as_str().unwrap_or_default();
        self.waiting.remove(uid);
        work.extend(self.dependents_of(uid).into_iter().map(Work::Dependent));
    }
}

fn read(entry: &Entry) -> Value {
    serde_json::from_slice(&entry.value).unwrap_or_default()
}

fn owners_of(object: &Value) -> Vec<String> {
    let owners = object["metadata"]["ownerReferences"].as_array().into_iter().flatten();
    owners.filter_map(|owner| owner["uid"].as_str().map(str::to_owned)).collect()
}

/// The task that follows the store for as long as the server is there.
pub(super) struct Collector {
    watch: Watch,
    index: Index,
    due: BTreeSet<Work>,
}

impl Collector {
    pub(super) async fn start(server: &Arc<Server>) -> Result<(), StoreError> {
        let collector = Collector::read(server).await?;
        tokio::spawn(collector.run(Arc::downgrade(server)));
        Ok(())
    }

    async fn read(server: &Server) -> Result<Collector, StoreError> {
        let range = server.store.range(RangeRequest { prefix: OBJECTS, ..RangeRequest::default() }).await?;
        let watch = server.store.watch(OBJECTS, range.revision).await?;
        let mut index = Index::default();
        let mut due = BTreeSet::new();
        for entry in &range.entries {
            due.extend(index.note(&entry.key, Some(entry), None));
        }
        Ok(Collector { watch, index, due })
    }

    async fn run(mut self, server: Weak<Server>) {
        let mut failed: BTreeSet<Work> = BTreeSet::new();
        loop {
            let Some(alive) = server.upgrade() else { return };
            while let Some(work) = self.due.pop_first() {
                if let Err(refusal) = alive.collect(&work, &self.index).await {
                    tracing::debug!("{work:?}: {}", refusal.message);
                    failed.insert(work);
                }
            }
            drop(alive);
            let next = if failed.is_empty() {
                self.watch.next().await
            } else {
                match timeout(RETRY, self.watch.next()).await {
                    Ok(events) => events,
                    Err(_) => {
                        self.due.append(&mut failed);
                        continue;
                    }
                }
            };
            match (next, server.upgrade()) {
                (Ok(events), _) => self.note(&events),
                (Err(StoreError::Expired { .. }), Some(server)) => match Collector::read(&server).await {
                    Ok(again) => self = again,
                    Err(_) => return,
                },
                (Err(_), _) => return,
            }
        }
    }

    fn note(&mut self, events: &[Arc<Event>]) {
        for event in events {
            self.due.extend(self.index.note(&event.key, event.current.as_ref(), event.previous.as_ref()));
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn entry(key: &str, object: &Value) -> Entry {
        let value = object.to_string().into_bytes().into();
        Entry { key: key.into(), value, create_revision: 1, mod_revision: 1 }
    }

    fn owned(uid: &str, owner: &str) -> Value {
        json!({"metadata": {"uid": uid, "ownerReferences": [{"uid": owner}]}})
    }

    #[test]
    fn whoever_loses_an_owner_is_looked_at() {
        let mut index = Index::default();
        let [owner, child]: [Arc<str>; 2] =
            ["/objects/core/configmaps/n/o".into(), "/objects/core/pods/n/c".into()];
        let there = entry(&owner, &json!({"metadata": {"uid": "1"}}));
        assert_eq!(index.note(&owner, Some(&there), None), []);
        let dependent = entry(&child, &owned("2", "1"));
        assert_eq!(index.note(&child, Some(&dependent), None), [Work::Dependent(Arc::clone(&child))]);
        assert_eq!(index.note(&owner, None, Some(&there)), [Work::Dependent(Arc::clone(&child))]);
        assert_eq!(index.note(&child, None, Some(&dependent)), []);
        assert!(index.dependents.is_empty() && index.owners.is_empty());
    }

    #[test]
    fn an_owner_that_waits_is_looked_at_whenever_a_dependent_changes_or_goes() {
        let mut index = Index::default();
        let [owner, child]: [Arc<str>; 2] =
            ["/objects/core/configmaps/n/o".into(), "/objects/core/pods/n/c".into()];
        let dependent = entry(&child, &owned("2", "1"));
        index.note(&child, Some(&dependent), None);
        let metadata = json!({"uid": "1", "deletionTimestamp": "now", "finalizers": [FOREGROUND]});
        let going = entry(&owner, &json!({"metadata": metadata}));
        let expected = [Work::Foreground(Arc::clone(&owner)), Work::Dependent(Arc::clone(&child))];
        assert_eq!(index.note(&owner, Some(&going), None), expected);
        assert_eq!(index.note(&child, None, Some(&dependent)), [Work::Foreground(owner)]);
    }

    #[test]
    fn a_namespace_that_is_to_go_is_looked_at_until_it_has_gone() {
        let mut index = Index::default();
        let [namespace, map]: [Arc<str>; 2] =
            ["/objects/core/namespaces//n".into(), "/objects/core/configmaps/n/a".into()];
        let there = entry(&map, &json!({"metadata": {"uid": "2"}}));
        assert_eq!(index.note(&map, None, Some(&there)), []);
        let going = entry(&namespace, &json!({"metadata": {"uid": "1", "deletionTimestamp": "now"}}));
        assert_eq!(index.note(&namespace, Some(&going), None), [Work::Namespace("n".to_owned())]);
        assert_eq!(index.note(&map, None, Some(&there)), [Work::Namespace("n".to_owned())]);
        index.note(&namespace, None, Some(&going));
        assert_eq!(index.note(&map, None, Some(&there)), []);
    }
}
