use super::*;
use serde_json::json;

fn ranges(dual_stack: bool) -> Ranges {
    let ipv4 = Network::new("10.96.0.0".parse().unwrap(), 16).unwrap();
    let ipv6 = Network::new("fd00:96::".parse().unwrap(), 112).unwrap();
    let networks = if dual_stack { vec![ipv4, ipv6] } else { vec![ipv4] };
    Ranges { networks, node_ports: 30000..=32767 }
}

fn service(spec: &Value) -> Value {
    json!({"metadata": {"name": "a", "namespace": "b", "resourceVersion": "1"}, "spec": spec})
}

fn create(spec: &Value, dual_stack: bool) -> Result<Value, String> {
    let mut object = service(spec);
    let outcome = prepare_create(&mut object, &mut Allocations::default(), &ranges(dual_stack));
    outcome.map(|_| object).map_err(|refusal| refusal.to_string())
}

/// Creates a Service in a cluster with two families, and merges a change into it.
fn change(spec: &Value, changes: &[(&str, Value)]) -> (Value, Result<Value, String>) {
    let mut allocations = Allocations::default();
    let mut old = service(spec);
    let _ = prepare_create(&mut old, &mut allocations, &ranges(true)).unwrap();
    let mut new = old.clone();
    for (field, value) in changes {
        new["spec"][field] = value.clone();
    }
    let outcome = prepare_update(&mut new, &old, &mut allocations, &ranges(true));
    (old, outcome.map(|_| new).map_err(|refusal| refusal.to_string()))
}

#[test]
fn a_load_balancer_is_completed() {
    let sent = json!({"type": "LoadBalancer", "externalTrafficPolicy": "Local", "ports": [{"port": 80}]});
    let created = create(&sent, false).unwrap();
    let expected = json!({
        "type": "LoadBalancer",
        "clusterIP": "10.96.1.1",
        "clusterIPs": ["10.96.1.1"],
        "ipFamilies": ["IPv4"],
        "ipFamilyPolicy": "SingleStack",
        "ports": [{"port": 80, "targetPort": 80, "protocol": "TCP", "nodePort": 30086}],
        "sessionAffinity": "None",
        "externalTrafficPolicy": "Local",
        "internalTrafficPolicy": "Cluster",
        "healthCheckNodePort": 30087,
        "allocateLoadBalancerNodePorts": true,
    });
    assert_eq!(created["spec"], expected);
    assert_eq!(created["status"], json!({"loadBalancer": {}}));
}

#[test]
fn families_follow_policy_and_addresses() {
    for (dual_stack, fields, families, addresses) in [
        (true, json!({}), json!(["IPv4"]), 1),
        (true, json!({"ipFamilyPolicy": "PreferDualStack"}), json!(["IPv4", "IPv6"]), 2),
        (false, json!({"ipFamilyPolicy": "PreferDualStack"}), json!(["IPv4"]), 1),
        (
            true,
            json!({"ipFamilyPolicy": "RequireDualStack", "ipFamilies": ["IPv6"]}),
            json!(["IPv6", "IPv4"]),
            2,
        ),
        (true, json!({"clusterIP": "fd00:96::5"}), json!(["IPv6"]), 1),
        (false, json!({"clusterIP": "None"}), json!(["IPv4", "IPv6"]), 1),
        (true, json!({"clusterIP": "None", "selector": {"a": "b"}}), json!(["IPv4"]), 1),
    ] {
        let mut spec = fields.clone();
        spec["ports"] = json!([{"port": 80}]);
        let created = create(&spec, dual_stack).unwrap();
        assert_eq!(created["spec"]["ipFamilies"], families, "{fields}");
        assert_eq!(created["spec"]["clusterIPs"].as_array().unwrap().len(), addresses, "{fields}");
    }
}

#[test]
fn what_is_refused_is_named() {
    for (spec, expected) in [
        (json!({}), "spec.ports: Required value"),
        (
            json!({"ports": [{"port": 80, "name": "a"}, {"port": 80}]}),
            r#"spec.ports[1].name: Required value, spec.ports[1]: Duplicate value: {"Name":"","Protocol":"TCP","AppProtocol":null,"Port":80,"TargetPort":0,"NodePort":0}"#,
        ),
        (
            json!({"ports": [{"port": 80, "nodePort": 30001}]}),
            "spec.ports[0].nodePort: Forbidden: may not be used when `type` is 'ClusterIP'",
        ),
        (
            json!({"type": "NodePort", "ports": [{"port": 80, "nodePort": 80}]}),
            "spec.ports[0].nodePort: Invalid value: 80: provided port is not in the valid range. The range of valid ports is 30000-32767",
        ),
        (
            json!({"type": "NodePort", "ports": [{"port": 80, "nodePort": 30001, "name": "a"}, {"port": 81, "nodePort": 30001, "name": "b"}]}),
            "spec.ports[1].nodePort: Invalid value: 30001: provided port is already allocated",
        ),
        (
            json!({"ports": [{"port": 80}], "clusterIP": "10.97.0.1"}),
            r#"spec.clusterIPs: Invalid value: ["10.97.0.1"]: failed to allocate IP 10.97.0.1: the provided network does not match the current range"#,
        ),
        (
            json!({"ports": [{"port": 80}], "ipFamilyPolicy": "RequireDualStack"}),
            r#"spec.ipFamilyPolicy: Invalid value: "RequireDualStack": this cluster is not configured for dual-stack services"#,
        ),
        (
            json!({"ports": [{"port": 80}], "type": "LoadBalancer", "clusterIP": "None"}),
            r#"spec.clusterIPs[0]: Invalid value: "None": may not be set to 'None' for LoadBalancer services"#,
        ),
        (
            json!({"ports": [{"port": 80}], "type": "LoadBalancer", "loadBalancerSourceRanges": ["10.0.0.1/8"]}),
            r#"spec.LoadBalancerSourceRanges[0]: Invalid value: "10.0.0.1/8": must not have bits set beyond the prefix length"#,
        ),
        (
            json!({"ports": [{"port": 80}], "loadBalancerClass": "a"}),
            "spec.loadBalancerClass: Forbidden: may only be used when `type` is 'LoadBalancer'",
        ),
        (
            json!({"ports": [{"port": 80}], "type": "LoadBalancer", "externalTrafficPolicy": "Local", "healthCheckNodePort": 1}),
            "Internal error occurred: failed to allocate requested HealthCheck NodePort 1: provided port is not in the valid range. The range of valid ports is 30000-32767",
        ),
        (
            json!({"ports": [{"port": 80}], "externalIPs": ["127.0.0.1"]}),
            r#"spec.externalIPs[0]: Invalid value: "127.0.0.1": may not be in the loopback range (127.0.0.0/8, ::1/128)"#,
        ),
        (json!({"type": "ExternalName"}), "spec.externalName: Required value"),
    ] {
        assert_eq!(create(&spec, false).unwrap_err(), expected, "{spec}");
    }
}

#[test]
fn a_type_change_clears_what_no_longer_applies() {
    let sent = json!({
        "type": "LoadBalancer", "externalTrafficPolicy": "Local", "loadBalancerClass": "a.io/b",
        "ports": [{"port": 80}], "externalName": "example.com",
    });
    for (kind, gone) in [
        ("NodePort", vec!["healthCheckNodePort", "loadBalancerClass", "allocateLoadBalancerNodePorts"]),
        ("ClusterIP", vec!["externalTrafficPolicy", "loadBalancerClass"]),
        (
            "ExternalName",
            vec!["clusterIP", "clusterIPs", "ipFamilies", "ipFamilyPolicy", "internalTrafficPolicy"],
        ),
    ] {
        let (old, new) = change(&sent, &[("type", json!(kind))]);
        let new = new.unwrap();
        for field in gone {
            assert!(old["spec"].get(field).is_some(), "{kind} {field}");
            assert_eq!(new["spec"].get(field), None, "{kind} {field}");
        }
        assert_eq!(new["spec"]["ports"][0].get("nodePort").is_some(), kind == "NodePort");
    }
}

#[test]
fn what_is_set_may_not_change() {
    let sent = json!({"type": "LoadBalancer", "loadBalancerClass": "a", "ports": [{"port": 80}]});
    for (field, value, expected) in [
        (
            "clusterIP",
            json!("10.96.7.7"),
            r#"spec.clusterIPs[0]: Invalid value: ["10.96.7.7"]: may not change once set"#,
        ),
        (
            "loadBalancerClass",
            json!("b"),
            r#"spec.loadBalancerClass: Invalid value: "b": may not change once set"#,
        ),
        (
            "loadBalancerClass",
            json!(null),
            "spec.loadBalancerClass: Invalid value: null: may not change once set",
        ),
        (
            "ipFamilies",
            json!(["IPv6"]),
            r#"spec.clusterIPs[0]: Invalid value: "10.96.1.1": expected an IPv6 value as indicated by `ipFamilies[0]`"#,
        ),
    ] {
        assert_eq!(change(&sent, &[(field, value)]).1.unwrap_err(), expected);
    }
    for cleared in [json!(""), json!(null)] {
        let (old, new) = change(&sent, &[("clusterIP", cleared)]);
        assert_eq!(new.unwrap()["spec"]["clusterIP"], old["spec"]["clusterIP"]);
    }
}

#[test]
fn a_second_family_comes_and_goes_with_the_policy() {
    let single = json!({"ports": [{"port": 80}]});
    let (_, dual) = change(&single, &[("ipFamilyPolicy", json!("RequireDualStack"))]);
    assert_eq!(dual.unwrap()["spec"]["clusterIPs"], json!(["10.96.1.1", "fd00:96::101"]));

    let dual = json!({"ports": [{"port": 80}], "ipFamilyPolicy": "RequireDualStack"});
    let (_, single) = change(&dual, &[("ipFamilyPolicy", json!("SingleStack"))]);
    assert_eq!(single.unwrap()["spec"]["ipFamilies"], json!(["IPv4"]));
    let (_, refused) = change(&dual, &[("ipFamilies", json!(["IPv4"]))]);
    let expected = r#"spec.ipFamilyPolicy: Invalid value: "RequireDualStack": must be 'SingleStack' to release the secondary IP family"#;
    assert_eq!(refused.unwrap_err(), expected);
}

#[test]
fn what_is_refused_or_undone_or_released_is_free_again() {
    let free = |allocations: &Allocations| *allocations == Allocations::default();
    let mut allocations = Allocations::default();
    let mut refused = service(
        &json!({"type": "NodePort", "ports": [{"port": 80, "nodePort": 30000}], "clusterIP": "10.96.0.9", "sessionAffinity": "X"}),
    );
    prepare_create(&mut refused, &mut allocations, &ranges(false)).unwrap_err();
    assert!(free(&allocations));

    let mut created = service(
        &json!({"type": "NodePort", "ports": [{"port": 80, "nodePort": 30000}], "clusterIP": "10.96.0.9"}),
    );
    let reservation = prepare_create(&mut created, &mut allocations, &ranges(false)).unwrap();
    reservation.undo(&mut allocations);
    assert!(free(&allocations));

    occupy(&created, &mut allocations);
    assert!(!free(&allocations));
    release(&created, &mut allocations);
    assert!(free(&allocations));
}

#[test]
fn a_status_says_how_its_addresses_are_meant() {
    let mut old = service(&json!({"type": "LoadBalancer", "ports": [{"port": 80}]}));
    let _ = prepare_create(&mut old, &mut Allocations::default(), &ranges(false)).unwrap();
    for (ingress, expected) in [
        (json!({"ip": "192.0.2.1"}), Ok(json!({"ip": "192.0.2.1", "ipMode": "VIP"}))),
        (json!({"ip": "192.0.2.1", "ipMode": "Proxy"}), Ok(json!({"ip": "192.0.2.1", "ipMode": "Proxy"}))),
        (
            json!({"ip": "192.0.2.1", "ipMode": "X"}),
            Err(
                r#"status.loadBalancer.ingress[0].ipMode: Unsupported value: "X": supported values: "Proxy", "VIP""#,
            ),
        ),
        (
            json!({"hostname": "a", "ipMode": "VIP"}),
            Err(
                "status.loadBalancer.ingress[0].ipMode: Forbidden: may not be specified when `ip` is not set",
            ),
        ),
        (
            json!({"ip": "x"}),
            Err(
                r#"status.loadBalancer.ingress[0].ip: Invalid value: "x": must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)"#,
            ),
        ),
        (
            json!({"hostname": "192.0.2.1"}),
            Err(
                r#"status.loadBalancer.ingress[0].hostname: Invalid value: "192.0.2.1": must be a DNS name, not an IP address"#,
            ),
        ),
    ] {
        let mut new = old.clone();
        new["status"]["loadBalancer"]["ingress"] = json!([ingress]);
        let outcome = prepare_status_update(&mut new, &old).map_err(|refusal| refusal.to_string());
        let stored = outcome.map(|()| new["status"]["loadBalancer"]["ingress"][0].clone());
        assert_eq!(stored, expected.map_err(ToOwned::to_owned));
    }
}
