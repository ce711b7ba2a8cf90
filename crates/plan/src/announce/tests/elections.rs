//! Who answers: endpoints, nodes, advertisements and preferences, mostly between two nodes.

use super::*;

const BOTH: [&str; 2] = ["iris1", "iris2"];
const OWNED: &str = "";
const NOT_OWNER: &str = "notOwner";
const NO_ADVERTISEMENT: &str = "noMatchingAdvertisement";

/// What both nodes say of one Service.
fn of_both(cluster: &Cluster, service: &Service, serving: &Serving) -> [&'static str; 2] {
    let found = reasons(cluster, service, serving, &BOTH);
    [found[0], found[1]]
}

#[test]
fn endpoints_decide() {
    let cluster = one_pool(&BOTH, vec![advertisement("a", &BOTH)]);
    let one = || service(&["10.20.30.1"]);
    let two = || service(&["10.20.30.2"]);
    // An endpoint that can serve and whose node nobody knows.
    let somewhere = Serving { anywhere: true, nodes: BTreeMap::new() };
    for (case, service, serving, expected) in [
        ("local, on iris1", local(one()), serving(&["iris1"]), [OWNED, NOT_OWNER]),
        ("local, none can serve", local(one()), serving(&[]), [NOT_OWNER, NOT_OWNER]),
        ("local, on both", local(one()), serving(&BOTH), [NOT_OWNER, OWNED]),
        ("local, on both, another address", local(two()), serving(&BOTH), [OWNED, NOT_OWNER]),
        ("local, on iris2", local(two()), serving(&["iris2"]), [NOT_OWNER, OWNED]),
        ("local, on a node that nobody knows", local(one()), serving(&["iris9"]), [NOT_OWNER, NOT_OWNER]),
        ("local, on no node", local(one()), somewhere.clone(), [NOT_OWNER, NOT_OWNER]),
        ("cluster, on iris1", one(), serving(&["iris1"]), [NOT_OWNER, OWNED]),
        ("cluster, on iris1, another address", two(), serving(&["iris1"]), [OWNED, NOT_OWNER]),
        ("cluster, on no node", one(), somewhere, [NOT_OWNER, OWNED]),
        ("cluster, none can serve", one(), serving(&[]), [NOT_OWNER, NOT_OWNER]),
    ] {
        assert_eq!(of_both(&cluster, &service, &serving), expected, "{case}");
    }
}

#[test]
fn advertisements_decide() {
    let ad = |name: &str, nodes: &[&str]| advertisement(name, nodes);
    let one = || service(&["10.20.30.1"]);
    let on_iris1 = || serving(&["iris1"]);
    for (case, advertisements, service, serving, expected) in [
        ("for iris1 only", vec![ad("a", &["iris1"])], one(), on_iris1(), [OWNED, NO_ADVERTISEMENT]),
        (
            "for iris1 only, endpoint there or not",
            vec![ad("a", &["iris1"])],
            one(),
            serving(&["iris2"]),
            [OWNED, NO_ADVERTISEMENT],
        ),
        (
            "one for each, local",
            vec![ad("a", &["iris1"]), ad("b", &["iris2"])],
            local(one()),
            on_iris1(),
            [OWNED, NOT_OWNER],
        ),
        ("for both", vec![ad("a", &BOTH)], one(), on_iris1(), [NOT_OWNER, OWNED]),
        (
            "for the node without endpoint, local",
            vec![ad("a", &["iris2"])],
            local(one()),
            on_iris1(),
            [NO_ADVERTISEMENT, NOT_OWNER],
        ),
        ("none", vec![], one(), on_iris1(), [NO_ADVERTISEMENT, NO_ADVERTISEMENT]),
        (
            "one for other Services, one for a node that is not there",
            vec![ad("a", &BOTH).for_applications(&["bar"]), ad("b", &["ghost"]).for_applications(&["foo"])],
            application("foo", &["10.20.30.1"]),
            on_iris1(),
            [NO_ADVERTISEMENT, NO_ADVERTISEMENT],
        ),
    ] {
        assert_eq!(of_both(&one_pool(&BOTH, advertisements), &service, &serving), expected, "{case}");
    }
}

#[test]
fn service_selectors_decide() {
    let of = |apps: &[&str]| advertisement("a", &BOTH).for_applications(apps);
    let each = vec![
        advertisement("a", &["iris1"]).for_applications(&["foo"]),
        advertisement("b", &["iris2"]).for_applications(&["bar"]),
    ];
    for (case, advertisements, app, expected) in [
        ("no selector", vec![of(&[])], "foo", [NOT_OWNER, OWNED]),
        ("one that matches", vec![of(&["foo"])], "foo", [NOT_OWNER, OWNED]),
        ("one that does not", vec![of(&["bar"])], "foo", [NO_ADVERTISEMENT, NO_ADVERTISEMENT]),
        ("one of several", vec![of(&["bar", "foo"])], "foo", [NOT_OWNER, OWNED]),
        ("one for each, of iris1", each.clone(), "foo", [OWNED, NO_ADVERTISEMENT]),
        ("one for each, of iris2", each, "bar", [NO_ADVERTISEMENT, OWNED]),
    ] {
        let cluster = one_pool(&BOTH, advertisements);
        let service = application(app, &["10.20.30.1"]);
        assert_eq!(of_both(&cluster, &service, &serving(&["iris1"])), expected, "{case}");
    }
}

#[test]
fn a_shared_address_and_service_selectors_exclude_each_other() {
    const SHARED: &str = "sharedIPWithServiceSelector";
    const CURRENT: &str = "metallb.io/allow-shared-ip";
    const DEPRECATED: &str = "metallb.universe.tf/allow-shared-ip";
    let plain = || advertisement("a", &BOTH);
    let selective = |app: &str| advertisement("b", &BOTH).for_applications(&[app]);
    for (case, advertisements, annotation, expected) in [
        ("selective", vec![selective("foo")], CURRENT, [SHARED, SHARED]),
        ("selective, deprecated key", vec![selective("foo")], DEPRECATED, [SHARED, SHARED]),
        ("selective, not annotated", vec![selective("foo")], "other", [NOT_OWNER, OWNED]),
        ("plain", vec![plain()], CURRENT, [NOT_OWNER, OWNED]),
        ("both", vec![plain(), selective("foo")], CURRENT, [SHARED, SHARED]),
        ("both, the selective one for others", vec![plain(), selective("bar")], CURRENT, [NOT_OWNER, OWNED]),
    ] {
        let mut service = application("foo", &["10.20.30.1"]);
        service.annotations.insert(annotation.to_owned(), String::new());
        let found = of_both(&one_pool(&BOTH, advertisements), &service, &serving(&["iris1"]));
        assert_eq!(found, expected, "{case}");
    }
}

#[test]
fn a_node_that_takes_no_traffic_from_outside_is_no_candidate() {
    type Change = fn(&mut Node);
    let label: Change = |node| node.labels = labels(&[(EXCLUDE_LABEL, "false")]);
    let condition: Change = |node| node.network_unavailable = true;
    let drain: Change = |node| node.is_draining = true;
    let (either, ignored) = (false, true);
    for (change, ignore_exclude_label, changed, expected) in [
        (label, either, &[][..], [NOT_OWNER, OWNED]),
        (label, either, &["iris2"], [OWNED, NOT_OWNER]),
        (label, either, &["iris1"], [NOT_OWNER, OWNED]),
        (label, either, &["iris1", "iris2"], [NOT_OWNER, NOT_OWNER]),
        (label, ignored, &["iris1", "iris2"], [NOT_OWNER, OWNED]),
        (condition, either, &["iris2"], [OWNED, NOT_OWNER]),
        (condition, ignored, &["iris2"], [OWNED, NOT_OWNER]),
        (drain, ignored, &["iris2"], [OWNED, NOT_OWNER]),
    ] {
        for alive in [Alive::Everyone, Alive::These(set(&BOTH))] {
            let plain = one_pool(&BOTH, vec![advertisement("a", &BOTH)]);
            let mut nodes = (**plain.nodes()).clone();
            for name in changed {
                change(nodes.get_mut(*name).unwrap());
            }
            let options = Options { ignore_exclude_label, ..Options::default() };
            let cluster = Cluster::new(plain.config().clone(), Arc::new(nodes), alive, options);
            let found = of_both(&cluster, &service(&["10.20.30.1"]), &serving(&["iris1"]));
            assert_eq!(found, expected, "{changed:?} {ignore_exclude_label}");
        }
    }
}

#[test]
fn every_address_of_a_network_has_one_owner_and_both_nodes_own_some() {
    let cluster = one_pool(&BOTH, vec![advertisement("a", &BOTH)]);
    let mut owned = [0, 0];
    for last in 0..=255 {
        let service = service(&[&format!("10.20.30.{last}")]);
        let of_one_endpoint = of_both(&cluster, &service, &serving(&["iris1"]));
        // Another Service with this address and its endpoints elsewhere goes to the same node.
        assert_eq!(of_both(&cluster, &service, &serving(&["iris2"])), of_one_endpoint, "{last}");
        let owner = of_one_endpoint.iter().position(|reason| *reason == OWNED).unwrap();
        assert_eq!(of_one_endpoint[1 - owner], NOT_OWNER, "{last}");
        owned[owner] += 1;
    }
    assert!(owned[0] > 50 && owned[1] > 50, "{owned:?}");
}

#[test]
fn interfaces_are_those_of_the_advertisements_for_service_and_node() {
    let (all, none): (&[&str], &[&str]) = (&[], &[]);
    let ad = |name: &str, nodes: &[&str], interfaces: &[&str]| advertisement(name, nodes).on(interfaces);
    let of_others = || ad("c", &BOTH, &["eth9"]).for_applications(&["bar"]);
    for (case, advertisements, expected) in [
        ("all", vec![ad("a", &BOTH, all)], None),
        ("some", vec![ad("a", &BOTH, &["eth0", "eth1"])], Some(&["eth0", "eth1"][..])),
        ("a union", vec![ad("a", &BOTH, &["eth0"]), ad("b", &BOTH, &["eth1"])], Some(&["eth0", "eth1"])),
        ("all and some", vec![ad("a", &BOTH, &["eth0"]), ad("b", &BOTH, all)], None),
        (
            "each node its own",
            vec![ad("a", &["iris1"], &["eth0"]), ad("b", &["iris2"], &["eth1"])],
            Some(&["eth1"]),
        ),
        (
            "not those of other nodes",
            vec![ad("a", &["iris1"], none), ad("b", &BOTH, &["eth1"])],
            Some(&["eth1"]),
        ),
        ("not those of other Services", vec![ad("a", &BOTH, &["eth0"]), of_others()], Some(&["eth0"])),
    ] {
        let service = application("foo", &["10.20.30.1", "fd00:20::1"]);
        let found = on_node(&one_pool(&BOTH, advertisements), &service, &serving(&["iris1"]), "iris2");
        let interfaces = expected.map_or(Interfaces::All, |names| Interfaces::these(set(names)));
        let expected = ["10.20.30.1", "fd00:20::1"].map(|ip| (ip.parse().unwrap(), interfaces.clone()));
        assert_eq!(found.layer2.unwrap().addresses, expected, "{case}");
    }
}

#[test]
fn each_node_answers_on_the_interfaces_of_its_own_advertisement() {
    let each =
        vec![advertisement("a", &["iris1"]).on(&["eth0"]), advertisement("b", &["iris2"]).on(&["eth1"])];
    for (address, owner, interface) in [("10.20.30.1", "iris2", "eth1"), ("10.20.30.2", "iris1", "eth0")] {
        let found = everywhere(&one_pool(&BOTH, each.clone()), &service(&[address]), &serving(&["iris1"]));
        let owners: Vec<_> =
            found.layer2.iter().filter_map(|(node, it)| Some((&**node, it.as_ref().ok()?))).collect();
        let interfaces = Interfaces::these(set(&[interface]));
        let expected = Layer2 { addresses: vec![(address.parse().unwrap(), interfaces)] };
        assert_eq!(owners, [(owner, &expected)]);
    }
}

#[test]
fn the_first_address_decides_for_all() {
    let cluster = one_pool(&BOTH, vec![advertisement("a", &BOTH)]);
    for (addresses, expected) in [
        (&["10.20.30.1", "fd00:20::1"][..], "iris2"),
        (&["10.20.30.2", "fd00:20::1"], "iris1"),
        (&["fd00:20:0:0::1", "10.20.30.1"], "iris1"),
        (&["::ffff:10.20.30.1"], "iris2"),
    ] {
        let found = owner(&cluster, &service(addresses), &serving(&["iris1"]));
        assert_eq!(found.as_deref(), Some(expected), "{addresses:?}");
    }
}

const FOUR: [&str; 4] = ["edge-a", "edge-b", "worker-a", "worker-b"];

#[test]
fn preferences_add_up_and_order_the_candidates() {
    let ad = |name: &str, weights: &[(&str, i64)]| advertisement(name, &FOUR).preferring(weights);
    let of_others = || ad("c", &[("worker-b", 1000)]).for_applications(&["bar"]);
    for (case, advertisements, expected) in [
        ("none", vec![ad("a", &[])], ["edge-b", "worker-a", "edge-a", "worker-b"]),
        ("one", vec![ad("a", &[("edge-a", 100)])], ["edge-a", "edge-b", "worker-a", "worker-b"]),
        (
            "beside one without",
            vec![ad("a", &[("edge-a", 1)]), ad("b", &[])],
            ["edge-a", "edge-b", "worker-a", "worker-b"],
        ),
        (
            "a sum",
            vec![ad("a", &[("worker-b", 70)]), ad("b", &[("worker-b", 30), ("edge-a", 50)])],
            ["worker-b", "edge-a", "edge-b", "worker-a"],
        ),
        (
            "a sum beats the greater one",
            vec![ad("a", &[("worker-b", 60), ("edge-a", 60)]), ad("b", &[("worker-b", 50)])],
            ["worker-b", "edge-a", "edge-b", "worker-a"],
        ),
        (
            "not of other Services",
            vec![ad("a", &[("edge-a", 100)]), of_others()],
            ["edge-a", "edge-b", "worker-a", "worker-b"],
        ),
    ] {
        let cluster = one_pool(&FOUR, advertisements);
        let found = everywhere(&cluster, &application("foo", &["10.20.30.1"]), &serving(&["edge-a"]));
        let order: Vec<&str> = found.succession.iter().map(|name| &**name).collect();
        assert_eq!(order, expected, "{case}");
    }
}

#[test]
fn a_preference_is_for_candidates_only() {
    let three = ["edge-a", "edge-b", "worker-a"];
    let preferred = || advertisement("a", &three).preferring(&[("edge-a", 100), ("edge-b", 100)]);
    let preferring_one = || advertisement("a", &three).preferring(&[("edge-a", 100)]);
    let all = || serving(&three);
    let one = || service(&["10.20.30.1"]);
    for (case, advertisement, service, serving, alive, expected) in [
        ("all are there", preferred(), one(), all(), &three[..], "edge-b"),
        ("one preferred is gone", preferred(), one(), all(), &["edge-a", "worker-a"], "edge-a"),
        ("all preferred are gone", preferred(), one(), all(), &["worker-a"], "worker-a"),
        (
            "local, not where it is preferred",
            preferring_one(),
            local(one()),
            serving(&["worker-a"]),
            &three,
            "worker-a",
        ),
        (
            "local, where it is preferred",
            preferring_one(),
            local(one()),
            serving(&["worker-a", "edge-a"]),
            &three,
            "edge-a",
        ),
    ] {
        let plain = one_pool(&three, vec![advertisement]);
        let alive = Alive::These(set(alive));
        let cluster = Cluster::new(plain.config().clone(), plain.nodes().clone(), alive, Options::default());
        assert_eq!(owner(&cluster, &service, &serving).as_deref(), Some(expected), "{case}");
    }
}
