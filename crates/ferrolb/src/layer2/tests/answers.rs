use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use protocol::l2::ethernet::{TYPE_ARP, TYPE_IPV6};
use protocol::l2::ndp::{Kind, Message, solicited_node_group};
use protocol::l2::{DropReason, MacAddress};
use rustix::thread::{CapabilitySet, CapabilitySets, set_capabilities};

use super::net::{Host, Switch, eventually, is_possible, wire_of};
use super::{announce, apply, withdraw};
use crate::layer2::{Change, start};

const WAIT: Duration = Duration::from_secs(5);

#[test]
fn whoever_asks_gets_the_station_and_for_other_addresses_nothing() {
    if !is_possible(&["arping", "ndisc6"]) {
        return;
    }
    let lan = Switch::new();
    let (node, client) = (lan.new_host(), lan.new_host());
    client.ip("address add 192.0.2.200/24 dev eth0");
    let layer2 = node.start(|_| {});
    let ours = node.station("eth0");
    apply(
        &layer2,
        vec![
            announce("192.0.2.7", &[]),
            announce("2001:db8::7", &["eth0"]),
            announce("192.0.2.8", &["eth1"]),
        ],
    );
    client.finds("192.0.2.7", ours);
    client.finds("2001:db8::7", ours);
    for other in ["192.0.2.8", "192.0.2.9", "2001:db8::8"] {
        assert_eq!(client.ask("eth0", other), None, "{other}");
    }
    let counters = layer2.counters();
    let figures = counters.of("192.0.2.7".parse().unwrap());
    assert!(figures.requests_received() >= 1 && figures.responses_sent() == figures.requests_received());
    assert!(counters.dropped(DropReason::NotMatchInterface) >= 1);
    assert_eq!(counters.dropped(DropReason::AnnounceIp), 0, "the kernel keeps those");
    apply(&layer2, vec![withdraw("192.0.2.7"), withdraw("2001:db8::7")]);
    assert_eq!(client.ask("eth0", "192.0.2.7"), None);
    assert_eq!(client.ask("eth0", "2001:db8::7"), None);
}

#[test]
fn behind_a_closed_gate_nothing_is_said() {
    if !is_possible(&["arping", "ndisc6"]) {
        return;
    }
    let lan = Switch::new();
    let (node, client) = (lan.new_host(), lan.new_host());
    client.ip("address add 192.0.2.200/24 dev eth0");
    let layer2 = node.start(|_| {});
    let ours = node.station("eth0");
    let (gate, counters) = (layer2.gate(), layer2.counters());
    apply(&layer2, vec![announce("192.0.2.7", &[]), announce("2001:db8::7", &[])]);
    client.finds("192.0.2.7", ours);
    // As after a pause: there was time, and it is over.
    gate.set(Some(Instant::now()));
    let dropped = counters.dropped(DropReason::GateClosed);
    assert_eq!(client.ask("eth0", "192.0.2.7"), None);
    assert_eq!(client.ask("eth0", "2001:db8::7"), None);
    apply(&layer2, vec![announce("192.0.2.8", &[])]);
    assert!(counters.dropped(DropReason::GateClosed) >= dropped + 4, "two answers, and an announcement");
    // There is time again, and nothing is decided yet.
    gate.need(1);
    gate.set(Some(Instant::now() + Duration::from_secs(60)));
    assert_eq!(client.ask("eth0", "192.0.2.7"), None);
    apply(&layer2, vec![Change::Decided(1), Change::Again]);
    client.finds("192.0.2.7", ours);
    client.finds("192.0.2.8", ours);
    client.finds("2001:db8::7", ours);
}

#[test]
fn switches_that_listen_forward_solicitations() {
    if !is_possible(&["ndisc6"]) {
        return;
    }
    let lan = Switch::that_listens();
    let (node, client) = (lan.new_host(), lan.new_host());
    let layer2 = node.start(|_| {});
    apply(&layer2, vec![announce("2001:db8::7", &[])]);
    eventually("the switch knows the group", || lan.says("bridge mdb show").contains("ff02::1:ff00:7"));
    client.finds("2001:db8::7", node.station("eth0"));
}

#[test]
fn neighbours_follow_an_address_to_its_new_node_at_once() {
    if !is_possible(&["arping"]) {
        return;
    }
    let lan = Switch::new();
    let (one, two, client) = (lan.new_host(), lan.new_host(), lan.new_host());
    client.ip("address add 192.0.2.200/24 dev eth0");
    client.ip("address add 2001:db8::200/64 dev eth0");
    let (of_one, of_two) = (one.start(|_| {}), two.start(|_| {}));
    for address in ["192.0.2.7", "2001:db8::7"] {
        apply(&of_one, vec![announce(address, &[])]);
        // Any packet makes the kernel ask.
        eventually("an entry", || {
            client.says(&format!("ping -c 1 -W 1 {address}"));
            client.neighbour(address) == Some(one.station("eth0"))
        });
        apply(&of_one, vec![withdraw(address)]);
        let moved = Instant::now();
        apply(&of_two, vec![announce(address, &[])]);
        eventually("the other node", || client.neighbour(address) == Some(two.station("eth0")));
        assert!(moved.elapsed() < Duration::from_secs(1), "{:?}", moved.elapsed());
    }
}

#[test]
fn solicitations_to_one_station_or_from_far_addresses_are_answered_with_the_truth() {
    if !is_possible(&[]) {
        return;
    }
    let lan = Switch::new();
    let (node, client) = (lan.new_host(), lan.new_host());
    let layer2 = node.start(|_| {});
    apply(&layer2, vec![announce("2001:db8::7", &[])]);
    let (ours, theirs) = (node.station("eth0"), client.station("eth0"));
    let wire = wire_of(&client, "eth0");
    let target = "2001:db8::7".parse().unwrap();
    let group = solicited_node_group(target);
    for (case, source, destination, to, station) in [
        ("to the group", "fe80::9", group, MacAddress::of_group(group), Some(theirs)),
        ("to the station", "fe80::9", target, ours, Some(theirs)),
        ("from a global address", "2001:db8:9::9", group, MacAddress::of_group(group), Some(theirs)),
        ("without its station", "fe80::9", target, ours, None),
    ] {
        let source = source.parse().unwrap();
        let question = Message { source, destination, kind: Kind::Solicitation, target, station };
        wire.send(question.frame(theirs, to).bytes()).unwrap();
        let is_answer = |frame: &[u8]| {
            let message = Message::parse(frame.get(14..).unwrap_or_default());
            frame[..6] == theirs.0 && frame[6..12] == ours.0 && message.is_some_and(|it| it.target == target)
        };
        let answer = wire.wait_for(WAIT, is_answer).unwrap().expect(case);
        let answer = Message::parse(&answer[14..]).expect(case);
        assert_eq!(answer.kind, Kind::Advertisement { solicited: true, overrides: false }, "{case}");
        assert_eq!(
            (answer.destination, answer.target, answer.station),
            (source, target, Some(ours)),
            "{case}"
        );
    }
}

#[test]
fn a_thousand_addresses_are_taken_over_within_a_second_and_every_frame_arrives() {
    if !is_possible(&[]) {
        return;
    }
    let lan = Switch::new();
    let (node, client) = (lan.new_host(), lan.new_host());
    let layer2 = node.start(|_| {});
    let wire = wire_of(&client, "eth0");
    let addresses: Vec<String> =
        (0..1000).map(|number| format!("10.0.{}.{}", number / 250, number % 250)).collect();
    let begin = Instant::now();
    apply(&layer2, addresses.iter().map(|address| announce(address, &[])).collect());
    let heard = wire.heard_from(node.station("eth0"), Duration::from_millis(1000)).unwrap();
    let first_round = heard.iter().filter(|(_, frame)| frame[12..14] == TYPE_ARP.to_be_bytes());
    let first_round: Vec<_> =
        first_round.map(|(at, frame)| (*at, frame[21], frame[28..32].to_vec())).collect();
    assert_eq!(first_round.len(), 2000);
    for operation in [1, 2] {
        let told: BTreeSet<_> = first_round.iter().filter(|it| it.1 == operation).map(|it| &it.2).collect();
        assert_eq!(told.len(), 1000, "{operation}");
    }
    let last = first_round.last().unwrap().0 - begin;
    assert!(last < Duration::from_secs(1), "{last:?}");
}

#[test]
fn nothing_more_than_raw_sockets_is_needed() {
    if !is_possible(&["arping", "ndisc6"]) {
        return;
    }
    let lan = Switch::new();
    let (node, client) = (lan.new_host(), lan.new_host());
    client.ip("address add 192.0.2.200/24 dev eth0");
    // What is given up stays given up for the thread, and so for this host.
    let ours = node.station("eth0");
    let layer2 = node.run(|| {
        let only = CapabilitySets {
            effective: CapabilitySet::NET_RAW,
            permitted: CapabilitySet::NET_RAW,
            inheritable: CapabilitySet::empty(),
        };
        set_capabilities(None, only).unwrap();
        start(super::super::Options::default()).unwrap()
    });
    apply(&layer2, vec![announce("192.0.2.7", &[]), announce("2001:db8::7", &[])]);
    client.finds("192.0.2.7", ours);
    client.finds("2001:db8::7", ours);
}

#[test]
fn a_flood_of_frames_keeps_nobody_from_an_answer_and_costs_no_memory() {
    const ALONE: &str = "FERROLB_TEST_ALONE";
    if !is_possible(&["arping", "ndisc6"]) {
        return;
    }
    if std::env::var_os(ALONE).is_none() {
        // In a process of its own, because memory is that of a process.
        let mut again = std::process::Command::new(std::env::current_exe().unwrap());
        let name = std::thread::current().name().unwrap().to_owned();
        let output = again.args(["--exact", &name]).env(ALONE, "yes").output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
        return;
    }
    let lan = Switch::new();
    let (node, client, flooder) = (lan.new_host(), lan.new_host(), lan.new_host());
    client.ip("address add 192.0.2.200/24 dev eth0");
    let layer2 = node.start(|_| {});
    let mut news = layer2.news();
    apply(&layer2, vec![announce("192.0.2.7", &[]), announce("2001:db8::7", &[])]);
    let ours = node.station("eth0");
    client.finds("192.0.2.7", ours);
    let before = resident_kilobytes();
    let flood = Flood::start(&flooder, ours);
    let until = Instant::now() + Duration::from_secs(5);
    let mut asked = 0;
    while Instant::now() < until {
        client.finds("192.0.2.7", ours);
        client.finds("2001:db8::7", ours);
        asked += 1;
    }
    let sent = flood.stop();
    let after = resident_kilobytes();
    assert!(sent > 10_000 && asked > 1, "{sent} {asked}");
    assert!(after < before + 4096, "{before} kB, {after} kB after {sent} frames");
    assert!(news.try_recv().is_ok(), "conflicts are among them");
}

/// Frames that look nearly as if they were meant for the node, and some that look like nothing, as many as go.
struct Flood {
    stop: std::sync::Arc<std::sync::atomic::AtomicBool>,
    thread: std::thread::JoinHandle<u64>,
}

impl Flood {
    fn start(from: &Host, station: MacAddress) -> Flood {
        let wire = wire_of(from, "eth0");
        let stop = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
        let stopped = std::sync::Arc::clone(&stop);
        let thread = std::thread::spawn(move || {
            let mut sent = 0;
            let mut random = 7_u64;
            while !stopped.load(std::sync::atomic::Ordering::Relaxed) {
                random =
                    random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                wire.send(&hostile(station, random)).unwrap();
                sent += 1;
            }
            sent
        });
        Flood { stop, thread }
    }

    fn stop(self) -> u64 {
        self.stop.store(true, std::sync::atomic::Ordering::Relaxed);
        self.thread.join().unwrap()
    }
}

fn hostile(station: MacAddress, random: u64) -> Vec<u8> {
    let random = random.to_be_bytes();
    let target = "2001:db8::7".parse().unwrap();
    let sender = MacAddress([2, random[0], random[1], random[2], 0, 0xee]);
    let mut frame = if random[3] & 1 == 0 {
        let mut bytes = vec![0xff; 6];
        bytes.extend(sender.0);
        bytes.extend(TYPE_ARP.to_be_bytes());
        bytes.extend([0, 1, 8, 0, 6, 4, 0, 1 + (random[3] >> 7)]);
        bytes.extend(sender.0);
        bytes.extend([192, 0, 2, 7]);
        bytes.extend([0; 6]);
        bytes.extend([192, 0, 2, 7]);
        bytes
    } else {
        let kind = Kind::Advertisement { solicited: false, overrides: true };
        let message = Message { source: target, destination: target, kind, target, station: Some(sender) };
        message.frame(sender, station).bytes().to_vec()
    };
    match random[4] % 4 {
        0 => {
            let place = 14 + usize::from(random[5]) % (frame.len() - 14);
            frame[place] ^= random[6];
        }
        1 => frame.truncate(14 + usize::from(random[5]) % (frame.len() - 14)),
        2 => frame.extend([random[6]; 1000]),
        _ => {}
    }
    if random[7] == 0 {
        frame[12..14].copy_from_slice(&TYPE_IPV6.to_be_bytes());
    }
    frame
}

fn resident_kilobytes() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}
