use proptest::prelude::*;
use serde_json::{Value, json};

use super::{ConvertError, Version, bgp_peer};

fn peer(version: Version, spec: &Value) -> Value {
    json!({
        "apiVersion": version.api_version(),
        "kind": "BGPPeer",
        "metadata": { "name": "tor-1", "namespace": "metallb-system" },
        "spec": spec,
    })
}

#[test]
fn from_v1beta1_to_v1beta2() {
    for (case, older, newer) in [
        (
            "absent timers become 0s, and the secret is always written",
            json!({ "myASN": 64512, "peerASN": 64513, "peerAddress": "192.0.2.1" }),
            json!({
                "myASN": 64512, "peerASN": 64513, "peerAddress": "192.0.2.1",
                "holdTime": "0s", "keepaliveTime": "0s", "passwordSecret": {},
            }),
        ),
        (
            "every field has its counterpart, durations in normal form",
            json!({
                "myASN": 4294967295_u32, "peerASN": 64513, "peerAddress": "2001:db8::1", "sourceAddress": "2001:db8::2",
                "peerPort": 1179, "holdTime": "90s", "keepaliveTime": "1500ms", "routerID": "192.0.2.9",
                "nodeSelectors": [
                    { "matchLabels": { "rack": "a" } },
                    { "matchExpressions": [
                        { "key": "zone", "operator": "In", "values": ["x", "y"] },
                        { "key": "edge", "operator": "Exists", "values": [] },
                    ] },
                    {},
                ],
                "password": "secret", "bfdProfile": "fast", "ebgpMultiHop": true,
            }),
            json!({
                "myASN": 4294967295_u32, "peerASN": 64513, "peerAddress": "2001:db8::1", "sourceAddress": "2001:db8::2",
                "peerPort": 1179, "holdTime": "1m30s", "keepaliveTime": "1.5s", "routerID": "192.0.2.9",
                "nodeSelectors": [
                    { "matchLabels": { "rack": "a" } },
                    { "matchExpressions": [
                        { "key": "zone", "operator": "In", "values": ["x", "y"] },
                        { "key": "edge", "operator": "Exists" },
                    ] },
                    {},
                ],
                "password": "secret", "bfdProfile": "fast", "ebgpMultiHop": true, "passwordSecret": {},
            }),
        ),
        (
            "zero values and nulls are left out, and so is what only v1beta2 knows",
            json!({
                "myASN": 0, "peerASN": 0, "peerAddress": "", "sourceAddress": "", "peerPort": 0, "holdTime": null,
                "routerID": "", "nodeSelectors": [], "password": "", "bfdProfile": null, "ebgpMultiHop": false,
                "vrf": "red", "dynamicASN": "internal",
            }),
            json!({ "myASN": 0, "holdTime": "0s", "keepaliveTime": "0s", "passwordSecret": {} }),
        ),
    ] {
        let converted = bgp_peer(&peer(Version::V1beta1, &older), Version::V1beta2);
        assert_eq!(converted, Ok(peer(Version::V1beta2, &newer)), "{case}");
    }
}

#[test]
fn from_v1beta2_to_v1beta1() {
    for (case, newer, older) in [
        (
            "AS number and address are always written",
            json!({ "myASN": 64512, "dynamicASN": "external", "interface": "eth0" }),
            json!({
                "myASN": 64512, "peerASN": 0, "peerAddress": "", "holdTime": "0s", "keepaliveTime": "0s",
            }),
        ),
        (
            "what v1beta1 cannot say is dropped",
            json!({
                "myASN": 64512, "peerASN": 64513, "peerAddress": "192.0.2.1", "peerPort": 179, "holdTime": "3m0s",
                "keepaliveTime": "60s", "localASN": 65000, "connectTime": "10s", "enableGracefulRestart": true,
                "passwordSecret": { "name": "bgp" }, "vrf": "red", "disableMP": false,
                "dualStackAddressFamily": true,
            }),
            json!({
                "myASN": 64512, "peerASN": 64513, "peerAddress": "192.0.2.1", "peerPort": 179,
                "holdTime": "3m0s", "keepaliveTime": "1m0s",
            }),
        ),
        (
            "expressions always have values",
            json!({
                "myASN": 64512, "peerASN": 64513, "peerAddress": "192.0.2.1", "sourceAddress": "192.0.2.2",
                "routerID": "192.0.2.9", "password": "secret", "bfdProfile": "fast", "ebgpMultiHop": true,
                "nodeSelectors": [
                    { "matchExpressions": [
                        { "key": "edge", "operator": "Exists" },
                        { "key": "spare", "operator": "DoesNotExist", "values": null },
                        { "key": "zone", "operator": "NotIn", "values": ["x"] },
                    ] },
                    { "matchLabels": { "rack": "a" }, "matchExpressions": [] },
                    {},
                ],
            }),
            json!({
                "myASN": 64512, "peerASN": 64513, "peerAddress": "192.0.2.1", "sourceAddress": "192.0.2.2",
                "routerID": "192.0.2.9", "password": "secret", "bfdProfile": "fast", "ebgpMultiHop": true,
                "holdTime": "0s", "keepaliveTime": "0s",
                "nodeSelectors": [
                    { "matchExpressions": [
                        { "key": "edge", "operator": "Exists", "values": [] },
                        { "key": "spare", "operator": "DoesNotExist", "values": [] },
                        { "key": "zone", "operator": "NotIn", "values": ["x"] },
                    ] },
                    { "matchLabels": { "rack": "a" } },
                    {},
                ],
            }),
        ),
        (
            "an empty list of selectors is left out",
            json!({ "myASN": 64512, "peerASN": 64513, "peerAddress": "192.0.2.1", "nodeSelectors": [] }),
            json!({
                "myASN": 64512, "peerASN": 64513, "peerAddress": "192.0.2.1",
                "holdTime": "0s", "keepaliveTime": "0s",
            }),
        ),
    ] {
        let converted = bgp_peer(&peer(Version::V1beta2, &newer), Version::V1beta1);
        assert_eq!(converted, Ok(peer(Version::V1beta1, &older)), "{case}");
    }
}

#[test]
fn metadata_is_copied_verbatim_and_the_status_is_not() {
    let metadata = json!({
        "name": "tor-1", "uid": "1", "creationTimestamp": null, "labels": { "a": "b" },
        "managedFields": [{ "manager": "kubectl", "fieldsV1": { "f:spec": {} } }], "unknown": [1.5],
    });
    let object = json!({
        "apiVersion": "metallb.io/v1beta1", "kind": "BGPPeer", "metadata": metadata, "spec": {}, "status": { "a": 1 },
    });
    let converted = bgp_peer(&object, Version::V1beta2).unwrap();
    assert_eq!(converted["metadata"], metadata);
    assert_eq!(converted.get("status"), None);
}

#[test]
fn an_object_of_the_wanted_version_is_returned_as_it_is() {
    for version in [Version::V1beta1, Version::V1beta2] {
        let object = peer(version, &json!({ "holdTime": "nonsense", "unknown": [] }));
        assert_eq!(bgp_peer(&object, version), Ok(object));
    }
}

#[test]
fn an_object_without_spec_is_an_empty_one() {
    for spec in [json!({}), json!({ "spec": null }), json!({ "spec": {} })] {
        let mut object = json!({ "apiVersion": "metallb.io/v1beta2", "kind": "BGPPeer" });
        object.as_object_mut().unwrap().extend(spec.as_object().unwrap().clone());
        let converted = bgp_peer(&object, Version::V1beta1).unwrap();
        let spec = json!({
            "myASN": 0, "peerASN": 0, "peerAddress": "", "holdTime": "0s", "keepaliveTime": "0s",
        });
        let expected = json!({ "apiVersion": "metallb.io/v1beta1", "kind": "BGPPeer", "spec": spec });
        assert_eq!(converted, expected);
    }
}

#[test]
fn errors_name_the_object_and_the_field() {
    for (spec, message) in [
        (
            json!({ "holdTime": "1d" }),
            r#"BGPPeer "tor-1": spec.holdTime: time: unknown unit "d" in duration "1d""#,
        ),
        (
            json!({ "keepaliveTime": "90" }),
            r#"BGPPeer "tor-1": spec.keepaliveTime: time: missing unit in duration "90""#,
        ),
        (
            json!({ "myASN": "64512" }),
            r#"BGPPeer "tor-1": spec.myASN: invalid type: string "64512", expected u32"#,
        ),
        (
            json!({ "peerASN": 4294967296_u64 }),
            r#"BGPPeer "tor-1": spec.peerASN: invalid value: integer `4294967296`, expected u32"#,
        ),
        (
            json!({ "nodeSelectors": [{}, { "matchLabels": { "rack": 1 } }] }),
            r#"BGPPeer "tor-1": spec.nodeSelectors[1].matchLabels.rack: invalid type: integer `1`, expected a string"#,
        ),
        (json!([]), r#"BGPPeer "tor-1": spec: "#),
    ] {
        for (from, to) in [(Version::V1beta1, Version::V1beta2), (Version::V1beta2, Version::V1beta1)] {
            let error = bgp_peer(&peer(from, &spec), to).unwrap_err().to_string();
            assert!(error.starts_with(message), "{error}");
        }
    }
}

#[test]
fn other_objects_are_refused() {
    for (object, api_version, kind) in [
        (json!({ "apiVersion": "metallb.io/v1", "kind": "BGPPeer" }), "metallb.io/v1", "BGPPeer"),
        (
            json!({ "apiVersion": "metallb.io/v1beta1", "kind": "Community" }),
            "metallb.io/v1beta1",
            "Community",
        ),
        (json!({}), "", ""),
        (json!("BGPPeer"), "", ""),
        (json!(null), "", ""),
    ] {
        let expected =
            ConvertError::NotABgpPeer { api_version: api_version.to_owned(), kind: kind.to_owned() };
        assert_eq!(bgp_peer(&object, Version::V1beta2), Err(expected));
    }
}

proptest! {
    /// The API server checks exactly this when a client updates an object through the older version.
    #[test]
    fn a_v1beta1_object_survives_storage(
        my_asn: u32, peer_asn: u32, port in 1_u16..=16384, hold in 0_u32..100_000, multi_hop: bool, label in "[a-z]{1,5}",
    ) {
        let mut spec = json!({
            "myASN": my_asn, "peerASN": peer_asn, "peerAddress": "192.0.2.1", "peerPort": port,
            "holdTime": crate::duration::GoDuration::from_secs(hold), "keepaliveTime": "0s",
            "nodeSelectors": [{ "matchLabels": { label: "" } }],
        });
        if multi_hop {
            spec["ebgpMultiHop"] = json!(true);
        }
        let older = peer(Version::V1beta1, &spec);
        let stored = bgp_peer(&older, Version::V1beta2).unwrap();
        prop_assert_eq!(bgp_peer(&stored, Version::V1beta1), Ok(older));
    }
}
