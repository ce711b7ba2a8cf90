use serde_json::{Value, json};

use super::{NAMESPACE, bgp, create, delete, denial, node, object, peer, pool, update, verdict};
use crate::admit::{Kind, List, Operation, Question, Verdict, judge_alone};

const MP: &str = "disable mp is deprecated and has no effect since it's the default behavior now";

fn elsewhere(mut object: Value) -> Value {
    object["metadata"]["namespace"] = json!("elsewhere");
    object
}

fn community(name: &str, aliases: &[(&str, &str)]) -> Value {
    let aliases: Vec<Value> =
        aliases.iter().map(|(name, value)| json!({"name": name, "value": value})).collect();
    object(Kind::Community, name, &json!({"communities": aliases}))
}

fn l2(name: &str, spec: &Value) -> Value {
    object(Kind::L2Advertisement, name, spec)
}

fn profile(name: &str) -> Value {
    object(Kind::BFDProfile, name, &json!({"echoMode": true}))
}

#[test]
fn what_makes_no_configuration_is_denied_in_the_parsers_words() {
    let others = [pool("p", &["1.1.1.0/28"]), pool("q", &["2.2.2.0/24"])];
    let peers = [peer("a", &json!({})), node("n", &json!({"rack": "1"}))];
    for (case, question, existing, text) in [
        (
            "a pool that overlaps is named last, whatever its name",
            create(&pool("a", &["1.1.1.8-1.1.1.9"])),
            &others[..],
            r#"CIDR "1.1.1.8/31" in pool "a" overlaps with already defined CIDR "1.1.1.0/28""#,
        ),
        (
            "a changed pool keeps its place",
            update(&pool("p", &["2.2.2.0/28"])),
            &others,
            r#"CIDR "2.2.2.0/24" in pool "q" overlaps with already defined CIDR "2.2.2.0/28""#,
        ),
        (
            "no addresses",
            create(&pool("a", &[])),
            &[],
            "parsing address pool a: pool has no prefixes defined",
        ),
        (
            "aggregation",
            create(&bgp("b", &json!({"aggregationLength": 26}))),
            &others,
            "invalid aggregation length 26: prefix 28 in this pool is more specific than the aggregation length for addresses 1.1.1.0/28",
        ),
        (
            "aggregation of chosen Services",
            create(&bgp("b", &json!({"aggregationLength": 24, "serviceSelectors": [{}]}))),
            &[],
            "serviceSelectors and aggregationLength are mutually exclusive, both cannot be set in b",
        ),
        (
            "a community",
            create(&bgp("b", &json!({"communities": ["11111:11aaaa"]}))),
            &[],
            "invalid community value: invalid section \"11aaaa\" of community \"11111:11aaaa\"",
        ),
        (
            "a large community",
            create(&bgp("b", &json!({"communities": ["larg:12345:12345:12345"]}))),
            &[],
            "expected community to be of format large:<uint32>:<uint32>:<uint32> but got \"larg:12345:12345:12345\" instead",
        ),
        (
            "node selectors",
            create(&bgp(
                "b",
                &json!({"nodeSelectors": [{"matchExpressions": [{"key": "a", "operator": "x"}]}]}),
            )),
            &[],
            "\"x\" is not a valid label selector operator\ninvalid label selector {map[] [{a x []}]}\nfailed to parse node selector for b",
        ),
        (
            "an advertisement twice in itself",
            create(&l2("l", &json!({"ipAddressPools": ["p", "p"]}))),
            &others,
            "duplicate definition of ipAddressPools \"p\"",
        ),
        (
            "an alias of another Community",
            create(&community("b", &[("x", "1:2")])),
            &[community("a", &[("x", "1:3")])],
            "duplicate definition of community \"x\"",
        ),
        (
            "a bad alias",
            update(&community("a", &[("x", "1:2:3")])),
            &[community("a", &[])],
            "parsing community \"x\": invalid community format: 1:2:3",
        ),
        (
            "a peer's address",
            create(&peer("b", &json!({"peerAddress": "10.0.0.300"}))),
            &peers,
            "parsing peer b invalid BGPPeer address \"10.0.0.300\"",
        ),
        (
            "a peer that is there under another name",
            create(&peer("b", &json!({}))),
            &peers,
            "peer 10.0.0.1 already exists, FRR mode doesn't support duplicate BGPPeers selecting the same node",
        ),
        (
            "a deprecated field does not excuse the others",
            create(&peer("b", &json!({"disableMP": true, "myASN": 0}))),
            &[],
            "parsing peer b missing local ASN",
        ),
    ] {
        let message = denial(&question, existing).unwrap_or_else(|| panic!("{case}: allowed"));
        assert!(message.contains(text), "{case}: {message}");
        if !text.starts_with("invalid community value") && !text.starts_with("expected") {
            assert_eq!(message, text, "{case}");
        }
    }
}

#[test]
fn what_may_come_later_or_was_there_before_is_let_in() {
    let rack = |rack: &str| json!({"nodeSelectors": [{"matchLabels": {"rack": rack}}]});
    for (case, question, existing) in [
        ("a pool", create(&pool("a", &["1.1.1.0/24"])), vec![pool("b", &["2.2.2.0/24"])]),
        ("a pool that is changed", update(&pool("a", &["1.1.1.0/24"])), vec![pool("a", &["1.1.1.0/25"])]),
        ("a pool that is made over", create(&pool("a", &["1.1.1.0/24"])), vec![pool("a", &["1.1.1.0/25"])]),
        (
            "a pool that no advertisement fits",
            create(&pool("a", &["1.1.1.0/28"])),
            vec![bgp("b", &json!({"aggregationLength": 26}))],
        ),
        (
            "references of a peer",
            create(&peer("a", &json!({"bfdProfile": "x", "password": "p", "passwordSecret": {"name": "s"}}))),
            vec![],
        ),
        (
            "aliases, a number, nothing, and the same twice",
            create(&bgp("b", &json!({"communities": ["alias", "alias", "1234", ""]}))),
            vec![],
        ),
        (
            "peers that share no node",
            create(&peer("b", &rack("2"))),
            vec![peer("a", &rack("1")), node("n1", &json!({"rack": "1"})), node("n2", &json!({"rack": "2"}))],
        ),
        ("pools that do not exist", create(&l2("l", &json!({"ipAddressPools": ["x"]}))), vec![]),
        (
            "an alias with a literal's name",
            create(&community("c", &[("1:2", "3:4"), ("large", "large:1:2:3")])),
            vec![],
        ),
        ("a profile", create(&profile("x")), vec![]),
        (
            "any change of a profile",
            update(&elsewhere(profile("x"))),
            vec![peer("a", &json!({"bfdProfile": "x"}))],
        ),
        ("a profile that nobody uses", delete(&profile("x")), vec![peer("a", &json!({"bfdProfile": "y"}))]),
        ("a change elsewhere", update(&elsewhere(pool("a", &["1.1.1.0/24"]))), vec![]),
        ("a pool goes", delete(&pool("a", &["nonsense"])), vec![]),
        ("a peer goes", delete(&peer("a", &json!({}))), vec![]),
        (
            "pools of other namespaces do not count",
            create(&pool("a", &["1.1.1.0/24"])),
            vec![elsewhere(pool("b", &["1.1.1.0/24"]))],
        ),
    ] {
        assert_eq!(denial(&question, &existing), None, "{case}");
        assert!(verdict(&question, &existing).warnings.is_empty(), "{case}");
    }
}

#[test]
fn only_a_creation_has_to_be_in_our_namespace() {
    let wanted = "resource must be created in metallb-system namespace";
    for object in [
        pool("a", &["nonsense"]),
        l2("a", &json!({})),
        bgp("a", &json!({})),
        community("a", &[]),
        peer("a", &json!({"disableMP": true})),
        profile("a"),
    ] {
        let alone = judge_alone(&create(&elsewhere(object.clone())), NAMESPACE);
        assert_eq!(alone, Some(Verdict::denied(wanted.to_owned())), "{object}");
    }
    let message = denial(&update(&elsewhere(pool("a", &["nonsense"]))), &[]);
    assert_eq!(
        message.as_deref(),
        Some("parsing address pool a: invalid CIDR \"nonsense\" in pool \"a\": invalid CIDR \"nonsense\"")
    );
}

#[test]
fn a_profile_stays_while_a_peer_uses_it() {
    let peers = [peer("a", &json!({})), peer("b", &json!({"bfdProfile": "x", "peerAddress": "10.0.0.2"}))];
    let message = denial(&delete(&profile("x")), &peers);
    assert_eq!(message.as_deref(), Some("failed to delete BFDProfile x, used by BGPPeer b"));
    let nameless = Question { old_object: Value::Null, ..delete(&profile("x")) };
    assert_eq!(denial(&nameless, &peers), message, "the request names it too");
}

#[test]
fn a_deprecated_field_is_warned_of_when_it_appears() {
    let peer = peer("a", &json!({"disableMP": true}));
    assert_eq!(verdict(&create(&peer), &[]).warnings, [MP]);
    assert!(verdict(&update(&peer), &[]).warnings.is_empty());
}

#[test]
fn annotations_of_ours_are_judged_and_unknown_ones_warned_of() {
    let mut candidate = peer("a", &json!({}));
    candidate["metadata"]["annotations"] = json!({"ferrolb.io/rolle": "peer", "example.com/role": "x"});
    let mut stored = peer("b", &json!({"peerAddress": "10.0.0.2"}));
    stored["metadata"]["annotations"] = json!({"ferrolb.io/other": ""});
    let warned = verdict(&create(&candidate), &[stored]);
    assert!(warned.allowed);
    assert_eq!(warned.warnings, ["annotation ferrolb.io/rolle means nothing here"]);
    candidate["metadata"]["annotations"] = json!({"ferrolb.io/role": "boss"});
    let why = "parsing peer a annotation ferrolb.io/role is \"boss\", which is none of provider, customer, peer, rs-server and rs-client";
    assert_eq!(verdict(&update(&candidate), &[]).message, why);
}

#[test]
fn what_cannot_be_read_is_a_bad_request() {
    for (case, object, message) in [
        ("a duration", peer("a", &json!({"holdTime": "1d"})), "time: unknown unit \"d\" in duration \"1d\""),
        ("no duration", peer("a", &json!({"holdTime": ""})), "time: invalid duration \"\""),
        (
            "a type",
            pool("a", &[]).tap("spec", json!({"addresses": 5})),
            "spec.addresses: invalid type: integer `5`, expected a sequence",
        ),
    ] {
        for question in [create(&object), update(&object)] {
            let verdict = verdict(&question, &[]);
            assert_eq!((verdict.allowed, verdict.code, verdict.reason), (false, 400, ""), "{case}");
            assert_eq!(verdict.message, message, "{case}");
        }
    }
    let nothing = Question { object: Value::Null, ..create(&pool("a", &[])) };
    assert_eq!(verdict(&nothing, &[]).message, "there is no content to decode");
    let other = Question { kind: Kind::BFDProfile, ..create(&pool("a", &[])) };
    assert_eq!(
        verdict(&other, &[]).message,
        "unable to decode metallb.io/v1beta1, Kind=IPAddressPool into BFDProfile"
    );
    let list = Question { object: json!([]), ..create(&pool("a", &[])) };
    assert_eq!(verdict(&list, &[]).code, 400);
}

trait Tap {
    fn tap(self, field: &str, value: Value) -> Value;
}

impl Tap for Value {
    fn tap(mut self, field: &str, value: Value) -> Value {
        self[field] = value;
        self
    }
}

#[test]
fn a_peer_in_its_old_version_is_judged_as_it_is_stored() {
    let mut old = peer("a", &json!({"peerAddress": "x"}));
    old["apiVersion"] = json!("metallb.io/v1beta1");
    assert_eq!(denial(&create(&old), &[]).as_deref(), Some("parsing peer a invalid BGPPeer address \"x\""));
}

#[test]
fn a_list_that_cannot_be_read_lets_nothing_in() {
    let question = |object: &Value| create(object);
    for (question, list, message) in [
        (question(&pool("a", &[])), List::IPAddressPool, "no\nfailed to get existing IPAddressPool objects"),
        (question(&bgp("a", &json!({}))), List::Node, "no\nfailed to get existing Node objects"),
        (
            question(&l2("a", &json!({}))),
            List::L2Advertisement,
            "no\nfailed to get existing v1beta1.L2Advertisement objects",
        ),
        (question(&peer("a", &json!({}))), List::Node, "failed to get existing Node objects: no"),
        (delete(&profile("a")), List::BGPPeer, "failed to get existing BGPPeer objects: no"),
    ] {
        assert!(question.lists().contains(&list));
        assert_eq!(question.denied_for_want_of(list, "no"), Verdict::denied(message.to_owned()));
    }
}

#[test]
fn an_operation_without_an_opinion_is_let_through() {
    let connect = Question { operation: Operation::Other, ..create(&pool("a", &["nonsense"])) };
    assert_eq!(denial(&connect, &[]), None);
}
