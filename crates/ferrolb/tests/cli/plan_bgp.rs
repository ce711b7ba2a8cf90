//! `ferrolb plan`: what peers are told by BGP.

use serde_json::{Value, json};

use crate::ferrolb;

const NODES: &str = "apiVersion: v1\nkind: List\nitems:\n\
    - {apiVersion: v1, kind: Node, metadata: {name: iris1, labels: {name: iris1}}}\n\
    - {apiVersion: v1, kind: Node, metadata: {name: iris2, labels: {name: iris2}}}\n";
const ENDPOINT: &str = "- {apiVersion: discovery.k8s.io/v1, kind: EndpointSlice, addressType: IPv4, metadata: {name: web-1, \
    namespace: default, labels: {kubernetes.io/service-name: web}}, endpoints: [{addresses: [10.0.0.1], nodeName: iris1}]}\n";

fn resource(kind: &str, version: &str, name: &str, annotations: &str, spec: &str) -> String {
    format!(
        "- {{apiVersion: metallb.io/{version}, kind: {kind}, metadata: {{name: {name}, namespace: metallb-system, \
         annotations: {{{annotations}}}}}, spec: {{{spec}}}}}\n"
    )
}

fn advertisement(name: &str, annotations: &str, spec: &str) -> String {
    resource("BGPAdvertisement", "v1beta1", name, annotations, spec)
}

fn peer(name: &str, address: &str, extra: &str) -> String {
    let spec = format!("myASN: 64512, peerASN: 64513, peerAddress: {address}{extra}");
    resource("BGPPeer", "v1beta2", name, "", &spec)
}

fn cluster(extra_spec: &str, rest: &[String]) -> String {
    let pool = resource("IPAddressPool", "v1beta1", "p", "", "addresses: [10.20.30.1-10.20.30.9]");
    let service = format!(
        "- {{apiVersion: v1, kind: Service, metadata: {{name: web, namespace: default}}, \
         spec: {{type: LoadBalancer, clusterIPs: [10.96.0.1], ports: [{{port: 80}}]{extra_spec}}}}}\n"
    );
    [NODES, &pool, &service, ENDPOINT, &rest.concat()].concat()
}

fn planned(extra: &[&str], cluster: &str) -> (Value, String) {
    let mut arguments = vec!["plan", "-f", "-", "-o", "json"];
    arguments.extend(extra);
    let run = ferrolb(&arguments, cluster);
    assert_eq!(run.code, 0, "{}", run.stderr);
    (run.json(), run.stderr)
}

fn of_bgp(plan: &Value, node: &str) -> Vec<String> {
    let refusals = plan["nodes"][node]["refusals"].as_array().unwrap().iter();
    let of_bgp = refusals.filter(|it| it["protocol"] == "bgp");
    of_bgp.map(|it| format!("{} {}", it["ip"].as_str().unwrap(), it["reason"].as_str().unwrap())).collect()
}

#[test]
fn every_peer_has_its_routes_and_every_node_that_is_silent_a_reason() {
    let all = "ferrolb.io/med: '5', ferrolb.io/prepend: '2', ferrolb.io/next-hop: 192.0.2.9, ferrolb.io/link-bandwidth: '100'";
    let rest = [
        advertisement("a", all, "localPref: 300, communities: ['65000:1', 'large:1:2:3'], peers: [tor]"),
        advertisement("b", "", "nodeSelectors: [{matchLabels: {name: iris1}}], aggregationLength: 30"),
        peer("tor", "192.0.2.1", ""),
        peer("other", "192.0.2.2", ", nodeSelectors: [{matchLabels: {name: iris1}}]"),
        peer("six", "2001:db8::1", ""),
    ];
    let (plan, _) = planned(&[], &cluster("", &rest));
    let own = json!({
        "prefix": "10.20.30.1/32", "services": ["default/web"], "localPref": 300,
        "communities": ["65000:1", "large:1:2:3"], "med": 5, "prepend": 2, "nextHop": "192.0.2.9",
        "linkBandwidthMbps": 100,
    });
    let wide = json!({"prefix": "10.20.30.0/30", "services": ["default/web"]});
    assert_eq!(plan["nodes"]["iris1"]["bgp"], json!({"tor": [wide, own], "other": [wide], "six": []}));
    assert_eq!(plan["nodes"]["iris2"]["bgp"], json!({"tor": [own], "six": []}));
    let announced: Vec<&Value> =
        plan["announcements"].as_array().unwrap().iter().filter(|it| it["protocol"] == "bgp").collect();
    let entry = |node: &str, peers: &[&str]| json!({"service": "default/web", "ip": "10.20.30.1", "protocol": "bgp", "node": node, "peers": peers});
    assert_eq!(announced, [&entry("iris1", &["other", "tor"]), &entry("iris2", &["tor"])]);
    assert_eq!(of_bgp(&plan, "iris1").len() + of_bgp(&plan, "iris2").len(), 0);

    let (local, _) = planned(&[], &cluster(", externalTrafficPolicy: Local", &rest));
    assert_eq!(local["nodes"]["iris2"]["bgp"], json!({"tor": [], "six": []}));
    assert_eq!(of_bgp(&local, "iris2"), ["10.20.30.1 noLocalEndpoints"]);

    let (dead, _) = planned(&["--speakers", "iris2"], &cluster("", &rest));
    assert_eq!(of_bgp(&dead, "iris1"), ["10.20.30.1 notOwner"]);
}

#[test]
fn nodes_and_peers_can_be_chosen() {
    let rest = [advertisement("a", "", ""), peer("tor", "192.0.2.1", ""), peer("spine", "192.0.2.2", "")];
    let (plan, stderr) = planned(&["--node", "iris2", "--peer", "tor,absent"], &cluster("", &rest));
    assert_eq!(plan["nodes"].as_object().unwrap().keys().collect::<Vec<_>>(), ["iris2"]);
    assert_eq!(plan["nodes"]["iris2"]["bgp"]["tor"].as_array().unwrap().len(), 1);
    assert_eq!(plan["nodes"]["iris2"]["bgp"]["spine"], Value::Null);
    assert_eq!(plan["announcements"][0]["peers"], json!(["tor"]));
    assert_eq!(stderr, "warning: --peer absent: there is none of this name in the input\n");
}

#[test]
fn a_node_whose_configuration_is_broken_tells_nothing_and_the_others_go_on() {
    let broken = peer("broken", "x", ", nodeSelectors: [{matchLabels: {name: iris2}}]");
    let rest = [advertisement("a", "", ""), peer("tor", "192.0.2.1", ""), broken];
    let (plan, _) = planned(&[], &cluster("", &rest));
    assert_eq!(plan["nodes"]["iris1"]["bgp"]["tor"][0]["prefix"], "10.20.30.1/32");
    assert_eq!(of_bgp(&plan, "iris2"), ["10.20.30.1 configurationError"]);
    assert_eq!(plan["nodes"]["iris2"]["bgp"], json!({}));
}

#[test]
fn people_see_routes_and_what_no_peer_is_told_of() {
    let rest = [
        advertisement("a", "", "localPref: 7, communities: ['1:2']"),
        peer("tor", "192.0.2.1", ""),
        "- {apiVersion: v1, kind: Service, metadata: {name: idle, namespace: default}, \
         spec: {type: LoadBalancer, clusterIPs: [10.96.0.2], ports: [{port: 80}]}}\n"
            .to_owned(),
    ];
    let table = ferrolb(&["plan", "-f", "-"], &cluster("", &rest)).stdout;
    let lines: Vec<String> =
        table.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect();
    for expected in [
        "1 Service that no peer is told of by BGP",
        "default/idle no endpoint of the Service can serve",
        "PREFIX ATTRIBUTES NODES PEERS SERVICES",
        "10.20.30.1/32 local preference 7, 1:2 iris1, iris2 tor default/web",
    ] {
        assert!(lines.contains(&expected.to_owned()), "{expected:?} in\n{table}");
    }
    // What only BGP is for is missed by nobody in layer 2.
    let of_layer2 = lines.iter().filter(|line| line.ends_with("by layer 2")).collect::<Vec<_>>();
    assert_eq!(of_layer2, ["1 Service that no node answers for by layer 2"]);
}
