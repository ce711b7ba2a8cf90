//! What a cluster is set up with: endpoints, limits, policies, bindings, drivers.

use serde_json::{Value, json};

use super::{each, fill, fill_absent, made, within};

const RBAC: &str = "rbac.authorization.k8s.io";

pub(super) fn endpoints(object: &mut Value) {
    each(object, "subsets", |subset| {
        each(subset, "ports", |port| fill(port, "protocol", json!("TCP")));
    });
}

/// Without anything else, a container may have what it can have at most, and asks for what it may have.
pub(super) fn limit_range(object: &mut Value) {
    within(object, "spec", |spec| {
        each(spec, "limits", |item| {
            if item.get("type").is_none_or(|kind| kind != "Container") {
                return;
            }
            made(item, "default");
            made(item, "defaultRequest");
            for (to, from) in [("default", "max"), ("defaultRequest", "default"), ("defaultRequest", "min")] {
                let from = item.get(from).and_then(Value::as_object).cloned().unwrap_or_default();
                for (name, quantity) in from {
                    fill_absent(&mut item[to], &name, quantity);
                }
            }
            if let Some(fields) = item.as_object_mut() {
                fields.retain(|_, value| value.as_object().is_none_or(|map| !map.is_empty()));
            }
        });
    });
}

/// Of a node can be used what there is of it.
pub(super) fn node(object: &mut Value) {
    within(object, "status", |status| {
        if let Some(capacity) = status.get("capacity").cloned() {
            fill_absent(status, "allocatable", capacity);
        }
    });
    within(object, "spec", |spec| {
        // One range has two names; the older one wins.
        let first = spec.get("podCIDRs").and_then(|ranges| ranges.get(0)).cloned();
        match spec.get("podCIDR").filter(|range| **range != "").cloned() {
            Some(range) if first.as_ref() != Some(&range) => spec["podCIDRs"] = json!([range]),
            Some(_) => {}
            None => {
                if let Some(first) = first {
                    spec["podCIDR"] = first;
                }
            }
        }
    });
}

pub(super) fn network_policy(spec: &mut Value) {
    for rules in ["ingress", "egress"] {
        each(spec, rules, |rule| {
            each(rule, "ports", |port| fill_absent(port, "protocol", json!("TCP")));
        });
    }
    let has_egress = spec.get("egress").and_then(Value::as_array).is_some_and(|rules| !rules.is_empty());
    let types = if has_egress { json!(["Ingress", "Egress"]) } else { json!(["Ingress"]) };
    fill_absent(spec, "policyTypes", types);
}

/// Users and groups are of the group that roles are of; accounts are of the core group.
pub(super) fn binding(object: &mut Value) {
    within(object, "roleRef", |role| fill(role, "apiGroup", json!(RBAC)));
    each(object, "subjects", |subject| {
        if subject.get("kind").is_some_and(|kind| kind == "User" || kind == "Group") {
            fill(subject, "apiGroup", json!(RBAC));
        }
    });
}

pub(super) fn csi_driver(spec: &mut Value) {
    for (field, value) in [
        ("attachRequired", json!(true)),
        ("fsGroupPolicy", json!("ReadWriteOnceWithFSType")),
        ("podInfoOnMount", json!(false)),
        ("requiresRepublish", json!(false)),
        ("seLinuxMount", json!(false)),
        ("storageCapacity", json!(false)),
        ("volumeLifecycleModes", json!(["Persistent"])),
    ] {
        fill_absent(spec, field, value);
    }
}

pub(super) fn admission_policy(spec: &mut Value) {
    fill_absent(spec, "failurePolicy", json!("Fail"));
    within(spec, "matchConstraints", match_resources);
}

/// What requests a policy is about: all that it does not exclude.
pub(super) fn match_resources(resources: &mut Value) {
    fill_absent(resources, "matchPolicy", json!("Equivalent"));
    made(resources, "namespaceSelector");
    made(resources, "objectSelector");
    for rules in ["resourceRules", "excludeResourceRules"] {
        each(resources, rules, |rule| fill_absent(rule, "scope", json!("*")));
    }
}
