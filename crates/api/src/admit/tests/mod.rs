//! Every verdict with its text, and what is made of a world that is broken already.

mod broken_world;
mod frr;
mod properties;
mod review;
mod verdicts;

use serde_json::{Value, json};

use super::{Kind, Operation, Question, Verdict, World, judge};

const NAMESPACE: &str = "metallb-system";

fn object(kind: Kind, name: &str, spec: &Value) -> Value {
    let api_version = format!("{}/{}", kind.group(), kind.version());
    let metadata = json!({"name": name, "namespace": NAMESPACE});
    json!({"apiVersion": api_version, "kind": kind.name(), "metadata": metadata, "spec": spec})
}

fn pool(name: &str, addresses: &[&str]) -> Value {
    object(Kind::IPAddressPool, name, &json!({"addresses": addresses}))
}

/// A sound peer with some of its fields replaced.
fn peer(name: &str, changes: &Value) -> Value {
    let mut spec = json!({"myASN": 64512, "peerASN": 64513, "peerAddress": "10.0.0.1"});
    for (field, value) in changes.as_object().expect("changes are an object") {
        spec[field] = value.clone();
    }
    object(Kind::BGPPeer, name, &spec)
}

fn bgp(name: &str, spec: &Value) -> Value {
    object(Kind::BGPAdvertisement, name, spec)
}

fn node(name: &str, labels: &Value) -> Value {
    json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": name, "labels": labels}})
}

fn world(objects: &[Value]) -> World {
    let mut world = World::new(NAMESPACE);
    for object in objects {
        world.add(object.clone());
    }
    world
}

fn create(object: &Value) -> Question {
    let kind = Kind::ALL.into_iter().find(|kind| object["kind"] == kind.name()).expect("a kind of ours");
    let name = object["metadata"]["name"].as_str().unwrap_or_default().to_owned();
    Question { kind, operation: Operation::Create, name, object: object.clone(), old_object: Value::Null }
}

fn update(object: &Value) -> Question {
    Question { operation: Operation::Update, old_object: object.clone(), ..create(object) }
}

fn delete(object: &Value) -> Question {
    let old_object = object.clone();
    Question { operation: Operation::Delete, object: Value::Null, old_object, ..create(object) }
}

/// What is denied is denied in the one way that there is.
fn denial(question: &Question, existing: &[Value]) -> Option<String> {
    let verdict = judge(question, &world(existing));
    if verdict.allowed {
        assert_eq!((verdict.code, verdict.reason, verdict.message.as_str()), (200, "", ""));
        return None;
    }
    assert_eq!((verdict.code, verdict.reason, verdict.warnings.len()), (403, "Forbidden", 0), "{verdict:?}");
    Some(verdict.message)
}

fn verdict(question: &Question, existing: &[Value]) -> Verdict {
    judge(question, &world(existing))
}
