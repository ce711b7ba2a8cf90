//! What the server says of an object when it is created, whatever the client says: its first status above all.

use serde_json::{Map, Value, json};

use super::{fill, fill_absent, made, within};

/// Completes an object that is new, whose metadata is as it will be stored.
pub fn begin(object: &mut Value, api_version: &str, kind: &str, now: &Value) {
    drop_disabled(object, api_version, kind);
    let group = api_version.split_once('/').map_or("", |(group, _)| group);
    match (group, kind) {
        ("", "Pod") => {
            object["status"] = json!({"phase": "Pending", "qosClass": quality(object)});
            within(object, "spec", admitted);
        }
        ("", "Node") => {
            let taints = object.pointer_mut("/spec").and_then(|spec| list(spec, "taints"));
            if let Some(taints) = taints {
                let taint = json!({"key": "node.kubernetes.io/not-ready", "effect": "NoSchedule"});
                if !taints.contains(&taint) {
                    taints.push(taint);
                }
            }
        }
        ("", "PersistentVolume") => {
            object["status"] = json!({"phase": "Pending", "lastPhaseTransitionTime": now});
        }
        ("", "PersistentVolumeClaim") => object["status"] = json!({"phase": "Pending"}),
        ("apps", "DaemonSet") => note_template(object, 1),
        ("batch", "Job") => select_by_uid(object),
        _ => {}
    }
}

/// Completes an object that takes the place of another.
pub fn carry(object: &mut Value, old: &Value, api_version: &str, kind: &str) {
    drop_disabled(object, api_version, kind);
    let quality = old.pointer("/status/qosClass");
    if let ("v1", "Pod", Some(quality)) = (api_version, kind, quality)
        && let Some(status) = made(object, "status")
    {
        fill(status, "qosClass", quality.clone());
    }
    if (api_version, kind) == ("apps/v1", "DaemonSet") {
        let before = old["metadata"]["annotations"][TEMPLATE_GENERATION].as_str();
        let before = before.and_then(|text| text.parse().ok()).unwrap_or(1_i64);
        let is_same = object.pointer("/spec/template") == old.pointer("/spec/template");
        note_template(object, if is_same { before } else { before.saturating_add(1) });
    }
}

/// Fields of features that are off, or gone, are read and not kept.
fn drop_disabled(object: &mut Value, api_version: &str, kind: &str) {
    let fields: &[&str] = match (api_version, kind) {
        ("v1", "Node") => &["configSource"],
        ("coordination.k8s.io/v1", "Lease") => &["strategy", "preferredHolder"],
        _ => return,
    };
    if let Some(spec) = object["spec"].as_object_mut() {
        spec.retain(|field, _| !fields.contains(&field.as_str()));
    }
}

const TEMPLATE_GENERATION: &str = "deprecated.daemonset.template.generation";

/// A set that does not say which generation of its template it has is of none yet.
pub(super) fn begin_template(object: &mut Value) {
    if object.pointer("/metadata/annotations").is_none_or(|it| it.get(TEMPLATE_GENERATION).is_none()) {
        note_template(object, 0);
    }
}

fn note_template(object: &mut Value, generation: i64) {
    within(object, "metadata", |metadata| {
        if let Some(annotations) = made(metadata, "annotations") {
            annotations[TEMPLATE_GENERATION] = generation.to_string().into();
        }
    });
}

/// Whether a pod gets what it asks for: always, at least that, or nothing in particular.
fn quality(pod: &Value) -> &'static str {
    let mut is_guaranteed = true;
    let mut asks = false;
    for containers in ["containers", "initContainers"] {
        for container in pod["spec"][containers].as_array().into_iter().flatten() {
            let amounts = |what: &str| -> Map<String, Value> {
                let all = container["resources"][what].as_object().cloned().unwrap_or_default();
                let counts = |name: &String, amount: &Value| {
                    matches!(name.as_str(), "cpu" | "memory") && *amount != "0"
                };
                all.into_iter().filter(|(name, amount)| counts(name, amount)).collect()
            };
            let (limits, requests) = (amounts("limits"), amounts("requests"));
            asks |= !limits.is_empty() || !requests.is_empty();
            is_guaranteed &= limits.len() == 2 && limits == requests;
        }
    }
    match (asks, is_guaranteed) {
        (false, _) => "BestEffort",
        (true, true) => "Guaranteed",
        (true, false) => "Burstable",
    }
}

/// How long a pod stays on a node that is lost, and how important it is.
fn admitted(spec: &mut Value) {
    if let Some(tolerations) = list(spec, "tolerations") {
        for key in ["node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable"] {
            if !tolerations.iter().any(|it| tolerates(it, key)) {
                tolerations.push(json!({
                    "key": key, "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 300,
                }));
            }
        }
    }
    let priority = match spec["priorityClassName"].as_str() {
        Some("system-cluster-critical") => 2_000_000_000_i64,
        Some("system-node-critical") => 2_000_001_000,
        _ => 0,
    };
    fill_absent(spec, "priority", json!(priority));
    fill(spec, "preemptionPolicy", json!("PreemptLowerPriority"));
}

/// Whether a toleration is about that nothing runs on a node any more, for this reason.
fn tolerates(toleration: &Value, key: &str) -> bool {
    let is_or_is_none = |field: &str, wanted: &str| {
        toleration[field].as_str().is_none_or(|text| text.is_empty() || text == wanted)
    };
    is_or_is_none("key", key) && is_or_is_none("effect", "NoExecute")
}

/// The pods of a job are those with its own uid on them, unless somebody chose otherwise.
fn select_by_uid(job: &mut Value) {
    let (uid, name) = (job["metadata"]["uid"].clone(), job["metadata"]["name"].clone());
    if job["spec"]["manualSelector"] == true || !uid.is_string() {
        return;
    }
    let labels = [
        ("batch.kubernetes.io/controller-uid", &uid),
        ("batch.kubernetes.io/job-name", &name),
        ("controller-uid", &uid),
        ("job-name", &name),
    ];
    within(job, "spec", |spec| {
        fill_absent(spec, "manualSelector", json!(false));
        fill_absent(spec, "selector", json!({"matchLabels": {"batch.kubernetes.io/controller-uid": uid}}));
        let template = made(spec, "template").and_then(|template| made(template, "metadata"));
        if let Some(given) = template.and_then(|metadata| made(metadata, "labels")) {
            for (label, value) in labels {
                fill(given, label, value.clone());
            }
        }
    });
    // A job without labels has those of its pods.
    if job["metadata"]["labels"].as_object().is_none_or(Map::is_empty) {
        job["metadata"]["labels"] = job["spec"]["template"]["metadata"]["labels"].clone();
    }
}

/// A list that is there from now on.
fn list<'a>(object: &'a mut Value, field: &str) -> Option<&'a mut Vec<Value>> {
    fill_absent(object, field, json!([]));
    object.get_mut(field)?.as_array_mut()
}
