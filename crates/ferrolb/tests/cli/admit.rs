//! `ferrolb admit`: the webhook's answer, byte for byte, and exit codes.

use serde_json::{Value, json};

use super::{Folder, ferrolb};

const WORLD: &str = "apiVersion: v1\nkind: List\nitems:\n\
    - {apiVersion: metallb.io/v1beta1, kind: IPAddressPool, metadata: {name: p, namespace: lb}, spec: {addresses: [10.0.0.0/24]}}\n\
    - {apiVersion: metallb.io/v1beta1, kind: BGPPeer, metadata: {name: r, namespace: lb}, \
       spec: {myASN: 1, peerASN: 2, peerAddress: 10.9.0.1, bfdProfile: fast}}\n\
    - {apiVersion: v1, kind: Node, metadata: {name: n}}\n";

fn review(operation: &str, kind: &str, object: &Value) -> String {
    let (new, old) = if operation == "DELETE" { (&Value::Null, object) } else { (object, &Value::Null) };
    let kind = json!({"group": "metallb.io", "version": "v1beta1", "kind": kind});
    let request = json!({"uid": "7", "operation": operation, "kind": kind, "object": new, "oldObject": old});
    json!({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": request}).to_string()
}

fn object(kind: &str, name: &str, spec: &Value) -> Value {
    json!({"apiVersion": "metallb.io/v1beta1", "kind": kind, "metadata": {"name": name, "namespace": "lb"}, "spec": spec})
}

/// A folder with the existing objects, and the arguments that name it.
fn world(name: &str) -> (Folder, String) {
    let folder = Folder::new(name);
    let path = folder.0.join("world.yaml");
    std::fs::write(&path, WORLD).expect("the folder is writable");
    (folder, path.display().to_string())
}

#[test]
fn an_answer_is_the_webhooks() {
    let (_folder, path) = world("admit-answer");
    let arguments = ["admit", "-f", &path, "--review", "-", "--namespace", "lb", "-o", "json"];
    let denied =
        |message: &str| json!({"metadata": {}, "message": message, "reason": "Forbidden", "code": 403});
    for (review, code, status) in [
        (
            review(
                "CREATE",
                "IPAddressPool",
                &object("IPAddressPool", "a", &json!({"addresses": ["10.0.0.0/28"]})),
            ),
            1,
            denied("CIDR \"10.0.0.0/28\" in pool \"a\" overlaps with already defined CIDR \"10.0.0.0/24\""),
        ),
        (
            review(
                "UPDATE",
                "IPAddressPool",
                &object("IPAddressPool", "p", &json!({"addresses": ["10.0.0.0/28"]})),
            ),
            0,
            json!({"metadata": {}, "code": 200}),
        ),
        (
            review("DELETE", "BFDProfile", &object("BFDProfile", "fast", &json!({}))),
            1,
            denied("failed to delete BFDProfile fast, used by BGPPeer r"),
        ),
        (
            review("CREATE", "BGPPeer", &object("BGPPeer", "s", &json!({"holdTime": "1d"}))),
            1,
            json!({"metadata": {}, "message": "time: unknown unit \"d\" in duration \"1d\"", "code": 400}),
        ),
    ] {
        let run = ferrolb(&arguments, &review);
        assert_eq!((run.code, run.stderr.as_str()), (code, ""), "{review}");
        let response = json!({"uid": "7", "allowed": code == 0, "status": status});
        let expected =
            json!({"kind": "AdmissionReview", "apiVersion": "admission.k8s.io/v1", "response": response});
        assert_eq!(run.json(), expected);
    }
}

#[test]
fn people_are_told_in_words() {
    let (_folder, path) = world("admit-words");
    let arguments = ["admit", "-f", &path, "--review", "-", "--namespace", "lb"];
    let spec = json!({"myASN": 1, "peerASN": 2, "peerAddress": "10.9.0.2", "disableMP": true});
    let mut peer = object("BGPPeer", "s", &spec);
    peer["apiVersion"] = json!("metallb.io/v1beta2");
    let run = ferrolb(&arguments, &review("CREATE", "BGPPeer", &peer));
    let warning = "disable mp is deprecated and has no effect since it's the default behavior now";
    assert_eq!((run.code, run.stdout), (0, format!("warning: {warning}\nallowed\n")));
    let yaml = ferrolb(&[&arguments[..], &["-o", "yaml"]].concat(), &review("CREATE", "BGPPeer", &peer));
    assert!(yaml.stdout.contains("  allowed: true\n"), "{}", yaml.stdout);
    peer["metadata"]["namespace"] = json!("elsewhere");
    let run = ferrolb(&arguments, &review("CREATE", "BGPPeer", &peer));
    assert_eq!((run.code, run.stdout.as_str()), (1, "denied: resource must be created in lb namespace\n"));
}

#[test]
fn what_is_no_question_gets_no_answer() {
    let (folder, path) = world("admit-none");
    let two = format!("{0}\n{0}", review("CREATE", "Community", &object("Community", "c", &json!({}))));
    for (arguments, stdin, text) in [
        (vec!["admit", "-f", &path, "--review", "-"], "{}", "has no apiVersion"),
        (
            vec!["admit", "-f", &path, "--review", "-"],
            two.as_str(),
            "there must be one AdmissionReview in it",
        ),
        (vec!["admit", "-f", &path, "--review", &path], "", "there must be one AdmissionReview in it"),
        (vec!["admit", "-f", "-", "--review", "-"], "", "not both"),
        (vec!["admit", "-f", &path, "--review", &folder.path()], "", "a folder"),
        (
            vec!["admit", "-f", &path, "--review", "-"],
            "{apiVersion: v1, kind: Node}",
            "<stdin>:1:1: not an AdmissionReview of admission.k8s.io/v1",
        ),
    ] {
        let run = ferrolb(&arguments, stdin);
        assert_eq!((run.code, run.stdout.as_str()), (2, ""), "{arguments:?}");
        assert!(run.stderr.contains(text), "{arguments:?}: {}", run.stderr);
    }
}
