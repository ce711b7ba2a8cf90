//! Whom an address belongs to, when others want it, and what a speaker does that hears nothing new.

use std::net::{IpAddr, SocketAddr};

use ferrolb::lab::{Cut, Family, Options};
use serde_json::{Value, json};

use crate::site::{DEADLINE, Site, eventually, options, others, stays};

const EXCLUDE: &str = "node.kubernetes.io/exclude-from-external-load-balancers";

fn site(options: Options) -> Site {
    let site = Site::up(options);
    site.pool("pool", &["10.10.100.0/24", "fd00:10:10::100:0/112"]);
    site.advertisement("all", &json!({}));
    site
}

#[test]
fn a_host_that_wants_an_announced_address_learns_that_it_is_taken() {
    let Some(options) = options() else { return };
    let site = site(Options { nodes: 1, family: Family::Dual, ..options });
    let addresses = site.service("web", &json!({"ipFamilyPolicy": "RequireDualStack"}));
    site.owner("web");
    for address in addresses {
        let text = address.to_string();
        if address.is_ipv4() {
            let probe = |address: &str| {
                site.output("router", "arping", &["-D", "-c", "1", "-w", "1", "-I", "eth0", address])
            };
            assert_eq!(probe(&text).status.code(), Some(1), "{text} is taken");
            assert_eq!(probe("10.10.100.77").status.code(), Some(0), "this one is not");
            continue;
        }
        // The kernel looks before it takes an IPv6 address, unless it is told not to, as in a lab it is.
        let look = "echo 1 >/proc/sys/net/ipv6/conf/eth0/dad_transmits; echo 1 >/proc/sys/net/ipv6/conf/eth0/accept_dad; \
                    echo 1 >/proc/sys/net/ipv6/conf/all/accept_dad";
        site.run("router", "sh", &["-c", look]);
        site.run("router", "ip", &["addr", "add", &format!("{text}/128"), "dev", "eth0"]);
        eventually("the kernel gives it up", || {
            site.run("router", "ip", &["addr", "show", "dev", "eth0"]).contains("dadfailed")
        });
    }
}

#[test]
fn a_stranger_that_takes_an_address_loses_it_again_and_is_named() {
    let Some(options) = options() else { return };
    let site = site(Options { nodes: 2, ..options });
    let address = site.service("web", &json!({}))[0];
    let owner = site.owner("web");
    let found = || site.run("client", "ip", &["neigh", "show", &address.to_string(), "dev", "eth0"]);
    let own = site.lab.member(&owner).unwrap().interfaces[0].mac.clone();
    assert!(found().contains(&own));
    let seen = site.lab.capture("client", "eth0", "arp").unwrap();
    site.run("router", "ip", &["addr", "add", &format!("{address}/32"), "dev", "eth0"]);
    site.run("router", "arping", &["-U", "-c", "1", "-I", "eth0", &address.to_string()]);
    let stranger = site.lab.member("router").unwrap().interfaces[0].mac.clone();
    let claims =
        |line: &str, mac: &str| line.contains(&format!(" {mac} > ")) && line.contains(&format!("{address}"));
    assert!(seen.wait_for(|line| claims(line, &stranger), DEADLINE).is_some());
    // The owner says so once more, and neighbours believe whoever was last.
    eventually("the client finds the owner again", || found().contains(&own));
    let text = format!(
        "a station that is no speaker with MAC address {stranger} also answers for {address} on interface \"eth0\" of node \
         \"{owner}\""
    );
    eventually("the event", || site.events("web", "addressConflict").contains(&text));
    eventually("the condition", || {
        let all = site.get("/apis/metallb.io/v1beta1/servicel2statuses");
        let conditions = all["items"][0]["status"]["conditions"].as_array().cloned().unwrap_or_default();
        conditions.iter().any(|it| it["type"] == "AddressConflict" && it["status"] == "True")
    });
}

#[test]
fn an_address_is_announced_anew_when_the_cable_or_the_hardware_has_changed() {
    let Some(options) = options() else { return };
    let site = site(Options { nodes: 1, ..options });
    let address = site.service("web", &json!({}))[0];
    site.owner("web");
    let seen = site.lab.capture("client", "eth0", "arp").unwrap();
    let unasked = |line: &str| {
        line.contains(&format!("who-has {address} (ff:ff:ff:ff:ff:ff) tell {address}"))
            || line.contains(&format!("who-has {address} tell {address}"))
    };
    let count = || seen.lines().iter().filter(|line| unasked(line)).count();
    site.lab.cut("1", Cut::Cable).unwrap();
    assert_eq!(site.who_has(address), None);
    let before = count();
    site.lab.restore("1").unwrap();
    eventually("it is announced again", || count() > before);
    assert_eq!(site.who_has(address).as_deref(), Some("node-1"));
    site.run("node-1", "ip", &["link", "set", "eth0", "address", "02:10:10:00:99:99"]);
    let renewed = |line: &str| unasked(line) && line.contains("02:10:10:00:99:99 > ");
    assert!(seen.wait_for(renewed, DEADLINE).is_some(), "{:?}", seen.lines());
    assert_eq!(site.who_has(address).as_deref(), Some("02:10:10:00:99:99"));
}

#[test]
fn a_speaker_that_hears_nothing_new_goes_on_and_two_that_disagree_find_out() {
    let Some(options) = options() else { return };
    let often = ["--garp-refresh".to_owned(), "1s".to_owned()];
    let site = site(Options { speaker_arguments: often.into(), ..options });
    let address: IpAddr = site.service("web", &json!({}))[0];
    let owner = site.owner("web");
    let to = SocketAddr::new(address, 80);
    eventually("an answer", || site.ask_http("client", to).is_some());
    // Without an API server everything stays.
    site.lab.cut(&owner, Cut::Management).unwrap();
    stays("the owner answers", || site.who_has(address).as_ref() == Some(&owner));
    assert!(site.ask_http("client", to).is_some());
    // The others hear that it may not announce any more, and it does not.
    site.label_node(&owner, EXCLUDE, Some(""));
    let mut next = String::new();
    eventually("another one has told that it announces", || {
        next = site
            .announcers("web")
            .into_iter()
            .find(|node| others(&owner).contains(&node.as_str()))
            .unwrap_or_default();
        !next.is_empty()
    });
    eventually("it is told that two answer", || {
        let events = site.events("web", "addressConflict");
        events.iter().any(|text| {
            text.starts_with(&format!("the speaker of node {owner:?}"))
                && text.contains(&format!("\"{next}\""))
                || text.contains(&format!("is left to the speaker of node {owner:?}"))
        })
    });
    site.lab.restore(&owner).unwrap();
    site.owner_among("web", &[&next]);
    site.label_node(&owner, EXCLUDE, None);
    site.owner_among("web", &[&owner]);
}

/// Each speaker believes to be the only one.
#[test]
fn of_speakers_that_know_nothing_of_each_other_one_answers() {
    let Some(options) = options() else { return };
    let site = site(options);
    let address = site.service("web", &json!({}))[0];
    let mut order = vec![site.owner("web")];
    order.extend(others(&order[0]).into_iter().map(str::to_owned));
    if !plan::elect::keeps(address, &order[1], &order[2]) {
        order.swap(1, 2);
    }
    for node in &order {
        site.lab.kill_speaker(node).unwrap();
        site.lab.start_speaker_with(node, &["--speakers", node]).unwrap();
    }
    let [first, second, third] = &order[..] else { panic!() };
    let left_to = |node: &str| {
        let text = format!("{address} is left to the speaker of node {node:?}");
        site.events("web", "addressConflict").iter().filter(|event| event.starts_with(&text)).count()
    };
    eventually("all of them have answered, and two have given way", || {
        // Whoever gives way names the one that answered when it asked, which may be about to give way as well.
        left_to(first) > 0 && left_to(first) + left_to(second) + left_to(third) >= 2
    });
    let answers_alone = |node: &String| site.all_who_have(address) == std::slice::from_ref(node);
    eventually("one answers", || answers_alone(first));
    eventually("one says so", || site.announcers("web") == std::slice::from_ref(first));
    for _ in 0..3 {
        assert!(answers_alone(first), "also when the others look again");
    }
    assert_eq!(site.who_has(address).as_ref(), Some(first), "and clients have learnt it");
    site.lab.kill_speaker(first).unwrap();
    eventually("another one takes it back", || !site.all_who_have(address).is_empty());
    eventually("and no more than one", || answers_alone(second) || answers_alone(third));
}

#[test]
fn a_broken_configuration_changes_nothing_and_says_so_everywhere() {
    let Some(options) = options() else { return };
    let site = site(Options { nodes: 2, ..options });
    let address = site.service("web", &json!({}))[0];
    let owner = site.owner("web");
    let results = || -> Vec<Value> {
        let all = site.get("/apis/metallb.io/v1beta1/namespaces/metallb-system/configurationstates");
        all["items"].as_array().unwrap().iter().map(|it| it["status"]["result"].clone()).collect()
    };
    eventually("all is well", || results() == ["Valid", "Valid", "Valid"]);
    site.resource("IPAddressPool", "annex", &json!({}), &json!({"addresses": ["10.10.100.8/29"]}));
    eventually("controller and speakers say so", || results() == ["Invalid", "Invalid", "Invalid"]);
    stays("the owner", || site.who_has(address).as_ref() == Some(&owner));
    site.delete(&crate::site::resource_path("IPAddressPool", "annex"));
    eventually("all is well again", || results() == ["Valid", "Valid", "Valid"]);
    assert_eq!(site.owner("web"), owner);
}
