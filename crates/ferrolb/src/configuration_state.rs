//! What a component says of its configuration: one ConfigurationState for each, kept true, and written only when it
//! would say something else.

use std::collections::BTreeMap;

use api::metallb::{ConfigurationResult, ConfigurationState};
use http::StatusCode;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, OwnerReference};
use k8s_openapi::jiff::Timestamp;
use kube::{Api, Client};
use serde_json::{Value, json};
use std::time::Duration;
use tokio::sync::{mpsc, watch};

use crate::call::{self, Failure};
use crate::watch::{Change, Only, follow};

/// Who speaks, and under which names.
#[derive(Debug, Clone)]
pub(crate) struct Component {
    pub(crate) namespace: String,
    /// Of the object: `controller`, `speaker-<node>`.
    pub(crate) name: String,
    pub(crate) labels: BTreeMap<String, String>,
    /// The component's own Pod, if it runs in one.
    pub(crate) owner: Option<OwnerReference>,
    pub(crate) condition: &'static str,
    pub(crate) field_manager: &'static str,
}

/// How the last look at the configuration went.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Verdict {
    Reconciled,
    /// Why it is refused, as the condition says it.
    Refused(String),
}

/// Says it to whoever keeps the object true, if it is something else than before.
pub(crate) fn tell(verdicts: &watch::Sender<Option<Verdict>>, verdict: Verdict) {
    verdicts.send_if_modified(|told| {
        let is_new = told.as_ref() != Some(&verdict);
        *told = Some(verdict);
        is_new
    });
}

const CONFIGURATION_ERROR: &str = "ConfigurationError";
/// What a condition holds at most.
const MESSAGE_CHARACTERS: usize = 32_768;
const RETRY: Duration = Duration::from_secs(2);

/// Keeps the object true until the verdicts end. `None`: nothing has been looked at yet.
pub(crate) async fn run(
    client: Client,
    component: Component,
    mut verdicts: watch::Receiver<Option<Verdict>>,
) {
    let api: Api<ConfigurationState> = Api::namespaced(client.clone(), &component.namespace);
    let (sender, mut changes) = mpsc::channel(16);
    let watching = tokio::spawn(follow(api, Only::named(&component.name), Some, sender, |change| change));
    let mut seen: Option<ConfigurationState> = None;
    let mut is_complete = false;
    let mut is_failing = false;
    loop {
        let verdict = verdicts.borrow_and_update().clone();
        if is_complete {
            match component.write(&client, seen.as_ref(), verdict.as_ref()).await {
                Ok(Some(now)) => {
                    seen = Some(now);
                    is_failing = false;
                }
                Ok(None) => is_failing = false,
                Err(failure) => {
                    // Somebody else was faster, and the watch tells what it is now.
                    let is_race = failure.is(StatusCode::CONFLICT) || failure.is(StatusCode::NOT_FOUND);
                    if !is_race && !std::mem::replace(&mut is_failing, true) {
                        tracing::warn!(error = %failure, "the ConfigurationState is not written yet");
                    }
                    is_failing = true;
                }
            }
        }
        tokio::select! {
            change = changes.recv() => match change {
                Some(Change::Is { value, .. }) => seen = Some(value),
                Some(Change::Gone(_)) => seen = None,
                Some(Change::Complete) => is_complete = true,
                None => break,
            },
            changed = verdicts.changed() => if changed.is_err() { break },
            () = tokio::time::sleep(RETRY), if is_failing => {}
        }
    }
    watching.abort();
}

impl Component {
    /// Makes the object say what it should. What it says now, if anything was written.
    async fn write(
        &self,
        client: &Client,
        seen: Option<&ConfigurationState>,
        verdict: Option<&Verdict>,
    ) -> Result<Option<ConfigurationState>, Failure> {
        let path = format!("{}/{}", self.path(), self.name);
        let mut written: Option<ConfigurationState> = None;
        if seen.is_none() {
            let object = json!({
                "apiVersion": "metallb.io/v1beta1",
                "kind": "ConfigurationState",
                "metadata": {
                    "name": self.name,
                    "namespace": self.namespace,
                    "labels": self.labels,
                    "ownerReferences": self.owner.iter().collect::<Vec<_>>(),
                },
            });
            written = Some(call::post(client, &self.path(), &object).await?);
        }
        let now = || written.as_ref().or(seen);
        if let Some(condition) = verdict.and_then(|verdict| self.condition(now(), verdict)) {
            let body = json!({
                "apiVersion": "metallb.io/v1beta1",
                "kind": "ConfigurationState",
                "metadata": {"name": self.name, "namespace": self.namespace},
                "status": {"conditions": [condition]},
            });
            let applied = format!("{path}/status?fieldManager={}&force=true", self.field_manager);
            written = Some(call::patch(client, &applied, call::APPLY, &body).await?);
        }
        let now = |written: &Option<ConfigurationState>| written.as_ref().or(seen).cloned();
        if let Some(patch) = now(&written).and_then(|state| self.metadata_patch(&state)) {
            written = Some(call::patch(client, &path, call::MERGE_PATCH, &patch).await?);
        }
        if let Some(patch) = now(&written).and_then(|state| summary_patch(&state)) {
            let path = format!("{path}/status");
            written = Some(call::patch(client, &path, call::MERGE_PATCH, &patch).await?);
        }
        Ok(written)
    }

    fn path(&self) -> String {
        format!("/apis/metallb.io/v1beta1/namespaces/{}/configurationstates", self.namespace)
    }

    /// The condition to apply; nothing if it is there already.
    fn condition(&self, seen: Option<&ConfigurationState>, verdict: &Verdict) -> Option<Value> {
        let (status, reason, message) = match verdict {
            Verdict::Reconciled => ("True", "Reconciled", String::new()),
            Verdict::Refused(error) => {
                let message = format!("configuration error: {error}");
                ("False", CONFIGURATION_ERROR, message.chars().take(MESSAGE_CHARACTERS).collect())
            }
        };
        let is_there = conditions(seen).iter().any(|condition| {
            condition.type_ == self.condition
                && condition.status == status
                && condition.reason == reason
                && condition.message == message
        });
        (!is_there).then(|| {
            json!({
                "type": self.condition,
                "status": status,
                "reason": reason,
                "message": message,
                "lastTransitionTime": api::time_text(Timestamp::now()),
            })
        })
    }

    fn metadata_patch(&self, state: &ConfigurationState) -> Option<Value> {
        let labels = state.metadata.labels.clone().unwrap_or_default();
        let mut metadata = serde_json::Map::new();
        if labels != self.labels {
            let mut patch: BTreeMap<&String, Option<&String>> =
                labels.keys().map(|key| (key, None)).collect();
            patch.extend(self.labels.iter().map(|(key, value)| (key, Some(value))));
            metadata.insert("labels".to_owned(), json!(patch));
        }
        let mut owners = state.metadata.owner_references.clone().unwrap_or_default();
        if let Some(owner) = self.owner.as_ref().filter(|owner| owners.iter().all(|it| it.uid != owner.uid)) {
            owners.push(owner.clone());
            metadata.insert("ownerReferences".to_owned(), json!(owners));
        }
        (!metadata.is_empty()).then(|| json!({"metadata": metadata}))
    }
}

fn conditions(state: Option<&ConfigurationState>) -> &[Condition] {
    state.and_then(|state| state.status.as_ref()).map_or(&[], |status| &status.conditions)
}

/// What follows from all conditions together.
fn summary_patch(state: &ConfigurationState) -> Option<Value> {
    let conditions = conditions(Some(state));
    let is_error = |it: &&Condition| it.status == "False" && it.reason == CONFIGURATION_ERROR;
    let errors: Vec<&str> = conditions.iter().filter(is_error).map(|it| it.message.as_str()).collect();
    let result = match (conditions.is_empty(), errors.is_empty()) {
        (true, _) => ConfigurationResult::Unknown,
        (false, true) => ConfigurationResult::Valid,
        (false, false) => ConfigurationResult::Invalid,
    };
    let summary = errors.join("\n");
    let status = state.status.clone().unwrap_or_default();
    let is_there = status.result == Some(result) && status.error_summary.unwrap_or_default() == summary;
    (!is_there).then(|| {
        // Nothing to say is no field.
        let summary = Some(summary).filter(|summary| !summary.is_empty());
        json!({"status": {"result": result, "errorSummary": summary}})
    })
}
