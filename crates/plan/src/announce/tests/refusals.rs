//! Every "no", with its word and its sentence.

use super::*;

const BOTH: [&str; 2] = ["iris1", "iris2"];

fn expect(refusal: &Refusal, reason: &str, text: &str) {
    assert_eq!((refusal.reason(), refusal.to_string().as_str()), (reason, text));
}

#[test]
fn a_service_that_is_not_to_be_announced_is_announced_nowhere() {
    type Change = fn(&mut Service);
    let cases: [(Change, &str, &str); 8] = [
        (
            |it| it.service_type = ServiceType::Other("NodePort".to_owned()),
            "notLoadBalancer",
            "a Service of type NodePort has no load-balancer address",
        ),
        (
            |it| it.load_balancer_class = Some("example.com/lb".to_owned()),
            "otherClass",
            "the Service asks for class \"example.com/lb\", and no load-balancer class is handled here",
        ),
        (|it| it.ingress.clear(), "noIPAllocated", "the Service has no address yet"),
        (
            |it| it.ingress[0] = Ingress { ip: None, hostname: Some("lb.example.com".to_owned()) },
            "invalidIP",
            "the status of the Service has \"lb.example.com\", which is not an IP address",
        ),
        (
            |it| it.ingress[0].ip = Some("10.20.30.300".to_owned()),
            "invalidIP",
            "the status of the Service has \"10.20.30.300\", which is not an IP address",
        ),
        (
            |it| it.ingress[0].ip = Some("10.20.31.1".to_owned()),
            "ipNotAllowed",
            "no single address pool has all of 10.20.31.1",
        ),
        (
            |it| it.ingress.extend(service(&["192.0.2.1"]).ingress),
            "ipNotAllowed",
            "no single address pool has all of 10.20.30.1, 192.0.2.1",
        ),
        (
            |it| it.ingress.extend(service(&["fd00:20::ffff"]).ingress),
            "ipNotAllowed",
            "no single address pool has all of 10.20.30.1, fd00:20::ffff",
        ),
    ];
    let first = pool("p", &["10.20.30.0/24", "fd00:20::/120"], vec![advertisement("a", &BOTH)]);
    let second = pool("q", &["192.0.2.0/24"], vec![advertisement("a", &BOTH)]);
    let cluster = cluster(vec![first, second], BOTH.map(node).into(), Alive::Everyone);
    for (change, reason, text) in cases {
        let mut service = service(&["10.20.30.1"]);
        change(&mut service);
        let everywhere = everywhere(&cluster, &service, &serving(&["iris1"]));
        assert_eq!(everywhere.succession, []);
        assert_eq!(everywhere.layer2.len(), 2);
        for (_, layer2) in everywhere.layer2 {
            expect(&layer2.unwrap_err(), reason, text);
        }
    }
}

#[test]
fn the_class_is_the_one_that_is_handled() {
    let plain = one_pool(&BOTH, vec![advertisement("a", &BOTH)]);
    for (wanted, ours, is_handled) in [
        (None, None, true),
        (Some("x"), None, false),
        (None, Some("x"), false),
        (Some("x"), Some("x"), true),
        (Some("y"), Some("x"), false),
    ] {
        let load_balancer_class = ours.map(str::to_owned);
        let options = Options { load_balancer_class, ..Options::default() };
        let cluster = Cluster::new(plain.config().clone(), plain.nodes().clone(), Alive::Everyone, options);
        let service = Service { load_balancer_class: wanted.map(str::to_owned), ..service(&["10.20.30.1"]) };
        let owner = owner(&cluster, &service, &serving(&["iris1"]));
        assert_eq!(owner.is_some(), is_handled, "{wanted:?} {ours:?}");
    }
}

#[test]
fn a_pool_that_leaves_addresses_out_does_not_have_them() {
    let of = |avoid_buggy_ips| {
        let pool = Pool { avoid_buggy_ips, ..pool("p", &["10.20.30.0/24"], vec![advertisement("a", &BOTH)]) };
        cluster(vec![pool], BOTH.map(node).into(), Alive::Everyone)
    };
    for (avoid_buggy_ips, address, is_in_pool) in [
        (true, "10.20.30.0", false),
        (true, "10.20.30.255", false),
        (true, "10.20.30.1", true),
        (false, "10.20.30.0", true),
    ] {
        let found = everywhere(&of(avoid_buggy_ips), &service(&[address]), &serving(&["iris1"]));
        assert_eq!(found.owner().is_some(), is_in_pool, "{avoid_buggy_ips} {address}");
    }
}

#[test]
fn a_node_that_is_no_candidate_says_why() {
    let names = ["dead", "excluded", "idle", "owner", "unavailable", "drained"];
    let mut nodes = names.map(node);
    nodes[1].labels = labels(&[(EXCLUDE_LABEL, "")]);
    nodes[4].network_unavailable = true;
    nodes[5].is_draining = true;
    let with_stranger = ["dead", "drained", "excluded", "gone", "idle", "owner", "unavailable"];
    let pools = || vec![pool("p", &["10.20.30.0/24"], vec![advertisement("a", &with_stranger)])];
    let alive = Alive::These(set(&["drained", "excluded", "idle", "owner", "unavailable"]));
    let with_members = cluster(pools(), nodes.clone().into(), alive);
    let without = cluster(pools(), nodes.into(), Alive::Everyone);
    for (cluster, node, text) in [
        (&with_members, "dead", "no live speaker is known on this node"),
        (&with_members, "gone", "no live speaker is known on this node"),
        (&without, "gone", "this node is not known"),
        (
            &with_members,
            "excluded",
            "this node has the label node.kubernetes.io/exclude-from-external-load-balancers",
        ),
        (&with_members, "drained", "this node is drained, by its annotation ferrolb.io/drain"),
        (&with_members, "unavailable", "the condition NetworkUnavailable of this node is true"),
        (
            &with_members,
            "idle",
            "no endpoint of the Service on this node can serve, and externalTrafficPolicy is Local",
        ),
    ] {
        let found = on_node(cluster, &local(service(&["10.20.30.1"])), &serving(&["owner", "gone"]), node);
        expect(&found.layer2.unwrap_err(), "notOwner", text);
    }
}

#[test]
fn an_alive_speaker_whose_node_is_not_known_is_a_candidate() {
    let pools = vec![pool("p", &["10.20.30.0/24"], vec![advertisement("a", &["ghost"])])];
    let cluster = cluster(pools, Vec::new(), Alive::These(set(&["ghost"])));
    let found = owner(&cluster, &service(&["10.20.30.1"]), &serving(&["iris1"]));
    assert_eq!(found.as_deref(), Some("ghost"));
}

#[test]
fn the_nearest_advertisement_is_named() {
    let text = |rest: &str| format!("no L2Advertisement is for this Service on this node: {rest}");
    let of_iris1 = || advertisement("x", &["iris1"]).for_applications(&["bar"]);
    let of_both = || advertisement("y", &BOTH).for_applications(&["bar"]);
    for (advertisements, rest) in [
        (vec![], "there is none for pool \"p\""),
        (vec![of_iris1(), of_both()], "\"y\" does not select the Service"),
        (vec![of_iris1()], "\"x\" does not select the Service"),
        (vec![of_both(), advertisement("z", &["iris1"])], "\"z\" does not select the node"),
    ] {
        let service = application("foo", &["10.20.30.1"]);
        let found = on_node(&one_pool(&BOTH, advertisements), &service, &serving(&["iris1"]), "iris2");
        expect(&found.layer2.unwrap_err(), "noMatchingAdvertisement", &text(rest));
    }
}

#[test]
fn whoever_is_not_elected_knows_the_owner_and_its_place() {
    let three = ["node-a", "node-b", "node-c"];
    let cluster = one_pool(&three, vec![advertisement("a", &three)]);
    let found = everywhere(&cluster, &service(&["10.20.30.1"]), &serving(&["node-a"]));
    for (rank, name) in found.succession.iter().enumerate().skip(1) {
        let (_, layer2) = found.layer2.iter().find(|(node, _)| node == name).unwrap();
        let owner = found.succession[0].clone();
        assert_eq!(*layer2, Err(Refusal::NotElected { owner, rank }));
    }
    expect(
        &Refusal::NotElected { owner: "node-b".into(), rank: 1 },
        "notOwner",
        "node node-b answers; this one is number 2 in the order of succession",
    );
}

#[test]
fn no_endpoint_comes_before_every_other_reason_of_layer2() {
    let mut shared = application("foo", &["10.20.30.1"]);
    shared.annotations.insert("metallb.io/allow-shared-ip".to_owned(), "key".to_owned());
    let selective = advertisement("a", &["iris1"]).for_applications(&["foo"]);
    let cluster = one_pool(&BOTH, vec![selective]);
    let of = |serving: &Serving| on_node(&cluster, &shared, serving, "iris2").layer2.unwrap_err();
    expect(&of(&serving(&[])), "notOwner", "no endpoint of the Service can serve");
    expect(
        &of(&serving(&["iris1"])),
        "sharedIPWithServiceSelector",
        "the Service shares its address, which excludes advertisements with service selectors like \"a\"",
    );
}

#[test]
fn what_is_announced_nowhere_still_has_its_addresses() {
    let found = on_node(
        &one_pool(&BOTH, vec![]),
        &service(&["10.20.30.1", "fd00:20::1"]),
        &serving(&["iris1"]),
        "iris1",
    );
    let expected: [IpAddr; 2] = ["10.20.30.1", "fd00:20::1"].map(|ip| ip.parse().unwrap());
    assert_eq!(found.addresses, expected);
    assert!(found.layer2.is_err());
}
