//! Which addresses Services get, and that those are reached. The numbers are those of the list of upstream's acceptance
//! tests.

use std::net::{IpAddr, SocketAddr};

use ferrolb::lab::{Family, Options};
use serde_json::json;

use crate::site::{Site, eventually, options, resource_path, service_path, stays};

fn site(options: Options) -> Site {
    let site = Site::up(Options { nodes: 2, ..options });
    site.advertisement("all", &json!({}));
    site
}

fn ips(texts: &[&str]) -> Vec<IpAddr> {
    texts.iter().map(|text| text.parse().unwrap()).collect()
}

/// Every address of a Service leads to a backend, and to no other node than the one that announces it.
fn is_reached(site: &Site, service: &str) {
    site.owner(service);
    for address in site.addresses(service) {
        eventually("it is reached", || site.ask_http("client", SocketAddr::new(address, 80)).is_some());
    }
}

/// 27, 30, 31
#[test]
fn addresses_that_are_free_go_to_those_who_wait_and_are_reached_there() {
    let Some(options) = options() else { return };
    let site = site(options);
    site.pool("one", &["10.10.100.1/32"]);
    let address = site.service("first", &json!({}));
    for name in ["second", "third"] {
        site.waiting_service(name, &json!({}), &json!({}));
    }
    is_reached(&site, "first");
    stays("the others wait", || site.addresses("second").is_empty() && site.addresses("third").is_empty());
    site.patch(&service_path("first"), &json!({"spec": {"type": "ClusterIP"}}));
    eventually("one of them has it", || {
        !site.addresses("second").is_empty() || !site.addresses("third").is_empty()
    });
    let (next, last) =
        if site.addresses("third").is_empty() { ("second", "third") } else { ("third", "second") };
    assert_eq!(site.addresses(next), address);
    is_reached(&site, next);
    assert!(site.announcers("first").is_empty());
    site.delete(&service_path(next));
    eventually("the last one has it", || site.addresses(last) == address);
    is_reached(&site, last);

    site.pool("two", &["10.10.101.1/32"]);
    site.delete(&resource_path("IPAddressPool", "one"));
    eventually("it has one of the other pool", || site.addresses(last) == ips(&["10.10.101.1"]));
    is_reached(&site, last);
    assert_eq!(site.who_has(address[0]), None);
    site.delete(&resource_path("IPAddressPool", "two"));
    eventually("there is none any more", || site.addresses(last).is_empty());
    eventually("nobody announces", || site.announcers(last).is_empty());
    assert_eq!(site.who_has("10.10.101.1".parse().unwrap()), None);
}

/// 29
#[test]
fn a_shared_address_is_shared_for_as_long_as_traffic_is_treated_alike() {
    let Some(options) = options() else { return };
    let site = site(options);
    site.pool("one", &["10.10.100.1/32"]);
    let metadata = json!({"annotations": {"metallb.io/allow-shared-ip": "key"}});
    for (name, port) in [("first", 80), ("second", 81)] {
        site.waiting_service(name, &metadata, &json!({"ports": [{"port": port, "targetPort": 80}]}));
        eventually("it has the address", || site.addresses(name) == ips(&["10.10.100.1"]));
    }
    let policy = |name: &str, policy: &str| {
        site.patch(&service_path(name), &json!({"spec": {"externalTrafficPolicy": policy}}));
    };
    let have = |first: usize, second: usize| {
        eventually("the addresses are as they should be", || {
            (site.addresses("first").len(), site.addresses("second").len()) == (first, second)
        });
    };
    policy("second", "Local");
    have(1, 0);
    stays("the first keeps it", || site.addresses("first").len() == 1);
    policy("first", "Local");
    have(1, 1);
    assert_eq!(site.owner("first"), site.owner("second"));
    site.patch(&service_path("first"), &json!({"spec": {"selector": {"app": "another"}}}));
    eventually("only one has it", || site.addresses("first").len() + site.addresses("second").len() == 1);
    site.patch(&service_path("second"), &json!({"spec": {"selector": {"app": "another"}}}));
    have(1, 1);
    is_reached(&site, "first");
}

/// 38 to 44
#[test]
fn dual_stack_services_get_what_pools_have_and_are_reached_by_all_of_it() {
    let Some(options) = options() else { return };
    let site = site(Options { family: Family::Dual, ..options });
    let prefer = json!({"ipFamilyPolicy": "PreferDualStack"});
    site.pool("four", &["10.10.100.1-10.10.100.2"]);
    site.pool("six", &["fd00:10:10::100:1-fd00:10:10::100:2"]);
    // Of pools of one family that of the first family is taken.
    assert_eq!(site.service("four-first", &prefer), ips(&["10.10.100.1"]));
    let spec = json!({"ipFamilyPolicy": "PreferDualStack", "ipFamilies": ["IPv6", "IPv4"]});
    assert_eq!(site.service("six-first", &spec), ips(&["fd00:10:10::100:1"]));
    is_reached(&site, "four-first");
    is_reached(&site, "six-first");
    // A pool that gets the other family gives the second address, and the first one stays.
    site.pool("four", &["10.10.100.1-10.10.100.2", "fd00:10:10::101:1-fd00:10:10::101:2"]);
    let both = ips(&["10.10.100.1", "fd00:10:10::101:1"]);
    eventually("it has both", || site.addresses("four-first") == both);
    is_reached(&site, "four-first");
    // Nobody jumps to another pool for a second address.
    stays("it stays where it is", || site.addresses("six-first") == ips(&["fd00:10:10::100:1"]));
    // A pool of both is taken before others.
    let dual = site.service("dual", &prefer);
    assert_eq!(dual, ips(&["10.10.100.2", "fd00:10:10::101:2"]));
    is_reached(&site, "dual");
}

/// 41, 43, 44
#[test]
fn dual_stack_services_follow_what_becomes_of_pools() {
    let Some(options) = options() else { return };
    let site = site(Options { family: Family::Dual, ..options });
    site.pool("four", &["10.10.100.1-10.10.100.2"]);
    site.waiting_service("strict", &json!({}), &json!({"ipFamilyPolicy": "RequireDualStack"}));
    stays("there is no pool of both", || site.addresses("strict").is_empty());
    site.patch(&service_path("strict"), &json!({"spec": {"ipFamilyPolicy": "PreferDualStack"}}));
    eventually("one will do", || site.addresses("strict") == ips(&["10.10.100.1"]));
    is_reached(&site, "strict");

    site.pool("dual", &["10.10.101.1/32", "fd00:10:10::101:1/128"]);
    assert_eq!(
        site.service("moving", &json!({"ipFamilyPolicy": "PreferDualStack"})),
        ips(&["10.10.101.1", "fd00:10:10::101:1"])
    );
    site.pool("another", &["10.10.102.1/32", "fd00:10:10::102:1/128"]);
    site.pool("dual", &["10.10.101.1/32"]);
    let next = ips(&["10.10.102.1", "fd00:10:10::102:1"]);
    eventually("it moves to the other pool of both", || site.addresses("moving") == next);
    is_reached(&site, "moving");
    eventually("nobody answers for the old address", || {
        site.who_has("fd00:10:10::101:1".parse().unwrap()).is_none()
    });
}

/// 32 to 37
#[test]
fn pools_are_taken_in_the_order_of_their_priority_by_those_they_are_for() {
    let Some(options) = options() else { return };
    let site = site(Options { nodes: 1, ..options });
    let pool = |name: &str, address: &str, allocation: serde_json::Value| {
        let spec = json!({"addresses": [address], "serviceAllocation": allocation});
        site.resource("IPAddressPool", name, &json!({}), &spec);
    };
    site.pool("anybody", &["10.10.100.1-10.10.100.9"]);
    pool("low", "10.10.101.1/32", json!({"priority": 20}));
    pool("high", "10.10.102.1/32", json!({"priority": 10, "namespaces": ["default"]}));
    pool(
        "gold",
        "10.10.103.1/32",
        json!({"priority": 1, "serviceSelectors": [{"matchLabels": {"tier": "gold"}}]}),
    );
    pool("elsewhere", "10.10.104.1/32", json!({"priority": 1, "namespaces": ["other"]}));
    pool(
        "lab",
        "10.10.105.1/32",
        json!({"priority": 2, "namespaceSelectors": [{"matchLabels": {"is": "lab"}}]}),
    );
    for (name, labels, address) in [
        ("first", json!({}), "10.10.102.1"),
        ("gilded", json!({"tier": "gold"}), "10.10.103.1"),
        ("second", json!({}), "10.10.101.1"),
        ("third", json!({}), "10.10.100.1"),
    ] {
        site.waiting_service(name, &json!({"labels": labels}), &json!({}));
        eventually("it has the address of the best pool", || site.addresses(name) == ips(&[address]));
        is_reached(&site, name);
    }
    site.patch("/api/v1/namespaces/default", &json!({"metadata": {"labels": {"is": "lab"}}}));
    // It may be that the controller hears of the Service first.
    eventually("the next one has that of the lab", || {
        let has = |name: &str| site.addresses(name) == ips(&["10.10.105.1"]);
        if !has("last") {
            site.call(http::Method::DELETE, &service_path("last"), &serde_json::Value::Null);
            site.service("last", &json!({}));
        }
        has("last")
    });
    is_reached(&site, "last");
}

/// 45
#[test]
fn pools_tell_what_is_taken_and_what_is_free() {
    let Some(options) = options() else { return };
    let site = site(Options { nodes: 1, family: Family::Dual, ..options });
    let path = resource_path("IPAddressPool", "pool");
    let counts = || {
        let status = site.get(&path)["status"].clone();
        ["availableIPv4", "availableIPv6", "assignedIPv4", "assignedIPv6"]
            .map(|name| status[name].as_i64().unwrap_or(-1))
    };
    site.pool("pool", &["10.10.100.0/30", "fd00:10:10::100:0/126"]);
    eventually("all is free", || counts() == [4, 4, 0, 0]);
    site.service("web", &json!({"ipFamilyPolicy": "RequireDualStack"}));
    eventually("one of each is taken", || counts() == [3, 3, 1, 1]);
    site.pool("pool", &["10.10.100.0/29", "fd00:10:10::100:0/125"]);
    eventually("there are more", || counts() == [7, 7, 1, 1]);
    site.delete(&service_path("web"));
    eventually("all is free again", || counts() == [8, 8, 0, 0]);
    site.patch(&format!("{path}/status"), &json!({"status": {"availableIPv4": 1}}));
    eventually("what somebody writes is put right", || counts() == [8, 8, 0, 0]);
}
