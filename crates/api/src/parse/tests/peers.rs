use k8s_openapi::ByteString;
use plan::config::{Password, PeerEndpoint, RemoteAsn, SecretReference, Timers};
use serde_json::json;
use std::time::Duration;

use super::*;
use crate::parse::{Role, Rule};

fn one(changes: &Value) -> Vec<Value> {
    vec![peer("p1", changes)]
}

fn secret(name: &str, secret_type: &str, data: &Value) -> Value {
    json!({
        "kind": "Secret", "metadata": {"name": name, "namespace": NAMESPACE}, "type": secret_type, "stringData": data,
    })
}

#[test]
fn every_rule_for_one_peer_has_its_text() {
    let invalid_selector = json!([{"matchExpressions": [{"key": "", "operator": "invalid"}]}]);
    assert_messages(&[
        ("a sound peer", one(&json!({})), &[]),
        ("no local AS number", one(&json!({"myASN": 0})), &["parsing peer p1 missing local ASN"]),
        (
            "no AS number",
            one(&json!({"peerASN": null})),
            &["parsing peer p1 missing peer ASN and dynamicASN"],
        ),
        (
            "two AS numbers",
            one(&json!({"dynamicASN": "internal"})),
            &["parsing peer p1 both peer ASN and dynamicASN specified"],
        ),
        (
            "an unknown dynamic AS number",
            one(&json!({"peerASN": 0, "dynamicASN": "other"})),
            &["parsing peer p1 invalid dynamicASN other"],
        ),
        (
            "multihop inside one AS",
            one(&json!({"peerASN": 64512, "ebgpMultiHop": true})),
            &["parsing peer p1 invalid ebgp-multihop parameter set for an ibgp peer"],
        ),
        (
            "dynamic internal is not caught",
            one(&json!({"peerASN": null, "dynamicASN": "internal", "ebgpMultiHop": true})),
            &[],
        ),
        (
            "nobody to talk to",
            one(&json!({"peerAddress": null})),
            &["parsing peer p1 peer has no Address or Interface specified"],
        ),
        (
            "two ways to talk",
            one(&json!({"interface": "eth0"})),
            &["parsing peer p1 peer has both Address and Interface specified"],
        ),
        ("an interface", one(&json!({"peerAddress": null, "interface": "eth0"})), &[]),
        (
            "no address",
            one(&json!({"peerAddress": "10.0.0.300"})),
            &[r#"parsing peer p1 invalid BGPPeer address "10.0.0.300""#],
        ),
        (
            "a zone",
            one(&json!({"peerAddress": "fe80::1%eth0"})),
            &[r#"parsing peer p1 invalid BGPPeer address "fe80::1%eth0""#],
        ),
        ("no router id", one(&json!({"routerID": "me"})), &[r#"parsing peer p1 invalid router ID "me""#]),
        ("an IPv6 router id", one(&json!({"routerID": "fd00::1"})), &[]),
        ("no source", one(&json!({"sourceAddress": "x"})), &[r#"parsing peer p1 invalid source IP "x""#]),
        (
            "a selector that cannot be read",
            one(&json!({"nodeSelectors": invalid_selector})),
            &["parsing peer p1 \"invalid\" is not a valid label selector operator\n\
               failed to convert peer p1 node selector"],
        ),
        (
            "a selector twice",
            one(&json!({"nodeSelectors": [{}, {}]})),
            &["parsing peer p1 duplicate definition of nodeSelectors {map[] []}"],
        ),
        (
            "an unknown BFD profile",
            one(&json!({"bfdProfile": "fast"})),
            &["peer p1 referencing non existing bfd profile fast"],
        ),
        (
            "all at once, in order",
            one(&json!({"myASN": 0, "peerASN": 0, "peerAddress": null, "routerID": "x", "bfdProfile": "y"})),
            &[
                "parsing peer p1 missing local ASN",
                "parsing peer p1 missing peer ASN and dynamicASN",
                "parsing peer p1 peer has no Address or Interface specified",
                r#"parsing peer p1 invalid router ID "x""#,
                "peer p1 referencing non existing bfd profile y",
            ],
        ),
    ]);
}

#[test]
fn every_rule_for_timers_has_its_text() {
    let timers = |hold: Option<&str>, keepalive: Option<&str>| {
        one(&json!({"holdTime": hold, "keepaliveTime": keepalive}))
    };
    let hold_text = |text: &str| {
        vec![format!("parsing peer p1 invalid BGPPeer timers: invalid hold time {text:?}: must be 0 or >=3s")]
    };
    let keepalive_text = |keepalive: &str, hold: &str| {
        vec![format!(
            "parsing peer p1 invalid BGPPeer timers: invalid keepaliveTime {keepalive:?}, must be lower than holdTime {hold:?}"
        )]
    };
    for (hold, keepalive, expected) in [
        (Some("1s"), None, hold_text("1s")),
        (Some("2999ms"), None, hold_text("2.999s")),
        (None, Some("500ms"), hold_text("1.5s")),
        (Some("-10s"), None, hold_text("-10s")),
        (Some("-500ms"), Some("-1s"), hold_text("-500ms")),
        (Some("90s"), Some("-5s"), keepalive_text("-5s", "1m30s")),
        (Some("10s"), Some("20s"), keepalive_text("20s", "10s")),
        (Some("0s"), Some("20s"), keepalive_text("20s", "0s")),
        (Some("900ms"), Some("300ms"), vec![]),
        (Some("3s"), Some("3s"), vec![]),
    ] {
        assert_eq!(messages(&timers(hold, keepalive)), expected, "{hold:?} {keepalive:?}");
    }
}

#[test]
fn a_missing_timer_follows_from_the_other() {
    let seconds = |hold, keepalive| {
        Some(Timers { hold: Duration::from_secs(hold), keepalive: Duration::from_secs(keepalive) })
    };
    for (changes, expected) in [
        (json!({}), None),
        (json!({"holdTime": "180s"}), seconds(180, 60)),
        (json!({"keepaliveTime": "60s"}), seconds(180, 60)),
        (json!({"holdTime": "0s", "keepaliveTime": "0s"}), seconds(0, 0)),
    ] {
        assert_eq!(read(&one(&changes)).config.peers["p1"].timers, expected, "{changes}");
    }
}

#[test]
fn a_secret_is_found_by_name_and_must_be_of_the_right_type() {
    let with_secret = |found: Option<Value>| {
        let mut resources = one(&json!({"passwordSecret": {"name": "s", "namespace": "ignored"}}));
        resources.extend(found);
        resources
    };
    assert_messages(&[
        (
            "both ways",
            one(&json!({"password": "p", "passwordSecret": {"name": "s"}})),
            &[
                r#"parsing peer p1 can not have both password and secret ref set in peer config "metallb-system"/"p1""#,
            ],
        ),
        (
            "missing",
            with_secret(None),
            &["parsing peer p1 secret ref not found for peer config \"metallb-system\"/\"p1\"\n\
               failed to parse peer p1 password secret"],
        ),
        (
            "wrong type",
            with_secret(Some(secret("s", "Opaque", &json!({"password": "x"})))),
            &[
                "parsing peer p1 secret type mismatch on \"metallb-system\"/\"s\", type \"kubernetes.io/basic-auth\" is \
               expected \nfailed to parse peer p1 password secret",
            ],
        ),
        (
            "wrong key",
            with_secret(Some(secret("s", "kubernetes.io/basic-auth", &json!({"pass": "x"})))),
            &["parsing peer p1 password not specified in the secret \"metallb-system\"/\"s\"\n\
               failed to parse peer p1 password secret"],
        ),
        ("an empty reference is none", one(&json!({"passwordSecret": {}})), &[]),
    ]);
    let found = secret("s", "kubernetes.io/basic-auth", &json!({"password": "hush"}));
    let reference = SecretReference { name: "s".to_owned(), namespace: "ignored".to_owned() };
    let mut stored = objects(&with_secret(Some(found)));
    let expected = Password::Secret { reference: reference.clone(), value: Some("hush".to_owned()) };
    let view = View::everything(NAMESPACE);
    assert_eq!(parse(stored.clone(), &view).config.peers["p1"].password, expected);

    // As an API server stores it.
    stored.secrets[0].string_data = None;
    stored.secrets[0].data = Some([("password".to_owned(), ByteString(b"hush".to_vec()))].into());
    assert_eq!(parse(stored.clone(), &view).config.peers["p1"].password, expected);

    stored.secrets.clear();
    let view = View { secret_passthrough: true, ..view };
    let passed_on = Password::Secret { reference, value: None };
    assert_eq!(parse(stored, &view).config.peers["p1"].password, passed_on);
}

#[test]
fn a_password_is_never_printed() {
    let config = read(&one(&json!({"password": "hush"}))).config;
    assert_eq!(config.peers["p1"].password, Password::Literal("hush".to_owned()));
    assert!(!format!("{config:?}").contains("hush"));
}

#[test]
fn a_sound_peer_keeps_everything_that_was_said() {
    let parsed = read(&[
        peer(
            "p1",
            &json!({
                "peerASN": null, "dynamicASN": "external", "localASN": 64600, "peerAddress": null, "interface": "eth1",
                "peerPort": 180, "connectTime": "10s", "routerID": "10.0.0.9", "sourceAddress": "fd00::9",
                "bfdProfile": "fast", "enableGracefulRestart": true, "ebgpMultiHop": true, "vrf": "red",
                "dualStackAddressFamily": true,
            }),
        ),
        resource("BFDProfile", "fast", &json!({"receiveInterval": 50, "minimumTtl": 200, "echoMode": true})),
    ]);
    assert_eq!(parsed.problems, []);
    let peer = &parsed.config.peers["p1"];
    assert_eq!(peer.remote_asn, RemoteAsn::External);
    assert_eq!(peer.local_asn, Some(64600));
    assert_eq!(peer.endpoint, PeerEndpoint::Interface("eth1".to_owned()));
    assert_eq!(peer.port, 180);
    assert_eq!(peer.connect_time, Some(Duration::from_secs(10)));
    assert_eq!(peer.router_id, Some("10.0.0.9".parse().unwrap()));
    assert_eq!(peer.source_address, Some("fd00::9".parse().unwrap()));
    assert_eq!(peer.vrf, "red");
    assert!(peer.graceful_restart && peer.ebgp_multi_hop && peer.dual_stack);
    let profile = &parsed.config.bfd_profiles["fast"];
    assert_eq!((profile.receive_interval_ms, profile.transmit_interval_ms), (Some(50), None));
    assert_eq!((profile.minimum_ttl, profile.detect_multiplier), (Some(200), None));
    assert_eq!(read(&one(&json!({"peerPort": null}))).config.peers["p1"].port, 179);
}

#[test]
fn every_rule_for_a_bfd_profile_has_its_text() {
    let profile = |spec: Value| vec![resource("BFDProfile", "b", &spec)];
    assert_messages(&[
        ("sound", profile(json!({"receiveInterval": 10, "detectMultiplier": 255, "minimumTtl": 1})), &[]),
        (
            "all out of bounds, in order",
            profile(json!({
                "receiveInterval": 2, "transmitInterval": 90000, "detectMultiplier": 1, "minimumTtl": 255, "echoInterval": 9,
            })),
            &[
                "parsing bfd profile #1: invalid value 1, must be in 2-255 range\ninvalid detect multiplier value",
                "parsing bfd profile #1: invalid value 2, must be in 10-60000 range\ninvalid receive interval value",
                "parsing bfd profile #1: invalid value 90000, must be in 10-60000 range\ninvalid transmit interval value",
                "parsing bfd profile #1: invalid value 255, must be in 1-254 range\ninvalid minimum ttl value",
                "parsing bfd profile #1: invalid value 9, must be in 10-60000 range\ninvalid echo interval value",
            ],
        ),
        (
            "counted in name order",
            vec![
                resource("BFDProfile", "b", &json!({"echoInterval": 1})),
                resource("BFDProfile", "a", &json!({})),
            ],
            &[
                "parsing bfd profile #2: invalid value 1, must be in 10-60000 range\ninvalid echo interval value",
            ],
        ),
        (
            "no name",
            vec![resource("BFDProfile", "", &json!({}))],
            &["parsing bfd profile #1: missing bfd profile name"],
        ),
        (
            "twice",
            vec![resource("BFDProfile", "b", &json!({})), resource("BFDProfile", "b", &json!({}))],
            &["found duplicate bfd profile name b"],
        ),
    ]);
}

#[test]
fn peers_on_one_node_must_go_together() {
    let on = |name: &str| json!([{"matchLabels": {"name": name}}]);
    let (n1, n2) = (node("n1", &json!({"name": "n1"})), node("n2", &json!({"name": "n2"})));
    let router_ids = "peer  has RouterID different from 10.0.0.9, in FRR mode peers selecting the same node must all have \
        the same RouterID";
    assert_messages(&[
        (
            "router ids differ, one is not set",
            vec![peer("a", &json!({"routerID": "10.0.0.9"})), peer("b", &json!({"peerAddress": "10.0.0.2"}))],
            &[router_ids],
        ),
        (
            "one address twice",
            vec![peer("a", &json!({})), peer("b", &json!({"peerPort": 180}))],
            &[
                "peer 10.0.0.1 already exists, FRR mode doesn't support duplicate BGPPeers selecting the same node",
            ],
        ),
        (
            "one address in two spellings",
            vec![
                peer("a", &json!({"peerAddress": "fd00::1"})),
                peer("b", &json!({"peerAddress": "fd00:0::1"})),
            ],
            &[
                "peer fd00:0::1 already exists, FRR mode doesn't support duplicate BGPPeers selecting the same node",
            ],
        ),
        (
            "one interface twice in one VRF",
            vec![
                peer("a", &json!({"peerAddress": null, "interface": "eth0", "vrf": "red"})),
                peer("b", &json!({"peerAddress": null, "interface": "eth0", "vrf": "red"})),
            ],
            &[
                "peer eth0-red already exists, FRR mode doesn't support duplicate BGPPeers selecting the same node",
            ],
        ),
        ("one address in two VRFs", vec![peer("a", &json!({})), peer("b", &json!({"vrf": "red"}))], &[]),
        (
            "two AS numbers of ours",
            vec![peer("a", &json!({})), peer("b", &json!({"peerAddress": "10.0.0.2", "myASN": 64999}))],
            &[
                "peer 10.0.0.2 has myAsn different from 10.0.0.1, in FRR mode peers selecting the same node must have the \
               same myAsn within the same VRF",
            ],
        ),
        (
            "two AS numbers of ours in two VRFs",
            vec![peer("a", &json!({})), peer("b", &json!({"myASN": 64999, "vrf": "red"}))],
            &[],
        ),
        (
            "no known nodes: they might meet",
            vec![
                peer("a", &json!({"nodeSelectors": on("n1")})),
                peer("b", &json!({"nodeSelectors": on("n2")})),
            ],
            &[
                "peer 10.0.0.1 already exists, FRR mode doesn't support duplicate BGPPeers selecting the same node",
            ],
        ),
        (
            "on different nodes",
            vec![
                n1.clone(),
                n2.clone(),
                peer("a", &json!({"nodeSelectors": on("n1")})),
                peer("b", &json!({"nodeSelectors": on("n2")})),
            ],
            &[],
        ),
        (
            "they meet on one of two nodes",
            vec![
                n1.clone(),
                n2.clone(),
                peer("a", &json!({"nodeSelectors": on("n1")})),
                peer(
                    "b",
                    &json!({"nodeSelectors": [{"matchLabels": {"name": "n2"}}, {"matchLabels": {"name": "n1"}}]}),
                ),
            ],
            &[
                "peer 10.0.0.1 already exists, FRR mode doesn't support duplicate BGPPeers selecting the same node",
            ],
        ),
        (
            "a selector that cannot be read is found first, and said once",
            vec![
                n1,
                resource("BFDProfile", "f", &json!({"echoInterval": 1})),
                peer("a", &json!({})),
                peer(
                    "b",
                    &json!({
                        "peerAddress": "10.0.0.2", "nodeSelectors": [{"matchExpressions": [{"key": "k", "operator": "invalid"}]}],
                    }),
                ),
            ],
            &[
                "\"invalid\" is not a valid label selector operator\ninvalid label selector {map[] [{k invalid []}]}",
                "parsing bfd profile #1: invalid value 1, must be in 10-60000 range\ninvalid echo interval value",
            ],
        ),
    ]);
}

#[test]
fn a_speaker_sees_the_peers_of_its_own_node_alone() {
    let resources = [
        node("n1", &json!({"name": "n1"})),
        node("n2", &json!({"name": "n2"})),
        peer("a", &json!({"nodeSelectors": [{"matchLabels": {"name": "n1"}}], "peerAddress": "nonsense"})),
        peer("b", &json!({"nodeSelectors": [{"matchLabels": {"name": "n2"}}]})),
        peer("c", &json!({"peerAddress": "10.0.0.3"})),
    ];
    let seen_by = |node: &str| {
        let role = Role::Speaker { node: node.to_owned() };
        parse(objects(&resources), &View { role, ..View::everything(NAMESPACE) })
    };
    let n1 = seen_by("n1");
    assert_eq!(n1.problems[0].to_string(), r#"parsing peer a invalid BGPPeer address "nonsense""#);
    let n2 = seen_by("n2");
    assert_eq!(n2.problems, []);
    assert_eq!(n2.config.peers.keys().collect::<Vec<_>>(), ["b", "c"]);

    let broken = [
        node("n1", &json!({})),
        peer("a", &json!({"nodeSelectors": [{"matchExpressions": [{"key": "", "operator": "invalid"}]}]})),
    ];
    let role = Role::Speaker { node: "n1".to_owned() };
    let parsed = parse(objects(&broken), &View { role, ..View::everything(NAMESPACE) });
    let texts: Vec<String> = parsed.problems.iter().map(ToString::to_string).collect();
    assert_eq!(
        texts,
        [
            "\"invalid\" is not a valid label selector operator\ninvalid label selector {map[] [{ invalid []}]}"
        ]
    );
}

#[test]
fn what_goes_away_by_itself_can_be_told_from_what_does_not() {
    let resources = [
        peer("a", &json!({"passwordSecret": {"name": "s"}})),
        peer("b", &json!({"peerAddress": "10.0.0.2", "bfdProfile": "fast"})),
        peer("c", &json!({"peerAddress": "10.0.0.3", "routerID": "x"})),
        pool("p", &["10.0.0.0/24"]),
        resource("BGPAdvertisement", "a", &json!({"communities": ["alias", "1:99999"]})),
    ];
    let problems = read(&resources).problems;
    let transient: Vec<&Rule> = problems.iter().filter(|it| it.is_transient()).map(|it| &it.rule).collect();
    assert!(matches!(
        transient[..],
        [Rule::Peer { .. }, Rule::UnknownBfdProfile { .. }, Rule::AdvertisedCommunity { .. }]
    ));
}
