use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::parse::Role;

/// One resource with one problem for every stage.
fn one_problem_each() -> Vec<Value> {
    vec![
        resource("BGPAdvertisement", "adv", &json!({"communities": ["unknown"]})),
        resource("L2Advertisement", "l2", &json!({"ipAddressPools": ["x", "x"]})),
        pool("pool-b", &["10.0.0.0/25"]),
        pool("pool-a", &["10.0.0.0/24"]),
        resource("Community", "c", &json!({"communities": [{"name": "n", "value": "v"}]})),
        peer("peer-b", &json!({"peerAddress": "x"})),
        peer("peer-a", &json!({"myASN": 0})),
        peer("peer-c", &json!({"peerAddress": "10.0.0.1"})),
        resource("BFDProfile", "bfd", &json!({"detectMultiplier": 1})),
    ]
}

const IN_ORDER: [&str; 9] = [
    "peer x has myAsn different from 10.0.0.1, in FRR mode peers selecting the same node must have the same myAsn within the \
     same VRF",
    "peer 10.0.0.1 already exists, FRR mode doesn't support duplicate BGPPeers selecting the same node",
    "parsing bfd profile #1: invalid value 1, must be in 2-255 range\ninvalid detect multiplier value",
    "parsing peer peer-a missing local ASN",
    r#"parsing peer peer-b invalid BGPPeer address "x""#,
    r#"parsing community "n": invalid community format: v"#,
    r#"CIDR "10.0.0.0/25" in pool "pool-b" overlaps with already defined CIDR "10.0.0.0/24""#,
    r#"duplicate definition of ipAddressPools "x""#,
    "invalid community format: unknown\ninvalid community \"unknown\" in BGP advertisement",
];

#[test]
fn the_first_problem_is_always_the_same_one_and_all_follow() {
    let found = messages(&one_problem_each());
    let expected: Vec<&str> = IN_ORDER.to_vec();
    assert_eq!(found.iter().filter(|text| !text.starts_with("peer peer-c")).collect::<Vec<_>>(), expected);
}

#[test]
fn the_controller_sees_pools_and_communities_alone() {
    let view = View { role: Role::Controller, ..View::everything(NAMESPACE) };
    let parsed = parse(objects(&one_problem_each()), &view);
    let texts: Vec<String> = parsed.problems.iter().map(ToString::to_string).collect();
    assert_eq!(texts, IN_ORDER[5..7]);
    assert!(parsed.config.peers.is_empty() && parsed.config.pools.contains_key("pool-a"));
}

#[test]
fn a_problem_names_its_resource_and_field() {
    let problems = read(&one_problem_each()).problems;
    let named: Vec<String> =
        problems.iter().map(|it| format!("{} {} {}", it.subject.kind, it.subject.name, it.field)).collect();
    assert_eq!(
        named,
        [
            "BGPPeer peer-b spec.myASN",
            "BGPPeer peer-c spec.peerAddress",
            "BFDProfile bfd spec.detectMultiplier",
            "BGPPeer peer-a spec.myASN",
            "BGPPeer peer-b spec.peerAddress",
            "Community c spec.communities[0].value",
            "IPAddressPool pool-b spec.addresses[0]",
            "L2Advertisement l2 spec.ipAddressPools",
            "BGPAdvertisement adv spec.communities[0]",
        ]
    );
}

#[test]
fn resources_of_another_namespace_are_refused_or_ignored() {
    let mut elsewhere = pool("p", &["nonsense"]);
    elsewhere["metadata"]["namespace"] = "default".into();
    assert_eq!(
        messages(std::slice::from_ref(&elsewhere)),
        ["resource must be created in metallb-system namespace"]
    );
    let view = View { role: Role::Controller, ..View::everything(NAMESPACE) };
    let parsed = parse(objects(&[elsewhere.clone()]), &view);
    assert_eq!(parsed.problems, []);
    assert_eq!(parsed.warnings[0].to_string(), "is not in namespace metallb-system, so it is ignored");

    elsewhere["metadata"].as_object_mut().unwrap().remove("namespace");
    assert_eq!(messages(&[elsewhere]).len(), 1, "a resource without a namespace is one of ours");
}

#[test]
fn nothing_at_all_is_a_valid_configuration() {
    let parsed = read(&[]);
    assert_eq!((parsed.problems, parsed.warnings), (vec![], vec![]));
}

#[test]
fn router_configuration_text_is_taken_over() {
    let extras = json!({
        "kind": "ConfigMap", "metadata": {"name": "bgpextras", "namespace": NAMESPACE}, "data": {"extras": "text"},
    });
    assert_eq!(read(&[extras]).config.bgp_extras, "text");
}

proptest! {
    /// The order in which resources arrive changes nothing.
    #[test]
    fn the_order_of_arrival_changes_nothing(order in Just(one_problem_each()).prop_shuffle()) {
        let sorted = read(&one_problem_each());
        let shuffled = read(&order);
        prop_assert_eq!(shuffled.problems, sorted.problems);
        prop_assert_eq!(shuffled.warnings, sorted.warnings);
        prop_assert_eq!(shuffled.config, sorted.config);
    }

    /// Any text in any field is accepted or refused, and never a panic.
    #[test]
    fn no_text_in_any_field_is_a_panic(text in "\\PC{0,20}|[0-9:/.-]{0,20}") {
        let resources = [
            pool("p", &[&text]),
            peer("a", &json!({"peerAddress": text, "routerID": text, "sourceAddress": text, "password": text})),
            peer("b", &json!({"interface": text, "vrf": text, "bfdProfile": text, "dynamicASN": text})),
            resource("Community", "c", &json!({"communities": [{"name": text, "value": text}]})),
            resource("BGPAdvertisement", "a", &json!({"communities": [text], "peers": [text], "ipAddressPools": [text]})),
            resource("L2Advertisement", "a", &json!({"nodeSelectors": [{"matchLabels": {text.clone(): text}}]})),
        ];
        let parsed = read(&resources);
        prop_assert!(parsed.problems.iter().all(|problem| !problem.to_string().is_empty()));
    }
}
