//! What fields of built-in kinds are when nobody says: filled in before an object is judged or stored.
//! Services, Secrets, namespaces and EndpointSlices have modules of their own.

mod cluster;
mod created;
mod pod;
mod volume;
mod workload;

#[cfg(test)]
mod tests;

pub use created::{begin, carry};

use serde_json::{Map, Value, json};

/// Fills in what an object of this kind does not say.
pub fn complete(object: &mut Value, api_version: &str, kind: &str) {
    let group = api_version.split_once('/').map_or("", |(group, _)| group);
    match (group, kind) {
        ("", "Pod") => pod::pod(object),
        ("", "PodTemplate") => within(object, "template", pod::template),
        ("", "ReplicationController") => workload::replication_controller(object),
        ("apps", "Deployment") => within(object, "spec", workload::deployment),
        ("apps", "DaemonSet") => {
            created::begin_template(object);
            within(object, "spec", workload::daemon_set);
        }
        ("apps", "ReplicaSet") => within(object, "spec", workload::replica_set),
        ("apps", "StatefulSet") => within(object, "spec", workload::stateful_set),
        ("batch", "Job") => within(object, "spec", workload::job),
        ("batch", "CronJob") => within(object, "spec", workload::cron_job),
        ("", "Endpoints") => cluster::endpoints(object),
        ("", "Namespace") => {
            if let Some(status) = made(object, "status") {
                fill(status, "phase", json!("Active"));
            }
        }
        ("", "LimitRange") => cluster::limit_range(object),
        ("", "Node") => cluster::node(object),
        ("", "PersistentVolume") => volume::persistent_volume(object),
        ("", "PersistentVolumeClaim") => volume::claim(object),
        ("admissionregistration.k8s.io", "ValidatingAdmissionPolicy" | "MutatingAdmissionPolicy") => {
            within(object, "spec", cluster::admission_policy);
        }
        (
            "admissionregistration.k8s.io",
            "ValidatingAdmissionPolicyBinding" | "MutatingAdmissionPolicyBinding",
        ) => {
            within(object, "spec", |spec| within(spec, "matchResources", cluster::match_resources));
        }
        ("networking.k8s.io", "IngressClass") => {
            within(object, "spec", |spec| {
                within(spec, "parameters", |it| fill(it, "scope", json!("Cluster")));
            });
        }
        ("networking.k8s.io", "NetworkPolicy") => within(object, "spec", cluster::network_policy),
        ("rbac.authorization.k8s.io", "RoleBinding" | "ClusterRoleBinding") => cluster::binding(object),
        ("scheduling.k8s.io", "PriorityClass") => {
            fill(object, "preemptionPolicy", json!("PreemptLowerPriority"));
        }
        ("storage.k8s.io", "CSIDriver") => within(object, "spec", cluster::csi_driver),
        ("storage.k8s.io", "StorageClass") => {
            fill(object, "reclaimPolicy", json!("Delete"));
            fill(object, "volumeBindingMode", json!("Immediate"));
        }
        _ => {}
    }
}

/// Gives a field a value, if it has none. What is empty in Go is no value.
fn fill(object: &mut Value, field: &str, value: Value) {
    let Some(fields) = object.as_object_mut() else { return };
    if fields.get(field).is_none_or(|there| there.is_null() || *there == "" || *there == 0) {
        fields.insert(field.to_owned(), value);
    }
}

/// As [`fill`], where an empty value is one that somebody chose: of a pointer in Go.
fn fill_absent(object: &mut Value, field: &str, value: Value) {
    let Some(fields) = object.as_object_mut() else { return };
    if fields.get(field).is_none_or(Value::is_null) {
        fields.insert(field.to_owned(), value);
    }
}

/// Does something to a field that is a struct, if it is there.
fn within(object: &mut Value, field: &str, complete: impl FnOnce(&mut Value)) {
    if let Some(inner) = object.get_mut(field).filter(|inner| inner.is_object()) {
        complete(inner);
    }
}

/// Does something to each item of a list.
fn each(object: &mut Value, field: &str, complete: impl FnMut(&mut Value)) {
    if let Some(items) = object.get_mut(field).and_then(Value::as_array_mut) {
        items.iter_mut().for_each(complete);
    }
}

/// A struct that is there from now on.
fn made<'a>(object: &'a mut Value, field: &str) -> Option<&'a mut Value> {
    fill_absent(object, field, Value::Object(Map::new()));
    object.get_mut(field)
}
