use std::time::{Duration, Instant};

use proptest::prelude::*;

use super::*;

mod rivalry;
mod yielding;

use crate::l2::TIMES;
use crate::l2::arp::{Operation, Packet};
use crate::l2::ethernet::{HEADER_LENGTH, Header, TYPE_ARP};
use crate::l2::ndp::{Kind, Message, solicited_node_group};
use crate::machine::advance;

const ETH0: u32 = 2;
const ETH1: u32 = 3;
const STATION: MacAddress = MacAddress([2, 0, 0, 0, 0, 0xa0]);
const OTHER_STATION: MacAddress = MacAddress([2, 0, 0, 0, 0, 0xa1]);
const CLIENT: MacAddress = MacAddress([2, 0, 0, 0, 0, 0xcc]);
const STRANGER: MacAddress = MacAddress([2, 0, 0, 0, 0, 0xee]);
const FELLOW: MacAddress = MacAddress([2, 0, 0, 0, 0, 0xfe]);
const REFRESH: Duration = Duration::from_secs(60);

struct Node {
    responder: Responder,
    now: Instant,
    start: Instant,
}

/// With eth0 and eth1.
fn node() -> Node {
    let now = Instant::now();
    let options = Options { refresh: Some(REFRESH), seed: 7 };
    let mut node =
        Node { responder: Responder::new(options, Arc::new(Counters::default()), now), now, start: now };
    node.tell(Input::Own([STATION, OTHER_STATION].into()));
    node.tell(Input::Fellows([FELLOW].into()));
    node.tell(Input::Interface(eth0()));
    node.tell(Input::Interface(Interface {
        index: ETH1,
        name: "eth1".into(),
        station: OTHER_STATION,
        ..eth0()
    }));
    node
}

fn eth0() -> Interface {
    let link_local = Some("fe80::a0".parse().unwrap());
    Interface {
        index: ETH0,
        name: "eth0".into(),
        station: STATION,
        link_local,
        running: true,
        arp: true,
        ndp: true,
    }
}

impl Node {
    fn tell(&mut self, input: Input) -> Vec<Output> {
        self.responder.handle(input, self.now);
        self.drain()
    }

    fn announce(&mut self, address: &str, interfaces: &[&str]) -> Vec<Output> {
        let announce = announce(address, interfaces, false);
        self.tell(announce)
    }

    fn receive(&mut self, interface: u32, frame: &Frame) -> Vec<Output> {
        self.responder.receive(interface, frame.bytes(), self.now);
        self.drain()
    }

    fn drain(&mut self) -> Vec<Output> {
        std::iter::from_fn(|| self.responder.poll()).collect()
    }

    /// The outputs of some time, each with the milliseconds since the start.
    fn pass(&mut self, time: Duration) -> Vec<(u128, Output)> {
        let until = self.now + time;
        let mut outputs = Vec::new();
        while let Some(deadline) = self.responder.deadline().filter(|&deadline| deadline <= until) {
            self.now = self.now.max(deadline);
            let at = (self.now - self.start).as_millis();
            outputs.extend(advance(&mut self.responder, self.now).into_iter().map(|output| (at, output)));
        }
        self.now = until;
        outputs
    }

    fn dropped(&self, reason: DropReason) -> u64 {
        self.responder.state().dropped(reason)
    }

    fn counters(&self, address: &str) -> &AddressCounters {
        &self.responder.addresses[&ip(address)].counters
    }
}

fn announce(address: &str, interfaces: &[&str], probe: bool) -> Input {
    let interfaces = match interfaces {
        [] => Interfaces::All,
        names => Interfaces::these(names.iter().map(|&name| name.to_owned())),
    };
    Input::Announce { address: ip(address), interfaces, probe, counters: Arc::default() }
}

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn who_has(address: &str) -> Frame {
    request("192.0.2.200", address, CLIENT).frame(MacAddress::BROADCAST)
}

fn request(sender: &str, target: &str, station: MacAddress) -> Packet {
    Packet {
        operation: Operation::Request,
        sender_station: station,
        sender: sender.parse().unwrap(),
        target_station: MacAddress::ZERO,
        target: target.parse().unwrap(),
    }
}

fn claim(operation: Operation, address: &str, station: MacAddress) -> Frame {
    Packet::gratuitous(operation, station, address.parse().unwrap()).frame(MacAddress::BROADCAST)
}

fn solicit(source: &str, target: &str, station: Option<MacAddress>) -> Frame {
    let target = target.parse().unwrap();
    let group = solicited_node_group(target);
    let message = Message {
        source: source.parse().unwrap(),
        destination: group,
        kind: Kind::Solicitation,
        target,
        station,
    };
    message.frame(CLIENT, MacAddress::of_group(group))
}

fn advertise(target: &str, station: MacAddress) -> Frame {
    let message = Message {
        source: "fe80::1".parse().unwrap(),
        destination: ndp::ALL_NODES,
        kind: Kind::Advertisement { solicited: false, overrides: true },
        target: target.parse().unwrap(),
        station: Some(station),
    };
    message.frame(station, MacAddress::of_group(ndp::ALL_NODES))
}

/// Frames in a form for reading: `eth0: ARP request to BROADCAST of 192.0.2.7 from ...`.
fn text(outputs: &[Output]) -> Vec<String> {
    outputs.iter().map(one_text).collect()
}

fn one_text(output: &Output) -> String {
    let Output::Send { interface, frame } = output else { return format!("{output:?}") };
    let (header, payload) = Header::parse(frame.bytes()).unwrap();
    let to = header.destination;
    if header.ether_type == TYPE_ARP {
        let packet = Packet::parse(payload).unwrap();
        assert_eq!(header.source, packet.sender_station);
        let Packet { operation, sender_station, sender, target_station, target } = packet;
        return format!(
            "{interface} {to} {operation:?} {sender} is {sender_station}, to {target} {target_station}"
        );
    }
    let message = Message::parse(payload).unwrap();
    let flags = match message.kind {
        Kind::Solicitation => "who has",
        Kind::Advertisement { solicited: true, overrides: false } => "answer",
        Kind::Advertisement { solicited: false, overrides: true } => "override",
        Kind::Advertisement { .. } => "?",
    };
    let station = message.station.map_or("nothing".to_owned(), |station| station.to_string());
    let Message { source, destination, target, .. } = message;
    format!("{interface} {to} {source} > {destination} {flags} {target} {station}")
}

fn frames(outputs: &[(u128, Output)]) -> Vec<u128> {
    outputs.iter().filter(|(_, output)| matches!(output, Output::Send { .. })).map(|&(at, _)| at).collect()
}

#[test]
fn an_announcement_is_said_at_once_then_for_a_while_then_now_and_again() {
    let mut node = node();
    assert_eq!(
        text(&node.announce("192.0.2.7", &["eth0"])),
        [
            "2 ff:ff:ff:ff:ff:ff Request 192.0.2.7 is 02:00:00:00:00:a0, to 192.0.2.7 ff:ff:ff:ff:ff:ff",
            "2 ff:ff:ff:ff:ff:ff Reply 192.0.2.7 is 02:00:00:00:00:a0, to 192.0.2.7 02:00:00:00:00:a0",
        ]
    );
    assert_eq!(frames(&node.pass(Duration::from_secs(40))), [1100, 1100, 2200, 2200, 3300, 3300, 4400, 4400]);
    let refreshes = frames(&node.pass(Duration::from_secs(600)));
    assert!((16..=26).contains(&refreshes.len()), "{refreshes:?}");
    assert!(refreshes.iter().step_by(2).zip(refreshes.iter().skip(2).step_by(2)).all(|(a, b)| {
        let pause = b - a;
        (48_000..=72_000).contains(&pause)
    }));
    assert_eq!(node.counters("192.0.2.7").gratuitous_sent(), 10 + refreshes.len() as u64);
}

#[test]
fn an_ipv6_address_is_said_with_override_and_its_group_is_joined_everywhere() {
    let mut node = node();
    assert_eq!(
        text(&node.announce("2001:db8::7", &["eth0"])),
        [
            "Join { interface: 2, group: ff02::1:ff00:7 }",
            "Join { interface: 3, group: ff02::1:ff00:7 }",
            "2 33:33:00:00:00:01 fe80::a0 > ff02::1 override 2001:db8::7 02:00:00:00:00:a0",
        ]
    );
    assert_eq!(text(&node.announce("2001:db8:1::7", &["eth7"])), [""; 0], "the group is the same");
    let later = Interface { index: 9, name: "eth9".into(), link_local: None, ..eth0() };
    assert_eq!(text(&node.tell(Input::Interface(later))), ["Join { interface: 9, group: ff02::1:ff00:7 }"]);
    assert_eq!(text(&node.tell(Input::Withdraw(ip("2001:db8::7")))), [""; 0]);
    assert_eq!(node.tell(Input::Withdraw(ip("2001:db8:1::7"))).len(), 3);
    assert_eq!(node.pass(Duration::from_secs(100)), []);
    assert_eq!(
        text(&node.announce("2001:db8::7", &["eth9"]))[3..],
        ["9 33:33:00:00:00:01 2001:db8::7 > ff02::1 override 2001:db8::7 02:00:00:00:00:a0"],
        "without a link-local address it comes from the address itself"
    );
}

#[test]
fn the_same_again_sends_nothing_and_more_interfaces_are_told_at_once() {
    let mut node = node();
    node.announce("192.0.2.7", &["eth0"]);
    node.pass(Duration::from_secs(10));
    assert_eq!(node.announce("192.0.2.7", &["eth0"]), []);
    assert_eq!(node.announce("192.0.2.7", &["eth0", "absent"]), []);
    assert_eq!(node.announce("192.0.2.7", &[]).len(), 4);
    assert_eq!(frames(&node.pass(Duration::from_secs(5))).len(), 16);
    assert_eq!(node.announce("192.0.2.7", &["eth1"]), []);
    assert_eq!(node.receive(ETH0, &who_has("192.0.2.7")), []);
    assert_eq!(node.dropped(DropReason::NotMatchInterface), 1);
    assert_eq!(node.receive(ETH1, &who_has("192.0.2.7")).len(), 1);
}

#[test]
fn requests_are_answered_where_the_address_is_announced() {
    let mut node = node();
    node.announce("192.0.2.7", &["eth0"]);
    let to_us = request("192.0.2.200", "192.0.2.7", CLIENT).frame(STATION);
    let elsewhere = request("192.0.2.200", "192.0.2.7", CLIENT).frame(STRANGER);
    let reply = "2 02:00:00:00:00:cc Reply 192.0.2.7 is 02:00:00:00:00:a0, to 192.0.2.200 02:00:00:00:00:cc";
    assert_eq!(text(&node.receive(ETH0, &who_has("192.0.2.7"))), [reply]);
    assert_eq!(text(&node.receive(ETH0, &to_us)), [reply]);
    let probe = node.receive(ETH0, &request("0.0.0.0", "192.0.2.7", CLIENT).frame(MacAddress::BROADCAST));
    assert_eq!(
        text(&probe),
        [
            "2 02:00:00:00:00:cc Reply 192.0.2.7 is 02:00:00:00:00:a0, to 0.0.0.0 02:00:00:00:00:cc",
            "Event(Wanted { address: 192.0.2.7, interface: 2, station: 02:00:00:00:00:cc })",
        ]
    );
    let answer = Packet { operation: Operation::Reply, ..request("192.0.2.9", "192.0.2.7", CLIENT) };
    let other = Packet { operation: Operation::Other(9), ..answer };
    let from_all = request("192.0.2.200", "192.0.2.7", MacAddress::BROADCAST);
    for (interface, frame, reason) in [
        (ETH0, elsewhere, DropReason::NotForUs),
        (ETH0, who_has("192.0.2.8"), DropReason::AnnounceIp),
        (ETH1, who_has("192.0.2.7"), DropReason::NotMatchInterface),
        (7, who_has("192.0.2.7"), DropReason::NotForUs),
        (ETH0, answer.frame(STATION), DropReason::NotARequest),
        (ETH0, other.frame(STATION), DropReason::NotARequest),
        (ETH0, from_all.frame(MacAddress::BROADCAST), DropReason::NoStation),
    ] {
        let before = node.dropped(reason);
        assert_eq!(node.receive(interface, &frame), [], "{reason:?}");
        assert_eq!(node.dropped(reason), before + 1, "{reason:?}");
    }
    assert_eq!(node.counters("192.0.2.7").requests_received(), 3);
    assert_eq!(node.counters("192.0.2.7").responses_sent(), 3);
    node.tell(Input::Withdraw(ip("192.0.2.7")));
    assert_eq!(node.receive(ETH0, &who_has("192.0.2.7")), []);
}

#[test]
fn solicitations_are_answered_whoever_asks_and_however() {
    let mut node = node();
    node.announce("2001:db8::7", &["eth0"]);
    let answer = "2 02:00:00:00:00:cc 2001:db8::7 > fe80::cc answer 2001:db8::7 02:00:00:00:00:a0";
    assert_eq!(text(&node.receive(ETH0, &solicit("fe80::cc", "2001:db8::7", Some(CLIENT)))), [answer]);
    assert_eq!(text(&node.receive(ETH0, &solicit("fe80::cc", "2001:db8::7", None))), [answer]);
    let target = "2001:db8::7".parse().unwrap();
    let to_us = Message {
        source: "2001:db8::cc".parse().unwrap(),
        destination: target,
        kind: Kind::Solicitation,
        target,
        station: Some(CLIENT),
    };
    assert_eq!(
        text(&node.receive(ETH0, &to_us.frame(CLIENT, STATION))),
        ["2 02:00:00:00:00:cc 2001:db8::7 > 2001:db8::cc answer 2001:db8::7 02:00:00:00:00:a0"]
    );
    assert_eq!(
        text(&node.receive(ETH0, &solicit("::", "2001:db8::7", None))),
        [
            "2 33:33:00:00:00:01 fe80::a0 > ff02::1 override 2001:db8::7 02:00:00:00:00:a0",
            "Event(Wanted { address: 2001:db8::7, interface: 2, station: 02:00:00:00:00:cc })",
        ]
    );
    assert_eq!(node.receive(ETH1, &solicit("fe80::cc", "2001:db8::7", Some(CLIENT))), []);
    assert_eq!(node.receive(ETH0, &solicit("fe80::cc", "2001:db8::8", Some(CLIENT))), []);
    assert_eq!(node.counters("2001:db8::7").responses_sent(), 4);
}

#[test]
fn a_stranger_is_told_of_and_defended_against_once_in_a_while() {
    for (address, claim) in [
        ("192.0.2.7", claim(Operation::Request, "192.0.2.7", STRANGER)),
        ("192.0.2.7", claim(Operation::Reply, "192.0.2.7", STRANGER)),
        ("2001:db8::7", advertise("2001:db8::7", STRANGER)),
    ] {
        let mut node = node();
        node.announce(address, &["eth0"]);
        node.pass(Duration::from_secs(10));
        assert_eq!(node.receive(ETH1, &claim), [], "it is not announced there");
        let event = format!(
            "Event(Conflict {{ address: {address}, interface: 2, station: 02:00:00:00:00:ee, fellow: false }})"
        );
        let to_all = |outputs: &[(u128, Output)]| {
            let is_to_all =
                |it: &Output| matches!(it, Output::Send { frame, .. } if frame.bytes()[0] & 1 == 1);
            outputs.iter().filter(|(_, output)| is_to_all(output)).map(|&(at, _)| at).collect::<Vec<_>>()
        };
        let per_round = if address.contains(':') { 1 } else { 2 };
        let told = node.receive(ETH0, &claim);
        assert_eq!(text(&told)[0], event);
        assert!(!text(&node.receive(ETH0, &claim)).contains(&event));
        let defence = (TIMES.forbearance + Duration::from_secs(10)).as_millis();
        assert_eq!(to_all(&node.pass(Duration::from_secs(5))), vec![defence; per_round]);
        assert!(!text(&node.receive(ETH0, &claim)).contains(&event));
        assert_eq!(node.pass(Duration::from_secs(5)), [], "once in a while");
        assert_eq!(text(&node.receive(ETH0, &claim))[0], event);
        assert_eq!(to_all(&node.pass(Duration::from_secs(1))).len(), per_round);
        assert_eq!(node.counters(address).conflicts(), 4);
    }
}

#[test]
fn a_fellow_is_told_of_and_not_fought() {
    let mut node = node();
    node.announce("192.0.2.7", &[]);
    node.announce("2001:db8::7", &[]);
    for (address, claim) in [
        ("192.0.2.7", claim(Operation::Request, "192.0.2.7", FELLOW)),
        ("2001:db8::7", advertise("2001:db8::7", FELLOW)),
    ] {
        let event = format!(
            "Event(Conflict {{ address: {address}, interface: 2, station: 02:00:00:00:00:fe, fellow: true }})"
        );
        assert_eq!(text(&node.receive(ETH0, &claim)), [event]);
    }
}

#[test]
fn who_turns_out_to_be_a_fellow_in_time_is_not_fought() {
    let mut node = node();
    node.announce("2001:db8::7", &[]);
    node.pass(Duration::from_secs(10));
    assert_eq!(node.receive(ETH0, &advertise("2001:db8::7", STRANGER)).len(), 1);
    node.tell(Input::Fellows([STRANGER].into()));
    assert_eq!(node.pass(Duration::from_secs(10)), []);
    assert!(!node.pass(REFRESH * 2).is_empty());
}

#[test]
fn what_this_node_sent_itself_is_no_conflict() {
    let mut node = node();
    node.announce("192.0.2.7", &[]);
    node.announce("2001:db8::7", &[]);
    for frame in [
        claim(Operation::Request, "192.0.2.7", OTHER_STATION),
        claim(Operation::Reply, "192.0.2.7", OTHER_STATION),
        advertise("2001:db8::7", OTHER_STATION),
    ] {
        assert_eq!(node.receive(ETH0, &frame), []);
    }
    assert_eq!(node.dropped(DropReason::OwnFrame), 3);
    let question = request("192.0.2.10", "192.0.2.7", OTHER_STATION).frame(MacAddress::BROADCAST);
    assert_eq!(node.receive(ETH0, &question).len(), 1, "another interface of this node may ask");
}

#[test]
fn an_interface_that_appears_or_changes_is_told_at_once() {
    let mut node = node();
    node.announce("192.0.2.7", &["eth5"]);
    node.announce("192.0.2.8", &[]);
    node.pass(Duration::from_secs(10));
    let eth5 = Interface { index: 5, name: "eth5".into(), running: false, ..eth0() };
    let moved = Interface { station: CLIENT, ..eth5.clone() };
    let connected = Interface { running: true, ..moved.clone() };
    let renamed = Interface { name: "eth6".into(), ..connected.clone() };
    let addressed = Interface { link_local: None, ..renamed.clone() };
    for (case, interface, frames) in [
        ("appeared", eth5.clone(), 4),
        ("the same", eth5, 0),
        ("another station", moved, 4),
        ("got its carrier", connected.clone(), 4),
        ("no longer announced there", renamed, 0),
        ("another link-local address", addressed, 0),
        ("named as it was", connected, 2),
    ] {
        assert_eq!(node.tell(Input::Interface(interface)).len(), frames, "{case}");
    }
    node.tell(Input::InterfaceGone(5));
    assert_eq!(node.announce("192.0.2.7", &["eth5", "eth6"]), []);
}

#[test]
fn a_thousand_addresses_are_taken_over_within_a_second_in_small_steps() {
    let mut node = node();
    let mut sent: Vec<(u128, Output)> = Vec::new();
    for number in 0..1000 {
        let address = format!("10.0.{}.{}", number / 250, number % 250);
        sent.extend(node.announce(&address, &["eth0"]).into_iter().map(|output| (0, output)));
    }
    sent.extend(node.pass(Duration::from_secs(1)));
    let times = frames(&sent);
    assert_eq!(times.len(), 2000);
    let at_most = |from: u128| times.iter().filter(|&&at| (from..from + 1).contains(&at)).count();
    assert!((1..1000).all(|from| at_most(from) <= 18), "{times:?}");
    assert!(at_most(0) <= 66 + 16);
    let addresses: BTreeSet<&[u8]> = sent
        .iter()
        .filter_map(|(_, output)| match output {
            Output::Send { frame, .. } => Some(&frame.bytes()[28..32]),
            _ => None,
        })
        .collect();
    assert_eq!(addresses.len(), 1000);
}

#[test]
fn refreshes_have_their_own_pace() {
    let mut node = node();
    for number in 0..20_000_u32 {
        node.announce(&std::net::Ipv4Addr::from_bits(0x0a00_0000 + number).to_string(), &["eth0"]);
    }
    node.pass(Duration::from_secs(120));
    let begin = (node.now - node.start).as_millis();
    let times = frames(&node.pass(Duration::from_secs(10)));
    let per_second = times.len() / 10;
    assert!((450..=502).contains(&per_second), "{per_second} from {begin}");
    let announced =
        frames(&node.announce("192.0.2.7", &["eth0"]).into_iter().map(|it| (0, it)).collect::<Vec<_>>());
    assert_eq!(announced.len(), 2, "what is new does not wait for them");
}

#[test]
fn a_claim_with_probes_waits_for_whoever_has_the_address() {
    for (address, answer) in [
        ("192.0.2.7", claim(Operation::Reply, "192.0.2.7", STRANGER)),
        ("192.0.2.7", request("0.0.0.0", "192.0.2.7", STRANGER).frame(MacAddress::BROADCAST)),
        ("2001:db8::7", advertise("2001:db8::7", STRANGER)),
    ] {
        let mut node = node();
        let asked = node.tell(announce(address, &["eth0"], true));
        let question = text(&asked).pop().unwrap();
        assert!(question.contains("who has") || question.contains("Request 0.0.0.0 is"), "{question}");
        assert_eq!(node.receive(ETH0, &who_has("192.0.2.7")), [], "it is not ours yet");
        let refused = format!(
            "Event(ClaimRefused {{ address: {address}, interface: 2, station: 02:00:00:00:00:ee, fellow: false }})"
        );
        assert_eq!(text(&node.receive(ETH0, &answer)), std::slice::from_ref(&refused));
        assert_eq!(node.receive(ETH0, &answer), []);
        let again = node.pass(TIMES.retry);
        assert_eq!(frames(&again), [TIMES.retry.as_millis()]);
        assert_eq!(text(&node.receive(ETH0, &answer)), [refused]);
        let free = node.pass(TIMES.retry + Duration::from_secs(1));
        let claimed =
            free.iter().position(|(_, output)| matches!(output, Output::Event(Event::Claimed { .. })));
        assert_eq!(claimed, Some(2), "{free:?}");
        assert!(free.len() > 3, "{free:?}");
    }
}

#[test]
fn a_claim_with_probes_is_ours_when_nobody_answers() {
    let mut node = node();
    assert_eq!(node.tell(announce("192.0.2.7", &["eth0"], true)).len(), 1);
    let fellow = claim(Operation::Reply, "192.0.2.7", FELLOW);
    assert_eq!(node.receive(ETH0, &fellow), [], "the election said that it is ours");
    let outputs = node.pass(TIMES.round);
    assert_eq!(frames(&outputs), [150, 300, 300], "{outputs:?}");
    assert_eq!(node.receive(ETH0, &who_has("192.0.2.7")).len(), 1);
}

#[test]
fn what_is_beyond_the_limits_is_counted_and_told() {
    let mut node = node();
    for number in 0..LIMITS.addresses as u32 {
        let address = IpAddr::V4(std::net::Ipv4Addr::from_bits(number + 1));
        let none = Interfaces::these([]);
        node.tell(Input::Announce { address, interfaces: none, probe: false, counters: Arc::default() });
    }
    assert_eq!(text(&node.announce("192.0.2.7", &[])), ["Event(TooMany { address: 192.0.2.7 })"]);
    assert_eq!(node.dropped(DropReason::Limit), 1);
}

proptest! {
    /// Whatever comes: no panic, nothing is sent for what is not ours, and outputs are few.
    #[test]
    fn hostile_frames_get_nothing_that_is_not_theirs(
        frames in proptest::collection::vec((any::<u8>(), any::<(u8, u8, u8)>(), any::<u8>(), 0..90_usize), 1..60)
    ) {
        let mut node = node();
        node.announce("192.0.2.7", &["eth0"]);
        node.announce("2001:db8::7", &["eth0"]);
        node.pass(Duration::from_secs(10));
        let shapes = [
            who_has("192.0.2.7"),
            claim(Operation::Reply, "192.0.2.7", STRANGER),
            solicit("fe80::cc", "2001:db8::7", Some(CLIENT)),
            solicit("::", "2001:db8::7", None),
            advertise("2001:db8::7", STRANGER),
        ];
        for (shape, (place, second, interface), byte, length) in frames {
            let shape = &shapes[usize::from(shape) % shapes.len()];
            let mut bytes = shape.bytes().to_vec();
            for place in [place, second] {
                let place = usize::from(place) % bytes.len();
                bytes[place] ^= byte;
            }
            bytes.truncate(length.max(HEADER_LENGTH / 2));
            node.responder.receive(u32::from(interface % 5), &bytes, node.now);
            let outputs = node.drain();
            prop_assert!(outputs.len() <= 4);
            for output in outputs {
                if let Output::Send { interface, frame } = output {
                    prop_assert_eq!(interface, ETH0);
                    prop_assert_eq!(&frame.bytes()[6..12], &STATION.0);
                    let bytes = frame.bytes();
                    prop_assert!(bytes[28..32] == [192, 0, 2, 7] || bytes[62..78] == ip_octets("2001:db8::7"));
                }
            }
        }
    }
}

fn ip_octets(text: &str) -> [u8; 16] {
    text.parse::<Ipv6Addr>().unwrap().octets()
}
