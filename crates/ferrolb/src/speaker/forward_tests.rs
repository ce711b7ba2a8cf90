use serde_json::{Value, json};

use super::*;

const ADDRESS: &str = "192.0.2.7";

fn key() -> ServiceKey {
    ServiceKey::new("default", "web")
}

fn forwarder(spec: &Value, slices: &[Value]) -> Forwarder {
    let mut forwarder = Forwarder::new("node-a");
    let service: v1::Service = serde_json::from_value(json!({"metadata": {}, "spec": spec})).unwrap();
    forwarder.observe(key(), ServicePorts::read(&service));
    for (number, slice) in slices.iter().enumerate() {
        let mut slice = slice.clone();
        slice["metadata"] = json!({});
        slice["addressType"] = json!("IPv4");
        let slice: discovery::EndpointSlice = serde_json::from_value(slice).unwrap();
        forwarder.observe_slice(slice_key(number), key(), Endpoints::read(&slice));
    }
    forwarder
}

fn slice_key(number: usize) -> Key {
    ("default".into(), format!("web-{number}").into())
}

/// As `PROTOCOL/PORT` and the endpoints.
fn desired(forwarder: &Forwarder, address: &str) -> Vec<(String, Vec<String>)> {
    let key = key();
    let desired = forwarder.desired([(address.parse().unwrap(), &key)].into_iter());
    let text = |(frontend, backends): (Frontend, Backends)| {
        let endpoints = backends.endpoints.iter().map(ToString::to_string).collect();
        (format!("{}/{}", frontend.protocol.name(), frontend.port), endpoints)
    };
    desired.into_iter().map(text).collect()
}

fn endpoints(spec: &Value, slices: &[Value], address: &str) -> Vec<String> {
    desired(&forwarder(spec, slices), address).into_iter().flat_map(|(_, endpoints)| endpoints).collect()
}

#[test]
fn ports_are_matched_by_name_and_protocol() {
    let spec = json!({"ports": [
        {"name": "web", "port": 80, "targetPort": "http"},
        {"name": "dns", "port": 53, "protocol": "UDP", "targetPort": 5353},
        {"name": "dns-tcp", "port": 53},
        {"name": "sctp", "port": 9, "protocol": "SCTP"},
    ]});
    let slice = json!({
        "ports": [
            {"name": "web", "port": 8080, "protocol": "TCP"}, {"name": "dns", "port": 5300, "protocol": "UDP"},
            {"name": "dns-tcp", "port": 5300, "protocol": "UDP"}, {"name": "sctp", "port": 9, "protocol": "SCTP"},
        ],
        "endpoints": [{"addresses": ["10.0.0.1"]}],
    });
    let text = |port: &str, endpoints: &[&str]| {
        (port.to_owned(), endpoints.iter().map(|&it| it.to_owned()).collect::<Vec<_>>())
    };
    assert_eq!(
        desired(&forwarder(&spec, &[slice]), ADDRESS),
        [text("tcp/53", &[]), text("tcp/80", &["10.0.0.1:8080"]), text("udp/53", &["10.0.0.1:5300"])]
    );
}

#[test]
fn endpoints_are_those_that_may_be_used() {
    let endpoint = |address: &str, node: &str, conditions: Value| json!({"addresses": [address], "nodeName": node, "conditions": conditions});
    let ports = json!([{"port": 8080}]);
    let of = |endpoints: &[&Value]| json!({"ports": ports, "endpoints": endpoints});
    let ready = endpoint("10.0.0.1", "node-a", json!({"ready": true}));
    let other = endpoint("10.0.0.2", "node-b", json!({}));
    let serving =
        endpoint("10.0.0.3", "node-a", json!({"ready": false, "serving": true, "terminating": true}));
    let gone = endpoint("10.0.0.4", "node-a", json!({"ready": false, "serving": false}));
    let itself = endpoint(ADDRESS, "node-a", json!({}));
    let v6 = endpoint("2001:db8::1", "node-a", json!({}));
    let named = endpoint("www.example.com", "node-a", json!({}));
    let any = json!({"ports": [{"port": 80}]});
    let local = json!({"ports": [{"port": 80}], "externalTrafficPolicy": "Local"});
    let all = of(&[&ready, &other, &serving, &gone, &itself, &named]);
    for (case, spec, slices, address, expected) in [
        ("ready ones", &any, vec![all.clone()], ADDRESS, &["10.0.0.1:8080", "10.0.0.2:8080"][..]),
        ("of this node", &local, vec![all.clone()], ADDRESS, &["10.0.0.1:8080"]),
        ("still serving", &any, vec![of(&[&serving, &gone])], ADDRESS, &["10.0.0.3:8080"]),
        ("none", &any, vec![], ADDRESS, &[]),
        (
            "of two slices, each once",
            &any,
            vec![of(&[&ready]), of(&[&other, &ready])],
            ADDRESS,
            &["10.0.0.1:8080", "10.0.0.2:8080"],
        ),
        ("of the family", &any, vec![all.clone(), of(&[&v6])], "2001:db8::7", &["[2001:db8::1]:8080"]),
        ("of the other family", &any, vec![of(&[&v6])], ADDRESS, &["[2001:db8::1]:8080"]),
        (
            "without ports",
            &json!({"ports": [{"port": 80, "targetPort": 81}]}),
            vec![json!({"endpoints": [ready]})],
            ADDRESS,
            &["10.0.0.1:81"],
        ),
    ] {
        assert_eq!(endpoints(spec, &slices, address), expected, "{case}");
    }
}

#[test]
fn only_what_makes_a_difference_is_a_change() {
    let spec = json!({"ports": [{"port": 80}]});
    let slice = json!({"ports": [{"port": 8080}], "endpoints": [{"addresses": ["10.0.0.1"]}]});
    let mut forwarder = forwarder(&spec, &[slice]);
    assert!(forwarder.has_changed() && !forwarder.has_changed());
    let ports = forwarder.services[&key()].clone();
    let known = forwarder.slices[&key()]["web-0"].clone();
    forwarder.observe(key(), ports);
    forwarder.observe_slice(slice_key(0), key(), known.clone());
    assert!(!forwarder.has_changed());
    // A slice may become another Service's.
    let other = ServiceKey::new("default", "other");
    forwarder.observe_slice(slice_key(0), other, known);
    assert!(forwarder.has_changed());
    assert_eq!(desired(&forwarder, ADDRESS), [("tcp/80".to_owned(), vec![])]);
    forwarder.forget_slice(&slice_key(0));
    forwarder.forget(&key());
    assert!(forwarder.has_changed() && forwarder.slices.is_empty() && forwarder.services.is_empty());
}
