//! Admission webhooks are called: those that change an object one after the other, those that judge it all at once.
//!
//! The configurations are read from the store once and followed by a watch, which is looked at before every request:
//! what was written before a request holds for it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use futures_util::future::join_all;
use serde_json::{Value, json};
use tokio::sync::Mutex;

use super::catalog::{Served, key_of, prefix_of};
use super::request::Asked;
use super::{Server, names};
use crate::admission::review::{self, Answer, AnswerError};
use crate::admission::{Invocation, Named, Operation, Request, SideEffects, Unmatched, Webhook, is_exempt};
use crate::client::CallError;
use crate::patch;
use crate::status::{Refusal, Target};
use crate::store::{Entry, RangeRequest, Store, StoreError, Watch};

const GROUP: &str = "admissionregistration.k8s.io";
const MUTATING: &str = "mutatingwebhookconfigurations";
const VALIDATING: &str = "validatingwebhookconfigurations";

/// The webhooks of all configurations, as of the last change.
#[derive(Debug, Default)]
pub(super) struct Webhooks {
    index: Mutex<Index>,
}

#[derive(Debug, Default)]
struct Index {
    watch: Option<Watch>,
    /// By the key of their configuration, which orders them by its name.
    by_key: BTreeMap<Arc<str>, Vec<Arc<Webhook>>>,
    current: Arc<Current>,
}

/// Webhooks in the order that they are called in.
#[derive(Debug, Default)]
struct Current {
    mutating: Vec<Arc<Webhook>>,
    validating: Vec<Arc<Webhook>>,
}

/// Why a webhook lets a request not pass.
enum Stop {
    /// The webhook fails, which may be ignored.
    Failing(String),
    Refused(Refusal),
}

impl Served {
    pub(super) fn is_webhook_configuration(&self) -> bool {
        self.resource.group == GROUP && matches!(&*self.resource.plural, MUTATING | VALIDATING)
    }
}

impl Webhooks {
    async fn current(&self, store: &dyn Store) -> Result<Arc<Current>, StoreError> {
        let mut index = self.index.lock().await;
        let events = index.watch.as_mut().map(Watch::fetch);
        match events {
            Some(Ok(events)) if events.is_empty() => {}
            Some(Ok(events)) => {
                for event in events {
                    index.put(&event.key, event.current.as_ref());
                }
                index.order();
            }
            // There was none yet, or it was left behind.
            None | Some(Err(_)) => *index = Index::read(store).await?,
        }
        Ok(Arc::clone(&index.current))
    }
}

impl Index {
    async fn read(store: &dyn Store) -> Result<Index, StoreError> {
        let prefix = format!("/objects/{GROUP}/");
        let range = store.range(RangeRequest { prefix: &prefix, ..RangeRequest::default() }).await?;
        let mut index =
            Index { watch: Some(store.watch(&prefix, range.revision).await?), ..Index::default() };
        for entry in &range.entries {
            index.put(&entry.key, Some(entry));
        }
        index.order();
        Ok(index)
    }

    fn put(&mut self, key: &Arc<str>, entry: Option<&Entry>) {
        if !is_of(key, MUTATING) && !is_of(key, VALIDATING) {
            return;
        }
        match entry {
            None => drop(self.by_key.remove(key)),
            Some(entry) => {
                let configuration: Value = serde_json::from_slice(&entry.value).unwrap_or_default();
                let webhooks = Webhook::all_of(&configuration).into_iter().map(Arc::new).collect();
                self.by_key.insert(Arc::clone(key), webhooks);
            }
        }
    }

    fn order(&mut self) {
        let all = |plural: &str| {
            let of_kind = self.by_key.iter().filter(|(key, _)| is_of(key, plural));
            of_kind.flat_map(|(_, webhooks)| webhooks.iter().cloned()).collect()
        };
        self.current = Arc::new(Current { mutating: all(MUTATING), validating: all(VALIDATING) });
    }
}

fn is_of(key: &str, plural: &str) -> bool {
    key.starts_with(&prefix_of(GROUP, plural))
}

impl Server {
    /// Lets webhooks change an object that was read and completed, before it is judged. `null` stands for the new
    /// object of a deletion. Answers with warnings.
    pub(super) async fn mutate(
        &self,
        asked: &Asked,
        operation: Operation,
        object: &mut Value,
        old: Option<&Value>,
    ) -> Result<Vec<String>, Refusal> {
        let webhooks = &self.webhooks.current(&*self.store).await?.mutating;
        if webhooks.is_empty() {
            return Ok(Vec::new());
        }
        let mut request = self.admission_request(asked, operation, object, old)?;
        if is_exempt(&request.named) {
            return Ok(Vec::new());
        }
        let mut warnings = Vec::new();
        let mut called = BTreeSet::new();
        let mut again = BTreeSet::new();
        for round in 0..2 {
            for (place, webhook) in webhooks.iter().enumerate() {
                if round == 1 && !again.contains(&place) {
                    continue;
                }
                let Some(invocation) = self.invocation(webhook, &request).await? else { continue };
                let changed = self.mutate_by(asked, webhook, &invocation, &request, &mut warnings).await?;
                if let Some(changed) = changed {
                    request.object = changed;
                    again.append(&mut called);
                }
                if webhook.is_called_again {
                    called.insert(place);
                }
            }
            if again.is_empty() {
                break;
            }
        }
        asked.take_over(object, request.object);
        Ok(warnings)
    }

    /// Asks webhooks whether an object may be stored, or removed. Answers with warnings.
    pub(super) async fn judge(
        &self,
        asked: &Asked,
        operation: Operation,
        object: &Value,
        old: Option<&Value>,
    ) -> Result<Vec<String>, Refusal> {
        let webhooks = &self.webhooks.current(&*self.store).await?.validating;
        if webhooks.is_empty() {
            return Ok(Vec::new());
        }
        let request = self.admission_request(asked, operation, object, old)?;
        if is_exempt(&request.named) {
            return Ok(Vec::new());
        }
        let mut concerned = Vec::new();
        for webhook in webhooks {
            if let Some(invocation) = self.invocation(webhook, &request).await? {
                concerned.push((webhook, invocation));
            }
        }
        let request = &request;
        let calls = concerned.iter().map(|(webhook, invocation)| async move {
            let answer = self.ask(asked, webhook, invocation, request, false).await;
            (webhook, answer)
        });
        let mut warnings = Vec::new();
        for (webhook, answer) in join_all(calls).await {
            match answer {
                Ok(answer) => {
                    warnings.extend(answer.warnings);
                    answer.denied.map_or(Ok(()), Err)?;
                }
                Err(stop) => stop.unless_ignored(webhook)?,
            }
        }
        Ok(warnings)
    }

    /// The object as the webhook changed it, if it did.
    async fn mutate_by(
        &self,
        asked: &Asked,
        webhook: &Webhook,
        invocation: &Invocation,
        request: &Request,
        warnings: &mut Vec<String>,
    ) -> Result<Option<Value>, Refusal> {
        let answer = match self.ask(asked, webhook, invocation, request, true).await {
            Ok(answer) => answer,
            Err(stop) => return stop.unless_ignored(webhook).map(|()| None),
        };
        warnings.extend(answer.warnings);
        answer.denied.map_or(Ok(()), Err)?;
        let Some(patch) = answer.patch.filter(|patch| patch.as_array().is_some_and(|it| !it.is_empty()))
        else {
            return Ok(None);
        };
        if request.object.is_null() {
            let name = &webhook.name;
            return Err(Refusal::internal(&format!(
                "admission webhook {name:?} attempted to modify the object, which is not supported for this operation"
            )));
        }
        let sent = self.in_version(asked, &request.object, &invocation.named).await?;
        let patched = patch::json(&sent, &patch).map_err(|error| Refusal::internal(&error.to_string()))?;
        let mut changed = self.in_version(asked, &patched, &request.named).await?;
        if !asked.is_scale() {
            if let Some(schema) = &asked.served.schema {
                schema.prune(&mut changed);
            }
            asked.defaulted(&mut changed)?;
        }
        Ok((changed != request.object).then_some(changed))
    }

    /// Whether the webhook is to be called, and about which version.
    async fn invocation(&self, webhook: &Webhook, request: &Request) -> Result<Option<Invocation>, Refusal> {
        let namespace = self.namespace_labels(&request.namespace).await?;
        let invocation = match webhook.concerns(request, namespace.as_ref()) {
            Ok(Some(invocation)) => invocation,
            Ok(None) => return Ok(None),
            Err(Unmatched::NoNamespace) => {
                let target = Target { group: "", resource: "namespaces", name: &request.namespace };
                return Err(Refusal::not_found(target));
            }
            Err(Unmatched::Condition(problem)) => return Err(Refusal::internal(&problem)),
        };
        match webhook.conditions_hold(request, &invocation.named) {
            Ok(holds) => Ok(holds.then_some(invocation)),
            Err(Unmatched::Condition(problem)) => Err(Refusal::forbidden(
                Target {
                    group: &request.named.group,
                    resource: &request.named.resource,
                    name: &request.name,
                },
                &problem,
            )),
            Err(Unmatched::NoNamespace) => Ok(None),
        }
    }

    async fn namespace_labels(
        &self,
        namespace: &str,
    ) -> Result<Option<serde_json::Map<String, Value>>, Refusal> {
        if namespace.is_empty() {
            return Ok(None);
        }
        let entry = self.store.get(&key_of("", "namespaces", "", namespace)).await?;
        let read = |entry: Entry| serde_json::from_slice::<Value>(&entry.value).unwrap_or_default();
        let labels = |object: Value| object["metadata"]["labels"].as_object().cloned().unwrap_or_default();
        Ok(entry.map(read).map(labels))
    }

    async fn ask(
        &self,
        asked: &Asked,
        webhook: &Webhook,
        invocation: &Invocation,
        request: &Request,
        may_patch: bool,
    ) -> Result<Answer, Stop> {
        if request.is_dry_run && webhook.side_effects == SideEffects::Some {
            let message = format!("admission webhook {:?} does not support dry run", webhook.name);
            return Err(Stop::Refused(Refusal::bad_request(message)));
        }
        let Some(version) = webhook.review_version else {
            let problem = "could not create admission objects: webhook does not accept known AdmissionReview versions (v1, v1beta1)";
            return Err(Stop::Failing(problem.to_owned()));
        };
        let mut sent = request.clone();
        for object in [&mut sent.object, &mut sent.old] {
            if !object.is_null() {
                *object = self.in_version(asked, object, &invocation.named).await.map_err(Stop::Refused)?;
            }
        }
        let uid = names::uid();
        let question = review::question(&sent, &invocation.named, version, &uid);
        let answered = self.caller.call(&webhook.client, &webhook.roots, &question, webhook.timeout).await;
        let body =
            answered.map_err(|error: CallError| Stop::Failing(format!("failed to call webhook: {error}")))?;
        let answer = review::answer(&body, &webhook.name, version, &uid, may_patch);
        answer.map_err(|error: AnswerError| Stop::Failing(error.to_string()))
    }

    /// An object in the version that a webhook is called with.
    async fn in_version(&self, asked: &Asked, object: &Value, named: &Named) -> Result<Value, Refusal> {
        let api_version = named.api_version();
        if object["apiVersion"] == api_version.as_str() || asked.is_scale() {
            return Ok(object.clone());
        }
        self.caller.converted_one(&asked.served, object, &api_version).await
    }

    fn admission_request(
        &self,
        asked: &Asked,
        operation: Operation,
        object: &Value,
        old: Option<&Value>,
    ) -> Result<Request, Refusal> {
        let resource = &asked.served.resource;
        let named = |version: &str| Named {
            group: resource.group.clone(),
            version: version.to_owned(),
            kind: resource.kind.clone(),
            resource: resource.plural.clone(),
        };
        let kinds = self.catalog.snapshot();
        let others = kinds.values().filter(|served| {
            let other = &served.resource;
            other.group == resource.group
                && other.plural == resource.plural
                && other.version != resource.version
        });
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let name = asked.name.clone().unwrap_or_else(|| text(&object["metadata"]["name"]));
        let is_namespace = resource.group.is_empty() && resource.plural == "namespaces";
        let namespace = if is_namespace { name.clone() } else { asked.namespace.clone().unwrap_or_default() };
        Ok(Request {
            operation,
            equivalents: others.map(|other| named(&other.resource.version)).collect(),
            named: named(&resource.version),
            subresource: asked.subresource.clone().unwrap_or_default(),
            part: asked.part_kind(),
            name,
            namespace,
            user: asked.user.to_json(),
            object: asked.viewed(object),
            old: old.map(|old| asked.viewed(old)).unwrap_or_default(),
            options: options(asked, operation)?,
            is_dry_run: asked.is_dry_run(),
        })
    }
}

/// The parameters of the request, as the options that they stand for.
fn options(asked: &Asked, operation: Operation) -> Result<Value, Refusal> {
    let kind = match operation {
        Operation::Create => "CreateOptions",
        Operation::Update => "UpdateOptions",
        Operation::Delete => "DeleteOptions",
        Operation::Connect => "ConnectOptions",
    };
    let mut options = json!({"kind": kind, "apiVersion": "meta.k8s.io/v1"});
    if asked.is_dry_run() {
        options["dryRun"] = json!(["All"]);
    }
    for field in ["fieldManager", "fieldValidation"] {
        if let Some(value) = asked.parameter(field) {
            options[field] = value.into();
        }
    }
    Ok(options)
}

impl Stop {
    /// A webhook may fail if its configuration says so, but not refuse.
    fn unless_ignored(self, webhook: &Webhook) -> Result<(), Refusal> {
        match self {
            Stop::Failing(_) if webhook.is_failure_ignored => Ok(()),
            Stop::Failing(problem) => {
                Err(Refusal::internal(&format!("failed calling webhook {:?}: {problem}", webhook.name)))
            }
            Stop::Refused(refusal) => Err(refusal),
        }
    }
}
