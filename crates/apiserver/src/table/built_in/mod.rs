//! What `kubectl get` prints of built-in kinds: the columns of each, and the cells of an object.
//! Pure functions over JSON. Whoever asks without `-o wide` is shown all the same and leaves columns out by priority.

mod network;
mod other;
mod pod;
mod setup;
#[cfg(test)]
mod tests;
mod workload;

use serde_json::{Value, json};

use super::{Age, IncludeObject, shown};

/// How the objects of one built-in kind are printed.
#[derive(Debug)]
pub struct View {
    group: &'static str,
    plural: &'static str,
    columns: &'static [Column],
    cells: fn(&Row<'_>) -> Vec<Value>,
}

/// The view of a built-in kind; one that has none of its own shows when an object was created.
pub fn view_of(group: &str, plural: &str) -> &'static View {
    VIEWS.iter().find(|view| (view.group, view.plural) == (group, plural)).unwrap_or(&PLAIN)
}

/// The rows of these objects.
pub fn render(
    view: &View,
    objects: &[Value],
    list_metadata: &Value,
    include: IncludeObject,
    now_secs: i64,
) -> Value {
    let columns: Vec<Value> = view.columns.iter().map(Column::definition).collect();
    let row = |object: &Value| {
        let mut row = json!({
            "cells": (view.cells)(&Row { object, now_secs }),
            "object": shown(object, include),
        });
        // An annotation of the version, which the object itself is without.
        if view.plural == "daemonsets"
            && let Some(metadata) = row["object"].get_mut("metadata")
        {
            without_annotation(metadata, "deprecated.daemonset.template.generation");
        }
        let conditions = if view.plural == "pods" { pod::conditions(object) } else { None };
        if let Some(conditions) = conditions {
            row["conditions"] = conditions;
        }
        row
    };
    let rows: Vec<Value> = objects.iter().map(row).collect();
    json!({
        "kind": "Table", "apiVersion": "meta.k8s.io/v1", "metadata": list_metadata,
        "columnDefinitions": columns, "rows": rows,
    })
}

fn without_annotation(metadata: &mut Value, name: &str) {
    let Some(metadata) = metadata.as_object_mut() else { return };
    let Some(annotations) = metadata.get_mut("annotations").and_then(Value::as_object_mut) else { return };
    annotations.shift_remove(name);
    if annotations.is_empty() {
        metadata.shift_remove("annotations");
    }
}

#[derive(Debug)]
struct Column {
    name: &'static str,
    column_type: &'static str,
    format: &'static str,
    priority: i64,
}

impl Column {
    fn definition(&self) -> Value {
        let description = format!("{}, as people read it.", self.name);
        json!({
            "name": self.name, "type": self.column_type, "format": self.format, "description": description,
            "priority": self.priority,
        })
    }
}

const fn text(name: &'static str) -> Column {
    Column { name, column_type: "string", format: "", priority: 0 }
}

const fn integer(name: &'static str) -> Column {
    Column { name, column_type: "integer", format: "", priority: 0 }
}

const fn boolean(name: &'static str) -> Column {
    Column { name, column_type: "boolean", format: "", priority: 0 }
}

const fn wide(name: &'static str) -> Column {
    Column { name, column_type: "string", format: "", priority: 1 }
}

const fn view(
    group: &'static str,
    plural: &'static str,
    columns: &'static [Column],
    cells: fn(&Row<'_>) -> Vec<Value>,
) -> View {
    View { group, plural, columns, cells }
}

const NAME: Column = Column { format: "name", ..text("Name") };
const AGE: Column = text("Age");
const CONTAINERS: Column = wide("Containers");
const IMAGES: Column = wide("Images");
const SELECTOR: Column = wide("Selector");
const ADMISSION: &str = "admissionregistration.k8s.io";
const NETWORKING: &str = "networking.k8s.io";
const RBAC: &str = "rbac.authorization.k8s.io";
const STORAGE: &str = "storage.k8s.io";

const CREATED: Column = Column { name: "Created At", column_type: "date", format: "", priority: 0 };
static PLAIN: View = view("", "", &[NAME, CREATED], other::plain);

/// How the scale of a kind is printed.
pub static SCALE: View = view(
    "",
    "",
    &[Column { format: "", ..NAME }, integer("Desired"), integer("Available"), AGE],
    workload::scale,
);

const EVENT: [Column; 10] = [
    text("Last Seen"),
    text("Type"),
    text("Reason"),
    text("Object"),
    wide("Subobject"),
    wide("Source"),
    text("Message"),
    wide("First Seen"),
    wide("Count"),
    Column { format: "name", ..wide("Name") },
];
const NODE: [Column; 10] = [
    NAME,
    text("Status"),
    text("Roles"),
    AGE,
    text("Version"),
    wide("Internal-IP"),
    wide("External-IP"),
    wide("OS-Image"),
    wide("Kernel-Version"),
    wide("Container-Runtime"),
];
const POD: [Column; 9] = [
    NAME,
    text("Ready"),
    text("Status"),
    text("Restarts"),
    AGE,
    wide("IP"),
    wide("Node"),
    wide("Nominated Node"),
    wide("Readiness Gates"),
];
const VOLUME: [Column; 11] = [
    NAME,
    text("Capacity"),
    text("Access Modes"),
    text("Reclaim Policy"),
    text("Status"),
    text("Claim"),
    text("StorageClass"),
    text("VolumeAttributesClass"),
    text("Reason"),
    AGE,
    wide("VolumeMode"),
];
const CLAIM: [Column; 9] = [
    NAME,
    text("Status"),
    text("Volume"),
    text("Capacity"),
    text("Access Modes"),
    text("StorageClass"),
    text("VolumeAttributesClass"),
    AGE,
    wide("VolumeMode"),
];
const SERVICE: [Column; 7] =
    [NAME, text("Type"), text("Cluster-IP"), text("External-IP"), text("Port(s)"), AGE, SELECTOR];
const DAEMON_SET: [Column; 11] = [
    NAME,
    integer("Desired"),
    integer("Current"),
    integer("Ready"),
    integer("Up-to-date"),
    integer("Available"),
    text("Node Selector"),
    AGE,
    CONTAINERS,
    IMAGES,
    SELECTOR,
];
const DEPLOYMENT: [Column; 8] =
    [NAME, text("Ready"), text("Up-to-date"), text("Available"), AGE, CONTAINERS, IMAGES, SELECTOR];
const REPLICAS: [Column; 8] =
    [NAME, integer("Desired"), integer("Current"), integer("Ready"), AGE, CONTAINERS, IMAGES, SELECTOR];
const JOB: [Column; 8] =
    [NAME, text("Status"), text("Completions"), text("Duration"), AGE, CONTAINERS, IMAGES, SELECTOR];
const CRON_JOB: [Column; 10] = [
    NAME,
    text("Schedule"),
    text("Timezone"),
    boolean("Suspend"),
    integer("Active"),
    text("Last Schedule"),
    AGE,
    CONTAINERS,
    IMAGES,
    SELECTOR,
];
const INGRESS: [Column; 6] = [NAME, text("Class"), text("Hosts"), text("Address"), text("Ports"), AGE];
const DISRUPTION: [Column; 5] =
    [NAME, text("Min Available"), text("Max Unavailable"), integer("Allowed Disruptions"), AGE];
const BINDING: [Column; 6] =
    [NAME, text("Role"), AGE, wide("Users"), wide("Groups"), wide("ServiceAccounts")];
const WEBHOOKS: [Column; 3] = [NAME, integer("Webhooks"), AGE];
const DRIVER: [Column; 8] = [
    NAME,
    boolean("AttachRequired"),
    boolean("PodInfoOnMount"),
    boolean("StorageCapacity"),
    text("TokenRequests"),
    boolean("RequiresRepublish"),
    text("Modes"),
    AGE,
];
const STORAGE_CLASS: [Column; 6] = [
    NAME,
    text("Provisioner"),
    text("ReclaimPolicy"),
    text("VolumeBindingMode"),
    text("AllowVolumeExpansion"),
    AGE,
];
const PRIORITY: [Column; 5] =
    [NAME, integer("Value"), boolean("Global-Default"), AGE, text("PreemptionPolicy")];
const SLICE: [Column; 5] = [NAME, text("AddressType"), text("Ports"), text("Endpoints"), AGE];
const TEMPLATE: [Column; 4] = [NAME, text("Containers"), text("Images"), text("Pod Labels")];

static VIEWS: [View; 37] = [
    view("", "configmaps", &[NAME, text("Data"), AGE], other::config_map),
    view("", "endpoints", &[NAME, text("Endpoints"), AGE], network::endpoints),
    view("", "events", &EVENT, other::event),
    view("", "namespaces", &[NAME, text("Status"), AGE], other::namespace),
    view("", "nodes", &NODE, setup::node),
    view("", "persistentvolumes", &VOLUME, setup::volume),
    view("", "persistentvolumeclaims", &CLAIM, setup::claim),
    view("", "pods", &POD, pod::cells),
    view("", "podtemplates", &TEMPLATE, workload::pod_template),
    view("", "replicationcontrollers", &REPLICAS, workload::replication_controller),
    view("", "resourcequotas", &[NAME, text("Request"), text("Limit"), AGE], setup::quota),
    view("", "secrets", &[NAME, text("Type"), text("Data"), AGE], other::secret),
    view("", "services", &SERVICE, network::service),
    view("", "serviceaccounts", &[NAME, AGE], other::named),
    view(ADMISSION, "mutatingwebhookconfigurations", &WEBHOOKS, setup::webhooks),
    view(ADMISSION, "validatingwebhookconfigurations", &WEBHOOKS, setup::webhooks),
    view(
        ADMISSION,
        "validatingadmissionpolicies",
        &[NAME, integer("Validations"), text("ParamKind"), AGE],
        setup::policy,
    ),
    view(
        ADMISSION,
        "validatingadmissionpolicybindings",
        &[NAME, text("PolicyName"), text("ParamRef"), AGE],
        setup::policy_binding,
    ),
    view(
        "apps",
        "controllerrevisions",
        &[NAME, text("Controller"), text("Revision"), AGE],
        workload::revision,
    ),
    view("apps", "daemonsets", &DAEMON_SET, workload::daemon_set),
    view("apps", "deployments", &DEPLOYMENT, workload::deployment),
    view("apps", "replicasets", &REPLICAS, workload::replica_set),
    view("apps", "statefulsets", &[NAME, text("Ready"), AGE, CONTAINERS, IMAGES], workload::stateful_set),
    view("batch", "cronjobs", &CRON_JOB, workload::cron_job),
    view("batch", "jobs", &JOB, workload::job),
    view("coordination.k8s.io", "leases", &[NAME, text("Holder"), AGE], other::lease),
    view("discovery.k8s.io", "endpointslices", &SLICE, network::slice),
    view("events.k8s.io", "events", &EVENT, other::event),
    view(NETWORKING, "ingresses", &INGRESS, network::ingress),
    view(
        NETWORKING,
        "ingressclasses",
        &[NAME, text("Controller"), text("Parameters"), AGE],
        network::ingress_class,
    ),
    view(NETWORKING, "networkpolicies", &[NAME, text("Pod-Selector"), AGE], network::policy),
    view("policy", "poddisruptionbudgets", &DISRUPTION, workload::disruption_budget),
    view(RBAC, "clusterrolebindings", &BINDING, setup::role_binding),
    view(RBAC, "rolebindings", &BINDING, setup::role_binding),
    view("scheduling.k8s.io", "priorityclasses", &PRIORITY, setup::priority_class),
    view(STORAGE, "csidrivers", &DRIVER, setup::driver),
    view(STORAGE, "storageclasses", &STORAGE_CLASS, setup::storage_class),
];

/// An object that is to be printed, at a time.
struct Row<'a> {
    object: &'a Value,
    now_secs: i64,
}

const NONE: &str = "<none>";
const UNSET: &str = "<unset>";

impl<'a> Row<'a> {
    fn at(&self, pointer: &str) -> &'a Value {
        self.object.pointer(pointer).unwrap_or(&Value::Null)
    }

    fn text(&self, pointer: &str) -> &'a str {
        self.at(pointer).as_str().unwrap_or_default()
    }

    /// A text, or `otherwise` where there is none.
    fn text_or(&self, pointer: &str, otherwise: &'a str) -> &'a str {
        or(self.text(pointer), otherwise)
    }

    fn number(&self, pointer: &str) -> i64 {
        self.at(pointer).as_i64().unwrap_or_default()
    }

    fn flag(&self, pointer: &str) -> bool {
        self.at(pointer).as_bool().unwrap_or_default()
    }

    fn list(&self, pointer: &str) -> &'a [Value] {
        self.at(pointer).as_array().map_or(&[], Vec::as_slice)
    }

    fn name(&self) -> &'a str {
        self.text("/metadata/name")
    }

    fn age(&self) -> String {
        self.since("/metadata/creationTimestamp")
    }

    /// How long ago a time was.
    fn since(&self, pointer: &str) -> String {
        self.age_of(self.text(pointer))
    }

    fn age_of(&self, time: &str) -> String {
        Age::of(time).map_or_else(|| "<unknown>".to_owned(), |age| age.at(self.now_secs))
    }
}

fn or<'a>(text: &'a str, otherwise: &'a str) -> &'a str {
    if text.is_empty() { otherwise } else { text }
}

fn text_in<'a>(value: &'a Value, field: &str) -> &'a str {
    value[field].as_str().unwrap_or_default()
}

fn texts<'a>(list: &'a [Value], field: &str) -> Vec<&'a str> {
    list.iter().map(|item| text_in(item, field)).collect()
}

/// The first few of a list, and how many more there are.
fn first_of(list: &[String], most: usize) -> String {
    let shown = list.iter().take(most).map(String::as_str).collect::<Vec<_>>().join(",");
    match list.len().checked_sub(most) {
        None | Some(0) => shown,
        Some(more) => format!("{shown} + {more} more..."),
    }
}

/// A map as `a=b,c=d`.
fn labels(map: &Value) -> String {
    let mut pairs: Vec<String> = map
        .as_object()
        .into_iter()
        .flatten()
        .map(|(key, value)| format!("{key}={}", value.as_str().unwrap_or_default()))
        .collect();
    pairs.sort();
    or(&pairs.join(","), NONE).to_owned()
}

/// A selector of objects as it is written in a query; nothing selects everything.
fn selector(selector: &Value) -> String {
    let mut parts: Vec<(String, String)> = Vec::new();
    for (key, value) in selector["matchLabels"].as_object().into_iter().flatten() {
        parts.push((key.clone(), format!("{key}={}", value.as_str().unwrap_or_default())));
    }
    for expression in selector["matchExpressions"].as_array().into_iter().flatten() {
        let key = text_in(expression, "key");
        let mut values: Vec<&str> =
            expression["values"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        values.sort_unstable();
        let values = values.join(",");
        let part = match text_in(expression, "operator") {
            "In" => format!("{key} in ({values})"),
            "NotIn" => format!("{key} notin ({values})"),
            "Exists" => key.to_owned(),
            "DoesNotExist" => format!("!{key}"),
            _ => return "<error>".to_owned(),
        };
        parts.push((key.to_owned(), part));
    }
    parts.sort_by(|left, right| left.0.cmp(&right.0));
    parts.into_iter().map(|(_, part)| part).collect::<Vec<_>>().join(",")
}

fn selector_or_none(object: &Value) -> String {
    or(&selector(object), NONE).to_owned()
}
