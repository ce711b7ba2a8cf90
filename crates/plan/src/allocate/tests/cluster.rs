//! One Service against one controller: whatever happened before, the same Service gets the same result.

use super::*;

fn fixture() -> BTreeMap<String, Pool> {
    let team = Some(("team", "metallb"));
    pools([
        pool("pool1", &["1.2.3.0/31"]),
        pool("pool2", &["3.4.5.6/32"]).manual(),
        pool("pool3", &["1000::/127"]),
        pool("pool4", &["2000::1/128"]).manual(),
        // Overlaps on purpose, which no configuration can.
        pool("pool5", &["1.2.3.0/31", "1000::/127"]),
        pool("pool6", &["7.8.9.0/31"]).pinned(10, &["test-ns1"], None),
        pool("pool7", &["10.11.12.0/31"]).pinned(11, &["test-ns1"], None),
        pool("pool8", &["13.14.15.0/31"]).pinned(9, &[], team),
        pool("pool9", &["16.17.18.0/31"]).pinned(0, &["test-ns2"], None),
        pool("pool10", &["19.20.21.0/31"]).pinned(8, &[], team),
        pool("pool11", &["22.23.24.0/31"]).pinned(8, &["test-ns1"], team),
        pool("pool12", &["25.26.27.0/31"]).pinned(5, &["test-ns1"], team),
    ])
}

/// What becomes of the status.
#[derive(Debug, Clone, Copy)]
enum Expect {
    /// It becomes these addresses; no warning.
    Status(&'static [&'static str]),
    /// It becomes these addresses (none: it is emptied), with a warning.
    Warned(&'static [&'static str]),
    /// Nothing is written, and there is a warning.
    Refused,
    /// Nothing is written or said.
    Nothing,
}
use Expect::*;

/// With `named("x")` every case becomes a Service of its own.
fn cases() -> Vec<(&'static str, Service, Expect)> {
    let s = || service("test");
    let team = |service: Service| service.label("team", "metallb");
    vec![
        ("another type", s().of_type("ClusterIP"), Nothing),
        ("any address", s(), Status(&["1.2.3.0"])),
        ("spec.loadBalancerIP", s().spec_ip("1.2.3.1"), Status(&["1.2.3.1"])),
        ("the annotation", s().requests("1.2.3.1"), Status(&["1.2.3.1"])),
        ("both ways of asking", s().spec_ip("1.2.3.1").requests("1.2.3.1"), Refused),
        ("garbage in the spec", s().spec_ip("please sir may I have an IP"), Refused),
        ("garbage in the annotation", s().requests("please sir may I have an IP"), Refused),
        ("an address of another pool", s().requests("1.2.3.1").wants_pool("pool2"), Refused),
        ("two of one family", s().requests("1.2.3.0,1.2.3.1"), Refused),
        ("asks for a foreign address", s().status(&["1.2.3.1"]).spec_ip("1.2.3.4"), Warned(&[])),
        ("a pool by name", s().wants_pool("pool1"), Status(&["1.2.3.0"])),
        ("changes its pool", s().status(&["1.2.3.0"]).wants_pool("pool2"), Status(&["3.4.5.6"])),
        ("an unknown pool", s().wants_pool("does-not-exist"), Refused),
        ("holds a foreign address", s().status(&["2.3.4.5"]), Status(&["1.2.3.0"])),
        ("a host name in the status", s().status(&["foo.host", "10.10.10.10"]), Status(&["1.2.3.0"])),
        ("was a LoadBalancer before", s().of_type("NodePort").status(&["1.2.3.0"]), Status(&[])),
        ("a manual pool by address", s().spec_ip("3.4.5.6"), Status(&["3.4.5.6"])),
        ("the same, local", s().spec_ip("3.4.5.6").local("app"), Status(&["3.4.5.6"])),
        ("no cluster IP", s().cluster(&[]), Nothing),
        ("v4 asked, v6 is", s().cluster(V6).spec_ip("1.2.3.0"), Refused),
        ("v4 annotated, v6 is", s().cluster(V6).requests("1.2.3.0"), Refused),
        ("v6 asked, v4 is", s().spec_ip("1000::"), Refused),
        ("v6 annotated, v4 is", s().requests("1000::"), Refused),
        ("v6 held, v4 is", s().status(&["1000::"]), Status(&["1.2.3.0"])),
        ("v4 held, v6 is", s().cluster(V6).status(&["1.2.3.0"]), Status(&["1000::"])),
        ("dual required", s().cluster(DUAL).policy(REQUIRE), Status(&["1.2.3.0", "1000::"])),
        (
            "dual required of a pool",
            s().cluster(DUAL).policy(REQUIRE).wants_pool("pool5"),
            Status(&["1.2.3.0", "1000::"]),
        ),
        ("dual preferred", s().cluster(DUAL).policy(PREFER), Status(&["1.2.3.0", "1000::"])),
        ("dual preferred, not had", s().namespace("test-ns1").policy(PREFER), Status(&["7.8.9.0"])),
        ("dual of a v4 pool", s().cluster(DUAL).policy(PREFER).wants_pool("pool1"), Status(&["1.2.3.0"])),
        ("v6 of a v6 pool", s().cluster(V6).policy(PREFER).wants_pool("pool3"), Status(&["1000::"])),
        ("v4 of a dual pool", s().cluster(V4).policy(PREFER).wants_pool("pool5"), Status(&["1.2.3.0"])),
        ("dual required, single is", s().policy(REQUIRE).wants_pool("pool5"), Refused),
        ("one asked, dual is", s().cluster(DUAL).spec_ip("1.2.3.1"), Refused),
        ("one annotated, dual is", s().cluster(DUAL).requests("1.2.3.1"), Refused),
        (
            "both annotated, dual is",
            s().cluster(DUAL).policy(REQUIRE).requests("1.2.3.0, 1000::"),
            Status(&["1.2.3.0", "1000::"]),
        ),
        (
            "dual required, v6 held",
            s().cluster(&["fd96::1", "10.96.0.1"]).policy(REQUIRE).status(&["foo.host", "1000::"]),
            Status(&["1.2.3.0", "1000::"]),
        ),
        (
            "both annotated, single is",
            s().with(|service| service.cluster_ips.clear()).requests("1.2.3.0,1000::"),
            Refused,
        ),
        ("only spec.clusterIP", s().with(|service| service.cluster_ips.clear()), Status(&["1.2.3.0"])),
        ("by namespace, priority 10", s().namespace("test-ns1"), Status(&["7.8.9.0"])),
        ("by namespace, no priority", s().namespace("test-ns2"), Status(&["16.17.18.0"])),
        ("by label, priority 8", team(s()), Status(&["19.20.21.0"])),
        ("by both, priority 5", team(s()).namespace("test-ns1"), Status(&["25.26.27.0"])),
        ("three addresses", s().status(&["1.2.3.0", "1.2.3.1", "1000::"]), Warned(&["1.2.3.0"])),
        ("no address in the status", s().status(&["bla"]), Warned(&["1.2.3.0"])),
    ]
}

fn check(case: &str, service: &Service, decision: &Decision, expect: Expect) {
    let written = decision.write.as_ref().map(|write| write.ingress.clone());
    let (expected, warned) = match expect {
        Status(addresses) => (Some(ips(addresses)), false),
        Warned(addresses) => (Some(ips(addresses)), true),
        Refused => (None, true),
        Nothing => (None, false),
    };
    assert_eq!(written, expected, "{case}");
    assert_eq!(warns(decision), warned, "{case}: {:?}", decision.events);
    assert_eq!(decision.addresses.is_empty(), decision.refusal.is_some(), "{case}");
    assert!(!decision.message().is_empty(), "{case}");
    if let Some(write) = &decision.write {
        assert_eq!(write.pool_annotation, decision.pool, "{case}");
        let after = decision.applied_to(service);
        assert!(!write.changes(&after), "{case}: written once");
    }
}

#[test]
fn a_service_gets_the_same_whatever_happened_before() {
    let mut allocator = Allocator::new(Options::default());
    allocator.set_pools(fixture());
    let mut cases = cases();
    let mut random = 7_u64;
    for _ in 0..100 {
        for last in (1..cases.len()).rev() {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            cases.swap(last, (random >> 33) as usize % (last + 1));
        }
        for (case, service, expect) in &cases {
            let decision = allocator.converge(service);
            check(case, service, &decision, *expect);
            allocator.remove(&service.key);
            assert!(!allocator.remove(&service.key), "{case}: a Service that is gone is nothing to do");
        }
    }
}

/// The same cases, with what is held claimed first, as a start does.
#[test]
fn a_whole_cluster_of_one_gives_the_same() {
    for (case, service, expect) in cases() {
        let decisions = allocate(&Options::default(), &fixture(), std::slice::from_ref(&service));
        check(case, &service, &decisions[0], expect);
        let again = allocate(&Options::default(), &fixture(), &[decisions[0].applied_to(&service)]);
        assert_eq!(
            (&again[0].addresses, &again[0].write),
            (&decisions[0].addresses, &None),
            "{case}: is stable"
        );
    }
}

#[test]
fn only_services_of_the_configured_class_are_handled() {
    for (wanted, ours, handled) in [
        (None, None, true),
        (None, Some("c"), false),
        (Some("c"), None, false),
        (Some(""), None, false),
        (Some("c"), Some("c"), true),
        (Some("d"), Some("c"), false),
    ] {
        let options = Options { load_balancer_class: ours.map(str::to_owned) };
        for original in [service("s"), service("s").of_type("ClusterIP").status(&["1.2.3.0"])] {
            let original = original.with(|service| service.load_balancer_class = wanted.map(str::to_owned));
            assert_eq!(options.handles(&original), handled, "{wanted:?} {ours:?}");
            let decision = allocate(&options, &fixture(), std::slice::from_ref(&original)).remove(0);
            assert_eq!(decision.write.is_some(), handled);
            assert_eq!(matches!(decision.refusal, Some(Refusal::OtherClass { .. })), !handled);
        }
    }
}

#[test]
fn a_held_service_that_is_no_longer_handled_gives_its_address_back() {
    let mut allocator = Allocator::new(Options { load_balancer_class: Some("ours".to_owned()) });
    allocator.set_pools(fixture());
    let mut service = service("s").with(|service| service.load_balancer_class = Some("ours".to_owned()));
    assert!(settle(&mut allocator, &mut service).refusal.is_none());

    let changed = service.of_type("ClusterIP").with(|service| service.load_balancer_class = None);
    let decision = allocator.converge(&changed);
    assert!(decision.world_changed, "others may have it now");
    assert_eq!((decision.write, decision.events, allocator.held(&changed.key)), (None, vec![], None));
    assert!(!allocator.claim(&changed));
}

#[test]
fn decisions_are_in_the_order_of_the_services_and_held_addresses_come_first() {
    let services = [
        service("new"),
        service("other").of_type("ExternalName"),
        service("holds").status(&["1.2.3.0"]),
        service("holds-both").cluster(DUAL).policy(REQUIRE).status(&["1.2.3.1", "1000::"]),
        service("late").status(&["1.2.3.0"]),
    ];
    let decisions = allocate(&Options::default(), &fixture(), &services);
    let addresses: Vec<_> = decisions.iter().map(|decision| decision.addresses.clone()).collect();
    assert_eq!(addresses, [vec![], vec![], ips(&["1.2.3.0"]), ips(&["1.2.3.1", "1000::"]), vec![]]);
    let keys: Vec<_> = decisions.iter().map(|decision| &decision.service).collect();
    assert_eq!(keys, services.iter().map(|service| &service.key).collect::<Vec<_>>());
}

#[test]
fn what_is_freed_on_the_way_reaches_who_waits() {
    let services = [
        service("waits").requests("1.2.3.0"),
        service("leaves").status(&["1.2.3.0"]).wants_pool("pool2"),
        service("shares-later").requests("3.4.5.6").shares("key").ports(&["TCP/2"]),
    ];
    let decisions = allocate(&Options::default(), &fixture(), &services);
    assert_eq!(decisions[0].addresses, ips(&["1.2.3.0"]));
    assert_eq!(decisions[1].addresses, ips(&["3.4.5.6"]));
    assert_eq!(
        texts(&decisions[2]),
        [
            r#"Warning AllocationFailed: Failed to allocate IP for "default/shares-later": can't change sharing key for "default/shares-later", address also in use by default/leaves"#
        ],
        "said once, however often it is tried"
    );
    // The first waits while the second still holds the address, unless the order says otherwise.
    let [first, second, _] = services;
    let decisions = allocate(
        &Options::default(),
        &fixture(),
        &[
            first,
            second.status(&["1.2.3.0", "1.2.3.0"]).wants_pool("pool3"),
            service("x").status(&["1.2.3.1"]),
        ],
    );
    assert_eq!(decisions[0].addresses, ips(&["1.2.3.0"]));
}

#[test]
fn of_two_statuses_with_one_address_the_one_that_stays_counts() {
    let one = pools([pool("one", &["1.2.3.0/32"])]);
    let given = |services: &[Service]| -> Vec<Vec<IpAddr>> {
        allocate(&Options::default(), &one, services).into_iter().map(|decision| decision.addresses).collect()
    };
    let undecided = service("undecided").cluster(&["None"]).status(&["1.2.3.0"]);
    let lost = service("lost").cluster(V6).status(&["a.host", "1.2.3.0"]);
    let waits = service("waits").status(&["9.9.9.8", "9.9.9.9"]);
    assert_eq!(given(&[lost, waits, undecided.clone()]), [vec![], vec![], ips(&["1.2.3.0"])]);

    let kept = service("kept").shares("key").status(&["1.2.3.0"]);
    assert_eq!(given(&[undecided.clone(), kept.clone()]), [vec![], ips(&["1.2.3.0"])]);
    // A controller that was there when the first gave up its key comes to the same.
    let mut allocator = allocator([pool("one", &["1.2.3.0/32"])]);
    allocator.claim_all([&undecided.clone().shares("key").ports(&["TCP/443"]), &kept]);
    let decision = allocator.converge(&undecided);
    assert_eq!((decision.addresses, decision.write, decision.world_changed), (vec![], None, true));
    assert!(allocator.converge(&kept).write.is_some_and(|write| write.ingress == ips(&["1.2.3.0"])));
}

#[test]
fn a_second_family_that_is_freed_later_completes_who_came_first() {
    let pools = pools([pool("dual", &["1.2.3.0/31", "1000::/128"]), pool("other", &["1001::/128"]).manual()]);
    let services = [
        service("first").cluster(DUAL).policy(PREFER).status(&["9.9.9.8", "9.9.9.9"]),
        service("leaves").cluster(V6).status(&["1000::"]).wants_pool("other"),
    ];
    let decisions = allocate(&Options::default(), &pools, &services);
    assert_eq!(decisions[0].addresses, ips(&["1.2.3.0", "1000::"]));
    assert_eq!(decisions[0].write.as_ref().map(|write| &write.ingress), Some(&decisions[0].addresses));
    assert_eq!(decisions[1].addresses, ips(&["1001::"]));
}

#[test]
fn a_service_that_is_listed_twice_comes_to_an_end() {
    let pools = pools([pool("v4", &["1.2.3.0/31"])]);
    let gets_one = service("s").cluster(DUAL).policy(PREFER);
    let gets_none = service("s").requests("8.8.8.8");
    let decisions = allocate(&Options::default(), &pools, &[gets_one, gets_none]);
    assert_eq!(decisions.len(), 2);
}
