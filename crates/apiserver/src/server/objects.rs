//! One object at a time: read, created, replaced, and what all writes have in common.

use axum::response::Response;
use chrono::Utc;
use serde_json::Value;

use super::catalog::Served;
use super::raw::{self, Raw};
use super::request::Asked;
use super::{LIMITS, Reached, Server, converting, names, respond};
use crate::admission::Operation;
use crate::apply::keep_times_of_unchanged;
use crate::kinds::event;
use crate::schema::metadata;
use crate::status::{Reason, Refusal};
use crate::store::{Commit, Entry, Require, StoreError, Write};

/// An object of the store, and the revision that it was last changed in.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) object: Value,
    pub(super) revision: u64,
}

/// What a write left behind.
#[derive(Debug)]
pub(super) struct Written {
    pub(super) object: Value,
    pub(super) is_new: bool,
    pub(super) warnings: Vec<String>,
}

/// Why nothing was written.
#[derive(Debug)]
pub(super) enum Unwritten {
    /// Somebody else changed the object meanwhile; the write may be tried again.
    Changed(Refusal),
    Refused(Refusal),
}

impl Unwritten {
    /// A client is warned of what it sent even if it is not stored for another reason.
    pub(super) fn after(mut self, warnings: &[String]) -> Unwritten {
        let (Unwritten::Changed(refusal) | Unwritten::Refused(refusal)) = &mut self;
        // What is said already comes after what was said before it.
        refusal.warnings = [warnings, &*refusal.warnings].concat().into();
        self
    }
}

impl From<Refusal> for Unwritten {
    fn from(refusal: Refusal) -> Unwritten {
        Unwritten::Refused(refusal)
    }
}

impl From<StoreError> for Unwritten {
    fn from(error: StoreError) -> Unwritten {
        Unwritten::Refused(error.into())
    }
}

impl From<Unwritten> for Refusal {
    fn from(unwritten: Unwritten) -> Refusal {
        match unwritten {
            Unwritten::Changed(refusal) | Unwritten::Refused(refusal) => refusal,
        }
    }
}

/// How often a write may still be overtaken by others.
#[derive(Debug)]
pub(super) struct Attempts(usize);

impl Attempts {
    pub(super) fn new() -> Attempts {
        Attempts(LIMITS.write_attempts)
    }

    /// What came of the write; nothing if it is to be tried again.
    pub(super) fn settled<T>(&mut self, outcome: Result<T, Unwritten>) -> Option<Result<T, Refusal>> {
        self.0 = self.0.saturating_sub(1);
        match outcome {
            Err(Unwritten::Changed(_)) if self.0 > 0 => None,
            outcome => Some(outcome.map_err(Refusal::from)),
        }
    }
}

/// The stored object as the client's version of its kind, with the version that the store gave it. Where a webhook
/// converts, it is still in its stored version.
pub(super) fn of_entry(entry: &Entry, served: &Served) -> Result<Value, Refusal> {
    let mut object: Value = serde_json::from_slice(&entry.value).map_err(|error| {
        Refusal::new(500, Reason::InternalError, format!("the stored object cannot be read: {error}"))
    })?;
    let version = entry.mod_revision.to_string().into();
    if let Some(metadata) = object["metadata"].as_object_mut() {
        let after_uid = metadata.keys().position(|name| name == "uid").map_or(0, |place| place + 1);
        metadata.shift_insert(after_uid, "resourceVersion".to_owned(), version);
    }
    match &served.custom {
        None if served.is_event() => event::convert(&mut object, &served.api_version),
        None => object["apiVersion"] = served.api_version.as_str().into(),
        Some(custom) => {
            custom.default(&mut object);
            if let Some(converted) = custom.converted_here(&object, &served.api_version) {
                object = converted.map_err(|problem| converting::failed(&problem))?;
                custom.prune(&mut object);
            }
        }
    }
    Ok(object)
}

impl Server {
    pub(super) async fn answer_get(&self, asked: &Asked) -> Result<Response, Refusal> {
        if let Some(requested) = asked.named_version()?.filter(|&revision| revision > 0) {
            let newest = self.newest_revision().await?;
            if requested > newest {
                return Err(StoreError::Future { requested, newest }.into());
            }
        }
        let key = asked.served.key(asked.namespace.as_deref(), asked.target().name);
        if respond::is_plain(asked)
            && let Some(entry) = self.store.get(&key).await?
            && let Some(raw) = Raw::of(&entry, &asked.served)
        {
            let mut bytes = Vec::with_capacity(raw.len_about());
            raw.write(&mut bytes);
            bytes.push(b'\n');
            return Ok(respond::text(asked, bytes.into()));
        }
        Ok(respond::object(asked, &self.get(asked).await?))
    }

    pub(super) async fn get(&self, asked: &Asked) -> Result<Value, Refusal> {
        self.find(asked).await?.map(|found| found.object).ok_or_else(|| Refusal::not_found(asked.target()))
    }

    pub(super) async fn find(&self, asked: &Asked) -> Result<Option<Found>, Refusal> {
        let name = asked.name.as_deref().unwrap_or_default();
        let key = asked.served.key(asked.namespace.as_deref(), name);
        let Some(entry) = self.store.get(&key).await? else { return Ok(None) };
        let object = vec![of_entry(&entry, &asked.served)?];
        let object = self.caller.shown_in_version(&asked.served, object).await?.pop();
        Ok(object.map(|object| Found { object, revision: entry.mod_revision }))
    }

    pub(super) async fn create(&self, asked: &Asked, body: Value) -> Result<Written, Refusal> {
        let mut object = asked.decoded(body)?;
        let warnings = asked.understood(&mut object)?;
        let prefix = object["metadata"]["generateName"].as_str().unwrap_or_default().to_owned();
        let is_named = object["metadata"]["name"].as_str().is_some_and(|name| !name.is_empty());
        let is_generated = !is_named && !prefix.is_empty();
        if !is_generated {
            return self.create_named(asked, object, warnings).await;
        }
        let mut attempts = LIMITS.name_attempts;
        loop {
            attempts -= 1;
            object["metadata"]["name"] = names::generated(&prefix).into();
            match self.create_named(asked, object.clone(), warnings.clone()).await {
                Err(refusal) if refusal.reason == Reason::AlreadyExists && attempts > 0 => {}
                outcome => return outcome,
            }
        }
    }

    async fn create_named(
        &self,
        asked: &Asked,
        mut object: Value,
        warnings: Vec<String>,
    ) -> Result<Written, Refusal> {
        asked.wipe(&mut object);
        let object = asked.field_owner().update(None, object, &asked.field_manager(), Utc::now());
        let stored = self.store_new(asked, object, warnings.clone()).await;
        stored.map_err(|unwritten| Refusal::from(unwritten.after(&warnings)))
    }

    pub(super) async fn update(&self, asked: &Asked, body: Value) -> Result<Written, Refusal> {
        let mut new = asked.decoded(body)?;
        let warnings = asked.understood(&mut new)?;
        if new["metadata"]["name"].as_str().is_none_or(str::is_empty) {
            return Err(asked.no_name());
        }
        asked.fits_path(&new)?;
        let mut attempts = Attempts::new();
        loop {
            let updated = self.update_once(asked, &new, &warnings).await;
            let updated = updated.map_err(|unwritten| unwritten.after(&warnings));
            if let Some(outcome) = attempts.settled(updated) {
                return outcome;
            }
        }
    }

    async fn update_once(
        &self,
        asked: &Asked,
        new: &Value,
        warnings: &[String],
    ) -> Result<Written, Unwritten> {
        let behaviour = asked.served.behaviour();
        let (mut new, warnings) = (new.clone(), warnings.to_vec());
        match self.find(asked).await? {
            None if behaviour.creates_on_update => {
                asked.require_same(&new["metadata"]["uid"], &Value::Null, "UID")?;
                if let Some(metadata) = new["metadata"].as_object_mut() {
                    metadata.remove("resourceVersion");
                }
                asked.wipe(&mut new);
                let new = asked.field_owner().update(None, new, &asked.field_manager(), Utc::now());
                self.store_new(asked, new, warnings).await
            }
            None => Err(Refusal::not_found(asked.target()).into()),
            Some(old) => {
                asked.require_same(&new["metadata"]["uid"], &old.object["metadata"]["uid"], "UID")?;
                asked.require_named_version(&new, &behaviour)?;
                self.replace(asked, new, &old, warnings).await
            }
        }
    }

    /// Stores an object in place of what is there, whose fields then belong to whoever asks.
    pub(super) async fn replace(
        &self,
        asked: &Asked,
        new: Value,
        old: &Found,
        warnings: Vec<String>,
    ) -> Result<Written, Unwritten> {
        asked.require_version(&new, old)?;
        let manager = asked.field_manager();
        let new = asked.field_owner().update(Some(&old.object), new, &manager, Utc::now());
        self.store_changed(asked, new, old, warnings).await
    }

    /// Completes a new object, asks whether it may be, and stores it.
    pub(super) async fn store_new(
        &self,
        asked: &Asked,
        mut object: Value,
        mut warnings: Vec<String>,
    ) -> Result<Written, Unwritten> {
        asked.refuse_while_terminating(object["metadata"]["name"].as_str().unwrap_or_default())?;
        let name = object["metadata"]["name"].as_str().unwrap_or_default().to_owned();
        let namespace = self.required_namespace(asked, &name).await?;
        warnings.extend(metadata::warnings(&object, None));
        asked.begin(&mut object);
        warnings.extend(self.mutate(asked, Operation::Create, &mut object, None).await?);
        let prepared = self.prepare_new(asked, &mut object)?;
        refuse_version(&mut object)?;
        warnings.extend(prepared.warnings.iter().cloned());
        warnings.extend(self.judge(asked, Operation::Create, &object, None).await?);
        let committed = self.commit(asked, object, None, namespace).await;
        let mut written = committed.map_err(|unwritten| unwritten.after(&warnings))?;
        if !asked.is_dry_run() {
            prepared.keep();
        }
        written.warnings = warnings;
        Ok(written)
    }

    /// Completes an object that is to replace another, asks whether it may, and stores it.
    pub(super) async fn store_changed(
        &self,
        asked: &Asked,
        mut object: Value,
        old: &Found,
        mut warnings: Vec<String>,
    ) -> Result<Written, Unwritten> {
        warnings.extend(metadata::warnings(&object, Some(&old.object)));
        warnings.extend(self.mutate(asked, Operation::Update, &mut object, Some(&old.object)).await?);
        asked.carried_over(&mut object, &old.object);
        object["metadata"]["resourceVersion"] = old.revision.to_string().into();
        let prepared = self.prepare_changed(asked, &mut object, &old.object)?;
        warnings.extend(prepared.warnings.iter().cloned());
        warnings.extend(self.judge(asked, Operation::Update, &object, Some(&old.object)).await?);
        let mut written =
            self.write(asked, object, old).await.map_err(|unwritten| unwritten.after(&warnings))?;
        if !asked.is_dry_run() {
            prepared.keep();
        }
        written.warnings = warnings;
        Ok(written)
    }

    /// Stores an object in place of another, if they differ. It goes if nothing holds it any longer.
    pub(super) async fn write(
        &self,
        asked: &Asked,
        mut object: Value,
        old: &Found,
    ) -> Result<Written, Unwritten> {
        keep_times_of_unchanged(&mut object, &old.object);
        object["metadata"]["resourceVersion"] = old.object["metadata"]["resourceVersion"].clone();
        if object == old.object {
            return Ok(Written { object, is_new: false, warnings: Vec::new() });
        }
        self.refuse_escalation(asked, &object, Some(&old.object)).await?;
        self.commit(asked, object, Some(old), None).await
    }

    async fn commit(
        &self,
        asked: &Asked,
        mut object: Value,
        old: Option<&Found>,
        namespace: Option<Require>,
    ) -> Result<Written, Unwritten> {
        let is_new = old.is_none();
        if is_new {
            self.refuse_escalation(asked, &object, None).await?;
        }
        let name = object["metadata"]["name"].as_str().unwrap_or_default().to_owned();
        let key = asked.served.key(asked.namespace.as_deref(), &name);
        let is_gone = is_to_go(&object);
        let write = if is_gone {
            Write::Delete
        } else {
            Write::Put(self.in_storage_version(asked, &mut object).await?)
        };
        let require = old.map_or(Require::Absent, |old| Require::ModRevision(old.revision));
        if asked.is_dry_run() {
            if is_new && let Some(there) = self.store.get(&key).await? {
                return Err(already_exists(asked, &name, is_going(&there)).into());
            }
            return Ok(Written { object, is_new, warnings: Vec::new() });
        }
        let mut commit = Commit::one(key.clone(), require, write);
        commit.changes.extend(namespace.map(|require| asked.namespace_change(require)));
        let committed = self.store.commit(commit).await.map_err(|error| match error {
            StoreError::Conflict(conflict) if is_new && *conflict.key == *key => {
                let is_going = conflict.found.as_ref().is_some_and(is_going);
                already_exists(asked, &name, is_going).into()
            }
            StoreError::Conflict(_) => Unwritten::Changed(asked.was_changed()),
            other => other.into(),
        })?;
        if !is_gone {
            object["metadata"]["resourceVersion"] = committed.revision.to_string().into();
        } else {
            self.gone(&asked.served, &object).await?;
        }
        Ok(Written { object, is_new, warnings: Vec::new() })
    }

    /// What is stored of an object. It becomes what is read back, which conversion may have changed.
    async fn in_storage_version(&self, asked: &Asked, object: &mut Value) -> Result<bytes::Bytes, Refusal> {
        let served = &*asked.served;
        if served.custom.is_none() || served.api_version == served.storage_api_version {
            return Ok(stored(object, served)?.into());
        }
        let converted = self.caller.converted_one(served, object, &served.storage_api_version).await?;
        *object = self.caller.converted_one(served, &converted, &served.api_version).await?;
        Ok(stored(&converted, served)?.into())
    }
}

/// As it is kept: in the stored version, and without the version that the store itself knows.
pub(super) fn stored(object: &Value, served: &Served) -> Result<Vec<u8>, Refusal> {
    let bytes = if served.is_event() {
        let mut object = object.clone();
        event::convert(&mut object, event::STORED);
        raw::stored(&object, event::STORED)
    } else {
        raw::stored(object, &served.storage_api_version)
    };
    if bytes.len() > LIMITS.object_bytes {
        Reached::ObjectBytes.count();
        // In the words that clients of a real server know.
        return Err(Refusal::unclassified("etcdserver: request is too large"));
    }
    Ok(bytes)
}

fn already_exists(asked: &Asked, name: &str, is_going: bool) -> Refusal {
    let mut refusal = Refusal::already_exists(asked.target_named(name));
    if is_going {
        refusal.message.insert_str(0, "object is being deleted: ");
    }
    refusal
}

/// Whether what is there waits for its finalizers.
fn is_going(entry: &Entry) -> bool {
    let object: Value = serde_json::from_slice(&entry.value).unwrap_or_default();
    object["metadata"]["deletionTimestamp"].is_string()
}

/// The store gives versions, nobody else.
fn refuse_version(object: &mut Value) -> Result<(), Refusal> {
    let Some(metadata) = object["metadata"].as_object_mut() else { return Ok(()) };
    let given = metadata.remove("resourceVersion");
    let given = given.as_ref().and_then(Value::as_str).and_then(|text| text.parse::<u64>().ok());
    match given {
        None | Some(0) => Ok(()),
        Some(_) => {
            let message = "resourceVersion should not be set on objects to be created";
            Err(Refusal::new(500, Reason::None, message))
        }
    }
}

/// Whether a finalizer keeps the object from going.
pub(super) fn is_held(object: &Value) -> bool {
    let is_filled = |list: &Value| list.as_array().is_some_and(|finalizers| !finalizers.is_empty());
    let is_namespace = object["kind"] == "Namespace" && object["apiVersion"] == "v1";
    is_filled(&object["metadata"]["finalizers"]) || is_namespace && is_filled(&object["spec"]["finalizers"])
}

/// Whether an object that was deleted before has nothing left to wait for.
fn is_to_go(object: &Value) -> bool {
    let metadata = &object["metadata"];
    let has_time = metadata["deletionGracePeriodSeconds"].as_i64().is_some_and(|seconds| seconds > 0);
    metadata["deletionTimestamp"].is_string() && !has_time && !is_held(object)
}

pub(super) fn count_generation(object: &mut Value) {
    let generation = object["metadata"]["generation"].as_i64().unwrap_or(0);
    object["metadata"]["generation"] = generation.saturating_add(1).into();
}
