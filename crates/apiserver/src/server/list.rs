//! Lists: many objects as of one revision, page by page.

use std::borrow::Cow;

use serde_json::{Value, json};

use super::catalog::Served;
use super::request::Asked;
use super::{LIMITS, Server, objects};
use crate::kinds;
use crate::selector::{FieldSelector, LabelSelector};
use crate::status::Refusal;
use crate::store::RangeRequest;

/// The objects of a list, and the metadata of the list itself.
#[derive(Debug)]
pub(super) struct List {
    pub(super) items: Vec<Value>,
    pub(super) metadata: Value,
}

/// What of an object can be selected by.
pub(super) struct Filter {
    labels: LabelSelector,
    fields: FieldSelector,
}

/// Where the next page begins, as an opaque text for the client.
struct Continue {
    revision: u64,
    after: String,
}

impl Filter {
    pub(super) fn of(asked: &Asked) -> Result<Filter, Refusal> {
        Ok(Filter { labels: asked.label_selector()?, fields: asked.field_selector()? })
    }

    pub(super) fn admits(&self, object: &Value) -> bool {
        self.labels.matches(object["metadata"]["labels"].as_object())
            && self.fields.matches(|field| {
                let pointer = format!("/{}", field.replace('.', "/"));
                let value = object.pointer(&pointer).and_then(as_text);
                value.or_else(|| kinds::selected(object, field).map(Cow::Borrowed))
            })
    }
}

/// A value as selectors compare it.
fn as_text(value: &Value) -> Option<Cow<'_, str>> {
    match value {
        Value::String(text) => Some(Cow::Borrowed(text)),
        Value::Bool(_) | Value::Number(_) => Some(Cow::Owned(value.to_string())),
        _ => None,
    }
}

/// The fields that a field selector may name.
pub(super) fn selectable_fields(served: &Served) -> Vec<&str> {
    let mut fields = vec!["metadata.name", "metadata.namespace"];
    fields.extend(served.selectable.iter().map(String::as_str));
    match (served.resource.group.as_str(), served.resource.plural.as_str()) {
        ("", "services") => fields.extend(["spec.clusterIP", "spec.type"]),
        ("", "secrets") => fields.push("type"),
        ("", "nodes") => fields.push("spec.unschedulable"),
        ("", "namespaces") => fields.push("status.phase"),
        ("", "pods") => {
            fields.extend(["spec.nodeName", "spec.restartPolicy", "spec.serviceAccountName", "status.phase"]);
            fields.extend(["spec.schedulerName", "spec.hostNetwork", "status.podIP", "status.podIPs"]);
            fields.push("status.nominatedNodeName");
        }
        ("events.k8s.io", "events") => fields.extend([
            "reason",
            "regarding.apiVersion",
            "regarding.fieldPath",
            "regarding.kind",
            "regarding.name",
            "regarding.namespace",
            "regarding.resourceVersion",
            "regarding.uid",
            "reportingController",
            "type",
        ]),
        (_, "events") => fields.extend([
            "involvedObject.apiVersion",
            "involvedObject.fieldPath",
            "involvedObject.kind",
            "involvedObject.name",
            "involvedObject.namespace",
            "involvedObject.resourceVersion",
            "involvedObject.uid",
            "reason",
            "reportingComponent",
            "source",
            "type",
        ]),
        _ => {}
    }
    fields
}

impl Continue {
    fn read(text: &str) -> Result<Continue, Refusal> {
        let parsed = text.split_once('.').and_then(|(revision, after)| {
            let decoded: Option<Vec<u8>> = (0..after.len())
                .step_by(2)
                .map(|at| u8::from_str_radix(after.get(at..at + 2)?, 16).ok())
                .collect();
            Some(Continue { revision: revision.parse().ok()?, after: String::from_utf8(decoded?).ok()? })
        });
        parsed.ok_or_else(|| {
            Refusal::bad_request("continue key is not valid: it was not issued by this server")
        })
    }

    fn write(&self) -> String {
        let after: String = self.after.bytes().map(|byte| format!("{byte:02x}")).collect();
        format!("{}.{after}", self.revision)
    }
}

impl Server {
    pub(super) async fn list(&self, asked: &Asked) -> Result<List, Refusal> {
        let filter = Filter::of(asked)?;
        let wanted =
            asked.parameter("limit").and_then(|limit| limit.parse::<usize>().ok()).filter(|limit| *limit > 0);
        let first = asked.parameter("continue").map(Continue::read).transpose()?;
        let prefix = prefix(asked);
        let mut items: Vec<Value> = Vec::new();
        let mut revision = first.as_ref().map(|it| it.revision);
        if first.is_none() && asked.parameter("resourceVersionMatch") == Some("Exact") {
            revision = asked.resource_version()?;
        }
        let mut after = first.map(|it| it.after);
        let mut metadata = json!({});
        loop {
            let missing =
                wanted.map_or(LIMITS.list_page, |wanted| wanted - items.len()).min(LIMITS.list_page);
            let request =
                RangeRequest { prefix: &prefix, after: after.as_deref(), limit: Some(missing), revision };
            let range = self.store.range(request).await?;
            revision = Some(range.revision);
            after = range.entries.last().map(|entry| entry.key.to_string());
            let read = range.entries.iter().map(|entry| objects::of_entry(entry, &asked.served));
            let read = read.collect::<Result<Vec<Value>, Refusal>>()?;
            let shown = self.caller.shown_in_version(&asked.served, read).await?;
            items.extend(shown.into_iter().filter(|object| filter.admits(object)));
            metadata["resourceVersion"] = range.revision.to_string().into();
            if range.remaining == 0 {
                break;
            }
            if wanted.is_some_and(|wanted| items.len() >= wanted)
                && let Some(after) = after.take()
            {
                metadata["continue"] = Continue { revision: range.revision, after }.write().into();
                if asked.parameter("labelSelector").is_none() && asked.parameter("fieldSelector").is_none() {
                    metadata["remainingItemCount"] = range.remaining.into();
                }
                break;
            }
        }
        Ok(List { items, metadata })
    }
}

/// Below which the objects are stored that a list or watch may name.
pub(super) fn prefix(asked: &Asked) -> String {
    let prefix = asked.served.prefix();
    match &asked.namespace {
        Some(namespace) => format!("{prefix}{namespace}/"),
        None => prefix,
    }
}
