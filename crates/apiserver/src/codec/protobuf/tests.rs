//! Envelopes and messages, byte by byte.

use proptest::prelude::*;
use serde_json::json;

use super::*;

/// A field that holds bytes.
fn field(number: u8, bytes: &[u8]) -> Vec<u8> {
    let mut field = vec![number << 3 | 2];
    let mut length = bytes.len();
    while length >= 0x80 {
        field.push(u8::try_from(length & 0x7f).unwrap() | 0x80);
        length >>= 7;
    }
    field.push(u8::try_from(length).unwrap());
    [&field[..], bytes].concat()
}

fn envelope(api_version: &str, kind: &str, raw: &[u8]) -> Vec<u8> {
    let meta = [field(1, api_version.as_bytes()), field(2, kind.as_bytes())].concat();
    [PREFIX, &field(1, &meta), &field(2, raw)].concat()
}

fn read(bytes: &[u8]) -> Result<Value, ProtobufError> {
    let envelope = Envelope::read(bytes)?;
    let types = Types::of_built_in(&envelope.api_version, &envelope.kind).expect("a built-in kind");
    envelope.object(&types)
}

#[test]
fn a_service_comes_out_as_its_type_prints_it() {
    // port: 80 and a node port of 0, a target port that is text
    let target = [vec![1 << 3, 1], field(3, b"http")].concat();
    let port = [vec![3 << 3, 80], field(4, &target), vec![5 << 3, 0]].concat();
    let selector = [field(1, b"app"), field(2, b"a")].concat();
    let spec = [field(1, &port), field(2, &selector), field(3, b""), field(18, b"10.0.0.1")];
    let mut spec = spec.concat();
    // The number 18 takes two bytes.
    let at = spec.windows(8).position(|it| it == b"10.0.0.1").unwrap();
    spec.splice(at - 2..at - 1, [0x92, 0x01]);
    let metadata = [field(1, b"web"), field(3, b"default"), field(8, &[8, 0])].concat();
    let bytes = envelope("v1", "Service", &[field(1, &metadata), field(2, &spec)].concat());
    let expected = json!({
        "apiVersion": "v1", "kind": "Service",
        "metadata": {"name": "web", "namespace": "default", "creationTimestamp": "1970-01-01T00:00:00Z"},
        "spec": {"ports": [{"port": 80, "targetPort": "http"}], "selector": {"app": "a"}, "clusterIPs": ["10.0.0.1"]},
        "status": {"loadBalancer": {}},
    });
    assert_eq!(read(&bytes), Ok(expected));
}

#[test]
fn bytes_are_base64_and_embedded_messages_are_not_seen() {
    let entry = [field(1, b"k"), field(2, &[0xff, 0])].concat();
    let secret = envelope("v1", "Secret", &field(2, &entry));
    assert_eq!(read(&secret).unwrap()["data"], json!({"k": "/wA="}));
    // A volume's source is a message of its own here, and its fields are the volume's everywhere else.
    let volume = [field(1, b"v"), field(2, &field(6, &field(1, b"s")))].concat();
    let template = field(2, &field(1, &volume));
    let pods = envelope("v1", "PodTemplate", &field(2, &template));
    assert_eq!(
        read(&pods).unwrap()["template"]["spec"]["volumes"],
        json!([{"name": "v", "secret": {"secretName": "s"}}])
    );
}

#[test]
fn what_is_no_message_says_why() {
    let service = |raw: &[u8]| envelope("v1", "Service", raw);
    for (bytes, expected) in [
        (vec![], "empty data"),
        (b"k8s\0".to_vec(), "empty body"),
        (
            b"{}".to_vec(),
            "provided data does not appear to be a protobuf message, expected prefix [107 56 115 0]",
        ),
        (b"k8s\0\x0a\x05".to_vec(), "unexpected EOF"),
        (service(&[0x0a, 0x7f]), "unexpected EOF"),
        (service(&[8, 0]), "proto: wrong wireType = 0 for field ObjectMeta"),
        (service(&[0x0f, 0]), "proto: illegal wireType 7"),
        (service(&[0x02, 0]), "proto: illegal tag 0 (wire type 2)"),
        (service(&[0xff; 11]), "proto: integer overflow"),
        (service(&[0x0c]), "proto: wiretype end group for non-group"),
    ] {
        assert_eq!(read(&bytes).unwrap_err().to_string(), expected, "{bytes:?}");
    }
}

#[test]
fn what_is_too_deep_is_refused() {
    // A schema whose `not` is a schema, and so on.
    let mut schema = Vec::new();
    for _ in 0..200 {
        schema = field(7, &schema);
        // The number of `not` is 28, which takes two bytes.
        schema.splice(0..1, [0xe2, 0x01]);
    }
    let version = field(4, &field(1, &schema));
    let definition =
        envelope("apiextensions.k8s.io/v1", "CustomResourceDefinition", &field(2, &field(7, &version)));
    assert_eq!(read(&definition), Err(ProtobufError::Depth));
}

proptest! {
    #[test]
    fn no_bytes_are_a_panic(raw in prop::collection::vec(any::<u8>(), 0..64), kind in 0..3_usize) {
        let kind = ["Pod", "Service", "Event"][kind];
        let _ = read(&envelope("v1", kind, &raw));
        let _ = Envelope::read(&raw);
    }
}
