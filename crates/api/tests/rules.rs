//! The CEL rules of the CRDs: which objects they refuse, and in which words.

use serde_json::{Value, json};

const RD: &str = "spec.bgp.routers[0].evpn.l2vnis[0].rd";
const IMPORT: &str = "spec.bgp.routers[0].evpn.l3vni.importRTs[0]";
const EXPORT: &str = "spec.bgp.routers[0].evpn.l2vnis[0].exportRTs[0]";

/// What the rules of a kind's newest version say to an object, as `path: message`.
fn refusals(kind: &str, object: &Value, old: Option<&Value>) -> Vec<String> {
    let crds = api::crds::all();
    let crd = crds.iter().find(|crd| crd["spec"]["names"]["kind"] == kind).unwrap();
    let version = crd["spec"]["versions"].as_array().unwrap().last().unwrap();
    match kube_cel::validate(&version["schema"]["openAPIV3Schema"], object, old) {
        Ok(()) => Vec::new(),
        Err(errors) => errors.as_slice().iter().map(ToString::to_string).collect(),
    }
}

fn router(router: &Value) -> Value {
    json!({ "spec": { "bgp": { "routers": [router] } } })
}

fn route_distinguisher(text: &str) -> Value {
    router(&json!({ "evpn": { "l2vnis": [{ "vni": 1, "rd": text }] } }))
}

fn import(text: &str) -> Value {
    router(&json!({ "evpn": { "l3vni": { "vni": 1, "importRTs": [text] } } }))
}

fn export(text: &str) -> Value {
    router(&json!({ "evpn": { "l2vnis": [{ "vni": 1, "exportRTs": [text] }] } }))
}

#[test]
fn route_distinguishers_and_targets_that_are_fine() {
    for text in [
        "0:0",
        "192.0.2.1:0",
        "255.255.255.255:65535",
        "65535:4294967295",
        "65536:65535",
        "4294967295:65535",
        "64512:100",
    ] {
        for object in [route_distinguisher(text), import(text), export(text)] {
            assert_eq!(refusals("FRRConfiguration", &object, None), [""; 0], "{object}");
        }
    }
    for text in ["*:0", "*:4294967295"] {
        assert_eq!(refusals("FRRConfiguration", &import(text), None), [""; 0], "{text}");
    }
}

#[test]
fn route_distinguishers_and_targets_that_are_not() {
    let one_colon = "must contain exactly one colon";
    let local = "local administrator must be a number";
    let address = "must have format A.B.C.D:MN where MN <= 65535";
    let global_16 = "must have format EF:OPQR where EF <= 65535 and OPQR <= 4294967295";
    let global_32 = "must have format GHJK:MN where GHJK <= 4294967295 and MN <= 65535";
    let global = "global administrator must be either an IPv4 address or a number";
    let import_global = "global administrator must be either '*', an IPv4 address, or a number";
    for (text, rule) in [
        ("", one_colon),
        ("1", one_colon),
        ("1:2:3", one_colon),
        ("2001:db8::1:1", one_colon),
        ("a:1", global),
        ("-1:1", global),
        (":1", global),
        ("**:1", global),
        ("192.0.2:1", global),
        ("192.0.2.256:1", global),
        ("192.0.2.01:1", global),
        ("192.0.2.1.:1", global),
        ("192.0.2.1.1:1", global),
        ("1:", local),
        ("1:a", local),
        ("192.0.2.1:1.5", local),
        ("192.0.2.1:65536", address),
        ("192.0.2.1:4294967295", address),
        ("65536:65536", global_32),
        ("4294967296:1", global_32),
        ("9999999999999999999:1", global_32),
        ("65535:4294967296", global_16),
        ("1:9999999999999999999", global_16),
    ] {
        let found = refusals("FRRConfiguration", &route_distinguisher(text), None);
        assert_eq!(found, [format!("{RD}: RD {rule}")], "{text}");
        let found = refusals("FRRConfiguration", &export(text), None);
        assert_eq!(found, [format!("{EXPORT}: RT {rule}")], "{text}");
        let found = refusals("FRRConfiguration", &import(text), None);
        let rule = if rule == global { import_global } else { rule };
        assert_eq!(found, [format!("{IMPORT}: RT {rule}")], "{text}");
    }
    for (object, refusal) in [
        (route_distinguisher("*:1"), format!("{RD}: RD {global}")),
        (export("*:1"), format!("{EXPORT}: RT {global}")),
        (import("*:a"), format!("{IMPORT}: RT {local}")),
        (import("*:4294967296"), format!("{IMPORT}: RT must have format *:OPQR where OPQR <= 4294967295")),
    ] {
        assert_eq!(refusals("FRRConfiguration", &object, None), [refusal]);
    }
}

#[test]
fn a_connect_time_is_a_number_of_whole_seconds() {
    let range = "connect time should be between 1 seconds to 65535";
    let whole = "connect time should contain a whole number of seconds";
    for (text, expected) in [
        ("1s", None),
        ("1m30s", None),
        ("65535s", None),
        ("2000ms", None),
        ("0s", Some(range)),
        ("-5s", Some(range)),
        ("65536s", Some(range)),
        ("1500ms", Some(whole)),
    ] {
        for (kind, path, object) in [
            ("BGPPeer", "spec.connectTime", json!({ "spec": { "connectTime": text } })),
            (
                "FRRConfiguration",
                "spec.bgp.routers[0].neighbors[0].connectTime",
                router(&json!({ "neighbors": [{ "connectTime": text }] })),
            ),
        ] {
            let expected: Vec<_> = expected.iter().map(|message| format!("{path}: {message}")).collect();
            assert_eq!(refusals(kind, &object, None), expected, "{kind} {text}");
        }
    }
}

#[test]
fn service_selectors_need_the_default_aggregation() {
    let message = "spec: serviceSelectors and aggregationLength are mutually exclusive, can only be used together \
                   with default aggregationLength (32) and aggregationLengthV6 (128)";
    for (spec, refused) in [
        (json!({}), false),
        (json!({ "aggregationLength": 24, "aggregationLengthV6": 64 }), false),
        (json!({ "aggregationLength": 24, "serviceSelectors": [] }), false),
        (json!({ "serviceSelectors": [{}] }), false),
        (json!({ "aggregationLength": 32, "aggregationLengthV6": 128, "serviceSelectors": [{}] }), false),
        (json!({ "aggregationLength": 24, "serviceSelectors": [{}] }), true),
        (json!({ "aggregationLengthV6": 64, "serviceSelectors": [{}] }), true),
    ] {
        let expected: &[&str] = if refused { &[message] } else { &[] };
        assert_eq!(refusals("BGPAdvertisement", &json!({ "spec": spec }), None), expected, "{spec}");
    }
}

#[test]
fn some_fields_keep_their_first_value() {
    let peer = |spec: Value| json!({ "spec": spec });
    let (on, off) =
        (peer(json!({ "enableGracefulRestart": true })), peer(json!({ "enableGracefulRestart": false })));
    let message = "spec.enableGracefulRestart: EnableGracefulRestart cannot be changed after creation";
    assert_eq!(refusals("BGPPeer", &on, Some(&off)), [message]);
    assert_eq!(refusals("BGPPeer", &on, Some(&on)), [""; 0]);
    assert_eq!(refusals("BGPPeer", &on, Some(&peer(json!({})))), [""; 0]);

    for kind in ["ServiceL2Status", "ServiceBGPStatus"] {
        for field in ["node", "serviceName", "serviceNamespace"] {
            let status = |value: &str| json!({ "status": { field: value } });
            let found = refusals(kind, &status("b"), Some(&status("a")));
            assert_eq!(found, [format!("status.{field}: Value is immutable")]);
            assert_eq!(refusals(kind, &status("a"), Some(&status("a"))), [""; 0]);
            assert_eq!(refusals(kind, &status("a"), Some(&json!({}))), [""; 0]);
        }
    }
}
