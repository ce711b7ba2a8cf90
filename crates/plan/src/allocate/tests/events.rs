//! Every text that people see, to the letter.

use super::*;

fn fixture() -> BTreeMap<String, Pool> {
    pools([
        pool("default", &["1.2.3.0/30", "1000::/126"]),
        pool("only4", &["2.0.0.0/31"]),
        pool("pinned", &["3.0.0.0/31"]).pinned(1, &["elsewhere"], None),
    ])
}

/// What is said about a Service in a cluster where `taken` holds 1.2.3.3.
fn said(service: Service) -> Vec<String> {
    let taken = super::service("taken").status(&["1.2.3.3"]);
    texts(&allocate(&Options::default(), &fixture(), &[taken, service]).remove(1))
}

#[test]
fn every_event_has_its_text() {
    let s = || service("s");
    let dual = || s().cluster(DUAL).policy(PREFER);
    for (case, service, expected) in [
        ("assigned", s(), &[r#"Normal IPAllocated: Assigned IP ["1.2.3.0"]"#][..]),
        ("two", dual(), &[r#"Normal IPAllocated: Assigned IP ["1.2.3.0" "1000::"]"#]),
        (
            "completed",
            dual().status(&["1.2.3.2"]),
            &[r#"Normal IPAllocated: Assigned additional IP "1000::""#],
        ),
        (
            "not completed",
            dual().status(&["2.0.0.1"]),
            &[
                r#"Normal AdditionalAssignFailed: cannot assign additional IP in PreferDualStack: ["2.0.0.1" "<nil>"] is not allowed in config"#,
            ],
        ),
        (
            "cleared",
            s().status(&["9.9.9.9"]),
            &[
                r#"Normal ClearAssignment: current IP for "default/s" not allowed by config, will attempt for new IP assignment: ["9.9.9.9"] is not allowed in config"#,
                r#"Normal IPAllocated: Assigned IP ["1.2.3.0"]"#,
            ],
        ),
        (
            "cleared, and the request cannot be read",
            s().status(&["9.9.9.9"]).requests("x"),
            &[
                r#"Normal ClearAssignment: current IP for "default/s" not allowed by config, will attempt for new IP assignment: ["9.9.9.9"] is not allowed in config"#,
                r#"Warning LoadBalancerFailed: invalid requested loadbalancer IPs: invalid metallb.io/loadBalancerIPs: "x""#,
            ],
        ),
        (
            "the request cannot be read",
            s().status(&["1.2.3.1"]).requests("1.2.3.1,1.2.3.2"),
            &[
                r#"Warning LoadBalancerFailed: invalid requested loadbalancer IPs: IPFamilyForAddresses: same address family ["1.2.3.1" "1.2.3.2"]"#,
            ],
        ),
        (
            "another request",
            s().status(&["1.2.3.1"]).requests("1.2.3.2"),
            &[r#"Normal IPAllocated: Assigned IP ["1.2.3.2"]"#],
        ),
        (
            "another pool",
            s().status(&["1.2.3.1"]).wants_pool("only4"),
            &[r#"Normal IPAllocated: Assigned IP ["2.0.0.0"]"#],
        ),
        ("kept", s().status(&["1.2.3.1"]).wants_pool("default").requests(" 1.2.3.1 "), &[]),
        (
            "not enough cluster IPs",
            s().policy(REQUIRE).status(&["1.2.3.1"]),
            &[
                "Warning not enough clusterips: Service requires dual stack but not enough clusterips [10.96.0.1]",
            ],
        ),
        (
            "three addresses",
            s().status(&["1.2.3.1", "1.2.3.2", "bla"]),
            &[
                r#"Warning nolbIPsIPFamily: Failed to retrieve LBIPs IPFamily for ["1.2.3.1" "1.2.3.2" "<nil>"]: IPFamilyForAddresses: invalid ips length 3 ["1.2.3.1" "1.2.3.2" "<nil>"]"#,
                r#"Normal IPAllocated: Assigned IP ["1.2.3.0"]"#,
            ],
        ),
        (
            "no family at all",
            s().status(&["bla"]).cluster(&["None"]),
            &[
                r#"Warning nolbIPsIPFamily: Failed to retrieve LBIPs IPFamily for ["<nil>"]: IPFamilyForAddresses: Invalid address ["<nil>"]"#,
                r#"Warning noclusterIPsIPFamily: Failed to retrieve ClusterIPs IPFamily for ["None"] None: IPFamilyForAddresses: Invalid address ["None"]"#,
            ],
        ),
        (
            "deprecated annotations",
            s().annotate("metallb.universe.tf/address-pool", "only4").annotate("metallb.universe.tfx", "y"),
            &[
                r#"Normal IPAllocated: Assigned IP ["2.0.0.0"]"#,
                "Warning deprecatedAnnotation: Service uses deprecated annotation metallb.universe.tf/address-pool",
                "Warning deprecatedAnnotation: Service uses deprecated annotation metallb.universe.tfx",
            ],
        ),
        (
            "deprecated annotations, and nothing changes",
            s().annotate("metallb.universe.tf/address-pool", "only4")
                .annotate(POOL_ANNOTATION, "only4")
                .status(&["2.0.0.1"]),
            &[],
        ),
        (
            "an empty current annotation wins over a deprecated one",
            s().annotate("metallb.universe.tf/address-pool", "only4").wants_pool("").of_type("ClusterIP"),
            &[],
        ),
    ] {
        assert_eq!(said(service), expected, "{case}");
    }
}

#[test]
fn every_failed_allocation_has_its_text() {
    let s = || service("s");
    let dual = || s().cluster(DUAL).policy(REQUIRE);
    for (service, error) in [
        (
            s().requests("1.2.3.3"),
            r#"can't change sharing key for "default/s", address also in use by default/taken"#,
        ),
        (s().wants_pool("nope"), r#"unknown pool "nope""#),
        (s().wants_pool("pinned"), "pool pinned not compatible for ip assignment"),
        (s().cluster(V6).wants_pool("only4"), r#"["<nil>"] is not allowed in config"#),
        (dual().wants_pool("only4"), "no available IPs in pool only4 for dual IPFamily"),
        (s().cluster(DUAL), "no available IPs"),
        (s().requests("8.8.8.8"), r#"["8.8.8.8"] is not allowed in config"#),
        (dual().requests("2.0.0.0,1000::"), r#"["2.0.0.0" "1000::"] is not allowed in config"#),
        (
            s().requests("1000::"),
            r#"requested loadBalancer IP(s) ["1000::"] does not match the ipFamily of the service"#,
        ),
        (
            dual().spec_ip("1.2.3.0"),
            r#"requested loadBalancer IP(s) ["1.2.3.0"] does not match the ipFamily of the service"#,
        ),
        (
            s().requests("1.2.3.0").wants_pool("only4"),
            r#"requested loadBalancer IP(s) ["1.2.3.0"] is not compatible with requested address pool only4"#,
        ),
        (
            s().requests("1.2.3.0").spec_ip("1.2.3.0"),
            "service can not have both metallb.io/loadBalancerIPs and svc.Spec.LoadBalancerIP",
        ),
        (
            s().annotate("metallb.universe.tf/loadBalancerIPs", "1.2.3.0").spec_ip("1.2.3.0"),
            "service can not have both metallb.io/loadBalancerIPs and svc.Spec.LoadBalancerIP",
        ),
        (s().requests("1.2.3.0, 01.2.3.4"), r#"invalid metallb.io/loadBalancerIPs: "1.2.3.0, 01.2.3.4""#),
        (s().requests(" "), r#"invalid metallb.io/loadBalancerIPs: " ""#),
        (s().spec_ip(" 1.2.3.0"), r#"invalid spec.loadBalancerIP " 1.2.3.0""#),
        (
            s().requests("1.2.3.0,1.2.3.1"),
            r#"IPFamilyForAddresses: same address family ["1.2.3.0" "1.2.3.1"]"#,
        ),
        (
            s().requests("1.2.3.0,1000::,1000::1"),
            r#"IPFamilyForAddresses: invalid ips length 3 ["1.2.3.0" "1000::" "1000::1"]"#,
        ),
        (s().cluster(&["None"]), r#"IPFamilyForAddresses: Invalid address ["None"]"#),
        (s().cluster(&["10.0.0.1", "x"]), r#"IPFamilyForAddresses: Invalid address ["10.0.0.1" "x"]"#),
    ] {
        let deprecated = service.annotations.keys().any(|key| key.starts_with("metallb.universe"));
        let expected = format!(r#"Warning AllocationFailed: Failed to allocate IP for "default/s": {error}"#);
        assert_eq!(said(service), [expected], "{deprecated}");
    }
}

#[test]
fn an_exhausted_pool_is_named_if_it_was_named() {
    let pools = pools([pool("one", &["1.2.3.0/32"]).manual()]);
    let services = [service("a").wants_pool("one"), service("b").wants_pool("one"), service("c")];
    let decisions = allocate(&Options::default(), &pools, &services);
    let failed = |service: &str, error: &str| {
        vec![format!("Warning AllocationFailed: Failed to allocate IP for {service:?}: {error}")]
    };
    assert_eq!(texts(&decisions[1]), failed("default/b", "no available IPs in pool one"));
    assert_eq!(texts(&decisions[2]), failed("default/c", "no available IPs"));
}

#[test]
fn every_decision_can_be_read() {
    let s = || service("s");
    let class = |name: &str| s().with(|service| service.load_balancer_class = Some(name.to_owned()));
    for (service, message) in [
        (s(), "1.2.3.0 from pool default"),
        (s().cluster(DUAL).policy(PREFER), "1.2.3.0, 1000:: from pool default"),
        (s().of_type("ClusterIP"), "a Service of type ClusterIP gets no load-balancer address"),
        (class("other"), r#"the Service asks for class "other", and no load-balancer class is handled here"#),
        (s().cluster(&[]), "the Service has no cluster IP, which decides the address family"),
        (s().wants_pool("nope"), r#"Failed to allocate IP for "default/s": unknown pool "nope""#),
    ] {
        let decision = allocate(&Options::default(), &fixture(), &[service]).remove(0);
        assert_eq!(decision.message(), message);
    }
    let no_pools = allocate(&Options::default(), &BTreeMap::new(), &[s()]).remove(0);
    assert_eq!(no_pools.message(), "there is no address pool to allocate from");
    let not_loaded = Allocator::new(Options::default()).converge(&s());
    assert_eq!(not_loaded.message(), "the address pools are not known yet");
}

#[test]
fn what_other_tools_write_beside_an_address_is_no_reason_to_write() {
    let settled = service("s").annotate(POOL_ANNOTATION, "default");
    for (status, is_written) in [
        (&["1.2.3.1"][..], false),
        (&["1.2.3.1", "a.host"], true),
        (&["a.host"], true),
        (&["::ffff:1.2.3.1"], false),
    ] {
        let service = settled.clone().status(status);
        let decision = allocate(&Options::default(), &fixture(), &[service]).remove(0);
        assert_eq!(decision.write.is_some(), is_written, "{status:?}");
    }
    let both =
        settled.status(&["1.2.3.1"]).with(|service| service.ingress[0].hostname = Some("a.host".to_owned()));
    assert!(allocate(&Options::default(), &fixture(), &[both])[0].write.is_some());
}
