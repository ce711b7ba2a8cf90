//! Objects of custom kinds between the versions of their kind: rewritten, by the embedding program, or by a webhook.

use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use super::calling::Caller;
use super::catalog::{Custom, Served};
use super::names;
use crate::conversion::{self, Convert};
use crate::status::{Reason, Refusal};

/// How long a webhook may take to convert.
const TIMEOUT: Duration = Duration::from_secs(30);

/// How the objects of a kind get from one version to another.
#[derive(Debug)]
pub(super) enum Converter {
    /// Versions differ in their names and schemas only.
    Rewrite,
    Inside(Arc<dyn Convert>),
    /// `webhook` of a definition's conversion, with the certificates apart.
    Webhook {
        webhook: Value,
        roots: Arc<[u8]>,
    },
}

impl Converter {
    pub(super) fn of(conversion: &Value, inside: Option<Arc<dyn Convert>>) -> Converter {
        if let Some(inside) = inside {
            return Converter::Inside(inside);
        }
        let webhook = &conversion["webhook"];
        if conversion["strategy"] != "Webhook" {
            return Converter::Rewrite;
        }
        let bundle = webhook["clientConfig"]["caBundle"].as_str().unwrap_or_default();
        Converter::Webhook {
            roots: STANDARD.decode(bundle).unwrap_or_default().into(),
            webhook: webhook.clone(),
        }
    }
}

impl Custom {
    /// The object in another version, unless somebody else has to be asked for it.
    pub(super) fn converted_here(&self, object: &Value, api_version: &str) -> Option<Result<Value, String>> {
        if object["apiVersion"] == api_version {
            return Some(Ok(object.clone()));
        }
        match &self.converter {
            Converter::Webhook { .. } => None,
            Converter::Inside(convert) => Some(convert.convert(object, api_version)),
            Converter::Rewrite => {
                let mut object = object.clone();
                object["apiVersion"] = api_version.into();
                Some(Ok(object))
            }
        }
    }

    /// What was stored long ago gets what its version has come to say of fields that are left out.
    pub(super) fn default(&self, object: &mut Value) {
        if let Some(version) = self.version(object["apiVersion"].as_str().unwrap_or_default()) {
            version.schema.default(object);
        }
    }

    /// What was converted loses what its version does not know. Nothing is filled in: it was complete before.
    pub(super) fn prune(&self, object: &mut Value) {
        if let Some(version) = self.version(object["apiVersion"].as_str().unwrap_or_default()) {
            version.schema.prune(object);
        }
    }
}

impl Caller {
    /// Objects as they are stored, in the version that they are asked for in.
    pub(super) async fn shown_in_version(
        &self,
        served: &Served,
        objects: Vec<Value>,
    ) -> Result<Vec<Value>, Refusal> {
        if served.custom.is_none() || objects.iter().all(|it| it["apiVersion"] == *served.api_version) {
            return Ok(objects);
        }
        self.converted(served, objects, &served.api_version).await
    }

    /// An object of a custom kind in another version.
    pub(super) async fn converted_one(
        &self,
        served: &Served,
        object: &Value,
        api_version: &str,
    ) -> Result<Value, Refusal> {
        let mut converted = self.converted(served, vec![object.clone()], api_version).await?;
        converted.pop().ok_or_else(|| Refusal::internal("an object was lost in conversion"))
    }

    async fn converted(
        &self,
        served: &Served,
        mut objects: Vec<Value>,
        api_version: &str,
    ) -> Result<Vec<Value>, Refusal> {
        let Some(custom) = &served.custom else { return Ok(objects) };
        let mut foreign = Vec::new();
        for (index, object) in objects.iter_mut().enumerate() {
            match custom.converted_here(object, api_version) {
                Some(Ok(converted)) => *object = converted,
                Some(Err(problem)) => return Err(failed(&problem)),
                None => foreign.push(index),
            }
        }
        if let (Converter::Webhook { webhook, roots }, false) = (&custom.converter, foreign.is_empty()) {
            let sent: Vec<&Value> = foreign.iter().map(|&index| &objects[index]).collect();
            let converted = self.converted_by(webhook, roots, &sent, api_version).await?;
            for (index, converted) in foreign.into_iter().zip(converted) {
                objects[index] = converted;
            }
        }
        objects.iter_mut().for_each(|object| custom.prune(object));
        Ok(objects)
    }

    async fn converted_by(
        &self,
        webhook: &Value,
        roots: &Arc<[u8]>,
        objects: &[&Value],
        api_version: &str,
    ) -> Result<Vec<Value>, Refusal> {
        let versions = &webhook["conversionReviewVersions"];
        let question = conversion::question(versions, objects, api_version, &names::uid())
            .ok_or_else(|| failed("no supported conversion review versions"))?;
        let body = self.call(&webhook["clientConfig"], roots, &question, TIMEOUT).await.map_err(|error| {
            let kind = conversion::kind_of(objects.first().copied().unwrap_or(&Value::Null));
            failed(&format!("conversion webhook for {kind} failed: {error}"))
        })?;
        conversion::answer(&question, objects, &body).map_err(|problem| failed(&problem))
    }
}

/// A conversion that fails is no fault of the client's, and has no reason.
pub(super) fn failed(problem: &str) -> Refusal {
    Refusal::new(500, Reason::None, problem)
}
