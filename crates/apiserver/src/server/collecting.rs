//! What is done about objects that have lost their owners, owners that wait for what they own, and namespaces that are
//! to go. Everything is done as a client would do it, so webhooks, finalizers and watchers see the usual.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use futures_util::{StreamExt, stream};
use serde_json::{Value, json};

use super::Server;
use super::catalog::Served;
use super::collector::{Index, Work, parts};
use super::deleting::{FOREGROUND, ORPHAN};
use super::objects::Found;
use super::request::Asked;
use crate::resource::Verb;
use crate::status::{Reason, Refusal};
use crate::store::RangeRequest;

const COLLECTOR: &str = "garbage-collector";
const FINALIZER: &str = "kubernetes";
/// Objects that are changed at the same time, so that a disk is asked to make them durable together.
const AT_ONCE: usize = 32;

/// What is left of an owner that an object names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Owner {
    There,
    /// There, but only until its dependents have gone.
    Waiting,
    Gone,
}

impl Server {
    pub(super) async fn collect(&self, work: &Work, index: &Index) -> Result<(), Refusal> {
        let outcome = match work {
            Work::Dependent(key) => self.collect_dependent(key, index).await,
            Work::Foreground(key) => self.release_in_foreground(key, index).await,
            Work::Orphan(key) => self.release_orphans(key, index).await,
            Work::Namespace(name) => self.empty_namespace(name).await,
        };
        match outcome {
            // Whoever was faster has caused an event, and that leads here again.
            Err(refusal) if matches!(refusal.reason, Reason::NotFound | Reason::Conflict) => Ok(()),
            outcome => outcome,
        }
    }

    /// Deletes an object whose owners have all gone. One that has others left only forgets those that have.
    async fn collect_dependent(&self, key: &str, index: &Index) -> Result<(), Refusal> {
        let Some((asked, found)) = self.look_up(key).await? else { return Ok(()) };
        let object = &found.object;
        if !object["metadata"]["deletionTimestamp"].is_null() {
            return Ok(());
        }
        let references = object["metadata"]["ownerReferences"].as_array().cloned().unwrap_or_default();
        let mut owners = Vec::with_capacity(references.len());
        for reference in &references {
            owners.push(self.owner(reference, &asked).await?);
        }
        if owners.contains(&Owner::There) {
            let mut kept = references.iter().zip(&owners).filter(|(_, owner)| **owner == Owner::There);
            if owners.iter().all(|owner| *owner == Owner::There) {
                return Ok(());
            }
            let kept: Vec<Value> = kept.by_ref().map(|(reference, _)| reference.clone()).collect();
            return self.own(&asked, &found, kept).await;
        }
        if owners.is_empty() {
            return Ok(());
        }
        let uid = object["metadata"]["uid"].as_str().unwrap_or_default();
        let finalizers = object["metadata"]["finalizers"].as_array();
        let has = |name: &str| finalizers.is_some_and(|all| all.iter().any(|finalizer| finalizer == name));
        let owns = !index.dependents_of(uid).is_empty();
        let policy = match () {
            () if has(ORPHAN) => "Orphan",
            () if has(FOREGROUND) || owners.contains(&Owner::Waiting) && owns => "Foreground",
            () => "Background",
        };
        self.delete(&asked, &json!({"propagationPolicy": policy, "preconditions": {"uid": uid}})).await?;
        Ok(())
    }

    /// Lets go of an owner when nothing that blocks it is left.
    async fn release_in_foreground(&self, key: &str, index: &Index) -> Result<(), Refusal> {
        let Some((asked, found)) = self.look_up(key).await? else { return Ok(()) };
        let uid = found.object["metadata"]["uid"].as_str().unwrap_or_default();
        for dependent in index.dependents_of(uid) {
            let Some((_, dependent)) = self.look_up(&dependent).await? else { continue };
            let references = dependent.object["metadata"]["ownerReferences"].as_array();
            let blocks =
                |reference: &Value| reference["uid"] == uid && reference["blockOwnerDeletion"] == true;
            if references.is_some_and(|references| references.iter().any(blocks)) {
                return Ok(());
            }
        }
        self.take_finalizer(&asked, &found, FOREGROUND).await
    }

    /// Lets dependents forget their owner, and then the owner go.
    async fn release_orphans(&self, key: &str, index: &Index) -> Result<(), Refusal> {
        let Some((asked, found)) = self.look_up(key).await? else { return Ok(()) };
        let uid = found.object["metadata"]["uid"].as_str().unwrap_or_default();
        for dependent in index.dependents_of(uid) {
            let Some((asked, dependent)) = self.look_up(&dependent).await? else { continue };
            let references = dependent.object["metadata"]["ownerReferences"].as_array();
            let kept = references.into_iter().flatten().filter(|reference| reference["uid"] != uid);
            let kept: Vec<Value> = kept.cloned().collect();
            // Another try is needed if somebody else was faster: the owner must not go before.
            self.own(&asked, &dependent, kept).await.map_err(|refusal| match refusal.reason {
                Reason::Conflict => Refusal::internal(&refusal.message),
                _ => refusal,
            })?;
        }
        self.take_finalizer(&asked, &found, ORPHAN).await
    }

    async fn owner(&self, reference: &Value, of: &Asked) -> Result<Owner, Refusal> {
        let text = |field: &str| reference[field].as_str().unwrap_or_default();
        let kinds = self.catalog.snapshot();
        let is_meant = |served: &&Arc<Served>| {
            served.api_version == text("apiVersion") && served.resource.kind == text("kind")
        };
        let Some(served) = kinds.values().find(is_meant) else { return Ok(Owner::There) };
        let namespace = of.namespace.clone().filter(|_| served.resource.is_namespaced);
        if served.resource.is_namespaced && namespace.is_none() {
            // Nothing outside of namespaces can be owned by something inside of one.
            return Ok(Owner::There);
        }
        let owner = Asked::inside(served, Verb::Get, namespace, Some(text("name").to_owned()), COLLECTOR);
        let Some(found) = self.find(&owner).await? else { return Ok(Owner::Gone) };
        let metadata = &found.object["metadata"];
        if metadata["uid"] != text("uid") {
            return Ok(Owner::Gone);
        }
        let mut finalizers = metadata["finalizers"].as_array().into_iter().flatten();
        let waits = finalizers.any(|finalizer| finalizer == FOREGROUND);
        Ok(if waits && metadata["deletionTimestamp"].is_string() { Owner::Waiting } else { Owner::There })
    }

    async fn look_up(&self, key: &str) -> Result<Option<(Asked, Found)>, Refusal> {
        let Some([group, plural, namespace, name]) = parts(key) else { return Ok(None) };
        let group = if group == "core" { "" } else { group };
        let kinds = self.catalog.snapshot();
        let is_meant =
            |served: &&Arc<Served>| served.resource.group == group && served.resource.plural == plural;
        let Some(served) = kinds.values().find(is_meant) else { return Ok(None) };
        let namespace = Some(namespace.to_owned()).filter(|namespace| !namespace.is_empty());
        let asked = Asked::inside(served, Verb::Update, namespace, Some(name.to_owned()), COLLECTOR);
        Ok(self.find(&asked).await?.map(|found| (asked, found)))
    }

    async fn own(&self, asked: &Asked, found: &Found, owners: Vec<Value>) -> Result<(), Refusal> {
        let mut object = found.object.clone();
        object["metadata"]["ownerReferences"] = owners.into();
        self.update(asked, object).await.map(drop)
    }

    async fn take_finalizer(&self, asked: &Asked, found: &Found, name: &str) -> Result<(), Refusal> {
        let mut object = found.object.clone();
        if let Some(finalizers) = object["metadata"]["finalizers"].as_array_mut() {
            finalizers.retain(|finalizer| finalizer != name);
        }
        self.update(asked, object).await.map(drop)
    }
}

impl Server {
    /// Deletes what a namespace holds, and lets it go when nothing is left.
    async fn empty_namespace(&self, name: &str) -> Result<(), Refusal> {
        let key = super::key_of("", "namespaces", "", name);
        let Some((asked, found)) = self.look_up(&key).await? else { return Ok(()) };
        if found.object["metadata"]["deletionTimestamp"].is_null() {
            return Ok(());
        }
        self.delete_contents(name).await?;
        let left = self.contents(name).await?;
        let mut object = found.object.clone();
        if left.is_empty() {
            if let Some(finalizers) = object["spec"]["finalizers"].as_array_mut() {
                finalizers.retain(|finalizer| finalizer != FINALIZER);
            }
        } else {
            let items: Vec<Value> = left.iter().map(|(_, item)| item.clone()).collect();
            remaining(&mut object, &left.iter().map(|(kind, _)| kind.clone()).collect::<Vec<_>>(), &items);
        }
        self.write(&asked, object, &found).await.map_err(Refusal::from)?;
        Ok(())
    }

    async fn delete_contents(&self, namespace: &str) -> Result<(), Refusal> {
        let options = json!({"propagationPolicy": "Background"});
        let left = self.contents(namespace).await?;
        let deletions = left.into_iter().filter(|(_, item)| item["metadata"]["deletionTimestamp"].is_null());
        let mut outcomes = stream::iter(deletions.map(|(served, item)| {
            let name = item["metadata"]["name"].as_str().map(str::to_owned);
            let asked = Asked::inside(&served, Verb::Delete, Some(namespace.to_owned()), name, COLLECTOR);
            let options = &options;
            async move { self.delete(&asked, options).await }
        }))
        .buffer_unordered(AT_ONCE);
        let mut first = None;
        while let Some(outcome) = outcomes.next().await {
            // One that cannot be deleted does not keep the others.
            first = first.or(outcome.err().filter(|refusal| refusal.reason != Reason::NotFound));
        }
        first.map_or(Ok(()), Err)
    }

    /// Everything in a namespace, with its kind.
    async fn contents(&self, namespace: &str) -> Result<Vec<(Arc<Served>, Value)>, Refusal> {
        let kinds = self.catalog.snapshot();
        let namespaced = kinds.values().filter(|served| served.resource.is_namespaced);
        let by_prefix: BTreeMap<String, &Arc<Served>> =
            namespaced.map(|served| (format!("{}{namespace}/", served.prefix()), served)).collect();
        let mut contents = Vec::new();
        for (prefix, served) in by_prefix {
            let range = self.store.range(RangeRequest { prefix: &prefix, ..RangeRequest::default() }).await?;
            for entry in &range.entries {
                contents.push((Arc::clone(served), serde_json::from_slice(&entry.value).unwrap_or_default()));
            }
        }
        Ok(contents)
    }
}

/// Says in a namespace what it still waits for.
fn remaining(namespace: &mut Value, kinds: &[Arc<Served>], items: &[Value]) {
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    let mut finalizers: BTreeMap<String, BTreeSet<usize>> = BTreeMap::new();
    for (place, (served, item)) in kinds.iter().zip(items).enumerate() {
        let (plural, group) = (&served.resource.plural, &served.resource.group);
        *counts.entry(format!("{plural}.{group}")).or_default() += 1;
        for finalizer in item["metadata"]["finalizers"].as_array().into_iter().flatten() {
            finalizers.entry(finalizer.as_str().unwrap_or_default().to_owned()).or_default().insert(place);
        }
    }
    let counts: Vec<String> =
        counts.iter().map(|(kind, count)| format!("{kind} has {count} resource instances")).collect();
    set_condition(
        namespace,
        "NamespaceContentRemaining",
        "SomeResourcesRemain",
        &format!("Some resources are remaining: {}", counts.join(", ")),
    );
    if finalizers.is_empty() {
        return;
    }
    let finalizers: Vec<String> = finalizers
        .iter()
        .map(|(finalizer, places)| format!("{finalizer} in {} resource instances", places.len()))
        .collect();
    set_condition(
        namespace,
        "NamespaceFinalizersRemaining",
        "SomeFinalizersRemain",
        &format!("Some content in the namespace has finalizers remaining: {}", finalizers.join(", ")),
    );
}

fn set_condition(namespace: &mut Value, kind: &str, reason: &str, message: &str) {
    let mut conditions = namespace["status"]["conditions"].as_array().cloned().unwrap_or_default();
    let is_same = |it: &Value| it["type"] == kind && it["message"] == message && it["status"] == "True";
    if conditions.iter().any(is_same) {
        return;
    }
    conditions.retain(|it| it["type"] != kind);
    conditions.push(json!({
        "type": kind, "status": "True", "lastTransitionTime": super::timestamp(), "reason": reason, "message": message,
    }));
    namespace["status"]["conditions"] = conditions.into();
}
