//! Which node and which interface: preferences, selectors, interfaces. The numbers are those of the list of upstream's
//! acceptance tests.

use std::net::IpAddr;

use ferrolb::lab::Options;
use serde_json::{Value, json};

use crate::site::{NODES, Site, eventually, options, others, resource_path, service_path, stays};

const EXCLUDE: &str = "node.kubernetes.io/exclude-from-external-load-balancers";

fn site(options: Options) -> Site {
    let site = Site::up(options);
    site.pool("pool", &["10.10.100.0/24"]);
    site
}

fn named(node: &str) -> Value {
    json!({"matchLabels": {"kubernetes.io/hostname": node}})
}

fn labelled(label: &str) -> Value {
    json!({"matchLabels": {label: ""}})
}

fn preferring(weights: &[(i32, Value)]) -> Value {
    let all: Vec<_> = weights
        .iter()
        .map(|(weight, preference)| json!({"weight": weight, "preference": preference}))
        .collect();
    json!(all)
}

/// 11, 12, 13, 14
#[test]
fn preferred_nodes_win_for_as_long_as_they_are_preferred_and_eligible() {
    let Some(options) = options() else { return };
    let site = site(options);
    site.advertisement("all", &json!({}));
    site.service("web", &json!({}));
    let natural = site.owner("web");
    let [first, second] = others(&natural)[..] else { panic!() };

    site.advertisement(
        "all",
        &json!({"preferredNodeSelectors": preferring(&[(100, labelled("preferred"))])}),
    );
    site.label_node(first, "preferred", Some(""));
    site.owner_among("web", &[first]);
    site.label_node(first, EXCLUDE, Some(""));
    site.owner_among("web", &[&natural]);
    site.label_node(first, EXCLUDE, None);
    site.owner_among("web", &[first]);
    site.label_node(first, "preferred", None);
    site.owner_among("web", &[&natural]);

    let nothing_and_all = preferring(&[(100, labelled("nobody")), (10, json!({}))]);
    site.advertisement("all", &json!({"preferredNodeSelectors": nothing_and_all}));
    stays("the natural owner", || site.announcers("web") == [natural.clone()]);
    for preferred in [first, second] {
        site.advertisement("all", &json!({"preferredNodeSelectors": preferring(&[(50, named(preferred))])}));
        site.owner_among("web", &[preferred]);
    }
    site.advertisement("all", &json!({}));
    site.owner_among("web", &[&natural]);
}

/// 15, 16, 17, 18
#[test]
fn preferences_order_what_selectors_leave_and_add_up() {
    let Some(options) = options() else { return };
    let site = site(options);
    site.advertisement("all", &json!({}));
    site.service("web", &json!({}));
    site.service("other", &json!({}));
    let (natural, natural_of_other) = (site.owner("web"), site.owner("other"));
    let [first, second] = others(&natural)[..] else { panic!() };

    let only = |nodes: &[&str], preferred: &str| {
        let nodes: Vec<_> = nodes.iter().map(|node| named(node)).collect();
        json!({"nodeSelectors": nodes, "preferredNodeSelectors": preferring(&[(100, named(preferred))])})
    };
    site.advertisement("all", &only(&[first, second], second));
    site.owner_among("web", &[second]);
    site.advertisement("all", &only(&[first], &natural));
    site.owner_among("web", &[first]);

    site.label_node(first, "sixty", Some(""));
    site.label_node(second, "sixty-too", Some(""));
    site.label_node(second, "fifty", Some(""));
    let one = [(60, labelled("sixty")), (60, labelled("sixty-too"))];
    site.advertisement("all", &json!({"preferredNodeSelectors": preferring(&one)}));
    site.advertisement("more", &json!({"preferredNodeSelectors": preferring(&[(50, labelled("fifty"))])}));
    site.owner_among("web", &[second]);
    site.label_node(second, "sixty-too", None);
    site.owner_among("web", &[first]);

    let web = json!([{"matchLabels": {"tier": "web"}}]);
    site.delete(&resource_path("L2Advertisement", "more"));
    site.advertisement("all", &json!({}));
    site.owner_among("web", &[&natural]);
    let spec = json!({"serviceSelectors": web, "preferredNodeSelectors": preferring(&[(100, named(first))])});
    site.advertisement("more", &spec);
    site.patch(&service_path("web"), &json!({"metadata": {"labels": {"tier": "web"}}}));
    site.owner_among("web", &[first]);
    stays("the other one", || site.announcers("other") == [natural_of_other.clone()]);
}

/// 20
#[test]
fn addresses_are_answered_for_on_the_chosen_interfaces_alone() {
    let Some(options) = options() else { return };
    let site = site(Options { nodes: 2, second_segment: true, ..options });
    let address = {
        site.advertisement("one", &json!({"interfaces": ["eth0"]}));
        site.service("web", &json!({}))[0]
    };
    let owner = site.owner("web");
    let interfaces = || -> Value {
        let all = site.get("/apis/metallb.io/v1beta1/servicel2statuses");
        all["items"][0]["status"]["interfaces"].clone()
    };
    let on = |interface: &str| who_has_on(&site, interface, address);
    eventually("the interface is told", || interfaces() == json!([{"name": "eth0"}]));
    assert_eq!((on("eth0"), on("eth1")), (Some(owner.clone()), None));

    site.advertisement("one", &json!({"interfaces": ["eth1"]}));
    eventually("it moves to the other interface", || on("eth1") == Some(owner.clone()));
    assert_eq!(on("eth0"), None);
    eventually("that is told", || interfaces() == json!([{"name": "eth1"}]));

    site.advertisement("two", &json!({"interfaces": ["eth0"]}));
    eventually("both answer", || (on("eth0"), on("eth1")) == (Some(owner.clone()), Some(owner.clone())));
    site.delete(&resource_path("L2Advertisement", "two"));

    site.advertisement("one", &json!({"interfaces": ["foo"]}));
    eventually("there is no such interface", || {
        let text = format!(
            "the interfaces specified by LB IP \"{address}\" doesn't exist in assigned node \"{owner}\" with protocol \
             \"layer2\""
        );
        site.events("web", "announceFailed").contains(&text)
    });
    assert_eq!((on("eth0"), on("eth1")), (None, None));

    let other = others(&owner)[0];
    site.advertisement("one", &json!({"interfaces": ["eth1"], "nodeSelectors": [named(other)]}));
    eventually("the other node answers there", || on("eth1") == Some(other.to_owned()));
    assert_eq!(on("eth0"), None);
}

/// As `arping` finds out on one interface of the client, whatever the routes say.
fn who_has_on(site: &Site, interface: &str, address: IpAddr) -> Option<String> {
    let output = site.output("client", "arping", &["-f", "-w", "1", "-I", interface, &address.to_string()]);
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let (_, mac) = text.split_once('[')?;
    Some(site.member_of(mac.split(']').next()?))
}

/// 21, 24
#[test]
fn a_service_is_announced_while_pools_and_labels_match_an_advertisement() {
    let Some(options) = options() else { return };
    let site = site(options);
    site.resource(
        "IPAddressPool",
        "other",
        &json!({}),
        &json!({"addresses": ["10.10.101.0/24"], "autoAssign": false}),
    );
    let selecting = |labels: &[&str]| {
        let selectors: Vec<_> = labels.iter().map(|label| labelled(label)).collect();
        json!({"ipAddressPools": ["pool"], "serviceSelectors": selectors})
    };
    site.advertisement("one", &selecting(&["wanted", "wanted-too"]));
    let other = json!({"labels": {"wanted": ""}, "annotations": {"metallb.io/address-pool": "other"}});
    site.waiting_service("elsewhere", &other, &json!({}));
    site.service("web", &json!({}));
    stays("nobody announces it", || site.announcers("web").is_empty());
    site.has_no_owner("web");
    let label = |label: &str, value: Option<&str>| {
        site.patch(&service_path("web"), &json!({"metadata": {"labels": {label: value}}}));
    };
    for either in ["wanted", "wanted-too"] {
        label(either, Some(""));
        site.owner("web");
        label(either, None);
        site.has_no_owner("web");
    }
    assert_eq!(site.addresses("elsewhere").len(), 1);
    site.has_no_owner("elsewhere");
}

/// 22, 23, 25
#[test]
fn nodes_announce_what_their_advertisements_select() {
    let Some(options) = options() else { return };
    let site = site(options);
    let only = |node: &str| json!({"nodeSelectors": [named(node)]});
    site.service("web", &json!({}));
    site.service(
        "pinned",
        &json!({"externalTrafficPolicy": "Local", "selector": {"app": "web", "node": "node-1"}}),
    );
    for node in NODES {
        site.advertisement("one", &only(node));
        site.owner_among("web", &[node]);
    }
    // The endpoint is on node 1, and the advertisement for all is the one that counts.
    site.has_no_owner("pinned");
    site.advertisement("one", &only("node-2"));
    site.advertisement("two", &json!({}));
    site.owner_among("pinned", &["node-1"]);

    site.advertisement("two", &only("node-3"));
    let owner = site.owner_among("web", &["node-2", "node-3"]);
    stays("one of both", || site.announcers("web") == [owner.clone()]);

    site.delete(&resource_path("L2Advertisement", "two"));
    let both = json!({"nodeSelectors": [labelled("absent")], "serviceSelectors": [{"matchLabels": {"tier": "web"}}]});
    site.advertisement("one", &both);
    site.has_no_owner("web");
    site.label_node("node-3", "absent", Some(""));
    stays("the Service does not match", || site.announcers("web").is_empty());
    site.patch(&service_path("web"), &json!({"metadata": {"labels": {"tier": "web"}}}));
    site.owner_among("web", &["node-3"]);
}
