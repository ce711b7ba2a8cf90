use serde_json::json;

use super::*;

fn with_allocation(allocation: &Value) -> Vec<Value> {
    vec![resource(
        "IPAddressPool",
        "p",
        &json!({"addresses": ["10.0.0.0/24"], "serviceAllocation": allocation}),
    )]
}

#[test]
fn every_rule_for_one_pool_has_its_text() {
    let invalid = json!([{"matchExpressions": [{"key": "k", "operator": "invalid"}]}]);
    let selector = "{map[] [{k invalid []}]}";
    let spelled_out = "&LabelSelector{MatchLabels:map[string]string{},MatchExpressions:[]LabelSelectorRequirement{\
        LabelSelectorRequirement{Key:k,Operator:invalid,Values:[],},},}";
    let namespace_text = format!(
        "parsing address pool p: \"invalid\" is not a valid label selector operator\n\
         invalid namespace label selector {spelled_out} in ip pool p"
    );
    let service_text = format!(
        "parsing address pool p: \"invalid\" is not a valid label selector operator\n\
         invalid service label selector {selector} in ip pool p"
    );
    assert_messages(&[
        ("sound", vec![pool("p", &["10.20.30.40/24", "fd00::/64", "10.1.0.1 - 10.1.0.9"])], &[]),
        ("no name", vec![pool("", &["10.0.0.0/24"])], &["parsing address pool : missing pool name"]),
        ("no addresses", vec![pool("p", &[])], &["parsing address pool p: pool has no prefixes defined"]),
        (
            "bad addresses",
            vec![pool("p", &["100.200.300.400/24", "10.0.0.0/24", "1.2.3.9-1.2.3.4"])],
            &[
                r#"parsing address pool p: invalid CIDR "100.200.300.400/24" in pool "p": invalid CIDR "100.200.300.400/24""#,
                r#"parsing address pool p: invalid CIDR "1.2.3.9-1.2.3.4" in pool "p": invalid IP range "1.2.3.9-1.2.3.4": start IP "1.2.3.9" is after the end IP "1.2.3.4""#,
            ],
        ),
        (
            "a namespace twice",
            with_allocation(&json!({"namespaces": ["a", "b", "a"]})),
            &["parsing address pool p: duplicate definition in namespaces field"],
        ),
        (
            "selectors twice",
            with_allocation(&json!({"namespaceSelectors": [{}, {}], "serviceSelectors": [{}, {}]})),
            &[
                "parsing address pool p: duplicate definition of namespaceSelectors {map[] []}",
                "parsing address pool p: duplicate definition of serviceSelectors {map[] []}",
            ],
        ),
        (
            "selectors that cannot be read",
            with_allocation(&json!({"namespaceSelectors": invalid, "serviceSelectors": invalid})),
            &[&namespace_text, &service_text],
        ),
    ]);
}

#[test]
fn no_two_pools_overlap_and_none_overlaps_itself() {
    assert_messages(&[
        (
            "a name twice",
            vec![pool("p", &["10.0.0.0/24"]), pool("p", &["10.0.1.0/24"])],
            &[r#"duplicate definition of pool "p""#],
        ),
        (
            "inside one pool",
            vec![pool("p", &["10.0.0.0/24", "10.0.0.128/25"])],
            &[r#"CIDR "10.0.0.128/25" in pool "p" overlaps with already defined CIDR "10.0.0.0/24""#],
        ),
        (
            "the same twice",
            vec![pool("p", &["10.0.0.0/24"]), pool("q", &["10.0.0.0/24"])],
            &[r#"CIDR "10.0.0.0/24" in pool "q" overlaps with already defined CIDR "10.0.0.0/24""#],
        ),
        (
            "a range names the prefix it was cut into",
            vec![pool("a", &["1.1.1.1-1.1.1.100"]), pool("b", &["1.1.1.64/26"])],
            &[r#"CIDR "1.1.1.64/26" in pool "b" overlaps with already defined CIDR "1.1.1.64/27""#],
        ),
        (
            "of many inside, the one that was declared first is named",
            vec![pool("a", &["10.0.2.0/24", "10.0.1.0/24"]), pool("b", &["10.0.0.0/16"])],
            &[r#"CIDR "10.0.0.0/16" in pool "b" overlaps with already defined CIDR "10.0.2.0/24""#],
        ),
        (
            "IPv4 written as IPv6",
            vec![pool("a", &["1.2.3.0/24"]), pool("b", &["::ffff:1.2.3.128/121"])],
            &[r#"CIDR "1.2.3.128/25" in pool "b" overlaps with already defined CIDR "1.2.3.0/24""#],
        ),
        (
            "an address that cannot be read hides no overlap, of its own pool or of the next",
            vec![pool("a", &["x", "1.1.0.0/16", "1.1.1.0/24"]), pool("b", &["1.1.2.0/24"])],
            &[
                r#"parsing address pool a: invalid CIDR "x" in pool "a": invalid CIDR "x""#,
                r#"CIDR "1.1.1.0/24" in pool "a" overlaps with already defined CIDR "1.1.0.0/16""#,
                r#"CIDR "1.1.2.0/24" in pool "b" overlaps with already defined CIDR "1.1.0.0/16""#,
            ],
        ),
        (
            "neighbours do not overlap",
            vec![
                pool("a", &["10.0.0.0/25", "fd00::/65"]),
                pool("b", &["10.0.0.128/25", "fd00:0:0:0:8000::/65"]),
            ],
            &[],
        ),
    ]);
    assert_eq!(fields(&[pool("p", &["10.0.0.0/24", "10.0.0.128/25"])]), ["spec.addresses[1]"]);
}

#[test]
fn a_scope_says_who_may_use_a_pool() {
    let team = |name: &str| json!({"team": name});
    let resources = |allocation: &Value| {
        let mut resources = with_allocation(allocation);
        resources.extend([
            namespace("red-1", &team("red")),
            namespace("red-2", &team("red")),
            namespace("blue", &team("blue")),
        ]);
        resources
    };
    let scope_of = |allocation: Value| read(&resources(&allocation)).config.pools["p"].scope.clone().unwrap();
    let labels = |name: &str| [("team".to_owned(), name.to_owned())].into();
    let nobody = plan::selector::Labels::default();

    let everybody = scope_of(json!({"priority": 7}));
    assert_eq!(everybody.priority, 7);
    assert!(everybody.admits("anywhere", &nobody));

    let by_namespace =
        scope_of(json!({"namespaces": ["x"], "namespaceSelectors": [{"matchLabels": {"team": "red"}}]}));
    let admitted = by_namespace.namespaces.clone().unwrap();
    assert_eq!(admitted.iter().collect::<Vec<_>>(), ["red-1", "red-2", "x"]);
    assert!(!by_namespace.admits("blue", &nobody));

    let by_both =
        scope_of(json!({"namespaces": ["x"], "serviceSelectors": [{"matchLabels": {"team": "red"}}]}));
    assert!(by_both.admits("x", &labels("red")));
    assert!(!by_both.admits("x", &labels("blue")) && !by_both.admits("y", &labels("red")));

    let by_nobody = scope_of(json!({"namespaceSelectors": [{"matchLabels": {"team": "green"}}]}));
    assert!(!by_nobody.admits("red-1", &nobody), "a selector that matches nothing admits nobody");
    assert_eq!(read(&[pool("p", &["10.0.0.0/24"])]).config.pools["p"].scope, None);
}

#[test]
fn every_rule_for_communities_has_its_text() {
    let aliases = |name: &str, pairs: &[(&str, &str)]| {
        let communities: Vec<Value> =
            pairs.iter().map(|(name, value)| json!({"name": name, "value": value})).collect();
        resource("Community", name, &json!({"communities": communities}))
    };
    assert_messages(&[
        ("sound", vec![aliases("c", &[("a", "1:2"), ("b", "large:1:2:3"), ("odd name", "3:4")])], &[]),
        (
            "a bad value",
            vec![aliases("c", &[("a", "1:99999999")])],
            &[
                r#"parsing community "a": invalid community value: invalid section "99999999" of community "1:99999999", err: "strconv.ParseUint: parsing \"99999999\": value out of range""#,
            ],
        ),
        (
            "no value",
            vec![aliases("c", &[("a", "")])],
            &[r#"parsing community "a": invalid community format: "#],
        ),
        (
            "an alias twice in one",
            vec![aliases("c", &[("a", "1:2"), ("a", "1:3")])],
            &[r#"duplicate definition of community "a""#],
        ),
        (
            "an alias twice in two",
            vec![aliases("c", &[("a", "1:2")]), aliases("d", &[("a", "1:2")])],
            &[r#"duplicate definition of community "a""#],
        ),
    ]);
}
