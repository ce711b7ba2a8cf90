//! CustomResourceDefinitions: ordinary objects that say what else is served.
//!
//! After every change of one, [`Server::settle_definitions`] brings everything that follows from it up to date:
//! names, conditions, what is served, and the objects of a definition that is being deleted.

use std::collections::BTreeMap;

use chrono::Utc;
use serde_json::Value;

use super::catalog::{Served, prefix_of};
use super::objects::{Found, Unwritten, Written, count_generation, is_held, of_entry, stored};
use super::request::Asked;
use super::{LIMITS, Server, timestamp};
use crate::apply::{FieldManager, FieldSet, OneVersion};
use crate::definition::{self, CLEANUP_FINALIZER};
use crate::schema::FieldError;
use crate::status::Refusal;
use crate::store::{self, Change, Commit, Entry, RangeRequest, Require, StoreError, Write};

/// Who sets the status of definitions.
const MANAGER: &str = "kube-apiserver";

/// A definition in the store.
struct Stored {
    entry: Entry,
    definition: Value,
}

impl Served {
    pub(super) fn is_definition(&self) -> bool {
        self.resource.group == "apiextensions.k8s.io" && self.resource.plural == "customresourcedefinitions"
    }
}

impl Asked {
    /// Writes a definition out as a client may leave it.
    pub(super) fn complete_definition(&self, object: &mut Value) {
        if self.served.is_definition() {
            self.served.types.normalise(object);
            definition::complete(object);
        }
    }

    /// Sets what of a definition's status follows from the rest, and says what is wrong with it.
    pub(super) fn completed_definition(&self, object: &mut Value, old: Option<&Value>) -> Vec<FieldError> {
        match old {
            None => {
                definition::prepare(object);
                definition::validate(object)
            }
            Some(_) if self.is_status() => definition::validate_status(object),
            Some(old) => {
                definition::prepare_update(object, old);
                definition::validate_update(object, old)
            }
        }
    }

    /// While the objects of a definition are being removed, nobody makes new ones.
    pub(super) fn refuse_while_terminating(&self, name: &str) -> Result<(), Refusal> {
        if !self.served.custom.as_ref().is_some_and(|custom| custom.is_terminating) {
            return Ok(());
        }
        let why = "create not allowed while custom resource definition is terminating";
        Err(Refusal::forbidden(self.target_named(name), why))
    }
}

impl Server {
    /// Serves what the definitions in the store define.
    pub(super) async fn load_definitions(&self) -> Result<(), StoreError> {
        match self.settle_definitions().await {
            Err(SettleError::Store(error)) => Err(error),
            // One that can no longer be read is kept and shown, and serves nothing.
            Ok(()) | Err(SettleError::Refusal(_)) => Ok(()),
        }
    }

    /// What follows from a change of definitions, if that was one.
    pub(super) async fn settle_if_definition(&self, asked: &Asked) -> Result<(), Refusal> {
        if asked.served.is_definition() && !asked.is_dry_run() {
            self.settle_definitions().await.map_err(Refusal::from)?;
        }
        Ok(())
    }

    /// The last object of a definition that is being deleted takes the definition along.
    pub(super) async fn settle_if_terminating(&self, served: &Served) -> Result<(), Refusal> {
        if served.custom.as_ref().is_some_and(|custom| custom.is_terminating) {
            self.settle_definitions().await.map_err(Refusal::from)?;
        }
        Ok(())
    }

    /// Marks a definition as deleted. It goes when its objects have gone.
    pub(super) async fn delete_definition(&self, asked: &Asked, old: &Found) -> Result<Written, Unwritten> {
        let mut object = old.object.clone();
        if object["metadata"]["deletionTimestamp"].is_null() {
            let now = timestamp();
            object["metadata"]["deletionTimestamp"] = now.clone();
            let mut finalizers = object["metadata"]["finalizers"].as_array().cloned().unwrap_or_default();
            if !finalizers.iter().any(|finalizer| finalizer == CLEANUP_FINALIZER) {
                finalizers.push(CLEANUP_FINALIZER.into());
            }
            object["metadata"]["finalizers"] = finalizers.into();
            let message =
                "CustomResourceDefinition marked for deletion; CustomResource deletion will begin soon";
            let now = now.as_str().unwrap_or_default();
            definition::set_condition(
                &mut object,
                "Terminating",
                "True",
                "InstanceDeletionPending",
                message,
                now,
            );
        } else {
            object["metadata"]["deletionGracePeriodSeconds"] = 0.into();
        }
        self.write(asked, object, old).await
    }

    /// Makes the statuses of all definitions, what is served and what is stored of definitions that are being
    /// deleted follow from the definitions in the store.
    pub(super) async fn settle_definitions(&self) -> Result<(), SettleError> {
        let _one_at_a_time = self.settling.lock().await;
        loop {
            let all = self.stored_definitions().await?;
            let mut is_settled = true;
            for (name, stored) in &all {
                // Somebody else may write meanwhile; then all is looked at again.
                is_settled &= self.settle_definition(name, stored, &all).await?;
            }
            for name in self.catalog.served_revisions().keys().filter(|name| !all.contains_key(*name)) {
                self.catalog.forget(name);
            }
            if is_settled {
                return Ok(());
            }
        }
    }

    fn definition_kind(&self) -> Option<std::sync::Arc<Served>> {
        self.catalog.snapshot().values().find(|served| served.is_definition()).cloned()
    }

    async fn stored_definitions(&self) -> Result<BTreeMap<String, Stored>, SettleError> {
        let Some(served) = self.definition_kind() else { return Ok(BTreeMap::new()) };
        let prefix = served.prefix();
        let range = self.store.range(RangeRequest { prefix: &prefix, ..RangeRequest::default() }).await?;
        let each = range.entries.into_iter().filter_map(|entry| {
            let definition = of_entry(&entry, &served).ok()?;
            let name = definition["metadata"]["name"].as_str()?.to_owned();
            Some((name, Stored { entry, definition }))
        });
        Ok(each.collect())
    }

    /// Whether the definition is as it should be; if not, it was changed, and others have to be looked at again.
    async fn settle_definition(
        &self,
        name: &str,
        stored: &Stored,
        all: &BTreeMap<String, Stored>,
    ) -> Result<bool, SettleError> {
        let Stored { entry, definition } = stored;
        if definition::is_terminating(definition) {
            self.serve(definition, entry.mod_revision);
            return self.remove_contents(definition, entry).await;
        }
        let is_served = self.catalog.served_revisions().get(name) == Some(&entry.mod_revision);
        let named = definition::condition(definition, "NamesAccepted");
        if is_served && named.is_some_and(|named| named["status"] == "True") {
            return Ok(true);
        }
        let group = &definition["spec"]["group"];
        let others: Vec<&Value> = all
            .iter()
            .filter(|(other, stored)| *other != name && stored.definition["spec"]["group"] == *group)
            .map(|(_, stored)| &stored.definition)
            .collect();
        let now = timestamp();
        match definition::settle(definition, &others, now.as_str().unwrap_or_default()) {
            None => {
                self.serve(definition, entry.mod_revision);
                Ok(true)
            }
            Some(settled) => {
                self.write_status(definition, settled.definition, entry).await?;
                Ok(false)
            }
        }
    }

    fn serve(&self, definition: &Value, revision: u64) {
        let name = definition["metadata"]["name"].as_str().unwrap_or_default();
        if !definition::is_established(definition) {
            self.catalog.forget(name);
        } else if self.catalog.served_revisions().get(name) != Some(&revision) {
            // One that can no longer be used serves what it served before.
            let _ = self.catalog.define(definition, revision);
        }
    }

    /// Writes what the server itself changed, unless somebody else was faster.
    async fn write_status(&self, old: &Value, new: Value, entry: &Entry) -> Result<(), SettleError> {
        let Some(served) = self.definition_kind() else { return Ok(()) };
        let new = owned_by_server(&served, old, new);
        let write = Write::Put(stored(&new, &served)?.into());
        self.commit_if_unchanged(entry, write).await?;
        Ok(())
    }

    /// Whether it was still as it was, and is no longer.
    async fn commit_if_unchanged(&self, entry: &Entry, write: Write) -> Result<bool, StoreError> {
        let require = Require::ModRevision(entry.mod_revision);
        match self.store.commit(Commit::one(entry.key.clone(), require, write)).await {
            Ok(_) => Ok(true),
            Err(StoreError::Conflict(_)) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Removes the objects of a definition, and itself once there are none left.
    async fn remove_contents(&self, definition: &Value, entry: &Entry) -> Result<bool, SettleError> {
        let is_held_by_us = definition["metadata"]["finalizers"]
            .as_array()
            .is_some_and(|finalizers| finalizers.iter().any(|finalizer| finalizer == CLEANUP_FINALIZER));
        if !is_held_by_us {
            return Ok(true);
        }
        let progress = ("InstanceDeletionInProgress", "CustomResource deletion is in progress");
        let now = timestamp();
        let now = now.as_str().unwrap_or_default();
        let mut new = definition.clone();
        definition::set_condition(&mut new, "Terminating", "True", progress.0, progress.1, now);
        if new != *definition {
            self.write_status(definition, new, entry).await?;
            return Ok(false);
        }
        let (reason, message) = if definition::is_established(definition) {
            if !self.delete_instances(definition).await? {
                return Ok(true);
            }
            ("InstanceDeletionCompleted", "removed all instances")
        } else {
            ("NeverEstablished", "resource was never established")
        };
        definition::set_condition(&mut new, "Terminating", "False", reason, message, now);
        if let Some(finalizers) = new["metadata"]["finalizers"].as_array_mut() {
            finalizers.retain(|finalizer| finalizer != CLEANUP_FINALIZER);
        }
        if is_held(&new) {
            self.write_status(definition, new, entry).await?;
        } else {
            self.commit_if_unchanged(entry, Write::Delete).await?;
        }
        Ok(false)
    }

    /// Whether there are no objects left. One with finalizers stays until they are gone.
    async fn delete_instances(&self, definition: &Value) -> Result<bool, SettleError> {
        let (group, plural) = (&definition["spec"]["group"], &definition["spec"]["names"]["plural"]);
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let prefix = prefix_of(&text(group), &text(plural));
        let mut after: Option<String> = None;
        let mut are_gone = true;
        loop {
            let request = RangeRequest {
                prefix: &prefix,
                after: after.as_deref(),
                limit: Some(store::LIMITS.commit_changes.min(LIMITS.list_page)),
                ..RangeRequest::default()
            };
            let range = self.store.range(request).await?;
            let Some(last) = range.entries.last() else { return Ok(are_gone) };
            after = Some(last.key.to_string());
            let mut changes = Vec::new();
            for entry in &range.entries {
                match removal(entry) {
                    Some(Write::Delete) => changes.push(change(entry, Write::Delete)),
                    Some(marked) => {
                        self.commit_if_unchanged(entry, marked).await?;
                        are_gone = false;
                    }
                    None => are_gone = false,
                }
            }
            if !changes.is_empty()
                && let Err(error) = self.store.commit(Commit { changes }).await
            {
                match error {
                    // Somebody changed one of them; they are looked at again.
                    StoreError::Conflict(_) => after = None,
                    error => return Err(error.into()),
                }
            }
        }
    }
}

/// Records who changed the status.
fn owned_by_server(served: &Served, old: &Value, new: Value) -> Value {
    let Served { types, api_version, resource, .. } = served;
    let fields = FieldManager::new(types, &OneVersion, api_version, &resource.kind, "status");
    fields.resetting(FieldSet::of(&[&["spec"]]), false).update(Some(old), new, MANAGER, Utc::now())
}

fn change(entry: &Entry, write: Write) -> Change {
    Change { key: entry.key.clone(), require: Require::ModRevision(entry.mod_revision), write }
}

/// What deleting an object means: it goes, or it is marked because finalizers hold it, or it was marked before.
fn removal(entry: &Entry) -> Option<Write> {
    let mut object: Value = serde_json::from_slice(&entry.value).unwrap_or_default();
    if !is_held(&object) {
        return Some(Write::Delete);
    }
    if !object["metadata"]["deletionTimestamp"].is_null() {
        return None;
    }
    object["metadata"]["deletionTimestamp"] = timestamp();
    object["metadata"]["deletionGracePeriodSeconds"] = 0.into();
    count_generation(&mut object);
    Some(Write::Put(object.to_string().into_bytes().into()))
}

/// Why definitions could not be brought up to date.
#[derive(Debug)]
pub(super) enum SettleError {
    Store(StoreError),
    Refusal(Refusal),
}

impl From<StoreError> for SettleError {
    fn from(error: StoreError) -> SettleError {
        SettleError::Store(error)
    }
}

impl From<Refusal> for SettleError {
    fn from(refusal: Refusal) -> SettleError {
        SettleError::Refusal(refusal)
    }
}

impl From<SettleError> for Refusal {
    fn from(error: SettleError) -> Refusal {
        match error {
            SettleError::Store(error) => error.into(),
            SettleError::Refusal(refusal) => refusal,
        }
    }
}
