//! Every rule of the configuration with its exact text.

mod addresses;
mod advertisements;
mod annotations;
mod order;
mod peers;
mod pools;
mod selectors;
mod warnings;

use k8s_openapi::api::core::v1 as core;
use serde_json::{Value, json};

use super::{Objects, Parsed, View, parse};
use crate::ingest;

const NAMESPACE: &str = "metallb-system";

/// Reads resources written as JSON: `{"kind", "metadata", "spec"}`.
fn objects(resources: &[Value]) -> Objects {
    let mut objects = Objects::default();
    for resource in resources {
        let read = resource.clone();
        fn to<T: serde::de::DeserializeOwned>(value: Value) -> T {
            serde_json::from_value(value).expect("a test resource is readable")
        }
        match resource["kind"].as_str().expect("a test resource has a kind") {
            "IPAddressPool" => objects.pools.push(to(read)),
            "L2Advertisement" => objects.l2_advertisements.push(to(read)),
            "BGPAdvertisement" => objects.bgp_advertisements.push(to(read)),
            "BGPPeer" => objects.peers.push(to(read)),
            "BFDProfile" => objects.bfd_profiles.push(to(read)),
            "Community" => objects.communities.push(to(read)),
            "Secret" => objects.secrets.push(to(read)),
            "ConfigMap" => objects.config_maps.push(to(read)),
            "Node" => objects.nodes.push(ingest::node(&to::<core::Node>(read))),
            "Namespace" => objects.namespaces.push(ingest::namespace(&to::<core::Namespace>(read))),
            other => panic!("no test resource is a {other}"),
        }
    }
    objects
}

fn resource(kind: &str, name: &str, spec: &Value) -> Value {
    json!({"kind": kind, "metadata": {"name": name, "namespace": NAMESPACE}, "spec": spec})
}

fn labelled(kind: &str, name: &str, labels: &Value, spec: &Value) -> Value {
    let mut labelled = resource(kind, name, spec);
    labelled["metadata"]["labels"] = labels.clone();
    labelled
}

fn node(name: &str, labels: &Value) -> Value {
    json!({"kind": "Node", "metadata": {"name": name, "labels": labels}})
}

fn namespace(name: &str, labels: &Value) -> Value {
    json!({"kind": "Namespace", "metadata": {"name": name, "labels": labels}})
}

fn pool(name: &str, addresses: &[&str]) -> Value {
    resource("IPAddressPool", name, &json!({"addresses": addresses}))
}

/// A sound peer with some of its fields replaced; `null` takes a field away.
fn peer(name: &str, changes: &Value) -> Value {
    let mut spec = json!({"myASN": 64512, "peerASN": 64513, "peerAddress": "10.0.0.1"});
    for (field, value) in changes.as_object().expect("changes are an object") {
        spec[field] = value.clone();
    }
    resource("BGPPeer", name, &spec)
}

fn read(resources: &[Value]) -> Parsed {
    parse(objects(resources), &View::everything(NAMESPACE))
}

fn messages(resources: &[Value]) -> Vec<String> {
    read(resources).problems.iter().map(ToString::to_string).collect()
}

fn fields(resources: &[Value]) -> Vec<String> {
    read(resources).problems.into_iter().map(|problem| problem.field).collect()
}

/// Each case is resources and all the messages they give, in order.
fn assert_messages(cases: &[(&str, Vec<Value>, &[&str])]) {
    for (case, resources, expected) in cases {
        assert_eq!(messages(resources), *expected, "{case}");
    }
}
