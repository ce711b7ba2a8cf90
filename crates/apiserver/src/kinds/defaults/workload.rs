//! What makes pods: the specs of controllers.

use serde_json::{Value, json};

use super::{each, fill, fill_absent, made, pod, volume, within};

pub(super) fn deployment(spec: &mut Value) {
    fill_absent(spec, "replicas", json!(1));
    fill_absent(spec, "revisionHistoryLimit", json!(10));
    fill_absent(spec, "progressDeadlineSeconds", json!(600));
    rolling(spec, "strategy", &[("maxUnavailable", json!("25%")), ("maxSurge", json!("25%"))]);
    within(spec, "template", pod::template);
}

pub(super) fn daemon_set(spec: &mut Value) {
    fill_absent(spec, "revisionHistoryLimit", json!(10));
    rolling(spec, "updateStrategy", &[("maxUnavailable", json!(1)), ("maxSurge", json!(0))]);
    within(spec, "template", pod::template);
}

pub(super) fn replica_set(spec: &mut Value) {
    fill_absent(spec, "replicas", json!(1));
    within(spec, "template", pod::template);
}

pub(super) fn stateful_set(spec: &mut Value) {
    fill_absent(spec, "replicas", json!(1));
    fill_absent(spec, "revisionHistoryLimit", json!(10));
    fill(spec, "podManagementPolicy", json!("OrderedReady"));
    rolling(spec, "updateStrategy", &[("partition", json!(0))]);
    if let Some(policy) = made(spec, "persistentVolumeClaimRetentionPolicy") {
        fill(policy, "whenDeleted", json!("Retain"));
        fill(policy, "whenScaled", json!("Retain"));
    }
    each(spec, "volumeClaimTemplates", |claim| {
        fill(claim, "apiVersion", json!("v1"));
        fill(claim, "kind", json!("PersistentVolumeClaim"));
        volume::claim(claim);
    });
    within(spec, "template", pod::template);
}

/// A strategy is to roll unless it says otherwise, and to roll at this pace.
fn rolling(spec: &mut Value, field: &str, pace: &[(&str, Value)]) {
    let Some(strategy) = made(spec, field) else { return };
    fill(strategy, "type", json!("RollingUpdate"));
    if strategy["type"] != "RollingUpdate" {
        return;
    }
    if let Some(rolling) = made(strategy, "rollingUpdate") {
        for (field, value) in pace {
            fill_absent(rolling, field, value.clone());
        }
    }
}

pub(super) fn job(spec: &mut Value) {
    if spec.get("completions").is_none() && spec.get("parallelism").is_none() {
        fill_absent(spec, "completions", json!(1));
    }
    fill_absent(spec, "parallelism", json!(1));
    if spec.get("backoffLimitPerIndex").is_some_and(|limit| !limit.is_null()) {
        fill_absent(spec, "backoffLimit", json!(i32::MAX));
    }
    fill_absent(spec, "backoffLimit", json!(6));
    fill_absent(spec, "completionMode", json!("NonIndexed"));
    fill_absent(spec, "suspend", json!(false));
    fill_absent(spec, "manualSelector", json!(false));
    let has_policy = spec.get("podFailurePolicy").is_some_and(|policy| !policy.is_null());
    let replacement = if has_policy { "Failed" } else { "TerminatingOrFailed" };
    fill_absent(spec, "podReplacementPolicy", json!(replacement));
    within(spec, "podFailurePolicy", |policy| {
        each(policy, "rules", |rule| {
            each(rule, "onPodConditions", |pattern| fill(pattern, "status", json!("True")));
        });
    });
    within(spec, "template", pod::template);
}

pub(super) fn cron_job(spec: &mut Value) {
    fill(spec, "concurrencyPolicy", json!("Allow"));
    fill_absent(spec, "suspend", json!(false));
    fill_absent(spec, "successfulJobsHistoryLimit", json!(3));
    fill_absent(spec, "failedJobsHistoryLimit", json!(1));
    within(spec, "jobTemplate", |job| {
        within(job, "spec", |spec| within(spec, "template", pod::template));
    });
}

/// It selects what its own template makes, and is labelled like it.
pub(super) fn replication_controller(object: &mut Value) {
    let labels = object.pointer("/spec/template/metadata/labels").cloned().unwrap_or_default();
    if labels.as_object().is_some_and(|labels| !labels.is_empty()) {
        within(object, "spec", |spec| fill_absent(spec, "selector", labels.clone()));
        within(object, "metadata", |metadata| fill_absent(metadata, "labels", labels));
    }
    within(object, "spec", replica_set);
}
