//! The CRDs, compared with the API they have to be: names, versions, columns, and what no schema may say.

use serde_json::{Value, json};

fn crd(kind: &str) -> Value {
    let found = api::crds::all().into_iter().find(|crd| crd["spec"]["names"]["kind"] == kind);
    found.unwrap_or_else(|| panic!("no CRD for {kind}"))
}

/// Calls `visit` with the path of every schema below and including this one.
fn walk(path: &str, schema: &Value, visit: &mut impl FnMut(&str, &Value)) {
    visit(path, schema);
    for (name, property) in schema["properties"].as_object().into_iter().flatten() {
        walk(&format!("{path}.{name}"), property, visit);
    }
    for (key, suffix) in [("items", "[]"), ("additionalProperties", "{}")] {
        if let Some(inner) = schema.get(key) {
            walk(&format!("{path}{suffix}"), inner, visit);
        }
    }
}

fn walk_all(mut visit: impl FnMut(&str, &Value)) {
    for crd in api::crds::all() {
        for version in crd["spec"]["versions"].as_array().unwrap() {
            let root = format!("{} {}", crd["spec"]["names"]["kind"], version["name"]).replace('"', "");
            walk(&root, &version["schema"]["openAPIV3Schema"], &mut visit);
        }
    }
}

#[test]
fn names_and_versions() {
    let found: Vec<_> = api::crds::all().iter().map(summary).collect();
    assert_eq!(
        found,
        [
            "bfdprofiles.metallb.io BFDProfile bfdprofile Namespaced v1beta1*",
            "bgpadvertisements.metallb.io BGPAdvertisement bgpadvertisement Namespaced v1beta1*",
            "bgppeers.metallb.io BGPPeer bgppeer Namespaced v1beta1 v1beta2*",
            "communities.metallb.io Community community Namespaced v1beta1*",
            "configurationstates.metallb.io ConfigurationState configurationstate Namespaced v1beta1* configurationstatus",
            "ipaddresspools.metallb.io IPAddressPool ipaddresspool Namespaced v1beta1*",
            "l2advertisements.metallb.io L2Advertisement l2advertisement Namespaced v1beta1*",
            "servicebgpstatuses.metallb.io ServiceBGPStatus servicebgpstatus Namespaced v1beta1*",
            "servicel2statuses.metallb.io ServiceL2Status servicel2status Namespaced v1beta1*",
            "bgpsessionstates.frrk8s.metallb.io BGPSessionState bgpsessionstate Namespaced v1beta1* bgpsessionstatus",
            "frrconfigurations.frrk8s.metallb.io FRRConfiguration frrconfiguration Namespaced v1beta1*",
            "frrk8sconfigurations.frrk8s.metallb.io FRRK8sConfiguration frrk8sconfiguration Namespaced v1beta1*",
            "frrnodestates.frrk8s.metallb.io FRRNodeState frrnodestate Cluster v1beta1* frrnodestatus",
        ]
    );
}

/// Name, kind, singular, scope, versions (a star for the stored one) and short names.
fn summary(crd: &Value) -> String {
    let spec = &crd["spec"];
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let mut words = vec![
        text(&crd["metadata"]["name"]),
        text(&spec["names"]["kind"]),
        text(&spec["names"]["singular"]),
        text(&spec["scope"]),
    ];
    for version in spec["versions"].as_array().unwrap() {
        assert_eq!(version["served"], true);
        assert_eq!(version["subresources"], json!({ "status": {} }));
        let star = if version["storage"] == true { "*" } else { "" };
        words.push(format!("{}{star}", text(&version["name"])));
    }
    words.extend(spec["names"]["shortNames"].as_array().into_iter().flatten().map(text));
    words.join(" ")
}

#[test]
fn every_manifest_is_complete() {
    for crd in api::crds::all() {
        assert_eq!(crd["apiVersion"], "apiextensions.k8s.io/v1");
        assert_eq!(crd["kind"], "CustomResourceDefinition");
        let names = &crd["spec"]["names"];
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        assert_eq!(text(&names["listKind"]), format!("{}List", text(&names["kind"])));
        assert_eq!(
            crd["metadata"],
            json!({
                "annotations": { "controller-gen.kubebuilder.io/version": "v0.19.0" },
                "name": format!("{}.{}", text(&names["plural"]), text(&crd["spec"]["group"])),
            })
        );
        assert_eq!(names.get("categories"), None);
    }
}

#[test]
fn names_do_not_collide() {
    let mut names = Vec::new();
    for crd in api::crds::all() {
        let spec = &crd["spec"]["names"];
        let short_names = spec["shortNames"].as_array().into_iter().flatten();
        for name in [&spec["plural"], &spec["singular"]].into_iter().chain(short_names) {
            assert!(!names.contains(name), "{name} is used twice");
            names.push(name.clone());
        }
    }
}

#[test]
fn printer_columns() {
    for (kind, expected) in [
        (
            "IPAddressPool",
            "Auto Assign boolean .spec.autoAssign; Avoid Buggy IPs boolean .spec.avoidBuggyIPs; \
             Addresses string .spec.addresses; ",
        ),
        (
            "L2Advertisement",
            "IPAddressPools string .spec.ipAddressPools; \
             IPAddressPool Selectors string .spec.ipAddressPoolSelectors; \
             Interfaces string .spec.interfaces; Node Selectors string .spec.nodeSelectors 10; ",
        ),
        (
            "BGPAdvertisement",
            "IPAddressPools string .spec.ipAddressPools; \
             IPAddressPool Selectors string .spec.ipAddressPoolSelectors; \
             Peers string .spec.peers; Node Selectors string .spec.nodeSelectors 10; ",
        ),
        (
            "BGPPeer",
            "Address string .spec.peerAddress; ASN string .spec.peerASN; \
             BFD Profile string .spec.bfdProfile; Multi Hops string .spec.ebgpMultiHop; ",
        ),
        (
            "BFDProfile",
            "Passive Mode boolean .spec.passiveMode; Transmit Interval integer .spec.transmitInterval; \
             Receive Interval integer .spec.receiveInterval; Multiplier integer .spec.detectMultiplier; ",
        ),
        ("Community", ""),
        (
            "ServiceL2Status",
            "Allocated Node string .status.node; Service Name string .status.serviceName; \
             Service Namespace string .status.serviceNamespace; IPs string .status.ips; ",
        ),
        (
            "ServiceBGPStatus",
            "Node string .status.node; Service Name string .status.serviceName; \
             Service Namespace string .status.serviceNamespace; ",
        ),
        (
            "ConfigurationState",
            "Result string .status.result; ErrorSummary string .status.errorSummary; \
             Age date .metadata.creationTimestamp; ",
        ),
        ("FRRConfiguration", ""),
        ("FRRNodeState", ""),
        (
            "BGPSessionState",
            "Node string .status.node; Peer string .status.peer; VRF string .status.vrf; \
             BGP string .status.bgpStatus; BFD string .status.bfdStatus; ",
        ),
        ("FRRK8sConfiguration", ""),
    ] {
        for version in crd(kind)["spec"]["versions"].as_array().unwrap() {
            let columns = version["additionalPrinterColumns"].as_array().into_iter().flatten();
            let found: String = columns.map(column).collect();
            assert_eq!(found, expected, "{kind}");
        }
    }
}

fn column(column: &Value) -> String {
    let text = |key: &str| column[key].as_str().unwrap();
    let priority = column.get("priority").map(|priority| format!(" {priority}")).unwrap_or_default();
    format!("{} {} {}{priority}; ", text("name"), text("type"), text("jsonPath"))
}

#[test]
fn the_older_bgp_peer_is_deprecated_and_converted_by_a_webhook() {
    let crd = crd("BGPPeer");
    let [older, newer] = crd["spec"]["versions"].as_array().unwrap().as_slice() else {
        panic!("{crd}");
    };
    assert_eq!(older["deprecated"], true);
    assert_eq!(older["deprecationWarning"], "v1beta1 is deprecated, please use v1beta2");
    assert_eq!(newer.get("deprecated"), None);
    assert_eq!(
        crd["spec"]["conversion"],
        json!({
            "strategy": "Webhook",
            "webhook": {
                "clientConfig": {
                    "service": {
                        "name": "metallb-webhook-service", "namespace": "metallb-system", "path": "/convert",
                    },
                },
                "conversionReviewVersions": ["v1beta1", "v1beta2"],
            },
        })
    );
}

#[test]
fn every_field_is_described() {
    walk_all(|path, schema| {
        // The API server describes metadata itself, and an element of a list of plain values is
        // described by the list.
        let plain_element = path.ends_with("[]") && schema["type"] != "object";
        if path.ends_with("1.metadata")
            || path.ends_with("2.metadata")
            || path.ends_with("{}")
            || plain_element
        {
            return;
        }
        let description = schema["description"].as_str().unwrap_or_default();
        assert!(description.ends_with('.'), "{path}: {description:?}");
        assert!(!description.contains(['`', '\n']) && !description.contains("["), "{path}: {description:?}");
    });
}

#[test]
fn schemas_say_only_what_controller_gen_says() {
    const KEYS: [&str; 20] = [
        "additionalProperties",
        "default",
        "description",
        "enum",
        "format",
        "items",
        "maxItems",
        "maxLength",
        "maximum",
        "minItems",
        "minLength",
        "minimum",
        "pattern",
        "properties",
        "required",
        "type",
        "x-kubernetes-list-map-keys",
        "x-kubernetes-list-type",
        "x-kubernetes-map-type",
        "x-kubernetes-validations",
    ];
    const FORMATS: [&str; 6] = ["cidr", "date-time", "int32", "int64", "ipv4", "ipv6"];
    walk_all(|path, schema| {
        for (key, value) in schema.as_object().unwrap() {
            assert!(KEYS.contains(&key.as_str()), "{path} has {key}");
            match key.as_str() {
                "type" => assert!(value.is_string(), "{path} has type {value}"),
                "format" => assert!(FORMATS.contains(&value.as_str().unwrap()), "{path} has format {value}"),
                "default" => assert!(!value.is_null(), "{path} has default null"),
                "enum" => assert!(value.as_array().unwrap().iter().all(Value::is_string), "{path}: {value}"),
                "maximum" | "minimum" => assert!(value.is_i64(), "{path} has {key} {value}"),
                "additionalProperties" => assert!(value.is_object(), "{path}: {value}"),
                _ => {}
            }
        }
    });
}

#[test]
fn required_fields_exist_and_have_no_default() {
    walk_all(|path, schema| {
        for name in schema["required"].as_array().into_iter().flatten() {
            let property = &schema["properties"][name.as_str().unwrap()];
            assert!(property.is_object(), "{path}.{name} does not exist");
            assert_eq!(property.get("default"), None, "{path}.{name}");
        }
    });
}
