//! Which addresses Services get, and that those are reached. The numbers are those of the list of upstream's acceptance
//! tests; the rest of them (28, 32 to 37, 45) is about nothing that a network could show, and is in `tests/components`
//! and in the tests of `plan::allocate`.

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
