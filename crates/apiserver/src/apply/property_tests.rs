//! What holds of any object, any managers and any order of writes.

use super::*;
use crate::schema::Schema;
use chrono::DateTime;
use proptest::prelude::*;
use serde_json::json;

fn any_value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        (-3i64..3).prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        "[a-c]{0,2}".prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 32, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::vec(("[a-c]|items|spec|metadata|managedFields|fieldsV1|f:a|\\.", inner), 0..4)
                .prop_map(|fields| Value::Object(fields.into_iter().collect())),
        ]
    })
}

fn text() -> impl Strategy<Value = Value> {
    "[a-c]".prop_map(Value::from)
}

fn texts() -> impl Strategy<Value = Value> {
    prop::collection::btree_map("[a-c]", text(), 0..3)
        .prop_map(|map| Value::Object(map.into_iter().collect()))
}

/// A valid spec of [`types`]. Lists with identities are not empty: nobody comes to own an empty one.
fn spec() -> impl Strategy<Value = Value> {
    let peer = (prop::option::of(0..2i64), texts()).prop_map(|(weight, labels)| {
        let mut peer = json!({"labels": labels});
        weight.into_iter().for_each(|weight| peer["weight"] = json!(weight));
        peer
    });
    let peers = prop::collection::btree_map("[a-d]", peer, 1..4).prop_map(|peers| {
        let peers = peers.into_iter().map(|(name, mut peer)| {
            peer["name"] = json!(name);
            peer
        });
        Value::Array(peers.collect())
    });
    let set = prop::collection::btree_set("[a-d]", 1..4)
        .prop_map(|items| Value::Array(items.into_iter().map(Value::from).collect()));
    let fields = (
        prop::option::of(text()),
        prop::option::of(texts()),
        prop::option::of(peers),
        prop::option::of(set),
        prop::option::of(any_value()),
    );
    fields.prop_map(|(name, labels, peers, set, anything)| {
        let fields =
            [("name", name), ("labels", labels), ("peers", peers), ("set", set), ("anything", anything)];
        let fields = fields.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?)));
        Value::Object(fields.collect())
    })
}

fn schema() -> Value {
    let text = json!({"type": "string"});
    let labels = json!({"type": "object", "additionalProperties": text});
    let peer = json!({"type": "object", "properties": {"name": text, "weight": {"type": "integer"}, "labels": labels}});
    json!({"type": "object", "properties": {
        "spec": {"type": "object", "properties": {
            "name": text,
            "labels": labels,
            "peers": {"type": "array", "items": peer, "x-kubernetes-list-type": "map",
                "x-kubernetes-list-map-keys": ["name"]},
            "set": {"type": "array", "items": text, "x-kubernetes-list-type": "set"},
            "anything": {"x-kubernetes-preserve-unknown-fields": true, "nullable": true},
        }},
    }})
}

fn types() -> Types {
    Types::of_custom_resource(Some(&schema()))
}

/// As a handler does it: what is applied is defaulted, which drops what became empty.
fn apply(types: &Types, live: Option<&Value>, config: &Value, who: &str, force: bool, seconds: i64) -> Value {
    let mut object = manager(types).apply(live, config, who, force, at(seconds)).expect("it is valid");
    Schema::parse(&schema()).expect("it is valid").default(&mut object);
    object
}

fn object(spec: &Value) -> Value {
    let metadata = json!({"name": "a", "namespace": "n", "uid": "u-1"});
    json!({"apiVersion": "example.com/v1", "kind": "Pool", "metadata": metadata, "spec": spec})
}

fn at(seconds: i64) -> DateTime<chrono::Utc> {
    DateTime::from_timestamp(seconds, 0).expect("a time in range")
}

fn manager(types: &Types) -> FieldManager<'_> {
    FieldManager::new(types, &OneVersion, "example.com/v1", "Pool", "")
}

/// A write: who, whether by apply, and what.
fn writes() -> impl Strategy<Value = Vec<(String, bool, Value)>> {
    prop::collection::vec(("[ab]", any::<bool>(), spec()), 1..6)
}

/// An object after a history in which every apply is forced.
fn history(types: &Types, writes: &[(String, bool, Value)]) -> Option<Value> {
    let mut live: Option<Value> = None;
    for (seconds, (who, applies, spec)) in (0..).zip(writes) {
        let new = object(spec);
        live = Some(if *applies {
            apply(types, live.as_ref(), &new, who, true, seconds)
        } else {
            manager(types).update(live.as_ref(), new, who, at(seconds))
        });
    }
    live
}

proptest! {
    #[test]
    fn applying_twice_is_applying_once(writes in writes(), config in spec()) {
        let types = types();
        let live = history(&types, &writes);
        let config = object(&config);
        let once = apply(&types, live.as_ref(), &config, "a", true, 100);
        let mut twice = apply(&types, Some(&once), &config, "a", false, 200);
        keep_times_of_unchanged(&mut twice, &once);
        prop_assert_eq!(twice, once);
    }

    #[test]
    fn what_was_applied_is_there_and_owned(writes in writes(), config in spec()) {
        let types = types();
        let live = history(&types, &writes);
        let config = object(&config);
        let applied = apply(&types, live.as_ref(), &config, "a", true, 100);
        let mentioned = check::field_set(types.root(), &config).expect("it is valid");
        let system = FieldSet::of(&[&["apiVersion"], &["kind"], &["metadata", "name"], &["metadata", "namespace"], &["metadata", "uid"]]);
        let mentioned = mentioned.difference(&system);
        let managed = managed::Managed::decode(&applied).expect("it was just written");
        let owned = managed.managers.values().filter(|owned| owned.applied).fold(FieldSet::default(), |all, owned| all.union(&owned.set));
        for path in mentioned.paths() {
            prop_assert!(owned.contains(&path), "{path} is not owned");
        }
        let again = merge::merge(types.root(), &applied, &config).expect("it is valid");
        prop_assert!(path::equal(&again["spec"], &applied["spec"]), "{again} {applied}");
    }

    #[test]
    fn nobody_owns_what_is_not_there_after_updates_alone(specs in prop::collection::vec(spec(), 1..5)) {
        let types = types();
        let writes: Vec<_> = (0..).zip(&specs).map(|(n, spec)| (format!("m{n}"), false, spec.clone())).collect();
        let live = history(&types, &writes).expect("there are writes");
        let managed = managed::Managed::decode(&live).expect("it was just written");
        let there = compare::compare(types.root(), &json!({}), &live).expect("it is valid").added;
        for owned in managed.managers.values() {
            for path in owned.set.paths() {
                prop_assert!(there.contains(&path), "{path} in {live}");
            }
        }
    }

    #[test]
    fn managed_fields_read_back_as_written(writes in writes()) {
        let types = types();
        let live = history(&types, &writes).expect("there are writes");
        let managed = managed::Managed::decode(&live).expect("it was just written");
        let mut again = live.clone();
        managed.encode(&mut again);
        prop_assert_eq!(again, live);
    }

    #[test]
    fn nothing_panics(live in any_value(), new in any_value(), fields in any_value(), schema in any_value(), builtin in any::<bool>()) {
        let (types, version, kind) = if builtin {
            (Types::of_built_in("v1", "Service").expect("a built-in kind"), "v1", "Service")
        } else {
            (Types::of_custom_resource(Some(&schema)), "example.com/v1", "Pool")
        };
        let mut live = json!({"apiVersion": version, "kind": kind, "metadata": live, "spec": new});
        let mut new = json!({"apiVersion": version, "kind": kind, "metadata": new, "spec": fields});
        let manager = FieldManager::new(&types, &OneVersion, version, kind, "");
        let updated = manager.update(Some(&live), new.clone(), "a", at(0));
        let _ = manager.apply(Some(&updated), &new, "a", false, at(0));
        let _ = manager.apply(Some(&live), &new, "kubectl", true, at(0));
        let entry = json!({"manager": "a", "operation": "Update", "apiVersion": version, "fieldsType": "FieldsV1", "fieldsV1": fields});
        if let Some(metadata) = live["metadata"].as_object_mut() {
            metadata.insert("managedFields".to_owned(), json!([entry]));
        }
        let _ = manager.apply(Some(&live), &new, "b", true, at(0));
        types.normalise(&mut new);
        keep_times_of_unchanged(&mut live, &updated);
        let _ = managed_fields_error(&live);
    }
}
