//! What goes: at once, when its time is over, when a finalizer lets go of it, or after what depends on it.

use serde_json::{Value, json};

use super::list::List;
use super::objects::{Attempts, Found, Unwritten, count_generation, is_held};
use super::request::Asked;
use super::{Server, timestamp, timestamp_secs};
use crate::admission::Operation;
use crate::status::{Reason, Refusal, Target};
use crate::store::{Commit, Require, StoreError, Write};

/// Holds an owner until its dependents have lost it.
pub(super) const ORPHAN: &str = "orphan";
/// Holds an owner until its dependents have gone.
pub(super) const FOREGROUND: &str = "foregroundDeletion";

/// Namespaces that there always are.
const IMMORTAL: [&str; 3] = ["default", "kube-system", "kube-public"];
const PODS_STAY: &str = "child pods are preserved by default when jobs are deleted; set propagationPolicy=Background \
     to remove them or set propagationPolicy=Orphan to suppress this warning";
const POD_GRACE_SECS: i64 = 30;

/// What a deletion left behind.
#[derive(Debug)]
pub(super) struct Deleted {
    /// As it was, or as it is while something still holds it.
    pub(super) object: Value,
    pub(super) is_gone: bool,
    /// Whether the client has to wait for what it asked for.
    pub(super) is_accepted: bool,
    pub(super) warnings: Vec<String>,
}

impl Server {
    pub(super) async fn delete(&self, asked: &Asked, options: &Value) -> Result<Deleted, Refusal> {
        let namespaces = asked.served.is_namespace();
        if let Some(name) = asked.name.as_deref().filter(|name| namespaces && IMMORTAL.contains(name)) {
            return Err(Refusal::forbidden(asked.target_named(name), "this namespace may not be deleted"));
        }
        let mut attempts = Attempts::new();
        loop {
            if let Some(outcome) = attempts.settled(self.delete_once(asked, options).await) {
                return outcome;
            }
        }
    }

    async fn delete_once(&self, asked: &Asked, options: &Value) -> Result<Deleted, Unwritten> {
        let old = self.find(asked).await?.ok_or_else(|| Refusal::not_found(asked.target()))?;
        asked.meets(&options["preconditions"], &old.object["metadata"])?;
        let none = &mut Value::Null;
        let mut warnings = self.mutate(asked, Operation::Delete, none, Some(&old.object)).await?;
        warnings.extend(self.judge(asked, Operation::Delete, none, Some(&old.object)).await?);
        let leaves_pods = asked.served.is_job()
            && options["propagationPolicy"].is_null()
            && options["orphanDependents"].is_null();
        let mut options = options.clone();
        if leaves_pods {
            options["propagationPolicy"] = "Orphan".into();
            warnings.push(PODS_STAY.to_owned());
        }
        let deleted = self.delete_found(asked, &options, &old).await?;
        Ok(Deleted { warnings, ..deleted })
    }

    async fn delete_found(&self, asked: &Asked, options: &Value, old: &Found) -> Result<Deleted, Unwritten> {
        let is_accepted = options["orphanDependents"] == false;
        if asked.served.is_definition() {
            let written = self.delete_definition(asked, old).await?;
            let is_gone = !is_held(&written.object);
            return Ok(Deleted {
                object: written.object,
                is_gone,
                is_accepted: is_accepted && !is_gone,
                warnings: Vec::new(),
            });
        }
        let mut object = old.object.clone();
        set_finalizers(&mut object, options);
        let grace_secs = asked.grace_secs(&object, options);
        if !is_held(&object) && grace_secs == 0 {
            if old.object["metadata"]["deletionGracePeriodSeconds"].as_i64().is_some_and(|secs| secs > 0) {
                object["metadata"]["deletionGracePeriodSeconds"] = 0.into();
            }
            if asked.served.is_pod() {
                asked.mark(&mut object, grace_secs);
            }
            if let Some(revision) = self.remove(asked, old).await? {
                object["metadata"]["resourceVersion"] = revision.to_string().into();
            }
            return Ok(Deleted { object, is_gone: true, is_accepted: false, warnings: Vec::new() });
        }
        asked.mark(&mut object, grace_secs);
        let written = self.write(asked, object, old).await?;
        Ok(Deleted { object: written.object, is_gone: false, is_accepted, warnings: Vec::new() })
    }

    /// Takes an object out of the store, and says in which revision.
    async fn remove(&self, asked: &Asked, old: &Found) -> Result<Option<u64>, Unwritten> {
        if asked.is_dry_run() {
            return Ok(None);
        }
        let key = asked.served.key(asked.namespace.as_deref(), asked.target().name);
        let commit = Commit::one(key, Require::ModRevision(old.revision), Write::Delete);
        let committed = self.store.commit(commit).await.map_err(|error| match error {
            StoreError::Conflict(_) => Unwritten::Changed(asked.was_changed()),
            other => other.into(),
        })?;
        self.gone(&asked.served, &old.object).await?;
        Ok(Some(committed.revision))
    }

    /// Deletes every object that a list with the same selectors has; each by itself, as of when its turn comes.
    pub(super) async fn delete_collection(&self, asked: &Asked, options: &Value) -> Result<List, Refusal> {
        let list = self.list(asked).await?;
        for item in &list.items {
            let text = |value: &Value| value.as_str().map(str::to_owned);
            let metadata = &item["metadata"];
            let one = asked.about(text(&metadata["namespace"]), text(&metadata["name"]));
            match self.delete(&one, options).await {
                // Somebody else was faster.
                Err(refusal) if refusal.reason != Reason::NotFound => return Err(refusal),
                _ => {}
            }
        }
        Ok(list)
    }
}

impl Asked {
    /// Whether the object is still the one that the client means to delete.
    fn meets(&self, conditions: &Value, there: &Value) -> Result<(), Refusal> {
        let ends = [
            ("uid", "UID", "The object might have been deleted and then recreated"),
            ("resourceVersion", "ResourceVersion", "The object might have been modified"),
        ];
        for (field, name, end) in ends {
            let found = there[field].as_str().unwrap_or_default();
            let Some(wanted) = conditions[field].as_str().filter(|wanted| *wanted != found) else { continue };
            let why = format!(
                "the {name} in the precondition ({wanted}) does not match the {name} in record ({found}). {end}"
            );
            let target = Target { resource: &self.served.resource.kind, ..self.target() };
            return Err(Refusal::conflict(target, &why));
        }
        Ok(())
    }

    /// How long an object is given to end by itself. Only Pods that run somewhere are.
    fn grace_secs(&self, object: &Value, options: &Value) -> i64 {
        let (is_pod, spec) = (self.served.is_pod(), &object["spec"]);
        let runs = is_pod && spec["nodeName"].as_str().is_some_and(|node| !node.is_empty());
        if !runs || matches!(object["status"]["phase"].as_str(), Some("Succeeded" | "Failed")) {
            return 0;
        }
        let wanted = options["gracePeriodSeconds"].as_i64();
        let own = spec["terminationGracePeriodSeconds"].as_i64().unwrap_or(POD_GRACE_SECS);
        let secs = wanted.unwrap_or(own).max(0);
        match object["metadata"]["deletionGracePeriodSeconds"].as_i64() {
            Some(before) if !object["metadata"]["deletionTimestamp"].is_null() => secs.min(before),
            _ => secs,
        }
    }

    /// Says in the object that it is to go.
    fn mark(&self, object: &mut Value, grace_secs: i64) {
        let metadata = &object["metadata"];
        let is_shorter =
            metadata["deletionGracePeriodSeconds"].as_i64().is_some_and(|secs| secs > grace_secs);
        if !metadata["deletionTimestamp"].is_null() && !is_shorter {
            return;
        }
        let is_first = metadata["deletionTimestamp"].is_null();
        let at = chrono::DateTime::from_timestamp(timestamp_secs() + grace_secs, 0).unwrap_or_default();
        object["metadata"]["deletionTimestamp"] = match grace_secs {
            0 => timestamp(),
            _ => at.format("%Y-%m-%dT%H:%M:%SZ").to_string().into(),
        };
        if self.served.is_namespace() {
            object["status"]["phase"] = "Terminating".into();
            return;
        }
        object["metadata"]["deletionGracePeriodSeconds"] = grace_secs.into();
        if is_first && object["metadata"]["generation"].is_i64() {
            count_generation(object);
        }
    }
}

/// Dependents are waited for, or let go, by a finalizer on their owner.
fn set_finalizers(object: &mut Value, options: &Value) {
    let wanted = match (options["propagationPolicy"].as_str(), options["orphanDependents"].as_bool()) {
        (Some("Orphan"), _) | (None, Some(true)) => Some(ORPHAN),
        (Some("Foreground"), _) => Some(FOREGROUND),
        (Some(_), _) | (None, Some(false)) => None,
        (None, None) => return,
    };
    let mut finalizers = object["metadata"]["finalizers"].as_array().cloned().unwrap_or_default();
    let before = finalizers.clone();
    finalizers
        .retain(|finalizer| *finalizer == json!(wanted) || *finalizer != ORPHAN && *finalizer != FOREGROUND);
    if let Some(wanted) = wanted.filter(|wanted| !finalizers.iter().any(|finalizer| finalizer == wanted)) {
        finalizers.push(wanted.into());
    }
    if finalizers == before {
        return;
    }
    match (finalizers.is_empty(), object["metadata"].as_object_mut()) {
        (true, Some(metadata)) => drop(metadata.remove("finalizers")),
        _ => object["metadata"]["finalizers"] = finalizers.into(),
    }
}
