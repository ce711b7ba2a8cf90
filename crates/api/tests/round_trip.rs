//! Objects read as Rust types and written again. The samples are made from the schemas, so no field is left out.

use api::{frrk8s, metallb};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};

/// Runs a generic check for every version of every kind.
macro_rules! for_every_kind {
    ($check:ident) => {
        $check::<metallb::IPAddressPool>("IPAddressPool", "metallb.io/v1beta1");
        $check::<metallb::L2Advertisement>("L2Advertisement", "metallb.io/v1beta1");
        $check::<metallb::BGPAdvertisement>("BGPAdvertisement", "metallb.io/v1beta1");
        $check::<metallb::bgppeer::v1beta1::BGPPeer>("BGPPeer", "metallb.io/v1beta1");
        $check::<metallb::BGPPeer>("BGPPeer", "metallb.io/v1beta2");
        $check::<metallb::BFDProfile>("BFDProfile", "metallb.io/v1beta1");
        $check::<metallb::Community>("Community", "metallb.io/v1beta1");
        $check::<metallb::ServiceL2Status>("ServiceL2Status", "metallb.io/v1beta1");
        $check::<metallb::ServiceBGPStatus>("ServiceBGPStatus", "metallb.io/v1beta1");
        $check::<metallb::ConfigurationState>("ConfigurationState", "metallb.io/v1beta1");
        $check::<frrk8s::FRRConfiguration>("FRRConfiguration", "frrk8s.metallb.io/v1beta1");
        $check::<frrk8s::FRRNodeState>("FRRNodeState", "frrk8s.metallb.io/v1beta1");
        $check::<frrk8s::BGPSessionState>("BGPSessionState", "frrk8s.metallb.io/v1beta1");
        $check::<frrk8s::FRRK8sConfiguration>("FRRK8sConfiguration", "frrk8s.metallb.io/v1beta1");
    };
}

/// An object with every field that the schema knows.
fn full_object(kind: &str, api_version: &str) -> Value {
    let crds = api::crds::all();
    let crd = crds.iter().find(|crd| crd["spec"]["names"]["kind"] == kind).unwrap();
    let versions = crd["spec"]["versions"].as_array().unwrap();
    let version = versions.iter().find(|version| api_version.ends_with(version["name"].as_str().unwrap()));
    let mut object = sample("", &version.unwrap()["schema"]["openAPIV3Schema"]);
    object["apiVersion"] = json!(api_version);
    object["kind"] = json!(kind);
    object["metadata"] = json!({ "name": "sample", "namespace": "metallb-system", "labels": { "a": "b" } });
    object
}

fn sample(name: &str, schema: &Value) -> Value {
    if let Some(values) = schema["enum"].as_array() {
        return values.last().unwrap().clone();
    }
    match schema["type"].as_str().unwrap() {
        "string" if schema["format"] == "date-time" => json!("2026-01-02T03:04:05Z"),
        "string" if name.ends_with("Time") => json!("1m30s"),
        "string" => json!(name),
        "integer" => schema.get("maximum").cloned().unwrap_or(json!(7)),
        "boolean" => json!(true),
        "array" => json!([sample(name, &schema["items"])]),
        "object" => match schema.get("additionalProperties") {
            Some(values) => json!({ "key": sample("value", values) }),
            None => {
                let properties = schema["properties"].as_object().into_iter().flatten();
                properties
                    .map(|(name, property)| (name.clone(), sample(name, property)))
                    .collect::<Map<_, _>>()
                    .into()
            }
        },
        other => panic!("{name} has type {other}"),
    }
}

fn through<Kind: DeserializeOwned + Serialize>(object: &Value) -> Value {
    let typed: Kind =
        serde_path_to_error::deserialize(object).unwrap_or_else(|error| panic!("{error}: {object}"));
    serde_json::to_value(typed).unwrap()
}

#[test]
fn every_field_survives() {
    fn check<Kind: DeserializeOwned + Serialize + PartialEq>(kind: &str, api_version: &str) {
        let object = full_object(kind, api_version);
        assert_eq!(through::<Kind>(&object), object);
    }
    for_every_kind!(check);
}

#[test]
fn an_object_with_nothing_in_it_is_readable() {
    fn check<Kind: DeserializeOwned + Serialize + Default + PartialEq>(kind: &str, api_version: &str) {
        let bare = json!({ "apiVersion": api_version, "kind": kind, "metadata": {} });
        let typed: Kind = serde_json::from_value(bare.clone()).unwrap();
        assert!(typed == Kind::default(), "{kind}");
        for part in ["spec", "status"] {
            let mut object = bare.clone();
            object[part] = json!({});
            through::<Kind>(&object);
            object[part] = Value::Null;
            through::<Kind>(&object);
        }
    }
    for_every_kind!(check);
}

#[test]
fn null_means_absent() {
    fn check<Kind: DeserializeOwned + Serialize>(kind: &str, api_version: &str) {
        let object = full_object(kind, api_version);
        let mut pointers = Vec::new();
        for part in ["spec", "status"] {
            if let Some(part_value) = object.get(part) {
                collect_fields(&format!("/{part}"), part_value, &mut pointers);
            }
        }
        for pointer in pointers {
            let (parent, name) = pointer.rsplit_once('/').unwrap();
            if parent.ends_with("/matchLabels") || parent.contains("/conditions/") {
                continue;
            }
            let mut without = object.clone();
            without.pointer_mut(parent).unwrap().as_object_mut().unwrap().remove(name);
            let mut with_null = object.clone();
            *with_null.pointer_mut(&pointer).unwrap() = Value::Null;
            assert_eq!(through::<Kind>(&with_null), through::<Kind>(&without), "{kind} {pointer}");
        }
    }
    for_every_kind!(check);
}

fn collect_fields(path: &str, value: &Value, pointers: &mut Vec<String>) {
    for (name, field) in value.as_object().into_iter().flatten() {
        pointers.push(format!("{path}/{name}"));
        collect_fields(&format!("{path}/{name}"), field, pointers);
    }
    for (index, element) in value.as_array().into_iter().flatten().enumerate() {
        collect_fields(&format!("{path}/{index}"), element, pointers);
    }
}

#[test]
fn what_is_absent_stays_absent() {
    for (object, typed) in [
        (
            json!({ "apiVersion": "metallb.io/v1beta2", "kind": "BGPPeer", "metadata": {}, "spec": { "myASN": 64512 } }),
            through::<metallb::BGPPeer> as fn(&Value) -> Value,
        ),
        (
            json!({ "apiVersion": "metallb.io/v1beta1", "kind": "BFDProfile", "metadata": {}, "spec": {} }),
            through::<metallb::BFDProfile>,
        ),
        (
            json!({ "apiVersion": "metallb.io/v1beta1", "kind": "ConfigurationState", "metadata": {} }),
            through::<metallb::ConfigurationState>,
        ),
        (
            json!({ "apiVersion": "metallb.io/v1beta1", "kind": "ServiceL2Status", "metadata": {}, "spec": {} }),
            through::<metallb::ServiceL2Status>,
        ),
    ] {
        assert_eq!(typed(&object), object);
    }
}

#[test]
fn a_timer_is_written_in_normal_form() {
    let object = json!({ "spec": { "holdTime": "90s", "connectTime": "0.5m" } });
    let written = through::<metallb::BGPPeer>(&object);
    assert_eq!(written["spec"]["holdTime"], "1m30s");
    assert_eq!(written["spec"]["connectTime"], "30s");
}

#[test]
fn an_unreadable_field_is_named() {
    for (spec, message) in [
        (json!({ "holdTime": "1d" }), r#"spec.holdTime: time: unknown unit "d" in duration "1d""#),
        (json!({ "peerASN": -1 }), "spec.peerASN: invalid value: integer `-1`, expected u32"),
        (
            json!({ "nodeSelectors": [{ "matchExpressions": [{ "values": "x" }] }] }),
            "spec.nodeSelectors[0].matchExpressions[0].values: invalid type: string \"x\", expected a sequence",
        ),
    ] {
        let object = json!({ "metadata": { "name": "peer" }, "spec": spec });
        let error = serde_path_to_error::deserialize::<_, metallb::BGPPeer>(object).unwrap_err();
        assert_eq!(error.to_string(), message);
    }
}
