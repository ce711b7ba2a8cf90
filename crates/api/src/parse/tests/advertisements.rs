use serde_json::json;

use super::*;

fn l2(name: &str, spec: &Value) -> Value {
    resource("L2Advertisement", name, spec)
}

fn bgp(name: &str, spec: &Value) -> Value {
    resource("BGPAdvertisement", name, spec)
}

fn with_pool(advertisement: Value) -> Vec<Value> {
    vec![pool("p", &["1.1.1.0/24"]), advertisement]
}

fn invalid() -> Value {
    json!([{"matchExpressions": [{"key": "k", "operator": "invalid"}]}])
}

const OPERATOR: &str = "\"invalid\" is not a valid label selector operator";
const SELECTOR: &str = "{map[] [{k invalid []}]}";

#[test]
fn every_rule_for_a_layer_2_advertisement_has_its_text() {
    let node_text =
        format!("{OPERATOR}\ninvalid label selector {SELECTOR}\nfailed to parse node selector for a");
    let service_text =
        format!("invalid service selector {SELECTOR}: {OPERATOR}\nfailed to parse service selector for a");
    let preferred_text = format!(
        "{OPERATOR}\ninvalid preferred node selector {SELECTOR}\nfailed to parse preferred node selectors for a"
    );
    let pool_text = format!("{OPERATOR}\ninvalid label selector {SELECTOR}");
    assert_messages(&[
        ("sound", with_pool(l2("a", &json!({"ipAddressPools": ["p", "missing"]}))), &[]),
        (
            "everything twice, in order",
            with_pool(l2(
                "a",
                &json!({
                    "serviceSelectors": [{}, {}], "nodeSelectors": [{}, {}], "ipAddressPoolSelectors": [{}, {}],
                    "ipAddressPools": ["p", "p"],
                }),
            )),
            &[
                r#"duplicate definition of ipAddressPools "p""#,
                "duplicate definition of ipAddressPoolSelectors {map[] []}",
                "duplicate definition of nodeSelectors {map[] []}",
                "duplicate definition of serviceSelectors {map[] []}",
            ],
        ),
        (
            "every selector unreadable, in order",
            with_pool(l2(
                "a",
                &json!({
                    "nodeSelectors": invalid(), "serviceSelectors": invalid(), "ipAddressPoolSelectors": invalid(),
                    "preferredNodeSelectors": [{"weight": 1, "preference": invalid()[0]}],
                }),
            )),
            &[&node_text, &service_text, &preferred_text, &pool_text],
        ),
        (
            "preferences may be said twice",
            with_pool(l2(
                "a",
                &json!({"preferredNodeSelectors": [{"weight": 1, "preference": {}}, {"weight": 1, "preference": {}}]}),
            )),
            &[],
        ),
    ]);
}

#[test]
fn every_rule_for_a_bgp_advertisement_has_its_text() {
    let node_text =
        format!("{OPERATOR}\ninvalid label selector {SELECTOR}\nfailed to parse node selector for a");
    let service_text =
        format!("invalid service selector {SELECTOR}: {OPERATOR}\nfailed to parse service selector for a");
    let pool_text = format!("{OPERATOR}\ninvalid label selector {SELECTOR}");
    assert_messages(&[
        ("sound", with_pool(bgp("a", &json!({"communities": ["1:2", "large:1:2:3"]}))), &[]),
        (
            "everything twice, in order",
            with_pool(bgp(
                "a",
                &json!({
                    "serviceSelectors": [{}, {}], "nodeSelectors": [{}, {}], "ipAddressPoolSelectors": [{}, {}],
                    "peers": ["x", "x"], "communities": ["1:2", "1:2"], "ipAddressPools": ["p", "p"],
                }),
            )),
            &[
                r#"duplicate definition of ipAddressPools "p""#,
                r#"duplicate definition of community "1:2""#,
                r#"duplicate definition of peers "x""#,
                "duplicate definition of ipAddressPoolSelectors {map[] []}",
                "duplicate definition of nodeSelectors {map[] []}",
                "duplicate definition of serviceSelectors {map[] []}",
            ],
        ),
        (
            "aggregation of selected services",
            with_pool(bgp(
                "a",
                &json!({"serviceSelectors": [{}], "aggregationLength": 24, "aggregationLengthV6": 64}),
            )),
            &[
                "serviceSelectors and aggregationLength are mutually exclusive, both cannot be set in a",
                "serviceSelectors and aggregationLengthV6 are mutually exclusive, both cannot be set in a",
            ],
        ),
        (
            "explicit defaults are no aggregation",
            with_pool(bgp(
                "a",
                &json!({"serviceSelectors": [{}], "aggregationLength": 32, "aggregationLengthV6": 128}),
            )),
            &[],
        ),
        (
            "lengths that no address has",
            with_pool(bgp("a", &json!({"aggregationLength": 34, "aggregationLengthV6": 129}))),
            &["invalid aggregation length 34 for IPv4", "invalid aggregation length 129 for IPv6"],
        ),
        (
            "every selector unreadable, in order",
            with_pool(bgp(
                "a",
                &json!({
                    "nodeSelectors": invalid(), "serviceSelectors": invalid(), "ipAddressPoolSelectors": invalid(),
                }),
            )),
            &[&node_text, &service_text, &pool_text],
        ),
        (
            "communities",
            with_pool(bgp("a", &json!({"communities": ["my-alias", "1234", "large:1:2:x"]}))),
            &[
                "invalid community format: my-alias\ninvalid community \"my-alias\" in BGP advertisement",
                "invalid community format: 1234\ninvalid community \"1234\" in BGP advertisement",
                "invalid community value: invalid section \"x\" of community \"large:1:2:x\", err: \
                 \"strconv.ParseUint: parsing \\\"x\\\": invalid syntax\"\n\
                 invalid community \"large:1:2:x\" in BGP advertisement",
            ],
        ),
    ]);
}

#[test]
fn an_aggregate_is_at_least_as_specific_as_the_pool() {
    let with = |addresses: &[&str], spec: Value| messages(&[pool("p", addresses), bgp("a", &spec)]);
    let text = |length: i32, prefix: u8, addresses: &str| {
        vec![format!(
            "invalid aggregation length {length}: prefix {prefix} in this pool is more specific than the aggregation \
             length for addresses {addresses}"
        )]
    };
    for (addresses, spec, expected) in [
        (&["1.1.1.0/28"][..], json!({"aggregationLength": 26}), text(26, 28, "1.1.1.0/28")),
        (&["3.3.3.2-3.3.3.254"], json!({"aggregationLength": 26}), vec![]),
        (&["3.3.3.2-3.3.3.254"], json!({"aggregationLength": 24}), text(24, 26, "3.3.3.2-3.3.3.254")),
        // The length in the text is the IPv4 one, whichever does not fit.
        (&["fd00::/64"], json!({"aggregationLengthV6": 48}), text(32, 64, "fd00::/64")),
        (&["1.1.0.0/16", "fd00::/64"], json!({"aggregationLength": 24}), vec![]),
        (&["::ffff:1.2.3.0/120"], json!({}), vec![]),
    ] {
        assert_eq!(with(addresses, spec.clone()), expected, "{addresses:?} {spec}");
    }
}

#[test]
fn one_route_has_one_local_preference() {
    let (n1, n2) = (node("n1", &json!({"name": "n1"})), node("n2", &json!({"name": "n2"})));
    let on = |name: &str| json!([{"matchLabels": {"name": name}}]);
    let clash = "invalid local preference 200: local preferernce 100 was already set for the same type of BGP update. Check \
        existing BGP advertisements with common pools and aggregation lengths";
    let pools = [
        ("v4", pool("p", &["1.1.1.0/24"])),
        ("v6", pool("p", &["fd00::/64"])),
        ("dual", pool("p", &["1.1.1.0/24", "fd00::/64"])),
    ];
    for (case, family, first, second, clashes) in [
        ("the same nodes and peers", "v4", json!({}), json!({}), true),
        ("other lengths", "v4", json!({"aggregationLength": 28}), json!({}), false),
        ("only the other family's length differs", "v4", json!({"aggregationLengthV6": 96}), json!({}), true),
        ("other lengths", "v6", json!({"aggregationLengthV6": 96}), json!({}), false),
        (
            "in a dual pool one length is not enough",
            "dual",
            json!({"aggregationLength": 28}),
            json!({}),
            true,
        ),
        (
            "in a dual pool both lengths are",
            "dual",
            json!({"aggregationLength": 28, "aggregationLengthV6": 96}),
            json!({}),
            false,
        ),
        ("other peers", "v4", json!({"peers": ["x"]}), json!({"peers": ["y"]}), false),
        ("all peers are other peers too", "v4", json!({"peers": ["x"]}), json!({}), true),
        ("other nodes", "v4", json!({"nodeSelectors": on("n1")}), json!({"nodeSelectors": on("n2")}), false),
        ("some nodes in common", "v4", json!({"nodeSelectors": on("n1")}), json!({}), true),
        ("selected services are judged later", "v4", json!({"serviceSelectors": [{}]}), json!({}), false),
    ] {
        let pool = pools.iter().find(|(name, _)| *name == family).map(|(_, pool)| pool.clone()).unwrap();
        let with_preference = |name: &str, spec: &Value, preference: u32| {
            let mut spec = spec.clone();
            spec["localPref"] = preference.into();
            bgp(name, &spec)
        };
        let advertisements = [with_preference("a", &first, 100), with_preference("b", &second, 200)];
        let mut resources = vec![pool, n1.clone(), n2.clone()];
        resources.extend(advertisements.clone());
        let expected: &[&str] = if clashes { &[clash] } else { &[] };
        assert_eq!(messages(&resources), expected, "{case} ({family})");

        // Without nodes there is no node on which the two could meet.
        let mut nodeless = resources.clone();
        nodeless.retain(|resource| resource["kind"] != "Node");
        assert_eq!(messages(&nodeless), [""; 0], "{case} ({family}), no nodes");
    }
}

#[test]
fn bfd_echo_and_ipv6_do_not_go_together() {
    let resources = |pool_addresses: &[&str], peers: Value| {
        vec![
            pool("p", pool_addresses),
            bgp("a", &json!({"peers": peers})),
            peer("x", &json!({"bfdProfile": "echo"})),
            peer("y", &json!({"peerAddress": "10.0.0.2"})),
            resource("BFDProfile", "echo", &json!({"echoMode": true})),
        ]
    };
    let text = "pool p has bgpadvertisement a which references peer x which has bfd echo enabled, which is not possible";
    assert_messages(&[
        ("to all peers", resources(&["1.1.1.0/24", "fd00::/64"], json!([])), &[text]),
        ("to this peer", resources(&["fd00::/64"], json!(["x"])), &[text]),
        ("to another peer", resources(&["fd00::/64"], json!(["y", "missing"])), &[]),
        ("IPv4 alone", resources(&["1.1.1.0/24"], json!([])), &[]),
    ]);
}

#[test]
fn advertisements_find_their_pools() {
    let resources = |advertisement: Value| {
        vec![
            labelled("IPAddressPool", "a", &json!({"tier": "front"}), &json!({"addresses": ["10.0.0.0/24"]})),
            labelled("IPAddressPool", "b", &json!({"tier": "back"}), &json!({"addresses": ["10.0.1.0/24"]})),
            pool("c", &["10.0.2.0/24"]),
            advertisement,
        ]
    };
    let front = json!([{"matchLabels": {"tier": "front"}}]);
    for (spec, expected) in [
        (json!({}), &["a", "b", "c"][..]),
        (json!({"ipAddressPools": ["c", "missing"]}), &["c"]),
        (json!({"ipAddressPoolSelectors": front}), &["a"]),
        (json!({"ipAddressPools": ["b"], "ipAddressPoolSelectors": front}), &["a", "b"]),
        (json!({"ipAddressPools": ["a"], "ipAddressPoolSelectors": front}), &["a"]),
        (json!({"ipAddressPoolSelectors": [{"matchLabels": {"tier": "none"}}]}), &[]),
    ] {
        for advertisement in [l2("x", &spec), bgp("x", &spec)] {
            let parsed = read(&resources(advertisement));
            assert_eq!(parsed.problems, []);
            let reached = parsed.config.pools.values().flat_map(|pool| {
                let count = pool.l2_advertisements.len() + pool.bgp_advertisements.len();
                std::iter::repeat_n(pool.name.as_str(), count)
            });
            assert_eq!(reached.collect::<Vec<_>>(), expected, "{spec}");
        }
    }
}

#[test]
fn an_l2_advertisement_that_says_nothing_new_is_left_out() {
    let base = json!({"interfaces": ["eth0", "eth1"], "serviceSelectors": [{"matchLabels": {"app": "web"}}]});
    let preferring = json!([{"weight": 1, "preference": {}}]);
    for (case, other, count) in [
        ("the same in another order", json!({"interfaces": ["eth1", "eth0"]}), 1),
        ("other interfaces", json!({"interfaces": ["eth0"]}), 2),
        ("all interfaces", json!({"interfaces": []}), 2),
        ("other services", json!({"serviceSelectors": [{}]}), 2),
        ("other nodes", json!({"nodeSelectors": [{"matchLabels": {"name": "n1"}}]}), 2),
        ("a preference", json!({"preferredNodeSelectors": preferring}), 2),
    ] {
        let mut spec = base.clone();
        for (field, value) in other.as_object().unwrap() {
            spec[field] = value.clone();
        }
        let resources = [
            node("n1", &json!({"name": "n1"})),
            node("n2", &json!({})),
            pool("p", &["10.0.0.0/24"]),
            l2("a", &base),
            l2("b", &spec),
        ];
        assert_eq!(read(&resources).config.pools["p"].l2_advertisements.len(), count, "{case}");
    }
}

#[test]
fn preferences_add_up_over_the_nodes_that_may_announce() {
    let resources = [
        node("n1", &json!({"ssd": "yes", "zone": "a"})),
        node("n2", &json!({"zone": "a"})),
        node("n3", &json!({"ssd": "yes", "zone": "b"})),
        node("n4", &json!({"zone": "c"})),
        pool("p", &["10.0.0.0/24"]),
        l2(
            "a",
            &json!({
                "nodeSelectors": [{"matchExpressions": [{"key": "zone", "operator": "In", "values": ["a", "c"]}]}],
                "preferredNodeSelectors": [
                    {"weight": 10, "preference": {"matchLabels": {"ssd": "yes"}}},
                    {"weight": 5, "preference": {"matchLabels": {"zone": "a"}}},
                ],
            }),
        ),
    ];
    let config = read(&resources).config;
    let advertisement = &config.pools["p"].l2_advertisements[0];
    assert_eq!(advertisement.nodes.iter().collect::<Vec<_>>(), ["n1", "n2", "n4"]);
    let scores: Vec<(&str, i64)> =
        advertisement.preferred_nodes.iter().map(|(name, score)| (name.as_str(), *score)).collect();
    assert_eq!(scores, [("n1", 15), ("n2", 5)]);
}

#[test]
fn an_alias_is_looked_up_before_a_community_is_read() {
    let resources = [
        pool("p", &["10.0.0.0/24"]),
        resource("Community", "c", &json!({"communities": [{"name": "1:2", "value": "3:4"}]})),
        bgp("a", &json!({"communities": ["1:2"]})),
    ];
    let config = read(&resources).config;
    let communities: Vec<String> =
        config.pools["p"].bgp_advertisements[0].communities.iter().map(ToString::to_string).collect();
    assert_eq!(communities, ["3:4"]);
}
