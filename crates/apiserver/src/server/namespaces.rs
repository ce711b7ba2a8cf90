//! Namespaces: what is in one needs it, and goes with it.

use serde_json::{Value, json};

use super::Server;
use super::catalog::{Served, key_of};
use super::request::Asked;
use crate::status::{Refusal, Target};
use crate::store::{Change, Require, StoreError, Write};

/// Namespaces that there always are.
const NAMESPACES: [&str; 4] = ["default", "kube-system", "kube-public", "kube-node-lease"];

impl Served {
    pub(super) fn is_namespace(&self) -> bool {
        self.resource.group.is_empty() && self.resource.plural == "namespaces"
    }

    pub(super) fn is_pod(&self) -> bool {
        self.resource.group.is_empty() && self.resource.plural == "pods"
    }
}

impl Server {
    /// Makes the namespaces that are missing.
    pub(super) async fn make_namespaces(&self) -> Result<(), StoreError> {
        for name in NAMESPACES {
            if self.store.get(&key_of("", "namespaces", "", name)).await?.is_none() {
                let namespace = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}});
                self.make("/api/v1/namespaces", namespace).await;
            }
        }
        Ok(())
    }

    /// What must still be true of the namespace when the object is stored. Refuses an object whose namespace is not
    /// there, or is about to go.
    pub(super) async fn required_namespace(
        &self,
        asked: &Asked,
        name: &str,
    ) -> Result<Option<Require>, Refusal> {
        let Some(namespace) = &asked.namespace else { return Ok(None) };
        let target = Target { group: "", resource: "namespaces", name: namespace };
        let entry = self.store.get(&key_of("", "namespaces", "", namespace)).await?;
        let entry = entry.ok_or_else(|| Refusal::not_found(target))?;
        let object: Value = serde_json::from_slice(&entry.value).unwrap_or_default();
        if !object["metadata"]["deletionTimestamp"].is_null() {
            let why = format!(
                "unable to create new content in namespace {namespace} because it is being terminated"
            );
            let mut refusal = Refusal::forbidden(asked.target_named(name), &why);
            let cause = json!({
                "reason": "NamespaceTerminating", "message": format!("namespace {namespace} is being terminated"),
                "field": "metadata.namespace",
            });
            refusal.details.insert("causes".to_owned(), vec![cause].into());
            return Err(refusal);
        }
        Ok(Some(Require::ModRevision(entry.mod_revision)))
    }
}

impl Asked {
    /// Makes a commit depend on the namespace.
    pub(super) fn namespace_change(&self, require: Require) -> Change {
        let namespace = self.namespace.as_deref().unwrap_or_default();
        Change { key: key_of("", "namespaces", "", namespace).into(), require, write: Write::Keep }
    }
}
