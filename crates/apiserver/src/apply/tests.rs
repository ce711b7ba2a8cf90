//! Histories of objects that several managers write, and what each comes to own.

use super::*;
use chrono::{DateTime, Utc};
use serde_json::json;

fn at(seconds: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(1_700_000_000 + seconds, 0).expect("a time in range")
}

fn pool_types() -> Types {
    let text = json!({"type": "string"});
    let condition = json!({"type": "object", "properties": {"type": text, "status": text}});
    Types::of_custom_resource(Some(&json!({"type": "object", "properties": {
        "spec": {"type": "object", "properties": {
            "addresses": {"type": "array", "items": text, "x-kubernetes-list-type": "set"},
            "autoAssign": {"type": "boolean"},
            "name": text,
            "selector": {"type": "object", "x-kubernetes-map-type": "atomic",
                "properties": {"matchLabels": {"type": "object", "additionalProperties": text}}},
        }},
        "status": {"type": "object", "properties": {"conditions": {"type": "array", "items": condition,
            "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["type"]}}},
    }})))
}

const VERSION: &str = "example.com/v1";

fn pools(types: &Types) -> FieldManager<'_> {
    FieldManager::new(types, &OneVersion, VERSION, "Pool", "").resetting(FieldSet::of(&[&["status"]]), false)
}

fn pool(spec: &Value) -> Value {
    json!({"apiVersion": VERSION, "kind": "Pool", "metadata": {"name": "a", "namespace": "n"}, "spec": spec})
}

/// What the store adds to a new object.
fn stored(mut object: Value) -> Value {
    object["metadata"]["uid"] = json!("u-1");
    object
}

/// Manager, operation and `fieldsV1` of each entry.
fn owners(object: &Value) -> Vec<(&str, &str, Value)> {
    let entries = object["metadata"]["managedFields"].as_array().map(Vec::as_slice).unwrap_or_default();
    entries
        .iter()
        .map(|entry| {
            let manager = entry["manager"].as_str().unwrap_or_default();
            let operation = entry["operation"].as_str().unwrap_or_default();
            (manager, operation, entry["fieldsV1"].clone())
        })
        .collect()
}

#[test]
fn an_applied_field_belongs_to_its_applier_and_goes_when_it_is_no_longer_applied() {
    let types = pool_types();
    let manager = pools(&types);
    let first = pool(&json!({"name": "x", "addresses": ["10.0.0.1", "10.0.0.2"]}));
    let object = stored(manager.apply(None, &first, "alice", false, at(0)).expect("it is created"));
    let addresses = json!({"v:\"10.0.0.1\"": {}, "v:\"10.0.0.2\"": {}});
    assert_eq!(
        owners(&object),
        [("alice", "Apply", json!({"f:spec": {"f:addresses": addresses, "f:name": {}}}))]
    );
    let second = pool(&json!({"addresses": ["10.0.0.2"]}));
    let object = manager.apply(Some(&object), &second, "alice", false, at(1)).expect("nobody else is there");
    assert_eq!(object["spec"], json!({"addresses": ["10.0.0.2"]}));
    assert_eq!(object["metadata"]["managedFields"][0]["time"], "2023-11-14T22:13:21Z");
}

#[test]
fn a_field_that_another_applied_too_stays() {
    let types = pool_types();
    let manager = pools(&types);
    let both = pool(&json!({"name": "x"}));
    let object = stored(manager.apply(None, &both, "alice", false, at(0)).expect("it is created"));
    let object = manager.apply(Some(&object), &both, "bob", false, at(1)).expect("the values agree");
    assert_eq!(owners(&object).len(), 2);
    let object =
        manager.apply(Some(&object), &pool(&json!({})), "alice", false, at(2)).expect("alice lets go");
    assert_eq!(object["spec"]["name"], "x");
    assert_eq!(owners(&object).len(), 2, "alice still says that there is a spec");
}

#[test]
fn another_value_is_a_conflict_unless_it_is_forced() {
    let types = pool_types();
    let manager = pools(&types);
    let created =
        manager.update(None, pool(&json!({"name": "x", "autoAssign": true})), "kubectl-create", at(0));
    let object = stored(created);
    let mine = pool(&json!({"name": "y"}));
    let error = manager.apply(Some(&object), &mine, "alice", false, at(1)).expect_err("the name is taken");
    assert_eq!(
        error.to_string(),
        "Apply failed with 1 conflict: conflict with \"kubectl-create\" using example.com/v1: .spec.name"
    );
    assert_eq!((error.code(), error.reason()), (409, "Conflict"));
    let cause = Cause {
        reason: "FieldManagerConflict",
        message: "conflict with \"kubectl-create\" using example.com/v1".to_owned(),
        field: ".spec.name".to_owned(),
    };
    assert_eq!(error.causes(), [cause]);
    let mine = pool(&json!({"name": "y", "autoAssign": false}));
    let error = manager.apply(Some(&object), &mine, "alice", false, at(1)).expect_err("both are taken");
    assert_eq!(
        error.to_string(),
        "Apply failed with 2 conflicts: conflicts with \"kubectl-create\" using example.com/v1:\n- .spec.autoAssign\n\
         - .spec.name"
    );
    let object = manager.apply(Some(&object), &mine, "alice", true, at(1)).expect("force");
    assert_eq!(object["spec"], json!({"name": "y", "autoAssign": false}));
    assert_eq!(
        owners(&object),
        [
            ("alice", "Apply", json!({"f:spec": {"f:autoAssign": {}, "f:name": {}}})),
            ("kubectl-create", "Update", json!({"f:spec": {}})),
        ]
    );
}

#[test]
fn several_managers_conflict_in_a_block_each() {
    let types = pool_types();
    let manager = pools(&types);
    let object = stored(manager.update(None, pool(&json!({"name": "x"})), "carol", at(0)));
    let object = manager
        .apply(Some(&object), &pool(&json!({"autoAssign": true})), "bob", false, at(0))
        .expect("nobody has it");
    let mine = pool(&json!({"name": "y", "autoAssign": false}));
    let error = manager.apply(Some(&object), &mine, "alice", false, at(1)).expect_err("two are in the way");
    assert_eq!(
        error.to_string(),
        "Apply failed with 2 conflicts: conflicts with \"bob\":\n- .spec.autoAssign\nconflicts with \"carol\" using \
         example.com/v1:\n- .spec.name"
    );
}

#[test]
fn an_object_whose_ownership_was_cleared_belongs_to_before_first_apply() {
    let types = pool_types();
    let manager = pools(&types);
    let object = stored(manager.update(None, pool(&json!({"name": "x"})), "carol", at(0)));
    let mut cleared = object.clone();
    cleared["metadata"]["managedFields"] = json!([{}]);
    let object = manager.update(Some(&object), cleared, "carol", at(1));
    assert_eq!(object["metadata"].get("managedFields"), None);
    let object = manager.update(Some(&object), stored(pool(&json!({"name": "z"}))), "carol", at(2));
    assert_eq!(
        object["metadata"].get("managedFields"),
        None,
        "what nobody owns, an update does not begin to"
    );
    let error = manager.apply(Some(&object), &pool(&json!({"name": "y"})), "alice", false, at(3));
    assert_eq!(
        error.expect_err("someone wrote it before").to_string(),
        "Apply failed with 1 conflict: conflict with \"before-first-apply\" using example.com/v1: .spec.name"
    );
}

#[test]
fn the_status_is_owned_through_its_own_endpoint_only() {
    let types = pool_types();
    let main = pools(&types);
    let mut object = pool(&json!({"name": "x"}));
    object["status"] = json!({"conditions": [{"type": "Ready", "status": "True"}]});
    let object = stored(main.update(None, object, "carol", at(0)));
    assert_eq!(owners(&object), [("carol", "Update", json!({"f:spec": {".": {}, "f:name": {}}}))]);
    let status = FieldManager::new(&types, &OneVersion, VERSION, "Pool", "status")
        .resetting(FieldSet::of(&[&["metadata"], &["spec"]]), true);
    let mut changed = object.clone();
    changed["status"]["conditions"][0]["status"] = json!("False");
    let object = status.update(Some(&object), changed, "carol", at(1));
    let conditions = json!({"k:{\"type\":\"Ready\"}": {"f:status": {}}});
    assert_eq!(owners(&object)[1].2, json!({"f:status": {"f:conditions": conditions}}));
    assert_eq!(object["metadata"]["managedFields"][1]["subresource"], "status");
}

#[test]
fn a_service_port_is_known_by_its_port_and_its_protocol_also_where_that_is_implied() {
    let types = Types::of_built_in("v1", "Service").expect("a built-in kind");
    let manager = FieldManager::new(&types, &OneVersion, "v1", "Service", "");
    let service = |ports: Value| json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "a"}, "spec": {"ports": ports}});
    let config = service(json!([{"port": 53}, {"port": 53, "protocol": "UDP"}]));
    let object = manager.apply(None, &config, "alice", false, at(0)).expect("two ports");
    let ports = json!({
        "k:{\"port\":53,\"protocol\":\"TCP\"}": {".": {}, "f:port": {}},
        "k:{\"port\":53,\"protocol\":\"UDP\"}": {".": {}, "f:port": {}, "f:protocol": {}},
    });
    assert_eq!(owners(&object)[0].2, json!({"f:spec": {"f:ports": ports}}));
    let twice = service(json!([{"port": 53}, {"port": 53, "protocol": "TCP"}]));
    let error = manager.apply(None, &twice, "alice", false, at(0)).expect_err("one port twice");
    assert_eq!(
        error.to_string(),
        "failed to create typed patch object (/a; /v1, Kind=Service): .spec.ports: duplicate entries for key \
         [port=53,protocol=\"TCP\"]"
    );
    assert_eq!((error.code(), error.reason()), (500, ""));
}

#[test]
fn an_apply_of_the_wrong_thing_is_refused() {
    let types = pool_types();
    let manager = pools(&types);
    let mut other = pool(&json!({}));
    other["kind"] = json!("Other");
    let mut owned = pool(&json!({}));
    owned["metadata"]["managedFields"] = json!([]);
    let prefix = "failed to create typed patch object (n/a; example.com/v1, Kind=Pool): ";
    for (config, code, text) in [
        (other, 400, "invalid object type: example.com/v1, Kind=Other".to_owned()),
        (owned, 400, "metadata.managedFields must be nil".to_owned()),
        (pool(&json!({"nope": 1})), 500, format!("{prefix}.spec.nope: field not declared in schema")),
        (
            pool(&json!({"name": 7})),
            500,
            format!("{prefix}.spec.name: expected string, got &value.valueUnstructured{{Value:7}}"),
        ),
    ] {
        let error = manager.apply(None, &config, "alice", true, at(0)).expect_err("it is wrong");
        assert_eq!((error.code(), error.to_string()), (code, text));
    }
}

#[test]
fn more_updaters_than_ten_become_ancient_changes() {
    let types = Types::of_built_in("v1", "ConfigMap").expect("a built-in kind");
    let manager = FieldManager::new(&types, &OneVersion, "v1", "ConfigMap", "");
    let map = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}, "data": {"a": "1"}});
    let mut object = stored(manager.update(None, map, "m-0", at(0)));
    for number in 1..=12 {
        let mut changed = object.clone();
        changed["data"][format!("k{number}")] = json!("1");
        object = manager.update(Some(&object), changed, &format!("m-{number}"), at(number));
    }
    let owners = owners(&object);
    assert_eq!(owners.len(), LIMITS.update_managers);
    assert_eq!(owners[0].0, "ancient-changes");
    assert_eq!(owners[0].2, json!({"f:data": {".": {}, "f:a": {}, "f:k1": {}, "f:k2": {}, "f:k3": {}}}));
}

#[test]
fn kubectl_takes_over_what_it_applied_on_the_clients_side() {
    let types = pool_types();
    let manager = pools(&types);
    let mut object = pool(&json!({"name": "x", "autoAssign": true}));
    let last = pool(&json!({"name": "x", "autoAssign": true})).to_string();
    object["metadata"]["annotations"] = json!({"kubectl.kubernetes.io/last-applied-configuration": last});
    let object = stored(manager.update(None, object, "kubectl-client-side-apply", at(0)));
    let config = pool(&json!({"name": "y"}));
    let object = manager.apply(Some(&object), &config, "kubectl", false, at(1)).expect("it is kubectl's own");
    assert_eq!(object["spec"]["name"], "y");
    assert_eq!(
        object["metadata"]["annotations"]["kubectl.kubernetes.io/last-applied-configuration"],
        "{\"apiVersion\":\"example.com/v1\",\"kind\":\"Pool\",\"metadata\":{\"name\":\"a\",\"namespace\":\"n\"},\"spec\":\
         {\"name\":\"y\"}}\n"
    );
}

#[test]
fn an_update_that_changes_nothing_keeps_its_times() {
    let types = pool_types();
    let manager = pools(&types);
    let object =
        stored(manager.apply(None, &pool(&json!({"name": "x"})), "alice", false, at(0)).expect("created"));
    let mut touched = object.clone();
    touched["metadata"]["managedFields"][0]["time"] = json!("2024-01-01T00:00:00Z");
    keep_times_of_unchanged(&mut touched, &object);
    assert_eq!(touched, object);
    touched["metadata"]["managedFields"][0]["time"] = json!("2024-01-01T00:00:00Z");
    touched["spec"]["name"] = json!("y");
    let changed = touched.clone();
    keep_times_of_unchanged(&mut touched, &object);
    assert_eq!(touched, changed);
}

/// Two versions that differ in the name of one field.
struct Renaming {
    old: Types,
    new: Types,
}

impl Versions for Renaming {
    fn types(&self, api_version: &str) -> Option<&Types> {
        match api_version {
            "example.com/v1" => Some(&self.old),
            "example.com/v2" => Some(&self.new),
            _ => None,
        }
    }

    fn convert(&self, object: &Value, api_version: &str) -> Option<Value> {
        self.types(api_version)?;
        let (from, to) = if api_version == VERSION { ("label", "name") } else { ("name", "label") };
        let mut converted = object.clone();
        converted["apiVersion"] = json!(api_version);
        if let Some(spec) = converted.get_mut("spec").and_then(Value::as_object_mut)
            && let Some(value) = spec.shift_remove(from)
        {
            spec.insert(to.to_owned(), value);
        }
        Some(converted)
    }
}

#[test]
fn a_manager_owns_in_the_version_it_wrote_in() {
    let types = |field: &str| {
        let spec =
            json!({"type": "object", "properties": {field: {"type": "string"}, "size": {"type": "integer"}}});
        Types::of_custom_resource(Some(&json!({"type": "object", "properties": {"spec": spec}})))
    };
    let versions = Renaming { old: types("name"), new: types("label") };
    let v1 = FieldManager::new(&versions.old, &versions, "example.com/v1", "Pool", "");
    let v2 = FieldManager::new(&versions.new, &versions, "example.com/v2", "Pool", "");
    let object =
        stored(v1.apply(None, &pool(&json!({"name": "x"})), "alice", false, at(0)).expect("created"));
    let live = versions.convert(&object, "example.com/v2").expect("it is served");
    let mut config = pool(&json!({"label": "y", "size": 1}));
    config["apiVersion"] = json!("example.com/v2");
    let error = v2.apply(Some(&live), &config, "bob", false, at(1)).expect_err("alice has the name");
    assert_eq!(error.to_string(), "Apply failed with 1 conflict: conflict with \"alice\": .spec.name");
    config["spec"] = json!({"size": 1});
    let object = v2.apply(Some(&live), &config, "alice", false, at(1)).expect("it is alice's own");
    assert_eq!(
        object["spec"],
        json!({"size": 1}),
        "what she named in one version she takes back in the other"
    );
}
