//! Addresses on the wire: who answers for them, how that is told, and what happens when a node or a speaker goes.
//! The numbers are those of the list of upstream's acceptance tests.

use std::net::{IpAddr, SocketAddr};

use ferrolb::lab::{Family, Forwarder, Options};
use serde_json::{Value, json};

use crate::site::{Site, eventually, options, service_path, stays};

const EXCLUDE: &str = "node.kubernetes.io/exclude-from-external-load-balancers";

fn site(options: Options) -> Site {
    let site = Site::up(options);
    site.advertisement("all", &json!({}));
    site
}

/// 1, 2, 4, 7
#[test]
fn an_address_is_reached_through_the_one_node_that_says_so() {
    let Some(options) = options() else { return };
    let site = site(Options { family: Family::Dual, ..options });
    site.pool("ranges", &["10.10.100.1-10.10.100.20", "fd00:10:10::100:0/124"]);
    let ports = json!([{"name": "a", "port": 80}, {"name": "b", "port": 80, "protocol": "UDP"}]);
    let spec = json!({"ports": ports, "ipFamilyPolicy": "RequireDualStack"});
    let addresses = site.service("web", &spec);
    assert!(addresses.contains(&"10.10.100.1".parse::<IpAddr>().unwrap()), "{addresses:?}");
    let owner = site.owner("web");
    eventually("the event", || {
        let events = site.events("web", "nodeAssigned");
        events.first() == Some(&format!(r#"announcing from node "{owner}" with protocol "layer2""#))
    });
    for address in &addresses {
        let to = SocketAddr::new(*address, 80);
        eventually("HTTP through the address", || site.ask_http("client", to).is_some());
        eventually("UDP through the address", || site.ask_udp("client", to).is_some());
    }
    // One question, one answer, and that from the owner.
    let replies = site.lab.capture("client", "eth0", "arp[6:2] = 2 or (icmp6 and ip6[40] = 136)").unwrap();
    for address in &addresses {
        assert_eq!(site.who_has(*address).as_ref(), Some(&owner));
        let is_of = |line: &str| {
            line.contains(&format!("{address} is-at")) || line.contains(&format!("tgt is {address}"))
        };
        assert!(replies.wait_for(is_of, crate::site::DEADLINE).is_some());
        assert_eq!(replies.lines().iter().filter(|line| is_of(line)).count(), 1, "{:?}", replies.lines());
    }
    stays("one status", || site.announcers("web") == [owner.clone()]);
    site.delete(&service_path("web"));
    eventually("no status", || site.announcers("web").is_empty());
    for address in addresses {
        assert_eq!(site.who_has(address), None, "{address}");
    }
}

/// 1 and 4, where the speaker is all that there is on a node.
#[test]
fn a_speaker_that_forwards_needs_no_rules_of_the_kernel() {
    let Some(options) = options() else { return };
    let site = site(Options { family: Family::Dual, forwarder: Forwarder::Proxy, ..options });
    site.pool("pool", &["10.10.100.0/24", "fd00:10:10::100:0/112"]);
    let ports = json!([{"name": "a", "port": 80}, {"name": "b", "port": 80, "protocol": "UDP"}]);
    let addresses = site.service("web", &json!({"ports": ports, "ipFamilyPolicy": "RequireDualStack"}));
    let owner = site.owner("web");
    let are_reached = || {
        for address in &addresses {
            let to = SocketAddr::new(*address, 80);
            eventually("HTTP through the address", || site.ask_http("client", to).is_some());
            eventually("UDP through the address", || site.ask_udp("client", to).is_some());
        }
    };
    are_reached();
    assert!(!site.run(&owner, "nft", &["list", "ruleset"]).contains("dnat"));
    // Nobody is left there to take the address from `lo`, but its new owner is the one that is asked.
    site.lab.kill_speaker(&owner).unwrap();
    let others: Vec<_> = ["node-1", "node-2", "node-3"].into_iter().filter(|node| *node != owner).collect();
    eventually("another one announces", || {
        let announcers = site.announcers("web");
        matches!(&announcers[..], [one] if others.contains(&one.as_str()))
    });
    are_reached();
    site.lab.start_speaker(&owner).unwrap();
    site.owner_among("web", &[&owner]);
    are_reached();
}

/// 3
#[test]
fn local_traffic_is_answered_on_the_node_that_announces() {
    let Some(options) = options() else { return };
    let site = site(options);
    site.pool("pool", &["10.10.100.0/24"]);
    let addresses = site.service("local", &json!({"externalTrafficPolicy": "Local"}));
    let owner = site.owner("local");
    let to = SocketAddr::new(addresses[0], 80);
    let own = format!("node={owner} client=10.10.0.2");
    eventually("an answer", || site.ask_http("client", to).is_some());
    for _ in 0..10 {
        assert_eq!(site.ask_http("client", to).as_ref(), Some(&own));
    }
    // Nobody is left on the owner, so another announces.
    site.lab.set_backend(&owner, false).unwrap();
    let others: Vec<_> = ["node-1", "node-2", "node-3"].into_iter().filter(|node| *node != owner).collect();
    let next = site.owner_among("local", &others);
    let next = format!("node={next} client=10.10.0.2");
    eventually("an answer of the next", || site.ask_http("client", to).as_ref() == Some(&next));
    site.lab.set_backend(&owner, true).unwrap();
    site.owner_among("local", &[&owner]);
}

/// 5, 6
#[test]
fn nodes_without_network_and_excluded_ones_do_not_announce_until_they_may_again() {
    let Some(options) = options() else { return };
    let site = site(options);
    site.pool("pool", &["10.10.100.0/24"]);
    site.service("web", &json!({}));
    let owner = site.owner("web");
    let others: Vec<_> = ["node-1", "node-2", "node-3"].into_iter().filter(|node| *node != owner).collect();
    let set_network = |is_unavailable: &str| {
        let path = format!("/api/v1/nodes/{owner}/status");
        let condition = json!({"type": "NetworkUnavailable", "status": is_unavailable});
        site.patch(&path, &json!({"status": {"conditions": [condition]}}));
    };
    set_network("True");
    let next = site.owner_among("web", &others);
    set_network("False");
    site.owner_among("web", &[&owner]);
    // Any value will do.
    site.label_node(&owner, EXCLUDE, Some("false"));
    assert_eq!(site.owner_among("web", &others), next);
    eventually("the newest event names it", || {
        let events = site.events("web", "nodeAssigned");
        events.first().is_some_and(|newest| newest.contains(&format!("\"{next}\"")))
    });
    site.label_node(&owner, EXCLUDE, None);
    site.owner_among("web", &[&owner]);
    // A cordon is nothing to an address.
    site.patch(&format!("/api/v1/nodes/{owner}"), &json!({"spec": {"unschedulable": true}}));
    stays("the owner", || site.announcers("web") == [owner.clone()]);
}

/// 8
#[test]
fn services_that_share_an_address_are_announced_by_one_node() {
    let Some(options) = options() else { return };
    let site = site(Options { family: Family::Dual, ..options });
    site.pool("pool", &["10.10.100.0/24", "fd00:10:10::100:0/112"]);
    for (family, shared) in [("IPv4", "10.10.100.7"), ("IPv6", "fd00:10:10::100:7")] {
        let name = |number: u16| format!("{}-{number}", family.to_lowercase());
        for number in [1, 2] {
            let metadata = json!({"annotations": {
                "metallb.io/allow-shared-ip": "key",
                "metallb.io/loadBalancerIPs": shared,
            }});
            let spec = json!({
                "ipFamilies": [family],
                "ports": [{"port": 79 + number, "targetPort": 80}],
                "selector": {"app": "web", "node": format!("node-{number}")},
            });
            site.waiting_service(&name(number), &metadata, &spec);
        }
        let owner = site.owner(&name(1));
        assert_eq!(site.owner(&name(2)), owner);
        let event = format!(r#"announcing from node "{owner}" with protocol "layer2""#);
        for number in [1, 2] {
            eventually("the event", || site.events(&name(number), "nodeAssigned") == [event.clone()]);
            let to = SocketAddr::new(shared.parse().unwrap(), 79 + number);
            let backend = format!("node=node-{number} ");
            eventually("its backend answers", || {
                site.ask_http("client", to).is_some_and(|it| it.starts_with(&backend))
            });
        }
    }
}

/// 19
#[test]
fn an_address_moves_when_its_speaker_dies_and_comes_back_with_it() {
    let Some(options) = options() else { return };
    let site = site(options);
    site.pool("pool", &["10.10.100.0/24"]);
    let addresses = site.service("web", &json!({}));
    let owner = site.owner("web");
    let others: Vec<_> = ["node-1", "node-2", "node-3"].into_iter().filter(|node| *node != owner).collect();
    let to = SocketAddr::new(addresses[0], 80);
    let answers = || site.ask_http("client", to).is_some();
    eventually("an answer", answers);
    // As when its Pod cannot be scheduled any more.
    site.lab.kill_speaker(&owner).unwrap();
    site.owner_among("web", &others);
    assert!(answers());
    site.delete(&format!("/api/v1/namespaces/metallb-system/pods/speaker-{owner}"));
    let pods = "/api/v1/namespaces/metallb-system/pods";
    let count = || site.get(pods)["items"].as_array().unwrap().len();
    eventually("the Pod is gone", || count() == 2);
    stays("one status", || site.announcers("web").len() == 1);
    site.lab.start_speaker(&owner).unwrap();
    site.owner_among("web", &[&owner]);
    assert!(answers());
    // As when somebody wants a new one.
    site.delete(&format!("{pods}/speaker-{owner}"));
    eventually("its process has ended", || count() == 2);
    site.owner_among("web", &others);
    assert!(answers());
}

/// 9
#[test]
fn metrics_tell_who_announces_and_what_was_asked() {
    let Some(options) = options() else { return };
    let site = site(Options { family: Family::Dual, ..options });
    site.pool("pool", &["10.10.100.0/24", "fd00:10:10::100:0/112"]);
    let addresses = site.service("web", &json!({"ipFamilyPolicy": "RequireDualStack"}));
    let owner = site.owner("web");
    let tokens = site.lab.kubeconfig().with_file_name("tokens.csv");
    let tokens = std::fs::read_to_string(tokens).unwrap();
    let header = format!("Authorization: Bearer {}", tokens.split(',').next().unwrap());
    let metrics =
        |node: &str| site.run(node, "curl", &["-sk", "-H", &header, "https://127.0.0.1:9120/metrics"]);
    for address in addresses {
        let series = [
            format!(r#"metallb_layer2_requests_received{{ip="{address}"}}"#),
            format!(r#"metallb_layer2_responses_sent{{ip="{address}"}}"#),
            format!(r#"metallb_layer2_gratuitous_sent{{ip="{address}"}}"#),
        ];
        let announced = format!(
            r#"metallb_speaker_announced{{ip="{address}",node="{owner}",protocol="layer2",service="default/web"}} 1"#
        );
        eventually("the owner counts", || {
            let text = metrics(&owner);
            let value = |name: &String| {
                text.lines().find_map(|line| line.strip_prefix(name.as_str())?.trim().parse().ok())
            };
            text.contains(&announced) && series.iter().all(|name| value(name).unwrap_or(0.0) >= 1.0)
        });
    }
    for node in ["node-1", "node-2", "node-3"].into_iter().filter(|node| *node != owner) {
        assert!(!metrics(node).contains("metallb_speaker_announced{"), "{node}");
    }
    site.delete(&service_path("web"));
    eventually("its series are gone", || !metrics(&owner).contains("metallb_speaker_announced{"));
}

/// 10, 26
#[test]
fn a_service_may_ask_for_a_pool_and_for_somebody_else() {
    let Some(options) = options() else { return };
    let site = site(Options { nodes: 1, ..options });
    let spec =
        |addresses: &str, is_automatic: bool| json!({"addresses": [addresses], "autoAssign": is_automatic});
    site.resource("IPAddressPool", "first", &json!({}), &spec("10.10.100.0/28", true));
    let first = site.service("first", &json!({}));
    site.resource("IPAddressPool", "second", &json!({}), &spec("10.10.101.0/28", false));
    let metadata = json!({"annotations": {"metallb.io/address-pool": "second"}});
    site.waiting_service("second", &metadata, &json!({}));
    assert_eq!(site.owner("second"), "node-1");
    assert_eq!(site.addresses("second"), ["10.10.101.0".parse::<IpAddr>().unwrap()]);
    let service = site.get(&service_path("second"));
    assert_eq!(service["metadata"]["annotations"]["metallb.io/ip-allocated-from-pool"], "second");
    assert_eq!(site.addresses("first"), first);
    for address in [first[0], site.addresses("second")[0]] {
        eventually("it is reached", || site.ask_http("client", SocketAddr::new(address, 80)).is_some());
    }
    site.waiting_service(
        "foreign",
        &Value::Object(serde_json::Map::new()),
        &json!({"loadBalancerClass": "foo"}),
    );
    stays("no address", || site.addresses("foreign").is_empty());
}
