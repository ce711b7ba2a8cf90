//! What is given, and what it is completed to. All of it was seen at a kube-apiserver 1.36.

use serde_json::{Value, json};

use super::*;

/// What completing adds or changes, by pointer.
#[track_caller]
fn assert_completed(api_version: &str, kind: &str, mut object: Value, expected: &[(&str, Value)]) {
    complete(&mut object, api_version, kind);
    for (pointer, value) in expected {
        assert_eq!(object.pointer(pointer), Some(value), "{kind}{pointer}");
    }
    let once = object.clone();
    complete(&mut object, api_version, kind);
    assert_eq!(object, once, "{kind} is completed once and for all");
}

fn template(container: &Value) -> Value {
    let mut container = container.clone();
    container["name"] = json!("c");
    json!({"spec": {"containers": [container]}})
}

#[test]
fn controllers_have_a_pace_and_a_history() {
    let given = || json!({"spec": {"template": template(&json!({"image": "a:1"}))}});
    assert_completed(
        "apps/v1",
        "Deployment",
        given(),
        &[
            ("/spec/replicas", json!(1)),
            ("/spec/revisionHistoryLimit", json!(10)),
            ("/spec/progressDeadlineSeconds", json!(600)),
            (
                "/spec/strategy",
                json!({"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": "25%", "maxSurge": "25%"}}),
            ),
            ("/spec/template/spec/restartPolicy", json!("Always")),
        ],
    );
    assert_completed(
        "apps/v1",
        "DaemonSet",
        given(),
        &[(
            "/spec/updateStrategy",
            json!({"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 1, "maxSurge": 0}}),
        )],
    );
    assert_completed(
        "apps/v1",
        "StatefulSet",
        json!({"spec": {"updateStrategy": {"type": "OnDelete"}}}),
        &[
            ("/spec/updateStrategy", json!({"type": "OnDelete"})),
            ("/spec/podManagementPolicy", json!("OrderedReady")),
        ],
    );
    assert_completed(
        "batch/v1",
        "Job",
        json!({"spec": {"parallelism": 3}}),
        &[("/spec/backoffLimit", json!(6)), ("/spec/parallelism", json!(3))],
    );
    assert_completed(
        "apps/v1",
        "Deployment",
        json!({"spec": {"replicas": 0}}),
        &[("/spec/replicas", json!(0))],
    );
}

#[test]
fn containers_are_completed_in_every_corner() {
    let container = json!({
        "image": "a:1", "ports": [{"containerPort": 80}],
        "livenessProbe": {"httpGet": {"port": 80}}, "startupProbe": {"grpc": {"port": 1}},
        "env": [{"name": "a", "valueFrom": {"fieldRef": {"fieldPath": "spec.nodeName"}}}],
    });
    let completed = [
        ("terminationMessagePath", json!("/dev/termination-log")),
        ("terminationMessagePolicy", json!("File")),
        ("imagePullPolicy", json!("IfNotPresent")),
        ("resources", json!({})),
        ("ports/0/protocol", json!("TCP")),
        ("livenessProbe/httpGet", json!({"port": 80, "path": "/", "scheme": "HTTP"})),
        ("livenessProbe/failureThreshold", json!(3)),
        ("startupProbe/grpc/service", json!("")),
        ("env/0/valueFrom/fieldRef/apiVersion", json!("v1")),
    ];
    for (field, value) in completed {
        let pointer = format!("/spec/template/spec/containers/0/{field}");
        let object = json!({"spec": {"template": template(&container)}});
        assert_completed("apps/v1", "ReplicaSet", object, &[(&pointer, value)]);
    }
}

#[test]
fn the_latest_image_is_always_pulled() {
    for (image, is_latest) in [
        ("nginx", true),
        ("nginx:latest", true),
        ("nginx:1.2", false),
        ("registry.io:5000/a/nginx", true),
        ("registry.io:5000/a/nginx:1", false),
        ("nginx@sha256:00", false),
        ("nginx:latest@sha256:00", true),
        ("NGINX!!", false),
        ("", false),
    ] {
        assert_eq!(pod::is_latest(image), is_latest, "{image}");
    }
}

#[test]
fn a_pod_in_the_network_of_its_host_has_the_ports_of_its_host() {
    let mut object = template(&json!({"image": "a:1", "ports": [{"containerPort": 7946}],
        "resources": {"limits": {"cpu": "1", "memory": "1Gi"}, "requests": {"cpu": "500m"}}}));
    object["spec"]["hostNetwork"] = json!(true);
    object["spec"]["serviceAccountName"] = json!("speaker");
    object["spec"]["volumes"] = json!([{"name": "a"}, {"name": "b", "secret": {"secretName": "s"}}]);
    assert_completed(
        "v1",
        "Pod",
        object,
        &[
            ("/spec/containers/0/ports/0/hostPort", json!(7946)),
            ("/spec/containers/0/resources/requests", json!({"cpu": "500m", "memory": "1Gi"})),
            ("/spec/enableServiceLinks", json!(true)),
            ("/spec/serviceAccount", json!("speaker")),
            ("/spec/volumes/0/emptyDir", json!({})),
            ("/spec/volumes/1/secret/defaultMode", json!(420)),
        ],
    );
}

#[test]
fn the_rest_of_a_cluster_is_completed_too() {
    let rbac = "rbac.authorization.k8s.io";
    let subjects = json!([{"kind": "User", "name": "u"}, {"kind": "ServiceAccount", "name": "a"}]);
    assert_completed(
        "rbac.authorization.k8s.io/v1",
        "RoleBinding",
        json!({"roleRef": {"kind": "Role", "name": "r"}, "subjects": subjects}),
        &[
            ("/roleRef/apiGroup", json!(rbac)),
            (
                "/subjects",
                json!([{"kind": "User", "name": "u", "apiGroup": rbac}, {"kind": "ServiceAccount", "name": "a"}]),
            ),
        ],
    );
    let policy = json!({"spec": {"podSelector": {}, "egress": [{"ports": [{"port": 80}]}]}});
    assert_completed(
        "networking.k8s.io/v1",
        "NetworkPolicy",
        policy,
        &[
            ("/spec/policyTypes", json!(["Ingress", "Egress"])),
            ("/spec/egress/0/ports/0/protocol", json!("TCP")),
        ],
    );
    let limits = json!([{"type": "Container", "max": {"cpu": "1"}, "min": {"memory": "1Mi"}}]);
    assert_completed(
        "v1",
        "LimitRange",
        json!({"spec": {"limits": limits}}),
        &[
            ("/spec/limits/0/default", json!({"cpu": "1"})),
            ("/spec/limits/0/defaultRequest", json!({"cpu": "1", "memory": "1Mi"})),
        ],
    );
    assert_completed(
        "storage.k8s.io/v1",
        "CSIDriver",
        json!({"spec": {"attachRequired": false}}),
        &[("/spec/attachRequired", json!(false)), ("/spec/volumeLifecycleModes", json!(["Persistent"]))],
    );
}

#[test]
fn what_is_new_has_a_first_status() {
    let new = |kind: &str, api_version: &str, mut object: Value| {
        begin(&mut object, api_version, kind, &json!("2026-01-01T00:00:00Z"));
        object
    };
    for (resources, quality) in [
        (json!({}), "BestEffort"),
        (json!({"requests": {"cpu": "1"}}), "Burstable"),
        (
            json!({"limits": {"cpu": "1", "memory": "1Gi"}, "requests": {"cpu": "1", "memory": "1Gi"}}),
            "Guaranteed",
        ),
    ] {
        let pod = new("Pod", "v1", template(&json!({"resources": resources})));
        assert_eq!(pod["status"], json!({"phase": "Pending", "qosClass": quality}));
        assert_eq!(pod["spec"]["tolerations"][1]["key"], "node.kubernetes.io/unreachable");
    }
    let job = json!({"metadata": {"name": "j", "uid": "u"}, "spec": {"template": {}}});
    let job = new("Job", "batch/v1", job);
    assert_eq!(job["spec"]["selector"]["matchLabels"], json!({"batch.kubernetes.io/controller-uid": "u"}));
    assert_eq!(job["spec"]["template"]["metadata"]["labels"]["job-name"], "j");
}

#[test]
fn a_daemon_set_counts_its_templates() {
    let at = |generation: &str, image: &str| {
        json!({
            "metadata": {"annotations": {"deprecated.daemonset.template.generation": generation}},
            "spec": {"template": template(&json!({"image": image}))},
        })
    };
    for (image, expected) in [("a:1", "4"), ("a:2", "5")] {
        let mut new = at("ignored", image);
        carry(&mut new, &at("4", "a:1"), "apps/v1", "DaemonSet");
        assert_eq!(new["metadata"]["annotations"]["deprecated.daemonset.template.generation"], expected);
    }
}
