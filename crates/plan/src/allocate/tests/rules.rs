//! Taking an address, sharing it, giving it back, and how pools are counted.

use super::*;

const TCP80: &[&str] = &["TCP/80"];
const TCP443: &[&str] = &["TCP/443"];

fn fixture() -> Allocator {
    let team = Some(("team", "metallb"));
    allocator([
        pool("test", &["1.2.3.4/31", "1000::4/127"]),
        pool("test2", &["1.2.4.0/24", "1000::4:0/120"]).avoiding_buggy(),
        pool("test3", &["1.2.5.0/24", "1000::5:0/120"]).avoiding_buggy().pinned(0, &["test-ns1"], None),
        pool("test4", &["1.2.6.0/24", "1000::6:0/120"]).avoiding_buggy().pinned(0, &[], team),
        pool("test5", &["1.2.7.0/24", "1000::7:0/120"]).avoiding_buggy().pinned(20, &["test-ns1"], team),
        pool("test6", &["1.2.8.0/24", "1000::8:0/120"]).avoiding_buggy().pinned(
            20,
            &["test-ns2"],
            Some(("foo", "bar")),
        ),
    ])
}

/// A Service with a sharing key and the application that its local traffic goes to.
fn sharer(name: &str, ports: &[&str], key: &str, backend: &str) -> Service {
    service(name).ports(ports).shares(key).local(backend)
}

/// Each step gives one Service one address; an error leaves the earlier holding as it is.
fn run(allocator: &mut Allocator, steps: &[(Service, &str, &str)]) {
    for (number, (service, address, error)) in steps.iter().enumerate() {
        let before = allocator.held(&service.key).map(|(held, _)| held.to_vec());
        let result = allocator.assign(service, &ips(&[address]));
        let text = result.as_ref().err().map(ToString::to_string).unwrap_or_default();
        assert_eq!(text, *error, "step {number}: {} takes {address}", service.key);
        let now = allocator.held(&service.key).map(|(held, _)| held.to_vec());
        assert_eq!(now, if result.is_ok() { Some(ips(&[address])) } else { before }, "step {number}");
    }
}

#[test]
fn an_exclusive_address_has_one_holder() {
    for [a, b] in [["1.2.3.4", "1.2.3.5"], ["1000::4", "1000::5"]] {
        let mut allocator = fixture();
        let (s1, s2) = (service("s1"), service("s2"));
        run(
            &mut allocator,
            &[
                (s1.clone(), a, ""),
                (s1.clone(), a, ""),
                (
                    s2.clone(),
                    a,
                    r#"can't change sharing key for "default/s2", address also in use by default/s1"#,
                ),
                (s2.clone(), b, ""),
                (
                    s1.clone(),
                    b,
                    r#"can't change sharing key for "default/s1", address also in use by default/s2"#,
                ),
            ],
        );
        assert!(allocator.remove(&s1.key));
        assert!(!allocator.remove(&s1.key), "giving back is idempotent");
        run(&mut allocator, &[(s2, a, ""), (s1, b, "")]);
    }
}

#[test]
fn an_address_is_shared_by_key_backend_and_port() {
    for [free, shared] in [["1.2.4.254", "1.2.4.3"], ["1000::4:ff", "1000::4:3"]] {
        let mut allocator = fixture();
        let taken = |service: &str, by: &str| {
            format!("can't change sharing key for {service:?}, address also in use by {by}")
        };
        let s3_refused = taken("default/s3", "default/s4");
        let port_refused = format!("port TCP/80 is already in use on {shared:?}");
        run(
            &mut allocator,
            &[
                (service("s3"), free, ""),
                (sharer("s4", TCP80, "sharing", "backend"), shared, ""),
                // The only holder may change its key in place.
                (sharer("s4", TCP80, "share", "backend"), shared, ""),
                (sharer("s3", TCP80, "share", "backend"), shared, &port_refused),
                (sharer("s3", TCP443, "othershare", "backend"), shared, &s3_refused),
                (sharer("s3", TCP443, "share", "otherbackend"), shared, &s3_refused),
                (sharer("s3", TCP443, "share", "backend"), shared, ""),
                (sharer("s3", &["UDP/53"], "share", "backend"), shared, ""),
                (sharer("s3", TCP443, "othershare", "backend"), shared, &s3_refused),
                (sharer("s3", TCP443, "share", "otherbackend"), shared, &s3_refused),
                (sharer("s3", &["TCP/53", "UDP/80"], "share", "backend"), shared, ""),
                (sharer("s4", TCP80, "share", "backend"), free, ""),
            ],
        );
    }
}

#[test]
fn an_address_without_ports_is_still_held() {
    let mut allocator = fixture();
    let refused = r#"can't change sharing key for "default/s2", address also in use by default/s1"#;
    run(&mut allocator, &[(service("s1").ports(&[]), "1.2.3.4", ""), (service("s2"), "1.2.3.4", refused)]);
}

#[test]
fn a_message_names_a_few_holders_and_counts_the_rest() {
    let mut allocator = fixture();
    for number in 10..30 {
        let shares = service(&format!("s{number}")).shares("key").ports(&[&format!("TCP/{number}")]);
        allocator.assign(&shares, &ips(&["1.2.3.4"])).unwrap();
    }
    let text = allocator.assign(&service("x"), &ips(&["1.2.3.4"])).unwrap_err().to_string();
    let named: Vec<String> = (10..26).map(|number| format!("default/s{number}")).collect();
    assert_eq!(
        text,
        format!(
            r#"can't change sharing key for "default/x", address also in use by {} and 4 more"#,
            named.join(",")
        )
    );
}

#[test]
fn an_assignment_obeys_pool_scope_and_family() {
    let team = |service: Service| service.label("team", "metallb");
    let (ns1, ns2, other) =
        (service("a").namespace("test-ns1"), service("b").namespace("test-ns2"), service("c"));
    for (service, addresses, error) in [
        (&other, &["1.2.3.4", "1000::4"][..], ""),
        (&other, &["1000::4", "1.2.3.4"], ""),
        (&other, &["1.2.4.5", "1000::4"], r#"["1.2.4.5" "1000::4"] is not allowed in config"#),
        (&other, &["1.2.4.0"], r#"["1.2.4.0"] is not allowed in config"#),
        (&other, &["1.2.4.255"], r#"["1.2.4.255"] is not allowed in config"#),
        (&other, &["1.2.4.254"], ""),
        (&other, &["1000::4:0"], ""),
        (&other, &["9.9.9.9"], r#"["9.9.9.9"] is not allowed in config"#),
        (&other, &[], "[] is not allowed in config"),
        (&other, &["1.2.3.4", "1.2.3.5"], r#""1.2.3.4" "1.2.3.5" has the same family"#),
        (
            &other,
            &["1.2.3.4", "1000::4", "1000::5"],
            r#"more than two addresses ["1.2.3.4" "1000::4" "1000::5"]"#,
        ),
        (&ns1, &["1.2.5.10"], ""),
        (&other, &["1.2.5.10"], "pool test3 not compatible for ip assignment"),
        (&team(other.clone()), &["1.2.6.10"], ""),
        (&other.clone().label("team", "red"), &["1.2.6.10"], "pool test4 not compatible for ip assignment"),
        (&team(ns1.clone()), &["1.2.7.10"], ""),
        (&team(ns2.clone()), &["1.2.8.10"], "pool test6 not compatible for ip assignment"),
        (&other.clone().label("foo", "bar"), &["1.2.8.10"], "pool test6 not compatible for ip assignment"),
        (&ns2.clone().label("foo", "bar"), &["1.2.8.10"], ""),
    ] {
        let result = fixture().assign(service, &ips(addresses));
        assert_eq!(result.map_or_else(|error| error.to_string(), |()| String::new()), error, "{addresses:?}");
    }
}

#[test]
fn a_set_of_no_namespaces_admits_nobody() {
    let mut nobody = pool("nobody", &["1.2.3.0/24"]).pinned(0, &[], None);
    nobody.scope.as_mut().unwrap().namespaces = Some(BTreeSet::new());
    let mut allocator = allocator([nobody]);
    assert_eq!(
        allocator.allocate_automatically(&service("s"), Families::V4),
        Err(AllocationError::NothingAvailable)
    );
    assert_eq!(
        allocator.assign(&service("s"), &ips(&["1.2.3.4"])),
        Err(AllocationError::OutOfScope { pool: "nobody".to_owned() })
    );
}

/// Two services short of what there is, in every family and both ways of asking.
#[test]
fn pools_are_used_up_to_the_last_address() {
    let named = [
        pool("test", &["1.2.3.4/31", "1.2.3.10/31", "1000::/127", "2000::/127"]),
        pool("roomy", &["10.0.0.0/16", "1000:1::/64"]).manual(),
    ];
    let open =
        [pool("test1", &["1.2.3.4/31", "1000::4/127"]), pool("test2", &["1.2.3.10/31", "1000::10/127"])];
    for (pools, pool, exhausted) in
        [(named, Some("test"), "no available IPs in pool test"), (open, None, "no available IPs")]
    {
        for (families, policy) in [
            (Families::V4, IpFamilyPolicy::SingleStack),
            (Families::V6, IpFamilyPolicy::SingleStack),
            (Families::Dual, REQUIRE),
        ] {
            let mut allocator = allocator(pools.clone());
            let mut take = |service: Service| ask(&mut allocator, pool, families, &service.policy(policy));
            let mut seen = BTreeSet::new();
            for name in ["s1", "s2", "s3", "s4"] {
                let addresses = take(service(name)).unwrap();
                assert_eq!(addresses.len(), if families == Families::Dual { 2 } else { 1 });
                assert!(addresses.into_iter().all(|address| seen.insert(address)), "nobody has it yet");
            }
            // In a named pool the other family may be free, and then the family is what is missing.
            let refused = match (pool, families) {
                (Some(_), Families::V4 | Families::V6) => r#"["<nil>"] is not allowed in config"#,
                _ => exhausted,
            };
            assert_eq!(take(service("s5")), Err(refused.to_owned()));
            assert_eq!(take(service("s6")), Err(refused.to_owned()));

            allocator.remove(&service("s1").key);
            let mut take = |service: Service| ask(&mut allocator, pool, families, &service.policy(policy));
            let first = take(service("s5").shares("share")).unwrap();
            assert!(take(service("s6")).is_err());
            assert!(take(service("s6").shares("share")).is_err(), "the port is taken");
            assert_eq!(take(service("s6").shares("share").ports(TCP443)), Ok(first));
        }
    }
}

/// From a pool by its name, or from any.
fn ask(
    allocator: &mut Allocator,
    pool: Option<&str>,
    families: Families,
    service: &Service,
) -> Result<Vec<IpAddr>, String> {
    let result = match pool {
        Some(pool) => allocator.allocate_from_pool(service, families, pool),
        None => allocator.allocate_automatically(service, families),
    };
    result.map_err(|error| error.to_string())
}

#[test]
fn a_named_pool_gives_what_families_and_policy_allow() {
    let pools = [
        pool("v4", &["1.2.3.0/31"]),
        pool("v6", &["1000::/127"]),
        pool("dual", &["1.2.4.0/31", "1001::/127"]).manual(),
    ];
    let single = IpFamilyPolicy::SingleStack;
    for (pool, families, policy, result) in [
        ("dual", Families::Dual, PREFER, Ok(&["1.2.4.0", "1001::"][..])),
        ("dual", Families::Dual, REQUIRE, Ok(&["1.2.4.0", "1001::"])),
        ("v4", Families::V4, PREFER, Ok(&["1.2.3.0"])),
        ("v6", Families::V6, PREFER, Ok(&["1000::"])),
        ("v4", Families::Dual, PREFER, Ok(&["1.2.3.0"])),
        ("v6", Families::Dual, PREFER, Ok(&["1000::"])),
        ("v6", Families::V4, single, Err(r#"["<nil>"] is not allowed in config"#)),
        ("v4", Families::Dual, REQUIRE, Err("no available IPs in pool v4 for dual IPFamily")),
        ("dual", Families::Dual, single, Err("no available IPs in pool dual for dual IPFamily")),
        ("none", Families::V4, single, Err(r#"unknown pool "none""#)),
    ] {
        let service = service("s").policy(policy);
        let got = allocator(pools.clone()).allocate_from_pool(&service, families, pool);
        let expected = result.map(ips).map_err(str::to_owned);
        assert_eq!(got.map_err(|error| error.to_string()), expected, "{families} {policy:?} from {pool}");
    }
}

#[test]
fn what_a_service_holds_it_is_given_again() {
    let mut allocator = allocator([pool("test", &["1.2.3.4/31", "1000::4/127"])]);
    let s = service("s");
    let held = allocator.allocate_from_pool(&s, Families::V4, "test").unwrap();
    assert_eq!(allocator.allocate_from_pool(&s, Families::V4, "test"), Ok(held.clone()));
    let wrong = allocator.allocate_from_pool(&s, Families::V6, "test").unwrap_err();
    assert_eq!(wrong.to_string(), "IP for wrong family assigned alloc ipv4 service family ipv6");
    assert_eq!(allocator.allocate_automatically(&s, Families::Dual), Ok(held));
}

#[test]
fn buggy_addresses_are_left_out_where_the_pool_says_so() {
    let mut allocator = allocator([
        pool("test", &["1.2.3.0/31"]),
        pool("test2", &["1.2.3.254/31"]),
        pool("test3", &["1.2.4.0/31"]).avoiding_buggy(),
        pool("test4", &["1.2.4.254/31"]).avoiding_buggy(),
    ]);
    let mut take =
        |number: usize| allocator.allocate_automatically(&service(&format!("s{number}")), Families::V4);
    let given: Vec<IpAddr> = (0..6).flat_map(|number| take(number).unwrap()).collect();
    assert_eq!(given, ips(&["1.2.3.0", "1.2.3.1", "1.2.3.254", "1.2.3.255", "1.2.4.1", "1.2.4.254"]));
    assert_eq!(take(6), Err(AllocationError::NothingAvailable));
}

#[test]
fn manual_pools_are_left_out_of_automatic_allocation() {
    for (families, first) in [(Families::V4, "1.2.3.10"), (Families::V6, "1000::10")] {
        let mut allocator = allocator([
            pool("test1", &["1.2.3.4/31", "1000::4/127"]).manual(),
            pool("test2", &["1.2.3.10/31", "1000::10/127"]),
        ]);
        assert_eq!(allocator.allocate_automatically(&service("s1"), families), Ok(ips(&[first])));
        assert!(allocator.allocate_automatically(&service("s2"), families).is_ok());
        assert!(allocator.allocate_automatically(&service("s3"), families).is_err());
    }
}

#[test]
fn an_unused_lower_address_comes_before_one_to_share() {
    let mut allocator = allocator([pool("test", &["1.2.3.0/30"])]);
    let shares = |name: &str, port: &str| service(name).shares("key").ports(&[port]);
    allocator.assign(&shares("s1", "TCP/1"), &ips(&["1.2.3.2"])).unwrap();
    for (name, port, expected) in [
        ("s2", "TCP/2", "1.2.3.0"),
        ("s3", "TCP/3", "1.2.3.0"),
        ("s4", "TCP/2", "1.2.3.1"),
        ("s5", "TCP/2", "1.2.3.2"),
        ("s6", "TCP/1", "1.2.3.0"),
        ("s7", "TCP/2", "1.2.3.3"),
    ] {
        let got = allocator.allocate_automatically(&shares(name, port), Families::V4);
        assert_eq!(got, Ok(ips(&[expected])), "{name}");
    }
}

#[test]
fn a_service_keeps_its_addresses_as_long_as_one_pool_holds_them() {
    let whole = ["1.2.3.0/30", "1000::/126"];
    let mut allocator = allocator([pool("test", &whole)]);
    let (s1, s2) = (service("s1"), service("s2"));
    for (change, pools_now, (of_s1, of_s2)) in [
        ("same", vec![pool("test", &whole)], ("test", "test")),
        ("grown", vec![pool("test", &["1.2.3.0/24", "1000::/120"])], ("test", "test")),
        ("the same again", vec![pool("test", &["1.2.3.0/24", "1000::/120"])], ("test", "test")),
        ("without s1's", vec![pool("test", &["1.2.3.2/31", "1000::/126"])], ("", "test")),
        ("without s2's", vec![pool("test", &["1.2.3.0/30", "1000::2/127"])], ("test", "")),
        ("renamed", vec![pool("test2", &whole)], ("test2", "test2")),
        (
            "split",
            vec![pool("test", &["1.2.3.0/31", "1000::2/127"]), pool("test2", &["1.2.3.2/31", "1000::/127"])],
            ("test", "test2"),
        ),
        ("buggy", vec![pool("test2", &["1.2.3.0/31", "1000::/127"]).avoiding_buggy()], ("", "test2")),
    ] {
        allocator.set_pools(pools([pool("test", &whole)]));
        allocator.assign(&s1, &ips(&["1.2.3.0"])).unwrap();
        allocator.assign(&s2, &ips(&["1000::"])).unwrap();
        allocator.set_pools(pools(pools_now));
        let pool_of = |service: &Service| allocator.held(&service.key).map_or("", |(_, pool)| pool);
        assert_eq!((pool_of(&s1), pool_of(&s2)), (of_s1, of_s2), "{change}");
    }
}

#[test]
fn counters_count_addresses_and_not_services() {
    let mut allocator = allocator([pool("test", &["1.2.3.4/30", "1000::4/126"])]);
    let check = |allocator: &mut Allocator, assigned_v4: i64, has_changed: bool| {
        let expected = Counters {
            capacity: 8,
            capacity_v4: 4,
            capacity_v6: 4,
            assigned_v4,
            assigned_v6: 0,
            available_v4: 4 - assigned_v4,
            available_v6: 4,
        };
        assert_eq!(allocator.counters("test"), Some(expected));
        assert_eq!(allocator.all_counters(), BTreeMap::from([("test".to_owned(), expected)]));
        assert_eq!(allocator.take_changed_pools().len(), usize::from(has_changed));
    };
    check(&mut allocator, 0, true);
    check(&mut allocator, 0, false);
    allocator.assign(&service("s1"), &ips(&["1.2.3.4"])).unwrap();
    check(&mut allocator, 1, true);
    allocator.assign(&service("s1"), &ips(&["1.2.3.4"])).unwrap();
    check(&mut allocator, 1, false);
    allocator.assign(&service("s2"), &ips(&["1.2.3.5"])).unwrap();
    check(&mut allocator, 2, true);
    allocator.remove(&service("s1").key);
    allocator.remove(&service("s2").key);
    check(&mut allocator, 0, true);

    let sharers = ["TCP/1", "TCP/2", "TCP/3"].map(|port| service(port).shares("key").ports(&[port]));
    for sharer in &sharers {
        allocator.assign(sharer, &ips(&["1.2.3.4"])).unwrap();
        check(&mut allocator, 1, true);
    }
    for (sharer, left) in sharers.iter().zip([1, 1, 0]) {
        allocator.remove(&sharer.key);
        check(&mut allocator, left, true);
    }

    allocator.assign(&service("s1"), &ips(&["1.2.3.4"])).unwrap();
    allocator.take_changed_pools();
    allocator.set_pools(BTreeMap::new());
    assert_eq!(allocator.counters("test"), None);
    assert_eq!(allocator.take_changed_pools(), BTreeSet::from(["test".to_owned()]));
    assert_eq!(allocator.held(&service("s1").key), None);
}

#[test]
fn pools_are_preferred_by_positive_priority_then_by_name() {
    let everyone = |name: &str, priority, prefix: &str| pool(name, &[prefix]).pinned(priority, &[], None);
    let here =
        |name: &str, priority, prefix: &str| pool(name, &[prefix]).pinned(priority, &["default"], None);
    let mut allocator = allocator([
        pool("a-open", &["10.0.0.1/32"]),
        everyone("b-zero", 0, "10.0.0.2/32"),
        here("c-negative", -5, "10.0.0.3/32"),
        everyone("d-zero", 0, "10.0.0.4/32"),
        here("e-nine", 9, "10.0.0.5/32"),
        everyone("f-eight", 8, "10.0.0.6/32"),
        here("g-eight", 8, "10.0.0.7/32"),
        here("z-one", 1, "10.0.0.8/32"),
        pool("elsewhere", &["10.0.0.9/32"]).pinned(1, &["other"], None),
        pool("z-open", &["10.0.0.10/32"]),
    ]);
    let mut given = Vec::new();
    while let Ok(addresses) =
        allocator.allocate_automatically(&service(&format!("s{}", given.len())), Families::V4)
    {
        given.extend(addresses);
    }
    let last_octets: Vec<String> =
        given.iter().map(|address| address.to_string().rsplit('.').next().unwrap().to_owned()).collect();
    assert_eq!(last_octets, ["8", "6", "7", "5", "2", "3", "4", "1", "10"]);
}

#[test]
fn two_families_come_from_one_pool() {
    let dual = |service: Service| service.policy(PREFER);
    let v6_first = dual(service("s")).with(|service| service.primary_family = Some(IpFamily::V6));
    let (v4, v6, both) =
        (pool("a", &["1.2.3.0/32"]), pool("b", &["1000::/128"]), pool("c", &["1.2.4.0/32", "1001::/128"]));
    for (case, service, pools, expected) in [
        (
            "a later pool with both",
            dual(service("s")),
            vec![v4.clone(), v6.clone(), both],
            &["1.2.4.0", "1001::"][..],
        ),
        ("the primary family", dual(service("s")), vec![v4.clone(), v6.clone()], &["1.2.3.0"]),
        ("the primary family is IPv6", v6_first.clone(), vec![v4.clone(), v6.clone()], &["1000::"]),
        ("the secondary family", v6_first, vec![v4.clone()], &["1.2.3.0"]),
        ("both are required", service("s").policy(REQUIRE), vec![v4.clone(), v6], &[]),
        ("no policy for two", service("s"), vec![pool("d", &["1.2.3.0/24", "1000::/64"])], &[]),
    ] {
        let got = allocator(pools).allocate_automatically(&service, Families::Dual);
        assert_eq!(got.unwrap_or_default(), ips(expected), "{case}");
    }
}

#[test]
fn the_largest_pools_are_no_different() {
    let mut allocator = allocator([pool("all4", &["0.0.0.0/0"]).avoiding_buggy(), pool("all6", &["::/0"])]);
    let last = ip("ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff");
    allocator.assign(&service("last").shares("key"), &[last]).unwrap();
    for (name, families, expected) in [
        ("a", Families::V4, "0.0.0.1"),
        ("b", Families::V4, "0.0.0.2"),
        ("c", Families::V6, "::"),
        ("d", Families::V6, "::1"),
    ] {
        assert_eq!(allocator.allocate_automatically(&service(name), families), Ok(ips(&[expected])));
    }
    let counters = allocator.counters("all6").unwrap();
    assert_eq!((counters.capacity, counters.available_v6), (i64::MAX, i64::MAX - 3));
    assert!(allocator.remove(&service("last").key));
}

#[test]
fn extreme_input_is_only_input() {
    let nameless = pool("", &["0.0.0.0/0", "::/0", "0.0.0.0/0", "255.255.255.255/32"]).avoiding_buggy();
    let empty = pool("empty", &[]).pinned(i64::MIN, &[""], None);
    let ports: Vec<String> = (-1..5000).map(|number| format!("/{number}")).collect();
    let ports: Vec<&str> = ports.iter().map(String::as_str).collect();
    let busy =
        |name: &str| service(name).namespace("").shares("\n").ports(&ports).cluster(DUAL).policy(PREFER);
    let services = [
        busy(""),
        busy("1").requests("255.255.255.254,ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"),
        busy("2").requests(","),
        busy("3").wants_pool("empty"),
        busy("4").status(&["", "::", "::", "0.0.0.0"]),
        busy("5").with(|service| service.local_traffic_only = true),
        busy("").status(&["0.0.0.1"]),
    ];
    let pools = pools([nameless, empty]);
    let decisions = allocate(&Options::default(), &pools, &services);
    let addresses = |index: usize| decisions[index].addresses.clone();
    assert_eq!(addresses(1), ips(&["255.255.255.254", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"]));
    assert_eq!((addresses(2), addresses(3)), (vec![], vec![]));
    assert!(decisions.iter().all(|decision| !decision.message().is_empty()));
    assert!(allocate(&Options::default(), &pools, &[]).is_empty());
}
