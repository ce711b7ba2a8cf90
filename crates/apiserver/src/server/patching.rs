//! Objects that are changed in part, or applied: the patch, and whom its fields belong to.

use chrono::Utc;
use serde_json::{Value, json};

use super::objects::{Attempts, Found, Unwritten, Written};
use super::patched::Patched;
use super::request::Asked;
use super::{Server, scale};
use crate::apply::{ApplyError, uid_mismatch_message};
use crate::patch::{self, PatchError};
use crate::status::{Reason, Refusal};

const APPLY: &str = "application/apply-patch+yaml";

impl Server {
    pub(super) async fn patch(&self, asked: &Asked, body: Value) -> Result<Written, Refusal> {
        // What somebody else has made of the object meanwhile, the patch may fit too.
        let mut attempts = Attempts::new();
        loop {
            if let Some(outcome) = attempts.settled(self.patch_once(asked, &body).await) {
                return outcome;
            }
        }
    }

    async fn patch_once(&self, asked: &Asked, body: &Value) -> Result<Written, Unwritten> {
        let media = asked.content_type.split(';').next().unwrap_or_default().trim();
        let found = self.find(asked).await?;
        if media == APPLY {
            return self.apply(asked, body, found).await;
        }
        let old = found.ok_or_else(|| Refusal::not_found(asked.target()))?;
        let patched = match media {
            "application/json-patch+json" => patch::json(&old.object, body),
            "application/merge-patch+json" => patch::merge(&old.object, body),
            _ => patch::strategic(&old.object, body, &asked.served.types),
        };
        let how = match media {
            "application/strategic-merge-patch+json" => Patched::Strategically(body),
            "application/json-patch+json" => Patched::ByOperations(body),
            _ => Patched::Merged(body),
        };
        let object = patched.map_err(|error| asked.refused_patch(&error))?;
        let (asked, new) = asked.patched(object, how)?;
        let mut new = asked.decoded(new)?;
        let warnings = asked.understood(&mut new)?;
        let replaced = self.replace(&asked, new, &old, warnings.clone()).await;
        replaced.map_err(|unwritten| unwritten.after(&warnings))
    }

    async fn apply(&self, asked: &Asked, config: &Value, found: Option<Found>) -> Result<Written, Unwritten> {
        let manager = asked.parameter("fieldManager").unwrap_or_default();
        asked.fits_path(config)?;
        let (metadata, target) = (&config["metadata"], asked.target());
        if found.is_none() && asked.subresource.is_some() && !asked.served.behaviour().creates_on_update {
            return Err(Refusal::not_found(target).into());
        }
        let uid = metadata["uid"].as_str().unwrap_or_default();
        if found.is_none() && !uid.is_empty() {
            let message = uid_mismatch_message(&target.qualified(), target.name, uid);
            return Err(Refusal { message, ..Refusal::conflict(target, "") }.into());
        }
        let force = asked.parameter("force") == Some("true");
        let live = found.as_ref().map(|found| &found.object);
        let applied = asked.field_owner().apply(live, config, manager, force, Utc::now());
        let mut object = applied.map_err(|error| asked.refused_apply(error))?;
        for field in ["resourceVersion", "uid"] {
            // Whom the fields belong to says nothing of these, and the client meant them.
            if found.is_some() && metadata[field].is_string() {
                object["metadata"][field] = metadata[field].clone();
            }
        }
        if let Some(schema) = &asked.served.schema {
            schema.prune(&mut object);
        }
        asked.defaulted(&mut object)?;
        asked.complete_definition(&mut object);
        match &found {
            Some(old) => {
                asked.require_version(&object, old)?;
                self.store_changed(asked, object, old, Vec::new()).await
            }
            None => {
                object["metadata"]["name"] = target.name.into();
                if let Some(metadata) = object["metadata"].as_object_mut() {
                    metadata.remove("selfLink");
                    metadata.remove("resourceVersion");
                }
                self.store_new(asked, object, Vec::new()).await
            }
        }
    }
}

impl Asked {
    pub(super) fn is_apply(&self) -> bool {
        self.content_type.starts_with("application/apply-patch")
    }

    /// Which media types a patch may have is said before anything else about it.
    pub(super) fn check_patch_media(&self) -> Result<(), Refusal> {
        let media = self.content_type.split(';').next().unwrap_or_default().trim();
        let is_built_in = self.served.schema.is_none();
        match media {
            APPLY | "application/json-patch+json" | "application/merge-patch+json" => Ok(()),
            "application/strategic-merge-patch+json" if is_built_in => Ok(()),
            _ => Err(self.unsupported_patch()),
        }
    }

    pub(super) fn unsupported_patch(&self) -> Refusal {
        if self.served.schema.is_none() {
            return Refusal::new(415, Reason::UnsupportedMediaType, "415: Unsupported Media Type");
        }
        let supported =
            ["application/json-patch+json", "application/merge-patch+json", "application/apply-patch+yaml"];
        let message = format!(
            "the body of the request was in an unknown format - accepted media types include: {}",
            supported.join(", ")
        );
        Refusal::new(415, Reason::UnsupportedMediaType, message)
    }

    pub(super) fn refused_patch(&self, error: &PatchError) -> Refusal {
        let reason = match error.reason() {
            "Invalid" => Reason::Invalid,
            "BadRequest" => Reason::BadRequest,
            "RequestEntityTooLarge" => Reason::RequestEntityTooLarge,
            _ => Reason::None,
        };
        Refusal::new(error.code(), reason, error.to_string())
    }

    fn refused_apply(&self, error: ApplyError) -> Refusal {
        let error = match error {
            ApplyError::Conflicts(conflicts) if self.is_scale() => {
                ApplyError::Conflicts(scale::conflicts(conflicts))
            }
            error => error,
        };
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
