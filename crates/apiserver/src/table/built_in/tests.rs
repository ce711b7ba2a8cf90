use serde_json::json;

use super::*;

const NOW: i64 = 1_767_225_600 + 90;
const CREATED_AT: &str = "2026-01-01T00:00:00Z";

fn cells(group: &str, plural: &str, fields: &Value) -> Vec<String> {
    let mut object = fields.clone();
    object["metadata"]["name"] = json!("a");
    object["metadata"]["creationTimestamp"] = json!(CREATED_AT);
    let table = render(view_of(group, plural), &[object], &json!({}), IncludeObject::None, NOW);
    let columns = table["columnDefinitions"].as_array().unwrap();
    let cells = table["rows"][0]["cells"].as_array().unwrap();
    assert_eq!(columns.len(), cells.len(), "{plural}");
    cells.iter().map(|cell| cell.as_str().map_or_else(|| cell.to_string(), str::to_owned)).collect()
}

#[test]
fn every_view_has_a_cell_for_each_column_of_an_empty_object() {
    for view in VIEWS.iter().chain([&PLAIN]) {
        cells(view.group, view.plural, &json!({}));
    }
}

#[test]
fn a_service_shows_where_it_is_reached() {
    let ports = json!([{"port": 80, "nodePort": 30080, "protocol": "TCP"}, {"port": 53, "protocol": "UDP"}]);
    for (fields, expected) in [
        (json!({"spec": {"type": "ClusterIP", "clusterIPs": ["None"]}}), ["None", "<none>", "<none>"]),
        (
            json!({"spec": {"type": "LoadBalancer", "clusterIPs": ["10.0.0.1"], "ports": ports}}),
            ["10.0.0.1", "<pending>", "80:30080/TCP,53/UDP"],
        ),
        (
            json!({
                "spec": {"type": "LoadBalancer", "externalIPs": ["192.0.2.9"]},
                "status": {"loadBalancer": {"ingress": [{"ip": "192.0.2.2"}, {"hostname": "b"}, {"ip": "192.0.2.1"}]}},
            }),
            ["<none>", "192.0.2.1,192.0.2.2,b,192.0.2.9", "<none>"],
        ),
        (
            json!({"spec": {"type": "ExternalName", "externalName": "a.example.com"}}),
            ["<none>", "a.example.com", "<none>"],
        ),
    ] {
        assert_eq!(cells("", "services", &fields)[2..5], expected);
    }
}

#[test]
fn endpoints_are_cut_after_three() {
    let four = json!([{"ip": "10.0.0.1"}, {"ip": "10.0.0.2"}, {"ip": "fd00::1"}, {"ip": "10.0.0.4"}]);
    for (subsets, expected) in [
        (json!([]), "<none>"),
        (json!([{"notReadyAddresses": [{"ip": "10.0.0.1"}]}]), ""),
        (json!([{"addresses": [{"ip": "10.0.0.1"}]}]), "10.0.0.1"),
        (
            json!([{"addresses": four, "ports": [{"port": 80}]}]),
            "10.0.0.1:80,10.0.0.2:80,[fd00::1]:80 + 1 more...",
        ),
    ] {
        assert_eq!(cells("", "endpoints", &json!({"subsets": subsets}))[1], expected);
    }
    let slice =
        json!({"addressType": "IPv4", "ports": [{"port": 1}, {"name": "x"}, {}, {"port": 4}, {"port": 5}]});
    assert_eq!(cells("discovery.k8s.io", "endpointslices", &slice)[2..4], ["1,x,* + 2 more...", "<unset>"]);
}

#[test]
fn a_pod_says_what_it_waits_for() {
    let running = json!({"name": "c", "ready": true, "state": {"running": {}}});
    let restarted = json!({
        "name": "c", "restartCount": 3, "state": {"waiting": {"reason": "CrashLoopBackOff"}},
        "lastState": {"terminated": {"finishedAt": "2026-01-01T00:01:00Z"}},
    });
    let failed = json!({"state": {"terminated": {"exitCode": 2}}});
    let init = json!([{"name": "i", "state": {"waiting": {"reason": "PodInitializing"}}}]);
    for (status, expected) in [
        (json!({"phase": "Pending"}), ["0/1", "Pending", "0"]),
        (json!({"phase": "Running", "containerStatuses": [running]}), ["1/1", "Running", "0"]),
        (
            json!({"phase": "Running", "containerStatuses": [restarted]}),
            ["0/1", "CrashLoopBackOff", "3 (30s ago)"],
        ),
        (json!({"phase": "Failed", "containerStatuses": [failed]}), ["0/1", "ExitCode:2", "0"]),
        (json!({"phase": "Failed", "reason": "Evicted"}), ["0/1", "Evicted", "0"]),
        (json!({"phase": "Pending", "initContainerStatuses": init}), ["0/1", "Init:0/1", "0"]),
    ] {
        let pod = json!({
            "spec": {"containers": [{"name": "c"}], "initContainers": [{"name": "i"}]}, "status": status,
        });
        assert_eq!(cells("", "pods", &pod)[1..4], expected);
    }
    let going = json!({"metadata": {"deletionTimestamp": CREATED_AT}, "status": {"phase": "Running"}});
    assert_eq!(cells("", "pods", &going)[2], "Terminating");
}

#[test]
fn an_event_is_the_same_in_both_groups() {
    let old = json!({
        "involvedObject": {"kind": "Service", "name": "s", "fieldPath": "p"}, "reason": "R", "message": " m\n",
        "type": "Normal", "source": {"component": "c", "host": "h"}, "count": 4,
        "firstTimestamp": CREATED_AT, "lastTimestamp": "2026-01-01T00:01:00Z",
    });
    let new = json!({
        "regarding": {"kind": "Service", "name": "s", "fieldPath": "p"}, "reason": "R", "note": " m\n",
        "type": "Normal", "deprecatedSource": {"component": "c", "host": "h"}, "deprecatedCount": 4,
        "deprecatedFirstTimestamp": CREATED_AT, "deprecatedLastTimestamp": "2026-01-01T00:01:00Z",
    });
    let expected = ["30s", "Normal", "R", "service/s", "p", "c, h", "m", "90s", "4", "a"];
    assert_eq!(cells("", "events", &old), expected);
    assert_eq!(cells("events.k8s.io", "events", &new), expected);
}

#[test]
fn other_kinds_print_their_cells() {
    let node = json!({
        "metadata": {"labels": {"node-role.kubernetes.io/worker": "", "kubernetes.io/role": "edge"}},
        "spec": {"unschedulable": true},
        "status": {
            "conditions": [{"type": "Ready", "status": "Unknown"}], "nodeInfo": {"kubeletVersion": "v1"},
            "addresses": [{"type": "InternalIP", "address": "192.0.2.1"}],
        },
    });
    assert_eq!(
        cells("", "nodes", &node)[1..7],
        ["NotReady,SchedulingDisabled", "edge,worker", "90s", "v1", "192.0.2.1", "<none>"]
    );
    let expressions = json!([{"key": "b", "operator": "In", "values": ["y", "x"]}, {"key": "a", "operator": "DoesNotExist"}]);
    let deployment = json!({
        "spec": {
            "replicas": 3, "selector": {"matchLabels": {"c": "d"}, "matchExpressions": expressions},
            "template": {"spec": {"containers": [{"name": "x", "image": "i"}, {"name": "y", "image": "j"}]}},
        },
        "status": {"readyReplicas": 1},
    });
    assert_eq!(
        cells("apps", "deployments", &deployment),
        ["a", "1/3", "0", "0", "90s", "x,y", "i,j", "!a,b in (x,y),c=d"]
    );
    let job = json!({
        "spec": {"completions": 1},
        "status": {
            "startTime": CREATED_AT, "completionTime": "2026-01-01T00:00:20Z", "succeeded": 1,
            "conditions": [{"type": "Complete", "status": "True"}],
        },
    });
    assert_eq!(cells("batch", "jobs", &job)[1..4], ["Complete", "1/1", "20s"]);
    assert_eq!(cells("rbac.authorization.k8s.io", "roles", &json!({})), ["a", CREATED_AT]);
}
