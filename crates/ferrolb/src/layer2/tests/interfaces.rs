use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use protocol::l2::MacAddress;

use super::net::{Host, Switch, eventually, is_possible, wire_of};
use super::{announce, apply};
use crate::layer2::wire::Wire;
use crate::layer2::{Bound, Excluded, Layer2, Links, Silence};

fn links(layer2: &Layer2) -> Arc<Links> {
    layer2.links().borrow().clone()
}

fn answers(layer2: &Layer2, interface: &str) -> bool {
    links(layer2).by_name.get(interface).is_some_and(|link| link.arp.is_ok() && link.ndp.is_ok())
}

/// A round for an address that arrives at the wire.
fn is_told(wire: &Wire, station: MacAddress) -> bool {
    wire.wait_for(Duration::from_secs(5), |frame| frame[..6] == [0xff; 6] && frame[6..12] == station.0)
        .unwrap()
        .is_some()
}

#[test]
fn interfaces_are_followed_whatever_becomes_of_them() {
    if !is_possible(&["arping", "ndisc6"]) {
        return;
    }
    let lan = Switch::new();
    let (node, client) = (Host::new(), lan.new_host());
    client.ip("address add 192.0.2.200/24 dev eth0");
    let layer2 = node.start(|_| {});
    apply(&layer2, vec![announce("192.0.2.7", &["wan"]), announce("2001:db8::7", &["wan"])]);
    let asked = || ["192.0.2.7", "2001:db8::7"].map(|address| client.ask("eth0", address));

    let is_answered = |what: &str, station| eventually(what, || asked() == [Some(station); 2]);

    lan.connect(&node, "lan0");
    eventually("it is known and down", || {
        links(&layer2).by_name.get("lan0").is_some_and(|link| link.arp == Err(Silence::Down) && !link.up)
    });
    lan.up(&node, "lan0");
    eventually("it is up", || answers(&layer2, "lan0"));
    assert_eq!(asked(), [None; 2], "another name");
    let mut station = node.station("lan0");

    node.ip("link set lan0 down");
    let wire = wire_of(&client, "eth0");
    node.ip("link set lan0 name wan");
    node.ip("link set wan up");
    assert!(is_told(&wire, station), "a new name");
    eventually("the new name", || answers(&layer2, "wan"));
    assert!(!links(&layer2).by_name.contains_key("lan0"));
    is_answered("a new name", station);

    node.ip("link set wan address 02:00:00:00:77:01");
    station = MacAddress([2, 0, 0, 0, 0x77, 1]);
    assert!(is_told(&wire, station), "a new station");
    is_answered("a new station", station);

    node.ip("link set wan down");
    eventually("it is down", || !answers(&layer2, "wan"));
    assert_eq!(asked(), [None; 2]);
    let wire = wire_of(&client, "eth0");
    node.ip("link set wan up");
    assert!(is_told(&wire, station), "up again");
    is_answered("up again", station);

    let elsewhere = Host::new();
    let id = elsewhere.id();
    node.ip(&format!("link set wan netns {id}"));
    elsewhere.ip("link set wan up");
    eventually("it is gone", || links(&layer2).by_name.is_empty());
    assert_eq!(asked(), [None; 2]);
    let id = node.id();
    let wire = wire_of(&client, "eth0");
    elsewhere.ip(&format!("link set wan netns {id}"));
    node.ip("link set wan up");
    assert!(is_told(&wire, station), "back again");
    is_answered("back again", station);
}

#[test]
fn a_carrier_that_comes_back_is_told() {
    if !is_possible(&[]) {
        return;
    }
    let (node, peer) = (Host::new(), Host::new());
    let id = peer.id();
    node.ip(&format!("link add eth0 type veth peer name far netns {id}"));
    node.ip("link set eth0 up");
    let layer2 = node.start(|_| {});
    apply(&layer2, vec![announce("192.0.2.7", &[])]);
    peer.ip("link set far up");
    let wire = wire_of(&peer, "far");
    assert!(is_told(&wire, node.station("eth0")));
    peer.ip("link set far down");
    let wire = wire_of(&peer, "far");
    peer.ip("link set far up");
    assert!(is_told(&wire, node.station("eth0")));
}

#[test]
fn bridges_answer_and_their_ports_do_not() {
    if !is_possible(&["arping", "ndisc6"]) {
        return;
    }
    let lan = Switch::new();
    let (node, client) = (lan.new_host(), lan.new_host());
    client.ip("address add 192.0.2.200/24 dev eth0");
    node.ip("link add br7 type bridge mcast_snooping 0");
    node.ip("link set br7 address 02:00:00:00:77:07 up");
    let layer2 = node.start(|options| options.excluded = Excluded::parse(&["^veth".to_owned()]).unwrap());
    apply(&layer2, vec![announce("192.0.2.7", &[]), announce("2001:db8::7", &[])]);
    eventually("it answers by itself", || answers(&layer2, "eth0"));
    node.ip("link set eth0 master br7");
    eventually("it is a port", || links(&layer2).by_name["eth0"].arp == Err(Silence::Enslaved));
    let bridge = Some(MacAddress([2, 0, 0, 0, 0x77, 7]));
    for address in ["192.0.2.7", "2001:db8::7"] {
        eventually("the bridge answers", || client.ask("eth0", address) == bridge);
    }
    assert_eq!(links(&layer2).by_name["lo"].arp, Err(Silence::NotEthernet));
    node.ip("link add veth7 type veth peer name other");
    eventually("the other end", || links(&layer2).by_name.contains_key("other"));
    assert!(!links(&layer2).by_name.contains_key("veth7"), "excluded");
}

#[test]
fn macvlans_and_several_interfaces_on_one_segment_answer_each_for_itself() {
    if !is_possible(&["arping"]) {
        return;
    }
    let lan = Switch::new();
    let (node, client) = (lan.new_host(), lan.new_host());
    client.ip("address add 192.0.2.200/24 dev eth0");
    lan.connect(&node, "eth1");
    lan.up(&node, "eth1");
    node.ip("link add mac0 link eth0 type macvlan mode bridge");
    node.ip("link set mac0 up");
    let layer2 = node.start(|_| {});
    let mut news = layer2.news();
    let names = ["eth0", "eth1", "mac0"];
    for (number, name) in (1..).zip(names) {
        apply(&layer2, vec![announce(&format!("192.0.2.{number}"), &[name])]);
    }
    apply(&layer2, vec![announce("192.0.2.9", &[])]);
    for (number, name) in (1..).zip(names) {
        client.finds(&format!("192.0.2.{number}"), node.station(name));
    }
    let is_ours = |station: Option<_>| names.iter().any(|name| Some(node.station(name)) == station);
    eventually("one of them answers", || is_ours(client.ask("eth0", "192.0.2.9")));
    assert!(news.try_recv().is_err(), "what a node hears of itself is no conflict");
}

#[test]
fn an_interface_without_a_link_local_address_answers_too() {
    if !is_possible(&["ndisc6"]) {
        return;
    }
    let lan = Switch::new();
    let (node, client) = (Host::new(), lan.new_host());
    lan.connect(&node, "eth0");
    node.ip("link set eth0 addrgenmode none");
    lan.up(&node, "eth0");
    let layer2 = node.start(|_| {});
    let wire = wire_of(&client, "eth0");
    apply(&layer2, vec![announce("2001:db8::7", &[])]);
    let vip = "2001:db8::7".parse::<std::net::Ipv6Addr>().unwrap().octets();
    let is_from = |source: [u8; 16]| {
        wire.wait_for(Duration::from_secs(5), |frame| {
            frame.len() > 78 && frame[54] == 136 && frame[62..78] == vip && frame[22..38] == source
        })
        .unwrap()
        .is_some()
    };
    assert!(is_from(vip), "from the address itself");
    client.finds("2001:db8::7", node.station("eth0"));
    node.ip("address add fe80::77/64 dev eth0");
    let link_local = "fe80::77".parse::<std::net::Ipv6Addr>().unwrap().octets();
    assert!(is_from(link_local), "from then on from the one that appeared");
}

#[test]
fn bound_addresses_are_there_until_they_are_not_even_after_a_kill() {
    if !is_possible(&[]) {
        return;
    }
    let host = Host::new();
    host.ip("address add 192.0.2.1/32 dev lo");
    let set =
        |addresses: &[&str]| -> BTreeSet<IpAddr> { addresses.iter().map(|it| it.parse().unwrap()).collect() };
    let wanted = set(&["192.0.2.1", "192.0.2.7", "2001:db8::7"]);
    let (first, second) = (wanted.clone(), set(&["192.0.2.8"]));
    let shown = || {
        let said = host.says("ip -o address show dev lo");
        let addresses = said.split_whitespace().filter(|it| it.contains('/'));
        let others = addresses.filter(|it| !["127.0.0.1/8", "::1/128"].contains(it));
        others.map(str::to_owned).collect::<BTreeSet<_>>()
    };
    let shows = |addresses: &[&str]| shown().iter().eq(addresses);
    host.run(move || {
        let mut bound = Bound::open().unwrap();
        assert_eq!(bound.set(&first).len(), 0);
        assert_eq!(bound.addresses().len(), 2, "one is there for another reason");
        // As if killed.
        std::mem::forget(bound);
    });
    assert!(shows(&["192.0.2.1/32", "192.0.2.7/32", "2001:db8::7/128"]), "{:?}", shown());
    // This host does not choose to speak from them.
    assert!(host.says("ip -o address show to 192.0.2.7").contains("scope host"));
    assert!(host.says("ip -o -6 address show to 2001:db8::7").contains("deprecated"));
    let bound = host.run(move || {
        let mut bound = Bound::open().unwrap();
        assert_eq!(bound.addresses().len(), 2);
        assert_eq!(bound.set(&second).len(), 0);
        bound
    });
    assert!(shows(&["192.0.2.1/32", "192.0.2.8/32"]), "{:?}", shown());
    drop(bound);
    assert!(shows(&["192.0.2.1/32"]), "{:?}", shown());
}
