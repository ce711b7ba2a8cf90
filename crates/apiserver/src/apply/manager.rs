//! The field manager of one endpoint: what a write means for `managedFields`, whatever the write was.

use super::error::{self, ApplyError};
use super::managed::{self, Managed, ManagerId, Operation, Owned};
use super::set::FieldSet;
use super::updater::{self, Conflict, Failure, Updater};
use super::{LIMITS, Versions, check, compare};
use crate::schema::text;
use crate::types::{self, Types};
use chrono::{DateTime, Utc};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";

/// The metadata that nobody owns.
const SYSTEM_FIELDS: [&[&str]; 12] = [
    &["apiVersion"],
    &["kind"],
    &["metadata"],
    &["metadata", "name"],
    &["metadata", "namespace"],
    &["metadata", "creationTimestamp"],
    &["metadata", "selfLink"],
    &["metadata", "uid"],
    &["metadata", "clusterName"],
    &["metadata", "generation"],
    &["metadata", "managedFields"],
    &["metadata", "resourceVersion"],
];

/// Keeps `managedFields` for one endpoint of one kind.
pub struct FieldManager<'a> {
    api_version: &'a str,
    kind: &'a str,
    subresource: &'a str,
    types: &'a Types,
    versions: &'a dyn Versions,
    reset: FieldSet,
    reset_all_versions: bool,
}

impl std::fmt::Debug for FieldManager<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("FieldManager")
            .field("api_version", &self.api_version)
            .field("kind", &self.kind)
            .field("subresource", &self.subresource)
            .finish_non_exhaustive()
    }
}

impl<'a> FieldManager<'a> {
    /// For an endpoint (`""` or the subresource's name) that can change all fields.
    pub fn new(
        types: &'a Types,
        versions: &'a dyn Versions,
        api_version: &'a str,
        kind: &'a str,
        subresource: &'a str,
    ) -> Self {
        let reset = FieldSet::default();
        Self { api_version, kind, subresource, types, versions, reset, reset_all_versions: false }
    }

    /// Names the fields that this endpoint puts back as they were: nobody comes to own them through it.
    ///
    /// `all_versions` says that this also holds for what managers of other versions own.
    #[must_use]
    pub fn resetting(mut self, fields: FieldSet, all_versions: bool) -> Self {
        self.reset = fields;
        self.reset_all_versions = all_versions;
        self
    }

    /// Records what a write that is no apply changed: a creation (`live` is nothing), an update, a patch.
    ///
    /// An object whose ownership cannot be worked out loses it; a write never fails for it.
    pub fn update(&self, live: Option<&Value>, mut new: Value, manager: &str, now: DateTime<Utc>) -> Value {
        let empty = self.empty();
        let live = live.unwrap_or(&empty);
        let managed = self.ownership_before(live, &new);
        managed::strip(&mut new);
        if managed.managers.is_empty() && has_uid(live) {
            return new;
        }
        if let Ok(managed) = self.updated(live, &new, managed, manager, now) {
            managed.encode(&mut new);
        }
        new
    }

    /// The object with a configuration applied; `live` is nothing if there is no object yet.
    pub fn apply(
        &self,
        live: Option<&Value>,
        config: &Value,
        manager: &str,
        force: bool,
        now: DateTime<Utc>,
    ) -> Result<Value, ApplyError> {
        let empty = self.empty();
        let live = live.unwrap_or(&empty);
        let mut managed = Managed::decode(live)
            .map_err(|error| ApplyError::Internal(format!("failed to decode managed fields: {error}")))?;
        self.check_kind(config)?;
        let mut live = live.clone();
        managed::strip(&mut live);
        if managed.managers.is_empty() {
            managed = self.updated(&empty, &live, managed, "before-first-apply", now).map_err(|error| {
                ApplyError::Internal(format!("failed to create manager for existing fields: {error}"))
            })?;
        }
        let outcome = self.applied(&live, config, managed.clone(), manager, force, now);
        let (mut object, managed) = match outcome {
            Err(ApplyError::Conflicts(conflicts)) if manager == "kubectl" => {
                match self.not_allowed_by_last_applied(&live, conflicts) {
                    left if left.is_empty() => self.applied(&live, config, managed, manager, true, now)?,
                    left => return Err(ApplyError::Conflicts(left)),
                }
            }
            outcome => outcome?,
        };
        self.types.normalise(&mut object);
        if manager == "kubectl" {
            keep_last_applied(&mut object, config);
        }
        managed.encode(&mut object);
        Ok(object)
    }

    /// What an object is before anything is in it.
    fn empty(&self) -> Value {
        let mut empty = json!({"apiVersion": self.api_version, "kind": self.kind});
        self.types.normalise(&mut empty);
        empty
    }

    fn updater(&self) -> Updater<'_> {
        Updater {
            versions: self.versions,
            api_version: self.api_version,
            types: self.types,
            reset: &self.reset,
            reset_all_versions: self.reset_all_versions,
        }
    }

    /// A client may write `managedFields` itself, except through a subresource; if it sends none, or
    /// none that can be read, those of the stored object hold.
    fn ownership_before(&self, live: &Value, new: &Value) -> Managed {
        if !self.subresource.is_empty() {
            return Managed::decode_or_none(live);
        }
        if managed::is_reset(new) {
            return Managed::default();
        }
        match Managed::decode(new) {
            Ok(managed) if !managed.managers.is_empty() => managed,
            _ => Managed::decode_or_none(live),
        }
    }

    fn updated(
        &self,
        live: &Value,
        new: &Value,
        managed: Managed,
        manager: &str,
        now: DateTime<Utc>,
    ) -> Result<Managed, String> {
        refuse_too_deep([live, new])?;
        updater::check_live(self.types, new).map_err(|error| {
            format!("failed to convert new object ({}) to smd typed: {error}", error::describe(new))
        })?;
        updater::check_live(self.types, live).map_err(|error| {
            format!("failed to convert live object ({}) to smd typed: {error}", error::describe(live))
        })?;
        let current = ManagerId {
            manager: "current-operation".to_owned(),
            operation: Operation::Update,
            api_version: String::new(),
            subresource: String::new(),
        };
        let Managed { managers, mut times } = managed;
        let mut managers = match self.updater().update(live, new, managers, &current) {
            Ok(managers) => managers,
            Err(Failure::Internal(error)) => {
                let described = error::describe(new);
                return Err(format!("failed to update ManagedFields ({described}): {error}"));
            }
            Err(Failure::Conflicts(_)) => return Err("an update has no conflicts".to_owned()),
        };
        strip_system_fields(&mut managers, &current);
        if let Some(mut owned) = managers.remove(&current) {
            let id = self.manager_id(manager, Operation::Update);
            if let Some(previous) = managers.get(&id) {
                owned.set = owned.set.union(&previous.set);
            }
            managers.insert(id.clone(), owned);
            times.insert(id, self.time(now));
        }
        let mut managed = Managed { managers, times };
        cap_update_managers(&mut managed);
        Ok(managed)
    }

    fn applied(
        &self,
        live: &Value,
        config: &Value,
        managed: Managed,
        manager: &str,
        force: bool,
        now: DateTime<Utc>,
    ) -> Result<(Value, Managed), ApplyError> {
        if managed::is_present(config) {
            return Err(ApplyError::BadRequest("metadata.managedFields must be nil".to_owned()));
        }
        let unusable = |what: &str, object: &Value, error: String| {
            ApplyError::Internal(format!(
                "failed to create typed {what} object ({}): {error}",
                error::describe(object)
            ))
        };
        refuse_too_deep([config]).map_err(|error| unusable("patch", config, error))?;
        refuse_too_deep([live]).map_err(|error| unusable("live", live, error))?;
        updater::check_config(self.types, config).map_err(|error| unusable("patch", config, error))?;
        updater::check_live(self.types, live).map_err(|error| unusable("live", live, error))?;
        let id = self.manager_id(manager, Operation::Apply);
        let Managed { managers, mut times } = managed;
        let (changed, mut managers) = match self.updater().apply(live, config, managers, &id, force) {
            Ok(outcome) => outcome,
            Err(Failure::Conflicts(conflicts)) => return Err(ApplyError::Conflicts(conflicts)),
            Err(Failure::Internal(error)) => return Err(ApplyError::Internal(error)),
        };
        strip_system_fields(&mut managers, &id);
        if changed.is_some() {
            times.insert(id, self.time(now));
        }
        Ok((changed.unwrap_or_else(|| live.clone()), Managed { managers, times }))
    }

    fn manager_id(&self, manager: &str, operation: Operation) -> ManagerId {
        let manager = if manager.is_empty() { "unknown" } else { manager };
        let api_version = if operation == Operation::Apply { "" } else { self.api_version };
        ManagerId {
            manager: manager.to_owned(),
            operation,
            api_version: api_version.to_owned(),
            subresource: self.subresource.to_owned(),
        }
    }

    /// What is owned through a scale has no time.
    fn time(&self, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
        (self.subresource != "scale").then_some(now)
    }

    fn check_kind(&self, config: &Value) -> Result<(), ApplyError> {
        let text = |name| config.get(name).and_then(Value::as_str).unwrap_or_default();
        if text("apiVersion") != self.api_version || text("kind") != self.kind {
            let kind = error::kind(text("apiVersion"), text("kind"));
            return Err(ApplyError::BadRequest(format!("invalid object type: {kind}")));
        }
        Ok(())
    }

    /// Conflicts over values that `kubectl apply` set before it applied on the server's side are none.
    fn not_allowed_by_last_applied(&self, live: &Value, conflicts: Vec<Conflict>) -> Vec<Conflict> {
        match self.owned_by_last_applied(live) {
            Some(allowed) => {
                conflicts.into_iter().filter(|conflict| !allowed.contains(&conflict.path)).collect()
            }
            None => conflicts,
        }
    }

    fn owned_by_last_applied(&self, live: &Value) -> Option<FieldSet> {
        let annotation = types::metadata(live)?.get("annotations")?.get(LAST_APPLIED)?.as_str()?;
        let last: Value = serde_json::from_str(annotation).ok()?;
        if last.get("apiVersion")?.as_str()? != self.api_version || refuse_too_deep([&last]).is_err() {
            return None;
        }
        updater::check_config(self.types, live).ok()?;
        updater::check_config(self.types, &last).ok()?;
        let typed = self.types.root();
        let differs = compare::compare(typed, &last, live).ok()?;
        let applied = check::field_set(typed, &last).ok()?;
        Some(applied.difference(&differs.modified).difference(&differs.added).difference(&differs.removed))
    }
}

fn has_uid(object: &Value) -> bool {
    let uid = types::metadata(object).and_then(|metadata| metadata.get("uid")?.as_str());
    uid.is_some_and(|uid| !uid.is_empty())
}

fn refuse_too_deep<const N: usize>(values: [&Value; N]) -> Result<(), String> {
    match values.iter().any(|value| exceeds(value, LIMITS.depth)) {
        true => Err(format!("nested deeper than {} levels", LIMITS.depth)),
        false => Ok(()),
    }
}

fn exceeds(value: &Value, levels: usize) -> bool {
    match value {
        Value::Array(items) => levels == 0 || items.iter().any(|item| exceeds(item, levels - 1)),
        Value::Object(fields) => levels == 0 || fields.values().any(|field| exceeds(field, levels - 1)),
        _ => false,
    }
}

fn strip_system_fields(managers: &mut managed::Managers, id: &ManagerId) {
    if let Some(owned) = managers.get_mut(id) {
        owned.set = owned.set.difference(&FieldSet::of(&SYSTEM_FIELDS));
        if owned.set.is_empty() {
            managers.remove(id);
        }
    }
}

/// The oldest updates become one for each version, until there are few enough.
fn cap_update_managers(managed: &mut Managed) {
    let Managed { managers, times } = managed;
    let mut updaters: Vec<_> =
        managers.iter().filter(|(_, owned)| !owned.applied).map(|(id, _)| id.clone()).collect();
    let mut count = updaters.len();
    updaters.sort_by_cached_key(|id| {
        let seconds = times.get(id).copied().flatten().map_or(0, |time| time.timestamp());
        (seconds, id.sort_key())
    });
    let mut first_of_version: BTreeMap<String, ManagerId> = BTreeMap::new();
    for id in updaters {
        if count <= LIMITS.update_managers {
            return;
        }
        let Some(Owned { set, api_version, .. }) = managers.get(&id).cloned() else { continue };
        let Some(first) = first_of_version.get(&api_version) else {
            first_of_version.insert(api_version, id);
            continue;
        };
        let bucket = ManagerId {
            manager: "ancient-changes".to_owned(),
            operation: Operation::Update,
            api_version: api_version.clone(),
            subresource: String::new(),
        };
        if !managers.contains_key(&bucket)
            && let Some(oldest) = managers.remove(first)
        {
            managers.insert(bucket.clone(), oldest);
        }
        let before = managers.get(&bucket).map(|owned| owned.set.clone()).unwrap_or_default();
        let time = times.get(&id).copied().flatten();
        managers.remove(&id);
        let set = set.union(&before);
        managers.insert(bucket.clone(), Owned { set, api_version, applied: false });
        times.insert(bucket, time);
        count -= 1;
    }
}

/// Brings the annotation of `kubectl apply` up to date where there is one, so that it still works there.
fn keep_last_applied(object: &mut Value, config: &Value) {
    let Some(annotations) = object.pointer_mut("/metadata/annotations").and_then(Value::as_object_mut) else {
        return;
    };
    if annotations.get(LAST_APPLIED).and_then(Value::as_str).is_none_or(str::is_empty) {
        return;
    }
    let mut config = config.clone();
    if let Some(metadata) = config.get_mut("metadata").and_then(Value::as_object_mut) {
        match metadata.get_mut("annotations").and_then(Value::as_object_mut) {
            Some(theirs) => _ = theirs.shift_remove(LAST_APPLIED),
            None => _ = metadata.shift_remove("annotations"),
        }
    }
    annotations.insert(LAST_APPLIED.to_owned(), Value::String(text::json(&config) + "\n"));
    if size(annotations) > LIMITS.annotation_bytes {
        annotations.shift_remove(LAST_APPLIED);
    }
}

fn size(annotations: &Map<String, Value>) -> usize {
    annotations.iter().map(|(name, value)| name.len() + value.as_str().map_or(0, str::len)).sum()
}
