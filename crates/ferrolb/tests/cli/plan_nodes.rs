//! `ferrolb plan`: which node answers for which address.

use serde_json::{Value, json};

use crate::ferrolb;

/// Two nodes, a pool and an advertisement for all of it.
const CLUSTER: &str = "apiVersion: v1\nkind: List\nitems:\n\
    - {apiVersion: v1, kind: Node, metadata: {name: iris1, labels: {name: iris1}}}\n\
    - {apiVersion: v1, kind: Node, metadata: {name: iris2, labels: {name: iris2}}}\n\
    - {apiVersion: metallb.io/v1beta1, kind: IPAddressPool, metadata: {name: p, namespace: metallb-system}, \
       spec: {addresses: [10.20.30.1-10.20.30.9]}}\n\
    - {apiVersion: metallb.io/v1beta1, kind: L2Advertisement, metadata: {name: a, namespace: metallb-system}, \
       spec: {}}\n";

const OTHER_ADVERTISEMENT: &str = "- {apiVersion: metallb.io/v1beta1, kind: L2Advertisement, metadata: {name: b, namespace: metallb-system}, spec: ";

fn service(name: &str, extra_spec: &str) -> String {
    format!(
        "- {{apiVersion: v1, kind: Service, metadata: {{name: {name}, namespace: default}}, \
         spec: {{type: LoadBalancer, clusterIPs: [10.96.0.1], ports: [{{port: 80}}]{extra_spec}}}}}\n"
    )
}

fn slice(name: &str, service: &str, endpoint: &str) -> String {
    format!(
        "- {{apiVersion: discovery.k8s.io/v1, kind: EndpointSlice, addressType: IPv4, metadata: {{name: {name}, \
         namespace: default, labels: {{kubernetes.io/service-name: {service}}}}}, endpoints: [{endpoint}]}}\n"
    )
}

const ON_IRIS1: &str = "{addresses: [10.0.0.1], nodeName: iris1}";
const NOT_READY_ON_IRIS2: &str = "{addresses: [10.0.0.2], nodeName: iris2, conditions: {ready: false}}";

fn planned(extra: &[&str], cluster: &str) -> (Value, String) {
    let mut arguments = vec!["plan", "-f", "-", "-o", "json"];
    arguments.extend(extra);
    let run = ferrolb(&arguments, cluster);
    assert_eq!(run.code, 0, "{}", run.stderr);
    (run.json(), run.stderr)
}

/// The one reason of a node, or none.
fn reason<'a>(plan: &'a Value, node: &str) -> &'a str {
    plan["nodes"][node]["refusals"][0]["reason"].as_str().unwrap_or_default()
}

#[test]
fn each_address_has_one_owner_and_the_others_say_why_not() {
    let cluster = [CLUSTER, &service("web", ""), &slice("web-1", "web", ON_IRIS1)].concat();
    let (plan, stderr) = planned(&[], &cluster);
    assert_eq!(stderr, "");
    assert_eq!(plan["assignments"][0]["owner"], "iris2");
    let answered = json!({"service": "default/web", "ip": "10.20.30.1", "interfaces": []});
    let mut announced = answered.clone();
    announced["protocol"] = "layer2".into();
    announced["node"] = "iris2".into();
    assert_eq!(plan["announcements"], json!([announced]));
    let refused = json!({
        "service": "default/web", "ip": "10.20.30.1", "protocol": "layer2", "reason": "notOwner",
        "message": "node iris2 answers; this one is number 2 in the order of succession",
    });
    assert_eq!(
        plan["nodes"],
        json!({
            "iris1": {"l2": [], "bgp": {}, "refusals": [refused]},
            "iris2": {"l2": [answered], "bgp": {}, "refusals": []},
        })
    );
}

#[test]
fn who_is_alive_decides() {
    let cluster = [CLUSTER, &service("web", ""), &slice("web-1", "web", ON_IRIS1)].concat();
    for (speakers, owner, warning) in [
        ("iris1,iris2", Some("iris2"), ""),
        ("iris1", Some("iris1"), ""),
        ("", None, ""),
        (
            "iris1,iris9",
            Some("iris1"),
            "warning: --speakers iris9: there is no Node of this name in the input\n",
        ),
    ] {
        let (plan, stderr) = planned(&["--speakers", speakers], &cluster);
        assert_eq!(plan["assignments"][0]["owner"].as_str(), owner, "{speakers:?}");
        assert_eq!(stderr, warning, "{speakers:?}");
    }
}

#[test]
fn nodes_endpoints_and_labels_decide() {
    let web = service("web", "");
    let local = service("web", ", externalTrafficPolicy: Local");
    let slices = [slice("web-1", "web", ON_IRIS1), slice("web-2", "web", NOT_READY_ON_IRIS2)].concat();
    let not_ready = slice("web-1", "web", NOT_READY_ON_IRIS2);
    let elsewhere = slice("web-1", "other", ON_IRIS1);
    let excluded =
        CLUSTER.replace("name: iris2}}}", "node.kubernetes.io/exclude-from-external-load-balancers: ''}}}");
    let unavailable = CLUSTER.replace(
        "{name: iris2}}}",
        "{name: iris2}}, status: {conditions: [{type: NetworkUnavailable, status: 'True'}]}}",
    );
    let none: &[&str] = &[];
    for (case, cluster, rest, extra, expected) in [
        ("an endpoint anywhere", CLUSTER, [&web, &slices], none, ["notOwner", ""]),
        ("an endpoint on the node", CLUSTER, [&local, &slices], none, ["", "notOwner"]),
        ("no endpoint that is ready", CLUSTER, [&web, &not_ready], none, ["notOwner", "notOwner"]),
        ("an endpoint of another Service", CLUSTER, [&web, &elsewhere], none, ["notOwner", "notOwner"]),
        ("the label", &excluded, [&web, &slices], none, ["", "notOwner"]),
        ("the label, ignored", &excluded, [&web, &slices], &["--ignore-exclude-lb"], ["notOwner", ""]),
        ("the condition", &unavailable, [&web, &slices], &["--ignore-exclude-lb"], ["", "notOwner"]),
    ] {
        let (plan, _) = planned(extra, &[cluster, rest[0], rest[1]].concat());
        assert_eq!(["iris1", "iris2"].map(|node| reason(&plan, node)), expected, "{case}");
    }
}

#[test]
fn advertisements_say_where_and_on_which_interfaces() {
    let rest = [service("web", ""), slice("web-1", "web", ON_IRIS1)].concat();
    let only_iris1 = "{nodeSelectors: [{matchLabels: {name: iris1}}], interfaces: [eth1, eth0]}}\n";
    let cluster = [CLUSTER, OTHER_ADVERTISEMENT, only_iris1, &rest].concat();
    let narrowed = cluster.replace("spec: {}}", "spec: {nodeSelectors: [{matchLabels: {name: none}}]}}");
    let (plan, _) = planned(&[], &narrowed);
    assert_eq!(plan["announcements"][0]["interfaces"], json!(["eth0", "eth1"]));
    assert_eq!(["iris1", "iris2"].map(|node| reason(&plan, node)), ["", "noMatchingAdvertisement"]);

    let preferring = "{preferredNodeSelectors: [{weight: 5, preference: {matchLabels: {name: iris1}}}]}}\n";
    let (plan, _) = planned(&[], &[CLUSTER, OTHER_ADVERTISEMENT, preferring, &rest].concat());
    assert_eq!(plan["assignments"][0]["owner"], "iris1");
    assert_eq!(plan["announcements"][0]["interfaces"], json!([]));
}

#[test]
fn without_endpoints_nothing_is_announced_and_a_note_says_so() {
    let (plan, stderr) = planned(&[], &[CLUSTER, &service("web", "")].concat());
    assert_eq!(plan["announcements"], json!([]));
    assert_eq!(plan["nodes"]["iris1"]["refusals"][0]["message"], "no endpoint of the Service can serve");
    let note = "note: there is no EndpointSlice in the input, so no endpoint can serve, and nobody answers for 1 Service\n";
    assert_eq!(stderr, note);
}

#[test]
fn a_speaker_that_accepts_no_configuration_announces_nothing() {
    let peer = "- {apiVersion: metallb.io/v1beta2, kind: BGPPeer, metadata: {name: x, namespace: metallb-system}, \
                spec: {myASN: 1, peerASN: 2, peerAddress: x, nodeSelectors: [{matchLabels: {name: iris2}}]}}\n";
    let cluster = [CLUSTER, peer, &service("web", ""), &slice("web-1", "web", ON_IRIS1)].concat();
    let (plan, _) = planned(&[], &cluster);
    assert_eq!(plan["announcements"], json!([]), "iris2 owns it, and has no configuration");
    assert_eq!(["iris1", "iris2"].map(|node| reason(&plan, node)), ["notOwner", "configurationError"]);
    let message = "configuration error: parsing peer x invalid BGPPeer address \"x\"";
    assert_eq!(plan["nodes"]["iris2"]["refusals"][0]["message"], message);
}

#[test]
fn people_see_who_answers_and_what_nobody_answers_for() {
    let local = service("idle", ", externalTrafficPolicy: Local");
    let cluster = [CLUSTER, &service("web", ""), &local, &slice("web-1", "web", ON_IRIS1)].concat();
    let table = ferrolb(&["plan", "-f", "-"], &cluster).stdout;
    let lines: Vec<Vec<&str>> = table.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(lines[0].join(" "), "1 Service that no node answers for by layer 2");
    assert_eq!(lines[2].join(" "), "default/idle no endpoint of the Service can serve");
    assert!(lines.contains(&vec!["default/web", "10.20.30.1", "iris2", "all", "IPAllocated"]), "{table}");
    assert!(lines.contains(&vec!["default/idle", "10.20.30.2", "-", "-", "IPAllocated"]), "{table}");
}
