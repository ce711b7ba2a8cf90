//! CustomResourceDefinitions: ordinary objects that say what else is served.

use serde_json::{Value, json};

use super::catalog::{Catalog, Served};
use super::objects::{Written, is_held, of_entry};
use super::request::Asked;
use super::{Server, timestamp};
use crate::status::{Reason, Refusal};
use crate::store::{Change, Commit, Entry, LIMITS, RangeRequest, Require, StoreError, Write};

impl Served {
    pub(super) fn is_definition(&self) -> bool {
        self.resource.group == "apiextensions.k8s.io" && self.resource.plural == "customresourcedefinitions"
    }
}

impl Server {
    /// Serves what the definitions in the store define.
    pub(super) async fn load_definitions(&self) -> Result<(), StoreError> {
        let kinds = self.catalog.snapshot();
        let Some(served) = kinds.values().find(|served| served.is_definition()) else { return Ok(()) };
        let prefix = served.prefix();
        let range = self.store.range(RangeRequest { prefix: &prefix, ..RangeRequest::default() }).await?;
        for entry in &range.entries {
            if let Ok(definition) = of_entry(entry, served) {
                // One that can no longer be used is kept and shown, and serves nothing.
                let _ = self.catalog.define(&definition);
            }
        }
        Ok(())
    }

    /// Creates a definition and serves it. It is established when the answer comes.
    pub(super) async fn define(&self, asked: &Asked, mut definition: Value) -> Result<Written, Refusal> {
        Catalog::check(&definition).map_err(|unusable| {
            let name = definition["metadata"]["name"].as_str().unwrap_or_default();
            let message =
                format!("CustomResourceDefinition.apiextensions.k8s.io {name:?} is invalid: {}", unusable.0);
            Refusal::new(422, Reason::Invalid, message)
        })?;
        complete_names(&mut definition);
        let written = self.create(asked, definition).await?;
        if asked.is_dry_run()? {
            return Ok(written);
        }
        let revision =
            written.object["metadata"]["resourceVersion"].as_str().and_then(|text| text.parse().ok());
        let mut established = written.object.clone();
        established["status"] = status(&established);
        let old = Some((&written.object, revision.unwrap_or_default()));
        let established = self.write(asked, established, old, Vec::new()).await?;
        // It was checked before it was stored.
        let _ = self.catalog.define(&established.object);
        Ok(Written { object: established.object, ..written })
    }

    /// Serves a definition as it was changed.
    pub(super) fn noticed(&self, asked: &Asked, written: Written) -> Written {
        if asked.served.is_definition() {
            // One that can no longer be used serves what it served before.
            let _ = self.catalog.define(&written.object);
        }
        written
    }

    /// With a definition go the objects that it defined.
    pub(super) async fn forget_if_gone(&self, asked: &Asked, definition: &Value) -> Result<(), Refusal> {
        if !asked.served.is_definition() || is_held(definition) || asked.is_dry_run()? {
            return Ok(());
        }
        let defined = self.catalog.forget(definition);
        let Some(prefix) = defined.first().map(|served| served.prefix()) else { return Ok(()) };
        loop {
            let request = RangeRequest {
                prefix: &prefix,
                limit: Some(LIMITS.commit_changes),
                ..RangeRequest::default()
            };
            let range = self.store.range(request).await?;
            if range.entries.is_empty() {
                return Ok(());
            }
            let delete = |entry: &Entry| Change {
                key: entry.key.clone(),
                require: Require::Nothing,
                write: Write::Delete,
            };
            self.store.commit(Commit { changes: range.entries.iter().map(delete).collect() }).await?;
        }
    }
}

fn complete_names(definition: &mut Value) {
    let kind = definition["spec"]["names"]["kind"].as_str().unwrap_or_default().to_owned();
    let names = &mut definition["spec"]["names"];
    if names["singular"].is_null() {
        names["singular"] = kind.to_lowercase().into();
    }
    if names["listKind"].is_null() {
        names["listKind"] = format!("{kind}List").into();
    }
    if definition["spec"]["conversion"].is_null() {
        definition["spec"]["conversion"] = json!({"strategy": "None"});
    }
}

fn status(definition: &Value) -> Value {
    let condition = |kind: &str, reason: &str, message: &str| {
        json!({
            "type": kind, "status": "True", "lastTransitionTime": timestamp(), "reason": reason, "message": message,
        })
    };
    let versions = definition["spec"]["versions"].as_array().map(Vec::as_slice).unwrap_or_default();
    let stored: Vec<&Value> = versions
        .iter()
        .filter(|version| version["storage"] == true)
        .map(|version| &version["name"])
        .collect();
    json!({
        "conditions": [
            condition("NamesAccepted", "NoConflicts", "no conflicts found"),
            condition("Established", "InitialNamesAccepted", "the initial names have been accepted"),
        ],
        "acceptedNames": definition["spec"]["names"], "storedVersions": stored,
    })
}
