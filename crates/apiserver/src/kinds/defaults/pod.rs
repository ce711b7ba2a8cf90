//! Pods and templates of pods.

use serde_json::{Value, json};

use super::{each, fill, fill_absent, made, volume, within};

pub(super) fn pod(object: &mut Value) {
    within(object, "spec", |spec| {
        fill_absent(spec, "enableServiceLinks", json!(true));
        complete(spec);
        for containers in ["initContainers", "containers"] {
            each(spec, containers, requests_from_limits);
        }
        if spec.get("hostNetwork") == Some(&Value::Bool(true)) {
            for containers in ["initContainers", "containers"] {
                each(spec, containers, |container| each(container, "ports", host_port));
            }
        }
    });
}

/// The template of a pod that somebody else makes.
pub(super) fn template(object: &mut Value) {
    within(object, "spec", complete);
}

fn complete(spec: &mut Value) {
    fill(spec, "restartPolicy", json!("Always"));
    fill(spec, "dnsPolicy", json!("ClusterFirst"));
    fill(spec, "schedulerName", json!("default-scheduler"));
    fill_absent(spec, "terminationGracePeriodSeconds", json!(30));
    made(spec, "securityContext");
    service_account(spec);
    for containers in ["initContainers", "containers", "ephemeralContainers"] {
        each(spec, containers, container);
    }
    each(spec, "volumes", volume::of_pod);
}

/// One account with two names, of which the older is deprecated.
fn service_account(spec: &mut Value) {
    let name = |field: &str| spec.get(field).filter(|name| **name != "").cloned();
    if let Some(account) = name("serviceAccountName").or_else(|| name("serviceAccount")) {
        spec["serviceAccount"] = account.clone();
        spec["serviceAccountName"] = account;
    }
}

fn container(container: &mut Value) {
    fill(container, "terminationMessagePath", json!("/dev/termination-log"));
    fill(container, "terminationMessagePolicy", json!("File"));
    let image = container.get("image").and_then(Value::as_str).unwrap_or_default();
    let policy = if is_latest(image) { "Always" } else { "IfNotPresent" };
    fill(container, "imagePullPolicy", json!(policy));
    made(container, "resources");
    each(container, "ports", |port| fill(port, "protocol", json!("TCP")));
    each(container, "env", |variable| {
        within(variable, "valueFrom", |source| {
            within(source, "fieldRef", |field| fill(field, "apiVersion", json!("v1")));
            within(source, "fileKeyRef", |file| fill_absent(file, "optional", json!(false)));
        });
    });
    for name in ["livenessProbe", "readinessProbe", "startupProbe"] {
        within(container, name, probe);
    }
    within(container, "lifecycle", |lifecycle| {
        for name in ["postStart", "preStop"] {
            within(lifecycle, name, |handler| within(handler, "httpGet", http_get));
        }
    });
    within(container, "securityContext", |context| {
        if context.get("procMount").is_some_and(|mount| *mount == "") {
            context["procMount"] = json!("Default");
        }
    });
}

/// Whether an image is the one that its tag does not pin: `latest`, or neither tag nor digest. What is no name of
/// an image is not.
pub(super) fn is_latest(image: &str) -> bool {
    let (name, digest) = image.split_once('@').map_or((image, None), |(name, digest)| (name, Some(digest)));
    let (directory, last) = name.rsplit_once('/').unwrap_or(("", name));
    let (last, tag) = last.split_once(':').map_or((last, None), |(last, tag)| (last, Some(tag)));
    let is_part = |part: &str| {
        let is_allowed =
            |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"._-".contains(&byte);
        !part.is_empty() && part.bytes().all(is_allowed)
    };
    // The first of several parts may be a host.
    let mut parts = directory.split('/').filter(|part| !part.is_empty()).skip(1);
    is_part(last) && parts.all(is_part) && tag.map_or(digest.is_none(), |tag| tag == "latest")
}

fn probe(probe: &mut Value) {
    for (field, value) in
        [("timeoutSeconds", 1), ("periodSeconds", 10), ("successThreshold", 1), ("failureThreshold", 3)]
    {
        fill(probe, field, json!(value));
    }
    within(probe, "httpGet", http_get);
    within(probe, "grpc", |grpc| fill_absent(grpc, "service", json!("")));
}

fn http_get(action: &mut Value) {
    fill(action, "path", json!("/"));
    fill(action, "scheme", json!("HTTP"));
}

/// What is limited is requested as much, unless a request says otherwise.
fn requests_from_limits(container: &mut Value) {
    let Some(resources) = container.get_mut("resources") else { return };
    let Some(limits) = resources.get("limits").and_then(Value::as_object).cloned() else { return };
    if let Some(requests) = made(resources, "requests") {
        for (name, limit) in limits {
            fill_absent(requests, &name, limit);
        }
    }
}

/// A port of a pod in its host's network is the host's.
fn host_port(port: &mut Value) {
    let number = port.get("containerPort").cloned().unwrap_or_default();
    fill(port, "hostPort", number);
}
