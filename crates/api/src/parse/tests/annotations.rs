//! The annotations about BGP: whose they are, and what becomes of a resource with one that means nothing.

use plan::config::{Password, SecretReference, TcpAo, TcpAoAlgorithm};
use serde_json::json;

use super::*;
use crate::parse::{Role, Warning};

fn annotated(mut resource: Value, annotations: &Value) -> Value {
    resource["metadata"]["annotations"] = annotations.clone();
    resource
}

fn advertisement(annotations: &Value) -> Vec<Value> {
    let advertisement = resource("BGPAdvertisement", "a", &json!({}));
    vec![pool("p", &["1.1.1.0/24"]), annotated(advertisement, annotations)]
}

fn secret(secret_type: &str) -> Value {
    let metadata = json!({"name": "key", "namespace": NAMESPACE});
    json!({"kind": "Secret", "metadata": metadata, "type": secret_type, "stringData": {"password": "quiet"}})
}

#[test]
fn what_is_asked_for_is_part_of_the_configuration() {
    let read = read(&advertisement(&json!({"ferrolb.io/med": "7", "example.com/med": "x"})));
    assert_eq!((read.problems, read.config.pools["p"].bgp_advertisements[0].extras.med), (vec![], Some(7)));
    let peer = annotated(peer("p1", &json!({})), &json!({"ferrolb.io/passive": "true"}));
    assert!(super::read(&[peer]).config.peers["p1"].extras.is_passive);
}

#[test]
fn an_annotation_that_means_nothing_refuses_its_resource() {
    let refused = read(&advertisement(&json!({"ferrolb.io/med": "low"})));
    let problem = &refused.problems[0];
    assert_eq!((problem.subject.name.as_str(), problem.field.as_str()), ("a", "metadata.annotations"));
    let why = "annotation ferrolb.io/med is \"low\", which is no number from 0 to 4294967295";
    assert_eq!(problem.to_string(), why);
    assert!(refused.config.pools["p"].bgp_advertisements.is_empty());
    let peer = annotated(peer("p1", &json!({})), &json!({"ferrolb.io/dscp": "99"}));
    let why = "parsing peer p1 annotation ferrolb.io/dscp is \"99\", which is no number from 0 to 63";
    assert_eq!(messages(&[peer]), [why]);
}

#[test]
fn annotations_of_ours_that_nobody_reads_are_remarked() {
    let resources = [
        advertisement(&json!({"ferrolb.io/role": "peer", "example.com/x": ""})),
        vec![annotated(peer("p1", &json!({})), &json!({"ferrolb.io/medd": "1"}))],
    ];
    let warnings = read(&resources.concat()).warnings;
    let unknown = warnings.iter().filter(|it| matches!(it.warning, Warning::UnknownAnnotation(_)));
    let said: Vec<String> = unknown.map(|it| format!("{} {it}", it.subject.name)).collect();
    assert_eq!(
        said,
        [
            "p1 annotation ferrolb.io/medd means nothing here",
            "a annotation ferrolb.io/role means nothing here"
        ]
    );
}

#[test]
fn the_key_of_tcp_ao_comes_from_a_secret() {
    let peer = annotated(peer("p1", &json!({})), &json!({"ferrolb.io/tcp-ao": "secret=key,id=3"}));
    let with_secret = [peer.clone(), secret("kubernetes.io/basic-auth")];
    let reference = SecretReference { name: "key".to_owned(), namespace: NAMESPACE.to_owned() };
    let key = |value: Option<&str>| TcpAo {
        key: Password::Secret { reference: reference.clone(), value: value.map(str::to_owned) },
        key_id: 3,
        algorithm: TcpAoAlgorithm::HmacSha1,
    };
    let parsed = read(&with_secret);
    assert_eq!(parsed.config.peers["p1"].extras.tcp_ao, Some(key(Some("quiet"))));
    assert!(!format!("{:?}", parsed.config).contains("quiet"));

    let problems = read(std::slice::from_ref(&peer)).problems;
    assert!(problems[0].is_transient());
    assert_eq!(
        problems[0].to_string(),
        "parsing peer p1 secret ref not found for peer config \"metallb-system\"/\"p1\"\n\
         failed to read the Secret of its annotation ferrolb.io/tcp-ao"
    );
    let admission = View { role: Role::Admission, ..View::everything(NAMESPACE) };
    let admitted = parse(objects(&[peer]), &admission);
    assert_eq!(
        (admitted.problems, admitted.config.peers["p1"].extras.tcp_ao.clone()),
        (vec![], Some(key(None)))
    );
    let opaque = read(&[with_secret[0].clone(), secret("Opaque")]).problems;
    assert!(opaque[0].to_string().contains("secret type mismatch"), "{}", opaque[0]);
}
