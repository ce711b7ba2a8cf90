//! Addresses that two speakers have, and of which one falls silent.

use super::*;

fn refused(address: &str, station: MacAddress) -> Output {
    let fellow = station == FELLOW;
    Output::Event(Event::ClaimRefused { address: ip(address), interface: ETH0, station, fellow })
}

/// How each kind of address is asked for by a client, and how a station says that it has it.
fn forms(address: &str, station: MacAddress) -> (Frame, Frame) {
    if address.contains(':') {
        return (solicit("fe80::cc", address, Some(CLIENT)), advertise(address, station));
    }
    (who_has(address), claim(Operation::Reply, address, station))
}

/// An address that this node has and gives way with, at the time of its first probe.
fn giving_way(address: &str) -> Node {
    let mut node = node();
    node.announce(address, &["eth0"]);
    node.pass(Duration::from_secs(20));
    let asked = node.tell(Input::GiveWay(ip(address)));
    assert_eq!(asked.len(), 1);
    let question = &text(&asked)[0];
    assert!(question.contains("who has") || question.contains("Request 0.0.0.0 is"), "{question}");
    node
}

#[test]
fn who_gives_way_falls_silent_when_the_fellow_answers() {
    for address in ["192.0.2.7", "2001:db8::7"] {
        let (question, answer) = forms(address, FELLOW);
        let mut node = giving_way(address);
        assert_eq!(node.receive(ETH0, &question).len(), 1, "it is answered for while that is not known");
        assert_eq!(node.receive(ETH0, &answer), [refused(address, FELLOW)]);
        assert_eq!(node.receive(ETH0, &question), []);
        assert_eq!(node.receive(ETH0, &answer), []);
        assert_eq!(node.tell(Input::Again), []);
        assert_eq!(node.announce(address, &["eth0", "eth1"]), []);
        assert_eq!(node.responder.addresses().count(), 1, "it is still heard of");
    }
}

#[test]
fn it_is_looked_at_again_at_ever_longer_intervals_and_claimed_when_it_is_free() {
    let (question, answer) = forms("192.0.2.7", FELLOW);
    let mut node = giving_way("192.0.2.7");
    node.receive(ETH0, &answer);
    for pause in [1, 2, 4, 8, 16, 32, 60, 60].map(Duration::from_secs) {
        assert_eq!(node.pass(pause - Duration::from_millis(1)), []);
        assert_eq!(frames(&node.pass(Duration::from_millis(1))).len(), 1);
        assert_eq!(node.receive(ETH0, &question), []);
        assert_eq!(node.receive(ETH0, &answer), [refused("192.0.2.7", FELLOW)]);
    }
    let outputs = node.pass(Duration::from_secs(61));
    let events: Vec<&Output> =
        outputs.iter().map(|(_, output)| output).filter(|it| matches!(it, Output::Event(_))).collect();
    assert_eq!(events, [&Output::Event(Event::Claimed { address: ip("192.0.2.7") })]);
    assert_eq!(node.receive(ETH0, &question).len(), 1);
}

#[test]
fn a_fellow_that_comes_back_at_once_is_given_longer_and_later_it_is_forgotten() {
    let (_, answer) = forms("192.0.2.7", FELLOW);
    for (calm, pause) in [(Duration::from_secs(2), 2), (Duration::from_secs(20), 1)] {
        let mut node = giving_way("192.0.2.7");
        node.receive(ETH0, &answer);
        node.pass(TIMES.first_look + TIMES.probe * 2);
        assert_eq!(node.receive(ETH0, &who_has("192.0.2.7")).len(), 1, "nobody answered");
        node.pass(calm);
        node.tell(Input::GiveWay(ip("192.0.2.7")));
        assert_eq!(node.receive(ETH0, &answer), [refused("192.0.2.7", FELLOW)]);
        let until = (node.now - node.start + Duration::from_secs(pause)).as_millis();
        assert_eq!(frames(&node.pass(Duration::from_secs(pause))), [until]);
    }
}

#[test]
fn nobody_falls_silent_for_somebody_who_does_not_answer() {
    let mut node = giving_way("192.0.2.7");
    assert_eq!(
        node.receive(ETH0, &forms("192.0.2.7", STRANGER).1),
        [],
        "a stranger is somebody else's matter"
    );
    let probe = request("0.0.0.0", "192.0.2.7", FELLOW).frame(MacAddress::BROADCAST);
    assert_eq!(node.receive(ETH0, &probe).len(), 2, "it does not have it yet: it is told that it is taken");
    let outputs = node.pass(TIMES.probe * 2);
    assert_eq!(frames(&outputs).len(), 3, "the second probe, and then all are told again");
    assert!(node.receive(ETH0, &who_has("192.0.2.7")).len() == 1);
}

#[test]
fn a_claim_after_it_was_taken_back_is_told_of_however_soon() {
    let (_, answer) = forms("192.0.2.7", FELLOW);
    let mut node = node();
    node.announce("192.0.2.7", &["eth0"]);
    let is_conflict = |it: &Output| matches!(it, Output::Event(Event::Conflict { .. }));
    assert!(node.receive(ETH0, &answer).iter().any(is_conflict));
    node.tell(Input::GiveWay(ip("192.0.2.7")));
    node.receive(ETH0, &answer);
    node.pass(TIMES.first_look + TIMES.probe * 2);
    assert!(node.receive(ETH0, &answer).iter().any(is_conflict), "it is back, and so is the conflict");
    assert!(!node.receive(ETH0, &answer).iter().any(is_conflict));
    node.tell(Input::AnnounceAgain(ip("192.0.2.7")));
    assert!(!node.receive(ETH0, &answer).iter().any(is_conflict));
}

#[test]
fn only_what_is_ours_can_be_given_way_with() {
    let mut node = node();
    assert_eq!(node.tell(Input::GiveWay(ip("192.0.2.7"))), []);
    node.announce("192.0.2.7", &["eth0"]);
    let until = node.now + TIMES.window;
    node.tell(Input::Yield { address: ip("192.0.2.7"), until });
    assert_eq!(node.tell(Input::GiveWay(ip("192.0.2.7"))), []);

    let mut silent = giving_way("192.0.2.7");
    silent.receive(ETH0, &forms("192.0.2.7", FELLOW).1);
    assert_eq!(silent.tell(Input::GiveWay(ip("192.0.2.7"))), []);
    let until = silent.now + TIMES.window;
    let yielded = Event::Yielded { address: ip("192.0.2.7"), heard: false };
    assert_eq!(silent.tell(Input::Yield { address: ip("192.0.2.7"), until }), [Output::Event(yielded)]);
    assert_eq!(silent.pass(REFRESH), []);
}

#[test]
fn a_doubt_ends_when_everything_is_announced_again() {
    let mut node = giving_way("192.0.2.7");
    let again = text(&node.tell(Input::Again));
    assert!(again.iter().any(|frame| frame.contains("192.0.2.7 is")), "{again:?}");
    // What a fellow says now is a conflict as any other, and no answer.
    let (question, answer) = forms("192.0.2.7", FELLOW);
    assert!(!node.receive(ETH0, &answer).contains(&refused("192.0.2.7", FELLOW)));
    assert_eq!(node.receive(ETH0, &question).len(), 1);
}
