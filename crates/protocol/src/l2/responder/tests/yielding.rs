//! Addresses that move while both nodes are there.

use super::*;

const WITHIN: Duration = Duration::from_secs(3);

impl Node {
    fn cede(&mut self, address: &str) -> Vec<Output> {
        let until = self.now + WITHIN;
        self.tell(Input::Yield { address: ip(address), until })
    }
}

fn yielded(address: &str, heard: bool) -> Output {
    Output::Event(Event::Yielded { address: ip(address), heard })
}

/// How an asker asks, and how each kind of station claims the address.
fn forms(address: &str) -> (Frame, Vec<Frame>) {
    if address.contains(':') {
        let claims = [FELLOW, STRANGER].map(|station| advertise(address, station));
        return (solicit("fe80::cc", address, Some(CLIENT)), claims.into());
    }
    let mut claims = Vec::new();
    for station in [FELLOW, STRANGER] {
        claims.push(claim(Operation::Request, address, station));
        claims.push(claim(Operation::Reply, address, station));
        claims.push(request(address, "192.0.2.200", station).frame(MacAddress::BROADCAST));
    }
    (who_has(address), claims)
}

#[test]
fn it_is_answered_for_until_another_station_is_heard() {
    for address in ["192.0.2.7", "2001:db8::7"] {
        let (question, claims) = forms(address);
        for claim in claims {
            let mut node = node();
            node.announce(address, &["eth0"]);
            assert_eq!(node.cede(address), []);
            assert_eq!(node.pass(WITHIN - Duration::from_millis(1)), [], "nothing is said unasked");
            assert_eq!(node.receive(ETH0, &question).len(), 1);
            assert_eq!(node.receive(ETH1, &claim), [], "it is not announced there");
            let heard = node.receive(ETH0, &claim);
            assert!(heard.contains(&yielded(address, true)), "{heard:?}");
            let is_conflict = |it: &Output| matches!(it, Output::Event(Event::Conflict { .. }));
            assert!(!heard.iter().any(is_conflict), "{heard:?}");
            assert_eq!(node.receive(ETH0, &question), []);
            assert_eq!(node.pass(REFRESH * 2), []);
            assert_eq!(node.responder.addresses().count(), 0);
        }
    }
}

#[test]
fn it_is_given_up_in_the_end_if_nobody_is_heard() {
    let mut node = node();
    node.announce("2001:db8::7", &["eth0"]);
    node.pass(Duration::from_secs(20));
    assert_eq!(node.cede("2001:db8::7"), []);
    let at = (node.now - node.start + WITHIN).as_millis();
    let outputs = node.pass(WITHIN);
    assert_eq!(outputs.last(), Some(&(at, yielded("2001:db8::7", false))));
    assert_eq!(outputs.len(), 3, "the group is left on both interfaces");
    assert_eq!(node.responder.deadline(), None);
}

#[test]
fn a_fellow_that_was_quicker_than_the_word_was_heard() {
    for (pause, station, heard) in [
        (Duration::from_millis(500), FELLOW, true),
        (TIMES.round, FELLOW, false),
        (Duration::from_millis(500), STRANGER, false),
    ] {
        let mut node = node();
        node.announce("192.0.2.7", &["eth0"]);
        node.receive(ETH0, &claim(Operation::Reply, "192.0.2.7", station));
        node.pass(pause);
        let expected = if heard { vec![yielded("192.0.2.7", true)] } else { vec![] };
        assert_eq!(node.cede("192.0.2.7"), expected, "{station} {pause:?}");
    }
}

#[test]
fn it_can_become_ours_again_or_be_given_up_at_once() {
    let mut node = node();
    node.announce("192.0.2.7", &["eth0"]);
    node.cede("192.0.2.7");
    node.pass(Duration::from_secs(1));
    assert_eq!(node.announce("192.0.2.7", &["eth0"]).len(), 2, "it is announced afresh");
    assert_eq!(frames(&node.pass(Duration::from_secs(20))).len(), 8);
    let claim = claim(Operation::Request, "192.0.2.7", FELLOW);
    assert!(matches!(node.receive(ETH0, &claim)[..], [Output::Event(Event::Conflict { .. })]));

    node.pass(Duration::from_secs(20));
    node.cede("192.0.2.7");
    assert_eq!(node.tell(Input::Withdraw(ip("192.0.2.7"))), []);
    assert_eq!(node.receive(ETH0, &who_has("192.0.2.7")), []);
    assert_eq!(node.pass(WITHIN), []);
}

#[test]
fn what_is_not_answered_for_is_given_up_at_once() {
    let mut node = node();
    assert_eq!(node.cede("192.0.2.7"), [yielded("192.0.2.7", false)]);
    node.tell(announce("192.0.2.7", &["eth0"], true));
    assert_eq!(node.cede("192.0.2.7"), [yielded("192.0.2.7", false)]);
    assert_eq!(node.pass(REFRESH), []);
}

#[test]
fn a_link_that_comes_back_says_nothing_of_it() {
    let mut node = node();
    node.announce("192.0.2.7", &["eth0"]);
    node.announce("192.0.2.8", &["eth0"]);
    node.pass(Duration::from_secs(20));
    node.cede("192.0.2.7");
    node.tell(Input::Interface(Interface { running: false, ..eth0() }));
    assert_eq!(node.tell(Input::Interface(eth0())).len(), 2, "of the other one alone");
    assert_eq!(node.tell(Input::Again).len(), 2);
}

#[test]
fn everything_is_announced_again_at_the_pace_of_first_announcements() {
    let mut node = node();
    for last in 0..200 {
        node.announce(&format!("10.0.0.{last}"), &["eth0"]);
    }
    node.tell(announce("192.0.2.7", &["eth0"], true));
    node.pass(Duration::from_millis(200));
    node.receive(ETH0, &claim(Operation::Reply, "192.0.2.7", STRANGER));
    let begin = (node.now - node.start).as_millis();
    let mut sent: Vec<(u128, Output)> =
        node.tell(Input::Again).into_iter().map(|output| (begin, output)).collect();
    assert!((64..=82).contains(&sent.len()), "{}", sent.len());
    sent.extend(node.pass(Duration::from_millis(500)));
    assert_eq!(frames(&sent).len(), 400, "what was refused is not ours to announce");
    assert_eq!(frames(&node.pass(TIMES.window)).len(), 4 * 400);

    assert_eq!(node.tell(Input::AnnounceAgain(ip("10.0.0.9"))).len(), 2);
    assert_eq!(node.tell(Input::AnnounceAgain(ip("192.0.2.7"))), []);
    assert_eq!(node.tell(Input::AnnounceAgain(ip("192.0.2.99"))), []);
}
