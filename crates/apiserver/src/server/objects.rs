//! One object at a time: read, created, replaced, patched, deleted.

use chrono::Utc;
use serde_json::{Map, Value, json};

use super::catalog::Served;
use super::converting;
use super::list::List;
use super::patched::Patched;
use super::request::{Asked, FieldValidation};
use super::{LIMITS, Reached, Server, names, timestamp};
use crate::admission::{self, Operation};
use crate::apply::{ApplyError, FieldManager, FieldSet, keep_times_of_unchanged};
use crate::kinds::rbac;
use crate::patch::{self, PatchError};
use crate::schema::{FieldError, metadata};
use crate::status::{Reason, Refusal};
use crate::store::{Commit, Entry, Require, StoreError, Write};

/// What a write left behind.
#[derive(Debug)]
pub(super) struct Written {
    pub(super) object: Value,
    pub(super) is_new: bool,
    pub(super) warnings: Vec<String>,
}

/// The stored object as the client's version of its kind, with the version that the store gave it. Where a webhook
/// converts, it is still in its stored version.
pub(super) fn of_entry(entry: &Entry, served: &Served) -> Result<Value, Refusal> {
    let mut object: Value = serde_json::from_slice(&entry.value).map_err(|error| {
        Refusal::new(500, Reason::InternalError, format!("the stored object cannot be read: {error}"))
    })?;
    object["metadata"]["resourceVersion"] = entry.mod_revision.to_string().into();
    match &served.custom {
        None => object["apiVersion"] = served.api_version.as_str().into(),
        Some(custom) => {
            if let Some(converted) = custom.converted_here(&object, &served.api_version) {
                object = converted.map_err(|problem| converting::failed(&problem))?;
                custom.coerce(&mut object);
            }
        }
    }
    Ok(object)
}

impl Server {
    pub(super) async fn get(&self, asked: &Asked) -> Result<Value, Refusal> {
        self.find(asked).await?.map(|(object, _)| object).ok_or_else(|| Refusal::not_found(asked.target()))
    }

    async fn find(&self, asked: &Asked) -> Result<Option<(Value, u64)>, Refusal> {
        let name = asked.name.as_deref().unwrap_or_default();
        let key = asked.served.key(asked.namespace.as_deref(), name);
        let Some(entry) = self.store.get(&key).await? else { return Ok(None) };
        let object = vec![of_entry(&entry, &asked.served)?];
        let object = self.caller.shown_in_version(&asked.served, object).await?.pop();
        Ok(object.map(|object| (object, entry.mod_revision)))
    }

    pub(super) async fn create(&self, asked: &Asked, body: Value) -> Result<Written, Refusal> {
        let mut object = asked.decoded(body)?;
        let prefix = object["metadata"]["generateName"].as_str().unwrap_or_default().to_owned();
        let is_named = object["metadata"]["name"].as_str().is_some_and(|name| !name.is_empty());
        let is_generated = !is_named && !prefix.is_empty();
        for _ in 0..LIMITS.name_attempts {
            if is_generated {
                object["metadata"]["name"] = names::generated(&prefix).into();
            }
            match self.create_named(asked, object.clone()).await {
                Err(refusal) if is_generated && refusal.reason == Reason::AlreadyExists => {}
                outcome => return outcome,
            }
        }
        Err(Refusal::already_exists(
            asked.target_named(object["metadata"]["name"].as_str().unwrap_or_default()),
        ))
    }

    async fn create_named(&self, asked: &Asked, mut object: Value) -> Result<Written, Refusal> {
        asked.refuse_while_terminating(object["metadata"]["name"].as_str().unwrap_or_default())?;
        let mut warnings = asked.pruned(&mut object)?;
        let fields = object["metadata"].as_object_mut().map(std::mem::take).unwrap_or_default();
        object["metadata"] = Value::Object(asked.metadata_of_new(fields));
        if asked.served.has_status()
            && !asked.keeps_status()
            && let Some(object) = object.as_object_mut()
        {
            object.remove("status");
        }
        asked.defaulted(&mut object);
        let mut object = asked.field_owner().update(None, object, &asked.field_manager(), Utc::now());
        asked.begin_built_in(&mut object);
        self.admit(asked, Operation::Create, &mut object, None, &mut warnings).await?;
        self.write(asked, object, None, warnings).await
    }

    pub(super) async fn update(&self, asked: &Asked, body: Value) -> Result<Written, Refusal> {
        let new = asked.decoded(body)?;
        if new["metadata"]["name"].as_str() != asked.name.as_deref() {
            let (inside, outside) =
                (new["metadata"]["name"].as_str().unwrap_or_default(), asked.target().name);
            return Err(Refusal::bad_request(format!(
                "the name of the object ({inside}) does not match the name on the URL ({outside})"
            )));
        }
        let Some((old, revision)) = self.find(asked).await? else {
            return Err(Refusal::not_found(asked.target()));
        };
        self.replace(asked, new, &old, revision).await
    }

    pub(super) async fn patch(&self, asked: &Asked, body: Value) -> Result<Written, Refusal> {
        let found = self.find(asked).await?;
        let media = asked.content_type.split(';').next().unwrap_or_default().trim();
        if media == "application/apply-patch+yaml" {
            return self.apply(asked, &body, found).await;
        }
        let (old, revision) = found.ok_or_else(|| Refusal::not_found(asked.target()))?;
        let patched = match media {
            "application/json-patch+json" => patch::json(&old, &body),
            "application/merge-patch+json" => patch::merge(&old, &body),
            "application/strategic-merge-patch+json" if asked.served.schema.is_none() => {
                patch::strategic(&old, &body, &asked.served.types)
            }
            _ => return Err(asked.unsupported_patch(media)),
        };
        let how = match media {
            "application/strategic-merge-patch+json" => Patched::Strategically(&body),
            _ => Patched::Text,
        };
        let object = patched.map_err(|error| asked.refused_patch(&error))?;
        let (asked, new) = asked.patched(object, how)?;
        let new = asked.decoded(new)?;
        self.replace(&asked, new, &old, revision).await
    }

    async fn apply(
        &self,
        asked: &Asked,
        config: &Value,
        found: Option<(Value, u64)>,
    ) -> Result<Written, Refusal> {
        let Some(manager) = asked.parameter("fieldManager") else {
            let message = "PatchOptions.meta.k8s.io \"\" is invalid: fieldManager: Required value: is required for apply patch";
            return Err(Refusal::new(422, Reason::Invalid, message));
        };
        let force = asked.parameter("force") == Some("true");
        let live = found.as_ref().map(|(object, _)| object);
        let applied = asked.field_owner().apply(live, config, manager, force, Utc::now());
        let mut object = applied.map_err(|error| asked.refused_apply(&error))?;
        asked.complete_built_in(&mut object);
        match &found {
            Some((old, revision)) => {
                asked.carried_over(&mut object, old);
                asked.defaulted(&mut object);
                let mut warnings = Vec::new();
                self.admit(asked, Operation::Update, &mut object, Some(old), &mut warnings).await?;
                self.write(asked, object, Some((old, *revision)), warnings).await
            }
            None => {
                asked.refuse_while_terminating(asked.target().name)?;
                object["metadata"]["name"] = asked.target().name.into();
                let fields = object["metadata"].as_object_mut().map(std::mem::take).unwrap_or_default();
                let managed = fields.get("managedFields").cloned();
                let mut fields = asked.metadata_of_new(fields);
                fields.extend(managed.map(|managed| ("managedFields".to_owned(), managed)));
                object["metadata"] = Value::Object(fields);
                asked.defaulted(&mut object);
                asked.begin_built_in(&mut object);
                let mut warnings = Vec::new();
                self.admit(asked, Operation::Create, &mut object, None, &mut warnings).await?;
                self.write(asked, object, None, warnings).await
            }
        }
    }

    async fn replace(
        &self,
        asked: &Asked,
        mut new: Value,
        old: &Value,
        revision: u64,
    ) -> Result<Written, Refusal> {
        let mut warnings = asked.pruned(&mut new)?;
        let given = new["metadata"]["resourceVersion"].as_str().unwrap_or_default();
        if !given.is_empty() && *given != revision.to_string() {
            return Err(asked.was_changed());
        }
        asked.require_same(&new["metadata"]["uid"], &old["metadata"]["uid"], "UID")?;
        asked.carried_over(&mut new, old);
        asked.defaulted(&mut new);
        let mut new = asked.field_owner().update(Some(old), new, &asked.field_manager(), Utc::now());
        asked.carry_built_in(&mut new, old);
        self.admit(asked, Operation::Update, &mut new, Some(old), &mut warnings).await?;
        self.write(asked, new, Some((old, revision)), warnings).await
    }

    /// Stores the object, if there is anything to store.
    pub(super) async fn write(
        &self,
        asked: &Asked,
        mut object: Value,
        old: Option<(&Value, u64)>,
        warnings: Vec<String>,
    ) -> Result<Written, Refusal> {
        if let Some((old, _)) = old {
            keep_times_of_unchanged(&mut object, old);
            object["metadata"]["resourceVersion"] = old["metadata"]["resourceVersion"].clone();
            if object == *old {
                return Ok(Written { object, is_new: false, warnings });
            }
        }
        self.refuse_escalation(asked, &object, old.map(|(old, _)| old)).await?;
        let is_new = old.is_none();
        let name = object["metadata"]["name"].as_str().unwrap_or_default().to_owned();
        let key = asked.served.key(asked.namespace.as_deref(), &name);
        let is_gone = object["metadata"]["deletionTimestamp"].is_string() && !is_held(&object);
        let require = old.map_or(Require::Absent, |(_, revision)| Require::ModRevision(revision));
        let write =
            if is_gone { Write::Delete } else { Write::Put(self.in_storage_version(asked, &object).await?) };
        if !asked.is_dry_run()? {
            let committed = self.store.commit(Commit::one(key, require, write)).await;
            let committed = committed.map_err(|error| match error {
                StoreError::Conflict(_) if is_new => Refusal::already_exists(asked.target_named(&name)),
                StoreError::Conflict(_) => asked.was_changed(),
                other => other.into(),
            })?;
            object["metadata"]["resourceVersion"] = committed.revision.to_string().into();
            if is_gone {
                self.settle_if_terminating(&asked.served).await?;
            }
        }
        Ok(Written { object, is_new, warnings })
    }

    async fn in_storage_version(&self, asked: &Asked, object: &Value) -> Result<bytes::Bytes, Refusal> {
        let served = &*asked.served;
        if served.custom.is_none() || served.api_version == served.storage_api_version {
            return Ok(stored(object, served)?.into());
        }
        let converted = self.caller.converted_one(served, object, &served.storage_api_version).await?;
        Ok(stored(&converted, served)?.into())
    }

    /// The object as it was, or as it is while somebody's finalizer still holds it.
    pub(super) async fn delete(&self, asked: &Asked, options: &Value) -> Result<Written, Refusal> {
        let Some((old, revision)) = self.find(asked).await? else {
            return Err(Refusal::not_found(asked.target()));
        };
        let (conditions, there) = (&options["preconditions"], &old["metadata"]);
        asked.require_same(&conditions["uid"], &there["uid"], "UID")?;
        asked.require_same(&conditions["resourceVersion"], &there["resourceVersion"], "ResourceVersion")?;
        let mut warnings = self.mutate(asked, Operation::Delete, &mut Value::Null, Some(&old)).await?;
        warnings.extend(self.judge(asked, Operation::Delete, &Value::Null, Some(&old)).await?);
        if asked.served.is_definition() {
            return self.delete_definition(asked, &old, revision).await;
        }
        let mut object = old.clone();
        if object["metadata"]["deletionTimestamp"].is_null() {
            object["metadata"]["deletionTimestamp"] = timestamp();
            object["metadata"]["deletionGracePeriodSeconds"] = 0.into();
            if asked.served.has_generation() {
                count_generation(&mut object);
            }
        }
        self.write(asked, object, Some((&old, revision)), warnings).await
    }

    /// Lets webhooks change the object, judges it, and lets webhooks judge it.
    async fn admit(
        &self,
        asked: &Asked,
        operation: Operation,
        object: &mut Value,
        old: Option<&Value>,
        warnings: &mut Vec<String>,
    ) -> Result<(), Refusal> {
        let before = object.clone();
        warnings.extend(self.mutate(asked, operation, object, old).await?);
        if let Some(old) = old.filter(|_| *object != before) {
            asked.carried_over(object, old);
        }
        asked.completed(object, old)?;
        warnings.extend(self.judge(asked, operation, object, old).await?);
        Ok(())
    }
}

impl Server {
    /// Deletes every object that a list with the same selectors has; each by itself, as of when its turn comes.
    pub(super) async fn delete_collection(&self, asked: &Asked, options: &Value) -> Result<List, Refusal> {
        let mut list = self.list(asked).await?;
        for item in &mut list.items {
            let text = |value: &Value| value.as_str().map(str::to_owned);
            let metadata = &item["metadata"];
            let one = asked.about(text(&metadata["namespace"]), text(&metadata["name"]));
            match self.delete(&one, options).await {
                Ok(deleted) => *item = deleted.object,
                // Somebody else was faster.
                Err(refusal) if refusal.reason == Reason::NotFound => {}
                Err(refusal) => return Err(refusal),
            }
        }
        Ok(list)
    }
}

/// As it is kept: in the stored version, and without the version that the store itself knows.
pub(super) fn stored(object: &Value, served: &Served) -> Result<Vec<u8>, Refusal> {
    let mut object = object.clone();
    object["apiVersion"] = served.storage_api_version.as_str().into();
    if let Some(metadata) = object["metadata"].as_object_mut() {
        metadata.remove("resourceVersion");
    }
    let bytes = object.to_string().into_bytes();
    if bytes.len() > LIMITS.object_bytes {
        Reached::ObjectBytes.count();
        let message =
            format!("the object is too large: {} bytes, at most {}", bytes.len(), LIMITS.object_bytes);
        return Err(Refusal::new(413, Reason::RequestEntityTooLarge, message));
    }
    Ok(bytes)
}

/// Whether a finalizer keeps the object from going.
pub(super) fn is_held(object: &Value) -> bool {
    object["metadata"]["finalizers"].as_array().is_some_and(|finalizers| !finalizers.is_empty())
}

pub(super) fn count_generation(object: &mut Value) {
    let generation = object["metadata"]["generation"].as_i64().unwrap_or(0);
    object["metadata"]["generation"] = generation.saturating_add(1).into();
}

impl Asked {
    /// Who owns which field, for this endpoint: what it puts back as it was, nobody comes to own through it.
    fn field_owner(&self) -> FieldManager<'_> {
        let Served { types, api_version, resource, schema, .. } = &*self.served;
        let subresource = self.subresource.as_deref().unwrap_or_default();
        let manager =
            FieldManager::new(types, self.served.versions(), api_version, &resource.kind, subresource);
        match (self.is_status(), schema.is_some()) {
            (true, true) => manager.resetting(FieldSet::of(&[&["metadata"], &["spec"]]), true),
            (true, false) => manager.resetting(FieldSet::of(&[&["spec"]]), false),
            (false, _) if self.served.has_status() => manager.resetting(FieldSet::of(&[&["status"]]), false),
            (false, _) => manager,
        }
    }

    /// The object of a body, which must be of the kind and in the place that the path names.
    pub(super) fn decoded(&self, mut object: Value) -> Result<Value, Refusal> {
        let resource = &self.served.resource;
        let Some(fields) = object.as_object_mut() else {
            return Err(Refusal::bad_request("the object provided is unrecognized: it is no JSON object"));
        };
        fields.entry("apiVersion").or_insert_with(|| resource.api_version().into());
        fields.entry("kind").or_insert_with(|| resource.kind.clone().into());
        fields.entry("metadata").or_insert_with(|| json!({}));
        if let Some(error) = metadata::decode_error(&object["metadata"]) {
            return Err(Refusal::bad_request(error));
        }
        let (api_version, kind) = (resource.api_version(), &resource.kind);
        if object["apiVersion"] != api_version.as_str() {
            let given = object["apiVersion"].as_str().unwrap_or_default();
            let message = format!(
                "the API version in the data ({given}) does not match the expected API version ({api_version})"
            );
            return Err(Refusal::bad_request(message));
        }
        if object["kind"] != kind.as_str() {
            let given = object["kind"].as_str().unwrap_or_default();
            let message = format!("the kind in the data ({given}) does not match the expected kind ({kind})");
            return Err(Refusal::bad_request(message));
        }
        let namespace = object["metadata"]["namespace"].as_str().unwrap_or_default();
        if !namespace.is_empty() && Some(namespace) != self.namespace.as_deref() {
            return Err(Refusal::bad_request(
                "the namespace of the provided object does not match the namespace sent on the request",
            ));
        }
        if let Some(namespace) = &self.namespace {
            object["metadata"]["namespace"] = namespace.as_str().into();
        }
        self.complete_definition(&mut object);
        self.complete_built_in(&mut object);
        if self.served.is_webhook_configuration() {
            admission::validate::complete(&mut object, self.served.resource.plural.starts_with("mutating"));
        }
        Ok(object)
    }

    /// Takes away what the schema does not know; the warnings say what.
    pub(super) fn pruned(&self, object: &mut Value) -> Result<Vec<String>, Refusal> {
        let mut unknown = self.strict.clone();
        if let Some(schema) = &self.served.schema {
            unknown.extend(schema.prune(object).iter().map(ToString::to_string));
        }
        match self.field_validation() {
            FieldValidation::Strict if !unknown.is_empty() => {
                let resource = &self.served.resource;
                let message = format!(
                    "{0} in version \"{1}\" cannot be handled as a {0}: strict decoding error: {2}",
                    resource.kind,
                    resource.version,
                    unknown.join(", ")
                );
                Err(Refusal::bad_request(message))
            }
            FieldValidation::Warn => {
                let line = |text: &String| text.rsplit("\n  ").next().unwrap_or_default().to_owned();
                Ok(unknown.iter().map(line).collect())
            }
            FieldValidation::Strict | FieldValidation::Ignore => Ok(Vec::new()),
        }
    }

    /// What the server itself says of a new object.
    fn metadata_of_new(&self, mut fields: Map<String, Value>) -> Map<String, Value> {
        for field in [
            "resourceVersion",
            "selfLink",
            "deletionTimestamp",
            "deletionGracePeriodSeconds",
            "managedFields",
            "generation",
        ] {
            fields.remove(field);
        }
        if let Some(namespace) = &self.namespace {
            fields.insert("namespace".to_owned(), namespace.as_str().into());
        }
        fields.insert("uid".to_owned(), names::uid().into());
        fields.insert("creationTimestamp".to_owned(), timestamp());
        if self.served.has_generation() {
            fields.insert("generation".to_owned(), 1.into());
        }
        fields
    }

    /// What a write cannot change, because it is the server's or belongs to the other endpoint.
    fn carried_over(&self, new: &mut Value, old: &Value) {
        if self.is_status() {
            let (status, metadata) = (new["status"].take(), new["metadata"].take());
            *new = old.clone();
            new["status"] = status;
            for field in ["managedFields", "labels", "annotations", "finalizers", "ownerReferences"] {
                // Only of built-in kinds can metadata be changed through the status.
                if field == "managedFields" || self.served.schema.is_none() {
                    new["metadata"][field] = metadata[field].clone();
                }
            }
        } else if self.served.has_status() {
            new["status"] = old["status"].clone();
        }
        for field in [
            "uid",
            "creationTimestamp",
            "deletionTimestamp",
            "deletionGracePeriodSeconds",
            "generation",
            "namespace",
            "name",
        ] {
            new["metadata"][field] = old["metadata"][field].clone();
        }
        drop_nulls(new);
        drop_nulls(&mut new["metadata"]);
        let is_changed =
            new.as_object().into_iter().flatten().any(|(field, value)| {
                !matches!(field.as_str(), "metadata" | "status" | "apiVersion" | "kind")
                    && old.get(field) != Some(value)
            }) || old.as_object().into_iter().flatten().any(|(field, _)| new.get(field).is_none());
        if self.served.has_generation() && !self.is_status() && is_changed {
            count_generation(new);
        }
    }

    /// Fills in the defaults of a custom kind.
    fn defaulted(&self, object: &mut Value) {
        if let Some(schema) = &self.served.schema {
            schema.default(object);
        }
    }

    /// Refuses what breaks a rule.
    fn completed(&self, object: &mut Value, old: Option<&Value>) -> Result<(), Refusal> {
        let resource = &self.served.resource;
        let mut errors: Vec<FieldError> = match old {
            None if resource.group == rbac::GROUP => Vec::new(),
            None => metadata::validate(object, resource.is_namespaced),
            Some(old) => {
                object["metadata"]["resourceVersion"] = old["metadata"]["resourceVersion"].clone();
                metadata::validate_update(object, old)
            }
        };
        if self.served.is_definition() {
            errors.extend(self.completed_definition(object, old));
        }
        if self.served.is_webhook_configuration() {
            errors.extend(admission::validate::validate(object, old));
        }
        if resource.group == rbac::GROUP {
            rbac::default(object);
            errors.extend(rbac::errors(object, old));
        }
        if let Some(schema) = &self.served.schema {
            schema.default(object);
            errors.extend(match old {
                Some(old) if self.is_status() => schema.judge_status(object, old).errors,
                _ => schema.validate(object, old),
            });
        }
        if errors.is_empty() {
            return Ok(());
        }
        let name = object["metadata"]["name"].as_str().unwrap_or_default();
        Err(Refusal::invalid(&resource.kind, self.target_named(name), &errors))
    }

    /// What the client says of the object, if it says anything, must be so.
    fn require_same(&self, wanted: &Value, there: &Value, what: &str) -> Result<(), Refusal> {
        let Some(wanted) = wanted.as_str().filter(|wanted| *there != **wanted) else { return Ok(()) };
        let there = there.as_str().unwrap_or_default();
        let why =
            format!("Precondition failed: {what} in precondition: {wanted}, {what} in object meta: {there}");
        Err(Refusal::conflict(self.target(), &why))
    }

    fn was_changed(&self) -> Refusal {
        let why =
            "the object has been modified; please apply your changes to the latest version and try again";
        Refusal::conflict(self.target(), why)
    }

    fn unsupported_patch(&self, media: &str) -> Refusal {
        if self.served.schema.is_none() {
            return Refusal::new(415, Reason::UnsupportedMediaType, "415: Unsupported Media Type");
        }
        let supported =
            ["application/json-patch+json", "application/merge-patch+json", "application/apply-patch+yaml"];
        let message = format!(
            "the body of the request was in an unknown format - accepted media types include: {}",
            supported.join(", ")
        );
        let mut refusal = Refusal::new(415, Reason::UnsupportedMediaType, message);
        refusal.details.insert("given".to_owned(), media.into());
        refusal
    }

    fn refused_patch(&self, error: &PatchError) -> Refusal {
        let reason = match error.reason() {
            "Invalid" => Reason::Invalid,
            "BadRequest" => Reason::BadRequest,
            "RequestEntityTooLarge" => Reason::RequestEntityTooLarge,
            _ => Reason::None,
        };
        Refusal::new(error.code(), reason, error.to_string())
    }

    fn refused_apply(&self, error: &ApplyError) -> Refusal {
        let reason = match error.reason() {
            "Conflict" => Reason::Conflict,
            "Invalid" => Reason::Invalid,
            "BadRequest" => Reason::BadRequest,
            _ => Reason::None,
        };
        let mut refusal = Refusal::new(error.code(), reason, error.to_string());
        let causes: Vec<Value> = error
            .causes()
            .iter()
            .map(|cause| json!({"reason": cause.reason, "message": cause.message, "field": cause.field}))
            .collect();
        if !causes.is_empty() {
            refusal.details.insert("causes".to_owned(), causes.into());
        }
        refusal
    }
}

fn drop_nulls(object: &mut Value) {
    if let Some(fields) = object.as_object_mut() {
        fields.retain(|_, value| !value.is_null());
    }
}
