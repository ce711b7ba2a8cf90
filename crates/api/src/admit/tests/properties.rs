//! Whatever is asked in whatever world, there is an answer.

use proptest::prelude::*;
use serde_json::{Map, Value, json};

use super::NAMESPACE;
use crate::admit::{Kind, List, Operation, Question, Review, World, judge};

/// Names that mean something to somebody, so that what is made up gets past the first look.
const NAMES: [&str; 22] = [
    "apiVersion",
    "kind",
    "metadata",
    "name",
    "namespace",
    "spec",
    "addresses",
    "nodeSelectors",
    "matchLabels",
    "matchExpressions",
    "key",
    "operator",
    "values",
    "communities",
    "value",
    "peerAddress",
    "myASN",
    "peerASN",
    "holdTime",
    "bgp",
    "routers",
    "neighbors",
];
const TEXTS: [&str; 12] = [
    "",
    "a",
    "metallb-system",
    "10.0.0.0/24",
    "10.0.0.1-10.0.0.9",
    "fd00::/64",
    "In",
    "1:2",
    "90s",
    "1d",
    "metallb.io/v1beta1",
    "BGPPeer",
];

fn anything() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        prop::sample::select(&TEXTS[..]).prop_map(Value::from),
        ".{0,8}".prop_map(Value::from),
    ];
    leaf.prop_recursive(6, 64, 6, |inner| {
        let name = prop::sample::select(&NAMES[..]);
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::vec((name, inner), 0..6).prop_map(|fields| {
                fields.into_iter().map(|(name, value)| (name.to_owned(), value)).collect::<Map<_, _>>().into()
            }),
        ]
    })
}

/// One that has at least a name and a place.
fn object() -> impl Strategy<Value = Value> {
    (prop::sample::select(&["a", "b"][..]), anything(), anything()).prop_map(|(name, spec, whole)| {
        let named = json!({"metadata": {"name": name, "namespace": NAMESPACE}, "spec": spec});
        if whole.is_array() { whole } else { named }
    })
}

proptest! {
    #[test]
    fn every_question_has_an_answer(
        kind in prop::sample::select(&Kind::ALL[..]),
        operation in prop::sample::select(&["CREATE", "UPDATE", "DELETE", "CONNECT"][..]),
        object in object(),
        existing in prop::collection::vec((prop::sample::select(&List::ALL[..]), object()), 0..6),
    ) {
        let mut world = World::new(NAMESPACE);
        for (list, object) in existing {
            world.lists.entry(list).or_default().push(object);
        }
        let operation = Operation::of(operation);
        let question = Question { kind, operation, name: "a".to_owned(), object: object.clone(), old_object: object };
        let verdict = judge(&question, &world);
        prop_assert_eq!(verdict.allowed, verdict.code == 200);
        prop_assert_eq!(verdict.allowed, verdict.message.is_empty());
        prop_assert!(verdict.allowed || verdict.warnings.is_empty());
        prop_assert!(verdict.warnings.iter().all(|warning| !warning.contains(char::is_control)));
        prop_assert_eq!(judge(&question, &world), verdict);
    }

    #[test]
    fn every_text_is_a_review_or_is_not(review in anything(), request in anything()) {
        let _ = Review::read(review);
        let envelope = json!({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": request});
        let _ = Review::read(envelope);
    }
}
