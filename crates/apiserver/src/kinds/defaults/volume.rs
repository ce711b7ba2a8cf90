//! Volumes, in pods and by themselves.

use serde_json::{Value, json};

use super::{each, fill, fill_absent, made, within};

/// How files of a volume may be used: 0644.
const FILE_MODE: i32 = 0o644;

/// A volume of a pod; one of which nothing is said is an empty directory.
pub(super) fn of_pod(volume: &mut Value) {
    if volume.as_object().is_some_and(|fields| fields.keys().all(|field| field == "name")) {
        made(volume, "emptyDir");
    }
    for source in ["secret", "configMap", "downwardAPI", "projected"] {
        within(volume, source, |source| fill_absent(source, "defaultMode", json!(FILE_MODE)));
    }
    within(volume, "downwardAPI", |source| each(source, "items", downward_item));
    within(volume, "projected", |projected| {
        each(projected, "sources", |source| {
            within(source, "serviceAccountToken", |token| {
                fill_absent(token, "expirationSeconds", json!(3600));
            });
            within(source, "downwardAPI", |source| each(source, "items", downward_item));
            within(source, "podCertificate", |certificate| {
                fill_absent(certificate, "maxExpirationSeconds", json!(86_400));
            });
        });
    });
    within(volume, "ephemeral", |source| {
        within(source, "volumeClaimTemplate", |template| {
            within(template, "spec", |spec| fill_absent(spec, "volumeMode", json!("Filesystem")));
        });
    });
    within(volume, "image", |source| {
        let reference = source.get("reference").and_then(Value::as_str).unwrap_or_default();
        let policy = if super::pod::is_latest(reference) { "Always" } else { "IfNotPresent" };
        fill(source, "pullPolicy", json!(policy));
    });
    source(volume);
}

fn downward_item(item: &mut Value) {
    within(item, "fieldRef", |field| fill(field, "apiVersion", json!("v1")));
}

/// What pods and persistent volumes have in common.
fn source(volume: &mut Value) {
    within(volume, "hostPath", |source| fill_absent(source, "type", json!("")));
    within(volume, "iscsi", |source| fill(source, "iscsiInterface", json!("default")));
    within(volume, "rbd", |source| {
        for (field, value) in [("pool", "rbd"), ("user", "admin"), ("keyring", "/etc/ceph/keyring")] {
            fill(source, field, json!(value));
        }
    });
    within(volume, "azureDisk", |source| {
        for (field, value) in [("cachingMode", "ReadWrite"), ("kind", "Shared"), ("fsType", "ext4")] {
            fill_absent(source, field, json!(value));
        }
        fill_absent(source, "readOnly", json!(false));
    });
    within(volume, "scaleIO", |source| {
        fill(source, "storageMode", json!("ThinProvisioned"));
        fill(source, "fsType", json!("xfs"));
    });
}

pub(super) fn persistent_volume(object: &mut Value) {
    within(object, "spec", |spec| {
        fill(spec, "persistentVolumeReclaimPolicy", json!("Retain"));
        fill_absent(spec, "volumeMode", json!("Filesystem"));
        source(spec);
    });
    if let Some(status) = made(object, "status") {
        fill(status, "phase", json!("Pending"));
    }
}

/// A claim, by itself or as a template.
pub(super) fn claim(object: &mut Value) {
    within(object, "spec", |spec| {
        fill_absent(spec, "volumeMode", json!("Filesystem"));
        if let Some(source) = spec.get("dataSource").filter(|source| source.is_object()).cloned() {
            fill_absent(spec, "dataSourceRef", source);
        }
    });
    if let Some(status) = made(object, "status") {
        fill(status, "phase", json!("Pending"));
    }
}
