use serde_json::json;

use super::super::Role;
use super::*;

/// Each as `Kind name field: text`.
fn warnings(resources: &[Value]) -> Vec<String> {
    lines(read(resources))
}

fn lines(parsed: Parsed) -> Vec<String> {
    let line =
        |it: super::super::Remark| format!("{} {} {}: {it}", it.subject.kind, it.subject.name, it.field);
    parsed.warnings.into_iter().map(line).collect()
}

#[test]
fn what_is_allowed_and_most_likely_not_meant_is_said() {
    let bgp = |spec: &Value| resource("BGPAdvertisement", "a", spec);
    let everywhere = resource("L2Advertisement", "l2", &json!({}));
    let p = pool("p", &["10.0.0.0/24"]);
    for (case, resources, expected) in [
        (
            "a pool that nothing announces",
            vec![p.clone()],
            vec![
                "IPAddressPool p metadata.name: pool p is selected by no L2Advertisement and no BGPAdvertisement: its \
                  addresses are assigned but never announced",
            ],
        ),
        ("an announced pool", vec![p.clone(), everywhere.clone()], vec![]),
        (
            "an advertisement of pools that are not there",
            vec![
                p.clone(),
                everywhere.clone(),
                resource("L2Advertisement", "a", &json!({"ipAddressPools": ["q"]})),
            ],
            vec![
                r#"L2Advertisement a spec.ipAddressPools[0]: IPAddressPool "q" does not exist"#,
                "L2Advertisement a spec: L2Advertisement a selects no IPAddressPool: it announces nothing",
            ],
        ),
        (
            "an advertisement on no node, and a peer on none",
            vec![
                p.clone(),
                everywhere.clone(),
                node("n1", &json!({})),
                bgp(&json!({"nodeSelectors": [{"matchLabels": {"x": "y"}}]})),
                peer("p1", &json!({"nodeSelectors": [{"matchLabels": {"x": "y"}}]})),
            ],
            vec![
                "BGPAdvertisement a spec.nodeSelectors: BGPAdvertisement a selects no node: it announces nothing",
                "BGPPeer p1 spec.nodeSelectors: peer p1 selects no node: its session is never established",
            ],
        ),
        (
            "an advertisement to nobody",
            vec![p.clone(), bgp(&json!({"peers": ["x"]}))],
            vec![
                r#"BGPAdvertisement a spec.peers[0]: BGPPeer "x" does not exist"#,
                "BGPAdvertisement a spec.peers: BGPAdvertisement a is for none of the peers there are: it announces nothing",
            ],
        ),
        (
            "a deprecated field, an odd router id, an unused profile",
            vec![
                peer("p1", &json!({"disableMP": true, "routerID": "fd00::1"})),
                resource("BFDProfile", "b", &json!({})),
            ],
            vec![
                r#"BGPPeer p1 spec.routerID: router ID "fd00::1" is an IPv6 address, which cannot identify a router: the default is used"#,
                "BGPPeer p1 spec.disableMP: disable mp is deprecated and has no effect since it's the default behavior now",
                "BFDProfile b metadata.name: BFDProfile b is used by no BGPPeer",
            ],
        ),
        (
            "a pool for nobody with a priority below none",
            vec![
                everywhere,
                resource(
                    "IPAddressPool",
                    "p",
                    &json!({
                        "addresses": ["10.0.0.0/24"],
                        "serviceAllocation": {"priority": -1, "namespaceSelectors": [{"matchLabels": {"x": "y"}}]},
                    }),
                ),
            ],
            vec![
                "IPAddressPool p spec.serviceAllocation.namespaceSelectors: pool p admits no namespace, because its \
                 namespaceSelectors match none: no Service can use it",
                "IPAddressPool p spec.serviceAllocation.priority: negative priority -1 has no meaning: it is taken for no \
                 priority",
            ],
        ),
    ] {
        assert_eq!(warnings(&resources), expected, "{case}");
    }
}

#[test]
fn what_only_another_node_sees_is_not_missing() {
    let resources = [
        node("n1", &json!({"rack": "a"})),
        node("n2", &json!({"rack": "b"})),
        pool("p", &["10.0.0.0/24"]),
        resource("BFDProfile", "fast", &json!({})),
        peer("p1", &json!({"nodeSelectors": [{"matchLabels": {"rack": "a"}}], "bfdProfile": "fast"})),
        resource("BGPAdvertisement", "a", &json!({"peers": ["p1"]})),
    ];
    for node in ["n1", "n2"] {
        let role = Role::Speaker { node: node.to_owned() };
        let parsed = parse(objects(&resources), &View { role, ..View::everything(NAMESPACE) });
        assert_eq!(lines(parsed), [""; 0], "{node}");
    }
}
