use std::collections::BTreeSet;
use std::net::IpAddr;
use std::time::Duration;

use protocol::l2::MacAddress;
use protocol::l2::arp::{Operation, Packet};
use tokio::sync::mpsc::Receiver;

use super::net::{Switch, eventually, is_possible, wire_of};
use super::{announce, apply, withdraw};
use crate::layer2::wire::Wire;
use crate::layer2::{Change, News};

/// The next of which something is so.
fn hear(news: &mut Receiver<News>, what: &str, is_it: impl Fn(&News) -> bool) -> News {
    let mut found = None;
    eventually(what, || {
        found = std::iter::from_fn(|| news.try_recv().ok()).find(&is_it);
        found.is_some()
    });
    found.unwrap()
}

/// An announcement that is repeated would be heard instead of what it is tested for.
fn wait_out_repetitions(wire: &Wire) {
    assert!(wire.wait_for(Duration::from_secs(6), |_| false).unwrap().is_none());
}

#[test]
fn who_wants_an_address_learns_that_it_is_taken() {
    if !is_possible(&["arping"]) {
        return;
    }
    let lan = Switch::new();
    let (node, client) = (lan.new_host(), lan.new_host());
    let layer2 = node.start(|_| {});
    let mut news = layer2.news();
    apply(&layer2, vec![announce("192.0.2.7", &[]), announce("2001:db8::7", &[])]);
    assert!(
        !client.output("arping -D -c 1 -w 1 -I eth0 192.0.2.7").status.success(),
        "it would be a duplicate"
    );
    assert!(client.output("arping -D -c 1 -w 1 -I eth0 192.0.2.8").status.success());
    let wire = wire_of(&client, "eth0");
    wait_out_repetitions(&wire);
    client.set("net/ipv6/conf/eth0/accept_dad", "1");
    client.ip("address add 2001:db8::7/64 dev eth0");
    client.ip("address add 2001:db8::8/64 dev eth0");
    eventually("one is refused", || {
        client.says("ip -6 address show dev eth0 dadfailed").contains("2001:db8::7/64")
    });
    eventually("one is free", || {
        !client.says("ip -6 address show dev eth0 tentative -dadfailed").contains("2001")
    });
    assert!(client.says("ip -6 address show dev eth0").contains("2001:db8::8/64"));
    let theirs = client.station("eth0");
    for address in ["192.0.2.7", "2001:db8::7"] {
        let wanted =
            News::Wanted { address: address.parse().unwrap(), interface: "eth0".into(), station: theirs };
        hear(&mut news, address, |it| *it == wanted);
    }
}

#[test]
fn a_stranger_is_told_of_and_loses_the_neighbours_again() {
    if !is_possible(&[]) {
        return;
    }
    let lan = Switch::new();
    let (node, stranger, client) = (lan.new_host(), lan.new_host(), lan.new_host());
    client.ip("address add 192.0.2.200/24 dev eth0");
    let layer2 = node.start(|_| {});
    let mut news = layer2.news();
    apply(&layer2, vec![announce("192.0.2.7", &[])]);
    let (ours, theirs) = (node.station("eth0"), stranger.station("eth0"));
    eventually("an entry", || {
        client.says("ping -c 1 -W 1 192.0.2.7");
        client.neighbour("192.0.2.7") == Some(ours)
    });
    let claim = Packet::gratuitous(Operation::Request, theirs, "192.0.2.7".parse().unwrap());
    wire_of(&stranger, "eth0").send(claim.frame(MacAddress::BROADCAST).bytes()).unwrap();
    let heard = hear(&mut news, "the conflict", |it| matches!(it, News::Conflict { .. }));
    let address = "192.0.2.7".parse().unwrap();
    let interface = "eth0".into();
    let expected =
        News::Conflict { address, interface, station: theirs, fellow: false, fellow_address: None };
    assert_eq!(heard, expected);
    eventually("it is ours again", || client.neighbour("192.0.2.7") == Some(ours));
    assert_eq!(layer2.counters().of(address).conflicts(), 1);
}

#[test]
fn a_fellow_is_known_by_the_address_of_its_node_and_not_fought() {
    if !is_possible(&[]) {
        return;
    }
    let lan = Switch::new();
    let (one, two, client) = (lan.new_host(), lan.new_host(), lan.new_host());
    one.ip("address add 192.0.2.1/24 dev eth0");
    two.ip("address add 192.0.2.2/24 dev eth0");
    client.ip("address add 192.0.2.200/24 dev eth0");
    let (of_one, of_two) = (one.start(|_| {}), two.start(|_| {}));
    let mut news = of_one.news();
    let fellow = Change::Fellows { stations: [].into(), addresses: ["192.0.2.2".parse().unwrap()].into() };
    apply(&of_one, vec![fellow, announce("192.0.2.7", &[])]);
    let wire = wire_of(&client, "eth0");
    wait_out_repetitions(&wire);
    apply(&of_two, vec![announce("192.0.2.7", &[])]);
    let theirs = two.station("eth0");
    let heard = hear(&mut news, "the fellow", |it| matches!(it, News::Conflict { .. }));
    let address = "192.0.2.7".parse().unwrap();
    let (interface, fellow_address) = ("eth0".into(), Some("192.0.2.2".parse().unwrap()));
    let expected = News::Conflict { address, interface, station: theirs, fellow: true, fellow_address };
    assert_eq!(heard, expected);
    assert_eq!(wire.heard_from(one.station("eth0"), Duration::from_millis(500)).unwrap().len(), 0);
}

#[test]
fn with_probes_a_taken_address_is_claimed_when_it_is_free() {
    if !is_possible(&["arping"]) {
        return;
    }
    let lan = Switch::new();
    let (node, other, client) = (lan.new_host(), lan.new_host(), lan.new_host());
    client.ip("address add 192.0.2.200/24 dev eth0");
    for address in ["192.0.2.7/24", "2001:db8::7/64"] {
        other.ip(&format!("address add {address} dev eth0"));
    }
    let layer2 = node.start(|options| options.probe_before_claim = true);
    let mut news = layer2.news();
    apply(
        &layer2,
        vec![announce("192.0.2.7", &[]), announce("192.0.2.8", &[]), announce("2001:db8::7", &[])],
    );
    eventually("a free one is claimed", || client.ask("eth0", "192.0.2.8") == Some(node.station("eth0")));
    for taken in ["192.0.2.7", "2001:db8::7"] {
        let taken: IpAddr = taken.parse().unwrap();
        let is_it = |it: &News| matches!(it, News::ClaimRefused { address, .. } if *address == taken);
        // Either may come first; the one that is passed over comes again with the next attempt.
        hear(&mut news, "a refusal", is_it);
    }
    for address in ["192.0.2.7/24", "2001:db8::7/64"] {
        other.ip(&format!("address del {address} dev eth0"));
    }
    hear(&mut news, "a late claim", |it| matches!(it, News::Claimed { .. }));
    eventually("ours", || client.ask("eth0", "192.0.2.7") == Some(node.station("eth0")));
}

#[test]
fn an_address_that_moves_is_answered_for_all_the_time() {
    if !is_possible(&["arping", "ndisc6"]) {
        return;
    }
    let lan = Switch::new();
    let (one, two, client) = (lan.new_host(), lan.new_host(), lan.new_host());
    client.ip("address add 192.0.2.200/24 dev eth0");
    client.ip("address add 2001:db8::200/64 dev eth0");
    let (of_one, of_two) = (one.start(|_| {}), two.start(|_| {}));
    let mut news = of_one.news();
    for text in ["192.0.2.7", "2001:db8::7"] {
        let (first, second) = (one.station("eth0"), two.station("eth0"));
        let address: IpAddr = text.parse().unwrap();
        apply(&of_one, vec![announce(text, &[])]);
        client.finds(text, first);
        apply(&of_one, vec![Change::Yield { address, within: Duration::from_secs(600) }]);
        client.finds(text, first);
        apply(&of_two, vec![announce(text, &[])]);
        hear(&mut news, "the end", |it| *it == News::Yielded { address, heard: true });
        client.finds(text, second);
        apply(&of_two, vec![withdraw(text)]);
        assert_eq!(client.ask("eth0", text), None, "the first one does not listen any more");

        apply(&of_one, vec![announce(text, &[])]);
        apply(&of_one, vec![Change::Yield { address, within: Duration::from_millis(50) }]);
        hear(&mut news, "the end", |it| *it == News::Yielded { address, heard: false });
        assert_eq!(client.ask("eth0", text), None);
    }
}

#[test]
fn everything_is_said_again_when_it_is_asked_for() {
    if !is_possible(&[]) {
        return;
    }
    let lan = Switch::new();
    let (node, client) = (lan.new_host(), lan.new_host());
    let layer2 = node.start(|_| {});
    apply(&layer2, vec![announce("192.0.2.7", &[]), announce("192.0.2.8", &[])]);
    let wire = wire_of(&client, "eth0");
    wait_out_repetitions(&wire);
    let ours = node.station("eth0");
    // The kernel speaks from there as well, and not by ARP.
    let is_ours = |frame: &[u8]| frame.get(6..14) == Some(&[&ours.0[..], &[8, 6]].concat());
    let heard = |frame: &[u8]| is_ours(frame).then(|| frame[28..32].to_vec());
    let one = BTreeSet::from([IpAddr::from([192, 0, 2, 8])]);
    for (change, addresses) in [
        (Change::Again, vec![[192, 0, 2, 7], [192, 0, 2, 8]]),
        (Change::AnnounceAgain { addresses: one }, vec![[192, 0, 2, 8]]),
    ] {
        apply(&layer2, vec![change]);
        let mut seen = BTreeSet::new();
        wire.wait_for(Duration::from_millis(500), |frame| {
            seen.extend(heard(frame));
            false
        })
        .unwrap();
        assert!(seen.iter().eq(&addresses), "{seen:?}");
        wait_out_repetitions(&wire);
    }
}
