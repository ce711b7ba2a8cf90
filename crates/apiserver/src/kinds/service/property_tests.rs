//! Whatever is sent, a Service is stored or refused, and preparing it again changes nothing.

use super::*;
use proptest::prelude::*;
use serde_json::json;

proptest! {
    #[test]
    fn anything_is_prepared_or_refused(new in service(), old in service()) {
        let mut allocations = Allocations::default();
        let _ = prepare_create(&mut new.clone(), &mut allocations, &ranges());
        let _ = prepare_update(&mut new.clone(), &old, &mut allocations, &ranges());
        let _ = prepare_status_update(&mut new.clone(), &old);
        let _ = validate(&new, Some(&old));
        occupy(&new, &mut allocations);
        release(&old, &mut allocations);
    }

    #[test]
    fn a_prepared_service_is_prepared(mut object in likely_service()) {
        let mut allocations = Allocations::default();
        prop_assume!(prepare_create(&mut object, &mut allocations, &ranges()).is_ok());
        prop_assert_eq!(validate(&object, None), Ok(()));

        let mut again = object.clone();
        prop_assert!(prepare_create(&mut again, &mut Allocations::default(), &ranges()).is_ok());
        prop_assert_eq!(&again, &object);

        let before = allocations.clone();
        prop_assert!(prepare_update(&mut again, &object, &mut allocations, &ranges()).is_ok());
        prop_assert_eq!(&again, &object);
        prop_assert_eq!(&allocations, &before);
        release(&object, &mut allocations);
        let mut held = before.clone();
        release(&object, &mut held);
        prop_assert_eq!(held, allocations);
    }
}

fn ranges() -> Ranges {
    let networks =
        ["10.96.0.0", "fd00:96::"].map(|address| Network::new(address.parse().unwrap(), 28).unwrap());
    Ranges { networks: networks.to_vec(), node_ports: 30000..=30003 }
}

fn service() -> impl Strategy<Value = Value> {
    let metadata = json!({"name": "a", "namespace": "b", "resourceVersion": "1"});
    let fields = prop::collection::btree_map(field(), prop_oneof![9 => plausible(), 1 => anything()], 0..9);
    let spec = fields.prop_map(|fields| Value::Object(fields.into_iter().collect()));
    (spec, anything(), ports()).prop_map(move |(mut spec, status, ports)| {
        if let Some(ports) = ports {
            spec["ports"] = ports;
        }
        json!({"metadata": metadata, "spec": spec, "status": status})
    })
}

/// Values that go together more often than not.
fn likely_service() -> impl Strategy<Value = Value> {
    let fields = [
        ("type", json!("NodePort")),
        ("type", json!("LoadBalancer")),
        ("type", json!("ExternalName")),
        ("externalName", json!("example.com")),
        ("ipFamilyPolicy", json!("PreferDualStack")),
        ("ipFamilyPolicy", json!("RequireDualStack")),
        ("ipFamilies", json!(["IPv6"])),
        ("clusterIP", json!("None")),
        ("clusterIP", json!("fd00:96::3")),
        ("externalTrafficPolicy", json!("Local")),
        ("loadBalancerClass", json!("a")),
        ("allocateLoadBalancerNodePorts", json!(false)),
        ("selector", json!({"a": "b"})),
        ("sessionAffinity", json!("ClientIP")),
        ("externalIPs", json!(["192.0.2.1"])),
    ];
    let metadata = json!({"name": "a", "namespace": "b", "resourceVersion": "1"});
    let chosen = prop::collection::vec(prop::sample::select(fields.to_vec()), 0..5);
    chosen.prop_map(move |chosen| {
        let spec: serde_json::Map<_, _> =
            chosen.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
        let mut object = json!({"metadata": metadata, "spec": spec});
        object["spec"]["ports"] =
            json!([{"port": 80, "name": "a"}, {"port": 80, "name": "b", "protocol": "UDP"}]);
        object
    })
}

fn ports() -> impl Strategy<Value = Option<Value>> {
    let port = (1..4u16, prop::sample::select(vec![0, 0, 30000, 30001])).prop_map(
        |(port, node_port)| json!({"port": port, "name": format!("p{port}"), "nodePort": node_port}),
    );
    prop::option::weighted(0.9, prop::collection::vec(port, 1..3).prop_map(Value::from))
}

fn field() -> impl Strategy<Value = String> {
    let fields = [
        "type",
        "clusterIP",
        "clusterIPs",
        "ipFamilies",
        "ipFamilyPolicy",
        "externalTrafficPolicy",
        "healthCheckNodePort",
        "externalName",
        "selector",
        "loadBalancerClass",
        "externalIPs",
    ];
    prop::sample::select(fields.to_vec()).prop_map(ToOwned::to_owned)
}

fn plausible() -> impl Strategy<Value = Value> {
    prop::sample::select(vec![
        json!("NodePort"),
        json!("LoadBalancer"),
        json!("ExternalName"),
        json!("None"),
        json!("10.96.0.3"),
        json!(["10.96.0.3"]),
        json!(["IPv6"]),
        json!("PreferDualStack"),
        json!("Local"),
        json!("a"),
        json!(null),
        json!(""),
        json!([]),
        json!({}),
        json!(30002),
        json!(["fd00:96::3", "10.96.0.3"]),
        json!("010.1.1.1"),
    ])
}

fn anything() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        ".{0,8}".prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 16, 4, |inner| {
        let key = prop::sample::select(vec!["ports", "loadBalancer", "ingress", "ip", "clientIP", "x"]);
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map(key, inner, 0..4).prop_map(|fields| {
                fields.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
            }),
        ]
    })
}
